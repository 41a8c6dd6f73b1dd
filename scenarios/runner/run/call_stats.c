// What getStats() of each peer says at a moment of the run, by the names and units of the W3C
// (https://www.w3.org/TR/webrtc-stats/). Nothing here changes a peer: a run goes the same way
// whether somebody asks or not.
//
// An object is named after its track ("inbound-audio"), of a simulcast after track and layer
// ("outbound-video-q"). The others are in call_stats_transport.c.
#include "scenarios/runner/run/call_stats_priv.h"

#include <stdio.h>

struct track_view {
    const struct scenario_track *track;
    const struct codec *codec; // agreed on; NULL: not yet
    const char *rid;           // of the layer that `stats` is of; NULL: no simulcast
    unsigned layer;
    bool ccfb; // RFC 8888 tells of losses
    struct media_track_stats stats;
};

// "inbound-audio"
static const char *id_of(char id[CALL_STATS_ID_MAX], const char *what, const struct track_view *t)
{
    bool of_layer =
        t->rid && (strcmp(what, "outbound") == 0 || strcmp(what, "remote-inbound") == 0);
    snprintf(id, CALL_STATS_ID_MAX, "%s-%s%s%s", what, t->track->label, of_layer ? "-" : "",
             of_layer ? t->rid : "");
    return id;
}

// ----------------------------------------------------------------------------------------- members

static bool is_one_of(const char *name, const char *const *names)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

// Members that the W3C gives to one kind alone, of the two RTP streams.
static bool fits_kind(const char *name, bool video)
{
    static const char *const of_video[] = {"pliCount",
                                           "firCount",
                                           "framesReceived",
                                           "framesDecoded",
                                           "keyFramesDecoded",
                                           "framesRendered",
                                           "framesDropped",
                                           "frameWidth",
                                           "frameHeight",
                                           "framesPerSecond",
                                           "freezeCount",
                                           "pauseCount",
                                           "totalFreezesDuration",
                                           "totalPausesDuration",
                                           "totalInterFrameDelay",
                                           "totalSquaredInterFrameDelay",
                                           "framesAssembledFromMultiplePackets",
                                           "totalAssemblyTime",
                                           "framesSent",
                                           "framesEncoded",
                                           "keyFramesEncoded",
                                           "hugeFramesSent",
                                           "totalEncodedBytesTarget",
                                           "qualityLimitationReason",
                                           "qualityLimitationResolutionChanges",
                                           NULL};
    static const char *const of_audio[] = {"totalSamplesReceived",
                                           "concealedSamples",
                                           "silentConcealedSamples",
                                           "concealmentEvents",
                                           "insertedSamplesForDeceleration",
                                           "removedSamplesForAcceleration",
                                           "totalSamplesDuration",
                                           "audioLevel",
                                           "totalAudioEnergy",
                                           NULL};
    return !is_one_of(name, video ? of_audio : of_video);
}

static bool is_moment(const char *name)
{
    static const char end[] = "Timestamp";
    size_t len = strlen(name);
    return len >= sizeof end && strcmp(name + len - (sizeof end - 1), end) == 0;
}

void call_stats_member(struct stats *to, const char *name, const struct media_member *member,
                       const void *stats)
{
    const char *at = (const char *)stats + member->offset;
    int64_t number = 0;
    const char *word;
    bool truth;
    if (member->unit != UNIT_WORD && member->unit != UNIT_BOOL)
        memcpy(&number, at, sizeof number);
    switch (member->unit) {
    case UNIT_COUNT:
    case UNIT_SIGNED:
        stats_number(to, name, number);
        break;
    case UNIT_TIME:
        (is_moment(name) ? stats_moment : stats_duration)(to, name, number);
        break;
    case UNIT_THOUSANDTH:
        stats_decimal(to, name, number, 1000);
        break;
    case UNIT_MILLIONTH:
        stats_decimal(to, name, number, 1000000);
        break;
    case UNIT_BILLIONTH:
        stats_decimal(to, name, number, 1000000000);
        break;
    case UNIT_WORD:
        memcpy(&word, at, sizeof word);
        stats_text(to, name, word);
        break;
    case UNIT_BOOL:
        memcpy(&truth, at, sizeof truth);
        stats_bool(to, name, truth);
        break;
    }
}

// Of members whose zero means nothing: whether this one says something.
static bool is_known(const char *name, const char *prefix, const struct track_view *t)
{
    static const char *const durations[] = {"qualityLimitationNone", "qualityLimitationBandwidth",
                                            NULL}; // of qualityLimitationDurations
    if (strncmp(name, "retransmitted", strlen("retransmitted")) == 0)
        return strcmp(prefix, "in.") != 0 || t->stats.in.rtxSsrc != 0; // RTX was agreed on
    // Not before there is a frame, nor of a codec whose frames do not tell here.
    if (strcmp(name, "frameWidth") == 0 || strcmp(name, "frameHeight") == 0)
        return (strcmp(prefix, "in.") == 0 ? t->stats.in.frameWidth : t->stats.out.frameWidth) != 0;
    if (strcmp(name, "rtxSsrc") == 0)
        return (strcmp(prefix, "in.") == 0 ? t->stats.in.rtxSsrc : t->stats.out.rtxSsrc) != 0;
    if (strcmp(name, "fecSsrc") == 0)
        return t->stats.in.fecSsrc != 0;
    if (strncmp(name, "packetsReportedAsLost", strlen("packetsReportedAsLost")) == 0)
        return t->ccfb;
    if (strcmp(name, "roundTripTime") == 0)
        return strcmp(prefix, "remote-in.") == 0
                   ? t->stats.remote_in.roundTripTimeMeasurements > 0
                   : t->stats.remote_out.roundTripTimeMeasurements > 0;
    return !is_one_of(name, durations);
}

