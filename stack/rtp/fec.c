#include "stack/rtp/fec.h"

#include "base/arena.h"

#include <stdlib.h>

#define NEAR 2048 // numbers; the farthest that a late packet is taken from is half of it

// What is XORed of each packet: the first two bytes, the length after the fixed header, the
// timestamp, and everything after the fixed header.
struct parity {
    uint8_t head[2];
    uint16_t length;
    uint8_t timestamp[4];
    uint8_t body[RTP_PACKET_MAX];
    size_t body_len; // of the longest
};

const char *fec_outcome_name(enum fec_outcome outcome)
{
    static const char *const names[FEC_OUTCOMES] = {
        [FEC_KEPT_IT] = "kept",
        [FEC_TOO_SHORT] = "too-short",
        [FEC_NOT_SUPPORTED] = "not-supported",
        [FEC_EMPTY_MASK] = "empty-mask",
        [FEC_ALIEN] = "alien",
    };
    return names[outcome];
}

static uint16_t get_u16(const uint8_t *at)
{
    return (uint16_t)((unsigned)at[0] << 8 | at[1]);
}

static void fold(struct parity *parity, const uint8_t *packet, size_t len)
{
    size_t body = len - RTP_HEADER_LEN;
    parity->head[0] ^= packet[0];
    parity->head[1] ^= packet[1];
    parity->length ^= (uint16_t)body;
    for (unsigned i = 0; i < 4; i++)
        parity->timestamp[i] ^= packet[4 + i];
    for (size_t i = 0; i < body; i++)
        parity->body[i] ^= packet[RTP_HEADER_LEN + i];
    if (body > parity->body_len)
        parity->body_len = body;
}

// ------------------------------------------------------------------------------------------- masks

// Bit `i` from the left of a mask stands for the packet `base + i`.
struct mask {
    uint16_t base;
    uint64_t bits; // bit 63 - i: packet i is protected; at most 64 packets
};

// RFC 5109 7.4: 16 bits, or 48 with the L bit.
static void write_ulp_mask(struct writer *w, uint64_t bits, bool is_long)
{
    write_u16(w, (uint16_t)(bits >> 48));
    if (is_long)
        write_u32(w, (uint32_t)(bits >> 16));
}

// FlexFEC-03 4.2.2: a bit that says whether the mask ends here, before 15, 31 and 63 bits of it.
static void write_flex_mask(struct writer *w, uint64_t bits)
{
    bool is_short = (bits << 15) == 0;
    write_u16(w, (uint16_t)((is_short ? 0x8000 : 0) | bits >> 49));
    if (!is_short)
        write_u32(w, 0x80000000u | (uint32_t)(bits >> 18 & 0x7fffffff));
}

static bool read_flex_mask(struct reader *r, uint64_t *bits)
{
    unsigned first = read_u16(r);
    *bits = (uint64_t)(first & 0x7fff) << 49;
    if (first & 0x8000)
        return true;
    uint32_t second = read_u32(r);
    *bits |= (uint64_t)(second & 0x7fffffff) << 18;
    if (second & 0x80000000u)
        return true;
    uint64_t third = read_u64(r); // packets 46 to 108: more than a decoder here remembers at once
    return (third & INT64_MAX) == 0;
}

// ------------------------------------------------------------------------------------------
// encoder

size_t fec_encode(enum fec_format format, const struct bytes *packets, unsigned count, uint8_t *to,
                  size_t max)
{
    static struct parity parity; // one thread; zeroed below
    struct mask mask = {0};
    memset(&parity, 0, sizeof parity);
    for (unsigned i = 0; i < count; i++) {
        if (packets[i].len < RTP_HEADER_LEN || packets[i].len > RTP_PACKET_MAX)
            return 0;
        uint16_t sequence = get_u16(packets[i].at + 2);
        mask.base = i ? mask.base : sequence;
        unsigned offset = (uint16_t)(sequence - mask.base);
        if (offset >= FEC_MASK_MAX)
            return 0;
        mask.bits |= (uint64_t)1 << (63 - offset);
        fold(&parity, packets[i].at, packets[i].len);
    }
    struct writer w = writer_of(to, max);
    bool is_long = (mask.bits << 16) != 0;
    // The version is not protected: its place holds flags (E and L, or R and F).
    write_u8(&w, (uint8_t)((parity.head[0] & 0x3f) | (format == FEC_ULP && is_long ? 0x40 : 0)));
    write_u8(&w, parity.head[1]);
    write_u16(&w, format == FEC_ULP ? mask.base : parity.length);
    write_bytes(&w, bytes_of(parity.timestamp, 4));
    if (format == FEC_ULP) {
        write_u16(&w, parity.length);
        write_u16(&w, (uint16_t)parity.body_len); // RFC 5109 7.4: protection length
        write_ulp_mask(&w, mask.bits, is_long);
    } else {
        write_u32(&w, 1u << 24); // one SSRC
        write_bytes(&w, bytes_of(packets[0].at + 8, 4));
        write_u16(&w, mask.base);
        write_flex_mask(&w, mask.bits);
    }
    write_bytes(&w, bytes_of(parity.body, parity.body_len));
    return count ? writer_bytes(&w).len : 0;
}

