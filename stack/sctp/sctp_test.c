// Pairs of associations over a virtual link with delay and loss: no clock but the events'.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/libenv.h"
#include "stack/sctp/sctp.h"

#include <stdlib.h>

#define DELAY (20 * TIME_MS)
#define MTU 1191
#define FLIGHT_MAX 8192
#define MESSAGES_MAX 4096

struct packet {
    nanotime at;
    uint64_t order;
    int to;
    size_t len;
    uint8_t bytes[MTU];
};

struct message {
    uint16_t stream;
    uint32_t ppid;
    size_t len;
    uint32_t sum;
    uint8_t first;
};

struct end {
    struct sctp *sctp;
    struct rng rng;
    struct message got[MESSAGES_MAX];
    unsigned messages, resets_in, resets_out, writable, low, refused, states;
    uint16_t reset_in_last, reset_out_last;
};

struct duo {
    nanotime now;
    struct end ends[2];
    struct packet *flight[FLIGHT_MAX];
    unsigned flying;
    uint64_t order;
    struct rng link;
    nanotime delay; // of the link, one way
    uint32_t loss;  // per billion
    unsigned drop_next[2];
    unsigned packets;
    uint64_t hash; // of every packet, its time and direction
    unsigned polls;
};

static uint32_t sum_of(struct bytes bytes)
{
    uint32_t sum = 2166136261u;
    for (size_t i = 0; i < bytes.len; i++)
        sum = (sum ^ bytes.at[i]) * 16777619u;
    return sum;
}

static struct sctp_config config_of(struct duo *duo, int i)
{
    return (struct sctp_config){
        .local_port = 5000, .remote_port = 5000, .mtu = MTU, .rng = &duo->ends[i].rng};
}

static struct duo *duo_new(uint64_t seed, const struct sctp_config *like)
{
    struct duo *duo = mem_zero(1, sizeof *duo);
    libenv_reset();
    sctp_library_start(0);
    duo->link = rng_seed(seed, "link");
    duo->delay = DELAY;
    for (int i = 0; i < 2; i++) {
        duo->ends[i].rng = rng_seed(seed, i ? "b" : "a");
        struct sctp_config config = like ? *like : config_of(duo, i);
        config.rng = &duo->ends[i].rng;
        duo->ends[i].sctp = sctp_new(&config);
    }
    return duo;
}

static void duo_free(struct duo *duo)
{
    for (int i = 0; i < 2; i++)
        sctp_free(duo->ends[i].sctp);
    sctp_library_stop();
    for (unsigned i = 0; i < duo->flying; i++)
        free(duo->flight[i]);
    assert_int_equal(libenv_orphan_draws(), 0);
    free(duo);
}

static void packet_send(struct duo *duo, int from, struct bytes bytes)
{
    duo->packets++;
    uint64_t words[3] = {(uint64_t)duo->now, (uint64_t)from, sum_of(bytes)};
    for (int i = 0; i < 3; i++)
        duo->hash = (duo->hash ^ words[i]) * 0x100000001b3u;
    bool lost = rng_chance(&duo->link, duo->loss);
    if (duo->drop_next[from]) {
        duo->drop_next[from]--;
        lost = true;
    }
    if (lost)
        return;
    assert_true(duo->flying < FLIGHT_MAX);
    assert_true(bytes.len <= MTU);
    struct packet *packet = mem_alloc(sizeof *packet);
    packet->at = duo->now + duo->delay;
    packet->order = duo->order++;
    packet->to = 1 - from;
    packet->len = bytes.len;
    memcpy(packet->bytes, bytes.at, bytes.len);
    duo->flight[duo->flying++] = packet; // one delay: already in order of time
}

