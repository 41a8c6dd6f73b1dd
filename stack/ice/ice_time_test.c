// What time does: pacing, repetition, patience (RFC 8863), consent (RFC 7675), restart.
#include "stack/ice/ice_duo.h"

#include <stdio.h>

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

// One agent whose checks go nowhere: the times at which it sent, and the first addressee of each.
struct sends {
    nanotime at[64];
    struct addr to[64];
    unsigned count;
};

static void sends_collect(struct ice_agent *agent, nanotime until, struct sends *sends)
{
    for (nanotime now = 0; now <= until; now = ice_agent_deadline(agent)) {
        struct ice_output out;
        while (ice_agent_poll(agent, now, &out)) {
            if (out.kind != ICE_SEND)
                continue;
            assert_true(sends->count < 64);
            sends->at[sends->count] = now;
            sends->to[sends->count++] = out.send.to;
        }
        assert_true(ice_agent_deadline(agent) > now);
    }
}

static struct ice_agent *lone_agent(unsigned remotes)
{
    struct ice_config config = {.role = ICE_CONTROLLING, .rng = rng_seed(1, "lone")};
    struct ice_agent *agent = ice_agent_new(&config);
    struct ice_candidate host = candidate(ICE_HOST, "10.0.0.1:1000", NULL);
    ice_agent_add_local(agent, 0, &host);
    for (unsigned i = 0; i < remotes; i++) {
        struct ice_candidate remote = candidate(ICE_HOST, "10.0.1.1:2000", NULL);
        remote.addr.ip.at[3] = (uint8_t)(remotes - i);
        remote.priority = 1000 + i;
        remote.foundation[0] = (char)('a' + i);
        ice_agent_add_remote(agent, 0, &remote);
    }
    ice_agent_set_remote(agent, 0, bytes_text("peer"), bytes_text("0123456789012345678901"), false);
    return agent;
}

// RFC 8445 6.1.4.2: a check each Ta, by falling priority. 14.3: none is repeated before all went
// out once.
static void test_ice_checks_are_paced(void **state)
{
    (void)state;
    struct ice_agent *agent = lone_agent(20);
    struct sends sends = {0};
    sends_collect(agent, 1100 * MS, &sends);
    assert_true(sends.count > 20);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(sends.at[i], i * 50 * MS);
        assert_int_equal(sends.to[i].ip.at[3], i + 1);
    }
    assert_int_equal(sends.at[20], 1000 * MS); // 20 checks: an RTO of 20 Ta
    assert_int_equal(sends.to[20].ip.at[3], 1);
    ice_agent_free(agent);
}

// RFC 8489 6.2.1, and RFC 8445 7.2.5.2.3: given up after 39.5 s.
static void test_ice_check_is_repeated_and_given_up(void **state)
{
    (void)state;
    struct ice_agent *agent = lone_agent(1);
    struct sends sends = {0};
    sends_collect(agent, 39499 * MS, &sends);
    static const nanotime expected[] = {0, 500, 1500, 3500, 7500, 15500, 31500};
    assert_int_equal(sends.count, 7);
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(sends.at[i], expected[i] * MS);
    assert_int_equal(ice_agent_stats(agent).retransmissions, 6);
    assert_int_equal(ice_agent_state(agent), ICE_CHECKING);
    assert_int_equal(ice_agent_deadline(agent), 39500 * MS);
    struct ice_output out;
    assert_true(ice_agent_poll(agent, 39500 * MS, &out));
    assert_int_equal(out.kind, ICE_STATE_CHANGED);
    assert_int_equal(ice_agent_state(agent), ICE_FAILED);
    assert_int_equal(ice_agent_failure(agent), ICE_CHECKS_FAILED);
    assert_false(ice_agent_poll(agent, 39500 * MS, &out));
    assert_int_equal(ice_agent_deadline(agent), TIME_NEVER);
    ice_agent_free(agent);
}

// ---------------------------------------------------------------------------------------- patience

