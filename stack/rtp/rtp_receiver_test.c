// One source: probation, order, duplicates, jumps, loss, jitter, reports.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "stack/rtp/rtp_receiver.h"

#define SSRC 0x1234

static struct rtp_receiver receiver(unsigned min_sequential)
{
    struct rtp_receiver r;
    rtp_receiver_init(
        &r, SSRC,
        &(struct rtp_receiver_config){.clock_rate = 8000, .min_sequential = min_sequential});
    return r;
}

// Packet number n of 20 ms, on time.
static enum rtp_receiver_outcome take(struct rtp_receiver *r, uint16_t sequence)
{
    struct rtp_packet packet = {.sequence = sequence,
                                .timestamp = 160u * sequence,
                                .ssrc = SSRC,
                                .payload = bytes_text("0123456789")};
    return rtp_receiver_input(r, 20 * TIME_MS * sequence, &packet);
}

static void test_rtp_receiver_probation(void **state)
{
    (void)state;
    struct rtp_receiver r = receiver(RTP_MIN_SEQUENTIAL);
    struct rtcp_block block;
    assert_int_equal(take(&r, 10), RTP_RECEIVER_PROBATION);
    assert_int_equal(take(&r, 20), RTP_RECEIVER_PROBATION);
    assert_false(rtp_receiver_report(&r, 0, &block));
    assert_int_equal(take(&r, 21), RTP_RECEIVER_NEW);
    assert_true(rtp_receiver_is_valid(&r));
    assert_int_equal(rtp_receiver_stats_read(&r).packets_received, 1);
    assert_int_equal(rtp_receiver_stats_read(&r).packets_lost, 0);
}

static void test_rtp_receiver_order_and_duplicates(void **state)
{
    (void)state;
    struct rtp_receiver r = receiver(1);
    assert_int_equal(take(&r, 65534), RTP_RECEIVER_NEW);
    assert_int_equal(take(&r, 1), RTP_RECEIVER_NEW); // over the wrap
    assert_int_equal(take(&r, 65535), RTP_RECEIVER_NEW);
    assert_int_equal(take(&r, 65535), RTP_RECEIVER_DUPLICATE);
    assert_int_equal(take(&r, 1), RTP_RECEIVER_DUPLICATE);
    assert_int_equal(rtp_receiver_highest(&r), 65537);
    struct rtp_receiver_stats stats = rtp_receiver_stats_read(&r);
    assert_int_equal(stats.packets_received, 5);
    assert_int_equal(stats.packets_duplicated, 2);
    assert_int_equal(stats.packets_late, 1);
    assert_int_equal(stats.packets_lost, -1); // RFC 3550 A.3: 4 expected, 5 came
    assert_int_equal(stats.bytes_received, 50);
    assert_int_equal(stats.header_bytes_received, 60);
}

// What is no payload: the header, CSRCs, the extension with its own header, padding.
static void test_rtp_receiver_counts_headers(void **state)
{
    (void)state;
    struct rtp_receiver r = receiver(1);
    struct rtp_packet packet = {.sequence = 1,
                                .csrc_count = 2,
                                .padding = 7,
                                .has_extension = true,
                                .extension = bytes_text("12345678"),
                                .payload = bytes_text("x")};
    rtp_receiver_input(&r, TIME_MS, &packet);
    assert_int_equal(rtp_receiver_stats_read(&r).header_bytes_received, 12 + 8 + 7 + 4 + 8);
    assert_int_equal(rtp_receiver_stats_read(&r).bytes_received, 1);
    assert_true(rtp_receiver_stats_read(&r).last_packet_received == TIME_MS);
}

static void test_rtp_receiver_jumps(void **state)
{
    (void)state;
    struct rtp_receiver r = receiver(1);
    take(&r, 1000);
    assert_int_equal(take(&r, 1000 + RTP_MAX_DROPOUT), RTP_RECEIVER_JUMP);
    assert_int_equal(take(&r, 1000 - RTP_MAX_MISORDER), RTP_RECEIVER_TOO_OLD);
    assert_int_equal(take(&r, 1001), RTP_RECEIVER_NEW);
    assert_int_equal(take(&r, 30000), RTP_RECEIVER_JUMP);
    assert_int_equal(take(&r, 30001), RTP_RECEIVER_RESTART);
    struct rtp_receiver_stats stats = rtp_receiver_stats_read(&r);
    assert_int_equal(stats.restarts, 1);
    assert_int_equal(stats.packets_refused, 3);
    assert_int_equal(stats.packets_lost, 0);
    for (enum rtp_receiver_outcome i = 0; i < RTP_RECEIVER_OUTCOMES; i++)
        assert_non_null(rtp_receiver_outcome_name(i));
}

