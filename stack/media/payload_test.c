// Payload formats: round trips over random frames and sizes, payloads of other people's stacks, and
// bytes that nobody should send.
#include "stack/media/payload.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define FRAME_MAX 20000
#define PAYLOADS_MAX 2000
#define ROUNDS 1500

// A frame cut into payloads.
static uint8_t payload_bytes[PAYLOADS_MAX][1200];
static size_t payload_lens[PAYLOADS_MAX];
static unsigned payloads;
static uint8_t frame_bytes[FRAME_MAX], joined_bytes[FRAME_MAX + 1000];

static struct bytes payload_at(unsigned i)
{
    return bytes_of(payload_bytes[i], payload_lens[i]);
}

static enum payload_outcome cut(const struct payload_frame *frame, size_t max)
{
    struct payload_out out;
    enum payload_outcome outcome = payload_begin(&out, frame, max);
    payloads = 0;
    if (outcome != PAYLOAD_OK)
        return outcome;
    while (payloads < PAYLOADS_MAX) {
        bool over = out.last;
        size_t len = payload_next(&out, payload_bytes[payloads]);
        assert_true((len == 0) == over);
        if (!len)
            break;
        assert_true(len <= max);
        payload_lens[payloads++] = len;
    }
    assert_true(payloads > 0 && payloads < PAYLOADS_MAX);
    return PAYLOAD_OK;
}

static enum payload_outcome join(enum codec_kind kind, struct bytes *frame)
{
    struct payload_join j;
    payload_join_begin(&j, kind, joined_bytes, sizeof joined_bytes);
    for (unsigned i = 0; i < payloads; i++)
        payload_join_add(&j, payload_at(i));
    return payload_join_end(&j, frame);
}

static void assert_bytes(struct bytes got, struct bytes expected)
{
    assert_int_equal(got.len, expected.len);
    assert_memory_equal(got.at, expected.at, expected.len);
}

static struct bytes random_bytes(struct rng *rng, size_t max)
{
    size_t len = 1 + (size_t)rng_below(rng, rng_below(rng, 4) ? 300 : max);
    rng_fill(rng, frame_bytes, len);
    return bytes_of(frame_bytes, len);
}

static size_t random_max(struct rng *rng)
{
    return 50 + (size_t)rng_below(rng, 1151);
}

// ------------------------------------------------------------------------------------- round trips

static void test_payload_vp8_round_trip(void **state)
{
    (void)state;
    struct rng rng = rng_seed(1, "vp8");
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct payload_frame frame = {CODEC_VP8, random_bytes(&rng, FRAME_MAX), .keyframe = false};
        struct payload_tag tag = PAYLOAD_TAG_NONE;
        frame.keyframe = !(frame_bytes[0] & 1);
        tag.picture_id_is_long = rng_below(&rng, 2);
        if (rng_below(&rng, 2))
            tag.picture_id = (int32_t)rng_below(&rng, tag.picture_id_is_long ? 0x8000 : 0x80);
        else
            tag.picture_id_is_long = false;
        if (rng_below(&rng, 2))
            tag.tid = (int8_t)rng_below(&rng, 4), tag.layer_sync = rng_below(&rng, 2);
        if (tag.tid >= 0 && rng_below(&rng, 2))
            tag.tl0picidx = (int16_t)rng_below(&rng, 256);
        if (rng_below(&rng, 2))
            tag.keyidx = (int8_t)rng_below(&rng, 32);
        tag.discardable = rng_below(&rng, 2);
        frame.tag = tag;
        assert_int_equal(cut(&frame, random_max(&rng)), PAYLOAD_OK);
        for (unsigned i = 0; i < payloads; i++) {
            struct payload_info info;
            assert_int_equal(payload_read(CODEC_VP8, payload_at(i), &info), PAYLOAD_OK);
            assert_int_equal(info.frame_start, i == 0);
            assert_int_equal(info.keyframe, i == 0 && frame.keyframe);
            assert_memory_equal(&info.tag, &tag, sizeof tag);
        }
        struct bytes got;
        assert_int_equal(join(CODEC_VP8, &got), PAYLOAD_OK);
        assert_bytes(got, frame.bytes);
        assert_true(payload_is_keyframe(CODEC_VP8, got) == frame.keyframe);
    }
}

