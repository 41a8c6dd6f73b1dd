// The codecs by their names in SDP: clock rates, channels, static payload types, and what of their
// format parameters (a=fmtp) must agree.
//
// A table, no state. Payload formats are payload.h's; RTX, RED and FEC have rows, so that an
// offer can list them, but are taken off a packet before a payload format sees it.
#ifndef STACK_MEDIA_CODEC_H
#define STACK_MEDIA_CODEC_H

#include "base/bytes.h"

enum codec_kind {
    CODEC_OPUS,
    CODEC_PCMU,
    CODEC_PCMA,
    CODEC_G722,
    CODEC_CN,    // comfort noise (RFC 3389)
    CODEC_EVENT, // telephone-event (RFC 4733)
    CODEC_RED_AUDIO,
    CODEC_VP8,
    CODEC_VP9,
    CODEC_H264,
    CODEC_AV1,
    CODEC_RTX,
    CODEC_RED_VIDEO,
    CODEC_ULPFEC,
    CODEC_FLEXFEC,
    CODEC_KINDS,
};
const char *codec_kind_name(enum codec_kind kind); // one word for each: "opus", "red-video"

enum codec_role {
    CODEC_MEDIA,  // frames of a source
    CODEC_AIDS,   // goes along with media in its stream: comfort noise, telephone events
    CODEC_REPAIR, // RTX, RED, FEC: carries the packets of others
};

struct codec {
    enum codec_kind kind;
    enum codec_role role;
    const char *name; // as SDP spells it
    bool video;
    uint32_t clock_rate;  // of RTP timestamps
    uint32_t sample_rate; // of the sound; differs for G722 (RFC 3551 4.5.2). 0: video
    uint8_t channels;     // of a=rtpmap; video: 1, and not written
    int8_t static_type;   // RFC 3551 6: its payload type that needs no a=rtpmap; -1: none
    const char *fmtp;     // the parameters that this stack offers; NULL: none
};

// Rows in the order that an offer would list them. NULL: past the end.
const struct codec *codec_at(unsigned index);
// The first row of a kind (telephone-event has one for each clock rate). Never NULL.
const struct codec *codec_of(enum codec_kind kind);
// By a=rtpmap: names are equal in any case (RFC 4855 3); `channels` 0 is not said, so 1.
// NULL: not known here.
const struct codec *codec_find(bool video, struct bytes name, uint32_t clock_rate,
                               unsigned channels);
// By name alone, as a scenario writes it ("opus", "VP8", "H264"): the first media codec. NULL:
// none.
const struct codec *codec_by_name(bool video, struct bytes name);
// By static payload type (0, 8, 9, 13). NULL: none of these.
const struct codec *codec_static(unsigned payload_type);

// A value of a=fmtp ("a=1;b=2"; names in any case). False: not there. The value is borrowed.
bool codec_parameter(struct bytes fmtp, const char *name, struct bytes *value);
// The same as a decimal number; `otherwise` when it is not there or is none.
uint32_t codec_parameter_number(struct bytes fmtp, const char *name, uint32_t otherwise);

// Do two sets of parameters mean formats that can decode each other? H264: profile and
// packetization-mode (RFC 6184 8.2.2), VP9: profile-id, AV1: profile; others: always.
bool codec_parameters_fit(enum codec_kind kind, struct bytes a, struct bytes b);

enum h264_profile {
    H264_CONSTRAINED_BASELINE,
    H264_BASELINE,
    H264_MAIN,
    H264_EXTENDED,
    H264_CONSTRAINED_HIGH,
    H264_HIGH,
    H264_OTHER,
};
struct h264_format {
    enum h264_profile profile;
    uint8_t profile_idc, profile_iop, level_idc;
    uint8_t packetization_mode; // 0, 1, 2
    bool level_asymmetry_allowed;
};
// False: profile-level-id is not 6 hexadecimal digits, or the mode is above 2.
bool h264_format_read(struct bytes fmtp, struct h264_format *out);

#endif