static void take(struct end *end, const struct sctp_output *out)
{
    switch (out->kind) {
    case SCTP_SEND:
        break;
    case SCTP_STATE_CHANGED:
        end->states++;
        break;
    case SCTP_MESSAGE:
        assert_true(end->messages < MESSAGES_MAX);
        end->got[end->messages++] = (struct message){
            .stream = out->message.stream,
            .ppid = out->message.ppid,
            .len = out->message.bytes.len,
            .sum = sum_of(out->message.bytes),
            .first = out->message.bytes.at[0],
        };
        break;
    case SCTP_STREAM_RESET_IN:
        end->resets_in++;
        end->reset_in_last = out->stream;
        break;
    case SCTP_STREAM_RESET_OUT:
        end->resets_out++;
        end->reset_out_last = out->stream;
        break;
    case SCTP_WRITABLE:
        end->writable++;
        break;
    case SCTP_STREAM_LOW:
        end->low++;
        break;
    case SCTP_STREAM_REFUSED:
        end->refused++;
        break;
    }
}

static void drain(struct duo *duo)
{
    for (int i = 0; i < 2; i++) {
        struct sctp_output out;
        duo->polls++;
        while (sctp_poll(duo->ends[i].sctp, duo->now, &out)) {
            if (out.kind == SCTP_SEND)
                packet_send(duo, i, out.bytes);
            take(&duo->ends[i], &out);
        }
    }
}

// Go to the next event, at most `end`. False: nothing until then.
static bool step(struct duo *duo, nanotime end)
{
    drain(duo);
    nanotime next = duo->flying ? duo->flight[0]->at : TIME_NEVER;
    for (int i = 0; i < 2; i++)
        next = time_min(next, sctp_deadline(duo->ends[i].sctp));
    if (next > end) {
        duo->now = end;
        return false;
    }
    assert_true(next >= duo->now);
    duo->now = next;
    if (duo->flying && duo->flight[0]->at == next) {
        struct packet *packet = duo->flight[0];
        memmove(duo->flight, duo->flight + 1, --duo->flying * sizeof *duo->flight);
        sctp_input(duo->ends[packet->to].sctp, duo->now, bytes_of(packet->bytes, packet->len));
        free(packet);
    }
    return true;
}

static void run(struct duo *duo, nanotime span)
{
    nanotime end = duo->now + span;
    while (step(duo, end))
        ;
}

static void connect_both(struct duo *duo)
{
    for (int i = 0; i < 2; i++)
        sctp_connect(duo->ends[i].sctp, duo->now);
    for (int i = 0; i < 200 && sctp_state(duo->ends[0].sctp) != SCTP_CONNECTED; i++)
        step(duo, duo->now + 60 * TIME_S);
    run(duo, 100 * TIME_MS);
    for (int i = 0; i < 2; i++)
        assert_int_equal(sctp_state(duo->ends[i].sctp), SCTP_CONNECTED);
}

static enum sctp_send_result send(struct duo *duo, int from, uint16_t stream, const void *at,
                                  size_t len, struct sctp_delivery delivery)
{
    struct sctp_message message = {stream, 53, bytes_of(at, len)};
    return sctp_send(duo->ends[from].sctp, duo->now, &message, delivery);
}

static const struct sctp_delivery reliable = {0};

static void test_sctp_both_sides_connect(void **state)
{
    (void)state;
    struct duo *duo = duo_new(1, NULL);
    connect_both(duo);
    assert_int_equal(send(duo, 0, 0, "hello", 5, reliable), SCTP_SENT);
    assert_int_equal(sctp_buffered(duo->ends[0].sctp), 5);
    run(duo, TIME_S);
    assert_int_equal(duo->ends[1].messages, 1);
    assert_int_equal(duo->ends[1].got[0].len, 5);
    assert_int_equal(duo->ends[1].got[0].ppid, 53);
    assert_int_equal(sctp_buffered(duo->ends[0].sctp), 0);
    duo_free(duo);
}

static void test_sctp_lost_init_is_sent_again(void **state)
{
    (void)state;
    struct duo *duo = duo_new(1, NULL);
    duo->drop_next[0] = duo->drop_next[1] = 2;
    connect_both(duo);
    // 1 s, then 2 s.
    nanotime at = sctp_stats(duo->ends[0].sctp).connected_at;
    assert_true(at >= 3 * TIME_S && at < 4 * TIME_S);
    duo_free(duo);
}

