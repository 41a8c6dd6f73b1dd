// Two agents find their pair: who sends what when, through which NATs, in which order of signaling.
#include "stack/ice/ice_duo.h"

#include <stdio.h>

static void assert_trace(const struct duo *duo, const char *expected)
{
    if (strcmp(duo->log.text.at, expected) != 0) {
        fputs(duo->log.text.at, stderr); // cmocka would cut it
        fail_msg("the trace differs");
    }
}

static void assert_completed(const struct duo *duo, const char *a, const char *b)
{
    for (unsigned i = 0; i < 2; i++) {
        assert_string_equal(ice_state_name(duo_state(duo, i)), "completed");
        assert_true(ice_agent_selected(duo->side[i].agent)->nominated);
        assert_true(ice_agent_may_send(duo->side[i].agent));
    }
    assert_string_equal(duo_selected(duo, 0), a);
    assert_string_equal(duo_selected(duo, 1), b);
}

static struct duo *duo_of_hosts(enum ice_role a, enum ice_role b)
{
    struct duo *duo = duo_new(a, b);
    duo_host(duo, 0, "10.0.0.1:1000", true);
    duo_host(duo, 1, "10.0.0.2:2000", true);
    duo_start(duo);
    duo_done(duo);
    return duo;
}

static void test_ice_host_to_host(void **state)
{
    (void)state;
    struct duo *duo = duo_of_hosts(ICE_CONTROLLING, ICE_CONTROLLED);
    text_clear(&duo->log.text);
    duo_run(duo, 1 * S);
    assert_trace(
        duo,
        "   0.000000 a                pair 10.0.0.1:1000 > 10.0.0.2:2000 waiting\n"
        "   0.000000 a                pair 10.0.0.1:1000 > 10.0.0.2:2000 in progress\n"
        "   0.000000 a                check 10.0.0.1:1000 > 10.0.0.2:2000 controlling\n"
        "   0.000000 b                pair 10.0.0.2:2000 > 10.0.0.1:1000 waiting\n"
        "   0.000000 b                pair 10.0.0.2:2000 > 10.0.0.1:1000 in progress\n"
        "   0.000000 b                check 10.0.0.2:2000 > 10.0.0.1:1000 controlled\n"
        "   0.010000 b                pair 10.0.0.2:2000 > 10.0.0.1:1000 waiting\n"
        "   0.010000 b                answer to 10.0.0.1:1000\n"
        "   0.010000 a                pair 10.0.0.1:1000 > 10.0.0.2:2000 waiting\n"
        "   0.010000 a                answer to 10.0.0.2:2000\n"
        "   0.020000 a                pair 10.0.0.1:1000 > 10.0.0.2:2000 succeeded\n"
        "   0.020000 a                selected host 10.0.0.1:1000 > host 10.0.0.2:2000\n"
        "   0.020000 a                connected\n"
        "   0.020000 a                pair 10.0.0.1:1000 > 10.0.0.2:2000 to be nominated\n"
        "   0.020000 b                pair 10.0.0.2:2000 > 10.0.0.1:1000 succeeded\n"
        "   0.020000 b                selected host 10.0.0.2:2000 > host 10.0.0.1:1000\n"
        "   0.020000 b                connected\n"
        "   0.050000 a                check 10.0.0.1:1000 > 10.0.0.2:2000 controlling "
        "use-candidate\n"
        "   0.060000 b                pair 10.0.0.2:2000 > 10.0.0.1:1000 nominated\n"
        "   0.060000 b                selected host 10.0.0.2:2000 > host 10.0.0.1:1000, nominated\n"
        "   0.060000 b                completed\n"
        "   0.060000 b                answer to 10.0.0.1:1000\n"
        "   0.070000 a                pair 10.0.0.1:1000 > 10.0.0.2:2000 nominated\n"
        "   0.070000 a                selected host 10.0.0.1:1000 > host 10.0.0.2:2000, nominated\n"
        "   0.070000 a                completed\n");
    struct ice_stats stats = ice_agent_stats(duo->side[0].agent);
    assert_int_equal(stats.checks_sent, 2);
    assert_int_equal(stats.checks_received, 1);
    assert_int_equal(stats.responses_received, 2);
    assert_int_equal(stats.first_valid_at, 20 * MS);
    assert_int_equal(stats.selected_at, 70 * MS);
    duo_free(duo);
}

// --------------------------------------------------------------------------------------------- NAT

