// One TCP connection, segment by segment: what RFC 9293, 5681, 6298 and 5961 ask for.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "simnet/tcp.h"

#include "base/rng.h"
#include "base/text.h"

#include <stdio.h>

#define US 1000u
#define THEM 5000000u

static const struct tcp_config ours = {.iss = US, .mss = 1000};

static struct tcp_segment seg(uint8_t flags, uint32_t seq, uint32_t ack, const char *text)
{
    return (struct tcp_segment){
        .flags = flags, .seq = seq, .ack = ack, .window = 60000, .payload = {bytes_text(text)}};
}

static void give(struct tcp *tcp, nanotime now, struct tcp_segment segment)
{
    assert_true(tcp_input(tcp, now, &segment));
}

// All that it sends now, as text: "SA 0 1 [5] w9" with numbers relative to both ISNs.
static const char *sent(struct tcp *tcp, nanotime now)
{
    static char text[2000];
    size_t len = 0;
    struct tcp_segment out;
    text[0] = 0;
    while (tcp_poll(tcp, now, &out)) {
        char flags[6], *f = flags;
        const char *names = "FSRPA";
        for (int i = 0; i < 5; i++)
            if (out.flags & 1 << i)
                *f++ = names[i];
        *f = 0;
        size_t payload = out.payload[0].len + out.payload[1].len;
        uint32_t ack = out.flags & TCP_ACK ? out.ack - THEM : 0;
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s %u %u", len ? ", " : "", flags,
                                out.seq - US, ack);
        if (payload)
            len += (size_t)snprintf(text + len, sizeof text - len, " [%zu]", payload);
        assert_true(len < sizeof text - 64);
    }
    assert_true(tcp_deadline(tcp) > now);
    return text;
}

static enum tcp_news news(struct tcp *tcp, const char *expected)
{
    struct bytes bytes;
    enum tcp_news got = tcp_news(tcp, &bytes);
    if (expected)
        assert_true(bytes_is(bytes, expected));
    return got;
}

static void established(struct tcp *tcp, const struct tcp_config *config)
{
    tcp_connect(tcp, config, 0);
    assert_string_equal(sent(tcp, 0), "S 0 0");
    struct tcp_segment answer = seg(TCP_SYN | TCP_ACK, THEM, US + 1, "");
    answer.mss = 1000;
    give(tcp, 10 * TIME_MS, answer);
    assert_string_equal(sent(tcp, 10 * TIME_MS), "A 1 1");
    assert_int_equal(news(tcp, NULL), TCP_OPENED);
    assert_int_equal(tcp->state, TCP_ESTABLISHED);
}

static void test_tcp_connect_and_close(void **state)
{
    (void)state;
    struct tcp tcp;
    nanotime now = 20 * TIME_MS;
    established(&tcp, &ours);
    assert_true(tcp_send(&tcp, bytes_text("hello")));
    assert_string_equal(sent(&tcp, now), "PA 1 1 [5]");
    give(&tcp, now, seg(TCP_ACK, THEM + 1, US + 6, "world"));
    assert_int_equal(news(&tcp, "world"), TCP_BYTES);
    assert_int_equal(news(&tcp, NULL), TCP_NO_NEWS);
    assert_string_equal(sent(&tcp, now), "");                     // the acknowledgement waits
    assert_string_equal(sent(&tcp, now + 40 * TIME_MS), "A 6 6"); // but not long
    tcp_close(&tcp, now);
    assert_string_equal(sent(&tcp, now), "FA 6 6");
    give(&tcp, now, seg(TCP_ACK, THEM + 6, US + 7, ""));
    assert_int_equal(tcp.state, TCP_FIN_WAIT_2);
    give(&tcp, now, seg(TCP_FIN | TCP_ACK, THEM + 6, US + 7, "bye"));
    assert_int_equal(news(&tcp, "bye"), TCP_BYTES); // half-close: we still hear
    assert_int_equal(news(&tcp, NULL), TCP_ENDED);
    assert_int_equal(tcp.end, TCP_END_FIN);
    assert_string_equal(sent(&tcp, now), "A 7 10");
    assert_int_equal(tcp.state, TCP_TIME_WAIT);
    give(&tcp, now, seg(TCP_FIN | TCP_ACK, THEM + 9, US + 7, "")); // ours was lost
    assert_string_equal(sent(&tcp, now), "A 7 10");
    assert_string_equal(sent(&tcp, now + 61 * TIME_S), "");
    assert_int_equal(tcp.state, TCP_CLOSED);
    tcp_fini(&tcp);
}

