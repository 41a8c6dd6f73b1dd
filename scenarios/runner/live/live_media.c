#include "scenarios/runner/live/live_media.h"

#include "scenarios/runner/live/live_json.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define CLIP_IN_LINE_MAX ((size_t)700 * 1024) // what fits into a line as base64
#define EXACT_MAX ((double)((uint64_t)1 << 53))
#define NAME_MAX_LEN 64

// ------------------------------------------------------------------------------------------ clips

static json_t *clip_encode(const struct clip *clip)
{
    const struct codec *codec = codec_of(clip->kind);
    json_t *to = json_object(), *frames = json_array();
    json_object_set_new(to, "codec", json_string(codec->name));
    json_object_set_new(to, "clockRate", json_integer(codec->clock_rate));
    json_object_set_new(to, "duration", json_integer((json_int_t)clip->duration));
    json_object_set_new(to, "width", json_integer(clip->width));
    json_object_set_new(to, "height", json_integer(clip->height));
    json_object_set_new(to, "skip", json_integer(clip->skip));
    for (uint32_t i = 0; i < clip->frames_count; i++) {
        json_t *frame = json_object();
        json_object_set_new(frame, "timestamp",
                            json_integer((json_int_t)clip->frames[i].timestamp));
        json_object_set_new(frame, "key", json_boolean(clip->frames[i].keyframe));
        live_json_content_set(frame, clip_bytes(clip, i), false);
        json_array_append_new(frames, frame);
    }
    json_object_set_new(to, "frames", frames);
    return to;
}

static uint64_t number_or(const json_t *from, const char *name, uint64_t max, uint64_t other)
{
    uint64_t number;
    return live_json_number(from, name, max, &number) ? number : other;
}

static bool frame_decode(const json_t *from, struct clip *clip, struct text *bytes)
{
    struct clip_frame *frame = &clip->frames[clip->frames_count];
    bool text;
    frame->at = bytes->len;
    if (!live_json_content_get(from, bytes, &text) ||
        !live_json_number(from, "timestamp", INT64_MAX, &frame->timestamp))
        return false;
    frame->len = bytes->len - frame->at;
    frame->keyframe = json_is_true(json_object_get(from, "key"));
    bool rises = clip->frames_count == 0
                     ? frame->timestamp == 0 && frame->keyframe
                     : frame->timestamp > clip->frames[clip->frames_count - 1].timestamp;
    clip->frames_count++;
    return rises && frame->len > 0;
}

static struct clip *clip_decode(const json_t *from, bool video)
{
    const char *name = live_json_text(from, "codec");
    const struct codec *codec = name ? codec_by_name(video, bytes_text(name)) : NULL;
    const json_t *frames = json_object_get(from, "frames"), *frame;
    size_t count = json_array_size(frames), i;
    struct text bytes = {0};
    if (!codec || count == 0 || count > CLIP_FRAMES_MAX)
        return NULL;
    struct clip *clip = mem_zero(1, sizeof *clip);
    bool good = true;
    *clip = (struct clip){.kind = codec->kind,
                          .frames = mem_zero(count, sizeof *clip->frames),
                          .duration = number_or(from, "duration", INT64_MAX, 0),
                          .width = (uint16_t)number_or(from, "width", UINT16_MAX, 0),
                          .height = (uint16_t)number_or(from, "height", UINT16_MAX, 0),
                          .skip = (uint32_t)number_or(from, "skip", UINT32_MAX, 0)};
    json_array_foreach(frames, i, frame) good = good && frame_decode(frame, clip, &bytes);
    clip->bytes_len = bytes.len;
    clip->bytes = mem_alloc(bytes.len + 1);
    if (bytes.len)
        memcpy(clip->bytes, bytes.at, bytes.len);
    text_free(&bytes);
    if (good && clip->duration > clip->frames[count - 1].timestamp)
        return clip;
    clip_free(clip);
    return NULL;
}

// ----------------------------------------------------------------------------------------- tracks

enum kind { KIND_BOOL, KIND_UNSIGNED, KIND_U32, KIND_U16, KIND_TIME };
static const struct {
    const char *name;
    enum kind kind;
    size_t offset;
} fields[] = {
#define FIELD(name, kind, member)                                                                  \
    {                                                                                              \
        name, KIND_##kind, offsetof(struct media_track_config, member)                             \
    }
    FIELD("send", BOOL, send),
    FIELD("receive", BOOL, receive),
    FIELD("loop", BOOL, clip_loops),
    FIELD("start", TIME, start_at),
    FIELD("stop", TIME, stop_at),
    FIELD("bitrate", U32, bitrate),
    FIELD("fps", UNSIGNED, fps),
    FIELD("width", UNSIGNED, width),
    FIELD("height", UNSIGNED, height),
    FIELD("keyframeInterval", TIME, keyframe_interval),
    FIELD("frameTime", TIME, frame_time),
    FIELD("dtx", BOOL, dtx),
    FIELD("receiveMax", U32, receive_max_bps),
    FIELD("nack", BOOL, nack),
    FIELD("rtx", BOOL, rtx),
    FIELD("red", BOOL, red),
    FIELD("pli", BOOL, pli),
    FIELD("fec", UNSIGNED, fec),
    FIELD("fecShare", U32, fec_share),
    FIELD("hasFirstSequence", BOOL, has_first_sequence),
    FIELD("hasFirstTimestamp", BOOL, has_first_timestamp),
    FIELD("firstSequence", U16, first_sequence),
    FIELD("firstTimestamp", U32, first_timestamp),
#undef FIELD
};
#define FIELDS (sizeof fields / sizeof fields[0])

