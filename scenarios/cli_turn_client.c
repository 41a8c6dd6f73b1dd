// simrtc turn-client: is a TURN server whole? Two allocations on it send to each other through
// their relays, message by message, and every one must come back as it was.
#include "scenarios/cli.h"
#include "scenarios/socket_loop.h"

#include "stack/turn/turn.h"

#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#define TURN_PORT 3478
#define ANSWER_TIME (5 * TIME_S) // for each step
#define SIZE_MAX_BYTES 1400

struct side {
    struct addr local;
    struct turn_client *client;
};

struct check {
    struct socket_loop *loop;
    struct side sides[2]; // [0] asks, [1] echoes
    uint64_t messages, size;
    uint64_t returned;
    bool damaged;
    bool interrupted;
};

static void message_fill(const struct check *check, uint64_t number, uint8_t *to)
{
    for (uint64_t i = 0; i < check->size; i++)
        to[i] = (uint8_t)(number + i * 7);
}

// What one side got from a peer: the second sends it back, the first compares.
static void received(struct check *check, unsigned index, const struct datagram *datagram)
{
    if (index == 1) {
        turn_client_send(check->sides[1].client, socket_loop_now(check->loop), &datagram->from,
                         datagram->bytes);
        return;
    }
    uint8_t expected[SIZE_MAX_BYTES];
    message_fill(check, check->returned, expected);
    check->damaged |= !bytes_equal(datagram->bytes, bytes_of(expected, check->size));
    check->returned++;
}

static void pump(struct check *check)
{
    struct turn_output out;
    bool more = true;
    while (more) { // what one side gives may make the other speak
        more = false;
        for (unsigned i = 0; i < 2; i++) {
            struct side *side = &check->sides[i];
            while (turn_client_poll(side->client, socket_loop_now(check->loop), &out)) {
                more = true;
                if (out.kind == TURN_SEND)
                    socket_loop_send(check->loop, &out.datagram, false);
                else if (out.kind == TURN_DATA)
                    received(check, i, &out.datagram);
            }
        }
    }
}

static void step(struct check *check, nanotime end)
{
    struct datagram datagram;
    nanotime wake = time_min(turn_client_deadline(check->sides[0].client),
                             turn_client_deadline(check->sides[1].client));
    switch (socket_loop_wait(check->loop, time_min(wake, end), &datagram)) {
    case SOCKET_DATAGRAM:
        for (unsigned i = 0; i < 2; i++) {
            if (addr_equal(&datagram.to, &check->sides[i].local))
                turn_client_input(check->sides[i].client, socket_loop_now(check->loop), &datagram);
        }
        break;
    case SOCKET_DEADLINE:
        break;
    case SOCKET_SIGNAL:
    case SOCKET_ERROR:
        check->interrupted = true;
        break;
    }
    pump(check);
}

static bool both_are(const struct check *check, enum turn_client_state state)
{
    return turn_client_state(check->sides[0].client) == state &&
           turn_client_state(check->sides[1].client) == state;
}

static bool any_is(const struct check *check, enum turn_client_state state)
{
    return turn_client_state(check->sides[0].client) == state ||
           turn_client_state(check->sides[1].client) == state;
}

static bool wait_for_state(struct check *check, enum turn_client_state state, nanotime span)
{
    nanotime end = socket_loop_now(check->loop) + span;
    pump(check);
    while (!both_are(check, state) && !any_is(check, TURN_FAILED) && !check->interrupted &&
           socket_loop_now(check->loop) < end)
        step(check, end);
    return both_are(check, state);
}

// One at a time: the next goes when the last is back.
static bool exchange(struct check *check, uint64_t until)
{
    struct addr to = turn_client_relayed(check->sides[1].client);
    uint8_t message[SIZE_MAX_BYTES];
    while (check->returned < until && !check->interrupted && !check->damaged) {
        uint64_t number = check->returned;
        nanotime now = socket_loop_now(check->loop), end = now + ANSWER_TIME;
        message_fill(check, number, message);
        if (!turn_client_send(check->sides[0].client, now, &to, bytes_of(message, check->size)))
            return false;
        pump(check);
        while (check->returned == number && !check->interrupted &&
               socket_loop_now(check->loop) < end)
            step(check, end);
        if (check->returned == number)
            return false;
    }
    return check->returned == until && !check->damaged;
}

static bool refresh(struct check *check)
{
    unsigned before[2];
    nanotime now = socket_loop_now(check->loop), end = now + ANSWER_TIME;
    for (unsigned i = 0; i < 2; i++) {
        before[i] = turn_client_stats(check->sides[i].client).refreshes;
        turn_client_refresh(check->sides[i].client, now);
    }
    pump(check);
    while (!check->interrupted && socket_loop_now(check->loop) < end &&
           (turn_client_stats(check->sides[0].client).refreshes == before[0] ||
            turn_client_stats(check->sides[1].client).refreshes == before[1]))
        step(check, end);
    return turn_client_stats(check->sides[0].client).refreshes > before[0] &&
           turn_client_stats(check->sides[1].client).refreshes > before[1];
}

static int failed(const struct check *check, const char *what)
{
    struct bytes reason = {0};
    if (check->interrupted)
        return CLI_INTERRUPTED;
    for (unsigned i = 0; i < 2; i++) {
        if (turn_client_state(check->sides[i].client) != TURN_FAILED)
            continue;
        unsigned code = turn_client_failure(check->sides[i].client, &reason);
        fprintf(stderr, "turn-client: %s: error %u %.*s\n", what, code, (int)reason.len,
                (const char *)reason.at);
        return CLI_FAILED;
    }
    fprintf(stderr, "turn-client: %s\n", what);
    return CLI_FAILED;
}

