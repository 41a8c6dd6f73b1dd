#include "stack/peer/peer_world.h"

#include "stack/sdp/sdp.h"

#define ALICE (wire->actor[0].peer)
#define BOB (wire->actor[1].peer)

static void offer(struct wire *wire)
{
    peer_simrtc.describe(ALICE, wire->now, false);
}

static void test_peer_connect_trickle(void **state)
{
    (void)state;
    struct wire *wire = wire_new(1, NULL);
    assert_int_equal(wire_stats(wire, 0).state, PEER_NEW);
    int channel = wire_open(wire, 0, "chat");
    assert_int_equal(channel, 0);
    offer(wire);
    wire_run(wire, 2 * TIME_S);
    check_connected(wire, channel);
    struct peer_stats alice = wire_stats(wire, 0), bob = wire_stats(wire, 1);
    assert_int_equal(alice.ice_role, ICE_CONTROLLING);
    assert_int_equal(bob.ice_role, ICE_CONTROLLED);
    assert_int_equal(alice.dtls_role, DTLS_SERVER); // RFC 8842 5.3: the answerer is active
    assert_int_equal(bob.dtls_role, DTLS_CLIENT);
    assert_int_equal(wire->actor[0].candidates_told, 1);
    assert_int_equal(wire->actor[0].ends_told, 1);
    assert_null(strstr(wire->actor[0].described.at, "a=candidate"));
    assert_int_equal(alice.gathering, PEER_GATHER_COMPLETE);
    assert_true(alice.ice_connected_at <= alice.dtls_connected_at);
    assert_true(alice.dtls_connected_at <= alice.sctp_connected_at);
    assert_true(
        bytes_is(peer_simrtc.channel_label(BOB, (unsigned)wire->actor[1].incoming), "chat"));
    assert_int_equal(alice.candidates[ICE_HOST], 1);
    assert_int_equal(alice.remote_candidates, 1);
    assert_int_equal(alice.channels_open, 1);
    wire_free(wire);
}

static void no_trickle(struct peer_config *config, int i)
{
    (void)i;
    config->trickle = false;
}

static void test_peer_connect_without_trickle(void **state)
{
    (void)state;
    struct wire *wire = wire_new(2, no_trickle);
    int channel = wire_open(wire, 0, "chat");
    offer(wire);
    wire_run(wire, 2 * TIME_S);
    check_connected(wire, channel);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wire->actor[i].candidates_told, 0);
        assert_int_equal(wire->actor[i].ends_told, 0);
        assert_non_null(strstr(wire->actor[i].described.at, "a=candidate"));
        assert_non_null(strstr(wire->actor[i].described.at, "a=end-of-candidates"));
        assert_null(strstr(wire->actor[i].described.at, "trickle"));
    }
    wire_free(wire);
}

static void alice_no_trickle(struct peer_config *config, int i)
{
    config->trickle = i == 1;
}

// RFC 8838 3: an answerer does not trickle towards an offerer that does not.
static void test_peer_answers_in_full_without_trickle(void **state)
{
    (void)state;
    struct wire *wire = wire_new(2, alice_no_trickle);
    int channel = wire_open(wire, 0, "chat");
    offer(wire);
    wire_run(wire, 2 * TIME_S);
    check_connected(wire, channel);
    assert_int_equal(wire->actor[1].candidates_told, 0);
    assert_non_null(strstr(wire->actor[1].described.at, "a=candidate"));
    wire_free(wire);
}

static void test_peer_candidates_before_descriptions(void **state)
{
    (void)state;
    struct wire *wire = wire_new(3, NULL);
    wire->signal_delay[WIRE_CANDIDATE] = TIME_MS;
    wire->signal_delay[WIRE_OFFER] = wire->signal_delay[WIRE_ANSWER] = 100 * TIME_MS;
    int channel = wire_open(wire, 0, "chat");
    offer(wire);
    wire_run(wire, 50 * TIME_MS);
    assert_int_equal(wire_stats(wire, 1).remote_candidates, 0); // kept
    wire_run(wire, 3 * TIME_S);
    check_connected(wire, channel);
    assert_int_equal(wire_stats(wire, 1).remote_candidates, 1);
    assert_int_equal(wire_stats(wire, 0).ice_state, ICE_COMPLETED); // the end was kept too
    wire_free(wire);
}

