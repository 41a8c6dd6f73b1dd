#include "base/addr.h"

#include <arpa/inet.h>
#include <stdio.h>

bool ip_parse(struct bytes text, struct ip *out)
{
    char copy[IP_TEXT_MAX];
    struct ip ip = {.family = IP_V4};
    if (text.len == 0 || memchr(text.at, 0, text.len) || !bytes_copy_text(text, copy, sizeof copy))
        return false;
    if (inet_pton(AF_INET, copy, ip.at) != 1) {
        ip = (struct ip){.family = IP_V6};
        if (inet_pton(AF_INET6, copy, ip.at) != 1)
            return false;
    }
    *out = ip;
    return true;
}

const char *ip_print(const struct ip *ip, char *to)
{
    if (ip->family == IP_NONE)
        return strcpy(to, "none"); // tidy: constant, fits IP_TEXT_MAX
    inet_ntop(ip->family == IP_V4 ? AF_INET : AF_INET6, ip->at, to, IP_TEXT_MAX);
    return to;
}

bool addr_parse(struct bytes text, struct addr *out)
{
    size_t colon = text.len;
    while (colon > 0 && text.at[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    uint64_t port;
    if (!bytes_parse_u64(bytes_from(text, colon), 65535, &port))
        return false;
    struct bytes host = {text.at, colon - 1};
    bool bracketed = host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';
    if (bracketed)
        host = (struct bytes){host.at + 1, host.len - 2};
    struct addr addr = {.port = (uint16_t)port};
    if (!ip_parse(host, &addr.ip) || bracketed != (addr.ip.family == IP_V6))
        return false;
    *out = addr;
    return true;
}

const char *addr_print(const struct addr *addr, char *to)
{
    char ip[IP_TEXT_MAX];
    const char *shape = addr->ip.family == IP_V6 ? "[%s]:%u" : "%s:%u";
    snprintf(to, ADDR_TEXT_MAX, shape, ip_print(&addr->ip, ip), addr->port);
    return to;
}

bool ip_prefix_parse(struct bytes text, struct ip_prefix *out)
{
    size_t slash = 0;
    while (slash < text.len && text.at[slash] != '/')
        slash++;
    struct ip_prefix prefix = {0};
    if (!ip_parse((struct bytes){text.at, slash}, &prefix.ip))
        return false;
    uint64_t bits = ip_len(&prefix.ip) * 8;
    if (slash < text.len && !bytes_parse_u64(bytes_from(text, slash + 1), bits, &bits))
        return false;
    prefix.bits = (uint8_t)bits;
    *out = prefix;
    return true;
}

bool ip_prefix_has(const struct ip_prefix *prefix, const struct ip *ip)
{
    if (prefix->ip.family != ip->family)
        return false;
    unsigned whole = prefix->bits / 8, rest = prefix->bits % 8;
    if (memcmp(prefix->ip.at, ip->at, whole) != 0)
        return false;
    return rest == 0 || (prefix->ip.at[whole] ^ ip->at[whole]) >> (8 - rest) == 0;
}

bool ip_is_loopback(const struct ip *ip)
{
    static const struct ip v6 = {.at = {[15] = 1}, .family = IP_V6};
    return ip->family == IP_V4 ? ip->at[0] == 127 : ip_equal(ip, &v6);
}

bool ip_is_link_local(const struct ip *ip)
{
    if (ip->family == IP_V4)
        return ip->at[0] == 169 && ip->at[1] == 254;
    return ip->family == IP_V6 && ip->at[0] == 0xfe && (ip->at[1] & 0xc0) == 0x80;
}

bool ip_is_multicast(const struct ip *ip)
{
    if (ip->family == IP_V4)
        return ip->at[0] >= 224 && ip->at[0] < 240;
    return ip->family == IP_V6 && ip->at[0] == 0xff;
}

bool ip_is_unspecified(const struct ip *ip)
{
    struct ip none = {.family = ip->family};
    return ip_equal(ip, &none);
}

int addr_compare(const struct addr *a, const struct addr *b)
{
    if (a->ip.family != b->ip.family)
        return a->ip.family < b->ip.family ? -1 : 1;
    int order = memcmp(a->ip.at, b->ip.at, sizeof a->ip.at);
    if (order != 0)
        return order;
    return a->port < b->port ? -1 : a->port > b->port;
}

uint32_t addr_hash(const struct addr *addr)
{
    uint64_t high, low;
    memcpy(&high, addr->ip.at, 8);
    memcpy(&low, addr->ip.at + 8, 8);
    uint64_t h = (high ^ low * 0x9e3779b97f4a7c15u) + addr->port;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93u;
    h ^= h >> 32;
    return (uint32_t)h;
}
