// Whole runs from text: what expectations mean over time, what a failure says, and that the same
// seed gives the same bytes after whatever ran before.
#include "scenarios/runner/load/expect.h"
#include "scenarios/runner/run/run.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

// Two peers behind port-restricted NATs, 25 ms apart; `rest` follows.
#define DUO                                                                                        \
    "name: duo\n"                                                                                  \
    "network:\n"                                                                                   \
    "  wan: {delay: 25ms}\n"                                                                       \
    "  lans:\n"                                                                                    \
    "    home: {gateway: {nat: port-restricted}}\n"                                                \
    "    office: {gateway: {nat: port-restricted}}\n"                                              \
    "servers: {stun: {at: wan}}\n"                                                                 \
    "peers:\n"                                                                                     \
    "  alice: {at: home, ice-servers: [stun]}\n"                                                   \
    "  bob: {at: office, ice-servers: [stun]}\n"

struct outcome {
    enum verdict verdict;
    char why[400];
    char rule[40];
    char capture[40];
    uint32_t packet;
    nanotime cause_at, ended_at;
    uint64_t digest; // of the trace and of every captured packet with its time
};

static uint64_t mix(uint64_t hash, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ bytes.at[i]) * 0x100000001b3u;
    return hash;
}

static uint64_t digest(const struct run *run)
{
    const struct world *world = run_world(run);
    uint64_t hash = mix(0xcbf29ce484222325u, run_log(run));
    for (unsigned i = 0; i < world_captures(world); i++) {
        for (unsigned n = 1; n <= world_capture_count(world, i); n++) {
            struct capture_packet packet = world_capture_packet(world, i, n);
            hash = mix(mix(hash, bytes_of(&packet.time, sizeof packet.time)), packet.bytes);
        }
    }
    return hash;
}

static struct outcome run_text(const char *text, uint64_t seed)
{
    struct scenario_set set = {0};
    struct err err = {0};
    if (!scenario_load_text(&set, "test.yaml", bytes_text(text), &err))
        fail_msg("%s", err.text);
    struct run_options options = {.seed = seed, .capture = true, .log = true, .live_fd = -1};
    struct run *run = run_new(set.scenarios[0], &options);
    struct result result;
    run_go(run);
    run_result(run, &result);
    struct outcome outcome = {.verdict = result.verdict,
                              .packet = result.cause.packet,
                              .cause_at = result.cause.at,
                              .ended_at = result.virtual_time,
                              .digest = digest(run)};
    bytes_copy_text(bytes_text(result.why), outcome.why, sizeof outcome.why);
    if (result.cause.rule)
        bytes_copy_text(bytes_text(result.cause.rule), outcome.rule, sizeof outcome.rule);
    if (result.cause.capture)
        bytes_copy_text(bytes_text(result.cause.capture), outcome.capture, sizeof outcome.capture);
    run_free(run);
    scenario_set_free(&set);
    return outcome;
}

static void test_run_passes_and_ends_when_all_is_decided(void **state)
{
    (void)state;
    struct outcome got = run_text(DUO "session: {offerer: alice, data: [{label: chat}]}\n"
                                      "timeline: [{at: 0s, send: {from: bob, channel: chat, "
                                      "messages: 1, size: 10}}]\n"
                                      "expect: [alice.chat.received == 1 within 2s]\n",
                                  1);
    assert_string_equal(got.why, "");
    assert_int_equal(got.verdict, VERDICT_PASSED);
    assert_in_range(got.ended_at, 200 * TIME_MS, 700 * TIME_MS);
}

static void test_run_without_a_time_is_decided_at_the_limit(void **state)
{
    (void)state;
    struct outcome got = run_text("limit: 7s\n" DUO "session: {ice-only: true}\n"
                                  "expect: [alice.ice.state is completed]\n",
                                  1);
    assert_int_equal(got.verdict, VERDICT_PASSED);
    assert_true(got.ended_at == 7 * TIME_S);
}

static void test_run_says_which_packet_was_filtered(void **state)
{
    (void)state;
    struct outcome got = run_text("name: symmetric without a relay\n"
                                  "network: {lans: {home: {gateway: {nat: symmetric}}, "
                                  "office: {gateway: {nat: symmetric}}}}\n"
                                  "servers: {stun: {at: wan}}\n"
                                  "peers: {alice: {at: home, ice-servers: [stun]}, "
                                  "bob: {at: office, ice-servers: [stun]}}\n"
                                  "session: {ice-only: true}\n"
                                  "expect: [alice.ice.state == connected within 3s]\n",
                                  1);
    assert_int_equal(got.verdict, VERDICT_FAILED);
    assert_non_null(strstr(got.why, "expected alice.ice.state == connected within 3s, at 3s it was "
                                    "checking: "));
    assert_non_null(strstr(got.why, "nat-filtered"));
    assert_string_equal(got.rule, "RFC 4787 5");
    assert_non_null(strstr(got.capture, ".outside"));
    assert_true(got.packet > 0);
}

