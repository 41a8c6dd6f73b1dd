// Two peers who find, describe, trust and leave each other: the order of signals, roles, hostile
// descriptions and datagrams. Gathering is in peer_gather_test.c, restarts in peer_restart_test.c.
#include "stack/peer/peer_world.h"

#include "stack/sdp/sdp.h"

static void test_peer_connect_trickle(void **state)
{
    (void)state;
    struct wire *wire = wire_new(1, NULL);
    assert_int_equal(wire_stats(wire, 0).state, PEER_NEW);
    int channel = wire_open(wire, 0, "chat");
    assert_int_equal(channel, 0);
    wire_offer(wire);
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

static void test_peer_connect_without_trickle(void **state)
{
    (void)state;
    struct wire *wire = wire_new(2, no_trickle);
    int channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
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
    wire_offer(wire);
    wire_run(wire, 2 * TIME_S);
    check_connected(wire, channel);
    assert_int_equal(wire->actor[1].candidates_told, 0);
    assert_non_null(strstr(wire->actor[1].described.at, "a=candidate"));
    wire_free(wire);
}

// Both behind what lets in only those who were sent to.
static bool not_asked_for(struct wire *wire, const struct datagram *datagram)
{
    int from = addr_equal(&datagram->from, &wire->actor[0].addr) ? 0 : 1;
    return wire->actor[1 - from].sent == 0;
}

// Without the token of RFC 8838 4.1 in a description that has no candidates, they come one by one
// nevertheless, as those of pion do: each side must take them, or none gets through to the other.
static void test_peer_trickle_that_is_not_announced(void **state)
{
    (void)state;
    struct wire *wire = wire_new(2, NULL);
    wire->lost = not_asked_for;
    int channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
    unsigned hidden = 0;
    for (nanotime at = TIME_MS; at < 2 * TIME_S; at += TIME_MS) {
        for (unsigned i = 0; i < wire->events_count; i++) {
            struct wire_event *event = &wire->events[i];
            event->bytes[event->len] = 0;
            char *token =
                event->kind == WIRE_ANSWER ? strstr((char *)event->bytes, "trickle") : NULL;
            if (token)
                *token = 'T', hidden++;
        }
        wire_run(wire, at);
    }
    assert_int_equal(hidden, 1);
    check_connected(wire, channel);
    wire_free(wire);
}

static void test_peer_candidates_before_descriptions(void **state)
{
    (void)state;
    struct wire *wire = wire_new(3, NULL);
    wire->signal_delay[WIRE_CANDIDATE] = TIME_MS;
    wire->signal_delay[WIRE_OFFER] = wire->signal_delay[WIRE_ANSWER] = 100 * TIME_MS;
    int channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
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
    wire_offer(wire);
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
    wire_offer(wire);
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
    wire_offer(wire);
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
    wire_offer(wire);
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
    wire_offer(wire);
    peer_simrtc.describe(BOB, wire->now, false);
    wire_run(wire, TIME_S);
    for (int i = 0; i < 2; i++) {
        assert_non_null(strstr(wire_stats(wire, i).error, "glare"));
        assert_int_equal(wire_stats(wire, i).signaling, PEER_HAVE_LOCAL_OFFER);
    }
    wire_free(wire);
}

static void test_peer_refuses_bad_descriptions(void **state)
{
    (void)state;
    struct wire *wire = wire_new(7, NULL);
    assert_false(wire_accept(wire, 1, "v=0\r\nnonsense\r\n", false));
    assert_non_null(strstr(wire_stats(wire, 1).error, "offer, line 2: bad line"));
    assert_false(wire_accept(wire, 1, "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\n", false));
    assert_non_null(strstr(wire_stats(wire, 1).error, "no data channel section"));
    wire_offer(wire);
    wire_pump(wire);
    // Our own offer in the place of an answer: actpass is no answer.
    assert_false(wire_accept(wire, 0, wire->actor[0].described.at, true));
    assert_non_null(strstr(wire_stats(wire, 0).error, "a=setup"));
    assert_false(wire_accept(wire, 1, wire->actor[0].described.at, true));
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
    wire_offer(wire);
    wire_pump(wire);
    assert_true(wire_accept(wire, 1, wire->actor[0].described.at, false));
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
    wire_offer(wire);
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

static void both_lite(struct peer_config *config, int i)
{
    (void)i;
    config->ice_lite = true;
}

// RFC 8445 8.2: they take a pair without a check, and what comes by it.
static void test_peer_two_lite(void **state)
{
    (void)state;
    struct wire *wire = wire_new(11, both_lite);
    int channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
    wire_run(wire, 3 * TIME_S);
    check_connected(wire, channel);
    assert_int_equal(wire_stats(wire, 0).ice.checks_sent + wire_stats(wire, 1).ice.checks_sent, 0);
    wire_free(wire);
}

static void test_peer_lite_is_controlled(void **state)
{
    (void)state;
    struct wire *wire = wire_new(11, bob_lite);
    int channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
    wire_run(wire, 3 * TIME_S);
    check_connected(wire, channel);
    assert_non_null(strstr(wire->actor[1].described.at, "a=ice-lite"));
    assert_int_equal(wire_stats(wire, 1).ice.checks_sent, 0);
    wire_free(wire);

    wire = wire_new(12, alice_lite); // the lite one offers
    channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
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
    wire_offer(wire);
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
    wire_offer(wire);
    wire_run(wire, 3 * TIME_S);
    check_connected(wire, channel);
    assert_int_equal(wire_stats(wire, 1).ice_role, ICE_CONTROLLING);
    assert_true(wire_stats(wire, 0).ice.role_conflicts + wire_stats(wire, 1).ice.role_conflicts >
                0);
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
    wire_offer(wire);
    wire_run(wire, 3 * TIME_S);
    check_connected(wire, channel);
    assert_int_equal(wire_stats(wire, 0).candidates[ICE_HOST], 2);
    assert_int_equal(wire_stats(wire, 0).remote_candidates, 2);
    wire_free(wire);
    wire = wire_new(71, ipv6_only);
    channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
    wire_run(wire, 3 * TIME_S);
    check_connected(wire, channel);
    assert_int_equal(wire_stats(wire, 0).selected.remote.addr.ip.family, IP_V6);
    wire_free(wire);
}

static void test_peer_close_tells_the_other(void **state)
{
    (void)state;
    struct wire *wire = wire_new(26, NULL);
    int channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
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
    assert_false(wire_accept(wire, 0, "v=0\r\n", false));
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
    wire_offer(wire);
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
    wire_offer(wire);
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
    wire_offer(wire);
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
    wire_offer(wire);
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
    wire_offer(wire);
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
        wire_offer(wire);
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
    wire_offer(wire);
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

// It was never open, so no fewer are.
static void test_peer_channel_closed_before_it_opened(void **state)
{
    (void)state;
    struct wire *wire = wire_new(1, NULL);
    wire_open(wire, 0, "stays");
    wire_offer(wire);
    wire_run(wire, 3 * TIME_S);
    int channel = wire_open(wire, 0, "short");
    peer_simrtc.channel_close(ALICE, wire->now, (unsigned)channel);
    wire_run(wire, 6 * TIME_S);
    assert_int_equal(wire->actor[0].closed, 1);
    assert_int_equal(wire_stats(wire, 0).channels_open, 1);
    assert_int_equal(wire_stats(wire, 1).channels_open, 1);
    wire_free(wire);
}

static uint64_t digest_of(uint64_t seed, void (*change)(struct peer_config *, int))
{
    struct wire *wire = wire_new(seed, change);
    wire->lost = drop_every_fourth;
    int channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_connect_trickle),
        cmocka_unit_test(test_peer_connect_without_trickle),
        cmocka_unit_test(test_peer_answers_in_full_without_trickle),
        cmocka_unit_test(test_peer_trickle_that_is_not_announced),
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
        cmocka_unit_test(test_peer_two_lite),
        cmocka_unit_test(test_peer_passive_answerer),
        cmocka_unit_test(test_peer_forced_role_conflict_resolves),
        cmocka_unit_test(test_peer_ipv6),
        cmocka_unit_test(test_peer_close_tells_the_other),
        cmocka_unit_test(test_peer_close_before_anything),
        cmocka_unit_test(test_peer_consent_lost_fails_and_is_silent),
        cmocka_unit_test(test_peer_no_path_fails),
        cmocka_unit_test(test_peer_drops_what_is_not_for_it),
        cmocka_unit_test(test_peer_ice_only),
        cmocka_unit_test(test_peer_connects_through_loss),
        cmocka_unit_test(test_peer_early_channels),
        cmocka_unit_test(test_peer_channel_closed_before_it_opened),
        cmocka_unit_test(test_peer_same_seed_same_bytes),
        cmocka_unit_test(test_peer_names),
    };
    return cmocka_run_group_tests(tests, peer_tests_setup, peer_tests_teardown);
}
