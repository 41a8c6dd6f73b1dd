// A TURN server's answers to Allocate, Refresh, CreatePermission and ChannelBind.
#include "stack/turn/turn_server_priv.h"

// One request on its way to an answer.
struct exchange {
    struct turn_server *server;
    nanotime now;
    const struct datagram *request;
    const struct stun_msg *msg;
    struct turn_login login;
    struct turn_allocation *allocation; // of this 5-tuple; NULL: none
};

static bool wants_software(const struct stun_msg *msg)
{
    return msg->method == STUN_ALLOCATE || msg->method == STUN_REFRESH; // RFC 8656 5: SHOULD
}

static struct stun_writer reply_begin(struct turn_server *server, enum stun_class class,
                                      const struct stun_msg *msg, struct turn_queue_slot **slot)
{
    *slot = turn_queue_push(&server->queue, TURN_SERVER_SEND, STUN_MESSAGE_MAX);
    struct stun_writer s = stun_begin((*slot)->at, (*slot)->max, class, msg->method, msg->id);
    if (wants_software(msg))
        stun_add_bytes(&s, STUN_SOFTWARE, bytes_text(TURN_SOFTWARE));
    return s;
}

static void reply_end(struct turn_server *server, const struct datagram *request,
                      const struct stun_msg *msg, const struct turn_login *login,
                      struct turn_queue_slot *slot, struct stun_writer *s)
{
    if (login->key && login->sha256)
        stun_add_integrity256(s, login->key);
    else if (login->key)
        stun_add_integrity(s, login->key);
    if (stun_has(msg, STUN_FINGERPRINT))
        stun_add_fingerprint(s);
    slot->len = stun_end(s).len;
    turn_server_address(server, slot, &request->from, server->speaking);
    slot->cancelled = slot->len == 0;
}

void turn_server_refuse(struct turn_server *server, nanotime now, const struct datagram *request,
                        const struct stun_msg *msg, const struct turn_login *login, unsigned code)
{
    char client[ADDR_TEXT_MAX];
    trace(&server->config.trace, now, "%s from %s refused: %u %s", stun_method_name(msg->method),
          addr_print(&request->from, client), code, stun_error_reason(code));
    server->stats.errors++;
    struct turn_queue_slot *slot;
    struct stun_writer s = reply_begin(server, STUN_ERROR, msg, &slot);
    stun_add_error(&s, code, bytes_text(stun_error_reason(code)));
    if (code == STUN_UNAUTHENTICATED || code == STUN_STALE_NONCE)
        turn_server_add_challenge(server, now, &request->from, &s);
    if (code == STUN_UNKNOWN_ATTRIBUTE)
        stun_add_unknown(&s, msg->unknown, msg->unknown_count);
    if (code == STUN_TRY_ALTERNATE)
        stun_add_addr(&s, STUN_ALTERNATE_SERVER, &server->config.alternate);
    reply_end(server, request, msg, login, slot, &s);
}

// --------------------------------------------------------------------------------------- Allocate

// RFC 8656 7.2, 8.2: at least the default, at most the maximum.
static uint32_t lifetime_of(const struct turn_server *server, const struct stun_msg *msg)
{
    const struct turn_server_config *config = &server->config;
    uint32_t lifetime = stun_has(msg, STUN_LIFETIME) ? msg->lifetime_s : 0;
    if (lifetime > config->lifetime_max_s)
        lifetime = config->lifetime_max_s;
    return lifetime > config->lifetime_default_s ? lifetime : config->lifetime_default_s;
}

static void allocate_reply(struct exchange *x, struct turn_allocation *allocation)
{
    struct turn_queue_slot *slot;
    allocation->reply_at = x->server->queue.end;
    struct stun_writer s = reply_begin(x->server, STUN_SUCCESS, x->msg, &slot);
    stun_add_xor_addr(&s, STUN_XOR_RELAYED_ADDRESS, &allocation->relay);
    stun_add_xor_addr(&s, STUN_XOR_MAPPED_ADDRESS, &x->request->from);
    stun_add_u32(&s, STUN_LIFETIME, (uint32_t)((allocation->expires_at - x->now) / TIME_S));
    if (allocation->token)
        stun_add_u64(&s, STUN_RESERVATION_TOKEN, allocation->token);
    if (stun_has(x->msg, STUN_ADDITIONAL_ADDRESS_FAMILY)) {
        // RFC 8656 7.2 (9): the relayed addresses have one family, so this is a partial success.
        const uint8_t family = x->server->config.relay_ip.family == IP_V6 ? 1 : 2;
        uint8_t value[4] = {family, 0, 4, STUN_ADDRESS_FAMILY_NOT_SUPPORTED % 100};
        stun_add_bytes(&s, STUN_ADDRESS_ERROR_CODE, bytes_of(value, sizeof value));
    }
    reply_end(x->server, x->request, x->msg, &x->login, slot, &s);
}

