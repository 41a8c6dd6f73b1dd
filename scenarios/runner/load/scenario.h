// A scenario: the YAML file as plain data, checked, with every name resolved to an index.
//
// A file with a matrix describes one scenario for each cell of the cross product. All memory is in
// the set's arena; scenarios are immutable after loading.
//
// The file, all keys (times need a unit; percents a '%'; sizes B, KiB, MiB; rates bps, kbps, Mbps):
//
//   name: text                      # required
//   about: text                     # what it proves
//   covers: [8445-7.3.1.4-1, ...]   # ids of scenarios/requirements.tsv
//   seed: 1
//   limit: 30s                      # of virtual time; default 60s. A run ends earlier when all is
//   decided resources: {cpu: 10s, memory: 512MiB, wall: 30s} network:
//     wan: {LINK}                   # crossed once by each packet between two attachments
//     lans:
//       home:
//         gateway: {nat: NAT, firewall: FIREWALL}   # no gateway key: nat port-restricted
//         uplink: {LINK, up: {LINK}, down: {LINK}}  # both ways, or one
//         link: {LINK}              # of each host on it
//         prefix: 192.168.1.0/24    # default: one of its own
//         behind: cgn               # the LAN that its gateway is on; default: the wan
//         isolate: true             # hosts cannot reach each other
//         external: [203.0.113.9]   # the NAT's pool; default: one address of its own
//   LINK keys: preset delay jitter jitter-shape jitter-reorders loss loss-burst duplicate reorder
//         reorder-by corrupt rate queue discipline (tail codel) codel-target codel-interval mtu
//         down
//   NAT: a preset's name (full-cone restricted-cone port-restricted symmetric), `none`, or
//         {preset mapping filtering ports port-parity pooling hairpin lifetime filter-lifetime
//         refresh (out in both) port-min port-max mappings-max when-full (refuse evict)}
//   FIREWALL: a preset's name (home udp-blocked corporate), or {default-out default-in idle rules:
//         [{direction action protocol address ports payload}]}; also preset, flows-max
//   servers:
//     stun: {at: wan}               # kind: stun or turn; default: its name
//     turn: {at: wan, kind: turn, port: 3478, user: u, password: p, realm: r, lifetime: 600s,
//            lifetime-max: 3600s, nonce-lifetime: 3600s, quota: 10, allocations-max: 1000,
//            relay-ports: 49152-65535, redirect: other-server, other-address: true,
//            allow-loopback-peers, transports: [udp, tcp], program: coturn (live), address:
//            203.0.113.7}   # address: default one of its own
//   peers:
//     alice: {at: home, ice-servers: [stun, turn, {turn: tcp}], relay-only, ice-lite, role
//     (controlling
//             controlled), tiebreaker, dtls (auto active passive), wrong-fingerprint, mtu,
//             sctp-port, max-message-size, ta, consent-interval, consent-timeout, nomination-wait,
//             srtp: [aes-cm-80, aes-gcm-128, aes-gcm-256] (default: all),
//             clock-skew: -50ppm (of its media), patience, gather-timeout, turn-lifetime,
//             turn-channels, identity, polite (in a glare it takes the other's offer),
//             peer: simrtc, or {kind: adapter, run: [node, peer.mjs],
//             install: text, media: true (it offers audio and video besides)}} (live) # at: a LAN
//             or wan, or a list of them: an interface each
//   session:                        # or sessions: a list of these
//     offerer: alice                # answerer: the other peer, required when there are more than
//     two at: 0s                        # when the offer is made trickle: true ice-only: false
//     glare: false                  # true: the answerer makes an offer at that moment, too
//     signaling: {delay: 40ms, jitter, loss, duplicate, reorder, reorder-by,
//       lose: [answer]}             # every one, without chance: offer, answer, candidates,
//                                   # end-of-candidates; of one peer: alice.candidates
//     data: [{label: chat, ordered: true, max-retransmits, max-lifetime, negotiated, id, protocol,
//     priority, count, from}]         # count: so many channels of this label
//     audio: opus                     # or video: VP8: a track both ways; a list: by preference
//     media: [{label: screen, video: VP8, from: both (a peer's name), bitrate, clip, decode, loop,
//     start, stop, fps, width, height, keyframe-interval, frame-time, dtx, nack, rtx, red, pli, fec
//     (none ulpfec flexfec), fec-share, layers: [{rid, scale, bitrate}], receive-max,
//     answerer-codecs (what that one has instead), first-sequence, first-timestamp}] # nack, rtx
//     and pli are on for video bandwidth: {control: gcc (remb fixed), start, min, max,
//     feedback: transport-cc (ccfb remb)}
//     clear-capture: false            # true: media before and after SRTP, too, as PEER.clear
//   timeline:                       # in any order; each entry has `at` and one action:
//     - {at: 2s, send: {from: alice, channel: chat, messages: 100, size: 1000, interval: 0s, text:
//     false}}
//     - {at: 2s, open-channel: {peer: alice, label: more, ...}}      # keys as of session.data
//     - {at: 3s, close-channel: {peer: alice, channel: chat}}
//     - {at: 5s, link: {home.uplink: {loss: 30%}}}  # wan, home.uplink, home.uplink.up, alice.link
//     - {at: 5s, nat: {home: reboot}}               # reboot, rebind, or {lifetime: 10s}
//     - {at: 5s, server: {turn: restart}}           # restart
//     - {at: 8s, restart-ice: alice}
//     - {at: 8s, mute: {peer: alice, track: audio}}     # unmute, keyframe (asks the sender)
//     - {at: 8s, dial: {peer: alice, track: audio, digits: "12#", tone, gap}}
//     - {at: 8s, bitrate: {peer: alice, track: video, to: 500kbps}}  # receive-max: what it takes
//     - {at: 9s, close: alice}
//   expect: [text, ...]             # see expect.h; checked on loading
//   stats: 1s                     # getStats() of every peer each second and at the end
//   stacks: ../adapters/stacks.yml  # who may play the first two peers: `simrtc live --matrix
//   peers`
//     puts every pair of them there. Else it means nothing
//   matrix:
//     home.nat: [full-cone, symmetric]     # short for network.lans.home.gateway.nat; any path of
//     the network.wan.loss: [0%, 10%]          # file works, also a new key
//   matrix-except:                  # cells that the computed outcome does not fit, with the reason
//     - {cell: {home.nat: symmetric}, outcome: relay, reason: text}
#ifndef SCENARIOS_SCENARIO_H
#define SCENARIOS_SCENARIO_H

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "simnet/firewall.h"
#include "simnet/link.h"
#include "simnet/nat.h"
#include "stack/peer/peer.h"

