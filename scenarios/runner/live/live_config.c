#include "scenarios/runner/live/live_config.h"

#include "scenarios/runner/live/live_json.h"

#include <stdio.h>
#include <sys/random.h>

static json_t *server_json(const struct peer_server *server)
{
    char addr[ADDR_TEXT_MAX], url[ADDR_TEXT_MAX + 32];
    bool turn = server->kind == PEER_TURN;
    addr_print(&server->addr, addr);
    snprintf(url, sizeof url, turn ? "turn:%s?transport=%s" : "stun:%s", addr,
             server->transport == PEER_TCP ? "tcp" : "udp");
    json_t *object = json_object();
    json_object_set_new(object, "urls", json_string(url));
    if (turn) {
        json_object_set_new(object, "username", json_string(server->username));
        json_object_set_new(object, "credential", json_string(server->password));
    }
    return object;
}

// What only this stack has a use for: the rest of its config, and where its chance begins, so that
// it does in the live world what it does in the virtual one.
static json_t *own_json(const struct peer_config *c)
{
    json_t *own = json_object(), *locals = json_array(), *stream = json_array();
    char addr[ADDR_TEXT_MAX];
    for (unsigned i = 0; i < c->locals_count; i++)
        json_array_append_new(locals, json_string(addr_print(&c->locals[i], addr)));
    for (size_t i = 0; i < sizeof c->rng.s / sizeof c->rng.s[0]; i++) {
        snprintf(addr, sizeof addr, "%llu", (unsigned long long)c->rng.s[i]);
        json_array_append_new(stream, json_string(addr));
    }
    json_object_set_new(own, "locals", locals);
    json_object_set_new(own, "stream", stream);
    const struct {
        const char *name;
        json_int_t value;
    } numbers[] = {
        {"lite", c->ice_lite},
        {"ice-only", c->ice_only},
        {"force-role", c->force_role},
        {"role", c->role},
        {"setup", c->setup},
        {"identity", c->identity},
        {"wrong-fingerprint", c->wrong_fingerprint},
        {"polite", c->polite},
        {"mtu", (json_int_t)c->mtu},
        {"sctp-port", c->sctp_port},
        {"max-message-size", (json_int_t)c->max_message_size},
        {"ta", c->ice_ta},
        {"consent-interval", c->consent_interval},
        {"consent-timeout", c->consent_timeout},
        {"nomination-wait", c->nomination_wait},
        {"patience", c->patience},
        {"gather-timeout", c->gather_timeout},
        {"turn-lifetime", c->turn_lifetime_s},
        {"turn-channels", c->turn_channels},
        {"take-media", c->take_media},
        {"srtp-profiles", c->srtp_profiles},
        {"media-control", c->media_control},
        {"media-start", c->media_start_bps},
        {"media-min", c->media_min_bps},
        {"media-max", c->media_max_bps},
        {"media-fast", c->media_clock_ppb > 0 ? (json_int_t)c->media_clock_ppb : 0},
        {"media-slow", c->media_clock_ppb < 0 ? (json_int_t)-c->media_clock_ppb : 0},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        json_object_set_new(own, numbers[i].name, json_integer(numbers[i].value));
    snprintf(addr, sizeof addr, "%llu", (unsigned long long)c->tiebreaker);
    json_object_set_new(own, "tiebreaker", json_string(addr));
    return own;
}

void live_config_encode(json_t *init, const struct peer_config *config, bool own)
{
    json_t *servers = json_array();
    for (unsigned i = 0; i < config->servers_count; i++)
        json_array_append_new(servers, server_json(&config->servers[i]));
    json_object_set_new(init, "name", json_string(config->name));
    json_object_set_new(init, "iceServers", servers);
    json_object_set_new(init, "iceTransportPolicy",
                        json_string(config->relay_only ? "relay" : "all"));
    json_object_set_new(init, "trickle", json_boolean(config->trickle));
    if (own)
        json_object_set_new(init, "simrtc", own_json(config));
}

static uint64_t own_number(const json_t *own, const char *name)
{
    uint64_t number = 0;
    live_json_number(own, name, INT64_MAX, &number);
    return number;
}

static bool read_own(struct peer_config *c, const json_t *own)
{
    const json_t *value;
    size_t i;
    json_array_foreach(json_object_get(own, "locals"), i, value)
    {
        const char *text = json_string_value(value);
        if (i < PEER_LOCALS_MAX && text && addr_parse(bytes_text(text), &c->locals[i]))
            c->locals_count = (unsigned)i + 1;
    }
    c->rng = rng_seed(1, "peer");
    if (!own && getrandom(c->rng.s, sizeof c->rng.s, 0) < 0) // tidy: not to be foreseen
        return false;
    json_array_foreach(json_object_get(own, "stream"), i, value)
    {
        const char *text = json_string_value(value);
        uint64_t number;
        if (i < sizeof c->rng.s / sizeof c->rng.s[0] && text &&
            bytes_parse_u64(bytes_text(text), UINT64_MAX, &number))
            c->rng.s[i] = number;
    }
    const char *tiebreaker = live_json_text(own, "tiebreaker");
    if (tiebreaker)
        bytes_parse_u64(bytes_text(tiebreaker), UINT64_MAX, &c->tiebreaker);
    c->ice_lite = own_number(own, "lite") != 0;
    c->ice_only = own_number(own, "ice-only") != 0;
    c->force_role = own_number(own, "force-role") != 0;
    c->role = own_number(own, "role") ? ICE_CONTROLLING : ICE_CONTROLLED;
    c->setup = (enum peer_dtls_setup)(own_number(own, "setup") % 3);
    c->identity = (unsigned)(own_number(own, "identity") % DTLS_IDENTITIES);
    c->wrong_fingerprint = own_number(own, "wrong-fingerprint") != 0;
    c->polite = own_number(own, "polite") != 0;
    c->mtu = (size_t)own_number(own, "mtu");
    c->sctp_port = (uint16_t)own_number(own, "sctp-port");
    c->max_message_size = own_number(own, "max-message-size");
    c->ice_ta = (nanotime)own_number(own, "ta");
    c->consent_interval = (nanotime)own_number(own, "consent-interval");
    c->consent_timeout = (nanotime)own_number(own, "consent-timeout");
    c->nomination_wait = (nanotime)own_number(own, "nomination-wait");
    c->patience = (nanotime)own_number(own, "patience");
    c->gather_timeout = (nanotime)own_number(own, "gather-timeout");
    c->turn_lifetime_s = (uint32_t)own_number(own, "turn-lifetime");
    c->turn_channels = own_number(own, "turn-channels") != 0;
    c->take_media = own_number(own, "take-media") != 0;
    c->srtp_profiles = (unsigned)own_number(own, "srtp-profiles");
    c->media_control = (enum media_control)(own_number(own, "media-control") % MEDIA_CONTROLS);
    c->media_start_bps = (uint32_t)own_number(own, "media-start");
    c->media_min_bps = (uint32_t)own_number(own, "media-min");
    c->media_max_bps = (uint32_t)own_number(own, "media-max");
    c->media_clock_ppb = (int64_t)own_number(own, "media-fast");
    c->media_clock_ppb -= (int64_t)own_number(own, "media-slow");
    return true;
}

static bool read_server(const json_t *from, struct peer_server *to)
{
    const char *url = live_json_text(from, "urls");
    if (!url || (strncmp(url, "stun:", 5) != 0 && strncmp(url, "turn:", 5) != 0))
        return false;
    *to = (struct peer_server){.kind = url[0] == 't' ? PEER_TURN : PEER_STUN,
                               .username = live_json_text(from, "username"),
                               .password = live_json_text(from, "credential")};
    const char *query = strchr(url, '?');
    to->transport = query && strcmp(query, "?transport=tcp") == 0 ? PEER_TCP : PEER_UDP;
    struct bytes addr = bytes_of(url + 5, strcspn(url + 5, "?"));
    return addr_parse(addr, &to->addr) && (to->kind == PEER_STUN || (to->username && to->password));
}

bool live_config_decode(const json_t *init, struct peer_config *config)
{
    const json_t *servers = json_object_get(init, "iceServers"), *server;
    const char *policy = live_json_text(init, "iceTransportPolicy");
    size_t i;
    config->name = live_json_text(init, "name");
    config->name = config->name ? config->name : "peer";
    config->relay_only = policy && strcmp(policy, "relay") == 0;
    config->trickle = json_is_true(json_object_get(init, "trickle"));
    json_array_foreach(servers, i, server)
    {
        if (config->servers_count < PEER_SERVERS_MAX &&
            read_server(server, &config->servers[config->servers_count]))
            config->servers_count++;
    }
    return read_own(config, json_object_get(init, "simrtc"));
}

static json_t *text_json(struct bytes bytes)
{
    return json_stringn(bytes.len ? (const char *)bytes.at : "", bytes.len);
}

void live_channel_encode(json_t *open, unsigned number, const struct channel_config *config)
{
    json_object_set_new(open, "channel", json_integer(number));
    json_object_set_new(open, "label", text_json(config->label));
    json_object_set_new(open, "protocol", text_json(config->protocol));
    json_object_set_new(open, "ordered", json_boolean(!config->delivery.unordered));
    if (config->delivery.reliability == SCTP_MAX_RETRANSMITS)
        json_object_set_new(open, "maxRetransmits", json_integer(config->delivery.limit));
    if (config->delivery.reliability == SCTP_MAX_LIFETIME)
        json_object_set_new(open, "maxPacketLifeTime", json_integer(config->delivery.limit));
    json_object_set_new(open, "priority", json_integer(config->priority));
    json_object_set_new(open, "negotiated", json_boolean(config->negotiated));
    if (config->negotiated)
        json_object_set_new(open, "id", json_integer(config->id));
}
