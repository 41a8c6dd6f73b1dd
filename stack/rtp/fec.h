// Forward error correction: repair packets that are the XOR of some media packets, so that one of
// them that is lost can be computed from the others. Two wire formats: ULPFEC (RFC 5109, level 0
// alone) and FlexFEC as WebRTC has it (draft-ietf-payload-flexible-fec-scheme-03: one protected
// stream, bit masks of 15, 46 or 109).
//
// What is protected is a whole RTP packet as its sender made it, before values that the pacer knows
// last were patched in: the receiver puts those back to zero before it hands a packet in. Sequence
// numbers, and in FlexFEC the SSRC, tell what a repair packet is about.
#ifndef STACK_RTP_FEC_H
#define STACK_RTP_FEC_H

#include "stack/rtp/rtp.h"

enum fec_format { FEC_ULP, FEC_FLEX };

#define FEC_MASK_MAX 46     // packets from the first to the last that one repair packet protects
#define FEC_OVERHEAD_MAX 28 // of a repair packet's payload over the longest packet it protects
#define FEC_KEPT 256        // media packets that a decoder remembers; a power of two
#define FEC_WAITING 32      // repair packets that it cannot use yet

enum fec_outcome {
    FEC_KEPT_IT,
    FEC_TOO_SHORT,     // less than its header, or than its mask says
    FEC_NOT_SUPPORTED, // retransmission or fixed blocks of FlexFEC, more streams than one, the E
                       // bit
    FEC_EMPTY_MASK,    // protects nothing
    FEC_ALIEN,         // of another stream than the decoder's
    FEC_OUTCOMES,
};
const char *fec_outcome_name(enum fec_outcome outcome);

// The payload of a repair packet over `packets` (1..FEC_MASK_MAX of one SSRC, rising sequence
// numbers within FEC_MASK_MAX of the first). 0: they do not fit a mask, or `max` has no room.
size_t fec_encode(enum fec_format format, const struct bytes *packets, unsigned count, uint8_t *to,
                  size_t max);

struct fec_decoder;
// For the media of one SSRC.
struct fec_decoder *fec_decoder_new(enum fec_format format, uint32_t ssrc);
void fec_decoder_free(struct fec_decoder *decoder); // NULL is allowed
// A media packet came, or was brought back. Copied; longer ones than RTP_PACKET_MAX are ignored.
void fec_decoder_media(struct fec_decoder *decoder, uint16_t sequence, struct bytes packet);
// The payload of a repair packet; copied.
enum fec_outcome fec_decoder_repair(struct fec_decoder *decoder, struct bytes payload);
// A packet that can be computed now, until false. Borrowed until the next call. It is not
// remembered: hand it in by fec_decoder_media.
bool fec_decoder_poll(struct fec_decoder *decoder, struct bytes *packet);
// Repair packets that turned out to be needed by nobody.
uint64_t fec_decoder_unused(const struct fec_decoder *decoder);

#endif
