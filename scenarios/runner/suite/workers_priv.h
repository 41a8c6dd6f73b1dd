// Between the pool and its workers: what they say to each other.
//
// The pool says four bytes, the number of a task. The worker says one message for each: a head
// (kind, task, length), then the payload.
#ifndef SCENARIOS_WORKERS_PRIV_H
#define SCENARIOS_WORKERS_PRIV_H

#include "scenarios/runner/suite/workers.h"

#include <sys/types.h>

#define MESSAGE_HEAD_LEN 12
#define MESSAGE_DONE 0x53440001u  // payload: what the task left
#define MESSAGE_ERROR 0x53440002u // payload: the text for the user

struct message_head {
    uint32_t kind, task, len;
};

static inline struct message_head message_head_decode(struct bytes bytes)
{
    struct reader r = reader_of(bytes);
    struct message_head head = {.kind = read_u32(&r)};
    head.task = read_u32(&r);
    head.len = read_u32(&r);
    return head;
}

// What a worker does until the pool is gone. `fd` is its end of the pair.
_Noreturn void worker_main(const struct workers_config *config, int fd, pid_t parent);

#endif
