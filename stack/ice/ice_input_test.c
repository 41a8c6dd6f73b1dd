// What one agent makes of candidates and datagrams, good and hostile.
#include "stack/ice/ice_duo.h"

// The far end, played by hand: it knows the agent's credentials, and the agent knows its own.
struct peer {
    struct ice_agent *agent;
    struct stun_key *agent_key; // of the agent's password
    struct stun_key *own_key;
    struct addr host;
    struct addr agent_host;
    uint8_t buffer[640];
    uint8_t next_id;
};

#define OWN_UFRAG "peer"
#define OWN_PWD "0123456789abcdefghijkl"

static struct peer peer_of(struct ice_config config, bool known)
{
    struct peer peer = {.host = at("192.0.2.2:2000"), .agent_host = at("192.0.2.1:1000")};
    config.rng = rng_seed(3, "input");
    peer.agent = ice_agent_new(&config);
    peer.agent_key = stun_key_new(bytes_text(ice_agent_credentials(peer.agent)->pwd));
    peer.own_key = stun_key_new(bytes_text(OWN_PWD));
    struct ice_candidate host = candidate(ICE_HOST, "192.0.2.1:1000", NULL);
    assert_non_null(ice_agent_add_local(peer.agent, 0, &host));
    if (known)
        ice_agent_set_remote(peer.agent, 0, bytes_text(OWN_UFRAG), bytes_text(OWN_PWD), false);
    return peer;
}

static struct peer peer_new(enum ice_role role)
{
    return peer_of((struct ice_config){.role = role, .tiebreaker = 100}, true);
}

static void peer_free(struct peer *peer)
{
    ice_agent_free(peer->agent);
    stun_key_free(peer->agent_key);
    stun_key_free(peer->own_key);
}

static enum ice_drop peer_send(struct peer *peer, nanotime now, struct bytes bytes)
{
    struct datagram datagram = {peer->host, peer->agent_host, bytes};
    return ice_agent_input(peer->agent, now, &datagram);
}

static struct stun_writer request_begin(struct peer *peer)
{
    uint8_t id[STUN_ID_LEN] = {0xee, peer->next_id++};
    return stun_begin(peer->buffer, sizeof peer->buffer, STUN_REQUEST, STUN_BINDING, id);
}

static void add_username(struct peer *peer, struct stun_writer *w)
{
    uint8_t text[64];
    struct writer u = writer_of(text, sizeof text);
    write_bytes(&u, bytes_text(ice_agent_credentials(peer->agent)->ufrag));
    write_bytes(&u, bytes_text(":" OWN_UFRAG));
    stun_add_bytes(w, STUN_USERNAME, writer_bytes(&u));
}

static struct bytes request_end(struct peer *peer, struct stun_writer *w)
{
    stun_add_integrity(w, peer->agent_key);
    stun_add_fingerprint(w);
    return stun_end(w);
}

// A good check, with the role attribute `role` and maybe USE-CANDIDATE.
static struct bytes check(struct peer *peer, enum stun_attr role, bool use_candidate)
{
    struct stun_writer w = request_begin(peer);
    add_username(peer, &w);
    stun_add_u32(&w, STUN_PRIORITY, 1862270975);
    stun_add_u64(&w, role, 7);
    if (use_candidate)
        stun_add_flag(&w, STUN_USE_CANDIDATE);
    return request_end(peer, &w);
}

// The next datagram of the agent, decoded into a copy of its bytes.
struct got {
    bool any;
    struct datagram datagram;
    struct stun_msg msg;
    uint8_t bytes[640];
};

static struct got *agent_sends(struct peer *peer, nanotime now)
{
    static struct got got;
    struct ice_output out;
    got.any = false;
    while (ice_agent_poll(peer->agent, now, &out)) {
        if (out.kind != ICE_SEND)
            continue;
        got.any = true;
        got.datagram = out.send;
        memcpy(got.bytes, out.send.bytes.at, out.send.bytes.len);
        got.datagram.bytes.at = got.bytes;
        assert_int_equal(stun_decode(got.datagram.bytes, &got.msg), STUN_OK);
        assert_true(stun_check_fingerprint(&got.msg));
        break;
    }
    return &got;
}

// What the agent's answer is: 0 success, an error code, or 1 when it says nothing.
static unsigned answer(struct peer *peer, nanotime now, bool is_signed)
{
    struct got *got = agent_sends(peer, now);
    if (!got->any || got->msg.class == STUN_REQUEST)
        return 1;
    assert_int_equal(stun_check_integrity(&got->msg, peer->agent_key), is_signed);
    assert_true(addr_equal(&got->datagram.to, &peer->host));
    if (got->msg.class == STUN_ERROR)
        return got->msg.error_code;
    assert_true(addr_equal(&got->msg.mapped, &peer->host));
    return 0;
}

