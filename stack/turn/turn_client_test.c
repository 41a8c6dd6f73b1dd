// A TURN client against a server by the book: each error code, and answers that must not count.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "stack/stun/stun_auth.h"
#include "stack/turn/turn_vectors.h"
#include "stack/turn/turn_world.h"

#define BYTES(array) bytes_of((array), sizeof(array))

// The server's side, played by the test.
struct play {
    struct turn_client *client;
    struct addr local, server; // where the last request went
    nanotime now;
    uint8_t buffer[STUN_MESSAGE_MAX], request[STUN_MESSAGE_MAX];
    struct stun_msg msg; // the last request
    struct stun_writer s;
    struct stun_key *key; // MD5 of user:realm:secret
    unsigned changes;     // of state, told by poll
};

static struct play play_new(struct turn_client_config config)
{
    struct play play = {.local = world_addr("198.51.100.5:5000"), .server = config.server};
    config.local = play.local;
    config.rng = rng_seed(1, "client");
    play.client = turn_client_new(&config);
    play.key = stun_key_new_long_term(bytes_text("user"), bytes_text("realm"), bytes_text("secret"),
                                      STUN_MD5);
    turn_client_allocate(play.client, 0);
    return play;
}

static void play_free(struct play *play)
{
    turn_client_free(play->client);
    stun_key_free(play->key);
}

// What the client sends next, which is of this method; 0 for nothing.
static void expect(struct play *play, uint16_t method)
{
    struct turn_output out;
    while (turn_client_poll(play->client, play->now, &out)) {
        play->changes += out.kind == TURN_STATE_CHANGED;
        if (out.kind != TURN_SEND)
            continue;
        play->server = out.datagram.to;
        assert_true(out.datagram.bytes.len <= sizeof play->request);
        memcpy(play->request, out.datagram.bytes.at, out.datagram.bytes.len);
        struct bytes bytes = bytes_of(play->request, out.datagram.bytes.len);
        assert_int_equal(stun_decode(bytes, &play->msg), STUN_OK);
        assert_int_equal(play->msg.method, method);
        return;
    }
    assert_int_equal(method, 0);
}

static void reply(struct play *play, enum stun_class class)
{
    play->s = stun_begin(play->buffer, sizeof play->buffer, class, play->msg.method, play->msg.id);
}

static enum turn_drop deliver(struct play *play, struct bytes bytes)
{
    struct datagram datagram = {play->server, play->local, bytes};
    return turn_client_input(play->client, play->now, &datagram);
}

static enum turn_drop send_signed(struct play *play)
{
    stun_add_integrity(&play->s, play->key);
    return deliver(play, stun_end(&play->s));
}

static void refuse(struct play *play, unsigned code)
{
    reply(play, STUN_ERROR);
    stun_add_error(&play->s, code, bytes_text(stun_error_reason(code)));
}

static void challenge(struct play *play, unsigned code, const char *nonce)
{
    refuse(play, code);
    stun_add_bytes(&play->s, STUN_REALM, bytes_text("realm"));
    stun_add_bytes(&play->s, STUN_NONCE, bytes_text(nonce));
    assert_int_equal(deliver(play, stun_end(&play->s)), TURN_KEPT);
}

// Through the challenge, to the request that carries credentials.
static void to_authenticated(struct play *play)
{
    expect(play, STUN_ALLOCATE);
    assert_false(stun_has(&play->msg, STUN_USERNAME));
    challenge(play, 401, "nonce-1");
    expect(play, STUN_ALLOCATE);
    assert_true(bytes_is(play->msg.nonce, "nonce-1"));
    assert_true(stun_check_integrity(&play->msg, play->key));
}

static void grant(struct play *play)
{
    struct addr relayed = world_addr("192.0.2.1:50000");
    reply(play, STUN_SUCCESS);
    stun_add_xor_addr(&play->s, STUN_XOR_RELAYED_ADDRESS, &relayed);
    stun_add_xor_addr(&play->s, STUN_XOR_MAPPED_ADDRESS, &play->local);
    stun_add_u32(&play->s, STUN_LIFETIME, 600);
}

static struct play allocated(void)
{
    struct play play = play_new(world_client_config());
    to_authenticated(&play);
    grant(&play);
    assert_int_equal(send_signed(&play), TURN_KEPT);
    expect(&play, 0);
    assert_int_equal(turn_client_state(play.client), TURN_ALLOCATED);
    return play;
}

