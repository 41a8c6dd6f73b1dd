#include "simnet/packet_priv.h"

#include "simnet/tcp.h"

#include <assert.h>
#include <stddef.h>

#define IP_V6_HEADER_LEN 40
#define V4_TTL 8 // offsets in the header
#define V4_CHECKSUM 10
#define V4_FROM 12
#define V4_TO 16
#define V6_HOP_LIMIT 7
#define V6_FROM 8
#define V6_TO 24
#define V4_PROTOCOL 9
#define V6_NEXT_HEADER 6
#define UDP_CHECKSUM 6
#define TCP_CHECKSUM 16
#define TCP_OFFSET 12 // the length of the header, in words

// Room for bytes of each class: small media and STUN, up to an Ethernet frame, any.
static const uint32_t class_room[PACKET_CLASSES] = {384, 1664, 65600};
#define SLAB_BYTES 32768u

void packet_pool_free(struct packet_pool *pool)
{
    arena_free(&pool->arena);
    *pool = (struct packet_pool){0};
}

static struct packet *packet_take(struct packet_pool *pool, size_t len)
{
    uint8_t class = 0;
    while (class_room[class] < len)
        class ++;
    if (!pool->free[class]) {
        size_t size = offsetof(struct packet, at) + class_room[class];
        size = (size + 63) / 64 * 64;
        size_t count = size < SLAB_BYTES ? SLAB_BYTES / size : 1;
        uint8_t *slab = arena_alloc(&pool->arena, count * size);
        for (size_t i = 0; i < count; i++) {
            struct packet *made = (void *)(slab + i * size);
            made->class = class;
            packet_free(pool, made);
        }
    }
    struct packet *packet = pool->free[class];
    pool->free[class] = packet->next;
    return packet;
}

void packet_free(struct packet_pool *pool, struct packet *packet)
{
    packet->next = pool->free[packet->class];
    pool->free[packet->class] = packet;
}

struct packet *packet_copy(struct packet_pool *pool, const struct packet *packet)
{
    struct packet *copy = packet_take(pool, packet->len);
    uint8_t class = copy->class;
    memcpy(copy, packet, offsetof(struct packet, at));
    memcpy(copy->at, packet->at, packet->len);
    copy->class = class;
    copy->due = (struct source){.kind = SOURCE_PACKET};
    return copy;
}

size_t packet_len(enum ip_family family, size_t payload_len)
{
    size_t ip_header_len = family == IP_V4 ? NET_IP_HEADER_LEN : IP_V6_HEADER_LEN;
    return ip_header_len + NET_UDP_HEADER_LEN + payload_len;
}

// -------------------------------------------------------------------------------------- checksums

// RFC 1071 2 (B): the sum is the same in either byte order, so it is taken over words as the
// machine reads them, and stored as it writes them.
static uint64_t sum_bytes(uint64_t sum, const uint8_t *at, size_t len)
{
    uint64_t even = 0, odd = 0, carries = 0;
    for (; len >= 16; at += 16, len -= 16) { // two chains of additions that overlap
        uint64_t words[2];
        memcpy(&words[0], at, 8);
        memcpy(&words[1], at + 8, 8);
        even += words[0];
        carries += even < words[0];
        odd += words[1];
        carries += odd < words[1];
    }
    sum += (even & 0xffffffff) + (even >> 32) + (odd & 0xffffffff) + (odd >> 32) + carries;
    for (; len >= 8; at += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        sum += (word & 0xffffffff) + (word >> 32);
    }
    uint8_t rest[8] = {0};
    if (len)
        memcpy(rest, at, len);
    uint64_t word;
    memcpy(&word, rest, 8);
    return sum + (word & 0xffffffff) + (word >> 32);
}

