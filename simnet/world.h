// The simulated network: hosts, segments (LANs and the wide area network), gateways with NAT and
// firewall, links, in virtual time. IP, UDP and TCP headers are real bytes with real checksums.
//
//     struct world *world = world_new(&config);
//     struct segment *wan = world_add_segment(world, "wan", &(struct segment_config){...});
//     struct host *host = world_add_host(world, "alice");
//     host_attach(host, wan, &ip, &link, &link);
//     host_bind(host, &address);
//     host_send(host, &address, &to, bytes);
//     stream = host_connect(host, &address, &server); // TCP; the server's end: host_listen
//     while (world_next(world, limit, &event)) { ... }  // the only thing that moves time
//
// Events come in order of (time, sequence). Every random choice comes from a stream named after the
// entity that makes it. The world owns everything added to it. Peers are not known here: what
// drives a host reads its datagrams from world_next.
//
// The way of a packet: host -> its up link -> segment (transit link) -> down link of the receiver
// -> host, or gateway -> NAT, firewall -> ... A link without delay, rate or fault takes no event.
#ifndef SIMNET_WORLD_H
#define SIMNET_WORLD_H

#include "base/addr.h"
#include "base/err.h"
#include "base/trace.h"
#include "simnet/firewall.h"
#include "simnet/link.h"
#include "simnet/nat.h"

#define NET_IP_HEADER_LEN 20
#define NET_UDP_HEADER_LEN 8
#define NET_DATAGRAM_MAX 65507

struct world;
struct segment;
struct gateway;
struct host;
struct link;

// Why a packet went no further. Each is a word of the trace, a counter, and has a test.
enum net_drop {
    NET_DELIVERED,
    NET_LOSS,
    NET_QUEUE_FULL,
    NET_CODEL, // it had waited too long (RFC 8289)
    NET_LINK_DOWN,
    NET_TOO_BIG, // longer than the link's MTU
    NET_TTL_EXCEEDED,
    NET_NO_ROUTE,
    NET_NO_HOST,  // nobody on the segment has the address
    NET_ISOLATED, // the segment keeps its hosts apart
    NET_NO_SOCKET,
    NET_BAD_PACKET, // header or checksum wrong
    NET_NAT_NO_MAPPING,
    NET_NAT_FILTERED,
    NET_NAT_TABLE_FULL,
    NET_NAT_NO_PORT,
    NET_NAT_NO_HAIRPIN,
    NET_FIREWALL,
    NET_DROPS,
};
const char *net_drop_name(enum net_drop drop);

struct world_config {
    uint64_t seed;
    struct trace_log *log; // NULL: no trace. Each drop is a line of it.
    bool capture;
    unsigned wakers; // how many deadlines world_wake_at knows
};

struct world *world_new(const struct world_config *config);
void world_free(struct world *world);
nanotime world_now(const struct world *world);

// --------------------------------------------------------------------------------------- building

struct segment_config {
    struct ip_prefix prefix[2]; // the addresses that are on it, by family; IP_NONE: none
    struct link_config transit; // crossed once by each packet, a link for each sender
    bool isolate; // hosts reach gateways alone, not each other (Wi-Fi client isolation)
};
struct segment *world_add_segment(struct world *world, const char *name,
                                  const struct segment_config *config);

// Names of hosts are unique, and those of gateways: streams of chance are named after them.
struct host *world_add_host(struct world *world, const char *name);
// One more interface. Its address must be free on the segment: false if not. A host sends by the
// interface that has the source address; to an address of its own it sends without any link.
bool host_attach(struct host *host, struct segment *segment, const struct ip *ip,
                 const struct link_config *up, const struct link_config *down);

