// The life of a connection, and what it sends when.
#include "simnet/tcp_priv.h"

#include "base/arena.h"

#include <assert.h>
#include <stdlib.h>

#define SEND_MAX (256u * 1024)
#define RECEIVE_MAX 65535u
#define RTO_FIRST TIME_S           // RFC 6298 2.1
#define RTO_AFTER_SYN (3 * TIME_S) // RFC 6298 5.7
#define RTO_MIN (200 * TIME_MS)    // RFC 6298 2.4 would have a second; systems have this
#define RTO_MAX (60 * TIME_S)      // RFC 6298 2.5
#define GRANULARITY TIME_MS        // RFC 6298: G
#define SYN_TIMEOUTS_MAX 6         // the seventh ends it, after 127 s
#define TIMEOUTS_MAX 10            // RFC 9293 3.8.3: R2 of at least 100 s
#define TIMEOUTS_TO_SHRINK 3       // RFC 4821 7.7: then the MTU may be what loses segments
#define WINDOW_FIRST_LEAST 4380    // RFC 5681 3.1, as RFC 3390 has it in one formula

const char *tcp_state_name(enum tcp_state state)
{
    static const char *const names[] = {
        [TCP_CLOSED] = "closed",
        [TCP_SYN_SENT] = "syn-sent",
        [TCP_SYN_RECEIVED] = "syn-received",
        [TCP_ESTABLISHED] = "established",
        [TCP_FIN_WAIT_1] = "fin-wait-1",
        [TCP_FIN_WAIT_2] = "fin-wait-2",
        [TCP_CLOSE_WAIT] = "close-wait",
        [TCP_CLOSING] = "closing",
        [TCP_LAST_ACK] = "last-ack",
        [TCP_TIME_WAIT] = "time-wait",
    };
    return names[state];
}

const char *tcp_end_name(enum tcp_end end)
{
    static const char *const names[] = {
        [TCP_END_NONE] = "open",       [TCP_END_FIN] = "closed by the other side",
        [TCP_END_RESET] = "reset",     [TCP_END_TIMEOUT] = "no answer",
        [TCP_END_REFUSED] = "refused",
    };
    return names[end];
}

// ------------------------------------------------------------------------------------------- life

static void init(struct tcp *tcp, const struct tcp_config *config, enum tcp_state state)
{
    *tcp = (struct tcp){
        .state = state,
        .config = *config,
        .mss = tcp_min(config->mss, TCP_MSS_DEFAULT),
        .out_seq = config->iss + 1,
        .una = config->iss,
        .next = config->iss,
        .max = config->iss,
        .recover = config->iss,
        .ssthresh = UINT32_MAX / 2,
        .rto = RTO_FIRST,
        .timer = TIME_NEVER,
        .ack_at = TIME_NEVER,
        .gone_at = TIME_NEVER,
    };
    if (tcp->config.send_max == 0)
        tcp->config.send_max = SEND_MAX;
    if (tcp->config.receive_max == 0 || tcp->config.receive_max > RECEIVE_MAX)
        tcp->config.receive_max = RECEIVE_MAX;
}

void tcp_connect(struct tcp *tcp, const struct tcp_config *config, nanotime now)
{
    (void)now; // the SYN is due at once
    init(tcp, config, TCP_SYN_SENT);
}

void tcp_accept(struct tcp *tcp, const struct tcp_config *config, nanotime now,
                const struct tcp_segment *syn)
{
    (void)now;
    init(tcp, config, TCP_SYN_RECEIVED);
    if (syn->mss)
        tcp->mss = tcp_min(config->mss, syn->mss);
    tcp->receive_next = syn->seq + 1;
    tcp->receive_edge = tcp->receive_next + tcp->config.receive_max;
    tcp->window = syn->window;
    tcp->window_max = syn->window;
    tcp->window_seq = syn->seq;
}

void tcp_fini(struct tcp *tcp)
{
    free(tcp->out.at);
    free(tcp->in.at);
    *tcp = (struct tcp){.timer = TIME_NEVER, .ack_at = TIME_NEVER, .gone_at = TIME_NEVER};
}

