// The life of an allocation, in virtual time: made, refreshed, used, lost, given back.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "stack/turn/turn_world.h"

static struct world world; // a test begins and ends it

static void begin(void)
{
    struct turn_server_config server = world_server_config();
    struct turn_client_config client = world_client_config();
    world_init(&world, &server);
    world_add_client(&world, &client);
}

static void begin_with(const struct turn_server_config *server,
                       const struct turn_client_config *client)
{
    world_init(&world, server);
    world_add_client(&world, client);
}

static bool say(const char *text)
{
    return turn_client_send(world.clients[0], world.now, &world.peer, bytes_text(text));
}

static void peer_says(const char *text)
{
    struct addr relayed = turn_client_relayed(world.clients[0]);
    world_send(&world, &world.peer, &relayed, bytes_text(text));
}

static void test_turn_allocate_takes_two_round_trips(void **state)
{
    (void)state;
    begin();
    turn_client_allocate(world.clients[0], 0);
    world_run(&world, 39 * TIME_MS);
    assert_int_equal(turn_client_state(world.clients[0]), TURN_ALLOCATING);
    world_run(&world, 40 * TIME_MS);
    assert_int_equal(turn_client_state(world.clients[0]), TURN_ALLOCATED);
    struct addr relayed = turn_client_relayed(world.clients[0]);
    struct addr mapped = turn_client_mapped(world.clients[0]);
    assert_true(addr_equal(&mapped, &world.client_addrs[0]));
    assert_true(ip_equal(&relayed.ip, &world.listen.ip));
    assert_in_range(relayed.port, 49152, 65535);
    assert_true(world_has_socket(&world, &relayed));
    assert_int_equal(world.requests_to_server, 2);
    world_fini(&world);
}

static void test_turn_data_waits_for_permission_then_uses_a_channel(void **state)
{
    (void)state;
    begin();
    world_allocate(&world, 0);
    assert_true(say("lost"));
    assert_true(say("one")); // the newest waits
    world_for(&world, 39 * TIME_MS);
    assert_int_equal(world.peer_got, 0);
    world_for(&world, TIME_MS); // there and back for the permission, then there
    assert_string_equal(world.peer_text.at, "one ");
    assert_int_equal(world.channel_data_to_server, 0);
    world_for(&world, TIME_S); // the channel is bound meanwhile
    say("two");
    world_for(&world, TIME_S);
    assert_string_equal(world.peer_text.at, "one two ");
    assert_int_equal(world.channel_data_to_server, 1);
    struct addr relayed = turn_client_relayed(world.clients[0]);
    assert_true(addr_equal(&world.peer_got_from, &relayed));
    peer_says("back");
    world_for(&world, TIME_S);
    assert_string_equal(world.client_text.at, "back ");
    assert_int_equal(world.channel_data_to_client, 1);
    world_fini(&world);
}

static void test_turn_without_channels_uses_indications(void **state)
{
    (void)state;
    struct turn_server_config server = world_server_config();
    struct turn_client_config client = world_client_config();
    client.channels = false;
    client.dont_fragment = true;
    begin_with(&server, &client);
    world_allocate(&world, 0);
    for (int i = 0; i < 3; i++) {
        say("out");
        world_for(&world, TIME_S);
        peer_says("in");
        world_for(&world, TIME_S);
    }
    assert_string_equal(world.peer_text.at, "out out out ");
    assert_string_equal(world.client_text.at, "in in in ");
    assert_int_equal(world.channel_data_to_server + world.channel_data_to_client, 0);
    say(""); // RFC 8656 11.2: zero bytes are data
    world_for(&world, TIME_S);
    assert_int_equal(world.peer_got, 4);
    world_fini(&world);
}

static void test_turn_peer_without_permission_is_refused(void **state)
{
    (void)state;
    begin();
    world_allocate(&world, 0);
    peer_says("in");
    world_for(&world, TIME_S);
    assert_int_equal(world.server_drop, TURN_NO_PERMISSION);
    turn_client_permit(world.clients[0], world.now, &world.peer.ip);
    world_for(&world, TIME_S);
    peer_says("in");
    world_for(&world, TIME_S);
    assert_string_equal(world.client_text.at, "in ");
    world_fini(&world);
}