// RFC 8863 4: not even an empty checklist fails before 39.5 s.
static void test_ice_patience_with_an_empty_checklist(void **state)
{
    (void)state;
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    duo_host(duo, 0, "10.0.0.1:1000", false);
    duo_run(duo, 2 * S);
    assert_int_equal(ice_agent_deadline(duo->side[0].agent), TIME_NEVER); // idle
    duo_start(duo);
    duo_done(duo);
    duo_run(duo, 41500 * MS - 1);
    assert_int_equal(duo_state(duo, 0), ICE_CHECKING);
    duo_run(duo, 41500 * MS);
    assert_int_equal(duo_state(duo, 0), ICE_FAILED);
    assert_int_equal(ice_agent_failure(duo->side[0].agent), ICE_NO_REMOTE_CANDIDATES);
    assert_false(ice_agent_may_send(duo->side[0].agent));
    duo_free(duo);
}

static bool answer_400(struct duo *duo, unsigned from, struct packet *packet)
{
    struct stun_msg msg;
    if (from == 1 || stun_decode(bytes_of(packet->bytes, packet->len), &msg) != STUN_OK)
        return true;
    uint8_t buffer[256];
    struct stun_writer w = stun_begin(buffer, sizeof buffer, STUN_ERROR, STUN_BINDING, msg.id);
    stun_add_error(&w, STUN_BAD_REQUEST, bytes_text("no"));
    const char *pwd = ice_agent_credentials(duo->side[1].agent)->pwd;
    struct stun_key *key = stun_key_new(bytes_text(pwd));
    stun_add_integrity(&w, key);
    stun_add_fingerprint(&w);
    stun_key_free(key);
    struct datagram answer = {packet->to, packet->from, stun_end(&w)};
    ice_agent_input(duo->side[0].agent, duo->now, &answer);
    return true;
}

// Every pair fails at once; a check of the peer may still come, and the agent waits for it.
static void test_ice_patience_when_all_pairs_failed(void **state)
{
    (void)state;
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    duo_host(duo, 0, "10.0.0.1:1000", true);
    duo_host(duo, 1, "10.0.0.2:2000", true);
    duo_start(duo);
    duo_done(duo);
    duo->drop = answer_400;
    duo_run(duo, 39 * S);
    assert_true(duo_traced(duo, "10.0.0.1:1000 > 10.0.0.2:2000 failed"));
    assert_int_equal(duo_state(duo, 0), ICE_CHECKING);
    duo_run(duo, 39500 * MS);
    assert_int_equal(duo_state(duo, 0), ICE_FAILED);
    assert_int_equal(ice_agent_failure(duo->side[0].agent), ICE_CHECKS_FAILED);
    assert_int_equal(ice_agent_stats(duo->side[0].agent).drops[ICE_ERROR_RESPONSE], 1);
    duo_free(duo);
}

static bool drop_until_41s(struct duo *duo, unsigned from, struct packet *packet)
{
    (void)from;
    (void)packet;
    return duo->now < 41 * S;
}

// Candidates came late: their checks are still on their way when patience ends.
static void test_ice_patience_waits_for_checks_in_progress(void **state)
{
    (void)state;
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    duo_start(duo);
    duo->drop = drop_until_41s;
    duo_run(duo, 35 * S);
    duo_host(duo, 0, "10.0.0.1:1000", true);
    duo_host(duo, 1, "10.0.0.2:2000", true);
    duo_done(duo);
    duo_run(duo, 50 * S);
    assert_int_equal(duo_state(duo, 0), ICE_COMPLETED);
    assert_int_equal(duo_state(duo, 1), ICE_COMPLETED);
    duo_free(duo);
}

static bool answer_400_early(struct duo *duo, unsigned from, struct packet *packet)
{
    return duo->now < 10 * S ? answer_400(duo, from, packet) : false;
}

