// simrtc: the program. A command is a row of the table and a function of its own file.
#include "scenarios/runner/cli/cli.h"

#include "base/version.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv); // argv[0]: the program, as it was called
    const char *about;
} commands[] = {
    {"run", cli_run, "run scenario files and folders"},
    {"live", cli_live, "run them in real time, with programs as peers"},
    {"adapter-check", cli_adapter_check, "does a program speak the adapters' protocol?"},
    {"explain", cli_explain, "print the world that a scenario file describes"},
    {"coverage", cli_coverage, "which requirements of the RFCs have scenarios"},
    {"clip", cli_clip, "make media clips for scenarios, and look into them"},
    {"metrics", cli_metrics, "list the names that an expectation may use"},
    {"stun", cli_stun, "ask a STUN server over real sockets, also what the NAT does"},
    {"turn-server", cli_turn_server, "be a STUN and TURN server on real sockets"},
    {"turn-client", cli_turn_client, "check a TURN server over real sockets"},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static int help(void)
{
    printf("simrtc: a deterministic test bench for WebRTC stacks, in virtual time\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  simrtc %-13s  %s\n", commands[i].name, commands[i].about);
    printf("\n  simrtc COMMAND --help, simrtc --version\n");
    return cli_print(&(struct text){0}) ? CLI_PASSED : CLI_CANNOT;
}

static int version(void)
{
    printf("simrtc %s\n", SIMRTC_VERSION);
    return cli_print(&(struct text){0}) ? CLI_PASSED : CLI_CANNOT;
}

static int unknown(const char *name)
{
    const char *words[COMMANDS + 3];
    for (size_t i = 0; i < COMMANDS; i++)
        words[i] = commands[i].name;
    words[COMMANDS] = "--help";
    words[COMMANDS + 1] = "--version";
    words[COMMANDS + 2] = NULL;
    const char *nearest = err_nearest(name, words);
    if (nearest)
        fprintf(stderr, "simrtc: unknown command '%.60s', did you mean '%s'?\n", name, nearest);
    else
        fprintf(stderr, "simrtc: unknown command '%.60s', see simrtc --help\n", name);
    return CLI_CANNOT;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "simrtc: a command is needed, see simrtc --help\n");
        return CLI_CANNOT;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
        return help();
    if (strcmp(word, "--version") == 0)
        return version();
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(word, commands[i].name) != 0)
            continue;
        argv[1] = argv[0];
        return commands[i].run(argc - 1, argv + 1);
    }
    if (strcmp(word, "peer") == 0) // no command for people: live runs start it
        return cli_peer(argc - 1, argv + 1);
    return unknown(word);
}
