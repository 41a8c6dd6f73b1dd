// What a segment does to a connection: RFC 9293 3.10.7, in its order.
#include "simnet/tcp_priv.h"

#define DUPLICATES_TO_RESEND 3 // RFC 5681 3.2

// ------------------------------------------------------------------------------- acknowledgements

static void window_update(struct tcp *tcp, const struct tcp_segment *segment)
{
    bool newer =
        tcp_before(tcp->window_seq, segment->seq) ||
        (tcp->window_seq == segment->seq && tcp_before_or_at(tcp->window_ack, segment->ack));
    if (!newer)
        return;
    if (tcp->window == 0 && segment->window > 0 && tcp->una == tcp->max)
        tcp->timer = TIME_NEVER; // no more probes
    tcp->window = segment->window;
    tcp->window_max = tcp_max(tcp->window_max, tcp->window);
    tcp->window_seq = segment->seq;
    tcp->window_ack = segment->ack;
}

// RFC 5681 3.2, RFC 6582 3.2.
static void duplicate(struct tcp *tcp)
{
    tcp->duplicates++;
    if (tcp->recovering) {
        tcp->cwnd += tcp->mss;
        return;
    }
    if (tcp->duplicates != DUPLICATES_TO_RESEND || tcp_before(tcp->una, tcp->recover))
        return;
    tcp->ssthresh = tcp_max((tcp->max - tcp->una) / 2, 2 * tcp->mss);
    tcp->recover = tcp->max;
    tcp->cwnd = tcp->ssthresh + DUPLICATES_TO_RESEND * tcp->mss;
    tcp->recovering = tcp->resend = true;
}

static void grow_window(struct tcp *tcp, uint32_t acked)
{
    if (tcp->recovering && tcp_before(tcp->una, tcp->recover)) {
        // RFC 6582 3.2: a partial acknowledgement, so the next segment is missing, too.
        tcp->resend = true;
        tcp->cwnd -= tcp_min(tcp->cwnd - tcp_min(tcp->cwnd, tcp->mss), acked);
        if (acked >= tcp->mss)
            tcp->cwnd += tcp->mss;
    } else if (tcp->recovering) {
        tcp->recovering = tcp->resend = false;
        tcp->cwnd = tcp_min(tcp->ssthresh, tcp_max(tcp->max - tcp->una, tcp->mss) + tcp->mss);
    } else if (tcp->cwnd < tcp->ssthresh) {
        tcp->cwnd += tcp_min(acked, tcp->mss);
    } else {
        tcp->cwnd += tcp_max(tcp->mss * tcp->mss / tcp->cwnd, 1);
    }
    tcp->cwnd = tcp_min(tcp->cwnd, 1u << 20);
}

static void acknowledged(struct tcp *tcp, nanotime now, uint32_t ack)
{
    uint32_t acked = ack - tcp->una;
    if (tcp->timing && tcp_before_or_at(tcp->timed_seq, ack)) {
        tcp->timing = false;
        tcp_rtt_sample(tcp, now - tcp->timed_at);
    }
    tcp->una = ack;
    if (tcp_before(tcp->out_seq, ack)) {
        uint32_t data = tcp_min(ack - tcp->out_seq, tcp->out.len); // not the FIN
        tcp_ring_skip(&tcp->out, data);
        tcp->out_seq += data;
    }
    if (tcp_before(tcp->next, ack))
        tcp->next = ack;
    tcp->duplicates = tcp->timeouts = 0;
    grow_window(tcp, acked);
    // RFC 6298 5.2, 5.3
    tcp->timer = tcp->una == tcp->max ? TIME_NEVER : time_add(now, tcp->rto);
}

static bool is_fin_acknowledged(const struct tcp *tcp)
{
    return tcp->fin_wanted && tcp->una == tcp_out_end(tcp) + 1;
}

static void time_wait(struct tcp *tcp, nanotime now)
{
    tcp->state = TCP_TIME_WAIT;
    tcp->timer = TIME_NEVER;
    tcp->gone_at = time_add(now, TCP_TIME_WAIT_SPAN);
}

static void fin_acknowledged(struct tcp *tcp, nanotime now)
{
    if (tcp->state == TCP_FIN_WAIT_1) {
        tcp->state = TCP_FIN_WAIT_2;
        tcp->gone_at = time_add(now, TCP_TIME_WAIT_SPAN); // for a FIN that never comes
    } else if (tcp->state == TCP_CLOSING) {
        time_wait(tcp, now);
    } else if (tcp->state == TCP_LAST_ACK) {
        tcp_over(tcp, TCP_END_NONE);
    }
}

