#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/world_test.h"

#include <stdio.h>

static void test_world_crosses_nat_behind_nat_and_back(void **state)
{
    (void)state;
    struct nat444 n = nat444_new(NULL);
    send_text(n.alice, "192.168.1.2:5000", "198.51.100.50:3478", "ping");
    receives(n.world, n.server, "198.51.100.1:40000", "198.51.100.50:3478", "ping");
    assert_int_equal(world_now(n.world), 10 * TIME_MS);
    send_text(n.server, "198.51.100.50:3478", "198.51.100.1:40000", "pong");
    receives(n.world, n.alice, "198.51.100.50:3478", "192.168.1.2:5000", "pong");
    assert_int_equal(world_now(n.world), 20 * TIME_MS);

    struct net_counters counters = world_counters(n.world);
    assert_int_equal(counters.sent, 2);
    assert_int_equal(counters.delivered, 2);
    assert_int_equal(host_counters(n.alice).sent, 1);
    assert_int_equal(host_counters(n.alice).delivered, 1);
    world_free(n.world);
}

static void test_world_nat_limits_are_drops_with_their_reason(void **state)
{
    (void)state;
    struct world *world = world_of(1, NULL);
    struct segment *wan = segment_add(world, "wan", "198.51.100.0/24");
    struct segment *lan = segment_add(world, "lan", "10.0.0.0/8");
    struct gateway_config config = nat_gateway(lan, wan, "198.51.100.1");
    config.nat.mappings_max = 2;
    config.nat.port_min = config.nat.port_max = 5000;
    config.nat.hairpin = NAT_HAIRPIN_OFF;
    struct gateway *gateway = world_add_gateway(world, "home", &config);
    struct host *host = host_add(world, lan, "alice", "10.0.0.2:5000");
    struct addr second = at("10.0.0.2:5001");
    assert_true(host_bind(host, &second));
    send_text(host, "10.0.0.2:5000", "198.51.100.9:1", "");
    send_text(host, "10.0.0.2:5001", "198.51.100.9:1", "");
    send_text(host, "10.0.0.2:5000", "198.51.100.1:1", "");
    struct net_counters counters = gateway_counters(gateway);
    assert_int_equal(counters.drops[NET_NO_HOST], 1); // the NAT let it pass
    assert_int_equal(counters.drops[NET_NAT_NO_PORT], 1);
    assert_int_equal(counters.drops[NET_NAT_NO_HAIRPIN], 1);
    world_free(world);

    world = world_of(1, NULL);
    wan = segment_add(world, "wan", "198.51.100.0/24");
    lan = segment_add(world, "lan", "10.0.0.0/8");
    config = nat_gateway(lan, wan, "198.51.100.1");
    config.nat.mappings_max = 1;
    gateway = world_add_gateway(world, "home", &config);
    host = host_add(world, lan, "alice", "10.0.0.2:5000");
    assert_true(host_bind(host, &second));
    send_text(host, "10.0.0.2:5000", "198.51.100.9:1", "");
    send_text(host, "10.0.0.2:5001", "198.51.100.9:1", "");
    assert_int_equal(gateway_counters(gateway).drops[NET_NAT_TABLE_FULL], 1);
    world_free(world);
}

// ------------------------------------------------------------------------------------ one segment

