// TCP between hosts of a world: over links that lose, reorder and double, through NATs and
// firewalls.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "simnet/world_test.h"

#include "base/rng.h"

#include <stdlib.h>

#define CLIENT "192.0.2.1:4000"
#define SERVER "192.0.2.2:3478"

struct pair {
    struct world *world;
    struct segment *wan;
    struct host *client, *server;
    uint32_t stream, accepted; // the client's end, the server's
    bool opened, client_closed, server_closed, refused;
    struct text at_client, at_server;
    nanotime closed_at;
};

static struct pair pair_on(const struct link_config *transit, uint64_t seed)
{
    struct pair p = {.world = world_of(seed, NULL)};
    p.wan = segment_add(p.world, "wan", "192.0.2.0/24");
    segment_configure(p.wan, transit);
    p.client = host_add(p.world, p.wan, "client", CLIENT);
    p.server = host_add(p.world, p.wan, "server", SERVER);
    return p;
}

static void pair_free(struct pair *p)
{
    world_free(p->world);
    text_free(&p->at_client);
    text_free(&p->at_server);
}

static void pair_connect(struct pair *p)
{
    struct addr local = at(CLIENT), server = at(SERVER);
    local.port = 0;
    host_listen(p->server, &server);
    p->stream = host_connect(p->client, &local, &server);
    assert_int_not_equal(p->stream, 0);
}

static void take(struct pair *p, const struct world_event *event)
{
    bool at_server = event->host == p->server;
    assert_int_equal(event->kind, WORLD_STREAM);
    switch (event->stream_event) {
    case WORLD_STREAM_OPENED:
        if (at_server)
            p->accepted = event->stream;
        else
            p->opened = true;
        break;
    case WORLD_STREAM_BYTES:
        assert_true(event->packet.len > 0);
        text_add(at_server ? &p->at_server : &p->at_client, event->packet);
        break;
    case WORLD_STREAM_CLOSED:
        *(at_server ? &p->server_closed : &p->client_closed) = true;
        p->closed_at = world_now(p->world);
        break;
    case WORLD_STREAM_REFUSED:
        assert_false(at_server);
        p->refused = true;
        p->closed_at = world_now(p->world);
        break;
    }
}

static void run_for(struct pair *p, nanotime span)
{
    struct world_event event;
    nanotime until = world_now(p->world) + span;
    while (world_next(p->world, until, &event))
        take(p, &event);
}

// Send `len` bytes to the other side as the windows allow.
static struct text send_all(struct pair *p, struct host *host, uint32_t stream, size_t len)
{
    struct text sent = {0};
    struct rng rng = rng_seed(1, "bytes");
    uint8_t chunk[4096];
    while (sent.len < len) {
        size_t size = len - sent.len < sizeof chunk ? len - sent.len : sizeof chunk;
        rng_fill(&rng, chunk, size);
        while (!host_stream_send(host, stream, bytes_of(chunk, size))) {
            run_for(p, 10 * TIME_MS);
            assert_true(world_now(p->world) < 3000 * TIME_S);
        }
        text_add(&sent, bytes_of(chunk, size));
    }
    return sent;
}

static void check_equal(const struct text *sent, const struct text *got)
{
    assert_int_equal(got->len, sent->len);
    assert_true(bytes_equal(text_bytes(sent), text_bytes(got)));
}

// RFC 793: the checksum of each segment, computed the plain way.
static void check_captures(const struct world *world)
{
    for (unsigned c = 0; c < world_captures(world); c++)
        for (unsigned i = 1; i <= world_capture_count(world, c); i++) {
            struct bytes packet = world_capture_packet(world, c, i).bytes;
            assert_int_equal(packet.at[9], 6);
            assert_int_equal(ones_sum(0, bytes_of(packet.at, 20)), 0xffff);
            uint32_t pseudo = 6u + (uint32_t)packet.len - 20;
            uint16_t sum = ones_sum(pseudo, bytes_of(packet.at + 12, 8));
            assert_int_equal(ones_sum(sum, bytes_from(packet, 20)), 0xffff);
        }
}

