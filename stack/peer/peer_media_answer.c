// Sections of an answer, and what two descriptions agree on for each track.
#include "stack/peer/peer_media_priv.h"

#include <stdio.h>

static struct sdp_rtp theirs_rtp, ours_rtp;

// --------------------------------------------------------------------------------- what both agree

static void agree_format(struct media_agreement *to, const struct codec *codec,
                         const struct sdp_format *send, uint8_t receive_type, unsigned feedback)
{
    if (to->formats_count == MEDIA_FORMATS_MAX)
        return;
    struct h264_format h264;
    to->formats[to->formats_count++] = (struct media_format){
        .kind = codec->kind,
        .clock_rate = codec->clock_rate,
        .send_type = send->type,
        .receive_type = receive_type,
        .apt = (uint8_t)codec_parameter_number(send->fmtp, "apt", 0),
        .single_nal = codec->kind == CODEC_H264 && h264_format_read(send->fmtp, &h264) &&
                      h264.packetization_mode == 0,
        .nack = feedback & SDP_NACK,
        .pli = feedback & SDP_PLI,
        .fir = feedback & SDP_FIR,
        .remb = feedback & SDP_REMB,
        .transport_cc = feedback & SDP_TRANSPORT_CC,
        .ccfb = feedback & SDP_CCFB};
}

// RFC 8285 7: a direction of its own would ask for one map to send by and another to receive by.
// Used is what goes wherever packets of the section go.
static bool extension_is_used(const struct sdp_rtp *theirs, const struct sdp_extension *extension)
{
    return extension->direction == SDP_SENDRECV ||
           (extension->direction == theirs->direction && theirs->direction != SDP_INACTIVE);
}

static void agree_extensions(const struct peer *p, bool video, const struct sdp_rtp *theirs,
                             struct media_agreement *to)
{
    for (unsigned i = 0; i < theirs->extensions_count; i++) {
        enum rtp_extension extension;
        if (rtp_extension_by_uri(theirs->extensions[i].uri, &extension) &&
            peer_extension_fits(p, video, extension) && !to->extensions.id[extension] &&
            extension_is_used(theirs, &theirs->extensions[i]))
            to->extensions.id[extension] = theirs->extensions[i].id;
    }
    to->extensions.two_byte = theirs->mixed_extensions;
}

// RFC 5576 4.2: FID joins a stream and its retransmissions, FEC-FR (RFC 5956) a stream and its FEC.
static void agree_ssrcs(const struct sdp_rtp *theirs, struct media_agreement *to)
{
    for (unsigned i = 0; i < theirs->ssrcs_count; i++) {
        struct media_remote_ssrc remote = {.media = theirs->ssrcs[i]};
        bool repairs = false;
        for (unsigned k = 0; k < theirs->groups_count; k++) {
            const struct sdp_ssrc_group *group = &theirs->groups[k];
            bool fid = bytes_is(group->semantics, "FID"),
                 fec = bytes_is(group->semantics, "FEC-FR");
            if ((!fid && !fec) || group->count < 2)
                continue;
            repairs |= group->ssrcs[1] == remote.media;
            if (group->ssrcs[0] == remote.media)
                *(fid ? &remote.rtx : &remote.fec) = group->ssrcs[1];
        }
        if (!repairs && to->remotes_count < MEDIA_LAYERS_MAX)
            to->remotes[to->remotes_count++] = remote;
    }
}

// Is this layer of ours received? RFC 8851 6.4: with restrictions that were not offered, and we
// offer none, the line is as if it were not there; of an offer, 6.3, so is one that we do not
// understand.
static bool rid_takes(const struct sdp_rid *rid, const char *layer)
{
    return !rid->send && rid->simulcast && rid->restrictions.len == 0 && bytes_is(rid->id, layer);
}

