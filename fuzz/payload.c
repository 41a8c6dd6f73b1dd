// Payloads of one codec, one after another: each has an outcome; what is joined from them, cut up
// again and joined again, is the same from then on.
#include "fuzz/fuzz.h"
#include "stack/media/payload.h"
#include "stack/media/source.h"

#define FRAME_MAX 65536

// `frame` through payloads of at most `max` bytes. False: it is none that could be sent.
static bool carry(enum codec_kind kind, struct bytes frame, bool keyframe, size_t max, uint8_t *to,
                  struct bytes *got)
{
    struct payload_frame in = {kind, frame, .keyframe = keyframe, .tag = PAYLOAD_TAG_NONE};
    struct payload_out out;
    struct payload_join join;
    struct payload_info info;
    uint8_t payload[1200];
    size_t len;
    if (payload_begin(&out, &in, max) != PAYLOAD_OK)
        return false;
    payload_join_begin(&join, kind, to, FRAME_MAX);
    while ((len = payload_next(&out, payload)) > 0) {
        assert(len <= max);
        assert(payload_read(kind, bytes_of(payload, len), &info) == PAYLOAD_OK);
        payload_join_add(&join, bytes_of(payload, len));
    }
    enum payload_outcome outcome = payload_join_end(&join, got);
    assert(outcome == PAYLOAD_OK || outcome == PAYLOAD_NO_ROOM);
    return outcome == PAYLOAD_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t first[FRAME_MAX], second[FRAME_MAX], third[FRAME_MAX];
    struct reader r = reader_of(bytes_of(data, size));
    enum codec_kind kind = (enum codec_kind)fuzz_choice(&r, CODEC_KINDS);
    size_t max = PAYLOAD_MAX_LEAST + 4 * (size_t)read_u8(&r);
    struct payload_join join;
    struct bytes frame, again, still;
    struct source_mark mark;
    bool keyframe = false;
    payload_join_begin(&join, kind, first, sizeof first);
    while (r.len) {
        size_t len = read_u16(&r);
        struct bytes payload = read_bytes(&r, len < r.len ? len : r.len);
        struct payload_info info;
        enum payload_outcome outcome = payload_read(kind, payload, &info);
        assert((unsigned)outcome < PAYLOAD_OUTCOMES);
        assert(fuzz_is_inside(payload, info.media) &&
               (outcome == PAYLOAD_OK) == (info.media.len > 0));
        keyframe |= info.keyframe;
        enum payload_outcome joined = payload_join_add(&join, payload);
        assert(joined != PAYLOAD_OK || outcome == PAYLOAD_OK);
    }
    if (payload_join_end(&join, &frame) != PAYLOAD_OK)
        return 0;
    assert(frame.at == first && frame.len > 0 && frame.len <= sizeof first);
    (void)source_check(kind, frame, &mark);
    (void)payload_is_keyframe(kind, frame);
    if (carry(kind, frame, keyframe, max, second, &again) &&
        carry(kind, again, keyframe, max, third, &still))
        assert(bytes_equal(again, still));
    return 0;
}
