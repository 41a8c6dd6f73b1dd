// The frame: a datagram as packets. What is in them: rtcp_read.c, rtcp_transport_cc.c.
#include "stack/rtp/rtcp_priv.h"

#include <assert.h>

#define NTP_TO_UNIX_S 2208988800u // from 1900 to 1970

const char *rtcp_outcome_name(enum rtcp_outcome outcome)
{
    static const char *const names[RTCP_OUTCOMES] = {
        [RTCP_OK] = "ok",
        [RTCP_END] = "end",
        [RTCP_TOO_SHORT] = "too-short",
        [RTCP_BAD_VERSION] = "bad-version",
        [RTCP_BAD_FIRST] = "bad-first",
        [RTCP_BAD_PADDING] = "bad-padding",
        [RTCP_BAD_LENGTH] = "bad-length",
        [RTCP_BAD_ITEM] = "bad-item",
        [RTCP_BAD_VALUE] = "bad-value",
        [RTCP_FULL] = "full",
    };
    assert(outcome < RTCP_OUTCOMES);
    return names[outcome];
}

const char *rtcp_kind_name(enum rtcp_kind kind)
{
    static const char *const names[RTCP_KINDS] = {
        [RTCP_SR] = "SR",           [RTCP_RR] = "RR",
        [RTCP_SDES] = "SDES",       [RTCP_BYE] = "BYE",
        [RTCP_APP] = "APP",         [RTCP_NACK] = "NACK",
        [RTCP_TMMBR] = "TMMBR",     [RTCP_TMMBN] = "TMMBN",
        [RTCP_CCFB] = "CCFB",       [RTCP_TRANSPORT_CC] = "transport-cc",
        [RTCP_PLI] = "PLI",         [RTCP_FIR] = "FIR",
        [RTCP_REMB] = "REMB",       [RTCP_XR] = "XR",
        [RTCP_UNKNOWN] = "unknown",
    };
    assert(kind < RTCP_KINDS);
    return names[kind];
}

// The length of the packet at the front of `left`, checked to be inside.
static enum rtcp_outcome frame_len(struct bytes left, size_t *len)
{
    if (left.len < RTCP_HEADER_LEN)
        return RTCP_TOO_SHORT;
    if (left.at[0] >> 6 != RTCP_VERSION)
        return RTCP_BAD_VERSION;
    *len = 4u * (rtcp_get_u16(left.at + 2) + 1u);
    return *len <= left.len ? RTCP_OK : RTCP_TOO_SHORT;
}

// Transport-wide feedback ends where its deltas do, which may be within a word. libwebrtc and pion
// count what fills the word as padding, with the bit, also of a packet that is not the last.
static bool is_transport_cc(struct bytes packet)
{
    return packet.at[1] == RTCP_PT_RTPFB && (packet.at[0] & 0x1f) == RTCP_FMT_TRANSPORT_CC;
}

// RFC 3550 6.4.1: the last byte counts the padding, itself included, and is a multiple of four; and
// only the last packet of a compound may be padded.
static bool padding_fits(struct bytes packet, bool last)
{
    uint8_t padding = packet.at[packet.len - 1];
    if (padding == 0 || padding > packet.len - RTCP_HEADER_LEN)
        return false;
    return is_transport_cc(packet) || (last && padding % 4 == 0);
}

enum rtcp_outcome rtcp_walk_start(struct rtcp_walk *walk, struct bytes datagram, bool reduced_ok)
{
    walk->left = bytes_of(datagram.at, 0);
    struct bytes left = datagram;
    do {
        size_t len;
        enum rtcp_outcome outcome = frame_len(left, &len);
        if (outcome != RTCP_OK)
            return outcome;
        bool padded = left.at[0] & 0x20;
        if (padded && !padding_fits(bytes_of(left.at, len), len == left.len))
            return RTCP_BAD_PADDING;
        left = bytes_from(left, len);
    } while (left.len);

    // RFC 3550 A.2: a compound starts with SR or RR; RFC 5506 4.1: unless reduced size was agreed
    // on.
    uint8_t type = datagram.at[1];
    if (!reduced_ok && type != RTCP_PT_SR && type != RTCP_PT_RR)
        return RTCP_BAD_FIRST;
    walk->left = datagram;
    return RTCP_OK;
}

uint64_t rtcp_ntp(nanotime now)
{
    uint64_t seconds = (uint64_t)(now / TIME_S) + TIME_EPOCH_S + NTP_TO_UNIX_S;
    uint64_t fraction = ((uint64_t)(now % TIME_S) << 32) / (uint64_t)TIME_S;
    return seconds << 32 | fraction;
}

nanotime rtcp_span_time(uint32_t span)
{
    return (nanotime)(((uint64_t)span * (uint64_t)TIME_S + 0x8000) >> 16);
}

uint32_t rtcp_span(nanotime time)
{
    if (time <= 0)
        return 0;
    uint64_t seconds = (uint64_t)(time / TIME_S), rest = (uint64_t)(time % TIME_S);
    uint64_t span = (seconds << 16) + ((rest << 16) + (uint64_t)TIME_S / 2) / (uint64_t)TIME_S;
    return seconds > UINT16_MAX || span > UINT32_MAX ? UINT32_MAX : (uint32_t)span;
}

bool rtcp_round_trip(nanotime now, uint32_t lsr, uint32_t dlsr, nanotime *out)
{
    if (lsr == 0) // RFC 3550 6.4.1: no SR was received yet
        return false;
    // RFC 3550 6.4.1: A - LSR - DLSR.
    uint32_t span = rtcp_ntp_middle(rtcp_ntp(now)) - lsr - dlsr;
    if (span > UINT32_MAX - 2) // each of the three is cut or rounded
        span = 0;
    if (span > INT32_MAX)
        return false;
    *out = rtcp_span_time(span);
    return true;
}