// RFC 8656 7.2 (3) to (9): what the request asks for can be given here.
static unsigned allocate_check(const struct exchange *x)
{
    const struct stun_msg *msg = x->msg;
    bool requested = stun_has(msg, STUN_REQUESTED_ADDRESS_FAMILY);
    bool additional = stun_has(msg, STUN_ADDITIONAL_ADDRESS_FAMILY);
    bool even = stun_has(msg, STUN_EVEN_PORT);
    if (!stun_has(msg, STUN_REQUESTED_TRANSPORT))
        return STUN_BAD_REQUEST;
    if (msg->transport != TURN_UDP)
        return STUN_UNSUPPORTED_TRANSPORT;
    if (stun_has(msg, STUN_RESERVATION_TOKEN) && (even || requested || additional))
        return STUN_BAD_REQUEST;
    if (requested && additional)
        return STUN_BAD_REQUEST;
    if (even && msg->even_port_reserve && additional)
        return STUN_BAD_REQUEST;
    if (additional && msg->additional_family != 2)
        return STUN_BAD_REQUEST;
    if (stun_has(msg, STUN_RESERVATION_TOKEN))
        return 0;
    unsigned family = requested ? msg->family : 1;
    if (family != (x->server->config.relay_ip.family == IP_V6 ? 2 : 1))
        return STUN_ADDRESS_FAMILY_NOT_SUPPORTED;
    return 0;
}

// RFC 8656 7.2 (10), (11), and the capacity: 0, or the code to refuse with.
static unsigned allocate_admit(const struct exchange *x)
{
    struct turn_server *server = x->server;
    if (turn_server_is_tunneled(&x->request->from.ip)) // RFC 8656 21.4
        return STUN_FORBIDDEN;
    if (!addr_is_none(&server->config.alternate))
        return STUN_TRY_ALTERNATE;
    unsigned quota = server->config.allocations_per_user_max;
    if (quota && x->login.account->live >= quota) {
        server->stats.quota_refusals++;
        return STUN_ALLOCATION_QUOTA_REACHED;
    }
    if (server->by_client.live == server->config.allocations_max)
        return STUN_INSUFFICIENT_CAPACITY;
    return 0;
}

static uint16_t allocate_port(struct exchange *x)
{
    struct turn_server *server = x->server;
    if (stun_has(x->msg, STUN_RESERVATION_TOKEN))
        return turn_ports_redeem(&server->ports, x->now, x->msg->reservation_token);
    bool even = stun_has(x->msg, STUN_EVEN_PORT);
    return turn_ports_pick(&server->ports, x->now, &server->config.rng, even,
                           even && x->msg->even_port_reserve);
}

static unsigned allocate(struct exchange *x)
{
    struct turn_server *server = x->server;
    if (x->allocation) {
        // RFC 8656 7.2: a retransmission gets the answer that it had.
        bool again = memcmp(x->allocation->id, x->msg->id, STUN_ID_LEN) == 0 &&
                     x->allocation->account == x->login.account;
        if (again)
            allocate_reply(x, x->allocation);
        return again ? 0 : STUN_ALLOCATION_MISMATCH;
    }
    unsigned code = allocate_check(x);
    if (!code)
        code = allocate_admit(x);
    if (code)
        return code;
    uint16_t port = allocate_port(x);
    if (!port)
        return STUN_INSUFFICIENT_CAPACITY;
    uint64_t token = 0;
    if (stun_has(x->msg, STUN_EVEN_PORT) && x->msg->even_port_reserve) {
        while (token == 0)
            token = rng_u64(&server->config.rng);
        if (!turn_ports_hold(&server->ports, x->now, (uint16_t)(port + 1), token))
            return STUN_INSUFFICIENT_CAPACITY;
    }
    nanotime lifetime = lifetime_of(server, x->msg) * TIME_S;
    struct turn_allocation *made =
        turn_server_add(server, x->now, &x->request->from, port, time_add(x->now, lifetime));
    if (!made)
        return STUN_INSUFFICIENT_CAPACITY;
    made->account = x->login.account;
    made->account->live++;
    made->login = x->login;
    made->token = token;
    made->has = x->msg->has;
    memcpy(made->id, x->msg->id, sizeof made->id);
    char client[ADDR_TEXT_MAX], relay[ADDR_TEXT_MAX];
    trace(&server->config.trace, x->now, "allocated %s for %s of %s",
          addr_print(&made->relay, relay), addr_print(&made->client, client), made->account->name);
    allocate_reply(x, made);
    return 0;
}

