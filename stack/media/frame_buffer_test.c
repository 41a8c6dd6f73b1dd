// Frames out of packets: what is put together, waited for, dropped, and how it is counted.
#include "stack/media/frame_buffer.h"
#include "base/rng.h"
#include "stack/rtp/rtp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#define FRAME_TIME (40 * TIME_MS)
#define FRAME_TICKS 3600 // of 90 kHz

// What a packet is besides its sequence.
struct shape {
    uint32_t timestamp;
    bool start, end, key, empty, recovered;
    int picture; // 0: none, else the number and 1
    bool picture_long;
};

static enum frame_outcome put(struct frame_buffer *b, nanotime now, int64_t sequence,
                              struct shape shape)
{
    uint8_t payload[2] = {(uint8_t)(sequence >> 8), (uint8_t)sequence};
    struct frame_packet packet = {.sequence = sequence,
                                  .timestamp = shape.timestamp,
                                  .marker = shape.end,
                                  .empty = shape.empty,
                                  .recovered = shape.recovered,
                                  .info = {.frame_start = shape.start,
                                           .keyframe = shape.key,
                                           .width = shape.key ? 320 : 0,
                                           .height = shape.key ? 180 : 0,
                                           .tag = PAYLOAD_TAG_NONE},
                                  .payload = bytes_of(payload, shape.empty ? 0 : sizeof payload)};
    packet.info.tag.picture_id = shape.picture - 1;
    packet.info.tag.picture_id_is_long = shape.picture_long;
    return frame_buffer_packet(b, now, &packet);
}

// Frame number `n` of one packet with sequence `sequence`; frame 0 is a key frame.
static void put_frame(struct frame_buffer *b, nanotime now, int64_t sequence, unsigned n)
{
    assert_int_equal(
        put(b, now, sequence,
            (struct shape){
                .timestamp = n * FRAME_TICKS, .start = true, .end = true, .key = n == 0}),
        FRAME_KEPT);
}

// A stream that begins at 0 may have one before it, which comes late.
static void test_frame_buffer_a_number_below_zero_is_late(void **state)
{
    (void)state;
    struct frame_buffer *b = frame_buffer_new(90000);
    put_frame(b, 0, 0, 0);
    assert_int_equal(put(b, 0, -1, (struct shape){.timestamp = 1}), FRAME_LATE);
    assert_int_equal(frame_buffer_stats(b, 0).packets_late, 1);
    frame_buffer_free(b);
}

// The next frame is the one of these sequences, and is given now.
static struct frame check_given(struct frame_buffer *b, nanotime now, int64_t first, int64_t last)
{
    struct frame frame = {0};
    assert_true(frame_buffer_poll(b, now, &frame));
    assert_int_equal(frame.first, first);
    assert_int_equal(frame.last, last);
    for (int64_t i = first; i <= last; i++) {
        struct bytes payload = frame_buffer_payload(b, i);
        assert_true(payload.len == 0 || payload.len == 2);
        if (payload.len)
            assert_int_equal(payload.at[0] << 8 | payload.at[1], i & 0xffff);
    }
    assert_int_equal(frame_buffer_done(b), last);
    return frame;
}

static void check_nothing(struct frame_buffer *b, nanotime now)
{
    struct frame frame;
    assert_false(frame_buffer_poll(b, now, &frame));
}

static struct frame_buffer_stats stats_of(struct frame_buffer *b)
{
    return frame_buffer_stats(b, 0);
}

// ------------------------------------------------------------------------------------- assembly

static void test_frame_buffer_begins_with_a_key_frame(void **state)
{
    (void)state;
    struct frame_buffer *b = frame_buffer_new(90000);
    assert_false(frame_buffer_needs_keyframe(b));
    assert_true(frame_buffer_deadline(b) == TIME_NEVER);
    check_nothing(b, 0);
    put_frame(b, 0, 10, 1);
    put_frame(b, FRAME_TIME, 11, 2);
    check_nothing(b, FRAME_TIME);
    assert_true(frame_buffer_needs_keyframe(b));
    assert_true(frame_buffer_deadline(b) == TIME_NEVER);
    put_frame(b, 2 * FRAME_TIME, 12, 0);
    assert_false(frame_buffer_needs_keyframe(b));
    assert_true(frame_buffer_deadline(b) == 2 * FRAME_TIME);
    struct frame frame = check_given(b, 2 * FRAME_TIME, 12, 12);
    assert_true(frame.keyframe);
    assert_int_equal(frame.width, 320);
    assert_int_equal(frame.height, 180);
    assert_true(frame_buffer_deadline(b) == TIME_NEVER);
    struct frame_buffer_stats stats = stats_of(b);
    assert_int_equal(stats.framesDropped, 2);
    assert_int_equal(stats.framesReceived, 1);
    assert_int_equal(stats.framesDecoded, 1);
    assert_int_equal(stats.keyFramesDecoded, 1);
    assert_int_equal(stats.jitterBufferEmittedCount, 1);
    frame_buffer_free(b);
    frame_buffer_free(NULL);
}

