// Clips: what is read of good files, what is said of bad ones, and how a source plays them.
#include "stack/media/clip.h"
#include "stack/media/clip_ivf.h"
#include "stack/media/source.h"

#include "base/rng.h"

#include <ogg/ogg.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define FILE_MAX 20000

static uint8_t file[FILE_MAX];

// Ten frames of VP8, 40 ms each; the first and the seventh are key frames. The file's length.
static size_t write_ivf(void)
{
    size_t at = IVF_HEADER_LEN;
    ivf_write_header(file, &(struct ivf_header){CODEC_VP8, 320, 240, 25, 1, 10});
    for (unsigned i = 0; i < 10; i++) {
        uint32_t len = 20 + i;
        ivf_write_frame_header(file + at, len, 100 + i);
        memset(file + at + IVF_FRAME_HEADER_LEN, (int)(i % 6 ? 0x11 + 2 * i : 0x10), len);
        at += IVF_FRAME_HEADER_LEN + len;
    }
    return at;
}

static size_t add_page(size_t at, ogg_stream_state *stream)
{
    ogg_page page;
    while (ogg_stream_flush(stream, &page)) {
        memcpy(file + at, page.header, (size_t)page.header_len);
        memcpy(file + at + page.header_len, page.body, (size_t)page.body_len);
        at += (size_t)(page.header_len + page.body_len);
    }
    return at;
}

static void add_packet(ogg_stream_state *stream, const void *bytes, size_t len, bool last)
{
    ogg_packet packet = {.bytes = (long)len, .packetno = stream->packetno, .e_o_s = last};
    uint8_t copy[2000];
    memcpy(copy, bytes, len);
    packet.packet = copy;
    packet.b_o_s = stream->packetno == 0;
    assert_int_equal(ogg_stream_packetin(stream, &packet), 0);
}

// Six packets of 20 ms, three a page, the last page's of 1000 bytes so that lacing is used.
static size_t write_ogg(const char *head, size_t head_len)
{
    ogg_stream_state stream;
    uint8_t packet[1000];
    size_t at = 0;
    ogg_stream_init(&stream, 77);
    add_packet(&stream, head, head_len, false);
    at = add_page(at, &stream);
    add_packet(&stream, "OpusTags\0\0\0\0\0\0\0\0", 16, false);
    at = add_page(at, &stream);
    for (unsigned i = 0; i < 6; i++) {
        memset(packet, (int)i, sizeof packet);
        packet[0] = 0xf8;
        add_packet(&stream, packet, i < 3 ? 50 + i : 1000, i == 5);
        if (i % 3 == 2)
            at = add_page(at, &stream);
    }
    ogg_stream_clear(&stream);
    return at;
}
static const char opus_head[] = "OpusHead\1\2\x38\1\x80\xbb\0\0\0\0"; // its end is family 0
#define HEAD opus_head, 19

static void assert_error(size_t len, const char *expected)
{
    struct err err = {0};
    uint8_t *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    memcpy(exact, file, len);
    assert_null(clip_read(bytes_of(exact, len), "a clip", &err));
    assert_string_equal(err.text, expected);
    free(exact);
}

static void test_clip_reads_ivf(void **state)
{
    (void)state;
    struct err err = {0};
    struct clip *clip = clip_read(bytes_of(file, write_ivf()), "a clip", &err);
    assert_non_null(clip);
    assert_int_equal(clip->kind, CODEC_VP8);
    assert_int_equal(clip->frames_count, 10);
    assert_int_equal(clip->width, 320);
    assert_int_equal(clip->height, 240);
    assert_int_equal(clip->duration, 36000);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(clip->frames[i].timestamp, i * 3600);
        assert_int_equal(clip_bytes(clip, i).len, 20 + i);
        assert_int_equal(clip->frames[i].keyframe, i % 6 == 0);
    }
    clip_free(clip);
}

