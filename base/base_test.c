// base/: cursors, numbers, text, errors, arena, streams, trace, and the clock of the libraries.
#include "base/addr.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/libenv.h"
#include "base/rng.h"
#include "base/trace.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <cmocka.h>

static void test_bytes_reader_stays_failed(void **state)
{
    (void)state;
    const uint8_t wire[] = {1, 2, 3, 4, 5};
    struct reader r = reader_of(bytes_of(wire, sizeof wire));
    assert_int_equal(read_u16(&r), 0x0102);
    assert_int_equal(read_u32(&r), 0);
    assert_true(r.failed);
    assert_int_equal(read_u8(&r), 0); // two bytes were left, but a failed cursor gives none
    assert_int_equal(read_bytes(&r, 0).len, 0);
    assert_true(r.failed);
}

static void test_bytes_writer_stays_failed(void **state)
{
    (void)state;
    uint8_t wire[4] = {9, 9, 9, 9};
    struct writer w = writer_of(wire, sizeof wire);
    write_u8(&w, 1);
    write_u32(&w, 2);
    assert_true(w.failed);
    write_u8(&w, 3);
    assert_int_equal(wire[1], 9);
    assert_int_equal(writer_bytes(&w).len, 0);
}

static void test_bytes_round_trip(void **state)
{
    (void)state;
    uint8_t wire[32];
    struct writer w = writer_of(wire, sizeof wire);
    write_u64(&w, 0x1122334455667788u);
    write_u16(&w, 0);
    write_zeros(&w, 2);
    write_patch_u16(&w, 8, 0xabcd);
    struct reader r = reader_of(writer_bytes(&w));
    assert_true(read_u64(&r) == 0x1122334455667788u);
    assert_int_equal(read_u16(&r), 0xabcd);
    read_skip(&r, 2);
    assert_int_equal(r.len, 0);
    assert_false(r.failed);
}

static void test_bytes_parse_u64_limits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t max;
        bool ok;
        uint64_t value;
    } cases[] = {
        {"0", 0, true, 0},
        {"1", 0, false, 0},
        {"65535", 65535, true, 65535},
        {"65536", 65535, false, 0},
        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
        {"", 9, false, 0},
        {"-1", 9, false, 0},
        {"1 ", 9, false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t value = 0;
        assert_int_equal(bytes_parse_u64(bytes_text(cases[i].text), cases[i].max, &value),
                         cases[i].ok);
        assert_true(value == cases[i].value);
    }
}

static void test_addr_text_round_trip(void **state)
{
    (void)state;
    static const char *const good[] = {"192.0.2.1:3478", "[2001:db8::1]:5000", "[::]:0",
                                       "0.0.0.0:65535"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct addr addr;
        char text[ADDR_TEXT_MAX];
        assert_true(addr_parse(bytes_text(good[i]), &addr));
        assert_string_equal(addr_print(&addr, text), good[i]);
    }
    static const char *const bad[] = {"",
                                      "192.0.2.1",
                                      "192.0.2.1:",
                                      "1.2.3:80",
                                      "192.0.2.1:65536",
                                      "2001:db8::1:80",
                                      "[1.2.3.4]:1",
                                      "[2001:db8::1]5000",
                                      "01.2.3.4:5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct addr addr;
        assert_false(addr_parse(bytes_text(bad[i]), &addr));
    }
}

static void test_addr_prefix_and_kinds(void **state)
{
    (void)state;
    struct ip_prefix prefix;
    struct ip ip = ip_v4(100, 127, 255, 255), out = ip_v4(100, 128, 0, 0);
    assert_true(ip_prefix_parse(bytes_text("100.64.0.0/10"), &prefix));
    assert_true(ip_prefix_has(&prefix, &ip));
    assert_false(ip_prefix_has(&prefix, &out));
    assert_false(ip_prefix_parse(bytes_text("10.0.0.0/33"), &prefix));
    struct ip v6;
    assert_true(ip_parse(bytes_text("fe80::1"), &v6));
    assert_true(ip_is_link_local(&v6));
    assert_false(ip_prefix_has(&prefix, &v6));
    ip = ip_v4(127, 9, 9, 9);
    assert_true(ip_is_loopback(&ip));
    ip = ip_v4(224, 0, 0, 1);
    assert_true(ip_is_multicast(&ip));
}

