// RTCP that goes out: reports when the schedule says so, feedback early, transport-wide feedback by
// a clock of its own.
#include "stack/media/media_priv.h"

#include <assert.h>

#define UDP_OVERHEAD 28       // RFC 3550 6.2: the size of RTCP counts IP and UDP
#define SRTCP_OVERHEAD 30     // index and tag: left free
#define NTP_EPOCH 2208988800u // 1970 in NTP seconds
#define NACK_MAX 128          // sequences of one NACK
#define REMB_AGAIN TIME_S
#define SPEAKERS_MAX 16
#define BLOCKS_MAX 16
// RFC 3550 6.4, 6.5, in bytes: an SR without blocks, a block, what the names begin with, a name
// without its text (SSRC, type, length, at most four zeros).
#define SENDER_REPORT 28
#define REPORT_BLOCK 24
#define SDES_HEAD 4
#define NAME_MOST 10
// RFC 4585 6.1, 6.2.1, RFC 5104 4.3.1, draft-alvestrand-rmcat-remb-03 2.2.
#define FEEDBACK_HEAD 12
#define NACK_ENTRY 4
#define FIR_ENTRY 8
#define REMB_HEAD 20
#define KEYFRAME_AGAIN (500 * TIME_MS) // a request that was not answered is made again; or by RTT

void media_feedback_wish(struct media *m, nanotime now)
{
    if (m->feedback_due)
        return;
    m->feedback_due = true;
    (void)rtcp_schedule_feedback(&m->schedule, now);
}

nanotime media_ntp_time(uint64_t ntp)
{
    uint64_t seconds = (ntp >> 32) - NTP_EPOCH - TIME_EPOCH_S;
    return (nanotime)seconds * TIME_S + (nanotime)((ntp & UINT32_MAX) * 1000000000u >> 32);
}

static nanotime keyframe_again(const struct media *m)
{
    return time_max(KEYFRAME_AGAIN, m->rtt / 2 * 3);
}

static struct writer writer(struct media *m)
{
    size_t max = m->config.mtu < sizeof m->rtcp ? m->config.mtu : sizeof m->rtcp;
    return writer_of(m->rtcp, max - SRTCP_OVERHEAD);
}

// ----------------------------------------------------------------------------------------- reports

// RFC 3550 6.3.8, 6.4: has it sent since its report before the last?
static bool is_sending(const struct media_stream_out *out)
{
    return out->rtp_at != TIME_NEVER && out->rtp_at >= out->reported[1];
}

// Something is to be said under a track's SSRC; it will have to say goodbye.
static uint32_t speak_as(struct media *m, unsigned track)
{
    m->tracks[track].out[0].spoke[MEDIA_IN_MEDIA] = true;
    return m->tracks[track].out[0].ssrc;
}

// The first track that has not left: its SSRC speaks for all. The number of tracks: all have.
static unsigned speaker(const struct media *m)
{
    unsigned track = 0;
    while (track < m->tracks_count && m->tracks[track].left)
        track++;
    return track;
}

static uint32_t speak(struct media *m)
{
    unsigned track = speaker(m);
    return speak_as(m, track < m->tracks_count ? track : 0);
}

static bool is_over(const struct media *m)
{
    return m->tracks_count > 0 && speaker(m) == m->tracks_count;
}

// RFC 3550 6.3.5, 6.3.8: who is there, and who sends. Each side counts for one, as its SSRCs share
// their datagrams (RFC 8108 5.3).
static void count_members(struct media *m, nanotime now)
{
    bool heard = m->heard_at == TIME_NEVER || now - m->heard_at <= MEDIA_MEMBER_TIMEOUT;
    bool they_send = heard && m->rtp_heard_at != TIME_NEVER && m->rtp_heard_at >= m->reported[1];
    rtcp_schedule_members(&m->schedule, now, heard ? 2 : 1, (unsigned)m->we_sent + they_send,
                          m->we_sent);
}

void media_rtcp_begins(struct media *m, nanotime now)
{
    m->we_sent = true; // RFC 3550 6.3.8: a sender at once
    count_members(m, now);
}