static void test_turn_client_allocate_errors_end_it(void **state)
{
    (void)state;
    static const unsigned codes[] = {400, 403, 437, 440, 441, 442, 486, 508, 699};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct play play = play_new(world_client_config());
        to_authenticated(&play);
        refuse(&play, codes[i]);
        assert_int_equal(send_signed(&play), TURN_KEPT);
        expect(&play, 0);
        struct bytes reason;
        assert_int_equal(turn_client_state(play.client), TURN_FAILED);
        assert_int_equal(turn_client_failure(play.client, &reason), codes[i]);
        assert_true(bytes_is(reason, stun_error_reason(codes[i])));
        assert_int_equal(turn_client_deadline(play.client), TIME_NEVER);
        play_free(&play);
    }
}

static void test_turn_client_401_again_is_the_end(void **state)
{
    (void)state;
    struct play play = play_new(world_client_config());
    to_authenticated(&play);
    challenge(&play, 401, "nonce-2");
    expect(&play, 0);
    assert_int_equal(turn_client_failure(play.client, NULL), 401);
    play_free(&play);
}

static void test_turn_client_stale_nonces_have_a_bound(void **state)
{
    (void)state;
    struct play play = play_new(world_client_config());
    to_authenticated(&play);
    for (int i = 0; i < 5; i++) {
        challenge(&play, 438, "newer");
        expect(&play, STUN_ALLOCATE);
        assert_true(bytes_is(play.msg.nonce, "newer"));
    }
    challenge(&play, 438, "newer");
    expect(&play, 0);
    assert_int_equal(turn_client_failure(play.client, NULL), 438);
    play_free(&play);
}

static void test_turn_client_server_error_is_tried_again_later(void **state)
{
    (void)state;
    struct play play = play_new(world_client_config());
    to_authenticated(&play);
    for (int i = 0; i < 3; i++) {
        refuse(&play, 500);
        assert_int_equal(send_signed(&play), TURN_KEPT);
        expect(&play, 0);
        assert_int_equal(turn_client_deadline(play.client), play.now + TIME_S);
        play.now += TIME_S;
        expect(&play, STUN_ALLOCATE);
    }
    refuse(&play, 500);
    send_signed(&play);
    expect(&play, 0);
    assert_int_equal(turn_client_failure(play.client, NULL), 500);
    play_free(&play);
}

static void test_turn_client_goes_without_dont_fragment(void **state)
{
    (void)state;
    struct turn_client_config config = world_client_config();
    config.dont_fragment = true;
    struct play play = play_new(config);
    to_authenticated(&play);
    assert_true(stun_has(&play.msg, STUN_DONT_FRAGMENT));
    const uint16_t unknown = STUN_DONT_FRAGMENT, another = STUN_REQUESTED_TRANSPORT;
    refuse(&play, 420);
    stun_add_unknown(&play.s, &unknown, 1);
    send_signed(&play);
    expect(&play, STUN_ALLOCATE);
    assert_false(stun_has(&play.msg, STUN_DONT_FRAGMENT));
    refuse(&play, 420);
    stun_add_unknown(&play.s, &another, 1);
    send_signed(&play);
    expect(&play, 0);
    assert_int_equal(turn_client_failure(play.client, NULL), 420);
    play_free(&play);
}

static void redirect(struct play *play, const char *to)
{
    struct addr addr = world_addr(to);
    refuse(play, 300);
    stun_add_addr(&play->s, STUN_ALTERNATE_SERVER, &addr);
}

static void test_turn_client_follows_three_servers(void **state)
{
    (void)state;
    static const char *const servers[] = {"192.0.2.2:1", "192.0.2.3:1", "192.0.2.4:1"};
    struct play play = play_new(world_client_config());
    for (int i = 0; i < 3; i++) {
        to_authenticated(&play);
        redirect(&play, servers[i]);
        assert_int_equal(send_signed(&play), TURN_KEPT);
        struct datagram late = {world_addr("192.0.2.1:3478"), play.local,
                                BYTES(turn_allocate_2_ok)};
        assert_int_equal(turn_client_input(play.client, play.now, &late), TURN_NOT_OURS);
    }
    to_authenticated(&play);
    struct addr last = world_addr(servers[2]);
    assert_true(addr_equal(&play.server, &last));
    redirect(&play, "192.0.2.5:1");
    send_signed(&play);
    expect(&play, 0);
    assert_int_equal(turn_client_failure(play.client, NULL), 300);
    play_free(&play);
}

