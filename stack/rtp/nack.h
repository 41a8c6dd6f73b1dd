// What a receiver misses, and when to ask for it (RFC 4585 6.2.1).
//
// A gap in the sequence numbers is first taken for reordering; after NACK_REORDER it is asked for,
// and again each round trip and a quarter (25 ms at least), until it comes, NACK_TRIES are used up
// and the last one's answer did not come either, or it has been missing for NACK_AGE. Sequence
// numbers are unwrapped (rtp_unwrap).
#ifndef STACK_RTP_NACK_H
#define STACK_RTP_NACK_H

#include "base/clock.h"
#include "stack/rtp/rtp.h"

#define NACK_MISSING_MAX 512 // more at once are given up, oldest first
#define NACK_GAP_MAX 1000    // a larger jump is no loss but another stream
#define NACK_REORDER (10 * TIME_MS)
#define NACK_TRIES 10
#define NACK_AGE (1000 * TIME_MS)

struct nack;

struct nack *nack_new(void);
void nack_free(struct nack *nack);                  // NULL is allowed
void nack_set_rtt(struct nack *nack, nanotime rtt); // else 100 ms are taken
// A packet came, also by RTX or FEC.
void nack_packet(struct nack *nack, nanotime now, int64_t sequence);
// Those that are due, in rising order; each counts as asked for. How many; at most `max`.
size_t nack_poll(struct nack *nack, nanotime now, uint16_t *missing, size_t max);
// When something is due, or given up: poll again. TIME_NEVER: nothing is missing.
nanotime nack_deadline(const struct nack *nack);
// Nothing up to here matters any more (a key frame made it obsolete), also of what did not come
// yet. Not counted as given up.
void nack_forget(struct nack *nack, int64_t up_to);
// True once after packets were given up: only a key frame helps.
bool nack_gave_up(struct nack *nack);
size_t nack_missing(const struct nack *nack);

#endif
