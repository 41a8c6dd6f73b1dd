// Why a run failed: one sentence, the moment, the packet, the rule.
//
// The first expectation that broke is what the user asked about; below it lies a first cause. It is
// looked for from the bottom up: a refused description, DTLS, then the packets that the network
// dropped before the moment of failure.
#include "scenarios/runner/live/live_run.h"
#include "scenarios/runner/run/watch.h"

#include <stdio.h>

static const struct {
    const char *rule;
    bool expected_in_ice; // part of every NAT traversal: a cause only when nothing better is there
} drops[NET_DROPS] = {
    [NET_TOO_BIG] = {"RFC 8261 5", false},
    [NET_NO_ROUTE] = {NULL, true},
    [NET_NO_HOST] = {NULL, true},
    [NET_ISOLATED] = {NULL, true},
    [NET_NO_SOCKET] = {NULL, true},
    [NET_BAD_PACKET] = {"RFC 768", false},
    [NET_NAT_NO_MAPPING] = {"RFC 4787 4.3", false},
    [NET_NAT_FILTERED] = {"RFC 4787 5", false},
    [NET_NAT_NO_HAIRPIN] = {"RFC 4787 6", false},
};

static bool is_fatal_in_ice(const struct peer_stats *stats)
{
    return stats->ice_state == ICE_FAILED || stats->ice_connected_at == TIME_NEVER;
}

// The first drop from `from` to `until` that is no ordinary part of ICE; else the first at all.
static bool first_drop(const struct run *run, nanotime from, nanotime until,
                       struct net_drop_record *out)
{
    bool found = false;
    for (unsigned i = 0; i < world_drops(run->world); i++) {
        struct net_drop_record record = world_drop_record(run->world, i);
        if (record.at < from || record.at > until)
            continue;
        if (!found || !drops[record.reason].expected_in_ice)
            *out = record;
        found = true;
        if (!drops[record.reason].expected_in_ice)
            break;
    }
    return found;
}

#define DROP_GROUPS_MAX 64

// The first of the most numerous drops in that time: what harms a stream is what happens often.
static bool commonest_drop(const struct run *run, nanotime from, nanotime until,
                           struct net_drop_record *out)
{
    struct net_drop_record groups[DROP_GROUPS_MAX];
    unsigned counts[DROP_GROUPS_MAX], used = 0, best = 0;
    for (unsigned i = 0; i < world_drops(run->world); i++) {
        struct net_drop_record record = world_drop_record(run->world, i);
        if (record.at < from || record.at > until)
            continue;
        unsigned group = 0;
        while (group < used && (groups[group].reason != record.reason ||
                                strcmp(groups[group].place, record.place) != 0))
            group++;
        if (group == DROP_GROUPS_MAX)
            continue;
        if (group == used) {
            groups[used] = record;
            counts[used++] = 0;
        }
        counts[group]++;
        best = counts[group] > counts[best] ? group : best;
    }
    if (used > 0)
        *out = groups[best];
    return used > 0;
}

static unsigned drops_like(const struct run *run, const struct net_drop_record *like, nanotime from,
                           nanotime until)
{
    unsigned count = 0;
    for (unsigned i = 0; i < world_drops(run->world); i++) {
        struct net_drop_record record = world_drop_record(run->world, i);
        count += record.at >= from && record.at <= until && record.reason == like->reason &&
                 strcmp(record.place, like->place) == 0;
    }
    return count;
}

static const char *drop_text(struct run *run, const struct net_drop_record *drop, nanotime from,
                             nanotime until)
{
    char at[TIME_TEXT_MAX], source[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX];
    unsigned count = drops_like(run, drop, from, until);
    return arena_printf(&run->arena, "%u %s dropped at %s (%s), the first %s > %s at %s", count,
                        count == 1 ? "packet" : "packets", drop->place, net_drop_name(drop->reason),
                        addr_print(&drop->from, source), addr_print(&drop->to, to),
                        time_print(drop->at, at));
}

static void point_to_drop(struct run *run, const struct net_drop_record *drop,
                          struct result_cause *cause)
{
    cause->at = drop->at;
    if (drop->capture >= 0) {
        cause->capture = world_capture_name(run->world, (unsigned)drop->capture);
        cause->packet = drop->packet;
    }
    if (drops[drop->reason].rule)
        cause->rule = drops[drop->reason].rule;
}

// Who the broken expectation is about, when what it says hangs on packets between peers; else NULL:
// drops are an ordinary part of NAT traversal, and would be blamed for anything.
static struct run_peer *subject(struct run *run, const struct watch *broken)
{
    const struct clause *clause = broken->clause;
    if (clause && clause->kind == CLAUSE_METRIC)
        return metric_needs_network(&clause->ref) ? &run->peers[clause->ref.index] : NULL;
    return run->scenario->peers_count ? &run->peers[0] : NULL;
}

