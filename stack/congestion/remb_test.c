#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stack/congestion/remb.h"

// A sender that does what REMB says (at most `most` bit/s), through a queue of `rate` bit/s.
struct path {
    struct remb *remb;
    nanotime now, free_at, queue_worst;
    uint64_t rate;
    uint32_t bps, most;
    unsigned rembs;
};

static void path_run(struct path *path, nanotime span)
{
    for (nanotime end = path->now + span; path->now < end;) {
        nanotime start = path->free_at > path->now ? path->free_at : path->now;
        if (start - path->now > path->queue_worst)
            path->queue_worst = start - path->now;
        path->free_at = start + (nanotime)(1000 * 8000000000ull / path->rate);
        // 6.18 seconds, 24 bits: wraps each 64 s
        uint32_t sent = (uint32_t)((uint64_t)path->now * 512 / 1953125) & 0xffffff;
        remb_packet(path->remb, path->free_at, sent, 1000);
        uint32_t bps;
        if (remb_poll(path->remb, path->free_at, &bps)) {
            path->rembs++;
            path->bps = bps < path->most ? bps : path->most;
        }
        path->now += (nanotime)(1000 * 8000000000ull / path->bps);
    }
}

static void test_remb_finds_capacity(void **state)
{
    (void)state;
    struct path path = {.remb = remb_new(&(struct remb_config){0}),
                        .rate = 1000000,
                        .bps = 500000,
                        .most = 3000000};
    assert_true(remb_deadline(path.remb) == TIME_NEVER);
    path_run(&path, 100 * TIME_S); // past the wrap of abs-send-time
    path.queue_worst = 0;
    path_run(&path, 30 * TIME_S);
    struct remb_stats stats;
    remb_stats(path.remb, &stats);
    assert_in_range(stats.incoming_bps, 700000, 1050000);
    assert_true(stats.overuses > 0);
    assert_true(path.queue_worst < 300 * TIME_MS);
    assert_true(path.rembs >= 100); // one each second once it knows something
    remb_free(path.remb);
}

// Without any queue it never offers more than 1.5 times what comes, and 10 kbit/s.
static void test_remb_is_bounded_by_what_comes(void **state)
{
    (void)state;
    struct path path = {.remb = remb_new(&(struct remb_config){0}),
                        .rate = 100000000,
                        .bps = 200000,
                        .most = 200000};
    path_run(&path, 60 * TIME_S);
    struct remb_stats stats;
    remb_stats(path.remb, &stats);
    assert_in_range(stats.estimate_bps, 200000, 330000);
    remb_free(path.remb);
}

static void test_remb_is_silent_without_packets(void **state)
{
    (void)state;
    struct path path = {
        .remb = remb_new(&(struct remb_config){0}), .rate = 1000000, .bps = 200000, .most = 200000};
    path_run(&path, 10 * TIME_S);
    uint32_t bps;
    remb_poll(path.remb, 20 * TIME_S, &bps);
    assert_true(remb_deadline(path.remb) == TIME_NEVER);
    assert_false(remb_poll(path.remb, 30 * TIME_S, &bps));
    remb_packet(path.remb, 100 * TIME_S, 0xffffffff, 65535);
    assert_true(remb_poll(path.remb, 100 * TIME_S, &bps));
    remb_free(path.remb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remb_finds_capacity),
        cmocka_unit_test(test_remb_is_bounded_by_what_comes),
        cmocka_unit_test(test_remb_is_silent_without_packets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
