// Sending: frames become packets, packets wait in the pacer, congestion control says how much.
#include "stack/media/media_priv.h"

#include <stdlib.h>

#define AUDIO_PACKET_OVERHEAD (MEDIA_PACKET_OVERHEAD + 28) // with RTP's header and extensions
#define KEYFRAME_SPACE (300 * TIME_MS) // between key frames of a layer, however many are asked for
#define FRAME_PACKETS_MAX 256          // of a frame that FEC protects
#define SOUND_HEADERS_MAX 96           // RTP, its extensions and RED, in front of a frame of sound
#define LAYER_LEAST_PERCENT 60         // of its bitrate: below that a layer of a simulcast is off

// --------------------------------------------------------------------------------- start and stop

static void source_begin(struct media *m, nanotime now, struct media_track *t)
{
    const struct media_track_config *config = &t->config;
    char name[64];
    struct text stream = {0};
    text_printf(&stream, "source:%s", t->label);
    (void)bytes_copy_text(text_bytes(&stream), name, sizeof name);
    text_free(&stream);
    struct source_config source = {.kind = t->codec->kind,
                                   .start_at = time_max(now, config->start_at),
                                   .stop_at = config->stop_at,
                                   .clock_ppb = m->config.clock_ppb,
                                   .rng = rng_seed(rng_u64(&m->rng), name),
                                   .frame_time = config->frame_time,
                                   .vbr = config->kind == MEDIA_AUDIO,
                                   .dtx = config->dtx,
                                   .sound_max = m->config.mtu - SOUND_HEADERS_MAX,
                                   .fps = config->fps,
                                   .width = config->width,
                                   .height = config->height,
                                   .keyframe_interval = config->keyframe_interval,
                                   .clip = config->clip,
                                   .clip_loops = config->clip_loops,
                                   .layers_count = t->layers};
    if (t->format->single_nal)
        source.nal_max = 1000;
    for (unsigned i = 0; i < t->layers; i++) {
        source.layers[i].scale = config->layers_count ? config->layers[i].scale : 1;
        source.layers[i].bitrate = t->out[i].target_bps ? t->out[i].target_bps : t->bitrate;
    }
    for (unsigned i = 0; i < t->layers; i++) {
        struct media_stream_out *out = &t->out[i];
        nanotime since = source.start_at - out->last_at;
        if (out->frames) // RFC 3550 5.1: a stream that goes on after a pause has the same clock
            out->first_timestamp = out->last_timestamp + (uint32_t)((uint64_t)(since / TIME_US) *
                                                                    t->codec->clock_rate / 1000000);
    }
    t->source = source_new(&source);
    source_mute(t->source, t->muted);
}

static void repair_begin(struct media_track *t)
{
    for (unsigned i = 0; i < t->layers; i++) {
        struct media_stream_out *out = &t->out[i];
        if (t->config.nack && t->format->nack && !out->history)
            out->history = rtp_history_new();
        if (t->config.red && t->codec->kind == CODEC_OPUS && !out->red &&
            media_format_kind(t, CODEC_RED_AUDIO))
            out->red = mem_alloc(RED_LENGTH_MAX);
    }
}

void media_send_start(struct media *m, nanotime now, struct media_track *t)
{
    bool may = t->agreed && !t->agreement.rejected && t->agreement.send && t->config.send &&
               t->format && !m->stopped;
    if (!may) {
        if (t->sending)
            media_send_stop(t);
        return;
    }
    if (t->sending)
        return;
    t->sending = true;
    t->sending_since = time_min(t->sending_since, now);
    t->dtmf_format = NULL;
    for (unsigned i = 0; i < t->agreement.formats_count; i++) {
        const struct media_format *format = &t->agreement.formats[i];
        if (format->kind == CODEC_EVENT && format->clock_rate == t->codec->clock_rate)
            t->dtmf_format = format;
    }
    nanotime frame_time = t->config.frame_time ? t->config.frame_time : 20 * TIME_MS;
    dtmf_sender_init(&t->dtmf, t->codec->clock_rate, frame_time);
    repair_begin(t);
    media_share(m, now);
    source_begin(m, now, t);
}

