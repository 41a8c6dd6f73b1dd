// What is counted of each pair, by the names of RTCIceCandidatePairStats; the lists of pairs and
// candidates.
#include "stack/ice/ice_duo.h"

static struct duo *duo_connected(void)
{
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    duo_host(duo, 0, "10.0.0.1:1000", true);
    duo_host(duo, 1, "10.0.0.2:2000", true);
    duo_start(duo);
    duo_done(duo);
    duo_run(duo, 1 * S);
    assert_int_equal(duo_state(duo, 0), ICE_COMPLETED);
    assert_int_equal(duo_state(duo, 1), ICE_COMPLETED);
    return duo;
}

static struct ice_pair_stats selected(const struct duo *duo, unsigned side)
{
    return *ice_agent_selected_stats(duo->side[side].agent);
}

static struct ice_pair_info pair(const struct duo *duo, unsigned side, unsigned index)
{
    struct ice_pair_info info;
    assert_true(ice_agent_pair(duo->side[side].agent, index, &info));
    return info;
}

static unsigned pairs(const struct duo *duo, unsigned side)
{
    struct ice_pair_info info;
    unsigned count = 0;
    while (ice_agent_pair(duo->side[side].agent, count, &info))
        count++;
    return count;
}

static void receive(struct duo *duo, unsigned side, const char *from, const char *to, size_t len)
{
    static const uint8_t bytes[2000];
    struct datagram datagram = {at(from), at(to), bytes_of(bytes, len)};
    ice_agent_received(duo->side[side].agent, duo->now, &datagram);
}

// ----------------------------------------------------------------------------------------- checks

// A check each way, and the one that nominates; 10 ms each way.
static void test_ice_stats_of_checks(void **state)
{
    (void)state;
    struct duo *duo = duo_connected();
    struct ice_pair_stats a = selected(duo, 0), b = selected(duo, 1);
    assert_int_equal(a.requestsSent, 2);
    assert_int_equal(a.responsesReceived, 2);
    assert_int_equal(a.requestsReceived, 1);
    assert_int_equal(a.responsesSent, 1);
    assert_int_equal(a.consentRequestsSent, 0);
    assert_int_equal(a.currentRoundTripTime, 20 * MS);
    assert_int_equal(a.totalRoundTripTime, 40 * MS);
    assert_int_equal(b.requestsSent, 1);
    assert_int_equal(b.responsesReceived, 1);
    assert_int_equal(b.requestsReceived, 2);
    assert_int_equal(b.responsesSent, 2);
    assert_int_equal(b.totalRoundTripTime, 20 * MS);
    // Checks are no data.
    assert_int_equal(a.packetsSent + a.packetsReceived + a.bytesSent + a.bytesReceived, 0);
    assert_int_equal(a.lastPacketSentTimestamp, TIME_NEVER);
    assert_int_equal(a.lastPacketReceivedTimestamp, TIME_NEVER);
    assert_int_equal(ice_agent_stats(duo->side[0].agent).selections, 1);
    duo_free(duo);
}

// RFC 7675: consent is counted apart, its answers and its round trips with the others.
static void test_ice_stats_of_consent(void **state)
{
    (void)state;
    struct duo *duo = duo_connected();
    duo_run(duo, 60 * S);
    struct ice_pair_stats a = selected(duo, 0), b = selected(duo, 1);
    uint64_t asked = ice_agent_stats(duo->side[0].agent).consent_checks;
    assert_in_range(asked, 9, 15);
    assert_int_equal(a.requestsSent, 2);
    assert_int_equal(a.consentRequestsSent, asked);
    assert_int_equal(a.responsesReceived, 2 + asked);
    assert_int_equal(a.totalRoundTripTime, (nanotime)(2 + asked) * 20 * MS);
    assert_int_equal(b.requestsReceived, 2 + asked);
    assert_int_equal(b.responsesSent, 2 + asked);
    duo->delay = 35 * MS;
    duo_run(duo, 67 * S); // one or two of each
    uint64_t more = ice_agent_stats(duo->side[0].agent).consent_checks - asked;
    struct ice_pair_stats later = selected(duo, 0);
    assert_in_range(more, 1, 2);
    assert_int_equal(later.currentRoundTripTime, 70 * MS);
    assert_int_equal(later.totalRoundTripTime - a.totalRoundTripTime, (nanotime)more * 70 * MS);
    duo_free(duo);
}

