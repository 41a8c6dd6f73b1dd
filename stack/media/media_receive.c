// Receiving: whose packet it is, what it repairs, into the buffers, and out of them in time.
#include "stack/media/media_priv.h"

#include <stdlib.h>

#define LATE_MOST TIME_S // packets behind a goodbye

// ---------------------------------------------------------------------------------------- streams

void media_stream_free(struct media_stream_in *s)
{
    nack_free(s->nack);
    fec_decoder_free(s->fec);
    s->fec = NULL;
    arrival_free(s->arrival);
    s->arrival = NULL;
    audio_buffer_free(s->audio);
    frame_buffer_free(s->video);
    s->nack = NULL;
    s->audio = NULL;
    s->video = NULL;
    s->used = false;
}

void media_keyframe_want(struct media *m, nanotime now, struct media_stream_in *s)
{
    if (s->keyframe_wanted)
        return;
    s->keyframe_wanted = true;
    media_feedback_wish(m, now);
}

// The stream that an RTX stream repairs: signaled, told by its repaired rid, or the only one.
static int find_repaired(struct media *m, const struct media_stream_in *s,
                         const struct rtp_extension_values *values)
{
    const struct media_track *t = &m->tracks[s->track];
    for (unsigned i = 0; i < t->agreement.remotes_count; i++) {
        struct rtp_demux_stream found;
        if (t->agreement.remotes[i].rtx == s->ssrc &&
            rtp_demux_stream_by_ssrc(m->demux, t->agreement.remotes[i].media, &found) &&
            !m->streams[found.index].bye)
            return m->streams[found.index].used ? found.index : -1;
    }
    int only = -1;
    unsigned count = 0;
    for (unsigned i = 0; i < m->streams_count; i++) {
        const struct media_stream_in *other = &m->streams[i];
        if (!other->used || other->bye || other->track != s->track || other->role != MEDIA_IN_MEDIA)
            continue;
        if (values->has & 1u << RTP_REPAIRED_RID && bytes_is(values->repaired_rid, other->rid))
            return (int)i;
        only = (int)i;
        count++;
    }
    return count == 1 ? only : -1;
}

// RFC 3264 7: what comes may be of any of the formats agreed on, and change from packet to packet.
static void stream_codec(struct media *m, struct media_stream_in *s, const struct codec *codec)
{
    const struct media_track *t = &m->tracks[s->track];
    bool same_clock = s->codec && s->codec->clock_rate == codec->clock_rate &&
                      s->codec->sample_rate == codec->sample_rate;
    s->codec = codec;
    rtp_receiver_clock_rate(&s->receiver, codec->clock_rate);
    if (t->config.kind == MEDIA_VIDEO && !s->video) {
        s->video = frame_buffer_new(codec->clock_rate);
        media_fec_begin(t, s);
        if (m->rtt)
            frame_buffer_set_rtt(s->video, m->rtt);
    } else if (t->config.kind == MEDIA_AUDIO && !s->audio) {
        s->audio = audio_buffer_new(codec->clock_rate, codec->sample_rate);
    } else if (s->audio && !same_clock) {
        // RFC 7160 4: timestamps count in other units from here on.
        audio_buffer_restart(s->audio, codec->clock_rate, codec->sample_rate);
    }
}

static void stream_begin(struct media *m, struct media_stream_in *s, uint32_t ssrc, uint16_t track,
                         const struct media_format *format)
{
    const struct media_track *t = &m->tracks[track];
    bool is_media = codec_of(format->kind)->role == CODEC_MEDIA; // else what it is of may come yet
    const struct media_format *media = is_media ? format : t->format;
    media_stream_free(s);
    *s = (struct media_stream_in){.used = true,
                                  .ssrc = ssrc,
                                  .track = track,
                                  .role = format->kind == CODEC_RTX       ? MEDIA_IN_RTX
                                          : format->kind == CODEC_FLEXFEC ? MEDIA_IN_FEC
                                                                          : MEDIA_IN_MEDIA,
                                  .repairs = -1,
                                  .last_sequence = -1,
                                  .last_counter = -1,
                                  .played_at = TIME_NEVER,
                                  .keyframe_asked = TIME_NEVER};
    uint32_t rate = media ? codec_of(media->kind)->clock_rate : format->clock_rate;
    rtp_receiver_init(&s->receiver, ssrc,
                      &(struct rtp_receiver_config){.clock_rate = rate,
                                                    .min_sequential = 1,
                                                    .misorder_max = RTP_RECEIVER_WINDOW});
    if (s->role != MEDIA_IN_MEDIA || !media)
        return;
    stream_codec(m, s, codec_of(media->kind));
    if (s->video && t->config.nack && media->nack) {
        s->nack = nack_new();
        if (m->rtt)
            nack_set_rtt(s->nack, m->rtt);
    }
}

