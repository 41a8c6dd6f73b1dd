// The words of the commands over real sockets. No socket is opened here: what the commands say to
// other implementations is proven by ci/second-opinion.
#include "scenarios/runner/cli/cli.h"
#include "scenarios/runner/socket/socket_loop.h"
#include "scenarios/runner/socket/socket_words.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static void test_socket_words_user(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct err err = {0};
    struct socket_user user;
    assert_true(socket_parse_user("alice:secret", &arena, &user, &err));
    assert_string_equal(user.name, "alice");
    assert_string_equal(user.password, "secret");
    assert_true(socket_parse_user("1700000000:bob:x:y=", &arena, &user, &err));
    assert_string_equal(user.name, "1700000000");
    assert_string_equal(user.password, "bob:x:y=");
    assert_false(err_is_set(&err));
    arena_free(&arena);
}

static void test_socket_words_bad_user_is_not_repeated(void **state)
{
    (void)state;
    static const char *const bad[] = {"", ":", "secret", ":secret", "secret:"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct arena arena = {0};
        struct err err = {0};
        struct socket_user user;
        assert_false(socket_parse_user(bad[i], &arena, &user, &err));
        assert_string_equal(err.text, "--user: expected NAME:PASSWORD");
        arena_free(&arena);
    }
}

static void test_socket_words_ports(void **state)
{
    (void)state;
    struct err err = {0};
    uint16_t min = 0, max = 0;
    assert_true(socket_parse_ports("50000-50999", &min, &max, &err));
    assert_int_equal(min, 50000);
    assert_int_equal(max, 50999);
    assert_true(socket_parse_ports("1-65535", &min, &max, &err));
    assert_int_equal(min, 1);
    assert_int_equal(max, 65535);
    assert_true(socket_parse_ports("7-7", &min, &max, &err));

    static const char *const bad[] = {"",      "-",       "50000", "50000-", "-50000", "2-1",
                                      "0-100", "1-65536", "1-2-3", "a-b",    "1 -2",   "+1-2"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err bad_err = {0};
        assert_false(socket_parse_ports(bad[i], &min, &max, &bad_err));
        assert_true(err_is_set(&bad_err));
    }
    assert_int_equal(min, 7); // what is wrong changes nothing
}

static void test_socket_words_local(void **state)
{
    (void)state;
    struct err err = {0};
    struct addr addr;
    char text[ADDR_TEXT_MAX];
    assert_true(socket_parse_local("listen", "192.0.2.1:99", 3478, &addr, &err));
    assert_string_equal(addr_print(&addr, text), "192.0.2.1:99");
    assert_true(socket_parse_local("listen", "192.0.2.1", 3478, &addr, &err));
    assert_string_equal(addr_print(&addr, text), "192.0.2.1:3478");
    assert_true(socket_parse_local("listen", "[2001:db8::1]:0", 3478, &addr, &err));
    assert_string_equal(addr_print(&addr, text), "[2001:db8::1]:0");
    assert_true(socket_parse_local("listen", "2001:db8::1", 3478, &addr, &err));
    assert_string_equal(addr_print(&addr, text), "[2001:db8::1]:3478");

    static const char *const bad[] = {
        "",   ":3478",           "0.0.0.0:3478", "0.0.0.0",   "[::]:3478",
        "::", "192.0.2.1:65536", "192.0.2:1",    "localhost", "192.0.2.1:3478x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err bad_err = {0};
        assert_false(socket_parse_local("listen", bad[i], 3478, &addr, &bad_err));
        assert_non_null(strstr(bad_err.text, "--listen: "));
    }
    assert_string_equal(addr_print(&addr, text), "[2001:db8::1]:3478");
}

static void test_socket_words_seeded_chance_repeats_and_the_systems_does_not(void **state)
{
    (void)state;
    struct err err = {0};
    struct rng a, b;
    assert_true(socket_rng("7", &a, &err));
    assert_true(socket_rng("7", &b, &err));
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(socket_rng("8", &b, &err));
    assert_memory_not_equal(&a, &b, sizeof a);
    assert_true(socket_rng(NULL, &a, &err));
    assert_true(socket_rng(NULL, &b, &err));
    assert_memory_not_equal(&a, &b, sizeof a);
    assert_false(socket_rng("seven", &a, &err));
    assert_string_equal(err.text, "--seed: expected a whole number, got 'seven'");
}

static void test_socket_words_text_of_the_network_is_safe_to_print(void **state)
{
    (void)state;
    char to[SOCKET_TEXT_MAX];
    assert_string_equal(socket_print(bytes_text("Coturn-4.6.1 'Gorst'"), to),
                        "Coturn-4.6.1 'Gorst'");
    assert_string_equal(socket_print(bytes_of("a\x1b[2J\0\n\x7f\xff z", 11), to), "a.[2J.... z");
    assert_string_equal(socket_print((struct bytes){0}, to), "");
    uint8_t long_text[4 * SOCKET_TEXT_MAX];
    memset(long_text, 'x', sizeof long_text);
    assert_int_equal(strlen(socket_print(bytes_of(long_text, sizeof long_text), to)),
                     SOCKET_TEXT_MAX - 1);
}

// Numbers are no question for the resolver.
static void test_socket_resolve_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } good[] = {
        {"192.0.2.1:99", "192.0.2.1:99"},         {"192.0.2.1", "192.0.2.1:3478"},
        {"[2001:db8::1]:99", "[2001:db8::1]:99"}, {"[2001:db8::1]", "[2001:db8::1]:3478"},
        {"2001:db8::1", "[2001:db8::1]:3478"},    {"::1", "[::1]:3478"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct err err = {0};
        struct addr addr;
        char text[ADDR_TEXT_MAX];
        assert_true(socket_resolve(good[i].text, 3478, &addr, &err));
        assert_string_equal(addr_print(&addr, text), good[i].expected);
    }
}

