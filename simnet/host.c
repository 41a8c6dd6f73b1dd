#include "simnet/world_priv.h"

#include <stdio.h>
#include <stdlib.h>

#define PORT_DYNAMIC_MIN 49152u // RFC 6335 6
#define PORT_DYNAMIC_COUNT (65536u - PORT_DYNAMIC_MIN)

struct host *world_add_host(struct world *world, const char *name)
{
    struct host *host = arena_alloc(&world->arena, sizeof *host);
    place_init(world, &host->place, PLACE_HOST, name);
    host->sockets = table_new();
    host->rng = rng_seed(world->config.seed, arena_printf(&world->arena, "host:%s", name));
    host->capture = capture_new(world, name);
    return host;
}

void host_fini(struct host *host)
{
    table_free(&host->sockets);
    host_tcp_fini(host);
    free(host->interfaces);
}

bool host_attach(struct host *host, struct segment *segment, const struct ip *ip,
                 const struct link_config *up, const struct link_config *down)
{
    if (segment_has(segment, ip))
        return false;
    struct world *world = host->place.world;
    char part[16];
    snprintf(part, sizeof part, "%u", host->interfaces_count);
    struct interface *interface = interface_new(world, &host->place, segment, part, up, down);
    interface->ip = *ip;
    segment_route(segment, ip, (unsigned)ip_len(ip) * 8, interface, world->now);
    unsigned count = host->interfaces_count + 1;
    host->interfaces = mem_grow(host->interfaces, count * sizeof(struct interface *));
    host->interfaces[host->interfaces_count++] = interface;
    return true;
}

struct interface *host_interface(const struct host *host, const struct ip *ip)
{
    for (unsigned i = 0; i < host->interfaces_count; i++)
        if (ip_equal(&host->interfaces[i]->ip, ip))
            return host->interfaces[i];
    return NULL;
}

static bool has_socket(const struct host *host, const struct addr *addr)
{
    return table_find(&host->sockets, addr, &no_addr) != 0;
}

bool host_bind(struct host *host, const struct addr *addr)
{
    if (addr->port == 0 || !host_interface(host, &addr->ip) || has_socket(host, addr))
        return false;
    table_add(&host->sockets, addr, &no_addr, host->place.world->now);
    return true;
}

void host_unbind(struct host *host, const struct addr *addr)
{
    uint32_t socket = table_find(&host->sockets, addr, &no_addr);
    if (socket)
        table_remove(&host->sockets, socket);
}

uint16_t host_free_port(struct host *host, const struct ip *ip)
{
    struct addr addr = {.ip = *ip};
    uint32_t start = (uint32_t)rng_below(&host->rng, PORT_DYNAMIC_COUNT);
    for (uint32_t i = 0; i < PORT_DYNAMIC_COUNT; i++) {
        addr.port = (uint16_t)(PORT_DYNAMIC_MIN + (start + i) % PORT_DYNAMIC_COUNT);
        if (!has_socket(host, &addr))
            return addr.port;
    }
    return 0;
}

void host_set_raw(struct host *host)
{
    host->is_raw = true;
}

// The datagram goes no further than the socket that sent it.
static enum net_drop refuse(struct host *host, const struct addr *from, const struct addr *to,
                            size_t len, enum net_drop reason)
{
    struct world *world = host->place.world;
    char a[ADDR_TEXT_MAX], b[ADDR_TEXT_MAX];
    host->place.counters.drops[reason]++;
    world->counters.drops[reason]++;
    trace(&host->place.trace, world->now, "drop %s %s > %s %zu bytes", net_drop_name(reason),
          addr_print(from, a), addr_print(to, b), len);
    return reason;
}

enum net_drop host_send(struct host *host, const struct addr *from, const struct addr *to,
                        struct bytes bytes)
{
    struct world *world = host->place.world;
    world->counters.sent++;
    host->place.counters.sent++;
    struct interface *interface = host_interface(host, &from->ip);
    if (!interface || !has_socket(host, from))
        return refuse(host, from, to, bytes.len, NET_NO_SOCKET);
    if (to->ip.family != from->ip.family)
        return refuse(host, from, to, bytes.len, NET_NO_ROUTE);
    if (bytes.len > NET_DATAGRAM_MAX ||
        packet_len(from->ip.family, bytes.len) > interface->up.mtu) {
        interface->up.stats.too_big++;
        return refuse(host, from, to, bytes.len, NET_TOO_BIG);
    }
    struct packet *packet = packet_new(&world->packets, from, to, bytes);
    capture_packet(world, host->capture, packet);
    if (host_interface(host, &to->ip))
        world_park(world, host, packet); // as by a loopback interface: no link is crossed
    else
        world_carry(world, &interface->up, packet);
    return NET_DELIVERED;
}

enum net_drop host_inject(struct host *host, struct bytes bytes)
{
    struct world *world = host->place.world;
    enum net_drop reason;
    struct packet *packet = packet_parse(&world->packets, bytes, &reason);
    if (!packet && reason == NET_DELIVERED)
        return NET_DELIVERED;
    struct interface *interface = packet ? host_interface(host, &packet->from.ip) : NULL;
    if (packet && (!interface || packet->to.ip.family != packet->from.ip.family)) {
        if (!interface && !host->has_posed)
            host->posed_as = packet->from.ip;
        host->has_posed |= !interface;
        packet_free(&world->packets, packet);
        return NET_DELIVERED;
    }
    world->counters.sent++;
    host->place.counters.sent++;
    if (packet && packet->len > interface->up.mtu) {
        packet_free(&world->packets, packet);
        packet = NULL;
        reason = NET_TOO_BIG;
        interface->up.stats.too_big++;
    }
    if (!packet)
        return refuse(host, &no_addr, &no_addr, bytes.len, reason);
    capture_packet(world, host->capture, packet);
    if (host_interface(host, &packet->to.ip))
        world_park(world, host, packet);
    else
        world_carry(world, &interface->up, packet);
    return NET_DELIVERED;
}

bool host_has_posed(const struct host *host, struct ip *as)
{
    *as = host->posed_as;
    return host->has_posed;
}

bool host_receive(struct world *world, struct host *host, struct packet *packet)
{
    capture_packet(world, host->capture, packet);
    enum net_drop reason = NET_DELIVERED;
    if (!packet_is_valid(packet))
        reason = NET_BAD_PACKET;
    else if (!host->is_raw && packet->protocol == PROTOCOL_UDP && !has_socket(host, &packet->to))
        reason = NET_NO_SOCKET;
    if (reason != NET_DELIVERED) {
        world_drop(world, &host->place, packet, reason);
        return false;
    }
    if (!host->is_raw && packet->protocol == PROTOCOL_TCP) {
        stream_receive(world, host, packet);
        return false;
    }
    host->place.counters.delivered++;
    world->counters.delivered++;
    return true;
}

const char *host_name(const struct host *host)
{
    return host->place.name;
}

void host_set_user(struct host *host, void *user)
{
    host->user = user;
}

void *host_user(const struct host *host)
{
    return host->user;
}

unsigned host_addresses(const struct host *host, struct ip *out, unsigned max)
{
    for (unsigned i = 0; i < host->interfaces_count && i < max; i++)
        out[i] = host->interfaces[i]->ip;
    return host->interfaces_count < max ? host->interfaces_count : max;
}

struct link *host_link(struct host *host, unsigned interface, bool up)
{
    if (interface >= host->interfaces_count)
        return NULL;
    return up ? &host->interfaces[interface]->up : &host->interfaces[interface]->down;
}

struct net_counters host_counters(const struct host *host)
{
    return host->place.counters;
}
