#include "simnet/world_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

const char *net_drop_name(enum net_drop drop)
{
    static const char *const names[] = {
        [NET_DELIVERED] = "delivered",
        [NET_LOSS] = "loss",
        [NET_QUEUE_FULL] = "queue-full",
        [NET_CODEL] = "codel",
        [NET_LINK_DOWN] = "link-down",
        [NET_TOO_BIG] = "too-big",
        [NET_TTL_EXCEEDED] = "ttl-exceeded",
        [NET_NO_ROUTE] = "no-route",
        [NET_NO_HOST] = "no-host",
        [NET_ISOLATED] = "isolated",
        [NET_NO_SOCKET] = "no-socket",
        [NET_BAD_PACKET] = "bad-packet",
        [NET_NAT_NO_MAPPING] = "nat-no-mapping",
        [NET_NAT_FILTERED] = "nat-filtered",
        [NET_NAT_TABLE_FULL] = "nat-table-full",
        [NET_NAT_NO_PORT] = "nat-no-port",
        [NET_NAT_NO_HAIRPIN] = "nat-no-hairpin",
        [NET_FIREWALL] = "firewall",
        [NET_DROPS] = "drops",
    };
    return names[drop];
}

// --------------------------------------------------------------------------------------- building

struct world *world_new(const struct world_config *config)
{
    struct world *world = mem_zero(1, sizeof *world);
    world->config = *config;
    world->wakers = mem_zero(config->wakers, sizeof *world->wakers);
    for (unsigned i = 0; i < config->wakers; i++)
        world->wakers[i].due.kind = SOURCE_WAKER;
    return world;
}

static void interface_fini(struct interface *interface)
{
    link_fini(&interface->up);
    link_fini(&interface->transit);
    link_fini(&interface->down);
}

void world_free(struct world *world)
{
    if (!world)
        return;
    for (struct place *place = world->places; place; place = place->next)
        switch (place->kind) {
        case PLACE_HOST:
            host_fini((struct host *)place);
            break;
        case PLACE_GATEWAY:
            gateway_fini((struct gateway *)place);
            break;
        }
    streams_fini(world);
    for (struct segment *segment = world->segments; segment; segment = segment->next)
        table_free(&segment->routes);
    for (uint32_t i = 1; i <= world->interfaces_count; i++)
        interface_fini(world->interfaces[i]);
    free(world->drops);
    for (unsigned i = 0; i < world->captures_count; i++)
        capture_free(&world->captures[i]);
    timeline_free(&world->timeline);
    packet_pool_free(&world->packets);
    free(world->interfaces);
    free(world->captures);
    capture_store_free(&world->recorded);
    free(world->wakers);
    arena_free(&world->arena);
    free(world);
}

void place_init(struct world *world, struct place *place, enum place_kind kind, const char *name)
{
    *place = (struct place){
        .kind = kind,
        .name = arena_text(&world->arena, name),
        .world = world,
        .trace = trace_of(world->config.log, name),
        .next = world->places,
    };
    world->places = place;
}

static struct rng link_stream(struct world *world, const struct place *place, const char *part,
                              const char *role)
{
    char name[256];
    snprintf(name, sizeof name, "link:%s.%s.%s", place->name, part, role);
    return rng_seed(world->config.seed, name);
}

struct interface *interface_new(struct world *world, struct place *place, struct segment *segment,
                                const char *part, const struct link_config *up,
                                const struct link_config *down)
{
    struct interface *interface = arena_alloc(&world->arena, sizeof *interface);
    interface->place = place;
    interface->segment = segment;
    interface->number = ++world->interfaces_count;
    if (interface->number >= world->interfaces_room) {
        world->interfaces_room = world->interfaces_room ? world->interfaces_room * 2 : 16;
        world->interfaces =
            mem_grow(world->interfaces, world->interfaces_room * sizeof(struct interface *));
    }
    world->interfaces[interface->number] = interface;
    link_init(&interface->up, interface, LINK_UP, up, link_stream(world, place, part, "up"));
    link_init(&interface->transit, interface, LINK_TRANSIT, &segment->config.transit,
              link_stream(world, place, part, "transit"));
    link_init(&interface->down, interface, LINK_DOWN, down,
              link_stream(world, place, part, "down"));
    if (segment->last)
        segment->last->next = interface;
    else
        segment->first = interface;
    segment->last = interface;
    return interface;
}

// ---------------------------------------------------------------------------------------- packets

uint64_t world_seq(struct world *world)
{
    return world->seq++;
}

static void drop_record(struct world *world, const struct place *place, const struct packet *packet,
                        enum net_drop reason)
{
    if (world->drops_count == WORLD_DROPS_MAX)
        return;
    if (world->drops_count == world->drops_room) {
        world->drops_room = world->drops_room ? world->drops_room * 2 : 16;
        world->drops = mem_grow(world->drops, world->drops_room * sizeof *world->drops);
    }
    world->drops[world->drops_count++] = (struct net_drop_record){
        .at = world->now,
        .reason = reason,
        .place = place->name,
        .capture = packet->number ? (int)packet->capture : -1,
        .packet = packet->number,
        .from = packet->from,
        .to = packet->to,
    };
}

unsigned world_drops(const struct world *world)
{
    return world->drops_count;
}

struct net_drop_record world_drop_record(const struct world *world, unsigned index)
{
    assert(index < world->drops_count);
    return world->drops[index];
}

