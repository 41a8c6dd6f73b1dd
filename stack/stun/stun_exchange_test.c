// Credentials, one client transaction, and the Binding server, against each other.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "stack/stun/stun_auth.h"
#include "stack/stun/stun_client.h"
#include "stack/stun/stun_server.h"

static const uint8_t id[STUN_ID_LEN] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
static uint8_t buffer[STUN_MESSAGE_MAX];

static struct addr addr_of(const char *text)
{
    struct addr addr;
    assert_true(addr_parse(bytes_text(text), &addr));
    return addr;
}

// ------------------------------------------------------------------------------------ credentials

static const uint8_t both[] = {0, 1, 0, 0, 0, 2, 0, 0};

// A challenge, decoded: pass NULL or 0 to leave something out.
static void challenge(struct stun_msg *msg, unsigned code, const char *realm, const char *nonce,
                      struct bytes algorithms)
{
    struct stun_writer s = stun_begin(buffer, sizeof buffer, STUN_ERROR, STUN_BINDING, id);
    stun_add_error(&s, code, bytes_text(""));
    if (realm)
        stun_add_bytes(&s, STUN_REALM, bytes_text(realm));
    if (nonce)
        stun_add_bytes(&s, STUN_NONCE, bytes_text(nonce));
    if (algorithms.len)
        stun_add_bytes(&s, STUN_PASSWORD_ALGORITHMS, algorithms);
    assert_int_equal(stun_decode(stun_end(&s), msg), STUN_OK);
}

static void authenticated(struct stun_auth *auth, struct stun_msg *msg)
{
    struct stun_writer s = stun_begin(buffer, sizeof buffer, STUN_REQUEST, STUN_BINDING, id);
    stun_add_bytes(&s, STUN_SOFTWARE, bytes_text("x"));
    stun_auth_add(auth, &s);
    assert_int_equal(stun_decode(stun_end(&s), msg), STUN_OK);
}

static struct stun_auth *long_term(void)
{
    return stun_auth_new_long_term(bytes_text("user"), bytes_text("pass"));
}

static void test_stun_auth_plain_challenge_is_met_with_md5(void **state)
{
    (void)state;
    struct stun_auth *auth = long_term();
    struct stun_msg msg;
    authenticated(auth, &msg);
    assert_false(stun_has(&msg, STUN_USERNAME)); // RFC 8489 9.2.3.1
    challenge(&msg, 401, "realm", "nonce-1", bytes_of(NULL, 0));
    assert_int_equal(stun_auth_challenge(auth, &msg), STUN_AUTH_RETRY);
    authenticated(auth, &msg);
    assert_true(bytes_is(msg.username, "user"));
    assert_true(bytes_is(msg.nonce, "nonce-1"));
    assert_false(stun_has(&msg, STUN_PASSWORD_ALGORITHM));
    // RFC 8489 9.2.2: the MD5 of "user:realm:pass" is this.
    static const uint8_t md5[] = {0x84, 0x93, 0xfb, 0xc5, 0x3b, 0xa5, 0x82, 0xfb,
                                  0x4c, 0x04, 0x4c, 0x45, 0x6b, 0xdc, 0x40, 0xeb};
    struct stun_key *key = stun_key_new(bytes_of(md5, sizeof md5));
    assert_true(stun_check_integrity(&msg, key));
    assert_true(stun_auth_check(auth, &msg));
    stun_key_free(key);
    stun_auth_free(auth);
}

static void test_stun_auth_sha256_where_it_is_offered(void **state)
{
    (void)state;
    struct stun_auth *auth = long_term();
    struct stun_msg msg;
    challenge(&msg, 401, "realm", "obMatJos2AAABxyz", bytes_of(both, sizeof both));
    assert_int_equal(stun_auth_challenge(auth, &msg), STUN_AUTH_RETRY);
    authenticated(auth, &msg);
    assert_int_equal(msg.password_algorithm, STUN_SHA256);
    assert_true(bytes_equal(msg.password_algorithms, bytes_of(both, sizeof both)));
    assert_true(stun_has(&msg, STUN_MESSAGE_INTEGRITY_SHA256));
    assert_false(stun_has(&msg, STUN_MESSAGE_INTEGRITY));
    stun_auth_free(auth);
}

