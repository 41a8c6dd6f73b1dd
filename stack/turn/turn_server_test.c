// A TURN server, request by request: what it grants, and every code that it refuses with.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "stack/stun/stun_auth.h"
#include "stack/turn/turn_world.h"

// A client of our own, that can ask for anything.
struct asker {
    struct turn_server *server;
    struct stun_auth *auth;
    struct addr addr, listen;
    struct rng rng;
    nanotime now;
    struct stun_writer s;
    uint16_t method;
    uint8_t id[STUN_ID_LEN];
    uint8_t request[STUN_MESSAGE_MAX], answer[STUN_MESSAGE_MAX];
    size_t sent_len;     // of `request`
    struct stun_msg msg; // the answer; it borrows from `answer` of the asker that asked
    unsigned binds, unbinds;
    struct addr bound;
};

static struct asker asker_new(struct turn_server *server, const char *user, const char *password)
{
    struct turn_server_config config = world_server_config();
    static unsigned count;
    struct asker a = {
        .server = server,
        .auth = stun_auth_new_long_term(bytes_text(user), bytes_text(password)),
        .addr = world_addr("198.51.100.9:1000"),
        .listen = config.listen,
        .rng = rng_seed(count++, "asker"),
    };
    return a;
}

static void drain(struct asker *a)
{
    struct turn_server_output out;
    while (turn_server_poll(a->server, a->now, &out)) {
        if (out.kind == TURN_SERVER_BIND) {
            a->binds++;
            a->bound = out.relay;
        }
        a->unbinds += out.kind == TURN_SERVER_UNBIND;
        if (out.kind != TURN_SERVER_SEND || !addr_equal(&out.datagram.to, &a->addr))
            continue;
        assert_true(out.datagram.bytes.len <= sizeof a->answer);
        memcpy(a->answer, out.datagram.bytes.at, out.datagram.bytes.len);
        assert_int_equal(stun_decode(bytes_of(a->answer, out.datagram.bytes.len), &a->msg),
                         STUN_OK);
    }
}

static void ask(struct asker *a, uint16_t method)
{
    rng_fill(&a->rng, a->id, sizeof a->id);
    a->method = method;
    a->s = stun_begin(a->request, sizeof a->request, STUN_REQUEST, method, a->id);
    if (method == STUN_ALLOCATE)
        stun_add_u32(&a->s, STUN_REQUESTED_TRANSPORT, 17u << 24);
}

static void send_again(struct asker *a)
{
    a->msg = (struct stun_msg){0};
    struct datagram datagram = {a->addr, a->listen, bytes_of(a->request, a->sent_len)};
    assert_int_equal(turn_server_input(a->server, a->now, &datagram), TURN_KEPT);
    drain(a);
    assert_memory_equal(a->msg.id, a->id, sizeof a->id);
}

// Send it: 0 for success, or the error code. A success must be signed.
static unsigned told(struct asker *a)
{
    bool ready = stun_auth_is_ready(a->auth);
    stun_auth_add(a->auth, &a->s);
    a->sent_len = stun_end(&a->s).len;
    send_again(a);
    if (a->msg.class == STUN_SUCCESS)
        assert_true(ready && stun_auth_check(a->auth, &a->msg));
    if (a->msg.error_code == STUN_UNAUTHENTICATED || a->msg.error_code == STUN_STALE_NONCE)
        stun_auth_challenge(a->auth, &a->msg);
    return a->msg.error_code;
}

static unsigned ask_simple(struct asker *a, uint16_t method)
{
    ask(a, method);
    return told(a);
}

static unsigned ask_peer(struct asker *a, uint16_t method, unsigned channel, const char *peer)
{
    struct addr addr = world_addr(peer);
    ask(a, method);
    if (channel)
        stun_add_u32(&a->s, STUN_CHANNEL_NUMBER, channel << 16);
    stun_add_xor_addr(&a->s, STUN_XOR_PEER_ADDRESS, &addr);
    return told(a);
}

static unsigned permit(struct asker *a, const char *peer)
{
    return ask_peer(a, STUN_CREATE_PERMISSION, 0, peer);
}

static unsigned bind_channel(struct asker *a, unsigned channel, const char *peer)
{
    return ask_peer(a, STUN_CHANNEL_BIND, channel, peer);
}

// An asker with the challenge behind it.
static struct asker ready(struct turn_server *server)
{
    struct asker a = asker_new(server, "user", "secret");
    assert_int_equal(ask_simple(&a, STUN_ALLOCATE), 401);
    return a;
}

static struct asker allocated(struct turn_server *server)
{
    struct asker a = ready(server);
    assert_int_equal(ask_simple(&a, STUN_ALLOCATE), 0);
    return a;
}

static void done(struct asker *a)
{
    stun_auth_free(a->auth);
}

