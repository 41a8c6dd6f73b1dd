// TURN over UDP and TCP (RFC 8656): the client of one allocation, and a server of many.
//
// Both are sans-IO. Over TCP a client is given whole messages, which turn_stream.h finds; a server
// is given the bytes. Not here: sockets, and which candidates an allocation becomes (peer/).
#ifndef STACK_TURN_TURN_H
#define STACK_TURN_TURN_H

#include "base/addr.h"
#include "base/rng.h"
#include "base/trace.h"

// ----------------------------------------------------------------------------------------- client

struct turn_client;

struct turn_client_config {
    struct addr local; // our socket
    struct addr server;
    const char *username; // copied
    const char *password;
    uint32_t lifetime_s; // asked for; 0 leaves it to the server (600 s)
    // Of the relayed address. IP_NONE: the family of `server`.
    enum ip_family family;
    bool channels; // bind a channel for each peer that data is sent to; else Send indications
    bool dont_fragment;
    // Over TCP: each TURN_SEND is a message for the connection to its `to`, which stands before
    // turn_client_allocate; each input one that came on it. Nothing is retransmitted, and
    // ChannelData are padded. A redirection (300) is the one reason for `to` to change: the driver
    // connects there instead.
    bool stream;
    struct rng rng;
    struct trace trace;
};

enum turn_client_state {
    TURN_IDLE,
    TURN_ALLOCATING,
    TURN_ALLOCATED,
    TURN_FAILED, // see turn_client_failure
    TURN_RELEASED,
};

enum turn_output_kind {
    TURN_SEND,          // put `send` on the wire
    TURN_STATE_CHANGED, // ask turn_client_state
    TURN_DATA,          // `data`: from a peer, to the relayed address
};

struct turn_output {
    enum turn_output_kind kind;
    struct datagram datagram; // TURN_SEND, TURN_DATA; borrowed until the next call on the client
};

// Why a datagram was not taken.
enum turn_drop {
    TURN_KEPT,
    TURN_NOT_OURS, // not from the server, or neither STUN nor ChannelData
    TURN_MALFORMED,
    TURN_UNKNOWN_TRANSACTION,
    TURN_BAD_INTEGRITY,
    TURN_UNKNOWN_CHANNEL,
    TURN_NO_PERMISSION,
    TURN_NO_ALLOCATION, // for a relayed address or from a client that has none
    TURN_QUEUE_FULL,    // too many outputs wait to be polled
    TURN_DROPS,
};
const char *turn_drop_name(enum turn_drop drop);

struct turn_client *turn_client_new(const struct turn_client_config *config);
void turn_client_free(struct turn_client *client);

// Begin the allocation. Everything else waits until it stands.
void turn_client_allocate(struct turn_client *client, nanotime now);
// Install a permission for the peer's IP address ahead of the first datagram (RFC 8656 9).
void turn_client_permit(struct turn_client *client, nanotime now, const struct ip *peer);
// Send to a peer through the relay. Without a permission one is asked for first, and the datagram
// (one for each peer, the newest) waits for it. False: no allocation, the server refused the
// permission, the peer is of another address family, the datagram is larger than TURN_DATA_MAX, or
// a table is full (TURN_CLIENT_PEERS_MAX peers, 256 outputs not yet polled).
#define TURN_DATA_MAX 65440
#define TURN_CLIENT_PEERS_MAX 128
bool turn_client_send(struct turn_client *client, nanotime now, const struct addr *peer,
                      struct bytes bytes);
// Refresh now and not when it is due, to learn whether the server still has the allocation: then
// stats.refreshes grows, else (437) the client fails (RFC 8656 5).
void turn_client_refresh(struct turn_client *client, nanotime now);
// The connection is gone, and with it the 5-tuple: the allocation can be refreshed no more. The
// client fails with error 0 and this reason.
void turn_client_disconnected(struct turn_client *client, nanotime now, const char *reason);
// Give the allocation back: Refresh with LIFETIME 0.
void turn_client_release(struct turn_client *client, nanotime now);

enum turn_drop turn_client_input(struct turn_client *client, nanotime now,
                                 const struct datagram *datagram);
bool turn_client_poll(struct turn_client *client, nanotime now, struct turn_output *out);
nanotime turn_client_deadline(const struct turn_client *client);

enum turn_client_state turn_client_state(const struct turn_client *client);
// The relayed transport address and our mapped address; none before TURN_ALLOCATED.
struct addr turn_client_relayed(const struct turn_client *client);
struct addr turn_client_mapped(const struct turn_client *client);
// The STUN error code that ended it, or 0 (no answer), with the reason phrase.
unsigned turn_client_failure(const struct turn_client *client, struct bytes *reason);

