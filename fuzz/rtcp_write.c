// RTCP packets whose contents the bytes choose, of each type: written, they are read and the same;
// a buffer that is too small is never overrun, and says so.
#include "fuzz/fuzz.h"
#include "stack/rtp/rtcp.h"

// libFuzzer: -max_len=1500

#define ROOM 16384
#define ITEMS_MAX 400

static uint8_t buffer[ROOM];

static struct rtcp_packet read_back(const struct writer *w, enum rtcp_kind kind, uint32_t sender)
{
    struct rtcp_walk walk;
    struct rtcp_packet packet;
    assert(!w->failed && w->len % 4 == 0);
    assert(rtcp_walk_start(&walk, writer_bytes(w), true) == RTCP_OK);
    assert(rtcp_next(&walk, &packet) == RTCP_OK && packet.kind == kind && walk.left.len == 0);
    assert(packet.sender == sender);
    return packet;
}

static struct rtcp_block block_of(struct reader *r)
{
    struct rtcp_block block = {.ssrc = read_u32(r), .fraction_lost = read_u8(r)};
    block.cumulative_lost = (int32_t)read_u32(r);
    block.highest_sequence = read_u32(r);
    block.jitter = read_u32(r);
    block.lsr = read_u32(r);
    block.dlsr = read_u32(r);
    return block;
}

// RFC 3550 A.3: what 24 bits with a sign hold, or the nearest.
static int32_t clamped(int32_t lost)
{
    return lost > 0x7fffff ? 0x7fffff : lost < -0x800000 ? -0x800000 : lost;
}

static void reports(struct reader *r, struct writer *w, uint32_t sender, bool sends)
{
    struct rtcp_block blocks[RTCP_BLOCKS_MAX], got;
    size_t count = fuzz_choice(r, RTCP_BLOCKS_MAX + 1);
    struct rtcp_sender_info info = {.ntp = read_u64(r)};
    info.rtp_timestamp = read_u32(r);
    info.packets = read_u32(r);
    info.octets = read_u32(r);
    for (size_t i = 0; i < count; i++)
        blocks[i] = block_of(r);
    if (sends)
        rtcp_write_sr(w, sender, &info, blocks, count);
    else
        rtcp_write_rr(w, sender, blocks, count);
    if (w->failed)
        return;
    struct rtcp_packet p = read_back(w, sends ? RTCP_SR : RTCP_RR, sender);
    assert(p.count == count && p.report.extension.len == 0);
    assert(!sends || (p.report.info.ntp == info.ntp && p.report.info.octets == info.octets &&
                      p.report.info.packets == info.packets &&
                      p.report.info.rtp_timestamp == info.rtp_timestamp));
    for (size_t i = 0; i < count; i++) {
        assert(rtcp_report_block(&p, i, &got));
        assert(got.ssrc == blocks[i].ssrc && got.fraction_lost == blocks[i].fraction_lost);
        assert(got.cumulative_lost == clamped(blocks[i].cumulative_lost));
        assert(got.jitter == blocks[i].jitter);
        assert(got.highest_sequence == blocks[i].highest_sequence && got.lsr == blocks[i].lsr);
        assert(got.dlsr == blocks[i].dlsr);
    }
}

#define CHUNKS 4
#define CHUNK_ITEMS 4
static void sdes(struct reader *r, struct writer *w, uint32_t sender)
{
    struct rtcp_sdes_item items[CHUNKS][CHUNK_ITEMS], item;
    struct rtcp_sdes_writer s = rtcp_write_sdes(w);
    size_t chunks = 1 + fuzz_choice(r, CHUNKS), counts[CHUNKS];
    for (size_t i = 0; i < chunks; i++) {
        counts[i] = fuzz_choice(r, CHUNK_ITEMS + 1);
        for (size_t k = 0; k < counts[i]; k++) {
            items[i][k].type = (uint8_t)(1 + fuzz_choice(r, 255));
            items[i][k].text = fuzz_slice(r);
        }
        rtcp_write_sdes_chunk(&s, sender + (uint32_t)i, items[i], counts[i]);
    }
    rtcp_write_sdes_end(&s);
    if (w->failed)
        return;
    struct rtcp_packet p = read_back(w, RTCP_SDES, sender);
    struct rtcp_sdes_walk walk = rtcp_sdes_start(&p);
    struct rtcp_sdes_chunk chunk;
    for (size_t i = 0; i < chunks; i++) {
        assert(rtcp_sdes_chunk_next(&walk, &chunk) && chunk.ssrc == sender + (uint32_t)i);
        for (size_t k = 0; k < counts[i]; k++) {
            assert(rtcp_sdes_item_next(&chunk, &item) && item.type == items[i][k].type);
            assert(bytes_equal(item.text, items[i][k].text));
        }
        assert(!rtcp_sdes_item_next(&chunk, &item));
    }
    assert(!rtcp_sdes_chunk_next(&walk, &chunk));
}

