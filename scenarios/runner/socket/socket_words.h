// The words of the commands that use real sockets: credentials, ports, addresses of this machine,
// where chance comes from, and how text of the network is shown.
#ifndef SCENARIOS_SOCKET_WORDS_H
#define SCENARIOS_SOCKET_WORDS_H

#include "base/addr.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/rng.h"

// "name:password"; the password may have colons. Both texts are the arena's.
struct socket_user {
    const char *name, *password;
};
bool socket_parse_user(const char *text, struct arena *arena, struct socket_user *out,
                       struct err *err);
// "50000-50999".
bool socket_parse_ports(const char *text, uint16_t *min, uint16_t *max, struct err *err);
// An address of this machine, not a wildcard: "192.0.2.1:3478"; without a port it is `port`.
bool socket_parse_local(const char *option, const char *text, uint16_t port, struct addr *out,
                        struct err *err);

// 256 bits of the system's own random source: what strangers see must not be guessed. With a seed,
// the stream of that seed.
bool socket_rng(const char *seed, struct rng *out, struct err *err);

// Text from the network, fit for a terminal: bytes that do not print are dots, and it is cut. `to`
// holds SOCKET_TEXT_MAX; returns `to`.
#define SOCKET_TEXT_MAX 128
const char *socket_print(struct bytes from, char *to);

#endif
