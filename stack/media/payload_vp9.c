// VP9 (draft-ietf-payload-vp9-16, which became RFC 9628): sections below are the draft's.
#include "stack/media/payload_priv.h"

enum { VP9_I = 0x80, VP9_P = 0x40, VP9_L = 0x20, VP9_F = 0x10 };
enum { VP9_B = 0x08, VP9_E = 0x04, VP9_V = 0x02, VP9_Z = 0x01 };

static bool has_layers(const struct payload_tag *tag)
{
    return tag->tid >= 0 || tag->sid >= 0;
}

static bool has_references(const struct payload_out *out)
{
    return out->frame.tag.flexible && !out->frame.keyframe;
}

// 4.2: the first byte without B and E, and what follows; 0: does not fit.
static size_t write_descriptor(const struct payload_out *out, uint8_t *to)
{
    const struct payload_tag *tag = &out->frame.tag;
    bool structure = out->first && tag->spatial_layers > 0;
    struct writer w = writer_of(to, out->max);
    write_u8(&w, (uint8_t)((tag->picture_id >= 0 ? VP9_I : 0) | (out->frame.keyframe ? 0 : VP9_P) |
                           (has_layers(tag) ? VP9_L : 0) | (tag->flexible ? VP9_F : 0) |
                           (structure ? VP9_V : 0) | (tag->discardable ? VP9_Z : 0)));
    if (tag->picture_id >= 0 && tag->picture_id_is_long)
        write_u16(&w, (uint16_t)(0x8000 | tag->picture_id));
    else if (tag->picture_id >= 0)
        write_u8(&w, (uint8_t)tag->picture_id);
    if (has_layers(tag)) {
        uint8_t tid = (uint8_t)(tag->tid < 0 ? 0 : tag->tid);
        uint8_t sid = (uint8_t)(tag->sid < 0 ? 0 : tag->sid);
        write_u8(&w, (uint8_t)(tid << 5 | tag->layer_sync << 4 | sid << 1 | tag->inter_layer));
        if (!tag->flexible)
            write_u8(&w, (uint8_t)tag->tl0picidx);
    }
    for (unsigned i = 0; has_references(out) && i < tag->references_count; i++)
        write_u8(&w, (uint8_t)(tag->references[i] << 1 | (i + 1 < tag->references_count)));
    if (structure) { // 4.2.1; no picture group
        write_u8(&w, (uint8_t)((tag->spatial_layers - 1) << 5 | tag->has_sizes << 4));
        for (unsigned i = 0; tag->has_sizes && i < tag->spatial_layers; i++) {
            write_u16(&w, tag->width[i]);
            write_u16(&w, tag->height[i]);
        }
    }
    return w.failed ? 0 : w.len;
}

enum payload_outcome vp9_begin(const struct payload_out *out)
{
    const struct payload_tag *tag = &out->frame.tag;
    if (tag->picture_id > (tag->picture_id_is_long ? 0x7fff : 0x7f) || tag->tl0picidx > 0xff ||
        tag->tid > 7 || tag->sid > 7 || tag->spatial_layers > PAYLOAD_SPATIAL_MAX)
        return PAYLOAD_BAD_FIELD;
    // 4.2: F needs I; without F layer indices come with TL0PICIDX; P clear means TID 0.
    if ((tag->flexible && tag->picture_id < 0) ||
        (!tag->flexible && has_layers(tag) && tag->tl0picidx < 0) ||
        (out->frame.keyframe && tag->tid > 0) || (tag->inter_layer && tag->sid <= 0))
        return PAYLOAD_BAD_FIELD;
    if (has_references(out) &&
        (tag->references_count < 1 || tag->references_count > PAYLOAD_REFERENCES_MAX))
        return PAYLOAD_BAD_FIELD;
    for (unsigned i = 0; has_references(out) && i < tag->references_count; i++)
        if (tag->references[i] < 1 || tag->references[i] > 127)
            return PAYLOAD_BAD_FIELD;
    uint8_t scratch[1 + 2 + 2 + PAYLOAD_REFERENCES_MAX + 1 + 4 * PAYLOAD_SPATIAL_MAX];
    struct payload_out first = *out;
    first.max = sizeof scratch;
    return write_descriptor(&first, scratch) < out->max ? PAYLOAD_OK : PAYLOAD_TOO_LARGE;
}

