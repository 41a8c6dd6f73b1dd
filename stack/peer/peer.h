// A peer: whatever can be described, sent datagrams, and asked what became of it.
//
// `struct peer_ops` is the one small table through which the bench drives a peer; a third-party C
// stack plugs in by filling it. The PeerConnection of this stack (peerconnection.h) is the first.
//
// A peer is sans-IO. It is given its local transport addresses, already open, and sends from those.
// Where a TURN server is reached by TCP it asks for streams: who drives it opens them, and tells by
// `stream_event` what became of each.
#ifndef STACK_PEER_PEER_H
#define STACK_PEER_PEER_H

#include "base/addr.h"
#include "base/rng.h"
#include "base/trace.h"
#include "stack/sctp/datachannel.h"
#include "stack/ice/ice.h"
#include "stack/dtls/dtls.h"
#include "stack/media/media.h"
#include "stack/srtp/srtp.h"

#define PEER_LOCALS_MAX 8
#define PEER_SERVERS_MAX 8
#define PEER_CHANNELS_INFO_MAX 65535
#define PEER_TRACKS_MAX 31 // with the data channels the sections of a description (sdp.h)

enum peer_server_kind { PEER_STUN, PEER_TURN };
enum peer_transport { PEER_UDP, PEER_TCP };
struct peer_server {
    enum peer_server_kind kind;
    struct addr addr;
    const char *username; // PEER_TURN; copied
    const char *password;
    enum peer_transport transport; // between us and the server; PEER_TCP: PEER_TURN alone
};

enum peer_dtls_setup {
    PEER_SETUP_AUTO,
    PEER_SETUP_ACTIVE,
    PEER_SETUP_PASSIVE
}; // answerer's choice; AUTO: active

struct peer_config {
    const char *name; // copied
    struct addr locals[PEER_LOCALS_MAX];
    unsigned locals_count;
    struct peer_server servers[PEER_SERVERS_MAX];
    unsigned servers_count;
    bool relay_only; // W3C iceTransportPolicy "relay"
    bool ice_lite;
    bool ice_only;   // stop after ICE: no DTLS, no SCTP; CONNECTED means ICE connected
    bool trickle;    // else the description waits for gathering, and says end-of-candidates
    bool force_role; // to provoke role conflicts: start with `role` whatever the rules say
    enum ice_role role;
    uint64_t tiebreaker; // 0: drawn
    enum peer_dtls_setup setup;
    unsigned identity;         // of the pool (dtls.h)
    bool wrong_fingerprint;    // describe another identity than the one used: the other side must
                               // refuse
    size_t mtu;                // the largest UDP payload, at least peer_mtu_least; 0: 1200
    uint16_t sctp_port;        // 0: 5000
    uint64_t max_message_size; // what we say that we take; 0: 262144
    // Media. Without a track and without `take_media`, offered audio and video are rejected.
    bool take_media;        // answer offered sections that no track of ours fits by receiving
    bool clear_media;       // PEER_CLEAR for each RTP and RTCP packet, sent or received
    unsigned srtp_profiles; // a bit for each enum dtls_srtp_profile that may be agreed on; 0: all
    enum media_control media_control;
    uint32_t media_start_bps, media_min_bps, media_max_bps; // 0: as media.h
    int64_t media_clock_ppb;
    nanotime ice_ta, consent_interval, consent_timeout, nomination_wait, patience; // 0: as ice.h
    nanotime
        gather_timeout; // 0: 9.5 s... a server that does not answer holds gathering up no longer
    uint32_t turn_lifetime_s;
    bool turn_channels;
    bool polite;    // takes an offer that crosses its own, which is rolled back (RFC 9429 5.7)
    struct rng rng; // the peer's own stream
    struct trace trace;
};

// W3C RTCPeerConnectionState and RTCSignalingState, RTCIceGatheringState.
enum peer_state {
    PEER_NEW,
    PEER_CONNECTING,
    PEER_CONNECTED,
    PEER_DISCONNECTED,
    PEER_FAILED,
    PEER_CLOSED
};
enum peer_signaling {
    PEER_STABLE,
    PEER_HAVE_LOCAL_OFFER,
    PEER_HAVE_REMOTE_OFFER,
    PEER_SIGNALING_CLOSED
};
enum peer_gathering { PEER_GATHER_NEW, PEER_GATHERING, PEER_GATHER_COMPLETE };
const char *peer_state_name(enum peer_state state);
const char *peer_signaling_name(enum peer_signaling state);
const char *peer_gathering_name(enum peer_gathering state);

