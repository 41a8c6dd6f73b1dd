#include "stack/media/codec.h"

#include <assert.h>

static const struct codec codecs[] = {
    {CODEC_OPUS, CODEC_MEDIA, "opus", false, 48000, 48000, 2, -1, "minptime=10;useinbandfec=1"},
    {CODEC_RED_AUDIO, CODEC_REPAIR, "red", false, 48000, 48000, 2, -1, NULL},
    // RFC 3551 4.5.2: the clock of G722 ticks at 8000 Hz, though it samples at 16000.
    {CODEC_G722, CODEC_MEDIA, "G722", false, 8000, 16000, 1, 9, NULL},
    {CODEC_PCMU, CODEC_MEDIA, "PCMU", false, 8000, 8000, 1, 0, NULL},
    {CODEC_PCMA, CODEC_MEDIA, "PCMA", false, 8000, 8000, 1, 8, NULL},
    {CODEC_CN, CODEC_AIDS, "CN", false, 8000, 8000, 1, 13, NULL},
    {CODEC_EVENT, CODEC_AIDS, "telephone-event", false, 48000, 48000, 1, -1, "0-16"},
    {CODEC_EVENT, CODEC_AIDS, "telephone-event", false, 8000, 8000, 1, -1, "0-16"},
    {CODEC_VP8, CODEC_MEDIA, "VP8", true, 90000, 0, 1, -1, NULL},
    {CODEC_VP9, CODEC_MEDIA, "VP9", true, 90000, 0, 1, -1, "profile-id=0"},
    {CODEC_H264, CODEC_MEDIA, "H264", true, 90000, 0, 1, -1,
     "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"},
    {CODEC_AV1, CODEC_MEDIA, "AV1", true, 90000, 0, 1, -1, "level-idx=5;profile=0;tier=0"},
    {CODEC_RTX, CODEC_REPAIR, "rtx", true, 90000, 0, 1, -1, NULL},
    {CODEC_RED_VIDEO, CODEC_REPAIR, "red", true, 90000, 0, 1, -1, NULL},
    {CODEC_ULPFEC, CODEC_REPAIR, "ulpfec", true, 90000, 0, 1, -1, NULL},
    {CODEC_FLEXFEC, CODEC_REPAIR, "flexfec-03", true, 90000, 0, 1, -1, "repair-window=10000000"},
};
#define CODECS (sizeof codecs / sizeof codecs[0])

const char *codec_kind_name(enum codec_kind kind)
{
    static const char *const names[CODEC_KINDS] = {
        [CODEC_OPUS] = "opus",
        [CODEC_PCMU] = "pcmu",
        [CODEC_PCMA] = "pcma",
        [CODEC_G722] = "g722",
        [CODEC_CN] = "cn",
        [CODEC_EVENT] = "telephone-event",
        [CODEC_RED_AUDIO] = "red-audio",
        [CODEC_VP8] = "vp8",
        [CODEC_VP9] = "vp9",
        [CODEC_H264] = "h264",
        [CODEC_AV1] = "av1",
        [CODEC_RTX] = "rtx",
        [CODEC_RED_VIDEO] = "red-video",
        [CODEC_ULPFEC] = "ulpfec",
        [CODEC_FLEXFEC] = "flexfec",
    };
    return (unsigned)kind < CODEC_KINDS ? names[kind] : "unknown";
}

const struct codec *codec_at(unsigned index)
{
    return index < CODECS ? &codecs[index] : NULL;
}

const struct codec *codec_of(enum codec_kind kind)
{
    const struct codec *found = NULL;
    for (unsigned i = 0; i < CODECS && !found; i++)
        if (codecs[i].kind == kind)
            found = &codecs[i];
    assert(found);
    return found;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

// RFC 4855 3: media subtype and parameter names are equal in any case.
static bool same_name(struct bytes a, const char *b)
{
    if (a.len != strlen(b))
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.at[i]) != lower((uint8_t)b[i]))
            return false;
    return true;
}

const struct codec *codec_find(bool video, struct bytes name, uint32_t clock_rate,
                               unsigned channels)
{
    for (unsigned i = 0; i < CODECS; i++) {
        const struct codec *codec = &codecs[i];
        // RFC 8866 6.6: without the number of channels it is one.
        if (codec->video == video && codec->clock_rate == clock_rate &&
            codec->channels == (channels ? channels : 1) && same_name(name, codec->name))
            return codec;
    }
    return NULL;
}

const struct codec *codec_by_name(bool video, struct bytes name)
{
    for (unsigned i = 0; i < CODECS; i++)
        if (codecs[i].video == video && codecs[i].role == CODEC_MEDIA &&
            same_name(name, codecs[i].name))
            return &codecs[i];
    return NULL;
}

