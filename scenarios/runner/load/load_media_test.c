// Audio and video of a scenario file: every key with its value, and the one line for each mistake.

#include "scenarios/runner/load/scenario.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "name: x\npeers: {a: {at: wan}, b: {at: wan}, c: {at: wan}}\n"
#define SESSION(text) HEAD "session: {offerer: a, answerer: b, " text "}\n"
#define TRACK(text) HEAD "session: {offerer: a, answerer: b, media: [{" text "}]}\n"
#define DO(text)                                                                                   \
    HEAD "session: {offerer: a, answerer: b, audio: opus, video: VP8,\n"                           \
         "  media: [{label: cam, video: VP8, from: a}, {label: mic, audio: PCMU, from: b}]}\n"     \
         "timeline: [{at: 1s, " text "}]\n"

#define EXPECT(text)                                                                               \
    HEAD "session: {offerer: a, answerer: b, audio: opus, video: VP8}\nexpect: [" text "]\n"

// ------------------------------------------------------------------------------------ good values

static struct scenario_set load(const char *text)
{
    struct scenario_set set = {0};
    struct err err = {0};
    if (!scenario_load_text(&set, "f.yaml", bytes_text(text), &err))
        fail_msg("%s", err.text);
    return set;
}

static void test_load_media_short_forms(void **state)
{
    (void)state;
    struct scenario_set set = load(SESSION("audio: [PCMA, opus], video: VP9"));
    const struct scenario_session *session = &set.scenarios[0]->sessions[0];
    assert_int_equal(session->tracks_count, 2);
    const struct scenario_track *audio = &session->tracks[0], *video = &session->tracks[1];
    assert_string_equal(audio->label, "audio");
    assert_true(audio->from[0] && audio->from[1]);
    assert_null(audio->clip);
    assert_int_equal(audio->config.kind, MEDIA_AUDIO);
    assert_int_equal(audio->config.codecs_count, 2);
    assert_string_equal(audio->config.codecs[0], "PCMA");
    assert_string_equal(audio->config.codecs[1], "opus");
    assert_int_equal(audio->config.bitrate, 32000);
    assert_true(audio->config.frame_time == 20 * TIME_MS);
    assert_true(audio->config.start_at == 0 && audio->config.stop_at == TIME_NEVER);
    assert_false(audio->config.nack || audio->config.rtx || audio->config.red);
    assert_false(audio->config.pli || audio->config.dtx);
    assert_int_equal(audio->answerer_codecs_count, 0);
    assert_string_equal(video->label, "video");
    assert_int_equal(video->config.kind, MEDIA_VIDEO);
    assert_string_equal(video->config.codecs[0], "VP9");
    assert_int_equal(video->config.bitrate, 1500000);
    assert_int_equal(video->config.fps, 25);
    assert_int_equal(video->config.width, 640);
    assert_int_equal(video->config.height, 360);
    assert_true(video->config.keyframe_interval == 0);
    assert_true(video->config.nack && video->config.rtx && video->config.pli);
    assert_false(video->config.red);
    assert_int_equal(video->config.fec, MEDIA_NO_FEC);
    assert_int_equal(video->config.receive_max_bps, 0);
    assert_false(video->config.has_first_sequence || video->config.has_first_timestamp);
    const struct scenario *scenario = set.scenarios[0];
    assert_true(scenario->peers[0].config.take_media && scenario->peers[1].config.take_media);
    assert_false(scenario->peers[2].config.take_media);
    scenario_set_free(&set);
}

static void test_load_media_every_key_of_video(void **state)
{
    (void)state;
    struct scenario_set set =
        load(TRACK("label: screen, video: [AV1, H264, VP9, VP8], from: b, bitrate: 2Mbps,\n"
                   "start: 1s, stop: 9s, fps: 30, width: 1280, height: 720,\n"
                   "keyframe-interval: 3s, nack: false, rtx: false, red: true, pli: false,\n"
                   "fec: flexfec, fec-share: 12.5%, receive-max: 300kbps,\n"
                   "layers: [{rid: q, scale: 4, bitrate: 150kbps}, {rid: F1, bitrate: 1Mbps}],\n"
                   "answerer-codecs: [VP9, AV1], first-sequence: 65535, first-timestamp: "
                   "4294967295"));
    const struct scenario_track *track = &set.scenarios[0]->sessions[0].tracks[0];
    assert_int_equal(track->answerer_codecs_count, 2);
    assert_string_equal(track->answerer_codecs[0], "VP9");
    const struct media_track_config *config = &track->config;
    assert_string_equal(track->label, "screen");
    assert_string_equal(config->label, "screen");
    assert_false(track->from[0]);
    assert_true(track->from[1]);
    assert_int_equal(config->codecs_count, 4);
    assert_string_equal(config->codecs[0], "AV1");
    assert_string_equal(config->codecs[3], "VP8");
    assert_int_equal(config->bitrate, 2000000);
    assert_true(config->start_at == TIME_S && config->stop_at == 9 * TIME_S);
    assert_int_equal(config->fps, 30);
    assert_int_equal(config->width, 1280);
    assert_int_equal(config->height, 720);
    assert_true(config->keyframe_interval == 3 * TIME_S);
    assert_false(config->nack || config->rtx || config->pli);
    assert_true(config->red);
    assert_int_equal(config->fec, MEDIA_FLEXFEC);
    assert_int_equal(config->fec_share, 125);
    assert_int_equal(config->receive_max_bps, 300000);
    assert_int_equal(config->layers_count, 2);
    assert_string_equal(config->layers[0].rid, "q");
    assert_int_equal(config->layers[0].scale, 4);
    assert_int_equal(config->layers[0].max_bps, 150000);
    assert_string_equal(config->layers[1].rid, "F1");
    assert_int_equal(config->layers[1].scale, 1);
    assert_true(config->has_first_sequence && config->has_first_timestamp);
    assert_int_equal(config->first_sequence, 65535);
    assert_int_equal(config->first_timestamp, UINT32_MAX);
    scenario_set_free(&set);
}

