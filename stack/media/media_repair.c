// What is sent against loss: packets once more, and padding for probes.
#include "stack/media/media_priv.h"

#define REPAIR_AHEAD (500 * TIME_MS)

const struct media_format *media_repair_rtx(const struct media_track *t)
{
    if (!t->config.rtx || !t->format)
        return NULL;
    for (unsigned i = 0; i < t->agreement.formats_count; i++) {
        const struct media_format *format = &t->agreement.formats[i];
        if (format->kind == CODEC_RTX && format->apt == t->format->receive_type)
            return format;
    }
    return NULL;
}

// RFC 5109 14.2, RFC 2198: what ULPFEC sends has numbers among the media's, and leaves a hole when
// it is lost. Who asks for it is told that it had nothing of a frame.
static void remember_repair(nanotime now, struct media_track *t, const struct media_packet *packet)
{
    struct rtp_packet parsed;
    if (rtp_parse(bytes_of(packet->bytes, packet->len), &parsed) != RTP_OK)
        return; // our own
    // RFC 4588 4: of the header RTX has the marker, which FEC has not; its type is that of RTX.
    size_t len = packet->len - parsed.payload.len;
    rtp_history_put_aside(t->out[packet->layer].history, now, parsed.sequence,
                          bytes_of(packet->bytes, len));
}

void media_repair_remember(nanotime now, struct media_track *t, const struct media_packet *packet)
{
    struct rtp_history *history = t->out[packet->layer].history;
    if (!history || packet->rtx || packet->padding || (packet->fec && !media_fec_red(t)))
        return;
    uint16_t sequence = (uint16_t)((unsigned)packet->bytes[2] << 8 | packet->bytes[3]);
    if (packet->fec && media_repair_rtx(t))
        remember_repair(now, t, packet);
    else
        rtp_history_put(history, now, sequence, bytes_of(packet->bytes, packet->len));
}

// A packet of the pool with `original` as RTX, or (without RTX) as it was.
static struct media_packet *again(struct media *m, struct media_track *t, unsigned layer,
                                  struct bytes original, uint32_t *index)
{
    struct media_stream_out *out = &t->out[layer];
    const struct media_format *rtx = media_repair_rtx(t);
    struct media_packet *packet = media_packet_new(m, index);
    if (!packet)
        return NULL;
    packet->track = (uint8_t)(t - m->tracks);
    packet->layer = (uint8_t)layer;
    packet->rtx = true;
    size_t len = original.len;
    if (rtx) {
        struct rtp_extension_values values;
        media_extension_values(t, layer, true, &values);
        len = rtx_wrap(original, rtx->send_type, out->rtx_ssrc, out->rtx_sequence++,
                       &t->agreement.extensions, &values, packet->bytes, sizeof packet->bytes);
    } else {
        memcpy(packet->bytes, original.at, original.len);
        packet->as_it_was = true;
    }
    packet->len = (uint16_t)len;
    if (len)
        return packet;
    media_packet_free(m, *index);
    return NULL;
}

// After an outage more is asked for than the path could take beside what is new: no more than the
// half of a second is sent of it at a time, and the rest when it is asked for again.
static bool repair_may(struct media *m, nanotime now, size_t len)
{
    if (m->repair_busy > now + REPAIR_AHEAD || !m->pace_bps)
        return false;
    m->repair_busy =
        time_max(m->repair_busy, now) +
        (nanotime)(((uint64_t)len + MEDIA_PACKET_OVERHEAD) * 8 * (uint64_t)TIME_S / m->pace_bps);
    return true;
}

void media_repair_nack(struct media *m, nanotime now, struct media_track *t, unsigned layer,
                       uint16_t sequence)
{
    struct media_stream_out *out = &t->out[layer];
    struct bytes original;
    uint32_t index;
    if (!out->history ||
        rtp_history_get(out->history, now, sequence, &original) != RTP_HISTORY_FOUND)
        return;
    struct media_packet *packet =
        repair_may(m, now, original.len) ? again(m, t, layer, original, &index) : NULL;
    if (packet)
        packet->original = sequence;
    if (!packet || !media_packet_send(m, now, index, PACER_RETRANSMISSION))
        rtp_history_resent(out->history, now, sequence);
}

// RFC 4588 has no padding of its own: what was sent last is sent again, as others do.
uint32_t media_repair_pad(struct media *m, nanotime now, uint32_t bytes)
{
    (void)bytes;
    for (unsigned i = 0; i < m->tracks_count; i++) {
        struct media_track *t = &m->tracks[i];
        // Who does not send has no history.
        if (t->config.kind != MEDIA_VIDEO || !media_repair_rtx(t) || !t->out[0].history)
            continue;
        struct bytes newest = rtp_history_newest(t->out[0].history);
        uint32_t index;
        struct media_packet *packet = newest.len ? again(m, t, 0, newest, &index) : NULL;
        if (!packet)
            continue;
        packet->padding = true;
        packet->made_at = now;
        return index;
    }
    return UINT32_MAX;
}

// RFC 2198: the frame before goes along with each, so that one lost packet loses nothing.
size_t media_repair_red(struct media_track *t, uint32_t timestamp, struct bytes frame, uint8_t *to,
                        size_t max)
{
    struct media_stream_out *out = &t->out[0];
    struct red_block blocks[] = {
        {t->format->send_type, out->red_timestamp, bytes_of(out->red, out->red_len)},
        {t->format->send_type, timestamp, frame}};
    size_t len = 0;
    if (out->red_len)
        len = red_write(to, max, blocks, 2);
    if (!len)
        len = red_write(to, max, blocks + 1, 1);
    out->red_len = 0;
    if (frame.len <= RED_LENGTH_MAX) {
        memcpy(out->red, frame.at, frame.len);
        out->red_len = (uint16_t)frame.len;
        out->red_timestamp = timestamp;
    }
    return len;
}
