// Gathering from TURN servers by TCP: the connections that it asks for, and what becomes of them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stack/peer/gather.h"
#include "stack/stun/stun.h"

#define SERVERS_MAX 2

struct bench {
    nanotime now;
    struct peer_config config;
    struct rng rng;
    struct gather gather;
    struct turn_server *servers[SERVERS_MAX];
    struct addr listen[SERVERS_MAX];
    struct addr local;
    int connected[SERVERS_MAX * 4]; // by stream: the server; -1: none
    bool refuse, mute;              // what comes of a connection; mute: the server says nothing
    unsigned opens, closes, sends;
    struct ice_candidate relay; // the last
    unsigned relays, srflxs;
    bool done;
};

static struct addr addr_at(const char *text)
{
    struct addr addr;
    assert_true(addr_parse(bytes_text(text), &addr));
    return addr;
}

static void server_add(struct bench *b, unsigned index, bool redirects)
{
    static const struct turn_user user = {"user", "secret"};
    b->listen[index] = addr_at(index ? "192.0.2.2:3478" : "192.0.2.1:3478");
    struct turn_server_config config = {.listen = b->listen[index],
                                        .relay_ip = b->listen[index].ip,
                                        .realm = "example.org",
                                        .users = &user,
                                        .users_count = 1,
                                        .rng = rng_seed(1 + index, "server")};
    if (redirects)
        config.alternate = addr_at("192.0.2.2:3478");
    b->servers[index] = turn_server_new(&config);
}

static void bench_init(struct bench *b, bool redirects)
{
    *b = (struct bench){.rng = rng_seed(1, "gather"), .local = addr_at("198.51.100.5:5000")};
    server_add(b, 0, redirects);
    server_add(b, 1, false);
    b->config = (struct peer_config){.name = "test", .locals_count = 1, .servers_count = 1};
    b->config.locals[0] = b->local;
    b->config.servers[0] = (struct peer_server){.kind = PEER_TURN,
                                                .addr = b->listen[0],
                                                .username = "user",
                                                .password = "secret",
                                                .transport = PEER_TCP};
    for (size_t i = 0; i < sizeof b->connected / sizeof b->connected[0]; i++)
        b->connected[i] = -1;
    gather_init(&b->gather, &b->config, &b->rng);
    gather_start(&b->gather, 0);
}

static void bench_fini(struct bench *b)
{
    gather_fini(&b->gather);
    for (int i = 0; i < SERVERS_MAX; i++)
        turn_server_free(b->servers[i]);
}

static void tell(struct bench *b, unsigned stream, enum peer_stream_event event, struct bytes bytes)
{
    gather_stream_event(&b->gather, b->now, stream, event, bytes);
}

static void open_stream(struct bench *b, const struct gather_output *out)
{
    assert_int_equal(b->connected[out->stream], -1); // closed before it is used again
    assert_int_equal(out->datagram.from.port, 0);
    assert_true(ip_equal(&out->datagram.from.ip, &b->local.ip));
    b->opens++;
    if (b->refuse) {
        tell(b, out->stream, PEER_STREAM_REFUSED, (struct bytes){0});
        return;
    }
    int server = addr_equal(&out->datagram.to, &b->listen[1]);
    assert_true(addr_equal(&out->datagram.to, &b->listen[server]));
    struct addr client = addr_at("203.0.113.7:40000");
    assert_true(turn_server_stream_open(b->servers[server], b->now, out->stream, &client));
    b->connected[out->stream] = server;
    tell(b, out->stream, PEER_STREAM_OPENED, (struct bytes){0});
}

static void take(struct bench *b, const struct gather_output *out)
{
    bool speaks = out->kind == GATHER_STREAM_SEND || out->kind == GATHER_STREAM_CLOSE;
    int server = speaks ? b->connected[out->stream] : -1;
    switch (out->kind) {
    case GATHER_SEND:
        fail(); // nothing goes by UDP
        break;
    case GATHER_STREAM_OPEN:
        open_stream(b, out);
        break;
    case GATHER_STREAM_SEND:
        assert_int_not_equal(server, -1);
        b->sends++;
        if (!b->mute)
            turn_server_stream_input(b->servers[server], b->now, out->stream, out->datagram.bytes);
        break;
    case GATHER_STREAM_CLOSE:
        assert_int_not_equal(server, -1);
        b->closes++;
        turn_server_stream_closed(b->servers[server], b->now, out->stream);
        b->connected[out->stream] = -1;
        break;
    case GATHER_CANDIDATE:
        b->srflxs += out->candidate.type == ICE_SRFLX;
        if (out->candidate.type == ICE_RELAY) {
            b->relays++;
            b->relay = out->candidate;
        }
        break;
    case GATHER_RELAYED:
        break;
    case GATHER_DONE:
        b->done = true;
        break;
    }
}