static struct turn_server *server_new(void)
{
    struct turn_server_config config = world_server_config();
    return turn_server_new(&config);
}

static void test_turn_server_401(void **state)
{
    (void)state;
    struct turn_server *server = server_new();
    struct asker a = asker_new(server, "user", "wrong"), b = asker_new(server, "nobody", "secret");
    assert_int_equal(ask_simple(&a, STUN_ALLOCATE), 401);
    assert_true(bytes_is(a.msg.realm, "example.org"));
    assert_true(stun_algorithms_has(a.msg.password_algorithms, STUN_SHA256));
    assert_true(stun_algorithms_has(a.msg.password_algorithms, STUN_MD5));
    assert_int_equal(ask_simple(&a, STUN_ALLOCATE), 401);
    assert_int_equal(ask_simple(&b, STUN_REFRESH), 401);
    assert_int_equal(ask_simple(&b, STUN_REFRESH), 401);
    assert_int_equal(turn_server_stats(server).errors, 4);
    done(&a);
    done(&b);
    turn_server_free(server);
}

static void test_turn_server_400_for_incomplete_credentials(void **state)
{
    (void)state;
    struct turn_server *server = server_new();
    struct asker a = asker_new(server, "user", "secret");
    struct stun_key *key = stun_key_new(bytes_text("k"));
    ask(&a, STUN_ALLOCATE);
    stun_add_bytes(&a.s, STUN_USERNAME, bytes_text("user"));
    stun_add_integrity(&a.s, key); // no realm, no nonce
    assert_int_equal(told(&a), 400);
    ask(&a, STUN_ALLOCATE);
    stun_add_bytes(&a.s, STUN_USERNAME, bytes_text("user"));
    stun_add_bytes(&a.s, STUN_REALM, bytes_text("example.org"));
    stun_add_bytes(&a.s, STUN_NONCE, bytes_text("n"));
    stun_add_u32(&a.s, STUN_PASSWORD_ALGORITHM, STUN_MD5 << 16); // without the list
    stun_add_integrity(&a.s, key);
    assert_int_equal(told(&a), 400);
    stun_key_free(key);
    done(&a);
    turn_server_free(server);
}

// A client of RFC 5389 knows no algorithms: MD5 and SHA-1, and is answered alike.
static void test_turn_server_serves_older_clients(void **state)
{
    (void)state;
    struct turn_server *server = server_new();
    struct asker a = asker_new(server, "user", "secret");
    assert_int_equal(ask_simple(&a, STUN_ALLOCATE), 401);
    struct stun_key *key = stun_key_new_long_term(bytes_text("user"), bytes_text("example.org"),
                                                  bytes_text("secret"), STUN_MD5);
    char nonce[STUN_NONCE_LEN];
    memcpy(nonce, a.msg.nonce.at, sizeof nonce);
    stun_auth_reset(a.auth);
    ask(&a, STUN_ALLOCATE);
    stun_add_bytes(&a.s, STUN_USERNAME, bytes_text("user"));
    stun_add_bytes(&a.s, STUN_REALM, bytes_text("example.org"));
    stun_add_bytes(&a.s, STUN_NONCE, bytes_of(nonce, sizeof nonce));
    stun_add_integrity(&a.s, key);
    stun_add_fingerprint(&a.s);
    a.sent_len = stun_end(&a.s).len;
    send_again(&a);
    assert_int_equal(a.msg.class, STUN_SUCCESS);
    assert_true(stun_check_integrity(&a.msg, key));
    assert_false(stun_has(&a.msg, STUN_MESSAGE_INTEGRITY_SHA256));
    assert_true(stun_check_fingerprint(&a.msg));
    stun_key_free(key);
    done(&a);
    turn_server_free(server);
}

// RFC 8489 9.2.4: what signs the answer depends on what the request knew of algorithms alone, not
// on what signed it.
static void test_turn_server_signs_by_the_algorithms(void **state)
{
    (void)state;
    struct turn_server *server = server_new();
    for (int knows = 0; knows < 2; knows++) {
        struct asker a = asker_new(server, "user", "secret");
        a.addr.port = (uint16_t)(a.addr.port + knows);
        assert_int_equal(ask_simple(&a, STUN_ALLOCATE), 401);
        struct stun_key *key =
            stun_key_new_long_term(bytes_text("user"), bytes_text("example.org"),
                                   bytes_text("secret"), knows ? STUN_SHA256 : STUN_MD5);
        struct stun_msg challenge = a.msg;
        ask(&a, STUN_ALLOCATE);
        stun_add_bytes(&a.s, STUN_USERNAME, bytes_text("user"));
        stun_add_bytes(&a.s, STUN_REALM, bytes_text("example.org"));
        stun_add_bytes(&a.s, STUN_NONCE, challenge.nonce);
        if (knows) {
            stun_add_bytes(&a.s, STUN_PASSWORD_ALGORITHMS, challenge.password_algorithms);
            stun_add_u32(&a.s, STUN_PASSWORD_ALGORITHM, STUN_SHA256 << 16);
            stun_add_integrity(&a.s, key);
        } else {
            stun_add_integrity256(&a.s, key);
        }
        a.sent_len = stun_end(&a.s).len;
        send_again(&a);
        assert_int_equal(a.msg.class, STUN_SUCCESS);
        assert_int_equal(stun_check_integrity256(&a.msg, key), knows);
        assert_int_equal(stun_check_integrity(&a.msg, key), !knows);
        stun_key_free(key);
        done(&a);
    }
    turn_server_free(server);
}