static struct bytes success(struct peer *peer, const struct got *to, const struct addr *mapped,
                            struct stun_key *key)
{
    struct stun_writer w =
        stun_begin(peer->buffer, sizeof peer->buffer, STUN_SUCCESS, STUN_BINDING, to->msg.id);
    stun_add_xor_addr(&w, STUN_XOR_MAPPED_ADDRESS, mapped);
    stun_add_integrity(&w, key);
    stun_add_fingerprint(&w);
    return stun_end(&w);
}

static void add_host(struct peer *peer)
{
    struct ice_candidate host = candidate(ICE_HOST, "192.0.2.2:2000", NULL);
    host.priority = 2130706431;
    host.foundation[0] = '1';
    assert_true(ice_agent_add_remote(peer->agent, 0, &host));
}

// ---------------------------------------------------------------------------------------- requests

static void test_ice_good_check_is_answered_and_checked_back(void **state)
{
    (void)state;
    struct peer peer = peer_new(ICE_CONTROLLED);
    assert_int_equal(peer_send(&peer, 0, check(&peer, STUN_ICE_CONTROLLING, false)), ICE_KEPT);
    assert_int_equal(answer(&peer, 0, true), 0);
    struct got *got = agent_sends(&peer, 0); // RFC 8445 7.3.1.4
    assert_true(got->any);
    assert_int_equal(got->msg.class, STUN_REQUEST);
    assert_true(stun_check_integrity(&got->msg, peer.own_key)); // RFC 8445 7.2.2
    assert_true(bytes_starts(got->msg.username, OWN_UFRAG ":"));
    assert_true(stun_has(&got->msg, STUN_ICE_CONTROLLED));
    assert_false(stun_has(&got->msg, STUN_ICE_CONTROLLING));
    assert_false(stun_has(&got->msg, STUN_USE_CANDIDATE));
    assert_int_equal(got->msg.priority, 1862270975); // 7.1.1: peer-reflexive, first preference
    peer_free(&peer);
}

static void test_ice_not_stun(void **state)
{
    (void)state;
    struct peer peer = peer_new(ICE_CONTROLLED);
    uint8_t dtls[64] = {22, 254, 253};
    assert_int_equal(peer_send(&peer, 0, bytes_of(dtls, sizeof dtls)), ICE_NOT_STUN);
    assert_int_equal(peer_send(&peer, 0, bytes_of(dtls, 0)), ICE_NOT_STUN);
    assert_int_equal(ice_agent_stats(peer.agent).drops[ICE_NOT_STUN], 2);
    peer_free(&peer);
}

// Cut anywhere or with any bit wrong, a check is never heeded.
static void test_ice_damaged_check_has_no_effect(void **state)
{
    (void)state;
    struct peer peer = peer_new(ICE_CONTROLLED);
    uint8_t good[640], bad[640];
    struct bytes bytes = check(&peer, STUN_ICE_CONTROLLING, true);
    memcpy(good, bytes.at, bytes.len);
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_not_equal(peer_send(&peer, 0, bytes_of(good, len)), ICE_KEPT);
    for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
        memcpy(bad, good, bytes.len);
        bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(peer_send(&peer, 0, bytes_of(bad, bytes.len)), ICE_KEPT);
    }
    struct ice_stats stats = ice_agent_stats(peer.agent);
    assert_int_equal(stats.checks_received, 0);
    assert_int_equal(stats.pairs, 0);
    assert_true(stats.drops[ICE_MALFORMED] > 0);
    peer_free(&peer);
}

static void test_ice_fingerprint_is_required(void **state)
{
    (void)state;
    struct peer peer = peer_new(ICE_CONTROLLED);
    struct stun_writer w = request_begin(&peer);
    add_username(&peer, &w);
    stun_add_u32(&w, STUN_PRIORITY, 1);
    stun_add_u64(&w, STUN_ICE_CONTROLLING, 7);
    stun_add_integrity(&w, peer.agent_key);
    assert_int_equal(peer_send(&peer, 0, stun_end(&w)), ICE_BAD_FINGERPRINT);
    assert_int_equal(answer(&peer, 0, false), 1);
    peer_free(&peer);
}

