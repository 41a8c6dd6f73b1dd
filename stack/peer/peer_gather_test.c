// Gathering through servers: relays and reflexive addresses, what they cost, what ends them.
#include "stack/peer/peer_world.h"

static void test_peer_relay_only(void **state)
{
    (void)state;
    struct wire *wire = wire_new(15, relay_only);
    int channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
    wire_run(wire, 5 * TIME_S);
    check_connected(wire, channel);
    for (int i = 0; i < 2; i++) {
        struct peer_stats stats = wire_stats(wire, i);
        assert_int_equal(stats.candidates[ICE_HOST], 0);
        assert_int_equal(stats.candidates[ICE_SRFLX], 0);
        assert_int_equal(stats.candidates[ICE_RELAY], 1);
        assert_int_equal(stats.selected.local.type, ICE_RELAY);
        assert_int_equal(stats.turn_allocations, 1);
        assert_true(stats.turn_permissions > 0);
        // The policy hides the address that the server sees.
        assert_non_null(strstr(wire->actor[i].last_candidate.at, "raddr 0.0.0.0 rport 0"));
    }
    assert_int_equal(turn_server_stats(wire->server).allocations_live, 2);
    wire_run(wire, wire->now + 700 * TIME_S); // refreshed meanwhile
    check_connected(wire, channel);
    assert_true(wire_stats(wire, 0).turn_refreshes > 0);
    peer_simrtc.close(ALICE, wire->now);
    peer_simrtc.close(BOB, wire->now);
    wire_run(wire, wire->now + 5 * TIME_S);
    assert_int_equal(turn_server_stats(wire->server).allocations_live, 0);
    wire_free(wire);
}

static void test_peer_relayed_close_and_large_messages(void **state)
{
    (void)state;
    struct wire *wire = wire_new(15, relay_only);
    int channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
    wire_run(wire, 5 * TIME_S);
    check_connected(wire, channel);
    static const uint8_t large[50000];
    struct bytes message = bytes_of(large, sizeof large);
    assert_int_equal(peer_simrtc.send(ALICE, wire->now, (unsigned)channel, message, false),
                     SCTP_SENT);
    assert_int_equal(
        peer_simrtc.send(BOB, wire->now, (unsigned)wire->actor[1].incoming, message, false),
        SCTP_SENT);
    wire_run(wire, wire->now + 5 * TIME_S);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wire->actor[i].message_len, sizeof large);
        assert_false(wire->actor[i].message_text);
    }
    // The goodbye leaves before the relay is given back.
    peer_simrtc.close(ALICE, wire->now);
    wire_run(wire, wire->now + TIME_S);
    assert_int_equal(wire_stats(wire, 1).dtls_state, DTLS_CLOSED);
    assert_int_equal(wire->actor[1].closed, 1);
    assert_int_equal(turn_server_stats(wire->server).allocations_live, 1);
    wire_free(wire);
}

// Without a NAT the reflexive address is the host's: redundant. The relay is gathered, not needed,
// and given back once a pair is nominated.
static void test_peer_unused_relay_is_released(void **state)
{
    (void)state;
    struct wire *wire = wire_new(16, all_kinds);
    int channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
    wire_run(wire, TIME_S);
    assert_int_equal(turn_server_stats(wire->server).allocations_live, 2);
    assert_int_equal(wire_stats(wire, 0).candidates[ICE_HOST], 1);
    assert_int_equal(wire_stats(wire, 0).candidates[ICE_SRFLX], 0);
    assert_int_equal(wire_stats(wire, 0).candidates[ICE_RELAY], 1);
    wire_run(wire, 8 * TIME_S);
    check_connected(wire, channel);
    assert_int_equal(wire_stats(wire, 0).selected.local.type, ICE_HOST);
    assert_int_equal(turn_server_stats(wire->server).allocations_live, 0);
    wire_free(wire);
}

static void wrong_password(struct peer_config *config, int i)
{
    config_add_server(config, PEER_TURN);
    if (i == 0)
        config->servers[0].password = "other";
}

static void test_peer_turn_error_is_told(void **state)
{
    (void)state;
    struct wire *wire = wire_new(17, wrong_password);
    int channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
    wire_run(wire, 3 * TIME_S);
    check_connected(wire, channel);
    assert_int_equal(wire_stats(wire, 0).turn_error, 401);
    assert_int_equal(wire_stats(wire, 0).turn_allocations, 0);
    assert_int_equal(wire_stats(wire, 1).turn_allocations, 1);
    wire_free(wire);
}

static void dead_servers(struct peer_config *config, int i)
{
    config->trickle = false;
    config->gather_timeout = i == 0 ? 3 * TIME_S : 0;
    all_kinds(config, i);
}

static void test_peer_gathering_times_out(void **state)
{
    (void)state;
    struct wire *wire = wire_new(18, dead_servers);
    wire->server_dead = true;
    int channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
    wire_run(wire, 20 * TIME_S);
    assert_true(wire->actor[0].described_at == 3 * TIME_S);
    assert_true(wire->actor[1].described_at == 3 * TIME_S + 20 * TIME_MS + 9500 * TIME_MS);
    check_connected(wire, channel);
    wire_free(wire);
}

static bool stun_bindings_only(struct wire *wire, const struct datagram *datagram)
{
    // Nothing between the peers, so that ICE stays at it; Binding requests to the server pass.
    return !ip_equal(&datagram->to.ip, &wire->server_addr.ip) &&
           !ip_equal(&datagram->from.ip, &wire->server_addr.ip);
}

static void stun_only(struct peer_config *config, int i)
{
    (void)i;
    config->patience = 60 * TIME_S;
    config_add_server(config, PEER_STUN);
}

// RFC 8445 5.1.1.4: reflexive candidates are kept alive until ICE is done.
static void test_peer_reflexive_binding_kept_alive(void **state)
{
    (void)state;
    struct wire *wire = wire_new(19, stun_only);
    wire->lost = stun_bindings_only;
    wire_offer(wire);
    wire_run(wire, 5 * TIME_S);
    unsigned before = turn_server_stats(wire->server).bindings;
    assert_int_equal(before, 2);
    wire_run(wire, 20 * TIME_S);
    assert_int_equal(turn_server_stats(wire->server).bindings, before + 2);
    wire_free(wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_relay_only),
        cmocka_unit_test(test_peer_relayed_close_and_large_messages),
        cmocka_unit_test(test_peer_unused_relay_is_released),
        cmocka_unit_test(test_peer_turn_error_is_told),
        cmocka_unit_test(test_peer_gathering_times_out),
        cmocka_unit_test(test_peer_reflexive_binding_kept_alive),
    };
    return cmocka_run_group_tests(tests, peer_tests_setup, peer_tests_teardown);
}
