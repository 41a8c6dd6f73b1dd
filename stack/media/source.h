// Where frames come from: made up (synthetic), or of a clip.
//
//     while (source_poll(source, now, &frame)) { ... } // each frame that is due
//     wake = source_deadline(source);                  // poll again by this time
//
// Synthetic frames have the sizes, times and headers that the codec's frames would have, so that
// depacketizers and statistics take them for real; they cost next to nothing. Each bears a mark: a
// counter, its layer, and a checksum of all its bytes, which source_check looks at on the other
// side. No decoder would show a picture of one: for that there are clips.
//
// All layers of a simulcast are one source: one picture at a time, a frame of each layer of it.
#ifndef STACK_MEDIA_SOURCE_H
#define STACK_MEDIA_SOURCE_H

#include "base/clock.h"
#include "base/rng.h"
#include "stack/media/clip.h"

#define SOURCE_LAYERS_MAX 3
#define SOURCE_FRAME_MAX 262144 // a synthetic frame is never larger

struct source_layer {
    unsigned scale;   // 0 or 1: full size, 2: half each way, ...
    uint32_t bitrate; // bit/s to begin with; 0: the layer is off
};

struct source_config {
    enum codec_kind kind; // a clip's own kind wins
    nanotime start_at;    // the first frame is due then
    nanotime stop_at;     // none is due from then on; TIME_NEVER
    int64_t clock_ppb;    // the source's clock runs fast (+) by so many parts of 10^9
    struct rng rng;       // the source's own stream
    // Audio
    nanotime frame_time; // 0: 20 ms. Opus: 2.5 5 10 20 40 60 ms; others: whole milliseconds
    bool vbr;            // Opus sizes vary around the bitrate
    size_t sound_max;    // no frame of Opus is longer, whatever the bitrate; 0: 1275 bytes
    bool dtx;            // muted: one empty frame each 400 ms, else nothing
    // Video
    unsigned fps; // 0: 30
    unsigned width, height;
    nanotime keyframe_interval; // 0: only the first, and when asked
    unsigned keyframe_times;    // a key frame is so many times an average one; 0: 5
    unsigned nal_max;           // H.264: slices of at most so many bytes; 0: one slice a frame
    struct source_layer layers[SOURCE_LAYERS_MAX];
    unsigned layers_count; // 0: one layer; audio has one
    // Or these frames; borrowed for the life of the source.
    const struct clip *clip;
    bool clip_loops;
};

struct source_frame {
    struct bytes bytes; // until the next call
    unsigned layer;
    uint32_t timestamp; // of the codec's RTP clock, from 0 at start_at; wraps
    nanotime at;        // when it was due
    bool keyframe;
    bool first_of_talk;  // audio: begins after a silence in which nothing was sent (marker)
    bool voice;          // audio: not muted
    uint8_t audio_level; // audio: -dBov, 127 when muted (RFC 6464 3)
    uint32_t duration;   // units of the RTP clock
    uint16_t width, height;
};

struct source_counts {
    uint64_t frames, keyframes, bytes;
};

struct media_source *source_new(const struct source_config *config);
void source_free(struct media_source *source);

bool source_poll(struct media_source *source, nanotime now, struct source_frame *out);
nanotime source_deadline(const struct media_source *source);
bool source_ended(const struct media_source *source); // the clip is over, or stop_at has passed
// What the RTP timestamp is at this moment: for sender reports and telephone events.
uint32_t source_timestamp_at(const struct media_source *source, nanotime now);

// From the next frame on. A clip takes no bitrate, and cannot make a key frame: it goes on with its
// next one (from its start, when it loops), timestamps going on evenly.
void source_set_bitrate(struct media_source *source, unsigned layer, uint32_t bitrate); // 0: off
void source_request_keyframe(struct media_source *source, unsigned layer);
void source_mute(struct media_source *source, bool mute);

struct source_counts source_counts(const struct media_source *source, unsigned layer);

// ------------------------------------------------------------------- what a received frame bears

enum source_check {
    SOURCE_INTACT,
    SOURCE_NOT_SYNTHETIC, // bears no mark: a clip's, a silence, or other people's
    SOURCE_DAMAGED,       // the checksum says that bytes changed
};
struct source_mark {
    uint32_t counter; // of the layer, from 0, one a frame
    bool keyframe;
    uint8_t layer;
};
// `frame` as payload_join_end gives it. The mark is set with SOURCE_INTACT alone.
enum source_check source_check(enum codec_kind kind, struct bytes frame, struct source_mark *out);

#endif
