// The ends of TCP connections at the hosts of a world.
#include "simnet/world_priv.h"

#include <assert.h>
#include <stdlib.h>

#define PORT_DYNAMIC_MIN 49152u // RFC 6335 6
#define PORT_DYNAMIC_COUNT (65536u - PORT_DYNAMIC_MIN)
#define MSS_MAX 1460u

static struct host_tcp *tcp_of(struct host *host)
{
    if (host->tcp)
        return host->tcp;
    struct world *world = host->place.world;
    host->tcp = arena_alloc(&world->arena, sizeof *host->tcp);
    host->tcp->listeners = table_new();
    host->tcp->connections = table_new();
    host->tcp->rng =
        rng_seed(world->config.seed, arena_printf(&world->arena, "tcp:%s", host->place.name));
    return host->tcp;
}

void host_tcp_fini(struct host *host)
{
    if (!host->tcp)
        return;
    table_free(&host->tcp->listeners);
    table_free(&host->tcp->connections);
}

// ----------------------------------------------------------------------------------------- numbers

static struct stream *stream_add(struct world *world, struct host *host, const struct addr *local,
                                 const struct addr *remote)
{
    struct streams *streams = &world->streams;
    uint32_t number = streams->free_count ? streams->free[--streams->free_count] : 0;
    if (!number && streams->count == WORLD_STREAMS_MAX)
        return NULL;
    if (!number)
        number = ++streams->count;
    if (number >= streams->room) {
        streams->room = streams->room ? streams->room * 2 : 16;
        streams->at = mem_grow(streams->at, streams->room * sizeof(struct stream *));
        streams->free = mem_grow(streams->free, streams->room * sizeof *streams->free);
    }
    struct stream *stream = mem_zero(1, sizeof *stream);
    stream->due.kind = SOURCE_STREAM;
    stream->host = host;
    stream->local = *local;
    stream->remote = *remote;
    stream->number = number;
    streams->at[number] = stream;
    struct table *connections = &tcp_of(host)->connections;
    uint32_t entry = table_add(connections, local, remote, world->now);
    table_at(connections, entry)->value = number;
    return stream;
}

static void stream_free(struct stream *stream)
{
    tcp_fini(&stream->tcp);
    free(stream);
}

static void stream_remove(struct world *world, struct stream *stream)
{
    struct streams *streams = &world->streams;
    struct table *connections = &stream->host->tcp->connections;
    timeline_remove(&world->timeline, &stream->due);
    table_remove(connections, table_find(connections, &stream->local, &stream->remote));
    streams->at[stream->number] = NULL;
    streams->free[streams->free_count++] = stream->number;
    stream_free(stream);
}

void streams_fini(struct world *world)
{
    for (uint32_t i = 1; i <= world->streams.count; i++)
        if (world->streams.at[i])
            stream_free(world->streams.at[i]);
    free(world->streams.at);
    free(world->streams.free);
}

static struct stream *stream_of(const struct host *host, uint32_t number)
{
    const struct streams *streams = &host->place.world->streams;
    struct stream *stream = number > 0 && number <= streams->count ? streams->at[number] : NULL;
    return stream && stream->host == host && !stream->deaf ? stream : NULL;
}

static struct stream *stream_find(const struct host *host, const struct addr *local,
                                  const struct addr *remote)
{
    if (!host->tcp)
        return NULL;
    uint32_t entry = table_find(&host->tcp->connections, local, remote);
    return entry ? host->place.world->streams.at[table_at(&host->tcp->connections, entry)->value]
                 : NULL;
}

// ---------------------------------------------------------------------------------------- sending

static void send_segment(struct world *world, struct host *host, const struct addr *from,
                         const struct addr *to, const struct tcp_segment *segment)
{
    struct interface *interface = host_interface(host, &from->ip);
    world->counters.sent++;
    host->place.counters.sent++;
    struct packet *packet = packet_new_tcp(&world->packets, from, to, segment);
    capture_packet(world, host->capture, packet);
    if (host_interface(host, &to->ip))
        world_park(world, host, packet);
    else
        world_carry(world, &interface->up, packet);
}

static bool is_gone(const struct stream *stream)
{
    return stream->tcp.state == TCP_CLOSED && (stream->deaf || !tcp_has_news(&stream->tcp)) &&
           !stream->tcp.reset_due && !stream->is_ready;
}

static void trace_stream(const struct stream *stream, const char *what)
{
    const struct place *place = &stream->host->place;
    char local[ADDR_TEXT_MAX], remote[ADDR_TEXT_MAX];
    trace(&place->trace, place->world->now, "tcp %s > %s: %s", addr_print(&stream->local, local),
          addr_print(&stream->remote, remote), what);
}