// The first cause below the expectation, as a clause; NULL when there is nothing to say.
static const char *cause_text(struct run *run, struct run_peer *peer, const struct watch *broken,
                              struct result_cause *cause)
{
    const struct peer_stats *stats = peer_stats_now(peer);
    const struct peer_stats *other =
        peer->session != NO_SESSION ? peer_stats_now(&run->peers[peer->remote]) : stats;
    const char *name = peer->scenario->name;
    struct net_drop_record drop;
    nanotime from = 0;

    if (stats->error[0])
        return arena_printf(&run->arena, "%s refused what was signaled: %s", name, stats->error);
    if (stats->dtls_failure[0] || other->dtls_failure[0]) {
        cause->rule = "RFC 8842 5.1";
        return arena_printf(&run->arena, "DTLS failed: %s",
                            stats->dtls_failure[0] ? stats->dtls_failure : other->dtls_failure);
    }
    if (stats->ice_failure == ICE_CONSENT_EXPIRED) {
        cause->rule = "RFC 7675 5.1";
        from = stats->ice_connected_at;
    } else if (stats->ice_failure == ICE_NO_REMOTE_CANDIDATES) {
        cause->rule = "RFC 8863 4";
        return arena_printf(&run->arena, "no candidate of the other side ever reached %s", name);
    }
    if (!first_drop(run, from, broken->at, &drop))
        return stats->ice_failure == ICE_CONSENT_EXPIRED ? "consent expired without a packet lost"
                                                         : NULL;
    // Loss on the way of a connection that stands is not what broke a state.
    if (!is_fatal_in_ice(stats) && drops[drop.reason].expected_in_ice)
        return NULL;
    point_to_drop(run, &drop, cause);
    if (stats->ice_failure == ICE_CONSENT_EXPIRED)
        cause->rule = "RFC 7675 5.1";
    return drop_text(run, &drop, from, broken->at);
}

// Of media over a connection that stands: what the network took most of.
static const char *media_cause(struct run *run, const struct run_peer *peer,
                               const struct watch *broken, struct result_cause *cause)
{
    struct net_drop_record drop;
    nanotime from = peer->stats.connected_at;
    if (!commonest_drop(run, from, broken->at, &drop))
        return NULL;
    point_to_drop(run, &drop, cause);
    return drop_text(run, &drop, from, broken->at);
}

static void diagnose_invariant(struct run *run, struct result *out)
{
    out->cause = (struct result_cause){.at = run->broken_at, .rule = invariant_rule(run->broken)};
    out->why = run->broken_text;
}

void diagnose(struct run *run, const struct watch *broken, struct result *out)
{
    out->why = "";
    out->cause = (struct result_cause){.at = TIME_NEVER};
    if (run->broken != INVARIANT_NONE && (!broken || run->broken_at <= broken->at)) {
        diagnose_invariant(run, out);
        return;
    }
    if (!broken)
        return;
    char at[TIME_TEXT_MAX];
    out->cause.at = broken->at;
    if (broken->clause && broken->clause->kind == CLAUSE_METRIC)
        out->cause.rule = metric_rule(&broken->clause->ref);
    struct run_peer *peer = subject(run, broken);
    const char *cause = NULL;
    if (broken->packet) {
        out->cause.capture = broken->clause->point;
        out->cause.packet = broken->packet;
    } else if (peer) {
        bool media =
            broken->clause && broken->clause->kind == CLAUSE_METRIC && broken->clause->ref.member;
        bool stands = peer_stats_now(peer)->connected_at != TIME_NEVER;
        cause = media && stands ? media_cause(run, peer, broken, &out->cause)
                                : cause_text(run, peer, broken, &out->cause);
    }
    out->why =
        arena_printf(&run->arena, "expected %s, at %s it was %s%s%s", broken->expect->source->text,
                     time_print(broken->at, at), broken->actual ? broken->actual : "not so",
                     cause ? ": " : "", cause ? cause : "");
}

void run_result(struct run *run, struct result *out)
{
    const struct scenario *scenario = run->scenario;
    const struct watch *broken;
    struct result_expectation *expectations;
    struct result_metric *metrics;
    *out = (struct result){.file = scenario->file,
                           .name = scenario->name,
                           .cell = scenario->cell,
                           .id = scenario->id,
                           .seed = run->seed,
                           .virtual_time = run->ended_at};
    out->expectations_count = watch_results(run, &run->arena, &expectations, &broken);
    if (run->broken != INVARIANT_NONE)
        expectations[out->expectations_count++] = (struct result_expectation){
            .text = "invariant of every run", .actual = run->broken_text, .at = run->broken_at};
    out->expectations = expectations;
    out->verdict = broken || run->broken != INVARIANT_NONE ? VERDICT_FAILED : VERDICT_PASSED;
    diagnose(run, broken, out);
    out->metrics_count = metrics_collect(run, &run->arena, &metrics);
    out->metrics = metrics;
    if (run->live)
        live_run_result(run, &run->arena, out);
}