void media_send_stop(struct media_track *t)
{
    source_free(t->source);
    t->source = NULL;
    t->sending = false;
    for (unsigned i = 0; i < t->layers; i++) {
        struct media_stream_out *out = &t->out[i];
        rtp_history_free(out->history);
        out->history = NULL;
        free(out->red);
        out->red = NULL;
        out->red_len = 0;
    }
}

// ---------------------------------------------------------------------------------------- sharing

static uint32_t audio_rate(const struct media_track *t)
{
    nanotime frame = t->config.frame_time ? t->config.frame_time : 20 * TIME_MS;
    uint32_t bitrate = t->out[0].red ? t->bitrate * 2 : t->bitrate;
    return bitrate + (uint32_t)(AUDIO_PACKET_OVERHEAD * 8 * TIME_S / frame);
}

// Of what a video track may use, the part that is frames, not headers.
static uint64_t frames_part(const struct media *m, uint64_t bps)
{
    return bps * (m->config.mtu - 40) / (m->config.mtu + MEDIA_PACKET_OVERHEAD);
}

static void layer_set(struct media *m, nanotime now, struct media_track *t, unsigned layer,
                      uint32_t bps)
{
    struct media_stream_out *out = &t->out[layer];
    if (out->on != (bps > 0) && t->layers > 1)
        trace(&m->trace, now, "layer %s of '%s' is %s", t->rids[layer], t->label,
              bps ? "on" : "off");
    if (bps > 0 && !out->on && t->source)
        source_request_keyframe(t->source, layer);
    out->on = bps > 0;
    out->target_bps = bps;
    if (t->source)
        source_set_bitrate(t->source, layer, bps);
}

// How many layers there are up to the largest that is sent.
static unsigned layers_up(const struct media_track *t)
{
    unsigned up = t->layers;
    while (up && !t->out[up - 1].on)
        up--;
    return up;
}

// The lowest layer first: one that cannot have most of its rate goes without.
static void share_layers(struct media *m, nanotime now, struct media_track *t, uint32_t bps)
{
    unsigned before = layers_up(t);
    for (unsigned i = 0; i < t->layers; i++) {
        uint32_t max = t->config.layers[i].max_bps;
        bool taken = !t->agreement.simulcast || t->agreement.layer_taken[i];
        bool enough = i == 0 || (uint64_t)bps * 100 >= (uint64_t)max * LAYER_LEAST_PERCENT;
        uint32_t gets = taken && enough ? (bps < max ? bps : max) : 0;
        layer_set(m, now, t, i, gets);
        bps -= gets;
    }
    t->resolution_changes += before && before != layers_up(t);
}

static void track_limited(struct media_track *t, nanotime now, bool limited)
{
    if (limited && t->limited_since == TIME_NEVER)
        t->limited_since = now;
    if (!limited && t->limited_since != TIME_NEVER) {
        t->limited += now - t->limited_since;
        t->limited_since = TIME_NEVER;
    }
}

static void share_video(struct media *m, nanotime now, struct media_track *t, uint64_t rest,
                        uint64_t wanted)
{
    uint64_t bps = frames_part(m, wanted > rest ? rest * t->bitrate / wanted : t->bitrate * 2) *
                   1000 / (1000 + media_fec_share(t));
    if (m->config.control == MEDIA_FIXED || bps > t->bitrate)
        bps = t->bitrate;
    if (bps < 10000)
        bps = 10000; // what even the smallest frames take
    track_limited(t, now, bps < t->bitrate);
    if (t->layers > 1)
        share_layers(m, now, t, (uint32_t)bps);
    else
        layer_set(m, now, t, 0, (uint32_t)bps);
}

