// Any bytes as RTCP, compound or of reduced size. What is read lies within the datagram, however it
// is asked for, and is all of it; written again it is read as the same packet, value by value, and
// written once more it is the same bytes. Transport-wide feedback has a plain model besides.
#include "fuzz/fuzz.h"
#include "fuzz/kit/rtp_mutate.h"
#include "stack/rtp/rtcp.h"

// libFuzzer: -max_len=1500

#define ROOM 4096
#define ARRIVALS_MAX 70000
#define STEPS_MAX 20000
#define MODEL_MAX 300 // what it looks at from the start each time

// Rates beyond what can be written are read as the largest number.
#define RATE_MAX (0x1ffffull << 46)

static uint64_t steps;    // of the walks over one datagram
static uint64_t contents; // of the packet that was read last: FNV-1a

static void step(void)
{
    steps++;
    assert(steps < STEPS_MAX);
}

static void note(uint64_t value)
{
    contents = (contents ^ value) * 0x100000001b3u;
}

static void note_bytes(struct bytes bytes)
{
    note(bytes.len);
    for (size_t i = 0; i < bytes.len; i++)
        note(bytes.at[i]);
}

static void read_reports(const struct rtcp_packet *p)
{
    struct rtcp_block block;
    size_t count = 0;
    for (; rtcp_report_block(p, count, &block); count++) {
        note(block.ssrc);
        note(block.fraction_lost);
        note((uint64_t)block.cumulative_lost);
        note(block.highest_sequence);
        note(block.jitter);
        note(block.lsr);
        note(block.dlsr);
    }
    note(p->report.info.ntp);
    note(p->report.info.rtp_timestamp);
    note(p->report.info.packets);
    note(p->report.info.octets);
    note_bytes(p->report.extension);
    assert(count == p->count && count <= RTCP_BLOCKS_MAX);
    assert(p->report.blocks.len == count * RTCP_BLOCK_LEN);
    assert(fuzz_is_inside(p->body, p->report.blocks));
    assert(fuzz_is_inside(p->body, p->report.extension));
    assert(p->body.len ==
           (p->kind == RTCP_SR ? 24u : 4u) + p->report.blocks.len + p->report.extension.len);
}

static void read_sdes(const struct rtcp_packet *p)
{
    struct rtcp_sdes_walk walk = rtcp_sdes_start(p);
    struct rtcp_sdes_chunk chunk;
    struct rtcp_sdes_item item;
    unsigned chunks = 0;
    size_t len = 0;
    for (; rtcp_sdes_chunk_next(&walk, &chunk); chunks++) {
        step();
        note(chunk.ssrc);
        size_t items = 0;
        while (rtcp_sdes_item_next(&chunk, &item)) {
            step();
            assert(item.type != 0 && item.text.len <= 255 && fuzz_is_inside(p->body, item.text));
            items += 2 + item.text.len;
            note(item.type);
            note_bytes(item.text);
        }
        len +=
            4 + (items + 4) / 4 * 4; // RFC 3550 6.5: null octets up to the next word, one at least
    }
    assert(chunks == p->count && len == p->body.len);
}

static void read_feedback(const struct rtcp_packet *p)
{
    struct rtcp_nack_walk nacks;
    struct rtcp_fir_entry fir;
    struct rtcp_tmmb_entry tmmb;
    uint16_t sequence;
    size_t lost = 0, entries = 0;
    assert(fuzz_is_inside(p->body, p->feedback.fci));
    switch (p->kind) {
    case RTCP_NACK:
        note(p->feedback.media);
        nacks = rtcp_nack_start(p);
        for (; rtcp_nack_next(&nacks, &sequence); lost++) {
            step();
            note(sequence);
        }
        assert(lost >= p->feedback.entries && lost <= 17 * p->feedback.entries);
        assert(p->feedback.entries > 0 && p->feedback.entries * 4 == p->feedback.fci.len);
        return;
    case RTCP_FIR:
        for (; rtcp_fir_entry(p, entries, &fir); entries++) {
            note(fir.ssrc);
            note(fir.sequence);
        }
        break;
    default:
        for (; rtcp_tmmb_entry(p, entries, &tmmb); entries++) {
            note(tmmb.ssrc);
            note(tmmb.bitrate < RATE_MAX ? tmmb.bitrate : RATE_MAX);
            note(tmmb.overhead);
        }
    }
    assert(entries == p->feedback.entries && entries * 8 == p->feedback.fci.len);
}

