#include "stack/media/clip_ivf.h"
#include "stack/media/clip_ogg.h"
#include "stack/media/clip_priv.h"

#include "base/arena.h"
#include "stack/media/payload.h"

#include <stdlib.h>

#define FRAMES_LEAST 64

bool clip_add(struct clip *clip, struct bytes frame, uint64_t timestamp, const char *name,
              size_t offset, struct err *err)
{
    uint32_t count = clip->frames_count;
    if (count == CLIP_FRAMES_MAX)
        return err_set(err, "%s: byte %zu: more than %u frames", name, offset, CLIP_FRAMES_MAX);
    if (frame.len > CLIP_FRAME_BYTES_MAX)
        return err_set(err, "%s: byte %zu: a frame of %zu bytes, expected at most %u", name, offset,
                       frame.len, CLIP_FRAME_BYTES_MAX);
    bool full = count == 0 || (count >= FRAMES_LEAST && (count & (count - 1)) == 0);
    if (full)
        clip->frames = mem_grow(clip->frames,
                                (count ? 2 * (size_t)count : FRAMES_LEAST) * sizeof *clip->frames);
    clip->frames[count] = (struct clip_frame){clip->bytes_len, frame.len, timestamp,
                                              payload_is_keyframe(clip->kind, frame)};
    memcpy(clip->bytes + clip->bytes_len, frame.at, frame.len);
    clip->bytes_len += frame.len;
    clip->frames_count++;
    return true;
}

static bool read(struct bytes file, const char *name, struct clip *clip, struct err *err)
{
    if (clip_ogg_is(file))
        return clip_ogg_read(file, name, clip, err);
    if (clip_ivf_is(file))
        return clip_ivf_read(file, name, clip, err);
    return err_set(err, "%s: byte 0: expected an Ogg (\"OggS\") or IVF (\"DKIF\") file", name);
}

struct clip *clip_read(struct bytes file, const char *name, struct err *err)
{
    struct clip *clip = mem_zero(1, sizeof *clip);
    clip->bytes = mem_alloc(file.len + 1);
    bool good = read(file, name, clip, err);
    if (good && !clip->frames_count)
        good =
            err_set(err, "%s: byte %zu: expected a frame, got the end of the file", name, file.len);
    if (good && !clip->frames[0].keyframe)
        good = err_set(err, "%s: the first frame is no key frame", name);
    if (good)
        return clip;
    clip_free(clip);
    return NULL;
}

void clip_free(struct clip *clip)
{
    if (clip) {
        free(clip->frames);
        free(clip->bytes);
    }
    free(clip);
}