static void test_world_hairpin_joins_two_hosts_behind_one_nat(void **state)
{
    (void)state;
    struct world *world = world_of(1, NULL);
    struct segment *wan = segment_add(world, "wan", "198.51.100.0/24");
    struct segment_config lan_config = {.isolate = true}; // hosts meet by the gateway alone
    assert_true(ip_prefix_parse(bytes_text("10.0.0.0/8"), &lan_config.prefix[0]));
    struct segment *lan = world_add_segment(world, "lan", &lan_config);
    struct gateway_config config = nat_gateway(lan, wan, "198.51.100.1");
    world_add_gateway(world, "home", &config);
    struct host *alice = host_add(world, lan, "alice", "10.0.0.2:5000");
    struct host *bob = host_add(world, lan, "bob", "10.0.0.3:6000");

    send_text(alice, "10.0.0.2:5000", "10.0.0.3:6000", "direct");
    receives_nothing(world);
    assert_int_equal(host_counters(alice).drops[NET_ISOLATED], 1);

    send_text(alice, "10.0.0.2:5000", "198.51.100.1:6000", "first"); // bob has no mapping yet
    send_text(bob, "10.0.0.3:6000", "198.51.100.1:5000", "hello");
    receives(world, alice, "198.51.100.1:6000", "10.0.0.2:5000", "hello");
    send_text(alice, "10.0.0.2:5000", "198.51.100.1:6000", "hi");
    receives(world, bob, "198.51.100.1:5000", "10.0.0.3:6000", "hi");
    assert_int_equal(captured(world, "bob", 2, "198.51.100.1:5000", "10.0.0.3:6000").ttl, 63);
    captured(world, "home.inside", 4, "10.0.0.2:5000", "198.51.100.1:6000");
    captured(world, "home.inside", 5, "198.51.100.1:5000", "10.0.0.3:6000");
    assert_int_equal(captured_count(world, "home.outside"), 0);
    world_free(world);
}

static void test_world_drops_what_nobody_takes(void **state)
{
    (void)state;
    struct trace_log log = {.live_fd = -1};
    struct world *world = world_of(1, &log);
    struct segment *lan = segment_add(world, "lan", "10.0.0.0/8");
    struct host *alice = host_add(world, lan, "alice", "10.0.0.2:5000");
    struct host *bob = host_add(world, lan, "bob", "10.0.0.3:6000");
    assert_int_equal(send_text(alice, "10.0.0.2:5000", "10.0.0.9:1", ""), NET_DELIVERED);
    assert_int_equal(send_text(alice, "10.0.0.2:5000", "192.0.2.1:1", ""), NET_DELIVERED);
    assert_int_equal(send_text(alice, "10.0.0.2:5000", "10.0.0.3:6001", "hey"), NET_DELIVERED);
    assert_int_equal(send_text(alice, "10.0.0.2:5001", "10.0.0.3:6000", ""), NET_NO_SOCKET);
    assert_int_equal(send_text(alice, "10.0.0.3:6000", "10.0.0.2:5000", ""), NET_NO_SOCKET);
    assert_int_equal(send_text(alice, "10.0.0.2:5000", "[2001:db8::1]:1", ""), NET_NO_ROUTE);
    receives_nothing(world);
    assert_int_equal(host_counters(alice).drops[NET_NO_HOST], 1);
    assert_int_equal(host_counters(alice).drops[NET_NO_ROUTE], 2);
    assert_int_equal(host_counters(alice).drops[NET_NO_SOCKET], 2);
    assert_int_equal(host_counters(bob).drops[NET_NO_SOCKET], 1);
    struct net_counters counters = world_counters(world);
    uint64_t drops = 0;
    for (int i = 0; i < NET_DROPS; i++)
        drops += counters.drops[i];
    assert_int_equal(counters.sent, drops);
    text_add(&log.text, (struct bytes){0});
    assert_string_equal(log.text.at,
                        "   0.000000 alice            drop no-host 10.0.0.2:5000 > 10.0.0.9:1 "
                        "0 bytes, packet 1 of alice\n"
                        "   0.000000 alice            drop no-route 10.0.0.2:5000 > 192.0.2.1:1 "
                        "0 bytes, packet 2 of alice\n"
                        "   0.000000 alice            drop no-socket 10.0.0.2:5001 > "
                        "10.0.0.3:6000 0 bytes\n"
                        "   0.000000 alice            drop no-socket 10.0.0.3:6000 > "
                        "10.0.0.2:5000 0 bytes\n"
                        "   0.000000 alice            drop no-route 10.0.0.2:5000 > "
                        "[2001:db8::1]:1 0 bytes\n"
                        "   0.000000 bob              drop no-socket 10.0.0.2:5000 > "
                        "10.0.0.3:6001 3 bytes, packet 1 of bob\n");
    text_free(&log.text);
    world_free(world);
}