// RFC 3550 A.1: the source began anew. Numbers and clock tell nothing of those before: the buffer
// of video takes it for a jump that is too far ahead to be waited for.
static void stream_restart(struct media_stream_in *s, uint16_t sequence)
{
    arrival_free(s->arrival);
    s->arrival = NULL;
    if (s->last_sequence >= 0)
        s->last_sequence += 65536 + (uint16_t)(sequence - (uint16_t)s->last_sequence);
    if (s->audio)
        audio_buffer_restart(s->audio, s->codec->clock_rate, s->codec->sample_rate);
    s->dtmf = (struct dtmf_receiver){0};
    s->last_sr_at = 0; // of the clock before
}

// RFC 3550 6.2.1: what comes late was on its way when the goodbye did. After that it is the source
// once more: browsers say goodbye for a track that is held, and go on under the same SSRC.
static void stream_return(struct media *m, nanotime now, struct media_stream_in *s)
{
    if (s->bye && now - s->bye_at < LATE_MOST)
        return;
    s->bye = s->held = false;
    if (s->audio)
        audio_buffer_restart(s->audio, s->codec->clock_rate, s->codec->sample_rate);
    trace(&m->trace, now, "stream %08x of '%s' is back", s->ssrc, m->tracks[s->track].label);
}

// It is no more what its track plays, and nothing repairs it.
static void stream_leave(struct media *m, unsigned index)
{
    struct media_stream_in *s = &m->streams[index];
    if (m->tracks[s->track].current == (int)index)
        m->tracks[s->track].current = -1;
    for (unsigned i = 0; i < m->streams_count; i++) {
        if (m->streams[i].repairs == (int)index)
            m->streams[i].repairs = -1;
    }
    media_stream_free(s);
}

static struct media_stream_in *stream_of(struct media *m, const struct rtp_demux_result *where,
                                         uint32_t ssrc, const struct media_format *format)
{
    if (!m->streams)
        m->streams = mem_zero(MEDIA_STREAMS_MAX, sizeof *m->streams);
    struct media_stream_in *s = &m->streams[where->stream];
    if (s->used && (s->ssrc != ssrc || s->track != where->section))
        stream_leave(m, where->stream);
    if (!s->used)
        stream_begin(m, s, ssrc, where->section, format);
    if (where->stream >= m->streams_count)
        m->streams_count = where->stream + 1u;
    return s;
}

// Which of the incoming streams plays: of a simulcast the best layer that comes.
static void choose_current(struct media *m, struct media_track *t, unsigned index)
{
    struct media_stream_in *s = &m->streams[index];
    if (t->current < 0 || !m->streams[t->current].used || m->streams[t->current].bye)
        t->current = (int)index;
    if (t->current == (int)index)
        return;
    // A larger picture is a better layer; what has stopped coming is none.
    const struct media_stream_in *now = &m->streams[t->current];
    bool stale =
        s->receiver.stats.last_packet_received - now->receiver.stats.last_packet_received > TIME_S;
    if (stale || (s->rid[0] && s->width > now->width))
        t->current = (int)index;
}

// ------------------------------------------------------------------------------------- forgetting

// RFC 3550 6.2.1, RFC 9143 9.2: what said goodbye goes after a delay, for stragglers; what is
// silent (RFC 8108 7.1.4: five times 5 s) only when another needs the room: an RTX stream is silent
// as long as nothing is lost, and does not say again whose it is. What a track plays stays: its
// statistics are the track's.