void tcp_established(struct tcp *tcp)
{
    tcp->state = tcp->fin_wanted ? TCP_FIN_WAIT_1 : TCP_ESTABLISHED;
    tcp->opened = true;
    // RFC 5681 3.1: one segment after a SYN was lost.
    uint32_t first = tcp_min(4 * tcp->mss, tcp_max(2 * tcp->mss, WINDOW_FIRST_LEAST));
    tcp->cwnd = tcp->timeouts > 0 ? tcp->mss : first;
    if (tcp->timeouts > 0)
        tcp->rto = RTO_AFTER_SYN;
    tcp->timeouts = 0;
}

void tcp_over(struct tcp *tcp, enum tcp_end end)
{
    tcp->state = TCP_CLOSED;
    if (tcp->end == TCP_END_NONE || end == TCP_END_RESET || end == TCP_END_TIMEOUT)
        tcp->end = end;
    tcp->timer = tcp->ack_at = tcp->gone_at = TIME_NEVER;
    tcp->ack_now = tcp->resend = tcp->probe = false;
}

// --------------------------------------------------------------------------------------- commands

size_t tcp_room(const struct tcp *tcp)
{
    bool open = tcp->state == TCP_ESTABLISHED || tcp->state == TCP_CLOSE_WAIT;
    return open && !tcp->fin_wanted ? tcp->config.send_max - tcp->out.len : 0;
}

bool tcp_send(struct tcp *tcp, struct bytes bytes)
{
    if (bytes.len > tcp_room(tcp) || tcp_room(tcp) == 0)
        return false;
    tcp_ring_reserve(&tcp->out, tcp->out.len + (uint32_t)bytes.len);
    tcp_ring_put(&tcp->out, tcp->out.len, bytes);
    tcp->out.len += (uint32_t)bytes.len;
    return true;
}

void tcp_close(struct tcp *tcp, nanotime now)
{
    (void)now;
    switch (tcp->state) {
    case TCP_SYN_SENT:
        tcp_over(tcp, TCP_END_NONE);
        return;
    case TCP_SYN_RECEIVED: // the FIN follows the handshake
    case TCP_ESTABLISHED:
    case TCP_CLOSE_WAIT:
        tcp->fin_wanted = true;
        if (tcp->state == TCP_ESTABLISHED)
            tcp->state = TCP_FIN_WAIT_1;
        if (tcp->state == TCP_CLOSE_WAIT)
            tcp->state = TCP_LAST_ACK;
        return;
    case TCP_CLOSED:
    case TCP_FIN_WAIT_1:
    case TCP_FIN_WAIT_2:
    case TCP_CLOSING:
    case TCP_LAST_ACK:
    case TCP_TIME_WAIT:
        return;
    }
}

void tcp_abort(struct tcp *tcp)
{
    // RFC 9293 3.10.5: in these states the other side may believe in a connection.
    bool known =
        tcp->state != TCP_CLOSED && tcp->state != TCP_SYN_SENT && tcp->state != TCP_TIME_WAIT;
    tcp_over(tcp, TCP_END_NONE);
    tcp->reset_due = known;
}

// ------------------------------------------------------------------------------------------- news

bool tcp_has_news(const struct tcp *tcp)
{
    bool over = (tcp->fin_taken && tcp->in.len == tcp->lent) || tcp->end != TCP_END_NONE;
    return (tcp->opened && !tcp->opened_told) || tcp->in.len > tcp->lent ||
           (over && !tcp->end_told);
}

// What the caller had is taken. RFC 9293 3.8.6.2.2: a window that was nearly shut is opened by
// word.
static void give_back(struct tcp *tcp)
{
    if (tcp->lent == 0)
        return;
    tcp_ring_skip(&tcp->in, (uint32_t)tcp->lent);
    tcp->lent = 0;
    uint32_t least = tcp_min(tcp->config.receive_max / 2, tcp->mss);
    uint32_t edge = tcp->receive_next + tcp->config.receive_max - tcp->in.len;
    if (tcp_receive_window(tcp) < 2 * tcp->mss && edge - tcp->receive_edge >= least)
        tcp->ack_now = true;
}

