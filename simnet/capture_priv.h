// What passed a vantage point: packets one behind the other in memory, with their times.
#ifndef SIMNET_CAPTURE_PRIV_H
#define SIMNET_CAPTURE_PRIV_H

#include "base/clock.h"

struct capture_mark {
    nanotime time;
    size_t at; // where the packet begins
};

struct capture {
    char *name; // owned by the world
    uint8_t *bytes;
    size_t len, max;
    struct capture_mark *marks;
    uint32_t count, room;
};

void capture_free(struct capture *capture);
// Returns the packet's number, from 1.
uint32_t capture_add(struct capture *capture, nanotime now, struct bytes packet);
struct bytes capture_bytes(const struct capture *capture, uint32_t number);

#endif
