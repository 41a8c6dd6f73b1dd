#include "stack/congestion/pacer.h"

#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"

#define PACING_NUMERATOR 5 // 2.5 times the target
#define PACING_DENOMINATOR 2
#define DEBT_MAX (500 * TIME_MS) // a burst of audio or a probe does not silence video for longer
#define PAD_MAX 1200u
#define PROBE_PATIENCE (5 * TIME_S)
#define NONE UINT32_MAX

struct node {
    struct pacer_item item;
    nanotime pushed_at;
    uint32_t next;
};

struct queue {
    uint32_t first, last; // NONE: empty
};

struct cluster {
    struct gcc_probe probe;
    nanotime asked_at, started_at;
    bool started;
    unsigned packets;
    uint64_t bytes;
};

struct pacer {
    struct pacer_config config;
    struct node *nodes; // packets_max
    uint32_t free;
    struct queue queues[PACER_PRIORITIES];
    uint64_t rate;     // bit/s of the bucket, without what a long queue adds
    nanotime ready_at; // the bucket is empty
    nanotime pushed_sum;
    bool media; // something to probe with has been seen
    struct cluster probes[PACER_PROBES_MAX];
    unsigned probes_count;
    struct pacer_stats stats;
};

const char *pacer_priority_name(enum pacer_priority priority)
{
    static const char *const names[PACER_PRIORITIES] = {"audio", "retransmission", "video",
                                                        "padding"};
    assert(priority < PACER_PRIORITIES);
    return names[priority];
}

const char *pacer_outcome_name(enum pacer_outcome outcome)
{
    static const char *const names[PACER_OUTCOMES] = {"queued", "full: packets", "full: time"};
    assert(outcome < PACER_OUTCOMES);
    return names[outcome];
}

struct pacer *pacer_new(const struct pacer_config *config)
{
    struct pacer *pacer = mem_zero(1, sizeof *pacer);
    pacer->config = *config;
    if (pacer->config.packets_max == 0)
        pacer->config.packets_max = PACER_PACKETS_MAX;
    if (pacer->config.queue_time_max == 0)
        pacer->config.queue_time_max = PACER_QUEUE_TIME_MAX;
    unsigned max = pacer->config.packets_max;
    pacer->nodes = mem_zero(max, sizeof *pacer->nodes);
    for (uint32_t i = 0; i < max; i++)
        pacer->nodes[i].next = i + 1 < max ? i + 1 : NONE;
    for (unsigned i = 0; i < PACER_PRIORITIES; i++)
        pacer->queues[i] = (struct queue){NONE, NONE};
    uint32_t start = pacer->config.start_bps ? pacer->config.start_bps : GCC_START_BPS;
    pacer->rate = (uint64_t)start * PACING_NUMERATOR / PACING_DENOMINATOR;
    return pacer;
}

void pacer_free(struct pacer *pacer)
{
    if (!pacer)
        return;
    free(pacer->nodes);
    free(pacer);
}

static nanotime span_of(uint64_t bytes, uint64_t bps)
{
    return (nanotime)((double)bytes * 8e9 / (double)bps);
}

void pacer_set_rate(struct pacer *pacer, nanotime now, uint32_t target_bps)
{
    uint64_t rate = (uint64_t)(target_bps ? target_bps : 1) * PACING_NUMERATOR / PACING_DENOMINATOR;
    // What is owed was bytes: at another rate they take another time.
    if (pacer->ready_at > now) {
        double owed = (double)(pacer->ready_at - now) * (double)pacer->rate / (double)rate;
        pacer->ready_at = now + (owed < (double)DEBT_MAX ? (nanotime)owed : DEBT_MAX);
    }
    pacer->rate = rate;
}

bool pacer_probe(struct pacer *pacer, nanotime now, const struct gcc_probe *probe)
{
    if (pacer->probes_count == PACER_PROBES_MAX || probe->bps == 0) {
        pacer->stats.probes_dropped++;
        return false;
    }
    pacer->probes[pacer->probes_count++] = (struct cluster){.probe = *probe, .asked_at = now};
    return true;
}

static bool queue_is_empty(const struct pacer *pacer, unsigned priority)
{
    return pacer->queues[priority].first == NONE;
}

