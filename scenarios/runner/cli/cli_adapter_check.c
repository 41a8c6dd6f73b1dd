// Does a program speak the adapters' protocol? It plays a peer in small scenarios, a feature each,
// against this stack.
#include "scenarios/runner/cli/cli.h"
#include "scenarios/runner/clips/clip_make.h"
#include "scenarios/runner/live/live_run.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

// A tone and a picture both ways, from clips that are made here: what the program's stack decodes
// it counts itself. The picture's clip has one key frame.
#define TONE "tone"
#define PATTERN "pattern"
#define FPS 15u
#define PATTERN_SECONDS 20u
#define MEDIA                                                                                      \
    "data: [{label: chat}], media: [{audio: opus, clip: " TONE ", loop: true}, {video: VP8, "      \
    "clip: " PATTERN ", loop: true, width: 160, height: 120, fps: 15, bitrate: 300kbps}]"
#define MEDIA_FLOWS                                                                                \
    "expect:\n"                                                                                    \
    "  - alice.audio.in.totalSamplesReceived >= 96000 within 12s\n"                                \
    "  - bob.audio.in.totalSamplesReceived >= 96000 within 12s\n"                                  \
    "  - alice.video.in.framesDecoded >= 30 within 12s\n"                                          \
    "  - bob.video.in.framesDecoded >= 30 and bob.video.in.keyFramesDecoded >= 1 within 12s\n"

