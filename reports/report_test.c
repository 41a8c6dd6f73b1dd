#include "reports/report.h"

#include "reports/clean.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Passed, failed with everything that a result can hold, dead, skipped, and with hostile names.
static const struct result results[] = {
    {
        .file = "scenarios/nat/classic.yaml",
        .name = "classic NATs",
        .cell = "home.nat=full-cone, office.nat=full-cone",
        .id = "nat/classic/full-cone,full-cone",
        .seed = 1,
        .verdict = VERDICT_PASSED,
        .why = "",
        .cause.at = TIME_NEVER,
        .replay = "simrtc run scenarios/nat/classic.yaml --filter 'home.nat=full-cone, "
                  "office.nat=full-cone' --seed 1 -v",
        .virtual_time = 1025 * TIME_MS,
        .log = "nat/classic/full-cone,full-cone/trace.log",
        .expectations =
            (const struct result_expectation[]){{"alice.ice.state == connected within 3s", 9, true,
                                                 "connected at 0.412s", 412 * TIME_MS}},
        .expectations_count = 1,
        .metrics = (const struct result_metric[]){{"alice.stun-packets", "42", true},
                                                  {"alice.loss", "0.1", true},
                                                  {"alice.ice.state", "connected", false},
                                                  {"alice.odd", "nan", true}},
        .metrics_count = 4,
        .captures =
            (const struct result_capture[]){
                {"alice", "nat/classic/full-cone,full-cone/alice.pcap", 120},
                {"home.outside", "nat/classic/full-cone,full-cone/home.outside.pcap", 118}},
        .captures_count = 2,
    },
    {
        .file = "scenarios/nat/classic.yaml",
        .name = "classic NATs",
        .cell = "home.nat=symmetric, office.nat=symmetric",
        .id = "nat/classic/symmetric,symmetric",
        .seed = UINT64_MAX,
        .verdict = VERDICT_FAILED,
        .why = "alice.ice.state was checking, not connected, at 3s",
        .cause = {3 * TIME_S, "nat/classic/symmetric,symmetric/alice.pcap", 17,
                  "RFC 8445 7.2.5.2.1"},
        .replay = "simrtc run scenarios/nat/classic.yaml --filter 'home.nat=symmetric, "
                  "office.nat=symmetric' --seed 18446744073709551615 -v",
        .virtual_time = 30 * TIME_S,
        .log = "nat/classic/symmetric,symmetric/trace.log",
        .keys = "nat/classic/symmetric,symmetric/keys.log",
        .expectations =
            (const struct result_expectation[]){
                {"alice.ice.state == connected within 3s", 9, false, "checking", 3 * TIME_S},
                {"nothing but STUN before consent", 0, true, NULL, TIME_NEVER}},
        .expectations_count = 2,
        .captures =
            (const struct result_capture[]){
                {"alice", "nat/classic/symmetric,symmetric/alice.pcap", 120}},
        .captures_count = 1,
    },
    {
        .file = "./hostile \"<&>'.yaml",
        .name = "\x01\x1b[31m ]]> <script> \xff\xc0\x80 \xed\xa0\x80 \xef\xbf\xbf \xf0\x9f\x98\x80",
        .cell = "a\nb\r\tc",
        .id = "hostile/\x7f",
        .verdict = VERDICT_CRASHED,
        .why = "SIGSEGV ended its worker\x1b]0;x\x07",
        .cause.at = TIME_NEVER,
        .replay = "simrtc run './hostile \"<&>'\\''.yaml' --seed 0 -v",
    },
    {
        .file = "scenarios/z.yaml",
        .name = "z",
        .cell = "",
        .id = "z",
        .seed = 3,
        .verdict = VERDICT_NOT_RUN,
        .why = "interrupted",
        .cause.at = TIME_NEVER,
        .replay = "simrtc run scenarios/z.yaml --seed 3 -v",
    },
};
static const struct report report = {results, sizeof results / sizeof results[0]};

static void read_file(const char *path, struct text *to)
{
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s: run from the root of the repository, or with UPDATE=1", path);
    char room[4096];
    size_t got;
    while ((got = fread(room, 1, sizeof room, file)) > 0)
        text_add(to, bytes_of(room, got));
    fclose(file);
}

// Compare with a file of testdata/; UPDATE=1 rewrites it.
static void check_golden(const char *path, struct text *got)
{
    const char *update = getenv("UPDATE"); // tidy: a switch of the person who runs the test
    if (update && strcmp(update, "1") == 0) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_int_equal(fwrite(got->at, 1, got->len, file), got->len);
        assert_int_equal(fclose(file), 0);
    }
    struct text want = {0};
    read_file(path, &want);
    assert_string_equal(got->at, want.at);
    text_free(&want);
    text_free(got);
}

static void test_report_json_is_the_golden(void **state)
{
    (void)state;
    struct text text = {0};
    report_json(&text, &report);
    check_golden("reports/testdata/report.json", &text);
}

