// Telephone events: what is sent when, and what a receiver makes of it under loss.
#include "stack/media/dtmf.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define RATE 8000
#define PACKETS_MAX 2000

struct sent {
    nanotime at;
    struct dtmf_packet packet;
};
static struct sent sent[PACKETS_MAX];

// Run to the end, the audio's timestamp being 1000 at time 0. The number of packets.
static unsigned play(struct dtmf_sender *sender)
{
    unsigned count = 0;
    nanotime now;
    while ((now = dtmf_sender_deadline(sender)) != TIME_NEVER) {
        uint32_t timestamp = 1000 + (uint32_t)(now / TIME_US * RATE / 1000000);
        while (count < PACKETS_MAX && dtmf_sender_poll(sender, now, timestamp, &sent[count].packet))
            sent[count++].at = now;
        assert_true(dtmf_sender_deadline(sender) > now);
    }
    return count;
}

static void describe(char *to, size_t max, unsigned count)
{
    size_t len = 0;
    for (unsigned i = 0; i < count && len < max; i++) {
        struct dtmf_payload p;
        const struct dtmf_packet *packet = &sent[i].packet;
        assert_true(dtmf_read(bytes_of(packet->payload, DTMF_PAYLOAD_LEN), &p));
        len +=
            (size_t)snprintf(to + len, max - len, "%d %u %c%s%s %u\n", (int)(sent[i].at / TIME_MS),
                             (unsigned)packet->timestamp, dtmf_digit(p.event),
                             packet->marker ? " M" : "", p.end ? " E" : "", (unsigned)p.duration);
    }
}

static void test_dtmf_sends_digits(void **state)
{
    (void)state;
    struct dtmf_sender sender;
    char text[2000] = "";
    dtmf_sender_init(&sender, RATE, 20 * TIME_MS);
    assert_true(dtmf_dial(&sender, 100 * TIME_MS, "5#", 50 * TIME_MS, 70 * TIME_MS));
    assert_int_equal(dtmf_sender_deadline(&sender), 100 * TIME_MS);
    unsigned count = play(&sender);
    describe(text, sizeof text, count);
    assert_string_equal(text, "120 1800 5 M 160\n"
                              "140 1800 5 320\n"
                              "150 1800 5 E 400\n"
                              "170 1800 5 E 400\n"
                              "190 1800 5 E 400\n"
                              "240 2760 # M 160\n"
                              "260 2760 # 320\n"
                              "270 2760 # E 400\n"
                              "290 2760 # E 400\n"
                              "310 2760 # E 400\n");
}

// W3C webrtc-pc 7.1: a comma is a delay of two seconds.
static void test_dtmf_comma_waits(void **state)
{
    (void)state;
    struct dtmf_sender sender;
    char text[2000] = "";
    dtmf_sender_init(&sender, RATE, 20 * TIME_MS);
    assert_true(dtmf_dial(&sender, 0, "1,2,", 20 * TIME_MS, 70 * TIME_MS));
    unsigned count = play(&sender);
    describe(text, sizeof text, count);
    assert_string_equal(text, "20 1000 1 M E 160\n"
                              "40 1000 1 E 160\n"
                              "60 1000 1 E 160\n"
                              "2110 17720 2 M E 160\n"
                              "2130 17720 2 E 160\n"
                              "2150 17720 2 E 160\n");
    assert_true(dtmf_dial(&sender, 10 * TIME_S, ",", 20 * TIME_MS, 70 * TIME_MS));
    struct dtmf_packet packet;
    assert_false(dtmf_sender_poll(&sender, 10 * TIME_S, 0, &packet));
    assert_int_equal(dtmf_sender_deadline(&sender), 12 * TIME_S);
    assert_false(dtmf_sender_playing(&sender));
}

// RFC 4733 2.5.1.3: 20 s are 160000 units: two segments of 65535 and the rest.
static void test_dtmf_long_event_has_segments(void **state)
{
    (void)state;
    struct dtmf_sender sender;
    struct dtmf_receiver receiver = {0};
    dtmf_sender_init(&sender, RATE, 50 * TIME_MS);
    assert_true(dtmf_dial(&sender, 0, "9", 20 * TIME_S, 0));
    unsigned count = play(&sender), full = 0, markers = 0;
    for (unsigned i = 0; i < count; i++) {
        struct dtmf_payload p;
        assert_true(dtmf_read(bytes_of(sent[i].packet.payload, DTMF_PAYLOAD_LEN), &p));
        if (p.duration == 0xffff) {
            assert_false(p.end);
            full++;
        }
        markers += sent[i].packet.marker;
        enum dtmf_news news =
            dtmf_receiver_input(&receiver, sent[i].packet.timestamp,
                                bytes_of(sent[i].packet.payload, DTMF_PAYLOAD_LEN));
        assert_int_equal(news, i == 0 ? DTMF_BEGAN : i == count - 3 ? DTMF_ENDED : DTMF_NOTHING);
    }
    assert_int_equal(full, 2);
    assert_int_equal(markers, 1);
    assert_int_equal(sent[count - 1].packet.timestamp, 1000 + 2 * 0xffff);
    assert_int_equal(receiver.duration, 160000);
    assert_int_equal(receiver.digits, 1);
}