static size_t width_of(enum kind kind)
{
    switch (kind) {
    case KIND_BOOL:
        return sizeof(bool);
    case KIND_UNSIGNED:
        return sizeof(unsigned);
    case KIND_U32:
        return sizeof(uint32_t);
    case KIND_U16:
        return sizeof(uint16_t);
    case KIND_TIME:
        return sizeof(nanotime);
    }
    return 0;
}

// Times are milliseconds.
static void field_encode(json_t *to, size_t i, const struct media_track_config *config)
{
    const char *at = (const char *)config + fields[i].offset;
    bool truth;
    nanotime time;
    unsigned u;
    uint16_t u16;
    switch (fields[i].kind) {
    case KIND_BOOL:
        memcpy(&truth, at, sizeof truth);
        json_object_set_new(to, fields[i].name, json_boolean(truth));
        return;
    case KIND_TIME:
        memcpy(&time, at, sizeof time);
        if (time != TIME_NEVER)
            json_object_set_new(to, fields[i].name, json_integer(time / TIME_MS));
        return;
    case KIND_UNSIGNED:
    case KIND_U32:
        memcpy(&u, at, sizeof u);
        json_object_set_new(to, fields[i].name, json_integer(u));
        return;
    case KIND_U16:
        memcpy(&u16, at, sizeof u16);
        json_object_set_new(to, fields[i].name, json_integer(u16));
        return;
    }
}

static void field_decode(const json_t *from, size_t i, struct media_track_config *config)
{
    char *at = (char *)config + fields[i].offset;
    const json_t *value = json_object_get(from, fields[i].name);
    uint64_t number;
    bool truth = json_is_true(value);
    if (fields[i].kind == KIND_BOOL) {
        memcpy(at, &truth, sizeof truth);
        return;
    }
    uint64_t max = fields[i].kind == KIND_U16    ? UINT16_MAX
                   : fields[i].kind == KIND_TIME ? INT64_MAX / TIME_MS
                                                 : UINT32_MAX;
    if (!live_json_number(from, fields[i].name, max, &number))
        return;
    uint16_t u16 = (uint16_t)number;
    uint32_t u32 = (uint32_t)number;
    nanotime time = fields[i].kind == KIND_TIME ? (nanotime)number * TIME_MS : 0;
    memcpy(at,
           fields[i].kind == KIND_U16    ? (const void *)&u16
           : fields[i].kind == KIND_TIME ? (const void *)&time
                                         : (const void *)&u32,
           width_of(fields[i].kind));
}

static json_t *layers_encode(const struct media_track_config *config)
{
    json_t *layers = json_array();
    for (unsigned i = 0; i < config->layers_count; i++) {
        json_t *layer = json_object();
        json_object_set_new(layer, "rid", json_string(config->layers[i].rid));
        json_object_set_new(layer, "scale", json_integer(config->layers[i].scale));
        json_object_set_new(layer, "bitrate", json_integer(config->layers[i].max_bps));
        json_array_append_new(layers, layer);
    }
    return layers;
}

bool live_track_encode(json_t *to, unsigned track, const struct media_track_config *config)
{
    json_t *codecs = json_array();
    json_object_set_new(to, "track", json_integer(track));
    json_object_set_new(to, "kind", json_string(media_kind_name(config->kind)));
    json_object_set_new(to, "label", json_string(config->label));
    for (unsigned i = 0; i < config->codecs_count; i++)
        json_array_append_new(codecs, json_string(config->codecs[i]));
    json_object_set_new(to, "codecs", codecs);
    for (size_t i = 0; i < FIELDS; i++)
        field_encode(to, i, config);
    if (config->layers_count)
        json_object_set_new(to, "layers", layers_encode(config));
    if (!config->clip || !config->send)
        return true;
    if (config->clip->bytes_len > CLIP_IN_LINE_MAX / 2)
        return false;
    json_object_set_new(to, "clip", clip_encode(config->clip));
    return true;
}

