#include "stack/congestion/gcc.h"

#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "stack/congestion/aimd_priv.h"
#include "stack/congestion/loss_priv.h"
#include "stack/congestion/probe_priv.h"
#include "stack/congestion/throughput_priv.h"
#include "stack/congestion/trend_priv.h"

// draft-holmer-rmcat-transport-wide-cc-extensions-01 3.1: the reference time has 24 bits of 64 ms.
#define RECEIVER_CLOCK_SPAN ((nanotime)(1 << 24) * 64 * TIME_MS)
// No report for so long while packets are out: the path is in trouble, or the way back.
#define TIMEOUT_FEEDBACK (2 * TIME_S) // and a round trip: feedback comes at least each 250 ms
#define TIMEOUT_REPORTS (15 * TIME_S) // three intervals of receiver reports (RFC 3550 6.2)
#define TIMEOUT_AGAIN TIME_S
#define MULTIPLE_REPORTS                                                                           \
    (5 * TIME_S) // transport-wide feedback this old no longer rules out reports

// draft-ietf-rmcat-gcc-02 5.5: over so much time is measured what is received.
#define RECEIVED_WINDOW (500 * TIME_MS)

// The application sends much less than it may: below 65 % of the rate, seen over half a second.
#define ALR_SHARE 0.65
#define ALR_WINDOW (500 * TIME_MS)
#define ALR_ENTER 0.8
#define ALR_LEAVE 0.5
#define ALR_PROBE_INTERVAL (5 * TIME_S)

enum slot_state { SLOT_EMPTY, SLOT_OUT, SLOT_LOST, SLOT_ACKED };

struct slot {
    int64_t sequence;
    nanotime sent_at;
    uint32_t size;
    int16_t cluster;
    uint8_t state;
};

// A packet that a feedback reports as received.
struct received {
    nanotime sent_at, at;
    uint32_t size;
    int cluster;
};

struct alr {
    bool active;
    bool running;
    nanotime updated_at, probed_at;
    double budget; // bytes that were not used
};

struct gcc {
    struct gcc_config config;
    bool started;
    struct slot history[GCC_HISTORY_MAX];
    int64_t newest, first; // sequences; -1: none. Before `first`: of an old route
    bool clock_known;
    nanotime clock_last; // receiver's, unwrapped
    struct trend trend;
    struct aimd aimd;
    struct throughput throughput;
    struct loss loss;
    struct probe probe;
    struct alr alr;
    double remb_bps;
    bool delay_known;
    double probed_bps; // what a probe found that raised the rate: counts until `probed_until`
    nanotime probed_until;
    nanotime rtt;
    nanotime feedback_at; // the last transport-wide one; -1: none
    nanotime
        timeout_at; // when to lose patience; TIME_NEVER: nothing was sent since the last report
    bool timed_out; // since that report
    uint32_t target, told;
    bool tell;
    uint32_t in_flight;
    struct gcc_stats counts;
    struct received received[ARRIVAL_TAKE_MAX];
};

const char *gcc_usage_name(enum gcc_usage usage)
{
    static const char *const names[] = {"normal", "overuse", "underuse"};
    assert(usage <= GCC_UNDERUSE);
    return names[usage];
}

static void limits_check(struct gcc_config *config)
{
    if (config->min_bps == 0)
        config->min_bps = GCC_MIN_BPS;
    if (config->max_bps == 0 || config->max_bps > GCC_MAX_BPS)
        config->max_bps = GCC_MAX_BPS;
    if (config->min_bps > config->max_bps)
        config->min_bps = config->max_bps;
    if (config->start_bps == 0)
        config->start_bps = GCC_START_BPS;
}

// Within the limits, which may change.
static uint32_t start_bps(const struct gcc_config *config)
{
    uint32_t bps = config->start_bps < config->min_bps ? config->min_bps : config->start_bps;
    return bps > config->max_bps ? config->max_bps : bps;
}

struct gcc *gcc_new(const struct gcc_config *config)
{
    struct gcc *gcc = mem_zero(1, sizeof *gcc);
    gcc->config = *config;
    limits_check(&gcc->config);
    gcc->newest = gcc->first = -1;
    gcc->feedback_at = -1;
    gcc->timeout_at = TIME_NEVER;
    gcc->target = start_bps(&gcc->config);
    return gcc;
}