static void agree_layers(const struct media_track_config *config, const struct sdp_rtp *theirs,
                         struct media_agreement *to)
{
    to->simulcast = config->layers_count > 0 && theirs->simulcast_receive;
    for (unsigned i = 0; i < config->layers_count; i++) {
        to->layer_taken[i] = i == 0 && !theirs->simulcast_receive;
        for (unsigned k = 0; k < theirs->rids_count; k++)
            to->layer_taken[i] |= rid_takes(&theirs->rids[k], config->layers[i].rid);
    }
}

static void agree_rest(const struct peer *p, unsigned track, const struct sdp_rtp *theirs,
                       enum sdp_direction direction, struct media_agreement *to)
{
    const struct media_track_config *config = media_track_config(p->media, track);
    to->mid = bytes_text(p->tracks[track].mid);
    to->send = direction & SDP_SENDS;
    to->receive = direction & SDP_RECEIVES;
    to->reduced_size = theirs->reduced_size;
    agree_extensions(p, config->kind == MEDIA_VIDEO, theirs, to);
    agree_ssrcs(theirs, to);
    agree_layers(config, theirs, to);
}

static void agree(struct peer *p, nanotime now, unsigned track,
                  const struct media_agreement *agreement)
{
    if (!media_agree(p->media, now, track, agreement))
        trace(&p->trace, now, "the mid of '%s' cannot be used",
              media_track_config(p->media, track)->label);
}

void peer_media_expect(struct peer *p, nanotime now, unsigned track,
                       const struct sdp_rtp_local *local)
{
    const struct media_track_config *config = media_track_config(p->media, track);
    struct media_agreement agreement = {.mid = local->mid,
                                        .receive = local->direction & SDP_RECEIVES,
                                        .reduced_size = local->reduced_size};
    for (unsigned i = 0; i < local->formats_count; i++) {
        const struct sdp_format *format = &local->formats[i];
        const struct codec *codec = peer_format_codec(format, config->kind == MEDIA_VIDEO);
        if (codec)
            agree_format(&agreement, codec, format, format->type, format->feedback);
    }
    for (unsigned i = 0; i < local->extensions_count; i++) {
        enum rtp_extension extension;
        if (rtp_extension_by_uri(local->extensions[i].uri, &extension))
            agreement.extensions.id[extension] = local->extensions[i].id;
    }
    agree(p, now, track, &agreement);
}

void peer_media_expect_nothing(struct peer *p, nanotime now, unsigned track)
{
    agree(p, now, track, &(struct media_agreement){.rejected = true});
}

// -------------------------------------------------------------------------------------- the answer

static bool is_answered(const struct sdp_rtp_local *local, unsigned type)
{
    for (unsigned i = 0; i < local->formats_count; i++) {
        if (local->formats[i].type == type)
            return true;
    }
    return false;
}

// An offered format goes into our answer under the number that it was offered with (RFC 3264 6.1).
static void answer_format(const struct peer *p, struct peer_section *section,
                          const struct media_track_config *config, const struct codec *codec,
                          const struct sdp_format *offered, struct media_agreement *to)
{
    unsigned feedback = offered->feedback & peer_track_feedback(p, config, codec);
    struct sdp_format *format = peer_section_format(section, codec, offered->type, feedback);
    if (!format)
        return;
    format->fmtp = offered->fmtp;
    agree_format(to, codec, offered, offered->type, feedback);
}

