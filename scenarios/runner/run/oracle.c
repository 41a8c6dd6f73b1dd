#include "scenarios/runner/run/oracle.h"

#include "scenarios/runner/run/oracle_priv.h"

#include <stdio.h>
#include <stdlib.h>

#define BASES_MAX 40
#define CANDIDATES_MAX 80
#define PAIRS_MAX 400
#define ROUNDS_MAX 64
// Checks that answer checks that answer checks: what is learned in the second is used in the third.
// Where each answer comes from yet another port, more of them bring nothing.
#define GENERATIONS_MAX 4

// What is sent from: a socket of an interface, or a relayed address on a TURN server.
struct base {
    struct place at;
    int lan; // where packets from it set out
    bool relayed;
    bool used; // by ICE; with relay-only, sockets serve to reach the server alone
    struct ip permitted[CANDIDATES_MAX]; // RFC 8656 9, of a relayed one
    unsigned permitted_count;
};

struct candidate {
    struct place at;
    enum ice_candidate_type type;
};

// A check to make, and what came of it.
struct pair {
    unsigned base; // ours
    struct place remote;
    unsigned generation; // 0: of signaled candidates; else triggered by one of the one before
    bool valid;
    struct place mapped; // valid: what the other side saw us come from
    unsigned their_base; // valid: where it arrived
};

struct agent {
    const struct scenario_peer *peer;
    bool early;  // checks may be answered before the server has told the reflexive address
    bool untold; // signaling loses its candidates: the other side learns them from checks alone
    struct base bases[BASES_MAX];
    unsigned bases_count;
    struct candidate candidates[CANDIDATES_MAX];
    unsigned candidates_count;
    struct pair pairs[PAIRS_MAX];
    unsigned pairs_count;
};

struct oracle {
    struct net net;
    struct agent sides[2];
};

// -------------------------------------------------------------------------------------- gathering

static struct base *base_add(struct agent *agent, struct base base)
{
    if (agent->bases_count == BASES_MAX)
        return NULL;
    agent->bases[agent->bases_count] = base;
    return &agent->bases[agent->bases_count++];
}

// RFC 8445 5.1.3: a candidate that has the address of another is redundant.
static void candidate_add(struct agent *agent, const struct place *at, enum ice_candidate_type type)
{
    for (unsigned i = 0; i < agent->candidates_count; i++) {
        if (place_equal(&agent->candidates[i].at, at))
            return;
    }
    if (agent->candidates_count < CANDIDATES_MAX)
        agent->candidates[agent->candidates_count++] = (struct candidate){*at, type};
}

// The address that the server sees; false: it and the base cannot talk.
static bool ask_server(struct net *net, const struct base *base,
                       const struct scenario_server *server, struct place *mapped)
{
    const struct place server_at = {server->addr.ip, server->addr.port};
    struct place from = base->at, to = server_at;
    if (!net_send(net, base->lan, &from, &to) || !place_equal(&to, &server_at))
        return false;
    *mapped = from;
    struct place back_from = server_at, back_to = from;
    return net_send(net, server->lan, &back_from, &back_to) && place_equal(&back_to, &base->at) &&
           place_equal(&back_from, &server_at);
}

// RFC 8489 10, RFC 8656 7.3: 300 Try Alternate.
static const struct scenario_server *server_follow(const struct scenario *scenario, unsigned index)
{
    for (unsigned i = 0; i < scenario->servers_count; i++) {
        if (scenario->servers[index].redirect < 0)
            return &scenario->servers[index];
        index = (unsigned)scenario->servers[index].redirect;
    }
    return NULL; // they send in circles
}

// RFC 8656 2.1: by TCP, from a port of its own. The relay is as one by UDP; what the server sees of
// the connection is no candidate.
static bool ask_by_tcp(struct net *net, const struct base *base,
                       const struct scenario_server *server)
{
    struct base connection = *base;
    struct place mapped;
    connection.at.port = net_port(net);
    net->tcp = true;
    bool answered = ask_server(net, &connection, server, &mapped);
    net->tcp = false;
    return answered;
}

// RFC 8445 5.1.1.2
static void gather_from(struct oracle *o, struct agent *agent, unsigned socket,
                        const struct scenario_server *server, enum peer_transport transport)
{
    const struct base base = agent->bases[socket];
    struct place mapped;
    if (!server || !(server->transports & 1u << transport))
        return;
    if (transport == PEER_TCP ? !ask_by_tcp(&o->net, &base, server)
                              : !ask_server(&o->net, &base, server, &mapped))
        return;
    if (base.used && transport == PEER_UDP)
        candidate_add(agent, &mapped, ICE_SRFLX);
    if (server->kind != PEER_TURN)
        return;
    struct base relayed = {.at = {server->addr.ip, net_port(&o->net)},
                           .lan = server->lan,
                           .relayed = true,
                           .used = true};
    if (base_add(agent, relayed))
        candidate_add(agent, &relayed.at, ICE_RELAY);
}

