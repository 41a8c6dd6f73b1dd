// Packets of a video stream, whole or not, in any order, as the bytes say, into the frame buffer,
// with the stream itself beside it.
//
//   - a frame that is given is one of the stream's, whole, as it went in, and shown in order of the
//     sequence; after a hole a key frame comes first;
//   - frames given and dropped, each once, are no more than came; at most one is held ready; key
//     frames, frames of many packets, delays and packets that came too late are counted as they
//     are;
//   - what is due is given at its deadline, and time goes on.
#include "fuzz/fuzz.h"
#include "stack/media/frame_buffer.h"
#include "stack/rtp/rtp.h"

// libFuzzer: -max_len=3000

#define CLOCK 90000
#define MEMORY_MAX (8u << 20)
#define STREAM_MAX 65536

// The stream, as a rule: what each sequence number carries follows from it and the seed alone.
struct stream {
    unsigned seed;
};

static unsigned frame_len(const struct stream *s, int64_t frame)
{
    return 1 + (unsigned)(frame * 7 + s->seed) % 4;
}

struct bench {
    nanotime now;
    struct frame_buffer *buffer;
    struct stream stream;
    int64_t first, next; // sequences: where the stream begins, and what it sends next
    int64_t frame, at;   // which frame that is, and which of its packets
    int64_t last_given;
    uint64_t packets, frames_given, keys_given, large_given, late;
    nanotime held, gaps, given_at; // sums; when the last one was given
    uint8_t sent[STREAM_MAX]; // of each: which byte it carries; a bit that it is the empty kind
    uint32_t timestamps[STREAM_MAX];
    uint8_t flags[STREAM_MAX];
};
enum { START = 1, MARKER = 2, KEYFRAME = 4, EMPTY = 8, CAME = 16, KEPT = 32, GIVEN = 64 };

static size_t slot(const struct bench *b, int64_t sequence)
{
    assert(sequence >= b->first && sequence < b->next);
    return (size_t)(sequence - b->first) % STREAM_MAX;
}

// One more packet of the stream comes into being.
static void send(struct bench *b, unsigned how)
{
    int64_t sequence = b->next++;
    size_t i = slot(b, sequence);
    unsigned len = frame_len(&b->stream, b->frame);
    bool empty = how % 32 == 31 && b->at == 0;
    b->flags[i] = 0;
    b->sent[i] = (uint8_t)(sequence * 3 + b->stream.seed);
    b->timestamps[i] = (uint32_t)(b->frame * (CLOCK / 30)) + b->stream.seed * 65537u;
    if (empty) {
        b->flags[i] = EMPTY;
        return;
    }
    bool key = (b->frame + b->stream.seed) % 11 == 0;
    b->flags[i] = (uint8_t)((b->at == 0 ? START : 0) | (key ? KEYFRAME : 0));
    if (++b->at == len) {
        b->flags[i] |= MARKER;
        b->at = 0;
        b->frame++;
    }
}

static void deliver(struct bench *b, int64_t sequence)
{
    size_t i = slot(b, sequence);
    uint8_t flags = b->flags[i];
    const struct frame_packet packet = {
        .sequence = sequence,
        .timestamp = b->timestamps[i],
        .marker = flags & MARKER,
        .empty = flags & EMPTY,
        .info = {.frame_start = flags & START,
                 .keyframe = (flags & KEYFRAME) && (flags & START),
                 .width = 640,
                 .height = 480},
        .payload = bytes_of(&b->sent[i], 1),
    };
    enum frame_outcome outcome = frame_buffer_packet(b->buffer, b->now, &packet);
    assert(outcome <= FRAME_FULL);
    assert(outcome != FRAME_DUPLICATE || flags & CAME);
    b->packets += outcome == FRAME_KEPT || outcome == FRAME_FULL;
    b->late += outcome == FRAME_LATE && !(flags & CAME);
    b->flags[i] |= CAME;
    if (outcome == FRAME_KEPT || outcome == FRAME_FULL)
        b->flags[i] |= KEPT;
}

