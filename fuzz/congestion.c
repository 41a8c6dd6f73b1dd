// Congestion control from end to end, with the path in the hand of the bytes: a pacer lets packets
// go as the target allows, what arrives is noted and reported, and reports come back late, twice,
// never, or made up.
//
//   - the target and the receiver's own estimate stay within their limits, no number is NaN;
//   - the pacer sends what was pushed, all of it, in order, the more urgent first, and refuses what
//     is more than it may hold, no other; without further load it is empty within its queue time;
//     bytes in are bytes out;
//   - a feedback is a run of sequences; what it calls received came at that time, and is told once;
//   - what is due makes progress, time never goes back, the heap stays small.
#include "fuzz/fuzz.h"
#include "stack/congestion/pacer.h"
#include "stack/congestion/remb.h"

// libFuzzer: -max_len=2000

#define FLIGHT 4096
#define MEMORY_MAX (4u << 20)
#define STEPS_MAX 20000
#define QUEUE_TIME_MAX TIME_S
#define DRAIN_MAX (QUEUE_TIME_MAX + TIME_S) // and the half second that a burst may silence others
#define PROBE_PATIENCE (5 * TIME_S)         // what a probe may take of it
#define STRAYS_MAX 7
#define REMB_MIN 40000
#define REMB_MAX 3000000

struct packet {
    nanotime at;
    uint16_t sequence;
    uint32_t size, send_time;
};

// What came, by sequence: in a run no sequence comes around.
struct landed {
    unsigned run; // when it is that of another, nothing is known
    bool came, told;
    nanotime at;
};
static struct landed landed[1 << 16];
static unsigned run;

struct bench {
    nanotime now;
    struct gcc *gcc;
    struct pacer *pacer;
    struct arrival *arrival;
    struct remb *remb;
    struct reader r;
    uint32_t min_bps, max_bps;
    unsigned packets_max; // of the pacer
    bool use_remb;
    unsigned strays;
    uint16_t sequence;
    struct packet flight[FLIGHT]; // in order of arrival, as time goes on
    unsigned first, flying;
    nanotime delay, free_at, last_at;
    uint32_t rate, loss; // of the path; of 256
    uint64_t pushed[PACER_PRIORITIES], sent[PACER_PRIORITIES];
    uint64_t bytes_in, bytes_out;
    unsigned steps;
    struct arrival_result last[ARRIVAL_TAKE_MAX]; // to be told again
    unsigned last_count;
};

static bool is_number(double x)
{
    return x - x == 0; // neither NaN nor infinite
}

static struct landed *landed_of(uint16_t sequence)
{
    struct landed *came = &landed[sequence];
    if (came->run != run)
        *came = (struct landed){.run = run};
    return came;
}

static void launch(struct bench *b, uint32_t size, int probe, bool retransmission)
{
    const struct gcc_packet packet = {b->sequence++, size, probe, retransmission};
    gcc_sent(b->gcc, b->now, &packet);
    unsigned fate = read_u8(&b->r);
    nanotime begin = time_max(b->now, b->free_at);
    if (fate < b->loss || begin - b->now > 400 * TIME_MS)
        return;
    b->free_at = begin + (nanotime)size * 8 * TIME_S / b->rate;
    nanotime at = time_max(b->free_at + b->delay, b->last_at);
    b->last_at = at;
    uint32_t send_time = (uint32_t)(b->now / 3815); // about 2^-18 s
    for (unsigned i = 0; i < (fate > 250 ? 2u : 1u) && b->flying < FLIGHT; i++)
        b->flight[(b->first + b->flying++) % FLIGHT] =
            (struct packet){at, packet.sequence, size, send_time};
}

