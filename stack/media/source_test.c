// Sources of frames: times, sizes, what their frames look like to depacketizers, and their marks.
#include "stack/media/source.h"

#include "stack/media/payload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const enum codec_kind video_kinds[] = {CODEC_VP8, CODEC_VP9, CODEC_H264, CODEC_AV1};
static uint8_t joined[2 * SOURCE_FRAME_MAX];

static struct source_config config_of(enum codec_kind kind, uint32_t bitrate)
{
    return (struct source_config){.kind = kind,
                                  .stop_at = TIME_NEVER,
                                  .rng = rng_seed(1, "source"),
                                  .width = 640,
                                  .height = 360,
                                  .layers = {{.bitrate = bitrate}}};
}

// Through the payload format and back; what comes out must be what went in.
static struct bytes carry(enum codec_kind kind, const struct source_frame *frame, size_t max)
{
    struct payload_frame out_frame = {kind, frame->bytes, .keyframe = frame->keyframe,
                                      .tag = PAYLOAD_TAG_NONE};
    struct payload_out out;
    struct payload_join join;
    struct payload_info info;
    struct bytes got;
    uint8_t buffer[1500];
    size_t len;
    bool keyframe = false;
    assert_int_equal(payload_begin(&out, &out_frame, max), PAYLOAD_OK);
    payload_join_begin(&join, kind, joined, sizeof joined);
    for (bool first = true; (len = payload_next(&out, buffer)) > 0; first = false) {
        assert_int_equal(payload_read(kind, bytes_of(buffer, len), &info), PAYLOAD_OK);
        assert_true(!first || info.frame_start);
        keyframe |= info.keyframe;
        if (first && frame->keyframe && kind == CODEC_VP8) {
            assert_int_equal(info.width, frame->width);
            assert_int_equal(info.height, frame->height);
        }
        assert_int_equal(payload_join_add(&join, bytes_of(buffer, len)), PAYLOAD_OK);
    }
    assert_int_equal(payload_join_end(&join, &got), PAYLOAD_OK);
    assert_int_equal(keyframe, frame->keyframe);
    assert_int_equal(got.len, frame->bytes.len);
    assert_memory_equal(got.at, frame->bytes.at, got.len);
    return got;
}

static void test_source_frames_survive_their_payload_format(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 4; k++) {
        for (uint32_t bitrate = 1000; bitrate < 3000000; bitrate = bitrate * 5 / 3) {
            struct source_config config = config_of(video_kinds[k], bitrate);
            config.keyframe_interval = TIME_S / 2;
            struct media_source *source = source_new(&config);
            struct source_frame frame;
            struct source_mark mark;
            uint32_t counter = 0;
            while (source_poll(source, 2 * TIME_S, &frame)) {
                struct bytes got = carry(video_kinds[k], &frame, 200 + bitrate % 1000);
                assert_int_equal(source_check(video_kinds[k], got, &mark), SOURCE_INTACT);
                assert_int_equal(mark.counter, counter++);
                assert_int_equal(mark.keyframe, frame.keyframe);
                assert_int_equal(payload_is_keyframe(video_kinds[k], got), frame.keyframe);
                assert_int_equal(frame.keyframe, (counter - 1) % 15 == 0);
            }
            assert_int_equal(counter, 61);
            source_free(source);
        }
    }
}

static void test_source_h264_slices_fit_mode_0(void **state)
{
    (void)state;
    struct source_config config = config_of(CODEC_H264, 2000000);
    config.nal_max = 900;
    config.keyframe_interval = TIME_S / 5;
    struct media_source *source = source_new(&config);
    struct source_frame frame;
    struct source_mark mark;
    while (source_poll(source, TIME_S, &frame)) {
        struct payload_frame in = {CODEC_H264, frame.bytes, .single_nal = true,
                                   .tag = PAYLOAD_TAG_NONE};
        struct payload_out out;
        assert_int_equal(payload_begin(&out, &in, 900), PAYLOAD_OK);
        carry(CODEC_H264, &frame, 300);
        assert_int_equal(source_check(CODEC_H264, frame.bytes, &mark), SOURCE_INTACT);
    }
    source_free(source);
}