// The draft's 3.1, plainly: the symbol of each number, from chunk to chunk.
static unsigned symbol_of(struct bytes chunks, size_t number)
{
    for (size_t at = 0;; at += 2) {
        assert(at + 2 <= chunks.len);
        unsigned chunk = (unsigned)chunks.at[at] << 8 | chunks.at[at + 1];
        size_t count = chunk < 0x8000 ? chunk & 0x1fff : chunk & 0x4000 ? 7 : 14;
        if (number >= count) {
            number -= count;
            continue;
        }
        return chunk < 0x8000   ? chunk >> 13
               : chunk & 0x4000 ? chunk >> (12 - 2 * number) & 3
                                : chunk >> (13 - number) & 1;
    }
}

static void read_transport(const struct rtcp_packet *p)
{
    static struct rtcp_arrival arrivals[ARRIVALS_MAX];
    size_t count = 0, first = 0;
    assert(rtcp_transport_cc_read(p, arrivals, ARRIVALS_MAX, &count) == RTCP_OK);
    assert(count == p->transport.status_count);
    for (size_t i = 0; i < count; i++) {
        assert(arrivals[i].sequence == (uint16_t)(p->transport.base_sequence + i));
        assert(arrivals[i].received || arrivals[i].time == 0);
        note(arrivals[i].received);
        note((uint64_t)arrivals[i].time);
    }
    note(p->transport.media);
    note(p->transport.feedback_count);
    int64_t time = (int64_t)p->transport.reference * 256;
    for (size_t i = 0; i < count && i < MODEL_MAX; i++) {
        unsigned symbol = symbol_of(p->transport.chunks, i);
        assert(symbol < 3 && arrivals[i].received == (symbol > 0));
        int64_t delta = arrivals[i].received ? arrivals[i].time - time : 0;
        assert(symbol == 1 ? delta >= 0 && delta <= 255 : delta >= INT16_MIN && delta <= INT16_MAX);
        time += delta;
    }
    if (count > 1)
        assert(rtcp_transport_cc_read(p, arrivals, 1, &first) == RTCP_FULL && first == 1);
}

static void read_ccfb(const struct rtcp_packet *p)
{
    struct rtcp_ccfb_walk walk = rtcp_ccfb_start(p);
    struct rtcp_ccfb_block block;
    struct rtcp_ccfb_metric metric;
    note(p->ccfb.report_timestamp);
    while (rtcp_ccfb_next(&walk, &block)) {
        step();
        assert(fuzz_is_inside(p->body, block.metrics));
        note(block.ssrc);
        note(block.begin_sequence);
        note(block.count);
        size_t count = 0;
        for (; rtcp_ccfb_metric(&block, count, &metric); count++) {
            assert(metric.ecn < 4 && metric.offset < 0x2000);
            assert(metric.received || (metric.ecn == 0 && metric.offset == 0));
            note((uint64_t)metric.received << 15 | (uint64_t)metric.ecn << 13 | metric.offset);
        }
        assert(count == block.count);
    }
}

static void read_xr(const struct rtcp_packet *p)
{
    struct rtcp_xr_walk walk = rtcp_xr_start(p);
    struct rtcp_xr_block block;
    struct rtcp_dlrr dlrr;
    uint64_t ntp;
    while (rtcp_xr_next(&walk, &block)) {
        step();
        assert(fuzz_is_inside(p->body, block.body) && block.body.len % 4 == 0);
        note(block.type);
        note(block.specific);
        note_bytes(block.body);
        assert(rtcp_xr_rrtr(&block, &ntp) == (block.type == RTCP_XR_RRTR));
        size_t entries = 0;
        while (rtcp_xr_dlrr(&block, entries, &dlrr))
            entries++;
        assert(block.type == RTCP_XR_DLRR ? entries * 12 == block.body.len : entries == 0);
    }
}

