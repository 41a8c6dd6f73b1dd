#include "scenarios/cli.h"

#include "scenarios/live_peer.h"
#include "scenarios/live_run.h"

// Real peers share the machine with the bench: what is not late within this says something.
#define ALLOWANCE_DEFAULT (20 * TIME_MS)
#define SLACK_DEFAULT (500 * TIME_MS)

int cli_live(int argc, char **argv)
{
    struct live_options real = {
        .program = "/proc/self/exe", .allowance = ALLOWANCE_DEFAULT, .slack = SLACK_DEFAULT};
    return cli_run_in(argc, argv, &real);
}

int cli_peer(int argc, char **argv)
{
    (void)argc, (void)argv;
    return live_peer_main();
}

int cli_adapter_check(int argc, char **argv)
{
    (void)argc, (void)argv;
    return 2;
}
