#define _GNU_SOURCE // sigabbrev_np
#include "scenarios/runner/suite/suite_priv.h"

#include "reports/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// So many files are made durable together.
#define BATCH_FILES 1024
// Of a live run: to start its programs, and to end them.
#define LIVE_WALL_EXTRA (60 * TIME_S)

// ---------------------------------------------------------------------------------- the results

static void shell_word(struct text *to, const char *word)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=,:%+@";
    if (word[0] && strspn(word, plain) == strlen(word)) {
        text_put(to, word);
        return;
    }
    text_put(to, "'");
    for (const char *c = word; *c; c++) {
        if (*c == '\'')
            text_put(to, "'\\''");
        else
            text_add(to, bytes_of(c, 1));
    }
    text_put(to, "'");
}

const char *suite_replay(struct arena *arena, const struct scenario *scenario, uint64_t seed,
                         bool live)
{
    struct text text = {0};
    text_put(&text, live ? "simrtc live " : "simrtc run ");
    shell_word(&text, scenario->file);
    if (scenario->pair[0])
        text_put(&text, " --matrix peers");
    if (scenario->cell[0]) {
        text_put(&text, " --filter ");
        shell_word(&text, scenario->cell);
    }
    text_printf(&text, " --seed %" PRIu64 " -v", seed);
    const char *copy = arena_text(arena, text.at);
    text_free(&text);
    return copy;
}

const char *suite_path(struct arena *arena, const struct suite *suite, const char *file)
{
    return arena_printf(arena, "%s/%s", suite->out, file);
}

// Letters that mean something to a shell, a file system or Windows become '_', and no part of the
// path begins with a dot: an id stays below the output folder.
const char *suite_folder(struct arena *arena, const struct scenario *scenario)
{
    char *id = arena_text(arena, scenario->id[0] ? scenario->id : "_");
    for (char *c = id; *c; c++) {
        bool first = c == id || c[-1] == '/';
        bool strange = (unsigned char)*c < 0x21 || *c == 0x7f || strchr("\\\"'`$&|;<>*?:!", *c);
        if (strange || (first && (*c == '.' || *c == '/')))
            *c = '_';
    }
    return id;
}

// A row without a run to tell of it.
static struct result row_without_run(struct suite *suite, const struct scenario *scenario,
                                     enum verdict verdict, const char *why)
{
    uint64_t seed = suite->seed ? suite->seed : scenario->seed;
    return (struct result){
        .file = scenario->file,
        .name = scenario->name,
        .cell = scenario->cell,
        .id = scenario->id,
        .seed = seed,
        .verdict = verdict,
        .why = why,
        .cause.at = TIME_NEVER,
        .replay = suite_replay(&suite->arena, scenario, seed, suite->real != NULL),
    };
}

static struct result row_of_death(struct suite *suite, const struct scenario *scenario,
                                  const struct workers_outcome *outcome)
{
    struct arena *arena = &suite->arena;
    char limit[TIME_TEXT_MAX];
    enum verdict verdict = VERDICT_CRASHED;
    const char *why = "";
    switch (outcome->end) {
    case WORKERS_DONE:
    case WORKERS_GARBAGE:
        why = "its worker sent a result that cannot be read";
        break;
    case WORKERS_SIGNALED:
        why = arena_printf(arena, "SIG%s ended its worker", sigabbrev_np(outcome->detail));
        break;
    case WORKERS_EXITED:
        why = arena_printf(arena, "its worker exited with code %d", outcome->detail);
        break;
    case WORKERS_WALL_LIMIT:
        verdict = VERDICT_WALL_LIMIT;
        why = arena_printf(arena, "it took longer than its wall-clock limit of %s",
                           time_print(scenario->wall_limit, limit));
        break;
    case WORKERS_CPU_LIMIT:
        verdict = VERDICT_CPU_LIMIT;
        why = arena_printf(arena, "it needed more CPU time than its limit of %s",
                           time_print(scenario->cpu_limit, limit));
        break;
    case WORKERS_NO_MEMORY:
        verdict = VERDICT_OUT_OF_MEMORY;
        why = arena_printf(arena, "it needed more memory than its limit of %" PRIu64 " KiB",
                           scenario->memory_limit / 1024);
        break;
    }
    files_sweep(suite_path(arena, suite, suite_folder(arena, scenario)), suite->files.tag);
    return row_without_run(suite, scenario, verdict, why);
}