// The members of one group ("in.") of a track.
static void put_group(struct stats *to, const char *prefix, const struct track_view *t)
{
    size_t len = strlen(prefix);
    bool video = t->track->config.kind == MEDIA_VIDEO;
    for (const struct media_member *m = media_track_members; m->name; m++) {
        const char *name = m->name + len;
        if (strncmp(m->name, prefix, len) == 0 && fits_kind(name, video) &&
            is_known(name, prefix, t))
            call_stats_member(to, name, m, &t->stats);
    }
}

// ---------------------------------------------------------------------------------------- a track

// RTCRtpStreamStats: what all four streams have.
static void stream_begin(struct stats *to, const char *type, const char *what,
                         const struct track_view *t)
{
    char id[CALL_STATS_ID_MAX];
    stats_object(to, type, id_of(id, what, t));
    stats_text(to, "kind", media_kind_name(t->track->config.kind));
    stats_text(to, "transportId", "transport");
    stats_text(to, "codecId", t->codec ? id_of(id, "codec", t) : NULL);
}

static void put_inbound(struct stats *to, const struct track_view *t)
{
    char id[CALL_STATS_ID_MAX];
    bool reported = t->stats.remote_out.reportsSent > 0;
    stream_begin(to, "inbound-rtp", "inbound", t);
    stats_text(to, "trackIdentifier", t->track->label);
    stats_text(to, "mid", t->stats.mid && t->stats.mid[0] ? t->stats.mid : NULL);
    stats_text(to, "remoteId", reported ? id_of(id, "remote-outbound", t) : NULL);
    if (t->track->config.kind == MEDIA_AUDIO)
        stats_text(to, "playoutId", "playout");
    put_group(to, "in.", t);
    if (!reported)
        return;
    stream_begin(to, "remote-outbound-rtp", "remote-outbound", t);
    stats_text(to, "localId", id_of(id, "inbound", t));
    stats_number(to, "ssrc", (int64_t)t->stats.in.ssrc);
    put_group(to, "remote-out.", t);
}

static void put_source(struct stats *to, const struct track_view *t)
{
    char id[CALL_STATS_ID_MAX];
    stats_object(to, "media-source", id_of(id, "source", t));
    stats_text(to, "trackIdentifier", t->track->label);
    stats_text(to, "kind", media_kind_name(t->track->config.kind));
    if (t->track->config.kind == MEDIA_AUDIO) {
        put_group(to, "source.", t);
        return;
    }
    if (t->stats.out.frameWidth) {
        stats_number(to, "width", (int64_t)t->stats.out.frameWidth);
        stats_number(to, "height", (int64_t)t->stats.out.frameHeight);
    }
    stats_number(to, "frames", (int64_t)t->stats.out.framesEncoded);
    stats_number(to, "framesPerSecond", (int64_t)t->stats.out.framesPerSecond);
}

static void put_durations(struct stats *to, const struct track_view *t)
{
    stats_nested(to, "qualityLimitationDurations");
    stats_duration(to, "none", t->stats.out.qualityLimitationNone);
    stats_duration(to, "cpu", 0); // of virtual time, coding takes none
    stats_duration(to, "bandwidth", t->stats.out.qualityLimitationBandwidth);
    stats_duration(to, "other", 0);
}

static void put_outbound(struct stats *to, const struct track_view *t)
{
    char id[CALL_STATS_ID_MAX];
    const struct media_remote_inbound *remote = &t->stats.remote_in;
    bool reported = remote->roundTripTimeMeasurements || remote->packetsLost || remote->jitter;
    stream_begin(to, "outbound-rtp", "outbound", t);
    stats_text(to, "mediaSourceId", id_of(id, "source", t));
    stats_text(to, "mid", t->stats.mid && t->stats.mid[0] ? t->stats.mid : NULL);
    stats_text(to, "rid", t->rid);
    stats_number(to, "encodingIndex", t->layer);
    stats_text(to, "remoteId", reported ? id_of(id, "remote-inbound", t) : NULL);
    put_group(to, "out.", t);
    if (t->track->config.kind == MEDIA_VIDEO) {
        stats_text(to, "scalabilityMode", "L1T1"); // this stack sends no other
        if (!t->rid)
            put_durations(to, t);
    }
    if (!reported)
        return;
    stream_begin(to, "remote-inbound-rtp", "remote-inbound", t);
    stats_text(to, "localId", id_of(id, "outbound", t));
    stats_number(to, "ssrc", (int64_t)t->stats.out.ssrc);
    put_group(to, "remote-in.", t);
}

