// Sections of an offer: each track in its place (RFC 3264 8, RFC 9429 5.2.2), under numbers that
// mean what they always meant.
#include "stack/peer/peer_media_priv.h"

#include <assert.h>
#include <stdio.h>

#define CODECS_MAX 24 // rows of codec.h
#define FROM_APPLICATION 96
#define TYPE_NONE 128

static struct sdp_rtp theirs_rtp;

// ----------------------------------------------------------------------------------------- numbers

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
static const uint8_t extension_ids[RTP_EXTENSIONS] = {
    [RTP_AUDIO_LEVEL] = 1, [RTP_ABS_SEND_TIME] = 2, [RTP_TRANSPORT_CC] = 3,
    [RTP_MID] = 4,         [RTP_RID] = 10,          [RTP_REPAIRED_RID] = 11};

// Of one offer. RFC 3264 8.3.2, RFC 8285 7: what a number of the last offer means, it means for the
// rest of the session; RFC 9143 9.1, RFC 8285 7: in all sections of a group. Ours are taken where
// nobody gave another.
struct numbers {
    uint8_t types[CODECS_MAX], rtx[CODECS_MAX]; // by row of codec.h; TYPE_NONE: none
    uint8_t ids[RTP_EXTENSIONS];                // 0: none
    bool type_is_taken[TYPE_NONE], id_is_taken[256];
};

static unsigned row_of(const struct codec *codec)
{
    unsigned row = (unsigned)(codec - codec_at(0));
    assert(row < CODECS_MAX);
    return row;
}

static void numbers_of_formats(struct numbers *to, const struct sdp_rtp *rtp, bool video)
{
    for (unsigned i = 0; i < rtp->formats_count; i++) {
        const struct sdp_format *format = &rtp->formats[i];
        const struct codec *codec = peer_format_codec(format, video);
        to->type_is_taken[format->type] = true;
        if (codec && to->types[row_of(codec)] == TYPE_NONE && codec->kind != CODEC_RTX &&
            peer_format_fits(codec, format))
            to->types[row_of(codec)] = format->type;
    }
    for (unsigned i = 0; i < rtp->formats_count; i++) {
        const struct codec *codec = peer_format_codec(&rtp->formats[i], video);
        unsigned repaired = codec_parameter_number(rtp->formats[i].fmtp, "apt", TYPE_NONE);
        for (unsigned k = 0; k < CODECS_MAX && codec && codec->kind == CODEC_RTX; k++) {
            if (to->types[k] == repaired && repaired < TYPE_NONE && to->rtx[k] == TYPE_NONE)
                to->rtx[k] = rtp->formats[i].type;
        }
    }
}

static void numbers_of_section(struct numbers *to, const struct sdp *sdp,
                               const struct sdp_media *media)
{
    sdp_rtp_parse(sdp, media, &theirs_rtp);
    numbers_of_formats(to, &theirs_rtp, bytes_is(media->kind, "video"));
    for (unsigned i = 0; i < theirs_rtp.extensions_count; i++) {
        enum rtp_extension extension;
        uint8_t id = theirs_rtp.extensions[i].id;
        to->id_is_taken[id] = true;
        if (rtp_extension_by_uri(theirs_rtp.extensions[i].uri, &extension) && !to->ids[extension])
            to->ids[extension] = id;
    }
}

// The usual one, or else the first that is free of those for any use: 96 to 127, then 35 to 63,
// whose second byte no RTCP packet has (RFC 5761 4).
static uint8_t type_new(struct numbers *to, uint8_t usual)
{
    static const struct {
        uint8_t from, to;
    } ranges[] = {{FROM_APPLICATION, 127}, {35, 63}};
    uint8_t found = to->type_is_taken[usual] ? TYPE_NONE : usual;
    for (unsigned i = 0; i < 2 && found == TYPE_NONE; i++) {
        for (uint8_t type = ranges[i].from; type <= ranges[i].to && found == TYPE_NONE; type++)
            found = to->type_is_taken[type] ? TYPE_NONE : type;
    }
    if (found != TYPE_NONE)
        to->type_is_taken[found] = true;
    return found;
}