// RFC 8489 9.1.3
static void test_ice_wrong_username(void **state)
{
    (void)state;
    struct peer peer = peer_new(ICE_CONTROLLED);
    struct stun_writer w = request_begin(&peer); // none
    stun_add_u32(&w, STUN_PRIORITY, 1);
    assert_int_equal(peer_send(&peer, 0, request_end(&peer, &w)), ICE_BAD_USERNAME);
    assert_int_equal(answer(&peer, 0, false), 400);

    static const char *const names[] = {"wrong:peer", "nocolon", "", ":"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        w = request_begin(&peer);
        stun_add_bytes(&w, STUN_USERNAME, bytes_text(names[i]));
        stun_add_u32(&w, STUN_PRIORITY, 1);
        assert_int_equal(peer_send(&peer, 0, request_end(&peer, &w)), ICE_BAD_USERNAME);
        assert_int_equal(answer(&peer, 0, false), 401);
    }
    peer_free(&peer);
}

// RFC 8445 7.3: whatever follows the colon is valid, so it is answered; but a check of another
// session of the peer has no other effect (7.3.1.4).
static void test_ice_check_of_another_session(void **state)
{
    (void)state;
    struct peer peer = peer_new(ICE_CONTROLLED);
    uint8_t text[64];
    struct writer u = writer_of(text, sizeof text);
    write_bytes(&u, bytes_text(ice_agent_credentials(peer.agent)->ufrag));
    write_bytes(&u, bytes_text(":stranger"));
    struct stun_writer w = request_begin(&peer);
    stun_add_bytes(&w, STUN_USERNAME, writer_bytes(&u));
    stun_add_u32(&w, STUN_PRIORITY, 1);
    stun_add_u64(&w, STUN_ICE_CONTROLLING, 7);
    assert_int_equal(peer_send(&peer, 0, request_end(&peer, &w)), ICE_KEPT);
    assert_int_equal(answer(&peer, 0, true), 0);
    assert_false(agent_sends(&peer, 0)->any);
    assert_int_equal(ice_agent_stats(peer.agent).pairs, 0);
    peer_free(&peer);
}

static void test_ice_wrong_password(void **state)
{
    (void)state;
    struct peer peer = peer_new(ICE_CONTROLLED);
    struct stun_writer w = request_begin(&peer);
    add_username(&peer, &w);
    stun_add_u32(&w, STUN_PRIORITY, 1);
    stun_add_integrity(&w, peer.own_key);
    stun_add_fingerprint(&w);
    assert_int_equal(peer_send(&peer, 0, stun_end(&w)), ICE_BAD_INTEGRITY);
    assert_int_equal(answer(&peer, 0, false), 401);

    w = request_begin(&peer); // unsigned
    add_username(&peer, &w);
    stun_add_fingerprint(&w);
    assert_int_equal(peer_send(&peer, 0, stun_end(&w)), ICE_BAD_INTEGRITY);
    assert_int_equal(answer(&peer, 0, false), 400);
    peer_free(&peer);
}

static void test_ice_unknown_attribute_is_420(void **state)
{
    (void)state;
    struct peer peer = peer_new(ICE_CONTROLLED);
    struct stun_writer w = request_begin(&peer);
    add_username(&peer, &w);
    stun_add_u32(&w, STUN_PRIORITY, 1);
    stun_add_u32(&w, (enum stun_attr)0x7fff, 1);
    assert_int_equal(peer_send(&peer, 0, request_end(&peer, &w)), ICE_UNKNOWN_ATTRIBUTE);
    assert_int_equal(answer(&peer, 0, true), 420);
    static const uint8_t list[] = {0x00, 0x0a, 0x00, 0x02, 0x7f, 0xff};
    struct bytes raw = {agent_sends(&peer, 0)->bytes, 128};
    bool found = false;
    for (size_t i = 0; i + sizeof list <= raw.len; i++)
        found |= memcmp(raw.at + i, list, sizeof list) == 0;
    assert_true(found);

    w = request_begin(&peer); // comprehension-optional: ignored
    add_username(&peer, &w);
    stun_add_u32(&w, STUN_PRIORITY, 1);
    stun_add_u64(&w, STUN_ICE_CONTROLLING, 7);
    stun_add_u32(&w, (enum stun_attr)0xc057, 1);
    assert_int_equal(peer_send(&peer, 0, request_end(&peer, &w)), ICE_KEPT);
    assert_int_equal(answer(&peer, 0, true), 0);
    peer_free(&peer);
}

static void test_ice_check_without_priority(void **state)
{
    (void)state;
    struct peer peer = peer_new(ICE_CONTROLLED);
    struct stun_writer w = request_begin(&peer);
    add_username(&peer, &w);
    assert_int_equal(peer_send(&peer, 0, request_end(&peer, &w)), ICE_MALFORMED);
    assert_int_equal(answer(&peer, 0, true), 400);
    peer_free(&peer);
}