enum tcp_news tcp_news(struct tcp *tcp, struct bytes *bytes)
{
    *bytes = (struct bytes){0};
    give_back(tcp);
    if (tcp->opened && !tcp->opened_told) {
        tcp->opened_told = true;
        return TCP_OPENED;
    }
    if (tcp->in.len > 0) {
        struct bytes held[2];
        tcp_ring_get(&tcp->in, 0, tcp->in.len, held);
        *bytes = held[0];
        tcp->lent = held[0].len;
        return TCP_BYTES;
    }
    if (!tcp_has_news(tcp))
        return TCP_NO_NEWS;
    if (tcp->end == TCP_END_NONE)
        tcp->end = TCP_END_FIN;
    tcp->end_told = true;
    return TCP_ENDED;
}

// ----------------------------------------------------------------------------------------- timers

// RFC 6298 2.2, 2.3.
void tcp_rtt_sample(struct tcp *tcp, nanotime span)
{
    if (tcp->srtt == 0) {
        tcp->srtt = time_max(span, 1);
        tcp->rttvar = span / 2;
    } else {
        nanotime off = span > tcp->srtt ? span - tcp->srtt : tcp->srtt - span;
        tcp->rttvar += (off - tcp->rttvar) / 4;
        tcp->srtt += (span - tcp->srtt) / 8;
    }
    nanotime rto = tcp->srtt + time_max(GRANULARITY, 4 * tcp->rttvar);
    tcp->rto = time_min(time_max(rto, RTO_MIN), RTO_MAX);
}

static bool is_handshake(const struct tcp *tcp)
{
    return tcp->state == TCP_SYN_SENT || tcp->state == TCP_SYN_RECEIVED;
}

static void timed_out(struct tcp *tcp)
{
    tcp->stats.timeouts++;
    tcp->timer = TIME_NEVER;
    tcp->timing = false;                        // RFC 6298 3: Karn
    tcp->rto = time_min(2 * tcp->rto, RTO_MAX); // RFC 6298 5.5
    if (!is_handshake(tcp) && tcp->window == 0 && tcp->max - tcp->una <= 1 && tcp->out.len > 0) {
        tcp->next = tcp->una;
        tcp->probe = true; // RFC 9293 3.8.6.1: as long as it takes
        return;
    }
    if (++tcp->timeouts > (is_handshake(tcp) ? SYN_TIMEOUTS_MAX : TIMEOUTS_MAX)) {
        tcp_over(tcp, TCP_END_TIMEOUT);
        return;
    }
    if (tcp->timeouts >= TIMEOUTS_TO_SHRINK && !is_handshake(tcp))
        tcp->mss = tcp_max(tcp->mss / 2, tcp_min(tcp->mss, TCP_MSS_DEFAULT));
    // RFC 5681 3.1: everything that is not acknowledged goes again, slowly.
    uint32_t flight = tcp->max - tcp->una;
    if (tcp->timeouts == 1)
        tcp->ssthresh = tcp_max(flight / 2, 2 * tcp->mss);
    tcp->cwnd = tcp->mss;
    tcp->recover = tcp->max; // RFC 6582 4
    tcp->recovering = tcp->resend = false;
    tcp->duplicates = 0;
    tcp->next = tcp->una;
}

static void fire_timers(struct tcp *tcp, nanotime now)
{
    if (now >= tcp->gone_at)
        tcp_over(tcp, TCP_END_NONE);
    if (now >= tcp->timer)
        timed_out(tcp);
    if (now >= tcp->ack_at) {
        tcp->ack_at = TIME_NEVER;
        tcp->ack_now = true;
    }
}

// ----------------------------------------------------------------------------------------- output

