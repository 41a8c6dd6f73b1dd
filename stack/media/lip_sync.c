// Lip sync: capture times from sender reports against playout times.
#include "stack/media/lip_sync.h"

#define NS INT64_C(1000000000)

// Of a - b, modulo the era of NTP; whole seconds and the rest apart, so that nothing overflows.
static int64_t ntp_difference_ns(uint64_t a, uint64_t b)
{
    uint64_t difference = a - b;
    int64_t seconds = (int32_t)(uint32_t)(difference >> 32);
    int64_t rest = (int64_t)((difference & 0xffffffffu) * (uint64_t)NS >> 32);
    return seconds * NS + rest;
}

// From the report to what is played, by the stream's own clock.
static int64_t since_report_ns(const struct lip_sync_stream *stream)
{
    return (int64_t)(int32_t)(stream->played_rtp - stream->rtp) * NS / (int64_t)stream->rate;
}

static bool usable(const struct lip_sync_stream *stream)
{
    return stream->known && stream->rate >= LIP_SYNC_RATE_MIN;
}

enum lip_sync_outcome lip_sync_measure(const struct lip_sync_stream *audio,
                                       const struct lip_sync_stream *video, struct lip_sync *out)
{
    if (!usable(audio) || !usable(video))
        return LIP_SYNC_UNKNOWN;
    int64_t captured =
        ntp_difference_ns(audio->ntp, video->ntp) + since_report_ns(audio) - since_report_ns(video);
    int64_t offset = audio->played_at - video->played_at - captured;
    if (offset > LIP_SYNC_OFFSET_MAX_NS || offset < -LIP_SYNC_OFFSET_MAX_NS)
        return LIP_SYNC_IMPLAUSIBLE;
    *out = (struct lip_sync){.offset_ns = offset,
                             .offset_ms = offset / 1000000,
                             .audio_extra = offset < 0 ? -offset : 0,
                             .video_extra = offset > 0 ? offset : 0};
    return LIP_SYNC_OK;
}
