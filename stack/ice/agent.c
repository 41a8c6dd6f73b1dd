#include "stack/ice/ice_priv.h"

#include <stdlib.h>

#define OR_DEFAULT(value, usual) ((value) ? (value) : (usual))

static struct ice_config config_complete(const struct ice_config *config)
{
    struct ice_config full = *config;
    full.ta = OR_DEFAULT(config->ta, 50 * TIME_MS);                // RFC 8445 14.2
    full.rto_min = OR_DEFAULT(config->rto_min, 500 * TIME_MS);     // RFC 8445 14.3
    full.patience = OR_DEFAULT(config->patience, 39500 * TIME_MS); // RFC 8863 4
    full.nomination_wait = OR_DEFAULT(config->nomination_wait, 500 * TIME_MS);
    full.consent_interval = OR_DEFAULT(config->consent_interval, 5 * TIME_S); // RFC 7675 5.1
    full.consent_timeout = OR_DEFAULT(config->consent_timeout, 30 * TIME_S);
    full.checks_max = OR_DEFAULT(config->checks_max, 100); // RFC 8445 6.1.2.5
    full.candidates_max = OR_DEFAULT(config->candidates_max, 64);
    // Indexes have 16 bits, and a transaction id holds one.
    full.checks_max = full.checks_max < 16384 ? full.checks_max : 16384;
    full.candidates_max = full.candidates_max < 16384 ? full.candidates_max : 16384;
    return full;
}

struct ice_agent *ice_agent_new(const struct ice_config *config)
{
    struct ice_agent *agent = mem_zero(1, sizeof *agent);
    agent->config = config_complete(config);
    agent->trace = config->trace;
    agent->rng = config->rng;
    agent->role = config->role;
    agent->tiebreaker = config->tiebreaker ? config->tiebreaker : rng_u64(&agent->rng);
    agent->current = ice_generation_new(agent);
    agent->patience_at = agent->valid_at = TIME_NEVER;
    agent->stats.first_valid_at = agent->stats.selected_at = TIME_NEVER;
    agent->kept.stats = ice_pair_stats_none();
    ice_pairs_init(agent);
    return agent;
}

void ice_agent_free(struct ice_agent *agent)
{
    if (!agent)
        return;
    ice_generation_free(agent->current);
    ice_generation_free(agent->previous);
    ice_candidates_free(&agent->locals);
    ice_candidates_free(&agent->remotes);
    free(agent->pairs);
    free(agent->order);
    free(agent->transactions);
    free(agent);
}

// --------------------------------------------------------------------------------------- the state

static enum ice_state state_now(const struct ice_agent *agent)
{
    if (agent->state == ICE_CLOSED || agent->state == ICE_FAILED)
        return agent->state;
    if (agent->has_selected) {
        // As RTCIceTransportState has it, a restart forgets that connectivity was lost.
        if (agent->consent.disconnected)
            return agent->selected_previous ? ICE_CHECKING : ICE_DISCONNECTED;
        bool done = agent->nominated != NO_INDEX && agent->local_done && agent->remote_done;
        return done ? ICE_COMPLETED : ICE_CONNECTED;
    }
    return agent->checking ? ICE_CHECKING : ICE_NEW;
}

static void state_set(struct ice_agent *agent, nanotime now, enum ice_state state)
{
    trace(&agent->trace, now, "%s", ice_state_name(state));
    agent->state = state;
    agent->state_changed = true;
}

void ice_state_update(struct ice_agent *agent, nanotime now)
{
    enum ice_state state = state_now(agent);
    if (state != agent->state)
        state_set(agent, now, state);
}

static void stop(struct ice_agent *agent, nanotime now)
{
    ice_queue_clear(agent);
    ice_selected_drop(agent, now);
    for (unsigned i = 0; i < agent->pairs_count; i++)
        agent->pairs[agent->order[i]].transaction = NO_INDEX;
    ice_transactions_drop(agent, false);
}

