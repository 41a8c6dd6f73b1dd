#include "stack/media/source_priv.h"

#include "base/arena.h"

#include <assert.h>
#include <stdlib.h>

#define FRAME_TIME_DEFAULT (20 * TIME_MS)
#define FPS_DEFAULT 30
#define FPS_MAX 1000
#define KEYFRAME_TIMES_DEFAULT 5
#define DTX_INTERVAL (400 * TIME_MS) // RFC 6716 2.1.9
#define MUTED_SHARE 20               // a picture without content is so many times smaller
#define SILENT_LEVEL 127
#define OPUS_FRAME_MAX 1275 // RFC 6716 3.4 R2
#define BILLION 1000000000

struct layer {
    uint32_t bitrate;
    unsigned scale;
    bool wants_keyframe;
    int64_t debt;                  // bytes that key frames took ahead of the bitrate
    nanotime keyframe_at;          // time of the source's clock
    uint32_t counter, key_counter; // of the next frame, of the last key frame
    struct source_counts counts;
};

struct media_source {
    struct source_config config;
    const struct codec *codec;
    struct layer layers[SOURCE_LAYERS_MAX];
    unsigned layers_count;
    int64_t real_ppb;   // see to_real
    uint64_t index;     // of the next picture, or packet of sound
    unsigned cursor;    // its next layer
    nanotime due;       // when that is
    bool muted, silent; // silent: nothing was sent for the packet before
    nanotime dtx_at;    // when the next empty packet is due
    // A clip's next frame, and what is added to its timestamp.
    uint32_t clip_next;
    int64_t clip_shift;
    bool clip_over;
    uint8_t *buffer;
    size_t buffer_max;
};

static void due_update(struct media_source *source);

struct media_source *source_new(const struct source_config *config)
{
    struct media_source *source = mem_zero(1, sizeof *source);
    source->config = *config;
    struct source_config *c = &source->config;
    if (c->clip)
        c->kind = c->clip->kind;
    if (!c->frame_time)
        c->frame_time = FRAME_TIME_DEFAULT;
    c->fps = !c->fps ? FPS_DEFAULT : c->fps > FPS_MAX ? FPS_MAX : c->fps;
    if (!c->sound_max)
        c->sound_max = OPUS_FRAME_MAX;
    if (!c->keyframe_times)
        c->keyframe_times = KEYFRAME_TIMES_DEFAULT;
    if (c->stop_at == 0)
        c->stop_at = TIME_NEVER;
    source->codec = codec_of(c->kind);
    assert(source->codec->role == CODEC_MEDIA && c->layers_count <= SOURCE_LAYERS_MAX);
    assert(c->clock_ppb > -BILLION / 2 && c->clock_ppb < BILLION / 2);
    source->real_ppb = c->clock_ppb * BILLION / (BILLION + c->clock_ppb);
    source->layers_count =
        c->layers_count && source->codec->video && !c->clip ? c->layers_count : 1;
    for (unsigned i = 0; i < source->layers_count; i++)
        source->layers[i] = (struct layer){.bitrate = c->layers[i].bitrate,
                                           .scale = c->layers[i].scale ? c->layers[i].scale : 1,
                                           .wants_keyframe = true};
    due_update(source);
    return source;
}

void source_free(struct media_source *source)
{
    if (source)
        free(source->buffer);
    free(source);
}

// ------------------------------------------------------------------------------------------ time

// value * num / den without the overflow of the product; rounds towards zero.
static int64_t scale(int64_t value, int64_t num, int64_t den)
{
    return value / den * num + value % den * num / den;
}

// From the source's clock, which counts from start_at and runs fast by clock_ppb, to the run's.
static nanotime to_real(const struct media_source *source, nanotime elapsed)
{
    return time_add(source->config.start_at, elapsed - scale(elapsed, source->real_ppb, BILLION));
}

static nanotime elapsed_at(const struct media_source *source, nanotime now)
{
    nanotime real = now - source->config.start_at;
    return real + scale(real, source->config.clock_ppb, BILLION);
}

static int64_t clip_timestamp(const struct media_source *source)
{
    const struct clip *clip = source->config.clip;
    return (int64_t)clip->frames[source->clip_next].timestamp + source->clip_shift;
}

// Of the next frame, by the source's clock.
static nanotime next_elapsed(const struct media_source *source)
{
    const struct source_config *config = &source->config;
    if (config->clip)
        return scale(clip_timestamp(source), BILLION, source->codec->clock_rate);
    int64_t index = (int64_t)source->index;
    return source->codec->video ? scale(index, BILLION, config->fps) : index * config->frame_time;
}