static void test_stream_opens_carries_and_closes(void **state)
{
    (void)state;
    struct pair p = pair_on(&slow, 1);
    pair_connect(&p);
    assert_false(host_stream_send(p.client, p.stream, bytes_text("too early")));
    run_for(&p, 25 * TIME_MS);
    assert_true(p.opened);
    assert_int_equal(p.accepted, 0); // the third segment is on its way
    run_for(&p, TIME_S);
    assert_int_not_equal(p.accepted, 0);
    struct addr from = host_stream_remote(p.server, p.accepted);
    struct addr ours = host_stream_local(p.client, p.stream);
    assert_true(addr_equal(&from, &ours));
    assert_true(host_stream_send(p.client, p.stream, bytes_text("hello")));
    assert_true(host_stream_send(p.server, p.accepted, bytes_text("welcome")));
    run_for(&p, TIME_S);
    assert_true(bytes_is(text_bytes(&p.at_server), "hello"));
    assert_true(bytes_is(text_bytes(&p.at_client), "welcome"));
    host_stream_close(p.client, p.stream);
    run_for(&p, TIME_S);
    assert_true(p.server_closed);
    assert_false(p.client_closed); // who closes it hears nothing more
    host_stream_close(p.server, p.accepted);
    run_for(&p, 100 * TIME_S);
    assert_int_equal(world_deadline(p.world), TIME_NEVER); // TIME-WAIT is over
    check_captures(p.world);
    struct net_counters counters = world_counters(p.world);
    assert_int_equal(counters.sent, counters.delivered);
    // SYN, SYN-ACK, ACK; data each way and their ACKs; FIN, ACK, FIN, ACK
    assert_in_range(captured_count(p.world, "client"), 9, 12);
    pair_free(&p);
}

// A megabyte each way, byte for byte.
static void check_transfer(struct link_config transit, uint64_t seed)
{
    struct pair p = pair_on(&transit, seed);
    pair_connect(&p);
    while (!p.accepted || !p.opened)
        run_for(&p, 100 * TIME_MS);
    struct text up = send_all(&p, p.client, p.stream, 1024 * 1024);
    struct text down = send_all(&p, p.server, p.accepted, 200 * 1024);
    host_stream_close(p.client, p.stream);
    run_for(&p, 600 * TIME_S);
    check_equal(&up, &p.at_server);
    check_equal(&up, &p.at_server);
    assert_true(p.server_closed);
    assert_true(p.at_client.len <= down.len);
    host_stream_close(p.server, p.accepted);
    run_for(&p, 600 * TIME_S);
    assert_int_equal(world_deadline(p.world), TIME_NEVER);
    check_captures(p.world);
    text_free(&up);
    text_free(&down);
    pair_free(&p);
}

static void test_stream_megabyte_over_loss(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++)
        check_transfer((struct link_config){.delay = 10 * TIME_MS, .loss = RNG_BILLION / 20}, seed);
}

static void test_stream_megabyte_out_of_order(void **state)
{
    (void)state;
    struct link_config reorders = {.delay = 10 * TIME_MS,
                                   .reorder = RNG_BILLION / 10,
                                   .reorder_by = 15 * TIME_MS,
                                   .jitter = 2 * TIME_MS,
                                   .duplicate = RNG_BILLION / 20};
    check_transfer(reorders, 1);
    reorders.loss = RNG_BILLION / 50;
    check_transfer(reorders, 2);
}

static void test_stream_megabyte_through_a_narrow_queue(void **state)
{
    (void)state;
    struct link_config narrow = {.delay = 20 * TIME_MS, .rate_bps = 5000000, .queue_bytes = 15000};
    check_transfer(narrow, 1);
}

static void test_stream_same_seed_same_packets(void **state)
{
    (void)state;
    struct text captured_bytes[2] = {{0}, {0}};
    for (int run = 0; run < 2; run++) {
        struct link_config lossy = {.delay = 10 * TIME_MS, .loss = RNG_BILLION / 20};
        struct pair p = pair_on(&lossy, 7);
        pair_connect(&p);
        run_for(&p, 5 * TIME_S);
        struct text sent = send_all(&p, p.client, p.stream, 100000);
        run_for(&p, 60 * TIME_S);
        for (unsigned i = 1; i <= captured_count(p.world, "client"); i++)
            text_add(&captured_bytes[run], world_capture_packet(p.world, 0, i).bytes);
        text_free(&sent);
        pair_free(&p);
    }
    assert_true(captured_bytes[0].len > 100000);
    check_equal(&captured_bytes[0], &captured_bytes[1]);
    text_free(&captured_bytes[0]);
    text_free(&captured_bytes[1]);
}

static void test_stream_nobody_listens(void **state)
{
    (void)state;
    struct pair p = pair_on(&slow, 1);
    struct addr local = at(CLIENT), server = at(SERVER);
    p.stream = host_connect(p.client, &local, &server);
    run_for(&p, TIME_S);
    assert_true(p.refused);
    assert_int_equal(p.closed_at, 20 * TIME_MS);
    assert_int_equal(world_counters(p.world).drops[NET_NO_SOCKET], 1);
    check_captures(p.world);
    pair_free(&p);
}