static void test_load_media_every_key_of_audio(void **state)
{
    (void)state;
    struct scenario_set set = load(TRACK("audio: G722, from: a, bitrate: 64kbps, frame-time: 60ms, "
                                         "dtx: true, nack: true, rtx: true, red: true"));
    const struct scenario_track *track = &set.scenarios[0]->sessions[0].tracks[0];
    assert_string_equal(track->label, "audio");
    assert_true(track->from[0]);
    assert_false(track->from[1]);
    assert_string_equal(track->config.codecs[0], "G722");
    assert_int_equal(track->config.bitrate, 64000);
    assert_true(track->config.frame_time == 60 * TIME_MS);
    assert_true(track->config.dtx && track->config.nack && track->config.rtx && track->config.red);
    scenario_set_free(&set);

    set = load(TRACK("video: VP8, from: both, fec: ulpfec"));
    track = &set.scenarios[0]->sessions[0].tracks[0];
    assert_true(track->from[0] && track->from[1]);
    assert_int_equal(track->config.fec, MEDIA_ULPFEC);
    assert_int_equal(track->config.fec_share, 0);
    scenario_set_free(&set);
}

// What both peers of the session get, and nobody else.
static void test_load_media_bandwidth(void **state)
{
    (void)state;
    struct scenario_set set = load(
        SESSION("video: VP8, bandwidth: {control: remb, start: 1Mbps, min: 100kbps, max: 1Mbps}"));
    const struct scenario *scenario = set.scenarios[0];
    for (int i = 0; i < 2; i++) {
        const struct peer_config *config = &scenario->peers[i].config;
        assert_int_equal(config->media_control, MEDIA_REMB);
        assert_int_equal(config->media_start_bps, 1000000);
        assert_int_equal(config->media_min_bps, 100000);
        assert_int_equal(config->media_max_bps, 1000000);
    }
    assert_int_equal(scenario->peers[2].config.media_control, MEDIA_GCC);
    assert_int_equal(scenario->peers[2].config.media_start_bps, 0);
    scenario_set_free(&set);
    static const struct {
        const char *text;
        enum media_control control;
    } fed[] = {
        {SESSION("video: VP8, bandwidth: {feedback: transport-cc}"), MEDIA_GCC},
        {SESSION("video: VP8, bandwidth: {feedback: ccfb, control: gcc}"), MEDIA_CCFB},
        {SESSION("video: VP8, bandwidth: {feedback: remb}"), MEDIA_REMB},
    };
    for (unsigned i = 0; i < 3; i++) {
        set = load(fed[i].text);
        assert_int_equal(set.scenarios[0]->peers[0].config.media_control, fed[i].control);
        scenario_set_free(&set);
    }
    set = load(SESSION("video: VP8, bandwidth: {control: fixed}"));
    assert_int_equal(set.scenarios[0]->peers[0].config.media_control, MEDIA_FIXED);
    assert_int_equal(set.scenarios[0]->peers[0].config.media_max_bps, 0);
    scenario_set_free(&set);
}

static void test_load_media_clear_capture_and_skew(void **state)
{
    (void)state;
    struct scenario_set set =
        load("name: x\nstats: 500ms\n"
             "peers: {a: {at: wan, clock-skew: -50ppm}, b: {at: wan, clock-skew: 10000ppm}}\n"
             "session: {audio: opus, clear-capture: true}\n");
    const struct scenario *scenario = set.scenarios[0];
    assert_true(scenario->peers[0].config.media_clock_ppb == -50000);
    assert_true(scenario->peers[1].config.media_clock_ppb == 10000000);
    assert_true(scenario->peers[0].config.clear_media && scenario->peers[1].config.clear_media);
    assert_true(scenario->stats_interval == 500 * TIME_MS);
    scenario_set_free(&set);
}

