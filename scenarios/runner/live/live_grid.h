// The results of a matrix of peers as grids: one for each scenario, rows offer, columns answer.
#ifndef SCENARIOS_LIVE_GRID_H
#define SCENARIOS_LIVE_GRID_H

#include "reports/result.h"
#include "scenarios/runner/load/scenario.h"

// Where a run passed, the way of its data as the packets show it, and how long the run took.
void live_grid_print(struct text *to, const struct scenario *const *scenarios,
                     const struct result *results, unsigned count);
// What is missing, each reason once, with the number of runs that it concerns.
void live_grid_missing(struct text *to, const struct result *results, unsigned count);

#endif
