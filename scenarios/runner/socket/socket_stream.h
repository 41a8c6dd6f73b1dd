// TCP connections of the operating system that nobody waits for: what is to be sent waits in a
// bounded queue, and poll() says when there is something to do.
//
//     streams = socket_streams_new(64);
//     id = socket_streams_connect(streams, &from, &to);    // or socket_streams_listen
//     count = socket_streams_fill(streams, polls);         // then poll() with them
//     socket_streams_ready(streams, polls, count);
//     while (socket_streams_next(streams, &event)) { ... } // until it has nothing more
//
// A number is free again once SOCKET_STREAM_CLOSED or _REFUSED was told, or after a close by us.
#ifndef SCENARIOS_SOCKET_STREAM_H
#define SCENARIOS_SOCKET_STREAM_H

#include "base/addr.h"
#include "base/err.h"

#include <poll.h>

// Bytes that wait to be written, of each connection. What would be more is refused.
#define SOCKET_STREAM_QUEUE_MAX ((size_t)256 * 1024)

struct socket_streams;
struct socket_streams *socket_streams_new(unsigned max); // connections and listeners
void socket_streams_free(struct socket_streams *streams);
unsigned socket_streams_max(const struct socket_streams *streams);

// Port 0 asks for any, and becomes the one that it is. False: the system refused, or all are taken.
bool socket_streams_listen(struct socket_streams *streams, struct addr *local, struct err *err);
// From any port where that of `from` is 0. -1: the system refused, or all are taken.
int socket_streams_connect(struct socket_streams *streams, const struct addr *from,
                           const struct addr *to);
// All of it, now or as soon as the system takes it. False: not open, or the queue would be too
// long.
bool socket_streams_send(struct socket_streams *streams, unsigned id, struct bytes bytes);
// After what waits; no event of it is told any more.
void socket_streams_close(struct socket_streams *streams, unsigned id);
struct addr socket_streams_local(const struct socket_streams *streams, unsigned id);
struct addr socket_streams_remote(const struct socket_streams *streams, unsigned id);

// What to wait for: room for socket_streams_max of them.
unsigned socket_streams_fill(const struct socket_streams *streams, struct pollfd *polls);
void socket_streams_ready(struct socket_streams *streams, const struct pollfd *polls,
                          unsigned count);

enum socket_stream_kind {
    SOCKET_STREAM_OPENED, // `incoming`: it came to a listener, and this is the first of it
    SOCKET_STREAM_BYTES,
    SOCKET_STREAM_CLOSED,
    SOCKET_STREAM_REFUSED,
};
struct socket_stream_event {
    enum socket_stream_kind kind;
    unsigned id;
    bool incoming;
    struct bytes bytes; // until the next call
};
bool socket_streams_next(struct socket_streams *streams, struct socket_stream_event *out);

#endif
