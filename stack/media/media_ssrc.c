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

static uint32_t draw_again(struct media *m, unsigned track, uint32_t old, bool spoke)
{
    if (!old)
        return 0;
    rtp_demux_forget(m->demux, old);
    // RFC 3550 6.3.7: who never sent anything says no goodbye.
    if (spoke && m->byes_count < MEDIA_BYES_MAX)
        m->byes[m->byes_count++] = old;
    return media_ssrc_draw(m, track);
}

// All three of a layer, or a receiver would take the repair of the new for that of the old.
static void layer_redraw(struct media *m, unsigned track, unsigned layer)
{
    struct media_track *t = &m->tracks[track];
    struct media_stream_out *out = &t->out[layer];
    out->ssrc = draw_again(m, track, out->ssrc, out->spoke);
    out->spoke = false;
    out->rtp_at = TIME_NEVER;
    out->rtx_ssrc = draw_again(m, track, out->rtx_ssrc, out->rtx_spoke);
    out->rtx_spoke = false;
    out->fec_ssrc = draw_again(m, track, out->fec_ssrc, out->flex_packets > 0);
    // RFC 9143 15.1: the mid goes with the new ones.
    out->acknowledged = out->rtx_acknowledged = false;
    out->remote = (struct media_remote_inbound){0};
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
        layer_redraw(m, track, i);
        trace(&m->trace, now, "somebody else sends under %08x: '%s' goes on under %08x", ssrc,
              m->tracks[track].label, out->ssrc);
        return;
    }
}
