// Suites whole: rows, their order and their words, folders of files, and what a run that dies
// leaves behind. The pool under them has its own tests.
#include "scenarios/runner/suite/suite.h"

#include "base/arena.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PASSES                                                                                     \
    "peers: {alice: {at: wan}, bob: {at: wan}}\nsession: {offerer: alice, ice-only: true}\n"
#define FAILS PASSES "limit: 2s\nexpect: [alice.ice.state == failed within 1s]\n"
#define BURNS                                                                                      \
    "peers: {alice: {at: wan}, bob: {at: wan}}\n"                                                  \
    "session: {offerer: alice, data: [{label: chat}]}\nlimit: 600s\n"                              \
    "timeline: [{at: 0s, send: {from: alice, channel: chat, messages: 900000, size: 1000}}]\n"     \
    "resources: {cpu: 30ms}\n"
// The firewall is the cause, and its packet is named.
#define FAILS_AT_A_PACKET                                                                          \
    "network: {lans: {office: {gateway: {nat: port-restricted, firewall: udp-blocked}}}}\n"        \
    "servers: {stun: {at: wan}}\n"                                                                 \
    "peers: {alice: {at: office, ice-servers: [stun]}, bob: {at: wan, ice-servers: [stun]}}\n"     \
    "session: {offerer: alice, ice-only: true}\nlimit: 9s\n"                                       \
    "expect: [alice.ice.state == connected within 5s]\n"

struct trial {
    char folder[40];
    struct scenario_set set;
    struct suite suite;
    struct err err;
    char rows[256]; // ids in the order they were told
    void (*at_row)(struct trial *trial);
};

static void row(struct suite *suite, const struct result *result)
{
    struct trial *trial = suite->user;
    size_t len = strlen(trial->rows);
    snprintf(trial->rows + len, sizeof trial->rows - len, "%s %s\n", result->id,
             verdict_name(result->verdict));
    if (trial->at_row)
        trial->at_row(trial);
}

static struct trial *trial_new(void)
{
    struct trial *trial = mem_zero(1, sizeof *trial);
    memcpy(trial->folder, "/tmp/simrtc-suite-XXXXXX", sizeof "/tmp/simrtc-suite-XXXXXX");
    assert_non_null(mkdtemp(trial->folder));
    trial->suite = (struct suite){
        .jobs = 1, .out = trial->folder, .captures = true, .row = row, .user = trial};
    return trial;
}

static void trial_add(struct trial *trial, const char *path, const char *text)
{
    struct text whole = {0};
    text_printf(&whole, "name: %s\n%s", path, text);
    if (!scenario_load_text(&trial->set, path, text_bytes(&whole), &trial->err))
        fail_msg("%s", trial->err.text);
    text_free(&whole);
}

static enum workers_result trial_run(struct trial *trial)
{
    trial->suite.scenarios = trial->set.scenarios;
    trial->suite.count = trial->set.count;
    return suite_run(&trial->suite, &trial->err);
}

static unsigned remove_below(const char *path)
{
    unsigned files = 0;
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char below[512];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        if (unlink(below) == 0)
            files++;
        else
            files += remove_below(below);
    }
    if (folder)
        closedir(folder);
    rmdir(path);
    return files;
}

// Returns how many files there were.
static unsigned trial_free(struct trial *trial)
{
    unsigned files = remove_below(trial->folder);
    suite_free(&trial->suite);
    scenario_set_free(&trial->set);
    free(trial);
    return files;
}

static bool trial_has(const struct trial *trial, const char *file)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", trial->folder, file);
    return access(path, F_OK) == 0;
}

static void test_suite_rows_come_in_order_with_any_number_of_jobs(void **state)
{
    (void)state;
    for (unsigned jobs = 1; jobs <= 4; jobs += 3) {
        struct trial *trial = trial_new();
        trial->suite.jobs = jobs;
        trial_add(trial, "a.yaml", BURNS); // the last to end
        trial_add(trial, "b.yaml", PASSES);
        trial_add(trial, "c.yaml", FAILS);
        trial_add(trial, "d.yaml", PASSES);
        assert_int_equal(trial_run(trial), WORKERS_ALL_DONE);
        assert_string_equal(trial->rows, "a cpu-limit\nb passed\nc failed\nd passed\n");
        assert_int_equal(trial->suite.failed, 2);
        assert_int_equal(trial->suite.finished, 4);
        trial_free(trial);
    }
}

static void test_suite_results_name_files_that_are_there(void **state)
{
    (void)state;
    struct trial *trial = trial_new();
    trial_add(trial, "a.yaml", PASSES);
    trial_add(trial, "b.yaml", FAILS_AT_A_PACKET);
    trial->suite.stats_interval = TIME_S;
    trial_run(trial);
    unsigned named = 0;
    for (unsigned i = 0; i < 2; i++) {
        const struct result *result = &trial->suite.results[i];
        assert_true(result->captures_count >= 2);
        for (unsigned c = 0; c < result->captures_count; c++)
            assert_true(trial_has(trial, result->captures[c].file));
        assert_true(trial_has(trial, result->log));
        assert_true(trial_has(trial, result->stats));
        named += result->captures_count + 2 + (result->keys != NULL);
    }
    const struct result *failed = &trial->suite.results[1];
    assert_string_equal(failed->cause.capture, "b/office.inside.pcap");
    assert_true(failed->cause.packet > 0);
    assert_int_equal(trial_free(trial), named); // and no other
}

