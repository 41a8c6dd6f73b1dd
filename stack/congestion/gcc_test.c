#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "stack/congestion/congestion_world.h"

#define KBPS 1000u
#define MBPS 1000000u

static struct world *one_flow(uint64_t rate, nanotime delay)
{
    struct world *world = world_new(rate, delay);
    world_flow_start(world, 0, 300 * KBPS);
    return world;
}

// AIMD swings between the capacity and 85 % of it, so that its mean is above 85 %; what arrives can
// never exceed the capacity.
static void check_uses(struct world *world, nanotime span)
{
    uint64_t got = world_goodput(world, 0, span);
    assert_in_range(got, world->rate * 85 / 100, world->rate);
}

static void test_gcc_converges_below_capacity(void **state)
{
    (void)state;
    struct world *world = one_flow(MBPS, 25 * TIME_MS);
    world_run(world, 5 * TIME_S);
    check_uses(world, 20 * TIME_S);
    struct gcc_stats stats;
    gcc_stats(world->flows[0].gcc, &stats);
    assert_true(stats.overuses > 0);
    assert_int_equal(stats.lost, 0);
    assert_int_equal(stats.unknown, 0);
    assert_in_range(stats.rtt, 50 * TIME_MS, 120 * TIME_MS); // 2 x 25 ms and a small queue
    world_free(world);
}

// Limits bind the rate to begin with while they last, and do not change it.
static void test_gcc_limits_leave_the_start(void **state)
{
    (void)state;
    struct gcc *gcc = gcc_new(&(struct gcc_config){.start_bps = 300 * KBPS});
    gcc_set_limits(gcc, 0, 0, 100 * KBPS);
    assert_int_equal(gcc_target(gcc), 100 * KBPS);
    gcc_set_limits(gcc, 0, 0, MBPS);
    assert_int_equal(gcc_target(gcc), 300 * KBPS);
    gcc_start(gcc, 0);
    gcc_set_limits(gcc, 0, 0, 100 * KBPS);
    assert_int_equal(gcc_target(gcc), 100 * KBPS);
    gcc_set_limits(gcc, 0, 0, MBPS);
    gcc_start(gcc, TIME_S); // another route
    assert_int_equal(gcc_target(gcc), 300 * KBPS);
    gcc_free(gcc);
}

// 15 ms at 3 and 6 times 300 kbit/s tell of 1 Mbit/s within a second; growth of 8 % a second would
// take 15 s for it (1.08^15 = 3.2).
static void test_gcc_probes_find_capacity_fast(void **state)
{
    (void)state;
    struct world *world = one_flow(MBPS, 25 * TIME_MS);
    world_run(world, TIME_S);
    assert_in_range(gcc_target(world->flows[0].gcc), 700 * KBPS, 1100 * KBPS);
    world_free(world);

    world = world_new(MBPS, 25 * TIME_MS);
    struct world_flow *flow = &world->flows[0];
    world_flow_start(world, 0, 300 * KBPS);
    gcc_free(flow->gcc);
    flow->gcc = gcc_new(&(struct gcc_config){.start_bps = 300 * KBPS, .no_probes = true});
    gcc_start(flow->gcc, 0);
    world_run(world, TIME_S);
    assert_in_range(gcc_target(flow->gcc), 300 * KBPS, 400 * KBPS);
    world_free(world);
}

// What was acknowledged up to a probe was sent at the old rate, and says nothing of what the path
// carries: an overuse right after the probe, of its own queue, does not throw back to it. From 2 s
// on there is what the probe found (95 % of what arrived), less 15 % for an overuse, twice at most.
static void test_gcc_keeps_what_a_probe_found(void **state)
{
    (void)state;
    static const unsigned rates[] = {3, 4, 5, 6, 8};
    static const unsigned delays[] = {15, 30, 50, 80, 100};
    for (unsigned i = 0; i < 25; i++) {
        struct world *world = one_flow((uint64_t)rates[i / 5] * MBPS, delays[i % 5] * TIME_MS);
        world_run(world, 2 * TIME_S);
        for (unsigned k = 0; k < 100; k++) {
            assert_in_range(gcc_target(world->flows[0].gcc), world->rate * 67 / 100,
                            world->rate * 110 / 100);
            world_run(world, 100 * TIME_MS);
        }
        world_free(world);
    }
}

// A probe of 15 ms passes through a bucket that holds more, and finds far too much: the cuts come
// down from there, and what arrives counts again after half a second.
static void test_gcc_a_probe_that_found_too_much(void **state)
{
    (void)state;
    struct world *world = one_flow(20 * MBPS, 25 * TIME_MS);
    world_run(world, TIME_S);
    assert_true(gcc_target(world->flows[0].gcc) > 10 * MBPS);
    world->rate = 2 * MBPS;
    world_run(world, 3 * TIME_S);
    assert_in_range(gcc_target(world->flows[0].gcc), 1, 2200 * KBPS);
    world_free(world);
}