static void bye(struct reader *r, struct writer *w, uint32_t sender)
{
    uint32_t ssrcs[RTCP_BLOCKS_MAX], got;
    size_t count = 1 + fuzz_choice(r, RTCP_BLOCKS_MAX);
    for (size_t i = 0; i < count; i++)
        ssrcs[i] = i ? read_u32(r) : sender;
    struct bytes reason = fuzz_slice(r);
    rtcp_write_bye(w, ssrcs, count, reason);
    if (w->failed)
        return;
    struct rtcp_packet p = read_back(w, RTCP_BYE, sender);
    assert(p.count == count && bytes_equal(p.bye.reason, reason));
    for (size_t i = 0; i < count; i++)
        assert(rtcp_ssrc_at(p.bye.ssrcs, i, &got) && got == ssrcs[i]);
}

static void app(struct reader *r, struct writer *w, uint32_t sender)
{
    struct bytes data = fuzz_slice(r);
    data.len &= ~(size_t)3;
    uint8_t subtype = read_u8(r) & 31;
    rtcp_write_app(w, sender, subtype, "sim1", data);
    if (w->failed)
        return;
    struct rtcp_packet p = read_back(w, RTCP_APP, sender);
    assert(p.count == subtype && memcmp(p.app.name, "sim1", 4) == 0);
    assert(bytes_equal(p.app.data, data));
}

// Rising numbers, in as many packets as the room asks for.
static void nack(struct reader *r, struct writer *w, uint32_t sender)
{
    uint16_t sequences[ITEMS_MAX], got;
    size_t count = 1 + read_u16(r) % ITEMS_MAX, at = 0, taken;
    uint32_t at_sequence = read_u16(r), media = read_u32(r), first = at_sequence;
    for (size_t i = 0; i < count; i++) {
        sequences[i] = (uint16_t)at_sequence;
        unsigned step = 1 + read_u8(r) % 40;
        at_sequence += at_sequence + step - first < 30000 ? step : 1;
    }
    size_t room = 16 + read_u16(r) % 1000;
    while (at < count) {
        *w = writer_of(buffer, room);
        taken = rtcp_write_nack(w, sender, media, sequences + at, count - at);
        assert(taken > 0 && taken <= count - at);
        struct rtcp_packet p = read_back(w, RTCP_NACK, sender);
        struct rtcp_nack_walk walk = rtcp_nack_start(&p);
        assert(p.feedback.media == media);
        for (size_t i = 0; i < taken; i++)
            assert(rtcp_nack_next(&walk, &got) && got == sequences[at + i]);
        assert(!rtcp_nack_next(&walk, &got));
        at += taken;
    }
}

static void entries(struct reader *r, struct writer *w, uint32_t sender, unsigned which)
{
    struct rtcp_fir_entry firs[16], fir;
    struct rtcp_tmmb_entry tmmbs[16], tmmb;
    size_t count = 1 + fuzz_choice(r, 16);
    for (size_t i = 0; i < count; i++) {
        firs[i] = (struct rtcp_fir_entry){read_u32(r), read_u8(r)};
        tmmbs[i] = (struct rtcp_tmmb_entry){firs[i].ssrc, read_u64(r) >> read_u8(r) % 64,
                                            read_u16(r) & 511};
    }
    if (which == 0)
        rtcp_write_fir(w, sender, firs, count);
    else if (which == 1)
        rtcp_write_tmmbr(w, sender, tmmbs, count);
    else
        rtcp_write_tmmbn(w, sender, tmmbs, count);
    if (w->failed)
        return;
    static const enum rtcp_kind kinds[] = {RTCP_FIR, RTCP_TMMBR, RTCP_TMMBN};
    struct rtcp_packet p = read_back(w, kinds[which], sender);
    assert(p.feedback.entries == count);
    for (size_t i = 0; i < count; i++) {
        if (which == 0) {
            assert(rtcp_fir_entry(&p, i, &fir));
            assert(fir.ssrc == firs[i].ssrc && fir.sequence == firs[i].sequence);
            continue;
        }
        assert(rtcp_tmmb_entry(&p, i, &tmmb) && tmmb.ssrc == tmmbs[i].ssrc);
        assert(tmmb.overhead == tmmbs[i].overhead && tmmb.bitrate <= tmmbs[i].bitrate);
        assert(tmmbs[i].bitrate - tmmb.bitrate <= tmmbs[i].bitrate >> 16); // 17 bits of mantissa
    }
}

