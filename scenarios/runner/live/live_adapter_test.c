// The bench's end of the adapters' protocol, line by line: what it makes of good words and of bad.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scenarios/runner/live/live_adapter.h"

#include <stdio.h>
#include <string.h>

static const struct peer_ops *const ops = &peer_adapter;

static void *adapter_new(void)
{
    static const struct peer_config config = {.name = "bob", .trickle = true};
    void *peer = ops->create(&config);
    live_adapter_init(peer, false, false);
    live_adapter_start(peer, 1);
    return peer;
}

static bool feed(void *peer, const char *text)
{
    return live_adapter_feed(peer, TIME_S, bytes_text(text));
}

// The next output that is of this kind.
static struct peer_output next(void *peer, enum peer_output_kind kind)
{
    struct peer_output out;
    while (ops->poll(peer, TIME_S, &out)) {
        if (out.kind == kind)
            return out;
    }
    fail_msg("no output of kind %d", (int)kind);
    return out;
}

static void check_failure(void *peer, const char *why, bool is_unsupported)
{
    bool unsupported;
    const char *failure = live_adapter_failure(peer, &unsupported);
    assert_non_null(failure);
    assert_non_null(strstr(failure, why));
    assert_int_equal(unsupported, is_unsupported);
    ops->destroy(peer);
}

static void test_live_adapter_tells_its_config(void **state)
{
    (void)state;
    struct peer_config config = {.name = "bob", .trickle = true};
    void *peer = ops->create(&config);
    live_adapter_init(peer, false, false);
    const char *told = live_adapter_outgoing(peer)->at;
    assert_non_null(strstr(told, "{\"do\":\"init\",\"name\":\"bob\""));
    assert_null(strstr(told, "simrtc")); // that is for this stack alone
    assert_false(live_adapter_ready(peer));
    assert_true(feed(peer, "{\"event\":\"stats\",\"stack\":\"x\"}\n"));
    assert_true(live_adapter_ready(peer));
    ops->destroy(peer);
}

static void test_live_adapter_description_in_pieces(void **state)
{
    (void)state;
    static const char line[] = "{\"event\":\"sdp\",\"type\":\"answer\",\"sdp\":\"v=0\\r\\n\"}\n";
    void *peer = adapter_new();
    for (size_t i = 0; i + 1 < sizeof line; i++)
        assert_true(live_adapter_feed(peer, 0, bytes_of(line + i, 1)));
    struct peer_output out = next(peer, PEER_DESCRIPTION);
    assert_true(out.answer);
    assert_true(bytes_is(out.bytes, "v=0\r\n"));
    ops->destroy(peer);
}

static void test_live_adapter_channels_and_messages(void **state)
{
    (void)state;
    struct channel_config config = {.label = bytes_text("chat"), .id = CHANNEL_ID_AUTO};
    void *peer = adapter_new();
    assert_int_equal(ops->channel_open(peer, 0, &config), 0);
    assert_int_equal(ops->channel_open(peer, 0, &config), 2);
    assert_int_equal(ops->send(peer, 0, 0, bytes_text("early"), true), SCTP_NOT_CONNECTED);
    assert_true(feed(peer, "{\"event\":\"open\",\"channel\":0}\n"
                           "{\"event\":\"open\",\"channel\":1,\"label\":\"theirs\"}\n"
                           "{\"event\":\"message\",\"channel\":1,\"data\":\"AAEC\"}\n"
                           "{\"event\":\"message\",\"channel\":0,\"data\":\"/w==\"}\n"
                           "{\"event\":\"message\",\"channel\":0,\"text\":\"\"}\n"
                           "{\"event\":\"close\",\"channel\":1}\n"));
    assert_false(next(peer, PEER_CHANNEL_OPEN).incoming);
    assert_true(next(peer, PEER_CHANNEL_OPEN).incoming);
    assert_true(bytes_is(ops->channel_label(peer, 1), "theirs"));
    struct peer_output out = next(peer, PEER_MESSAGE);
    assert_int_equal(out.bytes.len, 3);
    assert_false(out.text);
    assert_int_equal(next(peer, PEER_MESSAGE).bytes.len, 1);
    out = next(peer, PEER_MESSAGE);
    assert_true(out.text && out.bytes.len == 0);
    assert_int_equal(next(peer, PEER_CHANNEL_CLOSED).channel, 1);
    assert_int_equal(ops->send(peer, 0, 0, bytes_text("hello"), true), SCTP_SENT);
    assert_non_null(strstr(live_adapter_outgoing(peer)->at, "\"text\":\"hello\""));
    ops->destroy(peer);
}

