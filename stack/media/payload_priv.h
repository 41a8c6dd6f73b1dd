// What the payload formats share. `next` writes one payload of out->max bytes at most, moves `out`
// on, and sets out->last; it is called only while there is something left.
#ifndef STACK_MEDIA_PAYLOAD_PRIV_H
#define STACK_MEDIA_PAYLOAD_PRIV_H

#include "stack/media/payload.h"

enum payload_outcome opus_read(struct bytes payload, struct payload_info *out);

enum payload_outcome vp8_begin(const struct payload_out *out);
size_t vp8_next(struct payload_out *out, uint8_t *to);
bool vp8_is_keyframe(struct bytes frame);
enum payload_outcome vp8_read(struct bytes payload, struct payload_info *out);

enum payload_outcome vp9_begin(const struct payload_out *out);
size_t vp9_next(struct payload_out *out, uint8_t *to);
bool vp9_is_keyframe(struct bytes frame);
enum payload_outcome vp9_read(struct bytes payload, struct payload_info *out);

enum payload_outcome h264_begin(struct payload_out *out);
size_t h264_next(struct payload_out *out, uint8_t *to);
bool h264_is_keyframe(struct bytes frame);
enum payload_outcome h264_read(struct bytes payload, struct payload_info *out);
enum payload_outcome h264_join_add(struct payload_join *join, struct bytes payload);

enum payload_outcome av1_begin(struct payload_out *out);
size_t av1_next(struct payload_out *out, uint8_t *to);
bool av1_is_keyframe(struct bytes frame);
enum payload_outcome av1_read(struct bytes payload, struct payload_info *out);
enum payload_outcome av1_join_add(struct payload_join *join, struct bytes payload);

// The piece of the frame that fits behind a descriptor of `used` bytes. Pieces of a frame are about
// equal, so that the last is no scrap that costs a packet's headers for some bytes.
size_t payload_fill(struct payload_out *out, uint8_t *to, size_t used);

#endif
