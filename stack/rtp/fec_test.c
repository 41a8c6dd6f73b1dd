#include "stack/rtp/fec.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT 12

struct frame {
    uint8_t bytes[COUNT][RTP_PACKET_MAX];
    struct bytes packets[COUNT];
};

// Packets of many lengths and times, with extensions, markers, and a CSRC among them.
static void frame_fill(struct frame *f, struct rng *rng, uint16_t first)
{
    for (unsigned i = 0; i < COUNT; i++) {
        uint8_t payload[1200];
        size_t len = 1 + rng_below(rng, sizeof payload);
        rng_fill(rng, payload, len);
        struct rtp_packet packet = {.marker = i == COUNT - 1,
                                    .payload_type = 96,
                                    .sequence = (uint16_t)(first + i),
                                    .timestamp = 0x01020304 + i / 5 * 3600,
                                    .ssrc = 0xabcd,
                                    .csrc_count = i == 3,
                                    .csrc = {7},
                                    .payload = bytes_of(payload, len)};
        struct rtp_extension_map map = {.id = {[RTP_MID] = 4}};
        struct rtp_extension_values values = {.has = 1u << RTP_MID, .mid = bytes_text("1")};
        size_t size = rtp_write(f->bytes[i], sizeof f->bytes[i], &packet, &map, &values);
        f->packets[i] = bytes_of(f->bytes[i], size);
    }
}

static void recover_each(enum fec_format format, uint16_t first)
{
    struct rng rng = rng_seed(1, "fec");
    static struct frame f;
    uint8_t repair[RTP_PACKET_MAX + FEC_OVERHEAD_MAX];
    frame_fill(&f, &rng, first);
    size_t len = fec_encode(format, f.packets, COUNT, repair, sizeof repair);
    assert_true(len > 0);
    for (unsigned lost = 0; lost < COUNT; lost++) {
        struct fec_decoder *d = fec_decoder_new(format, 0xabcd);
        struct bytes got;
        for (unsigned i = 0; i < COUNT; i++) {
            if (i != lost)
                fec_decoder_media(d, (uint16_t)(first + i), f.packets[i]);
        }
        assert_false(fec_decoder_poll(d, &got));
        assert_int_equal(fec_decoder_repair(d, bytes_of(repair, len)), FEC_KEPT_IT);
        assert_true(fec_decoder_poll(d, &got));
        assert_true(bytes_equal(got, f.packets[lost]));
        fec_decoder_media(d, (uint16_t)(first + lost), got);
        assert_false(fec_decoder_poll(d, &got)); // once
        fec_decoder_free(d);
    }
}

static void test_fec_any_one_lost_packet_comes_back_as_it_was(void **state)
{
    (void)state;
    recover_each(FEC_ULP, 100);
    recover_each(FEC_FLEX, 100);
    recover_each(FEC_ULP, 65530); // across the wrap
    recover_each(FEC_FLEX, 65530);
}

static void test_fec_two_lost_packets_wait_for_one_of_them(void **state)
{
    (void)state;
    struct rng rng = rng_seed(2, "fec");
    static struct frame f;
    uint8_t repair[RTP_PACKET_MAX + FEC_OVERHEAD_MAX];
    frame_fill(&f, &rng, 5);
    size_t len = fec_encode(FEC_FLEX, f.packets, COUNT, repair, sizeof repair);
    struct fec_decoder *d = fec_decoder_new(FEC_FLEX, 0xabcd);
    struct bytes got;
    for (unsigned i = 2; i < COUNT; i++)
        fec_decoder_media(d, (uint16_t)(5 + i), f.packets[i]);
    fec_decoder_repair(d, bytes_of(repair, len));
    assert_false(fec_decoder_poll(d, &got));
    fec_decoder_media(d, 5, f.packets[0]); // it came by RTX
    assert_true(fec_decoder_poll(d, &got));
    assert_true(bytes_equal(got, f.packets[1]));
    fec_decoder_free(d);
}

