#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/world.h"

#include <stdlib.h>

// Two hosts on one segment. `link` is what carries a to b: the up link of a.
struct duo {
    struct world *world;
    struct host *a, *b;
    struct addr at_a, at_b;
    struct link *link;
};

static const struct link_config none = {0};

static struct duo duo_new(const struct link_config *config)
{
    struct duo duo = {.at_a = {ip_v4(192, 0, 2, 1), 1000}, .at_b = {ip_v4(192, 0, 2, 2), 2000}};
    duo.world = world_new(&(struct world_config){.seed = 42, .wakers = 1});
    struct segment *lan = world_add_segment(duo.world, "lan", &(struct segment_config){0});
    duo.a = world_add_host(duo.world, "a");
    duo.b = world_add_host(duo.world, "b");
    assert_true(host_attach(duo.a, lan, &duo.at_a.ip, config, &none));
    assert_true(host_attach(duo.b, lan, &duo.at_b.ip, &none, &none));
    assert_true(host_bind(duo.a, &duo.at_a));
    assert_true(host_bind(duo.b, &duo.at_b));
    duo.link = host_link(duo.a, 0, true);
    return duo;
}

static enum net_drop send_len(struct duo *duo, uint32_t number, size_t len)
{
    static uint8_t payload[NET_DATAGRAM_MAX];
    memset(payload, 0, 8);
    put_u32(payload, number);
    return host_send(duo->a, &duo->at_a, &duo->at_b, bytes_of(payload, len));
}

// The next arrival: its number, at this time.
static bool next(struct duo *duo, nanotime until, uint32_t *number)
{
    struct world_event event;
    if (!world_next(duo->world, until, &event))
        return false;
    assert_int_equal(event.kind, WORLD_DATAGRAM);
    assert_ptr_equal(event.host, duo->b);
    struct reader r = reader_of(event.datagram.bytes);
    *number = read_u32(&r);
    return true;
}

static void arrives(struct duo *duo, uint32_t number, nanotime time)
{
    uint32_t got;
    assert_true(next(duo, TIME_NEVER, &got));
    assert_int_equal(got, number);
    assert_int_equal(world_now(duo->world), time);
}

static void nothing_arrives(struct duo *duo)
{
    uint32_t got;
    assert_false(next(duo, TIME_NEVER, &got));
}

static void test_link_plain_delivers_at_once(void **state)
{
    (void)state;
    struct duo duo = duo_new(&none);
    send_len(&duo, 1, 8);
    send_len(&duo, 2, 0);
    arrives(&duo, 1, 0);
    arrives(&duo, 0, 0); // no payload, no number
    assert_int_equal(link_stats(duo.link).packets, 2);
    assert_int_equal(link_stats(duo.link).bytes, 36 + 28);
    world_free(duo.world);
}

static void test_link_delay_is_exact(void **state)
{
    (void)state;
    struct duo duo = duo_new(&(struct link_config){.delay = 25 * TIME_MS});
    send_len(&duo, 1, 8);
    uint32_t number;
    assert_false(next(&duo, 10 * TIME_MS, &number));
    assert_int_equal(world_now(duo.world), 10 * TIME_MS);
    send_len(&duo, 2, 8);
    arrives(&duo, 1, 25 * TIME_MS);
    arrives(&duo, 2, 35 * TIME_MS);
    world_free(duo.world);
}

static void test_link_keeps_order_when_its_delay_shrinks(void **state)
{
    (void)state;
    struct duo duo = duo_new(&(struct link_config){.delay = 100});
    send_len(&duo, 1, 8);
    link_configure(duo.link, &none); // what is on its way stays so
    send_len(&duo, 2, 8);
    arrives(&duo, 1, 100);
    arrives(&duo, 2, 100);
    send_len(&duo, 3, 8);
    arrives(&duo, 3, 100);
    world_free(duo.world);
}

