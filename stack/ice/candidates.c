#include "stack/ice/ice_priv.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define FIRST_BLOCK 4u
#define LOCAL_PREFERENCE_MAX 65535u

// RFC 8445 5.1.2.2: the recommended type preferences.
static const uint32_t type_preferences[] = {
    [ICE_HOST] = 126,
    [ICE_SRFLX] = 100,
    [ICE_PRFLX] = 110,
    [ICE_RELAY] = 0,
};

// Which block holds `index`, and where in it: blocks of 4, 8, 16 ... follow each other.
static unsigned block_of(unsigned index, unsigned *at)
{
    unsigned block = 0, first = 0;
    while (index - first >= FIRST_BLOCK << block)
        first += FIRST_BLOCK << block++;
    *at = index - first;
    return block;
}

struct candidate *ice_candidate_at(const struct candidates *list, unsigned index)
{
    assert(index < list->count);
    unsigned at, block = block_of(index, &at);
    return &list->blocks[block][at];
}

static struct candidate *candidates_add(struct candidates *list)
{
    unsigned at, block = block_of(list->count, &at);
    assert(block < CANDIDATE_BLOCKS);
    if (!list->blocks[block])
        list->blocks[block] = mem_zero(FIRST_BLOCK << block, sizeof *list->blocks[0]);
    list->count++;
    return &list->blocks[block][at];
}

void ice_candidates_free(struct candidates *list)
{
    for (unsigned i = 0; i < CANDIDATE_BLOCKS; i++)
        free(list->blocks[i]);
    *list = (struct candidates){0};
}

const struct addr *ice_base_of(const struct candidate *local)
{
    return addr_is_none(&local->is.base) ? &local->is.addr : &local->is.base;
}

static void trace_candidate(const struct ice_agent *agent, nanotime now, const char *what,
                            const struct ice_candidate *candidate)
{
    char addr[ADDR_TEXT_MAX];
    trace(&agent->trace, now, "%s %s %s priority %u foundation %s", what,
          ice_candidate_type_name(candidate->type), addr_print(&candidate->addr, addr),
          (unsigned)candidate->priority, candidate->foundation);
}

// ------------------------------------------------------------------------------------------- local

uint32_t ice_candidate_priority(enum ice_candidate_type type, uint16_t local_preference,
                                uint16_t component)
{
    return (type_preferences[type] << 24) + ((uint32_t)local_preference << 8) + 256u - component;
}

// RFC 8445 5.1.2.1: the local preference is unique within a type. The earlier, the better; there
// are fewer candidates than preferences.
static uint32_t local_priority(const struct ice_agent *agent, const struct ice_candidate *candidate)
{
    unsigned preference = LOCAL_PREFERENCE_MAX - agent->local_types[candidate->type];
    return ice_candidate_priority(candidate->type, (uint16_t)preference, candidate->component);
}

// RFC 8445 7.1.1: PRIORITY is that of the candidate, were it peer-reflexive.
uint32_t ice_prflx_priority(uint32_t local_priority)
{
    return type_preferences[ICE_PRFLX] << 24 | (local_priority & 0xffffff);
}

// RFC 8445 5.1.1.3: same type, same IP address of the base, same server (UDP is all there is here).
static bool shares_foundation(const struct ice_candidate *a, const struct ice_candidate *b)
{
    return a->type == b->type && ip_equal(&a->base.ip, &b->base.ip) &&
           ip_equal(&a->server.ip, &b->server.ip);
}

static void local_set_foundation(struct ice_agent *agent, struct candidate *added)
{
    bool given = added->is.foundation[0] != 0;
    for (unsigned i = 0; i + 1 < agent->locals.count; i++) {
        struct candidate *other = ice_candidate_at(&agent->locals, i);
        bool same = given ? strcmp(other->is.foundation, added->is.foundation) == 0
                          : shares_foundation(&other->is, &added->is);
        if (!same)
            continue;
        added->foundation = other->foundation;
        if (!given)
            memcpy(added->is.foundation, other->is.foundation, ICE_FOUNDATION_MAX);
        return;
    }
    added->foundation = ++agent->foundations;
    if (!given)
        snprintf(added->is.foundation, ICE_FOUNDATION_MAX, "%u", (unsigned)added->foundation);
}