static void test_source_damage_is_seen(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 4; k++) {
        struct source_config config = config_of(video_kinds[k], 100000);
        struct media_source *source = source_new(&config);
        struct source_frame frame;
        struct source_mark mark;
        assert_true(source_poll(source, 0, &frame));
        uint8_t *bytes = joined;
        memcpy(bytes, frame.bytes.at, frame.bytes.len);
        unsigned damaged = 0;
        for (size_t i = 0; i < frame.bytes.len; i++) {
            bytes[i] ^= 0x10;
            enum source_check check =
                source_check(video_kinds[k], bytes_of(bytes, frame.bytes.len), &mark);
            assert_int_not_equal(check, SOURCE_INTACT);
            damaged += check == SOURCE_DAMAGED;
            bytes[i] ^= 0x10;
        }
        assert_int_equal(damaged, frame.bytes.len - 4); // without its 4 first bytes it is no mark
        for (size_t len = 0; len < frame.bytes.len; len++)
            assert_int_not_equal(source_check(video_kinds[k], bytes_of(bytes, len), &mark),
                                 SOURCE_INTACT);
        source_free(source);
    }
}

// Mean bitrate within 3 % over 20 s with key frames, before and after a change.
static void test_source_follows_its_bitrate(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 4; k++) {
        struct source_config config = config_of(video_kinds[k], 1200000);
        config.keyframe_interval = 2 * TIME_S;
        config.fps = 25;
        struct media_source *source = source_new(&config);
        struct source_frame frame;
        while (source_poll(source, 20 * TIME_S - 1, &frame))
            continue;
        uint64_t bytes = source_counts(source, 0).bytes;
        assert_in_range(bytes, 3000000 * 97 / 100, 3000000 * 103 / 100);
        source_set_bitrate(source, 0, 400000);
        while (source_poll(source, 40 * TIME_S - 1, &frame))
            continue;
        assert_in_range(source_counts(source, 0).bytes - bytes, 1000000 * 97 / 100,
                        1000000 * 103 / 100);
        assert_int_equal(source_counts(source, 0).frames, 1000);
        assert_int_equal(source_counts(source, 0).keyframes, 20);
        source_free(source);
    }
}

static void test_source_keyframe_on_request(void **state)
{
    (void)state;
    struct source_config config = config_of(CODEC_VP8, 300000);
    struct media_source *source = source_new(&config);
    struct source_frame frame;
    for (unsigned i = 0; i < 100; i++) {
        if (i == 40 || i == 41)
            source_request_keyframe(source, 0);
        assert_true(source_poll(source, source_deadline(source), &frame));
        assert_int_equal(frame.keyframe, i == 0 || i == 40 || i == 41);
    }
    source_free(source);
}

static void test_source_layers_share_a_picture(void **state)
{
    (void)state;
    struct source_config config = config_of(CODEC_VP8, 100000);
    config.layers[0] = (struct source_layer){4, 100000};
    config.layers[1] = (struct source_layer){2, 300000};
    config.layers[2] = (struct source_layer){1, 0};
    config.layers_count = 3;
    struct media_source *source = source_new(&config);
    struct source_frame frame;
    struct source_mark mark;
    unsigned seen[3] = {0};
    for (unsigned i = 0; i < 30; i++) {
        nanotime now = source_deadline(source);
        if (i == 10)
            source_set_bitrate(source, 2, 900000);
        if (i == 20)
            source_set_bitrate(source, 1, 0);
        unsigned expected = i < 10 ? 3 : i < 20 ? 7 : 5, got = 0;
        while (source_poll(source, now, &frame)) {
            got |= 1u << frame.layer;
            assert_int_equal(frame.timestamp, i * 3000);
            assert_int_equal(frame.width, 640 / config.layers[frame.layer].scale);
            assert_int_equal(frame.keyframe, seen[frame.layer] == 0);
            assert_int_equal(source_check(CODEC_VP8, frame.bytes, &mark), SOURCE_INTACT);
            assert_int_equal(mark.layer, frame.layer);
            assert_int_equal(mark.counter, seen[frame.layer]++);
        }
        assert_int_equal(got, expected);
    }
    source_free(source);
}