// RFC 9293 3.10.7.4: the FIN again restarts the time, and a RST must lie in the window.
static void test_tcp_time_wait_is_restarted_and_kept(void **state)
{
    (void)state;
    struct tcp tcp;
    nanotime now = 20 * TIME_MS;
    established(&tcp, &ours);
    tcp_close(&tcp, now);
    assert_string_equal(sent(&tcp, now), "FA 1 1");
    give(&tcp, now, seg(TCP_FIN | TCP_ACK, THEM + 1, US + 2, ""));
    assert_string_equal(sent(&tcp, now), "A 2 2");
    assert_int_equal(tcp.state, TCP_TIME_WAIT);
    now += 50 * TIME_S;
    give(&tcp, now, seg(TCP_FIN | TCP_ACK, THEM + 1, US + 2, "")); // ours was lost
    assert_string_equal(sent(&tcp, now), "A 2 2");
    now += 59 * TIME_S;
    assert_string_equal(sent(&tcp, now), "");
    assert_int_equal(tcp.state, TCP_TIME_WAIT);
    give(&tcp, now, seg(TCP_RST, THEM + 9000000, 0, "")); // of somebody who guesses
    (void)sent(&tcp, now);
    assert_int_equal(tcp.state, TCP_TIME_WAIT);
    give(&tcp, now, seg(TCP_RST, THEM + 2, 0, ""));
    assert_int_equal(tcp.state, TCP_CLOSED);
    tcp_fini(&tcp);
}

static void test_tcp_accept_and_be_closed(void **state)
{
    (void)state;
    struct tcp tcp;
    struct tcp_segment syn = seg(TCP_SYN, THEM, 0, "");
    tcp_accept(&tcp, &ours, 0, &syn);
    assert_string_equal(sent(&tcp, 0), "SA 0 1");
    assert_int_equal(tcp.mss, 536); // RFC 9293 3.7.1: without the option
    give(&tcp, 0, syn);             // our answer was lost
    assert_string_equal(sent(&tcp, 0), "SA 0 1");
    give(&tcp, 0, seg(TCP_ACK, THEM + 1, US + 1, ""));
    assert_int_equal(news(&tcp, NULL), TCP_OPENED);
    give(&tcp, 0, seg(TCP_FIN | TCP_ACK, THEM + 1, US + 1, ""));
    assert_int_equal(news(&tcp, NULL), TCP_ENDED);
    assert_int_equal(tcp.state, TCP_CLOSE_WAIT);
    assert_true(tcp_send(&tcp, bytes_text("last words")));
    tcp_close(&tcp, 0);
    assert_string_equal(sent(&tcp, 0), "FPA 1 2 [10]");
    assert_int_equal(tcp.state, TCP_LAST_ACK);
    give(&tcp, 0, seg(TCP_ACK, THEM + 2, US + 12, ""));
    assert_int_equal(tcp.state, TCP_CLOSED);
    tcp_fini(&tcp);
}

// RFC 9293 3.5: both connect to each other at once.
static void test_tcp_simultaneous_open(void **state)
{
    (void)state;
    struct tcp tcp;
    tcp_connect(&tcp, &ours, 0);
    sent(&tcp, 0);
    give(&tcp, 0, seg(TCP_SYN, THEM, 0, ""));
    assert_int_equal(tcp.state, TCP_SYN_RECEIVED);
    assert_string_equal(sent(&tcp, 0), "SA 0 1");
    give(&tcp, 0, seg(TCP_SYN | TCP_ACK, THEM, US + 1, ""));
    assert_string_equal(sent(&tcp, 0), "A 1 1");
    give(&tcp, 0, seg(TCP_ACK, THEM + 1, US + 1, ""));
    assert_int_equal(tcp.state, TCP_ESTABLISHED);
    tcp_fini(&tcp);
}

