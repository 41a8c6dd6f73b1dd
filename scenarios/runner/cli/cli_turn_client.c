// simrtc turn-client: is a TURN server whole? Two allocations on it send to each other through
// their relays, message by message, and every one must come back as it was. Once by channels, once
// by Send indications, from new sockets: servers keep an address that had an allocation for a while
// (coturn answers 437).
#include "scenarios/runner/cli/cli.h"
#include "scenarios/runner/socket/socket_loop.h"
#include "scenarios/runner/socket/socket_words.h"

#include "stack/turn/turn.h"
#include "stack/turn/turn_stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define TURN_PORT 3478
#define ANSWER_TIME (5 * TIME_S) // for each step
#define SIZE_MAX_BYTES 1400
#define STAY_MAX_MS 3600000
// A deadline further away than this is no retransmission: the client waits for a timer to be due.
#define IDLE (20 * TIME_S)
#define IDLE_TCP (45 * TIME_S) // RFC 8489 6.2.2: a request by TCP waits for 39.5 s

struct side {
    struct addr local;
    struct turn_client *client;
    // By TCP.
    int stream; // -1: none
    bool open, broken;
    struct addr server;
    struct turn_stream framing;
};

struct check {
    struct socket_loop *loop;
    struct socket_streams *streams; // NULL: by UDP
    struct trace_log log;
    struct side sides[2]; // [0] asks, [1] echoes
    bool channels;        // in this round
    uint64_t messages, size;
    nanotime stay;
    uint64_t returned;
    uint64_t channel_data_sent, channel_data_received; // datagrams of both sides
    bool damaged;
    int over; // the exit code, once the system or a signal ended it
};

// RFC 8656 12.4: the first two bits tell ChannelData from STUN.
static bool is_channel_data(struct bytes datagram)
{
    return datagram.len > 0 && datagram.at[0] >> 6 == 1;
}

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

// By TCP a redirection would need another connection: that server is none that this command can
// ask.
static void side_send(struct check *check, struct side *side, const struct datagram *datagram)
{
    if (!check->streams) {
        socket_loop_send(check->loop, datagram, false);
        return;
    }
    if (addr_equal(&datagram->to, &side->server) &&
        socket_streams_send(check->streams, (unsigned)side->stream, datagram->bytes))
        return;
    side->broken = true;
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
                if (out.kind == TURN_SEND) {
                    check->channel_data_sent += is_channel_data(out.datagram.bytes);
                    side_send(check, side, &out.datagram);
                } else if (out.kind == TURN_DATA)
                    received(check, i, &out.datagram);
            }
        }
    }
    text_clear(&check->log.text); // its lines are written already
}

static nanotime deadline(const struct check *check)
{
    return time_min(turn_client_deadline(check->sides[0].client),
                    turn_client_deadline(check->sides[1].client));
}

static void side_take(struct check *check, struct side *side, struct bytes bytes)
{
    struct datagram message = {.from = side->server, .to = side->local};
    enum turn_stream_outcome outcome;
    turn_stream_input(&side->framing, bytes);
    while ((outcome = turn_stream_next(&side->framing, &message.bytes)) == TURN_STREAM_MESSAGE) {
        check->channel_data_received += is_channel_data(message.bytes);
        turn_client_input(side->client, socket_loop_now(check->loop), &message);
    }
    side->broken |= turn_stream_is_bad(outcome);
}

static void take_stream(struct check *check, const struct socket_stream_event *event)
{
    for (unsigned i = 0; i < 2; i++) {
        struct side *side = &check->sides[i];
        if (side->stream < 0 || (unsigned)side->stream != event->id)
            continue;
        switch (event->kind) {
        case SOCKET_STREAM_OPENED:
            side->open = true;
            break;
        case SOCKET_STREAM_BYTES:
            side_take(check, side, event->bytes);
            break;
        case SOCKET_STREAM_CLOSED:
        case SOCKET_STREAM_REFUSED:
            side->stream = -1;
            side->broken = true;
            break;
        }
        if (side->broken && side->client)
            turn_client_disconnected(side->client, socket_loop_now(check->loop),
                                     "the connection is gone");
    }
}