static void test_stun_auth_hides_the_name_when_asked(void **state)
{
    (void)state;
    struct stun_auth *auth = long_term();
    struct stun_msg msg;
    challenge(&msg, 401, "realm", "obMatJos2AAADxyz", bytes_of(both, sizeof both));
    assert_int_equal(stun_auth_challenge(auth, &msg), STUN_AUTH_RETRY);
    authenticated(auth, &msg);
    assert_false(stun_has(&msg, STUN_USERNAME));
    uint8_t hash[STUN_USERHASH_LEN];
    stun_userhash(bytes_text("user"), bytes_text("realm"), hash);
    assert_true(bytes_equal(msg.userhash, bytes_of(hash, sizeof hash)));
    stun_auth_free(auth);
}

static void test_stun_auth_steps(void **state)
{
    (void)state;
    static const uint8_t strange[] = {0, 9, 0, 1, 0xff, 0, 0, 0};
    static const uint8_t broken[] = {0, 1, 0, 99};
    struct bytes none = {0};
    struct stun_auth *auth = long_term();
    struct stun_msg msg;
    challenge(&msg, 401, "realm", "obMatJos2AAABxyz", none);
    assert_int_equal(stun_auth_challenge(auth, &msg), STUN_AUTH_BID_DOWN);
    challenge(&msg, 401, "realm", "n", bytes_of(strange, sizeof strange));
    assert_int_equal(stun_auth_challenge(auth, &msg), STUN_AUTH_UNSUPPORTED);
    challenge(&msg, 401, "realm", "n", bytes_of(broken, sizeof broken));
    assert_int_equal(stun_auth_challenge(auth, &msg), STUN_AUTH_UNSUPPORTED);
    challenge(&msg, 401, "realm", NULL, none);
    assert_int_equal(stun_auth_challenge(auth, &msg), STUN_AUTH_UNSUPPORTED);
    challenge(&msg, 401, NULL, "n", none);
    assert_int_equal(stun_auth_challenge(auth, &msg), STUN_AUTH_UNSUPPORTED);
    assert_false(stun_auth_is_ready(auth));

    challenge(&msg, 401, "realm", "n", none);
    assert_int_equal(stun_auth_challenge(auth, &msg), STUN_AUTH_RETRY);
    assert_int_equal(stun_auth_challenge(auth, &msg), STUN_AUTH_REFUSED); // the same again
    challenge(&msg, 438, NULL, "newer", none);
    assert_int_equal(stun_auth_challenge(auth, &msg), STUN_AUTH_RETRY);
    challenge(&msg, 401, "another realm", "n", none);
    assert_int_equal(stun_auth_challenge(auth, &msg), STUN_AUTH_RETRY);
    stun_auth_reset(auth);
    assert_false(stun_auth_is_ready(auth));
    stun_auth_free(auth);

    auth = stun_auth_new_short_term(bytes_text("user"), bytes_text("pass"));
    assert_int_equal(stun_auth_challenge(auth, &msg), STUN_AUTH_REFUSED);
    stun_auth_free(auth);
}

