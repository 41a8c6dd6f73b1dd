// Where a peer's data goes, by the packets at its host: whatever its adapter says of candidates, a
// DTLS record that goes to a server is relayed, and any other goes straight.
#ifndef SCENARIOS_LIVE_PATH_H
#define SCENARIOS_LIVE_PATH_H

#include <stdint.h>

struct run;
struct run_peer;

struct live_path {
    int capture;       // vantage point
    uint32_t looked;   // so many of its packets
    const char *found; // as of the latest DTLS record
};
struct live_path live_path_of(struct run *run, const struct run_peer *peer);
// "none", "direct", "relay"
const char *live_path_look(struct run *run, struct live_path *path);

#endif
