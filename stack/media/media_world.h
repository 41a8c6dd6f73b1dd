// For tests and benches: two sessions joined by a path with a rate, a queue, delay and loss each
// way, in virtual time. What both agree on is made up here, as two descriptions would.
#ifndef STACK_MEDIA_MEDIA_WORLD_H
#define STACK_MEDIA_MEDIA_WORLD_H

#include "base/arena.h"
#include "stack/media/media.h"

#include <stdlib.h>
#include <string.h>

#define MEDIA_WORLD_PACKETS 8192

struct media_flying {
    nanotime at;
    bool rtcp;
    size_t len;
    uint8_t bytes[RTP_PACKET_MAX];
};

struct media_path {
    nanotime delay;
    uint64_t rate;      // bit/s; 0: without limit
    nanotime queue_max; // time in the queue before a packet is dropped
    uint32_t loss;      // per billion
    bool reorder;       // every tenth packet is held back by 30 ms
    nanotime free_at;   // when the link is idle again
    uint64_t sent, lost, dropped;
    struct rng rng;
};

struct media_world {
    nanotime now;
    struct media *sides[2];
    struct media_path paths[2];     // from side 0, from side 1
    struct media_flying *flying[2]; // rings
    unsigned head[2], count[2];
    struct rng rngs[2];
    uint64_t frames[2], digits[2];
    char dialed[2][64];
    void (*tamper)(struct media_world *world, int from, struct media_flying *packet);
};

static inline struct media_world *media_world_new(const struct media_config *configs)
{
    struct media_world *world = mem_zero(1, sizeof *world);
    for (int i = 0; i < 2; i++) {
        struct media_config config = configs ? configs[i] : (struct media_config){0};
        world->rngs[i] = rng_seed(7, i ? "bob" : "alice");
        world->paths[i] = (struct media_path){.delay = 20 * TIME_MS,
                                              .queue_max = 300 * TIME_MS,
                                              .rng = rng_seed(7, i ? "path b" : "path a")};
        config.cname = i ? "bob" : "alice";
        config.rng = &world->rngs[i];
        if (!config.mtu)
            config.mtu = 1200;
        world->sides[i] = media_new(&config);
        world->flying[i] = mem_alloc(MEDIA_WORLD_PACKETS * sizeof *world->flying[i]);
    }
    return world;
}

static inline void media_world_free(struct media_world *world)
{
    for (int i = 0; i < 2; i++) {
        media_free(world->sides[i]);
        free(world->flying[i]);
    }
    free(world);
}

static inline void media_world_format(struct media_agreement *agreement, enum codec_kind kind,
                                      uint8_t type, uint8_t apt)
{
    const struct codec *codec = codec_of(kind);
    bool video = codec->video && codec->role == CODEC_MEDIA;
    agreement->formats[agreement->formats_count++] =
        (struct media_format){.kind = kind,
                              .clock_rate = codec->clock_rate,
                              .send_type = type,
                              .receive_type = type,
                              .apt = apt,
                              .nack = codec->role == CODEC_MEDIA,
                              .pli = video,
                              .fir = video,
                              .remb = video,
                              .transport_cc = codec->role == CODEC_MEDIA};
}

static inline struct media_agreement media_world_agreement(const struct media_track_config *config,
                                                           const char *mid)
{
    struct media_agreement agreement = {.mid = bytes_text(mid),
                                        .send = true,
                                        .receive = true,
                                        .reduced_size = true,
                                        .simulcast = config->layers_count > 0};
    static const uint8_t ids[RTP_EXTENSIONS] = {1, 2, 3, 4, 5, 6};
    memcpy(agreement.extensions.id, ids, sizeof ids);
    bool video = config->kind == MEDIA_VIDEO;
    const struct codec *codec = codec_by_name(video, bytes_text(config->codecs[0]));
    media_world_format(&agreement, codec->kind, video ? 96 : 111, 0);
    if (video) {
        media_world_format(&agreement, CODEC_RTX, 97, 96);
        media_world_format(&agreement, CODEC_RED_VIDEO, 98, 0);
        media_world_format(&agreement, CODEC_ULPFEC, 99, 0);
        media_world_format(&agreement, CODEC_FLEXFEC, 100, 0);
    } else {
        media_world_format(&agreement, CODEC_RED_AUDIO, 63, 111);
        media_world_format(&agreement, CODEC_EVENT, 110, 0);
        agreement.formats[agreement.formats_count - 1].clock_rate = codec->clock_rate;
    }
    for (unsigned i = 0; i < config->layers_count; i++)
        agreement.layer_taken[i] = true;
    return agreement;
}

