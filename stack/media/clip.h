// The frames of a media file, in memory: Ogg with Opus (RFC 7845), IVF with VP8, VP9, AV1 or H.264.
//
// A clip owns a copy of the file. What is wrong with a file is one line with the offset of the
// byte.
#ifndef STACK_MEDIA_CLIP_H
#define STACK_MEDIA_CLIP_H

#include "base/err.h"
#include "stack/media/codec.h"

#define CLIP_FRAMES_MAX 1000000
#define CLIP_FRAME_BYTES_MAX 4000000

struct clip_frame {
    size_t at, len;     // in the clip's bytes
    uint64_t timestamp; // units of the codec's RTP clock; the first is 0; rising
    bool keyframe;      // audio: always
};

struct clip {
    enum codec_kind kind;
    uint8_t *bytes; // owned
    size_t bytes_len;
    struct clip_frame *frames; // owned
    uint32_t frames_count;     // at least 1, and the first is a key frame
    uint64_t duration;         // units of the RTP clock: where a loop's next round starts
    uint16_t width, height;    // video
    uint32_t skip;             // Opus: samples to throw away after decoding starts (RFC 7845 4.2)
};

// By its first bytes. `name` is what errors call the file. NULL with `err` set.
struct clip *clip_read(struct bytes file, const char *name, struct err *err);
void clip_free(struct clip *clip);

static inline struct bytes clip_bytes(const struct clip *clip, uint32_t frame)
{
    return bytes_of(clip->bytes + clip->frames[frame].at, clip->frames[frame].len);
}

#endif
