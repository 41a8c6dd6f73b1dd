// For tests: a TURN server, clients and one peer on a wire of 10 ms, in virtual time.
#ifndef STACK_TURN_TURN_WORLD_H
#define STACK_TURN_TURN_WORLD_H

#include "stack/turn/turn.h"

#include "base/clock.h"

#include <assert.h>
#include <stdlib.h>

#define WORLD_DELAY (10 * TIME_MS)
#define WORLD_CLIENTS_MAX 3
#define WORLD_WIRE_MAX 256
#define WORLD_SOCKETS_MAX 64

struct world_packet {
    bool busy;
    nanotime at;
    uint64_t order;
    struct addr from, to;
    uint8_t bytes[2048];
    size_t len;
};

struct world {
    nanotime now;
    struct turn_server *server;
    struct turn_client *clients[WORLD_CLIENTS_MAX];
    struct addr client_addrs[WORLD_CLIENTS_MAX];
    unsigned clients_count;
    struct addr listen, peer;
    struct world_packet wire[WORLD_WIRE_MAX];
    uint64_t order;
    // What the wire does.
    uint32_t loss, duplication, reordering; // per billion
    bool cut;                               // nothing arrives
    unsigned refuse_binds;                  // so many of the next sockets cannot be had
    unsigned binds_refused;
    struct rng rng;
    // What was seen.
    struct addr sockets[WORLD_SOCKETS_MAX]; // open relayed addresses
    unsigned sockets_count;
    struct addr peer_got_from;
    unsigned peer_got, client_got;
    struct text peer_text, client_text; // the data, a space after each
    unsigned requests_to_server, channel_data_to_server, channel_data_to_client;
    enum turn_drop client_drop, server_drop; // of the last input
    struct trace_log log;
};

static inline struct addr world_addr(const char *text)
{
    struct addr addr;
    bool ok = addr_parse(bytes_text(text), &addr);
    assert(ok);
    return addr;
}

static inline struct turn_server_config world_server_config(void)
{
    static const struct turn_user users[] = {{"user", "secret"}, {"other", "word"}};
    return (struct turn_server_config){
        .listen = world_addr("192.0.2.1:3478"),
        .relay_ip = world_addr("192.0.2.1:0").ip,
        .realm = "example.org",
        .users = users,
        .users_count = 2,
        .rng = rng_seed(1, "server"),
    };
}

static inline struct turn_client_config world_client_config(void)
{
    return (struct turn_client_config){
        .server = world_addr("192.0.2.1:3478"),
        .username = "user",
        .password = "secret",
        .channels = true,
    };
}

static inline void world_init(struct world *world, const struct turn_server_config *config)
{
    *world = (struct world){
        .listen = config->listen,
        .peer = world_addr("203.0.113.9:7000"),
        .rng = rng_seed(1, "wire"),
        .log = {.live_fd = -1},
    };
    struct turn_server_config with_trace = *config;
    with_trace.trace = trace_of(&world->log, "server");
    world->server = turn_server_new(&with_trace);
}

static inline void world_fini(struct world *world)
{
    for (unsigned i = 0; i < world->clients_count; i++)
        turn_client_free(world->clients[i]);
    turn_server_free(world->server);
    text_free(&world->peer_text);
    text_free(&world->client_text);
    text_free(&world->log.text);
}

static inline unsigned world_add_client(struct world *world,
                                        const struct turn_client_config *config)
{
    static const char *const names[WORLD_CLIENTS_MAX] = {"client", "second", "third"};
    unsigned i = world->clients_count++;
    assert(i < WORLD_CLIENTS_MAX);
    struct turn_client_config with_address = *config;
    with_address.local = world_addr("198.51.100.5:5000");
    with_address.local.port = (uint16_t)(5000 + i);
    with_address.trace = trace_of(&world->log, names[i]);
    with_address.rng = rng_seed(1, names[i]);
    world->client_addrs[i] = with_address.local;
    world->clients[i] = turn_client_new(&with_address);
    return i;
}

static inline void world_put(struct world *world, const struct datagram *datagram, nanotime at)
{
    unsigned i = 0;
    while (i < WORLD_WIRE_MAX && world->wire[i].busy)
        i++;
    assert(i < WORLD_WIRE_MAX && datagram->bytes.len <= sizeof world->wire[i].bytes);
    struct world_packet *packet = &world->wire[i];
    packet->busy = true;
    packet->at = at;
    packet->order = world->order++;
    packet->from = datagram->from;
    packet->to = datagram->to;
    packet->len = datagram->bytes.len;
    if (packet->len)
        memcpy(packet->bytes, datagram->bytes.at, packet->len);
}

// Put a datagram on the wire.
static inline void world_send(struct world *world, const struct addr *from, const struct addr *to,
                              struct bytes bytes)
{
    struct datagram datagram = {*from, *to, bytes};
    if (world->cut || rng_chance(&world->rng, world->loss))
        return;
    nanotime at = world->now + WORLD_DELAY;
    if (rng_chance(&world->rng, world->reordering))
        at += (nanotime)rng_below(&world->rng, 30) * TIME_MS;
    world_put(world, &datagram, at);
    if (rng_chance(&world->rng, world->duplication))
        world_put(world, &datagram, at + TIME_MS);
}