static void test_turn_server_allocate_answers(void **state)
{
    (void)state;
    struct turn_server *server = server_new();
    struct asker a = allocated(server);
    assert_int_equal(a.binds, 1);
    assert_true(addr_equal(&a.msg.relayed, &a.bound));
    assert_true(addr_equal(&a.msg.mapped, &a.addr));
    assert_int_equal(a.msg.lifetime_s, 600);
    struct addr relayed = a.msg.relayed;
    a.now = 10 * TIME_S;
    send_again(&a); // RFC 8656 7.2: a retransmission
    assert_true(addr_equal(&a.msg.relayed, &relayed));
    assert_int_equal(a.msg.lifetime_s, 590);
    assert_int_equal(a.binds, 1);
    assert_int_equal(ask_simple(&a, STUN_ALLOCATE), 437); // another transaction
    done(&a);
    turn_server_free(server);
}

static void test_turn_server_allocate_refusals(void **state)
{
    (void)state;
    struct turn_server *server = server_new();
    struct asker a = ready(server);
    rng_fill(&a.rng, a.id, sizeof a.id);
    a.s = stun_begin(a.request, sizeof a.request, STUN_REQUEST, STUN_ALLOCATE, a.id);
    assert_int_equal(told(&a), 400); // no REQUESTED-TRANSPORT
    rng_fill(&a.rng, a.id, sizeof a.id);
    a.s = stun_begin(a.request, sizeof a.request, STUN_REQUEST, STUN_ALLOCATE, a.id);
    stun_add_u32(&a.s, STUN_REQUESTED_TRANSPORT, 6u << 24);
    assert_int_equal(told(&a), 442); // TCP
    ask(&a, STUN_ALLOCATE);
    stun_add_u32(&a.s, STUN_REQUESTED_ADDRESS_FAMILY, 2u << 24);
    assert_int_equal(told(&a), 440); // no IPv6 here
    ask(&a, STUN_ALLOCATE);
    stun_add_u32(&a.s, STUN_REQUESTED_ADDRESS_FAMILY, 1u << 24);
    stun_add_u32(&a.s, STUN_ADDITIONAL_ADDRESS_FAMILY, 2u << 24);
    assert_int_equal(told(&a), 400);
    ask(&a, STUN_ALLOCATE);
    stun_add_u32(&a.s, STUN_ADDITIONAL_ADDRESS_FAMILY, 1u << 24);
    assert_int_equal(told(&a), 400);
    ask(&a, STUN_ALLOCATE);
    stun_add_u64(&a.s, STUN_RESERVATION_TOKEN, 77);
    assert_int_equal(told(&a), 508); // nobody reserved that
    ask(&a, STUN_ALLOCATE);
    stun_add_u64(&a.s, STUN_RESERVATION_TOKEN, 77);
    stun_add_bytes(&a.s, STUN_EVEN_PORT, bytes_of("\x80", 1));
    assert_int_equal(told(&a), 400);
    ask(&a, STUN_ALLOCATE);
    stun_add_u32(&a.s, (enum stun_attr)0x7abc, 0);
    assert_int_equal(told(&a), 420);
    assert_true(bytes_equal(a.msg.unknown_attributes, bytes_of("\x7a\xbc", 2)));
    assert_int_equal(a.binds, 0);
    ask(&a, STUN_ALLOCATE);
    stun_add_flag(&a.s, STUN_DONT_FRAGMENT);
    stun_add_u32(&a.s, STUN_ADDITIONAL_ADDRESS_FAMILY, 2u << 24);
    assert_int_equal(told(&a), 0); // RFC 8656 7.2 (9): in part
    assert_true(stun_has(&a.msg, STUN_ADDRESS_ERROR_CODE));
    done(&a);
    turn_server_free(server);
}

