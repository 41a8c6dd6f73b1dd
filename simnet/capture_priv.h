// What passed a vantage point. All of it stands in one store of the world's, in the order in which
// it happened: a record of each packet with its headers. Payloads of some length pass many vantage
// points as they are: they are kept once, and put together with a header when somebody looks.
#ifndef SIMNET_CAPTURE_PRIV_H
#define SIMNET_CAPTURE_PRIV_H

#include "base/clock.h"

#define CAPTURE_SHARED_MIN 64 // shorter payloads are copied each time

struct capture_record {
    nanotime time;
    const uint8_t *body; // of the store, after the head; NULL: there is none
    uint32_t body_len, head_len;
    uint8_t head[];
};

struct capture_entry {
    const struct capture_record *record;
    int16_t first; // byte of the UDP payload; -1: there is none
};

struct capture_scratch {
    uint8_t *at; // a packet put together, once needed
    size_t max;
};

struct capture {
    char *name; // owned by the world
    struct capture_entry *entries;
    uint32_t count, room;
    struct capture_scratch *scratch;
};

// In chunks that never move.
struct capture_chunk;
struct capture_store {
    struct capture_chunk *chunks; // the newest first
};

void capture_free(struct capture *capture);
// The whole packet; until the next call on this capture.
struct bytes capture_bytes(const struct capture *capture, uint32_t number);

void capture_store_free(struct capture_store *store);

#endif