static struct duo *duo_of_nats(enum nat_kind a, enum nat_kind b)
{
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    duo->side[0].nat = a;
    duo->side[1].nat = b;
    duo->side[0].public_ip = ip_v4(198, 51, 100, 1);
    duo->side[1].public_ip = ip_v4(203, 0, 113, 1);
    struct ice_candidate srflx[2] = {candidate(ICE_SRFLX, "198.51.100.1:1000", "10.0.0.1:1000"),
                                     candidate(ICE_SRFLX, "203.0.113.1:2000", "10.8.0.1:2000")};
    duo_host(duo, 0, "10.0.0.1:1000", true);
    duo_host(duo, 1, "10.8.0.1:2000", true);
    duo_add(duo, 0, &srflx[0], true);
    duo_add(duo, 1, &srflx[1], true);
    return duo;
}

static void test_ice_srflx_through_two_nats(void **state)
{
    (void)state;
    struct duo *duo = duo_of_nats(NAT_PORT_RESTRICTED, NAT_PORT_RESTRICTED);
    duo_start(duo);
    duo_done(duo);
    duo_run(duo, 2 * S);
    assert_completed(duo, "srflx 198.51.100.1:1000 > srflx 203.0.113.1:2000",
                     "srflx 203.0.113.1:2000 > srflx 198.51.100.1:1000");
    duo_free(duo);
}

// A symmetric NAT shows the peer a port that no candidate has.
static void test_ice_symmetric_nat_is_peer_reflexive(void **state)
{
    (void)state;
    struct duo *duo = duo_of_nats(NAT_SYMMETRIC, NAT_FULL_CONE);
    duo_start(duo);
    duo_done(duo);
    duo_run(duo, 4 * S);
    assert_completed(duo, "prflx 198.51.100.1:40001 > srflx 203.0.113.1:2000",
                     "srflx 203.0.113.1:2000 > prflx 198.51.100.1:40001");
    const struct ice_pair *pair = ice_agent_selected(duo->side[0].agent);
    struct addr base = at("10.0.0.1:1000");
    assert_true(addr_equal(&pair->local.base, &base));
    assert_int_equal(pair->local.priority, 110u << 24 | 65535u << 8 | 255); // RFC 8445 7.2.5.3.1
    duo_free(duo);
}

// The peer has no relay and a symmetric NAT: its check reaches our relayed address from a port that
// nobody announced.
static void test_ice_peer_reflexive_over_relay(void **state)
{
    (void)state;
    struct duo *duo = duo_of_nats(NAT_PORT_RESTRICTED, NAT_SYMMETRIC);
    duo_socket(duo, 0, "192.0.2.9:5000", false);
    struct ice_candidate relay = candidate(ICE_RELAY, "192.0.2.9:5000", NULL);
    relay.related = at("198.51.100.1:1000");
    duo_add(duo, 0, &relay, true);
    duo_start(duo);
    duo_done(duo);
    duo_run(duo, 4 * S);
    assert_string_equal(ice_state_name(duo_state(duo, 0)), "completed");
    const struct ice_pair *pair = ice_agent_selected(duo->side[0].agent);
    assert_int_equal(pair->local.type, ICE_RELAY);
    assert_int_equal(pair->remote.type, ICE_PRFLX);
    pair = ice_agent_selected(duo->side[1].agent);
    assert_int_equal(pair->local.type, ICE_PRFLX);
    assert_int_equal(pair->remote.type, ICE_RELAY);
    duo_free(duo);
}

// Each answer comes from a port that the check did not go to, each check back from a new one, which
// triggers the next: the relay must have its turn all the same, before the lists are full.
static void test_ice_endless_triggered_checks_leave_room(void **state)
{
    (void)state;
    struct duo *duo = duo_of_nats(NAT_SYMMETRIC_OPEN, NAT_SYMMETRIC_OPEN);
    // What each has asked a STUN server left its reflexive candidate open to all.
    struct addr server = at("192.0.2.1:3478");
    duo->side[0].mappings[duo->side[0].mappings_count++] =
        (struct mapping){at("10.0.0.1:1000"), at("198.51.100.1:1000"), server};
    duo->side[1].mappings[duo->side[1].mappings_count++] =
        (struct mapping){at("10.8.0.1:2000"), at("203.0.113.1:2000"), server};
    duo_socket(duo, 0, "192.0.2.9:5000", false);
    struct ice_candidate relay = candidate(ICE_RELAY, "192.0.2.9:5000", NULL);
    relay.related = at("198.51.100.1:1000");
    duo_add(duo, 0, &relay, true);
    duo_start(duo);
    duo_done(duo);
    duo_run(duo, 2 * S);
    assert_string_equal(ice_state_name(duo_state(duo, 0)), "completed");
    assert_string_equal(ice_state_name(duo_state(duo, 1)), "completed");
    assert_int_equal(ice_agent_selected(duo->side[0].agent)->local.type, ICE_RELAY);
    assert_true(ice_agent_selected(duo->side[1].agent)->nominated);
    assert_int_equal(ice_agent_stats(duo->side[1].agent).drops[ICE_CHECKLIST_FULL], 0);
    duo_free(duo);
}