static void test_tcp_refused(void **state)
{
    (void)state;
    struct tcp tcp;
    tcp_connect(&tcp, &ours, 0);
    sent(&tcp, 0);
    give(&tcp, 0, seg(TCP_RST | TCP_ACK, 0, US + 99, "")); // blind: it acknowledges nothing of ours
    assert_int_equal(tcp.state, TCP_SYN_SENT);
    struct tcp_segment strange = seg(TCP_ACK, 0, US + 99, "");
    assert_false(tcp_input(&tcp, 0, &strange)); // RFC 9293 3.10.7.3: it gets a RST
    give(&tcp, 0, seg(TCP_RST | TCP_ACK, 0, US + 1, ""));
    assert_int_equal(news(&tcp, NULL), TCP_ENDED);
    assert_int_equal(tcp.end, TCP_END_REFUSED);
    assert_int_equal(tcp_deadline(&tcp), TIME_NEVER);
    tcp_fini(&tcp);
}

// RFC 5961: a RST or SYN that merely lies in the window is asked about.
static void test_tcp_blind_attacks(void **state)
{
    (void)state;
    struct tcp tcp;
    nanotime now = 20 * TIME_MS;
    established(&tcp, &ours);
    give(&tcp, now, seg(TCP_RST, THEM + 100, 0, ""));
    assert_string_equal(sent(&tcp, now), "A 1 1");
    give(&tcp, now, seg(TCP_SYN, THEM + 100, 0, ""));
    assert_string_equal(sent(&tcp, now), "A 1 1");
    give(&tcp, now, seg(TCP_RST, THEM + 70000, 0, "")); // outside of it: nothing
    assert_string_equal(sent(&tcp, now), "");
    give(&tcp, now, seg(TCP_ACK, THEM + 1, US + 5000, "data")); // of what was never sent
    assert_string_equal(sent(&tcp, now), "A 1 1");
    assert_int_equal(news(&tcp, NULL), TCP_NO_NEWS);
    give(&tcp, now, seg(0, THEM + 1, 0, "no ACK"));
    assert_int_equal(news(&tcp, NULL), TCP_NO_NEWS);
    give(&tcp, now, seg(TCP_RST, THEM + 1, 0, ""));
    assert_int_equal(news(&tcp, NULL), TCP_ENDED);
    assert_int_equal(tcp.end, TCP_END_RESET);
    struct tcp_segment late = seg(TCP_ACK, THEM + 1, US + 1, "late");
    assert_false(tcp_input(&tcp, now, &late));
    tcp_fini(&tcp);
}

// RFC 6298 5: the timer doubles; RFC 5681 3.1: the window is one segment then.
static void test_tcp_timeout_backs_off(void **state)
{
    (void)state;
    static const uint8_t data[10000];
    struct tcp tcp;
    nanotime now = TIME_S;
    established(&tcp, &ours);
    assert_true(tcp_send(&tcp, bytes_of(data, sizeof data)));
    assert_string_equal(sent(&tcp, now), "A 1 1 [1000], A 1001 1 [1000], A 2001 1 [1000], "
                                         "A 3001 1 [1000]"); // RFC 5681 3.1: four of this size
    assert_int_equal(tcp_deadline(&tcp), now + 200 * TIME_MS);
    now += 200 * TIME_MS;
    assert_string_equal(sent(&tcp, now), "A 1 1 [1000]");
    assert_int_equal(tcp_deadline(&tcp), now + 400 * TIME_MS);
    now += 400 * TIME_MS;
    assert_string_equal(sent(&tcp, now), "A 1 1 [1000]");
    assert_int_equal(tcp_deadline(&tcp), now + 800 * TIME_MS);
    give(&tcp, now, seg(TCP_ACK, THEM + 1, US + 1001, ""));
    assert_string_equal(sent(&tcp, now), "A 1001 1 [1000], A 2001 1 [1000]"); // slow start
    tcp_fini(&tcp);
}

