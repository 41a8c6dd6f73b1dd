// Any bytes as RED, and any packet as what RTX brings back: taken apart and put together it is the
// same.
#include "fuzz/fuzz.h"
#include "stack/rtp/red.h"
#include "stack/rtp/rtx.h"

// libFuzzer: -max_len=1400

#define ROOM 40000

static void check_red(struct bytes payload, uint32_t timestamp)
{
    static uint8_t buffer[ROOM];
    struct red_block blocks[RED_BLOCKS_MAX];
    size_t count = 0;
    enum red_outcome outcome = red_split(payload, timestamp, blocks, &count);
    assert(red_outcome_name(outcome));
    if (outcome != RED_OK)
        return;
    assert(count >= 1 && count <= RED_BLOCKS_MAX);
    assert(blocks[count - 1].timestamp == timestamp);
    for (size_t i = 0; i < count; i++)
        assert(fuzz_is_inside(payload, blocks[i].data));
    size_t len = red_write(buffer, sizeof buffer, blocks, count);
    assert(bytes_equal(bytes_of(buffer, len), payload));
    assert(red_write(buffer, len - 1, blocks, count) == 0);
}

static bool is_expressible(const struct red_block *block, uint32_t timestamp)
{
    return timestamp - block->timestamp <= RED_OFFSET_MAX && block->data.len <= RED_LENGTH_MAX;
}

// A slice, or one about as long as a header can say: more than its length byte could.
static struct bytes block_data(struct reader *r)
{
    static const uint8_t zeros[RED_LENGTH_MAX + 4];
    if (r->len == 0 || r->at[0] != 255)
        return fuzz_slice(r);
    read_skip(r, 1);
    return bytes_of(zeros, sizeof zeros - read_u8(r) % 8);
}

// Blocks of the bytes' own, some of which do not fit into a header.
static void write_red(struct reader *r)
{
    static uint8_t buffer[ROOM];
    struct red_block blocks[40], got[RED_BLOCKS_MAX];
    size_t wanted = 1 + fuzz_choice(r, 40), kept = 0, count = 0;
    uint32_t timestamp = read_u32(r);
    for (size_t i = 0; i < wanted; i++) {
        uint32_t back = read_u16(r);
        blocks[i].payload_type = read_u8(r) & 127;
        blocks[i].timestamp = i + 1 < wanted ? timestamp - back : timestamp;
        blocks[i].data = block_data(r);
    }
    size_t len = red_write(buffer, sizeof buffer, blocks, wanted);
    assert(len > 0 && red_split(bytes_of(buffer, len), timestamp, got, &count) == RED_OK);
    for (size_t i = wanted > RED_BLOCKS_MAX ? wanted - RED_BLOCKS_MAX : 0; i < wanted; i++) {
        if (i + 1 < wanted && !is_expressible(&blocks[i], timestamp))
            continue;
        assert(kept < count && got[kept].payload_type == blocks[i].payload_type);
        assert(got[kept].timestamp == blocks[i].timestamp);
        assert(bytes_equal(got[kept].data, blocks[i].data));
        kept++;
    }
    assert(kept == count);
}

static void check_rtx(struct bytes datagram, uint8_t type, uint32_t ssrc)
{
    static uint8_t wrapped[2048], back[2048], plain[2048];
    struct rtp_packet packet, rtx;
    if (rtp_parse(datagram, &packet) != RTP_OK || datagram.len + RTX_OVERHEAD > sizeof wrapped) {
        assert(rtx_wrap(datagram, type, ssrc, 7, NULL, NULL, wrapped, sizeof wrapped) == 0 ||
               datagram.len + RTX_OVERHEAD > sizeof wrapped);
        return;
    }
    uint8_t original_type = packet.payload_type;
    size_t len = rtx_wrap(datagram, type, ssrc, 7, NULL, NULL, wrapped, sizeof wrapped);
    assert(len == datagram.len - packet.padding + RTX_OVERHEAD);
    assert(rtx_wrap(datagram, type, ssrc, 7, NULL, NULL, wrapped, len - 1) == 0);
    assert(rtp_parse(bytes_of(wrapped, len), &rtx) == RTP_OK);
    assert(rtx.ssrc == ssrc && rtx.sequence == 7 && rtx.payload_type == type);
    size_t got = rtx_unwrap(&rtx, original_type, packet.ssrc, back, sizeof back);
    packet.padding = 0;
    size_t wanted = rtp_write(plain, sizeof plain, &packet, NULL, NULL);
    assert(wanted > 0 && bytes_equal(bytes_of(back, got), bytes_of(plain, wanted)));
    // As if it were RTX itself: what comes out is a packet, or nothing.
    got = rtx_unwrap(&packet, type, ssrc, back, sizeof back);
    assert(got == 0 ? packet.payload.len < RTX_OVERHEAD : got == wanted - RTX_OVERHEAD);
    assert(got == 0 || rtp_parse(bytes_of(back, got), &rtx) == RTP_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(bytes_of(data, size));
    unsigned kind = fuzz_choice(&r, 3);
    if (kind == 0) {
        uint32_t timestamp = read_u32(&r);
        check_red(bytes_of(r.at, r.len), timestamp);
    } else if (kind == 1) {
        write_red(&r);
    } else {
        uint8_t type = read_u8(&r) & 127;
        uint32_t ssrc = read_u32(&r);
        check_rtx(bytes_of(r.at, r.len), type, ssrc);
    }
    return 0;
}
