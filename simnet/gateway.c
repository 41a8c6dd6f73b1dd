// A gateway forwards between its two sides. The firewall sees packets as they are outside: after
// the NAT on the way out, before it on the way in.
#include "simnet/world_priv.h"

#include <assert.h>

// RFC 5382 5 REQ-5: an established connection stays mapped for not less than 2 hours 4 minutes.
#define TCP_LIFETIME (7440 * TIME_S)

static const struct link_config no_link = {.mtu = UINT32_MAX};

static unsigned externals(const struct gateway_config *config, const struct ip **out)
{
    *out = config->has_nat ? config->nat.external : &config->outside_ip;
    if (config->has_nat)
        return config->nat.external_count;
    return config->outside_ip.family != IP_NONE;
}

static bool is_natted(const struct gateway *gateway, enum ip_family family)
{
    return gateway->nat && gateway->external[0].family == family;
}

// What is not translated is routed: the addresses inside are reachable by this gateway, and it is
// the way out for those inside.
static void routes_add(struct gateway *gateway)
{
    struct segment *inside = gateway->inside->segment, *outside = gateway->outside->segment;
    for (unsigned i = 0; i < 2; i++) {
        const struct ip_prefix *prefix = &inside->config.prefix[i];
        if (prefix->ip.family == IP_NONE)
            continue;
        inside->defaults[prefix->ip.family == IP_V6] = gateway->inside;
        if (!is_natted(gateway, prefix->ip.family))
            segment_route(outside, &prefix->ip, prefix->bits, gateway->outside,
                          gateway->place.world->now);
    }
}

static void externals_take(struct gateway *gateway, const struct ip *ips, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        segment_route(gateway->outside->segment, &ips[i], (unsigned)ip_len(&ips[i]) * 8,
                      gateway->outside, gateway->place.world->now);
        gateway->external[i] = ips[i];
    }
    gateway->external_count = count;
}

static void captures_add(struct gateway *gateway)
{
    struct world *world = gateway->place.world;
    const char *name = gateway->place.name;
    gateway->capture_inside = capture_new(world, arena_printf(&world->arena, "%s.inside", name));
    gateway->capture_outside = capture_new(world, arena_printf(&world->arena, "%s.outside", name));
}

struct gateway *world_add_gateway(struct world *world, const char *name,
                                  const struct gateway_config *config)
{
    const struct ip *ips;
    unsigned count = externals(config, &ips);
    bool has_inside_ip = config->inside_ip.family != IP_NONE;
    if (has_inside_ip && segment_has(config->inside, &config->inside_ip))
        return NULL;
    for (unsigned i = 0; i < count; i++)
        if (segment_has(config->outside, &ips[i]))
            return NULL;

    struct gateway *gateway = arena_alloc(&world->arena, sizeof *gateway);
    place_init(world, &gateway->place, PLACE_GATEWAY, name);
    gateway->inside =
        interface_new(world, &gateway->place, config->inside, "inside", &no_link, &no_link);
    gateway->outside = interface_new(world, &gateway->place, config->outside, "outside",
                                     &config->up, &config->down);
    gateway->inside->ip = config->inside_ip;
    if (has_inside_ip)
        segment_route(config->inside, &config->inside_ip, (unsigned)ip_len(&config->inside_ip) * 8,
                      gateway->inside, world->now);
    externals_take(gateway, ips, count);
    if (config->has_nat) {
        const char *stream = arena_printf(&world->arena, "nat:%s", name);
        gateway->nat = nat_new(&config->nat, rng_seed(world->config.seed, stream));
        gateway->tcp = arena_copy(&world->arena, &config->nat, sizeof config->nat);
        gateway->tcp->lifetime = TCP_LIFETIME;
        gateway->tcp->filter_lifetime = 0;
    }
    if (config->has_firewall)
        gateway->firewall = firewall_new(&config->firewall);
    routes_add(gateway);
    captures_add(gateway);
    return gateway;
}

void gateway_fini(struct gateway *gateway)
{
    nat_free(gateway->nat);
    nat_free(gateway->nat_tcp);
    firewall_free(gateway->firewall);
}

void gateway_reboot(struct gateway *gateway)
{
    if (gateway->nat)
        nat_reboot(gateway->nat);
    if (gateway->nat_tcp)
        nat_reboot(gateway->nat_tcp);
}

bool gateway_rebind(struct gateway *gateway, const struct ip *external)
{
    struct segment *outside = gateway->outside->segment;
    bool is_ours = false;
    for (unsigned i = 0; i < gateway->external_count; i++)
        is_ours |= ip_equal(&gateway->external[i], external);
    if (!is_ours && segment_has(outside, external))
        return false;
    for (unsigned i = 0; i < gateway->external_count; i++)
        segment_unroute(outside, &gateway->external[i]);
    externals_take(gateway, external, 1);
    if (gateway->nat) {
        nat_rebind(gateway->nat, external);
        gateway->tcp->external[0] = *external;
        gateway->tcp->external_count = 1;
    }
    if (gateway->nat_tcp)
        nat_rebind(gateway->nat_tcp, external);
    return true;
}

