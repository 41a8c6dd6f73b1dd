// The trace of a run: one line for each thing that happened, in virtual time, the same text on
// every run of the same scenario and seed.
//
//     1.025000 alice.ice    pair 192.0.2.1:5000 > 198.51.100.7:4242 succeeded
//
// A module is given a `struct trace` (whose `log` may be NULL: then a trace costs one branch).
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include "base/clock.h"
#include "base/text.h"

struct trace_log {
    struct text text;
    int live_fd; // also write each line here; -1 for not
};

struct trace {
    struct trace_log *log;
    char who[40]; // "alice.ice"
};

struct trace trace_of(struct trace_log *log, const char *who);
// "who.part"
struct trace trace_part(const struct trace *trace, const char *part);

#define trace(t, now, ...)                                                                         \
    do {                                                                                           \
        if ((t)->log)                                                                              \
            trace_line((t), (now), __VA_ARGS__);                                                   \
    } while (0)

void trace_line(const struct trace *trace, nanotime now, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