static void answer_formats(const struct peer *p, struct peer_section *section,
                           const struct media_track_config *config, struct media_agreement *to)
{
    const struct sdp_rtp_local *local = &section->local;
    bool video = config->kind == MEDIA_VIDEO;
    for (unsigned i = 0; i < config->codecs_count; i++) { // RFC 3264 6.1: by our preference
        const struct codec *mine = codec_by_name(video, bytes_text(config->codecs[i]));
        for (unsigned k = 0; k < theirs_rtp.formats_count; k++) {
            const struct sdp_format *offered = &theirs_rtp.formats[k];
            if (peer_format_codec(offered, video) == mine && mine &&
                peer_format_fits(mine, offered))
                answer_format(p, section, config, mine, offered, to);
        }
    }
    if (local->formats_count == 0)
        return;
    for (unsigned k = 0; k < theirs_rtp.formats_count; k++) {
        const struct sdp_format *offered = &theirs_rtp.formats[k];
        const struct codec *codec = peer_format_codec(offered, video);
        if (!codec || codec->role == CODEC_MEDIA || !peer_track_wants(config, codec))
            continue;
        if (codec->kind == CODEC_RTX &&
            !is_answered(local, codec_parameter_number(offered->fmtp, "apt", 128)))
            continue;
        if (codec->kind == CODEC_EVENT && codec->clock_rate != to->formats[0].clock_rate)
            continue;
        answer_format(p, section, config, codec, offered, to);
    }
}

// RFC 8851 6.3: restrictions stay, but for the payload types that are not answered. False: there is
// no type left, or no room.
static bool answer_restrictions(const struct sdp_rtp_local *local, const struct sdp_rid *rid,
                                struct bytes *out, char *to, size_t size)
{
    struct bytes list = rid->restrictions, name, value;
    size_t len = 0;
    bool fits = true;
    while (sdp_rid_restriction(&list, &name, &value) && fits) {
        bool types = bytes_is(name, "pt");
        uint8_t type;
        unsigned kept = 0;
        int wrote = snprintf(to + len, size - len, "%s%.*s=%.*s", len ? ";" : "", (int)name.len,
                             (const char *)name.at, types ? 0 : (int)value.len,
                             types ? "" : (const char *)value.at);
        len += (size_t)wrote;
        fits = len < size;
        while (types && fits && sdp_rid_format(&value, &type)) {
            if (!is_answered(local, type))
                continue;
            len += (size_t)snprintf(to + len, size - len, "%s%u", kept++ ? "," : "", type);
            fits = len < size;
        }
        fits = fits && (!types || kept > 0);
    }
    *out = bytes_of(to, fits ? len : 0);
    return fits;
}

// RFC 8853 5.3.2: layers that they want and we have, or else those that they send.
static void answer_layers(struct peer_section *section, const struct media_track_config *config)
{
    struct sdp_rtp_local *local = &section->local;
    for (unsigned i = 0; i < config->layers_count && local->direction & SDP_SENDS; i++) {
        for (unsigned k = 0; k < theirs_rtp.rids_count; k++) {
            if (rid_takes(&theirs_rtp.rids[k], config->layers[i].rid))
                local->rids[local->rids_count++] = theirs_rtp.rids[k].id;
        }
    }
    local->rids_send = local->rids_count > 0;
    for (unsigned i = 0; i < theirs_rtp.rids_count && !local->rids_send; i++) {
        const struct sdp_rid *rid = &theirs_rtp.rids[i];
        unsigned at = local->rids_count;
        if (at < SDP_LAYERS_MAX && rid->send && rid->simulcast &&
            answer_restrictions(local, rid, &local->rid_restrictions[at], section->restrictions[at],
                                sizeof section->restrictions[at]))
            local->rids[local->rids_count++] = rid->id;
    }
}

// The track for an offered section: the one that has it, or the next of its kind that has none.
// -1: none.
static int track_there(const struct peer *p, unsigned section, const struct sdp_media *media)
{
    bool video = bytes_is(media->kind, "video");
    int found = peer_track_of(p, media, section);
    unsigned count = peer_tracks(p);
    for (unsigned i = 0; i < count && found < 0; i++) {
        bool same = (media_track_config(p->media, i)->kind == MEDIA_VIDEO) == video;
        if (same && peer_track_is_free(&p->tracks[i]))
            found = (int)i;
    }
    return found;
}

