#define _GNU_SOURCE // SCHED_RESET_ON_FORK
#include "simnet/live.h"

#include "base/arena.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define PACKET_MAX 65536
#define READY_MAX 64 // descriptors that one wait tells of
#define BURST_MAX 64 // packets of one device before the next one's turn
#define PRIORITY 50  // of SCHED_FIFO: above all ordinary processes
// The clock is looked at so often at least: a process that was stopped finds out how long.
#define HEARTBEAT (20 * TIME_MS)
// How late is counted in steps of 1/8 of a power of two.
#define STEPS 8
#define BUCKETS ((64 - 3) * STEPS)

struct port {
    struct host *host;
    int tun;
};

struct live_net {
    struct world *world;
    nanotime epoch; // of the real clock
    bool started;
    int epoll, timer;
    struct port *ports;
    unsigned ports_count, ports_room;
    struct epoll_event ready[READY_MAX];
    unsigned ready_count, ready_next;
    nanotime armed; // what the timer is set to; TIME_NEVER: nothing
    nanotime stall; // packets read now may have waited so long
    uint64_t buckets[BUCKETS];
    uint64_t packets, unwritten;
    nanotime latest;
    bool realtime;
    uint8_t buffer[PACKET_MAX];
};

// What an event of epoll is of: the port's number, or a watched id.
#define KIND_PORT ((uint64_t)1 << 32)
#define KIND_WATCH ((uint64_t)2 << 32)
#define KIND_TIMER ((uint64_t)3 << 32)
#define KIND_MASK (~(uint64_t)UINT32_MAX)

// --------------------------------------------------------------------------------------- lateness

static unsigned bucket_of(nanotime span)
{
    uint64_t v = span < STEPS ? STEPS : (uint64_t)span;
    unsigned top = 63u - (unsigned)__builtin_clzll(v);
    return (top - 3) * STEPS + (unsigned)(v >> (top - 3) & (STEPS - 1));
}

static nanotime bucket_end(unsigned bucket)
{
    unsigned top = bucket / STEPS + 3;
    return (nanotime)(((uint64_t)(bucket % STEPS) + STEPS + 1) << (top - 3));
}

static void count_late(struct live_net *live, nanotime span)
{
    span = time_max(span, 0);
    live->buckets[bucket_of(span)]++;
    live->packets++;
    live->latest = time_max(live->latest, span);
}

// So many of 100 are not later.
static nanotime percentile(const struct live_net *live, unsigned percent)
{
    uint64_t wanted = (live->packets * percent + 99) / 100, seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += live->buckets[i];
        if (seen >= wanted && seen > 0)
            return time_min(bucket_end(i), live->latest);
    }
    return 0;
}

struct live_lateness live_net_lateness(const struct live_net *live)
{
    return (struct live_lateness){live->packets, percentile(live, 50), percentile(live, 99),
                                  live->latest,  live->unwritten,      live->realtime};
}

// ------------------------------------------------------------------------------------ life, ports

static bool epoll_set(struct live_net *live, int fd, uint64_t what, uint32_t events,
                      struct err *err)
{
    struct epoll_event event = {.events = events, .data.u64 = what};
    if (epoll_ctl(live->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ||
        (errno == EEXIST && epoll_ctl(live->epoll, EPOLL_CTL_MOD, fd, &event) == 0))
        return true;
    return err_set(err, "cannot wait for a descriptor: %s", strerror(errno));
}

// What is started from here runs as any other process.
static bool go_realtime(void)
{
    struct sched_param param = {.sched_priority = PRIORITY};
    return sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param) == 0;
}

static void leave_realtime(void)
{
    struct sched_param param = {0};
    sched_setscheduler(0, SCHED_OTHER, &param);
}

struct live_net *live_net_new(struct world *world, struct err *err)
{
    struct live_net *live = mem_zero(1, sizeof *live);
    live->world = world;
    live->epoch = clock_real();
    live->armed = TIME_NEVER;
    live->epoll = epoll_create1(EPOLL_CLOEXEC);
    live->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (live->epoll < 0 || live->timer < 0)
        err_set(err, "cannot wait for the clock: %s", strerror(errno));
    else if (epoll_set(live, live->timer, KIND_TIMER, EPOLLIN, err))
        return live;
    live_net_free(live);
    return NULL;
}

void live_net_free(struct live_net *live)
{
    if (!live)
        return;
    if (live->realtime)
        leave_realtime();
    if (live->timer >= 0)
        close(live->timer);
    if (live->epoll >= 0)
        close(live->epoll);
    free(live->ports);
    free(live);
}

bool live_net_add(struct live_net *live, struct host *host, int tun, struct err *err)
{
    if (live->ports_count == live->ports_room) {
        live->ports_room = live->ports_room ? live->ports_room * 2 : 8;
        live->ports = mem_grow(live->ports, live->ports_room * sizeof *live->ports);
    }
    unsigned index = live->ports_count++;
    live->ports[index] = (struct port){host, tun};
    host_set_raw(host);
    // Before the start packets wait in the device.
    return !live->started || epoll_set(live, tun, KIND_PORT | index, EPOLLIN, err);
}