size_t vp9_next(struct payload_out *out, uint8_t *to)
{
    size_t len = payload_fill(out, to, write_descriptor(out, to));
    to[0] |= (uint8_t)((out->first ? VP9_B : 0) | (out->last ? VP9_E : 0));
    return len;
}

// VP9 6.2: frame_marker, two bits of profile (and one reserved in profile 3), show_existing_frame,
// frame_type.
bool vp9_is_keyframe(struct bytes frame)
{
    unsigned bits = frame.at[0];
    unsigned at = (bits >> 4 & 3) == 3 ? 2 : 3;
    return bits >> 6 == 2 && !(bits >> at & 1) && !(bits >> (at - 1) & 1);
}

static void read_references(struct reader *r, struct payload_tag *tag, bool *bad)
{
    bool more = true;
    while (more) {
        uint8_t byte = read_u8(r);
        // 4.2: up to three references; a P_DIFF of 0 is invalid.
        if (tag->references_count == PAYLOAD_REFERENCES_MAX || !(byte >> 1)) {
            *bad = true;
            return;
        }
        tag->references[tag->references_count++] = byte >> 1;
        more = byte & 1;
    }
}

// 4.2.1
static void read_structure(struct reader *r, struct payload_tag *tag)
{
    uint8_t bits = read_u8(r);
    tag->spatial_layers = (uint8_t)((bits >> 5) + 1);
    tag->has_sizes = bits >> 4 & 1;
    for (unsigned i = 0; tag->has_sizes && i < tag->spatial_layers; i++) {
        tag->width[i] = read_u16(r);
        tag->height[i] = read_u16(r);
    }
    unsigned pictures = bits & 0x08 ? read_u8(r) : 0;
    for (unsigned i = 0; i < pictures && !r->failed; i++)
        read_skip(r, read_u8(r) >> 2 & 3);
}

static void read_layers(struct reader *r, struct payload_tag *tag)
{
    uint8_t byte = read_u8(r);
    tag->tid = (int8_t)(byte >> 5);
    tag->layer_sync = byte >> 4 & 1;
    tag->sid = (int8_t)(byte >> 1 & 7);
    tag->inter_layer = byte & 1;
    if (!tag->flexible)
        tag->tl0picidx = read_u8(r);
}

enum payload_outcome vp9_read(struct bytes payload, struct payload_info *out)
{
    struct payload_tag *tag = &out->tag;
    struct reader r = reader_of(payload);
    uint8_t bits = read_u8(&r);
    bool bad = false;
    // 4.2: without I the F bit is ignored.
    tag->flexible = (bits & VP9_F) && (bits & VP9_I);
    tag->discardable = bits & VP9_Z;
    if (bits & VP9_I) {
        uint8_t high = read_u8(&r);
        tag->picture_id_is_long = high & 0x80;
        tag->picture_id = high & 0x7f;
        if (tag->picture_id_is_long)
            tag->picture_id = tag->picture_id << 8 | read_u8(&r);
    }
    if (bits & VP9_L)
        read_layers(&r, tag);
    if (tag->flexible && (bits & VP9_P) && !r.failed)
        read_references(&r, tag, &bad);
    if (bits & VP9_V)
        read_structure(&r, tag);
    if (r.failed)
        return PAYLOAD_TOO_SHORT;
    if (bad)
        return PAYLOAD_BAD_FIELD;
    if (!r.len)
        return PAYLOAD_EMPTY;
    out->frame_start = bits & VP9_B;
    out->frame_end = bits & VP9_E;
    // 4.2: of a key picture the base layer is the key frame.
    out->keyframe = out->frame_start && !(bits & VP9_P) && tag->sid <= 0;
    if (out->keyframe && tag->has_sizes) {
        out->width = tag->width[tag->spatial_layers - 1];
        out->height = tag->height[tag->spatial_layers - 1];
    }
    out->media = bytes_of(r.at, r.len);
    return PAYLOAD_OK;
}
