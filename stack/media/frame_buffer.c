#include "stack/media/frame_buffer.h"

#include "base/arena.h"
#include "stack/rtp/rtp.h"

#include <stdlib.h>

#define NONE INT64_MIN // no sequence: those before the first may be negative
#define MEAN_FRAMES 30 // of the W3C's freeze
#define FREEZE_MORE (150 * TIME_MS)
#define PAUSE (5 * TIME_S)
#define DECAY_SHIFT 6 // of the jitter: 1/64 a frame
#define FRAME_BUFFER_REPAIR (100 * TIME_MS)
#define BASE_WINDOW 250 // frames over which the least delay is looked for
#define START_REACH 64  // packets that a key frame's first may be late by, before any was shown

struct slot {
    int64_t sequence; // NONE: empty
    uint32_t timestamp;
    enum codec_kind kind;
    bool marker, empty, start, keyframe, recovered;
    int32_t picture; // its number; -1: not told
    bool picture_long;
    int32_t frame_num; // of H.264; -1: no picture begins here, or not known
    bool is_reference, has_sets;
    uint16_t width, height;
    uint16_t len;
    nanotime at;
    uint8_t *bytes; // RTP_PACKET_MAX, once needed; NULL again when another slot took it
};

struct frame_buffer {
    struct slot slots[FRAME_BUFFER_PACKETS];
    uint32_t clock_rate;
    int64_t next;        // the first sequence that is not done; -1: nothing came yet
    int64_t spare;       // the first, done or not, whose bytes no other slot has taken
    int64_t newest;      // the highest that came
    bool broken;         // waits for a key frame
    nanotime hole_since; // TIME_NEVER: no hole is being waited for
    bool unfinished; // the end of the frame at `next` has not come, and nothing is missing so far
    nanotime wait;   // for a hole
    nanotime repair; // the most that a repair makes frames wait
    bool has_dropped;
    uint32_t dropped_timestamp; // of the frame that was dropped last

    // Of the frame at `next` (`part.first`) what was looked at: there up to `part.last`.
    bool has_part, part_repaired;
    struct frame part;

    // The frame at `next`, once it is whole.
    int32_t last_picture; // of the newest frame that was whole; -1: not told
    bool last_picture_long;
    bool sets_come;          // H.264: parameter sets come in the stream
    unsigned frame_num_bits; // H.264: of the newest sequence parameter set; 0: none
    int32_t
        last_reference; // H.264: frame_num of the last frame that others refer to; -1: not known
    bool has_ready;
    struct frame ready;
    bool ready_repaired; // a packet of it came back
    nanotime due;

    bool has_timestamp;
    uint32_t last_timestamp;
    int64_t unwrapped; // of last_timestamp

    // Delay from capture to completion: the least of this and of the window before, and the jitter.
    bool has_base;
    nanotime base, base_before;
    unsigned base_frames;
    nanotime jitter;
    nanotime extra;

    nanotime shown_at; // TIME_NEVER: none yet
    nanotime deltas[MEAN_FRAMES], deltas_sum;
    unsigned deltas_count, deltas_next;
    uint64_t squares; // of the gaps, us^2
    struct frame_buffer_stats stats;
};

struct frame_buffer *frame_buffer_new(uint32_t clock_rate)
{
    struct frame_buffer *b = mem_zero(1, sizeof *b);
    b->clock_rate = clock_rate;
    b->next = b->newest = -1;
    b->wait = FRAME_BUFFER_WAIT;
    b->repair = FRAME_BUFFER_REPAIR;
    b->last_picture = b->last_reference = -1;
    b->broken = true; // RFC 7741 4.3, 6184 8: decoding begins with a key frame
    b->hole_since = b->shown_at = b->due = TIME_NEVER;
    for (unsigned i = 0; i < FRAME_BUFFER_PACKETS; i++)
        b->slots[i].sequence = NONE;
    return b;
}

void frame_buffer_free(struct frame_buffer *b)
{
    if (!b)
        return;
    for (unsigned i = 0; i < FRAME_BUFFER_PACKETS; i++)
        free(b->slots[i].bytes);
    free(b);
}

static struct slot *slot_at(struct frame_buffer *b, int64_t sequence)
{
    return &b->slots[(uint64_t)sequence % FRAME_BUFFER_PACKETS];
}

