// The stacks that a matrix of peers puts in the place of a scenario's first two peers: a file of
// names and kinds of peers, which the scenario names by its key `stacks`.
//
//   stacks:
//     pion: {kind: adapter, run: [./pion.sh], install: ci/live-deps all}
//   limits:   # what is known of stacks of other people, where it is not what the cell wants
//     - {offers: pion, answers: wrtc, cell: loss, says: bob.chat, trace: words, why: the matter}
//     - {stack: pion, says: ...}   # on either side
//
// A limit speaks of expectations that have `says` in them, and only where a line of the run's
// trace, which has the logs of the stacks, too, has the words that show that it is this: a line of
// the one stack that it names, or of anybody, if it names two.
#ifndef SCENARIOS_LIVE_STACKS_H
#define SCENARIOS_LIVE_STACKS_H

#include "scenarios/runner/load/load_priv.h"

#define STACKS_MAX 64

#define LIMITS_MAX 256

struct live_limit {
    const char *offers, *answers; // names of stacks; NULL: any
    const char *cell;             // the file's name without folder and ending; NULL: any
    struct scenario_limit limit;
};

struct live_stacks {
    const struct yaml_node *kinds[STACKS_MAX]; // as the value of a peer's key `peer`
    const char *names[STACKS_MAX];
    unsigned count;
    struct live_limit *limits;
    unsigned limits_count;
};

// Read the file that `node` names, from the folder of the file that it stands in: those stacks of
// it that `pairs` wants, in the order of the file. A word of a command that begins with "./" is
// found beside the file of stacks. False: `load->err` says what is wrong where.
bool live_stacks_load(struct load *load, const struct yaml_node *node,
                      const struct scenario_pairs *pairs, struct live_stacks *out);

// What is known of this pair in a cell of this file, in the arena.
const struct scenario_limit *live_stacks_limits(const struct live_stacks *stacks,
                                                struct arena *arena, const char *const pair[2],
                                                const char *file, unsigned *count);
// Of a run that failed: what is known, if that is so of each expectation that was not met, or,
// where there is none, of the reason. NULL: something else is the matter, too.
struct result;
const struct scenario_limit *live_stacks_known(const struct scenario *scenario,
                                               const struct result *result, struct bytes log);
// Is the file's name, without folder and ending, this one?
bool live_stacks_is_cell(const char *file, const char *cell);

#endif
