// RTCP (RFC 3550 6, 3611, 4585, 5104, 5506, 8888; transport-wide feedback; REMB): any bytes in,
// typed packets or a named outcome; and the way back.
//
//     struct rtcp_walk walk;
//     if (rtcp_walk_start(&walk, datagram, reduced_ok) != RTCP_OK) ... // the whole datagram is
//     refused while ((outcome = rtcp_next(&walk, &packet)) != RTCP_END)
//         if (outcome == RTCP_OK) ... // else this packet alone is refused; the walk goes on
//
// A packet borrows from its datagram. rtcp_next has checked all of it: the accessors cannot fail on
// what it gave, beyond an index out of range. Lists are read by index or by small walks.
//
// Writers append one packet each; a compound is several calls on one `struct writer`, checked once
// at its end. rtcp_write writes any decoded packet again. Written forms are canonical: no padding
// (rtcp_pad adds it to the last packet of a compound), smallest exponents, fewest status chunks as
// rtcp_write_transport_cc finds them. Reading what was written gives what was written; writing what
// was read of a canonical packet gives the same bytes.
//
// Not here: statistics (rtp_receiver.h), when to send (rtcp_schedule.h), whose it is (rtp_demux.h).
#ifndef STACK_RTP_RTCP_H
#define STACK_RTP_RTCP_H

#include "base/bytes.h"
#include "base/clock.h"

#define RTCP_BLOCKS_MAX 31 // report blocks of a packet; also chunks, SSRCs of a BYE
#define RTCP_BLOCK_LEN 24  // a report block on the wire
#define RTCP_CNAME 1       // SDES items (RFC 3550 12.2)
#define RTCP_SDES_RID 12   // RFC 8852
#define RTCP_SDES_REPAIRED_RID 13
#define RTCP_SDES_MID 15            // RFC 9143 15
#define RTCP_CCFB_REPORTS_MAX 16384 // RFC 8888 3.1

enum rtcp_outcome {
    RTCP_OK,
    RTCP_END,         // rtcp_next: no packet is left
    RTCP_TOO_SHORT,   // less than a header, or than the length field says
    RTCP_BAD_VERSION, // not 2
    RTCP_BAD_FIRST,   // a compound that does not start with SR or RR (RFC 3550 A.2)
    RTCP_BAD_PADDING, // elsewhere than in the last packet, or a count that cannot be
    RTCP_BAD_LENGTH,  // a packet too short for its type and count, or too long for it
    RTCP_BAD_ITEM,    // an SDES item, XR block or CCFB block that runs past the end
    RTCP_BAD_VALUE,   // a value that may not be: a reserved status symbol, no status at all
    RTCP_FULL,        // more entries than the caller has room for
    RTCP_OUTCOMES,
};
const char *rtcp_outcome_name(enum rtcp_outcome outcome);

enum rtcp_payload_type {
    RTCP_PT_SR = 200,
    RTCP_PT_RR = 201,
    RTCP_PT_SDES = 202,
    RTCP_PT_BYE = 203,
    RTCP_PT_APP = 204,
    RTCP_PT_RTPFB = 205,
    RTCP_PT_PSFB = 206,
    RTCP_PT_XR = 207,
};

enum rtcp_kind {
    RTCP_SR,
    RTCP_RR,
    RTCP_SDES,
    RTCP_BYE,
    RTCP_APP,
    RTCP_NACK,         // RFC 4585 6.2.1
    RTCP_TMMBR,        // RFC 5104 4.2.1
    RTCP_TMMBN,        // RFC 5104 4.2.2
    RTCP_CCFB,         // RFC 8888 3.1
    RTCP_TRANSPORT_CC, // draft-holmer-rmcat-transport-wide-cc-extensions-01 3.1
    RTCP_PLI,          // RFC 4585 6.3.1
    RTCP_FIR,          // RFC 5104 4.3.1
    RTCP_REMB,         // draft-alvestrand-rmcat-remb-03 2.2
    RTCP_XR,           // RFC 3611
    RTCP_UNKNOWN,      // any other, SLI and RPSI among them: `body` alone
    RTCP_KINDS,
};
const char *rtcp_kind_name(enum rtcp_kind kind);

// A report block (RFC 3550 6.4.1).
struct rtcp_block {
    uint32_t ssrc;
    uint8_t fraction_lost;   // of 256
    int32_t cumulative_lost; // 24 bits, signed
    uint32_t highest_sequence;
    uint32_t jitter; // timestamp units
    uint32_t lsr;    // the middle 32 bits of the NTP time of the last SR; 0: none came
    uint32_t dlsr;   // since then, in 1/65536 s
};