void ice_fail(struct ice_agent *agent, nanotime now, enum ice_failure failure)
{
    trace(&agent->trace, now, "failure: %s", ice_failure_name(failure));
    stop(agent, now);
    agent->failure = failure;
    state_set(agent, now, ICE_FAILED);
}

void ice_agent_close(struct ice_agent *agent, nanotime now)
{
    agent->now = time_max(agent->now, now);
    if (agent->state == ICE_CLOSED)
        return;
    stop(agent, now);
    agent->replies_count = 0;
    state_set(agent, now, ICE_CLOSED);
}

bool ice_is_running(const struct ice_agent *agent)
{
    return agent->current->remote_key && agent->state != ICE_FAILED && agent->state != ICE_CLOSED &&
           !agent->config.lite;
}

// RFC 8445 7.2.5.1, 7.3.1.1: priorities follow the role, and so does who nominates.
void ice_role_switch(struct ice_agent *agent, nanotime now, enum ice_role role)
{
    trace(&agent->trace, now, "now %s", ice_role_name(role));
    agent->role = role;
    agent->nominating = NO_INDEX;
    for (unsigned i = 0; i < agent->pairs_count; i++) {
        struct pair *pair = &agent->pairs[agent->order[i]];
        pair->nominate = pair->nominate_on_success = false;
    }
    ice_pairs_update(agent);
    ice_selected_update(agent, now);
}

void ice_agent_set_role(struct ice_agent *agent, nanotime now, enum ice_role role)
{
    agent->now = time_max(agent->now, now);
    if (agent->role == role)
        return;
    // RFC 8445 6.1.1: who is lite settles it; and once checks have started only a conflict does.
    bool settled = agent->current->remote_key && agent->remote_lite != agent->config.lite;
    if (agent->started || settled) {
        trace(&agent->trace, now, "we stay %s", ice_role_name(agent->role));
        return;
    }
    ice_role_switch(agent, now, role);
}

// -------------------------------------------------------------------------------------- candidates
// end

void ice_agent_local_done(struct ice_agent *agent, nanotime now)
{
    agent->now = time_max(agent->now, now);
    agent->local_done = true;
    ice_lite_pair_choose(agent, now);
    ice_state_update(agent, now);
}

void ice_agent_remote_done(struct ice_agent *agent, nanotime now)
{
    agent->now = time_max(agent->now, now);
    if (!agent->remote_done)
        trace(&agent->trace, now, "no more remote candidates");
    agent->remote_done = true;
    ice_lite_pair_choose(agent, now);
    ice_state_update(agent, now);
}

// ------------------------------------------------------------------------------------------- input

static enum ice_drop input(struct ice_agent *agent, nanotime now, const struct datagram *datagram)
{
    if (agent->state == ICE_CLOSED)
        return ICE_UNEXPECTED;
    if (!stun_is_stun(datagram->bytes))
        return ICE_NOT_STUN;
    struct stun_msg msg;
    if (stun_decode(datagram->bytes, &msg) != STUN_OK)
        return ICE_MALFORMED;
    if (msg.method != STUN_BINDING)
        return ICE_UNEXPECTED;
    // RFC 8445 7.2.4, 7.3: checks and their answers carry FINGERPRINT. 11: keepalives SHOULD.
    bool required = msg.class != STUN_INDICATION || stun_has(&msg, STUN_FINGERPRINT);
    if (required && !stun_check_fingerprint(&msg))
        return ICE_BAD_FINGERPRINT;
    if (msg.class == STUN_INDICATION) // RFC 8445 11: a keepalive has no effect, nor credentials
        return agent->current->remote_key ? ICE_KEPT : ICE_NO_REMOTE_YET;
    return msg.class == STUN_REQUEST ? ice_request_input(agent, now, datagram, &msg)
                                     : ice_response_input(agent, now, datagram, &msg);
}

