// Real sockets around a sans-IO machine: the driver of the commands that speak to the world,
// and a model for those who embed the stack.
//
//     loop = socket_loop_new(1, &err);
//     socket_loop_open(loop, &local, &err);
//     for (;;) {
//         while (machine_poll(machine, socket_loop_now(loop), &output))
//             socket_loop_send(loop, &output.datagram, false);
//         switch (socket_loop_wait(loop, machine_deadline(machine), &datagram)) {
//         case SOCKET_DATAGRAM: machine_input(machine, socket_loop_now(loop), &datagram); break;
//         case SOCKET_DEADLINE: break; // poll again
//         case SOCKET_SIGNAL: ...      // SIGINT or SIGTERM: clean up and end
//         case SOCKET_ERROR: ...
//         }
//     }
//
// The machine never learns that the sockets are real: it is told `now` and the bytes, as in the
// virtual world. A loop owns its sockets and, while it lives, the signals SIGINT and SIGTERM; it
// is for one thread, and there is one at a time.
//
// By TCP: socket_loop_streams, and SOCKET_STREAM.
//
// Not here: interfaces (a socket is bound to one address of this machine, never to a
// wildcard, so that answers leave from where requests went), IPv6 zones.
#ifndef SCENARIOS_SOCKET_LOOP_H
#define SCENARIOS_SOCKET_LOOP_H

#include "base/addr.h"
#include "base/clock.h"
#include "base/err.h"
#include "scenarios/runner/socket/socket_stream.h"

struct socket_loop;

// NULL: the system refused, see `err`.
struct socket_loop *socket_loop_new(unsigned sockets_max, struct err *err);
void socket_loop_free(struct socket_loop *loop); // closes all; NULL is allowed

// Open a UDP socket. Port 0 asks for any, and becomes the one that it is. False: the system
// refused, or there are `sockets_max` already.
bool socket_loop_open(struct socket_loop *loop, struct addr *local, struct err *err);
// The TCP connections of this loop, up to `max` of them. Asked for with 0: NULL until then.
struct socket_streams *socket_loop_streams(struct socket_loop *loop, unsigned max);
// The event of SOCKET_STREAM, until the next wait.
const struct socket_stream_event *socket_loop_stream(const struct socket_loop *loop);
// Close the socket of this address; nothing where there is none.
void socket_loop_close(struct socket_loop *loop, const struct addr *local);

// Time since the loop began.
nanotime socket_loop_now(const struct socket_loop *loop);
// Move that clock on by `span`: what is due in minutes is due now. For checks of timers alone.
void socket_loop_skip(struct socket_loop *loop, nanotime span);

// Send from the socket of `datagram->from`. False: there is none, or the system refused (no route,
// no room, too large for the path with `dont_fragment`); with UDP that is a lost datagram.
bool socket_loop_send(struct socket_loop *loop, const struct datagram *datagram,
                      bool dont_fragment);

enum socket_event {
    SOCKET_STREAM,   // socket_loop_stream says what
    SOCKET_DATAGRAM, // `out` is one; its bytes hold until the next wait
    SOCKET_DEADLINE, // the deadline has come
    SOCKET_SIGNAL,   // SIGINT or SIGTERM: socket_loop_signal says which
    SOCKET_ERROR,    // the system refused to wait: socket_loop_signal says errno
};
// Wait for one of them, in fair turns between the sockets. TIME_NEVER: until something comes.
enum socket_event socket_loop_wait(struct socket_loop *loop, nanotime deadline,
                                   struct datagram *out);
int socket_loop_signal(const struct socket_loop *loop);

// The address of this machine that datagrams to `remote` leave from, with port 0.
bool socket_route(const struct addr *remote, struct addr *local, struct err *err);
// "192.0.2.1:3478", "[2001:db8::1]", "stun.example.org:3478": numbers, or a name for the resolver.
// Without a port it is `port`.
bool socket_resolve(const char *text, uint16_t port, struct addr *out, struct err *err);

#endif
