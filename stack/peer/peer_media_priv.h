// What the files of this peer's media share: its sections of a description as they are drawn up,
// what a track would have there, and whose a section is.
//
//     peer_media.c          tracks, SRTP, packets
//     peer_media_section.c  a section of ours, word by word
//     peer_media_offer.c    sections of an offer: their places, and its numbers
//     peer_media_answer.c   sections of an answer, and what both agree on
#ifndef STACK_PEER_PEER_MEDIA_PRIV_H
#define STACK_PEER_PEER_MEDIA_PRIV_H

#include "stack/peer/peer_priv.h"

#define PEER_SECTION_TEXTS 16

// What is written of one track, drawn up anew for each description: one thread, and sdp_write_* are
// done with it when they return.
struct peer_section {
    struct sdp_rtp_local local;
    struct sdp_format formats[MEDIA_FORMATS_MAX];
    struct sdp_extension extensions[RTP_EXTENSIONS];
    char texts[PEER_SECTION_TEXTS][64]; // of formats
    unsigned texts_count;
    char restrictions[SDP_LAYERS_MAX][128]; // of rids
};

// The track's, begun afresh: all but formats, extensions and layers.
struct peer_section *peer_section_begin(struct peer *p, unsigned track,
                                        enum sdp_direction direction);
// NULL: there are too many. In `format` the parameters of our own are filled in.
struct sdp_format *peer_section_format(struct peer_section *section, const struct codec *codec,
                                       uint8_t type, unsigned feedback);
void peer_section_extension(struct peer_section *section, uint8_t id, enum sdp_direction direction,
                            enum rtp_extension extension);
// Parameters that live until the description is written; `format` may take `number` twice.
struct bytes peer_section_text(struct peer_section *section, const char *format, unsigned number);
// The list that sdp_local.media points to, by section.
const struct sdp_rtp_local **peer_section_list(void);

// Is this codec one that the track can do something with?
bool peer_track_wants(const struct media_track_config *config, const struct codec *codec);
// a=rtcp-fb, in bits.
unsigned peer_track_feedback(const struct peer *p, const struct media_track_config *config,
                             const struct codec *codec);
bool peer_extension_fits(const struct peer *p, bool video, enum rtp_extension extension);
// NULL: none that we know.
const struct codec *peer_format_codec(const struct sdp_format *format, bool video);
// Could we decode what is offered with these parameters, and they what we send?
bool peer_format_fits(const struct codec *codec, const struct sdp_format *format);

unsigned peer_tracks(const struct peer *p);
// The track that has this section, by its mid, or where there is none by its place. -1: none has.
int peer_track_of(const struct peer *p, const struct sdp_media *media, unsigned section);
bool peer_track_is_free(const struct peer_track *track); // no section, and it may have one

// RFC 3264 5.1: what is offered may come before its answer does.
void peer_media_expect(struct peer *p, nanotime now, unsigned track,
                       const struct sdp_rtp_local *local);
void peer_media_expect_nothing(struct peer *p, nanotime now, unsigned track);

#endif