struct rtcp_sender_info {
    uint64_t ntp; // 32.32 seconds since 1900
    uint32_t rtp_timestamp;
    uint32_t packets, octets;
};

struct rtcp_report {              // SR and RR
    struct rtcp_sender_info info; // SR alone
    struct bytes blocks;          // `count` of the packet; see rtcp_report_block
    struct bytes extension;       // profile-specific, after the blocks
};

struct rtcp_sdes_item {
    uint8_t type;
    struct bytes text; // at most 255 bytes
};
struct rtcp_sdes_chunk {
    uint32_t ssrc;
    struct bytes items; // see rtcp_sdes_item_next
};

struct rtcp_bye {
    struct bytes ssrcs;  // `count` of the packet; see rtcp_ssrc_at
    struct bytes reason; // empty: none given
};

struct rtcp_app {
    char name[4];
    struct bytes data; // a multiple of 4 bytes
};

// What NACK, FIR, TMMBR and their like have in common.
struct rtcp_feedback {
    uint32_t media; // SSRC of the media source; 0 where the targets stand in the entries
    struct bytes fci;
    size_t entries; // of FIR, TMMBR, TMMBN; (PID, BLP) pairs of a NACK
};

struct rtcp_fir_entry {
    uint32_t ssrc;
    uint8_t sequence; // command sequence number
};
struct rtcp_tmmb_entry {
    uint32_t ssrc;
    uint64_t bitrate;  // bit/s
    uint16_t overhead; // 9 bits: bytes a packet
};

struct rtcp_transport_cc {
    uint32_t media;
    uint16_t base_sequence;
    uint16_t status_count;
    int32_t reference; // 24 bits, signed; in 64 ms
    uint8_t feedback_count;
    struct bytes chunks; // to the end: chunks, then deltas
};

struct rtcp_remb {
    uint32_t media;   // 0
    uint64_t bitrate; // bit/s
    struct bytes ssrcs;
    uint8_t ssrc_count;
};

struct rtcp_ccfb {
    struct bytes blocks;       // see rtcp_ccfb_next
    uint32_t report_timestamp; // the middle 32 bits of an NTP time
};
struct rtcp_ccfb_block {
    uint32_t ssrc;
    uint16_t begin_sequence;
    uint16_t count;
    struct bytes metrics;
};
struct rtcp_ccfb_metric {
    bool received;
    uint8_t ecn;     // 2 bits
    uint16_t offset; // 13 bits: before the report timestamp, in 1/1024 s; 0x1ffe too long, 0x1fff
                     // unknown
};

struct rtcp_packet {
    enum rtcp_kind kind;
    uint8_t type;    // the payload type on the wire
    uint8_t count;   // the five bits beside it: report count, source count, subtype, FMT
    uint8_t padding; // bytes of it, with the count
    uint32_t sender; // the first SSRC; of a BYE or SDES the first of its list, 0 when that is empty
    struct bytes raw;  // the whole packet
    struct bytes body; // after the first four bytes, without padding
    union {
        struct rtcp_report report;          // RTCP_SR, RTCP_RR
        struct rtcp_bye bye;                // RTCP_BYE
        struct rtcp_app app;                // RTCP_APP
        struct rtcp_feedback feedback;      // RTCP_NACK, RTCP_TMMBR, RTCP_TMMBN, RTCP_PLI, RTCP_FIR
        struct rtcp_transport_cc transport; // RTCP_TRANSPORT_CC
        struct rtcp_remb remb;              // RTCP_REMB
        struct rtcp_ccfb ccfb;              // RTCP_CCFB
    };
};

// ---------------------------------------------------------------------------------------- reading

struct rtcp_walk {
    struct bytes left;
};

// The frame of all packets is checked here (RFC 3550 A.2). `reduced_ok`: RFC 5506 was agreed on
// (a=rtcp-rsize), so that any type may come first.
enum rtcp_outcome rtcp_walk_start(struct rtcp_walk *walk, struct bytes datagram, bool reduced_ok);
// `out` is whole with RTCP_OK; with any other outcome but RTCP_END `kind`, `type`, `raw` are set.
enum rtcp_outcome rtcp_next(struct rtcp_walk *walk, struct rtcp_packet *out);

