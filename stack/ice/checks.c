// Checks on their way: transactions, their requests, their repetition and their end.
#include "stack/ice/ice_priv.h"

#include <assert.h>

#define TRANSACTIONS_FIRST 8u

// --------------------------------------------------------------------------------------- the table

// A slot to use: free, past its time, new, or at the last the oldest that no pair waits for.
static unsigned transaction_slot(struct ice_agent *agent, nanotime now)
{
    unsigned oldest = UINT16_MAX;
    for (unsigned i = 0; i < agent->transactions_len; i++) {
        const struct transaction *t = &agent->transactions[i];
        if (t->kind == TRANSACTION_FREE || (t->kind != TRANSACTION_CHECK && t->until <= now))
            return i;
        if (t->kind != TRANSACTION_CHECK &&
            (oldest == UINT16_MAX || t->sent_at < agent->transactions[oldest].sent_at))
            oldest = i;
    }
    unsigned max = 2 * agent->config.checks_max + TRANSACTIONS_SPARE;
    if (agent->transactions_len >= max) {
        assert(oldest != UINT16_MAX); // a pair has one check at most
        return oldest;
    }
    if (agent->transactions_len == agent->transactions_size) {
        unsigned size =
            agent->transactions_size ? 2 * agent->transactions_size : TRANSACTIONS_FIRST;
        agent->transactions = mem_grow(agent->transactions, size * sizeof *agent->transactions);
        agent->transactions_size = size;
    }
    return agent->transactions_len++;
}

struct transaction *ice_transaction_new(struct ice_agent *agent, nanotime now)
{
    unsigned index = transaction_slot(agent, now);
    struct transaction *made = &agent->transactions[index];
    *made = (struct transaction){
        .role = agent->role,
        .pair = NO_INDEX,
        .tiebreaker = agent->tiebreaker,
        .sent_at = now,
        .last_at = now,
    };
    put_u16(made->id, (uint16_t)index);
    rng_fill(&agent->rng, made->id + 2, sizeof made->id - 2);
    return made;
}

struct transaction *ice_transaction_find(struct ice_agent *agent, nanotime now,
                                         const uint8_t id[STUN_ID_LEN])
{
    unsigned index = (unsigned)id[0] << 8 | id[1];
    if (index >= agent->transactions_len)
        return NULL;
    struct transaction *t = &agent->transactions[index];
    if (t->kind == TRANSACTION_FREE || memcmp(t->id, id, STUN_ID_LEN) != 0)
        return NULL;
    return t->kind == TRANSACTION_CHECK || now < t->until ? t : NULL;
}

void ice_transactions_drop(struct ice_agent *agent, bool keep_consent)
{
    for (unsigned i = 0; i < agent->transactions_len; i++)
        if (!keep_consent || agent->transactions[i].kind != TRANSACTION_CONSENT)
            agent->transactions[i].kind = TRANSACTION_FREE;
}

void ice_pair_drop_transactions(struct ice_agent *agent, uint16_t slot)
{
    for (unsigned i = 0; i < agent->transactions_len; i++)
        if (agent->transactions[i].pair == slot)
            agent->transactions[i].kind = TRANSACTION_FREE;
    agent->pairs[slot].transaction = NO_INDEX;
}

// The time that a transaction gets in all: 7 sendings, then 16 RTO of waiting (RFC 8489 6.2.1).
static nanotime transaction_span(const struct stun_rto *rto)
{
    return rto->rto * ((1 << (STUN_RC - 1)) - 1 + STUN_RM);
}

// RFC 8445 7.3.1.4 and 8.1.2: a cancelled check is not sent again, its silence is no failure, but
// an answer still counts for the duration of the transaction.
void ice_pair_cancel(struct ice_agent *agent, uint16_t slot)
{
    struct pair *pair = &agent->pairs[slot];
    if (pair->transaction == NO_INDEX)
        return;
    struct transaction *t = &agent->transactions[pair->transaction];
    t->kind = TRANSACTION_CANCELLED;
    t->until = time_add(t->sent_at, transaction_span(&t->rto));
    pair->transaction = NO_INDEX;
}

// ----------------------------------------------------------------------------------------- sending

void ice_request_encode(struct ice_agent *agent, const struct transaction *transaction,
                        struct ice_output *out)
{
    const struct generation *session = transaction->previous ? agent->previous : agent->current;
    struct stun_writer w = stun_begin(agent->message, sizeof agent->message, STUN_REQUEST,
                                      STUN_BINDING, transaction->id);
    // RFC 8445 7.2.2: the peer's fragment, a colon, ours; the peer's password is the key.
    stun_add_bytes(&w, STUN_USERNAME, bytes_of(session->username, session->username_len));
    stun_add_u32(&w, STUN_PRIORITY, transaction->priority);
    if (transaction->use_candidate)
        stun_add_flag(&w, STUN_USE_CANDIDATE);
    // RFC 8445 7.1.3
    enum stun_attr role =
        transaction->role == ICE_CONTROLLING ? STUN_ICE_CONTROLLING : STUN_ICE_CONTROLLED;
    stun_add_u64(&w, role, transaction->tiebreaker);
    stun_add_integrity(&w, session->remote_key);
    stun_add_fingerprint(&w); // RFC 8445 7.2.4
    *out = (struct ice_output){
        .kind = ICE_SEND,
        .send = {.from = transaction->from, .to = transaction->to, .bytes = stun_end(&w)},
    };
    assert(out->send.bytes.len > 0);
}

