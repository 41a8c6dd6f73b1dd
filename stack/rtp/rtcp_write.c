// Writers of every kind but transport-wide feedback. Always the canonical form.
#include "stack/rtp/rtcp_priv.h"

#include <assert.h>

#define LEN_MAX (4u * (UINT16_MAX + 1u))
#define REMB_MANTISSA_BITS 18
#define TMMB_MANTISSA_BITS 17

size_t rtcp_packet_begin(struct writer *w, uint8_t count, uint8_t type)
{
    assert(count <= RTCP_BLOCKS_MAX);
    size_t at = w->len;
    write_u8(w, (uint8_t)(RTCP_VERSION << 6 | count));
    write_u8(w, type);
    write_u16(w, 0);
    return at;
}

void rtcp_packet_end(struct writer *w, size_t at)
{
    write_zeros(w, (4 - (w->len - at) % 4) % 4);
    if (w->len - at > LEN_MAX)
        w->failed = true;
    write_patch_u16(w, at + 2, (uint16_t)((w->len - at) / 4 - 1));
}

static void write_block(struct writer *w, const struct rtcp_block *block)
{
    write_u32(w, block->ssrc);
    // RFC 3550 A.3: the cumulative number is clamped to what 24 bits hold.
    int32_t lost = block->cumulative_lost;
    lost = lost > 0x7fffff ? 0x7fffff : lost < -0x800000 ? -0x800000 : lost;
    write_u32(w, (uint32_t)block->fraction_lost << 24 | ((uint32_t)lost & 0xffffff));
    write_u32(w, block->highest_sequence);
    write_u32(w, block->jitter);
    write_u32(w, block->lsr);
    write_u32(w, block->dlsr);
}

static void write_info(struct writer *w, const struct rtcp_sender_info *info)
{
    write_u64(w, info->ntp);
    write_u32(w, info->rtp_timestamp);
    write_u32(w, info->packets);
    write_u32(w, info->octets);
}

void rtcp_write_sr(struct writer *w, uint32_t sender, const struct rtcp_sender_info *info,
                   const struct rtcp_block *blocks, size_t count)
{
    assert(count <= RTCP_BLOCKS_MAX);
    size_t at = rtcp_packet_begin(w, (uint8_t)count, RTCP_PT_SR);
    write_u32(w, sender);
    write_info(w, info);
    for (size_t i = 0; i < count; i++)
        write_block(w, &blocks[i]);
    rtcp_packet_end(w, at);
}

void rtcp_write_rr(struct writer *w, uint32_t sender, const struct rtcp_block *blocks, size_t count)
{
    assert(count <= RTCP_BLOCKS_MAX);
    size_t at = rtcp_packet_begin(w, (uint8_t)count, RTCP_PT_RR);
    write_u32(w, sender);
    for (size_t i = 0; i < count; i++)
        write_block(w, &blocks[i]);
    rtcp_packet_end(w, at);
}

// ------------------------------------------------------------------------------------------- SDES

struct rtcp_sdes_writer rtcp_write_sdes(struct writer *w)
{
    return (struct rtcp_sdes_writer){.w = w, .at = rtcp_packet_begin(w, 0, RTCP_PT_SDES)};
}

static void write_item(struct writer *w, const struct rtcp_sdes_item *item)
{
    assert(item->type != 0); // the end of the list
    size_t len = item->text.len < UINT8_MAX ? item->text.len : UINT8_MAX;
    write_u8(w, item->type);
    write_u8(w, (uint8_t)len);
    write_bytes(w, bytes_of(item->text.at, len));
}

// RFC 3550 6.5: at least one null octet ends the items; chunks start on words.
static void end_chunk(struct rtcp_sdes_writer *s)
{
    write_zeros(s->w, 4 - (s->w->len - s->at) % 4);
    s->chunks++;
}

void rtcp_write_sdes_chunk(struct rtcp_sdes_writer *s, uint32_t ssrc,
                           const struct rtcp_sdes_item *items, size_t count)
{
    assert(s->chunks < RTCP_BLOCKS_MAX);
    write_u32(s->w, ssrc);
    for (size_t i = 0; i < count; i++)
        write_item(s->w, &items[i]);
    end_chunk(s);
}

void rtcp_write_sdes_end(struct rtcp_sdes_writer *s)
{
    if (!s->w->failed)
        s->w->at[s->at] = (uint8_t)(RTCP_VERSION << 6 | s->chunks);
    rtcp_packet_end(s->w, s->at);
}

