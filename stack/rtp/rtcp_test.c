// RTCP: vectors, both ways round, hostile bytes.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rng.h"
#include "stack/rtp/rtcp.h"
#include "stack/rtp/rtp_vectors.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define SENDER 0x11223344
#define MEDIA 0x55667788

static struct rtcp_packet read_one(struct bytes bytes)
{
    struct rtcp_walk walk;
    struct rtcp_packet packet = {0};
    assert_int_equal(rtcp_walk_start(&walk, bytes, true), RTCP_OK);
    assert_int_equal(rtcp_next(&walk, &packet), RTCP_OK);
    assert_int_equal(rtcp_next(&walk, &(struct rtcp_packet){0}), RTCP_END);
    return packet;
}

static struct rtcp_packet vector(const char *name, uint8_t *buffer)
{
    return read_one(rtp_vector_bytes(rtcp_vectors, COUNT(rtcp_vectors), name, buffer));
}

// The worst outcome of a datagram. What is whole is written again, and that again: the same.
static enum rtcp_outcome check(struct bytes bytes)
{
    static uint8_t once[70000], twice[70000];
    struct rtcp_walk walk;
    enum rtcp_outcome outcome = rtcp_walk_start(&walk, bytes, true), worst = outcome;
    struct rtcp_packet packet;
    while (outcome == RTCP_OK || walk.left.len) {
        outcome = rtcp_next(&walk, &packet);
        if (outcome == RTCP_END)
            break;
        if (outcome != RTCP_OK) {
            worst = outcome;
            continue;
        }
        struct writer a = writer_of(once, sizeof once), b = writer_of(twice, sizeof twice);
        rtcp_write(&a, &packet);
        assert_false(a.failed);
        struct rtcp_packet again = read_one(writer_bytes(&a));
        assert_int_equal(again.kind, packet.kind);
        rtcp_write(&b, &again);
        assert_true(bytes_equal(writer_bytes(&a), writer_bytes(&b)));
    }
    return worst;
}

static void test_rtcp_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rtcp_vectors); i++) {
        uint8_t buffer[2048];
        enum rtcp_outcome outcome = check(hex_bytes(rtcp_vectors[i].hex, buffer));
        if ((outcome == RTCP_OK) != rtcp_vectors[i].valid)
            fail_msg("%s: %s", rtcp_vectors[i].name, rtcp_outcome_name(outcome));
    }
}

static void test_rtcp_compound_rules(void **state)
{
    (void)state;
    uint8_t buffer[256];
    struct rtcp_walk walk;
    // RFC 3550 A.2, 5506 4.1.
    struct bytes sdes = rtp_vector_bytes(rtcp_vectors, COUNT(rtcp_vectors), "sdes-cname", buffer);
    assert_int_equal(rtcp_walk_start(&walk, sdes, false), RTCP_BAD_FIRST);
    assert_int_equal(rtcp_walk_start(&walk, sdes, true), RTCP_OK);
    // Padding in the first of two.
    struct bytes padded = hex_bytes("a0c90002112233440000000480c9000111223344", buffer);
    assert_int_equal(rtcp_walk_start(&walk, padded, true), RTCP_BAD_PADDING);
    assert_int_equal(rtcp_walk_start(&walk, hex_bytes("00c9000111223344", buffer), true),
                     RTCP_BAD_VERSION);
    assert_int_equal(rtcp_walk_start(&walk, bytes_of(buffer, 0), true), RTCP_TOO_SHORT);
    // A bad packet alone is refused, the one after it is read.
    struct bytes mixed =
        hex_bytes("80c900011122334481cd0002112233445566778880c9000155667788", buffer);
    struct rtcp_packet packet;
    assert_int_equal(rtcp_walk_start(&walk, mixed, false), RTCP_OK);
    assert_int_equal(rtcp_next(&walk, &packet), RTCP_OK);
    assert_int_equal(rtcp_next(&walk, &packet), RTCP_BAD_LENGTH);
    assert_int_equal(packet.kind, RTCP_NACK);
    assert_int_equal(rtcp_next(&walk, &packet), RTCP_OK);
    assert_int_equal(packet.sender, MEDIA);
    assert_int_equal(rtcp_next(&walk, &packet), RTCP_END);
}

