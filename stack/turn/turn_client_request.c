// The client's requests: how each is made, and what each answer means.
#include "stack/turn/turn_client_priv.h"

#include "base/arena.h"

#include <stdlib.h>

// RFC 8656 9, 12: a permission lasts 300 s and a channel 600 s; ask again a minute before.
#define PERMISSION_REFRESH (240 * TIME_S)
#define CHANNEL_REFRESH (540 * TIME_S)
#define ALLOCATION_MARGIN (60 * TIME_S) // RFC 8656 8: roughly 1 minute before it expires
#define SERVER_ERROR_PAUSE TIME_S       // RFC 8489 14.8: 500 is temporary

static const enum stun_method methods[] = {
    [TURN_WHAT_ALLOCATE] = STUN_ALLOCATE,    [TURN_WHAT_REFRESH] = STUN_REFRESH,
    [TURN_WHAT_RELEASE] = STUN_REFRESH,      [TURN_WHAT_PERMISSION] = STUN_CREATE_PERMISSION,
    [TURN_WHAT_CHANNEL] = STUN_CHANNEL_BIND,
};

static void add_lifetime(const struct turn_client *client, struct stun_writer *s)
{
    if (client->config.lifetime_s)
        stun_add_u32(s, STUN_LIFETIME, client->config.lifetime_s);
}

static void add_allocate(const struct turn_client *client, struct stun_writer *s)
{
    stun_add_u32(s, STUN_REQUESTED_TRANSPORT, (uint32_t)TURN_UDP << 24);
    add_lifetime(client, s);
    uint16_t family = (uint16_t)client->config.family;
    if (family == IP_NONE)
        family = turn_client_server(client)->ip.family;
    if (family == IP_V6) // RFC 8656 7.2: without it an IPv4 address is allocated
        stun_add_u32(s, STUN_REQUESTED_ADDRESS_FAMILY, 2u << 24);
    if (client->dont_fragment)
        stun_add_flag(s, STUN_DONT_FRAGMENT);
}

static void add_contents(const struct turn_client *client, const struct turn_request *request,
                         struct stun_writer *s)
{
    switch (request->what) {
    case TURN_WHAT_ALLOCATE:
        stun_add_bytes(s, STUN_SOFTWARE, bytes_text(TURN_SOFTWARE));
        add_allocate(client, s);
        return;
    case TURN_WHAT_REFRESH:
        stun_add_bytes(s, STUN_SOFTWARE, bytes_text(TURN_SOFTWARE));
        add_lifetime(client, s);
        return;
    case TURN_WHAT_RELEASE:
        stun_add_u32(s, STUN_LIFETIME, 0);
        return;
    case TURN_WHAT_PERMISSION: {
        struct addr peer = {.ip = client->permissions[request->target].ip};
        stun_add_xor_addr(s, STUN_XOR_PEER_ADDRESS, &peer);
        return;
    }
    case TURN_WHAT_CHANNEL: {
        const struct turn_peer *peer = &client->peers[request->target];
        stun_add_u32(s, STUN_CHANNEL_NUMBER, (uint32_t)peer->channel << 16);
        stun_add_xor_addr(s, STUN_XOR_PEER_ADDRESS, &peer->addr);
        return;
    }
    }
}

// Make the message, with a new transaction ID and what the credentials say now. First sent at `at`.
static void make(struct turn_client *client, nanotime at, struct turn_request *request)
{
    uint8_t buffer[STUN_MESSAGE_MAX];
    rng_fill(&client->config.rng, request->id, sizeof request->id);
    struct stun_writer s = stun_begin(buffer, sizeof buffer, STUN_REQUEST,
                                      (uint16_t)methods[request->what], request->id);
    add_contents(client, request, &s);
    request->forged = false;
    request->authenticated = stun_auth_is_ready(client->auth);
    stun_auth_add(client->auth, &s);
    struct bytes message = stun_end(&s);
    request->message = mem_grow(request->message, message.len);
    if (message.len)
        memcpy(request->message, message.at, message.len);
    request->message_len = message.len; // 0, when realm and nonce are too long: never answered
    request->rto = stun_rto_start(at, STUN_RTO_MS * TIME_MS);
    client->wake_at = time_min(client->wake_at, at);
    client->stale = true;
}

