// Forward error correction of video: repair packets after each frame, RED around what ULPFEC
// protects, and what comes back from both.
#include "stack/media/media_priv.h"

#include <assert.h>

#define SHARE_LEAST 50 // per thousand, of a share that follows the loss

static const struct media_format *repair_format(const struct media_track *t)
{
    enum codec_kind kind = t->config.fec == MEDIA_ULPFEC ? CODEC_ULPFEC : CODEC_FLEXFEC;
    const struct media_format *format =
        t->config.fec == MEDIA_NO_FEC ? NULL : media_format_kind(t, kind);
    // RFC 5109 14.2: ULPFEC travels inside of RED.
    return kind == CODEC_ULPFEC && !media_format_kind(t, CODEC_RED_VIDEO) ? NULL : format;
}

uint32_t media_fec_share(const struct media_track *t)
{
    if (t->config.kind != MEDIA_VIDEO || !t->agreed || !repair_format(t))
        return 0;
    uint32_t follows = t->loss_256 * 2000 / 256; // twice the loss
    if (t->config.fec_share)
        return t->config.fec_share < 1000 ? t->config.fec_share : 1000;
    return follows < SHARE_LEAST ? SHARE_LEAST : follows > 500 ? 500 : follows;
}

const struct media_format *media_fec_red(const struct media_track *t)
{
    return t->config.fec == MEDIA_ULPFEC && repair_format(t) ? media_format_kind(t, CODEC_RED_VIDEO)
                                                             : NULL;
}

// ----------------------------------------------------------------------------------------- sending

static void send_repair(struct media *m, nanotime now, struct media_track *t, unsigned layer,
                        const struct bytes *group, unsigned count, uint32_t timestamp)
{
    const struct media_format *format = repair_format(t), *red = media_fec_red(t);
    struct media_stream_out *out = &t->out[layer];
    struct rtp_extension_values values;
    uint32_t index;
    struct media_packet *packet = media_packet_new(m, &index);
    if (!packet)
        return;
    media_extension_values(t, layer, !red, &values);
    uint16_t *number = red ? &out->sequence : &out->fec_sequence;
    struct rtp_packet header = {.payload_type = red ? red->send_type : format->send_type,
                                .sequence = *number,
                                .timestamp = timestamp,
                                .ssrc = red ? out->ssrc : out->fec_ssrc};
    size_t len = rtp_write_header(packet->bytes, sizeof packet->bytes, &header,
                                  &t->agreement.extensions, &values);
    if (red) // RFC 2198 3: the one block of this packet
        packet->bytes[len++] = format->send_type;
    size_t payload = fec_encode(red ? FEC_ULP : FEC_FLEX, group, count, packet->bytes + len,
                                sizeof packet->bytes - len);
    packet->track = (uint8_t)(t - m->tracks);
    packet->layer = (uint8_t)layer;
    packet->fec = true;
    packet->len = (uint16_t)(len + payload);
    assert(payload > 0 && packet->len <= m->config.mtu); // payload_max leaves the room
    ++*number;
    (void)media_packet_send(m, now, index, PACER_VIDEO);
}

void media_fec_send(struct media *m, nanotime now, struct media_track *t, unsigned layer,
                    const uint32_t *indices, unsigned count, uint32_t timestamp)
{
    uint32_t share = media_fec_share(t);
    if (!share || count == 0)
        return;
    // Blocks that a mask can span; in each, every k-th packet goes to the same repair packet, so
    // that a burst is spread over several.
    for (unsigned at = 0; at < count; at += FEC_MASK_MAX) {
        struct bytes group[FEC_MASK_MAX];
        unsigned in_block = count - at < FEC_MASK_MAX ? count - at : FEC_MASK_MAX;
        unsigned repairs = (in_block * share + 999) / 1000;
        for (unsigned k = 0; k < repairs; k++) {
            unsigned size = 0;
            for (unsigned i = k; i < in_block; i += repairs) {
                const struct media_packet *packet = media_packet_at(m, indices[at + i]);
                group[size++] = bytes_of(packet->bytes, packet->len);
            }
            send_repair(m, now, t, layer, group, size, timestamp);
        }
    }
}

