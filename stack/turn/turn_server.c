// A TURN server: its table of allocations, their expiry, and the relaying of data.
#include "stack/turn/turn_server_priv.h"

#include "base/arena.h"

#include <assert.h>
#include <stdlib.h>

#define QUEUE_SPARE 4       // outputs that one input may make
#define CLIENT_BY_TCP 0x100 // in the family of a key: no family has this bit

static void draw_secret(struct turn_server *server)
{
    uint8_t secret[32];
    rng_fill(&server->config.rng, secret, sizeof secret);
    stun_key_free(server->secret);
    server->secret = stun_key_new(bytes_of(secret, sizeof secret));
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value ? value : otherwise;
}

struct turn_server *turn_server_new(const struct turn_server_config *given)
{
    struct turn_server *server = mem_zero(1, sizeof *server);
    struct turn_server_config *config = &server->config;
    *config = *given;
    config->lifetime_default_s = or_default(given->lifetime_default_s, 600);
    config->lifetime_max_s = or_default(given->lifetime_max_s, 3600);
    config->nonce_lifetime_s = or_default(given->nonce_lifetime_s, 3600);
    config->allocations_max = or_default(given->allocations_max, 4096);
    config->permissions_max = or_default(given->permissions_max, 256);
    config->channels_max = or_default(given->channels_max, 256);
    config->streams_max = or_default(given->streams_max, 1024);
    config->relay_port_min = (uint16_t)or_default(given->relay_port_min, 49152);
    config->relay_port_max = (uint16_t)or_default(given->relay_port_max, 65535);
    assert(config->relay_port_min <= config->relay_port_max);
    turn_users_init(&server->users, given);
    config->realm = NULL;
    config->users = NULL;

    server->stun = (struct stun_server_config){config->listen, config->other, TURN_SOFTWARE};
    bool shared = ip_equal(&config->listen.ip, &config->relay_ip);
    if (!config->stun_only)
        turn_ports_init(&server->ports, config->relay_port_min, config->relay_port_max,
                        shared ? config->listen.port : 0);
    server->by_client = turn_table_of(config->allocations_max);
    server->allocations_free = TURN_NONE;
    server->channel_max = given->rfc5766_channels ? TURN_CHANNEL_MAX_RFC5766 : TURN_CHANNEL_MAX;
    draw_secret(server);
    return server;
}

void turn_server_free(struct turn_server *server)
{
    if (!server)
        return;
    for (uint32_t i = 0; i < server->allocations_used; i++) {
        turn_table_fini(&server->allocations[i].permissions);
        turn_table_fini(&server->allocations[i].by_peer);
        turn_table_fini(&server->allocations[i].by_number);
    }
    for (unsigned i = 0; i < server->connections_room; i++)
        turn_stream_fini(&server->connections[i].framing);
    free(server->connections);
    free(server->allocations);
    free(server->heap);
    turn_table_fini(&server->by_client);
    turn_users_fini(&server->users);
    turn_ports_fini(&server->ports);
    stun_key_free(server->secret);
    turn_queue_fini(&server->queue);
    free(server);
}

// ------------------------------------------------------------------------------- the expiry heap

static bool expires_before(const struct turn_server *server, uint32_t a, uint32_t b)
{
    nanotime left = server->allocations[a].expires_at, right = server->allocations[b].expires_at;
    return left != right ? left < right : a < b;
}

static void heap_set(struct turn_server *server, uint32_t at, uint32_t slot)
{
    server->heap[at] = slot;
    server->allocations[slot].heap_at = at;
}

// Move what is at `at` to where it belongs.
static void heap_fix(struct turn_server *server, uint32_t at)
{
    uint32_t slot = server->heap[at];
    while (at > 0 && expires_before(server, slot, server->heap[(at - 1) / 2])) {
        heap_set(server, at, server->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= server->heap_len)
            break;
        if (child + 1 < server->heap_len &&
            expires_before(server, server->heap[child + 1], server->heap[child]))
            child++;
        if (!expires_before(server, server->heap[child], slot))
            break;
        heap_set(server, at, server->heap[child]);
        at = child;
    }
    heap_set(server, at, slot);
}

