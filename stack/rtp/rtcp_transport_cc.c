// Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 3.1), both ways.
//
// A packet says of each number from `base_sequence` on: not received, received with a small delta
// (one byte), or with a large or negative one (two). The symbols stand in 16-bit chunks, the deltas
// after all of them.
#include "stack/rtp/rtcp_priv.h"

#include <assert.h>

#define HEAD_LEN 16         // of the body, before the chunks
#define RUN_MAX 8191        // symbols of a run length chunk
#define ONE_BIT_MAX 14      // of a vector of one bit each
#define TWO_BIT_MAX 7       // of a vector of two bits each
#define VECTOR 0x8000       // chunk type
#define TWO_BIT 0x4000      // symbol size of a vector
#define REFERENCE_UNITS 256 // 64 ms in 250 us
#define STATUS_MAX UINT16_MAX
#define PACKET_LEN_MAX (4u * (UINT16_MAX + 1u))

enum symbol { NOT_RECEIVED = 0, SMALL_DELTA = 1, LARGE_DELTA = 2, RESERVED = 3 };

// ---------------------------------------------------------------------------------------- reading

static unsigned chunk_covers(uint16_t chunk)
{
    if (!(chunk & VECTOR))
        return chunk & RUN_MAX;
    return chunk & TWO_BIT ? TWO_BIT_MAX : ONE_BIT_MAX;
}

static enum symbol chunk_symbol(uint16_t chunk, unsigned index)
{
    if (!(chunk & VECTOR))
        return chunk >> 13 & 3;
    if (chunk & TWO_BIT)
        return chunk >> (2 * (TWO_BIT_MAX - 1 - index)) & 3;
    return chunk >> (ONE_BIT_MAX - 1 - index) & 1;
}

// Where the deltas start: after the chunks that cover `count` statuses. False: there are too few.
static bool find_deltas(struct bytes chunks, unsigned count, size_t *at)
{
    size_t i = 0;
    for (unsigned covered = 0; covered < count; i += 2) {
        if (i + 2 > chunks.len)
            return false;
        covered += chunk_covers(rtcp_get_u16(chunks.at + i));
    }
    *at = i;
    return true;
}

// One status after the other. `deltas` fails when it runs out.
struct cursor {
    const uint8_t *chunks;
    uint16_t chunk;
    unsigned index, covers; // in the chunk
    struct reader deltas;
    int64_t time;
};

static bool cursor_start(struct cursor *c, const struct rtcp_transport_cc *feedback)
{
    size_t at;
    if (!find_deltas(feedback->chunks, feedback->status_count, &at))
        return false;
    *c = (struct cursor){.chunks = feedback->chunks.at,
                         .deltas = reader_of(bytes_from(feedback->chunks, at)),
                         .time = (int64_t)feedback->reference * REFERENCE_UNITS};
    return true;
}

static enum symbol cursor_next(struct cursor *c)
{
    while (c->index == c->covers) { // a run may have no length
        c->chunk = rtcp_get_u16(c->chunks);
        c->chunks += 2;
        c->index = 0;
        c->covers = chunk_covers(c->chunk);
    }
    enum symbol symbol = chunk_symbol(c->chunk, c->index++);
    if (symbol == SMALL_DELTA)
        c->time += read_u8(&c->deltas);
    else if (symbol == LARGE_DELTA)
        c->time += (int16_t)read_u16(&c->deltas);
    return symbol;
}

enum rtcp_outcome rtcp_transport_cc_check(struct rtcp_packet *packet)
{
    struct reader r = reader_of(packet->body);
    packet->sender = read_u32(&r);
    struct rtcp_transport_cc feedback = {.media = read_u32(&r)};
    feedback.base_sequence = read_u16(&r);
    feedback.status_count = read_u16(&r);
    uint32_t word = read_u32(&r);
    if (r.failed)
        return RTCP_BAD_LENGTH;
    feedback.reference = (int32_t)(word >> 8);
    if (feedback.reference & 0x800000)
        feedback.reference -= 0x1000000;
    feedback.feedback_count = (uint8_t)word;
    feedback.chunks = bytes_of(r.at, r.len);
    if (feedback.status_count == 0)
        return RTCP_BAD_VALUE;

    struct cursor c;
    if (!cursor_start(&c, &feedback))
        return RTCP_BAD_LENGTH;
    for (unsigned i = 0; i < feedback.status_count; i++)
        if (cursor_next(&c) == RESERVED)
            return RTCP_BAD_VALUE;
    if (c.deltas.failed)
        return RTCP_BAD_LENGTH;
    packet->transport = feedback;
    return RTCP_OK;
}

enum rtcp_outcome rtcp_transport_cc_read(const struct rtcp_packet *packet, struct rtcp_arrival *to,
                                         size_t max, size_t *count)
{
    assert(packet->kind == RTCP_TRANSPORT_CC);
    const struct rtcp_transport_cc *feedback = &packet->transport;
    *count = feedback->status_count < max ? feedback->status_count : max;
    struct cursor c;
    bool started = cursor_start(&c, feedback);
    assert(started); // rtcp_next has checked it
    for (size_t i = 0; i < *count; i++) {
        bool received = cursor_next(&c) != NOT_RECEIVED;
        to[i] = (struct rtcp_arrival){.sequence = (uint16_t)(feedback->base_sequence + i),
                                      .received = received,
                                      .time = received ? c.time : 0};
    }
    return feedback->status_count > max ? RTCP_FULL : RTCP_OK;
}

// ---------------------------------------------------------------------------------------- writing

// What is to be written: the first `count` of the caller's arrivals.
struct plan {
    const struct rtcp_arrival *arrivals;
    size_t count;
    int64_t reference; // in 64 ms, before it is cut to 24 bits
};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

