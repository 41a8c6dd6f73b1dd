// Decoders behind a sink: what a received frame really shows or sounds like. By libvpx and libopus,
// one thread each; clips made by `simrtc clip` bear a number in each picture, or a tone.
#ifndef SCENARIOS_DECODE_H
#define SCENARIOS_DECODE_H

#include "base/bytes.h"
#include "base/err.h"
#include "scenarios/runner/clips/picture.h"
#include "stack/media/clip.h"

// ----------------------------------------------------------------------------------------- video

struct video_shown {
    bool decoded; // else: the decoder refused the frame, or showed nothing
    unsigned width, height;
    uint64_t hash;    // of the picture's bytes
    bool has_counter; // the pattern's number could be read
    uint32_t counter;
    unsigned psnr; // against the pattern of that number, in hundredths of dB; 0: no counter
};
// Over all frames fed.
struct video_total {
    uint64_t frames, decoded, refused;
    uint64_t unread;     // decoded, but without a number
    uint64_t in_order;   // numbers that were one more than the one before
    uint64_t jumped;     // that were not (nor the first)
    unsigned psnr_least; // hundredths of dB, of those with a number; 0: none
    uint64_t psnr_sum;
};

struct video_decoder;
// CODEC_VP8 or CODEC_VP9. NULL: not a codec that is decoded here.
struct video_decoder *video_decoder_new(enum codec_kind kind);
void video_decoder_free(struct video_decoder *decoder);
void video_decoder_feed(struct video_decoder *decoder, struct bytes frame, struct video_shown *out);
struct video_total video_decoder_total(const struct video_decoder *decoder);

// ----------------------------------------------------------------------------------------- sound

struct sound_heard {
    bool decoded;
    uint32_t samples; // at 48 kHz
    uint64_t hash;
    int32_t level; // hundredths of dBov: 0 is a full square wave; -9999: digital silence
};
struct sound_total {
    uint64_t packets, decoded, refused, samples;
    uint64_t silent_samples; // of packets below -60 dBov
    uint32_t frequency_mhz;  // of a tone, in thousandths of Hz; 0: no two rising edges yet
};

struct sound_decoder;
struct sound_decoder *sound_decoder_new(void); // Opus, to mono
void sound_decoder_free(struct sound_decoder *decoder);
// `samples` of an empty packet: so much is lost, and concealed.
void sound_decoder_feed(struct sound_decoder *decoder, struct bytes packet, uint32_t samples,
                        struct sound_heard *out);
struct sound_total sound_decoder_total(const struct sound_decoder *decoder);

#endif