static void heap_remove(struct turn_server *server, uint32_t at)
{
    uint32_t last = server->heap[--server->heap_len];
    if (at == server->heap_len)
        return;
    heap_set(server, at, last);
    heap_fix(server, at);
}

// ------------------------------------------------------------------------------------ allocations

// A table maps addresses to addresses: a slot number travels in the bytes of one.
static struct addr slot_addr(uint32_t slot)
{
    struct addr addr = {0};
    put_u32(addr.ip.at, slot);
    return addr;
}

static uint32_t addr_slot(const struct addr *addr)
{
    return ip_v4_value(&addr->ip);
}

// RFC 8656 3.1: the same address by UDP and by TCP is two clients.
static struct addr client_key(const struct addr *client, unsigned stream)
{
    struct addr key = *client;
    if (stream)
        key.ip.family |= CLIENT_BY_TCP;
    return key;
}

static uint32_t slot_of(const struct turn_server *server, const struct turn_allocation *allocation)
{
    return (uint32_t)(allocation - server->allocations);
}

static void output_socket(struct turn_server *server, enum turn_server_output_kind kind,
                          const struct addr *relay)
{
    struct turn_queue_slot *slot = turn_queue_push(&server->queue, (int)kind, 0);
    assert(slot);
    slot->from = *relay;
}

static uint32_t slot_new(struct turn_server *server)
{
    if (server->allocations_free != TURN_NONE) {
        uint32_t slot = server->allocations_free;
        server->allocations_free = server->allocations[slot].heap_at;
        return slot;
    }
    if (server->allocations_used == server->allocations_room) {
        uint32_t room = server->allocations_room ? server->allocations_room * 2 : 8;
        server->allocations = mem_grow(server->allocations, room * sizeof *server->allocations);
        server->heap = mem_grow(server->heap, room * sizeof *server->heap);
        server->allocations_room = room;
    }
    uint32_t slot = server->allocations_used++;
    server->allocations[slot] = (struct turn_allocation){
        .permissions = turn_table_of(server->config.permissions_max),
        .by_peer = turn_table_of(server->config.channels_max),
        .by_number = turn_table_of(server->config.channels_max),
    };
    return slot;
}

struct turn_allocation *turn_server_add(struct turn_server *server, nanotime now,
                                        const struct addr *client, uint16_t port,
                                        nanotime expires_at)
{
    if (server->by_client.live == server->config.allocations_max)
        return NULL;
    uint32_t slot = slot_new(server);
    struct turn_allocation *allocation = &server->allocations[slot];
    allocation->client = *client;
    allocation->stream = server->speaking;
    allocation->relay = (struct addr){server->config.relay_ip, port};
    allocation->live = true;
    allocation->token = 0;
    allocation->binds_failed = 0;
    allocation->expires_at = expires_at;
    struct addr value = slot_addr(slot), key = client_key(client, server->speaking);
    turn_table_put(&server->by_client, &key, &value, now, TIME_NEVER);
    turn_ports_take(&server->ports, port, slot);
    server->heap[server->heap_len] = slot;
    heap_fix(server, server->heap_len++);
    server->stats.allocations++;
    server->stats.allocations_live++;
    output_socket(server, TURN_SERVER_BIND, &allocation->relay);
    return allocation;
}

void turn_server_extend(struct turn_server *server, struct turn_allocation *allocation,
                        nanotime expires_at)
{
    allocation->expires_at = expires_at;
    heap_fix(server, allocation->heap_at);
}

void turn_server_move(struct turn_server *server, struct turn_allocation *allocation, uint16_t port)
{
    turn_ports_free(&server->ports, allocation->relay.port);
    allocation->relay.port = port;
    turn_ports_take(&server->ports, port, slot_of(server, allocation));
    output_socket(server, TURN_SERVER_BIND, &allocation->relay);
}