// RFC 6298 5.7: after a SYN that was sent again nothing is known of the round trip.
static void test_tcp_timeout_after_a_lost_syn(void **state)
{
    (void)state;
    struct tcp tcp;
    tcp_connect(&tcp, &ours, 0);
    assert_string_equal(sent(&tcp, 0), "S 0 0");
    assert_string_equal(sent(&tcp, TIME_S), "S 0 0");
    nanotime now = TIME_S + 10 * TIME_MS;
    struct tcp_segment answer = seg(TCP_SYN | TCP_ACK, THEM, US + 1, "");
    answer.mss = 1000;
    give(&tcp, now, answer);
    assert_string_equal(sent(&tcp, now), "A 1 1");
    assert_true(tcp_send(&tcp, bytes_text("hello")));
    assert_string_equal(sent(&tcp, now), "PA 1 1 [5]");
    assert_int_equal(tcp_deadline(&tcp), now + 3 * TIME_S);
    tcp_fini(&tcp);
}

// RFC 5681 3.2, RFC 3042, RFC 6582.
static void test_tcp_fast_retransmit(void **state)
{
    (void)state;
    static const uint8_t data[20000];
    struct tcp tcp;
    nanotime now = TIME_S;
    established(&tcp, &ours);
    assert_true(tcp_send(&tcp, bytes_of(data, sizeof data)));
    sent(&tcp, now);
    give(&tcp, now, seg(TCP_ACK, THEM + 1, US + 1, ""));
    assert_string_equal(sent(&tcp, now), "A 4001 1 [1000]");
    give(&tcp, now, seg(TCP_ACK, THEM + 1, US + 1, ""));
    assert_string_equal(sent(&tcp, now), "A 5001 1 [1000]");
    give(&tcp, now, seg(TCP_ACK, THEM + 1, US + 1, ""));
    assert_string_equal(sent(&tcp, now), "A 1 1 [1000]");
    assert_int_equal(tcp.stats.fast_retransmits, 1);
    give(&tcp, now, seg(TCP_ACK, THEM + 1, US + 2001, "")); // partial: the next is missing, too
    assert_true(strncmp(sent(&tcp, now), "A 2001 1 [1000]", 15) == 0);
    give(&tcp, now, seg(TCP_ACK, THEM + 1, US + 6001, ""));
    assert_false(tcp.recovering);
    assert_int_equal(tcp.stats.timeouts, 0);
    tcp_fini(&tcp);
}

// Flow control: a window that closes is probed, and what was held goes when it opens.
static void test_tcp_closed_window_is_probed(void **state)
{
    (void)state;
    struct tcp tcp;
    nanotime now = TIME_S;
    established(&tcp, &ours);
    struct tcp_segment shut = seg(TCP_ACK, THEM + 1, US + 1, "");
    shut.window = 0;
    give(&tcp, now, shut);
    assert_true(tcp_send(&tcp, bytes_text("patience")));
    assert_string_equal(sent(&tcp, now), "");
    for (int i = 0; i < 40; i++) { // as long as it takes
        now = tcp_deadline(&tcp);
        assert_string_equal(sent(&tcp, now), "A 1 1 [1]");
        give(&tcp, now, shut);
    }
    assert_int_equal(tcp.state, TCP_ESTABLISHED);
    give(&tcp, now, seg(TCP_ACK, THEM + 1, US + 1, ""));
    assert_string_equal(sent(&tcp, now), "PA 1 1 [8]");
    tcp_fini(&tcp);
}

// Ours closes when nobody reads, and opens by word.
static void test_tcp_own_window_closes_and_opens(void **state)
{
    (void)state;
    struct tcp_config small = {.iss = US, .mss = 1000, .receive_max = 4000};
    static uint8_t data[1000];
    struct tcp tcp;
    struct tcp_segment out;
    nanotime now = TIME_S;
    established(&tcp, &small);
    for (uint32_t i = 0; i < 4; i++) {
        struct tcp_segment full = seg(TCP_ACK, THEM + 1 + i * 1000, US + 1, "");
        full.payload[0] = bytes_of(data, sizeof data);
        give(&tcp, now, full);
        while (tcp_poll(&tcp, now, &out))
            assert_int_equal(out.window, 3000 - i * 1000);
    }
    give(&tcp, now, seg(TCP_ACK, THEM + 4001, US + 1, "x")); // a probe
    assert_string_equal(sent(&tcp, now), "A 1 4001");
    assert_int_equal(tcp.in.len, 4000);
    assert_int_equal(news(&tcp, NULL), TCP_BYTES);
    assert_int_equal(news(&tcp, NULL), TCP_NO_NEWS); // read
    assert_true(tcp_poll(&tcp, now, &out));
    assert_int_equal(out.window, 4000);
    tcp_fini(&tcp);
}