static uint8_t *pattern(size_t len, uint64_t seed)
{
    struct rng rng = rng_seed(seed, "pattern");
    uint8_t *at = mem_alloc(len);
    rng_fill(&rng, at, len);
    return at;
}

static void large_message(uint32_t loss)
{
    struct duo *duo = duo_new(7, NULL);
    connect_both(duo);
    duo->loss = loss;
    size_t len = 1 << 20;
    uint8_t *big = pattern(len, 1);
    for (int i = 0; i < 2; i++)
        assert_int_equal(send(duo, i, 3, big, len, reliable), SCTP_SENT);
    assert_int_equal(send(duo, 0, 3, big, len, reliable), SCTP_WOULD_BLOCK);
    run(duo, 120 * TIME_S);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(duo->ends[i].messages, 1);
        assert_int_equal(duo->ends[i].got[0].len, len);
        assert_int_equal(duo->ends[i].got[0].sum, sum_of(bytes_of(big, len)));
        assert_int_equal(sctp_buffered(duo->ends[i].sctp), 0);
    }
    assert_int_equal(duo->ends[0].writable, 1);
    if (loss)
        assert_true(sctp_stats(duo->ends[0].sctp).retransmissions > 0);
    else
        assert_int_equal(sctp_stats(duo->ends[0].sctp).retransmissions, 0);
    free(big);
    duo_free(duo);
}

static void test_sctp_message_of_one_mebibyte(void **state)
{
    (void)state;
    large_message(0);
}

static void test_sctp_message_of_one_mebibyte_with_loss(void **state)
{
    (void)state;
    large_message(RNG_BILLION / 50);
}

static void test_sctp_larger_than_the_buffer_goes_when_it_is_empty(void **state)
{
    (void)state;
    struct duo *duo = duo_new(7, NULL);
    connect_both(duo);
    size_t len = 5 << 20;
    uint8_t *big = pattern(len, 2);
    assert_int_equal(send(duo, 0, 0, "x", 1, reliable), SCTP_SENT);
    assert_int_equal(send(duo, 0, 0, big, len, reliable), SCTP_WOULD_BLOCK);
    run(duo, TIME_S);
    assert_int_equal(duo->ends[0].writable, 1);
    assert_int_equal(send(duo, 0, 0, big, len, reliable), SCTP_SENT);
    run(duo, 60 * TIME_S);
    assert_int_equal(duo->ends[1].messages, 2);
    assert_int_equal(duo->ends[1].got[1].len, len);
    assert_int_equal(duo->ends[1].got[1].sum, sum_of(bytes_of(big, len)));
    free(big);
    duo_free(duo);
}

static void test_sctp_refuses_what_the_peer_does_not_take(void **state)
{
    (void)state;
    struct sctp_config config = {
        .local_port = 5000, .remote_port = 5000, .mtu = MTU, .max_message_size = 1 << 20};
    struct duo *duo = duo_new(7, &config);
    uint8_t *big = pattern(16 << 20, 2);
    assert_int_equal(send(duo, 0, 0, big, 1, reliable), SCTP_NOT_CONNECTED);
    connect_both(duo);
    assert_int_equal(send(duo, 0, 0, big, 16 << 20, reliable), SCTP_TOO_LARGE);
    assert_int_equal(send(duo, 0, 0, big, (1 << 20) + 1, reliable), SCTP_TOO_LARGE);
    assert_int_equal(send(duo, 0, 0, big, 1 << 20, reliable), SCTP_SENT);
    assert_int_equal(send(duo, 0, 65535, big, 1, reliable), SCTP_BAD_STREAM);
    free(big);
    duo_free(duo);
}

