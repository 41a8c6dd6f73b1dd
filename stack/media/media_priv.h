// What the files of the session share.
//
//   media.c           life, tracks, what was agreed on, commands, poll and deadline
//   media_send.c      frames to packets, pacing, congestion control
//   media_ssrc.c      SSRCs of ours, and collisions
//   media_fec.c       forward error correction, both ways
//   media_repair.c    what is sent against loss: retransmissions, RED, FEC
//   media_receive.c   packets to frames: demultiplexing, repair, buffers, playout
//   media_ccfb.c      congestion control feedback by RTP numbers, both ways
//   media_rtcp.c      reports and feedback written; media_feedback.c: read
//   media_sync.c      audio and video brought together
//   media_count.c     statistics
//   media_members.c   their names
#ifndef STACK_MEDIA_MEDIA_PRIV_H
#define STACK_MEDIA_MEDIA_PRIV_H

#include "base/arena.h"
#include "stack/congestion/arrival.h"
#include "stack/congestion/gcc.h"
#include "stack/congestion/pacer.h"
#include "stack/congestion/remb.h"
#include "stack/media/audio_buffer.h"
#include "stack/media/dtmf.h"
#include "stack/media/frame_buffer.h"
#include "stack/media/media.h"
#include "stack/media/payload.h"
#include "stack/media/source.h"
#include "stack/rtp/fec.h"
#include "stack/rtp/nack.h"
#include "stack/rtp/red.h"
#include "stack/rtp/rtcp.h"
#include "stack/rtp/rtcp_schedule.h"
#include "stack/rtp/rtp_demux.h"
#include "stack/rtp/rtp_history.h"
#include "stack/rtp/rtp_receiver.h"
#include "stack/rtp/rtx.h"

#define MEDIA_STREAMS_MAX 128    // incoming SSRCs
#define MEDIA_PACKETS_CHUNK 64   // packets that the pool grows by
#define MEDIA_PACKETS_MAX 4096   // that wait for the pacer, in all
#define MEDIA_PACKET_OVERHEAD 48 // of IP, UDP and SRTP: what rates count beside RTP
#define MEDIA_FREEZE_FRAME_MAX 262144
// RFC 8108 7.1.4, RFC 3550 6.3.5: who said nothing for five times 5 s is not there.
#define MEDIA_MEMBER_TIMEOUT (5 * 5 * TIME_S)

// A packet on its way to the wire. Slots live in chunks, and are used again.
struct media_packet {
    uint16_t len;
    uint16_t header_len; // of RTP; 0: not told
    uint16_t original;   // of RTX: the sequence number that it repairs
    bool as_it_was;      // sent again under its own number: not a byte may differ
    uint8_t track, layer;
    bool rtx, fec, padding, audio;
    bool last_of_frame;
    nanotime made_at;
    uint32_t next_free;
    uint8_t bytes[RTP_PACKET_MAX];
};

struct media_sent; // media_ccfb.c: which packets went out under which transport-wide number

// What SSRCs that were given up have still to say: the one of the media, and those that repair it.
struct media_goodbye {
    uint32_t ssrcs[3];
    unsigned count; // of those that spoke; 0: nothing is to be said
    bool collided;  // RFC 3550 8.2; else there is no more to send
    bool sent;      // RTP of late: what it comes to goes before
    struct rtcp_sender_info info;
};

// One outgoing SSRC with its repair streams.
struct media_stream_out {
    uint32_t ssrc, rtx_ssrc, fec_ssrc;
    uint16_t sequence, rtx_sequence, fec_sequence; // of the next packet
    uint32_t first_timestamp;
    uint16_t first_sequence; // of the packets under this SSRC
    int32_t picture_id;
    uint8_t tl0picidx;
    bool on; // its layer has bandwidth
    // A report of it came: the mid need not be told any more. Of the streams that repair it most
    // receivers report nothing.
    bool acknowledged, rtx_acknowledged;
    uint32_t target_bps;
    struct rtp_history *history;
    struct media_sent *sent[3]; // by enum media_role_in; NULL: none, or no need
    uint8_t *red; // the frame before, for RED: RED_LENGTH_MAX bytes; NULL: not agreed on
    uint16_t red_len;
    uint32_t red_timestamp;
    // Counters, by W3C names (struct media_outbound).
    uint64_t packets, payload_bytes, header_bytes;
    uint64_t rtx_packets, rtx_bytes;
    uint64_t flex_packets, flex_bytes; // of `packets`, those of fec_ssrc
    uint64_t own_packets, own_bytes;   // those of `ssrc`
    uint64_t told_packets, told_bytes; // of media, under an SSRC that was given up
    uint64_t nacks, plis, firs;
    nanotime keyframe_at; // when the last was made
    bool keyframe_asked;  // one is to come as soon as it may
    uint64_t frames, keyframes, huge_frames, frame_bytes;
    uint64_t target_bytes;
    nanotime send_delay;
    nanotime recent[128]; // when the last frames were sent, for framesPerSecond
    uint8_t fir_sequence;
    bool has_fir;
    uint32_t last_timestamp; // of RTP, and when it was
    nanotime last_at;
    uint16_t width, height;
    // What the receiver reports.
    struct media_remote_inbound remote;
    bool spoke[3]; // by enum media_role_in: anything was said under its SSRC
    struct media_goodbye goodbye;
    // RFC 3550 6.3.8: when RTP went out last under its SSRC (TIME_NEVER: none yet), and when this
    // SSRC reported last and before that.
    nanotime rtp_at, reported[2];
};

