#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stack/congestion/pacer.h"

static enum pacer_outcome push(struct pacer *pacer, nanotime now, uintptr_t handle, uint32_t size,
                               enum pacer_priority priority)
{
    return pacer_push(pacer, now,
                      &(struct pacer_item){.handle = handle, .size = size, .priority = priority});
}

static uintptr_t next(struct pacer *pacer, nanotime now)
{
    struct pacer_output out;
    return pacer_poll(pacer, now, &out) ? out.item.handle : 0;
}

// 1000 bytes at 2.5 x 400 kbit/s are 8 ms.
static void test_pacer_spreads_by_rate(void **state)
{
    (void)state;
    struct pacer *pacer = pacer_new(&(struct pacer_config){.start_bps = 400000});
    assert_true(pacer_deadline(pacer, 0) == TIME_NEVER);
    for (unsigned i = 1; i <= 4; i++)
        assert_int_equal(push(pacer, 0, i, 1000, PACER_VIDEO), PACER_QUEUED);
    assert_true(pacer_queue_time(pacer) == 32 * TIME_MS);
    assert_int_equal(next(pacer, 0), 1);
    assert_int_equal(next(pacer, 0), 0);
    assert_true(pacer_deadline(pacer, 0) == 8 * TIME_MS);
    assert_int_equal(next(pacer, 8 * TIME_MS - 1), 0);
    assert_int_equal(next(pacer, 8 * TIME_MS), 2);
    pacer_set_rate(pacer, 8 * TIME_MS, 800000); // what is owed takes half the time
    assert_true(pacer_deadline(pacer, 8 * TIME_MS) == 12 * TIME_MS);
    assert_int_equal(next(pacer, 12 * TIME_MS), 3);
    assert_int_equal(next(pacer, 16 * TIME_MS), 4);
    assert_true(pacer_deadline(pacer, 16 * TIME_MS) == TIME_NEVER);
    pacer_free(pacer);
}

static void test_pacer_priorities(void **state)
{
    (void)state;
    struct pacer *pacer = pacer_new(&(struct pacer_config){.start_bps = 400000});
    push(pacer, 0, 1, 1000, PACER_PADDING);
    push(pacer, 0, 2, 1000, PACER_VIDEO);
    push(pacer, 0, 3, 1000, PACER_RETRANSMISSION);
    push(pacer, 0, 4, 1000, PACER_RETRANSMISSION);
    push(pacer, 0, 5, 100, PACER_AUDIO);
    assert_int_equal(next(pacer, 0), 5);
    push(pacer, 0, 6, 100, PACER_AUDIO);
    assert_int_equal(next(pacer, 0), 6); // audio does not wait
    uintptr_t order[4];
    nanotime now = 0;
    for (unsigned i = 0; i < 4; i++) {
        now = pacer_deadline(pacer, now);
        order[i] = next(pacer, now);
    }
    assert_int_equal(order[0], 3);
    assert_int_equal(order[1], 4);
    assert_int_equal(order[2], 2);
    assert_int_equal(order[3], 1);
    pacer_free(pacer);
}

static void test_pacer_full(void **state)
{
    (void)state;
    struct pacer *pacer = pacer_new(&(struct pacer_config){.packets_max = 1});
    assert_int_equal(push(pacer, 0, 1, 1000, PACER_VIDEO), PACER_QUEUED);
    assert_int_equal(push(pacer, 0, 2, 1000, PACER_AUDIO), PACER_FULL_PACKETS);
    struct pacer_item item;
    assert_true(pacer_clear(pacer, &item));
    assert_int_equal(item.handle, 1);
    assert_false(pacer_clear(pacer, &item));
    pacer_free(pacer);

    // 4 s at 2.5 x 40 kbit/s are 50 kB.
    pacer = pacer_new(&(struct pacer_config){.start_bps = 40000});
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(push(pacer, 0, i, 1000, PACER_VIDEO), PACER_QUEUED);
    assert_int_equal(push(pacer, 0, 50, 1000, PACER_VIDEO), PACER_FULL_TIME);
    assert_int_equal(push(pacer, 0, 51, 100, PACER_AUDIO), PACER_QUEUED);
    assert_int_equal(pacer_stats(pacer)->full_time, 1);
    // The rate is raised: all of it goes within 2 s, not 4.
    nanotime now = 0;
    for (unsigned i = 0; i < 51; i++) {
        now = pacer_deadline(pacer, now);
        next(pacer, now);
    }
    assert_int_equal(pacer_stats(pacer)->queue_packets, 0);
    assert_true(now <= 2 * TIME_S + 100 * TIME_MS);
    pacer_free(pacer);
}

