// Congestion control feedback by the RTP sequence numbers of each stream (RFC 8888), both ways. It
// needs no header extension: the sender remembers which packet had which number, and congestion
// control sees the same as with transport-wide numbers.
#include "stack/media/media_priv.h"

#include <stdlib.h>

#define SENT_PACKETS 2048  // of a stream, that may still be reported; a power of two
#define BLOCK_HEAD 8       // of a stream in a report: SSRC, first number, count
#define HEAD 12            // of a report: RTCP's header, its sender, its time
#define REPORT_MOST 512    // packets of one stream in one report
#define REPORT_LEAST 8     // with less room than for these the next report takes them
#define OFFSET_MOST 0x1ffd // RFC 8888 3.1: later than that is 0x1ffe
#define OFFSET_TOO_LONG 0x1ffe
#define OFFSET_UNKNOWN 0x1fff

struct media_sent {
    struct sent {
        bool used, lost; // lost: reported as not received
        uint16_t sequence, transport;
    } packets[SENT_PACKETS];
};

// ----------------------------------------------------------------------------------------- sending

void media_ccfb_sent(struct media_sent **to, uint16_t sequence, uint16_t transport)
{
    if (!*to)
        *to = mem_zero(1, sizeof **to);
    (*to)->packets[sequence % SENT_PACKETS] = (struct sent){true, false, sequence, transport};
}

// What was sent under an SSRC; NULL: it is none of ours. `remote`: where its losses are counted;
// NULL: of repair streams they are not.
static struct media_sent *sent_of(struct media *m, uint32_t ssrc,
                                  struct media_remote_inbound **remote)
{
    uint16_t section = rtp_demux_send_section(m->demux, ssrc);
    if (section >= m->tracks_count)
        return NULL;
    struct media_track *t = &m->tracks[section];
    for (unsigned i = 0; i < t->layers; i++) {
        struct media_stream_out *out = &t->out[i];
        *remote = out->ssrc == ssrc ? &out->remote : NULL;
        if (out->ssrc == ssrc)
            return out->sent[MEDIA_IN_MEDIA];
        if (out->rtx_ssrc == ssrc)
            return out->sent[MEDIA_IN_RTX];
        if (out->fec_ssrc == ssrc)
            return out->sent[MEDIA_IN_FEC];
    }
    return NULL;
}

// W3C: packetsReportedAsLost, and those of them that came after all.
static void count_report(struct media_remote_inbound *remote, struct sent *one, bool received)
{
    if (!remote || one->lost != received)
        return;
    remote->packetsReportedAsLost += !received;
    remote->packetsReportedAsLostButRecovered += received;
    one->lost = !received;
}

// The report's clock as time that never wraps: 1/65536 s in 32 bits.
static nanotime report_time(struct media *m, uint32_t timestamp)
{
    int32_t step = (int32_t)(timestamp - (uint32_t)m->ccfb_clock);
    m->ccfb_clock = m->ccfb_known ? m->ccfb_clock + step : timestamp;
    m->ccfb_known = true;
    return m->ccfb_clock / 65536 * TIME_S + m->ccfb_clock % 65536 * TIME_S / 65536;
}

void media_ccfb_read(struct media *m, nanotime now, const struct rtcp_packet *packet)
{
    static struct arrival_result results[ARRIVAL_TAKE_MAX]; // one thread; written before it is read
    struct rtcp_ccfb_walk walk = rtcp_ccfb_start(packet);
    struct rtcp_ccfb_block block;
    nanotime at = report_time(m, packet->ccfb.report_timestamp);
    unsigned count = 0;
    m->stats.ccfbMessagesReceived++;
    while (rtcp_ccfb_next(&walk, &block)) {
        struct media_remote_inbound *remote;
        struct media_sent *sent = sent_of(m, block.ssrc, &remote);
        struct rtcp_ccfb_metric metric;
        for (unsigned i = 0; sent && rtcp_ccfb_metric(&block, i, &metric); i++) {
            uint16_t sequence = (uint16_t)(block.begin_sequence + i);
            struct sent *one = &sent->packets[sequence % SENT_PACKETS];
            bool timed = metric.received && metric.offset <= OFFSET_MOST;
            if (!one->used || one->sequence != sequence)
                continue;
            count_report(remote, one, metric.received);
            if ((metric.received && !timed) || count == ARRIVAL_TAKE_MAX)
                continue; // of no use to congestion control
            results[count++] = (struct arrival_result){
                .sequence = one->transport,
                .received = timed,
                .received_at = timed ? at - (nanotime)metric.offset * TIME_S / 1024 : 0};
        }
    }
    gcc_feedback(m->gcc, now, results, count);
}

// --------------------------------------------------------------------------------------- receiving

void media_ccfb_note(struct media *m, nanotime now, struct media_stream_in *s, uint16_t sequence,
                     size_t len)
{
    if (!m->ccfb)
        return;
    if (!s->arrival)
        s->arrival = arrival_new();
    arrival_packet(s->arrival, now, sequence, len + MEDIA_PACKET_OVERHEAD);
}

nanotime media_ccfb_deadline(const struct media *m)
{
    nanotime at = TIME_NEVER;
    for (unsigned i = 0; m->ccfb && i < m->streams_count; i++) {
        if (m->streams[i].used && m->streams[i].arrival)
            at = time_min(at, arrival_deadline(m->streams[i].arrival));
    }
    return at;
}

static void write_block(struct rtcp_ccfb_writer *to, nanotime now, struct media_stream_in *s,
                        unsigned most)
{
    static struct arrival_result results[REPORT_MOST]; // one thread
    static struct rtcp_ccfb_metric metrics[REPORT_MOST];
    unsigned count = arrival_take(s->arrival, now, results, most);
    for (unsigned i = 0; i < count; i++) {
        nanotime ago = time_max(now - results[i].received_at, 0);
        uint64_t offset = ((uint64_t)ago * 1024 + TIME_S / 2) / (uint64_t)TIME_S;
        metrics[i] = (struct rtcp_ccfb_metric){
            .received = results[i].received,
            .offset = (uint16_t)(offset > OFFSET_MOST ? OFFSET_TOO_LONG : offset)};
    }
    if (count)
        rtcp_write_ccfb_block(to, s->ssrc, results[0].sequence, metrics, count);
}

// RFC 8888 3.1: all streams of which something came, in one report.
bool media_ccfb_write(struct media *m, nanotime now, struct writer *w)
{
    size_t begun = w->len;
    struct rtcp_ccfb_writer to = rtcp_write_ccfb(w, media_sender_ssrc(m, 0));
    for (unsigned i = 0; i < m->streams_count; i++) {
        struct media_stream_in *s = &m->streams[i];
        if (!s->used || !s->arrival || arrival_deadline(s->arrival) == TIME_NEVER)
            continue;
        size_t used = w->len + BLOCK_HEAD + sizeof(uint32_t) + sizeof(uint16_t);
        size_t room = w->max > used ? (w->max - used) / sizeof(uint16_t) : 0;
        if (room < REPORT_LEAST)
            break;
        write_block(&to, now, s, room < REPORT_MOST ? (unsigned)room : REPORT_MOST);
    }
    rtcp_write_ccfb_end(&to, rtcp_ntp_middle(rtcp_ntp(now)));
    return !w->failed && w->len > begun + HEAD;
}
