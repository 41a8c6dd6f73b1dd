// Packets of every kind but transport-wide feedback: checked once, then read by index or walk.
#include "stack/rtp/rtcp_priv.h"

#include <assert.h>

#define FEEDBACK_LEN 8 // of sender and media SSRC (RFC 4585 6.1)
#define SENDER_INFO_LEN 20
#define FIR_LEN 8
#define TMMB_LEN 8
#define NACK_LEN 4
#define XR_HEADER_LEN 4
#define DLRR_LEN 12
#define CCFB_HEADER_LEN 8
#define REMB_LEN 16 // without its SSRCs

static enum rtcp_outcome check_report(struct rtcp_packet *packet)
{
    struct reader r = reader_of(packet->body);
    packet->sender = read_u32(&r);
    struct rtcp_report report = {0};
    if (packet->kind == RTCP_SR) {
        report.info.ntp = read_u64(&r);
        report.info.rtp_timestamp = read_u32(&r);
        report.info.packets = read_u32(&r);
        report.info.octets = read_u32(&r);
    }
    report.blocks = read_bytes(&r, (size_t)RTCP_BLOCK_LEN * packet->count);
    if (r.failed)
        return RTCP_BAD_LENGTH;
    report.extension = bytes_of(r.at, r.len);
    packet->report = report;
    return RTCP_OK;
}

// The items of the chunk at the front of `left`, and where the next chunk starts. RFC 3550 6.5: one
// or more null octets end the list, up to the next word.
static bool chunk_split(struct bytes left, struct rtcp_sdes_chunk *chunk, struct bytes *rest)
{
    struct reader r = reader_of(left);
    chunk->ssrc = read_u32(&r);
    const uint8_t *items = r.at;
    while (!r.failed && r.len && r.at[0] != 0) {
        read_skip(&r, 1);
        read_skip(&r, read_u8(&r));
    }
    if (r.failed || r.len == 0)
        return false;
    chunk->items = bytes_of(items, (size_t)(r.at - items));
    size_t used = (size_t)(r.at - left.at) + 1;
    used += (4 - used % 4) % 4;
    if (used > left.len)
        return false;
    *rest = bytes_from(left, used);
    return true;
}

static enum rtcp_outcome check_sdes(struct rtcp_packet *packet)
{
    struct bytes left = packet->body;
    packet->sender = 0;
    for (unsigned i = 0; i < packet->count; i++) {
        struct rtcp_sdes_chunk chunk;
        if (!chunk_split(left, &chunk, &left))
            return RTCP_BAD_ITEM;
        if (i == 0)
            packet->sender = chunk.ssrc;
    }
    return left.len == 0 ? RTCP_OK : RTCP_BAD_LENGTH;
}

static enum rtcp_outcome check_bye(struct rtcp_packet *packet)
{
    struct reader r = reader_of(packet->body);
    struct rtcp_bye bye = {.ssrcs = read_bytes(&r, (size_t)4 * packet->count)};
    if (r.failed)
        return RTCP_BAD_LENGTH;
    packet->sender = packet->count ? rtcp_get_u32(bye.ssrcs.at) : 0;
    bye.reason = bytes_of(r.at, 0);
    if (r.len) {
        uint8_t len = read_u8(&r);
        bye.reason = read_bytes(&r, len);
        if (r.failed)
            return RTCP_BAD_ITEM;
    }
    packet->bye = bye;
    return RTCP_OK;
}

static enum rtcp_outcome check_app(struct rtcp_packet *packet)
{
    struct reader r = reader_of(packet->body);
    packet->sender = read_u32(&r);
    struct bytes name = read_bytes(&r, 4);
    if (r.failed)
        return RTCP_BAD_LENGTH;
    memcpy(packet->app.name, name.at, 4);
    packet->app.data = bytes_of(r.at, r.len);
    return RTCP_OK;
}

// Entries of `len` bytes each, `min` at least, to the end.
static enum rtcp_outcome check_feedback(struct rtcp_packet *packet, size_t len, size_t min)
{
    if (packet->body.len < FEEDBACK_LEN)
        return RTCP_BAD_LENGTH;
    struct rtcp_feedback feedback = {.media = rtcp_get_u32(packet->body.at + 4),
                                     .fci = bytes_from(packet->body, FEEDBACK_LEN)};
    packet->sender = rtcp_get_u32(packet->body.at);
    if (len == 0) // RFC 4585 6.3.1.2: a PLI has no parameters
        return feedback.fci.len == 0 ? (packet->feedback = feedback, RTCP_OK) : RTCP_BAD_LENGTH;
    feedback.entries = feedback.fci.len / len;
    if (feedback.fci.len % len != 0 || feedback.entries < min)
        return RTCP_BAD_LENGTH;
    packet->feedback = feedback;
    return RTCP_OK;
}