static void test_peer_candidates_long_after_descriptions(void **state)
{
    (void)state;
    struct wire *wire = wire_new(3, NULL);
    wire->signal_delay[WIRE_CANDIDATE] = 2 * TIME_S;
    int channel = wire_open(wire, 0, "chat");
    offer(wire);
    wire_run(wire, TIME_S);
    assert_int_not_equal(wire_stats(wire, 0).state, PEER_CONNECTED);
    wire_run(wire, 5 * TIME_S);
    check_connected(wire, channel);
    wire_free(wire);
}

static void test_peer_every_signal_twice(void **state)
{
    (void)state;
    struct wire *wire = wire_new(4, NULL);
    wire->signal_twice = true;
    int channel = wire_open(wire, 0, "chat");
    offer(wire);
    wire_run(wire, 2 * TIME_S);
    check_connected(wire, channel);
    assert_int_equal(wire->actor[1].answers, 1);
    assert_int_equal(wire_stats(wire, 1).remote_candidates, 1);
    assert_int_equal(wire_stats(wire, 0).restarts, 0);
    assert_string_equal(wire_stats(wire, 0).error, "");
    wire_free(wire);
}

// The answerer's checks pass before its answer arrives: its ClientHello is kept until then.
static void test_peer_dtls_before_the_answer(void **state)
{
    (void)state;
    struct wire *wire = wire_new(5, NULL);
    wire->signal_delay[WIRE_ANSWER] = 900 * TIME_MS;
    int channel = wire_open(wire, 0, "chat");
    offer(wire);
    wire_run(wire, 800 * TIME_MS);
    assert_int_equal(wire_stats(wire, 0).dtls_state, DTLS_NEW);
    assert_true(wire_stats(wire, 1).dtls_sent > 0);
    wire_run(wire, 4 * TIME_S);
    check_connected(wire, channel);
    assert_true(wire_log_has(wire, "early DTLS datagram: kept"));
    assert_int_equal(wire_stats(wire, 0).drops[PEER_TOO_EARLY], 0);
    wire_free(wire);
}

static void test_peer_early_datagrams_bounded(void **state)
{
    (void)state;
    struct wire *wire = wire_new(5, NULL);
    wire->signal_delay[WIRE_ANSWER] = 900 * TIME_MS;
    int channel = wire_open(wire, 0, "chat");
    offer(wire);
    wire_run(wire, 800 * TIME_MS); // one ClientHello is kept by now
    static const uint8_t more[] = {22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1};
    static uint8_t large[4 * 1200] = {22};
    struct datagram datagram = {wire->actor[1].addr, wire->actor[0].addr,
                                bytes_of(large, sizeof large)};
    assert_int_equal(peer_simrtc.input(ALICE, wire->now, &datagram), PEER_TOO_EARLY);
    datagram.bytes = bytes_of(more, sizeof more);
    for (int i = 0; i < 3; i++)
        assert_int_equal(peer_simrtc.input(ALICE, wire->now, &datagram), PEER_KEPT);
    assert_int_equal(peer_simrtc.input(ALICE, wire->now, &datagram), PEER_TOO_EARLY);
    assert_int_equal(wire_stats(wire, 0).drops[PEER_TOO_EARLY], 2);
    wire_run(wire, 5 * TIME_S);
    check_connected(wire, channel);
    wire_free(wire);
}

static void test_peer_glare_is_refused(void **state)
{
    (void)state;
    struct wire *wire = wire_new(6, NULL);
    offer(wire);
    peer_simrtc.describe(BOB, wire->now, false);
    wire_run(wire, TIME_S);
    for (int i = 0; i < 2; i++) {
        assert_non_null(strstr(wire_stats(wire, i).error, "glare"));
        assert_int_equal(wire_stats(wire, i).signaling, PEER_HAVE_LOCAL_OFFER);
    }
    wire_free(wire);
}

static bool accept_text(struct wire *wire, int i, const char *text, bool answer)
{
    return peer_simrtc.accept(wire->actor[i].peer, wire->now, bytes_text(text), answer);
}