// `*time` is that of the received packet before, and becomes that of this one.
static enum symbol symbol_of(const struct rtcp_arrival *arrival, int64_t *time)
{
    if (!arrival->received)
        return NOT_RECEIVED;
    int64_t delta = arrival->time - *time;
    *time = arrival->time;
    if (delta >= 0 && delta <= UINT8_MAX)
        return SMALL_DELTA;
    return delta >= INT16_MIN && delta <= INT16_MAX ? LARGE_DELTA : RESERVED;
}

// How many from the front one packet can tell, were it long enough; and from which time on.
static struct plan plan_of(const struct rtcp_arrival *arrivals, size_t count)
{
    struct plan plan = {.arrivals = arrivals};
    bool any = false;
    int64_t time = 0;
    if (count > STATUS_MAX)
        count = STATUS_MAX;
    for (; plan.count < count; plan.count++) {
        const struct rtcp_arrival *arrival = &arrivals[plan.count];
        assert(arrival->sequence == (uint16_t)(arrivals[0].sequence + plan.count));
        if (arrival->received && !any) {
            any = true;
            plan.reference = floor_div(arrival->time, REFERENCE_UNITS);
            time = plan.reference * REFERENCE_UNITS;
        }
        if (symbol_of(arrival, &time) == RESERVED)
            break;
    }
    return plan;
}

// The symbols that the chunk at `from` will hold, and its bits. `time` as for symbol_of.
struct chunk {
    size_t covers;
    uint16_t bits;
};
static struct chunk choose_chunk(const struct plan *plan, size_t from, int64_t time)
{
    enum symbol symbols[ONE_BIT_MAX] = {NOT_RECEIVED};
    size_t left = plan->count - from, seen = 0, run = 0;
    bool same = true, large = false;
    for (; seen < left && seen < ONE_BIT_MAX; seen++) {
        symbols[seen] = symbol_of(&plan->arrivals[from + seen], &time);
        large = large || symbols[seen] == LARGE_DELTA;
        same = same && symbols[seen] == symbols[0];
        run += same;
    }
    // A run where it tells no less than the vector would.
    if (run == left || run == ONE_BIT_MAX || (large && run >= TWO_BIT_MAX)) {
        if (run == ONE_BIT_MAX)
            while (run < left && run < RUN_MAX &&
                   symbol_of(&plan->arrivals[from + run], &time) == symbols[0])
                run++;
        return (struct chunk){run, (uint16_t)((unsigned)symbols[0] << 13 | run)};
    }
    unsigned bits = VECTOR;
    if (!large) {
        for (size_t i = 0; i < seen; i++)
            bits |= (unsigned)symbols[i] << (ONE_BIT_MAX - 1 - i);
        return (struct chunk){seen, (uint16_t)bits};
    }
    bits |= TWO_BIT;
    size_t covers = seen < TWO_BIT_MAX ? seen : TWO_BIT_MAX;
    for (size_t i = 0; i < covers; i++)
        bits |= (unsigned)symbols[i] << (2 * (TWO_BIT_MAX - 1 - i));
    return (struct chunk){covers, (uint16_t)bits};
}

// How many of the plan fit into `room` bytes of chunks and deltas.
static size_t fit(const struct plan *plan, size_t room)
{
    int64_t time = plan->reference * REFERENCE_UNITS;
    size_t used = 0, i = 0;
    while (i < plan->count) {
        struct chunk chunk = choose_chunk(plan, i, time);
        used += 2;
        for (size_t end = i + chunk.covers; i < end; i++) {
            used += symbol_of(&plan->arrivals[i], &time); // the bytes of its delta
            if (used > room)
                return i;
        }
    }
    return i;
}

size_t rtcp_write_transport_cc(struct writer *w, const struct rtcp_transport_cc_head *head,
                               const struct rtcp_arrival *arrivals, size_t count)
{
    size_t room = w->failed ? 0 : w->max - w->len;
    room = (room < PACKET_LEN_MAX ? room : PACKET_LEN_MAX) / 4 * 4;
    if (room < RTCP_HEADER_LEN + HEAD_LEN)
        return 0;
    struct plan plan = plan_of(arrivals, count);
    plan.count = fit(&plan, room - RTCP_HEADER_LEN - HEAD_LEN);
    if (plan.count == 0)
        return 0;

    size_t at = rtcp_packet_begin(w, RTCP_FMT_TRANSPORT_CC, RTCP_PT_RTPFB);
    write_u32(w, head->sender);
    write_u32(w, head->media);
    write_u16(w, arrivals[0].sequence);
    write_u16(w, (uint16_t)plan.count);
    write_u32(w, (uint32_t)plan.reference << 8 | head->feedback_count);
    int64_t time = plan.reference * REFERENCE_UNITS;
    for (size_t i = 0; i < plan.count;) {
        struct chunk chunk = choose_chunk(&plan, i, time);
        write_u16(w, chunk.bits);
        for (size_t end = i + chunk.covers; i < end; i++)
            if (arrivals[i].received)
                time = arrivals[i].time;
    }
    time = plan.reference * REFERENCE_UNITS;
    for (size_t i = 0; i < plan.count; i++) {
        int64_t before = time;
        enum symbol symbol = symbol_of(&arrivals[i], &time);
        if (symbol == SMALL_DELTA)
            write_u8(w, (uint8_t)(time - before));
        else if (symbol == LARGE_DELTA)
            write_u16(w, (uint16_t)(time - before));
    }
    rtcp_packet_end(w, at);
    assert(!w->failed);
    return plan.count;
}
