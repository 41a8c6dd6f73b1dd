#include "stack/congestion/probe_priv.h"

#define PACKETS_MIN 5
#define BYTES_TIME_MS 15
#define FIRST_FACTOR 3.0
#define SECOND_FACTOR 6.0
#define FURTHER_FACTOR 2.0
#define FURTHER_SHARE 0.7 // of what was probed: it pays to look higher
#define RESULT_TIME TIME_S
#define ENOUGH_SHARE 0.8 // of a cluster's packets and bytes
#define SPAN_MAX TIME_S
#define RATIO_MAX 2.0 // arriving faster than that relative to sending: not a measurement
#define SATURATED_SHARE 0.9
#define SATURATED_TARGET 0.95
#define DROP_SHARE 0.66 // a fall of the estimate below this is one to recover from
#define RECOVER_SHARE 0.85
#define RECOVER_FACTOR 2.0
#define RECOVER_FIRST (5 * TIME_S)
#define RECOVER_MAX (40 * TIME_S)

void probe_init(struct probe *probe, double max_bps)
{
    *probe = (struct probe){
        .next_id = probe->next_id,
        .max_bps = max_bps,
        .started = probe->started,
        .results = probe->results,
    };
}

void probe_at(struct probe *probe, nanotime now, double bps, bool further)
{
    if (bps >= probe->max_bps) {
        bps = probe->max_bps;
        further = false;
    }
    if (probe->queued == PROBE_QUEUE)
        return; // the earlier ones tell more or less the same
    double bytes = bps * BYTES_TIME_MS / 8000;
    struct gcc_probe cluster = {
        .cluster = probe->next_id++,
        .bps = (uint32_t)bps,
        .packets = PACKETS_MIN,
        .bytes = (uint32_t)bytes + 1,
    };
    if (probe->next_id == INT16_MAX)
        probe->next_id = 0;
    probe->clusters[cluster.cluster % PROBE_CLUSTERS] =
        (struct probe_cluster){.probe = cluster, .used = true};
    probe->queue[probe->queued++] = cluster;
    probe->started++;
    probe->state = further ? PROBE_WAITING : PROBE_DONE;
    probe->waiting_until = now + RESULT_TIME;
    probe->further_bps = FURTHER_SHARE * bps;
}

void probe_start(struct probe *probe, nanotime now, double start_bps)
{
    probe_at(probe, now, FIRST_FACTOR * start_bps, true);
    if (probe->state == PROBE_WAITING)
        probe_at(probe, now, SECOND_FACTOR * start_bps, true);
}

void probe_estimate(struct probe *probe, nanotime now, double old_bps, double bps, bool measured)
{
    if (measured && probe->state == PROBE_WAITING && bps > probe->further_bps)
        probe_at(probe, now, FURTHER_FACTOR * bps, true);
    if (bps < DROP_SHARE * old_bps && probe->dropped_from_bps < old_bps) {
        probe->dropped_from_bps = old_bps;
        probe->recover_after = RECOVER_FIRST;
        probe->recover_at = now + RECOVER_FIRST;
    }
    if (bps >= RECOVER_SHARE * probe->dropped_from_bps)
        probe->dropped_from_bps = 0;
}

void probe_due(struct probe *probe, nanotime now, double bps, bool calm)
{
    if (probe->state == PROBE_WAITING && now >= probe->waiting_until)
        probe->state = PROBE_DONE;
    if (probe->dropped_from_bps <= 0 || now < probe->recover_at)
        return;
    // Not while the path is full; and each time that it did not help, the next comes later.
    probe->recover_at = now + probe->recover_after;
    if (!calm)
        return;
    probe->recover_after = time_min(2 * probe->recover_after, RECOVER_MAX);
    double before = RECOVER_SHARE * probe->dropped_from_bps, reach = RECOVER_FACTOR * bps;
    // What was there before is looked for, not more: that would fill the queue once again.
    probe_at(probe, now, before < reach ? before : reach, false);
}

nanotime probe_deadline(const struct probe *probe)
{
    nanotime at = TIME_NEVER;
    if (probe->state == PROBE_WAITING)
        at = probe->waiting_until;
    if (probe->dropped_from_bps > 0)
        at = time_min(at, probe->recover_at);
    return at;
}

bool probe_take(struct probe *probe, struct gcc_probe *out)
{
    if (probe->queued == 0)
        return false;
    *out = probe->queue[0];
    probe->queued--;
    for (unsigned i = 0; i < probe->queued; i++)
        probe->queue[i] = probe->queue[i + 1];
    return true;
}

static void cluster_add(struct probe_cluster *cluster, nanotime sent, nanotime arrived,
                        uint32_t size)
{
    if (cluster->packets == 0 || sent < cluster->first_sent)
        cluster->first_sent = sent;
    if (cluster->packets == 0 || arrived < cluster->first_arrived) {
        cluster->first_arrived = arrived;
        cluster->first_arrived_size = size;
    }
    if (cluster->packets == 0 || sent >= cluster->last_sent) {
        cluster->last_sent = sent;
        cluster->last_sent_size = size;
    }
    if (cluster->packets == 0 || arrived > cluster->last_arrived)
        cluster->last_arrived = arrived;
    cluster->packets++;
    cluster->bytes += size;
}

double probe_arrived(struct probe *probe, int id, nanotime sent, nanotime arrived, uint32_t size,
                     bool *saturated)
{
    struct probe_cluster *cluster = &probe->clusters[(unsigned)id % PROBE_CLUSTERS];
    if (!cluster->used || cluster->probe.cluster != id)
        return 0;
    cluster_add(cluster, sent, arrived, size);
    if (cluster->packets < ENOUGH_SHARE * cluster->probe.packets ||
        cluster->bytes < ENOUGH_SHARE * cluster->probe.bytes)
        return 0;

    nanotime sent_span = cluster->last_sent - cluster->first_sent;
    nanotime arrived_span = cluster->last_arrived - cluster->first_arrived;
    if (sent_span <= 0 || sent_span > SPAN_MAX || arrived_span <= 0 || arrived_span > SPAN_MAX)
        return 0;
    // n packets have n - 1 gaps: the last one sent and the first one received do not count.
    double sent_bps = (cluster->bytes - cluster->last_sent_size) * 8e9 / (double)sent_span;
    double arrived_bps =
        (cluster->bytes - cluster->first_arrived_size) * 8e9 / (double)arrived_span;
    if (arrived_bps > RATIO_MAX * sent_bps)
        return 0;
    if (!cluster->told)
        probe->results++;
    cluster->told = true; // later packets of it only make the rate more exact
    *saturated = arrived_bps < SATURATED_SHARE * sent_bps;
    if (*saturated)
        return SATURATED_TARGET * arrived_bps;
    return arrived_bps < sent_bps ? arrived_bps : sent_bps;
}