void turn_server_remove(struct turn_server *server, nanotime now,
                        struct turn_allocation *allocation)
{
    char client[ADDR_TEXT_MAX];
    trace(&server->config.trace, now, "allocation of %s is gone",
          addr_print(&allocation->client, client));
    output_socket(server, TURN_SERVER_UNBIND, &allocation->relay);
    heap_remove(server, allocation->heap_at);
    struct addr key = client_key(&allocation->client, allocation->stream);
    turn_table_remove(&server->by_client, &key);
    turn_ports_free(&server->ports, allocation->relay.port);
    turn_table_fini(&allocation->permissions);
    turn_table_fini(&allocation->by_peer);
    turn_table_fini(&allocation->by_number);
    if (allocation->account)
        allocation->account->live--;
    allocation->account = NULL;
    allocation->live = false;
    allocation->heap_at = server->allocations_free;
    server->allocations_free = slot_of(server, allocation);
    server->stats.allocations_live--;
}

bool turn_server_has_room(const struct turn_server *server)
{
    return server->queue.end - server->queue.first <= TURN_QUEUE_MAX - QUEUE_SPARE;
}

// Remove what is due, as far as the queue has room for the news.
void turn_server_expire(struct turn_server *server, nanotime now)
{
    server->now = now;
    while (server->heap_len > 0 && turn_server_has_room(server)) {
        struct turn_allocation *next = &server->allocations[server->heap[0]];
        if (next->expires_at > now)
            return;
        turn_server_remove(server, now, next);
    }
}

struct turn_allocation *turn_server_find(struct turn_server *server, nanotime now,
                                         const struct addr *client)
{
    struct addr key = client_key(client, server->speaking);
    struct turn_entry *entry = turn_table_find(&server->by_client, &key, now);
    if (!entry)
        return NULL;
    struct turn_allocation *allocation = &server->allocations[addr_slot(&entry->value)];
    return allocation->expires_at > now ? allocation : NULL;
}

// ----------------------------------------------------------------------------------------- policy

static bool is_mapped_v4(const struct ip *ip)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return ip->family == IP_V6 && memcmp(ip->at, prefix, sizeof prefix) == 0;
}

bool turn_server_is_tunneled(const struct ip *ip)
{
    static const uint8_t teredo[4] = {0x20, 0x01}, six_to_four[2] = {0x20, 0x02};
    return ip->family == IP_V6 && (memcmp(ip->at, teredo, sizeof teredo) == 0 ||
                                   memcmp(ip->at, six_to_four, sizeof six_to_four) == 0);
}

bool turn_server_is_forbidden(const struct turn_server *server, const struct ip *peer)
{
    if (ip_is_link_local(peer) || ip_is_multicast(peer) || ip_is_unspecified(peer) ||
        turn_server_is_tunneled(peer))
        return true;
    if (peer->family == IP_V4 && ip_v4_value(peer) == UINT32_MAX)
        return true;
    return !server->config.allow_loopback_peers && (ip_is_loopback(peer) || is_mapped_v4(peer));
}

// --------------------------------------------------------------------------------------- relaying

static enum turn_drop to_peer(struct turn_server *server, nanotime now,
                              struct turn_allocation *allocation, const struct addr *peer,
                              struct bytes data, bool dont_fragment)
{
    struct addr key = {.ip = peer->ip};
    if (!turn_table_find(&allocation->permissions, &key, now))
        return TURN_NO_PERMISSION;
    struct turn_queue_slot *slot = turn_queue_push(&server->queue, TURN_SERVER_SEND, data.len);
    slot->from = allocation->relay;
    slot->to = *peer;
    slot->dont_fragment = dont_fragment;
    slot->len = data.len;
    if (data.len)
        memcpy(slot->at, data.at, data.len);
    server->stats.relayed_to_peers++;
    return TURN_KEPT;
}

static enum turn_drop channel_data(struct turn_server *server, nanotime now,
                                   const struct datagram *datagram)
{
    uint16_t number;
    struct bytes data;
    if (!turn_channel_decode(datagram->bytes, &number, &data))
        return TURN_MALFORMED;
    struct turn_allocation *allocation = turn_server_find(server, now, &datagram->from);
    if (!allocation)
        return TURN_NO_ALLOCATION;
    struct addr key = {.port = number};
    struct turn_entry *channel = turn_table_find(&allocation->by_number, &key, now);
    if (!channel)
        return TURN_UNKNOWN_CHANNEL;
    return to_peer(server, now, allocation, &channel->value, data, false);
}

