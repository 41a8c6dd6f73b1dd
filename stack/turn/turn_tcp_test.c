// A client and a server of TURN with a connection between them: both sans-IO, nothing in between.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stack/stun/stun.h"
#include "stack/turn/turn_stream.h"
#include "stack/turn/turn_world.h"

#define STREAM 3u

// One client by TCP. What both say is handed over at once, in pieces of `piece` bytes.
struct line {
    nanotime now;
    struct turn_server *server;
    struct turn_client *client;
    struct addr local, listen, peer, relay;
    struct turn_stream framing;
    size_t piece;
    bool connected, closed_by_server, deaf; // deaf: what the client says is lost
    struct text got, peer_got;              // data, a space after each
    unsigned requests, channel_data, unpadded;
    struct trace_log log;
};

static struct line line_new(const struct turn_server_config *given, bool channels)
{
    struct line l = {.local = world_addr("198.51.100.5:5000"),
                     .peer = world_addr("203.0.113.9:7000"),
                     .piece = 7,
                     .log = {.live_fd = -1}};
    l.listen = given->listen;
    l.server = turn_server_new(given);
    struct turn_client_config config = world_client_config();
    config.local = l.local;
    config.stream = true;
    config.channels = channels;
    config.rng = rng_seed(1, "client");
    l.client = turn_client_new(&config);
    turn_stream_init(&l.framing, false);
    l.connected = turn_server_stream_open(l.server, 0, STREAM, &l.local);
    assert_true(l.connected);
    return l;
}

static void line_free(struct line *l)
{
    turn_client_free(l->client);
    turn_server_free(l->server);
    turn_stream_fini(&l->framing);
    text_free(&l->got);
    text_free(&l->peer_got);
}

static void to_server(struct line *l, struct bytes bytes)
{
    l->requests += bytes.at[0] < 0x40;
    if (bytes.at[0] >= 0x40) {
        l->channel_data++;
        l->unpadded += bytes.len % 4 != 0;
    }
    for (; bytes.len && !l->deaf; bytes = bytes_from(bytes, l->piece)) {
        size_t len = bytes.len < l->piece ? bytes.len : l->piece;
        turn_server_stream_input(l->server, l->now, STREAM, bytes_of(bytes.at, len));
    }
}

static void to_client(struct line *l, struct bytes bytes)
{
    for (; bytes.len; bytes = bytes_from(bytes, l->piece)) {
        struct datagram message = {.from = l->listen, .to = l->local};
        size_t len = bytes.len < l->piece ? bytes.len : l->piece;
        turn_stream_input(&l->framing, bytes_of(bytes.at, len));
        while (turn_stream_next(&l->framing, &message.bytes) == TURN_STREAM_MESSAGE)
            assert_int_equal(turn_client_input(l->client, l->now, &message), TURN_KEPT);
    }
}

static bool server_step(struct line *l)
{
    struct turn_server_output out;
    if (!turn_server_poll(l->server, l->now, &out))
        return false;
    switch (out.kind) {
    case TURN_SERVER_SEND:
        assert_true(addr_equal(&out.datagram.to, &l->peer));
        text_add(&l->peer_got, out.datagram.bytes);
        text_put(&l->peer_got, " ");
        break;
    case TURN_SERVER_BIND:
        l->relay = out.relay;
        break;
    case TURN_SERVER_UNBIND:
        l->relay = (struct addr){0};
        break;
    case TURN_SERVER_STREAM_SEND:
        assert_int_equal(out.stream, STREAM);
        assert_int_equal(out.datagram.bytes.len % 4, 0); // STUN and padded ChannelData
        to_client(l, out.datagram.bytes);
        break;
    case TURN_SERVER_STREAM_CLOSE:
        assert_int_equal(out.stream, STREAM);
        l->connected = false;
        l->closed_by_server = true;
        break;
    }
    return true;
}

static bool client_step(struct line *l)
{
    struct turn_output out;
    if (!turn_client_poll(l->client, l->now, &out))
        return false;
    if (out.kind == TURN_SEND)
        to_server(l, out.datagram.bytes);
    if (out.kind == TURN_DATA) {
        text_add(&l->got, out.datagram.bytes);
        text_put(&l->got, " ");
    }
    return true;
}

