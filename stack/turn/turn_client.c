// A TURN client: one allocation, its permissions and channels, and the data through it.
#include "stack/turn/turn_client_priv.h"

#include "base/arena.h"

#include <assert.h>
#include <stdlib.h>

struct turn_client *turn_client_new(const struct turn_client_config *config)
{
    struct turn_client *client = mem_zero(1, sizeof *client);
    client->config = *config;
    client->config.username = client->config.password = NULL;
    client->auth =
        stun_auth_new_long_term(bytes_text(config->username), bytes_text(config->password));
    client->servers[client->servers_count++] = config->server;
    client->dont_fragment = config->dont_fragment;
    client->next_channel = TURN_CHANNEL_MIN;
    client->wake_at = client->expires_at = client->refresh_at = TIME_NEVER;
    return client;
}

void turn_client_free(struct turn_client *client)
{
    if (!client)
        return;
    for (unsigned i = 0; i < TURN_REQUESTS_MAX; i++)
        free(client->requests[i].message);
    for (unsigned i = 0; i < client->peers_count; i++)
        free(client->peers[i].waiting);
    stun_auth_free(client->auth);
    turn_queue_fini(&client->queue);
    free(client);
}

// ------------------------------------------------------------------------------------------ state

static const char *state_name(enum turn_client_state state)
{
    switch (state) {
    case TURN_IDLE:
        return "idle";
    case TURN_ALLOCATING:
        return "allocating";
    case TURN_ALLOCATED:
        return "allocated";
    case TURN_FAILED:
        return "failed";
    case TURN_RELEASED:
        return "released";
    }
    return "?";
}

static bool is_over(const struct turn_client *client)
{
    return client->state == TURN_FAILED || client->state == TURN_RELEASED;
}

void turn_client_set_state(struct turn_client *client, nanotime now, enum turn_client_state state)
{
    client->state = state;
    client->state_changed = true;
    client->stale = true;
    client->wake_at = now;
    trace(&client->config.trace, now, "turn %s", state_name(state));
    if (is_over(client))
        turn_request_end_all(client);
}

void turn_client_fail(struct turn_client *client, nanotime now, unsigned code, struct bytes reason)
{
    client->failure = code;
    bytes_copy_text(reason, client->reason, sizeof client->reason);
    trace(&client->config.trace, now, "turn failure: %u %s", code, client->reason);
    turn_client_set_state(client, now, TURN_FAILED);
}

// --------------------------------------------------------------------------- permissions and peers

#define FULL TURN_CLIENT_PEERS_MAX

static unsigned permission_find(const struct turn_client *client, const struct ip *ip)
{
    unsigned i = 0;
    while (i < client->permissions_count && !ip_equal(&client->permissions[i].ip, ip))
        i++;
    return i < client->permissions_count ? i : FULL;
}

static unsigned permission_want(struct turn_client *client, nanotime now, const struct ip *ip)
{
    unsigned i = permission_find(client, ip);
    if (i == FULL) {
        if (client->permissions_count == TURN_CLIENT_PEERS_MAX)
            return FULL;
        i = client->permissions_count++;
        client->permissions[i] =
            (struct turn_permission){.ip = *ip, .grant = {.next_at = TIME_NEVER}};
    }
    struct turn_grant *grant = &client->permissions[i].grant;
    if (!turn_grant_holds(grant, now) && !grant->asking && !grant->refused)
        grant->next_at = now;
    grant->wanted = true;
    client->wake_at = time_min(client->wake_at, grant->next_at);
    client->stale = true;
    return i;
}

static struct turn_peer *peer_get(struct turn_client *client, const struct addr *addr)
{
    unsigned i = client->last_peer;
    if (i < client->peers_count && addr_equal(&client->peers[i].addr, addr))
        return &client->peers[i];
    for (i = 0; i < client->peers_count && !addr_equal(&client->peers[i].addr, addr);)
        i++;
    if (i == TURN_CLIENT_PEERS_MAX)
        return NULL;
    client->last_peer = i;
    if (i == client->peers_count) {
        client->peers_count++;
        client->peers[i] = (struct turn_peer){
            .addr = *addr,
            .permission = FULL,
            .channel = client->next_channel++, // never for another peer: RFC 8656 12
            .grant = {.next_at = TIME_NEVER},
        };
    }
    return &client->peers[i];
}

void turn_client_permit(struct turn_client *client, nanotime now, const struct ip *peer)
{
    client->now = now;
    if (is_over(client) || client->releasing)
        return;
    unsigned i = permission_find(client, peer);
    if (i != FULL)
        client->permissions[i].grant.refused = false; // asked for by name: try again
    permission_want(client, now, peer);
}

