// Messages in a byte stream: cut anywhere, many at once, garbage.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stack/turn/turn_stream.h"

#include "base/arena.h"
#include "base/rng.h"
#include "stack/stun/stun.h"

#include <stdlib.h>

// A Binding request with SOFTWARE, ChannelData of 5 bytes and padding, of 0 bytes, of 4 bytes.
struct sample {
    uint8_t at[512];
    size_t len;
    struct bytes messages[4];
};

static void channel_data(struct sample *s, unsigned index, uint16_t number, const char *text)
{
    size_t len = strlen(text), start = s->len;
    put_u16(s->at + start, number);
    put_u16(s->at + start + 2, (uint16_t)len);
    memcpy(s->at + start + 4, text, len);
    s->messages[index] = bytes_of(s->at + start, 4 + len);
    s->len += 4 + (len + 3) / 4 * 4;
}

static void sample_init(struct sample *s)
{
    static const uint8_t id[STUN_ID_LEN] = {1, 2, 3};
    *s = (struct sample){0};
    struct stun_writer w = stun_begin(s->at, sizeof s->at, STUN_REQUEST, STUN_BINDING, id);
    stun_add_bytes(&w, STUN_SOFTWARE, bytes_text("abcde"));
    s->messages[0] = stun_end(&w);
    s->len = s->messages[0].len;
    channel_data(s, 1, 0x4000, "hello");
    channel_data(s, 2, 0x4fff, "");
    channel_data(s, 3, 0x4001, "four");
}

// Feed `bytes`, and count what comes out, which must be the messages of the sample from `*next` on.
static enum turn_stream_outcome feed(struct turn_stream *stream, struct bytes bytes,
                                     const struct sample *s, unsigned *next)
{
    struct bytes message;
    enum turn_stream_outcome outcome;
    // In memory of its own: nobody may look beyond it, or later.
    uint8_t *copy = mem_alloc(bytes.len ? bytes.len : 1);
    if (bytes.len)
        memcpy(copy, bytes.at, bytes.len);
    turn_stream_input(stream, bytes_of(copy, bytes.len));
    while ((outcome = turn_stream_next(stream, &message)) == TURN_STREAM_MESSAGE) {
        assert_true(*next < 4);
        assert_true(bytes_equal(message, s->messages[*next]));
        ++*next;
    }
    assert_int_equal(message.len, 0);
    free(copy);
    return outcome;
}

static void test_turn_stream_cut_at_every_byte(void **state)
{
    (void)state;
    struct sample s;
    sample_init(&s);
    for (size_t a = 0; a <= s.len; a++)
        for (size_t b = a; b <= s.len; b += 7) {
            struct turn_stream stream;
            unsigned next = 0;
            turn_stream_init(&stream, false);
            feed(&stream, bytes_of(s.at, a), &s, &next);
            feed(&stream, bytes_of(s.at + a, b - a), &s, &next);
            assert_int_equal(feed(&stream, bytes_of(s.at + b, s.len - b), &s, &next),
                             TURN_STREAM_MORE);
            assert_int_equal(next, 4);
            turn_stream_fini(&stream);
        }
}

static void test_turn_stream_byte_by_byte(void **state)
{
    (void)state;
    struct sample s;
    struct turn_stream stream;
    unsigned next = 0;
    sample_init(&s);
    turn_stream_init(&stream, false);
    for (size_t i = 0; i < s.len; i++)
        assert_int_equal(feed(&stream, bytes_of(s.at + i, 1), &s, &next), TURN_STREAM_MORE);
    assert_int_equal(next, 4);
    turn_stream_fini(&stream);
}

static void test_turn_stream_many_in_one_read(void **state)
{
    (void)state;
    struct sample s;
    struct turn_stream stream;
    struct bytes message;
    unsigned count = 0;
    sample_init(&s);
    uint8_t *many = mem_alloc(1000 * s.len);
    for (size_t i = 0; i < 1000; i++)
        memcpy(many + i * s.len, s.at, s.len);
    turn_stream_init(&stream, false);
    turn_stream_input(&stream, bytes_of(many, 1000 * s.len));
    while (turn_stream_next(&stream, &message) == TURN_STREAM_MESSAGE) {
        assert_true(bytes_equal(message, s.messages[count % 4]));
        count++;
    }
    assert_int_equal(count, 4000);
    assert_int_equal(stream.room, 0); // nothing was copied
    turn_stream_fini(&stream);
    free(many);
}

static enum turn_stream_outcome outcome_of(struct bytes bytes, bool rfc5766)
{
    struct turn_stream stream;
    struct bytes message;
    turn_stream_init(&stream, rfc5766);
    turn_stream_input(&stream, bytes);
    enum turn_stream_outcome outcome = turn_stream_next(&stream, &message);
    if (turn_stream_is_bad(outcome)) { // it stays
        static const uint8_t good[] = {0x40, 0, 0, 0};
        turn_stream_input(&stream, bytes_of(good, sizeof good));
        assert_int_equal(turn_stream_next(&stream, &message), outcome);
        turn_stream_input(&stream, bytes_of(good, sizeof good));
        assert_int_equal(turn_stream_next(&stream, &message), outcome);
    }
    turn_stream_fini(&stream);
    return outcome;
}