// That, or a new one that only receives. -1: none.
static int track_for(struct peer *p, unsigned section, const struct sdp_media *media)
{
    bool video = bytes_is(media->kind, "video");
    int found = track_there(p, section, media);
    if (found >= 0)
        return found;
    if (!p->config.take_media)
        return -1;
    char label[MEDIA_LABEL_MAX];
    snprintf(label, sizeof label, "%s-%u", video ? "video" : "audio", section);
    struct media_track_config config = {.label = label,
                                        .kind = video ? MEDIA_VIDEO : MEDIA_AUDIO,
                                        .receive = true,
                                        .codecs = {"opus", "PCMU", "PCMA", "G722"},
                                        .codecs_count = 4,
                                        .nack = video,
                                        .rtx = video,
                                        .pli = video};
    static const char *const video_codecs[] = {"VP8", "VP9", "H264", "AV1"};
    for (unsigned i = 0; i < 4 && video; i++)
        config.codecs[i] = video_codecs[i];
    return peer_media_track_add(p, &config);
}

// RFC 9429 5.2.2: who had this place and has it no more, since another mid is there now.
static void track_displace(struct peer *p, nanotime now, unsigned section, int heir)
{
    for (unsigned i = 0; i < peer_tracks(p); i++) {
        if ((int)i == heir || p->tracks[i].section != (int)section || p->tracks[i].ended)
            continue;
        p->tracks[i].ended = true;
        p->tracks[i].rests = false;
        peer_media_expect_nothing(p, now, i);
    }
}

static void answer_extensions(struct peer_section *section, const struct media_agreement *agreed)
{
    for (unsigned i = 0; i < theirs_rtp.extensions_count; i++) {
        const struct sdp_extension *offered = &theirs_rtp.extensions[i];
        enum rtp_extension extension;
        if (rtp_extension_by_uri(offered->uri, &extension) &&
            agreed->extensions.id[extension] == offered->id)
            peer_section_extension(section, offered->id, sdp_direction_reversed(offered->direction),
                                   extension);
    }
}

// What is left of our wishes by the section in `theirs_rtp`.
static enum sdp_direction direction_of(const struct peer_track *mine)
{
    // RFC 9143 7.3.3: what may be tagged is not rejected: it rests until an offer of ours disables
    // it.
    enum sdp_direction wanted = mine->stopped ? SDP_INACTIVE : mine->direction;
    return wanted & sdp_direction_reversed(theirs_rtp.direction);
}

// What the track makes of the section in `theirs_rtp`. NULL: no codec is common.
static const struct sdp_rtp_local *answer_track(struct peer *p, nanotime now, unsigned track)
{
    const struct media_track_config *config = media_track_config(p->media, track);
    enum sdp_direction direction = direction_of(&p->tracks[track]);
    struct media_agreement agreement = {0};
    struct peer_section *section = peer_section_begin(p, track, direction);
    struct sdp_rtp_local *local = &section->local;
    answer_formats(p, section, config, &agreement);
    agreement.rejected = local->formats_count == 0;
    agree_rest(p, track, &theirs_rtp, direction, &agreement);
    local->reduced_size = theirs_rtp.reduced_size;
    local->mixed_extensions = theirs_rtp.mixed_extensions; // RFC 8285 6
    answer_extensions(section, &agreement);
    answer_layers(section, config);
    agree(p, now, track, &agreement);
    return agreement.rejected ? NULL : local;
}

// Nothing of it is received or sent from now on.
static void track_reject(struct peer *p, nanotime now, const struct sdp_media *media,
                         unsigned section)
{
    int track = peer_track_of(p, media, section);
    if (track < 0)
        return;
    p->tracks[track].ended = true;
    p->tracks[track].rests = false;
    agree(p, now, (unsigned)track,
          &(struct media_agreement){.mid = bytes_text(p->tracks[track].mid), .rejected = true});
}