static struct payload_tag random_vp9_tag(struct rng *rng, bool keyframe)
{
    struct payload_tag tag = PAYLOAD_TAG_NONE;
    tag.flexible = rng_below(rng, 2);
    if (tag.flexible || rng_below(rng, 2)) {
        tag.picture_id_is_long = rng_below(rng, 2);
        tag.picture_id = (int32_t)rng_below(rng, tag.picture_id_is_long ? 0x8000 : 0x80);
    }
    if (rng_below(rng, 2)) {
        tag.tid = (int8_t)(keyframe ? 0 : rng_below(rng, 8));
        tag.sid = (int8_t)rng_below(rng, 8);
        tag.layer_sync = rng_below(rng, 2);
        tag.inter_layer = tag.sid > 0 && rng_below(rng, 2);
        tag.tl0picidx = (int16_t)(tag.flexible ? -1 : (int16_t)rng_below(rng, 256));
    }
    if (tag.flexible && !keyframe) {
        tag.references_count = (uint8_t)(1 + rng_below(rng, 3));
        for (unsigned i = 0; i < tag.references_count; i++)
            tag.references[i] = (uint8_t)(1 + rng_below(rng, 127));
    }
    tag.discardable = rng_below(rng, 2);
    return tag;
}

static void test_payload_vp9_round_trip(void **state)
{
    (void)state;
    struct rng rng = rng_seed(1, "vp9");
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct payload_frame frame = {CODEC_VP9, random_bytes(&rng, FRAME_MAX), .keyframe = false};
        frame.keyframe = rng_below(&rng, 2);
        struct payload_tag tag = random_vp9_tag(&rng, frame.keyframe);
        frame.tag = tag;
        if (frame.keyframe && rng_below(&rng, 2)) {
            frame.tag.spatial_layers = (uint8_t)(1 + rng_below(&rng, 8));
            frame.tag.has_sizes = rng_below(&rng, 2);
            for (unsigned i = 0; frame.tag.has_sizes && i < frame.tag.spatial_layers; i++) {
                frame.tag.width[i] = (uint16_t)rng_u32(&rng);
                frame.tag.height[i] = (uint16_t)rng_u32(&rng);
            }
        }
        assert_int_equal(cut(&frame, random_max(&rng)), PAYLOAD_OK);
        for (unsigned i = 0; i < payloads; i++) {
            struct payload_info info;
            assert_int_equal(payload_read(CODEC_VP9, payload_at(i), &info), PAYLOAD_OK);
            assert_int_equal(info.frame_start, i == 0);
            assert_int_equal(info.frame_end, i + 1 == payloads);
            assert_int_equal(info.keyframe, i == 0 && frame.keyframe && tag.sid <= 0);
            assert_memory_equal(&info.tag, i ? &tag : &frame.tag, sizeof tag);
        }
        struct bytes got;
        assert_int_equal(join(CODEC_VP9, &got), PAYLOAD_OK);
        assert_bytes(got, frame.bytes);
    }
}

// NAL units after start codes, without zeros inside: what an encoder's emulation prevention does.
static struct bytes random_access_unit(struct rng *rng, size_t unit_max, bool *idr)
{
    static const uint8_t types[] = {1, 1, 5, 6, 7, 8, 9};
    struct writer w = writer_of(frame_bytes, sizeof frame_bytes);
    unsigned units = 1 + (unsigned)rng_below(rng, 8);
    *idr = false;
    for (unsigned i = 0; i < units; i++) {
        size_t len = 1 + (size_t)rng_below(rng, rng_below(rng, 3) ? 40 : unit_max);
        uint8_t type = types[rng_below(rng, sizeof types)];
        *idr |= type == 5;
        write_u32(&w, 1);
        uint8_t *to = write_room(&w, len);
        rng_fill(rng, to, len);
        for (size_t k = 0; k < len; k++)
            to[k] |= rng_below(rng, 4) ? 0 : 1;
        for (size_t k = 1; k < len; k++) // no two zeros in a row, none at the end
            to[k] |= to[k - 1] == 0 || k + 1 == len;
        to[0] = (uint8_t)((rng_below(rng, 4) << 5) | type);
    }
    return writer_bytes(&w);
}

