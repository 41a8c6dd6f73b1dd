// Every name that an expectation may use: listed with a unit, known to the loader, in each result,
// and moved by a small run that does what it counts.
#include "scenarios/runner/clips/clip_make.h"
#include "scenarios/runner/run/run.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 400
#define UNIT_COLUMN 55 // of what `simrtc metrics` prints
#define MEANING_COLUMN 81

struct listed {
    char name[64];
    bool moved;
};
struct list {
    struct listed at[NAMES_MAX];
    unsigned count;
};

// What `simrtc metrics` prints, line by line.
static struct list *list_new(void)
{
    struct list *list = calloc(1, sizeof *list);
    struct text text = {0};
    run_print_metrics(&text);
    char *line = strtok(text.at, "\n"); // the heading
    assert_non_null(line);
    for (line = strtok(NULL, "\n"); line; line = strtok(NULL, "\n")) {
        assert_true(list->count < NAMES_MAX);
        struct listed *one = &list->at[list->count++];
        assert_int_equal(sscanf(line, "%63s", one->name), 1);
    }
    text_free(&text);
    return list;
}

static void test_metrics_each_has_a_unit_and_a_meaning(void **state)
{
    (void)state;
    struct text text = {0};
    run_print_metrics(&text);
    char *line = strtok(text.at, "\n");
    for (line = strtok(NULL, "\n"); line; line = strtok(NULL, "\n")) {
        char name[64];
        assert_int_equal(sscanf(line, "%63s", name), 1);
        if (strlen(name) >= UNIT_COLUMN || strlen(line) <= MEANING_COLUMN ||
            line[UNIT_COLUMN - 1] != ' ' || line[UNIT_COLUMN] == ' ' ||
            line[MEANING_COLUMN - 1] != ' ' || line[MEANING_COLUMN] == ' ')
            fail_msg("expected a unit and a meaning in their columns, got: %s", line);
    }
    text_free(&text);
}

static void test_metrics_names_differ(void **state)
{
    (void)state;
    struct list *list = list_new();
    assert_true(list->count > 150);
    for (unsigned i = 0; i < list->count; i++) {
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(list->at[i].name, list->at[k].name);
    }
    free(list);
}

// ------------------------------------------------------------------------------------------ a run

// Two homes that need the relay, with loss; a server that knows too little time for an allocation;
// a third pair on the wide area network with simulcast, FEC and a link that shrinks.
static const char world[] =
    "name: small\n"
    "limit: 30s\n"
    "network:\n"
    "  wan: {delay: 10ms}\n"
    "  lans:\n"
    "    home: {gateway: {nat: {preset: port-restricted, lifetime: 5s}, firewall:\n"
    "      {rules: [{direction: out, action: deny, protocol: udp, ports: 53}]}},\n"
    "      uplink: {loss: 3%}}\n"
    "    office: {gateway: {nat: symmetric}}\n"
    "servers:\n"
    "  stun: {at: wan}\n"
    "  turn: {at: wan, lifetime: 10s, nonce-lifetime: 3s}\n"
    "peers:\n"
    "  alice: {at: home, ice-servers: [stun, turn], turn-lifetime: 10s, turn-channels: true}\n"
    "  bob: {at: office, ice-servers: [stun, turn], turn-lifetime: 10s}\n"
    "  carol: {at: wan, clock-skew: 5000ppm}\n"
    "  dave: {at: wan}\n"
    "  erin: {at: wan}\n"
    "  frank: {at: wan}\n"
    "sessions:\n"
    "  - {offerer: alice, answerer: bob, data: [{label: chat}, {label: loose, max-retransmits: 0,\n"
    "     ordered: false}], audio: opus, video: VP8}\n"
    "  - offerer: carol\n"
    "    answerer: dave\n"
    "    media:\n"
    "      - {label: simulcast, video: VP8, from: carol, width: 1280, height: 720, rtx: false,\n"
    "         layers: [{rid: q, scale: 4, bitrate: 150kbps}, {rid: f, bitrate: 300kbps}]}\n"
    "      - {label: repaired, video: VP9, from: carol, red: true, fec: ulpfec, fec-share: 50%,\n"
    "         bitrate: 300kbps, nack: false}\n"
    "      - {label: phone, audio: PCMU}\n"
    "  - offerer: erin\n"
    "    answerer: frank\n"
    "    media:\n"
    "      - {label: cam, video: VP8, from: erin, clip: cam.ivf, decode: true}\n"
    "      - {label: tone, audio: opus, from: erin, clip: tone.opus, decode: true}\n"
    "timeline:\n"
    "  - {at: 2s, send: {from: alice, channel: chat, messages: 200, size: 1000, interval: 5ms}}\n"
    "  - {at: 2s, send: {from: alice, channel: loose, messages: 400, size: 1000, interval: 5ms}}\n"
    "  - {at: 2s, dial: {peer: carol, track: phone, digits: \"12\"}}\n"
    "  - {at: 3s, link: {dave.link.down: {loss: 10%}}}\n"
    "  - {at: 3s, keyframe: {peer: dave, track: simulcast}}\n"
    "  - {at: 6s, link: {carol.link.up: {rate: 500kbps}}}\n"
    "  - {at: 9s, link: {carol.link.up: {rate: 100Mbps}}}\n"
    "  - {at: 10s, link: {carol.link.up: {delay: 300ms}}}\n"
    "  - {at: 12s, link: {carol.link.up: {delay: 0ms}}}\n"
    "  - {at: 8s, link: {home.uplink: {down: true}}}\n"
    "  - {at: 9s, link: {home.uplink: {down: false}}}\n"
    "  - {at: 11s, link: {erin.link.up: {down: true}}}\n"
    "  - {at: 18s, link: {erin.link.up: {down: false}}}\n"
    "  - {at: 20s, restart-ice: alice}\n"
    "  - {at: 22s, close-channel: {peer: alice, channel: loose}}\n"
    "  - {at: 24s, nat: {home: reboot}}\n"
    "  - {at: 26s, link: {dave.link: {down: true}}}\n"
    "  - {at: 28s, close: bob}\n"
    "expect: [peers-connected >= 0]\n";

