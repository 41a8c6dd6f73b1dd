// The session: its life, tracks, what was agreed on for them, commands; what to do next.
#include "stack/media/media_priv.h"

#include <stdio.h>
#include <stdlib.h>

// ----------------------------------------------------------------------------------------- packets

struct media_packet *media_packet_at(struct media *m, uint32_t index)
{
    return &m->chunks[index / MEDIA_PACKETS_CHUNK][index % MEDIA_PACKETS_CHUNK];
}

static bool packets_grow(struct media *m)
{
    uint32_t first = m->chunks_count * MEDIA_PACKETS_CHUNK;
    if (first >= MEDIA_PACKETS_MAX)
        return false;
    m->chunks = mem_grow(m->chunks, (m->chunks_count + 1) * sizeof *m->chunks);
    m->chunks[m->chunks_count++] = mem_alloc(MEDIA_PACKETS_CHUNK * sizeof **m->chunks);
    for (uint32_t i = MEDIA_PACKETS_CHUNK; i-- > 0;)
        media_packet_free(m, first + i);
    return true;
}

struct media_packet *media_packet_new(struct media *m, uint32_t *index)
{
    if (m->free_packet == UINT32_MAX && !packets_grow(m))
        return NULL;
    *index = m->free_packet;
    struct media_packet *packet = media_packet_at(m, *index);
    m->free_packet = packet->next_free;
    packet->len = packet->header_len = 0;
    packet->as_it_was = false;
    packet->rtx = packet->fec = packet->padding = packet->audio = packet->last_of_frame = false;
    return packet;
}

void media_packet_free(struct media *m, uint32_t index)
{
    media_packet_at(m, index)->next_free = m->free_packet;
    m->free_packet = index;
}

// -------------------------------------------------------------------------------------------- life

struct media *media_new(const struct media_config *config)
{
    struct media *m = mem_zero(1, sizeof *m);
    m->config = *config;
    if (!m->config.start_bps)
        m->config.start_bps = GCC_START_BPS;
    if (!m->config.min_bps)
        m->config.min_bps = GCC_MIN_BPS;
    if (!m->config.max_bps)
        m->config.max_bps = GCC_MAX_BPS;
    snprintf(m->cname, sizeof m->cname, "%s", config->cname);
    m->rng = rng_seed(rng_u64(config->rng), "media");
    m->trace = config->trace;
    m->free_packet = m->sent_packet = UINT32_MAX;
    m->remb_told_at = TIME_NEVER;
    m->heard_at = m->rtp_heard_at = TIME_NEVER;
    m->demux = rtp_demux_new(
        &(struct rtp_demux_config){.sections_max = MEDIA_TRACKS_MAX,
                                   .receive_max = MEDIA_STREAMS_MAX,
                                   .send_max = MEDIA_TRACKS_MAX * 3 * MEDIA_LAYERS_MAX});
    m->gcc = gcc_new(&(struct gcc_config){.start_bps = m->config.start_bps,
                                          .min_bps = m->config.min_bps,
                                          .max_bps = m->config.max_bps});
    m->pacer = pacer_new(&(struct pacer_config){.start_bps = m->config.start_bps});
    m->arrival = arrival_new();
    m->remb = remb_new(&(struct remb_config){0});
    m->stats.usage = gcc_usage_name(GCC_NORMAL);
    return m;
}

void media_free(struct media *m)
{
    if (!m)
        return;
    for (unsigned i = 0; i < m->tracks_count; i++) {
        media_send_stop(&m->tracks[i]);
        for (unsigned k = 0; k < MEDIA_LAYERS_MAX; k++)
            for (unsigned role = 0; role < 3; role++)
                free(m->tracks[i].out[k].sent[role]);
    }
    for (unsigned i = 0; i < m->streams_count; i++)
        media_stream_free(&m->streams[i]);
    for (unsigned i = 0; i < m->chunks_count; i++)
        free(m->chunks[i]);
    rtp_demux_free(m->demux);
    gcc_free(m->gcc);
    pacer_free(m->pacer);
    arrival_free(m->arrival);
    remb_free(m->remb);
    free(m->streams);
    free(m->chunks);
    free(m->frame);
    free(m);
}