void rtcp_write_cname(struct writer *w, uint32_t ssrc, struct bytes cname, struct bytes mid)
{
    struct rtcp_sdes_item items[] = {{RTCP_CNAME, cname}, {RTCP_SDES_MID, mid}};
    struct rtcp_sdes_writer s = rtcp_write_sdes(w);
    rtcp_write_sdes_chunk(&s, ssrc, items, mid.len ? 2 : 1);
    rtcp_write_sdes_end(&s);
}

// -------------------------------------------------------------------------------------- BYE, APP

void rtcp_write_bye(struct writer *w, const uint32_t *ssrcs, size_t count, struct bytes reason)
{
    assert(count <= RTCP_BLOCKS_MAX);
    size_t at = rtcp_packet_begin(w, (uint8_t)count, RTCP_PT_BYE);
    for (size_t i = 0; i < count; i++)
        write_u32(w, ssrcs[i]);
    if (reason.len) {
        size_t len = reason.len < UINT8_MAX ? reason.len : UINT8_MAX;
        write_u8(w, (uint8_t)len);
        write_bytes(w, bytes_of(reason.at, len));
    }
    rtcp_packet_end(w, at);
}

void rtcp_write_app(struct writer *w, uint32_t sender, uint8_t subtype, const char name[4],
                    struct bytes data)
{
    assert(data.len % 4 == 0); // RFC 3550 6.7
    size_t at = rtcp_packet_begin(w, subtype, RTCP_PT_APP);
    write_u32(w, sender);
    write_bytes(w, bytes_of(name, 4));
    write_bytes(w, data);
    rtcp_packet_end(w, at);
}

// --------------------------------------------------------------------------------------- feedback

static size_t begin_feedback(struct writer *w, uint8_t format, uint8_t type, uint32_t sender,
                             uint32_t media)
{
    size_t at = rtcp_packet_begin(w, format, type);
    write_u32(w, sender);
    write_u32(w, media);
    return at;
}

size_t rtcp_write_nack(struct writer *w, uint32_t sender, uint32_t media, const uint16_t *sequences,
                       size_t count)
{
    size_t room = w->failed ? 0 : w->max - w->len;
    if (count == 0 || room < RTCP_HEADER_LEN + 8 + 4)
        return 0;
    room = (room < LEN_MAX ? room : LEN_MAX) - RTCP_HEADER_LEN - 8;
    size_t at = begin_feedback(w, RTCP_FMT_NACK, RTCP_PT_RTPFB, sender, media);
    size_t i = 0;
    for (; i < count && room >= 4; room -= 4) {
        uint16_t first = sequences[i++], mask = 0;
        // RFC 4585 6.2.1: the sixteen after it, as long as they come in order.
        for (; i < count; i++) {
            uint16_t after = (uint16_t)(sequences[i] - first);
            if (after == 0 || after > 16)
                break;
            mask |= (uint16_t)(1u << (after - 1));
        }
        write_u16(w, first);
        write_u16(w, mask);
    }
    rtcp_packet_end(w, at);
    return i;
}

void rtcp_write_pli(struct writer *w, uint32_t sender, uint32_t media)
{
    rtcp_packet_end(w, begin_feedback(w, RTCP_FMT_PLI, RTCP_PT_PSFB, sender, media));
}

static void write_fir_entry(struct writer *w, const struct rtcp_fir_entry *entry)
{
    write_u32(w, entry->ssrc);
    write_u32(w, (uint32_t)entry->sequence << 24);
}

void rtcp_write_fir(struct writer *w, uint32_t sender, const struct rtcp_fir_entry *entries,
                    size_t count)
{
    // RFC 5104 4.3.1.2: the SSRC of the media source is 0 here, for TMMBR and TMMBN as well.
    size_t at = begin_feedback(w, RTCP_FMT_FIR, RTCP_PT_PSFB, sender, 0);
    for (size_t i = 0; i < count; i++)
        write_fir_entry(w, &entries[i]);
    rtcp_packet_end(w, at);
}

// The smallest exponent with which `bits` of mantissa hold the rate, rounded down.
static unsigned exponent_of(uint64_t rate, unsigned bits)
{
    unsigned exponent = 0;
    while (rate >> exponent >> bits)
        exponent++;
    return exponent;
}

static void write_tmmb_entry(struct writer *w, const struct rtcp_tmmb_entry *entry)
{
    unsigned exponent = exponent_of(entry->bitrate, TMMB_MANTISSA_BITS);
    write_u32(w, entry->ssrc);
    write_u32(w, (uint32_t)exponent << 26 | (uint32_t)(entry->bitrate >> exponent) << 9 |
                     (entry->overhead & 0x1ffu));
}

