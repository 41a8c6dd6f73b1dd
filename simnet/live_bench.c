// What one processor forwards between two network namespaces through a world with a NAT, and how
// late: real sockets on both sides. Needs root and TUN; without, it says so and is done.
#define _GNU_SOURCE // setns
#include "base/arena.h"
#include "simnet/live.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SPAN (2 * TIME_S)
#define PORT 5000
#define PAIRS_MAX 10

struct scene {
    unsigned pairs;                        // inside sends to outside
    struct live_host hosts[2 * PAIRS_MAX]; // inside, outside, inside ...
    struct ip ips[2 * PAIRS_MAX];
    struct world *world;
    struct live_net *live;
};

static int socket_in(int namespace, const struct ip *ip, uint16_t port)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
    int room = 8 * 1024 * 1024;
    name.sin_addr.s_addr = htonl(ip_v4_value(ip));
    if (setns(namespace, CLONE_NEWNET) != 0)
        return -1;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    return bind(fd, (struct sockaddr *)&name, sizeof name) == 0 ? fd : -1;
}

// Send `rate` datagrams a second from all inside hosts in turn, 0: as many as go, until the parent
// ends it.
static _Noreturn void sender(const struct scene *scene, size_t len, unsigned rate)
{
    static uint8_t bytes[1500];
    struct sockaddr_in to[PAIRS_MAX];
    int fds[PAIRS_MAX];
    bool good = true;
    for (unsigned i = 0; i < scene->pairs; i++) {
        to[i] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(PORT)};
        to[i].sin_addr.s_addr = htonl(ip_v4_value(&scene->ips[2 * i + 1]));
        fds[i] = socket_in(scene->hosts[2 * i].namespace, &scene->ips[2 * i], PORT);
        good = good && fds[i] >= 0;
    }
    nanotime start = clock_real();
    for (uint64_t sent = 0; good; sent++) {
        nanotime due = rate ? start + (nanotime)(sent * (uint64_t)TIME_S / rate) : 0;
        unsigned i = (unsigned)(sent % scene->pairs);
        while (clock_real() < due)
            usleep(200); // tidy: a program outside of the simulation
        sendto(fds[i], bytes, len, 0, (struct sockaddr *)&to[i], sizeof to[i]);
    }
    _exit(1);
}

static bool scene_open(struct scene *scene, struct err *err)
{
    static const struct link_config none = {0};
    struct segment_config wan = {.prefix[0] = {.ip = ip_v4(0, 0, 0, 0)}};
    struct segment_config home = {.prefix[0] = {.ip = ip_v4(192, 168, 1, 0), .bits = 24}};
    scene->world = world_new(&(struct world_config){.seed = 1, .wakers = 1});
    struct segment *outside = world_add_segment(scene->world, "wan", &wan);
    struct segment *inside = world_add_segment(scene->world, "home", &home);
    struct gateway_config gateway = {
        .inside = inside, .outside = outside, .has_nat = true, .nat = nat_config_default()};
    gateway.nat.external[0] = ip_v4(198, 51, 100, 1);
    gateway.nat.external_count = 1;
    world_add_gateway(scene->world, "home", &gateway);
    scene->live = live_net_new(scene->world, err);
    for (unsigned i = 0; i < 2 * scene->pairs && scene->live; i++) {
        char name[16];
        snprintf(name, sizeof name, "host%u", i);
        struct host *host = world_add_host(scene->world, name);
        uint8_t last = (uint8_t)(10 + i);
        struct ip *ip = &scene->ips[i];
        *ip = i % 2 ? ip_v4(198, 51, 100, last) : ip_v4(192, 168, 1, last);
        if (!host_attach(host, i % 2 ? outside : inside, ip, &none, &none) ||
            !live_host_open(&scene->hosts[i], ip, 1, 1500, err) ||
            !live_net_add(scene->live, host, scene->hosts[i].tun, err))
            return false;
    }
    return scene->live != NULL;
}

static void scene_close(struct scene *scene)
{
    live_net_free(scene->live);
    world_free(scene->world);
    for (unsigned i = 0; i < 2 * scene->pairs; i++)
        live_host_close(&scene->hosts[i]);
}

static bool measure(const char *name, unsigned pairs, size_t len, unsigned rate, struct err *err)
{
    struct scene scene = {.pairs = pairs};
    struct live_event event = {0};
    for (unsigned i = 0; i < 2 * PAIRS_MAX; i++)
        scene.hosts[i] = (struct live_host){-1, -1};
    if (!scene_open(&scene, err)) {
        scene_close(&scene);
        return false;
    }
    pid_t child = fork();
    if (child == 0)
        sender(&scene, len, rate);
    live_net_start(scene.live);
    nanotime cpu = clock_cpu();
    while (live_net_next(scene.live, SPAN, &event) == LIVE_WORLD)
        continue;
    cpu = clock_cpu() - cpu;
    struct live_lateness late = live_net_lateness(scene.live);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    double packets = late.packets ? (double)late.packets : 1;
    printf("live_%s_forwarded_per_s\t%.0f\tpackets/s\n", name,
           packets * (double)TIME_S / (double)SPAN);
    printf("live_%s_cpu_per_packet\t%.2f\tus\n", name, (double)cpu / packets / 1000);
    printf("live_%s_late_p50\t%.1f\tus\n", name, (double)late.p50 / 1000);
    printf("live_%s_late_p99\t%.1f\tus\n", name, (double)late.p99 / 1000);
    scene_close(&scene);
    return true;
}

int main(void)
{
    struct err err = {0};
    if (measure("200B_saturated", 1, 200, 0, &err) &&
        measure("1200B_saturated", 1, 1200, 0, &err) &&
        measure("1200B_5000_per_s", 1, 1200, 5000, &err) &&
        measure("20_namespaces_20000_per_s", PAIRS_MAX, 1200, 20000, &err))
        return 0;
    fprintf(stderr, "live bench: unsupported here: %s\n", err.text);
    return 0;
}
