// Clips made, read, sent through their payload formats and decoded: what comes out is what was
// drawn.
#include "scenarios/runner/clips/clip_make.h"
#include "scenarios/runner/clips/decode.h"

#include "base/arena.h"
#include "base/rng.h"
#include "stack/media/payload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define FRAME_MAX 100000

static struct clip *pattern(enum codec_kind kind, unsigned frames)
{
    struct pattern_wish wish = {.kind = kind,
                                .width = 160,
                                .height = 120,
                                .fps = 25,
                                .frames = frames,
                                .bitrate = 100000,
                                .keyframe_interval = 10};
    struct text text = {0};
    struct err err = {0};
    assert_true(clip_make_pattern(&wish, &text, &err));
    struct clip *clip = clip_read(text_bytes(&text), "pattern", &err);
    assert_string_equal(err.text, "");
    text_free(&text);
    return clip;
}

static struct clip *tone(unsigned hz, unsigned frames)
{
    struct tone_wish wish = {.hz = hz, .frames = frames, .bitrate = 24000};
    struct text text = {0};
    struct err err = {0};
    assert_true(clip_make_tone(&wish, &text, &err));
    struct clip *clip = clip_read(text_bytes(&text), "tone", &err);
    assert_string_equal(err.text, "");
    text_free(&text);
    return clip;
}

// The frame as it comes out of packets of at most 200 bytes.
static struct bytes carried(const struct clip *clip, uint32_t frame, uint8_t *to)
{
    struct payload_frame in = {clip->kind, clip_bytes(clip, frame),
                               .keyframe = clip->frames[frame].keyframe, .tag = PAYLOAD_TAG_NONE};
    struct payload_out out;
    struct payload_join join;
    struct bytes got;
    uint8_t payload[200];
    size_t len;
    assert_int_equal(payload_begin(&out, &in, sizeof payload), PAYLOAD_OK);
    payload_join_begin(&join, clip->kind, to, FRAME_MAX);
    while ((len = payload_next(&out, payload)) > 0)
        payload_join_add(&join, bytes_of(payload, len));
    assert_int_equal(payload_join_end(&join, &got), PAYLOAD_OK);
    return got;
}

static void test_decode_pattern_is_bit_exact(void **state)
{
    (void)state;
    static uint8_t buffer[FRAME_MAX];
    static const enum codec_kind kinds[] = {CODEC_VP8, CODEC_VP9};
    for (unsigned k = 0; k < 2; k++) {
        struct clip *clip = pattern(kinds[k], 30);
        struct video_decoder *direct = video_decoder_new(kinds[k]);
        struct video_decoder *sink = video_decoder_new(kinds[k]);
        assert_int_equal(clip->frames_count, 30);
        assert_int_equal(clip->width, 160);
        assert_int_equal(clip->duration, 30 * 3600);
        for (uint32_t i = 0; i < 30; i++) {
            struct video_shown a, b;
            video_decoder_feed(direct, clip_bytes(clip, i), &a);
            video_decoder_feed(sink, carried(clip, i, buffer), &b);
            assert_true(a.decoded && b.decoded);
            assert_true(a.hash == b.hash);
            assert_true(b.has_counter);
            assert_int_equal(b.counter, i);
            assert_true(b.psnr > 2500);
            assert_int_equal(b.width, 160);
            assert_int_equal(b.height, 120);
        }
        struct video_total total = video_decoder_total(sink);
        assert_int_equal(total.decoded, 30);
        assert_int_equal(total.in_order, 29);
        assert_int_equal(total.jumped, 0);
        video_decoder_free(direct);
        video_decoder_free(sink);
        clip_free(clip);
    }
}

// A frame left out is seen: as a jump of the number, and as other pictures until the next key
// frame.
static void test_decode_sees_a_missing_frame(void **state)
{
    (void)state;
    struct clip *clip = pattern(CODEC_VP8, 25);
    struct video_decoder *direct = video_decoder_new(CODEC_VP8);
    struct video_decoder *sink = video_decoder_new(CODEC_VP8);
    unsigned key = 6;
    while (key < 25 && !clip->frames[key].keyframe)
        key++;
    assert_in_range(key, 7, 15);
    for (uint32_t i = 0; i < 25; i++) {
        struct video_shown a, b;
        video_decoder_feed(direct, clip_bytes(clip, i), &a);
        if (i == 5)
            continue;
        video_decoder_feed(sink, clip_bytes(clip, i), &b);
        if (i < 5 || i >= key)
            assert_true(a.hash == b.hash);
        else
            assert_true(a.hash != b.hash);
    }
    assert_true(video_decoder_total(sink).jumped >= 1);
    assert_int_equal(video_decoder_total(direct).jumped, 0);
    video_decoder_free(direct);
    video_decoder_free(sink);
    clip_free(clip);
}