// What waits beside audio: PACER_PRIORITIES if nothing.
static unsigned queue_first(const struct pacer *pacer)
{
    unsigned priority = PACER_RETRANSMISSION;
    while (priority < PACER_PRIORITIES && queue_is_empty(pacer, priority))
        priority++;
    return priority;
}

nanotime pacer_queue_time(const struct pacer *pacer)
{
    return span_of(pacer->stats.queue_bytes, pacer->rate);
}

enum pacer_outcome pacer_push(struct pacer *pacer, nanotime now, const struct pacer_item *item)
{
    assert(item->priority < PACER_PRIORITIES);
    if (pacer->free == NONE) {
        pacer->stats.full_packets++;
        return PACER_FULL_PACKETS;
    }
    if (item->priority != PACER_AUDIO &&
        pacer_queue_time(pacer) >= 2 * pacer->config.queue_time_max) {
        pacer->stats.full_time++;
        return PACER_FULL_TIME;
    }
    uint32_t index = pacer->free;
    struct node *node = &pacer->nodes[index];
    pacer->free = node->next;
    *node = (struct node){.item = *item, .pushed_at = now, .next = NONE};

    struct queue *queue = &pacer->queues[item->priority];
    if (queue->first == NONE)
        queue->first = index;
    else
        pacer->nodes[queue->last].next = index;
    queue->last = index;
    pacer->stats.queue_packets++;
    pacer->stats.queue_bytes += item->size;
    pacer->pushed_sum += now;
    if (item->priority != PACER_AUDIO)
        pacer->media = true;
    return PACER_QUEUED;
}

static struct node queue_pop(struct pacer *pacer, unsigned priority)
{
    struct queue *queue = &pacer->queues[priority];
    uint32_t index = queue->first;
    struct node node = pacer->nodes[index];
    queue->first = node.next;
    if (queue->first == NONE)
        queue->last = NONE;
    pacer->nodes[index].next = pacer->free;
    pacer->free = index;
    pacer->stats.queue_packets--;
    pacer->stats.queue_bytes -= node.item.size;
    pacer->pushed_sum -= node.pushed_at;
    return node;
}

// The rate of the bucket: higher if the queue would else last for longer than it may. The packets
// of the queue have waited for their mean age already.
static uint64_t rate_now(const struct pacer *pacer, nanotime now)
{
    if (pacer->stats.queue_packets == 0)
        return pacer->rate;
    nanotime age = now - pacer->pushed_sum / pacer->stats.queue_packets;
    nanotime left = time_max(pacer->config.queue_time_max - age, TIME_MS);
    uint64_t needed = (uint64_t)((double)pacer->stats.queue_bytes * 8e9 / (double)left);
    return needed > pacer->rate ? needed : pacer->rate;
}

static void charge(struct pacer *pacer, nanotime now, uint32_t size, uint64_t rate)
{
    nanotime from = time_max(pacer->ready_at, now);
    pacer->ready_at = time_min(from + span_of(size, rate), now + DEBT_MAX);
}

static void item_send(struct pacer *pacer, nanotime now, unsigned priority, int cluster,
                      struct pacer_output *out)
{
    uint64_t rate = rate_now(pacer, now);
    struct node node = queue_pop(pacer, priority);
    charge(pacer, now, node.item.size, rate);
    *out = (struct pacer_output){
        .kind = PACER_SEND,
        .item = node.item,
        .probe_cluster = cluster,
        .waited = now - node.pushed_at,
    };
    pacer->stats.sent_packets++;
    pacer->stats.sent_bytes += node.item.size;
    pacer->stats.queue_time_worst = time_max(pacer->stats.queue_time_worst, out->waited);
}

static void probe_drop(struct pacer *pacer)
{
    pacer->probes_count--;
    for (unsigned i = 0; i < pacer->probes_count; i++)
        pacer->probes[i] = pacer->probes[i + 1];
}

// When the next packet of the first cluster goes, if there is something to send for it.
static nanotime probe_at(const struct pacer *pacer)
{
    const struct cluster *cluster = &pacer->probes[0];
    if (pacer->probes_count == 0 || !pacer->media)
        return TIME_NEVER;
    if (pacer->config.no_padding && queue_first(pacer) == PACER_PRIORITIES)
        return TIME_NEVER;
    if (!cluster->started)
        return cluster->asked_at;
    return cluster->started_at + span_of(cluster->bytes, cluster->probe.bps);
}

