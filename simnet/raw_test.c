// Raw hosts: packets that come from outside of the simulation, and go there.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "simnet/world_test.h"

#include <stdio.h>

#define UDP 17
#define TCP 6

// ------------------------------------------------------------------------ packets of another hand

static uint32_t sum_of(uint32_t sum, const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sum += i % 2 ? at[i] : (uint32_t)at[i] << 8;
    return sum;
}

static uint16_t folded(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static uint16_t transport_sum(const uint8_t *packet, size_t len)
{
    uint8_t pseudo[4] = {0, packet[9], (uint8_t)((len - 20) >> 8), (uint8_t)(len - 20)};
    uint32_t sum = sum_of(0, packet + 12, 8);
    return folded(sum_of(sum_of(sum, pseudo, 4), packet + 20, len - 20));
}

struct made {
    uint8_t at[2048];
    size_t len;
};

static struct made make(uint8_t protocol, const char *from_text, const char *to_text,
                        size_t payload)
{
    struct addr from = at(from_text), to = at(to_text);
    size_t header = protocol == TCP ? 20 : 8;
    struct made made = {.len = 20 + header + payload};
    uint8_t *p = made.at;
    p[0] = 0x45;
    put_u16(p + 2, (uint16_t)made.len);
    p[8] = 64;
    p[9] = protocol;
    memcpy(p + 12, from.ip.at, 4);
    memcpy(p + 16, to.ip.at, 4);
    put_u16(p + 10, folded(sum_of(0, p, 20)));
    put_u16(p + 20, from.port);
    put_u16(p + 22, to.port);
    if (protocol == TCP)
        p[32] = 0x50;
    else
        put_u16(p + 24, (uint16_t)(8 + payload));
    for (size_t i = 0; i < payload; i++)
        p[20 + header + i] = (uint8_t)i;
    put_u16(p + (protocol == TCP ? 36 : 26), transport_sum(p, made.len));
    return made;
}

// Alice, raw, behind a NAT; Bob, raw, and Carol, simulated, on the wide area network.
struct scene {
    struct world *world;
    struct host *alice, *bob, *carol;
};

static struct scene scene_new(void)
{
    struct scene s = {.world = world_of(1, NULL)};
    struct segment *wan = segment_add(s.world, "wan", "0.0.0.0/0");
    struct segment *home = segment_add(s.world, "home", "192.168.1.0/24");
    struct gateway_config gateway = nat_gateway(home, wan, "198.51.100.1");
    assert_non_null(world_add_gateway(s.world, "home", &gateway));
    s.alice = host_add(s.world, home, "alice", "192.168.1.2:1");
    s.bob = host_add(s.world, wan, "bob", "198.51.100.2:1");
    s.carol = host_add(s.world, wan, "carol", "198.51.100.3:4000");
    host_set_raw(s.alice);
    host_set_raw(s.bob);
    return s;
}

static enum net_drop inject(struct host *host, const struct made *made)
{
    return host_inject(host, bytes_of(made->at, made->len));
}

// The next thing that happens is a whole packet for `host`: to `from` it is said to come from.
static void expect_packet(struct scene *s, struct host *host, const char *from, const char *to)
{
    struct world_event event;
    char text[ADDR_TEXT_MAX];
    assert_true(world_next(s->world, TIME_S, &event));
    assert_int_equal(event.kind, WORLD_PACKET);
    assert_ptr_equal(event.host, host);
    assert_string_equal(addr_print(&event.datagram.from, text), from);
    assert_string_equal(addr_print(&event.datagram.to, text), to);
    assert_int_equal(folded(sum_of(0, event.packet.at, 20)), 0);
    assert_int_equal(transport_sum(event.packet.at, event.packet.len), 0);
}

static void expect_nothing(struct scene *s)
{
    struct world_event event;
    assert_false(world_next(s->world, world_now(s->world) + TIME_S, &event));
}

// ------------------------------------------------------------------------------------------- tests

static void test_raw_udp_through_a_nat_and_back(void **state)
{
    (void)state;
    struct scene s = scene_new();
    struct made out = make(UDP, "192.168.1.2:5000", "198.51.100.2:6000", 101);
    assert_int_equal(inject(s.alice, &out), NET_DELIVERED);
    expect_packet(&s, s.bob, "198.51.100.1:5000", "198.51.100.2:6000");
    struct made back = make(UDP, "198.51.100.2:6000", "198.51.100.1:5000", 7);
    assert_int_equal(inject(s.bob, &back), NET_DELIVERED);
    expect_packet(&s, s.alice, "198.51.100.2:6000", "192.168.1.2:5000");
    assert_int_equal(world_counters(s.world).delivered, 2);
    world_free(s.world);
}

// RFC 5382: TCP has mappings of its own, also for the port that UDP has.
static void test_raw_tcp_has_its_own_mappings(void **state)
{
    (void)state;
    struct scene s = scene_new();
    struct made syn = make(TCP, "192.168.1.2:5000", "198.51.100.2:443", 0);
    struct made datagram = make(UDP, "192.168.1.2:5000", "198.51.100.2:443", 3);
    assert_int_equal(inject(s.alice, &syn), NET_DELIVERED);
    expect_packet(&s, s.bob, "198.51.100.1:5000", "198.51.100.2:443");
    struct made stray = make(UDP, "198.51.100.2:443", "198.51.100.1:5000", 3);
    assert_int_equal(inject(s.bob, &stray), NET_DELIVERED);
    expect_nothing(&s); // UDP has no mapping yet
    assert_int_equal(inject(s.alice, &datagram), NET_DELIVERED);
    expect_packet(&s, s.bob, "198.51.100.1:5000", "198.51.100.2:443");
    struct made answer = make(TCP, "198.51.100.2:443", "198.51.100.1:5000", 12);
    assert_int_equal(inject(s.bob, &answer), NET_DELIVERED);
    expect_packet(&s, s.alice, "198.51.100.2:443", "192.168.1.2:5000");
    world_free(s.world);
}

static void test_raw_and_simulated_hosts_meet(void **state)
{
    (void)state;
    struct scene s = scene_new();
    struct world_event event;
    struct made out = make(UDP, "198.51.100.2:9", "198.51.100.3:4000", 5);
    assert_int_equal(inject(s.bob, &out), NET_DELIVERED);
    assert_true(world_next(s.world, TIME_S, &event));
    assert_int_equal(event.kind, WORLD_DATAGRAM);
    assert_int_equal(event.datagram.bytes.len, 5);
    struct addr from = at("198.51.100.3:4000"), to = at("198.51.100.2:9");
    assert_int_equal(host_send(s.carol, &from, &to, bytes_text("hello")), NET_DELIVERED);
    expect_packet(&s, s.bob, "198.51.100.3:4000", "198.51.100.2:9");
    world_free(s.world);
}

// What no simulated network carries is neither sent nor dropped.
static void test_raw_forgets_what_is_not_for_the_network(void **state)
{
    (void)state;
    struct scene s = scene_new();
    struct made spoofed = make(UDP, "192.168.1.9:5000", "198.51.100.2:6000", 4);
    struct made multicast = make(UDP, "192.168.1.2:5353", "224.0.0.251:5353", 4);
    struct made ping = make(UDP, "192.168.1.2:5000", "198.51.100.2:6000", 4);
    ping.at[9] = 1;
    struct made options = ping;
    options.at[9] = UDP;
    options.at[0] = 0x46;
    struct ip as;
    assert_int_equal(inject(s.alice, &multicast), NET_DELIVERED);
    assert_false(host_has_posed(s.alice, &as));
    assert_int_equal(inject(s.alice, &spoofed), NET_DELIVERED);
    spoofed = make(UDP, "192.168.1.8:5000", "198.51.100.2:6000", 4);
    assert_int_equal(inject(s.alice, &spoofed), NET_DELIVERED);
    struct addr first = at("192.168.1.9:0");
    assert_true(host_has_posed(s.alice, &as) && ip_equal(&as, &first.ip)); // the first one
    assert_false(host_has_posed(s.bob, &as));
    assert_int_equal(inject(s.alice, &ping), NET_DELIVERED);
    assert_int_equal(inject(s.alice, &options), NET_DELIVERED);
    expect_nothing(&s);
    assert_int_equal(world_counters(s.world).sent, 0);
    world_free(s.world);
}

static void test_raw_drops_what_cannot_be_sent(void **state)
{
    (void)state;
    struct scene s = scene_new();
    struct made fragment = make(UDP, "192.168.1.2:5000", "198.51.100.2:6000", 4);
    fragment.at[6] = 0x20;
    struct made large = make(UDP, "192.168.1.2:5000", "198.51.100.2:6000", 1600);
    struct made damaged = make(UDP, "192.168.1.2:5000", "198.51.100.2:6000", 4);
    damaged.at[28] ^= 1;
    assert_int_equal(inject(s.alice, &fragment), NET_TOO_BIG);
    assert_int_equal(inject(s.alice, &large), NET_TOO_BIG);
    assert_int_equal(inject(s.alice, &damaged), NET_DELIVERED);
    expect_nothing(&s); // its checksum is looked at where it arrives
    assert_int_equal(world_counters(s.world).drops[NET_BAD_PACKET], 1);
    assert_int_equal(world_counters(s.world).drops[NET_TOO_BIG], 2);
    assert_int_equal(world_counters(s.world).sent, 3);
    world_free(s.world);
}

static void check_hostile(struct host *host, const struct made *whole)
{
    for (size_t len = 0; len < whole->len; len++) {
        struct made cut = *whole;
        cut.len = len;
        inject(host, &cut); // the length in the header is wrong now
        put_u16(cut.at + 2, (uint16_t)len);
        inject(host, &cut); // and now what is behind it is too short
    }
    for (size_t i = 0; i < whole->len * 8; i++) {
        struct made flipped = *whole;
        flipped.at[i / 8] ^= (uint8_t)(1u << i % 8);
        inject(host, &flipped);
    }
}

static void test_raw_survives_every_cut_and_every_bit(void **state)
{
    (void)state;
    struct scene s = scene_new();
    struct world_event event;
    struct made datagram = make(UDP, "192.168.1.2:5000", "198.51.100.2:6000", 9);
    struct made segment = make(TCP, "192.168.1.2:5000", "198.51.100.2:6000", 9);
    check_hostile(s.alice, &datagram);
    check_hostile(s.alice, &segment);
    while (world_next(s.world, TIME_S, &event))
        assert_true(event.packet.len <= segment.len);
    struct net_counters counters = world_counters(s.world);
    uint64_t drops = 0;
    for (int i = 0; i < NET_DROPS; i++)
        drops += counters.drops[i];
    assert_int_equal(counters.sent, counters.delivered + drops);
    world_free(s.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raw_udp_through_a_nat_and_back),
        cmocka_unit_test(test_raw_tcp_has_its_own_mappings),
        cmocka_unit_test(test_raw_and_simulated_hosts_meet),
        cmocka_unit_test(test_raw_forgets_what_is_not_for_the_network),
        cmocka_unit_test(test_raw_drops_what_cannot_be_sent),
        cmocka_unit_test(test_raw_survives_every_cut_and_every_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
