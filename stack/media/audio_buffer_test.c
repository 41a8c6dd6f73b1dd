#include "stack/media/audio_buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define FRAME 960 // 20 ms of Opus

static enum audio_outcome put(struct audio_buffer *buffer, nanotime now, uint32_t timestamp,
                              uint32_t duration, bool recovered)
{
    const struct audio_packet packet = {.timestamp = timestamp,
                                        .duration = duration,
                                        .recovered = recovered,
                                        .payload = bytes_text("sound")};
    return audio_buffer_packet(buffer, now, &packet);
}

// What is being played does not begin again: not by a duplicate, not by what RED repeats of it, and
// nothing from before it that claims to last longer.
static void test_audio_buffer_what_plays_is_not_played_again(void **state)
{
    (void)state;
    struct audio_buffer *buffer = audio_buffer_new(48000, 48000);
    struct audio_play play;
    assert_int_equal(put(buffer, 0, 1000, FRAME, false), AUDIO_KEPT);
    nanotime now = audio_buffer_deadline(buffer);
    assert_true(audio_buffer_poll(buffer, now, &play) && play.begins);
    assert_int_equal(play.timestamp, 1000);
    assert_int_equal(put(buffer, now, 1000, FRAME, false), AUDIO_DUPLICATE);
    assert_int_equal(put(buffer, now, 1000, FRAME, true), AUDIO_DUPLICATE);
    assert_int_equal(put(buffer, now, 900, 3 * FRAME, false), AUDIO_LATE);
    assert_int_equal(put(buffer, now, 1000 + FRAME, FRAME, false), AUDIO_KEPT);
    unsigned begun = 1;
    for (unsigned i = 0; i < 5; i++) {
        assert_true(audio_buffer_poll(buffer, audio_buffer_deadline(buffer), &play));
        assert_true(!play.begins || play.timestamp == 1000 + FRAME);
        begun += play.begins;
    }
    assert_int_equal(begun, 2);
    assert_int_equal(audio_buffer_stats(buffer).packetsDiscarded, 1);
    audio_buffer_free(buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_audio_buffer_what_plays_is_not_played_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
