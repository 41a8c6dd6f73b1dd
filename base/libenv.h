// The world as third-party libraries see it: a clock that stands at `now`, and chance drawn from
// the caller's own stream.
//
// OpenSSL and usrsctp read gettimeofday() and time(), and ask for random bytes. This file defines
// both clock functions for the whole executable, and the random sources that stack/dtls and
// stack/sctp install draw from here. So the rule "time only from now" holds inside the libraries
// too, in virtual time and over real sockets alike:
//
//     libenv_enter(now, &peer->rng);
//     ... call the library ...
//     libenv_leave();
//
// Process-wide state, one thread. Not here: clock_gettime(), which no library of ours reads.
#ifndef BASE_LIBENV_H
#define BASE_LIBENV_H

#include "base/clock.h"
#include "base/err.h"
#include "base/rng.h"

// From now until libenv_leave the clock stands at `now`, and chance comes from `rng`. Nests: leave
// restores what was there before, except the clock, which never goes back within a run.
struct libenv {
    struct rng *rng_before;
};
struct libenv libenv_enter(nanotime now, struct rng *rng);
void libenv_leave(struct libenv env);

nanotime libenv_now(void);
// Start of a run: the clock goes back to 0.
void libenv_reset(void);

// Random bytes for a library. Drawn outside enter/leave they come from a fixed stream, and are
// counted: a run whose count moved would not be reproducible, so runners check it.
void libenv_random(void *to, size_t len);
unsigned libenv_orphan_draws(void);

// True when gettimeofday() and time() really are ours, as every caller in the process sees them.
// (Built with hidden visibility they would silently be libc's.)
bool libenv_check(struct err *err);

#endif