static void test_world_socket_closed_before_arrival_gets_nothing(void **state)
{
    (void)state;
    struct world *world = world_of(1, NULL);
    struct segment *lan = segment_add(world, "lan", "10.0.0.0/8");
    struct host *alice = host_add(world, lan, "alice", "10.0.0.2:5000");
    struct host *bob = host_add(world, lan, "bob", "10.0.0.3:6000");
    struct addr bound = at("10.0.0.3:6000");
    send_text(alice, "10.0.0.2:5000", "10.0.0.3:6000", "too late");
    host_unbind(bob, &bound);
    host_unbind(bob, &bound); // twice is no harm
    receives_nothing(world);
    assert_int_equal(host_counters(bob).drops[NET_NO_SOCKET], 1);
    world_free(world);
}

static void test_world_host_reaches_its_own_addresses(void **state)
{
    (void)state;
    struct world *world = world_of(1, NULL);
    struct segment *lan = segment_add(world, "lan", "10.0.0.0/8");
    struct host *alice = host_add(world, lan, "alice", "10.0.0.2:5000");
    link_configure(host_link(alice, 0, true), &(struct link_config){.down = true});
    send_text(alice, "10.0.0.2:5000", "10.0.0.2:5000", "me");
    receives(world, alice, "10.0.0.2:5000", "10.0.0.2:5000", "me");
    world_free(world);
}

static void test_world_addresses_and_ports_are_taken_once(void **state)
{
    (void)state;
    struct world *world = world_of(1, NULL);
    struct segment *wan = segment_add(world, "wan", "198.51.100.0/24");
    struct segment *lan = segment_add(world, "lan", "10.0.0.0/8");
    struct host *alice = host_add(world, lan, "alice", "10.0.0.2:5000");
    struct host *bob = host_add(world, wan, "bob", "198.51.100.1:1");
    struct addr taken = at("10.0.0.2:5000"), foreign = at("10.0.0.3:5000"), zero = at("10.0.0.2:0");
    assert_false(host_attach(bob, lan, &taken.ip, &none, &none));
    assert_false(host_bind(alice, &taken));
    assert_false(host_bind(alice, &foreign));
    assert_false(host_bind(alice, &zero));
    struct gateway_config config = nat_gateway(lan, wan, "198.51.100.1");
    assert_null(world_add_gateway(world, "home", &config));
    config.nat.external[0] = ip_at("198.51.100.2");
    config.inside_ip = taken.ip;
    assert_null(world_add_gateway(world, "home", &config));
    config.inside_ip = ip_at("10.0.0.1");
    struct gateway *gateway = world_add_gateway(world, "home", &config);
    assert_non_null(gateway);
    assert_non_null(gateway_nat(gateway));

    send_text(alice, "10.0.0.2:5000", "10.0.0.1:53", "no server here");
    assert_int_equal(gateway_counters(gateway).drops[NET_NO_SOCKET], 1);
    struct ip ips[4];
    assert_true(host_attach(alice, wan, &(struct ip){.at = {198, 51, 100, 9}, .family = IP_V4},
                            &none, &none));
    assert_int_equal(host_addresses(alice, ips, 4), 2);
    assert_int_equal(ips[1].at[3], 9);
    assert_null(host_link(alice, 2, true));
    host_set_user(alice, &ips);
    assert_ptr_equal(host_user(alice), &ips);
    world_free(world);
}