// RFC 8445 7.3.1.4: the peer's check, however late, revives a failed pair.
static void test_ice_failed_pair_is_revived(void **state)
{
    (void)state;
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    const struct ice_candidate *late = duo_host(duo, 0, "10.0.0.1:1000", false);
    duo_host(duo, 1, "10.0.0.2:2000", true);
    duo_start(duo);
    duo->drop = answer_400_early;
    duo_run(duo, 20 * S);
    assert_true(duo_traced(duo, "10.0.0.1:1000 > 10.0.0.2:2000 failed"));
    ice_agent_add_remote(duo->side[1].agent, duo->now, late);
    duo_done(duo);
    duo_run(duo, 21 * S);
    assert_int_equal(duo_state(duo, 0), ICE_COMPLETED);
    assert_int_equal(duo_state(duo, 1), ICE_COMPLETED);
    duo_free(duo);
}

// ----------------------------------------------------------------------------------------- consent

static bool drop_all(struct duo *duo, unsigned from, struct packet *packet)
{
    (void)duo;
    (void)from;
    (void)packet;
    return true;
}

// RFC 7675 5.1: 4 to 6 s apart, each a new transaction, for as long as it lasts.
static void test_ice_consent_checks_go_on(void **state)
{
    (void)state;
    struct duo *duo = duo_connected();
    duo_run(duo, 601 * S);
    for (unsigned i = 0; i < 2; i++) {
        struct ice_stats stats = ice_agent_stats(duo->side[i].agent);
        assert_int_equal(duo_state(duo, i), ICE_COMPLETED);
        assert_in_range(stats.consent_checks, 100, 150);
        assert_int_equal(stats.retransmissions, 0);
        assert_false(duo_saw(duo, i, ICE_DISCONNECTED));
    }
    duo_free(duo);
}

static void test_ice_consent_survives_10s(void **state)
{
    (void)state;
    struct duo *duo = duo_connected();
    duo_run(duo, 60 * S);
    duo->drop = drop_all;
    duo_run(duo, 70 * S);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(duo_state(duo, i), ICE_DISCONNECTED);
        assert_true(ice_agent_may_send(duo->side[i].agent));
    }
    duo->drop = NULL;
    duo_run(duo, 80 * S);
    assert_int_equal(duo_state(duo, 0), ICE_COMPLETED);
    assert_int_equal(duo_state(duo, 1), ICE_COMPLETED);
    duo_free(duo);
}

static nanotime last_answer; // to a

static bool note_answers(struct duo *duo, unsigned from, struct packet *packet)
{
    if (from == 1 && packet_is(packet, STUN_SUCCESS))
        last_answer = packet->at;
    return duo->now >= 60 * S;
}

// RFC 7675 5.1: 30 s after the last answer, to the nanosecond, and then nothing more is sent.
static void test_ice_consent_expires(void **state)
{
    (void)state;
    struct duo *duo = duo_connected();
    duo->drop = note_answers;
    duo_run(duo, 60 * S);
    nanotime end = last_answer + 30 * S;
    duo_run(duo, end - 1);
    assert_int_equal(duo_state(duo, 0), ICE_DISCONNECTED);
    assert_true(ice_agent_may_send(duo->side[0].agent));
    duo_run(duo, end);
    assert_int_equal(duo_state(duo, 0), ICE_FAILED);
    assert_int_equal(ice_agent_failure(duo->side[0].agent), ICE_CONSENT_EXPIRED);
    assert_false(ice_agent_may_send(duo->side[0].agent));
    assert_null(ice_agent_selected(duo->side[0].agent));
    unsigned sent = duo->side[0].sent;
    duo->drop = NULL;
    duo_run(duo, 200 * S);
    assert_int_equal(duo_state(duo, 0), ICE_FAILED);
    assert_int_equal(duo->side[0].sent, sent);
    assert_int_equal(ice_agent_deadline(duo->side[0].agent), TIME_NEVER);
    duo_free(duo);
}