static void test_run_says_that_consent_expired(void **state)
{
    (void)state;
    struct outcome got = run_text("limit: 60s\n" DUO "session: {ice-only: true}\n"
                                  "timeline: [{at: 5s, link: {home.uplink: {down: true}}}]\n"
                                  "expect: [alice.ice.state == completed from 4s to 50s]\n",
                                  1);
    assert_int_equal(got.verdict, VERDICT_FAILED);
    assert_non_null(strstr(got.why, "alice.ice.state == completed from 4s to 50s"));
}

static void test_run_at_and_during_are_exact(void **state)
{
    (void)state;
    struct outcome got =
        run_text(DUO "session: {at: 2s, ice-only: true}\n"
                     "expect:\n"
                     "  - alice.ice.state == new at 1.999s\n"
                     "  - alice.ice.state == new from 0s to 1.5s\n"
                     "  - alice.ice.state == completed at 10s\n"
                     "  - alice.ice.connected-at > 2s and alice.ice.connected-at < 3s within 10s\n",
                 1);
    assert_string_equal(got.why, "");
    got = run_text(DUO "session: {at: 2s, ice-only: true}\n"
                       "expect: [alice.ice.state == new from 0s to 4s]\n",
                   1);
    assert_int_equal(got.verdict, VERDICT_FAILED);
    assert_in_range(got.ended_at, 2 * TIME_S, 2100 * TIME_MS); // broken at the first change
}

// A relay behind a NAT is seen from outside by another address than it gave: what it relays is
// relayed all the same.
static void test_run_relay_behind_a_nat_is_a_relay(void **state)
{
    (void)state;
    struct outcome got = run_text("limit: 10s\n"
                                  "name: relay\n"
                                  "network: {lans: {home: {}}}\n"
                                  "servers: {turn: {at: home}}\n"
                                  "peers:\n"
                                  "  alice: {at: home, ice-servers: [turn], relay-only: true}\n"
                                  "  bob: {at: wan}\n"
                                  "session: {ice-only: true}\n"
                                  "expect:\n"
                                  "  - alice.selected is prflx within 2s\n"
                                  "  - alice.path is relay and bob.path is relay within 2s\n"
                                  "  - as computed within 2s\n",
                                  1);
    assert_string_equal(got.why, "");
}

// A relayed base that is seen through a NAT gives a pair as good as any by a NAT (RFC
// 8445 7.2.5.3.1): which of them is taken hangs on what comes first, and the oracle knows no time.
static void test_run_relay_behind_a_nat_may_be_best(void **state)
{
    (void)state;
    struct outcome got = run_text("limit: 10s\n"
                                  "name: relay\n"
                                  "network: {wan: {delay: 10ms}, lans: {home: {}}}\n"
                                  "servers: {stun: {at: wan}, turn: {at: home}}\n"
                                  "peers:\n"
                                  "  alice: {at: wan}\n"
                                  "  bob: {at: home, ice-servers: [stun, turn]}\n"
                                  "session: {ice-only: true}\n"
                                  "expect:\n"
                                  "  - bob.path is relay within 5s\n"
                                  "  - as computed within 5s\n",
                                  1);
    assert_string_equal(got.why, "");
}

static void test_run_two_lite_peers_are_as_computed(void **state)
{
    (void)state;
    struct outcome got = run_text("limit: 10s\n"
                                  "name: lite\n"
                                  "peers: {alice: {at: wan, ice-lite: true}, bob: {at: wan, "
                                  "ice-lite: true}}\n"
                                  "expect: [as computed within 2s]\n"
                                  "session: {ice-only: true}\n",
                                  1);
    assert_string_equal(got.why, "");
}

// Its first channel of all is one that it cannot open.
static void test_run_closed_peer_opens_no_channel(void **state)
{
    (void)state;
    struct outcome got = run_text("limit: 3s\n"
                                  "name: closed\n"
                                  "peers: {alice: {at: wan}, bob: {at: wan}}\n"
                                  "session: {ice-only: true}\n"
                                  "timeline:\n"
                                  "  - {at: 1s, close: bob}\n"
                                  "  - {at: 2s, open-channel: {peer: bob, label: more}}\n"
                                  "expect: [bob.more.refused]\n",
                                  1);
    assert_string_equal(got.why, "");
}

