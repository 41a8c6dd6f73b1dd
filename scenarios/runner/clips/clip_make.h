// Clips made on the spot: a tone in Ogg/Opus, the numbered test pattern in IVF with VP8 or VP9.
//
// The same libraries make the same bytes of the same wishes; other versions of libopus and libvpx
// make others, which is why scenarios name files and do not make them.
#ifndef SCENARIOS_CLIP_MAKE_H
#define SCENARIOS_CLIP_MAKE_H

#include "base/err.h"
#include "base/text.h"
#include "stack/media/clip.h"

struct tone_wish {
    unsigned hz;      // 20..20000
    unsigned frames;  // packets of 20 ms, 1...
    uint32_t bitrate; // bit/s, 6000..510000
};
struct pattern_wish {
    enum codec_kind kind; // CODEC_VP8, CODEC_VP9
    unsigned width, height, fps;
    unsigned frames;
    uint32_t bitrate;           // bit/s
    unsigned keyframe_interval; // frames
};

// The whole file is added to `out`. False with `err` set: a wish that cannot be, or the library
// refuses.
bool clip_make_tone(const struct tone_wish *wish, struct text *out, struct err *err);
bool clip_make_pattern(const struct pattern_wish *wish, struct text *out, struct err *err);

// A clip of a file on disk. NULL with `err` set.
struct clip *clip_load(const char *path, struct err *err);

#endif