static void test_stun_nonce_is_for_one_client_and_dated(void **state)
{
    (void)state;
    struct stun_key *secret = stun_key_new(bytes_text("s")), *other = stun_key_new(bytes_text("t"));
    struct addr a = addr_of("192.0.2.1:1"), b = addr_of("192.0.2.1:2");
    char text[STUN_NONCE_LEN];
    stun_nonce_make(secret, STUN_FEATURE_PASSWORD_ALGORITHMS, 123 * TIME_S, &a, text);
    struct bytes nonce = bytes_of(text, sizeof text);
    assert_true(bytes_starts(nonce, "obMatJos2AAAB"));
    uint32_t features;
    nanotime made_at;
    assert_true(stun_nonce_features(nonce, &features));
    assert_int_equal(features, STUN_FEATURE_PASSWORD_ALGORITHMS);
    assert_true(stun_nonce_check(secret, features, &a, nonce, &made_at));
    assert_int_equal(made_at, 123 * TIME_S);
    assert_false(stun_nonce_check(secret, features, &b, nonce, &made_at));
    assert_false(stun_nonce_check(other, features, &a, nonce, &made_at));
    assert_false(stun_nonce_check(secret, 0, &a, nonce, &made_at));
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] ^= 1;
        assert_false(stun_nonce_check(secret, features, &a, nonce, &made_at));
        text[i] ^= 1;
    }
    for (size_t len = 0; len < sizeof text; len++)
        assert_false(stun_nonce_check(secret, features, &a, bytes_of(text, len), &made_at));
    assert_false(stun_nonce_features(bytes_text("obMatJos2AA!B"), &features));
    assert_false(stun_nonce_features(bytes_text("obMatJos2AAA"), &features));
    stun_key_free(secret);
    stun_key_free(other);
}

// ------------------------------------------------------------------------------ client and server

static struct stun_server_config one_address(void)
{
    return (struct stun_server_config){.listen = addr_of("192.0.2.1:3478"), .software = "simrtc"};
}

static struct stun_server_config two_addresses(void)
{
    return (struct stun_server_config){.listen = addr_of("192.0.2.1:3478"),
                                       .other = addr_of("192.0.2.2:3479")};
}

static struct stun_client_config client_config(void)
{
    return (struct stun_client_config){.local = addr_of("10.0.0.1:4000"),
                                       .server = addr_of("192.0.2.1:3478"),
                                       .fingerprint = true,
                                       .rng = rng_seed(1, "client")};
}

// Send what is due, let the server answer, give it to the client if it is for it.
static bool exchange(struct stun_client *client, const struct stun_server_config *server,
                     nanotime now, struct datagram *answer)
{
    static uint8_t reply[STUN_MESSAGE_MAX];
    struct datagram request;
    struct stun_msg msg;
    assert_true(stun_client_poll(client, now, &request));
    assert_int_equal(stun_decode(request.bytes, &msg), STUN_OK);
    assert_true(stun_server_answer(server, &request, &msg, reply, sizeof reply, answer));
    return stun_client_input(client, now + 20 * TIME_MS, answer);
}

static void test_stun_client_learns_its_address(void **state)
{
    (void)state;
    struct stun_server_config server = one_address();
    struct stun_client_config config = client_config();
    struct stun_client *client = stun_client_new(&config, 0);
    struct datagram answer;
    assert_int_equal(stun_client_deadline(client), 0);
    assert_true(exchange(client, &server, 0, &answer));
    struct stun_client_result result = stun_client_result(client);
    assert_int_equal(result.state, STUN_CLIENT_ANSWERED);
    assert_true(addr_equal(&result.mapped, &config.local));
    assert_true(addr_is_none(&result.other_address));
    assert_int_equal(result.round_trip, 20 * TIME_MS);
    assert_false(stun_client_input(client, 0, &answer)); // a duplicate
    assert_int_equal(stun_client_deadline(client), TIME_NEVER);
    stun_client_free(client);
}

static void test_stun_client_ignores_strangers(void **state)
{
    (void)state;
    struct stun_server_config server = one_address();
    struct stun_client_config config = client_config();
    struct stun_client *client = stun_client_new(&config, 0);
    struct datagram request, answer;
    struct stun_msg msg;
    uint8_t reply[STUN_MESSAGE_MAX];
    assert_true(stun_client_poll(client, 0, &request));
    assert_int_equal(stun_decode(request.bytes, &msg), STUN_OK);
    assert_false(stun_client_input(client, 0, &request)); // our own request
    assert_true(stun_server_answer(&server, &request, &msg, reply, sizeof reply, &answer));
    struct datagram elsewhere = answer;
    elsewhere.from.port++;
    assert_false(stun_client_input(client, 0, &elsewhere));
    reply[8] ^= 1; // another transaction
    assert_false(stun_client_input(client, 0, &answer));
    reply[8] ^= 1;
    reply[answer.bytes.len - 1] ^= 1; // the fingerprint
    assert_false(stun_client_input(client, 0, &answer));
    reply[answer.bytes.len - 1] ^= 1;
    assert_true(stun_client_input(client, 0, &answer));
    stun_client_free(client);
}