static enum rtcp_outcome check_remb(struct rtcp_packet *packet)
{
    const uint8_t *at = packet->body.at;
    packet->sender = rtcp_get_u32(at);
    struct rtcp_remb remb = {.media = rtcp_get_u32(at + 4),
                             .ssrc_count = at[12],
                             .ssrcs = bytes_from(packet->body, REMB_LEN)};
    if (remb.ssrcs.len != (size_t)4 * remb.ssrc_count)
        return RTCP_BAD_LENGTH;
    unsigned exponent = at[13] >> 2;
    uint64_t mantissa = (uint64_t)(at[13] & 3) << 16 | rtcp_get_u16(at + 14);
    // More than 64 bits hold is as good as no limit.
    remb.bitrate = mantissa > UINT64_MAX >> exponent ? UINT64_MAX : mantissa << exponent;
    packet->remb = remb;
    return RTCP_OK;
}

static bool ccfb_split(struct bytes left, struct rtcp_ccfb_block *block, struct bytes *rest)
{
    struct reader r = reader_of(left);
    block->ssrc = read_u32(&r);
    block->begin_sequence = read_u16(&r);
    block->count = read_u16(&r);
    block->metrics = read_bytes(&r, (size_t)2 * block->count);
    read_skip(&r, block->count % 2 * 2u); // RFC 8888 3.1: to the next word
    *rest = bytes_of(r.at, r.len);
    return !r.failed && block->count <= RTCP_CCFB_REPORTS_MAX;
}

static enum rtcp_outcome check_ccfb(struct rtcp_packet *packet)
{
    if (packet->body.len < 8)
        return RTCP_BAD_LENGTH;
    size_t end = packet->body.len - 4;
    packet->sender = rtcp_get_u32(packet->body.at);
    // RFC 8888 3.1: the blocks start where others have the SSRC of the media source.
    packet->ccfb = (struct rtcp_ccfb){.blocks = bytes_of(packet->body.at + 4, end - 4),
                                      .report_timestamp = rtcp_get_u32(packet->body.at + end)};
    for (struct bytes left = packet->ccfb.blocks; left.len;) {
        struct rtcp_ccfb_block block;
        if (!ccfb_split(left, &block, &left))
            return RTCP_BAD_ITEM;
    }
    return RTCP_OK;
}

static bool xr_split(struct bytes left, struct rtcp_xr_block *block, struct bytes *rest)
{
    struct reader r = reader_of(left);
    block->type = read_u8(&r);
    block->specific = read_u8(&r);
    size_t words = read_u16(&r);
    block->body = read_bytes(&r, 4 * words);
    *rest = bytes_of(r.at, r.len);
    if (block->type == RTCP_XR_RRTR && words != 2) // RFC 3611 4.4
        return false;
    if (block->type == RTCP_XR_DLRR && words % 3 != 0) // RFC 3611 4.5
        return false;
    return !r.failed;
}

static enum rtcp_outcome check_xr(struct rtcp_packet *packet)
{
    if (packet->body.len < 4)
        return RTCP_BAD_LENGTH;
    packet->sender = rtcp_get_u32(packet->body.at);
    for (struct bytes left = bytes_from(packet->body, 4); left.len;) {
        struct rtcp_xr_block block;
        if (!xr_split(left, &block, &left))
            return RTCP_BAD_ITEM;
    }
    return RTCP_OK;
}

static enum rtcp_kind rtpfb_kind(uint8_t format)
{
    switch (format) {
    case RTCP_FMT_NACK:
        return RTCP_NACK;
    case RTCP_FMT_TMMBR:
        return RTCP_TMMBR;
    case RTCP_FMT_TMMBN:
        return RTCP_TMMBN;
    case RTCP_FMT_CCFB:
        return RTCP_CCFB;
    case RTCP_FMT_TRANSPORT_CC:
        return RTCP_TRANSPORT_CC;
    }
    return RTCP_UNKNOWN;
}

static enum rtcp_kind psfb_kind(uint8_t format, struct bytes body)
{
    switch (format) {
    case RTCP_FMT_PLI:
        return RTCP_PLI;
    case RTCP_FMT_FIR:
        return RTCP_FIR;
    case RTCP_FMT_AFB: // draft-alvestrand-rmcat-remb-03 2.2: told apart by name
        return body.len >= REMB_LEN && memcmp(body.at + 8, "REMB", 4) == 0 ? RTCP_REMB
                                                                           : RTCP_UNKNOWN;
    }
    return RTCP_UNKNOWN;
}