static void senders_expire(struct media *m, nanotime now)
{
    m->we_sent = false;
    for (unsigned i = 0; i < m->tracks_count; i++) {
        const struct media_track *t = &m->tracks[i];
        for (unsigned k = 0; k < t->layers; k++)
            m->we_sent |= t->out[k].rtp_at != TIME_NEVER && t->out[k].rtp_at >= m->reported[1];
    }
    count_members(m, now);
    m->reported[1] = m->reported[0];
    m->reported[0] = now;
}

// RFC 9429 4.2.2: of a track that was stopped nothing is said; nor of a source that left.
static bool is_told_of(const struct media *m, const struct media_stream_in *s)
{
    return s->used && !s->bye && !m->tracks[s->track].left;
}

// The next streams to report on, so many as fit; of RTX and FEC there are none (they share the
// loss of what they travel with, and nobody acts on it). RFC 3550 6.4, 6.4.1: of what nothing came
// since the last report there is no block.
static size_t blocks_of(struct media *m, nanotime now, struct rtcp_block *blocks, size_t max)
{
    size_t count = 0;
    for (unsigned i = 0; i < m->streams_count && count < max; i++) {
        struct media_stream_in *s = &m->streams[(m->reporter + i) % m->streams_count];
        if (is_told_of(m, s) && s->role == MEDIA_IN_MEDIA &&
            s->receiver.received != s->receiver.received_prior)
            count += rtp_receiver_report(&s->receiver, now, &blocks[count]);
        if (count == max)
            m->reporter = (m->reporter + i + 1) % m->streams_count;
    }
    return count;
}

// RFC 3550 6.4.1: the RTP time of the same instant as the NTP time.
static uint32_t rtp_time(nanotime now, const struct media_track *t,
                         const struct media_stream_out *out)
{
    if (t->source)
        return out->first_timestamp + source_timestamp_at(t->source, now);
    uint32_t rate = t->codec ? t->codec->clock_rate : 0;
    nanotime since = now - out->last_at;
    return out->last_timestamp + (uint32_t)((uint64_t)(since / TIME_US) * rate / 1000000);
}

static struct rtcp_sender_info sender_info(nanotime now, const struct media_track *t,
                                           const struct media_stream_out *out)
{
    return (struct rtcp_sender_info){.ntp = rtcp_ntp(now),
                                     .rtp_timestamp = rtp_time(now, t, out),
                                     .packets = (uint32_t)(out->own_packets - out->told_packets),
                                     .octets = (uint32_t)(out->own_bytes - out->told_bytes)};
}

// How many SSRCs can speak in one datagram: each with an SR and its name, beside the blocks.
static unsigned speakers_max(const struct media *m, size_t blocks)
{
    size_t max = m->config.mtu < sizeof m->rtcp ? m->config.mtu : sizeof m->rtcp;
    size_t taken = SRTCP_OVERHEAD + SDES_HEAD + blocks * REPORT_BLOCK;
    size_t each = SENDER_REPORT + NAME_MOST + strlen(m->cname);
    size_t fit = max > taken ? (max - taken) / each : 0;
    return fit < 1 ? 1 : fit < SPEAKERS_MAX ? (unsigned)fit : SPEAKERS_MAX;
}

// Each of our streams reports for itself in one compound (RFC 8108 5): an SR who sends, an RR who
// did and may again (RFC 8108 6.2). With more than fit they take turns (RFC 3550 6.4). The first
// has the blocks. Those that speak are named in `speakers`; true: there is an SR.
static bool write_reports(struct media *m, nanotime now, struct writer *w, uint32_t *speakers,
                          unsigned *spoken)
{
    struct rtcp_block blocks[BLOCKS_MAX];
    size_t room = m->config.mtu / 2 / REPORT_BLOCK;
    size_t count = blocks_of(m, now, blocks, room < BLOCKS_MAX ? room : BLOCKS_MAX);
    unsigned max = speakers_max(m, count), all = m->tracks_count * MEDIA_LAYERS_MAX;
    unsigned first = m->speaker;
    bool sends = false;
    *spoken = 0;
    for (unsigned i = 0; i < all && *spoken < max; i++) {
        unsigned index = (first + i) % all, layer = index % MEDIA_LAYERS_MAX;
        struct media_track *t = &m->tracks[index / MEDIA_LAYERS_MAX];
        struct media_stream_out *out = &t->out[layer];
        if (layer >= t->layers || out->rtp_at == TIME_NEVER)
            continue;
        if (is_sending(out)) {
            struct rtcp_sender_info info = sender_info(now, t, out);
            rtcp_write_sr(w, out->ssrc, &info, blocks, *spoken ? 0 : count);
            sends = true;
        } else {
            rtcp_write_rr(w, out->ssrc, blocks, *spoken ? 0 : count);
        }
        out->reported[1] = out->reported[0];
        out->reported[0] = now;
        speakers[(*spoken)++] = out->ssrc;
        m->speaker = (index + 1) % all;
    }
    if (*spoken < max)
        m->speaker = 0; // all have: the order is that of the tracks
    if (*spoken == 0) {
        speakers[(*spoken)++] = speak(m);
        rtcp_write_rr(w, speakers[0], blocks, count);
    }
    return sends;
}

