// VP8 (RFC 7741).
#include "stack/media/payload_priv.h"

enum payload_outcome vp8_begin(const struct payload_out *out)
{
    const struct payload_tag *tag = &out->frame.tag;
    if (tag->picture_id > (tag->picture_id_is_long ? 0x7fff : 0x7f) || tag->tl0picidx > 0xff ||
        tag->tid > 3 || tag->keyidx > 31)
        return PAYLOAD_BAD_FIELD;
    // RFC 7741 4.2: with L the T bit must be set.
    return tag->tl0picidx >= 0 && tag->tid < 0 ? PAYLOAD_BAD_FIELD : PAYLOAD_OK;
}

// RFC 7741 4.2. The frame is one partition as far as packets go: S with the first alone, PID 0.
static size_t write_descriptor(const struct payload_out *out, uint8_t *to)
{
    const struct payload_tag *tag = &out->frame.tag;
    struct writer w = writer_of(to, out->max);
    bool last_byte = tag->tid >= 0 || tag->keyidx >= 0;
    bool extended = tag->picture_id >= 0 || tag->tl0picidx >= 0 || last_byte;
    write_u8(&w, (uint8_t)(extended << 7 | tag->discardable << 5 | out->first << 4));
    if (extended)
        write_u8(&w, (uint8_t)((tag->picture_id >= 0) << 7 | (tag->tl0picidx >= 0) << 6 |
                               (tag->tid >= 0) << 5 | (tag->keyidx >= 0) << 4));
    if (tag->picture_id >= 0 && tag->picture_id_is_long)
        write_u16(&w, (uint16_t)(0x8000 | tag->picture_id));
    else if (tag->picture_id >= 0)
        write_u8(&w, (uint8_t)tag->picture_id);
    if (tag->tl0picidx >= 0)
        write_u8(&w, (uint8_t)tag->tl0picidx);
    if (last_byte)
        write_u8(&w, (uint8_t)((tag->tid >= 0 ? tag->tid << 6 | tag->layer_sync << 5 : 0) |
                               (tag->keyidx >= 0 ? tag->keyidx : 0)));
    return w.len;
}

size_t vp8_next(struct payload_out *out, uint8_t *to)
{
    return payload_fill(out, to, write_descriptor(out, to));
}

// RFC 6386 9.1: the lowest bit of the frame is 0 in key frames.
bool vp8_is_keyframe(struct bytes frame)
{
    return !(frame.at[0] & 1);
}

static void read_extension(struct reader *r, struct payload_tag *tag)
{
    uint8_t bits = read_u8(r);
    if (bits & 0x80) { // I
        uint8_t high = read_u8(r);
        tag->picture_id_is_long = high & 0x80;
        tag->picture_id = high & 0x7f;
        if (tag->picture_id_is_long)
            tag->picture_id = tag->picture_id << 8 | read_u8(r);
    }
    if (bits & 0x40) // L
        tag->tl0picidx = read_u8(r);
    if (bits & 0x30) { // T or K
        uint8_t byte = read_u8(r);
        if (bits & 0x20) {
            tag->tid = (int8_t)(byte >> 6);
            tag->layer_sync = byte >> 5 & 1;
        }
        if (bits & 0x10)
            tag->keyidx = (int8_t)(byte & 0x1f);
    }
}

enum payload_outcome vp8_read(struct bytes payload, struct payload_info *out)
{
    struct reader r = reader_of(payload);
    uint8_t first = read_u8(&r);
    out->tag.discardable = first >> 5 & 1;
    // RFC 7741 4.2: S with PID 0 begins a frame.
    out->frame_start = (first & 0x10) && (first & 0x07) == 0;
    if (first & 0x80)
        read_extension(&r, &out->tag);
    if (r.failed)
        return PAYLOAD_TOO_SHORT;
    if (!r.len)
        return PAYLOAD_EMPTY;
    out->media = bytes_of(r.at, r.len);
    // RFC 6386 9.1: key frames tell their size.
    const uint8_t *at = r.at;
    out->keyframe = out->frame_start && vp8_is_keyframe(out->media);
    if (out->keyframe && r.len >= 10 && at[3] == 0x9d && at[4] == 0x01 && at[5] == 0x2a) {
        out->width = (uint16_t)((at[7] & 0x3f) << 8 | at[6]);
        out->height = (uint16_t)((at[9] & 0x3f) << 8 | at[8]);
    }
    return PAYLOAD_OK;
}
