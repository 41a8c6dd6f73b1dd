// What the tests of the world share: small worlds, and a look at packets that trusts nothing in
// simnet. Included after cmocka.
#ifndef SIMNET_WORLD_TEST_H
#define SIMNET_WORLD_TEST_H

#include "simnet/world.h"

static const struct link_config none = {0};
static const struct link_config slow = {.delay = 10 * TIME_MS};

static inline struct addr at(const char *text)
{
    struct addr addr;
    assert_true(addr_parse(bytes_text(text), &addr));
    return addr;
}

static inline struct ip ip_at(const char *text)
{
    struct ip ip;
    assert_true(ip_parse(bytes_text(text), &ip));
    return ip;
}

static inline struct world *world_of(uint64_t seed, struct trace_log *log)
{
    return world_new(
        &(struct world_config){.seed = seed, .log = log, .capture = true, .wakers = 4});
}

static inline struct segment *segment_add(struct world *world, const char *name, const char *prefix)
{
    struct segment_config config = {0};
    assert_true(ip_prefix_parse(bytes_text(prefix), &config.prefix[0]));
    return world_add_segment(world, name, &config);
}

static inline struct host *host_add(struct world *world, struct segment *segment, const char *name,
                                    const char *addr)
{
    struct host *host = world_add_host(world, name);
    struct addr bound = at(addr);
    assert_true(host_attach(host, segment, &bound.ip, &none, &none));
    assert_true(host_bind(host, &bound));
    return host;
}

static inline struct gateway_config nat_gateway(struct segment *inside, struct segment *outside,
                                                const char *external)
{
    struct gateway_config config = {
        .inside = inside, .outside = outside, .has_nat = true, .nat = nat_config_default()};
    config.nat.external[0] = ip_at(external);
    config.nat.external_count = 1;
    return config;
}

static inline enum net_drop send_text(struct host *host, const char *from, const char *to,
                                      const char *text)
{
    struct addr a = at(from), b = at(to);
    return host_send(host, &a, &b, bytes_text(text));
}

// The next datagram is this one, and comes to `host`.
static inline void receives(struct world *world, const struct host *host, const char *from,
                            const char *to, const char *text)
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

static inline void receives_nothing(struct world *world)
{
    struct world_event event;
    assert_false(world_next(world, TIME_NEVER, &event));
}

// --------------------------------------------------------------------------------- what packets
// say

// RFC 1071, the plain way: this does not trust how simnet sums.
static inline uint16_t ones_sum(uint32_t sum, struct bytes bytes)
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

static inline struct seen look(struct bytes packet)
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
static inline struct seen captured(const struct world *world, const char *capture, unsigned number,
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

static inline unsigned captured_count(const struct world *world, const char *capture)
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

static inline struct nat444 nat444_new(struct trace_log *log)
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

#endif