// Packets of media have room for RTP_PACKET_MAX bytes, whatever the path could take.
static void test_run_media_over_a_wide_path(void **state)
{
    (void)state;
    static const char *const tracks[] = {"video: H264", "video: VP9, fec: flexfec", "audio: PCMU"};
    for (size_t i = 0; i < sizeof tracks / sizeof tracks[0]; i++) {
        struct text text = {0};
        text_printf(&text,
                    "limit: 3s\nname: wide\n"
                    "peers: {alice: {at: home, mtu: 9000}, bob: {at: home, mtu: 9000}}\n"
                    "network: {lans: {home: {link: {mtu: 10000}}}}\n"
                    "session: {media: [{label: x, %s}]}\n"
                    "expect: [bob.x.in.packetsReceived > 50, bob.x.in.packetsLost == 0]\n",
                    tracks[i]);
        assert_string_equal(run_text(text.at, 1).why, "");
        text_free(&text);
    }
}

// An expectation of a moment is judged when all that happens at that moment has.
static void test_run_moments_are_whole(void **state)
{
    (void)state;
    static const char wan[] = "limit: 5s\nname: x\nnetwork: {wan: {delay: 25ms}}\n"
                              "peers: {alice: {at: wan}, bob: {at: wan}}\n"
                              "session: {offerer: alice, data: [{label: chat}]}\n";
    static const char *const held[] = {
        "alice.connected-at == 0.18s at 1s",
        "alice.state == connected within 0.18s",
        "alice.state == connected at 0.18s",
        "alice.state == connected from 0.18s to 5s",
        "not alice.state == connected from 0s to 0.179999999s",
    };
    static const char *const broken[] = {
        "alice.state == connected within 0.179999999s",
        "alice.state == connected from 0.179999999s to 5s",
        "not alice.state == connected from 0s to 0.18s",
        "not alice.state == connected at 0.18s",
    };
    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++) {
        struct text text = {0};
        text_printf(&text, "%sexpect: [%s]\n", wan, held[i]);
        assert_string_equal(run_text(text.at, 1).why, "");
        text_free(&text);
    }
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct text text = {0};
        text_printf(&text, "%sexpect: [%s]\n", wan, broken[i]);
        assert_int_equal(run_text(text.at, 1).verdict, VERDICT_FAILED);
        text_free(&text);
    }
}

static void test_run_counts_packets_by_filter(void **state)
{
    (void)state;
    struct outcome got =
        run_text("limit: 3s\n" DUO "session: {ice-only: true}\n"
                 "expect:\n"
                 "  - packets at alice matching \"udp\" > 5\n"
                 "  - no packet at home.outside matches \"src net 192.168.0.0/16\"\n"
                 "  - no packet at alice matches \"tcp\"\n",
                 1);
    assert_string_equal(got.why, "");
    got = run_text("limit: 3s\n" DUO "session: {ice-only: true}\n"
                   "expect: ['no packet at alice matches \"udp port 3478\"']\n",
                   1);
    assert_int_equal(got.verdict, VERDICT_FAILED);
    assert_string_equal(got.capture, "alice");
    assert_int_equal(got.packet, 1);
}

// The heart of the product: also after other runs, cut off in the middle, in the same process.
static void test_run_same_seed_same_bytes(void **state)
{
    (void)state;
    static const char lossy[] =
        "limit: 20s\n" DUO "session: {data: [{label: a}, {label: b, ordered: false, "
        "max-retransmits: 0}], signaling: {delay: 10ms, jitter: 20ms}}\n"
        "timeline:\n"
        "  - {at: 1s, link: {wan: {loss: 5%, jitter: 5ms}}}\n"
        "  - {at: 2s, send: {from: alice, channel: a, messages: 50, size: 3000}}\n"
        "  - {at: 2s, send: {from: alice, channel: b, messages: 50, size: 300}}\n"
        "expect: [bob.a.received == 50]\n";
    static const char dirty[] = "limit: 290ms\n" DUO "session: {data: [{label: x}]}\n"
                                "expect: [alice.dtls.state == connecting at 260ms]\n";
    struct outcome first = run_text(lossy, 7);
    assert_int_equal(first.verdict, VERDICT_PASSED);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        run_text(dirty, seed);
        assert_true(run_text(lossy, 7).digest == first.digest);
    }
    assert_true(run_text(lossy, 8).digest != first.digest);
}

