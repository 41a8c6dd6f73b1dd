// What a second offer may change: ICE restarts, renegotiation, and what it may not.
#include "stack/peer/peer_world.h"

static void copy_ufrag(struct wire *wire, int i, char *to)
{
    const char *at = strstr(wire->actor[i].described.at, "a=ice-ufrag:");
    assert_non_null(at);
    size_t len = strcspn(at, "\r");
    assert_true(len < 64);
    memcpy(to, at, len);
    to[len] = 0;
}

static void check_restart(uint64_t seed, void (*change)(struct peer_config *, int), int restarter)
{
    struct wire *wire = wire_new(seed, change);
    char old[2][64], new[64];
    int channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
    wire_run(wire, 6 * TIME_S);
    check_connected(wire, channel);
    struct peer_stats before = wire_stats(wire, 0);
    for (int i = 0; i < 2; i++)
        copy_ufrag(wire, i, old[i]);

    peer_simrtc.describe(wire->actor[restarter].peer, wire->now, true);
    wire_pump(wire);
    wire_message(wire, 0, channel, "meanwhile"); // RFC 8445 9: the old pair still carries data
    wire_run(wire, wire->now + 4 * wire->delay);
    assert_string_equal(wire->actor[1].message, "meanwhile");
    wire_run(wire, wire->now + 6 * TIME_S);
    check_connected(wire, channel);
    for (int i = 0; i < 2; i++) {
        copy_ufrag(wire, i, new);
        assert_string_not_equal(old[i], new);
        assert_int_equal(wire_stats(wire, i).restarts, 1);
    }
    struct peer_stats after = wire_stats(wire, 0);
    assert_true(after.dtls_connected_at == before.dtls_connected_at); // the same association
    assert_true(after.dtls.connected_at == before.dtls.connected_at);

    // A candidate of the generation before, come late, is not taken.
    unsigned remotes = after.remote_candidates;
    char line[200];
    snprintf(line, sizeof line, "candidate:1 1 udp 1 192.0.2.77 9 typ host ufrag %s",
             old[1] + strlen("a=ice-ufrag:"));
    assert_true(peer_simrtc.add_candidate(ALICE, wire->now, bytes_text(line)));
    assert_int_equal(wire_stats(wire, 0).remote_candidates, remotes);
    wire_free(wire);
}

static void test_peer_ice_restart(void **state)
{
    (void)state;
    check_restart(20, NULL, 0);
    check_restart(21, NULL, 1); // by the one who answered
    check_restart(22, no_trickle, 0);
    check_restart(22, all_kinds, 0); // relays were given back by then, and are asked for again
}

static void test_peer_ice_restart_keeps_relay(void **state)
{
    (void)state;
    check_restart(23, relay_only, 0);
}

// The server forgot all and told nobody: an ICE restart finds out (437) and allocates anew.
static void test_peer_ice_restart_replaces_lost_relay(void **state)
{
    (void)state;
    struct wire *wire = wire_new(24, relay_only);
    int channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
    wire_run(wire, 6 * TIME_S);
    check_connected(wire, channel);
    turn_server_reset(wire->server, wire->now);
    wire_run(wire, wire->now + TIME_MS);
    assert_int_equal(turn_server_stats(wire->server).allocations_live, 0);
    peer_simrtc.describe(ALICE, wire->now, true);
    wire_pump(wire);
    wire_run(wire, wire->now + 2 * TIME_S);
    check_connected(wire, channel);
    assert_int_equal(turn_server_stats(wire->server).allocations_live, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wire_stats(wire, i).turn_allocations, 2);
        assert_int_equal(wire_stats(wire, i).selected.local.type, ICE_RELAY);
    }
    wire_free(wire);
}

// The answer to a restart offer comes before, and the new candidates before the new description.
static void test_peer_ice_restart_reordered_candidates(void **state)
{
    (void)state;
    struct wire *wire = wire_new(24, NULL);
    int channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
    wire_run(wire, 3 * TIME_S);
    wire->signal_delay[WIRE_CANDIDATE] = TIME_MS;
    wire->signal_delay[WIRE_OFFER] = wire->signal_delay[WIRE_ANSWER] = 200 * TIME_MS;
    peer_simrtc.describe(ALICE, wire->now, true);
    wire_run(wire, wire->now + 5 * TIME_S);
    check_connected(wire, channel);
    assert_int_equal(wire_stats(wire, 0).ice_state, ICE_COMPLETED);
    assert_int_equal(wire_stats(wire, 1).remote_candidates, 1);
    wire_free(wire);
}