bool live_net_watch(struct live_net *live, int fd, unsigned id, bool in, bool out, struct err *err)
{
    uint32_t events = (in ? EPOLLIN : 0u) | (out ? EPOLLOUT : 0u);
    return epoll_set(live, fd, KIND_WATCH | id, events, err);
}

void live_net_unwatch(struct live_net *live, int fd)
{
    epoll_ctl(live->epoll, EPOLL_CTL_DEL, fd, NULL);
}

void live_net_start(struct live_net *live)
{
    struct err err = {0};
    live->realtime = go_realtime();
    for (unsigned i = 0; i < live->ports_count; i++) {
        while (read(live->ports[i].tun, live->buffer, sizeof live->buffer) > 0)
            continue;
        epoll_set(live, live->ports[i].tun, KIND_PORT | i, EPOLLIN, &err);
    }
    live->started = true;
    live->armed = TIME_NEVER;
    live->stall = 0;
    live->epoch = clock_real();
}

nanotime live_net_now(const struct live_net *live)
{
    return clock_real() - live->epoch;
}

nanotime live_net_epoch(const struct live_net *live)
{
    return live->epoch;
}

// ------------------------------------------------------------------------------------------
// packets

static struct port *port_of(struct live_net *live, const struct host *host)
{
    for (unsigned i = 0; i < live->ports_count; i++) {
        if (live->ports[i].host == host)
            return &live->ports[i];
    }
    return NULL;
}

static void deliver(struct live_net *live, const struct world_event *event)
{
    const struct port *port = port_of(live, event->host);
    if (!port)
        return;
    ssize_t written = write(port->tun, event->packet.at, event->packet.len);
    if (written != (ssize_t)event->packet.len)
        live->unwritten++;
    count_late(live, live_net_now(live) - world_now(live->world));
}

// The world's time is now: what the device has goes in.
static void read_port(struct live_net *live, const struct port *port)
{
    for (unsigned i = 0; i < BURST_MAX; i++) {
        ssize_t got = read(port->tun, live->buffer, sizeof live->buffer);
        if (got <= 0)
            return;
        if (live->stall > 0)
            count_late(live, live->stall);
        host_inject(port->host, bytes_of(live->buffer, (size_t)got));
    }
}

// ------------------------------------------------------------------------------------------ the
// pump

static bool arm(struct live_net *live, nanotime at)
{
    if (at == live->armed)
        return true;
    live->armed = at;
    nanotime real = live->epoch + time_max(at, 1);
    struct itimerspec when = {
        .it_value = {.tv_sec = real / TIME_S, .tv_nsec = real % TIME_S},
    };
    return timerfd_settime(live->timer, TFD_TIMER_ABSTIME, &when, NULL) == 0;
}

// Wait for the next event of the world, a descriptor, or `until`.
static bool wait_for(struct live_net *live, nanotime until)
{
    nanotime now = live_net_now(live);
    nanotime due = live->started ? time_min(world_deadline(live->world), until) : until;
    if (!arm(live, time_min(due, time_add(now, HEARTBEAT))))
        return false;
    int count = epoll_wait(live->epoll, live->ready, READY_MAX, -1);
    if (count < 0 && errno != EINTR)
        return false;
    live->ready_count = count > 0 ? (unsigned)count : 0;
    live->ready_next = 0;
    live->stall = 0;
    for (unsigned i = 0; i < live->ready_count; i++) {
        if (live->ready[i].data.u64 != KIND_TIMER)
            continue;
        uint64_t expirations;
        if (read(live->timer, &expirations, sizeof expirations) > 0) {
            live->stall = time_max(live_net_now(live) - live->armed, 0);
            live->armed = TIME_NEVER;
        }
    }
    return true;
}

enum live_event_kind live_net_next(struct live_net *live, nanotime until, struct live_event *out)
{
    for (;;) {
        nanotime now = live_net_now(live);
        while (live->started && world_next(live->world, time_min(now, until), &out->world)) {
            if (out->world.kind != WORLD_PACKET)
                return out->kind = LIVE_WORLD;
            deliver(live, &out->world);
        }
        if (now >= until)
            return out->kind = LIVE_END;
        if (live->ready_next < live->ready_count) {
            uint64_t what = live->ready[live->ready_next++].data.u64;
            out->id = (uint32_t)what;
            if ((what & KIND_MASK) == KIND_WATCH)
                return out->kind = LIVE_FD;
            if ((what & KIND_MASK) == KIND_PORT)
                read_port(live, &live->ports[out->id]);
        } else if (!wait_for(live, until)) {
            err_set(&out->err, "cannot wait: %s", strerror(errno));
            return out->kind = LIVE_ERROR;
        }
    }
}
