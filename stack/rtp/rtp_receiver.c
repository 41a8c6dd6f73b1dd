#include "stack/rtp/rtp_receiver.h"

#include <assert.h>

#define SEQUENCES 65536u
#define NO_BAD_SEQUENCE (SEQUENCES + 1) // one that no packet has (RFC 3550 A.1)

const char *rtp_receiver_outcome_name(enum rtp_receiver_outcome outcome)
{
    static const char *const names[RTP_RECEIVER_OUTCOMES] = {
        [RTP_RECEIVER_NEW] = "new",
        [RTP_RECEIVER_RESTART] = "restart",
        [RTP_RECEIVER_DUPLICATE] = "duplicate",
        [RTP_RECEIVER_TOO_OLD] = "too-old",
        [RTP_RECEIVER_JUMP] = "jump",
        [RTP_RECEIVER_PROBATION] = "probation",
    };
    assert(outcome < RTP_RECEIVER_OUTCOMES);
    return names[outcome];
}

void rtp_receiver_init(struct rtp_receiver *r, uint32_t ssrc,
                       const struct rtp_receiver_config *config)
{
    assert(config->clock_rate > 0);
    assert(config->misorder_max <= RTP_RECEIVER_WINDOW);
    *r = (struct rtp_receiver){.config = *config, .ssrc = ssrc};
    r->stats.last_packet_received = TIME_NEVER;
    if (r->config.dropout_max == 0)
        r->config.dropout_max = RTP_MAX_DROPOUT;
    if (r->config.misorder_max == 0)
        r->config.misorder_max = RTP_MAX_MISORDER;
    if (r->config.min_sequential == 0)
        r->config.min_sequential = 1;
}

// ----------------------------------------------------------------------------- sequence numbers

static bool window_take(struct rtp_receiver *r, uint16_t sequence)
{
    unsigned at = sequence % RTP_RECEIVER_WINDOW;
    uint64_t bit = 1ull << at % 64;
    if (r->window[at / 64] & bit)
        return false;
    r->window[at / 64] |= bit;
    return true;
}

// The numbers after `from` up to `to` have not come.
static void window_advance(struct rtp_receiver *r, uint16_t from, uint16_t to)
{
    unsigned steps = (uint16_t)(to - from);
    if (steps >= RTP_RECEIVER_WINDOW) {
        memset(r->window, 0, sizeof r->window);
        return;
    }
    for (unsigned i = 1; i <= steps; i++) {
        unsigned at = (uint16_t)(from + i) % RTP_RECEIVER_WINDOW;
        r->window[at / 64] &= ~(1ull << at % 64);
    }
}

// RFC 3550 A.1, init_seq: `sequence` is the first of the source.
static void begin(struct rtp_receiver *r, uint16_t sequence)
{
    r->base_sequence = sequence;
    r->max_sequence = sequence;
    r->bad_sequence = NO_BAD_SEQUENCE;
    r->cycles = 0;
    r->received = 0;
    r->received_prior = 0;
    r->expected_prior = 0;
    r->has_transit = false;
    r->jitter_q4 = 0;
    memset(r->window, 0, sizeof r->window);
    (void)window_take(r, sequence);
}

// RFC 3550 A.1: a source is believed after MIN_SEQUENTIAL packets in sequence.
static enum rtp_receiver_outcome probe(struct rtp_receiver *r, uint16_t sequence)
{
    bool follows = r->started && sequence == (uint16_t)(r->max_sequence + 1);
    if (!follows)
        r->probation = r->config.min_sequential;
    r->started = true;
    r->max_sequence = sequence;
    if (--r->probation > 0)
        return RTP_RECEIVER_PROBATION;
    begin(r, sequence);
    return RTP_RECEIVER_NEW;
}

// RFC 3550 A.1, update_seq.
static enum rtp_receiver_outcome place(struct rtp_receiver *r, uint16_t sequence)
{
    uint16_t ahead = (uint16_t)(sequence - r->max_sequence);
    if (ahead != 0 && ahead < r->config.dropout_max) { // in order, with permissible gap
        if (sequence < r->max_sequence)
            r->cycles += SEQUENCES;
        window_advance(r, r->max_sequence, sequence);
        r->max_sequence = sequence;
        (void)window_take(r, sequence);
        r->bad_sequence = NO_BAD_SEQUENCE;
        return RTP_RECEIVER_NEW;
    }
    unsigned behind = (uint16_t)(r->max_sequence - sequence);
    if (behind < r->config.misorder_max)
        return window_take(r, sequence) ? RTP_RECEIVER_NEW : RTP_RECEIVER_DUPLICATE;
    if (sequence == r->bad_sequence) { // two in sequence: the other side began anew
        begin(r, sequence);
        return RTP_RECEIVER_RESTART;
    }
    r->bad_sequence = (uint16_t)(sequence + 1);
    return behind < SEQUENCES / 2 ? RTP_RECEIVER_TOO_OLD : RTP_RECEIVER_JUMP;
}

// ----------------------------------------------------------------------------------------- jitter

// `now` in timestamp units, modulo 2^32.
static uint32_t timestamp_of(const struct rtp_receiver *r, nanotime now)
{
    uint64_t rate = r->config.clock_rate;
    uint64_t seconds = (uint64_t)(now / TIME_S), rest = (uint64_t)(now % TIME_S);
    return (uint32_t)(seconds * rate + rest * rate / (uint64_t)TIME_S);
}