// ------------------------------------------------------------------------------------------ tracks

// RFC 3711 3.3.1: who missed the packets before the first wrap takes the rollover counter for 0,
// and can never open the stream. From the lower half it is 2^15 packets to there.
static uint16_t sequence_draw(struct media *m)
{
    return rng_u32(&m->rng) & 0x7fff;
}

static void out_begin(struct media *m, struct media_track *t, unsigned index, unsigned layer)
{
    struct media_stream_out *out = &t->out[layer];
    *out = (struct media_stream_out){.ssrc = media_ssrc_draw(m, index), .rtp_at = TIME_NEVER};
    if (t->config.rtx)
        out->rtx_ssrc = media_ssrc_draw(m, index);
    if (t->config.fec == MEDIA_FLEXFEC)
        out->fec_ssrc = media_ssrc_draw(m, index);
    // RFC 3550 5.1: both begin at random.
    out->sequence = sequence_draw(m);
    out->rtx_sequence = sequence_draw(m);
    out->fec_sequence = sequence_draw(m);
    out->first_timestamp = rng_u32(&m->rng);
    out->picture_id = (int32_t)(rng_u32(&m->rng) & 0x7fff);
    if (t->config.has_first_sequence)
        out->sequence = t->config.first_sequence;
    out->first_sequence = out->sequence;
    if (t->config.has_first_timestamp)
        out->first_timestamp = t->config.first_timestamp;
}

int media_track_add(struct media *m, const struct media_track_config *config)
{
    if (m->tracks_count == MEDIA_TRACKS_MAX || config->codecs_count > MEDIA_CODECS_MAX ||
        config->layers_count > MEDIA_LAYERS_MAX || (config->clip && config->layers_count))
        return -1;
    unsigned index = m->tracks_count++;
    struct media_track *t = &m->tracks[index];
    *t = (struct media_track){.config = *config,
                              .current = -1,
                              .limited_since = TIME_NEVER,
                              .sending_since = TIME_NEVER,
                              .bitrate = config->bitrate,
                              .receive_max = config->receive_max_bps,
                              .layers = config->layers_count ? config->layers_count : 1};
    snprintf(t->label, sizeof t->label, "%s", config->label);
    t->config.label = t->label;
    m->has_receive_max |= config->receive_max_bps > 0;
    for (unsigned i = 0; i < config->codecs_count; i++) {
        snprintf(t->codecs[i], sizeof t->codecs[i], "%s", config->codecs[i]);
        t->config.codecs[i] = t->codecs[i];
    }
    for (unsigned i = 0; i < config->layers_count; i++) {
        snprintf(t->rids[i], sizeof t->rids[i], "%s", config->layers[i].rid);
        t->config.layers[i].rid = t->rids[i];
    }
    if (t->config.stop_at == 0)
        t->config.stop_at = TIME_NEVER;
    for (unsigned i = 0; i < t->layers; i++)
        out_begin(m, t, index, i);
    return (int)index;
}

unsigned media_tracks(const struct media *m)
{
    return m->tracks_count;
}

const struct media_track_config *media_track_config(const struct media *m, unsigned track)
{
    return &m->tracks[track].config;
}

void media_ssrcs(const struct media *m, unsigned track, struct media_ssrcs *out)
{
    const struct media_track *t = &m->tracks[track];
    *out = (struct media_ssrcs){.layers = t->layers};
    for (unsigned i = 0; i < t->layers; i++) {
        out->media[i] = t->out[i].ssrc;
        out->rtx[i] = t->out[i].rtx_ssrc;
        out->fec[i] = t->out[i].fec_ssrc;
    }
}

