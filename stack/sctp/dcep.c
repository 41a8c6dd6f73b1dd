#include "stack/sctp/dcep.h"

// RFC 8832 5.1: the reliability in the low bits, unordered in the highest.
#define TYPE_UNORDERED 0x80

struct bytes dcep_open_encode(const struct channel_config *config, uint8_t *to)
{
    struct writer w = writer_of(to, DCEP_OPEN_MAX);
    write_u8(&w, DCEP_OPEN);
    write_u8(&w, (uint8_t)(config->delivery.reliability |
                           (config->delivery.unordered ? TYPE_UNORDERED : 0)));
    write_u16(&w, config->priority);
    // RFC 8832 5.1: ignored for a reliable channel, so 0.
    write_u32(&w, config->delivery.reliability == SCTP_RELIABLE ? 0 : config->delivery.limit);
    write_u16(&w, (uint16_t)config->label.len);
    write_u16(&w, (uint16_t)config->protocol.len);
    write_bytes(&w, config->label);
    write_bytes(&w, config->protocol);
    return writer_bytes(&w);
}

enum channel_drop dcep_open_decode(struct bytes message, struct channel_config *out)
{
    struct reader r = reader_of(message);
    read_skip(&r, 1);
    uint8_t type = read_u8(&r);
    *out = (struct channel_config){.id = CHANNEL_ID_AUTO};
    out->priority = read_u16(&r);
    uint32_t limit = read_u32(&r);
    uint16_t label_len = read_u16(&r);
    uint16_t protocol_len = read_u16(&r);
    out->label = read_bytes(&r, label_len);
    out->protocol = read_bytes(&r, protocol_len);
    uint8_t reliability = type & (uint8_t)~TYPE_UNORDERED;
    if (r.failed || r.len || reliability > SCTP_MAX_LIFETIME)
        return CHANNEL_BAD_DCEP;
    if (label_len >= CHANNEL_LABEL_MAX || protocol_len >= CHANNEL_LABEL_MAX)
        return CHANNEL_LABEL_TOO_LONG;
    out->delivery = (struct sctp_delivery){
        .unordered = (type & TYPE_UNORDERED) != 0,
        .reliability = (enum sctp_reliability)reliability,
        .limit = reliability == SCTP_RELIABLE ? 0 : limit,
    };
    return CHANNEL_KEPT;
}