// What becomes plain at the very moment when a packet is to leave it: that one still goes first.
static void test_link_that_becomes_plain_keeps_order(void **state)
{
    (void)state;
    struct duo duo = duo_new(&(struct link_config){.delay = 100});
    struct world_event event;
    link_configure(host_link(duo.b, 0, false), &(struct link_config){.delay = 10});
    world_wake_at(duo.world, 0, 100);
    send_len(&duo, 1, 8);
    assert_true(world_next(duo.world, 100, &event));
    assert_int_equal(event.kind, WORLD_WAKE); // its turn comes before that of the packet
    link_configure(duo.link, &none);
    send_len(&duo, 2, 8);
    arrives(&duo, 1, 110);
    arrives(&duo, 2, 110);
    world_free(duo.world);
}

// ----------------------------------------------------------------------------------------- jitter

struct spread {
    nanotime least, most, sum;
    unsigned overtaken;
};

// A packet each millisecond: how long they took, and how many came after a later one.
static struct spread spread_of(const struct link_config *config, unsigned count)
{
    struct duo duo = duo_new(config);
    struct spread spread = {.least = TIME_NEVER};
    uint32_t got = 0, highest = 0;
    for (unsigned i = 0; i < count; i++) {
        send_len(&duo, i, 8);
        for (;;) {
            if (!next(&duo, (nanotime)(i + 1) * TIME_MS, &got))
                break;
            nanotime took = world_now(duo.world) - got * TIME_MS;
            spread.least = time_min(spread.least, took);
            spread.most = time_max(spread.most, took);
            spread.sum += took;
            spread.overtaken += got < highest;
            highest = got > highest ? got : highest;
        }
    }
    world_free(duo.world);
    return spread;
}

static void test_link_jitter_uniform_spreads_from_zero_to_its_limit(void **state)
{
    (void)state;
    struct link_config config = {
        .delay = 20 * TIME_MS, .jitter = 10 * TIME_MS, .jitter_reorders = true};
    struct spread spread = spread_of(&config, 20000);
    assert_in_range(spread.least, 20 * TIME_MS, 20 * TIME_MS + 10 * TIME_US);
    assert_in_range(spread.most, 30 * TIME_MS - 10 * TIME_US, 30 * TIME_MS);
    assert_in_range(spread.sum / 20000, 24900 * TIME_US, 25100 * TIME_US);
    assert_true(spread.overtaken > 5000);
}

static void test_link_jitter_keeps_order_unless_told(void **state)
{
    (void)state;
    struct link_config config = {.delay = 20 * TIME_MS, .jitter = 10 * TIME_MS};
    struct spread spread = spread_of(&config, 5000);
    assert_int_equal(spread.overtaken, 0);
    assert_in_range(spread.most, 29 * TIME_MS, 30 * TIME_MS);
    assert_true(spread.sum / 5000 > 25 * TIME_MS); // the slow hold up those behind
}

static void test_link_jitter_normal_lies_around_the_delay(void **state)
{
    (void)state;
    struct link_config config = {.delay = 20 * TIME_MS,
                                 .jitter = 2 * TIME_MS,
                                 .shape = JITTER_NORMAL,
                                 .jitter_reorders = true};
    struct spread spread = spread_of(&config, 20000);
    assert_in_range(spread.least, 14 * TIME_MS, 15 * TIME_MS); // cut at three deviations
    assert_in_range(spread.most, 25 * TIME_MS, 26 * TIME_MS);
    assert_in_range(spread.sum / 20000, 19950 * TIME_US, 20050 * TIME_US);
    config.delay = TIME_MS;
    assert_int_equal(spread_of(&config, 2000).least, 0); // never before it was sent
}

// ------------------------------------------------------------------------------------------- loss

struct losses {
    unsigned lost, bursts;
};

static struct losses losses_of(const struct link_config *config, unsigned count)
{
    struct duo duo = duo_new(config);
    struct losses losses = {0};
    bool was_lost = false;
    for (unsigned i = 0; i < count; i++) {
        uint32_t got;
        send_len(&duo, i, 8);
        bool is_lost = !next(&duo, (i + 1) * TIME_MS, &got);
        losses.lost += is_lost;
        losses.bursts += is_lost && !was_lost;
        was_lost = is_lost;
    }
    assert_int_equal(link_stats(duo.link).lost, losses.lost);
    assert_int_equal(world_counters(duo.world).drops[NET_LOSS], losses.lost);
    assert_int_equal(host_counters(duo.a).drops[NET_LOSS], losses.lost);
    assert_int_equal(link_stats(duo.link).packets, count - losses.lost);
    world_free(duo.world);
    return losses;
}