static void test_world_free_ports_are_dynamic_and_free(void **state)
{
    (void)state;
    struct world *world = world_of(1, NULL);
    struct segment *lan = segment_add(world, "lan", "10.0.0.0/8");
    struct host *alice = host_add(world, lan, "alice", "10.0.0.2:5000");
    struct addr addr = at("10.0.0.2:5000");
    for (int i = 0; i < 16384; i++) {
        addr.port = host_free_port(alice, &addr.ip);
        assert_true(addr.port >= 49152);
        assert_true(host_bind(alice, &addr));
    }
    assert_int_equal(host_free_port(alice, &addr.ip), 0);
    world_free(world);
}

// A host with two interfaces sends by the one that has the source address.
static void test_world_two_interfaces(void **state)
{
    (void)state;
    struct world *world = world_of(1, NULL);
    struct segment *wan = segment_add(world, "wan", "198.51.100.0/24");
    struct segment *wifi = segment_add(world, "wifi", "10.0.0.0/8");
    struct gateway_config config = nat_gateway(wifi, wan, "198.51.100.1");
    world_add_gateway(world, "home", &config);
    struct host *phone = host_add(world, wifi, "phone", "10.0.0.2:5000");
    struct addr cellular = at("198.51.100.7:5000");
    assert_true(host_attach(phone, wan, &cellular.ip, &slow, &none));
    assert_true(host_bind(phone, &cellular));
    struct host *server = host_add(world, wan, "server", "198.51.100.50:1");
    send_text(phone, "198.51.100.7:5000", "198.51.100.50:1", "cellular");
    send_text(phone, "10.0.0.2:5000", "198.51.100.50:1", "wifi");
    receives(world, server, "198.51.100.1:5000", "198.51.100.50:1", "wifi");
    receives(world, server, "198.51.100.7:5000", "198.51.100.50:1", "cellular");
    assert_int_equal(world_now(world), 10 * TIME_MS);
    world_free(world);
}

// ---------------------------------------------------------------------------------------- routing

// A row of networks, 10.0/16 to 10.n/16, joined by gateways without NAT.
static struct world *row_new(unsigned gateways, struct host **first, struct host **last,
                             struct gateway **last_gateway)
{
    struct world *world = world_of(1, NULL);
    struct segment *before = segment_add(world, "s0", "10.0.0.0/16");
    *first = host_add(world, before, "first", "10.0.0.2:1");
    for (unsigned i = 1; i <= gateways; i++) {
        char name[16], prefix[32];
        snprintf(name, sizeof name, "s%u", i);
        snprintf(prefix, sizeof prefix, "10.%u.0.0/16", i);
        struct segment *next = segment_add(world, name, prefix);
        struct gateway_config config = {.inside = before, .outside = next};
        config.outside_ip = ip_v4(10, (uint8_t)i, 0, 1);
        snprintf(name, sizeof name, "g%u", i);
        *last_gateway = world_add_gateway(world, name, &config);
        before = next;
    }
    char addr[32];
    snprintf(addr, sizeof addr, "10.%u.0.2:1", gateways);
    *last = host_add(world, before, "last", addr);
    return world;
}

static void test_world_ttl_ends_at_the_64th_gateway(void **state)
{
    (void)state;
    struct host *first, *last;
    struct gateway *gateway;
    struct world *world = row_new(63, &first, &last, &gateway);
    send_text(first, "10.0.0.2:1", "10.63.0.2:1", "far");
    receives(world, last, "10.0.0.2:1", "10.63.0.2:1", "far");
    assert_int_equal(captured(world, "last", 1, "10.0.0.2:1", "10.63.0.2:1").ttl, 1);
    world_free(world);

    world = row_new(64, &first, &last, &gateway);
    send_text(first, "10.0.0.2:1", "10.64.0.2:1", "too far");
    receives_nothing(world);
    assert_int_equal(gateway_counters(gateway).drops[NET_TTL_EXCEEDED], 1);
    world_free(world);
}

