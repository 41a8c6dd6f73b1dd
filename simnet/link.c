#include "simnet/link_priv.h"

#include "simnet/world_priv.h"

#include <assert.h>
#include <stdlib.h>

#define MTU_DEFAULT 1500u
#define QUEUE_DEFAULT 65536u
#define BITS_NS ((uint64_t)8 * 1000000000) // bits in a byte x nanoseconds in a second

void link_init(struct link *link, struct interface *interface, enum link_role role,
               const struct link_config *config, struct rng rng)
{
    *link = (struct link){
        .due = {.kind = SOURCE_LINK}, .role = role, .interface = interface, .rng = rng};
    link->codel = (struct codel){.due = {.kind = SOURCE_QUEUE}, .link = link};
    link_configure(link, config);
}

void link_fini(struct link *link)
{
    free(link->queue);
}

void link_configure(struct link *link, const struct link_config *config)
{
    assert(config->delay >= 0 && config->jitter >= 0 && config->reorder_by >= 0);
    assert(config->codel_target >= 0 && config->codel_interval >= 0 &&
           config->codel_interval <= LINK_CODEL_INTERVAL_MAX);
    if (config->loss == 0 || config->loss_burst <= 1)
        link->in_burst = false;
    if (config->rate_bps != link->config.rate_bps)
        link->busy_rest = 0; // it counted in parts of the old rate
    link->config = *config;
    link->mtu = config->mtu ? config->mtu : MTU_DEFAULT;
    link->queue_max = config->queue_bytes ? config->queue_bytes : QUEUE_DEFAULT;
    link->is_plain = config->delay == 0 && config->jitter == 0 && config->loss == 0 &&
                     config->duplicate == 0 && config->reorder == 0 && config->corrupt == 0 &&
                     config->rate_bps == 0 && !config->down;
}

const struct link_config *link_config(const struct link *link)
{
    return &link->config;
}

struct link_stats link_stats(const struct link *link)
{
    return link->stats;
}

// ------------------------------------------------------------------------------------------- rate

// Packets whose first bit has left no longer wait.
static void queue_advance(struct link *link, nanotime now)
{
    while (link->queue_count && link->queue[link->queue_first].start <= now) {
        link->queue_bytes -= link->queue[link->queue_first].len;
        link->queue_first = (link->queue_first + 1) % link->queue_room;
        link->queue_count--;
    }
}

static void queue_add(struct link *link, nanotime start, uint32_t len)
{
    if (link->queue_count == link->queue_room) {
        uint32_t room = link->queue_room ? link->queue_room * 2 : 16;
        struct queued *queue = mem_alloc(room * sizeof *queue);
        for (uint32_t i = 0; i < link->queue_count; i++)
            queue[i] = link->queue[(link->queue_first + i) % link->queue_room];
        free(link->queue);
        link->queue = queue;
        link->queue_room = room;
        link->queue_first = 0;
    }
    link->queue[(link->queue_first + link->queue_count++) % link->queue_room] =
        (struct queued){start, len};
    link->queue_bytes += len;
    if (link->queue_bytes > link->stats.queue_max_bytes)
        link->stats.queue_max_bytes = link->queue_bytes;
}

// The packet leaves from now on, or right behind the one that does.
static nanotime occupy(struct link *link, uint32_t len)
{
    uint64_t work = len * BITS_NS + link->busy_rest;
    link->busy_until = time_add(link->busy_until, (nanotime)(work / link->config.rate_bps));
    link->busy_rest = work % link->config.rate_bps;
    return link->busy_until;
}

// When the packet's last bit leaves. False: the queue has no room for it.
static bool transmit(struct link *link, nanotime now, uint32_t len, nanotime *sent)
{
    queue_advance(link, now);
    bool waits = link->busy_until > now;
    if (link->config.rate_bps == 0) {
        *sent = time_max(now, link->busy_until); // what a rate before held up is still ahead
        return true;
    }
    if (waits && link->queue_bytes + len > link->queue_max)
        return false;
    if (waits) {
        queue_add(link, link->busy_until, len);
    } else {
        link->busy_until = now;
        link->busy_rest = 0;
    }
    *sent = occupy(link, len);
    return true;
}

// ----------------------------------------------------------------------------------------- chance

// Gilbert-Elliott: the bad state loses everything, and lasts `loss_burst` packets on average; the
// good state loses nothing, and is left as often as makes `loss` of all packets lost. It lasts one
// packet at least: where that is too long, the bad one lasts longer.
static bool is_lost(struct link *link)
{
    uint32_t loss = link->config.loss, burst = link->config.loss_burst;
    if (burst <= 1 || loss == 0 || loss >= RNG_BILLION)
        return rng_chance(&link->rng, loss);
    uint64_t enter = (uint64_t)loss * RNG_BILLION / ((uint64_t)burst * (RNG_BILLION - loss));
    uint64_t leave = RNG_BILLION / burst;
    if (enter > RNG_BILLION)
        leave = (uint64_t)(RNG_BILLION - loss) * RNG_BILLION / loss;
    uint64_t change = link->in_burst ? leave : enter;
    if (rng_below(&link->rng, RNG_BILLION) < change)
        link->in_burst = !link->in_burst;
    return link->in_burst;
}