static void test_turn_client_redirection_loops_and_forgeries(void **state)
{
    (void)state;
    struct play play = play_new(world_client_config());
    to_authenticated(&play);
    redirect(&play, "192.0.2.2:1");
    assert_int_equal(deliver(&play, stun_end(&play.s)), TURN_BAD_INTEGRITY); // unsigned
    redirect(&play, "192.0.2.2:1");
    send_signed(&play);
    to_authenticated(&play);
    redirect(&play, "192.0.2.1:3478"); // back to the first
    send_signed(&play);
    expect(&play, 0);
    assert_int_equal(turn_client_failure(play.client, NULL), 300);
    play_free(&play);

    play = play_new(world_client_config());
    expect(&play, STUN_ALLOCATE);
    redirect(&play, "192.0.2.2:1"); // RFC 8489 14.8: without integrity it is not followed
    assert_int_equal(deliver(&play, stun_end(&play.s)), TURN_KEPT);
    expect(&play, 0);
    assert_int_equal(turn_client_failure(play.client, NULL), 300);
    play_free(&play);
}

static void test_turn_client_answers_that_do_not_count(void **state)
{
    (void)state;
    struct play play = play_new(world_client_config());
    to_authenticated(&play);
    struct stun_key *wrong = stun_key_new(bytes_text("wrong"));
    grant(&play);
    assert_int_equal(deliver(&play, stun_end(&play.s)), TURN_BAD_INTEGRITY); // none
    grant(&play);
    stun_add_integrity(&play.s, wrong);
    assert_int_equal(deliver(&play, stun_end(&play.s)), TURN_BAD_INTEGRITY);
    refuse(&play, 400); // RFC 8489 9.2.5: an unsigned 400 is discarded
    assert_int_equal(deliver(&play, stun_end(&play.s)), TURN_BAD_INTEGRITY);
    refuse(&play, 401);
    stun_add_integrity(&play.s, wrong);
    assert_int_equal(deliver(&play, stun_end(&play.s)), TURN_BAD_INTEGRITY);
    reply(&play, STUN_SUCCESS); // it says nothing
    assert_int_equal(send_signed(&play), TURN_MALFORMED);
    play.s = stun_begin(play.buffer, sizeof play.buffer, STUN_SUCCESS, STUN_REFRESH, play.msg.id);
    stun_add_u32(&play.s, STUN_LIFETIME, 600);
    assert_int_equal(send_signed(&play), TURN_MALFORMED); // another method
    play.msg.id[0] ^= 1;
    grant(&play);
    assert_int_equal(send_signed(&play), TURN_UNKNOWN_TRANSACTION);
    play.msg.id[0] ^= 1;
    assert_int_equal(deliver(&play, bytes_text("\x80 RTP")), TURN_NOT_OURS);
    assert_int_equal(deliver(&play, bytes_of(play.buffer, 19)), TURN_MALFORMED);
    play.server.port++;
    grant(&play);
    assert_int_equal(send_signed(&play), TURN_NOT_OURS); // from elsewhere
    play.server.port--;
    assert_int_equal(turn_client_state(play.client), TURN_ALLOCATING);
    grant(&play);
    assert_int_equal(send_signed(&play), TURN_KEPT);
    expect(&play, 0);
    assert_int_equal(turn_client_state(play.client), TURN_ALLOCATED);
    assert_int_equal(play.changes, 2);
    assert_int_equal(deliver(&play, stun_end(&play.s)), TURN_UNKNOWN_TRANSACTION); // a duplicate
    stun_key_free(wrong);
    play_free(&play);
}

static void test_turn_client_refused_permission(void **state)
{
    (void)state;
    struct play play = allocated();
    struct addr peer = world_addr("203.0.113.9:7000");
    assert_true(turn_client_send(play.client, play.now, &peer, bytes_text("x")));
    expect(&play, STUN_CREATE_PERMISSION);
    refuse(&play, 403);
    send_signed(&play);
    expect(&play, 0);
    assert_int_equal(turn_client_state(play.client), TURN_ALLOCATED);
    assert_false(turn_client_send(play.client, play.now, &peer, bytes_text("x")));
    turn_client_permit(play.client, play.now, &peer.ip); // asked for by name: again
    expect(&play, STUN_CREATE_PERMISSION);
    reply(&play, STUN_SUCCESS);
    send_signed(&play);
    expect(&play, 0); // the datagram that waited for the refused one is gone
    assert_true(turn_client_send(play.client, play.now, &peer, bytes_text("y")));
    expect(&play, STUN_SEND);
    assert_true(bytes_is(play.msg.data, "y"));
    play_free(&play);
}

