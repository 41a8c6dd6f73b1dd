// Statistics: what the parts have counted, put together under the names of media_stats.h.
#include "stack/media/media_priv.h"
#include "stack/media/mos.h"

#define RECENT 128

void media_count_recent(nanotime *recent, uint64_t count, nanotime now)
{
    recent[count % RECENT] = now;
}

uint64_t media_count_per_second(const nanotime *recent, uint64_t count, nanotime now)
{
    uint64_t in_second = 0, look = count < RECENT ? count : RECENT;
    while (in_second < look && recent[(count - 1 - in_second) % RECENT] > now - TIME_S)
        in_second++;
    return in_second;
}

// ----------------------------------------------------------------------------------------- sending

static void add_out(struct media_outbound *to, const struct media_stream_out *out, nanotime now)
{
    to->packetsSent += out->packets;
    to->bytesSent += out->payload_bytes;
    to->headerBytesSent += out->header_bytes;
    to->retransmittedPacketsSent += out->rtx_packets;
    to->retransmittedBytesSent += out->rtx_bytes;
    to->nackCount += out->nacks;
    to->pliCount += out->plis;
    to->firCount += out->firs;
    to->targetBitrate += out->on ? out->target_bps : 0;
    to->totalEncodedBytesTarget += out->target_bytes;
    to->framesSent += out->frames;
    to->framesEncoded += out->frames;
    to->keyFramesEncoded += out->keyframes;
    to->hugeFramesSent += out->huge_frames;
    to->totalPacketSendDelay += out->send_delay;
    // Of the largest layer that is sent (W3C: each layer has statistics of its own).
    if (out->width >= to->frameWidth && (out->on || !to->frameWidth)) {
        to->frameWidth = out->width;
        to->frameHeight = out->height;
        to->framesPerSecond = media_count_per_second(out->recent, out->frames, now);
    }
}

// RFC 6464 3: -dBov; half for each 6 dB.
uint64_t media_count_amplitude(uint8_t level)
{
    static const uint16_t part[] = {1000, 891, 794, 708, 631, 562};
    unsigned halves = level / 6u;
    return level >= 127 || halves > 10 ? 0 : (uint64_t)part[level % 6u] >> halves;
}

uint64_t media_count_energy(uint8_t level, nanotime span)
{
    uint64_t amplitude = media_count_amplitude(level);
    return amplitude * amplitude * (uint64_t)(span / TIME_US);
}

static void fill_layers(const struct media_track *t, nanotime now, struct media_track_stats *to)
{
    to->layers_count = t->layers;
    for (unsigned i = 0; i < t->layers; i++) {
        const struct media_stream_out *out = &t->out[i];
        struct media_layer_stats *layer = &to->layers[i];
        bool wanted = t->sending && (!t->agreement.simulcast || t->agreement.layer_taken[i]);
        layer->rid = t->rids[i];
        layer->out = (struct media_outbound){.ssrc = out->ssrc,
                                             .rtxSsrc = out->rtx_ssrc,
                                             .active = t->sending && !t->muted && out->on,
                                             .qualityLimitationReason =
                                                 out->on || !wanted ? "none" : "bandwidth"};
        add_out(&layer->out, out, now);
        layer->remote_in = out->remote;
    }
}

static void fill_source(const struct media_track *t, struct media_source_stats *source)
{
    if (t->config.kind != MEDIA_AUDIO || !t->source_time)
        return;
    source->audioLevel = media_count_amplitude(t->source_level);
    source->totalAudioEnergy = t->source_energy / 1000000;
    source->totalSamplesDuration = t->source_time;
}

static void fill_out(const struct media_track *t, nanotime now, struct media_track_stats *to)
{
    struct media_outbound *out = &to->out;
    out->ssrc = t->out[0].ssrc;
    out->rtxSsrc = t->out[0].rtx_ssrc;
    for (unsigned i = 0; i < t->layers; i++)
        add_out(out, &t->out[i], now);
    if (t->config.kind == MEDIA_AUDIO) { // members of video alone
        out->framesSent = out->framesEncoded = out->keyFramesEncoded = out->hugeFramesSent = 0;
        out->framesPerSecond = out->totalEncodedBytesTarget = 0;
    }
    out->active = t->sending && !t->muted;
    out->qualityLimitationReason = t->limited_since == TIME_NEVER ? "none" : "bandwidth";
    out->qualityLimitationBandwidth =
        t->limited + (t->limited_since == TIME_NEVER ? 0 : now - t->limited_since);
    if (t->sending_since != TIME_NEVER)
        out->qualityLimitationNone = now - t->sending_since - out->qualityLimitationBandwidth;
    out->qualityLimitationResolutionChanges = t->resolution_changes;
    to->remote_in = t->out[0].remote;
    fill_source(t, &to->source);
    if (t->layers > 1)
        fill_layers(t, now, to);
}

// --------------------------------------------------------------------------------------- receiving

