// The rate by the delay: additive increase, multiplicative decrease (draft-ietf-rmcat-gcc-02 5.5).
//
// It grows by 8 % a second while it knows nothing of the capacity. Each overuse tells it: what was
// acknowledged at that moment is what the path carried. From there the rate is cut to 85 % of it,
// and near it grows by about half a packet for each time that the loop takes to answer.
#ifndef STACK_CONGESTION_AIMD_PRIV_H
#define STACK_CONGESTION_AIMD_PRIV_H

#include "stack/congestion/gcc.h"

enum aimd_state { AIMD_HOLD, AIMD_INCREASE, AIMD_DECREASE };

// Where the capacity seems to be, from the throughput at overuse.
struct link_capacity {
    bool known;
    double kbps;
    double variance; // of the samples, divided by kbps
};

struct aimd {
    bool known; // `bps` means something
    double bps, min_bps, max_bps;
    double throughput_bps; // the last one known
    struct link_capacity link;
    enum aimd_state state;
    bool changed;
    nanotime changed_at;
    nanotime rtt;
};

void aimd_init(struct aimd *aimd, double min_bps, double max_bps);
void aimd_limits(struct aimd *aimd, double min_bps, double max_bps);
// Takes a rate that is known from elsewhere: the start, a probe.
void aimd_set(struct aimd *aimd, nanotime now, double bps);
// `throughput_bps` 0: not known.
void aimd_update(struct aimd *aimd, nanotime now, enum gcc_usage usage, double throughput_bps);
// Overuse, and `carried_bps` is not what was received meanwhile: cut, but the link's capacity is
// not learnt from it.
void aimd_cut(struct aimd *aimd, nanotime now, double carried_bps);
// Has the last cut had the time to show? True also when much less arrives than was asked for.
bool aimd_may_reduce(const struct aimd *aimd, nanotime now, double throughput_bps);

// The factor of 8 % a second over `span`, at most 6 s.
double rate_growth(nanotime span);

#endif