// ------------------------------------------------------------------------------------- forwarding

static enum net_drop drop_of(enum nat_outcome outcome)
{
    static const enum net_drop drops[] = {
        [NAT_PASS] = NET_DELIVERED,        [NAT_NO_MAPPING] = NET_NAT_NO_MAPPING,
        [NAT_FILTERED] = NET_NAT_FILTERED, [NAT_TABLE_FULL] = NET_NAT_TABLE_FULL,
        [NAT_NO_PORT] = NET_NAT_NO_PORT,   [NAT_HAIRPINNED] = NET_DELIVERED,
        [NAT_OUTCOMES] = NET_DROPS,        [NAT_HAIRPIN_REFUSED] = NET_NAT_NO_HAIRPIN,
    };
    return drops[outcome];
}

static bool is_own(const struct gateway *gateway, const struct ip *ip)
{
    if (ip_equal(ip, &gateway->inside->ip))
        return true;
    for (unsigned i = 0; !gateway->nat && i < gateway->external_count; i++)
        if (ip_equal(ip, &gateway->external[i]))
            return true;
    return false;
}

static bool firewall_allows(struct gateway *gateway, nanotime now,
                            enum firewall_direction direction, const struct packet *packet)
{
    if (!gateway->firewall)
        return true;
    bool out = direction == FIREWALL_OUT;
    return firewall_check(gateway->firewall, now, direction, packet->protocol,
                          out ? &packet->from : &packet->to, out ? &packet->to : &packet->from,
                          packet_payload(packet)) == FIREWALL_PASS;
}

// RFC 5382: mappings of TCP are their own. Most worlds have no TCP, and none of this.
static struct nat *nat_for(struct gateway *gateway, const struct packet *packet)
{
    if (packet->protocol == PROTOCOL_UDP)
        return gateway->nat;
    if (!gateway->nat_tcp) {
        struct world *world = gateway->place.world;
        const char *stream = arena_printf(&world->arena, "nat-tcp:%s", gateway->place.name);
        gateway->nat_tcp = nat_new(gateway->tcp, rng_seed(world->config.seed, stream));
    }
    return gateway->nat_tcp;
}

// NET_DELIVERED: it may go on, by *on.
static enum net_drop forward_out(struct world *world, struct gateway *gateway,
                                 struct packet *packet, struct link **on)
{
    *on = &gateway->outside->up;
    if (is_natted(gateway, packet->from.ip.family)) {
        struct addr from = packet->from, to = packet->to;
        enum nat_outcome outcome = nat_out(nat_for(gateway, packet), world->now, &from, &to);
        if (outcome != NAT_PASS && outcome != NAT_HAIRPINNED)
            return drop_of(outcome);
        packet_set_from(packet, &from);
        if (outcome == NAT_HAIRPINNED) {
            packet_set_to(packet, &to);
            *on = &gateway->inside->up;
            capture_packet(world, gateway->capture_inside, packet);
            return NET_DELIVERED;
        }
    }
    if (!firewall_allows(gateway, world->now, FIREWALL_OUT, packet))
        return NET_FIREWALL;
    capture_packet(world, gateway->capture_outside, packet);
    return NET_DELIVERED;
}

static enum net_drop forward_in(struct world *world, struct gateway *gateway, struct packet *packet,
                                struct link **on)
{
    *on = &gateway->inside->up;
    if (!firewall_allows(gateway, world->now, FIREWALL_IN, packet))
        return NET_FIREWALL;
    if (is_natted(gateway, packet->to.ip.family)) {
        struct addr to = packet->to;
        enum nat_outcome outcome = nat_in(nat_for(gateway, packet), world->now, &packet->from, &to);
        if (outcome != NAT_PASS)
            return drop_of(outcome);
        packet_set_to(packet, &to);
    }
    capture_packet(world, gateway->capture_inside, packet);
    return NET_DELIVERED;
}

struct link *gateway_receive(struct world *world, struct gateway *gateway,
                             const struct interface *at, struct packet *packet)
{
    bool out = at == gateway->inside;
    capture_packet(world, out ? gateway->capture_inside : gateway->capture_outside, packet);
    struct link *on = NULL;
    enum net_drop reason;
    if (is_own(gateway, &packet->to.ip)) {
        reason = NET_NO_SOCKET;
    } else if (packet_ttl(packet) <= 1) { // RFC 1812 5.3.1
        reason = NET_TTL_EXCEEDED;
    } else {
        packet_ttl_decrement(packet);
        reason = out ? forward_out(world, gateway, packet, &on)
                     : forward_in(world, gateway, packet, &on);
    }
    if (reason == NET_DELIVERED)
        return on;
    world_drop(world, &gateway->place, packet, reason);
    return NULL;
}

struct link *gateway_link(struct gateway *gateway, bool up)
{
    return up ? &gateway->outside->up : &gateway->outside->down;
}

struct nat *gateway_nat(struct gateway *gateway)
{
    return gateway->nat;
}

struct net_counters gateway_counters(const struct gateway *gateway)
{
    return gateway->place.counters;
}