// One that is asked for in vain leaves nothing to be sent later, either.
static void test_turn_client_unanswered_permission(void **state)
{
    (void)state;
    struct play play = allocated();
    struct addr peer = world_addr("203.0.113.9:7000");
    assert_true(turn_client_send(play.client, play.now, &peer, bytes_text("x")));
    struct turn_output out;
    nanotime end = play.now + 40 * TIME_S;
    for (; play.now < end; play.now = turn_client_deadline(play.client))
        while (turn_client_poll(play.client, play.now, &out))
            ;
    play.now = end;
    turn_client_permit(play.client, play.now, &peer.ip);
    expect(&play, STUN_CREATE_PERMISSION);
    reply(&play, STUN_SUCCESS);
    send_signed(&play);
    expect(&play, 0);
    play_free(&play);
}

// RFC 8489 9.2.5: without its list of algorithms, an answer with such a nonce is ignored.
static void test_turn_client_stripped_answer_is_ignored(void **state)
{
    (void)state;
    struct play play = play_new(world_client_config());
    expect(&play, STUN_ALLOCATE);
    refuse(&play, 508); // nothing was signed yet
    stun_add_bytes(&play.s, STUN_NONCE, bytes_text("obMatJos2AAABxyz"));
    assert_int_equal(deliver(&play, stun_end(&play.s)), TURN_BAD_INTEGRITY);
    challenge(&play, 401, "nonce-1");
    expect(&play, STUN_ALLOCATE);
    grant(&play);
    stun_add_bytes(&play.s, STUN_NONCE, bytes_text("obMatJos2AAABxyz"));
    assert_int_equal(send_signed(&play), TURN_BAD_INTEGRITY);
    assert_int_equal(turn_client_state(play.client), TURN_ALLOCATING);
    grant(&play);
    stun_add_bytes(&play.s, STUN_NONCE, bytes_text("obMatJos2AAAAxyz")); // promises no list
    assert_int_equal(send_signed(&play), TURN_KEPT);
    assert_int_equal(turn_client_state(play.client), TURN_ALLOCATED);
    play_free(&play);
}

// RFC 8489 9.2.5: what ended a request of which all answers were discarded is told.
static void test_turn_client_forged_answers_are_told(void **state)
{
    (void)state;
    for (int forged = 0; forged < 2; forged++) {
        struct play play = play_new(world_client_config());
        to_authenticated(&play);
        refuse(&play, 400); // as if it had never come
        assert_int_equal(deliver(&play, stun_end(&play.s)), TURN_BAD_INTEGRITY);
        grant(&play);
        if (forged)
            assert_int_equal(deliver(&play, stun_end(&play.s)), TURN_BAD_INTEGRITY);
        struct turn_output out;
        while ((play.now = turn_client_deadline(play.client)) < TIME_NEVER)
            while (turn_client_poll(play.client, play.now, &out))
                ;
        struct bytes reason;
        assert_int_equal(turn_client_failure(play.client, &reason), 0);
        assert_true(bytes_is(reason, forged ? "no answer with the right integrity" : "no answer"));
        play_free(&play);
    }
}

// RFC 8489 9.2.5: over TCP, where nothing is sent again, such an answer ends it at once.
static void test_turn_client_forged_answer_by_tcp(void **state)
{
    (void)state;
    struct turn_client_config config = world_client_config();
    config.stream = true;
    struct play play = play_new(config);
    to_authenticated(&play);
    grant(&play);
    assert_int_equal(send_signed(&play), TURN_KEPT);
    turn_client_permit(play.client, play.now, &play.local.ip);
    expect(&play, STUN_CREATE_PERMISSION);
    refuse(&play, 400);
    assert_int_equal(deliver(&play, stun_end(&play.s)), TURN_BAD_INTEGRITY);
    reply(&play, STUN_SUCCESS);
    assert_int_equal(deliver(&play, stun_end(&play.s)), TURN_BAD_INTEGRITY);
    assert_int_equal(send_signed(&play), TURN_UNKNOWN_TRANSACTION); // too late
    turn_client_permit(play.client, play.now, &play.local.ip);
    expect(&play, STUN_CREATE_PERMISSION);
    turn_client_refresh(play.client, play.now);
    expect(&play, STUN_REFRESH);
    reply(&play, STUN_SUCCESS);
    stun_add_u32(&play.s, STUN_LIFETIME, 600);
    assert_int_equal(deliver(&play, stun_end(&play.s)), TURN_BAD_INTEGRITY);
    expect(&play, 0);
    assert_int_equal(turn_client_state(play.client), TURN_FAILED);
    assert_int_equal(turn_client_deadline(play.client), TIME_NEVER);
    play_free(&play);
}