#define STRAGGLERS (5 * TIME_S)

static bool is_current(const struct media *m, const struct rtp_demux_stream *stream)
{
    return m->streams && m->streams[stream->index].used &&
           m->tracks[stream->section].current == (int)stream->index;
}

static void stream_forget(struct media *m, const struct rtp_demux_stream *stream)
{
    if (m->streams && m->streams[stream->index].used)
        stream_leave(m, stream->index);
    if (!stream->signalled)
        rtp_demux_forget(m->demux, stream->ssrc);
}

void media_streams_hold(struct media *m, unsigned track)
{
    for (unsigned i = 0; i < m->streams_count; i++) {
        struct media_stream_in *s = &m->streams[i];
        if (!s->used || s->track != track)
            continue;
        s->held = true;
        if (s->audio)
            audio_buffer_drain(s->audio);
    }
}

void media_streams_expire(struct media *m, nanotime now)
{
    struct rtp_demux_stream stream;
    for (unsigned i = 0; i < m->streams_count; i++) {
        if (m->streams[i].used && m->streams[i].bye && rtp_demux_stream_at(m->demux, i, &stream) &&
            now - stream.last_seen >= STRAGGLERS && !is_current(m, &stream))
            stream_forget(m, &stream);
    }
}

// Room for one more: the stream that was silent longest goes. False: none was for long.
static bool make_room(struct media *m, nanotime now)
{
    struct rtp_demux_stream stream, oldest = {.last_seen = now - MEDIA_MEMBER_TIMEOUT};
    bool found = false;
    for (unsigned i = 0; i < MEDIA_STREAMS_MAX; i++) {
        if (!rtp_demux_stream_at(m->demux, i, &stream) || stream.signalled ||
            stream.last_seen >= oldest.last_seen || is_current(m, &stream))
            continue;
        oldest = stream;
        found = true;
    }
    if (found)
        stream_forget(m, &oldest);
    return found;
}

void media_streams_learn(struct media *m, nanotime now, struct bytes datagram)
{
    while (rtp_demux_learn(m->demux, now, datagram) == RTP_DEMUX_FULL) {
        if (!make_room(m, now))
            return;
    }
}

// ---------------------------------------------------------------------------------------- packets

static void take_video(struct media *m, nanotime now, struct media_stream_in *s,
                       const struct rtp_packet *packet, const struct payload_info *info,
                       bool recovered)
{
    int64_t sequence = rtp_unwrap(s->last_sequence, packet->sequence);
    if (sequence > s->last_sequence)
        s->last_sequence = sequence;
    struct frame_packet in = {.sequence = sequence,
                              .timestamp = packet->timestamp,
                              .marker = packet->marker,
                              .empty = packet->payload.len == 0,
                              .recovered = recovered,
                              .info = *info,
                              .payload = packet->payload};
    enum frame_outcome outcome = frame_buffer_packet(s->video, now, &in);
    if (s->nack)
        nack_packet(s->nack, now, sequence);
    if (outcome == FRAME_DUPLICATE || outcome == FRAME_LATE)
        return;
    s->recovered += recovered;
    if (info->width) {
        s->width = info->width;
        s->height = info->height;
    }
    if (s->nack) // a key frame is asked for: of what was there before none is worth a NACK
        nack_forget(s->nack, frame_buffer_needs_keyframe(s->video) ? s->last_sequence
                                                                   : frame_buffer_done(s->video));
    if (s->nack && nack_gave_up(s->nack) && m->tracks[s->track].config.pli)
        media_keyframe_want(m, now, s);
}

