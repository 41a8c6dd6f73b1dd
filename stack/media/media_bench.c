// What media costs a packet: two whole sessions (sources, packetizers, pacer, congestion control,
// demultiplexing, buffers, playout, RTCP) over a path in virtual time, without SRTP and network;
// and how many times faster than the call that is.
#include <stdio.h>

#include "base/bench.h"
#include "stack/media/media_world.h"

#define CALL_SECONDS 60

static double packets;

// A call of one minute, both ways: Opus, and VP8 of 1.5 Mbit/s.
static double call_take(void *user)
{
    const uint32_t *loss = user;
    const struct media_track_config audio = {.label = "audio",
                                             .kind = MEDIA_AUDIO,
                                             .codecs = {"opus"},
                                             .codecs_count = 1,
                                             .bitrate = 32000};
    const struct media_track_config video = {.label = "video",
                                             .kind = MEDIA_VIDEO,
                                             .codecs = {"VP8"},
                                             .codecs_count = 1,
                                             .bitrate = 1500000,
                                             .fps = 25,
                                             .width = 640,
                                             .height = 360,
                                             .nack = true,
                                             .rtx = true,
                                             .pli = true};
    struct media_world *world = media_world_new(NULL);
    (void)media_world_track(world, &audio, true, true);
    (void)media_world_track(world, &video, true, true);
    world->paths[0].loss = world->paths[1].loss = *loss;
    nanotime begin = clock_cpu();
    media_world_start(world);
    media_world_run(world, CALL_SECONDS * TIME_S);
    double span = (double)(clock_cpu() - begin);
    packets = (double)(world->paths[0].sent + world->paths[1].sent);
    media_world_free(world);
    return span;
}

static void call_print(const char *name, uint32_t loss)
{
    double span = bench_median(call_take, &loss);
    printf("%s_ns_per_packet\t%.0f\tns\n", name, span / packets);
    printf("%s\t%.0f\ttimes real time\n", name, CALL_SECONDS * 1e9 / span);
}

int main(void)
{
    call_print("media_sessions_60s", 0);
    call_print("media_sessions_60s_1%_loss", RNG_BILLION / 100);
    return 0;
}