// ----------------------------------------------------------------------------------------- trickle

static bool drop_before_20ms(struct duo *duo, unsigned from, struct packet *packet)
{
    (void)from;
    (void)packet;
    return duo->now < 20 * MS;
}

static void test_ice_remote_candidate_before_any_local(void **state)
{
    (void)state;
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    struct ice_candidate host = candidate(ICE_HOST, "10.0.0.2:2000", NULL);
    duo_start(duo);
    assert_true(ice_agent_add_remote(duo->side[0].agent, 0, &host));
    duo_run(duo, 1 * S);
    assert_int_equal(duo_state(duo, 0), ICE_CHECKING);
    duo_host(duo, 1, "10.0.0.2:2000", false);
    duo_host(duo, 0, "10.0.0.1:1000", true);
    duo_done(duo);
    duo_run(duo, 2 * S);
    assert_completed(duo, "host 10.0.0.1:1000 > host 10.0.0.2:2000",
                     "host 10.0.0.2:2000 > host 10.0.0.1:1000");
    duo_free(duo);
}

static void test_ice_candidates_long_after_credentials(void **state)
{
    (void)state;
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    duo_start(duo);
    duo_run(duo, 35 * S);
    assert_int_equal(duo_state(duo, 0), ICE_CHECKING);
    duo_host(duo, 0, "10.0.0.1:1000", true);
    duo_host(duo, 1, "10.0.0.2:2000", true);
    duo_done(duo);
    duo_run(duo, 36 * S);
    assert_completed(duo, "host 10.0.0.1:1000 > host 10.0.0.2:2000",
                     "host 10.0.0.2:2000 > host 10.0.0.1:1000");
    duo_free(duo);
}

// b knows nothing of a: it answers, and checks back the moment that the credentials arrive.
static void test_ice_early_check_is_answered_and_remembered(void **state)
{
    (void)state;
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    duo_host(duo, 0, "10.0.0.1:1000", false);
    duo_host(duo, 1, "10.0.0.2:2000", true);
    duo_credentials(duo, 0, false);
    duo_run(duo, 300 * MS);
    assert_int_equal(duo_state(duo, 0), ICE_CONNECTED);
    assert_int_equal(duo_state(duo, 1), ICE_NEW);
    assert_int_equal(ice_agent_stats(duo->side[1].agent).checks_sent, 0);
    duo_credentials(duo, 1, false);
    duo_run(duo, 320 * MS);
    assert_int_equal(duo_state(duo, 1), ICE_CONNECTED);
    assert_string_equal(duo_selected(duo, 1), "host 10.0.0.2:2000 > prflx 10.0.0.1:1000");
    assert_true(ice_agent_selected(duo->side[1].agent)->nominated);
    duo_free(duo);
}

// RFC 8838 14: candidates after end-of-candidates are ignored; the peer's own check still connects.
static void test_ice_end_of_candidates_first(void **state)
{
    (void)state;
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    duo_start(duo);
    ice_agent_remote_done(duo->side[1].agent, 0);
    duo_host(duo, 0, "10.0.0.1:1000", true);
    duo_host(duo, 1, "10.0.0.2:2000", true);
    duo_done(duo);
    duo_run(duo, 1 * S);
    assert_completed(duo, "host 10.0.0.1:1000 > host 10.0.0.2:2000",
                     "host 10.0.0.2:2000 > prflx 10.0.0.1:1000");
    duo_free(duo);
}

// What was learned from a check is signalled later: one candidate, now with its type and priority,
// and the nomination stands.
static void test_ice_peer_reflexive_is_signalled_later(void **state)
{
    (void)state;
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    const struct ice_candidate *late = duo_host(duo, 0, "10.0.0.1:1000", false);
    duo_host(duo, 1, "10.0.0.2:2000", true);
    duo_start(duo);
    ice_agent_remote_done(duo->side[0].agent, 0);
    ice_agent_local_done(duo->side[0].agent, 0);
    duo_run(duo, 500 * MS);
    assert_string_equal(duo_selected(duo, 1), "host 10.0.0.2:2000 > prflx 10.0.0.1:1000");
    assert_true(ice_agent_selected(duo->side[1].agent)->nominated);
    unsigned pairs = ice_agent_stats(duo->side[1].agent).pairs;

    struct ice_candidate srflx = *late;
    srflx.type = ICE_SRFLX;
    srflx.priority = 1694498815;
    assert_true(ice_agent_add_remote(duo->side[1].agent, duo->now, &srflx));
    assert_string_equal(duo_selected(duo, 1), "host 10.0.0.2:2000 > srflx 10.0.0.1:1000");
    const struct ice_pair *pair = ice_agent_selected(duo->side[1].agent);
    assert_true(pair->nominated);
    assert_int_equal(pair->remote.priority, 1694498815);
    assert_string_equal(pair->remote.foundation, late->foundation);
    assert_int_equal(ice_agent_stats(duo->side[1].agent).pairs, pairs);
    duo_free(duo);
}