static void test_ice_unexpected_method_and_place(void **state)
{
    (void)state;
    struct peer peer = peer_new(ICE_CONTROLLED);
    uint8_t id[STUN_ID_LEN] = {1};
    struct stun_writer w =
        stun_begin(peer.buffer, sizeof peer.buffer, STUN_REQUEST, STUN_ALLOCATE, id);
    stun_add_fingerprint(&w);
    assert_int_equal(peer_send(&peer, 0, stun_end(&w)), ICE_UNEXPECTED);
    peer.agent_host.port++;
    assert_int_equal(peer_send(&peer, 0, check(&peer, STUN_ICE_CONTROLLING, false)),
                     ICE_UNKNOWN_LOCAL);
    assert_int_equal(answer(&peer, 0, false), 1);
    peer_free(&peer);
}

// RFC 8445 7.3.1.1: our tie-breaker is 100, the peer's 7.
static void test_ice_role_conflict_answers_487(void **state)
{
    (void)state;
    struct peer peer = peer_new(ICE_CONTROLLING);
    assert_int_equal(peer_send(&peer, 0, check(&peer, STUN_ICE_CONTROLLING, true)),
                     ICE_ROLE_CONFLICT);
    assert_int_equal(answer(&peer, 0, true), 487);
    assert_int_equal(ice_agent_role(peer.agent), ICE_CONTROLLING);
    peer_free(&peer);

    peer = peer_new(ICE_CONTROLLED);
    assert_int_equal(peer_send(&peer, 0, check(&peer, STUN_ICE_CONTROLLED, false)), ICE_KEPT);
    assert_int_equal(answer(&peer, 0, true), 0);
    assert_int_equal(ice_agent_role(peer.agent), ICE_CONTROLLING);
    peer_free(&peer);
}

static void test_ice_indication_has_no_effect(void **state)
{
    (void)state;
    for (int known = 0; known < 2; known++) {
        struct peer peer = peer_of((struct ice_config){.role = ICE_CONTROLLED}, known);
        uint8_t id[STUN_ID_LEN] = {1};
        struct stun_writer w =
            stun_begin(peer.buffer, sizeof peer.buffer, STUN_INDICATION, STUN_BINDING, id);
        stun_add_fingerprint(&w);
        assert_int_equal(peer_send(&peer, 0, stun_end(&w)), known ? ICE_KEPT : ICE_NO_REMOTE_YET);
        assert_int_equal(answer(&peer, 0, false), 1);
        peer_free(&peer);
    }
}

// --------------------------------------------------------------------------------------- responses

static void test_ice_response_must_be_ours_and_signed(void **state)
{
    (void)state;
    struct peer unknown = peer_of((struct ice_config){.role = ICE_CONTROLLING}, false);
    struct got none = {.any = false};
    assert_int_equal(
        peer_send(&unknown, 0, success(&unknown, &none, &unknown.host, unknown.own_key)),
        ICE_NO_REMOTE_YET);
    peer_free(&unknown);

    struct peer peer = peer_new(ICE_CONTROLLING);
    add_host(&peer);
    struct got sent = *agent_sends(&peer, 0);
    assert_true(sent.any);
    struct got guessed = sent;
    guessed.msg.id[11] ^= 1;
    assert_int_equal(peer_send(&peer, 1, success(&peer, &guessed, &peer.agent_host, peer.own_key)),
                     ICE_UNKNOWN_TRANSACTION);
    memset(guessed.msg.id, 0xff, sizeof guessed.msg.id); // an index past every table
    assert_int_equal(peer_send(&peer, 1, success(&peer, &guessed, &peer.agent_host, peer.own_key)),
                     ICE_UNKNOWN_TRANSACTION);
    assert_int_equal(peer_send(&peer, 1, success(&peer, &sent, &peer.agent_host, peer.agent_key)),
                     ICE_BAD_INTEGRITY);
    assert_null(ice_agent_selected(peer.agent));
    // The right one still counts, once.
    assert_int_equal(peer_send(&peer, 1, success(&peer, &sent, &peer.agent_host, peer.own_key)),
                     ICE_KEPT);
    assert_non_null(ice_agent_selected(peer.agent));
    assert_int_equal(peer_send(&peer, 1, success(&peer, &sent, &peer.agent_host, peer.own_key)),
                     ICE_UNKNOWN_TRANSACTION);
    peer_free(&peer);
}