// One incoming SSRC.
enum media_role_in { MEDIA_IN_MEDIA, MEDIA_IN_RTX, MEDIA_IN_FEC };
struct media_stream_in {
    bool used;
    uint32_t ssrc;
    uint16_t track;
    enum media_role_in role;
    int repairs;               // index of the stream that it repairs; -1: not known
    const struct codec *codec; // of media: of the newest packet; NULL: none is known yet
    struct rtp_receiver receiver;
    struct nack *nack;
    struct fec_decoder *fec; // NULL: nothing was agreed on
    struct arrival *arrival; // for RFC 8888; NULL: not agreed on
    struct audio_buffer *audio;
    struct frame_buffer *video;
    int64_t last_sequence; // unwrapped; -1: none
    char rid[RTP_DEMUX_RID_MAX + 1];
    bool bye; // it said goodbye
    nanotime bye_at;
    bool held; // the section receives nothing for now
    bool keyframe_wanted;
    nanotime keyframe_asked; // TIME_NEVER: not yet
    uint64_t nacks, plis, firs;
    uint64_t rtx_packets, rtx_bytes, fec_packets, fec_bytes, fec_discarded;
    // All that came for it on SSRCs of their own: RTX with its padding, FlexFEC.
    uint64_t repair_packets, repair_bytes, repair_header_bytes;
    uint64_t recovered, bad_payload;
    uint64_t intact, damaged, missing;
    int64_t last_counter; // of synthetic frames; -1: none
    uint8_t audio_level;
    bool has_audio_level;
    uint64_t audio_energy; // level^2 over time, in 10^-12 s
    uint64_t width, height;
    nanotime processing; // sum: first packet of a frame to its playout
    nanotime recent[128];
    uint64_t rendered;
    struct dtmf_receiver dtmf;
    struct media_remote_outbound remote;
    struct rtcp_sender_info last_sr;
    nanotime last_sr_at;
    nanotime frame_time; // audio: of the newest packet
    // What was played last, and when: lip sync goes by it. TIME_NEVER: nothing yet.
    uint32_t played_rtp;
    nanotime played_at;
    nanotime synced_at, sync_extra; // video: when its delay was looked at last, and what it got
    nanotime sync_least;            // audio: what it must hold; 0: no more than it needs
};

struct media_track {
    struct media_track_config config;
    char label[MEDIA_LABEL_MAX];
    char codecs[MEDIA_CODECS_MAX][16];
    char rids[MEDIA_LAYERS_MAX][20];
    char mid[MEDIA_MID_MAX + 1];
    bool agreed;
    struct media_agreement agreement; // its mid is `mid` above

    // Sending.
    bool sending; // agreed on, started
    bool left;    // rejected or stopped: not a packet of it goes out
    const struct codec *codec;
    const struct media_format *format;
    struct media_source *source;
    bool muted;
    struct dtmf_sender dtmf;
    const struct media_format *dtmf_format;
    uint32_t bitrate; // the most of the source, by config or command
    struct media_stream_out out[MEDIA_LAYERS_MAX];
    unsigned layers;
    uint32_t loss_256;               // reported, for FEC's share
    uint8_t source_level;            // -dBov, of the last frame of audio
    uint64_t source_energy;          // level^2 over time, in 10^-12 s
    nanotime source_time;            // of the frames of audio
    nanotime sending_since;          // TIME_NEVER: it never did
    nanotime limited_since, limited; // quality limitation by bandwidth
    uint64_t resolution_changes;

    // Receiving.
    int current; // index of the incoming stream that plays; -1: none
    uint32_t receive_max;
    bool play_out;
    uint64_t digits;
};

// The last RRTR of the other side (RFC 3611 4.4).
struct media_rrtr {
    uint32_t ssrc, ntp; // the middle 32 bits
    nanotime at;        // 0: none
};