static void test_expect_refuses_with_a_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"alise.ice.state == connected",
         "expected the name of a peer, server or LAN, got 'alise', did you mean 'alice'?"},
        {"alice.ice.stat == connected", "expected a metric of alice, got 'ice.stat', did you mean "
                                        "'ice.state'? (simrtc metrics lists them)"},
        {"alice.ice.state == conected", "expected one of new checking connected completed "
                                        "disconnected failed closed, got 'conected' in "
                                        "\"alice.ice.state == conected\""},
        {"alice.ice.state", "expected a comparison (== != < <= > >= is), got the end of "
                            "\"alice.ice.state\""},
        {"alice.ice.pairs == many",
         "expected a whole number, got 'many' in \"alice.ice.pairs == many\""},
        {"alice.nominated within 3", "expected a time with its unit, such as 3s, got '3' in "
                                     "\"alice.nominated within 3\""},
        {"alice.nominated from 3s to 2s",
         "expected a span that ends after it begins, got \"alice.nominated from 3s to 2s\""},
        {"alice.nominated within 61s",
         "expected a time within the limit of 60s, got \"alice.nominated within 61s\""},
        {"no packet at carol matches \"udp\"",
         "expected a vantage point (a peer, PEER.clear with clear-capture, a server, LAN.inside or "
         "LAN.outside), got 'carol' in "
         "\"no packet at carol matches \"udp\"\""},
        {"alice.nominated or bob.nominated",
         "expected 'and', 'within', 'at', 'from' or the end, got 'or' in "
         "\"alice.nominated or bob.nominated\""},
        {"alice.ice.state < failed",
         "expected == or !=, as words have no order, got '<' in \"alice.ice.state < failed\""},
        {"alice.nominated >= false",
         "expected == or !=, as words have no order, got '>=' in \"alice.nominated >= false\""},
        {"line 0 of alice.offer matches \"v=0\"", "expected a line counted from 1, got '0' in "
                                                  "\"line 0 of alice.offer matches \"v=0\"\""},
        {"no line of alice.offer matches \"a=crypto:* within 2s",
         "expected the end of a text in quotes, got 'a=crypto:* within 2s' in "
         "\"no line of alice.offer matches \"a=crypto:* within 2s\""},
        {"no packet at alice matches \"",
         "expected the end of a text in quotes, got '' in \"no packet at alice matches \"\""},
        {"no packet at alice matches \"host localhost\"",
         "expected a pcap filter, got 'host localhost': unknown host 'localhost'"},
        {"no packet at alice matches \"net loopback\"",
         "expected a pcap filter, got 'net loopback': unknown network 'loopback'"},
        {"as calculated", "expected 'computed', got 'calculated' in \"as calculated\""},
        {"", "expected the name of a metric, got the end of \"\""},
    };
    struct scenario_set set = {0};
    struct err err = {0};
    assert_true(scenario_load_text(&set, "x.yaml",
                                   bytes_text(DUO "session: {ice-only: true}\n"
                                                  "expect: [alice.nominated]\n"),
                                   &err));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scenario_expect source = {cases[i].text, {"x.yaml", 3, 5}};
        struct err got = {0};
        assert_null(expect_parse(&set.arena, set.scenarios[0], &source, &got));
        assert_memory_equal(got.text, "x.yaml:3:5: ", 12);
        assert_string_equal(got.text + 12, cases[i].message);
    }
    scenario_set_free(&set);
}

static int start(void **state)
{
    (void)state;
    struct err err = {0};
    return run_library_init(&err) ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    run_library_fini();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_passes_and_ends_when_all_is_decided),
        cmocka_unit_test(test_run_without_a_time_is_decided_at_the_limit),
        cmocka_unit_test(test_run_says_which_packet_was_filtered),
        cmocka_unit_test(test_run_says_that_consent_expired),
        cmocka_unit_test(test_run_at_and_during_are_exact),
        cmocka_unit_test(test_run_relay_behind_a_nat_is_a_relay),
        cmocka_unit_test(test_run_relay_behind_a_nat_may_be_best),
        cmocka_unit_test(test_run_two_lite_peers_are_as_computed),
        cmocka_unit_test(test_run_closed_peer_opens_no_channel),
        cmocka_unit_test(test_run_media_over_a_wide_path),
        cmocka_unit_test(test_run_moments_are_whole),
        cmocka_unit_test(test_run_counts_packets_by_filter),
        cmocka_unit_test(test_run_same_seed_same_bytes),
        cmocka_unit_test(test_expect_refuses_with_a_reason),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