// RFC 8445 14.3: so long that every check is sent once before any is repeated. The formula there
// multiplies by N once more; agents MAY calculate otherwise.
static nanotime check_rto(const struct ice_agent *agent)
{
    nanotime checks = agent->pairs_in[PAIR_WAITING] + agent->pairs_in[PAIR_IN_PROGRESS];
    return time_max(agent->config.rto_min, agent->config.ta * checks);
}

static void trace_check(const struct ice_agent *agent, nanotime now, const struct transaction *t)
{
    if (!agent->trace.log)
        return;
    char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX];
    const char *nomination = t->use_candidate ? " use-candidate" : "";
    if (t->rto.sent > 1)
        trace(&agent->trace, now, "check %s > %s%s, sending %u", addr_print(&t->from, from),
              addr_print(&t->to, to), nomination, t->rto.sent);
    else
        trace(&agent->trace, now, "check %s > %s %s%s", addr_print(&t->from, from),
              addr_print(&t->to, to), ice_role_name(t->role), nomination);
}

bool ice_check_send(struct ice_agent *agent, nanotime now, struct ice_output *out)
{
    if (now < agent->pace_at || !ice_check_is_ready(agent))
        return false;
    uint16_t slot = ice_check_pick(agent);
    struct pair *pair = &agent->pairs[slot];
    const struct candidate *local = ice_pair_local(agent, pair);
    ice_pair_cancel(agent, slot);
    // A nomination repeats the check of a valid pair, which stays what it is until that fails.
    if (!pair->valid)
        ice_pair_set_state(agent, now, slot, PAIR_IN_PROGRESS);

    struct transaction *t = ice_transaction_new(agent, now);
    t->kind = TRANSACTION_CHECK;
    t->pair = slot;
    t->from = *ice_base_of(local);
    t->to = ice_pair_remote(agent, pair)->is.addr;
    t->priority = ice_prflx_priority(local->is.priority);
    // RFC 8445 7.1.2: the controlled agent never nominates.
    t->use_candidate = pair->nominate && agent->role == ICE_CONTROLLING;
    t->rto = stun_rto_start(now, check_rto(agent));
    (void)stun_rto_poll(&t->rto, now);
    pair->transaction = (uint16_t)(t - agent->transactions);
    agent->pace_at = time_add(now, agent->config.ta); // RFC 8445 6.1.4.2: Ta
    agent->stats.checks_sent++;
    ice_count_request(agent, t);
    trace_check(agent, now, t);
    ice_request_encode(agent, t, out);
    return true;
}

bool ice_checks_repeat(struct ice_agent *agent, nanotime now, struct ice_output *out)
{
    for (unsigned i = 0; i < agent->transactions_len; i++) {
        struct transaction *t = &agent->transactions[i];
        if (t->kind != TRANSACTION_CHECK || stun_rto_poll(&t->rto, now) != STUN_RTO_SEND)
            continue;
        t->last_at = now;
        agent->stats.retransmissions++;
        agent->frozen_stuck = false; // it no longer holds back its foundation
        trace_check(agent, now, t);
        ice_request_encode(agent, t, out);
        return true;
    }
    return false;
}

// ----------------------------------------------------------------------------------------- failing

static void pair_mark_failed(struct ice_agent *agent, nanotime now, uint16_t slot)
{
    struct pair *pair = &agent->pairs[slot];
    ice_pair_cancel(agent, slot);
    ice_queue_remove(agent, slot);
    if (agent->nominating == slot)
        agent->nominating = NO_INDEX;
    pair->nominate = pair->nominate_on_success = pair->valid = false;
    pair->produced = pair->checked_by = NO_INDEX;
    ice_pair_set_state(agent, now, slot, PAIR_FAILED);
}

// The pair's check failed. RFC 8445 7.2.5.3.4 and 7.3.1.5 fail the whole checklist when it was
// nominated; here only the pair is lost, and the next best valid one is nominated, or more checks
// are awaited.
void ice_pair_failed(struct ice_agent *agent, nanotime now, uint16_t slot)
{
    uint16_t produced = agent->pairs[slot].produced, checked_by = agent->pairs[slot].checked_by;
    pair_mark_failed(agent, now, slot);
    if (produced != NO_INDEX && produced != slot)
        pair_mark_failed(agent, now, produced);
    if (checked_by != NO_INDEX && checked_by != slot)
        pair_mark_failed(agent, now, checked_by);
    ice_selected_update(agent, now);
}

// RFC 8445 7.2.5.2.3: a check without an answer failed.
void ice_checks_expire(struct ice_agent *agent, nanotime now)
{
    for (unsigned i = 0; i < agent->transactions_len; i++) {
        struct transaction *t = &agent->transactions[i];
        if (t->kind != TRANSACTION_CHECK || t->rto.sent < STUN_RC || now < t->rto.next_at)
            continue;
        uint16_t slot = t->pair;
        ice_trace_pair(agent, now, slot, "timed out");
        ice_pair_failed(agent, now, slot);
        t->kind = TRANSACTION_FREE;
    }
}