// RFC 9293 3.8.6.2.2: the edge moves by a good piece or not at all, and never back.
static uint16_t window_to_tell(struct tcp *tcp)
{
    uint32_t edge = tcp->receive_next + tcp->config.receive_max - tcp->in.len;
    uint32_t least = tcp_min(tcp->config.receive_max / 2, tcp->mss);
    if (!tcp_before(edge, tcp->receive_edge) && edge - tcp->receive_edge >= least)
        tcp->receive_edge = edge;
    return (uint16_t)tcp_receive_window(tcp);
}

static bool emit(struct tcp *tcp, nanotime now, uint32_t seq, uint8_t flags, uint32_t len,
                 struct tcp_segment *out)
{
    *out = (struct tcp_segment){.seq = seq, .flags = flags};
    if (flags & TCP_ACK) {
        out->ack = tcp->receive_next;
        out->window = window_to_tell(tcp);
        tcp->ack_now = false;
        tcp->ack_at = TIME_NEVER;
        tcp->unacked = 0;
    }
    if (flags & TCP_SYN) {
        out->mss = tcp->config.mss;
        out->window = (uint16_t)tcp->config.receive_max;
    }
    if (len)
        tcp_ring_get(&tcp->out, seq - tcp->out_seq, len, out->payload);
    tcp->stats.segments_sent++;
    uint32_t end = seq + len + ((flags & TCP_SYN) != 0) + ((flags & TCP_FIN) != 0);
    if (end == seq)
        return true;
    tcp->stats.retransmissions += tcp_before(seq, tcp->max);
    if (!tcp->timing && !tcp_before(seq, tcp->max)) {
        tcp->timing = true;
        tcp->timed_seq = end;
        tcp->timed_at = now;
    }
    if (tcp_before(tcp->max, end))
        tcp->max = end;
    if (tcp->timer == TIME_NEVER)
        tcp->timer = time_add(now, tcp->rto);
    return true;
}

static bool emit_data(struct tcp *tcp, nanotime now, uint32_t seq, uint32_t len,
                      struct tcp_segment *out)
{
    uint8_t flags = TCP_ACK;
    uint32_t end = seq + len;
    if (len && end == tcp_out_end(tcp))
        flags |= TCP_PSH;
    if (tcp->fin_wanted && end == tcp_out_end(tcp))
        flags |= TCP_FIN;
    return emit(tcp, now, seq, flags, len, out);
}

static bool send_syn(struct tcp *tcp, nanotime now, struct tcp_segment *out)
{
    if (tcp->next != tcp->config.iss) {
        if (tcp->ack_now && tcp->state == TCP_SYN_RECEIVED)
            return emit(tcp, now, tcp->next, TCP_ACK, 0, out);
        tcp->ack_now = false;
        return false;
    }
    tcp->next = tcp->config.iss + 1;
    uint8_t flags = tcp->state == TCP_SYN_RECEIVED ? TCP_SYN | TCP_ACK : TCP_SYN;
    return emit(tcp, now, tcp->config.iss, flags, 0, out);
}

// The segment at una once more: what three acknowledgements said is missing.
static bool send_again(struct tcp *tcp, nanotime now, struct tcp_segment *out)
{
    tcp->resend = false;
    if (tcp->una == tcp->max || tcp_before(tcp->una, tcp->out_seq))
        return false;
    tcp->timing = false;
    tcp->stats.fast_retransmits++;
    uint32_t len = tcp_min(tcp->mss, tcp_out_end(tcp) - tcp->una);
    if (tcp_before(tcp_out_end(tcp), tcp->una))
        len = 0;
    return emit_data(tcp, now, tcp->una, len, out);
}

static bool send_probe(struct tcp *tcp, nanotime now, struct tcp_segment *out)
{
    tcp->probe = false;
    if (tcp->window > 0 || tcp->next == tcp_out_end(tcp))
        return false;
    bool sent = emit_data(tcp, now, tcp->next, 1, out);
    tcp->timing = false;
    return sent;
}

enum fresh { FRESH_NONE, FRESH_SEGMENT, FRESH_STALLED }; // stalled: the window is closed