static bool unsign_answers(struct duo *duo, unsigned from, struct packet *packet)
{
    (void)duo;
    struct stun_msg msg;
    if (from != 1 || !packet_is(packet, STUN_SUCCESS))
        return false;
    assert_int_equal(stun_decode(bytes_of(packet->bytes, packet->len), &msg), STUN_OK);
    struct stun_key *key = stun_key_new(bytes_text("another password altogether"));
    uint8_t id[STUN_ID_LEN];
    memcpy(id, msg.id, sizeof id);
    struct addr mapped = msg.mapped;
    struct stun_writer w =
        stun_begin(packet->bytes, sizeof packet->bytes, STUN_SUCCESS, STUN_BINDING, id);
    stun_add_xor_addr(&w, STUN_XOR_MAPPED_ADDRESS, &mapped);
    stun_add_integrity(&w, key);
    stun_add_fingerprint(&w);
    packet->len = stun_end(&w).len;
    stun_key_free(key);
    return false;
}

static void test_ice_consent_needs_authentic_answers(void **state)
{
    (void)state;
    struct duo *duo = duo_connected();
    duo->drop = unsign_answers;
    duo_run(duo, 40 * S);
    assert_int_equal(duo_state(duo, 0), ICE_FAILED);
    assert_int_equal(ice_agent_failure(duo->side[0].agent), ICE_CONSENT_EXPIRED);
    assert_true(ice_agent_stats(duo->side[0].agent).drops[ICE_BAD_INTEGRITY] > 0);
    duo_free(duo);
}

static bool answer_403(struct duo *duo, unsigned from, struct packet *packet)
{
    struct stun_msg msg;
    if (from == 1 || stun_decode(bytes_of(packet->bytes, packet->len), &msg) != STUN_OK ||
        msg.class != STUN_REQUEST)
        return false;
    uint8_t buffer[256];
    struct stun_writer w = stun_begin(buffer, sizeof buffer, STUN_ERROR, STUN_BINDING, msg.id);
    stun_add_error(&w, STUN_FORBIDDEN, bytes_text("Forbidden"));
    struct stun_key *key = stun_key_new(bytes_text(ice_agent_credentials(duo->side[1].agent)->pwd));
    stun_add_integrity(&w, key);
    stun_add_fingerprint(&w);
    stun_key_free(key);
    struct datagram answer = {packet->to, packet->from, stun_end(&w)};
    ice_agent_input(duo->side[0].agent, duo->now, &answer);
    return true;
}

// RFC 7675 5.2
static void test_ice_consent_is_revoked(void **state)
{
    (void)state;
    struct duo *duo = duo_connected();
    duo->drop = answer_403;
    duo_run(duo, 8 * S);
    assert_int_equal(duo_state(duo, 0), ICE_FAILED);
    assert_int_equal(ice_agent_failure(duo->side[0].agent), ICE_CONSENT_EXPIRED);
    assert_int_equal(ice_agent_stats(duo->side[0].agent).consent_checks, 1);
    duo_free(duo);
}

// A check of side b, which has the password, that makes side a change its role.
static void conflict_input(struct duo *duo)
{
    uint8_t buffer[256], id[STUN_ID_LEN] = {1};
    char username[2 * ICE_UFRAG_MAX];
    const struct ice_credentials *a = ice_agent_credentials(duo->side[0].agent);
    snprintf(username, sizeof username, "%s:%s", a->ufrag,
             ice_agent_credentials(duo->side[1].agent)->ufrag);
    struct stun_writer w = stun_begin(buffer, sizeof buffer, STUN_REQUEST, STUN_BINDING, id);
    stun_add_bytes(&w, STUN_USERNAME, bytes_text(username));
    stun_add_u32(&w, STUN_PRIORITY, 1);
    stun_add_u64(&w, STUN_ICE_CONTROLLING, UINT64_MAX);
    struct stun_key *key = stun_key_new(bytes_text(a->pwd));
    stun_add_integrity(&w, key);
    stun_add_fingerprint(&w);
    stun_key_free(key);
    struct datagram check = {at("10.0.0.2:2000"), at("10.0.0.1:1000"), stun_end(&w)};
    assert_int_equal(ice_agent_input(duo->side[0].agent, duo->now, &check), ICE_KEPT);
}

