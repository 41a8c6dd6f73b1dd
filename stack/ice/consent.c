// Consent freshness on the selected pair (RFC 7675), which also keeps its NAT bindings alive (RFC
// 8445 11). A lite agent sends no requests: it keeps them alive by Binding indications.
//
// No answer to any check for `consent_timeout` ends consent. Before that, a check that has had no
// answer for half an interval makes the agent ICE_DISCONNECTED: with the usual 5 s that is 6.5 to
// 8.5 s after the last answer, within what browsers do.
#include "stack/ice/ice_priv.h"

#include <assert.h>

// RFC 7675 5.1: each interval is drawn from 0.8 to 1.2 of the usual one.
static nanotime consent_interval(struct ice_agent *agent)
{
    nanotime fifth = agent->config.consent_interval / 5;
    return 4 * fifth + (nanotime)rng_below(&agent->rng, (uint64_t)(2 * fifth) + 1);
}

void ice_consent_start(struct ice_agent *agent, nanotime now, const struct pair *pair)
{
    ice_consent_stop(agent);
    agent->keepalive_at = time_add(now, KEEPALIVE_INTERVAL);
    if (agent->config.lite)
        return;
    agent->consent = (struct consent){
        .on = true,
        .from = *ice_base_of(ice_candidate_at(&agent->locals, pair->valid_local)),
        .to = ice_pair_remote(agent, pair)->is.addr,
        .priority = ice_prflx_priority(ice_pair_local(agent, pair)->is.priority),
        .next_at = time_add(now, consent_interval(agent)),
        .unanswered_at = TIME_NEVER,
        .expires_at = time_add(pair->responded_at, agent->config.consent_timeout),
    };
}

// RFC 7675 5.1: what is outstanding is discarded.
void ice_consent_stop(struct ice_agent *agent)
{
    agent->consent = (struct consent){0};
    for (unsigned i = 0; i < agent->transactions_len; i++)
        if (agent->transactions[i].kind == TRANSACTION_CONSENT)
            agent->transactions[i].kind = TRANSACTION_FREE;
}

void ice_consent_given(struct ice_agent *agent, nanotime now)
{
    agent->consent.unanswered_at = TIME_NEVER;
    agent->consent.expires_at = time_add(now, agent->config.consent_timeout);
    if (agent->selected_slot != NO_INDEX)
        agent->pairs[agent->selected_slot].responded_at = now;
    if (!agent->consent.disconnected)
        return;
    agent->consent.disconnected = false;
    trace(&agent->trace, now, "consent: answers again");
    ice_state_update(agent, now);
}

// The selected pair may not be sent on any more. Without a nomination in force that costs the pair;
// with it, the session (RFC 7675 5.1: a restart is needed).
void ice_consent_lost(struct ice_agent *agent, nanotime now, const char *why)
{
    trace(&agent->trace, now, "consent: %s", why);
    bool previous = agent->selected_previous;
    uint16_t slot = agent->selected_slot;
    ice_consent_stop(agent);
    if (previous) {
        ice_selected_drop(agent, now);
        ice_selected_update(agent, now);
    } else if (slot == agent->nominated) {
        ice_fail(agent, now, ICE_CONSENT_EXPIRED);
    } else {
        ice_pair_failed(agent, now, slot);
    }
}

static nanotime disconnect_at(const struct ice_agent *agent)
{
    return agent->consent.disconnected
               ? TIME_NEVER
               : time_add(agent->consent.unanswered_at, agent->config.consent_interval / 2);
}

void ice_consent_watch(struct ice_agent *agent, nanotime now)
{
    if (!agent->consent.on)
        return;
    if (now >= agent->consent.expires_at) {
        ice_consent_lost(agent, now, "expired");
    } else if (now >= disconnect_at(agent)) {
        agent->consent.disconnected = true;
        trace(&agent->trace, now, "consent: no answer");
        ice_state_update(agent, now);
    }
}

bool ice_consent_send(struct ice_agent *agent, nanotime now, struct ice_output *out)
{
    struct consent *consent = &agent->consent;
    if (!consent->on || now < consent->next_at)
        return false;
    struct transaction *t = ice_transaction_new(agent, now);
    t->kind = TRANSACTION_CONSENT;
    t->previous = agent->selected_previous;
    t->from = consent->from;
    t->to = consent->to;
    t->priority = consent->priority;
    t->until = time_add(now, agent->config.consent_timeout);
    consent->next_at = time_add(now, consent_interval(agent));
    if (consent->unanswered_at == TIME_NEVER)
        consent->unanswered_at = now;
    agent->stats.consent_checks++;
    ice_count_request(agent, t);
    trace(&agent->trace, now, "consent check");
    ice_request_encode(agent, t, out);
    return true;
}

// RFC 8445 11: a Binding indication with FINGERPRINT and nothing else.
bool ice_keepalive_send(struct ice_agent *agent, nanotime now, struct ice_output *out)
{
    if (!agent->config.lite || !agent->has_selected || now < agent->keepalive_at)
        return false;
    agent->keepalive_at = time_add(now, KEEPALIVE_INTERVAL);
    uint8_t id[STUN_ID_LEN];
    rng_fill(&agent->rng, id, sizeof id);
    struct stun_writer w =
        stun_begin(agent->message, sizeof agent->message, STUN_INDICATION, STUN_BINDING, id);
    stun_add_fingerprint(&w);
    *out = (struct ice_output){
        .kind = ICE_SEND,
        .send = {.from = agent->selected.local.base,
                 .to = agent->selected.remote.addr,
                 .bytes = stun_end(&w)},
    };
    assert(out->send.bytes.len > 0);
    trace(&agent->trace, now, "keepalive");
    return true;
}

nanotime ice_consent_deadline(const struct ice_agent *agent)
{
    if (agent->config.lite)
        return agent->has_selected ? agent->keepalive_at : TIME_NEVER;
    const struct consent *consent = &agent->consent;
    if (!consent->on)
        return TIME_NEVER;
    return time_min(time_min(consent->next_at, consent->expires_at), disconnect_at(agent));
}
