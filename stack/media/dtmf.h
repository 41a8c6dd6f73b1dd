// Telephone events (RFC 4733): a sender that plays digits, a receiver that collects them.
//
// The sender's packets go out in the audio stream, with its SSRC and sequence numbers. The owner
// tells what the stream's timestamp is at `now`; while dtmf_sender_playing, audio should be silent.
#ifndef STACK_MEDIA_DTMF_H
#define STACK_MEDIA_DTMF_H

#include "base/clock.h"

#define DTMF_DIGITS_MAX 128 // that wait to be played
#define DTMF_PAYLOAD_LEN 4
#define DTMF_EVENT_FLASH 16

// "0123456789*#ABCD", '!' for flash; lower case too. -1: not a digit.
int dtmf_event(char digit);
char dtmf_digit(unsigned event); // 0: no digit

struct dtmf_payload {
    uint8_t event;
    bool end;
    uint8_t volume;    // -dBm0, 0..63
    uint16_t duration; // units of the RTP clock
};
void dtmf_write(uint8_t to[DTMF_PAYLOAD_LEN], const struct dtmf_payload *payload);
// The first event of a payload. False: shorter than one.
bool dtmf_read(struct bytes payload, struct dtmf_payload *out);

// ---------------------------------------------------------------------------------------- sender

struct dtmf_packet {
    uint8_t payload[DTMF_PAYLOAD_LEN];
    uint32_t timestamp; // of the event's (or segment's) start
    bool marker;        // RFC 4733 2.5.1.2: the first packet of an event
};

enum dtmf_state { DTMF_IDLE, DTMF_TONE, DTMF_GAP };

struct dtmf_sender {
    uint32_t clock_rate;
    nanotime interval; // between updates
    struct {
        int event; // below 0: none, a pause as long as its gap
        nanotime tone, gap;
    } queue[DTMF_DIGITS_MAX];
    unsigned head, count;
    enum dtmf_state state;
    nanotime began, until; // of the event
    nanotime due;          // of the next packet, or the gap's end
    bool first;            // the next packet is the event's first
    uint32_t timestamp;    // of the segment
    uint64_t sent_before;  // units in earlier segments of this event
    unsigned ends;         // end packets sent
};

void dtmf_sender_init(struct dtmf_sender *sender, uint32_t clock_rate, nanotime interval);
// Play after what is waiting; a ',' waits two seconds. False, and nothing is taken: a character
// that is neither, or more than DTMF_DIGITS_MAX would wait. A tone lasts at least one interval.
bool dtmf_dial(struct dtmf_sender *sender, nanotime now, const char *digits, nanotime tone,
               nanotime gap);
bool dtmf_sender_poll(struct dtmf_sender *sender, nanotime now, uint32_t timestamp_now,
                      struct dtmf_packet *out);
nanotime dtmf_sender_deadline(const struct dtmf_sender *sender);
bool dtmf_sender_playing(const struct dtmf_sender *sender);

// -------------------------------------------------------------------------------------- receiver

enum dtmf_news {
    DTMF_MALFORMED, // shorter than an event, or a number that is no digit
    DTMF_NOTHING,   // an update, a repetition, or late
    DTMF_BEGAN,     // a digit; also when its end is the first that is seen of it
    DTMF_ENDED,     // the digit that began before; its duration is known now
};
struct dtmf_receiver {
    bool any;  // an event was seen
    bool open; // and has not ended
    uint8_t event;
    uint32_t timestamp; // of the newest event, or its newest segment
    uint32_t before;    // units in its earlier segments
    uint32_t duration;  // units in all
    unsigned digits;
};
// A packet of the telephone-event payload type; of several events packed into one (RFC
// 4733 2.5.1.5, which WebRTC's senders do not do) the first counts. After BEGAN and ENDED `event`
// and `duration` tell which.
enum dtmf_news dtmf_receiver_input(struct dtmf_receiver *receiver, uint32_t timestamp,
                                   struct bytes payload);

#endif
