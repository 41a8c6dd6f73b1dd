// Servers and peers: where they are and what they are told.

#include "scenarios/runner/load/load_priv.h"

static const char *const server_kinds[] = {"stun", "turn", NULL};
static const char *const server_programs[] = {"simrtc", "coturn", NULL};
static const char *const transports[] = {"udp", "tcp", NULL}; // enum peer_transport

struct server_nodes {
    struct scenario_server server;
    const struct yaml_node *at, *kind, *relay_ports, *redirect, *address, *transports;
    unsigned program;
    uint16_t port;
    bool other;
};
#define AT(member) offsetof(struct server_nodes, member)
static const struct field server_fields[] = {
    {"at", FIELD_NODE, AT(at), 0, 0, NULL},
    {"kind", FIELD_WORD, AT(server.kind), 0, 0, server_kinds},
    {"port", FIELD_U16, AT(port), 1, 0, NULL},
    {"address", FIELD_IP, AT(server.addr.ip), 0, 0, NULL},
    {"user", FIELD_TEXT, AT(server.user), 0, 500, NULL},
    {"password", FIELD_TEXT, AT(server.password), 0, 500, NULL},
    {"realm", FIELD_TEXT, AT(server.realm), 0, 127, NULL},
    {"lifetime", FIELD_SECONDS, AT(server.lifetime_s), 1, 86400, NULL},
    {"lifetime-max", FIELD_SECONDS, AT(server.lifetime_max_s), 1, 86400, NULL},
    {"nonce-lifetime", FIELD_SECONDS, AT(server.nonce_lifetime_s), 1, 86400, NULL},
    {"quota", FIELD_UNSIGNED, AT(server.quota), 1, 1000000, NULL},
    {"allocations-max", FIELD_UNSIGNED, AT(server.allocations_max), 1, 1000000, NULL},
    {"relay-ports", FIELD_NODE, AT(relay_ports), 0, 0, NULL},
    {"redirect", FIELD_NODE, AT(redirect), 0, 0, NULL},
    {"other-address", FIELD_BOOL, AT(other), 0, 0, NULL},
    {"program", FIELD_WORD, AT(program), 0, 0, server_programs},
    {"transports", FIELD_NODE, AT(transports), 0, 0, NULL},
    {"allow-loopback-peers", FIELD_BOOL, AT(server.allow_loopback_peers), 0, 0, NULL},
    {0},
};
#undef AT

// `stun` and `turn-2` say what they are by their name.
static bool kind_of_name(struct load *load, const struct yaml_node *name,
                         enum peer_server_kind *kind)
{
    if (bytes_starts(name->text, "stun"))
        *kind = PEER_STUN;
    else if (bytes_starts(name->text, "turn"))
        *kind = PEER_TURN;
    else
        return err_at(load->err, name->mark,
                      "expected 'kind: stun' or 'kind: turn' of server %s, got neither",
                      yaml_describe(load->arena, name));
    return true;
}

static bool transport_load(struct load *load, const struct yaml_node *node,
                           enum peer_transport *transport)
{
    static const struct field field = {"transport", FIELD_WORD, 0, 0, 0, transports};
    return load_value(load, node, &field, transport);
}

static bool transports_load(struct load *load, const struct yaml_node *node,
                            struct scenario_server *server)
{
    if (!load_is_list(load, node, "a list of transports", 2))
        return false;
    server->transports = 0;
    for (unsigned i = 0; i < node->count; i++) {
        enum peer_transport transport;
        if (!transport_load(load, node->items[i], &transport))
            return false;
        if (transport == PEER_TCP && server->kind != PEER_TURN)
            return load_expected(load, node->items[i], "udp of a STUN server");
        server->transports |= 1u << transport;
    }
    return server->transports != 0 || load_expected(load, node, "udp, tcp or both");
}