static void pace(struct bench *b)
{
    struct pacer_output out;
    while (pacer_poll(b->pacer, b->now, &out)) {
        b->steps++;
        assert(b->steps < STEPS_MAX);
        if (out.kind == PACER_PAD) {
            assert(out.pad_bytes > 0);
            launch(b, out.pad_bytes < 1200 ? out.pad_bytes : 1200, out.probe_cluster, false);
            continue;
        }
        enum pacer_priority priority = out.item.priority;
        assert(out.item.handle == b->sent[priority]); // in order
        assert(out.waited >= 0 && b->sent[priority] < b->pushed[priority]);
        for (unsigned i = 0; i < priority; i++)
            assert(b->sent[i] == b->pushed[i]); // the more urgent is gone
        b->sent[priority]++;
        b->bytes_out += out.item.size;
        launch(b, out.item.size, out.probe_cluster, priority == PACER_RETRANSMISSION);
    }
    assert(pacer_deadline(b->pacer, b->now) > b->now);
}

static void control(struct bench *b)
{
    struct gcc_output out;
    while (gcc_poll(b->gcc, b->now, &out)) {
        b->steps++;
        assert(b->steps < STEPS_MAX);
        if (out.kind == GCC_PROBE) {
            assert(out.probe.bps > 0 && out.probe.packets > 0 && out.probe.cluster >= 0);
            pacer_probe(b->pacer, b->now, &out.probe);
            continue;
        }
        const struct gcc_target *t = &out.target;
        assert(t->bps >= b->min_bps && t->bps <= b->max_bps && t->stable_bps <= t->bps);
        assert(t->bps == gcc_target(b->gcc));
        pacer_set_rate(b->pacer, b->now, t->bps);
    }
    assert(gcc_deadline(b->gcc) > b->now);
    uint32_t target = gcc_target(b->gcc);
    assert(target >= b->min_bps && target <= b->max_bps);
}

static void report(struct bench *b)
{
    while (arrival_due(b->arrival, b->now)) {
        b->steps++;
        unsigned n = arrival_take(b->arrival, b->now, b->last, ARRIVAL_TAKE_MAX);
        if (n == 0)
            break;
        nanotime least = TIME_NEVER, most = 0;
        for (unsigned i = 0; i < n; i++) {
            const struct arrival_result *result = &b->last[i];
            assert(result->sequence == (uint16_t)(b->last[0].sequence + i));
            if (!result->received)
                continue;
            struct landed *came = landed_of(result->sequence);
            assert(came->came && !came->told && result->received_at <= came->at);
            assert(came->at - result->received_at < 250 * TIME_US);
            came->told = true;
            least = time_min(least, result->received_at);
            most = time_max(most, result->received_at);
        }
        assert(b->last[n - 1].received && most - least <= 8 * TIME_S);
        b->last_count = n;
        unsigned how = read_u8(&b->r);
        if (how < 224) // else it is lost
            gcc_feedback(b->gcc, b->now, b->last, n);
        if (how >= 192 && how < 224) // or comes twice
            gcc_feedback(b->gcc, b->now, b->last, n);
    }
}

static void land_one(struct bench *b, const struct packet *p)
{
    struct landed *came = landed_of(p->sequence);
    enum arrival_outcome outcome = arrival_packet(b->arrival, b->now, p->sequence, p->size);
    assert(arrival_outcome_name(outcome));
    remb_packet(b->remb, b->now, p->send_time, p->size);
    if (outcome == ARRIVAL_TOO_OLD)
        return;
    assert((outcome == ARRIVAL_DUPLICATE) == came->came);
    came->at = came->came ? came->at : b->now;
    came->came = true;
}

static void land(struct bench *b)
{
    for (; b->flying && b->flight[b->first].at <= b->now; b->flying--) {
        land_one(b, &b->flight[b->first]);
        b->first = (b->first + 1) % FLIGHT;
    }
}

// A packet that this sender did not send, ahead of its own or behind them.
static void stray(struct bench *b)
{
    uint16_t ahead = (uint16_t)(read_u16(&b->r) % 8000u - 4000u);
    struct packet packet = {b->now, (uint16_t)(b->sequence + ahead), 1000, read_u32(&b->r)};
    arrival_set_rate(b->arrival, read_u8(&b->r) * 4000u);
    if (b->strays++ < STRAYS_MAX)
        land_one(b, &packet);
}