static enum turn_drop send_indication(struct turn_server *server, nanotime now,
                                      const struct datagram *datagram, const struct stun_msg *msg)
{
    // RFC 8656 11.2: without both attributes, or with one that we do not know, it is discarded.
    if (msg->peers_count == 0 || !stun_has(msg, STUN_DATA_ATTR) || msg->unknown_count)
        return TURN_MALFORMED;
    struct turn_allocation *allocation = turn_server_find(server, now, &datagram->from);
    if (!allocation)
        return TURN_NO_ALLOCATION;
    return to_peer(server, now, allocation, &msg->peers[0], msg->data,
                   stun_has(msg, STUN_DONT_FRAGMENT));
}

// RFC 8656 11.3: a datagram came to a relayed address.
static enum turn_drop from_peer(struct turn_server *server, nanotime now,
                                const struct datagram *datagram)
{
    uint32_t slot = turn_ports_owner(&server->ports, datagram->to.port);
    if (slot == TURN_NONE || server->allocations[slot].expires_at <= now)
        return TURN_NO_ALLOCATION;
    struct turn_allocation *allocation = &server->allocations[slot];
    struct addr key = {.ip = datagram->from.ip};
    if (!turn_table_find(&allocation->permissions, &key, now))
        return TURN_NO_PERMISSION;
    struct bytes data = datagram->bytes;
    struct turn_entry *channel = turn_table_find(&allocation->by_peer, &datagram->from, now);
    struct turn_queue_slot *out = turn_queue_push(&server->queue, TURN_SERVER_SEND, data.len + 64);
    turn_server_address(server, out, &allocation->client, allocation->stream);
    if (channel) { // RFC 8656 12.5: MUST use it
        struct writer w = writer_of(out->at, out->max);
        write_u16(&w, channel->value.port);
        write_u16(&w, (uint16_t)data.len);
        write_bytes(&w, data);
        if (allocation->stream)
            write_zeros(&w, turn_channel_padding(data.len));
        out->len = writer_bytes(&w).len;
    } else {
        uint8_t id[STUN_ID_LEN];
        rng_fill(&server->config.rng, id, sizeof id);
        struct stun_writer s = stun_begin(out->at, out->max, STUN_INDICATION, STUN_DATA, id);
        stun_add_xor_addr(&s, STUN_XOR_PEER_ADDRESS, &datagram->from);
        stun_add_bytes(&s, STUN_DATA_ATTR, data);
        out->len = stun_end(&s).len;
    }
    if (out->len == 0 || out->len > TURN_DATAGRAM_MAX) {
        out->cancelled = true; // it does not fit a datagram with the header before it
        return TURN_MALFORMED;
    }
    server->stats.relayed_to_clients++;
    return TURN_KEPT;
}

// -------------------------------------------------------------------------------------- the verbs

// `msg` NULL: it was no STUN of these days, but may be of a client of RFC 3489.
static enum turn_drop binding(struct turn_server *server, const struct datagram *datagram,
                              const struct stun_msg *msg)
{
    struct turn_queue_slot *slot =
        turn_queue_push(&server->queue, TURN_SERVER_SEND, STUN_MESSAGE_MAX);
    struct datagram answer;
    bool answered =
        msg ? stun_server_answer(&server->stun, datagram, msg, slot->at, slot->max, &answer)
            : stun_server_answer_classic(&server->stun, datagram, slot->at, slot->max, &answer);
    if (!answered) {
        slot->cancelled = true;
        return msg ? TURN_MALFORMED : TURN_NOT_OURS;
    }
    turn_server_address(server, slot, &answer.to, server->speaking);
    slot->from = answer.from;
    slot->len = answer.bytes.len;
    server->stats.bindings++;
    if (answer.bytes.at[0] & 1 && answer.bytes.at[1] & 0x10)
        server->stats.errors++;
    return TURN_KEPT;
}