static void test_source_sound_times_and_sizes(void **state)
{
    (void)state;
    static const struct {
        enum codec_kind kind;
        nanotime frame_time;
        uint32_t bitrate, step;
        size_t len; // 0: varies
    } rows[] = {
        {CODEC_OPUS, 0, 32000, 960, 80},
        {CODEC_OPUS, 2500 * TIME_US, 64000, 120, 20},
        {CODEC_OPUS, 10 * TIME_MS, 64000, 480, 80},
        {CODEC_OPUS, 40 * TIME_MS, 32000, 1920, 161},
        {CODEC_OPUS, 60 * TIME_MS, 32000, 2880, 242},
        {CODEC_PCMU, 0, 0, 160, 160},
        {CODEC_PCMA, 30 * TIME_MS, 0, 240, 240},
        {CODEC_G722, 0, 0, 160, 160},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct source_config config = config_of(rows[i].kind, rows[i].bitrate);
        config.frame_time = rows[i].frame_time;
        config.start_at = 5 * TIME_MS;
        struct media_source *source = source_new(&config);
        nanotime step = rows[i].frame_time ? rows[i].frame_time : 20 * TIME_MS;
        for (unsigned k = 0; k < 50; k++) {
            struct source_frame frame;
            struct payload_info info;
            struct source_mark mark;
            nanotime due = 5 * TIME_MS + k * step;
            assert_int_equal(source_deadline(source), due);
            assert_false(source_poll(source, due - 1, &frame));
            assert_true(source_poll(source, due, &frame));
            assert_int_equal(frame.timestamp, k * rows[i].step);
            assert_int_equal(frame.timestamp, source_timestamp_at(source, due));
            assert_int_equal(frame.bytes.len, rows[i].len);
            assert_int_equal(payload_read(rows[i].kind, frame.bytes, &info), PAYLOAD_OK);
            assert_int_equal(info.samples, rows[i].step);
            assert_int_equal(frame.duration, rows[i].step);
            assert_int_equal(source_check(rows[i].kind, frame.bytes, &mark), SOURCE_INTACT);
            assert_int_equal(mark.counter, k);
        }
        source_free(source);
    }
}

static void test_source_opus_vbr_keeps_its_mean(void **state)
{
    (void)state;
    struct source_config config = config_of(CODEC_OPUS, 48000);
    config.vbr = true;
    struct media_source *source = source_new(&config);
    struct source_frame frame;
    size_t least = SIZE_MAX, most = 0;
    while (source_poll(source, 20 * TIME_S - 1, &frame)) {
        least = frame.bytes.len < least ? frame.bytes.len : least;
        most = frame.bytes.len > most ? frame.bytes.len : most;
        assert_true(payload_opus_samples(frame.bytes) == 960);
    }
    assert_in_range(source_counts(source, 0).bytes, 118000, 122000);
    assert_true(least < 95 && most > 145);
    source_free(source);
}