void gcc_free(struct gcc *gcc)
{
    free(gcc);
}

static nanotime patience(const struct gcc *gcc)
{
    if (gcc->timed_out)
        return TIMEOUT_AGAIN;
    return gcc->feedback_at >= 0 ? TIMEOUT_FEEDBACK + gcc->rtt : TIMEOUT_REPORTS;
}

// The least of what the controllers allow.
static void target_update(struct gcc *gcc)
{
    double bps = gcc->loss.bps;
    if (gcc->delay_known && gcc->aimd.bps < bps)
        bps = gcc->aimd.bps;
    if (gcc->remb_bps > 0 && gcc->remb_bps < bps)
        bps = gcc->remb_bps;
    if (bps > gcc->config.max_bps)
        bps = gcc->config.max_bps;
    if (bps < gcc->config.min_bps)
        bps = gcc->config.min_bps;
    if (gcc->loss.bps < gcc->config.min_bps)
        gcc->loss.bps = gcc->config.min_bps;
    gcc->target = (uint32_t)bps;
    if (gcc->target != gcc->told)
        gcc->tell = true;
}

void gcc_start(struct gcc *gcc, nanotime now)
{
    double start = start_bps(&gcc->config);
    gcc->started = true;
    gcc->first = gcc->newest + 1;
    gcc->in_flight = 0;
    gcc->clock_known = false;
    gcc->delay_known = false;
    gcc->probed_until = now;
    gcc->remb_bps = 0;
    gcc->rtt = 0;
    gcc->feedback_at = -1;
    gcc->timeout_at = TIME_NEVER;
    gcc->timed_out = false;
    gcc->alr = (struct alr){.updated_at = now};
    trend_init(&gcc->trend);
    throughput_init(&gcc->throughput);
    aimd_init(&gcc->aimd, gcc->config.min_bps, gcc->config.max_bps);
    aimd_set(&gcc->aimd, now, start);
    loss_init(&gcc->loss, now, start);
    probe_init(&gcc->probe, gcc->config.max_bps);
    if (!gcc->config.no_probes)
        probe_start(&gcc->probe, now, start);
    target_update(gcc);
    gcc->tell = true;
}

void gcc_set_limits(struct gcc *gcc, nanotime now, uint32_t min_bps, uint32_t max_bps)
{
    bool was_limited = gcc->target >= gcc->config.max_bps;
    uint32_t old_max = gcc->config.max_bps;
    gcc->config.min_bps = min_bps;
    gcc->config.max_bps = max_bps;
    limits_check(&gcc->config);
    if (!gcc->started) {
        gcc->target = start_bps(&gcc->config);
        return;
    }
    aimd_limits(&gcc->aimd, gcc->config.min_bps, gcc->config.max_bps);
    gcc->probe.max_bps = gcc->config.max_bps;
    // Only the limit held it back: what else is there?
    if (was_limited && gcc->config.max_bps > old_max && !gcc->config.no_probes)
        probe_at(&gcc->probe, now, 2.0 * old_max, true);
    target_update(gcc);
}

static void alr_sent(struct gcc *gcc, nanotime now, uint32_t size)
{
    struct alr *alr = &gcc->alr;
    double rate = ALR_SHARE * gcc->target / 8; // bytes a second
    double span = alr->running ? (double)(now - alr->updated_at) / (double)TIME_S : 0;
    double most = rate * ((double)ALR_WINDOW / (double)TIME_S);
    alr->running = true;
    alr->updated_at = now;
    alr->budget += rate * span;
    if (alr->budget > most)
        alr->budget = most;
    alr->budget -= size;
    if (alr->budget < -most)
        alr->budget = -most;
    if (!alr->active && alr->budget > ALR_ENTER * most) {
        alr->active = true;
        alr->probed_at = now;
    } else if (alr->active && alr->budget < ALR_LEAVE * most) {
        alr->active = false;
        throughput_expect_change(&gcc->throughput);
    }
}

static int64_t unwrap(int64_t near, uint16_t sequence)
{
    return near < 0 ? sequence : near + (int16_t)(uint16_t)(sequence - (uint16_t)near);
}