static void types_complete(struct numbers *to)
{
    const struct codec *codec;
    for (unsigned row = 0; (codec = codec_at(row)); row++) {
        for (size_t i = 0; i < sizeof payload_types / sizeof payload_types[0]; i++) {
            if (payload_types[i].kind != codec->kind ||
                (payload_types[i].clock_rate && payload_types[i].clock_rate != codec->clock_rate))
                continue;
            if (to->types[row] == TYPE_NONE)
                to->types[row] = type_new(to, payload_types[i].type);
            if (to->rtx[row] == TYPE_NONE && payload_types[i].rtx)
                to->rtx[row] = type_new(to, payload_types[i].rtx);
        }
    }
}

static void ids_complete(struct numbers *to)
{
    for (unsigned i = 0; i < RTP_EXTENSIONS; i++) {
        if (to->ids[i])
            continue;
        uint8_t id = extension_ids[i];
        if (to->id_is_taken[id]) {
            for (id = 1; id < 15 && to->id_is_taken[id]; id++) // RFC 8285 4.2: those of one byte
                continue;
        }
        to->ids[i] = id < 15 ? id : 0;
        to->id_is_taken[id] = true;
    }
}

// `before`: the offer of the last agreement. NULL: none.
static void numbers_begin(struct numbers *to, const struct sdp *before)
{
    *to = (struct numbers){0};
    memset(to->types, TYPE_NONE, sizeof to->types);
    memset(to->rtx, TYPE_NONE, sizeof to->rtx);
    for (unsigned i = 0; before && i < before->media_count; i++) {
        if (sdp_is_rtp(&before->media[i]))
            numbers_of_section(to, before, &before->media[i]);
    }
    types_complete(to);
    ids_complete(to);
}

// ---------------------------------------------------------------------------------------- sections

static void offer_format(const struct peer *p, struct peer_section *section,
                         const struct numbers *numbers, const struct media_track_config *config,
                         const struct codec *codec)
{
    uint8_t type = numbers->types[row_of(codec)], rtx = numbers->rtx[row_of(codec)];
    if (type == TYPE_NONE)
        return;
    struct sdp_format *format =
        peer_section_format(section, codec, type, peer_track_feedback(p, config, codec));
    if (format && codec->kind == CODEC_RED_AUDIO)
        format->fmtp =
            peer_section_text(section, "%u/%u", numbers->types[row_of(codec_of(CODEC_OPUS))]);
    if (rtx == TYPE_NONE || !config->rtx)
        return;
    format = peer_section_format(section, codec_of(CODEC_RTX), rtx, 0);
    if (format)
        format->fmtp = peer_section_text(section, "apt=%u", type);
}

static bool clock_is_offered(const struct peer_section *section, uint32_t clock_rate)
{
    for (unsigned i = 0; i < section->local.formats_count; i++) {
        if (section->formats[i].clock_rate == clock_rate)
            return true;
    }
    return false;
}

static void offer_formats(const struct peer *p, struct peer_section *section,
                          const struct numbers *numbers, const struct media_track_config *config)
{
    bool video = config->kind == MEDIA_VIDEO;
    const struct codec *codec;
    for (unsigned i = 0; i < config->codecs_count; i++) {
        codec = codec_by_name(video, bytes_text(config->codecs[i]));
        if (codec)
            offer_format(p, section, numbers, config, codec);
    }
    for (unsigned i = 0; (codec = codec_at(i)); i++) {
        if (codec->video != video || codec->role == CODEC_MEDIA || codec->kind == CODEC_RTX ||
            !peer_track_wants(config, codec))
            continue;
        // RFC 4733 2.1: events share the clock of the audio that they interrupt.
        if (codec->kind != CODEC_EVENT || clock_is_offered(section, codec->clock_rate))
            offer_format(p, section, numbers, config, codec);
    }
}

static struct sdp_rtp_local *offer_section(struct peer *p, unsigned track,
                                           const struct numbers *numbers)
{
    const struct media_track_config *config = media_track_config(p->media, track);
    struct peer_section *section = peer_section_begin(p, track, p->tracks[track].direction);
    struct sdp_rtp_local *local = &section->local;
    offer_formats(p, section, numbers, config);
    for (unsigned i = 0; i < RTP_EXTENSIONS; i++) {
        if (numbers->ids[i] && peer_extension_fits(p, config->kind == MEDIA_VIDEO, i))
            peer_section_extension(section, numbers->ids[i], SDP_SENDRECV, i);
    }
    for (unsigned i = 0; i < config->layers_count && local->direction & SDP_SENDS; i++)
        local->rids[local->rids_count++] = bytes_text(config->layers[i].rid);
    local->rids_send = true;
    local->mixed_extensions = true; // RFC 8285 6
    return local;
}

