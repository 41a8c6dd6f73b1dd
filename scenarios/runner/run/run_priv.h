// What the files of a run share. Each owns a part of `struct run`:
//
//   run.c        life of a run, the event loop
//   build.c      the world: segments, gateways, hosts, and the actors put on them
//   actors.c     driving peers and servers: input, poll, deadline
//   signaling.c  descriptions and candidates on their way
//   timeline.c   what the file says should happen when
//   traffic.c    data channels: what was sent, what must arrive
//   call.c       audio and video: tracks, clear captures, what is played out
//   call_decode.c  what a played frame really shows or sounds like
//   call_stats.c   getStats() of each peer over time; call_stats_transport.c all but media
//   metrics.c    every name an expectation may use
//   watch.c      expectations over the run
//   invariants.c what holds in every run
//   diagnose.c   why a run failed
//   counts.c     what a capture holds
//   live_run.c   the same with processes as peers and the real clock
#ifndef SCENARIOS_RUN_PRIV_H
#define SCENARIOS_RUN_PRIV_H

#include "scenarios/runner/load/expect.h"
#include "scenarios/runner/run/oracle.h"
#include "scenarios/runner/run/run.h"
#include "stack/turn/turn.h"

#define NO_SESSION UINT32_MAX

struct live_run;
struct call_decoded;
struct call_sink;
struct stats;
struct signal_message;
struct channel_track;
struct handle_track;
struct sender;
struct watch;

struct run_peer {
    const struct scenario_peer *scenario;
    struct run *run;
    unsigned index;
    struct host *host;
    void *peer;
    unsigned session; // index, or NO_SESSION
    unsigned remote;  // index of the other peer of the session
    bool closed;
    nanotime closed_at;
    bool stats_fresh;
    struct peer_stats stats;
    uint32_t streams[PEER_STREAMS_MAX]; // numbers in the world, by the peer's; 0: none
    nanotime signal_last;               // delivery of the latest message of ours, for order
    struct rng signal_rng;

    struct channel_track *channels; // by label
    unsigned channels_count;
    struct handle_track *handles; // by the peer's channel handle
    unsigned handles_max;

    struct text descriptions[2]; // the latest offer and answer that it gave
    unsigned clear_point;        // its clear capture in the world, and one; 0: none yet
    struct call_sink **sinks;    // by track; NULL: nothing of it is decoded
    unsigned sinks_count;
    uint64_t *keyframes_before; // by track: decoded when one was asked for, and one; 0: never asked
};

struct run_server {
    const struct scenario_server *scenario;
    struct run *run;
    unsigned index;
    struct host *host;
    struct turn_server *server; // NULL: a program of its own
};

// What a host's user pointer shows.
struct run_actor {
    bool is_server;
    unsigned index;
};

enum invariant {
    INVARIANT_NONE,
    INVARIANT_ORPHAN_CHANCE,
    INVARIANT_DATA_WITHOUT_CONSENT,
    INVARIANT_OVER_MTU,
    INVARIANT_SEND_AFTER_CLOSE,
    INVARIANT_UNBOUND_SOURCE,
};

struct run {
    const struct scenario *scenario;
    struct run_options options;
    uint64_t seed;
    struct arena arena;
    struct trace_log log;
    struct trace trace; // who: "run"
    struct world *world;
    const struct peer_ops *ops;
    struct live_run *live; // NULL: virtual time
    bool uses_sctp;

    struct segment *wan;
    struct segment **lans;
    struct gateway **gateways; // by LAN
    struct run_peer *peers;
    struct run_server *servers;
    struct run_actor *actors;

    struct signal_message **signals; // heap by (at, sequence)
    unsigned signals_count, signals_max;
    uint64_t signal_sequence;

    unsigned action_next, session_next;
    unsigned *session_order; // by time
    struct sender *senders;

    struct watch *watches;
    unsigned watches_count, watches_open;
    bool watches_at_end; // some are decided only by the end of the run
    bool changed;        // since the watches last looked

    struct stats *stats; // NULL: nobody asked
    nanotime stats_interval, stats_due;

    enum invariant broken; // the first
    nanotime broken_at;
    const char *broken_text;
    nanotime ended_at;
};

// Wakers of the world: 0 is the run's own, then the peers, then the servers.
#define RUN_WAKER 0u
static inline unsigned peer_waker(unsigned index)
{
    return 1 + index;
}
static inline unsigned server_waker(const struct run *run, unsigned index)
{
    return 1 + run->scenario->peers_count + index;
}

