// Incoming answers to our checks.
#include "stack/ice/ice_priv.h"

// RFC 8445 7.2.5.2.1: the answer goes the way of the request, backwards.
static bool is_symmetric(const struct transaction *sent, const struct datagram *datagram)
{
    return addr_equal(&sent->to, &datagram->from) && addr_equal(&sent->from, &datagram->to);
}

// RFC 8445 7.2.5.1: take the other role than the refused check had, and a new tie-breaker.
static void role_refused(struct ice_agent *agent, nanotime now, const struct transaction *sent)
{
    agent->stats.role_conflicts++;
    enum ice_role other = sent->role == ICE_CONTROLLING ? ICE_CONTROLLED : ICE_CONTROLLING;
    if (agent->role != other)
        ice_role_switch(agent, now, other);
    agent->tiebreaker = rng_u64(&agent->rng);
}

// RFC 8445 7.2.5.3.2: the pair that a successful check of `pair` makes valid: itself with the
// mapped address as its local candidate, or another one of the checklist.
static uint16_t pair_validated(struct ice_agent *agent, uint16_t slot, uint16_t mapped)
{
    const struct pair *pair = &agent->pairs[slot];
    const struct addr *base = ice_base_of(ice_candidate_at(&agent->locals, mapped));
    if (addr_equal(base, ice_base_of(ice_pair_local(agent, pair))))
        return slot;
    uint16_t other = ice_pair_find(agent, base, pair->remote);
    return other == NO_INDEX ? slot : other;
}

static void check_succeeded(struct ice_agent *agent, nanotime now, const struct transaction *sent,
                            const struct addr *mapped_addr)
{
    uint16_t slot = sent->pair;
    struct pair *pair = &agent->pairs[slot];
    uint16_t mapped =
        ice_local_mapped(agent, now, mapped_addr, ice_pair_local(agent, pair), sent->priority);
    if (mapped == NO_INDEX) // no room for another candidate: its base stands for it
        mapped = pair->local;
    uint16_t valid_slot = pair_validated(agent, slot, mapped);
    struct pair *valid = &agent->pairs[valid_slot];

    // It is proven, so no further check of it is needed but a nomination.
    if (!pair->nominate) {
        ice_pair_cancel(agent, slot);
        ice_queue_remove(agent, slot);
    }
    if (valid_slot != slot) {
        ice_pair_cancel(agent, valid_slot);
        ice_queue_remove(agent, valid_slot);
    }
    pair->produced = valid_slot;
    valid->checked_by = slot;
    valid->valid = true;
    valid->valid_local = mapped;
    valid->prflx_priority = sent->priority;
    valid->responded_at = now;
    if (agent->valid_at == TIME_NEVER)
        agent->valid_at = now;
    if (agent->stats.first_valid_at == TIME_NEVER)
        agent->stats.first_valid_at = now;
    // RFC 8445 7.2.5.3.3
    ice_pair_set_state(agent, now, slot, PAIR_SUCCEEDED);
    ice_pair_set_state(agent, now, valid_slot, PAIR_SUCCEEDED);
    ice_pairs_unfreeze(agent, now, pair->foundation);
    ice_pairs_update(agent);

    // RFC 8445 7.2.5.3.4
    bool nominated = agent->role == ICE_CONTROLLING ? sent->use_candidate && pair->nominate
                                                    : pair->nominate_on_success;
    pair->nominate_on_success = false;
    ice_selected_update(agent, now);
    if (agent->has_selected && agent->selected_slot == valid_slot)
        ice_consent_given(agent, now);
    if (nominated)
        ice_pair_nominate(agent, now, valid_slot);
}

