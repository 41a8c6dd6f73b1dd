// Lip sync of a session: all that comes is of one peer with one CNAME (RFC 3550 6.5.1), so its
// first audio goes with each of its videos.
//
// Once a second, when a video frame is shown, what is ahead is held back a little more, or what is
// behind a little less, until both are together.
#include "stack/media/lip_sync.h"
#include "stack/media/media_priv.h"

#define EVERY TIME_S
#define STEP_MAX (80 * TIME_MS)
#define GOOD_ENOUGH (15 * TIME_MS)

static struct lip_sync_stream side_of(const struct media_stream_in *s)
{
    return (struct lip_sync_stream){.known = s->last_sr_at > 0 && s->played_at != TIME_NEVER,
                                    .ntp = s->last_sr.ntp,
                                    .rtp = s->last_sr.rtp_timestamp,
                                    .rate = s->receiver.config.clock_rate,
                                    .played_rtp = s->played_rtp,
                                    .played_at = s->played_at};
}

// What plays of the first track of a kind that plays anything.
static struct media_stream_in *first_of(const struct media *m, enum media_kind kind)
{
    for (unsigned i = 0; i < m->tracks_count; i++) {
        const struct media_track *t = &m->tracks[i];
        if (t->config.kind == kind && t->current >= 0 && m->streams[t->current].used &&
            m->streams[t->current].played_at != TIME_NEVER)
            return &m->streams[t->current];
    }
    return NULL;
}

static bool measure(const struct media_stream_in *audio, const struct media_stream_in *video,
                    struct lip_sync *sync)
{
    if (!audio || !video)
        return false;
    struct lip_sync_stream a = side_of(audio), v = side_of(video);
    return lip_sync_measure(&a, &v, sync) == LIP_SYNC_OK;
}

static void audio_least(struct media_stream_in *audio, nanotime least)
{
    audio->sync_least = least > AUDIO_BUFFER_LEAST ? least : 0;
    audio_buffer_set_least(audio->audio, audio->sync_least);
}

void media_sync(struct media *m, nanotime now, struct media_stream_in *video)
{
    struct lip_sync sync;
    if (now - video->synced_at < EVERY)
        return;
    video->synced_at = now;
    struct media_stream_in *audio = first_of(m, MEDIA_AUDIO);
    if (!measure(audio, video, &sync))
        return;
    nanotime apart = sync.offset_ns > 0 ? sync.offset_ns : -sync.offset_ns;
    nanotime step = time_min(apart / 2, STEP_MAX);
    if (apart < GOOD_ENOUGH)
        return;
    // Of several videos the first alone moves the audio, or they would tear at it.
    bool moves_audio = audio->audio && video == first_of(m, MEDIA_VIDEO);
    if (sync.offset_ns > 0) { // the audio is late
        if (moves_audio && audio->sync_least > 0) {
            audio_least(audio, audio->sync_least - step);
            return;
        }
        video->sync_extra = time_min(video->sync_extra + step, FRAME_BUFFER_DELAY_MAX);
    } else if (video->sync_extra > 0) {
        video->sync_extra = time_max(video->sync_extra - step, 0);
    } else if (moves_audio) {
        audio_least(audio, audio_buffer_stats(audio->audio).target + step);
    }
    frame_buffer_set_extra(video->video, video->sync_extra);
}

bool media_sync_offset(const struct media *m, const struct media_track *t, nanotime *ahead)
{
    struct lip_sync sync;
    const struct media_stream_in *s = &m->streams[t->current];
    bool audio = t->config.kind == MEDIA_AUDIO;
    if (!measure(audio ? s : first_of(m, MEDIA_AUDIO), audio ? first_of(m, MEDIA_VIDEO) : s, &sync))
        return false;
    *ahead = -sync.offset_ns;
    return true;
}

nanotime media_sync_playout(nanotime now, const struct media_stream_in *s)
{
    if (s->last_sr_at == 0 || s->played_at == TIME_NEVER)
        return TIME_NEVER;
    nanotime since = (nanotime)(int32_t)(s->played_rtp - s->last_sr.rtp_timestamp) * TIME_S /
                     (nanotime)s->receiver.config.clock_rate;
    return media_ntp_time(s->last_sr.ntp) + since + (now - s->played_at);
}