static void test_load_media_commands(void **state)
{
    (void)state;
    struct scenario_set set =
        load(HEAD "session: {offerer: a, answerer: b, audio: opus, video: VP8}\n"
                  "timeline:\n"
                  "  - {at: 1s, mute: {peer: a, track: audio}}\n"
                  "  - {at: 2s, unmute: {peer: b, track: video}}\n"
                  "  - {at: 3s, keyframe: {peer: b, track: video}}\n"
                  "  - {at: 4s, dial: {peer: a, track: audio, digits: \"12#,D*\", tone: 80ms,\n"
                  "      gap: 40ms}}\n"
                  "  - {at: 5s, bitrate: {peer: a, track: video, to: 500kbps}}\n"
                  "  - {at: 6s, receive-max: {peer: b, track: video, to: 100kbps}}\n");
    static const enum media_command_kind kinds[] = {MEDIA_MUTE, MEDIA_UNMUTE,  MEDIA_KEYFRAME,
                                                    MEDIA_DIAL, MEDIA_BITRATE, MEDIA_RECEIVE_MAX};
    static const unsigned peers[] = {0, 1, 1, 0, 0, 1}, tracks[] = {0, 1, 1, 0, 1, 1};
    assert_int_equal(set.scenarios[0]->actions_count, 6);
    for (unsigned i = 0; i < 6; i++) {
        const struct scenario_action *action = &set.scenarios[0]->actions[i];
        assert_int_equal(action->kind, ACTION_MEDIA);
        assert_true(action->at == (i + 1) * TIME_S);
        assert_int_equal(action->media.kind, kinds[i]);
        assert_int_equal(action->peer, peers[i]);
        assert_int_equal(action->media.track, tracks[i]);
        assert_string_equal(action->track, tracks[i] ? "video" : "audio");
    }
    const struct scenario_action *actions = set.scenarios[0]->actions;
    assert_string_equal(actions[3].media.digits, "12#,D*");
    assert_true(actions[3].media.tone == 80 * TIME_MS && actions[3].media.gap == 40 * TIME_MS);
    assert_int_equal(actions[4].media.bps, 500000);
    assert_int_equal(actions[5].media.bps, 100000);
    scenario_set_free(&set);
}

// The same label in two sessions is two tracks: a peer has one of them.
static void test_load_media_label_of_each_session(void **state)
{
    (void)state;
    struct scenario_set set =
        load("name: x\npeers: {a: {at: wan}, b: {at: wan}, c: {at: wan}, d: {at: wan}}\n"
             "sessions: [{offerer: a, answerer: b, audio: opus},\n"
             "  {offerer: c, answerer: d, video: VP8, media: [{audio: PCMU}]}]\n"
             "timeline: [{at: 1s, mute: {peer: d, track: audio}}]\n");
    assert_int_equal(set.scenarios[0]->actions[0].media.track, 1);
    scenario_set_free(&set);
}

// --------------------------------------------------------------------------------------- mistakes

struct wrong {
    const char *text;
    const char *message; // after "f.yaml:"
};

static void check_all(const struct wrong *wrong, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct scenario_set set = {0};
        struct err err = {0};
        char expected[ERR_TEXT_MAX];
        snprintf(expected, sizeof expected, "f.yaml:%s", wrong[i].message);
        if (scenario_load_text(&set, "f.yaml", bytes_text(wrong[i].text), &err))
            fail_msg("taken, instead of %s", wrong[i].message);
        assert_string_equal(err.text, expected);
        assert_int_equal(set.count, 0);
        scenario_set_free(&set);
    }
}
#define CHECK(table) check_all(table, sizeof table / sizeof table[0])