static void write_names(struct media *m, struct writer *w, const uint32_t *speakers, unsigned count)
{
    struct rtcp_sdes_item item = {RTCP_CNAME, bytes_text(m->cname)};
    struct rtcp_sdes_writer sdes = rtcp_write_sdes(w);
    for (unsigned i = 0; i < count; i++)
        rtcp_write_sdes_chunk(&sdes, speakers[i], &item, 1);
    rtcp_write_sdes_end(&sdes);
}

// Who only receives learns its round trip by XR (RFC 3611 4.4, 4.5).
static void write_extended(struct media *m, nanotime now, struct writer *w, bool sends)
{
    if (!sends)
        rtcp_write_xr_rrtr(w, speak(m), rtcp_ntp(now));
    if (sends && m->rrtr.at) {
        struct rtcp_dlrr dlrr = {m->rrtr.ssrc, m->rrtr.ntp, rtcp_span(now - m->rrtr.at)};
        for (unsigned i = 0; i < m->tracks_count; i++) {
            if (is_sending(&m->tracks[i].out[0]))
                rtcp_write_xr_dlrr(w, m->tracks[i].out[0].ssrc, &dlrr, 1);
        }
    }
}

// ---------------------------------------------------------------------------------------- feedback

// Is there anything to ask for of it?
static bool is_awaited(const struct media *m, const struct media_stream_in *s)
{
    return is_told_of(m, s) && !s->held;
}

// What has no room in a datagram is not taken for it: it stays due, for the next.

static void write_nack(struct media *m, nanotime now, struct writer *w, struct media_stream_in *s)
{
    uint16_t missing[NACK_MAX];
    size_t room = (w->max - w->len) / NACK_ENTRY, head = FEEDBACK_HEAD / NACK_ENTRY;
    size_t fit = room > head ? room - head : 0; // if each needs an entry of its own
    size_t count = nack_poll(s->nack, now, missing, fit < NACK_MAX ? fit : NACK_MAX);
    if (!count)
        return;
    s->nacks++;
    (void)rtcp_write_nack(w, speak_as(m, s->track), s->ssrc, missing, count);
}

static void write_keyframe(struct media *m, nanotime now, struct writer *w,
                           struct media_stream_in *s)
{
    const struct media_track *t = &m->tracks[s->track];
    if (w->max - w->len < FEEDBACK_HEAD + FIR_ENTRY)
        return;
    if (t->format && t->format->pli) {
        rtcp_write_pli(w, speak_as(m, s->track), s->ssrc);
        s->plis++;
    } else if (t->format && t->format->fir) {
        rtcp_write_fir(w, speak_as(m, s->track),
                       &(struct rtcp_fir_entry){.ssrc = s->ssrc, .sequence = (uint8_t)s->firs}, 1);
        s->firs++;
    }
    s->keyframe_wanted = false;
    s->keyframe_asked = now;
}

// Of what this side takes, the least; 0: no limit.
static uint32_t receive_limit(const struct media *m)
{
    uint32_t limit = 0;
    if (!m->has_receive_max || !m->remb_agreed)
        return 0;
    for (unsigned i = 0; i < m->tracks_count; i++) {
        uint32_t max = m->tracks[i].receive_max;
        if (max && m->tracks[i].current >= 0 && (!limit || max < limit))
            limit = max;
    }
    return limit;
}

