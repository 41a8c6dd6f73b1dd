// What a peer tells of its pairs, candidates and channels: numbers that both ends agree on.
#include "stack/peer/peer_world.h"

static struct ice_pair_info selected_of(struct wire *wire, int i)
{
    struct ice_pair_info info;
    for (unsigned k = 0; peer_simrtc.pair(wire->actor[i].peer, k, &info); k++) {
        if (info.selected)
            return info;
    }
    fail_msg("no pair is selected");
    return info;
}

// A call and a channel: what one side counts as sent is what the other counts as received, on the
// pair as on the transport.
static void test_peer_stats_pair_counts_what_the_transport_does(void **state)
{
    (void)state;
    struct wire *wire = wire_new(1, NULL);
    int channel = wire_open(wire, 0, "chat");
    for (int i = 0; i < 2; i++)
        wire_track_add(wire, i, true);
    wire_offer(wire);
    wire_run(wire, 3 * TIME_S);
    check_connected(wire, channel);
    wire_run(wire, 12 * TIME_S);
    struct peer_stats stats[2] = {wire_stats(wire, 0), wire_stats(wire, 1)};
    for (int i = 0; i < 2; i++) {
        const struct peer_stats *s = &stats[i], *other = &stats[1 - i];
        assert_int_equal(s->pair.bytesSent, s->bytes_sent);
        assert_int_equal(s->pair.bytesReceived, s->bytes_received);
        assert_int_equal(s->pair.packetsSent, s->dtls_sent + s->media_sent);
        assert_int_equal(s->pair.packetsReceived, s->dtls_received + s->media_received);
        assert_int_equal(s->pair.packetsDiscardedOnSend, 0);
        assert_true(s->pair.packetsSent > 500);
        assert_in_range(other->pair.packetsSent - s->pair.packetsReceived, 0, 3); // on their way
        assert_in_range(s->pair.lastPacketSentTimestamp, 11 * TIME_S, 12 * TIME_S);
        assert_in_range(s->pair.lastPacketReceivedTimestamp, 11 * TIME_S, 12 * TIME_S);
        assert_int_equal(s->pair.currentRoundTripTime, 20 * TIME_MS);
        assert_int_equal(s->pair.totalRoundTripTime,
                         (nanotime)s->pair.responsesReceived * 20 * TIME_MS);
        assert_int_equal(s->pair.requestsReceived,
                         other->pair.requestsSent + other->pair.consentRequestsSent);
        assert_int_equal(s->pair.responsesReceived, other->pair.responsesSent);
        assert_int_equal(s->pair.consentRequestsSent, s->ice.consent_checks);
        assert_true(s->pair.consentRequestsSent >= 1);
        assert_int_equal(s->ice.selections, 1);
        struct ice_pair_info info = selected_of(wire, i);
        assert_int_equal(info.stats->bytesSent, s->pair.bytesSent);
        assert_string_equal(info.state, "succeeded");
        assert_true(info.nominated);
        assert_string_equal(s->dtls_cipher, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    }
    wire_free(wire);
}

static bool has_candidate(struct wire *wire, int i, enum ice_candidate_type type,
                          enum ice_server kind)
{
    struct ice_candidate_info info;
    for (unsigned k = 0; peer_simrtc.candidate(wire->actor[i].peer, true, k, &info); k++) {
        if (info.candidate->type != type || info.candidate->server_kind != kind)
            continue;
        assert_string_equal(info.ufrag, wire_stats(wire, i).ufrag);
        if (kind != ICE_NO_SERVER)
            assert_true(addr_equal(&info.candidate->server, &wire->server_addr));
        return true;
    }
    return false;
}

// Over two relays: three legs each way.
static void test_peer_stats_of_a_relayed_pair(void **state)
{
    (void)state;
    struct wire *wire = wire_new(2, relay_only);
    int channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
    wire_run(wire, 5 * TIME_S);
    check_connected(wire, channel);
    for (int i = 0; i < 2; i++) {
        struct peer_stats stats = wire_stats(wire, i);
        assert_int_equal(stats.pair.currentRoundTripTime, 60 * TIME_MS);
        assert_int_equal(stats.pair.bytesSent, stats.bytes_sent); // without what TURN adds
        assert_true(has_candidate(wire, i, ICE_RELAY, ICE_TURN_UDP));
        assert_false(has_candidate(wire, i, ICE_HOST, ICE_NO_SERVER));
    }
    wire_free(wire);
}

static void test_peer_stats_candidates_tell_their_server(void **state)
{
    (void)state;
    struct wire *wire = wire_new(3, all_kinds);
    int channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
    wire_run(wire, 5 * TIME_S);
    check_connected(wire, channel);
    assert_true(has_candidate(wire, 0, ICE_HOST, ICE_NO_SERVER));
    assert_true(has_candidate(wire, 0, ICE_RELAY, ICE_TURN_UDP));
    struct ice_candidate_info theirs;
    assert_true(peer_simrtc.candidate(BOB, false, 0, &theirs));
    assert_string_equal(theirs.ufrag, wire_stats(wire, 0).ufrag);
    assert_int_equal(theirs.candidate->server_kind, ICE_NO_SERVER); // not signaled
    wire_free(wire);
}

static void patient_relays(struct peer_config *config, int i)
{
    relay_only(config, i);
    config->consent_timeout = 3600 * TIME_S; // longer than an allocation lives
}

// The server forgot its allocations: the next refresh says so (RFC 8656 5), and what is still to
// go out over the relay, until consent ends, goes nowhere.
static void test_peer_stats_discarded_without_a_relay(void **state)
{
    (void)state;
    struct wire *wire = wire_new(4, patient_relays);
    int channel = wire_open(wire, 0, "chat");
    wire_offer(wire);
    wire_run(wire, 5 * TIME_S);
    check_connected(wire, channel);
    static const struct turn_user users[] = {{"user", "secret"}};
    struct turn_server_config server = {.listen = wire->server_addr,
                                        .relay_ip = wire->server_addr.ip,
                                        .realm = "example",
                                        .users = users,
                                        .users_count = 1,
                                        .rng = rng_seed(9, "another")};
    turn_server_free(wire->server);
    wire->server = turn_server_new(&server);
    wire_run(wire, 230 * TIME_S); // before the refresh
    struct peer_stats before = wire_stats(wire, 0);
    assert_int_equal(before.pair.packetsDiscardedOnSend, 0);
    wire_run(wire, 700 * TIME_S);
    struct peer_stats after = wire_stats(wire, 0);
    assert_true(after.has_selected);
    assert_in_range(after.pair.packetsDiscardedOnSend, 5, 50); // heartbeats of SCTP
    assert_in_range(after.pair.bytesDiscardedOnSend / after.pair.packetsDiscardedOnSend, 50, 150);
    assert_int_equal(after.pair.packetsSent, before.pair.packetsSent);
    assert_int_equal(after.pair.packetsSent, after.dtls_sent);
    assert_int_equal(after.pair.bytesSent, after.bytes_sent);
    wire_free(wire);
}

// ---------------------------------------------------------------------------------------- channels

static void test_peer_stats_of_channels(void **state)
{
    (void)state;
    struct wire *wire = wire_new(5, NULL);
    struct peer_channel_stats stats;
    struct channel_config taken = {
        .label = bytes_text("taken"), .priority = 256, .negotiated = true, .id = 9};
    assert_false(peer_simrtc.channel_stats(ALICE, 0, &stats));
    int channel = wire_open(wire, 0, "chat");
    assert_true(peer_simrtc.channel_stats(ALICE, 0, &stats));
    assert_int_equal(stats.state, CHANNEL_CONNECTING);
    assert_false(stats.has_id);
    wire_offer(wire);
    wire_run(wire, 2 * TIME_S);
    check_connected(wire, channel); // nine bytes there, eleven back
    taken.protocol = bytes_text("gossip");
    int second = peer_simrtc.channel_open(ALICE, wire->now, &taken);
    wire_run(wire, 3 * TIME_S);
    assert_true(peer_simrtc.channel_stats(ALICE, (unsigned)channel, &stats));
    assert_true(bytes_is(stats.label, "chat") && stats.protocol.len == 0);
    assert_int_equal(stats.state, CHANNEL_OPEN);
    assert_int_equal(stats.counts.messages_sent, 1);
    assert_int_equal(stats.counts.bytes_sent, 9);
    assert_int_equal(stats.counts.messages_received, 1);
    assert_int_equal(stats.counts.bytes_received, 11);
    assert_true(stats.has_id);
    assert_int_equal(stats.id, 1); // RFC 8832 6: odd, alice is the DTLS server
    assert_true(peer_simrtc.channel_stats(ALICE, (unsigned)second, &stats));
    assert_true(bytes_is(stats.label, "taken") && bytes_is(stats.protocol, "gossip"));
    assert_int_equal(stats.id, 9);
    assert_false(peer_simrtc.channel_stats(ALICE, 2, &stats));
    peer_simrtc.channel_close(ALICE, wire->now, (unsigned)channel);
    wire_run(wire, 5 * TIME_S);
    assert_true(peer_simrtc.channel_stats(ALICE, (unsigned)channel, &stats));
    assert_int_equal(stats.state, CHANNEL_CLOSED);
    assert_int_equal(stats.counts.bytes_sent, 9); // it stays
    wire_free(wire);
}

// It was closed before there was an association.
static void test_peer_stats_of_a_channel_that_never_opened(void **state)
{
    (void)state;
    struct wire *wire = wire_new(6, NULL);
    struct peer_channel_stats stats;
    int gone = wire_open(wire, 0, "gone"), channel = wire_open(wire, 0, "chat");
    peer_simrtc.channel_close(ALICE, wire->now, (unsigned)gone);
    assert_true(peer_simrtc.channel_stats(ALICE, (unsigned)gone, &stats));
    assert_int_equal(stats.state, CHANNEL_CLOSED);
    wire_offer(wire);
    wire_run(wire, 2 * TIME_S);
    check_connected(wire, channel);
    assert_true(peer_simrtc.channel_stats(ALICE, (unsigned)gone, &stats));
    assert_int_equal(stats.state, CHANNEL_CLOSED);
    assert_true(bytes_is(stats.label, "gone") && !stats.has_id);
    assert_true(peer_simrtc.channel_stats(ALICE, (unsigned)channel, &stats));
    assert_true(bytes_is(stats.label, "chat"));
    assert_int_equal(stats.state, CHANNEL_OPEN);
    assert_false(peer_simrtc.channel_stats(ALICE, 2, &stats));
    wire_free(wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_stats_pair_counts_what_the_transport_does),
        cmocka_unit_test(test_peer_stats_of_a_relayed_pair),
        cmocka_unit_test(test_peer_stats_candidates_tell_their_server),
        cmocka_unit_test(test_peer_stats_discarded_without_a_relay),
        cmocka_unit_test(test_peer_stats_of_channels),
        cmocka_unit_test(test_peer_stats_of_a_channel_that_never_opened),
    };
    return cmocka_run_group_tests(tests, peer_tests_setup, peer_tests_teardown);
}