bool turn_server_allocate_again(struct turn_server *server, nanotime now,
                                struct turn_allocation *allocation)
{
    struct stun_msg msg = {.class = STUN_REQUEST, .method = STUN_ALLOCATE, .has = allocation->has};
    memcpy(msg.id, allocation->id, sizeof msg.id);
    struct datagram request = {allocation->client, server->config.listen, {0}};
    struct exchange x = {server, now, &request, &msg, allocation->login, allocation};
    // The port is the server's choice (RFC 8656 7.2), unless a reservation made it.
    bool reserved = allocation->token || stun_has(&msg, STUN_RESERVATION_TOKEN);
    bool again = !reserved && ++allocation->binds_failed < TURN_BINDS_MAX;
    uint16_t port = again ? allocate_port(&x) : 0;
    server->speaking = allocation->stream;
    if (port) {
        turn_server_move(server, allocation, port);
        allocate_reply(&x, allocation);
    } else {
        turn_server_refuse(server, now, &request, &msg, &allocation->login,
                           STUN_INSUFFICIENT_CAPACITY);
    }
    server->speaking = 0;
    return port != 0;
}

// ------------------------------------------------------------------------------ the other methods

static void succeed(struct exchange *x)
{
    struct turn_queue_slot *slot;
    struct stun_writer s = reply_begin(x->server, STUN_SUCCESS, x->msg, &slot);
    reply_end(x->server, x->request, x->msg, &x->login, slot, &s);
}

static bool is_our_family(const struct exchange *x, const struct ip *ip)
{
    return ip->family == x->allocation->relay.ip.family;
}

static unsigned refresh(struct exchange *x)
{
    struct turn_server *server = x->server;
    unsigned ours = x->allocation->relay.ip.family == IP_V6 ? 2 : 1;
    if (stun_has(x->msg, STUN_REQUESTED_ADDRESS_FAMILY) && x->msg->family != ours)
        return STUN_PEER_ADDRESS_FAMILY_MISMATCH; // RFC 8656 8.2
    bool release = stun_has(x->msg, STUN_LIFETIME) && x->msg->lifetime_s == 0;
    uint32_t lifetime = release ? 0 : lifetime_of(server, x->msg);
    if (release)
        turn_server_remove(server, x->now, x->allocation);
    else
        turn_server_extend(server, x->allocation, time_add(x->now, lifetime * TIME_S));
    server->stats.refreshes++;
    struct turn_queue_slot *slot;
    struct stun_writer s = reply_begin(server, STUN_SUCCESS, x->msg, &slot);
    stun_add_u32(&s, STUN_LIFETIME, lifetime);
    reply_end(server, x->request, x->msg, &x->login, slot, &s);
    return 0;
}

// A request that is refused changes nothing: is there room for a permission of each peer?
static bool has_room_for(const struct exchange *x, const struct addr *peers, unsigned count)
{
    struct turn_table *permissions = &x->allocation->permissions;
    uint32_t needed = 0;
    for (unsigned i = 0; i < count; i++) {
        struct addr key = {.ip = peers[i].ip};
        bool there = turn_table_find(permissions, &key, x->now);
        for (unsigned k = 0; k < i && !there; k++)
            there = ip_equal(&peers[k].ip, &key.ip);
        needed += !there;
    }
    return turn_table_has_room(permissions, needed, x->now);
}

static void install_permission(struct exchange *x, const struct ip *ip)
{
    struct addr key = {.ip = *ip}, none = {0};
    turn_table_put(&x->allocation->permissions, &key, &none, x->now, TURN_PERMISSION_LIFETIME);
}