static void take_audio(struct media *m, nanotime now, struct media_stream_in *s,
                       const struct rtp_packet *packet, const struct payload_info *info,
                       bool recovered)
{
    (void)m;
    struct audio_packet in = {.timestamp = packet->timestamp,
                              .duration = info->samples,
                              .dtx = info->dtx,
                              .recovered = recovered,
                              .payload = packet->payload};
    s->frame_time = (nanotime)info->samples * TIME_S / s->receiver.config.clock_rate;
    bool kept = audio_buffer_packet(s->audio, now, &in) == AUDIO_KEPT;
    if (s->has_audio_level && !recovered)
        s->audio_energy += media_count_energy(s->audio_level, s->frame_time);
    s->recovered += recovered && kept;
    s->fec_packets += recovered; // W3C fecPacketsReceived: in-band, too
    s->fec_bytes += recovered ? packet->payload.len : 0;
    s->fec_discarded += recovered && !kept;
}

// An event stands in the place of the audio of its time, which nothing has to make up for.
static void event_fill(nanotime now, struct media_stream_in *s, const struct rtp_packet *packet)
{
    uint32_t frame = s->receiver.config.clock_rate / 50; // no longer than an event's step
    uint32_t part = s->dtmf.duration - s->dtmf.before;
    struct audio_packet in = {.timestamp = packet->timestamp + (part > frame ? part - frame : 0),
                              .duration = frame,
                              .dtx = true,
                              .recovered = true}; // it comes again, and tells nothing of jitter
    (void)audio_buffer_packet(s->audio, now, &in);
}

static void take_event(struct media *m, nanotime now, struct media_stream_in *s,
                       const struct media_format *format, const struct rtp_packet *packet)
{
    struct media_track *t = &m->tracks[s->track];
    enum dtmf_news news = dtmf_receiver_input(&s->dtmf, packet->timestamp, packet->payload);
    if (s->audio && s->dtmf.any && format->clock_rate == s->receiver.config.clock_rate)
        event_fill(now, s, packet);
    if (news != DTMF_BEGAN)
        return;
    t->digits++;
    if (m->digits_count < sizeof m->digits_out / sizeof m->digits_out[0])
        m->digits_out[m->digits_count++] = (struct media_output){
            .kind = MEDIA_DIGIT, .track = s->track, .digit = dtmf_digit(s->dtmf.event)};
}

// A packet of media, as it came or as a repair brought it back.
enum media_drop media_take(struct media *m, nanotime now, struct media_stream_in *s,
                           const struct rtp_packet *packet, bool recovered)
{
    struct media_track *t = &m->tracks[s->track];
    const struct media_format *format = media_format_of(t, packet->payload_type);
    struct payload_info info = {0};
    if (!format)
        return MEDIA_UNKNOWN_PAYLOAD;
    if (format->kind == CODEC_EVENT) {
        take_event(m, now, s, format, packet);
        return MEDIA_KEPT;
    }
    const struct codec *codec = codec_of(format->kind);
    if (codec->role != CODEC_MEDIA)
        return MEDIA_KEPT; // comfort noise
    if (packet->payload.len > 0) {
        enum payload_outcome outcome = payload_read(format->kind, packet->payload, &info);
        if (outcome != PAYLOAD_OK) {
            s->bad_payload++;
            trace(&m->trace, now, "a payload of '%s' is refused: %s", t->label,
                  payload_outcome_name(outcome));
            return MEDIA_BAD_PAYLOAD;
        }
        if (codec != s->codec && !recovered && packet->sequence == s->receiver.max_sequence)
            stream_codec(m, s, codec);
        else if (codec != s->codec && !s->video)
            return MEDIA_KEPT; // from before the change: its clock is another
    }
    if (s->video) {
        take_video(m, now, s, packet, &info, recovered);
        // What RTX brought back has RTX's header extension: no repair packet knows it.
        if (packet->payload.len > 0 && !recovered)
            media_fec_note(m, s, packet);
    }
    if (s->audio && packet->payload.len > 0)
        take_audio(m, now, s, packet, &info, recovered);
    return MEDIA_KEPT;
}

