#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stack/congestion/arrival.h"

static struct arrival_result results[ARRIVAL_TAKE_MAX];

static void test_arrival_reports_gaps_and_times(void **state)
{
    (void)state;
    struct arrival *arrival = arrival_new();
    assert_true(arrival_deadline(arrival) == TIME_NEVER);
    assert_int_equal(arrival_take(arrival, 0, results, 8), 0);
    arrival_packet(arrival, 10 * TIME_MS + 300 * TIME_US, 65534, 100);
    arrival_packet(arrival, 11 * TIME_MS, 65535, 100);
    arrival_packet(arrival, 12 * TIME_MS, 1, 100); // 0 is missing, and the count wraps
    assert_true(arrival_due(arrival, 12 * TIME_MS));
    assert_int_equal(arrival_take(arrival, 12 * TIME_MS, results, ARRIVAL_TAKE_MAX), 4);
    assert_int_equal(results[0].sequence, 65534);
    assert_true(results[0].received_at == 10 * TIME_MS + 250 * TIME_US); // units of 250 us
    assert_int_equal(results[2].sequence, 0);
    assert_false(results[2].received);
    assert_int_equal(results[3].sequence, 1);
    assert_true(results[3].received);
    assert_true(arrival_deadline(arrival) == TIME_NEVER);
    arrival_free(arrival);
}

// draft-holmer 3.1.1: the base goes back; what was told before is not told again.
static void test_arrival_late_packet_is_reported_later(void **state)
{
    (void)state;
    struct arrival *arrival = arrival_new();
    for (uint16_t i = 10; i < 15; i++)
        if (i != 12)
            arrival_packet(arrival, i * TIME_MS, i, 100);
    assert_int_equal(arrival_take(arrival, 20 * TIME_MS, results, ARRIVAL_TAKE_MAX), 5);
    assert_int_equal(arrival_packet(arrival, 21 * TIME_MS, 12, 100), ARRIVAL_NOTED);
    assert_int_equal(arrival_packet(arrival, 22 * TIME_MS, 12, 100), ARRIVAL_DUPLICATE);
    assert_int_equal(arrival_packet(arrival, 22 * TIME_MS, 15, 100), ARRIVAL_NOTED);
    assert_true(arrival_deadline(arrival) == 120 * TIME_MS); // 100 ms after the last
    assert_false(arrival_due(arrival, 119 * TIME_MS));
    assert_int_equal(arrival_take(arrival, 120 * TIME_MS, results, ARRIVAL_TAKE_MAX), 4);
    assert_int_equal(results[0].sequence, 12);
    assert_true(results[0].received && results[3].received);
    assert_false(results[1].received || results[2].received);
    arrival_free(arrival);
}

static void test_arrival_max_one_each(void **state)
{
    (void)state;
    struct arrival *arrival = arrival_new();
    arrival_packet(arrival, 0, 5, 100);
    arrival_packet(arrival, 0, 9, 100);
    assert_int_equal(arrival_take(arrival, 0, results, 1), 1);
    assert_int_equal(results[0].sequence, 5);
    assert_true(arrival_due(arrival, 0)); // the rest is due at once
    assert_int_equal(arrival_take(arrival, 0, results, 1), 1);
    assert_int_equal(results[0].sequence, 9);
    assert_int_equal(arrival_take(arrival, 0, results, 1), 0);
    arrival_free(arrival);
}

static void test_arrival_window_is_bounded(void **state)
{
    (void)state;
    struct arrival *arrival = arrival_new();
    arrival_packet(arrival, 0, 100, 100);
    arrival_packet(arrival, 0, 100 + ARRIVAL_WINDOW, 100); // pushes 100 out, untold
    assert_int_equal(arrival_stats(arrival)->skipped, 1);
    assert_int_equal(arrival_packet(arrival, 0, 100, 100), ARRIVAL_TOO_OLD);
    assert_int_equal(arrival_packet(arrival, 0, 101, 100), ARRIVAL_NOTED);
    unsigned n = arrival_take(arrival, 0, results, ARRIVAL_TAKE_MAX);
    assert_int_equal(n,
                     1); // 101; all after it is one long gap, which the next begins near the end of
    assert_int_equal(results[0].sequence, 101);
    n = arrival_take(arrival, 0, results, ARRIVAL_TAKE_MAX);
    assert_int_equal(n, ARRIVAL_TAKE_MAX);
    assert_true(results[n - 1].received);
    arrival_free(arrival);
}

// A delta has 16 bits of 250 us: 8.19 s.
static void test_arrival_long_pause_starts_another_feedback(void **state)
{
    (void)state;
    struct arrival *arrival = arrival_new();
    arrival_packet(arrival, 0, 1, 100);
    arrival_packet(arrival, 9 * TIME_S, 2, 100);
    assert_int_equal(arrival_take(arrival, 9 * TIME_S, results, ARRIVAL_TAKE_MAX), 1);
    assert_int_equal(arrival_take(arrival, 9 * TIME_S, results, ARRIVAL_TAKE_MAX), 1);
    assert_int_equal(results[0].sequence, 2);
    arrival_free(arrival);
}

// 68 bytes at 5 % of 100 kbit/s: 544 / 5000 = 108.8 ms.
static void test_arrival_interval_follows_rate(void **state)
{
    (void)state;
    static const struct {
        uint32_t bps;
        nanotime interval;
    } rows[] = {{0, 100 * TIME_MS},
                {1000, 250 * TIME_MS},
                {100000, 108800 * TIME_US},
                {1000000, 50 * TIME_MS}};
    for (unsigned i = 0; i < 4; i++) {
        struct arrival *arrival = arrival_new();
        arrival_set_rate(arrival, rows[i].bps);
        arrival_packet(arrival, 0, 1, 100);
        arrival_take(arrival, 0, results, 1);
        arrival_packet(arrival, 1, 2, 100);
        assert_true(arrival_deadline(arrival) == rows[i].interval);
        arrival_free(arrival);
    }
    struct arrival *arrival = arrival_new(); // by itself: 1 Mbit/s comes in
    for (uint16_t i = 0; i < 100; i++)
        arrival_packet(arrival, i * 10 * TIME_MS, i, 1250);
    while (arrival_take(arrival, TIME_S, results, ARRIVAL_TAKE_MAX)) {
    }
    arrival_packet(arrival, TIME_S, 100, 1250);
    assert_true(arrival_deadline(arrival) == TIME_S + 50 * TIME_MS);
    arrival_free(arrival);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrival_reports_gaps_and_times),
        cmocka_unit_test(test_arrival_late_packet_is_reported_later),
        cmocka_unit_test(test_arrival_max_one_each),
        cmocka_unit_test(test_arrival_window_is_bounded),
        cmocka_unit_test(test_arrival_long_pause_starts_another_feedback),
        cmocka_unit_test(test_arrival_interval_follows_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