// ------------------------------------------------------------------------------------------
// decoder

struct kept {
    bool used;
    uint16_t sequence;
    size_t len;
    uint8_t *bytes; // RTP_PACKET_MAX, once needed
};

struct waiting {
    bool used;
    struct mask mask;
    uint8_t head[2], timestamp[4];
    uint16_t length;
    size_t body_len;
    uint8_t *body; // RTP_PACKET_MAX, once needed
};

struct fec_decoder {
    enum fec_format format;
    uint32_t ssrc;
    struct kept kept[FEC_KEPT];
    struct waiting waiting[FEC_WAITING];
    unsigned next;   // of waiting, to be overwritten
    uint16_t latest; // media packet
    bool look;       // something came since nothing could be computed
    uint64_t unused;
    struct parity parity;
    uint8_t packet[RTP_PACKET_MAX];
};

struct fec_decoder *fec_decoder_new(enum fec_format format, uint32_t ssrc)
{
    struct fec_decoder *d = mem_zero(1, sizeof *d);
    d->format = format;
    d->ssrc = ssrc;
    return d;
}

void fec_decoder_free(struct fec_decoder *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < FEC_KEPT; i++)
        free(d->kept[i].bytes);
    for (unsigned i = 0; i < FEC_WAITING; i++)
        free(d->waiting[i].body);
    free(d);
}

void fec_decoder_media(struct fec_decoder *d, uint16_t sequence, struct bytes packet)
{
    struct kept *kept = &d->kept[sequence % FEC_KEPT];
    if (packet.len < RTP_HEADER_LEN || packet.len > RTP_PACKET_MAX)
        return;
    if (!kept->bytes)
        kept->bytes = mem_alloc(RTP_PACKET_MAX);
    memcpy(kept->bytes, packet.at, packet.len);
    kept->used = true;
    kept->sequence = sequence;
    kept->len = packet.len;
    d->latest = sequence;
    d->look = true;
}

// Numbers come round: what could not be used near its own packets is not of those that have the
// same numbers later.
static bool is_past(const struct fec_decoder *d, const struct waiting *w)
{
    uint16_t ahead = (uint16_t)(w->mask.base - d->latest), behind = (uint16_t)(0 - ahead);
    return ahead > NEAR && behind > NEAR;
}

static const struct kept *kept_of(const struct fec_decoder *d, uint16_t sequence)
{
    const struct kept *kept = &d->kept[sequence % FEC_KEPT];
    return kept->used && kept->sequence == sequence ? kept : NULL;
}

static enum fec_outcome read_ulp(struct reader *r, struct waiting *w)
{
    uint8_t flags = read_u8(r);
    w->head[0] = flags & 0x3f;
    w->head[1] = read_u8(r);
    w->mask.base = read_u16(r);
    struct bytes timestamp = read_bytes(r, 4);
    w->length = read_u16(r);
    size_t protected = read_u16(r);
    w->mask.bits = (uint64_t)read_u16(r) << 48;
    if (flags & 0x40)
        w->mask.bits |= (uint64_t)read_u32(r) << 16;
    if (r->failed || r->len < protected)
        return FEC_TOO_SHORT;
    r->len = protected;
    memcpy(w->timestamp, timestamp.at, 4);
    return flags & 0x80 ? FEC_NOT_SUPPORTED : FEC_KEPT_IT; // RFC 5109 7.3: E is reserved
}

