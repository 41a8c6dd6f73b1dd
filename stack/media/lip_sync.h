// Lip sync: how far audio and video of one sender are apart when played, by the pairs (NTP, RTP) of
// their sender reports (RFC 3550 6.4.1), and what to hold back to bring them together.
#ifndef STACK_MEDIA_LIP_SYNC_H
#define STACK_MEDIA_LIP_SYNC_H

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

#define LIP_SYNC_RATE_MIN 8000
#define LIP_SYNC_OFFSET_MAX_NS INT64_C(10000000000) // more than this: the reports cannot be meant

// One stream: its last sender report, and what is played of it at which time.
struct lip_sync_stream {
    bool known;    // a sender report has come
    uint64_t ntp;  // of the report: 32.32 seconds
    uint32_t rtp;  // of the report
    uint32_t rate; // RTP clock in Hz
    uint32_t played_rtp;
    nanotime played_at;
};

enum lip_sync_outcome {
    LIP_SYNC_OK,
    LIP_SYNC_UNKNOWN,     // a report is missing, or a rate is below LIP_SYNC_RATE_MIN
    LIP_SYNC_IMPLAUSIBLE, // an offset above LIP_SYNC_OFFSET_MAX_NS
};

struct lip_sync {
    int64_t offset_ns;   // above 0: audio is played later than the video captured with it
    int64_t offset_ms;   // the same, for the eye
    int64_t audio_extra; // hold the earlier one back by this many ns; the other's is 0
    int64_t video_extra;
};

// `out` is written only with LIP_SYNC_OK. The caller bounds how fast it follows.
enum lip_sync_outcome lip_sync_measure(const struct lip_sync_stream *audio,
                                       const struct lip_sync_stream *video, struct lip_sync *out);

#endif
