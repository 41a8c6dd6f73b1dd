// What a run makes of its calls besides packets: clear captures, statistics over time, frames that
// are decoded; and that asking changes nothing.
#include "scenarios/runner/run/call_decode.h"
#include "scenarios/runner/clips/clip_make.h"
#include "scenarios/runner/run/run.h"

#include "base/arena.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>

#define CALL                                                                                       \
    "name: call\n"                                                                                 \
    "network: {wan: {delay: 20ms, jitter: 5ms}}\n"                                                 \
    "peers: {alice: {at: wan}, bob: {at: wan}}\n"                                                  \
    "limit: 3500ms\n"                                                                              \
    "session:\n"                                                                                   \
    "  offerer: alice\n"                                                                           \
    "  data: [{label: chat}]\n"                                                                    \
    "  media: [{label: talk, audio: PCMU}, {label: cam, video: VP8, from: bob}]\n"                 \
    "timeline: [{at: 1s, send: {from: alice, channel: chat, messages: 3, size: 10}}]\n"

struct trial {
    struct scenario_set set;
    struct run *run;
};

static struct trial trial_of(const char *text, bool clear, nanotime interval)
{
    struct trial trial = {0};
    struct err err = {0};
    if (!scenario_load_text(&trial.set, "call.yaml", bytes_text(text), &err))
        fail_msg("%s", err.text);
    struct run_options options = {
        .capture = true, .log = true, .clear = clear, .stats_interval = interval, .live_fd = -1};
    trial.run = run_new(trial.set.scenarios[0], &options);
    run_go(trial.run);
    return trial;
}

static void trial_free(struct trial *trial)
{
    run_free(trial->run);
    scenario_set_free(&trial->set);
}

static const char *metric(const struct result *result, const char *name)
{
    for (unsigned i = 0; i < result->metrics_count; i++) {
        if (strcmp(result->metrics[i].name, name) == 0)
            return result->metrics[i].value;
    }
    fail_msg("no metric %s", name);
    return NULL;
}

// ------------------------------------------------------------------------------ nothing is changed

// The trace, and every packet at the two hosts with its time.
static void write_all(const struct run *run, struct text *to)
{
    const struct world *world = run_world(run);
    text_add(to, run_log(run));
    for (unsigned i = 0; i < 2; i++) {
        text_put(to, world_capture_name(world, i));
        for (unsigned n = 1; n <= world_capture_count(world, i); n++) {
            struct capture_packet packet = world_capture_packet(world, i, n);
            text_add(to, bytes_of(&packet.time, sizeof packet.time));
            text_add(to, packet.bytes);
        }
    }
}

static void test_call_asking_changes_nothing(void **state)
{
    (void)state;
    struct text plain = {0}, asked = {0};
    struct trial trial = trial_of(CALL, false, 0);
    write_all(trial.run, &plain);
    assert_int_equal(world_captures(run_world(trial.run)), 2);
    trial_free(&trial);
    trial = trial_of(CALL, true, 70 * TIME_MS);
    write_all(trial.run, &asked);
    assert_int_equal(world_captures(run_world(trial.run)), 4);
    trial_free(&trial);
    assert_true(plain.len > 100000);
    assert_true(bytes_equal(text_bytes(&plain), text_bytes(&asked)));
    text_free(&plain);
    text_free(&asked);
}

// -------------------------------------------------------------------------------------- in clear

// RFC 7983 7, RFC 5761 4.
static bool is_rtp(struct bytes packet)
{
    struct bytes payload = bytes_from(packet, 28);
    return payload.len > 12 && payload.at[0] >> 6 == 2 &&
           (payload.at[1] < 192 || payload.at[1] > 223);
}