// A track both ways, or with `send` of one side off; its index.
static inline unsigned media_world_track(struct media_world *world,
                                         const struct media_track_config *config, bool a_sends,
                                         bool b_sends)
{
    unsigned index = 0;
    char mid[8] = "0";
    for (int i = 0; i < 2; i++) {
        struct media_track_config mine = *config;
        mine.send = i ? b_sends : a_sends;
        mine.receive = i ? a_sends : b_sends;
        index = (unsigned)media_track_add(world->sides[i], &mine);
        struct media_agreement agreement = media_world_agreement(&mine, mid);
        mid[0] = (char)('0' + index);
        mid[1] = 0;
        agreement.mid = bytes_text(mid);
        agreement.send = mine.send;
        agreement.receive = mine.receive;
        media_agree(world->sides[i], 0, index, &agreement);
    }
    return index;
}

static inline void media_world_start(struct media_world *world)
{
    media_start(world->sides[0], world->now);
    media_start(world->sides[1], world->now);
}

static inline void media_world_fly(struct media_world *world, int from, bool rtcp,
                                   struct bytes bytes)
{
    struct media_path *path = &world->paths[from];
    path->sent++;
    if (rng_chance(&path->rng, path->loss)) {
        path->lost++;
        return;
    }
    nanotime begin = time_max(world->now, path->free_at);
    if (path->rate && begin - world->now > path->queue_max) {
        path->dropped++;
        return;
    }
    if (path->rate)
        path->free_at = begin + (nanotime)((bytes.len + 48) * 8 * (uint64_t)TIME_S / path->rate);
    if (world->count[from] == MEDIA_WORLD_PACKETS)
        abort();
    nanotime at = (path->rate ? path->free_at : world->now) + path->delay;
    if (path->reorder && path->sent % 10 == 0)
        at += 30 * TIME_MS;
    unsigned place = world->count[from]++;
    struct media_flying *ring = world->flying[from];
    // Later ones move up: mostly none does.
    while (place > 0) {
        struct media_flying *before = &ring[(world->head[from] + place - 1) % MEDIA_WORLD_PACKETS];
        if (before->at <= at)
            break;
        ring[(world->head[from] + place) % MEDIA_WORLD_PACKETS] = *before;
        place--;
    }
    struct media_flying *packet = &ring[(world->head[from] + place) % MEDIA_WORLD_PACKETS];
    packet->at = at;
    packet->rtcp = rtcp;
    packet->len = bytes.len;
    memcpy(packet->bytes, bytes.at, bytes.len);
    if (world->tamper)
        world->tamper(world, from, packet);
}

static inline void media_world_pump(struct media_world *world, int side)
{
    struct media_output out;
    while (media_poll(world->sides[side], world->now, &out)) {
        if (out.kind == MEDIA_SEND_RTP || out.kind == MEDIA_SEND_RTCP)
            media_world_fly(world, side, out.kind == MEDIA_SEND_RTCP, out.bytes);
        if (out.kind == MEDIA_FRAME)
            world->frames[side]++;
        if (out.kind == MEDIA_DIGIT && world->digits[side] < 63)
            world->dialed[side][world->digits[side]++] = out.digit;
    }
}

static inline void media_world_run(struct media_world *world, nanotime until)
{
    for (;;) {
        media_world_pump(world, 0);
        media_world_pump(world, 1);
        nanotime next = time_min(media_deadline(world->sides[0]), media_deadline(world->sides[1]));
        for (int i = 0; i < 2; i++)
            if (world->count[i])
                next = time_min(next, world->flying[i][world->head[i]].at);
        if (next > until)
            break;
        world->now = time_max(world->now, next);
        for (int i = 0; i < 2; i++) {
            while (world->count[i] && world->flying[i][world->head[i]].at <= world->now) {
                struct media_flying *packet = &world->flying[i][world->head[i]];
                world->head[i] = (world->head[i] + 1) % MEDIA_WORLD_PACKETS;
                world->count[i]--;
                struct bytes bytes = bytes_of(packet->bytes, packet->len);
                if (packet->rtcp)
                    media_input_rtcp(world->sides[1 - i], world->now, bytes);
                else
                    media_input_rtp(world->sides[1 - i], world->now, bytes);
            }
        }
    }
    world->now = until;
    media_world_pump(world, 0);
    media_world_pump(world, 1);
}

static inline struct media_track_stats media_world_stats(struct media_world *world, int side,
                                                         unsigned track)
{
    struct media_track_stats stats;
    media_track_stats(world->sides[side], world->now, track, &stats);
    return stats;
}

#endif