static void test_peer_refuses_bad_descriptions(void **state)
{
    (void)state;
    struct wire *wire = wire_new(7, NULL);
    assert_false(accept_text(wire, 1, "v=0\r\nnonsense\r\n", false));
    assert_non_null(strstr(wire_stats(wire, 1).error, "offer, line 2: bad line"));
    assert_false(accept_text(wire, 1, "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\n", false));
    assert_non_null(strstr(wire_stats(wire, 1).error, "no data channel section"));
    offer(wire);
    wire_pump(wire);
    // Our own offer in the place of an answer: actpass is no answer.
    assert_false(accept_text(wire, 0, wire->actor[0].described.at, true));
    assert_non_null(strstr(wire_stats(wire, 0).error, "a=setup"));
    assert_false(accept_text(wire, 1, wire->actor[0].described.at, true));
    assert_non_null(strstr(wire_stats(wire, 1).error, "without an offer"));
    assert_false(peer_simrtc.add_candidate(BOB, 0, bytes_text("candidate:garbage")));
    assert_non_null(strstr(wire_stats(wire, 1).error, "malformed candidate"));
    assert_true(peer_simrtc.add_candidate(
        BOB, 0, bytes_text("candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active")));
    assert_int_equal(wire_stats(wire, 1).state, PEER_NEW); // as before
    wire_free(wire);
}

static void test_peer_describe_while_answering_is_refused(void **state)
{
    (void)state;
    struct wire *wire = wire_new(8, NULL);
    offer(wire);
    wire_pump(wire);
    assert_true(accept_text(wire, 1, wire->actor[0].described.at, false));
    peer_simrtc.describe(BOB, wire->now, false);
    assert_non_null(strstr(wire_stats(wire, 1).error, "an offer waits for its answer"));
    wire_free(wire);
}

static void test_peer_pending_candidates_bounded(void **state)
{
    (void)state;
    struct wire *wire = wire_new(9, NULL);
    for (unsigned i = 0; i < 64; i++) {
        char line[100];
        snprintf(line, sizeof line, "candidate:1 1 udp 1 192.0.2.1 %u typ host", 1000 + i);
        assert_true(peer_simrtc.add_candidate(BOB, 0, bytes_text(line)));
    }
    assert_false(
        peer_simrtc.add_candidate(BOB, 0, bytes_text("candidate:1 1 udp 1 192.0.2.1 9 typ host")));
    assert_non_null(strstr(wire_stats(wire, 1).error, "than the table holds"));
    wire_free(wire);
}

static void wrong_fingerprint(struct peer_config *config, int i)
{
    config->wrong_fingerprint = i == 1;
}

static void test_peer_wrong_fingerprint_fails(void **state)
{
    (void)state;
    struct wire *wire = wire_new(10, wrong_fingerprint);
    wire_open(wire, 0, "chat");
    offer(wire);
    wire_run(wire, 3 * TIME_S);
    struct peer_stats alice = wire_stats(wire, 0);
    assert_int_equal(alice.state, PEER_FAILED);
    assert_int_equal(alice.dtls_state, DTLS_FAILED);
    assert_non_null(strstr(alice.dtls_failure, "fingerprint"));
    assert_int_equal(alice.sctp_state, SCTP_CLOSED);
    assert_int_equal(wire->actor[0].opened, 0);
    assert_int_equal(wire->actor[1].messages, 0);
    assert_true(alice.failed_at != TIME_NEVER);
    wire_free(wire);
}

static void bob_lite(struct peer_config *config, int i)
{
    config->ice_lite = i == 1;
    config->trickle = i == 0;
}

static void alice_lite(struct peer_config *config, int i)
{
    config->ice_lite = i == 0;
}