static uint32_t pad_size(const struct cluster *cluster)
{
    uint64_t bytes =
        cluster->probe.bytes > cluster->bytes ? cluster->probe.bytes - cluster->bytes : 0;
    unsigned packets =
        cluster->probe.packets > cluster->packets ? cluster->probe.packets - cluster->packets : 1;
    uint64_t each = (bytes + packets - 1) / packets;
    if (each == 0)
        each = 1;
    return each < PAD_MAX ? (uint32_t)each : PAD_MAX;
}

static void probe_send(struct pacer *pacer, nanotime now, struct pacer_output *out)
{
    struct cluster *cluster = &pacer->probes[0];
    if (!cluster->started) {
        cluster->started = true;
        cluster->started_at = now;
    }
    unsigned priority = queue_first(pacer);
    uint32_t size;
    if (priority < PACER_PRIORITIES) {
        item_send(pacer, now, priority, cluster->probe.cluster, out);
        size = out->item.size;
    } else {
        size = pad_size(cluster);
        charge(pacer, now, size, pacer->rate);
        *out = (struct pacer_output){
            .kind = PACER_PAD, .pad_bytes = size, .probe_cluster = cluster->probe.cluster};
        pacer->stats.pad_bytes += size;
    }
    cluster->packets++;
    cluster->bytes += size;
    if (cluster->packets >= cluster->probe.packets && cluster->bytes >= cluster->probe.bytes)
        probe_drop(pacer);
}

void pacer_padded(struct pacer *pacer, nanotime now, int cluster, uint32_t more)
{
    struct cluster *first = &pacer->probes[0];
    pacer->stats.pad_bytes += more;
    charge(pacer, now, more, pacer->rate);
    if (pacer->probes_count == 0 || first->probe.cluster != cluster)
        return;
    first->bytes += more;
    if (first->packets >= first->probe.packets && first->bytes >= first->probe.bytes)
        probe_drop(pacer);
}

static void probes_expire(struct pacer *pacer, nanotime now)
{
    while (pacer->probes_count > 0 && now >= pacer->probes[0].asked_at + PROBE_PATIENCE) {
        pacer->stats.probes_dropped++;
        probe_drop(pacer);
    }
}

bool pacer_poll(struct pacer *pacer, nanotime now, struct pacer_output *out)
{
    probes_expire(pacer, now);
    if (!queue_is_empty(pacer, PACER_AUDIO)) {
        item_send(pacer, now, PACER_AUDIO, GCC_NO_PROBE, out);
        return true;
    }
    nanotime probe = probe_at(pacer);
    if (probe != TIME_NEVER) {
        if (now < probe)
            return false;
        probe_send(pacer, now, out);
        return true;
    }
    unsigned priority = queue_first(pacer);
    if (priority == PACER_PRIORITIES || now < pacer->ready_at)
        return false;
    item_send(pacer, now, priority, GCC_NO_PROBE, out);
    return true;
}

nanotime pacer_deadline(const struct pacer *pacer, nanotime now)
{
    nanotime at = TIME_NEVER;
    if (pacer->probes_count > 0)
        at = pacer->probes[0].asked_at + PROBE_PATIENCE;
    if (!queue_is_empty(pacer, PACER_AUDIO))
        return now;
    nanotime probe = probe_at(pacer);
    if (probe != TIME_NEVER)
        at = time_min(at, probe);
    else if (queue_first(pacer) < PACER_PRIORITIES)
        at = time_min(at, pacer->ready_at);
    return at == TIME_NEVER ? at : time_max(at, now);
}

bool pacer_clear(struct pacer *pacer, struct pacer_item *item)
{
    pacer->probes_count = 0;
    for (unsigned priority = 0; priority < PACER_PRIORITIES; priority++) {
        if (queue_is_empty(pacer, priority))
            continue;
        *item = queue_pop(pacer, priority).item;
        return true;
    }
    return false;
}

const struct pacer_stats *pacer_stats(const struct pacer *pacer)
{
    return &pacer->stats;
}
