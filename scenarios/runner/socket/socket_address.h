// Addresses as the operating system has them.
#ifndef SCENARIOS_SOCKET_ADDRESS_H
#define SCENARIOS_SOCKET_ADDRESS_H

#include "base/addr.h"

#include <netinet/in.h>
#include <sys/socket.h>

union socket_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

socklen_t socket_address_to(const struct addr *addr, union socket_address *out);
struct addr socket_address_of(const union socket_address *from);
int socket_address_family(const struct addr *addr);

#endif