enum peer_output_kind {
    PEER_SEND,         // `datagram`
    PEER_DESCRIPTION,  // `bytes`: the offer or answer asked for is ready; `answer` says which
    PEER_CANDIDATE,    // `bytes`: "candidate:..." to trickle; empty: end-of-candidates
    PEER_CHANGED,      // a state, the selected pair, a statistic that is a state: ask stats
    PEER_CHANNEL_OPEN, // `channel`, `incoming`
    PEER_MESSAGE,      // `channel`, `bytes`, `text`
    PEER_BUFFERED_LOW, // `channel`
    PEER_CHANNEL_CLOSED,
    PEER_STREAM_OPEN,  // `stream`: connect from `datagram.from`, any port of it, to `datagram.to`
    PEER_STREAM_SEND,  // `stream`, `bytes`
    PEER_STREAM_CLOSE, // `stream`: after what was sent on it; nothing more is told of it
    PEER_CLEAR,        // `datagram`: RTP or RTCP as it was before SRTP or is after it
    PEER_FRAME,        // `track`, `bytes`, `timestamp`: played out (peer_ops.play_out)
    PEER_DIGIT,        // `track`, `digit`
};
// Streams are told apart by small numbers of the peer's. One is used again after PEER_STREAM_CLOSE,
// or once the peer was told that it is closed or refused.
#define PEER_STREAMS_MAX (PEER_LOCALS_MAX * PEER_SERVERS_MAX)
enum peer_stream_event {
    PEER_STREAM_OPENED,
    PEER_STREAM_BYTES,
    PEER_STREAM_CLOSED,  // by the other side, or lost
    PEER_STREAM_REFUSED, // it was never open: refused, or nobody answered
};
struct peer_output {
    enum peer_output_kind kind;
    struct datagram datagram;
    struct bytes bytes; // all borrowed until the next call on the peer
    unsigned channel;
    unsigned stream;
    unsigned track;
    uint32_t timestamp;
    char digit;
    bool answer, incoming, text;
};

// Why a datagram was dropped at the peer, counted in its stats.
enum peer_drop {
    PEER_KEPT,
    PEER_UNKNOWN_PROTOCOL, // RFC 7983: no STUN, DTLS, TURN channel
    PEER_TOO_EARLY,        // DTLS before there is an association for it
    PEER_UNAUTHENTICATED,  // data from an address that ICE has not validated
    PEER_REFUSED,          // the protocol it belongs to dropped it, and counted why
    PEER_AFTER_CLOSE,
    PEER_BEFORE_KEYS, // SRTP or SRTCP while the DTLS handshake goes on (RFC 5764 4.2)
    PEER_DROPS,
};
const char *peer_drop_name(enum peer_drop drop);

// One data channel, in whatever state.
struct peer_channel_stats {
    struct bytes label, protocol; // live as the peer
    enum channel_state state;
    bool has_id; // else the DTLS role must be known first (RFC 8832 6)
    uint16_t id;
    struct channel_stats counts;
};

// A snapshot of everything that an expectation may ask. Times: TIME_NEVER for not yet.
struct peer_stats {
    enum peer_state state;
    enum peer_signaling signaling;
    enum peer_gathering gathering;
    enum ice_state ice_state;
    enum ice_failure ice_failure;
    enum ice_role ice_role;
    struct ice_stats ice;
    bool has_selected;
    struct ice_pair selected;
    struct ice_pair_stats pair; // of the selected, or of the last that was
    const char *ufrag;          // ours; good until the next call on the peer. NULL: not told
    unsigned candidates[4];     // ours, by enum ice_candidate_type
    unsigned remote_candidates;
    enum dtls_state dtls_state;
    enum dtls_role dtls_role;
    struct dtls_stats dtls;
    char dtls_failure[160];
    const char *dtls_cipher; // as dtls.h; NULL: none (yet)
    enum sctp_state sctp_state;
    struct sctp_stats sctp;
    unsigned channels_open, channels_opened, channels_closed;
    nanotime ice_connected_at, dtls_connected_at, sctp_connected_at, connected_at, failed_at;
    nanotime disconnected_at, gathered_at; // disconnected_at: the latest
    unsigned restarts, rollbacks;
    uint64_t datagrams_sent, datagrams_received, stun_sent, stun_received, dtls_sent, dtls_received;
    uint64_t media_sent, media_received; // SRTP and SRTCP
    // Of DTLS, SRTP and SRTCP: payload of UDP. Received is what came from an address that ICE has
    // validated, whatever became of it.
    uint64_t bytes_sent, bytes_received;
    enum secure_profile srtp_profile; // agreed on; SECURE_NONE: none (yet)
    uint64_t sent_without_consent;    // always 0, or this stack is wrong
    unsigned turn_allocations, turn_refreshes, turn_permissions, turn_channel_binds,
        turn_stale_nonces;
    unsigned turn_error; // the last error that ended an allocation
    unsigned drops[PEER_DROPS];
    const char *error; // what went wrong with a description or candidate, "" if nothing
};

