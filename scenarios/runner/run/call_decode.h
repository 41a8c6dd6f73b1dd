// What a track's frames really show or sound like at the peer that plays them: each is decoded, and
// compared with what the clip itself gives.
//
// A picture bears a number, which says which of the clip's it should be. A packet of Opus is found
// in the clip by its bytes, at or after the one before it, and compared with a decoder that is fed
// the clip from there on: a decoder that missed something is seen to sound different.
#ifndef SCENARIOS_CALL_DECODE_H
#define SCENARIOS_CALL_DECODE_H

#include "stack/media/clip.h"
#include "stack/media/media_stats.h"

struct call_decoded {
    uint64_t decoded, refused; // frames
    uint64_t psnr_min;         // thousandths of dB, against the picture that was drawn
    uint64_t psnr_mean;        // likewise
    uint64_t counter_gaps;
    uint64_t frequency; // thousandths of Hz
    int64_t level;      // thousandths of dBov, of the last packet
    bool bit_exact;
};
// Their names in expectations and reports; offsets are into struct call_decoded.
extern const struct media_member call_decoded_members[];

struct call_sink;
// The clip is borrowed. False: nothing here decodes its codec.
bool call_sink_fits(const struct clip *clip);
struct call_sink *call_sink_new(const struct clip *clip);
void call_sink_free(struct call_sink *sink); // NULL: nothing
void call_sink_feed(struct call_sink *sink, struct bytes frame, uint32_t timestamp);
void call_sink_read(const struct call_sink *sink, struct call_decoded *out);

#endif