static const struct {
    const char *name, *peer, *session, *rest; // keys of bob, of the session, and of the file
} checks[] = {
    {"answers", "", "offerer: alice, data: [{label: chat}]",
     "timeline:\n"
     "  - {at: 0s, send: {from: alice, channel: chat, messages: 5, size: 100, text: true}}\n"
     "  - {at: 0s, send: {from: bob, channel: chat, messages: 5, size: 100, text: true}}\n"
     "expect:\n"
     "  - alice.chat.received == 5 and alice.chat.intact and alice.chat.in-order within 10s\n"
     "  - bob.chat.received == 5 and bob.chat.intact and bob.chat.in-order within 10s\n"
     "  - alice.state == connected within 10s\n"},
    {"offers", "", "offerer: bob, data: [{label: chat}]",
     "timeline:\n"
     "  - {at: 0s, send: {from: alice, channel: chat, messages: 5, size: 3000}}\n"
     "  - {at: 0s, send: {from: bob, channel: chat, messages: 5, size: 3000}}\n"
     "expect:\n"
     "  - alice.chat.received == 5 and alice.chat.intact and alice.chat.in-order within 10s\n"
     "  - bob.chat.received == 5 and bob.chat.intact and bob.chat.in-order within 10s\n"},
    {"tells-its-states", "", "offerer: alice, data: [{label: chat}]",
     "expect:\n"
     "  - bob.state == connected within 10s\n"
     "  - bob.chat.state == open within 10s\n"},
    {"answers-without-trickle", "", "offerer: alice, trickle: false, data: [{label: chat}]",
     "timeline:\n"
     "  - {at: 0s, send: {from: bob, channel: chat}}\n"
     "expect:\n"
     "  - alice.chat.received == 1 and alice.chat.intact within 15s\n"},
    {"offers-without-trickle", "", "offerer: bob, trickle: false, data: [{label: chat}]",
     "timeline:\n"
     "  - {at: 0s, send: {from: alice, channel: chat}}\n"
     "expect:\n"
     "  - bob.chat.received == 1 and bob.chat.intact within 15s\n"},
    {"many-messages", "", "offerer: alice, data: [{label: chat}]",
     "timeline:\n"
     "  - {at: 0s, send: {from: alice, channel: chat, messages: 200, size: 10000}}\n"
     "  - {at: 0s, send: {from: bob, channel: chat, messages: 200, size: 10000}}\n"
     "expect:\n"
     "  - alice.chat.received == 200 and alice.chat.intact and alice.chat.in-order within 15s\n"
     "  - bob.chat.received == 200 and bob.chat.intact and bob.chat.in-order within 15s\n"},
    {"unordered", "", "offerer: bob, data: [{label: chat, ordered: false, max-retransmits: 2}]",
     "timeline:\n"
     "  - {at: 0s, send: {from: bob, channel: chat, messages: 5}}\n"
     "expect:\n"
     "  - alice.chat.received == 5 within 10s\n"},
    {"lifetime", "", "offerer: bob, data: [{label: chat, max-lifetime: 500ms}]",
     "timeline:\n"
     "  - {at: 0s, send: {from: bob, channel: chat, messages: 5}}\n"
     "expect:\n"
     "  - alice.chat.received == 5 within 10s\n"},
    {"negotiated", "", "offerer: alice, data: [{label: chat, negotiated: true, id: 4}]",
     "timeline:\n"
     "  - {at: 3s, send: {from: alice, channel: chat, messages: 5}}\n"
     "  - {at: 3s, send: {from: bob, channel: chat, messages: 5}}\n"
     "expect:\n"
     "  - alice.chat.received == 5 and bob.chat.received == 5 within 10s\n"},
    {"opens-a-channel-later", "", "offerer: alice, data: [{label: chat}]",
     "timeline:\n"
     "  - {at: 3s, open-channel: {peer: bob, label: more}}\n"
     "  - {at: 3s, send: {from: bob, channel: more, messages: 5}}\n"
     "expect:\n"
     "  - alice.more.received == 5 within 10s\n"},
    {"closes-a-channel", "", "offerer: alice, data: [{label: chat}]",
     "timeline:\n"
     "  - {at: 3s, close-channel: {peer: bob, channel: chat}}\n"
     "expect:\n"
     "  - alice.chat.state == open at 3s\n"
     "  - alice.chat.state == closed within 10s\n"},
    {"uses-relays-alone", ", relay-only: true", "offerer: alice, data: [{label: chat}]",
     "timeline:\n"
     "  - {at: 0s, send: {from: bob, channel: chat}}\n"
     "expect:\n"
     "  - alice.chat.received == 1 and bob.path == relay within 10s\n"},
    {"restarts-ice", "", "offerer: alice, data: [{label: chat}]",
     "timeline:\n"
     "  - {at: 3s, restart-ice: bob}\n"
     "  - {at: 5s, send: {from: bob, channel: chat}}\n"
     "expect:\n"
     "  - alice.chat.received == 1 within 10s\n"},
    {"closes", "", "offerer: alice, data: [{label: chat}]",
     "timeline:\n"
     "  - {at: 3s, close: bob}\n"
     "expect:\n"
     "  - alice.state == connected at 3s\n"
     "  - alice.chat.state == closed within 10s\n"},
    {"answers-with-media", "", "offerer: alice, " MEDIA, MEDIA_FLOWS},
    {"offers-media", "", "offerer: bob, " MEDIA, MEDIA_FLOWS},
    {"gives-a-key-frame", "", "offerer: alice, " MEDIA,
     "timeline:\n"
     "  - {at: 8s, keyframe: {peer: alice, track: video}}\n"
     "expect:\n"
     "  - alice.video.in.framesDecoded >= 15 at 8s\n"
     "  - alice.video.keyframes-since-asked >= 1 within 9s\n"},
    {"asks-for-a-key-frame", "", "offerer: alice, " MEDIA,
     "timeline:\n"
     "  - {at: 8s, keyframe: {peer: bob, track: video}}\n"
     "expect:\n"
     "  - bob.video.in.framesDecoded >= 15 at 8s\n"
     "  - bob.video.keyframes-since-asked >= 1 within 9s\n"},
};
#define CHECKS (sizeof checks / sizeof checks[0])