static const struct wrong track_wrong[] = {
    {TRACK("label: cam"), "3:44: expected a track with 'audio' or 'video', got none"},
    {TRACK("audio: opus, video: VP8"), "3:44: expected a track with 'audio' or 'video', got both"},
    {TRACK("audio: vp8"), "3:52: expected opus, PCMU, PCMA or G722, got 'vp8'"},
    {TRACK("audio: Opus"),
     "3:52: expected opus, PCMU, PCMA or G722, got 'Opus': did you mean 'opus'?"},
    {TRACK("video: VP10"), "3:52: expected VP8, VP9, H264 or AV1, got 'VP10': did you mean 'VP8'?"},
    {TRACK("video: h264"),
     "3:52: expected VP8, VP9, H264 or AV1, got 'h264': did you mean 'H264'?"},
    {TRACK("video: [VP8, opus]"), "3:58: expected VP8, VP9, H264 or AV1, got 'opus'"},
    {TRACK("video: []"), "3:52: expected 1 to 4 codecs, got 0"},
    {TRACK("video: VP8, answerer-codecs: opus"),
     "3:74: expected VP8, VP9, H264 or AV1, got 'opus'"},
    {TRACK("audio: opus, clip: x.ogg, answerer-codecs: [PCMU]"),
     "3:88: expected one list of codecs with 'clip', got a list"},
    {TRACK("video: {a: b}"), "3:52: expected VP8, VP9, H264 or AV1, got a mapping"},
    {TRACK("video: [VP8, VP9, VP8]"), "3:63: expected each codec once, got 'VP8'"},
    {TRACK("audio: [opus, PCMU, PCMA, G722, opus]"), "3:52: expected 1 to 4 codecs, got 5"},
    {TRACK("audio: opus, label: 12345678901234567890123456789012"),
     "3:65: expected text of at most 31 bytes, got 32"},
    {TRACK("audio: opus, label: \"\""), "3:65: expected text, got ''"},
    {TRACK("audio: opus, labl: x"),
     "3:58: expected a key of a track, got 'labl': did you mean 'label'?"},
    {TRACK("audio: opus, from: c"), "3:64: expected a peer of this session, got 'c'"},
    {TRACK("audio: opus, from: d"),
     "3:64: expected both, or the name of a peer, got 'd': did you mean 'a'?"},
    {TRACK("audio: opus, from: [a]"), "3:64: expected both, or the name of a peer, got a list"},
    {TRACK("audio: opus, bitrate: 32"),
     "3:67: expected a rate, such as 10Mbps, from 1kbps to 100Mbps, got '32'"},
    {TRACK("audio: opus, bitrate: 999bps"),
     "3:67: expected a rate, such as 10Mbps, from 1kbps to 100Mbps, got '999bps'"},
    {TRACK("audio: opus, bitrate: 101Mbps"),
     "3:67: expected a rate, such as 10Mbps, from 1kbps to 100Mbps, got '101Mbps'"},
    {TRACK("video: VP8, fps: 0"), "3:62: expected a number from 1 to 120, got '0'"},
    {TRACK("video: VP8, fps: 121"), "3:62: expected a number from 1 to 120, got '121'"},
    {TRACK("video: VP8, width: 15"), "3:64: expected a number from 16 to 8192, got '15'"},
    {TRACK("video: VP8, height: 8193"), "3:65: expected a number from 16 to 8192, got '8193'"},
    {TRACK("video: VP8, keyframe-interval: 3"),
     "3:76: expected a time with its unit, such as 25ms, from 0s to 86400s, got '3'"},
    {TRACK("audio: opus, frame-time: 121ms"),
     "3:70: expected a time with its unit, such as 25ms, from 0.001s to 0.12s, got '121ms'"},
    {TRACK("audio: opus, frame-time: 20"),
     "3:70: expected a time with its unit, such as 25ms, from 0.001s to 0.12s, got '20'"},
    {TRACK("audio: opus, dtx: yes"), "3:63: expected true or false, got 'yes'"},
    {TRACK("audio: opus, red: 1"), "3:63: expected true or false, got '1'"},
    {TRACK("video: VP8, start: 3s, stop: 3s"), "3:74: expected 'stop' after 'start', got '3s'"},
    {TRACK("video: VP8, stop: 0s"), "3:63: expected 'stop' after 'start', got '0s'"},
    {TRACK("video: VP8, start: -1s"),
     "3:64: expected a time with its unit, such as 25ms, from 0s to 86400s, got '-1s'"},
    {TRACK("video: VP8, nack: off"), "3:63: expected true or false, got 'off'"},
    {TRACK("video: VP8, rtx: x"), "3:62: expected true or false, got 'x'"},
    {TRACK("video: VP8, pli: 1"), "3:62: expected true or false, got '1'"},
    {TRACK("video: VP8, fec: rs"), "3:62: expected none, ulpfec or flexfec, got 'rs'"},
    {TRACK("video: VP8, fec: ulpfc"),
     "3:62: expected none, ulpfec or flexfec, got 'ulpfc': did you mean 'ulpfec'?"},
    {TRACK("video: VP8, fec: ulpfec, fec-share: 101%"),
     "3:81: expected a percentage, such as 0.5%, from 0% to 100%, got '101%'"},
    {TRACK("video: VP8, fec: ulpfec, fec-share: -1%"),
     "3:81: expected a percentage, such as 0.5%, from 0% to 100%, got '-1%'"},
    {TRACK("video: VP8, fec: ulpfec, fec-share: 10"),
     "3:81: expected a percentage, such as 0.5%, from 0% to 100%, got '10'"},
    {TRACK("video: VP8, fec-share: 10%"),
     "3:57: expected 'fec' beside 'fec-share', got 'fec-share'"},
    {TRACK("video: VP8, fec: none, fec-share: 10%"),
     "3:68: expected 'fec' beside 'fec-share', got 'fec-share'"},
    {TRACK("video: VP8, first-sequence: 65536"),
     "3:73: expected a number from 0 to 65535, got '65536'"},
    {TRACK("video: VP8, first-sequence: -1"), "3:73: expected a number from 0 to 65535, got '-1'"},
    {TRACK("video: VP8, first-timestamp: 4294967296"),
     "3:74: expected a number from 0 to 4294967295, got '4294967296'"},
    {TRACK("video: VP8, receive-max: 1"),
     "3:70: expected a rate, such as 10Mbps, from 1kbps to 100Mbps, got '1'"},
    {TRACK("audio: opus, receive-max: 100kbps"),
     "3:58: expected a key of a track of audio, got 'receive-max'"},
    {TRACK("audio: opus, fps: 25"), "3:58: expected a key of a track of audio, got 'fps'"},
    {TRACK("audio: opus, width: 640"), "3:58: expected a key of a track of audio, got 'width'"},
    {TRACK("audio: opus, height: 360"), "3:58: expected a key of a track of audio, got 'height'"},
    {TRACK("audio: opus, keyframe-interval: 1s"),
     "3:58: expected a key of a track of audio, got 'keyframe-interval'"},
    {TRACK("audio: opus, fec: ulpfec"), "3:58: expected a key of a track of audio, got 'fec'"},
    {TRACK("audio: opus, layers: [{rid: a, bitrate: 1Mbps}]"),
     "3:58: expected a key of a track of audio, got 'layers'"},
    {TRACK("video: VP8, dtx: true"), "3:57: expected a key of a track of video, got 'dtx'"},
    {TRACK("video: VP8, frame-time: 20ms"),
     "3:57: expected a key of a track of video, got 'frame-time'"},
    {TRACK("video: VP8, layers: x"), "3:65: expected a list of layers, got 'x'"},
    {TRACK("video: VP8, layers: []"), "3:65: expected 1 to 3 layers, got an empty list"},
    {TRACK("video: VP8, layers: [x]"), "3:66: expected a layer, got 'x'"},
    {TRACK("video: VP8, layers: [{rid: a}]"),
     "3:66: expected a layer with 'rid' and 'bitrate', got one without"},
    {TRACK("video: VP8, layers: [{bitrate: 1Mbps}]"),
     "3:66: expected a layer with 'rid' and 'bitrate', got one without"},
    {TRACK("video: VP8, layers: [{rid: a, bitrate: 1Mbps, scale: 17}]"),
     "3:98: expected a number from 1 to 16, got '17'"},
    {TRACK("video: VP8, layers: [{rid: a, bitrate: 1Mbps, scale: 0}]"),
     "3:98: expected a number from 1 to 16, got '0'"},
    {TRACK("video: VP8, layers: [{rid: a, bitrate: 1Mbps, fps: 3}]"),
     "3:91: expected a key of a layer, got 'fps'"},
    {TRACK("video: VP8, layers: [{rid: a-b, bitrate: 1Mbps}]"),
     "3:72: expected a 'rid' of letters and digits, got 'a-b'"},
    {TRACK("video: VP8, layers: [{rid: q, bitrate: 1Mbps}, {rid: q, bitrate: 2Mbps}]"),
     "3:98: expected a 'rid' for each layer of its own, got 'q'"},
    {TRACK("video: VP8, layers: [{rid: 12345678901234567, bitrate: 1Mbps}]"),
     "3:72: expected text of at most 16 bytes, got 17"},
    {TRACK("video: VP8, layers: [{rid: a, bitrate: 1Mbps}, {rid: b, bitrate: 1Mbps}, {rid: c, "
           "bitrate: 1Mbps}, {rid: d, bitrate: 1Mbps}]"),
     "3:65: expected a list of layers of at most 3, got 4"},
    {TRACK("video: VP8, clip: x.ivf, layers: [{rid: q, bitrate: 1}, {rid: h, bitrate: 2}]"),
     "3:78: expected one layer with 'clip', got a list"},
    {TRACK("video: VP8, loop: true"), "3:57: expected 'clip' beside 'loop', got 'loop'"},
    {TRACK("video: VP8, decode: true"),
     "3:65: expected 'decode' with a clip of VP8, VP9 or opus, got 'true'"},
    {TRACK("video: VP8, clip: none.ivf"),
     "3:63: expected a clip, got none.ivf: No such file or directory"},
    {TRACK("video: VP8, clip: ."), "3:63: expected a clip, got .: not a file of at most 64 MiB"},
    {TRACK("video: VP8, clip: \"\""), "3:63: expected text, got ''"},
    {TRACK("video: VP8}, {video: VP9"),
     "3:58: expected a label for each track of a session, got 'video' again"},
    {TRACK("video: VP8, label: x}, {audio: opus, label: x"),
     "3:68: expected a label for each track of a session, got 'x' again"},
};

