#include "stack/media/audio_buffer.h"

#include "base/arena.h"

#include <stdlib.h>

#define BUCKET (10 * TIME_MS) // of the histogram
#define BUCKETS 200
#define WHOLE (1 << 30)
#define FORGET_SHIFT 7            // a packet weighs 1/128
#define QUANTILE_LATE 20          // one of so many packets may be late
#define BASE_WINDOW 500           // packets over which the least delay is looked for
#define CONCEAL_MOST (1 * TIME_S) // without a packet: then silence, until one comes
#define STRETCH_EVERY 3           // of so many pieces at most one is stretched

struct held {
    bool used;
    int64_t timestamp; // unwrapped
    uint32_t duration;
    nanotime at;
    bool dtx;
    uint16_t len;
    uint8_t *payload; // AUDIO_PAYLOAD_MAX, once needed
};

struct audio_buffer {
    uint32_t clock_rate, sample_rate;
    struct held ring[AUDIO_BUFFER_PACKETS]; // sorted by timestamp, from `first` on
    unsigned order[AUDIO_BUFFER_PACKETS];   // places in the ring, rising timestamps
    unsigned count;
    bool any;
    uint32_t last_timestamp;
    int64_t newest; // unwrapped timestamp of last_timestamp
    int64_t end;    // end of the newest packet
    bool playing, stopped, drains;
    nanotime next_at;
    int64_t position;  // what is played next, in timestamp units
    int playing_place; // packet that `position` is in; -1: none
    bool begun;        // one has begun: neither it again nor one before it
    int64_t begun_timestamp;
    int64_t playing_end;
    bool dtx; // the last that was played announced silence
    bool concealing;
    bool ran_empty; // concealing without a later packet: the position stands
    nanotime concealed_for;
    unsigned since_stretch;
    nanotime least_delay;

    uint32_t histogram[BUCKETS];
    unsigned histogram_top; // from here on all are 0
    bool has_base;
    nanotime base, base_before;
    unsigned base_packets;
    nanotime target;
    struct audio_buffer_stats stats;
};

struct audio_buffer *audio_buffer_new(uint32_t clock_rate, uint32_t sample_rate)
{
    struct audio_buffer *b = mem_zero(1, sizeof *b);
    b->clock_rate = clock_rate;
    b->sample_rate = sample_rate;
    b->playing_place = -1;
    b->histogram[1] = WHOLE;
    b->histogram_top = 2;
    b->target = 2 * AUDIO_BUFFER_LEAST;
    b->least_delay = AUDIO_BUFFER_LEAST;
    b->next_at = TIME_NEVER;
    return b;
}

void audio_buffer_free(struct audio_buffer *b)
{
    if (!b)
        return;
    for (unsigned i = 0; i < AUDIO_BUFFER_PACKETS; i++)
        free(b->ring[i].payload);
    free(b);
}

static nanotime units_time(const struct audio_buffer *b, int64_t units)
{
    int64_t rate = b->clock_rate;
    return units / rate * TIME_S + units % rate * TIME_S / rate;
}

static int64_t tick_units(const struct audio_buffer *b)
{
    return (int64_t)b->clock_rate / 100;
}

static uint64_t samples(const struct audio_buffer *b, int64_t units)
{
    return (uint64_t)units * (b->sample_rate / b->clock_rate);
}

// ------------------------------------------------------------------------------------- the target

static void learn(struct audio_buffer *b, nanotime now, int64_t timestamp)
{
    nanotime delay = now - units_time(b, timestamp);
    if (!b->has_base)
        b->base = b->base_before = delay;
    b->has_base = true;
    b->base = time_min(b->base, delay);
    if (++b->base_packets == BASE_WINDOW) {
        b->base_before = b->base;
        b->base = delay;
        b->base_packets = 0;
    }
    nanotime late = delay - time_min(b->base, b->base_before);
    unsigned bucket = late / BUCKET < BUCKETS - 1 ? (unsigned)(late / BUCKET) : BUCKETS - 1;
    uint32_t sum = 0;
    b->histogram_top = bucket < b->histogram_top ? b->histogram_top : bucket + 1;
    for (unsigned i = 0; i < b->histogram_top; i++) {
        b->histogram[i] -= b->histogram[i] >> FORGET_SHIFT;
        sum += b->histogram[i];
    }
    b->histogram[bucket] += WHOLE - sum; // the sum stays
    uint32_t left = WHOLE / QUANTILE_LATE, tail = 0;
    unsigned at = b->histogram_top;
    while (at > 1 && tail + b->histogram[at - 1] <= left)
        tail += b->histogram[--at];
    nanotime target = (nanotime)at * BUCKET + BUCKET;
    b->target = time_min(time_max(target, b->least_delay), AUDIO_BUFFER_MOST);
}