static enum rtcp_kind kind_of(const struct rtcp_packet *packet)
{
    switch (packet->type) {
    case RTCP_PT_SR:
        return RTCP_SR;
    case RTCP_PT_RR:
        return RTCP_RR;
    case RTCP_PT_SDES:
        return RTCP_SDES;
    case RTCP_PT_BYE:
        return RTCP_BYE;
    case RTCP_PT_APP:
        return RTCP_APP;
    case RTCP_PT_RTPFB:
        return rtpfb_kind(packet->count);
    case RTCP_PT_PSFB:
        return psfb_kind(packet->count, packet->body);
    case RTCP_PT_XR:
        return RTCP_XR;
    }
    return RTCP_UNKNOWN; // RFC 3550 6.1: unknown types are passed by
}

static enum rtcp_outcome check(struct rtcp_packet *packet)
{
    switch (packet->kind) {
    case RTCP_SR:
    case RTCP_RR:
        return check_report(packet);
    case RTCP_SDES:
        return check_sdes(packet);
    case RTCP_BYE:
        return check_bye(packet);
    case RTCP_APP:
        return check_app(packet);
    case RTCP_NACK:
        return check_feedback(packet, NACK_LEN, 1);
    case RTCP_TMMBR:
        return check_feedback(packet, TMMB_LEN, 1);
    case RTCP_TMMBN: // RFC 5104 4.2.2.2: none when there is no bound
        return check_feedback(packet, TMMB_LEN, 0);
    case RTCP_CCFB:
        return check_ccfb(packet);
    case RTCP_TRANSPORT_CC:
        return rtcp_transport_cc_check(packet);
    case RTCP_PLI:
        return check_feedback(packet, 0, 0);
    case RTCP_FIR:
        return check_feedback(packet, FIR_LEN, 1);
    case RTCP_REMB:
        return check_remb(packet);
    case RTCP_XR:
        return check_xr(packet);
    case RTCP_UNKNOWN:
    case RTCP_KINDS:
        break;
    }
    packet->sender = packet->body.len >= 4 ? rtcp_get_u32(packet->body.at) : 0;
    return RTCP_OK;
}

enum rtcp_outcome rtcp_next(struct rtcp_walk *walk, struct rtcp_packet *out)
{
    if (walk->left.len == 0)
        return RTCP_END;
    const uint8_t *at = walk->left.at;
    size_t len = 4u * (rtcp_get_u16(at + 2) + 1u);
    assert(len <= walk->left.len); // rtcp_walk_start has seen to it
    uint8_t padding = at[0] & 0x20 ? at[len - 1] : 0;
    walk->left = bytes_from(walk->left, len);
    *out = (struct rtcp_packet){
        .type = at[1],
        .count = at[0] & 31,
        .padding = padding,
        .raw = bytes_of(at, len),
        .body = bytes_of(at + RTCP_HEADER_LEN, len - RTCP_HEADER_LEN - padding),
    };
    out->kind = kind_of(out);
    return check(out);
}

// --------------------------------------------------------------------------------------- contents

bool rtcp_report_block(const struct rtcp_packet *packet, size_t index, struct rtcp_block *out)
{
    assert(packet->kind == RTCP_SR || packet->kind == RTCP_RR);
    struct bytes blocks = packet->report.blocks;
    if (index >= blocks.len / RTCP_BLOCK_LEN)
        return false;
    struct reader r = reader_of(bytes_from(blocks, index * RTCP_BLOCK_LEN));
    out->ssrc = read_u32(&r);
    uint32_t lost = read_u32(&r);
    out->fraction_lost = (uint8_t)(lost >> 24);
    lost &= 0xffffff; // RFC 3550 6.4.1: signed, 24 bits
    out->cumulative_lost = lost & 0x800000 ? (int32_t)lost - 0x1000000 : (int32_t)lost;
    out->highest_sequence = read_u32(&r);
    out->jitter = read_u32(&r);
    out->lsr = read_u32(&r);
    out->dlsr = read_u32(&r);
    return true;
}

bool rtcp_ssrc_at(struct bytes ssrcs, size_t index, uint32_t *out)
{
    if (index >= ssrcs.len / 4)
        return false;
    *out = rtcp_get_u32(ssrcs.at + 4 * index);
    return true;
}

struct rtcp_sdes_walk rtcp_sdes_start(const struct rtcp_packet *packet)
{
    assert(packet->kind == RTCP_SDES);
    return (struct rtcp_sdes_walk){packet->body};
}

bool rtcp_sdes_chunk_next(struct rtcp_sdes_walk *walk, struct rtcp_sdes_chunk *out)
{
    return walk->left.len && chunk_split(walk->left, out, &walk->left);
}