// ------------------------------------------------------------------------------------------- data

static bool send_channel_data(struct turn_client *client, const struct turn_peer *peer,
                              struct bytes data)
{
    struct turn_queue_slot *slot =
        turn_queue_push(&client->queue, TURN_SEND, TURN_CHANNEL_HEADER_LEN + data.len + 3);
    if (!slot)
        return false;
    struct writer w = writer_of(slot->at, slot->max);
    write_u16(&w, peer->channel);
    write_u16(&w, (uint16_t)data.len);
    write_bytes(&w, data);
    if (client->config.stream)
        write_zeros(&w, turn_channel_padding(data.len));
    slot->len = writer_bytes(&w).len;
    slot->from = client->config.local;
    slot->to = *turn_client_server(client);
    return true;
}

static bool send_indication(struct turn_client *client, const struct turn_peer *peer,
                            struct bytes data)
{
    struct turn_queue_slot *slot = turn_queue_push(&client->queue, TURN_SEND, data.len + 64);
    if (!slot)
        return false;
    uint8_t id[STUN_ID_LEN];
    rng_fill(&client->config.rng, id, sizeof id);
    struct stun_writer s = stun_begin(slot->at, slot->max, STUN_INDICATION, STUN_SEND, id);
    stun_add_xor_addr(&s, STUN_XOR_PEER_ADDRESS, &peer->addr);
    if (client->dont_fragment)
        stun_add_flag(&s, STUN_DONT_FRAGMENT);
    stun_add_bytes(&s, STUN_DATA_ATTR, data);
    slot->len = stun_end(&s).len;
    slot->from = client->config.local;
    slot->to = *turn_client_server(client);
    assert(slot->len > 0);
    return true;
}

static bool send_now(struct turn_client *client, nanotime now, struct turn_peer *peer,
                     struct bytes data)
{
    bool bound = turn_grant_holds(&peer->grant, now);
    bool sent = bound ? send_channel_data(client, peer, data) : send_indication(client, peer, data);
    if (!sent)
        return false;
    client->stats.data_sent++;
    client->wake_at = now;
    client->stale = true;
    struct turn_grant *grant = &peer->grant;
    if (client->config.channels && !bound && !grant->asking && !grant->refused)
        grant->next_at = now;
    return true;
}

bool turn_client_send(struct turn_client *client, nanotime now, const struct addr *addr,
                      struct bytes data)
{
    client->now = now;
    if (client->state != TURN_ALLOCATED || client->releasing || data.len > TURN_DATA_MAX ||
        addr->ip.family != client->relayed.ip.family)
        return false;
    struct turn_peer *peer = peer_get(client, addr);
    if (!peer)
        return false;
    struct turn_grant *grant =
        peer->permission != FULL ? &client->permissions[peer->permission].grant : NULL;
    if (!grant || !turn_grant_holds(grant, now)) {
        peer->permission = permission_want(client, now, &addr->ip);
        if (peer->permission == FULL)
            return false;
        grant = &client->permissions[peer->permission].grant;
        if (grant->refused && !turn_grant_holds(grant, now))
            return false;
    }
    if (turn_grant_holds(grant, now))
        return send_now(client, now, peer, data);
    peer->waiting = mem_grow(peer->waiting, data.len);
    if (data.len)
        memcpy(peer->waiting, data.at, data.len);
    peer->waiting_len = data.len;
    peer->is_waiting = true;
    return true;
}

void turn_client_flush(struct turn_client *client, nanotime now, unsigned permission)
{
    for (unsigned i = 0; i < client->peers_count; i++) {
        struct turn_peer *peer = &client->peers[i];
        if (!peer->is_waiting || peer->permission != permission)
            continue;
        peer->is_waiting = false;
        send_now(client, now, peer, bytes_of(peer->waiting, peer->waiting_len));
    }
}

static enum turn_drop deliver(struct turn_client *client, const struct addr *peer,
                              struct bytes data)
{
    // RFC 8656 11.4, 12.6: only from where we believe a permission to be. One that is being asked
    // for may stand at the server already.
    unsigned i = permission_find(client, &peer->ip);
    if (i == FULL)
        return TURN_NO_PERMISSION;
    const struct turn_grant *grant = &client->permissions[i].grant;
    if (!turn_grant_holds(grant, client->now) && !grant->asking)
        return TURN_NO_PERMISSION;
    struct turn_queue_slot *slot = turn_queue_push(&client->queue, TURN_DATA, data.len);
    if (!slot)
        return TURN_QUEUE_FULL;
    if (data.len)
        memcpy(slot->at, data.at, data.len);
    slot->len = data.len;
    slot->from = *peer;
    slot->to = client->relayed;
    client->stats.data_received++;
    return TURN_KEPT;
}

