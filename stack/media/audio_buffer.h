// The jitter buffer of audio: packets in as they come, 10 ms of sound out at a time, delayed so
// that almost none is late, stretched and shortened to keep that delay, made up where nothing is
// there.
//
// No samples are touched: what would be played is counted, as the W3C counts it. After NetEQ's
// idea: the delay that 95 of 100 packets would have been in time with, by a histogram that forgets,
// is the target; when more is held than that, a little is left out of what is played
// (removedSamplesForAcceleration), when less, a little is added (insertedSamplesForDeceleration).
// So a sender's clock that runs fast or slow is followed, too.
//
// Concealed is what is played while the packet for it is not there: it was lost (a later one is
// there), or is late (nothing is there; then the sound waits for it, and the delay grows). Silence
// of a sender that uses DTX is no concealment.
#ifndef STACK_MEDIA_AUDIO_BUFFER_H
#define STACK_MEDIA_AUDIO_BUFFER_H

#include "base/bytes.h"
#include "base/clock.h"

#define AUDIO_BUFFER_PACKETS 256
#define AUDIO_BUFFER_TICK (10 * TIME_MS)
#define AUDIO_BUFFER_LEAST (20 * TIME_MS)
#define AUDIO_BUFFER_MOST (2000 * TIME_MS)
#define AUDIO_PAYLOAD_MAX 1500

struct audio_buffer;

struct audio_packet {
    uint32_t timestamp;   // of RTP
    uint32_t duration;    // in units of the clock rate
    bool dtx;             // silence follows until the next packet
    bool recovered;       // from RED or FEC: never instead of what came itself
    struct bytes payload; // copied
};

enum audio_outcome {
    AUDIO_KEPT,
    AUDIO_DUPLICATE,
    AUDIO_LATE, // its time has been played: packetsDiscarded
    AUDIO_FULL, // the buffer was emptied for it
    AUDIO_BAD,  // no duration, or too long
};

enum audio_play_kind { AUDIO_PLAYED, AUDIO_CONCEALED, AUDIO_SILENT };
struct audio_play {
    enum audio_play_kind kind;
    bool begins;          // the first 10 ms of a packet: `payload`, `timestamp` are its
    struct bytes payload; // until the next call
    uint32_t timestamp;
};

// Samples are of the sample rate (of G.722: 16 kHz, though its clock says 8).
struct audio_buffer_stats {
    uint64_t totalSamplesReceived, concealedSamples, silentConcealedSamples, concealmentEvents;
    uint64_t insertedSamplesForDeceleration, removedSamplesForAcceleration;
    nanotime totalSamplesDuration;
    nanotime jitterBufferDelay, jitterBufferTargetDelay, jitterBufferMinimumDelay;
    uint64_t jitterBufferEmittedCount;
    uint64_t packetsDiscarded;
    nanotime target; // now
    nanotime held;   // now
    // Loss as the ear meets it: 10 ms pieces lost in a row, for the burst ratio of G.107.
    uint64_t lost_pieces, lost_runs, played_pieces;
};

struct audio_buffer *audio_buffer_new(uint32_t clock_rate, uint32_t sample_rate);
void audio_buffer_free(struct audio_buffer *buffer); // NULL is allowed

enum audio_outcome audio_buffer_packet(struct audio_buffer *buffer, nanotime now,
                                       const struct audio_packet *packet);
// The next 10 ms when they are due, until false.
bool audio_buffer_poll(struct audio_buffer *buffer, nanotime now, struct audio_play *out);
nanotime audio_buffer_deadline(const struct audio_buffer *buffer);
// Hold at least so much, for lip synchronisation.
void audio_buffer_set_least(struct audio_buffer *buffer, nanotime least);
// Another source, or another clock: what is held is dropped, and the next packet is the first once
// more. What was learnt of the path stays, and the statistics go on.
void audio_buffer_restart(struct audio_buffer *buffer, uint32_t clock_rate, uint32_t sample_rate);
// Nothing more will come until a restart: what is held is played, then playout ends.
void audio_buffer_drain(struct audio_buffer *buffer);
// Nothing more will come: playout ends.
void audio_buffer_stop(struct audio_buffer *buffer);
struct audio_buffer_stats audio_buffer_stats(const struct audio_buffer *buffer);

#endif
