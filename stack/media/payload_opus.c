// Opus packets (RFC 6716 3, RFC 7587): the payload is the packet; its first byte tells the rest.
#include "stack/media/payload_priv.h"

#define OPUS_SAMPLES_MAX 5760 // RFC 6716 3.2.5: 120 ms
#define OPUS_FRAME_MAX 1275   // RFC 6716 3.2.1

struct opus_packet {
    uint8_t toc;
    unsigned frames;
    uint32_t samples; // of all frames
    struct bytes first;
};

// RFC 6716 3.1, table 2.
static uint32_t frame_samples(uint8_t toc)
{
    static const uint16_t silk[4] = {480, 960, 1920, 2880}, celt[4] = {120, 240, 480, 960};
    unsigned config = toc >> 3;
    if (config < 12)
        return silk[config % 4];
    return config < 16 ? silk[config % 2] : celt[config % 4];
}

// RFC 6716 3.2.1: one byte up to 251, else two.
static size_t frame_length(struct reader *r)
{
    size_t len = read_u8(r);
    return len < 252 ? len : len + 4 * (size_t)read_u8(r);
}

// RFC 6716 3.2.5: a count, maybe padding, then equal frames or lengths for all but the last.
static bool frames_of_code_3(struct reader *r, struct opus_packet *packet)
{
    uint8_t byte = read_u8(r);
    packet->frames = byte & 63;
    size_t padding = 0;
    if (byte & 0x40) {
        uint8_t more;
        do {
            more = read_u8(r);
            padding += more == 255 ? 254 : more;
        } while (more == 255);
    }
    if (r->failed || !packet->frames || padding > r->len)
        return false;
    r->len -= padding;
    if (!(byte & 0x80)) { // R6: equal frames
        packet->first = bytes_of(r->at, r->len / packet->frames);
        return r->len % packet->frames == 0 && packet->first.len <= OPUS_FRAME_MAX;
    }
    size_t sum = 0, first = 0;
    for (unsigned i = 0; i + 1 < packet->frames; i++) {
        size_t len = frame_length(r);
        first = i ? first : len;
        sum += len;
    }
    if (r->failed || sum > r->len || r->len - sum > OPUS_FRAME_MAX)
        return false;
    packet->first = bytes_of(r->at, packet->frames > 1 ? first : r->len);
    return true;
}

static bool opus_parse(struct bytes payload, struct opus_packet *packet)
{
    struct reader r = reader_of(payload);
    *packet = (struct opus_packet){.toc = read_u8(&r), .frames = 1};
    if (r.failed) // R1
        return false;
    bool good = true;
    size_t len;
    switch (packet->toc & 3) {
    case 0:
        packet->first = bytes_of(r.at, r.len);
        good = r.len <= OPUS_FRAME_MAX; // R2
        break;
    case 1:
        packet->frames = 2;
        packet->first = bytes_of(r.at, r.len / 2);
        good = r.len % 2 == 0 && r.len / 2 <= OPUS_FRAME_MAX; // R3
        break;
    case 2:
        packet->frames = 2;
        len = frame_length(&r);
        packet->first = bytes_of(r.at, len);
        good = !r.failed && len <= r.len && r.len - len <= OPUS_FRAME_MAX; // R4
        break;
    default:
        good = frames_of_code_3(&r, packet);
        break;
    }
    packet->samples = packet->frames * frame_samples(packet->toc);
    return good && packet->samples <= OPUS_SAMPLES_MAX; // R5
}

uint32_t payload_opus_samples(struct bytes packet)
{
    struct opus_packet parsed;
    return opus_parse(packet, &parsed) ? parsed.samples : 0;
}

// RFC 6716 4.2.3: a SILK frame begins with a flag of voice for each 20 ms, then the flag of LBRR,
// for the middle channel, then the same for the side.
static bool has_fec(const struct opus_packet *packet)
{
    if (packet->toc >> 3 >= 16 || !packet->first.len) // CELT alone has none
        return false;
    uint32_t samples = frame_samples(packet->toc);
    unsigned voices = samples > 960 ? samples / 960 : 1;
    uint8_t flags = packet->first.at[0];
    if (flags >> (7 - voices) & 1)
        return true;
    return packet->toc & 4 && flags >> (6 - 2 * voices) & 1;
}

enum payload_outcome opus_read(struct bytes payload, struct payload_info *out)
{
    struct opus_packet packet;
    if (!opus_parse(payload, &packet))
        return PAYLOAD_BAD_FIELD;
    out->frame_start = out->frame_end = out->keyframe = true;
    out->samples = packet.samples;
    out->dtx = payload.len <= 2;
    out->fec = has_fec(&packet);
    out->media = payload;
    return PAYLOAD_OK;
}