static struct turn_grant *grant_of(struct turn_client *client, const struct turn_request *request)
{
    if (request->what == TURN_WHAT_PERMISSION)
        return &client->permissions[request->target].grant;
    if (request->what == TURN_WHAT_CHANNEL)
        return &client->peers[request->target].grant;
    return NULL;
}

bool turn_request_start(struct turn_client *client, nanotime now, enum turn_what what,
                        unsigned target)
{
    struct turn_request *request = client->requests;
    while (request < client->requests + TURN_REQUESTS_MAX && request->active)
        request++;
    if (request == client->requests + TURN_REQUESTS_MAX)
        return false;
    uint8_t *memory = request->message;
    *request =
        (struct turn_request){.active = true, .what = what, .target = target, .message = memory};
    struct turn_grant *grant = grant_of(client, request);
    if (grant)
        grant->asking = true;
    if (what == TURN_WHAT_REFRESH)
        client->refreshing = true;
    client->stats.requests++;
    make(client, now, request);
    return true;
}

void turn_request_end(struct turn_client *client, struct turn_request *request)
{
    struct turn_grant *grant = grant_of(client, request);
    if (grant)
        grant->asking = false;
    if (request->what == TURN_WHAT_REFRESH)
        client->refreshing = false;
    request->active = false;
    client->stale = true;
}

void turn_request_end_all(struct turn_client *client)
{
    for (unsigned i = 0; i < TURN_REQUESTS_MAX; i++)
        if (client->requests[i].active)
            turn_request_end(client, &client->requests[i]);
}

// ---------------------------------------------------------------------------------------- success

static void set_lifetime(struct turn_client *client, nanotime now, uint32_t lifetime_s)
{
    nanotime lifetime = lifetime_s * TIME_S;
    nanotime wait = lifetime > 2 * ALLOCATION_MARGIN ? lifetime - ALLOCATION_MARGIN : lifetime / 2;
    client->expires_at = time_add(now, lifetime);
    client->refresh_at = time_add(now, wait);
}

static void allocated(struct turn_client *client, nanotime now, const struct stun_msg *msg)
{
    char relayed[ADDR_TEXT_MAX], mapped[ADDR_TEXT_MAX];
    client->relayed = msg->relayed;
    client->mapped = msg->mapped;
    set_lifetime(client, now, msg->lifetime_s);
    trace(&client->config.trace, now, "relayed address %s, mapped address %s, for %u s",
          addr_print(&client->relayed, relayed), addr_print(&client->mapped, mapped),
          msg->lifetime_s);
    turn_client_set_state(client, now, TURN_ALLOCATED);
}

static void grant_renew(struct turn_grant *grant, nanotime now, nanotime lifetime, nanotime refresh)
{
    grant->refused = false;
    grant->until = time_add(now, lifetime);
    grant->next_at = time_add(now, refresh);
}

static void granted(struct turn_client *client, nanotime now, const struct turn_request *request)
{
    unsigned permission = request->target;
    if (request->what == TURN_WHAT_CHANNEL) {
        struct turn_peer *peer = &client->peers[request->target];
        client->stats.channel_binds++;
        grant_renew(&peer->grant, now, TURN_CHANNEL_LIFETIME, CHANNEL_REFRESH);
        permission = peer->permission; // RFC 8656 12.3: that too is installed or refreshed
    } else {
        client->stats.permissions++;
    }
    grant_renew(&client->permissions[permission].grant, now, TURN_PERMISSION_LIFETIME,
                PERMISSION_REFRESH);
    turn_client_flush(client, now, permission);
}

