// Valid pairs, nomination, and the pair that carries data.
//
// Policy of the controlling agent (RFC 8445 8.1.1 leaves it open): nominate the valid pair with the
// highest priority
// - at once, when no pair that is still to be checked has a higher priority, and no candidate that
//   may still come can give one: both sides said that they are done, or the pair joins two host
//   candidates, the best type there is;
// - else `nomination_wait` after the first valid pair of the session; never later.
// A nomination whose check fails costs only its pair: the next best valid one is nominated.
#include "stack/ice/ice_priv.h"

#include <assert.h>

// RFC 7675 5.1: a valid pair carries data only for so long after an answer on it. The selected one
// is asked again and again; another one that grew stale is valid still, but must answer first.
bool ice_pair_is_fresh(const struct ice_agent *agent, nanotime now, const struct pair *pair)
{
    return agent->config.lite || now < time_add(pair->responded_at, agent->config.consent_timeout);
}

// The valid pair with the highest priority, of the fresh ones or of all.
static uint16_t best_valid(const struct ice_agent *agent, nanotime now, bool fresh)
{
    uint16_t best = NO_INDEX;
    for (unsigned i = 0; i < agent->pairs_count; i++) {
        uint16_t slot = agent->order[i];
        const struct pair *pair = &agent->pairs[slot];
        if (pair->valid && (!fresh || ice_pair_is_fresh(agent, now, pair)) &&
            (best == NO_INDEX || pair->valid_priority > agent->pairs[best].valid_priority))
            best = slot;
    }
    return best;
}

static bool has_valid(const struct ice_agent *agent)
{
    return best_valid(agent, 0, false) != NO_INDEX;
}

// A restart that leads nowhere does not end what the old pair still carries.
bool ice_is_hopeful(const struct ice_agent *agent, nanotime now)
{
    return agent->selected_previous || agent->nominated != NO_INDEX ||
           agent->nominating != NO_INDEX || best_valid(agent, now, true) != NO_INDEX ||
           (agent->role == ICE_CONTROLLING && has_valid(agent));
}

// ------------------------------------------------------------------------------------ the selected

void ice_selected_drop(struct ice_agent *agent, nanotime now)
{
    if (!agent->has_selected)
        return;
    ice_selected_keep(agent);
    agent->stats.selections++;
    agent->has_selected = agent->selected_previous = false;
    agent->selected_slot = NO_INDEX;
    agent->selected_changed = true;
    ice_consent_stop(agent);
    trace(&agent->trace, now, "no pair is selected");
}

static void selected_set(struct ice_agent *agent, nanotime now, uint16_t slot)
{
    const struct pair *pair = &agent->pairs[slot];
    bool same = agent->has_selected && agent->selected_slot == slot;
    struct ice_pair selected = {
        .local = ice_candidate_at(&agent->locals, pair->valid_local)->is,
        .remote = ice_pair_remote(agent, pair)->is,
        .nominated = agent->nominated == slot,
    };
    bool news = !same || selected.nominated != agent->selected.nominated ||
                selected.local.type != agent->selected.local.type;
    agent->has_selected = true;
    agent->selected_previous = false;
    agent->selected_slot = slot;
    agent->selected = selected;
    if (!news)
        return;
    agent->selected_changed = true;
    if (agent->trace.log) {
        char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX];
        trace(&agent->trace, now, "selected %s %s > %s %s%s",
              ice_candidate_type_name(selected.local.type), addr_print(&selected.local.addr, from),
              ice_candidate_type_name(selected.remote.type), addr_print(&selected.remote.addr, to),
              selected.nominated ? ", nominated" : "");
    }
    if (same)
        return;
    agent->stats.selections++;
    ice_consent_start(agent, now, pair);
}

// The nominated pair; before there is one, that from before a restart (RFC 8445 12.1), else the
// best valid one.
void ice_selected_update(struct ice_agent *agent, nanotime now)
{
    // RFC 7675 5.1: consent that was lost comes back by a restart alone, not by a nomination that
    // was in force before, nor by what the peer still says.
    if (agent->state == ICE_FAILED || agent->state == ICE_CLOSED)
        return;
    uint16_t slot = agent->nominated;
    if (slot == NO_INDEX && !(agent->has_selected && agent->selected_previous)) {
        slot = best_valid(agent, now, true);
        if (slot == NO_INDEX)
            ice_selected_drop(agent, now);
    }
    if (slot != NO_INDEX)
        selected_set(agent, now, slot);
    ice_state_update(agent, now);
}

// --------------------------------------------------------------------------------------- nominated

