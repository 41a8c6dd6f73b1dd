// Audio and video of the sessions: the tracks that both peers get, their packets in the clear, and
// what comes out at the far end.
#include "scenarios/runner/run/run_priv.h"

#include "reports/stats.h"
#include "scenarios/runner/run/call_decode.h"

#include <stdlib.h>

// ------------------------------------------------------------------------------------------ tracks

static void sink_add(struct run *run, struct run_peer *peer, unsigned track,
                     const struct clip *clip)
{
    if (!run->ops->play_out)
        return;
    peer->sinks[track] = call_sink_new(clip);
    run->ops->play_out(peer->peer, track);
}

static void tracks_add(struct run *run, struct run_peer *peer,
                       const struct scenario_session *session, unsigned side)
{
    if (!session->tracks_count)
        return;
    peer->sinks = mem_zero(session->tracks_count, sizeof *peer->sinks);
    peer->sinks_count = session->tracks_count;
    peer->keyframes_before = mem_zero(session->tracks_count, sizeof *peer->keyframes_before);
    for (unsigned i = 0; i < session->tracks_count; i++) {
        const struct scenario_track *track = &session->tracks[i];
        struct media_track_config config = track->config;
        config.send = track->from[side];
        config.receive = track->from[1 - side];
        if (side == 1 && track->answerer_codecs_count) {
            config.codecs_count = track->answerer_codecs_count;
            memcpy(config.codecs, track->answerer_codecs, sizeof config.codecs);
        }
        int index = run->ops->track_add ? run->ops->track_add(peer->peer, &config) : -1;
        if (index < 0)
            trace(&run->trace, run_now(run), "%s takes no track '%s'", peer->scenario->name,
                  track->label);
        else if (track->decode && config.receive)
            sink_add(run, peer, i, config.clip);
    }
}

void calls_begin(struct run *run, const struct scenario_session *session)
{
    tracks_add(run, &run->peers[session->offerer], session, 0);
    tracks_add(run, &run->peers[session->answerer], session, 1);
}

void calls_free(struct run *run)
{
    for (unsigned i = 0; i < run->scenario->peers_count; i++) {
        struct run_peer *peer = &run->peers[i];
        for (unsigned j = 0; j < peer->sinks_count; j++)
            call_sink_free(peer->sinks[j]);
        free(peer->sinks);
        free(peer->keyframes_before);
    }
    stats_free(run->stats);
}

void call_track_stats(struct run *run, struct run_peer *peer, unsigned track,
                      struct media_track_stats *out)
{
    if (run->ops->track_stats)
        run->ops->track_stats(peer->peer, run_now(run), track, out);
    uint64_t before = track < peer->sinks_count ? peer->keyframes_before[track] : 0;
    if (before && out->in.keyFramesDecoded >= before)
        out->quality.keyframes_since_asked = out->in.keyFramesDecoded - (before - 1);
}

void call_keyframe_asked(struct run *run, struct run_peer *peer, unsigned track)
{
    struct media_track_stats stats = {0};
    call_track_stats(run, peer, track, &stats);
    if (track < peer->sinks_count)
        peer->keyframes_before[track] = stats.in.keyFramesDecoded + 1;
}

// ---------------------------------------------------------------------------------- what comes out

void call_clear(struct run *run, struct run_peer *peer, const struct datagram *datagram)
{
    if (!peer->clear_point) {
        const char *name = arena_printf(&run->arena, "%s.clear", peer->scenario->name);
        peer->clear_point = world_capture_new(run->world, name) + 1;
    }
    world_capture_record(run->world, peer->clear_point - 1, datagram);
}

void call_frame(struct run *run, struct run_peer *peer, const struct peer_output *out)
{
    (void)run;
    if (out->track < peer->sinks_count && peer->sinks[out->track])
        call_sink_feed(peer->sinks[out->track], out->bytes, out->timestamp);
}

void call_decoded(const struct run_peer *peer, unsigned track, struct call_decoded *out)
{
    *out = (struct call_decoded){0};
    if (track < peer->sinks_count && peer->sinks[track])
        call_sink_read(peer->sinks[track], out);
}
