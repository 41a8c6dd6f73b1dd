// What is asked for, when, how often, and when it is given up.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "stack/rtp/nack.h"

#define RTT (40 * TIME_MS)
#define AGAIN (RTT + RTT / 4)

static struct nack *new_at(int64_t sequence)
{
    struct nack *n = nack_new();
    nack_set_rtt(n, RTT);
    nack_packet(n, 0, sequence);
    return n;
}

// Exactly the `count` sequences from `first` on are due.
static void check_poll(struct nack *n, nanotime now, uint16_t first, size_t count)
{
    uint16_t missing[NACK_MISSING_MAX];
    assert_int_equal(nack_poll(n, now, missing, NACK_MISSING_MAX), count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(missing[i], (uint16_t)(first + i));
}

static void test_nack_nothing_is_missed_in_order(void **state)
{
    (void)state;
    struct nack *n = nack_new();
    assert_true(nack_deadline(n) == TIME_NEVER);
    for (int64_t sequence = 500; sequence < 600; sequence++)
        nack_packet(n, sequence * TIME_MS, sequence);
    assert_int_equal(nack_missing(n), 0);
    assert_true(nack_deadline(n) == TIME_NEVER);
    check_poll(n, TIME_S, 0, 0);
    assert_false(nack_gave_up(n));
    nack_free(n);
    nack_free(NULL);

    n = new_at(0); // also below the first number that there is
    nack_packet(n, 0, 0);
    nack_packet(n, 0, -1);
    assert_int_equal(nack_missing(n), 0);
    assert_false(nack_gave_up(n));
    nack_packet(n, 0, NACK_GAP_MAX + 1); // a jump from there
    assert_int_equal(nack_missing(n), 0);
    assert_true(nack_gave_up(n));
    nack_free(n);
}

// What is late by less than NACK_REORDER is never asked for.
static void test_nack_reordering_is_no_loss(void **state)
{
    (void)state;
    struct nack *n = new_at(10);
    nack_packet(n, TIME_MS, 13);
    assert_int_equal(nack_missing(n), 2);
    assert_true(nack_deadline(n) == TIME_MS + NACK_REORDER);
    check_poll(n, NACK_REORDER, 0, 0);
    nack_packet(n, NACK_REORDER, 11);
    nack_packet(n, NACK_REORDER, 11);
    nack_packet(n, NACK_REORDER, 9); // older than all
    assert_int_equal(nack_missing(n), 1);
    check_poll(n, TIME_MS + NACK_REORDER, 12, 1);
    nack_free(n);
}

static void test_nack_asks_again_after_a_round_trip(void **state)
{
    (void)state;
    struct nack *n = new_at(10);
    nack_packet(n, 0, 12);
    check_poll(n, NACK_REORDER, 11, 1);
    assert_true(nack_deadline(n) == NACK_REORDER + AGAIN);
    check_poll(n, NACK_REORDER + AGAIN - 1, 0, 0);
    check_poll(n, NACK_REORDER + AGAIN, 11, 1);
    nack_set_rtt(n, 2 * RTT); // from the next time on
    check_poll(n, NACK_REORDER + 2 * AGAIN, 11, 1);
    assert_true(nack_deadline(n) == NACK_REORDER + 4 * AGAIN);
    nack_free(n);
}

// A path without delay: not more often than each 25 ms.
static void test_nack_asks_again_no_faster_on_a_short_path(void **state)
{
    (void)state;
    struct nack *n = new_at(10);
    nack_set_rtt(n, 0);
    nack_packet(n, 0, 12);
    check_poll(n, NACK_REORDER, 11, 1);
    assert_true(nack_deadline(n) == NACK_REORDER + 25 * TIME_MS);
    nack_free(n);
}

static void test_nack_recovered_packet_is_not_asked_for(void **state)
{
    (void)state;
    struct nack *n = new_at(10);
    nack_packet(n, 0, 15);
    check_poll(n, NACK_REORDER, 11, 4);
    nack_packet(n, NACK_REORDER + RTT, 12);
    assert_int_equal(nack_missing(n), 3);
    uint16_t missing[4];
    assert_int_equal(nack_poll(n, NACK_REORDER + AGAIN, missing, 4), 3);
    assert_int_equal(missing[0], 11);
    assert_int_equal(missing[1], 13);
    assert_int_equal(missing[2], 14);
    nack_packet(n, TIME_S / 2, 14);
    nack_packet(n, TIME_S / 2, 13);
    nack_packet(n, TIME_S / 2, 11);
    assert_int_equal(nack_missing(n), 0);
    assert_true(nack_deadline(n) == TIME_NEVER);
    assert_false(nack_gave_up(n));
    nack_free(n);
}

// NACK_TRIES times, and a round trip for the last of them: then it is given up, at a deadline.
static void test_nack_gives_up_after_tries(void **state)
{
    (void)state;
    struct nack *n = new_at(10);
    nack_packet(n, 0, 12);
    nanotime now = 0;
    for (unsigned i = 0; i < NACK_TRIES; i++) {
        now = nack_deadline(n);
        assert_true(now == NACK_REORDER + i * AGAIN);
        check_poll(n, now, 11, 1);
        check_poll(n, now + 1, 0, 0); // polled for another reason: the answer is on its way
        assert_int_equal(nack_missing(n), 1);
        assert_false(nack_gave_up(n));
    }
    now = nack_deadline(n);
    assert_true(now == NACK_REORDER + NACK_TRIES * AGAIN);
    check_poll(n, now, 0, 0);
    assert_int_equal(nack_missing(n), 0);
    assert_true(nack_gave_up(n));
    assert_false(nack_gave_up(n)); // once
    assert_true(nack_deadline(n) == TIME_NEVER);
    nack_free(n);
}

// On a long path age comes first, and is not overslept until the next time to ask.
static void test_nack_gives_up_by_age(void **state)
{
    (void)state;
    struct nack *n = new_at(10);
    nack_set_rtt(n, 600 * TIME_MS);
    nack_packet(n, 0, 12);
    check_poll(n, NACK_REORDER, 11, 1);
    check_poll(n, NACK_REORDER + 750 * TIME_MS, 11, 1);
    assert_true(nack_deadline(n) == NACK_AGE);
    check_poll(n, NACK_AGE - 1, 0, 0);
    assert_false(nack_gave_up(n));
    check_poll(n, NACK_AGE, 0, 0);
    assert_int_equal(nack_missing(n), 0);
    assert_true(nack_gave_up(n));
    nack_free(n);
}

static void test_nack_jump_is_another_stream(void **state)
{
    (void)state;
    struct nack *n = new_at(10);
    nack_packet(n, 0, 12);
    assert_int_equal(nack_missing(n), 1);
    nack_packet(n, 0, 12 + NACK_GAP_MAX + 1);
    assert_int_equal(nack_missing(n), 0);
    assert_true(nack_gave_up(n));
    nack_packet(n, 0, 12 + NACK_GAP_MAX + 3); // and goes on from there
    check_poll(n, NACK_REORDER, 12 + NACK_GAP_MAX + 2, 1);
    assert_false(nack_gave_up(n));
    nack_free(n);
}

// The oldest give way: in one gap that is too long, and in many.
static void test_nack_full_table_gives_up_the_oldest(void **state)
{
    (void)state;
    struct nack *n = new_at(10);
    nack_packet(n, 0, 10 + NACK_MISSING_MAX + 1); // just as many as there is room for
    assert_int_equal(nack_missing(n), NACK_MISSING_MAX);
    assert_false(nack_gave_up(n));
    nack_packet(n, 0, 10 + NACK_MISSING_MAX + 4); // two more
    assert_int_equal(nack_missing(n), NACK_MISSING_MAX);
    assert_true(nack_gave_up(n));
    uint16_t missing[NACK_MISSING_MAX];
    assert_int_equal(nack_poll(n, NACK_REORDER, missing, NACK_MISSING_MAX), NACK_MISSING_MAX);
    assert_int_equal(missing[0], 13);
    assert_int_equal(missing[NACK_MISSING_MAX - 1], 10 + NACK_MISSING_MAX + 3);
    nack_free(n);

    n = new_at(10);
    nack_packet(n, 0, 10 + NACK_GAP_MAX);
    assert_true(nack_gave_up(n));
    check_poll(n, NACK_REORDER, 10 + NACK_GAP_MAX - NACK_MISSING_MAX, NACK_MISSING_MAX);
    nack_free(n);
}

// What does not fit into one message stays due.
static void test_nack_poll_takes_no_more_than_asked(void **state)
{
    (void)state;
    struct nack *n = new_at(10);
    nack_packet(n, 0, 16);
    uint16_t missing[3];
    assert_int_equal(nack_poll(n, NACK_REORDER, missing, 3), 3);
    assert_int_equal(missing[2], 13);
    assert_true(nack_deadline(n) == NACK_REORDER);
    assert_int_equal(nack_poll(n, NACK_REORDER, missing, 3), 2);
    assert_int_equal(missing[0], 14);
    assert_true(nack_deadline(n) == NACK_REORDER + AGAIN);
    nack_free(n);
}

static void test_nack_forget(void **state)
{
    (void)state;
    struct nack *n = new_at(10);
    nack_packet(n, 0, 16);
    nack_forget(n, 9);
    assert_int_equal(nack_missing(n), 5);
    nack_forget(n, 13);
    check_poll(n, NACK_REORDER, 14, 2);
    nack_forget(n, 20); // further than what came
    assert_int_equal(nack_missing(n), 0);
    nack_packet(n, 0, 23);
    check_poll(n, NACK_REORDER, 21, 2);
    assert_false(nack_gave_up(n)); // nobody needs these
    nack_free(n);
}

// Unwrapped sequences in, those of the wire out.
static void test_nack_over_the_wrap(void **state)
{
    (void)state;
    struct nack *n = new_at(65533);
    nack_packet(n, 0, rtp_unwrap(65533, 2));
    check_poll(n, NACK_REORDER, 65534, 4); // 65534, 65535, 0, 1
    nack_packet(n, 0, rtp_unwrap(65538, 65535));
    nack_packet(n, 0, rtp_unwrap(65538, 0));
    assert_int_equal(nack_missing(n), 2);
    nack_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nack_nothing_is_missed_in_order),
        cmocka_unit_test(test_nack_reordering_is_no_loss),
        cmocka_unit_test(test_nack_asks_again_after_a_round_trip),
        cmocka_unit_test(test_nack_asks_again_no_faster_on_a_short_path),
        cmocka_unit_test(test_nack_recovered_packet_is_not_asked_for),
        cmocka_unit_test(test_nack_gives_up_after_tries),
        cmocka_unit_test(test_nack_gives_up_by_age),
        cmocka_unit_test(test_nack_jump_is_another_stream),
        cmocka_unit_test(test_nack_full_table_gives_up_the_oldest),
        cmocka_unit_test(test_nack_poll_takes_no_more_than_asked),
        cmocka_unit_test(test_nack_forget),
        cmocka_unit_test(test_nack_over_the_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