// What this run does not do.
static const char *const elsewhere[] = {
    // Of peers that fail, clash or are refused.
    "PEER.ice.failure",
    "PEER.ice.role",
    "PEER.refused",
    "PEER.failed-at",
    "PEER.ice.role-conflicts",
    "PEER.ice.asymmetric",
    "PEER.dtls.timeouts",
    "PEER.rollbacks",
    "PEER.srtp.before-keys",
    "PEER.media.ssrc-collisions",
    "PEER.TRACK.in.fecSsrc",
    "PEER.TRACK.remote-in.packetsReportedAsLost",
    "PEER.TRACK.remote-in.packetsReportedAsLostButRecovered",
    "PEER.media.ccfbMessagesSent",
    "PEER.media.ccfbMessagesReceived",
    "PEER.turn.error",
    "SERVER.quota-refusals",
    // Of links, NATs and hosts that are not here.
    "LAN.nat.expired",
    "LAN.dropped.queue-full",
    "dropped.queue-full",
    "LAN.dropped.codel",
    "dropped.codel",
    "LAN.dropped.too-big",
    "dropped.too-big",
    "LAN.dropped.ttl-exceeded",
    "dropped.ttl-exceeded",
    "LAN.dropped.no-route",
    "dropped.no-route",
    "LAN.dropped.isolated",
    "dropped.isolated",
    "LAN.dropped.no-socket",
    "dropped.no-socket",
    "LAN.dropped.bad-packet",
    "dropped.bad-packet",
    "LAN.dropped.nat-no-mapping",
    "dropped.nat-no-mapping",
    "LAN.dropped.nat-table-full",
    "dropped.nat-table-full",
    "LAN.dropped.nat-no-port",
    "dropped.nat-no-port",
    "LAN.dropped.nat-no-hairpin",
    "dropped.nat-no-hairpin",
    // Known before the run; of peers that cannot PLI; of clips that are broken; of a full pacer; of
    // frames
    // that are larger than a packet.
    "PEER.TRACK.out.ssrc",
    "PEER.TRACK.out.rtxSsrc",
    "PEER.TRACK.in.firCount",
    "PEER.TRACK.out.firCount",
    "PEER.TRACK.decode-refused",
    "PEER.media.pacer-drops",
    "PEER.media.frames-too-long",
    "PEER.media.usage",
    // Of relays that are lost while they carry data, and of REMB.
    "PEER.pair.packetsDiscardedOnSend",
    "PEER.pair.bytesDiscardedOnSend",
    "PEER.media.availableIncomingBitrate",
    NULL,
};

// The pattern's instances in a result begin with a name of this world: is `name` one?
static bool is_of(const char *pattern, const char *name)
{
    const char *rest = pattern, *at = name;
    while (*rest >= 'A' && *rest <= 'Z') {
        at = strchr(at, '.');
        if (!at)
            return false;
        at++;
        rest = strchr(rest, '.') + 1;
    }
    return strcmp(rest, at) == 0;
}