// draft-alvestrand-rmcat-remb-03 and who wrote it: told each second, for what is lost; at once when
// there is less than 97 % of what was told. TIME_NEVER: there is no limit to be told.
static nanotime limit_deadline(const struct media *m)
{
    uint32_t limit = receive_limit(m);
    if (!limit || m->remb_bps)
        return TIME_NEVER;
    bool fell = (uint64_t)limit * 100 < (uint64_t)m->remb_told * 97;
    return m->remb_told_at == TIME_NEVER || fell ? 0 : m->remb_told_at + REMB_AGAIN;
}

static void remb_wish(struct media *m, nanotime now)
{
    uint32_t bps, limit = receive_limit(m);
    if (m->use_remb && m->config.control == MEDIA_REMB && remb_poll(m->remb, now, &bps))
        m->remb_bps = bps;
    else if (limit_deadline(m) <= now)
        m->remb_bps = limit;
    if (limit && m->remb_bps > limit)
        m->remb_bps = limit;
}

static void write_remb(struct media *m, nanotime now, struct writer *w)
{
    uint32_t ssrcs[16];
    size_t count = 0;
    for (unsigned i = 0; i < m->streams_count && count < 16; i++) {
        if (m->streams[i].used && m->streams[i].role == MEDIA_IN_MEDIA)
            ssrcs[count++] = m->streams[i].ssrc;
    }
    if (!m->remb_bps || !count || w->max - w->len < REMB_HEAD + count * sizeof *ssrcs)
        return;
    rtcp_write_remb(w, speak(m), m->remb_bps, ssrcs, count);
    m->remb_told = m->remb_bps;
    m->remb_told_at = now;
    m->remb_bps = 0;
}

static void write_feedback(struct media *m, nanotime now, struct writer *w)
{
    if (w->failed)
        return;
    unsigned first = m->asker;
    m->asker = 0;
    for (unsigned k = 0; k < m->streams_count; k++) {
        unsigned i = (first + k) % m->streams_count;
        struct media_stream_in *s = &m->streams[i];
        if (!is_awaited(m, s))
            continue;
        if (s->keyframe_wanted)
            write_keyframe(m, now, w, s);
        if (s->nack)
            write_nack(m, now, w, s);
        if (!m->asker && w->max - w->len < FEEDBACK_HEAD + FIR_ENTRY)
            m->asker = i; // the next time it begins
    }
    write_remb(m, now, w);
    m->feedback_due = false;
}

static bool feedback_exists(const struct media *m, nanotime now)
{
    for (unsigned i = 0; i < m->streams_count; i++) {
        const struct media_stream_in *s = &m->streams[i];
        if (is_awaited(m, s) && (s->keyframe_wanted || (s->nack && nack_deadline(s->nack) <= now)))
            return true;
    }
    return m->remb_bps != 0;
}

// ----------------------------------------------------------------------------------------- to send

static bool give(struct media *m, const struct writer *w, struct media_output *out)
{
    struct bytes bytes = writer_bytes(w);
    if (!bytes.len)
        return false;
    m->stats.rtcp_sent++;
    m->stats.packetsSent++;
    m->stats.bytesSent += bytes.len;
    *out = (struct media_output){.kind = MEDIA_SEND_RTCP, .bytes = bytes};
    return true;
}

static bool regular(struct media *m, nanotime now, struct media_output *out)
{
    uint32_t speakers[SPEAKERS_MAX];
    unsigned count;
    struct writer w = writer(m);
    if (is_over(m)) {
        media_streams_expire(m, now);
        rtcp_schedule_sent(&m->schedule, now, UDP_OVERHEAD);
        return false;
    }
    bool sends = write_reports(m, now, &w, speakers, &count);
    write_names(m, &w, speakers, count);
    senders_expire(m, now);
    media_streams_expire(m, now); // RFC 3550 6.3.5: once in each interval
    struct writer before = w;
    write_extended(m, now, &w, sends);
    if (w.failed)
        w = before; // it may wait
    write_feedback(m, now, &w);
    rtcp_schedule_sent(&m->schedule, now, w.len + UDP_OVERHEAD);
    return give(m, &w, out);
}

// RFC 3550 6.1: a compound begins with a report, and names itself; RFC 5506 4.1: if it is one.
static void begin_early(struct media *m, struct writer *w)
{
    if (m->reduced_size)
        return;
    uint32_t ssrc = speak(m);
    rtcp_write_rr(w, ssrc, NULL, 0);
    rtcp_write_cname(w, ssrc, bytes_text(m->cname), bytes_of(NULL, 0));
}