static void test_rtcp_report(void **state)
{
    (void)state;
    uint8_t buffer[256], again[256];
    struct rtcp_packet packet = vector("sr-1block", buffer);
    struct rtcp_block block;
    assert_int_equal(packet.kind, RTCP_SR);
    assert_true(packet.report.info.ntp == 0xe000000180000000u);
    assert_true(rtcp_report_block(&packet, 0, &block));
    assert_int_equal(block.cumulative_lost, -1);
    assert_int_equal(block.fraction_lost, 64);
    assert_int_equal(block.highest_sequence, 131071);
    assert_int_equal(block.dlsr, 65536);
    assert_false(rtcp_report_block(&packet, 1, &block));
    struct writer w = writer_of(again, sizeof again);
    rtcp_write_sr(&w, packet.sender, &packet.report.info, &block, 1);
    assert_true(bytes_equal(writer_bytes(&w), packet.raw));
}

static void test_rtcp_sdes_and_bye(void **state)
{
    (void)state;
    uint8_t buffer[256], again[256];
    struct rtcp_packet packet = vector("sdes-mid", buffer);
    struct rtcp_sdes_walk chunks = rtcp_sdes_start(&packet);
    struct rtcp_sdes_chunk chunk;
    struct rtcp_sdes_item item;
    assert_true(rtcp_sdes_chunk_next(&chunks, &chunk));
    assert_true(rtcp_sdes_item_next(&chunk, &item) && bytes_is(item.text, "x"));
    assert_true(rtcp_sdes_item_next(&chunk, &item) && item.type == RTCP_SDES_MID);
    assert_false(rtcp_sdes_item_next(&chunk, &item));
    assert_false(rtcp_sdes_chunk_next(&chunks, &chunk));
    struct writer w = writer_of(again, sizeof again);
    rtcp_write_cname(&w, SENDER, bytes_text("x"), bytes_text("0"));
    assert_true(bytes_equal(writer_bytes(&w), packet.raw));

    packet = vector("bye-reason", buffer);
    assert_true(bytes_is(packet.bye.reason, "left"));
    uint32_t ssrc = SENDER;
    w = writer_of(again, sizeof again);
    rtcp_write_bye(&w, &ssrc, 1, bytes_text("left"));
    assert_true(bytes_equal(writer_bytes(&w), packet.raw));
    size_t at = 0;
    rtcp_pad(&w, at, 8);
    packet = read_one(writer_bytes(&w));
    assert_int_equal(packet.padding, 8);
    assert_true(bytes_is(packet.bye.reason, "left"));
}

static void test_rtcp_nack(void **state)
{
    (void)state;
    uint8_t buffer[256], again[256];
    static const uint16_t lost[] = {100, 101, 116, 65534, 65535, 0};
    struct rtcp_packet packet = vector("nack", buffer);
    struct rtcp_nack_walk walk = rtcp_nack_start(&packet);
    uint16_t sequence;
    for (size_t i = 0; i < COUNT(lost); i++) {
        assert_true(rtcp_nack_next(&walk, &sequence));
        assert_int_equal(sequence, lost[i]);
    }
    assert_false(rtcp_nack_next(&walk, &sequence));
    struct writer w = writer_of(again, sizeof again);
    assert_int_equal(rtcp_write_nack(&w, SENDER, MEDIA, lost, COUNT(lost)), COUNT(lost));
    assert_true(bytes_equal(writer_bytes(&w), packet.raw));
    w = writer_of(again, 16); // room for one pair
    assert_int_equal(rtcp_write_nack(&w, SENDER, MEDIA, lost, COUNT(lost)), 3);
    w = writer_of(again, 15);
    assert_int_equal(rtcp_write_nack(&w, SENDER, MEDIA, lost, COUNT(lost)), 0);
}

