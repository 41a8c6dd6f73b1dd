// Numbers that are missing between frames: of FEC or padding, which is no loss, or of a frame.
#include "stack/media/frame_buffer.h"
#include "stack/rtp/rtp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#define TICKS 3600

// A payload of H.264 as it came, or nothing: FEC.
static void put(struct frame_buffer *b, int64_t sequence, uint32_t timestamp, bool marker,
                struct bytes payload)
{
    struct frame_packet packet = {.sequence = sequence,
                                  .timestamp = timestamp,
                                  .marker = marker,
                                  .empty = payload.len == 0,
                                  .payload = payload};
    if (payload.len)
        assert_int_equal(payload_read(CODEC_H264, payload, &packet.info), PAYLOAD_OK);
    assert_int_equal(frame_buffer_packet(b, 0, &packet), FRAME_KEPT);
}

static void put_fec(struct frame_buffer *b, int64_t sequence, uint32_t timestamp)
{
    put(b, sequence, timestamp, false, bytes_of(NULL, 0));
}

// RFC 6184 5.7.1: STAP-A of a set with frame_num of 4 bits (High profile, as x264 writes it) and a
// slice of an IDR picture.
static void put_key(struct frame_buffer *b, int64_t sequence, uint32_t timestamp)
{
    static const uint8_t key[] = {0x78, 0,    12,   0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9,
                                  0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0,    9,    0x65,
                                  0x88, 0x84, 0xff, 1,    2,    3,    4,    5};
    put(b, sequence, timestamp, true, bytes_of(key, sizeof key));
}

// A slice of a P picture: first_mb_in_slice 0 or 1, slice_type 5, set 0, frame_num of 4 bits.
static void put_slice(struct frame_buffer *b, int64_t sequence, uint32_t timestamp,
                      unsigned frame_num, bool first, bool is_reference, bool marker)
{
    uint8_t slice[12] = {is_reference ? 0x41 : 0x01, 0, 0, 0xff, 1, 2, 3, 4, 5, 6, 7, 8};
    if (first) { // 1 00110 1 ffff
        slice[1] = (uint8_t)(0x9a | frame_num >> 3);
        slice[2] = (uint8_t)(frame_num << 5 | 0x1f);
    } else { // 010 00110 1 ffff
        slice[1] = 0x46;
        slice[2] = (uint8_t)(0x80 | frame_num << 3 | 7);
    }
    put(b, sequence, timestamp, marker, bytes_of(slice, sizeof slice));
}

static void put_frame(struct frame_buffer *b, int64_t sequence, unsigned n)
{
    put_slice(b, sequence, n * TICKS, n % 16, true, true, true);
}

static bool given(struct frame_buffer *b, uint32_t timestamp)
{
    struct frame frame;
    return frame_buffer_poll(b, TIME_MS, &frame) && frame.timestamp == timestamp;
}

static struct frame_buffer *begin(void)
{
    struct frame_buffer *b = frame_buffer_new(90000);
    put_key(b, 10, 0);
    assert_true(given(b, 0));
    return b;
}

static void test_frame_buffer_hole_sets_tell_the_bits_of_frame_num(void **state)
{
    (void)state;
    static const uint8_t baseline[] = {0x67, 0x42, 0xc0, 0x1e, 0x8c, 0x8d, 0x40};
    static const uint8_t high[] = {0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50};
    static const uint8_t scaled[] = {0x67, 0x64, 0x00, 0x1f, 0xad, 0xd9, 0x40, 0x50};
    // High 4:4:4 with colour planes of their own: chroma_format_idc 3, '00100'.
    static const uint8_t planes[] = {0x67, 0xf4, 0x00, 0x1f, 0x92, 0xd9, 0x40, 0x50};
    // log2_max_frame_num_minus4 of 13, which is more than there is: '1' '0001110'.
    static const uint8_t wide[] = {0x67, 0x42, 0xc0, 0x1e, 0x8e, 0xff, 0x40};
    static const uint8_t prevented[] = {0x67, 0x42, 0x00, 0x00, 0x03, 0x8c, 0x8d, 0x40};
    struct payload_info info;
    const struct {
        struct bytes set;
        uint8_t bits;
    } sets[] = {{bytes_of(baseline, sizeof baseline), 15},  {bytes_of(high, sizeof high), 4},
                {bytes_of(scaled, sizeof scaled), 0},       {bytes_of(planes, sizeof planes), 0},
                {bytes_of(wide, sizeof wide), 0},           {bytes_of(high, 5), 0},
                {bytes_of(prevented, sizeof prevented), 15}};
    for (unsigned i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        assert_int_equal(payload_read(CODEC_H264, sets[i].set, &info), PAYLOAD_OK);
        assert_int_equal(info.frame_num_bits, sets[i].bits);
    }
    assert_int_equal(payload_frame_num(0x9abcull << 48, 4), 5); // 1 00110 1 0101
    assert_int_equal(payload_frame_num(0, 4), -1);
    assert_int_equal(payload_frame_num(1, 16), -1);
}