// Nobody hears it any more: what comes is taken and forgotten.
static void hear_nothing(struct stream *stream)
{
    struct bytes bytes;
    while (tcp_news(&stream->tcp, &bytes) != TCP_NO_NEWS)
        continue;
}

// After anything that happened to it: when it acts next, and whether there is news.
static void settle(struct world *world, struct stream *stream)
{
    struct streams *streams = &world->streams;
    if (stream->deaf)
        hear_nothing(stream);
    if (!stream->deaf && !stream->is_ready && tcp_has_news(&stream->tcp)) {
        stream->is_ready = true;
        stream->next = NULL;
        if (streams->last)
            streams->last->next = stream;
        else
            streams->first = stream;
        streams->last = stream;
    }
    if (is_gone(stream)) {
        stream_remove(world, stream);
        return;
    }
    nanotime at = tcp_deadline(&stream->tcp);
    if (at == TIME_NEVER) {
        timeline_remove(&world->timeline, &stream->due);
        return;
    }
    at = time_max(at, world->now);
    if (timeline_time(&world->timeline, &stream->due) != at)
        timeline_set(&world->timeline, &stream->due, at, world_seq(world));
}

void stream_step(struct world *world, struct stream *stream)
{
    struct tcp_segment segment;
    unsigned timeouts = stream->tcp.timeouts;
    timeline_remove(&world->timeline, &stream->due);
    while (tcp_poll(&stream->tcp, world->now, &segment))
        send_segment(world, stream->host, &stream->local, &stream->remote, &segment);
    if (stream->tcp.timeouts > timeouts)
        trace_stream(stream, "not acknowledged in time, sent again");
    settle(world, stream);
}

// -------------------------------------------------------------------------------------- receiving

static struct tcp_config config_of(struct host *host, const struct addr *local)
{
    struct host_tcp *tcp = tcp_of(host);
    uint32_t headers = local->ip.family == IP_V6 ? 60 : 40;
    uint32_t mtu = host_interface(host, &local->ip)->up.mtu;
    uint32_t mss = mtu > headers + 1 ? mtu - headers : 1;
    return (struct tcp_config){.iss = rng_u32(&tcp->rng),
                               .mss = (uint16_t)(mss < MSS_MAX ? mss : MSS_MAX)};
}