// Those below return false past the end.
bool rtcp_report_block(const struct rtcp_packet *packet, size_t index, struct rtcp_block *out);
// Of the SSRC lists of BYE and REMB.
bool rtcp_ssrc_at(struct bytes ssrcs, size_t index, uint32_t *out);

// Chunk after chunk of an SDES, item after item of a chunk; both consume what `left` holds.
struct rtcp_sdes_walk {
    struct bytes left;
};
struct rtcp_sdes_walk rtcp_sdes_start(const struct rtcp_packet *packet);
bool rtcp_sdes_chunk_next(struct rtcp_sdes_walk *walk, struct rtcp_sdes_chunk *out);
bool rtcp_sdes_item_next(struct rtcp_sdes_chunk *chunk, struct rtcp_sdes_item *out);

// The lost sequence numbers of a NACK, in the order of the packet.
struct rtcp_nack_walk {
    struct bytes left;
    uint32_t pending; // bits still to give, from `sequence` on
    uint16_t sequence;
};
struct rtcp_nack_walk rtcp_nack_start(const struct rtcp_packet *packet);
bool rtcp_nack_next(struct rtcp_nack_walk *walk, uint16_t *out);

bool rtcp_fir_entry(const struct rtcp_packet *packet, size_t index, struct rtcp_fir_entry *out);
bool rtcp_tmmb_entry(const struct rtcp_packet *packet, size_t index, struct rtcp_tmmb_entry *out);

// The fate of one packet, by its transport-wide sequence number.
struct rtcp_arrival {
    uint16_t sequence;
    bool received;
    int64_t time; // of its arrival, in 250 us; modulo 2^32 on the wire: see rtcp_time_unwrap. 0 if
                  // not received
};
// `count` statuses in order; RTCP_FULL when there are more than `max`, then the first `max` are
// there.
enum rtcp_outcome rtcp_transport_cc_read(const struct rtcp_packet *packet, struct rtcp_arrival *to,
                                         size_t max, size_t *count);
// The time nearest to `last` that is the same modulo 2^32.
static inline int64_t rtcp_time_unwrap(int64_t last, int64_t time)
{
    return last + (int32_t)(uint32_t)((uint64_t)time - (uint64_t)last);
}

struct rtcp_ccfb_walk {
    struct bytes left;
};
struct rtcp_ccfb_walk rtcp_ccfb_start(const struct rtcp_packet *packet);
bool rtcp_ccfb_next(struct rtcp_ccfb_walk *walk, struct rtcp_ccfb_block *out);
bool rtcp_ccfb_metric(const struct rtcp_ccfb_block *block, size_t index,
                      struct rtcp_ccfb_metric *out);

#define RTCP_XR_RRTR 4 // receiver reference time (RFC 3611 4.4): body is an NTP time
#define RTCP_XR_DLRR 5 // delay since the last of those (RFC 3611 4.5)
struct rtcp_xr_walk {
    struct bytes left;
};
struct rtcp_xr_block {
    uint8_t type;
    uint8_t specific;
    struct bytes body; // a multiple of 4 bytes
};
struct rtcp_dlrr {
    uint32_t ssrc;
    uint32_t lrr;  // the middle 32 bits of the NTP time of the last RRTR
    uint32_t dlrr; // since then, in 1/65536 s
};
struct rtcp_xr_walk rtcp_xr_start(const struct rtcp_packet *packet);
bool rtcp_xr_next(struct rtcp_xr_walk *walk, struct rtcp_xr_block *out);
bool rtcp_xr_rrtr(const struct rtcp_xr_block *block, uint64_t *ntp);
bool rtcp_xr_dlrr(const struct rtcp_xr_block *block, size_t index, struct rtcp_dlrr *out);

// ---------------------------------------------------------------------------------------- writing

// Counts are at most RTCP_BLOCKS_MAX where five bits hold them; that is the caller's to keep.
void rtcp_write_sr(struct writer *w, uint32_t sender, const struct rtcp_sender_info *info,
                   const struct rtcp_block *blocks, size_t count);
void rtcp_write_rr(struct writer *w, uint32_t sender, const struct rtcp_block *blocks,
                   size_t count);
// Chunk by chunk between these two; an item's text is cut at 255 bytes.
struct rtcp_sdes_writer {
    struct writer *w;
    size_t at; // of the packet
    uint8_t chunks;
};
struct rtcp_sdes_writer rtcp_write_sdes(struct writer *w);
void rtcp_write_sdes_chunk(struct rtcp_sdes_writer *s, uint32_t ssrc,
                           const struct rtcp_sdes_item *items, size_t count);
