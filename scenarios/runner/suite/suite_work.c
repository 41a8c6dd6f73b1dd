#include "scenarios/runner/suite/suite_priv.h"

#include "scenarios/runner/run/run.h"

#include <string.h>
#include <unistd.h>

bool suite_work_start(void *user, struct err *err)
{
    const struct suite *suite = user;
    if (suite->hold >= 0)
        close(suite->hold); // the parent's alone: a killed one holds the folder no more
    return run_library_init(err);
}

// Written under a temporary name; the parent gives all files their names together.
static bool write_capture(const struct suite *suite, const struct world *world, unsigned capture,
                          const char *path, struct err *err)
{
    int fd = file_begin(path, suite->files.tag, err);
    if (fd < 0)
        return false;
    struct err why = {0};
    bool whole = world_capture_write(world, capture, fd, &why);
    if (!whole)
        err_set(err, "%s: %s", path, why.text);
    return file_end(fd, path, suite->files.tag, whole, err) && whole;
}

static bool write_file(const struct suite *suite, struct bytes bytes, const char *path,
                       struct err *err)
{
    int fd = file_begin(path, suite->files.tag, err);
    if (fd < 0)
        return false;
    bool whole = file_put(fd, path, bytes, err);
    return file_end(fd, path, suite->files.tag, whole, err) && whole;
}

// A text of the run's beside its captures; an empty one is not written. `*file` is its name.
static bool write_text(const struct suite *suite, struct arena *arena, struct text *text,
                       const char *name, const char **file, struct err *err)
{
    if (text->len > 0)
        *file = name;
    bool written =
        !*file || write_file(suite, text_bytes(text), suite_path(arena, suite, name), err);
    text_free(text);
    return written;
}

static bool write_files(const struct suite *suite, struct run *run, const struct scenario *scenario,
                        struct arena *arena, struct result *result, struct err *err)
{
    const struct world *world = run_world(run);
    const char *folder = suite_folder(arena, scenario);
    unsigned count = world_captures(world);
    struct result_capture *captures = arena_alloc(arena, count * sizeof *captures);
    for (unsigned i = 0; i < count; i++) {
        const char *point = world_capture_name(world, i);
        captures[i] = (struct result_capture){
            .point = point,
            .file = arena_printf(arena, "%s/%s.pcap", folder, point),
            .packets = world_capture_count(world, i),
        };
        if (!write_capture(suite, world, i, suite_path(arena, suite, captures[i].file), err))
            return false;
    }
    result->captures = captures;
    result->captures_count = count;
    result->log = arena_printf(arena, "%s/trace.log", folder);
    if (!write_file(suite, run_log(run), suite_path(arena, suite, result->log), err))
        return false;
    struct text keys = {0}, stats = {0};
    run_key_log(run, &keys);
    (void)run_stats(run, &stats);
    bool written = write_text(suite, arena, &keys, arena_printf(arena, "%s/keys.log", folder),
                              &result->keys, err);
    return write_text(suite, arena, &stats, arena_printf(arena, "%s/stats.json", folder),
                      &result->stats, err) &&
           written;
}

// The run names a vantage point; reports name its file.
static void name_cause(struct result *result)
{
    const char *point = result->cause.capture;
    result->cause.capture = NULL;
    for (unsigned i = 0; point && i < result->captures_count; i++) {
        if (strcmp(result->captures[i].point, point) == 0)
            result->cause.capture = result->captures[i].file;
    }
    if (!result->cause.capture)
        result->cause.packet = 0;
}

bool suite_work_run(void *user, unsigned task, struct text *out, struct err *err)
{
    const struct suite *suite = user;
    const struct scenario *scenario = suite->scenarios[task];
    // Packets are always kept while it runs: expectations and invariants look at them.
    struct run_options options = {
        .seed = suite->seed,
        .real = suite->real,
        .capture = true,
        .clear = suite->clear,
        .stats_interval = suite->captures ? suite->stats_interval : 0,
        .log = suite->captures || suite->live,
        .live_fd = suite->live ? STDOUT_FILENO : -1,
    };
    struct arena arena = {0};
    struct result result = {0};
    struct run *run = run_new(scenario, &options);
    run_go(run);
    run_result(run, &result);
    bool written = !suite->captures || write_files(suite, run, scenario, &arena, &result, err);
    name_cause(&result);
    result.replay = suite_replay(&arena, scenario, result.seed, suite->real != NULL);
    if (written)
        result_encode(out, &result);
    run_free(run);
    arena_free(&arena);
    return written;
}