// Browsers of old do not tell the generation: while we restart, a candidate is of the next one.
static void test_peer_ice_restart_keeps_candidates_for_the_answer(void **state)
{
    (void)state;
    struct wire *wire = wire_new(24, NULL);
    int channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
    wire_run(wire, 3 * TIME_S);
    peer_simrtc.describe(ALICE, wire->now, true);
    struct bytes line = bytes_text("candidate:9 1 udp 1 10.0.0.77 5000 typ host");
    assert_true(peer_simrtc.add_candidate(ALICE, wire->now, line));
    assert_int_equal(wire_stats(wire, 0).remote_candidates, 1);
    wire_run(wire, wire->now + 3 * TIME_S);
    assert_int_equal(wire_stats(wire, 0).remote_candidates, 2);
    check_connected(wire, channel);
    wire_free(wire);
}

static void test_peer_ice_restart_answer_must_restart(void **state)
{
    (void)state;
    struct wire *wire = wire_new(24, NULL);
    int channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
    wire_run(wire, 3 * TIME_S);
    struct text old = {0};
    text_put(&old, wire->actor[1].described.at);
    // The same answer but for a newer version.
    char *version = strstr(old.at, " IN IP4 127") - 1;
    *version = '9';
    peer_simrtc.describe(ALICE, wire->now, true);
    wire_pump(wire);
    assert_false(wire_accept(wire, 0, old.at, true));
    assert_non_null(strstr(wire_stats(wire, 0).error, "old credentials"));
    wire_run(wire, wire->now + 3 * TIME_S);
    check_connected(wire, channel);
    text_free(&old);
    wire_free(wire);
}

static void test_peer_association_cannot_change(void **state)
{
    (void)state;
    struct wire *wire = wire_new(24, NULL);
    wire_offer(wire);
    wire_run(wire, 3 * TIME_S);
    peer_simrtc.describe(ALICE, wire->now, false);
    wire->signal_delay[WIRE_OFFER] = TIME_S;
    wire_pump(wire);
    struct text changed = {0};
    text_put(&changed, wire->actor[0].described.at);
    char *hash = strstr(changed.at, "a=fingerprint:sha-256 ") + 22;
    hash[0] = hash[0] == 'A' ? 'B' : 'A';
    assert_false(wire_accept(wire, 1, changed.at, false));
    assert_non_null(strstr(wire_stats(wire, 1).error, "fingerprint of an association"));
    text_clear(&changed);
    text_put(&changed, wire->actor[0].described.at);
    char *setup_at = strstr(changed.at, "actpass"); // made one letter shorter
    memmove(setup_at + 6, setup_at + 7, strlen(setup_at + 7) + 1);
    memcpy(setup_at, "active", 6);
    assert_false(wire_accept(wire, 1, changed.at, false));
    assert_non_null(strstr(wire_stats(wire, 1).error, "DTLS role"));
    text_free(&changed);
    wire_free(wire);
}

static void test_peer_renegotiates_without_restart(void **state)
{
    (void)state;
    struct wire *wire = wire_new(25, NULL);
    int channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
    wire_run(wire, 3 * TIME_S);
    struct text first = {0};
    text_put(&first, wire->actor[0].described.at);
    peer_simrtc.describe(BOB, wire->now, false); // the other way round: roles stay
    wire_run(wire, wire->now + TIME_S);
    check_connected(wire, channel);
    assert_int_equal(wire_stats(wire, 0).remote_candidates, 1);
    assert_int_equal(wire_stats(wire, 0).restarts + wire_stats(wire, 1).restarts, 0);
    assert_int_equal(wire->actor[1].offers, 1);
    assert_int_equal(wire_stats(wire, 1).dtls_role, DTLS_CLIENT);
    // The first offer, come a second time so late, is older than what was taken since.
    assert_true(wire_accept(wire, 1, first.at, false));
    assert_int_equal(wire_stats(wire, 1).signaling, PEER_STABLE);
    text_free(&first);
    wire_free(wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_ice_restart),
        cmocka_unit_test(test_peer_ice_restart_keeps_relay),
        cmocka_unit_test(test_peer_ice_restart_replaces_lost_relay),
        cmocka_unit_test(test_peer_ice_restart_reordered_candidates),
        cmocka_unit_test(test_peer_ice_restart_keeps_candidates_for_the_answer),
        cmocka_unit_test(test_peer_ice_restart_answer_must_restart),
        cmocka_unit_test(test_peer_association_cannot_change),
        cmocka_unit_test(test_peer_renegotiates_without_restart),
    };
    return cmocka_run_group_tests(tests, peer_tests_setup, peer_tests_teardown);
}
