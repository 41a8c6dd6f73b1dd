// Packets sent, kept for those who ask for them again (RFC 4585 6.2.1, RFC 4588 3).
//
// A ring by sequence number, bounded in number and in age; a packet asked for twice within about a
// round trip is given once. No allocation once the ring is full.
#ifndef STACK_RTP_RTP_HISTORY_H
#define STACK_RTP_RTP_HISTORY_H

#include "base/clock.h"
#include "stack/rtp/rtp.h"

#define RTP_HISTORY_PACKETS 1024 // a power of two
#define RTP_HISTORY_AGE (2 * TIME_S)

enum rtp_history_outcome {
    RTP_HISTORY_FOUND,
    RTP_HISTORY_GONE, // never sent, overwritten, or too old
    RTP_HISTORY_SOON, // sent again less than a round trip ago, or about to be
};

struct rtp_history;

struct rtp_history *rtp_history_new(void);
void rtp_history_free(struct rtp_history *history);                  // NULL is allowed
void rtp_history_set_rtt(struct rtp_history *history, nanotime rtt); // else 50 ms are taken
void rtp_history_put(struct rtp_history *history, nanotime now, uint16_t sequence,
                     struct bytes packet); // at most RTP_PACKET_MAX; copied
// The same, but rtp_history_newest does not give it.
void rtp_history_put_aside(struct rtp_history *history, nanotime now, uint16_t sequence,
                           struct bytes packet);
// `packet` is borrowed until the next put. FOUND: it is SOON for all who ask until
// rtp_history_resent says that it went out, or never will, and for a round trip after that.
enum rtp_history_outcome rtp_history_get(struct rtp_history *history, nanotime now,
                                         uint16_t sequence, struct bytes *packet);
void rtp_history_resent(struct rtp_history *history, nanotime now, uint16_t sequence);
// The newest packet that was sent, for probes to repeat; empty: none.
struct bytes rtp_history_newest(const struct rtp_history *history);

#endif