static void test_stream_nobody_answers(void **state)
{
    (void)state;
    struct link_config dead = {.loss = RNG_BILLION};
    struct pair p = pair_on(&dead, 1);
    pair_connect(&p);
    run_for(&p, 200 * TIME_S);
    assert_true(p.refused);
    assert_int_equal(p.closed_at, 123 * TIME_S); // 1 + 2 + 4 + 8 + 16 + 32 + 60, the most
    assert_int_equal(captured_count(p.world, "client"), 7);
    pair_free(&p);
}

static void test_stream_breaks_when_the_way_does(void **state)
{
    (void)state;
    struct pair p = pair_on(&slow, 1);
    pair_connect(&p);
    run_for(&p, TIME_S);
    struct link_config dead = {.loss = RNG_BILLION};
    segment_configure(p.wan, &dead);
    assert_true(host_stream_send(p.client, p.stream, bytes_text("lost")));
    run_for(&p, 100 * TIME_S);
    assert_false(p.client_closed); // RFC 9293 3.8.3: at least 100 s
    run_for(&p, 500 * TIME_S);
    assert_true(p.client_closed);
    assert_false(host_stream_send(p.client, p.stream, bytes_text("more")));
    pair_free(&p);
}

static void test_stream_reset(void **state)
{
    (void)state;
    struct pair p = pair_on(&slow, 1);
    pair_connect(&p);
    run_for(&p, TIME_S);
    host_stream_reset(p.server, p.accepted);
    run_for(&p, TIME_S);
    assert_true(p.client_closed);
    assert_int_equal(world_deadline(p.world), TIME_NEVER);
    pair_free(&p);
}

// The other side has said all; we have not.
static void test_stream_half_close(void **state)
{
    (void)state;
    struct pair p = pair_on(&slow, 1);
    pair_connect(&p);
    run_for(&p, TIME_S);
    assert_true(host_stream_send(p.client, p.stream, bytes_text("question")));
    host_stream_close(p.client, p.stream);
    assert_false(host_stream_send(p.client, p.stream, bytes_text("more")));
    run_for(&p, TIME_S);
    assert_true(p.server_closed);
    assert_true(bytes_is(text_bytes(&p.at_server), "question"));
    assert_true(host_stream_send(p.server, p.accepted, bytes_text("answer"))); // nobody hears it
    host_stream_close(p.server, p.accepted);
    run_for(&p, 100 * TIME_S);
    assert_int_equal(world_deadline(p.world), TIME_NEVER);
    pair_free(&p);
}

// Sent faster than it leaves: what waits is bounded.
static void test_stream_full(void **state)
{
    (void)state;
    struct pair p = pair_on(&slow, 1);
    pair_connect(&p);
    run_for(&p, TIME_S);
    static const uint8_t chunk[16384];
    unsigned taken = 0;
    while (host_stream_send(p.client, p.stream, bytes_of(chunk, sizeof chunk)))
        taken++;
    assert_int_equal(taken, 16); // 256 KiB
    run_for(&p, 10 * TIME_S);
    assert_int_equal(p.at_server.len, 16 * sizeof chunk);
    assert_true(host_stream_send(p.client, p.stream, bytes_of(chunk, sizeof chunk)));
    pair_free(&p);
}

// A way that takes no segment of full size: they become smaller.
static void test_stream_small_mtu(void **state)
{
    (void)state;
    struct link_config small = {.delay = 10 * TIME_MS, .mtu = 1000};
    struct pair p = pair_on(&small, 1);
    pair_connect(&p);
    run_for(&p, TIME_S);
    struct text sent = send_all(&p, p.client, p.stream, 20000);
    run_for(&p, 60 * TIME_S);
    check_equal(&sent, &p.at_server);
    text_free(&sent);
    pair_free(&p);
}

static void test_stream_through_a_nat_and_a_firewall(void **state)
{
    (void)state;
    struct nat444 n = nat444_new(NULL);
    struct pair p = {.world = n.world, .client = n.alice, .server = n.server};
    struct addr local = at("192.168.1.2:5000"), server = at("198.51.100.50:3478");
    assert_true(host_listen(n.server, &server));
    assert_false(host_listen(n.server, &server));
    p.stream = host_connect(n.alice, &local, &server);
    assert_int_equal(host_connect(n.alice, &local, &server), 0); // there is this one
    run_for(&p, TIME_S);
    assert_true(p.opened && p.accepted);
    struct addr seen = host_stream_remote(n.server, p.accepted), outside = at("198.51.100.1:1");
    assert_true(ip_equal(&seen.ip, &outside.ip));
    struct text sent = send_all(&p, n.alice, p.stream, 100000);
    run_for(&p, 10 * TIME_S);
    check_equal(&sent, &p.at_server);
    // The gateway forgets: what comes from outside finds nobody, and the connection ends in time.
    gateway_reboot(n.cgn);
    assert_true(host_stream_send(n.server, p.accepted, bytes_text("lost")));
    run_for(&p, 1000 * TIME_S);
    assert_true(p.server_closed);
    check_captures(n.world);
    text_free(&sent);
    pair_free(&p);
}