// A quarter of an hour with a datagram each way every ten seconds: refreshes of the allocation at
// 540 s, of the permission every 240 s, of the channel every 540 s, and not a datagram lost.
static void test_turn_quarter_of_an_hour(void **state)
{
    (void)state;
    begin();
    world_allocate(&world, 0);
    unsigned rounds = 0;
    for (; world.now < 15 * 60 * TIME_S; rounds++) {
        assert_true(say("."));
        world_for(&world, TIME_S);
        peer_says(".");
        world_for(&world, 9 * TIME_S);
    }
    assert_int_equal(world.peer_got, rounds);
    assert_int_equal(world.client_got, rounds);
    assert_int_equal(world.channel_data_to_client, rounds);
    assert_int_equal(world.channel_data_to_server, rounds - 1);
    struct turn_client_stats stats = turn_client_stats(world.clients[0]);
    assert_int_equal(stats.refreshes, 1);
    assert_int_equal(stats.channel_binds, 2);
    // At 0 s, 240 s, 480 s; the channel's second binding at 540 s renews it; then 780 s.
    assert_int_equal(stats.permissions, 4);
    assert_int_equal(stats.retransmissions, 0);
    world_fini(&world);
}

static void test_turn_idle_quarter_of_an_hour_keeps_permission_and_allocation(void **state)
{
    (void)state;
    struct turn_server_config server = world_server_config();
    struct turn_client_config client = world_client_config();
    client.channels = false;
    begin_with(&server, &client);
    world_allocate(&world, 0);
    turn_client_permit(world.clients[0], world.now, &world.peer.ip);
    world_run(&world, 15 * 60 * TIME_S);
    peer_says("late");
    world_for(&world, TIME_S);
    assert_string_equal(world.client_text.at, "late ");
    world_fini(&world);
}

static void test_turn_short_nonces_cost_a_round_trip_each(void **state)
{
    (void)state;
    struct turn_server_config server = world_server_config();
    struct turn_client_config client = world_client_config();
    server.nonce_lifetime_s = 30;
    begin_with(&server, &client);
    world_allocate(&world, 0);
    while (world.now < 15 * 60 * TIME_S) {
        say(".");
        world_for(&world, 10 * TIME_S);
    }
    assert_int_equal(turn_client_state(world.clients[0]), TURN_ALLOCATED);
    assert_int_equal(world.peer_got, 90);
    struct turn_client_stats stats = turn_client_stats(world.clients[0]);
    assert_int_equal(stats.refreshes, 1);
    // 240, 480, 540 (refresh, then channel), 780 s: the refresh's new nonce serves the channel, or
    // both were sent with the old one.
    assert_in_range(stats.stale_nonces, 4, 5);
    assert_int_equal(turn_server_stats(world.server).stale_nonces, stats.stale_nonces);
    world_fini(&world);
}

static void test_turn_refresh_of_short_lifetimes_is_at_half(void **state)
{
    (void)state;
    struct turn_server_config server = world_server_config();
    struct turn_client_config client = world_client_config();
    server.lifetime_default_s = server.lifetime_max_s = 100;
    begin_with(&server, &client);
    turn_client_allocate(world.clients[0], 0);
    world_run(&world, 50 * TIME_S);
    assert_int_equal(turn_client_stats(world.clients[0]).refreshes, 0);
    assert_int_equal(turn_client_deadline(world.clients[0]), 50 * TIME_S + 40 * TIME_MS);
    world_run(&world, 51 * TIME_S);
    assert_int_equal(turn_client_stats(world.clients[0]).refreshes, 1);
    world_fini(&world);
}

static void test_turn_asked_lifetime_is_bounded(void **state)
{
    (void)state;
    struct turn_server_config server = world_server_config();
    struct turn_client_config client = world_client_config();
    client.lifetime_s = 1000000;
    begin_with(&server, &client);
    world_allocate(&world, 0);
    world.cut = true; // RFC 8656 7.2: an hour at most
    // The request came at 30 ms, after the challenge.
    assert_int_equal(turn_server_deadline(world.server), 3600 * TIME_S + 30 * TIME_MS);
    world_run(&world, 3600 * TIME_S + 29 * TIME_MS);
    assert_int_equal(turn_server_stats(world.server).allocations_live, 1);
    world_run(&world, 3600 * TIME_S + 30 * TIME_MS);
    assert_int_equal(turn_server_stats(world.server).allocations_live, 0);
    assert_int_equal(world.sockets_count, 0);
    world_fini(&world);
}

