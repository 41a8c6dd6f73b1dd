// Probe clusters: when to send which, and what they tell.
//
// A cluster is at least 5 packets and 15 ms at its rate. If it arrives at the rate at which it was
// sent, the path carries that much; if it arrives slower, the rate of arrival is the capacity.
#ifndef STACK_CONGESTION_PROBE_PRIV_H
#define STACK_CONGESTION_PROBE_PRIV_H

#include "stack/congestion/gcc.h"

#define PROBE_CLUSTERS 8 // that are remembered
#define PROBE_QUEUE 4    // that wait to be handed out

struct probe_cluster {
    struct gcc_probe probe;
    unsigned packets; // received
    uint32_t bytes;
    nanotime first_sent, last_sent, first_arrived, last_arrived;
    uint32_t last_sent_size, first_arrived_size;
    bool used, told;
};

enum probe_state { PROBE_IDLE, PROBE_WAITING, PROBE_DONE };

struct probe {
    struct probe_cluster clusters[PROBE_CLUSTERS]; // by id
    int next_id;
    struct gcc_probe queue[PROBE_QUEUE];
    unsigned queued;
    enum probe_state state;
    nanotime waiting_until;
    double further_bps; // a result above this asks for a cluster of twice the result
    double max_bps;
    // after a drop
    double dropped_from_bps; // 0: nothing to recover
    nanotime recover_at, recover_after;
    uint64_t started, results;
};

void probe_init(struct probe *probe, double max_bps);
void probe_start(struct probe *probe, nanotime now, double start_bps);
void probe_at(struct probe *probe, nanotime now, double bps, bool further);
// The estimate moved from `old_bps` to `bps`; with `measured` by a probe.
void probe_estimate(struct probe *probe, nanotime now, double old_bps, double bps, bool measured);
// Fires what is due; `calm`: no overuse now.
void probe_due(struct probe *probe, nanotime now, double bps, bool calm);
nanotime probe_deadline(const struct probe *probe);
bool probe_take(struct probe *probe, struct gcc_probe *out);

// A packet of a cluster arrived. Returns the rate measured, 0 while there is none.
// `saturated`: the path carried less than was sent.
double probe_arrived(struct probe *probe, int id, nanotime sent, nanotime arrived, uint32_t size,
                     bool *saturated);

#endif