static void test_peer_lite_is_controlled(void **state)
{
    (void)state;
    struct wire *wire = wire_new(11, bob_lite);
    int channel = wire_open(wire, 0, "chat");
    offer(wire);
    wire_run(wire, 3 * TIME_S);
    check_connected(wire, channel);
    assert_non_null(strstr(wire->actor[1].described.at, "a=ice-lite"));
    assert_int_equal(wire_stats(wire, 1).ice.checks_sent, 0);
    wire_free(wire);

    wire = wire_new(12, alice_lite); // the lite one offers
    channel = wire_open(wire, 0, "chat");
    offer(wire);
    wire_run(wire, 3 * TIME_S);
    check_connected(wire, channel);
    assert_int_equal(wire_stats(wire, 0).ice_role, ICE_CONTROLLED);
    assert_int_equal(wire_stats(wire, 1).ice_role, ICE_CONTROLLING);
    wire_free(wire);
}

static void passive_answerer(struct peer_config *config, int i)
{
    (void)i;
    config->setup = PEER_SETUP_PASSIVE;
}

static void test_peer_passive_answerer(void **state)
{
    (void)state;
    struct wire *wire = wire_new(13, passive_answerer);
    int channel = wire_open(wire, 0, "chat");
    offer(wire);
    wire_run(wire, 3 * TIME_S);
    check_connected(wire, channel);
    assert_int_equal(wire_stats(wire, 0).dtls_role, DTLS_CLIENT);
    assert_int_equal(wire_stats(wire, 1).dtls_role, DTLS_SERVER);
    wire_free(wire);
}

static void both_controlling(struct peer_config *config, int i)
{
    config->force_role = true;
    config->role = ICE_CONTROLLING;
    config->tiebreaker = i ? 9 : 4;
}

static void test_peer_forced_role_conflict_resolves(void **state)
{
    (void)state;
    struct wire *wire = wire_new(14, both_controlling);
    int channel = wire_open(wire, 0, "chat");
    offer(wire);
    wire_run(wire, 3 * TIME_S);
    check_connected(wire, channel);
    assert_int_equal(wire_stats(wire, 1).ice_role, ICE_CONTROLLING);
    assert_true(wire_stats(wire, 0).ice.role_conflicts + wire_stats(wire, 1).ice.role_conflicts >
                0);
    wire_free(wire);
}

static void relay_only(struct peer_config *config, int i)
{
    config->relay_only = true;
    config->turn_channels = i == 1; // indications one way, channels the other
    config_add_server(config, PEER_TURN);
}

static void test_peer_relay_only(void **state)
{
    (void)state;
    struct wire *wire = wire_new(15, relay_only);
    int channel = wire_open(wire, 0, "chat");
    offer(wire);
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
    offer(wire);
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

static void dual_stack(struct peer_config *config, int i)
{
    config->locals[config->locals_count++] = wire_addr6(i);
}

static void ipv6_only(struct peer_config *config, int i)
{
    config->locals[0] = wire_addr6(i);
}

static void test_peer_ipv6(void **state)
{
    (void)state;
    struct wire *wire = wire_new(70, dual_stack);
    int channel = wire_open(wire, 0, "chat");
    offer(wire);
    wire_run(wire, 3 * TIME_S);
    check_connected(wire, channel);
    assert_int_equal(wire_stats(wire, 0).candidates[ICE_HOST], 2);
    assert_int_equal(wire_stats(wire, 0).remote_candidates, 2);
    wire_free(wire);
    wire = wire_new(71, ipv6_only);
    channel = wire_open(wire, 0, "chat");
    offer(wire);
    wire_run(wire, 3 * TIME_S);
    check_connected(wire, channel);
    assert_int_equal(wire_stats(wire, 0).selected.remote.addr.ip.family, IP_V6);
    wire_free(wire);
}

static void all_kinds(struct peer_config *config, int i)
{
    (void)i;
    config_add_server(config, PEER_STUN);
    config_add_server(config, PEER_TURN);
}

// Without a NAT the reflexive address is the host's: redundant. The relay is gathered, not needed,
// and given back once a pair is nominated.
static void test_peer_unused_relay_is_released(void **state)
{
    (void)state;
    struct wire *wire = wire_new(16, all_kinds);
    int channel = wire_open(wire, 0, "chat");
    offer(wire);
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
    offer(wire);
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
    offer(wire);
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
    offer(wire);
    wire_run(wire, 5 * TIME_S);
    unsigned before = turn_server_stats(wire->server).bindings;
    assert_int_equal(before, 2);
    wire_run(wire, 20 * TIME_S);
    assert_int_equal(turn_server_stats(wire->server).bindings, before + 2);
    wire_free(wire);
}

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
    offer(wire);
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
    offer(wire);
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
    offer(wire);
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
    offer(wire);
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
    offer(wire);
    wire_run(wire, 3 * TIME_S);
    struct text old = {0};
    text_put(&old, wire->actor[1].described.at);
    // The same answer but for a newer version.
    char *version = strstr(old.at, " IN IP4 127") - 1;
    *version = '9';
    peer_simrtc.describe(ALICE, wire->now, true);
    wire_pump(wire);
    assert_false(accept_text(wire, 0, old.at, true));
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
    offer(wire);
    wire_run(wire, 3 * TIME_S);
    peer_simrtc.describe(ALICE, wire->now, false);
    wire->signal_delay[WIRE_OFFER] = TIME_S;
    wire_pump(wire);
    struct text changed = {0};
    text_put(&changed, wire->actor[0].described.at);
    char *hash = strstr(changed.at, "a=fingerprint:sha-256 ") + 22;
    hash[0] = hash[0] == 'A' ? 'B' : 'A';
    assert_false(accept_text(wire, 1, changed.at, false));
    assert_non_null(strstr(wire_stats(wire, 1).error, "fingerprint of an association"));
    text_clear(&changed);
    text_put(&changed, wire->actor[0].described.at);
    char *setup_at = strstr(changed.at, "actpass"); // made one letter shorter
    memmove(setup_at + 6, setup_at + 7, strlen(setup_at + 7) + 1);
    memcpy(setup_at, "active", 6);
    assert_false(accept_text(wire, 1, changed.at, false));
    assert_non_null(strstr(wire_stats(wire, 1).error, "DTLS role"));
    text_free(&changed);
    wire_free(wire);
}

