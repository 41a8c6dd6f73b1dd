// What congestion control costs a packet: sent, reported and evaluated; and a whole flow with
// source, pacer, path and both ends.
#include <stdio.h>

#include "base/bench.h"
#include "stack/congestion/congestion_world.h"

#define PACKETS 200000u
#define BATCH 20u
#define FLOW_SECONDS 60

static double gcc_take(void *user)
{
    (void)user;
    struct gcc *gcc = gcc_new(&(struct gcc_config){.start_bps = 1000000});
    struct arrival_result results[BATCH];
    gcc_start(gcc, 0);
    nanotime begin = clock_cpu();
    for (uint32_t i = 0; i < PACKETS; i++) {
        nanotime now = (nanotime)i * 5 * TIME_MS;
        gcc_sent(gcc, now,
                 &(struct gcc_packet){
                     .sequence = (uint16_t)i, .size = 1200, .probe_cluster = GCC_NO_PROBE});
        results[i % BATCH] = (struct arrival_result){(uint16_t)i, true, now + 20 * TIME_MS};
        if (i % BATCH != BATCH - 1)
            continue;
        gcc_feedback(gcc, now + 40 * TIME_MS, results, BATCH);
        for (struct gcc_output out; gcc_poll(gcc, now + 40 * TIME_MS, &out);) {
        }
    }
    double each = (double)(clock_cpu() - begin) / PACKETS;
    gcc_free(gcc);
    return each;
}

static double flow_take(void *user)
{
    (void)user;
    struct world *world = world_new(10000000, 25 * TIME_MS);
    world_flow_start(world, 0, 5000000);
    nanotime begin = clock_cpu();
    world_run(world, FLOW_SECONDS * TIME_S);
    double span = (double)(clock_cpu() - begin);
    struct gcc_stats stats;
    gcc_stats(world->flows[0].gcc, &stats);
    world_free(world);
    return span / (double)stats.sent;
}

int main(void)
{
    printf("gcc_sent_and_reported_per_packet\t%.0f\tns\n", bench_median(gcc_take, NULL));
    printf("gcc_whole_flow_per_packet\t%.0f\tns\n", bench_median(flow_take, NULL));
    return 0;
}