static const struct slot *slot_of(const struct frame_buffer *b, int64_t sequence)
{
    const struct slot *slot = &b->slots[(uint64_t)sequence % FRAME_BUFFER_PACKETS];
    return slot->sequence == sequence ? slot : NULL;
}

// Room for a payload. What is done gives its own: so few are needed, and those stay in the
// processor's cache.
static uint8_t *room_take(struct frame_buffer *b)
{
    if (b->spare < b->next - FRAME_BUFFER_PACKETS)
        b->spare = b->next - FRAME_BUFFER_PACKETS;
    while (b->spare < b->next) {
        struct slot *slot = slot_at(b, b->spare);
        bool done = slot->sequence == b->spare++;
        uint8_t *room = slot->bytes;
        if (!done || !room)
            continue;
        slot->bytes = NULL;
        slot->len = 0;
        return room;
    }
    return mem_alloc(RTP_PACKET_MAX);
}

// ------------------------------------------------------------------------------------------- chain

// What came of the frames before `to` is of no use: dropped, each counted once.
static void drop_until(struct frame_buffer *b, int64_t to)
{
    for (; b->next < to; b->next++) {
        const struct slot *slot = slot_of(b, b->next);
        if (!slot || slot->empty || (b->has_dropped && slot->timestamp == b->dropped_timestamp))
            continue;
        b->stats.framesDropped++;
        b->has_dropped = true;
        b->dropped_timestamp = slot->timestamp;
    }
}

// Not in the middle of a picture, of which another slice or layer came before. H.264: where sets
// come in the stream, they begin the key frame. Without them, behind a hole, they may be what is
// missing.
static bool keyframe_begins(const struct frame_buffer *b, int64_t at)
{
    const struct slot *slot = slot_of(b, at), *before = slot_of(b, at - 1);
    if (!slot || !slot->start || !slot->keyframe)
        return false;
    if (before && !before->empty && !before->marker && before->timestamp == slot->timestamp)
        return false;
    return slot->has_sets || !b->sets_come || before;
}

// Nothing was shown yet: the first packet to come need not be the first of its frame.
static bool is_starting(const struct frame_buffer *b)
{
    return b->broken && b->shown_at == TIME_NEVER;
}

// Skip to the first key frame, at `from` or later, of which the start is there; without one, past
// the newest packet, or so far that the start may still come.
static void skip_to_keyframe(struct frame_buffer *b, int64_t from)
{
    int64_t to = from;
    bool starting = is_starting(b);
    while (to <= b->newest && !keyframe_begins(b, to))
        to++;
    b->broken = to > b->newest;
    if (b->broken && starting)
        to = b->newest - START_REACH > from ? b->newest - START_REACH : from;
    drop_until(b, to);
    b->hole_since = TIME_NEVER;
}

// Packets of no frame before the next one.
static void skip_empty(struct frame_buffer *b)
{
    const struct slot *slot;
    while (b->next <= b->newest && (slot = slot_of(b, b->next)) && slot->empty)
        b->next++;
}

static int32_t frame_num_of(const struct frame_buffer *b, int64_t from, bool *is_reference)
{
    const struct slot *first = slot_of(b, from), *slot;
    for (; (slot = slot_of(b, from)) && slot->timestamp == first->timestamp; from++) {
        if (slot->frame_num < 0)
            continue;
        *is_reference = slot->is_reference;
        return slot->frame_num;
    }
    return -1;
}

// VP8, VP9: pictures count up. H.264 7.4.3: frame_num is one more than that of the last frame that
// others refer to, so none of those is missing.
static bool is_next_picture(const struct frame_buffer *b, int64_t to)
{
    const struct slot *slot = slot_of(b, to);
    int32_t range = b->last_picture_long ? 0x7fff : 0x7f;
    if (b->last_picture >= 0)
        return slot->picture == ((b->last_picture + 1) & range);
    bool is_reference;
    int32_t most = b->frame_num_bits ? (1 << b->frame_num_bits) - 1 : 0;
    return b->last_reference >= 0 && most && !slot->keyframe &&
           frame_num_of(b, to, &is_reference) == ((b->last_reference + 1) & most);
}

// RFC 3550 5.1, RFC 6184 5.1: between the end of a frame and an empty packet of the same time
// nothing is of another time. Has each hole before `to` such a packet behind it?
static bool is_of_last_frame(const struct frame_buffer *b, int64_t to)
{
    bool open = false;
    for (int64_t i = b->next; i < to; i++) {
        const struct slot *slot = slot_of(b, i);
        if (!slot)
            open = true;
        else if (slot->timestamp == b->last_timestamp)
            open = false;
    }
    return !open;
}