static void test_call_clear_captures_hold_media_of_both_ways(void **state)
{
    (void)state;
    struct trial trial = trial_of(CALL, true, 0);
    const struct world *world = run_world(trial.run);
    struct result result;
    run_result(trial.run, &result);
    static const char *const peers[] = {"alice", "bob"};
    for (unsigned i = 0; i < 2; i++) {
        char name[40];
        snprintf(name, sizeof name, "%s.clear", peers[i]);
        int capture = world_capture_find(world, name);
        assert_true(capture >= 0);
        unsigned rtp = 0, count = world_capture_count(world, (unsigned)capture);
        for (unsigned n = 1; n <= count; n++)
            rtp += is_rtp(world_capture_packet(world, (unsigned)capture, n).bytes);
        snprintf(name, sizeof name, "%s.media.packets-sent", peers[i]);
        unsigned long said = strtoul(metric(&result, name), NULL, 10);
        snprintf(name, sizeof name, "%s.media.packets-received", peers[i]);
        said += strtoul(metric(&result, name), NULL, 10);
        assert_int_equal(count, said);
        assert_in_range(rtp, 300, count - 1);
    }
    trial_free(&trial);
}

static void test_call_session_asks_for_clear_captures(void **state)
{
    (void)state;
    struct trial trial = trial_of(CALL "stats: 1s\n", false, 0);
    struct text text = {0};
    assert_int_equal(world_captures(run_world(trial.run)), 2);
    assert_true(run_stats(trial.run, &text));
    text_free(&text);
    trial_free(&trial);
    trial = trial_of("name: clear\npeers: {alice: {at: wan}, bob: {at: wan}}\nlimit: 1s\n"
                     "session: {offerer: alice, audio: opus, clear-capture: true}\n",
                     false, 0);
    assert_int_equal(world_captures(run_world(trial.run)), 4);
    assert_false(run_stats(trial.run, &text));
    trial_free(&trial);
}

// ------------------------------------------------------------------------------------ over time

static json_t *at_path(json_t *from, const char *a, const char *b, const char *c)
{
    json_t *at = json_object_get(json_object_get(json_object_get(from, a), b), c);
    if (!at)
        fail_msg("no %s, %s, %s", a, b, c);
    return at;
}

static double number(json_t *sample, const char *peer, const char *object, const char *member)
{
    json_t *at = at_path(json_object_get(sample, "peers"), peer, object, member);
    assert_true(json_is_number(at));
    return json_number_value(at);
}

static void test_call_stats_over_time(void **state)
{
    (void)state;
    struct trial trial = trial_of(CALL, false, TIME_S);
    struct text text = {0};
    struct result result;
    run_result(trial.run, &result);
    assert_true(run_stats(trial.run, &text));
    json_t *document = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(document);
    json_t *samples = json_object_get(document, "samples");
    static const double times[] = {1000, 2000, 3000, 3500}; // the last is the end
    assert_int_equal(json_array_size(samples), 4);
    double before = 0;
    for (size_t i = 0; i < 4; i++) {
        json_t *sample = json_array_get(samples, i);
        assert_true(json_number_value(json_object_get(sample, "timestamp")) == times[i]);
        assert_true(number(sample, "bob", "inbound-talk", "timestamp") == times[i]);
        double received = number(sample, "bob", "inbound-talk", "packetsReceived");
        assert_true(received > before);
        before = received;
    }
    json_t *last = json_array_get(samples, 3), *peers = json_object_get(last, "peers");
    // All that happens at a moment has happened: the messages of then are sent.
    assert_true(number(json_array_get(samples, 0), "alice", "channel-0", "messagesSent") == 3);
    assert_true(before == strtod(metric(&result, "bob.talk.in.packetsReceived"), NULL));
    assert_true(number(last, "alice", "channel-0", "messagesSent") == 3);
    assert_true(number(last, "bob", "channel-0", "messagesReceived") == 3);
    assert_true(number(last, "alice", "inbound-cam", "framesDecoded") > 50);
    assert_true(number(last, "alice", "codec-talk", "clockRate") == 8000);
    assert_string_equal(json_string_value(at_path(peers, "alice", "transport", "dtlsState")),
                        "connected");
    assert_string_equal(
        json_string_value(at_path(peers, "alice", "certificate", "fingerprint")),
        json_string_value(at_path(peers, "bob", "remote-certificate", "fingerprint")));
    // One way: no object of what does not flow, no member of the other kind.
    json_t *alice = json_object_get(peers, "alice");
    assert_null(json_object_get(alice, "outbound-cam"));
    assert_non_null(json_object_get(alice, "outbound-talk"));
    assert_null(json_object_get(json_object_get(alice, "inbound-cam"), "concealedSamples"));
    assert_null(json_object_get(json_object_get(alice, "inbound-talk"), "framesDecoded"));
    json_decref(document);
    text_free(&text);
    trial_free(&trial);
}

