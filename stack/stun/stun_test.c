// STUN messages: published vectors, round trips, hostile bytes, the schedule.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "stack/stun/stun_auth.h"
#include "stack/stun/stun_vectors.h"

#define BYTES(array) bytes_of((array), sizeof(array))
#define SHORT_TERM "VOkJxbRl1RmTxUk/WvJxBt" // the password of RFC 5769 2.1 to 2.3

static struct addr addr_of(const char *text)
{
    struct addr addr;
    assert_true(addr_parse(bytes_text(text), &addr));
    return addr;
}

static void check(struct bytes datagram, struct stun_msg *msg)
{
    struct stun_key *key = stun_key_new(bytes_text(SHORT_TERM));
    assert_int_equal(stun_decode(datagram, msg), STUN_OK);
    assert_true(stun_check_fingerprint(msg));
    assert_true(stun_check_integrity(msg, key));
    stun_key_free(key);
}

static void test_stun_rfc5769_request(void **state)
{
    (void)state;
    struct stun_msg msg;
    check(BYTES(rfc5769_request), &msg);
    assert_int_equal(msg.class, STUN_REQUEST);
    assert_int_equal(msg.method, STUN_BINDING);
    assert_true(bytes_is(msg.software, "STUN test client"));
    assert_true(bytes_is(msg.username, "evtj:h6vY"));
    assert_int_equal(msg.priority, 0x6e0001ff);
    assert_true(stun_has(&msg, STUN_ICE_CONTROLLED));
    assert_false(stun_has(&msg, STUN_ICE_CONTROLLING));
    assert_true(msg.tiebreaker == 0x932ff9b151263b36u);
}

static void test_stun_rfc5769_responses(void **state)
{
    (void)state;
    struct stun_msg msg;
    check(BYTES(rfc5769_response_v4), &msg);
    struct addr v4 = addr_of("192.0.2.1:32853");
    assert_int_equal(msg.class, STUN_SUCCESS);
    assert_true(addr_equal(&msg.mapped, &v4));
    check(BYTES(rfc5769_response_v6), &msg);
    struct addr v6 = addr_of("[2001:db8:1234:5678:11:2233:4455:6677]:32853");
    assert_true(addr_equal(&msg.mapped, &v6));
}

static void test_stun_rfc5769_long_term(void **state)
{
    (void)state;
    struct stun_msg msg;
    assert_int_equal(stun_decode(BYTES(rfc5769_long_term), &msg), STUN_OK);
    assert_true(bytes_is(msg.realm, "example.org"));
    struct stun_key *key =
        stun_key_new_long_term(msg.username, msg.realm, bytes_text("TheMatrIX"), STUN_MD5);
    assert_true(stun_check_integrity(&msg, key));
    assert_false(stun_check_integrity256(&msg, key));
    assert_false(stun_check_fingerprint(&msg)); // it has none
    stun_key_free(key);
}

static void test_stun_rfc8489_b1(void **state)
{
    (void)state;
    struct stun_msg msg;
    assert_int_equal(stun_decode(BYTES(rfc8489_b1_printed), &msg), STUN_TRUNCATED);
    assert_int_equal(stun_decode(BYTES(rfc8489_b1), &msg), STUN_OK);
    assert_int_equal(msg.password_algorithm, STUN_SHA256);
    uint8_t hash[STUN_USERHASH_LEN];
    stun_userhash(BYTES(rfc8489_b1_username), msg.realm, hash);
    assert_true(bytes_equal(msg.userhash, BYTES(hash)));
    struct stun_key *key = stun_key_new_long_term(BYTES(rfc8489_b1_username), msg.realm,
                                                  bytes_text("TheMatrIX"), STUN_SHA256);
    assert_true(stun_check_integrity256(&msg, key));
    stun_key_free(key);
    key = stun_key_new(BYTES(rfc8489_b1_key)); // the same key, given
    assert_true(stun_check_integrity256(&msg, key));
    stun_key_free(key);
    uint32_t features;
    assert_true(stun_nonce_features(msg.nonce, &features));
    assert_int_equal(features, STUN_FEATURE_USERNAME_ANONYMITY); // erratum 6290
}