void media_share(struct media *m, nanotime now)
{
    uint64_t rest = m->config.control == MEDIA_FIXED ? m->config.max_bps : gcc_target(m->gcc);
    uint64_t wanted = 0, total = 0;
    for (unsigned i = 0; i < m->tracks_count; i++) {
        struct media_track *t = &m->tracks[i];
        if (!t->sending)
            continue;
        if (t->config.kind == MEDIA_VIDEO) {
            wanted += t->bitrate;
            total += t->bitrate;
            continue;
        }
        uint32_t rate = audio_rate(t);
        rest -= rate < rest ? rate : rest;
        total += rate;
        layer_set(m, now, t, 0, t->bitrate);
    }
    for (unsigned i = 0; i < m->tracks_count; i++) {
        if (m->tracks[i].sending && m->tracks[i].config.kind == MEDIA_VIDEO)
            share_video(m, now, &m->tracks[i], rest, wanted);
    }
    // Nobody probes for more than twice what there is to send.
    uint64_t most = total * 2 < m->config.max_bps ? total * 2 : m->config.max_bps;
    if (m->config.control != MEDIA_FIXED && total > 0 && most != m->most_bps) {
        m->most_bps = most > m->config.min_bps ? (uint32_t)most : m->config.min_bps;
        gcc_set_limits(m->gcc, now, m->config.min_bps, m->most_bps);
    }
    uint64_t pace = m->config.control == MEDIA_FIXED ? total * 2 : gcc_target(m->gcc);
    m->pace_bps = pace > UINT32_MAX ? UINT32_MAX : (uint32_t)pace;
    pacer_set_rate(m->pacer, now, m->pace_bps);
    m->stats.availableOutgoingBitrate = m->config.control == MEDIA_FIXED ? 0 : gcc_target(m->gcc);
}

// ---------------------------------------------------------------------------------------- packets

void media_extension_values(const struct media_track *t, unsigned layer, bool repair,
                            struct rtp_extension_values *values)
{
    const uint8_t *id = t->agreement.extensions.id;
    const struct media_stream_out *out = &t->out[layer];
    *values = (struct rtp_extension_values){0};
    if (id[RTP_TRANSPORT_CC])
        values->has |= 1u << RTP_TRANSPORT_CC;
    if (id[RTP_ABS_SEND_TIME])
        values->has |= 1u << RTP_ABS_SEND_TIME;
    // RFC 9143 15.1, RFC 8852 3.1: of each SSRC until the other side knows whose it is. A repair
    // stream may begin, or be heard of first, long after what it repairs.
    if (repair ? out->rtx_acknowledged : out->acknowledged)
        return;
    if (id[RTP_MID]) {
        values->has |= 1u << RTP_MID;
        values->mid = t->agreement.mid;
    }
    if (t->layers == 1)
        return;
    enum rtp_extension rid = repair ? RTP_REPAIRED_RID : RTP_RID;
    if (id[rid]) {
        values->has |= 1u << rid;
        values->rid = values->repaired_rid = bytes_text(t->rids[layer]);
    }
}

bool media_packet_send(struct media *m, nanotime now, uint32_t index, enum pacer_priority priority)
{
    struct media_packet *packet = media_packet_at(m, index);
    struct pacer_item item = {
        .handle = index, .size = packet->len + MEDIA_PACKET_OVERHEAD, .priority = priority};
    packet->made_at = now;
    enum pacer_outcome outcome = pacer_push(m->pacer, now, &item);
    if (outcome == PACER_QUEUED)
        return true;
    m->stats.pacer_drops++;
    trace(&m->trace, now, "the pacer refuses a packet: %s", pacer_outcome_name(outcome));
    media_packet_free(m, index);
    return false;
}

// The most that a payload may have: room is left for the extensions, RTX and FEC.
static size_t payload_max(const struct media *m, const struct media_track *t, unsigned layer)
{
    size_t extension = 4 + 3 + 4 + 2 + t->agreement.mid.len + 2 +
                       (t->layers > 1 ? strlen(t->rids[layer]) + 1 : 0) + 3;
    // A repair packet has extensions of its own, and those of what it protects.
    size_t repair = t->config.fec == MEDIA_NO_FEC ? 0 : FEC_OVERHEAD_MAX + 1 + extension;
    return m->config.mtu - RTP_HEADER_LEN - extension - RTX_OVERHEAD - repair;
}