static void test_payload_h264_round_trip(void **state)
{
    (void)state;
    struct rng rng = rng_seed(1, "h264");
    unsigned aggregates = 0, fragments = 0, singles = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        bool idr;
        struct payload_frame frame = {CODEC_H264, random_access_unit(&rng, 2400, &idr),
                                      .tag = PAYLOAD_TAG_NONE};
        assert_int_equal(cut(&frame, random_max(&rng)), PAYLOAD_OK);
        bool keyframe = false;
        for (unsigned i = 0; i < payloads; i++) {
            struct payload_info info;
            assert_int_equal(payload_read(CODEC_H264, payload_at(i), &info), PAYLOAD_OK);
            uint8_t type = payload_bytes[i][0] & 0x1f;
            aggregates += type == 24;
            fragments += type == 28;
            singles += type < 24;
            keyframe |= info.keyframe;
        }
        struct bytes got;
        assert_int_equal(join(CODEC_H264, &got), PAYLOAD_OK);
        assert_bytes(got, frame.bytes);
        assert_true(keyframe || !idr);
        assert_true(payload_is_keyframe(CODEC_H264, got) == idr);
    }
    assert_true(aggregates > ROUNDS / 4 && fragments > ROUNDS / 4 && singles > ROUNDS / 4);
}

// RFC 6184 6.2: one NAL unit a packet; what does not fit is refused.
static void test_payload_h264_single_nal_mode(void **state)
{
    (void)state;
    struct rng rng = rng_seed(2, "h264");
    unsigned refused = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        bool idr;
        struct payload_frame frame = {CODEC_H264, random_access_unit(&rng, 400, &idr),
                                      .single_nal = true, .tag = PAYLOAD_TAG_NONE};
        enum payload_outcome outcome = cut(&frame, 300);
        if (outcome != PAYLOAD_OK) {
            assert_int_equal(outcome, PAYLOAD_TOO_LARGE);
            refused++;
            continue;
        }
        for (unsigned i = 0; i < payloads; i++)
            assert_true((payload_bytes[i][0] & 0x1f) < 24);
        struct bytes got;
        assert_int_equal(join(CODEC_H264, &got), PAYLOAD_OK);
        assert_bytes(got, frame.bytes);
    }
    assert_true(refused > 0 && refused < ROUNDS);
}

static size_t put_leb128(uint8_t *to, size_t value)
{
    size_t len = 0;
    for (; value > 127; value >>= 7)
        to[len++] = (uint8_t)(value | 0x80);
    to[len++] = (uint8_t)value;
    return len;
}

// A temporal unit. `what travels` is the part after its delimiter.
static struct bytes random_temporal_unit(struct rng *rng, bool *keyframe, size_t *travels_from)
{
    static const uint8_t types[] = {3, 4, 5, 6, 6, 7};
    size_t at = 0;
    *keyframe = rng_below(rng, 3) == 0;
    *travels_from = 0;
    if (rng_below(rng, 2)) {
        frame_bytes[at++] = 2 << 3 | 2;
        frame_bytes[at++] = 0;
        *travels_from = at;
    }
    unsigned obus = 1 + (unsigned)rng_below(rng, 6);
    for (unsigned i = 0; i < obus; i++) {
        size_t len = (size_t)rng_below(rng, rng_below(rng, 3) ? 60 : 2800);
        uint8_t type = *keyframe && i == 0 ? 1 : types[rng_below(rng, sizeof types)];
        bool extended = rng_below(rng, 4) == 0;
        frame_bytes[at++] = (uint8_t)(type << 3 | extended << 2 | 2);
        if (extended)
            frame_bytes[at++] = (uint8_t)(rng_below(rng, 8) << 5);
        at += put_leb128(frame_bytes + at, len);
        rng_fill(rng, frame_bytes + at, len);
        at += len;
    }
    return bytes_of(frame_bytes, at);
}