// RFC 7675 5.1: what was nominated before is not sent on again, whatever the peer still says.
static void test_ice_consent_lost_is_not_given_by_a_check(void **state)
{
    (void)state;
    struct duo *duo = duo_connected();
    duo->drop = answer_403;
    duo_run(duo, 8 * S);
    assert_int_equal(duo_state(duo, 0), ICE_FAILED);
    assert_int_equal(ice_agent_role(duo->side[0].agent), ICE_CONTROLLING);
    conflict_input(duo);
    assert_int_equal(ice_agent_role(duo->side[0].agent), ICE_CONTROLLED);
    duo_run(duo, 9 * S);
    assert_int_equal(duo_state(duo, 0), ICE_FAILED);
    assert_null(ice_agent_selected(duo->side[0].agent));
    assert_false(ice_agent_may_send(duo->side[0].agent));
    duo_free(duo);
}

// ----------------------------------------------------------------------------------------- restart

static void both_restart(struct duo *duo)
{
    char old[ICE_UFRAG_MAX];
    memcpy(old, ice_agent_credentials(duo->side[0].agent)->ufrag, sizeof old);
    ice_agent_restart(duo->side[0].agent, duo->now);
    assert_string_not_equal(old, ice_agent_credentials(duo->side[0].agent)->ufrag);
    // b learns of it by the new credentials alone.
    memcpy(old, ice_agent_credentials(duo->side[1].agent)->ufrag, sizeof old);
    duo_credentials(duo, 1, false);
    assert_string_not_equal(old, ice_agent_credentials(duo->side[1].agent)->ufrag);
}

// RFC 8445 9: data goes on over the old pair until the new one is nominated.
static void test_ice_restart_keeps_the_old_pair_meanwhile(void **state)
{
    (void)state;
    struct duo *duo = duo_connected();
    both_restart(duo);
    assert_int_equal(duo_state(duo, 0), ICE_CONNECTED);
    unsigned consents = ice_agent_stats(duo->side[0].agent).consent_checks;
    duo_run(duo, 60 * S); // signaling takes its time; consent stands in both directions
    for (unsigned i = 0; i < 2; i++) {
        assert_true(ice_agent_may_send(duo->side[i].agent));
        assert_int_equal(duo_state(duo, i), ICE_CONNECTED);
    }
    assert_true(ice_agent_stats(duo->side[0].agent).consent_checks >= consents + 8);
    assert_string_equal(duo_selected(duo, 0), "host 10.0.0.1:1000 > host 10.0.0.2:2000");

    duo_host(duo, 0, "10.5.0.1:1500", false);
    struct ice_candidate host = candidate(ICE_HOST, "10.5.0.1:1500", NULL);
    host.priority = 2130706431;
    memcpy(host.foundation, "1", 2);
    ice_agent_add_remote(duo->side[1].agent, duo->now, &host);
    duo_host(duo, 1, "10.5.0.2:2500", true);
    duo_credentials(duo, 0, false);
    duo_done(duo);
    duo_run(duo, 62 * S);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(duo_state(duo, i), ICE_COMPLETED);
    assert_string_equal(duo_selected(duo, 0), "host 10.5.0.1:1500 > host 10.5.0.2:2500");
    assert_string_equal(duo_selected(duo, 1), "host 10.5.0.2:2500 > host 10.5.0.1:1500");
    assert_int_equal(ice_agent_role(duo->side[0].agent), ICE_CONTROLLING); // 6.1.1: they stay
    duo_run(duo, 120 * S);
    assert_int_equal(duo_state(duo, 0), ICE_COMPLETED);
    duo_free(duo);
}

