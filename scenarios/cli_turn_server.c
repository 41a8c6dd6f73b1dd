// simrtc turn-server: the STUN and TURN server of the stack, on real sockets.
#include "scenarios/cli.h"
#include "scenarios/socket_loop.h"

#include "stack/turn/turn.h"

#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#define SOCKETS_MAX 4096
#define USERS_MAX CLI_TEXTS_MAX

struct options {
    const char *listen, *realm, *relay_ip, *relay_ports, *seed;
    struct cli_texts users;
    uint64_t nonce_lifetime_s, seconds, quota;
    bool allow_loopback_peers, channels_5766, trace;
};

static bool parse_ports(const char *text, struct turn_server_config *config, struct err *err)
{
    struct bytes all = bytes_text(text), low = all;
    uint64_t min, max;
    for (low.len = 0; low.len < all.len && all.at[low.len] != '-';)
        low.len++;
    if (!bytes_parse_u64(low, 65535, &min) ||
        !bytes_parse_u64(bytes_from(all, low.len + 1), 65535, &max) || min == 0 || max < min)
        return err_set(err, "--relay-ports: expected MIN-MAX, got '%.60s'", text);
    config->relay_port_min = (uint16_t)min;
    config->relay_port_max = (uint16_t)max;
    return true;
}

// "name:password"; the text is cut in two in place of a copy of its own.
static bool parse_users(const struct cli_texts *texts, struct arena *arena, struct turn_user *users,
                        struct err *err)
{
    for (unsigned i = 0; i < texts->count; i++) {
        char *name = arena_text(arena, texts->at[i]), *colon = strchr(name, ':');
        if (!colon || colon == name)
            return err_set(err, "--user: expected NAME:PASSWORD, got '%.60s'", texts->at[i]);
        *colon = 0;
        users[i] = (struct turn_user){name, colon + 1};
    }
    return true;
}

// Nonces and relayed ports of a real server must not be guessed; with --seed they can be repeated.
static bool seed_of(const char *text, uint64_t *out, struct err *err)
{
    if (text)
        return bytes_parse_u64(bytes_text(text), UINT64_MAX, out) ||
               err_set(err, "--seed: expected a whole number, got '%.60s'", text);
    return getrandom(out, sizeof *out, 0) == sizeof *out || // tidy: the real world's randomness
           err_set(err, "the system gives no random bytes");
}

static void pump(struct socket_loop *loop, struct turn_server *server)
{
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
        }
    }
}

static int serve(struct socket_loop *loop, struct turn_server *server, nanotime end)
{
    struct datagram datagram;
    for (;;) {
        pump(loop, server);
        nanotime now = socket_loop_now(loop);
        if (now >= end)
            return CLI_PASSED;
        switch (socket_loop_wait(loop, time_min(turn_server_deadline(server), end), &datagram)) {
        case SOCKET_DATAGRAM:
            turn_server_input(server, socket_loop_now(loop), &datagram);
            break;
        case SOCKET_DEADLINE:
            break;
        case SOCKET_SIGNAL:
            return socket_loop_signal(loop) == SIGTERM ? CLI_PASSED : CLI_INTERRUPTED;
        case SOCKET_ERROR:
            return CLI_CANNOT;
        }
    }
}

static int run(const struct options *options, struct arena *arena, struct err *err)
{
    struct turn_user users[USERS_MAX];
    struct trace_log log = {.live_fd = STDERR_FILENO};
    struct turn_server_config config = {
        .users = users,
        .users_count = options->users.count,
        .realm = options->realm,
        .nonce_lifetime_s = (uint32_t)options->nonce_lifetime_s,
        .allocations_per_user_max = (unsigned)options->quota,
        .stun_only = options->users.count == 0,
        .allow_loopback_peers = options->allow_loopback_peers,
        .rfc5766_channels = options->channels_5766,
        .trace = trace_of(options->trace ? &log : NULL, "turn"),
    };
    uint64_t seed;
    if (!parse_users(&options->users, arena, users, err) || !seed_of(options->seed, &seed, err) ||
        (options->relay_ports && !parse_ports(options->relay_ports, &config, err)) ||
        !socket_resolve(options->listen, 3478, &config.listen, err))
        return CLI_CANNOT;
    config.rng = rng_seed(seed, "turn-server");
    config.relay_ip = config.listen.ip;
    if (options->relay_ip && !ip_parse(bytes_text(options->relay_ip), &config.relay_ip)) {
        err_set(err, "--relay-ip: expected an address, got '%.60s'", options->relay_ip);
        return CLI_CANNOT;
    }
    struct socket_loop *loop = socket_loop_new(SOCKETS_MAX, err);
    if (!loop || !socket_loop_open(loop, &config.listen, err)) {
        socket_loop_free(loop);
        return CLI_CANNOT;
    }
    char text[ADDR_TEXT_MAX];
    printf("listening on %s\n", addr_print(&config.listen, text));
    fflush(stdout);
    struct turn_server *server = turn_server_new(&config);
    int code =
        serve(loop, server, options->seconds ? (nanotime)options->seconds * TIME_S : TIME_NEVER);
    turn_server_free(server);
    socket_loop_free(loop);
    text_free(&log.text);
    return code;
}

int cli_turn_server(int argc, char **argv)
{
    struct options to = {.listen = "127.0.0.1:3478", .realm = "simrtc"};
    const struct cli_option options[] = {
        {"listen", 0, CLI_TEXT, "ADDR:PORT", &to.listen, "listen there (127.0.0.1:3478)"},
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
        .about =
            "Be a STUN and TURN server (UDP, RFC 8656) on real sockets until SIGTERM or Ctrl-C.",
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
