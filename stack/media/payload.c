#include "stack/media/payload_priv.h"

#include <assert.h>

const char *payload_outcome_name(enum payload_outcome outcome)
{
    static const char *const names[PAYLOAD_OUTCOMES] = {
        [PAYLOAD_OK] = "ok",
        [PAYLOAD_EMPTY] = "empty",
        [PAYLOAD_TOO_SHORT] = "too-short",
        [PAYLOAD_BAD_FIELD] = "bad-field",
        [PAYLOAD_NOT_SUPPORTED] = "not-supported",
        [PAYLOAD_TOO_LARGE] = "too-large",
        [PAYLOAD_OUT_OF_PLACE] = "out-of-place",
        [PAYLOAD_CUT_OFF] = "cut-off",
        [PAYLOAD_NO_ROOM] = "no-room",
        [PAYLOAD_NO_FORMAT] = "no-format",
    };
    return (unsigned)outcome < PAYLOAD_OUTCOMES ? names[outcome] : "unknown";
}

// ------------------------------------------------------------------------------------------- out

enum payload_outcome payload_begin(struct payload_out *out, const struct payload_frame *frame,
                                   size_t max)
{
    *out = (struct payload_out){.frame = *frame, .max = max, .first = true};
    if (!frame->bytes.len)
        return PAYLOAD_EMPTY;
    if (max < PAYLOAD_MAX_LEAST)
        return PAYLOAD_TOO_LARGE;
    switch (frame->kind) {
    case CODEC_OPUS:
    case CODEC_PCMU:
    case CODEC_PCMA:
    case CODEC_G722:
    case CODEC_CN:
    case CODEC_EVENT:
        // RFC 7587 4.2, RFC 3551 4.2: a packet of sound is never cut.
        return frame->bytes.len <= max ? PAYLOAD_OK : PAYLOAD_TOO_LARGE;
    case CODEC_VP8:
        return vp8_begin(out);
    case CODEC_VP9:
        return vp9_begin(out);
    case CODEC_H264:
        return h264_begin(out);
    case CODEC_AV1:
        return av1_begin(out);
    case CODEC_RED_AUDIO:
    case CODEC_RTX:
    case CODEC_RED_VIDEO:
    case CODEC_ULPFEC:
    case CODEC_FLEXFEC:
    case CODEC_KINDS:
        break;
    }
    return PAYLOAD_NO_FORMAT;
}

size_t payload_fill(struct payload_out *out, uint8_t *to, size_t used)
{
    assert(used < out->max);
    size_t left = out->frame.bytes.len - out->at;
    size_t room = out->max - used;
    size_t pieces = (left + room - 1) / room;
    size_t len = (left + pieces - 1) / pieces;
    memcpy(to + used, out->frame.bytes.at + out->at, len);
    out->at += len;
    out->last = out->at == out->frame.bytes.len;
    return used + len;
}

static size_t next(struct payload_out *out, uint8_t *to)
{
    switch (out->frame.kind) {
    case CODEC_VP8:
        return vp8_next(out, to);
    case CODEC_VP9:
        return vp9_next(out, to);
    case CODEC_H264:
        return h264_next(out, to);
    case CODEC_AV1:
        return av1_next(out, to);
    case CODEC_OPUS:
    case CODEC_PCMU:
    case CODEC_PCMA:
    case CODEC_G722:
    case CODEC_CN:
    case CODEC_EVENT:
    case CODEC_RED_AUDIO:
    case CODEC_RTX:
    case CODEC_RED_VIDEO:
    case CODEC_ULPFEC:
    case CODEC_FLEXFEC:
    case CODEC_KINDS:
        break;
    }
    return payload_fill(out, to, 0);
}

size_t payload_next(struct payload_out *out, uint8_t *to)
{
    if (out->last)
        return 0;
    size_t len = next(out, to);
    assert(len > 0 && len <= out->max);
    out->first = false;
    return len;
}

bool payload_is_keyframe(enum codec_kind kind, struct bytes frame)
{
    if (!frame.len)
        return false;
    switch (kind) {
    case CODEC_VP8:
        return vp8_is_keyframe(frame);
    case CODEC_VP9:
        return vp9_is_keyframe(frame);
    case CODEC_H264:
        return h264_is_keyframe(frame);
    case CODEC_AV1:
        return av1_is_keyframe(frame);
    case CODEC_OPUS:
    case CODEC_PCMU:
    case CODEC_PCMA:
    case CODEC_G722:
        return true;
    case CODEC_CN:
    case CODEC_EVENT:
    case CODEC_RED_AUDIO:
    case CODEC_RTX:
    case CODEC_RED_VIDEO:
    case CODEC_ULPFEC:
    case CODEC_FLEXFEC:
    case CODEC_KINDS:
        break;
    }
    return false;
}