void gcc_sent(struct gcc *gcc, nanotime now, const struct gcc_packet *packet)
{
    int64_t sequence = unwrap(gcc->newest, packet->sequence);
    gcc->counts.sent++;
    if (sequence <= gcc->newest)
        return; // not counted up: nothing can be known of it
    gcc->newest = sequence;
    struct slot *slot = &gcc->history[sequence % GCC_HISTORY_MAX];
    if (slot->state == SLOT_OUT && slot->sequence >= gcc->first) {
        gcc->in_flight -= slot->size;
        gcc->counts.forgotten++;
    }
    *slot = (struct slot){
        .sequence = sequence,
        .sent_at = now,
        .size = packet->size,
        .cluster = packet->probe_cluster >= 0 && packet->probe_cluster < INT16_MAX
                       ? (int16_t)packet->probe_cluster
                       : (int16_t)GCC_NO_PROBE,
        .state = SLOT_OUT,
    };
    gcc->in_flight += packet->size;
    if (gcc->timeout_at == TIME_NEVER)
        gcc->timeout_at = time_add(now, patience(gcc));
    if (packet->probe_cluster < 0)
        alr_sent(gcc, now, packet->size);
}

// The receiver's clock as a count that never wraps.
static nanotime clock_unwrap(struct gcc *gcc, nanotime at)
{
    if (gcc->clock_known) {
        nanotime ahead = (at - gcc->clock_last) % RECEIVER_CLOCK_SPAN;
        if (ahead >= RECEIVER_CLOCK_SPAN / 2)
            ahead -= RECEIVER_CLOCK_SPAN;
        else if (ahead < -RECEIVER_CLOCK_SPAN / 2)
            ahead += RECEIVER_CLOCK_SPAN;
        at = gcc->clock_last + ahead;
    }
    gcc->clock_known = true;
    gcc->clock_last = at;
    return at;
}

// Looks the packets up; those received go to gcc->received, in order of arrival. Returns how many.
static unsigned results_match(struct gcc *gcc, const struct arrival_result *results, unsigned n)
{
    unsigned count = 0;
    int64_t lost = 0, expected = 0;
    for (unsigned i = 0; i < n; i++) {
        int64_t sequence = unwrap(gcc->newest, results[i].sequence);
        struct slot *slot = &gcc->history[sequence < 0 ? 0 : sequence % GCC_HISTORY_MAX];
        if (sequence < gcc->first || slot->state == SLOT_EMPTY || slot->sequence != sequence) {
            gcc->counts.unknown++;
            continue;
        }
        if (slot->state == SLOT_OUT) {
            expected++;
            gcc->in_flight -= slot->size;
        }
        if (!results[i].received) {
            if (slot->state == SLOT_OUT) {
                slot->state = SLOT_LOST;
                lost++;
            }
            continue;
        }
        if (slot->state == SLOT_ACKED)
            continue;
        if (slot->state == SLOT_LOST)
            lost--; // it was only late
        slot->state = SLOT_ACKED;
        struct received packet = {slot->sent_at, clock_unwrap(gcc, results[i].received_at),
                                  slot->size, slot->cluster};
        unsigned at = count++;
        for (; at > 0 && gcc->received[at - 1].at > packet.at; at--)
            gcc->received[at] = gcc->received[at - 1];
        gcc->received[at] = packet;
    }
    gcc->counts.acked += count;
    gcc->counts.lost = (uint64_t)((int64_t)gcc->counts.lost + lost);
    loss_count(&gcc->loss, lost, expected);
    return count;
}

// The least round trip that the packets saw; the time that a packet waited for its feedback at the
// receiver is known only against the last one of the feedback.
static void rtt_update(struct gcc *gcc, nanotime now, unsigned count)
{
    nanotime least = TIME_NEVER, last = gcc->received[count - 1].at;
    for (unsigned i = 0; i < count; i++) {
        const struct received *packet = &gcc->received[i];
        least = time_min(least, now - packet->sent_at - (last - packet->at));
    }
    if (least <= 0)
        return;
    gcc->rtt = gcc->rtt == 0 ? least : (7 * gcc->rtt + least) / 8;
    gcc->aimd.rtt = gcc->rtt;
}