// RFC 8445 7.2.5.2.1
static void test_ice_asymmetric_response_fails_the_pair(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        struct peer peer = peer_new(ICE_CONTROLLING);
        struct ice_candidate second = candidate(ICE_HOST, "192.0.2.11:1000", NULL);
        ice_agent_add_local(peer.agent, 0, &second);
        add_host(&peer);
        struct got sent = *agent_sends(&peer, 0);
        struct datagram datagram = {
            .from = side ? at("192.0.2.3:2000") : peer.host,
            .to = side ? peer.agent_host : second.addr,
            .bytes = success(&peer, &sent, &peer.agent_host, peer.own_key),
        };
        assert_int_equal(ice_agent_input(peer.agent, 1, &datagram), ICE_ASYMMETRIC);
        assert_null(ice_agent_selected(peer.agent));
        datagram.from = peer.host;
        datagram.to = peer.agent_host;
        assert_int_equal(ice_agent_input(peer.agent, 1, &datagram), ICE_UNKNOWN_TRANSACTION);
        peer_free(&peer);
    }
}

static void test_ice_odd_responses_fail_the_pair(void **state)
{
    (void)state;
    static const enum ice_drop drops[] = {ICE_MALFORMED, ICE_UNKNOWN_ATTRIBUTE, ICE_ERROR_RESPONSE};
    for (int odd = 0; odd < 3; odd++) {
        struct peer peer = peer_new(ICE_CONTROLLING);
        add_host(&peer);
        struct got sent = *agent_sends(&peer, 0);
        struct stun_writer w =
            stun_begin(peer.buffer, sizeof peer.buffer, odd == 2 ? STUN_ERROR : STUN_SUCCESS,
                       STUN_BINDING, sent.msg.id);
        if (odd == 1)
            stun_add_u32(&w, (enum stun_attr)0x7fff, 1);
        if (odd == 2)
            stun_add_error(&w, 400, bytes_text("Bad Request"));
        stun_add_integrity(&w, peer.own_key);
        stun_add_fingerprint(&w);
        assert_int_equal(peer_send(&peer, 1, stun_end(&w)), drops[odd]);
        assert_false(agent_sends(&peer, 20 * TIME_S)->any); // it is not repeated
        assert_int_equal(ice_agent_state(peer.agent), ICE_CHECKING);
        peer_free(&peer);
    }
}

// RFC 8445 7.3.1.4: a check back in progress is cancelled and done anew; the old one still counts.
static void test_ice_check_in_progress_is_done_anew(void **state)
{
    (void)state;
    struct peer peer = peer_new(ICE_CONTROLLED);
    add_host(&peer);
    struct got first = *agent_sends(&peer, 0);
    assert_int_equal(first.msg.class, STUN_REQUEST);
    assert_int_equal(peer_send(&peer, 10 * MS, check(&peer, STUN_ICE_CONTROLLING, false)),
                     ICE_KEPT);
    assert_int_equal(answer(&peer, 10 * MS, true), 0);
    assert_int_equal(ice_agent_deadline(peer.agent), 50 * MS); // Ta
    struct got second = *agent_sends(&peer, 50 * MS);
    assert_int_equal(second.msg.class, STUN_REQUEST);
    assert_memory_not_equal(first.msg.id, second.msg.id, STUN_ID_LEN);
    assert_int_equal(
        peer_send(&peer, 60 * MS, success(&peer, &first, &peer.agent_host, peer.own_key)),
        ICE_KEPT);
    assert_non_null(ice_agent_selected(peer.agent));
    assert_false(agent_sends(&peer, 600 * MS)->any); // and the new one is not repeated
    peer_free(&peer);
}

// A peer with aggressive nomination (RFC 5245): the best of its nominations is used.
static void test_ice_better_nomination_wins(void **state)
{
    (void)state;
    struct peer peer = peer_new(ICE_CONTROLLED);
    add_host(&peer);
    static const char *const hosts[] = {"192.0.2.3:2000", "192.0.2.2:2000", "192.0.2.4:2000"};
    for (int i = 0; i < 3; i++) { // two peer-reflexive ones, the signalled host between them
        peer.host = at(hosts[i]);
        nanotime now = 200 * MS * i;
        assert_int_equal(peer_send(&peer, now, check(&peer, STUN_ICE_CONTROLLING, true)), ICE_KEPT);
        assert_int_equal(answer(&peer, now, true), 0);
        struct got sent = *agent_sends(&peer, now);
        if (!sent.any)
            continue;
        peer_send(&peer, now, success(&peer, &sent, &peer.agent_host, peer.own_key));
        while (agent_sends(&peer, now)->any)
            ;
    }
    const struct ice_pair *pair = ice_agent_selected(peer.agent);
    struct addr best = at("192.0.2.2:2000");
    assert_true(pair->nominated);
    assert_true(addr_equal(&pair->remote.addr, &best));
    peer_free(&peer);
}

