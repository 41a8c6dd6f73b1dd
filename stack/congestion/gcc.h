// Google Congestion Control, the sender's side: from what the receiver reports about each packet to
// the bit rate that the path carries now (draft-ietf-rmcat-gcc-02, and what libwebrtc made of it).
//
// Two controllers look at the same feedback. The delay-based one compares how far apart groups of
// packets were sent and received: a queue that grows shows as a trend (trend_priv.h), long before
// it overflows, and the rate is cut below what was acknowledged (aimd_priv.h). The loss-based one
// reacts to the share of packets lost (draft 6: grow below 2 %, hold, cut above 10 %). The target
// is the lesser of them, of a REMB if one was received, and of the configured maximum. Short bursts
// ("probe clusters") at a multiple of the rate find out in 15 ms what growth would need half a
// minute for.
//
//     gcc_sent(gcc, now, &packet);                    // each packet put on the wire
//     gcc_feedback(gcc, now, results, n);             // each transport-wide feedback received
//     while (gcc_poll(gcc, now, &out)) { ... }        // after each, and when due
//     wake = gcc_deadline(gcc);
//
// Without transport-wide feedback it works from receiver reports and REMB alone. All memory is
// taken by gcc_new. Not here: who divides the target between streams, and the pacer (pacer.h).
#ifndef STACK_CONGESTION_GCC_H
#define STACK_CONGESTION_GCC_H

#include "stack/congestion/arrival.h"

#define GCC_START_BPS 300000
#define GCC_MIN_BPS 30000
#define GCC_MAX_BPS 1000000000u
// Packets that are remembered until their feedback; the oldest is forgotten for the next.
#define GCC_HISTORY_MAX 4096
#define GCC_NO_PROBE (-1)

struct gcc;

struct gcc_config {
    uint32_t start_bps, min_bps, max_bps; // 0: the values above
    bool no_probes;                       // never GCC_PROBE: for those who cannot pad
    bool alr_probes;                      // every 5 s while the application sends less than it may
};

// A packet that goes on the wire at `now`.
struct gcc_packet {
    uint16_t sequence; // transport-wide, counting up by one (wraps)
    uint32_t size;     // bytes; the same measure as the bit rates: best with headers
    int probe_cluster; // the id that GCC_PROBE gave, or GCC_NO_PROBE
    bool retransmission;
};

enum gcc_output_kind { GCC_TARGET, GCC_PROBE };

struct gcc_target {
    uint32_t bps;        // what to send at, in all
    uint32_t loss_bps;   // what the loss-based controller allows
    uint32_t delay_bps;  // what the delay-based one allows; max_bps while it knows nothing
    uint32_t stable_bps; // at most bps: for decisions that should not be taken back soon
};

// Send `packets` packets and `bytes` bytes at `bps`, at least both, marked with `cluster`.
struct gcc_probe {
    int cluster;
    uint32_t bps;
    unsigned packets;
    uint32_t bytes;
};

struct gcc_output {
    enum gcc_output_kind kind;
    union {
        struct gcc_target target; // it has changed
        struct gcc_probe probe;
    };
};

enum gcc_usage { GCC_NORMAL, GCC_OVERUSE, GCC_UNDERUSE };
const char *gcc_usage_name(enum gcc_usage usage);

struct gcc_stats {
    uint32_t target_bps, delay_bps, loss_bps, remb_bps; // remb_bps 0: none received
    uint32_t acked_bps;                                 // 0: not known yet
    uint32_t link_bps;                                  // link capacity estimate; 0: none
    double trend_ms, threshold_ms;                      // of the last packet group
    enum gcc_usage usage;
    nanotime rtt;      // 0: not known yet
    uint32_t loss_256; // fraction lost, of 256, by the last 20 packets or more
    bool alr;          // the application sends much less than it may
    uint32_t in_flight_bytes;
    uint64_t sent, acked, lost; // packets
    uint64_t forgotten;         // left the history before any feedback
    uint64_t unknown;           // results for sequences not in the history
    uint64_t overuses, feedback_timeouts, probes, probe_results;
};

struct gcc *gcc_new(const struct gcc_config *config);
void gcc_free(struct gcc *gcc);

// Begins: the first target and the first probes are in gcc_poll. Again (another route): all that
// was learnt is forgotten, the rate starts at `start_bps` again; packets of the old route are
// ignored.
void gcc_start(struct gcc *gcc, nanotime now);
void gcc_set_limits(struct gcc *gcc, nanotime now, uint32_t min_bps, uint32_t max_bps);

void gcc_sent(struct gcc *gcc, nanotime now, const struct gcc_packet *packet);
// One feedback message: statuses in order of sequence, as arrival_take gives them.
void gcc_feedback(struct gcc *gcc, nanotime now, const struct arrival_result *results, unsigned n);
// RFC 3550 6.4.1: `fraction_lost` of 256 as in the report block. `rtt` 0: not known. The loss
// counts only while there is no transport-wide feedback, which knows better.
void gcc_receiver_report(struct gcc *gcc, nanotime now, uint8_t fraction_lost, nanotime rtt);
void gcc_remb(struct gcc *gcc, nanotime now, uint32_t bps);

bool gcc_poll(struct gcc *gcc, nanotime now, struct gcc_output *out);
nanotime gcc_deadline(const struct gcc *gcc);

uint32_t gcc_target(const struct gcc *gcc);
void gcc_stats(const struct gcc *gcc, struct gcc_stats *out);

#endif
