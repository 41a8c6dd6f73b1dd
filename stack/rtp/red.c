// RED (RFC 2198): headers first, then the blocks in the same order.
#include "stack/rtp/red.h"

#include <assert.h>

const char *red_outcome_name(enum red_outcome outcome)
{
    static const char *const names[] = {"ok", "too short", "too many blocks"};
    return names[outcome];
}

static bool fits(const struct red_block *block, uint32_t timestamp)
{
    return timestamp - block->timestamp <= RED_OFFSET_MAX && block->data.len <= RED_LENGTH_MAX;
}

size_t red_write(uint8_t *to, size_t max, const struct red_block *blocks, size_t count)
{
    assert(count >= 1);
    const struct red_block *primary = &blocks[count - 1];
    struct writer w = writer_of(to, max);
    size_t first = count > RED_BLOCKS_MAX ? count - RED_BLOCKS_MAX : 0;
    for (size_t i = first; i + 1 < count; i++) {
        if (!fits(&blocks[i], primary->timestamp))
            continue;
        // RFC 2198 3: F = 1, block PT, timestamp offset, block length
        uint32_t offset = primary->timestamp - blocks[i].timestamp;
        write_u32(&w, 0x80000000u | (uint32_t)(blocks[i].payload_type & 0x7f) << 24 | offset << 10 |
                          (uint32_t)blocks[i].data.len);
    }
    write_u8(&w, primary->payload_type & 0x7f);
    for (size_t i = first; i + 1 < count; i++) {
        if (fits(&blocks[i], primary->timestamp))
            write_bytes(&w, blocks[i].data);
    }
    write_bytes(&w, primary->data);
    return w.failed ? 0 : w.len;
}

enum red_outcome red_split(struct bytes payload, uint32_t timestamp, struct red_block *out,
                           size_t *count)
{
    struct reader r = reader_of(payload);
    size_t lengths[RED_BLOCKS_MAX] = {0};
    size_t blocks = 0;
    bool more = true;
    while (more) {
        if (blocks == RED_BLOCKS_MAX)
            return RED_TOO_MANY;
        uint8_t first = read_u8(&r);
        more = first & 0x80;
        out[blocks] = (struct red_block){first & 0x7f, timestamp, {NULL, 0}};
        if (more) {
            uint8_t high = read_u8(&r);
            uint16_t low = read_u16(&r);
            out[blocks].timestamp = timestamp - ((uint32_t)high << 6 | (uint32_t)(low >> 10));
            lengths[blocks] = low & RED_LENGTH_MAX;
        }
        blocks++;
    }
    for (size_t i = 0; i + 1 < blocks; i++)
        out[i].data = read_bytes(&r, lengths[i]);
    if (r.failed)
        return RED_TOO_SHORT;
    out[blocks - 1].data = read_bytes(&r, r.len);
    *count = blocks;
    return RED_OK;
}