static void test_gcc_converges_at_every_round_trip(void **state)
{
    (void)state;
    static const nanotime delays[] = {5 * TIME_MS, 50 * TIME_MS, 150 * TIME_MS, 300 * TIME_MS};
    for (unsigned i = 0; i < 4; i++) {
        struct world *world = one_flow(MBPS, delays[i]);
        world_run(world, 20 * TIME_S);
        check_uses(world, 40 * TIME_S);
        world_free(world);
    }
}

// With the rate at 30 %, 10 s are enough to leave a full queue; afterwards growth has to find the
// way back: 300 to 900 kbit/s at 8 % a second are 14 s.
static void test_gcc_follows_capacity_down_and_up(void **state)
{
    (void)state;
    struct world *world = one_flow(MBPS, 25 * TIME_MS);
    world_run(world, 20 * TIME_S);
    world->rate = 300 * KBPS;
    world_run(world, 10 * TIME_S);
    world->queue_worst = 0;
    check_uses(world, 20 * TIME_S);
    assert_true(world->queue_worst < 150 * TIME_MS); // the 500 ms queue is not full any more
    world->rate = MBPS;
    world_run(world, 15 * TIME_S);
    check_uses(world, 20 * TIME_S);
    world_free(world);
}

// The detector answers when a queue grows for some 100 ms; the overuse near the capacity is a few
// per cent, so the queue stays far below what it could hold.
static void test_gcc_queueing_delay_stays_small(void **state)
{
    (void)state;
    struct world *world = one_flow(MBPS, 25 * TIME_MS);
    world->queue_max = 2 * TIME_S;
    world_run(world, 10 * TIME_S);
    world->queue_worst = 0;
    world_run(world, 60 * TIME_S);
    assert_true(world->queue_worst < 100 * TIME_MS);
    world_free(world);
}

// draft-ietf-rmcat-gcc-02 6: 5 % of loss is no reason to go down (chance brings some reports above
// 10 %, so it swings); 20 % is: each cut takes 10 %, and the rate ends at its minimum.
static void test_gcc_loss_moderate_holds_heavy_cuts(void **state)
{
    (void)state;
    struct world *world = one_flow(MBPS, 25 * TIME_MS);
    world->loss = RNG_BILLION / 20;
    world_run(world, 10 * TIME_S);
    assert_true(world_goodput(world, 0, 30 * TIME_S) > 300 * KBPS);
    world->loss = RNG_BILLION / 5;
    world_run(world, 30 * TIME_S);
    assert_true(gcc_target(world->flows[0].gcc) <= 2 * GCC_MIN_BPS);
    world->loss = 0; // and back: 30 to 850 kbit/s at 8 % are 43 s, fewer with the fixed part
    world_run(world, 60 * TIME_S);
    check_uses(world, 20 * TIME_S);
    world_free(world);
}

// A lost feedback tells nothing of packets (draft-holmer 3): neither loss nor time-out.
static void test_gcc_lost_feedback_is_no_lost_media(void **state)
{
    (void)state;
    struct world *world = one_flow(MBPS, 25 * TIME_MS);
    world->feedback_loss = RNG_BILLION * 3u / 10;
    world_run(world, 10 * TIME_S);
    assert_true(world_goodput(world, 0, 30 * TIME_S) > 700 * KBPS);
    struct gcc_stats stats;
    gcc_stats(world->flows[0].gcc, &stats);
    assert_int_equal(stats.lost, 0);
    assert_int_equal(stats.feedback_timeouts, 0);
    world_free(world);
}

// 200 ppm are 12 ms a minute: a slope of 0.0002, times 60 x 4 far below any threshold.
static void test_gcc_clock_drift_is_no_queue(void **state)
{
    (void)state;
    for (int64_t drift = -200; drift <= 200; drift += 400) {
        struct world *world = one_flow(MBPS, 25 * TIME_MS);
        world->drift_ppm = drift;
        world_run(world, 10 * TIME_S);
        check_uses(world, 40 * TIME_S);
        world_free(world);
    }
}

