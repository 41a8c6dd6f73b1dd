// Video frames out of packets: put together, held for jitter, given in order, each once all that it
// builds on was given; what came too late or in part is dropped, and a key frame asked for.
//
// Every packet of the stream goes in under its unwrapped sequence number, in any order, with what
// its payload tells (payload.h). A frame is whole when all sequence numbers from one marker (or
// change of the timestamp) to the next are there; numbers that carried no frame may be missing
// where that can be told (frame_buffer.c). Decoding goes along the chain of frames; a hole in it is
// waited for, for FRAME_BUFFER_WAIT or two and a half round trips, then everything up to the next
// key frame is of no use. Before the first is shown its packets may come in any order.
//
// When: the least delay from capture (RTP timestamp) to completion in the last seconds is the
// network's; what frames take longer is jitter. A frame is shown at its capture time plus the least
// delay plus the jitter's (decaying) maximum.
#ifndef STACK_MEDIA_FRAME_BUFFER_H
#define STACK_MEDIA_FRAME_BUFFER_H

#include "base/clock.h"
#include "stack/media/payload.h"

#define FRAME_BUFFER_PACKETS 2048          // that are held; a power of two
#define FRAME_BUFFER_WAIT (400 * TIME_MS)  // for a hole, once a later packet is there
#define FRAME_BUFFER_WAIT_MAX (1 * TIME_S) // on whatever path
#define FRAME_BUFFER_DELAY_MAX (2 * TIME_S)

struct frame_buffer;

struct frame_packet {
    int64_t sequence; // unwrapped
    uint32_t timestamp;
    bool marker;
    bool empty;     // carries no frame: FEC in the media's own stream, padding
    bool recovered; // by RTX or FEC
    struct payload_info info;
    struct bytes payload; // copied
};

enum frame_outcome {
    FRAME_KEPT,
    FRAME_DUPLICATE,
    FRAME_LATE,     // its frame was given, or given up
    FRAME_FULL,     // further ahead than the buffer is long: all before it is given up
    FRAME_TOO_LONG, // longer than RTP_PACKET_MAX
};

struct frame {
    uint32_t timestamp;
    enum codec_kind kind;
    bool keyframe;
    uint16_t width, height;      // 0: not told
    int64_t first, last;         // sequences
    nanotime first_at, whole_at; // first packet, last packet
};

// By the W3C's names where it has them.
struct frame_buffer_stats {
    uint64_t framesReceived, framesDecoded, keyFramesDecoded, framesDropped;
    uint64_t framesAssembledFromMultiplePackets;
    nanotime totalAssemblyTime;
    uint64_t freezeCount, pauseCount;
    nanotime totalFreezesDuration, totalPausesDuration;
    nanotime totalInterFrameDelay;
    uint64_t totalSquaredInterFrameDelay; // millionths of s^2
    nanotime jitterBufferDelay, jitterBufferTargetDelay, jitterBufferMinimumDelay;
    uint64_t jitterBufferEmittedCount;
    nanotime totalProcessingDelay;
    uint64_t packets_late; // without those that came in time, too
    nanotime delay;        // what frames are held for now
};

struct frame_buffer *frame_buffer_new(uint32_t clock_rate);
void frame_buffer_free(struct frame_buffer *buffer); // NULL is allowed

enum frame_outcome frame_buffer_packet(struct frame_buffer *buffer, nanotime now,
                                       const struct frame_packet *packet);
// The next frame whose time has come, until false. What it borrows holds until the next packet.
bool frame_buffer_poll(struct frame_buffer *buffer, nanotime now, struct frame *out);
nanotime frame_buffer_deadline(const struct frame_buffer *buffer);
// Payload `sequence` of the frame just given.
struct bytes frame_buffer_payload(const struct frame_buffer *buffer, int64_t sequence);
// The chain is broken: only a key frame goes on.
bool frame_buffer_needs_keyframe(const struct frame_buffer *buffer);
// Packets up to here will never be used.
int64_t frame_buffer_done(const struct frame_buffer *buffer);
// Of the path: two retransmissions are waited for, on a long one too.
void frame_buffer_set_rtt(struct frame_buffer *buffer, nanotime rtt);
// More delay, for lip synchronisation.
void frame_buffer_set_extra(struct frame_buffer *buffer, nanotime extra);
// As of `now`: a freeze or pause that is going on counts, too, as if a frame were shown now (what
// is longer than 5 s is no freeze any more, but a pause). 0: up to the last frame.
struct frame_buffer_stats frame_buffer_stats(const struct frame_buffer *buffer, nanotime now);

#endif
