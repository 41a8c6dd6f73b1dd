// Incoming checks: who may send them, what they teach us, and the answers.
#include "stack/ice/ice_priv.h"

#include <assert.h>

// ----------------------------------------------------------------------------------------- answers

static bool reply_add(struct ice_agent *agent, const struct datagram *datagram,
                      const struct stun_msg *msg, enum reply_key key, unsigned code)
{
    if (agent->replies_count == REPLIES_MAX)
        return false;
    unsigned at = (agent->replies_first + agent->replies_count++) % REPLIES_MAX;
    struct reply *reply = &agent->replies[at];
    *reply = (struct reply){
        .from = datagram->to,
        .to = datagram->from,
        .key = key,
        .code = code,
        .unknown_count = code == STUN_UNKNOWN_ATTRIBUTE ? msg->unknown_count : 0,
    };
    memcpy(reply->id, msg->id, sizeof reply->id);
    memcpy(reply->unknown, msg->unknown, reply->unknown_count * sizeof *reply->unknown);
    return true;
}

static void trace_reply(const struct ice_agent *agent, nanotime now, const struct reply *reply)
{
    if (!agent->trace.log)
        return;
    char to[ADDR_TEXT_MAX];
    if (reply->code)
        trace(&agent->trace, now, "answer %u to %s", reply->code, addr_print(&reply->to, to));
    else
        trace(&agent->trace, now, "answer to %s", addr_print(&reply->to, to));
}

bool ice_reply_send(struct ice_agent *agent, nanotime now, struct ice_output *out)
{
    if (agent->replies_count == 0)
        return false;
    const struct reply *reply = &agent->replies[agent->replies_first];
    agent->replies_first = (agent->replies_first + 1) % REPLIES_MAX;
    agent->replies_count--;

    struct stun_writer w =
        stun_begin(agent->message, sizeof agent->message, reply->code ? STUN_ERROR : STUN_SUCCESS,
                   STUN_BINDING, reply->id);
    if (reply->code)
        stun_add_error(&w, reply->code, bytes_text(stun_error_reason(reply->code)));
    else
        stun_add_xor_addr(&w, STUN_XOR_MAPPED_ADDRESS, &reply->to); // RFC 8445 7.3.1.2
    if (reply->unknown_count)
        stun_add_unknown(&w, reply->unknown, reply->unknown_count);
    // RFC 8445 7.3: our password signs the answer.
    if (reply->key == REPLY_CURRENT)
        stun_add_integrity(&w, agent->current->local_key);
    else if (reply->key == REPLY_PREVIOUS)
        stun_add_integrity(&w, agent->previous->local_key);
    stun_add_fingerprint(&w);
    *out = (struct ice_output){
        .kind = ICE_SEND,
        .send = {.from = reply->from, .to = reply->to, .bytes = stun_end(&w)},
    };
    assert(out->send.bytes.len > 0);
    ice_count_answered(agent, reply);
    trace_reply(agent, now, reply);
    return true;
}

// ------------------------------------------------------------------------------------- who may ask

// RFC 8445 7.3: "our fragment:anything". Which of our sessions that names; the rest is `peer`.
static enum reply_key username_session(const struct ice_agent *agent, struct bytes username,
                                       struct bytes *peer)
{
    size_t colon = 0;
    while (colon < username.len && username.at[colon] != ':')
        colon++;
    if (colon == username.len)
        return REPLY_UNSIGNED;
    *peer = bytes_from(username, colon + 1);
    struct bytes ours = {username.at, colon};
    if (bytes_is(ours, agent->current->local.ufrag))
        return REPLY_CURRENT;
    if (agent->previous && bytes_is(ours, agent->previous->local.ufrag))
        return REPLY_PREVIOUS;
    return REPLY_UNSIGNED;
}

// Who asks, by USERNAME: the session whose user fragment of ours it names, and the peer's fragment.
struct asker {
    enum reply_key session;
    struct bytes peer;
};

