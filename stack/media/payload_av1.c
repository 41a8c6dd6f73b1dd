// AV1 (RTP Payload Format For AV1, version 1.0, of the Alliance for Open Media): sections are its.
//
// A payload is an aggregation header, then OBU elements: OBUs, or pieces of them. OBUs travel
// without their size; a temporal delimiter, padding and tile lists do not travel (5).
#include "stack/media/payload_priv.h"

enum { AV1_Z = 0x80, AV1_Y = 0x40, AV1_N = 0x08 };
enum { OBU_SEQUENCE = 1, OBU_DELIMITER = 2, OBU_FRAME_HEADER = 3, OBU_FRAME = 6 };
enum { OBU_TILE_LIST = 8, OBU_PADDING = 15 };
enum { OBU_HAS_EXTENSION = 0x04, OBU_HAS_SIZE = 0x02 };

#define LEB128_MAX 8 // AV1 4.10.5

struct obu {
    uint8_t header[2]; // as it travels: without size
    size_t header_len;
    struct bytes body;
    size_t next; // of the frame
};

static uint8_t obu_type(uint8_t header)
{
    return header >> 3 & 15;
}

static bool travels(uint8_t type)
{
    return type != OBU_DELIMITER && type != OBU_TILE_LIST && type != OBU_PADDING;
}

static size_t leb128_len(size_t value)
{
    size_t len = 1;
    while (value >>= 7)
        len++;
    return len;
}

static size_t write_leb128(uint8_t *to, size_t value)
{
    size_t len = 0;
    do {
        to[len++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value);
    return len;
}

// AV1 4.10.5: at most 8 bytes, and 32 bits of value; else the reader fails.
static size_t read_leb128(struct reader *r)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < LEB128_MAX; i++) {
        uint8_t byte = read_u8(r);
        value |= (uint64_t)(byte & 0x7f) << 7 * i;
        if (!(byte & 0x80)) {
            r->failed |= value > UINT32_MAX;
            return r->failed ? 0 : (size_t)value;
        }
    }
    r->failed = true;
    return 0;
}

// ------------------------------------------------------------------------------------------- out

// The OBU at `at` of the frame (AV1 5.3.1). False: it does not add up.
static bool obu_parse(struct bytes frame, size_t at, struct obu *obu)
{
    struct reader r = reader_of(bytes_from(frame, at));
    uint8_t header = read_u8(&r);
    *obu = (struct obu){.header = {header & (uint8_t)~OBU_HAS_SIZE}, .header_len = 1};
    if (header & OBU_HAS_EXTENSION)
        obu->header[obu->header_len++] = read_u8(&r);
    size_t len = header & OBU_HAS_SIZE ? read_leb128(&r) : r.len;
    obu->body = read_bytes(&r, len);
    obu->next = frame.len - r.len;
    return !r.failed && !(header & 0x80);
}

// The first OBU from `at` on that travels. False: there is none. `frame` was parsed before.
static bool next_obu(struct bytes frame, size_t at, struct obu *obu, size_t *found)
{
    for (; at < frame.len; at = obu->next) {
        if (!obu_parse(frame, at, obu))
            return false;
        *found = at;
        if (travels(obu_type(obu->header[0])))
            return true;
    }
    return false;
}

enum payload_outcome av1_begin(struct payload_out *out)
{
    struct obu obu = {.next = 0};
    for (size_t at = 0; at < out->frame.bytes.len; at = obu.next)
        if (!obu_parse(out->frame.bytes, at, &obu))
            return PAYLOAD_BAD_FIELD;
    return next_obu(out->frame.bytes, 0, &obu, &out->unit) ? PAYLOAD_OK : PAYLOAD_BAD_FIELD;
}

// AV1 7.5: a coded video sequence begins with a sequence header.
bool av1_is_keyframe(struct bytes frame)
{
    struct obu obu = {.next = 0};
    for (size_t at = 0; at < frame.len && obu_parse(frame, at, &obu); at = obu.next)
        if (obu_type(obu.header[0]) == OBU_SEQUENCE)
            return true;
    return false;
}

// `len` bytes of the OBU without size, from `from` on.
static void copy_obu(uint8_t *to, const struct obu *obu, size_t from, size_t len)
{
    for (; from < obu->header_len && len; len--)
        *to++ = obu->header[from++];
    if (len)
        memcpy(to, obu->body.at + (from - obu->header_len), len);
}

