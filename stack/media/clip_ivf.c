#include "stack/media/clip_ivf.h"
#include "stack/media/clip_priv.h"

static const struct {
    enum codec_kind kind;
    const char *fourcc;
} fourccs[] = {{CODEC_VP8, "VP80"}, {CODEC_VP9, "VP90"}, {CODEC_AV1, "AV01"}, {CODEC_H264, "H264"}};
#define FOURCCS (sizeof fourccs / sizeof fourccs[0])

static uint64_t get_le(const uint8_t *at, unsigned len)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < len; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

static void put_le(uint8_t *to, uint64_t value, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

void ivf_write_header(uint8_t to[IVF_HEADER_LEN], const struct ivf_header *header)
{
    memset(to, 0, IVF_HEADER_LEN);
    memcpy(to, "DKIF", 4);
    put_le(to + 6, IVF_HEADER_LEN, 2);
    for (size_t i = 0; i < FOURCCS; i++)
        if (fourccs[i].kind == header->kind)
            memcpy(to + 8, fourccs[i].fourcc, 4);
    put_le(to + 12, header->width, 2);
    put_le(to + 14, header->height, 2);
    put_le(to + 16, header->rate, 4);
    put_le(to + 20, header->scale, 4);
    put_le(to + 24, header->frames, 4);
}

void ivf_write_frame_header(uint8_t to[IVF_FRAME_HEADER_LEN], uint32_t len, uint64_t tick)
{
    put_le(to, len, 4);
    put_le(to + 4, tick, 8);
}

bool clip_ivf_is(struct bytes file)
{
    return bytes_starts(file, "DKIF");
}

struct ivf {
    struct bytes file;
    const char *name;
    uint32_t rate, scale;
    uint32_t clock_rate;
};

static bool read_header(struct ivf *ivf, struct clip *clip, struct err *err)
{
    const uint8_t *at = ivf->file.at;
    if (ivf->file.len < IVF_HEADER_LEN)
        return err_set(err, "%s: byte %zu: expected a header of %d bytes, got the end of the file",
                       ivf->name, ivf->file.len, IVF_HEADER_LEN);
    if (get_le(at + 4, 2) != 0)
        return err_set(err, "%s: byte 4: expected version 0, got %u", ivf->name,
                       (unsigned)get_le(at + 4, 2));
    if (get_le(at + 6, 2) != IVF_HEADER_LEN)
        return err_set(err, "%s: byte 6: expected a header length of %d, got %u", ivf->name,
                       IVF_HEADER_LEN, (unsigned)get_le(at + 6, 2));
    size_t row = 0;
    while (row < FOURCCS && memcmp(at + 8, fourccs[row].fourcc, 4) != 0)
        row++;
    if (row == FOURCCS)
        return err_set(err,
                       "%s: byte 8: expected VP80, VP90, AV01 or H264, got %02x %02x %02x %02x",
                       ivf->name, at[8], at[9], at[10], at[11]);
    clip->kind = fourccs[row].kind;
    clip->width = (uint16_t)get_le(at + 12, 2);
    clip->height = (uint16_t)get_le(at + 14, 2);
    ivf->rate = (uint32_t)get_le(at + 16, 4);
    ivf->scale = (uint32_t)get_le(at + 20, 4);
    if (!ivf->rate || !ivf->scale)
        return err_set(err, "%s: byte 16: a time base of %u/%u", ivf->name, (unsigned)ivf->scale,
                       (unsigned)ivf->rate);
    ivf->clock_rate = codec_of(clip->kind)->clock_rate;
    return true;
}

// Ticks to units of the RTP clock. False: no such time.
static bool to_clock(const struct ivf *ivf, uint64_t ticks, uint64_t *out)
{
    if (ticks > (uint64_t)INT64_MAX / ivf->clock_rate / ivf->scale)
        return false;
    *out = ticks * ivf->scale * ivf->clock_rate / ivf->rate;
    return *out < (uint64_t)1 << 44; // six years: time is counted in 63 bits of nanoseconds
}

bool clip_ivf_read(struct bytes file, const char *name, struct clip *clip, struct err *err)
{
    struct ivf ivf = {.file = file, .name = name};
    if (!read_header(&ivf, clip, err))
        return false;
    uint64_t first = 0, before = 0, timestamp = 0, step;
    if (!to_clock(&ivf, 1, &step))
        return err_set(err, "%s: byte 16: a time base of %u/%u", name, (unsigned)ivf.scale,
                       (unsigned)ivf.rate);
    size_t at = IVF_HEADER_LEN;
    while (at < file.len) {
        if (file.len - at < IVF_FRAME_HEADER_LEN)
            return err_set(err, "%s: byte %zu: the file ends inside of a frame's header", name, at);
        uint64_t len = get_le(file.at + at, 4), tick = get_le(file.at + at + 4, 8);
        size_t body = at + IVF_FRAME_HEADER_LEN;
        if (!len || len > file.len - body)
            return err_set(err, "%s: byte %zu: a frame of %u bytes, but %zu are left", name, at,
                           (unsigned)len, file.len - body);
        if (!clip->frames_count)
            first = tick;
        if (tick < first || !to_clock(&ivf, tick - first, &timestamp) ||
            (clip->frames_count && timestamp <= before))
            return err_set(err, "%s: byte %zu: expected a time after the frame before", name,
                           at + 4);
        if (!clip_add(clip, bytes_of(file.at + body, (size_t)len), timestamp, name, at, err))
            return false;
        if (clip->frames_count > 1) // the last frame is shown as long as the one before
            step = timestamp - before;
        before = timestamp;
        at = body + (size_t)len;
    }
    clip->duration = timestamp + (step ? step : 1);
    return true;
}
