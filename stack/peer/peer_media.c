// Audio and video over the selected pair: what descriptions agree on for each track, SRTP under the
// keys of DTLS, packets between the session (stack/media) and the network.
#include "stack/peer/peer_priv.h"

#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>

#define RELAY_OVERHEAD 52 // see peer_data.c
#define CLEAR_MAX 64      // packets of PEER_CLEAR that wait for poll

// ------------------------------------------------------------------------------------------- life

static size_t media_mtu(const struct peer *p)
{
    bool relays = false;
    for (unsigned i = 0; i < p->config.servers_count; i++)
        relays = relays || p->config.servers[i].kind == PEER_TURN;
    return peer_mtu(p) - (relays ? RELAY_OVERHEAD : 0) - SECURE_OVERHEAD_MAX;
}

static void media_make(struct peer *p)
{
    if (p->media)
        return;
    struct media_config config = {.cname = p->config.name,
                                  .rng = &p->rng,
                                  .mtu = media_mtu(p),
                                  .control = p->config.media_control,
                                  .start_bps = p->config.media_start_bps,
                                  .min_bps = p->config.media_min_bps,
                                  .max_bps = p->config.media_max_bps,
                                  .clock_ppb = p->config.media_clock_ppb,
                                  .trace = trace_part(&p->trace, "media")};
    p->media = media_new(&config);
}

int peer_media_track_add(struct peer *p, const struct media_track_config *config)
{
    if (p->config.ice_only || p->closing != PEER_OPEN)
        return -1;
    media_make(p);
    int track = media_track_add(p->media, config);
    if (track >= 0)
        p->tracks[track] = (struct peer_track){.section = -1};
    return track;
}

void peer_media_free(struct peer *p)
{
    media_free(p->media);
    secure_free(p->secure);
    text_free(&p->clear);
}

// ------------------------------------------------------------------------------- our descriptions

// What is written is built here, anew for each description: one thread, and sdp_write_* are done
// with it when they return.
static struct {
    struct sdp_rtp_local local;
    struct sdp_format formats[MEDIA_FORMATS_MAX];
    struct sdp_extension extensions[RTP_EXTENSIONS];
    char texts[8][64]; // of formats
    unsigned texts_count;
} sections[MEDIA_TRACKS_MAX];
static const struct sdp_rtp_local *locals[SDP_MEDIA_MAX];
static struct sdp_rtp theirs_rtp, ours_rtp;

static bool is_named(const struct media_track_config *config, const struct codec *codec)
{
    for (unsigned i = 0; i < config->codecs_count; i++) {
        if (codec_by_name(codec->video, bytes_text(config->codecs[i])) == codec)
            return true;
    }
    return false;
}

// Payload types as Chrome gives them: those that a reader of captures expects.
static const struct {
    enum codec_kind kind;
    uint32_t clock_rate; // 0: any
    uint8_t type, rtx;
} payload_types[] = {
    {CODEC_OPUS, 0, 111, 0},     {CODEC_RED_AUDIO, 0, 63, 0}, {CODEC_PCMU, 0, 0, 0},
    {CODEC_PCMA, 0, 8, 0},       {CODEC_G722, 0, 9, 0},       {CODEC_EVENT, 48000, 110, 0},
    {CODEC_EVENT, 8000, 126, 0}, {CODEC_VP8, 0, 96, 97},      {CODEC_VP9, 0, 98, 99},
    {CODEC_H264, 0, 102, 103},   {CODEC_AV1, 0, 45, 46},      {CODEC_RED_VIDEO, 0, 116, 0},
    {CODEC_ULPFEC, 0, 118, 0},   {CODEC_FLEXFEC, 0, 49, 0},
};