static void test_turn_client_refused_channel_falls_back_to_indications(void **state)
{
    (void)state;
    struct play play = allocated();
    struct addr peer = world_addr("203.0.113.9:7000");
    turn_client_send(play.client, play.now, &peer, bytes_text("x"));
    expect(&play, STUN_CREATE_PERMISSION);
    reply(&play, STUN_SUCCESS);
    send_signed(&play);
    expect(&play, STUN_SEND);
    expect(&play, STUN_CHANNEL_BIND);
    assert_int_equal(play.msg.channel, 0x4000);
    static const uint8_t early[] = {0x40, 0, 0, 1, 'x'}, strange[] = {0x40, 1, 0, 1, 'x'};
    assert_int_equal(deliver(&play, BYTES(early)), TURN_KEPT); // RFC 8656 12: before the answer
    assert_int_equal(deliver(&play, BYTES(strange)), TURN_UNKNOWN_CHANNEL);
    refuse(&play, 508);
    send_signed(&play);
    expect(&play, 0);
    assert_int_equal(deliver(&play, BYTES(early)), TURN_UNKNOWN_CHANNEL);
    for (int i = 0; i < 3; i++) {
        turn_client_send(play.client, play.now, &peer, bytes_text("x"));
        expect(&play, STUN_SEND);
        expect(&play, 0);
    }
    play_free(&play);
}

static void test_turn_client_data_only_from_permitted_peers(void **state)
{
    (void)state;
    struct play play = allocated();
    struct addr peer = world_addr("203.0.113.9:7000");
    play.s = stun_begin(play.buffer, sizeof play.buffer, STUN_INDICATION, STUN_DATA, play.msg.id);
    stun_add_xor_addr(&play.s, STUN_XOR_PEER_ADDRESS, &peer);
    assert_int_equal(deliver(&play, stun_end(&play.s)), TURN_MALFORMED); // no DATA
    stun_add_bytes(&play.s, STUN_DATA_ATTR, bytes_text("x"));
    struct bytes indication = stun_end(&play.s);
    assert_int_equal(deliver(&play, indication), TURN_NO_PERMISSION);
    turn_client_permit(play.client, play.now, &peer.ip);
    expect(&play, STUN_CREATE_PERMISSION);
    assert_int_equal(deliver(&play, indication), TURN_KEPT);
    struct turn_output out;
    assert_true(turn_client_poll(play.client, play.now, &out));
    assert_int_equal(out.kind, TURN_DATA);
    assert_true(addr_equal(&out.datagram.from, &peer));
    assert_true(bytes_is(out.datagram.bytes, "x"));
    play_free(&play);
}

static void test_turn_client_tables_are_bounded(void **state)
{
    (void)state;
    struct play play = allocated();
    struct addr peer = world_addr("203.0.113.0:7000"), v6 = world_addr("[2001:db8::1]:1");
    static const uint8_t large[TURN_DATA_MAX + 1];
    for (unsigned i = 0; i < TURN_CLIENT_PEERS_MAX; i++) {
        peer.ip.at[3] = (uint8_t)i;
        assert_true(turn_client_send(play.client, play.now, &peer, bytes_text("x")));
    }
    peer.ip.at[3] = TURN_CLIENT_PEERS_MAX;
    assert_false(turn_client_send(play.client, play.now, &peer, bytes_text("x")));
    assert_false(turn_client_send(play.client, play.now, &v6, bytes_text("x")));
    peer.ip.at[3] = 0;
    assert_false(turn_client_send(play.client, play.now, &peer, BYTES(large)));
    unsigned asked = 0; // 32 at a time; each answer lets the next one go
    struct turn_output out;
    while (turn_client_poll(play.client, play.now, &out))
        asked += out.kind == TURN_SEND;
    assert_int_equal(asked, 32);
    assert_true(turn_client_deadline(play.client) > play.now);
    play_free(&play);
}

