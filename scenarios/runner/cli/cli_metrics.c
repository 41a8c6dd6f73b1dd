#include "scenarios/runner/cli/cli.h"

#include "scenarios/runner/run/run.h"

int cli_metrics(int argc, char **argv)
{
    const struct cli_command about = {
        .usage = "metrics",
        .about = "List the names that an expectation may use, with unit and meaning.",
    };
    unsigned words;
    int code;
    if (!cli_parse(&about, argc, argv, &words, &code))
        return code;
    struct text text = {0};
    run_print_metrics(&text);
    return cli_print(&text) ? CLI_PASSED : CLI_CANNOT;
}