// A key frame of which the start is lost is none.
static void test_frame_buffer_end_of_a_key_frame_is_no_beginning(void **state)
{
    (void)state;
    struct frame_buffer *b = frame_buffer_new(90000);
    put(b, 0, 5, (struct shape){.end = true, .key = true});
    check_nothing(b, 0);
    assert_true(frame_buffer_needs_keyframe(b));
    frame_buffer_free(b);
    b = frame_buffer_new(90000); // the same with the first number that there is
    put(b, 0, 0, (struct shape){.end = true, .key = true});
    assert_true(frame_buffer_needs_keyframe(b));
    frame_buffer_free(b);
}

// The first packet of the stream may come after others, of the next frame too: nothing is lost.
static void test_frame_buffer_first_of_all_comes_late(void **state)
{
    (void)state;
    static const int orders[][4] = {{1, 0, 2, 3}, {1, 2, 0, 3}, {2, 1, 0, 3},
                                    {2, 0, 1, 3}, {1, 2, 3, 0}, {3, 2, 1, 0}};
    static const int64_t firsts[] = {0, 1, 30000};
    for (unsigned i = 0; i < 18; i++) {
        struct frame_buffer *b = frame_buffer_new(90000);
        int64_t first = firsts[i / 6];
        for (int k = 0; k < 4; k++) {
            int part = orders[i % 6][k];
            struct shape shape = {.timestamp = part == 3 ? FRAME_TICKS : 0,
                                  .start = part == 0 || part == 3,
                                  .end = part >= 2,
                                  .key = part < 3};
            assert_int_equal(put(b, 0, first + part, shape), FRAME_KEPT);
        }
        assert_true(check_given(b, 0, first, first + 2).keyframe);
        check_given(b, 0, first + 3, first + 3);
        assert_int_equal(stats_of(b).framesDropped, 0);
        assert_int_equal(stats_of(b).packets_late, 0);
        frame_buffer_free(b);
    }
}

// But not after 64 others, nor once something was shown.
static void test_frame_buffer_first_of_all_comes_too_late(void **state)
{
    (void)state;
    struct shape start = {.start = true, .key = true}, rest = {.key = true};
    for (int shown = 0; shown < 2; shown++) {
        struct frame_buffer *b = frame_buffer_new(90000);
        if (shown) {
            put_frame(b, 0, 98, 0);
            check_given(b, 0, 98, 98);
            for (int i = 0; i < 2; i++) // a hole that is given up
                put(b, i * FRAME_BUFFER_WAIT, 100 + i, rest);
        } else {
            for (int i = 0; i <= 64; i++)
                put(b, 0, 100 + i, rest);
        }
        assert_true(frame_buffer_needs_keyframe(b));
        assert_int_equal(put(b, 0, 99, start), FRAME_LATE);
        frame_buffer_free(b);
    }
}

// In whatever order the packets of a frame come, it is whole with the last of them.
static void test_frame_buffer_packets_in_any_order(void **state)
{
    (void)state;
    static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}};
    struct frame_buffer *b = frame_buffer_new(90000);
    put_frame(b, 0, 99, 0);
    check_given(b, 0, 99, 99);
    nanotime now = 0;
    for (int i = 0; i < 5; i++) {
        int64_t first = 100 + i * 3;
        now = (i + 1) * FRAME_TIME;
        for (int k = 0; k < 3; k++) {
            check_nothing(b, now);
            int part = orders[i][k];
            struct shape shape = {
                .timestamp = (uint32_t)(i + 1) * FRAME_TICKS, .start = part == 0, .end = part == 2};
            assert_int_equal(put(b, now, first + part, shape), FRAME_KEPT);
            now += TIME_MS * (k < 2);
        }
        struct frame frame = check_given(b, now, first, first + 2);
        assert_true(frame.first_at == (i + 1) * FRAME_TIME);
        assert_true(frame.whole_at == now);
    }
    struct frame_buffer_stats stats = stats_of(b);
    assert_int_equal(stats.framesAssembledFromMultiplePackets, 5);
    assert_true(stats.totalAssemblyTime == 5 * 2 * TIME_MS);
    assert_true(stats.totalProcessingDelay == 5 * 2 * TIME_MS);
    assert_int_equal(stats.framesDropped, 0);
    frame_buffer_free(b);
}

