// Shared by the files of the server.
#ifndef STACK_TURN_TURN_SERVER_PRIV_H
#define STACK_TURN_TURN_SERVER_PRIV_H

#include "stack/stun/stun_auth.h"
#include "stack/stun/stun_server.h"
#include "stack/turn/turn_priv.h"
#include "stack/turn/turn_stream.h"

#define TURN_NONE UINT32_MAX

// ------------------------------------------------------------------------------------------ users

struct turn_account {
    char *name, *password; // owned
    uint8_t hash[STUN_USERHASH_LEN];
    struct stun_key *md5, *sha256; // made when first used
    unsigned live;                 // allocations
};

struct turn_users {
    struct turn_account *accounts; // by name
    struct turn_account **by_hash; // by user hash
    unsigned count;
    char *realm;
};

void turn_users_init(struct turn_users *users, const struct turn_server_config *config);
void turn_users_fini(struct turn_users *users);

// Who sent this request, and how the answer is to be signed.
struct turn_login {
    struct turn_account *account; // NULL: nobody that we know
    struct stun_key *key;         // NULL: the answer bears no integrity
    bool sha256;
};

struct turn_server;
// The checks of RFC 8489 9.2.4 in their order: 0, or the code of the error to answer with.
unsigned turn_server_authenticate(struct turn_server *server, nanotime now,
                                  const struct datagram *request, const struct stun_msg *msg,
                                  struct turn_login *out);
// REALM, NONCE and PASSWORD-ALGORITHMS.
void turn_server_add_challenge(struct turn_server *server, nanotime now, const struct addr *client,
                               struct stun_writer *s);

// ------------------------------------------------------------------------------------------ ports

// RFC 8656 7.2: hold a reservation for at least 30 seconds.
#define TURN_RESERVATION_LIFETIME (30 * TIME_S)
#define TURN_RESERVATIONS_MAX 256

struct turn_reservation {
    uint64_t token; // 0: taken up
    uint16_t port;
    nanotime expires_at;
};

// The relayed ports of one IP address, and who has each.
struct turn_ports {
    uint32_t *owners;         // owned; allocation + 1, 0 for free, or TURN_PORT_HELD
    uint16_t min, max, never; // `never` is the server's own port on that IP, or 0
    struct turn_reservation held[TURN_RESERVATIONS_MAX]; // a ring in the order of expiry
    uint64_t held_first, held_end;
};
#define TURN_PORT_HELD UINT32_MAX

void turn_ports_init(struct turn_ports *ports, uint16_t min, uint16_t max, uint16_t never);
void turn_ports_fini(struct turn_ports *ports);
// A random free port, or 0. With `even` an even one; with `reserve` the next one is free too.
uint16_t turn_ports_pick(struct turn_ports *ports, nanotime now, struct rng *rng, bool even,
                         bool reserve);
void turn_ports_take(struct turn_ports *ports, uint16_t port, uint32_t owner);
void turn_ports_free(struct turn_ports *ports, uint16_t port);
uint32_t turn_ports_owner(const struct turn_ports *ports, uint16_t port); // TURN_NONE
// Hold a port for whoever brings the token; false when too many are held.
bool turn_ports_hold(struct turn_ports *ports, nanotime now, uint16_t port, uint64_t token);
// The port of a token, which is used up by this; 0 when there is none.
uint16_t turn_ports_redeem(struct turn_ports *ports, nanotime now, uint64_t token);
void turn_ports_forget(struct turn_ports *ports);

// ------------------------------------------------------------------------------------ allocations

// A client's connection.
struct turn_connection {
    bool open, closing;    // closing: TURN_SERVER_STREAM_CLOSE is due
    unsigned next_closing; // + 1
    struct addr client;
    struct turn_stream framing;
};

#define TURN_BINDS_MAX 8 // ports to try for one allocation