struct media {
    struct media_config config;
    char cname[64];
    struct rng rng;
    struct trace trace;
    bool started, stopped;
    struct media_track tracks[MEDIA_TRACKS_MAX];
    unsigned tracks_count;
    struct rtp_demux *demux;
    struct media_stream_in *streams; // MEDIA_STREAMS_MAX, by the demux's index; once one is there
    unsigned streams_count;          // highest used index + 1

    // Packets that wait.
    struct media_packet **chunks;
    unsigned chunks_count;
    uint32_t free_packet; // index, UINT32_MAX: none
    uint32_t sent_packet; // given out by the last poll; back to the pool with the next

    struct gcc *gcc;
    struct pacer *pacer;
    struct arrival *arrival;
    struct remb *remb;
    bool transport_cc, use_remb, ccfb;   // agreed on by a track
    struct rtp_extension_map extensions; // of all tracks
    bool ccfb_known;
    int64_t ccfb_clock; // of the reports received, in 1/65536 s, unwrapped
    uint16_t transport_sequence;
    uint32_t pad_left; // of a probe that lacks media
    int pad_cluster;
    uint8_t feedback_count;
    uint32_t feedback_media; // SSRC of the latest packet that feedback tells of
    int64_t feedback_time;   // of the feedback received, in 250 us, unwrapped
    struct media_rrtr rrtr;
    struct rtcp_schedule schedule;
    unsigned goodbyes;  // layers that have one to say
    bool feedback_due;  // NACK, PLI, FIR wait for the schedule
    uint32_t remb_bps;  // to be told; 0: none
    uint32_t remb_told; // the last, and when; TIME_NEVER: to be told at once
    nanotime remb_told_at;
    bool remb_agreed;     // on a track, whatever estimates
    bool has_receive_max; // a track has one
    bool reduced_size;
    unsigned reporter;    // next stream to report, round robin
    unsigned asker;       // the stream whose feedback goes first: there was no room for all of it
    unsigned speaker;     // next of ours to speak, round robin: track * MEDIA_LAYERS_MAX + layer
    bool we_sent;         // RFC 3550 6.3.8
    nanotime reported[2]; // the last regular report, and the one before
    nanotime heard_at, rtp_heard_at; // anything, RTP, of the other side; TIME_NEVER: nothing yet
    uint8_t rtcp[RTP_PACKET_MAX];
    uint8_t wrapped[RTP_PACKET_MAX]; // a packet as it was before RED and the pacer
    uint8_t scratch[RTP_PACKET_MAX]; // a packet that FEC or RTX brought back
    uint8_t *frame;                  // of playout: MEDIA_FREEZE_FRAME_MAX, once needed
    nanotime rtt;                    // the latest; 0: not known
    uint32_t pace_bps;               // what may be sent
    nanotime repair_busy;            // until then retransmissions use all of it
    uint32_t most_bps;               // that congestion control may look for
    bool changed;
    nanotime now;                 // of the last poll
    nanotime send_at, receive_at; // before these neither half has anything to do; 0: not known
    struct media_transport_stats stats;
    struct media_output digits_out[4];
    unsigned digits_count;
};

// media.c
// Both halves may have something to do.
static inline void media_touch(struct media *m)
{
    m->send_at = m->receive_at = 0;
}
struct media_packet *media_packet_new(struct media *m, uint32_t *index); // NULL: the pool is full
struct media_packet *media_packet_at(struct media *m, uint32_t index);
void media_packet_free(struct media *m, uint32_t index);
uint32_t media_sender_ssrc(const struct media *m, unsigned track);
const struct media_format *media_format_of(const struct media_track *t, unsigned receive_type);
const struct media_format *media_format_kind(const struct media_track *t, enum codec_kind kind);

// media_ssrc.c
uint32_t media_ssrc_draw(struct media *m, unsigned track);
// RFC 3550 8.2: one of ours came from somebody else. Its layer goes on under others.
void media_ssrc_collision(struct media *m, nanotime now, uint32_t ssrc);
// There is no more to send on the track: its SSRCs say goodbye. Should it ever be taken up again,
// it has others.
void media_ssrc_leave(struct media *m, nanotime now, unsigned track);

// media_send.c
void media_send_start(struct media *m, nanotime now, struct media_track *t);
void media_send_stop(struct media_track *t);
void media_share(struct media *m, nanotime now); // the target among tracks and layers
void media_sources_poll(struct media *m, nanotime now);
bool media_pacer_poll(struct media *m, nanotime now, struct media_output *out);
nanotime media_send_deadline(const struct media *m);
// Header and payload into a packet of the pool, and on to the pacer. False: no room.
bool media_packet_send(struct media *m, nanotime now, uint32_t index, enum pacer_priority priority);
// The values of header extensions of a stream's packets.
void media_extension_values(const struct media_track *t, unsigned layer, bool repair,
                            struct rtp_extension_values *values);

