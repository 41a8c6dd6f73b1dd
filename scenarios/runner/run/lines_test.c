// Expectations on the lines of descriptions and on clear captures: what they match, and mistakes.
#include "scenarios/runner/load/expect_priv.h"
#include "scenarios/runner/run/run.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static uint64_t lines(const char *description, const char *pattern, unsigned line)
{
    return expect_lines(bytes_text(description), pattern, line);
}

static void test_lines_match_as_a_whole(void **state)
{
    (void)state;
    static const char text[] = "v=0\r\nm=audio 9 X\r\nm=video 9 X\r\na=mid:0\r\n";
    assert_int_equal(lines(text, "v=0", 0), 1);
    assert_int_equal(lines(text, "v=", 0), 0);
    assert_int_equal(lines(text, "=0", 0), 0);
    assert_int_equal(lines(text, "m=*", 0), 2);
    assert_int_equal(lines(text, "*X", 0), 2);
    assert_int_equal(lines(text, "m=*o 9*", 0), 2);
    assert_int_equal(lines(text, "m=*i* X", 0), 2);
    assert_int_equal(lines(text, "*", 0), 4);
    assert_int_equal(lines(text, "a=mid:0*", 0), 1);
    assert_int_equal(lines(text, "a=mid:0**", 0), 1);
    assert_int_equal(lines(text, "", 0), 0);
    assert_int_equal(lines("", "*", 0), 0);
    assert_int_equal(lines("a", "*a", 0), 1);
    assert_int_equal(lines("ab\nb", "*b", 0), 2);
    assert_int_equal(lines("aaaaaaaaab", "a*a*a*b", 0), 1);
}

static void test_lines_one_alone(void **state)
{
    (void)state;
    static const char text[] = "v=0\no=-\ns=-\n";
    assert_int_equal(lines(text, "v=0", 1), 1);
    assert_int_equal(lines(text, "v=0", 2), 0);
    assert_int_equal(lines(text, "*=-", 3), 1);
    assert_int_equal(lines(text, "*", 4), 0);
}

static enum verdict verdict_of(const char *expect, char *why, size_t why_max)
{
    char text[1024];
    struct scenario_set set = {0};
    struct err err = {0};
    snprintf(text, sizeof text,
             "name: x\npeers: {a: {at: wan}, b: {at: wan}, c: {at: wan}, d: {at: wan}}\nlimit: 3s\n"
             "sessions: [{offerer: a, answerer: b, audio: opus, data: [{label: l}],\n"
             "  clear-capture: true}, {offerer: c, answerer: d, data: [{label: m}]}]\n"
             "timeline: [{at: 1s, restart-ice: b}]\nexpect: ['%s']\n",
             expect);
    if (!scenario_load_text(&set, "f.yaml", bytes_text(text), &err)) {
        bytes_copy_text(bytes_text(err.text), why, why_max);
        scenario_set_free(&set);
        return VERDICT_NOT_RUN;
    }
    struct run_options options = {.seed = 1, .live_fd = -1};
    struct run *run = run_new(set.scenarios[0], &options);
    struct result result;
    run_go(run);
    run_result(run, &result);
    enum verdict verdict = result.verdict;
    bytes_copy_text(bytes_text(result.why), why, why_max);
    run_free(run);
    scenario_set_free(&set);
    return verdict;
}

static void test_lines_expectations_hold_or_break(void **state)
{
    (void)state;
    static const struct {
        const char *expect;
        bool holds;
        const char *but; // in the reason
    } cases[] = {
        {"line 1 of a.offer matches \"v=0\"", true, NULL},
        {"line 2 of a.offer matches \"v=0\"", false, "it was no line"},
        {"lines of a.offer matching \"m=*\" == 2", true, NULL},
        {"lines of a.offer matching \"m=*\" > 2", false, "it was 2 lines"},
        {"no line of b.answer matches \"a=crypto:*\"", true, NULL},
        {"no line of b.answer matches \"m=audio*\"", false, "it was 1 line"},
        {"line of b.answer matches \"m=audio*\" within 1s", true, NULL},
        // The one who restarts is who offers then: before that b has given none.
        {"no line of b.offer matches \"*\" at 500ms", true, NULL},
        {"line of b.offer matches \"m=audio*\"", true, NULL},
        {"line of a.answer matches \"a=setup:*\" within 2s", true, NULL},
        {"packets at a.clear matching \"udp[8] & 0xc0 = 0x80\" > 100", true, NULL},
        {"packets at a.clear matching \"udp[8] & 0xc0 = 0x40\" > 100", false, "no packet"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char why[ERR_TEXT_MAX];
        enum verdict verdict = verdict_of(cases[i].expect, why, sizeof why);
        if (verdict != (cases[i].holds ? VERDICT_PASSED : VERDICT_FAILED))
            fail_msg("%s: %s", cases[i].expect, why);
        if (cases[i].but && !strstr(why, cases[i].but))
            fail_msg("%s: expected '%s' in: %s", cases[i].expect, cases[i].but, why);
    }
}

static void test_lines_mistakes_get_one_line(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"line a.offer matches \"x\"", "expected 'of' and a description, got 'a.offer'"},
        {"line of a matches \"x\"", "expected a description (PEER.offer or PEER.answer), got 'a'"},
        {"line of e.offer matches \"x\"",
         "expected a description (PEER.offer or PEER.answer), got 'e.offer'"},
        {"line of a.offers matches \"x\"",
         "expected a description (PEER.offer or PEER.answer), got 'a.offers'"},
        {"line of a.offer is \"x\"", "expected 'matches' and a line in quotes, got 'is'"},
        {"line of a.offer matches x", "expected a line in quotes, got 'x'"},
        {"line of a.offer matches \"x and y == 1",
         "expected the end of a text in quotes, got 'x and y == 1'"},
        {"line of a.offer matches \"", "expected the end of a text in quotes, got ''"},
        {"packets at a.clear matching \"udp > 5",
         "expected the end of a text in quotes, got 'udp > 5'"},
        {"lines of a.offer matching \"x\"", "expected a comparison, got the end of"},
        {"lines 1 of a.offer matching \"x\" == 1", "expected 'of' and a description, got '1'"},
        {"no lines of a.offer matching \"x\"", "expected 'packet' or 'line', got 'lines'"},
        {"no packet at c.clear matches \"udp\"",
         "expected a vantage point (a peer, PEER.clear with clear-capture, a server, LAN.inside or "
         "LAN.outside), got 'c.clear'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char why[ERR_TEXT_MAX];
        assert_int_equal(verdict_of(cases[i][0], why, sizeof why), VERDICT_NOT_RUN);
        if (!strstr(why, cases[i][1]))
            fail_msg("expected '%s' in: %s", cases[i][1], why);
    }
}

static int setup(void **state)
{
    (void)state;
    struct err err = {0};
    return run_library_init(&err) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    run_library_fini();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_match_as_a_whole),
        cmocka_unit_test(test_lines_one_alone),
        cmocka_unit_test(test_lines_expectations_hold_or_break),
        cmocka_unit_test(test_lines_mistakes_get_one_line),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
