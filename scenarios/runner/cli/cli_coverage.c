#include "scenarios/runner/cli/cli.h"

#include "scenarios/runner/suite/coverage.h"

#include <stdio.h>

static int coverage(char *path, bool missing)
{
    struct scenario_set set = {0};
    struct arena arena = {0};
    struct text text = {0};
    struct err err = {0};
    int code = CLI_CANNOT;
    if (cli_load(&set, &path, 1)) {
        const char *requirements = coverage_requirements_find(&arena, path);
        if (!requirements)
            err_set(&err, "%s: there is no " COVERAGE_REQUIREMENTS " in it or above it", path);
        else if (coverage_print(&text, &set, requirements, missing, &err))
            code = CLI_PASSED;
    }
    if (err_is_set(&err))
        fprintf(stderr, "simrtc: %s\n", err.text);
    if (code == CLI_PASSED && !cli_print(&text))
        code = CLI_CANNOT;
    text_free(&text);
    arena_free(&arena);
    scenario_set_free(&set);
    return code;
}

int cli_coverage(int argc, char **argv)
{
    bool missing = false;
    const struct cli_option options[] = {
        {"missing", 0, CLI_FLAG, NULL, &missing, "the requirements that no scenario covers"},
        {0},
    };
    const struct cli_command about = {
        .usage = "coverage [DIR] [options]",
        .about = "Which requirements of the RFCs have a scenario below DIR; default: scenarios.",
        .options = options,
        .words_max = 1,
    };
    char scenarios[] = "scenarios";
    unsigned words;
    int code;
    if (!cli_parse(&about, argc, argv, &words, &code))
        return code;
    return coverage(words ? argv[1] : scenarios, missing);
}
