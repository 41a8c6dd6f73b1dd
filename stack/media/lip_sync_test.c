#include "stack/media/lip_sync.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MS INT64_C(1000000)

// Both captured at the same time: video's report half a second after audio's, across the era's end
// and the wrap of RTP's timestamps.
static const struct lip_sync_stream audio = {
    true, UINT64_C(0xffffffff) << 32, (uint32_t)-24000, 48000, 24000, 2000 * MS};
static const struct lip_sync_stream video = {
    true, UINT64_C(0xffffffff80000000), 1000, 90000, 46000, 1960 * MS};

static void test_lip_sync_holds_the_earlier_one_back(void **state)
{
    (void)state;
    struct lip_sync out;
    assert_int_equal(lip_sync_measure(&audio, &video, &out), LIP_SYNC_OK);
    assert_int_equal(out.offset_ms, 40);
    assert_int_equal(out.video_extra, 40 * MS);
    assert_int_equal(out.audio_extra, 0);
    struct lip_sync_stream late = video;
    late.played_at = 2030 * MS;
    late.ntp += UINT64_C(1) << 31; // the next era; captured 500 ms later as well
    assert_int_equal(lip_sync_measure(&audio, &late, &out), LIP_SYNC_OK);
    assert_int_equal(out.offset_ms, 470);
    late.ntp = video.ntp;
    assert_int_equal(lip_sync_measure(&audio, &late, &out), LIP_SYNC_OK);
    assert_int_equal(out.audio_extra, 30 * MS);
}

static void test_lip_sync_names_what_it_cannot_use(void **state)
{
    (void)state;
    struct lip_sync out;
    struct lip_sync_stream other = video;
    other.known = false;
    assert_int_equal(lip_sync_measure(&audio, &other, &out), LIP_SYNC_UNKNOWN);
    other = video;
    other.rate = 0;
    assert_int_equal(lip_sync_measure(&audio, &other, &out), LIP_SYNC_UNKNOWN);
    other = video;
    other.ntp = UINT64_C(1) << 63;
    assert_int_equal(lip_sync_measure(&audio, &other, &out), LIP_SYNC_IMPLAUSIBLE);
}

// The limits themselves are within.
static void test_lip_sync_limits(void **state)
{
    (void)state;
    struct lip_sync out;
    struct lip_sync_stream a = {true, 5, 0, LIP_SYNC_RATE_MIN, 0, 0}, b = a;
    assert_int_equal(lip_sync_measure(&a, &b, &out), LIP_SYNC_OK);
    assert_true(out.offset_ns == 0 && out.audio_extra == 0 && out.video_extra == 0);
    a.rate--;
    assert_int_equal(lip_sync_measure(&a, &b, &out), LIP_SYNC_UNKNOWN);
    a = b;
    for (int i = 0; i < 2; i++) {
        struct lip_sync_stream *later = i ? &b : &a;
        later->played_at = LIP_SYNC_OFFSET_MAX_NS;
        assert_int_equal(lip_sync_measure(&a, &b, &out), LIP_SYNC_OK);
        assert_true((i ? out.audio_extra : out.video_extra) == LIP_SYNC_OFFSET_MAX_NS);
        assert_true((i ? out.video_extra : out.audio_extra) == 0);
        later->played_at++;
        assert_int_equal(lip_sync_measure(&a, &b, &out), LIP_SYNC_IMPLAUSIBLE);
        later->played_at = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lip_sync_holds_the_earlier_one_back),
        cmocka_unit_test(test_lip_sync_names_what_it_cannot_use),
        cmocka_unit_test(test_lip_sync_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