static bool drop_first(struct duo *duo, unsigned from, struct packet *packet)
{
    (void)from;
    (void)packet;
    return duo->dropped++ == 0;
}

// W3C webrtc-stats: the mean is the sum by the responses, so those to repeated checks count, too.
static void test_ice_stats_repeated_checks_are_measured_from_the_last(void **state)
{
    (void)state;
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    duo->drop = drop_first;
    duo_host(duo, 0, "10.0.0.1:1000", false); // so that it alone checks
    duo_host(duo, 1, "10.0.0.2:2000", true);
    duo_start(duo);
    duo_done(duo);
    duo_run(duo, 519 * MS);
    assert_int_equal(pair(duo, 0, 0).stats->responsesReceived, 0);
    assert_string_equal(pair(duo, 0, 0).state, "in-progress");
    duo_run(duo, 520 * MS); // sent again at 500 ms, and answered
    assert_string_equal(pair(duo, 0, 0).state, "succeeded");
    assert_int_equal(selected(duo, 0).responsesReceived, 1);
    assert_int_equal(selected(duo, 0).requestsSent, 2); // the nomination has just gone out
    assert_int_equal(selected(duo, 0).currentRoundTripTime, 20 * MS);
    assert_int_equal(selected(duo, 0).totalRoundTripTime, 20 * MS);
    duo_run(duo, 1 * S);
    assert_int_equal(selected(duo, 0).responsesReceived, 2);
    assert_int_equal(selected(duo, 0).currentRoundTripTime, 20 * MS);
    assert_int_equal(selected(duo, 0).totalRoundTripTime, 40 * MS);
    duo_free(duo);
}

static bool spoil_request(struct duo *duo, unsigned from, struct packet *packet)
{
    if (from == 0 && duo->dropped < 1 && packet_is(packet, STUN_REQUEST)) {
        duo->dropped++;
        packet->bytes[40] ^= 1; // FINGERPRINT and MESSAGE-INTEGRITY fit no more
    }
    return false;
}

static void test_ice_stats_leave_out_what_is_not_authentic(void **state)
{
    (void)state;
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    duo->drop = spoil_request;
    duo_host(duo, 0, "10.0.0.1:1000", true);
    duo_host(duo, 1, "10.0.0.2:2000", true);
    duo_start(duo);
    duo_done(duo);
    duo_run(duo, 1 * S);
    struct ice_stats b = ice_agent_stats(duo->side[1].agent);
    assert_int_equal(duo->dropped, 1);
    assert_int_equal(b.drops[ICE_BAD_FINGERPRINT] + b.drops[ICE_MALFORMED], 1);
    assert_int_equal(selected(duo, 1).requestsReceived, b.checks_received);
    assert_int_equal(selected(duo, 1).responsesSent, b.checks_received);
    duo_free(duo);
}

// ------------------------------------------------------------------------------------------- data

static void test_ice_stats_of_data(void **state)
{
    (void)state;
    struct duo *duo = duo_connected();
    struct ice_agent *a = duo->side[0].agent;
    ice_agent_sent(a, 1200 * MS, 100, false);
    ice_agent_sent(a, 1300 * MS, 1200, false);
    ice_agent_sent(a, 1400 * MS, 900, true);
    duo->now = 1500 * MS;
    receive(duo, 0, "10.0.0.2:2000", "10.0.0.1:1000", 700);
    duo->now = 1600 * MS;
    receive(duo, 0, "10.0.0.3:2000", "10.0.0.1:1000", 7); // no pair: nobody's
    receive(duo, 0, "10.0.0.2:2000", "10.0.0.1:1001", 7);
    struct ice_pair_stats stats = selected(duo, 0);
    assert_int_equal(stats.packetsSent, 2);
    assert_int_equal(stats.bytesSent, 1300);
    assert_int_equal(stats.packetsDiscardedOnSend, 1);
    assert_int_equal(stats.bytesDiscardedOnSend, 900);
    assert_int_equal(stats.lastPacketSentTimestamp, 1300 * MS);
    assert_int_equal(stats.packetsReceived, 1);
    assert_int_equal(stats.bytesReceived, 700);
    assert_int_equal(stats.lastPacketReceivedTimestamp, 1500 * MS);
    // What was counted stays when nothing is selected any more, and no more is.
    ice_agent_close(a, 2 * S);
    ice_agent_sent(a, 2 * S, 50, false);
    assert_int_equal(selected(duo, 0).bytesSent, 1300);
    assert_int_equal(selected(duo, 0).bytesReceived, 700);
    assert_int_equal(ice_agent_stats(a).selections, 2);
    duo_free(duo);
}

