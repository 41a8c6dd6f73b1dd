// The credentials of a session, and the way from one session to the next (RFC 8445 9).
#include "stack/ice/ice_priv.h"

#include <assert.h>
#include <stdlib.h>

// RFC 8445 5.3 asks for 24 and 128 random bits; each character has 6.
#define UFRAG_LEN 8
#define PWD_LEN 24

static void draw_text(struct rng *rng, char *to, size_t len)
{
    static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i++)
        to[i] = chars[rng_u64(rng) >> 58];
    to[len] = 0;
}

struct generation *ice_generation_new(struct ice_agent *agent)
{
    struct generation *made = mem_zero(1, sizeof *made);
    draw_text(&agent->rng, made->local.ufrag, UFRAG_LEN);
    draw_text(&agent->rng, made->local.pwd, PWD_LEN);
    made->local_key = stun_key_new(bytes_text(made->local.pwd));
    return made;
}

void ice_generation_free(struct generation *generation)
{
    if (!generation)
        return;
    stun_key_free(generation->local_key);
    stun_key_free(generation->remote_key);
    free(generation);
}

const struct ice_credentials *ice_agent_credentials(const struct ice_agent *agent)
{
    return &agent->current->local;
}

// The selected pair keeps its credentials, for its consent checks in both directions (RFC 7675
// 5.1); a session that never had one leaves nothing behind.
static void generation_retire(struct ice_agent *agent)
{
    if (agent->has_selected && agent->selected_previous) {
        ice_generation_free(agent->current);
    } else {
        ice_generation_free(agent->previous);
        agent->previous = NULL;
        if (agent->has_selected)
            agent->previous = agent->current;
        else
            ice_generation_free(agent->current);
    }
    agent->selected_previous = agent->has_selected;
    for (unsigned i = 0; i < agent->transactions_len; i++)
        agent->transactions[i].previous = true;
}

void ice_agent_restart(struct ice_agent *agent, nanotime now)
{
    agent->now = time_max(agent->now, now);
    if (agent->state == ICE_CLOSED)
        return;
    trace(&agent->trace, now, "restart");
    ice_transactions_drop(agent, true);
    generation_retire(agent);
    agent->current = ice_generation_new(agent);
    ice_selected_keep(agent);
    ice_pairs_clear(agent);
    agent->locals_before += agent->locals.count;
    agent->remotes_before += agent->remotes.count;
    agent->locals.count = agent->remotes.count = 0;
    memset(agent->local_types, 0, sizeof agent->local_types);
    agent->foundations = 0;
    agent->replies_count = 0;
    agent->local_done = agent->remote_done = agent->patience_over = false;
    agent->patience_at = agent->valid_at = TIME_NEVER;
    agent->stats.first_valid_at = agent->stats.selected_at = TIME_NEVER;
    agent->failure = ICE_NOT_FAILED;
    if (agent->state == ICE_FAILED) // only a restart leads out of it
        agent->state = ICE_NEW;
    ice_state_update(agent, now);
}

static void remote_key_set(struct ice_agent *agent, struct bytes ufrag, struct bytes pwd)
{
    struct generation *session = agent->current;
    bool fits = bytes_copy_text(ufrag, session->remote.ufrag, ICE_UFRAG_MAX);
    fits &= bytes_copy_text(pwd, session->remote.pwd, ICE_PWD_MAX);
    assert(fits); // RFC 8839 5.4: the parser of the description refused longer ones
    session->remote_key = stun_key_new(pwd);
    struct writer w = writer_of(session->username, sizeof session->username);
    write_bytes(&w, ufrag);
    write_u8(&w, ':');
    write_bytes(&w, bytes_text(session->local.ufrag));
    assert(!w.failed);
    session->username_len = w.len;
}

void ice_agent_set_remote(struct ice_agent *agent, nanotime now, struct bytes ufrag,
                          struct bytes pwd, bool lite)
{
    agent->now = time_max(agent->now, now);
    if (agent->state == ICE_CLOSED)
        return;
    if (agent->current->remote_key) {
        if (bytes_is(ufrag, agent->current->remote.ufrag) &&
            bytes_is(pwd, agent->current->remote.pwd))
            return;
        trace(&agent->trace, now, "the peer restarts");
        ice_agent_restart(agent, now);
    }
    remote_key_set(agent, ufrag, pwd);
    agent->remote_lite = lite;
    // RFC 8445 6.1.1: a full agent controls a lite one.
    if (lite != agent->config.lite) {
        enum ice_role role = lite ? ICE_CONTROLLING : ICE_CONTROLLED;
        if (agent->role != role)
            ice_role_switch(agent, now, role);
    }
    // RFC 8863 4: from now on the peer may be checking, whatever we know of its candidates.
    agent->patience_at = time_add(now, agent->config.patience);
    agent->checking = true;
    ice_lite_pair_choose(agent, now);
    ice_state_update(agent, now);
}
