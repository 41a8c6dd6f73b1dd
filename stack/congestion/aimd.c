#include "stack/congestion/aimd_priv.h"

#include <assert.h>

#define BETA 0.85 // draft 5.5: of what was received
#define DEFAULT_RTT (200 * TIME_MS)
#define DETECTOR_TIME (100 * TIME_MS) // about what it takes to see an overuse
#define PACKET_BITS (1200 * 8.0)
#define FRAMES_PER_SECOND 30.0
#define ADDITIVE_MIN_BPS 4000.0 // a second
#define MULTIPLICATIVE_MIN_BPS 1000.0
#define GROWTH_LOG 0.0769610411361284 // ln 1.08
#define GROWTH_SPAN_MAX 6

#define LINK_WEIGHT 0.05
#define LINK_VARIANCE_MIN 0.4 // 14 kbit/s of 500
#define LINK_VARIANCE_MAX 2.5 // 35 kbit/s of 500

static double clamp(double x, double low, double high)
{
    if (x < low)
        return low;
    return x > high ? high : x;
}

double rate_growth(nanotime span)
{
    double factor = 1;
    if (span > GROWTH_SPAN_MAX * TIME_S)
        span = GROWTH_SPAN_MAX * TIME_S;
    for (; span > TIME_S; span -= TIME_S)
        factor *= 1.08;
    // e^x for x <= 0.077: the fourth term is below 1e-6.
    double x = GROWTH_LOG * (double)(span > 0 ? span : 0) / (double)TIME_S;
    return factor * (1 + x + x * x / 2 + x * x * x / 6);
}

static void link_sample(struct link_capacity *link, double bps)
{
    double sample = bps / 1000;
    if (!link->known) {
        *link =
            (struct link_capacity){.known = true, .kbps = sample, .variance = LINK_VARIANCE_MIN};
        return;
    }
    link->kbps = (1 - LINK_WEIGHT) * link->kbps + LINK_WEIGHT * sample;
    double error = link->kbps - sample, norm = link->kbps > 1 ? link->kbps : 1;
    link->variance = clamp((1 - LINK_WEIGHT) * link->variance + LINK_WEIGHT * error * error / norm,
                           LINK_VARIANCE_MIN, LINK_VARIANCE_MAX);
}

// More than three standard deviations away? Squares are compared, so that no root is needed.
static bool link_is_far(const struct link_capacity *link, double bps)
{
    double error = bps / 1000 - link->kbps;
    return error * error > 9 * link->variance * link->kbps;
}

void aimd_init(struct aimd *aimd, double min_bps, double max_bps)
{
    *aimd =
        (struct aimd){.min_bps = min_bps, .max_bps = max_bps, .bps = max_bps, .rtt = DEFAULT_RTT};
}

void aimd_limits(struct aimd *aimd, double min_bps, double max_bps)
{
    aimd->min_bps = min_bps;
    aimd->max_bps = max_bps;
    aimd->bps = clamp(aimd->bps, min_bps, max_bps);
}

void aimd_set(struct aimd *aimd, nanotime now, double bps)
{
    aimd->known = true;
    aimd->bps = clamp(bps, aimd->min_bps, aimd->max_bps);
    aimd->changed = true;
    aimd->changed_at = now;
    if (aimd->throughput_bps <= 0)
        aimd->throughput_bps = aimd->bps;
}

bool aimd_may_reduce(const struct aimd *aimd, nanotime now, double throughput_bps)
{
    nanotime wait = time_min(time_max(aimd->rtt, 10 * TIME_MS), 200 * TIME_MS);
    if (!aimd->changed || now - aimd->changed_at >= wait)
        return true;
    return aimd->known && throughput_bps < aimd->bps / 2;
}