static void test_frame_buffer_names_what_it_does_not_keep(void **state)
{
    (void)state;
    struct frame_buffer *b = frame_buffer_new(90000);
    put_frame(b, 0, 10, 0);
    check_given(b, 0, 10, 10);
    struct shape delta = {.timestamp = FRAME_TICKS, .start = true};
    assert_int_equal(put(b, FRAME_TIME, 11, delta), FRAME_KEPT);
    assert_int_equal(put(b, FRAME_TIME, 11, delta), FRAME_DUPLICATE);
    assert_int_equal(put(b, FRAME_TIME, 10, delta), FRAME_LATE);
    assert_int_equal(put(b, FRAME_TIME, -70000, delta), FRAME_LATE);
    assert_int_equal(stats_of(b).packets_late, 1); // 10 had come in time, too
    static const uint8_t large[RTP_PACKET_MAX + 1];
    struct frame_packet packet = {
        .sequence = 12, .marker = true, .payload = bytes_of(large, sizeof large)};
    assert_int_equal(frame_buffer_packet(b, FRAME_TIME, &packet), FRAME_TOO_LONG);
    check_nothing(b, FRAME_TIME);
    packet.payload.len--;
    assert_int_equal(frame_buffer_packet(b, FRAME_TIME, &packet), FRAME_KEPT);
    struct frame frame;
    assert_true(frame_buffer_poll(b, FRAME_TIME, &frame));
    assert_int_equal(frame_buffer_payload(b, 12).len, RTP_PACKET_MAX);
    assert_int_equal(frame_buffer_payload(b, 13).len, 0);
    frame_buffer_free(b);
}

// A large frame over a slow link has no hole while its packets come in order, however long it
// takes.
static void test_frame_buffer_slow_frame_is_no_hole(void **state)
{
    (void)state;
    struct frame_buffer *b = frame_buffer_new(90000);
    nanotime now = 0;
    for (int i = 0; i < 20; i++, now += 100 * TIME_MS) {
        check_nothing(b, now);
        put(b, now, 10 + i, (struct shape){.start = i == 0, .end = i == 19, .key = true});
        assert_false(frame_buffer_needs_keyframe(b));
        assert_true(frame_buffer_deadline(b) == (i < 19 ? TIME_NEVER : now));
    }
    check_given(b, now, 10, 29);
    assert_int_equal(stats_of(b).framesDropped, 0);
    frame_buffer_free(b);
}

// ----------------------------------------------------------------------------------------- holes

// A packet that is missing holds up what follows, until it comes.
static void test_frame_buffer_waits_for_a_hole(void **state)
{
    (void)state;
    struct frame_buffer *b = frame_buffer_new(90000);
    put_frame(b, 0, 10, 0);
    check_given(b, 0, 10, 10);
    put_frame(b, 2 * FRAME_TIME, 12, 2);
    put_frame(b, 3 * FRAME_TIME, 13, 3);
    check_nothing(b, 3 * FRAME_TIME);
    nanotime until = 2 * FRAME_TIME + FRAME_BUFFER_WAIT;
    assert_true(frame_buffer_deadline(b) == until);
    check_nothing(b, until - 1);
    assert_false(frame_buffer_needs_keyframe(b));
    assert_int_equal(
        put(b, until - 1, 11,
            (struct shape){
                .timestamp = FRAME_TICKS, .start = true, .end = true, .recovered = true}),
        FRAME_KEPT);
    check_given(b, until - 1, 11, 11);
    // What is behind it has waited long enough.
    nanotime due = frame_buffer_deadline(b);
    assert_true(due <= until + 100 * TIME_MS);
    check_given(b, until + 100 * TIME_MS, 12, 12);
    check_given(b, until + 100 * TIME_MS, 13, 13);
    assert_int_equal(stats_of(b).framesDropped, 0);
    frame_buffer_free(b);
}

// What never comes costs all frames up to the next key frame, each counted once.
static void test_frame_buffer_hole_given_up_costs_up_to_the_key_frame(void **state)
{
    (void)state;
    struct frame_buffer *b = frame_buffer_new(90000);
    put_frame(b, 0, 10, 0);
    check_given(b, 0, 10, 10);
    for (unsigned n = 2; n < 5; n++) { // frame 1 lost; 2 packets each
        int64_t first = 12 + (n - 2) * 2;
        struct shape shape = {.timestamp = n * FRAME_TICKS, .start = true};
        put(b, 2 * FRAME_TIME, first, shape);
        put(b, 2 * FRAME_TIME, first + 1, (struct shape){.timestamp = shape.timestamp, .end = 1});
    }
    nanotime now = 2 * FRAME_TIME + FRAME_BUFFER_WAIT;
    check_nothing(b, now);
    assert_true(frame_buffer_needs_keyframe(b));
    assert_int_equal(frame_buffer_done(b), 17);
    assert_int_equal(stats_of(b).framesDropped, 3);
    assert_true(frame_buffer_deadline(b) == TIME_NEVER);
    put_frame(b, now, 18, 5);
    check_nothing(b, now);
    assert_int_equal(put(b, now, 11, (struct shape){.end = true}), FRAME_LATE);
    assert_int_equal(stats_of(b).framesDropped, 4);
    put(b, now + FRAME_TIME, 19,
        (struct shape){.timestamp = 6 * FRAME_TICKS, .start = true, .end = true, .key = true});
    assert_false(frame_buffer_needs_keyframe(b));
    check_given(b, now + TIME_S, 19, 19);
    assert_int_equal(stats_of(b).framesDropped, 4);
    frame_buffer_free(b);
}

