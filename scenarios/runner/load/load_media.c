// Audio and video of a session: who sends what, how it is protected, and what the timeline does
// with it.

#include "scenarios/runner/run/call_decode.h"
#include "scenarios/runner/load/load_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct track_nodes {
    struct scenario_track track;
    const struct yaml_node *audio, *video, *from, *layers, *answerer_codecs;
    uint64_t bitrate, receive_max;
    const char *label;
    const struct yaml_node *sequence, *timestamp;
};
#define AT(member) offsetof(struct track_nodes, member)
#define CONFIG(member) offsetof(struct track_nodes, track.config.member)
static const char *const fec_words[] = {"none", "ulpfec", "flexfec", NULL};
static const struct field track_fields[] = {
    {"label", FIELD_TEXT, AT(label), 0, MEDIA_LABEL_MAX - 1, NULL},
    {"audio", FIELD_NODE, AT(audio), 0, 0, NULL},
    {"video", FIELD_NODE, AT(video), 0, 0, NULL},
    {"from", FIELD_NODE, AT(from), 0, 0, NULL},
    {"answerer-codecs", FIELD_NODE, AT(answerer_codecs), 0, 0, NULL},
    {"clip", FIELD_TEXT, AT(track.clip), 0, 500, NULL},
    {"decode", FIELD_BOOL, AT(track.decode), 0, 0, NULL},
    {"loop", FIELD_BOOL, CONFIG(clip_loops), 0, 0, NULL},
    {"start", FIELD_TIME, CONFIG(start_at), 0, 0, NULL},
    {"stop", FIELD_TIME, CONFIG(stop_at), 0, 0, NULL},
    {"bitrate", FIELD_RATE, AT(bitrate), 1000, 100000000, NULL},
    {"fps", FIELD_UNSIGNED, CONFIG(fps), 1, 120, NULL},
    {"width", FIELD_UNSIGNED, CONFIG(width), 16, 8192, NULL},
    {"height", FIELD_UNSIGNED, CONFIG(height), 16, 8192, NULL},
    {"keyframe-interval", FIELD_TIME, CONFIG(keyframe_interval), 0, 0, NULL},
    {"frame-time", FIELD_TIME, CONFIG(frame_time), TIME_MS, 120 * TIME_MS, NULL},
    {"dtx", FIELD_BOOL, CONFIG(dtx), 0, 0, NULL},
    {"layers", FIELD_NODE, AT(layers), 0, 0, NULL},
    {"receive-max", FIELD_RATE, AT(receive_max), 1000, 100000000, NULL},
    {"nack", FIELD_BOOL, CONFIG(nack), 0, 0, NULL},
    {"rtx", FIELD_BOOL, CONFIG(rtx), 0, 0, NULL},
    {"red", FIELD_BOOL, CONFIG(red), 0, 0, NULL},
    {"pli", FIELD_BOOL, CONFIG(pli), 0, 0, NULL},
    {"fec", FIELD_WORD, CONFIG(fec), 0, 0, fec_words},
    {"fec-share", FIELD_PERCENT, CONFIG(fec_share), 0, 0, NULL},
    {"first-sequence", FIELD_NODE, AT(sequence), 0, 0, NULL},
    {"first-timestamp", FIELD_NODE, AT(timestamp), 0, 0, NULL},
    {0},
};
#undef CONFIG
#undef AT

struct layer_nodes {
    struct media_layer layer;
    uint64_t max_bps;
};
static const struct field layer_fields[] = {
    {"rid", FIELD_TEXT, offsetof(struct layer_nodes, layer.rid), 0, 16, NULL},
    {"scale", FIELD_UNSIGNED, offsetof(struct layer_nodes, layer.scale), 1, 16, NULL},
    {"bitrate", FIELD_RATE, offsetof(struct layer_nodes, max_bps), 1000, 100000000, NULL},
    {0},
};