// However many packets are lost, as long as one of each digit arrives, each is heard once.
static void test_dtmf_receiver_survives_loss(void **state)
{
    (void)state;
    struct rng rng = rng_seed(1, "dtmf");
    for (unsigned round = 0; round < 200; round++) {
        struct dtmf_sender sender;
        struct dtmf_receiver receiver = {0};
        char heard[DTMF_DIGITS_MAX + 1] = "";
        unsigned digits = 0;
        dtmf_sender_init(&sender, RATE, 20 * TIME_MS);
        assert_true(dtmf_dial(&sender, 0, "1123*0#ABCd!99", 100 * TIME_MS, 50 * TIME_MS));
        unsigned count = play(&sender), marker = 0;
        for (unsigned i = 0; i < count; i++) {
            if (sent[i].packet.marker)
                marker = i + (unsigned)rng_below(&rng, 5); // this one arrives
            if (i != marker && rng_below(&rng, 10) < 7)
                continue;
            struct bytes payload = bytes_of(sent[i].packet.payload, DTMF_PAYLOAD_LEN);
            for (unsigned copy = 0; copy < 2; copy++)
                if (dtmf_receiver_input(&receiver, sent[i].packet.timestamp, payload) == DTMF_BEGAN)
                    heard[digits++] = dtmf_digit(receiver.event);
        }
        assert_string_equal(heard, "1123*0#ABCD!99");
    }
}

static void test_dtmf_receiver_ignores_what_is_over(void **state)
{
    (void)state;
    struct dtmf_receiver r = {0};
    const uint8_t one[] = {1, 0x0a, 0, 160}, one_end[] = {1, 0x8a, 1, 64}, two[] = {2, 0x8a, 0, 80};
    assert_int_equal(dtmf_receiver_input(&r, 0xffffff00, bytes_of(one, 4)), DTMF_BEGAN);
    assert_int_equal(dtmf_receiver_input(&r, 0xffffff00, bytes_of(one_end, 4)), DTMF_ENDED);
    assert_int_equal(r.duration, 320);
    assert_int_equal(dtmf_receiver_input(&r, 0xffffff00, bytes_of(one_end, 4)), DTMF_NOTHING);
    assert_int_equal(dtmf_receiver_input(&r, 0xfffffe00, bytes_of(two, 4)), DTMF_NOTHING);
    // Its end is all that came of it; the timestamp has wrapped.
    assert_int_equal(dtmf_receiver_input(&r, 0x00000100, bytes_of(two, 4)), DTMF_BEGAN);
    assert_int_equal(dtmf_receiver_input(&r, 0x00000100, bytes_of(two, 4)), DTMF_NOTHING);
    assert_int_equal(r.digits, 2);
}

static void test_dtmf_receiver_hostile(void **state)
{
    (void)state;
    struct dtmf_receiver r = {0};
    assert_int_equal(dtmf_receiver_input(&r, 0, bytes_of("\1\2\3", 3)), DTMF_MALFORMED);
    assert_int_equal(dtmf_receiver_input(&r, 0, bytes_of("\xc8\2\3\4", 4)), DTMF_MALFORMED);
    assert_int_equal(dtmf_receiver_input(&r, 0, (struct bytes){0}), DTMF_MALFORMED);
    assert_int_equal(r.digits, 0);
}

static void test_dtmf_dial_refuses(void **state)
{
    (void)state;
    struct dtmf_sender sender;
    char many[DTMF_DIGITS_MAX + 2];
    dtmf_sender_init(&sender, RATE, 20 * TIME_MS);
    assert_false(dtmf_dial(&sender, 0, "12x", TIME_S, 0));
    assert_int_equal(dtmf_sender_deadline(&sender), TIME_NEVER);
    memset(many, '7', sizeof many);
    many[DTMF_DIGITS_MAX + 1] = 0;
    assert_false(dtmf_dial(&sender, 0, many, TIME_S, 0));
    many[DTMF_DIGITS_MAX] = 0;
    assert_true(dtmf_dial(&sender, 0, many, TIME_S, 0));
    assert_false(dtmf_dial(&sender, 0, "1", TIME_S, 0));
    assert_true(dtmf_dial(&sender, 0, "", TIME_S, 0));
    for (unsigned event = 0; event <= DTMF_EVENT_FLASH; event++)
        assert_int_equal(dtmf_event(dtmf_digit(event)), event);
    assert_int_equal(dtmf_digit(17), 0);
    assert_int_equal(dtmf_event(0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dtmf_sends_digits),
        cmocka_unit_test(test_dtmf_comma_waits),
        cmocka_unit_test(test_dtmf_long_event_has_segments),
        cmocka_unit_test(test_dtmf_receiver_survives_loss),
        cmocka_unit_test(test_dtmf_receiver_ignores_what_is_over),
        cmocka_unit_test(test_dtmf_receiver_hostile),
        cmocka_unit_test(test_dtmf_dial_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
