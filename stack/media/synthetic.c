// Synthetic frames: the codec's own headers, as far as depacketizers look, then the mark, then a
// pattern. No byte of mark and pattern is zero, so none looks like a start code of H.264.
//
// The mark: 4 bytes that are always the same, the counter, flags, the checksum of all bytes of the
// frame but its own; numbers in 7 bits a byte, the highest bit set.
#include "stack/media/source_priv.h"

#include <assert.h>

#define NUMBER_LEN 5
#define MARK_LEN (sizeof magic + NUMBER_LEN + 1 + NUMBER_LEN)
#define MARK_WITHIN 96 // of the frame's start
#define HEADERS_MAX 64
#define NAL_MAX_LEAST 64
#define OPUS_MAX 1275
#define PRIME 0x9e3779b97f4a7c15u

static const uint8_t magic[4] = {0xd5, 0xa3, 0xf1, 0x96};
// A real stream's parameter sets; their picture size is not the frame's.
static const uint8_t h264_sets[] = {0,    0,    0,    1,    0x67, 0x42, 0xc0, 0x1e, 0x8c, 0x8d,
                                    0x40, 0xf8, 0x63, 0xd4, 0x44, 0x03, 0xc2, 0x21, 0x1a, 0x80,
                                    0,    0,    0,    1,    0x68, 0xce, 0x3c, 0x80};
static const uint8_t av1_sequence[] = {0x0a, 0x0b, 0x00, 0x00, 0x00, 0x42, 0xa7,
                                       0xbf, 0xe4, 0x60, 0x0d, 0x00, 0x40};

static void put_number(uint8_t *to, uint64_t value)
{
    for (unsigned i = 0; i < NUMBER_LEN; i++)
        to[i] = (uint8_t)(0x80 | (value >> 7 * i & 0x7f));
}

static uint64_t get_number(const uint8_t *at)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < NUMBER_LEN; i++)
        value |= (uint64_t)(at[i] & 0x7f) << 7 * i;
    return value;
}

static inline uint64_t mix(uint64_t lane, const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return ((lane ^ word) * PRIME) ^ (lane >> 32);
}

// Four lanes of 8 bytes, so that the multiplications overlap.
static uint64_t checksum(uint64_t sum, struct bytes bytes)
{
    uint64_t a = sum, b = sum + 1, c = sum + 2, d = sum + bytes.len, rest[4] = {0};
    for (; bytes.len >= sizeof rest; bytes = bytes_of(bytes.at + 32, bytes.len - 32)) {
        a = mix(a, bytes.at);
        b = mix(b, bytes.at + 8);
        c = mix(c, bytes.at + 16);
        d = mix(d, bytes.at + 24);
    }
    if (bytes.len)
        memcpy(rest, bytes.at, bytes.len);
    const uint64_t lanes[4] = {a, b, c, d};
    for (unsigned i = 0; i < 4; i++)
        sum = ((sum ^ lanes[i] ^ rest[i]) * PRIME) ^ (sum >> 29);
    return sum;
}

static uint64_t frame_checksum(struct bytes frame, size_t field_at)
{
    uint64_t sum = checksum(1, bytes_of(frame.at, field_at));
    return checksum(sum, bytes_from(frame, field_at + NUMBER_LEN)) >> 29;
}

static void fill(uint8_t *to, size_t len, uint64_t seed)
{
    const uint64_t ones = 0x0101010101010101u, step = 0xd1b54a32d192ed03u;
    uint64_t x = seed * PRIME;
    for (; len >= 32; len -= 32, to += 32) {
        for (unsigned i = 0; i < 4; i++) { // each by itself: put together they would wait
            uint64_t word = (x + i * step) | ones;
            memcpy(to + (size_t)8 * i, &word, 8);
        }
        x += 4 * step;
    }
    for (; len >= 8; len -= 8, to += 8) {
        uint64_t word = x | ones;
        memcpy(to, &word, 8);
        x += step;
    }
    uint64_t word = x | ones;
    memcpy(to, &word, len);
}

