// The checklist: pairs in the order of their priority, their states, and which is checked next.
//
// Before the first check all pairs are frozen; ice_pairs_start then sets the initial states of RFC
// 8445 6.1.2.6. Pairs that are formed later get theirs by RFC 8838 12.
//
// One rule is ours: a check in progress holds back the frozen pairs of its foundation (RFC 8445
// 6.1.4.2) only until it is repeated. A host that does not answer would otherwise block the others
// of its kind for 39.5 s.
#include "stack/ice/ice_priv.h"

#include <assert.h>
#include <stdlib.h>

#define PAIRS_FIRST 8u

static const char *const state_names[PAIR_STATES] = {"frozen", "waiting", "in progress",
                                                     "succeeded", "failed"};

void ice_pairs_init(struct ice_agent *agent)
{
    agent->queue_first = agent->queue_last = NO_INDEX;
    agent->nominated = agent->nominating = agent->selected_slot = NO_INDEX;
}

void ice_pairs_clear(struct ice_agent *agent)
{
    agent->pairs_len = agent->pairs_count = 0;
    memset(agent->pairs_in, 0, sizeof agent->pairs_in);
    agent->started = agent->frozen_stuck = false;
    ice_pairs_init(agent);
}

struct candidate *ice_pair_local(const struct ice_agent *agent, const struct pair *pair)
{
    return ice_candidate_at(&agent->locals, pair->local);
}

struct candidate *ice_pair_remote(const struct ice_agent *agent, const struct pair *pair)
{
    return ice_candidate_at(&agent->remotes, pair->remote);
}

void ice_trace_pair(const struct ice_agent *agent, nanotime now, uint16_t slot, const char *what)
{
    if (!agent->trace.log)
        return;
    const struct pair *pair = &agent->pairs[slot];
    char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX];
    trace(&agent->trace, now, "pair %s > %s %s",
          addr_print(ice_base_of(ice_pair_local(agent, pair)), from),
          addr_print(&ice_pair_remote(agent, pair)->is.addr, to), what);
}

void ice_pair_set_state(struct ice_agent *agent, nanotime now, uint16_t slot, enum pair_state state)
{
    struct pair *pair = &agent->pairs[slot];
    if (pair->state == state)
        return;
    agent->pairs_in[pair->state]--;
    agent->pairs_in[state]++;
    pair->state = state;
    agent->frozen_stuck = false;
    ice_trace_pair(agent, now, slot, state_names[state]);
}

// --------------------------------------------------------------------------------------- the order

uint64_t ice_pair_priority(uint32_t controlling, uint32_t controlled)
{
    uint64_t g = controlling, d = controlled;
    uint64_t low = g < d ? g : d, high = g < d ? d : g;
    return (low << 32) + 2 * high + (g > d ? 1 : 0);
}

uint64_t ice_pair_priority_of(const struct ice_agent *agent, uint32_t local, uint32_t remote)
{
    return agent->role == ICE_CONTROLLING ? ice_pair_priority(local, remote)
                                          : ice_pair_priority(remote, local);
}

static bool is_before(const struct pair *a, const struct pair *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->number < b->number;
}

static void order_insert(struct ice_agent *agent, uint16_t slot, unsigned count)
{
    unsigned at = count;
    for (; at > 0 && is_before(&agent->pairs[slot], &agent->pairs[agent->order[at - 1]]); at--)
        agent->order[at] = agent->order[at - 1];
    agent->order[at] = slot;
}

static void order_remove(struct ice_agent *agent, uint16_t slot)
{
    unsigned at = 0;
    while (agent->order[at] != slot)
        at++;
    memmove(agent->order + at, agent->order + at + 1,
            (agent->pairs_count - at - 1) * sizeof *agent->order);
}

static void pair_compute(struct ice_agent *agent, struct pair *pair)
{
    const struct candidate *local = ice_pair_local(agent, pair);
    const struct candidate *remote = ice_pair_remote(agent, pair);
    pair->priority = ice_pair_priority_of(agent, local->is.priority, remote->is.priority);
    pair->foundation = (uint32_t)local->foundation << 16 | remote->foundation;
    if (!pair->valid)
        return;
    // RFC 8445 7.2.5.3.2: a peer-reflexive local candidate counts by the PRIORITY of the check.
    const struct candidate *valid = ice_candidate_at(&agent->locals, pair->valid_local);
    uint32_t priority = valid->is.type == ICE_PRFLX ? pair->prflx_priority : valid->is.priority;
    pair->valid_priority = ice_pair_priority_of(agent, priority, remote->is.priority);
}