// The same, while the triggered check is still on its way: the pair is not doubled.
static void test_ice_peer_reflexive_is_signalled_during_its_check(void **state)
{
    (void)state;
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    const struct ice_candidate *late = duo_host(duo, 0, "10.0.0.1:1000", false);
    duo_host(duo, 1, "10.0.0.2:2000", true);
    duo_start(duo);
    duo_run(duo, 15 * MS);
    ice_agent_add_remote(duo->side[1].agent, duo->now, late);
    duo_done(duo);
    duo_run(duo, 1 * S);
    assert_completed(duo, "host 10.0.0.1:1000 > host 10.0.0.2:2000",
                     "host 10.0.0.2:2000 > host 10.0.0.1:1000");
    assert_int_equal(ice_agent_stats(duo->side[1].agent).pairs, 1);
    duo_free(duo);
}

// RFC 8838 12: a new pair waits when it is the best of its foundation, or another one of it has
// succeeded; else it is frozen.
static void test_ice_trickled_pairs_get_their_state(void **state)
{
    (void)state;
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    duo->drop = drop_before_20ms;
    duo_start(duo);
    duo_host(duo, 0, "10.0.0.1:1000", false);
    struct ice_candidate remote = candidate(ICE_SRFLX, "10.0.0.2:2000", NULL);
    struct ice_agent *agent = duo->side[0].agent;
    duo_host(duo, 1, "10.0.0.2:2000", false);
    memcpy(remote.foundation, "1", 2);
    remote.priority = 5000;
    ice_agent_add_remote(agent, 0, &remote);
    duo_run(duo, 10 * MS);
    static const uint32_t priorities[] = {6000, 4000, 3000};
    for (uint16_t i = 0; i < 3; i++) {
        if (i == 2)
            duo_run(duo, 700 * MS); // the first one has succeeded, at its second sending
        text_clear(&duo->log.text);
        remote.addr.port = (uint16_t)(2001 + i);
        remote.priority = priorities[i];
        ice_agent_add_remote(agent, duo->now, &remote);
        assert_true(duo_traced(duo, "formed"));
        assert_int_equal(duo_traced(duo, "waiting"), i != 1);
    }
    duo_free(duo);
}

// ------------------------------------------------------------------------------------------- roles

static void role_conflict(enum ice_role both, uint64_t a, uint64_t b, enum ice_role a_ends)
{
    struct duo none = {0};
    struct ice_config one = duo_config(&none, both, 0), two = duo_config(&none, both, 1);
    one.tiebreaker = a;
    two.tiebreaker = b;
    struct duo *duo = duo_new_of(&one, &two);
    duo_host(duo, 0, "10.0.0.1:1000", true);
    duo_host(duo, 1, "10.0.0.2:2000", true);
    duo_start(duo);
    duo_done(duo);
    duo_run(duo, 3 * S);
    assert_completed(duo, "host 10.0.0.1:1000 > host 10.0.0.2:2000",
                     "host 10.0.0.2:2000 > host 10.0.0.1:1000");
    assert_int_not_equal(ice_agent_role(duo->side[0].agent), ice_agent_role(duo->side[1].agent));
    if (a != b)
        assert_int_equal(ice_agent_role(duo->side[0].agent), a_ends);
    assert_true(ice_agent_stats(duo->side[0].agent).role_conflicts +
                    ice_agent_stats(duo->side[1].agent).role_conflicts >
                0);
    duo_free(duo);
}

// RFC 8445 7.3.1.1
static void test_ice_role_conflict_larger_tiebreaker_controls(void **state)
{
    (void)state;
    role_conflict(ICE_CONTROLLING, 9, 4, ICE_CONTROLLING);
    role_conflict(ICE_CONTROLLING, 4, 9, ICE_CONTROLLED);
    role_conflict(ICE_CONTROLLED, 9, 4, ICE_CONTROLLING);
    role_conflict(ICE_CONTROLLED, 4, 9, ICE_CONTROLLED);
}

static void test_ice_role_conflict_equal_tiebreakers(void **state)
{
    (void)state;
    role_conflict(ICE_CONTROLLING, 5, 5, ICE_CONTROLLED);
    role_conflict(ICE_CONTROLLED, 5, 5, ICE_CONTROLLED);
}