enum turn_drop turn_server_from_client(struct turn_server *server, nanotime now,
                                       const struct datagram *datagram)
{
    bool turn = !server->config.stun_only && addr_equal(&datagram->to, &server->config.listen);
    if (turn_is_channel_data(datagram->bytes, server->channel_max))
        return turn ? channel_data(server, now, datagram) : TURN_NOT_OURS;
    struct stun_msg msg;
    enum stun_outcome outcome = stun_decode(datagram->bytes, &msg);
    if (outcome == STUN_NOT_STUN)
        return binding(server, datagram, NULL);
    if (outcome != STUN_OK)
        return TURN_MALFORMED;
    if (stun_has(&msg, STUN_FINGERPRINT) && !stun_check_fingerprint(&msg))
        return TURN_MALFORMED;
    switch (msg.class) {
    case STUN_REQUEST:
        if (msg.method == STUN_BINDING)
            return binding(server, datagram, &msg);
        return turn ? turn_server_request(server, now, datagram, &msg) : TURN_NOT_OURS;
    case STUN_INDICATION:
        if (msg.method == STUN_BINDING)
            return TURN_KEPT; // a keepalive
        if (msg.method == STUN_SEND && turn)
            return send_indication(server, now, datagram, &msg);
        return TURN_NOT_OURS;
    case STUN_SUCCESS:
    case STUN_ERROR:
        break;
    }
    return TURN_UNKNOWN_TRANSACTION;
}

enum turn_drop turn_server_input(struct turn_server *server, nanotime now,
                                 const struct datagram *datagram)
{
    turn_server_expire(server, now);
    enum turn_drop drop = TURN_NOT_OURS;
    if (!turn_server_has_room(server))
        drop = TURN_QUEUE_FULL;
    else if (stun_server_is_listening(&server->stun, &datagram->to))
        drop = turn_server_from_client(server, now, datagram);
    else if (!server->config.stun_only && ip_equal(&datagram->to.ip, &server->config.relay_ip))
        drop = from_peer(server, now, datagram);
    char from[ADDR_TEXT_MAX];
    if (drop != TURN_KEPT)
        trace(&server->config.trace, now, "datagram from %s dropped: %s",
              addr_print(&datagram->from, from), turn_drop_name(drop));
    return drop;
}

bool turn_server_poll(struct turn_server *server, nanotime now, struct turn_server_output *out)
{
    turn_server_expire(server, now);
    const struct turn_queue_slot *slot = turn_queue_pop(&server->queue);
    if (!slot)
        return turn_server_poll_closing(server, out);
    *out = (struct turn_server_output){.kind = (enum turn_server_output_kind)slot->kind,
                                       .stream = slot->stream};
    if (slot->kind == TURN_SERVER_SEND || slot->kind == TURN_SERVER_STREAM_SEND) {
        out->datagram = (struct datagram){slot->from, slot->to, bytes_of(slot->at, slot->len)};
        out->dont_fragment = slot->dont_fragment;
    } else {
        out->relay = slot->from;
    }
    return true;
}

nanotime turn_server_deadline(const struct turn_server *server)
{
    if (server->queue.first < server->queue.end || server->closing)
        return server->now;
    return server->heap_len > 0 ? server->allocations[server->heap[0]].expires_at : TIME_NEVER;
}

void turn_server_bind_failed(struct turn_server *server, nanotime now, const struct addr *relay)
{
    server->now = now;
    uint32_t slot = turn_ports_owner(&server->ports, relay->port);
    if (slot == TURN_NONE || !ip_equal(&relay->ip, &server->config.relay_ip))
        return;
    struct turn_allocation *allocation = &server->allocations[slot];
    // The success is still waiting: take it back.
    if (allocation->reply_at >= server->queue.first && turn_server_has_room(server)) {
        turn_queue_cancel(&server->queue, allocation->reply_at);
        if (turn_server_allocate_again(server, now, allocation))
            return;
    }
    uint64_t at = server->queue.end;
    turn_server_remove(server, now, allocation);
    turn_queue_cancel(&server->queue, at); // there is no socket to close
}

void turn_server_reset(struct turn_server *server, nanotime now)
{
    server->now = now;
    server->queue.first = server->queue.end;
    turn_ports_forget(&server->ports);
    // Allocations that have expired are found no more; their sockets are closed one after another.
    for (uint32_t i = 0; i < server->heap_len; i++)
        server->allocations[server->heap[i]].expires_at = now;
    for (uint32_t i = server->heap_len; i-- > 0;)
        heap_fix(server, i);
    turn_server_close_all(server);
    draw_secret(server);
    trace(&server->config.trace, now, "server reset");
}

struct turn_server_stats turn_server_stats(const struct turn_server *server)
{
    return server->stats;
}
