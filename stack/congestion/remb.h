// The receiver's own estimate of what the path carries, for REMB (draft-alvestrand-rmcat-remb-03):
// the delay-based controller of gcc.h, fed with arrival times and the abs-send-time of each packet,
// for senders that do not use transport-wide feedback.
//
//     remb_packet(remb, now, abs_send_time, size);
//     if (remb_poll(remb, now, &bps)) { ... send a REMB of bps ... }
//     wake = remb_deadline(remb);
//
// A REMB goes out each second, and at once when the estimate fell by 3 % or more.
#ifndef STACK_CONGESTION_REMB_H
#define STACK_CONGESTION_REMB_H

#include "stack/congestion/gcc.h"

struct remb;

struct remb_config {
    uint32_t min_bps, max_bps; // 0: those of gcc.h
};

struct remb_stats {
    uint32_t estimate_bps; // 0: not known yet
    uint32_t incoming_bps; // over the last second
    double trend_ms, threshold_ms;
    enum gcc_usage usage;
    uint64_t packets, overuses, sent;
};

struct remb *remb_new(const struct remb_config *config);
void remb_free(struct remb *remb);

// `abs_send_time`: 24 bits, seconds in 6.18 (wraps each 64 s). `size`: bytes.
void remb_packet(struct remb *remb, nanotime now, uint32_t abs_send_time, size_t size);
void remb_rtt(struct remb *remb, nanotime rtt); // if known; else 200 ms are taken

bool remb_poll(struct remb *remb, nanotime now, uint32_t *bps);
nanotime remb_deadline(const struct remb *remb);
void remb_stats(const struct remb *remb, struct remb_stats *out);

#endif