// False: it acknowledges what was never sent.
static bool take_ack(struct tcp *tcp, nanotime now, const struct tcp_segment *segment)
{
    if (tcp_before(tcp->max, segment->ack)) {
        tcp->ack_now = true;
        return false;
    }
    bool plain = segment->payload[0].len == 0 && !(segment->flags & TCP_FIN);
    if (tcp_before(tcp->una, segment->ack))
        acknowledged(tcp, now, segment->ack);
    else if (segment->ack == tcp->una && tcp->una != tcp->max && plain && tcp->window > 0 &&
             segment->window == tcp->window)
        duplicate(tcp);
    window_update(tcp, segment);
    if (is_fin_acknowledged(tcp))
        fin_acknowledged(tcp, now);
    return true;
}

// -------------------------------------------------------------------------------------- the bytes

static void take_fin(struct tcp *tcp, nanotime now)
{
    tcp->receive_next++;
    tcp->fin_taken = true;
    tcp->ack_now = true;
    if (!tcp_before(tcp->receive_next, tcp->receive_edge))
        tcp->receive_edge = tcp->receive_next;
    switch (tcp->state) {
    case TCP_ESTABLISHED:
        tcp->state = TCP_CLOSE_WAIT;
        return;
    case TCP_FIN_WAIT_1:
        tcp->state = TCP_CLOSING;
        return;
    case TCP_FIN_WAIT_2:
        time_wait(tcp, now);
        return;
    case TCP_CLOSED:
    case TCP_SYN_SENT:
    case TCP_SYN_RECEIVED:
    case TCP_CLOSE_WAIT:
    case TCP_CLOSING:
    case TCP_LAST_ACK:
    case TCP_TIME_WAIT:
        return;
    }
}

// RFC 1122 4.2.3.2: at least each second segment is acknowledged at once; RFC 5681 4.2: so is what
// came out of order, and what fills a hole.
static void acknowledge(struct tcp *tcp, nanotime now, bool in_order)
{
    if (!in_order || ++tcp->unacked >= 2)
        tcp->ack_now = true;
    else if (tcp->ack_at == TIME_NEVER)
        tcp->ack_at = time_add(now, TCP_ACK_DELAY);
}

static void take_bytes(struct tcp *tcp, nanotime now, const struct tcp_segment *segment)
{
    struct bytes bytes = segment->payload[0];
    uint32_t seq = segment->seq, end = seq + (uint32_t)bytes.len;
    if (tcp->fin_taken)
        return;
    bool fits = tcp_before_or_at(end, tcp->receive_edge);
    if ((segment->flags & TCP_FIN) && fits && !tcp->has_fin) {
        tcp->has_fin = true;
        tcp->fin_seq = end;
    }
    if (tcp->has_fin && tcp_before(tcp->fin_seq, end)) {
        bytes.len -= tcp_min(end - tcp->fin_seq, (uint32_t)bytes.len); // nothing follows a FIN
        end = tcp->fin_seq;
    }
    if (!fits) {
        uint32_t over = end - tcp->receive_edge;
        bytes.len -= tcp_min(over, (uint32_t)bytes.len);
    }
    if (tcp_before(seq, tcp->receive_next)) {
        uint32_t old = tcp_min(tcp->receive_next - seq, (uint32_t)bytes.len);
        tcp->stats.duplicates += old > 0;
        bytes = bytes_of(bytes.at + old, bytes.len - old);
        seq += old;
    }
    if (tcp->state == TCP_FIN_WAIT_2)
        tcp->gone_at = time_add(now, TCP_TIME_WAIT_SPAN);
    if (bytes.len > 0) {
        bool in_order = seq == tcp->receive_next && tcp->ranges_count == 0;
        tcp->stats.out_of_order += seq != tcp->receive_next;
        tcp->stats.refused_pieces += !tcp_pieces_add(tcp, seq, bytes);
        acknowledge(tcp, now, in_order);
    }
    if (tcp->has_fin && tcp->receive_next == tcp->fin_seq)
        take_fin(tcp, now);
}

// -------------------------------------------------------------------------------------- the states