// Header of a new packet of a stream; the payload is to follow. NULL: the pool is full.
static struct media_packet *packet_begin(struct media *m, struct media_track *t, unsigned layer,
                                         unsigned payload_type, uint32_t timestamp,
                                         const struct source_frame *frame, uint32_t *index)
{
    struct media_packet *packet = media_packet_new(m, index);
    if (!packet)
        return NULL;
    struct media_stream_out *out = &t->out[layer];
    struct rtp_extension_values values;
    media_extension_values(t, layer, false, &values);
    if (frame && t->config.kind == MEDIA_AUDIO && t->agreement.extensions.id[RTP_AUDIO_LEVEL]) {
        values.has |= 1u << RTP_AUDIO_LEVEL;
        values.audio_level = frame->audio_level;
        values.voice = frame->voice;
    }
    struct rtp_packet header = {.payload_type = (uint8_t)payload_type,
                                .sequence = out->sequence++,
                                .timestamp = timestamp,
                                .ssrc = out->ssrc};
    packet->track = (uint8_t)(t - m->tracks);
    packet->layer = (uint8_t)layer;
    packet->audio = t->config.kind == MEDIA_AUDIO;
    packet->len = (uint16_t)rtp_write_header(packet->bytes, sizeof packet->bytes, &header,
                                             &t->agreement.extensions, &values);
    packet->header_len = packet->len;
    return packet;
}

// A packet that was begun is not sent after all. RFC 3550 5.1: numbers count packets that are sent,
// so the next has its number.
static void packet_cancel(struct media *m, struct media_track *t, unsigned layer, uint32_t index)
{
    t->out[layer].sequence--;
    media_packet_free(m, index);
}

static void frame_too_long(struct media *m, nanotime now, const struct media_track *t, size_t len)
{
    m->stats.frames_too_long++;
    trace(&m->trace, now, "a frame of '%s' of %zu bytes fits no packet", t->label, len);
}

static void mark(struct media_packet *packet)
{
    packet->bytes[1] |= 0x80;
}

static void send_audio(struct media *m, nanotime now, struct media_track *t,
                       const struct source_frame *frame)
{
    uint32_t timestamp = t->out[0].first_timestamp + frame->timestamp, index;
    const struct media_format *red = t->out[0].red ? media_format_kind(t, CODEC_RED_AUDIO) : NULL;
    unsigned type = red ? red->send_type : t->format->send_type;
    struct media_packet *packet = packet_begin(m, t, 0, type, timestamp, frame, &index);
    if (!packet) {
        m->stats.pacer_drops++;
        return;
    }
    if (frame->first_of_talk)
        mark(packet);
    uint8_t *to = packet->bytes + packet->len;
    size_t len = frame->bytes.len, room = m->config.mtu - packet->len;
    if (red)
        len = media_repair_red(t, timestamp, frame->bytes, to, room);
    else if (len > 0 && len <= room)
        memcpy(to, frame->bytes.at, len);
    if (len == 0 || len > room) {
        if (frame->bytes.len)
            frame_too_long(m, now, t, frame->bytes.len);
        packet_cancel(m, t, 0, index);
        return;
    }
    packet->len = (uint16_t)(packet->len + len);
    packet->last_of_frame = true;
    (void)media_packet_send(m, now, index, PACER_AUDIO);
}

static struct payload_tag tag_of(const struct media_track *t, const struct media_stream_out *out)
{
    struct payload_tag tag = PAYLOAD_TAG_NONE;
    if (t->codec->kind == CODEC_VP8 || t->codec->kind == CODEC_VP9) {
        tag.picture_id = out->picture_id;
        tag.picture_id_is_long = true;
    }
    return tag;
}

