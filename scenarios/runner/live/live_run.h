// A run in the real world: the scenario's hosts become network namespaces, its peers processes in
// them, and time is the system's. The world between them, its servers, the timeline, signaling,
// expectations and reports are those of any run.
#ifndef SCENARIOS_LIVE_RUN_H
#define SCENARIOS_LIVE_RUN_H

#include "reports/result.h"
#include "simnet/world.h"

struct run;
struct run_peer;

// Real peers share the machine with the bench.
#define LIVE_ALLOWANCE (20 * TIME_MS)
#define LIVE_SLACK (500 * TIME_MS)

struct live_options {
    const char *program; // this one: the peers of this stack are `program peer`
    nanotime allowance;  // p99 of lateness above this: the run says nothing
    nanotime slack;      // what expectations with a time get on top
};

// After the world was built: namespaces, devices, processes, and time 0. False: it cannot go on,
// and live_run_result says why.
bool live_run_open(struct run *run);
// As world_next.
bool live_run_next(struct run *run, struct world_event *event);
// At the end: what the peers have counted until now.
void live_run_settle(struct run *run);
// Everything that was started is gone afterwards.
void live_run_close(struct run *run);

// Where the data of the peer goes, as its packets at the network show it: "none" before the first.
const char *live_run_path(struct run *run, struct run_peer *peer);
// It tells all that this stack counts.
bool live_run_is_detailed(const struct run *run, const struct run_peer *peer);
// Did the peer that a metric is of tell it? Others read as zero, which is no news of it.
struct metric_ref;
bool live_run_tells(const struct run *run, const struct metric_ref *ref);
void live_run_restart_server(struct run *run, unsigned server);

// How late the bench was, as metrics; and the verdict, where the live world decides it.
void live_run_result(struct run *run, struct arena *arena, struct result *out);

#endif
