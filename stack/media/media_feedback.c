// RTCP that comes in: what the other side says of our streams, wants of them, and says of its own.
#include "stack/media/media_priv.h"

#define FEEDBACK_MAX 2048 // statuses of one transport-wide feedback

// An outgoing stream by its SSRC, media or RTX; NULL: not ours.
static struct media_stream_out *out_of(struct media *m, uint32_t ssrc, struct media_track **track,
                                       unsigned *layer)
{
    uint16_t section = rtp_demux_send_section(m->demux, ssrc);
    if (section == RTP_DEMUX_NONE || section >= m->tracks_count)
        return NULL;
    *track = &m->tracks[section];
    for (*layer = 0; *layer < (*track)->layers; ++*layer) {
        struct media_stream_out *out = &(*track)->out[*layer];
        if (out->ssrc == ssrc || out->rtx_ssrc == ssrc)
            return out;
    }
    return NULL;
}

static struct media_stream_in *in_of(struct media *m, uint32_t ssrc)
{
    struct rtp_demux_stream stream;
    if (!m->streams || !rtp_demux_stream_by_ssrc(m->demux, ssrc, &stream) ||
        !m->streams[stream.index].used)
        return NULL;
    return &m->streams[stream.index];
}

// ----------------------------------------------------------------------------------------- reports

static void round_trip(struct media *m, nanotime rtt)
{
    m->rtt = rtt;
    remb_rtt(m->remb, rtt);
    for (unsigned i = 0; i < m->streams_count; i++) {
        if (m->streams[i].used && m->streams[i].nack)
            nack_set_rtt(m->streams[i].nack, rtt);
        if (m->streams[i].used && m->streams[i].video)
            frame_buffer_set_rtt(m->streams[i].video, rtt);
    }
    for (unsigned i = 0; i < m->tracks_count; i++) {
        for (unsigned k = 0; k < m->tracks[i].layers; k++) {
            if (m->tracks[i].out[k].history)
                rtp_history_set_rtt(m->tracks[i].out[k].history, rtt);
        }
    }
}

static void block_read(struct media *m, nanotime now, const struct rtcp_block *block)
{
    struct media_track *track;
    unsigned layer;
    nanotime rtt;
    struct media_stream_out *out = out_of(m, block->ssrc, &track, &layer);
    if (out)
        out->rtx_acknowledged |= out->rtx_ssrc == block->ssrc;
    if (!out || out->ssrc != block->ssrc)
        return; // of RTX nobody asks
    out->acknowledged = true;
    struct media_remote_inbound *remote = &out->remote;
    uint32_t rate = track->codec ? track->codec->clock_rate : 90000;
    remote->packetsLost = block->cumulative_lost;
    // RFC 3550 6.4.1: from the first number that went out to the highest that came, with its
    // cycles.
    int64_t expected = (int64_t)(block->highest_sequence - out->first_sequence) + 1;
    if (expected > block->cumulative_lost && expected <= (int64_t)out->packets)
        remote->packetsReceived = (uint64_t)(expected - block->cumulative_lost);
    remote->fractionLost = (uint64_t)block->fraction_lost * RNG_BILLION / 256;
    remote->jitter = (nanotime)block->jitter * TIME_S / rate;
    track->loss_256 = block->fraction_lost;
    if (rtcp_round_trip(now, block->lsr, block->dlsr, &rtt)) {
        remote->roundTripTime = rtt;
        remote->totalRoundTripTime += rtt;
        remote->roundTripTimeMeasurements++;
        round_trip(m, rtt);
    }
    gcc_receiver_report(m->gcc, now, block->fraction_lost, m->rtt);
}

static void sender_report(struct media *m, nanotime now, const struct rtcp_packet *packet)
{
    struct media_stream_in *s = in_of(m, packet->sender);
    if (!s)
        return;
    const struct rtcp_sender_info *info = &packet->report.info;
    rtp_receiver_sender_report(&s->receiver, now, info->ntp);
    s->last_sr = *info;
    s->last_sr_at = now;
    s->remote.packetsSent = info->packets;
    s->remote.bytesSent = info->octets;
    s->remote.reportsSent++;
    s->remote.remoteTimestamp = media_ntp_time(info->ntp);
}