// ---------------------------------------------------------------------------------------- capacity

static void test_ice_capacity_of_one(void **state)
{
    (void)state;
    struct peer peer = peer_of(
        (struct ice_config){.role = ICE_CONTROLLED, .candidates_max = 1, .checks_max = 1}, true);
    struct ice_candidate more = candidate(ICE_HOST, "192.0.2.12:1000", NULL);
    assert_null(ice_agent_add_local(peer.agent, 0, &more));
    add_host(&peer);
    add_host(&peer); // again: taken, and nothing changes
    struct ice_candidate other = candidate(ICE_HOST, "192.0.2.3:2000", NULL);
    assert_false(ice_agent_add_remote(peer.agent, 0, &other));

    // A check from elsewhere is answered, but there is no room for its candidate.
    peer.host = other.addr;
    assert_int_equal(peer_send(&peer, 0, check(&peer, STUN_ICE_CONTROLLING, false)),
                     ICE_CHECKLIST_FULL);
    assert_int_equal(answer(&peer, 0, true), 0);

    // The one pair works, even where the mapped address has no room to be a candidate.
    peer.host = at("192.0.2.2:2000");
    struct got sent = *agent_sends(&peer, 0);
    struct addr mapped = at("198.51.100.7:7777");
    assert_int_equal(peer_send(&peer, 1, success(&peer, &sent, &mapped, peer.own_key)), ICE_KEPT);
    assert_int_equal(peer_send(&peer, 1, check(&peer, STUN_ICE_CONTROLLING, true)), ICE_KEPT);
    const struct ice_pair *pair = ice_agent_selected(peer.agent);
    assert_true(pair->nominated);
    assert_int_equal(pair->local.type, ICE_HOST);
    assert_int_equal(ice_agent_state(peer.agent), ICE_CONNECTED);
    peer_free(&peer);
}

static void test_ice_answers_are_bounded(void **state)
{
    (void)state;
    struct peer peer = peer_new(ICE_CONTROLLED);
    unsigned kept = 0;
    for (int i = 0; i < 50; i++)
        kept += peer_send(&peer, 0, check(&peer, STUN_ICE_CONTROLLING, false)) == ICE_KEPT;
    assert_int_equal(kept, 8);
    assert_int_equal(ice_agent_stats(peer.agent).drops[ICE_CHECKLIST_FULL], 42);
    for (unsigned i = 0; i < kept; i++)
        assert_int_equal(answer(&peer, 0, true), 0);
    assert_int_equal(agent_sends(&peer, 0)->msg.class, STUN_REQUEST);
    assert_false(agent_sends(&peer, 0)->any);
    peer_free(&peer);
}

// RFC 8445 6.1.2.5: the best pairs stay, whatever the order in which they came.
static void test_ice_pairs_are_limited_to_the_best(void **state)
{
    (void)state;
    struct peer peer = peer_of(
        (struct ice_config){.role = ICE_CONTROLLED, .candidates_max = 300, .checks_max = 100},
        true);
    for (unsigned i = 0; i < 250; i++) {
        unsigned shuffled = i * 7 % 250;
        struct ice_candidate remote = candidate(ICE_HOST, "10.0.0.0:2000", NULL);
        remote.addr.ip.at[3] = (uint8_t)(shuffled + 1);
        remote.priority = 5000 - shuffled;
        remote.foundation[0] = (char)('a' + i % 26);
        remote.foundation[1] = (char)('a' + i / 26);
        assert_true(ice_agent_add_remote(peer.agent, 0, &remote));
    }
    unsigned last = 0, count = 0;
    for (nanotime now = 0; now < 4990 * MS; now = ice_agent_deadline(peer.agent)) {
        struct got *got = agent_sends(&peer, now);
        if (!got->any)
            continue;
        assert_in_range(got->datagram.to.ip.at[3], 1, 100);
        last = got->datagram.to.ip.at[3] > last ? got->datagram.to.ip.at[3] : last;
        count++;
    }
    assert_int_equal(last, 100);
    assert_true(count >= 100);
    peer_free(&peer);
}

// -------------------------------------------------------------------------------------- candidates