static void test_stun_encodes_the_vectors(void **state)
{
    (void)state;
    uint8_t buffer[256];
    struct stun_key *key = stun_key_new(bytes_text(SHORT_TERM));
    struct stun_writer s =
        stun_begin(buffer, sizeof buffer, STUN_REQUEST, STUN_BINDING, rfc5769_request + 8);
    stun_add_bytes(&s, STUN_SOFTWARE, bytes_text("STUN test client"));
    stun_add_u32(&s, STUN_PRIORITY, 0x6e0001ff);
    stun_add_u64(&s, STUN_ICE_CONTROLLED, 0x932ff9b151263b36u);
    stun_add_bytes(&s, STUN_USERNAME, bytes_text("evtj:h6vY"));
    // RFC 5769 pads with spaces, we with zeros: the same up to there.
    assert_memory_equal(buffer + 4, rfc5769_request + 4, 73 - 4);
    stun_add_integrity(&s, key);
    stun_add_fingerprint(&s);
    struct bytes message = stun_end(&s);
    assert_int_equal(message.len, sizeof rfc5769_request);
    struct stun_msg msg;
    check(message, &msg);
    stun_key_free(key);

    key = stun_key_new(BYTES(rfc8489_b1_key));
    assert_int_equal(stun_decode(BYTES(rfc8489_b1), &msg), STUN_OK);
    s = stun_begin(buffer, sizeof buffer, STUN_REQUEST, STUN_BINDING, msg.id);
    stun_add_bytes(&s, STUN_USERHASH, msg.userhash);
    stun_add_bytes(&s, STUN_NONCE, msg.nonce);
    stun_add_bytes(&s, STUN_REALM, msg.realm);
    stun_add_u32(&s, STUN_PASSWORD_ALGORITHM, STUN_SHA256 << 16);
    stun_add_integrity256(&s, key);
    assert_true(bytes_equal(stun_end(&s), BYTES(rfc8489_b1)));
    stun_key_free(key);
}

static void test_stun_every_bit_counts(void **state)
{
    (void)state;
    struct stun_key *key = stun_key_new(bytes_text(SHORT_TERM));
    uint8_t copy[sizeof rfc5769_request];
    for (size_t bit = 0; bit < sizeof copy * 8; bit++) {
        memcpy(copy, rfc5769_request, sizeof copy);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct stun_msg msg;
        if (stun_decode(BYTES(copy), &msg) != STUN_OK)
            continue;
        assert_false(stun_check_fingerprint(&msg));
        assert_false(bit < 76 * 8 && stun_check_integrity(&msg, key));
    }
    stun_key_free(key);
    key = stun_key_new(bytes_text("another password"));
    struct stun_msg msg;
    assert_int_equal(stun_decode(BYTES(rfc5769_request), &msg), STUN_OK);
    assert_false(stun_check_integrity(&msg, key));
    stun_key_free(key);
}

// Every prefix of every vector has a named outcome, and none is taken for whole.
static void test_stun_truncated(void **state)
{
    (void)state;
    struct stun_msg msg;
    for (size_t len = 0; len < sizeof rfc5769_request; len++)
        assert_int_equal(stun_decode(bytes_of(rfc5769_request, len), &msg), STUN_TRUNCATED);
    uint8_t longer[sizeof rfc5769_request + 4] = {0};
    memcpy(longer, rfc5769_request, sizeof rfc5769_request);
    assert_int_equal(stun_decode(BYTES(longer), &msg), STUN_TRAILING);
}