// A hole between two frames. What is missing carried no frame (FEC in the media's own numbers) when
// the next frame is there from its start, and its number or the packets between tell that nothing
// else was. What cannot be told: codecs without numbers of pictures when the last packet of FEC of
// a frame is lost, and parameter sets of H.264 before a frame that is no key frame.
static void skip_unneeded(struct frame_buffer *b)
{
    int64_t to = b->next;
    const struct slot *slot = NULL;
    if (b->next > b->newest || slot_of(b, b->next) || !b->has_timestamp)
        return;
    while (to <= b->newest && (!(slot = slot_of(b, to)) || slot->empty))
        to++;
    if (to <= b->newest && slot->start && (is_next_picture(b, to) || is_of_last_frame(b, to)))
        b->next = to;
}

// Is there a whole key frame behind the hole? Then nothing is to be waited for.
static bool keyframe_is_whole(const struct frame_buffer *b)
{
    bool inside = false;
    for (int64_t i = b->next + 1; i <= b->newest; i++) {
        const struct slot *slot = slot_of(b, i);
        if (!slot) {
            inside = false;
            continue;
        }
        inside |= slot->keyframe && keyframe_begins(b, i);
        if (inside && slot->marker)
            return true;
    }
    return false;
}

static nanotime capture_time(struct frame_buffer *b, uint32_t timestamp)
{
    if (b->has_timestamp)
        b->unwrapped += (int32_t)(timestamp - b->last_timestamp);
    b->has_timestamp = true;
    b->last_timestamp = timestamp;
    // Whole seconds apart, or days of a call would not fit.
    int64_t rate = b->clock_rate;
    return b->unwrapped / rate * TIME_S + b->unwrapped % rate * TIME_S / rate;
}

static void schedule(struct frame_buffer *b)
{
    nanotime capture = capture_time(b, b->ready.timestamp);
    nanotime delay = b->ready.whole_at - capture;
    if (!b->has_base || delay < b->base)
        b->base = delay;
    if (!b->has_base)
        b->base_before = delay;
    b->has_base = true;
    nanotime least = time_min(b->base, b->base_before);
    // What was lost for long, as at a hand-over, is shown late without delay for all that follow.
    nanotime late_max = b->ready_repaired ? b->repair : FRAME_BUFFER_DELAY_MAX;
    nanotime late = time_min(delay - least, late_max);
    b->jitter = time_max(late, b->jitter - (b->jitter >> DECAY_SHIFT));
    // Two windows, so that a path that became longer is learnt, and skew followed.
    if (++b->base_frames == BASE_WINDOW) {
        b->base_before = b->base;
        b->base = delay;
        b->base_frames = 0;
    }
    b->due = time_max(b->ready.whole_at, capture + least + b->jitter + b->extra);
    if (b->shown_at != TIME_NEVER)
        b->due = time_max(b->due, b->shown_at);
    b->stats.delay = b->jitter + b->extra;
    b->stats.jitterBufferTargetDelay += b->jitter + b->extra;
    b->stats.jitterBufferMinimumDelay += b->jitter;
}

static bool part_is_all(struct frame_buffer *b)
{
    b->ready = b->part;
    b->ready_repaired = b->part_repaired;
    return true;
}

// The frame that begins at `next`, if all of it is there. Else: does a hole keep it, or has its end
// not come yet? Each packet is looked at once.
static bool assemble(struct frame_buffer *b, bool *hole)
{
    struct frame *part = &b->part;
    if (!b->has_part || part->first != b->next) {
        const struct slot *first = slot_of(b, b->next);
        b->has_part = first != NULL;
        b->part_repaired = false;
        *hole = !first;
        if (!first)
            return false;
        *part = (struct frame){.timestamp = first->timestamp,
                               .kind = first->kind,
                               .keyframe = first->keyframe,
                               .width = first->width,
                               .height = first->height,
                               .first = b->next,
                               .last = b->next - 1,
                               .first_at = first->at,
                               .whole_at = first->at};
    }
    *hole = false;
    for (int64_t i = part->last + 1; i <= b->newest; i++) {
        const struct slot *slot = slot_of(b, i);
        *hole = !slot;
        if (!slot)
            return false;
        // RFC 6184 5.1: the marker may be missing; another time is another frame.
        if (slot->timestamp != part->timestamp && !slot->empty)
            return part_is_all(b);
        part->first_at = time_min(part->first_at, slot->at);
        part->whole_at = time_max(part->whole_at, slot->at);
        b->part_repaired |= slot->recovered;
        part->last = i;
        if (slot->marker)
            return part_is_all(b);
    }
    return false;
}