// A key frame that is whole behind the hole goes at once; one in parts does not end the wait.
static void test_frame_buffer_whole_key_frame_ends_the_wait(void **state)
{
    (void)state;
    struct frame_buffer *b = frame_buffer_new(90000);
    put_frame(b, 0, 10, 0);
    check_given(b, 0, 10, 10);
    put_frame(b, 2 * FRAME_TIME, 12, 2);
    struct shape key = {.timestamp = 3 * FRAME_TICKS, .start = true, .key = true};
    put(b, 3 * FRAME_TIME, 13, key);
    check_nothing(b, 3 * FRAME_TIME);
    assert_int_equal(frame_buffer_done(b), 10);
    put(b, 3 * FRAME_TIME, 14, (struct shape){.timestamp = key.timestamp, .end = true});
    struct frame frame = check_given(b, 3 * FRAME_TIME, 13, 14);
    assert_true(frame.keyframe);
    assert_int_equal(stats_of(b).framesDropped, 1);
    put_frame(b, 4 * FRAME_TIME, 15, 4);
    check_given(b, 4 * FRAME_TIME, 15, 15);
    frame_buffer_free(b);
}

// A hole in a key frame that is behind a hole: not whole, and not the one to begin with.
static void test_frame_buffer_key_frame_with_a_hole_is_skipped(void **state)
{
    (void)state;
    struct frame_buffer *b = frame_buffer_new(90000);
    struct shape key = {.start = true, .key = true};
    put(b, 0, 10, key);
    put(b, 0, 12, (struct shape){.end = true}); // 11 is lost
    key.timestamp = FRAME_TICKS;
    put(b, FRAME_TIME, 13, key); // and 14
    put(b, FRAME_TIME, 15, (struct shape){.timestamp = FRAME_TICKS, .end = true});
    check_nothing(b, FRAME_BUFFER_WAIT - 1);
    assert_true(frame_buffer_deadline(b) == FRAME_BUFFER_WAIT);
    check_nothing(b, FRAME_BUFFER_WAIT); // the second key frame has its own wait
    assert_int_equal(frame_buffer_done(b), 12);
    assert_false(frame_buffer_needs_keyframe(b));
    assert_true(frame_buffer_deadline(b) == 2 * FRAME_BUFFER_WAIT);
    put(b, FRAME_BUFFER_WAIT, 14, (struct shape){.timestamp = FRAME_TICKS});
    check_given(b, TIME_S, 13, 15);
    assert_int_equal(stats_of(b).framesDropped, 1);
    frame_buffer_free(b);
}

