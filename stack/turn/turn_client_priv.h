// Shared by the files of the client.
#ifndef STACK_TURN_TURN_CLIENT_PRIV_H
#define STACK_TURN_TURN_CLIENT_PRIV_H

#include "stack/stun/stun_auth.h"
#include "stack/turn/turn_priv.h"

#define TURN_REQUESTS_MAX 32     // on their way at a time; further ones wait
#define TURN_SERVERS_MAX 4       // the first, and three that ALTERNATE-SERVER led to
#define TURN_STALE_MAX 5         // 438 answers to one request
#define TURN_SERVER_ERRORS_MAX 3 // 500 answers to one request, each tried again a second later
#define TURN_REASON_MAX 128

enum turn_what {
    TURN_WHAT_ALLOCATE,
    TURN_WHAT_REFRESH,
    TURN_WHAT_RELEASE,
    TURN_WHAT_PERMISSION,
    TURN_WHAT_CHANNEL,
};

struct turn_request {
    bool active;
    enum turn_what what;
    unsigned target; // of TURN_WHAT_PERMISSION and _CHANNEL
    uint8_t id[STUN_ID_LEN];
    struct stun_rto rto;
    bool authenticated;
    bool forged; // an answer came whose integrity was missing or wrong
    unsigned stale, server_errors;
    uint8_t *message; // owned
    size_t message_len;
};

// A permission or a channel as the client sees it.
struct turn_grant {
    bool asking;      // a request is on its way
    bool wanted;      // keep it alive
    bool refused;     // the server will not
    nanotime until;   // installed to this time; 0: never was
    nanotime next_at; // ask at this time
};

struct turn_permission {
    struct ip ip;
    struct turn_grant grant;
};

struct turn_peer {
    struct addr addr;
    unsigned permission;
    uint16_t channel;
    struct turn_grant grant; // of the channel
    uint8_t *waiting;        // owned: the newest datagram that waits for the permission
    size_t waiting_len;
    bool is_waiting;
};

struct turn_client {
    struct turn_client_config config; // its texts are not kept
    struct stun_auth *auth;
    enum turn_client_state state;
    bool state_changed; // tell it
    bool releasing;
    bool dont_fragment; // the server knows the attribute
    unsigned failure;
    char reason[TURN_REASON_MAX];
    struct addr servers[TURN_SERVERS_MAX]; // the last one is in use
    unsigned servers_count;
    struct addr relayed, mapped;
    nanotime expires_at, refresh_at;
    bool refreshing;
    struct turn_request requests[TURN_REQUESTS_MAX];
    struct turn_permission permissions[TURN_CLIENT_PEERS_MAX];
    struct turn_peer peers[TURN_CLIENT_PEERS_MAX];
    unsigned permissions_count, peers_count;
    unsigned last_peer; // sent to last
    uint16_t next_channel;
    struct turn_queue queue;
    nanotime now, wake_at;
    bool stale; // wake_at must be found anew
    struct turn_client_stats stats;
};

static inline const struct addr *turn_client_server(const struct turn_client *client)
{
    return &client->servers[client->servers_count - 1];
}

static inline bool turn_grant_holds(const struct turn_grant *grant, nanotime now)
{
    return grant->until > now;
}

// turn_client_request.c: make a request in a free slot; false when all are taken.
bool turn_request_start(struct turn_client *client, nanotime now, enum turn_what what,
                        unsigned target);
void turn_request_end(struct turn_client *client, struct turn_request *request);
void turn_request_end_all(struct turn_client *client);
// An answer came, or none ever will.
enum turn_drop turn_request_answer(struct turn_client *client, nanotime now,
                                   const struct stun_msg *msg);
void turn_request_timeout(struct turn_client *client, nanotime now, struct turn_request *request);

// turn_client.c
void turn_client_fail(struct turn_client *client, nanotime now, unsigned code, struct bytes reason);
void turn_client_set_state(struct turn_client *client, nanotime now, enum turn_client_state state);
// What waited for this permission goes out now.
void turn_client_flush(struct turn_client *client, nanotime now, unsigned permission);

#endif