static uint32_t next_timestamp(const struct media_source *source)
{
    if (source->config.clip)
        return (uint32_t)clip_timestamp(source);
    uint32_t rate = source->codec->clock_rate;
    if (source->codec->video)
        return (uint32_t)scale((int64_t)source->index, rate, source->config.fps);
    return (uint32_t)((int64_t)source->index * scale(source->config.frame_time, rate, BILLION));
}

uint32_t source_timestamp_at(const struct media_source *source, nanotime now)
{
    return (uint32_t)scale(elapsed_at(source, now), source->codec->clock_rate, BILLION);
}

bool source_ended(const struct media_source *source)
{
    return source->clip_over || source->due >= source->config.stop_at;
}

nanotime source_deadline(const struct media_source *source)
{
    return source_ended(source) ? TIME_NEVER : source->due;
}

// What is next has changed: it is asked for far more often.
static void due_update(struct media_source *source)
{
    source->due = to_real(source, next_elapsed(source));
}

// --------------------------------------------------------------------------------------- commands

void source_set_bitrate(struct media_source *source, unsigned layer, uint32_t bitrate)
{
    assert(layer < source->layers_count);
    struct layer *l = &source->layers[layer];
    if (!l->bitrate && bitrate) { // what a layer begins with can only be a key frame
        l->wants_keyframe = true;
        l->debt = 0;
    }
    l->bitrate = bitrate;
}

void source_request_keyframe(struct media_source *source, unsigned layer)
{
    assert(layer < source->layers_count);
    source->layers[layer].wants_keyframe = true;
}

void source_mute(struct media_source *source, bool mute)
{
    source->muted = mute;
}

struct source_counts source_counts(const struct media_source *source, unsigned layer)
{
    assert(layer < source->layers_count);
    return source->layers[layer].counts;
}

// ------------------------------------------------------------------------------------------ clips

// On to `frame` of the clip, so that its time is where the frame that would come has its own.
static void clip_jump(struct media_source *source, uint32_t frame)
{
    const struct clip *clip = source->config.clip;
    source->clip_shift +=
        (int64_t)clip->frames[source->clip_next].timestamp - (int64_t)clip->frames[frame].timestamp;
    source->clip_next = frame;
}

static void clip_find_keyframe(struct media_source *source)
{
    const struct clip *clip = source->config.clip;
    uint32_t frame = source->clip_next;
    while (frame < clip->frames_count && !clip->frames[frame].keyframe)
        frame++;
    if (frame < clip->frames_count)
        clip_jump(source, frame);
    else if (source->config.clip_loops)
        clip_jump(source, 0);
}

static void clip_step(struct media_source *source)
{
    const struct clip *clip = source->config.clip;
    if (source->clip_next + 1 < clip->frames_count) {
        source->clip_next++;
    } else if (source->config.clip_loops) {
        source->clip_shift += (int64_t)clip->duration;
        source->clip_next = 0;
    } else {
        source->clip_over = true;
    }
}

static void clip_frame(struct media_source *source, struct source_frame *out)
{
    const struct clip *clip = source->config.clip;
    struct layer *layer = &source->layers[0];
    if (layer->wants_keyframe && source->codec->video)
        clip_find_keyframe(source);
    layer->wants_keyframe = false;
    uint32_t frame = source->clip_next;
    out->bytes = clip_bytes(clip, frame);
    out->keyframe = clip->frames[frame].keyframe;
    out->width = clip->width;
    out->height = clip->height;
    uint64_t end =
        frame + 1 < clip->frames_count ? clip->frames[frame + 1].timestamp : clip->duration;
    out->duration = (uint32_t)(end - clip->frames[frame].timestamp);
}

// -------------------------------------------------------------------------------- synthetic frames

static void write_synthetic(struct media_source *source, struct synthetic *frame,
                            struct source_frame *out)
{
    size_t room = synthetic_room(frame);
    if (room > source->buffer_max) {
        source->buffer_max = room + room / 2;
        source->buffer = mem_grow(source->buffer, source->buffer_max);
    }
    out->bytes = bytes_of(source->buffer, synthetic_write(frame, source->buffer));
}

// Bytes of the next frame: key frames are larger, and delta frames after them pay it back, so that
// the mean is the bitrate; both with some noise.
static size_t picture_len(struct media_source *source, struct layer *layer, bool keyframe)
{
    int64_t target = (int64_t)layer->bitrate / 8 / source->config.fps;
    int64_t pay = layer->debt > target / 2 ? target / 2 : layer->debt;
    int64_t wish = keyframe ? target * source->config.keyframe_times : target - pay;
    wish = wish * (850 + (int64_t)rng_below(&source->config.rng, 301)) / 1000;
    if (source->muted)
        wish /= MUTED_SHARE;
    wish = wish > SOURCE_FRAME_MAX / 2 ? SOURCE_FRAME_MAX / 2 : wish;
    layer->debt += source->muted ? -layer->debt : wish - target;
    if (layer->debt < -target)
        layer->debt = -target;
    return (size_t)wish;
}