static void blocks_read(struct media *m, nanotime now, const struct rtcp_packet *packet)
{
    struct rtcp_block block;
    for (size_t i = 0; rtcp_report_block(packet, i, &block); i++)
        block_read(m, now, &block);
}

static void extended_report(struct media *m, nanotime now, const struct rtcp_packet *packet)
{
    struct rtcp_xr_walk walk = rtcp_xr_start(packet);
    struct rtcp_xr_block block;
    struct media_stream_in *s = in_of(m, packet->sender);
    while (rtcp_xr_next(&walk, &block)) {
        uint64_t ntp;
        struct rtcp_dlrr dlrr;
        nanotime rtt;
        if (rtcp_xr_rrtr(&block, &ntp)) {
            m->rrtr = (struct media_rrtr){packet->sender, rtcp_ntp_middle(ntp), now};
            continue;
        }
        for (size_t i = 0; rtcp_xr_dlrr(&block, i, &dlrr); i++) {
            bool ours = rtp_demux_send_section(m->demux, dlrr.ssrc) != RTP_DEMUX_NONE;
            if (!s || !ours || !rtcp_round_trip(now, dlrr.lrr, dlrr.dlrr, &rtt))
                continue;
            s->remote.roundTripTime = rtt;
            s->remote.totalRoundTripTime += rtt;
            s->remote.roundTripTimeMeasurements++;
            round_trip(m, rtt);
        }
    }
}

// ---------------------------------------------------------------------------------------- feedback

static void keyframe(struct media *m, nanotime now, struct media_track *track, unsigned layer)
{
    if (track->source && track->config.kind == MEDIA_VIDEO) {
        track->out[layer].keyframe_asked = true;
        trace(&m->trace, now, "a key frame of '%s' is asked for", track->label);
    }
}

static void nack(struct media *m, nanotime now, const struct rtcp_packet *packet)
{
    struct media_track *track;
    unsigned layer;
    struct media_stream_out *out = out_of(m, packet->feedback.media, &track, &layer);
    if (!out || out->ssrc != packet->feedback.media)
        return;
    struct rtcp_nack_walk walk = rtcp_nack_start(packet);
    uint16_t sequence;
    out->nacks++;
    while (rtcp_nack_next(&walk, &sequence))
        media_repair_nack(m, now, track, layer, sequence);
}

static void picture_loss(struct media *m, nanotime now, const struct rtcp_packet *packet)
{
    struct media_track *track;
    unsigned layer;
    struct media_stream_out *out = out_of(m, packet->feedback.media, &track, &layer);
    if (!out)
        return;
    out->plis++;
    keyframe(m, now, track, layer);
}

static void full_intra(struct media *m, nanotime now, const struct rtcp_packet *packet)
{
    struct rtcp_fir_entry entry;
    for (size_t i = 0; rtcp_fir_entry(packet, i, &entry); i++) {
        struct media_track *track;
        unsigned layer;
        struct media_stream_out *out = out_of(m, entry.ssrc, &track, &layer);
        // RFC 5104 4.3.1.1: the same number once more is the same request, not another.
        if (!out || (out->has_fir && out->fir_sequence == entry.sequence))
            continue;
        out->has_fir = true;
        out->fir_sequence = entry.sequence;
        out->firs++;
        keyframe(m, now, track, layer);
    }
}

static void transport_feedback(struct media *m, nanotime now, const struct rtcp_packet *packet)
{
    static struct rtcp_arrival arrivals[FEEDBACK_MAX]; // one thread; written before it is read
    static struct arrival_result results[FEEDBACK_MAX];
    size_t count;
    enum rtcp_outcome outcome = rtcp_transport_cc_read(packet, arrivals, FEEDBACK_MAX, &count);
    if (outcome != RTCP_OK && outcome != RTCP_FULL)
        return;
    if (count > FEEDBACK_MAX)
        count = FEEDBACK_MAX;
    for (size_t i = 0; i < count; i++) {
        results[i] = (struct arrival_result){.sequence = arrivals[i].sequence,
                                             .received = arrivals[i].received};
        if (!arrivals[i].received)
            continue;
        m->feedback_time = rtcp_time_unwrap(m->feedback_time, arrivals[i].time);
        results[i].received_at = m->feedback_time * 250 * TIME_US;
    }
    m->stats.feedback_received++;
    gcc_feedback(m->gcc, now, results, (unsigned)count);
}

