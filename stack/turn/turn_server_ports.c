// Relayed ports: who has which, random choice (RFC 6056 3.3.2), reservations (RFC 8656 7.2).
#include "stack/turn/turn_server_priv.h"

#include "base/arena.h"

#include <stdlib.h>

void turn_ports_init(struct turn_ports *ports, uint16_t min, uint16_t max, uint16_t never)
{
    *ports = (struct turn_ports){.min = min, .max = max, .never = never};
    ports->owners = mem_zero((size_t)max - min + 1, sizeof *ports->owners);
}

void turn_ports_fini(struct turn_ports *ports)
{
    free(ports->owners);
}

void turn_ports_forget(struct turn_ports *ports)
{
    for (; ports->held_first < ports->held_end; ports->held_first++) {
        struct turn_reservation *held = &ports->held[ports->held_first % TURN_RESERVATIONS_MAX];
        if (held->token)
            turn_ports_free(ports, held->port);
    }
}

static void expire(struct turn_ports *ports, nanotime now)
{
    for (; ports->held_first < ports->held_end; ports->held_first++) {
        struct turn_reservation *held = &ports->held[ports->held_first % TURN_RESERVATIONS_MAX];
        if (held->token && held->expires_at > now)
            return;
        if (held->token)
            turn_ports_free(ports, held->port);
    }
}

static bool is_free(const struct turn_ports *ports, unsigned port)
{
    return port >= ports->min && port <= ports->max && port != ports->never &&
           !ports->owners[port - ports->min];
}

uint16_t turn_ports_pick(struct turn_ports *ports, nanotime now, struct rng *rng, bool even,
                         bool reserve)
{
    expire(ports, now);
    unsigned count = (unsigned)ports->max - ports->min + 1;
    unsigned start = (unsigned)rng_below(rng, count);
    for (unsigned i = 0; i < count; i++) {
        unsigned port = ports->min + (start + i) % count;
        if (!is_free(ports, port) || (even && port % 2))
            continue;
        if (reserve && !is_free(ports, port + 1))
            continue;
        return (uint16_t)port;
    }
    return 0;
}

void turn_ports_take(struct turn_ports *ports, uint16_t port, uint32_t owner)
{
    ports->owners[port - ports->min] = owner + 1;
}

void turn_ports_free(struct turn_ports *ports, uint16_t port)
{
    ports->owners[port - ports->min] = 0;
}

uint32_t turn_ports_owner(const struct turn_ports *ports, uint16_t port)
{
    if (port < ports->min || port > ports->max)
        return TURN_NONE;
    uint32_t owner = ports->owners[port - ports->min];
    return owner == 0 || owner == TURN_PORT_HELD ? TURN_NONE : owner - 1;
}

bool turn_ports_hold(struct turn_ports *ports, nanotime now, uint16_t port, uint64_t token)
{
    expire(ports, now);
    if (ports->held_end - ports->held_first == TURN_RESERVATIONS_MAX)
        return false;
    ports->held[ports->held_end++ % TURN_RESERVATIONS_MAX] =
        (struct turn_reservation){token, port, time_add(now, TURN_RESERVATION_LIFETIME)};
    ports->owners[port - ports->min] = TURN_PORT_HELD;
    return true;
}

uint16_t turn_ports_redeem(struct turn_ports *ports, nanotime now, uint64_t token)
{
    expire(ports, now);
    for (uint64_t i = ports->held_first; i < ports->held_end; i++) {
        struct turn_reservation *held = &ports->held[i % TURN_RESERVATIONS_MAX];
        if (token == 0 || held->token != token)
            continue;
        held->token = 0;
        turn_ports_free(ports, held->port);
        return held->port;
    }
    return 0;
}