void ice_pairs_update(struct ice_agent *agent)
{
    for (unsigned i = 0; i < agent->pairs_count; i++)
        pair_compute(agent, &agent->pairs[agent->order[i]]);
    for (unsigned i = 1; i < agent->pairs_count; i++)
        order_insert(agent, agent->order[i], i);
    agent->frozen_stuck = false;
}

// -------------------------------------------------------------------------------- adding, removing

uint16_t ice_pair_find(const struct ice_agent *agent, const struct addr *base, uint16_t remote)
{
    for (unsigned i = 0; i < agent->pairs_len; i++) {
        const struct pair *pair = &agent->pairs[i];
        if (pair->used && pair->remote == remote &&
            addr_equal(ice_base_of(ice_pair_local(agent, pair)), base))
            return (uint16_t)i;
    }
    return NO_INDEX;
}

bool ice_can_pair(const struct candidate *local, const struct candidate *remote)
{
    const struct ip *a = &ice_base_of(local)->ip, *b = &remote->is.addr.ip;
    if (local->is.component != remote->is.component || a->family != b->family)
        return false;
    // RFC 8445 6.1.2.2: IPv6 link-local addresses only with each other.
    return a->family != IP_V6 || ip_is_link_local(a) == ip_is_link_local(b);
}

static void pair_remove(struct ice_agent *agent, nanotime now, uint16_t slot)
{
    struct pair *pair = &agent->pairs[slot];
    ice_trace_pair(agent, now, slot, "removed to make room");
    ice_queue_remove(agent, slot);
    ice_pair_drop_transactions(agent, slot);
    order_remove(agent, slot);
    agent->pairs_count--;
    agent->pairs_in[pair->state]--;
    pair->used = false;
    agent->frozen_stuck = false;
    // Checks of several pairs may have made this one valid once; it failed with the last of them.
    for (unsigned i = 0; i < agent->pairs_count; i++) {
        uint16_t other = agent->order[i];
        if (agent->pairs[other].produced == slot)
            agent->pairs[other].produced = NO_INDEX;
        if (agent->pairs[other].checked_by == slot)
            agent->pairs[other].checked_by = other;
    }
}

// RFC 8838 10 and 11: a failed pair goes first, else a lower one that was not checked yet. An
// incoming check proves more than any of those promises, so its pair need not be better.
static bool make_room(struct ice_agent *agent, nanotime now, uint64_t priority, bool triggered)
{
    if (agent->pairs_count < agent->config.checks_max)
        return true;
    for (unsigned i = agent->pairs_count; i-- > 0;) {
        uint16_t slot = agent->order[i];
        if (agent->pairs[slot].state == PAIR_FAILED && !agent->pairs[slot].queued) {
            pair_remove(agent, now, slot);
            return true;
        }
    }
    for (unsigned i = agent->pairs_count; i-- > 0;) {
        uint16_t slot = agent->order[i];
        const struct pair *pair = &agent->pairs[slot];
        bool unchecked = pair->state == PAIR_FROZEN || pair->state == PAIR_WAITING;
        if (unchecked && !pair->queued && (triggered || pair->priority < priority)) {
            pair_remove(agent, now, slot);
            return true;
        }
    }
    return false;
}

static uint16_t slot_take(struct ice_agent *agent)
{
    if (agent->pairs_count < agent->pairs_len) {
        uint16_t slot = 0;
        while (agent->pairs[slot].used)
            slot++;
        return slot;
    }
    if (agent->pairs_len == agent->pairs_size) {
        agent->pairs_size = agent->pairs_size ? 2 * agent->pairs_size : PAIRS_FIRST;
        agent->pairs = mem_grow(agent->pairs, agent->pairs_size * sizeof *agent->pairs);
        agent->order = mem_grow(agent->order, agent->pairs_size * sizeof *agent->order);
    }
    return (uint16_t)agent->pairs_len++;
}