static enum ice_drop check_error(struct ice_agent *agent, nanotime now,
                                 const struct transaction *sent, unsigned code)
{
    uint16_t slot = sent->pair;
    if (code == STUN_ROLE_CONFLICT) {
        trace(&agent->trace, now, "answer 487: refused as %s", ice_role_name(sent->role));
        role_refused(agent, now, sent);
        if (sent->kind == TRANSACTION_CANCELLED || agent->nominated != NO_INDEX)
            return ICE_KEPT;
        if (!agent->pairs[slot].valid)
            ice_pair_set_state(agent, now, slot, PAIR_WAITING);
        ice_queue_push(agent, slot);
        return ICE_KEPT;
    }
    // RFC 8445 7.2.5.2.4. A newer check of the pair decides, where there is one.
    trace(&agent->trace, now, "answer %u to a check", code);
    if (sent->kind == TRANSACTION_CHECK)
        ice_pair_failed(agent, now, slot);
    return ICE_ERROR_RESPONSE;
}

static enum ice_drop check_response(struct ice_agent *agent, nanotime now,
                                    const struct datagram *datagram, const struct stun_msg *msg,
                                    struct transaction *transaction)
{
    // The transaction ends here, whatever follows.
    struct transaction sent = *transaction;
    struct pair *pair = &agent->pairs[sent.pair];
    if (sent.kind == TRANSACTION_CHECK)
        pair->transaction = NO_INDEX;
    transaction->kind = TRANSACTION_FREE;

    enum ice_drop drop = ICE_KEPT;
    if (!is_symmetric(&sent, datagram))
        drop = ICE_ASYMMETRIC;
    else if (msg->unknown_count > 0) // RFC 8489 6.3.3, 6.3.4
        drop = ICE_UNKNOWN_ATTRIBUTE;
    else if (msg->class == STUN_ERROR)
        return check_error(agent, now, &sent, msg->error_code);
    else if (!stun_has(msg, STUN_XOR_MAPPED_ADDRESS))
        drop = ICE_MALFORMED;
    if (drop != ICE_KEPT) {
        if (sent.kind == TRANSACTION_CHECK)
            ice_pair_failed(agent, now, sent.pair);
        return drop;
    }
    check_succeeded(agent, now, &sent, &msg->mapped);
    return ICE_KEPT;
}

static enum ice_drop consent_response(struct ice_agent *agent, nanotime now,
                                      const struct datagram *datagram, const struct stun_msg *msg,
                                      struct transaction *transaction)
{
    struct transaction sent = *transaction;
    if (!is_symmetric(&sent, datagram))
        return ICE_ASYMMETRIC;
    transaction->kind = TRANSACTION_FREE;
    bool current = agent->consent.on && addr_equal(&sent.to, &agent->consent.to) &&
                   addr_equal(&sent.from, &agent->consent.from);
    if (msg->class == STUN_ERROR) {
        if (msg->error_code == STUN_ROLE_CONFLICT && !sent.previous) {
            role_refused(agent, now, &sent);
            return ICE_KEPT;
        }
        // RFC 7675 5.2: Forbidden revokes consent at once.
        if (msg->error_code == STUN_FORBIDDEN && current)
            ice_consent_lost(agent, now, "revoked by the peer");
        return ICE_ERROR_RESPONSE;
    }
    if (msg->unknown_count > 0)
        return ICE_UNKNOWN_ATTRIBUTE;
    if (current)
        ice_consent_given(agent, now);
    return ICE_KEPT;
}

enum ice_drop ice_response_input(struct ice_agent *agent, nanotime now,
                                 const struct datagram *datagram, const struct stun_msg *msg)
{
    if (!agent->current->remote_key && !agent->previous)
        return ICE_NO_REMOTE_YET;
    struct transaction *sent = ice_transaction_find(agent, now, msg->id);
    if (!sent)
        return ICE_UNKNOWN_TRANSACTION;
    // RFC 8489 9.1.4: an answer that is not signed by the peer's password was never received.
    const struct generation *session = sent->previous ? agent->previous : agent->current;
    if (!stun_check_integrity(msg, session->remote_key))
        return ICE_BAD_INTEGRITY;
    agent->stats.responses_received++;
    if (is_symmetric(sent, datagram))
        ice_count_response(agent, now, sent);
    if (sent->kind == TRANSACTION_CONSENT)
        return consent_response(agent, now, datagram, msg, sent);
    return check_response(agent, now, datagram, msg, sent);
}
