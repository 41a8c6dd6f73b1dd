// The server's clients by TCP: their connections, and the messages in them.
#include "stack/turn/turn_server_priv.h"

#include "base/arena.h"

void turn_server_address(const struct turn_server *server, struct turn_queue_slot *slot,
                         const struct addr *client, unsigned stream)
{
    slot->from = server->config.listen;
    slot->to = *client;
    if (!stream)
        return;
    slot->kind = TURN_SERVER_STREAM_SEND;
    slot->stream = stream - 1;
}

static struct turn_connection *connection_at(struct turn_server *server, unsigned stream)
{
    if (stream >= server->connections_room)
        return NULL;
    struct turn_connection *connection = &server->connections[stream];
    return connection->open && !connection->closing ? connection : NULL;
}

static void connections_grow(struct turn_server *server, unsigned stream)
{
    unsigned room = server->connections_room ? server->connections_room : 8;
    while (room <= stream)
        room *= 2;
    if (room == server->connections_room)
        return;
    server->connections = mem_grow(server->connections, room * sizeof *server->connections);
    for (unsigned i = server->connections_room; i < room; i++)
        server->connections[i] = (struct turn_connection){0};
    server->connections_room = room;
}

bool turn_server_stream_open(struct turn_server *server, nanotime now, unsigned stream,
                             const struct addr *client)
{
    server->now = now;
    if (stream >= server->config.streams_max)
        return false;
    connections_grow(server, stream);
    struct turn_connection *connection = &server->connections[stream];
    if (connection->open)
        return false;
    *connection = (struct turn_connection){.open = true, .client = *client};
    turn_stream_init(&connection->framing, server->config.rfc5766_channels);
    server->stats.streams++;
    server->stats.streams_live++;
    return true;
}

static void forget(struct turn_server *server, nanotime now, unsigned stream)
{
    struct turn_connection *connection = &server->connections[stream];
    server->speaking = stream + 1;
    struct turn_allocation *allocation = turn_server_find(server, now, &connection->client);
    server->speaking = 0;
    // Without its 5-tuple nobody can refresh it or send by it. It expires now, which is when it is
    // removed: the queue may have no room for the news.
    if (allocation) {
        turn_server_extend(server, allocation, now);
        turn_server_expire(server, now);
    }
    turn_stream_fini(&connection->framing);
    server->stats.streams_live--;
}

void turn_server_stream_closed(struct turn_server *server, nanotime now, unsigned stream)
{
    server->now = now;
    struct turn_connection *connection = connection_at(server, stream);
    if (!connection)
        return;
    forget(server, now, stream);
    connection->open = false;
    // The next connection may have this number: what waits to be sent is not for its client.
    for (uint64_t at = server->queue.first; at < server->queue.end; at++) {
        const struct turn_queue_slot *slot = &server->queue.slots[at % TURN_QUEUE_MAX];
        if (slot->kind == TURN_SERVER_STREAM_SEND && slot->stream == stream)
            turn_queue_cancel(&server->queue, at);
    }
}

static void close_soon(struct turn_server *server, unsigned stream)
{
    server->connections[stream].closing = true;
    server->connections[stream].next_closing = server->closing;
    server->closing = stream + 1;
}

enum turn_drop turn_server_stream_input(struct turn_server *server, nanotime now, unsigned stream,
                                        struct bytes bytes)
{
    struct turn_connection *connection = connection_at(server, stream);
    turn_server_expire(server, now);
    if (!connection)
        return TURN_NOT_OURS;
    char from[ADDR_TEXT_MAX];
    enum turn_drop worst = TURN_KEPT;
    enum turn_stream_outcome outcome;
    struct datagram message = {.from = connection->client, .to = server->config.listen};
    turn_stream_input(&connection->framing, bytes);
    while ((outcome = turn_stream_next(&connection->framing, &message.bytes)) ==
           TURN_STREAM_MESSAGE) {
        enum turn_drop drop = TURN_QUEUE_FULL;
        server->speaking = stream + 1;
        if (turn_server_has_room(server))
            drop = turn_server_from_client(server, now, &message);
        server->speaking = 0;
        if (drop == TURN_KEPT)
            continue;
        worst = drop;
        trace(&server->config.trace, now, "message from %s by tcp dropped: %s",
              addr_print(&message.from, from), turn_drop_name(drop));
    }
    if (!turn_stream_is_bad(outcome))
        return worst;
    trace(&server->config.trace, now, "connection of %s closed: %s",
          addr_print(&message.from, from), turn_stream_outcome_name(outcome));
    forget(server, now, stream);
    close_soon(server, stream);
    server->stats.streams_broken++;
    return TURN_MALFORMED;
}

void turn_server_close_all(struct turn_server *server)
{
    for (unsigned i = server->connections_room; i-- > 0;) {
        struct turn_connection *connection = connection_at(server, i);
        if (!connection)
            continue;
        turn_stream_fini(&connection->framing);
        close_soon(server, i);
        server->stats.streams_live--;
    }
}

bool turn_server_poll_closing(struct turn_server *server, struct turn_server_output *out)
{
    if (!server->closing)
        return false;
    unsigned stream = server->closing - 1;
    server->closing = server->connections[stream].next_closing;
    server->connections[stream] = (struct turn_connection){0};
    *out = (struct turn_server_output){.kind = TURN_SERVER_STREAM_CLOSE, .stream = stream};
    return true;
}
