// Retransmissions in a stream of their own (RFC 4588 4, SSRC-multiplexed as WebRTC uses them).
#ifndef STACK_RTP_RTX_H
#define STACK_RTP_RTX_H

#include "stack/rtp/rtp.h"

#define RTX_OVERHEAD 2 // the original sequence number

// The packet `original` again, as RTX: its header extensions are kept (the ids of mid and rid are
// the stream's own to write). 0: malformed, or no room.
size_t rtx_wrap(struct bytes original, uint8_t payload_type, uint32_t ssrc, uint16_t sequence,
                const struct rtp_extension_map *map, const struct rtp_extension_values *values,
                uint8_t *to, size_t max);
// What an RTX packet brings back, under the SSRC and payload type that it repairs. 0: without a
// sequence number (padding alone), or no room.
size_t rtx_unwrap(const struct rtp_packet *rtx, uint8_t payload_type, uint32_t ssrc, uint8_t *to,
                  size_t max);

#endif