static void test_rtcp_rates(void **state)
{
    (void)state;
    uint8_t buffer[256];
    struct rtcp_packet packet = vector("tmmbr", buffer);
    struct rtcp_tmmb_entry entry;
    assert_true(rtcp_tmmb_entry(&packet, 0, &entry));
    assert_true(entry.bitrate == 2000000 && entry.overhead == 40 && entry.ssrc == MEDIA);
    packet = vector("remb", buffer);
    assert_true(packet.remb.bitrate == 2000000);
    struct writer w = writer_of(buffer, sizeof buffer);
    uint32_t ssrc = MEDIA;
    rtcp_write_remb(&w, SENDER, UINT64_MAX, &ssrc, 1);
    packet = read_one(writer_bytes(&w));
    assert_true(packet.remb.bitrate == 0x3ffffull << 46);
    packet = vector("fir", buffer);
    struct rtcp_fir_entry fir;
    assert_true(rtcp_fir_entry(&packet, 0, &fir) && fir.sequence == 7 && fir.ssrc == MEDIA);
    assert_false(rtcp_fir_entry(&packet, 1, &fir));
}

static void test_rtcp_ccfb_and_xr(void **state)
{
    (void)state;
    uint8_t buffer[256], again[256];
    struct rtcp_packet packet = vector("ccfb-8888", buffer);
    struct rtcp_ccfb_walk walk = rtcp_ccfb_start(&packet);
    struct rtcp_ccfb_block block;
    struct rtcp_ccfb_metric metrics[3];
    assert_true(rtcp_ccfb_next(&walk, &block));
    assert_true(block.ssrc == MEDIA && block.begin_sequence == 65534 && block.count == 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(rtcp_ccfb_metric(&block, i, &metrics[i]));
    assert_true(metrics[0].received && metrics[0].offset == 100 && !metrics[1].received);
    assert_true(metrics[2].ecn == 1 && metrics[2].offset == 50);
    struct writer w = writer_of(again, sizeof again);
    struct rtcp_ccfb_writer s = rtcp_write_ccfb(&w, SENDER);
    rtcp_write_ccfb_block(&s, MEDIA, 65534, metrics, 3);
    rtcp_write_ccfb_end(&s, packet.ccfb.report_timestamp);
    assert_true(bytes_equal(writer_bytes(&w), packet.raw));

    packet = vector("xr-dlrr", buffer);
    struct rtcp_xr_walk blocks = rtcp_xr_start(&packet);
    struct rtcp_xr_block xr;
    struct rtcp_dlrr dlrr;
    assert_true(rtcp_xr_next(&blocks, &xr) && rtcp_xr_dlrr(&xr, 0, &dlrr));
    assert_true(dlrr.ssrc == MEDIA && dlrr.lrr == 0x12345678 && dlrr.dlrr == 65536);
    w = writer_of(again, sizeof again);
    rtcp_write_xr_dlrr(&w, SENDER, &dlrr, 1);
    assert_true(bytes_equal(writer_bytes(&w), packet.raw));
}

static void test_rtcp_transport_cc_vectors(void **state)
{
    (void)state;
    uint8_t buffer[256];
    struct rtcp_arrival got[16];
    size_t count;
    struct rtcp_packet packet = vector("twcc-negative-delta", buffer);
    assert_int_equal(rtcp_transport_cc_read(&packet, got, 16, &count), RTCP_OK);
    assert_int_equal(count, 2);
    assert_int_equal(got[0].time, -4);
    assert_int_equal(got[1].time, 4);
    packet = vector("twcc-2bit-vector", buffer);
    assert_int_equal(rtcp_transport_cc_read(&packet, got, 4, &count), RTCP_FULL);
    assert_int_equal(rtcp_transport_cc_read(&packet, got, 16, &count), RTCP_OK);
    assert_int_equal(count, 7);
    assert_int_equal(got[4].time, 1000 * 256 + 82);
    assert_false(got[2].received);
    // A reserved symbol.
    assert_int_equal(check(hex_bytes("8fcd00051122334455667788000500010003e80360010000", buffer)),
                     RTCP_BAD_VALUE);
}

#define PADDED "afcd000611223344556677880001000400000100200404080c100002"

// libwebrtc and pion fill the last word of transport-wide feedback with what they call padding: one
// to three bytes.
static void test_rtcp_transport_cc_padded_within_a_word(void **state)
{
    (void)state;
    uint8_t buffer[256];
    struct rtcp_walk walk;
    struct rtcp_packet packet;
    struct rtcp_arrival got[16];
    size_t count;
    assert_int_equal(rtcp_walk_start(&walk, hex_bytes(PADDED, buffer), true), RTCP_OK);
    assert_int_equal(rtcp_next(&walk, &packet), RTCP_OK);
    assert_int_equal(packet.padding, 2);
    assert_int_equal(rtcp_transport_cc_read(&packet, got, 16, &count), RTCP_OK);
    assert_int_equal(count, 4);
    assert_int_equal(got[3].time, 256 + 4 + 8 + 12 + 16);
    assert_int_equal(rtcp_next(&walk, &packet), RTCP_END);
    // Also before another packet, but never with no byte or with more than there are.
    assert_int_equal(rtcp_walk_start(&walk, hex_bytes(PADDED "80c9000111223344", buffer), true),
                     RTCP_OK);
    (void)hex_bytes(PADDED, buffer);
    buffer[27] = 0;
    assert_int_equal(rtcp_walk_start(&walk, bytes_of(buffer, 28), true), RTCP_BAD_PADDING);
    buffer[27] = 25;
    assert_int_equal(rtcp_walk_start(&walk, bytes_of(buffer, 28), true), RTCP_BAD_PADDING);
    // It is no padding of deltas that there are not.
    buffer[27] = 3;
    assert_int_equal(rtcp_walk_start(&walk, bytes_of(buffer, 28), true), RTCP_OK);
    assert_int_equal(rtcp_next(&walk, &packet), RTCP_BAD_LENGTH);
}

// Whatever was received: the packets together tell all of it, each written the same way again.
static void transport_cc_round(struct rng *rng, size_t room)
{
    static struct rtcp_arrival arrivals[3000], got[3000];
    size_t count = 1 + rng_below(rng, COUNT(arrivals));
    unsigned loss = (unsigned)rng_below(rng, 100);
    int64_t time = (int64_t)rng_below(rng, 1u << 30);
    uint16_t first = (uint16_t)rng_u32(rng);
    for (size_t i = 0; i < count; i++) {
        bool received = rng_below(rng, 100) >= loss;
        uint64_t kind = rng_below(rng, 200);
        time += (int64_t)rng_below(rng, kind < 150 ? 20 : kind < 199 ? 2000 : 50000);
        time -= kind % 16 == 0 ? 300 : 0;
        arrivals[i] = (struct rtcp_arrival){(uint16_t)(first + i), received, received ? time : 0};
    }
    size_t done = 0;
    while (done < count) {
        static uint8_t buffer[70000], again[70000];
        struct writer w = writer_of(buffer, room), w2 = writer_of(again, sizeof again);
        struct rtcp_transport_cc_head head = {SENDER, MEDIA, 1};
        size_t n = rtcp_write_transport_cc(&w, &head, arrivals + done, count - done);
        assert_true(n > 0);
        struct rtcp_packet packet = read_one(writer_bytes(&w));
        size_t read;
        assert_int_equal(rtcp_transport_cc_read(&packet, got, COUNT(got), &read), RTCP_OK);
        assert_int_equal(read, n);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(got[i].sequence, arrivals[done + i].sequence);
            assert_int_equal(got[i].received, arrivals[done + i].received);
            assert_true(!got[i].received ||
                        rtcp_time_unwrap(arrivals[done + i].time, got[i].time) ==
                            arrivals[done + i].time);
        }
        assert_int_equal(rtcp_write_transport_cc(&w2, &head, got, read), n);
        assert_true(bytes_equal(writer_bytes(&w), writer_bytes(&w2)));
        done += n;
    }
}