static void test_peer_renegotiates_without_restart(void **state)
{
    (void)state;
    struct wire *wire = wire_new(25, NULL);
    int channel = wire_open(wire, 0, "chat");
    offer(wire);
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
    assert_true(accept_text(wire, 1, first.at, false));
    assert_int_equal(wire_stats(wire, 1).signaling, PEER_STABLE);
    text_free(&first);
    wire_free(wire);
}

static void test_peer_close_tells_the_other(void **state)
{
    (void)state;
    struct wire *wire = wire_new(26, NULL);
    int channel = wire_open(wire, 0, "chat");
    offer(wire);
    wire_run(wire, 2 * TIME_S);
    check_connected(wire, channel);
    unsigned before = wire->actor[0].sent;
    peer_simrtc.close(ALICE, wire->now);
    assert_int_equal(wire_stats(wire, 0).state, PEER_CLOSED);
    assert_int_equal(wire_stats(wire, 0).signaling, PEER_SIGNALING_CLOSED);
    wire_pump(wire);
    assert_int_equal(wire->actor[0].sent, before + 2); // ABORT, close_notify
    assert_int_equal(wire_stats(wire, 0).ice_state, ICE_CLOSED);
    before = wire->actor[0].sent;
    nanotime closed_at = wire->now;
    wire_run(wire, wire->now + TIME_S);
    assert_int_equal(wire_stats(wire, 1).dtls_state, DTLS_CLOSED);
    assert_int_equal(wire->actor[1].closed, 1);
    assert_int_equal(wire_stats(wire, 1).channels_open, 0);
    wire_run(wire, closed_at + 60 * TIME_S);
    assert_int_equal(wire->actor[0].sent, before);            // silent
    assert_int_equal(wire_stats(wire, 1).state, PEER_FAILED); // no consent any more
    assert_true(wire_stats(wire, 0).drops[PEER_AFTER_CLOSE] > 0);
    assert_false(accept_text(wire, 0, "v=0\r\n", false));
    assert_false(peer_simrtc.add_candidate(ALICE, wire->now, bytes_text("")));
    assert_int_equal(wire_open(wire, 0, "late"), -1);
    peer_simrtc.close(ALICE, wire->now); // again: nothing
    wire_pump(wire);
    assert_int_equal(wire->actor[0].sent, before);
    wire_free(wire);
}