static bool drop_old_path(struct duo *duo, unsigned from, struct packet *packet)
{
    (void)duo;
    (void)from;
    struct addr old = at("10.0.0.1:1000");
    return addr_equal(&packet->from, &old) || addr_equal(&packet->to, &old);
}

static void restart_elsewhere(struct duo *duo)
{
    both_restart(duo);
    duo_credentials(duo, 0, false);
    duo_host(duo, 0, "10.5.0.1:1500", true);
    duo_host(duo, 1, "10.5.0.2:2500", true);
    duo_done(duo);
}

// The way out of a dead path, before and after consent has expired.
static void test_ice_restart_after_the_path_died(void **state)
{
    (void)state;
    for (nanotime wait = 10 * S; wait <= 50 * S; wait += 40 * S) {
        struct duo *duo = duo_connected();
        duo->drop = drop_old_path;
        duo_run(duo, duo->now + wait);
        assert_int_equal(duo_state(duo, 0), wait == 10 * S ? ICE_DISCONNECTED : ICE_FAILED);
        restart_elsewhere(duo);
        assert_int_equal(duo_state(duo, 0), ICE_CHECKING);
        assert_int_equal(ice_agent_failure(duo->side[0].agent), ICE_NOT_FAILED);
        duo_run(duo, duo->now + 2 * S);
        for (unsigned i = 0; i < 2; i++) {
            assert_int_equal(duo_state(duo, i), ICE_COMPLETED);
            assert_true(ice_agent_may_send(duo->side[i].agent));
        }
        duo_free(duo);
    }
}

// Restarts that lead nowhere: the old pair's consent ends, then patience does.
static void test_ice_restart_that_fails(void **state)
{
    (void)state;
    struct duo *duo = duo_connected();
    both_restart(duo);
    both_restart(duo); // and again, before anything came of it
    duo_credentials(duo, 0, false);
    duo_done(duo);
    duo->drop = drop_all;
    duo_run(duo, 35 * S);
    assert_int_equal(duo_state(duo, 0), ICE_CHECKING);
    assert_null(ice_agent_selected(duo->side[0].agent));
    duo_run(duo, 41 * S);
    assert_int_equal(duo_state(duo, 0), ICE_FAILED);
    assert_int_equal(ice_agent_failure(duo->side[0].agent), ICE_NO_REMOTE_CANDIDATES);
    duo_free(duo);
}

static void test_ice_closed_agent_is_silent(void **state)
{
    (void)state;
    struct duo *duo = duo_connected();
    ice_agent_close(duo->side[0].agent, duo->now);
    assert_int_equal(duo_state(duo, 0), ICE_CLOSED);
    assert_false(ice_agent_may_send(duo->side[0].agent));
    unsigned sent = duo->side[0].sent;
    duo_run(duo, 60 * S);
    assert_int_equal(duo->side[0].sent, sent);
    assert_true(ice_agent_stats(duo->side[0].agent).drops[ICE_UNEXPECTED] > 0);
    assert_int_equal(ice_agent_deadline(duo->side[0].agent), TIME_NEVER);
    assert_int_equal(duo_state(duo, 1), ICE_FAILED);
    ice_agent_restart(duo->side[0].agent, duo->now);
    assert_int_equal(duo_state(duo, 0), ICE_CLOSED);
    duo_free(duo);
}

// --------------------------------------------------------------------------------------- commands

// As an owner that keeps to the contract: after a command it asks for the deadline, and polls then.
static nanotime duo_due(struct duo *duo, unsigned side)
{
    nanotime due = ice_agent_deadline(duo->side[side].agent);
    return due < duo->now ? duo->now : due;
}