static void test_rtcp_transport_cc_round_trip(void **state)
{
    (void)state;
    struct rng rng = rng_seed(1, "transport-cc");
    for (unsigned i = 0; i < 200; i++)
        transport_cc_round(&rng, 24 + (size_t)rng_below(&rng, 1500));
    uint8_t buffer[16];
    struct writer w = writer_of(buffer, sizeof buffer);
    struct rtcp_arrival one = {1, true, 1};
    assert_int_equal(rtcp_write_transport_cc(&w, &(struct rtcp_transport_cc_head){0}, &one, 1), 0);
}

static void test_rtcp_hostile(void **state)
{
    (void)state;
    uint8_t buffer[2048];
    struct rng rng = rng_seed(1, "hostile");
    for (size_t i = 0; i < COUNT(rtcp_hostile); i++)
        for (size_t len = 0; len <= strlen(rtcp_hostile[i]) / 2; len++)
            (void)check(bytes_of(hex_bytes(rtcp_hostile[i], buffer).at, len));
    for (size_t i = 0; i < COUNT(rtcp_vectors); i++) {
        for (unsigned round = 0; round < 500; round++) {
            struct bytes bytes = hex_bytes(rtcp_vectors[i].hex, buffer);
            buffer[rng_below(&rng, bytes.len)] = (uint8_t)rng_u32(&rng);
            buffer[rng_below(&rng, bytes.len)] ^= (uint8_t)(1u << rng_below(&rng, 8));
            (void)check(bytes);
        }
    }
    for (enum rtcp_outcome i = 0; i < RTCP_OUTCOMES; i++)
        assert_non_null(rtcp_outcome_name(i));
    for (enum rtcp_kind i = 0; i < RTCP_KINDS; i++)
        assert_non_null(rtcp_kind_name(i));
}

