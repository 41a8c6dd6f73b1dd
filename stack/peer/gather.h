// Gathering (RFC 8445 5.1.1): which candidates this host has, learnt from its own addresses, from
// STUN servers and from TURN servers; and the relays, for as long as they are needed.
//
//     took = gather_input(gather, now, &datagram);       // each datagram received, before others
//     while (gather_poll(gather, now, &output)) { ... }  // after each input, and when due
//     wake = gather_deadline(gather);
//
// Not here: priorities and redundant candidates (ice/), how candidates are told (peerconnection.c).
#ifndef STACK_PEER_GATHER_H
#define STACK_PEER_GATHER_H

#include "stack/peer/peer.h"
#include "stack/stun/stun_client.h"
#include "stack/turn/turn.h"
#include "stack/turn/turn_stream.h"

#define GATHER_TASKS_MAX (PEER_LOCALS_MAX * PEER_SERVERS_MAX)
#define GATHER_PERMITS_MAX 64
#define GATHER_HELD_MAX 1024 // a request that waits for the connection to another server

// The connection to a TURN server by TCP; its number is that of the task.
enum gather_stream { GATHER_NO_STREAM, GATHER_STREAM_WANTED, GATHER_OPENING, GATHER_OPEN };

// One question to one server from one local address.
struct gather_task {
    const struct peer_server *server;
    struct addr local;
    bool waiting;                // not asked yet
    bool asking;                 // asked, and gathering waits for it
    bool give_srflx, give_relay; // candidates to hand out
    bool unwanted;               // an allocation that comes too late: to be given back
    bool by_tcp;                 // TURN over TCP: from any port of `local`
    bool verifying;              // an allocation from before: does the server still have it?
    unsigned refreshes;          // its refreshes until then
    struct stun_client *stun;    // NULL: no transaction
    struct turn_client *turn;    // NULL: none yet
    struct addr mapped, relayed;
    nanotime keepalive_at;
    enum gather_stream stream;
    bool close_due; // of the connection before
    struct addr stream_to;
    struct turn_stream framing;
    uint8_t *held; // owned: what goes out once the stream is open
    size_t held_len;
};

struct gather {
    const struct peer_config *config; // borrowed
    struct rng *rng;                  // borrowed
    struct trace trace;
    struct gather_task *tasks;
    unsigned tasks_count;
    unsigned next; // no task before it waits
    unsigned hosts_given;
    bool running;       // until GATHER_DONE
    bool keep_bindings; // refresh reflexive addresses
    nanotime next_at;   // when the next transaction may start
    nanotime timeout_at;
    struct ip *permits; // remote addresses told so far
    unsigned permits_count;
    // Of clients that are gone; gather_stats adds those that are not.
    struct turn_client_stats past;
    unsigned allocations, turn_error;
};

enum gather_output_kind {
    GATHER_SEND,         // `datagram`
    GATHER_STREAM_OPEN,  // `stream`, from and to of `datagram`
    GATHER_STREAM_SEND,  // `stream`, bytes of `datagram`
    GATHER_STREAM_CLOSE, // `stream`
    GATHER_CANDIDATE,    // `candidate`, for ice_agent_add_local
    GATHER_RELAYED,      // `datagram`, from a remote to one of our relayed addresses
    GATHER_DONE,         // no more candidates
};
struct gather_output {
    enum gather_output_kind kind;
    struct datagram datagram; // until the next call
    unsigned stream;
    struct ice_candidate candidate;
};

void gather_init(struct gather *gather, const struct peer_config *config, struct rng *rng);
void gather_fini(struct gather *gather);

// From the beginning: again for an ICE restart, when allocations that stand are used again.
void gather_start(struct gather *gather, nanotime now);

enum gather_took { GATHER_NOT_OURS, GATHER_TOOK, GATHER_REFUSED };
enum gather_took gather_input(struct gather *gather, nanotime now, const struct datagram *datagram);
enum gather_took gather_stream_event(struct gather *gather, nanotime now, unsigned stream,
                                     enum peer_stream_event event, struct bytes bytes);
bool gather_poll(struct gather *gather, nanotime now, struct gather_output *out);
nanotime gather_deadline(const struct gather *gather);

// A remote address that relays should let through (RFC 8656 9).
void gather_permit(struct gather *gather, nanotime now, const struct ip *remote);
// The allocation with this relayed address, or NULL.
struct turn_client *gather_relay(const struct gather *gather, const struct addr *relayed);
// A pair is chosen: reflexive addresses need no refresh of their own (RFC 8445 5.1.1.4).
void gather_bindings_done(struct gather *gather);
// Give allocations back, but not the one with the relayed address `keep` (NULL: all of them).
void gather_release(struct gather *gather, nanotime now, const struct addr *keep);
// No more candidates and questions; all allocations go back.
void gather_close(struct gather *gather, nanotime now);

// gather_stream.c: the parts for a task by TCP.

// Connect to `to`; a connection that there is goes first.
void gather_stream_want(struct gather_task *task, const struct addr *to);
void gather_stream_drop(struct gather_task *task);
// What the TURN client wants sent. False: it waits for a connection.
bool gather_stream_send(struct gather_task *task, const struct datagram *datagram,
                        struct gather_output *out);
// True: the connection itself wants something.
bool gather_stream_poll(struct gather *gather, unsigned task, struct gather_output *out);
bool gather_stream_is_due(const struct gather_task *task);
// Its candidate: what RFC 8445 has no word for but 5.1.1.3.
void gather_stream_candidate(const struct gather *gather, const struct gather_task *task,
                             struct ice_candidate *candidate);
// gather.c: the question to a TURN server that can be reached now.
void gather_ask_turn(struct gather *gather, nanotime now, struct gather_task *task);

struct turn_client_stats gather_stats(const struct gather *gather);

#endif
