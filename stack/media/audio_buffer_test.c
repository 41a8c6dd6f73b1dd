#include "stack/media/audio_buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define FRAME 960 // 20 ms of Opus
// The first packet is held for the first target, 30 ms, less its own 20.
#define START (10 * TIME_MS)

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

// Pieces of 10 ms from the deadline on: how many of each kind, until `until`.
struct heard {
    unsigned played, concealed, silent, begun;
};
static struct heard listen(struct audio_buffer *buffer, nanotime until)
{
    struct heard heard = {0};
    struct audio_play play;
    while (audio_buffer_deadline(buffer) < until) {
        assert_true(audio_buffer_poll(buffer, audio_buffer_deadline(buffer), &play));
        heard.played += play.kind == AUDIO_PLAYED;
        heard.concealed += play.kind == AUDIO_CONCEALED;
        heard.silent += play.kind == AUDIO_SILENT;
        heard.begun += play.begins;
    }
    return heard;
}

// Packets `from` to `to` - 1 of 20 ms, each on time, and all that is due in between.
static struct heard feed(struct audio_buffer *buffer, unsigned from, unsigned to)
{
    struct heard all = {0};
    for (unsigned i = from; i < to; i++) {
        struct heard heard = listen(buffer, (nanotime)i * 20 * TIME_MS);
        all.played += heard.played;
        all.concealed += heard.concealed;
        all.silent += heard.silent;
        all.begun += heard.begun;
        assert_int_equal(put(buffer, (nanotime)i * 20 * TIME_MS, i * FRAME, FRAME, false),
                         AUDIO_KEPT);
    }
    return all;
}

static void test_audio_buffer_on_time_all_is_played(void **state)
{
    (void)state;
    struct audio_buffer *buffer = audio_buffer_new(48000, 48000);
    struct audio_play play;
    assert_true(audio_buffer_deadline(buffer) == TIME_NEVER);
    assert_false(audio_buffer_poll(buffer, TIME_S, &play));
    assert_true(audio_buffer_stats(buffer).held == 0);
    put(buffer, 0, 0, FRAME, false);
    assert_true(audio_buffer_stats(buffer).held == 20 * TIME_MS);
    assert_true(audio_buffer_stats(buffer).target == 30 * TIME_MS);
    assert_true(audio_buffer_deadline(buffer) == START);
    assert_false(audio_buffer_poll(buffer, START - 1, &play));
    assert_true(audio_buffer_poll(buffer, START, &play) && play.begins);
    assert_true(bytes_is(play.payload, "sound"));
    assert_true(audio_buffer_deadline(buffer) == START + AUDIO_BUFFER_TICK);
    assert_true(audio_buffer_poll(buffer, START + AUDIO_BUFFER_TICK, &play) && !play.begins);
    struct heard heard = feed(buffer, 1, 500);
    assert_int_equal(heard.concealed + heard.silent, 0);
    struct audio_buffer_stats stats = audio_buffer_stats(buffer);
    assert_int_equal(stats.concealedSamples, 0);
    assert_int_equal(stats.packetsDiscarded, 0);
    assert_int_equal(stats.totalSamplesReceived, (heard.played + 2) * 480);
    assert_true(stats.totalSamplesDuration == (heard.played + 2) * AUDIO_BUFFER_TICK);
    assert_int_equal(stats.jitterBufferEmittedCount, (heard.begun + 1) * FRAME);
    assert_int_equal(stats.played_pieces, heard.played + 2);
    audio_buffer_free(buffer);
    audio_buffer_free(NULL);
}

