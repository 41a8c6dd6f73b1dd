// The table of codecs, and which format parameters agree.
#include "stack/media/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct codec *find(bool video, const char *name, uint32_t rate, unsigned channels)
{
    return codec_find(video, bytes_text(name), rate, channels);
}

static void test_codec_is_found_by_rtpmap(void **state)
{
    (void)state;
    assert_int_equal(find(false, "opus", 48000, 2)->kind, CODEC_OPUS);
    assert_int_equal(find(false, "OPUS", 48000, 2)->kind, CODEC_OPUS);
    assert_null(find(false, "opus", 48000, 1)); // RFC 7587 7: always 2
    assert_null(find(false, "opus", 16000, 2));
    assert_null(find(true, "opus", 48000, 2));
    assert_int_equal(find(true, "vp8", 90000, 0)->kind, CODEC_VP8);
    assert_int_equal(find(true, "red", 90000, 0)->kind, CODEC_RED_VIDEO);
    assert_int_equal(find(false, "red", 48000, 2)->kind, CODEC_RED_AUDIO);
    assert_int_equal(find(false, "telephone-event", 8000, 0)->clock_rate, 8000);
    assert_int_equal(find(false, "telephone-event", 48000, 1)->clock_rate, 48000);
    assert_null(find(true, "H265", 90000, 0));
    // RFC 3551 4.5.2
    const struct codec *g722 = find(false, "G722", 8000, 1);
    assert_int_equal(g722->clock_rate, 8000);
    assert_int_equal(g722->sample_rate, 16000);
}

static void test_codec_rows_are_whole(void **state)
{
    (void)state;
    unsigned count = 0, kinds = 0;
    for (const struct codec *codec; (codec = codec_at(count)); count++) {
        assert_ptr_equal(find(codec->video, codec->name, codec->clock_rate, codec->channels),
                         codec);
        kinds |= 1u << codec->kind;
        if (codec->static_type >= 0)
            assert_ptr_equal(codec_static((unsigned)codec->static_type), codec);
        if (codec->role == CODEC_MEDIA)
            assert_ptr_equal(codec_by_name(codec->video, bytes_text(codec->name)), codec);
    }
    assert_int_equal(kinds, (1u << CODEC_KINDS) - 1);
    for (unsigned kind = 0; kind < CODEC_KINDS; kind++)
        assert_int_equal(codec_of((enum codec_kind)kind)->kind, kind);
    assert_null(codec_static(96));
    assert_null(codec_by_name(true, bytes_text("rtx")));
    assert_string_equal(codec_kind_name(CODEC_FLEXFEC), "flexfec");
    assert_string_equal(codec_kind_name(CODEC_KINDS), "unknown");
}

static void test_codec_parameters_are_read(void **state)
{
    (void)state;
    struct bytes value, fmtp = bytes_text("minptime=10; UseInbandFec = 1 ;apt=96;0-16;x");
    assert_true(codec_parameter(fmtp, "useinbandfec", &value));
    assert_true(bytes_is(value, "1"));
    assert_int_equal(codec_parameter_number(fmtp, "apt", 0), 96);
    assert_int_equal(codec_parameter_number(fmtp, "minptime", 3), 10);
    assert_int_equal(codec_parameter_number(fmtp, "x", 7), 7);
    assert_false(codec_parameter(fmtp, "0-16", &value));
    assert_false(codec_parameter((struct bytes){0}, "x", &value));
    assert_int_equal(codec_parameter_number(bytes_text("a=99999999999"), "a", 5), 5);
}

static bool fit(enum codec_kind kind, const char *a, const char *b)
{
    return codec_parameters_fit(kind, bytes_text(a), bytes_text(b));
}

static void test_codec_h264_profiles_fit(void **state)
{
    (void)state;
    struct h264_format format;
    assert_true(h264_format_read(bytes_text(""), &format));
    assert_int_equal(format.profile, H264_BASELINE);
    assert_int_equal(format.level_idc, 10);
    assert_true(h264_format_read(
        bytes_text("profile-level-id=42E01f;packetization-mode=1;level-asymmetry-allowed=1"),
        &format));
    assert_int_equal(format.profile, H264_CONSTRAINED_BASELINE);
    assert_int_equal(format.packetization_mode, 1);
    assert_true(format.level_asymmetry_allowed);
    assert_false(h264_format_read(bytes_text("profile-level-id=42e0"), &format));
    assert_false(h264_format_read(bytes_text("profile-level-id=42e01g"), &format));
    assert_false(h264_format_read(bytes_text("packetization-mode=3"), &format));

    // RFC 6184 8.1, table 5: other bits, the same profile; 8.2.2: the level may differ.
    assert_true(fit(CODEC_H264, "profile-level-id=42e01f", "profile-level-id=42c00d"));
    assert_true(fit(CODEC_H264, "profile-level-id=42e01f", "profile-level-id=4d801f"));
    assert_false(fit(CODEC_H264, "profile-level-id=42e01f", "profile-level-id=42001f"));
    assert_false(fit(CODEC_H264, "profile-level-id=640c1f", "profile-level-id=64001f"));
    assert_false(
        fit(CODEC_H264, "profile-level-id=42e01f;packetization-mode=1", "profile-level-id=42e01f"));
    assert_false(fit(CODEC_H264, "profile-level-id=f4001f", "profile-level-id=f4101f"));
    assert_false(fit(CODEC_H264, "profile-level-id=x", ""));
}

static void test_codec_other_profiles_fit(void **state)
{
    (void)state;
    assert_true(fit(CODEC_VP9, "", "profile-id=0"));
    assert_false(fit(CODEC_VP9, "profile-id=2", "profile-id=0"));
    assert_false(fit(CODEC_AV1, "profile=1", ""));
    assert_true(fit(CODEC_OPUS, "useinbandfec=1", "stereo=1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codec_is_found_by_rtpmap),
        cmocka_unit_test(test_codec_rows_are_whole),
        cmocka_unit_test(test_codec_parameters_are_read),
        cmocka_unit_test(test_codec_h264_profiles_fit),
        cmocka_unit_test(test_codec_other_profiles_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
