// Addresses: an IP address of either family, and a transport address (RFC 8489 4).
//
// Both are plain values without padding: unused bytes are zero, so two equal addresses are equal
// bytes, and a zeroed struct is "no address".
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include "base/bytes.h"

#define IP_TEXT_MAX 46   // RFC 5952 text and its end
#define ADDR_TEXT_MAX 54 // [address]:port and its end

enum ip_family { IP_NONE = 0, IP_V4 = 4, IP_V6 = 6 };

struct ip {
    uint8_t at[16]; // network order; an IPv4 address is the first four
    uint16_t family;
};

struct addr {
    struct ip ip;
    uint16_t port; // host order
};

// A datagram as a protocol sees it. The bytes are borrowed.
struct datagram {
    struct addr from;
    struct addr to;
    struct bytes bytes;
};

// An address block: 192.168.0.0/16.
struct ip_prefix {
    struct ip ip;
    uint8_t bits;
};

static inline struct ip ip_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    return (struct ip){.at = {a, b, c, d}, .family = IP_V4};
}

static inline struct ip ip_v4_of(uint32_t host_order)
{
    return ip_v4((uint8_t)(host_order >> 24), (uint8_t)(host_order >> 16),
                 (uint8_t)(host_order >> 8), (uint8_t)host_order);
}

static inline uint32_t ip_v4_value(const struct ip *ip)
{
    return (uint32_t)ip->at[0] << 24 | (uint32_t)ip->at[1] << 16 | (uint32_t)ip->at[2] << 8 |
           ip->at[3];
}

static inline size_t ip_len(const struct ip *ip)
{
    return ip->family == IP_V4 ? 4 : ip->family == IP_V6 ? 16 : 0;
}

static inline bool ip_equal(const struct ip *a, const struct ip *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static inline bool addr_equal(const struct addr *a, const struct addr *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static inline bool addr_is_none(const struct addr *a)
{
    return a->ip.family == IP_NONE;
}

// Parse "192.0.2.1" or "2001:db8::1", the whole slice.
bool ip_parse(struct bytes text, struct ip *out);
// RFC 5952 for IPv6. `to` holds IP_TEXT_MAX bytes; returns `to`.
const char *ip_print(const struct ip *ip, char *to);

// Parse "192.0.2.1:3478" or "[2001:db8::1]:3478"; the port is required.
bool addr_parse(struct bytes text, struct addr *out);
// `to` holds ADDR_TEXT_MAX bytes; returns `to`.
const char *addr_print(const struct addr *addr, char *to);

bool ip_prefix_parse(struct bytes text, struct ip_prefix *out);
bool ip_prefix_has(const struct ip_prefix *prefix, const struct ip *ip);

bool ip_is_loopback(const struct ip *ip);
bool ip_is_link_local(const struct ip *ip);
bool ip_is_multicast(const struct ip *ip);
bool ip_is_unspecified(const struct ip *ip);

// Total order, the same on every machine: by family, then bytes, then port.
int addr_compare(const struct addr *a, const struct addr *b);
// A well-mixed hash for tables; never let its order be seen.
uint32_t addr_hash(const struct addr *addr);

#endif