void media_fec_wrap(struct media_track *t, struct media_packet *packet)
{
    const struct media_format *red = media_fec_red(t);
    struct rtp_packet parsed;
    if (!red || packet->fec || packet->rtx || packet->audio ||
        rtp_parse(bytes_of(packet->bytes, packet->len), &parsed) != RTP_OK ||
        packet->len == sizeof packet->bytes)
        return;
    size_t header = packet->len - parsed.payload.len;
    memmove(packet->bytes + header + 1, packet->bytes + header, parsed.payload.len);
    packet->bytes[header] = parsed.payload_type;
    packet->bytes[1] = (uint8_t)((packet->bytes[1] & 0x80) | red->send_type);
    packet->len++;
}

// --------------------------------------------------------------------------------------- receiving

void media_fec_begin(const struct media_track *t, struct media_stream_in *s)
{
    if (repair_format(t))
        s->fec = fec_decoder_new(t->config.fec == MEDIA_ULPFEC ? FEC_ULP : FEC_FLEX, s->ssrc);
}

// As its sender made it: without RED, and with the pacer's values back at zero.
void media_fec_note(struct media *m, struct media_stream_in *s, const struct rtp_packet *packet)
{
    const struct rtp_extension_map *map = &m->tracks[s->track].agreement.extensions;
    size_t len = s->fec ? rtp_write(m->wrapped, sizeof m->wrapped, packet, NULL, NULL) : 0;
    if (!len)
        return;
    (void)rtp_patch_abs_send_time(m->wrapped, len, map, 0);
    (void)rtp_patch_transport_sequence(m->wrapped, len, map, 0);
    fec_decoder_media(s->fec, packet->sequence, bytes_of(m->wrapped, len));
}

static void repair(struct media *m, nanotime now, struct media_stream_in *s, struct bytes payload)
{
    s->fec_packets++;
    s->fec_bytes += payload.len;
    enum fec_outcome outcome = fec_decoder_repair(s->fec, payload);
    if (outcome != FEC_KEPT_IT) {
        s->bad_payload++;
        trace(&m->trace, now, "a repair packet is refused: %s", fec_outcome_name(outcome));
    }
}

void media_fec_drain(struct media *m, nanotime now, struct media_stream_in *s)
{
    struct bytes bytes;
    struct rtp_packet packet;
    while (s->fec && fec_decoder_poll(s->fec, &bytes)) {
        if (rtp_parse(bytes, &packet) != RTP_OK)
            continue;
        (void)media_take(m, now, s, &packet, true);
        media_fec_note(m, s, &packet); // byte by byte what was sent
    }
    if (s->fec)
        s->fec_discarded = fec_decoder_unused(s->fec);
}

enum media_drop media_fec_take_red(struct media *m, nanotime now, struct media_stream_in *s,
                                   const struct rtp_packet *packet, bool recovered)
{
    const struct media_track *t = &m->tracks[s->track];
    const struct media_format *ulpfec = media_format_kind(t, CODEC_ULPFEC);
    if (packet->payload.len < 2 || packet->payload.at[0] & 0x80) { // RFC 2198 3: more blocks
        s->bad_payload++;
        return MEDIA_BAD_PAYLOAD;
    }
    struct rtp_packet inner = *packet;
    inner.payload_type = packet->payload.at[0];
    inner.payload = bytes_from(packet->payload, 1);
    if (!ulpfec || !t->format || inner.payload_type != ulpfec->receive_type)
        return media_take(m, now, s, &inner, recovered);
    // Of no frame, but it has a number among them.
    struct bytes payload = inner.payload;
    inner.payload = bytes_of(NULL, 0);
    inner.marker = false;
    inner.payload_type = t->format->receive_type;
    (void)media_take(m, now, s, &inner, recovered);
    if (s->fec)
        repair(m, now, s, payload);
    return MEDIA_KEPT;
}

enum media_drop media_fec_take_flex(struct media *m, nanotime now, struct media_stream_in *s,
                                    const struct rtp_packet *packet)
{
    // FlexFEC-03 4.2.2.1: it names the stream that it protects.
    if (packet->payload.len < 16)
        return MEDIA_BAD_PAYLOAD;
    const uint8_t *at = packet->payload.at + 12;
    uint32_t ssrc = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    for (unsigned i = 0; i < m->streams_count; i++) {
        struct media_stream_in *protects = &m->streams[i];
        if (!protects->used || protects->ssrc != ssrc || protects->track != s->track ||
            !protects->fec)
            continue;
        s->repairs = (int)i;
        repair(m, now, protects, packet->payload);
        media_fec_drain(m, now, protects);
        return MEDIA_KEPT;
    }
    return MEDIA_UNKNOWN_STREAM;
}