static void test_clip_reads_ogg(void **state)
{
    (void)state;
    struct err err = {0};
    struct clip *clip = clip_read(bytes_of(file, write_ogg(HEAD)), "a clip", &err);
    assert_string_equal(err.text, "");
    assert_non_null(clip);
    assert_int_equal(clip->kind, CODEC_OPUS);
    assert_int_equal(clip->frames_count, 6);
    assert_int_equal(clip->skip, 312);
    assert_int_equal(clip->duration, 6 * 960);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(clip->frames[i].timestamp, i * 960);
        assert_int_equal(clip_bytes(clip, i).len, i < 3 ? 50 + i : 1000);
        assert_int_equal(clip_bytes(clip, i).at[1], i);
    }
    clip_free(clip);
}

static void test_clip_bad_ivf(void **state)
{
    (void)state;
    size_t len = write_ivf();
    assert_error(0, "a clip: byte 0: expected an Ogg (\"OggS\") or IVF (\"DKIF\") file");
    assert_error(20, "a clip: byte 20: expected a header of 32 bytes, got the end of the file");
    assert_error(32, "a clip: byte 32: expected a frame, got the end of the file");
    assert_error(40, "a clip: byte 32: the file ends inside of a frame's header");
    assert_error(len - 1, "a clip: byte 356: a frame of 29 bytes, but 28 are left");
    file[32 + 12 + 20 + 4] = 100; // the second frame's time
    assert_error(len, "a clip: byte 68: expected a time after the frame before");
    memset(file + 32 + 4, 0xff, 8);
    assert_error(len, "a clip: byte 68: expected a time after the frame before");
    write_ivf();
    memset(file + 32, 0, 4);
    assert_error(len, "a clip: byte 32: a frame of 0 bytes, but 353 are left");
    write_ivf();
    file[44] = 0x11;
    assert_error(len, "a clip: the first frame is no key frame");
    write_ivf();
    memcpy(file + 8, "MJPG", 4);
    assert_error(len, "a clip: byte 8: expected VP80, VP90, AV01 or H264, got 4d 4a 50 47");
    write_ivf();
    file[4] = 1;
    assert_error(len, "a clip: byte 4: expected version 0, got 1");
    write_ivf();
    file[6] = 33;
    assert_error(len, "a clip: byte 6: expected a header length of 32, got 33");
    write_ivf();
    memset(file + 16, 0, 4);
    assert_error(len, "a clip: byte 16: a time base of 1/0");
}

static void test_clip_bad_ogg(void **state)
{
    (void)state;
    size_t len = write_ogg(HEAD);
    assert_error(len - 1, "a clip: byte 274: the file ends inside of a page");
    assert_error(200, "a clip: byte 91: the file ends inside of a page");
    assert_error(91, "a clip: byte 91: expected a frame, got the end of the file");
    file[150] ^= 1; // a page whose checksum is wrong
    assert_error(len, "a clip: byte 91: expected a page, or its checksum is wrong");
    len = write_ogg("OpusHead\1\3\0\0\0\0\0\0\0\0\1", 19);
    assert_error(len, "a clip: byte 0: 3 channels in mapping family 1, expected 1 or 2 in 0");
    len = write_ogg("OpusHead\x10\2\0\0\0\0\0\0\0\0\0", 19);
    assert_error(len, "a clip: byte 0: OpusHead of version 16, expected below 16");
    len = write_ogg("\1vorbis", 7);
    assert_error(len, "a clip: byte 0: expected a stream of Opus (\"OpusHead\")");
    len = write_ogg(HEAD);
    memmove(file + 91, file + 274, len - 274); // pages 2 and 3 of the stream are gone
    assert_error(len - 183, "a clip: byte 91: pages before it are missing");
}

