// simrtc stun: Binding requests over real sockets, and the NAT probe of RFC 5780.
#include "scenarios/runner/cli/cli.h"
#include "scenarios/runner/socket/socket_loop.h"
#include "scenarios/runner/socket/socket_words.h"

#include "stack/stun/stun_client.h"

#include <stdio.h>

#define STUN_PORT 3478
#define TIMEOUT_DEFAULT (5 * TIME_S)
#define TIMEOUT_MAX_MS 3600000

struct probe {
    struct socket_loop *loop;
    struct addr local, server;
    nanotime timeout;
    struct rng rng;
    char software[SOCKET_TEXT_MAX]; // of the newest answer; may be empty
    int code;                       // of the command, once something ended it
};

static void input(struct probe *probe, struct stun_client *client, const struct datagram *datagram)
{
    struct stun_msg msg;
    if (!stun_client_input(client, socket_loop_now(probe->loop), datagram))
        return;
    bool named = stun_decode(datagram->bytes, &msg) == STUN_OK && stun_has(&msg, STUN_SOFTWARE);
    socket_print(named ? msg.software : (struct bytes){0}, probe->software);
}

// A transaction; false: it was not answered, or the command was interrupted.
static bool ask(struct probe *probe, const struct addr *server, bool change_ip, bool change_port,
                struct stun_client_result *out)
{
    nanotime now = socket_loop_now(probe->loop), end = now + probe->timeout;
    struct stun_client_config config = {.local = probe->local,
                                        .server = *server,
                                        .change_ip = change_ip,
                                        .change_port = change_port,
                                        .fingerprint = true,
                                        .rng = rng_seed(rng_u64(&probe->rng), "stun")};
    struct stun_client *client = stun_client_new(&config, now);
    struct datagram datagram;
    while (stun_client_result(client).state == STUN_CLIENT_ASKING && now < end &&
           probe->code == CLI_PASSED) {
        while (stun_client_poll(client, now, &datagram))
            socket_loop_send(probe->loop, &datagram, false);
        nanotime wake = time_min(stun_client_deadline(client), end);
        switch (socket_loop_wait(probe->loop, wake, &datagram)) {
        case SOCKET_DATAGRAM:
            input(probe, client, &datagram);
            break;
        case SOCKET_STREAM: // there is none
        case SOCKET_DEADLINE:
            break;
        case SOCKET_SIGNAL:
            probe->code = CLI_INTERRUPTED;
            break;
        case SOCKET_ERROR:
            probe->code = CLI_CANNOT;
            fprintf(stderr, "stun: cannot wait: %s\n", strerror(socket_loop_signal(probe->loop)));
            break;
        }
        now = socket_loop_now(probe->loop);
    }
    *out = stun_client_result(client);
    stun_client_free(client);
    return out->state == STUN_CLIENT_ANSWERED;
}

static bool fresh_socket(struct probe *probe, struct err *err)
{
    socket_loop_close(probe->loop, &probe->local);
    probe->local.port = 0;
    return socket_loop_open(probe->loop, &probe->local, err);
}

// RFC 5780 4.3: the same socket asks the server's other address, then its other port too.
static const char *mapping(struct probe *probe, const struct stun_client_result *first)
{
    struct stun_client_result two, three;
    struct addr other_ip = {first->other_address.ip, probe->server.port};
    if (!ask(probe, &other_ip, false, false, &two))
        return "unknown: the other address does not answer";
    if (addr_equal(&first->mapped, &two.mapped))
        return addr_equal(&first->mapped, &probe->local) ? "no NAT" : "endpoint-independent";
    if (!ask(probe, &first->other_address, false, false, &three))
        return "unknown: the other port does not answer";
    return addr_equal(&two.mapped, &three.mapped) ? "address-dependent"
                                                  : "address-and-port-dependent";
}

// RFC 5780 4.4: a fresh socket asks for answers from where it never sent to.
static const char *filtering(struct probe *probe)
{
    struct stun_client_result result;
    struct err err = {0};
    if (!fresh_socket(probe, &err) || !ask(probe, &probe->server, false, false, &result))
        return "unknown: the server no longer answers";
    if (ask(probe, &probe->server, true, true, &result))
        return "endpoint-independent";
    if (ask(probe, &probe->server, false, true, &result))
        return "address-dependent";
    return "address-and-port-dependent";
}