static void test_clock_parse_needs_a_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        nanotime value;
    } good[] = {{"0s", 0},
                {"25ms", 25 * TIME_MS},
                {"1.5s", 1500 * TIME_MS},
                {"2min", 120 * TIME_S},
                {"1h", 3600 * TIME_S},
                {"250us", 250 * TIME_US},
                {"0.000000001s", 1}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        nanotime value;
        assert_true(time_parse(bytes_text(good[i].text), &value));
        assert_true(value == good[i].value);
    }
    static const char *const bad[] = {"",
                                      "25",
                                      "25 ms",
                                      "-1s",
                                      "1.s",
                                      ".5s",
                                      "1e3s",
                                      "1.5.5s",
                                      "0.5ns",
                                      "1.0005us",
                                      "9223372036854775807s",
                                      "1.0000000001s",
                                      "s"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        nanotime value;
        assert_false(time_parse(bytes_text(bad[i]), &value));
    }
}

static void test_clock_print(void **state)
{
    (void)state;
    char text[TIME_TEXT_MAX];
    assert_string_equal(time_print(0, text), "0s");
    assert_string_equal(time_print(1025 * TIME_MS, text), "1.025s");
    assert_string_equal(time_print(-1, text), "-0.000000001s");
    assert_string_equal(time_print(TIME_NEVER, text), "never");
    assert_true(time_add(TIME_NEVER, TIME_S) == TIME_NEVER);
    assert_true(time_add(TIME_S, TIME_NEVER) == TIME_NEVER);
}

// The streams are part of every trace: their first draws are fixed for ever.
static void test_rng_streams_are_fixed_and_independent(void **state)
{
    (void)state;
    struct rng a = rng_seed(1, "alice"), again = rng_seed(1, "alice"), b = rng_seed(1, "bob");
    uint64_t first = rng_u64(&a);
    assert_true(first == rng_u64(&again));
    assert_true(first != rng_u64(&b));
    struct rng other = rng_seed(2, "alice");
    assert_true(first != rng_u64(&other));
    uint8_t whole[16], parts[16];
    struct rng p = rng_seed(7, "x"), q = rng_seed(7, "x");
    rng_fill(&p, whole, 16);
    rng_fill(&q, parts, 8);
    rng_fill(&q, parts + 8, 8);
    assert_memory_equal(whole, parts, 16);
}

static void test_rng_chance_draws_only_when_uncertain(void **state)
{
    (void)state;
    struct rng rng = rng_seed(3, "link"), before = rng;
    assert_false(rng_chance(&rng, 0));
    assert_true(rng_chance(&rng, RNG_BILLION));
    assert_memory_equal(&rng, &before, sizeof rng);
    unsigned hits = 0;
    for (int i = 0; i < 100000; i++)
        hits += rng_chance(&rng, RNG_BILLION / 10);
    assert_in_range(hits, 9700, 10300);
}

static void test_rng_below_stays_below(void **state)
{
    (void)state;
    struct rng rng = rng_seed(3, "below");
    unsigned seen[7] = {0};
    for (int i = 0; i < 7000; i++)
        seen[rng_below(&rng, 7)]++;
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 850, 1150);
    assert_true(rng_below(&rng, 1) == 0);
}

static void test_err_keeps_the_first(void **state)
{
    (void)state;
    struct err err = {0};
    struct err_mark mark = {"a.yaml", 3, 7};
    assert_false(err_at(&err, mark, "expected %s, got %s", "a time", "'5'"));
    assert_false(err_set(&err, "later"));
    assert_string_equal(err.text, "a.yaml:3:7: expected a time, got '5'");
}

static void test_err_is_one_line(void **state)
{
    (void)state;
    struct err err = {0};
    err_set(&err, "got '%s'", "a\nb\x1b[2Jc\x7f\xc2\x9b");
    assert_string_equal(err.text, "got 'a b [2Jc   '");
    char word[2 * ERR_TEXT_MAX + 1] = "";
    for (size_t i = 0; i + 1 < sizeof word; i += 2)
        memcpy(word + i, "\xc3\xa4", 2);
    struct err whole = {0}, cut = {0};
    err_set(&whole, "x%s", word);
    assert_int_equal(strlen(whole.text), ERR_TEXT_MAX - 1);
    err_set(&cut, "%s", word); // not inside of a character
    assert_int_equal(strlen(cut.text), ERR_TEXT_MAX - 2);
}