static void remb(struct reader *r, struct writer *w, uint32_t sender)
{
    uint32_t ssrcs[255], got;
    size_t count = read_u8(r);
    uint64_t bitrate = read_u64(r) >> read_u8(r) % 64;
    for (size_t i = 0; i < count; i++)
        ssrcs[i] = read_u32(r);
    rtcp_write_remb(w, sender, bitrate, ssrcs, count);
    if (w->failed)
        return;
    struct rtcp_packet p = read_back(w, RTCP_REMB, sender);
    assert(p.remb.ssrc_count == count && p.remb.bitrate <= bitrate);
    assert(bitrate - p.remb.bitrate <= bitrate >> 17);
    for (size_t i = 0; i < count; i++)
        assert(rtcp_ssrc_at(p.remb.ssrcs, i, &got) && got == ssrcs[i]);
}

// Times go up and down; a feedback ends where the next delta would not fit.
static void transport_cc(struct reader *r, struct writer *w, uint32_t sender)
{
    static struct rtcp_arrival arrivals[ITEMS_MAX], got[ITEMS_MAX];
    size_t count = 1 + read_u16(r) % ITEMS_MAX, at = 0, read;
    uint16_t base = read_u16(r);
    int64_t time = read_u32(r);
    for (size_t i = 0; i < count; i++) {
        unsigned how = read_u8(r);
        time += how < 200 ? (int64_t)how : (int16_t)read_u16(r);
        time = time > 0 ? time : 0;
        bool received = how % 8 != 7;
        arrivals[i] = (struct rtcp_arrival){(uint16_t)(base + i), received, received ? time : 0};
    }
    while (at < count) {
        *w = writer_of(buffer, 24 + read_u16(r) % 1200);
        const struct rtcp_transport_cc_head head = {sender, 7, (uint8_t)at};
        size_t taken = rtcp_write_transport_cc(w, &head, arrivals + at, count - at);
        assert(taken <= count - at);
        if (taken == 0) { // of a run of packets that did not come, the first ends it
            assert(w->len == 0);
            at++;
            continue;
        }
        struct rtcp_packet p = read_back(w, RTCP_TRANSPORT_CC, sender);
        assert(rtcp_transport_cc_read(&p, got, ITEMS_MAX, &read) == RTCP_OK && read == taken);
        for (size_t i = 0; i < taken; i++) {
            assert(got[i].sequence == arrivals[at + i].sequence);
            assert(got[i].received == arrivals[at + i].received);
            assert((uint32_t)got[i].time == (uint32_t)arrivals[at + i].time);
        }
        at += taken;
    }
}

static void ccfb(struct reader *r, struct writer *w, uint32_t sender)
{
    struct rtcp_ccfb_metric metrics[64], got;
    struct reader copy = *r;
    struct rtcp_ccfb_writer s = rtcp_write_ccfb(w, sender);
    size_t blocks = fuzz_choice(r, 5);
    for (unsigned pass = 0; pass < 2; pass++) {
        struct rtcp_packet p = {0};
        struct rtcp_ccfb_walk walk = {0};
        struct rtcp_ccfb_block block;
        if (pass == 1) {
            rtcp_write_ccfb_end(&s, sender ^ 5);
            if (w->failed)
                return;
            p = read_back(w, RTCP_CCFB, sender);
            assert(p.ccfb.report_timestamp == (sender ^ 5));
            walk = rtcp_ccfb_start(&p);
            *r = copy;
            blocks = fuzz_choice(r, 5);
        }
        for (size_t i = 0; i < blocks; i++) {
            uint32_t ssrc = read_u32(r);
            uint16_t begin = read_u16(r);
            size_t count = 1 + fuzz_choice(r, 64);
            for (size_t k = 0; k < count; k++) {
                unsigned v = read_u16(r);
                bool received = v >> 15;
                metrics[k] = (struct rtcp_ccfb_metric){received, received ? v >> 13 & 3 : 0,
                                                       received ? v & 0x1fff : 0};
            }
            if (pass == 0) {
                rtcp_write_ccfb_block(&s, ssrc, begin, metrics, count);
                continue;
            }
            assert(rtcp_ccfb_next(&walk, &block) && block.ssrc == ssrc && block.count == count);
            assert(block.begin_sequence == begin);
            for (size_t k = 0; k < count; k++) {
                assert(rtcp_ccfb_metric(&block, k, &got) && got.received == metrics[k].received);
                assert(got.ecn == metrics[k].ecn && got.offset == metrics[k].offset);
            }
        }
    }
}

