// How many 200-byte datagrams a second one core forwards: host, NAT, wide area network, NAT, host.
#include "base/bench.h"
#include "simnet/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define DATAGRAMS 600000
#define BURST 50 // sent each millisecond
#define PAYLOAD_LEN 200

static struct addr endpoint(const char *text)
{
    struct addr addr = {0};
    (void)addr_parse(bytes_text(text), &addr);
    return addr;
}

struct home {
    struct host *host;
    struct addr local, mapped;
};

static struct home home_new(struct world *world, struct segment *wan, const char *name,
                            const char *external)
{
    struct ip_prefix prefix;
    (void)ip_prefix_parse(bytes_text("192.168.0.0/16"), &prefix);
    struct segment_config lan_config = {.prefix = {prefix}};
    struct segment *lan = world_add_segment(world, name, &lan_config);
    struct gateway_config config = {
        .inside = lan,
        .outside = wan,
        .inside_ip = ip_v4(192, 168, 0, 1),
        .has_nat = true,
        .nat = nat_config_default(),
    };
    config.nat.external[0] = endpoint(external).ip;
    config.nat.external_count = 1;
    world_add_gateway(world, name, &config);

    struct home home = {.local = endpoint("192.168.0.2:5000")};
    home.host = world_add_host(world, name);
    struct link_config link = {0};
    host_attach(home.host, lan, &home.local.ip, &link, &link);
    host_bind(home.host, &home.local);
    home.mapped = endpoint(external); // the port is preserved
    return home;
}

static double take(void *user)
{
    (void)user;
    struct world *world = world_new(&(struct world_config){.seed = 1});
    struct segment_config wan_config = {.transit = {.delay = 25 * TIME_MS}};
    (void)ip_prefix_parse(bytes_text("198.51.100.0/24"), &wan_config.prefix[0]);
    struct segment *wan = world_add_segment(world, "wan", &wan_config);
    struct home a = home_new(world, wan, "a", "198.51.100.1:5000");
    struct home b = home_new(world, wan, "b", "198.51.100.2:5000");

    uint8_t payload[PAYLOAD_LEN] = {0x80};
    struct bytes bytes = bytes_of(payload, sizeof payload);
    struct world_event event;
    host_send(a.host, &a.local, &b.mapped, bytes); // both NATs open
    host_send(b.host, &b.local, &a.mapped, bytes);
    while (world_next(world, TIME_S, &event))
        ;
    uint64_t before = world_counters(world).delivered;
    nanotime start = clock_cpu();
    for (unsigned sent = 0; sent < DATAGRAMS; sent += BURST) {
        for (unsigned i = 0; i < BURST; i++)
            host_send(a.host, &a.local, &b.mapped, bytes);
        nanotime until = world_now(world) + TIME_MS;
        while (world_next(world, until, &event))
            ;
    }
    while (world_next(world, TIME_NEVER, &event))
        ;
    nanotime took = clock_cpu() - start;
    uint64_t delivered = world_counters(world).delivered - before;
    world_free(world);
    if (delivered != DATAGRAMS) {
        fprintf(stderr, "only %" PRIu64 " arrived\n", delivered);
        exit(1);
    }
    return (double)DATAGRAMS * 1e9 / (double)took;
}

int main(void)
{
    printf("forward_datagrams_per_s\t%.0f\tdatagrams/s\n", bench_median(take, NULL));
    return 0;
}