// The command as a YAML list, whose quoted words are those of JSON.
static void put_command(struct text *to, char **words, unsigned count)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < count; i++)
        json_array_append_new(list, json_string(words[i]));
    char *line = json_dumps(list, 0);
    text_put(to, line ? line : "[]"); // a word that is no UTF-8 is no word: the loader complains
    free(line);
    json_decref(list);
}

// The scenarios find it by its name, as if it had been read already.
static bool add_clip(struct scenario_set *set, const char *name, bool made, struct text *file,
                     struct err *err)
{
    struct scenario_clip *clip = arena_alloc(&set->arena, sizeof *clip);
    *clip = (struct scenario_clip){.path = name, .next = set->clips};
    clip->clip = made ? clip_read(text_bytes(file), name, err) : NULL;
    text_free(file);
    if (clip->clip)
        set->clips = clip;
    return clip->clip;
}

static bool add_clips(struct scenario_set *set, struct err *err)
{
    const struct tone_wish tone = {.hz = 440, .frames = 50, .bitrate = 16000};
    const struct pattern_wish pattern = {.kind = CODEC_VP8,
                                         .width = 160,
                                         .height = 120,
                                         .fps = FPS,
                                         .frames = FPS * PATTERN_SECONDS,
                                         .bitrate = 12000,
                                         .keyframe_interval = FPS * PATTERN_SECONDS};
    struct text file = {0};
    bool made = clip_make_tone(&tone, &file, err);
    if (!add_clip(set, TONE, made, &file, err))
        return false;
    made = clip_make_pattern(&pattern, &file, err);
    return add_clip(set, PATTERN, made, &file, err);
}

static bool load_check(struct scenario_set *set, size_t check, char **words, unsigned count,
                       struct err *err)
{
    struct text text = {0};
    char path[80];
    text_printf(&text,
                "name: %s\nlimit: 20s\nnetwork: {wan: {delay: 5ms}, lans: {home: {}, office: {}}}\n"
                "servers: {stun: {at: wan}, turn: {at: wan}}\n"
                "peers:\n  alice: {at: home, ice-servers: [stun, turn]}\n"
                "  bob: {at: office, ice-servers: [stun, turn]%s, peer: {kind: adapter, run: ",
                checks[check].name, checks[check].peer);
    put_command(&text, words, count);
    text_printf(&text, "}}\nsession: {%s}\n%s", checks[check].session, checks[check].rest);
    snprintf(path, sizeof path, "adapter-check-%s.yaml", checks[check].name);
    bool loaded = scenario_load_text(set, path, text_bytes(&text), err);
    text_free(&text);
    return loaded;
}

int cli_adapter_check(int argc, char **argv)
{
    const char *out = "simrtc-out";
    const struct cli_option options[] = {
        {"out", 0, CLI_TEXT, "DIR", &out, "where files go; default: ./simrtc-out"},
        {0},
    };
    const struct cli_command about = {
        .usage = "adapter-check [options] -- COMMAND [WORD...]",
        .about = "Run a program as a live peer, in one small scenario for each thing that the\n"
                 "adapters' protocol has (scenarios/adapters/README.md). What its stack says that "
                 "it cannot\ndo is unsupported. Exit codes as of live.",
        .options = options,
        .words_min = 1,
        .words_max = SCENARIO_WORDS_MAX,
    };
    struct live_options real = {
        .program = "/proc/self/exe", .allowance = LIVE_ALLOWANCE, .slack = LIVE_SLACK};
    struct scenario_set set = {0};
    struct err err = {0};
    unsigned words;
    int code;
    if (!cli_parse(&about, argc, argv, &words, &code))
        return code;
    add_clips(&set, &err);
    for (size_t i = 0; i < CHECKS && !err_is_set(&err); i++)
        load_check(&set, i, argv + 1, words, &err);
    if (err_is_set(&err)) {
        fprintf(stderr, "simrtc: %s\n", err.text);
        code = CLI_CANNOT;
    } else {
        code = cli_run_loaded(&set, &real, out, argv[0]);
    }
    scenario_set_free(&set);
    return code;
}
