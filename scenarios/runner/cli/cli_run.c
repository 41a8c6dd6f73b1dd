#include "scenarios/runner/cli/cli.h"

#include "reports/report.h"
#include "reports/stats.h"
#include "scenarios/runner/live/live_grid.h"
#include "scenarios/runner/live/live_sandbox.h"
#include "scenarios/runner/live/live_stacks.h"
#include "scenarios/runner/suite/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// A suite that is over sooner shows no progress.
#define PROGRESS_AFTER (2 * TIME_S)
#define OPTIONS_MAX 24

struct run_command {
    uint64_t seed, jobs;
    struct live_options *real; // NULL: virtual time
    const char *allowance, *slack;
    const char *matrix, *stacks, *cells;
    struct scenario_pairs pairs; // of --matrix peers
    const char *out, *filter, *junit, *json;
    const char *stats;
    nanotime stats_interval;
    bool keep_going, verbose, list, captures, clear;

    bool progress; // stderr is a terminal
    bool shown;    // a line of progress stands there
    bool mute;     // stdout is gone, which was said once
    nanotime started;
    unsigned id_width;
};

// ------------------------------------------------------------------------------ on the terminal

static void clear_progress(struct run_command *command)
{
    if (command->shown)
        fputs("\r\033[K", stderr);
    command->shown = false;
}

static void show_row(struct suite *suite, const struct result *result)
{
    struct run_command *command = suite->user;
    struct text text = {0};
    clear_progress(command);
    if (command->mute)
        return;
    report_row(&text, result, command->id_width);
    command->mute = !cli_print(&text);
}

static void show_progress(struct suite *suite, const struct scenario *running)
{
    struct run_command *command = suite->user;
    if (!command->progress || clock_real() - command->started < PROGRESS_AFTER)
        return;
    struct text text = {0};
    report_progress(&text, suite->finished, suite->count, suite->failed, running->id);
    fputs(text.at, stderr);
    text_free(&text);
    command->shown = true;
}

static void show_end(const struct suite *suite, const char *program, struct text *text)
{
    const struct run_command *command = suite->user;
    for (unsigned i = 0; i < suite->count; i++) {
        enum verdict verdict = suite->results[i].verdict;
        if (!verdict_is_failure(verdict) && verdict != VERDICT_TIMING_INVALID &&
            (verdict != VERDICT_UNSUPPORTED || command->matrix))
            continue;
        text_put(text, "\n");
        report_failure(text, &suite->results[i], program, suite->out);
    }
    if (command->matrix) {
        live_grid_print(text, suite->scenarios, suite->results, suite->count);
        text_put(text, "\n");
        live_grid_missing(text, suite->results, suite->count);
    }
    struct report report = {suite->results, suite->count};
    struct report_totals totals = report_totals(&report);
    text_put(text, "\n");
    report_summary(text, &totals, clock_real() - command->started);
    text_printf(text, "report    %s, %s\n", command->json, command->junit);
    if (command->captures)
        text_printf(text, "captures  %s/ID/*.pcap, beside trace.log and keys.log\n", command->out);
}

// ---------------------------------------------------------------------------------- the reports

static bool write_reports(const struct suite *suite, struct err *err)
{
    const struct run_command *command = suite->user;
    struct report report = {suite->results, suite->count};
    struct text json = {0}, junit = {0};
    report_json(&json, &report);
    report_junit(&junit, &report);
    bool written = file_write(command->json, text_bytes(&json), err) &&
                   file_write(command->junit, text_bytes(&junit), err);
    text_free(&json);
    text_free(&junit);
    return written;
}

static int exit_code(const struct suite *suite)
{
    struct report report = {suite->results, suite->count};
    struct report_totals totals = report_totals(&report);
    if (suite->failed)
        return CLI_FAILED;
    return totals.verdicts[VERDICT_UNSUPPORTED] || totals.verdicts[VERDICT_TIMING_INVALID]
               ? CLI_UNSUPPORTED
               : CLI_PASSED;
}

static int cannot(const char *why)
{
    fprintf(stderr, "simrtc: %s\n", why);
    return CLI_CANNOT;
}