static bool drop_first_of_b(struct duo *duo, unsigned from, struct packet *packet)
{
    return from == 1 && packet_is(packet, STUN_REQUEST) && duo->dropped++ == 0;
}

// Only a's check crosses: b gets it as the smaller of two controlling ones, or refuses it by 487.
static void test_ice_role_conflict_seen_by_one_side(void **state)
{
    (void)state;
    for (unsigned larger = 0; larger < 2; larger++) {
        struct duo none = {0};
        struct ice_config one = duo_config(&none, ICE_CONTROLLING, 0);
        struct ice_config two = duo_config(&none, ICE_CONTROLLING, 1);
        one.tiebreaker = larger ? 9 : 3;
        struct duo *duo = duo_new_of(&one, &two);
        duo->drop = drop_first_of_b;
        duo_host(duo, 0, "10.0.0.1:1000", true);
        duo_host(duo, 1, "10.0.0.2:2000", true);
        duo_start(duo);
        duo_done(duo);
        duo_run(duo, 2 * S);
        assert_completed(duo, "host 10.0.0.1:1000 > host 10.0.0.2:2000",
                         "host 10.0.0.2:2000 > host 10.0.0.1:1000");
        assert_int_equal(ice_agent_role(duo->side[0].agent),
                         larger ? ICE_CONTROLLING : ICE_CONTROLLED);
        assert_int_equal(duo_traced(duo, "answer 487"), !larger);
        duo_free(duo);
    }
}

// -------------------------------------------------------------------------------------------- lite

static struct duo *duo_of_lite(bool a_lite)
{
    struct duo none = {0};
    struct ice_config one = duo_config(&none, ICE_CONTROLLED, 0);
    struct ice_config two = duo_config(&none, ICE_CONTROLLED, 1);
    one.lite = a_lite;
    two.lite = true;
    struct duo *duo = duo_new_of(&one, &two);
    duo_host(duo, 0, "10.0.0.1:1000", true);
    duo_host(duo, 1, "10.0.0.2:2000", true);
    duo_credentials(duo, 0, true);
    duo_credentials(duo, 1, a_lite);
    duo_done(duo);
    return duo;
}

static void test_ice_full_controls_lite(void **state)
{
    (void)state;
    struct duo *duo = duo_of_lite(false);
    assert_int_equal(ice_agent_role(duo->side[0].agent), ICE_CONTROLLING);
    ice_agent_set_role(duo->side[0].agent, 0, ICE_CONTROLLED);
    assert_int_equal(ice_agent_role(duo->side[0].agent), ICE_CONTROLLING);
    duo_run(duo, 10 * MS); // the first check is there, without USE-CANDIDATE
    assert_false(ice_agent_may_send(duo->side[1].agent));
    duo_run(duo, 1 * S);
    assert_completed(duo, "host 10.0.0.1:1000 > host 10.0.0.2:2000",
                     "host 10.0.0.2:2000 > host 10.0.0.1:1000");
    // The lite side answers consent checks for ever, sends none, and keeps its binding alive.
    duo_run(duo, 100 * S);
    assert_int_equal(duo_state(duo, 0), ICE_COMPLETED);
    assert_int_equal(ice_agent_stats(duo->side[1].agent).checks_sent, 0);
    assert_int_equal(ice_agent_stats(duo->side[1].agent).consent_checks, 0);
    assert_int_equal(duo_count(duo, "keepalive\n"), 6); // RFC 8445 11: each 15 s
    assert_true(ice_agent_stats(duo->side[0].agent).consent_checks >= 16);
    duo_free(duo);
}

static void test_ice_lite_to_lite(void **state)
{
    (void)state;
    struct duo *duo = duo_of_lite(true);
    duo_run(duo, 1 * S);
    assert_completed(duo, "host 10.0.0.1:1000 > host 10.0.0.2:2000",
                     "host 10.0.0.2:2000 > host 10.0.0.1:1000");
    assert_int_equal(duo->side[0].sent + duo->side[1].sent, 0);
    duo_free(duo);
}

static void test_ice_lite_has_host_candidates_only(void **state)
{
    (void)state;
    struct duo *duo = duo_of_lite(false);
    struct ice_candidate srflx = candidate(ICE_SRFLX, "192.0.2.7:2000", "10.0.0.2:2000");
    assert_null(ice_agent_add_local(duo->side[1].agent, 0, &srflx));
    duo_free(duo);
}

// -------------------------------------------------------------------------------------- nomination

static struct duo *duo_of_two_hosts(void)
{
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    duo_host(duo, 0, "10.0.0.1:1000", true);
    duo_host(duo, 1, "10.0.0.2:2000", true); // the better one
    duo_host(duo, 1, "10.0.1.2:2000", true);
    duo_start(duo);
    duo_done(duo);
    return duo;
}