static void write_clip(const char *folder, const char *name, struct text *clip)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(clip->at, 1, clip->len, file), clip->len);
    assert_int_equal(fclose(file), 0);
    text_free(clip);
}

struct seen {
    char name[96], value[64];
};
struct values {
    struct seen *at;
    unsigned count;
};

static struct values run_until(const char *path, nanotime limit)
{
    struct scenario_set set = {0};
    struct err err = {0};
    struct text text = {0};
    const char *rest = strstr(world, "limit: 30s") + strlen("limit: 30s");
    text_printf(&text, "name: small\nlimit: 30s%s", rest);
    if (!scenario_load_text(&set, path, text_bytes(&text), &err))
        fail_msg("%s", err.text);
    struct scenario scenario = *set.scenarios[0];
    scenario.limit = limit;
    struct run_options options = {.seed = 1, .capture = true, .live_fd = -1};
    struct run *run = run_new(&scenario, &options);
    struct result result;
    run_go(run);
    run_result(run, &result);
    struct values values = {calloc(result.metrics_count, sizeof *values.at), result.metrics_count};
    for (unsigned i = 0; i < result.metrics_count; i++) {
        snprintf(values.at[i].name, sizeof values.at[i].name, "%s", result.metrics[i].name);
        snprintf(values.at[i].value, sizeof values.at[i].value, "%s", result.metrics[i].value);
    }
    run_free(run);
    scenario_set_free(&set);
    text_free(&text);
    return values;
}

static bool is_elsewhere(const char *name)
{
    for (const char *const *at = elsewhere; *at; at++) {
        if (strcmp(*at, name) == 0)
            return true;
    }
    return false;
}

static void compare(struct list *list, const struct values *before, const struct values *after)
{
    for (unsigned i = 0; i < list->count; i++) {
        struct listed *one = &list->at[i];
        bool there = false;
        for (unsigned k = 0; k < after->count; k++) {
            if (!is_of(one->name, after->at[k].name))
                continue;
            there = true;
            const char *was = NULL;
            for (unsigned j = 0; j < before->count && !was; j++)
                was = strcmp(before->at[j].name, after->at[k].name) ? NULL : before->at[j].value;
            one->moved |= !was || strcmp(was, after->at[k].value) != 0;
        }
        if (!there)
            fail_msg("%s is in no result", one->name);
    }
}

// Each is in the result, and other after a run than before it.
static void test_metrics_a_run_moves_them(void **state)
{
    (void)state;
    char folder[] = "/tmp/simrtc-metrics-XXXXXX", path[128];
    struct text clip = {0};
    struct err err = {0};
    assert_non_null(mkdtemp(folder));
    assert_true(clip_make_pattern(&(struct pattern_wish){.kind = CODEC_VP8,
                                                         .width = 160,
                                                         .height = 96,
                                                         .fps = 25,
                                                         .frames = 600,
                                                         .bitrate = 100000,
                                                         .keyframe_interval = 50},
                                  &clip, &err));
    write_clip(folder, "cam.ivf", &clip);
    assert_true(clip_make_tone(&(struct tone_wish){440, 1200, 24000}, &clip, &err));
    write_clip(folder, "tone.opus", &clip);
    snprintf(path, sizeof path, "%s/small.yaml", folder);
    struct list *list = list_new();
    struct values before = run_until(path, TIME_MS);
    static const nanotime limits[] = {4 * TIME_S, 8 * TIME_S, 30 * TIME_S};
    for (int i = 0; i < 3; i++) {
        struct values after = run_until(path, limits[i]);
        compare(list, &before, &after);
        free(after.at);
    }
    free(before.at);
    unsigned still = 0;
    for (unsigned i = 0; i < list->count; i++) {
        const struct listed *one = &list->at[i];
        if (!one->moved && !is_elsewhere(one->name)) {
            print_error("%s never moves\n", one->name);
            still++;
        }
    }
    assert_int_equal(still, 0);
    free(list);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, i ? "cam.ivf" : "tone.opus");
        remove(path);
    }
    remove(folder);
}

static int setup(void **state)
{
    (void)state;
    struct err err = {0};
    return run_library_init(&err) ? 0 : 1;
}

static int teardown(void **state)
{
    (void)state;
    run_library_fini();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics_each_has_a_unit_and_a_meaning),
        cmocka_unit_test(test_metrics_names_differ),
        cmocka_unit_test(test_metrics_a_run_moves_them),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