static void note_reference(struct frame_buffer *b)
{
    bool is_reference = true;
    int32_t number = b->frame_num_bits ? frame_num_of(b, b->next, &is_reference) : -1;
    if (is_reference)
        b->last_reference = number;
}

static void count_whole(struct frame_buffer *b)
{
    b->stats.framesReceived++;
    if (b->ready.last > b->ready.first) {
        b->stats.framesAssembledFromMultiplePackets++;
        b->stats.totalAssemblyTime += b->ready.whole_at - b->ready.first_at;
    }
}

// What can be done with what is there.
static void advance(struct frame_buffer *b, nanotime now)
{
    if (b->has_ready || b->next < 0)
        return;
    if (b->broken)
        skip_to_keyframe(b, b->next);
    if (b->broken)
        return;
    skip_empty(b);
    skip_unneeded(b);
    if (b->next > b->newest) {
        b->hole_since = TIME_NEVER;
        return;
    }
    bool hole = false;
    if (assemble(b, &hole)) {
        b->has_ready = true;
        b->last_picture = slot_of(b, b->next)->picture;
        b->last_picture_long = slot_of(b, b->next)->picture_long;
        note_reference(b);
        b->hole_since = TIME_NEVER;
        count_whole(b);
        schedule(b);
        return;
    }
    b->unfinished = !hole; // a large frame on a slow path takes the time it takes
    if (!hole) {
        b->hole_since = TIME_NEVER;
        return;
    }
    if (b->hole_since == TIME_NEVER)
        b->hole_since = now;
    if (now - b->hole_since >= b->wait || keyframe_is_whole(b)) {
        skip_to_keyframe(b, b->next + 1); // not this one, even when it is a key frame's start
        if (!b->broken)
            advance(b, now);
    }
}

// ------------------------------------------------------------------------------------------- input

static void note_h264(struct frame_buffer *b, struct slot *slot, const struct payload_info *info)
{
    slot->is_reference = info->is_reference;
    slot->has_sets = info->has_sets;
    b->sets_come |= info->has_sets;
    if (info->frame_num_bits)
        b->frame_num_bits = info->frame_num_bits;
    if (info->picture_begins && b->frame_num_bits)
        slot->frame_num = payload_frame_num(info->slice, b->frame_num_bits);
}

enum frame_outcome frame_buffer_packet(struct frame_buffer *b, nanotime now,
                                       const struct frame_packet *packet)
{
    if (packet->payload.len > RTP_PACKET_MAX)
        return FRAME_TOO_LONG;
    if (b->next < 0)
        b->next = b->spare = packet->sequence > START_REACH ? packet->sequence - START_REACH : 0;
    if (packet->sequence < b->next) {
        b->stats.packets_late += slot_of(b, packet->sequence) == NULL; // else it came before
        return FRAME_LATE;
    }
    enum frame_outcome outcome = FRAME_KEPT;
    if (packet->sequence >= b->next + FRAME_BUFFER_PACKETS) {
        drop_until(b, b->newest + 1);
        b->next = packet->sequence;
        b->newest = packet->sequence - 1;
        b->has_ready = false;
        b->broken = true;
        b->hole_since = TIME_NEVER;
        b->has_base = false; // its clock may be another
        b->base_frames = 0;
        outcome = FRAME_FULL;
    }
    struct slot *slot = slot_at(b, packet->sequence);
    if (slot->sequence == packet->sequence)
        return FRAME_DUPLICATE;
    if (!slot->bytes)
        slot->bytes = room_take(b);
    slot->sequence = packet->sequence;
    slot->timestamp = packet->timestamp;
    slot->kind = packet->info.kind;
    slot->marker = packet->marker;
    slot->empty = packet->empty;
    slot->start = packet->info.frame_start;
    slot->keyframe = packet->info.keyframe;
    slot->picture = packet->empty ? -1 : packet->info.tag.picture_id;
    slot->picture_long = packet->info.tag.picture_id_is_long;
    slot->frame_num = -1;
    slot->has_sets = false;
    if (packet->info.picture_begins || packet->info.has_sets)
        note_h264(b, slot, &packet->info);
    slot->recovered = packet->recovered;
    slot->width = packet->info.width;
    slot->height = packet->info.height;
    slot->len = (uint16_t)packet->payload.len;
    slot->at = now;
    if (packet->payload.len)
        memcpy(slot->bytes, packet->payload.at, packet->payload.len);
    if (packet->sequence > b->newest)
        b->newest = packet->sequence;
    advance(b, now);
    return outcome;
}