// Set the nominated flag of a valid pair, which concludes the checks.
//
// RFC 8445 8.1.1: of several nominated pairs the one with the highest priority is used.
void ice_pair_nominate(struct ice_agent *agent, nanotime now, uint16_t slot)
{
    struct pair *pair = &agent->pairs[slot];
    assert(pair->valid);
    pair->nominate_on_success = false;
    if (slot == agent->nominated)
        return;
    if (agent->nominated != NO_INDEX &&
        agent->pairs[agent->nominated].valid_priority >= pair->valid_priority) {
        ice_trace_pair(agent, now, slot, "nominated too, but a better one is");
        return;
    }
    if (agent->nominated == NO_INDEX)
        agent->stats.selected_at = now;
    agent->nominated = slot;
    agent->nominating = NO_INDEX;
    ice_trace_pair(agent, now, slot, "nominated");
    // RFC 8445 8.1.2: no other check is sent or sent again.
    ice_queue_clear(agent);
    for (unsigned i = 0; i < agent->pairs_count; i++) {
        ice_pair_cancel(agent, agent->order[i]);
        agent->pairs[agent->order[i]].nominate = false;
    }
    ice_selected_update(agent, now);
}

// ------------------------------------------------------------------------------------------ policy

static bool can_nominate(const struct ice_agent *agent)
{
    return agent->role == ICE_CONTROLLING && agent->nominated == NO_INDEX &&
           agent->nominating == NO_INDEX && ice_is_running(agent) && has_valid(agent);
}

static bool may_be_beaten(const struct ice_agent *agent, const struct pair *best)
{
    for (unsigned i = 0; i < agent->pairs_count; i++) {
        const struct pair *pair = &agent->pairs[agent->order[i]];
        bool open = pair->state == PAIR_FROZEN || pair->state == PAIR_WAITING ||
                    pair->state == PAIR_IN_PROGRESS;
        if (open && pair->priority > best->valid_priority)
            return true;
    }
    if (agent->local_done && agent->remote_done)
        return false;
    return ice_candidate_at(&agent->locals, best->valid_local)->is.type != ICE_HOST ||
           ice_pair_remote(agent, best)->is.type != ICE_HOST;
}

// What is nominated, and when: by `nomination_wait`, and at once when nothing can beat it.
static nanotime nomination_at(const struct ice_agent *agent, uint16_t best)
{
    return may_be_beaten(agent, &agent->pairs[best])
               ? time_add(agent->valid_at, agent->config.nomination_wait)
               : agent->now;
}

nanotime ice_nomination_deadline(const struct ice_agent *agent)
{
    return can_nominate(agent) ? nomination_at(agent, best_valid(agent, agent->now, false))
                               : TIME_NEVER;
}

void ice_nomination_consider(struct ice_agent *agent, nanotime now)
{
    if (!can_nominate(agent))
        return;
    uint16_t best = best_valid(agent, now, false);
    if (now < nomination_at(agent, best))
        return;
    // RFC 8445 8.1.1: repeat the check that made the pair valid, now with USE-CANDIDATE.
    uint16_t slot = agent->pairs[best].checked_by;
    agent->pairs[slot].nominate = true;
    agent->nominating = slot;
    ice_trace_pair(agent, now, slot, "to be nominated");
    ice_queue_push(agent, slot);
}

// RFC 8445 8.2: between two lite agents nothing is checked; the best pair by priority is taken once
// both sides are complete.
void ice_lite_pair_choose(struct ice_agent *agent, nanotime now)
{
    if (!agent->config.lite || !agent->remote_lite || !agent->local_done || !agent->remote_done ||
        !agent->current->remote_key || agent->nominated != NO_INDEX)
        return;
    uint16_t best_local = NO_INDEX, best_remote = NO_INDEX;
    uint64_t best = 0;
    for (unsigned l = 0; l < agent->locals.count; l++) {
        for (unsigned r = 0; r < agent->remotes.count; r++) {
            const struct candidate *local = ice_candidate_at(&agent->locals, l);
            const struct candidate *remote = ice_candidate_at(&agent->remotes, r);
            uint64_t priority =
                ice_pair_priority_of(agent, local->is.priority, remote->is.priority);
            if (ice_can_pair(local, remote) && priority > best) {
                best = priority;
                best_local = (uint16_t)l;
                best_remote = (uint16_t)r;
            }
        }
    }
    if (best_local == NO_INDEX)
        return;
    uint16_t slot = ice_pair_insert(agent, now, best_local, best_remote, true);
    if (slot == NO_INDEX)
        return;
    struct pair *pair = &agent->pairs[slot];
    pair->valid = true;
    pair->valid_local = best_local;
    pair->valid_priority = best;
    pair->responded_at = now;
    pair->produced = pair->checked_by = slot;
    ice_pair_set_state(agent, now, slot, PAIR_SUCCEEDED);
    ice_pair_nominate(agent, now, slot);
}
