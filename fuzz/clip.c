// Any bytes as a clip: an error of one line that names the file, or frames that a source plays in
// order, twice over.
#include "fuzz/fuzz.h"
#include "stack/media/source.h"

#define FRAMES_MOST 300

static void play(const struct clip *clip)
{
    struct source_config config = {.stop_at = TIME_NEVER, .clip = clip, .clip_loops = true};
    struct media_source *source = source_new(&config);
    struct source_frame frame;
    nanotime before = -1;
    uint32_t most = clip->frames_count < FRAMES_MOST ? clip->frames_count : FRAMES_MOST;
    for (uint32_t i = 0; i < 2 * most; i++) {
        nanotime due = source_deadline(source);
        assert(due >= before && due < TIME_NEVER);
        assert(source_poll(source, due, &frame));
        assert(frame.bytes.len > 0 && (i > 0 || frame.keyframe));
        before = due;
    }
    source_free(source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    struct clip *clip = clip_read(bytes_of(data, size), "clip", &err);
    assert((clip == NULL) == err_is_set(&err));
    if (!clip) {
        assert(strncmp(err.text, "clip: ", 6) == 0 && !strchr(err.text, '\n'));
        return 0;
    }
    assert(clip->bytes_len <= size && clip->frames_count > 0);
    for (uint32_t i = 0; i < clip->frames_count; i++) {
        uint64_t next = i + 1 < clip->frames_count ? clip->frames[i + 1].timestamp : clip->duration;
        assert(clip->frames[i].timestamp < next);
        assert(clip->frames[i].at + clip->frames[i].len <= clip->bytes_len);
    }
    play(clip);
    clip_free(clip);
    return 0;
}