static void test_world_routes_back_by_the_inside_prefix(void **state)
{
    (void)state;
    struct host *first, *last;
    struct gateway *gateway;
    struct world *world = row_new(1, &first, &last, &gateway);
    send_text(last, "10.1.0.2:1", "10.0.0.2:1", "in");
    receives(world, first, "10.1.0.2:1", "10.0.0.2:1", "in");
    assert_null(gateway_nat(gateway));
    send_text(last, "10.1.0.2:1", "10.0.0.9:1", "nobody");
    send_text(last, "10.1.0.2:1", "10.1.0.1:1", "the gateway itself");
    receives_nothing(world);
    assert_int_equal(gateway_counters(gateway).drops[NET_NO_HOST], 1);
    assert_int_equal(gateway_counters(gateway).drops[NET_NO_SOCKET], 1);
    world_free(world);
}

// RFC 1812 5.2.4.3: the longest prefix wins.
static void test_world_longest_prefix_wins(void **state)
{
    (void)state;
    struct world *world = world_of(1, NULL);
    struct segment *wan = segment_add(world, "wan", "198.51.100.0/24");
    struct segment *wide = segment_add(world, "wide", "10.0.0.0/8");
    struct segment *narrow = segment_add(world, "narrow", "10.1.2.0/23");
    struct gateway_config config = {.inside = narrow, .outside = wan};
    assert_non_null(world_add_gateway(world, "narrow", &config));
    config.inside = wide;
    assert_non_null(world_add_gateway(world, "wide", &config));
    struct host *server = host_add(world, wan, "server", "198.51.100.50:1");
    struct host *near = host_add(world, narrow, "near", "10.1.3.1:1");
    struct host *far = host_add(world, wide, "far", "10.1.4.1:1");
    send_text(server, "198.51.100.50:1", "10.1.3.1:1", "near");
    send_text(server, "198.51.100.50:1", "10.1.4.1:1", "far");
    receives(world, near, "198.51.100.50:1", "10.1.3.1:1", "near");
    receives(world, far, "198.51.100.50:1", "10.1.4.1:1", "far");
    world_free(world);
}

// IPv4 through the NAT and IPv6 routed, by one gateway.
static void test_world_dual_stack(void **state)
{
    (void)state;
    struct world *world = world_of(1, NULL);
    struct segment *wan = segment_add(world, "wan", "198.51.100.0/24");
    struct segment_config lan_config = {0};
    assert_true(ip_prefix_parse(bytes_text("10.0.0.0/8"), &lan_config.prefix[0]));
    assert_true(ip_prefix_parse(bytes_text("2001:db8:1::/64"), &lan_config.prefix[1]));
    struct segment *lan = world_add_segment(world, "lan", &lan_config);
    struct gateway_config config = nat_gateway(lan, wan, "198.51.100.1");
    world_add_gateway(world, "home", &config);
    struct host *alice = host_add(world, lan, "alice", "10.0.0.2:5000");
    struct host *server = host_add(world, wan, "server", "198.51.100.50:1");
    struct addr a6 = at("[2001:db8:1::2]:5000"), s6 = at("[2001:db8:2::2]:1");
    assert_true(host_attach(alice, lan, &a6.ip, &none, &none));
    assert_true(host_attach(server, wan, &s6.ip, &none, &none));
    assert_true(host_bind(alice, &a6) && host_bind(server, &s6));

    send_text(alice, "[2001:db8:1::2]:5000", "[2001:db8:2::2]:1", "six");
    receives(world, server, "[2001:db8:1::2]:5000", "[2001:db8:2::2]:1", "six");
    send_text(server, "[2001:db8:2::2]:1", "[2001:db8:1::2]:5000", "back");
    receives(world, alice, "[2001:db8:2::2]:1", "[2001:db8:1::2]:5000", "back");
    send_text(alice, "10.0.0.2:5000", "198.51.100.50:1", "four");
    receives(world, server, "198.51.100.1:5000", "198.51.100.50:1", "four");
    struct seen seen = captured(world, "server", 1, "[2001:db8:1::2]:5000", "[2001:db8:2::2]:1");
    assert_int_equal(seen.ttl, 63);
    world_free(world);
}

// --------------------------------------------------------------------------------------- gateways