static void test_gcc_no_feedback_reduces(void **state)
{
    (void)state;
    struct world *world = one_flow(MBPS, 25 * TIME_MS);
    world_run(world, 10 * TIME_S);
    uint32_t before = gcc_target(world->flows[0].gcc);
    world->feedback_loss = RNG_BILLION;
    world_run(world, 2 * TIME_S);
    assert_true(gcc_target(world->flows[0].gcc) > before / 2);
    // A factor of 0.8 each second after the first 2: 0.8^5 = 0.33.
    world_run(world, 6 * TIME_S);
    assert_true(gcc_target(world->flows[0].gcc) < before * 45 / 100);
    world->feedback_loss = 0;
    world_run(world, 20 * TIME_S);
    check_uses(world, 20 * TIME_S);
    world_free(world);
}

// AIMD on one bottleneck tends to equal shares; the one that comes later gets at least half of what
// is fair within a minute, and together they fill the path.
static void test_gcc_two_flows_share(void **state)
{
    (void)state;
    struct world *world = one_flow(2 * MBPS, 25 * TIME_MS);
    world_run(world, 10 * TIME_S);
    world_flow_start(world, 1, 300 * KBPS);
    world_run(world, 30 * TIME_S);
    uint64_t second = world->flows[1].received_bytes;
    uint64_t first_bps = world_goodput(world, 0, 60 * TIME_S);
    uint64_t second_bps = (world->flows[1].received_bytes - second) * 8 / 60;
    assert_true(second_bps > 500 * KBPS && first_bps > 500 * KBPS);
    assert_in_range(first_bps + second_bps, 1700 * KBPS, 2000 * KBPS);
    world_free(world);
}

static void test_gcc_two_runs_are_equal(void **state)
{
    (void)state;
    uint64_t hash[2];
    for (unsigned i = 0; i < 2; i++) {
        struct world *world = one_flow(MBPS, 40 * TIME_MS);
        world->loss = RNG_BILLION / 50;
        world_run(world, 30 * TIME_S);
        hash[i] = world->hash;
        world_free(world);
    }
    assert_true(hash[0] == hash[1]);
}

// An application that sends 100 kbit/s proves nothing of more: 1.5 times that and 10 kbit/s, or
// what a probe has measured; never growth without end.
static void test_gcc_application_limited(void **state)
{
    (void)state;
    struct world *world = one_flow(10 * MBPS, 25 * TIME_MS);
    world->flows[0].source_max = 100 * KBPS;
    world_run(world, 5 * TIME_S);
    uint32_t after_probes = gcc_target(world->flows[0].gcc);
    world_run(world, 60 * TIME_S);
    assert_true(gcc_target(world->flows[0].gcc) <= after_probes + 100 * KBPS);
    struct gcc_stats stats;
    gcc_stats(world->flows[0].gcc, &stats);
    assert_true(stats.alr);
    world_free(world);
}

static uint32_t drain(struct gcc *gcc, nanotime now)
{
    struct gcc_output out;
    while (gcc_poll(gcc, now, &out)) {
    }
    return gcc_target(gcc);
}

// Reports alone: RFC 3550 fractions and REMB. 64 of 256 lost: 300 x (1 - 0.5 x 0.25) = 262.5.
static void test_gcc_reports_without_feedback(void **state)
{
    (void)state;
    struct gcc *gcc = gcc_new(&(struct gcc_config){.start_bps = 300 * KBPS});
    assert_true(gcc_deadline(gcc) == TIME_NEVER);
    gcc_start(gcc, 0);
    struct gcc_output out;
    assert_true(gcc_poll(gcc, 0, &out));
    assert_int_equal(out.kind, GCC_TARGET);
    assert_int_equal(out.target.bps, 300 * KBPS);
    assert_true(gcc_poll(gcc, 0, &out)); // 3 times the start: 15 ms of 900 kbit/s
    assert_int_equal(out.kind, GCC_PROBE);
    assert_int_equal(out.probe.bps, 900 * KBPS);
    assert_in_range(out.probe.bytes, 1687, 1689);
    assert_true(gcc_poll(gcc, 0, &out));
    assert_int_equal(out.probe.bps, 1800 * KBPS);
    assert_false(gcc_poll(gcc, 0, &out));
    gcc_receiver_report(gcc, TIME_S, 64, 50 * TIME_MS);
    assert_int_equal(drain(gcc, TIME_S), 262500);
    gcc_receiver_report(gcc, 2 * TIME_S, 13, 50 * TIME_MS); // 5 %: holds
    assert_int_equal(drain(gcc, 2 * TIME_S), 262500);
    gcc_receiver_report(gcc, 3 * TIME_S, 0, 50 * TIME_MS); // 8 % and 1 kbit/s more
    assert_in_range(drain(gcc, 3 * TIME_S), 284490, 284510);
    gcc_remb(gcc, 3 * TIME_S, 200 * KBPS);
    assert_int_equal(drain(gcc, 3 * TIME_S), 200 * KBPS);
    gcc_remb(gcc, 3 * TIME_S, 1); // never below the minimum
    assert_int_equal(drain(gcc, 3 * TIME_S), GCC_MIN_BPS);
    gcc_free(gcc);
}