static void gather(struct oracle *o, struct agent *agent)
{
    const struct scenario_peer *peer = agent->peer;
    for (unsigned i = 0; i < peer->interfaces; i++) {
        struct base socket = {.at = {peer->ips[i], net_port(&o->net)},
                              .lan = peer->lans[i],
                              .used = !peer->config.relay_only || peer->config.ice_lite};
        base_add(agent, socket);
        if (socket.used)
            candidate_add(agent, &socket.at, ICE_HOST);
    }
    if (peer->config.ice_lite) // RFC 8445 5.2: host candidates only
        return;
    unsigned sockets = agent->bases_count;
    for (unsigned i = 0; i < sockets; i++) {
        for (unsigned k = 0; k < peer->servers_count; k++)
            gather_from(o, agent, i, server_follow(o->net.scenario, peer->servers[k]),
                        peer->transports[k]);
    }
}

// ----------------------------------------------------------------------------------------- checks

static bool is_permitted(const struct base *base, const struct ip *ip)
{
    for (unsigned i = 0; i < base->permitted_count; i++) {
        if (ip_equal(&base->permitted[i], ip))
            return true;
    }
    return false;
}

static void pair_add(struct oracle *o, struct agent *agent, unsigned base,
                     const struct place *remote, unsigned generation)
{
    if (agent->peer->config.ice_lite || generation > GENERATIONS_MAX)
        return;
    for (unsigned i = 0; i < agent->pairs_count; i++) {
        if (agent->pairs[i].base == base && place_equal(&agent->pairs[i].remote, remote))
            return;
    }
    if (agent->pairs_count == PAIRS_MAX)
        return;
    agent->pairs[agent->pairs_count++] =
        (struct pair){.base = base, .remote = *remote, .generation = generation};
    o->net.changed = true;
}

struct arrival {
    struct agent *agent;
    unsigned base;
    struct place from;
};

// Send from a base, through its relay if it has one. False: no base of either agent gets it.
static bool deliver(struct oracle *o, struct base *base, const struct place *remote,
                    struct arrival *out)
{
    if (base->relayed && !is_permitted(base, &remote->ip)) { // RFC 8656 9
        if (base->permitted_count == CANDIDATES_MAX)
            return false;
        base->permitted[base->permitted_count++] = remote->ip;
        o->net.changed = true;
    }
    struct place from = base->at, to = *remote;
    if (!net_send(&o->net, base->lan, &from, &to))
        return false;
    for (unsigned side = 0; side < 2; side++) {
        struct agent *agent = &o->sides[side];
        for (unsigned i = 0; i < agent->bases_count; i++) {
            const struct base *at = &agent->bases[i];
            if (!place_equal(&at->at, &to) || !at->used)
                continue;
            if (at->relayed && !is_permitted(at, &from.ip))
                return false;
            *out = (struct arrival){agent, i, from};
            return true;
        }
    }
    return false;
}

// One check of RFC 8445 7.2 and its answer.
static void check(struct oracle *o, struct agent *agent, struct agent *other, unsigned index)
{
    const struct pair made = agent->pairs[index];
    struct arrival there, back;
    if (!deliver(o, &agent->bases[made.base], &made.remote, &there) || there.agent != other)
        return;
    // RFC 8445 7.3.1.3, 7.3.1.4: where it came from is checked from where it arrived.
    pair_add(o, other, there.base, &there.from, made.generation + 1);
    if (!deliver(o, &other->bases[there.base], &there.from, &back) || back.agent != agent)
        return;
    // RFC 8445 7.2.5.2.1: the answer comes the way that the request went.
    if (back.base != made.base || !place_equal(&back.from, &made.remote))
        return;
    struct pair *pair = &agent->pairs[index];
    o->net.changed |= !pair->valid;
    pair->valid = true;
    pair->mapped = there.from;
    pair->their_base = there.base;
}

// Until nothing new becomes possible. Everything only ever opens, so there is an end; two NATs that
// answer each packet from a new port would go on for ever, and no pair comes of that.
static void follow(struct oracle *o)
{
    for (unsigned side = 0; side < 2; side++) {
        struct agent *agent = &o->sides[side];
        const struct agent *other = &o->sides[1 - side];
        for (unsigned i = 0; i < agent->bases_count; i++) {
            for (unsigned k = 0;
                 k < other->candidates_count && agent->bases[i].used && !other->untold; k++)
                pair_add(o, agent, i, &other->candidates[k].at, 0);
        }
    }
    o->net.changed = true;
    for (unsigned round = 0; round < ROUNDS_MAX && o->net.changed; round++) {
        o->net.changed = false;
        for (unsigned side = 0; side < 2; side++) {
            struct agent *agent = &o->sides[side];
            for (unsigned i = 0; i < agent->pairs_count; i++)
                check(o, agent, &o->sides[1 - side], i);
        }
    }
}