// A repair packet that nothing could be computed from is of the past once the numbers have moved
// on: after a round of them it is not of the packets that have the same.
static void test_fec_repair_is_not_of_the_next_round(void **state)
{
    (void)state;
    struct rng rng = rng_seed(1, "fec");
    static struct frame f;
    uint8_t repair[RTP_PACKET_MAX + FEC_OVERHEAD_MAX];
    struct bytes got;
    frame_fill(&f, &rng, 100);
    struct fec_decoder *d = fec_decoder_new(FEC_ULP, 0xabcd);
    for (unsigned i = 0; i < COUNT; i++) {
        if (i != 3 && i != 7)
            fec_decoder_media(d, (uint16_t)(100 + i), f.packets[i]);
    }
    size_t len = fec_encode(FEC_ULP, f.packets, COUNT, repair, sizeof repair);
    assert_int_equal(fec_decoder_repair(d, bytes_of(repair, len)), FEC_KEPT_IT);
    assert_false(fec_decoder_poll(d, &got));
    for (uint32_t i = 100 + COUNT; i < 65536 + 100; i++) {
        fec_decoder_media(d, (uint16_t)i, f.packets[0]);
        assert_false(fec_decoder_poll(d, &got));
    }
    f.bytes[0][f.packets[0].len - 1]++; // they are others
    for (unsigned i = 0; i < COUNT; i++) {
        if (i != 3)
            fec_decoder_media(d, (uint16_t)(100 + i), f.packets[i]);
    }
    assert_false(fec_decoder_poll(d, &got));
    assert_int_equal(fec_decoder_unused(d), 1);
    fec_decoder_free(d);
}

static void test_fec_masks_reach_to_46_packets(void **state)
{
    (void)state;
    uint8_t a[20] = {0x80, 96, 0, 0}, b[20] = {0x80, 96, 0, 45}, repair[200];
    struct bytes packets[2] = {bytes_of(a, sizeof a), bytes_of(b, sizeof b)};
    for (enum fec_format format = FEC_ULP; format <= FEC_FLEX; format++) {
        b[3] = 45;
        assert_true(fec_encode(format, packets, 2, repair, sizeof repair) > 0);
        b[3] = 46;
        assert_int_equal(fec_encode(format, packets, 2, repair, sizeof repair), 0);
        b[3] = 45;
        assert_int_equal(fec_encode(format, packets, 2, repair, 20), 0); // no room
    }
}

// RFC 5109 10.1's layout, by hand: flags, M and PT, base, timestamp, length, protection, mask.
static void test_fec_ulp_header_is_that_of_rfc_5109(void **state)
{
    (void)state;
    uint8_t a[14] = {0x80, 0x60, 0, 8, 0, 0, 0, 3, 0, 0, 0, 2, 0xaa, 0xbb};
    uint8_t b[15] = {0x80, 0xe0, 0, 10, 0, 0, 0, 5, 0, 0, 0, 2, 0x01, 0x02, 0x04};
    struct bytes packets[2] = {bytes_of(a, sizeof a), bytes_of(b, sizeof b)};
    static const uint8_t wanted[] = {0x00, 0x80, 0, 8,    0,    0,    0,    6, 0,
                                     1,    0,    3, 0xa0, 0x00, 0xab, 0xb9, 4};
    uint8_t repair[64];
    size_t len = fec_encode(FEC_ULP, packets, 2, repair, sizeof repair);
    assert_int_equal(len, sizeof wanted);
    assert_memory_equal(repair, wanted, sizeof wanted);
}

// RFC 5109 7.4: the protection length may end before the packet does. What is left is no packet;
// one byte more of it, and it is.
static void test_fec_a_part_of_a_packet_is_none(void **state)
{
    (void)state;
    uint8_t a[14] = {0x80, 0x60, 0, 8, 0, 0, 0, 3, 0, 0, 0, 2, 0xaa, 0xbb};
    uint8_t b[40] = {0x80, 0xe0, 0, 9, 0, 0, 0, 5, 0, 0, 0, 2, 0x01, 0x02};
    struct bytes packets[2] = {bytes_of(a, sizeof a), bytes_of(b, sizeof b)}, got;
    uint8_t repair[64];
    size_t len = fec_encode(FEC_ULP, packets, 2, repair, sizeof repair);
    assert_int_equal(len, 14 + 28);
    for (unsigned less = 0; less < 3; less++) {
        struct fec_decoder *d = fec_decoder_new(FEC_ULP, 2);
        repair[11] = (uint8_t)(28 - less);
        fec_decoder_media(d, 8, packets[0]);
        assert_int_equal(fec_decoder_repair(d, bytes_of(repair, len - less)), FEC_KEPT_IT);
        assert_int_equal(fec_decoder_poll(d, &got), less == 0);
        assert_int_equal(fec_decoder_unused(d), less > 0);
        assert_true(less > 0 || bytes_equal(got, packets[1]));
        fec_decoder_free(d);
    }
}