// ------------------------------------------------------------------------------------------ places

static bool mid_is_taken(const struct sdp *agreed, const char *mid)
{
    for (unsigned i = 0; agreed && i < agreed->media_count; i++) {
        if (bytes_is(agreed->media[i].mid, mid))
            return true;
    }
    return false;
}

// RFC 5888 4: mids differ. RFC 9429 5.2.1: they tell nothing, and are short.
static void mid_new(struct peer *p, const struct sdp *agreed, char *to, size_t size)
{
    do
        snprintf(to, size, "%u", p->mids_next++);
    while (mid_is_taken(agreed, to));
}

// RFC 9429 5.2.2: a disabled section makes room for a track that is new; else it comes last.
// SDP_MEDIA_MAX: there is no room.
static unsigned place_new(const struct sdp *agreed, const struct sdp_rtp_local *const *list,
                          unsigned count, bool appends_data)
{
    for (unsigned i = 0; agreed && i < agreed->media_count; i++) {
        if (!list[i] && agreed->media[i].port == 0 && sdp_is_rtp(&agreed->media[i]))
            return i;
    }
    return count + appends_data < SDP_MEDIA_MAX ? count : SDP_MEDIA_MAX;
}

// Those that have their place keep it, unless it was rejected or they were stopped.
static void offer_agreed(struct peer *p, const struct sdp *agreed, const struct numbers *numbers,
                         const struct sdp_rtp_local **list)
{
    for (unsigned i = 0; agreed && i < agreed->media_count; i++) {
        int track = peer_track_of(p, &agreed->media[i], i);
        list[i] = NULL;
        if (track < 0 || !p->tracks[track].agreed || p->tracks[track].ended)
            continue;
        struct sdp_rtp_local *local = offer_section(p, (unsigned)track, numbers);
        sdp_rtp_parse(agreed, &agreed->media[i], &theirs_rtp);
        local->reduced_size = theirs_rtp.reduced_size; // RFC 9429 5.2.2: as it was answered
        p->tracks[track].section = (int)i;
        list[i] = local;
    }
}

void peer_media_offer(struct peer *p, nanotime now, const struct sdp *before, struct sdp_local *to)
{
    static struct numbers numbers;
    const struct sdp *agreed = to->agreed;
    const struct sdp_rtp_local **list = peer_section_list();
    unsigned count = agreed ? agreed->media_count : 0, tracks = peer_tracks(p);
    bool appends_data = !to->no_data && !(agreed && sdp_data_media(agreed));
    if (tracks > 0)
        numbers_begin(&numbers, before);
    offer_agreed(p, agreed, &numbers, list);
    for (unsigned i = 0; i < tracks; i++) {
        struct peer_track *track = &p->tracks[i];
        if (track->agreed || track->ended)
            continue;
        unsigned place = place_new(agreed, list, count, appends_data);
        if (place == SDP_MEDIA_MAX) {
            trace(&p->trace, now, "no section is left for '%s'",
                  media_track_config(p->media, i)->label);
            continue;
        }
        if (!track->mid[0])
            mid_new(p, agreed, track->mid, sizeof track->mid);
        track->section = (int)place;
        list[place] = offer_section(p, i, &numbers);
        if (p->secure)
            peer_media_expect(p, now, i, list[place]);
        count = place == count ? count + 1 : count;
    }
    if (appends_data && (!p->data_mid[0] || mid_is_taken(agreed, p->data_mid)))
        mid_new(p, agreed, p->data_mid, sizeof p->data_mid);
    to->media = list;
    to->media_count = count;
    to->data_mid = bytes_text(p->data_mid);
}

void peer_media_rollback(struct peer *p, nanotime now)
{
    for (unsigned i = 0; i < peer_tracks(p); i++) {
        struct peer_track *track = &p->tracks[i];
        if (track->agreed)
            continue;
        if (p->secure && track->section >= 0)
            peer_media_expect_nothing(p, now, i);
        track->section = -1; // RFC 9429 5.7: no mid, no place
        track->mid[0] = 0;
        track->msid = false;
    }
    p->data_mid[0] = 0;
}
