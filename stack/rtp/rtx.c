#include "stack/rtp/rtx.h"

size_t rtx_wrap(struct bytes original, uint8_t payload_type, uint32_t ssrc, uint16_t sequence,
                const struct rtp_extension_map *map, const struct rtp_extension_values *values,
                uint8_t *to, size_t max)
{
    struct rtp_packet packet;
    if (rtp_parse(original, &packet) != RTP_OK)
        return 0;
    uint16_t original_sequence = packet.sequence;
    packet.payload_type = payload_type;
    packet.ssrc = ssrc;
    packet.sequence = sequence;
    packet.padding = 0;
    size_t header = rtp_write_header(to, max, &packet, map, values);
    if (header == 0 || header + RTX_OVERHEAD + packet.payload.len > max)
        return 0;
    put_u16(to + header, original_sequence); // RFC 4588 4: OSN
    memcpy(to + header + RTX_OVERHEAD, packet.payload.at, packet.payload.len);
    return header + RTX_OVERHEAD + packet.payload.len;
}

size_t rtx_unwrap(const struct rtp_packet *rtx, uint8_t payload_type, uint32_t ssrc, uint8_t *to,
                  size_t max)
{
    if (rtx->payload.len < RTX_OVERHEAD)
        return 0;
    struct rtp_packet packet = *rtx;
    packet.payload_type = payload_type;
    packet.ssrc = ssrc;
    packet.sequence = (uint16_t)((unsigned)rtx->payload.at[0] << 8 | rtx->payload.at[1]);
    packet.payload = bytes_from(rtx->payload, RTX_OVERHEAD);
    packet.padding = 0;
    return rtp_write(to, max, &packet, NULL, NULL);
}