static void picture(struct media_source *source, struct layer *layer, struct source_frame *out)
{
    const struct source_config *config = &source->config;
    nanotime elapsed = next_elapsed(source);
    out->keyframe =
        layer->wants_keyframe ||
        (config->keyframe_interval && elapsed - layer->keyframe_at >= config->keyframe_interval);
    if (out->keyframe) {
        layer->keyframe_at = elapsed;
        layer->key_counter = layer->counter;
    }
    layer->wants_keyframe = false;
    out->width = (uint16_t)(config->width / layer->scale);
    out->height = (uint16_t)(config->height / layer->scale);
    uint64_t next = source->index + 1;
    out->duration =
        (uint32_t)scale((int64_t)next, source->codec->clock_rate, config->fps) - out->timestamp;
    write_synthetic(source,
                    &(struct synthetic){.kind = config->kind,
                                        .keyframe = out->keyframe,
                                        .layer = (uint8_t)out->layer,
                                        .since_key = layer->counter - layer->key_counter,
                                        .counter = layer->counter++,
                                        .len = picture_len(source, layer, out->keyframe),
                                        .width = out->width,
                                        .height = out->height,
                                        .nal_max = config->nal_max},
                    out);
}

static void sound(struct media_source *source, struct layer *layer, struct source_frame *out)
{
    struct source_config *config = &source->config;
    out->keyframe = true;
    out->duration = (uint32_t)scale(config->frame_time, source->codec->clock_rate, BILLION);
    // G.711 and G722 have 64 kbit/s; Opus has what it is told.
    size_t len = (size_t)scale(config->frame_time, 8000, BILLION);
    if (config->kind == CODEC_OPUS)
        len = (size_t)scale(config->frame_time, layer->bitrate / 8, BILLION);
    if (config->kind == CODEC_OPUS && config->vbr)
        len = len * (750 + (size_t)rng_below(&config->rng, 501)) / 1000;
    if (config->kind == CODEC_OPUS && len > config->sound_max)
        len = config->sound_max;
    write_synthetic(source,
                    &(struct synthetic){.kind = config->kind,
                                        .keyframe = true,
                                        .counter = layer->counter++,
                                        .len = len,
                                        .frame_time = config->frame_time},
                    out);
}

// Muted with DTX: an empty packet of Opus now and then, else nothing. False: nothing.
static bool silence(struct media_source *source, struct source_frame *out)
{
    nanotime elapsed = next_elapsed(source);
    bool due = !source->silent || elapsed >= source->dtx_at;
    source->silent = true;
    if (!due || source->config.kind != CODEC_OPUS)
        return false;
    source->dtx_at = elapsed + DTX_INTERVAL;
    // RFC 6716 2.1.9: the first byte alone; nothing of one frame follows it.
    static const uint8_t empty = 0xf8;
    out->bytes = bytes_of(&empty, 1);
    out->keyframe = true;
    out->duration = (uint32_t)scale(source->config.frame_time, source->codec->clock_rate, BILLION);
    return true;
}

static bool make_frame(struct media_source *source, struct source_frame *out)
{
    struct layer *layer = &source->layers[out->layer];
    const struct source_config *config = &source->config;
    if (source->codec->video && source->muted && config->clip) {
        layer->wants_keyframe = true; // for the time when it is shown again
        return false;
    }
    if (!source->codec->video && source->muted && (config->dtx || config->clip))
        return silence(source, out);
    if (!source->codec->video) {
        out->voice = !source->muted;
        out->audio_level = (uint8_t)(source->muted ? SILENT_LEVEL : 20 + source->index % 10);
        out->first_of_talk = source->silent;
        source->silent = false;
    }
    if (config->clip)
        clip_frame(source, out);
    else if (!source->codec->video)
        sound(source, layer, out);
    else if (layer->bitrate)
        picture(source, layer, out);
    else
        return false;
    return true;
}

bool source_poll(struct media_source *source, nanotime now, struct source_frame *out)
{
    while (now >= source_deadline(source)) {
        *out = (struct source_frame){.layer = source->cursor,
                                     .timestamp = next_timestamp(source),
                                     .at = source_deadline(source),
                                     .audio_level = SILENT_LEVEL};
        bool made = make_frame(source, out);
        if (++source->cursor == source->layers_count) {
            source->cursor = 0;
            source->index++;
            if (source->config.clip)
                clip_step(source);
            due_update(source);
        }
        if (!made)
            continue;
        struct source_counts *counts = &source->layers[out->layer].counts;
        counts->frames++;
        counts->keyframes += out->keyframe;
        counts->bytes += out->bytes.len;
        return true;
    }
    return false;
}