static void test_world_firewall_sees_the_outside_addresses(void **state)
{
    (void)state;
    struct world *world = world_of(1, NULL);
    struct segment *wan = segment_add(world, "wan", "198.51.100.0/24");
    struct segment *lan = segment_add(world, "lan", "10.0.0.0/8");
    struct gateway_config config = nat_gateway(lan, wan, "198.51.100.1");
    config.nat.filtering = NAT_ENDPOINT_INDEPENDENT; // so that only the firewall refuses
    config.has_firewall = true;
    assert_true(firewall_preset(&config.firewall, bytes_text("home")));
    config.firewall.rules[0] =
        (struct firewall_rule){.action = FIREWALL_DENY, .port_min = 53, .port_max = 53};
    config.firewall.rules_count = 1;
    struct gateway *gateway = world_add_gateway(world, "home", &config);
    struct host *alice = host_add(world, lan, "alice", "10.0.0.2:5000");
    struct host *server = host_add(world, wan, "server", "198.51.100.50:1");
    struct addr other = at("198.51.100.50:2"), second = at("10.0.0.2:5001");
    assert_true(host_bind(server, &other));
    assert_true(host_bind(alice, &second));

    send_text(alice, "10.0.0.2:5000", "198.51.100.50:53", "denied");
    send_text(alice, "10.0.0.2:5000", "198.51.100.50:1", "out");
    receives(world, server, "198.51.100.1:5000", "198.51.100.50:1", "out");
    send_text(server, "198.51.100.50:2", "198.51.100.1:5000", "unasked");
    send_text(alice, "10.0.0.2:5001", "198.51.100.50:2", "opens the NAT");
    receives(world, server, "198.51.100.1:5001", "198.51.100.50:2", "opens the NAT");
    send_text(server, "198.51.100.50:1", "198.51.100.1:5001", "not that flow");
    send_text(server, "198.51.100.50:1", "198.51.100.1:5000", "answer");
    receives(world, alice, "198.51.100.50:1", "10.0.0.2:5000", "answer");
    receives_nothing(world);
    assert_int_equal(gateway_counters(gateway).drops[NET_FIREWALL], 3);
    // What the firewall refused on the way out was never outside.
    assert_int_equal(captured_count(world, "home.outside"), 5);
    world_free(world);
}

static void test_world_rebind_moves_the_gateway(void **state)
{
    (void)state;
    struct world *world = world_of(1, NULL);
    struct segment *wan = segment_add(world, "wan", "198.51.100.0/24");
    struct segment *lan = segment_add(world, "lan", "10.0.0.0/8");
    struct gateway_config config = nat_gateway(lan, wan, "198.51.100.1");
    struct gateway *gateway = world_add_gateway(world, "home", &config);
    struct host *alice = host_add(world, lan, "alice", "10.0.0.2:5000");
    struct host *server = host_add(world, wan, "server", "198.51.100.50:1");
    send_text(alice, "10.0.0.2:5000", "198.51.100.50:1", "before");
    receives(world, server, "198.51.100.1:5000", "198.51.100.50:1", "before");

    struct ip taken = ip_at("198.51.100.50"), moved = ip_at("198.51.100.2");
    assert_false(gateway_rebind(gateway, &taken));
    assert_true(gateway_rebind(gateway, &moved));
    send_text(server, "198.51.100.50:1", "198.51.100.1:5000", "to the old address");
    send_text(server, "198.51.100.50:1", "198.51.100.2:5000", "to no mapping");
    receives_nothing(world);
    assert_int_equal(host_counters(server).drops[NET_NO_HOST], 1);
    assert_int_equal(gateway_counters(gateway).drops[NET_NAT_NO_MAPPING], 1);
    send_text(alice, "10.0.0.2:5000", "198.51.100.50:1", "after");
    receives(world, server, "198.51.100.2:5000", "198.51.100.50:1", "after");
    assert_true(
        gateway_rebind(gateway, &moved)); // to its own address: mappings are gone all the same
    assert_int_equal(nat_stats(gateway_nat(gateway)).live, 0);
    struct host *newcomer = world_add_host(world, "newcomer");
    struct ip free_again = ip_at("198.51.100.1");
    assert_true(host_attach(newcomer, wan, &free_again, &none, &none));
    world_free(world);
}