bool rtcp_sdes_item_next(struct rtcp_sdes_chunk *chunk, struct rtcp_sdes_item *out)
{
    struct reader r = reader_of(chunk->items);
    out->type = read_u8(&r);
    uint8_t len = read_u8(&r);
    out->text = read_bytes(&r, len);
    chunk->items = bytes_of(r.at, r.len);
    return !r.failed;
}

struct rtcp_nack_walk rtcp_nack_start(const struct rtcp_packet *packet)
{
    assert(packet->kind == RTCP_NACK);
    return (struct rtcp_nack_walk){.left = packet->feedback.fci};
}

// RFC 4585 6.2.1: PID is lost; bit i of BLP, counted from the least significant as 1: PID + i too.
bool rtcp_nack_next(struct rtcp_nack_walk *walk, uint16_t *out)
{
    if (walk->pending == 0) {
        if (walk->left.len < NACK_LEN)
            return false;
        walk->sequence = rtcp_get_u16(walk->left.at);
        walk->pending = 1 | (uint32_t)rtcp_get_u16(walk->left.at + 2) << 1;
        walk->left = bytes_from(walk->left, NACK_LEN);
    }
    while (!(walk->pending & 1)) {
        walk->pending >>= 1;
        walk->sequence++;
    }
    *out = walk->sequence++;
    walk->pending >>= 1;
    return true;
}

bool rtcp_fir_entry(const struct rtcp_packet *packet, size_t index, struct rtcp_fir_entry *out)
{
    assert(packet->kind == RTCP_FIR);
    if (index >= packet->feedback.entries)
        return false;
    const uint8_t *at = packet->feedback.fci.at + index * FIR_LEN;
    *out = (struct rtcp_fir_entry){.ssrc = rtcp_get_u32(at), .sequence = at[4]};
    return true;
}

bool rtcp_tmmb_entry(const struct rtcp_packet *packet, size_t index, struct rtcp_tmmb_entry *out)
{
    assert(packet->kind == RTCP_TMMBR || packet->kind == RTCP_TMMBN);
    if (index >= packet->feedback.entries)
        return false;
    const uint8_t *at = packet->feedback.fci.at + index * TMMB_LEN;
    uint32_t word = rtcp_get_u32(at + 4);
    unsigned exponent = word >> 26;
    uint64_t mantissa = word >> 9 & 0x1ffff;
    *out = (struct rtcp_tmmb_entry){
        .ssrc = rtcp_get_u32(at),
        .bitrate = mantissa > UINT64_MAX >> exponent ? UINT64_MAX : mantissa << exponent,
        .overhead = word & 0x1ff};
    return true;
}

struct rtcp_ccfb_walk rtcp_ccfb_start(const struct rtcp_packet *packet)
{
    assert(packet->kind == RTCP_CCFB);
    return (struct rtcp_ccfb_walk){packet->ccfb.blocks};
}

bool rtcp_ccfb_next(struct rtcp_ccfb_walk *walk, struct rtcp_ccfb_block *out)
{
    return walk->left.len && ccfb_split(walk->left, out, &walk->left);
}

bool rtcp_ccfb_metric(const struct rtcp_ccfb_block *block, size_t index,
                      struct rtcp_ccfb_metric *out)
{
    if (index >= block->count)
        return false;
    uint16_t word = rtcp_get_u16(block->metrics.at + 2 * index);
    *out = (struct rtcp_ccfb_metric){0};
    if (word & 0x8000) // RFC 8888 3.1: else the rest must be ignored
        *out = (struct rtcp_ccfb_metric){true, word >> 13 & 3, word & 0x1fff};
    return true;
}

struct rtcp_xr_walk rtcp_xr_start(const struct rtcp_packet *packet)
{
    assert(packet->kind == RTCP_XR);
    return (struct rtcp_xr_walk){bytes_from(packet->body, 4)};
}

bool rtcp_xr_next(struct rtcp_xr_walk *walk, struct rtcp_xr_block *out)
{
    return walk->left.len && xr_split(walk->left, out, &walk->left);
}

bool rtcp_xr_rrtr(const struct rtcp_xr_block *block, uint64_t *ntp)
{
    if (block->type != RTCP_XR_RRTR)
        return false;
    struct reader r = reader_of(block->body);
    *ntp = read_u64(&r);
    return !r.failed;
}

bool rtcp_xr_dlrr(const struct rtcp_xr_block *block, size_t index, struct rtcp_dlrr *out)
{
    if (block->type != RTCP_XR_DLRR || index >= block->body.len / DLRR_LEN)
        return false;
    struct reader r = reader_of(bytes_from(block->body, index * DLRR_LEN));
    out->ssrc = read_u32(&r);
    out->lrr = read_u32(&r);
    out->dlrr = read_u32(&r);
    return true;
}
