// One end of a TCP connection (RFC 9293), good enough for what speaks TURN and signaling: segments
// in, segments and bytes out, in whoever's time.
//
//     tcp_connect(&tcp, &config, now);                       // or tcp_accept, for a SYN that came
//     tcp_input(&tcp, now, &segment);                        // each segment of the connection
//     while (tcp_poll(&tcp, now, &segment)) { ... }          // after each call, and when due
//     while ((news = tcp_news(&tcp, &bytes)) != TCP_NO_NEWS) // after each input and poll
//     wake = tcp_deadline(&tcp);
//
// What it does: handshake (also from both sides at once), MSS, cumulative and delayed
// acknowledgements, retransmission (RFC 6298), slow start, congestion avoidance, fast retransmit
// and recovery (RFC 5681, RFC 6582), flow control with probes of a closed window, reassembly,
// half-close, TIME-WAIT, resets with the care of RFC 5961. Segments that are never acknowledged
// become smaller (RFC 4821 7.7): nobody here tells of too small an MTU. No urgent data, window
// scale, timestamps, SACK, ECN; no Nagle: what speaks STUN would turn it off.
//
// Not here: ports, addresses, checksums (packet.c), and which connection a segment is of
// (stream.c).
#ifndef SIMNET_TCP_H
#define SIMNET_TCP_H

#include "base/bytes.h"
#include "base/clock.h"

enum tcp_flag { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16 };

struct tcp_segment {
    uint32_t seq, ack;
    uint16_t window;
    uint16_t mss; // the option; 0: it is not there
    uint8_t flags;
    struct bytes payload[2]; // one after the other; of a received segment the first alone
};

#define TCP_HEADER_LEN 20
#define TCP_HEADER_MAX 24 // with the one option that is written here

// The header, from its sequence number on: everything but the ports. Window, flags, a checksum of
// zero and the option behind it.
struct bytes tcp_segment_encode(const struct tcp_segment *segment, uint8_t to[TCP_HEADER_MAX - 4]);
// From the ports on. False: shorter than it says. Options that make no sense are none.
bool tcp_segment_decode(struct bytes bytes, struct tcp_segment *out);
// RFC 9293 3.10.7.1: the RST that a segment without a connection gets. False: none.
bool tcp_segment_refuse(const struct tcp_segment *segment, struct tcp_segment *rst);

enum tcp_state {
    TCP_CLOSED,
    TCP_SYN_SENT,
    TCP_SYN_RECEIVED,
    TCP_ESTABLISHED,
    TCP_FIN_WAIT_1,
    TCP_FIN_WAIT_2,
    TCP_CLOSE_WAIT,
    TCP_CLOSING,
    TCP_LAST_ACK,
    TCP_TIME_WAIT,
};
const char *tcp_state_name(enum tcp_state state);

// Why there is no connection any more.
enum tcp_end {
    TCP_END_NONE,
    TCP_END_FIN,     // the other side has nothing more to say; we may have
    TCP_END_RESET,   // by the other side
    TCP_END_TIMEOUT, // it does not answer
    TCP_END_REFUSED, // a RST for our SYN
};
const char *tcp_end_name(enum tcp_end end);

#define TCP_RANGES_MAX 32 // pieces that came before what is missing; more of them are dropped

struct tcp_config {
    uint32_t iss;
    uint16_t mss;         // what we can receive, and send, in one segment
    uint32_t send_max;    // bytes not acknowledged yet; 0: 256 KiB
    uint32_t receive_max; // 0: 65535, which is also the most
};

struct tcp_ring {
    uint8_t *at; // owned
    uint32_t room, first, len;
};

struct tcp_range {
    uint32_t from, to;
};

struct tcp_stats {
    uint64_t segments_sent, segments_received, retransmissions, fast_retransmits, timeouts;
    uint64_t out_of_order, duplicates; // segments received
    uint64_t refused_pieces;           // out of order, and no room to remember them
};

struct tcp {
    enum tcp_state state;
    enum tcp_end end;
    struct tcp_config config;
    uint32_t mss; // of the connection

    // Sending. `out` holds what is not acknowledged, from sequence number `out_seq` on.
    struct tcp_ring out;
    uint32_t out_seq;
    uint32_t una, next, max;         // RFC 9293 3.3.1: SND.UNA, SND.NXT; the highest ever sent
    uint32_t window, window_max;     // SND.WND
    uint32_t window_seq, window_ack; // SND.WL1, SND.WL2
    uint32_t cwnd, ssthresh, recover;
    unsigned duplicates;               // acknowledgements
    bool recovering, resend;           // resend: the segment at una, next
    bool fin_wanted, probe, reset_due; // probe: a closed window, now

    // RFC 6298.
    nanotime srtt, rttvar, rto, timer;
    unsigned timeouts; // in a row
    bool timing;
    uint32_t timed_seq;
    nanotime timed_at;

    // Receiving. `in` holds what was not taken yet, and behind it the pieces of `ranges`.
    struct tcp_ring in;
    uint32_t receive_next, receive_edge; // RCV.NXT; the right edge of the window that was told
    struct tcp_range ranges[TCP_RANGES_MAX];
    unsigned ranges_count;
    bool has_fin, fin_taken;
    uint32_t fin_seq;
    bool ack_now;
    unsigned unacked; // segments since the last acknowledgement
    nanotime ack_at, gone_at;

    bool opened, opened_told, end_told;
    size_t lent; // bytes of `in` that the caller has
    struct tcp_stats stats;
};

void tcp_connect(struct tcp *tcp, const struct tcp_config *config, nanotime now);
void tcp_accept(struct tcp *tcp, const struct tcp_config *config, nanotime now,
                const struct tcp_segment *syn);
void tcp_fini(struct tcp *tcp);

// False: the segment has nothing to do with this connection, whose other end is to be told so
// (tcp_segment_refuse).
bool tcp_input(struct tcp *tcp, nanotime now, const struct tcp_segment *segment);
// The next segment to send; its payload is borrowed until the next call.
bool tcp_poll(struct tcp *tcp, nanotime now, struct tcp_segment *out);
nanotime tcp_deadline(const struct tcp *tcp);

enum tcp_news { TCP_NO_NEWS, TCP_OPENED, TCP_BYTES, TCP_ENDED }; // ENDED: `end` says why
// Bytes are borrowed until the next call, which takes them out of the window.
enum tcp_news tcp_news(struct tcp *tcp, struct bytes *bytes);
bool tcp_has_news(const struct tcp *tcp);

// All of it, or false: not open (yet, or any more), or no room.
bool tcp_send(struct tcp *tcp, struct bytes bytes);
size_t tcp_room(const struct tcp *tcp);
// After what was sent, a FIN. What the other side says can still be read.
void tcp_close(struct tcp *tcp, nanotime now);
// A RST, and the end.
void tcp_abort(struct tcp *tcp);

static inline bool tcp_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

#endif