static void test_rtp_receiver_window_forgets(void **state)
{
    (void)state;
    struct rtp_receiver r = receiver(1);
    take(&r, 0);
    for (unsigned n = 2; n < 3 * RTP_RECEIVER_WINDOW; n += 2)
        assert_int_equal(take(&r, (uint16_t)n), RTP_RECEIVER_NEW);
    assert_int_equal(take(&r, 3 * RTP_RECEIVER_WINDOW - 3), RTP_RECEIVER_NEW);
    assert_int_equal(take(&r, 3 * RTP_RECEIVER_WINDOW - 3), RTP_RECEIVER_DUPLICATE);
    assert_int_equal(take(&r, 3 * RTP_RECEIVER_WINDOW + 2500), RTP_RECEIVER_NEW);
    assert_int_equal(take(&r, 3 * RTP_RECEIVER_WINDOW + 2499), RTP_RECEIVER_NEW);
}

static void test_rtp_receiver_report(void **state)
{
    (void)state;
    struct rtp_receiver r = receiver(1);
    struct rtcp_block block;
    for (uint16_t n = 0; n < 8; n++)
        if (n != 3 && n != 5)
            take(&r, n);
    rtp_receiver_sender_report(&r, TIME_S, rtcp_ntp(TIME_S));
    assert_true(rtp_receiver_report(&r, 3 * TIME_S / 2, &block));
    assert_int_equal(block.fraction_lost, 64); // 2 of 8
    assert_int_equal(block.cumulative_lost, 2);
    assert_int_equal(block.highest_sequence, 7);
    assert_int_equal(block.jitter, 0);
    assert_int_equal(block.lsr, rtcp_ntp_middle(rtcp_ntp(TIME_S)));
    assert_int_equal(block.dlsr, 32768);
    assert_true(rtp_receiver_report(&r, 2 * TIME_S, &block)); // nothing came since
    assert_int_equal(block.fraction_lost, 0);
    assert_int_equal(block.cumulative_lost, 2);
    take(&r, 8);
    take(&r, 11); // 2 of 4, since the last report
    assert_true(rtp_receiver_report(&r, 3 * TIME_S, &block));
    assert_int_equal(block.fraction_lost, 128);
    assert_int_equal(block.cumulative_lost, 4);
    take(&r, 12); // and of late ones that report is not wronged
    take(&r, 10);
    assert_true(rtp_receiver_report(&r, 4 * TIME_S, &block));
    assert_int_equal(block.fraction_lost, 0);
    assert_int_equal(block.cumulative_lost, 3);
}

static void test_rtp_receiver_jitter(void **state)
{
    (void)state;
    struct rtp_receiver r = receiver(1);
    take(&r, 0);
    // RFC 3550 A.8: |D| = 16 units (2 ms late), then 16 again (on time).
    struct rtp_packet packet = {.sequence = 1, .timestamp = 160};
    rtp_receiver_input(&r, 22 * TIME_MS, &packet);
    assert_int_equal(rtp_receiver_stats_read(&r).jitter, 1);
    take(&r, 2);
    assert_int_equal(r.jitter_q4, 31);
    rtp_receiver_clock_rate(&r, 48000);
    assert_int_equal(rtp_receiver_stats_read(&r).jitter, 0);
    take(&r, 3); // what the old clock said is compared with nothing
    assert_int_equal(r.jitter_q4, 0);
    rtp_receiver_discarded(&r);
    assert_int_equal(rtp_receiver_stats_read(&r).packets_discarded, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rtp_receiver_probation),
        cmocka_unit_test(test_rtp_receiver_order_and_duplicates),
        cmocka_unit_test(test_rtp_receiver_counts_headers),
        cmocka_unit_test(test_rtp_receiver_jumps),
        cmocka_unit_test(test_rtp_receiver_window_forgets),
        cmocka_unit_test(test_rtp_receiver_report),
        cmocka_unit_test(test_rtp_receiver_jitter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
