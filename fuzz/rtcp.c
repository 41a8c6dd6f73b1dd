// Any bytes as RTCP, compound or of reduced size. What is read lies within the datagram, however it
// is asked for; written again it is read as the same packet, and written once more it is the same
// bytes.
#include "fuzz/fuzz.h"
#include "fuzz/kit/rtp_mutate.h"
#include "stack/rtp/rtcp.h"

// libFuzzer: -max_len=1500

#define ROOM 4096
#define ARRIVALS_MAX 70000
#define STEPS_MAX 20000

static uint64_t steps; // of the walks over one datagram

static void step(void)
{
    steps++;
    assert(steps < STEPS_MAX);
}

static void read_reports(const struct rtcp_packet *p)
{
    struct rtcp_block block;
    size_t count = 0;
    while (rtcp_report_block(p, count, &block))
        count++;
    assert(count == p->count && count <= RTCP_BLOCKS_MAX);
    assert(p->report.blocks.len == count * RTCP_BLOCK_LEN);
    assert(fuzz_is_inside(p->body, p->report.blocks));
    assert(fuzz_is_inside(p->body, p->report.extension));
}

static void read_sdes(const struct rtcp_packet *p)
{
    struct rtcp_sdes_walk walk = rtcp_sdes_start(p);
    struct rtcp_sdes_chunk chunk;
    struct rtcp_sdes_item item;
    unsigned chunks = 0;
    for (; rtcp_sdes_chunk_next(&walk, &chunk); chunks++) {
        step();
        while (rtcp_sdes_item_next(&chunk, &item)) {
            step();
            assert(item.type != 0 && item.text.len <= 255 && fuzz_is_inside(p->body, item.text));
        }
    }
    assert(chunks == p->count);
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
        nacks = rtcp_nack_start(p);
        for (; rtcp_nack_next(&nacks, &sequence); lost++)
            step();
        assert(lost >= p->feedback.entries && lost <= 17 * p->feedback.entries);
        return;
    case RTCP_FIR:
        while (rtcp_fir_entry(p, entries, &fir))
            entries++;
        break;
    default:
        while (rtcp_tmmb_entry(p, entries, &tmmb))
            entries++;
    }
    assert(entries == p->feedback.entries && entries * 8 <= p->feedback.fci.len);
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
    }
    if (count > 1)
        assert(rtcp_transport_cc_read(p, arrivals, 1, &first) == RTCP_FULL && first == 1);
}

static void read_ccfb(const struct rtcp_packet *p)
{
    struct rtcp_ccfb_walk walk = rtcp_ccfb_start(p);
    struct rtcp_ccfb_block block;
    struct rtcp_ccfb_metric metric;
    while (rtcp_ccfb_next(&walk, &block)) {
        step();
        assert(fuzz_is_inside(p->body, block.metrics));
        for (size_t i = 0; rtcp_ccfb_metric(&block, i, &metric); i++)
            assert(i < block.count && metric.ecn < 4 && metric.offset < 0x2000);
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
        (void)rtcp_xr_rrtr(&block, &ntp);
        for (size_t i = 0; rtcp_xr_dlrr(&block, i, &dlrr); i++)
            assert((i + 1) * 12 <= block.body.len);
    }
}

static void read_ssrcs(struct bytes body, struct bytes ssrcs, size_t count)
{
    uint32_t ssrc;
    size_t got = 0;
    assert(fuzz_is_inside(body, ssrcs));
    while (rtcp_ssrc_at(ssrcs, got, &ssrc))
        got++;
    assert(got == count);
}

static void read_packet(const struct rtcp_packet *p)
{
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
        break;
    case RTCP_APP:
        assert(fuzz_is_inside(p->body, p->app.data) && p->app.data.len % 4 == 0);
        break;
    case RTCP_REMB:
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
    case RTCP_UNKNOWN:
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
    read_packet(&again);
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