static struct candidate *local_add(struct ice_agent *agent, nanotime now,
                                   const struct ice_candidate *candidate)
{
    struct candidate *added = candidates_add(&agent->locals);
    *added = (struct candidate){.is = *candidate};
    if (addr_is_none(&added->is.base))
        added->is.base = added->is.addr;
    if (added->is.component == 0)
        added->is.component = 1;
    if (added->is.priority == 0)
        added->is.priority = local_priority(agent, &added->is);
    agent->local_types[candidate->type]++;
    local_set_foundation(agent, added);
    trace_candidate(agent, now, "local candidate", &added->is);
    return added;
}

static bool local_is_redundant(const struct ice_agent *agent, const struct ice_candidate *candidate)
{
    const struct addr *base = addr_is_none(&candidate->base) ? &candidate->addr : &candidate->base;
    for (unsigned i = 0; i < agent->locals.count; i++) {
        const struct candidate *other = ice_candidate_at(&agent->locals, i);
        if (addr_equal(&other->is.addr, &candidate->addr) && addr_equal(ice_base_of(other), base))
            return true;
    }
    return false;
}

const struct ice_candidate *ice_agent_add_local(struct ice_agent *agent, nanotime now,
                                                const struct ice_candidate *candidate)
{
    agent->now = time_max(agent->now, now);
    assert(candidate->type != ICE_PRFLX); // those the agent finds itself
    // RFC 8445 5.1.3: the one with the lower priority goes. Types come in falling priority.
    // RFC 8445 5.2: a lite agent has host candidates only.
    if (local_is_redundant(agent, candidate) ||
        agent->locals.count >= agent->config.candidates_max ||
        (agent->config.lite && candidate->type != ICE_HOST)) {
        trace_candidate(agent, now, "local candidate refused:", candidate);
        return NULL;
    }
    uint16_t index = (uint16_t)agent->locals.count;
    struct candidate *added = local_add(agent, now, candidate);
    for (unsigned i = 0; i < agent->remotes.count; i++)
        ice_pair_form(agent, now, index, (uint16_t)i);
    return &added->is;
}

uint16_t ice_local_by_base(const struct ice_agent *agent, const struct addr *base)
{
    uint16_t reflexive = NO_INDEX;
    for (unsigned i = 0; i < agent->locals.count; i++) {
        const struct candidate *local = ice_candidate_at(&agent->locals, i);
        if (!addr_equal(ice_base_of(local), base))
            continue;
        if (addr_equal(&local->is.addr, base))
            return (uint16_t)i;
        if (reflexive == NO_INDEX)
            reflexive = (uint16_t)i;
    }
    return reflexive;
}

uint16_t ice_local_mapped(struct ice_agent *agent, nanotime now, const struct addr *mapped,
                          const struct candidate *base, uint32_t priority)
{
    uint16_t elsewhere = NO_INDEX;
    for (unsigned i = 0; i < agent->locals.count; i++) {
        const struct candidate *local = ice_candidate_at(&agent->locals, i);
        if (!addr_equal(&local->is.addr, mapped))
            continue;
        if (addr_equal(ice_base_of(local), ice_base_of(base)))
            return (uint16_t)i;
        if (elsewhere == NO_INDEX)
            elsewhere = (uint16_t)i;
    }
    if (elsewhere != NO_INDEX)
        return elsewhere;
    if (agent->locals.count >= agent->config.candidates_max)
        return NO_INDEX;

    // RFC 8445 7.2.5.3.1: a peer-reflexive candidate. It is paired with nothing else.
    struct ice_candidate found = {
        .type = ICE_PRFLX,
        .addr = *mapped,
        .base = *ice_base_of(base),
        .related = *ice_base_of(base),
        .priority = priority,
        .component = base->is.component,
    };
    local_add(agent, now, &found);
    return (uint16_t)(agent->locals.count - 1);
}