static void test_sctp_closes_on_a_message_larger_than_it_takes(void **state)
{
    (void)state;
    struct sctp_config config = {
        .local_port = 5000, .remote_port = 5000, .mtu = MTU, .max_receive_size = 100000};
    struct duo *duo = duo_new(7, &config);
    connect_both(duo);
    uint8_t *big = pattern(3 << 20, 2);
    assert_int_equal(send(duo, 0, 0, big, 100000, reliable), SCTP_SENT);
    run(duo, 5 * TIME_S);
    assert_int_equal(duo->ends[1].messages, 1);
    assert_int_equal(send(duo, 0, 0, big, 3 << 20, reliable), SCTP_SENT);
    run(duo, 5 * TIME_S);
    assert_int_equal(duo->ends[1].messages, 1);
    for (int i = 0; i < 2; i++)
        assert_int_equal(sctp_state(duo->ends[i].sctp), SCTP_CLOSED);
    free(big);
    duo_free(duo);
}

// Return how many of 100 messages arrived, 50 ms apart, under 30 % loss.
static unsigned hundred(struct sctp_delivery delivery, bool *in_order)
{
    struct duo *duo = duo_new(3, NULL);
    connect_both(duo);
    duo->loss = RNG_BILLION / 10 * 3;
    for (uint8_t i = 0; i < 100; i++) {
        uint8_t bytes[100] = {i};
        assert_int_equal(send(duo, 0, 1, bytes, sizeof bytes, delivery), SCTP_SENT);
        run(duo, 50 * TIME_MS);
    }
    run(duo, 300 * TIME_S);
    *in_order = true;
    for (unsigned i = 1; i < duo->ends[1].messages; i++)
        *in_order = *in_order && duo->ends[1].got[i].first > duo->ends[1].got[i - 1].first;
    unsigned got = duo->ends[1].messages;
    struct sctp_stats stats = sctp_stats(duo->ends[0].sctp);
    assert_int_equal(stats.messages_sent, 100);
    assert_true(got + stats.messages_abandoned >= 100);
    assert_int_equal(sctp_buffered(duo->ends[0].sctp), 0);
    assert_int_equal(sctp_stream_unsent(duo->ends[0].sctp, 1), 0);
    duo_free(duo);
    return got;
}

static void test_sctp_reliability_under_loss(void **state)
{
    (void)state;
    bool in_order;
    assert_int_equal(hundred(reliable, &in_order), 100);
    assert_true(in_order);
    assert_int_equal(hundred((struct sctp_delivery){.unordered = true}, &in_order), 100);
    assert_false(in_order);

    unsigned none =
        hundred((struct sctp_delivery){.reliability = SCTP_MAX_RETRANSMITS, .limit = 0}, &in_order);
    assert_true(in_order);
    assert_true(none > 40 && none < 90);
    unsigned some = hundred(
        (struct sctp_delivery){.unordered = true, .reliability = SCTP_MAX_RETRANSMITS, .limit = 2},
        &in_order);
    assert_true(some > none);
    unsigned brief =
        hundred((struct sctp_delivery){.reliability = SCTP_MAX_LIFETIME, .limit = 100}, &in_order);
    assert_true(brief < 100 && in_order);
}

// Long messages given up in their midst: what was not sent of them is neither sent nor waited for.
static void test_sctp_given_up_messages_are_not_buffered(void **state)
{
    (void)state;
    static const struct sctp_delivery deliveries[] = {
        {.reliability = SCTP_MAX_RETRANSMITS, .limit = 0},
        {.reliability = SCTP_MAX_LIFETIME, .limit = 100},
        {.reliability = SCTP_MAX_LIFETIME, .limit = 1, .unordered = true},
    };
    uint8_t *data = pattern(100000, 1);
    for (unsigned i = 0; i < sizeof deliveries / sizeof deliveries[0]; i++) {
        struct duo *duo = duo_new(7 + i, NULL);
        connect_both(duo);
        duo->loss = RNG_BILLION / 8;
        unsigned low = 0;
        for (unsigned k = 0; k < 120; k++) {
            uint16_t stream = (uint16_t)(k % 4);
            if (send(duo, 0, stream, data, k % 3 ? 100000 : 2000, deliveries[i]) == SCTP_SENT)
                low |= 1u << stream;
            run(duo, 40 * TIME_MS);
        }
        duo->loss = 0;
        run(duo, 120 * TIME_S);
        assert_int_equal(sctp_state(duo->ends[0].sctp), SCTP_CONNECTED);
        assert_in_range(sctp_stats(duo->ends[0].sctp).messages_abandoned, 5, 120);
        assert_int_equal(low, 15);
        assert_true(duo->ends[0].low >= 4); // each stream fell to nothing
        for (uint16_t stream = 0; stream < 4; stream++)
            assert_int_equal(sctp_stream_unsent(duo->ends[0].sctp, stream), 0);
        assert_int_equal(sctp_buffered(duo->ends[0].sctp), 0);
        duo->ends[1].messages = 0;
        for (unsigned k = 0; k < 10; k++) // the whole of the buffer can be used again
            assert_int_equal(send(duo, 0, 0, data, 100000, reliable), SCTP_SENT);
        run(duo, 60 * TIME_S);
        assert_int_equal(duo->ends[1].messages, 10);
        duo_free(duo);
    }
    free(data);
}