// A packet that is lost, with a later one there, is concealed for its 20 ms; nothing is delayed.
static void test_audio_buffer_loss_is_concealed(void **state)
{
    (void)state;
    struct audio_buffer *buffer = audio_buffer_new(48000, 48000);
    audio_buffer_set_least(buffer, 60 * TIME_MS);
    feed(buffer, 0, 10);
    put(buffer, 220 * TIME_MS, 11 * FRAME, FRAME, false); // 10 is lost
    struct heard heard = listen(buffer, 280 * TIME_MS);
    assert_int_equal(heard.concealed, 2);
    assert_int_equal(heard.silent, 0);
    struct audio_buffer_stats stats = audio_buffer_stats(buffer);
    assert_int_equal(stats.concealedSamples, FRAME);
    assert_int_equal(stats.silentConcealedSamples, 0);
    assert_int_equal(stats.concealmentEvents, 1);
    assert_int_equal(stats.lost_pieces, 2);
    assert_int_equal(stats.lost_runs, 1);
    assert_int_equal(put(buffer, 280 * TIME_MS, 10 * FRAME, FRAME, false), AUDIO_LATE);
    assert_int_equal(audio_buffer_stats(buffer).packetsDiscarded, 1);
    assert_int_equal(put(buffer, 280 * TIME_MS, 10 * FRAME, FRAME, true), AUDIO_LATE);
    assert_int_equal(audio_buffer_stats(buffer).packetsDiscarded, 1); // a copy is not missed
    audio_buffer_free(buffer);
}

// Nothing is there: what comes late is waited for, and played in full, later.
static void test_audio_buffer_late_is_waited_for(void **state)
{
    (void)state;
    struct audio_buffer *buffer = audio_buffer_new(48000, 48000);
    put(buffer, 0, 0, FRAME, false);
    assert_int_equal(listen(buffer, START + 20 * TIME_MS).played, 2);
    struct heard heard = listen(buffer, START + 50 * TIME_MS);
    assert_int_equal(heard.concealed, 3);
    assert_int_equal(put(buffer, START + 50 * TIME_MS, FRAME, FRAME, false), AUDIO_KEPT);
    heard = listen(buffer, START + 70 * TIME_MS);
    assert_int_equal(heard.played, 2);
    assert_int_equal(heard.begun, 1);
    struct audio_buffer_stats stats = audio_buffer_stats(buffer);
    assert_int_equal(stats.concealmentEvents, 1);
    assert_int_equal(stats.lost_runs, 1);
    listen(buffer, START + 110 * TIME_MS); // it is played slower than it was sent
    assert_int_equal(audio_buffer_stats(buffer).concealmentEvents, 2);
    audio_buffer_free(buffer);
}

// After a second without anything concealment is silence; it is the same event.
static void test_audio_buffer_long_concealment_is_silent(void **state)
{
    (void)state;
    struct audio_buffer *buffer = audio_buffer_new(48000, 48000);
    put(buffer, 0, 0, FRAME, false);
    struct heard heard = listen(buffer, START + 20 * TIME_MS + 1500 * TIME_MS);
    assert_int_equal(heard.concealed, 150);
    struct audio_buffer_stats stats = audio_buffer_stats(buffer);
    assert_int_equal(stats.concealedSamples, 150 * 480);
    assert_int_equal(stats.silentConcealedSamples, 50 * 480);
    assert_int_equal(stats.concealmentEvents, 1);
    audio_buffer_free(buffer);
}

// DTX: the packet that announces silence is followed by nothing, and nothing is concealed.
static void test_audio_buffer_dtx_is_no_loss(void **state)
{
    (void)state;
    struct audio_buffer *buffer = audio_buffer_new(48000, 48000);
    put(buffer, 0, 0, FRAME, false);
    const struct audio_packet quiet = {
        .timestamp = FRAME, .duration = FRAME, .dtx = true, .payload = bytes_text("q")};
    assert_int_equal(audio_buffer_packet(buffer, 20 * TIME_MS, &quiet), AUDIO_KEPT);
    struct heard heard = listen(buffer, START + 400 * TIME_MS);
    assert_int_equal(heard.played, 4);
    assert_int_equal(heard.concealed, 0);
    assert_int_equal(heard.silent, 36);
    assert_int_equal(put(buffer, START + 400 * TIME_MS, 20 * FRAME, FRAME, false), AUDIO_KEPT);
    assert_int_equal(listen(buffer, START + 420 * TIME_MS).played, 2);
    assert_int_equal(audio_buffer_stats(buffer).concealedSamples, 0);
    // What is lost before silence and after it are two events.
    listen(buffer, START + 450 * TIME_MS);
    struct audio_packet more = quiet;
    more.timestamp = 24 * FRAME;
    audio_buffer_packet(buffer, START + 460 * TIME_MS, &more);
    assert_true(listen(buffer, START + 600 * TIME_MS).silent > 0);
    assert_int_equal(audio_buffer_stats(buffer).concealmentEvents, 1);
    assert_int_equal(put(buffer, START + 600 * TIME_MS, 32 * FRAME, FRAME, false), AUDIO_KEPT);
    listen(buffer, START + 700 * TIME_MS);
    assert_int_equal(audio_buffer_stats(buffer).concealmentEvents, 2);
    assert_int_equal(audio_buffer_stats(buffer).lost_runs, 2);
    audio_buffer_free(buffer);
}