static void test_turn_release_gives_the_socket_back(void **state)
{
    (void)state;
    begin();
    world_allocate(&world, 0);
    assert_int_equal(world.sockets_count, 1);
    turn_client_release(world.clients[0], world.now);
    assert_false(say("no more"));
    world_for(&world, TIME_S);
    assert_int_equal(turn_client_state(world.clients[0]), TURN_RELEASED);
    assert_int_equal(world.sockets_count, 0);
    assert_int_equal(turn_client_deadline(world.clients[0]), TIME_NEVER);
    assert_int_equal(turn_server_deadline(world.server), TIME_NEVER);
    world_fini(&world);
}

static void test_turn_no_answer_fails_after_39500_ms(void **state)
{
    (void)state;
    begin();
    world.cut = true;
    turn_client_allocate(world.clients[0], 0);
    world_run(&world, 39499 * TIME_MS); // RFC 8489 6.2.1
    assert_int_equal(turn_client_state(world.clients[0]), TURN_ALLOCATING);
    assert_int_equal(turn_client_stats(world.clients[0]).retransmissions, 6);
    world_run(&world, 39500 * TIME_MS);
    assert_int_equal(turn_client_state(world.clients[0]), TURN_FAILED);
    struct bytes reason;
    assert_int_equal(turn_client_failure(world.clients[0], &reason), 0);
    assert_true(bytes_is(reason, "no answer"));
    world_fini(&world);
}

static void test_turn_unanswered_refresh_ends_the_allocation(void **state)
{
    (void)state;
    begin();
    world_allocate(&world, 0);
    world.cut = true;
    // The answer came at 40 ms; the refresh starts 540 s later and is given up 39.5 s after.
    world_run(&world, 540 * TIME_S + 40 * TIME_MS + 39500 * TIME_MS - 1);
    assert_int_equal(turn_client_state(world.clients[0]), TURN_ALLOCATED);
    world_for(&world, 1);
    assert_int_equal(turn_client_state(world.clients[0]), TURN_FAILED);
    world_fini(&world);
}

static void test_turn_server_reset_is_told_by_437(void **state)
{
    (void)state;
    begin();
    world_allocate(&world, 0);
    say("one");
    world_for(&world, TIME_S);
    turn_server_reset(world.server, world.now);
    world_for(&world, TIME_S);
    assert_int_equal(world.sockets_count, 0);
    assert_int_equal(turn_server_stats(world.server).allocations_live, 0);
    say("into the void");
    world_for(&world, TIME_S);
    assert_int_equal(world.server_drop, TURN_NO_ALLOCATION);
    struct addr other = world_addr("203.0.113.77:1");
    turn_client_permit(world.clients[0], world.now, &other.ip);
    world_for(&world, TIME_S); // 438 first: the secret of the nonces is new too
    assert_int_equal(turn_client_stats(world.clients[0]).stale_nonces, 1);
    assert_int_equal(turn_client_state(world.clients[0]), TURN_FAILED);
    assert_int_equal(turn_client_failure(world.clients[0], NULL), 437);
    world_fini(&world);
}

// Each answer is lost once and each request comes twice: one allocation all the same.
static void test_turn_bad_wire_makes_one_allocation(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 50; seed++) {
        begin();
        world.rng = rng_seed(seed, "wire");
        world.loss = 300 * 1000 * 1000;
        world.duplication = 300 * 1000 * 1000;
        world.reordering = 500 * 1000 * 1000;
        turn_client_allocate(world.clients[0], 0);
        world_run(&world, 60 * TIME_S);
        if (turn_client_state(world.clients[0]) == TURN_ALLOCATED) {
            for (int i = 0; i < 100; i++) {
                say("x");
                world_for(&world, TIME_S);
            }
            assert_true(world.peer_got > 30);
            struct addr relayed = turn_client_relayed(world.clients[0]);
            assert_true(world_has_socket(&world, &relayed));
        }
        assert_true(turn_server_stats(world.server).allocations <= 1);
        turn_client_release(world.clients[0], world.now);
        world.loss = world.reordering = 0;
        world_run(&world, world.now + 700 * TIME_S);
        assert_int_equal(turn_client_state(world.clients[0]), TURN_RELEASED);
        assert_int_equal(world.sockets_count, 0);
        world_fini(&world);
    }
}

static void test_turn_same_seed_same_trace(void **state)
{
    (void)state;
    char *first = NULL;
    for (int run = 0; run < 2; run++) {
        begin();
        world.loss = world.duplication = 200 * 1000 * 1000;
        world_allocate(&world, 0);
        for (int i = 0; i < 100; i++) {
            say("x");
            world_for(&world, 7 * TIME_S);
        }
        if (!first)
            first = strndup(world.log.text.at, world.log.text.len);
        else
            assert_string_equal(world.log.text.at, first);
        world_fini(&world);
    }
    free(first);
}

