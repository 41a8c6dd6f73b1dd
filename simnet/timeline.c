#include "simnet/timeline_priv.h"

#include "base/arena.h"

#include <stdlib.h>

#define CHILDREN 4u // of i: 4i - 2 to 4i + 1

void timeline_free(struct timeline *timeline)
{
    free(timeline->heap);
    *timeline = (struct timeline){0};
}

static bool before(const struct event *a, const struct event *b)
{
    return a->time != b->time ? a->time < b->time : a->seq < b->seq;
}

static void place(struct timeline *timeline, uint32_t at, const struct event *event)
{
    timeline->heap[at] = *event;
    event->source->at = at;
}

static uint32_t parent_of(uint32_t at)
{
    return (at + CHILDREN - 2) / CHILDREN;
}

static uint32_t first_child(const struct timeline *timeline, uint32_t at)
{
    uint32_t from = CHILDREN * at - 2, best = 0;
    for (uint32_t i = from; i < from + CHILDREN && i <= timeline->count; i++)
        if (best == 0 || before(&timeline->heap[i], &timeline->heap[best]))
            best = i;
    return best;
}

// Put `event` where it belongs, seen from the hole at `at`.
static void settle(struct timeline *timeline, uint32_t at, struct event event)
{
    uint32_t hole = at;
    while (hole > 1 && before(&event, &timeline->heap[parent_of(hole)])) {
        place(timeline, hole, &timeline->heap[parent_of(hole)]);
        hole = parent_of(hole);
    }
    if (hole == at) {
        uint32_t child;
        while ((child = first_child(timeline, hole)) != 0 &&
               before(&timeline->heap[child], &event)) {
            place(timeline, hole, &timeline->heap[child]);
            hole = child;
        }
    }
    place(timeline, hole, &event);
}

void timeline_set(struct timeline *timeline, struct source *source, nanotime time, uint64_t seq)
{
    uint32_t at = source->at;
    if (at == 0) {
        at = ++timeline->count;
        if (at >= timeline->room) {
            timeline->room = timeline->room ? timeline->room * 2 : 64;
            timeline->heap = mem_grow(timeline->heap, timeline->room * sizeof *timeline->heap);
        }
    }
    struct event event = {time, seq, source};
    timeline->heap[at] = event; // so that no comparison meets what was not written
    settle(timeline, at, event);
}

void timeline_remove(struct timeline *timeline, struct source *source)
{
    uint32_t at = source->at;
    if (at == 0)
        return;
    source->at = 0;
    struct event last = timeline->heap[timeline->count--];
    if (last.source != source)
        settle(timeline, at, last);
}
