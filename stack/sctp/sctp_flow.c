// How much of what was given to usrsctp is unsent, in flight, sent again: read off the DATA chunks
// that leave and the SACKs that come. usrsctp's own figures are process-wide or count its headers.
#include "stack/sctp/sctp_priv.h"

#include "base/arena.h"

#include <assert.h>
#include <stdlib.h>

#define CHUNK_DATA 0
#define CHUNK_SACK 3
#define COMMON_HEADER 12
#define DATA_HEADER 16
#define LENGTHS_START 64
#define LENGTHS_MAX (1u << 24)

void sctp_flow_free(struct sctp_flow *flow)
{
    free(flow->streams);
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

void sctp_flow_add(struct sctp_flow *flow, uint16_t stream, size_t len)
{
    sctp_flow_stream(flow, stream)->unsent += len;
    flow->unsent += len;
}

bool sctp_flow_take(struct sctp_flow *flow, uint16_t stream, size_t len)
{
    struct sctp_flow_stream *s = sctp_flow_stream(flow, stream);
    if (len > s->unsent)
        len = s->unsent;
    bool above = s->unsent > s->low;
    s->unsent -= len;
    flow->unsent -= len;
    return above && s->unsent <= s->low;
}

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

// True when the chunk is sent for the first time. A TSN may have been passed over: its message was
// given up before it was ever sent.
static bool data_sent(struct sctp_flow *flow, uint32_t tsn, uint16_t len)
{
    if (!flow->started) {
        flow->started = true;
        flow->tsn_oldest = flow->tsn_next = tsn;
    }
    if ((int32_t)(tsn - flow->tsn_next) < 0) {
        flow->retransmissions++;
        return false;
    }
    lengths_grow(flow, tsn + 1 - flow->tsn_oldest);
    while (flow->tsn_next != tsn)
        flow->lengths[flow->tsn_next++ & (flow->lengths_max - 1)] = 0;
    flow->lengths[flow->tsn_next++ & (flow->lengths_max - 1)] = len;
    flow->in_flight += len;
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

// The next chunk's type and body; false at the end. RFC 9260 3.2: padded to four bytes.
static bool chunk_next(struct reader *r, uint8_t *type, struct reader *body)
{
    if (r->len < 4)
        return false;
    *type = read_u8(r);
    read_skip(r, 1);
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
    uint8_t type;
    struct reader body;
    while (chunk_next(&walk->at, &type, &body)) {
        if (type != CHUNK_DATA)
            continue;
        uint32_t tsn = read_u32(&body);
        walk->stream = read_u16(&body);
        read_skip(&body, 6);
        assert(!body.failed);
        walk->low = data_sent(flow, tsn, (uint16_t)body.len) &&
                    sctp_flow_take(flow, walk->stream, body.len);
        return true;
    }
    return false;
}

void sctp_flow_incoming(struct sctp_flow *flow, struct bytes packet)
{
    struct reader r = reader_of(bytes_from(packet, COMMON_HEADER));
    uint8_t type;
    struct reader body;
    while (chunk_next(&r, &type, &body)) {
        uint32_t tsn = read_u32(&body);
        if (type == CHUNK_SACK && !body.failed)
            acknowledged(flow, tsn);
    }
}