// The pair of a candidate that comes late is frozen when a better one of its foundation failed, and
// nothing else would ever wake the agent to look at it.
static void test_ice_late_candidate_is_due_at_once(void **state)
{
    (void)state;
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    duo_host(duo, 0, "10.0.0.1:1000", true);
    const struct ice_candidate *first = duo_host(duo, 1, "10.0.0.2:2000", true);
    duo_start(duo);
    duo->drop = answer_400;
    duo_run(duo, 2 * S);
    assert_true(duo_traced(duo, "10.0.0.1:1000 > 10.0.0.2:2000 failed"));
    struct ice_candidate late = *first; // of the same foundation
    late.addr = late.base = at("10.0.0.2:2001");
    late.priority = first->priority - 1;
    assert_true(ice_agent_add_remote(duo->side[0].agent, duo->now, &late));
    assert_int_equal(duo_due(duo, 0), duo->now);
    duo_drain(duo);
    assert_true(duo_traced(duo, "check 10.0.0.1:1000 > 10.0.0.2:2001"));
    duo_free(duo);
}

// The end of candidates settles that nothing better comes: the nomination waits no longer.
static void test_ice_end_of_candidates_makes_the_nomination_due(void **state)
{
    (void)state;
    struct duo *duo = duo_new(ICE_CONTROLLING, ICE_CONTROLLED);
    duo_socket(duo, 0, "10.0.0.1:1000", false);
    struct ice_candidate relay = candidate(ICE_RELAY, "10.0.0.1:1000", NULL);
    duo_add(duo, 0, &relay, true);
    duo_host(duo, 1, "10.0.0.2:2000", true);
    duo_start(duo);
    duo_run(duo, 100 * MS);
    assert_int_equal(duo_state(duo, 0), ICE_CONNECTED);
    ice_agent_local_done(duo->side[0].agent, duo->now);
    assert_int_equal(duo_due(duo, 0), 520 * MS); // valid since 20 ms: a better one may come
    ice_agent_remote_done(duo->side[0].agent, duo->now);
    assert_int_equal(duo_due(duo, 0), duo->now);
    duo_drain(duo);
    assert_true(duo_traced(duo, "to be nominated"));
    duo_free(duo);
}

// ---------------------------------------------------------------------------- pairs that are gone

// The peer, played by hand: a check of its port 2000 is told that it came from our port 1001, from
// whichever it came; later that port says no more. A check of another port is told the truth.
static bool answer_as_1001(struct duo *duo, unsigned from, struct packet *packet)
{
    struct stun_msg msg;
    if (from == 1 || stun_decode(bytes_of(packet->bytes, packet->len), &msg) != STUN_OK ||
        (packet->to.port == 2000 && duo->now >= 1 * S))
        return true;
    struct addr mapped = packet->from;
    if (packet->to.port == 2000)
        mapped.port = 1001;
    uint8_t buffer[256];
    struct stun_writer w = stun_begin(buffer, sizeof buffer, STUN_SUCCESS, STUN_BINDING, msg.id);
    stun_add_xor_addr(&w, STUN_XOR_MAPPED_ADDRESS, &mapped);
    struct stun_key *key = stun_key_new(bytes_text(ice_agent_credentials(duo->side[1].agent)->pwd));
    stun_add_integrity(&w, key);
    stun_add_fingerprint(&w);
    stun_key_free(key);
    struct datagram answer = {packet->to, packet->from, stun_end(&w)};
    ice_agent_input(duo->side[0].agent, duo->now, &answer);
    return true;
}

static void nominate(struct duo *duo, const char *from, const char *to)
{
    const struct ice_credentials *ours = ice_agent_credentials(duo->side[0].agent);
    uint8_t buffer[256], username[64];
    struct writer u = writer_of(username, sizeof username);
    write_bytes(&u, bytes_text(ours->ufrag));
    write_u8(&u, ':');
    write_bytes(&u, bytes_text(ice_agent_credentials(duo->side[1].agent)->ufrag));
    static const uint8_t id[STUN_ID_LEN] = {7};
    struct stun_writer w = stun_begin(buffer, sizeof buffer, STUN_REQUEST, STUN_BINDING, id);
    stun_add_bytes(&w, STUN_USERNAME, writer_bytes(&u));
    stun_add_u32(&w, STUN_PRIORITY, 1);
    stun_add_flag(&w, STUN_USE_CANDIDATE);
    stun_add_u64(&w, STUN_ICE_CONTROLLING, 1);
    struct stun_key *key = stun_key_new(bytes_text(ours->pwd));
    stun_add_integrity(&w, key);
    stun_add_fingerprint(&w);
    stun_key_free(key);
    struct datagram request = {at(from), at(to), stun_end(&w)};
    assert_int_equal(ice_agent_input(duo->side[0].agent, duo->now, &request), ICE_KEPT);
}