static void pump(struct bench *b)
{
    struct gather_output out;
    struct turn_server_output served;
    for (bool busy = true; busy;) {
        busy = false;
        while (gather_poll(&b->gather, b->now, &out)) {
            busy = true;
            take(b, &out);
        }
        for (int i = 0; i < SERVERS_MAX; i++)
            while (turn_server_poll(b->servers[i], b->now, &served)) {
                busy = true;
                if (served.kind == TURN_SERVER_STREAM_SEND)
                    tell(b, served.stream, PEER_STREAM_BYTES, served.datagram.bytes);
                if (served.kind == TURN_SERVER_STREAM_CLOSE) {
                    b->connected[served.stream] = -1;
                    tell(b, served.stream, PEER_STREAM_CLOSED, (struct bytes){0});
                }
            }
    }
    assert_true(gather_deadline(&b->gather) > b->now);
}

static void run_until(struct bench *b, nanotime until)
{
    pump(b);
    for (;;) {
        nanotime at = gather_deadline(&b->gather);
        for (int i = 0; i < SERVERS_MAX; i++)
            at = time_min(at, turn_server_deadline(b->servers[i]));
        if (at > until)
            break;
        b->now = time_max(at, b->now);
        pump(b);
    }
    b->now = until;
}

static void test_gather_tcp_relay(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, false);
    run_until(&b, TIME_S);
    assert_true(b.done);
    assert_int_equal(b.opens, 1);
    assert_int_equal(b.relays, 1);
    assert_int_equal(b.srflxs, 0); // the address of a connection is no candidate
    // RFC 8445 5.1.1.3, 5.1.2.1: a foundation of its own, and less preferred than any by UDP.
    assert_string_equal(b.relay.foundation, "tcp1");
    assert_true(b.relay.priority < ice_candidate_priority(ICE_RELAY, 60000, 1));
    assert_true(b.relay.priority > 0);
    gather_close(&b.gather, b.now);
    run_until(&b, 2 * TIME_S);
    assert_int_equal(b.closes, 1); // after the allocation was given back
    assert_int_equal(turn_server_stats(b.servers[0]).allocations_live, 0);
    assert_int_equal(turn_server_stats(b.servers[0]).refreshes, 1);
    bench_fini(&b);
}

static void test_gather_tcp_refused(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, false);
    b.refuse = true;
    run_until(&b, TIME_S);
    assert_true(b.done);
    assert_int_equal(b.relays, 0);
    assert_int_equal(b.closes, 0);
    bench_fini(&b);
}

// A connection on which nobody answers holds gathering up no longer than any server does.
static void test_gather_tcp_mute(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, false);
    b.mute = true;
    run_until(&b, 9 * TIME_S);
    assert_false(b.done);
    run_until(&b, 10 * TIME_S);
    assert_true(b.done);
    assert_int_equal(b.sends, 1); // RFC 8489 6.2.2
    run_until(&b, 60 * TIME_S);
    assert_int_equal(b.closes, 1);
    bench_fini(&b);
}

// The connection breaks: the relay is no more, and an ICE restart asks again.
static void test_gather_tcp_lost_and_asked_again(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, false);
    run_until(&b, TIME_S);
    struct addr relayed = b.relay.addr;
    assert_non_null(gather_relay(&b.gather, &relayed));
    turn_server_stream_closed(b.servers[0], b.now, 0);
    b.connected[0] = -1;
    tell(&b, 0, PEER_STREAM_CLOSED, (struct bytes){0});
    run_until(&b, 2 * TIME_S);
    assert_null(gather_relay(&b.gather, &relayed));
    gather_start(&b.gather, b.now);
    b.done = false;
    run_until(&b, 3 * TIME_S);
    assert_true(b.done);
    assert_int_equal(b.opens, 2);
    assert_int_equal(b.relays, 2);
    bench_fini(&b);
}