static void test_turn_client_largest_datagram(void **state)
{
    (void)state;
    struct turn_client_config config = world_client_config();
    config.dont_fragment = true;
    struct play play = play_new(config);
    to_authenticated(&play);
    grant(&play);
    send_signed(&play);
    expect(&play, 0);
    struct addr peer = world_addr("203.0.113.9:7000");
    static const uint8_t largest[TURN_DATA_MAX];
    turn_client_send(play.client, play.now, &peer, BYTES(largest));
    expect(&play, STUN_CREATE_PERMISSION);
    reply(&play, STUN_SUCCESS);
    send_signed(&play);
    struct turn_output out;
    assert_true(turn_client_poll(play.client, play.now, &out));
    assert_in_range(out.datagram.bytes.len, TURN_DATA_MAX, 65507);
    play_free(&play);
}

static void test_turn_client_release_is_asked_once(void **state)
{
    (void)state;
    struct play play = allocated();
    turn_client_release(play.client, play.now);
    turn_client_release(play.client, play.now);
    expect(&play, STUN_REFRESH);
    assert_true(stun_has(&play.msg, STUN_LIFETIME));
    assert_int_equal(play.msg.lifetime_s, 0);
    expect(&play, 0);
    refuse(&play, 437); // RFC 8656 8.3: as good as done
    send_signed(&play);
    expect(&play, 0);
    assert_int_equal(turn_client_state(play.client), TURN_RELEASED);
    play_free(&play);
}

// ---------------------------------------------------------------------------------------- vectors

static void check_signed(struct bytes bytes, struct stun_key *key, struct stun_msg *msg)
{
    assert_int_equal(stun_decode(bytes, msg), STUN_OK);
    assert_true(stun_check_integrity256(msg, key));
}

static void test_turn_vectors_of_rfc8656_20(void **state)
{
    (void)state;
    struct bytes realm = bytes_text("example.com"), secret = bytes_text("secret");
    struct bytes george = bytes_text("George");
    struct stun_key *key = stun_key_new_long_term(george, realm, secret, STUN_SHA256);
    struct stun_msg msg;
    check_signed(BYTES(turn_allocate_2), key, &msg);
    assert_int_equal(msg.transport, 17);
    assert_int_equal(msg.lifetime_s, 3600);
    assert_true(stun_has(&msg, STUN_DONT_FRAGMENT));
    check_signed(BYTES(turn_allocate_2_ok), key, &msg);
    struct addr relayed = world_addr("192.0.2.15:50000"), mapped = world_addr("192.0.2.1:7000");
    assert_true(addr_equal(&msg.relayed, &relayed));
    assert_true(addr_equal(&msg.mapped, &mapped));
    assert_int_equal(msg.lifetime_s, 1200);
    check_signed(BYTES(turn_createpermission), key, &msg);
    check_signed(BYTES(turn_createpermission_ok), key, &msg);
    check_signed(BYTES(turn_channelbind), key, &msg);
    assert_int_equal(msg.channel, 0x4000);
    struct addr peer = world_addr("192.0.2.210:49191");
    assert_true(addr_equal(&msg.peers[0], &peer));
    check_signed(BYTES(turn_channelbind_ok), key, &msg);
    check_signed(BYTES(turn_refresh), key, &msg);
    check_signed(BYTES(turn_refresh_ok), key, &msg);
    check_signed(BYTES(turn_refresh_delete), key, &msg);
    stun_key_free(key);
    assert_int_equal(stun_decode(BYTES(turn_send_indication), &msg), STUN_OK);
    assert_true(bytes_is(msg.data, "hello"));
    assert_int_equal(stun_decode(BYTES(turn_data_indication), &msg), STUN_OK);
    assert_int_equal(msg.method, STUN_DATA);
    assert_int_equal(stun_decode(BYTES(turn_allocate_evenport_reserve), &msg), STUN_OK);
    assert_true(msg.even_port_reserve);
    assert_int_equal(stun_decode(BYTES(turn_allocate_ipv6), &msg), STUN_OK);
    assert_int_equal(msg.family, 2);
    assert_int_equal(stun_decode(BYTES(turn_allocate_dual), &msg), STUN_OK);
    assert_int_equal(msg.additional_family, 2);
    key = stun_key_new_long_term(george, realm, secret, STUN_MD5);
    assert_int_equal(stun_decode(BYTES(turn_allocate_legacy_md5), &msg), STUN_OK);
    assert_true(stun_check_integrity(&msg, key) && stun_check_fingerprint(&msg));
    stun_key_free(key);
}

