// simrtc clip: make media clips for scenarios, and look into them.
#include "scenarios/runner/cli/cli.h"

#include "scenarios/runner/clips/clip_make.h"
#include "scenarios/runner/clips/decode.h"

#include "reports/files.h"

#include <inttypes.h>
#include <stdio.h>

#define SECONDS_MAX 3600
#define OPUS_PACKETS_A_SECOND 50
#define TONE_BITRATE 24000

struct wishes {
    uint64_t tone, fps, seconds, bitrate, keyframes;
    const char *pattern, *codec;
    bool check;
};

static bool parse_size(const char *text, unsigned *width, unsigned *height)
{
    struct bytes size = bytes_text(text);
    const uint8_t *x = memchr(size.at, 'x', size.len);
    if (!x)
        return false;
    uint64_t w, h;
    if (!bytes_parse_u64(bytes_of(size.at, (size_t)(x - size.at)), PICTURE_SIDE_MAX, &w) ||
        !bytes_parse_u64(bytes_from(size, (size_t)(x - size.at) + 1), PICTURE_SIDE_MAX, &h))
        return false;
    *width = (unsigned)w;
    *height = (unsigned)h;
    return true;
}

static bool make_pattern(const struct wishes *wishes, struct text *out, struct err *err)
{
    const struct codec *codec = codec_by_name(true, bytes_text(wishes->codec));
    struct pattern_wish wish = {.kind = codec ? codec->kind : CODEC_H264,
                                .fps = (unsigned)wishes->fps,
                                .frames = (unsigned)(wishes->fps * wishes->seconds)};
    if (!codec)
        return err_set(err, "--codec %.40s: expected vp8 or vp9", wishes->codec);
    if (!parse_size(wishes->pattern, &wish.width, &wish.height))
        return err_set(err, "--pattern %.40s: expected a size such as 320x240", wishes->pattern);
    wish.keyframe_interval = (unsigned)(wishes->keyframes ? wishes->keyframes : wishes->fps);
    // A bit for every eighth picture element of a picture, when nothing is said.
    wish.bitrate = (uint32_t)(wishes->bitrate ? wishes->bitrate
                                              : (uint64_t)wish.width * wish.height * wish.fps / 8);
    return clip_make_pattern(&wish, out, err);
}

static bool make(const char *path, const struct wishes *wishes, struct err *err)
{
    struct text out = {0};
    bool good;
    if (wishes->seconds > SECONDS_MAX || wishes->fps > 1000 || wishes->bitrate > UINT32_MAX ||
        wishes->tone > UINT32_MAX || wishes->keyframes > UINT32_MAX)
        return err_set(err, "at most %d seconds, 1000 frames a second and 4 Gbit/s", SECONDS_MAX);
    if (wishes->tone && wishes->pattern)
        return err_set(err, "%s: expected one of --tone and --pattern, got both", path);
    if (wishes->tone)
        good = clip_make_tone(
            &(struct tone_wish){.hz = (unsigned)wishes->tone,
                                .frames = (unsigned)wishes->seconds * OPUS_PACKETS_A_SECOND,
                                .bitrate =
                                    (uint32_t)(wishes->bitrate ? wishes->bitrate : TONE_BITRATE)},
            &out, err);
    else
        good = make_pattern(wishes, &out, err);
    good = good && file_write(path, text_bytes(&out), err);
    text_free(&out);
    return good;
}