// As much as both windows let go, in segments worth their headers (RFC 9293 3.8.6.2.1).
static enum fresh fresh_segment(const struct tcp *tcp, uint32_t *len)
{
    // RFC 3042: each of the first two duplicate acknowledgements lets one more segment go.
    uint32_t limited = tcp->recovering || tcp->duplicates == 0 ? 0 : tcp_min(tcp->duplicates, 2);
    uint32_t edge = tcp->una + tcp_min(tcp->window, tcp->cwnd + limited * tcp->mss);
    uint32_t end = tcp_out_end(tcp);
    *len = 0;
    if (!tcp_before(tcp->next, end + tcp->fin_wanted))
        return FRESH_NONE;
    uint32_t unsent = tcp_before(tcp->next, end) ? end - tcp->next : 0;
    if (unsent == 0)
        return FRESH_SEGMENT; // the FIN
    uint32_t may = tcp_before(tcp->next, edge) ? edge - tcp->next : 0;
    uint32_t flight = tcp->next - tcp->una;
    *len = tcp_min(tcp_min(tcp->mss, unsent), may);
    if (*len == 0)
        return tcp->window == 0 && flight == 0 ? FRESH_STALLED : FRESH_NONE;
    bool small = *len < unsent && *len < tcp->mss && *len < tcp->window_max / 2;
    return small && flight > 0 ? FRESH_NONE : FRESH_SEGMENT;
}

static bool send_new(struct tcp *tcp, nanotime now, struct tcp_segment *out)
{
    uint32_t len, seq = tcp->next;
    enum fresh fresh = fresh_segment(tcp, &len);
    if (fresh == FRESH_STALLED && tcp->timer == TIME_NEVER)
        tcp->timer = time_add(now, tcp->rto);
    if (fresh != FRESH_SEGMENT)
        return false;
    tcp->next += len;
    if (tcp->fin_wanted && tcp->next == tcp_out_end(tcp))
        tcp->next++;
    return emit_data(tcp, now, seq, len, out);
}

static bool is_speaking(const struct tcp *tcp)
{
    return tcp->state != TCP_CLOSED && tcp->state != TCP_TIME_WAIT && !is_handshake(tcp);
}

bool tcp_poll(struct tcp *tcp, nanotime now, struct tcp_segment *out)
{
    fire_timers(tcp, now);
    if (tcp->reset_due) {
        tcp->reset_due = false;
        *out = (struct tcp_segment){
            .seq = tcp->max, .ack = tcp->receive_next, .flags = TCP_RST | TCP_ACK};
        tcp->stats.segments_sent++;
        return true;
    }
    if (is_handshake(tcp))
        return send_syn(tcp, now, out);
    if (is_speaking(tcp) && ((tcp->resend && send_again(tcp, now, out)) ||
                             (tcp->probe && send_probe(tcp, now, out)) || send_new(tcp, now, out)))
        return true;
    if (tcp->state == TCP_CLOSED || !tcp->ack_now)
        return false;
    // Not from `next`: what goes again from there is old to the other side, and its window is
    // beyond.
    return emit(tcp, now, tcp->max, TCP_ACK, 0, out);
}

// Something is to be sent that no timer is needed for.
static bool has_output(const struct tcp *tcp)
{
    if (tcp->reset_due)
        return true;
    if (is_handshake(tcp))
        return tcp->next == tcp->config.iss || tcp->ack_now;
    if (tcp->state == TCP_CLOSED)
        return false;
    if (tcp->ack_now || (is_speaking(tcp) && (tcp->resend || tcp->probe)))
        return true;
    uint32_t len;
    enum fresh fresh = is_speaking(tcp) ? fresh_segment(tcp, &len) : FRESH_NONE;
    return fresh == FRESH_SEGMENT || (fresh == FRESH_STALLED && tcp->timer == TIME_NEVER);
}

nanotime tcp_deadline(const struct tcp *tcp)
{
    if (has_output(tcp))
        return 0;
    return time_min(time_min(tcp->timer, tcp->ack_at), tcp->gone_at);
}