static void test_turn_server_even_port_and_reservation(void **state)
{
    (void)state;
    struct turn_server *server = server_new();
    for (unsigned i = 0; i < 20; i++) {
        struct asker a = asker_new(server, "user", "secret");
        struct asker b = asker_new(server, "user", "secret");
        a.addr.port = (uint16_t)(2000 + i);
        b.addr.port = (uint16_t)(3000 + i);
        ask_simple(&a, STUN_ALLOCATE);
        ask_simple(&b, STUN_ALLOCATE);
        ask(&a, STUN_ALLOCATE);
        stun_add_bytes(&a.s, STUN_EVEN_PORT, bytes_of("\x80", 1));
        assert_int_equal(told(&a), 0);
        assert_int_equal(a.msg.relayed.port % 2, 0);
        assert_true(stun_has(&a.msg, STUN_RESERVATION_TOKEN));
        uint64_t token = a.msg.reservation_token;
        uint16_t port = a.msg.relayed.port;
        send_again(&a);
        assert_true(a.msg.reservation_token == token);
        b.now = i % 2 ? 29 * TIME_S : 30 * TIME_S; // RFC 8656 7.2: held for 30 s
        ask(&b, STUN_ALLOCATE);
        stun_add_u64(&b.s, STUN_RESERVATION_TOKEN, token);
        assert_int_equal(told(&b), i % 2 ? 0 : 508);
        if (i % 2)
            assert_int_equal(b.msg.relayed.port, port + 1);
        done(&a);
        done(&b);
    }
    turn_server_free(server);
}

static void test_turn_server_stale_nonce(void **state)
{
    (void)state;
    struct turn_server_config config = world_server_config();
    config.nonce_lifetime_s = 30;
    struct turn_server *server = turn_server_new(&config);
    struct asker a = allocated(server);
    a.now = 30 * TIME_S - 1;
    assert_int_equal(ask_simple(&a, STUN_REFRESH), 0);
    a.now++;
    assert_int_equal(ask_simple(&a, STUN_REFRESH), 438);
    assert_int_equal(ask_simple(&a, STUN_REFRESH), 0); // with the new one
    turn_server_reset(server, a.now);
    drain(&a);
    assert_int_equal(a.unbinds, 1);
    assert_int_equal(ask_simple(&a, STUN_REFRESH), 438);
    assert_int_equal(ask_simple(&a, STUN_REFRESH), 437);
    done(&a);
    turn_server_free(server);
}

static void test_turn_server_refresh(void **state)
{
    (void)state;
    struct turn_server *server = server_new();
    struct asker a = allocated(server);
    static const struct {
        uint32_t asked, given;
    } cases[] = {{1, 600}, {600, 600}, {1000, 1000}, {3601, 3600}, {UINT32_MAX, 3600}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ask(&a, STUN_REFRESH);
        stun_add_u32(&a.s, STUN_LIFETIME, cases[i].asked);
        assert_int_equal(told(&a), 0);
        assert_int_equal(a.msg.lifetime_s, cases[i].given);
        assert_int_equal(turn_server_deadline(server), cases[i].given * TIME_S);
    }
    ask(&a, STUN_REFRESH);
    stun_add_u32(&a.s, STUN_REQUESTED_ADDRESS_FAMILY, 2u << 24);
    assert_int_equal(told(&a), 443);
    ask(&a, STUN_REFRESH);
    stun_add_u32(&a.s, STUN_LIFETIME, 0);
    assert_int_equal(told(&a), 0);
    assert_int_equal(a.unbinds, 1);
    send_again(&a); // RFC 8656 8.2: the retransmission finds nothing
    assert_int_equal(a.msg.error_code, 437);
    assert_int_equal(turn_server_deadline(server), TIME_NEVER);
    done(&a);
    turn_server_free(server);
}

static void test_turn_server_wrong_user(void **state)
{
    (void)state;
    struct turn_server *server = server_new();
    struct asker a = allocated(server), b = asker_new(server, "other", "word");
    assert_int_equal(ask_simple(&b, STUN_REFRESH), 401);
    assert_int_equal(ask_simple(&b, STUN_REFRESH), 441); // the same 5-tuple
    assert_int_equal(permit(&b, "203.0.113.1:1"), 441);
    done(&a);
    done(&b);
    turn_server_free(server);
}