static void test_turn_stream_garbage_has_a_name(void **state)
{
    (void)state;
    static const uint8_t http[] = "POST / HTTP/1.1\r\n";
    static const uint8_t tls[] = {22, 3, 1, 0, 252, 1, 0, 0};
    static const uint8_t odd[] = {0, 1, 0, 3};
    static const uint8_t cookie[] = {0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x43};
    static const uint8_t late[] = {0x50, 0, 0, 0}, high[] = {0x80}, dtls[] = {0xff};
    assert_int_equal(outcome_of(bytes_of(http, 4), false), TURN_STREAM_BAD_START);
    assert_int_equal(outcome_of(bytes_of(tls, 8), false), TURN_STREAM_BAD_COOKIE);
    assert_int_equal(outcome_of(bytes_of(odd, 4), false), TURN_STREAM_BAD_LENGTH);
    assert_int_equal(outcome_of(bytes_of(cookie, 8), false), TURN_STREAM_BAD_COOKIE);
    assert_int_equal(outcome_of(bytes_of(cookie, 7), false), TURN_STREAM_MORE);
    assert_int_equal(outcome_of(bytes_of(high, 1), false), TURN_STREAM_BAD_START);
    assert_int_equal(outcome_of(bytes_of(dtls, 1), false), TURN_STREAM_BAD_START);
    // RFC 8656 12 withdrew these numbers; RFC 5766 had them.
    assert_int_equal(outcome_of(bytes_of(late, 4), false), TURN_STREAM_BAD_START);
    assert_int_equal(outcome_of(bytes_of(late, 4), true), TURN_STREAM_MESSAGE);
    assert_int_equal(outcome_of((struct bytes){0}, false), TURN_STREAM_MORE);
    assert_string_equal(turn_stream_outcome_name(TURN_STREAM_BAD_COOKIE), "bad-cookie");
    assert_string_equal(turn_stream_outcome_name(TURN_STREAM_OUTCOMES), "?");
}

// The longest of both kinds, cut in pieces; the buffer holds one message and no more.
static void test_turn_stream_longest(void **state)
{
    (void)state;
    static uint8_t longest[TURN_STREAM_MESSAGE_MAX] = {0, 1, 0xff, 0xfc, 0x21, 0x12, 0xa4, 0x42};
    static uint8_t channel[65540] = {0x40, 0, 0xff, 0xff};
    struct turn_stream stream;
    struct bytes message;
    turn_stream_init(&stream, false);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof longest; i += 1000) {
            size_t len = sizeof longest - i < 1000 ? sizeof longest - i : 1000;
            turn_stream_input(&stream, bytes_of(longest + i, len));
            enum turn_stream_outcome outcome = turn_stream_next(&stream, &message);
            if (outcome == TURN_STREAM_MESSAGE) {
                assert_int_equal(message.len, sizeof longest);
                outcome = turn_stream_next(&stream, &message);
            }
            assert_int_equal(outcome, TURN_STREAM_MORE);
        }
        turn_stream_input(&stream, bytes_of(channel, 65539));
        assert_int_equal(turn_stream_next(&stream, &message), TURN_STREAM_MORE);
        turn_stream_input(&stream, bytes_of(channel + 65539, 1)); // the padding
        assert_int_equal(turn_stream_next(&stream, &message), TURN_STREAM_MESSAGE);
        assert_int_equal(message.len, 65539);
        assert_int_equal(turn_stream_next(&stream, &message), TURN_STREAM_MORE);
        assert_true(stream.room <= TURN_STREAM_MESSAGE_MAX);
    }
    turn_stream_fini(&stream);
}

// Whatever comes: an outcome, and no more memory than one message.
static void test_turn_stream_survives_chance(void **state)
{
    (void)state;
    struct rng rng = rng_seed(1, "garbage");
    for (int round = 0; round < 2000; round++) {
        struct turn_stream stream;
        struct bytes message;
        uint8_t bytes[300];
        turn_stream_init(&stream, round % 2);
        for (int i = 0; i < 20; i++) {
            size_t len = rng_below(&rng, sizeof bytes);
            rng_fill(&rng, bytes, len);
            if (len > 3 && rng_below(&rng, 2))
                bytes[0] = 0x40;
            turn_stream_input(&stream, bytes_of(bytes, len));
            while (turn_stream_next(&stream, &message) == TURN_STREAM_MESSAGE)
                assert_true(message.len >= 4);
        }
        assert_true(stream.room <= TURN_STREAM_MESSAGE_MAX);
        turn_stream_fini(&stream);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turn_stream_cut_at_every_byte),
        cmocka_unit_test(test_turn_stream_byte_by_byte),
        cmocka_unit_test(test_turn_stream_many_in_one_read),
        cmocka_unit_test(test_turn_stream_garbage_has_a_name),
        cmocka_unit_test(test_turn_stream_longest),
        cmocka_unit_test(test_turn_stream_survives_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