// --------------------------------------------------------------------------------------------
// shown

// https://www.w3.org/TR/webrtc-stats/#dom-rtcinboundrtpstreamstats-freezecount
static void count_stop(const struct frame_buffer *b, nanotime gap, struct frame_buffer_stats *stats)
{
    if (gap > PAUSE) {
        stats->pauseCount++;
        stats->totalPausesDuration += gap;
    } else if (b->deltas_count == MEAN_FRAMES) {
        nanotime mean = b->deltas_sum / MEAN_FRAMES;
        if (gap >= time_max(3 * mean, mean + FREEZE_MORE)) { // "is equal or exceeds"
            stats->freezeCount++;
            stats->totalFreezesDuration += gap;
        }
    }
}

static void count_gap(struct frame_buffer *b, nanotime gap)
{
    uint64_t us = (uint64_t)gap / 1000;
    b->stats.totalInterFrameDelay += gap;
    b->squares += us * us;
    count_stop(b, gap, &b->stats);
    if (b->deltas_count == MEAN_FRAMES)
        b->deltas_sum -= b->deltas[b->deltas_next];
    else
        b->deltas_count++;
    b->deltas[b->deltas_next] = gap;
    b->deltas_sum += gap;
    b->deltas_next = (b->deltas_next + 1) % MEAN_FRAMES;
}

bool frame_buffer_poll(struct frame_buffer *b, nanotime now, struct frame *out)
{
    advance(b, now);
    if (!b->has_ready || b->due > now)
        return false;
    *out = b->ready;
    b->has_ready = false;
    b->unfinished = false;
    b->next = b->ready.last + 1;
    b->stats.framesDecoded++;
    b->stats.keyFramesDecoded += out->keyframe;
    b->stats.jitterBufferDelay += now - out->first_at;
    b->stats.totalProcessingDelay += now - out->first_at;
    b->stats.jitterBufferEmittedCount++;
    if (b->shown_at != TIME_NEVER)
        count_gap(b, now - b->shown_at);
    b->shown_at = now;
    return true;
}

nanotime frame_buffer_deadline(const struct frame_buffer *b)
{
    if (b->has_ready)
        return b->due;
    if (b->hole_since != TIME_NEVER)
        return b->hole_since + b->wait;
    return !b->broken && !b->unfinished && b->next <= b->newest ? 0 : TIME_NEVER;
}

struct bytes frame_buffer_payload(const struct frame_buffer *b, int64_t sequence)
{
    const struct slot *slot = slot_of(b, sequence);
    return slot ? bytes_of(slot->bytes, slot->len) : bytes_of(NULL, 0);
}

bool frame_buffer_needs_keyframe(const struct frame_buffer *b)
{
    return b->broken && b->newest >= 0;
}

int64_t frame_buffer_done(const struct frame_buffer *b)
{
    return b->next - 1;
}

void frame_buffer_set_rtt(struct frame_buffer *b, nanotime rtt)
{
    b->repair = time_max(rtt / 2 * 5, FRAME_BUFFER_REPAIR);
    b->wait = time_min(time_max(rtt / 2 * 5, FRAME_BUFFER_WAIT), FRAME_BUFFER_WAIT_MAX);
}

void frame_buffer_set_extra(struct frame_buffer *b, nanotime extra)
{
    b->extra = extra;
}

struct frame_buffer_stats frame_buffer_stats(const struct frame_buffer *b, nanotime now)
{
    struct frame_buffer_stats stats = b->stats;
    stats.totalSquaredInterFrameDelay = b->squares / 1000000;
    if (b->shown_at != TIME_NEVER && now > b->shown_at)
        count_stop(b, now - b->shown_at, &stats);
    return stats;
}