// RFC 5109 14.2: FEC inside of RED has a number; lost, it is no lost frame when frame_num goes on.
static void test_frame_buffer_hole_of_fec_before_the_next_h264_picture(void **state)
{
    (void)state;
    struct frame_buffer *b = begin();
    for (unsigned n = 1; n < 40; n++) { // across the wrap of frame_num
        put_frame(b, 10 + 2 * n, n);
        assert_true(given(b, n * TICKS));
    }
    assert_false(frame_buffer_needs_keyframe(b));
    frame_buffer_free(b);
}

static void test_frame_buffer_hole_of_an_h264_picture_is_waited_for(void **state)
{
    (void)state;
    struct frame_buffer *b = begin();
    put_frame(b, 12, 2); // 1 is missing
    assert_false(given(b, 2 * TICKS));
    put_frame(b, 11, 1);
    assert_true(given(b, TICKS));
    assert_true(given(b, 2 * TICKS));
    frame_buffer_free(b);
}

// The first slice is missing: what follows is a part of a picture, whatever its frame_num.
static void test_frame_buffer_hole_of_the_first_slice_is_waited_for(void **state)
{
    (void)state;
    struct frame_buffer *b = begin();
    put_slice(b, 12, TICKS, 1, false, true, true);
    assert_false(given(b, TICKS));
    put_slice(b, 11, TICKS, 1, true, true, false);
    assert_true(given(b, TICKS));
    frame_buffer_free(b);
}

// H.264 7.4.3: a picture that nobody refers to does not count: lost, it is not missed.
static void test_frame_buffer_hole_of_what_nobody_refers_to(void **state)
{
    (void)state;
    struct frame_buffer *b = begin();
    put_frame(b, 11, 1);
    assert_true(given(b, TICKS));
    put_slice(b, 13, 3 * TICKS, 2, true, true, true); // 12 was not referred to
    assert_true(given(b, 3 * TICKS));
    put_slice(b, 14, 4 * TICKS, 3, true, false, true);
    assert_true(given(b, 4 * TICKS));
    put_slice(b, 16, 5 * TICKS, 3, true, true, true); // and FEC is missing before it
    assert_true(given(b, 5 * TICKS));
    put_slice(b, 18, 6 * TICKS, 3, true, true, true); // but this does not go on
    assert_false(given(b, 6 * TICKS));
    frame_buffer_free(b);
}

// Without numbers of pictures (here: frame_num that does not go on) a packet of FEC of the same
// time behind the hole tells: after the end of the frame nothing but FEC is of its time.
static void test_frame_buffer_hole_inside_of_fec_is_none(void **state)
{
    (void)state;
    struct frame_buffer *b = begin();
    put_fec(b, 12, 0); // 11 is missing
    put_slice(b, 13, TICKS, 9, true, true, true);
    assert_true(given(b, TICKS));
    put_fec(b, 15, TICKS); // 14 and 16 are
    put_fec(b, 17, TICKS);
    put_slice(b, 18, 2 * TICKS, 9, true, true, true);
    assert_true(given(b, 2 * TICKS));
    put_fec(b, 20, 2 * TICKS); // 19 is, and 21, which may be of the next frame
    put_slice(b, 22, 3 * TICKS, 9, true, true, true);
    assert_false(given(b, 3 * TICKS));
    put_fec(b, 21, 3 * TICKS); // of what time ever, it is there
    assert_true(given(b, 3 * TICKS));
    put_fec(b, 24, 4 * TICKS); // 23 is missing, and what is behind it is of another time
    put_slice(b, 25, 4 * TICKS, 9, true, true, true);
    assert_false(given(b, 4 * TICKS));
    frame_buffer_free(b);
}

// The frame behind the FEC must be there from its start.
static void test_frame_buffer_hole_inside_of_fec_before_a_part(void **state)
{
    (void)state;
    struct frame_buffer *b = begin();
    put_fec(b, 12, 0);
    put_slice(b, 13, TICKS, 1, false, true, true);
    assert_false(given(b, TICKS));
    frame_buffer_free(b);
}