static void test_peer_close_before_anything(void **state)
{
    (void)state;
    struct wire *wire = wire_new(27, NULL);
    peer_simrtc.close(ALICE, 0);
    offer(wire);
    wire_run(wire, TIME_S);
    assert_int_equal(wire->actor[0].sent, 0);
    assert_int_equal(wire->actor[0].offers, 0);
    assert_int_equal(wire_stats(wire, 0).state, PEER_CLOSED);
    wire_free(wire);
}

static void test_peer_consent_lost_fails_and_is_silent(void **state)
{
    (void)state;
    struct wire *wire = wire_new(28, NULL);
    int channel = wire_open(wire, 0, "chat");
    offer(wire);
    wire_run(wire, 2 * TIME_S);
    check_connected(wire, channel);
    wire->cut[0] = wire->cut[1] = true;
    wire_message(wire, 0, channel, "into the void");
    nanotime cut_at = wire->now;
    wire_run(wire, cut_at + 20 * TIME_S);
    assert_int_equal(wire_stats(wire, 0).state, PEER_DISCONNECTED);
    assert_true(wire_stats(wire, 0).disconnected_at > cut_at);
    wire_run(wire, cut_at + 40 * TIME_S);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wire_stats(wire, i).state, PEER_FAILED);
        assert_int_equal(wire_stats(wire, i).ice_failure, ICE_CONSENT_EXPIRED);
    }
    unsigned sent = wire->actor[0].sent;
    wire_run(wire, cut_at + 400 * TIME_S);
    assert_int_equal(wire->actor[0].sent, sent);

    wire->cut[0] = wire->cut[1] = false; // and an ICE restart brings all back
    peer_simrtc.describe(ALICE, wire->now, true);
    wire_run(wire, wire->now + 5 * TIME_S);
    check_connected(wire, channel);
    wire_free(wire);
}

static void test_peer_no_path_fails(void **state)
{
    (void)state;
    struct wire *wire = wire_new(29, NULL);
    wire->cut[0] = true;
    wire_open(wire, 0, "chat");
    offer(wire);
    wire_run(wire, 90 * TIME_S);
    for (int i = 0; i < 2; i++) {
        wire_print_on(wire, wire_stats(wire, i).state != PEER_FAILED);
        assert_int_equal(wire_stats(wire, i).state, PEER_FAILED);
        assert_int_equal(wire_stats(wire, i).ice_failure, ICE_CHECKS_FAILED);
        assert_int_equal(wire_stats(wire, i).dtls_sent, 0);
    }
    wire_free(wire);
}

static void test_peer_drops_what_is_not_for_it(void **state)
{
    (void)state;
    struct wire *wire = wire_new(30, NULL);
    int channel = wire_open(wire, 0, "chat");
    offer(wire);
    wire_run(wire, 2 * TIME_S);
    static const uint8_t dtls[] = {22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1},
                         rtp[] = {128, 0, 0, 1}, turn[] = {64, 0, 0, 0}, stun[] = {0, 1, 0, 0};
    struct datagram datagram = {.from = {ip_v4(203, 0, 113, 66), 666},
                                .to = wire->actor[0].addr,
                                .bytes = bytes_of(dtls, sizeof dtls)};
    assert_int_equal(peer_simrtc.input(ALICE, wire->now, &datagram), PEER_UNAUTHENTICATED);
    datagram.bytes = bytes_of(rtp, sizeof rtp);
    assert_int_equal(peer_simrtc.input(ALICE, wire->now, &datagram), PEER_UNKNOWN_PROTOCOL);
    datagram.bytes = bytes_of(turn, sizeof turn);
    assert_int_equal(peer_simrtc.input(ALICE, wire->now, &datagram), PEER_UNKNOWN_PROTOCOL);
    datagram.bytes = bytes_of(stun, sizeof stun);
    assert_int_equal(peer_simrtc.input(ALICE, wire->now, &datagram), PEER_REFUSED);
    datagram.bytes = bytes_of(NULL, 0);
    assert_int_equal(peer_simrtc.input(ALICE, wire->now, &datagram), PEER_UNKNOWN_PROTOCOL);
    // From the right address, garbage of DTLS's kind is left to DTLS.
    datagram.from = wire->actor[1].addr;
    datagram.bytes = bytes_of(dtls, sizeof dtls);
    assert_int_equal(peer_simrtc.input(ALICE, wire->now, &datagram), PEER_KEPT);
    check_connected(wire, channel);
    wire_free(wire);
}