static void test_payload_av1_round_trip(void **state)
{
    (void)state;
    struct rng rng = rng_seed(1, "av1");
    for (unsigned round = 0; round < ROUNDS; round++) {
        bool keyframe;
        size_t from;
        struct payload_frame frame = {CODEC_AV1, random_temporal_unit(&rng, &keyframe, &from),
                                      .tag = PAYLOAD_TAG_NONE};
        frame.keyframe = keyframe;
        assert_true(payload_is_keyframe(CODEC_AV1, frame.bytes) == keyframe);
        assert_int_equal(cut(&frame, random_max(&rng)), PAYLOAD_OK);
        for (unsigned i = 0; i < payloads; i++) {
            struct payload_info info;
            assert_int_equal(payload_read(CODEC_AV1, payload_at(i), &info), PAYLOAD_OK);
            assert_int_equal(info.keyframe, keyframe && i == 0);
            assert_true(i > 0 || !info.continues);
        }
        struct bytes got;
        assert_int_equal(join(CODEC_AV1, &got), PAYLOAD_OK);
        assert_bytes(got, bytes_from(frame.bytes, from));
    }
}

static void test_payload_sound_is_the_packet(void **state)
{
    (void)state;
    struct rng rng = rng_seed(1, "sound");
    static const enum codec_kind kinds[] = {CODEC_PCMU, CODEC_PCMA, CODEC_G722};
    for (unsigned i = 0; i < 3; i++) {
        struct payload_frame frame = {kinds[i], bytes_of(frame_bytes, 160),
                                      .tag = PAYLOAD_TAG_NONE};
        struct payload_info info;
        struct bytes got;
        rng_fill(&rng, frame_bytes, 160);
        assert_int_equal(cut(&frame, 160), PAYLOAD_OK);
        assert_int_equal(payloads, 1);
        assert_int_equal(payload_read(kinds[i], payload_at(0), &info), PAYLOAD_OK);
        assert_int_equal(info.samples, 160); // RFC 3551 4.5.2: of G722 too
        assert_int_equal(join(kinds[i], &got), PAYLOAD_OK);
        assert_bytes(got, frame.bytes);
        assert_int_equal(cut(&frame, 159), PAYLOAD_TOO_LARGE);
    }
}

// -------------------------------------------------------------------------------- known payloads

static void test_payload_opus_tells_its_duration(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[6];
        size_t len;
        uint32_t samples;
        bool dtx, fec;
    } rows[] = {
        {{0xf8, 1, 2, 3}, 4, 960, false, false},        // CELT, 20 ms, one frame
        {{0xf8}, 1, 960, true, false},                  // nothing in it
        {{0xe0, 1, 2}, 3, 120, false, false},           // 2.5 ms
        {{0x18, 0xff, 0, 0}, 4, 2880, false, true},     // SILK, 60 ms: flags V V V L
        {{0x18, 0xef, 0, 0}, 4, 2880, false, false},    // the same without L
        {{0x08, 0x40, 0, 0}, 4, 960, false, true},      // SILK, 20 ms: V L
        {{0x0c, 0x10, 0, 0}, 4, 960, false, true},      // stereo: V L V L
        {{0x78, 0x40, 1, 1}, 4, 960, false, true},      // hybrid, 20 ms
        {{0xf9, 1, 2}, 3, 1920, false, false},          // two equal frames
        {{0xf9, 1, 2, 3}, 4, 0, false, false},          // that are not equal
        {{0xfa, 1, 9, 8}, 4, 1920, false, false},       // two frames, the first of one byte
        {{0xfa, 3, 9, 8}, 4, 0, false, false},          // the first longer than what is left
        {{0xfb, 3, 1, 2, 3}, 5, 2880, false, false},    // three
        {{0xfb, 0, 1, 2, 3}, 5, 0, false, false},       // none
        {{0xfb, 7, 1, 2, 3}, 5, 0, false, false},       // 140 ms: too long
        {{0xfb, 0x43, 1, 7, 7, 7}, 6, 0, false, false}, // padding leaves two bytes for three
        {{0xfb, 0x42, 1, 7, 7, 7}, 6, 1920, false, false},
        {{0xfb, 0x82, 2, 1, 1, 1}, 6, 1920, false, false}, // variable lengths
        {{0xfb, 0x82, 9, 1, 1, 1}, 6, 0, false, false},
        {{0xfb, 0x41, 0xff, 0xff, 1, 1}, 6, 0, false, false}, // padding past the end
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct payload_info info;
        struct bytes packet = bytes_of(rows[i].bytes, rows[i].len);
        enum payload_outcome outcome = payload_read(CODEC_OPUS, packet, &info);
        assert_int_equal(outcome, rows[i].samples ? PAYLOAD_OK : PAYLOAD_BAD_FIELD);
        assert_int_equal(info.samples, rows[i].samples);
        assert_int_equal(info.dtx, rows[i].dtx);
        assert_int_equal(info.fec, rows[i].fec);
        assert_int_equal(payload_opus_samples(packet), rows[i].samples);
    }
}

