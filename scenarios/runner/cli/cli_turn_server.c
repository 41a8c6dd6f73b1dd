// simrtc turn-server: the STUN and TURN server of the stack, on real sockets.
#include "scenarios/runner/cli/cli.h"
#include "scenarios/runner/socket/socket_loop.h"
#include "scenarios/runner/socket/socket_words.h"

#include "stack/turn/turn.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define STUN_PORT 3478
#define SOCKETS_MAX 4096
#define STREAMS_MAX 1024
#define STREAM_PIECE_MAX 4096 // what a piece sets off goes out before the next
#define USERS_MAX CLI_TEXTS_MAX

struct options {
    const char *listen, *other, *realm, *relay_ip, *relay_ports, *seed;
    struct cli_texts users;
    uint64_t nonce_lifetime_s, seconds, quota;
    bool allow_loopback_peers, channels_5766, trace;
};

struct service {
    struct turn_server_config config;
    struct turn_user users[USERS_MAX];
    struct trace_log log;
    struct socket_loop *loop;
    struct socket_streams *streams; // the loop's
    struct turn_server *server;
    nanotime end;
};

static bool parse_users(const struct cli_texts *texts, struct arena *arena, struct turn_user *users,
                        struct err *err)
{
    for (unsigned i = 0; i < texts->count; i++) {
        struct socket_user user;
        if (!socket_parse_user(texts->at[i], arena, &user, err))
            return false;
        users[i] = (struct turn_user){user.name, user.password};
    }
    return true;
}

static bool parse_other(const char *text, struct turn_server_config *config, struct err *err)
{
    const struct addr *listen = &config->listen;
    struct addr *other = &config->other;
    if (!socket_parse_local("other", text, STUN_PORT + 1, other, err))
        return false;
    // RFC 5780 6: both differ, so that there are four sockets to answer from.
    if (other->ip.family != listen->ip.family || ip_equal(&other->ip, &listen->ip) ||
        other->port == listen->port || other->port == 0 || listen->port == 0)
        return err_set(err, "--other: expected another IP and another port than --listen has");
    return true;
}

static bool parse(const struct options *options, struct arena *arena, struct service *service,
                  struct err *err)
{
    struct turn_server_config *config = &service->config;
    if (!parse_users(&options->users, arena, service->users, err) ||
        !socket_parse_local("listen", options->listen, STUN_PORT, &config->listen, err) ||
        (options->other && !parse_other(options->other, config, err)) ||
        (options->relay_ports && !socket_parse_ports(options->relay_ports, &config->relay_port_min,
                                                     &config->relay_port_max, err)) ||
        !socket_rng(options->seed, &config->rng, err))
        return false;
    config->relay_ip = config->listen.ip;
    if (options->relay_ip && (!ip_parse(bytes_text(options->relay_ip), &config->relay_ip) ||
                              ip_is_unspecified(&config->relay_ip)))
        return err_set(err, "--relay-ip: expected an address of this machine, got '%.60s'",
                       options->relay_ip);
    if (options->nonce_lifetime_s > UINT32_MAX || options->quota > UINT32_MAX ||
        options->seconds > UINT32_MAX)
        return err_set(err, "--nonce-lifetime, --quota, --seconds: expected at most %" PRIu32,
                       UINT32_MAX);
    config->nonce_lifetime_s = (uint32_t)options->nonce_lifetime_s;
    config->allocations_per_user_max = (unsigned)options->quota;
    service->end = options->seconds ? (nanotime)options->seconds * TIME_S : TIME_NEVER;
    return true;
}

static bool open_all(struct service *service, struct err *err)
{
    struct turn_server_config *config = &service->config;
    service->loop = socket_loop_new(SOCKETS_MAX, err);
    if (!service->loop || !socket_loop_open(service->loop, &config->listen, err))
        return false;
    service->streams = socket_loop_streams(service->loop, STREAMS_MAX);
    // RFC 8656 2.1: TCP on the port that UDP has
    if (!config->stun_only && !socket_streams_listen(service->streams, &config->listen, err))
        return false;
    if (addr_is_none(&config->other))
        return true;
    struct addr others[] = {config->other,
                            {config->other.ip, config->listen.port},
                            {config->listen.ip, config->other.port}};
    for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (!socket_loop_open(service->loop, &others[i], err))
            return false;
    }
    return true;
}

// Do what the server wants done.
static void pump(struct service *service)
{
    struct socket_loop *loop = service->loop;
    struct turn_server *server = service->server;
    struct turn_server_output out;
    nanotime now = socket_loop_now(loop);
    while (turn_server_poll(server, now, &out)) {
        struct err err = {0};
        switch (out.kind) {
        case TURN_SERVER_SEND:
            socket_loop_send(loop, &out.datagram, out.dont_fragment);
            break;
        case TURN_SERVER_BIND:
            if (!socket_loop_open(loop, &out.relay, &err))
                turn_server_bind_failed(server, now, &out.relay);
            break;
        case TURN_SERVER_UNBIND:
            socket_loop_close(loop, &out.relay);
            break;
        case TURN_SERVER_STREAM_SEND:
            // With a queue that is full it is dropped, as a datagram would be.
            (void)socket_streams_send(service->streams, out.stream, out.datagram.bytes);
            break;
        case TURN_SERVER_STREAM_CLOSE:
            socket_streams_close(service->streams, out.stream);
            break;
        }
    }
}

