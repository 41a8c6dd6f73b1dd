#include "scenarios/runner/cli/cli.h"

#include "scenarios/runner/cli/explain.h"

#include <stdio.h>

int cli_explain(int argc, char **argv)
{
    const char *filter = NULL;
    const struct cli_option options[] = {
        {"filter", 0, CLI_TEXT, "TEXT", &filter, "only cells with this in their id, name or cell"},
        {0},
    };
    const struct cli_command about = {
        .usage = "explain FILE [options]",
        .about = "Print the world that a scenario file describes, a cell of its matrix after the "
                 "other.",
        .options = options,
        .words_min = 1,
        .words_max = 1,
    };
    unsigned words;
    int code;
    if (!cli_parse(&about, argc, argv, &words, &code))
        return code;
    struct scenario_set set = {0};
    struct text text = {0};
    code = cli_load(&set, argv + 1, words) ? CLI_PASSED : CLI_CANNOT;
    if (code == CLI_PASSED && filter)
        cli_filter(&set, filter);
    for (unsigned i = 0; code == CLI_PASSED && i < set.count; i++) {
        if (i > 0)
            text_put(&text, "\n");
        explain(&text, set.scenarios[i]);
    }
    if (code == CLI_PASSED && set.count == 0) {
        fprintf(stderr, "simrtc: no scenario fits --filter '%s'\n", filter);
        code = CLI_CANNOT;
    }
    if (!cli_print(&text))
        code = CLI_CANNOT;
    scenario_set_free(&set);
    return code;
}
