// The world's insides: what its files share.
//
// Hosts and gateways are places; a place stands on segments by interfaces; an interface has three
// links: up, transit (its way across the segment) and down. A packet at the end of a link is taken
// on by link_end: an up link ends at the segment, a transit link at the receiver's down link, a
// down link at the place.
#ifndef SIMNET_WORLD_PRIV_H
#define SIMNET_WORLD_PRIV_H

#include "base/arena.h"
#include "simnet/capture_priv.h"
#include "simnet/link_priv.h"
#include "simnet/packet_priv.h"
#include "simnet/table_priv.h"
#include "simnet/tcp.h"
#include "simnet/timeline_priv.h"
#include "simnet/world.h"

enum place_kind { PLACE_HOST, PLACE_GATEWAY };

// The first member of a host and of a gateway.
struct place {
    enum place_kind kind;
    const char *name;
    struct world *world;
    struct trace trace;
    struct net_counters counters;
    struct place *next; // in the world
};

struct interface {
    struct place *place;
    struct segment *segment;
    struct interface *next; // on the segment
    struct ip ip;           // of a host, or a gateway's own; IP_NONE: none
    uint32_t number;        // in the world, from 1
    struct link up, transit, down;
};

struct segment {
    struct segment *next; // in the world
    struct world *world;
    const char *name;
    struct segment_config config;
    struct interface *first, *last;
    struct table routes;          // (prefix, its length as the port) -> interface number
    uint8_t route_bits[2][128];   // the lengths shorter than an address that occur, longest first
    unsigned route_bits_count[2]; // IPv4, IPv6
    struct interface *defaults[2];
};

struct host {
    struct place place; // first
    void *user;
    struct interface **interfaces;
    unsigned interfaces_count;
    bool is_raw;    // its sockets are outside of the world
    bool has_posed; // it has sent as somebody else
    struct ip posed_as;
    struct table sockets;
    struct rng rng;
    unsigned capture;
    struct host_tcp *tcp; // NULL: it has never had to do with TCP
};

struct gateway {
    struct place place; // first
    struct interface *inside, *outside;
    struct nat *nat;           // NULL: none
    struct nat *nat_tcp;       // the same for TCP, from its first packet on
    struct nat_config *tcp;    // how that one is; NULL: as there is no NAT, none
    struct firewall *firewall; // NULL: none
    struct ip external[8];     // the addresses outside that are its own
    unsigned external_count;
    unsigned capture_inside, capture_outside;
};

struct waker {
    struct source due; // first
};

// One end of a TCP connection.
struct stream {
    struct source due; // first
    struct host *host;
    struct addr local, remote;
    uint32_t number;
    struct tcp tcp;
    bool incoming;
    bool deaf;           // closed by its user, who is told nothing more
    bool is_ready;       // in the line of those with news
    struct stream *next; // there
};

// By number; those with news stand in line.
struct streams {
    struct stream **at; // from 1
    uint32_t room, count, free_count;
    uint32_t *free; // numbers to be used again, the latest first
    struct stream *first, *last;
};

struct host_tcp {
    struct table listeners;   // local address
    struct table connections; // local, remote address -> number
    struct rng rng;           // initial sequence numbers and ports
};

struct world {
    struct world_config config;
    struct trace trace;
    nanotime now;
    uint64_t seq;
    struct timeline timeline;
    struct packet_pool packets;
    struct waker *wakers;
    struct segment *segments;
    struct place *places;
    struct interface **interfaces; // by number
    uint32_t interfaces_count, interfaces_room;
    struct capture *captures;
    unsigned captures_count, captures_room;
    struct capture_store recorded;
    struct net_counters counters;
    struct net_drop_record *drops; // the first of them, for reports
    unsigned drops_count, drops_room;
    bool is_stepping;       // inside world_next: what arrives is returned at once
    struct packet *arrived; // has reached a socket in this step
    struct packet *lent;    // whose bytes the caller has
    struct streams streams;
    struct arena arena;
};

// ------------------------------------------------------------------------------------------ world

// What gets it first comes first, of what happens at one time.
uint64_t world_seq(struct world *world);
void world_drop(struct world *world, struct place *place, struct packet *packet,
                enum net_drop reason);
// Send the packet into the link, and as far on as it goes without waiting.
void world_carry(struct world *world, struct link *link, struct packet *packet);
// The packet is before the door of `host`, and is received in the next step.
void world_park(struct world *world, struct host *host, struct packet *packet);
void place_init(struct world *world, struct place *place, enum place_kind kind, const char *name);
struct interface *interface_new(struct world *world, struct place *place, struct segment *segment,
                                const char *part, const struct link_config *up,
                                const struct link_config *down);

// --------------------------------------------------------------------------------------- captures

unsigned capture_new(struct world *world, const char *name);
// Record the packet as it is now.
void capture_packet(struct world *world, unsigned capture, struct packet *packet);

// ---------------------------------------------------------------------------------------- segment

bool segment_has(const struct segment *segment, const struct ip *ip);
void segment_route(struct segment *segment, const struct ip *ip, unsigned bits,
                   struct interface *interface, nanotime now);
void segment_unroute(struct segment *segment, const struct ip *ip);
// The interface that receives what `from` sends to `to`. NULL: none; *why says.
struct interface *segment_receiver(const struct segment *segment, const struct interface *from,
                                   const struct ip *to, enum net_drop *why);

// ---------------------------------------------------------------------------------------- streams

// A segment has come up to a host that is not raw; the packet is the callee's.
void stream_receive(struct world *world, struct host *host, struct packet *packet);
// What is due at this end.
void stream_step(struct world *world, struct stream *stream);
// The next news. False: none.
bool stream_news(struct world *world, struct world_event *out);
void streams_fini(struct world *world);
void host_tcp_fini(struct host *host);

// --------------------------------------------------------------------------------- host, gateway

// The interface that has the address. NULL: none.
struct interface *host_interface(const struct host *host, const struct ip *ip);

// A packet has come up to the host: true when a socket takes it, else it is no longer the caller's.
bool host_receive(struct world *world, struct host *host, struct packet *packet);
void host_fini(struct host *host);
// A packet has come to one side of the gateway. The link it goes on by; NULL: it was dropped.
struct link *gateway_receive(struct world *world, struct gateway *gateway,
                             const struct interface *at, struct packet *packet);
void gateway_fini(struct gateway *gateway);

#endif