static bool early(struct media *m, nanotime now, struct media_output *out)
{
    struct writer w = writer(m);
    begin_early(m, &w);
    size_t begun = w.len;
    write_feedback(m, now, &w);
    bool any = w.len > begun;
    rtcp_schedule_sent(&m->schedule, now, w.len + UDP_OVERHEAD);
    return any && give(m, &w, out);
}

// RFC 3550 6.6, RFC 8108 6.2: all say goodbye that have spoken, none that has not (6.3.7).
static void write_byes(const struct media *m, struct writer *w)
{
    uint32_t ssrcs[RTCP_BLOCKS_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < m->tracks_count * MEDIA_LAYERS_MAX; i++) {
        const struct media_stream_out *out =
            &m->tracks[i / MEDIA_LAYERS_MAX].out[i % MEDIA_LAYERS_MAX];
        const uint32_t leaving[] = {out->ssrc, out->rtx_ssrc, out->fec_ssrc};
        for (unsigned k = 0; k < 3; k++) {
            if (!out->spoke[k])
                continue;
            ssrcs[count++] = leaving[k];
            if (count < RTCP_BLOCKS_MAX)
                continue;
            rtcp_write_bye(w, ssrcs, count, bytes_of(NULL, 0));
            count = 0;
        }
    }
    if (count)
        rtcp_write_bye(w, ssrcs, count, bytes_of(NULL, 0));
}

static bool bye(struct media *m, nanotime now, struct media_output *out)
{
    uint32_t speakers[SPEAKERS_MAX];
    unsigned count;
    struct writer w = writer(m);
    if (is_over(m)) {
        rtcp_schedule_sent(&m->schedule, now, UDP_OVERHEAD);
        return false;
    }
    (void)write_reports(m, now, &w, speakers, &count);
    write_names(m, &w, speakers, count);
    struct writer before = w;
    write_byes(m, &w);
    if (w.failed) { // very many: with less around them
        w = writer(m);
        rtcp_write_rr(&w, speakers[0], NULL, 0);
        write_names(m, &w, speakers, 1);
        before = w;
        write_byes(m, &w);
    }
    if (w.failed)
        w = before;
    rtcp_schedule_sent(&m->schedule, now, w.len + UDP_OVERHEAD);
    return give(m, &w, out);
}

static bool ccfb(struct media *m, nanotime now, struct media_output *out)
{
    struct writer w = writer(m);
    (void)speak(m);
    begin_early(m, &w);
    if (!media_ccfb_write(m, now, &w))
        return false;
    m->stats.ccfbMessagesSent++;
    return give(m, &w, out);
}

void media_rtcp_leave(struct media *m, nanotime now, struct media_track *t, unsigned layer,
                      bool collided)
{
    struct media_stream_out *out = &t->out[layer];
    const uint32_t ssrcs[] = {out->ssrc, out->rtx_ssrc, out->fec_ssrc};
    m->goodbyes -= out->goodbye.count > 0; // too late for those before
    out->goodbye = (struct media_goodbye){.collided = collided};
    for (unsigned i = 0; i < 3 && m->started && !m->stopped; i++) {
        if (out->spoke[i]) // RFC 3550 6.3.7: who never sent anything says no goodbye
            out->goodbye.ssrcs[out->goodbye.count++] = ssrcs[i];
    }
    m->goodbyes += out->goodbye.count > 0;
    // RFC 3550 6.4: a sender's last report; of an SSRC that another has, too, none can be made.
    out->goodbye.sent = !collided && out->spoke[MEDIA_IN_MEDIA] && is_sending(out);
    if (out->goodbye.sent)
        out->goodbye.info = sender_info(now, t, out);
}