static void line_run(struct line *l, nanotime until)
{
    for (;;) {
        while (client_step(l) || server_step(l))
            continue;
        nanotime at = time_min(turn_client_deadline(l->client), turn_server_deadline(l->server));
        if (at > until)
            break;
        l->now = time_max(at, l->now);
    }
    l->now = until;
}

static void allocate(struct line *l)
{
    turn_client_allocate(l->client, l->now);
    line_run(l, l->now);
    assert_int_equal(turn_client_state(l->client), TURN_ALLOCATED);
    turn_client_permit(l->client, l->now, &l->peer.ip);
    line_run(l, l->now);
}

static void from_peer(struct line *l, const char *text)
{
    struct datagram datagram = {l->peer, l->relay, bytes_text(text)};
    assert_int_equal(turn_server_input(l->server, l->now, &datagram), TURN_KEPT);
    line_run(l, l->now);
}

static void say(struct line *l, const char *text)
{
    assert_true(turn_client_send(l->client, l->now, &l->peer, bytes_text(text)));
    line_run(l, l->now);
}

static void check_talk(bool channels, size_t piece)
{
    struct turn_server_config config = world_server_config();
    struct line l = line_new(&config, channels);
    l.piece = piece;
    allocate(&l);
    struct addr mapped = turn_client_mapped(l.client), relayed = turn_client_relayed(l.client);
    assert_true(addr_equal(&mapped, &l.local) && addr_equal(&relayed, &l.relay));
    static const char *const texts[] = {"a", "to", "you", "four", "fiver"};
    for (int i = 0; i < 5; i++) {
        say(&l, texts[i]);
        from_peer(&l, texts[i]);
    }
    assert_true(bytes_is(text_bytes(&l.peer_got), "a to you four fiver "));
    assert_true(bytes_is(text_bytes(&l.got), "a to you four fiver "));
    assert_int_equal(l.channel_data > 0, channels);
    assert_int_equal(l.unpadded, 0); // RFC 8656 12.5: MUST be padded
    turn_client_release(l.client, l.now);
    line_run(&l, l.now);
    assert_int_equal(turn_client_state(l.client), TURN_RELEASED);
    assert_int_equal(turn_server_stats(l.server).allocations_live, 0);
    assert_true(l.connected); // RFC 8489 6.2.2: the client closes it
    line_free(&l);
}

static void test_turn_tcp_data_both_ways(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 40; piece++) {
        check_talk(true, piece);
        check_talk(false, piece);
    }
    check_talk(true, 4096);
}

static void test_turn_tcp_hours_of_refreshes(void **state)
{
    (void)state;
    struct turn_server_config config = world_server_config();
    struct line l = line_new(&config, true);
    allocate(&l);
    say(&l, "first");
    line_run(&l, 3 * 3600 * TIME_S);
    say(&l, "last");
    from_peer(&l, "reply");
    assert_true(bytes_is(text_bytes(&l.peer_got), "first last "));
    assert_true(bytes_is(text_bytes(&l.got), "reply "));
    assert_true(turn_client_stats(l.client).refreshes >= 19);
    assert_int_equal(turn_client_stats(l.client).retransmissions, 0);
    line_free(&l);
}

// RFC 8489 6.2.2: a request goes once, and is given up after 39.5 s.
static void test_turn_tcp_no_retransmission(void **state)
{
    (void)state;
    struct turn_server_config config = world_server_config();
    struct line l = line_new(&config, true);
    l.deaf = true;
    turn_client_allocate(l.client, 0);
    line_run(&l, 39499 * TIME_MS);
    assert_int_equal(l.requests, 1);
    assert_int_equal(turn_client_state(l.client), TURN_ALLOCATING);
    line_run(&l, 39500 * TIME_MS);
    assert_int_equal(turn_client_state(l.client), TURN_FAILED);
    assert_int_equal(l.requests, 1);
    line_free(&l);
}

