// H.264 (RFC 6184): single NAL units, STAP-A, FU-A; modes 0 and 1.
//
// A frame is an access unit in the byte stream format (H.264 Annex B): NAL units, each after a
// start code of 3 or 4 bytes.
#include "stack/media/payload_priv.h"

enum { NAL_SLICE = 1, NAL_IDR = 5, NAL_SEI = 6, NAL_SPS = 7, NAL_PPS = 8, NAL_AUD = 9 };
enum { NAL_UNITS_LAST = 23, NAL_STAP_A = 24, NAL_STAP_B = 25, NAL_FU_A = 28, NAL_FU_B = 29 };
enum { FU_START = 0x80, FU_END = 0x40 };

static const uint8_t start_code[4] = {0, 0, 0, 1};

// ------------------------------------------------------------------------------------------- out

// Where the next start code's 00 00 01 begins, from `at` on; the end when there is none.
static size_t find_start_code(struct bytes frame, size_t at)
{
    // Look for its 01, of which there are far fewer than zeros.
    for (size_t i = at + 2; i < frame.len; i++) {
        const uint8_t *one = memchr(frame.at + i, 1, frame.len - i);
        if (!one)
            break;
        i = (size_t)(one - frame.at);
        if (frame.at[i - 1] == 0 && frame.at[i - 2] == 0)
            return i - 2;
    }
    return frame.len;
}

// The NAL unit after the first start code from `at` on. False: there is none.
static bool next_unit(struct bytes frame, size_t at, size_t *from, size_t *to)
{
    size_t code = find_start_code(frame, at);
    if (code == frame.len)
        return false;
    *from = code + 3;
    *to = find_start_code(frame, *from);
    while (*to > *from && frame.at[*to - 1] == 0) // trailing zeros, or of a 4-byte start code
        (*to)--;
    return true;
}

enum payload_outcome h264_begin(struct payload_out *out)
{
    struct bytes frame = out->frame.bytes;
    size_t from = 0, to = 0;
    unsigned units = 0;
    while (next_unit(frame, to, &from, &to)) {
        if (from == to)
            return PAYLOAD_BAD_FIELD;
        uint8_t type = frame.at[from] & 0x1f;
        if (type == 0 || type > NAL_UNITS_LAST || frame.at[from] & 0x80)
            return PAYLOAD_BAD_FIELD;
        // RFC 6184 6.2: in mode 0 a NAL unit is a packet; it cannot be cut.
        if (out->frame.single_nal && to - from > out->max)
            return PAYLOAD_TOO_LARGE;
        if (!units++) {
            out->unit = out->at = from;
            out->unit_to = to;
        }
    }
    return units ? PAYLOAD_OK : PAYLOAD_BAD_FIELD;
}

bool h264_is_keyframe(struct bytes frame)
{
    size_t code = 0;
    while ((code = find_start_code(frame, code)) + 3 < frame.len) {
        code += 3;
        if ((frame.at[code] & 0x1f) == NAL_IDR)
            return true;
    }
    return false;
}

// Go on to the next unit; without one, the payload was the last.
static void unit_done(struct payload_out *out)
{
    out->last = !next_unit(out->frame.bytes, out->unit_to, &out->unit, &out->unit_to);
    out->at = out->unit;
}

// RFC 6184 5.8: FU-A. The unit's own first byte is told by indicator and header.
static size_t write_fragment(struct payload_out *out, uint8_t *to)
{
    uint8_t first = out->frame.bytes.at[out->unit];
    bool start = out->at == out->unit;
    if (start)
        out->at++;
    size_t left = out->unit_to - out->at, room = out->max - 2;
    size_t pieces = (left + room - 1) / room;
    size_t len = (left + pieces - 1) / pieces;
    to[0] = (uint8_t)((first & 0x60) | NAL_FU_A);
    to[1] = (uint8_t)((start ? FU_START : 0) | (len == left ? FU_END : 0) | (first & 0x1f));
    memcpy(to + 2, out->frame.bytes.at + out->at, len);
    out->at += len;
    if (len == left)
        unit_done(out);
    return 2 + len;
}