static bool is_better_path(const struct packet *packet)
{
    struct addr better = at("10.0.0.2:2000");
    return addr_equal(&packet->to, &better) || addr_equal(&packet->from, &better);
}

static bool drop_better_for_400ms(struct duo *duo, unsigned from, struct packet *packet)
{
    (void)from;
    return duo->now < 400 * MS && is_better_path(packet);
}

// The worse pair is valid first; the better one comes in time.
static void test_ice_best_valid_pair_is_nominated(void **state)
{
    (void)state;
    struct duo *duo = duo_of_two_hosts();
    duo->drop = drop_better_for_400ms;
    duo_run(duo, 300 * MS);
    assert_string_equal(duo_selected(duo, 0), "host 10.0.0.1:1000 > host 10.0.1.2:2000");
    duo_run(duo, 2 * S);
    assert_completed(duo, "host 10.0.0.1:1000 > host 10.0.0.2:2000",
                     "host 10.0.0.2:2000 > host 10.0.0.1:1000");
    duo_free(duo);
}

static bool drop_better(struct duo *duo, unsigned from, struct packet *packet)
{
    (void)duo;
    (void)from;
    return is_better_path(packet);
}

static void test_ice_nomination_waits_no_longer_than_told(void **state)
{
    (void)state;
    struct duo *duo = duo_of_two_hosts();
    duo->drop = drop_better;
    duo_run(duo, 2 * S);
    nanotime valid_at = ice_agent_stats(duo->side[0].agent).first_valid_at;
    // 500 ms after the first valid pair the check goes out, and 20 ms later it is answered.
    assert_int_equal(ice_agent_stats(duo->side[0].agent).selected_at, valid_at + 520 * MS);
    assert_completed(duo, "host 10.0.0.1:1000 > host 10.0.1.2:2000",
                     "host 10.0.1.2:2000 > host 10.0.0.1:1000");
    duo_free(duo);
}

static bool drop_first_nomination(struct duo *duo, unsigned from, struct packet *packet)
{
    (void)from;
    return packet_has(packet, STUN_USE_CANDIDATE) && duo->dropped++ == 0;
}

static void test_ice_lost_nomination_is_repeated(void **state)
{
    (void)state;
    struct duo *duo = duo_of_hosts(ICE_CONTROLLING, ICE_CONTROLLED);
    duo->drop = drop_first_nomination;
    duo_run(duo, 2 * S);
    assert_int_equal(ice_agent_stats(duo->side[0].agent).retransmissions, 1);
    assert_int_equal(ice_agent_stats(duo->side[0].agent).selected_at, 570 * MS);
    duo_free(duo);
}

static bool drop_nomination_answer(struct duo *duo, unsigned from, struct packet *packet)
{
    return from == 1 && duo->now >= 60 * MS && packet_is(packet, STUN_SUCCESS) &&
           duo->dropped++ == 0;
}

static void test_ice_lost_nomination_answer_is_repeated(void **state)
{
    (void)state;
    struct duo *duo = duo_of_hosts(ICE_CONTROLLING, ICE_CONTROLLED);
    duo->drop = drop_nomination_answer;
    duo_run(duo, 2 * S);
    assert_completed(duo, "host 10.0.0.1:1000 > host 10.0.0.2:2000",
                     "host 10.0.0.2:2000 > host 10.0.0.1:1000");
    assert_int_equal(ice_agent_stats(duo->side[1].agent).selected_at, 60 * MS);
    duo_free(duo);
}

static bool drop_nomination_of_better(struct duo *duo, unsigned from, struct packet *packet)
{
    (void)duo;
    (void)from;
    return packet_has(packet, STUN_USE_CANDIDATE) && is_better_path(packet);
}

// The nomination of the best pair fails after all its sendings: the other valid pair is nominated.
static void test_ice_failed_nomination_falls_back(void **state)
{
    (void)state;
    struct duo *duo = duo_of_two_hosts();
    duo->drop = drop_nomination_of_better;
    duo_run(duo, 60 * S);
    assert_completed(duo, "host 10.0.0.1:1000 > host 10.0.1.2:2000",
                     "host 10.0.1.2:2000 > host 10.0.0.1:1000");
    assert_false(duo_saw(duo, 0, ICE_FAILED));
    duo_free(duo);
}

static bool drop_b_checks(struct duo *duo, unsigned from, struct packet *packet)
{
    return from == 1 && packet_is(packet, STUN_REQUEST) && duo->now < 300 * MS;
}