// Moments at which nothing happens count, too, and the end once.
static void test_call_stats_of_a_quiet_run(void **state)
{
    (void)state;
    struct trial trial = trial_of("name: quiet\npeers: {alice: {at: wan}, bob: {at: wan}}\n"
                                  "limit: 5s\nsession: {offerer: alice, at: 5s, audio: opus}\n",
                                  false, TIME_S);
    struct text text = {0};
    assert_true(run_stats(trial.run, &text));
    json_t *document = json_loadb(text.at, text.len, 0, NULL);
    json_t *samples = json_object_get(document, "samples");
    assert_int_equal(json_array_size(samples), 5);
    for (size_t index = 0; index < 5; index++)
        assert_true(number(json_array_get(samples, index), "alice", "transport", "timestamp") ==
                    (double)(index + 1) * 1000);
    json_decref(document);
    text_free(&text);
    trial_free(&trial);
}

static size_t check_references(json_t *peer)
{
    size_t references = 0;
    for (void *i = json_object_iter(peer); i; i = json_object_iter_next(peer, i)) {
        json_t *object = json_object_iter_value(i);
        assert_string_equal(json_string_value(json_object_get(object, "id")),
                            json_object_iter_key(i));
        for (void *j = json_object_iter(object); j; j = json_object_iter_next(object, j)) {
            const char *key = json_object_iter_key(j);
            size_t len = strlen(key);
            if (len < 3 || strcmp(key + len - 2, "Id") != 0)
                continue;
            const char *to = json_string_value(json_object_iter_value(j));
            references++;
            if (!json_object_get(peer, to))
                fail_msg("%s of %s: no %s", key, json_object_iter_key(i), to);
        }
    }
    return references;
}

// Every reference leads to an object of the same peer, of each sample.
static void test_call_stats_ids_lead_somewhere(void **state)
{
    (void)state;
    struct trial trial = trial_of(CALL, false, 100 * TIME_MS);
    struct text text = {0};
    assert_true(run_stats(trial.run, &text));
    json_t *document = json_loadb(text.at, text.len, 0, NULL);
    json_t *samples = json_object_get(document, "samples");
    size_t references = 0;
    for (size_t i = 0; i < json_array_size(samples); i++) {
        json_t *peers = json_object_get(json_array_get(samples, i), "peers");
        references += check_references(json_object_get(peers, "alice")) +
                      check_references(json_object_get(peers, "bob"));
    }
    assert_true(references > 500);
    json_decref(document);
    text_free(&text);
    trial_free(&trial);
}

// ------------------------------------------------------------------------------------- the loader

#define MEDIA(track)                                                                               \
    "name: x\npeers: {alice: {at: wan}, bob: {at: wan}}\n"                                         \
    "session: {offerer: alice, media: [" track "]}\n"

static void test_call_loader_says_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } rows[] = {
        {MEDIA("{label: v, video: VP8, decode: true}"),
         "x.yaml:3:66: expected 'decode' with a clip of VP8, VP9 or opus, got 'true'"},
        {MEDIA("{label: v, video: VP8}") "expect: [bob.v.bit-exact == true]\n",
         "expected a metric of bob.v, got 'bit-exact'"},
        {MEDIA("{label: v, video: VP8}") "stats: 1ms\n", "x.yaml:4:8: expected"},
        {MEDIA("{label: v, video: VP8}") "stats: fast\n", "x.yaml:4:8: expected"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scenario_set set = {0};
        struct err err = {0};
        assert_false(scenario_load_text(&set, "x.yaml", bytes_text(rows[i].text), &err));
        if (!strstr(err.text, rows[i].error))
            fail_msg("%s, not %s", err.text, rows[i].error);
        scenario_set_free(&set);
    }
}