static void succeeded(struct turn_client *client, nanotime now, struct turn_request *request,
                      const struct stun_msg *msg)
{
    turn_request_end(client, request);
    switch (request->what) {
    case TURN_WHAT_ALLOCATE:
        allocated(client, now, msg);
        return;
    case TURN_WHAT_REFRESH:
        client->stats.refreshes++;
        set_lifetime(client, now, msg->lifetime_s);
        return;
    case TURN_WHAT_RELEASE:
        turn_client_set_state(client, now, TURN_RELEASED);
        return;
    case TURN_WHAT_PERMISSION:
    case TURN_WHAT_CHANNEL:
        granted(client, now, request);
        return;
    }
}

// ----------------------------------------------------------------------------------------- errors

// RFC 8656 7.4: 420 for DONT-FRAGMENT, which then goes without.
static bool drop_dont_fragment(struct turn_client *client, const struct stun_msg *msg)
{
    struct reader r = reader_of(msg->unknown_attributes);
    bool listed = false;
    while (r.len > 0 && !r.failed)
        listed |= read_u16(&r) == STUN_DONT_FRAGMENT;
    if (!listed || !client->dont_fragment)
        return false;
    client->dont_fragment = false;
    return true;
}

// RFC 8489 10, 14.8: follow a signed ALTERNATE-SERVER, unless it leads to where we have been.
static bool follow(struct turn_client *client, nanotime now, const struct stun_msg *msg)
{
    const struct addr *to = &msg->alternate_server;
    if (!stun_auth_check(client->auth, msg) || !stun_has(msg, STUN_ALTERNATE_SERVER) ||
        to->ip.family != turn_client_server(client)->ip.family ||
        client->servers_count == TURN_SERVERS_MAX)
        return false;
    for (unsigned i = 0; i < client->servers_count; i++)
        if (addr_equal(&client->servers[i], to))
            return false;
    char text[ADDR_TEXT_MAX];
    trace(&client->config.trace, now, "redirected to %s", addr_print(to, text));
    client->servers[client->servers_count++] = *to;
    stun_auth_reset(client->auth);
    return true;
}

// The request may succeed yet: make it anew, with what the error taught us.
static bool retried(struct turn_client *client, nanotime now, struct turn_request *request,
                    const struct stun_msg *msg)
{
    nanotime at = now;
    switch (msg->error_code) {
    case STUN_STALE_NONCE:
        client->stats.stale_nonces++;
        if (++request->stale > TURN_STALE_MAX)
            return false;
        if (stun_auth_challenge(client->auth, msg) != STUN_AUTH_RETRY)
            return false;
        break;
    case STUN_UNAUTHENTICATED:
        if (stun_auth_challenge(client->auth, msg) != STUN_AUTH_RETRY)
            return false;
        break;
    case STUN_SERVER_ERROR:
        if (++request->server_errors > TURN_SERVER_ERRORS_MAX)
            return false;
        at = time_add(now, SERVER_ERROR_PAUSE);
        break;
    case STUN_UNKNOWN_ATTRIBUTE:
        if (request->what != TURN_WHAT_ALLOCATE || !drop_dont_fragment(client, msg))
            return false;
        break;
    case STUN_TRY_ALTERNATE:
        if (request->what != TURN_WHAT_ALLOCATE || !follow(client, now, msg))
            return false;
        break;
    default:
        return false;
    }
    client->stats.requests++;
    make(client, at, request);
    return true;
}

// There is no permission to wait for any more: one that is given later is for later datagrams.
static void forget_waiting(struct turn_client *client, const struct turn_request *request)
{
    for (unsigned i = 0; request->what == TURN_WHAT_PERMISSION && i < client->peers_count; i++)
        if (client->peers[i].permission == request->target)
            client->peers[i].is_waiting = false;
}

