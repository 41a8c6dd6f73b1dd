#include "simnet/nat_ports_priv.h"

// 64 ports at a time: a full address costs a thousand steps at most.
static uint16_t first_free(const struct port_set *set, uint32_t from, uint32_t to, uint64_t wanted)
{
    for (uint32_t word = from / 64; from <= to && word <= to / 64; word++) {
        uint64_t free = ~set->taken[word] & wanted;
        if (word == from / 64)
            free &= UINT64_MAX << from % 64;
        if (word == to / 64)
            free &= UINT64_MAX >> (63 - to % 64);
        if (free)
            return (uint16_t)(word * 64 + (uint32_t)__builtin_ctzll(free));
    }
    return 0;
}

uint16_t port_free_from(const struct port_set *set, uint16_t start, uint16_t min, uint16_t max,
                        enum port_parity parity)
{
    static const uint64_t wanted[] = {
        [PARITY_ANY] = UINT64_MAX,
        [PARITY_EVEN] = 0x5555555555555555u,
        [PARITY_ODD] = 0xaaaaaaaaaaaaaaaau,
    };
    uint16_t port = first_free(set, start, max, wanted[parity]);
    if (port == 0 && start > min)
        port = first_free(set, min, start - 1u, wanted[parity]);
    return port;
}