uint32_t media_sender_ssrc(const struct media *m, unsigned track)
{
    return m->tracks[track].out[0].ssrc;
}

// --------------------------------------------------------------------------------------- agreement

const struct media_format *media_format_of(const struct media_track *t, unsigned receive_type)
{
    for (unsigned i = 0; i < t->agreement.formats_count; i++) {
        if (t->agreement.formats[i].receive_type == receive_type)
            return &t->agreement.formats[i];
    }
    return NULL;
}

const struct media_format *media_format_kind(const struct media_track *t, enum codec_kind kind)
{
    for (unsigned i = 0; i < t->agreement.formats_count; i++) {
        if (t->agreement.formats[i].kind == kind)
            return &t->agreement.formats[i];
    }
    return NULL;
}

static const struct media_format *media_format_first(const struct media_track *t)
{
    for (unsigned i = 0; i < t->agreement.formats_count; i++) {
        if (codec_of(t->agreement.formats[i].kind)->role == CODEC_MEDIA)
            return &t->agreement.formats[i];
    }
    return NULL;
}

static void signaled_ssrcs(struct media *m, unsigned track, const struct media_agreement *agreement)
{
    for (unsigned i = 0; i < agreement->remotes_count; i++) {
        const struct media_remote_ssrc *remote = &agreement->remotes[i];
        bool fits = rtp_demux_receive(m->demux, remote->media, track);
        fits = fits && (!remote->rtx || rtp_demux_receive(m->demux, remote->rtx, track));
        fits = fits && (!remote->fec || rtp_demux_receive(m->demux, remote->fec, track));
        if (!fits)
            trace(&m->trace, 0, "more signaled streams than the table holds");
    }
}

// Of one that is rejected nothing: its mid and its payload types may be another's from now on.
static struct rtp_demux_section section_of(const struct media_agreement *agreement)
{
    struct rtp_demux_section section = {0};
    if (agreement->rejected)
        return section;
    section.mid = agreement->mid;
    for (unsigned i = 0; i < agreement->formats_count; i++) {
        unsigned type = agreement->formats[i].receive_type;
        section.payload_types[type / 64] |= (uint64_t)1 << type % 64;
    }
    return section;
}

static void agreement_of_session(struct media *m)
{
    m->transport_cc = m->use_remb = m->remb_agreed = m->ccfb = false;
    m->reduced_size = true;
    m->extensions = (struct rtp_extension_map){0};
    for (unsigned i = 0; i < m->tracks_count; i++) {
        const struct media_track *t = &m->tracks[i];
        if (!t->agreed || t->agreement.rejected)
            continue;
        m->reduced_size &= t->agreement.reduced_size;
        // RFC 8285 7, RFC 9143 9.1: an id means the same in all m= sections of the group, but not
        // each has all of the extensions.
        for (unsigned k = 0; k < RTP_EXTENSIONS; k++) {
            if (!m->extensions.id[k])
                m->extensions.id[k] = t->agreement.extensions.id[k];
        }
        for (unsigned k = 0; k < t->agreement.formats_count; k++) {
            const struct media_format *format = &t->agreement.formats[k];
            m->transport_cc |= format->transport_cc && t->agreement.extensions.id[RTP_TRANSPORT_CC];
            m->remb_agreed |= format->remb;
            m->ccfb |= format->ccfb && m->config.control == MEDIA_CCFB;
            m->use_remb |= format->remb && t->agreement.extensions.id[RTP_ABS_SEND_TIME];
        }
    }
}

static bool same_formats(const struct media_agreement *a, const struct media_agreement *b)
{
    bool same = a->formats_count == b->formats_count;
    for (unsigned i = 0; same && i < a->formats_count; i++) {
        const struct media_format *one = &a->formats[i], *other = &b->formats[i];
        same = one->kind == other->kind && one->send_type == other->send_type &&
               one->receive_type == other->receive_type && one->apt == other->apt &&
               one->nack == other->nack;
    }
    return same;
}

