#include "stack/rtp/nack.h"

#include "base/arena.h"

#include <stdlib.h>

#define RTT_UNKNOWN (100 * TIME_MS)
#define AGAIN_LEAST (20 * TIME_MS)

struct missing {
    int64_t sequence;
    nanotime noted_at, due;
    unsigned tries;
};

struct nack {
    struct missing missing[NACK_MISSING_MAX]; // rising
    size_t count;
    int64_t newest; // -1: none yet
    nanotime rtt;
    bool gave_up;
};

struct nack *nack_new(void)
{
    struct nack *n = mem_zero(1, sizeof *n);
    n->newest = -1;
    n->rtt = RTT_UNKNOWN;
    return n;
}

void nack_free(struct nack *n)
{
    free(n);
}

void nack_set_rtt(struct nack *n, nanotime rtt)
{
    n->rtt = rtt;
}

static void drop_first(struct nack *n, size_t count)
{
    n->count -= count;
    memmove(n->missing, n->missing + count, n->count * sizeof *n->missing);
}

// The first that is not below `sequence`.
static size_t find(const struct nack *n, int64_t sequence)
{
    size_t low = 0, high = n->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (n->missing[middle].sequence < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void nack_forget(struct nack *n, int64_t up_to)
{
    drop_first(n, find(n, up_to + 1));
    if (n->newest >= 0 && up_to > n->newest)
        n->newest = up_to; // what is missing up to here will not be noted either
}

static void note_gap(struct nack *n, nanotime now, int64_t from, int64_t to)
{
    size_t more = (size_t)(to - from);
    if (more > NACK_MISSING_MAX) {
        from = to - NACK_MISSING_MAX;
        more = NACK_MISSING_MAX;
        n->gave_up = true;
    }
    if (n->count + more > NACK_MISSING_MAX) {
        drop_first(n, n->count + more - NACK_MISSING_MAX);
        n->gave_up = true;
    }
    for (int64_t sequence = from; sequence < to; sequence++)
        n->missing[n->count++] =
            (struct missing){.sequence = sequence, .noted_at = now, .due = now + NACK_REORDER};
}

void nack_packet(struct nack *n, nanotime now, int64_t sequence)
{
    if (n->newest >= 0 && sequence <= n->newest) {
        size_t at = find(n, sequence);
        if (at < n->count && n->missing[at].sequence == sequence) {
            n->count--;
            memmove(n->missing + at, n->missing + at + 1, (n->count - at) * sizeof *n->missing);
        }
        return;
    }
    if (n->newest >= 0 && sequence - n->newest > NACK_GAP_MAX) {
        n->count = 0;
        n->gave_up = true;
    } else if (n->newest >= 0) {
        note_gap(n, now, n->newest + 1, sequence);
    }
    n->newest = sequence;
}

size_t nack_poll(struct nack *n, nanotime now, uint16_t *missing, size_t max)
{
    size_t kept = 0, count = 0;
    nanotime again = n->rtt > AGAIN_LEAST ? n->rtt : AGAIN_LEAST;
    for (size_t i = 0; i < n->count; i++) {
        struct missing m = n->missing[i];
        // The last time asked may still be answered.
        bool tried = m.tries >= NACK_TRIES && m.due <= now;
        if (tried || now - m.noted_at >= NACK_AGE) {
            n->gave_up = true;
            continue;
        }
        if (m.due <= now && count < max) {
            missing[count++] = (uint16_t)m.sequence;
            m.tries++;
            m.due = now + again + again / 4;
        }
        n->missing[kept++] = m;
    }
    n->count = kept;
    return count;
}

nanotime nack_deadline(const struct nack *n)
{
    nanotime at = TIME_NEVER;
    for (size_t i = 0; i < n->count; i++)
        at = time_min(at, time_min(n->missing[i].due, n->missing[i].noted_at + NACK_AGE));
    return at;
}

bool nack_gave_up(struct nack *n)
{
    bool gave_up = n->gave_up;
    n->gave_up = false;
    return gave_up;
}

size_t nack_missing(const struct nack *n)
{
    return n->count;
}