static bool server_load(struct load *load, unsigned index)
{
    const struct yaml_pair *pair = &load->servers_node->pairs[index];
    struct server_nodes nodes = {.server = {.name = load_text(load, pair->key->text),
                                            .lan = SCENARIO_WAN,
                                            .user = "user",
                                            .password = "password",
                                            .realm = "simrtc",
                                            .lifetime_s = 600,
                                            .lifetime_max_s = 3600,
                                            .nonce_lifetime_s = 3600,
                                            .quota = 10,
                                            .allocations_max = 1000,
                                            .relay_port_min = 49152,
                                            .relay_port_max = 65535,
                                            .redirect = -1,
                                            .transports = 1u << PEER_UDP},
                                 .port = 3478};
    struct scenario_server *server = &nodes.server;
    if (!load_fields(load, pair->value, "a server", server_fields, &nodes, NULL))
        return false;
    if (!yaml_get(pair->value, "kind") && !kind_of_name(load, pair->key, &server->kind))
        return false;
    if (nodes.transports && !transports_load(load, nodes.transports, server))
        return false;
    if (!nodes.at)
        return err_at(load->err, pair->key->mark, "expected 'at' of server '%s', got none",
                      server->name);
    if (!load_place(load, nodes.at, &server->lan))
        return false;
    if (nodes.relay_ports &&
        !load_ports(load, nodes.relay_ports, &server->relay_port_min, &server->relay_port_max))
        return false;
    if (server->lifetime_s > server->lifetime_max_s)
        return err_at(load->err, pair->key->mark,
                      "expected lifetime up to lifetime-max %us, got %us", server->lifetime_max_s,
                      server->lifetime_s);
    unsigned redirect;
    if (nodes.redirect) {
        if (!load_name(load, nodes.redirect, NAMED_SERVER, "the name of a server", &redirect))
            return false;
        server->redirect = (int)redirect;
    }
    server->coturn = nodes.program == 1;
    server->addr.port = nodes.port;
    // RFC 5780 7.4: the alternate address differs in both; load_addresses puts the IP address in.
    if (nodes.other)
        server->other.port = nodes.port == UINT16_MAX ? 1024 : (uint16_t)(nodes.port + 1);
    load->servers[index] = *server;
    return true;
}

bool load_servers(struct load *load)
{
    unsigned count = load->servers_node ? load->servers_node->count : 0;
    load->servers = arena_alloc(load->arena, count * sizeof *load->servers);
    load->scenario->servers = load->servers;
    load->scenario->servers_count = count;
    for (unsigned i = 0; i < count; i++) {
        if (!server_load(load, i))
            return false;
    }
    return true;
}

// ------------------------------------------------------------------------------------------- peers

static const char *const roles[] = {"controlled", "controlling", NULL};
static const char *const setups[] = {"auto", "active", "passive", NULL};

struct peer_nodes {
    struct scenario_peer peer;
    const struct yaml_node *at, *ice_servers, *role, *identity, *peer_kind, *mtu, *skew, *srtp;
};
#define AT(member) offsetof(struct peer_nodes, member)
#define CONFIG(member) offsetof(struct peer_nodes, peer.config.member)
static const struct field peer_fields[] = {
    {"at", FIELD_NODE, AT(at), 0, 0, NULL},
    {"ice-servers", FIELD_NODE, AT(ice_servers), 0, 0, NULL},
    {"relay-only", FIELD_BOOL, CONFIG(relay_only), 0, 0, NULL},
    {"ice-lite", FIELD_BOOL, CONFIG(ice_lite), 0, 0, NULL},
    {"role", FIELD_NODE, AT(role), 0, 0, NULL},
    {"tiebreaker", FIELD_U64, CONFIG(tiebreaker), 1, 0, NULL},
    {"dtls", FIELD_WORD, CONFIG(setup), 0, 0, setups},
    {"wrong-fingerprint", FIELD_BOOL, CONFIG(wrong_fingerprint), 0, 0, NULL},
    {"polite", FIELD_BOOL, CONFIG(polite), 0, 0, NULL},
    {"mtu", FIELD_NODE, AT(mtu), 0, 0, NULL},
    {"sctp-port", FIELD_U16, CONFIG(sctp_port), 1, 0, NULL},
    {"max-message-size", FIELD_SIZE_U64, CONFIG(max_message_size), 1, 1u << 30, NULL},
    {"ta", FIELD_TIME, CONFIG(ice_ta), TIME_MS, 0, NULL},
    {"consent-interval", FIELD_TIME, CONFIG(consent_interval), TIME_MS, 0, NULL},
    {"consent-timeout", FIELD_TIME, CONFIG(consent_timeout), TIME_MS, 0, NULL},
    {"nomination-wait", FIELD_TIME, CONFIG(nomination_wait), 1, 0, NULL},
    {"patience", FIELD_TIME, CONFIG(patience), TIME_MS, 0, NULL},
    {"gather-timeout", FIELD_TIME, CONFIG(gather_timeout), TIME_MS, 0, NULL},
    {"turn-lifetime", FIELD_SECONDS, CONFIG(turn_lifetime_s), 1, 86400, NULL},
    {"turn-channels", FIELD_BOOL, CONFIG(turn_channels), 0, 0, NULL},
    {"clock-skew", FIELD_NODE, AT(skew), 0, 0, NULL},
    {"srtp", FIELD_NODE, AT(srtp), 0, 0, NULL},
    {"peer", FIELD_NODE, AT(peer_kind), 0, 0, NULL},
    {"identity", FIELD_UNSIGNED, CONFIG(identity), 0, DTLS_IDENTITIES - 1, NULL},
    {0},
};
#undef AT
#undef CONFIG