static void test_stun_outcomes(void **state)
{
    (void)state;
    uint8_t copy[sizeof rfc5769_request];
    struct stun_msg msg;
    static const struct {
        size_t at;
        uint8_t value;
        enum stun_outcome outcome;
    } cases[] = {
        {0, 0x80, STUN_NOT_STUN},       // RTP
        {0, 0x40, STUN_NOT_STUN},       // ChannelData
        {4, 0x20, STUN_NOT_STUN},       // another cookie
        {3, 0x59, STUN_BAD_LENGTH},     // not a multiple of 4
        {3, 0x5c, STUN_TRUNCATED},      // longer than it is
        {3, 0x54, STUN_TRAILING},       // shorter than it is
        {23, 0x11, STUN_BAD_ATTRIBUTE}, // SOFTWARE swallows the next header
        {22, 0xff, STUN_BAD_ATTRIBUTE}, // SOFTWARE runs past the end
        {43, 0x03, STUN_BAD_ATTRIBUTE}, // PRIORITY of three bytes
        {79, 0x13, STUN_BAD_ATTRIBUTE}, // MESSAGE-INTEGRITY of 19 bytes
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memcpy(copy, rfc5769_request, sizeof copy);
        copy[cases[i].at] = cases[i].value;
        assert_int_equal(stun_decode(BYTES(copy), &msg), cases[i].outcome);
        assert_string_not_equal(stun_outcome_name(cases[i].outcome), "?");
    }
    assert_true(stun_is_stun(BYTES(rfc5769_request)));
    assert_true(stun_is_stun(bytes_of(rfc5769_request, 8)));
    assert_false(stun_is_stun(bytes_of(rfc5769_request, 7)));
    assert_false(stun_is_stun(bytes_of(NULL, 0)));
}

static const uint8_t id[STUN_ID_LEN] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

static void test_stun_first_occurrence_counts(void **state)
{
    (void)state;
    uint8_t buffer[512];
    struct addr a = addr_of("192.0.2.1:1"), b = addr_of("192.0.2.2:2");
    struct stun_writer s =
        stun_begin(buffer, sizeof buffer, STUN_REQUEST, STUN_CREATE_PERMISSION, id);
    stun_add_u32(&s, STUN_PRIORITY, 1);
    stun_add_u32(&s, STUN_PRIORITY, 2);
    stun_add_addr(&s, STUN_MAPPED_ADDRESS, &b);
    stun_add_xor_addr(&s, STUN_XOR_MAPPED_ADDRESS, &a);
    for (int i = 0; i < STUN_PEERS_MAX + 2; i++)
        stun_add_xor_addr(&s, STUN_XOR_PEER_ADDRESS, i == 1 ? &b : &a);
    struct stun_msg msg;
    assert_int_equal(stun_decode(stun_end(&s), &msg), STUN_OK);
    assert_int_equal(msg.priority, 1);
    assert_true(addr_equal(&msg.mapped, &a)); // the XOR one, whatever the order
    assert_int_equal(msg.peers_count, STUN_PEERS_MAX);
    assert_int_equal(msg.peers_lost, 2);
    assert_true(addr_equal(&msg.peers[1], &b));
}

// RFC 8489 14.5: what follows MESSAGE-INTEGRITY is ignored, but for the other checks.
static void test_stun_attributes_after_integrity_are_ignored(void **state)
{
    (void)state;
    uint8_t buffer[512];
    struct stun_key *key = stun_key_new(bytes_text("k"));
    struct stun_writer s = stun_begin(buffer, sizeof buffer, STUN_REQUEST, STUN_BINDING, id);
    stun_add_integrity(&s, key);
    stun_add_flag(&s, STUN_USE_CANDIDATE);
    stun_add_u32(&s, (enum stun_attr)0x7777, 0);
    stun_add_integrity256(&s, key);
    stun_add_u32(&s, STUN_PRIORITY, 7);
    stun_add_fingerprint(&s);
    struct stun_msg msg;
    assert_int_equal(stun_decode(stun_end(&s), &msg), STUN_OK);
    assert_false(stun_has(&msg, STUN_USE_CANDIDATE));
    assert_false(stun_has(&msg, STUN_PRIORITY));
    assert_int_equal(msg.unknown_count, 0);
    assert_true(stun_check_integrity(&msg, key));
    assert_true(stun_check_integrity256(&msg, key));
    assert_true(stun_check_fingerprint(&msg));
    stun_key_free(key);
}

static void test_stun_fingerprint_must_be_last(void **state)
{
    (void)state;
    uint8_t buffer[128];
    struct stun_writer s = stun_begin(buffer, sizeof buffer, STUN_REQUEST, STUN_BINDING, id);
    stun_add_fingerprint(&s);
    stun_add_u32(&s, STUN_PRIORITY, 7);
    struct stun_msg msg;
    assert_int_equal(stun_decode(stun_end(&s), &msg), STUN_OK);
    assert_false(stun_check_fingerprint(&msg));
}