static void test_load_media_track_is_refused_in_one_line(void **state)
{
    (void)state;
    CHECK(track_wrong);
}

static const struct wrong session_wrong[] = {
    {SESSION("audio: VP8"), "3:43: expected opus, PCMU, PCMA or G722, got 'VP8'"},
    {SESSION("video: opus"), "3:43: expected VP8, VP9, H264 or AV1, got 'opus'"},
    {SESSION("media: {a: b}"), "3:43: expected a list of tracks, got a mapping"},
    {SESSION("media: [x]"), "3:44: expected a track, got 'x'"},
    {SESSION("media: [[]]"), "3:44: expected a track, got an empty list"},
    {SESSION("video: VP8, media: [{video: VP8}]"),
     "3:56: expected a label for each track of a session, got 'video' again"},
    {SESSION("audio: opus, data: [{label: audio}]"),
     "3:43: expected labels of tracks and channels to differ, got 'audio' again"},
    {SESSION("data: [{label: cam}], media: [{video: VP8, label: cam}]"),
     "3:66: expected labels of tracks and channels to differ, got 'cam' again"},
    {SESSION("ice-only: true, audio: opus"),
     "3:10: expected no audio or video with 'ice-only: true', got some"},
    {SESSION("bandwidth: x"), "3:47: expected bandwidth, got 'x'"},
    {SESSION("bandwidth: {control: goog}"), "3:57: expected gcc, remb or fixed, got 'goog'"},
    {SESSION("bandwidth: {contrl: gcc}"),
     "3:48: expected a key of bandwidth, got 'contrl': did you mean 'control'?"},
    {SESSION("bandwidth: {start: 4999bps}"),
     "3:55: expected a rate, such as 10Mbps, from 5kbps to 1Gbps, got '4999bps'"},
    {SESSION("bandwidth: {max: 2Gbps}"),
     "3:53: expected a rate, such as 10Mbps, from 5kbps to 1Gbps, got '2Gbps'"},
    {SESSION("bandwidth: {min: 500kbps, max: 100kbps}"),
     "3:53: expected 'min' not above 'max', got '500kbps'"},
    {SESSION("bandwidth: {start: 1Mbps, max: 900kbps}"),
     "3:55: expected 'start' from 'min' to 'max', got '1Mbps'"},
    {SESSION("bandwidth: {start: 10kbps, min: 20kbps}"),
     "3:55: expected 'start' from 'min' to 'max', got '10kbps'"},
    {SESSION("clear-capture: maybe"), "3:51: expected true or false, got 'maybe'"},
    {SESSION(
         "media: [{label: t0, audio: opus}, {label: t1, audio: opus}, {label: t2, audio: opus}, "
         "{label: t3, audio: opus}, {label: t4, audio: opus}, {label: t5, audio: opus}, {label: "
         "t6, audio: opus}, {label: t7, audio: opus}, {label: t8, audio: opus}, {label: t9, audio: "
         "opus}, {label: t10, audio: opus}, {label: t11, audio: opus}, {label: t12, audio: opus}, "
         "{label: t13, audio: opus}, {label: t14, audio: opus}, {label: t15, audio: opus}, {label: "
         "t16, audio: opus}, {label: t17, audio: opus}, {label: t18, audio: opus}, {label: t19, "
         "audio: opus}, {label: t20, audio: opus}, {label: t21, audio: opus}, {label: t22, audio: "
         "opus}, {label: t23, audio: opus}, {label: t24, audio: opus}, {label: t25, audio: opus}, "
         "{label: t26, audio: opus}, {label: t27, audio: opus}, {label: t28, audio: opus}, {label: "
         "t29, audio: opus}, {label: t30, audio: opus}]"),
     "3:43: expected a list of tracks of at most 30, got 31"},
    {SESSION(
         "audio: opus, video: VP8, media: [{label: t0, audio: opus}, {label: t1, audio: opus}, "
         "{label: t2, audio: opus}, {label: t3, audio: opus}, {label: t4, audio: opus}, {label: "
         "t5, audio: opus}, {label: t6, audio: opus}, {label: t7, audio: opus}, {label: t8, audio: "
         "opus}, {label: t9, audio: opus}, {label: t10, audio: opus}, {label: t11, audio: opus}, "
         "{label: t12, audio: opus}, {label: t13, audio: opus}, {label: t14, audio: opus}, {label: "
         "t15, audio: opus}, {label: t16, audio: opus}, {label: t17, audio: opus}, {label: t18, "
         "audio: opus}, {label: t19, audio: opus}, {label: t20, audio: opus}, {label: t21, audio: "
         "opus}, {label: t22, audio: opus}, {label: t23, audio: opus}, {label: t24, audio: opus}, "
         "{label: t25, audio: opus}, {label: t26, audio: opus}, {label: t27, audio: opus}, {label: "
         "t28, audio: opus}, {label: t29, audio: opus}]"),
     "3:68: expected at most 31 tracks in all, got 32"},
};