static void write_tmmb(struct writer *w, uint8_t format, uint32_t sender,
                       const struct rtcp_tmmb_entry *entries, size_t count)
{
    size_t at = begin_feedback(w, format, RTCP_PT_RTPFB, sender, 0);
    for (size_t i = 0; i < count; i++)
        write_tmmb_entry(w, &entries[i]);
    rtcp_packet_end(w, at);
}

void rtcp_write_tmmbr(struct writer *w, uint32_t sender, const struct rtcp_tmmb_entry *entries,
                      size_t count)
{
    write_tmmb(w, RTCP_FMT_TMMBR, sender, entries, count);
}

void rtcp_write_tmmbn(struct writer *w, uint32_t sender, const struct rtcp_tmmb_entry *entries,
                      size_t count)
{
    write_tmmb(w, RTCP_FMT_TMMBN, sender, entries, count);
}

static size_t begin_remb(struct writer *w, uint32_t sender, uint64_t bitrate, uint8_t count)
{
    size_t at = begin_feedback(w, RTCP_FMT_AFB, RTCP_PT_PSFB, sender, 0);
    write_bytes(w, bytes_of("REMB", 4));
    unsigned exponent = exponent_of(bitrate, REMB_MANTISSA_BITS);
    write_u32(w, (uint32_t)count << 24 | (uint32_t)exponent << REMB_MANTISSA_BITS |
                     (uint32_t)(bitrate >> exponent));
    return at;
}

void rtcp_write_remb(struct writer *w, uint32_t sender, uint64_t bitrate, const uint32_t *ssrcs,
                     size_t count)
{
    assert(count <= UINT8_MAX);
    size_t at = begin_remb(w, sender, bitrate, (uint8_t)count);
    for (size_t i = 0; i < count; i++)
        write_u32(w, ssrcs[i]);
    rtcp_packet_end(w, at);
}

struct rtcp_ccfb_writer rtcp_write_ccfb(struct writer *w, uint32_t sender)
{
    struct rtcp_ccfb_writer s = {.w = w};
    s.at = rtcp_packet_begin(w, RTCP_FMT_CCFB, RTCP_PT_RTPFB);
    write_u32(w, sender);
    return s;
}

void rtcp_write_ccfb_block(struct rtcp_ccfb_writer *s, uint32_t ssrc, uint16_t begin_sequence,
                           const struct rtcp_ccfb_metric *metrics, size_t count)
{
    assert(count <= RTCP_CCFB_REPORTS_MAX);
    write_u32(s->w, ssrc);
    write_u16(s->w, begin_sequence);
    write_u16(s->w, (uint16_t)count);
    for (size_t i = 0; i < count; i++) {
        // RFC 8888 3.1: all zeros when not received.
        unsigned word = metrics[i].received
                            ? 0x8000u | (metrics[i].ecn & 3u) << 13 | (metrics[i].offset & 0x1fffu)
                            : 0;
        write_u16(s->w, (uint16_t)word);
    }
    write_zeros(s->w, count % 2 * 2);
}

void rtcp_write_ccfb_end(struct rtcp_ccfb_writer *s, uint32_t report_timestamp)
{
    write_u32(s->w, report_timestamp);
    rtcp_packet_end(s->w, s->at);
}

// --------------------------------------------------------------------------------------------- XR

static size_t begin_xr(struct writer *w, uint32_t sender, uint8_t type, size_t body_len)
{
    size_t at = rtcp_packet_begin(w, 0, RTCP_PT_XR);
    write_u32(w, sender);
    write_u8(w, type);
    write_u8(w, 0);
    write_u16(w, (uint16_t)(body_len / 4));
    return at;
}

void rtcp_write_xr_rrtr(struct writer *w, uint32_t sender, uint64_t ntp)
{
    size_t at = begin_xr(w, sender, RTCP_XR_RRTR, 8);
    write_u64(w, ntp);
    rtcp_packet_end(w, at);
}

void rtcp_write_xr_dlrr(struct writer *w, uint32_t sender, const struct rtcp_dlrr *entries,
                        size_t count)
{
    size_t at = begin_xr(w, sender, RTCP_XR_DLRR, 12 * count);
    for (size_t i = 0; i < count; i++) {
        write_u32(w, entries[i].ssrc);
        write_u32(w, entries[i].lrr);
        write_u32(w, entries[i].dlrr);
    }
    rtcp_packet_end(w, at);
}

// ------------------------------------------------------------------------------------- any packet

static void rewrite_report(struct writer *w, const struct rtcp_packet *packet)
{
    size_t at = rtcp_packet_begin(w, packet->count, packet->type);
    write_u32(w, packet->sender);
    if (packet->kind == RTCP_SR)
        write_info(w, &packet->report.info);
    struct rtcp_block block;
    for (size_t i = 0; rtcp_report_block(packet, i, &block); i++)
        write_block(w, &block);
    write_bytes(w, packet->report.extension);
    rtcp_packet_end(w, at);
}