void world_drop(struct world *world, struct place *place, struct packet *packet,
                enum net_drop reason)
{
    world->counters.drops[reason]++;
    place->counters.drops[reason]++;
    drop_record(world, place, packet, reason);
    if (place->trace.log) {
        char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX], seen[160] = "";
        if (packet->number)
            snprintf(seen, sizeof seen, ", packet %" PRIu32 " of %s", packet->number,
                     world->captures[packet->capture].name);
        trace_line(&place->trace, world->now, "drop %s %s > %s %zu bytes%s", net_drop_name(reason),
                   addr_print(&packet->from, from), addr_print(&packet->to, to),
                   packet_payload(packet).len, seen);
    }
    packet_free(&world->packets, packet);
}

void world_park(struct world *world, struct host *host, struct packet *packet)
{
    packet->host = host;
    packet->due.kind = SOURCE_ARRIVAL;
    timeline_set(&world->timeline, &packet->due, world->now, world_seq(world));
}

static void arrive(struct world *world, struct host *host, struct packet *packet)
{
    packet->host = host;
    if (host_receive(world, host, packet))
        world->arrived = packet;
}

// Take on a packet that has come to the end of a link: the link it goes into next, or NULL.
static struct link *link_end(struct world *world, struct link *link, struct packet *packet)
{
    struct interface *interface = link->interface;
    link->stats.packets++;
    link->stats.bytes += packet->len;
    switch (link->role) {
    case LINK_UP:
        return &interface->transit;
    case LINK_TRANSIT: {
        enum net_drop why;
        struct interface *receiver =
            segment_receiver(interface->segment, interface, &packet->to.ip, &why);
        if (receiver)
            return &receiver->down;
        world_drop(world, interface->place, packet, why);
        return NULL;
    }
    case LINK_DOWN:
        break;
    }
    if (interface->place->kind == PLACE_GATEWAY)
        return gateway_receive(world, (struct gateway *)interface->place, interface, packet);

    struct host *host = (struct host *)interface->place;
    if (world->is_stepping)
        arrive(world, host, packet);
    else
        world_park(world, host, packet);
    return NULL;
}

void world_carry(struct world *world, struct link *link, struct packet *packet)
{
    while (link && link_cross(world, link, packet))
        link = link_end(world, link, packet);
}

// ---------------------------------------------------------------------------------------- running

nanotime world_now(const struct world *world)
{
    return world->now;
}

nanotime world_deadline(const struct world *world)
{
    const struct event *first = timeline_first(&world->timeline);
    if (world->streams.first)
        return world->now;
    return first ? first->time : TIME_NEVER;
}

void world_wake_at(struct world *world, unsigned waker, nanotime at)
{
    assert(waker < world->config.wakers);
    struct source *due = &world->wakers[waker].due;
    if (at == TIME_NEVER) {
        timeline_remove(&world->timeline, due);
        return;
    }
    at = time_max(at, world->now);
    if (timeline_time(&world->timeline, due) != at) // the same again keeps its turn
        timeline_set(&world->timeline, due, at, world_seq(world));
}

// Something happens to packets: at most one of them arrives.
static void step(struct world *world, struct source *source)
{
    world->is_stepping = true;
    struct packet *packet = (void *)source; // where it is one
    switch (source->kind) {
    case SOURCE_LINK: {
        struct link *link = (void *)source;
        packet = link_leave(world, link);
        world_carry(world, link_end(world, link, packet), packet);
        break;
    }
    case SOURCE_QUEUE:
        link_serve(world, ((struct codel *)(void *)source)->link);
        break;
    case SOURCE_PACKET:
        timeline_remove(&world->timeline, source);
        world_carry(world, link_end(world, packet->link, packet), packet);
        break;
    case SOURCE_ARRIVAL:
        timeline_remove(&world->timeline, source);
        arrive(world, packet->host, packet);
        break;
    case SOURCE_WAKER:
        break;
    case SOURCE_STREAM:
        world->is_stepping =
            false; // what it sends to itself or next door comes by a step of its own
        stream_step(world, (void *)source);
        break;
    }
    world->is_stepping = false;
}

static void give_back(struct world *world)
{
    if (world->lent)
        packet_free(&world->packets, world->lent);
    world->lent = NULL;
}

bool world_next(struct world *world, nanotime until, struct world_event *out)
{
    give_back(world);
    const struct event *first;
    if (stream_news(world, out))
        return true;
    while ((first = timeline_first(&world->timeline)) != NULL && first->time <= until) {
        world->now = first->time;
        struct source *source = first->source;
        if (source->kind == SOURCE_WAKER) {
            timeline_remove(&world->timeline, source);
            *out = (struct world_event){.kind = WORLD_WAKE};
            out->waker = (unsigned)((struct waker *)source - world->wakers);
            return true;
        }
        step(world, source);
        struct packet *packet = world->arrived;
        if (!packet && stream_news(world, out))
            return true;
        if (!packet)
            continue;
        world->lent = packet;
        world->arrived = NULL;
        *out = (struct world_event){.kind = WORLD_DATAGRAM, .host = packet->host};
        if (packet->host->is_raw) {
            out->kind = WORLD_PACKET;
            out->packet = bytes_of(packet->at, packet->len);
        }
        out->datagram = (struct datagram){packet->from, packet->to, packet_payload(packet)};
        return true;
    }
    if (until != TIME_NEVER)
        world->now = time_max(world->now, until);
    return false;
}

struct net_counters world_counters(const struct world *world)
{
    return world->counters;
}