// RFC 6184 5.7.1: a single unit as it is, or with those after it that fit in a STAP-A.
static size_t write_units(struct payload_out *out, uint8_t *to)
{
    const uint8_t *frame = out->frame.bytes.at;
    size_t len = out->unit_to - out->unit, used = 1 + 2 + len;
    memcpy(to, frame + out->unit, len);
    uint8_t importance = frame[out->unit] & 0x60;
    unit_done(out);
    if (out->frame.single_nal || out->last || used + 2 + out->unit_to - out->unit > out->max)
        return len;
    memmove(to + 3, to, len);
    put_u16(to + 1, (uint16_t)len);
    while (!out->last && used + 2 + (len = out->unit_to - out->unit) <= out->max) {
        put_u16(to + used, (uint16_t)len);
        memcpy(to + used + 2, frame + out->unit, len);
        used += 2 + len;
        // RFC 6184 5.7: the NRI of an aggregate is the highest of its units.
        if ((frame[out->unit] & 0x60) > importance)
            importance = frame[out->unit] & 0x60;
        unit_done(out);
    }
    to[0] = (uint8_t)(importance | NAL_STAP_A);
    return used;
}

size_t h264_next(struct payload_out *out, uint8_t *to)
{
    if (out->at > out->unit || out->unit_to - out->unit > out->max)
        return write_fragment(out, to);
    return write_units(out, to);
}

// -------------------------------------------------------------------------------------------- in

// H.264 7.3, 9.1: bits, and Exp-Golomb numbers, of the first 64 bits of a unit.
struct bits {
    uint64_t left;
    unsigned count;
    bool failed;
};

// H.264 7.3.1: emulation prevention bytes are no part of it.
static struct bits bits_of(struct bytes rest)
{
    struct bits bits = {0};
    unsigned zeros = 0;
    for (size_t i = 0; i < rest.len && bits.count < 64; i++) {
        if (zeros >= 2 && rest.at[i] == 3) {
            zeros = 0;
            continue;
        }
        zeros = rest.at[i] ? 0 : zeros + 1;
        bits.left |= (uint64_t)rest.at[i] << (56 - bits.count);
        bits.count += 8;
    }
    return bits;
}

static uint32_t take_bits(struct bits *bits, unsigned count)
{
    if (count > bits->count || count > 31) {
        bits->failed = true;
        return 0;
    }
    uint32_t value = count ? (uint32_t)(bits->left >> (64 - count)) : 0;
    bits->left <<= count;
    bits->count -= count;
    return value;
}

static uint32_t take_number(struct bits *bits)
{
    unsigned zeros = 0;
    while (!bits->failed && take_bits(bits, 1) == 0)
        zeros++;
    return ((uint32_t)1 << (zeros < 31 ? zeros : 0)) - 1 + take_bits(bits, zeros);
}

// H.264 7.3.2.1.1. 0: not within the first bits, or with what WebRTC's profiles have not.
static uint8_t frame_num_bits(struct bytes set)
{
    struct bits bits = bits_of(set);
    uint32_t profile = take_bits(&bits, 8);
    (void)take_bits(&bits, 16);
    (void)take_number(&bits); // seq_parameter_set_id
    if (profile == 100 || profile == 110 || profile == 122 || profile == 244) {
        if (take_number(&bits) > 2) // chroma_format_idc: with colour planes of their own
            return 0;
        (void)take_number(&bits);
        (void)take_number(&bits);
        if (take_bits(&bits, 2) & 1) // a scaling matrix
            return 0;
    }
    uint32_t log2 = take_number(&bits) + 4;
    return bits.failed || log2 > 16 ? 0 : (uint8_t)log2;
}

int32_t payload_frame_num(uint64_t slice, unsigned count)
{
    struct bits bits = {.left = slice, .count = 64};
    for (unsigned i = 0; i < 3; i++)
        (void)take_number(&bits); // first_mb_in_slice, slice_type, pic_parameter_set_id
    uint32_t number = take_bits(&bits, count);
    return bits.failed ? -1 : (int32_t)number;
}

// What a unit, or its first fragment, tells of its frame. `head`: its first byte.
static void look_at_unit(uint8_t head, struct bytes rest, bool first, struct payload_info *out)
{
    uint8_t type = head & 0x1f;
    if (type == NAL_SPS) {
        out->has_sets = true;
        out->frame_num_bits = frame_num_bits(rest);
    }
    if ((type == NAL_SLICE || type == NAL_IDR) && rest.len >= 8 && rest.at[0] & 0x80) {
        out->picture_begins = true;
        out->is_reference = head & 0x60;
        out->slice = bits_of(rest).left;
    }
    if (type == NAL_IDR || type == NAL_SPS)
        out->keyframe = true;
    if (!first)
        return;
    bool slice = type == NAL_SLICE || type == NAL_IDR;
    // H.264 7.3.3: a slice begins with first_mb_in_slice, Exp-Golomb: 0 is the bit 1.
    out->frame_start =
        (type >= NAL_SEI && type <= NAL_AUD) || (slice && rest.len && (rest.at[0] & 0x80));
}