// draft-ietf-rmcat-gcc-02 5.5 cuts to a part of what was received, as a full path carries no more.
// Just after a probe has raised the rate, most of what was received was sent at the old one, when
// the path was not full: until then the probe knows better.
static void overuse(struct gcc *gcc, nanotime now, double acked)
{
    struct aimd *aimd = &gcc->aimd;
    bool probed = now < gcc->probed_until && gcc->probed_bps > acked;
    if (probed && aimd_may_reduce(aimd, now, gcc->probed_bps)) {
        aimd_cut(aimd, now, gcc->probed_bps);
        gcc->probed_bps = aimd->bps; // it was too much: the next time it is believed less
    } else if (!probed && acked > 0 && aimd_may_reduce(aimd, now, acked)) {
        aimd_update(aimd, now, GCC_OVERUSE, acked);
    } else if (!probed && acked <= 0 && aimd_may_reduce(aimd, now, aimd->bps)) {
        aimd_set(aimd, now, aimd->bps / 2);
    }
}

// What the delay-based controller makes of it.
static void delay_update(struct gcc *gcc, nanotime now, double probed_bps, bool saturated)
{
    struct aimd *aimd = &gcc->aimd;
    double acked = throughput_bps(&gcc->throughput), old = aimd->bps;
    bool measured = false;
    gcc->delay_known = true;
    if (gcc->trend.usage == GCC_OVERUSE) {
        overuse(gcc, now, acked);
    } else if (probed_bps > aimd->bps || (probed_bps > 0 && saturated)) {
        // A probe can be unlucky, but not below what arrives all the time.
        double least = 0.85 * acked < aimd->bps ? 0.85 * acked : aimd->bps;
        aimd_set(aimd, now, probed_bps > least ? probed_bps : least);
        gcc->loss.bps = aimd->bps;
        if (aimd->bps > acked) {
            gcc->probed_bps = aimd->bps;
            gcc->probed_until = now + gcc->rtt + RECEIVED_WINDOW;
            throughput_expect_change(&gcc->throughput);
        }
        measured = true;
    } else {
        aimd_update(aimd, now, gcc->trend.usage, acked);
    }
    if (!gcc->config.no_probes)
        probe_estimate(&gcc->probe, now, old, aimd->bps, measured);
}

static void report_came(struct gcc *gcc, nanotime now)
{
    gcc->timeout_at = TIME_NEVER; // until something is sent again
    gcc->timed_out = false;
    double limit = gcc->delay_known ? gcc->aimd.bps : gcc->config.max_bps;
    if (gcc->remb_bps > 0 && gcc->remb_bps < limit)
        limit = gcc->remb_bps;
    loss_update(&gcc->loss, now, gcc->rtt, limit, gcc->delay_known || gcc->remb_bps > 0);
    target_update(gcc);
}

static void feedback_part(struct gcc *gcc, nanotime now, const struct arrival_result *results,
                          unsigned n)
{
    unsigned count = results_match(gcc, results, n);
    if (count == 0)
        return;
    gcc->feedback_at = now;
    rtt_update(gcc, now, count);
    double probed_bps = 0;
    bool saturated = false;
    enum gcc_usage before = gcc->trend.usage;
    for (unsigned i = 0; i < count; i++) {
        const struct received *packet = &gcc->received[i];
        throughput_packet(&gcc->throughput, packet->at, packet->size);
        trend_packet(&gcc->trend, now, packet->sent_at, packet->at);
        double bps = packet->cluster < 0
                         ? 0
                         : probe_arrived(&gcc->probe, packet->cluster, packet->sent_at, packet->at,
                                         packet->size, &saturated);
        if (bps > 0)
            probed_bps = bps;
    }
    if (gcc->trend.usage == GCC_OVERUSE && before != GCC_OVERUSE)
        gcc->counts.overuses++;
    delay_update(gcc, now, probed_bps, saturated);
}

void gcc_feedback(struct gcc *gcc, nanotime now, const struct arrival_result *results, unsigned n)
{
    if (!gcc->started || gcc->newest < 0)
        return;
    uint64_t known = gcc->counts.acked;
    for (unsigned at = 0; at < n; at += ARRIVAL_TAKE_MAX)
        feedback_part(gcc, now, results + at,
                      n - at < ARRIVAL_TAKE_MAX ? n - at : ARRIVAL_TAKE_MAX);
    if (gcc->counts.acked != known)
        report_came(gcc, now);
}