static int check_server(struct check *check)
{
    char a[ADDR_TEXT_MAX], b[ADDR_TEXT_MAX];
    for (unsigned i = 0; i < 2; i++)
        turn_client_allocate(check->sides[i].client, socket_loop_now(check->loop));
    if (!wait_for_state(check, TURN_ALLOCATED, ANSWER_TIME))
        return failed(check, "no allocation");
    struct addr relays[2] = {turn_client_relayed(check->sides[0].client),
                             turn_client_relayed(check->sides[1].client)};
    printf("relayed     %s, %s\n", addr_print(&relays[0], a), addr_print(&relays[1], b));
    for (unsigned i = 0; i < 2; i++)
        turn_client_permit(check->sides[i].client, socket_loop_now(check->loop), &relays[1 - i].ip);
    if (!exchange(check, (check->messages + 1) / 2))
        return failed(check, "a message did not come back, or not as it was");
    if (!refresh(check))
        return failed(check, "a Refresh was not answered");
    if (!exchange(check, check->messages))
        return failed(check, "after the Refresh, a message did not come back");
    struct turn_client_stats stats = turn_client_stats(check->sides[0].client);
    printf("messages    %llu of %llu bytes, there and back\n", (unsigned long long)check->returned,
           (unsigned long long)check->size);
    printf("requests    %u, of them %u repeated, %u stale nonces, %u permissions, %u channels\n",
           stats.requests, stats.retransmissions, stats.stale_nonces, stats.permissions,
           stats.channel_binds);
    for (unsigned i = 0; i < 2; i++)
        turn_client_release(check->sides[i].client, socket_loop_now(check->loop));
    if (!wait_for_state(check, TURN_RELEASED, ANSWER_TIME))
        return failed(check, "an allocation could not be given back");
    printf("released\n");
    return CLI_PASSED;
}

struct options {
    const char *server, *user;
    uint64_t messages, size;
    bool indications, trace;
};

static bool open_side(struct check *check, unsigned index, const struct options *options,
                      const struct addr *server, struct trace_log *log, struct err *err)
{
    struct side *side = &check->sides[index];
    struct arena arena = {0};
    char *name = arena_text(&arena, options->user), *colon = strchr(name, ':');
    uint64_t seed;
    bool ready = (colon || err_set(err, "--user: expected NAME:PASSWORD, got '%.60s'", name)) &&
                 (getrandom(&seed, sizeof seed, 0) == sizeof seed || // tidy: the real world
                  err_set(err, "the system gives no random bytes")) &&
                 socket_route(server, &side->local, err) &&
                 socket_loop_open(check->loop, &side->local, err);
    if (ready) {
        *colon = 0;
        struct turn_client_config config = {
            .local = side->local,
            .server = *server,
            .username = name,
            .password = colon + 1,
            .channels = !options->indications,
            .rng = rng_seed(seed, "turn-client"),
            .trace = trace_of(options->trace ? log : NULL, index ? "echo" : "turn"),
        };
        side->client = turn_client_new(&config);
    }
    arena_free(&arena);
    return ready;
}

static int run(const struct options *options)
{
    struct check check = {.messages = options->messages, .size = options->size};
    struct trace_log log = {.live_fd = STDERR_FILENO};
    struct addr server;
    struct err err = {0};
    int code = CLI_CANNOT;
    bool ready = socket_resolve(options->server, TURN_PORT, &server, &err) &&
                 (check.loop = socket_loop_new(2, &err));
    for (unsigned i = 0; ready && i < 2; i++)
        ready = open_side(&check, i, options, &server, &log, &err);
    if (ready)
        code = check_server(&check);
    else
        fprintf(stderr, "turn-client: %s\n", err.text);
    for (unsigned i = 0; i < 2; i++)
        turn_client_free(check.sides[i].client);
    socket_loop_free(check.loop);
    text_free(&log.text);
    return code;
}

int cli_turn_client(int argc, char **argv)
{
    struct options to = {.user = "user:password", .messages = 100, .size = 200};
    const struct cli_option options[] = {
        {"user", 0, CLI_TEXT, "NAME:PASSWORD", &to.user, "the credentials (user:password)"},
        {"messages", 0, CLI_NUMBER, "N", &to.messages, "so many, there and back (100)"},
        {"size", 0, CLI_NUMBER, "BYTES", &to.size, "of each, at most 1400 (200)"},
        {"indications", 0, CLI_FLAG, NULL, &to.indications, "Send indications, no channels"},
        {"verbose", 'v', CLI_FLAG, NULL, &to.trace, "trace to stderr"},
        {0},
    };
    const struct cli_command about = {
        .usage = "turn-client HOST[:PORT] [options]",
        .about =
            "Check a TURN server (UDP) over real sockets: two allocations, messages between their\n"
            "relays, a Refresh, release.",
        .options = options,
        .words_min = 1,
        .words_max = 1,
    };
    unsigned words;
    int code;
    if (!cli_parse(&about, argc, argv, &words, &code))
        return code;
    if (to.size > SIZE_MAX_BYTES) {
        fprintf(stderr, "turn-client: --size: expected at most %d\n", SIZE_MAX_BYTES);
        return CLI_CANNOT;
    }
    to.server = argv[1];
    return run(&to);
}