static void extended(struct reader *r, struct writer *w, uint32_t sender, bool reference)
{
    struct rtcp_dlrr dlrrs[16], dlrr;
    size_t count = 1 + fuzz_choice(r, 16);
    uint64_t ntp = read_u64(r), got;
    for (size_t i = 0; i < count; i++)
        dlrrs[i] = (struct rtcp_dlrr){read_u32(r), read_u32(r), read_u32(r)};
    if (reference)
        rtcp_write_xr_rrtr(w, sender, ntp);
    else
        rtcp_write_xr_dlrr(w, sender, dlrrs, count);
    if (w->failed)
        return;
    struct rtcp_packet p = read_back(w, RTCP_XR, sender);
    struct rtcp_xr_walk walk = rtcp_xr_start(&p);
    struct rtcp_xr_block block;
    assert(rtcp_xr_next(&walk, &block));
    assert(rtcp_xr_rrtr(&block, &got) == reference && (!reference || got == ntp));
    for (size_t i = 0; i < count && !reference; i++) {
        assert(rtcp_xr_dlrr(&block, i, &dlrr) && dlrr.ssrc == dlrrs[i].ssrc);
        assert(dlrr.lrr == dlrrs[i].lrr && dlrr.dlrr == dlrrs[i].dlrr);
    }
    assert(!rtcp_xr_next(&walk, &block));
}

// What was written, and padded, is the same packet.
static void pad(struct writer *w, unsigned words)
{
    struct rtcp_walk walk;
    struct rtcp_packet plain, padded;
    struct bytes whole = writer_bytes(w);
    if (whole.len == 0 || words == 0)
        return;
    assert(rtcp_walk_start(&walk, whole, true) == RTCP_OK && rtcp_next(&walk, &plain) == RTCP_OK);
    w->max = ROOM;
    rtcp_pad(w, 0, (uint8_t)(words * 4));
    assert(!w->failed && w->len == whole.len + 4 * (size_t)words);
    assert(rtcp_walk_start(&walk, writer_bytes(w), true) == RTCP_OK);
    assert(rtcp_next(&walk, &padded) == RTCP_OK && padded.kind == plain.kind);
    assert(padded.padding == words * 4 && bytes_equal(padded.body, plain.body));
}

static void write_one(struct reader *r, struct writer *w, unsigned kind, uint32_t sender)
{
    if (kind < 2)
        reports(r, w, sender, kind);
    else if (kind == 2)
        sdes(r, w, sender);
    else if (kind == 3)
        bye(r, w, sender);
    else if (kind == 4)
        app(r, w, sender);
    else if (kind == 5)
        nack(r, w, sender);
    else if (kind < 9)
        entries(r, w, sender, kind - 6);
    else if (kind == 9)
        remb(r, w, sender);
    else if (kind == 10)
        transport_cc(r, w, sender);
    else if (kind == 11)
        ccfb(r, w, sender);
    else if (kind < 14)
        extended(r, w, sender, kind == 12);
    else
        rtcp_write_pli(w, sender, read_u32(r));
}

// The same once more, into memory of its own that is too small by some bytes.
static void write_too_small(struct reader r, unsigned kind, uint32_t sender, size_t len)
{
    size_t room = len - 1 - sender % len;
    uint8_t *at = mem_alloc(room ? room : 1);
    struct writer w = writer_of(at, room);
    write_one(&r, &w, kind, sender);
    assert(w.failed && w.len <= room);
    free(at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(bytes_of(data, size)), copy;
    struct writer w = writer_of(buffer, sizeof buffer);
    unsigned kind = fuzz_choice(&r, 15), words = read_u8(&r) % 64;
    uint32_t sender = read_u32(&r);
    copy = r;
    write_one(&r, &w, kind, sender);
    assert(!w.failed);
    if (kind == 14)
        assert(read_back(&w, RTCP_PLI, sender).count == 1);
    if (kind != 5 && kind != 10) // which write as much as there is room for, and have little
        write_too_small(copy, kind, sender, w.len);
    pad(&w, words);
    return 0;
}
