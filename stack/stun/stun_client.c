// One STUN Binding transaction over UDP.
#include "stack/stun/stun_client.h"

#include "base/arena.h"
#include "stack/stun/stun_auth.h"

#include <stdlib.h>

#define CHALLENGES_MAX 3 // 401, then 438 at most twice

struct stun_client {
    struct stun_client_config config; // its texts are not kept
    struct stun_auth *auth;           // NULL without credentials
    struct stun_rto rto;
    nanotime sent_at;
    uint8_t id[STUN_ID_LEN];
    uint8_t buffer[STUN_MESSAGE_MAX];
    struct bytes message;
    unsigned challenges;
    bool authenticated; // the request on its way carries credentials
    struct stun_client_result result;
};

static void request(struct stun_client *client, nanotime now)
{
    const struct stun_client_config *config = &client->config;
    rng_fill(&client->config.rng, client->id, sizeof client->id);
    struct stun_writer s =
        stun_begin(client->buffer, sizeof client->buffer, STUN_REQUEST, STUN_BINDING, client->id);
    // RFC 5780 7.2: bits A and B.
    uint32_t change = (config->change_ip ? 4u : 0u) | (config->change_port ? 2u : 0u);
    if (change)
        stun_add_u32(&s, STUN_CHANGE_REQUEST, change);
    if (config->response_port) // RFC 5780 7.5: the port, then two bytes of padding
        stun_add_u32(&s, STUN_RESPONSE_PORT, (uint32_t)config->response_port << 16);
    client->result.forged = false;
    client->authenticated = client->auth && stun_auth_is_ready(client->auth);
    if (client->authenticated)
        stun_auth_add(client->auth, &s);
    if (config->fingerprint)
        stun_add_fingerprint(&s);
    client->message = stun_end(&s);
    client->rto = stun_rto_start(now, config->rto ? config->rto : STUN_RTO_MS * TIME_MS);
}

struct stun_client *stun_client_new(const struct stun_client_config *config, nanotime now)
{
    struct stun_client *client = mem_zero(1, sizeof *client);
    client->config = *config;
    client->config.username = client->config.password = NULL;
    if (config->username && config->password) {
        struct bytes username = bytes_text(config->username);
        struct bytes password = bytes_text(config->password);
        client->auth = config->long_term ? stun_auth_new_long_term(username, password)
                                         : stun_auth_new_short_term(username, password);
    }
    request(client, now);
    return client;
}

void stun_client_free(struct stun_client *client)
{
    if (!client)
        return;
    stun_auth_free(client->auth);
    free(client);
}

static void finish(struct stun_client *client, enum stun_client_state state)
{
    client->result.state = state;
    client->result.sent = client->rto.sent;
    client->rto.next_at = TIME_NEVER;
}

static void answered(struct stun_client *client, nanotime now, const struct stun_msg *msg)
{
    struct stun_client_result *result = &client->result;
    result->round_trip = now - client->sent_at;
    if (msg->class == STUN_ERROR) {
        result->error_code = msg->error_code;
        finish(client, STUN_CLIENT_REFUSED);
        return;
    }
    result->mapped = msg->mapped;
    result->response_origin = msg->response_origin;
    result->other_address = msg->other_address;
    finish(client, STUN_CLIENT_ANSWERED);
}

bool stun_client_input(struct stun_client *client, nanotime now, const struct datagram *datagram)
{
    struct stun_msg msg;
    if (client->result.state != STUN_CLIENT_ASKING || !client->rto.sent ||
        stun_decode(datagram->bytes, &msg) != STUN_OK ||
        memcmp(msg.id, client->id, sizeof msg.id) != 0 || msg.method != STUN_BINDING)
        return false;
    if (msg.class != STUN_SUCCESS && msg.class != STUN_ERROR)
        return false;
    if (msg.class == STUN_ERROR && !msg.error_code)
        return false;
    if (stun_has(&msg, STUN_FINGERPRINT) && !stun_check_fingerprint(&msg))
        return false;
    // RFC 8489 6.3.3: the answer comes from where the request went, unless RFC 5780 moved it.
    bool moved = client->config.change_ip || client->config.change_port;
    if (!moved && !addr_equal(&datagram->from, &client->config.server))
        return false;
    enum stun_auth_verdict verdict = stun_auth_judge(client->auth, client->authenticated, &msg);
    if (verdict != STUN_AUTH_COUNTS) {
        client->result.forged |= verdict == STUN_AUTH_FORGED;
        return false;
    }

    client->result.from = datagram->from;
    bool challenge = msg.class == STUN_ERROR &&
                     (msg.error_code == STUN_UNAUTHENTICATED || msg.error_code == STUN_STALE_NONCE);
    if (challenge && client->auth && client->challenges < CHALLENGES_MAX &&
        stun_auth_challenge(client->auth, &msg) == STUN_AUTH_RETRY) {
        client->challenges++;
        request(client, now);
        return true;
    }
    if (msg.unknown_count) { // RFC 8489 6.3.3: what we do not understand fails the transaction
        msg.class = STUN_ERROR;
        msg.error_code = STUN_UNKNOWN_ATTRIBUTE;
    }
    answered(client, now, &msg);
    return true;
}

bool stun_client_poll(struct stun_client *client, nanotime now, struct datagram *out)
{
    if (client->result.state != STUN_CLIENT_ASKING)
        return false;
    switch (stun_rto_poll(&client->rto, now)) {
    case STUN_RTO_WAIT:
        return false;
    case STUN_RTO_GIVE_UP:
        finish(client, STUN_CLIENT_TIMED_OUT);
        return false;
    case STUN_RTO_SEND:
        break;
    }
    client->sent_at = now;
    *out = (struct datagram){client->config.local, client->config.server, client->message};
    return true;
}

nanotime stun_client_deadline(const struct stun_client *client)
{
    return client->result.state == STUN_CLIENT_ASKING ? client->rto.next_at : TIME_NEVER;
}

struct stun_client_result stun_client_result(const struct stun_client *client)
{
    return client->result;
}
