// Addresses for everything that was given none.
//
//   LANs        192.168.1.0/24 for the first, and so on; after 250 of them, 10.0.0.0/24 and on.
//               With other LANs behind it, or many hosts: 100.64.0.0/16 (RFC 6598), 100.65.0.0/16
//               and on, then 10.128.0.0/16 and on. The gateway is .1; then peers, servers, and the
//               gateways of LANs behind it.
//   gateways    198.18.0.1 and on (RFC 2544) where they meet the wan
//   servers     203.0.113.1 and on (RFC 5737) on the wan, second addresses after all first ones
//   peers       198.51.100.1 and on (RFC 5737) on the wan
// What does not fit continues in 198.19.0.0/16. Addresses that the file gives are left out.

#include "scenarios/runner/load/load_priv.h"

struct addressing {
    struct load *load;
    struct load_range servers, peers; // on the wan
};

static uint32_t v4(unsigned a, unsigned b, unsigned c, unsigned d)
{
    return (uint32_t)(a << 24 | b << 16 | c << 8 | d);
}

// False: taken.
static bool take(struct load *load, int lan, uint32_t value)
{
    struct ip *ip = arena_alloc(load->arena, sizeof *ip);
    *ip = ip_v4_of(value);
    return names_add(&load->used, (uint32_t)(lan + 1), bytes_of(ip->at, 4), 0);
}

static bool draw(struct addressing *a, int lan, struct load_range *range, struct ip *out)
{
    while (range->next <= range->last) {
        uint32_t value = range->next++;
        if (take(a->load, lan, value)) {
            *out = ip_v4_of(value);
            return true;
        }
    }
    return false;
}

// An address on a LAN, or on the wan from `range`. The name is of what it is for.
static bool assign(struct addressing *a, int lan, struct load_range *range, const char *name,
                   struct err_mark mark, struct ip *out)
{
    if (lan != SCENARIO_WAN && draw(a, lan, &a->load->lan_ranges[lan], out))
        return true;
    if (lan == SCENARIO_WAN &&
        (draw(a, lan, range, out) || draw(a, lan, &a->load->more_range, out)))
        return true;
    return err_at(a->load->err, mark, "expected an address left on '%s' for '%s', got none",
                  lan == SCENARIO_WAN ? "wan" : a->load->lans[lan].name, name);
}

bool load_is_host(const struct ip *ip)
{
    return ip->at[0] != 0 && ip->at[0] != 127 && ip->at[0] < 224;
}

// An address of the file: one of a host, on the prefix of its segment, and nobody else's.
static bool given(struct addressing *a, int lan, const struct ip *ip, struct err_mark mark)
{
    char text[IP_TEXT_MAX], prefix[IP_TEXT_MAX];
    if (!load_is_host(ip))
        return err_at(a->load->err, mark, "expected an address that a host can have, got %s",
                      ip_print(ip, text));
    if (lan != SCENARIO_WAN && !ip_prefix_has(&a->load->lans[lan].prefix, ip))
        return err_at(a->load->err, mark, "expected an address of '%s', %s/%u, got %s",
                      a->load->lans[lan].name, ip_print(&a->load->lans[lan].prefix.ip, prefix),
                      a->load->lans[lan].prefix.bits, ip_print(ip, text));
    if (!take(a->load, lan, ip_v4_value(ip)))
        return err_at(a->load->err, mark, "expected a free address, got %s, which another has",
                      ip_print(ip, text));
    return true;
}

// ------------------------------------------------------------------------------------------ prefix

static bool prefixes(struct addressing *a)
{
    struct load *load = a->load;
    unsigned count = load->scenario->lans_count;
    unsigned *members = arena_alloc(load->arena, count * sizeof *members);
    bool *carrier = arena_alloc(load->arena, count * sizeof *carrier);
    for (unsigned i = 0; i < count; i++) {
        if (load->lans[i].behind != SCENARIO_WAN) {
            carrier[load->lans[i].behind] = true;
            members[load->lans[i].behind] += load->lans[i].nat.external_count + 1;
        }
    }
    for (unsigned i = 0; i < load->scenario->peers_count; i++) {
        for (unsigned k = 0; k < load->peers[i].interfaces; k++) {
            if (load->peers[i].lans[k] != SCENARIO_WAN)
                members[load->peers[i].lans[k]]++;
        }
    }
    for (unsigned i = 0; i < load->scenario->servers_count; i++) {
        if (load->servers[i].lan != SCENARIO_WAN)
            members[load->servers[i].lan] += 2;
    }
    unsigned big = 0;
    for (unsigned i = 0; i < count; i++) {
        struct scenario_lan *lan = &load->lans[i];
        if (lan->prefix.ip.family != IP_NONE)
            continue;
        if (carrier[i] || members[i] > 250) {
            if (big == 64 + 128)
                return err_at(load->err, load->lan_marks[i],
                              "expected a prefix for '%s', got none, and all default ones are used",
                              lan->name);
            lan->prefix.bits = 16;
            lan->prefix.ip = ip_v4_of(big < 64 ? v4(100, 64 + big, 0, 0) : v4(10, 64 + big, 0, 0));
            big++;
        } else {
            unsigned far = i - 250; // used from the 251st on, at most SCENARIO_LANS_MAX
            lan->prefix.bits = 24;
            lan->prefix.ip =
                ip_v4_of(i < 250 ? v4(192, 168, i + 1, 0) : v4(10, far / 256, far % 256, 0));
        }
    }
    return true;
}