// The first payloads of algesten/str0m tests/data/vp9.pcap (from Chrome), cut short.
static void test_payload_vp9_of_chrome(void **state)
{
    (void)state;
    const uint8_t key[] = {0x8f, 0xe6, 0xfb, 0x18, 0x01, 0xee, 0x01, 0x73, 0x01, 0x14,
                           0x01, 0x82, 0x49, 0x83, 0x42, 0x00, 0x1e, 0xd0, 0x17, 0x24};
    const uint8_t delta[] = {0xcd, 0xe6, 0xfc, 0x86, 0x00, 0x40, 0x92};
    struct payload_info info;
    assert_int_equal(payload_read(CODEC_VP9, bytes_of(key, sizeof key), &info), PAYLOAD_OK);
    assert_true(info.frame_start && info.frame_end && info.keyframe);
    assert_int_equal(info.tag.picture_id, 0x66fb);
    assert_int_equal(info.width, 494);
    assert_int_equal(info.height, 371);
    assert_int_equal(info.media.at[0], 0x82);
    assert_true(payload_is_keyframe(CODEC_VP9, info.media));
    assert_int_equal(payload_read(CODEC_VP9, bytes_of(delta, sizeof delta), &info), PAYLOAD_OK);
    assert_false(info.keyframe);
    assert_int_equal(info.tag.picture_id, 0x66fc);
    assert_false(payload_is_keyframe(CODEC_VP9, info.media));
}

// aiortc/aiortc tests/h264_0000.bin: SPS and PPS in a STAP-A.
static void test_payload_h264_of_aiortc(void **state)
{
    (void)state;
    const uint8_t stap[] = {0x78, 0x00, 0x0e, 0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x50, 0x1e,
                            0x90, 0x0f, 0x08, 0x84, 0x6a, 0x00, 0x04, 0x68, 0xce, 0x3c, 0x80};
    struct payload_info info;
    struct payload_join j;
    struct bytes frame;
    assert_int_equal(payload_read(CODEC_H264, bytes_of(stap, sizeof stap), &info), PAYLOAD_OK);
    assert_true(info.frame_start && info.keyframe);
    payload_join_begin(&j, CODEC_H264, joined_bytes, sizeof joined_bytes);
    assert_int_equal(payload_join_add(&j, bytes_of(stap, sizeof stap)), PAYLOAD_OK);
    assert_int_equal(payload_join_end(&j, &frame), PAYLOAD_OK);
    assert_int_equal(frame.len, 4 + 14 + 4 + 4);
    assert_memory_equal(frame.at + 18, "\0\0\0\1\x68\xce\x3c\x80", 8);
    // Its NRI is the highest of both (RFC 6184 5.7), so it comes out as it was.
    struct payload_frame again = {CODEC_H264, frame, .tag = PAYLOAD_TAG_NONE};
    assert_int_equal(cut(&again, 1200), PAYLOAD_OK);
    assert_bytes(payload_at(0), bytes_of(stap, sizeof stap));
}

