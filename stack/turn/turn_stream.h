// Messages of STUN and TURN in a byte stream (RFC 8489 6.2.2, RFC 8656 12.5): what came over TCP,
// cut into the STUN messages and the ChannelData that it is made of.
//
//     turn_stream_input(&stream, bytes);  // what was read, however it was cut
//     while ((outcome = turn_stream_next(&stream, &message)) == TURN_STREAM_MESSAGE) { ... }
//     if (turn_stream_is_bad(outcome)) close the connection: no message can be found in it any more
//
// A message that came whole is handed out where it lies; the beginning of one is kept, in a buffer
// that grows to what that message needs and never past TURN_STREAM_MESSAGE_MAX. Nothing else is
// looked at here: whether a message makes sense is for stun_decode and turn_client, turn_server.
#ifndef STACK_TURN_TURN_STREAM_H
#define STACK_TURN_TURN_STREAM_H

#include "base/bytes.h"

// A STUN message with the longest length that is a multiple of four; ChannelData are shorter.
#define TURN_STREAM_MESSAGE_MAX (20 + 65532)

enum turn_stream_outcome {
    TURN_STREAM_MESSAGE,
    TURN_STREAM_MORE,       // what is left is the beginning of a message, or nothing
    TURN_STREAM_BAD_START,  // neither STUN nor ChannelData begins so
    TURN_STREAM_BAD_LENGTH, // RFC 8489 5: of a STUN message, no multiple of four
    TURN_STREAM_BAD_COOKIE, // RFC 8489 5: what begins as STUN has no magic cookie
    TURN_STREAM_OUTCOMES,
};
const char *turn_stream_outcome_name(enum turn_stream_outcome outcome);

struct turn_stream {
    unsigned channel_max; // the largest channel number
    uint8_t *at;          // owned: a message that has begun
    size_t len, room;
    struct bytes in;               // borrowed: what was not looked at yet
    enum turn_stream_outcome last; // a bad one stays
};

// ChannelData have numbers up to 0x4fff, with `rfc5766_channels` up to 0x7fff.
void turn_stream_init(struct turn_stream *stream, bool rfc5766_channels);
void turn_stream_fini(struct turn_stream *stream);

// `bytes` are borrowed until turn_stream_next has returned something else than a message: go on
// until then before the next input.
void turn_stream_input(struct turn_stream *stream, struct bytes bytes);
// The next message without its padding: borrowed until the next call.
enum turn_stream_outcome turn_stream_next(struct turn_stream *stream, struct bytes *message);

static inline bool turn_stream_is_bad(enum turn_stream_outcome outcome)
{
    return outcome != TURN_STREAM_MESSAGE && outcome != TURN_STREAM_MORE;
}

#endif
