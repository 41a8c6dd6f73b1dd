#include "scenarios/runner/clips/decode.h"

#include "base/arena.h"

#include <assert.h>
#include <opus/opus.h>
#include <stdlib.h>
#include <vpx/vp8dx.h>
#include <vpx/vpx_decoder.h>

#define SAMPLE_RATE 48000
#define SAMPLES_MAX 5760 // RFC 6716 3.2.5
#define SILENT_LEVEL (-6000)
#define NO_LEVEL (-9999)
#define EDGE 300 // a rising edge passes from below -EDGE to above +EDGE

struct video_decoder {
    vpx_codec_ctx_t codec;
    uint8_t *pattern; // one picture, to compare with
    size_t pattern_max;
    bool has_last;
    uint32_t last;
    struct video_total total;
};

struct video_decoder *video_decoder_new(enum codec_kind kind)
{
    if (kind != CODEC_VP8 && kind != CODEC_VP9)
        return NULL;
    struct video_decoder *decoder = mem_zero(1, sizeof *decoder);
    vpx_codec_dec_cfg_t config = {.threads = 1};
    vpx_codec_iface_t *interface = kind == CODEC_VP8 ? vpx_codec_vp8_dx() : vpx_codec_vp9_dx();
    vpx_codec_err_t error = vpx_codec_dec_init(&decoder->codec, interface, &config, 0);
    assert(error == VPX_CODEC_OK);
    return decoder;
}

void video_decoder_free(struct video_decoder *decoder)
{
    if (decoder) {
        vpx_codec_destroy(&decoder->codec);
        free(decoder->pattern);
    }
    free(decoder);
}

static void compare(struct video_decoder *decoder, const struct picture *shown,
                    struct video_shown *out)
{
    struct video_total *total = &decoder->total;
    out->has_counter =
        picture_size_fits(shown->width, shown->height) && picture_counter(shown, &out->counter);
    if (!out->has_counter) {
        total->unread++;
        return;
    }
    size_t size = picture_bytes(shown->width, shown->height);
    if (size > decoder->pattern_max) {
        decoder->pattern = mem_grow(decoder->pattern, size);
        decoder->pattern_max = size;
    }
    struct picture pattern = picture_in(decoder->pattern, shown->width, shown->height);
    picture_draw(&pattern, out->counter);
    out->psnr = picture_psnr(shown, &pattern);
    if (!total->psnr_least || out->psnr < total->psnr_least)
        total->psnr_least = out->psnr;
    total->psnr_sum += out->psnr;
    if (decoder->has_last) {
        bool next = out->counter == (decoder->last + 1) % PICTURE_COUNTERS;
        total->in_order += next;
        total->jumped += !next;
    }
    decoder->has_last = true;
    decoder->last = out->counter;
}

// The last picture that the decoder has to show. False: none, or not 4:2:0 of 8 bits.
static bool take_picture(struct video_decoder *decoder, struct picture *out)
{
    vpx_codec_iter_t iterator = NULL;
    const vpx_image_t *image, *last = NULL;
    while ((image = vpx_codec_get_frame(&decoder->codec, &iterator)))
        last = image;
    if (!last || last->fmt != VPX_IMG_FMT_I420)
        return false;
    *out = (struct picture){.width = last->d_w, .height = last->d_h};
    for (unsigned i = 0; i < 3; i++) {
        out->plane[i] = last->planes[i];
        out->stride[i] = (size_t)last->stride[i];
    }
    return true;
}

void video_decoder_feed(struct video_decoder *decoder, struct bytes frame, struct video_shown *out)
{
    struct picture picture;
    *out = (struct video_shown){0};
    decoder->total.frames++;
    // Without bytes the decoder would show again what it has.
    if (!frame.len || frame.len > UINT32_MAX ||
        vpx_codec_decode(&decoder->codec, frame.at, (unsigned)frame.len, NULL, 0) != VPX_CODEC_OK ||
        !take_picture(decoder, &picture)) {
        decoder->total.refused++;
        return;
    }
    decoder->total.decoded++;
    out->decoded = true;
    out->width = picture.width;
    out->height = picture.height;
    out->hash = picture_hash(&picture);
    compare(decoder, &picture, out);
}

struct video_total video_decoder_total(const struct video_decoder *decoder)
{
    return decoder->total;
}

// ----------------------------------------------------------------------------------------- sound

struct sound_decoder {
    OpusDecoder *codec;
    bool below;                            // the signal was below -EDGE since the last rising edge
    uint64_t edges, first_edge, last_edge; // at which sample
    struct sound_total total;
};

struct sound_decoder *sound_decoder_new(void)
{
    struct sound_decoder *decoder = mem_zero(1, sizeof *decoder);
    int error;
    decoder->codec = opus_decoder_create(SAMPLE_RATE, 1, &error);
    assert(error == OPUS_OK);
    return decoder;
}

void sound_decoder_free(struct sound_decoder *decoder)
{
    if (decoder)
        opus_decoder_destroy(decoder->codec);
    free(decoder);
}

static void find_edges(struct sound_decoder *decoder, const int16_t *pcm, unsigned samples)
{
    for (unsigned i = 0; i < samples; i++) {
        if (pcm[i] < -EDGE)
            decoder->below = true;
        if (pcm[i] < EDGE || !decoder->below)
            continue;
        decoder->below = false;
        decoder->last_edge = decoder->total.samples + i;
        if (!decoder->edges++)
            decoder->first_edge = decoder->last_edge;
    }
}

static int32_t level_of(const int16_t *pcm, unsigned samples)
{
    uint64_t squares = 0;
    for (unsigned i = 0; i < samples; i++)
        squares += (uint64_t)((int32_t)pcm[i] * pcm[i]);
    return squares ? decibel_hundredths(squares, (uint64_t)32768 * 32768 * samples) : NO_LEVEL;
}

void sound_decoder_feed(struct sound_decoder *decoder, struct bytes packet, uint32_t samples,
                        struct sound_heard *out)
{
    int16_t pcm[SAMPLES_MAX];
    struct sound_total *total = &decoder->total;
    *out = (struct sound_heard){.level = NO_LEVEL};
    total->packets++;
    int wanted = packet.len || samples > SAMPLES_MAX ? SAMPLES_MAX : (int)samples;
    int got = packet.len > 65536 ? -1
                                 : opus_decode(decoder->codec, packet.len ? packet.at : NULL,
                                               (opus_int32)packet.len, pcm, wanted, 0);
    if (got <= 0) {
        total->refused++;
        return;
    }
    total->decoded++;
    out->decoded = true;
    out->samples = (uint32_t)got;
    out->level = level_of(pcm, out->samples);
    out->hash = 0xcbf29ce484222325u;
    for (unsigned i = 0; i < out->samples; i++)
        out->hash = (out->hash ^ (uint16_t)pcm[i]) * 0x100000001b3u;
    find_edges(decoder, pcm, out->samples);
    total->silent_samples += out->level < SILENT_LEVEL ? out->samples : 0;
    total->samples += out->samples;
}

struct sound_total sound_decoder_total(const struct sound_decoder *decoder)
{
    struct sound_total total = decoder->total;
    if (decoder->edges >= 2)
        total.frequency_mhz = (uint32_t)((decoder->edges - 1) * SAMPLE_RATE * 1000 /
                                         (decoder->last_edge - decoder->first_edge));
    return total;
}
