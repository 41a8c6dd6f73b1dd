// Which ports of one external address are taken, and the choice of a free one (RFC 4787 4.2).
#ifndef SIMNET_NAT_PORTS_PRIV_H
#define SIMNET_NAT_PORTS_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#define PORT_WORDS (65536 / 64)

struct port_set {
    uint64_t taken[PORT_WORDS]; // a bit for each port
};

enum port_parity { PARITY_ANY, PARITY_EVEN, PARITY_ODD };

static inline bool port_is_taken(const struct port_set *set, uint16_t port)
{
    return set->taken[port / 64] >> port % 64 & 1;
}

static inline void port_take(struct port_set *set, uint16_t port)
{
    set->taken[port / 64] |= (uint64_t)1 << port % 64;
}

static inline void port_give(struct port_set *set, uint16_t port)
{
    set->taken[port / 64] &= ~((uint64_t)1 << port % 64);
}

// The first free port of the parity from `start` on, around the end of [min, max]. 0: none.
uint16_t port_free_from(const struct port_set *set, uint16_t start, uint16_t min, uint16_t max,
                        enum port_parity parity);

#endif