static enum turn_drop channel_data(struct turn_client *client, struct bytes datagram)
{
    uint16_t number;
    struct bytes data;
    if (!turn_channel_decode(datagram, &number, &data))
        return TURN_MALFORMED;
    unsigned i = (unsigned)number - TURN_CHANNEL_MIN; // numbers were given out in order
    if (i >= client->peers_count)
        return TURN_UNKNOWN_CHANNEL;
    // RFC 8656 12: data may come before the answer to ChannelBind does.
    const struct turn_peer *peer = &client->peers[i];
    if (!turn_grant_holds(&peer->grant, client->now) && !peer->grant.asking)
        return TURN_UNKNOWN_CHANNEL;
    return deliver(client, &peer->addr, data);
}

static enum turn_drop data_indication(struct turn_client *client, const struct stun_msg *msg)
{
    if (msg->method != STUN_DATA || msg->peers_count == 0 || msg->unknown_count)
        return TURN_MALFORMED;
    if (!stun_has(msg, STUN_DATA_ATTR)) // RFC 8656 11.6: an ICMP error; nobody here asks for it
        return stun_has(msg, STUN_ICMP) ? TURN_KEPT : TURN_MALFORMED;
    return deliver(client, &msg->peers[0], msg->data);
}

// -------------------------------------------------------------------------------------- the verbs

void turn_client_allocate(struct turn_client *client, nanotime now)
{
    assert(client->state == TURN_IDLE);
    client->now = now;
    turn_client_set_state(client, now, TURN_ALLOCATING);
    bool started = turn_request_start(client, now, TURN_WHAT_ALLOCATE, 0);
    assert(started);
}

void turn_client_refresh(struct turn_client *client, nanotime now)
{
    if (client->state != TURN_ALLOCATED || client->releasing || client->refreshing)
        return;
    client->refresh_at = now;
    client->wake_at = time_min(client->wake_at, now);
    client->stale = true;
}

void turn_client_disconnected(struct turn_client *client, nanotime now, const char *reason)
{
    client->now = now;
    if (!is_over(client))
        turn_client_fail(client, now, 0, bytes_text(reason));
}

void turn_client_release(struct turn_client *client, nanotime now)
{
    client->now = now;
    if (is_over(client) || client->releasing)
        return;
    if (client->state != TURN_ALLOCATED) {
        turn_client_set_state(client, now, TURN_RELEASED);
        return;
    }
    client->releasing = true;
    turn_request_end_all(client);
    turn_request_start(client, now, TURN_WHAT_RELEASE, 0);
}

static enum turn_drop input(struct turn_client *client, nanotime now,
                            const struct datagram *datagram)
{
    if (!addr_equal(&datagram->from, turn_client_server(client)) || is_over(client))
        return TURN_NOT_OURS;
    if (turn_is_channel_data(datagram->bytes, TURN_CHANNEL_MAX))
        return channel_data(client, datagram->bytes);
    struct stun_msg msg;
    enum stun_outcome outcome = stun_decode(datagram->bytes, &msg);
    if (outcome != STUN_OK)
        return outcome == STUN_NOT_STUN ? TURN_NOT_OURS : TURN_MALFORMED;
    if (stun_has(&msg, STUN_FINGERPRINT) && !stun_check_fingerprint(&msg))
        return TURN_MALFORMED;
    switch (msg.class) {
    case STUN_REQUEST:
        return TURN_NOT_OURS;
    case STUN_INDICATION:
        return data_indication(client, &msg);
    case STUN_SUCCESS:
    case STUN_ERROR:
        return turn_request_answer(client, now, &msg);
    }
    return TURN_MALFORMED;
}

enum turn_drop turn_client_input(struct turn_client *client, nanotime now,
                                 const struct datagram *datagram)
{
    client->now = now;
    enum turn_drop drop = input(client, now, datagram);
    char from[ADDR_TEXT_MAX];
    if (drop != TURN_KEPT)
        trace(&client->config.trace, now, "datagram from %s dropped: %s",
              addr_print(&datagram->from, from), turn_drop_name(drop));
    if (drop == TURN_KEPT || drop == TURN_BAD_INTEGRITY) // over TCP that ends a request
        client->wake_at = now;
    return drop;
}

static void start_grant(struct turn_client *client, nanotime now, struct turn_grant *grant,
                        enum turn_what what, unsigned target)
{
    if (grant->next_at > now || grant->asking)
        return;
    if (turn_request_start(client, now, what, target))
        grant->next_at = TIME_NEVER;
}