// RFC 2198: earlier frames first, the packet's own last.
static enum media_drop take_red(struct media *m, nanotime now, struct media_stream_in *s,
                                const struct rtp_packet *packet, bool recovered)
{
    struct red_block blocks[RED_BLOCKS_MAX];
    size_t count;
    enum media_drop drop = MEDIA_BAD_PAYLOAD;
    if (red_split(packet->payload, packet->timestamp, blocks, &count) != RED_OK) {
        s->bad_payload++;
        return drop;
    }
    for (size_t i = 0; i < count; i++) {
        struct rtp_packet block = *packet;
        block.payload_type = blocks[i].payload_type;
        block.timestamp = blocks[i].timestamp;
        block.payload = blocks[i].data;
        drop = media_take(m, now, s, &block, recovered || i + 1 < count);
    }
    return drop;
}

// Whatever a stream of media may have in it.
static enum media_drop take_any(struct media *m, nanotime now, struct media_stream_in *s,
                                const struct rtp_packet *packet, bool recovered)
{
    const struct media_format *format = media_format_of(&m->tracks[s->track], packet->payload_type);
    if (format && format->kind == CODEC_RED_AUDIO && s->audio)
        return take_red(m, now, s, packet, recovered);
    enum media_drop drop = format && format->kind == CODEC_RED_VIDEO && s->video
                               ? media_fec_take_red(m, now, s, packet, recovered)
                               : media_take(m, now, s, packet, recovered);
    media_fec_drain(m, now, s);
    return drop;
}

static enum media_drop take_rtx(struct media *m, nanotime now, struct media_stream_in *s,
                                const struct media_format *format, const struct rtp_packet *packet,
                                const struct rtp_extension_values *values)
{
    if (s->repairs < 0 || !m->streams[s->repairs].used)
        s->repairs = find_repaired(m, s, values);
    if (s->repairs < 0)
        return MEDIA_UNKNOWN_STREAM;
    struct media_stream_in *repaired = &m->streams[s->repairs];
    struct rtp_packet original;
    size_t len = rtx_unwrap(packet, format->apt, repaired->ssrc, m->scratch, sizeof m->scratch);
    if (!len || rtp_parse(bytes_of(m->scratch, len), &original) != RTP_OK)
        return MEDIA_KEPT; // padding
    repaired->rtx_packets++;
    repaired->rtx_bytes += packet->payload.len;
    return take_any(m, now, repaired, &original, true);
}

// webrtc-stats, RTCStatsType "inbound-rtp": streams of RTX and FEC are no objects of their own, but
// count for the one that they are for; as RFC 3550 6.4.1 counts, with duplicates.
static void count_repair(struct media *m, const struct media_stream_in *s,
                         const struct rtp_packet *packet, size_t len)
{
    if (s->role == MEDIA_IN_MEDIA || s->repairs < 0 || !m->streams[s->repairs].used)
        return;
    struct media_stream_in *repaired = &m->streams[s->repairs];
    repaired->repair_packets++;
    repaired->repair_bytes += packet->payload.len;
    repaired->repair_header_bytes += len - packet->payload.len;
}

static enum media_drop drop_of(enum rtp_receiver_outcome outcome)
{
    return outcome == RTP_RECEIVER_DUPLICATE ? MEDIA_DUPLICATE : MEDIA_TOO_OLD;
}

static void note_arrival(struct media *m, nanotime now, const struct rtp_packet *packet,
                         const struct rtp_extension_values *values, size_t len)
{
    if (m->transport_cc && values->has & 1u << RTP_TRANSPORT_CC) {
        m->feedback_media = packet->ssrc;
        arrival_packet(m->arrival, now, values->transport_sequence, len + MEDIA_PACKET_OVERHEAD);
    }
    if (m->use_remb && m->config.control == MEDIA_REMB && values->has & 1u << RTP_ABS_SEND_TIME)
        remb_packet(m->remb, now, values->abs_send_time, len + MEDIA_PACKET_OVERHEAD);
}