static void test_sctp_many_streams_grow_on_demand(void **state)
{
    (void)state;
    struct duo *duo = duo_new(5, NULL);
    connect_both(duo);
    for (uint16_t i = 0; i < 1500; i++) {
        uint8_t byte = (uint8_t)i;
        assert_int_equal(send(duo, i & 1, i, &byte, 1, reliable), SCTP_SENT);
    }
    run(duo, 10 * TIME_S);
    assert_int_equal(duo->ends[0].messages, 750);
    assert_int_equal(duo->ends[1].messages, 750);
    assert_int_equal(duo->ends[1].got[749].stream, 1498);
    assert_int_equal(sctp_buffered(duo->ends[0].sctp), 0);
    duo_free(duo);
}

static void test_sctp_stream_reset_waits_for_the_data(void **state)
{
    (void)state;
    struct duo *duo = duo_new(5, NULL);
    connect_both(duo);
    uint8_t *data = pattern(200000, 1);
    assert_int_equal(send(duo, 0, 2, data, 200000, reliable), SCTP_SENT);
    assert_true(sctp_reset_stream(duo->ends[0].sctp, duo->now, 2));
    assert_int_equal(send(duo, 0, 2, data, 1, reliable), SCTP_WOULD_BLOCK);
    run(duo, 5 * TIME_S);
    assert_int_equal(duo->ends[1].messages, 1);
    assert_int_equal(duo->ends[1].resets_in, 1);
    assert_int_equal(duo->ends[1].reset_in_last, 2);
    assert_int_equal(duo->ends[0].resets_out, 1);
    assert_int_equal(duo->ends[0].writable, 1);
    assert_int_equal(send(duo, 0, 2, data, 1, reliable), SCTP_SENT);
    run(duo, TIME_S);
    assert_int_equal(duo->ends[1].messages, 2);
    free(data);
    duo_free(duo);
}

static void test_sctp_both_sides_reset_at_once(void **state)
{
    (void)state;
    struct duo *duo = duo_new(5, NULL);
    connect_both(duo);
    for (uint16_t stream = 0; stream < 40; stream++) {
        for (int i = 0; i < 2; i++)
            assert_true(sctp_reset_stream(duo->ends[i].sctp, duo->now, stream));
    }
    duo->loss = RNG_BILLION / 10;
    run(duo, 60 * TIME_S);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(duo->ends[i].resets_in, 40);
        assert_int_equal(duo->ends[i].resets_out, 40);
    }
    duo_free(duo);
}

static void test_sctp_stream_low_is_told_once(void **state)
{
    (void)state;
    struct duo *duo = duo_new(5, NULL);
    connect_both(duo);
    uint8_t *data = pattern(100000, 1);
    sctp_stream_set_low(duo->ends[0].sctp, 1, 50000);
    assert_int_equal(send(duo, 0, 1, data, 100000, reliable), SCTP_SENT);
    assert_true(sctp_stream_unsent(duo->ends[0].sctp, 1) > 50000);
    run(duo, 5 * TIME_S);
    assert_int_equal(duo->ends[0].low, 1);
    assert_int_equal(sctp_stream_unsent(duo->ends[0].sctp, 1), 0);
    free(data);
    duo_free(duo);
}