// The checks of two pairs made a third one valid. It failed, and gave its place to the pair of
// another candidate: a nomination of the first is none of that one.
static void test_ice_removed_pair_is_not_what_a_check_produced(void **state)
{
    (void)state;
    struct duo none = {0};
    struct ice_config a = duo_config(&none, ICE_CONTROLLED, 0);
    struct ice_config b = duo_config(&none, ICE_CONTROLLING, 1);
    a.checks_max = 3;
    struct duo *duo = duo_new_of(&a, &b);
    duo_host(duo, 0, "10.0.0.1:1000", false);
    duo_host(duo, 0, "10.0.0.1:1001", false);
    duo_host(duo, 0, "10.0.0.1:1002", false);
    struct ice_candidate other = *duo_host(duo, 1, "10.0.0.2:2000", true);
    duo->drop = answer_as_1001;
    duo_start(duo);
    duo_run(duo, 1 * S);
    assert_string_equal(duo_selected(duo, 0), "host 10.0.0.1:1001 > host 10.0.0.2:2000");
    duo_run(duo, 35 * S); // its consent ends
    assert_string_equal(duo_selected(duo, 0), "none");
    other.addr = other.base = at("10.0.0.2:3000");
    other.priority--;
    assert_true(ice_agent_add_remote(duo->side[0].agent, duo->now, &other));
    duo_run(duo, 36 * S);
    assert_int_equal(duo_count(duo, "removed to make room"), 2);
    assert_true(duo_traced(duo, "pair 10.0.0.1:1001 > 10.0.0.2:3000 succeeded"));
    unsigned checks = duo_count(duo, "check 10.0.0.1:1000 > 10.0.0.2:2000");
    nominate(duo, "10.0.0.2:2000", "10.0.0.1:1000");
    duo_run(duo, 37 * S);
    assert_false(duo_traced(duo, "nominated"));
    assert_true(duo_count(duo, "check 10.0.0.1:1000 > 10.0.0.2:2000") > checks);
    duo_free(duo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ice_checks_are_paced),
        cmocka_unit_test(test_ice_check_is_repeated_and_given_up),
        cmocka_unit_test(test_ice_patience_with_an_empty_checklist),
        cmocka_unit_test(test_ice_patience_when_all_pairs_failed),
        cmocka_unit_test(test_ice_patience_waits_for_checks_in_progress),
        cmocka_unit_test(test_ice_failed_pair_is_revived),
        cmocka_unit_test(test_ice_consent_checks_go_on),
        cmocka_unit_test(test_ice_consent_survives_10s),
        cmocka_unit_test(test_ice_consent_expires),
        cmocka_unit_test(test_ice_consent_needs_authentic_answers),
        cmocka_unit_test(test_ice_consent_is_revoked),
        cmocka_unit_test(test_ice_consent_lost_is_not_given_by_a_check),
        cmocka_unit_test(test_ice_restart_keeps_the_old_pair_meanwhile),
        cmocka_unit_test(test_ice_restart_after_the_path_died),
        cmocka_unit_test(test_ice_restart_that_fails),
        cmocka_unit_test(test_ice_closed_agent_is_silent),
        cmocka_unit_test(test_ice_removed_pair_is_not_what_a_check_produced),
        cmocka_unit_test(test_ice_late_candidate_is_due_at_once),
        cmocka_unit_test(test_ice_end_of_candidates_makes_the_nomination_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