static enum media_drop drop_of_demux(enum rtp_demux_outcome outcome)
{
    static const enum media_drop drops[RTP_DEMUX_OUTCOMES] = {
        [RTP_DEMUX_OK] = MEDIA_KEPT,
        [RTP_DEMUX_UNKNOWN_MID] = MEDIA_UNKNOWN_STREAM,
        [RTP_DEMUX_PAYLOAD_TYPE] = MEDIA_UNKNOWN_PAYLOAD,
        [RTP_DEMUX_UNKNOWN] = MEDIA_UNKNOWN_STREAM,
        [RTP_DEMUX_FULL] = MEDIA_TOO_MANY_STREAMS,
        [RTP_DEMUX_COLLISION] = MEDIA_COLLISION,
        [RTP_DEMUX_LOOP] = MEDIA_LOOP,
        [RTP_DEMUX_THIRD_PARTY] = MEDIA_THIRD_PARTY,
    };
    return drops[outcome];
}

static enum rtp_demux_outcome demux(struct media *m, nanotime now, const struct rtp_packet *packet,
                                    const struct rtp_extension_values *values,
                                    struct rtp_demux_result *where)
{
    enum rtp_demux_outcome outcome = rtp_demux_rtp(m->demux, now, NULL, packet, values, where);
    if (outcome == RTP_DEMUX_COLLISION) {
        // RFC 3550 8.2: ours becomes another, and the packet is of a new source.
        media_ssrc_collision(m, now, packet->ssrc);
        outcome = rtp_demux_rtp(m->demux, now, NULL, packet, values, where);
    }
    if (outcome == RTP_DEMUX_FULL && make_room(m, now))
        outcome = rtp_demux_rtp(m->demux, now, NULL, packet, values, where);
    return outcome;
}

static enum media_drop input(struct media *m, nanotime now, struct bytes datagram)
{
    struct rtp_packet packet;
    struct rtp_extension_values values;
    struct rtp_demux_result where;
    if (!m->started || m->stopped || rtp_parse(datagram, &packet) != RTP_OK)
        return MEDIA_MALFORMED;
    rtp_extensions_read(&packet, &m->extensions, &values);
    note_arrival(m, now, &packet, &values, datagram.len);
    enum rtp_demux_outcome whose = demux(m, now, &packet, &values, &where);
    if (whose != RTP_DEMUX_OK)
        return drop_of_demux(whose);
    struct media_track *t = &m->tracks[where.section];
    const struct media_format *format = media_format_of(t, packet.payload_type);
    if (!t->agreement.receive)
        return MEDIA_NOT_RECEIVING;
    if (!format)
        return MEDIA_UNKNOWN_PAYLOAD;
    struct media_stream_in *s = stream_of(m, &where, packet.ssrc, format);
    media_ccfb_note(m, now, s, packet.sequence, datagram.len);
    enum rtp_receiver_outcome outcome = rtp_receiver_input(&s->receiver, now, &packet);
    if (outcome != RTP_RECEIVER_NEW && outcome != RTP_RECEIVER_RESTART) {
        if (outcome == RTP_RECEIVER_DUPLICATE)
            count_repair(m, s, &packet, datagram.len);
        return drop_of(outcome);
    }
    if (outcome == RTP_RECEIVER_RESTART) {
        stream_restart(s, packet.sequence);
        media_ccfb_note(m, now, s, packet.sequence, datagram.len);
    }
    if (s->bye || s->held)
        stream_return(m, now, s);
    if (values.has & 1u << RTP_RID)
        (void)bytes_copy_text(values.rid, s->rid, sizeof s->rid);
    if (values.has & 1u << RTP_AUDIO_LEVEL) {
        s->audio_level = values.audio_level;
        s->has_audio_level = true;
    }
    if (s->role != MEDIA_IN_MEDIA) {
        enum media_drop drop = s->role == MEDIA_IN_RTX
                                   ? take_rtx(m, now, s, format, &packet, &values)
                                   : media_fec_take_flex(m, now, s, &packet);
        count_repair(m, s, &packet, datagram.len);
        return drop;
    }
    choose_current(m, t, where.stream);
    return take_any(m, now, s, &packet, false);
}

enum media_drop media_input_rtp(struct media *m, nanotime now, struct bytes datagram)
{
    m->receive_at = 0;
    enum media_drop drop = input(m, now, datagram);
    m->stats.drops[drop]++;
    if (drop == MEDIA_KEPT) {
        m->heard_at = m->rtp_heard_at = now;
        m->stats.packetsReceived++;
        m->stats.bytesReceived += datagram.len;
    }
    return drop;
}

