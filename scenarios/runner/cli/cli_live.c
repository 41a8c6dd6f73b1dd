#include "scenarios/runner/cli/cli.h"

#include "scenarios/runner/live/live_peer.h"
#include "scenarios/runner/live/live_run.h"

int cli_live(int argc, char **argv)
{
    struct live_options real = {
        .program = "/proc/self/exe", .allowance = LIVE_ALLOWANCE, .slack = LIVE_SLACK};
    return cli_run_in(argc, argv, &real);
}

int cli_peer(int argc, char **argv)
{
    (void)argc, (void)argv;
    return live_peer_main();
}
