// The rate by the loss (draft-ietf-rmcat-gcc-02 6): below 2 % lost it grows by 8 % a second, up to
// 10 % it holds, above it falls by half of the share lost.
#ifndef STACK_CONGESTION_LOSS_PRIV_H
#define STACK_CONGESTION_LOSS_PRIV_H

#include "base/clock.h"

struct loss {
    double bps;
    int64_t lost, expected; // since the last fraction was taken
    bool known;             // `fraction_256` is
    bool fresh;             // and the rate was not yet cut for it
    uint32_t fraction_256;
    bool grown, cut;
    nanotime grown_at, cut_at, started_at;
};

void loss_init(struct loss *loss, nanotime now, double bps);
// Counts of one feedback. `lost` may be negative: what was told as lost has come.
void loss_count(struct loss *loss, int64_t lost, int64_t expected);
void loss_fraction(struct loss *loss, uint32_t fraction_256);
// Moves the rate after a report. `limit_bps`: of the other controllers; the rate never runs away
// from it, and in the first 2 s, while nothing is lost, jumps to it if `limit_known`.
void loss_update(struct loss *loss, nanotime now, nanotime rtt, double limit_bps, bool limit_known);
// Nothing was reported for long.
void loss_timeout(struct loss *loss);

#endif