// One for each layer of a simulcast.
static void put_outbounds(struct stats *to, const struct track_view *t)
{
    put_source(to, t);
    if (t->stats.layers_count == 0)
        put_outbound(to, t);
    for (unsigned i = 0; i < t->stats.layers_count; i++) {
        struct track_view layer = *t;
        layer.rid = t->stats.layers[i].rid;
        layer.layer = i;
        layer.stats.out = t->stats.layers[i].out;
        layer.stats.remote_in = t->stats.layers[i].remote_in;
        put_outbound(to, &layer);
    }
}

static void put_codec(struct call_stats_view *view, unsigned index, const struct track_view *t)
{
    struct stats *to = view->to;
    struct text parameters = {0};
    char id[CALL_STATS_ID_MAX], type[CALL_STATS_ID_MAX];
    stats_object(to, "codec", id_of(id, "codec", t));
    snprintf(type, sizeof type, "%s/%s", t->codec->video ? "video" : "audio", t->codec->name);
    stats_text(to, "mimeType", type);
    stats_text(to, "transportId", "transport");
    stats_number(to, "clockRate", t->codec->clock_rate);
    if (!t->codec->video)
        stats_number(to, "channels", t->codec->channels);
    stats_number(to, "payloadType", (int64_t)t->stats.payload_type);
    const struct peer_ops *ops = view->run->ops;
    if (ops->codec_parameters &&
        ops->codec_parameters(view->peer->peer, index, (unsigned)t->stats.payload_type,
                              &parameters))
        stats_text(to, "sdpFmtpLine", parameters.at);
    text_free(&parameters);
}

static void put_track(struct call_stats_view *view, unsigned index,
                      const struct scenario_track *track)
{
    struct track_view t = {.track = track, .ccfb = view->media.ccfbMessagesReceived > 0};
    view->run->ops->track_stats(view->peer->peer, view->at, index, &t.stats);
    if (t.stats.codec) // the session has begun
        t.codec = codec_by_name(track->config.kind == MEDIA_VIDEO, bytes_text(t.stats.codec));
    if (t.codec)
        put_codec(view, index, &t);
    if (t.stats.receives && t.stats.in.packetsReceived)
        put_inbound(view->to, &t);
    if (t.stats.sends)
        put_outbounds(view->to, &t);
    if (t.stats.receives && track->config.kind == MEDIA_AUDIO) {
        view->played += t.stats.in.totalSamplesDuration;
        view->samples += t.stats.in.totalSamplesReceived;
        view->plays = true;
    }
}

// ---------------------------------------------------------------------------------------- a peer

// RTCAudioPlayoutStats: a device that is never late, so nothing is made up for it.
static void put_playout(struct call_stats_view *view)
{
    stats_object(view->to, "media-playout", "playout");
    stats_text(view->to, "kind", "audio");
    stats_duration(view->to, "synthesizedSamplesDuration", 0);
    stats_number(view->to, "synthesizedSamplesEvents", 0);
    stats_duration(view->to, "totalSamplesDuration", view->played);
    stats_duration(view->to, "totalPlayoutDelay", 0);
    stats_number(view->to, "totalSamplesCount", (int64_t)view->samples);
}

static void put_peer(struct call_stats_view *view)
{
    const struct scenario *scenario = view->run->scenario;
    const struct run_peer *peer = view->peer;
    view->run->ops->stats(peer->peer, &view->stats);
    if (view->run->ops->transport_stats)
        view->run->ops->transport_stats(peer->peer, &view->media);
    stats_peer(view->to, peer->scenario->name);
    call_stats_transport(view);
    if (peer->session == NO_SESSION || !view->run->ops->track_stats)
        return;
    const struct scenario_session *session = &scenario->sessions[peer->session];
    for (unsigned i = 0; i < session->tracks_count; i++)
        put_track(view, i, &session->tracks[i]);
    if (view->plays)
        put_playout(view);
}

// ------------------------------------------------------------------------------------- over the
// run

static void sample(struct run *run, nanotime at)
{
    stats_sample(run->stats, at);
    for (unsigned i = 0; i < run->scenario->peers_count; i++) {
        struct call_stats_view view = {
            .run = run, .peer = &run->peers[i], .at = at, .to = run->stats};
        put_peer(&view);
    }
}

void call_stats_begin(struct run *run)
{
    run->stats_interval =
        run->options.stats_interval ? run->options.stats_interval : run->scenario->stats_interval;
    if (run->stats_interval == 0 || run->live)
        return;
    run->stats = stats_new(run->scenario->id, run->stats_interval);
    run->stats_due = run->stats_interval;
}

void call_stats_before(struct run *run, nanotime now)
{
    for (; run->stats && run->stats_due < now; run->stats_due += run->stats_interval)
        sample(run, run->stats_due);
}

void call_stats_end(struct run *run)
{
    if (!run->stats)
        return;
    call_stats_before(run, run->ended_at);
    sample(run, run->ended_at);
}

bool run_stats(struct run *run, struct text *to)
{
    if (run->stats)
        stats_print(run->stats, to);
    return run->stats != NULL;
}