struct turn_client_stats {
    unsigned requests, retransmissions, stale_nonces, refreshes, permissions, channel_binds;
    unsigned data_sent, data_received;
};
struct turn_client_stats turn_client_stats(const struct turn_client *client);

// ----------------------------------------------------------------------------------------- server

struct turn_server;

struct turn_user {
    const char *name;
    const char *password;
};

// Zero in any number below asks for the value in brackets.
//
// A server answers STUN Binding requests too (RFC 8656 3: a TURN server is a STUN server).
struct turn_server_config {
    struct addr listen;
    struct addr other;  // RFC 5780 OTHER-ADDRESS of a STUN server with two addresses; none: no 5780
    struct ip relay_ip; // relayed addresses are on this IP
    uint16_t relay_port_min, relay_port_max; // [49152, 65535]
    bool stun_only;                          // no TURN methods: Binding alone
    const char *realm;                       // copied, as are the users
    const struct turn_user *users;
    unsigned users_count;
    uint32_t lifetime_default_s, lifetime_max_s; // [600, 3600] (RFC 8656 3.2, 7.2)
    uint32_t nonce_lifetime_s;                   // [3600]; then 438
    unsigned allocations_max;                    // in all: then 508 [4096]
    unsigned allocations_per_user_max;           // then 486 [no limit of its own]
    unsigned permissions_max, channels_max;      // of one allocation: then 508 [256, 256]
    // Loopback and IPv4-mapped IPv6 peers; else they are refused with 403, as link-local,
    // multicast, broadcast, unspecified, Teredo and 6to4 ones always are.
    bool allow_loopback_peers;
    // Also take the channel numbers 0x5000 to 0x7fff of RFC 5766, which RFC 8656 12 withdrew: older
    // clients (coturn's turnutils_uclient) still draw them. Else they get 400.
    bool rfc5766_channels;
    unsigned streams_max;  // clients connected by TCP at a time [1024]
    struct addr alternate; // answer Allocate with 300 (Try Alternate) and this; none: do not
    struct rng rng;
    struct trace trace;
};

enum turn_server_output_kind {
    TURN_SERVER_SEND,         // from `datagram.from`, which is the listening or a relayed address
    TURN_SERVER_BIND,         // open a socket on `relay`: sent before anything comes from it
    TURN_SERVER_UNBIND,       // close it
    TURN_SERVER_STREAM_SEND,  // `datagram.bytes` on `stream`
    TURN_SERVER_STREAM_CLOSE, // close `stream`: it is not spoken of again
};

struct turn_server_output {
    enum turn_server_output_kind kind;
    struct datagram datagram; // borrowed until the next call on the server
    bool dont_fragment;       // TURN_SERVER_SEND to a peer: the client asked for the DF bit
    struct addr relay;
    unsigned stream;
};

struct turn_server *turn_server_new(const struct turn_server_config *config);
void turn_server_free(struct turn_server *server);

// Datagrams to the listening address and to every relayed address come in here.
enum turn_drop turn_server_input(struct turn_server *server, nanotime now,
                                 const struct datagram *datagram);
// Clients by TCP (RFC 8656 2.1, 3.1: the protocol is part of the 5-tuple). The driver numbers its
// connections, each below `streams_max`, and uses a number again once it is closed. False: all that
// there may be are open, or this one is; close it.
bool turn_server_stream_open(struct turn_server *server, nanotime now, unsigned stream,
                             const struct addr *client);
// What was read, however it was cut. Poll after each few KiB: what finds 256 outputs waiting is
// dropped. The worst outcome among its messages; TURN_MALFORMED may end the connection
// (TURN_SERVER_STREAM_CLOSE).
enum turn_drop turn_server_stream_input(struct turn_server *server, nanotime now, unsigned stream,
                                        struct bytes bytes);
// The client closed it, or it broke: its allocation goes.
void turn_server_stream_closed(struct turn_server *server, nanotime now, unsigned stream);
bool turn_server_poll(struct turn_server *server, nanotime now, struct turn_server_output *out);
nanotime turn_server_deadline(const struct turn_server *server);

// The driver could not bind `relay`: another program may have the port. The server asks for another
// port; after 8 that failed, or for one that was reserved, the answer is 508 and it is forgotten.
void turn_server_bind_failed(struct turn_server *server, nanotime now, const struct addr *relay);
// Forget everything, as a restarted process would.
void turn_server_reset(struct turn_server *server, nanotime now);

struct turn_server_stats {
    unsigned bindings, allocations, allocations_live, refreshes, permissions, channels;
    unsigned errors; // responses of class error, 401 and 438 among them
    unsigned stale_nonces, quota_refusals;
    unsigned streams, streams_live, streams_broken; // broken: closed for what came on them
    uint64_t relayed_to_peers, relayed_to_clients;  // datagrams
};
struct turn_server_stats turn_server_stats(const struct turn_server *server);

#endif