static unsigned feedback_of(const struct peer *p, const struct media_track_config *config,
                            const struct codec *codec)
{
    if (codec->role != CODEC_MEDIA)
        return 0;
    unsigned bits = config->nack ? SDP_NACK : 0;
    if (codec->video && config->pli)
        bits |= SDP_PLI | SDP_FIR;
    if (p->config.media_control == MEDIA_GCC)
        bits |= SDP_TRANSPORT_CC;
    if (p->config.media_control == MEDIA_REMB && codec->video)
        bits |= SDP_REMB;
    return bits;
}

// Is this format one that the track can do something with?
static bool wanted(const struct media_track_config *config, const struct codec *codec)
{
    switch (codec->kind) {
    case CODEC_RED_AUDIO:
        return config->red;
    case CODEC_RED_VIDEO:
    case CODEC_ULPFEC:
        return config->fec == MEDIA_ULPFEC;
    case CODEC_FLEXFEC:
        return config->fec == MEDIA_FLEXFEC;
    case CODEC_RTX:
        return config->rtx;
    case CODEC_EVENT:
        return true;
    default:
        return codec->role == CODEC_MEDIA && is_named(config, codec);
    }
}

static struct sdp_format *section_format(unsigned index, const struct codec *codec, uint8_t type,
                                         unsigned feedback)
{
    struct sdp_rtp_local *local = &sections[index].local;
    struct sdp_format *format = &sections[index].formats[local->formats_count];
    if (local->formats_count == MEDIA_FORMATS_MAX)
        return NULL;
    *format = (struct sdp_format){.type = type,
                                  .name = bytes_text(codec->name),
                                  .clock_rate = codec->clock_rate,
                                  .channels = codec->channels,
                                  .feedback = feedback};
    if (codec->fmtp)
        format->fmtp = bytes_text(codec->fmtp);
    local->formats_count++;
    return format;
}

// A text that must live until the description is written.
static struct bytes section_text(unsigned index, const char *format, unsigned number)
{
    unsigned at = sections[index].texts_count++ % 8;
    snprintf(sections[index].texts[at], sizeof sections[index].texts[at], format, number, number);
    return bytes_text(sections[index].texts[at]);
}

static void offer_format(const struct peer *p, unsigned index,
                         const struct media_track_config *config, const struct codec *codec)
{
    for (size_t i = 0; i < sizeof payload_types / sizeof payload_types[0]; i++) {
        if (payload_types[i].kind != codec->kind ||
            (payload_types[i].clock_rate && payload_types[i].clock_rate != codec->clock_rate))
            continue;
        struct sdp_format *format =
            section_format(index, codec, payload_types[i].type, feedback_of(p, config, codec));
        if (format && codec->kind == CODEC_RED_AUDIO)
            format->fmtp = section_text(index, "%u/%u", 111);
        if (!payload_types[i].rtx || !config->rtx)
            return;
        format = section_format(index, codec_of(CODEC_RTX), payload_types[i].rtx, 0);
        if (format)
            format->fmtp = section_text(index, "apt=%u", payload_types[i].type);
        return;
    }
}

static bool clock_is_offered(unsigned index, uint32_t clock_rate)
{
    for (unsigned i = 0; i < sections[index].local.formats_count; i++) {
        if (sections[index].formats[i].clock_rate == clock_rate)
            return true;
    }
    return false;
}

static void offer_formats(const struct peer *p, unsigned index,
                          const struct media_track_config *config)
{
    bool video = config->kind == MEDIA_VIDEO;
    const struct codec *codec;
    for (unsigned i = 0; i < config->codecs_count; i++) {
        codec = codec_by_name(video, bytes_text(config->codecs[i]));
        if (codec)
            offer_format(p, index, config, codec);
    }
    for (unsigned i = 0; (codec = codec_at(i)); i++) {
        if (codec->video != video || codec->role == CODEC_MEDIA || codec->kind == CODEC_RTX ||
            !wanted(config, codec))
            continue;
        // RFC 4733 2.1: events share the clock of the audio that they interrupt.
        if (codec->kind != CODEC_EVENT || clock_is_offered(index, codec->clock_rate))
            offer_format(p, index, config, codec);
    }
}