static inline bool world_has_socket(const struct world *world, const struct addr *relay)
{
    for (unsigned i = 0; i < world->sockets_count; i++)
        if (addr_equal(&world->sockets[i], relay))
            return true;
    return false;
}

static inline void world_server_output(struct world *world, const struct turn_server_output *out)
{
    switch (out->kind) {
    case TURN_SERVER_SEND:
        // Only from a socket that is open.
        assert(addr_equal(&out->datagram.from, &world->listen) ||
               world_has_socket(world, &out->datagram.from));
        world_send(world, &out->datagram.from, &out->datagram.to, out->datagram.bytes);
        return;
    case TURN_SERVER_BIND:
        if (world->refuse_binds > 0) {
            struct addr relay = out->relay;
            world->refuse_binds--;
            world->binds_refused++;
            turn_server_bind_failed(world->server, world->now, &relay);
            return;
        }
        assert(!world_has_socket(world, &out->relay));
        assert(world->sockets_count < WORLD_SOCKETS_MAX);
        world->sockets[world->sockets_count++] = out->relay;
        return;
    case TURN_SERVER_UNBIND:
        assert(world_has_socket(world, &out->relay));
        for (unsigned i = 0; i < world->sockets_count; i++)
            if (addr_equal(&world->sockets[i], &out->relay))
                world->sockets[i--] = world->sockets[--world->sockets_count];
        return;
    case TURN_SERVER_STREAM_SEND:
    case TURN_SERVER_STREAM_CLOSE:
        assert(false); // all clients here speak UDP
    }
}

static inline void world_poll(struct world *world)
{
    struct turn_output out;
    for (unsigned i = 0; i < world->clients_count; i++) {
        while (turn_client_poll(world->clients[i], world->now, &out)) {
            if (out.kind == TURN_SEND)
                world_send(world, &out.datagram.from, &out.datagram.to, out.datagram.bytes);
            if (out.kind == TURN_DATA) {
                world->client_got++;
                text_add(&world->client_text, out.datagram.bytes);
                text_put(&world->client_text, " ");
            }
        }
        assert(turn_client_deadline(world->clients[i]) > world->now);
    }
    struct turn_server_output served;
    while (turn_server_poll(world->server, world->now, &served))
        world_server_output(world, &served);
    assert(turn_server_deadline(world->server) > world->now);
}

static inline void world_arrive(struct world *world, const struct world_packet *packet)
{
    struct datagram datagram = {packet->from, packet->to, bytes_of(packet->bytes, packet->len)};
    bool channel = packet->len > 0 && packet->bytes[0] >= 0x40 && packet->bytes[0] <= 0x4f;
    if (addr_equal(&packet->to, &world->peer)) {
        world->peer_got++;
        world->peer_got_from = packet->from;
        text_add(&world->peer_text, datagram.bytes);
        text_put(&world->peer_text, " ");
        return;
    }
    for (unsigned i = 0; i < world->clients_count; i++)
        if (addr_equal(&packet->to, &world->client_addrs[i])) {
            world->channel_data_to_client += channel;
            world->client_drop = turn_client_input(world->clients[i], world->now, &datagram);
            return;
        }
    bool listening = addr_equal(&packet->to, &world->listen);
    if (!listening && !world_has_socket(world, &packet->to))
        return; // nobody is there
    world->channel_data_to_server += listening && channel;
    world->requests_to_server += listening && !channel;
    world->server_drop = turn_server_input(world->server, world->now, &datagram);
}

static inline nanotime world_next(const struct world *world, const struct world_packet **first)
{
    nanotime at = turn_server_deadline(world->server);
    for (unsigned i = 0; i < world->clients_count; i++)
        at = time_min(at, turn_client_deadline(world->clients[i]));
    *first = NULL;
    for (unsigned i = 0; i < WORLD_WIRE_MAX; i++) {
        const struct world_packet *packet = &world->wire[i];
        if (!packet->busy || packet->at > at)
            continue;
        if (*first && (*first)->at == packet->at && (*first)->order < packet->order)
            continue;
        at = packet->at;
        *first = packet;
    }
    return at;
}

static inline void world_run(struct world *world, nanotime until)
{
    world_poll(world);
    for (;;) {
        const struct world_packet *first;
        nanotime at = world_next(world, &first);
        if (at > until)
            break;
        world->now = time_max(at, world->now);
        if (first) {
            world_arrive(world, first);
            world->wire[first - world->wire].busy = false;
        }
        world_poll(world);
    }
    world->now = until;
}

static inline void world_for(struct world *world, nanotime span)
{
    world_run(world, world->now + span);
}

// Begin the client's allocation and see what becomes of it.
static inline enum turn_client_state world_allocate(struct world *world, unsigned client)
{
    turn_client_allocate(world->clients[client], world->now);
    world_for(world, TIME_S);
    return turn_client_state(world->clients[client]);
}

#endif
