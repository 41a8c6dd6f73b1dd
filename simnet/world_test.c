#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/world.h"

#include <stdio.h>

static const struct link_config none = {0};
static const struct link_config slow = {.delay = 10 * TIME_MS};

static struct addr at(const char *text)
{
    struct addr addr;
    assert_true(addr_parse(bytes_text(text), &addr));
    return addr;
}

static struct ip ip_at(const char *text)
{
    struct ip ip;
    assert_true(ip_parse(bytes_text(text), &ip));
    return ip;
}

static struct world *world_of(uint64_t seed, struct trace_log *log)
{
    return world_new(
        &(struct world_config){.seed = seed, .log = log, .capture = true, .wakers = 4});
}

static struct segment *segment_add(struct world *world, const char *name, const char *prefix)
{
    struct segment_config config = {0};
    assert_true(ip_prefix_parse(bytes_text(prefix), &config.prefix[0]));
    return world_add_segment(world, name, &config);
}

static struct host *host_add(struct world *world, struct segment *segment, const char *name,
                             const char *addr)
{
    struct host *host = world_add_host(world, name);
    struct addr bound = at(addr);
    assert_true(host_attach(host, segment, &bound.ip, &none, &none));
    assert_true(host_bind(host, &bound));
    return host;
}

static struct gateway_config nat_gateway(struct segment *inside, struct segment *outside,
                                         const char *external)
{
    struct gateway_config config = {
        .inside = inside, .outside = outside, .has_nat = true, .nat = nat_config_default()};
    config.nat.external[0] = ip_at(external);
    config.nat.external_count = 1;
    return config;
}

static enum net_drop send_text(struct host *host, const char *from, const char *to,
                               const char *text)
{
    struct addr a = at(from), b = at(to);
    return host_send(host, &a, &b, bytes_text(text));
}

// The next datagram is this one, and comes to `host`.
static void receives(struct world *world, const struct host *host, const char *from, const char *to,
                     const char *text)
{
    struct world_event event;
    char printed[ADDR_TEXT_MAX];
    assert_true(world_next(world, world_now(world) + TIME_S, &event));
    assert_int_equal(event.kind, WORLD_DATAGRAM);
    assert_string_equal(host_name(event.host), host_name(host));
    assert_string_equal(addr_print(&event.datagram.from, printed), from);
    assert_string_equal(addr_print(&event.datagram.to, printed), to);
    assert_true(bytes_is(event.datagram.bytes, text));
}

static void receives_nothing(struct world *world)
{
    struct world_event event;
    assert_false(world_next(world, TIME_NEVER, &event));
}

// --------------------------------------------------------------------------------- what packets
// say

