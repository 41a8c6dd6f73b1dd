// Audio and video of the sessions: the tracks that both peers get, their packets in the clear, and
// what comes out at the far end.
#include "scenarios/run_priv.h"

static void tracks_add(struct run *run, struct run_peer *peer,
                       const struct scenario_session *session, unsigned side)
{
    for (unsigned i = 0; i < session->tracks_count; i++) {
        const struct scenario_track *track = &session->tracks[i];
        struct media_track_config config = track->config;
        config.send = track->from[side];
        config.receive = track->from[1 - side];
        int index = run->ops->track_add ? run->ops->track_add(peer->peer, &config) : -1;
        if (index < 0)
            trace(&run->trace, run_now(run), "%s takes no track '%s'", peer->scenario->name,
                  track->label);
    }
}

void calls_begin(struct run *run, const struct scenario_session *session)
{
    tracks_add(run, &run->peers[session->offerer], session, 0);
    tracks_add(run, &run->peers[session->answerer], session, 1);
}

void call_track_stats(struct run *run, struct run_peer *peer, unsigned track,
                      struct media_track_stats *out)
{
    if (run->ops->track_stats)
        run->ops->track_stats(peer->peer, run_now(run), track, out);
}

void call_clear(struct run *run, struct run_peer *peer, const struct datagram *datagram)
{
    (void)run;
    (void)peer;
    (void)datagram;
}

void call_frame(struct run *run, struct run_peer *peer, const struct peer_output *out)
{
    (void)run;
    (void)peer;
    (void)out;
}
