// An IP packet: real header bytes with real checksums, in a pooled buffer. It is of UDP or of TCP.
#ifndef SIMNET_PACKET_PRIV_H
#define SIMNET_PACKET_PRIV_H

#include "base/addr.h"
#include "base/arena.h"
#include "simnet/timeline_priv.h"
#include "simnet/world.h"

#define PACKET_TTL 64 // RFC 1700: the recommended default
#define PACKET_CLASSES 3
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17

struct packet {
    struct source due;   // while it travels on its own, not in a link's line
    struct packet *next; // in a link's line or queue, or the pool's list
    struct link *link;   // the link it is on
    struct host *host;   // the receiver it has come to
    nanotime time;       // when it leaves that link; under CoDel first: when it came
    uint64_t seq;
    struct addr from, to;     // as its bytes have them now
    uint32_t capture, number; // where it was recorded last; number 0: nowhere
    const uint8_t *body;      // its payload in the store of captures; NULL: not there, or changed
    uint32_t len;
    uint16_t transport;   // where the UDP or TCP header begins
    uint16_t payload_sum; // of UDP, not yet a checksum, while has_payload_sum
    bool has_payload_sum; // no byte of the payload has changed since it was made
    uint8_t protocol;
    uint8_t class;
    uint8_t at[];
};

struct packet_pool {
    struct packet *free[PACKET_CLASSES];
    struct arena arena;
};

void packet_pool_free(struct packet_pool *pool);

// `from` and `to` are of one family.
struct packet *packet_new(struct packet_pool *pool, const struct addr *from, const struct addr *to,
                          struct bytes payload);
struct tcp_segment;
struct packet *packet_new_tcp(struct packet_pool *pool, const struct addr *from,
                              const struct addr *to, const struct tcp_segment *segment);
// From bytes as they were on a wire. NULL: no whole UDP or TCP packet; *why says what is wrong:
// NET_DELIVERED where it is nothing that this network carries (ICMP, multicast, IP options).
struct packet *packet_parse(struct packet_pool *pool, struct bytes bytes, enum net_drop *why);
struct packet *packet_copy(struct packet_pool *pool, const struct packet *packet);
void packet_free(struct packet_pool *pool, struct packet *packet);

// The length of the packet that `payload_len` bytes of UDP payload make.
size_t packet_len(enum ip_family family, size_t payload_len);
struct bytes packet_payload(const struct packet *packet);
// From the UDP or TCP header on.
static inline struct bytes packet_transport(const struct packet *packet)
{
    return bytes_of(packet->at + packet->transport, packet->len - packet->transport);
}
// Time to live, or hop limit.
uint8_t packet_ttl(const struct packet *packet);
void packet_ttl_decrement(struct packet *packet);
// Rewrite an address and port, and both checksums by what changed: a wrong one stays wrong.
void packet_set_from(struct packet *packet, const struct addr *from);
void packet_set_to(struct packet *packet, const struct addr *to);
// Flip one bit of the payload, or of the checksum where there is none.
void packet_flip(struct packet *packet, uint64_t bit);
// The header and both checksums are right, as a receiving host sees it.
bool packet_is_valid(const struct packet *packet);

#endif