// ----------------------------------------------------------------------------------- what is shown

static struct clip *clip_of(enum codec_kind kind)
{
    struct pattern_wish pattern = {.kind = kind,
                                   .width = 96,
                                   .height = 64,
                                   .fps = 25,
                                   .frames = 20,
                                   .bitrate = 100000,
                                   .keyframe_interval = 10};
    struct tone_wish tone = {.hz = 440, .frames = 20, .bitrate = 24000};
    struct text text = {0};
    struct err err = {0};
    assert_true(kind == CODEC_OPUS ? clip_make_tone(&tone, &text, &err)
                                   : clip_make_pattern(&pattern, &text, &err));
    struct clip *clip = clip_read(text_bytes(&text), "clip", &err);
    assert_non_null(clip);
    text_free(&text);
    return clip;
}

// `rounds` of the clip, without the frame `lost` of the first; one byte of `damaged` is turned.
static struct call_decoded play(const struct clip *clip, unsigned rounds, uint32_t lost,
                                uint32_t damaged)
{
    struct call_sink *sink = call_sink_new(clip);
    struct call_decoded got;
    for (uint32_t i = 0; i < rounds * clip->frames_count; i++) {
        uint32_t frame = i % clip->frames_count;
        uint64_t round = i / clip->frames_count;
        struct bytes bytes = clip_bytes(clip, frame);
        uint8_t *copy = mem_alloc(bytes.len);
        memcpy(copy, bytes.at, bytes.len);
        copy[bytes.len / 2] ^= i == damaged ? 0x55 : 0;
        if (i != lost)
            call_sink_feed(
                sink, bytes_of(copy, bytes.len),
                (uint32_t)(4294967000u + round * clip->duration + clip->frames[frame].timestamp));
        free(copy);
    }
    call_sink_read(sink, &got);
    call_sink_free(sink);
    return got;
}

static void test_call_decode_compares_with_the_clip(void **state)
{
    (void)state;
    static const enum codec_kind kinds[] = {CODEC_VP8, CODEC_VP9, CODEC_OPUS};
    for (unsigned k = 0; k < 3; k++) {
        struct clip *clip = clip_of(kinds[k]);
        assert_true(call_sink_fits(clip));
        struct call_decoded whole = play(clip, 3, UINT32_MAX, UINT32_MAX);
        assert_true(whole.bit_exact);
        assert_int_equal(whole.decoded, 60);
        assert_int_equal(whole.refused, 0);
        assert_int_equal(whole.counter_gaps, 0);
        if (kinds[k] == CODEC_OPUS)
            assert_in_range(whole.frequency, 430000, 450000);
        else
            assert_in_range(whole.psnr_min, 20000, whole.psnr_mean);
        struct call_decoded gap = play(clip, 2, 5, UINT32_MAX);
        assert_int_equal(gap.counter_gaps, 1);
        assert_false(gap.bit_exact);
        struct call_decoded damaged = play(clip, 1, UINT32_MAX, 7);
        assert_false(damaged.bit_exact);
        assert_false(play(clip, 0, 0, 0).bit_exact); // nothing came
        clip_free(clip);
    }
}

int main(void)
{
    struct err err = {0};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_call_asking_changes_nothing),
        cmocka_unit_test(test_call_clear_captures_hold_media_of_both_ways),
        cmocka_unit_test(test_call_session_asks_for_clear_captures),
        cmocka_unit_test(test_call_stats_over_time),
        cmocka_unit_test(test_call_stats_of_a_quiet_run),
        cmocka_unit_test(test_call_stats_ids_lead_somewhere),
        cmocka_unit_test(test_call_loader_says_what_is_wrong),
        cmocka_unit_test(test_call_decode_compares_with_the_clip),
    };
    if (!run_library_init(&err)) {
        fputs(err.text, stderr);
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    run_library_fini();
    return failed;
}