static struct stream *incoming(struct world *world, struct host *host, const struct packet *packet,
                               const struct tcp_segment *syn)
{
    bool is_syn = (syn->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
    if (!is_syn || !host->tcp || !table_find(&host->tcp->listeners, &packet->to, &no_addr))
        return NULL;
    struct stream *stream = stream_add(world, host, &packet->to, &packet->from);
    if (!stream)
        return NULL;
    struct tcp_config config = config_of(host, &stream->local);
    tcp_accept(&stream->tcp, &config, world->now, syn);
    stream->incoming = true;
    return stream;
}

// RFC 9293 3.10.7.1. The answer waits for a step of its own, as all that a host sends does.
static void refuse(struct world *world, struct host *host, const struct addr *from,
                   const struct addr *to, const struct tcp_segment *segment)
{
    struct tcp_segment rst;
    bool was_stepping = world->is_stepping;
    if (!tcp_segment_refuse(segment, &rst))
        return;
    world->is_stepping = false;
    send_segment(world, host, from, to, &rst);
    world->is_stepping = was_stepping;
}

void stream_receive(struct world *world, struct host *host, struct packet *packet)
{
    struct tcp_segment segment;
    struct addr local = packet->to, remote = packet->from;
    struct stream *stream = stream_find(host, &local, &remote);
    bool good = tcp_segment_decode(packet_transport(packet), &segment);
    assert(good); // packet_parse and packet_new_tcp make no others
    bool is_new_syn = (segment.flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
    if (stream && stream->tcp.state == TCP_TIME_WAIT && is_new_syn && !stream->is_ready) {
        stream_remove(world, stream); // RFC 9293 3.10.7.4: the same ports once more
        stream = NULL;
    }
    if (!stream)
        stream = incoming(world, host, packet, &segment);
    else if (!tcp_input(&stream->tcp, world->now, &segment))
        refuse(world, host, &local, &remote, &segment);
    if (stream) {
        host->place.counters.delivered++;
        world->counters.delivered++;
        settle(world, stream);
        packet_free(&world->packets, packet);
        return;
    }
    refuse(world, host, &local, &remote, &segment);
    world_drop(world, &host->place, packet, NET_NO_SOCKET);
}

// ------------------------------------------------------------------------------------------- news

static void event_of(struct stream *stream, enum tcp_news news, struct bytes bytes,
                     struct world_event *out)
{
    *out = (struct world_event){.kind = WORLD_STREAM,
                                .host = stream->host,
                                .packet = bytes,
                                .stream = stream->number,
                                .stream_event = WORLD_STREAM_BYTES};
    if (news == TCP_OPENED)
        out->stream_event = WORLD_STREAM_OPENED;
    if (news == TCP_ENDED)
        out->stream_event = stream->tcp.opened ? WORLD_STREAM_CLOSED : WORLD_STREAM_REFUSED;
    if (news == TCP_OPENED)
        trace_stream(stream, "open");
    if (news == TCP_ENDED)
        trace_stream(stream, tcp_end_name(stream->tcp.end));
}

bool stream_news(struct world *world, struct world_event *out)
{
    struct streams *streams = &world->streams;
    while (streams->first) {
        struct stream *stream = streams->first;
        struct bytes bytes;
        enum tcp_news news = stream->deaf ? TCP_NO_NEWS : tcp_news(&stream->tcp, &bytes);
        // A handshake that failed at the server is no news to who never heard of it.
        bool secret = news == TCP_ENDED && stream->incoming && !stream->tcp.opened;
        if (news != TCP_NO_NEWS && !secret) {
            event_of(stream, news, bytes, out);
            return true;
        }
        streams->first = stream->next;
        if (!streams->first)
            streams->last = NULL;
        stream->is_ready = false;
        settle(world, stream);
    }
    return false;
}

// --------------------------------------------------------------------------------------- commands

bool host_listen(struct host *host, const struct addr *addr)
{
    struct host_tcp *tcp = tcp_of(host);
    if (addr->port == 0 || !host_interface(host, &addr->ip) ||
        table_find(&tcp->listeners, addr, &no_addr))
        return false;
    table_add(&tcp->listeners, addr, &no_addr, host->place.world->now);
    return true;
}

void host_unlisten(struct host *host, const struct addr *addr)
{
    uint32_t listener = host->tcp ? table_find(&host->tcp->listeners, addr, &no_addr) : 0;
    if (listener)
        table_remove(&host->tcp->listeners, listener);
}

// RFC 6056 3.3.1: a random start, and on from there.
static bool draw_port(struct host *host, struct addr *local, const struct addr *remote)
{
    uint32_t start = (uint32_t)rng_below(&tcp_of(host)->rng, PORT_DYNAMIC_COUNT);
    for (uint32_t i = 0; i < PORT_DYNAMIC_COUNT; i++) {
        local->port = (uint16_t)(PORT_DYNAMIC_MIN + (start + i) % PORT_DYNAMIC_COUNT);
        if (!stream_find(host, local, remote))
            return true;
    }
    return false;
}

uint32_t host_connect(struct host *host, const struct addr *from, const struct addr *to)
{
    struct world *world = host->place.world;
    struct addr local = *from;
    if (!host_interface(host, &from->ip) || from->ip.family != to->ip.family || to->port == 0)
        return 0;
    if (local.port ? stream_find(host, &local, to) != NULL : !draw_port(host, &local, to))
        return 0;
    struct stream *stream = stream_add(world, host, &local, to);
    if (!stream)
        return 0;
    struct tcp_config config = config_of(host, &local);
    tcp_connect(&stream->tcp, &config, world->now);
    settle(world, stream);
    return stream->number;
}

bool host_stream_send(struct host *host, uint32_t number, struct bytes bytes)
{
    struct stream *stream = stream_of(host, number);
    if (!stream || !tcp_send(&stream->tcp, bytes))
        return false;
    settle(host->place.world, stream);
    return true;
}

// It is not forgotten before the event that the caller may be looking at.
static void stop_hearing(struct world *world, struct stream *stream)
{
    stream->deaf = true;
    settle(world, stream);
}

void host_stream_close(struct host *host, uint32_t number)
{
    struct stream *stream = stream_of(host, number);
    if (!stream)
        return;
    tcp_close(&stream->tcp, host->place.world->now);
    stop_hearing(host->place.world, stream);
}

void host_stream_reset(struct host *host, uint32_t number)
{
    struct stream *stream = stream_of(host, number);
    if (!stream)
        return;
    tcp_abort(&stream->tcp);
    stop_hearing(host->place.world, stream);
}

struct addr host_stream_local(const struct host *host, uint32_t number)
{
    const struct stream *stream = stream_of(host, number);
    return stream ? stream->local : no_addr;
}

struct addr host_stream_remote(const struct host *host, uint32_t number)
{
    const struct stream *stream = stream_of(host, number);
    return stream ? stream->remote : no_addr;
}
