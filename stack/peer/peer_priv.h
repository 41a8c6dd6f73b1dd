// What the files of this peer share. peerconnection.c drives; peer_signaling.c does descriptions
// and candidates; peer_data.c does DTLS and data channels; peer_media.c audio and video, and what
// descriptions say of them (peer_media_priv.h); peer_state.c derives states and statistics.
#ifndef STACK_PEER_PEER_PRIV_H
#define STACK_PEER_PEER_PRIV_H

#include "stack/peer/gather.h"
#include "stack/peer/peer.h"
#include "stack/sdp/sdp.h"
#include "stack/sdp/sdp_rtp.h"
#include "stack/srtp/srtp.h"

#define PEER_LOCAL_CANDIDATES_MAX 64
#define PEER_PENDING_MAX 64        // candidates before their description
#define PEER_PENDING_LINE_MAX 1024 // bytes of each
// What is answered is at most so long, and is read again as our own: see SDP_SIZE_MAX.
#define PEER_DESCRIPTION_MAX (SDP_SIZE_MAX / 2)
#define PEER_EARLY_MAX 4          // datagrams of DTLS before there is an association
#define PEER_AUTHENTICATED_MAX 16 // remote addresses that passed a check
#define PEER_EARLY_CHANNELS_MAX 1024

// The way down: each step when the one before has nothing more to say.
enum peer_closing { PEER_OPEN, PEER_CLOSING_CHANNELS, PEER_CLOSING_DTLS, PEER_CLOSING_RELAYS };

struct peer_pair {
    struct addr local, remote;
};

// A track and the section of the descriptions that is its own.
struct peer_track {
    char mid[MEDIA_MID_MAX + 1];  // empty: none yet, or the section has none
    int section;                  // -1: none yet
    bool agreed;                  // the section is one that both agreed on; else it is an offer's
    bool ended;                   // rejected or stopped: its section is disabled from now on
    bool stopped;                 // by us: nothing brings it back
    bool rests;                   // stopped, and its section is not disabled yet
    bool msid;                    // a=msid was told
    enum sdp_direction direction; // that we want
};

// What poll asks in turn.
enum peer_part { PEER_PART_GATHER, PEER_PART_ICE, PEER_PART_DATA, PEER_PART_MEDIA, PEER_PARTS };

// Before the bytes of a packet that waits for PEER_CLEAR.
struct peer_clear {
    struct addr from, to;
    size_t len;
};

struct peer_early_channel {
    struct channel_config config;
    uint8_t *text; // owns the label and the protocol
    size_t low;
    int handle;  // of `channels`; -1: not yet, or refused
    bool closed; // before it could be opened
};

struct peer {
    struct peer_config config;
    char *secrets; // owns the strings of config.servers and config.name
    struct trace trace;
    const char *refused_by, *refusal; // of the last PEER_REFUSED: the part, and its outcome's name
    struct rng rng;
    struct ice_agent *ice;
    struct gather gather;
    enum peer_closing closing;
    bool changed;             // PEER_CHANGED is due
    nanotime due[PEER_PARTS]; // before that the part has nothing to say, unless something moves it
    nanotime release_at;      // when relays that the nominated pair does not use go back

    // Our candidates of this generation, as ICE completed them.
    struct ice_candidate *locals;
    unsigned locals_count, locals_max;
    unsigned locals_told; // in a description, or trickled
    bool gathered;        // no more of them
    bool end_told;
    bool trickle; // false too when the other side cannot

    // Signaling.
    bool gathering_started, describe_due, answer_due;
    bool described;                        // a description of this generation went out
    bool restarting;                       // we offered an ICE restart, not answered yet
    struct ice_credentials before_restart; // while `restarting`
    bool offer_again;                      // of ours one was rolled back
    struct text description, candidate;    // what the last output borrows
    struct text offered;                   // our last offer
    struct text accepted;                  // the last description taken
    bool accepted_answer, has_accepted;
    uint64_t session_id, session_version;
    uint64_t remote_session_id, remote_session_version;
    struct bytes remote_ufrag, remote_pwd; // in `accepted`
    unsigned remote_section;               // whose transport it is
    struct addr *remotes;                  // addresses of remote candidates of this generation
    unsigned remotes_max;
    struct {
        struct text lines; // each ends in a line feed
        unsigned count;
        bool end;
    } pending;
    char error[200];

    // Data.
    struct dtls *dtls;
    struct channels *channels;
    struct rng dtls_rng, sctp_rng;
    bool dtls_started, channels_down;
    struct dtls_fingerprint remote_fingerprint;
    struct peer_early_channel *early_channels; // opened before `channels` was there
    unsigned early_channels_count, early_channels_max;
    unsigned early_refused; // of them, by `channels`
    unsigned early_closed;  // none before it is still to be told as closed
    struct {
        uint8_t *at; // PEER_EARLY_MAX times the MTU, once needed
        size_t lens[PEER_EARLY_MAX];
        unsigned count;
    } early;
    struct peer_pair authenticated[PEER_AUTHENTICATED_MAX];
    unsigned authenticated_next;

    // Media.
    struct media *media;   // NULL: none
    struct secure *secure; // NULL: no keys yet
    struct peer_track tracks[MEDIA_TRACKS_MAX];
    unsigned mids_next; // the first number that was no mid of ours
    char data_mid[16];  // that we offered; empty: none yet
    bool has_route;
    struct peer_pair route; // that media last went over
    uint8_t wire[2048];     // a packet between clear and protected
    struct text clear;      // packets for PEER_CLEAR, see struct peer_clear
    size_t clear_at;

