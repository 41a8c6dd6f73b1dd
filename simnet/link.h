// What a one-way link does to packets, in this order: down, MTU, queue and rate, loss, duplicate,
// corrupt, reorder, delay and jitter. A chance of 0 draws nothing from the link's stream.
#ifndef SIMNET_LINK_H
#define SIMNET_LINK_H

#include "base/clock.h"
#include "base/rng.h"

enum jitter_shape {
    JITTER_UNIFORM,
    JITTER_NORMAL
}; // normal: `jitter` is the standard deviation
   // (sum of draws, cut at 3 of it; integers only)
// What a queue does about packets that wait long: nothing, or drop at its head (RFC 8289).
enum link_discipline { LINK_TAIL, LINK_CODEL };
struct link_config {
    nanotime delay;
    nanotime jitter; // uniform: added, 0 to this; normal: around `delay`, never below 0
    enum jitter_shape shape;
    bool jitter_reorders; // else a packet never leaves before the one ahead of it, also when the
                          // delay was made shorter behind that one
    uint32_t loss;        // per billion
    uint32_t loss_burst;  // mean length of a loss burst (Gilbert-Elliott), longer where `loss` asks
                          // for it: one packet is between two bursts; 0 or 1: independent
    uint32_t duplicate;   // per billion; the copy has its own jitter, reordering and corruption
    uint32_t reorder;     // per billion: held back by `reorder_by`
    nanotime reorder_by;
    uint32_t corrupt;     // per billion: one bit of the payload flips
    uint64_t rate_bps;    // 0: no limit
    uint32_t queue_bytes; // drop-tail, in front of the rate; 0: 64 KiB. A packet counts, headers
                          // and all, until its first bit leaves: one on an idle link never waits
    enum link_discipline discipline; // of that queue; CoDel's is bounded by `queue_bytes`, too
    nanotime codel_target;           // 0: 5 ms (RFC 8289 4.4)
    nanotime codel_interval;         // 0: 100 ms (RFC 8289 4.3); at most LINK_CODEL_INTERVAL_MAX
    uint32_t mtu;                    // the largest IP packet; 0: 1500
    bool down;
};

#define LINK_CODEL_INTERVAL_MAX (4 * TIME_S)

struct link_stats {
    uint64_t packets, bytes; // delivered; bytes of IP packets
    uint64_t lost, queue_full, codel, too_big, while_down, duplicated, reordered, corrupted;
    uint64_t queue_max_bytes;
};

#endif
