// A pool of forked workers that do numbered tasks one after another.
//
// A fork for each task would cost more than the task; one process for all would end with the first
// crash. So each worker takes tasks until none is left, and a worker that crashes, hangs or eats
// its memory costs the one task it was on: a fresh worker goes on with the rest.
//
// What a task is, the pool does not know: `run` does it in the worker and leaves bytes, which
// `finished` gets in the parent. Tasks are handed out in order, and finish in any order.
//
// Limits of a task: CPU time (SIGPROF ends the worker), wall-clock time (the parent ends it), and
// memory (RLIMIT_AS at what the worker has when the task begins, and the limit more; allocation
// failure is the exit code EXIT_NO_MEMORY). Under AddressSanitizer there is no memory limit: its
// shadow memory alone is terabytes of address space.
#ifndef SCENARIOS_WORKERS_H
#define SCENARIOS_WORKERS_H

#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"

#define WORKERS_MAX 256
#define WORKERS_MESSAGE_MAX (64u * 1024 * 1024) // bytes that a task may leave
// Deaths of workers that were on no task: more than so many and the pool gives up.
#define WORKERS_IDLE_DEATHS_MAX 8

enum workers_end {
    WORKERS_DONE,       // `bytes` are what the task left
    WORKERS_SIGNALED,   // `detail` is the signal
    WORKERS_EXITED,     // `detail` is the exit code, which no task may cause
    WORKERS_WALL_LIMIT, // the pool killed it
    WORKERS_CPU_LIMIT,
    WORKERS_NO_MEMORY,
    WORKERS_GARBAGE, // it sent what is no message
};

struct workers_outcome {
    enum workers_end end;
    int detail;
    struct bytes bytes; // until `finished` returns
};

struct workers_limits {
    nanotime cpu, wall;
    uint64_t memory; // bytes; 0 in any of the three: no limit
};

struct workers_config {
    unsigned jobs;  // how many workers, at most WORKERS_MAX
    unsigned count; // of tasks
    void *user;
    // In each worker, before its first task. False: this process can do no task, and the pool ends.
    bool (*start)(void *user, struct err *err);
    // In the worker. False: the operating system failed (a full disk, say), and the pool ends.
    bool (*run)(void *user, unsigned task, struct text *out, struct err *err);
    struct workers_limits (*limits)(void *user, unsigned task);
    // In the parent, for each task that was handed out. False: hand out no more.
    bool (*finished)(void *user, unsigned task, const struct workers_outcome *outcome);
    // In the parent, a few times a second. `task`: the oldest that is being done. May be NULL.
    void (*tick)(void *user, unsigned task);
};

enum workers_result {
    WORKERS_ALL_DONE, // or `finished` said to stop
    WORKERS_STOPPED,  // SIGINT or SIGTERM; what was being done is lost
    WORKERS_ERROR,    // `err` says what
};
// Returns when every worker is gone. Not reentrant: signals are process-wide.
enum workers_result workers_run(const struct workers_config *config, struct err *err);

#endif