uint16_t ice_pair_insert(struct ice_agent *agent, nanotime now, uint16_t local, uint16_t remote,
                         bool triggered)
{
    struct pair made = {
        .local = local,
        .remote = remote,
        .valid_local = NO_INDEX,
        .produced = NO_INDEX,
        .checked_by = NO_INDEX,
        .transaction = NO_INDEX,
        .queue_next = NO_INDEX,
        .state = PAIR_FROZEN,
        .used = true,
        .number = agent->pairs_made,
        .stats = ice_pair_stats_none(),
    };
    pair_compute(agent, &made);
    if (!make_room(agent, now, made.priority, triggered)) {
        trace(&agent->trace, now, "no room for another pair");
        return NO_INDEX;
    }
    uint16_t slot = slot_take(agent);
    agent->pairs[slot] = made;
    order_insert(agent, slot, agent->pairs_count);
    agent->pairs_count++;
    agent->pairs_made++;
    agent->pairs_in[PAIR_FROZEN]++;
    agent->stats.pairs++;
    agent->frozen_stuck = false;
    ice_trace_pair(agent, now, slot, "formed");
    return slot;
}

// RFC 8838 12: the state of a pair that is formed once checks have started.
static void pair_set_first_state(struct ice_agent *agent, nanotime now, uint16_t slot)
{
    bool topmost = true;
    for (unsigned i = 0; i < agent->pairs_count; i++) {
        const struct pair *other = &agent->pairs[agent->order[i]];
        if (agent->order[i] == slot || other->foundation != agent->pairs[slot].foundation)
            continue;
        if (other->state == PAIR_SUCCEEDED) { // rule 2
            topmost = true;
            break;
        }
        topmost &= is_before(&agent->pairs[slot], other); // rule 1
    }
    if (topmost)
        ice_pair_set_state(agent, now, slot, PAIR_WAITING);
}

// Pair a local with a remote candidate, unless the pair is there already.
//
// RFC 8445 6.1.2.4: a reflexive candidate is checked from its base, so its pair is redundant to
// that of its base. It is formed only when the base itself is no candidate.
void ice_pair_form(struct ice_agent *agent, nanotime now, uint16_t local, uint16_t remote)
{
    const struct candidate *ours = ice_candidate_at(&agent->locals, local);
    if (agent->config.lite || agent->nominated != NO_INDEX || ours->is.type == ICE_PRFLX ||
        !ice_can_pair(ours, ice_candidate_at(&agent->remotes, remote)))
        return;
    uint16_t same = ice_pair_find(agent, ice_base_of(ours), remote);
    if (same != NO_INDEX) {
        // RFC 8838 10: only pairs that were not checked yet give way to a better redundant one.
        struct pair *pair = &agent->pairs[same];
        bool unchecked = pair->state == PAIR_FROZEN || pair->state == PAIR_WAITING;
        if (unchecked && ours->is.priority > ice_pair_local(agent, pair)->is.priority) {
            pair->local = local;
            ice_pairs_update(agent);
        }
        return;
    }
    uint16_t slot = ice_pair_insert(agent, now, local, remote, false);
    if (slot != NO_INDEX && agent->started)
        pair_set_first_state(agent, now, slot);
}

// ---------------------------------------------------------------------------------------- freezing

// RFC 8445 6.1.2.6: of each foundation, the pair with the highest priority waits.
void ice_pairs_start(struct ice_agent *agent, nanotime now)
{
    agent->started = true;
    for (unsigned i = 0; i < agent->pairs_count; i++) {
        const struct pair *pair = &agent->pairs[agent->order[i]];
        bool first = pair->state == PAIR_FROZEN;
        for (unsigned k = 0; first && k < i; k++)
            first = agent->pairs[agent->order[k]].foundation != pair->foundation;
        if (first)
            ice_pair_set_state(agent, now, agent->order[i], PAIR_WAITING);
    }
}

// RFC 8445 7.2.5.3.3
void ice_pairs_unfreeze(struct ice_agent *agent, nanotime now, uint32_t foundation)
{
    if (agent->pairs_in[PAIR_FROZEN] == 0)
        return;
    for (unsigned i = 0; i < agent->pairs_count; i++) {
        const struct pair *pair = &agent->pairs[agent->order[i]];
        if (pair->state == PAIR_FROZEN && pair->foundation == foundation)
            ice_pair_set_state(agent, now, agent->order[i], PAIR_WAITING);
    }
}

static bool is_held_back(const struct ice_agent *agent, uint32_t foundation)
{
    for (unsigned i = 0; i < agent->pairs_count; i++) {
        const struct pair *pair = &agent->pairs[agent->order[i]];
        if (pair->foundation != foundation)
            continue;
        if (pair->state == PAIR_WAITING)
            return true;
        if (pair->state == PAIR_IN_PROGRESS && pair->transaction != NO_INDEX &&
            agent->transactions[pair->transaction].rto.sent < 2)
            return true;
    }
    return false;
}