static bool has_common_codec(const struct media_track_config *config)
{
    bool video = config->kind == MEDIA_VIDEO, common = false;
    for (unsigned i = 0; i < config->codecs_count; i++) {
        const struct codec *mine = codec_by_name(video, bytes_text(config->codecs[i]));
        for (unsigned k = 0; k < theirs_rtp.formats_count; k++) {
            const struct sdp_format *offered = &theirs_rtp.formats[k];
            common |= mine && peer_format_codec(offered, video) == mine &&
                      peer_format_fits(mine, offered);
        }
    }
    return common;
}

static bool is_acceptable(const struct peer *p, const struct sdp *offer, unsigned section)
{
    const struct sdp_media *media = &offer->media[section];
    if (p->config.ice_only || (!p->media && !p->config.take_media) ||
        media->mid.len > MEDIA_MID_MAX)
        return false;
    sdp_rtp_parse(offer, media, &theirs_rtp);
    int track = track_there(p, section, media);
    if (!theirs_rtp.rtcp_mux || track < 0)
        return theirs_rtp.rtcp_mux && p->config.take_media;
    return has_common_codec(media_track_config(p->media, (unsigned)track));
}

void peer_media_rejects(struct peer *p, const struct sdp *offer, bool rejected[SDP_MEDIA_MAX])
{
    for (unsigned i = 0; i < offer->media_count; i++)
        rejected[i] = sdp_is_rtp(&offer->media[i]) && !is_acceptable(p, offer, i);
}

// RFC 9429 5.3.1, must-bundle: what would want a transport of its own.
static void find_apart(struct peer *p, const struct sdp *offer, bool apart[SDP_MEDIA_MAX])
{
    bool rejected[SDP_MEDIA_MAX] = {0};
    peer_media_rejects(p, offer, rejected);
    const struct sdp_media *transport = sdp_transport_media_but(offer, rejected);
    for (unsigned i = 0; i < offer->media_count; i++)
        apart[i] = transport && !sdp_is_bundled(offer, &offer->media[i], transport);
}

static const struct sdp_rtp_local *
answer_section(struct peer *p, nanotime now, const struct sdp *offer, unsigned section, bool apart)
{
    const struct sdp_media *media = &offer->media[section];
    bool in_use = (media->port != 0 || media->bundle_only) && !apart;
    int track = -1;
    if (sdp_is_rtp(media) && in_use && media->mid.len <= MEDIA_MID_MAX) {
        sdp_rtp_parse(offer, media, &theirs_rtp);
        // RFC 8834 4.5: without rtcp-mux it is no section for us.
        track = theirs_rtp.rtcp_mux ? track_for(p, section, media) : -1;
    }
    track_displace(p, now, section, track >= 0 ? track : peer_track_of(p, media, section));
    if (track < 0) {
        track_reject(p, now, media, section);
        return NULL;
    }
    struct peer_track *mine = &p->tracks[track];
    mine->section = (int)section;
    mine->agreed = true;
    (void)bytes_copy_text(media->mid, mine->mid, sizeof mine->mid);
    const struct sdp_rtp_local *local = answer_track(p, now, (unsigned)track);
    mine->ended = !local || mine->stopped;
    mine->rests = local && mine->stopped;
    return local;
}

void peer_media_answer(struct peer *p, nanotime now, const struct sdp *offer, struct sdp_local *to)
{
    const struct sdp_rtp_local **list = peer_section_list();
    bool apart[SDP_MEDIA_MAX];
    to->media = list;
    to->media_count = 0;
    if (p->config.ice_only || (!p->media && !p->config.take_media))
        return;
    find_apart(p, offer, apart);
    for (unsigned i = 0; i < offer->media_count; i++)
        list[i] = answer_section(p, now, offer, i, apart[i]);
    to->media_count = offer->media_count;
    peer_media_start(p, now);
}

