// Many runs: a set of scenarios through a pool of workers, their files to the disk, their results
// in the order of the set.
//
//     suite_run(&suite, &err);         // rows are told in order, as soon as they can be
//     ... suite.results[0 ... count) ...
//     suite_free(&suite);
//
// Files of a run: <out>/<id>/<vantage point>.pcap, trace.log and keys.log. What earlier runs left
// in <out> stays, but for half-written files of processes that were killed: the results say which
// files are of this run, and never name one that is not there.
#ifndef SCENARIOS_SUITE_H
#define SCENARIOS_SUITE_H

#include "reports/files.h"
#include "reports/result.h"
#include "scenarios/runner/live/live_run.h"
#include "scenarios/runner/load/scenario.h"
#include "scenarios/runner/suite/workers.h"

struct suite {
    // What to do: the caller's, before suite_run.
    const struct scenario *const *scenarios;
    unsigned count;
    uint64_t seed; // 0: each scenario's own
    unsigned jobs;
    const char *out;
    bool captures;           // write captures and logs
    bool clear;              // captures of clear media, too
    nanotime stats_interval; // write getStats() over time; 0: where scenarios say so
    bool fail_fast;
    const struct live_options *real;                         // NULL: virtual time
    bool live;                                               // the trace to stdout as it happens
    void (*row)(struct suite *suite, const struct result *); // in order; may be NULL
    void (*tick)(struct suite *suite, const struct scenario *running); // may be NULL
    void *user;

    // What came of it.
    struct result *results; // all of them once suite_run returned
    unsigned finished, failed;

    // Its own.
    bool *known;   // which results are there
    unsigned told; // how many rows
    int hold;      // see folder_hold
    struct arena arena;
    struct batch files;
    struct err *err;
};

// On WORKERS_ERROR the results are incomplete.
enum workers_result suite_run(struct suite *suite, struct err *err);
void suite_free(struct suite *suite);

// "simrtc run FILE --filter 'CELL' --seed N -v", or with live, in the arena.
const char *suite_replay(struct arena *arena, const struct scenario *scenario, uint64_t seed,
                         bool live);

#endif
