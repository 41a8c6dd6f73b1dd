#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/world_test.h"

#include <stdio.h>

static void test_wire_captures_show_each_place_as_it_is_there(void **state)
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

static void test_wire_dropped_inbound_packet_is_seen_outside_alone(void **state)
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
    assert_int_equal(world_drops(n.world), 2);
    struct net_drop_record record = world_drop_record(n.world, 1);
    assert_int_equal(record.reason, NET_NAT_NO_MAPPING);
    assert_int_equal(record.at, 20 * TIME_MS);
    assert_string_equal(record.place, "cgn");
    assert_string_equal(world_capture_name(n.world, (unsigned)record.capture), "cgn.outside");
    assert_int_equal(record.packet, 3);
    assert_true(addr_equal(&record.from, &other));
    text_add(&log.text, (struct bytes){0});
    assert_non_null(strstr(log.text.at,
                           "   0.020000 cgn              drop nat-filtered 198.51.100.50:9 > "
                           "198.51.100.1:40000 9 bytes, packet 2 of cgn.outside\n"));
    assert_non_null(strstr(log.text.at, "drop nat-no-mapping 198.51.100.50:9 > "
                                        "198.51.100.1:40001 7 bytes, packet 3 of cgn.outside\n"));
    text_free(&log.text);
    world_free(n.world);
}

static void test_wire_corrupted_packet_stays_wrong_through_the_nats(void **state)
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
static void test_wire_checksums_stay_right_through_the_nats(void **state)
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

static uint16_t udp_checksum(const struct world *world, const char *capture, unsigned number)
{
    unsigned index = (unsigned)world_capture_find(world, capture);
    struct bytes packet = world_capture_packet(world, index, number).bytes;
    struct reader r = reader_of(bytes_from(packet, packet.at[0] >> 4 == 4 ? 26 : 46));
    return read_u16(&r);
}

// RFC 768: a sum that would be zero is sent as all ones. Zeros first; then, as payload, the
// checksum that they had makes it zero: where alice sent it, or where two NATs have rewritten it.
static void test_wire_checksum_is_never_zero(void **state)
{
    (void)state;
    struct addr from = at("192.168.1.2:5000"), to = at("198.51.100.50:3478");
    static const char *const places[] = {"alice", "server"};
    for (size_t i = 0; i < 2; i++) {
        struct nat444 n = nat444_new(NULL);
        uint8_t payload[2] = {0, 0};
        struct world_event event;
        host_send(n.alice, &from, &to, bytes_of(payload, sizeof payload));
        assert_true(world_next(n.world, TIME_NEVER, &event));
        put_u16(payload, udp_checksum(n.world, places[i], 1));
        host_send(n.alice, &from, &to, bytes_of(payload, sizeof payload));
        assert_true(world_next(n.world, TIME_NEVER, &event));
        assert_int_equal(udp_checksum(n.world, places[i], 2), 0xffff);
        assert_int_equal(udp_checksum(n.world, places[!i], 2) == 0, false);
        world_free(n.world);
    }
}

// Empty datagrams whose checksum is 1, on a link that flips a bit of it: some come out with none.
// RFC 8200 8.1: with IPv4 that is allowed, with IPv6 it is not.
static unsigned without_checksum_delivered(const char *sender, const char *receiver)
{
    struct world *world = world_of(1, NULL);
    struct segment *lan = segment_add(world, "lan", "10.0.0.0/8");
    struct host *alice = host_add(world, lan, "alice", sender);
    host_add(world, lan, "bob", receiver);
    send_text(alice, sender, receiver, "");
    struct addr from = at(sender), to = at(receiver);
    from.port = (uint16_t)((from.port + udp_checksum(world, "alice", 1) - 1u) % 65535);
    assert_true(host_bind(alice, &from));
    link_configure(host_link(alice, 0, true), &(struct link_config){.corrupt = RNG_BILLION});
    for (int i = 0; i < 200; i++)
        host_send(alice, &from, &to, (struct bytes){0});
    assert_int_equal(udp_checksum(world, "alice", 2), 1);
    unsigned delivered = 0;
    struct world_event event;
    while (world_next(world, TIME_NEVER, &event))
        delivered++;
    world_free(world);
    return delivered - 1; // the first was whole
}

static void test_wire_ipv6_needs_a_checksum(void **state)
{
    (void)state;
    assert_in_range(without_checksum_delivered("10.0.0.2:5000", "10.0.0.3:1"), 4, 30);
    assert_int_equal(without_checksum_delivered("[2001:db8::2]:5000", "[2001:db8::3]:1"), 0);
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

static void test_wire_same_seed_same_captures(void **state)
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

static void test_wire_another_host_moves_no_stream(void **state)
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

static void test_wire_capture_is_a_pcap_file(void **state)
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

static void test_wire_without_captures_has_none(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wire_captures_show_each_place_as_it_is_there),
        cmocka_unit_test(test_wire_dropped_inbound_packet_is_seen_outside_alone),
        cmocka_unit_test(test_wire_corrupted_packet_stays_wrong_through_the_nats),
        cmocka_unit_test(test_wire_checksums_stay_right_through_the_nats),
        cmocka_unit_test(test_wire_checksum_is_never_zero),
        cmocka_unit_test(test_wire_ipv6_needs_a_checksum),
        cmocka_unit_test(test_wire_same_seed_same_captures),
        cmocka_unit_test(test_wire_another_host_moves_no_stream),
        cmocka_unit_test(test_wire_capture_is_a_pcap_file),
        cmocka_unit_test(test_wire_without_captures_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