struct turn_allocation {
    struct addr client, relay;
    unsigned stream; // the client's connection + 1; 0: it speaks UDP
    struct turn_account *account;
    nanotime expires_at;
    uint32_t heap_at; // or the next free slot
    bool live;
    uint8_t id[STUN_ID_LEN];       // of the request that made it
    struct turn_login login;       // of that request
    uint64_t has;                  // the attributes of that request
    uint64_t reply_at;             // the number of its answer in the queue
    unsigned binds_failed;         // ports that others on this host turned out to have
    uint64_t token;                // of the reservation that it made; 0: none
    struct turn_table permissions; // IP (port 0) -> nothing
    struct turn_table by_peer;     // peer -> channel number, as a port
    struct turn_table by_number;   // channel number, as a port -> peer
};

struct turn_server {
    struct turn_server_config config; // with defaults filled in; its texts are not kept
    struct stun_server_config stun;
    struct turn_users users;
    struct turn_ports ports;
    struct stun_key *secret; // of the nonces
    unsigned channel_max;    // TURN_CHANNEL_MAX, or of RFC 5766
    struct turn_allocation *allocations;
    uint32_t allocations_room, allocations_used, allocations_free;
    uint32_t *heap; // by (expires_at, slot): the next to expire comes first
    uint32_t heap_len;
    struct turn_table by_client;         // the 5-tuple's client and protocol -> allocation
    struct turn_connection *connections; // by stream; grows to streams_max
    unsigned connections_room;
    unsigned closing;  // the first connection + 1 that is to be closed; 0: none
    unsigned speaking; // the connection + 1 that the message at hand came on; 0: by UDP
    struct turn_queue queue;
    nanotime now; // of the last call
    struct turn_server_stats stats;
};

// The live allocation of a client by the protocol of the message at hand, or NULL.
struct turn_allocation *turn_server_find(struct turn_server *server, nanotime now,
                                         const struct addr *client);
// A new allocation with this relayed port; NULL when there are too many.
struct turn_allocation *turn_server_add(struct turn_server *server, nanotime now,
                                        const struct addr *client, uint16_t port,
                                        nanotime expires_at);
void turn_server_extend(struct turn_server *server, struct turn_allocation *allocation,
                        nanotime expires_at);
// Fill in where the bytes of `slot` go: to a client by UDP or by its connection.
void turn_server_address(const struct turn_server *server, struct turn_queue_slot *slot,
                         const struct addr *client, unsigned stream);
// It gets another port.
void turn_server_move(struct turn_server *server, struct turn_allocation *allocation,
                      uint16_t port);
// Forget it and close its socket.
void turn_server_remove(struct turn_server *server, nanotime now,
                        struct turn_allocation *allocation);

// Answer a request.
enum turn_drop turn_server_request(struct turn_server *server, nanotime now,
                                   const struct datagram *request, const struct stun_msg *msg);
// Answer with an error; `login->key` signs it.
void turn_server_refuse(struct turn_server *server, nanotime now, const struct datagram *request,
                        const struct stun_msg *msg, const struct turn_login *login, unsigned code);
// The port of an allocation whose answer has not gone out cannot be had: answer with another, or,
// after a few, refuse. False: refused, and it must go.
bool turn_server_allocate_again(struct turn_server *server, nanotime now,
                                struct turn_allocation *allocation);
// RFC 8656 21.4: Teredo and 6to4, whose tunnels may send what a server sends back to it, for ever.
bool turn_server_is_tunneled(const struct ip *ip);
bool turn_server_is_forbidden(const struct turn_server *server, const struct ip *peer);
// A message of a client, to one of the listening addresses.
enum turn_drop turn_server_from_client(struct turn_server *server, nanotime now,
                                       const struct datagram *datagram);
// Room for all that one message may set off.
bool turn_server_has_room(const struct turn_server *server);
// Remove what is due, as far as the queue has room for the news.
void turn_server_expire(struct turn_server *server, nanotime now);

// turn_server_stream.c
bool turn_server_poll_closing(struct turn_server *server, struct turn_server_output *out);
void turn_server_close_all(struct turn_server *server);

#endif