// More is held than the target: played faster by half a piece each third; the sum is what was left
// out. Less: slower.
static void test_audio_buffer_stretches_towards_the_target(void **state)
{
    (void)state;
    struct audio_buffer *buffer = audio_buffer_new(48000, 48000);
    for (unsigned i = 0; i < 20; i++) // 400 ms at once
        put(buffer, 0, i * FRAME, FRAME, false);
    nanotime target = audio_buffer_stats(buffer).target;
    assert_true(audio_buffer_stats(buffer).held == 400 * TIME_MS);
    listen(buffer, START + 90 * TIME_MS); // nine pieces, three of them longer
    struct audio_buffer_stats stats = audio_buffer_stats(buffer);
    assert_int_equal(stats.removedSamplesForAcceleration, 3 * 240);
    assert_int_equal(stats.insertedSamplesForDeceleration, 0);
    assert_true(stats.held == 400 * TIME_MS - 90 * TIME_MS - 15 * TIME_MS);
    listen(buffer, 360 * TIME_MS);
    stats = audio_buffer_stats(buffer);
    assert_true(stats.held <= target + target / 4 + 3 * AUDIO_BUFFER_LEAST);
    audio_buffer_free(buffer);

    buffer = audio_buffer_new(48000, 48000);
    feed(buffer, 0, 5);
    audio_buffer_set_least(buffer, 200 * TIME_MS);
    assert_true(audio_buffer_stats(buffer).target == 200 * TIME_MS);
    struct heard heard = feed(buffer, 5, 200);
    stats = audio_buffer_stats(buffer);
    assert_int_equal(heard.concealed, 0);
    assert_int_equal(stats.removedSamplesForAcceleration, 0);
    assert_true(stats.insertedSamplesForDeceleration >= 48 * 90);
    assert_true(stats.held >= 150 * TIME_MS && stats.held <= 250 * TIME_MS);
    audio_buffer_free(buffer);
}

// Of G.722 the clock says half of the samples.
static void test_audio_buffer_counts_samples_not_clocks(void **state)
{
    (void)state;
    struct audio_buffer *buffer = audio_buffer_new(8000, 16000);
    put(buffer, 0, 0, 160, false);
    assert_true(audio_buffer_stats(buffer).held == 20 * TIME_MS);
    assert_int_equal(listen(buffer, START + 20 * TIME_MS).played, 2);
    struct audio_buffer_stats stats = audio_buffer_stats(buffer);
    assert_int_equal(stats.totalSamplesReceived, 320);
    assert_int_equal(stats.jitterBufferEmittedCount, 320);
    audio_buffer_free(buffer);
}

// The target is what 95 of 100 packets are in time with, and is learnt.
static void test_audio_buffer_learns_the_jitter(void **state)
{
    (void)state;
    struct audio_buffer *buffer = audio_buffer_new(48000, 48000);
    for (unsigned i = 0; i < 1000; i++) {
        nanotime at = (nanotime)i * 20 * TIME_MS + (i % 5 == 4 ? 55 * TIME_MS : 0);
        listen(buffer, at);
        put(buffer, at, i * FRAME, FRAME, false);
    }
    nanotime target = audio_buffer_stats(buffer).target;
    assert_true(target >= 60 * TIME_MS && target <= 70 * TIME_MS);
    uint64_t concealed = audio_buffer_stats(buffer).concealedSamples;
    assert_true(concealed < 48000 / 2); // of the beginning
    audio_buffer_set_least(buffer, 10 * TIME_S);
    assert_true(audio_buffer_stats(buffer).target == AUDIO_BUFFER_MOST);
    audio_buffer_free(buffer);
}