static void test_tcp_out_of_order_is_bounded(void **state)
{
    (void)state;
    struct tcp tcp;
    struct text got = {0};
    struct bytes bytes;
    nanotime now = TIME_S;
    established(&tcp, &ours);
    for (uint32_t i = 0; i < 100; i++) { // each second byte
        give(&tcp, now, seg(TCP_ACK, THEM + 2 + 2 * i, US + 1, "o"));
        assert_string_equal(sent(&tcp, now), "A 1 1"); // RFC 5681 4.2: at once
    }
    assert_int_equal(tcp.ranges_count, TCP_RANGES_MAX);
    assert_int_equal(tcp.stats.refused_pieces, 100 - TCP_RANGES_MAX);
    for (uint32_t i = 0; i < 100; i++) {
        give(&tcp, now, seg(TCP_ACK, THEM + 1 + 2 * i, US + 1, "eo"));
        while (tcp_news(&tcp, &bytes) == TCP_BYTES)
            text_add(&got, bytes);
        sent(&tcp, now);
    }
    assert_int_equal(got.len, 200);
    for (size_t i = 0; i < got.len; i++)
        assert_int_equal(got.at[i], "eo"[i % 2]);
    assert_int_equal(tcp.ranges_count, 0);
    text_free(&got);
    tcp_fini(&tcp);
}

// Duplicates, overlaps, what is beyond the window, and nothing behind a FIN.
static void test_tcp_overlaps(void **state)
{
    (void)state;
    struct tcp tcp;
    nanotime now = TIME_S;
    established(&tcp, &ours);
    give(&tcp, now, seg(TCP_ACK, THEM + 5, US + 1, "efgh"));
    give(&tcp, now, seg(TCP_ACK, THEM + 3, US + 1, "cdef"));
    give(&tcp, now, seg(TCP_ACK, THEM + 1, US + 1, "abcd"));
    assert_int_equal(news(&tcp, "abcdefgh"), TCP_BYTES);
    give(&tcp, now, seg(TCP_ACK, THEM + 1, US + 1, "abcd"));
    give(&tcp, now, seg(TCP_ACK, THEM + 1 + 65535 + 8, US + 1, "beyond"));
    give(&tcp, now, seg(TCP_FIN | TCP_ACK, THEM + 11, US + 1, ""));
    give(&tcp, now, seg(TCP_ACK, THEM + 9, US + 1, "ijklm"));
    assert_int_equal(news(&tcp, "ij"), TCP_BYTES);
    assert_int_equal(news(&tcp, NULL), TCP_ENDED);
    assert_string_equal(sent(&tcp, now), "A 1 12");
    tcp_fini(&tcp);
}

static void test_tcp_abort(void **state)
{
    (void)state;
    struct tcp tcp;
    established(&tcp, &ours);
    tcp_abort(&tcp);
    assert_string_equal(sent(&tcp, TIME_S), "RA 1 1");
    assert_string_equal(sent(&tcp, TIME_S), "");
    assert_int_equal(tcp_room(&tcp), 0);
    tcp_fini(&tcp);
    tcp_connect(&tcp, &ours, 0);
    tcp_abort(&tcp); // nobody knows of it
    assert_string_equal(sent(&tcp, 0), "");
    tcp_fini(&tcp);
}

