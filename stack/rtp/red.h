// RED (RFC 2198): one RTP payload that carries earlier frames again, or one block of another type.
//
// Audio as browsers send it (red/48000/2, fmtp 111/111): the primary frame last, copies of earlier
// ones before it. Video with ULPFEC: a single block. Which frames to repeat is the caller's.
#ifndef STACK_RTP_RED_H
#define STACK_RTP_RED_H

#include "base/bytes.h"

#define RED_BLOCKS_MAX 32
#define RED_OFFSET_MAX 0x3fff // RFC 2198 3: 14 bits of timestamp offset
#define RED_LENGTH_MAX 0x3ff  // RFC 2198 3: 10 bits of length

struct red_block {
    uint8_t payload_type; // 0..127
    uint32_t timestamp;   // its own, not the offset
    struct bytes data;    // borrowed
};

enum red_outcome { RED_OK, RED_TOO_SHORT, RED_TOO_MANY };
const char *red_outcome_name(enum red_outcome outcome);

// Oldest first, the primary last; count >= 1. Earlier blocks that the header cannot express (too
// far back, later than the primary, too long) are left out. Bytes written; 0: no room.
size_t red_write(uint8_t *to, size_t max, const struct red_block *blocks, size_t count);

// `timestamp` is the RTP packet's. Blocks in the order of the wire, the primary last; `count` is
// written only with RED_OK. `out` has room for RED_BLOCKS_MAX.
enum red_outcome red_split(struct bytes payload, uint32_t timestamp, struct red_block *out,
                           size_t *count);

#endif