static void fill_received(struct media_inbound *in, const struct media_stream_in *s)
{
    struct rtp_receiver_stats stats = rtp_receiver_stats_read(&s->receiver);
    uint32_t rate = s->receiver.config.clock_rate;
    in->ssrc = s->ssrc;
    in->packetsReceived = stats.packets_received + s->repair_packets;
    in->bytesReceived = stats.bytes_received + s->repair_bytes;
    in->headerBytesReceived = stats.header_bytes_received + s->repair_header_bytes;
    in->packetsLost = stats.packets_lost;
    in->jitter = (nanotime)stats.jitter * TIME_S / rate;
    in->lastPacketReceivedTimestamp = stats.last_packet_received;
    in->retransmittedPacketsReceived = s->rtx_packets;
    in->retransmittedBytesReceived = s->rtx_bytes;
    in->fecPacketsReceived = s->fec_packets;
    in->fecBytesReceived = s->fec_bytes;
    in->fecPacketsDiscarded = s->fec_discarded;
    in->nackCount = s->nacks;
    in->pliCount = s->plis;
    in->firCount = s->firs;
    in->audioLevel = 0;
}

// The streams beside it: those that were signaled with it, or came for it.
static void fill_repairs(const struct media *m, const struct media_stream_in *s,
                         struct media_inbound *in)
{
    const struct media_agreement *agreement = &m->tracks[s->track].agreement;
    for (unsigned i = 0; i < agreement->remotes_count; i++) {
        if (agreement->remotes[i].media == s->ssrc) {
            in->rtxSsrc = agreement->remotes[i].rtx;
            in->fecSsrc = agreement->remotes[i].fec;
        }
    }
    for (unsigned i = 0; i < m->streams_count; i++) {
        const struct media_stream_in *other = &m->streams[i];
        if (!other->used || other->track != s->track || other->repairs != (int)(s - m->streams))
            continue;
        if (other->role == MEDIA_IN_RTX)
            in->rtxSsrc = other->ssrc;
        if (other->role == MEDIA_IN_FEC)
            in->fecSsrc = other->ssrc;
    }
}

static void fill_video(const struct media *m, struct media_inbound *in,
                       const struct media_stream_in *s, nanotime now)
{
    struct frame_buffer_stats stats = frame_buffer_stats(s->video, s->bye || m->stopped ? 0 : now);
    in->packetsDiscarded = stats.packets_late;
    in->jitterBufferDelay = stats.jitterBufferDelay;
    in->jitterBufferTargetDelay = stats.jitterBufferTargetDelay;
    in->jitterBufferMinimumDelay = stats.jitterBufferMinimumDelay;
    in->jitterBufferEmittedCount = stats.jitterBufferEmittedCount;
    in->totalProcessingDelay = stats.totalProcessingDelay;
    in->framesReceived = stats.framesReceived;
    in->framesDecoded = in->framesRendered = stats.framesDecoded;
    in->keyFramesDecoded = stats.keyFramesDecoded;
    in->framesDropped = stats.framesDropped;
    in->frameWidth = s->width;
    in->frameHeight = s->height;
    in->framesPerSecond = media_count_per_second(s->recent, s->rendered, now);
    in->freezeCount = stats.freezeCount;
    in->pauseCount = stats.pauseCount;
    in->totalFreezesDuration = stats.totalFreezesDuration;
    in->totalPausesDuration = stats.totalPausesDuration;
    in->totalInterFrameDelay = stats.totalInterFrameDelay;
    in->totalSquaredInterFrameDelay = stats.totalSquaredInterFrameDelay;
    in->framesAssembledFromMultiplePackets = stats.framesAssembledFromMultiplePackets;
    in->totalAssemblyTime = stats.totalAssemblyTime;
}

static void fill_audio(struct media_inbound *in, const struct media_stream_in *s,
                       const struct audio_buffer_stats *stats)
{
    in->audioLevel = s->has_audio_level ? media_count_amplitude(s->audio_level) : 0;
    in->totalAudioEnergy = s->audio_energy / 1000000;
    in->packetsDiscarded = stats->packetsDiscarded;
    in->jitterBufferDelay = stats->jitterBufferDelay;
    in->jitterBufferTargetDelay = stats->jitterBufferTargetDelay;
    in->jitterBufferMinimumDelay = stats->jitterBufferMinimumDelay;
    in->jitterBufferEmittedCount = stats->jitterBufferEmittedCount;
    in->totalProcessingDelay = stats->jitterBufferDelay; // decoding takes no time here
    in->totalSamplesReceived = stats->totalSamplesReceived;
    in->concealedSamples = stats->concealedSamples;
    in->silentConcealedSamples = stats->silentConcealedSamples;
    in->concealmentEvents = stats->concealmentEvents;
    in->insertedSamplesForDeceleration = stats->insertedSamplesForDeceleration;
    in->removedSamplesForAcceleration = stats->removedSamplesForAcceleration;
    in->totalSamplesDuration = stats->totalSamplesDuration;
}

static uint64_t thousandths(double value)
{
    return (uint64_t)(value * 1000 + 0.5);
}