// Who tells no more than states still gets times and a connection.
static void test_live_adapter_derives_from_states(void **state)
{
    (void)state;
    struct peer_stats stats;
    void *peer = adapter_new();
    assert_true(
        feed(peer, "{\"event\":\"state\",\"ice\":\"connected\",\"gathering\":\"nonsense\"}\n"));
    ops->stats(peer, &stats);
    assert_int_equal(stats.ice_state, ICE_CONNECTED);
    assert_int_equal(stats.ice_connected_at, TIME_S);
    assert_int_equal(stats.gathering, PEER_GATHER_NEW);
    assert_int_equal(stats.state, PEER_CONNECTING);
    assert_true(feed(peer, "{\"event\":\"open\",\"channel\":1,\"label\":\"x\"}\n"));
    ops->stats(peer, &stats);
    assert_int_equal(stats.state, PEER_CONNECTED);
    ops->destroy(peer);
}

// They are numbered as they come, but each opens when it is ready.
static void test_live_adapter_channels_open_in_any_order(void **state)
{
    (void)state;
    void *peer = adapter_new();
    char line[64];
    assert_true(feed(peer, "{\"event\":\"open\",\"channel\":511}\n"));
    for (unsigned i = 0; i < 1000; i++) {
        if (i == 255)
            continue;
        snprintf(line, sizeof line, "{\"event\":\"open\",\"channel\":%u}\n", 2 * i + 1);
        assert_true(feed(peer, line));
    }
    assert_false(feed(peer, "{\"event\":\"open\",\"channel\":3}\n")); // again
    ops->destroy(peer);
}