static void layers_decode(const json_t *from, struct arena *arena, struct media_track_config *to)
{
    const json_t *layer;
    size_t i;
    json_array_foreach(from, i, layer)
    {
        const char *rid = live_json_text(layer, "rid");
        if (!rid || strlen(rid) > 16 || to->layers_count == MEDIA_LAYERS_MAX)
            return;
        to->layers[to->layers_count++] =
            (struct media_layer){.rid = arena_text(arena, rid),
                                 .scale = (unsigned)number_or(layer, "scale", 16, 1),
                                 .max_bps = (uint32_t)number_or(layer, "bitrate", UINT32_MAX, 0)};
    }
}

bool live_track_decode(const json_t *from, struct arena *arena, struct media_track_config *to)
{
    const char *kind = live_json_text(from, "kind"), *label = live_json_text(from, "label");
    bool video = kind && strcmp(kind, "video") == 0;
    const json_t *value;
    size_t i;
    if (!kind || (!video && strcmp(kind, "audio") != 0) || !label ||
        strlen(label) >= MEDIA_LABEL_MAX)
        return false;
    *to = (struct media_track_config){.kind = video ? MEDIA_VIDEO : MEDIA_AUDIO,
                                      .label = arena_text(arena, label),
                                      .stop_at = TIME_NEVER};
    json_array_foreach(json_object_get(from, "codecs"), i, value)
    {
        const char *name = json_string_value(value);
        if (name && to->codecs_count < MEDIA_CODECS_MAX)
            to->codecs[to->codecs_count++] = arena_text(arena, name);
    }
    for (i = 0; i < FIELDS; i++)
        field_decode(from, i, to);
    if (to->fec > MEDIA_FLEXFEC)
        to->fec = MEDIA_NO_FEC;
    layers_decode(json_object_get(from, "layers"), arena, to);
    const json_t *clip = json_object_get(from, "clip");
    to->clip = clip ? clip_decode(clip, video) : NULL;
    return to->codecs_count > 0 && (!clip || to->clip);
}

// --------------------------------------------------------------------------------------- commands

static const char *const command_names[] = {
    [MEDIA_MUTE] = "mute", [MEDIA_UNMUTE] = "unmute",   [MEDIA_KEYFRAME] = "keyframe",
    [MEDIA_DIAL] = "dial", [MEDIA_BITRATE] = "bitrate", [MEDIA_RECEIVE_MAX] = "receive-max"};

const char *live_media_command_name(enum media_command_kind kind)
{
    return command_names[kind];
}

void live_media_command_encode(json_t *to, const struct media_command *command)
{
    json_object_set_new(to, "track", json_integer(command->track));
    json_object_set_new(to, "what", json_string(command_names[command->kind]));
    if (command->kind == MEDIA_BITRATE || command->kind == MEDIA_RECEIVE_MAX)
        json_object_set_new(to, "bitrate", json_integer(command->bps));
    if (command->kind != MEDIA_DIAL)
        return;
    json_object_set_new(to, "digits", json_string(command->digits));
    json_object_set_new(to, "tone", json_integer(command->tone / TIME_MS));
    json_object_set_new(to, "gap", json_integer(command->gap / TIME_MS));
}

bool live_media_command_decode(const json_t *from, struct media_command *to)
{
    const char *what = live_json_text(from, "what");
    unsigned kind = 0, count = sizeof command_names / sizeof command_names[0];
    while (kind < count && (!what || strcmp(what, command_names[kind]) != 0))
        kind++;
    uint64_t track;
    if (kind == count || !live_json_number(from, "track", MEDIA_TRACKS_MAX - 1, &track))
        return false;
    *to = (struct media_command){.kind = (enum media_command_kind)kind,
                                 .track = (unsigned)track,
                                 .bps = (uint32_t)number_or(from, "bitrate", UINT32_MAX, 0),
                                 .digits = live_json_text(from, "digits"),
                                 .tone = (nanotime)number_or(from, "tone", 10000, 0) * TIME_MS,
                                 .gap = (nanotime)number_or(from, "gap", 10000, 0) * TIME_MS};
    return kind != MEDIA_DIAL || to->digits;
}

// ------------------------------------------------------------------------------------- statistics

static double scale_of(enum media_unit unit)
{
    switch (unit) {
    case UNIT_COUNT:
    case UNIT_SIGNED:
    case UNIT_WORD:
    case UNIT_BOOL:
        return 1;
    case UNIT_THOUSANDTH:
        return 1e3;
    case UNIT_MILLIONTH:
        return 1e6;
    case UNIT_TIME:
    case UNIT_BILLIONTH:
        return 1e9;
    }
    return 1;
}

