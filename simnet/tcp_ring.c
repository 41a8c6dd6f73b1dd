// Bytes of a connection on their way: a ring each way, and what came too early.
#include "simnet/tcp_priv.h"

#include "base/arena.h"

#include <assert.h>
#include <stdlib.h>

void tcp_ring_reserve(struct tcp_ring *ring, uint32_t room)
{
    if (ring->room >= room)
        return;
    uint32_t grown = ring->room ? ring->room : 2048;
    while (grown < room)
        grown *= 2;
    uint8_t *at = mem_alloc(grown);
    struct bytes held[2];
    tcp_ring_get(ring, 0, ring->len, held);
    for (size_t i = 0, to = 0; i < 2; to += held[i].len, i++)
        if (held[i].len)
            memcpy(at + to, held[i].at, held[i].len);
    free(ring->at);
    *ring = (struct tcp_ring){.at = at, .room = grown, .len = ring->len};
}

void tcp_ring_get(const struct tcp_ring *ring, uint32_t offset, uint32_t len, struct bytes out[2])
{
    out[0] = out[1] = (struct bytes){0};
    if (len == 0)
        return;
    uint32_t from = (ring->first + offset) % ring->room;
    uint32_t whole = tcp_min(len, ring->room - from);
    out[0] = bytes_of(ring->at + from, whole);
    if (whole < len)
        out[1] = bytes_of(ring->at, len - whole);
}

void tcp_ring_put(struct tcp_ring *ring, uint32_t offset, struct bytes bytes)
{
    if (bytes.len == 0)
        return;
    assert(offset + bytes.len <= ring->room);
    uint32_t from = (ring->first + offset) % ring->room;
    uint32_t whole = tcp_min((uint32_t)bytes.len, ring->room - from);
    memcpy(ring->at + from, bytes.at, whole);
    if (whole < bytes.len)
        memcpy(ring->at, bytes.at + whole, bytes.len - whole);
}

void tcp_ring_skip(struct tcp_ring *ring, uint32_t len)
{
    assert(len <= ring->len);
    ring->len -= len;
    if (ring->room)
        ring->first = (ring->first + len) % ring->room;
}

// Remember that [from, to) is there. False: too many pieces already.
static bool range_add(struct tcp *tcp, uint32_t from, uint32_t to)
{
    struct tcp_range *ranges = tcp->ranges;
    unsigned first = 0;
    while (first < tcp->ranges_count && tcp_before(ranges[first].to, from))
        first++;
    unsigned end = first;
    while (end < tcp->ranges_count && tcp_before_or_at(ranges[end].from, to)) {
        from = tcp_before(ranges[end].from, from) ? ranges[end].from : from;
        to = tcp_before(to, ranges[end].to) ? ranges[end].to : to;
        end++;
    }
    if (end == first && tcp->ranges_count == TCP_RANGES_MAX)
        return false;
    memmove(&ranges[first + 1], &ranges[end], (tcp->ranges_count - end) * sizeof *ranges);
    ranges[first] = (struct tcp_range){from, to};
    tcp->ranges_count = tcp->ranges_count + 1 - (end - first);
    return true;
}

bool tcp_pieces_add(struct tcp *tcp, uint32_t seq, struct bytes bytes)
{
    if (bytes.len == 0)
        return true;
    uint32_t to = seq + (uint32_t)bytes.len;
    if (!range_add(tcp, seq, to))
        return false;
    tcp_ring_reserve(&tcp->in, tcp->config.receive_max);
    tcp_ring_put(&tcp->in, tcp->in.len + (seq - tcp->receive_next), bytes);
    if (tcp->ranges[0].from != tcp->receive_next)
        return true;
    tcp->in.len += tcp->ranges[0].to - tcp->receive_next;
    tcp->receive_next = tcp->ranges[0].to;
    tcp->ranges_count--;
    memmove(&tcp->ranges[0], &tcp->ranges[1], tcp->ranges_count * sizeof tcp->ranges[0]);
    return true;
}
