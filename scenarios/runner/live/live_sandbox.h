// Where the programs of a live run live: namespaces that end with the run, whatever ends it.
//
// Three layers. The whole command runs in mount, network and IPC namespaces of its own, so that a
// stray packet or file has nowhere to go; without privileges these belong to a user namespace. Each
// run has a process namespace: its first process is the keeper, and when the keeper ends, which it
// does with the process that made it, the kernel kills every process of the run, also those that
// were born of others. Each host has a network namespace (simnet/live.h), and each program on it a
// mount namespace with an empty /run, where its temporary files are, and no resolver.
#ifndef SCENARIOS_LIVE_SANDBOX_H
#define SCENARIOS_LIVE_SANDBOX_H

#include "base/err.h"

#include <sys/types.h>

// Once in a process that has one thread. False: this system does not allow it, `err` says what is
// missing.
bool live_sandbox_enter(struct err *err);

struct live_sandbox {
    pid_t keeper;
    int alive; // the keeper ends when this is closed
    int home;  // our own process namespace
};
// From here on children are born in the run's process namespace.
bool live_sandbox_open(struct live_sandbox *sandbox, struct err *err);
// Every process of it is gone when this returns. Those that were started by live_process_start must
// have been ended before.
void live_sandbox_close(struct live_sandbox *sandbox);

// Private to each program: its HOME and TMPDIR, gone with it.
#define LIVE_HOME "/run/peer"

struct live_process {
    pid_t pid;
    int in, out, err; // to its stdin, from its stdout and stderr; none blocks
};
struct live_command {
    const char *const *argv; // NULL-ended
    const char *folder;      // where it runs
    int network;             // namespace
};
// False: `err` says why; `missing`: because there is no such program.
bool live_process_start(struct live_process *process, const struct live_command *command,
                        bool *missing, struct err *err);
// Kill it if it has not ended, and say how it ended, as waitpid has it.
int live_process_end(struct live_process *process);
// Is it over by itself, or is it within `ms`? What it had open is closed a little before.
bool live_process_is_over(const struct live_process *process, int ms);

#endif
