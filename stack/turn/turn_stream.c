#include "stack/turn/turn_stream.h"

#include "base/arena.h"
#include "stack/turn/turn_priv.h"

#include <assert.h>
#include <stdlib.h>

#define COOKIE_END 8 // what must be there to see the magic cookie

const char *turn_stream_outcome_name(enum turn_stream_outcome outcome)
{
    static const char *const names[TURN_STREAM_OUTCOMES] = {
        [TURN_STREAM_MESSAGE] = "message",       [TURN_STREAM_MORE] = "more",
        [TURN_STREAM_BAD_START] = "bad-start",   [TURN_STREAM_BAD_LENGTH] = "bad-length",
        [TURN_STREAM_BAD_COOKIE] = "bad-cookie",
    };
    return outcome < TURN_STREAM_OUTCOMES ? names[outcome] : "?";
}

void turn_stream_init(struct turn_stream *stream, bool rfc5766_channels)
{
    *stream = (struct turn_stream){
        .channel_max = rfc5766_channels ? TURN_CHANNEL_MAX_RFC5766 : TURN_CHANNEL_MAX,
        .last = TURN_STREAM_MORE,
    };
}

void turn_stream_fini(struct turn_stream *stream)
{
    free(stream->at);
    *stream = (struct turn_stream){0};
}

void turn_stream_input(struct turn_stream *stream, struct bytes bytes)
{
    assert(stream->in.len == 0);
    stream->in = bytes;
}

// What `bytes` begin with. MORE: `need` bytes would tell more. MESSAGE: of `len` bytes, which are
// followed by padding up to `need`.
static enum turn_stream_outcome frame(const struct turn_stream *stream, struct bytes bytes,
                                      size_t *need, size_t *len)
{
    struct reader r = reader_of(bytes);
    uint16_t first = read_u16(&r), length = read_u16(&r);
    *need = TURN_CHANNEL_HEADER_LEN;
    *len = 0;
    if (bytes.len > 0 && bytes.at[0] >> 6 != 0 && !turn_is_channel_data(bytes, stream->channel_max))
        return TURN_STREAM_BAD_START;
    if (r.failed)
        return TURN_STREAM_MORE;
    if (first >> 14 != 0) {
        // RFC 8656 12.5: over TCP padded to a multiple of four, which the length does not count.
        *len = (size_t)TURN_CHANNEL_HEADER_LEN + length;
        *need = (*len + 3) / 4 * 4;
        return bytes.len < *need ? TURN_STREAM_MORE : TURN_STREAM_MESSAGE;
    }
    if (length % 4 != 0)
        return TURN_STREAM_BAD_LENGTH;
    uint32_t cookie = read_u32(&r);
    *need = COOKIE_END;
    if (r.failed)
        return TURN_STREAM_MORE;
    if (cookie != STUN_COOKIE)
        return TURN_STREAM_BAD_COOKIE;
    *need = *len = (size_t)STUN_HEADER_LEN + length;
    return bytes.len < *need ? TURN_STREAM_MORE : TURN_STREAM_MESSAGE;
}

static void keep(struct turn_stream *stream, size_t len)
{
    if (len == 0)
        return;
    memcpy(stream->at + stream->len, stream->in.at, len);
    stream->len += len;
    stream->in = bytes_from(stream->in, len);
}

// Go on with the message that has begun, as far as its bytes are there.
static enum turn_stream_outcome resume(struct turn_stream *stream, struct bytes *message)
{
    for (;;) {
        size_t need, len;
        enum turn_stream_outcome outcome =
            frame(stream, bytes_of(stream->at, stream->len), &need, &len);
        if (outcome == TURN_STREAM_MESSAGE) {
            *message = bytes_of(stream->at, len);
            stream->len = 0;
        }
        if (outcome != TURN_STREAM_MORE || stream->in.len == 0)
            return outcome;
        assert(need > stream->len && need <= TURN_STREAM_MESSAGE_MAX);
        if (stream->room < need) {
            stream->at = mem_grow(stream->at, need);
            stream->room = need;
        }
        size_t missing = need - stream->len;
        keep(stream, missing < stream->in.len ? missing : stream->in.len);
    }
}

enum turn_stream_outcome turn_stream_next(struct turn_stream *stream, struct bytes *message)
{
    size_t need, len;
    *message = (struct bytes){0};
    if (turn_stream_is_bad(stream->last))
        stream->in.len = 0;
    else if (stream->len > 0)
        stream->last = resume(stream, message);
    else if (stream->in.len == 0)
        stream->last = TURN_STREAM_MORE;
    else if ((stream->last = frame(stream, stream->in, &need, &len)) == TURN_STREAM_MESSAGE) {
        *message = bytes_of(stream->in.at, len);
        stream->in = bytes_from(stream->in, need);
    } else if (stream->last == TURN_STREAM_MORE) {
        stream->last = resume(stream, message);
    }
    if (turn_stream_is_bad(stream->last))
        stream->in.len = 0;
    return stream->last;
}