static void test_turn_bind_failure_is_told(void **state)
{
    (void)state;
    struct turn_server_config server = world_server_config();
    struct turn_client_config client = world_client_config();
    world_init(&world, &server);
    world.refuse_binds = 100;
    world_add_client(&world, &client);
    assert_int_equal(world_allocate(&world, 0), TURN_FAILED);
    assert_int_equal(world.binds_refused, 8);
    assert_int_equal(turn_client_failure(world.clients[0], NULL), 508);
    assert_int_equal(turn_server_stats(world.server).allocations_live, 0);
    world_fini(&world);
}

static void test_turn_server_tries_another_port(void **state)
{
    (void)state;
    struct turn_server_config server = world_server_config();
    struct turn_client_config client = world_client_config();
    world_init(&world, &server);
    world.refuse_binds = 7;
    world_add_client(&world, &client);
    assert_int_equal(world_allocate(&world, 0), TURN_ALLOCATED);
    assert_int_equal(world.binds_refused, 7);
    assert_int_equal(world.sockets_count, 1);
    struct addr relayed = turn_client_relayed(world.clients[0]);
    assert_true(addr_equal(&relayed, &world.sockets[0]));
    assert_int_equal(turn_server_stats(world.server).allocations_live, 1);
    assert_int_equal(turn_server_stats(world.server).errors, 1); // 401 alone
    world_fini(&world);
}

static void test_turn_retransmitted_allocate_gets_the_same_address(void **state)
{
    (void)state;
    begin();
    turn_client_allocate(world.clients[0], 0);
    world_run(&world, 25 * TIME_MS);
    world.cut = true; // the success is lost
    world_run(&world, 400 * TIME_MS);
    assert_int_equal(world.sockets_count, 1);
    struct addr relay = world.sockets[0];
    world.cut = false;
    world_run(&world, 2 * TIME_S);
    assert_int_equal(turn_client_state(world.clients[0]), TURN_ALLOCATED);
    struct addr relayed = turn_client_relayed(world.clients[0]);
    assert_true(addr_equal(&relayed, &relay));
    assert_int_equal(turn_client_stats(world.clients[0]).retransmissions, 1);
    assert_int_equal(turn_server_stats(world.server).allocations, 1);
    world_fini(&world);
}

static void test_turn_two_clients_relay_to_each_other(void **state)
{
    (void)state;
    begin();
    struct turn_client_config client = world_client_config();
    unsigned second = world_add_client(&world, &client);
    world_allocate(&world, 0);
    world_allocate(&world, second);
    struct addr a = turn_client_relayed(world.clients[0]);
    struct addr b = turn_client_relayed(world.clients[second]);
    turn_client_permit(world.clients[second], world.now, &a.ip);
    world_for(&world, TIME_S);
    turn_client_send(world.clients[0], world.now, &b, bytes_text("hello"));
    world_for(&world, TIME_S);
    assert_string_equal(world.client_text.at, "hello ");
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turn_allocate_takes_two_round_trips),
        cmocka_unit_test(test_turn_data_waits_for_permission_then_uses_a_channel),
        cmocka_unit_test(test_turn_without_channels_uses_indications),
        cmocka_unit_test(test_turn_peer_without_permission_is_refused),
        cmocka_unit_test(test_turn_quarter_of_an_hour),
        cmocka_unit_test(test_turn_idle_quarter_of_an_hour_keeps_permission_and_allocation),
        cmocka_unit_test(test_turn_short_nonces_cost_a_round_trip_each),
        cmocka_unit_test(test_turn_refresh_of_short_lifetimes_is_at_half),
        cmocka_unit_test(test_turn_asked_lifetime_is_bounded),
        cmocka_unit_test(test_turn_release_gives_the_socket_back),
        cmocka_unit_test(test_turn_no_answer_fails_after_39500_ms),
        cmocka_unit_test(test_turn_unanswered_refresh_ends_the_allocation),
        cmocka_unit_test(test_turn_server_reset_is_told_by_437),
        cmocka_unit_test(test_turn_bad_wire_makes_one_allocation),
        cmocka_unit_test(test_turn_same_seed_same_trace),
        cmocka_unit_test(test_turn_bind_failure_is_told),
        cmocka_unit_test(test_turn_server_tries_another_port),
        cmocka_unit_test(test_turn_retransmitted_allocate_gets_the_same_address),
        cmocka_unit_test(test_turn_two_clients_relay_to_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