static uint16_t sum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static uint16_t load(const uint8_t *at)
{
    uint16_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static void store(uint8_t *at, uint16_t word)
{
    memcpy(at, &word, sizeof word);
}

static bool is_v4(const struct packet *packet)
{
    return packet->from.ip.family == IP_V4;
}

static uint8_t *checksum_at(struct packet *packet)
{
    unsigned offset = packet->protocol == PROTOCOL_TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
    return packet->at + packet->transport + offset;
}

// The sum of the pseudo-header, the UDP or TCP header and the payload: all ones when the checksum
// is right. Who made the packet has summed its payload, and nothing on the way changes that: only
// what may be rewritten is read again.
static uint16_t transport_sum(const struct packet *packet)
{
    uint32_t len = packet->len - packet->transport;
    uint32_t rest = packet->has_payload_sum ? NET_UDP_HEADER_LEN : len;
    uint8_t pseudo[8] = {[5] = packet->protocol, [6] = (uint8_t)(len >> 8), [7] = (uint8_t)len};
    uint64_t sum = sum_bytes(0, pseudo, sizeof pseudo);
    if (is_v4(packet))
        sum = sum_bytes(sum, packet->at + V4_FROM, 8);
    else
        sum = sum_bytes(sum, packet->at + V6_FROM, 32);
    sum += packet->has_payload_sum ? packet->payload_sum : 0;
    return sum_fold(sum_bytes(sum, packet->at + packet->transport, rest));
}

// RFC 768: a checksum that comes out zero is sent as all ones; zero means none. TCP has no such
// rule, and the two are the same number.
static uint16_t checksum_of(uint16_t sum)
{
    uint16_t checksum = (uint16_t)~sum;
    return checksum ? checksum : 0xffff;
}

// RFC 1624 3: HC' = ~(~HC + ~m + m'), for all words that changed at once.
static uint16_t checksum_update(uint16_t checksum, uint64_t change)
{
    return (uint16_t)~sum_fold((uint64_t)(uint16_t)~checksum + change);
}

// ~m + m' over `len` bytes, an even number.
static uint64_t sum_change(const uint8_t *before, const uint8_t *after, size_t len)
{
    uint64_t change = 0;
    for (size_t i = 0; i < len; i += 2)
        change += (uint64_t)(uint16_t)~load(before + i) + load(after + i);
    return change;
}

// ------------------------------------------------------------------------------- making, changing

static void write_ip_v4(struct writer *w, const struct packet *packet)
{
    write_u16(w, 0x4500);
    write_u16(w, (uint16_t)packet->len);
    write_u16(w, 0);      // RFC 6864 4.1: an atomic datagram may have any ID
    write_u16(w, 0x4000); // DF
    write_u8(w, PACKET_TTL);
    write_u8(w, packet->protocol);
    write_u16(w, 0);
    write_bytes(w, bytes_of(packet->from.ip.at, 4));
    write_bytes(w, bytes_of(packet->to.ip.at, 4));
}

static void write_ip_v6(struct writer *w, const struct packet *packet)
{
    write_u32(w, 0x60000000);
    write_u16(w, (uint16_t)(packet->len - IP_V6_HEADER_LEN));
    write_u8(w, packet->protocol);
    write_u8(w, PACKET_TTL);
    write_bytes(w, bytes_of(packet->from.ip.at, 16));
    write_bytes(w, bytes_of(packet->to.ip.at, 16));
}

// A packet of `len` bytes with its IP header and ports; what follows is for the caller to write.
static struct packet *packet_begin(struct packet_pool *pool, const struct addr *from,
                                   const struct addr *to, uint8_t protocol, size_t len,
                                   struct writer *w)
{
    assert(from->ip.family == to->ip.family);
    bool v4 = from->ip.family == IP_V4;
    struct packet *packet = packet_take(pool, len);
    packet->due = (struct source){.kind = SOURCE_PACKET};
    packet->from = *from;
    packet->to = *to;
    packet->number = 0;
    packet->body = NULL;
    packet->has_payload_sum = false;
    packet->len = (uint32_t)len;
    packet->transport = v4 ? NET_IP_HEADER_LEN : IP_V6_HEADER_LEN;
    packet->protocol = protocol;

    *w = writer_of(packet->at, len);
    if (v4)
        write_ip_v4(w, packet);
    else
        write_ip_v6(w, packet);
    write_u16(w, from->port);
    write_u16(w, to->port);
    return packet;
}

static void packet_end(struct packet *packet, const struct writer *w)
{
    assert(writer_bytes(w).len == packet->len);
    if (is_v4(packet))
        store(packet->at + V4_CHECKSUM,
              (uint16_t)~sum_fold(sum_bytes(0, packet->at, NET_IP_HEADER_LEN)));
    store(checksum_at(packet), checksum_of(transport_sum(packet)));
}

struct packet *packet_new(struct packet_pool *pool, const struct addr *from, const struct addr *to,
                          struct bytes payload)
{
    assert(payload.len <= NET_DATAGRAM_MAX);
    struct writer w;
    size_t len = packet_len(from->ip.family, payload.len);
    struct packet *packet = packet_begin(pool, from, to, PROTOCOL_UDP, len, &w);
    write_u16(&w, (uint16_t)(NET_UDP_HEADER_LEN + payload.len));
    write_u16(&w, 0);
    write_bytes(&w, payload);
    packet->payload_sum = sum_fold(sum_bytes(0, payload.at, payload.len));
    packet->has_payload_sum = true;
    packet_end(packet, &w);
    return packet;
}

struct packet *packet_new_tcp(struct packet_pool *pool, const struct addr *from,
                              const struct addr *to, const struct tcp_segment *segment)
{
    uint8_t room[TCP_HEADER_MAX];
    struct writer w;
    struct bytes header = tcp_segment_encode(segment, room);
    size_t len = packet_len(from->ip.family, 0) - NET_UDP_HEADER_LEN + 4 + header.len +
                 segment->payload[0].len + segment->payload[1].len;
    struct packet *packet = packet_begin(pool, from, to, PROTOCOL_TCP, len, &w);
    write_bytes(&w, header);
    write_bytes(&w, segment->payload[0]);
    write_bytes(&w, segment->payload[1]);
    packet_end(packet, &w);
    return packet;
}

// ---------------------------------------------------------------------------------------- parsing

static struct addr read_addr(const uint8_t *ip, enum ip_family family, const uint8_t *port)
{
    struct addr addr = {.ip.family = (uint16_t)family, .port = (uint16_t)(port[0] << 8 | port[1])};
    memcpy(addr.ip.at, ip, family == IP_V4 ? 4 : 16);
    return addr;
}

// The length of the IP header; 0: the packet is none that is carried here.
static unsigned ip_header_parse(struct bytes bytes, uint8_t *protocol, enum net_drop *why)
{
    *why = NET_BAD_PACKET;
    if (bytes.len < NET_IP_HEADER_LEN)
        return 0;
    unsigned version = bytes.at[0] >> 4;
    if (version == 4) {
        if ((size_t)(bytes.at[2] << 8 | bytes.at[3]) != bytes.len)
            return 0;
        *why = NET_TOO_BIG; // a fragment: what it is of was too big for a link
        if ((bytes.at[6] & 0x3f) || bytes.at[7])
            return 0;
        *why = NET_DELIVERED;
        *protocol = bytes.at[V4_PROTOCOL];
        bool multicast = bytes.at[V4_TO] >= 224 || bytes.at[V4_TO] == 0;
        return bytes.at[0] == 0x45 && !multicast ? NET_IP_HEADER_LEN : 0;
    }
    if (version != 6 || bytes.len < IP_V6_HEADER_LEN ||
        (size_t)(bytes.at[4] << 8 | bytes.at[5]) + IP_V6_HEADER_LEN != bytes.len)
        return 0;
    *why = NET_DELIVERED;
    *protocol = bytes.at[V6_NEXT_HEADER];
    return bytes.at[V6_TO] != 0xff ? IP_V6_HEADER_LEN : 0;
}

static bool transport_fits(struct bytes bytes, uint8_t protocol)
{
    if (protocol == PROTOCOL_UDP)
        return bytes.len >= NET_UDP_HEADER_LEN &&
               (size_t)(bytes.at[4] << 8 | bytes.at[5]) == bytes.len;
    return bytes.len >= TCP_HEADER_LEN && bytes.at[TCP_OFFSET] / 16u * 4u >= TCP_HEADER_LEN &&
           bytes.at[TCP_OFFSET] / 16u * 4u <= bytes.len;
}

struct packet *packet_parse(struct packet_pool *pool, struct bytes bytes, enum net_drop *why)
{
    uint8_t protocol = 0;
    unsigned header_len = ip_header_parse(bytes, &protocol, why);
    if (header_len == 0 || (protocol != PROTOCOL_UDP && protocol != PROTOCOL_TCP))
        return NULL;
    *why = NET_BAD_PACKET;
    if (!transport_fits(bytes_from(bytes, header_len), protocol))
        return NULL;
    struct packet *packet = packet_take(pool, bytes.len);
    bool v4 = header_len == NET_IP_HEADER_LEN;
    const uint8_t *ports = bytes.at + header_len;
    packet->due = (struct source){.kind = SOURCE_PACKET};
    packet->from = read_addr(bytes.at + (v4 ? V4_FROM : V6_FROM), v4 ? IP_V4 : IP_V6, ports);
    packet->to = read_addr(bytes.at + (v4 ? V4_TO : V6_TO), v4 ? IP_V4 : IP_V6, ports + 2);
    packet->number = 0;
    packet->body = NULL;
    packet->has_payload_sum = false;
    packet->len = (uint32_t)bytes.len;
    packet->transport = (uint16_t)header_len;
    packet->protocol = protocol;
    memcpy(packet->at, bytes.at, bytes.len);
    return packet;
}

static unsigned payload_at(const struct packet *packet)
{
    const uint8_t *header = packet->at + packet->transport;
    unsigned len =
        packet->protocol == PROTOCOL_TCP ? header[TCP_OFFSET] / 16u * 4u : NET_UDP_HEADER_LEN;
    return packet->transport + len;
}

struct bytes packet_payload(const struct packet *packet)
{
    size_t skip = payload_at(packet);
    return bytes_of(packet->at + skip, packet->len - skip);
}

uint8_t packet_ttl(const struct packet *packet)
{
    return packet->at[is_v4(packet) ? V4_TTL : V6_HOP_LIMIT];
}

void packet_ttl_decrement(struct packet *packet)
{
    if (!is_v4(packet)) {
        packet->at[V6_HOP_LIMIT]--; // RFC 8200 3: no checksum covers it
        return;
    }
    static const uint8_t first[2] = {1, 0};
    uint16_t before = load(packet->at + V4_TTL), after = (uint16_t)(before - load(first));
    store(packet->at + V4_TTL, after); // as a word: the checksum reads it again at once
    uint8_t *checksum = packet->at + V4_CHECKSUM;
    store(checksum, checksum_update(load(checksum), (uint64_t)(uint16_t)~before + after));
}

static void rewrite(struct packet *packet, size_t ip_at, size_t port_at, const struct addr *addr)
{
    uint8_t port[2];
    put_u16(port, addr->port);
    size_t len = ip_len(&addr->ip);
    uint64_t change = sum_change(packet->at + ip_at, addr->ip.at, len);
    if (is_v4(packet)) {
        uint8_t *checksum = packet->at + V4_CHECKSUM;
        store(checksum, checksum_update(load(checksum), change));
    }
    change += sum_change(packet->at + port_at, port, sizeof port);
    uint8_t *checksum = checksum_at(packet);
    // RFC 3022 4.1: a UDP checksum of zero stays zero
    if (load(checksum) != 0 || packet->protocol == PROTOCOL_TCP)
        store(checksum, checksum_of((uint16_t)~checksum_update(load(checksum), change)));
    memcpy(packet->at + ip_at, addr->ip.at, len);
    memcpy(packet->at + port_at, port, sizeof port);
}

void packet_set_from(struct packet *packet, const struct addr *from)
{
    assert(from->ip.family == packet->from.ip.family);
    rewrite(packet, is_v4(packet) ? V4_FROM : V6_FROM, packet->transport, from);
    packet->from = *from;
}

void packet_set_to(struct packet *packet, const struct addr *to)
{
    assert(to->ip.family == packet->to.ip.family);
    rewrite(packet, is_v4(packet) ? V4_TO : V6_TO, packet->transport + 2u, to);
    packet->to = *to;
}

void packet_flip(struct packet *packet, uint64_t bit)
{
    size_t from = payload_at(packet), bits = (packet->len - from) * 8;
    if (bits == 0) {
        from = (size_t)(checksum_at(packet) - packet->at);
        bits = 16;
    }
    bit %= bits;
    packet->body = NULL;
    packet->has_payload_sum = false;
    packet->at[from + bit / 8] ^= (uint8_t)(1u << bit % 8);
}

bool packet_is_valid(const struct packet *packet)
{
    // RFC 1122 3.2.1.2: a host checks the IP header checksum of every datagram.
    if (is_v4(packet) && sum_fold(sum_bytes(0, packet->at, NET_IP_HEADER_LEN)) != 0xffff)
        return false;
    bool is_udp = packet->protocol == PROTOCOL_UDP;
    if (is_udp && load(packet->at + packet->transport + UDP_CHECKSUM) == 0)
        return is_v4(packet);               // RFC 8200 8.1: IPv6 requires the UDP checksum
    return transport_sum(packet) == 0xffff; // RFC 1122 4.1.3.4
}
