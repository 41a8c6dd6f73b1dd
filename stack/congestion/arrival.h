// What arrived, and when: the receiver's side of transport-wide congestion control
// (draft-holmer-rmcat-transport-wide-cc-extensions-01). It notes the arrival of each transport-wide
// sequence and says when the next feedback is due and what it contains. The bytes of that feedback
// are RTCP's business.
//
//     arrival_packet(&a, now, sequence, size);
//     while (arrival_due(&a, now) && (n = arrival_take(&a, now, results, max))) { ... send ... }
//     wake = arrival_deadline(&a);
//
// A feedback reports a run of sequences without a gap: those that came with their time, the others
// as not received (yet). One that comes later, out of order, is reported by a later feedback, whose
// base then goes back; what was reported before is not repeated (draft 3.1.1).
#ifndef STACK_CONGESTION_ARRIVAL_H
#define STACK_CONGESTION_ARRIVAL_H

#include "base/clock.h"

// Sequences that are remembered behind the newest one; older ones come too late to be told.
#define ARRIVAL_WINDOW 4096
// The most sequences of one feedback. More that wait go into the next one.
#define ARRIVAL_TAKE_MAX 1024
// A feedback has at least so much time to the one before, and at most, with packets to report.
#define ARRIVAL_INTERVAL_MIN (50 * TIME_MS)
#define ARRIVAL_INTERVAL_DEFAULT (100 * TIME_MS)
#define ARRIVAL_INTERVAL_MAX (250 * TIME_MS)

// One status of a feedback: also what the sender hands to gcc_feedback.
struct arrival_result {
    uint16_t sequence;
    bool received;
    nanotime received_at; // receiver's clock, a multiple of 250 us; 0 when not received
};

enum arrival_outcome {
    ARRIVAL_NOTED,
    ARRIVAL_DUPLICATE, // came before; the first time counts
    ARRIVAL_TOO_OLD,   // behind the window
    ARRIVAL_OUTCOMES,
};
const char *arrival_outcome_name(enum arrival_outcome outcome);

struct arrival_stats {
    uint64_t packets, duplicates, too_old;
    uint64_t skipped;   // left the window before any feedback told of them
    uint64_t feedbacks; // taken
};

struct arrival *arrival_new(void);
void arrival_free(struct arrival *arrival);

// `size`: bytes, which tell the rate of the stream and by it the interval of feedback.
enum arrival_outcome arrival_packet(struct arrival *arrival, nanotime now, uint16_t sequence,
                                    size_t size);
// How often feedback goes out: such that it takes 5 % of `bps` (0: as unknown, 100 ms), within
// 50..250 ms. Without a call it follows the rate that arrives.
void arrival_set_rate(struct arrival *arrival, uint32_t bps);

bool arrival_due(const struct arrival *arrival, nanotime now);
// TIME_NEVER while nothing waits to be reported.
nanotime arrival_deadline(const struct arrival *arrival);

// The statuses of one feedback, in order of sequence and without a gap; results[0].sequence is its
// base. Returns how many, 0: nothing to report. `max` > 0. A feedback spans less than 8 s of
// arrivals, so that each delta fits into 16 bits. What did not fit stays due.
unsigned arrival_take(struct arrival *arrival, nanotime now, struct arrival_result *results,
                      unsigned max);

const struct arrival_stats *arrival_stats(const struct arrival *arrival);

#endif
