// A one-way link of the world: what it does to packets, and those that are on it.
//
//     packet -> down? -> MTU -> queue and rate -> loss -> duplicate -> corrupt, delay, jitter ->
//     end
//
// Packets that stay in order stand in the link's own line, and only its head is in the timeline;
// one that jitter or reordering lets overtake travels on its own. A queue under CoDel holds its
// packets until each one's turn (link_codel.c), as that is when it is decided on; of another queue
// only the times are kept, since they are known when a packet comes.
#ifndef SIMNET_LINK_PRIV_H
#define SIMNET_LINK_PRIV_H

#include "simnet/link.h"
#include "simnet/packet_priv.h"

enum link_role { LINK_UP, LINK_TRANSIT, LINK_DOWN };

struct queued {
    nanotime start; // when its first bit leaves
    uint32_t len;
};

// The state of RFC 8289 5.2, by its names.
struct codel {
    struct source due; // when the next packet's turn is
    struct link *link;
    struct packet *head, *tail; // each with the time of its coming
    nanotime first_above, drop_next;
    uint32_t count, last_count;
    bool dropping;
};

struct link {
    struct source due; // the head of the line
    enum link_role role;
    bool is_plain; // neither delay, rate nor fault: it takes no event and draws nothing
    bool in_burst; // Gilbert-Elliott: the bad state
    uint32_t mtu, queue_max;
    struct interface *interface; // whose link it is
    struct packet *head, *tail;
    nanotime line_end; // when the last of the line leaves
    nanotime busy_until;
    uint64_t busy_rest;   // of a nanosecond, in 1/rate
    struct queued *queue; // a ring
    uint32_t queue_room, queue_first, queue_count;
    uint64_t queue_bytes;
    struct codel codel;
    struct rng rng;
    struct link_stats stats;
    struct link_config config;
};

struct world;

void link_init(struct link *link, struct interface *interface, enum link_role role,
               const struct link_config *config, struct rng rng);
void link_fini(struct link *link);
// Send a packet into the link. True: it is at the other end already. Else it is on its way, or
// dropped, and no longer the caller's.
bool link_cross(struct world *world, struct link *link, struct packet *packet);
// The turn of a packet that waits under CoDel.
void link_serve(struct world *world, struct link *link);
// The head of the line, which leaves now.
struct packet *link_leave(struct world *world, struct link *link);

// link_codel.c
void codel_wait(struct world *world, struct link *link, struct packet *packet);
// The next packet to send. NULL: none waits any more. Those before it were dropped.
struct packet *codel_next(struct world *world, struct link *link);
// link.c
void link_drop_codel(struct world *world, struct link *link, struct packet *packet);

#endif
