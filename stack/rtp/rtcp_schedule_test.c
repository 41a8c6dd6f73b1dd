// When RTCP is sent: averages, reconsideration, BYE, early feedback.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "stack/rtp/rtcp_schedule.h"

static const struct rtcp_schedule_config avp = {.session_bandwidth = 64000};
static const struct rtcp_schedule_config avpf = {
    .session_bandwidth = 64000, .feedback = true, .point_to_point = true};

// To the next packet: its time and kind.
static nanotime next(struct rtcp_schedule *s, enum rtcp_due *due)
{
    for (;;) {
        nanotime now = rtcp_schedule_deadline(s);
        assert_true(now != TIME_NEVER);
        if (rtcp_schedule_poll(s, now, due))
            return now;
        assert_true(rtcp_schedule_deadline(s) > now); // always progress
    }
}

static void test_rtcp_schedule_interval(void **state)
{
    (void)state;
    struct rng rng = rng_seed(1, "rtcp");
    struct rtcp_schedule s;
    rtcp_schedule_init(&s, 0, &avp, &rng);
    assert_int_equal(rtcp_schedule_interval(&s), 5 * TIME_S);
    // RFC 3550 6.3.1: 1000 receivers of 100 bytes share three quarters of 3200 bit/s.
    rtcp_schedule_members(&s, 0, 1001, 1, false);
    assert_int_equal(rtcp_schedule_interval(&s), 1000ll * 800 * TIME_S / 2400);
    rtcp_schedule_members(&s, 0, 1001, 1, true);
    assert_int_equal(rtcp_schedule_interval(&s), 5 * TIME_S);
    rtcp_schedule_members(&s, 0, 100, 100, true);
    assert_int_equal(rtcp_schedule_interval(&s), 100ll * 800 * TIME_S / 3200);
}

static void test_rtcp_schedule_average(void **state)
{
    (void)state;
    struct rng rng = rng_seed(1, "rtcp");
    struct rtcp_schedule s;
    enum rtcp_due due;
    rtcp_schedule_init(&s, 0, &avp, &rng);
    rtcp_schedule_members(&s, 0, 2, 1, true);
    nanotime first = next(&s, &due), last = first;
    assert_in_range(first, TIME_S, 5 * TIME_S / 2 * 3 / 2); // half of the minimum at first
    rtcp_schedule_sent(&s, first, 100);
    for (unsigned i = 0; i < 1000; i++) {
        nanotime now = next(&s, &due);
        assert_int_equal(due, RTCP_DUE_REGULAR);
        assert_in_range(now - last, 2 * TIME_S, 7 * TIME_S);
        rtcp_schedule_sent(&s, now, 100);
        last = now;
    }
    // RFC 3550 6.3.1: compensated, the average is near to Td.
    assert_in_range((last - first) / 1000, 4500 * TIME_MS, 5500 * TIME_MS);
}

static void test_rtcp_schedule_members_leave(void **state)
{
    (void)state;
    struct rng rng = rng_seed(1, "rtcp");
    struct rtcp_schedule s;
    enum rtcp_due due;
    rtcp_schedule_init(&s, 0, &avp, &rng);
    rtcp_schedule_members(&s, 0, 1000, 1, false);
    // The timer of one, met by a thousand members: reconsidered, not sent.
    nanotime now = rtcp_schedule_deadline(&s);
    assert_false(rtcp_schedule_poll(&s, now, &due));
    nanotime far = rtcp_schedule_deadline(&s);
    assert_true(far > 60 * TIME_S);
    rtcp_schedule_members(&s, now, 10, 1, false); // RFC 3550 6.3.4
    assert_in_range(rtcp_schedule_deadline(&s), now, now + (far - now) / 100 + 1);
}