static void test_sctp_close_aborts_the_peer(void **state)
{
    (void)state;
    struct duo *duo = duo_new(5, NULL);
    connect_both(duo);
    sctp_close(duo->ends[0].sctp, duo->now);
    assert_int_equal(sctp_state(duo->ends[0].sctp), SCTP_CLOSED);
    run(duo, TIME_S);
    assert_int_equal(sctp_state(duo->ends[1].sctp), SCTP_CLOSED);
    assert_int_equal(send(duo, 1, 0, "x", 1, reliable), SCTP_NOT_CONNECTED);
    assert_false(sctp_reset_stream(duo->ends[1].sctp, duo->now, 0));
    duo_free(duo);
}

static void test_sctp_gives_up_when_the_path_is_gone(void **state)
{
    (void)state;
    struct duo *duo = duo_new(5, NULL);
    connect_both(duo);
    duo->loss = RNG_BILLION;
    assert_int_equal(send(duo, 0, 0, "x", 1, reliable), SCTP_SENT);
    run(duo, 600 * TIME_S);
    assert_int_equal(sctp_state(duo->ends[0].sctp), SCTP_CLOSED);
    duo_free(duo);
}

// Every poll is at a deadline or after a packet, and the timers that fire are few.
static void test_sctp_deadlines_are_exact(void **state)
{
    (void)state;
    struct duo *duo = duo_new(5, NULL);
    connect_both(duo);
    unsigned polls = duo->polls;
    run(duo, 300 * TIME_S); // idle: heartbeats and nothing else
    assert_true(duo->polls - polls < 200);
    assert_true(sctp_stats(duo->ends[0].sctp).timers < 40);

    // A lone message is acknowledged after the delay of 200 ms and the microsecond that each timer
    // is late; the first one of an association at once (RFC 9260 6.2).
    assert_int_equal(send(duo, 0, 0, "x", 1, reliable), SCTP_SENT);
    run(duo, TIME_S);
    nanotime sent = duo->now;
    assert_int_equal(send(duo, 0, 0, "x", 1, reliable), SCTP_SENT);
    while (sctp_buffered(duo->ends[0].sctp) && step(duo, sent + TIME_S))
        ;
    assert_int_equal(duo->now - sent, 2 * DELAY + 200 * TIME_MS + TIME_US);
    duo_free(duo);
}

// Over a long way the retransmission timer is what was measured, not its minimum of 1 s, and
// usrsctp sends again only what is older than that. One timeout must be enough.
static void test_sctp_first_timeout_sends_again(void **state)
{
    (void)state;
    struct duo *duo = duo_new(5, NULL);
    duo->delay = 250 * TIME_MS;
    connect_both(duo);
    run(duo, TIME_S);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(send(duo, 0, 0, "x", 1, reliable), SCTP_SENT);
        if (i % 2 == 0)
            duo->drop_next[0] = 1;
        unsigned before = sctp_stats(duo->ends[0].sctp).timers;
        nanotime sent = duo->now;
        while (duo->ends[1].messages <= (unsigned)i && step(duo, sent + 30 * TIME_S))
            ;
        assert_int_equal(duo->ends[1].messages, i + 1);
        // RFC 9260 6.3.1 C2: three times the first round trip at most, as nothing varies.
        assert_true(duo->now - sent <= 1500 * TIME_MS + duo->delay + TIME_MS);
        assert_true(sctp_stats(duo->ends[0].sctp).timers - before <= 2); // and a heartbeat's
        run(duo, 5 * TIME_S);
    }
    assert_int_equal(sctp_stats(duo->ends[0].sctp).retransmissions, 3);
    duo_free(duo);
}