static void test_live_adapter_refuses_what_breaks_the_protocol(void **state)
{
    (void)state;
    static const struct {
        const char *line, *why;
        bool unsupported;
    } rows[] = {
        {"hello\n", "garbage to stdout: 'hello'", false},
        {"\x1b[2J\n", "'.[2J'", false},
        {"[1]\n", "garbage", false},
        {"{\"event\":\"flies\"}\n", "no event that is known", false},
        {"{\"no\":1}\n", "no event that is known", false},
        {"{\"event\":\"sdp\",\"type\":\"poem\",\"sdp\":\"\"}\n", "neither offer nor answer", false},
        {"{\"event\":\"candidate\"}\n", "has no candidate", false},
        {"{\"event\":\"open\",\"channel\":0}\n", "does not exist", false},
        {"{\"event\":\"open\",\"channel\":-1}\n", "does not exist", false},
        {"{\"event\":\"open\",\"channel\":131068}\n", "does not exist", false},
        {"{\"event\":\"open\",\"channel\":131069}\n", "does not exist", false},
        {"{\"event\":\"open\",\"channel\":513}\n", "does not exist", false},
        {"{\"event\":\"open\",\"channel\":4294967297}\n", "does not exist", false},
        {"{\"event\":\"message\",\"channel\":3,\"text\":\"x\"}\n", "does not exist", false},
        {"{\"event\":\"close\",\"channel\":3}\n", "does not exist", false},
        {"{\"event\":\"error\",\"text\":\"tired\",\"fatal\":true}\n", "gave up: tired", false},
        {"{\"event\":\"unsupported\",\"install\":\"it\"}\n", "install with it", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        void *peer = adapter_new();
        assert_false(feed(peer, rows[i].line));
        assert_false(feed(peer, "{\"event\":\"stats\"}\n")); // for good
        check_failure(peer, rows[i].why, rows[i].unsupported);
    }
}

static void test_live_adapter_bad_base64(void **state)
{
    (void)state;
    void *peer = adapter_new();
    assert_true(feed(peer, "{\"event\":\"open\",\"channel\":1,\"label\":\"x\"}\n"));
    assert_false(feed(peer, "{\"event\":\"message\",\"channel\":1,\"data\":\"***\"}\n"));
    check_failure(peer, "neither text nor base64", false);
}

static void test_live_adapter_floods(void **state)
{
    (void)state;
    void *peer = adapter_new();
    unsigned lines = 0;
    while (feed(peer, "{\"event\":\"state\"}\n"))
        lines++;
    assert_int_equal(lines, LIVE_EVENTS_MAX);
    check_failure(peer, "floods", false);

    static char x[65536];
    memset(x, 'x', sizeof x);
    peer = adapter_new();
    for (lines = 0; live_adapter_feed(peer, 0, bytes_of(x, sizeof x)); lines++)
        assert_true(lines < 100);
    check_failure(peer, "a line of more than", false);
}

static const struct media_track_config video = {
    .kind = MEDIA_VIDEO, .label = "video", .codecs = {"VP8"}, .codecs_count = 1, .receive = true};

static void test_live_adapter_track_and_its_statistics(void **state)
{
    (void)state;
    struct media_track_stats stats = {0};
    void *peer = adapter_new();
    assert_int_equal(ops->track_add(peer, &video), 0);
    assert_non_null(strstr(live_adapter_outgoing(peer)->at,
                           "{\"do\":\"track\",\"track\":0,\"kind\":\"video\""));
    assert_true(feed(
        peer, "{\"event\":\"stats\",\"tracks\":[{\"codec\":\"VP8\",\"in\":{\"framesDecoded\":7,"
              "\"jitter\":0.0125,\"packetsLost\":-2,\"pliCount\":-1,\"nackCount\":\"x\","
              "\"bytesReceived\":1e300}},{\"in\":{\"framesDecoded\":9}}]}\n"));
    ops->track_stats(peer, 0, 0, &stats);
    assert_int_equal(stats.in.framesDecoded, 7);
    assert_int_equal(stats.in.jitter, 12500 * TIME_US);
    assert_int_equal(stats.in.packetsLost, -2);
    assert_int_equal(stats.in.pliCount, 0); // below zero, of a wrong kind, too large: not taken
    assert_int_equal(stats.in.nackCount, 0);
    assert_int_equal(stats.in.bytesReceived, 0);
    assert_string_equal(stats.codec, "VP8");
    ops->destroy(peer);
}

static const struct media_member *member(const char *name)
{
    for (const struct media_member *m = media_track_members; m->name; m++) {
        if (strcmp(m->name, name) == 0)
            return m;
    }
    fail_msg("no member %s", name);
    return NULL;
}

// What the runner counts itself no adapter can tell, but what it is counted from.
static void test_live_adapter_tells_what_others_are_counted_from(void **state)
{
    (void)state;
    struct media_track_stats stats = {0};
    void *peer = adapter_new();
    assert_int_equal(ops->track_add(peer, &video), 0);
    assert_true(feed(peer, "{\"event\":\"stats\",\"tracks\":[{\"keyframes-since-asked\":3}]}\n"));
    ops->track_stats(peer, 0, 0, &stats);
    assert_int_equal(stats.quality.keyframes_since_asked, 0);
    assert_false(live_adapter_tells_track(peer, 0, member("keyframes-since-asked")));
    assert_true(
        feed(peer, "{\"event\":\"stats\",\"tracks\":[{\"in\":{\"keyFramesDecoded\":3}}]}\n"));
    assert_true(live_adapter_tells_track(peer, 0, member("keyframes-since-asked")));
    assert_false(live_adapter_tells_track(peer, 1, member("keyframes-since-asked")));
    ops->destroy(peer);
}

// Zero would say that there was none.
static void test_live_adapter_knows_what_was_told(void **state)
{
    (void)state;
    void *peer = adapter_new();
    assert_int_equal(ops->track_add(peer, &video), 0);
    assert_false(live_adapter_tells_track(peer, 0, member("in.framesDecoded")));
    assert_true(feed(peer, "{\"event\":\"stats\",\"tracks\":[{\"in\":{\"framesDecoded\":0,"
                           "\"nackCount\":\"x\",\"lastPacketReceivedTimestamp\":null}}]}\n"));
    assert_true(live_adapter_tells_track(peer, 0, member("in.framesDecoded")));
    assert_true(live_adapter_tells_track(peer, 0, member("in.lastPacketReceivedTimestamp")));
    assert_false(live_adapter_tells_track(peer, 0, member("in.nackCount"))); // no number
    assert_false(live_adapter_tells_track(peer, 0, member("in.jitter")));
    assert_false(live_adapter_tells_track(peer, 1, member("in.framesDecoded")));
    assert_false(live_adapter_tells_track(peer, MEDIA_TRACKS_MAX, member("in.framesDecoded")));
    assert_false(live_adapter_tells_transport(peer, media_transport_members));

    assert_true(live_adapter_tells(peer, "state"));
    assert_false(live_adapter_tells(peer, "selected"));
    assert_false(live_adapter_tells(peer, "dtls.timeouts"));
    assert_true(feed(peer, "{\"event\":\"stats\",\"local\":{\"type\":\"host\"},"
                           "\"remote\":{\"type\":\"host\"}}\n"));
    assert_true(live_adapter_tells(peer, "selected"));
    assert_false(live_adapter_tells(peer, "dtls.timeouts"));
    assert_true(feed(peer, "{\"event\":\"stats\",\"simrtc\":{}}\n")); // this stack
    assert_true(live_adapter_tells(peer, "dtls.timeouts"));
    ops->destroy(peer);
}

static void test_live_adapter_without_media(void **state)
{
    (void)state;
    void *peer = adapter_new();
    assert_true(feed(peer, "{\"event\":\"stats\",\"stack\":\"x\",\"cannot\":[\"media\"]}\n"));
    assert_int_equal(ops->track_add(peer, &video), -1);
    check_failure(peer, "no audio and video", true);
}

static void test_live_adapter_command_that_it_cannot(void **state)
{
    (void)state;
    const struct media_command keyframe = {.kind = MEDIA_KEYFRAME}, mute = {.kind = MEDIA_MUTE};
    void *peer = adapter_new();
    assert_true(feed(peer, "{\"event\":\"stats\",\"stack\":\"x\",\"cannot\":[\"keyframe\"]}\n"));
    assert_int_equal(ops->track_add(peer, &video), 0);
    ops->media_command(peer, 0, &mute);
    assert_non_null(strstr(live_adapter_outgoing(peer)->at, "\"what\":\"mute\""));
    ops->media_command(peer, 0, &keyframe);
    check_failure(peer, "'keyframe'", true);
}

// Candidates are of the transport that all share: with audio and video the first section's.
static void test_live_adapter_candidates_of_the_bundle(void **state)
{
    (void)state;
    void *peer = adapter_new();
    assert_int_equal(ops->track_add(peer, &video), 0);
    assert_true(feed(
        peer, "{\"event\":\"sdp\",\"type\":\"offer\",\"sdp\":\"v=0\\r\\nm=video 9\\r\\n"
              "a=mid:v\\r\\nm=application 9\\r\\na=mid:d\\r\\n\"}\n"
              "{\"event\":\"candidate\",\"candidate\":\"candidate:1 1 udp 1 1.2.3.4 5 typ host\","
              "\"sdpMid\":\"d\"}\n"
              "{\"event\":\"candidate\",\"candidate\":\"candidate:2 1 udp 1 1.2.3.4 6 typ host\","
              "\"sdpMid\":\"v\"}\n"));
    struct peer_output out = next(peer, PEER_CANDIDATE);
    assert_true(bytes_starts(out.bytes, "candidate:2"));
    ops->destroy(peer);
}

// werift: with one transport for all, its candidates have the mid of the first section.
static void test_live_adapter_candidates_of_another_section(void **state)
{
    (void)state;
    void *peer = adapter_new();
    assert_true(
        feed(peer,
             "{\"event\":\"sdp\",\"type\":\"offer\",\"sdp\":\"v=0\\r\\nm=audio 9\\r\\na=mid:0\\r\\n"
             "a=ice-ufrag:other\\r\\nm=video 9\\r\\na=mid:1\\r\\na=ice-ufrag:same\\r\\n"
             "m=application 9\\r\\na=ice-ufrag:same\\r\\na=mid:2\\r\\n\"}\n"
             "{\"event\":\"candidate\",\"candidate\":\"candidate:1 1 udp 1 1.2.3.4 5 typ host\","
             "\"sdpMid\":\"0\"}\n"
             "{\"event\":\"candidate\",\"candidate\":\"candidate:2 1 udp 1 1.2.3.4 6 typ host\","
             "\"sdpMid\":\"nowhere\"}\n"
             "{\"event\":\"candidate\",\"candidate\":\"candidate:3 1 udp 1 1.2.3.4 7 typ host\","
             "\"sdpMid\":\"1\"}\n"));
    struct peer_output out = next(peer, PEER_CANDIDATE);
    assert_true(bytes_starts(out.bytes, "candidate:3"));
    ops->destroy(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live_adapter_tells_its_config),
        cmocka_unit_test(test_live_adapter_candidates_of_another_section),
        cmocka_unit_test(test_live_adapter_description_in_pieces),
        cmocka_unit_test(test_live_adapter_channels_and_messages),
        cmocka_unit_test(test_live_adapter_derives_from_states),
        cmocka_unit_test(test_live_adapter_channels_open_in_any_order),
        cmocka_unit_test(test_live_adapter_refuses_what_breaks_the_protocol),
        cmocka_unit_test(test_live_adapter_bad_base64),
        cmocka_unit_test(test_live_adapter_floods),
        cmocka_unit_test(test_live_adapter_track_and_its_statistics),
        cmocka_unit_test(test_live_adapter_tells_what_others_are_counted_from),
        cmocka_unit_test(test_live_adapter_knows_what_was_told),
        cmocka_unit_test(test_live_adapter_without_media),
        cmocka_unit_test(test_live_adapter_command_that_it_cannot),
        cmocka_unit_test(test_live_adapter_candidates_of_the_bundle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