bool media_agree(struct media *m, nanotime now, unsigned track,
                 const struct media_agreement *agreement)
{
    struct media_track *t = &m->tracks[track];
    media_touch(m);
    if (agreement->mid.len > MEDIA_MID_MAX)
        return false;
    struct rtp_demux_section section = section_of(agreement);
    if (!rtp_demux_section_set(m->demux, track, &section))
        return false;
    bool first = !t->agreed;
    // RFC 9429 4.2.2, 5.11: rejected is stopped. W3C WebRTC, "stop sending and receiving": by a
    // BYE.
    if (agreement->rejected)
        media_ssrc_leave(m, now, track);
    else if (agreement->send || agreement->receive)
        t->left = false;
    // What was sent under other formats cannot be sent again under these.
    if (!first && t->sending && !same_formats(&t->agreement, agreement))
        media_send_stop(t);
    t->agreed = true;
    t->agreement = *agreement;
    (void)bytes_copy_text(agreement->mid, t->mid, sizeof t->mid);
    t->agreement.mid = bytes_text(t->mid);
    if (!t->agreement.receive || t->agreement.rejected)
        media_streams_hold(m, track);
    signaled_ssrcs(m, track, &t->agreement);
    for (unsigned i = 0; i < t->layers && first; i++) // the section's replacement forgot them
        (void)rtp_demux_send(m->demux, t->out[i].ssrc, track);
    t->format = media_format_first(t);
    if (t->format || !agreement->rejected) // what is buffered of a track that ends still plays
        t->codec = t->format ? codec_of(t->format->kind) : NULL;
    agreement_of_session(m);
    trace(&m->trace, now, "'%s' is %s: mid %s%s%s", t->label, t->codec ? t->codec->name : "nothing",
          t->mid, t->agreement.send ? ", sends" : "", t->agreement.receive ? ", receives" : "");
    if (m->started) {
        media_send_start(m, now, t);
        media_share(m, now); // tracks and layers may be fewer, or more
    }
    return true;
}

// ----------------------------------------------------------------------------------- start and end

#define RTCP_BANDWIDTH_LEAST 160000 // bit/s of media that reports are reckoned by
#define REPORTS_EACH (200 * TIME_MS)

static void schedule_start(struct media *m, nanotime now)
{
    uint64_t bandwidth = 0;
    for (unsigned i = 0; i < m->tracks_count; i++)
        bandwidth += m->tracks[i].config.bitrate;
    // RFC 4585 3.4: by the 5 % of RFC 3550 6.2 a video has fifty turns a second. Feedback may take
    // each of them, else a NACK would wait for the next report; reports take few.
    struct rtcp_schedule_config config = {
        .session_bandwidth = bandwidth > RTCP_BANDWIDTH_LEAST ? bandwidth : RTCP_BANDWIDTH_LEAST,
        .feedback = true,
        .rr_interval = REPORTS_EACH,
        .point_to_point = true};
    rtcp_schedule_init(&m->schedule, now, &config, &m->rng);
    rtcp_schedule_members(&m->schedule, now, 2, 1, false);
}

void media_start(struct media *m, nanotime now)
{
    if (m->started || m->stopped)
        return;
    media_touch(m);
    m->started = true;
    schedule_start(m, now);
    for (unsigned i = 0; i < m->tracks_count; i++)
        media_send_start(m, now, &m->tracks[i]);
    if (m->config.control != MEDIA_FIXED) // by the limits of all of them
        gcc_start(m->gcc, now);
    media_share(m, now);
}

bool media_started(const struct media *m)
{
    return m->started;
}

