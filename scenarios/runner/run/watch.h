// Expectations over the course of a run: each is open until it is held or broken.
#ifndef SCENARIOS_WATCH_H
#define SCENARIOS_WATCH_H

#include "scenarios/runner/load/expect_priv.h"

enum watch_state { WATCH_OPEN, WATCH_HELD, WATCH_BROKEN };

struct watch {
    const struct expect *expect;
    struct oracle_outcome *computed; // of each session, where a clause asks for it
    enum watch_state state;
    nanotime at;                 // when it was decided
    const char *actual;          // text of the first clause that is not true, or of what was seen
    const struct clause *clause; // that one
    uint32_t packet;             // the first that a `no packet` forbids; 0: none
    bool untold;                 // broken since the peer of that clause does not tell its metric
};

#endif
