#include "scenarios/runner/suite/coverage.h"

#include "scenarios/runner/cli/explain.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define TABLE "simrtc-coverage-test.tsv"

static const char table[] = "# where from\n"
                            "rfc\tsection\tid\tlevel\tparaphrase\twire\tapplies_to\tprio\n"
                            "1\t1.1\t1-1.1-1\tMUST\tDo this.\ty\tagent\t1\n"
                            "1\t1.2\t1-1.2-1\tSHOULD NOT\tDo that.\ty\tagent\t1\n"
                            "2\t1\t2-1-1\tMUST NOT\tNever.\tn\tagent\t1\n";

static int setup(void **state)
{
    static char root[] = "/tmp/simrtc-coverage-XXXXXX";
    *state = root;
    return mkdtemp(root) && chdir(root) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)unlink(TABLE);
    return chdir("/") == 0 && rmdir(*state) == 0 ? 0 : -1;
}

static void table_write(const char *text)
{
    FILE *file = fopen(TABLE, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

#define REST "peers: {a: {at: wan}, b: {at: wan}}\nsession:\n"

static void add(struct scenario_set *set, const char *path, const char *text)
{
    struct err err = {0};
    assert_true(scenario_load_text(set, path, bytes_text(text), &err));
}

static void test_coverage_prints_covered_and_missing(void **state)
{
    (void)state;
    table_write(table);
    struct scenario_set set = {0};
    add(&set, "scenarios/x/m.yaml",
        "name: x\ncovers: [1-1.1-1, 2-1-1]\n" REST "matrix: {seed: [1, 2, 3]}\n");
    add(&set, "scenarios/n.yaml", "name: x\ncovers: [1-1.1-1]\n" REST);
    struct text text = {0};
    struct err err = {0};
    assert_true(coverage_print(&text, &set, TABLE, false, &err));
    assert_string_equal(text.at, "RFC 1: 1 of 2 covered, 1 of 1 MUSTs\n"
                                 "  1-1.1-1                MUST            x/m, n\n"
                                 "RFC 2: 1 of 1 covered, 1 of 1 MUSTs\n"
                                 "  2-1-1                  MUST NOT        x/m\n"
                                 "All: 2 of 3 covered\n");
    text_clear(&text);
    assert_true(coverage_print(&text, &set, TABLE, true, &err));
    assert_string_equal(text.at, "RFC 1: 1 of 2 covered, 1 of 1 MUSTs\n"
                                 "  1-1.2-1                SHOULD NOT      Do that.\n"
                                 "RFC 2: 1 of 1 covered, 1 of 1 MUSTs\n"
                                 "All: 2 of 3 covered\n");
    text_free(&text);
    scenario_set_free(&set);
}

static void check_refused(const char *rows, const char *covers, const char *message)
{
    char yaml[200];
    table_write(rows);
    snprintf(yaml, sizeof yaml, "name: x\ncovers: [%s]\n" REST, covers);
    struct scenario_set set = {0};
    add(&set, "n.yaml", yaml);
    struct text text = {0};
    struct err err = {0};
    assert_false(coverage_print(&text, &set, TABLE, false, &err));
    assert_string_equal(err.text, message);
    text_free(&text);
    scenario_set_free(&set);
}

static void test_coverage_refuses_bad_tables_and_ids(void **state)
{
    (void)state;
    check_refused(table, "1-1.1-1, 1-1.1-11",
                  "n.yaml:2:19: expected the id of a requirement, got '1-1.1-11': did you mean "
                  "'1-1.1-1'?");
    check_refused(table, "zzzzzzzzzzzzzzz",
                  "n.yaml:2:10: expected the id of a requirement, got 'zzzzzzzzzzzzzzz'");
    check_refused("h\n1\t1\tx\n", "", TABLE ":2:1: expected at least 5 columns, got 3");
    check_refused("h\n1\t1\tx\tM\tp\n1\t1\tx\tM\tp\n", "",
                  TABLE ":3:1: expected each id once, got 'x' again");
    assert_int_equal(unlink(TABLE), 0);
    struct scenario_set set = {0};
    struct text text = {0};
    struct err err = {0};
    assert_false(coverage_print(&text, &set, TABLE, false, &err));
    assert_string_equal(err.text, TABLE ": No such file or directory");
}

static void test_coverage_finds_the_table_above(void **state)
{
    (void)state;
    struct arena arena = {0};
    assert_null(coverage_requirements_find(&arena, "a/b.yaml"));
    assert_int_equal(mkdir("a", 0755), 0);
    FILE *file = fopen("a/requirements.tsv", "w");
    assert_non_null(file);
    fclose(file);
    assert_string_equal(coverage_requirements_find(&arena, "a/b.yaml"), "a/requirements.tsv");
    assert_string_equal(coverage_requirements_find(&arena, "a"), "a/requirements.tsv");
    assert_int_equal(unlink("a/requirements.tsv"), 0);
    assert_int_equal(rmdir("a"), 0);
    arena_free(&arena);
}

static void test_explain_tells_the_world(void **state)
{
    (void)state;
    struct scenario_set set = {0};
    add(&set, "e.yaml",
        "name: a name\nabout: words\ncovers: [x, y]\n"
        "network: {wan: {delay: 5ms, loss: 0.5%}, lans: {home: {gateway: {nat: symmetric, "
        "firewall: home}, uplink: {up: {rate: 1500kbps}}}}}\n"
        "servers: {turn: {at: wan}}\n"
        "peers: {alice: {at: home, ice-servers: [turn]}, bob: {at: wan}}\n"
        "session: {data: [{label: chat}]}\n"
        "timeline: [{at: 2s, send: {from: alice, channel: chat}}, {at: 1s, link: {wan: {loss: "
        "30%}}}]\n"
        "expect: [alice.ice.state == connected within 3s]\n");
    struct text text = {0};
    assert_true(explain(&text, set.scenarios[0]));
    assert_string_equal(
        text.at,
        "e\n  a name\n  words\n  seed 1, at most 60s of virtual time\n  covers x, y\n"
        "\nNetwork\n  wan: 0.005s delay, 0.5% loss\n"
        "  home: 192.168.1.0/24 behind wan\n"
        "    gateway 192.168.1.1, outside 198.18.0.1: symmetric NAT, ports preserved, hairpinning, "
        "mappings live 300s\n"
        "    firewall: out allowed, in answers only\n"
        "    uplink up: 1500kbps; down: perfect\n    hosts' links: perfect\n"
        "\nServers\n  turn: TURN on wan at 203.0.113.1:3478, user user, relay ports 49152-65535, "
        "lifetime 600s, quota 10\n"
        "\nPeers\n  alice: 192.168.1.2 on home; ICE servers turn\n  bob: 198.51.100.1 on wan\n"
        "\nSession: alice offers to bob at 0s\n  signaling takes 0.04s\n"
        "  data channel 'chat' of alice\n"
        "  computed outcome: direct (direct checks are answered: alice has prflx, bob has host)\n"
        "\nTimeline\n  1s  wan changes to 30% loss\n"
        "  2s  alice sends 1 messages of 100 bytes on 'chat'\n"
        "\nExpected\n  alice.ice.state == connected within 3s\n");
    text_free(&text);
    scenario_set_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coverage_prints_covered_and_missing),
        cmocka_unit_test(test_coverage_refuses_bad_tables_and_ids),
        cmocka_unit_test(test_coverage_finds_the_table_above),
        cmocka_unit_test(test_explain_tells_the_world),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