void media_stop(struct media *m, nanotime now)
{
    if (!m->started || m->stopped)
        return;
    media_touch(m);
    m->stopped = true;
    for (unsigned i = 0; i < m->tracks_count; i++)
        media_send_stop(&m->tracks[i]);
    struct pacer_item item;
    while (pacer_clear(m->pacer, &item))
        media_packet_free(m, (uint32_t)item.handle);
    rtcp_schedule_leave(&m->schedule, now, 64);
}

void media_track_stop(struct media *m, unsigned track)
{
    media_touch(m);
    media_ssrc_leave(m, m->now, track);
}

void media_route_changed(struct media *m, nanotime now)
{
    if (m->started && !m->stopped && m->config.control != MEDIA_FIXED) {
        media_touch(m);
        trace(&m->trace, now, "another path: congestion control starts afresh");
        gcc_start(m->gcc, now);
    }
}

// ---------------------------------------------------------------------------------------- commands

void media_command(struct media *m, nanotime now, const struct media_command *command)
{
    if (command->track >= m->tracks_count)
        return;
    media_touch(m);
    struct media_track *t = &m->tracks[command->track];
    switch (command->kind) {
    case MEDIA_MUTE:
    case MEDIA_UNMUTE:
        t->muted = command->kind == MEDIA_MUTE;
        if (t->source)
            source_mute(t->source, t->muted);
        break;
    case MEDIA_KEYFRAME:
        if (t->current >= 0)
            media_keyframe_want(m, now, &m->streams[t->current]);
        break;
    case MEDIA_DIAL:
        if (!t->dtmf_format || !dtmf_dial(&t->dtmf, now, command->digits,
                                          command->tone ? command->tone : 100 * TIME_MS,
                                          command->gap ? command->gap : 70 * TIME_MS))
            trace(&m->trace, now, "'%s' cannot dial %s", t->label, command->digits);
        break;
    case MEDIA_BITRATE:
        t->bitrate = command->bps;
        media_share(m, now);
        break;
    case MEDIA_RECEIVE_MAX:
        t->receive_max = command->bps;
        m->has_receive_max = true;
        m->remb_told_at = TIME_NEVER; // RTCP tells it the sender, too, at once
        break;
    }
}

void media_play_out(struct media *m, unsigned track)
{
    if (track < m->tracks_count)
        m->tracks[track].play_out = true;
}

// -------------------------------------------------------------------------------------------- poll

static nanotime receive_deadline(const struct media *m)
{
    nanotime at = media_rtcp_deadline(m);
    return m->stopped ? at : time_min(at, media_receive_deadline(m));
}

bool media_poll(struct media *m, nanotime now, struct media_output *out)
{
    if (m->sent_packet != UINT32_MAX) {
        media_packet_free(m, m->sent_packet);
        m->sent_packet = UINT32_MAX;
    }
    if (!m->started)
        return false;
    m->now = now;
    if (m->digits_count) {
        *out = m->digits_out[0];
        memmove(m->digits_out, m->digits_out + 1, --m->digits_count * sizeof *m->digits_out);
        return true;
    }
    // What came moved one half alone, or nothing: the other is not asked before its deadline.
    if (now >= m->send_at && !m->stopped) {
        media_sources_poll(m, now);
        if (media_pacer_poll(m, now, out))
            return true;
        m->send_at = media_send_deadline(m);
    }
    if (now >= m->receive_at) {
        if (!m->stopped && media_playout_poll(m, now, out))
            return true;
        if (media_rtcp_poll(m, now, out))
            return true;
        m->receive_at = receive_deadline(m);
    }
    if (!m->changed)
        return false;
    m->changed = false;
    *out = (struct media_output){.kind = MEDIA_CHANGED};
    return true;
}

nanotime media_deadline(const struct media *m)
{
    if (!m->started)
        return TIME_NEVER;
    if (m->digits_count || m->changed)
        return 0;
    nanotime at = m->receive_at ? m->receive_at : receive_deadline(m);
    if (m->stopped)
        return at;
    return time_min(at, m->send_at ? m->send_at : media_send_deadline(m));
}
