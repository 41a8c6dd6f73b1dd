// From a scenario to a world: segments, gateways, hosts, and the actors on them.
#include "scenarios/runner/run/run_priv.h"

#include <assert.h>
#include <stdio.h>

static struct segment *segment_of(struct run *run, int lan)
{
    return lan == SCENARIO_WAN ? run->wan : run->lans[lan];
}

static void build_segments(struct run *run)
{
    const struct scenario *scenario = run->scenario;
    // The wide area network is where everything else is: no prefix limits it.
    struct segment_config wan = {.transit = scenario->wan};
    wan.prefix[0] = (struct ip_prefix){.ip = ip_v4(0, 0, 0, 0), .bits = 0};
    run->wan = world_add_segment(run->world, "wan", &wan);
    run->lans = arena_alloc(&run->arena, sizeof(struct segment *) * (scenario->lans_count + 1));
    for (unsigned i = 0; i < scenario->lans_count; i++) {
        const struct scenario_lan *lan = &scenario->lans[i];
        // The links of its hosts say what fits; the LAN between them takes all.
        struct segment_config config = {.isolate = lan->isolate, .transit.mtu = UINT32_MAX};
        config.prefix[0] = lan->prefix;
        run->lans[i] = world_add_segment(run->world, lan->name, &config);
    }
}

static void build_gateways(struct run *run)
{
    const struct scenario *scenario = run->scenario;
    run->gateways = arena_alloc(&run->arena, sizeof(struct gateway *) * (scenario->lans_count + 1));
    for (unsigned i = 0; i < scenario->lans_count; i++) {
        const struct scenario_lan *lan = &scenario->lans[i];
        struct gateway_config config = {
            .inside = run->lans[i],
            .outside = segment_of(run, lan->behind),
            .inside_ip = lan->gateway_ip,
            .has_nat = lan->has_nat,
            .nat = lan->nat,
            .outside_ip = lan->outside_ip,
            .has_firewall = lan->has_firewall,
            .firewall = lan->firewall,
            .up = lan->uplink.up,
            .down = lan->uplink.down,
        };
        run->gateways[i] = world_add_gateway(run->world, lan->name, &config);
        assert(run->gateways[i]); // the loader gave each its own addresses
    }
}

static struct host *build_host(struct run *run, const char *name, bool is_server, unsigned index)
{
    struct host *host = world_add_host(run->world, name);
    struct run_actor *actor = &run->actors[is_server ? run->scenario->peers_count + index : index];
    *actor = (struct run_actor){is_server, index};
    host_set_user(host, actor);
    return host;
}

static void attach(struct run *run, struct host *host, int lan, const struct ip *ip)
{
    static const struct link_config plain;
    const struct link_config *link = lan == SCENARIO_WAN ? &plain : &run->scenario->lans[lan].link;
    bool attached = host_attach(host, segment_of(run, lan), ip, link, link);
    assert(attached);
}

static void build_server(struct run *run, unsigned index)
{
    const struct scenario_server *scenario = &run->scenario->servers[index];
    struct run_server *server = &run->servers[index];
    *server = (struct run_server){.scenario = scenario, .run = run, .index = index};
    server->host = build_host(run, scenario->name, true, index);
    attach(run, server->host, scenario->lan, &scenario->addr.ip);

    if (run->options.real && scenario->coturn) {
        // RFC 5780: two addresses. Its sockets are its program's.
        if (!addr_is_none(&scenario->other))
            attach(run, server->host, scenario->lan, &scenario->other.ip);
        return;
    }
    struct turn_user user = {scenario->user, scenario->password};
    char stream[80];
    snprintf(stream, sizeof stream, "server:%.60s", scenario->name);
    struct turn_server_config config = {
        .listen = scenario->addr,
        .other = scenario->other,
        .relay_ip = scenario->addr.ip,
        .relay_port_min = scenario->relay_port_min,
        .relay_port_max = scenario->relay_port_max,
        .stun_only = scenario->kind == PEER_STUN,
        .realm = scenario->realm,
        .users = &user,
        .users_count = 1,
        .lifetime_default_s = scenario->lifetime_s,
        .lifetime_max_s = scenario->lifetime_max_s,
        .nonce_lifetime_s = scenario->nonce_lifetime_s,
        .allocations_max = scenario->allocations_max,
        .allocations_per_user_max = scenario->quota,
        .permissions_max = 1024,
        .channels_max = 1024,
        .streams_max = WORLD_STREAMS_MAX + 1, // numbered as in the world
        .allow_loopback_peers = scenario->allow_loopback_peers,
        .rng = rng_seed(run->seed, stream),
        .trace = trace_of(run->trace.log, scenario->name),
    };
    if (scenario->redirect >= 0)
        config.alternate = run->scenario->servers[scenario->redirect].addr;
    server->server = turn_server_new(&config);
    bool udp = scenario->transports & 1u << PEER_UDP, tcp = scenario->transports & 1u << PEER_TCP;
    bool bound = (!udp || host_bind(server->host, &scenario->addr)) &&
                 (!tcp || host_listen(server->host, &scenario->addr));
    assert(bound);
    if (!addr_is_none(&scenario->other)) {
        // RFC 5780 6: two addresses, two ports, all four combinations answer.
        struct addr more[3] = {scenario->other, scenario->addr, scenario->other};
        attach(run, server->host, scenario->lan, &scenario->other.ip);
        more[1].port = scenario->other.port;
        more[2].port = scenario->addr.port;
        for (int i = 0; i < 3; i++)
            host_bind(server->host, &more[i]);
    }
}