// Our own number of the codec that the answer sends under `type`.
static uint8_t receive_type(const struct sdp_format *answered, const struct codec *codec,
                            bool video)
{
    uint8_t found = answered->type;
    for (unsigned i = 0; i < ours_rtp.formats_count; i++) {
        const struct sdp_format *mine = &ours_rtp.formats[i];
        bool same = peer_format_codec(mine, video) == codec;
        if (same && mine->type == answered->type)
            return mine->type;
        if (same && codec_parameters_fit(codec->kind, mine->fmtp, answered->fmtp))
            found = mine->type;
    }
    return found;
}

// RFC 4588 8.6: RTX is told apart by what it repairs, which each side numbers for itself.
static void answered_rtx(struct media_agreement *to, const struct sdp_format *answered,
                         const struct codec *rtx)
{
    unsigned type = codec_parameter_number(answered->fmtp, "apt", 128);
    for (unsigned i = 0; i < theirs_rtp.formats_count; i++) {
        const struct sdp_format *repaired = &theirs_rtp.formats[i];
        const struct codec *codec = peer_format_codec(repaired, true);
        if (!codec || repaired->type != type)
            continue;
        type = receive_type(repaired, codec, true);
        for (unsigned k = 0; k < ours_rtp.formats_count; k++) {
            const struct sdp_format *mine = &ours_rtp.formats[k];
            if (peer_format_codec(mine, true) == rtx &&
                codec_parameter_number(mine->fmtp, "apt", 128) == type)
                agree_format(to, rtx, answered, mine->type, 0);
        }
        for (unsigned k = 0; k < to->formats_count; k++) {
            if (to->formats[k].kind == CODEC_RTX && to->formats[k].send_type == answered->type)
                to->formats[k].apt = (uint8_t)type;
        }
        return;
    }
}

// The answer to the section of a track of ours.
static void answered_track(struct peer *p, nanotime now, unsigned track, bool rejected)
{
    const struct media_track_config *config = media_track_config(p->media, track);
    bool video = config->kind == MEDIA_VIDEO;
    struct media_agreement agreement = {.rejected = rejected};
    for (unsigned i = 0; i < theirs_rtp.formats_count && !rejected; i++) {
        const struct sdp_format *format = &theirs_rtp.formats[i];
        const struct codec *codec = peer_format_codec(format, video);
        if (!codec || !peer_track_wants(config, codec))
            continue;
        if (codec->kind == CODEC_RTX)
            answered_rtx(&agreement, format, codec);
        else
            agree_format(&agreement, codec, format, receive_type(format, codec, video),
                         format->feedback & peer_track_feedback(p, config, codec));
    }
    // RFC 3264 6.1: of what was offered, whatever is wanted by now; but what was stopped stays so.
    enum sdp_direction offered = p->tracks[track].stopped ? SDP_INACTIVE : ours_rtp.direction;
    enum sdp_direction direction = offered & sdp_direction_reversed(theirs_rtp.direction);
    agree_rest(p, track, &theirs_rtp, direction, &agreement);
    agree(p, now, track, &agreement);
}

void peer_media_answered(struct peer *p, nanotime now, const struct sdp *offer,
                         const struct sdp *answer)
{
    for (unsigned i = 0; i < answer->media_count; i++) {
        int track = peer_track_of(p, &offer->media[i], i);
        if (track < 0 || p->tracks[track].section != (int)i)
            continue;
        // RFC 9429 5.2.2: what was rejected, or disabled, is offered no more.
        bool rejected = answer->media[i].port == 0;
        p->tracks[track].agreed = true;
        p->tracks[track].ended |= rejected;
        p->tracks[track].rests &= !rejected;
        sdp_rtp_parse(answer, &answer->media[i], &theirs_rtp);
        sdp_rtp_parse(offer, &offer->media[i], &ours_rtp);
        answered_track(p, now, (unsigned)track, rejected);
    }
    peer_media_start(p, now);
}

bool peer_media_needs_offer(const struct peer *p)
{
    bool needs = false;
    for (unsigned i = 0; i < peer_tracks(p); i++)
        needs |= peer_track_is_free(&p->tracks[i]) || p->tracks[i].rests;
    return needs;
}