void gcc_receiver_report(struct gcc *gcc, nanotime now, uint8_t fraction_lost, nanotime rtt)
{
    if (!gcc->started)
        return;
    if (gcc->feedback_at >= 0 && now - gcc->feedback_at <= MULTIPLE_REPORTS)
        return;
    if (rtt > 0) {
        gcc->rtt = rtt;
        gcc->aimd.rtt = rtt;
    }
    loss_fraction(&gcc->loss, fraction_lost);
    report_came(gcc, now);
}

void gcc_remb(struct gcc *gcc, nanotime now, uint32_t bps)
{
    if (!gcc->started)
        return;
    gcc->remb_bps = bps;
    report_came(gcc, now);
}

static nanotime alr_deadline(const struct gcc *gcc)
{
    bool probes = gcc->config.alr_probes && !gcc->config.no_probes;
    return probes && gcc->alr.active ? gcc->alr.probed_at + ALR_PROBE_INTERVAL : TIME_NEVER;
}

static void fire(struct gcc *gcc, nanotime now)
{
    if (now >= gcc->timeout_at) {
        gcc->counts.feedback_timeouts++;
        loss_timeout(&gcc->loss);
        target_update(gcc);
        gcc->timed_out = true;
        gcc->timeout_at = TIME_NEVER;
    }
    if (now >= alr_deadline(gcc)) {
        gcc->alr.probed_at = now;
        probe_at(&gcc->probe, now, 2.0 * gcc->target, true);
    }
    probe_due(&gcc->probe, now, gcc->aimd.bps, gcc->trend.usage != GCC_OVERUSE);
}

static uint32_t stable_bps(const struct gcc *gcc)
{
    double link = gcc->aimd.link.known ? gcc->aimd.link.kbps * 1000 : gcc->target;
    return link < gcc->target ? (uint32_t)link : gcc->target;
}

bool gcc_poll(struct gcc *gcc, nanotime now, struct gcc_output *out)
{
    if (!gcc->started)
        return false;
    fire(gcc, now);
    if (gcc->tell) {
        gcc->tell = false;
        gcc->told = gcc->target;
        *out = (struct gcc_output){
            .kind = GCC_TARGET,
            .target = {.bps = gcc->target,
                       .loss_bps = (uint32_t)gcc->loss.bps,
                       .delay_bps =
                           gcc->delay_known ? (uint32_t)gcc->aimd.bps : gcc->config.max_bps,
                       .stable_bps = stable_bps(gcc)},
        };
        return true;
    }
    struct gcc_probe probe;
    if (!probe_take(&gcc->probe, &probe))
        return false;
    *out = (struct gcc_output){.kind = GCC_PROBE, .probe = probe};
    return true;
}

nanotime gcc_deadline(const struct gcc *gcc)
{
    if (!gcc->started)
        return TIME_NEVER;
    nanotime at = time_min(gcc->timeout_at, probe_deadline(&gcc->probe));
    return time_min(at, alr_deadline(gcc));
}

uint32_t gcc_target(const struct gcc *gcc)
{
    return gcc->target;
}

void gcc_stats(const struct gcc *gcc, struct gcc_stats *out)
{
    *out = gcc->counts;
    out->target_bps = gcc->target;
    out->delay_bps = gcc->delay_known ? (uint32_t)gcc->aimd.bps : 0;
    out->loss_bps = (uint32_t)gcc->loss.bps;
    out->remb_bps = (uint32_t)gcc->remb_bps;
    out->acked_bps = (uint32_t)throughput_bps(&gcc->throughput);
    out->link_bps = gcc->aimd.link.known ? (uint32_t)(gcc->aimd.link.kbps * 1000) : 0;
    out->trend_ms = gcc->trend.scaled_ms;
    out->threshold_ms = gcc->trend.threshold_ms;
    out->usage = gcc->trend.usage;
    out->rtt = gcc->rtt;
    out->loss_256 = gcc->loss.fraction_256;
    out->alr = gcc->alr.active;
    out->in_flight_bytes = gcc->in_flight;
    out->probes = gcc->probe.started;
    out->probe_results = gcc->probe.results;
}