// The longest body that a packet can have, and one byte more.
static void test_fec_the_longest_packet(void **state)
{
    (void)state;
    static uint8_t a[RTP_PACKET_MAX] = {0x80, 0x60, 0, 8, 0, 0, 0, 3, 0, 0, 0, 2, 0xaa};
    static uint8_t repair[RTP_PACKET_MAX + 64];
    struct bytes packet = bytes_of(a, sizeof a), got;
    a[sizeof a - 1] = 0x77;
    size_t len = fec_encode(FEC_ULP, &packet, 1, repair, sizeof repair);
    struct fec_decoder *d = fec_decoder_new(FEC_ULP, 2);
    assert_int_equal(fec_decoder_repair(d, bytes_of(repair, len)), FEC_KEPT_IT);
    assert_true(fec_decoder_poll(d, &got));
    assert_true(bytes_equal(got, packet));
    put_u16(repair + 10, RTP_PACKET_MAX - RTP_HEADER_LEN + 1);
    assert_int_equal(fec_decoder_repair(d, bytes_of(repair, len + 1)), FEC_NOT_SUPPORTED);
    fec_decoder_free(d);
}

static void test_fec_hostile_repair_packets_have_an_outcome(void **state)
{
    (void)state;
    struct rng rng = rng_seed(3, "fec");
    static struct frame f;
    uint8_t repair[RTP_PACKET_MAX + FEC_OVERHEAD_MAX], bad[RTP_PACKET_MAX + FEC_OVERHEAD_MAX];
    struct bytes got;
    frame_fill(&f, &rng, 1);
    for (enum fec_format format = FEC_ULP; format <= FEC_FLEX; format++) {
        struct fec_decoder *d = fec_decoder_new(format, 0xabcd);
        size_t len = fec_encode(format, f.packets, COUNT, repair, sizeof repair);
        assert_int_equal(fec_decoder_repair(d, bytes_of(repair, 5)), FEC_TOO_SHORT);
        for (unsigned i = 0; i < COUNT - 1; i++)
            fec_decoder_media(d, (uint16_t)(1 + i), f.packets[i]);
        for (int round = 0; round < 20000; round++) {
            memcpy(bad, repair, len);
            bad[rng_below(&rng, 30)] ^= (uint8_t)(1u << rng_below(&rng, 8));
            size_t cut = rng_below(&rng, 4) ? len : rng_below(&rng, len);
            assert_true(fec_decoder_repair(d, bytes_of(bad, cut)) < FEC_OUTCOMES);
            while (fec_decoder_poll(d, &got))
                assert_in_range(got.len, RTP_HEADER_LEN, RTP_PACKET_MAX);
        }
        assert_true(fec_decoder_unused(d) > 0);
        fec_decoder_free(d);
    }
    struct fec_decoder *other = fec_decoder_new(FEC_FLEX, 1);
    size_t len = fec_encode(FEC_FLEX, f.packets, COUNT, repair, sizeof repair);
    assert_int_equal(fec_decoder_repair(other, bytes_of(repair, len)), FEC_ALIEN);
    fec_decoder_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fec_any_one_lost_packet_comes_back_as_it_was),
        cmocka_unit_test(test_fec_two_lost_packets_wait_for_one_of_them),
        cmocka_unit_test(test_fec_repair_is_not_of_the_next_round),
        cmocka_unit_test(test_fec_masks_reach_to_46_packets),
        cmocka_unit_test(test_fec_ulp_header_is_that_of_rfc_5109),
        cmocka_unit_test(test_fec_a_part_of_a_packet_is_none),
        cmocka_unit_test(test_fec_the_longest_packet),
        cmocka_unit_test(test_fec_hostile_repair_packets_have_an_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
