#include "scenarios/runner/run/call_decode.h"

#include "base/arena.h"
#include "scenarios/runner/clips/decode.h"

#include <stddef.h>
#include <stdlib.h>

#define MEMBER(name, field, unit, meaning)                                                         \
    {                                                                                              \
        name, UNIT_##unit, offsetof(struct call_decoded, field), meaning, NULL                     \
    }
const struct media_member call_decoded_members[] = {
    MEMBER("decoded", decoded, COUNT, "frames of a clip that a decoder took (decode: true)"),
    MEMBER("decode-refused", refused, COUNT, "frames that it did not take"),
    MEMBER("psnr-min", psnr_min, THOUSANDTH, "dB, the worst picture against the one drawn"),
    MEMBER("psnr-mean", psnr_mean, THOUSANDTH, "dB, the mean of those"),
    MEMBER("counter-gaps", counter_gaps, COUNT, "times that pictures or packets were missing"),
    MEMBER("tone", frequency, THOUSANDTH, "Hz that is heard"),
    MEMBER("tone-level", level, THOUSANDTH, "dBov of the last packet"),
    MEMBER("bit-exact", bit_exact, BOOL, "all as decoding the clip itself gives"),
    {0},
};

struct shown {
    bool known;
    uint32_t counter;
    uint64_t hash;
};

struct call_sink {
    const struct clip *clip;
    struct video_decoder *video;
    struct sound_decoder *sound;
    bool damaged; // a frame was not what the clip gives

    struct shown *shown; // video: what the clip itself shows, by frame
    struct video_total pictures;
    uint32_t next; // the clip's frame that should come

    struct sound_decoder *reference; // audio: fed with the clip alone
    uint32_t last_timestamp;
    bool has_last;
    uint64_t gaps;
    int32_t level;
};

bool call_sink_fits(const struct clip *clip)
{
    return clip->kind == CODEC_VP8 || clip->kind == CODEC_VP9 || clip->kind == CODEC_OPUS;
}

// Each round of a clip begins with a key frame: it shows the same again and again.
static void decode_clip(struct call_sink *sink)
{
    const struct clip *clip = sink->clip;
    struct video_decoder *decoder = video_decoder_new(clip->kind);
    sink->shown = mem_zero(clip->frames_count, sizeof *sink->shown);
    for (uint32_t i = 0; i < clip->frames_count; i++) {
        struct video_shown shown;
        video_decoder_feed(decoder, clip_bytes(clip, i), &shown);
        sink->shown[i] = (struct shown){shown.has_counter, shown.counter, shown.hash};
    }
    video_decoder_free(decoder);
}

struct call_sink *call_sink_new(const struct clip *clip)
{
    struct call_sink *sink = mem_zero(1, sizeof *sink);
    sink->clip = clip;
    if (clip->kind == CODEC_OPUS) {
        sink->sound = sound_decoder_new();
        sink->reference = sound_decoder_new();
    } else {
        sink->video = video_decoder_new(clip->kind);
        decode_clip(sink);
    }
    return sink;
}

void call_sink_free(struct call_sink *sink)
{
    if (!sink)
        return;
    video_decoder_free(sink->video);
    sound_decoder_free(sink->sound);
    sound_decoder_free(sink->reference);
    free(sink->shown);
    free(sink);
}

static uint32_t after(const struct call_sink *sink, uint32_t frame)
{
    return frame + 1 < sink->clip->frames_count ? frame + 1 : 0;
}

// The frame of the clip with this number, from the one that should come on; frames_count: none.
static uint32_t find_picture(const struct call_sink *sink, uint32_t counter)
{
    uint32_t at = sink->next;
    for (uint32_t i = 0; i < sink->clip->frames_count; i++) {
        if (sink->shown[at].known && sink->shown[at].counter == counter)
            return at;
        at = after(sink, at);
    }
    return sink->clip->frames_count;
}

static void feed_picture(struct call_sink *sink, struct bytes frame)
{
    struct video_shown shown;
    video_decoder_feed(sink->video, frame, &shown);
    if (!shown.decoded || !shown.has_counter) {
        sink->damaged = true;
        return;
    }
    uint32_t at = find_picture(sink, shown.counter);
    if (at == sink->clip->frames_count) {
        sink->damaged = true;
        return;
    }
    sink->gaps += sink->has_last && at != sink->next;
    sink->damaged |= shown.hash != sink->shown[at].hash;
    sink->has_last = true;
    sink->next = after(sink, at);
}

// The clip's packet with these bytes, from the one that should come on; frames_count: none.
static uint32_t find_packet(const struct call_sink *sink, struct bytes packet)
{
    uint32_t at = sink->next;
    for (uint32_t i = 0; i < sink->clip->frames_count; i++) {
        if (bytes_equal(clip_bytes(sink->clip, at), packet))
            return at;
        at = after(sink, at);
    }
    return sink->clip->frames_count;
}

// What is missing by the timestamps is concealed, up to a second.
static void conceal(struct call_sink *sink, uint32_t samples)
{
    struct sound_heard heard;
    for (uint32_t left = samples < 48000 ? samples : 48000; left >= 960; left -= 960)
        sound_decoder_feed(sink->sound, (struct bytes){0}, 960, &heard);
}

static void feed_packet(struct call_sink *sink, struct bytes packet, uint32_t timestamp)
{
    struct sound_heard heard, reference = {0};
    uint32_t at = find_packet(sink, packet);
    bool known = at < sink->clip->frames_count;
    int32_t missing = (int32_t)(timestamp - sink->last_timestamp);
    bool gap = sink->has_last && (missing > 0 || (known && at != sink->next));
    sink->gaps += gap;
    if (gap && missing > 0)
        conceal(sink, (uint32_t)missing);
    // A decoder knows what came before: the other one gets all of the clip, also what is missing
    // here. Of the first packet on: what was before that, neither has heard.
    for (uint32_t i = sink->has_last ? sink->next : at; known && i != at; i = after(sink, i))
        sound_decoder_feed(sink->reference, clip_bytes(sink->clip, i), 0, &reference);
    sound_decoder_feed(sink->sound, packet, 0, &heard);
    if (known) {
        sound_decoder_feed(sink->reference, packet, 0, &reference);
        sink->next = after(sink, at);
    }
    sink->damaged |= !known || !heard.decoded || heard.hash != reference.hash;
    sink->level = heard.level;
    sink->last_timestamp = timestamp + heard.samples;
    sink->has_last = true;
}

void call_sink_feed(struct call_sink *sink, struct bytes frame, uint32_t timestamp)
{
    if (sink->video)
        feed_picture(sink, frame);
    else
        feed_packet(sink, frame, timestamp);
}

void call_sink_read(const struct call_sink *sink, struct call_decoded *out)
{
    *out = (struct call_decoded){.counter_gaps = sink->gaps, .level = (int64_t)sink->level * 10};
    if (sink->video) {
        struct video_total total = video_decoder_total(sink->video);
        uint64_t read = total.decoded - total.unread;
        out->decoded = total.decoded;
        out->refused = total.refused;
        out->psnr_min = (uint64_t)total.psnr_least * 10;
        out->psnr_mean = read ? total.psnr_sum * 10 / read : 0;
    } else {
        struct sound_total total = sound_decoder_total(sink->sound);
        out->decoded = total.decoded;
        out->refused = total.refused;
        out->frequency = total.frequency_mhz;
    }
    out->bit_exact = out->decoded > 0 && !sink->damaged;
}
