// TCP headers (RFC 9293 3.1).
#include "simnet/tcp_priv.h"

#define OFFSET_UNIT 4
#define OPTION_END 0
#define OPTION_NONE 1
#define OPTION_MSS 2

struct bytes tcp_segment_encode(const struct tcp_segment *segment, uint8_t to[TCP_HEADER_MAX - 4])
{
    struct writer w = writer_of(to, TCP_HEADER_MAX - 4);
    unsigned words = segment->mss ? TCP_HEADER_MAX / OFFSET_UNIT : TCP_HEADER_LEN / OFFSET_UNIT;
    write_u32(&w, segment->seq);
    write_u32(&w, segment->ack);
    write_u8(&w, (uint8_t)(words << 4));
    write_u8(&w, segment->flags);
    write_u16(&w, segment->window);
    write_u16(&w, 0); // the checksum
    write_u16(&w, 0); // the urgent pointer
    if (segment->mss) {
        write_u8(&w, OPTION_MSS);
        write_u8(&w, 4);
        write_u16(&w, segment->mss);
    }
    return writer_bytes(&w);
}

// RFC 9293 3.2: a length that cannot be ends the options.
static uint16_t read_mss(struct bytes options)
{
    struct reader r = reader_of(options);
    uint16_t mss = 0;
    while (r.len > 0 && !r.failed) {
        uint8_t kind = read_u8(&r);
        if (kind == OPTION_END)
            break;
        if (kind == OPTION_NONE)
            continue;
        uint8_t len = read_u8(&r);
        if (len < 2)
            break;
        struct reader value = reader_of(read_bytes(&r, len - 2u));
        if (kind == OPTION_MSS && len == 4 && !r.failed)
            mss = read_u16(&value);
    }
    return mss;
}

bool tcp_segment_decode(struct bytes bytes, struct tcp_segment *out)
{
    struct reader r = reader_of(bytes);
    *out = (struct tcp_segment){0};
    read_skip(&r, 4);
    out->seq = read_u32(&r);
    out->ack = read_u32(&r);
    size_t header = (size_t)(read_u8(&r) >> 4) * OFFSET_UNIT;
    out->flags = read_u8(&r) & (TCP_FIN | TCP_SYN | TCP_RST | TCP_PSH | TCP_ACK);
    out->window = read_u16(&r);
    read_skip(&r, 4);
    if (r.failed || header < TCP_HEADER_LEN || header > bytes.len)
        return false;
    out->mss = read_mss(bytes_of(bytes.at + TCP_HEADER_LEN, header - TCP_HEADER_LEN));
    out->payload[0] = bytes_from(bytes, header);
    return true;
}

bool tcp_segment_refuse(const struct tcp_segment *segment, struct tcp_segment *rst)
{
    *rst = (struct tcp_segment){.flags = TCP_RST};
    if (segment->flags & TCP_RST)
        return false;
    if (segment->flags & TCP_ACK) {
        rst->seq = segment->ack;
        return true;
    }
    rst->flags |= TCP_ACK;
    rst->ack = segment->seq + (uint32_t)segment->payload[0].len +
               ((segment->flags & TCP_SYN) != 0) + ((segment->flags & TCP_FIN) != 0);
    return true;
}