// --------------------------------------------------------------------------------------- choosing

#define BIT(type) (1u << (type))

// RFC 8445 7.2.5.3.1: the candidate that has the mapped address, else a new peer-reflexive one.
static unsigned local_types(const struct agent *agent, const struct place *mapped)
{
    for (unsigned i = 0; i < agent->candidates_count; i++) {
        const struct candidate *c = &agent->candidates[i];
        if (!place_equal(&c->at, mapped))
            continue;
        bool race = c->type == ICE_SRFLX && agent->early;
        return BIT(c->type) | (race ? BIT(ICE_PRFLX) : 0);
    }
    return BIT(ICE_PRFLX);
}

// How the other side may know an address of this one: as signaled, or from a check that was faster.
static unsigned remote_types(const struct agent *owner, const struct place *at)
{
    for (unsigned i = 0; i < owner->candidates_count && !owner->untold; i++) {
        if (place_equal(&owner->candidates[i].at, at)) {
            enum ice_candidate_type type = owner->candidates[i].type;
            return BIT(type) | (type == ICE_RELAY ? 0 : BIT(ICE_PRFLX));
        }
    }
    return BIT(ICE_PRFLX);
}

static unsigned preference(unsigned types, bool best)
{
    // RFC 8445 5.1.2.2
    static const unsigned preferences[] = {
        [ICE_HOST] = 126, [ICE_SRFLX] = 100, [ICE_PRFLX] = 110, [ICE_RELAY] = 0};
    unsigned found = best ? 0 : 126;
    for (unsigned type = 0; type < 4; type++) {
        if (types & BIT(type) && (best ? preferences[type] > found : preferences[type] < found))
            found = preferences[type];
    }
    return found;
}

struct choice {
    unsigned types[2];    // local types: of the side that chooses, of the other
    unsigned least, most; // priority in the worst and best case, by types alone
    bool relayed;
    bool may_relay; // of several
};

// RFC 8445 6.1.2.3: the lesser of both priorities decides, then the greater.
static unsigned pair_priority(unsigned local, unsigned remote)
{
    return local < remote ? local << 8 | remote : remote << 8 | local;
}

// Will both sides have the pair? A lite side takes what is nominated (RFC 8445 8.1.2).
static bool choose(const struct agent *agent, const struct agent *other, const struct pair *pair,
                   struct choice *out)
{
    if (!pair->valid)
        return false;
    unsigned theirs = BIT(ICE_HOST);
    bool both = other->peer->config.ice_lite;
    for (unsigned i = 0; i < other->pairs_count && !both; i++) {
        const struct pair *p = &other->pairs[i];
        both = p->valid && p->base == pair->their_base && place_equal(&p->remote, &pair->mapped);
        if (both)
            theirs = local_types(other, &p->mapped);
    }
    if (!both)
        return false;
    unsigned ours = local_types(agent, &pair->mapped);
    unsigned remote = remote_types(other, &pair->remote);
    *out = (struct choice){
        .types = {ours, theirs},
        .least = pair_priority(preference(ours, false), preference(remote, false)),
        .most = pair_priority(preference(ours, true), preference(remote, true)),
        .relayed = agent->bases[pair->base].relayed || other->bases[pair->their_base].relayed,
    };
    return true;
}

// The types of every pair that may turn out best.
static bool best(const struct agent *agent, const struct agent *other, struct choice *out)
{
    unsigned floor = 0;
    bool any = false;
    struct choice choice;
    for (unsigned i = 0; i < agent->pairs_count; i++) {
        if (choose(agent, other, &agent->pairs[i], &choice) && (!any || choice.least > floor)) {
            floor = choice.least;
            any = true;
        }
    }
    *out = (struct choice){.relayed = true};
    for (unsigned i = 0; i < agent->pairs_count; i++) {
        if (!choose(agent, other, &agent->pairs[i], &choice) || choice.most < floor)
            continue;
        out->types[0] |= choice.types[0];
        out->types[1] |= choice.types[1];
        out->relayed &= choice.relayed;
        out->may_relay |= choice.relayed;
    }
    return any;
}

// ----------------------------------------------------------------------------------------- reasons