// The sum of twelve uniform draws has a standard deviation of one of their ranges, and nearly the
// normal shape. Cut at three standard deviations.
static nanotime jitter_normal(struct rng *rng, nanotime deviation)
{
    const int64_t one = 65536, cut = 3 * one;
    int64_t sum = -(12 * (one - 1) / 2);
    for (int i = 0; i < 3; i++)
        for (uint64_t draw = rng_u64(rng), lane = 0; lane < 4; lane++)
            sum += (int64_t)(draw >> 16 * lane & 0xffff);
    sum = sum > cut ? cut : sum < -cut ? -cut : sum;
    return deviation / one * sum + deviation % one * sum / one;
}

static nanotime delay_draw(struct link *link)
{
    const struct link_config *config = &link->config;
    if (config->jitter == 0)
        return config->delay;
    switch (config->shape) {
    case JITTER_UNIFORM:
        break;
    case JITTER_NORMAL:
        return time_max(0, config->delay + jitter_normal(&link->rng, config->jitter));
    }
    return time_add(config->delay, (nanotime)rng_below(&link->rng, (uint64_t)config->jitter + 1));
}

// --------------------------------------------------------------------------------------- the line

static void line_join(struct world *world, struct link *link, struct packet *packet)
{
    packet->next = NULL;
    if (link->head) {
        link->tail->next = packet;
    } else {
        link->head = packet;
        timeline_set(&world->timeline, &link->due, packet->time, packet->seq);
    }
    link->tail = packet;
    link->line_end = packet->time;
}

// On to the wire: what happens to this packet, and when it comes out.
static void launch(struct world *world, struct link *link, struct packet *packet, nanotime sent)
{
    const struct link_config *config = &link->config;
    if (rng_chance(&link->rng, config->corrupt)) {
        packet_flip(packet, rng_u64(&link->rng));
        link->stats.corrupted++;
    }
    bool held_back = rng_chance(&link->rng, config->reorder);
    nanotime time = time_add(sent, delay_draw(link));
    if (!config->jitter_reorders)
        time = time_max(time, link->line_end); // never before the one ahead
    if (held_back) {
        time = time_add(time, config->reorder_by);
        link->stats.reordered++;
    }
    packet->link = link;
    packet->time = time;
    packet->seq = world_seq(world);
    if (!held_back && time >= link->line_end)
        line_join(world, link, packet);
    else
        timeline_set(&world->timeline, &packet->due, time, packet->seq);
}

struct packet *link_leave(struct world *world, struct link *link)
{
    struct packet *packet = link->head;
    link->head = packet->next;
    if (link->head)
        timeline_set(&world->timeline, &link->due, link->head->time, link->head->seq);
    else
        timeline_remove(&world->timeline, &link->due);
    return packet;
}

static void drop(struct world *world, struct link *link, struct packet *packet, uint64_t *counter,
                 enum net_drop reason)
{
    ++*counter;
    world_drop(world, link->interface->place, packet, reason);
}

void link_drop_codel(struct world *world, struct link *link, struct packet *packet)
{
    drop(world, link, packet, &link->stats.codel, NET_CODEL);
}

// Past the queue: lost, or on to the wire, maybe twice.
static void send_on(struct world *world, struct link *link, struct packet *packet, nanotime sent)
{
    if (is_lost(link)) {
        drop(world, link, packet, &link->stats.lost, NET_LOSS);
        return;
    }
    struct packet *twin = NULL;
    if (rng_chance(&link->rng, link->config.duplicate)) {
        twin = packet_copy(&world->packets, packet);
        link->stats.duplicated++;
    }
    launch(world, link, packet, sent);
    if (twin)
        launch(world, link, twin, sent);
}

// ------------------------------------------------------------------------------------------ CoDel

static void serve_at(struct world *world, struct link *link, nanotime at)
{
    if (link->codel.head)
        timeline_set(&world->timeline, &link->codel.due, at, world_seq(world));
    else
        timeline_remove(&world->timeline, &link->codel.due);
}

void link_serve(struct world *world, struct link *link)
{
    struct packet *packet = codel_next(world, link);
    nanotime sent = world->now;
    if (packet && link->config.rate_bps) {
        if (link->busy_until != world->now)
            link->busy_rest = 0; // it was idle
        link->busy_until = world->now;
        sent = occupy(link, packet->len);
    }
    if (packet)
        send_on(world, link, packet, sent);
    serve_at(world, link, sent);
}

static void wait_in_line(struct world *world, struct link *link, struct packet *packet)
{
    queue_advance(link, world->now);
    bool waits = link->codel.head || link->busy_until > world->now;
    if (waits && link->queue_bytes + packet->len > link->queue_max) {
        drop(world, link, packet, &link->stats.queue_full, NET_QUEUE_FULL);
        return;
    }
    bool first = !link->codel.head;
    codel_wait(world, link, packet);
    if (!waits)
        link_serve(world, link);
    else if (first)
        serve_at(world, link, link->busy_until);
}

bool link_cross(struct world *world, struct link *link, struct packet *packet)
{
    struct link_stats *stats = &link->stats;
    if (packet->len <= link->mtu && link->is_plain && !link->head &&
        world->now >= link->busy_until && !link->codel.head)
        return true;

    nanotime sent;
    if (link->config.down)
        drop(world, link, packet, &stats->while_down, NET_LINK_DOWN);
    else if (packet->len > link->mtu)
        drop(world, link, packet, &stats->too_big, NET_TOO_BIG);
    else if (link->codel.head || (link->config.discipline == LINK_CODEL && link->config.rate_bps))
        wait_in_line(world, link, packet);
    else if (!transmit(link, world->now, packet->len, &sent))
        drop(world, link, packet, &stats->queue_full, NET_QUEUE_FULL);
    else
        send_on(world, link, packet, sent);
    return false;
}
