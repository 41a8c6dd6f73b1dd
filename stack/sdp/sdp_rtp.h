// Sections of audio and video: what RTP needs of a description (RFC 9429 5, RFC 8866, 4585, 5576,
// 8285, 8851, 8853), read out of the raw lines of a parsed section, and written.
//
// Lists are bounded; what is over a bound, or malformed, is counted and ignored. Everything read
// borrows from the description's text. What codecs mean is the caller's: names are text here.
#ifndef STACK_SDP_SDP_RTP_H
#define STACK_SDP_SDP_RTP_H

#include "stack/sdp/sdp.h"

#define SDP_FORMATS_MAX 64
#define SDP_EXTENSIONS_MAX 32
#define SDP_SSRCS_MAX 32
#define SDP_SSRC_GROUPS_MAX 16
#define SDP_RIDS_MAX 8

enum sdp_direction {
    SDP_INACTIVE,
    SDP_SENDONLY,
    SDP_RECVONLY,
    SDP_SENDRECV
}; // bits: send, receive
#define SDP_SENDS 1u
#define SDP_RECEIVES 2u
const char *sdp_direction_name(enum sdp_direction direction);
// The same from the other side (RFC 3264 6.1).
enum sdp_direction sdp_direction_reversed(enum sdp_direction direction);

// a=rtcp-fb (RFC 4585 4.2, RFC 5104 7, and what browsers add).
enum sdp_feedback {
    SDP_NACK = 1,
    SDP_PLI = 2,
    SDP_FIR = 4,
    SDP_REMB = 8,
    SDP_TRANSPORT_CC = 16,
    SDP_CCFB = 32, // RFC 8888 6: of all formats at once, or not at all
};

struct sdp_format {
    uint8_t type;      // payload type
    struct bytes name; // of a=rtpmap; empty: none, a static type
    uint32_t clock_rate;
    unsigned channels; // 0: not said
    struct bytes fmtp; // "a=1;b=2"; empty: none
    unsigned feedback; // bits
};

struct sdp_extension {
    uint8_t id; // 1..14 and 16..255
    enum sdp_direction direction;
    struct bytes uri;
};

struct sdp_ssrc_group {
    struct bytes semantics; // "FID", "FEC-FR", "SIM"
    uint32_t ssrcs[3];
    unsigned count;
};

// RFC 8851 6.2.2: one whose id is there twice, or whose payload types are not those of the section,
// is discarded.
struct sdp_rid {
    struct bytes id;
    bool send;
    bool
        simulcast; // a=simulcast has it: of alternatives the first one that is there (RFC 8853 5.2)
    struct bytes restrictions; // "pt=97;max-width=640"; empty: none
};

struct sdp_rtp {
    enum sdp_direction direction; // sendrecv where nothing is said (RFC 8866 6.7)
    bool rtcp_mux, reduced_size, mixed_extensions;
    struct sdp_format formats[SDP_FORMATS_MAX]; // in the order of the m= line
    unsigned formats_count;
    struct sdp_extension extensions[SDP_EXTENSIONS_MAX];
    unsigned extensions_count;
    uint32_t ssrcs[SDP_SSRCS_MAX]; // each once, as they come
    unsigned ssrcs_count;
    struct sdp_ssrc_group groups[SDP_SSRC_GROUPS_MAX];
    unsigned groups_count;
    struct sdp_rid rids[SDP_RIDS_MAX];
    unsigned rids_count;
    bool simulcast_send, simulcast_receive; // a=simulcast has such a list
    struct bytes simulcast[2];              // its lists of rids: to receive, to send
    unsigned simulcast_lines;
    struct bytes msid;
    unsigned ignored; // attributes over a bound, or malformed
};

// Is it a section of RTP over DTLS (RFC 9429 5.1.2: any of the names)?
bool sdp_is_rtp(const struct sdp_media *media);
void sdp_rtp_parse(const struct sdp *sdp, const struct sdp_media *media, struct sdp_rtp *out);
// The next of the restrictions, taken off the list: "max-width" and "640". False: there is none.
bool sdp_rid_restriction(struct bytes *list, struct bytes *name, struct bytes *value);
// The next payload type of the value of a restriction "pt". False: there is none, or no number.
bool sdp_rid_format(struct bytes *list, uint8_t *type);

// A section of ours.
#define SDP_LAYERS_MAX 3
struct sdp_rtp_local {
    const char *kind; // "audio", "video"
    struct bytes mid;
    enum sdp_direction direction;
    const struct sdp_format *formats;
    unsigned formats_count;
    const struct sdp_extension *extensions;
    unsigned extensions_count;
    bool reduced_size, mixed_extensions;
    const char *stream, *track, *cname; // msid and cname; stream NULL: no a=msid
    struct {
        uint32_t media, rtx, fec; // 0: none
    } ssrcs[SDP_LAYERS_MAX];
    unsigned ssrcs_count; // 0 when it does not send, and with simulcast
    struct bytes rids[SDP_LAYERS_MAX];
    unsigned rids_count;
    bool rids_send; // else it receives them
    struct bytes rid_restrictions[SDP_LAYERS_MAX];
};

#endif
