// How much of what was given to usrsctp is unsent, in flight, sent again: read off the DATA chunks
// that leave and the SACKs that come. usrsctp's own figures are process-wide or count its headers.
#include "stack/sctp/sctp_priv.h"

#include "base/arena.h"

#include <assert.h>
#include <stdlib.h>

#define CHUNK_DATA 0
#define CHUNK_SACK 3
#define CHUNK_FORWARD_TSN 192 // RFC 3758 3.2
#define COMMON_HEADER 12
#define DATA_HEADER 16
#define FLAG_BEGIN 0x02 // RFC 9260 3.3.1: the first fragment of a message
#define MESSAGES_START 16u
#define MESSAGES_MAX (1u << 24)
#define LENGTHS_START 64
#define LENGTHS_MAX (1u << 24)

void sctp_flow_free(struct sctp_flow *flow)
{
    free(flow->streams);
    free(flow->messages);
    free(flow->lengths);
    *flow = (struct sctp_flow){0};
}

struct sctp_flow_stream *sctp_flow_stream(struct sctp_flow *flow, uint16_t stream)
{
    if (stream >= flow->streams_max) {
        unsigned max = flow->streams_max ? flow->streams_max : 16;
        while (max <= stream)
            max *= 2;
        flow->streams = mem_grow(flow->streams, max * sizeof *flow->streams);
        memset(flow->streams + flow->streams_max, 0,
               (max - flow->streams_max) * sizeof *flow->streams);
        flow->streams_max = max;
    }
    return &flow->streams[stream];
}

// ---------------------------------------------------------------------------------------- unsent

static struct sctp_flow_message *message_at(const struct sctp_flow *flow, uint32_t number)
{
    return &flow->messages[number & (flow->messages_max - 1)];
}

static void messages_grow(struct sctp_flow *flow)
{
    uint32_t max = flow->messages_max ? flow->messages_max * 2 : MESSAGES_START;
    assert(max <= MESSAGES_MAX); // each has a byte, and the send buffer bounds those
    struct sctp_flow_message *messages = mem_zero(max, sizeof *messages);
    for (uint32_t i = flow->message_oldest; i != flow->message_next; i++)
        messages[i & (max - 1)] = *message_at(flow, i);
    free(flow->messages);
    flow->messages = messages;
    flow->messages_max = max;
}

uint32_t sctp_flow_add(struct sctp_flow *flow, uint16_t stream, size_t len)
{
    if (flow->message_next - flow->message_oldest == flow->messages_max)
        messages_grow(flow);
    uint32_t number = flow->message_next++;
    *message_at(flow, number) = (struct sctp_flow_message){.left = len};
    struct sctp_flow_stream *s = sctp_flow_stream(flow, stream);
    if (s->messages++ == 0)
        s->first = number;
    else
        message_at(flow, s->last)->next = number;
    s->last = number;
    s->unsent += len;
    flow->unsent += len;
    return number;
}

// `len` bytes of a message are no longer unsent.
static bool take(struct sctp_flow *flow, struct sctp_flow_stream *s, uint32_t number, size_t len)
{
    struct sctp_flow_message *message = message_at(flow, number);
    len = len < message->left ? len : message->left;
    bool above = s->unsent > s->low;
    message->left -= len;
    s->unsent -= len;
    flow->unsent -= len;
    while (s->messages && message_at(flow, s->first)->left == 0) {
        message_at(flow, s->first)->done = true;
        s->first = message_at(flow, s->first)->next;
        s->messages--;
    }
    while (flow->message_oldest != flow->message_next &&
           message_at(flow, flow->message_oldest)->done)
        flow->message_oldest++;
    return above && s->unsent <= s->low;
}

bool sctp_flow_drop(struct sctp_flow *flow, uint16_t stream, uint32_t message)
{
    if (message - flow->message_oldest >= flow->message_next - flow->message_oldest)
        return false;
    return take(flow, sctp_flow_stream(flow, stream), message, SIZE_MAX);
}

// A chunk of `len` bytes is sent for the first time. A stream's messages are sent one after another
// (RFC 9260 6.9: the fragments of one have TSNs in a row), so the chunk is of the first that is not
// sent as a whole; unless that one was given up in its midst, of which we are told later.
static bool chunk_sent(struct sctp_flow *flow, uint16_t stream, uint8_t flags, size_t len)
{
    struct sctp_flow_stream *s = sctp_flow_stream(flow, stream);
    bool begins = flags & FLAG_BEGIN, low = false;
    if (s->messages && begins && message_at(flow, s->first)->started)
        low = take(flow, s, s->first, SIZE_MAX);
    if (!s->messages || (!begins && !message_at(flow, s->first)->started))
        return low; // a piece of one that was given up
    message_at(flow, s->first)->started = true;
    return take(flow, s, s->first, len) || low;
}