// The connection goes, and the allocation with it, on both sides.
static void test_turn_tcp_connection_lost(void **state)
{
    (void)state;
    struct turn_server_config config = world_server_config();
    struct line l = line_new(&config, true);
    allocate(&l);
    turn_server_stream_closed(l.server, l.now, STREAM);
    line_run(&l, l.now);
    assert_true(addr_is_none(&l.relay));
    assert_int_equal(turn_server_stats(l.server).allocations_live, 0);
    assert_int_equal(turn_server_stats(l.server).streams_live, 0);
    turn_client_disconnected(l.client, l.now, "the cable was pulled");
    assert_int_equal(turn_client_state(l.client), TURN_FAILED);
    struct bytes reason;
    assert_int_equal(turn_client_failure(l.client, &reason), 0);
    assert_true(bytes_is(reason, "the cable was pulled"));
    turn_client_disconnected(l.client, l.now, "again");
    turn_client_failure(l.client, &reason);
    assert_true(bytes_is(reason, "the cable was pulled"));
    assert_false(turn_client_send(l.client, l.now, &l.peer, bytes_text("x")));
    // The number may be used again.
    assert_true(turn_server_stream_open(l.server, l.now, STREAM, &l.local));
    line_free(&l);
}

static void test_turn_tcp_garbage_ends_the_connection(void **state)
{
    (void)state;
    struct turn_server_config config = world_server_config();
    struct line l = line_new(&config, true);
    allocate(&l);
    assert_int_equal(
        turn_server_stream_input(l.server, l.now, STREAM, bytes_text("POST / HTTP/1.1\r\n\r\n")),
        TURN_MALFORMED);
    line_run(&l, l.now);
    assert_true(l.closed_by_server);
    assert_true(addr_is_none(&l.relay));
    assert_int_equal(turn_server_stats(l.server).streams_broken, 1);
    assert_int_equal(turn_server_stream_input(l.server, l.now, STREAM, bytes_text("x")),
                     TURN_NOT_OURS);
    line_free(&l);
}

// A restarted process has no connections.
static void test_turn_tcp_reset_closes_all(void **state)
{
    (void)state;
    struct turn_server_config config = world_server_config();
    struct line l = line_new(&config, true);
    allocate(&l);
    struct addr other = world_addr("198.51.100.6:5000");
    assert_true(turn_server_stream_open(l.server, l.now, 900, &other));
    turn_server_reset(l.server, l.now);
    struct turn_server_output out;
    unsigned closed = 0, unbound = 0;
    while (turn_server_poll(l.server, l.now, &out)) {
        closed += out.kind == TURN_SERVER_STREAM_CLOSE;
        unbound += out.kind == TURN_SERVER_UNBIND;
    }
    assert_int_equal(closed, 2);
    assert_int_equal(unbound, 1);
    assert_int_equal(turn_server_stats(l.server).streams_live, 0);
    line_free(&l);
}

// RFC 8656 3.1: the protocol is part of the 5-tuple.
static void test_turn_tcp_same_address_by_udp(void **state)
{
    (void)state;
    struct turn_server_config config = world_server_config();
    struct line l = line_new(&config, true);
    allocate(&l);
    struct turn_client_config udp = world_client_config();
    udp.local = l.local;
    udp.rng = rng_seed(2, "udp");
    struct turn_client *client = turn_client_new(&udp);
    turn_client_allocate(client, l.now);
    struct turn_output out;
    struct turn_server_output served;
    for (int i = 0; i < 8; i++) {
        while (turn_client_poll(client, l.now, &out))
            if (out.kind == TURN_SEND)
                turn_server_input(l.server, l.now, &out.datagram);
        while (turn_server_poll(l.server, l.now, &served))
            if (served.kind == TURN_SERVER_SEND)
                turn_client_input(client, l.now, &served.datagram);
    }
    assert_int_equal(turn_client_state(client), TURN_ALLOCATED);
    assert_int_equal(turn_server_stats(l.server).allocations_live, 2);
    turn_client_free(client);
    line_free(&l);
}