static void test_stun_client_gives_up(void **state)
{
    (void)state;
    struct stun_client_config config = client_config();
    struct stun_client *client = stun_client_new(&config, 0);
    struct datagram request;
    unsigned sent = 0;
    while (stun_client_result(client).state == STUN_CLIENT_ASKING)
        sent += stun_client_poll(client, stun_client_deadline(client), &request);
    assert_int_equal(sent, STUN_RC);
    assert_int_equal(stun_client_result(client).state, STUN_CLIENT_TIMED_OUT);
    stun_client_free(client);
}

static void test_stun_client_with_credentials_wants_a_signed_answer(void **state)
{
    (void)state;
    struct stun_server_config server = one_address();
    struct stun_client_config config = client_config();
    config.username = "u";
    config.password = "p";
    struct stun_client *client = stun_client_new(&config, 0);
    struct datagram answer;
    assert_false(exchange(client, &server, 0, &answer)); // this server signs nothing
    assert_int_equal(stun_client_result(client).state, STUN_CLIENT_ASKING);
    // RFC 8489 9.1.4: not the silence of a server is what ends it.
    assert_true(stun_client_result(client).forged);
    stun_client_free(client);
}

// RFC 8489 9.2.5: the nonce promises a list of algorithms that is not there.
static void test_stun_client_ignores_a_stripped_answer(void **state)
{
    (void)state;
    struct stun_client_config config = client_config();
    for (int whole = 0; whole < 2; whole++) {
        struct stun_client *client = stun_client_new(&config, 0);
        struct datagram request;
        struct stun_msg asked;
        assert_true(stun_client_poll(client, 0, &request));
        assert_int_equal(stun_decode(request.bytes, &asked), STUN_OK);
        struct stun_writer s =
            stun_begin(buffer, sizeof buffer, STUN_ERROR, STUN_BINDING, asked.id);
        stun_add_error(&s, 420, bytes_text(""));
        stun_add_bytes(&s, STUN_NONCE, bytes_text("obMatJos2AAABxyz"));
        if (whole)
            stun_add_bytes(&s, STUN_PASSWORD_ALGORITHMS, bytes_of(both, sizeof both));
        struct datagram answer = {request.to, request.from, stun_end(&s)};
        assert_int_equal(stun_client_input(client, 0, &answer), whole);
        stun_client_free(client);
    }
}

// RFC 5780 7.2: each combination of the two flags, asked at each of the four sockets.
static void test_stun_server_changes_address_as_asked(void **state)
{
    (void)state;
    struct stun_server_config server = two_addresses();
    struct stun_client_config config = client_config();
    for (unsigned at = 0; at < 4; at++)
        for (unsigned change = 0; change < 4; change++) {
            config.server.ip = at & 2 ? server.other.ip : server.listen.ip;
            config.server.port = at & 1 ? server.other.port : server.listen.port;
            config.change_ip = change & 2;
            config.change_port = change & 1;
            struct stun_client *client = stun_client_new(&config, 0);
            struct datagram answer;
            assert_true(exchange(client, &server, 0, &answer));
            struct stun_client_result result = stun_client_result(client);
            assert_int_equal(ip_equal(&result.from.ip, &config.server.ip), !config.change_ip);
            assert_int_equal(result.from.port == config.server.port, !config.change_port);
            assert_true(addr_equal(&result.from, &result.response_origin));
            assert_false(ip_equal(&result.other_address.ip, &config.server.ip));
            assert_int_not_equal(result.other_address.port, config.server.port);
            stun_client_free(client);
        }
}

static void test_stun_server_response_port(void **state)
{
    (void)state;
    struct stun_server_config server = two_addresses();
    struct stun_client_config config = client_config();
    config.response_port = 4444;
    struct stun_client *client = stun_client_new(&config, 0);
    struct datagram answer;
    exchange(client, &server, 0, &answer);
    assert_int_equal(answer.to.port, 4444);
    stun_client_free(client);
}

