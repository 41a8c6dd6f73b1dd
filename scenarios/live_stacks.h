// The stacks that a matrix of peers puts in the place of a scenario's first two peers: a file of
// names and kinds of peers, which the scenario names by its key `stacks`.
#ifndef SCENARIOS_LIVE_STACKS_H
#define SCENARIOS_LIVE_STACKS_H

#include "scenarios/load_priv.h"

#define STACKS_MAX 64

struct live_stacks {
    const struct yaml_node *kinds[STACKS_MAX]; // as the value of a peer's key `peer`
    const char *names[STACKS_MAX];
    unsigned count;
};

// Read the file that `node` names, from the folder of the file that it stands in: those stacks of
// it that `pairs` wants, in the order of the file. A word of a command that begins with "./" is
// found beside the file of stacks. False: `load->err` says what is wrong where.
bool live_stacks_load(struct load *load, const struct yaml_node *node,
                      const struct scenario_pairs *pairs, struct live_stacks *out);

#endif