// From the vectors ice-constructed.json: the formulas of RFC
// 8445 5.1.2.1 and 6.1.2.3.
static void test_ice_priority_vectors(void **state)
{
    (void)state;
    static const struct {
        enum ice_candidate_type type;
        uint16_t preference, component;
        uint32_t priority;
    } candidates[] = {
        {ICE_HOST, 65535, 1, 2130706431},
        {ICE_HOST, 65535, 2, 2130706430},
        {ICE_HOST, 65535, 256, 2130706176},
        {ICE_HOST, 65534, 1, 2130706175},
        {ICE_HOST, 1, 1, 2113929727},
        {ICE_HOST, 0, 256, 2113929216},
        {ICE_PRFLX, 65535, 1, 1862270975},
        {ICE_PRFLX, 65534, 2, 1862270718},
        {ICE_PRFLX, 0, 256, 1845493760},
        {ICE_SRFLX, 65535, 1, 1694498815},
        {ICE_SRFLX, 65534, 1, 1694498559},
        {ICE_SRFLX, 0, 1, 1677721855},
        {ICE_RELAY, 65535, 1, 16777215},
        {ICE_RELAY, 1, 2, 510},
        {ICE_RELAY, 0, 1, 255},
        {ICE_RELAY, 0, 256, 0},
    };
    for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++)
        assert_int_equal(ice_candidate_priority(candidates[i].type, candidates[i].preference,
                                                candidates[i].component),
                         candidates[i].priority);
    static const struct {
        uint32_t controlling, controlled;
        uint64_t priority;
    } pairs[] = {
        {2130706431, 2130706431, 9151314442783293438u},
        {2130706431, 1694498815, 7277816997797167103u},
        {1694498815, 2130706431, 7277816997797167102u},
        {16777215, 2130706431, 72057594004373502u},
        {1, 0, 3},
        {0, 1, 2},
        {2147483647, 2147483647, 9223372036854775806u},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        assert_true(ice_pair_priority(pairs[i].controlling, pairs[i].controlled) ==
                    pairs[i].priority);
}

// RFC 8445 5.1.1.3, 5.1.2.1, 5.1.3
static void test_ice_local_candidates_are_completed(void **state)
{
    (void)state;
    struct peer peer = peer_new(ICE_CONTROLLED); // has host 192.0.2.1:1000
    struct ice_candidate made[] = {
        candidate(ICE_HOST, "192.0.2.1:1001", NULL), // same address, another port
        candidate(ICE_HOST, "192.0.2.20:1000", NULL),
        candidate(ICE_SRFLX, "198.51.100.1:5000", "192.0.2.1:1000"),
        candidate(ICE_SRFLX, "198.51.100.1:5001", "192.0.2.1:1001"),
        candidate(ICE_SRFLX, "198.51.100.1:5002", "192.0.2.1:1000"), // of another server
        candidate(ICE_RELAY, "203.0.113.9:6000", NULL),
    };
    made[4].server = at("203.0.113.77:3478");
    static const char *const foundations[] = {"1", "2", "3", "3", "4", "5"};
    static const uint32_t priorities[] = {2130706175, 2130705919, 1694498815,
                                          1694498559, 1694498303, 16777215};
    for (int i = 0; i < 6; i++) {
        const struct ice_candidate *added = ice_agent_add_local(peer.agent, 0, &made[i]);
        assert_string_equal(added->foundation, foundations[i]);
        assert_int_equal(added->priority, priorities[i]);
    }
    // Redundant: the same address and base. Not so with another base.
    assert_null(ice_agent_add_local(peer.agent, 0, &made[2]));
    struct ice_candidate same = candidate(ICE_SRFLX, "192.0.2.20:1000", "192.0.2.20:1000");
    assert_null(ice_agent_add_local(peer.agent, 0, &same));
    same.base = at("192.0.2.1:1000");
    assert_non_null(ice_agent_add_local(peer.agent, 0, &same));
    // Its own priority and foundation, where the owner gives them.
    struct ice_candidate given = candidate(ICE_HOST, "192.0.2.30:1000", NULL);
    given.priority = 77;
    memcpy(given.foundation, "abc", 4);
    const struct ice_candidate *added = ice_agent_add_local(peer.agent, 0, &given);
    assert_int_equal(added->priority, 77);
    assert_string_equal(added->foundation, "abc");
    peer_free(&peer);
}

