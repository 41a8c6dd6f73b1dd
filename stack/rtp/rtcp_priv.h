// Shared inside of rtcp*.c alone.
#ifndef STACK_RTP_RTCP_PRIV_H
#define STACK_RTP_RTCP_PRIV_H

#include "stack/rtp/rtcp.h"

#define RTCP_VERSION 2
#define RTCP_HEADER_LEN 4

enum rtcp_rtpfb { // RFC 4585 6.2, 5104 4.2, 8888 3.1
    RTCP_FMT_NACK = 1,
    RTCP_FMT_TMMBR = 3,
    RTCP_FMT_TMMBN = 4,
    RTCP_FMT_CCFB = 11,
    RTCP_FMT_TRANSPORT_CC = 15,
};
enum rtcp_psfb { // RFC 4585 6.3, 5104 4.3
    RTCP_FMT_PLI = 1,
    RTCP_FMT_FIR = 4,
    RTCP_FMT_AFB = 15, // application layer feedback: REMB, by its name
};

static inline uint16_t rtcp_get_u16(const uint8_t *at)
{
    return (uint16_t)((unsigned)at[0] << 8 | at[1]);
}

static inline uint32_t rtcp_get_u32(const uint8_t *at)
{
    return (uint32_t)rtcp_get_u16(at) << 16 | rtcp_get_u16(at + 2);
}

// The transport-wide feedback in `packet->body`, checked to its last delta.
enum rtcp_outcome rtcp_transport_cc_check(struct rtcp_packet *packet);

// A packet begins at the returned offset; rtcp_packet_end sets its length, and takes it back (the
// writer failed) when it is too long for the field.
size_t rtcp_packet_begin(struct writer *w, uint8_t count, uint8_t type);
void rtcp_packet_end(struct writer *w, size_t at);

#endif
