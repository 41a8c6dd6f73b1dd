// Driving the actors: peers and servers get their datagrams, streams and wake-ups, and what they
// ask for is carried out.
#include "scenarios/runner/run/run_priv.h"

// Bytes of a stream that a server takes at a time: what they set off goes out before the next.
#define STREAM_PIECE_MAX 4096

static struct run_actor *actor_of(const struct host *host)
{
    return host_user(host);
}

const struct peer_stats *peer_stats_now(struct run_peer *peer)
{
    if (!peer->stats_fresh)
        peer->run->ops->stats(peer->peer, &peer->stats);
    peer->stats_fresh = true;
    return &peer->stats;
}

bool peer_is_relayed(struct run_peer *peer)
{
    const struct peer_stats *stats = peer_stats_now(peer);
    const struct ice_candidate *local = &stats->selected.local;
    if (!stats->has_selected)
        return false;
    bool own = addr_is_none(&local->base); // not told
    for (unsigned i = 0; i < peer->scenario->interfaces; i++)
        own |= ip_equal(&local->base.ip, &peer->scenario->ips[i]);
    return local->type == ICE_RELAY || !own;
}

static void peer_send(struct run *run, struct run_peer *peer, const struct datagram *datagram)
{
    invariants_at_send(run, peer, datagram);
    enum net_drop drop = host_send(peer->host, &datagram->from, &datagram->to, datagram->bytes);
    if (drop == NET_NO_SOCKET)
        invariant_break(run, INVARIANT_UNBOUND_SOURCE,
                        "%s sent from an address that it does not have", peer->scenario->name);
}

// A stream that cannot be opened is refused at once.
static void peer_stream_open(struct run *run, struct run_peer *peer, const struct peer_output *out)
{
    uint32_t stream = host_connect(peer->host, &out->datagram.from, &out->datagram.to);
    peer->streams[out->stream] = stream;
    if (!stream)
        run->ops->stream_event(peer->peer, run_now(run), out->stream, PEER_STREAM_REFUSED,
                               (struct bytes){0});
}

static void peer_stream_send(struct run *run, struct run_peer *peer, const struct peer_output *out)
{
    uint32_t stream = peer->streams[out->stream];
    if (!stream || !host_stream_send(peer->host, stream, out->bytes))
        trace(&run->trace, run_now(run), "%s: %zu bytes dropped: the stream is full or gone",
              peer->scenario->name, out->bytes.len);
}

static void peer_output(struct run *run, struct run_peer *peer, const struct peer_output *out)
{
    switch (out->kind) {
    case PEER_SEND:
        peer_send(run, peer, &out->datagram);
        break;
    case PEER_DESCRIPTION:
        signal_post(run, peer, false, out->answer, out->bytes);
        break;
    case PEER_CANDIDATE:
        signal_post(run, peer, true, false, out->bytes);
        break;
    case PEER_CHANGED:
        break;
    case PEER_CHANNEL_OPEN:
        traffic_opened(run, peer, out->channel);
        break;
    case PEER_MESSAGE:
        traffic_message(run, peer, out);
        break;
    case PEER_BUFFERED_LOW:
        traffic_writable(run, peer);
        break;
    case PEER_CHANNEL_CLOSED:
        traffic_channel_closed(run, peer, out->channel);
        break;
    case PEER_STREAM_OPEN:
        peer_stream_open(run, peer, out);
        break;
    case PEER_STREAM_SEND:
        peer_stream_send(run, peer, out);
        break;
    case PEER_STREAM_CLOSE:
        host_stream_close(peer->host, peer->streams[out->stream]);
        peer->streams[out->stream] = 0;
        break;
    case PEER_CLEAR:
        call_clear(run, peer, &out->datagram);
        break;
    case PEER_FRAME:
        call_frame(run, peer, out);
        break;
    case PEER_DIGIT:
        trace(&run->trace, run_now(run), "%s hears %c", peer->scenario->name, out->digit);
        break;
    }
}

void peer_pump(struct run *run, struct run_peer *peer)
{
    struct peer_output out;
    nanotime now = run_now(run);
    while (run->ops->poll(peer->peer, now, &out)) {
        peer_output(run, peer, &out);
        // A datagram is no news to an expectation: what it changes comes as another output.
        if (out.kind != PEER_SEND && out.kind != PEER_STREAM_SEND && out.kind != PEER_CLEAR)
            run->changed = true;
    }
    peer->stats_fresh = false;
    world_wake_at(run->world, peer_waker(peer->index), run->ops->deadline(peer->peer));
}