// Loss as G.107 means it is of packets; runs are counted in pieces of 10 ms. BurstR is the mean run
// that was met by the mean run of independent losses, 1 / (1 - p).
static double burst_ratio(const struct audio_buffer_stats *stats, nanotime frame_time)
{
    if (!stats->lost_runs)
        return 1;
    double pieces = frame_time > AUDIO_BUFFER_TICK ? (double)frame_time / AUDIO_BUFFER_TICK : 1;
    double run = (double)stats->lost_pieces / (double)stats->lost_runs / pieces;
    double all = (double)(stats->lost_pieces + stats->played_pieces);
    double ratio = run * (1 - (double)stats->lost_pieces / all);
    return ratio > 1 ? ratio : 1;
}

static void fill_quality(const struct media *m, const struct media_stream_in *s,
                         const struct audio_buffer_stats *stats, struct media_quality *to)
{
    uint64_t pieces = stats->lost_pieces + stats->played_pieces;
    if (!pieces)
        return;
    enum codec_kind kind = s->codec->kind;
    nanotime held = stats->jitterBufferEmittedCount
                        ? stats->jitterBufferDelay / (nanotime)stats->jitterBufferEmittedCount
                        : 0;
    to->delay = m->rtt / 2 + held + s->frame_time;
    to->effective_loss = stats->lost_pieces * RNG_BILLION / pieces;
    double burst = burst_ratio(stats, s->frame_time);
    to->burst_ratio = thousandths(burst);
    struct mos mos = mos_estimate(
        &(struct mos_input){.codec = kind == CODEC_OPUS   ? MOS_OPUS
                                     : kind == CODEC_G722 ? MOS_G722
                                                          : MOS_G711,
                            .delay_ms = (double)to->delay / (double)TIME_MS,
                            .loss_percent = (double)to->effective_loss / (RNG_BILLION / 100),
                            .burst_ratio = burst});
    to->mos = thousandths(mos.mos);
    to->r_factor = thousandths(mos.r);
}

// Of a simulcast: how many of the streams that came are smaller.
static unsigned layer_of(const struct media *m, const struct media_stream_in *s)
{
    unsigned smaller = 0;
    for (unsigned i = 0; s->rid[0] && i < m->streams_count; i++) {
        const struct media_stream_in *other = &m->streams[i];
        smaller += other->used && other->role == MEDIA_IN_MEDIA && other->track == s->track &&
                   other->rid[0] && other->width < s->width;
    }
    return smaller;
}

static void fill_in(struct media *m, nanotime now, const struct media_track *t,
                    struct media_track_stats *to)
{
    to->in.lastPacketReceivedTimestamp = to->in.estimatedPlayoutTimestamp = TIME_NEVER;
    to->remote_out.remoteTimestamp = TIME_NEVER;
    if (t->current < 0)
        return;
    const struct media_stream_in *s = &m->streams[t->current];
    fill_received(&to->in, s);
    fill_repairs(m, s, &to->in);
    to->remote_out = s->remote;
    if (s->remote.reportsSent == 0)
        to->remote_out.remoteTimestamp = TIME_NEVER;
    to->quality.recovered = s->recovered;
    to->quality.intact = s->intact;
    to->quality.damaged = s->damaged;
    to->quality.frames_missing = s->missing;
    to->quality.layer = layer_of(m, s);
    to->in.estimatedPlayoutTimestamp = media_sync_playout(now, s);
    (void)media_sync_offset(m, t, &to->quality.lip_sync);
    if (s->video)
        fill_video(m, &to->in, s, now);
    if (s->audio) {
        struct audio_buffer_stats stats = audio_buffer_stats(s->audio);
        fill_audio(&to->in, s, &stats);
        fill_quality(m, s, &stats, &to->quality);
    }
}

void media_track_stats(struct media *m, nanotime now, unsigned track, struct media_track_stats *out)
{
    *out =
        (struct media_track_stats){.codec = "", .mid = "", .out.qualityLimitationReason = "none"};
    out->in.lastPacketReceivedTimestamp = out->in.estimatedPlayoutTimestamp = TIME_NEVER;
    out->remote_out.remoteTimestamp = TIME_NEVER;
    if (track >= m->tracks_count)
        return;
    const struct media_track *t = &m->tracks[track];
    bool flows = t->agreed && !t->agreement.rejected;
    out->sends = flows && t->agreement.send;
    out->receives = flows && t->agreement.receive;
    out->codec = t->codec && flows ? t->codec->name : "";
    out->mid = flows ? t->mid : "";
    out->payload_type = t->format && flows ? t->format->send_type : 0;
    out->quality.digits = t->digits;
    fill_out(t, now, out);
    fill_in(m, now, t, out);
}

void media_transport_stats(const struct media *m, struct media_transport_stats *out)
{
    struct gcc_stats gcc;
    struct remb_stats remb;
    *out = m->stats;
    gcc_stats(m->gcc, &gcc);
    remb_stats(m->remb, &remb);
    out->availableIncomingBitrate = remb.estimate_bps;
    out->acked_bps = gcc.acked_bps;
    out->delay_bps = gcc.delay_bps;
    out->loss_bps = gcc.loss_bps;
    out->usage = gcc_usage_name(gcc.usage);
}