static void send_video(struct media *m, nanotime now, struct media_track *t,
                       const struct source_frame *frame)
{
    struct media_stream_out *out = &t->out[frame->layer];
    struct payload_frame source = {.kind = t->codec->kind,
                                   .bytes = frame->bytes,
                                   .keyframe = frame->keyframe,
                                   .single_nal = t->format->single_nal,
                                   .tag = tag_of(t, out)};
    struct payload_out pieces;
    enum payload_outcome cut = payload_begin(&pieces, &source, payload_max(m, t, frame->layer));
    if (cut == PAYLOAD_TOO_LARGE) // RFC 6184 6.2: packetization-mode 0 cuts no NAL unit
        frame_too_long(m, now, t, frame->bytes.len);
    if (cut != PAYLOAD_OK)
        return;
    out->picture_id = (out->picture_id + 1) & 0x7fff;
    uint32_t timestamp = out->first_timestamp + frame->timestamp, sent[FRAME_PACKETS_MAX];
    unsigned count = 0;
    do {
        uint32_t index;
        struct media_packet *packet =
            packet_begin(m, t, frame->layer, t->format->send_type, timestamp, frame, &index);
        if (!packet) {
            m->stats.pacer_drops++;
            return;
        }
        size_t len = payload_next(&pieces, packet->bytes + packet->len);
        if (!len) {
            packet_cancel(m, t, frame->layer, index);
            return;
        }
        packet->len = (uint16_t)(packet->len + len);
        packet->last_of_frame = pieces.last;
        if (pieces.last)
            mark(packet);
        if (!media_packet_send(m, now, index, PACER_VIDEO))
            return;
        if (count < FRAME_PACKETS_MAX)
            sent[count++] = index;
    } while (!pieces.last);
    media_fec_send(m, now, t, frame->layer, sent, count, timestamp);
}

static void count_frame(struct media_track *t, nanotime now, const struct source_frame *frame)
{
    struct media_stream_out *out = &t->out[frame->layer];
    // Huge: more than 2.5 times the average so far.
    if (out->frames && frame->bytes.len * out->frames * 2 > out->frame_bytes * 5)
        out->huge_frames++;
    if (t->config.kind == MEDIA_AUDIO) {
        nanotime span = (nanotime)frame->duration * TIME_S / t->codec->clock_rate;
        t->source_level = frame->audio_level;
        t->source_energy += media_count_energy(frame->audio_level, span);
        t->source_time += span;
    }
    media_count_recent(out->recent, out->frames, now);
    out->frames++;
    out->keyframes += frame->keyframe;
    if (frame->keyframe) {
        out->keyframe_at = now;
        out->keyframe_asked = false;
    }
    out->frame_bytes += frame->bytes.len;
    if (t->config.fps)
        out->target_bytes += out->target_bps / 8 / t->config.fps;
    out->width = frame->width;
    out->height = frame->height;
    out->last_timestamp = out->first_timestamp + frame->timestamp;
    out->last_at = frame->at;
}

static void send_events(struct media *m, nanotime now, struct media_track *t)
{
    struct dtmf_packet event;
    struct media_stream_out *out = &t->out[0];
    uint32_t timestamp = out->first_timestamp + source_timestamp_at(t->source, now), index;
    while (dtmf_sender_poll(&t->dtmf, now, timestamp, &event)) {
        struct media_packet *packet =
            packet_begin(m, t, 0, t->dtmf_format->send_type, event.timestamp, NULL, &index);
        if (!packet)
            return;
        if (event.marker)
            mark(packet);
        memcpy(packet->bytes + packet->len, event.payload, DTMF_PAYLOAD_LEN);
        packet->len = (uint16_t)(packet->len + DTMF_PAYLOAD_LEN);
        (void)media_packet_send(m, now, index, PACER_AUDIO);
    }
}

// RFC 4585 6.3.1, RFC 5104 4.3.1.2: a key frame as soon as possible, by what the path can take. A
// storm of requests gets no storm of key frames: one that was just sent answers them, too.
static void keyframes_poll(nanotime now, struct media_track *t)
{
    for (unsigned i = 0; i < t->layers; i++) {
        struct media_stream_out *out = &t->out[i];
        if (out->keyframe_asked && (out->frames == 0 || now - out->keyframe_at >= KEYFRAME_SPACE)) {
            out->keyframe_asked = false;
            source_request_keyframe(t->source, i);
        }
    }
}