// What a receiver that knows of no feedback says.
static void estimate(struct bench *b)
{
    uint32_t bps;
    struct remb_stats stats;
    while (remb_poll(b->remb, b->now, &bps)) {
        assert(bps >= REMB_MIN && bps <= REMB_MAX);
        b->steps++;
        if (b->use_remb)
            gcc_remb(b->gcc, b->now, bps);
    }
    assert(remb_deadline(b->remb) > b->now);
    remb_stats(b->remb, &stats);
    assert(is_number(stats.trend_ms) && is_number(stats.threshold_ms));
    assert(stats.estimate_bps == 0 ||
           (stats.estimate_bps >= REMB_MIN && stats.estimate_bps <= REMB_MAX));
}

static void pass(struct bench *b, nanotime span)
{
    nanotime until = b->now + span;
    for (; b->steps < STEPS_MAX / 2; b->steps++) {
        land(b);
        report(b);
        estimate(b);
        control(b);
        pace(b);
        nanotime wake = time_min(gcc_deadline(b->gcc), pacer_deadline(b->pacer, b->now));
        wake = time_min(wake, time_max(arrival_deadline(b->arrival), b->now + 1));
        wake = time_min(wake, remb_deadline(b->remb));
        if (b->flying)
            wake = time_min(wake, b->flight[b->first].at);
        if (wake > until)
            break;
        b->now = time_max(b->now, wake);
    }
    b->now = until;
}

static void push(struct bench *b)
{
    unsigned how = read_u8(&b->r), count = 1 + how / 16 * 2;
    enum pacer_priority priority = (enum pacer_priority)(how % PACER_PRIORITIES);
    for (unsigned i = 0; i < count; i++) {
        const struct pacer_item item = {b->pushed[priority], 1 + read_u8(&b->r) * 5u, priority};
        unsigned waiting = pacer_stats(b->pacer)->queue_packets;
        bool long_queue = pacer_queue_time(b->pacer) >= 2 * QUEUE_TIME_MAX;
        enum pacer_outcome outcome = pacer_push(b->pacer, b->now, &item);
        assert(pacer_outcome_name(outcome));
        assert((outcome == PACER_FULL_PACKETS) == (waiting == b->packets_max));
        assert((outcome == PACER_FULL_TIME) ==
               (priority != PACER_AUDIO && long_queue && waiting < b->packets_max));
        if (outcome != PACER_QUEUED)
            continue;
        b->pushed[priority]++;
        b->bytes_in += item.size;
    }
}

// Statuses of any sequences, received at any time.
static void lie(struct bench *b)
{
    struct arrival_result results[64];
    unsigned n = 1 + fuzz_choice(&b->r, 64);
    uint16_t base = (uint16_t)(b->sequence - read_u16(&b->r) % 300u);
    nanotime at = b->now + (int16_t)read_u16(&b->r) * TIME_MS;
    for (unsigned i = 0; i < n; i++) {
        unsigned v = read_u8(&b->r);
        at += (int8_t)v * TIME_MS / 4;
        results[i] = (struct arrival_result){(uint16_t)(base + i), v & 1, v & 1 ? at : 0};
    }
    gcc_feedback(b->gcc, b->now, results, n);
}

static void check(const struct bench *b)
{
    struct gcc_stats stats;
    gcc_stats(b->gcc, &stats);
    assert(stats.target_bps == gcc_target(b->gcc));
    assert(stats.acked + stats.lost + stats.forgotten <= stats.sent + stats.lost);
    assert(stats.loss_256 <= 256 && is_number(stats.trend_ms) && is_number(stats.threshold_ms));
    assert(stats.rtt >= 0 && stats.in_flight_bytes <= GCC_HISTORY_MAX * 1300u);
    const struct pacer_stats *paced = pacer_stats(b->pacer);
    uint64_t waiting = 0, sent = 0;
    for (unsigned i = 0; i < PACER_PRIORITIES; i++) {
        waiting += b->pushed[i] - b->sent[i];
        sent += b->sent[i];
    }
    assert(paced->queue_packets == waiting && paced->sent_packets == sent);
    assert(paced->sent_bytes == b->bytes_out);
    assert(paced->queue_bytes == b->bytes_in - b->bytes_out);
    assert(paced->queue_packets <= b->packets_max);
}

