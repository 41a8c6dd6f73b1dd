// simrtc stun: one Binding request over real sockets, and the NAT probe of RFC 5780.
#include "scenarios/cli.h"
#include "scenarios/socket_loop.h"

#include "stack/stun/stun_client.h"

#include <stdio.h>
#include <sys/random.h>

#define STUN_PORT 3478
#define TIMEOUT_DEFAULT (5 * TIME_S)

struct probe {
    struct socket_loop *loop;
    struct addr local, server;
    nanotime timeout;
    struct rng rng;
    int code; // of the command, once something ended it
};

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
            stun_client_input(client, socket_loop_now(probe->loop), &datagram);
            break;
        case SOCKET_DEADLINE:
            break;
        case SOCKET_SIGNAL:
        case SOCKET_ERROR:
            probe->code = CLI_INTERRUPTED;
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

static int report(struct probe *probe, bool nat)
{
    struct stun_client_result result;
    char text[ADDR_TEXT_MAX], round_trip[TIME_TEXT_MAX];
    if (!ask(probe, &probe->server, false, false, &result)) {
        if (probe->code != CLI_PASSED)
            return probe->code;
        if (result.state == STUN_CLIENT_REFUSED)
            fprintf(stderr, "stun: %s refused: error %u\n", addr_print(&probe->server, text),
                    result.error_code);
        else
            fprintf(stderr, "stun: no answer from %s\n", addr_print(&probe->server, text));
        return CLI_FAILED;
    }
    printf("server      %s\n", addr_print(&result.from, text));
    printf("local       %s\n", addr_print(&probe->local, text));
    printf("mapped      %s\n", addr_print(&result.mapped, text));
    printf("round-trip  %s\n", time_print(result.round_trip, round_trip));
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

static int run(const char *server, const char *local, uint64_t timeout_ms, bool nat)
{
    struct probe probe = {.timeout = timeout_ms ? (nanotime)timeout_ms * TIME_MS : TIMEOUT_DEFAULT};
    struct err err = {0};
    uint64_t seed;
    // A transaction id on the real network must not be guessed (RFC 8489 5).
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed) // tidy: the real world's randomness
        seed = (uint64_t)clock_real();
    probe.rng = rng_seed(seed, "stun");
    bool ready = socket_resolve(server, STUN_PORT, &probe.server, &err) &&
                 (local ? ip_parse(bytes_text(local), &probe.local.ip) ||
                              err_set(&err, "--local: expected an address, got '%.60s'", local)
                        : socket_route(&probe.server, &probe.local, &err)) &&
                 (probe.loop = socket_loop_new(1, &err)) &&
                 socket_loop_open(probe.loop, &probe.local, &err);
    int code = CLI_CANNOT;
    if (ready)
        code = report(&probe, nat);
    else
        fprintf(stderr, "stun: %s\n", err.text);
    socket_loop_free(probe.loop);
    return code;
}

int cli_stun(int argc, char **argv)
{
    const char *local = NULL;
    uint64_t timeout_ms = 0;
    bool nat = false;
    const struct cli_option options[] = {
        {"local", 0, CLI_TEXT, "ADDR", &local, "send from this address"},
        {"timeout", 0, CLI_NUMBER, "MS", &timeout_ms, "wait so long for each answer (5000)"},
        {"nat", 0, CLI_FLAG, NULL, &nat, "find the NAT's mapping and filtering (RFC 5780)"},
        {0},
    };
    const struct cli_command about = {
        .usage = "stun HOST[:PORT] [options]",
        .about = "Ask a STUN server over real sockets what it sees of us.",
        .options = options,
        .words_min = 1,
        .words_max = 1,
    };
    unsigned words;
    int code;
    if (!cli_parse(&about, argc, argv, &words, &code))
        return code;
    return run(argv[1], local, timeout_ms, nat);
}
