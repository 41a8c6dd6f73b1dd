// Ogg with one Opus stream (RFC 3533, RFC 7845), by libogg. Used by clip_read.
#ifndef STACK_MEDIA_CLIP_OGG_H
#define STACK_MEDIA_CLIP_OGG_H

#include "stack/media/clip.h"

bool clip_ogg_is(struct bytes file);
// Fills an empty clip. False with `err` set: "NAME: byte N: ...".
bool clip_ogg_read(struct bytes file, const char *name, struct clip *clip, struct err *err);

#endif