static void ranges(struct addressing *a)
{
    struct load *load = a->load;
    load->lan_ranges =
        arena_alloc(load->arena, load->scenario->lans_count * sizeof *load->lan_ranges);
    for (unsigned i = 0; i < load->scenario->lans_count; i++) {
        struct scenario_lan *lan = &load->lans[i];
        uint32_t first = ip_v4_value(&lan->prefix.ip);
        uint32_t size = (uint32_t)1 << (32 - lan->prefix.bits);
        lan->gateway_ip = ip_v4_of(first + 1);
        (void)take(load, (int)i, first + 1); // the first of all: nobody has it
        load->lan_ranges[i] = (struct load_range){first + 2, first + size - 2};
    }
    load->gateway_range = (struct load_range){v4(198, 18, 0, 1), v4(198, 18, 255, 255)};
    a->servers = (struct load_range){v4(203, 0, 113, 1), v4(203, 0, 113, 254)};
    a->peers = (struct load_range){v4(198, 51, 100, 1), v4(198, 51, 100, 254)};
    load->more_range = (struct load_range){v4(198, 19, 0, 1), v4(198, 19, 255, 254)};
}

// -------------------------------------------------------------------------------------------- all

static bool all_given(struct addressing *a)
{
    struct load *load = a->load;
    for (unsigned i = 0; i < load->scenario->servers_count; i++) {
        struct scenario_server *server = &load->servers[i];
        const struct yaml_node *node = yaml_get(load->servers_node->pairs[i].value, "address");
        if (node && !given(a, server->lan, &server->addr.ip, node->mark))
            return false;
    }
    for (unsigned i = 0; i < load->scenario->lans_count; i++) {
        struct scenario_lan *lan = &load->lans[i];
        const struct yaml_node *node = yaml_get(load->lans_node->pairs[i].value, "external");
        unsigned count = !node ? 0 : lan->has_nat ? lan->nat.external_count : 1;
        for (unsigned k = 0; k < count; k++) {
            const struct yaml_node *at = node->kind == YAML_SEQUENCE ? node->items[k] : node;
            const struct ip *ip = lan->has_nat ? &lan->nat.external[k] : &lan->outside_ip;
            if (!given(a, lan->behind, ip, at->mark))
                return false;
        }
    }
    return true;
}

static bool hosts(struct addressing *a)
{
    struct load *load = a->load;
    for (unsigned i = 0; i < load->scenario->peers_count; i++) {
        struct scenario_peer *peer = &load->peers[i];
        struct err_mark mark = load->peers_node->pairs[i].key->mark;
        for (unsigned k = 0; k < peer->interfaces; k++) {
            if (!assign(a, peer->lans[k], &a->peers, peer->name, mark, &peer->ips[k]))
                return false;
        }
    }
    for (unsigned i = 0; i < load->scenario->servers_count; i++) {
        struct scenario_server *server = &load->servers[i];
        struct err_mark mark = load->servers_node->pairs[i].key->mark;
        if (server->addr.ip.family == IP_NONE &&
            !assign(a, server->lan, &a->servers, server->name, mark, &server->addr.ip))
            return false;
    }
    for (unsigned i = 0; i < load->scenario->servers_count; i++) {
        struct scenario_server *server = &load->servers[i];
        struct err_mark mark = load->servers_node->pairs[i].key->mark;
        if (server->other.port &&
            !assign(a, server->lan, &a->servers, server->name, mark, &server->other.ip))
            return false;
    }
    return true;
}

static bool gateways(struct addressing *a)
{
    struct load *load = a->load;
    for (unsigned i = 0; i < load->scenario->lans_count; i++) {
        struct scenario_lan *lan = &load->lans[i];
        bool has = lan->has_nat ? lan->nat.external_count > 0 : lan->outside_ip.family != IP_NONE;
        if (has)
            continue;
        struct ip *to = lan->has_nat ? &lan->nat.external[0] : &lan->outside_ip;
        if (!assign(a, lan->behind, &a->load->gateway_range, lan->name, load->lan_marks[i], to))
            return false;
        lan->nat.external_count = lan->has_nat ? 1 : 0;
    }
    return true;
}

bool load_addresses(struct load *load)
{
    struct addressing a = {.load = load};
    if (!prefixes(&a))
        return false;
    ranges(&a);
    return all_given(&a) && hosts(&a) && gateways(&a);
}

bool load_rebind_address(struct load *load, struct scenario_action *action, struct err_mark mark)
{
    struct addressing a = {.load = load};
    const struct scenario_lan *lan = &load->lans[action->lan];
    if (action->rebind_to.family != IP_NONE)
        return given(&a, lan->behind, &action->rebind_to, mark);
    return assign(&a, lan->behind, &load->gateway_range, lan->name, mark, &action->rebind_to);
}