// -------------------------------------------------------------------------------------- in flight

void sctp_flow_dry(struct sctp_flow *flow)
{
    flow->in_flight = 0;
    flow->tsn_oldest = flow->tsn_next;
}

static void lengths_grow(struct sctp_flow *flow, uint32_t need)
{
    uint32_t max = flow->lengths_max ? flow->lengths_max : LENGTHS_START;
    while (max < need)
        max *= 2;
    assert(max <= LENGTHS_MAX);
    if (max == flow->lengths_max)
        return;
    uint16_t *lengths = mem_zero(max, sizeof *lengths);
    for (uint32_t tsn = flow->tsn_oldest; tsn != flow->tsn_next; tsn++)
        lengths[tsn & (max - 1)] = flow->lengths[tsn & (flow->lengths_max - 1)];
    free(flow->lengths);
    flow->lengths = lengths;
    flow->lengths_max = max;
}

// A TSN that is new is in use now. Others may have been passed over: their messages were given up
// before they were ever sent.
static void tsn_use(struct sctp_flow *flow, uint32_t tsn, uint16_t len)
{
    lengths_grow(flow, tsn + 1 - flow->tsn_oldest);
    while (flow->tsn_next != tsn)
        flow->lengths[flow->tsn_next++ & (flow->lengths_max - 1)] = 0;
    flow->lengths[flow->tsn_next++ & (flow->lengths_max - 1)] = len;
    flow->in_flight += len;
}

static bool tsn_is_new(struct sctp_flow *flow, uint32_t tsn)
{
    if (!flow->started) {
        flow->started = true;
        flow->tsn_oldest = flow->tsn_next = tsn;
    }
    return (int32_t)(tsn - flow->tsn_next) >= 0;
}

// True when the chunk is sent for the first time.
static bool data_sent(struct sctp_flow *flow, uint32_t tsn, uint16_t len)
{
    if (!tsn_is_new(flow, tsn)) {
        flow->retransmissions++;
        return false;
    }
    tsn_use(flow, tsn, len);
    return true;
}

static void acknowledged(struct sctp_flow *flow, uint32_t tsn)
{
    // Only what was sent: a peer's claim about the future means nothing.
    if (!flow->started || (int32_t)(tsn + 1 - flow->tsn_next) > 0)
        return;
    while ((int32_t)(tsn - flow->tsn_oldest) >= 0)
        flow->in_flight -= flow->lengths[flow->tsn_oldest++ & (flow->lengths_max - 1)];
}

// The next chunk's type, flags and body; false at the end. RFC 9260 3.2: padded to four bytes.
static bool chunk_next(struct reader *r, uint8_t *type, uint8_t *flags, struct reader *body)
{
    if (r->len < 4)
        return false;
    *type = read_u8(r);
    *flags = read_u8(r);
    uint16_t len = read_u16(r);
    if (len < 4)
        return false;
    *body = reader_of(read_bytes(r, len - 4u));
    size_t padding = (4 - len % 4u) % 4;
    read_skip(r, padding < r->len ? padding : r->len);
    return !r->failed;
}

struct sctp_flow_walk sctp_flow_outgoing(struct bytes packet)
{
    return (struct sctp_flow_walk){.at = reader_of(bytes_from(packet, COMMON_HEADER))};
}

bool sctp_flow_next(struct sctp_flow *flow, struct sctp_flow_walk *walk)
{
    uint8_t type, flags;
    struct reader body;
    while (chunk_next(&walk->at, &type, &flags, &body)) {
        if (type != CHUNK_DATA && type != CHUNK_FORWARD_TSN)
            continue;
        uint32_t tsn = read_u32(&body);
        if (type == CHUNK_FORWARD_TSN) {
            // What was passed over is to be acknowledged like what was sent.
            if (tsn_is_new(flow, tsn))
                tsn_use(flow, tsn, 0);
            continue;
        }
        walk->stream = read_u16(&body);
        read_skip(&body, 6);
        assert(!body.failed);
        walk->low = data_sent(flow, tsn, (uint16_t)body.len) &&
                    chunk_sent(flow, walk->stream, flags, body.len);
        return true;
    }
    return false;
}

void sctp_flow_incoming(struct sctp_flow *flow, struct bytes packet)
{
    struct reader r = reader_of(bytes_from(packet, COMMON_HEADER));
    uint8_t type, flags;
    struct reader body;
    while (chunk_next(&r, &type, &flags, &body)) {
        uint32_t tsn = read_u32(&body);
        if (type == CHUNK_SACK && !body.failed)
            acknowledged(flow, tsn);
    }
}