static void test_turn_server_permissions(void **state)
{
    (void)state;
    struct turn_server_config config = world_server_config();
    config.permissions_max = 1;
    struct turn_server *server = turn_server_new(&config);
    struct asker a = ready(server);
    assert_int_equal(permit(&a, "203.0.113.1:1"), 437);
    ask_simple(&a, STUN_ALLOCATE);
    assert_int_equal(ask_simple(&a, STUN_CREATE_PERMISSION), 400);
    static const char *const forbidden[] = {"127.0.0.1:1", "169.254.0.1:1", "224.0.0.1:1",
                                            "0.0.0.0:1", "255.255.255.255:1"};
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        assert_int_equal(permit(&a, forbidden[i]), 403);
    assert_int_equal(permit(&a, "[2001:db8::1]:1"), 443);
    assert_int_equal(permit(&a, "203.0.113.1:1"), 0);
    assert_int_equal(permit(&a, "203.0.113.1:2"), 0);   // the port does not count
    assert_int_equal(permit(&a, "203.0.113.2:1"), 508); // room for one
    assert_int_equal(bind_channel(&a, 0x4000, "203.0.113.2:1"), 508);
    a.now = 300 * TIME_S;
    assert_int_equal(permit(&a, "203.0.113.2:1"), 0); // the first has expired
    done(&a);
    turn_server_free(server);
}

// Does a Send indication to the peer arrive?
static bool reaches(struct asker *a, const char *peer)
{
    struct addr addr = world_addr(peer);
    uint64_t before = turn_server_stats(a->server).relayed_to_peers;
    rng_fill(&a->rng, a->id, sizeof a->id);
    a->s = stun_begin(a->request, sizeof a->request, STUN_INDICATION, STUN_SEND, a->id);
    stun_add_xor_addr(&a->s, STUN_XOR_PEER_ADDRESS, &addr);
    stun_add_bytes(&a->s, STUN_DATA_ATTR, bytes_text("x"));
    struct datagram datagram = {a->addr, a->listen, stun_end(&a->s)};
    turn_server_input(a->server, a->now, &datagram);
    drain(a);
    return turn_server_stats(a->server).relayed_to_peers > before;
}

// RFC 8656 10.2, 12.2: a permission or a channel is installed when the request can be satisfied.
static void test_turn_server_508_changes_nothing(void **state)
{
    (void)state;
    struct turn_server_config config = world_server_config();
    config.permissions_max = 3;
    config.channels_max = 1;
    struct turn_server *server = turn_server_new(&config);
    struct asker a = allocated(server);
    assert_int_equal(bind_channel(&a, 0x4000, "203.0.113.1:1"), 0);
    assert_int_equal(bind_channel(&a, 0x4001, "203.0.113.2:1"), 508); // room for one channel
    assert_false(reaches(&a, "203.0.113.2:1"));
    assert_int_equal(bind_channel(&a, 0x4000, "203.0.113.1:1"), 0);
    static const char *const peers[] = {"203.0.113.3:1", "203.0.113.3:2", "203.0.113.4:1",
                                        "203.0.113.5:1"};
    for (unsigned count = 4; count >= 3; count--) { // room for two more
        ask(&a, STUN_CREATE_PERMISSION);
        for (unsigned i = 0; i < count; i++) {
            struct addr addr = world_addr(peers[i]);
            stun_add_xor_addr(&a.s, STUN_XOR_PEER_ADDRESS, &addr);
        }
        assert_int_equal(told(&a), count == 4 ? 508 : 0);
        assert_int_equal(reaches(&a, peers[0]), count == 3);
    }
    // The channel was refreshed last at 0, its permission is not by what is refused.
    a.now = 300 * TIME_S;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(permit(&a, peers[i]), 0);
    assert_int_equal(permit(&a, peers[3]), 0);
    assert_int_equal(bind_channel(&a, 0x4000, "203.0.113.1:1"), 508); // no room for its permission
    assert_false(reaches(&a, "203.0.113.1:1"));
    a.now = 599 * TIME_S;
    ask_simple(&a, STUN_REFRESH);
    a.now = 600 * TIME_S; // it was not refreshed either
    assert_int_equal(bind_channel(&a, 0x4001, "203.0.113.1:1"), 0);
    done(&a);
    turn_server_free(server);
}

static void test_turn_server_mapped_ipv6_peers(void **state)
{
    (void)state;
    struct turn_server_config config = world_server_config();
    config.relay_ip = world_addr("[2001:db8::5]:0").ip;
    struct turn_server *server = turn_server_new(&config);
    struct asker a = ready(server);
    assert_int_equal(ask_simple(&a, STUN_ALLOCATE), 440); // RFC 8656 7.2 (7): no IPv4 here
    ask(&a, STUN_ALLOCATE);
    stun_add_u32(&a.s, STUN_REQUESTED_ADDRESS_FAMILY, 2u << 24);
    assert_int_equal(told(&a), 0);
    assert_int_equal(permit(&a, "[::ffff:127.0.0.1]:1"), 403);
    assert_int_equal(permit(&a, "[::1]:1"), 403);
    assert_int_equal(permit(&a, "[fe80::1]:1"), 403);
    assert_int_equal(permit(&a, "203.0.113.1:1"), 443);
    assert_int_equal(permit(&a, "[2001:db8::9]:1"), 0);
    // RFC 8656 21.4: Teredo and 6to4, and their neighbours.
    assert_int_equal(permit(&a, "[2001::1]:1"), 403);
    assert_int_equal(permit(&a, "[2002:cb00:7101::1]:1"), 403);
    assert_int_equal(bind_channel(&a, 0x4000, "[2001:0:ffff::1]:1"), 403);
    assert_int_equal(bind_channel(&a, 0x4000, "[2001:1::1]:1"), 0);
    assert_int_equal(permit(&a, "[2003::1]:1"), 0);
    done(&a);
    turn_server_free(server);
}