// RFC 9293 3.10.7.3
static bool input_syn_sent(struct tcp *tcp, nanotime now, const struct tcp_segment *segment)
{
    bool acks = (segment->flags & TCP_ACK) != 0;
    bool acceptable = acks && segment->ack == tcp->config.iss + 1 && tcp->max == segment->ack;
    if (acks && !acceptable)
        return (segment->flags & TCP_RST) != 0; // else it gets a RST
    if (segment->flags & TCP_RST) {
        if (acceptable)
            tcp_over(tcp, TCP_END_REFUSED);
        return true;
    }
    if (!(segment->flags & TCP_SYN))
        return true;
    tcp->receive_next = segment->seq + 1;
    tcp->receive_edge = tcp->receive_next + tcp->config.receive_max;
    if (segment->mss)
        tcp->mss = tcp_min(tcp->config.mss, segment->mss);
    tcp->window = tcp->window_max = segment->window;
    tcp->window_seq = segment->seq;
    tcp->window_ack = segment->ack;
    if (!acks) { // both open at once
        tcp->state = TCP_SYN_RECEIVED;
        tcp->next = tcp->una;
        tcp->timer = TIME_NEVER;
        return true;
    }
    unsigned timeouts = tcp->timeouts;
    acknowledged(tcp, now, segment->ack);
    tcp->timeouts = timeouts;
    tcp_established(tcp);
    tcp->ack_now = true;
    return true;
}

// RFC 9293 3.10.7.4, first: does any of it lie in the window?
static bool is_acceptable(const struct tcp *tcp, const struct tcp_segment *segment)
{
    uint32_t window = tcp_receive_window(tcp), next = tcp->receive_next;
    uint32_t len = (uint32_t)segment->payload[0].len + ((segment->flags & TCP_FIN) != 0) +
                   ((segment->flags & TCP_SYN) != 0);
    uint32_t last = segment->seq + (len ? len - 1 : 0);
    if (window == 0)
        return len == 0 && segment->seq == next;
    bool begins = tcp_before_or_at(next, segment->seq) && segment->seq - next < window;
    bool ends = tcp_before_or_at(next, last) && last - next < window;
    return begins || ends;
}

static void take_reset(struct tcp *tcp, const struct tcp_segment *segment)
{
    if (segment->seq != tcp->receive_next) { // RFC 5961 3.2: whoever sent it must prove more
        tcp->ack_now = true;
        return;
    }
    bool handshake = tcp->state == TCP_SYN_RECEIVED;
    tcp_over(tcp, handshake ? TCP_END_REFUSED : TCP_END_RESET);
}

static bool input_synchronized(struct tcp *tcp, nanotime now, const struct tcp_segment *segment)
{
    bool handshake = tcp->state == TCP_SYN_RECEIVED;
    if (handshake && (segment->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN) {
        tcp->next = tcp->config.iss; // our answer was lost
        return true;
    }
    if (!is_acceptable(tcp, segment)) {
        // A probe of a closed window still tells what it acknowledges.
        tcp->ack_now |= !(segment->flags & TCP_RST);
        if (segment->seq != tcp->receive_next || !(segment->flags & TCP_ACK) || handshake)
            return true;
        if (!(segment->flags & (TCP_RST | TCP_SYN)))
            (void)take_ack(tcp, now, segment);
        return true;
    }
    if (segment->flags & TCP_RST) {
        take_reset(tcp, segment);
        return true;
    }
    if (segment->flags & TCP_SYN && !(handshake && segment->flags & TCP_ACK)) {
        tcp->ack_now = true; // RFC 5961 4.2
        return true;
    }
    if (!(segment->flags & TCP_ACK))
        return true;
    if (handshake) {
        if (segment->ack != tcp->config.iss + 1 || tcp_before(tcp->max, segment->ack))
            return false;
        unsigned timeouts = tcp->timeouts;
        acknowledged(tcp, now, segment->ack);
        tcp->timeouts = timeouts;
        tcp_established(tcp);
    }
    if (take_ack(tcp, now, segment) && tcp->state != TCP_CLOSED)
        take_bytes(tcp, now, segment);
    return true;
}

// RFC 9293 3.10.7.4: what may still come is their FIN, since our acknowledgement was lost.
static void input_time_wait(struct tcp *tcp, nanotime now, const struct tcp_segment *segment)
{
    if (segment->flags & TCP_RST) {
        if (segment->seq == tcp->receive_next) // RFC 5961 3.2
            tcp_over(tcp, TCP_END_NONE);
    } else if (segment->flags & TCP_FIN) {
        tcp->ack_now = true;
        time_wait(tcp, now);
    }
}

bool tcp_input(struct tcp *tcp, nanotime now, const struct tcp_segment *segment)
{
    tcp->stats.segments_received++;
    switch (tcp->state) {
    case TCP_CLOSED:
        return false;
    case TCP_SYN_SENT:
        return input_syn_sent(tcp, now, segment);
    case TCP_TIME_WAIT:
        input_time_wait(tcp, now, segment);
        return true;
    case TCP_SYN_RECEIVED:
    case TCP_ESTABLISHED:
    case TCP_FIN_WAIT_1:
    case TCP_FIN_WAIT_2:
    case TCP_CLOSE_WAIT:
    case TCP_CLOSING:
    case TCP_LAST_ACK:
        return input_synchronized(tcp, now, segment);
    }
    return false;
}