#define SCENARIO_FILE_MAX (1024 * 1024) // bytes of YAML
#define SCENARIO_DEPTH_MAX 24
#define SCENARIO_NODES_MAX 200000 // after aliases are expanded
#define SCENARIO_CELLS_MAX 4096
#define SCENARIO_WORK_MAX 20000000                   // nodes of the file times cells
#define SCENARIO_CELLS_BYTES_MAX ((size_t)512 << 20) // of all cells of a file
#define SCENARIO_LANS_MAX 16384
#define SCENARIO_SERVERS_MAX 1024
#define SCENARIO_PEERS_MAX 16384
#define SCENARIO_CHAIN_MAX 8       // gateways from a LAN to the wan
#define SCENARIO_CHANNELS_MAX 4096 // of a session, in the file
#define SCENARIO_ACTIONS_MAX 65536
#define SCENARIO_EXPECTS_MAX 16384

#define SCENARIO_WAN (-1) // where an index of a LAN is expected

struct scenario_uplink {
    struct link_config up, down;
};

struct scenario_lan {
    const char *name;
    struct ip_prefix prefix;
    struct ip gateway_ip; // inside
    int behind;           // SCENARIO_WAN or an index of lans
    bool isolate;
    bool has_nat;
    struct nat_config nat; // with its external addresses
    struct ip outside_ip;  // without NAT
    bool has_firewall;
    struct firewall_config firewall;
    struct scenario_uplink uplink;
    struct link_config link; // of its hosts, each way
};