// Later than any target can be.
static void test_audio_buffer_learns_no_more_than_its_most(void **state)
{
    (void)state;
    struct audio_buffer *buffer = audio_buffer_new(48000, 48000);
    for (unsigned i = 0; i < 300; i++) {
        nanotime at = (nanotime)i * 20 * TIME_MS + (i < 100 ? 0 : 3 * TIME_S);
        listen(buffer, at);
        (void)put(buffer, at, i * FRAME, FRAME, false);
    }
    assert_true(audio_buffer_stats(buffer).target == AUDIO_BUFFER_MOST);
    audio_buffer_free(buffer);
}

static void test_audio_buffer_names_what_it_refuses(void **state)
{
    (void)state;
    static const uint8_t large[AUDIO_PAYLOAD_MAX + 1];
    struct audio_buffer *buffer = audio_buffer_new(48000, 48000);
    assert_int_equal(put(buffer, 0, 0, 0, false), AUDIO_BAD);
    struct audio_packet packet = {.duration = FRAME, .payload = bytes_of(large, sizeof large)};
    assert_int_equal(audio_buffer_packet(buffer, 0, &packet), AUDIO_BAD);
    packet.payload.len--;
    assert_int_equal(audio_buffer_packet(buffer, 0, &packet), AUDIO_KEPT);
    assert_int_equal(put(buffer, 0, 0, FRAME, false), AUDIO_DUPLICATE);
    for (unsigned i = 1; i < AUDIO_BUFFER_PACKETS - 1; i++)
        assert_int_equal(put(buffer, 0, i * FRAME, FRAME, false), AUDIO_KEPT);
    assert_int_equal(put(buffer, 0, 1000 * FRAME, FRAME, false), AUDIO_FULL);
    assert_int_equal(audio_buffer_stats(buffer).packetsDiscarded, AUDIO_BUFFER_PACKETS - 1);
    struct audio_play play;
    assert_true(audio_buffer_poll(buffer, TIME_S, &play));
    assert_int_equal(play.timestamp, 1000 * FRAME);
    audio_buffer_stop(buffer);
    assert_int_equal(put(buffer, 0, 1001 * FRAME, FRAME, false), AUDIO_BAD);
    assert_true(audio_buffer_deadline(buffer) == TIME_NEVER);
    assert_false(audio_buffer_poll(buffer, 2 * TIME_S, &play));
    audio_buffer_free(buffer);
}

// Timestamps wrap in the middle of a call; what plays has those of the wire.
static void test_audio_buffer_over_the_wrap(void **state)
{
    (void)state;
    struct audio_buffer *buffer = audio_buffer_new(48000, 48000);
    struct audio_play play;
    put(buffer, 0, UINT32_MAX - FRAME + 1, FRAME, false);
    put(buffer, 0, 0, FRAME, false);
    unsigned begun = 0;
    for (unsigned i = 0; i < 4; i++) {
        assert_true(audio_buffer_poll(buffer, audio_buffer_deadline(buffer), &play));
        assert_int_equal(play.kind, AUDIO_PLAYED);
        if (play.begins)
            assert_int_equal(play.timestamp, begun++ ? 0 : UINT32_MAX - FRAME + 1);
    }
    assert_int_equal(begun, 2);
    audio_buffer_free(buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_audio_buffer_what_plays_is_not_played_again),
        cmocka_unit_test(test_audio_buffer_on_time_all_is_played),
        cmocka_unit_test(test_audio_buffer_loss_is_concealed),
        cmocka_unit_test(test_audio_buffer_late_is_waited_for),
        cmocka_unit_test(test_audio_buffer_long_concealment_is_silent),
        cmocka_unit_test(test_audio_buffer_dtx_is_no_loss),
        cmocka_unit_test(test_audio_buffer_stretches_towards_the_target),
        cmocka_unit_test(test_audio_buffer_counts_samples_not_clocks),
        cmocka_unit_test(test_audio_buffer_learns_the_jitter),
        cmocka_unit_test(test_audio_buffer_learns_no_more_than_its_most),
        cmocka_unit_test(test_audio_buffer_names_what_it_refuses),
        cmocka_unit_test(test_audio_buffer_over_the_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
