#include "scenarios/runner/run/oracle_priv.h"

#define HOPS_MAX 40
#define PORT_SYMBOLS 65536u
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17

bool place_equal(const struct place *a, const struct place *b)
{
    return a->port == b->port && ip_equal(&a->ip, &b->ip);
}

uint32_t net_port(struct net *net)
{
    return PORT_SYMBOLS + net->port_next++;
}

void net_add_lan(struct net *net, int lan)
{
    for (; lan != SCENARIO_WAN; lan = net->scenario->lans[lan].behind) {
        for (unsigned i = 0; i < net->lans_count; i++) {
            if (net->lans[i] == lan)
                return;
        }
        if (net->lans_count == NET_LANS_MAX)
            return; // more than 16 servers and 8 interfaces in chains of 8 cannot be
        net->lans[net->lans_count++] = lan;
    }
}

void net_add_host(struct net *net, int lan, const struct ip *ip)
{
    net_add_lan(net, lan);
    if (net->hosts_count < NET_HOSTS_MAX)
        net->hosts[net->hosts_count++] = (struct net_host){lan, *ip};
}

// -------------------------------------------------------------------------------------------- NAT

// What a NAT sees of a remote.
static struct place seen(enum nat_dependence dependence, const struct place *remote)
{
    switch (dependence) {
    case NAT_ENDPOINT_INDEPENDENT:
        return (struct place){0};
    case NAT_ADDRESS_DEPENDENT:
        return (struct place){.ip = remote->ip};
    case NAT_ADDRESS_AND_PORT_DEPENDENT:
        break;
    }
    return *remote;
}

static void filter_open(struct net *net, int lan, const struct net_mapping *mapping,
                        const struct place *remote)
{
    for (unsigned i = 0; i < net->filters_count; i++) {
        const struct net_filter *f = &net->filters[i];
        if (f->lan == lan && place_equal(&f->outside, &mapping->outside) &&
            place_equal(&f->remote, remote))
            return;
    }
    if (net->filters_count == NET_FILTERS_MAX)
        return;
    net->filters[net->filters_count++] =
        (struct net_filter){lan, mapping->outside, *remote, mapping->inside};
    net->changed = true;
}

// RFC 4787 4.1 and 4.2.1. NULL: no more mappings.
static const struct net_mapping *mapping_of(struct net *net, int lan, const struct place *inside,
                                            const struct place *to)
{
    const struct nat_config *nat = &net->scenario->lans[lan].nat;
    struct place remote = seen(nat->mapping, to);
    unsigned own = 0;
    for (unsigned i = 0; i < net->mappings_count; i++) {
        const struct net_mapping *m = &net->mappings[i];
        if (m->lan != lan || !place_equal(&m->inside, inside))
            continue;
        if (place_equal(&m->remote, &remote))
            return m;
        own++;
    }
    if (net->mappings_count == NET_MAPPINGS_MAX || nat->external_count == 0)
        return NULL;
    // 4.1 REQ-2: paired, an internal address keeps one external one. Else any; here, by turns.
    unsigned pool = nat->pooling_paired ? 0 : own % nat->external_count;
    // A port that is shared (overloading) is the same towards everybody, as a cone's is. A port
    // that is only preserved is free for the first mapping alone, and so tells nothing.
    uint32_t port = nat->ports == NAT_PORTS_OVERLOAD ? inside->port : net_port(net);
    net->mappings[net->mappings_count] =
        (struct net_mapping){lan, *inside, remote, {nat->external[pool], port}};
    net->changed = true;
    return &net->mappings[net->mappings_count++];
}

static bool nat_outbound(struct net *net, int lan, struct place *from, const struct place *to)
{
    const struct net_mapping *mapping = mapping_of(net, lan, from, to);
    if (!mapping)
        return false;
    struct place remote = seen(net->scenario->lans[lan].nat.filtering, to);
    // The permission belongs to the mapping that was used: another mapping of the same socket
    // stays closed to this remote.
    filter_open(net, lan, mapping, &remote);
    *from = mapping->outside;
    return true;
}

static bool nat_inbound(const struct net *net, int lan, const struct place *from, struct place *to)
{
    struct place remote = seen(net->scenario->lans[lan].nat.filtering, from);
    for (unsigned i = 0; i < net->filters_count; i++) {
        const struct net_filter *f = &net->filters[i];
        if (f->lan == lan && place_equal(&f->outside, to) && place_equal(&f->remote, &remote)) {
            *to = f->inside;
            return true;
        }
    }
    return false;
}

static bool is_external(const struct nat_config *nat, const struct ip *ip)
{
    for (unsigned i = 0; i < nat->external_count; i++) {
        if (ip_equal(&nat->external[i], ip))
            return true;
    }
    return false;
}

// --------------------------------------------------------------------------------------- firewall