static bool extension_fits(const struct peer *p, bool video, enum rtp_extension extension)
{
    switch (extension) {
    case RTP_AUDIO_LEVEL:
        return !video;
    case RTP_RID:
    case RTP_REPAIRED_RID:
        return video;
    case RTP_TRANSPORT_CC:
        return p->config.media_control == MEDIA_GCC;
    case RTP_ABS_SEND_TIME:
        return p->config.media_control == MEDIA_REMB;
    case RTP_MID:
    case RTP_EXTENSIONS:
        break;
    }
    return true;
}

static const uint8_t extension_ids[RTP_EXTENSIONS] = {
    [RTP_AUDIO_LEVEL] = 1, [RTP_ABS_SEND_TIME] = 2, [RTP_TRANSPORT_CC] = 3,
    [RTP_MID] = 4,         [RTP_RID] = 10,          [RTP_REPAIRED_RID] = 11};

static void section_extension(unsigned index, uint8_t id, enum rtp_extension extension)
{
    struct sdp_rtp_local *local = &sections[index].local;
    sections[index].extensions[local->extensions_count++] = (struct sdp_extension){
        .id = id, .direction = SDP_SENDRECV, .uri = bytes_text(rtp_extension_uri(extension))};
}

static enum sdp_direction direction_of(const struct media_track_config *config)
{
    return (config->send ? SDP_SENDS : 0) | (config->receive ? SDP_RECEIVES : 0);
}

static struct sdp_rtp_local *section_begin(const struct peer *p, unsigned track,
                                           enum sdp_direction direction)
{
    const struct media_track_config *config = media_track_config(p->media, track);
    struct sdp_rtp_local *local = &sections[track].local;
    struct media_ssrcs ssrcs;
    media_ssrcs(p->media, track, &ssrcs);
    sections[track].texts_count = 0;
    *local = (struct sdp_rtp_local){.kind = media_kind_name(config->kind),
                                    .mid = bytes_text(p->tracks[track].mid),
                                    .direction = direction,
                                    .formats = sections[track].formats,
                                    .extensions = sections[track].extensions,
                                    .reduced_size = true,
                                    .stream = p->config.name,
                                    .track = config->label,
                                    .cname = p->config.name};
    if (!(direction & SDP_SENDS) || config->layers_count)
        return local;
    local->ssrcs_count = 1;
    local->ssrcs[0].media = ssrcs.media[0];
    local->ssrcs[0].rtx = ssrcs.rtx[0];
    local->ssrcs[0].fec = ssrcs.fec[0];
    return local;
}

void peer_media_offer(struct peer *p, struct sdp_local *to)
{
    unsigned count = p->media ? media_tracks(p->media) : 0;
    for (unsigned i = 0; i < count; i++) {
        const struct media_track_config *config = media_track_config(p->media, i);
        p->tracks[i].section = (int)i;
        if (!p->tracks[i].mid[0])
            snprintf(p->tracks[i].mid, sizeof p->tracks[i].mid, "%u", i);
        struct sdp_rtp_local *local = section_begin(p, i, direction_of(config));
        offer_formats(p, i, config);
        for (unsigned k = 0; k < RTP_EXTENSIONS; k++) {
            if (extension_fits(p, config->kind == MEDIA_VIDEO, k))
                section_extension(i, extension_ids[k], k);
        }
        for (unsigned k = 0; k < config->layers_count; k++)
            local->rids[local->rids_count++] = bytes_text(config->layers[k].rid);
        local->rids_send = true;
        locals[i] = local;
    }
    to->media = locals;
    to->media_count = count;
}

// --------------------------------------------------------------------------------- what both agree

static const struct codec *codec_of_format(const struct sdp_format *format, bool video)
{
    if (format->name.len == 0)
        return codec_static(format->type);
    return codec_find(video, format->name, format->clock_rate, format->channels);
}

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
        .transport_cc = feedback & SDP_TRANSPORT_CC};
}