static void test_stun_unknown_attributes_are_collected(void **state)
{
    (void)state;
    uint8_t buffer[512];
    struct stun_writer s = stun_begin(buffer, sizeof buffer, STUN_REQUEST, STUN_BINDING, id);
    stun_add_u32(&s, (enum stun_attr)0x0004, 0); // reserved, comprehension-required
    stun_add_u32(&s, (enum stun_attr)0xc057, 0); // comprehension-optional
    for (unsigned i = 0; i < 40; i++)
        stun_add_flag(&s, (enum stun_attr)(0x7000 + i));
    struct stun_msg msg;
    assert_int_equal(stun_decode(stun_end(&s), &msg), STUN_OK);
    assert_int_equal(msg.unknown_count, STUN_UNKNOWN_MAX);
    assert_int_equal(msg.unknown[0], 0x0004);
    assert_int_equal(msg.unknown[1], 0x7000);
}

static void test_stun_round_trip_of_everything(void **state)
{
    (void)state;
    uint8_t buffer[1024];
    struct addr v4 = addr_of("203.0.113.77:65535"), v6 = addr_of("[2001:db8::1]:1");
    for (unsigned method = 0; method < 0x1000; method++)
        for (unsigned class = 0; class < 4; class ++) {
            struct stun_writer s =
                stun_begin(buffer, sizeof buffer, (enum stun_class) class, (uint16_t)method, id);
            struct stun_msg msg;
            assert_int_equal(stun_decode(stun_end(&s), &msg), STUN_OK);
            assert_int_equal(msg.class, class);
            assert_int_equal(msg.method, method);
        }
    struct stun_writer s = stun_begin(buffer, sizeof buffer, STUN_ERROR, STUN_ALLOCATE, id);
    const uint16_t unknown[] = {1, 2, 3};
    stun_add_error(&s, 438, bytes_text("Stale Nonce"));
    stun_add_unknown(&s, unknown, 3);
    stun_add_xor_addr(&s, STUN_XOR_RELAYED_ADDRESS, &v6);
    stun_add_addr(&s, STUN_ALTERNATE_SERVER, &v4);
    stun_add_addr(&s, STUN_OTHER_ADDRESS, &v6);
    stun_add_u32(&s, STUN_CHANNEL_NUMBER, 0x4001u << 16);
    stun_add_u32(&s, STUN_RESPONSE_PORT, 0x1234u << 16);
    stun_add_u32(&s, STUN_REQUESTED_TRANSPORT, 17u << 24);
    stun_add_bytes(&s, STUN_EVEN_PORT, bytes_of("\x80", 1));
    stun_add_u64(&s, STUN_RESERVATION_TOKEN, 0x0102030405060708u);
    stun_add_bytes(&s, STUN_DATA_ATTR, bytes_of("", 0));
    struct stun_msg msg;
    assert_int_equal(stun_decode(stun_end(&s), &msg), STUN_OK);
    assert_int_equal(msg.error_code, 438);
    assert_true(bytes_is(msg.error_reason, "Stale Nonce"));
    assert_int_equal(msg.unknown_attributes.len, 6);
    assert_true(addr_equal(&msg.relayed, &v6));
    assert_true(addr_equal(&msg.alternate_server, &v4));
    assert_true(addr_equal(&msg.other_address, &v6));
    assert_int_equal(msg.channel, 0x4001);
    assert_int_equal(msg.response_port, 0x1234);
    assert_int_equal(msg.transport, 17);
    assert_true(msg.even_port_reserve);
    assert_true(msg.reservation_token == 0x0102030405060708u);
    assert_true(stun_has(&msg, STUN_DATA_ATTR));
    assert_int_equal(msg.data.len, 0);
}

static void test_stun_writer_fails_as_a_whole(void **state)
{
    (void)state;
    struct stun_key *key = stun_key_new(bytes_text("k"));
    struct addr addr = addr_of("192.0.2.1:1");
    uint8_t buffer[128];
    for (size_t max = 0; max < 20 + 8 + 12 + 24 + 36 + 8; max++) {
        struct stun_writer s = stun_begin(buffer, max, STUN_REQUEST, STUN_BINDING, id);
        stun_add_bytes(&s, STUN_SOFTWARE, bytes_text("x"));
        stun_add_xor_addr(&s, STUN_XOR_MAPPED_ADDRESS, &addr);
        stun_add_integrity(&s, key);
        stun_add_integrity256(&s, key);
        stun_add_fingerprint(&s);
        assert_int_equal(stun_end(&s).len, 0);
    }
    stun_key_free(key);
}

