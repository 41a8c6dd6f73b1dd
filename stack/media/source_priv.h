// The bytes of a synthetic frame. Shared by source.c and synthetic.c alone.
#ifndef STACK_MEDIA_SOURCE_PRIV_H
#define STACK_MEDIA_SOURCE_PRIV_H

#include "stack/media/source.h"

struct synthetic {
    enum codec_kind kind;
    bool keyframe;
    uint8_t layer;
    uint32_t counter;
    uint32_t since_key; // frames since the last key frame; 0: this is one
    size_t len;         // wished for; a frame that cannot hold its headers and mark gets longer
    uint16_t width, height;
    size_t nal_max;
    nanotime frame_time;
};

// More than synthetic_write can need for a frame of this length.
size_t synthetic_room(const struct synthetic *frame);
// The frame's length.
size_t synthetic_write(const struct synthetic *frame, uint8_t *to);
// The first byte of an Opus packet of so many frames of 20 ms, or of one shorter one.
uint8_t synthetic_opus_toc(nanotime frame_time);

#endif