static void test_rtcp_round_trip_time(void **state)
{
    (void)state;
    nanotime rtt;
    uint32_t lsr = rtcp_ntp_middle(rtcp_ntp(10 * TIME_S));
    assert_true(rtcp_round_trip(11 * TIME_S, lsr, rtcp_span(750 * TIME_MS), &rtt));
    assert_in_range(rtt, 249 * TIME_MS, 251 * TIME_MS);
    assert_false(rtcp_round_trip(11 * TIME_S, 0, 0, &rtt));
    assert_false(rtcp_round_trip(11 * TIME_S, lsr, rtcp_span(2 * TIME_S), &rtt));
    assert_int_equal(rtcp_span_time(65536), TIME_S);
    assert_int_equal(rtcp_span(70000 * TIME_S), UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rtcp_vectors),
        cmocka_unit_test(test_rtcp_compound_rules),
        cmocka_unit_test(test_rtcp_report),
        cmocka_unit_test(test_rtcp_sdes_and_bye),
        cmocka_unit_test(test_rtcp_nack),
        cmocka_unit_test(test_rtcp_rates),
        cmocka_unit_test(test_rtcp_ccfb_and_xr),
        cmocka_unit_test(test_rtcp_transport_cc_vectors),
        cmocka_unit_test(test_rtcp_transport_cc_padded_within_a_word),
        cmocka_unit_test(test_rtcp_transport_cc_round_trip),
        cmocka_unit_test(test_rtcp_hostile),
        cmocka_unit_test(test_rtcp_round_trip_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