static void agree_extensions(const struct peer *p, bool video, const struct sdp_rtp *theirs,
                             struct media_agreement *to)
{
    for (unsigned i = 0; i < theirs->extensions_count; i++) {
        enum rtp_extension extension;
        if (rtp_extension_by_uri(theirs->extensions[i].uri, &extension) &&
            extension_fits(p, video, extension) && !to->extensions.id[extension])
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

static void agree_layers(const struct media_track_config *config, const struct sdp_rtp *theirs,
                         struct media_agreement *to)
{
    to->simulcast = config->layers_count > 0 && theirs->simulcast_receive;
    for (unsigned i = 0; i < config->layers_count; i++) {
        to->layer_taken[i] = i == 0 && !theirs->simulcast_receive;
        for (unsigned k = 0; k < theirs->rids_count; k++)
            to->layer_taken[i] |=
                !theirs->rids[k].send && bytes_is(theirs->rids[k].id, config->layers[i].rid);
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
static void answer_format(const struct peer *p, unsigned track, const struct codec *codec,
                          const struct sdp_format *offered, struct media_agreement *to)
{
    const struct media_track_config *config = media_track_config(p->media, track);
    unsigned feedback = offered->feedback & feedback_of(p, config, codec);
    struct sdp_format *format = section_format(track, codec, offered->type, feedback);
    if (!format)
        return;
    format->fmtp = offered->fmtp;
    agree_format(to, codec, offered, offered->type, feedback);
}

static bool parameters_fit(const struct codec *codec, const struct sdp_format *offered)
{
    return codec_parameters_fit(codec->kind, offered->fmtp,
                                codec->fmtp ? bytes_text(codec->fmtp) : bytes_text(""));
}

static void answer_formats(const struct peer *p, unsigned track, struct media_agreement *to)
{
    const struct media_track_config *config = media_track_config(p->media, track);
    const struct sdp_rtp_local *local = &sections[track].local;
    bool video = config->kind == MEDIA_VIDEO;
    for (unsigned i = 0; i < config->codecs_count; i++) { // RFC 3264 6.1: by our preference
        const struct codec *mine = codec_by_name(video, bytes_text(config->codecs[i]));
        for (unsigned k = 0; k < theirs_rtp.formats_count; k++) {
            const struct sdp_format *offered = &theirs_rtp.formats[k];
            if (codec_of_format(offered, video) == mine && mine && parameters_fit(mine, offered))
                answer_format(p, track, mine, offered, to);
        }
    }
    if (local->formats_count == 0)
        return;
    for (unsigned k = 0; k < theirs_rtp.formats_count; k++) {
        const struct sdp_format *offered = &theirs_rtp.formats[k];
        const struct codec *codec = codec_of_format(offered, video);
        if (!codec || codec->role == CODEC_MEDIA || !wanted(config, codec))
            continue;
        if (codec->kind == CODEC_RTX &&
            !is_answered(local, codec_parameter_number(offered->fmtp, "apt", 128)))
            continue;
        if (codec->kind == CODEC_EVENT && codec->clock_rate != to->formats[0].clock_rate)
            continue;
        answer_format(p, track, codec, offered, to);
    }
}

static void answer_layers(struct sdp_rtp_local *local)
{
    for (unsigned i = 0; i < theirs_rtp.rids_count && local->rids_count < SDP_LAYERS_MAX; i++) {
        if (theirs_rtp.rids[i].send && theirs_rtp.simulcast_send)
            local->rids[local->rids_count++] = theirs_rtp.rids[i].id;
    }
}

// The track for an offered section: the one that had it before, the next of its kind that has
// none, or a new one that only receives.
static int track_for(struct peer *p, unsigned section, const struct sdp_media *media)
{
    bool video = bytes_is(media->kind, "video");
    unsigned count = p->media ? media_tracks(p->media) : 0;
    for (unsigned i = 0; i < count; i++) {
        if (p->tracks[i].section == (int)section ||
            (media->mid.len && bytes_is(media->mid, p->tracks[i].mid)))
            return (int)i;
    }
    for (unsigned i = 0; i < count; i++) {
        bool same = (media_track_config(p->media, i)->kind == MEDIA_VIDEO) == video;
        if (same && p->tracks[i].section < 0 && !p->tracks[i].mid[0])
            return (int)i;
    }
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

static const struct sdp_rtp_local *answer_section(struct peer *p, nanotime now,
                                                  const struct sdp *offer, unsigned section)
{
    const struct sdp_media *media = &offer->media[section];
    bool in_use = media->port != 0 || media->bundle_only;
    if (!sdp_is_rtp(media) || !in_use || media->mid.len > MEDIA_MID_MAX)
        return NULL;
    sdp_rtp_parse(offer, media, &theirs_rtp);
    int track = theirs_rtp.rtcp_mux ? track_for(p, section, media) : -1;
    if (track < 0)
        return NULL; // RFC 8834 4.5: without rtcp-mux it is no section for us
    struct peer_track *mine = &p->tracks[track];
    mine->section = (int)section;
    (void)bytes_copy_text(media->mid, mine->mid, sizeof mine->mid);
    const struct media_track_config *config = media_track_config(p->media, (unsigned)track);
    enum sdp_direction direction =
        direction_of(config) & sdp_direction_reversed(theirs_rtp.direction);
    struct media_agreement agreement = {0};
    struct sdp_rtp_local *local = section_begin(p, (unsigned)track, direction);
    answer_formats(p, (unsigned)track, &agreement);
    agreement.rejected = local->formats_count == 0;
    agree_rest(p, (unsigned)track, &theirs_rtp, direction, &agreement);
    local->reduced_size = theirs_rtp.reduced_size;
    for (unsigned i = 0; i < RTP_EXTENSIONS; i++) {
        if (agreement.extensions.id[i])
            section_extension((unsigned)track, agreement.extensions.id[i], i);
    }
    answer_layers(local);
    agree(p, now, (unsigned)track, &agreement);
    return agreement.rejected ? NULL : local;
}

void peer_media_answer(struct peer *p, nanotime now, const struct sdp *offer, struct sdp_local *to)
{
    to->media = locals;
    to->media_count = 0;
    if (p->config.ice_only || (!p->media && !p->config.take_media))
        return;
    for (unsigned i = 0; i < offer->media_count; i++)
        locals[i] = answer_section(p, now, offer, i);
    to->media_count = offer->media_count;
}

// Our own number of the codec that the answer sends under `type`.
static uint8_t receive_type(const struct sdp_format *answered, const struct codec *codec,
                            bool video)
{
    uint8_t found = answered->type;
    for (unsigned i = 0; i < ours_rtp.formats_count; i++) {
        const struct sdp_format *mine = &ours_rtp.formats[i];
        bool same = codec_of_format(mine, video) == codec;
        if (same && mine->type == answered->type)
            return mine->type;
        if (same && codec_parameters_fit(codec->kind, mine->fmtp, answered->fmtp))
            found = mine->type;
    }
    return found;
}

void peer_media_answered(struct peer *p, nanotime now, const struct sdp *offer,
                         const struct sdp *answer)
{
    unsigned count = p->media ? media_tracks(p->media) : 0;
    for (unsigned track = 0; track < count; track++) {
        int section = p->tracks[track].section;
        if (section < 0 || (unsigned)section >= answer->media_count)
            continue;
        const struct sdp_media *media = &answer->media[section];
        const struct media_track_config *config = media_track_config(p->media, track);
        bool video = config->kind == MEDIA_VIDEO;
        struct media_agreement agreement = {.rejected = media->port == 0};
        sdp_rtp_parse(answer, media, &theirs_rtp);
        sdp_rtp_parse(offer, &offer->media[section], &ours_rtp);
        for (unsigned i = 0; i < theirs_rtp.formats_count && !agreement.rejected; i++) {
            const struct sdp_format *format = &theirs_rtp.formats[i];
            const struct codec *codec = codec_of_format(format, video);
            if (codec && wanted(config, codec))
                agree_format(&agreement, codec, format, receive_type(format, codec, video),
                             format->feedback & feedback_of(p, config, codec));
        }
        enum sdp_direction direction =
            direction_of(config) & sdp_direction_reversed(theirs_rtp.direction);
        agree_rest(p, track, &theirs_rtp, direction, &agreement);
        agree(p, now, track, &agreement);
    }
}

// ------------------------------------------------------------------------------------ keys and
// flow

const char *peer_media_profiles(const struct peer *p)
{
    static const char *const texts[8] = {
        NULL,
        "SRTP_AES128_CM_SHA1_80",
        "SRTP_AEAD_AES_128_GCM",
        "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80",
        "SRTP_AEAD_AES_256_GCM",
        "SRTP_AEAD_AES_256_GCM:SRTP_AES128_CM_SHA1_80",
        "SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM",
        "SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80",
    };
    return texts[p->config.srtp_profiles & 7];
}

void peer_media_start(struct peer *p, nanotime now)
{
    uint8_t material[SECURE_MATERIAL_MAX];
    enum secure_profile profile = dtls_srtp_profile(p->dtls);
    size_t len = 2 * (secure_key_len(profile) + secure_salt_len(profile));
    if (!p->media || p->secure)
        return;
    if (len == 0 || !dtls_srtp_material(p->dtls, material, len)) {
        trace(&p->trace, now, "no SRTP: no profile was agreed on");
        return;
    }
    struct secure_config config = {.profile = profile,
                                   .material = bytes_of(material, len),
                                   .client = dtls_role(p->dtls) == DTLS_CLIENT};
    p->secure = secure_new(&config);
    if (!p->secure)
        return;
    p->stats.srtp_profile = profile;
    trace(&p->trace, now, "SRTP by %s", secure_profile_name(profile));
    media_start(p->media, now);
    p->changed = true;
}

void peer_media_selected(struct peer *p, nanotime now, const struct ice_pair *pair)
{
    struct peer_pair here = {pair->local.base, pair->remote.addr};
    bool another =
        !addr_equal(&here.local, &p->route.local) || !addr_equal(&here.remote, &p->route.remote);
    if (p->media && another && p->has_route)
        media_route_changed(p->media, now);
    p->route = here;
    p->has_route = true;
}

// A copy for PEER_CLEAR: lengths and addresses before the bytes.
static void clear_keep(struct peer *p, const struct addr *from, const struct addr *to,
                       struct bytes bytes)
{
    struct peer_clear head = {*from, *to, bytes.len};
    if (!p->config.clear_media || p->clear.len > CLEAR_MAX * (sizeof head + RTP_PACKET_MAX))
        return;
    text_add(&p->clear, bytes_of(&head, sizeof head));
    text_add(&p->clear, bytes);
}

static bool clear_next(struct peer *p, struct peer_output *out)
{
    struct peer_clear head;
    if (p->clear_at >= p->clear.len) {
        if (p->clear.len)
            text_clear(&p->clear);
        p->clear_at = 0;
        return false;
    }
    memcpy(&head, p->clear.at + p->clear_at, sizeof head);
    p->clear_at += sizeof head;
    struct bytes bytes = bytes_of(p->clear.at + p->clear_at, head.len);
    p->clear_at += head.len;
    *out = (struct peer_output){.kind = PEER_CLEAR, .datagram = {head.from, head.to, bytes}};
    return true;
}

enum peer_drop peer_media_input(struct peer *p, nanotime now, const struct datagram *datagram)
{
    size_t len = datagram->bytes.len;
    if (!p->media)
        return PEER_UNKNOWN_PROTOCOL;
    if (!peer_is_authenticated(p, datagram))
        return PEER_UNAUTHENTICATED;
    if (!p->secure)
        return PEER_TOO_EARLY;
    if (len > sizeof p->wire)
        return PEER_REFUSED;
    memcpy(p->wire, datagram->bytes.at, len);
    bool rtcp = rtp_is_rtcp(datagram->bytes);
    enum secure_outcome outcome = rtcp ? secure_open_rtcp(p->secure, p->wire, &len)
                                       : secure_open_rtp(p->secure, p->wire, &len);
    if (outcome != SECURE_OK) {
        trace(&p->trace, now, "SRTP refuses %s of %zu bytes: %s", rtcp ? "RTCP" : "RTP",
              datagram->bytes.len, secure_outcome_name(outcome));
        return PEER_REFUSED;
    }
    struct bytes clear = bytes_of(p->wire, len);
    clear_keep(p, &datagram->from, &datagram->to, clear);
    p->stats.media_received++;
    enum media_drop drop =
        rtcp ? media_input_rtcp(p->media, now, clear) : media_input_rtp(p->media, now, clear);
    return drop == MEDIA_KEPT ? PEER_KEPT : PEER_REFUSED;
}

static enum peer_step packet_out(struct peer *p, nanotime now, const struct media_output *got,
                                 struct peer_output *out)
{
    const struct ice_pair *pair = ice_agent_selected(p->ice);
    size_t len = got->bytes.len;
    if (!pair || !ice_agent_may_send(p->ice) || len > sizeof p->wire)
        return PEER_WORKED; // RFC 7675 5.1: what is due without consent is lost
    memcpy(p->wire, got->bytes.at, len);
    clear_keep(p, &pair->local.base, &pair->remote.addr, got->bytes);
    enum secure_outcome outcome =
        got->kind == MEDIA_SEND_RTCP ? secure_protect_rtcp(p->secure, p->wire, &len, sizeof p->wire)
                                     : secure_protect_rtp(p->secure, p->wire, &len, sizeof p->wire);
    if (outcome != SECURE_OK) {
        trace(&p->trace, now, "SRTP does not protect: %s", secure_outcome_name(outcome));
        return PEER_WORKED;
    }
    p->stats.media_sent++;
    struct datagram datagram = {pair->local.base, pair->remote.addr, bytes_of(p->wire, len)};
    return peer_send_datagram(p, now, &datagram, out);
}

enum peer_step peer_media_poll(struct peer *p, nanotime now, struct peer_output *out)
{
    struct media_output got;
    if (!p->secure)
        return PEER_IDLE;
    if (p->config.clear_media && clear_next(p, out))
        return PEER_OUTPUT;
    if (!media_poll(p->media, now, &got))
        return PEER_IDLE;
    switch (got.kind) {
    case MEDIA_SEND_RTP:
    case MEDIA_SEND_RTCP:
        return packet_out(p, now, &got, out);
    case MEDIA_FRAME:
        *out = (struct peer_output){
            .kind = PEER_FRAME, .track = got.track, .bytes = got.bytes, .timestamp = got.timestamp};
        return PEER_OUTPUT;
    case MEDIA_DIGIT:
        *out = (struct peer_output){.kind = PEER_DIGIT, .track = got.track, .digit = got.digit};
        return PEER_OUTPUT;
    case MEDIA_CHANGED:
        p->changed = true;
        break;
    }
    return PEER_WORKED;
}

nanotime peer_media_deadline(const struct peer *p)
{
    if (!p->secure)
        return TIME_NEVER;
    return p->clear_at < p->clear.len ? 0 : media_deadline(p->media);
}

void peer_media_close(struct peer *p, nanotime now)
{
    if (p->media)
        media_stop(p->media, now);
}