// ------------------------------------------------------------------------------------------ remote

uint16_t ice_remote_by_addr(const struct ice_agent *agent, const struct addr *addr)
{
    for (unsigned i = 0; i < agent->remotes.count; i++)
        if (addr_equal(&ice_candidate_at(&agent->remotes, i)->is.addr, addr))
            return (uint16_t)i;
    return NO_INDEX;
}

static void remote_set_foundation(struct ice_agent *agent, struct candidate *remote, uint16_t index)
{
    remote->foundation = index;
    // RFC 8445 7.3.1.3: a peer-reflexive one is like no other.
    if (remote->is.type == ICE_PRFLX)
        return;
    for (unsigned i = 0; i < agent->remotes.count; i++) {
        const struct candidate *other = ice_candidate_at(&agent->remotes, i);
        if (other != remote && other->is.type != ICE_PRFLX &&
            strcmp(other->is.foundation, remote->is.foundation) == 0) {
            remote->foundation = other->foundation;
            return;
        }
    }
}

static uint16_t remote_add(struct ice_agent *agent, nanotime now,
                           const struct ice_candidate *candidate)
{
    uint16_t index = (uint16_t)agent->remotes.count;
    struct candidate *added = candidates_add(&agent->remotes);
    *added = (struct candidate){.is = *candidate};
    if (added->is.component == 0)
        added->is.component = 1;
    remote_set_foundation(agent, added, index);
    trace_candidate(agent, now, "remote candidate", &added->is);
    return index;
}

uint16_t ice_remote_learn(struct ice_agent *agent, nanotime now, const struct addr *addr,
                          uint16_t component, uint32_t priority)
{
    if (agent->remotes.count >= agent->config.candidates_max)
        return NO_INDEX;
    struct ice_candidate found = {
        .type = ICE_PRFLX, .addr = *addr, .priority = priority, .component = component};
    snprintf(found.foundation, sizeof found.foundation, "prflx%u", agent->remotes.count);
    return remote_add(agent, now, &found);
}

// The peer has now signalled what we knew as peer-reflexive: the same candidate, better described.
// Its pairs stay, with their states, their validity and their nomination.
static void remote_describe(struct ice_agent *agent, nanotime now, uint16_t index,
                            const struct ice_candidate *candidate)
{
    struct candidate *remote = ice_candidate_at(&agent->remotes, index);
    uint16_t component = remote->is.component;
    remote->is = *candidate;
    remote->is.component = component;
    remote_set_foundation(agent, remote, index);
    trace_candidate(agent, now, "remote candidate, peer-reflexive until now,", &remote->is);
    ice_pairs_update(agent);
    ice_selected_update(agent, now);
}

static bool is_address_usable(const struct addr *addr)
{
    return !addr_is_none(addr) && addr->port != 0 && !ip_is_unspecified(&addr->ip) &&
           !ip_is_multicast(&addr->ip);
}

bool ice_agent_add_remote(struct ice_agent *agent, nanotime now,
                          const struct ice_candidate *candidate)
{
    agent->now = time_max(agent->now, now);
    // RFC 8838 14: ignore what comes after end-of-candidates.
    if (agent->remote_done || !is_address_usable(&candidate->addr)) {
        trace_candidate(agent, now, "remote candidate ignored:", candidate);
        return true;
    }
    uint16_t index = ice_remote_by_addr(agent, &candidate->addr);
    if (index == NO_INDEX) {
        if (agent->remotes.count >= agent->config.candidates_max) {
            trace_candidate(agent, now, "remote candidate refused, the list is full:", candidate);
            return false;
        }
        index = remote_add(agent, now, candidate);
    } else if (ice_candidate_at(&agent->remotes, index)->is.type == ICE_PRFLX &&
               candidate->type != ICE_PRFLX) {
        remote_describe(agent, now, index, candidate);
    } else {
        return true;
    }
    for (unsigned i = 0; i < agent->locals.count; i++)
        ice_pair_form(agent, now, (uint16_t)i, index);
    return true;
}