    struct peer_stats stats; // counters and times; the rest is filled in when asked for
};

// What a part had to say.
enum peer_step {
    PEER_IDLE,
    PEER_WORKED, // nothing for the caller yet, but something moved: go round again
    PEER_OUTPUT,
};

static inline size_t peer_mtu(const struct peer *p)
{
    return p->config.mtu ? p->config.mtu : 1200;
}

// peerconnection.c
// A datagram: PEER_REFUSED, and for the trace by which part, and why; both are literals.
enum peer_drop peer_datagram_refuse(struct peer *p, const char *by, const char *why);
// DTLS, SRTP or SRTCP over the selected pair, which there is. One more in `count`, and its bytes,
// unless nothing takes it.
enum peer_step peer_send_data(struct peer *p, nanotime now, struct bytes bytes, uint64_t *count,
                              struct peer_output *out);
// It came from an address that ICE has validated.
void peer_count_received(struct peer *p, nanotime now, const struct datagram *datagram,
                         uint64_t *count);

// peer_signaling.c
void peer_describe(struct peer *p, nanotime now, bool restart);
bool peer_accept(struct peer *p, nanotime now, struct bytes description, bool answer);
bool peer_add_candidate(struct peer *p, nanotime now, struct bytes candidate);
bool peer_signaling_poll(struct peer *p, nanotime now, struct peer_output *out);
bool peer_signaling_is_due(const struct peer *p);
void peer_local_candidate(struct peer *p, nanotime now, const struct ice_candidate *candidate);
void peer_gathered(struct peer *p, nanotime now);
// A description, a candidate, or a call to make one: false, and `error` says why.
bool peer_signaling_refuse(struct peer *p, nanotime now, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// peer_data.c
// `data`: the section of the data channels; NULL: there are none.
void peer_data_start(struct peer *p, nanotime now, const struct sdp_media *remote,
                     const struct sdp_media *data, enum dtls_role role);
// The section of the data channels came, or went (NULL), after the start.
void peer_data_change(struct peer *p, nanotime now, const struct sdp_media *data);
bool peer_is_authenticated(const struct peer *p, const struct datagram *datagram);
void peer_data_free(struct peer *p);
enum peer_drop peer_data_input(struct peer *p, nanotime now, const struct datagram *datagram);
void peer_data_authenticated(struct peer *p, const struct datagram *datagram);
// This pair was selected.
void peer_data_selected(struct peer *p, const struct ice_pair *pair);
enum peer_step peer_data_poll(struct peer *p, nanotime now, struct peer_output *out);
nanotime peer_data_deadline(const struct peer *p);
void peer_data_close_channels(struct peer *p, nanotime now);
int peer_channel_open(struct peer *p, nanotime now, const struct channel_config *config);
enum sctp_send_result peer_channel_send(struct peer *p, nanotime now, unsigned channel,
                                        struct bytes message, bool text);
void peer_channel_close(struct peer *p, nanotime now, unsigned channel);
size_t peer_channel_buffered(const struct peer *p, unsigned channel);
struct bytes peer_channel_label(const struct peer *p, unsigned channel);
bool peer_channel_stats(const struct peer *p, unsigned channel, struct peer_channel_stats *out);
void peer_channel_set_low(struct peer *p, unsigned channel, size_t threshold);

// peer_media.c and the files beside it
int peer_media_track_add(struct peer *p, const struct media_track_config *config);
void peer_media_free(struct peer *p);
void peer_media_track_direct(struct peer *p, unsigned track, bool send, bool receive);
void peer_media_track_stop(struct peer *p, unsigned track);
// `to` says what both agreed on last, and whether there are to be data channels. `before`: the
// offer of that agreement, NULL: there is none yet.
void peer_media_offer(struct peer *p, nanotime now, const struct sdp *before, struct sdp_local *to);
void peer_media_rollback(struct peer *p, nanotime now); // of an offer that nobody answered
bool peer_media_needs_offer(const struct peer *p);
// Which sections of RTP the answer is going to reject.
void peer_media_rejects(struct peer *p, const struct sdp *offer, bool rejected[SDP_MEDIA_MAX]);
// Our side of each offered section goes into `to`, and takes effect.
void peer_media_answer(struct peer *p, nanotime now, const struct sdp *offer, struct sdp_local *to);
void peer_media_answered(struct peer *p, nanotime now, const struct sdp *offer,
                         const struct sdp *answer);
const char *peer_media_profiles(const struct peer *p);
void peer_media_start(struct peer *p, nanotime now); // once DTLS is connected, and there is media
void peer_media_selected(struct peer *p, nanotime now, const struct ice_pair *pair);
bool peer_media_codec_parameters(const struct peer *p, unsigned track, unsigned payload_type,
                                 struct text *to);
enum peer_drop peer_media_input(struct peer *p, nanotime now, const struct datagram *datagram);
enum peer_step peer_media_poll(struct peer *p, nanotime now, struct peer_output *out);
nanotime peer_media_deadline(const struct peer *p);
void peer_media_close(struct peer *p, nanotime now);

// peer_state.c
void peer_update(struct peer *p, nanotime now); // after anything that may have changed a state
void peer_set_signaling(struct peer *p, nanotime now, enum peer_signaling state);
void peer_set_gathering(struct peer *p, nanotime now, enum peer_gathering state);
void peer_fill_stats(const struct peer *p, struct peer_stats *out);

#endif