static void test_tcp_headers(void **state)
{
    (void)state;
    static const struct tcp_segment made = {
        .seq = 1, .ack = 2, .window = 3, .mss = 1460, .flags = TCP_SYN | TCP_ACK};
    uint8_t packet[TCP_HEADER_MAX + 3] = {0};
    struct bytes header = tcp_segment_encode(&made, packet + 4);
    assert_int_equal(header.len, TCP_HEADER_MAX - 4);
    struct tcp_segment got, rst;
    assert_true(tcp_segment_decode(bytes_of(packet, sizeof packet), &got));
    assert_int_equal(got.seq, 1);
    assert_int_equal(got.ack, 2);
    assert_int_equal(got.window, 3);
    assert_int_equal(got.mss, 1460);
    assert_int_equal(got.flags, TCP_SYN | TCP_ACK);
    assert_int_equal(got.payload[0].len, 3);
    for (size_t len = 0; len < TCP_HEADER_MAX; len++)
        assert_false(tcp_segment_decode(bytes_of(packet, len), &got));
    struct rng rng = rng_seed(1, "options"); // any options: read or not, never beyond
    for (int i = 0; i < 5000; i++) {
        uint8_t any[60];
        rng_fill(&rng, any, sizeof any);
        (void)tcp_segment_decode(bytes_of(any, rng_below(&rng, sizeof any + 1)), &got);
    }
    struct tcp_segment lost = seg(TCP_SYN, 7, 0, "");
    assert_true(tcp_segment_refuse(&lost, &rst));
    assert_int_equal(rst.flags, TCP_RST | TCP_ACK);
    assert_int_equal(rst.ack, 8);
    lost.flags = TCP_RST;
    assert_false(tcp_segment_refuse(&lost, &rst));
}

// Whatever segments come, in any state: it ends, within its memory, and never waits for the past.
static void test_tcp_survives_chance(void **state)
{
    (void)state;
    struct rng rng = rng_seed(1, "segments");
    static const uint8_t data[3000];
    for (int round = 0; round < 3000; round++) {
        struct tcp tcp;
        struct bytes bytes;
        nanotime now = 0;
        struct tcp_segment syn = seg(TCP_SYN, THEM, 0, "");
        if (round % 2)
            tcp_connect(&tcp, &ours, 0);
        else
            tcp_accept(&tcp, &ours, 0, &syn);
        for (int i = 0; i < 60; i++) {
            struct tcp_segment any = {
                .seq = THEM + (uint32_t)rng_below(&rng, 4) * 500 - (uint32_t)rng_below(&rng, 3),
                .ack = US + (uint32_t)rng_below(&rng, 3000),
                .window = (uint16_t)rng_below(&rng, 5000),
                .mss = (uint16_t)rng_below(&rng, 2000),
                .flags = (uint8_t)(rng_below(&rng, 4) ? TCP_ACK : rng_below(&rng, 32)),
                .payload = {bytes_of(data, rng_below(&rng, sizeof data))}};
            if (rng_below(&rng, 3) == 0)
                any.ack = tcp.max;
            (void)tcp_input(&tcp, now, &any);
            sent(&tcp, now);
            if (rng_below(&rng, 2))
                (void)tcp_send(&tcp, bytes_of(data, rng_below(&rng, sizeof data)));
            if (rng_below(&rng, 20) == 0)
                tcp_close(&tcp, now);
            while (rng_below(&rng, 2) && tcp_news(&tcp, &bytes) != TCP_NO_NEWS)
                continue;
            now += (nanotime)rng_below(&rng, (uint64_t)TIME_S);
            sent(&tcp, now);
        }
        tcp_fini(&tcp);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp_time_wait_is_restarted_and_kept),
        cmocka_unit_test(test_tcp_timeout_after_a_lost_syn),
        cmocka_unit_test(test_tcp_connect_and_close),
        cmocka_unit_test(test_tcp_accept_and_be_closed),
        cmocka_unit_test(test_tcp_simultaneous_open),
        cmocka_unit_test(test_tcp_refused),
        cmocka_unit_test(test_tcp_blind_attacks),
        cmocka_unit_test(test_tcp_timeout_backs_off),
        cmocka_unit_test(test_tcp_fast_retransmit),
        cmocka_unit_test(test_tcp_closed_window_is_probed),
        cmocka_unit_test(test_tcp_own_window_closes_and_opens),
        cmocka_unit_test(test_tcp_out_of_order_is_bounded),
        cmocka_unit_test(test_tcp_overlaps),
        cmocka_unit_test(test_tcp_abort),
        cmocka_unit_test(test_tcp_headers),
        cmocka_unit_test(test_tcp_survives_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