// An ICE restart takes the allocation that stands, on the connection that stands.
static void test_gather_tcp_restart_reuses(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, false);
    run_until(&b, TIME_S);
    gather_start(&b.gather, b.now);
    run_until(&b, 2 * TIME_S);
    assert_int_equal(b.relays, 2);
    assert_int_equal(b.opens, 1);
    assert_int_equal(turn_server_stats(b.servers[0]).allocations, 1);
    bench_fini(&b);
}

static void test_gather_tcp_redirected(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, true);
    run_until(&b, TIME_S);
    assert_true(b.done);
    assert_int_equal(b.opens, 2);
    assert_int_equal(b.closes, 1);
    assert_int_equal(b.relays, 1);
    assert_true(ip_equal(&b.relay.addr.ip, &b.listen[1].ip));
    bench_fini(&b);
}

static void test_gather_tcp_garbage(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, false);
    run_until(&b, TIME_S);
    enum gather_took took =
        gather_stream_event(&b.gather, b.now, 0, PEER_STREAM_BYTES, bytes_text("POST / HTTP/1.1"));
    assert_int_equal(took, GATHER_REFUSED);
    run_until(&b, 2 * TIME_S);
    assert_int_equal(b.closes, 1);
    assert_null(gather_relay(&b.gather, &b.relay.addr));
    // What comes late, of streams that are closed or never were, is nobody's.
    took = gather_stream_event(&b.gather, b.now, 0, PEER_STREAM_BYTES, bytes_text("x"));
    assert_int_equal(took, GATHER_NOT_OURS);
    took = gather_stream_event(&b.gather, b.now, 63, PEER_STREAM_OPENED, bytes_text(""));
    assert_int_equal(took, GATHER_NOT_OURS);
    bench_fini(&b);
}

// What ends from the other side before its close was polled is not closed any more: by then the
// number may be another stream's.
static void test_gather_tcp_ends_before_it_is_closed(void **state)
{
    (void)state;
    static const enum peer_stream_event ends[] = {PEER_STREAM_CLOSED, PEER_STREAM_REFUSED};
    for (unsigned i = 0; i < 2; i++) {
        struct bench b;
        bench_init(&b, false);
        run_until(&b, TIME_S);
        gather_stream_event(&b.gather, b.now, 0, PEER_STREAM_BYTES, bytes_text("POST / HTTP/1.1"));
        turn_server_stream_closed(b.servers[0], b.now, 0);
        b.connected[0] = -1;
        assert_int_equal(gather_stream_event(&b.gather, b.now, 0, ends[i], bytes_text("")),
                         GATHER_TOOK);
        run_until(&b, 2 * TIME_S);
        assert_int_equal(b.closes, 0);
        bench_fini(&b);
    }
}

// Closed before the connection stands.
static void test_gather_tcp_closed_while_opening(void **state)
{
    (void)state;
    struct bench b;
    struct gather_output out;
    bench_init(&b, false);
    while (gather_poll(&b.gather, 0, &out) && out.kind != GATHER_STREAM_OPEN)
        continue;
    assert_int_equal(out.kind, GATHER_STREAM_OPEN);
    gather_close(&b.gather, 0);
    assert_true(gather_poll(&b.gather, 0, &out));
    assert_int_equal(out.kind, GATHER_STREAM_CLOSE);
    assert_false(gather_poll(&b.gather, 0, &out));
    assert_int_equal(gather_deadline(&b.gather), TIME_NEVER);
    bench_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gather_tcp_relay),
        cmocka_unit_test(test_gather_tcp_refused),
        cmocka_unit_test(test_gather_tcp_mute),
        cmocka_unit_test(test_gather_tcp_lost_and_asked_again),
        cmocka_unit_test(test_gather_tcp_restart_reuses),
        cmocka_unit_test(test_gather_tcp_redirected),
        cmocka_unit_test(test_gather_tcp_garbage),
        cmocka_unit_test(test_gather_tcp_ends_before_it_is_closed),
        cmocka_unit_test(test_gather_tcp_closed_while_opening),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