static int no_answer(const struct probe *probe, const struct stun_client_result *result)
{
    char text[ADDR_TEXT_MAX];
    if (probe->code != CLI_PASSED)
        return probe->code;
    if (result->state == STUN_CLIENT_REFUSED)
        fprintf(stderr, "stun: %s refused: error %u\n", addr_print(&probe->server, text),
                result->error_code);
    else
        fprintf(stderr, "stun: no answer from %s\n", addr_print(&probe->server, text));
    return CLI_FAILED;
}

// The first answer in full, then the round trip of each further one.
static int report(struct probe *probe, uint64_t count, bool nat)
{
    struct stun_client_result result;
    char text[ADDR_TEXT_MAX], round_trip[TIME_TEXT_MAX];
    if (!ask(probe, &probe->server, false, false, &result))
        return no_answer(probe, &result);
    printf("server      %s\n", addr_print(&result.from, text));
    printf("local       %s\n", addr_print(&probe->local, text));
    printf("mapped      %s\n", addr_print(&result.mapped, text));
    printf("software    %s\n", probe->software[0] ? probe->software : "not named");
    printf("round-trip  %s\n", time_print(result.round_trip, round_trip));
    for (uint64_t i = 1; i < count; i++) {
        struct stun_client_result next;
        if (!ask(probe, &probe->server, false, false, &next))
            return no_answer(probe, &next);
        printf("round-trip  %s%s\n", time_print(next.round_trip, round_trip),
               addr_equal(&next.mapped, &result.mapped) ? "" : ", mapped otherwise");
    }
    if (!nat)
        return CLI_PASSED;
    if (addr_is_none(&result.other_address)) {
        fprintf(stderr, "stun: the server has no OTHER-ADDRESS: RFC 5780 cannot be done with it\n");
        return CLI_FAILED;
    }
    printf("mapping     %s\n", mapping(probe, &result));
    printf("filtering   %s\n", filtering(probe));
    return probe->code;
}

struct options {
    const char *server, *local;
    uint64_t count, timeout_ms;
    bool nat;
};

static int run(const struct options *options)
{
    struct probe probe = {.timeout = TIMEOUT_DEFAULT};
    struct err err = {0};
    if (options->timeout_ms)
        probe.timeout = (nanotime)options->timeout_ms * TIME_MS;
    bool ready =
        (options->timeout_ms <= TIMEOUT_MAX_MS ||
         err_set(&err, "--timeout: expected at most %d", TIMEOUT_MAX_MS)) &&
        // RFC 8489 5: a transaction id on the real network must not be guessed.
        socket_rng(NULL, &probe.rng, &err) &&
        (!options->local || socket_parse_local("local", options->local, 0, &probe.local, &err)) &&
        socket_resolve(options->server, STUN_PORT, &probe.server, &err) &&
        (options->local || socket_route(&probe.server, &probe.local, &err)) &&
        (probe.local.ip.family == probe.server.ip.family ||
         err_set(&err, "--local: the server is of the other address family")) &&
        (probe.loop = socket_loop_new(1, &err)) && socket_loop_open(probe.loop, &probe.local, &err);
    int code = CLI_CANNOT;
    if (ready)
        code = report(&probe, options->count, options->nat);
    else
        fprintf(stderr, "stun: %s\n", err.text);
    socket_loop_free(probe.loop);
    return code;
}

int cli_stun(int argc, char **argv)
{
    struct options to = {.count = 1};
    const struct cli_option options[] = {
        {"local", 0, CLI_TEXT, "ADDR:PORT", &to.local,
         "send from there; --nat takes further ports"},
        {"count", 'c', CLI_NUMBER, "N", &to.count, "so many requests, one after another"},
        {"timeout", 0, CLI_NUMBER, "MS", &to.timeout_ms, "wait so long for each answer (5000)"},
        {"nat", 0, CLI_FLAG, NULL, &to.nat, "find the NAT's mapping and filtering (RFC 5780)"},
        {0},
    };
    const struct cli_command about = {
        .usage = "stun HOST[:PORT] [options]",
        .about = "Ask a STUN server over real sockets what it sees of us. Exit code 1: no answer.",
        .options = options,
        .words_min = 1,
        .words_max = 1,
    };
    unsigned words;
    int code;
    if (!cli_parse(&about, argc, argv, &words, &code))
        return code;
    to.server = argv[1];
    return run(&to);
}
