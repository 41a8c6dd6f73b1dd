// Whose is this packet? Streams of a BUNDLE group to m= sections (RFC 9143 9.2), our own SSRCs seen
// coming back (RFC 3550 8.2).
//
// Sections are the owner's indices. All tables are bounded by the config; what does not fit has the
// outcome RTP_DEMUX_FULL. Nothing is forgotten by itself: the owner, who knows which streams are in
// use, looks for one that is not (rtp_demux_stream_at, `last_seen`, `bye`, `signalled`) and says
// rtp_demux_forget.
#ifndef STACK_RTP_RTP_DEMUX_H
#define STACK_RTP_RTP_DEMUX_H

#include "base/addr.h"
#include "base/clock.h"
#include "stack/rtp/rtcp.h"
#include "stack/rtp/rtp.h"

#define RTP_DEMUX_SECTIONS_MAX 256
#define RTP_DEMUX_MID_MAX 32 // bytes; a longer one is nobody's
#define RTP_DEMUX_RID_MAX 32 // bytes; a longer one is not remembered
#define RTP_DEMUX_NONE UINT16_MAX
#define RTP_DEMUX_CONFLICTS_MAX 10 // conflicting addresses that are remembered

enum rtp_demux_outcome {
    RTP_DEMUX_OK,
    RTP_DEMUX_UNKNOWN_MID,  // a MID of no section: not decoded
    RTP_DEMUX_PAYLOAD_TYPE, // the section of its SSRC has not this payload type
    RTP_DEMUX_UNKNOWN,      // no MID, SSRC or unique payload type tells
    RTP_DEMUX_FULL,         // it could be told, but there is no room to remember another SSRC
    RTP_DEMUX_COLLISION,   // our own SSRC from somebody else: send BYE, take another (RFC 3550 8.2)
    RTP_DEMUX_LOOP,        // our own SSRC from a place already known for that: drop
    RTP_DEMUX_THIRD_PARTY, // an SSRC that another place sends under: drop; who came first keeps it
    RTP_DEMUX_OUTCOMES,
};
const char *rtp_demux_outcome_name(enum rtp_demux_outcome outcome);

struct rtp_demux;

struct rtp_demux_config {
    unsigned sections_max; // 1..RTP_DEMUX_SECTIONS_MAX
    unsigned receive_max;  // incoming SSRCs, >= 1
    unsigned send_max;     // outgoing SSRCs, >= 1
    nanotime
        conflict_lifetime; // how long a conflicting address is remembered; 0: 50 s, ten times 5 s
};

struct rtp_demux *rtp_demux_new(const struct rtp_demux_config *config);
void rtp_demux_free(struct rtp_demux *d); // NULL is allowed

struct rtp_demux_section {
    struct bytes mid;          // empty: none; copied
    uint64_t payload_types[2]; // a bit for each that is configured for receiving
};
// Add or replace section `index` (below sections_max). A MID already used by another section or too
// long: false. SSRCs that were signalled for it before stay, as if they had been learnt: tell again
// those that still are.
bool rtp_demux_section_set(struct rtp_demux *d, unsigned index,
                           const struct rtp_demux_section *section);
// Its SSRCs, both ways, are forgotten with it.
void rtp_demux_section_remove(struct rtp_demux *d, unsigned index);

// SSRCs that were signalled (a=ssrc) or are ours. False: full. An SSRC that is there moves.
bool rtp_demux_receive(struct rtp_demux *d, uint32_t ssrc, unsigned section);
bool rtp_demux_send(struct rtp_demux *d, uint32_t ssrc, unsigned section);
void rtp_demux_forget(struct rtp_demux *d, uint32_t ssrc); // in both tables

// An incoming SSRC. `index` stays its own until it is forgotten, below receive_max: the owner may
// use it for a table beside this one.
struct rtp_demux_stream {
    uint32_t ssrc;
    uint16_t index;
    uint16_t section;
    bool signalled;
    bool bye;           // it said goodbye
    nanotime last_seen; // RTP, a report, or its BYE; 0: signalled, and nothing came
    struct bytes rid;   // of the last packet that had one; empty: none. Until the next call
    bool repaired;      // `rid` is that of the stream it repairs
};

struct rtp_demux_result {
    uint16_t section;       // RTP_DEMUX_NONE unless RTP_DEMUX_OK
    uint16_t stream;        // index of the incoming SSRC; RTP_DEMUX_NONE unless RTP_DEMUX_OK
    bool is_new;            // the stream was learnt, or moved to another section, by this packet
    unsigned csrc_sections; // contributing sources that are in the table, see csrc_section
    uint16_t csrc_section[RTP_CSRC_MAX]; // their sections, without repeats and without `section`
};

// `from` may be NULL where there is only one place packets come from: over ICE a source changes its
// address at will, and all of it is of the one who has the keys. Where it is told, the place of the
// first packet of an SSRC holds it until it was silent for conflict_lifetime (RFC 3550 8.2).
enum rtp_demux_outcome rtp_demux_rtp(struct rtp_demux *d, nanotime now, const struct addr *from,
                                     const struct rtp_packet *packet,
                                     const struct rtp_extension_values *values,
                                     struct rtp_demux_result *out);

// The sections an RTCP packet goes to: a bit each.
struct rtp_demux_sections {
    uint64_t bits[RTP_DEMUX_SECTIONS_MAX / 64];
    unsigned count;
    uint32_t ours; // RTP_DEMUX_COLLISION: which
};
static inline bool rtp_demux_has(const struct rtp_demux_sections *sections, unsigned index)
{
    return sections->bits[index / 64] >> index % 64 & 1;
}
// Learn from the SDES of a datagram before its packets are routed (RFC 9143 9.2); then route each.
// The outcome is RTP_DEMUX_OK, or RTP_DEMUX_UNKNOWN (for no section: the RTP layer alone), or
// RTP_DEMUX_COLLISION / RTP_DEMUX_LOOP when its sender, or a chunk of SDES, is one of our SSRCs, or
// RTP_DEMUX_FULL from learning.
enum rtp_demux_outcome rtp_demux_learn(struct rtp_demux *d, nanotime now, struct bytes datagram);
enum rtp_demux_outcome rtp_demux_rtcp(struct rtp_demux *d, nanotime now, const struct addr *from,
                                      const struct rtcp_packet *packet,
                                      struct rtp_demux_sections *out);

// The incoming stream of an SSRC or index; false: there is none.
bool rtp_demux_stream_by_ssrc(const struct rtp_demux *d, uint32_t ssrc,
                              struct rtp_demux_stream *out);
bool rtp_demux_stream_at(const struct rtp_demux *d, unsigned index, struct rtp_demux_stream *out);
// The section of one of our own SSRCs; RTP_DEMUX_NONE: not ours.
uint16_t rtp_demux_send_section(const struct rtp_demux *d, uint32_t ssrc);

#endif