static size_t write_leb128(uint8_t *to, size_t value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)((value >> 7 * i & 0x7f) | (i + 1 < len ? 0x80 : 0));
    return len;
}

uint8_t synthetic_opus_toc(nanotime frame_time)
{
    // RFC 6716 3.1: CELT, full band, mono; the frame count code below.
    unsigned config = frame_time <= 2500 * TIME_US ? 28
                      : frame_time <= 5 * TIME_MS  ? 29
                      : frame_time <= 10 * TIME_MS ? 30
                                                   : 31;
    unsigned code = frame_time >= 60 * TIME_MS ? 3 : frame_time >= 40 * TIME_MS ? 1 : 0;
    return (uint8_t)(config << 3 | code);
}

// Headers of the codec, for a frame that is `len` long in all.
static size_t write_headers(const struct synthetic *frame, uint8_t *to, size_t len)
{
    struct writer w = writer_of(to, HEADERS_MAX);
    bool key = frame->keyframe;
    unsigned width = frame->width ? frame->width : 1, height = frame->height ? frame->height : 1;
    if (frame->kind == CODEC_OPUS) {
        write_u8(&w, synthetic_opus_toc(frame->frame_time));
        if ((to[0] & 3) == 3)
            write_u8(&w, 3); // RFC 6716 3.2.5: constant bitrate, three frames
    } else if (frame->kind == CODEC_VP8) {
        // RFC 6386 9.1: not a key frame, version 0, shown, the size of the first partition.
        size_t tag = (key ? 0u : 1u) | 0x10u | (len - (key ? 10 : 3)) << 5;
        for (unsigned i = 0; i < 3; i++)
            write_u8(&w, (uint8_t)(tag >> 8 * i));
        if (key)
            write_bytes(&w, bytes_of((uint8_t[]){0x9d, 0x01, 0x2a, (uint8_t)width,
                                                 (uint8_t)(width >> 8 & 0x3f), (uint8_t)height,
                                                 (uint8_t)(height >> 8 & 0x3f)},
                                     7));
    } else if (frame->kind == CODEC_VP9) {
        // VP9 6.2: marker, profile 0, frame type, shown; of key frames sync code, colours, size.
        write_u8(&w, key ? 0x82 : 0x86);
        if (!key) {
            write_u8(&w, 0);
        } else {
            uint64_t size = (uint64_t)(width - 1) << 20 | (uint64_t)(height - 1) << 4;
            write_bytes(&w, bytes_of((uint8_t[]){0x49, 0x83, 0x42, (uint8_t)(size >> 32)}, 4));
            write_u32(&w, (uint32_t)size);
        }
    } else if (frame->kind == CODEC_H264) {
        if (key)
            write_bytes(&w, bytes_of(h264_sets, sizeof h264_sets));
        write_bytes(&w, bytes_of((uint8_t[]){0, 0, 0, 1, key ? 0x65 : 0x41}, 5));
        // H.264 7.3.3: a slice that begins with macroblock 0, I or P, of set 0, its frame_num of
        // the 15 bits that the set has. No two zeros in a row.
        uint32_t number = frame->since_key & 0x7fff;
        if (key)
            write_bytes(&w, bytes_of((uint8_t[]){0x88, 0x80, 0}, 3));
        else
            write_bytes(&w,
                        bytes_of((uint8_t[]){(uint8_t)(0x9a | number >> 14), (uint8_t)(number >> 6),
                                             (uint8_t)(number << 2 | 3)},
                                 3));
    } else if (frame->kind == CODEC_AV1) {
        if (key)
            write_bytes(&w, bytes_of(av1_sequence, sizeof av1_sequence));
        write_u8(&w, 0x32); // OBU_FRAME with a size
        size_t left = len - w.len, size_len = 1;
        while (left - size_len >= (size_t)1 << 7 * size_len)
            size_len++;
        write_leb128(write_room(&w, size_len), left - size_len, size_len);
        write_u8(&w, key ? 0x10 : 0x30); // AV1 5.9.2: frame_type, show_frame
    }
    assert(!w.failed);
    return w.len;
}

