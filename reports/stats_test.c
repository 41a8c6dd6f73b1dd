// Statistics over time: the document, its units, names that JSON could not carry, and its end.
#include "reports/stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void test_stats_document(void **state)
{
    (void)state;
    struct stats *stats = stats_new("media/one", 500 * TIME_MS);
    struct text text = {0};
    stats_sample(stats, 500 * TIME_MS);
    stats_peer(stats, "alice");
    stats_object(stats, "inbound-rtp", "inbound-audio");
    stats_number(stats, "packetsReceived", 25);
    stats_number(stats, "packetsLost", -1);
    stats_decimal(stats, "fractionLost", 125000000, 1000000000);
    stats_duration(stats, "jitter", 1250 * TIME_MS / 1000);
    stats_duration(stats, "never", TIME_NEVER);
    stats_moment(stats, "lastPacketReceivedTimestamp", 481500001);
    stats_moment(stats, "remoteTimestamp", TIME_NEVER);
    stats_text(stats, "mid", "0");
    stats_text(stats, "rid", NULL);
    stats_bool(stats, "active", true);
    stats_nested(stats, "qualityLimitationDurations");
    stats_duration(stats, "bandwidth", 2 * TIME_S);
    stats_object(stats, "transport", "transport");
    stats_peer(stats, "bob");
    stats_sample(stats, 700 * TIME_MS);
    stats_print(stats, &text);
    assert_string_equal(
        text.at,
        "{\"id\": \"media/one\", \"interval\": 0.5, \"samples\": [\n"
        "{\"timestamp\": 500.0, \"peers\": {\"alice\": {\"inbound-audio\": {"
        "\"type\": \"inbound-rtp\", \"id\": \"inbound-audio\", \"timestamp\": 500.0, "
        "\"packetsReceived\": 25, \"packetsLost\": -1, \"fractionLost\": 0.125, "
        "\"jitter\": 0.00125, \"lastPacketReceivedTimestamp\": 481.500001, \"mid\": \"0\", "
        "\"active\": true, \"qualityLimitationDurations\": {\"bandwidth\": 2.0}}, "
        "\"transport\": {\"type\": \"transport\", \"id\": \"transport\", \"timestamp\": 500.0}}, "
        "\"bob\": {}}},\n"
        "{\"timestamp\": 700.0, \"peers\": {}}\n"
        "]}\n");
    text_free(&text);
    stats_free(stats);
}

static void test_stats_without_samples_is_a_document(void **state)
{
    (void)state;
    struct stats *stats = stats_new("a\xff\"b", TIME_S);
    struct text text = {0};
    stats_print(stats, &text);
    json_t *document = json_loadb(text.at, text.len, 0, NULL);
    assert_non_null(document);
    assert_int_equal(json_array_size(json_object_get(document, "samples")), 0);
    assert_string_equal(json_string_value(json_object_get(document, "id")), "a\xef\xbf\xbd\"b");
    json_decref(document);
    text_free(&text);
    stats_free(stats);
    stats_free(NULL);
}

// Whatever a label of a channel may be, a reader takes the document.
static void test_stats_hostile_text(void **state)
{
    (void)state;
    static const char *const names[] = {"", "\x80", "\xed\xa0\x80", "a\nb", "\"\\", "\xf0\x9f\x98"};
    struct stats *stats = stats_new("x", TIME_S);
    struct text text = {0};
    stats_sample(stats, 0);
    stats_peer(stats, "\xc3(");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        stats_object(stats, "data-channel", names[i]);
        stats_text(stats, names[i], names[i]);
    }
    stats_object(stats, "data-channel", "twice");
    stats_object(stats, "data-channel", "twice");
    stats_number(stats, "least", INT64_MIN);
    stats_print(stats, &text);
    json_t *document = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(document);
    json_decref(document);
    text_free(&text);
    stats_free(stats);
}

// What does not fit is left out, whole samples, and said.
static void test_stats_full(void **state)
{
    (void)state;
    size_t len = STATS_BYTES_MAX / 3;
    char *big = malloc(len + 1);
    struct stats *stats = stats_new("x", TIME_S);
    struct text text = {0};
    assert_non_null(big);
    memset(big, 'a', len);
    big[len] = 0;
    for (int i = 1; i <= 4; i++) {
        stats_sample(stats, i * TIME_S);
        stats_peer(stats, "alice");
        stats_object(stats, "codec", "c");
        stats_text(stats, "mimeType", big);
    }
    stats_print(stats, &text);
    json_t *document = json_loadb(text.at, text.len, 0, NULL);
    assert_non_null(document);
    assert_int_equal(json_array_size(json_object_get(document, "samples")), 2);
    assert_true(json_is_true(json_object_get(document, "truncated")));
    json_decref(document);
    text_free(&text);
    stats_free(stats);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stats_document),
        cmocka_unit_test(test_stats_without_samples_is_a_document),
        cmocka_unit_test(test_stats_hostile_text),
        cmocka_unit_test(test_stats_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
