// What payload formats and synthetic sources cost. Lines of "name value unit", tabs between.
#include "base/bench.h"
#include "stack/media/payload.h"
#include "stack/media/source.h"

#include <inttypes.h>
#include <stdio.h>

#define TAKE_TIME (30 * TIME_MS)
#define PAYLOADS_MAX 32
#define PAYLOAD_MAX 1200
#define FRAME_BYTES 12000 // ten packets or so

struct work {
    enum codec_kind kind;
    struct media_source *source;
    struct source_frame frame;
    uint8_t payloads[PAYLOADS_MAX][PAYLOAD_MAX];
    size_t lens[PAYLOADS_MAX];
    unsigned count;
    uint8_t joined[2 * FRAME_BYTES];
    uint64_t (*step)(struct work *work); // what is measured: how many of it were done, 0: wrong
    bool wrong;
};

static uint64_t packetize(struct work *work)
{
    struct payload_frame frame = {work->kind, work->frame.bytes, .keyframe = work->frame.keyframe,
                                  .tag = PAYLOAD_TAG_NONE};
    struct payload_out out;
    work->count = 0;
    if (payload_begin(&out, &frame, PAYLOAD_MAX) != PAYLOAD_OK)
        return 0;
    while (work->count < PAYLOADS_MAX &&
           (work->lens[work->count] = payload_next(&out, work->payloads[work->count])) > 0)
        work->count++;
    return work->count;
}

static uint64_t read_all(struct work *work)
{
    struct payload_info info;
    for (unsigned i = 0; i < work->count; i++)
        if (payload_read(work->kind, bytes_of(work->payloads[i], work->lens[i]), &info) !=
            PAYLOAD_OK)
            return 0;
    return work->count;
}

static uint64_t join(struct work *work)
{
    struct payload_join join;
    struct bytes frame;
    payload_join_begin(&join, work->kind, work->joined, sizeof work->joined);
    for (unsigned i = 0; i < work->count; i++)
        payload_join_add(&join, bytes_of(work->payloads[i], work->lens[i]));
    bool good = payload_join_end(&join, &frame) == PAYLOAD_OK;
    return good && bytes_equal(frame, work->frame.bytes) ? work->count : 0;
}

static uint64_t make(struct work *work)
{
    return source_poll(work->source, source_deadline(work->source), &work->frame);
}

static uint64_t check(struct work *work)
{
    struct source_mark mark;
    return source_check(work->kind, work->frame.bytes, &mark) == SOURCE_INTACT;
}

// Nanoseconds of one.
static double take(void *user)
{
    struct work *work = user;
    nanotime start = clock_cpu(), end = start;
    uint64_t count = 0;
    while (end - start < TAKE_TIME && !work->wrong) {
        for (int i = 0; i < 100; i++) {
            uint64_t done = work->step(work);
            work->wrong |= !done;
            count += done;
        }
        end = clock_cpu();
    }
    return (double)(end - start) / (double)(count ? count : 1);
}

static bool measure(const char *what, uint64_t (*step)(struct work *), struct work *work)
{
    work->step = step;
    double each = bench_median(take, work);
    if (work->wrong) {
        fprintf(stderr, "%s %s: wrong\n", codec_kind_name(work->kind), what);
        return false;
    }
    printf("%s_%s\t%.1f\tns\n", codec_kind_name(work->kind), what, each);
    return true;
}

static bool measure_codec(enum codec_kind kind)
{
    static struct work work;
    bool video = codec_of(kind)->video;
    struct source_config config = {.kind = kind,
                                   .stop_at = TIME_NEVER,
                                   .rng = rng_seed(1, "bench"),
                                   .fps = 30,
                                   .width = 1280,
                                   .height = 720,
                                   .layers = {{1, video ? FRAME_BYTES * 8 * 30 : 32000}}};
    work = (struct work){.kind = kind, .source = source_new(&config)};
    for (unsigned i = 0; i < 30; i++) // past the key frame, and what pays for it
        make(&work);
    bool ok = measure("source_frame_ns", make, &work) && measure("source_check_ns", check, &work) &&
              measure("packetize_ns_per_packet", packetize, &work) &&
              measure("read_ns_per_packet", read_all, &work) &&
              measure("join_ns_per_packet", join, &work);
    source_free(work.source);
    return ok;
}

int main(void)
{
    static const enum codec_kind kinds[] = {CODEC_OPUS, CODEC_VP8, CODEC_VP9, CODEC_H264,
                                            CODEC_AV1};
    bool ok = true;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        ok &= measure_codec(kinds[i]);
    return ok ? 0 : 1;
}