// RFC 1071, the plain way: this does not trust how simnet sums.
static uint16_t ones_sum(uint32_t sum, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        sum += i % 2 ? bytes.at[i] : (uint32_t)bytes.at[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

struct seen {
    struct addr from, to;
    uint8_t ttl;
    bool header_right, udp_right;
};

static struct seen look(struct bytes packet)
{
    struct seen seen = {0};
    struct reader r = reader_of(packet);
    size_t header = packet.at[0] >> 4 == 4 ? 20 : 40, ip = header == 20 ? 4 : 16;
    if (header == 20) {
        read_skip(&r, 2);
        assert_int_equal(read_u16(&r), packet.len);
        assert_int_equal(read_u16(&r), 0);
        assert_int_equal(read_u16(&r), 0x4000);
        seen.ttl = read_u8(&r);
        assert_int_equal(read_u8(&r), 17);
        read_skip(&r, 2);
        seen.header_right = ones_sum(0, bytes_of(packet.at, 20)) == 0xffff;
    } else {
        assert_int_equal(read_u32(&r), 0x60000000);
        assert_int_equal(read_u16(&r), packet.len - 40);
        assert_int_equal(read_u8(&r), 17);
        seen.ttl = read_u8(&r);
        seen.header_right = true;
    }
    seen.from.ip.family = seen.to.ip.family = header == 20 ? IP_V4 : IP_V6;
    memcpy(seen.from.ip.at, read_bytes(&r, ip).at, ip);
    memcpy(seen.to.ip.at, read_bytes(&r, ip).at, ip);
    seen.from.port = read_u16(&r);
    seen.to.port = read_u16(&r);
    uint16_t len = read_u16(&r);
    assert_false(r.failed);
    assert_int_equal(len, packet.len - header);
    uint32_t pseudo = 17u + len;
    uint16_t addresses = ones_sum(pseudo, bytes_of(packet.at + header - 2 * ip, 2 * ip));
    seen.udp_right = ones_sum(addresses, bytes_from(packet, header)) == 0xffff;
    return seen;
}

// Packet `number` of the capture goes from one to the other, with right checksums.
static struct seen captured(const struct world *world, const char *capture, unsigned number,
                            const char *from, const char *to)
{
    char printed[ADDR_TEXT_MAX];
    int index = world_capture_find(world, capture);
    assert_true(index >= 0);
    struct seen seen = look(world_capture_packet(world, (unsigned)index, number).bytes);
    assert_string_equal(addr_print(&seen.from, printed), from);
    assert_string_equal(addr_print(&seen.to, printed), to);
    assert_true(seen.header_right);
    assert_true(seen.udp_right);
    return seen;
}

static unsigned captured_count(const struct world *world, const char *capture)
{
    return world_capture_count(world, (unsigned)world_capture_find(world, capture));
}

// ------------------------------------------------------------------------------------- NAT behind
// NAT

struct nat444 {
    struct world *world;
    struct segment *wan, *carrier, *home;
    struct gateway *cgn, *gateway;
    struct host *alice, *server;
};

static struct nat444 nat444_new(struct trace_log *log)
{
    struct nat444 n = {.world = world_of(1, log)};
    n.wan = segment_add(n.world, "wan", "198.51.100.0/24");
    n.carrier = segment_add(n.world, "carrier", "100.64.0.0/10");
    n.home = segment_add(n.world, "home", "192.168.1.0/24");
    struct gateway_config config = nat_gateway(n.carrier, n.wan, "198.51.100.1");
    config.nat.ports = NAT_PORTS_SEQUENTIAL;
    config.nat.port_min = 40000;
    config.up = config.down = slow;
    n.cgn = world_add_gateway(n.world, "cgn", &config);
    assert_non_null(n.cgn);
    config = nat_gateway(n.home, n.carrier, "100.64.0.2");
    n.gateway = world_add_gateway(n.world, "home", &config);
    assert_non_null(n.gateway);
    n.alice = host_add(n.world, n.home, "alice", "192.168.1.2:5000");
    n.server = host_add(n.world, n.wan, "server", "198.51.100.50:3478");
    return n;
}

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

static void test_world_captures_show_each_place_as_it_is_there(void **state)
{
    (void)state;
    struct nat444 n = nat444_new(NULL);
    const char *s = "198.51.100.50:3478", *a = "192.168.1.2:5000";
    send_text(n.alice, a, s, "odd length");
    receives(n.world, n.server, "198.51.100.1:40000", s, "odd length");
    send_text(n.server, s, "198.51.100.1:40000", "x");
    receives(n.world, n.alice, s, a, "x");

    assert_int_equal(captured(n.world, "alice", 1, a, s).ttl, 64);
    assert_int_equal(captured(n.world, "home.inside", 1, a, s).ttl, 64);
    assert_int_equal(captured(n.world, "home.outside", 1, "100.64.0.2:5000", s).ttl, 63);
    assert_int_equal(captured(n.world, "cgn.inside", 1, "100.64.0.2:5000", s).ttl, 63);
    assert_int_equal(captured(n.world, "cgn.outside", 1, "198.51.100.1:40000", s).ttl, 62);
    assert_int_equal(captured(n.world, "server", 1, "198.51.100.1:40000", s).ttl, 62);
    assert_int_equal(captured(n.world, "server", 2, s, "198.51.100.1:40000").ttl, 64);
    captured(n.world, "cgn.outside", 2, s, "198.51.100.1:40000");
    captured(n.world, "cgn.inside", 2, s, "100.64.0.2:5000");
    captured(n.world, "home.outside", 2, s, "100.64.0.2:5000");
    captured(n.world, "home.inside", 2, s, a);
    assert_int_equal(captured(n.world, "alice", 2, s, a).ttl, 62);
    assert_int_equal(world_captures(n.world), 6);
    assert_int_equal(world_capture_find(n.world, "nowhere"), -1);
    assert_string_equal(world_capture_name(n.world, 0), "cgn.inside");
    assert_int_equal(world_capture_packet(n.world, 0, 1).time, 0);
    assert_int_equal(world_capture_packet(n.world, 0, 2).time, 20 * TIME_MS);
    world_free(n.world);
}

static void test_world_dropped_inbound_packet_is_seen_outside_alone(void **state)
{
    (void)state;
    struct trace_log log = {.live_fd = -1};
    struct nat444 n = nat444_new(&log);
    send_text(n.alice, "192.168.1.2:5000", "198.51.100.50:3478", "ping");
    receives(n.world, n.server, "198.51.100.1:40000", "198.51.100.50:3478", "ping");
    struct addr other = at("198.51.100.50:9");
    assert_true(host_bind(n.server, &other));
    send_text(n.server, "198.51.100.50:9", "198.51.100.1:40000", "let me in");
    send_text(n.server, "198.51.100.50:9", "198.51.100.1:40001", "or here");
    receives_nothing(n.world);

    assert_int_equal(captured_count(n.world, "cgn.outside"), 3);
    assert_int_equal(captured_count(n.world, "cgn.inside"), 1);
    assert_int_equal(gateway_counters(n.cgn).drops[NET_NAT_FILTERED], 1);
    assert_int_equal(gateway_counters(n.cgn).drops[NET_NAT_NO_MAPPING], 1);
    assert_int_equal(world_counters(n.world).drops[NET_NAT_FILTERED], 1);
    text_add(&log.text, (struct bytes){0});
    assert_non_null(strstr(log.text.at,
                           "   0.020000 cgn              drop nat-filtered 198.51.100.50:9 > "
                           "198.51.100.1:40000 9 bytes, packet 2 of cgn.outside\n"));
    assert_non_null(strstr(log.text.at, "drop nat-no-mapping 198.51.100.50:9 > "
                                        "198.51.100.1:40001 7 bytes, packet 3 of cgn.outside\n"));
    text_free(&log.text);
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
    struct addr other = at("198.51.100.50:2");
    assert_true(host_bind(server, &other));

    send_text(alice, "10.0.0.2:5000", "198.51.100.50:53", "denied");
    send_text(alice, "10.0.0.2:5000", "198.51.100.50:1", "out");
    receives(world, server, "198.51.100.1:5000", "198.51.100.50:1", "out");
    send_text(server, "198.51.100.50:2", "198.51.100.1:5000", "unasked");
    send_text(server, "198.51.100.50:1", "198.51.100.1:5000", "answer");
    receives(world, alice, "198.51.100.50:1", "10.0.0.2:5000", "answer");
    receives_nothing(world);
    assert_int_equal(gateway_counters(gateway).drops[NET_FIREWALL], 2);
    assert_int_equal(captured_count(world, "home.outside"),
                     3); // not what it refused on the way out
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

static void test_world_corrupted_packet_stays_wrong_through_the_nats(void **state)
{
    (void)state;
    struct nat444 n = nat444_new(NULL);
    link_configure(host_link(n.alice, 0, true), &(struct link_config){.corrupt = RNG_BILLION});
    for (int i = 0; i < 100; i++)
        send_text(n.alice, "192.168.1.2:5000", "198.51.100.50:3478", "precious");
    receives_nothing(n.world);
    assert_int_equal(host_counters(n.server).drops[NET_BAD_PACKET], 100);
    unsigned capture = (unsigned)world_capture_find(n.world, "server");
    struct seen seen = look(world_capture_packet(n.world, capture, 100).bytes);
    assert_true(seen.header_right);
    assert_false(seen.udp_right);
    world_free(n.world);
}

// Many sizes and contents, so that every carry of the incremental update is met.
static void test_world_checksums_stay_right_through_the_nats(void **state)
{
    (void)state;
    struct nat444 n = nat444_new(NULL);
    struct rng rng = rng_seed(5, "payloads");
    struct addr from = at("192.168.1.2:5000"), to = at("198.51.100.50:3478");
    uint8_t payload[64];
    for (int i = 0; i < 3000; i++) {
        size_t len = (size_t)rng_below(&rng, sizeof payload);
        rng_fill(&rng, payload, len);
        host_send(n.alice, &from, &to, bytes_of(payload, len));
        struct world_event event;
        assert_true(world_next(n.world, TIME_NEVER, &event));
        assert_true(bytes_equal(event.datagram.bytes, bytes_of(payload, len)));
    }
    for (unsigned i = 1; i <= 3000; i++)
        captured(n.world, "server", i, "198.51.100.1:40000", "198.51.100.50:3478");
    world_free(n.world);
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

// ------------------------------------------------------------------------------------ determinism

// Alice and bob exchange datagrams over bad links for a while; a third host may be there, too.
static struct world *run(uint64_t seed, bool with_carol)
{
    struct link_config bad = {.delay = 20 * TIME_MS,
                              .jitter = 10 * TIME_MS,
                              .jitter_reorders = true,
                              .loss = 100000000,
                              .loss_burst = 3,
                              .duplicate = 50000000,
                              .reorder = 50000000,
                              .reorder_by = 7 * TIME_MS,
                              .corrupt = 20000000};
    struct world *world = world_of(seed, NULL);
    struct segment *wan = segment_add(world, "wan", "198.51.100.0/24");
    struct segment *lan = segment_add(world, "lan", "10.0.0.0/8");
    struct gateway_config config = nat_gateway(lan, wan, "198.51.100.1");
    config.nat.ports = NAT_PORTS_RANDOM;
    config.up = config.down = bad;
    world_add_gateway(world, "home", &config);
    struct host *carol = with_carol ? host_add(world, wan, "carol", "198.51.100.60:1") : NULL;
    struct host *alice = host_add(world, lan, "alice", "10.0.0.2:1");
    host_add(world, wan, "bob", "198.51.100.50:1");
    if (carol)
        link_configure(host_link(carol, 0, true), &bad);
    struct addr bobs = at("198.51.100.50:1");
    for (int i = 0; i < 300; i++) {
        send_text(alice, "10.0.0.2:1", "198.51.100.50:1", "ping");
        if (carol)
            send_text(carol, "198.51.100.60:1", "198.51.100.61:1", "noise");
        struct world_event event;
        while (world_next(world, (i + 1) * TIME_MS, &event))
            if (strcmp(host_name(event.host), "bob") == 0)
                host_send(event.host, &bobs, &event.datagram.from, bytes_text("pong"));
    }
    struct world_event event;
    while (world_next(world, TIME_NEVER, &event))
        ;
    return world;
}

static bool same_capture(const struct world *a, const struct world *b, const char *name)
{
    unsigned in_a = (unsigned)world_capture_find(a, name);
    unsigned in_b = (unsigned)world_capture_find(b, name);
    if (world_capture_count(a, in_a) != world_capture_count(b, in_b))
        return false;
    for (unsigned i = 1; i <= world_capture_count(a, in_a); i++) {
        struct capture_packet x = world_capture_packet(a, in_a, i);
        struct capture_packet y = world_capture_packet(b, in_b, i);
        if (x.time != y.time || !bytes_equal(x.bytes, y.bytes))
            return false;
    }
    return true;
}

static void test_world_same_seed_same_captures(void **state)
{
    (void)state;
    struct world *first = run(1, false), *again = run(1, false), *other = run(2, false);
    assert_true(captured_count(first, "alice") > 400);
    for (unsigned i = 0; i < world_captures(first); i++)
        assert_true(same_capture(first, again, world_capture_name(first, i)));
    assert_false(same_capture(first, other, "alice"));
    world_free(first);
    world_free(again);
    world_free(other);
}

static void test_world_another_host_moves_no_stream(void **state)
{
    (void)state;
    struct world *alone = run(1, false), *with = run(1, true);
    assert_true(captured_count(with, "carol") == 300);
    for (unsigned i = 0; i < world_captures(alone); i++)
        assert_true(same_capture(alone, with, world_capture_name(alone, i)));
    world_free(alone);
    world_free(with);
}

// ------------------------------------------------------------------------------------------ files

static void test_world_capture_is_a_pcap_file(void **state)
{
    (void)state;
    struct nat444 n = nat444_new(NULL);
    send_text(n.alice, "192.168.1.2:5000", "198.51.100.50:3478", "ping");
    receives(n.world, n.server, "198.51.100.1:40000", "198.51.100.50:3478", "ping");
    unsigned capture = (unsigned)world_capture_find(n.world, "server");
    FILE *file = tmpfile();
    assert_non_null(file);
    struct err err = {0};
    assert_true(world_capture_write(n.world, capture, fileno(file), &err));
    uint32_t words[10];
    rewind(file);
    assert_int_equal(fread(words, sizeof words, 1, file), 1);
    assert_int_equal(words[0], 0xa1b23c4d); // nanoseconds
    assert_int_equal(words[5], 101);        // LINKTYPE_RAW
    assert_int_equal(words[6], TIME_EPOCH_S);
    assert_int_equal(words[7], 10 * TIME_MS);
    assert_int_equal(words[8], 32);
    assert_int_equal(words[9], 32);
    uint8_t packet[33];
    assert_int_equal(fread(packet, 1, sizeof packet, file), 32);
    struct bytes bytes = world_capture_packet(n.world, capture, 1).bytes;
    assert_true(bytes_equal(bytes_of(packet, 32), bytes));
    fclose(file);

    assert_false(world_capture_write(n.world, capture, -1, &err));
    assert_true(err_is_set(&err));
    err = (struct err){0};
    file = fopen("/dev/full", "w");
    if (file) {
        assert_false(world_capture_write(n.world, capture, fileno(file), &err));
        assert_string_equal(err.text, "capture server: write: No space left on device");
        fclose(file);
    }
    world_free(n.world);
}

static void test_world_without_captures_has_none(void **state)
{
    (void)state;
    struct world *world = world_new(&(struct world_config){.seed = 1});
    struct segment *lan = segment_add(world, "lan", "10.0.0.0/8");
    struct host *alice = host_add(world, lan, "alice", "10.0.0.2:1");
    send_text(alice, "10.0.0.2:1", "10.0.0.2:1", "x");
    receives(world, alice, "10.0.0.2:1", "10.0.0.2:1", "x");
    assert_int_equal(world_captures(world), 0);
    assert_int_equal(world_capture_find(world, "alice"), -1);
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
        cmocka_unit_test(test_world_captures_show_each_place_as_it_is_there),
        cmocka_unit_test(test_world_dropped_inbound_packet_is_seen_outside_alone),
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
        cmocka_unit_test(test_world_corrupted_packet_stays_wrong_through_the_nats),
        cmocka_unit_test(test_world_checksums_stay_right_through_the_nats),
        cmocka_unit_test(test_world_segment_is_reconfigured_for_all),
        cmocka_unit_test(test_world_wakers_have_one_deadline_each),
        cmocka_unit_test(test_world_equal_times_come_in_the_order_they_were_set),
        cmocka_unit_test(test_world_wakers_agree_with_a_plain_list),
        cmocka_unit_test(test_world_same_seed_same_captures),
        cmocka_unit_test(test_world_another_host_moves_no_stream),
        cmocka_unit_test(test_world_capture_is_a_pcap_file),
        cmocka_unit_test(test_world_without_captures_has_none),
        cmocka_unit_test(test_world_two_thousand_homes),
        cmocka_unit_test(test_world_drops_all_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