// ------------------------------------------------------------------------------------------ input

static void forget_first(struct audio_buffer *b)
{
    b->ring[b->order[0]].used = false;
    b->count--;
    memmove(b->order, b->order + 1, b->count * sizeof *b->order);
}

static unsigned free_place(struct audio_buffer *b)
{
    unsigned place = 0; // the first: few hold packets, and theirs stays in the processor's cache
    while (b->ring[place].used || (int)place == b->playing_place)
        place++;
    return place;
}

static void empty(struct audio_buffer *b)
{
    b->stats.packetsDiscarded += b->count;
    while (b->count)
        forget_first(b);
}

static void insert(struct audio_buffer *b, nanotime now, const struct audio_packet *packet,
                   int64_t timestamp, unsigned at)
{
    unsigned place = free_place(b);
    struct held *held = &b->ring[place];
    if (!held->payload)
        held->payload = mem_alloc(AUDIO_PAYLOAD_MAX);
    held->used = true;
    held->timestamp = timestamp;
    held->duration = packet->duration;
    held->at = now;
    held->dtx = packet->dtx;
    held->len = (uint16_t)packet->payload.len;
    if (packet->payload.len)
        memcpy(held->payload, packet->payload.at, packet->payload.len);
    memmove(b->order + at + 1, b->order + at, (b->count - at) * sizeof *b->order);
    b->order[at] = place;
    b->count++;
}

enum audio_outcome audio_buffer_packet(struct audio_buffer *b, nanotime now,
                                       const struct audio_packet *packet)
{
    if (packet->duration == 0 || packet->payload.len > AUDIO_PAYLOAD_MAX || b->stopped)
        return AUDIO_BAD;
    enum audio_outcome outcome = AUDIO_KEPT;
    int64_t timestamp = b->any ? b->newest + (int32_t)(packet->timestamp - b->last_timestamp) : 0;
    bool newer = !b->any || timestamp > b->newest;
    if (b->begun && timestamp == b->begun_timestamp)
        return AUDIO_DUPLICATE;
    if ((b->begun && timestamp < b->begun_timestamp) ||
        (b->playing && timestamp + packet->duration <= b->position)) {
        b->stats.packetsDiscarded += !packet->recovered;
        return AUDIO_LATE;
    }
    if (b->count == AUDIO_BUFFER_PACKETS - 1) {
        empty(b);
        b->ran_empty = true;
        outcome = AUDIO_FULL;
    }
    unsigned at = b->count;
    while (at > 0 && b->ring[b->order[at - 1]].timestamp >= timestamp) {
        if (b->ring[b->order[at - 1]].timestamp == timestamp)
            return AUDIO_DUPLICATE;
        at--;
    }
    insert(b, now, packet, timestamp, at);
    if (newer) {
        b->newest = timestamp;
        b->last_timestamp = packet->timestamp;
        b->end = timestamp + packet->duration;
    }
    b->any = true;
    if (!packet->recovered)
        learn(b, now, timestamp);
    if (!b->playing) { // the first: held for the target, then played
        b->playing = true;
        b->position = timestamp;
        b->next_at = now + b->target - AUDIO_BUFFER_LEAST;
    }
    return outcome;
}

// ----------------------------------------------------------------------------------------- playout

static void count_concealed(struct audio_buffer *b, bool silent)
{
    uint64_t piece = b->sample_rate / 100;
    b->stats.concealedSamples += piece;
    b->stats.silentConcealedSamples += silent ? piece : 0;
    b->stats.lost_pieces++;
    b->stats.lost_runs += !b->concealing;
    b->stats.concealmentEvents += !b->concealing && !silent;
    b->concealing = true;
}

// Where `position` has come to the next packet that is held, that one plays.
static bool begin_packet(struct audio_buffer *b, nanotime now, struct audio_play *out)
{
    if (!b->count)
        return false;
    struct held *next = &b->ring[b->order[0]];
    if (next->timestamp > b->position && !b->dtx && !b->ran_empty)
        return false;
    if (b->position < next->timestamp || b->ran_empty)
        b->position = next->timestamp; // else a little of it was left out
    b->playing_place = (int)b->order[0];
    b->playing_end = next->timestamp + next->duration;
    b->begun = true;
    b->begun_timestamp = next->timestamp;
    b->dtx = next->dtx;
    b->ran_empty = false;
    out->begins = true;
    out->payload = bytes_of(next->payload, next->len);
    out->timestamp = b->last_timestamp - (uint32_t)(b->newest - next->timestamp);
    uint64_t emitted = samples(b, next->duration);
    b->stats.jitterBufferEmittedCount += emitted;
    b->stats.jitterBufferDelay += (now - next->at) * (nanotime)emitted;
    b->stats.jitterBufferTargetDelay += b->target * (nanotime)emitted;
    b->stats.jitterBufferMinimumDelay += b->target * (nanotime)emitted;
    forget_first(b);
    return true;
}