static void test_decode_tone(void **state)
{
    (void)state;
    for (unsigned hz = 300; hz <= 3000; hz = hz * 2 + 11) {
        struct clip *clip = tone(hz, 50);
        struct sound_decoder *decoder = sound_decoder_new();
        struct sound_heard heard;
        assert_int_equal(clip->frames_count, 50);
        assert_int_equal(clip->duration, 48000);
        for (uint32_t i = 0; i < 50; i++) {
            sound_decoder_feed(decoder, clip_bytes(clip, i), 0, &heard);
            assert_int_equal(heard.samples, 960);
        }
        // 8000 of 32768 at the peak: -12.25 dB, and 3 less for a sine.
        assert_in_range(heard.level + 10000, 10000 - 1600, 10000 - 1450);
        struct sound_total total = sound_decoder_total(decoder);
        assert_in_range(total.frequency_mhz, hz * 995, hz * 1005);
        assert_int_equal(total.decoded, 50);
        // What is lost is concealed, and dies away.
        int32_t level = heard.level;
        for (unsigned i = 0; i < 20; i++)
            sound_decoder_feed(decoder, (struct bytes){0}, 960, &heard);
        assert_true(heard.decoded);
        assert_true(heard.level < level - 300);
        sound_decoder_free(decoder);
        clip_free(clip);
    }
}

static void test_decode_hostile(void **state)
{
    (void)state;
    struct rng rng = rng_seed(1, "decode");
    struct clip *clip = pattern(CODEC_VP8, 10), *sound = tone(440, 10);
    struct video_decoder *video = video_decoder_new(CODEC_VP8);
    struct sound_decoder *audio = sound_decoder_new();
    struct video_shown shown;
    struct sound_heard heard;
    uint8_t bytes[FRAME_MAX];
    assert_null(video_decoder_new(CODEC_H264));
    video_decoder_feed(video, (struct bytes){0}, &shown);
    assert_false(shown.decoded);
    sound_decoder_feed(audio, (struct bytes){0}, 0, &heard);
    assert_false(heard.decoded);
    for (unsigned round = 0; round < 300; round++) {
        struct bytes frame = clip_bytes(clip, round % 10), packet = clip_bytes(sound, round % 10);
        memcpy(bytes, frame.at, frame.len);
        // Not of a key frame's header: another size would cost memory, which is no matter here.
        bytes[10 + rng_below(&rng, frame.len - 10)] ^= (uint8_t)rng_u32(&rng);
        video_decoder_feed(video, bytes_of(bytes, frame.len - rng_below(&rng, 3)), &shown);
        memcpy(bytes, packet.at, packet.len);
        bytes[rng_below(&rng, packet.len)] ^= (uint8_t)rng_u32(&rng);
        sound_decoder_feed(audio, bytes_of(bytes, 1 + rng_below(&rng, packet.len)), 0, &heard);
    }
    struct video_total total = video_decoder_total(video);
    assert_int_equal(total.frames, 301);
    assert_int_equal(total.decoded + total.refused, 301);
    video_decoder_free(video);
    sound_decoder_free(audio);
    clip_free(clip);
    clip_free(sound);
}

