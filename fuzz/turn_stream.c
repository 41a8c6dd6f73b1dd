// Any bytes as what comes over TCP from a TURN client or server: a walk over the whole is the model
// of what the framing finds, however the bytes were cut.
//
//   - the same messages and the same end, in one piece and in pieces;
//   - a message is whole, as long as its header says and no longer than the longest;
//   - what was bad once stays so; no more than one message is kept.
#include "fuzz/fuzz.h"
#include "stack/turn/turn_stream.h"

// libFuzzer: -max_len=4096

#define MESSAGES_MAX 4096

struct walk {
    enum turn_stream_outcome end;
    unsigned messages;
    uint64_t sum; // of all messages and their lengths
};

static void add(struct walk *walk, struct bytes message)
{
    walk->messages++;
    walk->sum = (walk->sum ^ message.len) * 0x100000001b3u; // FNV-1a
    for (size_t i = 0; i < message.len; i++)
        walk->sum = (walk->sum ^ message.at[i]) * 0x100000001b3u;
}

// RFC 8489 5 and RFC 8656 12.4, 12.5, as plainly as they can be written down.
static struct walk model(struct bytes b, bool rfc5766)
{
    struct walk walk = {.end = TURN_STREAM_MORE};
    unsigned last = rfc5766 ? 0x7f : 0x4f;
    while (b.len > 0) {
        bool channel = b.at[0] >= 0x40;
        if (channel && b.at[0] > last)
            walk.end = TURN_STREAM_BAD_START;
        if (walk.end != TURN_STREAM_MORE || b.len < 4)
            break;
        size_t length = (size_t)b.at[2] << 8 | b.at[3];
        size_t whole = channel ? 4 + (length + 3) / 4 * 4 : 20 + length;
        if (!channel && length % 4 != 0)
            walk.end = TURN_STREAM_BAD_LENGTH;
        else if (!channel && b.len >= 8 && memcmp(b.at + 4, "\x21\x12\xa4\x42", 4) != 0)
            walk.end = TURN_STREAM_BAD_COOKIE;
        if (walk.end != TURN_STREAM_MORE || b.len < whole)
            break;
        add(&walk, bytes_of(b.at, channel ? 4 + length : whole));
        b = bytes_from(b, whole);
    }
    return walk;
}

static enum turn_stream_outcome take(struct turn_stream *stream, struct walk *walk)
{
    struct bytes message;
    enum turn_stream_outcome outcome;
    while ((outcome = turn_stream_next(stream, &message)) == TURN_STREAM_MESSAGE) {
        assert(walk->messages < MESSAGES_MAX);
        assert(message.len >= 4 && message.len <= TURN_STREAM_MESSAGE_MAX);
        add(walk, message);
    }
    assert(message.len == 0 && outcome < TURN_STREAM_OUTCOMES);
    assert(stream->room <= TURN_STREAM_MESSAGE_MAX);
    return outcome;
}

static struct walk read_all(struct bytes bytes, bool rfc5766, uint64_t cuts)
{
    struct walk walk = {.end = TURN_STREAM_MORE};
    struct rng rng = rng_seed(cuts, "cuts");
    struct turn_stream stream;
    turn_stream_init(&stream, rfc5766);
    while (bytes.len > 0) {
        size_t len = cuts ? 1 + rng_below(&rng, bytes.len < 60 ? bytes.len : 60) : bytes.len;
        // Each piece in memory of its own: what is read behind it is seen.
        uint8_t *piece = mem_alloc(len);
        memcpy(piece, bytes.at, len);
        turn_stream_input(&stream, bytes_of(piece, len));
        enum turn_stream_outcome outcome = take(&stream, &walk);
        assert(walk.end == TURN_STREAM_MORE || outcome == walk.end);
        walk.end = outcome;
        free(piece);
        bytes = bytes_from(bytes, len);
    }
    turn_stream_fini(&stream);
    return walk;
}

static bool is_same(const struct walk *a, const struct walk *b)
{
    return a->end == b->end && a->messages == b->messages && a->sum == b->sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(bytes_of(data, size));
    unsigned flags = read_u8(&r);
    bool rfc5766 = flags & 1;
    struct bytes bytes = bytes_of(r.at, r.len);
    struct walk want = model(bytes, rfc5766);
    struct walk whole = read_all(bytes, rfc5766, 0), pieces = read_all(bytes, rfc5766, flags + 1);
    assert(is_same(&whole, &want) && is_same(&pieces, &want));
    return 0;
}
