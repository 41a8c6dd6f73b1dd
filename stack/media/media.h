// The media of one peer: all audio and video of a BUNDLE group (RFC 9143) over one transport.
//
// Frames come from sources, are packetized, protected against loss, paced and given out as clear
// RTP and RTCP; what arrives is demultiplexed, repaired, buffered and played out in time, and
// counted as the W3C counts it. Sans-IO; SRTP is the owner's (stack/peer), who hands in and takes
// out clear packets.
//
// A track is one m= section: what this side sends there (maybe nothing), and what it receives
// (maybe nothing). Tracks are added before the description; what was negotiated is told by
// media_agree.
#ifndef STACK_MEDIA_MEDIA_H
#define STACK_MEDIA_MEDIA_H

#include "base/rng.h"
#include "base/trace.h"
#include "stack/media/clip.h"
#include "stack/media/media_stats.h"
#include "stack/rtp/rtp.h"

#define MEDIA_TRACKS_MAX 32
#define MEDIA_LABEL_MAX 32
#define MEDIA_CODECS_MAX 4
#define MEDIA_MID_MAX 32

enum media_kind { MEDIA_AUDIO, MEDIA_VIDEO };
const char *media_kind_name(enum media_kind kind);

// Which forward error correction protects a video track; each also needs to be negotiated.
enum media_fec { MEDIA_NO_FEC, MEDIA_ULPFEC, MEDIA_FLEXFEC };

struct media_layer {
    const char *rid;  // "q", "h", "f"; NULL: no simulcast
    unsigned scale;   // 1: full size, 2: half each way, ...
    uint32_t max_bps; // of this layer
};

struct media_track_config {
    const char *label; // of reports, and the msid; copied
    enum media_kind kind;
    bool send, receive;
    const char *codecs[MEDIA_CODECS_MAX]; // by preference, as SDP spells them ("opus", "VP8")
    unsigned codecs_count;
    // Source: a clip, or (NULL) synthetic frames.
    const struct clip *clip;
    bool clip_loops;
    nanotime start_at, stop_at;  // when the source runs; 0 and TIME_NEVER: always
    uint32_t bitrate;            // bit/s; of video: the most that it takes
    unsigned fps, width, height; // video
    nanotime keyframe_interval;  // 0: only when asked
    nanotime frame_time;         // audio: of one packet; 0: 20 ms
    bool dtx;                    // audio: nothing is sent while muted
    struct media_layer layers[MEDIA_LAYERS_MAX];
    unsigned layers_count;    // 0: no simulcast
    uint32_t receive_max_bps; // what this side takes of the other's layers; 0: no limit
    // Loss recovery, each only if negotiated.
    bool nack, rtx, red, pli;
    enum media_fec fec;
    uint32_t fec_share; // per thousand of the media; 0: follows the loss reported
    // For tests of wrap-around; else drawn (RFC 3550 5.1).
    bool has_first_sequence, has_first_timestamp;
    uint16_t first_sequence;
    uint32_t first_timestamp;
};

// Congestion control of what this side sends: by transport-wide feedback, by the receiver's own
// estimate, not at all, by feedback of RTP numbers (RFC 8888).
enum media_control { MEDIA_GCC, MEDIA_REMB, MEDIA_FIXED, MEDIA_CCFB, MEDIA_CONTROLS };

struct media_config {
    const char *cname; // copied
    struct rng *rng;   // borrowed for the life of the media
    size_t mtu;        // the most bytes of a clear packet: what SRTP adds is already taken off
    enum media_control control;
    uint32_t start_bps, min_bps, max_bps; // 0: 300 kbit/s, 30 kbit/s, no limit
    int64_t clock_ppb; // this side's media clocks run fast (+) by so many parts of 10^9
    struct trace trace;
};

enum media_output_kind {
    MEDIA_SEND_RTP,  // `bytes`
    MEDIA_SEND_RTCP, // `bytes`: one compound or reduced-size datagram
    MEDIA_FRAME,     // `track`, `bytes`, `timestamp`, `keyframe`: played out (if config asks)
    MEDIA_DIGIT,     // `track`, `digit`: a telephone event has begun
    MEDIA_CHANGED,   // a state that expectations may look at
};
struct media_output {
    enum media_output_kind kind;
    struct bytes bytes; // until the next call
    unsigned track;
    uint32_t timestamp;
    bool keyframe;
    char digit;
};