struct scenario_server {
    const char *name;
    enum peer_server_kind kind;
    int lan;
    struct addr addr;
    struct addr other; // a second address of its own for RFC 5780; none
    const char *user, *password, *realm;
    uint32_t lifetime_s, lifetime_max_s, nonce_lifetime_s;
    unsigned quota, allocations_max;
    uint16_t relay_port_min, relay_port_max;
    int redirect;        // index of the server that clients are sent to (300); -1: none
    unsigned transports; // a bit for each enum peer_transport
    bool allow_loopback_peers;
    bool coturn; // live: this program; in virtual time ours plays its part
};

// Who plays a peer in the live world. In virtual time it is always this stack.
enum scenario_peer_kind { SCENARIO_SIMRTC, SCENARIO_ADAPTER };

#define SCENARIO_INTERFACES_MAX 4
#define SCENARIO_WORDS_MAX 64 // of an adapter's command
struct scenario_peer {
    const char *name;
    int lans[SCENARIO_INTERFACES_MAX];
    struct ip ips[SCENARIO_INTERFACES_MAX];
    unsigned interfaces;
    unsigned servers[PEER_SERVERS_MAX]; // indices: again for each transport, UDP first
    enum peer_transport transports[PEER_SERVERS_MAX];
    unsigned servers_count;
    // Everything about the peer itself. Addresses, names, streams and traces are filled in by the
    // run.
    struct peer_config config;
    bool identity_given; // else the run gives each peer its own
    enum scenario_peer_kind kind;
    const char *const *run; // SCENARIO_ADAPTER: the command, NULL-ended
    const char *install;    // how to get it, where it is missing; NULL: not said
    bool media;             // it offers audio and video besides data, whatever the session has
};

struct scenario_channel {
    unsigned peer;                // who opens it: index of peers
    struct channel_config config; // negotiated channels are opened by both
    unsigned count;               // so many with the same label; at least 1
};

// What travels on the signaling channel.
enum scenario_signal { SIGNAL_OFFER, SIGNAL_ANSWER, SIGNAL_CANDIDATES, SIGNAL_END };
#define SCENARIO_SIGNALS 4

// Audio or video of a session: a section of its description, seen from both sides.
struct scenario_track {
    const char *label;
    bool from[2];                     // the offerer sends, the answerer sends
    bool decode;                      // what is played is decoded and compared with the clip
    const char *clip;                 // a file below the scenario's folder, or NULL: synthetic
    struct media_track_config config; // `send`, `receive` and `clip` are filled in by the run
    const char *answerer_codecs[MEDIA_CODECS_MAX]; // in place of those in `config`
    unsigned answerer_codecs_count;                // 0: both have the same
};

struct scenario_signaling {
    nanotime delay, jitter;
    uint32_t loss, duplicate, reorder; // per billion
    nanotime reorder_by;
    unsigned lose[2]; // of the offerer, of the answerer: a bit for each scenario_signal
};

struct scenario_session {
    unsigned offerer, answerer;
    nanotime at;
    bool glare; // both make an offer
    struct scenario_signaling signaling;
    const struct scenario_channel *channels;
    unsigned channels_count;
    const struct scenario_track *tracks; // the track of this index at both peers
    unsigned tracks_count;
};

enum scenario_action_kind {
    ACTION_SEND,
    ACTION_OPEN_CHANNEL,
    ACTION_CLOSE_CHANNEL,
    ACTION_LINK,
    ACTION_NAT_REBOOT,
    ACTION_NAT_REBIND,
    ACTION_NAT_LIFETIME,
    ACTION_SERVER_RESTART,
    ACTION_RESTART_ICE,
    ACTION_CLOSE,
    ACTION_MEDIA,
};