static void test_world_segment_is_reconfigured_for_all(void **state)
{
    (void)state;
    struct world *world = world_of(1, NULL);
    struct segment *lan = segment_add(world, "lan", "10.0.0.0/8");
    struct host *alice = host_add(world, lan, "alice", "10.0.0.2:1");
    segment_configure(lan, &slow);
    struct host *bob = host_add(world, lan, "bob", "10.0.0.3:1");
    send_text(alice, "10.0.0.2:1", "10.0.0.3:1", "there");
    receives(world, bob, "10.0.0.2:1", "10.0.0.3:1", "there");
    assert_int_equal(world_now(world), 10 * TIME_MS);
    send_text(bob, "10.0.0.3:1", "10.0.0.2:1", "and back");
    receives(world, alice, "10.0.0.3:1", "10.0.0.2:1", "and back");
    assert_int_equal(world_now(world), 20 * TIME_MS);
    assert_int_equal(segment_transit(lan)->delay, 10 * TIME_MS);
    world_free(world);
}

// ------------------------------------------------------------------------------------------- time

static void wakes(struct world *world, unsigned waker, nanotime time)
{
    struct world_event event;
    assert_true(world_next(world, TIME_NEVER, &event));
    assert_int_equal(event.kind, WORLD_WAKE);
    assert_int_equal(event.waker, waker);
    assert_int_equal(world_now(world), time);
}

static void test_world_wakers_have_one_deadline_each(void **state)
{
    (void)state;
    struct world *world = world_of(1, NULL);
    world_wake_at(world, 0, 300);
    world_wake_at(world, 1, 200);
    world_wake_at(world, 2, 100);
    world_wake_at(world, 3, 50);
    world_wake_at(world, 0, 150);        // sooner
    world_wake_at(world, 2, 200);        // later, and after 1
    world_wake_at(world, 3, TIME_NEVER); // not at all
    wakes(world, 0, 150);
    world_wake_at(world, 0, 10); // in the past: now
    wakes(world, 0, 150);
    wakes(world, 1, 200);
    wakes(world, 2, 200);
    receives_nothing(world);
    assert_int_equal(world_now(world), 200);
    struct world_event event;
    assert_false(world_next(world, 1000, &event));
    assert_int_equal(world_now(world), 1000);
    world_free(world);
}

static void test_world_equal_times_come_in_the_order_they_were_set(void **state)
{
    (void)state;
    struct world *world = world_of(1, NULL);
    struct segment *lan = segment_add(world, "lan", "10.0.0.0/8");
    struct host *alice = host_add(world, lan, "alice", "10.0.0.2:1");
    world_wake_at(world, 0, 0);
    send_text(alice, "10.0.0.2:1", "10.0.0.2:1", "x");
    world_wake_at(world, 1, 0);
    world_wake_at(world, 0, 0); // the same deadline again keeps its turn
    wakes(world, 0, 0);
    receives(world, alice, "10.0.0.2:1", "10.0.0.2:1", "x");
    wakes(world, 1, 0);
    world_free(world);
}