struct gateway_config {
    struct segment *inside, *outside;
    struct ip inside_ip;
    bool has_nat;
    struct nat_config nat; // nat.external: addresses on `outside`, which the gateway answers for;
                           // all of one family: what is of the other is routed
    struct ip outside_ip;  // without NAT: its own; the inside prefix is then routed to it
    bool has_firewall;
    struct firewall_config firewall;
    struct link_config up, down; // its uplink
};
// Becomes the default route of `inside` for the families that its prefixes have. The firewall sees
// packets as they are outside. NULL: an address is taken.
struct gateway *world_add_gateway(struct world *world, const char *name,
                                  const struct gateway_config *config);

// ---------------------------------------------------------------------------------------- running

enum world_event_kind { WORLD_DATAGRAM, WORLD_WAKE, WORLD_PACKET, WORLD_STREAM };
enum world_stream_event {
    WORLD_STREAM_OPENED, // also an incoming one, of which this is the first news
    WORLD_STREAM_BYTES,  // `packet`: borrowed until the next call of world_next
    WORLD_STREAM_CLOSED, // by the other side (what is sent still goes out), or the connection broke
    WORLD_STREAM_REFUSED, // it never was open: a RST came, or nothing
};
struct world_event {
    enum world_event_kind kind;
    struct host *host;        // all but WORLD_WAKE
    struct datagram datagram; // both; borrowed until the next call of world_next
    struct bytes packet;      // WORLD_PACKET: from the IP header on, likewise
    unsigned waker;           // WORLD_WAKE
    uint32_t stream;          // WORLD_STREAM
    enum world_stream_event stream_event;
};

// Move to the next event that is not after `until`. False: none; time then stands at `until`.
bool world_next(struct world *world, nanotime until, struct world_event *out);

// When the next event is due; TIME_NEVER: none is.
nanotime world_deadline(const struct world *world);

// One deadline for each waker, replaced by the next call; TIME_NEVER: none. A deadline that is not
// after now comes at now, behind what is due already. The same deadline again keeps its turn.
void world_wake_at(struct world *world, unsigned waker, nanotime at);

// False: the address is not the host's, or the port is taken.
bool host_bind(struct host *host, const struct addr *addr);
void host_unbind(struct host *host, const struct addr *addr);
// A free port of 49152 to 65535, drawn from the host's stream (RFC 6335 6). 0: none is free.
uint16_t host_free_port(struct host *host, const struct ip *ip);
// NET_DELIVERED means: given to the network. NET_NO_SOCKET: `from` is not bound. NET_TOO_BIG: over
// the MTU of the host's own link.
enum net_drop host_send(struct host *host, const struct addr *from, const struct addr *to,
                        struct bytes bytes);

// A raw host has its sockets outside of the simulation: whatever comes to it is a WORLD_PACKET, and
// what it sends is a whole IP packet, UDP or TCP. NET_DELIVERED means: given to the network, or not
// meant for it (ICMP, multicast, an address that is not the host's), and forgotten.
void host_set_raw(struct host *host);
enum net_drop host_inject(struct host *host, struct bytes packet);
// Has the raw host sent from an address that is not its own? The first one.
bool host_has_posed(const struct host *host, struct ip *as);

// ------------------------------------------------------------------------------- streams, over TCP
//
// Each end is a number of the world's, from 1 on, which is used again after it is gone. What is
// done here goes on the wire in the next step of the world, together.

// False: the address is not the host's, or it listens there already.
bool host_listen(struct host *host, const struct addr *addr);
void host_unlisten(struct host *host, const struct addr *addr);
// Port 0 of `from`: a free one is drawn. 0: the address is not the host's or of another family,
// there is such a connection, or the world has WORLD_STREAMS_MAX of them. Incoming ones are then
// refused.
#define WORLD_STREAMS_MAX 65535
uint32_t host_connect(struct host *host, const struct addr *from, const struct addr *to);
// All of it or nothing. False: it is not open, or too much of what was sent before waits (256 KiB).
bool host_stream_send(struct host *host, uint32_t stream, struct bytes bytes);
// A FIN after what was sent; nothing more is told of it.
void host_stream_close(struct host *host, uint32_t stream);
// A RST.
void host_stream_reset(struct host *host, uint32_t stream);
struct addr host_stream_local(const struct host *host, uint32_t stream);
struct addr host_stream_remote(const struct host *host, uint32_t stream);