void server_pump(struct run *run, struct run_server *server)
{
    struct turn_server_output out;
    nanotime now = run_now(run);
    while (turn_server_poll(server->server, now, &out)) {
        switch (out.kind) {
        case TURN_SERVER_SEND:
            host_send(server->host, &out.datagram.from, &out.datagram.to, out.datagram.bytes);
            break;
        case TURN_SERVER_BIND:
            if (!host_bind(server->host, &out.relay))
                turn_server_bind_failed(server->server, now, &out.relay);
            break;
        case TURN_SERVER_UNBIND:
            host_unbind(server->host, &out.relay);
            break;
        case TURN_SERVER_STREAM_SEND:
            if (!host_stream_send(server->host, out.stream, out.datagram.bytes))
                trace(&run->trace, now, "%s: %zu bytes dropped: the stream is full or gone",
                      server->scenario->name, out.datagram.bytes.len);
            break;
        case TURN_SERVER_STREAM_CLOSE:
            host_stream_close(server->host, out.stream);
            break;
        }
    }
    world_wake_at(run->world, server_waker(run, server->index),
                  turn_server_deadline(server->server));
}

static void server_stream(struct run *run, struct run_server *server,
                          const struct world_event *event)
{
    nanotime now = run_now(run);
    struct bytes rest = event->packet;
    struct addr client;
    switch (event->stream_event) {
    case WORLD_STREAM_OPENED:
        client = host_stream_remote(server->host, event->stream);
        if (!turn_server_stream_open(server->server, now, event->stream, &client))
            host_stream_reset(server->host, event->stream);
        break;
    case WORLD_STREAM_BYTES:
        while (rest.len > 0) {
            size_t len = rest.len < STREAM_PIECE_MAX ? rest.len : STREAM_PIECE_MAX;
            turn_server_stream_input(server->server, now, event->stream, bytes_of(rest.at, len));
            server_pump(run, server);
            rest = bytes_from(rest, len);
        }
        break;
    case WORLD_STREAM_CLOSED:
    case WORLD_STREAM_REFUSED:
        turn_server_stream_closed(server->server, now, event->stream);
        host_stream_close(server->host, event->stream);
        break;
    }
    server_pump(run, server);
}

static void peer_stream(struct run *run, struct run_peer *peer, const struct world_event *event)
{
    static const enum peer_stream_event events[] = {
        [WORLD_STREAM_OPENED] = PEER_STREAM_OPENED,
        [WORLD_STREAM_BYTES] = PEER_STREAM_BYTES,
        [WORLD_STREAM_CLOSED] = PEER_STREAM_CLOSED,
        [WORLD_STREAM_REFUSED] = PEER_STREAM_REFUSED,
    };
    unsigned stream = 0;
    while (stream < PEER_STREAMS_MAX && peer->streams[stream] != event->stream)
        stream++;
    if (stream == PEER_STREAMS_MAX)
        return;
    if (event->stream_event == WORLD_STREAM_CLOSED || event->stream_event == WORLD_STREAM_REFUSED) {
        host_stream_close(peer->host, event->stream);
        peer->streams[stream] = 0;
    }
    run->ops->stream_event(peer->peer, run_now(run), stream, events[event->stream_event],
                           event->packet);
    peer_pump(run, peer);
}

void actor_input(struct run *run, const struct world_event *event)
{
    const struct run_actor *actor = actor_of(event->host);
    nanotime now = run_now(run);
    if (event->kind == WORLD_STREAM) {
        if (actor->is_server)
            server_stream(run, &run->servers[actor->index], event);
        else
            peer_stream(run, &run->peers[actor->index], event);
        return;
    }
    if (actor->is_server) {
        struct run_server *server = &run->servers[actor->index];
        turn_server_input(server->server, now, &event->datagram);
        server_pump(run, server);
        return;
    }
    struct run_peer *peer = &run->peers[actor->index];
    run->ops->input(peer->peer, now, &event->datagram);
    peer_pump(run, peer);
}

void actor_wake(struct run *run, unsigned waker)
{
    if (waker <= run->scenario->peers_count)
        peer_pump(run, &run->peers[waker - 1]);
    else if (run->servers[waker - 1 - run->scenario->peers_count].server)
        server_pump(run, &run->servers[waker - 1 - run->scenario->peers_count]);
}