static void test_load_media_session_is_refused_in_one_line(void **state)
{
    (void)state;
    CHECK(session_wrong);
}

static const struct wrong command_wrong[] = {
    {DO("mute: {peer: a}"), "5:27: expected mute with 'peer' and 'track', got not all"},
    {DO("mute: {track: audio}"), "5:27: expected mute with 'peer' and 'track', got not all"},
    {DO("mute: x"), "5:27: expected mute, got 'x'"},
    {DO("mute: {peer: a, track: audio, to: 1}"), "5:51: expected a key of mute, got 'to'"},
    {DO("mute: {peer: d, track: audio}"),
     "5:34: expected the name of a peer, got 'd': did you mean 'a'?"},
    {DO("mute: {peer: c, track: audio}"),
     "5:44: expected the label of a track of its session, got 'audio'"},
    {DO("mute: {peer: a, track: audo}"),
     "5:44: expected the label of a track of its session, got 'audo': did you mean 'audio'?"},
    {DO("mute: {peer: a, track: [audio]}"),
     "5:44: expected the label of a track of its session, got a list"},
    {DO("mute: {peer: b, track: cam}"), "5:44: expected a track that this peer sends, got 'cam'"},
    {DO("unmute: {peer: a, track: mic}"), "5:46: expected a track that this peer sends, got 'mic'"},
    {DO("keyframe: {peer: a, track: cam}"),
     "5:48: expected a track of video that this peer receives, got 'cam'"},
    {DO("keyframe: {peer: a, track: audio}"),
     "5:48: expected a track of video that this peer receives, got 'audio'"},
    {DO("keyframe: {peer: b}"), "5:31: expected keyframe with 'peer' and 'track', got not all"},
    {DO("dial: {peer: a, track: audio}"),
     "5:27: expected 'digits' of 0-9, *, #, A-D and ',', got a mapping"},
    {DO("dial: {peer: a, track: audio, digits: x}"),
     "5:59: expected 'digits' of 0-9, *, #, A-D and ',', got 'x'"},
    {DO("dial: {peer: a, track: audio, digits: \"1 2\"}"),
     "5:59: expected 'digits' of 0-9, *, #, A-D and ',', got '1 2'"},
    {DO("dial: {peer: a, track: video, digits: \"1\"}"),
     "5:44: expected a track of audio that this peer sends, got 'video'"},
    {DO("dial: {peer: a, track: mic, digits: \"1\"}"),
     "5:44: expected a track of audio that this peer sends, got 'mic'"},
    {DO("dial: {peer: a, track: audio, digits: \"1\", tone: 39ms}"),
     "5:70: expected a time with its unit, such as 25ms, from 0.04s to 6s, got '39ms'"},
    {DO("dial: {peer: a, track: audio, digits: \"1\", gap: 29ms}"),
     "5:69: expected a time with its unit, such as 25ms, from 0.03s to 6s, got '29ms'"},
    {DO("dial: {peer: a, track: audio, digits: \"1\", tone: 7s}"),
     "5:70: expected a time with its unit, such as 25ms, from 0.04s to 6s, got '7s'"},
    {DO("bitrate: {peer: a, track: video}"),
     "5:30: expected bitrate with 'peer', 'track' and 'to', got not all"},
    {DO("bitrate: {peer: a, track: video, to: 5}"),
     "5:58: expected a rate, such as 10Mbps, from 1kbps to 100Mbps, got '5'"},
    {DO("bitrate: {peer: b, track: cam, to: 500kbps}"),
     "5:47: expected a track that this peer sends, got 'cam'"},
    {DO("receive-max: {peer: a, track: cam, to: 500kbps}"),
     "5:51: expected a track of video that this peer receives, got 'cam'"},
    {DO("receive-max: {peer: b, track: audio, to: 500kbps}"),
     "5:51: expected a track of video that this peer receives, got 'audio'"},
    {DO("receive-max: {peer: b, to: 500kbps}"),
     "5:34: expected receive-max with 'peer', 'track' and 'to', got not all"},
};