static bool interfaces_load(struct load *load, const struct yaml_node *node,
                            struct scenario_peer *peer)
{
    const struct yaml_node *const *items = node->kind == YAML_SEQUENCE ? node->items : &node;
    unsigned count = node->kind == YAML_SEQUENCE ? node->count : 1;
    if (count == 0 || count > SCENARIO_INTERFACES_MAX)
        return err_at(load->err, node->mark, "expected 1 to %u places, got %u",
                      SCENARIO_INTERFACES_MAX, count);
    for (unsigned i = 0; i < count; i++) {
        if (!load_place(load, items[i], &peer->lans[i]))
            return false;
    }
    peer->interfaces = count;
    return true;
}

// Both ways to a server are two servers, as two URLs are to a browser.
static bool ice_server_add(struct load *load, const struct yaml_node *node, unsigned server,
                           unsigned wanted, struct scenario_peer *peer)
{
    for (unsigned transport = PEER_UDP; transport <= PEER_TCP; transport++) {
        if (!(wanted & 1u << transport))
            continue;
        if (peer->servers_count == PEER_SERVERS_MAX)
            return err_at(load->err, node->mark,
                          "expected at most %u servers, each transport counted, got more",
                          PEER_SERVERS_MAX);
        peer->transports[peer->servers_count] = (enum peer_transport)transport;
        peer->servers[peer->servers_count++] = server;
    }
    return true;
}

// `turn`, by all that it speaks, or `{turn: tcp}`.
static bool ice_server_load(struct load *load, const struct yaml_node *node,
                            struct scenario_peer *peer)
{
    unsigned server;
    bool one = node->kind == YAML_MAPPING && node->count == 1;
    const struct yaml_node *name = one ? node->pairs[0].key : node;
    if (!load_name(load, name, NAMED_SERVER, "the name of a server", &server))
        return false;
    unsigned spoken = load->servers[server].transports;
    if (!one)
        return ice_server_add(load, node, server, spoken, peer);
    enum peer_transport transport;
    const struct yaml_node *value = node->pairs[0].value;
    if (!transport_load(load, value, &transport))
        return false;
    if (!(spoken & 1u << transport))
        return load_expected(load, value, "a transport of that server");
    return ice_server_add(load, node, server, 1u << transport, peer);
}

static bool ice_servers_load(struct load *load, const struct yaml_node *node,
                             struct scenario_peer *peer)
{
    if (!load_is_list(load, node, "a list of servers", PEER_SERVERS_MAX))
        return false;
    for (unsigned i = 0; i < node->count; i++) {
        if (!ice_server_load(load, node->items[i], peer))
            return false;
    }
    return true;
}

struct kind_nodes {
    enum scenario_peer_kind kind;
    const struct yaml_node *run;
    const char *install;
    bool media;
};
#define AT(member) offsetof(struct kind_nodes, member)
static const char *const peer_kinds[] = {"simrtc", "adapter", NULL};
static const struct field kind_fields[] = {
    {"kind", FIELD_WORD, AT(kind), 0, 0, peer_kinds},
    {"run", FIELD_NODE, AT(run), 0, 0, NULL},
    {"install", FIELD_TEXT, AT(install), 0, 500, NULL},
    {"media", FIELD_BOOL, AT(media), 0, 0, NULL},
    {0},
};
#undef AT

static bool command_load(struct load *load, const struct yaml_node *node,
                         struct scenario_peer *peer)
{
    if (node->kind != YAML_SEQUENCE || node->count == 0)
        return load_expected(load, node, "a command as a list of words");
    if (!load_is_list(load, node, "a command", SCENARIO_WORDS_MAX))
        return false;
    const char **words = arena_alloc(load->arena, (node->count + 1) * sizeof *words);
    for (unsigned i = 0; i < node->count; i++) {
        if (node->items[i]->kind != YAML_SCALAR)
            return load_expected(load, node->items[i], "a word of a command");
        words[i] = load_text(load, node->items[i]->text);
    }
    if (!words[0][0])
        return load_expected(load, node->items[0], "the name of a program");
    peer->run = words;
    return true;
}

