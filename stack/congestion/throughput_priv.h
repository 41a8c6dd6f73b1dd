// How much arrives: the acknowledged bit rate. Samples over 150 ms of the receiver's time, weighted
// by how likely they are: one far from what is believed moves it less, and the more so the surer
// the belief (a Bayesian estimate of a rate that wanders).
#ifndef STACK_CONGESTION_THROUGHPUT_PRIV_H
#define STACK_CONGESTION_THROUGHPUT_PRIV_H

#include "base/clock.h"

struct throughput {
    bool started, known;
    nanotime window_at; // the sample began here
    uint64_t bytes;     // that came in it
    double kbps, variance;
};

void throughput_init(struct throughput *throughput);
// Packets in order of arrival.
void throughput_packet(struct throughput *throughput, nanotime arrived, uint32_t size);
// The sender is about to send at quite another rate: believe the next samples sooner.
void throughput_expect_change(struct throughput *throughput);
double throughput_bps(const struct throughput *throughput); // 0: not known

#endif