// RFC 8489 9.1.3: what makes a request worth heeding, in this order.
static enum ice_drop request_authenticate(struct ice_agent *agent, const struct datagram *datagram,
                                          const struct stun_msg *msg, struct asker *by)
{
    bool has_username = stun_has(msg, STUN_USERNAME);
    if (!has_username || !stun_has(msg, STUN_MESSAGE_INTEGRITY)) {
        reply_add(agent, datagram, msg, REPLY_UNSIGNED, STUN_BAD_REQUEST);
        return has_username ? ICE_BAD_INTEGRITY : ICE_BAD_USERNAME;
    }
    by->session = username_session(agent, msg->username, &by->peer);
    if (by->session == REPLY_UNSIGNED) {
        reply_add(agent, datagram, msg, REPLY_UNSIGNED, STUN_UNAUTHENTICATED);
        return ICE_BAD_USERNAME;
    }
    struct stun_key *key =
        by->session == REPLY_CURRENT ? agent->current->local_key : agent->previous->local_key;
    if (!stun_check_integrity(msg, key)) {
        reply_add(agent, datagram, msg, REPLY_UNSIGNED, STUN_UNAUTHENTICATED);
        return ICE_BAD_INTEGRITY;
    }
    if (msg->unknown_count > 0) { // RFC 8489 6.3.1
        reply_add(agent, datagram, msg, by->session, STUN_UNKNOWN_ATTRIBUTE);
        return ICE_UNKNOWN_ATTRIBUTE;
    }
    return ICE_KEPT;
}

// Settle a role conflict. True if we keep our role and the peer must be told (487).
//
// RFC 8445 7.3.1.1: the larger tie-breaker, ours when equal, ends up controlling.
static bool role_conflict(struct ice_agent *agent, nanotime now, const struct stun_msg *request)
{
    enum stun_attr same =
        agent->role == ICE_CONTROLLING ? STUN_ICE_CONTROLLING : STUN_ICE_CONTROLLED;
    if (!stun_has(request, same))
        return false;
    agent->stats.role_conflicts++;
    enum ice_role ours =
        agent->tiebreaker >= request->tiebreaker ? ICE_CONTROLLING : ICE_CONTROLLED;
    if (ours == agent->role) {
        trace(&agent->trace, now, "role conflict: we stay %s", ice_role_name(ours));
        return true;
    }
    ice_role_switch(agent, now, ours);
    return false;
}

// ----------------------------------------------------------------------------------------- heeding

// RFC 8445 7.3.1.4 and 7.3.1.5: check back, and note the nomination.
static void pair_trigger(struct ice_agent *agent, nanotime now, uint16_t slot, bool nominated)
{
    struct pair *pair = &agent->pairs[slot];
    if (pair->state == PAIR_SUCCEEDED) {
        uint16_t valid = pair->produced == NO_INDEX ? slot : pair->produced;
        if (!nominated)
            return;
        if (agent->pairs[valid].valid && ice_pair_is_fresh(agent, now, &agent->pairs[valid])) {
            ice_pair_nominate(agent, now, valid);
            return;
        }
        agent->pairs[valid].valid = false; // until it answers again
    }
    if (nominated)
        pair->nominate_on_success = true;
    ice_pair_cancel(agent, slot);
    ice_pair_set_state(agent, now, slot, PAIR_WAITING);
    ice_queue_push(agent, slot);
}

static enum ice_drop full_heed(struct ice_agent *agent, nanotime now,
                               const struct datagram *datagram, uint16_t local, uint16_t remote,
                               bool nominated)
{
    uint16_t slot = ice_pair_find(agent, &datagram->to, remote);
    if (agent->nominated != NO_INDEX) {
        // RFC 8445 8.1.2: checks are over. RFC 8445 8.1.1: only a better nomination counts, such
        // as those of a peer with aggressive nomination.
        uint64_t priority =
            ice_pair_priority_of(agent, ice_candidate_at(&agent->locals, local)->is.priority,
                                 ice_candidate_at(&agent->remotes, remote)->is.priority);
        if (!nominated || slot == agent->nominated ||
            priority <= agent->pairs[agent->nominated].valid_priority)
            return ICE_KEPT;
    }
    if (slot == NO_INDEX) {
        slot = ice_pair_insert(agent, now, local, remote, true);
        if (slot == NO_INDEX)
            return ICE_CHECKLIST_FULL;
    }
    pair_trigger(agent, now, slot, nominated);
    return ICE_KEPT;
}