size_t av1_next(struct payload_out *out, uint8_t *to)
{
    struct obu obu = {.next = 0};
    uint8_t bits =
        (uint8_t)((out->at ? AV1_Z : 0) | (out->first && out->frame.keyframe ? AV1_N : 0));
    size_t used = 1, length_at = 0, length_len = 0;
    unsigned elements = 0;
    (void)obu_parse(out->frame.bytes, out->unit, &obu);
    while (!out->last && !(bits & AV1_Y) && out->max - used >= 2) {
        size_t left = obu.header_len + obu.body.len - out->at, room = out->max - used;
        size_t len = left < room ? left : room;
        if (len + leb128_len(len) > room)
            len = room - leb128_len(len);
        length_at = used;
        length_len = write_leb128(to + used, len);
        copy_obu(to + used + length_len, &obu, out->at, len);
        used += length_len + len;
        elements++;
        if (len < left) {
            out->at += len;
            bits |= AV1_Y; // 4.4: continues in the next packet
        } else {
            out->at = 0;
            out->last = !next_obu(out->frame.bytes, obu.next, &obu, &out->unit);
        }
    }
    if (elements <= 3) { // 4.4: W counts them, and the last has no length
        memmove(to + length_at, to + length_at + length_len, used - length_at - length_len);
        used -= length_len;
        bits |= (uint8_t)(elements << 4);
    }
    to[0] = bits;
    return used;
}

// -------------------------------------------------------------------------------------------- in

// The elements of a payload after its aggregation header.
struct elements {
    struct reader r;
    unsigned count, seen; // count 0: each has its length
};

static bool next_element(struct elements *e, struct bytes *element)
{
    if (e->r.failed || (e->count ? e->seen == e->count : !e->r.len))
        return false;
    e->seen++;
    // 4.4: with W the last one's length is what is left.
    size_t len = e->count && e->seen == e->count ? e->r.len : read_leb128(&e->r);
    *element = read_bytes(&e->r, len);
    return !e->r.failed;
}

static void look_at_obu(struct bytes element, bool first, struct payload_info *out)
{
    if (!first || !element.len)
        return;
    uint8_t type = obu_type(element.at[0]);
    out->frame_start = type == OBU_SEQUENCE || type == OBU_DELIMITER || type == OBU_FRAME_HEADER ||
                       type == OBU_FRAME;
    if (element.at[0] & OBU_HAS_EXTENSION && element.len > 1) {
        out->tag.tid = (int8_t)(element.at[1] >> 5);
        out->tag.sid = (int8_t)(element.at[1] >> 3 & 3);
    }
}

enum payload_outcome av1_read(struct bytes payload, struct payload_info *out)
{
    uint8_t bits = payload.at[0];
    struct elements e = {.r = reader_of(bytes_from(payload, 1)), .count = bits >> 4 & 3};
    struct bytes element;
    if (!e.r.len)
        return PAYLOAD_EMPTY;
    // 4.4: a first packet of a coded video sequence continues nothing.
    if (bits & AV1_Z && bits & AV1_N)
        return PAYLOAD_BAD_FIELD;
    while (next_element(&e, &element))
        look_at_obu(element, e.seen == 1 && !(bits & AV1_Z), out);
    if (e.r.failed)
        return PAYLOAD_TOO_SHORT;
    out->continues = bits & AV1_Z;
    out->keyframe = bits & AV1_N;
    out->frame_start |= out->keyframe;
    out->media = payload;
    return PAYLOAD_OK;
}

// The OBU that was joined from `open_at` on is whole: give it its size, or forget it.
static enum payload_outcome close_obu(struct payload_join *join)
{
    struct writer *w = &join->to;
    struct bytes whole = bytes_of(w->at + join->open_at, w->len - join->open_at);
    struct obu obu = {.next = 0};
    join->open = false;
    if (w->failed)
        return PAYLOAD_NO_ROOM;
    if (!whole.len)
        return PAYLOAD_OK;
    if (!obu_parse(whole, 0, &obu) || obu.next != whole.len)
        return PAYLOAD_BAD_FIELD;
    if (!travels(obu_type(whole.at[0]))) {
        w->len = join->open_at; // 5: to be ignored
        return PAYLOAD_OK;
    }
    if (whole.at[0] & OBU_HAS_SIZE)
        return PAYLOAD_OK;
    size_t len = leb128_len(obu.body.len);
    if (!write_room(w, len))
        return PAYLOAD_NO_ROOM;
    uint8_t *at = w->at + join->open_at;
    memmove(at + obu.header_len + len, at + obu.header_len, obu.body.len);
    write_leb128(at + obu.header_len, obu.body.len);
    at[0] |= OBU_HAS_SIZE;
    return PAYLOAD_OK;
}

enum payload_outcome av1_join_add(struct payload_join *join, struct bytes payload)
{
    struct payload_info info;
    enum payload_outcome outcome = payload_read(CODEC_AV1, payload, &info);
    if (outcome != PAYLOAD_OK)
        return outcome;
    uint8_t bits = payload.at[0];
    if (join->open != (bool)(bits & AV1_Z))
        return PAYLOAD_OUT_OF_PLACE;
    struct elements e = {.r = reader_of(bytes_from(payload, 1)), .count = bits >> 4 & 3};
    struct bytes element;
    while (outcome == PAYLOAD_OK && next_element(&e, &element)) {
        if (!join->open)
            join->open_at = join->to.len;
        join->open = true;
        write_bytes(&join->to, element);
        bool last = e.count ? e.seen == e.count : !e.r.len;
        if (!last || !(bits & AV1_Y))
            outcome = close_obu(join);
    }
    return join->to.failed ? PAYLOAD_NO_ROOM : outcome;
}
