// What is counted of each pair, and the pairs and candidates as others may list them.
//
// A pair is told by its two addresses. Two may have the same: one of the checklist, and the one
// from before a restart that still carries data. Data is the latter's; of checks the session says
// whose they are.
#include "stack/ice/ice_priv.h"

static const struct ice_pair_stats nothing = {.lastPacketSentTimestamp = TIME_NEVER,
                                              .lastPacketReceivedTimestamp = TIME_NEVER,
                                              .currentRoundTripTime = TIME_NEVER};

struct ice_pair_stats ice_pair_stats_none(void)
{
    return nothing;
}

static struct ice_pair_stats *selected_stats(struct ice_agent *agent)
{
    return agent->selected_slot == NO_INDEX ? &agent->kept.stats
                                            : &agent->pairs[agent->selected_slot].stats;
}

static bool is_selected(const struct ice_agent *agent, const struct addr *local,
                        const struct addr *remote)
{
    return agent->has_selected && addr_equal(&agent->selected.remote.addr, remote) &&
           addr_equal(&agent->selected.local.base, local);
}

// NULL: no pair has these addresses.
static struct ice_pair_stats *listed_stats(struct ice_agent *agent, const struct addr *local,
                                           const struct addr *remote)
{
    for (unsigned i = 0; i < agent->pairs_len; i++) {
        struct pair *pair = &agent->pairs[i];
        if (pair->used && addr_equal(&ice_pair_remote(agent, pair)->is.addr, remote) &&
            addr_equal(ice_base_of(ice_pair_local(agent, pair)), local))
            return &pair->stats;
    }
    return NULL;
}

// ---------------------------------------------------------------------------------------- counting

void ice_agent_sent(struct ice_agent *agent, nanotime now, size_t len, bool discarded)
{
    if (!agent->has_selected)
        return;
    struct ice_pair_stats *stats = selected_stats(agent);
    if (discarded) {
        stats->packetsDiscardedOnSend++;
        stats->bytesDiscardedOnSend += len;
        return;
    }
    stats->packetsSent++;
    stats->bytesSent += len;
    stats->lastPacketSentTimestamp = now;
}

void ice_agent_received(struct ice_agent *agent, nanotime now, const struct datagram *datagram)
{
    struct ice_pair_stats *stats = is_selected(agent, &datagram->to, &datagram->from)
                                       ? selected_stats(agent)
                                       : listed_stats(agent, &datagram->to, &datagram->from);
    if (!stats)
        return;
    stats->packetsReceived++;
    stats->bytesReceived += datagram->bytes.len;
    stats->lastPacketReceivedTimestamp = now;
}

// Of a check: the pair that it went or came on, in its own session.
static struct ice_pair_stats *check_stats(struct ice_agent *agent, bool previous,
                                          const struct addr *local, const struct addr *remote)
{
    if (!previous)
        return listed_stats(agent, local, remote);
    return agent->selected_previous && is_selected(agent, local, remote) ? &agent->kept.stats
                                                                         : NULL;
}

void ice_count_request(struct ice_agent *agent, const struct transaction *sent)
{
    if (sent->kind == TRANSACTION_CONSENT)
        selected_stats(agent)->consentRequestsSent++;
    else
        agent->pairs[sent->pair].stats.requestsSent++;
}

void ice_count_response(struct ice_agent *agent, nanotime now, const struct transaction *sent)
{
    struct ice_pair_stats *stats =
        sent->kind == TRANSACTION_CONSENT ? selected_stats(agent) : &agent->pairs[sent->pair].stats;
    stats->responsesReceived++;
    stats->currentRoundTripTime = now - sent->last_at;
    stats->totalRoundTripTime += now - sent->last_at;
}

void ice_count_asked(struct ice_agent *agent, const struct datagram *request, bool previous)
{
    struct ice_pair_stats *stats = check_stats(agent, previous, &request->to, &request->from);
    if (stats)
        stats->requestsReceived++;
}

void ice_count_answered(struct ice_agent *agent, const struct reply *reply)
{
    if (reply->key == REPLY_UNSIGNED)
        return;
    struct ice_pair_stats *stats =
        check_stats(agent, reply->key == REPLY_PREVIOUS, &reply->from, &reply->to);
    if (stats)
        stats->responsesSent++;
}

// ----------------------------------------------------------------------------------------- keeping

void ice_selected_keep(struct ice_agent *agent)
{
    if (agent->selected_slot == NO_INDEX)
        return;
    const struct pair *pair = &agent->pairs[agent->selected_slot];
    agent->kept = (struct kept_pair){.number = pair->number,
                                     .local = agent->locals_before + pair->valid_local,
                                     .remote = agent->remotes_before + pair->remote,
                                     .stats = pair->stats};
}

// ----------------------------------------------------------------------------------------- reading

const struct ice_pair_stats *ice_agent_selected_stats(const struct ice_agent *agent)
{
    return agent->selected_slot == NO_INDEX ? &agent->kept.stats
                                            : &agent->pairs[agent->selected_slot].stats;
}

static const char *state_name(enum pair_state state)
{
    static const char *const names[PAIR_STATES] = {"frozen", "waiting", "in-progress", "succeeded",
                                                   "failed"};
    return names[state];
}

bool ice_agent_pair(const struct ice_agent *agent, unsigned index, struct ice_pair_info *out)
{
    if (index == agent->pairs_count && agent->selected_previous) {
        *out = (struct ice_pair_info){.number = agent->kept.number,
                                      .local_number = agent->kept.local,
                                      .remote_number = agent->kept.remote,
                                      .local = &agent->selected.local,
                                      .remote = &agent->selected.remote,
                                      .state = state_name(PAIR_SUCCEEDED),
                                      .nominated = agent->selected.nominated,
                                      .selected = true,
                                      .stats = &agent->kept.stats};
        return true;
    }
    if (index >= agent->pairs_count)
        return false;
    uint16_t slot = agent->order[index];
    const struct pair *pair = &agent->pairs[slot];
    uint16_t local = pair->valid ? pair->valid_local : pair->local;
    *out = (struct ice_pair_info){.number = pair->number,
                                  .local_number = agent->locals_before + local,
                                  .remote_number = agent->remotes_before + pair->remote,
                                  .local = &ice_candidate_at(&agent->locals, local)->is,
                                  .remote = &ice_pair_remote(agent, pair)->is,
                                  .state = state_name(pair->state),
                                  .nominated = agent->nominated == slot,
                                  .selected = agent->selected_slot == slot,
                                  .stats = &pair->stats};
    return true;
}

static const char *ufrag_of(const struct generation *session, bool local)
{
    if (local)
        return session->local.ufrag;
    return session->remote_key ? session->remote.ufrag : NULL;
}

bool ice_agent_candidate(const struct ice_agent *agent, bool local, unsigned index,
                         struct ice_candidate_info *out)
{
    const struct candidates *list = local ? &agent->locals : &agent->remotes;
    if (index == list->count && agent->selected_previous) {
        *out = (struct ice_candidate_info){.number = local ? agent->kept.local : agent->kept.remote,
                                           .candidate = local ? &agent->selected.local
                                                              : &agent->selected.remote,
                                           .ufrag = ufrag_of(agent->previous, local)};
        return true;
    }
    if (index >= list->count)
        return false;
    *out = (struct ice_candidate_info){
        .number = (local ? agent->locals_before : agent->remotes_before) + index,
        .candidate = &ice_candidate_at(list, index)->is,
        .ufrag = ufrag_of(agent->current, local)};
    return true;
}
