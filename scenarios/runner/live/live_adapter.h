// The bench's end of the adapter protocol (scenarios/adapters/README.md), as a peer like any other.
//
// It is sans-IO, too: what the adapter's process wrote goes in by live_adapter_feed, what is to be
// written to it is live_adapter_outgoing. An adapter that breaks the protocol is failed for good,
// with one sentence that says how.
#ifndef SCENARIOS_LIVE_ADAPTER_H
#define SCENARIOS_LIVE_ADAPTER_H

#include "stack/peer/peer.h"

// Lines of state and the like, and bytes, that one adapter may write in a run.
#define LIVE_EVENTS_MAX 20000u // besides messages
#define LIVE_BYTES_MAX ((uint64_t)1024 * 1024 * 1024)
#define LIVE_PATIENCE (10 * TIME_S) // without an answer to `stats`

extern const struct peer_ops peer_adapter;

// The protocol's first line, with all that the peer's config says. `own`: it is this stack.
// `media`: it shall offer audio and video besides data.
void live_adapter_init(void *peer, bool own, bool media);
// The clock runs. This stack's own process reads the same one: `epoch` is clock_real() at time 0.
void live_adapter_start(void *peer, nanotime epoch);
// From the process. False: the adapter has failed.
bool live_adapter_feed(void *peer, nanotime now, struct bytes bytes);
// To the process; the caller takes from its front what was written.
struct text *live_adapter_outgoing(void *peer);
// Ask for statistics; answered counts them.
void live_adapter_ask(void *peer, nanotime now);
unsigned live_adapter_unanswered(const void *peer, nanotime *since);
bool live_adapter_ready(const void *peer); // it has answered once

// The first reason why it can do no more; NULL: none. Unsupported: the reason is what to install.
const char *live_adapter_failure(const void *peer, bool *unsupported);
void live_adapter_fail(void *peer, nanotime now, bool unsupported, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
// It was told to close: its end is none that is wrong.
bool live_adapter_closing(const void *peer);
// It told all that this stack counts.
bool live_adapter_is_detailed(const void *peer);
// It told this much: a metric of the peer by its name, a member of a track or of the transport.
// What it did not tell reads as zero, and is no news of it.
bool live_adapter_tells(const void *peer, const char *metric);
bool live_adapter_tells_track(const void *peer, unsigned track, const struct media_member *member);
bool live_adapter_tells_transport(const void *peer, const struct media_member *member);
// Its stack said so.
bool live_adapter_cannot_restart(const void *peer);

#endif
