#include "stack/congestion/remb.h"

#include <stdlib.h>

#include "base/arena.h"
#include "stack/congestion/aimd_priv.h"
#include "stack/congestion/trend_priv.h"

#define INTERVAL TIME_S
#define UPDATE_INTERVAL (100 * TIME_MS) // of the estimate, while nothing is wrong
#define LEARN_TIME (5 * TIME_S)         // then what came in is the first estimate
#define FALL_SHARE 0.97
#define FALL_INTERVAL (200 * TIME_MS)

#define BUCKETS 20 // of 50 ms: the last second
#define BUCKET (50 * TIME_MS)

struct incoming {
    uint64_t bytes[BUCKETS];
    uint64_t sum;
    int64_t newest; // bucket's number
    bool started;
    nanotime started_at;
};

struct remb {
    struct trend trend;
    struct aimd aimd;
    struct incoming incoming;
    bool has_send_time;
    uint32_t send_time;  // 24 bits
    int64_t send_ticks;  // unwrapped
    nanotime updated_at; // of the estimate
    bool sent;
    nanotime sent_at;
    double sent_bps;
    uint64_t sent_packets; // received until then
    struct remb_stats counts;
};

struct remb *remb_new(const struct remb_config *config)
{
    struct remb *remb = mem_zero(1, sizeof *remb);
    trend_init(&remb->trend);
    aimd_init(&remb->aimd, config->min_bps ? config->min_bps : GCC_MIN_BPS,
              config->max_bps ? config->max_bps : GCC_MAX_BPS);
    return remb;
}

void remb_free(struct remb *remb)
{
    free(remb);
}

static void incoming_move(struct incoming *incoming, nanotime now)
{
    int64_t bucket = now / BUCKET;
    if (!incoming->started) {
        incoming->started = true;
        incoming->started_at = now;
        incoming->newest = bucket;
    }
    int64_t empty = bucket - incoming->newest;
    for (int64_t i = 1; i <= empty && i <= BUCKETS; i++) {
        uint64_t *at = &incoming->bytes[(incoming->newest + i) % BUCKETS];
        incoming->sum -= *at;
        *at = 0;
    }
    if (empty > 0)
        incoming->newest = bucket;
}

// 0 until there is half a second to look at.
static double incoming_bps(const struct incoming *incoming, nanotime now)
{
    nanotime span = now - (incoming->newest - BUCKETS + 1) * BUCKET;
    if (incoming->started)
        span = time_min(span, now - incoming->started_at);
    if (!incoming->started || span < TIME_S / 2)
        return 0;
    return (double)incoming->sum * 8e9 / (double)span;
}

// abs-send-time counts 1/2^18 s in 24 bits.
static nanotime send_time_unwrap(struct remb *remb, uint32_t value)
{
    value &= 0xffffff;
    if (!remb->has_send_time) {
        remb->has_send_time = true;
        remb->send_ticks = value;
    } else {
        int32_t step = (int32_t)((value - remb->send_time) & 0xffffff);
        if (step >= 0x800000)
            step -= 0x1000000;
        remb->send_ticks += step;
    }
    remb->send_time = value;
    return remb->send_ticks * 1953125 / 512; // 10^9 / 2^18
}

static void estimate_update(struct remb *remb, nanotime now)
{
    double bps = incoming_bps(&remb->incoming, now);
    struct aimd *aimd = &remb->aimd;
    remb->updated_at = now;
    if (bps <= 0)
        return;
    if (!aimd->known && remb->trend.usage != GCC_OVERUSE) {
        if (now - remb->incoming.started_at >= LEARN_TIME)
            aimd_set(aimd, now, bps);
        return;
    }
    if (remb->trend.usage == GCC_OVERUSE && aimd->known && !aimd_may_reduce(aimd, now, bps))
        return;
    aimd_update(aimd, now, remb->trend.usage, bps);
}

void remb_packet(struct remb *remb, nanotime now, uint32_t abs_send_time, size_t size)
{
    remb->counts.packets++;
    incoming_move(&remb->incoming, now);
    remb->incoming.bytes[remb->incoming.newest % BUCKETS] += size;
    remb->incoming.sum += size;
    enum gcc_usage before = remb->trend.usage;
    trend_packet(&remb->trend, now, send_time_unwrap(remb, abs_send_time), now);
    bool over = remb->trend.usage == GCC_OVERUSE;
    if (over && before != GCC_OVERUSE)
        remb->counts.overuses++;
    if (over || now - remb->updated_at >= UPDATE_INTERVAL)
        estimate_update(remb, now);
}

void remb_rtt(struct remb *remb, nanotime rtt)
{
    if (rtt > 0)
        remb->aimd.rtt = rtt;
}

nanotime remb_deadline(const struct remb *remb)
{
    if (!remb->aimd.known || remb->counts.packets == remb->sent_packets)
        return TIME_NEVER; // nothing known, or nothing came since the last one
    if (!remb->sent)
        return 0;
    bool fell = remb->aimd.bps < FALL_SHARE * remb->sent_bps;
    return remb->sent_at + (fell ? FALL_INTERVAL : INTERVAL);
}

bool remb_poll(struct remb *remb, nanotime now, uint32_t *bps)
{
    if (now < remb_deadline(remb))
        return false;
    remb->sent = true;
    remb->sent_at = now;
    remb->sent_bps = remb->aimd.bps;
    remb->sent_packets = remb->counts.packets;
    remb->counts.sent++;
    *bps = (uint32_t)remb->aimd.bps;
    return true;
}

void remb_stats(const struct remb *remb, struct remb_stats *out)
{
    *out = remb->counts;
    out->estimate_bps = remb->aimd.known ? (uint32_t)remb->aimd.bps : 0;
    nanotime now = (remb->incoming.newest + 1) * BUCKET;
    out->incoming_bps = (uint32_t)incoming_bps(&remb->incoming, now);
    out->trend_ms = remb->trend.scaled_ms;
    out->threshold_ms = remb->trend.threshold_ms;
    out->usage = remb->trend.usage;
}