// A packet of a capture that was not written would send the reader after a file that is not there.
static void test_suite_without_captures_names_no_packet(void **state)
{
    (void)state;
    struct trial *trial = trial_new();
    trial->suite.captures = false;
    trial_add(trial, "a.yaml", FAILS_AT_A_PACKET);
    trial_run(trial);
    const struct result *result = &trial->suite.results[0];
    assert_int_equal(result->verdict, VERDICT_FAILED);
    assert_int_equal(result->captures_count, 0);
    assert_null(result->log);
    assert_null(result->cause.capture);
    assert_int_equal(result->cause.packet, 0);
    assert_true(result->cause.at != TIME_NEVER);
    assert_int_equal(trial_free(trial), 0);
}

static void test_suite_fail_fast_leaves_the_rest_undone(void **state)
{
    (void)state;
    struct trial *trial = trial_new();
    trial->suite.fail_fast = true;
    trial->suite.seed = 77;
    trial_add(trial, "a.yaml", FAILS);
    trial_add(trial, "b.yaml", PASSES);
    trial_run(trial);
    assert_string_equal(trial->rows, "a failed\nb not-run\n");
    const struct result *left = &trial->suite.results[1];
    assert_string_equal(left->why, "an earlier run failed");
    assert_int_equal(left->seed, 77);
    assert_string_equal(left->replay, "simrtc run b.yaml --seed 77 -v");
    trial_free(trial);
}

static void test_suite_replay_survives_a_shell(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct scenario scenario = {.file = "it's here/x.yaml", .cell = "a b,$HOME"};
    assert_string_equal(suite_replay(&arena, &scenario, 5, false),
                        "simrtc run 'it'\\''s here/x.yaml' --filter 'a b,$HOME' --seed 5 -v");
    scenario = (struct scenario){.file = "", .cell = "true,1ms"};
    assert_string_equal(suite_replay(&arena, &scenario, 1, false),
                        "simrtc run '' --filter true,1ms --seed 1 -v");
    arena_free(&arena);
}

// Whatever a file is called, what it leaves stays below the folder, under names that are easy.
static void test_suite_folders_are_tame(void **state)
{
    (void)state;
    struct trial *trial = trial_new();
    trial_add(trial, "a.yaml", PASSES);
    struct scenario odd = *trial->set.scenarios[0];
    odd.id = "../.hidden/a b/$(c);'|~";
    trial->set.scenarios[0] = &odd;
    trial_run(trial);
    const char *log = trial->suite.results[0].log;
    assert_non_null(log);
    assert_true(trial_has(trial, log));
    assert_string_equal(log, "_./_hidden/a_b/_(c)___~/trace.log");
    trial_free(trial);
}

// Between the two runs the parent does what a worker does that dies while it writes.
static void half_write_next(struct trial *trial)
{
    char path[80];
    struct err err = {0};
    snprintf(path, sizeof path, "%s/b/alice.pcap", trial->folder);
    if (trial->suite.told == 1)
        close(file_begin(path, (unsigned)getpid(), &err));
}

static void test_suite_sweeps_after_a_run_that_died(void **state)
{
    (void)state;
    struct trial *trial = trial_new();
    trial->suite.captures = false;
    trial->at_row = half_write_next;
    trial_add(trial, "a.yaml", PASSES);
    trial_add(trial, "b.yaml", BURNS);
    trial_run(trial);
    assert_string_equal(trial->rows, "a passed\nb cpu-limit\n");
    assert_int_equal(trial_free(trial), 0);
}

// While workers live, the folder is free as soon as the parent lets go: a parent that is killed
// does not leave it held.
static void let_go(struct trial *trial)
{
    int fd = open(trial->folder, O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
    close(trial->suite.hold);
    trial->suite.hold = -1;
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    close(fd);
    trial->at_row = NULL;
}

static void test_suite_holds_its_folder_alone(void **state)
{
    (void)state;
    struct trial *trial = trial_new();
    trial->at_row = let_go;
    trial_add(trial, "a.yaml", PASSES);
    trial_add(trial, "b.yaml", PASSES);
    assert_int_equal(trial_run(trial), WORKERS_ALL_DONE);
    assert_null(trial->at_row);
    trial_free(trial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suite_rows_come_in_order_with_any_number_of_jobs),
        cmocka_unit_test(test_suite_results_name_files_that_are_there),
        cmocka_unit_test(test_suite_without_captures_names_no_packet),
        cmocka_unit_test(test_suite_fail_fast_leaves_the_rest_undone),
        cmocka_unit_test(test_suite_replay_survives_a_shell),
        cmocka_unit_test(test_suite_folders_are_tame),
        cmocka_unit_test(test_suite_sweeps_after_a_run_that_died),
        cmocka_unit_test(test_suite_holds_its_folder_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