// Start what is due. With all request slots taken it waits for one.
static void start_due(struct turn_client *client, nanotime now)
{
    if (client->state != TURN_ALLOCATED || client->releasing)
        return;
    if (client->expires_at <= now) {
        turn_client_fail(client, now, 0, bytes_text("the allocation expired"));
        return;
    }
    if (client->refresh_at <= now && !client->refreshing &&
        turn_request_start(client, now, TURN_WHAT_REFRESH, 0))
        client->refresh_at = TIME_NEVER;
    for (unsigned i = 0; i < client->permissions_count; i++)
        start_grant(client, now, &client->permissions[i].grant, TURN_WHAT_PERMISSION, i);
    for (unsigned i = 0; i < client->peers_count; i++)
        start_grant(client, now, &client->peers[i].grant, TURN_WHAT_CHANNEL, i);
}

static nanotime next_due(const struct turn_client *client)
{
    nanotime at = TIME_NEVER;
    bool slot_free = false;
    for (unsigned i = 0; i < TURN_REQUESTS_MAX; i++) {
        if (client->requests[i].active)
            at = time_min(at, client->requests[i].rto.next_at);
        else
            slot_free = true;
    }
    if (client->state != TURN_ALLOCATED || client->releasing)
        return at;
    at = time_min(at, client->expires_at);
    if (!slot_free)
        return at;
    at = time_min(at, client->refresh_at);
    for (unsigned i = 0; i < client->permissions_count; i++)
        at = time_min(at, client->permissions[i].grant.next_at);
    for (unsigned i = 0; i < client->peers_count; i++)
        at = time_min(at, client->peers[i].grant.next_at);
    return at;
}

// The next request that is due to be sent.
static bool poll_request(struct turn_client *client, nanotime now, struct turn_output *out)
{
    for (unsigned i = 0; i < TURN_REQUESTS_MAX; i++) {
        struct turn_request *request = &client->requests[i];
        enum stun_rto_due due = request->active ? stun_rto_poll(&request->rto, now) : STUN_RTO_WAIT;
        if (due == STUN_RTO_GIVE_UP)
            turn_request_timeout(client, now, request);
        if (due != STUN_RTO_SEND)
            continue;
        client->stale = true;
        if (request->message_len == 0)
            continue;
        client->stats.retransmissions += request->rto.sent > 1;
        if (client->config.stream) { // RFC 8489 6.2.2: sent once, given up after Ti
            request->rto.sent = STUN_RC;
            request->rto.next_at = time_add(now, TURN_STREAM_TI);
        }
        *out = (struct turn_output){
            .kind = TURN_SEND,
            .datagram = {client->config.local, *turn_client_server(client),
                         bytes_of(request->message, request->message_len)},
        };
        return true;
    }
    return false;
}

static bool poll_queue(struct turn_client *client, struct turn_output *out)
{
    const struct turn_queue_slot *slot = turn_queue_pop(&client->queue);
    if (!slot)
        return false;
    *out = (struct turn_output){
        .kind = (enum turn_output_kind)slot->kind,
        .datagram = {slot->from, slot->to, bytes_of(slot->at, slot->len)},
    };
    return true;
}

bool turn_client_poll(struct turn_client *client, nanotime now, struct turn_output *out)
{
    client->now = now;
    if (client->wake_at > now)
        return false;
    for (;;) {
        if (client->state_changed) {
            client->state_changed = false;
            *out = (struct turn_output){.kind = TURN_STATE_CHANGED};
            return true;
        }
        if (poll_queue(client, out))
            return true;
        start_due(client, now);
        if (poll_request(client, now, out))
            return true;
        if (!client->state_changed)
            break;
    }
    if (client->stale || client->wake_at <= now) {
        client->wake_at = next_due(client);
        client->stale = false;
    }
    return false;
}

nanotime turn_client_deadline(const struct turn_client *client)
{
    return client->wake_at;
}

// -------------------------------------------------------------------------------------- questions

enum turn_client_state turn_client_state(const struct turn_client *client)
{
    return client->state;
}

struct addr turn_client_relayed(const struct turn_client *client)
{
    return client->relayed;
}

struct addr turn_client_mapped(const struct turn_client *client)
{
    return client->mapped;
}

unsigned turn_client_failure(const struct turn_client *client, struct bytes *reason)
{
    if (reason)
        *reason = bytes_text(client->reason);
    return client->failure;
}

struct turn_client_stats turn_client_stats(const struct turn_client *client)
{
    return client->stats;
}