static void read_ssrcs(struct bytes body, struct bytes ssrcs, size_t count)
{
    uint32_t ssrc;
    size_t got = 0;
    assert(fuzz_is_inside(body, ssrcs));
    for (; rtcp_ssrc_at(ssrcs, got, &ssrc); got++)
        note(ssrc);
    assert(got == count);
}

static void read_packet(const struct rtcp_packet *p)
{
    contents = 14695981039346656037u;
    switch (p->kind) {
    case RTCP_SR:
    case RTCP_RR:
        read_reports(p);
        break;
    case RTCP_SDES:
        read_sdes(p);
        break;
    case RTCP_BYE:
        read_ssrcs(p->body, p->bye.ssrcs, p->count);
        assert(fuzz_is_inside(p->body, p->bye.reason));
        note_bytes(p->bye.reason);
        break;
    case RTCP_APP:
        assert(fuzz_is_inside(p->body, p->app.data) && p->app.data.len % 4 == 0);
        note_bytes(bytes_of(p->app.name, 4));
        note_bytes(p->app.data);
        break;
    case RTCP_REMB:
        note(p->remb.bitrate < RATE_MAX ? p->remb.bitrate : RATE_MAX);
        read_ssrcs(p->body, p->remb.ssrcs, p->remb.ssrc_count);
        break;
    case RTCP_NACK:
    case RTCP_FIR:
    case RTCP_TMMBR:
    case RTCP_TMMBN:
        read_feedback(p);
        break;
    case RTCP_TRANSPORT_CC:
        read_transport(p);
        break;
    case RTCP_CCFB:
        read_ccfb(p);
        break;
    case RTCP_XR:
        read_xr(p);
        break;
    case RTCP_PLI:
        note(p->feedback.media);
        break;
    case RTCP_UNKNOWN:
        note_bytes(p->body);
        break;
    case RTCP_KINDS:
        break;
    }
}

static void write_and_read(const struct rtcp_packet *p)
{
    static uint8_t first[ROOM], second[ROOM];
    struct writer one = writer_of(first, sizeof first), two = writer_of(second, sizeof second);
    struct rtcp_walk walk;
    struct rtcp_packet again;
    rtcp_write(&one, p);
    assert(!one.failed);
    assert(rtcp_walk_start(&walk, writer_bytes(&one), true) == RTCP_OK);
    assert(rtcp_next(&walk, &again) == RTCP_OK && walk.left.len == 0);
    assert(again.kind == p->kind && again.count == p->count && again.sender == p->sender);
    assert(again.padding == 0 && again.type == p->type);
    uint64_t wanted = contents;
    read_packet(&again);
    assert(contents == wanted);
    rtcp_write(&two, &again);
    assert(!two.failed && bytes_equal(writer_bytes(&one), writer_bytes(&two)));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return seed % 4 ? LLVMFuzzerMutate(data, size, max) : rtcp_mutate(data, size, max, seed / 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes datagram = bytes_of(data, size);
    struct rtcp_walk walk, full;
    struct rtcp_packet packet;
    enum rtcp_outcome outcome = rtcp_walk_start(&walk, datagram, true);
    enum rtcp_outcome strict = rtcp_walk_start(&full, datagram, false);
    assert(outcome < RTCP_OUTCOMES && (strict == outcome || strict == RTCP_BAD_FIRST));
    if (outcome != RTCP_OK)
        return 0;
    steps = 0;
    size_t sum = 0;
    while ((outcome = rtcp_next(&walk, &packet)) != RTCP_END) {
        step();
        assert(outcome < RTCP_OUTCOMES && rtcp_outcome_name(outcome));
        assert(packet.kind < RTCP_KINDS && rtcp_kind_name(packet.kind));
        assert(fuzz_is_inside(datagram, packet.raw) && packet.raw.len >= 4);
        sum += packet.raw.len;
        if (outcome != RTCP_OK)
            continue;
        assert(fuzz_is_inside(packet.raw, packet.body));
        read_packet(&packet);
        write_and_read(&packet);
    }
    assert(sum == size);
    return 0;
}