// Before anything runs, so that an hour of work does not end at a wrong path. Old reports go: a run
// that is killed leaves none, rather than that of another.
static bool prepare_reports(const struct run_command *command, struct err *err)
{
    if (strcmp(command->json, command->junit) == 0 && strncmp(command->json, "/dev/", 5) != 0)
        return err_set(err, "--json and --junit: expected two files, got %.200s", command->json);
    return folder_make(command->out, err) && file_can_write(command->json, err) &&
           file_can_write(command->junit, err) && file_remove(command->json, err) &&
           file_remove(command->junit, err);
}

static int run_suite(struct run_command *command, const struct scenario_set *set,
                     const char *program)
{
    struct err err = {0};
    struct suite suite = {
        .scenarios = set->scenarios,
        .count = set->count,
        .seed = command->seed,
        .real = command->real,
        .jobs = command->verbose ? 1 : (unsigned)command->jobs,
        .out = command->out,
        .captures = command->captures,
        .clear = command->clear,
        .stats_interval = command->stats_interval,
        .fail_fast = !command->keep_going,
        .live = command->verbose,
        .row = show_row,
        .tick = show_progress,
        .user = command,
    };
    if (!prepare_reports(command, &err))
        return cannot(err.text);
    enum workers_result result = suite_run(&suite, &err);
    clear_progress(command);
    int code = result == WORKERS_STOPPED ? CLI_INTERRUPTED : exit_code(&suite);
    struct text text = {0};
    if (result == WORKERS_ERROR || !write_reports(&suite, &err)) {
        code = cannot(err.text);
    } else if (!command->mute) {
        show_end(&suite, program, &text);
        command->mute = !cli_print(&text);
    }
    code = command->mute ? CLI_CANNOT : code;
    suite_free(&suite);
    return code;
}

// ---------------------------------------------------------------------------------- the command

static int list(const struct scenario_set *set)
{
    struct text text = {0};
    for (unsigned i = 0; i < set->count; i++)
        text_printf(&text, "%s\n", set->scenarios[i]->id);
    return cli_print(&text) ? CLI_PASSED : CLI_CANNOT;
}

static int run_set(struct run_command *command, struct scenario_set *set, const char *program)
{
    if (command->filter)
        cli_filter(set, command->filter);
    if (set->count == 0) {
        fprintf(stderr, "simrtc: no scenario fits --filter '%s'\n", command->filter);
        return CLI_CANNOT;
    }
    if (command->list)
        return list(set);
    struct err err = {0};
    if (command->real && !live_sandbox_enter(&err)) {
        fprintf(stderr, "simrtc: %s\n", err.text);
        return CLI_UNSUPPORTED;
    }
    if (command->jobs > WORKERS_MAX)
        command->jobs = WORKERS_MAX;
    for (unsigned i = 0; i < set->count; i++) {
        unsigned len = (unsigned)strlen(set->scenarios[i]->id);
        command->id_width = len > command->id_width ? len : command->id_width;
    }
    struct arena arena = {0};
    if (!command->json)
        command->json = arena_printf(&arena, "%s/report.json", command->out);
    if (!command->junit)
        command->junit = arena_printf(&arena, "%s/junit.xml", command->out);
    int code = run_suite(command, set, program);
    arena_free(&arena);
    return code;
}

// Other people's programs have no part in virtual time: their scenarios are for simrtc live. Who
// filters knows what is wanted, and is told nothing.
static bool leave_out_live(struct scenario_set *set, bool tell)
{
    unsigned kept = 0, before = set->count;
    for (unsigned i = 0; i < set->count; i++) {
        if (!scenario_is_live(set->scenarios[i]))
            set->scenarios[kept++] = set->scenarios[i];
    }
    set->count = kept;
    if (tell && kept > 0 && kept < before)
        fprintf(
            stderr,
            "simrtc: %u of %u runs left out: they are of other programs, which simrtc live runs\n",
            before - kept, before);
    if (kept > 0 || before == 0)
        return true;
    fprintf(stderr, "simrtc: these scenarios are of other programs: simrtc live runs them\n");
    return false;
}