static const char *types_text(struct arena *arena, unsigned types)
{
    static const char *const names[] = {
        [ICE_HOST] = "host", [ICE_SRFLX] = "srflx", [ICE_PRFLX] = "prflx", [ICE_RELAY] = "relay"};
    const char *text = "";
    for (unsigned type = 0; type < 4; type++) {
        if (types & BIT(type))
            text = arena_printf(arena, "%s%s%s", text, *text ? " or " : "", names[type]);
    }
    return text;
}

static bool is_lite_pair(const struct oracle *o)
{
    return o->sides[0].peer->config.ice_lite && o->sides[1].peer->config.ice_lite;
}

static const char *because_none(const struct oracle *o)
{
    const struct agent *a = &o->sides[0], *b = &o->sides[1];
    if (a->candidates_count == 0 || b->candidates_count == 0)
        return "one side has no candidates";
    if (a->untold && b->untold)
        return "neither side hears of a candidate";
    if (is_lite_pair(o))
        return "two lite agents make no checks, and one does not hear of a candidate";
    return "no check gets an answer, and no relay is in reach of both";
}

static struct oracle_outcome outcome_of(struct arena *arena, const struct oracle *o)
{
    const struct agent *a = &o->sides[0], *b = &o->sides[1];
    // RFC 8445 8.2: two of them take a pair by what they were told of it.
    if (is_lite_pair(o) && a->candidates_count && b->candidates_count && !a->untold && !b->untold)
        return (struct oracle_outcome){OUTCOME_DIRECT, BIT(ICE_HOST), BIT(ICE_HOST),
                                       .because = "two lite agents ask no pair whether it works"};
    // A lite side makes no checks, so the other one chooses.
    bool turned = a->peer->config.ice_lite;
    struct choice choice;
    if (!best(turned ? b : a, turned ? a : b, &choice))
        return (struct oracle_outcome){OUTCOME_NONE, .because = because_none(o)};
    unsigned offerer = choice.types[turned], answerer = choice.types[!turned];
    const char *because = arena_printf(
        arena, "%s: %s has %s, %s has %s",
        choice.relayed
            ? "no direct check gets an answer from where it was sent to, but a relay does"
            : "direct checks are answered",
        a->peer->name, types_text(arena, offerer), b->peer->name, types_text(arena, answerer));
    return (struct oracle_outcome){choice.relayed ? OUTCOME_RELAY : OUTCOME_DIRECT, offerer,
                                   answerer, because, choice.may_relay && !choice.relayed};
}

// Why offer and answer do not come about; NULL: they do.
static const char *agreement_missing(const struct scenario *scenario,
                                     const struct scenario_session *session)
{
    unsigned offerer = 0; // the side whose offer is answered
    if (session->glare) {
        bool first = scenario->peers[session->offerer].config.polite,
             second = scenario->peers[session->answerer].config.polite;
        if (!first && !second) // RFC 9429 5.6, where nobody rolls back
            return "both make an offer, and neither may take the other's";
        offerer = first; // RFC 9429 5.7: the polite one's is as if it had never been
    }
    if (session->signaling.lose[offerer] & 1u << SIGNAL_OFFER)
        return "signaling loses the offer";
    if (session->signaling.lose[!offerer] & 1u << SIGNAL_ANSWER)
        return "signaling loses the answer";
    return NULL;
}

struct oracle_outcome oracle_compute(struct arena *arena, const struct scenario *scenario,
                                     const struct scenario_session *session)
{
    const char *unagreed = agreement_missing(scenario, session);
    if (unagreed)
        return (struct oracle_outcome){OUTCOME_NONE, .because = unagreed};
    struct oracle *o = mem_zero(1, sizeof *o);
    o->net.scenario = scenario;
    const unsigned peers[] = {session->offerer, session->answerer};
    for (unsigned side = 0; side < 2; side++) {
        struct agent *agent = &o->sides[side];
        agent->peer = &scenario->peers[peers[side]];
        // Without trickling, the offerer has gathered everything before anybody knows of it.
        agent->early = (side == 1 && !session->glare) || agent->peer->config.trickle;
        agent->untold =
            agent->peer->config.trickle && session->signaling.lose[side] & 1u << SIGNAL_CANDIDATES;
        for (unsigned i = 0; i < agent->peer->interfaces; i++)
            net_add_host(&o->net, agent->peer->lans[i], &agent->peer->ips[i]);
        for (unsigned i = 0; i < agent->peer->servers_count; i++) {
            const struct scenario_server *server = server_follow(scenario, agent->peer->servers[i]);
            if (server)
                net_add_host(&o->net, server->lan, &server->addr.ip);
        }
    }
    for (unsigned side = 0; side < 2; side++)
        gather(o, &o->sides[side]);
    follow(o);
    struct oracle_outcome outcome = outcome_of(arena, o);
    free(o);
    return outcome;
}
