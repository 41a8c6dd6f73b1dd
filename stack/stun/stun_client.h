// One STUN transaction over UDP (RFC 8489 6.2.1): a Binding request, sent until it is answered.
//
//     client = stun_client_new(&config, now);
//     while (stun_client_poll(client, now, &datagram)) { send it }
//     stun_client_input(client, now, &received);
//     wake = stun_client_deadline(client);
//
// Used to learn a server-reflexive address, and with CHANGE-REQUEST and RESPONSE-PORT to probe a
// NAT (RFC 5780). Not here: connectivity checks (ice/), allocations (turn/).
#ifndef STACK_STUN_STUN_CLIENT_H
#define STACK_STUN_STUN_CLIENT_H

#include "base/rng.h"
#include "stack/stun/stun.h"

enum stun_client_state {
    STUN_CLIENT_ASKING,
    STUN_CLIENT_ANSWERED,
    STUN_CLIENT_REFUSED, // an error response: see the code
    STUN_CLIENT_TIMED_OUT,
};

struct stun_client_config {
    struct addr local, server;
    const char *username, *password; // copied; NULL: no credentials
    bool long_term;                  // else short-term
    bool change_ip, change_port;     // CHANGE-REQUEST
    uint16_t response_port;          // RESPONSE-PORT; 0: none
    bool fingerprint;
    nanotime rto; // 0: STUN_RTO_MS
    struct rng rng;
};

struct stun_client;

struct stun_client *stun_client_new(const struct stun_client_config *config, nanotime now);
void stun_client_free(struct stun_client *client); // NULL is allowed

// True when the datagram was the answer (also a challenge that is being met).
bool stun_client_input(struct stun_client *client, nanotime now, const struct datagram *datagram);
// True while there is a datagram to send; its bytes hold until the next call.
bool stun_client_poll(struct stun_client *client, nanotime now, struct datagram *out);
nanotime stun_client_deadline(const struct stun_client *client);

struct stun_client_result {
    enum stun_client_state state;
    struct addr mapped;                         // none unless answered with one
    struct addr response_origin, other_address; // RFC 5780; none where the server has no such thing
    struct addr from;                           // where the answer really came from
    unsigned error_code;                        // of STUN_CLIENT_REFUSED
    // An answer came that did not count for its integrity: with STUN_CLIENT_TIMED_OUT that, and no
    // silence, is what ended it (RFC 8489 9.1.4, 9.2.5).
    bool forged;
    unsigned sent;       // transmissions of the last request
    nanotime round_trip; // since its last transmission
};
struct stun_client_result stun_client_result(const struct stun_client *client);

#endif