// Told as missing, then as received: it was only late. In sum nothing is lost, and what is told
// twice counts once.
static void test_gcc_late_packet_is_not_lost(void **state)
{
    (void)state;
    struct gcc *gcc = gcc_new(&(struct gcc_config){.start_bps = 300 * KBPS});
    gcc_start(gcc, 0);
    struct arrival_result results[20];
    for (uint16_t i = 0; i < 20; i++) {
        gcc_sent(gcc, i * TIME_MS,
                 &(struct gcc_packet){.sequence = i, .size = 100, .probe_cluster = GCC_NO_PROBE});
        results[i] = (struct arrival_result){i, i != 7, (20 + i) * TIME_MS};
    }
    struct gcc_stats stats;
    gcc_stats(gcc, &stats);
    assert_int_equal(stats.in_flight_bytes, 2000);
    gcc_feedback(gcc, 50 * TIME_MS, results, 20);
    gcc_stats(gcc, &stats);
    assert_int_equal(stats.lost, 1);
    assert_int_equal(stats.in_flight_bytes, 0);
    results[7].received = true;
    gcc_feedback(gcc, 60 * TIME_MS, results, 20);
    gcc_stats(gcc, &stats);
    assert_int_equal(stats.lost, 0);
    assert_int_equal(stats.acked, 20);
    assert_int_equal(stats.in_flight_bytes, 0);
    gcc_free(gcc);
}

// Any results: for packets never sent, twice, times that make no sense.
static void test_gcc_hostile_results(void **state)
{
    (void)state;
    struct gcc *gcc = gcc_new(&(struct gcc_config){.start_bps = 300 * KBPS});
    struct rng rng = rng_seed(7, "hostile");
    static struct arrival_result results[3000];
    gcc_feedback(gcc, 0, results, 10); // before the start
    gcc_start(gcc, 0);
    gcc_feedback(gcc, 0, results, 10); // before any packet
    for (unsigned round = 0; round < 200; round++) {
        nanotime now = round * 20 * TIME_MS;
        for (unsigned i = 0; i < 50; i++)
            gcc_sent(gcc, now,
                     &(struct gcc_packet){.sequence = (uint16_t)(round * 50 + i),
                                          .size = rng_u32(&rng) % 65536,
                                          .probe_cluster = (int)(rng_u32(&rng) % 9) - 1});
        for (unsigned i = 0; i < 3000; i++)
            results[i] = (struct arrival_result){
                .sequence = (uint16_t)rng_u32(&rng),
                .received = rng_u32(&rng) & 1,
                .received_at = (nanotime)(rng_u32(&rng) % (1 << 24)) * 64 * TIME_MS};
        gcc_feedback(gcc, now, results, 3000);
        uint32_t target = drain(gcc, now);
        assert_in_range(target, GCC_MIN_BPS, GCC_MAX_BPS);
        assert_true(gcc_deadline(gcc) > now);
    }
    struct gcc_stats stats;
    gcc_stats(gcc, &stats);
    assert_true(stats.unknown > 0);
    gcc_start(gcc, 10 * TIME_S); // another route
    assert_int_equal(drain(gcc, 10 * TIME_S), 300 * KBPS);
    gcc_free(gcc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gcc_converges_below_capacity),
        cmocka_unit_test(test_gcc_limits_leave_the_start),
        cmocka_unit_test(test_gcc_probes_find_capacity_fast),
        cmocka_unit_test(test_gcc_keeps_what_a_probe_found),
        cmocka_unit_test(test_gcc_a_probe_that_found_too_much),
        cmocka_unit_test(test_gcc_converges_at_every_round_trip),
        cmocka_unit_test(test_gcc_follows_capacity_down_and_up),
        cmocka_unit_test(test_gcc_queueing_delay_stays_small),
        cmocka_unit_test(test_gcc_loss_moderate_holds_heavy_cuts),
        cmocka_unit_test(test_gcc_lost_feedback_is_no_lost_media),
        cmocka_unit_test(test_gcc_clock_drift_is_no_queue),
        cmocka_unit_test(test_gcc_no_feedback_reduces),
        cmocka_unit_test(test_gcc_two_flows_share),
        cmocka_unit_test(test_gcc_two_runs_are_equal),
        cmocka_unit_test(test_gcc_application_limited),
        cmocka_unit_test(test_gcc_reports_without_feedback),
        cmocka_unit_test(test_gcc_late_packet_is_not_lost),
        cmocka_unit_test(test_gcc_hostile_results),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