static void print_video(struct text *text, const struct clip *clip)
{
    struct video_decoder *decoder = video_decoder_new(clip->kind);
    text_printf(text, "%s %ux%u, %u frames", codec_of(clip->kind)->name, clip->width, clip->height,
                (unsigned)clip->frames_count);
    if (!decoder) {
        text_put(text, "; there is no decoder for it here\n");
        return;
    }
    for (uint32_t i = 0; i < clip->frames_count; i++) {
        struct video_shown shown;
        video_decoder_feed(decoder, clip_bytes(clip, i), &shown);
    }
    struct video_total total = video_decoder_total(decoder);
    uint64_t numbered = total.decoded - total.unread;
    unsigned mean = numbered ? (unsigned)(total.psnr_sum / numbered) : 0;
    text_printf(text,
                "\ndecoded %" PRIu64 ", refused %" PRIu64 "\nnumbered %" PRIu64
                ", in order %" PRIu64 ", jumps %" PRIu64
                "\nPSNR mean %u.%02u dB, least %u.%02u dB\n",
                total.decoded, total.refused, numbered, total.in_order, total.jumped, mean / 100,
                mean % 100, total.psnr_least / 100, total.psnr_least % 100);
    video_decoder_free(decoder);
}

static void print_sound(struct text *text, const struct clip *clip)
{
    struct sound_decoder *decoder = sound_decoder_new();
    struct sound_heard heard = {0};
    for (uint32_t i = 0; i < clip->frames_count; i++)
        sound_decoder_feed(decoder, clip_bytes(clip, i), 0, &heard);
    struct sound_total total = sound_decoder_total(decoder);
    text_printf(text,
                "opus, %u packets\ndecoded %" PRIu64 ", refused %" PRIu64 ", samples %" PRIu64
                "\nfrequency %u.%03u Hz, level at the end %d.%02d dBov\n",
                (unsigned)clip->frames_count, total.decoded, total.refused, total.samples,
                (unsigned)total.frequency_mhz / 1000, (unsigned)total.frequency_mhz % 1000,
                (int)heard.level / 100, (int)-heard.level % 100);
    sound_decoder_free(decoder);
}

static bool check(const char *path, struct err *err)
{
    struct text text = {0};
    struct clip *clip = clip_load(path, err);
    if (!clip)
        return false;
    if (clip->kind == CODEC_OPUS)
        print_sound(&text, clip);
    else
        print_video(&text, clip);
    clip_free(clip);
    bool good = cli_print(&text);
    text_free(&text);
    return good || err_set(err, "cannot write to stdout");
}

int cli_clip(int argc, char **argv)
{
    struct wishes wishes = {.fps = 25, .seconds = 2, .codec = "vp8"};
    const struct cli_option options[] = {
        {"tone", 0, CLI_NUMBER, "HZ", &wishes.tone, "a tone, as Opus in Ogg"},
        {"pattern", 0, CLI_TEXT, "WxH", &wishes.pattern, "pictures that bear their number, in IVF"},
        {"codec", 0, CLI_TEXT, "NAME", &wishes.codec, "of the pattern: vp8 (default) or vp9"},
        {"fps", 0, CLI_NUMBER, "N", &wishes.fps, "pictures a second; default: 25"},
        {"seconds", 0, CLI_NUMBER, "N", &wishes.seconds, "default: 2"},
        {"bitrate", 0, CLI_NUMBER, "N", &wishes.bitrate,
         "bit/s; default: by size, 24000 of a tone"},
        {"keyframes", 0, CLI_NUMBER, "N", &wishes.keyframes,
         "a key frame at least each N pictures; default: each second"},
        {"check", 0, CLI_FLAG, NULL, &wishes.check,
         "decode FILE, and say what it shows; so without the others"},
        {0},
    };
    const struct cli_command about = {
        .usage = "clip FILE [options]",
        .about = "Make a clip that a scenario can send as audio (.opus) or video (.ivf), or look\n"
                 "into one. A decoded pattern tells which picture it is, and how good it is.",
        .options = options,
        .words_min = 1,
        .words_max = 1,
    };
    unsigned words;
    int code;
    if (!cli_parse(&about, argc, argv, &words, &code))
        return code;
    struct err err = {0};
    if (wishes.check || (!wishes.tone && !wishes.pattern) ? check(argv[1], &err)
                                                          : make(argv[1], &wishes, &err))
        return CLI_PASSED;
    fprintf(stderr, "clip: %s\n", err.text);
    return CLI_CANNOT;
}
