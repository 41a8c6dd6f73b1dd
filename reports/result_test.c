#include "reports/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct result full = {
    .file = "scenarios/nat/a.yaml",
    .name = "a name",
    .cell = "home.nat=symmetric",
    .id = "nat/a/symmetric",
    .seed = UINT64_MAX,
    .verdict = VERDICT_FAILED,
    .why = "it did not connect",
    .cause = {412 * TIME_MS, "nat/a/symmetric/alice.pcap", 17, "RFC 8445 7.2.5.2.1"},
    .replay = "simrtc run scenarios/nat/a.yaml --seed 1 -v",
    .virtual_time = 30 * TIME_S,
    .log = "nat/a/symmetric/trace.log",
    .keys = "nat/a/symmetric/keys.log",
    .stats = "nat/a/symmetric/stats.json",
    .expectations =
        (const struct result_expectation[]){
            {"alice.state == connected within 3s", 12, false, "checking", 3 * TIME_S},
            {"no packet before consent", 0, true, NULL, TIME_NEVER}},
    .expectations_count = 2,
    .metrics = (const struct result_metric[]){{"alice.rtt", "12.5", true},
                                              {"alice.state", "checking", false}},
    .metrics_count = 2,
    .captures = (const struct result_capture[]){{"alice", "nat/a/symmetric/alice.pcap", 40}},
    .captures_count = 1,
};

static const struct result bare = {
    .file = "",
    .name = "",
    .cell = "",
    .id = "",
    .why = "",
    .replay = "",
    .cause.at = TIME_NEVER,
};

static void check_round_trip(const struct result *result)
{
    struct text once = {0}, again = {0};
    struct arena arena = {0};
    struct result got;
    result_encode(&once, result);
    assert_true(result_decode(text_bytes(&once), &arena, &got));
    result_encode(&again, &got);
    assert_int_equal(once.len, again.len);
    assert_memory_equal(once.at, again.at, once.len);
    text_free(&once);
    text_free(&again);
    arena_free(&arena);
}

static void test_result_decode_of_encode_is_the_identity(void **state)
{
    (void)state;
    check_round_trip(&full);
    check_round_trip(&bare);
}

static void test_result_decode_keeps_each_field(void **state)
{
    (void)state;
    struct text text = {0};
    struct arena arena = {0};
    struct result got;
    result_encode(&text, &full);
    assert_true(result_decode(text_bytes(&text), &arena, &got));
    text_free(&text); // nothing borrowed
    assert_string_equal(got.file, full.file);
    assert_string_equal(got.name, full.name);
    assert_string_equal(got.cell, full.cell);
    assert_string_equal(got.id, full.id);
    assert_true(got.seed == UINT64_MAX);
    assert_int_equal(got.verdict, VERDICT_FAILED);
    assert_string_equal(got.why, full.why);
    assert_true(got.cause.at == full.cause.at && got.cause.packet == 17);
    assert_string_equal(got.cause.capture, full.cause.capture);
    assert_string_equal(got.cause.rule, full.cause.rule);
    assert_string_equal(got.replay, full.replay);
    assert_true(got.virtual_time == 30 * TIME_S);
    assert_string_equal(got.log, full.log);
    assert_string_equal(got.keys, full.keys);
    assert_string_equal(got.stats, full.stats);
    assert_string_equal(got.expectations[0].actual, "checking");
    assert_int_equal(got.expectations[0].line, 12);
    assert_null(got.expectations[1].actual);
    assert_true(got.expectations[1].passed && got.expectations[1].at == TIME_NEVER);
    assert_string_equal(got.metrics[0].value, "12.5");
    assert_true(got.metrics[0].is_number && !got.metrics[1].is_number);
    assert_int_equal(got.captures[0].packets, 40);
    arena_free(&arena);
}

static void test_result_decode_refuses_every_truncation(void **state)
{
    (void)state;
    struct text text = {0};
    result_encode(&text, &full);
    for (size_t len = 0; len < text.len; len++) {
        struct arena arena = {0};
        struct result got;
        assert_false(result_decode(bytes_of(text.at, len), &arena, &got));
        arena_free(&arena);
    }
    text_free(&text);
}

static void test_result_decode_refuses_bytes_after_the_end(void **state)
{
    (void)state;
    struct text text = {0};
    struct arena arena = {0};
    struct result got;
    result_encode(&text, &full);
    text_put(&text, "x");
    assert_false(result_decode(text_bytes(&text), &arena, &got));
    text_free(&text);
    arena_free(&arena);
}

// A flipped bit is refused or gives another result, and never more memory than bytes arrived.
static void test_result_decode_survives_every_flipped_bit(void **state)
{
    (void)state;
    struct text text = {0};
    result_encode(&text, &full);
    for (size_t bit = 0; bit < text.len * 8; bit++) {
        struct arena arena = {0};
        struct result got;
        text.at[bit / 8] = (char)(text.at[bit / 8] ^ 1 << bit % 8);
        result_decode(text_bytes(&text), &arena, &got);
        assert_true(arena.used < 16 * text.len);
        text.at[bit / 8] = (char)(text.at[bit / 8] ^ 1 << bit % 8);
        arena_free(&arena);
    }
    text_free(&text);
}

static void test_verdict_name_is_a_word_for_each(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VERDICTS; i++)
        assert_non_null(verdict_name((enum verdict)i));
    assert_string_equal(verdict_name(VERDICT_OUT_OF_MEMORY), "out-of-memory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_result_decode_of_encode_is_the_identity),
        cmocka_unit_test(test_result_decode_keeps_each_field),
        cmocka_unit_test(test_result_decode_refuses_every_truncation),
        cmocka_unit_test(test_result_decode_refuses_bytes_after_the_end),
        cmocka_unit_test(test_result_decode_survives_every_flipped_bit),
        cmocka_unit_test(test_verdict_name_is_a_word_for_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
