#include "stack/congestion/arrival.h"

#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"

#define TICK (250 * TIME_US)   // draft 3.1.5: the unit of a receive delta
#define DELTA_MAX (8 * TIME_S) // draft 3.1.1: 8191.75 ms is the most that one can say
#define FEEDBACK_BITS (68 * 8) // IP, UDP, SRTP and the message, about
#define RATE_WINDOW (500 * TIME_MS)

struct mark {
    int64_t sequence; // -1: none
    nanotime at;
    bool reported;
};

struct arrival {
    struct mark marks[ARRIVAL_WINDOW]; // by sequence
    int64_t newest;                    // -1: none
    int64_t next;                      // the first sequence no feedback has spoken of
    int64_t lowest;                    // of those received and not reported
    unsigned waiting;                  // received and not reported
    nanotime due_at;                   // while waiting > 0
    bool taken;
    nanotime taken_at, interval;
    bool rate_given;
    nanotime rate_at;
    uint64_t rate_bytes;
    struct arrival_stats stats;
};

const char *arrival_outcome_name(enum arrival_outcome outcome)
{
    static const char *const names[ARRIVAL_OUTCOMES] = {"noted", "duplicate", "too old"};
    assert(outcome < ARRIVAL_OUTCOMES);
    return names[outcome];
}

struct arrival *arrival_new(void)
{
    struct arrival *arrival = mem_zero(1, sizeof *arrival);
    arrival->newest = -1;
    arrival->interval = ARRIVAL_INTERVAL_DEFAULT;
    arrival->rate_at = -1;
    for (unsigned i = 0; i < ARRIVAL_WINDOW; i++)
        arrival->marks[i].sequence = -1;
    return arrival;
}

void arrival_free(struct arrival *arrival)
{
    free(arrival);
}

static nanotime interval_of(uint64_t bps)
{
    if (bps == 0)
        return ARRIVAL_INTERVAL_DEFAULT;
    nanotime interval = (nanotime)((uint64_t)FEEDBACK_BITS * TIME_S * 20 / bps); // 5 %
    return time_min(time_max(interval, ARRIVAL_INTERVAL_MIN), ARRIVAL_INTERVAL_MAX);
}

void arrival_set_rate(struct arrival *arrival, uint32_t bps)
{
    arrival->rate_given = bps > 0;
    arrival->interval = interval_of(bps);
}

static void rate_measure(struct arrival *arrival, nanotime now, size_t size)
{
    if (arrival->rate_given)
        return;
    nanotime span = arrival->rate_at < 0 ? -1 : now - arrival->rate_at;
    if (span >= RATE_WINDOW)
        arrival->interval =
            interval_of(arrival->rate_bytes * 8 * 1000 / (uint64_t)(span / TIME_MS));
    if (span < 0 || span >= RATE_WINDOW) {
        arrival->rate_at = now;
        arrival->rate_bytes = 0;
    }
    arrival->rate_bytes += size;
}

static struct mark *mark_at(struct arrival *arrival, int64_t sequence)
{
    return &arrival->marks[sequence % ARRIVAL_WINDOW];
}

static bool is_waiting(struct arrival *arrival, int64_t sequence)
{
    const struct mark *mark = mark_at(arrival, sequence);
    return mark->sequence == sequence && !mark->reported;
}

// `newest` grew: what falls out of the window can no longer be reported.
static void window_move(struct arrival *arrival, int64_t newest)
{
    int64_t floor = newest - ARRIVAL_WINDOW + 1;
    if (arrival->waiting > 0 && arrival->lowest < floor) {
        int64_t at = arrival->lowest;
        for (; at < floor && at <= arrival->newest; at++) {
            if (is_waiting(arrival, at)) {
                arrival->waiting--;
                arrival->stats.skipped++;
                mark_at(arrival, at)->reported = true;
            }
        }
        while (arrival->waiting > 0 && !is_waiting(arrival, at))
            at++;
        arrival->lowest = at;
    }
    if (arrival->next < floor)
        arrival->next = floor;
    arrival->newest = newest;
}

enum arrival_outcome arrival_packet(struct arrival *arrival, nanotime now, uint16_t sequence,
                                    size_t size)
{
    // The first sequence is moved up by one round, so that older ones are not negative.
    int64_t whole =
        arrival->newest < 0
            ? (int64_t)sequence + 65536
            : arrival->newest + (int16_t)(uint16_t)(sequence - (uint16_t)arrival->newest);
    if (arrival->newest < 0) {
        arrival->next = whole;
        arrival->newest = whole;
    }
    if (whole <= arrival->newest - ARRIVAL_WINDOW) {
        arrival->stats.too_old++;
        return ARRIVAL_TOO_OLD;
    }
    if (mark_at(arrival, whole)->sequence == whole) {
        arrival->stats.duplicates++;
        return ARRIVAL_DUPLICATE;
    }
    if (whole > arrival->newest)
        window_move(arrival, whole);
    *mark_at(arrival, whole) = (struct mark){.sequence = whole, .at = now / TICK * TICK};
    if (arrival->waiting == 0) {
        arrival->due_at =
            arrival->taken ? time_max(now, arrival->taken_at + arrival->interval) : now;
        arrival->lowest = whole;
    }
    if (whole < arrival->lowest)
        arrival->lowest = whole;
    arrival->waiting++;
    arrival->stats.packets++;
    rate_measure(arrival, now, size);
    return ARRIVAL_NOTED;
}

nanotime arrival_deadline(const struct arrival *arrival)
{
    return arrival->waiting > 0 ? arrival->due_at : TIME_NEVER;
}

bool arrival_due(const struct arrival *arrival, nanotime now)
{
    return now >= arrival_deadline(arrival);
}

// A feedback begins where the last one ended, or at what came late; but never so early that it
// would have no packet received in its `max` statuses.
static int64_t base_find(struct arrival *arrival, unsigned max)
{
    int64_t base = arrival->next < arrival->lowest ? arrival->next : arrival->lowest;
    if (arrival->lowest - base >= max)
        base = arrival->lowest - max + 1;
    return base;
}

// Marks [base, end) as told, and looks for what is still to be.
static void reported(struct arrival *arrival, int64_t end)
{
    if (arrival->next < end)
        arrival->next = end;
    while (arrival->waiting > 0 && !is_waiting(arrival, end))
        end++;
    arrival->lowest = end;
}

unsigned arrival_take(struct arrival *arrival, nanotime now, struct arrival_result *results,
                      unsigned max)
{
    assert(max > 0);
    if (arrival->waiting == 0)
        return 0;
    int64_t base = base_find(arrival, max);
    unsigned n = 0, used = 0; // `used`: up to the last one received
    nanotime first = 0, last = 0;
    for (int64_t at = base; at <= arrival->newest && n < max; at++) {
        struct mark *mark = mark_at(arrival, at);
        results[n] = (struct arrival_result){.sequence = (uint16_t)at};
        if (is_waiting(arrival, at)) {
            if (used > 0 && (mark->at - last > DELTA_MAX || last - mark->at > DELTA_MAX ||
                             mark->at - first > DELTA_MAX))
                break;
            if (used == 0)
                first = mark->at;
            last = mark->at;
            results[n].received = true;
            results[n].received_at = mark->at;
            mark->reported = true;
            arrival->waiting--;
            used = n + 1;
        }
        n++;
    }
    reported(arrival, base + used);
    arrival->taken = true;
    arrival->taken_at = now;
    arrival->due_at = now; // of what did not fit
    arrival->stats.feedbacks++;
    return used;
}

const struct arrival_stats *arrival_stats(const struct arrival *arrival)
{
    return &arrival->stats;
}