static void goodbye(struct media *m, nanotime now, const struct rtcp_packet *packet)
{
    uint32_t ssrc;
    for (size_t i = 0; rtcp_ssrc_at(packet->bye.ssrcs, i, &ssrc); i++) {
        struct media_stream_in *s = in_of(m, ssrc);
        if (!s || s->bye)
            continue;
        s->bye = true;
        s->bye_at = now;
        if (s->audio)
            audio_buffer_stop(s->audio);
        trace(&m->trace, now, "stream %08x of '%s' says goodbye", ssrc, m->tracks[s->track].label);
    }
}

static void packet_read(struct media *m, nanotime now, const struct rtcp_packet *packet)
{
    switch (packet->kind) {
    case RTCP_SR:
        sender_report(m, now, packet);
        blocks_read(m, now, packet);
        break;
    case RTCP_RR:
        blocks_read(m, now, packet);
        break;
    case RTCP_BYE:
        goodbye(m, now, packet);
        break;
    case RTCP_NACK:
        nack(m, now, packet);
        break;
    case RTCP_PLI:
        picture_loss(m, now, packet);
        break;
    case RTCP_FIR:
        full_intra(m, now, packet);
        break;
    case RTCP_REMB:
        gcc_remb(m->gcc, now,
                 packet->remb.bitrate < UINT32_MAX ? (uint32_t)packet->remb.bitrate : UINT32_MAX);
        break;
    case RTCP_TRANSPORT_CC:
        transport_feedback(m, now, packet);
        break;
    case RTCP_CCFB:
        media_ccfb_read(m, now, packet);
        break;
    case RTCP_XR:
        extended_report(m, now, packet);
        break;
    case RTCP_SDES: // learnt by the demultiplexer
    case RTCP_APP:
    case RTCP_TMMBR: // not offered
    case RTCP_TMMBN:
    case RTCP_UNKNOWN:
    case RTCP_KINDS:
        break;
    }
}

// RFC 3550 8.2: a report under one of our SSRCs is somebody else's, or our own again. Of others the
// demultiplexer notes that they are there, or leave.
static bool is_looped(struct media *m, nanotime now, const struct rtcp_packet *packet)
{
    struct rtp_demux_sections sections;
    bool tells = packet->kind == RTCP_SR || packet->kind == RTCP_RR || packet->kind == RTCP_SDES ||
                 packet->kind == RTCP_BYE;
    if (!tells && rtp_demux_send_section(m->demux, packet->sender) == RTP_DEMUX_NONE)
        return false;
    enum rtp_demux_outcome outcome = rtp_demux_rtcp(m->demux, now, NULL, packet, &sections);
    if (outcome == RTP_DEMUX_COLLISION)
        media_ssrc_collision(m, now, sections.ours);
    return outcome == RTP_DEMUX_LOOP;
}

enum media_drop media_input_rtcp(struct media *m, nanotime now, struct bytes datagram)
{
    struct rtcp_walk walk;
    struct rtcp_packet packet;
    enum rtcp_outcome outcome = RTCP_BAD_FIRST;
    bool bye = false, bad = false;
    if (m->started)
        outcome = rtcp_walk_start(&walk, datagram, true);
    if (outcome != RTCP_OK) {
        m->stats.drops[MEDIA_MALFORMED]++;
        return MEDIA_MALFORMED;
    }
    media_touch(m);
    m->heard_at = now;
    m->stats.rtcp_received++;
    m->stats.packetsReceived++;
    m->stats.bytesReceived += datagram.len;
    media_streams_learn(m, now, datagram);
    while ((outcome = rtcp_next(&walk, &packet)) != RTCP_END) {
        bad |= outcome != RTCP_OK;
        if (outcome != RTCP_OK)
            continue;
        if (is_looped(m, now, &packet)) {
            m->stats.drops[MEDIA_LOOP]++;
            continue;
        }
        bye |= packet.kind == RTCP_BYE;
        packet_read(m, now, &packet);
    }
    rtcp_schedule_received(&m->schedule, now, datagram.len + 28, bye);
    m->stats.drops[MEDIA_MALFORMED] += bad;
    return bad ? MEDIA_MALFORMED : MEDIA_KEPT;
}