// Two retransmissions are waited for: two and a half round trips, within bounds.
static void test_frame_buffer_waits_as_long_as_the_path_needs(void **state)
{
    (void)state;
    static const nanotime cases[][2] = {
        {0, FRAME_BUFFER_WAIT},
        {160 * TIME_MS, FRAME_BUFFER_WAIT},
        {200 * TIME_MS, 500 * TIME_MS},
        {600 * TIME_MS, FRAME_BUFFER_WAIT_MAX},
        {TIME_S * 3600, FRAME_BUFFER_WAIT_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct frame_buffer *b = frame_buffer_new(90000);
        frame_buffer_set_rtt(b, cases[i][0]);
        put_frame(b, 0, 10, 0);
        check_given(b, 0, 10, 10);
        put_frame(b, 0, 12, 2);
        check_nothing(b, 0);
        assert_true(frame_buffer_deadline(b) == cases[i][1]);
        frame_buffer_free(b);
    }
}

// ------------------------------------------------------------------------- what carries no frame

// Sequence `gap` is missing between pictures `a` and `b`: is the second given all the same?
static bool goes_on(int a, int b, bool is_long)
{
    struct frame_buffer *buffer = frame_buffer_new(90000);
    struct shape shape = {
        .start = true, .end = true, .key = true, .picture = a + 1, .picture_long = is_long};
    put(buffer, 0, 10, shape);
    check_given(buffer, 0, 10, 10);
    shape.key = false;
    shape.picture = b + 1;
    shape.timestamp = FRAME_TICKS;
    put(buffer, FRAME_TIME, 13, shape);
    struct frame frame;
    bool given = frame_buffer_poll(buffer, FRAME_TIME, &frame);
    assert_int_equal(frame_buffer_done(buffer), given ? 13 : 10);
    assert_int_equal(stats_of(buffer).framesDropped, 0);
    frame_buffer_free(buffer);
    return given;
}

// VP8 and VP9 number their pictures: with the next number there was no frame in the hole.
static void test_frame_buffer_consecutive_pictures_leave_no_hole(void **state)
{
    (void)state;
    assert_true(goes_on(7, 8, false));
    assert_true(goes_on(7, 8, true));
    assert_true(goes_on(127, 0, false));
    assert_true(goes_on(32767, 0, true));
    assert_true(goes_on(127, 128, true));
    assert_false(goes_on(7, 9, false));
    assert_false(goes_on(7, 7, false));
    assert_false(goes_on(8, 7, true));
    assert_false(goes_on(127, 0, true));
    assert_false(goes_on(-1, 8, false)); // not told
    assert_false(goes_on(7, -1, false));
    assert_false(goes_on(-1, 0, false));
    assert_false(goes_on(-1, -1, false));
}

// The hole may reach into the next picture: only with its first packet is that certain.
static void test_frame_buffer_hole_up_to_inside_a_picture_is_one(void **state)
{
    (void)state;
    struct frame_buffer *b = frame_buffer_new(90000);
    struct shape shape = {.start = true, .end = true, .key = true, .picture = 1};
    put(b, 0, 10, shape);
    check_given(b, 0, 10, 10);
    put(b, 0, 12, (struct shape){.timestamp = FRAME_TICKS, .end = true, .picture = 2});
    check_nothing(b, 0);
    assert_int_equal(frame_buffer_done(b), 10);
    put(b, 0, 11, (struct shape){.timestamp = FRAME_TICKS, .start = true, .picture = 2});
    check_given(b, FRAME_TIME, 11, 12);
    frame_buffer_free(b);
}

// Padding and FEC in the media's own numbers, between frames and before the first.
static void test_frame_buffer_empty_packets_are_no_frames(void **state)
{
    (void)state;
    struct frame_buffer *b = frame_buffer_new(90000);
    struct shape empty = {.empty = true};
    put(b, 0, 9, empty);
    put_frame(b, 0, 10, 0);
    check_given(b, 0, 10, 10);
    put(b, 0, 11, empty);
    put(b, 0, 12, empty);
    check_nothing(b, 0);
    put_frame(b, FRAME_TIME, 13, 1);
    check_given(b, FRAME_TIME, 13, 13);
    put(b, FRAME_TIME, 14, empty);
    check_nothing(b, FRAME_TIME);
    assert_int_equal(frame_buffer_done(b), 14);
    assert_true(frame_buffer_deadline(b) == TIME_NEVER);
    assert_int_equal(stats_of(b).framesDropped, 0);
    assert_int_equal(stats_of(b).framesReceived, 2);
    frame_buffer_free(b);
}

// ------------------------------------------------------------------------------------------ when

// A frame that came 30 ms late moves the playout of those after it; the delay falls again slowly.
static void test_frame_buffer_holds_for_the_jitter(void **state)
{
    (void)state;
    struct frame_buffer *b = frame_buffer_new(90000);
    for (unsigned n = 0; n < 10; n++) {
        put_frame(b, n * FRAME_TIME, 10 + n, n);
        check_given(b, n * FRAME_TIME, 10 + n, 10 + n);
    }
    assert_true(stats_of(b).delay == 0);
    put_frame(b, 10 * FRAME_TIME + 30 * TIME_MS, 20, 10);
    check_given(b, 10 * FRAME_TIME + 30 * TIME_MS, 20, 20);
    assert_true(stats_of(b).delay == 30 * TIME_MS);
    put_frame(b, 11 * FRAME_TIME, 21, 11);
    nanotime due = frame_buffer_deadline(b);
    nanotime held = 30 * TIME_MS - (30 * TIME_MS >> 6);
    assert_true(due == 11 * FRAME_TIME + held);
    check_nothing(b, due - 1);
    check_given(b, due, 21, 21);
    struct frame_buffer_stats stats = stats_of(b);
    assert_true(stats.jitterBufferDelay == held);
    assert_true(stats.jitterBufferMinimumDelay == 30 * TIME_MS + held);
    assert_true(stats.jitterBufferTargetDelay == 30 * TIME_MS + held);
    assert_int_equal(stats.jitterBufferEmittedCount, 12);
    frame_buffer_free(b);
}

// Lip synchronisation may ask for more.
static void test_frame_buffer_extra_delay(void **state)
{
    (void)state;
    struct frame_buffer *b = frame_buffer_new(90000);
    frame_buffer_set_extra(b, 70 * TIME_MS);
    put_frame(b, TIME_S, 10, 0);
    assert_true(frame_buffer_deadline(b) == TIME_S + 70 * TIME_MS);
    check_nothing(b, TIME_S + 70 * TIME_MS - 1);
    check_given(b, TIME_S + 70 * TIME_MS, 10, 10);
    struct frame_buffer_stats stats = stats_of(b);
    assert_true(stats.jitterBufferTargetDelay == 70 * TIME_MS);
    assert_true(stats.jitterBufferMinimumDelay == 0);
    assert_true(stats.delay == 70 * TIME_MS);
    frame_buffer_free(b);
}

// What a repair brought back late makes later frames wait no longer than a repair takes.
static void test_frame_buffer_repair_is_little_jitter(void **state)
{
    (void)state;
    for (int repaired = 0; repaired < 2; repaired++) {
        struct frame_buffer *b = frame_buffer_new(90000);
        put_frame(b, 0, 10, 0);
        check_given(b, 0, 10, 10);
        put(b, FRAME_TIME + 300 * TIME_MS, 11,
            (struct shape){
                .timestamp = FRAME_TICKS, .start = true, .end = true, .recovered = repaired});
        check_given(b, FRAME_TIME + 300 * TIME_MS, 11, 11);
        assert_true(stats_of(b).delay == (repaired ? 100 : 300) * TIME_MS);
        frame_buffer_free(b);
    }
    struct frame_buffer *b = frame_buffer_new(90000);
    frame_buffer_set_rtt(b, 100 * TIME_MS); // a repair takes two and a half of them
    put_frame(b, 0, 10, 0);
    check_given(b, 0, 10, 10);
    put(b, FRAME_TIME + 300 * TIME_MS, 11,
        (struct shape){.timestamp = FRAME_TICKS, .start = true, .end = true, .recovered = true});
    check_given(b, FRAME_TIME + 300 * TIME_MS, 11, 11);
    assert_true(stats_of(b).delay == 250 * TIME_MS);
    frame_buffer_free(b);
}

// ---------------------------------------------------------------------------- freezes and pauses

// `count` frames shown each `gap`, from sequence and frame `n` on.
static unsigned show(struct frame_buffer *b, nanotime *now, nanotime gap, unsigned n,
                     unsigned count)
{
    for (unsigned end = n + count; n < end; n++) {
        if (n)
            *now += gap;
        // Captured when it comes: no jitter.
        uint32_t ticks = (uint32_t)(*now / 100 * 9 / 1000);
        assert_int_equal(
            put(b, *now, n,
                (struct shape){.timestamp = ticks, .start = true, .end = true, .key = n == 0}),
            FRAME_KEPT);
        struct frame frame;
        assert_true(frame_buffer_poll(b, time_max(*now, frame_buffer_deadline(b)), &frame));
        assert_int_equal(frame.first, n);
    }
    return n;
}

// https://www.w3.org/TR/webrtc-stats/#dom-rtcinboundrtpstreamstats-freezecount: a frame's time that
// is equal to or exceeds max(3 d, d + 150 ms), d the mean of the last 30.
static void check_freeze(nanotime frame_time, nanotime limit)
{
    for (int over = 0; over < 2; over++) {
        struct frame_buffer *b = frame_buffer_new(90000);
        nanotime now = 0, gap = over ? limit : limit - 100 * TIME_US;
        unsigned n = show(b, &now, frame_time, 0, 31); // 30 times between frames
        n = show(b, &now, gap, n, 1);
        assert_int_equal(stats_of(b).freezeCount, over);
        assert_true(stats_of(b).totalFreezesDuration == (over ? gap : 0));
        show(b, &now, frame_time, n, 5);
        assert_int_equal(stats_of(b).freezeCount, over);
        assert_int_equal(stats_of(b).pauseCount, 0);
        frame_buffer_free(b);
    }
}

static void test_frame_buffer_freeze_by_the_w3c(void **state)
{
    (void)state;
    check_freeze(40 * TIME_MS, 190 * TIME_MS);  // d + 150 ms
    check_freeze(10 * TIME_MS, 160 * TIME_MS);  // the same
    check_freeze(75 * TIME_MS, 225 * TIME_MS);  // both
    check_freeze(100 * TIME_MS, 300 * TIME_MS); // 3 d
    check_freeze(1000 * TIME_MS, 3000 * TIME_MS);
}

static void test_frame_buffer_no_freeze_without_thirty_times(void **state)
{
    (void)state;
    struct frame_buffer *b = frame_buffer_new(90000);
    nanotime now = 0;
    unsigned n = show(b, &now, FRAME_TIME, 0, 30); // 29 times
    n = show(b, &now, TIME_S, n, 1);               // the thirtieth
    assert_int_equal(stats_of(b).freezeCount, 0);
    // The mean is 72 ms now, by the frame that took a second.
    n = show(b, &now, 221 * TIME_MS, n, 1);
    assert_int_equal(stats_of(b).freezeCount, 0);
    // And 29 frames later again 40 ms: the second is forgotten, the 221 ms are not.
    n = show(b, &now, FRAME_TIME, n, 29);
    show(b, &now, 200 * TIME_MS, n, 1);
    assert_int_equal(stats_of(b).freezeCount, 1);
    frame_buffer_free(b);
}

// More than 5 s are a pause, and no freeze beside it.
static void test_frame_buffer_pause(void **state)
{
    (void)state;
    struct frame_buffer *b = frame_buffer_new(90000);
    nanotime now = 0;
    unsigned n = show(b, &now, FRAME_TIME, 0, 31);
    n = show(b, &now, 5 * TIME_S, n, 1);
    struct frame_buffer_stats stats = stats_of(b);
    assert_int_equal(stats.pauseCount, 0);
    assert_int_equal(stats.freezeCount, 1);
    n = show(b, &now, 5 * TIME_S + TIME_MS, n, 1);
    stats = stats_of(b);
    assert_int_equal(stats.pauseCount, 1);
    assert_int_equal(stats.freezeCount, 1);
    assert_true(stats.totalPausesDuration == 5 * TIME_S + TIME_MS);
    assert_true(stats.totalFreezesDuration == 5 * TIME_S);
    frame_buffer_free(b);
}

// 10 times 40 ms and twice 100 ms.
static void test_frame_buffer_times_between_frames(void **state)
{
    (void)state;
    struct frame_buffer *b = frame_buffer_new(90000);
    nanotime now = 0;
    unsigned n = show(b, &now, FRAME_TIME, 0, 1);
    assert_true(stats_of(b).totalInterFrameDelay == 0);
    n = show(b, &now, FRAME_TIME, n, 10);
    show(b, &now, 100 * TIME_MS, n, 2);
    struct frame_buffer_stats stats = stats_of(b);
    assert_true(stats.totalInterFrameDelay == 600 * TIME_MS);
    assert_int_equal(stats.totalSquaredInterFrameDelay, 10 * 1600 + 2 * 10000);
    frame_buffer_free(b);
}

// Gaps of less than a millisecond add up, too.
static void test_frame_buffer_squares_of_short_gaps(void **state)
{
    (void)state;
    struct frame_buffer *b = frame_buffer_new(90000);
    nanotime now = 0;
    show(b, &now, 500 * TIME_US, 0, 1001);
    assert_true(stats_of(b).totalInterFrameDelay == 500 * TIME_MS);
    assert_int_equal(stats_of(b).totalSquaredInterFrameDelay, 250); // 1000 times 0.0005^2
    frame_buffer_free(b);
}

// While a gap lasts it counts by what it is by now: nothing, a freeze, a pause.
static void test_frame_buffer_a_freeze_that_goes_on_counts(void **state)
{
    (void)state;
    struct frame_buffer *b = frame_buffer_new(90000);
    nanotime now = 0;
    unsigned n = show(b, &now, FRAME_TIME, 0, 40);
    assert_int_equal(stats_of(b).freezeCount, 0);
    assert_int_equal(frame_buffer_stats(b, now + 189 * TIME_MS).freezeCount, 0);
    struct frame_buffer_stats stats = frame_buffer_stats(b, now + 190 * TIME_MS);
    assert_int_equal(stats.freezeCount, 1); // 40 ms and 150 ms
    assert_true(stats.totalFreezesDuration == 190 * TIME_MS);
    stats = frame_buffer_stats(b, now + 6 * TIME_S);
    assert_int_equal(stats.freezeCount, 0);
    assert_int_equal(stats.pauseCount, 1);
    assert_true(stats.totalPausesDuration == 6 * TIME_S);
    // Asking changes nothing; the next frame ends it.
    show(b, &now, 300 * TIME_MS, n, 1);
    stats = frame_buffer_stats(b, now);
    assert_int_equal(stats.freezeCount, 1);
    assert_int_equal(stats.pauseCount, 0);
    assert_true(stats.totalFreezesDuration == 300 * TIME_MS);
    frame_buffer_free(b);
}

// --------------------------------------------------------------------------------------- hostile

// Further ahead than the buffer is long: all before is given up, nothing is held for it.
static void test_frame_buffer_full(void **state)
{
    (void)state;
    struct frame_buffer *b = frame_buffer_new(90000);
    put_frame(b, 0, 10, 0);
    put_frame(b, 0, 11, 1);
    struct shape key = {.timestamp = 2 * FRAME_TICKS, .start = true, .end = true, .key = true};
    assert_int_equal(put(b, 0, 10 + FRAME_BUFFER_PACKETS, key), FRAME_FULL);
    assert_int_equal(stats_of(b).framesDropped, 2);
    check_given(b, TIME_S, 10 + FRAME_BUFFER_PACKETS, 10 + FRAME_BUFFER_PACKETS);
    // The last one that fits.
    key.timestamp += FRAME_TICKS;
    assert_int_equal(put(b, TIME_S, 10 + 2 * FRAME_BUFFER_PACKETS, key), FRAME_KEPT);
    frame_buffer_free(b);
}

// A sender that never ends a frame.
static void test_frame_buffer_frame_without_end(void **state)
{
    (void)state;
    struct frame_buffer *b = frame_buffer_new(90000);
    unsigned full = 0;
    for (int64_t i = 0; i < 3 * FRAME_BUFFER_PACKETS; i++) {
        enum frame_outcome outcome =
            put(b, i * TIME_MS, i, (struct shape){.start = i == 0, .key = true});
        full += outcome == FRAME_FULL;
        assert_true(outcome == FRAME_KEPT || outcome == FRAME_FULL);
        check_nothing(b, i * TIME_MS);
    }
    assert_int_equal(full, 1);
    assert_true(frame_buffer_needs_keyframe(b));
    assert_int_equal(stats_of(b).framesDropped, 1);
    frame_buffer_free(b);
}

// Any timestamp at any time: a frame is never held for longer than the bound, and polling at the
// deadline gets somewhere.
static void test_frame_buffer_hostile_timestamps(void **state)
{
    (void)state;
    struct rng rng = rng_seed(7, "timestamps");
    struct frame_buffer *b = frame_buffer_new(90000);
    nanotime now = 0;
    int64_t sequence = 0;
    uint64_t given = 0;
    for (int i = 0; i < 20000; i++) {
        struct shape shape = {.timestamp = (uint32_t)rng_u64(&rng),
                              .start = true,
                              .end = true,
                              .key = rng_below(&rng, 4) == 0,
                              .recovered = rng_below(&rng, 8) == 0};
        sequence += rng_below(&rng, 50) == 0 ? 2 : 1;
        put(b, now, sequence, shape);
        now += (nanotime)rng_below(&rng, 50) * TIME_MS;
        struct frame frame;
        for (int turns = 0; frame_buffer_deadline(b) <= now; turns++) {
            given += frame_buffer_poll(b, now, &frame);
            assert_true(turns < FRAME_BUFFER_PACKETS);
        }
        assert_true(frame_buffer_deadline(b) == TIME_NEVER ||
                    frame_buffer_deadline(b) <= now + FRAME_BUFFER_DELAY_MAX);
        assert_true(stats_of(b).delay >= 0 && stats_of(b).delay <= FRAME_BUFFER_DELAY_MAX);
    }
    assert_true(given > 1000);
    struct frame_buffer_stats stats = stats_of(b);
    assert_int_equal(stats.framesDecoded, given);
    assert_true(stats.totalInterFrameDelay <= now);
    frame_buffer_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame_buffer_begins_with_a_key_frame),
        cmocka_unit_test(test_frame_buffer_end_of_a_key_frame_is_no_beginning),
        cmocka_unit_test(test_frame_buffer_first_of_all_comes_late),
        cmocka_unit_test(test_frame_buffer_first_of_all_comes_too_late),
        cmocka_unit_test(test_frame_buffer_packets_in_any_order),
        cmocka_unit_test(test_frame_buffer_a_number_below_zero_is_late),
        cmocka_unit_test(test_frame_buffer_names_what_it_does_not_keep),
        cmocka_unit_test(test_frame_buffer_slow_frame_is_no_hole),
        cmocka_unit_test(test_frame_buffer_waits_for_a_hole),
        cmocka_unit_test(test_frame_buffer_hole_given_up_costs_up_to_the_key_frame),
        cmocka_unit_test(test_frame_buffer_whole_key_frame_ends_the_wait),
        cmocka_unit_test(test_frame_buffer_key_frame_with_a_hole_is_skipped),
        cmocka_unit_test(test_frame_buffer_waits_as_long_as_the_path_needs),
        cmocka_unit_test(test_frame_buffer_consecutive_pictures_leave_no_hole),
        cmocka_unit_test(test_frame_buffer_hole_up_to_inside_a_picture_is_one),
        cmocka_unit_test(test_frame_buffer_empty_packets_are_no_frames),
        cmocka_unit_test(test_frame_buffer_holds_for_the_jitter),
        cmocka_unit_test(test_frame_buffer_extra_delay),
        cmocka_unit_test(test_frame_buffer_repair_is_little_jitter),
        cmocka_unit_test(test_frame_buffer_freeze_by_the_w3c),
        cmocka_unit_test(test_frame_buffer_no_freeze_without_thirty_times),
        cmocka_unit_test(test_frame_buffer_pause),
        cmocka_unit_test(test_frame_buffer_times_between_frames),
        cmocka_unit_test(test_frame_buffer_squares_of_short_gaps),
        cmocka_unit_test(test_frame_buffer_a_freeze_that_goes_on_counts),
        cmocka_unit_test(test_frame_buffer_full),
        cmocka_unit_test(test_frame_buffer_frame_without_end),
        cmocka_unit_test(test_frame_buffer_hostile_timestamps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
