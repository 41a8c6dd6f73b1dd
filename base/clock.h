// Time: nanoseconds since the start of the run, and their text.
//
// No module reads a clock: each is told `now`. The two readings of the real clock that the bench
// itself needs (watchdogs, benchmarks, the real-socket driver) are in this one home.
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/bytes.h"

typedef int64_t nanotime;

#define TIME_NEVER INT64_MAX
#define TIME_TEXT_MAX 32

// Virtual time 0 is this moment: 2026-01-01T00:00:00Z, in every capture, for ever.
#define TIME_EPOCH_S 1767225600

#define TIME_US ((nanotime)1000)
#define TIME_MS ((nanotime)1000000)
#define TIME_S ((nanotime)1000000000)

static inline nanotime time_min(nanotime a, nanotime b)
{
    return a < b ? a : b;
}

static inline nanotime time_max(nanotime a, nanotime b)
{
    return a > b ? a : b;
}

// now + span, never past TIME_NEVER; TIME_NEVER stays.
static inline nanotime time_add(nanotime now, nanotime span)
{
    return span >= TIME_NEVER - now ? TIME_NEVER : now + span;
}

// A span with its unit: "250us", "25ms", "1.5s", "2min", "1h", "0s". The unit is required.
bool time_parse(struct bytes text, nanotime *out);
// Seconds with the digits it takes, such as "1.025s" or "0s"; "never". `to` holds TIME_TEXT_MAX.
const char *time_print(nanotime time, char *to);

// Real clocks, outside every run.
nanotime clock_real(void); // monotonic
nanotime clock_cpu(void);  // CPU time of this process

#endif