// From the challenge of the vectors our own writer makes the vectors' answers, byte for byte.
static void test_turn_vectors_are_what_we_write(void **state)
{
    (void)state;
    uint8_t buffer[512];
    struct stun_msg error, want;
    struct stun_auth *auth = stun_auth_new_long_term(bytes_text("George"), bytes_text("secret"));
    assert_int_equal(stun_decode(BYTES(turn_allocate_1_401), &error), STUN_OK);
    assert_int_equal(stun_auth_challenge(auth, &error), STUN_AUTH_RETRY);

    assert_int_equal(stun_decode(BYTES(turn_allocate_2), &want), STUN_OK);
    struct stun_writer s = stun_begin(buffer, sizeof buffer, STUN_REQUEST, STUN_ALLOCATE, want.id);
    stun_add_bytes(&s, STUN_SOFTWARE, want.software);
    stun_add_u32(&s, STUN_LIFETIME, 3600);
    stun_add_u32(&s, STUN_REQUESTED_TRANSPORT, 17u << 24);
    stun_add_flag(&s, STUN_DONT_FRAGMENT);
    stun_auth_add(auth, &s);
    assert_true(bytes_equal(stun_end(&s), BYTES(turn_allocate_2)));

    assert_int_equal(stun_decode(BYTES(turn_channelbind), &want), STUN_OK);
    s = stun_begin(buffer, sizeof buffer, STUN_REQUEST, STUN_CHANNEL_BIND, want.id);
    stun_add_u32(&s, STUN_CHANNEL_NUMBER, 0x4000u << 16);
    stun_add_xor_addr(&s, STUN_XOR_PEER_ADDRESS, &want.peers[0]);
    stun_auth_add(auth, &s);
    assert_true(bytes_equal(stun_end(&s), BYTES(turn_channelbind)));

    assert_int_equal(stun_decode(BYTES(turn_refresh_438), &error), STUN_OK);
    assert_int_equal(stun_auth_challenge(auth, &error), STUN_AUTH_RETRY);
    assert_int_equal(stun_decode(BYTES(turn_refresh), &want), STUN_OK);
    s = stun_begin(buffer, sizeof buffer, STUN_REQUEST, STUN_REFRESH, want.id);
    stun_add_bytes(&s, STUN_SOFTWARE, want.software);
    stun_auth_add(auth, &s);
    assert_true(bytes_equal(stun_end(&s), BYTES(turn_refresh)));
    stun_auth_free(auth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turn_client_allocate_errors_end_it),
        cmocka_unit_test(test_turn_client_401_again_is_the_end),
        cmocka_unit_test(test_turn_client_stale_nonces_have_a_bound),
        cmocka_unit_test(test_turn_client_server_error_is_tried_again_later),
        cmocka_unit_test(test_turn_client_goes_without_dont_fragment),
        cmocka_unit_test(test_turn_client_follows_three_servers),
        cmocka_unit_test(test_turn_client_redirection_loops_and_forgeries),
        cmocka_unit_test(test_turn_client_answers_that_do_not_count),
        cmocka_unit_test(test_turn_client_refused_permission),
        cmocka_unit_test(test_turn_client_unanswered_permission),
        cmocka_unit_test(test_turn_client_stripped_answer_is_ignored),
        cmocka_unit_test(test_turn_client_forged_answers_are_told),
        cmocka_unit_test(test_turn_client_forged_answer_by_tcp),
        cmocka_unit_test(test_turn_client_refused_channel_falls_back_to_indications),
        cmocka_unit_test(test_turn_client_data_only_from_permitted_peers),
        cmocka_unit_test(test_turn_client_tables_are_bounded),
        cmocka_unit_test(test_turn_client_largest_datagram),
        cmocka_unit_test(test_turn_client_release_is_asked_once),
        cmocka_unit_test(test_turn_vectors_of_rfc8656_20),
        cmocka_unit_test(test_turn_vectors_are_what_we_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