static void ice_only(struct peer_config *config, int i)
{
    (void)i;
    config->ice_only = true;
}

static void test_peer_ice_only(void **state)
{
    (void)state;
    struct wire *wire = wire_new(31, ice_only);
    assert_int_equal(wire_open(wire, 0, "chat"), -1);
    offer(wire);
    wire_run(wire, 2 * TIME_S);
    for (int i = 0; i < 2; i++) {
        struct peer_stats stats = wire_stats(wire, i);
        assert_int_equal(stats.state, PEER_CONNECTED);
        assert_int_equal(stats.dtls_state, DTLS_NEW);
        assert_true(stats.connected_at == stats.ice_connected_at);
    }
    wire_free(wire);
}

static bool drop_every_fourth(struct wire *wire, const struct datagram *datagram)
{
    (void)datagram;
    return wire->sequence++ % 4 == 0;
}

static void test_peer_connects_through_loss(void **state)
{
    (void)state;
    for (uint64_t seed = 40; seed < 44; seed++) {
        struct wire *wire = wire_new(seed, NULL);
        wire->lost = drop_every_fourth;
        int channel = wire_open(wire, 0, "chat");
        offer(wire);
        wire_run(wire, 30 * TIME_S);
        wire->lost = NULL;
        check_connected(wire, channel);
        wire_free(wire);
    }
}

static void test_peer_early_channels(void **state)
{
    (void)state;
    struct wire *wire = wire_new(50, NULL);
    struct channel_config agreed = {
        .label = bytes_text("agreed"), .priority = 256, .negotiated = true, .id = 7};
    assert_int_equal(wire_open(wire, 0, "first"), 0);
    assert_int_equal(peer_simrtc.channel_open(ALICE, 0, &agreed), 1);
    assert_int_equal(peer_simrtc.channel_open(ALICE, 0, &agreed), -1); // the id is taken
    assert_int_equal(wire_open(wire, 0, "closed"), 2);
    assert_int_equal(wire_open(wire, 0, "last"), 3);
    assert_int_equal(peer_simrtc.channel_open(BOB, 0, &agreed), 0);
    peer_simrtc.channel_close(ALICE, 0, 2);
    assert_int_equal(peer_simrtc.send(ALICE, 0, 0, bytes_text("x"), true), SCTP_NOT_CONNECTED);
    assert_true(bytes_is(peer_simrtc.channel_label(ALICE, 1), "agreed"));
    offer(wire);
    wire_run(wire, 3 * TIME_S);
    assert_int_equal(wire->actor[0].opened, 3);
    assert_int_equal(wire->actor[0].closed, 1);
    int later = wire_open(wire, 0, "later");
    assert_int_equal(later, 4);
    wire_run(wire, 4 * TIME_S);
    assert_true(bytes_is(peer_simrtc.channel_label(ALICE, 3), "last"));
    assert_true(bytes_is(peer_simrtc.channel_label(ALICE, 4), "later"));
    wire_message(wire, 0, 1, "agreed");
    wire_run(wire, 5 * TIME_S);
    assert_string_equal(wire->actor[1].message, "agreed");
    wire_message(wire, 0, 4, "later");
    wire_run(wire, 6 * TIME_S);
    assert_string_equal(wire->actor[1].message, "later");
    peer_simrtc.channel_close(ALICE, wire->now, 4);
    wire_run(wire, 8 * TIME_S);
    assert_int_equal(wire->actor[0].closed, 2);
    assert_int_equal(wire->actor[1].closed, 1);
    assert_int_equal(wire_stats(wire, 0).channels_open, 3);
    wire_free(wire);
}