// RFC 8445 7.3.2: USE-CANDIDATE alone makes the pair valid and nominated.
static enum ice_drop lite_heed(struct ice_agent *agent, nanotime now,
                               const struct datagram *datagram, uint16_t local, uint16_t remote,
                               bool nominated)
{
    if (!nominated)
        return ICE_KEPT;
    uint16_t slot = ice_pair_find(agent, &datagram->to, remote);
    if (slot == NO_INDEX)
        slot = ice_pair_insert(agent, now, local, remote, true);
    if (slot == NO_INDEX)
        return ICE_CHECKLIST_FULL;
    struct pair *pair = &agent->pairs[slot];
    pair->valid = true;
    pair->valid_local = local;
    pair->valid_priority = pair->priority;
    pair->responded_at = now;
    pair->produced = pair->checked_by = slot;
    ice_pair_set_state(agent, now, slot, PAIR_SUCCEEDED);
    if (agent->stats.first_valid_at == TIME_NEVER)
        agent->stats.first_valid_at = now;
    ice_pair_nominate(agent, now, slot);
    return ICE_KEPT;
}

static enum ice_drop request_heed(struct ice_agent *agent, nanotime now,
                                  const struct datagram *datagram, const struct stun_msg *msg,
                                  uint16_t local)
{
    uint16_t remote = ice_remote_by_addr(agent, &datagram->from);
    if (remote == NO_INDEX) // RFC 8445 7.3.1.3
        remote =
            ice_remote_learn(agent, now, &datagram->from,
                             ice_candidate_at(&agent->locals, local)->is.component, msg->priority);
    if (remote == NO_INDEX)
        return ICE_CHECKLIST_FULL;
    bool nominated = agent->role == ICE_CONTROLLED && stun_has(msg, STUN_USE_CANDIDATE);
    if (agent->config.lite)
        return lite_heed(agent, now, datagram, local, remote, nominated);
    return full_heed(agent, now, datagram, local, remote, nominated);
}

// RFC 8445 7.3: an authenticated check is answered at once, even before the peer's candidates and
// credentials are known; its triggered check waits until they are.
static enum ice_drop request_answer(struct ice_agent *agent, nanotime now,
                                    const struct datagram *datagram, const struct stun_msg *msg,
                                    const struct asker *by, uint16_t local)
{
    if (by->session == REPLY_PREVIOUS) // consent from before our restart
        return reply_add(agent, datagram, msg, by->session, 0) ? ICE_KEPT : ICE_CHECKLIST_FULL;
    if (local == NO_INDEX)
        return ICE_UNKNOWN_LOCAL;

    if (agent->replies_count == REPLIES_MAX)
        return ICE_CHECKLIST_FULL;
    if (!stun_has(msg, STUN_PRIORITY)) { // RFC 8445 7.1.1: every check has it
        reply_add(agent, datagram, msg, by->session, STUN_BAD_REQUEST);
        return ICE_MALFORMED;
    }
    if (!agent->config.lite && role_conflict(agent, now, msg)) {
        reply_add(agent, datagram, msg, by->session, STUN_ROLE_CONFLICT);
        return ICE_ROLE_CONFLICT;
    }
    reply_add(agent, datagram, msg, by->session, 0);
    // RFC 8445 7.3.1.4: the peer's fragment says which of its sessions asks.
    bool other = agent->current->remote_key && !bytes_is(by->peer, agent->current->remote.ufrag);
    if (other || agent->state == ICE_FAILED)
        return ICE_KEPT;
    return request_heed(agent, now, datagram, msg, local);
}

enum ice_drop ice_request_input(struct ice_agent *agent, nanotime now,
                                const struct datagram *datagram, const struct stun_msg *msg)
{
    uint16_t local = ice_local_by_base(agent, &datagram->to);
    if (local == NO_INDEX && !agent->previous)
        return ICE_UNKNOWN_LOCAL;
    struct asker by;
    enum ice_drop drop = request_authenticate(agent, datagram, msg, &by);
    if (drop != ICE_KEPT)
        return drop;
    agent->stats.checks_received++;
    drop = request_answer(agent, now, datagram, msg, &by, local);
    ice_count_asked(agent, datagram, by.session == REPLY_PREVIOUS); // maybe of a pair that is new
    return drop;
}