static void take_stream(struct service *service, const struct socket_stream_event *event)
{
    struct turn_server *server = service->server;
    nanotime now = socket_loop_now(service->loop);
    struct bytes rest = event->bytes;
    struct addr client = socket_streams_remote(service->streams, event->id);
    switch (event->kind) {
    case SOCKET_STREAM_OPENED:
        if (!turn_server_stream_open(server, now, event->id, &client))
            socket_streams_close(service->streams, event->id);
        break;
    case SOCKET_STREAM_BYTES:
        while (rest.len > 0) {
            size_t len = rest.len < STREAM_PIECE_MAX ? rest.len : STREAM_PIECE_MAX;
            turn_server_stream_input(server, now, event->id, bytes_of(rest.at, len));
            pump(service);
            rest = bytes_from(rest, len);
        }
        break;
    case SOCKET_STREAM_CLOSED:
    case SOCKET_STREAM_REFUSED:
        turn_server_stream_closed(server, now, event->id);
        break;
    }
}

static int serve(struct service *service, struct err *err)
{
    struct socket_loop *loop = service->loop;
    struct datagram datagram;
    for (;;) {
        pump(service);
        text_clear(&service->log.text); // its lines are written already
        if (socket_loop_now(loop) >= service->end)
            return CLI_PASSED;
        nanotime wake = time_min(turn_server_deadline(service->server), service->end);
        switch (socket_loop_wait(loop, wake, &datagram)) {
        case SOCKET_DATAGRAM:
            turn_server_input(service->server, socket_loop_now(loop), &datagram);
            break;
        case SOCKET_STREAM:
            take_stream(service, socket_loop_stream(loop));
            break;
        case SOCKET_DEADLINE:
            break;
        case SOCKET_SIGNAL: // the ordinary end of a server
            return CLI_PASSED;
        case SOCKET_ERROR:
            err_set(err, "cannot wait: %s", strerror(socket_loop_signal(loop)));
            return CLI_CANNOT;
        }
    }
}

static void print_stats(const struct turn_server *server)
{
    struct turn_server_stats stats = turn_server_stats(server);
    printf("bindings %u, allocations %u, refreshes %u, permissions %u, channels %u, errors %u, "
           "relayed to peers %" PRIu64 ", to clients %" PRIu64 "\n",
           stats.bindings, stats.allocations, stats.refreshes, stats.permissions, stats.channels,
           stats.errors, stats.relayed_to_peers, stats.relayed_to_clients);
}

static int run(const struct options *options, struct arena *arena, struct err *err)
{
    struct service *service = arena_alloc(arena, sizeof *service);
    service->log.live_fd = STDERR_FILENO;
    service->config = (struct turn_server_config){
        .users = service->users,
        .users_count = options->users.count,
        .realm = options->realm,
        .stun_only = options->users.count == 0,
        .allow_loopback_peers = options->allow_loopback_peers,
        .rfc5766_channels = options->channels_5766,
        .trace = trace_of(options->trace ? &service->log : NULL, "turn"),
    };
    int code = CLI_CANNOT;
    if (parse(options, arena, service, err) && open_all(service, err)) {
        char text[ADDR_TEXT_MAX];
        service->server = turn_server_new(&service->config);
        printf("listening on %s\n", addr_print(&service->config.listen, text));
        fflush(stdout);
        code = serve(service, err);
        print_stats(service->server);
        turn_server_free(service->server);
    }
    socket_loop_free(service->loop);
    text_free(&service->log.text);
    return code;
}

int cli_turn_server(int argc, char **argv)
{
    struct options to = {.listen = "127.0.0.1:3478", .realm = "simrtc"};
    const struct cli_option options[] = {
        {"listen", 0, CLI_TEXT, "ADDR:PORT", &to.listen, "listen there (127.0.0.1:3478)"},
        {"other", 0, CLI_TEXT, "ADDR:PORT", &to.other, "second IP and port, for RFC 5780"},
        {"user", 0, CLI_TEXTS, "NAME:PASSWORD", &to.users, "may allocate; without any: STUN alone"},
        {"realm", 0, CLI_TEXT, "REALM", &to.realm, "of the credentials (simrtc)"},
        {"relay-ip", 0, CLI_TEXT, "ADDR", &to.relay_ip, "relayed addresses (where it listens)"},
        {"relay-ports", 0, CLI_TEXT, "MIN-MAX", &to.relay_ports, "of those (49152-65535)"},
        {"nonce-lifetime", 0, CLI_NUMBER, "S", &to.nonce_lifetime_s, "until 438 (3600)"},
        {"quota", 0, CLI_NUMBER, "N", &to.quota, "allocations of one user, then 486"},
        {"allow-loopback-peers", 0, CLI_FLAG, NULL, &to.allow_loopback_peers, "else 403"},
        {"rfc5766-channels", 0, CLI_FLAG, NULL, &to.channels_5766,
         "take channel numbers up to 0x7FFF, as older clients draw"},
        {"seconds", 0, CLI_NUMBER, "N", &to.seconds, "stop by itself"},
        {"seed", 0, CLI_TEXT, "N", &to.seed, "nonces and ports that can be repeated, and guessed"},
        {"verbose", 'v', CLI_FLAG, NULL, &to.trace, "trace to stderr"},
        {0},
    };
    const struct cli_command about = {
        .usage = "turn-server [options]",
        .about = "Be a STUN and TURN server (UDP and TCP, RFC 8656) on real sockets until SIGTERM "
                 "or Ctrl-C.\n"
                 "Nonces and ports come from 256 bits of the system's random source by a generator "
                 "that\n"
                 "is not cryptographic: for labs and checks, not for the open internet.",
        .options = options,
    };
    unsigned words;
    int code;
    if (!cli_parse(&about, argc, argv, &words, &code))
        return code;
    struct arena arena = {0};
    struct err err = {0};
    code = run(&to, &arena, &err);
    if (err_is_set(&err))
        fprintf(stderr, "turn-server: %s\n", err.text);
    arena_free(&arena);
    return code;
}
