// What a STUN server answers to Binding requests (RFC 8489 6.3), with the second address and the
// redirections of NAT behaviour discovery (RFC 5780). Stateless: a function of the request.
#ifndef STACK_STUN_STUN_SERVER_H
#define STACK_STUN_STUN_SERVER_H

#include "stack/stun/stun.h"

struct stun_server_config {
    struct addr listen;
    struct addr other;    // its IP and its port both differ from `listen`; none: no RFC 5780
    const char *software; // NULL: no SOFTWARE
};

// Is `addr` one of the server's sockets? One without `other`, four with it: each IP with each port.
bool stun_server_is_listening(const struct stun_server_config *config, const struct addr *addr);

// Answer a decoded Binding request that came in `request`. False: nothing is to be answered.
// `out->from` says which of the server's sockets the answer leaves by; its bytes are in `buffer`,
// which should hold STUN_MESSAGE_MAX.
bool stun_server_answer(const struct stun_server_config *config, const struct datagram *request,
                        const struct stun_msg *msg, void *buffer, size_t max, struct datagram *out);

// The same for what stun_decode took for no STUN, as a request of a client of RFC 3489 is: libnice
// asks in that way. False: it is none, or wants what went out of use with that RFC.
bool stun_server_answer_classic(const struct stun_server_config *config,
                                const struct datagram *request, void *buffer, size_t max,
                                struct datagram *out);

#endif