// Random deadlines, moved and taken back, hold against a plain list.
static void test_world_wakers_agree_with_a_plain_list(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    struct world *world = world_new(&(struct world_config){.wakers = COUNT});
    nanotime deadlines[COUNT];
    struct rng rng = rng_seed(1, "deadlines");
    for (unsigned i = 0; i < COUNT; i++)
        deadlines[i] = TIME_NEVER;
    for (int step = 0; step < 20000; step++) {
        unsigned waker = (unsigned)rng_below(&rng, COUNT);
        nanotime at_time = world_now(world) + 1 + (nanotime)rng_below(&rng, 1000);
        deadlines[waker] = rng_below(&rng, 8) ? at_time : TIME_NEVER;
        world_wake_at(world, waker, deadlines[waker]);
        if (step % 3)
            continue;
        nanotime first = TIME_NEVER;
        for (unsigned i = 0; i < COUNT; i++)
            first = time_min(first, deadlines[i]);
        struct world_event event;
        assert_int_equal(world_next(world, TIME_NEVER, &event), first != TIME_NEVER);
        if (first == TIME_NEVER)
            continue;
        assert_int_equal(world_now(world), first);
        assert_int_equal(deadlines[event.waker], first);
        deadlines[event.waker] = TIME_NEVER;
    }
    world_free(world);
}

// ------------------------------------------------------------------------------------------- size

// Two thousand homes, each sending to its neighbour's opened mapping.
static void test_world_two_thousand_homes(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    struct world *world = world_new(&(struct world_config){.seed = 1});
    struct segment *wan = segment_add(world, "wan", "198.18.0.0/15");
    static struct host *hosts[COUNT];
    char name[24];
    struct addr local = at("10.0.0.2:5000"), remote = {.port = 5000};
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "home%u", i);
        struct segment *lan = segment_add(world, name, "10.0.0.0/8");
        struct gateway_config config = nat_gateway(lan, wan, "0.0.0.0");
        config.nat.external[0] = ip_v4_of(0xc6120000 + i);
        config.nat.filtering = NAT_ENDPOINT_INDEPENDENT;
        config.up = slow;
        assert_non_null(world_add_gateway(world, name, &config));
        hosts[i] = host_add(world, lan, name, "10.0.0.2:5000");
    }
    unsigned received = 0;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            remote.ip = ip_v4_of(0xc6120000 + (i + 1) % COUNT);
            assert_int_equal(host_send(hosts[i], &local, &remote, bytes_text("hi")), NET_DELIVERED);
        }
        struct world_event event;
        while (world_next(world, world_now(world) + TIME_S, &event))
            received++;
    }
    assert_int_equal(received, COUNT * 3);
    world_free(world);
}

static void test_world_drops_all_have_names(void **state)
{
    (void)state;
    for (int i = 0; i < NET_DROPS; i++)
        assert_true(strlen(net_drop_name((enum net_drop)i)) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_world_crosses_nat_behind_nat_and_back),
        cmocka_unit_test(test_world_nat_limits_are_drops_with_their_reason),
        cmocka_unit_test(test_world_hairpin_joins_two_hosts_behind_one_nat),
        cmocka_unit_test(test_world_drops_what_nobody_takes),
        cmocka_unit_test(test_world_socket_closed_before_arrival_gets_nothing),
        cmocka_unit_test(test_world_host_reaches_its_own_addresses),
        cmocka_unit_test(test_world_addresses_and_ports_are_taken_once),
        cmocka_unit_test(test_world_free_ports_are_dynamic_and_free),
        cmocka_unit_test(test_world_two_interfaces),
        cmocka_unit_test(test_world_ttl_ends_at_the_64th_gateway),
        cmocka_unit_test(test_world_routes_back_by_the_inside_prefix),
        cmocka_unit_test(test_world_longest_prefix_wins),
        cmocka_unit_test(test_world_dual_stack),
        cmocka_unit_test(test_world_firewall_sees_the_outside_addresses),
        cmocka_unit_test(test_world_rebind_moves_the_gateway),
        cmocka_unit_test(test_world_segment_is_reconfigured_for_all),
        cmocka_unit_test(test_world_wakers_have_one_deadline_each),
        cmocka_unit_test(test_world_equal_times_come_in_the_order_they_were_set),
        cmocka_unit_test(test_world_wakers_agree_with_a_plain_list),
        cmocka_unit_test(test_world_two_thousand_homes),
        cmocka_unit_test(test_world_drops_all_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
