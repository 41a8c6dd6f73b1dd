// The statistics of a peer as JSON: what an adapter may tell of itself, and all that this stack
// counts.
#ifndef SCENARIOS_LIVE_STATS_H
#define SCENARIOS_LIVE_STATS_H

#include "stack/peer/peer.h"

#include <jansson.h>

// As before anything happened: no time is set.
struct peer_stats live_stats_none(void);

// Not every stack has RTCPeerConnectionState: what its ICE state makes of it.
enum peer_state live_stats_state_of_ice(const struct peer_stats *stats);

// Into the `stats` event.
void live_stats_encode(json_t *to, const struct peer_stats *stats);
// What the event has; the rest of `to` stays. Unknown words and wrong kinds are left out. True: the
// peer told all that this stack counts.
bool live_stats_decode(const json_t *from, struct peer_stats *to);

#endif
