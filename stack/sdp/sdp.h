// Session descriptions (RFC 8866) as WebRTC writes and reads them (RFC 9429): parse any bytes,
// write canonically, and the offer/answer rules (RFC 3264) for data channels over DTLS (RFC 8841,
// 8842).
//
// A parsed description borrows from its text. What this stack does not know (other media, other
// attributes) is kept as raw lines: nothing is lost, and an unknown m= section is answered with
// port 0 (RFC 3264 6). Not here: choosing roles and credentials over time (peer/).
#ifndef STACK_SDP_SDP_H
#define STACK_SDP_SDP_H

#include "base/text.h"
#include "stack/dtls/dtls.h"
#include "stack/ice/ice.h"

#define SDP_MEDIA_MAX 32
#define SDP_FINGERPRINTS_MAX 8 // of one m= section; more are ignored
#define SDP_CANDIDATES_MAX 64  // of one m= section; more are counted and ignored
#define SDP_SIZE_MAX                                                                               \
    262144 // a browser's few sections are 10 KB; a call of thirty is ten times that

// What a parser says of any bytes.
enum sdp_outcome {
    SDP_OK,
    SDP_TOO_LONG,
    SDP_BAD_LINE,  // not <letter>=<value>, or a NUL byte in it
    SDP_BAD_ORDER, // a line where RFC 8866 5 does not allow it
    SDP_MISSING,   // v=, o=, s= or t= is not there, or c= of a section in use
    SDP_BAD_VERSION,
    SDP_BAD_ORIGIN,
    SDP_BAD_TIME,
    SDP_BAD_CONNECTION,
    SDP_BAD_MEDIA,
    SDP_BAD_ATTRIBUTE, // a known attribute with a value that its grammar forbids
    SDP_TOO_MANY_MEDIA,
    SDP_OUTCOMES,
};
const char *sdp_outcome_name(enum sdp_outcome outcome);

enum sdp_setup {
    SDP_SETUP_NONE,
    SDP_SETUP_ACTIVE,
    SDP_SETUP_PASSIVE,
    SDP_SETUP_ACTPASS,
    SDP_SETUP_HOLDCONN
};

// Transport attributes (ufrag to trickle) that a section lacks are those of the session, or else of
// the first section of its BUNDLE group (RFC 9143 7.1.3).
struct sdp_media {
    struct bytes kind;       // "application", "audio"
    uint16_t port;           // 0: rejected, unless bundle-only
    struct bytes protocol;   // "UDP/DTLS/SCTP"
    struct bytes formats;    // the rest of the line: "webrtc-datachannel"
    struct bytes mid;        // empty: none
    struct bytes ufrag, pwd; // empty: none
    struct dtls_fingerprint fingerprints[SDP_FINGERPRINTS_MAX]; // lower-case name, upper-case hex
    unsigned fingerprints_count;
    enum sdp_setup setup;
    struct bytes tls_id;
    struct ice_candidate candidates[SDP_CANDIDATES_MAX];
    unsigned candidates_count;
    unsigned candidates_ignored; // other transports, names instead of addresses, over the maximum
    bool end_of_candidates;
    bool trickle; // a=ice-options:trickle
    bool bundle_only;
    bool has_sctp_port; // a=sctp-port, or a=sctpmap and the format of older drafts
    bool old_sctp;      // protocol "DTLS/SCTP", a port as format and a=sctpmap, before RFC 8841
    uint16_t sctp_port; // 0 with has_sctp_port: the association is to be closed (RFC 8841 10.3)
    bool has_max_message_size;
    uint64_t
        max_message_size; // 0 in the text: no limit; without the attribute: 64 KiB (RFC 8841 6.1)
    struct bytes lines;   // the whole section, from its m= line on
};

struct sdp {
    uint64_t session_id, session_version;
    bool ice_lite;
    struct bytes bundle[SDP_MEDIA_MAX]; // mids of the first a=group:BUNDLE
    unsigned bundle_count;
    struct sdp_media media[SDP_MEDIA_MAX];
    unsigned media_count;
    struct bytes session_lines; // before the first section
    unsigned error_line;        // where parsing failed, from 1
};

