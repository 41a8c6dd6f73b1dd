// For tests and benches: one bottleneck (rate, drop-tail queue, delay, loss by chance) and flows
// that send video of their target rate through it: source, pacer, GCC, path, arrivals, feedback.
#ifndef STACK_CONGESTION_WORLD_H
#define STACK_CONGESTION_WORLD_H

#include <stdlib.h>

#include "base/arena.h"
#include "base/rng.h"
#include "stack/congestion/arrival.h"
#include "stack/congestion/gcc.h"
#include "stack/congestion/pacer.h"

#define WORLD_FLOWS 2
#define WORLD_PACKETS 8192
#define WORLD_FEEDBACKS 128
#define WORLD_STEP TIME_MS
#define WORLD_PACKET 1200u

struct world_packet {
    nanotime at;
    uint16_t sequence;
    uint32_t size;
};

struct world_feedback {
    nanotime at;
    unsigned n;
    struct arrival_result results[ARRIVAL_TAKE_MAX];
};

struct world_flow {
    bool on;
    struct gcc *gcc;
    struct pacer *pacer;
    struct arrival *arrival;
    uint16_t sequence;
    uint32_t source_max; // bit/s that the application has, 0: no limit
    nanotime frame_at;
    struct world_packet packets[WORLD_PACKETS];
    unsigned packets_in, packets_out;
    struct world_feedback feedbacks[WORLD_FEEDBACKS];
    unsigned feedbacks_in, feedbacks_out;
    uint64_t received_bytes;
};

struct world {
    nanotime now;
    uint64_t rate;             // bit/s of the bottleneck
    nanotime queue_max, delay; // one way
    nanotime free_at;
    uint32_t loss, feedback_loss; // per billion
    int64_t drift_ppm;            // the receivers' clocks run fast
    nanotime queue_worst;         // the longest wait since it was last set to 0
    struct rng rng;
    struct world_flow flows[WORLD_FLOWS];
    uint64_t hash; // of all targets and their times
};

static inline struct world *world_new(uint64_t rate, nanotime delay)
{
    struct world *world = mem_zero(1, sizeof *world);
    world->rate = rate;
    world->delay = delay;
    world->queue_max = 500 * TIME_MS;
    world->rng = rng_seed(1, "path");
    return world;
}

static inline void world_flow_start(struct world *world, unsigned i, uint32_t start_bps)
{
    struct world_flow *flow = &world->flows[i];
    flow->gcc = gcc_new(&(struct gcc_config){.start_bps = start_bps});
    flow->pacer = pacer_new(&(struct pacer_config){.start_bps = start_bps});
    flow->arrival = arrival_new();
    flow->sequence = 65500; // wraps soon
    flow->frame_at = world->now;
    flow->on = true;
    gcc_start(flow->gcc, world->now);
}

static inline void world_free(struct world *world)
{
    for (unsigned i = 0; i < WORLD_FLOWS; i++) {
        gcc_free(world->flows[i].gcc);
        pacer_free(world->flows[i].pacer);
        arrival_free(world->flows[i].arrival);
    }
    free(world);
}

static inline void world_send(struct world *world, struct world_flow *flow, uint32_t size,
                              int cluster)
{
    uint16_t sequence = flow->sequence++;
    gcc_sent(flow->gcc, world->now,
             &(struct gcc_packet){.sequence = sequence, .size = size, .probe_cluster = cluster});
    nanotime start = world->free_at > world->now ? world->free_at : world->now;
    if (start - world->now > world->queue_max || rng_chance(&world->rng, world->loss))
        return;
    if (start - world->now > world->queue_worst)
        world->queue_worst = start - world->now;
    world->free_at = start + (nanotime)(size * 8000000000ull / world->rate);
    flow->packets[flow->packets_in++ % WORLD_PACKETS] =
        (struct world_packet){world->free_at + world->delay, sequence, size};
}

static inline void world_flow_send(struct world *world, struct world_flow *flow)
{
    for (struct gcc_output out; gcc_poll(flow->gcc, world->now, &out);) {
        if (out.kind == GCC_PROBE) {
            pacer_probe(flow->pacer, world->now, &out.probe);
        } else {
            pacer_set_rate(flow->pacer, world->now, out.target.bps);
            world->hash = (world->hash ^ out.target.bps ^ (uint64_t)world->now) * 1099511628211u;
        }
    }
    for (; world->now >= flow->frame_at; flow->frame_at += TIME_S / 30) {
        uint32_t bps = gcc_target(flow->gcc);
        if (flow->source_max && bps > flow->source_max)
            bps = flow->source_max;
        for (uint32_t left = bps / 240; left > 0;) {
            uint32_t size = left < WORLD_PACKET ? left : WORLD_PACKET;
            pacer_push(flow->pacer, world->now,
                       &(struct pacer_item){.size = size, .priority = PACER_VIDEO});
            left -= size;
        }
    }
    for (struct pacer_output out; pacer_poll(flow->pacer, world->now, &out);)
        world_send(world, flow, out.kind == PACER_SEND ? out.item.size : out.pad_bytes,
                   out.probe_cluster);
}

static inline void world_flow_receive(struct world *world, struct world_flow *flow)
{
    while (flow->packets_out != flow->packets_in) {
        const struct world_packet *packet = &flow->packets[flow->packets_out % WORLD_PACKETS];
        if (packet->at > world->now)
            break;
        nanotime at = packet->at + packet->at / 1000000 * world->drift_ppm;
        arrival_packet(flow->arrival, at, packet->sequence, packet->size);
        flow->received_bytes += packet->size;
        flow->packets_out++;
    }
    nanotime clock = world->now + world->now / 1000000 * world->drift_ppm;
    while (arrival_due(flow->arrival, clock)) {
        struct world_feedback *feedback = &flow->feedbacks[flow->feedbacks_in % WORLD_FEEDBACKS];
        feedback->n = arrival_take(flow->arrival, clock, feedback->results, ARRIVAL_TAKE_MAX);
        feedback->at = world->now + world->delay;
        if (!rng_chance(&world->rng, world->feedback_loss))
            flow->feedbacks_in++;
    }
    while (flow->feedbacks_out != flow->feedbacks_in) {
        const struct world_feedback *feedback =
            &flow->feedbacks[flow->feedbacks_out % WORLD_FEEDBACKS];
        if (feedback->at > world->now)
            break;
        gcc_feedback(flow->gcc, world->now, feedback->results, feedback->n);
        flow->feedbacks_out++;
    }
}

static inline void world_run(struct world *world, nanotime span)
{
    for (nanotime end = world->now + span; world->now < end; world->now += WORLD_STEP)
        for (unsigned i = 0; i < WORLD_FLOWS; i++)
            if (world->flows[i].on) {
                world_flow_receive(world, &world->flows[i]);
                world_flow_send(world, &world->flows[i]);
            }
}

// The mean rate that arrived at flow `i` over the next `span`.
static inline uint64_t world_goodput(struct world *world, unsigned i, nanotime span)
{
    uint64_t before = world->flows[i].received_bytes;
    world_run(world, span);
    return (world->flows[i].received_bytes - before) * 8 * 1000 / (uint64_t)(span / TIME_MS);
}

#endif