static void test_stun_server_with_one_address_refuses_to_change(void **state)
{
    (void)state;
    struct stun_server_config server = one_address();
    struct stun_client_config config = client_config();
    config.change_ip = true;
    struct stun_client *client = stun_client_new(&config, 0);
    struct datagram answer;
    assert_true(exchange(client, &server, 0, &answer));
    assert_int_equal(stun_client_result(client).state, STUN_CLIENT_REFUSED);
    assert_int_equal(stun_client_result(client).error_code, 420);
    struct stun_msg msg;
    assert_int_equal(stun_decode(answer.bytes, &msg), STUN_OK);
    assert_true(bytes_equal(msg.unknown_attributes, bytes_of("\0\3", 2)));
    stun_client_free(client);
}

// RFC 5780 5: support of these is optional, and a server without it says so.
static void test_stun_server_with_one_address_knows_no_5780(void **state)
{
    (void)state;
    struct stun_server_config server = one_address();
    struct stun_writer s = stun_begin(buffer, sizeof buffer, STUN_REQUEST, STUN_BINDING, id);
    stun_add_u32(&s, STUN_RESPONSE_PORT, 4444u << 16);
    stun_add_bytes(&s, STUN_PADDING, bytes_text("padding"));
    struct datagram request = {addr_of("10.0.0.1:1"), server.listen, stun_end(&s)}, answer;
    struct stun_msg msg;
    uint8_t reply[STUN_MESSAGE_MAX];
    assert_int_equal(stun_decode(request.bytes, &msg), STUN_OK);
    assert_true(stun_server_answer(&server, &request, &msg, reply, sizeof reply, &answer));
    assert_int_equal(answer.to.port, 1);
    struct stun_msg told;
    assert_int_equal(stun_decode(answer.bytes, &told), STUN_OK);
    assert_int_equal(told.error_code, 420);
    assert_true(bytes_equal(told.unknown_attributes, bytes_of("\0\x27\0\x26", 4)));
}

// RFC 5780 6.1: a padded request has a padded answer, which is no longer than it was, for it may go
// to whoever the request claims to be from.
static void test_stun_server_pads_its_answer(void **state)
{
    (void)state;
    struct stun_server_config server = two_addresses();
    static const uint8_t zeros[1800];
    static const size_t lens[][2] = {{0, 0}, {5, 8}, {1000, 1000}, {1800, 1500}};
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        struct stun_writer s = stun_begin(buffer, sizeof buffer, STUN_REQUEST, STUN_BINDING, id);
        stun_add_bytes(&s, STUN_PADDING, bytes_of(zeros, lens[i][0]));
        struct datagram request = {addr_of("10.0.0.1:1"), server.listen, stun_end(&s)}, answer;
        struct stun_msg msg;
        uint8_t reply[STUN_MESSAGE_MAX];
        assert_int_equal(stun_decode(request.bytes, &msg), STUN_OK);
        assert_true(stun_server_answer(&server, &request, &msg, reply, sizeof reply, &answer));
        struct stun_msg told;
        assert_int_equal(stun_decode(answer.bytes, &told), STUN_OK);
        assert_int_equal(told.class, STUN_SUCCESS);
        assert_true(stun_has(&told, STUN_PADDING));
        assert_int_equal(told.padding.len, lens[i][1]);
    }
}