enum ice_drop ice_agent_input(struct ice_agent *agent, nanotime now,
                              const struct datagram *datagram)
{
    agent->now = time_max(agent->now, now);
    enum ice_drop drop = input(agent, agent->now, datagram);
    agent->stats.drops[drop]++;
    if (drop != ICE_KEPT && agent->trace.log) {
        char from[ADDR_TEXT_MAX];
        trace(&agent->trace, agent->now, "datagram from %s: %s", addr_print(&datagram->from, from),
              ice_drop_name(drop));
    }
    return drop;
}

// ---------------------------------------------------------------------------------------- poll and
// deadline

static bool can_start(const struct ice_agent *agent)
{
    return !agent->started && agent->pairs_count > 0 && ice_is_running(agent);
}

// RFC 8863 4: only once patience has ended may the checklist fail, when nothing is left to check.
static void patience_watch(struct ice_agent *agent, nanotime now)
{
    if (now < agent->patience_at)
        return;
    agent->patience_over = true;
    if (!ice_pairs_are_done(agent) || ice_is_hopeful(agent, now))
        return;
    ice_fail(agent, now, agent->remotes.count == 0 ? ICE_NO_REMOTE_CANDIDATES : ICE_CHECKS_FAILED);
}

static void timers_fire(struct ice_agent *agent, nanotime now)
{
    if (agent->state == ICE_FAILED || agent->state == ICE_CLOSED)
        return;
    if (can_start(agent))
        ice_pairs_start(agent, now);
    ice_consent_watch(agent, now);
    ice_checks_expire(agent, now);
    ice_pairs_thaw(agent, now);
    ice_nomination_consider(agent, now);
    if (agent->state != ICE_FAILED)
        patience_watch(agent, now);
}

bool ice_agent_poll(struct ice_agent *agent, nanotime now, struct ice_output *out)
{
    agent->now = now = time_max(agent->now, now);
    if (ice_reply_send(agent, now, out))
        return true;
    timers_fire(agent, now);
    if (agent->selected_changed) {
        agent->selected_changed = false;
        *out = (struct ice_output){.kind = ICE_SELECTED_CHANGED};
        return true;
    }
    if (agent->state_changed) {
        agent->state_changed = false;
        *out = (struct ice_output){.kind = ICE_STATE_CHANGED};
        return true;
    }
    return ice_checks_repeat(agent, now, out) || ice_check_send(agent, now, out) ||
           ice_consent_send(agent, now, out) || ice_keepalive_send(agent, now, out);
}

nanotime ice_agent_deadline(const struct ice_agent *agent)
{
    if (agent->replies_count > 0 || agent->state_changed || agent->selected_changed)
        return agent->now;
    if (agent->state == ICE_FAILED || agent->state == ICE_CLOSED)
        return TIME_NEVER;
    if (can_start(agent) || ice_pairs_may_thaw(agent))
        return agent->now;
    nanotime at = time_min(ice_consent_deadline(agent), ice_nomination_deadline(agent));
    if (!agent->patience_over)
        at = time_min(at, agent->patience_at);
    if (ice_check_is_ready(agent))
        at = time_min(at, agent->pace_at);
    for (unsigned i = 0; i < agent->transactions_len; i++)
        if (agent->transactions[i].kind == TRANSACTION_CHECK)
            at = time_min(at, agent->transactions[i].rto.next_at);
    return time_max(at, agent->now);
}

// ----------------------------------------------------------------------------------------- reading

enum ice_state ice_agent_state(const struct ice_agent *agent)
{
    return agent->state;
}

enum ice_failure ice_agent_failure(const struct ice_agent *agent)
{
    return agent->failure;
}

enum ice_role ice_agent_role(const struct ice_agent *agent)
{
    return agent->role;
}

const struct ice_pair *ice_agent_selected(const struct ice_agent *agent)
{
    return agent->has_selected ? &agent->selected : NULL;
}

// Losing consent deselects the pair at once, so a selected pair has consent.
bool ice_agent_may_send(const struct ice_agent *agent)
{
    return agent->has_selected;
}

struct ice_stats ice_agent_stats(const struct ice_agent *agent)
{
    return agent->stats;
}