static void test_turn_server_tunneled_client(void **state)
{
    (void)state;
    struct turn_server *server = server_new();
    struct asker a = asker_new(server, "user", "secret");
    a.addr = world_addr("[2002:cb00:7101::1]:5000");
    assert_int_equal(ask_simple(&a, STUN_ALLOCATE), 401);
    assert_int_equal(ask_simple(&a, STUN_ALLOCATE), 403);
    done(&a);
    turn_server_free(server);
}

static void test_turn_server_channels(void **state)
{
    (void)state;
    struct turn_server_config config = world_server_config();
    config.channels_max = 2;
    struct turn_server *server = turn_server_new(&config);
    struct asker a = allocated(server);
    assert_int_equal(bind_channel(&a, 0, "203.0.113.1:1"), 400);
    assert_int_equal(bind_channel(&a, 0x3fff, "203.0.113.1:1"), 400);
    assert_int_equal(bind_channel(&a, 0x5000, "203.0.113.1:1"), 400);
    assert_int_equal(bind_channel(&a, 0x4fff, "203.0.113.1:1"), 0);
    assert_int_equal(bind_channel(&a, 0x4fff, "203.0.113.1:1"), 0);   // a refresh
    assert_int_equal(bind_channel(&a, 0x4fff, "203.0.113.1:2"), 400); // bound to another
    assert_int_equal(bind_channel(&a, 0x4000, "203.0.113.1:1"), 400); // has another
    assert_int_equal(bind_channel(&a, 0x4001, "127.0.0.1:1"), 403);
    assert_int_equal(bind_channel(&a, 0x4001, "[2001:db8::1]:1"), 443);
    assert_int_equal(bind_channel(&a, 0x4001, "203.0.113.1:3"), 0);
    assert_int_equal(bind_channel(&a, 0x4002, "203.0.113.1:4"), 508);
    a.now = 599 * TIME_S;
    ask_simple(&a, STUN_REFRESH);
    assert_int_equal(bind_channel(&a, 0x4fff, "203.0.113.1:2"), 400);
    a.now = 600 * TIME_S;
    assert_int_equal(bind_channel(&a, 0x4fff, "203.0.113.1:2"), 0); // RFC 8656 12: expired
    done(&a);
    turn_server_free(server);
}

static void test_turn_server_quota_and_capacity(void **state)
{
    (void)state;
    struct turn_server_config config = world_server_config();
    config.allocations_per_user_max = 1;
    config.allocations_max = 2;
    struct turn_server *server = turn_server_new(&config);
    struct asker askers[4];
    static const unsigned codes[] = {0, 486, 0, 508};
    for (unsigned i = 0; i < 4; i++) {
        askers[i] =
            i < 2 ? asker_new(server, "user", "secret") : asker_new(server, "other", "word");
        askers[i].addr.port = (uint16_t)(100 + i);
        ask_simple(&askers[i], STUN_ALLOCATE);
        if (i == 3) { // the quota comes first; free it, and the capacity is not enough
            ask(&askers[0], STUN_REFRESH);
            stun_add_u32(&askers[0].s, STUN_LIFETIME, 0);
            assert_int_equal(told(&askers[0]), 0);
            assert_int_equal(ask_simple(&askers[i], STUN_ALLOCATE), 486);
            continue;
        }
        assert_int_equal(ask_simple(&askers[i], STUN_ALLOCATE), codes[i]);
    }
    assert_int_equal(ask_simple(&askers[1], STUN_ALLOCATE), 0); // the quota is free again
    assert_int_equal(turn_server_stats(server).quota_refusals, 2);
    for (unsigned i = 0; i < 4; i++)
        done(&askers[i]);
    turn_server_free(server);

    config.allocations_per_user_max = 0;
    config.allocations_max = 1;
    server = turn_server_new(&config);
    struct asker a = allocated(server), b = asker_new(server, "other", "word");
    b.addr.port++;
    ask_simple(&b, STUN_ALLOCATE);
    assert_int_equal(ask_simple(&b, STUN_ALLOCATE), 508);
    b.now = 600 * TIME_S; // the first has expired
    assert_int_equal(ask_simple(&b, STUN_ALLOCATE), 0);
    done(&a);
    done(&b);
    turn_server_free(server);
}