static enum payload_outcome read_aggregate(struct bytes payload, struct payload_info *out)
{
    struct reader r = reader_of(bytes_from(payload, 1));
    if (!r.len)
        return PAYLOAD_EMPTY;
    for (bool first = true; r.len; first = false) {
        struct bytes unit = read_bytes(&r, read_u16(&r));
        if (r.failed)
            return PAYLOAD_TOO_SHORT;
        if (!unit.len || (unit.at[0] & 0x1f) == 0 || (unit.at[0] & 0x1f) > NAL_UNITS_LAST)
            return PAYLOAD_BAD_FIELD;
        look_at_unit(unit.at[0], bytes_from(unit, 1), first, out);
    }
    return PAYLOAD_OK;
}

static enum payload_outcome read_fragment(struct bytes payload, struct payload_info *out)
{
    if (payload.len < 3)
        return payload.len < 2 ? PAYLOAD_TOO_SHORT : PAYLOAD_EMPTY;
    uint8_t header = payload.at[1], type = header & 0x1f;
    // RFC 6184 5.8: never both bits; what is cut is a unit, no aggregate and no fragment.
    if ((header & FU_START && header & FU_END) || type == 0 || type > NAL_UNITS_LAST)
        return PAYLOAD_BAD_FIELD;
    out->continues = !(header & FU_START);
    if (!out->continues)
        look_at_unit((payload.at[0] & 0xe0) | type, bytes_from(payload, 2), true, out);
    return PAYLOAD_OK;
}

enum payload_outcome h264_read(struct bytes payload, struct payload_info *out)
{
    uint8_t type = payload.at[0] & 0x1f;
    enum payload_outcome outcome = PAYLOAD_OK;
    if (type == 0 || type > NAL_FU_B) // RFC 6184 5.2, table 1: undefined
        return PAYLOAD_BAD_FIELD;
    if (type <= NAL_UNITS_LAST)
        look_at_unit(payload.at[0], bytes_from(payload, 1), true, out);
    else if (type == NAL_STAP_A)
        outcome = read_aggregate(payload, out);
    else if (type == NAL_FU_A)
        outcome = read_fragment(payload, out);
    else
        outcome = PAYLOAD_NOT_SUPPORTED;
    if (outcome == PAYLOAD_OK)
        out->media = payload;
    return outcome;
}

static void join_unit(struct payload_join *join, struct bytes unit)
{
    write_bytes(&join->to, bytes_of(start_code, sizeof start_code));
    write_bytes(&join->to, unit);
}

static enum payload_outcome join_fragment(struct payload_join *join, struct bytes payload)
{
    uint8_t indicator = payload.at[0], header = payload.at[1];
    bool start = header & FU_START;
    if (join->open == start)
        return PAYLOAD_OUT_OF_PLACE;
    uint8_t first = (uint8_t)((indicator & 0xe0) | (header & 0x1f));
    if (start) {
        join->open_at = join->to.len + sizeof start_code;
        join_unit(join, bytes_of(&first, 1));
    } else if ((join->to.at[join->open_at] & 0x1f) != (first & 0x1f)) {
        return PAYLOAD_OUT_OF_PLACE; // of another unit
    }
    write_bytes(&join->to, bytes_from(payload, 2));
    join->open = !(header & FU_END);
    return PAYLOAD_OK;
}

enum payload_outcome h264_join_add(struct payload_join *join, struct bytes payload)
{
    struct payload_info info;
    enum payload_outcome outcome = payload_read(CODEC_H264, payload, &info);
    if (outcome != PAYLOAD_OK)
        return outcome;
    uint8_t type = payload.at[0] & 0x1f;
    if (type == NAL_FU_A) {
        outcome = join_fragment(join, payload);
    } else if (join->open) {
        outcome = PAYLOAD_OUT_OF_PLACE;
    } else if (type == NAL_STAP_A) {
        struct reader r = reader_of(bytes_from(payload, 1));
        while (r.len)
            join_unit(join, read_bytes(&r, read_u16(&r)));
    } else {
        join_unit(join, payload);
    }
    return join->to.failed ? PAYLOAD_NO_ROOM : outcome;
}
