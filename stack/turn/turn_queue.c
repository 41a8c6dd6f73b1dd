// The queue of outputs, ChannelData, and names.
#include "stack/turn/turn_priv.h"

#include "base/arena.h"

#include <stdlib.h>

struct turn_queue_slot *turn_queue_push(struct turn_queue *queue, int kind, size_t max)
{
    if (turn_queue_is_full(queue))
        return NULL;
    struct turn_queue_slot *slot = &queue->slots[queue->end++ % TURN_QUEUE_MAX];
    if (slot->max < max) {
        slot->at = mem_grow(slot->at, max);
        slot->max = max;
    }
    *slot = (struct turn_queue_slot){.kind = kind, .at = slot->at, .max = slot->max};
    return slot;
}

const struct turn_queue_slot *turn_queue_pop(struct turn_queue *queue)
{
    while (queue->first < queue->end) {
        const struct turn_queue_slot *slot = &queue->slots[queue->first++ % TURN_QUEUE_MAX];
        if (!slot->cancelled)
            return slot;
    }
    return NULL;
}

void turn_queue_cancel(struct turn_queue *queue, uint64_t at)
{
    if (at >= queue->first && at < queue->end)
        queue->slots[at % TURN_QUEUE_MAX].cancelled = true;
}

void turn_queue_fini(struct turn_queue *queue)
{
    for (size_t i = 0; i < TURN_QUEUE_MAX; i++)
        free(queue->slots[i].at);
}

bool turn_channel_decode(struct bytes datagram, uint16_t *number, struct bytes *data)
{
    struct reader r = reader_of(datagram);
    *number = read_u16(&r);
    uint16_t len = read_u16(&r);
    *data = read_bytes(&r, len);
    return !r.failed; // RFC 8656 12.6: too short is discarded; 12.5: padding MAY follow
}

const char *turn_drop_name(enum turn_drop drop)
{
    static const char *const names[TURN_DROPS] = {
        [TURN_KEPT] = "kept",
        [TURN_NOT_OURS] = "not-ours",
        [TURN_MALFORMED] = "malformed",
        [TURN_UNKNOWN_TRANSACTION] = "unknown-transaction",
        [TURN_BAD_INTEGRITY] = "bad-integrity",
        [TURN_UNKNOWN_CHANNEL] = "unknown-channel",
        [TURN_NO_PERMISSION] = "no-permission",
        [TURN_NO_ALLOCATION] = "no-allocation",
        [TURN_QUEUE_FULL] = "queue-full",
    };
    return drop < TURN_DROPS ? names[drop] : "?";
}