// media_repair.c
// The RTX that goes with what the track sends; NULL: packets are sent again as they were.
const struct media_format *media_repair_rtx(const struct media_track *t);
// A packet as it goes out, for those who will ask for it again: before RED if it goes again as RTX,
// else after it, byte by byte.
void media_repair_remember(nanotime now, struct media_track *t, const struct media_packet *packet);
void media_repair_nack(struct media *m, nanotime now, struct media_track *t, unsigned layer,
                       uint16_t sequence);
// The index of a packet of padding of at most `bytes`; UINT32_MAX: none can be made.
uint32_t media_repair_pad(struct media *m, nanotime now, uint32_t bytes);

// An audio frame as payload: itself, or RED with the frame before. Its length; 0: no room.
size_t media_repair_red(struct media_track *t, uint32_t timestamp, struct bytes frame, uint8_t *to,
                        size_t max);

// media_fec.c
uint32_t media_fec_share(const struct media_track *t); // per thousand of the media; 0: none
const struct media_format *media_fec_red(const struct media_track *t); // NULL: no RED around video
// Repair packets for the packets of a frame, which wait in the pacer.
void media_fec_send(struct media *m, nanotime now, struct media_track *t, unsigned layer,
                    const uint32_t *indices, unsigned count, uint32_t timestamp);
void media_fec_wrap(struct media_track *t, struct media_packet *packet); // into RED, if agreed on
void media_fec_begin(const struct media_track *t, struct media_stream_in *s);
void media_fec_note(struct media *m, struct media_stream_in *s, const struct rtp_packet *packet);
void media_fec_drain(struct media *m, nanotime now, struct media_stream_in *s);
enum media_drop media_fec_take_red(struct media *m, nanotime now, struct media_stream_in *s,
                                   const struct rtp_packet *packet, bool recovered);
enum media_drop media_fec_take_flex(struct media *m, nanotime now, struct media_stream_in *s,
                                    const struct rtp_packet *packet);

// media_receive.c
enum media_drop media_take(struct media *m, nanotime now, struct media_stream_in *s,
                           const struct rtp_packet *packet, bool recovered);
bool media_playout_poll(struct media *m, nanotime now, struct media_output *out);
nanotime media_receive_deadline(const struct media *m);
void media_stream_free(struct media_stream_in *s);
void media_streams_hold(struct media *m, unsigned track); // nothing of it is received from now on
void media_streams_expire(struct media *m, nanotime now); // those that said goodbye some time ago
// What the SDES of a datagram tells of streams, with room made for them.
void media_streams_learn(struct media *m, nanotime now, struct bytes datagram);
void media_keyframe_want(struct media *m, nanotime now, struct media_stream_in *s);

// media_ccfb.c
void media_ccfb_sent(struct media_sent **to, uint16_t sequence, uint16_t transport);
void media_ccfb_read(struct media *m, nanotime now, const struct rtcp_packet *packet);
void media_ccfb_note(struct media *m, nanotime now, struct media_stream_in *s, uint16_t sequence,
                     size_t len);
nanotime media_ccfb_deadline(const struct media *m);
bool media_ccfb_write(struct media *m, nanotime now, struct writer *w); // false: nothing to tell

// media_rtcp.c
bool media_rtcp_poll(struct media *m, nanotime now, struct media_output *out);
nanotime media_rtcp_deadline(const struct media *m);
void media_feedback_wish(struct media *m, nanotime now);
void media_rtcp_begins(struct media *m, nanotime now); // RTP goes out, which did not lately
// The SSRCs of a layer are about to be others: what they have to say before.
void media_rtcp_leave(struct media *m, nanotime now, struct media_track *t, unsigned layer,
                      bool collided);
nanotime media_ntp_time(uint64_t ntp); // time of the run of an NTP time

// media_sync.c
void media_sync(struct media *m, nanotime now, struct media_stream_in *video);
// How far audio is ahead of (+) or behind the video it belongs to. False: not known.
bool media_sync_offset(const struct media *m, const struct media_track *t, nanotime *ahead);
// The sender's time of what is played now; TIME_NEVER: not known.
nanotime media_sync_playout(nanotime now, const struct media_stream_in *s);

// media_count.c
uint64_t media_count_amplitude(uint8_t level); // thousandths of full scale, of -dBov
// What a span at a level adds to the energy, in 10^-12 s.
uint64_t media_count_energy(uint8_t level, nanotime span);
void media_count_recent(nanotime *recent, uint64_t count, nanotime now);
uint64_t media_count_per_second(const nanotime *recent, uint64_t count, nanotime now);

#endif
