// A queue under CoDel (RFC 8289): packets that have waited too long are dropped at its head.
#include "simnet/link_priv.h"

#include "simnet/world_priv.h"

#define TARGET_DEFAULT (5 * TIME_MS)     // RFC 8289 4.4
#define INTERVAL_DEFAULT (100 * TIME_MS) // RFC 8289 4.3

static nanotime target(const struct link *link)
{
    return link->config.codel_target ? link->config.codel_target : TARGET_DEFAULT;
}

static nanotime interval(const struct link *link)
{
    return link->config.codel_interval ? link->config.codel_interval : INTERVAL_DEFAULT;
}

void codel_wait(struct world *world, struct link *link, struct packet *packet)
{
    struct codel *codel = &link->codel;
    packet->next = NULL;
    packet->time = world->now;
    if (codel->head)
        codel->tail->next = packet;
    else
        codel->head = packet;
    codel->tail = packet;
    link->queue_bytes += packet->len;
    if (link->queue_bytes > link->stats.queue_max_bytes)
        link->stats.queue_max_bytes = link->queue_bytes;
}

// The largest whole number whose square is not above: Newton's way, from above.
static uint64_t square_root(uint64_t of)
{
    uint64_t root = (uint64_t)1 << 32;
    for (uint64_t next = root / 2 + of / root / 2 + 1; next < root; next = (root + of / root) / 2)
        root = next;
    return root * root > of ? root - 1 : root;
}

// RFC 8289 5.3: the next drop comes after interval / sqrt(count).
static nanotime control_law(const struct link *link, nanotime t, uint32_t count)
{
    uint64_t square = (uint64_t)interval(link) * (uint64_t)interval(link);
    return time_add(t, (nanotime)square_root(square / count));
}

// RFC 8289 5.6: the head, and whether the queue has stood above the target for an interval.
static struct packet *take(struct world *world, struct link *link, bool *may_drop)
{
    struct codel *codel = &link->codel;
    struct packet *packet = codel->head;
    *may_drop = false;
    if (!packet) {
        codel->first_above = 0;
        return NULL;
    }
    codel->head = packet->next;
    link->queue_bytes -= packet->len;
    // What is left fits one packet of the largest size: the link would run dry.
    if (world->now - packet->time < target(link) || link->queue_bytes <= link->mtu) {
        codel->first_above = 0;
        return packet;
    }
    if (codel->first_above == 0)
        codel->first_above = world->now + interval(link);
    else
        *may_drop = world->now >= codel->first_above;
    return packet;
}

// RFC 8289 5.5.
struct packet *codel_next(struct world *world, struct link *link)
{
    struct codel *codel = &link->codel;
    nanotime now = world->now;
    bool may_drop;
    struct packet *packet = take(world, link, &may_drop);
    if (link->config.discipline != LINK_CODEL)
        return packet; // it waited under CoDel, and no longer does
    codel->dropping &= may_drop;
    if (codel->dropping) {
        while (codel->dropping && now >= codel->drop_next) {
            link_drop_codel(world, link, packet);
            codel->count++;
            packet = take(world, link, &may_drop);
            codel->dropping = may_drop;
            if (may_drop)
                codel->drop_next = control_law(link, codel->drop_next, codel->count);
        }
    } else if (may_drop) {
        link_drop_codel(world, link, packet);
        packet = take(world, link, &may_drop);
        codel->dropping = true;
        // What controlled the queue a short while ago is where it starts from.
        uint32_t delta = codel->count - codel->last_count;
        bool recent = now - codel->drop_next < 16 * interval(link);
        codel->count = delta > 1 && recent ? delta : 1;
        codel->drop_next = control_law(link, now, codel->count);
        codel->last_count = codel->count;
    }
    return packet;
}
