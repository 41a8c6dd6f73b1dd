// What one run of a scenario came to: the row of every report.
//
// Strings are borrowed by the reporters for the time of a call. Nothing in a result depends on the
// machine, the wall clock, the number of workers or the output folder: reports are the same bytes
// on every run. Encode and decode carry a result from a worker to the process that reports.
#ifndef REPORTS_RESULT_H
#define REPORTS_RESULT_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"

enum verdict {
    VERDICT_PASSED,
    VERDICT_FAILED,     // an expectation or an invariant did not hold
    VERDICT_CRASHED,    // a signal ended the worker
    VERDICT_WALL_LIMIT, // it ran longer than its wall-clock limit
    VERDICT_CPU_LIMIT,
    VERDICT_OUT_OF_MEMORY,
    VERDICT_TIMING_INVALID, // this machine was too busy: a live run that says nothing
    VERDICT_UNSUPPORTED,    // this machine lacks something it needs; `why` says what to install
    VERDICT_NOT_RUN,        // after --fail-fast or Ctrl-C
    VERDICTS,
};
const char *verdict_name(enum verdict verdict); // "passed", "cpu-limit" ...

struct result_expectation {
    const char *text; // as in the file
    unsigned line;    // of the file; 0: an invariant that is always on
    bool passed;
    const char *actual; // what was seen instead, or how it was met: "connected at 0.412s"
    nanotime at;        // when it was decided
};

struct result_metric {
    const char *name;  // a name that `simrtc metrics` lists
    const char *value; // as JSON would show it: a number, or a word
    bool is_number;
};

struct result_capture {
    const char *point; // vantage point
    const char *file;  // relative to the output folder
    uint32_t packets;
};

// The first thing that went wrong.
struct result_cause {
    nanotime at;         // TIME_NEVER: there is no moment to point to
    const char *capture; // relative file; NULL: no packet to point to
    uint32_t packet;     // from 1, as Wireshark counts
    const char *rule;    // "RFC 8445 7.2.5.2.1"; NULL: none
};

struct result {
    const char *file; // the scenario file as given
    const char *name; // its name
    const char *cell; // "home.nat=symmetric, office.nat=full-cone"; "" without a matrix
    const char
        *id; // unique in the run, fit for a file name: "nat/classic-turn/symmetric,full-cone"
    uint64_t seed;
    enum verdict verdict;
    const char *why; // one sentence; "" when passed
    struct result_cause cause;
    const char *replay;    // the one command that runs it again
    nanotime virtual_time; // how long it took inside the run
    const char *log;       // relative file of the trace; NULL: none was written
    const char *keys;      // relative file of the DTLS secrets, for Wireshark; NULL: none
    const char *stats;     // relative file of getStats() over time; NULL: nobody asked
    const struct result_expectation *expectations;
    unsigned expectations_count;
    const struct result_metric *metrics;
    unsigned metrics_count;
    const struct result_capture *captures;
    unsigned captures_count;
};

// Appended to `to`; decode needs the whole of it and copies into the arena. False: malformed.
void result_encode(struct text *to, const struct result *result);
bool result_decode(struct bytes from, struct arena *arena, struct result *out);

#endif
