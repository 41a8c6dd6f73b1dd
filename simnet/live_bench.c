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

static int socket_in(int namespace, const char *ip, uint16_t port)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
    int room = 8 * 1024 * 1024;
    if (setns(namespace, CLONE_NEWNET) != 0)
        return -1;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, ip, &name.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    return bind(fd, (struct sockaddr *)&name, sizeof name) == 0 ? fd : -1;
}

// Send `rate` datagrams a second, 0: as many as go, until the parent ends it.
static _Noreturn void sender(int namespace, size_t len, unsigned rate)
{
    static uint8_t bytes[1500];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    inet_pton(AF_INET, "198.51.100.2", &to.sin_addr);
    int fd = socket_in(namespace, "192.168.1.2", PORT);
    nanotime start = clock_real();
    for (uint64_t sent = 0; fd >= 0; sent++) {
        nanotime due = rate ? start + (nanotime)(sent * (uint64_t)TIME_S / rate) : 0;
        while (clock_real() < due)
            usleep(200); // tidy: a program outside of the simulation
        sendto(fd, bytes, len, 0, (struct sockaddr *)&to, sizeof to);
    }
    _exit(1);
}

static bool scene(struct live_host hosts[2], struct world **world, struct live_net **live,
                  struct err *err)
{
    static const struct link_config none = {0};
    struct segment_config wan = {.prefix[0] = {.ip = ip_v4(0, 0, 0, 0)}};
    struct segment_config home = {.prefix[0] = {.ip = ip_v4(192, 168, 1, 0), .bits = 24}};
    struct ip ips[2] = {ip_v4(192, 168, 1, 2), ip_v4(198, 51, 100, 2)};
    *world = world_new(&(struct world_config){.seed = 1, .wakers = 1});
    struct segment *outside = world_add_segment(*world, "wan", &wan);
    struct segment *inside = world_add_segment(*world, "home", &home);
    struct gateway_config gateway = {
        .inside = inside, .outside = outside, .has_nat = true, .nat = nat_config_default()};
    gateway.nat.external[0] = ip_v4(198, 51, 100, 1);
    gateway.nat.external_count = 1;
    world_add_gateway(*world, "home", &gateway);
    *live = live_net_new(*world, err);
    for (int i = 0; i < 2 && *live; i++) {
        struct host *host = world_add_host(*world, i ? "bob" : "alice");
        if (!host_attach(host, i ? outside : inside, &ips[i], &none, &none) ||
            !live_host_open(&hosts[i], &ips[i], 1, 1500, err) ||
            !live_net_add(*live, host, hosts[i].tun, err))
            return false;
    }
    return *live != NULL;
}

static bool measure(const char *name, size_t len, unsigned rate, struct err *err)
{
    struct live_host hosts[2] = {{-1, -1}, {-1, -1}};
    struct live_event event = {0};
    struct world *world;
    struct live_net *live;
    if (!scene(hosts, &world, &live, err))
        return false;
    pid_t child = fork();
    if (child == 0)
        sender(hosts[0].namespace, len, rate);
    live_net_start(live);
    nanotime cpu = clock_cpu();
    while (live_net_next(live, SPAN, &event) == LIVE_WORLD)
        continue;
    cpu = clock_cpu() - cpu;
    struct live_lateness late = live_net_lateness(live);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    double packets = late.packets ? (double)late.packets : 1;
    printf("live_%s_forwarded_per_s\t%.0f\tpackets/s\n", name,
           packets * (double)TIME_S / (double)SPAN);
    printf("live_%s_cpu_per_packet\t%.2f\tus\n", name, (double)cpu / packets / 1000);
    printf("live_%s_late_p50\t%.1f\tus\n", name, (double)late.p50 / 1000);
    printf("live_%s_late_p99\t%.1f\tus\n", name, (double)late.p99 / 1000);
    live_net_free(live);
    world_free(world);
    live_host_close(&hosts[0]);
    live_host_close(&hosts[1]);
    return true;
}

int main(void)
{
    struct err err = {0};
    if (measure("200B_saturated", 200, 0, &err) && measure("1200B_saturated", 1200, 0, &err) &&
        measure("1200B_5000_per_s", 1200, 5000, &err))
        return 0;
    printf("no figures: %s\n", err.text);
    return 0;
}
