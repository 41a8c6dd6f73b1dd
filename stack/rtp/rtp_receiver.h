// What is known of one remote SSRC (RFC 3550 A.1, A.3, A.8): is it real, what was lost, how even do
// its packets come; and the report block that says so to its sender.
//
// Plain data, no allocation: embed it. Every packet of the SSRC goes through rtp_receiver_input, in
// the order of arrival, before anything else is done with it.
#ifndef STACK_RTP_RTP_RECEIVER_H
#define STACK_RTP_RTP_RECEIVER_H

#include "base/clock.h"
#include "stack/rtp/rtcp.h"
#include "stack/rtp/rtp.h"

#define RTP_MIN_SEQUENTIAL 2 // RFC 3550 A.1
#define RTP_MAX_DROPOUT 3000
#define RTP_MAX_MISORDER 100
#define RTP_RECEIVER_WINDOW                                                                        \
    1024 // packets back that duplicates are told apart; the most for misorder_max

// Deliver the packet with RTP_RECEIVER_NEW and RTP_RECEIVER_RESTART.
enum rtp_receiver_outcome {
    RTP_RECEIVER_NEW,       // in order or late, the first of its number
    RTP_RECEIVER_RESTART,   // new; the source began anew: what was known of it is forgotten
    RTP_RECEIVER_DUPLICATE, // its number came before
    RTP_RECEIVER_TOO_OLD,   // further back than misorder_max
    RTP_RECEIVER_JUMP,      // further ahead than dropout_max; a second one in sequence restarts
    RTP_RECEIVER_PROBATION, // not min_sequential in sequence yet
    RTP_RECEIVER_OUTCOMES,
};
const char *rtp_receiver_outcome_name(enum rtp_receiver_outcome outcome);

struct rtp_receiver_config {
    uint32_t clock_rate;     // of timestamps, in Hz; > 0
    unsigned min_sequential; // packets in sequence before the source is believed; 0 or 1: at once
    unsigned dropout_max;    // 0: RTP_MAX_DROPOUT
    unsigned misorder_max; // 0: RTP_MAX_MISORDER; at most RTP_RECEIVER_WINDOW. More than the RFC's
                           // where retransmissions come under their own numbers
};

// By the W3C names of RTCInboundRtpStreamStats, where they have one.
struct rtp_receiver_stats {
    uint64_t packets_received;      // with duplicates, as RFC 3550 6.4.1 counts; without probation
    int64_t packets_lost;           // may be negative: duplicates
    uint32_t jitter;                // timestamp units
    uint64_t bytes_received;        // payloads
    uint64_t header_bytes_received; // headers, extensions and padding
    nanotime last_packet_received;  // TIME_NEVER: none
    uint64_t packets_discarded;     // by the owner: rtp_receiver_discarded
    uint64_t packets_duplicated, packets_late,
        packets_refused; // late: behind the highest; refused: too old, jump
    uint64_t restarts;
};

struct rtp_receiver {
    struct rtp_receiver_config config;
    uint32_t ssrc;
    struct rtp_receiver_stats stats; // packets_lost and jitter as of rtp_receiver_stats_read
    bool started;
    unsigned probation; // packets in sequence still asked for
    uint16_t max_sequence;
    uint32_t cycles; // of sequence numbers, shifted by 16
    uint32_t base_sequence;
    uint32_t bad_sequence;
    uint64_t received; // since the last restart
    uint64_t expected_prior, received_prior;
    bool has_transit;
    uint32_t transit;
    uint32_t jitter_q4; // the jitter times 16
    uint32_t lsr;
    nanotime lsr_at;
    uint64_t window[RTP_RECEIVER_WINDOW / 64]; // bit n % 1024 is set: number n came
};

void rtp_receiver_init(struct rtp_receiver *r, uint32_t ssrc,
                       const struct rtp_receiver_config *config);
enum rtp_receiver_outcome rtp_receiver_input(struct rtp_receiver *r, nanotime now,
                                             const struct rtp_packet *packet);
// Another clock rate from here on (a payload type changed): jitter starts over, RFC 7160 4.
void rtp_receiver_clock_rate(struct rtp_receiver *r, uint32_t clock_rate);
// An SR of this SSRC came; for LSR and DLSR.
void rtp_receiver_sender_report(struct rtp_receiver *r, nanotime now, uint64_t ntp);
// The owner threw a packet away unused (late for playout).
void rtp_receiver_discarded(struct rtp_receiver *r);

bool rtp_receiver_is_valid(const struct rtp_receiver *r); // out of probation
// The highest sequence number with its cycles; 0 before the first packet.
uint32_t rtp_receiver_highest(const struct rtp_receiver *r);
// The next report block; the fraction lost is that since the call before. False: not valid yet.
bool rtp_receiver_report(struct rtp_receiver *r, nanotime now, struct rtcp_block *out);
struct rtp_receiver_stats rtp_receiver_stats_read(const struct rtp_receiver *r);

#endif