// H.264: a frame that is one slice from `slice` on becomes one of slices of at most `nal_max`
// bytes. From the last slice to the second, so that each byte moves once.
static size_t cut_into_slices(uint8_t *to, size_t len, size_t slice, size_t nal_max)
{
    size_t first = slice + nal_max, share = nal_max - 2;
    if (len <= first)
        return len;
    size_t cuts = (len - first + share - 1) / share;
    for (size_t i = cuts; i > 0; i--) {
        size_t from = first + (i - 1) * share;
        size_t part = len - from < share ? len - from : share;
        memmove(to + from + 6 * i, to + from, part);
        // first_mb_in_slice is 1: no beginning of a picture.
        memcpy(to + from + 6 * i - 6, (uint8_t[]){0, 0, 0, 1, to[slice], 0x48}, 6);
    }
    return len + 6 * cuts;
}

static size_t nal_max_of(const struct synthetic *frame)
{
    return frame->nal_max < NAL_MAX_LEAST ? NAL_MAX_LEAST : frame->nal_max;
}

size_t synthetic_room(const struct synthetic *frame)
{
    size_t len = frame->len + HEADERS_MAX + MARK_LEN + 8;
    return frame->kind == CODEC_H264 && frame->nal_max
               ? len + 6 * (len / (nal_max_of(frame) - 6) + 1)
               : len;
}

// RFC 6716 3.2.3, 3.2.5: two or three equal frames share what follows the header.
static size_t opus_len(size_t len, uint8_t toc)
{
    len = len > OPUS_MAX ? OPUS_MAX : len;
    if ((toc & 3) == 1)
        return len | 1;
    return (toc & 3) == 3 ? 2 + (len - 2 + 2) / 3 * 3 : len;
}

// A size that would be written in more bytes than it needs is avoided: it would not survive a
// packet.
static size_t av1_len(size_t len, bool keyframe)
{
    size_t left = len - 1 - (keyframe ? sizeof av1_sequence : 0);
    return left == 129 || left == 16386 ? len + 1 : len;
}

size_t synthetic_write(const struct synthetic *frame, uint8_t *to)
{
    size_t least = write_headers(frame, to, SOURCE_FRAME_MAX) + MARK_LEN;
    size_t len = frame->len < least ? least : frame->len;
    if (frame->kind == CODEC_OPUS)
        len = opus_len(len, to[0]);
    if (frame->kind == CODEC_AV1)
        len = av1_len(len, frame->keyframe);
    size_t at = write_headers(frame, to, len);
    size_t mark = at;
    memcpy(to + at, magic, sizeof magic);
    put_number(to + at + 4, frame->counter);
    to[at + 9] = (uint8_t)(0x80 | frame->keyframe | frame->layer << 1);
    at += MARK_LEN;
    assert(at <= len);
    fill(to + at, len - at, frame->counter + 1);
    if (frame->kind == CODEC_H264 && frame->nal_max)
        len =
            cut_into_slices(to, len, frame->keyframe ? sizeof h264_sets + 4 : 4, nal_max_of(frame));
    size_t field = mark + MARK_LEN - NUMBER_LEN;
    put_number(to + field, frame_checksum(bytes_of(to, len), field));
    return len;
}

enum source_check source_check(enum codec_kind kind, struct bytes frame, struct source_mark *out)
{
    (void)kind;
    for (size_t at = 0; at + MARK_LEN <= frame.len && at < MARK_WITHIN; at++) {
        if (memcmp(frame.at + at, magic, sizeof magic) != 0)
            continue;
        size_t field = at + MARK_LEN - NUMBER_LEN;
        // 35 bits of it travel.
        if (get_number(frame.at + field) != frame_checksum(frame, field))
            return SOURCE_DAMAGED;
        *out = (struct source_mark){
            .counter = (uint32_t)get_number(frame.at + at + 4),
            .keyframe = frame.at[at + 9] & 1,
            .layer = frame.at[at + 9] >> 1 & 0x3f,
        };
        return SOURCE_INTACT;
    }
    return SOURCE_NOT_SYNTHETIC;
}
