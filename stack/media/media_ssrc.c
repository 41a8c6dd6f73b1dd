// The SSRCs that this side sends under: drawn, and drawn again when somebody else has one of them.
#include "stack/media/media_priv.h"

#include <stdlib.h>

// RFC 3550 8.1: random, and no two of ours are the same.
uint32_t media_ssrc_draw(struct media *m, unsigned track)
{
    uint32_t ssrc;
    struct rtp_demux_stream taken;
    do {
        ssrc = rng_u32(&m->rng);
    } while (ssrc == 0 || rtp_demux_send_section(m->demux, ssrc) != RTP_DEMUX_NONE ||
             rtp_demux_stream_by_ssrc(m->demux, ssrc, &taken));
    bool added = rtp_demux_send(m->demux, ssrc, track);
    (void)added; // there is room for all of MEDIA_TRACKS_MAX
    return ssrc;
}

static uint32_t draw_again(struct media *m, unsigned track, uint32_t old)
{
    if (!old)
        return 0;
    rtp_demux_forget(m->demux, old);
    return media_ssrc_draw(m, track);
}

// All three of a layer, or a receiver would take the repair of the new for that of the old.
static void layer_redraw(struct media *m, nanotime now, unsigned track, unsigned layer,
                         bool collided)
{
    struct media_track *t = &m->tracks[track];
    struct media_stream_out *out = &t->out[layer];
    media_rtcp_leave(m, now, t, layer, collided);
    out->ssrc = draw_again(m, track, out->ssrc);
    out->rtx_ssrc = draw_again(m, track, out->rtx_ssrc);
    out->fec_ssrc = draw_again(m, track, out->fec_ssrc);
    memset(out->spoke, 0, sizeof out->spoke);
    out->rtp_at = TIME_NEVER;
    // RFC 9143 15.1: the mid goes with the new ones.
    out->acknowledged = out->rtx_acknowledged = false;
    out->first_sequence = out->sequence;
    // RFC 3550 6.4.1: a sender's counts begin anew with its SSRC.
    out->told_packets = out->own_packets;
    out->told_bytes = out->own_bytes;
    if (out->history) {
        rtp_history_free(out->history);
        out->history = rtp_history_new();
    }
    for (unsigned i = 0; i < 3; i++) {
        free(out->sent[i]);
        out->sent[i] = NULL;
    }
    out->red_len = 0;
    out->keyframe_asked |= t->source && t->config.kind == MEDIA_VIDEO; // decoders begin anew
}

void media_ssrc_collision(struct media *m, nanotime now, uint32_t ssrc)
{
    uint16_t track = rtp_demux_send_section(m->demux, ssrc);
    if (track >= m->tracks_count)
        return;
    for (unsigned i = 0; i < m->tracks[track].layers; i++) {
        const struct media_stream_out *out = &m->tracks[track].out[i];
        if (ssrc != out->ssrc && ssrc != out->rtx_ssrc && ssrc != out->fec_ssrc)
            continue;
        m->stats.collisions++;
        layer_redraw(m, now, track, i, true);
        m->tracks[track].out[i].remote = (struct media_remote_inbound){0};
        trace(&m->trace, now, "somebody else sends under %08x: '%s' goes on under %08x", ssrc,
              m->tracks[track].label, out->ssrc);
        return;
    }
}

void media_ssrc_leave(struct media *m, nanotime now, unsigned track)
{
    struct media_track *t = &m->tracks[track];
    for (unsigned i = 0; i < t->layers; i++) {
        const bool *spoke = t->out[i].spoke;
        if (spoke[MEDIA_IN_MEDIA] || spoke[MEDIA_IN_RTX] || spoke[MEDIA_IN_FEC])
            layer_redraw(m, now, track, i, false);
    }
    t->left = true;
    media_send_stop(t);
}