static void test_link_loss_is_as_likely_as_told(void **state)
{
    (void)state;
    struct losses losses = losses_of(&(struct link_config){.loss = 50000000}, 100000); // 5 %
    assert_in_range(losses.lost, 4800, 5200);
    assert_in_range(losses.bursts, 4550, 4950); // independent: 95 % of losses begin a burst
    losses = losses_of(&(struct link_config){.loss = RNG_BILLION}, 100);
    assert_int_equal(losses.lost, 100);
    losses = losses_of(&(struct link_config){.loss = 0, .loss_burst = 10}, 100);
    assert_int_equal(losses.lost, 0);
}

static void test_link_loss_bursts_have_their_mean_length(void **state)
{
    (void)state;
    struct link_config config = {.loss = 50000000, .loss_burst = 8};
    struct losses losses = losses_of(&config, 400000);
    assert_in_range(losses.lost, 19000, 21000);
    assert_in_range(losses.lost * 10 / losses.bursts, 76, 84); // 8.0
}

static void test_link_loss_of_almost_all_in_bursts(void **state)
{
    (void)state;
    struct link_config config = {.loss = RNG_BILLION, .loss_burst = 5};
    assert_int_equal(losses_of(&config, 100).lost, 100);
    config.loss = 800000000;
    assert_in_range(losses_of(&config, 50000).lost, 39000, 41000);
    // One packet between two bursts of two would lose two of three: bursts are longer.
    config = (struct link_config){.loss = 900000000, .loss_burst = 2};
    struct losses losses = losses_of(&config, 50000);
    assert_in_range(losses.lost, 44500, 45500);
    assert_in_range(losses.lost * 10 / losses.bursts, 85, 95);
}

// ------------------------------------------------------------------------------------------- rate

static void test_link_rate_times_each_packet_exactly(void **state)
{
    (void)state;
    // 1 Mbit/s, 1028 bytes with headers: 8.224 ms each.
    struct duo duo = duo_new(&(struct link_config){.rate_bps = 1000000, .delay = TIME_MS});
    for (uint32_t i = 1; i <= 3; i++)
        send_len(&duo, i, 1000);
    for (uint32_t i = 1; i <= 3; i++)
        arrives(&duo, i, i * 8224 * TIME_US + TIME_MS);
    // Idle since: the next begins at once.
    uint32_t number;
    assert_false(next(&duo, TIME_S, &number));
    send_len(&duo, 4, 1000);
    arrives(&duo, 4, TIME_S + 8224 * TIME_US + TIME_MS);
    world_free(duo.world);
}

static void test_link_rate_loses_no_part_of_a_nanosecond(void **state)
{
    (void)state;
    // 7 Gbit/s, 36 bytes: 41 and 1/7 ns each.
    struct duo duo = duo_new(&(struct link_config){.rate_bps = 7000000000u});
    for (uint32_t i = 1; i <= 700; i++)
        send_len(&duo, i, 8);
    for (uint32_t i = 1; i <= 700; i++)
        arrives(&duo, i, (nanotime)i * 288 / 7);
    world_free(duo.world);
}

static void test_link_queue_drops_at_its_tail(void **state)
{
    (void)state;
    // One byte a millisecond; 100-byte packets; one is being sent, two wait, the fourth is too
    // many.
    struct duo duo = duo_new(&(struct link_config){.rate_bps = 8000, .queue_bytes = 200});
    for (uint32_t i = 1; i <= 4; i++)
        assert_int_equal(send_len(&duo, i, 72), NET_DELIVERED);
    assert_int_equal(link_stats(duo.link).queue_full, 1);
    assert_int_equal(link_stats(duo.link).queue_max_bytes, 200);
    arrives(&duo, 1, 100 * TIME_MS);
    send_len(&duo, 5, 72); // the second has begun: there is room for one
    send_len(&duo, 6, 72);
    arrives(&duo, 2, 200 * TIME_MS);
    arrives(&duo, 3, 300 * TIME_MS);
    arrives(&duo, 5, 400 * TIME_MS);
    nothing_arrives(&duo);
    assert_int_equal(world_counters(duo.world).drops[NET_QUEUE_FULL], 2);
    world_free(duo.world);
}