const char *host_name(const struct host *host);
void host_set_user(struct host *host, void *user);
void *host_user(const struct host *host);
unsigned host_addresses(const struct host *host, struct ip *out, unsigned max);

// ------------------------------------------------------------------------------- changing, asking

// Links by owner: of a host's interface or a gateway's uplink, and the transit link of a sender.
struct link *host_link(struct host *host, unsigned interface, bool up);
struct link *gateway_link(struct gateway *gateway, bool up);
// Every transit link of a segment, also those of senders to come.
void segment_configure(struct segment *segment, const struct link_config *transit);
const struct link_config *segment_transit(const struct segment *segment);
// What is already on its way stays so.
void link_configure(struct link *link, const struct link_config *config);
const struct link_config *link_config(const struct link *link);
struct link_stats link_stats(const struct link *link);
struct nat *gateway_nat(struct gateway *gateway); // NULL: none
void gateway_reboot(struct gateway *gateway);     // its NAT forgets every mapping
// The gateway now has this address outside instead of those before, and a NAT forgets its mappings.
bool gateway_rebind(struct gateway *gateway, const struct ip *external);

struct net_counters {
    uint64_t sent;      // calls of host_send, also those refused
    uint64_t delivered; // to sockets. sent + duplicates = delivered + drops + still on the way
    uint64_t drops[NET_DROPS];
};
// A drop is counted at the host or gateway where it happens: a link's at the one whose link it is,
// a segment's at the sender. Its line of the trace:
//     drop nat-filtered 203.0.113.9:4242 > 198.51.100.2:5000 148 bytes, packet 7 of home.outside
// with the length of the UDP payload, and where the packet was recorded last.
struct net_counters world_counters(const struct world *world);
struct net_counters host_counters(const struct host *host); // sent, delivered; drops: at it
struct net_counters gateway_counters(const struct gateway *gateway);

// What was dropped, in order, for a report to point to: the first WORLD_DROPS_MAX.
#define WORLD_DROPS_MAX 65536
struct net_drop_record {
    nanotime at;
    enum net_drop reason;
    const char *place; // host or gateway; lives as the world
    int capture;       // where the packet was recorded last; -1: nowhere
    uint32_t packet;   // its number there
    struct addr from, to;
};
unsigned world_drops(const struct world *world);
struct net_drop_record world_drop_record(const struct world *world, unsigned index);

// --------------------------------------------------------------------------------------- captures

// A vantage point for each host ("alice"), and two for each gateway ("home.inside",
// "home.outside"). A packet is recorded where it passes, as it is there, also when it is dropped
// later.
struct capture_packet {
    nanotime time;
    struct bytes bytes; // from the IP header on; until another of the same capture is asked for
};
unsigned world_captures(const struct world *world);
const char *world_capture_name(const struct world *world, unsigned capture);
int world_capture_find(const struct world *world, const char *name); // -1: none
unsigned world_capture_count(const struct world *world, unsigned capture);
struct capture_packet world_capture_packet(const struct world *world, unsigned capture,
                                           unsigned number); // from 1, as Wireshark counts
// The first byte of its UDP payload, without putting the packet together: who looks for a protocol
// (RFC 7983 7) passes over most packets by it. -1: there is none.
int world_capture_first(const struct world *world, unsigned capture, unsigned number);
// A vantage point of the owner's own, for what was never on a wire: media before it is encrypted.
// Only with `capture` of the config.
unsigned world_capture_new(struct world *world, const char *name);
void world_capture_record(struct world *world, unsigned capture, const struct datagram *datagram);
// Write a pcap file (nanoseconds, LINKTYPE_RAW) through libpcap to an open file; the caller made it
// and renames it. False with the reason.
bool world_capture_write(const struct world *world, unsigned capture, int fd, struct err *err);

#endif