// `simrtc`, or a mapping that says what plays the peer in the live world.
static bool kind_load(struct load *load, const struct yaml_node *node, struct scenario_peer *peer)
{
    struct kind_nodes nodes = {0};
    if (node->kind == YAML_SCALAR && bytes_is(node->text, "simrtc"))
        return true;
    if (node->kind != YAML_MAPPING)
        return load_expected(load, node, "simrtc, or {kind: adapter, run: [program, words...]}");
    if (!load_fields(load, node, "a kind of peer", kind_fields, &nodes, NULL))
        return false;
    peer->kind = nodes.kind;
    peer->install = nodes.install;
    peer->media = nodes.media;
    if ((nodes.kind == SCENARIO_ADAPTER) != (nodes.run != NULL))
        return err_at(load->err, node->mark,
                      "expected 'kind: adapter' and 'run' together, got one of them");
    return !nodes.run || command_load(load, nodes.run, peer);
}

// What is smaller than the stack can keep to is refused: it would send more than the file says.
static bool mtu_load(struct load *load, const struct yaml_node *node, struct scenario_peer *peer)
{
    bool turn = false;
    for (unsigned i = 0; i < peer->servers_count; i++)
        turn = turn || load->servers[peer->servers[i]].kind == PEER_TURN;
    struct field field = {"mtu", FIELD_SIZE_T, 0, peer_mtu_least(false), 65507, NULL};
    if (!load_value(load, node, &field, &peer->config.mtu))
        return false;
    if (peer->config.mtu < peer_mtu_least(turn))
        return load_expected(load, node,
                             arena_printf(load->arena, "an mtu of at least %zu with a TURN server",
                                          peer_mtu_least(turn)));
    return true;
}

// Protection profiles that it offers or takes: one, or a list. Their order says nothing: the
// strongest that both have is agreed on.
static bool srtp_load(struct load *load, const struct yaml_node *node, unsigned *profiles)
{
    static const char *const words[] = {"aes-cm-80", "aes-gcm-128", "aes-gcm-256", NULL};
    static const struct field field = {"srtp", FIELD_WORD, 0, 0, 0, words};
    const struct yaml_node *const *items = node->kind == YAML_SEQUENCE ? node->items : &node;
    unsigned count = node->kind == YAML_SEQUENCE ? node->count : 1;
    if (count == 0)
        return load_expected(load, node, "a profile of SRTP");
    for (unsigned i = 0; i < count; i++) {
        unsigned profile;
        if (!load_value(load, items[i], &field, &profile))
            return false;
        *profiles |= 1u << profile;
    }
    return true;
}

static bool peer_load(struct load *load, unsigned index)
{
    const struct yaml_pair *pair = &load->peers_node->pairs[index];
    struct peer_nodes nodes = {.peer = {.name = load_text(load, pair->key->text)}};
    struct scenario_peer *peer = &nodes.peer;
    peer->config.trickle = true; // until its session says otherwise
    if (!load_fields(load, pair->value, "a peer", peer_fields, &nodes, NULL))
        return false;
    peer->identity_given = yaml_get(pair->value, "identity") != NULL;
    if (!nodes.at)
        return err_at(load->err, pair->key->mark, "expected 'at' of peer '%s', got none",
                      peer->name);
    if (peer->config.ice_lite && peer->config.relay_only) // RFC 8445 2.5
        return err_at(
            load->err, yaml_get(pair->value, "relay-only")->mark,
            "expected ice-lite without relay-only, got both: it has host candidates alone");
    if (!interfaces_load(load, nodes.at, peer) ||
        (nodes.ice_servers && !ice_servers_load(load, nodes.ice_servers, peer)) ||
        (nodes.mtu && !mtu_load(load, nodes.mtu, peer)) ||
        (nodes.skew && !load_clock_skew(load, nodes.skew, &peer->config.media_clock_ppb)) ||
        (nodes.srtp && !srtp_load(load, nodes.srtp, &peer->config.srtp_profiles)) ||
        (nodes.peer_kind && !kind_load(load, nodes.peer_kind, peer)))
        return false;
    if (nodes.role) {
        static const struct field field = {"role", FIELD_WORD, offsetof(struct peer_config, role),
                                           0,      0,          roles};
        if (!load_value(load, nodes.role, &field, &peer->config))
            return false;
        peer->config.force_role = true;
    }
    load->peers[index] = *peer;
    return true;
}

bool load_peers(struct load *load)
{
    unsigned count = load->peers_node ? load->peers_node->count : 0;
    load->peers = arena_alloc(load->arena, count * sizeof *load->peers);
    load->scenario->peers = load->peers;
    load->scenario->peers_count = count;
    for (unsigned i = 0; i < count; i++) {
        if (!peer_load(load, i))
            return false;
    }
    return true;
}
