// What happens when: a 4-ary heap of sources, each with at most one moment in it.
//
// A source (a link with packets on it, a waker, a packet on its own) knows its place in the heap,
// so that its moment is moved or taken back at once: there are no stale entries, and the heap is
// never larger than the sources are many.
#ifndef SIMNET_TIMELINE_PRIV_H
#define SIMNET_TIMELINE_PRIV_H

#include "base/clock.h"

enum source_kind {
    SOURCE_LINK,    // the head of its line leaves
    SOURCE_QUEUE,   // the turn of a packet that waits under CoDel
    SOURCE_PACKET,  // comes to the end of its link, on its own
    SOURCE_ARRIVAL, // a packet before its receiver's door
    SOURCE_WAKER,
    SOURCE_STREAM, // a TCP connection's end has something to do
};

// The first member of whatever is a source.
struct source {
    uint32_t at; // in the heap, from 1; 0: not there
    enum source_kind kind;
};

struct event {
    nanotime time;
    uint64_t seq; // decides between equal times
    struct source *source;
};

struct timeline {
    struct event *heap; // from 1
    uint32_t count, room;
};

void timeline_free(struct timeline *timeline);
void timeline_set(struct timeline *timeline, struct source *source, nanotime time, uint64_t seq);
void timeline_remove(struct timeline *timeline, struct source *source);

// NULL: nothing will happen.
static inline const struct event *timeline_first(const struct timeline *timeline)
{
    return timeline->count ? &timeline->heap[1] : NULL;
}

static inline nanotime timeline_time(const struct timeline *timeline, const struct source *source)
{
    return source->at ? timeline->heap[source->at].time : TIME_NEVER;
}

#endif
