// One run of one scenario: build the world, put the peers and servers on its hosts, carry their
// signaling, follow the timeline, watch the expectations, and say what came of it.
//
// Process-wide libraries (usrsctp, OpenSSL, the interposed clock) allow one run at a time.
#ifndef SCENARIOS_RUN_H
#define SCENARIOS_RUN_H

#include "reports/result.h"
#include "scenarios/runner/load/scenario.h"
#include "simnet/world.h"

struct live_options;

struct run_options {
    uint64_t seed;                   // 0: the scenario's own
    const struct live_options *real; // live_run.h; NULL: virtual time
    bool capture;
    bool clear;              // capture media before and after SRTP, too; also where a scenario asks
    nanotime stats_interval; // run_stats; 0: as the scenario says, which may be never
    bool log;                // keep the trace
    int live_fd;             // also write the trace here as it happens; -1: not
};

struct run;

// Once in a process. False: this process cannot run scenarios truthfully, `err` says why.
bool run_library_init(struct err *err);
void run_library_fini(void);

struct run *run_new(const struct scenario *scenario, const struct run_options *options);
// Until everything is decided or the limit is reached.
void run_go(struct run *run);
// The result; strings live as long as the run. `captures` and `log` are the writer's to fill in:
// the cause's capture is a vantage point's name until then.
void run_result(struct run *run, struct result *out);
const struct world *run_world(const struct run *run);
struct bytes run_log(const struct run *run);
// The secrets of all DTLS associations, for Wireshark to open the captures with; appended to `to`.
void run_key_log(const struct run *run, struct text *to);
// getStats() over time, the document of reports/stats.h, appended to `to`, once. False: nobody
// asked for it.
bool run_stats(struct run *run, struct text *to);
void run_free(struct run *run);

// What `simrtc metrics` prints: every name, its unit and meaning.
void run_print_metrics(struct text *to);

#endif