// What became of a clear packet.
enum media_drop {
    MEDIA_KEPT,
    MEDIA_MALFORMED,       // not RTP or RTCP, or cut off
    MEDIA_UNKNOWN_STREAM,  // RFC 9143 9.2: neither mid, SSRC nor payload type tells the m= section
    MEDIA_UNKNOWN_PAYLOAD, // a payload type that nobody agreed on
    MEDIA_NOT_RECEIVING,   // the direction of the section forbids it
    MEDIA_DUPLICATE,
    MEDIA_TOO_OLD,
    MEDIA_TOO_MANY_STREAMS,
    MEDIA_BAD_PAYLOAD, // the codec's payload format forbids it
    MEDIA_COLLISION,   // our own SSRC (RFC 3550 8.2), and no section takes it as somebody else's
    MEDIA_LOOP,        // our own SSRC again, after it was changed for that
    MEDIA_THIRD_PARTY, // from another place than the packets of its SSRC before
    MEDIA_DROPS,
};
const char *media_drop_name(enum media_drop drop);

struct media *media_new(const struct media_config *config);
void media_free(struct media *media);

// -1: more than MEDIA_TRACKS_MAX, or layers of a clip, which is one. The strings of `config` are
// copied, a clip is borrowed.
int media_track_add(struct media *media, const struct media_track_config *config);
unsigned media_tracks(const struct media *media);
const struct media_track_config *media_track_config(const struct media *media, unsigned track);

// What this side will send with: known from media_track_add on, for the description.
struct media_ssrcs {
    uint32_t media[MEDIA_LAYERS_MAX], rtx[MEDIA_LAYERS_MAX], fec[MEDIA_LAYERS_MAX];
    unsigned layers; // at least 1, also of one who only receives: RTCP is sent under media[0]
};
void media_ssrcs(const struct media *media, unsigned track, struct media_ssrcs *out);

// What the two descriptions agree on for one m= section. May come again (a new offer and answer).
#define MEDIA_FORMATS_MAX 24
struct media_format {
    enum codec_kind kind;
    uint32_t clock_rate;
    uint8_t send_type, receive_type;               // payload types; mostly the same
    uint8_t apt;                                   // of RTX: the receive type that it repairs
    bool single_nal;                               // H.264 packetization-mode 0
    bool nack, pli, fir, remb, transport_cc, ccfb; // a=rtcp-fb
};
struct media_remote_ssrc {    // a=ssrc of the other side; those that are not signaled are learnt
    uint32_t media, rtx, fec; // rtx and fec 0: none (a=ssrc-group FID, FEC-FR)
};
struct media_agreement {
    struct bytes mid; // copied
    bool rejected;    // port 0: nothing flows, and what was sent says goodbye
    bool send, receive;
    struct media_format formats[MEDIA_FORMATS_MAX]; // by preference of the other side
    unsigned formats_count;
    struct rtp_extension_map extensions;
    bool reduced_size; // a=rtcp-rsize
    bool simulcast;    // our layers were taken, by their rids
    bool layer_taken[MEDIA_LAYERS_MAX];
    struct media_remote_ssrc remotes[MEDIA_LAYERS_MAX];
    unsigned remotes_count;
};
// False: the mid is taken by another track, or too long.
bool media_agree(struct media *media, nanotime now, unsigned track,
                 const struct media_agreement *agreement);

// Flow: from the moment that SRTP is up.
void media_start(struct media *media, nanotime now);
bool media_started(const struct media *media);
// BYE for what was sent of this track, which from now on has other SSRCs; nothing more of it goes
// out before an agreement that has it flow again.
void media_track_stop(struct media *media, unsigned track);
// BYE for all that was sent; nothing more goes out after it.
void media_stop(struct media *media, nanotime now);

enum media_drop media_input_rtp(struct media *media, nanotime now, struct bytes packet);
enum media_drop media_input_rtcp(struct media *media, nanotime now, struct bytes packet);
bool media_poll(struct media *media, nanotime now, struct media_output *out);
nanotime media_deadline(const struct media *media);

// What a scenario tells a track while it runs.
enum media_command_kind {
    MEDIA_MUTE,
    MEDIA_UNMUTE,
    MEDIA_KEYFRAME,    // ask the sender for one: PLI
    MEDIA_DIAL,        // `digits` as telephone events (RFC 4733)
    MEDIA_BITRATE,     // `bps`: the source's most
    MEDIA_RECEIVE_MAX, // `bps`: what this side takes; it chooses the layer of a simulcast
};
struct media_command {
    enum media_command_kind kind;
    unsigned track;
    uint32_t bps;
    const char *digits; // "123#", "A".."D", ","
    nanotime tone, gap; // of each; 0: 100 ms, 70 ms (as the W3C's insertDTMF)
};
void media_command(struct media *media, nanotime now, const struct media_command *command);
// The network has changed below (another pair was selected): congestion control starts afresh.
void media_route_changed(struct media *media, nanotime now);
void media_play_out(struct media *media, unsigned track); // MEDIA_FRAME for this track

void media_track_stats(struct media *media, nanotime now, unsigned track,
                       struct media_track_stats *out);
void media_transport_stats(const struct media *media, struct media_transport_stats *out);

#endif