// The words of "a,b", in the arena.
static const char **words_of(struct arena *arena, const char *list, unsigned *count)
{
    const char **words = arena_alloc(arena, (strlen(list) + 1) * sizeof *words);
    *count = 0;
    for (const char *at = list; *at;) {
        size_t len = strcspn(at, ",");
        if (len > 0)
            words[(*count)++] = arena_printf(arena, "%.*s", (int)len, at);
        at += at[len] ? len + 1 : len;
    }
    return words;
}

static bool keep_cells(struct scenario_set *set, const char *const *cells, unsigned count)
{
    unsigned kept = 0;
    bool *known = mem_zero(count, sizeof *known);
    for (unsigned i = 0; i < set->count; i++) {
        bool wanted = count == 0;
        for (unsigned j = 0; j < count; j++) {
            bool is = live_stacks_is_cell(set->scenarios[i]->file, cells[j]);
            known[j] |= is;
            wanted |= is;
        }
        if (wanted)
            set->scenarios[kept++] = set->scenarios[i];
    }
    set->count = kept;
    bool all = true;
    for (unsigned j = 0; j < count && all; j++) {
        all = known[j];
        if (!all)
            fprintf(stderr, "simrtc: --cells: no file of the matrix has the name '%.60s.yaml'\n",
                    cells[j]);
    }
    free(known);
    return all;
}

// --matrix, --stacks and --cells, and with them the files. The words are in the set's arena.
static bool load_matrix_of(struct run_command *command, struct scenario_set *set, char **paths,
                           unsigned count)
{
    if (!command->matrix && (command->stacks || command->cells)) {
        fprintf(stderr, "simrtc: --stacks and --cells are of --matrix peers\n");
        return false;
    }
    if (!command->matrix)
        return cli_load(set, paths, count);
    if (strcmp(command->matrix, "peers") != 0) {
        fprintf(stderr, "simrtc: --matrix: expected peers, got '%.60s'\n", command->matrix);
        return false;
    }
    unsigned cells_count = 0;
    const char **cells = NULL;
    if (command->stacks)
        command->pairs.only = words_of(&set->arena, command->stacks, &command->pairs.only_count);
    if (command->cells)
        cells = words_of(&set->arena, command->cells, &cells_count);
    set->pairs = &command->pairs;
    if (!cli_load(set, paths, count) || !keep_cells(set, cells, cells_count))
        return false;
    if (set->count == 0)
        fprintf(stderr,
                "simrtc: none of these files has 'stacks', which --matrix peers is about\n");
    return set->count > 0;
}

static bool span(const char *option, const char *text, nanotime *out)
{
    if (!text || (time_parse(bytes_text(text), out) && *out > 0 && *out < TIME_NEVER))
        return true;
    fprintf(stderr, "simrtc: --%s: expected a time such as 20ms, got '%.60s'\n", option, text);
    return false;
}

int cli_run_loaded(struct scenario_set *set, struct live_options *real, const char *out,
                   const char *program)
{
    struct run_command command = {
        .real = real,
        .jobs = 1,
        .out = out,
        .keep_going = true,
        .captures = true,
        .progress = isatty(STDERR_FILENO),
        .started = clock_real(),
    };
    return run_set(&command, set, program);
}

// Those of a live run alone, or of one in virtual time, behind the others.
static void options_more(struct run_command *command, struct cli_option *options)
{
    const struct cli_option live[] = {
        {"allowance", 0, CLI_TEXT, "TIME", &command->allowance,
         "how late 99 of 100 packets may be forwarded; default 20ms"},
        {"slack", 0, CLI_TEXT, "TIME", &command->slack,
         "more time for what is expected within a time; default 500ms"},
        {"matrix", 0, CLI_TEXT, "peers", &command->matrix,
         "each file with `stacks`, once for every ordered pair of them; ends with a grid"},
        {"stacks", 0, CLI_TEXT, "A,B", &command->stacks, "of the matrix: these alone"},
        {"cells", 0, CLI_TEXT, "X,Y", &command->cells, "of the matrix: the files of these names"},
        {0},
    };
    const struct cli_option virtual[] = {
        {"clear", 0, CLI_FLAG, NULL, &command->clear,
         "also PEER.clear.pcap: RTP and RTCP as before and after SRTP"},
        {"stats", 0, CLI_TEXT, "TIME", &command->stats,
         "stats.json beside the captures: getStats() every TIME, and at the end"},
        {0},
    };
    while (options->name)
        options++;
    memcpy(options, command->real ? live : virtual, command->real ? sizeof live : sizeof virtual);
}