static void check_given(struct bench *b, const struct frame *f)
{
    assert(f->first > b->last_given && f->last >= f->first && f->last - f->first < 4);
    assert(f->whole_at >= f->first_at && f->whole_at <= b->now);
    for (int64_t s = f->first; s <= f->last; s++) {
        size_t i = slot(b, s);
        b->flags[i] |= GIVEN;
        struct bytes payload = frame_buffer_payload(b->buffer, s);
        assert((b->flags[i] & CAME) && !(b->flags[i] & EMPTY));
        assert(payload.len == 1 && payload.at[0] == b->sent[i]);
        assert(b->timestamps[i] == f->timestamp);
        assert(!(b->flags[i] & START) == (s > f->first) &&
               !(b->flags[i] & MARKER) == (s < f->last));
    }
    bool chained = b->last_given >= b->first;
    for (int64_t s = b->last_given + 1; s < f->first && chained; s++)
        chained = b->flags[slot(b, s)] & EMPTY;
    assert(chained || f->keyframe);
    assert(f->keyframe == ((b->flags[slot(b, f->first)] & KEYFRAME) != 0));
    b->last_given = f->last;
    b->gaps += b->frames_given ? b->now - b->given_at : 0;
    b->given_at = b->now;
    b->held += b->now - f->first_at;
    b->frames_given++;
    b->keys_given += f->keyframe;
    b->large_given += f->last > f->first;
    assert(frame_buffer_done(b->buffer) == f->last);
}

static void show(struct bench *b)
{
    struct frame frame;
    while (frame_buffer_poll(b->buffer, b->now, &frame))
        check_given(b, &frame);
    assert(frame_buffer_deadline(b->buffer) > b->now);
    const struct frame_buffer_stats stats = frame_buffer_stats(b->buffer, 0);
    assert(stats.framesDecoded == b->frames_given && stats.framesDecoded <= stats.framesReceived);
    assert(stats.framesReceived - stats.framesDecoded <= stats.framesDropped + 1);
    assert(stats.framesDecoded + stats.framesDropped <= b->packets);
    assert(stats.keyFramesDecoded == b->keys_given);
    assert(stats.framesAssembledFromMultiplePackets >= b->large_given);
    assert(stats.jitterBufferDelay == b->held && stats.totalInterFrameDelay == b->gaps);
    assert(stats.packets_late >= b->late);
    assert(stats.jitterBufferEmittedCount == stats.framesDecoded);
    assert(stats.framesAssembledFromMultiplePackets <= stats.framesReceived);
}

// Time stops at each deadline on its way.
static void pass(struct bench *b, nanotime span)
{
    nanotime until = b->now + span;
    for (unsigned i = 0; frame_buffer_deadline(b->buffer) <= until; i++) {
        assert(i < 20000);
        b->now = time_max(b->now, frame_buffer_deadline(b->buffer));
        show(b);
    }
    b->now = until;
    show(b);
}

// Most packets come as they are sent; some never, some late, some again.
static void step(struct bench *b, struct reader *r)
{
    unsigned kind = read_u8(r);
    if (kind < 176) {
        send(b, kind);
        if (kind % 8 < 7)
            deliver(b, b->next - 1);
    } else if (kind < 216) {
        int64_t back = 1 + (kind - 176) * (kind % 2 ? 1 : 60);
        if (b->next - back >= b->first)
            deliver(b, b->next - back);
    } else if (kind < 220) { // many that are lost
        unsigned count = read_u8(r) * (kind == 219 ? 40u : 1u);
        for (unsigned i = 0; i < count && b->next - b->first < STREAM_MAX - 256; i++)
            send(b, 0);
    } else if (kind < 224) {
        frame_buffer_set_extra(b->buffer, (nanotime)read_u8(r) * TIME_MS);
    } else {
        pass(b, (nanotime)(kind - 223) * (kind % 4 == 0 ? 40 : 5) * TIME_MS);
    }
    show(b);
}

// Each frame of which something was kept, and that was not given, was dropped once.
static void check_dropped(const struct bench *b)
{
    uint64_t dropped = 0;
    bool any = false;
    uint32_t last = 0;
    for (int64_t s = b->first; s < b->next && s <= frame_buffer_done(b->buffer); s++) {
        size_t i = slot(b, s);
        if (!(b->flags[i] & KEPT) || b->flags[i] & (EMPTY | GIVEN) ||
            (any && b->timestamps[i] == last))
            continue;
        dropped++;
        any = true;
        last = b->timestamps[i];
    }
    assert(dropped == frame_buffer_stats(b->buffer, 0).framesDropped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bench b;
    size_t before = fuzz_memory();
    struct reader r = reader_of(bytes_of(data, size));
    b.now = 0;
    b.stream.seed = read_u8(&r);
    b.first = b.next = 1000 + read_u16(&r);
    b.last_given = b.first - 1;
    b.frame = b.at = 0;
    b.packets = b.frames_given = b.keys_given = b.large_given = b.late = 0;
    b.held = b.gaps = b.given_at = 0;
    b.buffer = frame_buffer_new(CLOCK);
    while (r.len > 0 && b.next - b.first < STREAM_MAX - 256)
        step(&b, &r);
    pass(&b, 20 * TIME_S);
    check_dropped(&b);
    fuzz_memory_check(before, MEMORY_MAX);
    frame_buffer_free(b.buffer);
    return 0;
}