static void test_load_media_command_is_refused_in_one_line(void **state)
{
    (void)state;
    CHECK(command_wrong);
}

static const struct wrong expect_wrong[] = {
    {EXPECT("a.audo.mos > 3"),
     "4:10: expected a metric of a, got 'audo.mos' (simrtc metrics lists them)"},
    {EXPECT("a.audio.moss > 3"), "4:10: expected a metric of a.audio, got 'moss', did you mean "
                                 "'mos'? (simrtc metrics lists them)"},
    {EXPECT("a.audio.in.freezeCont == 0"),
     "4:10: expected a metric of a.audio, got 'in.freezeCont', did you mean 'in.freezeCount'? "
     "(simrtc metrics lists them)"},
    {EXPECT("a.audio.mos > 3s"),
     "4:10: expected a number such as 3.8, got '3s' in \"a.audio.mos > 3s\""},
    {EXPECT("a.video.codec == VP8 within 1"), "4:10: expected a time with its unit, such as 3s, "
                                              "got '1' in \"a.video.codec == VP8 within 1\""},
    {EXPECT("a.video.in.jitter < 3"),
     "4:10: expected a time with its unit, such as 3s, got '3' in \"a.video.in.jitter < 3\""},
    {EXPECT("c.audio.mos > 3"),
     "4:10: expected a metric of c, got 'audio.mos' (simrtc metrics lists them)"},
    {EXPECT("a.media.probs > 1"), "4:10: expected a metric of a, got 'media.probs', did you mean "
                                  "'media.probes'? (simrtc metrics lists them)"},
    {EXPECT("a.audio.codec == 3"), "4:10: expected one of opus PCMU PCMA G722 VP8 VP9 H264 AV1, "
                                   "got '3' in \"a.audio.codec == 3\""},
    {EXPECT("a.audio.sends == 1"),
     "4:10: expected true or false, got '1' in \"a.audio.sends == 1\""},
    {EXPECT("a.audio.effective-loss < 3"),
     "4:10: expected a percentage such as 2.5%, got '3' in \"a.audio.effective-loss < 3\""},
};