// 5 packets of 1000 bytes at 4 Mbit/s are 2 ms apart, whatever the bucket says; the last two are
// padding, for lack of media.
static void test_pacer_probe(void **state)
{
    (void)state;
    struct pacer *pacer = pacer_new(&(struct pacer_config){.start_bps = 100000});
    struct gcc_probe probe = {.cluster = 7, .bps = 4000000, .packets = 5, .bytes = 5000};
    assert_true(pacer_probe(pacer, 0, &probe));
    struct pacer_output out;
    assert_false(pacer_poll(pacer, 0, &out)); // nothing was ever sent: no padding either
    for (unsigned i = 1; i <= 3; i++)
        push(pacer, 0, i, 1000, PACER_VIDEO);
    for (unsigned i = 0; i < 5; i++) {
        nanotime at = i * 2 * TIME_MS;
        assert_true(pacer_deadline(pacer, at) == at);
        assert_true(pacer_poll(pacer, at, &out));
        assert_int_equal(out.kind, i < 3 ? PACER_SEND : PACER_PAD);
        assert_int_equal(out.probe_cluster, 7);
        if (i >= 3)
            assert_int_equal(out.pad_bytes, 1000);
        assert_false(pacer_poll(pacer, at, &out));
    }
    assert_true(pacer_deadline(pacer, 8 * TIME_MS) == TIME_NEVER);
    pacer_free(pacer);
}

// Padding that is longer than what was asked for makes the cluster no faster: the next waits for
// it.
static void test_pacer_padding_may_be_longer(void **state)
{
    (void)state;
    struct pacer *pacer = pacer_new(&(struct pacer_config){.start_bps = 100000});
    struct gcc_probe probe = {.cluster = 7, .bps = 4000000, .packets = 5, .bytes = 5000};
    push(pacer, 0, 1, 1000, PACER_VIDEO);
    assert_true(pacer_probe(pacer, 0, &probe));
    struct pacer_output out;
    assert_true(pacer_poll(pacer, 0, &out));
    assert_int_equal(out.kind, PACER_SEND);
    nanotime at = 2 * TIME_MS;
    for (unsigned i = 0; i < 2; i++) {
        assert_true(pacer_deadline(pacer, at) == at);
        assert_true(pacer_poll(pacer, at, &out));
        assert_int_equal(out.kind, PACER_PAD);
        assert_in_range(out.pad_bytes, 1, 1000);
        pacer_padded(pacer, at, out.probe_cluster, 1500 - out.pad_bytes);
        at += 3 * TIME_MS; // 1500 bytes at 4 Mbit/s
    }
    assert_int_equal(pacer_stats(pacer)->pad_bytes, 3000);
    // 4000 bytes were sent; two more packets are missing, of a thousand bytes together.
    assert_true(pacer_poll(pacer, at, &out));
    assert_int_equal(out.pad_bytes, 500);
    pacer_padded(pacer, at, GCC_NO_PROBE, 100); // of no cluster
    assert_true(pacer_deadline(pacer, at) == at + TIME_MS);
    assert_true(pacer_poll(pacer, at + TIME_MS, &out));
    assert_int_equal(out.pad_bytes, 500);
    pacer_padded(pacer, at, 7, 100); // the cluster is complete: nothing to add to
    assert_true(pacer_deadline(pacer, at) == TIME_NEVER);
    pacer_free(pacer);
}

static void test_pacer_probe_without_media_expires(void **state)
{
    (void)state;
    struct pacer *pacer = pacer_new(&(struct pacer_config){.no_padding = true});
    struct gcc_probe probe = {.cluster = 1, .bps = 1000000, .packets = 5, .bytes = 5000};
    for (unsigned i = 0; i < PACER_PROBES_MAX; i++)
        assert_true(pacer_probe(pacer, 0, &probe));
    assert_false(pacer_probe(pacer, 0, &probe));
    assert_true(pacer_deadline(pacer, 0) == 5 * TIME_S);
    assert_int_equal(next(pacer, 5 * TIME_S), 0);
    assert_int_equal(pacer_stats(pacer)->probes_dropped, PACER_PROBES_MAX + 1);
    assert_true(pacer_deadline(pacer, 5 * TIME_S) == TIME_NEVER);
    pacer_free(pacer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pacer_spreads_by_rate),
        cmocka_unit_test(test_pacer_priorities),
        cmocka_unit_test(test_pacer_full),
        cmocka_unit_test(test_pacer_probe),
        cmocka_unit_test(test_pacer_padding_may_be_longer),
        cmocka_unit_test(test_pacer_probe_without_media_expires),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
