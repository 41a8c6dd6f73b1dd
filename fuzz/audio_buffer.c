// Packets, time and demands on the delay, as the bytes say, into the jitter buffer of audio, with a
// book beside it.
//
//   - every packet is kept, a duplicate, late or refused; one that was kept is begun once, given
//     up, or still held, and no more are held than there is room for;
//   - what begins is what came in; it never goes back, as far as 32 bits tell what back is;
//   - a packet is played to its end, of what was left out or added before it, and no further;
//   - 10 ms follow 10 ms; what is played, concealed and silent adds up to all; concealment that
//     lasts for a second is silent from then on, and each loss is one event, however long.
#include "fuzz/fuzz.h"
#include "stack/media/audio_buffer.h"

// libFuzzer: -max_len=3000

#define RATES 4
#define MEMORY_MAX (1u << 20)
#define CONCEAL_PIECES 100 // a second, until a packet comes

static const struct {
    uint32_t clock, sample;
} rates[RATES] = {{48000, 48000}, {8000, 8000}, {8000, 16000}, {16000, 16000}};

struct bench {
    nanotime now, next_at;
    struct audio_buffer *buffer;
    uint32_t clock_rate, sample_rate, timestamp;
    uint64_t kept, late, begun;
    uint64_t played, concealed, silent;
    uint64_t concealed_silent, runs, events, run; // `run`: pieces concealed since one was played
    bool has_begun, leaps, concealing;
    // Of the packet that began last: how long it is, and how far it is played; `least`: or farther.
    // Of the next: `fresh`: it is played from its beginning; `unsure`: maybe not from there.
    int64_t duration, within;
    bool least, fresh, unsure;
    uint32_t last_begun;
};

// What a packet of this timestamp and duration has in it.
static struct bytes content(uint32_t timestamp, unsigned duration, uint8_t *to)
{
    size_t len = 6 + timestamp % 50;
    put_u32(to, timestamp);
    put_u16(to + 4, (uint16_t)duration);
    for (size_t i = 6; i < len; i++)
        to[i] = (uint8_t)(timestamp >> i % 24);
    return bytes_of(to, len);
}

// It began, where the one before it ended or at its own beginning.
static void see_begin(struct bench *b, const struct audio_play *play)
{
    int64_t ahead = b->within - (int32_t)(play->timestamp - b->last_begun);
    b->least = !b->fresh && (b->least || b->unsure || b->leaps);
    b->within = !b->fresh && !b->least && ahead > 0 ? ahead : 0;
    b->duration = play->payload.at[4] << 8 | play->payload.at[5];
    b->fresh = b->unsure = false;
}

// `advance`: how far 10 ms of sound went; `held`: packets, now.
static void see(struct bench *b, const struct audio_play *play, int64_t advance, uint64_t held)
{
    uint8_t wanted[64];
    if (play->kind == AUDIO_PLAYED && !play->begins)
        assert(b->within < b->duration);
    else
        assert(!b->has_begun || b->least || b->within >= b->duration);
    if (play->begins) {
        assert(play->kind == AUDIO_PLAYED && play->payload.len >= 6);
        see_begin(b, play);
        struct bytes content_was = content(play->timestamp, (unsigned)b->duration, wanted);
        assert(bytes_equal(play->payload, content_was));
        assert(!b->has_begun || b->leaps || (int32_t)(play->timestamp - b->last_begun) > 0);
        b->has_begun = true;
        b->last_begun = play->timestamp;
        b->begun++;
    }
    b->within += play->kind == AUDIO_PLAYED ? advance : 0;
    b->unsure |= play->kind == AUDIO_CONCEALED;
    b->fresh |= play->kind == AUDIO_CONCEALED && held == 0; // it is waited for
    if (play->kind == AUDIO_CONCEALED) {
        bool quiet = b->run++ >= CONCEAL_PIECES;
        b->concealed_silent += quiet;
        b->runs += !b->concealing;
        b->events += !b->concealing && !quiet;
    }
    b->run = play->kind == AUDIO_PLAYED ? 0 : b->run;
    b->concealing = play->kind == AUDIO_CONCEALED;
    b->played += play->kind == AUDIO_PLAYED;
    b->concealed += play->kind == AUDIO_CONCEALED;
    b->silent += play->kind == AUDIO_SILENT;
}