static void test_rtcp_schedule_bye(void **state)
{
    (void)state;
    struct rng rng = rng_seed(1, "rtcp");
    struct rtcp_schedule s;
    enum rtcp_due due;
    rtcp_schedule_init(&s, 0, &avp, &rng);
    rtcp_schedule_leave(&s, 0, 100); // RFC 3550 6.3.7: never spoke
    assert_int_equal(rtcp_schedule_deadline(&s), TIME_NEVER);
    assert_false(rtcp_schedule_poll(&s, TIME_S, &due));

    rtcp_schedule_init(&s, 0, &avp, &rng);
    rtcp_schedule_members(&s, 0, 2, 1, true);
    rtcp_schedule_leave(&s, TIME_MS, 100);
    assert_int_equal(next(&s, &due), TIME_MS);
    assert_int_equal(due, RTCP_DUE_BYE);
    rtcp_schedule_sent(&s, TIME_MS, 100);
    assert_int_equal(rtcp_schedule_deadline(&s), TIME_NEVER);

    rtcp_schedule_init(&s, 0, &avp, &rng);
    rtcp_schedule_members(&s, 0, 100, 1, true);
    rtcp_schedule_leave(&s, 0, 100);
    for (unsigned i = 0; i < 1000; i++)
        rtcp_schedule_received(&s, 0, 100, true);
    rtcp_schedule_received(&s, 0, 60000, false);
    assert_true(next(&s, &due) > 100 * TIME_S); // backed off
    assert_int_equal(due, RTCP_DUE_BYE);
}

static void test_rtcp_schedule_early_feedback(void **state)
{
    (void)state;
    struct rng rng = rng_seed(1, "rtcp");
    struct rtcp_schedule s;
    enum rtcp_due due;
    rtcp_schedule_init(&s, 0, &avpf, &rng);
    rtcp_schedule_members(&s, 0, 2, 1, false);
    nanotime now = next(&s, &due);
    rtcp_schedule_sent(&s, now, 100);
    nanotime regular = rtcp_schedule_deadline(&s);
    // RFC 4585 3.5.2: at once between two, then not before two intervals have passed.
    assert_int_equal(rtcp_schedule_feedback(&s, now), RTCP_FEEDBACK_EARLY);
    assert_int_equal(rtcp_schedule_feedback(&s, now), RTCP_FEEDBACK_PENDING);
    assert_int_equal(next(&s, &due), now);
    assert_int_equal(due, RTCP_DUE_EARLY);
    rtcp_schedule_sent(&s, now, 50);
    assert_int_equal(rtcp_schedule_deadline(&s), now + 2 * (regular - now));
    assert_int_equal(rtcp_schedule_feedback(&s, now), RTCP_FEEDBACK_LATE);
    nanotime late = next(&s, &due);
    assert_int_equal(due, RTCP_DUE_REGULAR);
    rtcp_schedule_sent(&s, late, 100);
    assert_int_equal(rtcp_schedule_feedback(&s, late), RTCP_FEEDBACK_EARLY);
    rtcp_schedule_feedback_seen(&s, late);
    assert_true(rtcp_schedule_deadline(&s) > late);
}

static void test_rtcp_schedule_rr_interval(void **state)
{
    (void)state;
    struct rng rng = rng_seed(1, "rtcp");
    struct rtcp_schedule s;
    enum rtcp_due due;
    struct rtcp_schedule_config config = avpf;
    config.rr_interval = 10 * TIME_S;
    rtcp_schedule_init(&s, 0, &config, &rng);
    rtcp_schedule_members(&s, 0, 2, 1, true);
    nanotime first = next(&s, &due);
    rtcp_schedule_sent(&s, first, 100);
    nanotime second = next(&s, &due);
    assert_int_equal(due, RTCP_DUE_REGULAR);
    assert_in_range(second - first, 5 * TIME_S, 17 * TIME_S);
    assert_true(s.suppressed > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rtcp_schedule_interval),
        cmocka_unit_test(test_rtcp_schedule_average),
        cmocka_unit_test(test_rtcp_schedule_members_leave),
        cmocka_unit_test(test_rtcp_schedule_bye),
        cmocka_unit_test(test_rtcp_schedule_early_feedback),
        cmocka_unit_test(test_rtcp_schedule_rr_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