static unsigned create_permission(struct exchange *x)
{
    const struct stun_msg *msg = x->msg;
    if (msg->peers_count == 0) // RFC 8656 10.2
        return STUN_BAD_REQUEST;
    if (msg->peers_lost)
        return STUN_INSUFFICIENT_CAPACITY;
    for (unsigned i = 0; i < msg->peers_count; i++) {
        if (!is_our_family(x, &msg->peers[i].ip))
            return STUN_PEER_ADDRESS_FAMILY_MISMATCH;
        if (turn_server_is_forbidden(x->server, &msg->peers[i].ip))
            return STUN_FORBIDDEN;
    }
    if (!has_room_for(x, msg->peers, msg->peers_count))
        return STUN_INSUFFICIENT_CAPACITY;
    for (unsigned i = 0; i < msg->peers_count; i++)
        install_permission(x, &msg->peers[i].ip);
    x->server->stats.permissions++;
    succeed(x);
    return 0;
}

static unsigned channel_bind(struct exchange *x)
{
    const struct stun_msg *msg = x->msg;
    // RFC 8656 12.2, in its order
    if (!stun_has(msg, STUN_CHANNEL_NUMBER) || msg->peers_count == 0 ||
        msg->channel < TURN_CHANNEL_MIN || msg->channel > x->server->channel_max)
        return STUN_BAD_REQUEST;
    struct turn_allocation *allocation = x->allocation;
    const struct addr *peer = &msg->peers[0];
    struct addr number = {.port = msg->channel};
    struct turn_entry *by_number = turn_table_find(&allocation->by_number, &number, x->now);
    struct turn_entry *by_peer = turn_table_find(&allocation->by_peer, peer, x->now);
    if ((by_number && !addr_equal(&by_number->value, peer)) ||
        (by_peer && by_peer->value.port != msg->channel))
        return STUN_BAD_REQUEST;
    if (!is_our_family(x, &peer->ip))
        return STUN_PEER_ADDRESS_FAMILY_MISMATCH;
    if (turn_server_is_forbidden(x->server, &peer->ip))
        return STUN_FORBIDDEN;
    // Both tables hold the same channels, so both have room or neither has.
    if (!turn_table_has_room(&allocation->by_number, !by_number, x->now) ||
        !has_room_for(x, peer, 1))
        return STUN_INSUFFICIENT_CAPACITY;
    turn_table_put(&allocation->by_number, &number, peer, x->now, TURN_CHANNEL_LIFETIME);
    turn_table_put(&allocation->by_peer, peer, &number, x->now, TURN_CHANNEL_LIFETIME);
    install_permission(x, &peer->ip);
    x->server->stats.channels++;
    succeed(x);
    return 0;
}

static bool is_known_method(uint16_t method)
{
    return method == STUN_ALLOCATE || method == STUN_REFRESH || method == STUN_CHANNEL_BIND ||
           method == STUN_CREATE_PERMISSION;
}

static unsigned process(struct exchange *x)
{
    struct turn_server *server = x->server;
    unsigned code = turn_server_authenticate(server, x->now, x->request, x->msg, &x->login);
    if (code)
        return code;
    if (x->msg->unknown_count) // RFC 8489 6.3.1
        return STUN_UNKNOWN_ATTRIBUTE;
    x->allocation = turn_server_find(server, x->now, &x->request->from);
    if (x->msg->method == STUN_ALLOCATE)
        return allocate(x);
    if (!x->allocation) // RFC 8656 5
        return STUN_ALLOCATION_MISMATCH;
    if (x->allocation->account != x->login.account)
        return STUN_WRONG_CREDENTIALS;
    if (x->msg->method == STUN_REFRESH)
        return refresh(x);
    if (x->msg->method == STUN_CREATE_PERMISSION)
        return create_permission(x);
    return channel_bind(x);
}

enum turn_drop turn_server_request(struct turn_server *server, nanotime now,
                                   const struct datagram *request, const struct stun_msg *msg)
{
    if (!is_known_method(msg->method))
        return TURN_NOT_OURS; // RFC 8489 6.3: an unknown method is discarded
    struct exchange x = {.server = server, .now = now, .request = request, .msg = msg};
    unsigned code = process(&x);
    if (code)
        turn_server_refuse(server, now, request, msg, &x.login, code);
    return TURN_KEPT;
}