static void check(const struct bench *b)
{
    const struct audio_buffer_stats stats = audio_buffer_stats(b->buffer);
    uint64_t piece = b->sample_rate / 100, pieces = b->played + b->concealed + b->silent;
    assert(stats.totalSamplesReceived == pieces * piece);
    assert(stats.totalSamplesDuration == (nanotime)pieces * AUDIO_BUFFER_TICK);
    assert(stats.concealedSamples == b->concealed * piece && stats.lost_pieces == b->concealed);
    assert(stats.silentConcealedSamples == b->concealed_silent * piece);
    assert(stats.played_pieces == b->played && stats.lost_runs == b->runs);
    assert(stats.concealmentEvents == b->events);
    assert(stats.target >= AUDIO_BUFFER_LEAST && stats.target <= AUDIO_BUFFER_MOST);
    assert(stats.packetsDiscarded >= b->late);
    uint64_t given_up = stats.packetsDiscarded - b->late;
    assert(b->kept >= b->begun + given_up);
    assert(b->kept - b->begun - given_up < AUDIO_BUFFER_PACKETS);
    assert(stats.jitterBufferDelay >= 0);
}

static void play(struct bench *b)
{
    struct audio_play out;
    struct audio_buffer_stats before = audio_buffer_stats(b->buffer);
    while (audio_buffer_poll(b->buffer, b->now, &out)) {
        struct audio_buffer_stats after = audio_buffer_stats(b->buffer);
        int64_t samples = b->sample_rate / 100;
        samples +=
            (int64_t)(after.removedSamplesForAcceleration - before.removedSamplesForAcceleration);
        samples -=
            (int64_t)(after.insertedSamplesForDeceleration - before.insertedSamplesForDeceleration);
        before = after;
        assert(b->next_at == TIME_NEVER || b->next_at <= b->now);
        uint64_t begun = b->begun + out.begins;
        see(b, &out, samples / (b->sample_rate / b->clock_rate),
            b->kept - begun - (after.packetsDiscarded - b->late));
        nanotime next = audio_buffer_deadline(b->buffer);
        assert(b->next_at == TIME_NEVER || next == b->next_at + AUDIO_BUFFER_TICK);
        b->next_at = next;
    }
    nanotime next = audio_buffer_deadline(b->buffer);
    assert(next > b->now && (b->next_at == TIME_NEVER || next == b->next_at));
    b->next_at = next;
}

static void put(struct bench *b, struct reader *r)
{
    unsigned how = read_u8(r), frame = b->sample_rate / 50;
    uint8_t room[64];
    struct audio_packet packet = {.duration = frame, .dtx = how >= 0xf0};
    packet.recovered = how % 16 == 15;
    if (how % 16 < 10)
        b->timestamp += frame;
    else if (how % 16 < 13)
        b->timestamp += (uint32_t)(int8_t)read_u8(r) * (frame / 2);
    else if (how % 16 == 13)
        b->timestamp += read_u16(r) - 0x8000u;
    else if (how == 14)
        b->timestamp = read_u32(r);
    b->leaps |= how == 14; // two of them may be more than half of the circle
    if ((how & 0xf0) == 0x80)
        packet.duration = read_u16(r) % 5761;
    packet.timestamp = b->timestamp;
    packet.payload = content(b->timestamp, packet.duration, room);
    if (b->kept == 0) // from there on is played, also what comes before it and overlaps
        b->last_begun = b->timestamp;
    enum audio_outcome outcome = audio_buffer_packet(b->buffer, b->now, &packet);
    assert((outcome == AUDIO_BAD) == (packet.duration == 0));
    b->kept += outcome == AUDIO_KEPT || outcome == AUDIO_FULL;
    b->fresh |= outcome == AUDIO_FULL;
    b->late += outcome == AUDIO_LATE && !packet.recovered;
    play(b);
}

static void step(struct bench *b, struct reader *r)
{
    unsigned kind = read_u8(r);
    if (kind < 160) {
        put(b, r);
        b->now += kind % 16 * 2 * TIME_MS;
    } else if (kind < 240) {
        b->now += (nanotime)(kind - 159) * 4 * TIME_MS;
    } else if (kind < 250) {
        audio_buffer_set_least(b->buffer, (nanotime)read_u8(r) * 10 * TIME_MS);
    } else {
        b->now += (nanotime)read_u8(r) * 50 * TIME_MS;
    }
    play(b);
    check(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t before = fuzz_memory();
    struct reader r = reader_of(bytes_of(data, size));
    unsigned rate = fuzz_choice(&r, RATES);
    struct bench b = {
        .next_at = TIME_NEVER, .clock_rate = rates[rate].clock, .sample_rate = rates[rate].sample};
    b.buffer = audio_buffer_new(rates[rate].clock, rates[rate].sample);
    b.timestamp = read_u32(&r);
    while (r.len > 0)
        step(&b, &r);
    fuzz_memory_check(before, MEMORY_MAX);
    audio_buffer_stop(b.buffer);
    struct audio_play out;
    assert(!audio_buffer_poll(b.buffer, TIME_NEVER - 1, &out));
    assert(audio_buffer_deadline(b.buffer) == TIME_NEVER);
    audio_buffer_free(b.buffer);
    return 0;
}