// Two addresses of the one, one of the other: data on the pair that is not selected is that pair's.
static void test_ice_stats_of_the_other_pair(void **state)
{
    (void)state;
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    duo_host(duo, 0, "10.0.0.1:1000", true);
    duo_host(duo, 0, "10.0.0.9:1000", true);
    duo_host(duo, 1, "10.0.0.2:2000", true);
    duo_start(duo);
    duo_done(duo);
    duo_run(duo, 2 * S);
    assert_int_equal(pairs(duo, 0), 2);
    struct ice_pair_info best = pair(duo, 0, 0), other = pair(duo, 0, 1);
    assert_true(best.selected && best.nominated && !other.selected && !other.nominated);
    assert_int_equal(best.number, 0);
    assert_int_equal(other.number, 1);
    assert_int_equal(best.remote_number, other.remote_number);
    assert_int_equal(best.local_number, 0);
    assert_int_equal(other.local_number, 1);
    receive(duo, 0, "10.0.0.2:2000", "10.0.0.9:1000", 300);
    assert_int_equal(pair(duo, 0, 1).stats->bytesReceived, 300);
    assert_int_equal(pair(duo, 0, 0).stats->bytesReceived, 0);
    duo_free(duo);
}

// ---------------------------------------------------------------------------------------- restart

static void duo_again(struct duo *duo)
{
    for (unsigned i = 0; i < 2; i++)
        ice_agent_restart(duo->side[i].agent, duo->now);
    duo_host(duo, 0, "10.0.0.1:1000", true);
    duo_host(duo, 1, "10.0.0.2:2000", true);
    duo_done(duo);
}

// RFC 8445 9: the pair from before carries data until another is selected, which has the same
// addresses and starts at nothing. No number is used again.
static void test_ice_stats_over_a_restart(void **state)
{
    (void)state;
    struct duo *duo = duo_connected();
    struct ice_agent *a = duo->side[0].agent;
    ice_agent_sent(a, 1 * S, 100, false);
    duo_again(duo);
    ice_agent_sent(a, 1 * S, 10, false);
    receive(duo, 0, "10.0.0.2:2000", "10.0.0.1:1000", 20);
    assert_int_equal(pairs(duo, 0), 2);
    struct ice_pair_info anew = pair(duo, 0, 0), before = pair(duo, 0, 1);
    assert_true(before.selected && before.nominated && !anew.selected);
    assert_string_equal(before.state, "succeeded");
    assert_string_equal(anew.state, "frozen");
    assert_int_equal(before.number, 0);
    assert_int_equal(before.local_number, 0);
    assert_int_equal(anew.number, 1);
    assert_int_equal(anew.local_number, 1);
    assert_int_equal(anew.remote_number, 1);
    assert_int_equal(before.stats->bytesSent, 110);
    assert_int_equal(before.stats->bytesReceived, 20);
    assert_int_equal(before.stats->requestsSent, 2);
    assert_int_equal(anew.stats->packetsReceived, 0);
    struct ice_candidate_info here, there;
    assert_true(ice_agent_candidate(a, true, 1, &here)); // after the new one, that of before
    assert_true(ice_agent_candidate(a, false, 1, &there));
    assert_false(ice_agent_candidate(a, true, 2, &here));
    assert_int_equal(here.number, 0);
    assert_int_equal(there.number, 0);
    assert_true(ice_agent_candidate(a, true, 1, &here));
    assert_string_not_equal(here.ufrag, ice_agent_credentials(a)->ufrag);

    duo_start(duo);
    duo_run(duo, 2 * S);
    assert_int_equal(pairs(duo, 0), 1);
    assert_int_equal(pair(duo, 0, 0).number, 1);
    assert_true(pair(duo, 0, 0).selected);
    assert_int_equal(selected(duo, 0).bytesSent, 0);
    assert_int_equal(selected(duo, 0).requestsSent, 2);
    assert_int_equal(selected(duo, 0).requestsReceived, 1);
    assert_int_equal(ice_agent_stats(a).selections, 2); // at once from one to the other
    duo_free(duo);
}

