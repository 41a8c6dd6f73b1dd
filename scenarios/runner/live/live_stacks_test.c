// The file of stacks, the pairs that it makes of a scenario, what is known of them, and the grid.
#include "scenarios/runner/live/live_grid.h"
#include "scenarios/runner/live/live_stacks.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/simrtc-stacks-test-XXXXXX";

static const char scenario[] = "name: pairs\nstacks: of/stacks.yml\n"
                               "peers: {alice: {at: wan}, bob: {at: wan}}\n"
                               "session: {offerer: alice, ice-only: true}\n";
static const char two[] =
    "stacks:\n"
    "  ours: simrtc\n"
    "  theirs: {kind: adapter, run: [./their.mjs, ./word, -x], install: luck}\n"
    "limits:\n"
    "  - {stack: theirs, cell: pairs, says: mapping, trace: its log, why: it is known}\n"
    "  - {offers: ours, answers: theirs, says: other, trace: closed, why: so is this}\n"
    "  - {offers: ours, cell: elsewhere, says: other, trace: x, why: not here}\n";

static void put_file(const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static bool load(struct scenario_set *set, const char *text, struct err *err)
{
    char path[200];
    snprintf(path, sizeof path, "%s/pairs.yaml", folder);
    return scenario_load_text(set, path, bytes_text(text), err);
}

static void check_error(const char *stacks, const struct scenario_pairs *pairs,
                        const char *expected)
{
    struct scenario_set set = {.pairs = pairs};
    struct err err = {0};
    put_file("of/stacks.yml", stacks);
    assert_false(load(&set, scenario, &err));
    if (!strstr(err.text, expected))
        fail_msg("expected '%s' in '%s'", expected, err.text);
    assert_int_equal(set.count, 0);
    scenario_set_free(&set);
}

static void test_live_stacks_every_ordered_pair(void **state)
{
    (void)state;
    struct scenario_pairs all = {0};
    struct scenario_set set = {.pairs = &all};
    struct err err = {0};
    put_file("of/stacks.yml", two);
    if (!load(&set, scenario, &err))
        fail_msg("%s", err.text);
    static const char *const cells[] = {"ours,ours", "ours,theirs", "theirs,ours", "theirs,theirs"};
    assert_int_equal(set.count, 4);
    for (unsigned i = 0; i < 4; i++) {
        const struct scenario *s = set.scenarios[i];
        assert_string_equal(s->cell, cells[i]);
        assert_int_equal(s->peers[0].kind, i / 2 ? SCENARIO_ADAPTER : SCENARIO_SIMRTC);
        assert_int_equal(s->peers[1].kind, i % 2 ? SCENARIO_ADAPTER : SCENARIO_SIMRTC);
        assert_string_equal(s->pair[0], i / 2 ? "theirs" : "ours");
        assert_int_equal(scenario_is_live(s), i > 0);
    }
    // Found from the scenario's folder, where the run starts it.
    const struct scenario_peer *bob = &set.scenarios[1]->peers[1];
    assert_string_equal(bob->run[0], "of/their.mjs");
    assert_string_equal(bob->run[1], "of/word");
    assert_string_equal(bob->run[2], "-x");
    assert_string_equal(bob->install, "luck");
    scenario_set_free(&set);
}

static void test_live_stacks_limits_of_a_pair(void **state)
{
    (void)state;
    struct scenario_pairs all = {0};
    struct scenario_set set = {.pairs = &all};
    struct err err = {0};
    put_file("of/stacks.yml", two);
    assert_true(load(&set, scenario, &err));
    static const unsigned counts[] = {0, 2, 1, 2};
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(set.scenarios[i]->limits_count, counts[i]);
    assert_string_equal(set.scenarios[2]->limits[0].says, "mapping");
    assert_string_equal(set.scenarios[2]->limits[0].why, "it is known");
    scenario_set_free(&set);
}

// A limit forgives what it speaks of, if the trace shows it, and if nothing else is the matter.
static void test_live_stacks_known_or_not(void **state)
{
    (void)state;
    struct scenario_pairs all = {0};
    struct scenario_set set = {.pairs = &all};
    struct err err = {0};
    put_file("of/stacks.yml", two);
    assert_true(load(&set, scenario, &err));
    static const struct {
        const char *broken[2], *why, *log, *known;
    } rows[] = {
        {{"a.mapping == 1"}, "", "1.5 bob.stderr  1 its log 2", "it is known"},
        {{"a.mapping == 1"}, "", "   1.5 bob  closed", NULL}, // no sign of it
        {{"a.mapping == 1"}, "", "", NULL},
        {{"a.mapping == 1", "a.other == 2"},
         "",
         "0.1 alice  closed\n0.2 bob its log\n",
         "it is known"},
        {{"a.mapping == 1", "a.other == 2"}, "", "0.1 bob its log", NULL}, // the second is not
        {{"a.mapping == 1", "a.third == 2"}, "", "0.1 alice  closed\n0.2 bob its log\n", NULL},
        {{NULL}, "bob: no mapping", "0.1 bob its log", "it is known"}, // it ended before
        {{"a.mapping == 1"}, "", "0.1 alice  its log", NULL},          // the other one's
        {{"a.mapping == 1"}, "", "0.1 bobby  its log", NULL},
        {{"a.mapping == 1"}, "", "0.1 bob\nits log", NULL},
        {{NULL}, "bob: it hangs", "0.1 bob its log", NULL},
        {{NULL}, NULL, "0.1 bob its log", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct result_expectation expectations[3] = {{.text = "a.mapping", .passed = true}};
        struct result result = {.expectations = expectations,
                                .expectations_count = 1,
                                .verdict = VERDICT_FAILED,
                                .why = rows[i].why};
        for (unsigned k = 0; k < 2 && rows[i].broken[k]; k++)
            expectations[result.expectations_count++].text = rows[i].broken[k];
        const struct scenario_limit *limit =
            live_stacks_known(set.scenarios[1], &result, bytes_text(rows[i].log));
        if (rows[i].known) {
            assert_non_null(limit);
            assert_string_equal(limit->why, rows[i].known);
        } else {
            assert_null(limit);
        }
    }
    scenario_set_free(&set);
}

static void test_live_stacks_some_with_a_matrix_of_the_file(void **state)
{
    (void)state;
    static const char *const only[] = {"theirs"};
    struct scenario_pairs pairs = {only, 1};
    struct scenario_set set = {.pairs = &pairs};
    struct err err = {0};
    char text[400];
    put_file("of/stacks.yml", two);
    snprintf(text, sizeof text, "%smatrix: {network.wan.loss: [0%%, 5%%]}\n", scenario);
    assert_true(load(&set, text, &err));
    assert_int_equal(set.count, 2);
    assert_string_equal(set.scenarios[1]->cell, "theirs,theirs,5%");
    // Files without stacks are left out, and without a matrix of peers `stacks` means nothing.
    assert_true(load(&set,
                     "name: x\npeers: {a: {at: wan}, b: {at: wan}}\n"
                     "session: {offerer: a, ice-only: true}\n",
                     &err));
    assert_int_equal(set.count, 2);
    scenario_set_free(&set);
    set = (struct scenario_set){0};
    put_file("of/stacks.yml", "nothing: good");
    assert_true(load(&set, scenario, &err));
    assert_int_equal(set.count, 1);
    assert_null(set.scenarios[0]->pair[0]);
    scenario_set_free(&set);
}

static void test_live_stacks_bad_files(void **state)
{
    (void)state;
    struct scenario_pairs all = {0};
    static const char *const only[] = {"thiers"};
    struct scenario_pairs unknown = {only, 1};
    check_error(two, &unknown, "--stacks: there is no stack 'thiers'");
    check_error(two, &unknown, "did you mean 'theirs'");
    check_error("- list", &all, "a file of stacks");
    check_error("stacks: {}", &all, "1 to 64");
    check_error("limits: []", &all, "1 to 64");
    check_error("stacks: {a: {kind: adapter}}", &all, "'kind: adapter' and 'run' together");
    check_error("stacks: {a: simrtc}\nlimits: [{stack: a, why: b}]", &all,
                "'says', 'trace' and 'why'");
    check_error("stacks: {a: simrtc}\nlimits: [{stack: a, says: b, wy: b}]", &all, "why");
    char path[200];
    snprintf(path, sizeof path, "%s/of/stacks.yml", folder);
    unlink(path);
    struct scenario_set set = {.pairs = &all};
    struct err err = {0};
    assert_false(load(&set, scenario, &err));
    assert_non_null(strstr(err.text, "pairs.yaml:2:9: expected a file of stacks"));
    scenario_set_free(&set);
}

static void test_live_grid_rows_offer_and_columns_answer(void **state)
{
    (void)state;
    struct scenario_pairs all = {0};
    struct scenario_set set = {.pairs = &all};
    struct err err = {0};
    put_file("of/stacks.yml", two);
    assert_true(load(&set, scenario, &err));
    struct result_metric path = {"alice.path", "relay", false};
    struct result results[4] = {
        {.verdict = VERDICT_PASSED,
         .virtual_time = 1250 * TIME_MS,
         .metrics = &path,
         .metrics_count = 1},
        {.verdict = VERDICT_UNSUPPORTED, .why = "install luck"},
        {.verdict = VERDICT_FAILED},
        {.verdict = VERDICT_UNSUPPORTED, .why = "install luck"},
    };
    struct text text = {0};
    live_grid_print(&text, set.scenarios, results, 4);
    assert_string_equal(text.at, "\npairs\n"
                                 "  offers  ours         theirs\n"
                                 "  ours    relay 1.2s   unsupported\n"
                                 "  theirs  FAILED       unsupported\n");
    text_clear(&text);
    live_grid_missing(&text, results, 4);
    assert_string_equal(text.at, "unsupported    2 x  install luck\n");
    text_free(&text);
    scenario_set_free(&set);
}

static int folder_make_own(void **state)
{
    (void)state;
    char path[200];
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/of", folder);
    return mkdir(path, 0700);
}

static int folder_remove(void **state)
{
    (void)state;
    char path[200];
    snprintf(path, sizeof path, "%s/of/stacks.yml", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/of", folder);
    rmdir(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live_stacks_every_ordered_pair),
        cmocka_unit_test(test_live_stacks_limits_of_a_pair),
        cmocka_unit_test(test_live_stacks_known_or_not),
        cmocka_unit_test(test_live_stacks_some_with_a_matrix_of_the_file),
        cmocka_unit_test(test_live_stacks_bad_files),
        cmocka_unit_test(test_live_grid_rows_offer_and_columns_answer),
    };
    return cmocka_run_group_tests(tests, folder_make_own, folder_remove);
}