static void test_turn_tcp_streams_are_bounded(void **state)
{
    (void)state;
    struct turn_server_config config = world_server_config();
    config.streams_max = 4;
    struct line l = line_new(&config, true);
    assert_false(turn_server_stream_open(l.server, 0, STREAM, &l.local)); // it is open
    assert_false(turn_server_stream_open(l.server, 0, 4, &l.local));
    assert_true(turn_server_stream_open(l.server, 0, 0, &l.local));
    turn_server_stream_closed(l.server, 0, 77); // nobody
    assert_int_equal(turn_server_stats(l.server).streams_live, 2);
    assert_int_equal(turn_server_stats(l.server).streams, 2);
    line_free(&l);
}

// A number that is used again is another client's: what waited for the first is not for it.
static void test_turn_tcp_number_used_again(void **state)
{
    (void)state;
    struct turn_server_config config = world_server_config();
    struct line l = line_new(&config, true);
    allocate(&l);
    struct datagram data = {l.peer, l.relay, bytes_text("secret")};
    assert_int_equal(turn_server_input(l.server, l.now, &data), TURN_KEPT);
    turn_server_stream_closed(l.server, l.now, STREAM);
    struct addr other = world_addr("198.51.100.66:6666");
    assert_true(turn_server_stream_open(l.server, l.now, STREAM, &other));
    struct turn_server_output out;
    while (turn_server_poll(l.server, l.now, &out))
        assert_int_equal(out.kind, TURN_SERVER_UNBIND);
    assert_int_equal(turn_server_stats(l.server).allocations_live, 0);
    line_free(&l);
}

static void test_turn_tcp_bind_failed_is_told_there(void **state)
{
    (void)state;
    struct turn_server_config config = world_server_config();
    struct line l = line_new(&config, true);
    struct turn_server_output out;
    turn_client_allocate(l.client, 0);
    for (int i = 0; i < 10; i++) {
        while (client_step(&l))
            continue;
        while (turn_server_poll(l.server, 0, &out)) {
            if (out.kind == TURN_SERVER_BIND)
                turn_server_bind_failed(l.server, 0, &out.relay);
            if (out.kind == TURN_SERVER_STREAM_SEND)
                to_client(&l, out.datagram.bytes);
        }
    }
    assert_int_equal(turn_client_state(l.client), TURN_FAILED);
    assert_int_equal(turn_client_failure(l.client, NULL), STUN_INSUFFICIENT_CAPACITY);
    line_free(&l);
}

// More in one piece than the server's queue has room for: dropped with a name, and all goes on.
static void test_turn_tcp_flood_has_a_name(void **state)
{
    (void)state;
    struct turn_server_config config = world_server_config();
    struct line l = line_new(&config, true);
    allocate(&l);
    say(&l, "hello");
    static uint8_t flood[400 * 8];
    for (size_t i = 0; i < sizeof flood; i += 8) {
        static const uint8_t one[8] = {0x40, 0, 0, 1, 'x'};
        memcpy(flood + i, one, 8);
    }
    assert_int_equal(
        turn_server_stream_input(l.server, l.now, STREAM, bytes_of(flood, sizeof flood)),
        TURN_QUEUE_FULL);
    line_run(&l, l.now);
    say(&l, "still here");
    assert_true(l.connected);
    line_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turn_tcp_data_both_ways),
        cmocka_unit_test(test_turn_tcp_hours_of_refreshes),
        cmocka_unit_test(test_turn_tcp_no_retransmission),
        cmocka_unit_test(test_turn_tcp_connection_lost),
        cmocka_unit_test(test_turn_tcp_garbage_ends_the_connection),
        cmocka_unit_test(test_turn_tcp_reset_closes_all),
        cmocka_unit_test(test_turn_tcp_same_address_by_udp),
        cmocka_unit_test(test_turn_tcp_streams_are_bounded),
        cmocka_unit_test(test_turn_tcp_number_used_again),
        cmocka_unit_test(test_turn_tcp_bind_failed_is_told_there),
        cmocka_unit_test(test_turn_tcp_flood_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