static inline nanotime run_now(const struct run *run)
{
    return world_now(run->world);
}

void run_build(struct run *run); // build.c
// What an event of the world sets off.
void run_dispatch(struct run *run, const struct world_event *event); // run.c

void actor_input(struct run *run, const struct world_event *event); // actors.c
void actor_wake(struct run *run, unsigned waker);
// After any command on a peer: carry out what it asks for, and set its next deadline.
void peer_pump(struct run *run, struct run_peer *peer);
void server_pump(struct run *run, struct run_server *server);
const struct peer_stats *peer_stats_now(struct run_peer *peer);
// Its selected pair sends by a relay. A candidate of that pair need not be called so: where the
// relay is behind a NAT, its base is one, and it is peer-reflexive (RFC 8445 7.2.5.3.1).
bool peer_is_relayed(struct run_peer *peer);

void signal_post(struct run *run, struct run_peer *from, bool candidate, bool answer,
                 struct bytes bytes); // signaling.c
void signal_deliver_due(struct run *run);
nanotime signal_deadline(const struct run *run);
void signal_free(struct run *run);

void timeline_run_due(struct run *run); // timeline.c
nanotime timeline_deadline(const struct run *run);

void traffic_open_initial(struct run *run, const struct scenario_session *session); // traffic.c
void traffic_open(struct run *run, struct run_peer *peer, const struct scenario_channel *channel);
void traffic_close(struct run *run, struct run_peer *peer, const char *label);
void traffic_send(struct run *run, const struct scenario_action *action);
void traffic_opened(struct run *run, struct run_peer *peer, unsigned handle);
void traffic_message(struct run *run, struct run_peer *peer, const struct peer_output *out);
void traffic_channel_closed(struct run *run, struct run_peer *peer, unsigned handle);
void traffic_writable(struct run *run, const struct run_peer *peer);
void traffic_run_due(struct run *run);
nanotime traffic_deadline(const struct run *run);
void traffic_free(struct run *run);

// What is known of the channels with one label at one peer. Counts are over all of them.
struct channel_track {
    char label[CHANNEL_LABEL_MAX];
    unsigned opened, closed;
    uint64_t sent, bytes_sent, received, bytes_received, duplicates, damaged, out_of_order;
    nanotime opened_at, first_at, last_at, latency_max;
    bool refused; // a send or an open was refused outright
};
const struct channel_track *traffic_find(const struct run_peer *peer, const char *label);

// Audio and video (call.c).
void calls_begin(struct run *run, const struct scenario_session *session);
void call_clear(struct run *run, struct run_peer *peer, const struct datagram *datagram);
void call_frame(struct run *run, struct run_peer *peer, const struct peer_output *out);
void calls_free(struct run *run);
// Zeros where nothing is decoded.
void call_decoded(const struct run_peer *peer, unsigned track, struct call_decoded *out);
// Zeros where the peer cannot tell.
void call_track_stats(struct run *run, struct run_peer *peer, unsigned track,
                      struct media_track_stats *out);

// From now on key frames of this track count as answers.
void call_keyframe_asked(struct run *run, struct run_peer *peer, unsigned track);

// Statistics over time (call_stats.c). Of a moment they are taken when all that happens at it has,
// so before the first event after it: nothing in the run is for their sake.
void call_stats_begin(struct run *run);
void call_stats_before(struct run *run, nanotime now);
void call_stats_end(struct run *run);

void invariant_break(struct run *run, enum invariant invariant, const char *format, ...)
    __attribute__((format(printf, 3, 4))); // invariants.c
void invariants_at_send(struct run *run, struct run_peer *peer, const struct datagram *datagram);
void invariants_at_end(struct run *run);
const char *invariant_rule(enum invariant invariant);

void watch_start(struct run *run); // watch.c
void watch_look(struct run *run);  // now, if something changed or a time has come
void watch_end(struct run *run);   // the run is over
bool watch_needs_capture(const struct run *run);
nanotime watch_deadline(const struct run *run);
unsigned watch_results(const struct run *run, struct arena *arena, struct result_expectation **out,
                       const struct watch **first_broken);

void diagnose(struct run *run, const struct watch *broken, struct result *out); // diagnose.c

struct capture_counts {
    uint32_t stun, dtls;
};
// STUN (and TURN ChannelData), and DTLS bare or inside of TURN, at a vantage point.
struct capture_counts capture_counts(const struct world *world, unsigned capture); // counts.c

#endif