// Consent of the pair from before is still asked for, under its own credentials (RFC 7675 5.1).
static void test_ice_stats_consent_after_a_restart(void **state)
{
    (void)state;
    struct duo *duo = duo_connected();
    duo_again(duo); // and no answer comes
    duo_run(duo, 20 * S);
    struct ice_pair_stats a = selected(duo, 0), b = selected(duo, 1);
    assert_in_range(a.consentRequestsSent, 3, 5);
    assert_int_equal(a.responsesReceived, 2 + a.consentRequestsSent);
    assert_int_equal(b.requestsReceived, 2 + a.consentRequestsSent);
    assert_int_equal(b.responsesSent, 2 + a.consentRequestsSent);
    assert_int_equal(pair(duo, 0, 0).stats->requestsSent, 0);
    assert_int_equal(pair(duo, 0, 0).stats->requestsReceived, 0);
    duo_free(duo);
}

// ------------------------------------------------------------------------------------------ lists

static void test_ice_stats_list_candidates(void **state)
{
    (void)state;
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    struct ice_agent *a = duo->side[0].agent;
    struct ice_candidate_info info;
    struct ice_pair_info none;
    assert_false(ice_agent_candidate(a, true, 0, &info));
    assert_false(ice_agent_pair(a, 0, &none));
    duo_host(duo, 0, "10.0.0.1:1000", true);
    struct ice_candidate relay = candidate(ICE_RELAY, "203.0.113.1:5000", NULL);
    relay.server = at("203.0.113.1:3478");
    relay.server_kind = ICE_TURN_TCP;
    duo_add(duo, 0, &relay, true);
    duo_host(duo, 1, "10.0.0.2:2000", true);
    assert_true(ice_agent_candidate(a, true, 1, &info));
    assert_int_equal(info.number, 1);
    assert_int_equal(info.candidate->type, ICE_RELAY);
    assert_int_equal(info.candidate->server.port, 3478);
    assert_int_equal(info.candidate->server_kind, ICE_TURN_TCP);
    assert_string_equal(info.ufrag, ice_agent_credentials(a)->ufrag);
    assert_true(ice_agent_candidate(a, false, 0, &info));
    assert_null(info.ufrag); // not told yet
    assert_string_equal(pair(duo, 0, 0).state, "frozen");
    assert_int_equal(pair(duo, 0, 0).stats->currentRoundTripTime, TIME_NEVER);
    duo_start(duo);
    assert_true(ice_agent_candidate(a, false, 0, &info));
    assert_string_equal(info.ufrag, ice_agent_credentials(duo->side[1].agent)->ufrag);
    duo_run(duo, 5 * MS); // the best is checked, the other waits for its turn
    assert_string_equal(pair(duo, 0, 0).state, "in-progress");
    assert_string_equal(pair(duo, 0, 1).state, "waiting");
    assert_int_equal(pair(duo, 0, 0).stats->requestsSent, 1);
    assert_int_equal(pair(duo, 0, 1).stats->requestsSent, 0);
    duo_free(duo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ice_stats_of_checks),
        cmocka_unit_test(test_ice_stats_of_consent),
        cmocka_unit_test(test_ice_stats_repeated_checks_are_measured_from_the_last),
        cmocka_unit_test(test_ice_stats_leave_out_what_is_not_authentic),
        cmocka_unit_test(test_ice_stats_of_data),
        cmocka_unit_test(test_ice_stats_of_the_other_pair),
        cmocka_unit_test(test_ice_stats_over_a_restart),
        cmocka_unit_test(test_ice_stats_consent_after_a_restart),
        cmocka_unit_test(test_ice_stats_list_candidates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