static void step(struct bench *b)
{
    unsigned kind = fuzz_choice(&b->r, 16);
    if (kind < 6) {
        push(b);
    } else if (kind < 11) {
        pass(b, (nanotime)(1 + read_u8(&b->r)) * (kind == 10 ? 20 : 2) * TIME_MS);
    } else if (kind == 11) {
        b->rate = 10000 + read_u8(&b->r) * 20000u;
        b->loss = read_u8(&b->r) / 2;
        b->delay = (nanotime)read_u8(&b->r) * 2 * TIME_MS;
    } else if (kind == 12) {
        if (read_u8(&b->r) & 1)
            stray(b);
        else
            lie(b);
    } else if (kind == 13) {
        gcc_receiver_report(b->gcc, b->now, read_u8(&b->r), (nanotime)read_u16(&b->r) * TIME_MS);
        gcc_remb(b->gcc, b->now, read_u32(&b->r));
    } else if (kind == 14) {
        b->min_bps = 5000 + read_u8(&b->r) * 1000u;
        b->max_bps = b->min_bps + read_u16(&b->r) * 100u;
        gcc_set_limits(b->gcc, b->now, b->min_bps, b->max_bps);
    } else {
        gcc_start(b->gcc, b->now);
    }
    control(b);
    check(b);
}

// All that waits goes in time, at whatever rate it was.
static void drain(struct bench *b)
{
    nanotime began = b->now, left = pacer_stats(b->pacer)->queue_packets;
    struct pacer_output out;
    for (unsigned steps = 0; pacer_stats(b->pacer)->queue_packets > 0; steps++) {
        assert(steps < STEPS_MAX);
        b->now = time_max(b->now, pacer_deadline(b->pacer, b->now));
        while (pacer_poll(b->pacer, b->now, &out))
            left -= out.kind == PACER_SEND;
    }
    assert(left == 0 && b->now - began <= DRAIN_MAX + PROBE_PATIENCE);
}

static void give_back(struct bench *b)
{
    struct pacer_item item;
    uint64_t cleared = 0, waiting = pacer_stats(b->pacer)->queue_packets;
    for (enum pacer_priority last = 0; pacer_clear(b->pacer, &item); last = item.priority) {
        assert(item.priority >= last && item.handle < b->pushed[item.priority]);
        cleared++;
    }
    assert(cleared == waiting && pacer_stats(b->pacer)->queue_bytes == 0);
}

static void setup(struct bench *b, unsigned how)
{
    const struct gcc_config config = {
        .min_bps = b->min_bps, .max_bps = b->max_bps, .no_probes = how & 1, .alr_probes = how & 2};
    const struct pacer_config pacing = {
        .packets_max = how & 4 ? 50 : 0, .queue_time_max = QUEUE_TIME_MAX, .no_padding = how & 8};
    const struct remb_config receiving = {REMB_MIN, REMB_MAX};
    b->use_remb = how & 16;
    b->sequence = how & 32 ? 65500 : 0;
    b->packets_max = how & 4 ? 50 : PACER_PACKETS_MAX;
    b->gcc = gcc_new(&config);
    b->pacer = pacer_new(&pacing);
    b->arrival = arrival_new();
    b->remb = remb_new(&receiving);
    gcc_start(b->gcc, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bench b;
    size_t before = fuzz_memory();
    b = (struct bench){.r = reader_of(bytes_of(data, size)),
                       .min_bps = GCC_MIN_BPS,
                       .max_bps = 5000000,
                       .delay = 20 * TIME_MS,
                       .rate = 1000000};
    unsigned how = read_u8(&b.r);
    run++;
    setup(&b, how);
    while (b.r.len > 0 && b.steps < STEPS_MAX / 2)
        step(&b);
    fuzz_memory_check(before, MEMORY_MAX);
    if (how & 64)
        give_back(&b);
    else
        drain(&b);
    gcc_free(b.gcc);
    pacer_free(b.pacer);
    arrival_free(b.arrival);
    remb_free(b.remb);
    return 0;
}