static void test_picture_counter_of_every_size(void **state)
{
    (void)state;
    static const unsigned sizes[][2] = {{64, 64}, {160, 120}, {320, 180}, {98, 66}, {640, 360}};
    for (unsigned i = 0; i < 5; i++) {
        uint8_t *block = mem_alloc(2 * picture_bytes(sizes[i][0], sizes[i][1]));
        struct picture a = picture_in(block, sizes[i][0], sizes[i][1]);
        struct picture b =
            picture_in(block + picture_bytes(sizes[i][0], sizes[i][1]), sizes[i][0], sizes[i][1]);
        for (uint32_t counter = 0; counter < PICTURE_COUNTERS; counter += 4093) {
            uint32_t got;
            picture_draw(&a, counter);
            assert_true(picture_counter(&a, &got));
            assert_int_equal(got, counter);
            picture_draw(&b, counter);
            assert_int_equal(picture_psnr(&a, &b), PICTURE_PSNR_SAME);
            assert_true(picture_hash(&a) == picture_hash(&b));
            picture_draw(&b, counter ^ 1);
            assert_true(picture_psnr(&a, &b) < 4000);
            assert_true(picture_hash(&a) != picture_hash(&b));
        }
        memset(block, 128, picture_bytes(sizes[i][0], sizes[i][1]));
        assert_false(picture_counter(&a, &(uint32_t){0}));
        free(block);
    }
    assert_false(picture_size_fits(62, 64));
    assert_false(picture_size_fits(65, 64));
    assert_false(picture_size_fits(64, 4098));
}

static void test_picture_decibels(void **state)
{
    (void)state;
    assert_int_equal(decibel_hundredths(1, 1), 0);
    assert_in_range(decibel_hundredths(10, 1), 999, 1000);
    assert_in_range(decibel_hundredths(1000000, 1), 5999, 6000);
    assert_in_range(decibel_hundredths(2, 1), 300, 302);
    assert_in_range(-decibel_hundredths(1, 100), 1999, 2001);
}

static void test_clip_wishes_that_cannot_be(void **state)
{
    (void)state;
    struct text text = {0};
    struct pattern_wish good = {CODEC_VP8, 160, 120, 25, 10, 100000, 10}, wish = good;
    struct tone_wish low = {10, 50, 24000}, none = {440, 0, 24000}, fat = {440, 50, 600000};
    struct err err[8] = {0};
    assert_false(clip_make_tone(&low, &text, &err[0]));
    assert_string_equal(err[0].text, "a tone of 10 Hz, expected 20..20000");
    assert_false(clip_make_tone(&none, &text, &err[1]));
    assert_false(clip_make_tone(&fat, &text, &err[2]));
    wish.kind = CODEC_AV1;
    assert_false(clip_make_pattern(&wish, &text, &err[3]));
    assert_string_equal(err[3].text, "a pattern in av1, expected vp8 or vp9");
    wish = good;
    wish.width = 161;
    assert_false(clip_make_pattern(&wish, &text, &err[4]));
    assert_string_equal(err[4].text, "a pattern of 161x120, expected even sides of 64..4096");
    wish = good;
    wish.fps = 0;
    assert_false(clip_make_pattern(&wish, &text, &err[5]));
    wish = good;
    wish.frames = PICTURE_COUNTERS + 1;
    assert_false(clip_make_pattern(&wish, &text, &err[6]));
    assert_int_equal(text.len, 0);
    assert_null(clip_load("no such file", &err[7]));
    assert_string_equal(err[7].text, "no such file: No such file or directory");
    text_free(&text);
}

// The same wish, the same bytes: encoders take no look at clocks, and have one thread.
static void test_clip_made_twice_is_the_same(void **state)
{
    (void)state;
    struct pattern_wish wish = {CODEC_VP9, 128, 96, 25, 12, 100000, 10};
    struct tone_wish sound = {440, 20, 24000};
    struct text a = {0}, b = {0};
    struct err err = {0};
    assert_true(clip_make_pattern(&wish, &a, &err) && clip_make_pattern(&wish, &b, &err));
    assert_true(bytes_equal(text_bytes(&a), text_bytes(&b)));
    text_clear(&a);
    text_clear(&b);
    assert_true(clip_make_tone(&sound, &a, &err) && clip_make_tone(&sound, &b, &err));
    assert_true(bytes_equal(text_bytes(&a), text_bytes(&b)));
    text_free(&a);
    text_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode_pattern_is_bit_exact),
        cmocka_unit_test(test_decode_sees_a_missing_frame),
        cmocka_unit_test(test_decode_tone),
        cmocka_unit_test(test_decode_hostile),
        cmocka_unit_test(test_picture_counter_of_every_size),
        cmocka_unit_test(test_picture_decibels),
        cmocka_unit_test(test_clip_wishes_that_cannot_be),
        cmocka_unit_test(test_clip_made_twice_is_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