static void test_report_junit_is_the_golden(void **state)
{
    (void)state;
    struct text text = {0};
    report_junit(&text, &report);
    check_golden("reports/testdata/junit.xml", &text);
}

static void test_report_terminal_is_the_golden(void **state)
{
    (void)state;
    struct text text = {0};
    for (unsigned i = 0; i < report.count; i++)
        report_row(&text, &results[i], 31);
    for (unsigned i = 0; i < report.count; i++)
        report_failure(&text, &results[i], "build/simrtc", "out");
    struct report_totals totals = report_totals(&report);
    report_summary(&text, &totals, 2500 * TIME_MS);
    report_progress(&text, 3, 40, 1, "nat/\x1b[2Jclassic");
    check_golden("reports/testdata/terminal.txt", &text);
}

static void test_report_json_keeps_hostile_names_readable(void **state)
{
    (void)state;
    struct text text = {0};
    report_json(&text, &report);
    json_t *document = json_loadb(text.at, text.len, 0, NULL);
    json_t *row = json_array_get(json_object_get(document, "results"), 2);
    const char *name = json_string_value(json_object_get(row, "name"));
    assert_non_null(name);
    assert_int_equal(name[0], 1);                      // JSON can write it
    assert_non_null(strstr(name, "\xef\xbf\xbd"));     // U+FFFD for what is no character
    assert_non_null(strstr(name, "\xf0\x9f\x98\x80")); // and what is one stays
    json_decref(document);
    text_free(&text);
}

static void test_report_junit_keeps_hostile_names_readable(void **state)
{
    (void)state;
    struct text text = {0};
    report_junit(&text, &report);
    xmlDocPtr document = xmlReadMemory(text.at, (int)text.len, "junit", NULL,
                                       XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    assert_non_null(document);
    xmlChar *tests = xmlGetProp(xmlDocGetRootElement(document), BAD_CAST "tests");
    assert_string_equal((char *)tests, "4");
    xmlFree(tests);
    xmlFreeDoc(document);
    xmlCleanupParser();
    text_free(&text);
}

static void test_report_terminal_moves_no_cursor(void **state)
{
    (void)state;
    struct text text = {0};
    report_row(&text, &results[2], 10);
    report_failure(&text, &results[2], "simrtc", "out");
    for (size_t i = 0; i < text.len; i++)
        assert_true((unsigned char)text.at[i] >= 0x20 || text.at[i] == '\n');
    text_free(&text);
}

static void test_report_empty_is_a_document_too(void **state)
{
    (void)state;
    struct report none = {NULL, 0};
    struct text json = {0}, junit = {0};
    report_json(&json, &none);
    report_junit(&junit, &none);
    json_t *document = json_loadb(json.at, json.len, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(document, "results")), 0);
    assert_non_null(strstr(junit.at, "tests=\"0\""));
    json_decref(document);
    text_free(&json);
    text_free(&junit);
}

static void test_clean_text_is_the_text_itself_when_it_fits(void **state)
{
    (void)state;
    struct arena arena = {0};
    const char *text = "plain, \xc3\xa4, \xe2\x82\xac";
    assert_ptr_equal(clean_text(&arena, text, CLEAN_JSON), text);
    assert_ptr_equal(clean_text(&arena, text, CLEAN_TERMINAL), text);
    assert_string_equal(clean_text(&arena, "cut \xe2\x82", CLEAN_JSON),
                        "cut \xef\xbf\xbd\xef\xbf\xbd");
    assert_string_equal(clean_text(&arena, "a\nb", CLEAN_XML), "a\nb");
    assert_string_equal(clean_text(&arena, "a\nb", CLEAN_TERMINAL), "a\xef\xbf\xbd"
                                                                    "b");
    arena_free(&arena);
}

static void test_report_failures_are_what_makes_a_suite_fail(void **state)
{
    (void)state;
    static const bool fails[VERDICTS] = {
        [VERDICT_FAILED] = true,    [VERDICT_CRASHED] = true,       [VERDICT_WALL_LIMIT] = true,
        [VERDICT_CPU_LIMIT] = true, [VERDICT_OUT_OF_MEMORY] = true,
    };
    for (int i = 0; i < VERDICTS; i++)
        assert_int_equal(verdict_is_failure((enum verdict)i), fails[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report_json_is_the_golden),
        cmocka_unit_test(test_report_junit_is_the_golden),
        cmocka_unit_test(test_report_terminal_is_the_golden),
        cmocka_unit_test(test_report_json_keeps_hostile_names_readable),
        cmocka_unit_test(test_report_junit_keeps_hostile_names_readable),
        cmocka_unit_test(test_report_terminal_moves_no_cursor),
        cmocka_unit_test(test_report_empty_is_a_document_too),
        cmocka_unit_test(test_clean_text_is_the_text_itself_when_it_fits),
        cmocka_unit_test(test_report_failures_are_what_makes_a_suite_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