// ----------------------------------------------------------------------------------------- playout

static void check_frame(struct media_stream_in *s, enum codec_kind kind, struct bytes frame)
{
    struct source_mark mark;
    switch (source_check(kind, frame, &mark)) {
    case SOURCE_INTACT:
        s->intact++;
        if (s->last_counter >= 0 && mark.counter > s->last_counter + 1)
            s->missing += (uint64_t)(mark.counter - s->last_counter - 1);
        s->last_counter = mark.counter;
        break;
    case SOURCE_DAMAGED:
        s->damaged++;
        break;
    case SOURCE_NOT_SYNTHETIC:
        break;
    }
}

static struct bytes join(struct media *m, const struct media_stream_in *s,
                         const struct frame *frame)
{
    struct payload_join join;
    struct bytes whole = bytes_of(NULL, 0);
    if (!m->frame)
        m->frame = mem_alloc(MEDIA_FREEZE_FRAME_MAX);
    payload_join_begin(&join, frame->kind, m->frame, MEDIA_FREEZE_FRAME_MAX);
    for (int64_t i = frame->first; i <= frame->last; i++) {
        struct bytes payload = frame_buffer_payload(s->video, i);
        if (payload.len)
            (void)payload_join_add(&join, payload);
    }
    return payload_join_end(&join, &whole) == PAYLOAD_OK ? whole : bytes_of(NULL, 0);
}

static bool play_video(struct media *m, nanotime now, struct media_stream_in *s,
                       struct media_output *out)
{
    struct frame frame;
    struct media_track *t = &m->tracks[s->track];
    while (frame_buffer_poll(s->video, now, &frame)) {
        media_count_recent(s->recent, s->rendered, now);
        s->rendered++;
        s->played_rtp = frame.timestamp;
        s->played_at = now;
        media_sync(m, now, s);
        if (s->nack)
            nack_forget(s->nack, frame.last);
        struct bytes whole = join(m, s, &frame);
        check_frame(s, frame.kind, whole);
        m->changed = true;
        if (!t->play_out || t->current != (int)(s - m->streams))
            continue;
        *out = (struct media_output){.kind = MEDIA_FRAME,
                                     .track = s->track,
                                     .bytes = whole,
                                     .timestamp = frame.timestamp,
                                     .keyframe = frame.keyframe};
        return true;
    }
    return false;
}

static bool play_audio(struct media *m, nanotime now, struct media_stream_in *s,
                       struct media_output *out)
{
    struct audio_play play;
    struct media_track *t = &m->tracks[s->track];
    while (audio_buffer_poll(s->audio, now, &play)) {
        if (!play.begins)
            continue;
        s->played_rtp = play.timestamp;
        s->played_at = now;
        check_frame(s, s->codec->kind, play.payload);
        if (!t->play_out || !play.payload.len)
            continue;
        *out = (struct media_output){.kind = MEDIA_FRAME,
                                     .track = s->track,
                                     .bytes = play.payload,
                                     .timestamp = play.timestamp,
                                     .keyframe = true};
        return true;
    }
    return false;
}

bool media_playout_poll(struct media *m, nanotime now, struct media_output *out)
{
    for (unsigned i = 0; i < m->streams_count; i++) {
        struct media_stream_in *s = &m->streams[i];
        if (s->video && frame_buffer_deadline(s->video) <= now && play_video(m, now, s, out))
            return true;
        if (s->audio && audio_buffer_deadline(s->audio) <= now && play_audio(m, now, s, out))
            return true;
    }
    return false;
}

nanotime media_receive_deadline(const struct media *m)
{
    nanotime at = TIME_NEVER;
    for (unsigned i = 0; i < m->streams_count; i++) {
        const struct media_stream_in *s = &m->streams[i];
        if (s->video)
            at = time_min(at, frame_buffer_deadline(s->video));
        if (s->audio)
            at = time_min(at, audio_buffer_deadline(s->audio));
    }
    return at;
}