const struct codec *codec_static(unsigned payload_type)
{
    for (unsigned i = 0; i < CODECS; i++)
        if (codecs[i].static_type >= 0 && (unsigned)codecs[i].static_type == payload_type)
            return &codecs[i];
    return NULL;
}

// ------------------------------------------------------------------------------------ parameters

static struct bytes trimmed(struct bytes text)
{
    while (text.len && (text.at[0] == ' ' || text.at[0] == '\t'))
        text = bytes_from(text, 1);
    while (text.len && (text.at[text.len - 1] == ' ' || text.at[text.len - 1] == '\t'))
        text.len--;
    return text;
}

static size_t find(struct bytes text, uint8_t c)
{
    const uint8_t *at = text.len ? memchr(text.at, c, text.len) : NULL;
    return at ? (size_t)(at - text.at) : text.len;
}

bool codec_parameter(struct bytes fmtp, const char *name, struct bytes *value)
{
    while (fmtp.len) {
        size_t end = find(fmtp, ';');
        struct bytes item = bytes_of(fmtp.at, end);
        fmtp = bytes_from(fmtp, end + 1);
        size_t equals = find(item, '=');
        if (equals < item.len && same_name(trimmed(bytes_of(item.at, equals)), name)) {
            *value = trimmed(bytes_from(item, equals + 1));
            return true;
        }
    }
    return false;
}

uint32_t codec_parameter_number(struct bytes fmtp, const char *name, uint32_t otherwise)
{
    struct bytes value;
    uint64_t number;
    if (!codec_parameter(fmtp, name, &value) || !bytes_parse_u64(value, UINT32_MAX, &number))
        return otherwise;
    return (uint32_t)number;
}

static bool hex_u24(struct bytes text, uint32_t *out)
{
    if (text.len != 6)
        return false;
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = lower(text.at[i]);
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        *out = *out << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return true;
}

// RFC 6184 8.1, table 5: the bits of profile-iop that matter, and what they then are.
static enum h264_profile h264_profile_of(uint8_t idc, uint8_t iop)
{
    static const struct {
        uint8_t idc, mask, is;
        enum h264_profile profile;
    } rows[] = {
        {0x42, 0x4f, 0x40, H264_CONSTRAINED_BASELINE},
        {0x4d, 0x8f, 0x80, H264_CONSTRAINED_BASELINE},
        {0x58, 0xcf, 0xc0, H264_CONSTRAINED_BASELINE},
        {0x42, 0x4f, 0x00, H264_BASELINE},
        {0x58, 0xcf, 0x80, H264_BASELINE},
        {0x4d, 0xaf, 0x00, H264_MAIN},
        {0x58, 0xcf, 0x00, H264_EXTENDED},
        {0x64, 0xff, 0x00, H264_HIGH},
        {0x64, 0xff, 0x0c, H264_CONSTRAINED_HIGH},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].idc == idc && (iop & rows[i].mask) == rows[i].is)
            return rows[i].profile;
    return H264_OTHER;
}

bool h264_format_read(struct bytes fmtp, struct h264_format *out)
{
    struct bytes value;
    uint32_t id = 0x42000a; // RFC 6184 8.1: Baseline, Level 1, when nothing is said
    *out = (struct h264_format){0};
    if (codec_parameter(fmtp, "profile-level-id", &value) && !hex_u24(value, &id))
        return false;
    uint32_t mode = codec_parameter_number(fmtp, "packetization-mode", 0);
    if (mode > 2)
        return false;
    *out = (struct h264_format){
        .profile_idc = (uint8_t)(id >> 16),
        .profile_iop = (uint8_t)(id >> 8),
        .level_idc = (uint8_t)id,
        .packetization_mode = (uint8_t)mode,
        .level_asymmetry_allowed = codec_parameter_number(fmtp, "level-asymmetry-allowed", 0) == 1,
    };
    out->profile = h264_profile_of(out->profile_idc, out->profile_iop);
    return true;
}

bool codec_parameters_fit(enum codec_kind kind, struct bytes a, struct bytes b)
{
    struct h264_format x, y;
    if (kind == CODEC_H264) {
        if (!h264_format_read(a, &x) || !h264_format_read(b, &y))
            return false;
        // RFC 6184 8.2.2: profile and packetization-mode are used symmetrically; the level may
        // differ.
        return x.packetization_mode == y.packetization_mode && x.profile == y.profile &&
               (x.profile != H264_OTHER ||
                (x.profile_idc == y.profile_idc && x.profile_iop == y.profile_iop));
    }
    const char *name = kind == CODEC_VP9 ? "profile-id" : kind == CODEC_AV1 ? "profile" : NULL;
    return !name || codec_parameter_number(a, name, 0) == codec_parameter_number(b, name, 0);
}
