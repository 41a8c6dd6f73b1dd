#include "scenarios/runner/clips/clip_make.h"

#include "scenarios/runner/clips/picture.h"
#include "stack/media/clip_ivf.h"

#include "base/arena.h"

#include <errno.h>
#include <ogg/ogg.h>
#include <opus/opus.h>
#include <stdio.h>
#include <stdlib.h>
#include <vpx/vp8cx.h>
#include <vpx/vpx_encoder.h>

#define SAMPLE_RATE 48000
#define FRAME_SAMPLES 960
#define PACKETS_A_PAGE 50 // RFC 7845 3: pages of a second
#define PACKET_MAX 1500
#define SERIAL 1
#define LOUDNESS 8000
#define FILE_BYTES_MAX 256000000

// ------------------------------------------------------------------------------------------- tone

// A sine by Bhaskara's rational approximation (good to 0.2 %), in integers: `phase` is in units of
// 2^-16 of a turn.
static int16_t sine(uint32_t phase)
{
    int64_t half = 32768, p = phase & 0x7fff, product = p * (half - p);
    int64_t value = 16 * product * LOUDNESS / (5 * half * half - 4 * product);
    return (int16_t)(phase & 0x8000 ? -value : value);
}

struct tone {
    OpusEncoder *encoder;
    ogg_stream_state stream;
    struct text *out;
    uint64_t sample;
};

static void flush_pages(struct tone *tone)
{
    ogg_page page;
    while (ogg_stream_flush(&tone->stream, &page)) {
        text_add(tone->out, bytes_of(page.header, (size_t)page.header_len));
        text_add(tone->out, bytes_of(page.body, (size_t)page.body_len));
    }
}

static bool add_packet(struct tone *tone, uint8_t *bytes, size_t len, int64_t granule, bool last)
{
    ogg_packet made = {.packet = bytes,
                       .bytes = (long)len,
                       .b_o_s = tone->stream.packetno == 0,
                       .e_o_s = last,
                       .granulepos = granule,
                       .packetno = tone->stream.packetno};
    return ogg_stream_packetin(&tone->stream, &made) == 0;
}

// RFC 7845 5: the two packets of headers, a page each. Little-endian.
static bool add_headers(struct tone *tone)
{
    opus_int32 skip = 0;
    opus_encoder_ctl(tone->encoder, OPUS_GET_LOOKAHEAD(&skip));
    uint8_t head[19] = {'O',  'p', 'u', 's', 'H',           'e',
                        'a',  'd', 1,   1,   (uint8_t)skip, (uint8_t)(skip >> 8),
                        0x80, 0xbb};
    uint8_t tags[] = {'O', 'p', 'u', 's', 'T', 'a', 'g', 's', 6, 0, 0,
                      0,   's', 'i', 'm', 'r', 't', 'c', 0,   0, 0, 0};
    if (!add_packet(tone, head, sizeof head, 0, false))
        return false;
    flush_pages(tone);
    bool good = add_packet(tone, tags, sizeof tags, 0, false);
    flush_pages(tone);
    return good;
}

static bool add_sound(struct tone *tone, const struct tone_wish *wish)
{
    int16_t pcm[FRAME_SAMPLES];
    uint8_t packet[PACKET_MAX];
    for (unsigned frame = 0; frame < wish->frames; frame++) {
        for (unsigned i = 0; i < FRAME_SAMPLES; i++, tone->sample++)
            pcm[i] = sine((uint32_t)((tone->sample * wish->hz << 16) / SAMPLE_RATE));
        opus_int32 len = opus_encode(tone->encoder, pcm, FRAME_SAMPLES, packet, sizeof packet);
        bool last = frame + 1 == wish->frames;
        if (len <= 0 || !add_packet(tone, packet, (size_t)len, (int64_t)tone->sample, last))
            return false;
        if (last || frame % PACKETS_A_PAGE == PACKETS_A_PAGE - 1)
            flush_pages(tone);
    }
    return true;
}

bool clip_make_tone(const struct tone_wish *wish, struct text *out, struct err *err)
{
    if (wish->hz < 20 || wish->hz > 20000)
        return err_set(err, "a tone of %u Hz, expected 20..20000", wish->hz);
    if (!wish->frames || wish->frames > CLIP_FRAMES_MAX)
        return err_set(err, "a tone of %u packets, expected 1..%u", wish->frames, CLIP_FRAMES_MAX);
    if (wish->bitrate < 6000 || wish->bitrate > 510000)
        return err_set(err, "a tone of %u bit/s, expected 6000..510000", (unsigned)wish->bitrate);
    int error;
    struct tone tone = {.out = out};
    tone.encoder = opus_encoder_create(SAMPLE_RATE, 1, OPUS_APPLICATION_AUDIO, &error);
    if (error != OPUS_OK)
        return err_set(err, "libopus: %s", opus_strerror(error));
    opus_encoder_ctl(tone.encoder, OPUS_SET_BITRATE((opus_int32)wish->bitrate));
    opus_encoder_ctl(tone.encoder, OPUS_SET_VBR(0));
    bool good = false;
    if (ogg_stream_init(&tone.stream, SERIAL) == 0) {
        good = add_headers(&tone) && add_sound(&tone, wish);
        ogg_stream_clear(&tone.stream);
    }
    opus_encoder_destroy(tone.encoder);
    return good || err_set(err, "libopus cannot encode it");
}

// ---------------------------------------------------------------------------------------- pattern

struct pattern {
    const struct pattern_wish *wish;
    vpx_codec_ctx_t encoder;
    vpx_image_t image;
    struct text *out;
    unsigned written;
};