// RFC 6184 5.1: the marker MUST NOT be relied on; another time is another access unit.
static void test_frame_buffer_hole_none_without_a_marker(void **state)
{
    (void)state;
    struct frame_buffer *b = begin();
    put_slice(b, 11, TICKS, 1, true, true, false);
    put_slice(b, 12, TICKS, 1, false, true, false);
    assert_false(given(b, TICKS));
    put_slice(b, 13, 2 * TICKS, 2, true, true, true);
    struct frame frame;
    assert_true(frame_buffer_poll(b, TIME_MS, &frame));
    assert_int_equal(frame.first, 11);
    assert_int_equal(frame.last, 12);
    assert_true(given(b, 2 * TICKS));
    frame_buffer_free(b);
}

// A key frame's slice behind a hole: where sets come in the stream, its sets are what is missing.
static void test_frame_buffer_hole_of_parameter_sets(void **state)
{
    (void)state;
    static const uint8_t slice[] = {0x65, 0x88, 0x84, 0xff, 1, 2, 3, 4, 5};
    struct frame_buffer *b = begin();
    put(b, 12, TICKS, true, bytes_of(slice, sizeof slice));
    assert_false(given(b, TICKS));
    put_key(b, 14, 2 * TICKS);
    assert_true(given(b, 2 * TICKS)); // this one is whole
    put(b, 15, 3 * TICKS, true, bytes_of(slice, sizeof slice));
    assert_true(given(b, 3 * TICKS)); // and there is no hole before this one
    frame_buffer_free(b);

    b = begin(); // though its frame_num is the next one's
    for (unsigned n = 1; n < 16; n++) {
        put_frame(b, 10 + n, n);
        assert_true(given(b, n * TICKS));
    }
    put(b, 27, 16 * TICKS, true, bytes_of(slice, sizeof slice));
    assert_false(given(b, 16 * TICKS));
    frame_buffer_free(b);

    b = frame_buffer_new(90000); // sets that never come in the stream are told elsewhere
    put(b, 10, 0, true, bytes_of(slice, sizeof slice));
    assert_true(given(b, 0));
    put(b, 12, TICKS, true, bytes_of(slice, sizeof slice));
    assert_true(given(b, TICKS));
    frame_buffer_free(b);
}

// RFC 6184 5.1: a key frame given up is given up whole. Its slice behind its sets begins no other
// one, also when what was missing of it comes at last.
static void test_frame_buffer_hole_in_a_key_frame_behind_its_sets(void **state)
{
    (void)state;
    static const uint8_t sets[] = {0x78, 0, 8, 0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50};
    static const uint8_t start[] = {0x7c, 0x85, 0x88, 0x84, 0xff, 1, 2, 3};
    static const uint8_t end[] = {0x7c, 0x45, 6, 7};
    struct frame_buffer *b = begin();
    put(b, 11, TICKS, false, bytes_of(sets, sizeof sets));
    put(b, 12, TICKS, false, bytes_of(start, sizeof start));
    put(b, 14, TICKS, true, bytes_of(end, sizeof end));
    struct frame frame;
    assert_false(frame_buffer_poll(b, TIME_S, &frame)); // the wait is over
    assert_true(frame_buffer_needs_keyframe(b));
    put(b, 15, 2 * TICKS, false, bytes_of(sets, sizeof sets));
    assert_int_equal(frame_buffer_done(b), 14);
    put(b, 16, 2 * TICKS, true, bytes_of(start, sizeof start));
    assert_true(frame_buffer_poll(b, TIME_S, &frame) && frame.first == 15 && frame.last == 16);
    frame_buffer_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame_buffer_hole_sets_tell_the_bits_of_frame_num),
        cmocka_unit_test(test_frame_buffer_hole_of_fec_before_the_next_h264_picture),
        cmocka_unit_test(test_frame_buffer_hole_of_an_h264_picture_is_waited_for),
        cmocka_unit_test(test_frame_buffer_hole_of_the_first_slice_is_waited_for),
        cmocka_unit_test(test_frame_buffer_hole_of_what_nobody_refers_to),
        cmocka_unit_test(test_frame_buffer_hole_inside_of_fec_is_none),
        cmocka_unit_test(test_frame_buffer_hole_inside_of_fec_before_a_part),
        cmocka_unit_test(test_frame_buffer_hole_none_without_a_marker),
        cmocka_unit_test(test_frame_buffer_hole_of_parameter_sets),
        cmocka_unit_test(test_frame_buffer_hole_in_a_key_frame_behind_its_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