static void refused(struct turn_client *client, nanotime now, struct turn_request *request,
                    const struct stun_msg *msg)
{
    turn_request_end(client, request);
    // RFC 8656 5: 437 to anything but Allocate means that the allocation is no more.
    bool gone = msg->error_code == STUN_ALLOCATION_MISMATCH;
    if (request->what == TURN_WHAT_RELEASE) { // RFC 8656 8.3: as good as done
        turn_client_set_state(client, now, TURN_RELEASED);
        return;
    }
    struct turn_grant *grant = grant_of(client, request);
    if (!grant || gone) {
        turn_client_fail(client, now, msg->error_code, msg->error_reason);
        return;
    }
    grant->refused = true;
    grant->next_at = TIME_NEVER;
    forget_waiting(client, request);
    trace(&client->config.trace, now, "%s refused: %u",
          stun_method_name((uint16_t)methods[request->what]), msg->error_code);
}

void turn_request_timeout(struct turn_client *client, nanotime now, struct turn_request *request)
{
    // RFC 8489 9.2.5: with answers that did not count, it was no timeout.
    const char *why = request->forged ? "no answer with the right integrity" : "no answer";
    turn_request_end(client, request);
    struct turn_grant *grant = grant_of(client, request);
    trace(&client->config.trace, now, "%s: %s", stun_method_name((uint16_t)methods[request->what]),
          why);
    if (request->what == TURN_WHAT_RELEASE) {
        turn_client_set_state(client, now, TURN_RELEASED);
    } else if (!grant) {
        turn_client_fail(client, now, 0, bytes_text(why));
    } else {
        grant->next_at = TIME_NEVER; // the next datagram to that peer asks again
        forget_waiting(client, request);
    }
}

static bool is_complete(const struct turn_request *request, const struct stun_msg *msg)
{
    if (msg->class == STUN_ERROR)
        return msg->error_code != 0;
    if (request->what == TURN_WHAT_ALLOCATE) // RFC 8656 7.2
        return stun_has(msg, STUN_XOR_RELAYED_ADDRESS) && stun_has(msg, STUN_XOR_MAPPED_ADDRESS) &&
               stun_has(msg, STUN_LIFETIME);
    return request->what != TURN_WHAT_REFRESH || stun_has(msg, STUN_LIFETIME);
}

enum turn_drop turn_request_answer(struct turn_client *client, nanotime now,
                                   const struct stun_msg *msg)
{
    struct turn_request *request = client->requests, *end = request + TURN_REQUESTS_MAX;
    while (request < end && !(request->active && request->rto.sent &&
                              memcmp(request->id, msg->id, sizeof msg->id) == 0))
        request++;
    if (request == end)
        return TURN_UNKNOWN_TRANSACTION;
    if (msg->method != methods[request->what] || !is_complete(request, msg))
        return TURN_MALFORMED;
    enum stun_auth_verdict verdict = stun_auth_judge(client->auth, request->authenticated, msg);
    if (verdict != STUN_AUTH_COUNTS) {
        request->forged |= verdict == STUN_AUTH_FORGED;
        // RFC 8489 9.2.5: over TCP, where nothing is sent again, the transaction ends at once.
        if (client->config.stream && verdict == STUN_AUTH_FORGED)
            turn_request_timeout(client, now, request);
        return TURN_BAD_INTEGRITY;
    }
    struct stun_msg strange = *msg;
    if (msg->unknown_count) { // RFC 8489 6.3.3, 6.3.4: such an answer fails the transaction
        strange.class = STUN_ERROR;
        strange.error_code = STUN_UNKNOWN_ATTRIBUTE;
        strange.error_reason = bytes_text("unknown attribute in the answer");
        refused(client, now, request, &strange);
    } else if (msg->class == STUN_SUCCESS) {
        succeeded(client, now, request, msg);
    } else if (!retried(client, now, request, msg)) {
        refused(client, now, request, msg);
    }
    return TURN_KEPT;
}