// draft-ietf-rmcat-gcc-02 5.5: near the capacity, half a packet of the usual size for each response
// time, which is the round trip and what the detector needs.
static double additive_per_second(const struct aimd *aimd)
{
    double frame_bits = aimd->bps / FRAMES_PER_SECOND;
    uint64_t packets = (uint64_t)(frame_bits / PACKET_BITS) + 1;
    double packet_bits = frame_bits / (double)packets;
    double response_s = 2 * (double)(aimd->rtt + DETECTOR_TIME) / (double)TIME_S;
    double rate = packet_bits / response_s;
    return rate > ADDITIVE_MIN_BPS ? rate : ADDITIVE_MIN_BPS;
}

static void increase(struct aimd *aimd, nanotime now, double throughput_bps)
{
    if (aimd->link.known && throughput_bps / 1000 > aimd->link.kbps &&
        link_is_far(&aimd->link, throughput_bps))
        aimd->link.known = false;

    // draft-ietf-rmcat-gcc-02 5.5: at most 1.5 times what is received, else a sender that has
    // little to send would believe in any rate.
    double limit = 1.5 * throughput_bps + 10000;
    if (aimd->bps < limit) {
        nanotime span = aimd->changed ? now - aimd->changed_at : 0;
        double next;
        if (aimd->link.known) {
            next = aimd->bps + additive_per_second(aimd) * (double)span / (double)TIME_S;
        } else {
            double more = aimd->bps * (rate_growth(time_min(span, TIME_S)) - 1);
            next = aimd->bps + (more > MULTIPLICATIVE_MIN_BPS ? more : MULTIPLICATIVE_MIN_BPS);
        }
        aimd->bps = next < limit ? next : limit;
    }
    aimd->changed = true;
    aimd->changed_at = now;
}

static void decrease(struct aimd *aimd, nanotime now, double throughput_bps)
{
    double next = BETA * throughput_bps;
    if (next > aimd->bps && aimd->link.known)
        next = BETA * aimd->link.kbps * 1000;
    if (next < aimd->bps || !aimd->known)
        aimd->bps = next;
    if (aimd->link.known && throughput_bps / 1000 < aimd->link.kbps &&
        link_is_far(&aimd->link, throughput_bps))
        aimd->link.known = false; // the path has changed: learn it anew
    link_sample(&aimd->link, throughput_bps);
    aimd->known = true;
    aimd->state = AIMD_HOLD; // until the queue is empty
    aimd->changed = true;
    aimd->changed_at = now;
}

void aimd_cut(struct aimd *aimd, nanotime now, double carried_bps)
{
    double next = clamp(BETA * carried_bps, aimd->min_bps, aimd->max_bps);
    aimd->bps = next < aimd->bps ? next : aimd->bps;
    aimd->state = AIMD_HOLD; // until the queue is empty
    aimd->changed = true;
    aimd->changed_at = now;
}

// draft-ietf-rmcat-gcc-02 5.5: the table of signals and states.
static void state_change(struct aimd *aimd, nanotime now, enum gcc_usage usage)
{
    switch (usage) {
    case GCC_NORMAL:
        if (aimd->state == AIMD_HOLD) {
            aimd->changed = true;
            aimd->changed_at = now;
            aimd->state = AIMD_INCREASE;
        }
        break;
    case GCC_OVERUSE:
        aimd->state = AIMD_DECREASE;
        break;
    case GCC_UNDERUSE:
        aimd->state = AIMD_HOLD;
        break;
    }
}

void aimd_update(struct aimd *aimd, nanotime now, enum gcc_usage usage, double throughput_bps)
{
    if (throughput_bps > 0)
        aimd->throughput_bps = throughput_bps;
    if (!aimd->known && (usage != GCC_OVERUSE || aimd->throughput_bps <= 0))
        return;
    state_change(aimd, now, usage);
    switch (aimd->state) {
    case AIMD_HOLD:
        break;
    case AIMD_INCREASE:
        increase(aimd, now, aimd->throughput_bps);
        break;
    case AIMD_DECREASE:
        decrease(aimd, now, aimd->throughput_bps);
        break;
    }
    aimd->bps = clamp(aimd->bps, aimd->min_bps, aimd->max_bps);
}