static void test_link_queue_smaller_than_a_packet_still_sends(void **state)
{
    (void)state;
    struct duo duo = duo_new(&(struct link_config){.rate_bps = 8000, .queue_bytes = 1});
    send_len(&duo, 1, 72);
    send_len(&duo, 2, 72);
    arrives(&duo, 1, 100 * TIME_MS);
    nothing_arrives(&duo);
    world_free(duo.world);
}

// ------------------------------------------------------------------------------------------- CoDel

// 8 Mbit/s and packets of 1000 bytes: one leaves each millisecond.
static const struct link_config codel = {
    .rate_bps = 8000000, .queue_bytes = 10000000, .discipline = LINK_CODEL};

static void test_link_codel_drops_at_the_head_by_the_control_law(void **state)
{
    (void)state;
    struct duo duo = duo_new(&codel);
    for (uint32_t i = 0; i < 1000; i++)
        send_len(&duo, i, 972);
    // Packet i would leave at i ms. The one of 5 ms is the first above the target, so the first
    // drop is at 105 ms, the next 100 ms / sqrt(n) later each: 205, 275.7, 333.4, 383.4, 428.2,
    // 469.0. Each time the queue has moved up by one more.
    static const uint32_t dropped[] = {105, 206, 278, 337, 388, 434, 475};
    unsigned at = 0;
    for (uint32_t i = 0; i < 480; i++) {
        if (at < 7 && i == dropped[at])
            at++;
        else
            arrives(&duo, i, (nanotime)(i - at + 1) * TIME_MS);
    }
    assert_int_equal(link_stats(duo.link).codel, 7);
    assert_int_equal(world_counters(duo.world).drops[NET_CODEL], 7);
    assert_int_equal(host_counters(duo.a).drops[NET_CODEL], 7);
    world_free(duo.world);
}

static void test_link_codel_leaves_a_short_queue_alone(void **state)
{
    (void)state;
    // Four packets come at once each 4 ms: the last of them waits 3 ms.
    struct duo duo = duo_new(&codel);
    for (uint32_t i = 0; i < 2000; i++) {
        uint32_t number;
        send_len(&duo, i, 972);
        if (i % 4 == 3)
            while (next(&duo, (nanotime)(i + 1) * TIME_MS, &number))
                assert_true(number <= i);
    }
    assert_int_equal(link_stats(duo.link).codel, 0);
    assert_int_equal(link_stats(duo.link).packets, 2000);
    assert_int_equal(link_stats(duo.link).queue_max_bytes, 3000);
    world_free(duo.world);
}

static void test_link_codel_keeps_the_last_packet(void **state)
{
    (void)state;
    // RFC 8289 5.6: a link of 8 kbit/s holds one packet for a second, far above the target; with
    // no more than one behind it, the link would run dry.
    struct link_config config = codel;
    config.rate_bps = 8000;
    struct duo duo = duo_new(&config);
    send_len(&duo, 0, 972);
    for (uint32_t i = 1; i < 20; i++) {
        send_len(&duo, i, 972);
        arrives(&duo, i - 1, i * TIME_S);
    }
    arrives(&duo, 19, 20 * TIME_S);
    assert_int_equal(link_stats(duo.link).codel, 0);
    world_free(duo.world);
}

static void test_link_codel_is_bounded(void **state)
{
    (void)state;
    struct link_config config = codel;
    config.queue_bytes = 2000;
    struct duo duo = duo_new(&config);
    for (uint32_t i = 0; i < 5; i++)
        send_len(&duo, i, 972);
    for (uint32_t i = 0; i < 3; i++)
        arrives(&duo, i, (nanotime)(i + 1) * TIME_MS);
    nothing_arrives(&duo);
    assert_int_equal(link_stats(duo.link).queue_full, 2);
    world_free(duo.world);
}