// How far to go in 10 ms of sound: more when too much is held, less when too little.
static int64_t stretch(struct audio_buffer *b)
{
    int64_t tick = tick_units(b), half = tick / 2;
    nanotime held = units_time(b, b->end - b->position);
    b->since_stretch++;
    if (b->since_stretch < STRETCH_EVERY || b->dtx)
        return tick;
    if (held > b->target + b->target / 4 + AUDIO_BUFFER_LEAST) {
        b->stats.removedSamplesForAcceleration += samples(b, half);
        b->since_stretch = 0;
        return tick + half;
    }
    if (held < b->target * 3 / 4 && held > 0) {
        b->stats.insertedSamplesForDeceleration += samples(b, half);
        b->since_stretch = 0;
        return tick - half;
    }
    return tick;
}

static void conceal(struct audio_buffer *b, struct audio_play *out)
{
    bool lost = b->count > 0; // a later one is there: this one is not waited for
    bool silent = b->concealed_for >= CONCEAL_MOST;
    out->kind = AUDIO_CONCEALED;
    count_concealed(b, silent);
    b->concealed_for += AUDIO_BUFFER_TICK;
    if (lost) {
        b->position += tick_units(b);
        if (b->position > b->ring[b->order[0]].timestamp)
            b->position = b->ring[b->order[0]].timestamp;
    } else {
        b->ran_empty = true;
    }
}

static void play(struct audio_buffer *b, struct audio_play *out)
{
    out->kind = AUDIO_PLAYED;
    b->concealing = false;
    b->concealed_for = 0;
    b->stats.played_pieces++;
    b->position += stretch(b);
    if (b->position >= b->playing_end)
        b->playing_place = -1;
}

bool audio_buffer_poll(struct audio_buffer *b, nanotime now, struct audio_play *out)
{
    if (!b->playing || b->stopped || b->next_at > now)
        return false;
    *out = (struct audio_play){.kind = AUDIO_SILENT};
    bool inside = b->playing_place >= 0 || begin_packet(b, now, out);
    if (!inside && b->drains && b->count == 0) {
        b->stopped = true;
        return false;
    }
    if (inside) {
        play(b, out);
    } else if (b->dtx) {
        b->concealing = false;
    } else {
        conceal(b, out);
    }
    b->stats.totalSamplesReceived += b->sample_rate / 100;
    b->stats.totalSamplesDuration += AUDIO_BUFFER_TICK;
    b->next_at += AUDIO_BUFFER_TICK;
    return true;
}

nanotime audio_buffer_deadline(const struct audio_buffer *b)
{
    return b->playing && !b->stopped ? b->next_at : TIME_NEVER;
}

void audio_buffer_set_least(struct audio_buffer *b, nanotime least)
{
    b->least_delay = time_min(time_max(least, AUDIO_BUFFER_LEAST), AUDIO_BUFFER_MOST);
    b->target = time_max(b->target, b->least_delay);
}

void audio_buffer_restart(struct audio_buffer *b, uint32_t clock_rate, uint32_t sample_rate)
{
    empty(b);
    b->clock_rate = clock_rate;
    b->sample_rate = sample_rate;
    b->any = b->playing = b->stopped = b->drains = b->begun = b->has_base = false;
    b->dtx = b->concealing = b->ran_empty = false;
    b->next_at = TIME_NEVER;
    b->playing_place = -1;
    b->position = b->end = 0;
    b->concealed_for = 0;
    b->base_packets = 0;
}

void audio_buffer_drain(struct audio_buffer *b)
{
    b->drains = true;
}

void audio_buffer_stop(struct audio_buffer *b)
{
    b->stopped = true;
}

struct audio_buffer_stats audio_buffer_stats(const struct audio_buffer *b)
{
    struct audio_buffer_stats stats = b->stats;
    stats.target = b->target;
    stats.held = b->playing ? units_time(b, b->end - b->position) : 0;
    return stats;
}