static bool take_packets(struct pattern *p)
{
    const vpx_codec_cx_pkt_t *packet;
    vpx_codec_iter_t iterator = NULL;
    while ((packet = vpx_codec_get_cx_data(&p->encoder, &iterator))) {
        if (packet->kind != VPX_CODEC_CX_FRAME_PKT)
            continue;
        uint8_t header[IVF_FRAME_HEADER_LEN];
        size_t len = packet->data.frame.sz;
        if (len > CLIP_FRAME_BYTES_MAX)
            return false;
        ivf_write_frame_header(header, (uint32_t)len, (uint64_t)packet->data.frame.pts);
        text_add(p->out, bytes_of(header, sizeof header));
        text_add(p->out, bytes_of(packet->data.frame.buf, len));
        p->written++;
    }
    return true;
}

static bool encode_all(struct pattern *p, uint8_t *block)
{
    struct picture picture = picture_in(block, p->wish->width, p->wish->height);
    for (unsigned i = 0; i < p->wish->frames; i++) {
        picture_draw(&picture, i);
        // "Good quality" takes no look at the clock, other than "realtime".
        if (vpx_codec_encode(&p->encoder, &p->image, (vpx_codec_pts_t)i, 1, 0,
                             VPX_DL_GOOD_QUALITY) != VPX_CODEC_OK ||
            !take_packets(p))
            return false;
    }
    return vpx_codec_encode(&p->encoder, NULL, 0, 1, 0, VPX_DL_GOOD_QUALITY) == VPX_CODEC_OK &&
           take_packets(p) && p->written == p->wish->frames;
}

static bool encoder_init(struct pattern *p)
{
    const struct pattern_wish *wish = p->wish;
    vpx_codec_iface_t *interface =
        wish->kind == CODEC_VP8 ? vpx_codec_vp8_cx() : vpx_codec_vp9_cx();
    vpx_codec_enc_cfg_t config;
    if (vpx_codec_enc_config_default(interface, &config, 0) != VPX_CODEC_OK)
        return false;
    config.g_w = wish->width;
    config.g_h = wish->height;
    config.g_timebase = (struct vpx_rational){1, (int)wish->fps};
    config.g_threads = 1;
    config.g_lag_in_frames = 0;
    config.rc_end_usage = VPX_CBR;
    config.rc_target_bitrate = wish->bitrate / 1000;
    config.rc_dropframe_thresh = 0;
    config.kf_mode = VPX_KF_AUTO;
    config.kf_min_dist = 0;
    config.kf_max_dist = wish->keyframe_interval;
    if (vpx_codec_enc_init(&p->encoder, interface, &config, 0) != VPX_CODEC_OK)
        return false;
    return vpx_codec_control(&p->encoder, VP8E_SET_CPUUSED, 4) == VPX_CODEC_OK;
}

static bool check_pattern(const struct pattern_wish *wish, struct err *err)
{
    if (wish->kind != CODEC_VP8 && wish->kind != CODEC_VP9)
        return err_set(err, "a pattern in %s, expected vp8 or vp9", codec_kind_name(wish->kind));
    if (!picture_size_fits(wish->width, wish->height))
        return err_set(err, "a pattern of %ux%u, expected even sides of %u..%u", wish->width,
                       wish->height, PICTURE_SIDE_MIN, PICTURE_SIDE_MAX);
    if (!wish->fps || wish->fps > 240)
        return err_set(err, "a pattern of %u frames a second, expected 1..240", wish->fps);
    if (!wish->frames || wish->frames > PICTURE_COUNTERS)
        return err_set(err, "a pattern of %u frames, expected 1..%u", wish->frames,
                       PICTURE_COUNTERS);
    if (wish->bitrate < 1000 || wish->bitrate > 100000000 || !wish->keyframe_interval)
        return err_set(err, "a pattern of %u bit/s, expected 1000..100000000",
                       (unsigned)wish->bitrate);
    return true;
}

bool clip_make_pattern(const struct pattern_wish *wish, struct text *out, struct err *err)
{
    struct pattern p = {.wish = wish, .out = out};
    uint8_t header[IVF_HEADER_LEN];
    if (!check_pattern(wish, err))
        return false;
    ivf_write_header(header,
                     &(struct ivf_header){wish->kind, (uint16_t)wish->width, (uint16_t)wish->height,
                                          wish->fps, 1, wish->frames});
    text_add(out, bytes_of(header, sizeof header));
    uint8_t *block = mem_alloc(picture_bytes(wish->width, wish->height));
    bool good = encoder_init(&p) &&
                vpx_img_wrap(&p.image, VPX_IMG_FMT_I420, wish->width, wish->height, 1, block);
    good = good && encode_all(&p, block);
    vpx_codec_destroy(&p.encoder);
    free(block);
    return good || err_set(err, "libvpx cannot encode it");
}

// ------------------------------------------------------------------------------------------ files

struct clip *clip_load(const char *path, struct err *err)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        err_set(err, "%s: %s", path, strerror(errno));
        return NULL;
    }
    struct text bytes = {0};
    char part[65536];
    size_t got;
    while ((got = fread(part, 1, sizeof part, file)) > 0 && bytes.len <= FILE_BYTES_MAX)
        text_add(&bytes, bytes_of(part, got));
    struct clip *clip = NULL;
    if (ferror(file))
        err_set(err, "%s: cannot be read", path);
    else if (bytes.len > FILE_BYTES_MAX)
        err_set(err, "%s: longer than %d bytes", path, FILE_BYTES_MAX);
    else
        clip = clip_read(text_bytes(&bytes), path, err);
    fclose(file);
    text_free(&bytes);
    return clip;
}
