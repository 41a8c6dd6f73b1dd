#include "simnet/world_priv.h"

#include <assert.h>

static unsigned family_index(const struct ip *ip)
{
    return ip->family == IP_V6;
}

static struct ip ip_masked(struct ip ip, unsigned bits)
{
    unsigned whole = bits / 8;
    if (whole == sizeof ip.at)
        return ip;
    ip.at[whole] &= (uint8_t)(0xff00 >> bits % 8);
    memset(&ip.at[whole + 1], 0, sizeof ip.at - whole - 1);
    return ip;
}

static struct addr route_key(const struct ip *ip, unsigned bits)
{
    return (struct addr){ip_masked(*ip, bits), (uint16_t)bits};
}

static struct addr address_key(const struct ip *ip)
{
    return (struct addr){*ip, (uint16_t)(ip_len(ip) * 8)};
}

bool segment_has(const struct segment *segment, const struct ip *ip)
{
    struct addr key = address_key(ip);
    return table_find(&segment->routes, &key, &no_addr) != 0;
}

void segment_route(struct segment *segment, const struct ip *ip, unsigned bits,
                   struct interface *interface, nanotime now)
{
    struct addr key = route_key(ip, bits);
    uint32_t route = table_find(&segment->routes, &key, &no_addr);
    if (route == 0)
        route = table_add(&segment->routes, &key, &no_addr, now);
    table_at(&segment->routes, route)->value = interface->number;

    if (bits == ip_len(ip) * 8)
        return;
    uint8_t *lengths = segment->route_bits[family_index(ip)];
    unsigned *count = &segment->route_bits_count[family_index(ip)], at = 0;
    while (at < *count && lengths[at] > bits)
        at++;
    if (at < *count && lengths[at] == bits)
        return;
    memmove(&lengths[at + 1], &lengths[at], *count - at);
    lengths[at] = (uint8_t)bits;
    ++*count;
}

void segment_unroute(struct segment *segment, const struct ip *ip)
{
    struct addr key = address_key(ip);
    table_remove(&segment->routes, table_find(&segment->routes, &key, &no_addr));
}

// RFC 1812 5.2.4.3: the longest prefix that matches, else the default route. 0: none.
static uint32_t route_find(const struct segment *segment, const struct ip *to)
{
    struct addr key = address_key(to);
    uint32_t route = table_find(&segment->routes, &key, &no_addr);
    const uint8_t *lengths = segment->route_bits[family_index(to)];
    for (unsigned i = 0; route == 0 && i < segment->route_bits_count[family_index(to)]; i++) {
        key = route_key(to, lengths[i]);
        route = table_find(&segment->routes, &key, &no_addr);
    }
    return route ? table_at(&segment->routes, route)->value : 0;
}

static bool is_on_link(const struct segment *segment, const struct ip *ip)
{
    return ip_prefix_has(&segment->config.prefix[0], ip) ||
           ip_prefix_has(&segment->config.prefix[1], ip);
}

struct interface *segment_receiver(const struct segment *segment, const struct interface *from,
                                   const struct ip *to, enum net_drop *why)
{
    uint32_t number = route_find(segment, to);
    struct interface *receiver = number ? segment->world->interfaces[number] : NULL;
    if (!receiver) {
        *why = NET_NO_HOST;
        if (is_on_link(segment, to))
            return NULL;
        *why = NET_NO_ROUTE;
        receiver = segment->defaults[family_index(to)];
        if (!receiver)
            return NULL;
    }
    *why = NET_ISOLATED;
    bool between_hosts = receiver->place->kind == PLACE_HOST && from->place->kind == PLACE_HOST;
    return segment->config.isolate && between_hosts ? NULL : receiver;
}

struct segment *world_add_segment(struct world *world, const char *name,
                                  const struct segment_config *config)
{
    struct segment *segment = arena_alloc(&world->arena, sizeof *segment);
    *segment = (struct segment){
        .next = world->segments,
        .world = world,
        .name = arena_text(&world->arena, name),
        .config = *config,
        .routes = table_new(),
    };
    world->segments = segment;
    return segment;
}

void segment_configure(struct segment *segment, const struct link_config *transit)
{
    segment->config.transit = *transit;
    for (struct interface *i = segment->first; i; i = i->next)
        link_configure(&i->transit, transit);
}

const struct link_config *segment_transit(const struct segment *segment)
{
    return &segment->config.transit;
}