static void test_sctp_survives_hostile_packets(void **state)
{
    (void)state;
    struct duo *duo = duo_new(5, NULL);
    struct rng rng = rng_seed(9, "hostile");
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 2000; i++) {
            uint8_t bytes[600];
            size_t len = rng_below(&rng, sizeof bytes);
            rng_fill(&rng, bytes, len);
            sctp_input(duo->ends[0].sctp, duo->now, bytes_of(bytes, len));
        }
        if (round == 0)
            connect_both(duo);
    }
    assert_int_equal(send(duo, 0, 0, "x", 1, reliable), SCTP_SENT);
    run(duo, TIME_S);
    assert_int_equal(duo->ends[1].messages, 1);
    duo_free(duo);
}

static uint64_t busy_run(uint64_t seed)
{
    struct duo *duo = duo_new(seed, NULL);
    duo->loss = RNG_BILLION / 20;
    connect_both(duo);
    uint8_t *data = pattern(100000, 1);
    for (uint16_t i = 0; i < 20; i++) {
        assert_int_equal(send(duo, i & 1, i, data, 30000, reliable), SCTP_SENT);
        run(duo, 10 * TIME_MS);
    }
    sctp_reset_stream(duo->ends[0].sctp, duo->now, 4);
    assert_int_equal(send(duo, 0, 200, data, 1, reliable), SCTP_SENT);
    run(duo, 60 * TIME_S);
    assert_int_equal(duo->ends[0].messages + duo->ends[1].messages, 21);
    uint64_t hash = duo->hash;
    free(data);
    duo_free(duo);
    return hash;
}

static void test_sctp_same_seed_same_packets(void **state)
{
    (void)state;
    uint64_t first = busy_run(1);
    assert_true(first != busy_run(2));
    // A run cut off in the middle must leave nothing behind.
    struct duo *duo = duo_new(9, NULL);
    connect_both(duo);
    uint8_t *data = pattern(1 << 20, 1);
    assert_int_equal(send(duo, 0, 0, data, 1 << 20, reliable), SCTP_SENT);
    run(duo, 30 * TIME_MS);
    free(data);
    duo_free(duo);
    assert_true(first == busy_run(1));
}

static void test_sctp_least_mtu(void **state)
{
    (void)state;
    struct sctp_config config = {.local_port = 5000, .remote_port = 5000, .mtu = SCTP_MTU_MIN};
    struct duo *duo = duo_new(7, &config);
    connect_both(duo);
    uint8_t *data = pattern(50000, 1);
    assert_int_equal(send(duo, 0, 0, data, 50000, reliable), SCTP_SENT);
    run(duo, 10 * TIME_S); // sctp.c asserts the size of each packet
    assert_int_equal(duo->ends[1].messages, 1);
    free(data);
    duo_free(duo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sctp_both_sides_connect),
        cmocka_unit_test(test_sctp_lost_init_is_sent_again),
        cmocka_unit_test(test_sctp_message_of_one_mebibyte),
        cmocka_unit_test(test_sctp_message_of_one_mebibyte_with_loss),
        cmocka_unit_test(test_sctp_larger_than_the_buffer_goes_when_it_is_empty),
        cmocka_unit_test(test_sctp_refuses_what_the_peer_does_not_take),
        cmocka_unit_test(test_sctp_closes_on_a_message_larger_than_it_takes),
        cmocka_unit_test(test_sctp_reliability_under_loss),
        cmocka_unit_test(test_sctp_given_up_messages_are_not_buffered),
        cmocka_unit_test(test_sctp_many_streams_grow_on_demand),
        cmocka_unit_test(test_sctp_stream_reset_waits_for_the_data),
        cmocka_unit_test(test_sctp_both_sides_reset_at_once),
        cmocka_unit_test(test_sctp_stream_low_is_told_once),
        cmocka_unit_test(test_sctp_close_aborts_the_peer),
        cmocka_unit_test(test_sctp_gives_up_when_the_path_is_gone),
        cmocka_unit_test(test_sctp_deadlines_are_exact),
        cmocka_unit_test(test_sctp_first_timeout_sends_again),
        cmocka_unit_test(test_sctp_survives_hostile_packets),
        cmocka_unit_test(test_sctp_same_seed_same_packets),
        cmocka_unit_test(test_sctp_least_mtu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