// RFC 8445 7.3.1.5: USE-CANDIDATE arrives while b's own check is still on its way.
static void test_ice_nomination_before_own_check_succeeds(void **state)
{
    (void)state;
    struct duo *duo = duo_of_hosts(ICE_CONTROLLING, ICE_CONTROLLED);
    duo->drop = drop_b_checks;
    duo_run(duo, 200 * MS);
    assert_int_equal(duo_state(duo, 0), ICE_COMPLETED);
    assert_int_equal(duo_state(duo, 1), ICE_CHECKING);
    duo_run(duo, 2 * S);
    assert_completed(duo, "host 10.0.0.1:1000 > host 10.0.0.2:2000",
                     "host 10.0.0.2:2000 > host 10.0.0.1:1000");
    duo_free(duo);
}

// Candidates of one foundation: the first leads nowhere and must not hold back the second until its
// check times out.
static void test_ice_unreachable_host_holds_nothing_back(void **state)
{
    (void)state;
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    duo_host(duo, 0, "10.0.0.1:1000", false);
    struct ice_candidate dead = candidate(ICE_HOST, "10.0.0.3:3000", NULL);
    dead.priority = 2130706431;
    memcpy(dead.foundation, "7", 2);
    duo_start(duo);
    for (uint16_t i = 0; i < 3; i++) {
        ice_agent_add_remote(duo->side[0].agent, 0, &dead);
        dead.addr.port++;
        dead.priority--;
    }
    duo_socket(duo, 1, "10.0.0.3:3003", false);
    struct ice_candidate alive = dead;
    alive.base = alive.addr;
    duo_add(duo, 1, &alive, true);
    duo_done(duo);
    duo_run(duo, 3 * S);
    assert_int_equal(duo_state(duo, 0), ICE_COMPLETED);
    assert_string_equal(duo_selected(duo, 0), "host 10.0.0.1:1000 > host 10.0.0.3:3003");
    duo_free(duo);
}

// The socket's host candidate is kept from the peer and from us: the reflexive one is checked from
// its base.
static void test_ice_reflexive_candidate_without_host(void **state)
{
    (void)state;
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    duo->side[0].nat = NAT_PORT_RESTRICTED;
    duo->side[0].public_ip = ip_v4(198, 51, 100, 1);
    duo_socket(duo, 0, "10.0.0.1:1000", true);
    struct ice_candidate srflx = candidate(ICE_SRFLX, "198.51.100.1:1000", "10.0.0.1:1000");
    duo_add(duo, 0, &srflx, true);
    duo_host(duo, 1, "192.0.2.2:2000", true);
    duo_start(duo);
    duo_done(duo);
    duo_run(duo, 2 * S);
    assert_completed(duo, "srflx 198.51.100.1:1000 > host 192.0.2.2:2000",
                     "host 192.0.2.2:2000 > srflx 198.51.100.1:1000");
    duo_free(duo);
}

static void test_ice_ipv6(void **state)
{
    (void)state;
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    duo_host(duo, 0, "[fe80::1]:1000", true);
    duo_host(duo, 0, "[2001:db8::1]:1000", true);
    duo_host(duo, 0, "10.0.0.1:1000", true);
    duo_host(duo, 1, "[2001:db8::2]:2000", true);
    duo_start(duo);
    duo_done(duo);
    duo_run(duo, 2 * S);
    assert_completed(duo, "host [2001:db8::1]:1000 > host [2001:db8::2]:2000",
                     "host [2001:db8::2]:2000 > host [2001:db8::1]:1000");
    assert_int_equal(ice_agent_stats(duo->side[1].agent).pairs, 1); // RFC 8445 6.1.2.2
    duo_free(duo);
}

// ------------------------------------------------------------------------------------------ chance

static struct rng chance;

// One in eight is lost, and the others overtake each other.
static bool lossy(struct duo *duo, unsigned from, struct packet *packet)
{
    (void)from;
    packet->at = duo->now + 1 * MS + (nanotime)rng_below(&chance, 150 * (uint64_t)MS);
    return rng_below(&chance, 8) == 0;
}

// Signaling in random order: candidates, credentials and ends as they happen to come.
static void signal_at_random(struct duo *duo)
{
    static const char *const hosts[2][3] = {{"10.0.0.1:1000", "10.0.0.1:1001", "10.0.7.1:1000"},
                                            {"10.8.0.1:2000", "10.8.7.1:2001", "10.8.9.1:2000"}};
    unsigned next[2] = {0, 0};
    bool known[2] = {false, false};
    while (next[0] < 3 || next[1] < 3 || !known[0] || !known[1]) {
        unsigned side = (unsigned)rng_below(&chance, 2);
        if (rng_below(&chance, 3) == 0) {
            duo_credentials(duo, side, false);
            known[side] = true;
        } else if (next[side] < 3) {
            bool tell = next[side] == 0 || rng_below(&chance, 4) != 0;
            duo_host(duo, side, hosts[side][next[side]++], tell);
        }
        duo_run(duo, duo->now + (nanotime)rng_below(&chance, 300 * (uint64_t)MS));
    }
    duo_done(duo);
}

