// Payload formats: frames to RTP payloads and back, without memory of their own.
//
// Out: an iterator over one frame. Each call writes one payload of at most `max` bytes:
//
//     outcome = payload_begin(&out, &frame, max);
//     while ((len = payload_next(&out, buffer)) > 0)
//         send(buffer, len, out.last);                // `last`: set RTP's marker (video)
//
// In: payload_read says of one payload what can be known without its neighbours; any bytes give a
// named outcome. The frame itself is put together from all its payloads, in order:
//
//     payload_join_begin(&join, kind, buffer, max);
//     for each payload: outcome = payload_join_add(&join, payload);
//     outcome = payload_join_end(&join, &frame);
//
// What a frame is: Opus, G.711, G.722: the packet. VP8, VP9: the frame as the codec has it. H.264:
// an access unit in the byte stream format (4-byte start codes come out). AV1: a temporal unit in
// the low-overhead format, without its temporal delimiter; every OBU comes out with its size.
#ifndef STACK_MEDIA_PAYLOAD_H
#define STACK_MEDIA_PAYLOAD_H

#include "stack/media/codec.h"

#define PAYLOAD_MAX_LEAST 40 // the smallest `max` that every format can work with
#define PAYLOAD_REFERENCES_MAX 3
#define PAYLOAD_SPATIAL_MAX 8

enum payload_outcome {
    PAYLOAD_OK,
    PAYLOAD_EMPTY,         // no bytes, or none after the descriptor
    PAYLOAD_TOO_SHORT,     // less than its own fields say
    PAYLOAD_BAD_FIELD,     // a value that the format forbids
    PAYLOAD_NOT_SUPPORTED, // STAP-B, MTAP, FU-B: interleaved mode, which WebRTC does not use
    PAYLOAD_TOO_LARGE,     // to send: does not fit `max` and may not be cut
    PAYLOAD_OUT_OF_PLACE, // joining: a fragment without its beginning, or a beginning inside of one
    PAYLOAD_CUT_OFF,      // joining: the frame ended inside of a fragment
    PAYLOAD_NO_ROOM,      // joining: the buffer is full
    PAYLOAD_NO_FORMAT,    // not a codec that has frames: RTX, RED, FEC
    PAYLOAD_OUTCOMES,
};
const char *payload_outcome_name(enum payload_outcome outcome);

// What descriptors of VP8 and VP9 say besides the frame. -1: not there.
struct payload_tag {
    int32_t picture_id;      // 7 or 15 bits
    bool picture_id_is_long; // 15 bits
    int16_t tl0picidx;       // 8 bits
    int8_t tid;              // temporal layer
    int8_t sid;              // spatial layer (VP9)
    int8_t keyidx;           // 5 bits (VP8)
    bool layer_sync;         // VP8 Y, VP9 U: depends on the lowest temporal layer alone
    bool discardable; // VP8 N: no other frame refers to it; VP9 Z: no frame of a higher layer
    bool inter_layer; // VP9 D: predicted from the lower spatial layer of the same picture
    bool flexible;    // VP9 F
    uint8_t references_count;                   // VP9 P_DIFF, in flexible mode
    uint8_t references[PAYLOAD_REFERENCES_MAX]; // 1..127 pictures back
    // VP9 scalability structure, written with the first payload of a frame that has one.
    uint8_t spatial_layers; // 0: no structure
    bool has_sizes;
    uint16_t width[PAYLOAD_SPATIAL_MAX], height[PAYLOAD_SPATIAL_MAX];
};
// Nothing but the frame.
#define PAYLOAD_TAG_NONE                                                                           \
    ((struct payload_tag){.picture_id = -1, .tl0picidx = -1, .tid = -1, .sid = -1, .keyidx = -1})

// ------------------------------------------------------------------------------------------- out