static void test_err_nearest_word(void **state)
{
    (void)state;
    static const char *const words[] = {"delay", "jitter", "loss", "rate", NULL};
    assert_string_equal(err_nearest("delya", words), "delay");
    assert_string_equal(err_nearest("los", words), "loss");
    assert_null(err_nearest("bandwidth", words));
    assert_null(err_nearest("", words));
}

static void test_arena_gives_zeroed_aligned_memory(void **state)
{
    (void)state;
    struct arena arena = {0};
    for (size_t size = 0; size < 40000; size = size * 3 + 1) {
        unsigned char *at = arena_alloc(&arena, size);
        assert_true((uintptr_t)at % 16 == 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(at[i], 0);
        memset(at, 0xff, size);
    }
    assert_string_equal(arena_printf(&arena, "%d-%s", 5, "x"), "5-x");
    arena_free(&arena);
    assert_null(arena.chunks);
}

static void test_text_grows(void **state)
{
    (void)state;
    struct text text = {0};
    for (int i = 0; i < 1000; i++)
        text_printf(&text, "%d,", i);
    assert_int_equal(text.len, 10 * 2 + 90 * 3 + 900 * 4);
    assert_int_equal(strlen(text.at), text.len);
    text_clear(&text);
    assert_string_equal(text.at, "");
    text_free(&text);
}

static void test_trace_line_shape(void **state)
{
    (void)state;
    struct trace_log log = {.live_fd = -1};
    struct trace alice = trace_of(&log, "alice"), ice = trace_part(&alice, "ice");
    trace(&ice, 1025 * TIME_MS, "pair %d", 4);
    assert_string_equal(log.text.at, "   1.025000 alice.ice        pair 4\n");
    text_clear(&log.text);
    trace(&alice, 0, "label '%s'", "x\n   1.000000 run held\x1b[2J");
    assert_string_equal(log.text.at,
                        "   0.000000 alice            label 'x    1.000000 run held [2J'\n");
    struct trace silent = trace_of(NULL, "bob");
    trace(&silent, 0, "nothing");
    text_free(&log.text);
}

static void test_libenv_clock_and_chance(void **state)
{
    (void)state;
    struct err err = {0};
    struct rng rng = rng_seed(1, "peer"), same = rng;
    struct timeval tv;
    libenv_reset();
    assert_true(libenv_check(&err));
    struct libenv env = libenv_enter(90 * TIME_S + 5 * TIME_MS, &rng);
    gettimeofday(&tv, NULL);
    assert_true(tv.tv_sec == TIME_EPOCH_S + 90 && tv.tv_usec == 5000);
    assert_true(time(NULL) == TIME_EPOCH_S + 90);
    uint8_t got[8], expected[8];
    libenv_random(got, 8);
    rng_fill(&same, expected, 8);
    assert_memory_equal(got, expected, 8);
    libenv_leave(env);
    assert_int_equal(libenv_orphan_draws(), 0);
    libenv_random(got, 8);
    assert_int_equal(libenv_orphan_draws(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_reader_stays_failed),
        cmocka_unit_test(test_bytes_writer_stays_failed),
        cmocka_unit_test(test_bytes_round_trip),
        cmocka_unit_test(test_bytes_parse_u64_limits),
        cmocka_unit_test(test_addr_text_round_trip),
        cmocka_unit_test(test_addr_prefix_and_kinds),
        cmocka_unit_test(test_clock_parse_needs_a_unit),
        cmocka_unit_test(test_clock_print),
        cmocka_unit_test(test_rng_streams_are_fixed_and_independent),
        cmocka_unit_test(test_rng_chance_draws_only_when_uncertain),
        cmocka_unit_test(test_rng_below_stays_below),
        cmocka_unit_test(test_err_keeps_the_first),
        cmocka_unit_test(test_err_is_one_line),
        cmocka_unit_test(test_err_nearest_word),
        cmocka_unit_test(test_arena_gives_zeroed_aligned_memory),
        cmocka_unit_test(test_text_grows),
        cmocka_unit_test(test_trace_line_shape),
        cmocka_unit_test(test_libenv_clock_and_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
