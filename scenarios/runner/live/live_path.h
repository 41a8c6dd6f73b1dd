// Where a peer's data comes from, by the packets that reach its host: whatever its adapter says of
// candidates, a DTLS record that a server sends is relayed, and any other came straight. What a
// peer sends may still be dropped on the way.
#ifndef SCENARIOS_LIVE_PATH_H
#define SCENARIOS_LIVE_PATH_H

#include "base/addr.h"

struct run;
struct run_peer;

struct live_path {
    int capture;                           // vantage point
    struct ip own;                         // of the host
    uint32_t looked;                       // so many of its packets
    const char *found;                     // as of the latest DTLS record
    uint64_t direct, relayed, relayed_tcp; // bytes of UDP payload, or TCP's
};
struct live_path live_path_of(struct run *run, const struct run_peer *peer);
// "none", "direct", "relay"
const char *live_path_look(struct run *run, struct live_path *path);

#endif