static uint64_t digest_of(uint64_t seed, void (*change)(struct peer_config *, int))
{
    struct wire *wire = wire_new(seed, change);
    wire->lost = drop_every_fourth;
    int channel = wire_open(wire, 0, "chat");
    offer(wire);
    wire_run(wire, 20 * TIME_S);
    wire_message(wire, 0, channel, "hello");
    wire_run(wire, 30 * TIME_S);
    peer_simrtc.close(ALICE, wire->now);
    wire_run(wire, 90 * TIME_S);
    digest_add(wire, wire->log.text.at, wire->log.text.len);
    uint64_t digest = wire->digest;
    wire_free(wire);
    return digest;
}

static void test_peer_same_seed_same_bytes(void **state)
{
    (void)state;
    assert_true(digest_of(60, NULL) == digest_of(60, NULL));
    assert_true(digest_of(60, NULL) != digest_of(61, NULL));
    assert_true(digest_of(62, relay_only) == digest_of(62, relay_only));
}

static void test_peer_names(void **state)
{
    (void)state;
    assert_string_equal(peer_state_name(PEER_DISCONNECTED), "disconnected");
    assert_string_equal(peer_signaling_name(PEER_HAVE_REMOTE_OFFER), "have-remote-offer");
    assert_string_equal(peer_gathering_name(PEER_GATHER_COMPLETE), "complete");
    for (int i = 0; i < PEER_DROPS; i++)
        assert_true(strlen(peer_drop_name((enum peer_drop)i)) > 3);
}

static int setup(void **state)
{
    (void)state;
    static struct err err;
    return dtls_library_init(&err) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    dtls_library_fini();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_connect_trickle),
        cmocka_unit_test(test_peer_connect_without_trickle),
        cmocka_unit_test(test_peer_answers_in_full_without_trickle),
        cmocka_unit_test(test_peer_candidates_before_descriptions),
        cmocka_unit_test(test_peer_candidates_long_after_descriptions),
        cmocka_unit_test(test_peer_every_signal_twice),
        cmocka_unit_test(test_peer_dtls_before_the_answer),
        cmocka_unit_test(test_peer_early_datagrams_bounded),
        cmocka_unit_test(test_peer_glare_is_refused),
        cmocka_unit_test(test_peer_refuses_bad_descriptions),
        cmocka_unit_test(test_peer_describe_while_answering_is_refused),
        cmocka_unit_test(test_peer_pending_candidates_bounded),
        cmocka_unit_test(test_peer_wrong_fingerprint_fails),
        cmocka_unit_test(test_peer_lite_is_controlled),
        cmocka_unit_test(test_peer_passive_answerer),
        cmocka_unit_test(test_peer_forced_role_conflict_resolves),
        cmocka_unit_test(test_peer_relay_only),
        cmocka_unit_test(test_peer_relayed_close_and_large_messages),
        cmocka_unit_test(test_peer_ipv6),
        cmocka_unit_test(test_peer_unused_relay_is_released),
        cmocka_unit_test(test_peer_turn_error_is_told),
        cmocka_unit_test(test_peer_gathering_times_out),
        cmocka_unit_test(test_peer_reflexive_binding_kept_alive),
        cmocka_unit_test(test_peer_ice_restart),
        cmocka_unit_test(test_peer_ice_restart_keeps_relay),
        cmocka_unit_test(test_peer_ice_restart_replaces_lost_relay),
        cmocka_unit_test(test_peer_ice_restart_reordered_candidates),
        cmocka_unit_test(test_peer_ice_restart_keeps_candidates_for_the_answer),
        cmocka_unit_test(test_peer_ice_restart_answer_must_restart),
        cmocka_unit_test(test_peer_association_cannot_change),
        cmocka_unit_test(test_peer_renegotiates_without_restart),
        cmocka_unit_test(test_peer_close_tells_the_other),
        cmocka_unit_test(test_peer_close_before_anything),
        cmocka_unit_test(test_peer_consent_lost_fails_and_is_silent),
        cmocka_unit_test(test_peer_no_path_fails),
        cmocka_unit_test(test_peer_drops_what_is_not_for_it),
        cmocka_unit_test(test_peer_ice_only),
        cmocka_unit_test(test_peer_connects_through_loss),
        cmocka_unit_test(test_peer_early_channels),
        cmocka_unit_test(test_peer_same_seed_same_bytes),
        cmocka_unit_test(test_peer_names),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