void rtcp_write_sdes_end(struct rtcp_sdes_writer *s);
// The usual one: a chunk with a CNAME and, unless it is empty, a MID.
void rtcp_write_cname(struct writer *w, uint32_t ssrc, struct bytes cname, struct bytes mid);
void rtcp_write_bye(struct writer *w, const uint32_t *ssrcs, size_t count, struct bytes reason);
void rtcp_write_app(struct writer *w, uint32_t sender, uint8_t subtype, const char name[4],
                    struct bytes data); // a multiple of 4 bytes
// Sequence numbers in rising order (modulo 2^16), packed into (PID, BLP) pairs as they come.
// Returns how many are in the packet: fewer than `count` when the writer is full; 0: no packet was
// written.
size_t rtcp_write_nack(struct writer *w, uint32_t sender, uint32_t media, const uint16_t *sequences,
                       size_t count);
void rtcp_write_pli(struct writer *w, uint32_t sender, uint32_t media);
void rtcp_write_fir(struct writer *w, uint32_t sender, const struct rtcp_fir_entry *entries,
                    size_t count);
void rtcp_write_tmmbr(struct writer *w, uint32_t sender, const struct rtcp_tmmb_entry *entries,
                      size_t count);
void rtcp_write_tmmbn(struct writer *w, uint32_t sender, const struct rtcp_tmmb_entry *entries,
                      size_t count);
// The rate is rounded down to what 18 bits of mantissa hold.
void rtcp_write_remb(struct writer *w, uint32_t sender, uint64_t bitrate, const uint32_t *ssrcs,
                     size_t count); // at most 255
// One packet from the front of `arrivals`, whose sequence numbers follow each other (packets that
// did not come stand there with received = false). Returns how many are in it: fewer than `count`
// when the writer is full or a time is too far from the one before (+-8.19 s); call again with the
// rest and the next feedback_count. 0: there is no room for any, and nothing was written.
struct rtcp_transport_cc_head {
    uint32_t sender, media;
    uint8_t feedback_count;
};
size_t rtcp_write_transport_cc(struct writer *w, const struct rtcp_transport_cc_head *head,
                               const struct rtcp_arrival *arrivals, size_t count);
// Block by block between these two.
struct rtcp_ccfb_writer {
    struct writer *w;
    size_t at;
};
struct rtcp_ccfb_writer rtcp_write_ccfb(struct writer *w, uint32_t sender);
void rtcp_write_ccfb_block(struct rtcp_ccfb_writer *s, uint32_t ssrc, uint16_t begin_sequence,
                           const struct rtcp_ccfb_metric *metrics, size_t count);
void rtcp_write_ccfb_end(struct rtcp_ccfb_writer *s, uint32_t report_timestamp);
// XR packets of one block each.
void rtcp_write_xr_rrtr(struct writer *w, uint32_t sender, uint64_t ntp);
void rtcp_write_xr_dlrr(struct writer *w, uint32_t sender, const struct rtcp_dlrr *entries,
                        size_t count);
// Any decoded packet, without its padding. The lists of NACK, transport-wide feedback and XR are
// copied as they are.
void rtcp_write(struct writer *w, const struct rtcp_packet *packet);
// Padding for the packet that starts at `at` and must be the last: `len` bytes, a multiple of 4, at
// most 252 (RFC 3550 6.4.1).
void rtcp_pad(struct writer *w, size_t at, uint8_t len);

// ------------------------------------------------------------------------------------------- time

// `now` as NTP time, by TIME_EPOCH_S; and the middle 32 bits of one.
uint64_t rtcp_ntp(nanotime now);
static inline uint32_t rtcp_ntp_middle(uint64_t ntp)
{
    return (uint32_t)(ntp >> 16);
}
// 1/65536 s to nanoseconds and back, both rounded to nearest; a span past 65536 s becomes the
// longest.
nanotime rtcp_span_time(uint32_t span);
uint32_t rtcp_span(nanotime time);
// The round trip that a report block (or a DLRR entry) tells its sender: false without an LSR, or
// when the times contradict each other by more than rounding.
bool rtcp_round_trip(nanotime now, uint32_t lsr, uint32_t dlsr, nanotime *out);

#endif