// RFC 3550 A.8, in the integer form: the estimate is kept times 16.
static void measure_jitter(struct rtp_receiver *r, nanotime now, uint32_t timestamp)
{
    uint32_t transit = timestamp_of(r, now) - timestamp;
    uint32_t before = r->transit;
    r->transit = transit;
    if (!r->has_transit) {
        r->has_transit = true;
        return;
    }
    uint32_t d = transit - before;
    if (d > INT32_MAX)
        d = 0u - d;
    uint64_t jitter = r->jitter_q4 + (uint64_t)d - ((r->jitter_q4 + 8u) >> 4);
    r->jitter_q4 = jitter < UINT32_MAX - 8 ? (uint32_t)jitter : UINT32_MAX - 8;
}

// -------------------------------------------------------------------------------------- the verbs

static void count(struct rtp_receiver *r, nanotime now, const struct rtp_packet *packet)
{
    r->received++;
    r->stats.packets_received++;
    r->stats.bytes_received += packet->payload.len;
    r->stats.header_bytes_received += RTP_HEADER_LEN + 4u * packet->csrc_count + packet->padding +
                                      (packet->has_extension ? 4 + packet->extension.len : 0);
    r->stats.last_packet_received = now;
}

enum rtp_receiver_outcome rtp_receiver_input(struct rtp_receiver *r, nanotime now,
                                             const struct rtp_packet *packet)
{
    bool valid = rtp_receiver_is_valid(r);
    uint16_t highest = r->max_sequence;
    enum rtp_receiver_outcome outcome =
        valid ? place(r, packet->sequence) : probe(r, packet->sequence);
    switch (outcome) {
    case RTP_RECEIVER_RESTART:
        r->stats.restarts++;
        break;
    case RTP_RECEIVER_NEW:
        if (valid && rtp_later(highest, packet->sequence))
            r->stats.packets_late++;
        break;
    case RTP_RECEIVER_DUPLICATE:
        // RFC 3550 6.4.1: duplicates count as received, so that the number lost may be negative.
        r->stats.packets_duplicated++;
        count(r, now, packet);
        return outcome;
    case RTP_RECEIVER_TOO_OLD:
    case RTP_RECEIVER_JUMP:
        r->stats.packets_refused++;
        return outcome;
    case RTP_RECEIVER_PROBATION:
    case RTP_RECEIVER_OUTCOMES:
        return outcome;
    }
    count(r, now, packet);
    measure_jitter(r, now, packet->timestamp);
    return outcome;
}

void rtp_receiver_clock_rate(struct rtp_receiver *r, uint32_t clock_rate)
{
    assert(clock_rate > 0);
    if (clock_rate == r->config.clock_rate)
        return;
    r->config.clock_rate = clock_rate;
    r->has_transit = false;
    r->jitter_q4 = 0;
}

void rtp_receiver_sender_report(struct rtp_receiver *r, nanotime now, uint64_t ntp)
{
    r->lsr = rtcp_ntp_middle(ntp);
    r->lsr_at = now;
}

void rtp_receiver_discarded(struct rtp_receiver *r)
{
    r->stats.packets_discarded++;
}

bool rtp_receiver_is_valid(const struct rtp_receiver *r)
{
    return r->started && r->probation == 0;
}

uint32_t rtp_receiver_highest(const struct rtp_receiver *r)
{
    return rtp_receiver_is_valid(r) ? r->cycles + r->max_sequence : 0;
}

static uint64_t expected(const struct rtp_receiver *r)
{
    if (!rtp_receiver_is_valid(r))
        return 0;
    return (uint32_t)(r->cycles + r->max_sequence - r->base_sequence) + 1ull;
}

// RFC 3550 A.3.
bool rtp_receiver_report(struct rtp_receiver *r, nanotime now, struct rtcp_block *out)
{
    if (!rtp_receiver_is_valid(r))
        return false;
    uint64_t all = expected(r);
    int64_t lost = (int64_t)(all - r->received);
    int64_t expected_interval = (int64_t)(all - r->expected_prior);
    int64_t lost_interval = expected_interval - (int64_t)(r->received - r->received_prior);
    r->expected_prior = all;
    r->received_prior = r->received;
    int64_t fraction = 0;
    if (expected_interval > 0 && lost_interval > 0)
        fraction = lost_interval * 256 / expected_interval;
    *out = (struct rtcp_block){
        .ssrc = r->ssrc,
        .fraction_lost = fraction > UINT8_MAX ? UINT8_MAX : (uint8_t)fraction,
        .cumulative_lost = lost > 0x7fffff    ? 0x7fffff
                           : lost < -0x800000 ? -0x800000
                                              : (int32_t)lost,
        .highest_sequence = rtp_receiver_highest(r),
        .jitter = r->jitter_q4 >> 4,
        .lsr = r->lsr,
        .dlsr = r->lsr ? rtcp_span(now - r->lsr_at) : 0, // RFC 3550 6.4.1: 0 without an SR
    };
    return true;
}

struct rtp_receiver_stats rtp_receiver_stats_read(const struct rtp_receiver *r)
{
    struct rtp_receiver_stats stats = r->stats;
    stats.packets_lost = (int64_t)(expected(r) - r->received);
    stats.jitter = r->jitter_q4 >> 4;
    return stats;
}