static void rewrite_sdes(struct writer *w, const struct rtcp_packet *packet)
{
    struct rtcp_sdes_writer s = rtcp_write_sdes(w);
    struct rtcp_sdes_walk walk = rtcp_sdes_start(packet);
    struct rtcp_sdes_chunk chunk;
    while (rtcp_sdes_chunk_next(&walk, &chunk)) {
        write_u32(w, chunk.ssrc);
        struct rtcp_sdes_item item;
        while (rtcp_sdes_item_next(&chunk, &item))
            write_item(w, &item);
        end_chunk(&s);
    }
    rtcp_write_sdes_end(&s);
}

static void rewrite_bye(struct writer *w, const struct rtcp_packet *packet)
{
    uint32_t ssrcs[RTCP_BLOCKS_MAX];
    for (size_t i = 0; i < packet->count; i++)
        ssrcs[i] = rtcp_get_u32(packet->bye.ssrcs.at + 4 * i);
    rtcp_write_bye(w, ssrcs, packet->count, packet->bye.reason);
}

// FIR and TMMBR have bits that mean nothing, or more forms than one; so has the media SSRC.
static void rewrite_entries(struct writer *w, const struct rtcp_packet *packet)
{
    size_t at = begin_feedback(w, packet->count, packet->type, packet->sender, 0);
    for (size_t i = 0; i < packet->feedback.entries; i++) {
        struct rtcp_fir_entry fir;
        struct rtcp_tmmb_entry tmmb;
        if (packet->kind == RTCP_FIR && rtcp_fir_entry(packet, i, &fir))
            write_fir_entry(w, &fir);
        else if (rtcp_tmmb_entry(packet, i, &tmmb))
            write_tmmb_entry(w, &tmmb);
    }
    rtcp_packet_end(w, at);
}

static void rewrite_ccfb(struct writer *w, const struct rtcp_packet *packet)
{
    struct rtcp_ccfb_writer s = rtcp_write_ccfb(w, packet->sender);
    struct rtcp_ccfb_walk walk = rtcp_ccfb_start(packet);
    struct rtcp_ccfb_block block;
    while (rtcp_ccfb_next(&walk, &block)) {
        write_u32(w, block.ssrc);
        write_u16(w, block.begin_sequence);
        write_u16(w, block.count);
        struct rtcp_ccfb_metric metric;
        for (size_t i = 0; rtcp_ccfb_metric(&block, i, &metric); i++)
            write_u16(w, metric.received ? rtcp_get_u16(block.metrics.at + 2 * i) : 0);
        write_zeros(w, block.count % 2 * 2u);
    }
    rtcp_write_ccfb_end(&s, packet->ccfb.report_timestamp);
}

static void rewrite_remb(struct writer *w, const struct rtcp_packet *packet)
{
    size_t at = begin_remb(w, packet->sender, packet->remb.bitrate, packet->remb.ssrc_count);
    write_bytes(w, packet->remb.ssrcs);
    rtcp_packet_end(w, at);
}

void rtcp_write(struct writer *w, const struct rtcp_packet *packet)
{
    switch (packet->kind) {
    case RTCP_SR:
    case RTCP_RR:
        rewrite_report(w, packet);
        return;
    case RTCP_SDES:
        rewrite_sdes(w, packet);
        return;
    case RTCP_BYE:
        rewrite_bye(w, packet);
        return;
    case RTCP_TMMBR:
    case RTCP_TMMBN:
    case RTCP_FIR:
        rewrite_entries(w, packet);
        return;
    case RTCP_CCFB:
        rewrite_ccfb(w, packet);
        return;
    case RTCP_REMB:
        rewrite_remb(w, packet);
        return;
    case RTCP_APP:
    case RTCP_NACK:
    case RTCP_TRANSPORT_CC:
    case RTCP_PLI:
    case RTCP_XR:
    case RTCP_UNKNOWN:
    case RTCP_KINDS:
        break;
    }
    size_t at = rtcp_packet_begin(w, packet->count, packet->type);
    write_bytes(w, packet->body);
    rtcp_packet_end(w, at);
}

void rtcp_pad(struct writer *w, size_t at, uint8_t len)
{
    assert(len != 0 && len % 4 == 0);
    if (w->failed)
        return;
    write_zeros(w, len - 1u);
    write_u8(w, len);
    rtcp_packet_end(w, at);
    if (!w->failed)
        w->at[at] |= 0x20;
}