static void test_stream_blocked_by_a_firewall(void **state)
{
    (void)state;
    struct world *world = world_of(1, NULL);
    struct segment *wan = segment_add(world, "wan", "198.51.100.0/24");
    struct segment *home = segment_add(world, "home", "192.168.1.0/24");
    struct gateway_config config = nat_gateway(home, wan, "198.51.100.1");
    config.has_firewall = true;
    assert_true(firewall_preset(&config.firewall, bytes_text("corporate")));
    assert_non_null(world_add_gateway(world, "home", &config));
    struct pair p = {.world = world};
    p.client = host_add(world, home, "client", "192.168.1.2:5000");
    p.server = host_add(world, wan, "server", "198.51.100.2:443");
    struct addr local = at("192.168.1.2:6000"), allowed = at("198.51.100.2:443"),
                blocked = at("198.51.100.2:3478");
    assert_true(host_listen(p.server, &allowed) && host_listen(p.server, &blocked));
    local.port = 0;
    p.stream = host_connect(p.client, &local, &allowed);
    run_for(&p, TIME_S);
    assert_true(p.opened);
    host_connect(p.client, &local, &blocked);
    run_for(&p, 200 * TIME_S);
    assert_true(p.refused);
    assert_true(world_counters(world).drops[NET_FIREWALL] == 7);
    pair_free(&p);
}

// Between two sockets of one host, and without any delay: no step is within another.
static void test_stream_to_itself(void **state)
{
    (void)state;
    struct pair p = pair_on(&none, 1);
    struct addr local = at(SERVER), server = at(SERVER);
    local.port = 0;
    assert_true(host_listen(p.server, &server));
    uint32_t stream = host_connect(p.server, &local, &server);
    struct world_event event;
    uint32_t accepted = 0;
    size_t got = 0;
    while (world_next(p.world, TIME_S, &event)) {
        if (event.stream_event == WORLD_STREAM_OPENED && event.stream != stream)
            accepted = event.stream;
        if (event.stream_event == WORLD_STREAM_OPENED && event.stream == stream)
            assert_true(host_stream_send(p.server, stream, bytes_text("to myself")));
        if (event.stream_event == WORLD_STREAM_BYTES)
            got += event.packet.len;
    }
    assert_int_not_equal(accepted, 0);
    assert_int_equal(got, 9);
    pair_free(&p);
}

static void test_stream_many(void **state)
{
    (void)state;
    struct pair p = pair_on(&slow, 1);
    struct addr local = at(CLIENT), server = at(SERVER);
    local.port = 0;
    assert_true(host_listen(p.server, &server));
    struct world_event event;
    unsigned open = 0;
    for (int i = 0; i < 2000; i++)
        assert_int_not_equal(host_connect(p.client, &local, &server), 0);
    while (world_next(p.world, 10 * TIME_S, &event))
        open += event.stream_event == WORLD_STREAM_OPENED;
    assert_int_equal(open, 4000);
    pair_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_opens_carries_and_closes),
        cmocka_unit_test(test_stream_megabyte_over_loss),
        cmocka_unit_test(test_stream_megabyte_out_of_order),
        cmocka_unit_test(test_stream_megabyte_through_a_narrow_queue),
        cmocka_unit_test(test_stream_same_seed_same_packets),
        cmocka_unit_test(test_stream_nobody_listens),
        cmocka_unit_test(test_stream_nobody_answers),
        cmocka_unit_test(test_stream_breaks_when_the_way_does),
        cmocka_unit_test(test_stream_reset),
        cmocka_unit_test(test_stream_half_close),
        cmocka_unit_test(test_stream_full),
        cmocka_unit_test(test_stream_small_mtu),
        cmocka_unit_test(test_stream_through_a_nat_and_a_firewall),
        cmocka_unit_test(test_stream_blocked_by_a_firewall),
        cmocka_unit_test(test_stream_to_itself),
        cmocka_unit_test(test_stream_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
