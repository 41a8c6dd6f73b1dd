// What the readers of clips share.
#ifndef STACK_MEDIA_CLIP_PRIV_H
#define STACK_MEDIA_CLIP_PRIV_H

#include "stack/media/clip.h"

// Append a frame, its bytes copied; clip->bytes has room for all of the file. False: too many
// frames, or too large a frame; `offset` is its place in the file.
bool clip_add(struct clip *clip, struct bytes frame, uint64_t timestamp, const char *name,
              size_t offset, struct err *err);

#endif