static json_t *value_encode(const struct media_member *member, const void *stats)
{
    const char *at = (const char *)stats + member->offset, *word;
    int64_t number;
    bool truth;
    if (member->unit == UNIT_WORD) {
        memcpy(&word, at, sizeof word);
        return json_string(word ? word : "");
    }
    if (member->unit == UNIT_BOOL) {
        memcpy(&truth, at, sizeof truth);
        return json_boolean(truth);
    }
    memcpy(&number, at, sizeof number);
    if (member->unit == UNIT_TIME && number == TIME_NEVER)
        return json_null();
    if (member->unit == UNIT_COUNT || member->unit == UNIT_SIGNED)
        return json_integer(number);
    return json_real((double)number / scale_of(member->unit));
}

static bool word_decode(const json_t *value, char *at)
{
    static const char *const words[] = {"opus", "PCMU",   "PCMA",    "G722",    "VP8",
                                        "VP9",  "H264",   "AV1",     "none",    "bandwidth",
                                        "",     "normal", "overuse", "underuse"};
    const char *word = json_string_value(value);
    for (size_t i = 0; word && i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i], word) != 0)
            continue;
        memcpy(at, &words[i], sizeof words[i]);
        return true;
    }
    return false;
}

// False: it is nothing that the member can be.
static bool value_decode(const struct media_member *member, const json_t *value, void *stats)
{
    char *at = (char *)stats + member->offset;
    bool truth = json_is_true(value);
    nanotime never = TIME_NEVER;
    if (member->unit == UNIT_WORD)
        return word_decode(value, at);
    if (member->unit == UNIT_BOOL) {
        if (json_is_boolean(value))
            memcpy(at, &truth, sizeof truth);
        return json_is_boolean(value);
    }
    if (member->unit == UNIT_TIME && json_is_null(value)) {
        memcpy(at, &never, sizeof never);
        return true;
    }
    if (!json_is_number(value))
        return false;
    double told = json_number_value(value) * scale_of(member->unit);
    double least = member->unit == UNIT_SIGNED ? -EXACT_MAX : 0;
    if (!(told >= least && told <= EXACT_MAX * 64)) // also what is no number
        return false;
    int64_t number = (int64_t)(told < 0 ? told - 0.5 : told + 0.5);
    memcpy(at, &number, sizeof number);
    return true;
}

// "in.framesDecoded": member framesDecoded of the object `in`.
static const char *group_of(const char *name, char group[NAME_MAX_LEN])
{
    const char *dot = strchr(name, '.');
    snprintf(group, NAME_MAX_LEN, "%.*s", dot ? (int)(dot - name) : 0, name);
    return dot ? dot + 1 : name;
}

static json_t *stats_encode(const struct media_member *members, const void *stats)
{
    char group[NAME_MAX_LEN];
    json_t *to = json_object();
    for (const struct media_member *member = members; member->name; member++) {
        if (member->counted_from)
            continue;
        const char *name = group_of(member->name, group);
        json_t *in = group[0] ? json_object_get(to, group) : to;
        if (!in) {
            in = json_object();
            json_object_set_new(to, group, in);
        }
        json_object_set_new(in, name, value_encode(member, stats));
    }
    return to;
}

static void stats_decode(const struct media_member *members, const json_t *from, void *stats,
                         struct live_told *told)
{
    char group[NAME_MAX_LEN];
    for (const struct media_member *member = members; member->name; member++) {
        const char *name = group_of(member->name, group);
        const json_t *in = group[0] ? json_object_get(from, group) : from;
        const json_t *value = json_object_get(in, name);
        size_t i = (size_t)(member - members);
        assert(i < LIVE_MEMBERS_MAX);
        if (value && !member->counted_from && value_decode(member, value, stats))
            told->bits[i / 64] |= 1ull << i % 64;
    }
}

static bool is_told(const struct live_told *told, const struct media_member *members,
                    const struct media_member *member)
{
    size_t i = (size_t)(member - members);
    if (member->counted_from)
        for (i = 0; strcmp(members[i].name, member->counted_from) != 0;)
            i++;
    return told->bits[i / 64] >> i % 64 & 1;
}

json_t *live_track_stats_encode(const struct media_track_stats *stats)
{
    return stats_encode(media_track_members, stats);
}

void live_track_stats_decode(const json_t *from, struct media_track_stats *to,
                             struct live_told *told)
{
    stats_decode(media_track_members, from, to, told);
}

bool live_track_is_told(const struct live_told *told, const struct media_member *member)
{
    return is_told(told, media_track_members, member);
}

json_t *live_transport_stats_encode(const struct media_transport_stats *stats)
{
    return stats_encode(media_transport_members, stats);
}

void live_transport_stats_decode(const json_t *from, struct media_transport_stats *to,
                                 struct live_told *told)
{
    stats_decode(media_transport_members, from, to, told);
}

bool live_transport_is_told(const struct live_told *told, const struct media_member *member)
{
    return is_told(told, media_transport_members, member);
}