// A link by name: of the wide area network, of a LAN's uplink, or of a peer's or server's
// interfaces.
enum scenario_link_kind { LINK_OF_WAN, LINK_OF_UPLINK, LINK_OF_PEER, LINK_OF_SERVER };
struct scenario_link_change {
    enum scenario_link_kind kind;
    unsigned index;            // of lans, peers or servers
    bool up, down;             // which ways change
    struct link_config config; // where `set` says so
    uint64_t set;              // a bit for each key given: see scenario_link_merge
};
// `base` with the keys of the change laid over it.
struct link_config scenario_link_merge(const struct link_config *base,
                                       const struct scenario_link_change *change);

struct scenario_action {
    nanotime at;
    enum scenario_action_kind kind;
    struct err_mark mark;
    unsigned peer;   // SEND, *_CHANNEL, RESTART_ICE, CLOSE
    unsigned lan;    // NAT_*
    unsigned server; // SERVER_RESTART
    const char *channel;
    uint32_t messages;
    uint32_t size;
    nanotime interval;
    bool text;
    struct scenario_channel open;
    struct scenario_link_change link;
    struct ip rebind_to;
    nanotime lifetime;
    struct media_command media; // MEDIA
    const char *track;          // its label
};

struct scenario_expect {
    const char *text;
    struct err_mark mark;
};

// What a stack of somebody else is known not to do: a failure that says `says` is that, no news.
struct scenario_limit {
    const char *says;  // in each expectation that is not met, or in the reason of a failure without
    const char *trace; // in a line of the trace: what shows that it is this and nothing else
    int peer;          // whose line that is; -1: anybody's
    const char *why;
};

// What NAT behaviour alone says about the outcome (oracle.h); a matrix-except entry overrides it.
enum scenario_outcome { OUTCOME_COMPUTED, OUTCOME_DIRECT, OUTCOME_RELAY, OUTCOME_NONE };

struct scenario {
    const char *file;
    const char *name, *about;
    const char *cell;    // "" without a matrix
    const char *pair[2]; // of a matrix of peers: the stacks of the first two; else NULL
    const struct scenario_limit *limits; // of these stacks in this cell
    unsigned limits_count;
    const char *id;
    const char *const *covers;           // NULL-ended
    const struct err_mark *covers_marks; // where each stands
    uint64_t seed;
    nanotime limit;
    nanotime stats_interval; // 0: no statistics over time
    nanotime cpu_limit, wall_limit;
    uint64_t memory_limit;
    struct link_config wan;
    const struct scenario_lan *lans;
    unsigned lans_count;
    const struct scenario_server *servers;
    unsigned servers_count;
    const struct scenario_peer *peers;
    unsigned peers_count;
    const struct scenario_session *sessions;
    unsigned sessions_count;
    const struct scenario_action *actions; // by time, then as in the file
    unsigned actions_count;
    const struct scenario_expect *expects;
    unsigned expects_count;
    enum scenario_outcome outcome_override;
    const char *outcome_reason; // of the override
};

// A program of someone else's plays a part: there is nothing to see in virtual time.
bool scenario_is_live(const struct scenario *scenario);

struct names; // names.h

// A matrix of peers: of each file with `stacks`, a scenario for each ordered pair of them. The
// others are left out.
struct scenario_pairs {
    const char *const *only; // of the stacks; none: all
    unsigned only_count;
};

struct scenario_clip {
    const char *path;
    struct clip *clip;
    struct scenario_clip *next;
};

struct scenario_set {
    struct arena arena;
    const struct scenario **scenarios;
    unsigned count, max;
    const struct scenario_pairs *pairs; // the caller's, before loading; NULL: files as they are
    struct names *ids;                  // the set's own, like the next
    struct text id_numbers;
    struct scenario_clip *clips; // by path, each read once
};

// Load one file, all its cells, and add them to the set. False: `err` says what is wrong where.
bool scenario_load(struct scenario_set *set, const char *path, struct err *err);
// The same from memory; `path` is the name for messages and ids.
bool scenario_load_text(struct scenario_set *set, const char *path, struct bytes text,
                        struct err *err);
// Load every *.yaml below a folder, in order of their names, or one file.
bool scenario_load_path(struct scenario_set *set, const char *path, struct err *err);
void scenario_set_free(struct scenario_set *set);

#endif
