// IVF: a header of 32 bytes, then for each frame 12 bytes of length and time, all little-endian.
#ifndef STACK_MEDIA_CLIP_IVF_H
#define STACK_MEDIA_CLIP_IVF_H

#include "stack/media/clip.h"

#define IVF_HEADER_LEN 32
#define IVF_FRAME_HEADER_LEN 12

bool clip_ivf_is(struct bytes file);
// Fills an empty clip. False with `err` set: "NAME: byte N: ...".
bool clip_ivf_read(struct bytes file, const char *name, struct clip *clip, struct err *err);

// Writing one: the header, and what stands before each frame.
struct ivf_header {
    enum codec_kind kind; // CODEC_VP8, VP9, AV1 or H264
    uint16_t width, height;
    uint32_t rate, scale; // a tick is scale / rate seconds: 25, 1 for 25 frames a second
    uint32_t frames;
};
void ivf_write_header(uint8_t to[IVF_HEADER_LEN], const struct ivf_header *header);
void ivf_write_frame_header(uint8_t to[IVF_FRAME_HEADER_LEN], uint32_t len, uint64_t tick);

#endif