// One codec by its name in SDP, or a list of them by preference.
static bool codecs_load(struct load *load, const struct yaml_node *node,
                        struct media_track_config *config)
{
    static const char *const audio[] = {"opus", "PCMU", "PCMA", "G722", NULL};
    static const char *const video[] = {"VP8", "VP9", "H264", "AV1", NULL};
    const char *const *words = config->kind == MEDIA_AUDIO ? audio : video;
    const struct yaml_node *const *items = node->kind == YAML_SEQUENCE ? node->items : &node;
    unsigned count = node->kind == YAML_SEQUENCE ? node->count : 1;
    if (count == 0 || count > MEDIA_CODECS_MAX)
        return err_at(load->err, node->mark, "expected 1 to %u codecs, got %u", MEDIA_CODECS_MAX,
                      count);
    for (unsigned i = 0; i < count; i++) {
        int at = items[i]->kind == YAML_SCALAR ? load_word_find(items[i]->text, words) : -1;
        if (at < 0)
            return load_expected_word(load, items[i],
                                      config->kind == MEDIA_AUDIO ? "opus, PCMU, PCMA or G722"
                                                                  : "VP8, VP9, H264 or AV1",
                                      words);
        config->codecs[i] = words[at];
        for (unsigned k = 0; k < i; k++) {
            if (config->codecs[k] == words[at])
                return load_expected(load, items[i], "each codec once");
        }
    }
    config->codecs_count = count;
    return true;
}

// RFC 8851 10 with its erratum 7132, RFC 8852 3: letters and digits; 4: no two layers have the
// same.
static bool rid_check(struct load *load, const struct yaml_node *node,
                      const struct media_track_config *config, unsigned layers, const char *rid)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    if (strspn(rid, letters) != strlen(rid))
        return load_expected(load, node, "a 'rid' of letters and digits");
    for (unsigned i = 0; i < layers; i++) {
        if (strcmp(config->layers[i].rid, rid) == 0)
            return load_expected(load, node, "a 'rid' for each layer of its own");
    }
    return true;
}

static bool layers_load(struct load *load, const struct yaml_node *node,
                        struct media_track_config *config)
{
    if (!load_is_list(load, node, "a list of layers", MEDIA_LAYERS_MAX))
        return false;
    if (node->count == 0)
        return load_expected(load, node, "1 to 3 layers");
    for (unsigned i = 0; i < node->count; i++) {
        struct layer_nodes nodes = {.layer = {.scale = 1}};
        if (!load_fields(load, node->items[i], "a layer", layer_fields, &nodes, NULL))
            return false;
        if (!nodes.layer.rid || !nodes.max_bps)
            return err_at(load->err, node->items[i]->mark,
                          "expected a layer with 'rid' and 'bitrate', got one without");
        if (!rid_check(load, yaml_get(node->items[i], "rid"), config, i, nodes.layer.rid))
            return false;
        nodes.layer.max_bps = (uint32_t)nodes.max_bps;
        config->layers[i] = nodes.layer;
    }
    config->layers_count = node->count;
    return true;
}

static bool from_load(struct load *load, const struct yaml_node *node,
                      const struct scenario_session *session, struct scenario_track *track)
{
    unsigned peer;
    if (node->kind == YAML_SCALAR && bytes_is(node->text, "both"))
        return true;
    if (!load_name(load, node, NAMED_PEER, "both, or the name of a peer", &peer))
        return false;
    if (peer != session->offerer && peer != session->answerer)
        return load_expected(load, node, "a peer of this session");
    track->from[0] = peer == session->offerer;
    track->from[1] = peer == session->answerer;
    return true;
}

static bool starts_load(struct load *load, const struct track_nodes *nodes,
                        struct media_track_config *config)
{
    static const struct field sequence = {"first-sequence",
                                          FIELD_U16,
                                          offsetof(struct media_track_config, first_sequence),
                                          0,
                                          0,
                                          NULL};
    static const struct field timestamp = {"first-timestamp",
                                           FIELD_U32,
                                           offsetof(struct media_track_config, first_timestamp),
                                           0,
                                           0,
                                           NULL};
    config->has_first_sequence = nodes->sequence != NULL;
    config->has_first_timestamp = nodes->timestamp != NULL;
    return (!nodes->sequence || load_value(load, nodes->sequence, &sequence, config)) &&
           (!nodes->timestamp || load_value(load, nodes->timestamp, &timestamp, config));
}

static struct scenario_track track_default(enum media_kind kind)
{
    bool video = kind == MEDIA_VIDEO;
    return (struct scenario_track){.from = {true, true},
                                   .config = {.kind = kind,
                                              .receive = true,
                                              .send = true,
                                              .stop_at = TIME_NEVER,
                                              .bitrate = video ? 1500000 : 32000,
                                              .fps = 25,
                                              .width = 640,
                                              .height = 360,
                                              .frame_time = 20 * TIME_MS,
                                              .nack = video,
                                              .rtx = video,
                                              .pli = video}};
}