static bool rule_fits(const struct firewall_rule *rule, enum firewall_direction direction,
                      const struct place *remote, uint8_t protocol)
{
    if (rule->direction != FIREWALL_BOTH && rule->direction != direction)
        return false;
    if (rule->protocol != 0 && rule->protocol != protocol)
        return false;
    if (rule->remote.ip.family != IP_NONE && !ip_prefix_has(&rule->remote, &remote->ip))
        return false;
    if (rule->payload == FIREWALL_DTLS)
        return false; // a check is STUN
    if (rule->port_max == 0)
        return true;
    // A drawn port may be any of the dynamic ones, and a mapped one any above the well-known.
    uint32_t low = remote->port < PORT_SYMBOLS ? remote->port : 1024;
    uint32_t high = remote->port < PORT_SYMBOLS ? remote->port : 65535;
    return rule->port_min <= low && high <= rule->port_max;
}

static bool firewall_passes(struct net *net, int lan, enum firewall_direction direction,
                            const struct place *inside, const struct place *outside)
{
    const struct firewall_config *firewall = &net->scenario->lans[lan].firewall;
    if (!net->scenario->lans[lan].has_firewall)
        return true;
    for (unsigned i = 0; i < net->flows_count; i++) {
        const struct net_flow *f = &net->flows[i];
        if (f->lan == lan && place_equal(&f->inside, inside) && place_equal(&f->outside, outside))
            return true;
    }
    bool allow = direction == FIREWALL_OUT ? firewall->allow_out : firewall->allow_in;
    for (unsigned i = 0; i < firewall->rules_count; i++) {
        uint8_t protocol = net->tcp ? PROTOCOL_TCP : PROTOCOL_UDP;
        if (rule_fits(&firewall->rules[i], direction, outside, protocol)) {
            allow = firewall->rules[i].action == FIREWALL_ALLOW;
            break;
        }
    }
    if (!allow || net->flows_count == NET_FLOWS_MAX)
        return false;
    net->flows[net->flows_count++] = (struct net_flow){lan, *inside, *outside};
    net->changed = true;
    return true;
}

// ---------------------------------------------------------------------------------------- the way

struct way {
    int segment; // where the packet is
    bool from_host;
    struct place from, to;
};
enum step { STEP_ON, STEP_ARRIVED, STEP_LOST };

static enum step into(struct net *net, struct way *way, int lan)
{
    const struct scenario_lan *of = &net->scenario->lans[lan];
    if (!firewall_passes(net, lan, FIREWALL_IN, &way->to, &way->from))
        return STEP_LOST;
    if (of->has_nat && !nat_inbound(net, lan, &way->from, &way->to))
        return STEP_LOST;
    way->segment = lan;
    way->from_host = false;
    return STEP_ON;
}

static enum step out_of(struct net *net, struct way *way)
{
    int lan = way->segment;
    const struct scenario_lan *of = &net->scenario->lans[lan];
    way->from_host = false;
    if (of->has_nat && is_external(&of->nat, &way->to.ip)) { // RFC 4787 6: hairpinning
        struct place from = way->from;
        if (of->nat.hairpin == NAT_HAIRPIN_OFF || !nat_outbound(net, lan, &from, &way->to) ||
            !nat_inbound(net, lan, &from, &way->to))
            return STEP_LOST;
        if (of->nat.hairpin == NAT_HAIRPIN_EXTERNAL)
            way->from = from;
        return STEP_ON;
    }
    if (of->has_nat && !nat_outbound(net, lan, &way->from, &way->to))
        return STEP_LOST;
    if (!firewall_passes(net, lan, FIREWALL_OUT, &way->from, &way->to))
        return STEP_LOST;
    way->segment = of->behind;
    return STEP_ON;
}

static enum step step(struct net *net, struct way *way)
{
    const struct scenario *scenario = net->scenario;
    const struct ip *to = &way->to.ip;
    for (unsigned i = 0; i < net->hosts_count; i++) {
        if (net->hosts[i].lan != way->segment || !ip_equal(&net->hosts[i].ip, to))
            continue;
        bool isolated = way->segment != SCENARIO_WAN && scenario->lans[way->segment].isolate;
        return isolated && way->from_host ? STEP_LOST : STEP_ARRIVED;
    }
    for (unsigned i = 0; i < net->lans_count; i++) {
        const struct scenario_lan *lan = &scenario->lans[net->lans[i]];
        if (lan->behind != way->segment)
            continue;
        if (lan->has_nat ? is_external(&lan->nat, to) : ip_prefix_has(&lan->prefix, to))
            return into(net, way, net->lans[i]);
    }
    if (way->segment == SCENARIO_WAN || ip_prefix_has(&scenario->lans[way->segment].prefix, to))
        return STEP_LOST;
    return out_of(net, way);
}

bool net_send(struct net *net, int lan, struct place *from, struct place *to)
{
    struct way way = {lan, true, *from, *to};
    for (unsigned hops = 0; hops < HOPS_MAX; hops++) {
        enum step next = step(net, &way);
        if (next == STEP_LOST)
            return false;
        if (next == STEP_ARRIVED) {
            *from = way.from;
            *to = way.to;
            return true;
        }
    }
    return false;
}