bool ice_pairs_may_thaw(const struct ice_agent *agent)
{
    return agent->started && !agent->frozen_stuck && agent->nominated == NO_INDEX &&
           agent->pairs_in[PAIR_FROZEN] > 0 && agent->pairs_in[PAIR_WAITING] == 0 &&
           agent->queue_first == NO_INDEX;
}

// RFC 8445 6.1.4.2, step 2: nothing waits, so unfreeze what nothing holds back.
void ice_pairs_thaw(struct ice_agent *agent, nanotime now)
{
    if (!ice_pairs_may_thaw(agent))
        return;
    agent->frozen_stuck = true;
    for (unsigned i = 0; i < agent->pairs_count; i++) {
        const struct pair *pair = &agent->pairs[agent->order[i]];
        if (pair->state == PAIR_FROZEN && !is_held_back(agent, pair->foundation))
            ice_pair_set_state(agent, now, agent->order[i], PAIR_WAITING);
    }
}

bool ice_pairs_are_done(const struct ice_agent *agent)
{
    return agent->queue_first == NO_INDEX && agent->pairs_in[PAIR_FROZEN] +
                                                     agent->pairs_in[PAIR_WAITING] +
                                                     agent->pairs_in[PAIR_IN_PROGRESS] ==
                                                 0;
}

// ----------------------------------------------------------------------- the triggered-check queue

void ice_queue_push(struct ice_agent *agent, uint16_t slot)
{
    struct pair *pair = &agent->pairs[slot];
    if (pair->queued)
        return;
    pair->queued = true;
    pair->queue_next = NO_INDEX;
    if (agent->queue_first == NO_INDEX)
        agent->queue_first = slot;
    else
        agent->pairs[agent->queue_last].queue_next = slot;
    agent->queue_last = slot;
}

void ice_queue_remove(struct ice_agent *agent, uint16_t slot)
{
    if (!agent->pairs[slot].queued)
        return;
    uint16_t before = NO_INDEX;
    for (uint16_t at = agent->queue_first; at != slot; at = agent->pairs[at].queue_next)
        before = at;
    uint16_t next = agent->pairs[slot].queue_next;
    if (before == NO_INDEX)
        agent->queue_first = next;
    else
        agent->pairs[before].queue_next = next;
    if (agent->queue_last == slot)
        agent->queue_last = before;
    agent->pairs[slot].queued = false;
}

void ice_queue_clear(struct ice_agent *agent)
{
    while (agent->queue_first != NO_INDEX)
        ice_queue_remove(agent, agent->queue_first);
}

bool ice_check_is_ready(const struct ice_agent *agent)
{
    if (!agent->started || !ice_is_running(agent))
        return false;
    return agent->queue_first != NO_INDEX ||
           (agent->nominated == NO_INDEX && agent->pairs_in[PAIR_WAITING] > 0);
}

// The waiting pair with the highest priority that no check of the peer asked for.
static uint16_t ordinary_pick(const struct ice_agent *agent)
{
    for (unsigned i = 0; agent->nominated == NO_INDEX && i < agent->pairs_count; i++) {
        const struct pair *pair = &agent->pairs[agent->order[i]];
        if (pair->state == PAIR_WAITING && !pair->queued)
            return agent->order[i];
    }
    return NO_INDEX;
}

// RFC 8445 6.1.4.2: triggered checks first, then the waiting pair with the highest priority. But
// two NATs that map by destination and filter nothing make each triggered check come from a new
// port, which triggers the next, without end: after TRIGGERED_RUN_MAX of them one that waits has
// its turn, or the relay would never be tried.
uint16_t ice_check_pick(struct ice_agent *agent)
{
    uint16_t slot = agent->queue_first;
    bool others_turn = agent->triggered_run >= TRIGGERED_RUN_MAX;
    uint16_t ordinary = slot == NO_INDEX || others_turn ? ordinary_pick(agent) : NO_INDEX;
    if (ordinary != NO_INDEX) {
        agent->triggered_run = 0;
        return ordinary;
    }
    assert(slot != NO_INDEX);
    agent->triggered_run = others_turn ? 0 : agent->triggered_run + 1;
    ice_queue_remove(agent, slot);
    return slot;
}