static void track_poll(struct media *m, nanotime now, struct media_track *t)
{
    struct source_frame frame;
    keyframes_poll(now, t);
    if (t->dtmf_format && dtmf_sender_deadline(&t->dtmf) <= now)
        send_events(m, now, t);
    while (source_poll(t->source, now, &frame)) {
        count_frame(t, now, &frame);
        // RFC 4733 2.5.1.4: while an event is played there is no audio of its time.
        if (t->config.kind == MEDIA_VIDEO)
            send_video(m, now, t, &frame);
        else if (!t->dtmf_format || !dtmf_sender_playing(&t->dtmf))
            send_audio(m, now, t, &frame);
    }
}

void media_sources_poll(struct media *m, nanotime now)
{
    if (m->config.control != MEDIA_FIXED) {
        struct gcc_output got;
        bool shared = false;
        while (gcc_poll(m->gcc, now, &got)) {
            if (got.kind == GCC_PROBE)
                m->stats.probes += pacer_probe(m->pacer, now, &got.probe);
            else
                shared = true;
        }
        if (shared)
            media_share(m, now);
    }
    for (unsigned i = 0; i < m->tracks_count; i++) {
        struct media_track *t = &m->tracks[i];
        if (t->source)
            track_poll(m, now, t);
    }
}

// ------------------------------------------------------------------------------------ to the wire

// RFC 3550's 6.18 of the send time, as abs-send-time has it.
static uint32_t abs_send_time(nanotime now)
{
    uint64_t seconds = (uint64_t)now / (uint64_t)TIME_S, rest = (uint64_t)now % (uint64_t)TIME_S;
    return (uint32_t)((seconds << 18 | (rest << 18) / (uint64_t)TIME_S) & 0xffffff);
}

// Whose SSRC it goes out under.
static enum media_role_in role_of(const struct media_track *t, const struct media_packet *packet)
{
    return packet->rtx && !packet->as_it_was  ? MEDIA_IN_RTX
           : packet->fec && !media_fec_red(t) ? MEDIA_IN_FEC
                                              : MEDIA_IN_MEDIA;
}

static void count_packet(struct media *m, nanotime now, const struct media_packet *packet)
{
    struct media_track *t = &m->tracks[packet->track];
    struct media_stream_out *out = &t->out[packet->layer];
    size_t payload_len = packet->len - (size_t)packet->header_len;
    struct rtp_packet parsed;
    if (!packet->header_len) {
        if (rtp_parse(bytes_of(packet->bytes, packet->len), &parsed) != RTP_OK)
            return; // our own
        payload_len = parsed.payload.len;
    }
    out->header_bytes += packet->len - payload_len;
    out->send_delay += now - packet->made_at;
    if (packet->rtx) {
        out->rtx_packets++;
        out->rtx_bytes += payload_len;
    }
    if (packet->rtx && !packet->padding && out->history)
        rtp_history_resent(out->history, now, packet->original);
    out->packets++;
    out->payload_bytes += payload_len;
    enum media_role_in role = role_of(t, packet);
    out->spoke[role] = true;
    if (role == MEDIA_IN_FEC) {
        out->flex_packets++;
        out->flex_bytes += payload_len;
    } else if (role == MEDIA_IN_MEDIA) { // under its own SSRC
        out->own_packets++;
        out->own_bytes += payload_len;
        out->rtp_at = now;
        if (!m->we_sent)
            media_rtcp_begins(m, now);
    }
}

static uint32_t ssrc_of(const struct media_track *t, const struct media_packet *packet)
{
    const struct media_stream_out *out = &t->out[packet->layer];
    const uint32_t ssrcs[] = {out->ssrc, out->rtx_ssrc, out->fec_ssrc};
    return ssrcs[role_of(t, packet)];
}

