// Packets kept for those who ask again: by number, by age, once a round trip.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "stack/rtp/rtp_history.h"

#define RTT (40 * TIME_MS)
#define SOON (RTT - RTT / 8) // asked for again before that: not sent again

static void put(struct rtp_history *h, nanotime now, uint16_t sequence)
{
    const uint8_t packet[] = {(uint8_t)(sequence >> 8), (uint8_t)sequence, 7};
    rtp_history_put(h, now, sequence, bytes_of(packet, sizeof packet));
}

static void check_found(struct rtp_history *h, nanotime now, uint16_t sequence)
{
    struct bytes packet;
    assert_int_equal(rtp_history_get(h, now, sequence, &packet), RTP_HISTORY_FOUND);
    assert_int_equal(packet.len, 3);
    assert_int_equal(packet.at[0] << 8 | packet.at[1], sequence);
}

static void check_not(struct rtp_history *h, nanotime now, uint16_t sequence,
                      enum rtp_history_outcome expected)
{
    struct bytes packet = bytes_text("before");
    assert_int_equal(rtp_history_get(h, now, sequence, &packet), expected);
    assert_int_equal(packet.len, 0);
}

static void test_rtp_history_gives_what_was_sent(void **state)
{
    (void)state;
    struct rtp_history *h = rtp_history_new();
    check_not(h, 0, 0, RTP_HISTORY_GONE); // an empty place is not packet 0
    assert_int_equal(rtp_history_newest(h).len, 0);
    put(h, 0, 65535);
    put(h, 0, 0);
    put(h, 0, 1);
    check_found(h, TIME_MS, 65535);
    check_found(h, TIME_MS, 0);
    check_not(h, TIME_MS, 2, RTP_HISTORY_GONE);
    struct bytes newest = rtp_history_newest(h);
    assert_int_equal(newest.len, 3);
    assert_int_equal(newest.at[1], 1);
    rtp_history_free(h);
    rtp_history_free(NULL);
}

// It is given to those who ask, and never repeated for a probe.
static void test_rtp_history_put_aside_is_never_the_newest(void **state)
{
    (void)state;
    struct rtp_history *h = rtp_history_new();
    put(h, 0, 5);
    const uint8_t packet[] = {0, 6, 7};
    rtp_history_put_aside(h, 0, 6, bytes_of(packet, sizeof packet));
    check_found(h, TIME_MS, 6);
    assert_int_equal(rtp_history_newest(h).at[1], 5);
    const uint8_t over[] = {4, 5, 7}; // in the place of 5
    rtp_history_put_aside(h, 0, 5 + RTP_HISTORY_PACKETS, bytes_of(over, sizeof over));
    assert_int_equal(rtp_history_newest(h).len, 0);
    rtp_history_free(h);
}

static void test_rtp_history_age(void **state)
{
    (void)state;
    struct rtp_history *h = rtp_history_new();
    put(h, TIME_S, 5);
    put(h, TIME_S, 6);
    check_found(h, TIME_S + RTP_HISTORY_AGE, 5);
    check_not(h, TIME_S + RTP_HISTORY_AGE + 1, 5, RTP_HISTORY_GONE);
    check_not(h, TIME_S + RTP_HISTORY_AGE + 1, 6, RTP_HISTORY_GONE);
    put(h, 4 * TIME_S, 6); // the number comes round again
    check_found(h, 4 * TIME_S, 6);
    rtp_history_free(h);
}

// The ring holds RTP_HISTORY_PACKETS; one more takes the place of the first, and all of its state.
static void test_rtp_history_overwrites_the_oldest(void **state)
{
    (void)state;
    struct rtp_history *h = rtp_history_new();
    for (unsigned i = 0; i < RTP_HISTORY_PACKETS; i++)
        put(h, 0, (uint16_t)(65000 + i));
    check_found(h, 0, 65000);
    check_found(h, 0, (uint16_t)(65000 + RTP_HISTORY_PACKETS - 1));
    put(h, 0, (uint16_t)(65000 + RTP_HISTORY_PACKETS));
    check_not(h, 0, 65000, RTP_HISTORY_GONE);
    rtp_history_resent(h, 0, 65000); // too late: the place is another's
    check_found(h, 0, (uint16_t)(65000 + RTP_HISTORY_PACKETS));
    check_found(h, 0, 65001);
    rtp_history_free(h);
}

// Found once; then soon until it went out, and for a round trip (a little less) after that.
static void test_rtp_history_gives_once_a_round_trip(void **state)
{
    (void)state;
    struct rtp_history *h = rtp_history_new();
    rtp_history_set_rtt(h, RTT);
    put(h, 0, 5);
    check_found(h, RTT, 5);
    check_not(h, RTT, 5, RTP_HISTORY_SOON);
    check_not(h, 10 * RTT, 5, RTP_HISTORY_SOON); // still waits to be sent
    rtp_history_resent(h, 10 * RTT, 5);
    check_not(h, 10 * RTT, 5, RTP_HISTORY_SOON);
    check_not(h, 10 * RTT + SOON - 1, 5, RTP_HISTORY_SOON);
    check_found(h, 10 * RTT + SOON, 5);
    rtp_history_resent(h, 11 * RTT, 5);
    check_not(h, 11 * RTT + SOON - 1, 5, RTP_HISTORY_SOON);
    rtp_history_set_rtt(h, RTT / 2); // a shorter path is followed at once
    check_found(h, 11 * RTT + SOON - 1, 5);
    rtp_history_free(h);
}

// Nobody told a round trip: 50 ms.
static void test_rtp_history_round_trip_unknown(void **state)
{
    (void)state;
    struct rtp_history *h = rtp_history_new();
    put(h, 0, 5);
    check_found(h, 0, 5);
    rtp_history_resent(h, 0, 5);
    rtp_history_resent(h, 0, 6); // never sent
    check_not(h, 43 * TIME_MS, 5, RTP_HISTORY_SOON);
    check_found(h, 44 * TIME_MS, 5);
    check_not(h, 44 * TIME_MS, 6, RTP_HISTORY_GONE);
    rtp_history_free(h);
}

static void test_rtp_history_copies_the_longest(void **state)
{
    (void)state;
    struct rtp_history *h = rtp_history_new();
    uint8_t packet[RTP_PACKET_MAX];
    for (size_t i = 0; i < sizeof packet; i++)
        packet[i] = (uint8_t)(i * 7);
    rtp_history_put(h, 0, 5, bytes_of(packet, sizeof packet));
    packet[RTP_PACKET_MAX - 1] ^= 1; // the caller's again
    struct bytes got;
    assert_int_equal(rtp_history_get(h, 0, 5, &got), RTP_HISTORY_FOUND);
    assert_int_equal(got.len, RTP_PACKET_MAX);
    assert_memory_equal(got.at, packet, RTP_PACKET_MAX - 1);
    assert_int_equal(got.at[RTP_PACKET_MAX - 1], packet[RTP_PACKET_MAX - 1] ^ 1);
    put(h, 0, 5); // a shorter one in its place
    check_found(h, 0, 5);
    rtp_history_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rtp_history_gives_what_was_sent),
        cmocka_unit_test(test_rtp_history_put_aside_is_never_the_newest),
        cmocka_unit_test(test_rtp_history_age),
        cmocka_unit_test(test_rtp_history_overwrites_the_oldest),
        cmocka_unit_test(test_rtp_history_gives_once_a_round_trip),
        cmocka_unit_test(test_rtp_history_round_trip_unknown),
        cmocka_unit_test(test_rtp_history_copies_the_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