// However it went, both sides end with the same pair, seen from its two ends.
static void test_ice_chance_never_splits_the_pair(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        chance = rng_seed(seed, "chance");
        struct duo *duo = duo_new(rng_below(&chance, 2) ? ICE_CONTROLLING : ICE_CONTROLLED,
                                  rng_below(&chance, 2) ? ICE_CONTROLLING : ICE_CONTROLLED);
        for (unsigned i = 0; i < 2; i++) {
            duo->side[i].nat = rng_below(&chance, 2) ? NAT_NONE : NAT_SYMMETRIC;
            duo->side[i].public_ip = ip_v4(198, 51, 100, (uint8_t)(i + 1));
        }
        if (duo->side[0].nat != NAT_NONE)
            duo->side[1].nat = NAT_NONE;
        duo->drop = lossy;
        signal_at_random(duo);
        duo_run(duo, duo->now + 35 * S);
        const struct ice_pair *a = ice_agent_selected(duo->side[0].agent);
        const struct ice_pair *b = ice_agent_selected(duo->side[1].agent);
        if (!a || !b || !a->nominated || !b->nominated ||
            !addr_equal(&a->local.addr, &b->remote.addr) ||
            !addr_equal(&b->local.addr, &a->remote.addr)) {
            fputs(duo->log.text.at, stderr);
            fail_msg("seed %u: %s, %s", (unsigned)seed, duo_selected(duo, 0), duo_selected(duo, 1));
        }
        assert_int_not_equal(ice_agent_role(duo->side[0].agent),
                             ice_agent_role(duo->side[1].agent));
        duo_free(duo);
    }
}

// The same seed, the same text.
static void test_ice_trace_is_the_same_again(void **state)
{
    (void)state;
    struct duo *duos[2];
    for (int i = 0; i < 2; i++) {
        chance = rng_seed(42, "again");
        duos[i] = duo_new(ICE_CONTROLLING, ICE_CONTROLLING);
        duos[i]->drop = lossy;
        signal_at_random(duos[i]);
        duo_run(duos[i], 30 * S);
    }
    assert_true(duos[0]->log.text.len > 1000);
    assert_string_equal(duos[0]->log.text.at, duos[1]->log.text.at);
    duo_free(duos[0]);
    duo_free(duos[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ice_host_to_host),
        cmocka_unit_test(test_ice_srflx_through_two_nats),
        cmocka_unit_test(test_ice_symmetric_nat_is_peer_reflexive),
        cmocka_unit_test(test_ice_peer_reflexive_over_relay),
        cmocka_unit_test(test_ice_endless_triggered_checks_leave_room),
        cmocka_unit_test(test_ice_remote_candidate_before_any_local),
        cmocka_unit_test(test_ice_candidates_long_after_credentials),
        cmocka_unit_test(test_ice_early_check_is_answered_and_remembered),
        cmocka_unit_test(test_ice_end_of_candidates_first),
        cmocka_unit_test(test_ice_peer_reflexive_is_signalled_later),
        cmocka_unit_test(test_ice_peer_reflexive_is_signalled_during_its_check),
        cmocka_unit_test(test_ice_trickled_pairs_get_their_state),
        cmocka_unit_test(test_ice_role_conflict_larger_tiebreaker_controls),
        cmocka_unit_test(test_ice_role_conflict_equal_tiebreakers),
        cmocka_unit_test(test_ice_role_conflict_seen_by_one_side),
        cmocka_unit_test(test_ice_full_controls_lite),
        cmocka_unit_test(test_ice_lite_to_lite),
        cmocka_unit_test(test_ice_lite_has_host_candidates_only),
        cmocka_unit_test(test_ice_best_valid_pair_is_nominated),
        cmocka_unit_test(test_ice_nomination_waits_no_longer_than_told),
        cmocka_unit_test(test_ice_lost_nomination_is_repeated),
        cmocka_unit_test(test_ice_lost_nomination_answer_is_repeated),
        cmocka_unit_test(test_ice_failed_nomination_falls_back),
        cmocka_unit_test(test_ice_nomination_before_own_check_succeeds),
        cmocka_unit_test(test_ice_unreachable_host_holds_nothing_back),
        cmocka_unit_test(test_ice_reflexive_candidate_without_host),
        cmocka_unit_test(test_ice_ipv6),
        cmocka_unit_test(test_ice_chance_never_splits_the_pair),
        cmocka_unit_test(test_ice_trace_is_the_same_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
