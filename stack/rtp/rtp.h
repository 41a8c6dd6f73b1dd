// RTP packets (RFC 3550 5.1) with header extensions of one and two bytes (RFC 8285): any bytes in,
// a packet or a named outcome; and the way back, canonical.
//
// A parsed packet borrows from its datagram. Extension elements are found by the ids that the two
// sides agreed on (struct rtp_extension_map); those that nobody agreed on stay in `extension`.
#ifndef STACK_RTP_RTP_H
#define STACK_RTP_RTP_H

#include "base/bytes.h"

#define RTP_HEADER_LEN 12
#define RTP_CSRC_MAX 15
#define RTP_PACKET_MAX 1500
#define RTP_ONE_BYTE_IDS 16 // 1..14 are elements' (RFC 8285 4.2)

enum rtp_outcome {
    RTP_OK,
    RTP_TOO_SHORT,     // less than its header, CSRC list or extension says
    RTP_BAD_VERSION,   // not 2
    RTP_BAD_PADDING,   // a count of 0, or more than the payload has
    RTP_BAD_EXTENSION, // an element longer than what is left (RFC 8285 4.1)
    RTP_OUTCOMES,
};
const char *rtp_outcome_name(enum rtp_outcome outcome);

struct rtp_packet {
    bool marker;
    uint8_t payload_type; // 0..127
    uint16_t sequence;
    uint32_t timestamp;
    uint32_t ssrc;
    uint8_t csrc_count;
    uint32_t csrc[RTP_CSRC_MAX];
    bool has_extension;
    uint16_t extension_profile; // 0xBEDE: one-byte, 0x100x: two-byte elements (RFC 8285 4.2, 4.3)
    struct bytes extension;     // its words, without profile and length
    // Of one-byte elements: by id, where its value begins in `extension`; 0: there is none. Noted
    // by rtp_parse, which passes over all of them anyway, for rtp_extensions_read.
    uint16_t elements[RTP_ONE_BYTE_IDS];
    struct bytes payload; // without padding
    uint8_t padding;      // bytes of it, with the count
};

// The extensions that this stack writes and understands, by URI.
enum rtp_extension {
    RTP_MID,           // urn:ietf:params:rtp-hdrext:sdes:mid (RFC 9143 15)
    RTP_RID,           // urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id (RFC 8852 3.1)
    RTP_REPAIRED_RID,  // urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id
    RTP_AUDIO_LEVEL,   // urn:ietf:params:rtp-hdrext:ssrc-audio-level (RFC 6464)
    RTP_ABS_SEND_TIME, // http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
    RTP_TRANSPORT_CC,  // draft-holmer-rmcat-transport-wide-cc-extensions-01
    RTP_EXTENSIONS,
};
const char *rtp_extension_uri(enum rtp_extension extension);
bool rtp_extension_by_uri(struct bytes uri, enum rtp_extension *out);

struct rtp_extension_map {
    uint8_t id[RTP_EXTENSIONS]; // 1..255; 0: not agreed on
    bool two_byte; // elements of two bytes may be written (a=extmap-allow-mixed), and are when one
                   // needs it: an id above 14, more than 16 bytes (RFC 8285 4.1.2)
};

// The values of those that are there: a bit (1 << enum rtp_extension) in `has` for each.
struct rtp_extension_values {
    unsigned has;
    uint8_t audio_level; // -dBov, 0..127
    bool voice;
    uint16_t transport_sequence;
    uint32_t abs_send_time;              // 24 bits: seconds in 6.18
    struct bytes mid, rid, repaired_rid; // at most 255 bytes each; borrowed
};

// `out` is written only with RTP_OK (of `csrc` the first csrc_count). Elements are checked to stay
// inside of the extension. Of an id that is there twice the last counts; a value whose length is
// not its extension's is as good as absent.
enum rtp_outcome rtp_parse(struct bytes datagram, struct rtp_packet *out);
void rtp_extensions_read(const struct rtp_packet *packet, const struct rtp_extension_map *map,
                         struct rtp_extension_values *out);

// Header and extension elements; the payload is the caller's to write after it. `packet->extension`
// is passed through as it is when `values` is NULL; else the elements of `values` that `map` has an
// id for are written, in the order of the enum: those that the form cannot hold are left out.
// Without any, no extension is written. 0: no room.
size_t rtp_write_header(uint8_t *to, size_t max, const struct rtp_packet *packet,
                        const struct rtp_extension_map *map,
                        const struct rtp_extension_values *values);
// The whole packet with its payload and padding; 0: no room.
size_t rtp_write(uint8_t *to, size_t max, const struct rtp_packet *packet,
                 const struct rtp_extension_map *map, const struct rtp_extension_values *values);

// Late values, patched into a packet already written (the pacer knows them last). False: the
// element is not there.
bool rtp_patch_abs_send_time(uint8_t *packet, size_t len, const struct rtp_extension_map *map,
                             uint32_t value);
bool rtp_patch_transport_sequence(uint8_t *packet, size_t len, const struct rtp_extension_map *map,
                                  uint16_t value);

// RFC 5761 4: of what has the first byte of RTP, is this RTCP? (payload types 192..223)
static inline bool rtp_is_rtcp(struct bytes datagram)
{
    return datagram.len >= 2 && datagram.at[1] >= 192 && datagram.at[1] <= 223;
}

// Sequence arithmetic modulo 2^16: is `a` later than `b`?
static inline bool rtp_later(uint16_t a, uint16_t b)
{
    return a != b && (uint16_t)(a - b) < 0x8000;
}

// 16 bits to a count that never wraps: the value nearest to `last` with these low bits. Starts at
// `sequence` when `last` is negative.
static inline int64_t rtp_unwrap(int64_t last, uint16_t sequence)
{
    if (last < 0)
        return sequence;
    return last + (int16_t)(uint16_t)(sequence - (uint16_t)last);
}

#endif
