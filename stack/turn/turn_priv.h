// Shared inside stack/turn only: ChannelData, the queue of outputs, the timed table.
#ifndef STACK_TURN_TURN_PRIV_H
#define STACK_TURN_TURN_PRIV_H

#include "stack/stun/stun.h"
#include "stack/turn/turn.h"

// RFC 8656 3.1, 9, 12.
#define TURN_UDP 17
#define TURN_PERMISSION_LIFETIME (300 * TIME_S)
#define TURN_CHANNEL_LIFETIME (600 * TIME_S)
#define TURN_CHANNEL_MIN 0x4000
#define TURN_CHANNEL_MAX 0x4fff
#define TURN_CHANNEL_MAX_RFC5766 0x7fff
#define TURN_SOFTWARE "simrtc"

#define TURN_DATAGRAM_MAX 65507          // of UDP over IPv4
#define TURN_STREAM_TI (39500 * TIME_MS) // RFC 8489 6.2.2

// ------------------------------------------------------------------------------------ ChannelData

#define TURN_CHANNEL_HEADER_LEN 4

// RFC 7983 7: the first byte of ChannelData is 64 to 79 (`max` is TURN_CHANNEL_MAX).
static inline bool turn_is_channel_data(struct bytes datagram, unsigned max)
{
    return datagram.len > 0 && datagram.at[0] >= TURN_CHANNEL_MIN >> 8 &&
           datagram.at[0] <= max >> 8;
}

// RFC 8656 12.5: what over TCP follows the data, for the next message to begin at a multiple of
// four.
static inline size_t turn_channel_padding(size_t data_len)
{
    return (4 - data_len % 4) % 4;
}

// False when the datagram is shorter than it claims. Padding is accepted and cut off.
bool turn_channel_decode(struct bytes datagram, uint16_t *number, struct bytes *data);

// ------------------------------------------------------------------------------------------ queue

// Outputs in order, each with its own bytes. A slot keeps its memory, so that a queue in use
// allocates nothing.
#define TURN_QUEUE_MAX 256

struct turn_queue_slot {
    int kind; // enum turn_output_kind or turn_server_output_kind
    bool cancelled;
    bool dont_fragment;
    unsigned stream; // of TURN_SERVER_STREAM_*
    struct addr from, to;
    uint8_t *at; // owned
    size_t len, max;
};

struct turn_queue {
    struct turn_queue_slot slots[TURN_QUEUE_MAX];
    uint64_t first, end; // counted from the start of time
};

static inline bool turn_queue_is_full(const struct turn_queue *queue)
{
    return queue->end - queue->first == TURN_QUEUE_MAX;
}

// The next free slot, with room for `max` bytes; NULL when the queue is full. `from` and `to` are
// none and `len` is 0.
struct turn_queue_slot *turn_queue_push(struct turn_queue *queue, int kind, size_t max);
// The oldest output that was not cancelled, or NULL. Its bytes hold until the next push.
const struct turn_queue_slot *turn_queue_pop(struct turn_queue *queue);
// Take back the output that was pushed as number `at`; nothing when it is gone already.
void turn_queue_cancel(struct turn_queue *queue, uint64_t at);
void turn_queue_fini(struct turn_queue *queue);

// ------------------------------------------------------------------------------------------ table

// A bounded map from an address to another, whose entries expire. All entries of a table have the
// same lifetime, so the order of refreshing is the order of expiry, and every step is O(1).
struct turn_entry {
    struct addr key, value;
    nanotime expires_at;
    uint32_t chain;        // next with the same hash
    uint32_t older, newer; // in the order of refreshing
};

struct turn_table {
    struct turn_entry *entries; // owned; grows to `max`
    uint32_t *heads;            // owned; by hash
    uint32_t max, room, used, free;
    uint32_t oldest, newest;
    uint32_t live;
};

struct turn_table turn_table_of(uint32_t max);
void turn_table_fini(struct turn_table *table);
struct turn_entry *turn_table_find(struct turn_table *table, const struct addr *key, nanotime now);
// For so many keys that it does not have.
bool turn_table_has_room(struct turn_table *table, uint32_t count, nanotime now);
// Insert or refresh. NULL: it is full of entries that have not expired.
struct turn_entry *turn_table_put(struct turn_table *table, const struct addr *key,
                                  const struct addr *value, nanotime now, nanotime lifetime);
void turn_table_remove(struct turn_table *table, const struct addr *key);

#endif