static void test_turn_server_one_port(void **state)
{
    (void)state;
    struct turn_server_config config = world_server_config();
    config.relay_port_min = config.relay_port_max = 50001;
    struct turn_server *server = turn_server_new(&config);
    struct asker a = ready(server), b = asker_new(server, "other", "word");
    b.addr.port++;
    ask(&a, STUN_ALLOCATE);
    stun_add_bytes(&a.s, STUN_EVEN_PORT, bytes_of("\x00", 1));
    assert_int_equal(told(&a), 508); // the one port is odd
    assert_int_equal(ask_simple(&a, STUN_ALLOCATE), 0);
    ask_simple(&b, STUN_ALLOCATE);
    assert_int_equal(ask_simple(&b, STUN_ALLOCATE), 508);
    done(&a);
    done(&b);
    turn_server_free(server);
}

static void test_turn_server_try_alternate_is_signed(void **state)
{
    (void)state;
    struct turn_server_config config = world_server_config();
    config.alternate = world_addr("192.0.2.99:3478");
    struct turn_server *server = turn_server_new(&config);
    struct asker a = ready(server);
    assert_int_equal(ask_simple(&a, STUN_ALLOCATE), 300);
    assert_true(stun_auth_check(a.auth, &a.msg));
    assert_true(addr_equal(&a.msg.alternate_server, &config.alternate));
    done(&a);
    turn_server_free(server);
}

static enum turn_drop drop_of(struct asker *a, struct bytes bytes)
{
    struct datagram datagram = {a->addr, a->listen, bytes};
    enum turn_drop drop = turn_server_input(a->server, a->now, &datagram);
    drain(a);
    return drop;
}

static void test_turn_server_drops(void **state)
{
    (void)state;
    struct turn_server *server = server_new();
    struct asker a = asker_new(server, "user", "secret");
    struct addr peer = world_addr("203.0.113.1:1");
    static const uint8_t channel[] = {0x40, 0, 0, 1, 'x'}, short_channel[] = {0x40, 0, 0, 2, 'x'};
    assert_int_equal(drop_of(&a, bytes_of("", 0)), TURN_MALFORMED);
    assert_int_equal(drop_of(&a, bytes_text("\x80 some RTP or other")), TURN_NOT_OURS);
    assert_int_equal(drop_of(&a, bytes_of(channel, sizeof channel)), TURN_NO_ALLOCATION);
    done(&a);
    a = allocated(server);
    assert_int_equal(drop_of(&a, bytes_of(channel, sizeof channel)), TURN_UNKNOWN_CHANNEL);
    assert_int_equal(drop_of(&a, bytes_of(short_channel, sizeof short_channel)), TURN_MALFORMED);
    struct stun_writer s =
        stun_begin(a.request, sizeof a.request, STUN_INDICATION, STUN_SEND, a.id);
    stun_add_xor_addr(&s, STUN_XOR_PEER_ADDRESS, &peer);
    assert_int_equal(drop_of(&a, stun_end(&s)), TURN_MALFORMED); // no DATA
    stun_add_bytes(&s, STUN_DATA_ATTR, bytes_text("x"));
    assert_int_equal(drop_of(&a, stun_end(&s)), TURN_NO_PERMISSION);
    assert_int_equal(permit(&a, "203.0.113.1:9"), 0);
    s = stun_begin(a.request, sizeof a.request, STUN_INDICATION, STUN_SEND, a.id);
    stun_add_xor_addr(&s, STUN_XOR_PEER_ADDRESS, &peer);
    stun_add_bytes(&s, STUN_DATA_ATTR, bytes_text("x"));
    assert_int_equal(drop_of(&a, stun_end(&s)), TURN_KEPT);
    a.now = 300 * TIME_S; // RFC 8656 11.2: sending refreshes nothing
    assert_int_equal(drop_of(&a, stun_end(&s)), TURN_NO_PERMISSION);
    struct datagram to_relay = {peer, {a.listen.ip, 60000}, bytes_text("x")};
    to_relay.to.port = (uint16_t)(a.bound.port == 60000 ? 60001 : 60000);
    assert_int_equal(turn_server_input(server, a.now, &to_relay), TURN_NO_ALLOCATION);
    s = stun_begin(a.request, sizeof a.request, STUN_SUCCESS, STUN_BINDING, a.id);
    assert_int_equal(drop_of(&a, stun_end(&s)), TURN_UNKNOWN_TRANSACTION);
    done(&a);
    turn_server_free(server);
}