struct peer_ops {
    const char *name; // "simrtc"
    void *(*create)(const struct peer_config *config);
    void (*destroy)(void *peer);

    enum peer_drop (*input)(void *peer, nanotime now, const struct datagram *datagram);
    bool (*poll)(void *peer, nanotime now, struct peer_output *out);
    nanotime (*deadline)(const void *peer);
    // What became of a stream that it asked for; `bytes`: PEER_STREAM_BYTES. NULL: it never asks.
    void (*stream_event)(void *peer, nanotime now, unsigned stream, enum peer_stream_event event,
                         struct bytes bytes);

    // Ask for an offer (or one that restarts ICE): PEER_DESCRIPTION brings it, at once with
    // trickle.
    void (*describe)(void *peer, nanotime now, bool restart);
    // Take the other side's description. An offer is answered by PEER_DESCRIPTION. False: refused,
    // stats.error says why; the peer is as before.
    bool (*accept)(void *peer, nanotime now, struct bytes description, bool answer);
    // A trickled candidate, empty for end-of-candidates. Before the description it is kept.
    bool (*add_candidate)(void *peer, nanotime now, struct bytes candidate);

    // As in datachannel.h. channel_open may come before the description.
    int (*channel_open)(void *peer, nanotime now, const struct channel_config *config);
    enum sctp_send_result (*send)(void *peer, nanotime now, unsigned channel, struct bytes message,
                                  bool text);
    void (*channel_close)(void *peer, nanotime now, unsigned channel);
    size_t (*channel_buffered)(const void *peer, unsigned channel);
    struct bytes (*channel_label)(const void *peer,
                                  unsigned channel); // borrowed, lives as the peer
    void (*set_buffered_low)(void *peer, unsigned channel, size_t threshold);

    // Media, as in media.h. What is changed of tracks is in the next description of ours; -1: no
    // more of them. The seven are NULL where a peer has no media.
    int (*track_add)(void *peer, const struct media_track_config *config);
    // Hold and resume: of what its configuration allows (W3C: RTCRtpTransceiver.direction).
    void (*track_direct)(void *peer, unsigned track, bool send, bool receive);
    // For good: what is sent says goodbye at once, the section is given up.
    void (*track_stop)(void *peer, unsigned track);
    void (*media_command)(void *peer, nanotime now, const struct media_command *command);
    void (*play_out)(void *peer, unsigned track); // PEER_FRAME for each frame of this track
    void (*track_stats)(const void *peer, nanotime now, unsigned track,
                        struct media_track_stats *out);
    void (*transport_stats)(const void *peer, struct media_transport_stats *out);

    // Append the secrets of its DTLS association, for Wireshark (dtls_key_log); maybe nothing.
    void (*key_log)(const void *peer, struct text *to);

    // The a=fmtp of the other side's last description for a payload type of a track, added to `to`.
    // False: it has none.
    bool (*codec_parameters)(const void *peer, unsigned track, unsigned payload_type,
                             struct text *to);
    // What getStats() lists; false: no more than `index` of them. These are NULL where a peer does
    // not tell. Channels go by their numbers in PEER_CHANNEL_OPEN.
    bool (*pair)(const void *peer, unsigned index, struct ice_pair_info *out);
    bool (*candidate)(const void *peer, bool local, unsigned index, struct ice_candidate_info *out);
    bool (*channel_stats)(const void *peer, unsigned channel, struct peer_channel_stats *out);

    void (*close)(void *peer, nanotime now);
    void (*stats)(const void *peer, struct peer_stats *out);
};

// This stack (stack/peer/peerconnection.c).
extern const struct peer_ops peer_simrtc;
// The least `mtu` that it can keep to: SCTP has a least size of packets, which DTLS and, where
// there are TURN servers, a Send indication go round.
size_t peer_mtu_least(bool turn);

#endif
