// The real-clock driver of a world: the same hosts, NATs, links and captures, but time is the
// system's, and raw hosts are network namespaces.
//
// A live host is a network namespace whose only interface is `eth0`, a TUN device that this process
// serves. What its programs send enters the world at the host's interface; what the world delivers
// to the host leaves by the device. Nobody else holds the namespace: it is gone with this process
// and the programs in it.
//
//     struct live_host host;
//     live_host_open(&host, &ip, 1, mtu, &err);  // then start programs in host.namespace
//     live = live_net_new(world, &err);
//     live_net_add(live, in_the_world, host.tun, &err);
//     live_net_watch(live, fd, id, true, false, &err); // more to wait for
//     live_net_start(live);                            // time 0 is now
//     while (live_net_next(live, until, &event) ...) { ... }
//
// How late the driver is: each packet that leaves by a device should leave at its time in the
// world; it leaves when the processor gets there. Every such span is counted, and where the process
// was stopped, so is the time that packets may have waited for it on their way in. What a peer did
// during a run whose p99 is bad says nothing about the peer.
//
// Not here: user, mount and process namespaces, and what runs in them
// (scenarios/runner/live/live_sandbox.h). This is the one part of simnet that knows the operating
// system.
#ifndef SIMNET_LIVE_H
#define SIMNET_LIVE_H

#include "simnet/world.h"

struct live_host {
    int namespace; // of the network
    int tun;
};
// Needs CAP_SYS_ADMIN and CAP_NET_ADMIN in the own user namespace, and /dev/net/tun. IPv4. The
// caller is back in its own namespace afterwards, in any case.
bool live_host_open(struct live_host *host, const struct ip *ips, unsigned count, uint32_t mtu,
                    struct err *err);
// Loopback is down: its address would be one more candidate of each peer. A server that sends to
// itself, as from one relayed address to another, needs it up.
bool live_host_loopback(const struct live_host *host, struct err *err);
void live_host_close(struct live_host *host);

struct live_net;
// The world stays the caller's. NULL: `err` says why.
struct live_net *live_net_new(struct world *world, struct err *err);
void live_net_free(struct live_net *live); // NULL is allowed; descriptors stay the caller's
// The host becomes raw, and the device its interface.
bool live_net_add(struct live_net *live, struct host *host, int tun, struct err *err);
// Wait for a descriptor, too; again for another choice. Ids are the caller's.
bool live_net_watch(struct live_net *live, int fd, unsigned id, bool in, bool out, struct err *err);
void live_net_unwatch(struct live_net *live, int fd);

// Time 0 is now. Before, live_net_next moves no packets and no time: `until` is then a span of real
// time. What came in by then is forgotten.
void live_net_start(struct live_net *live);
// Real time since the start; before it, since live_net_new.
nanotime live_net_now(const struct live_net *live);
// clock_real() at time 0.
nanotime live_net_epoch(const struct live_net *live);

enum live_event_kind {
    LIVE_WORLD, // `world`: never a WORLD_PACKET, those are delivered
    LIVE_FD,    // `id` can be read or written, or its other end is closed
    LIVE_END,   // it is `until`
    LIVE_ERROR, // the system refused to wait
};
struct live_event {
    enum live_event_kind kind;
    struct world_event world;
    unsigned id;
    struct err err;
};
enum live_event_kind live_net_next(struct live_net *live, nanotime until, struct live_event *out);

// Of all packets that crossed a device.
struct live_lateness {
    uint64_t packets;
    nanotime p50, p99, max;
    uint64_t unwritten; // deliveries that the device refused
    bool realtime;      // SCHED_FIFO was allowed
};
struct live_lateness live_net_lateness(const struct live_net *live);

#endif