static void test_link_codel_hands_over_what_waits(void **state)
{
    (void)state;
    struct link_config tail = {.rate_bps = 8000000};
    struct duo duo = duo_new(&codel);
    for (uint32_t i = 0; i < 4; i++)
        send_len(&duo, i, 972);
    link_configure(duo.link, &tail); // the fifth stays behind those before it
    send_len(&duo, 4, 972);
    for (uint32_t i = 0; i < 5; i++)
        arrives(&duo, i, (nanotime)(i + 1) * TIME_MS);
    send_len(&duo, 5, 972);
    send_len(&duo, 6, 972);
    link_configure(duo.link, &codel);
    send_len(&duo, 7, 972);
    send_len(&duo, 8, 972);
    link_configure(duo.link, &none); // no rate: all that waits leaves when the line is free
    send_len(&duo, 9, 972);
    arrives(&duo, 5, 6 * TIME_MS);
    for (uint32_t i = 6; i < 10; i++)
        arrives(&duo, i, 7 * TIME_MS);
    nothing_arrives(&duo);
    world_free(duo.world);
}

// ----------------------------------------------------------------------------------------- limits

static void test_link_mtu_bounds_the_ip_packet(void **state)
{
    (void)state;
    struct duo duo = duo_new(&(struct link_config){.mtu = 1280});
    assert_int_equal(send_len(&duo, 1, 1252), NET_DELIVERED);
    assert_int_equal(send_len(&duo, 2, 1253), NET_TOO_BIG); // known to the sender
    arrives(&duo, 1, 0);
    link_configure(duo.link, &(struct link_config){.mtu = 65535});
    link_configure(host_link(duo.b, 0, false), &(struct link_config){.mtu = 1400});
    assert_int_equal(send_len(&duo, 3, 1473), NET_DELIVERED); // too long for the segment
    assert_int_equal(send_len(&duo, 4, 1373), NET_DELIVERED); // and for b
    assert_int_equal(send_len(&duo, 5, NET_DATAGRAM_MAX + 1), NET_TOO_BIG);
    nothing_arrives(&duo);
    assert_int_equal(link_stats(duo.link).too_big, 2);
    assert_int_equal(host_counters(duo.a).drops[NET_TOO_BIG], 3);
    assert_int_equal(host_counters(duo.b).drops[NET_TOO_BIG], 1);
    world_free(duo.world);
}

static void test_link_largest_datagram_passes_a_wide_path(void **state)
{
    (void)state;
    struct link_config wide = {.mtu = 65535};
    struct world *world = world_new(&(struct world_config){.seed = 1});
    struct segment *lan =
        world_add_segment(world, "lan", &(struct segment_config){.transit = wide});
    struct host *host = world_add_host(world, "a"), *other = world_add_host(world, "b");
    struct addr from = {ip_v4(192, 0, 2, 1), 1}, to = {ip_v4(192, 0, 2, 2), 2};
    host_attach(host, lan, &from.ip, &wide, &wide);
    host_attach(other, lan, &to.ip, &wide, &wide);
    host_bind(host, &from);
    host_bind(other, &to);
    uint8_t *payload = calloc(1, NET_DATAGRAM_MAX);
    assert_int_equal(host_send(host, &from, &to, bytes_of(payload, NET_DATAGRAM_MAX)),
                     NET_DELIVERED);
    struct world_event event;
    assert_true(world_next(world, 0, &event));
    assert_int_equal(event.datagram.bytes.len, NET_DATAGRAM_MAX);
    free(payload);
    world_free(world);
}

static void test_link_down_drops_what_comes_and_keeps_what_is_on_it(void **state)
{
    (void)state;
    struct duo duo = duo_new(&(struct link_config){.delay = 100});
    send_len(&duo, 1, 8);
    link_configure(duo.link, &(struct link_config){.delay = 100, .down = true});
    assert_true(link_config(duo.link)->down);
    assert_int_equal(send_len(&duo, 2, 8), NET_DELIVERED);
    arrives(&duo, 1, 100);
    nothing_arrives(&duo);
    assert_int_equal(link_stats(duo.link).while_down, 1);
    link_configure(duo.link, &none);
    send_len(&duo, 3, 8);
    arrives(&duo, 3, 100);
    world_free(duo.world);
}