#define CLIP_FILE_MAX (64 * 1024 * 1024)

// The whole file; freed by the caller. NULL: the reason is in `err`.
static uint8_t *file_read(const char *path, size_t *len, struct err *err)
{
    FILE *file = fopen(path, "rb");
    struct stat stat;
    if (!file) {
        err_set(err, "%s: %s", path, strerror(errno));
        return NULL;
    }
    bool fits =
        fstat(fileno(file), &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_size <= CLIP_FILE_MAX;
    uint8_t *bytes = fits ? mem_alloc((size_t)stat.st_size + 1) : NULL;
    *len = fits ? fread(bytes, 1, (size_t)stat.st_size, file) : 0;
    fclose(file);
    if (!fits)
        err_set(err, "%s: not a file of at most %u MiB", path, CLIP_FILE_MAX >> 20);
    return bytes;
}

// A path is taken from the folder of the scenario's file. Cells of a matrix share what was read.
static bool clip_load(struct load *load, const struct yaml_node *node, struct scenario_track *track)
{
    const char *file = load->scenario->file, *slash = strrchr(file, '/');
    int folder = slash && track->clip[0] != '/' ? (int)(slash - file) + 1 : 0;
    const char *path = arena_printf(load->arena, "%.*s%s", folder, file, track->clip);
    struct scenario_clip *clip = load->set->clips;
    while (clip && strcmp(clip->path, path) != 0)
        clip = clip->next;
    if (!clip) {
        struct err why = {0};
        size_t len = 0;
        uint8_t *bytes = file_read(path, &len, &why);
        struct clip *read = bytes ? clip_read(bytes_of(bytes, len), path, &why) : NULL;
        free(bytes);
        if (!read)
            return err_at(load->err, node->mark, "expected a clip, got %s", why.text);
        clip = arena_alloc(load->arena, sizeof *clip);
        *clip = (struct scenario_clip){path, read, load->set->clips};
        load->set->clips = clip;
    }
    track->config.clip = clip->clip;
    const char *name = codec_of(clip->clip->kind)->name;
    if (strcmp(name, track->config.codecs[0]) != 0)
        return err_at(load->err, node->mark, "expected a clip of %s, got one of %s",
                      track->config.codecs[0], name);
    return true;
}

static bool label_add(struct load *load, const struct yaml_node *node,
                      const struct scenario_track *track)
{
    uint32_t other;
    struct bytes label = bytes_text(track->label);
    if (names_find(&load->labels, 0, label, &other))
        return err_at(load->err, node->mark,
                      "expected labels of tracks and channels to differ, got '%s' again",
                      track->label);
    (void)names_add(&load->tracks, 0, label, track->config.kind);
    return true;
}

// Keys that mean nothing for this kind of track, or without another key.
static bool keys_check(struct load *load, const struct yaml_node *node,
                       const struct scenario_track *track)
{
    static const char *const audio[] = {"frame-time", "dtx", NULL};
    static const char *const video[] = {"fps",    "width",       "height", "keyframe-interval",
                                        "layers", "receive-max", "fec",    "fec-share",
                                        NULL};
    bool is_video = track->config.kind == MEDIA_VIDEO;
    for (unsigned i = 0; i < node->count; i++) {
        const struct yaml_node *key = node->pairs[i].key;
        if (load_word_find(key->text, is_video ? audio : video) >= 0)
            return load_expected(
                load, key, is_video ? "a key of a track of video" : "a key of a track of audio");
        if (bytes_is(key->text, "loop") && !track->clip)
            return load_expected(load, key, "'clip' beside 'loop'");
        if (bytes_is(key->text, "fec-share") && track->config.fec == MEDIA_NO_FEC)
            return load_expected(load, key, "'fec' beside 'fec-share'");
        if (bytes_is(key->text, "stop") && track->config.stop_at <= track->config.start_at)
            return load_expected(load, node->pairs[i].value, "'stop' after 'start'");
    }
    return true;
}

// The other side may be able to do something else, or nothing in common.
static bool answerer_load(struct load *load, const struct yaml_node *node,
                          struct scenario_track *track)
{
    struct media_track_config config = {.kind = track->config.kind};
    if (track->clip)
        return load_expected(load, node, "one list of codecs with 'clip'");
    if (!codecs_load(load, node, &config))
        return false;
    memcpy(track->answerer_codecs, config.codecs, sizeof config.codecs);
    track->answerer_codecs_count = config.codecs_count;
    return true;
}

static bool track_load(struct load *load, const struct yaml_node *node,
                       const struct scenario_session *session, struct scenario_track *out)
{
    if (node->kind != YAML_MAPPING)
        return load_expected(load, node, "a track");
    bool video = yaml_get(node, "video") != NULL;
    struct track_nodes nodes = {.track = track_default(video ? MEDIA_VIDEO : MEDIA_AUDIO)};
    struct scenario_track *track = &nodes.track;
    if (!load_fields(load, node, "a track", track_fields, &nodes, NULL))
        return false;
    if ((nodes.audio != NULL) == (nodes.video != NULL))
        return err_at(load->err, node->mark, "expected a track with 'audio' or 'video', got %s",
                      nodes.audio ? "both" : "none");
    if (!keys_check(load, node, track))
        return false;
    if (nodes.layers && track->clip) // it cannot be made smaller
        return load_expected(load, nodes.layers, "one layer with 'clip'");
    track->label = nodes.label ? nodes.label : media_kind_name(track->config.kind);
    if (nodes.bitrate)
        track->config.bitrate = (uint32_t)nodes.bitrate;
    track->config.receive_max_bps = (uint32_t)nodes.receive_max;
    track->config.fec_share /= RNG_BILLION / 1000;
    track->config.label = track->label;
    if (!codecs_load(load, video ? nodes.video : nodes.audio, &track->config) ||
        (nodes.answerer_codecs && !answerer_load(load, nodes.answerer_codecs, track)) ||
        (nodes.from && !from_load(load, nodes.from, session, track)) ||
        (nodes.layers && !layers_load(load, nodes.layers, &track->config)) ||
        !starts_load(load, &nodes, &track->config) ||
        (track->clip && !clip_load(load, yaml_get(node, "clip"), track)) ||
        !label_add(load, node, track))
        return false;
    if (track->decode && !(track->config.clip && call_sink_fits(track->config.clip)))
        return load_expected(load, yaml_get(node, "decode"),
                             "'decode' with a clip of VP8, VP9 or opus");
    *out = *track;
    return true;
}

// `audio: opus` for a track of this kind with nothing special.
static bool short_load(struct load *load, const struct yaml_node *node, enum media_kind kind,
                       struct scenario_track *out)
{
    *out = track_default(kind);
    out->label = out->config.label = media_kind_name(kind);
    return codecs_load(load, node, &out->config) && label_add(load, node, out);
}

struct bandwidth_nodes {
    enum media_control control, feedback;
    uint64_t start, min, max;
};
#define AT(member) offsetof(struct bandwidth_nodes, member)
static const char *const control_words[] = {"gcc", "remb", "fixed", NULL};
static const char *const feedback_words[] = {"transport-cc", "remb", "ccfb", NULL};
static const struct field bandwidth_fields[] = {
    {"control", FIELD_WORD, AT(control), 0, 0, control_words},
    {"feedback", FIELD_WORD, AT(feedback), 0, 0, feedback_words},
    {"start", FIELD_RATE, AT(start), 5000, 1000000000, NULL},
    {"min", FIELD_RATE, AT(min), 5000, 1000000000, NULL},
    {"max", FIELD_RATE, AT(max), 5000, 1000000000, NULL},
    {0},
};
#undef AT

static bool bandwidth_load(struct load *load, const struct yaml_node *node,
                           const struct scenario_session *session)
{
    struct bandwidth_nodes nodes = {0};
    if (!load_fields(load, node, "bandwidth", bandwidth_fields, &nodes, NULL))
        return false;
    if (nodes.max && nodes.min > nodes.max)
        return load_expected(load, yaml_get(node, "min"), "'min' not above 'max'");
    if (nodes.start && (nodes.start < nodes.min || (nodes.max && nodes.start > nodes.max)))
        return load_expected(load, yaml_get(node, "start"), "'start' from 'min' to 'max'");
    if (yaml_get(node, "feedback") && nodes.control != MEDIA_GCC)
        return load_expected(load, yaml_get(node, "feedback"), "'feedback' with control gcc");
    // What it hears by decides who estimates: the receiver with remb, else the sender.
    static const enum media_control by_feedback[] = {MEDIA_GCC, MEDIA_REMB, MEDIA_CCFB};
    const unsigned sides[] = {session->offerer, session->answerer};
    for (unsigned i = 0; i < 2; i++) {
        struct peer_config *config = &load->peers[sides[i]].config;
        config->media_control =
            nodes.control == MEDIA_GCC ? by_feedback[nodes.feedback] : nodes.control;
        config->media_start_bps = (uint32_t)nodes.start;
        config->media_min_bps = (uint32_t)nodes.min;
        config->media_max_bps = (uint32_t)nodes.max;
    }
    return true;
}

bool load_media(struct load *load, const struct load_media_nodes *nodes,
                struct scenario_session *session)
{
    unsigned count = nodes->tracks ? nodes->tracks->count : 0, at = 0;
    if (nodes->tracks &&
        !load_is_list(load, nodes->tracks, "a list of tracks", MEDIA_TRACKS_MAX - 2))
        return false;
    struct scenario_track *tracks = arena_alloc(load->arena, (count + 2) * sizeof *tracks);
    if (nodes->audio && !short_load(load, nodes->audio, MEDIA_AUDIO, &tracks[at++]))
        return false;
    if (nodes->video && !short_load(load, nodes->video, MEDIA_VIDEO, &tracks[at++]))
        return false;
    for (unsigned i = 0; i < count; i++, at++) {
        const struct yaml_node *node = nodes->tracks->items[i];
        if (!track_load(load, node, session, &tracks[at]))
            return false;
        for (unsigned k = 0; k < at; k++) {
            if (strcmp(tracks[k].label, tracks[at].label) == 0)
                return err_at(load->err, node->mark,
                              "expected a label for each track of a session, got '%s' again",
                              tracks[at].label);
        }
    }
    if (at > PEER_TRACKS_MAX)
        return err_at(load->err, nodes->tracks->mark, "expected at most %u tracks in all, got %u",
                      PEER_TRACKS_MAX, at);
    session->tracks = tracks;
    session->tracks_count = at;
    if (at) {
        load->peers[session->offerer].config.take_media = true;
        load->peers[session->answerer].config.take_media = true;
    }
    return !nodes->bandwidth || bandwidth_load(load, nodes->bandwidth, session);
}

// ---------------------------------------------------------------------------------------- timeline

struct command_nodes {
    const struct yaml_node *peer, *track;
    uint64_t to;
    const char *digits;
    nanotime tone, gap;
};
#define AT(member) offsetof(struct command_nodes, member)
static const struct field track_only_fields[] = {
    {"peer", FIELD_NODE, AT(peer), 0, 0, NULL}, {"track", FIELD_NODE, AT(track), 0, 0, NULL}, {0}};
static const struct field rate_fields[] = {{"peer", FIELD_NODE, AT(peer), 0, 0, NULL},
                                           {"track", FIELD_NODE, AT(track), 0, 0, NULL},
                                           {"to", FIELD_RATE, AT(to), 1000, 100000000, NULL},
                                           {0}};
static const struct field dial_fields[] = {
    {"peer", FIELD_NODE, AT(peer), 0, 0, NULL},
    {"track", FIELD_NODE, AT(track), 0, 0, NULL},
    {"digits", FIELD_TEXT, AT(digits), 0, 100, NULL},
    {"tone", FIELD_TIME, AT(tone), 40 * TIME_MS, 6 * TIME_S, NULL},
    {"gap", FIELD_TIME, AT(gap), 30 * TIME_MS, 6 * TIME_S, NULL},
    {0},
};
#undef AT

// The labels of the tracks of a peer's session.
static const char *const *track_labels(struct load *load, const struct scenario_session *session)
{
    const char **words = arena_alloc(load->arena, (session->tracks_count + 1) * sizeof *words);
    for (unsigned i = 0; i < session->tracks_count; i++)
        words[i] = session->tracks[i].label;
    return words;
}

static const struct scenario_session *session_of(const struct load *load, unsigned peer)
{
    const struct scenario *s = load->scenario;
    for (unsigned i = 0; i < s->sessions_count; i++) {
        if (s->sessions[i].offerer == peer || s->sessions[i].answerer == peer)
            return &s->sessions[i];
    }
    return NULL;
}

static bool digits_check(struct load *load, const struct yaml_node *node, const char *digits)
{
    if (digits && strspn(digits, "0123456789*#ABCD,") == strlen(digits))
        return true;
    const struct yaml_node *at = yaml_get(node, "digits");
    return load_expected(load, at ? at : node, "'digits' of 0-9, *, #, A-D and ','");
}

// What a command needs of the peer's end of the track; NULL: it has it.
static const char *command_lacks(enum media_command_kind kind,
                                 const struct scenario_session *session,
                                 const struct scenario_track *track, unsigned peer)
{
    bool offers = peer == session->offerer, video = track->config.kind == MEDIA_VIDEO;
    bool sends = track->from[!offers], receives = track->from[offers];
    switch (kind) {
    case MEDIA_MUTE:
    case MEDIA_UNMUTE:
    case MEDIA_BITRATE:
        return sends ? NULL : "a track that this peer sends";
    case MEDIA_DIAL:
        return sends && !video ? NULL : "a track of audio that this peer sends";
    case MEDIA_KEYFRAME:
    case MEDIA_RECEIVE_MAX:
        return receives && video ? NULL : "a track of video that this peer receives";
    }
    return NULL;
}

bool load_media_command(struct load *load, const struct yaml_node *node,
                        enum media_command_kind kind, struct scenario_action *action)
{
    static const char *const names[] = {
        [MEDIA_MUTE] = "mute", [MEDIA_UNMUTE] = "unmute",   [MEDIA_KEYFRAME] = "keyframe",
        [MEDIA_DIAL] = "dial", [MEDIA_BITRATE] = "bitrate", [MEDIA_RECEIVE_MAX] = "receive-max"};
    bool rate = kind == MEDIA_BITRATE || kind == MEDIA_RECEIVE_MAX;
    const struct field *fields = kind == MEDIA_DIAL ? dial_fields
                                 : rate             ? rate_fields
                                                    : track_only_fields;
    struct command_nodes nodes = {0};
    if (!load_fields(load, node, names[kind], fields, &nodes, NULL))
        return false;
    if (!nodes.peer || !nodes.track || (rate && !nodes.to))
        return err_at(load->err, node->mark, "expected %s with 'peer'%s 'track'%s, got not all",
                      names[kind], rate ? "," : " and", rate ? " and 'to'" : "");
    action->kind = ACTION_MEDIA;
    if (!load_name(load, nodes.peer, NAMED_PEER, "the name of a peer", &action->peer))
        return false;
    const struct scenario_session *session = session_of(load, action->peer);
    int track = -1;
    if (session && nodes.track->kind == YAML_SCALAR)
        track = load_word_find(nodes.track->text, track_labels(load, session));
    if (track < 0) {
        static const char *const none[] = {NULL};
        return load_expected_word(load, nodes.track, "the label of a track of its session",
                                  session ? track_labels(load, session) : none);
    }
    const char *lacks = command_lacks(kind, session, &session->tracks[track], action->peer);
    if (lacks)
        return load_expected(load, nodes.track, lacks);
    action->media = (struct media_command){.kind = kind,
                                           .track = (unsigned)track,
                                           .bps = (uint32_t)nodes.to,
                                           .digits = nodes.digits,
                                           .tone = nodes.tone,
                                           .gap = nodes.gap};
    action->track = session->tracks[track].label;
    return kind != MEDIA_DIAL || digits_check(load, node, nodes.digits);
}

// "-50ppm": how much faster than true time a peer's media clocks run.
bool load_clock_skew(struct load *load, const struct yaml_node *node, int64_t *ppb)
{
    struct bytes text = node->text;
    bool slow = node->kind == YAML_SCALAR && bytes_starts(text, "-");
    uint64_t ppm;
    if (node->kind == YAML_SCALAR && text.len > 3 &&
        memcmp(text.at + text.len - 3, "ppm", 3) == 0 &&
        bytes_parse_u64(bytes_of(text.at + slow, text.len - 3 - slow), 10000, &ppm)) {
        *ppb = (slow ? -1 : 1) * (int64_t)ppm * 1000;
        return true;
    }
    return load_expected(load, node, "a skew of at most 10000ppm, such as -50ppm");
}
