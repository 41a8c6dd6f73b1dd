// What passed a vantage point: the packets' headers one behind the other in memory, with their
// times. Payloads of some length pass many vantage points as they are: they are kept once, in a
// store of the world's, and put together with a header when somebody looks.
#ifndef SIMNET_CAPTURE_PRIV_H
#define SIMNET_CAPTURE_PRIV_H

#include "base/clock.h"

#define CAPTURE_SHARED_MIN 64 // shorter payloads are copied each time

struct capture_mark {
    nanotime time;
    size_t at;           // where its bytes begin
    const uint8_t *body; // of the store, after those; NULL: there is none
    uint32_t body_len;
    int16_t first; // byte of the UDP payload; -1: there is none
};

struct capture_scratch {
    uint8_t *at; // a packet put together, once needed
    size_t max;
};

struct capture {
    char *name; // owned by the world
    uint8_t *bytes;
    size_t len, max;
    struct capture_mark *marks;
    uint32_t count, room;
    struct capture_scratch *scratch;
};

// Payloads, in chunks that never move.
struct capture_chunk;
struct capture_store {
    struct capture_chunk *chunks; // the newest first
};

void capture_free(struct capture *capture);
// Returns the packet's number, from 1. `body` is of the store, or empty; `first` as in the mark.
uint32_t capture_add(struct capture *capture, nanotime now, struct bytes head, struct bytes body,
                     int16_t first);
// The whole packet; until the next call on this capture.
struct bytes capture_bytes(const struct capture *capture, uint32_t number);

const uint8_t *capture_store_put(struct capture_store *store, struct bytes bytes);
void capture_store_free(struct capture_store *store);

#endif