static void test_turn_server_queue_full(void **state)
{
    (void)state;
    struct turn_server *server = server_new();
    struct asker a = asker_new(server, "user", "secret");
    struct stun_writer s =
        stun_begin(a.request, sizeof a.request, STUN_REQUEST, STUN_BINDING, a.id);
    struct datagram datagram = {a.addr, a.listen, stun_end(&s)};
    unsigned kept = 0;
    while (turn_server_input(server, 0, &datagram) == TURN_KEPT)
        assert_true(++kept < 1000);
    assert_int_equal(turn_server_input(server, 0, &datagram), TURN_QUEUE_FULL);
    drain(&a);
    assert_int_equal(turn_server_input(server, 0, &datagram), TURN_KEPT);
    done(&a);
    turn_server_free(server);
}

static void test_turn_server_stun_only(void **state)
{
    (void)state;
    struct turn_server_config config = world_server_config();
    config.stun_only = true;
    struct turn_server *server = turn_server_new(&config);
    struct asker a = asker_new(server, "user", "secret");
    ask(&a, STUN_ALLOCATE);
    assert_int_equal(drop_of(&a, stun_end(&a.s)), TURN_NOT_OURS);
    ask(&a, STUN_BINDING);
    assert_int_equal(drop_of(&a, stun_end(&a.s)), TURN_KEPT);
    assert_true(addr_equal(&a.msg.mapped, &a.addr));
    done(&a);
    turn_server_free(server);
}

// RFC 5389 12.2: libnice asks as RFC 3489 did, and would find no reflexive candidate without.
static void test_turn_server_answers_classic_clients(void **state)
{
    (void)state;
    struct turn_server *server = server_new();
    struct asker a = asker_new(server, "user", "secret");
    static const char asked[] = "\0\1\0\0classic-client-1";
    struct datagram request = {a.addr, a.listen, bytes_of(asked, sizeof asked - 1)};
    assert_int_equal(turn_server_input(server, 0, &request), TURN_KEPT);
    struct turn_server_output out;
    assert_true(turn_server_poll(server, 0, &out));
    assert_int_equal(out.kind, TURN_SERVER_SEND);
    assert_true(addr_equal(&out.datagram.to, &a.addr));
    assert_memory_equal(out.datagram.bytes.at,
                        "\1\1\0\x0c"
                        "classic-client-1",
                        20);
    assert_false(turn_server_poll(server, 0, &out));
    done(&a);
    turn_server_free(server);
}

// Hostile bytes: every truncation and every single-byte change of a good request.
static void test_turn_server_takes_any_bytes(void **state)
{
    (void)state;
    struct turn_server *server = server_new();
    struct asker a = allocated(server);
    uint8_t good[STUN_MESSAGE_MAX], bad[STUN_MESSAGE_MAX];
    size_t len = a.sent_len;
    memcpy(good, a.request, len);
    struct turn_server_output out;
    for (size_t at = 0; at < len; at++)
        for (unsigned mask = 1; mask < 256; mask *= 2) {
            memcpy(bad, good, len);
            bad[at] ^= (uint8_t)mask;
            struct datagram datagram = {world_addr("198.51.100.77:1"), a.listen, {bad, len}};
            turn_server_input(server, 0, &datagram);
            datagram.bytes.len = at;
            turn_server_input(server, 0, &datagram);
            while (turn_server_poll(server, 0, &out))
                ;
        }
    assert_int_equal(turn_server_stats(server).allocations, 1);
    done(&a);
    turn_server_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turn_server_401),
        cmocka_unit_test(test_turn_server_400_for_incomplete_credentials),
        cmocka_unit_test(test_turn_server_serves_older_clients),
        cmocka_unit_test(test_turn_server_signs_by_the_algorithms),
        cmocka_unit_test(test_turn_server_allocate_answers),
        cmocka_unit_test(test_turn_server_allocate_refusals),
        cmocka_unit_test(test_turn_server_even_port_and_reservation),
        cmocka_unit_test(test_turn_server_stale_nonce),
        cmocka_unit_test(test_turn_server_refresh),
        cmocka_unit_test(test_turn_server_wrong_user),
        cmocka_unit_test(test_turn_server_permissions),
        cmocka_unit_test(test_turn_server_508_changes_nothing),
        cmocka_unit_test(test_turn_server_mapped_ipv6_peers),
        cmocka_unit_test(test_turn_server_tunneled_client),
        cmocka_unit_test(test_turn_server_channels),
        cmocka_unit_test(test_turn_server_quota_and_capacity),
        cmocka_unit_test(test_turn_server_one_port),
        cmocka_unit_test(test_turn_server_try_alternate_is_signed),
        cmocka_unit_test(test_turn_server_drops),
        cmocka_unit_test(test_turn_server_queue_full),
        cmocka_unit_test(test_turn_server_stun_only),
        cmocka_unit_test(test_turn_server_answers_classic_clients),
        cmocka_unit_test(test_turn_server_takes_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
