// What must come of a pair of peers, computed from the NATs between them and from nothing else.
//
// A model of its own, without time, packets or the simulator's NAT code: addresses and ports are
// symbols, mappings and filters are relations of RFC 4787, and the candidates and checks of RFC
// 8445 are followed until nothing new becomes possible. Two implementations that must agree: that
// is what makes a cell of a matrix an assertion.
#ifndef SCENARIOS_ORACLE_H
#define SCENARIOS_ORACLE_H

#include "scenarios/runner/load/scenario.h"

struct oracle_outcome {
    enum scenario_outcome outcome; // never OUTCOME_COMPUTED
    // Which local candidate types the selected pair of each side may have: bit 1 <<
    // ice_candidate_type.
    unsigned types_offerer, types_answerer;
    const char *because; // one clause for a report, static or in the arena
    bool may_relay;      // OUTCOME_DIRECT: a pair by a relay is as good as the best one without
};

struct oracle_outcome oracle_compute(struct arena *arena, const struct scenario *scenario,
                                     const struct scenario_session *session);

#endif
