// Any bytes as a clip: an error of one line that names the file, or the frames that the file has,
// at its times, which a source plays in order, twice over.
#include "fuzz/fuzz.h"
#include "stack/media/source.h"

#include <ogg/ogg.h>

#define FRAMES_MOST 300

// What the file has, read beside: its next frame is that of the clip.
struct walk {
    const struct clip *clip;
    struct reader r;
    uint32_t frames;
    uint64_t timestamp;
};

static void see(struct walk *w, struct bytes frame, uint64_t timestamp)
{
    assert(w->frames < w->clip->frames_count);
    assert(bytes_equal(clip_bytes(w->clip, w->frames), frame));
    assert(w->clip->frames[w->frames].timestamp == timestamp);
    w->frames++;
}

static uint64_t read_le(struct reader *r, unsigned len)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < len; i++)
        value |= (uint64_t)read_u8(r) << 8 * i;
    return value;
}

static void walk_ivf(struct walk *w)
{
    const struct clip *clip = w->clip;
    read_skip(&w->r, 12);
    assert(read_le(&w->r, 2) == clip->width && read_le(&w->r, 2) == clip->height);
    uint64_t rate = read_le(&w->r, 4), scale = read_le(&w->r, 4), first = 0;
    uint64_t units = codec_of(clip->kind)->clock_rate, step = scale * units / rate;
    read_skip(&w->r, 8);
    while (w->r.len > 0) {
        uint64_t len = read_le(&w->r, 4), tick = read_le(&w->r, 8), before = w->timestamp;
        first = w->frames ? first : tick;
        w->timestamp = (tick - first) * scale * units / rate;
        see(w, read_bytes(&w->r, len), w->timestamp);
        step = w->frames > 1 ? w->timestamp - before : step;
    }
    assert(!w->r.failed && clip->duration == w->timestamp + (step ? step : 1));
}

// RFC 6716 3.1 and 3.2: in units of 2.5 ms.
static unsigned opus_pieces(struct bytes packet)
{
    static const uint8_t silk[] = {4, 8, 16, 24}, celt[] = {1, 2, 4, 8};
    unsigned config = packet.at[0] >> 3, code = packet.at[0] & 3;
    unsigned each = config < 12   ? silk[config & 3]
                    : config < 16 ? silk[config & 1]
                                  : celt[config & 3];
    return each * (code == 3 ? packet.at[1] & 63 : code ? 2 : 1);
}

// RFC 3533 6, RFC 7845 5.1: the first two packets are headers.
static void walk_ogg(struct walk *w)
{
    static uint8_t packet[1 << 16];
    size_t len = 0;
    bool open = false; // a packet goes on behind this page
    for (unsigned packets = 0; w->r.len > 0;) {
        read_skip(&w->r, 5);
        bool skip = read_u8(&w->r) & 1 && !open; // the rest of nothing
        read_skip(&w->r, 20);
        struct bytes table = read_bytes(&w->r, read_u8(&w->r));
        for (size_t i = 0; i < table.len; i++) {
            struct bytes segment = read_bytes(&w->r, table.at[i]);
            if (skip) {
                skip = segment.len == 255;
                continue;
            }
            if (len + segment.len > sizeof packet) // longer than one looks here
                return;
            if (segment.len)
                memcpy(packet + len, segment.at, segment.len);
            len += segment.len;
            open = segment.len == 255;
            if (open)
                continue;
            if (packets == 0)
                assert(w->clip->skip == (unsigned)(packet[10] | packet[11] << 8));
            if (packets++ >= 2) {
                see(w, bytes_of(packet, len), w->timestamp);
                w->timestamp += 120 * opus_pieces(bytes_of(packet, len));
            }
            len = 0;
        }
    }
    assert(!w->r.failed && w->clip->duration == w->timestamp);
}

static void check_file(const struct clip *clip, struct bytes file)
{
    struct walk w = {.clip = clip, .r = reader_of(file)};
    bool ogg = bytes_starts(file, "OggS");
    assert(ogg == (clip->kind == CODEC_OPUS));
    (ogg ? walk_ogg : walk_ivf)(&w);
    assert(w.r.len > 0 || w.frames == clip->frames_count);
}

static void play(const struct clip *clip)
{
    struct source_config config = {.stop_at = TIME_NEVER, .clip = clip, .clip_loops = true};
    struct media_source *source = source_new(&config);
    struct source_frame got;
    uint32_t count = clip->frames_count;
    uint64_t rate = codec_of(clip->kind)->clock_rate;
    uint32_t most = count < FRAMES_MOST ? 2 * count : FRAMES_MOST;
    for (uint32_t i = 0; i < most; i++) {
        const struct clip_frame *frame = &clip->frames[i % count];
        uint64_t at = frame->timestamp + i / count * clip->duration;
        uint64_t next = i % count + 1 < count ? frame[1].timestamp : clip->duration;
        nanotime due = source_deadline(source);
        assert(due == (nanotime)(at / rate * TIME_S + at % rate * TIME_S / rate));
        assert(due == 0 || !source_poll(source, due - 1, &got));
        assert(source_poll(source, due, &got) && got.at == due);
        assert(bytes_equal(got.bytes, clip_bytes(clip, i % count)));
        assert(got.keyframe == frame->keyframe && got.timestamp == (uint32_t)at);
        assert(got.duration == (uint32_t)(next - frame->timestamp));
        assert(got.width == clip->width && got.height == clip->height);
    }
    source_free(source);
}

// Pages with another checksum than their own go no further: each gets its own.
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    (void)seed;
    size = LLVMFuzzerMutate(data, size, max);
    for (size_t at = 0; size - at >= 27 && memcmp(data + at, "OggS", 4) == 0;) {
        ogg_page page = {.header = data + at, .header_len = 27 + data[at + 26]};
        size_t end = at + (size_t)page.header_len;
        for (size_t i = at + 27; i < end && end <= size; i++)
            page.body_len += data[i];
        page.body = data + end;
        end += (size_t)page.body_len;
        if (end > size)
            break;
        ogg_page_checksum_set(&page);
        at = end;
    }
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    struct clip *clip = clip_read(bytes_of(data, size), "clip", &err);
    assert((clip == NULL) == err_is_set(&err));
    if (!clip) {
        assert(strncmp(err.text, "clip: ", 6) == 0 && !strchr(err.text, '\n'));
        return 0;
    }
    assert(clip->bytes_len <= size && clip->frames_count > 0);
    for (uint32_t i = 0; i < clip->frames_count; i++) {
        uint64_t next = i + 1 < clip->frames_count ? clip->frames[i + 1].timestamp : clip->duration;
        assert(clip->frames[i].timestamp < next);
        assert(clip->frames[i].at + clip->frames[i].len <= clip->bytes_len);
        assert(clip->frames[i].len > 0 && (i > 0 || clip->frames[i].keyframe));
    }
    check_file(clip, bytes_of(data, size));
    play(clip);
    clip_free(clip);
    return 0;
}