static void test_load_media_expectation_is_refused_in_one_line(void **state)
{
    (void)state;
    CHECK(expect_wrong);
}

// --------------------------------------------------------------------------------------------
// clips

static void write_file(const char *path, const void *bytes, size_t len)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

// Paths from the folder of the file; what is wrong with a clip with the offset of the byte.
static void test_load_media_clip(void **state)
{
    (void)state;
    char folder[] = "/tmp/simrtc-load-media-XXXXXX", path[64], name[64], expected[ERR_TEXT_MAX];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/f.yaml", folder);
    snprintf(name, sizeof name, "%s/bad.ivf", folder);
    // A header alone, then one with a frame that is cut off.
    static const uint8_t ivf[] = {'D', 'K', 'I', 'F', 0, 0, 32, 0, 'V', 'P', '8', '0', 64, 0, 48,
                                  0,   25,  0,   0,   0, 1, 0,  0, 0,   1,   0,   0,   0,  0, 0,
                                  0,   0,   9,   0,   0, 0, 0,  0, 0,   0,   0,   0,   0,  0, 0x10};
    static const struct {
        size_t len;
        const char *says;
    } cases[] = {{0, "byte 0: expected an Ogg (\"OggS\") or IVF (\"DKIF\") file"},
                 {32, "byte 32: expected a frame, got the end of the file"},
                 {40, "byte 32: the file ends inside of a frame's header"},
                 {45, "byte 32: a frame of 9 bytes, but 1 are left"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file(name, ivf, cases[i].len);
        struct scenario_set set = {0};
        struct err err = {0};
        assert_false(scenario_load_text(
            &set, path, bytes_text(TRACK("label: cam, video: VP8, clip: bad.ivf")), &err));
        snprintf(expected, sizeof expected, "%s:3:75: expected a clip, got %s: %s", path, name,
                 cases[i].says);
        assert_string_equal(err.text, expected);
        scenario_set_free(&set);
    }
    uint8_t good[sizeof ivf];
    memcpy(good, ivf, sizeof ivf);
    good[32] = 1;
    write_file(name, good, sizeof good);
    struct scenario_set set = {0};
    struct err err = {0};
    assert_true(scenario_load_text(
        &set, path,
        bytes_text(TRACK("label: cam, video: VP8, clip: bad.ivf, loop: true, decode: true")),
        &err));
    const struct scenario_track *track = &set.scenarios[0]->sessions[0].tracks[0];
    assert_non_null(track->config.clip);
    assert_int_equal(track->config.clip->frames_count, 1);
    assert_true(track->config.clip_loops && track->decode);
    scenario_set_free(&set);
    assert_false(scenario_load_text(
        &set, path, bytes_text(TRACK("label: cam, video: VP9, clip: bad.ivf")), &err));
    snprintf(expected, sizeof expected, "%s:3:75: expected a clip of VP9, got one of VP8", path);
    assert_string_equal(err.text, expected);
    scenario_set_free(&set);
    remove(name);
    remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load_media_short_forms),
        cmocka_unit_test(test_load_media_every_key_of_video),
        cmocka_unit_test(test_load_media_every_key_of_audio),
        cmocka_unit_test(test_load_media_bandwidth),
        cmocka_unit_test(test_load_media_clear_capture_and_skew),
        cmocka_unit_test(test_load_media_commands),
        cmocka_unit_test(test_load_media_label_of_each_session),
        cmocka_unit_test(test_load_media_track_is_refused_in_one_line),
        cmocka_unit_test(test_load_media_session_is_refused_in_one_line),
        cmocka_unit_test(test_load_media_command_is_refused_in_one_line),
        cmocka_unit_test(test_load_media_expectation_is_refused_in_one_line),
        cmocka_unit_test(test_load_media_clip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