static void test_payload_vp8_tells_its_size(void **state)
{
    (void)state;
    // RFC 6386 9.1, 640x480; descriptor with a long picture id.
    const uint8_t key[] = {0x90, 0x80, 0x81, 0x23, 0x10, 0x02, 0x00, 0x9d,
                           0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01, 0x00};
    struct payload_info info;
    assert_int_equal(payload_read(CODEC_VP8, bytes_of(key, sizeof key), &info), PAYLOAD_OK);
    assert_true(info.keyframe);
    assert_int_equal(info.width, 640);
    assert_int_equal(info.height, 480);
    assert_int_equal(info.tag.picture_id, 0x123);
}

// --------------------------------------------------------------------------------------- hostile

static void assert_outcome(enum codec_kind kind, const char *bytes, size_t len,
                           enum payload_outcome expected)
{
    struct payload_info info;
    uint8_t *exact = malloc(len ? len : 1); // so that a read past the end is seen
    assert_non_null(exact);
    memcpy(exact, bytes, len);
    enum payload_outcome got = payload_read(kind, bytes_of(exact, len), &info);
    assert_string_equal(payload_outcome_name(got), payload_outcome_name(expected));
    free(exact);
}

static void test_payload_refuses_by_name(void **state)
{
    (void)state;
    assert_outcome(CODEC_VP8, "", 0, PAYLOAD_EMPTY);
    assert_outcome(CODEC_VP8, "\x10", 1, PAYLOAD_EMPTY);
    assert_outcome(CODEC_VP8, "\x90\x80\x80", 3, PAYLOAD_TOO_SHORT);
    assert_outcome(CODEC_VP9, "\x80\xff", 2, PAYLOAD_TOO_SHORT);
    assert_outcome(CODEC_VP9, "\x08", 1, PAYLOAD_EMPTY);
    assert_outcome(CODEC_VP9, "\xd0\x01\x00\x01", 4, PAYLOAD_BAD_FIELD);             // P_DIFF 0
    assert_outcome(CODEC_VP9, "\xd0\x01\x03\x03\x03\x03\x01", 7, PAYLOAD_BAD_FIELD); // four
    assert_outcome(CODEC_VP9, "\x02\xf0\x01\x02\x03\x04", 6, PAYLOAD_TOO_SHORT);
    assert_outcome(CODEC_VP9, "\x02\x08\xff\x0c\x01\x01\x01", 7, PAYLOAD_TOO_SHORT);
    assert_outcome(CODEC_H264, "\x60", 1, PAYLOAD_BAD_FIELD);
    assert_outcome(CODEC_H264, "\x7f", 1, PAYLOAD_BAD_FIELD);
    assert_outcome(CODEC_H264, "\x78", 1, PAYLOAD_EMPTY);
    assert_outcome(CODEC_H264, "\x78\x00\x02\x67", 4, PAYLOAD_TOO_SHORT);
    assert_outcome(CODEC_H264, "\x78\x00\x00", 3, PAYLOAD_BAD_FIELD);
    assert_outcome(CODEC_H264, "\x78\x00\x01\x78", 4, PAYLOAD_BAD_FIELD); // STAP-A in STAP-A
    assert_outcome(CODEC_H264, "\x78\x00", 2, PAYLOAD_TOO_SHORT);
    assert_outcome(CODEC_H264, "\x7c", 1, PAYLOAD_TOO_SHORT);
    assert_outcome(CODEC_H264, "\x7c\x85", 2, PAYLOAD_EMPTY);
    assert_outcome(CODEC_H264, "\x7c\xc5\x01", 3, PAYLOAD_BAD_FIELD); // start and end
    assert_outcome(CODEC_H264, "\x7c\x9c\x01", 3, PAYLOAD_BAD_FIELD); // FU-A in FU-A
    assert_outcome(CODEC_H264, "\x7d\x85\x01\x02", 4, PAYLOAD_NOT_SUPPORTED);
    assert_outcome(CODEC_H264, "\x79\x00\x00\x01", 4, PAYLOAD_NOT_SUPPORTED);
    assert_outcome(CODEC_AV1, "\x10", 1, PAYLOAD_EMPTY);
    assert_outcome(CODEC_AV1, "\x98\x32", 2, PAYLOAD_BAD_FIELD); // Z and N
    assert_outcome(CODEC_AV1, "\x20\x05\x32", 3, PAYLOAD_TOO_SHORT);
    assert_outcome(CODEC_AV1, "\x00\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, PAYLOAD_TOO_SHORT);
    assert_outcome(CODEC_EVENT, "\x01\x02\x03", 3, PAYLOAD_TOO_SHORT);
    assert_outcome(CODEC_RTX, "\x01\x02\x03", 3, PAYLOAD_NO_FORMAT);
    assert_string_equal(payload_outcome_name(PAYLOAD_OUTCOMES), "unknown");
}

static void test_payload_begin_refuses(void **state)
{
    (void)state;
    struct payload_frame frame = {CODEC_VP8, bytes_text("abc"), .tag = PAYLOAD_TAG_NONE};
    struct payload_out out;
    assert_int_equal(payload_begin(&out, &frame, PAYLOAD_MAX_LEAST - 1), PAYLOAD_TOO_LARGE);
    frame.tag.tl0picidx = 3;
    assert_int_equal(payload_begin(&out, &frame, 100), PAYLOAD_BAD_FIELD);
    frame.tag = PAYLOAD_TAG_NONE;
    frame.tag.picture_id = 0x80;
    assert_int_equal(payload_begin(&out, &frame, 100), PAYLOAD_BAD_FIELD);
    frame.kind = CODEC_VP9;
    frame.tag = PAYLOAD_TAG_NONE;
    frame.tag.flexible = true;
    assert_int_equal(payload_begin(&out, &frame, 100), PAYLOAD_BAD_FIELD);
    frame.tag = PAYLOAD_TAG_NONE;
    frame.tag.spatial_layers = 8;
    frame.tag.has_sizes = true;
    frame.tag.picture_id = 1;
    assert_int_equal(payload_begin(&out, &frame, PAYLOAD_MAX_LEAST), PAYLOAD_OK);
    frame.kind = CODEC_H264;
    assert_int_equal(payload_begin(&out, &frame, 100), PAYLOAD_BAD_FIELD); // no start code
    frame.bytes = bytes_of("\0\0\1\0\0\1\x65", 7);
    assert_int_equal(payload_begin(&out, &frame, 100), PAYLOAD_BAD_FIELD); // an empty unit
    frame.bytes = bytes_of("\0\0\1\x7c\x85\1", 6);
    assert_int_equal(payload_begin(&out, &frame, 100), PAYLOAD_BAD_FIELD); // not a unit's type
    frame.kind = CODEC_AV1;
    frame.bytes = bytes_of("\x32\5\1", 3);
    assert_int_equal(payload_begin(&out, &frame, 100), PAYLOAD_BAD_FIELD);
    frame.bytes = bytes_of("\x12\0", 2);
    assert_int_equal(payload_begin(&out, &frame, 100), PAYLOAD_BAD_FIELD); // a delimiter alone
    frame.bytes = (struct bytes){0};
    assert_int_equal(payload_begin(&out, &frame, 100), PAYLOAD_EMPTY);
    frame = (struct payload_frame){.kind = CODEC_RED_VIDEO, .bytes = bytes_text("x")};
    assert_int_equal(payload_begin(&out, &frame, 100), PAYLOAD_NO_FORMAT);
}

// Joining with a payload left out or doubled has a name, never a wrong frame, where it can be
// known.
static void test_payload_join_tells_gaps(void **state)
{
    (void)state;
    static const enum codec_kind kinds[] = {CODEC_VP9, CODEC_H264, CODEC_AV1, CODEC_VP8};
    for (unsigned k = 0; k < 4; k++) {
        memset(frame_bytes, 0x55, 1000);
        memcpy(frame_bytes, kinds[k] == CODEC_AV1 ? "\x32\xe4\x07\x10" : "\0\0\0\1", 4);
        frame_bytes[4] = 0x65;
        struct payload_frame frame = {kinds[k],
                                      bytes_of(frame_bytes, kinds[k] == CODEC_AV1 ? 999 : 1000),
                                      .tag = PAYLOAD_TAG_NONE};
        struct payload_join j;
        struct bytes got;
        assert_int_equal(cut(&frame, 300), PAYLOAD_OK);
        assert_int_equal(payloads, 4);
        assert_int_equal(join(kinds[k], &got), PAYLOAD_OK);
        payloads = 3;
        if (kinds[k] != CODEC_VP8) // there RTP's marker alone tells the end
            assert_int_equal(join(kinds[k], &got), PAYLOAD_CUT_OFF);
        payload_join_begin(&j, kinds[k], joined_bytes, sizeof joined_bytes);
        assert_int_equal(payload_join_add(&j, payload_at(1)), PAYLOAD_OUT_OF_PLACE);
        payload_join_begin(&j, kinds[k], joined_bytes, sizeof joined_bytes);
        assert_int_equal(payload_join_add(&j, payload_at(0)), PAYLOAD_OK);
        assert_int_equal(payload_join_add(&j, payload_at(0)), PAYLOAD_OUT_OF_PLACE);
        assert_int_equal(payload_join_end(&j, &got), PAYLOAD_OUT_OF_PLACE);
        assert_int_equal(got.len, 0);
        payload_join_begin(&j, kinds[k], joined_bytes, 100);
        assert_int_equal(payload_join_add(&j, payload_at(0)), PAYLOAD_NO_ROOM);
        payload_join_begin(&j, kinds[k], joined_bytes, 100);
        assert_int_equal(payload_join_end(&j, &got), PAYLOAD_EMPTY);
    }
}

// Any bytes, and good payloads with a byte changed or cut: each has an outcome, bounds are kept,
// and the media of what is read lies inside of the payload.
static void test_payload_any_bytes(void **state)
{
    (void)state;
    struct rng rng = rng_seed(3, "any");
    for (unsigned round = 0; round < 60000; round++) {
        enum codec_kind kind = (enum codec_kind)rng_below(&rng, CODEC_KINDS);
        size_t len = (size_t)rng_below(&rng, 40);
        uint8_t *exact = malloc(len ? len : 1);
        assert_non_null(exact);
        rng_fill(&rng, exact, len);
        struct payload_info info;
        struct payload_join j;
        struct bytes payload = bytes_of(exact, len), got;
        enum payload_outcome outcome = payload_read(kind, payload, &info);
        assert_true((unsigned)outcome < PAYLOAD_OUTCOMES);
        if (outcome == PAYLOAD_OK)
            assert_true(info.media.len > 0 && info.media.at + info.media.len == exact + len);
        payload_join_begin(&j, kind, joined_bytes, (size_t)rng_below(&rng, 200));
        for (unsigned i = 0; i < 3; i++)
            payload_join_add(&j, payload);
        outcome = payload_join_end(&j, &got);
        assert_true((outcome == PAYLOAD_OK) == (got.len > 0));
        struct payload_frame frame = {kind, payload, .keyframe = round & 1,
                                      .tag = PAYLOAD_TAG_NONE};
        (void)cut(&frame, 50);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_payload_vp8_round_trip),
        cmocka_unit_test(test_payload_vp9_round_trip),
        cmocka_unit_test(test_payload_h264_round_trip),
        cmocka_unit_test(test_payload_h264_single_nal_mode),
        cmocka_unit_test(test_payload_av1_round_trip),
        cmocka_unit_test(test_payload_sound_is_the_packet),
        cmocka_unit_test(test_payload_opus_tells_its_duration),
        cmocka_unit_test(test_payload_vp9_of_chrome),
        cmocka_unit_test(test_payload_h264_of_aiortc),
        cmocka_unit_test(test_payload_vp8_tells_its_size),
        cmocka_unit_test(test_payload_refuses_by_name),
        cmocka_unit_test(test_payload_begin_refuses),
        cmocka_unit_test(test_payload_join_tells_gaps),
        cmocka_unit_test(test_payload_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