// A password longer than a hash block is hashed first (RFC 2104 2): both ways must agree.
static void test_stun_long_password(void **state)
{
    (void)state;
    uint8_t password[200], buffer[128];
    memset(password, 'p', sizeof password);
    struct stun_key *key = stun_key_new(BYTES(password)), *again = stun_key_new(BYTES(password));
    struct stun_writer s = stun_begin(buffer, sizeof buffer, STUN_REQUEST, STUN_BINDING, id);
    stun_add_integrity(&s, key);
    stun_add_integrity256(&s, key);
    struct stun_msg msg;
    assert_int_equal(stun_decode(stun_end(&s), &msg), STUN_OK);
    assert_true(stun_check_integrity(&msg, again) && stun_check_integrity256(&msg, again));
    stun_key_free(again);
    again = stun_key_new(bytes_of(password, 199));
    assert_false(stun_check_integrity(&msg, again) || stun_check_integrity256(&msg, again));
    stun_key_free(again);
    stun_key_free(key);
}

static void test_stun_truncated_sha256_is_refused(void **state)
{
    (void)state;
    uint8_t buffer[128];
    struct stun_key *key = stun_key_new(bytes_text("k"));
    struct stun_writer s = stun_begin(buffer, sizeof buffer, STUN_REQUEST, STUN_BINDING, id);
    stun_add_integrity256(&s, key);
    put_u16(buffer + 2, 20);
    put_u16(buffer + 22, 16);
    struct stun_msg msg;
    assert_int_equal(stun_decode(bytes_of(buffer, 40), &msg), STUN_OK);
    assert_int_equal(msg.integrity256_len, 16);
    assert_false(stun_check_integrity256(&msg, key));
    stun_key_free(key);
}

// RFC 8489 6.2.1: at 0, 500, 1500, 3500, 7500, 15500 and 31500 ms; given up at 39500 ms.
static void test_stun_rto_schedule(void **state)
{
    (void)state;
    static const nanotime at_ms[] = {0, 500, 1500, 3500, 7500, 15500, 31500};
    struct stun_rto rto = stun_rto_start(5 * TIME_S, STUN_RTO_MS * TIME_MS);
    for (size_t i = 0; i < sizeof at_ms / sizeof *at_ms; i++) {
        nanotime at = 5 * TIME_S + at_ms[i] * TIME_MS;
        assert_int_equal(rto.next_at, at);
        assert_int_equal(stun_rto_poll(&rto, at - 1), STUN_RTO_WAIT);
        assert_int_equal(stun_rto_poll(&rto, at), STUN_RTO_SEND);
        assert_int_equal(stun_rto_poll(&rto, at), STUN_RTO_WAIT);
    }
    assert_int_equal(rto.next_at, 5 * TIME_S + 39500 * TIME_MS);
    assert_int_equal(stun_rto_poll(&rto, rto.next_at), STUN_RTO_GIVE_UP);
    assert_int_equal(rto.next_at, TIME_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stun_rfc5769_request),
        cmocka_unit_test(test_stun_rfc5769_responses),
        cmocka_unit_test(test_stun_rfc5769_long_term),
        cmocka_unit_test(test_stun_rfc8489_b1),
        cmocka_unit_test(test_stun_encodes_the_vectors),
        cmocka_unit_test(test_stun_every_bit_counts),
        cmocka_unit_test(test_stun_truncated),
        cmocka_unit_test(test_stun_outcomes),
        cmocka_unit_test(test_stun_first_occurrence_counts),
        cmocka_unit_test(test_stun_attributes_after_integrity_are_ignored),
        cmocka_unit_test(test_stun_fingerprint_must_be_last),
        cmocka_unit_test(test_stun_unknown_attributes_are_collected),
        cmocka_unit_test(test_stun_round_trip_of_everything),
        cmocka_unit_test(test_stun_writer_fails_as_a_whole),
        cmocka_unit_test(test_stun_long_password),
        cmocka_unit_test(test_stun_truncated_sha256_is_refused),
        cmocka_unit_test(test_stun_rto_schedule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
