// What the files of getStats() share.
//
//   call_stats.c            media, and the samples over the run
//   call_stats_transport.c  the connection, the transport, its pairs, candidates, certificates and
//                           data channels
#ifndef SCENARIOS_CALL_STATS_PRIV_H
#define SCENARIOS_CALL_STATS_PRIV_H

#include "scenarios/runner/run/run_priv.h"

#include "reports/stats.h"

#define CALL_STATS_ID_MAX 80

// One peer at one moment.
struct call_stats_view {
    struct run *run;
    struct run_peer *peer;
    nanotime at;
    struct peer_stats stats;
    struct media_transport_stats media;
    bool plays; // audio of a track
    nanotime played;
    uint64_t samples;
    struct stats *to;
};

// One member of `stats`, as its unit asks for.
void call_stats_member(struct stats *to, const char *name, const struct media_member *member,
                       const void *stats);
void call_stats_transport(struct call_stats_view *view);

// Of struct ice_pair_stats, as metrics of a peer: "pair." before W3C names. Ends with a NULL name.
#define PAIR_PREFIX "pair."
extern const struct media_member pair_members[];

#endif