static void test_stun_server_unknown_attribute_and_strangers(void **state)
{
    (void)state;
    struct stun_server_config server = one_address();
    struct stun_writer s = stun_begin(buffer, sizeof buffer, STUN_REQUEST, STUN_BINDING, id);
    stun_add_u32(&s, (enum stun_attr)0x7abc, 0);
    struct datagram request = {addr_of("10.0.0.1:1"), server.listen, stun_end(&s)}, answer;
    struct stun_msg msg;
    uint8_t reply[STUN_MESSAGE_MAX];
    assert_int_equal(stun_decode(request.bytes, &msg), STUN_OK);
    assert_true(stun_server_answer(&server, &request, &msg, reply, sizeof reply, &answer));
    struct stun_msg told;
    assert_int_equal(stun_decode(answer.bytes, &told), STUN_OK);
    assert_int_equal(told.error_code, 420);
    assert_true(bytes_equal(told.unknown_attributes, bytes_of("\x7a\xbc", 2)));

    request.to.port++;
    assert_false(stun_server_answer(&server, &request, &msg, reply, sizeof reply, &answer));
    request.to.port--;
    msg.class = STUN_INDICATION;
    assert_false(stun_server_answer(&server, &request, &msg, reply, sizeof reply, &answer));
    msg.class = STUN_REQUEST;
    assert_false(stun_server_answer(&server, &request, &msg, reply, 30, &answer)); // no room
}

// RFC 5389 12.2: what stands in the place of the cookie comes back, with a plain address.
static void test_stun_server_answers_classic_clients(void **state)
{
    (void)state;
    static const char asked[] = "\0\1\0\x08"
                                "classic-client-1"
                                "\x80\x22\0\3nic\0",
                      told[] = "\1\1\0\x0c"
                               "classic-client-1"
                               "\0\1\0\x08\0\1\x04\xd2\x0a\0\0\x01";
    struct stun_server_config server = one_address();
    struct datagram request = {addr_of("10.0.0.1:1234"), server.listen,
                               bytes_of(asked, sizeof asked - 1)};
    struct datagram answer;
    uint8_t reply[STUN_MESSAGE_MAX];
    assert_true(stun_server_answer_classic(&server, &request, reply, sizeof reply, &answer));
    assert_true(bytes_equal(answer.bytes, bytes_of(told, sizeof told - 1)));
    assert_true(addr_equal(&answer.to, &request.from) && addr_equal(&answer.from, &request.to));

    assert_false(stun_server_answer_classic(&server, &request, reply, 31, &answer)); // no room
    request.to.port++;
    assert_false(stun_server_answer_classic(&server, &request, reply, sizeof reply, &answer));
    request.to.port--;
    for (size_t len = 0; len < sizeof asked - 1; len++) {
        request.bytes.len = len;
        assert_false(stun_server_answer_classic(&server, &request, reply, sizeof reply, &answer));
    }
    // CHANGE-REQUEST, which would have to be understood; a response; what has the cookie.
    static const char bad[][29] = {"\0\1\0\x08"
                                   "classic-client-1"
                                   "\0\3\0\4\0\0\0\6",
                                   "\1\1\0\x08"
                                   "classic-client-1"
                                   "\x80\x22\0\4nice",
                                   "\0\1\0\x08"
                                   "\x21\x12\xa4\x42"
                                   "classic-clie"
                                   "\x80\x22\0\4nice"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        request.bytes = bytes_of(bad[i], 28);
        assert_false(stun_server_answer_classic(&server, &request, reply, sizeof reply, &answer));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stun_auth_plain_challenge_is_met_with_md5),
        cmocka_unit_test(test_stun_auth_sha256_where_it_is_offered),
        cmocka_unit_test(test_stun_auth_hides_the_name_when_asked),
        cmocka_unit_test(test_stun_auth_steps),
        cmocka_unit_test(test_stun_nonce_is_for_one_client_and_dated),
        cmocka_unit_test(test_stun_client_learns_its_address),
        cmocka_unit_test(test_stun_client_ignores_strangers),
        cmocka_unit_test(test_stun_client_gives_up),
        cmocka_unit_test(test_stun_client_with_credentials_wants_a_signed_answer),
        cmocka_unit_test(test_stun_client_ignores_a_stripped_answer),
        cmocka_unit_test(test_stun_server_changes_address_as_asked),
        cmocka_unit_test(test_stun_server_response_port),
        cmocka_unit_test(test_stun_server_with_one_address_refuses_to_change),
        cmocka_unit_test(test_stun_server_with_one_address_knows_no_5780),
        cmocka_unit_test(test_stun_server_pads_its_answer),
        cmocka_unit_test(test_stun_server_unknown_attribute_and_strangers),
        cmocka_unit_test(test_stun_server_answers_classic_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