static void build_peer(struct run *run, unsigned index)
{
    const struct scenario_peer *scenario = &run->scenario->peers[index];
    struct run_peer *peer = &run->peers[index];
    char stream[80];
    *peer =
        (struct run_peer){.scenario = scenario, .run = run, .index = index, .session = NO_SESSION};
    snprintf(stream, sizeof stream, "signaling:%.60s", scenario->name);
    peer->signal_rng = rng_seed(run->seed, stream);
    peer->host = build_host(run, scenario->name, false, index);

    struct peer_config config = scenario->config;
    config.name = scenario->name;
    config.clear_media = run->options.capture && (config.clear_media || run->options.clear);
    config.locals_count = scenario->interfaces;
    for (unsigned i = 0; i < scenario->interfaces; i++) {
        attach(run, peer->host, scenario->lans[i], &scenario->ips[i]);
        config.locals[i] =
            (struct addr){scenario->ips[i], host_free_port(peer->host, &scenario->ips[i])};
        bool bound = host_bind(peer->host, &config.locals[i]);
        assert(bound);
    }
    config.servers_count = scenario->servers_count;
    for (unsigned i = 0; i < scenario->servers_count; i++) {
        const struct scenario_server *server = &run->scenario->servers[scenario->servers[i]];
        config.servers[i] = (struct peer_server){.kind = server->kind,
                                                 .addr = server->addr,
                                                 .username = server->user,
                                                 .password = server->password,
                                                 .transport = scenario->transports[i]};
    }
    if (!scenario->identity_given)
        config.identity = index;
    snprintf(stream, sizeof stream, "peer:%.60s", scenario->name);
    config.rng = rng_seed(run->seed, stream);
    config.trace = trace_of(run->trace.log, scenario->name);
    peer->peer = run->ops->create(&config);
}

static void join_sessions(struct run *run)
{
    for (unsigned i = 0; i < run->scenario->sessions_count; i++) {
        const struct scenario_session *session = &run->scenario->sessions[i];
        run->peers[session->offerer].session = i;
        run->peers[session->offerer].remote = session->answerer;
        run->peers[session->answerer].session = i;
        run->peers[session->answerer].remote = session->offerer;
    }
}

void run_build(struct run *run)
{
    const struct scenario *scenario = run->scenario;
    unsigned actors = scenario->peers_count + scenario->servers_count;
    struct world_config config = {
        .seed = run->seed,
        .log = run->trace.log,
        .capture = run->options.capture,
        .wakers = 1 + actors,
    };
    run->world = world_new(&config);
    run->actors = arena_alloc(&run->arena, sizeof *run->actors * (actors + 1));
    run->peers = arena_alloc(&run->arena, sizeof *run->peers * (scenario->peers_count + 1));
    run->servers = arena_alloc(&run->arena, sizeof *run->servers * (scenario->servers_count + 1));
    build_segments(run);
    build_gateways(run);
    for (unsigned i = 0; i < scenario->servers_count; i++)
        build_server(run, i);
    for (unsigned i = 0; i < scenario->peers_count; i++)
        build_peer(run, i);
    join_sessions(run);
}