// RFC 6716 2.1.9: muted with DTX, one packet each 400 ms; timestamps go on.
static void test_source_dtx_while_muted(void **state)
{
    (void)state;
    struct source_config config = config_of(CODEC_OPUS, 32000);
    config.dtx = true;
    struct media_source *source = source_new(&config);
    struct source_frame frame;
    unsigned count = 0;
    while (source_poll(source, 999 * TIME_MS, &frame))
        assert_true(frame.voice && frame.audio_level < 127);
    source_mute(source, true);
    while (source_poll(source, 1999 * TIME_MS, &frame)) {
        assert_int_equal(frame.bytes.len, 1);
        assert_int_equal(frame.audio_level, 127);
        assert_int_equal(frame.timestamp, 48000 + count * 19200);
        count++;
    }
    assert_int_equal(count, 3);
    source_mute(source, false);
    assert_true(source_poll(source, 2 * TIME_S, &frame));
    assert_true(frame.first_of_talk);
    assert_int_equal(frame.timestamp, 96000);
    assert_true(source_poll(source, 3 * TIME_S, &frame));
    assert_false(frame.first_of_talk);
    source_free(source);

    // Without DTX it goes on, silent.
    config.dtx = false;
    source = source_new(&config);
    source_mute(source, true);
    assert_true(source_poll(source, 0, &frame));
    assert_int_equal(frame.audio_level, 127);
    assert_int_equal(frame.bytes.len, 80);
    source_free(source);
}

// A clock that is 100 ppm fast: in 1000 s of the run it makes 1000.1 s of media.
static void test_source_clock_skew(void **state)
{
    (void)state;
    struct source_config config = config_of(CODEC_PCMU, 0);
    config.clock_ppb = 100000;
    config.start_at = TIME_S;
    struct media_source *source = source_new(&config);
    struct source_frame frame = {0};
    unsigned count = 0;
    while (source_poll(source, 1001 * TIME_S, &frame))
        count++;
    assert_in_range(count, 50005, 50006);
    int64_t told = source_timestamp_at(source, frame.at);
    assert_in_range(told - frame.timestamp + 10, 8, 12);
    assert_int_equal(source_timestamp_at(source, 1001 * TIME_S), 8000800);
    source_free(source);
}

static void test_source_same_seed_same_frames(void **state)
{
    (void)state;
    struct source_config config = config_of(CODEC_AV1, 500000);
    struct media_source *a = source_new(&config), *b = source_new(&config);
    config.rng = rng_seed(2, "source");
    struct media_source *c = source_new(&config);
    struct source_frame x, y, z;
    bool differs = false;
    while (source_poll(a, TIME_S, &x)) {
        assert_true(source_poll(b, TIME_S, &y) && source_poll(c, TIME_S, &z));
        assert_int_equal(x.bytes.len, y.bytes.len);
        assert_memory_equal(x.bytes.at, y.bytes.at, x.bytes.len);
        differs |= x.bytes.len != z.bytes.len;
    }
    assert_true(differs);
    source_free(a);
    source_free(b);
    source_free(c);
}

static void test_source_stops(void **state)
{
    (void)state;
    struct source_config config = config_of(CODEC_VP8, 100000);
    config.start_at = TIME_S;
    config.stop_at = 2 * TIME_S;
    struct media_source *source = source_new(&config);
    struct source_frame frame;
    unsigned count = 0;
    while (source_poll(source, 10 * TIME_S, &frame))
        count++;
    assert_int_equal(count, 30);
    assert_true(source_ended(source));
    assert_int_equal(source_deadline(source), TIME_NEVER);
    source_free(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_source_frames_survive_their_payload_format),
        cmocka_unit_test(test_source_h264_slices_fit_mode_0),
        cmocka_unit_test(test_source_damage_is_seen),
        cmocka_unit_test(test_source_follows_its_bitrate),
        cmocka_unit_test(test_source_keyframe_on_request),
        cmocka_unit_test(test_source_layers_share_a_picture),
        cmocka_unit_test(test_source_sound_times_and_sizes),
        cmocka_unit_test(test_source_opus_vbr_keeps_its_mean),
        cmocka_unit_test(test_source_dtx_while_muted),
        cmocka_unit_test(test_source_clock_skew),
        cmocka_unit_test(test_source_same_seed_same_frames),
        cmocka_unit_test(test_source_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