static enum fec_outcome read_flex(const struct fec_decoder *d, struct reader *r, struct waiting *w)
{
    uint8_t flags = read_u8(r);
    w->head[0] = flags & 0x3f;
    w->head[1] = read_u8(r);
    w->length = read_u16(r);
    struct bytes timestamp = read_bytes(r, 4);
    uint32_t streams = read_u32(r) >> 24, ssrc = read_u32(r);
    w->mask.base = read_u16(r);
    bool fits = read_flex_mask(r, &w->mask.bits);
    if (r->failed)
        return FEC_TOO_SHORT;
    memcpy(w->timestamp, timestamp.at, 4);
    if (flags & 0xc0 || streams != 1 || !fits) // R: retransmission; F: a fixed block
        return FEC_NOT_SUPPORTED;
    return ssrc == d->ssrc ? FEC_KEPT_IT : FEC_ALIEN;
}

enum fec_outcome fec_decoder_repair(struct fec_decoder *d, struct bytes payload)
{
    struct waiting *place = &d->waiting[d->next];
    struct waiting read = {.used = true, .body = place->body};
    struct reader r = reader_of(payload);
    enum fec_outcome outcome = d->format == FEC_ULP ? read_ulp(&r, &read) : read_flex(d, &r, &read);
    if (outcome == FEC_KEPT_IT && read.mask.bits == 0)
        outcome = FEC_EMPTY_MASK;
    if (outcome == FEC_KEPT_IT && r.len > RTP_PACKET_MAX - RTP_HEADER_LEN)
        outcome = FEC_NOT_SUPPORTED;
    if (outcome != FEC_KEPT_IT)
        return outcome;
    d->unused += place->used; // it never helped
    if (!read.body)
        read.body = mem_alloc(RTP_PACKET_MAX);
    if (r.len)
        memcpy(read.body, r.at, r.len);
    read.body_len = r.len;
    *place = read;
    d->next = (d->next + 1) % FEC_WAITING;
    d->look = true;
    return FEC_KEPT_IT;
}

// How many of its packets are missing; which is the last of those.
static unsigned missing(const struct fec_decoder *d, const struct waiting *w, uint16_t *which)
{
    unsigned count = 0;
    for (unsigned i = 0; i < 64; i++) {
        uint16_t sequence = (uint16_t)(w->mask.base + i);
        if (!(w->mask.bits & (uint64_t)1 << (63 - i)) || kept_of(d, sequence))
            continue;
        *which = sequence;
        count++;
    }
    return count;
}

// The one that is missing: what the repair packet has, less all the others. False: it cannot be.
static bool compute(struct fec_decoder *d, const struct waiting *w, uint16_t sequence,
                    struct bytes *out)
{
    struct parity *p = &d->parity;
    memset(p, 0, sizeof *p);
    memcpy(p->head, w->head, 2);
    memcpy(p->timestamp, w->timestamp, 4);
    memcpy(p->body, w->body, w->body_len);
    p->length = w->length;
    for (unsigned i = 0; i < 64; i++) {
        uint16_t other = (uint16_t)(w->mask.base + i);
        if (!(w->mask.bits & (uint64_t)1 << (63 - i)) || other == sequence)
            continue;
        const struct kept *kept = kept_of(d, other);
        fold(p, kept->bytes, kept->len);
    }
    // RFC 5109 7.4: of a longer packet only a part is protected. No body is longer than a packet's.
    if (p->length > w->body_len)
        return false;
    d->packet[0] = (uint8_t)(0x80 | (p->head[0] & 0x3f));
    d->packet[1] = p->head[1];
    put_u16(d->packet + 2, sequence);
    memcpy(d->packet + 4, p->timestamp, 4);
    put_u32(d->packet + 8, d->ssrc);
    memcpy(d->packet + RTP_HEADER_LEN, p->body, p->length);
    *out = bytes_of(d->packet, RTP_HEADER_LEN + (size_t)p->length);
    return true;
}

bool fec_decoder_poll(struct fec_decoder *d, struct bytes *packet)
{
    for (unsigned i = 0; i < FEC_WAITING && d->look; i++) {
        struct waiting *w = &d->waiting[i];
        uint16_t which = 0;
        if (!w->used)
            continue;
        unsigned count = missing(d, w, &which);
        bool past = is_past(d, w);
        if (count > 1 && !past)
            continue;
        w->used = false;
        if (count == 1 && !past && compute(d, w, which, packet))
            return true;
        d->unused++;
    }
    d->look = false;
    return false;
}

uint64_t fec_decoder_unused(const struct fec_decoder *d)
{
    return d->unused;
}
