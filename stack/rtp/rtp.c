#include "stack/rtp/rtp.h"

#include <assert.h>

#define VERSION 2
#define ONE_BYTE 0xbede
#define TWO_BYTE 0x1000      // and four bits of the application (RFC 8285 4.3)
#define TWO_BYTE_MASK 0xfff0 // those bits are ignored
#define STOP_ID 15           // of one-byte elements (RFC 8285 4.2)

const char *rtp_outcome_name(enum rtp_outcome outcome)
{
    static const char *const names[RTP_OUTCOMES] = {
        [RTP_OK] = "ok",
        [RTP_TOO_SHORT] = "too-short",
        [RTP_BAD_VERSION] = "bad-version",
        [RTP_BAD_PADDING] = "bad-padding",
        [RTP_BAD_EXTENSION] = "bad-extension",
    };
    assert(outcome < RTP_OUTCOMES);
    return names[outcome];
}

const char *rtp_extension_uri(enum rtp_extension extension)
{
    static const char *const uris[RTP_EXTENSIONS] = {
        [RTP_MID] = "urn:ietf:params:rtp-hdrext:sdes:mid",
        [RTP_RID] = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        [RTP_REPAIRED_RID] = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
        [RTP_AUDIO_LEVEL] = "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
        [RTP_ABS_SEND_TIME] = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        [RTP_TRANSPORT_CC] =
            "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    };
    assert(extension < RTP_EXTENSIONS);
    return uris[extension];
}

bool rtp_extension_by_uri(struct bytes uri, enum rtp_extension *out)
{
    for (enum rtp_extension i = 0; i < RTP_EXTENSIONS; i++) {
        if (bytes_is(uri, rtp_extension_uri(i))) {
            *out = i;
            return true;
        }
    }
    return false;
}

static inline uint16_t get_u16(const uint8_t *at)
{
    return (uint16_t)((unsigned)at[0] << 8 | at[1]);
}

static inline uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

// ---------------------------------------------------------------------------------------- reading

// Both walks stop where the elements end: at the end, or at one that ends them (RFC
// 8285 4.1.2, 4.2).

static bool one_byte_fits(const uint8_t *at, size_t len, uint16_t elements[RTP_ONE_BYTE_IDS])
{
    size_t i = 0;
    memset(elements, 0, RTP_ONE_BYTE_IDS * sizeof *elements);
    while (i < len) {
        unsigned head = at[i];
        if (head == 0) { // RFC 8285 4.1.2: padding, anywhere between elements
            i++;
            continue;
        }
        // RFC 8285 4.1.2, 4.2: 15, or 0 with a length, end the extension; lengths there mean
        // nothing.
        if (head >> 4 == STOP_ID || head >> 4 == 0)
            return true;
        elements[head >> 4] = (uint16_t)(i + 1); // of an id that is there twice the last counts
        i += 2 + (head & 15);
    }
    return i == len;
}

static bool two_byte_fits(const uint8_t *at, size_t len)
{
    size_t i = 0;
    while (i < len) {
        if (at[i] == 0) {
            i++;
            continue;
        }
        if (i + 1 == len)
            return false;
        i += 2u + at[i + 1];
    }
    return i == len;
}

static bool elements_fit(uint16_t profile, const uint8_t *at, size_t len,
                         uint16_t elements[RTP_ONE_BYTE_IDS])
{
    if (profile == ONE_BYTE)
        return one_byte_fits(at, len, elements);
    if ((profile & TWO_BYTE_MASK) == TWO_BYTE)
        return two_byte_fits(at, len);
    return true; // of some other profile: opaque
}

enum rtp_outcome rtp_parse(struct bytes datagram, struct rtp_packet *out)
{
    const uint8_t *at = datagram.at;
    if (datagram.len < RTP_HEADER_LEN)
        return RTP_TOO_SHORT;
    unsigned head = at[0];
    if (head >> 6 != VERSION)
        return RTP_BAD_VERSION;
    unsigned csrc_count = head & 15;
    size_t used = RTP_HEADER_LEN + 4u * csrc_count;
    if (used > datagram.len)
        return RTP_TOO_SHORT;

    uint16_t profile = 0;
    struct bytes extension = {at + used, 0};
    bool has_extension = head & 0x10;
    if (has_extension) {
        if (used + 4 > datagram.len)
            return RTP_TOO_SHORT;
        profile = get_u16(at + used);
        extension = bytes_of(at + used + 4, 4u * get_u16(at + used + 2));
        used += 4;
        if (extension.len > datagram.len - used)
            return RTP_TOO_SHORT;
        if (!elements_fit(profile, extension.at, extension.len, out->elements))
            return RTP_BAD_EXTENSION;
        used += extension.len;
    }

    size_t payload_len = datagram.len - used;
    uint8_t padding = 0;
    if (head & 0x20) { // RFC 3550 5.1: the last byte counts the padding, itself included
        padding = payload_len ? at[datagram.len - 1] : 0;
        if (padding == 0 || padding > payload_len)
            return RTP_BAD_PADDING;
    }

    out->marker = at[1] & 0x80;
    out->payload_type = at[1] & 0x7f;
    out->sequence = get_u16(at + 2);
    out->timestamp = get_u32(at + 4);
    out->ssrc = get_u32(at + 8);
    out->csrc_count = (uint8_t)csrc_count;
    for (unsigned i = 0; i < csrc_count; i++)
        out->csrc[i] = get_u32(at + RTP_HEADER_LEN + (size_t)4 * i);
    out->has_extension = has_extension;
    out->extension_profile = profile;
    out->extension = extension;
    out->payload = bytes_of(at + used, payload_len - padding);
    out->padding = padding;
    return RTP_OK;
}

// The extension's bit of `has` if the value is one. A value whose length is not its extension's is
// as good as absent.
static inline __attribute__((always_inline)) unsigned
take(struct rtp_extension_values *out, enum rtp_extension extension, const uint8_t *at, size_t len)
{
    unsigned bit = 1u << extension;
    switch (extension) {
    case RTP_MID:
        out->mid = bytes_of(at, len);
        return len ? bit : 0;
    case RTP_RID:
        out->rid = bytes_of(at, len);
        return len ? bit : 0;
    case RTP_REPAIRED_RID:
        out->repaired_rid = bytes_of(at, len);
        return len ? bit : 0;
    case RTP_AUDIO_LEVEL: // RFC 6464 3: V and seven bits
        if (len != 1)
            return 0;
        out->voice = at[0] & 0x80;
        out->audio_level = at[0] & 0x7f;
        return bit;
    case RTP_ABS_SEND_TIME:
        if (len != 3)
            return 0;
        out->abs_send_time = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
        return bit;
    case RTP_TRANSPORT_CC:
        if (len != 2)
            return 0;
        out->transport_sequence = get_u16(at);
        return bit;
    case RTP_EXTENSIONS:
        break;
    }
    return 0;
}

// The value of a one-byte element; NULL: there is none.
static inline struct bytes noted(const struct rtp_packet *packet, unsigned id)
{
    unsigned where = id < RTP_ONE_BYTE_IDS ? packet->elements[id] : 0;
    const uint8_t *at = packet->extension.at + where;
    return where ? bytes_of(at, (at[-1] & 15u) + 1) : bytes_of(NULL, 0);
}

static inline __attribute__((always_inline)) unsigned take_noted(struct rtp_extension_values *out,
                                                                 enum rtp_extension extension,
                                                                 const struct rtp_packet *packet,
                                                                 unsigned id)
{
    struct bytes value = noted(packet, id);
    return value.at ? take(out, extension, value.at, value.len) : 0;
}

static void read_one_byte(const struct rtp_packet *packet, const struct rtp_extension_map *map,
                          struct rtp_extension_values *out)
{
    // One by one, each with its own few instructions: this runs for every packet.
    unsigned has = take_noted(out, RTP_MID, packet, map->id[RTP_MID]);
    has |= take_noted(out, RTP_RID, packet, map->id[RTP_RID]);
    has |= take_noted(out, RTP_REPAIRED_RID, packet, map->id[RTP_REPAIRED_RID]);
    has |= take_noted(out, RTP_AUDIO_LEVEL, packet, map->id[RTP_AUDIO_LEVEL]);
    has |= take_noted(out, RTP_ABS_SEND_TIME, packet, map->id[RTP_ABS_SEND_TIME]);
    has |= take_noted(out, RTP_TRANSPORT_CC, packet, map->id[RTP_TRANSPORT_CC]);
    out->has = has;
}

static void read_two_byte(struct bytes extension, const struct rtp_extension_map *map,
                          struct rtp_extension_values *out)
{
    const uint8_t *at = extension.at;
    for (size_t i = 0; i + 1 < extension.len;) {
        if (at[i] == 0) {
            i++;
            continue;
        }
        for (enum rtp_extension k = 0; k < RTP_EXTENSIONS; k++)
            if (map->id[k] == at[i]) // the one before does not count
                out->has = (out->has & ~(1u << k)) | take(out, k, at + i + 2, at[i + 1]);
        i += 2u + at[i + 1];
    }
}

void rtp_extensions_read(const struct rtp_packet *packet, const struct rtp_extension_map *map,
                         struct rtp_extension_values *out)
{
    *out = (struct rtp_extension_values){0};
    if (packet->extension_profile == ONE_BYTE)
        read_one_byte(packet, map, out);
    else if ((packet->extension_profile & TWO_BYTE_MASK) == TWO_BYTE)
        read_two_byte(packet->extension, map, out);
}

// ---------------------------------------------------------------------------------------- writing

static size_t value_len(const struct rtp_extension_values *values, enum rtp_extension extension)
{
    switch (extension) {
    case RTP_MID:
        return values->mid.len;
    case RTP_RID:
        return values->rid.len;
    case RTP_REPAIRED_RID:
        return values->repaired_rid.len;
    case RTP_AUDIO_LEVEL:
        return 1;
    case RTP_ABS_SEND_TIME:
        return 3;
    case RTP_TRANSPORT_CC:
        return 2;
    case RTP_EXTENSIONS:
        break;
    }
    return 0;
}

static void write_value(struct writer *w, const struct rtp_extension_values *values,
                        enum rtp_extension extension)
{
    switch (extension) {
    case RTP_MID:
        write_bytes(w, values->mid);
        break;
    case RTP_RID:
        write_bytes(w, values->rid);
        break;
    case RTP_REPAIRED_RID:
        write_bytes(w, values->repaired_rid);
        break;
    case RTP_AUDIO_LEVEL:
        write_u8(w, (uint8_t)((values->voice ? 0x80 : 0) | (values->audio_level & 0x7f)));
        break;
    case RTP_ABS_SEND_TIME:
        write_u8(w, (uint8_t)(values->abs_send_time >> 16));
        write_u16(w, (uint16_t)values->abs_send_time);
        break;
    case RTP_TRANSPORT_CC:
        write_u16(w, values->transport_sequence);
        break;
    case RTP_EXTENSIONS:
        break;
    }
}

// The elements to write, a bit each; `*two_byte`: they need elements of two bytes.
static unsigned choose(const struct rtp_extension_map *map,
                       const struct rtp_extension_values *values, bool *two_byte)
{
    unsigned small = 0, large = 0;
    for (enum rtp_extension i = 0; i < RTP_EXTENSIONS; i++) {
        size_t len = value_len(values, i);
        if (!(values->has >> i & 1) || map->id[i] == 0 || len == 0 || len > UINT8_MAX)
            continue;
        if (map->id[i] < STOP_ID && len <= 16)
            small |= 1u << i;
        else
            large |= 1u << i;
    }
    // RFC 8285 4.1.2: one byte where that is enough, and never a mix that was not agreed on.
    *two_byte = large && map->two_byte;
    return *two_byte ? small | large : small;
}

static void write_elements(struct writer *w, const struct rtp_extension_map *map,
                           const struct rtp_extension_values *values)
{
    bool two_byte;
    unsigned chosen = choose(map, values, &two_byte);
    if (!chosen)
        return;
    if (w->len)
        w->at[0] |= 0x10;
    write_u16(w, two_byte ? TWO_BYTE : ONE_BYTE);
    size_t len_at = w->len;
    write_u16(w, 0);
    for (enum rtp_extension i = 0; i < RTP_EXTENSIONS; i++) {
        if (!(chosen >> i & 1))
            continue;
        uint8_t len = (uint8_t)value_len(values, i);
        if (two_byte) {
            write_u8(w, map->id[i]);
            write_u8(w, len);
        } else {
            write_u8(w, (uint8_t)(map->id[i] << 4 | (len - 1)));
        }
        write_value(w, values, i);
    }
    size_t len = w->len - len_at - 2;
    write_zeros(w, (4 - len % 4) % 4);
    write_patch_u16(w, len_at, (uint16_t)((len + 3) / 4));
}

size_t rtp_write_header(uint8_t *to, size_t max, const struct rtp_packet *packet,
                        const struct rtp_extension_map *map,
                        const struct rtp_extension_values *values)
{
    assert(packet->csrc_count <= RTP_CSRC_MAX);
    assert(packet->payload_type <= 127);
    struct writer w = writer_of(to, max);
    write_u8(&w, (uint8_t)(VERSION << 6 | (packet->padding ? 0x20 : 0) | packet->csrc_count));
    write_u8(&w, (uint8_t)((packet->marker ? 0x80 : 0) | packet->payload_type));
    write_u16(&w, packet->sequence);
    write_u32(&w, packet->timestamp);
    write_u32(&w, packet->ssrc);
    for (unsigned i = 0; i < packet->csrc_count; i++)
        write_u32(&w, packet->csrc[i]);
    if (values) {
        write_elements(&w, map, values);
    } else if (packet->has_extension) {
        assert(packet->extension.len % 4 == 0 && packet->extension.len / 4 <= UINT16_MAX);
        if (w.len)
            w.at[0] |= 0x10;
        write_u16(&w, packet->extension_profile);
        write_u16(&w, (uint16_t)(packet->extension.len / 4));
        write_bytes(&w, packet->extension);
    }
    return writer_bytes(&w).len;
}

size_t rtp_write(uint8_t *to, size_t max, const struct rtp_packet *packet,
                 const struct rtp_extension_map *map, const struct rtp_extension_values *values)
{
    struct writer w = writer_of(to, max);
    w.len = rtp_write_header(to, max, packet, map, values);
    if (w.len == 0)
        return 0;
    write_bytes(&w, packet->payload);
    if (packet->padding) {
        write_zeros(&w, packet->padding - 1u);
        write_u8(&w, packet->padding);
    }
    return writer_bytes(&w).len;
}

// Where the value of `extension` stands in a written packet; NULL: it has none of `len` bytes.
static uint8_t *find_value(uint8_t *packet, size_t packet_len, const struct rtp_extension_map *map,
                           enum rtp_extension extension, size_t len)
{
    struct rtp_packet parsed;
    uint8_t id = map->id[extension];
    if (!id || rtp_parse(bytes_of(packet, packet_len), &parsed) != RTP_OK)
        return NULL;
    struct bytes value = {NULL, 0};
    if (parsed.extension_profile == ONE_BYTE) {
        value = noted(&parsed, id);
    } else if ((parsed.extension_profile & TWO_BYTE_MASK) == TWO_BYTE) {
        // Any extension may be sought by the same walk, as the bytes of a MID.
        struct rtp_extension_map only = {.id = {[RTP_MID] = id}};
        struct rtp_extension_values values = {0};
        read_two_byte(parsed.extension, &only, &values);
        value = values.mid;
    }
    return value.at && value.len == len ? packet + (value.at - packet) : NULL;
}

bool rtp_patch_abs_send_time(uint8_t *packet, size_t len, const struct rtp_extension_map *map,
                             uint32_t value)
{
    uint8_t *at = find_value(packet, len, map, RTP_ABS_SEND_TIME, 3);
    if (!at)
        return false;
    at[0] = (uint8_t)(value >> 16);
    put_u16(at + 1, (uint16_t)value);
    return true;
}

bool rtp_patch_transport_sequence(uint8_t *packet, size_t len, const struct rtp_extension_map *map,
                                  uint16_t value)
{
    uint8_t *at = find_value(packet, len, map, RTP_TRANSPORT_CC, 2);
    if (!at)
        return false;
    put_u16(at, value);
    return true;
}