// RFC 3550 6.3.7: at once, as few as there are, for those that leave; the others go on.
static bool goodbye(struct media *m, struct media_output *out)
{
    struct media_goodbye *next = NULL;
    for (unsigned i = 0; i < m->tracks_count * MEDIA_LAYERS_MAX && !next; i++) {
        next = &m->tracks[i / MEDIA_LAYERS_MAX].out[i % MEDIA_LAYERS_MAX].goodbye;
        next = next->count ? next : NULL;
    }
    assert(next);
    struct writer w = writer(m);
    if (next->sent)
        rtcp_write_sr(&w, next->ssrcs[0], &next->info, NULL, 0);
    else
        rtcp_write_rr(&w, next->ssrcs[0], NULL, 0);
    rtcp_write_cname(&w, next->ssrcs[0], bytes_text(m->cname), bytes_of(NULL, 0));
    rtcp_write_bye(&w, next->ssrcs, next->count, bytes_text(next->collided ? "collision" : ""));
    next->count = 0;
    m->goodbyes--;
    return give(m, &w, out);
}

static bool transport_feedback(struct media *m, nanotime now, struct media_output *out)
{
    static struct arrival_result results[ARRIVAL_TAKE_MAX]; // one thread
    static struct rtcp_arrival arrivals[ARRIVAL_TAKE_MAX];
    unsigned count = arrival_take(m->arrival, now, results, ARRIVAL_TAKE_MAX / 4);
    for (unsigned i = 0; i < count; i++)
        arrivals[i] = (struct rtcp_arrival){.sequence = results[i].sequence,
                                            .received = results[i].received,
                                            .time = results[i].received_at / (250 * TIME_US)};
    if (!count)
        return false;
    struct writer w = writer(m);
    uint32_t ssrc = speak(m);
    begin_early(m, &w);
    struct rtcp_transport_cc_head head = {
        .sender = ssrc, .media = m->feedback_media, .feedback_count = m->feedback_count++};
    // What does not fit (256 statuses always do) would be told as lost: better than not at all.
    (void)rtcp_write_transport_cc(&w, &head, arrivals, count);
    m->stats.feedback_sent++;
    return give(m, &w, out);
}

static void wishes(struct media *m, nanotime now)
{
    remb_wish(m, now);
    for (unsigned i = 0; i < m->streams_count; i++) {
        struct media_stream_in *s = &m->streams[i];
        if (is_awaited(m, s) && s->video && frame_buffer_needs_keyframe(s->video) &&
            !s->keyframe_wanted &&
            (s->keyframe_asked == TIME_NEVER || now - s->keyframe_asked >= keyframe_again(m)))
            media_keyframe_want(m, now, s);
    }
    if (!m->feedback_due && feedback_exists(m, now))
        media_feedback_wish(m, now);
}

bool media_rtcp_poll(struct media *m, nanotime now, struct media_output *out)
{
    enum rtcp_due due;
    if (m->goodbyes)
        return goodbye(m, out);
    if (!m->stopped) {
        if (media_ccfb_deadline(m) <= now && ccfb(m, now, out))
            return true;
        if (m->transport_cc && arrival_due(m->arrival, now) && transport_feedback(m, now, out))
            return true;
        wishes(m, now);
    }
    while (rtcp_schedule_poll(&m->schedule, now, &due)) {
        bool given = due == RTCP_DUE_BYE     ? bye(m, now, out)
                     : due == RTCP_DUE_EARLY ? early(m, now, out)
                                             : regular(m, now, out);
        if (given)
            return true;
    }
    return false;
}

nanotime media_rtcp_deadline(const struct media *m)
{
    nanotime at = rtcp_schedule_deadline(&m->schedule);
    if (m->goodbyes)
        return 0;
    if (m->stopped)
        return at;
    if (m->transport_cc)
        at = time_min(at, arrival_deadline(m->arrival));
    at = time_min(at, media_ccfb_deadline(m));
    if (m->use_remb && m->config.control == MEDIA_REMB)
        at = time_min(at, remb_deadline(m->remb));
    if (m->feedback_due)
        return at; // the schedule knows of it
    at = time_min(at, limit_deadline(m));
    for (unsigned i = 0; i < m->streams_count; i++) {
        const struct media_stream_in *s = &m->streams[i];
        if (!is_awaited(m, s))
            continue;
        if (s->nack)
            at = time_min(at, nack_deadline(s->nack));
        if (s->video && frame_buffer_needs_keyframe(s->video) && s->keyframe_asked != TIME_NEVER)
            at = time_min(at, time_add(s->keyframe_asked, keyframe_again(m)));
    }
    return at;
}