// Wait for one event, no longer than to `end`, and do what it calls for.
static void step(struct check *check, nanotime end)
{
    struct datagram datagram;
    switch (socket_loop_wait(check->loop, time_min(deadline(check), end), &datagram)) {
    case SOCKET_DATAGRAM:
        check->channel_data_received += is_channel_data(datagram.bytes);
        for (unsigned i = 0; i < 2; i++) {
            if (addr_equal(&datagram.to, &check->sides[i].local))
                turn_client_input(check->sides[i].client, socket_loop_now(check->loop), &datagram);
        }
        break;
    case SOCKET_STREAM:
        take_stream(check, socket_loop_stream(check->loop));
        break;
    case SOCKET_DEADLINE:
        break;
    case SOCKET_SIGNAL:
        check->over = CLI_INTERRUPTED;
        break;
    case SOCKET_ERROR:
        check->over = CLI_CANNOT;
        fprintf(stderr, "turn-client: cannot wait: %s\n",
                strerror(socket_loop_signal(check->loop)));
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
    while (!both_are(check, state) && !any_is(check, TURN_FAILED) && !check->over &&
           socket_loop_now(check->loop) < end)
        step(check, end);
    return both_are(check, state);
}

// One at a time: the next goes when the last is back.
static bool exchange(struct check *check, uint64_t until)
{
    struct addr to = turn_client_relayed(check->sides[1].client);
    uint8_t message[SIZE_MAX_BYTES];
    while (check->returned < until && !check->over && !check->damaged) {
        uint64_t number = check->returned;
        nanotime now = socket_loop_now(check->loop), end = now + ANSWER_TIME;
        message_fill(check, number, message);
        if (!turn_client_send(check->sides[0].client, now, &to, bytes_of(message, check->size)))
            return false;
        pump(check);
        while (check->returned == number && !check->over && socket_loop_now(check->loop) < end)
            step(check, end);
        if (check->returned == number)
            return false;
    }
    return check->returned == until && !check->damaged;
}

static bool refreshed(const struct check *check, const struct turn_client_stats before[2])
{
    return turn_client_stats(check->sides[0].client).refreshes > before[0].refreshes &&
           turn_client_stats(check->sides[1].client).refreshes > before[1].refreshes;
}

static bool refresh(struct check *check)
{
    struct turn_client_stats before[2];
    nanotime now = socket_loop_now(check->loop), end = now + ANSWER_TIME;
    for (unsigned i = 0; i < 2; i++) {
        before[i] = turn_client_stats(check->sides[i].client);
        turn_client_refresh(check->sides[i].client, now);
    }
    pump(check);
    while (!check->over && socket_loop_now(check->loop) < end && !refreshed(check, before))
        step(check, end);
    return refreshed(check, before);
}

static bool renewed(const struct check *check, const struct turn_client_stats before[2])
{
    for (unsigned i = 0; i < 2; i++) {
        struct turn_client_stats now = turn_client_stats(check->sides[i].client);
        if (now.permissions == before[i].permissions ||
            (check->channels && now.channel_binds == before[i].channel_binds))
            return false;
    }
    return true;
}

// Permissions and channels are renewed minutes after they were made. The clients know no other time
// than what they are told: they are told that it has come.
static bool renew(struct check *check)
{
    struct turn_client_stats before[2];
    for (unsigned i = 0; i < 2; i++)
        before[i] = turn_client_stats(check->sides[i].client);
    nanotime end = socket_loop_now(check->loop) + ANSWER_TIME;
    while (!check->over && !any_is(check, TURN_FAILED) && !renewed(check, before) &&
           socket_loop_now(check->loop) < end) {
        nanotime now = socket_loop_now(check->loop), wake = deadline(check);
        if (wake != TIME_NEVER && wake - now > (check->streams ? IDLE_TCP : IDLE)) {
            socket_loop_skip(check->loop, wake - now);
            end = time_add(end, wake - now);
        }
        step(check, end);
    }
    return renewed(check, before);
}

// Hold the allocations for a while of real time, as nonces age.
static bool stay(struct check *check)
{
    nanotime end = socket_loop_now(check->loop) + check->stay;
    while (!check->over && !any_is(check, TURN_FAILED) && socket_loop_now(check->loop) < end)
        step(check, end);
    return !check->over && both_are(check, TURN_ALLOCATED);
}

static int failed(const struct check *check, const char *what)
{
    struct bytes reason = {0};
    char text[SOCKET_TEXT_MAX];
    if (check->over)
        return check->over;
    for (unsigned i = 0; i < 2; i++) {
        if (turn_client_state(check->sides[i].client) != TURN_FAILED)
            continue;
        unsigned code = turn_client_failure(check->sides[i].client, &reason);
        fprintf(stderr, "turn-client: %s: error %u %s\n", what, code, socket_print(reason, text));
        return CLI_FAILED;
    }
    fprintf(stderr, "turn-client: %s\n", what);
    return CLI_FAILED;
}

static void print_round(const struct check *check)
{
    unsigned requests = 0, repeated = 0, stale = 0, permissions = 0, channels = 0;
    for (unsigned i = 0; i < 2; i++) {
        struct turn_client_stats stats = turn_client_stats(check->sides[i].client);
        requests += stats.requests;
        repeated += stats.retransmissions;
        stale += stats.stale_nonces;
        permissions += stats.permissions;
        channels += stats.channel_binds;
    }
    printf("messages    %" PRIu64 " of %" PRIu64 " bytes, there and back; ChannelData %" PRIu64
           " sent, %" PRIu64 " received\n",
           check->returned, check->size, check->channel_data_sent, check->channel_data_received);
    printf("requests    %u, of them %u repeated; %u stale nonces, %u permissions, %u channels\n",
           requests, repeated, stale, permissions, channels);
}

// Both sides, before anything is sent: what reaches a relay without a permission is lost.
static bool permit(struct check *check, const struct addr relays[2])
{
    nanotime now = socket_loop_now(check->loop), end = now + ANSWER_TIME;
    for (unsigned i = 0; i < 2; i++)
        turn_client_permit(check->sides[i].client, now, &relays[1 - i].ip);
    pump(check);
    bool both = false;
    while (!both && !check->over && socket_loop_now(check->loop) < end) {
        step(check, end);
        both = turn_client_stats(check->sides[0].client).permissions > 0 &&
               turn_client_stats(check->sides[1].client).permissions > 0;
    }
    return both;
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
    printf("%s\n", check->channels ? "by channels" : "by Send indications");
    printf("relayed     %s, %s\n", addr_print(&relays[0], a), addr_print(&relays[1], b));
    if (!permit(check, relays))
        return failed(check, "no permission");
    if (!exchange(check, (check->messages + 1) / 2))
        return failed(check, "a message did not come back, or not as it was");
    if (!stay(check))
        return failed(check, "the allocation did not hold");
    if (!refresh(check))
        return failed(check, "a Refresh was not answered");
    if (!renew(check))
        return failed(check, "a permission or a channel was not renewed");
    if (!exchange(check, check->messages))
        return failed(check, "after the Refresh, a message did not come back");
    print_round(check);
    for (unsigned i = 0; i < 2; i++)
        turn_client_release(check->sides[i].client, socket_loop_now(check->loop));
    if (!wait_for_state(check, TURN_RELEASED, ANSWER_TIME))
        return failed(check, "an allocation could not be given back");
    printf("released\n");
    return CLI_PASSED;
}

struct options {
    const char *server, *user;
    uint64_t messages, size, family, stay_ms;
    bool channels, indications, tcp, trace;
};

static bool is_known(const struct side *side)
{
    return side->open || side->broken;
}

// Both sides by TCP, each on a connection of its own.
static bool connect_sides(struct check *check, const struct addr *server, struct err *err)
{
    char text[ADDR_TEXT_MAX];
    for (unsigned i = 0; i < 2; i++) {
        struct side *side = &check->sides[i];
        side->server = *server;
        turn_stream_init(&side->framing, false);
        side->stream = socket_streams_connect(check->streams, &side->local, server);
        side->broken = side->stream < 0;
    }
    nanotime end = socket_loop_now(check->loop) + ANSWER_TIME;
    struct datagram none;
    while (!(is_known(&check->sides[0]) && is_known(&check->sides[1])) &&
           socket_loop_now(check->loop) < end) {
        enum socket_event event = socket_loop_wait(check->loop, end, &none);
        if (event == SOCKET_STREAM)
            take_stream(check, socket_loop_stream(check->loop));
        else if (event != SOCKET_DATAGRAM)
            break;
    }
    if (check->sides[0].open && check->sides[1].open)
        return true;
    return err_set(err, "no connection to %s by TCP", addr_print(server, text));
}

static bool reach(struct check *check, const struct addr *server, struct err *err)
{
    for (unsigned i = 0; i < 2; i++) {
        struct side *side = &check->sides[i];
        side->stream = -1;
        if (!socket_route(server, &side->local, err) ||
            (!check->streams && !socket_loop_open(check->loop, &side->local, err)))
            return false;
    }
    return !check->streams || connect_sides(check, server, err);
}

static void side_end(struct check *check, struct side *side)
{
    if (check->streams && side->stream >= 0)
        socket_streams_close(check->streams, (unsigned)side->stream);
    if (!check->streams)
        socket_loop_close(check->loop, &side->local);
    turn_stream_fini(&side->framing);
    turn_client_free(side->client);
    *side = (struct side){0};
}

// Two new clients on two new sockets.
static int round_of(struct check *check, const struct options *options,
                    const struct socket_user *user, const struct addr *server, bool channels,
                    struct err *err)
{
    check->channels = channels;
    check->returned = check->channel_data_sent = check->channel_data_received = 0;
    struct rng rng;
    bool ready = socket_rng(NULL, &rng, err) && reach(check, server, err);
    for (unsigned i = 0; ready && i < 2; i++) {
        struct side *side = &check->sides[i];
        struct turn_client_config config = {
            .local = side->local,
            .server = *server,
            .username = user->name,
            .password = user->password,
            .family = options->family == 4   ? IP_V4
                      : options->family == 6 ? IP_V6
                                             : IP_NONE,
            .channels = channels,
            .stream = options->tcp,
            .rng = rng_seed(rng_u64(&rng), "turn-client"),
            .trace = trace_of(options->trace ? &check->log : NULL, i ? "echo" : "turn"),
        };
        side->client = ready ? turn_client_new(&config) : NULL;
    }
    int code = ready ? check_server(check) : CLI_CANNOT;
    for (unsigned i = 0; i < 2; i++)
        side_end(check, &check->sides[i]);
    return code;
}

static bool is_possible(const struct options *options, struct err *err)
{
    if (options->size > SIZE_MAX_BYTES)
        return err_set(err, "--size: expected at most %d", SIZE_MAX_BYTES);
    if (options->family && options->family != 4 && options->family != 6)
        return err_set(err, "--family: expected 4 or 6");
    if (options->stay_ms > STAY_MAX_MS)
        return err_set(err, "--stay: expected at most %d", STAY_MAX_MS);
    return true;
}

static int run(const struct options *options, struct arena *arena, struct err *err)
{
    struct check check = {.log = {.live_fd = STDERR_FILENO},
                          .messages = options->messages,
                          .size = options->size,
                          .stay = (nanotime)options->stay_ms * TIME_MS};
    struct addr server;
    struct socket_user user;
    bool both = options->channels == options->indications;
    bool ready = socket_parse_user(options->user, arena, &user, err) &&
                 socket_resolve(options->server, TURN_PORT, &server, err) &&
                 (check.loop = socket_loop_new(2, err));
    if (ready && options->tcp)
        check.streams = socket_loop_streams(check.loop, 2);
    int code = ready ? CLI_PASSED : CLI_CANNOT;
    if (ready && (both || options->channels))
        code = round_of(&check, options, &user, &server, true, err);
    if (code == CLI_PASSED && (both || options->indications))
        code = round_of(&check, options, &user, &server, false, err);
    socket_loop_free(check.loop);
    text_free(&check.log.text);
    return code;
}

int cli_turn_client(int argc, char **argv)
{
    struct options to = {.user = "user:password", .messages = 100, .size = 200};
    const struct cli_option options[] = {
        {"user", 0, CLI_TEXT, "NAME:PASSWORD", &to.user, "the credentials (user:password)"},
        {"messages", 0, CLI_NUMBER, "N", &to.messages, "so many, there and back (100)"},
        {"size", 0, CLI_NUMBER, "BYTES", &to.size, "of each, at most 1400 (200)"},
        {"channels", 0, CLI_FLAG, NULL, &to.channels, "by channels alone"},
        {"indications", 0, CLI_FLAG, NULL, &to.indications, "by Send indications alone"},
        {"tcp", 0, CLI_FLAG, NULL, &to.tcp, "speak to the server by TCP"},
        {"family", 0, CLI_NUMBER, "4|6", &to.family, "of the relayed addresses (the server's)"},
        {"stay", 0, CLI_NUMBER, "MS", &to.stay_ms, "hold the allocations so long before Refresh"},
        {"verbose", 'v', CLI_FLAG, NULL, &to.trace, "trace to stderr"},
        {0},
    };
    const struct cli_command about = {
        .usage = "turn-client HOST[:PORT] [options]",
        .about =
            "Check a TURN server over real sockets: two allocations, messages between their\n"
            "relays, Refresh, renewal of permissions and channels, release. First by channels, "
            "then\n"
            "by Send indications.",
        .options = options,
        .words_min = 1,
        .words_max = 1,
    };
    unsigned words;
    int code;
    if (!cli_parse(&about, argc, argv, &words, &code))
        return code;
    struct arena arena = {0};
    struct err err = {0};
    to.server = argv[1];
    code = is_possible(&to, &err) ? run(&to, &arena, &err) : CLI_CANNOT;
    if (err_is_set(&err))
        fprintf(stderr, "turn-client: %s\n", err.text);
    arena_free(&arena);
    return code;
}
