// Delay trend of a path: from when packets were sent and when they arrived, does a queue grow?
//
// Packets sent within 5 ms are one group. Between two groups, arrival gap minus sending gap is how
// much the queueing delay changed (draft-ietf-rmcat-gcc-02 5.1, 5.2). The sum of the changes,
// smoothed, is drawn over the time of arrival; the slope of the line through its last 20 points is
// the trend. 0.1 means that each second of arrivals adds 100 ms of queue: that the sender is 10 %
// above the capacity. The trend, scaled, is held against a threshold that adapts itself (5.4), so
// that a flow is neither starved by TCP nor deaf to its own queue.
#ifndef STACK_CONGESTION_TREND_PRIV_H
#define STACK_CONGESTION_TREND_PRIV_H

#include "stack/congestion/gcc.h"

#define TREND_WINDOW 20

// Times of sending by the sender's clock, of arrival by the receiver's.
struct trend_group {
    bool used;
    nanotime first_sent, last_sent;
    nanotime first_arrived, last_arrived;
    nanotime seen; // by the caller's clock
};

struct trend {
    struct trend_group current, previous;
    unsigned reordered; // groups in a row that arrived before the one sent earlier
    // the line
    unsigned deltas;
    nanotime origin; // arrival of the first delta
    double accumulated_ms, smoothed_ms;
    double x_ms[TREND_WINDOW], y_ms[TREND_WINDOW];
    unsigned points, next;
    // the detector
    double slope, scaled_ms, threshold_ms;
    bool over;
    double over_ms;
    unsigned over_count;
    bool adapted;
    nanotime adapted_at; // by the time of arrival
    enum gcc_usage usage;
};

void trend_init(struct trend *trend);
// Packets in order of arrival. True when a group was complete and the detector has looked.
bool trend_packet(struct trend *trend, nanotime now, nanotime sent, nanotime arrived);

#endif