// Congestion control hears of what it will be told of.
static void control_note(struct media *m, nanotime now, struct media_packet *packet, int cluster)
{
    struct media_track *t = &m->tracks[packet->track];
    bool told = rtp_patch_transport_sequence(packet->bytes, packet->len, &t->agreement.extensions,
                                             m->transport_sequence);
    if (m->ccfb) {
        uint16_t sequence = (uint16_t)((unsigned)packet->bytes[2] << 8 | packet->bytes[3]);
        media_ccfb_sent(&t->out[packet->layer].sent[role_of(t, packet)], sequence,
                        m->transport_sequence);
    }
    if (!told && !m->ccfb)
        return;
    gcc_sent(m->gcc, now,
             &(struct gcc_packet){.sequence = m->transport_sequence++,
                                  .size = packet->len + MEDIA_PACKET_OVERHEAD,
                                  .probe_cluster = cluster,
                                  .retransmission = packet->rtx});
}

static void packet_out(struct media *m, nanotime now, uint32_t index, int cluster,
                       struct media_output *out)
{
    struct media_packet *packet = media_packet_at(m, index);
    struct media_track *t = &m->tracks[packet->track];
    const struct rtp_extension_map *map = &t->agreement.extensions;
    put_u32(packet->bytes + 8, ssrc_of(t, packet)); // it may have changed since
    // RFC 7714 8.1: the same index means the same IV, and that the same packet.
    if (!packet->as_it_was)
        (void)rtp_patch_abs_send_time(packet->bytes, packet->len, map, abs_send_time(now));
    if (!packet->as_it_was)
        control_note(m, now, packet, cluster);
    bool rtx = media_repair_rtx(t) != NULL;
    if (rtx)
        media_repair_remember(now, t, packet);
    if (!packet->as_it_was)
        media_fec_wrap(t, packet);
    if (!rtx)
        media_repair_remember(now, t, packet);
    count_packet(m, now, packet);
    m->stats.packetsSent++;
    m->stats.bytesSent += packet->len;
    m->sent_packet = index;
    *out = (struct media_output){.kind = MEDIA_SEND_RTP,
                                 .bytes = bytes_of(packet->bytes, packet->len)};
}

static bool pad_out(struct media *m, nanotime now, struct media_output *out)
{
    uint32_t index = media_repair_pad(m, now, m->pad_left);
    if (index == UINT32_MAX) {
        m->pad_left = 0;
        return false;
    }
    uint32_t len = media_packet_at(m, index)->len + MEDIA_PACKET_OVERHEAD;
    if (len > m->pad_left)
        pacer_padded(m->pacer, now, m->pad_cluster, len - m->pad_left);
    m->pad_left -= len < m->pad_left ? len : m->pad_left;
    packet_out(m, now, index, m->pad_cluster, out);
    return true;
}

bool media_pacer_poll(struct media *m, nanotime now, struct media_output *out)
{
    struct pacer_output got;
    if (m->pad_left && pad_out(m, now, out))
        return true;
    while (pacer_poll(m->pacer, now, &got)) {
        if (got.kind == PACER_SEND) {
            uint32_t index = (uint32_t)got.item.handle;
            if (m->tracks[media_packet_at(m, index)->track].left) { // RFC 3550 6.3.7: after BYE
                media_packet_free(m, index);
                continue;
            }
            m->stats.pacer_delay_max = time_max(m->stats.pacer_delay_max, got.waited);
            packet_out(m, now, index, got.probe_cluster, out);
            return true;
        }
        m->pad_left = got.pad_bytes;
        m->pad_cluster = got.probe_cluster;
        if (pad_out(m, now, out))
            return true;
    }
    return false;
}

nanotime media_send_deadline(const struct media *m)
{
    nanotime at = m->pad_left ? 0 : TIME_NEVER;
    for (unsigned i = 0; i < m->tracks_count; i++) {
        const struct media_track *t = &m->tracks[i];
        if (!t->source)
            continue;
        at = time_min(at, source_deadline(t->source));
        if (t->dtmf_format)
            at = time_min(at, dtmf_sender_deadline(&t->dtmf));
    }
    if (m->config.control != MEDIA_FIXED)
        at = time_min(at, gcc_deadline(m->gcc));
    return time_min(at, pacer_deadline(m->pacer, m->now));
}
