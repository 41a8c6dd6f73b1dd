// The pacer: what is to be sent, spread over time so that a frame does not go out as a burst.
//
// It holds handles, never bytes. A leaky bucket lets them go at 2.5 times the target rate, by
// priority and, within one, in order; audio never waits. A probe cluster bypasses the bucket: while
// one is active, packets go at its rate, and where media is lacking it asks for padding.
//
//     outcome = pacer_push(pacer, now, &item);
//     while (pacer_poll(pacer, now, &out)) { ... put out.item on the wire ... }
//     wake = pacer_deadline(pacer, now);
//
// Nothing waits longer than about queue_time_max: the rate is raised so that the queue drains in
// time, and when there is no room, pacer_push says so and the item stays the caller's.
#ifndef STACK_CONGESTION_PACER_H
#define STACK_CONGESTION_PACER_H

#include "base/clock.h"
#include "stack/congestion/gcc.h"

#define PACER_PACKETS_MAX 2048
#define PACER_QUEUE_TIME_MAX (2 * TIME_S)
#define PACER_PROBES_MAX 4

struct pacer;

struct pacer_config {
    unsigned packets_max;    // 0: PACER_PACKETS_MAX
    nanotime queue_time_max; // 0: PACER_QUEUE_TIME_MAX
    uint32_t start_bps;      // target until pacer_set_rate; 0: GCC_START_BPS
    bool no_padding;         // a probe without media waits for media
};

// In order of priority.
enum pacer_priority {
    PACER_AUDIO,
    PACER_RETRANSMISSION,
    PACER_VIDEO, // and its forward error correction
    PACER_PADDING,
    PACER_PRIORITIES,
};
const char *pacer_priority_name(enum pacer_priority priority);

struct pacer_item {
    uintptr_t handle; // the caller's; given back by pacer_poll or pacer_clear, else never touched
    uint32_t size;
    enum pacer_priority priority;
};

enum pacer_outcome {
    PACER_QUEUED,
    PACER_FULL_PACKETS, // packets_max wait
    PACER_FULL_TIME,    // at the pacing rate it would wait for twice queue_time_max; never audio
    PACER_OUTCOMES,
};
const char *pacer_outcome_name(enum pacer_outcome outcome);

enum pacer_output_kind { PACER_SEND, PACER_PAD };
struct pacer_output {
    enum pacer_output_kind kind;
    struct pacer_item item; // PACER_SEND
    uint32_t pad_bytes;     // PACER_PAD: send about so much padding now, in one packet or several
    int probe_cluster;      // mark what is sent with it, or GCC_NO_PROBE
    nanotime waited;        // PACER_SEND: time in the queue
};

struct pacer_stats {
    uint64_t sent_packets, sent_bytes, pad_bytes;
    uint64_t full_packets, full_time, probes_dropped; // refused; probes: too many, or no media came
    unsigned queue_packets;
    uint64_t queue_bytes;
    nanotime queue_time_worst;
};

struct pacer *pacer_new(const struct pacer_config *config);
void pacer_free(struct pacer *pacer); // call pacer_clear before, if handles own anything

// The target of gcc_poll; the pacer sends at 2.5 times that.
void pacer_set_rate(struct pacer *pacer, nanotime now, uint32_t target_bps);
// False: PACER_PROBES_MAX wait already.
bool pacer_probe(struct pacer *pacer, nanotime now, const struct gcc_probe *probe);

enum pacer_outcome pacer_push(struct pacer *pacer, nanotime now, const struct pacer_item *item);
bool pacer_poll(struct pacer *pacer, nanotime now, struct pacer_output *out);
// The padding that a PACER_PAD of this cluster asked for became longer by `more` bytes.
void pacer_padded(struct pacer *pacer, nanotime now, int cluster, uint32_t more);
nanotime pacer_deadline(const struct pacer *pacer, nanotime now);

// Takes back what waits, one by one, in order of priority; probes are forgotten. False: empty.
bool pacer_clear(struct pacer *pacer, struct pacer_item *item);

// How long the last packet of the queue would wait from now.
nanotime pacer_queue_time(const struct pacer *pacer);
const struct pacer_stats *pacer_stats(const struct pacer *pacer);

#endif