// No change of one byte, and no cut, breaks more than the verdict.
static void test_clip_any_bytes(void **state)
{
    (void)state;
    struct rng rng = rng_seed(1, "clip");
    for (unsigned round = 0; round < 4000; round++) {
        size_t len = round % 2 ? write_ogg(HEAD) : write_ivf();
        for (unsigned i = 0; i < 3; i++)
            file[rng_below(&rng, len)] = (uint8_t)rng_u32(&rng);
        len = round % 3 ? len : (size_t)rng_below(&rng, len);
        uint8_t *exact = malloc(len ? len : 1);
        assert_non_null(exact);
        memcpy(exact, file, len);
        struct err err = {0};
        struct clip *clip = clip_read(bytes_of(exact, len), "a clip", &err);
        assert_true((clip == NULL) == err_is_set(&err));
        free(exact);
        clip_free(clip);
    }
}

static struct media_source *play(const struct clip *clip, bool loops)
{
    return source_new(&(struct source_config){
        .stop_at = TIME_NEVER, .clip = clip, .clip_loops = loops, .rng = rng_seed(1, "source")});
}

static void test_source_plays_a_clip_in_a_loop(void **state)
{
    (void)state;
    struct err err = {0};
    struct clip *clip = clip_read(bytes_of(file, write_ivf()), "a clip", &err);
    struct media_source *source = play(clip, true);
    struct source_frame frame;
    for (unsigned i = 0; i < 35; i++) {
        assert_int_equal(source_deadline(source), i * 40 * TIME_MS);
        assert_true(source_poll(source, i * 40 * TIME_MS, &frame));
        assert_int_equal(frame.timestamp, i * 3600);
        assert_int_equal(frame.duration, 3600);
        assert_ptr_equal(frame.bytes.at, clip_bytes(clip, i % 10).at);
        assert_int_equal(frame.keyframe, i % 10 % 6 == 0);
    }
    // Asked for a key frame it goes on with its next one, and time goes on evenly.
    source_request_keyframe(source, 0);
    assert_true(source_poll(source, 35 * 40 * TIME_MS, &frame));
    assert_ptr_equal(frame.bytes.at, clip_bytes(clip, 6).at);
    assert_int_equal(frame.timestamp, 35 * 3600);
    assert_true(source_poll(source, 36 * 40 * TIME_MS, &frame));
    source_request_keyframe(source, 0);
    assert_true(source_poll(source, 37 * 40 * TIME_MS, &frame));
    assert_ptr_equal(frame.bytes.at, clip_bytes(clip, 0).at);
    assert_int_equal(frame.timestamp, 37 * 3600);
    // Hidden and shown again, it begins with a key frame.
    source_mute(source, true);
    assert_false(source_poll(source, 39 * 40 * TIME_MS, &frame));
    source_mute(source, false);
    assert_true(source_poll(source, 40 * 40 * TIME_MS, &frame));
    assert_true(frame.keyframe);
    assert_int_equal(frame.timestamp, 40 * 3600);
    source_free(source);
    clip_free(clip);
}

static void test_source_plays_a_clip_once(void **state)
{
    (void)state;
    struct err err = {0};
    struct clip *clip = clip_read(bytes_of(file, write_ogg(HEAD)), "a clip", &err);
    struct media_source *source = play(clip, false);
    struct source_frame frame;
    unsigned count = 0;
    while (source_poll(source, TIME_S, &frame))
        count++;
    assert_int_equal(count, 6);
    assert_int_equal(frame.at, 100 * TIME_MS);
    assert_true(source_ended(source));
    assert_int_equal(source_deadline(source), TIME_NEVER);
    source_free(source);
    clip_free(clip);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clip_reads_ivf),
        cmocka_unit_test(test_clip_reads_ogg),
        cmocka_unit_test(test_clip_bad_ivf),
        cmocka_unit_test(test_clip_bad_ogg),
        cmocka_unit_test(test_clip_any_bytes),
        cmocka_unit_test(test_source_plays_a_clip_in_a_loop),
        cmocka_unit_test(test_source_plays_a_clip_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