static void test_socket_resolve_refuses_bad_words(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",          ":3478",        "192.0.2.1:",     "192.0.2.1:0", "192.0.2.1:65536",
        "host:stun", "[2001:db8::1", "[2001:db8::1]x", "[]:3478",     "[2001:db8::1]:",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = {0};
        struct addr addr;
        assert_false(socket_resolve(bad[i], 3478, &addr, &err));
        assert_non_null(strstr(err.text, "expected HOST:PORT"));
    }
    char long_name[600];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    struct err err = {0};
    struct addr addr;
    assert_false(socket_resolve(long_name, 3478, &addr, &err));
    assert_non_null(strstr(err.text, "expected HOST:PORT"));
}

#define WORDS_MAX 8
struct line {
    int (*command)(int argc, char **argv);
    const char *words[WORDS_MAX]; // NULL-ended
};

// Exit code 2, before any socket is opened.
static void test_socket_commands_refuse_bad_words(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {cli_stun, {NULL}},
        {cli_stun, {"192.0.2.1", "192.0.2.2"}},
        {cli_stun, {"192.0.2.1:0"}},
        {cli_stun, {"192.0.2.1", "--count", "0"}},
        {cli_stun, {"192.0.2.1", "--count"}},
        {cli_stun, {"192.0.2.1", "--timeout", "1s"}},
        {cli_stun, {"192.0.2.1", "--timeout", "18446744073709551615"}},
        {cli_stun, {"192.0.2.1", "--local", "0.0.0.0"}},
        {cli_stun, {"192.0.2.1", "--local", "::1"}},
        {cli_stun, {"192.0.2.1", "--nta"}},
        {cli_turn_server, {"word"}},
        {cli_turn_server, {"--listen", "0.0.0.0:3478"}},
        {cli_turn_server, {"--listen", "localhost:3478"}},
        {cli_turn_server, {"--user", "alice"}},
        {cli_turn_server, {"--relay-ip", "::"}},
        {cli_turn_server, {"--relay-ports", "2-1"}},
        {cli_turn_server, {"--nonce-lifetime", "4294967296"}},
        {cli_turn_server, {"--quota", "4294967296"}},
        {cli_turn_server, {"--seconds", "18446744073709551615"}},
        {cli_turn_server, {"--seed", "x"}},
        // RFC 5780 6: the other IP and the other port, of the same family, both known.
        {cli_turn_server, {"--listen", "127.0.0.1:9", "--other", "127.0.0.1:10"}},
        {cli_turn_server, {"--listen", "127.0.0.1:9", "--other", "127.0.0.2:9"}},
        {cli_turn_server, {"--listen", "127.0.0.1:9", "--other", "[::1]:10"}},
        {cli_turn_server, {"--listen", "127.0.0.1:0", "--other", "127.0.0.2:10"}},
        {cli_turn_server, {"--listen", "127.0.0.1:9", "--other", "127.0.0.2:0"}},
        {cli_turn_client, {NULL}},
        {cli_turn_client, {"192.0.2.1", "--user", "alice"}},
        {cli_turn_client, {"192.0.2.1", "--size", "1401"}},
        {cli_turn_client, {"192.0.2.1", "--size", "0"}},
        {cli_turn_client, {"192.0.2.1", "--messages", "-1"}},
        {cli_turn_client, {"192.0.2.1", "--family", "5"}},
        {cli_turn_client, {"192.0.2.1", "--stay", "3600001"}},
        {cli_turn_client, {"192.0.2.1:70000"}},
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct arena arena = {0};
        char *argv[WORDS_MAX + 2] = {arena_text(&arena, "simrtc")};
        int argc = 1;
        for (unsigned w = 0; w < WORDS_MAX && lines[i].words[w]; w++)
            argv[argc++] = arena_text(&arena, lines[i].words[w]);
        if (lines[i].command(argc, argv) != CLI_CANNOT)
            fail_msg("line %zu was taken: %s", i, argc > 1 ? argv[argc - 1] : "");
        arena_free(&arena);
    }
}

static void test_socket_commands_take_no_more_users_than_there_is_room(void **state)
{
    (void)state;
    struct arena arena = {0};
    char *argv[2 * CLI_TEXTS_MAX + 4] = {arena_text(&arena, "simrtc")};
    int argc = 1;
    for (unsigned i = 0; i <= CLI_TEXTS_MAX; i++) {
        argv[argc++] = arena_text(&arena, "--user");
        argv[argc++] = arena_printf(&arena, "user%u:p", i);
    }
    assert_int_equal(cli_turn_server(argc, argv), CLI_CANNOT);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_socket_words_user),
        cmocka_unit_test(test_socket_words_bad_user_is_not_repeated),
        cmocka_unit_test(test_socket_words_ports),
        cmocka_unit_test(test_socket_words_local),
        cmocka_unit_test(test_socket_words_seeded_chance_repeats_and_the_systems_does_not),
        cmocka_unit_test(test_socket_words_text_of_the_network_is_safe_to_print),
        cmocka_unit_test(test_socket_resolve_numbers),
        cmocka_unit_test(test_socket_resolve_refuses_bad_words),
        cmocka_unit_test(test_socket_commands_refuse_bad_words),
        cmocka_unit_test(test_socket_commands_take_no_more_users_than_there_is_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