// ------------------------------------------------------------------------------------ the pool

static struct workers_limits limits(void *user, unsigned task)
{
    const struct suite *suite = user;
    const struct scenario *scenario = suite->scenarios[task];
    nanotime wall = scenario->wall_limit;
    if (suite->real) // the scenario's own time is real, too
        wall = time_max(wall, time_add(scenario->limit, LIVE_WALL_EXTRA));
    return (struct workers_limits){scenario->cpu_limit, wall, scenario->memory_limit};
}

// The worker has written the files; they get their names here.
static bool adopt_files(struct suite *suite, const struct result *result)
{
    struct arena arena = {0};
    for (unsigned i = 0; i < result->captures_count; i++)
        batch_add(&suite->files, suite_path(&arena, suite, result->captures[i].file));
    if (result->log)
        batch_add(&suite->files, suite_path(&arena, suite, result->log));
    if (result->keys)
        batch_add(&suite->files, suite_path(&arena, suite, result->keys));
    if (result->stats)
        batch_add(&suite->files, suite_path(&arena, suite, result->stats));
    arena_free(&arena);
    return suite->files.count < BATCH_FILES || batch_commit(&suite->files, suite->err);
}

static void tell_rows(struct suite *suite)
{
    while (suite->told < suite->count && suite->known[suite->told]) {
        const struct result *result = &suite->results[suite->told++];
        if (suite->row)
            suite->row(suite, result);
    }
}

static bool finished(void *user, unsigned task, const struct workers_outcome *outcome)
{
    struct suite *suite = user;
    const struct scenario *scenario = suite->scenarios[task];
    struct result *result = &suite->results[task];
    if (outcome->end != WORKERS_DONE || !result_decode(outcome->bytes, &suite->arena, result))
        *result = row_of_death(suite, scenario, outcome);
    suite->known[task] = true;
    suite->finished++;
    bool failed = verdict_is_failure(result->verdict);
    suite->failed += failed;
    bool adopted = adopt_files(suite, result);
    tell_rows(suite);
    return adopted && !(failed && suite->fail_fast);
}

static void tick(void *user, unsigned task)
{
    struct suite *suite = user;
    if (suite->tick)
        suite->tick(suite, suite->scenarios[task]);
}

enum workers_result suite_run(struct suite *suite, struct err *err)
{
    suite->results = mem_zero(suite->count, sizeof *suite->results);
    suite->known = mem_zero(suite->count, sizeof *suite->known);
    suite->files.tag = (unsigned)getpid();
    suite->hold = folder_hold(suite->out);
    suite->err = err;
    struct workers_config config = {
        .jobs = suite->jobs,
        .count = suite->count,
        .user = suite,
        .start = suite_work_start,
        .run = suite_work_run,
        .limits = limits,
        .finished = finished,
        .tick = tick,
    };
    enum workers_result result = workers_run(&config, err);
    const char *why = result == WORKERS_STOPPED ? "interrupted" : "an earlier run failed";
    for (unsigned i = 0; i < suite->count; i++) {
        const struct scenario *scenario = suite->scenarios[i];
        if (suite->known[i])
            continue;
        suite->known[i] = true;
        suite->results[i] = row_without_run(suite, scenario, VERDICT_NOT_RUN, why);
        const char *folder = suite_folder(&suite->arena, scenario);
        files_sweep(suite_path(&suite->arena, suite, folder), suite->files.tag);
    }
    if (!err_is_set(err))
        tell_rows(suite);
    if (!err_is_set(err) && batch_commit(&suite->files, err))
        return result;
    return WORKERS_ERROR;
}

void suite_free(struct suite *suite)
{
    batch_free(&suite->files);
    if (suite->results && suite->hold >= 0)
        close(suite->hold);
    arena_free(&suite->arena);
    free(suite->results);
    free(suite->known);
}
