// A section of ours in a description: codecs, feedback, header extensions and streams of a track.
#include "stack/peer/peer_media_priv.h"

#include <assert.h>
#include <stdio.h>

static struct peer_section sections[MEDIA_TRACKS_MAX];
static const struct sdp_rtp_local *list[SDP_MEDIA_MAX];

const struct sdp_rtp_local **peer_section_list(void)
{
    return list;
}

// ------------------------------------------------------------------------------------------ tracks

unsigned peer_tracks(const struct peer *p)
{
    return p->media ? media_tracks(p->media) : 0;
}

int peer_track_of(const struct peer *p, const struct sdp_media *media, unsigned section)
{
    unsigned count = peer_tracks(p);
    for (unsigned i = 0; i < count; i++) {
        const struct peer_track *track = &p->tracks[i];
        if (media->mid.len ? bytes_is(media->mid, track->mid)
                           : !track->mid[0] && track->section == (int)section)
            return (int)i;
    }
    return -1;
}

bool peer_track_is_free(const struct peer_track *track)
{
    return track->section < 0 && !track->ended;
}

static bool is_named(const struct media_track_config *config, const struct codec *codec)
{
    for (unsigned i = 0; i < config->codecs_count; i++) {
        if (codec_by_name(codec->video, bytes_text(config->codecs[i])) == codec)
            return true;
    }
    return false;
}

unsigned peer_track_feedback(const struct peer *p, const struct media_track_config *config,
                             const struct codec *codec)
{
    if (codec->role != CODEC_MEDIA)
        return 0;
    unsigned bits = config->nack ? SDP_NACK : 0;
    if (codec->video && config->pli)
        bits |= SDP_PLI | SDP_FIR;
    if (p->config.media_control == MEDIA_GCC)
        bits |= SDP_TRANSPORT_CC;
    if (p->config.media_control == MEDIA_CCFB)
        bits |= SDP_CCFB;
    // Of an estimate, or of no more than what the receiver of a track wants.
    if (p->config.media_control != MEDIA_FIXED && codec->video)
        bits |= SDP_REMB;
    return bits;
}

bool peer_track_wants(const struct media_track_config *config, const struct codec *codec)
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

// ----------------------------------------------------------------------------------- word by word

struct sdp_format *peer_section_format(struct peer_section *section, const struct codec *codec,
                                       uint8_t type, unsigned feedback)
{
    struct sdp_rtp_local *local = &section->local;
    struct sdp_format *format = &section->formats[local->formats_count];
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

struct bytes peer_section_text(struct peer_section *section, const char *format, unsigned number)
{
    assert(section->texts_count < PEER_SECTION_TEXTS);
    char *text = section->texts[section->texts_count++];
    snprintf(text, sizeof section->texts[0], format, number, number);
    return bytes_text(text);
}

bool peer_extension_fits(const struct peer *p, bool video, enum rtp_extension extension)
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

const struct codec *peer_format_codec(const struct sdp_format *format, bool video)
{
    if (format->name.len == 0)
        return codec_static(format->type);
    return codec_find(video, format->name, format->clock_rate, format->channels);
}

bool peer_format_fits(const struct codec *codec, const struct sdp_format *format)
{
    return codec_parameters_fit(codec->kind, format->fmtp,
                                codec->fmtp ? bytes_text(codec->fmtp) : bytes_text(""));
}

void peer_section_extension(struct peer_section *section, uint8_t id, enum sdp_direction direction,
                            enum rtp_extension extension)
{
    section->extensions[section->local.extensions_count++] = (struct sdp_extension){
        .id = id, .direction = direction, .uri = bytes_text(rtp_extension_uri(extension))};
}

struct peer_section *peer_section_begin(struct peer *p, unsigned track,
                                        enum sdp_direction direction)
{
    const struct media_track_config *config = media_track_config(p->media, track);
    struct peer_track *mine = &p->tracks[track];
    struct peer_section *section = &sections[track];
    struct sdp_rtp_local *local = &section->local;
    struct media_ssrcs ssrcs;
    media_ssrcs(p->media, track, &ssrcs);
    section->texts_count = 0;
    *local = (struct sdp_rtp_local){.kind = media_kind_name(config->kind),
                                    .mid = bytes_text(mine->mid),
                                    .direction = direction,
                                    .formats = section->formats,
                                    .extensions = section->extensions,
                                    .reduced_size = true,
                                    .track = config->label,
                                    .cname = p->config.name};
    // RFC 9429 5.2.1: a=msid where it sends; 5.2.2: and for good once it was there.
    mine->msid |= direction & SDP_SENDS;
    local->stream = mine->msid ? p->config.name : NULL;
    if (!(direction & SDP_SENDS) || config->layers_count)
        return section;
    local->ssrcs_count = 1;
    local->ssrcs[0].media = ssrcs.media[0];
    local->ssrcs[0].rtx = ssrcs.rtx[0];
    local->ssrcs[0].fec = ssrcs.fec[0];
    return section;
}