// `out` is large (0.3 MB) and only what a description has is written to it: reuse one.
enum sdp_outcome sdp_parse(struct bytes text, struct sdp *out);
// The first m= section that is a data channel association (RFC 8841 5), or NULL.
const struct sdp_media *sdp_data_media(const struct sdp *sdp);

// The section whose transport all others share: the first of the BUNDLE group that is in use
// (RFC 9143 7.2); without a group the data channel's, or the first of RTP. NULL: there is none.
const struct sdp_media *sdp_transport_media(const struct sdp *sdp);
// The same of an offer whose sections of RTP will be rejected where it says so: the answerer's tag
// is on the first that it accepts (RFC 9143 7.3.1), and sections of an offer may have transports of
// their own until it is answered.
const struct sdp_media *sdp_transport_media_but(const struct sdp *sdp,
                                                const bool rejected[SDP_MEDIA_MAX]);

// Is this section part of that transport: it is the one that has it, or in a group with it (RFC
// 9429 5.3.1)?
bool sdp_is_bundled(const struct sdp *sdp, const struct sdp_media *media,
                    const struct sdp_media *transport);

// "candidate:..." with or without "a=" before it (RFC 8839 5.1). False: malformed. Well-formed, but
// not *usable: TCP, another component than 1, an unknown type, a name (mDNS) instead of an address.
bool sdp_candidate_parse(struct bytes line, struct ice_candidate *out, bool *usable);
// The value of its extension "ufrag", which tells the generation of a trickled candidate; empty:
// none.
struct bytes sdp_candidate_ufrag(struct bytes line);
// "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host", without a line end.
void sdp_candidate_write(struct text *to, const struct ice_candidate *candidate);

// What a description of ours says; the m= section of the data channel is written in full.
struct sdp_rtp_local;
struct sdp_local {
    uint64_t session_id, session_version;
    const struct ice_credentials *credentials;
    bool ice_lite, trickle, end_of_candidates;
    const struct dtls_fingerprint *fingerprint; // NULL: none, for ICE alone
    enum sdp_setup setup;
    const struct ice_candidate *candidates; // gathered so far
    unsigned candidates_count;
    uint16_t sctp_port;
    uint64_t max_message_size;
    // Of audio and video (sdp_rtp.h), by the section that each is: ours, or NULL. In an answer NULL
    // is rejected, and without `media` all are. In an offer NULL is disabled; see `agreed`.
    const struct sdp_rtp_local *const *media;
    unsigned media_count;
    // Of an offer: what both agreed on last, whose sections keep their places, mids and protocols
    // (RFC 3264 8, RFC 9429 5.2.2). What is new comes after them, and last the data channels,
    // unless they have their place already. NULL: a first offer.
    const struct sdp *agreed;
    struct bytes data_mid; // of a data section that is new; empty: a number that no other has
    bool no_data;          // without data channels: none, or their section disabled or rejected
};
// At most SDP_MEDIA_MAX sections in all.
void sdp_write_offer(struct text *to, const struct sdp_local *local);
// The answer to `offer`: the same m= sections in the same order, those but the data one rejected.
void sdp_write_answer(struct text *to, const struct sdp_local *local, const struct sdp *offer);

// Can a connection be made over this section, and has the description what it says that it has (RFC
// 9429 5.8.3, RFC 9143 7)? `ice_only` asks for nothing of DTLS. NULL: yes; else why not.
const char *sdp_transport_check(const struct sdp *sdp, const struct sdp_media *media,
                                bool ice_only);
// Can an association be made from this section and its description (RFC 9429 5.8.3, RFC 8841 5,
// RFC 9143 7)? `ice_only` asks for nothing of DTLS and SCTP. NULL: yes; else why not.
const char *sdp_data_check(const struct sdp *sdp, const struct sdp_media *media, bool ice_only);
// Does `answer` fit `offer` (RFC 3264 6, RFC 8842 5.3, RFC 9143 7.3)? NULL: yes; else why not.
const char *sdp_answer_check(const struct sdp *offer, const struct sdp *answer);
// The role that an answer's a=setup leaves for us (RFC 8842 5.2); false: none that works.
bool sdp_dtls_role(enum sdp_setup offer, enum sdp_setup answer, bool we_offered,
                   enum dtls_role *out);

#endif