// -------------------------------------------------------------------------------------------- in

static enum payload_outcome sound_read(struct bytes payload, uint32_t samples,
                                       struct payload_info *out)
{
    out->frame_start = out->frame_end = out->keyframe = true;
    out->samples = samples;
    out->media = payload;
    return PAYLOAD_OK;
}

enum payload_outcome payload_read(enum codec_kind kind, struct bytes payload,
                                  struct payload_info *out)
{
    *out = (struct payload_info){.kind = kind, .tag = PAYLOAD_TAG_NONE, .media = {payload.at, 0}};
    if (!payload.len)
        return PAYLOAD_EMPTY;
    switch (kind) {
    case CODEC_OPUS:
        return opus_read(payload, out);
    case CODEC_PCMU:
    case CODEC_PCMA:
    case CODEC_G722:
        // RFC 3551 4.5.2: an octet is two samples of G722, and one tick of its clock all the same.
        return sound_read(payload, (uint32_t)payload.len, out);
    case CODEC_CN:
        return sound_read(payload, 0, out);
    case CODEC_EVENT:
        // RFC 4733 2.3, 2.5.1.5: one event of four octets, or several after each other.
        return payload.len % 4 ? PAYLOAD_TOO_SHORT : sound_read(payload, 0, out);
    case CODEC_VP8:
        return vp8_read(payload, out);
    case CODEC_VP9:
        return vp9_read(payload, out);
    case CODEC_H264:
        return h264_read(payload, out);
    case CODEC_AV1:
        return av1_read(payload, out);
    case CODEC_RED_AUDIO:
    case CODEC_RTX:
    case CODEC_RED_VIDEO:
    case CODEC_ULPFEC:
    case CODEC_FLEXFEC:
    case CODEC_KINDS:
        break;
    }
    return PAYLOAD_NO_FORMAT;
}

void payload_join_begin(struct payload_join *join, enum codec_kind kind, void *buffer, size_t max)
{
    *join = (struct payload_join){.kind = kind, .to = writer_of(buffer, max)};
}

static enum payload_outcome append(struct payload_join *join, struct bytes media)
{
    write_bytes(&join->to, media);
    return join->to.failed ? PAYLOAD_NO_ROOM : PAYLOAD_OK;
}

// Payloads that are a descriptor and a piece of the frame.
static enum payload_outcome add_piece(struct payload_join *join, struct bytes payload)
{
    struct payload_info info;
    enum payload_outcome outcome = payload_read(join->kind, payload, &info);
    if (outcome != PAYLOAD_OK)
        return outcome;
    bool begun = join->kind == CODEC_VP9 ? join->open : join->to.len > 0;
    if (info.frame_start == begun)
        return PAYLOAD_OUT_OF_PLACE;
    join->open = join->kind == CODEC_VP9 && !info.frame_end;
    return append(join, info.media);
}

enum payload_outcome payload_join_add(struct payload_join *join, struct bytes payload)
{
    if (join->outcome != PAYLOAD_OK)
        return join->outcome;
    switch (join->kind) {
    case CODEC_H264:
        join->outcome = h264_join_add(join, payload);
        break;
    case CODEC_AV1:
        join->outcome = av1_join_add(join, payload);
        break;
    case CODEC_OPUS:
    case CODEC_PCMU:
    case CODEC_PCMA:
    case CODEC_G722:
    case CODEC_CN:
    case CODEC_EVENT:
    case CODEC_VP8:
    case CODEC_VP9:
        join->outcome = add_piece(join, payload);
        break;
    case CODEC_RED_AUDIO:
    case CODEC_RTX:
    case CODEC_RED_VIDEO:
    case CODEC_ULPFEC:
    case CODEC_FLEXFEC:
    case CODEC_KINDS:
        join->outcome = PAYLOAD_NO_FORMAT;
        break;
    }
    return join->outcome;
}

enum payload_outcome payload_join_end(struct payload_join *join, struct bytes *frame)
{
    if (join->outcome == PAYLOAD_OK && join->open)
        join->outcome = PAYLOAD_CUT_OFF;
    if (join->outcome == PAYLOAD_OK && !join->to.len)
        join->outcome = PAYLOAD_EMPTY;
    *frame = join->outcome == PAYLOAD_OK ? writer_bytes(&join->to) : bytes_of(join->to.at, 0);
    return join->outcome;
}