// At least STATS_INTERVAL_MIN: the document would be longer than anybody reads.
static bool stats_span(struct run_command *command)
{
    if (!span("stats", command->stats, &command->stats_interval))
        return false;
    if (!command->stats || command->stats_interval >= STATS_INTERVAL_MIN)
        return true;
    fprintf(stderr, "simrtc: --stats: expected a time of at least %d ms, got '%.60s'\n",
            (int)(STATS_INTERVAL_MIN / TIME_MS), command->stats);
    return false;
}

int cli_run(int argc, char **argv)
{
    return cli_run_in(argc, argv, NULL);
}

int cli_run_in(int argc, char **argv, struct live_options *real)
{
    long processors = real ? 1 : sysconf(_SC_NPROCESSORS_ONLN);
    struct run_command command = {
        .real = real,
        .jobs = processors > 0 ? (uint64_t)processors : 1,
        .out = "simrtc-out",
        .keep_going = true,
        .captures = true,
        .progress = isatty(STDERR_FILENO),
        .started = clock_real(),
    };
    struct cli_option options[OPTIONS_MAX] = {
        {"seed", 0, CLI_NUMBER, "N", &command.seed, "instead of each scenario's own seed"},
        {"jobs", 'j', CLI_NUMBER, "N", &command.jobs, "workers at a time; default: one a CPU"},
        {"out", 0, CLI_TEXT, "DIR", &command.out, "where files go; default: ./simrtc-out"},
        {"filter", 0, CLI_TEXT, "TEXT", &command.filter,
         "runs with this in their id, name or cell; a whole id or cell is that one"},
        {"keep-going", 0, CLI_FLAG, NULL, &command.keep_going, "after a failure; the default"},
        {"fail-fast", 0, CLI_OFF, NULL, &command.keep_going, "start nothing after a failure"},
        {"json", 0, CLI_TEXT, "FILE", &command.json, "default: DIR/report.json"},
        {"junit", 0, CLI_TEXT, "FILE", &command.junit, "default: DIR/junit.xml"},
        {"no-captures", 0, CLI_OFF, NULL, &command.captures, "write no captures and no logs"},
        {"list", 0, CLI_FLAG, NULL, &command.list, "print the ids of the runs, run nothing"},
        {"verbose", 'v', CLI_FLAG, NULL, &command.verbose,
         "the trace of each run to the terminal, one run at a time"},
        {0},
    };
    options_more(&command, options);
    static const char live_about[] =
        "Run scenarios in real time: each peer is a process in a network namespace, and this one "
        "the\nnetwork between them. Needs root or user namespaces, and /dev/net/tun.\nExit code: 0 "
        "all passed, 1 some failed, 2 could not run, 127 something is missing here, or\nthis "
        "machine was too busy for a verdict, 130 interrupted.";
    const struct cli_command about = {
        .usage = real ? "live FILE|DIR... [options]" : "run FILE|DIR... [options]",
        .about =
            real ? live_about
                 : "Run scenarios, and all *.yaml below folders. All files are checked before "
                   "anything runs.\nExit code: 0 all passed, 1 some failed, 2 could not run, 127 "
                   "something is missing here,\n130 interrupted.",
        .options = options,
        .words_min = 1,
        .words_max = 100000,
    };
    unsigned words;
    int code;
    if (!cli_parse(&about, argc, argv, &words, &code))
        return code;
    struct scenario_set set = {0};
    bool good = load_matrix_of(&command, &set, argv + 1, words) &&
                (real || leave_out_live(&set, !command.filter)) &&
                span("allowance", command.allowance, real ? &real->allowance : NULL) &&
                span("slack", command.slack, real ? &real->slack : NULL) && stats_span(&command);
    code = good ? run_set(&command, &set, argv[0]) : CLI_CANNOT;
    scenario_set_free(&set);
    return code;
}