// ----------------------------------------------------------------------------------------- faults

static void test_link_duplicates(void **state)
{
    (void)state;
    struct duo duo = duo_new(&(struct link_config){.delay = 5, .duplicate = RNG_BILLION});
    send_len(&duo, 1, 8);
    send_len(&duo, 2, 500);
    arrives(&duo, 1, 5);
    arrives(&duo, 1, 5);
    arrives(&duo, 2, 5);
    arrives(&duo, 2, 5);
    nothing_arrives(&duo);
    assert_int_equal(link_stats(duo.link).duplicated, 2);
    assert_int_equal(link_stats(duo.link).packets, 4);
    world_free(duo.world);
}

static void test_link_reorder_holds_one_back(void **state)
{
    (void)state;
    struct link_config config = {.delay = 10, .reorder = RNG_BILLION, .reorder_by = 100};
    struct duo duo = duo_new(&config);
    send_len(&duo, 1, 8);
    config.reorder = 0;
    link_configure(duo.link, &config);
    send_len(&duo, 2, 8);
    arrives(&duo, 2, 10);
    arrives(&duo, 1, 110);
    assert_int_equal(link_stats(duo.link).reordered, 1);
    world_free(duo.world);
}

static void test_link_reorder_rate(void **state)
{
    (void)state;
    struct link_config config = {
        .delay = TIME_MS, .reorder = 100000000, .reorder_by = 1500 * TIME_US};
    struct spread spread = spread_of(&config, 10000);
    assert_in_range(spread.overtaken, 850, 1000); // held back, and the next was not
}

static void test_link_corruption_is_found_by_the_receiver(void **state)
{
    (void)state;
    struct duo duo = duo_new(&(struct link_config){.corrupt = RNG_BILLION});
    for (uint32_t i = 0; i < 500; i++)
        send_len(&duo, i, i);
    nothing_arrives(&duo);
    assert_int_equal(link_stats(duo.link).corrupted, 500);
    assert_int_equal(host_counters(duo.b).drops[NET_BAD_PACKET], 500);
    world_free(duo.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link_that_becomes_plain_keeps_order),
        cmocka_unit_test(test_link_plain_delivers_at_once),
        cmocka_unit_test(test_link_delay_is_exact),
        cmocka_unit_test(test_link_keeps_order_when_its_delay_shrinks),
        cmocka_unit_test(test_link_jitter_uniform_spreads_from_zero_to_its_limit),
        cmocka_unit_test(test_link_jitter_keeps_order_unless_told),
        cmocka_unit_test(test_link_jitter_normal_lies_around_the_delay),
        cmocka_unit_test(test_link_loss_is_as_likely_as_told),
        cmocka_unit_test(test_link_loss_bursts_have_their_mean_length),
        cmocka_unit_test(test_link_loss_of_almost_all_in_bursts),
        cmocka_unit_test(test_link_rate_times_each_packet_exactly),
        cmocka_unit_test(test_link_rate_loses_no_part_of_a_nanosecond),
        cmocka_unit_test(test_link_queue_drops_at_its_tail),
        cmocka_unit_test(test_link_queue_smaller_than_a_packet_still_sends),
        cmocka_unit_test(test_link_codel_drops_at_the_head_by_the_control_law),
        cmocka_unit_test(test_link_codel_leaves_a_short_queue_alone),
        cmocka_unit_test(test_link_codel_keeps_the_last_packet),
        cmocka_unit_test(test_link_codel_is_bounded),
        cmocka_unit_test(test_link_codel_hands_over_what_waits),
        cmocka_unit_test(test_link_mtu_bounds_the_ip_packet),
        cmocka_unit_test(test_link_largest_datagram_passes_a_wide_path),
        cmocka_unit_test(test_link_down_drops_what_comes_and_keeps_what_is_on_it),
        cmocka_unit_test(test_link_duplicates),
        cmocka_unit_test(test_link_reorder_holds_one_back),
        cmocka_unit_test(test_link_reorder_rate),
        cmocka_unit_test(test_link_corruption_is_found_by_the_receiver),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
