// Driving the actors: peers and servers get their datagrams and wake-ups, and what they ask for is
// carried out.
#include "scenarios/run_priv.h"

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

static void peer_send(struct run *run, struct run_peer *peer, const struct datagram *datagram)
{
    invariants_at_send(run, peer, datagram);
    enum net_drop drop = host_send(peer->host, &datagram->from, &datagram->to, datagram->bytes);
    if (drop == NET_NO_SOCKET)
        invariant_break(run, INVARIANT_UNBOUND_SOURCE,
                        "%s sent from an address that it does not have", peer->scenario->name);
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
    case PEER_STREAM_SEND:
    case PEER_STREAM_CLOSE:
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
        if (out.kind != PEER_SEND && out.kind != PEER_CLEAR)
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
        case TURN_SERVER_STREAM_CLOSE:
            break;
        }
    }
    world_wake_at(run->world, server_waker(run, server->index),
                  turn_server_deadline(server->server));
}

void actor_input(struct run *run, const struct world_event *event)
{
    const struct run_actor *actor = actor_of(event->host);
    nanotime now = run_now(run);
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