struct payload_frame {
    enum codec_kind kind;
    struct bytes bytes; // borrowed until the last payload is written
    bool keyframe;      // VP9: also upper spatial layers of a key picture (P = 0)
    bool single_nal;    // H.264: packetization-mode 0, one NAL unit a packet (RFC 6184 6.2)
    struct payload_tag tag;
};

struct payload_out {
    struct payload_frame frame;
    size_t max;
    size_t at;      // bytes that are done: of the frame; AV1: of the OBU
    size_t unit;    // where the NAL unit or OBU that is being cut began
    size_t unit_to; // and where it ends
    bool first;     // the next payload is the first
    bool last;      // the payload just written was the last
};

// PAYLOAD_OK, EMPTY, TOO_LARGE (audio above `max`, `max` below PAYLOAD_MAX_LEAST, a NAL unit in
// packetization-mode 0), BAD_FIELD (not a frame of this codec: no NAL unit, OBUs that do not add
// up; a tag that does not fit its fields), NO_FORMAT.
enum payload_outcome payload_begin(struct payload_out *out, const struct payload_frame *frame,
                                   size_t max);
// Write the next payload to `to`, which holds `max` bytes. 0: the frame is done.
size_t payload_next(struct payload_out *out, uint8_t *to);

// Does this frame stand alone? Sound always does; what is not known does not.
bool payload_is_keyframe(enum codec_kind kind, struct bytes frame);

// -------------------------------------------------------------------------------------------- in

struct payload_info {
    enum codec_kind kind; // as it was read
    // The payload begins a frame: certain for audio, VP8, VP9 (of a layer) and AV1 key frames, a
    // good guess for H.264 and AV1, where the end of the frame before (marker) is the rule.
    bool frame_start;
    bool frame_end; // VP9 E: the layer frame ends; audio: always. Others: RTP's marker tells
    bool continues; // begins inside of a fragment that an earlier payload began
    bool keyframe;  // of payloads that carry what tells it (see frame_start)
    uint16_t width, height; // VP8 and VP9 key frames that tell it; else 0
    struct payload_tag tag;
    // H.264: what tells that no picture is missing (7.4.3), see payload_frame_num.
    bool picture_begins;    // the first slice of a picture is here, and `slice` are its first bits
    bool is_reference;      // others refer to it (nal_ref_idc)
    bool has_sets;          // a sequence parameter set is in this payload
    uint8_t frame_num_bits; // by it; 0: not known
    uint64_t slice;
    uint32_t samples; // audio: duration in units of the RTP clock; 0: not known
    bool dtx;         // Opus: no sound in it (RFC 6716 2.1.9: at most one byte after the TOC)
    bool fec;         // Opus: has the frame before in low quality (LBRR)
    struct bytes
        media; // without descriptor: what a payload of VP8, VP9 and audio adds to its frame
};

// RTP clock units of one Opus packet (RFC 6716 3.1); 0: not valid.
uint32_t payload_opus_samples(struct bytes packet);

// The frame_num of a slice by its first bits, for sets that give it `bits`; -1: it is beyond them.
int32_t payload_frame_num(uint64_t slice, unsigned bits);

// `out` is written whole, also when the outcome is not PAYLOAD_OK; media borrows from `payload`.
enum payload_outcome payload_read(enum codec_kind kind, struct bytes payload,
                                  struct payload_info *out);

struct payload_join {
    enum codec_kind kind;
    struct writer to;
    size_t open_at; // H.264 and AV1: where the fragment that is open began in `to`
    bool open;
    enum payload_outcome outcome; // the first that is not PAYLOAD_OK stays
};

void payload_join_begin(struct payload_join *join, enum codec_kind kind, void *buffer, size_t max);
enum payload_outcome payload_join_add(struct payload_join *join, struct bytes payload);
// `frame` lies in the buffer; empty when the outcome is not PAYLOAD_OK.
enum payload_outcome payload_join_end(struct payload_join *join, struct bytes *frame);

#endif
