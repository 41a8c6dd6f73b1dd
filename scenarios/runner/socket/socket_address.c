#include "scenarios/runner/socket/socket_address.h"

socklen_t socket_address_to(const struct addr *addr, union socket_address *out)
{
    memset(out, 0, sizeof *out);
    if (addr->ip.family == IP_V4) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(addr->port);
        memcpy(&out->v4.sin_addr, addr->ip.at, 4);
        return sizeof out->v4;
    }
    out->v6.sin6_family = AF_INET6;
    out->v6.sin6_port = htons(addr->port);
    memcpy(&out->v6.sin6_addr, addr->ip.at, 16);
    return sizeof out->v6;
}

struct addr socket_address_of(const union socket_address *from)
{
    struct addr addr = {0};
    if (from->any.sa_family == AF_INET) {
        addr.ip.family = IP_V4;
        addr.port = ntohs(from->v4.sin_port);
        memcpy(addr.ip.at, &from->v4.sin_addr, 4);
    } else if (from->any.sa_family == AF_INET6) {
        addr.ip.family = IP_V6;
        addr.port = ntohs(from->v6.sin6_port);
        memcpy(addr.ip.at, &from->v6.sin6_addr, 16);
    }
    return addr;
}

int socket_address_family(const struct addr *addr)
{
    return addr->ip.family == IP_V6 ? AF_INET6 : AF_INET;
}
