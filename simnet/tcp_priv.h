// Shared by the files of a TCP connection.
#ifndef SIMNET_TCP_PRIV_H
#define SIMNET_TCP_PRIV_H

#include "simnet/tcp.h"

#define TCP_MSS_DEFAULT 536u             // RFC 9293 3.7.1
#define TCP_TIME_WAIT_SPAN (60 * TIME_S) // 2 MSL, as systems have it
#define TCP_ACK_DELAY (40 * TIME_MS)     // RFC 1122 4.2.3.2: less than 500 ms

static inline uint32_t tcp_before_or_at(uint32_t a, uint32_t b)
{
    return !tcp_before(b, a);
}

static inline uint32_t tcp_max(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static inline uint32_t tcp_min(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

// The sequence number behind all that was given to tcp_send; a FIN has it.
static inline uint32_t tcp_out_end(const struct tcp *tcp)
{
    return tcp->out_seq + tcp->out.len;
}

// Room of the window that the other side may know of.
static inline uint32_t tcp_receive_window(const struct tcp *tcp)
{
    return tcp->receive_edge - tcp->receive_next;
}

// tcp_ring.c
void tcp_ring_reserve(struct tcp_ring *ring, uint32_t room);
// Write `bytes` at `offset` from the first; the room is there.
void tcp_ring_put(struct tcp_ring *ring, uint32_t offset, struct bytes bytes);
void tcp_ring_get(const struct tcp_ring *ring, uint32_t offset, uint32_t len, struct bytes out[2]);
void tcp_ring_skip(struct tcp_ring *ring, uint32_t len);
// Of `in`: put what came at `seq`, as far as there is room and memory for it.
bool tcp_pieces_add(struct tcp *tcp, uint32_t seq, struct bytes bytes);

// tcp.c
void tcp_established(struct tcp *tcp);
void tcp_over(struct tcp *tcp, enum tcp_end end);
void tcp_rtt_sample(struct tcp *tcp, nanotime span);

#endif