static void test_ice_unusable_remote_candidates_are_ignored(void **state)
{
    (void)state;
    struct peer peer = peer_new(ICE_CONTROLLED);
    static const char *const addrs[] = {"0.0.0.0:9", "224.0.0.1:9", "192.0.2.9:0", "[::]:5",
                                        "[ff02::1]:5"};
    for (size_t i = 0; i < sizeof addrs / sizeof addrs[0]; i++) {
        struct ice_candidate remote = candidate(ICE_HOST, addrs[i], NULL);
        assert_true(ice_agent_add_remote(peer.agent, 0, &remote));
    }
    struct ice_candidate other_component = candidate(ICE_HOST, "192.0.2.9:9", NULL);
    other_component.component = 2;
    assert_true(ice_agent_add_remote(peer.agent, 0, &other_component));
    assert_int_equal(ice_agent_stats(peer.agent).pairs, 0);
    assert_false(agent_sends(&peer, 0)->any);
    peer_free(&peer);
}

// RFC 8445 5.3 and RFC 8839 5.4
static void test_ice_credentials_are_long_and_fresh(void **state)
{
    (void)state;
    struct peer a = peer_new(ICE_CONTROLLED);
    const struct ice_credentials *own = ice_agent_credentials(a.agent);
    assert_true(strlen(own->ufrag) >= 4 && strlen(own->pwd) >= 22);
    char before[ICE_PWD_MAX];
    memcpy(before, own->pwd, sizeof before);
    ice_agent_restart(a.agent, 0);
    assert_string_not_equal(before, ice_agent_credentials(a.agent)->pwd);
    peer_free(&a);

    // The longest that the grammar allows, on a check.
    struct ice_config config = {.role = ICE_CONTROLLING};
    struct ice_agent *agent = ice_agent_new(&config);
    char ufrag[ICE_UFRAG_MAX], pwd[ICE_PWD_MAX];
    memset(ufrag, 'u', sizeof ufrag - 1);
    memset(pwd, 'p', sizeof pwd - 1);
    ufrag[sizeof ufrag - 1] = pwd[sizeof pwd - 1] = 0;
    struct ice_candidate host = candidate(ICE_HOST, "192.0.2.1:1000", NULL);
    struct ice_candidate remote = candidate(ICE_HOST, "192.0.2.2:1000", NULL);
    ice_agent_add_local(agent, 0, &host);
    ice_agent_add_remote(agent, 0, &remote);
    ice_agent_set_remote(agent, 0, bytes_text(ufrag), bytes_text(pwd), false);
    struct ice_output out = {.kind = ICE_STATE_CHANGED};
    while (ice_agent_poll(agent, 0, &out) && out.kind != ICE_SEND)
        ;
    assert_int_equal(out.kind, ICE_SEND);
    ice_agent_free(agent);
}

static void test_ice_words(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ICE_DROPS; i++)
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(ice_drop_name(i), ice_drop_name(k));
    assert_string_equal(ice_candidate_type_name(ICE_RELAY), "relay");
    assert_string_equal(ice_state_name(ICE_CLOSED), "closed");
    assert_string_equal(ice_failure_name(ICE_CONSENT_EXPIRED), "consent-expired");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ice_good_check_is_answered_and_checked_back),
        cmocka_unit_test(test_ice_not_stun),
        cmocka_unit_test(test_ice_damaged_check_has_no_effect),
        cmocka_unit_test(test_ice_fingerprint_is_required),
        cmocka_unit_test(test_ice_wrong_username),
        cmocka_unit_test(test_ice_check_of_another_session),
        cmocka_unit_test(test_ice_wrong_password),
        cmocka_unit_test(test_ice_unknown_attribute_is_420),
        cmocka_unit_test(test_ice_check_without_priority),
        cmocka_unit_test(test_ice_unexpected_method_and_place),
        cmocka_unit_test(test_ice_role_conflict_answers_487),
        cmocka_unit_test(test_ice_indication_has_no_effect),
        cmocka_unit_test(test_ice_response_must_be_ours_and_signed),
        cmocka_unit_test(test_ice_asymmetric_response_fails_the_pair),
        cmocka_unit_test(test_ice_odd_responses_fail_the_pair),
        cmocka_unit_test(test_ice_check_in_progress_is_done_anew),
        cmocka_unit_test(test_ice_better_nomination_wins),
        cmocka_unit_test(test_ice_capacity_of_one),
        cmocka_unit_test(test_ice_answers_are_bounded),
        cmocka_unit_test(test_ice_pairs_are_limited_to_the_best),
        cmocka_unit_test(test_ice_priority_vectors),
        cmocka_unit_test(test_ice_local_candidates_are_completed),
        cmocka_unit_test(test_ice_unusable_remote_candidates_are_ignored),
        cmocka_unit_test(test_ice_credentials_are_long_and_fresh),
        cmocka_unit_test(test_ice_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
