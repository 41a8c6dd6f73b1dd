// getStats() member by member: what the W3C names (https://www.w3.org/TR/webrtc-stats/, with the
// editor's draft of September 2025) and this stack can know is there, and nothing else is.
#include "scenarios/runner/run/run.h"

#include "base/arena.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>

// Two homes, so that candidates are of each type; a call both ways with losses, and a channel.
#define CALL                                                                                       \
    "name: call\n"                                                                                 \
    "network:\n"                                                                                   \
    "  wan: {delay: 15ms}\n"                                                                       \
    "  lans: {home: {}, office: {}}\n"                                                             \
    "servers: {turn: {at: wan}}\n"                                                                 \
    "peers: {alice: {at: home, ice-servers: [turn]}, bob: {at: office, ice-servers: [turn]}}\n"    \
    "limit: 8s\n"                                                                                  \
    "session:\n"                                                                                   \
    "  offerer: alice\n"                                                                           \
    "  data: [{label: chat, protocol: gossip}]\n"                                                  \
    "  media: [{label: talk, audio: opus}, {label: cam, video: VP8}]\n"                            \
    "timeline:\n"                                                                                  \
    "  - {at: 3s, send: {from: alice, channel: chat, messages: 3, size: 10}}\n"                    \
    "  - {at: 6s, close-channel: {peer: alice, channel: chat}}\n"

static const char *const base[] = {"type", "id", "timestamp", NULL};

// What may be there (`may`), and of that, what is there in the call above at its end (`must`).
// Left out of the W3C's: what no part of this stack knows. Times of coding, since it takes none of
// the virtual time; implementations, their power and QP; ECN; echo; corruption and PSNR.
struct type {
    const char *name;
    const char *const *must, *const *may;
};
#define LIST(...)                                                                                  \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }
#define NONE                                                                                       \
    (const char *const[])                                                                          \
    {                                                                                              \
        NULL                                                                                       \
    }
static const struct type types[] = {
    {"peer-connection", LIST("dataChannelsOpened", "dataChannelsClosed"), NONE},
    {"certificate", LIST("fingerprint", "fingerprintAlgorithm", "base64Certificate"), NONE},
    {"data-channel",
     LIST("label", "protocol", "dataChannelIdentifier", "state", "messagesSent", "bytesSent",
          "messagesReceived", "bytesReceived"),
     NONE},
    {"transport",
     LIST("packetsSent", "packetsReceived", "bytesSent", "bytesReceived", "iceRole",
          "iceLocalUsernameFragment", "dtlsState", "iceState", "selectedCandidatePairId",
          "localCertificateId", "remoteCertificateId", "tlsVersion", "dtlsCipher", "dtlsRole",
          "srtpCipher", "selectedCandidatePairChanges", "ccfbMessagesSent", "ccfbMessagesReceived"),
     NONE},
    {"local-candidate",
     LIST("transportId", "address", "port", "protocol", "candidateType", "priority", "foundation",
          "usernameFragment"),
     LIST("url", "relayProtocol", "relatedAddress", "relatedPort")},
    {"remote-candidate",
     LIST("transportId", "address", "port", "protocol", "candidateType", "priority", "foundation",
          "usernameFragment"),
     LIST("relatedAddress", "relatedPort")},
    {"candidate-pair",
     LIST("transportId", "localCandidateId", "remoteCandidateId", "state", "nominated",
          "packetsSent", "packetsReceived", "bytesSent", "bytesReceived", "totalRoundTripTime",
          "requestsReceived", "requestsSent", "responsesReceived", "responsesSent",
          "consentRequestsSent", "packetsDiscardedOnSend", "bytesDiscardedOnSend"),
     LIST("lastPacketSentTimestamp", "lastPacketReceivedTimestamp", "currentRoundTripTime",
          "availableOutgoingBitrate", "availableIncomingBitrate")},
    {"codec", LIST("payloadType", "transportId", "mimeType", "clockRate"),
     LIST("channels", "sdpFmtpLine")},
    {"inbound-rtp",
     LIST("ssrc", "kind", "transportId", "codecId", "packetsReceived", "packetsLost", "jitter",
          "trackIdentifier", "mid", "remoteId", "lastPacketReceivedTimestamp",
          "headerBytesReceived", "packetsDiscarded", "fecBytesReceived", "fecPacketsReceived",
          "fecPacketsDiscarded", "bytesReceived", "nackCount", "totalProcessingDelay",
          "estimatedPlayoutTimestamp", "jitterBufferDelay", "jitterBufferTargetDelay",
          "jitterBufferEmittedCount", "jitterBufferMinimumDelay"),
     LIST("framesDecoded", "keyFramesDecoded", "framesRendered", "framesDropped", "frameWidth",
          "frameHeight", "framesPerSecond", "totalInterFrameDelay", "totalSquaredInterFrameDelay",
          "pauseCount", "totalPausesDuration", "freezeCount", "totalFreezesDuration", "firCount",
          "pliCount", "framesReceived", "framesAssembledFromMultiplePackets", "totalAssemblyTime",
          "retransmittedPacketsReceived", "retransmittedBytesReceived", "rtxSsrc", "fecSsrc",
          "totalSamplesReceived", "concealedSamples", "silentConcealedSamples", "concealmentEvents",
          "insertedSamplesForDeceleration", "removedSamplesForAcceleration", "audioLevel",
          "totalAudioEnergy", "totalSamplesDuration", "playoutId")},
    {"remote-inbound-rtp",
     LIST("ssrc", "kind", "transportId", "codecId", "packetsReceived", "packetsLost", "jitter",
          "localId", "roundTripTime", "totalRoundTripTime", "fractionLost",
          "roundTripTimeMeasurements"),
     LIST("packetsReportedAsLost", "packetsReportedAsLostButRecovered")},
    {"outbound-rtp",
     LIST("ssrc", "kind", "transportId", "codecId", "packetsSent", "bytesSent", "mid",
          "mediaSourceId", "remoteId", "encodingIndex", "headerBytesSent",
          "retransmittedPacketsSent", "retransmittedBytesSent", "targetBitrate",
          "totalPacketSendDelay", "nackCount", "active"),
     LIST("rid", "rtxSsrc", "totalEncodedBytesTarget", "frameWidth", "frameHeight",
          "framesPerSecond", "framesSent", "hugeFramesSent", "framesEncoded", "keyFramesEncoded",
          "qualityLimitationReason", "qualityLimitationDurations",
          "qualityLimitationResolutionChanges", "firCount", "pliCount", "scalabilityMode")},
    {"remote-outbound-rtp",
     LIST("ssrc", "kind", "transportId", "codecId", "packetsSent", "bytesSent", "localId",
          "remoteTimestamp", "reportsSent", "totalRoundTripTime", "roundTripTimeMeasurements"),
     LIST("roundTripTime")},
    {"media-source", LIST("trackIdentifier", "kind"),
     LIST("audioLevel", "totalAudioEnergy", "totalSamplesDuration", "width", "height", "frames",
          "framesPerSecond")},
    {"media-playout",
     LIST("kind", "synthesizedSamplesDuration", "synthesizedSamplesEvents", "totalSamplesDuration",
          "totalPlayoutDelay", "totalSamplesCount"),
     NONE},
};
#define TYPES (sizeof types / sizeof types[0])

static json_t *stats_of(const char *text, nanotime interval, struct run **run,
                        struct scenario_set *set)
{
    struct err err = {0};
    struct text printed = {0};
    *set = (struct scenario_set){0};
    if (!scenario_load_text(set, "call.yaml", bytes_text(text), &err))
        fail_msg("%s", err.text);
    struct run_options options = {.stats_interval = interval, .live_fd = -1};
    *run = run_new(set->scenarios[0], &options);
    run_go(*run);
    assert_true(run_stats(*run, &printed));
    json_t *document = json_loadb(printed.at, printed.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(document);
    text_free(&printed);
    return document;
}

static void stats_end(json_t *document, struct run *run, struct scenario_set *set)
{
    json_decref(document);
    run_free(run);
    scenario_set_free(set);
}

// The objects of a peer in a sample; -1: the last.
static json_t *peer_of(json_t *document, int sample, const char *peer)
{
    json_t *samples = json_object_get(document, "samples");
    size_t index = sample < 0 ? json_array_size(samples) - 1 : (size_t)sample;
    json_t *found = json_object_get(json_object_get(json_array_get(samples, index), "peers"), peer);
    assert_non_null(found);
    return found;
}

static const char *text_of(json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text ? text : "";
}

static json_int_t count_of(json_t *object, const char *member)
{
    json_t *value = json_object_get(object, member);
    if (!json_is_integer(value))
        fail_msg("no count %s", member);
    return json_integer_value(value);
}

static json_t *selected_of(json_t *peer)
{
    const char *id = text_of(json_object_get(peer, "transport"), "selectedCandidatePairId");
    json_t *pair = json_object_get(peer, id);
    assert_non_null(pair);
    return pair;
}

static bool is_among(const char *name, const char *const *names)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

static void check_members(json_t *object, const struct type *type, bool whole)
{
    for (void *i = json_object_iter(object); i; i = json_object_iter_next(object, i)) {
        const char *name = json_object_iter_key(i);
        if (!is_among(name, base) && !is_among(name, type->must) && !is_among(name, type->may))
            fail_msg("%s has %s", text_of(object, "id"), name);
    }
    for (const char *const *name = type->must; whole && *name; name++) {
        if (!json_object_get(object, *name))
            fail_msg("%s has no %s", text_of(object, "id"), *name);
    }
}

static const struct type *type_of(json_t *object)
{
    for (size_t i = 0; i < TYPES; i++) {
        if (strcmp(types[i].name, text_of(object, "type")) == 0)
            return &types[i];
    }
    fail_msg("the W3C has no type %s", text_of(object, "type"));
    return NULL;
}

static void test_call_stats_have_the_members_of_the_w3c(void **state)
{
    (void)state;
    struct run *run;
    struct scenario_set set;
    json_t *document = stats_of(CALL, 100 * TIME_MS, &run, &set);
    size_t samples = json_array_size(json_object_get(document, "samples"));
    unsigned seen[TYPES] = {0};
    for (size_t k = 0; k < samples; k++) {
        json_t *peer = peer_of(document, (int)k, k % 2 ? "bob" : "alice");
        bool last = k + 1 == samples;
        for (void *i = json_object_iter(peer); i; i = json_object_iter_next(peer, i)) {
            json_t *object = json_object_iter_value(i);
            const struct type *type = type_of(object);
            check_members(object, type, last);
            seen[type - types] += last;
        }
    }
    for (size_t i = 0; i < TYPES; i++) {
        if (!seen[i])
            fail_msg("no %s", types[i].name);
    }
    stats_end(document, run, &set);
}

// ------------------------------------------------------------------------------ pairs, candidates

static void test_call_stats_of_pairs(void **state)
{
    (void)state;
    struct run *run;
    struct scenario_set set;
    json_t *document = stats_of(CALL, TIME_S, &run, &set);
    static const char *const members[][2] = {{"packetsSent", "pair.packetsSent"},
                                             {"bytesReceived", "pair.bytesReceived"},
                                             {"requestsSent", "pair.requestsSent"},
                                             {"responsesSent", "pair.responsesSent"},
                                             {"requestsReceived", "pair.requestsReceived"}};
    struct result result;
    run_result(run, &result);
    static const char *const names[] = {"alice", "bob"};
    for (unsigned i = 0; i < 2; i++) {
        json_t *peer = peer_of(document, -1, names[i]), *pair = selected_of(peer);
        json_t *transport = json_object_get(peer, "transport");
        assert_string_equal(text_of(pair, "state"), "succeeded");
        assert_true(json_is_true(json_object_get(pair, "nominated")));
        // One pair carried it all.
        assert_int_equal(count_of(transport, "selectedCandidatePairChanges"), 1);
        assert_int_equal(count_of(pair, "packetsSent"), count_of(transport, "packetsSent"));
        assert_int_equal(count_of(pair, "bytesReceived"), count_of(transport, "bytesReceived"));
        assert_true(count_of(pair, "availableOutgoingBitrate") > 100000);
        assert_true(json_number_value(json_object_get(pair, "currentRoundTripTime")) >= 0.03);
        for (unsigned k = 0; k < sizeof members / sizeof members[0]; k++) {
            char name[60], value[24];
            snprintf(name, sizeof name, "%s.%s", names[i], members[k][1]);
            snprintf(value, sizeof value, "%lld", (long long)count_of(pair, members[k][0]));
            unsigned m = 0;
            while (m < result.metrics_count && strcmp(result.metrics[m].name, name) != 0)
                m++;
            assert_true(m < result.metrics_count);
            assert_string_equal(result.metrics[m].value, value);
        }
    }
    stats_end(document, run, &set);
}

static void test_call_stats_of_candidates(void **state)
{
    (void)state;
    struct run *run;
    struct scenario_set set;
    json_t *document = stats_of(CALL, TIME_S, &run, &set);
    json_t *alice = peer_of(document, -1, "alice"), *bob = peer_of(document, -1, "bob");
    unsigned host = 0, srflx = 0, relay = 0, others = 0;
    for (void *i = json_object_iter(alice); i; i = json_object_iter_next(alice, i)) {
        json_t *object = json_object_iter_value(i);
        const char *kind = text_of(object, "candidateType"), *url = text_of(object, "url");
        if (strcmp(text_of(object, "type"), "remote-candidate") == 0) {
            others++;
            assert_string_equal(
                text_of(object, "usernameFragment"),
                text_of(json_object_get(bob, "transport"), "iceLocalUsernameFragment"));
        }
        if (strcmp(text_of(object, "type"), "local-candidate") != 0)
            continue;
        bool of_turn = strncmp(url, "turn:", 5) == 0 && strstr(url, ":3478?transport=udp");
        host += strcmp(kind, "host") == 0 && !*url;
        srflx += strcmp(kind, "srflx") == 0 && of_turn && !*text_of(object, "relayProtocol");
        relay += strcmp(kind, "relay") == 0 && of_turn &&
                 strcmp(text_of(object, "relayProtocol"), "udp") == 0;
        assert_string_equal(
            text_of(object, "usernameFragment"),
            text_of(json_object_get(alice, "transport"), "iceLocalUsernameFragment"));
    }
    assert_int_equal(host, 1);
    assert_int_equal(srflx, 1);
    assert_int_equal(relay, 1);
    assert_true(others >= 3);
    stats_end(document, run, &set);
}

static void test_call_stats_of_the_rest(void **state)
{
    (void)state;
    struct run *run;
    struct scenario_set set;
    json_t *document = stats_of(CALL, TIME_S, &run, &set);
    json_t *alice = peer_of(document, 4, "alice"), *bob = peer_of(document, 4, "bob");
    json_t *channel = json_object_get(bob, "channel-0");
    assert_string_equal(text_of(channel, "protocol"), "gossip");
    assert_string_equal(text_of(channel, "state"), "open");
    assert_int_equal(count_of(channel, "dataChannelIdentifier"), 1);
    assert_int_equal(count_of(channel, "messagesReceived"), 3);
    assert_int_equal(count_of(channel, "bytesReceived"), 30);
    assert_int_equal(count_of(json_object_get(alice, "channel-0"), "bytesSent"), 30);
    assert_int_equal(count_of(json_object_get(alice, "peer-connection"), "dataChannelsOpened"), 1);
    assert_int_equal(count_of(json_object_get(alice, "peer-connection"), "dataChannelsClosed"), 0);
    json_t *later = peer_of(document, -1, "alice"); // closed, and still there
    assert_string_equal(text_of(json_object_get(later, "channel-0"), "state"), "closed");
    assert_int_equal(count_of(json_object_get(later, "channel-0"), "bytesSent"), 30);
    assert_int_equal(count_of(json_object_get(later, "peer-connection"), "dataChannelsOpened"), 1);
    assert_int_equal(count_of(json_object_get(later, "peer-connection"), "dataChannelsClosed"), 1);
    assert_string_equal(text_of(json_object_get(alice, "codec-talk"), "sdpFmtpLine"),
                        "minptime=10;useinbandfec=1");
    assert_int_equal(count_of(json_object_get(alice, "codec-talk"), "channels"), 2);
    assert_null(json_object_get(json_object_get(alice, "codec-cam"), "sdpFmtpLine")); // it has none
    json_t *talk = json_object_get(bob, "inbound-talk");
    assert_null(json_object_get(talk, "retransmittedPacketsReceived")); // no RTX was agreed on
    assert_true(json_equal(json_object_get(talk, "totalProcessingDelay"),
                           json_object_get(talk, "jitterBufferDelay")));
    assert_string_equal(
        text_of(json_object_get(peer_of(document, 0, "bob"), "transport"), "dtlsRole"), "client");
    stats_end(document, run, &set);
}

// RFC 8445 9: after a restart there are others under other names; the one that still carries data
// stays until then.
static void test_call_stats_over_a_restart(void **state)
{
    (void)state;
    struct run *run;
    struct scenario_set set;
    json_t *document = stats_of("name: restart\n"
                                "network: {wan: {delay: 20ms}}\n"
                                "peers: {alice: {at: wan}, bob: {at: wan}}\n"
                                "limit: 4s\n"
                                "session: {offerer: alice, audio: opus}\n"
                                "timeline: [{at: 2s, restart-ice: alice}]\n",
                                50 * TIME_MS, &run, &set);
    json_t *before = peer_of(document, 38, "alice"), *after = peer_of(document, -1, "alice");
    assert_string_equal(text_of(json_object_get(before, "transport"), "selectedCandidatePairId"),
                        "candidate-pair-0");
    assert_string_equal(text_of(json_object_get(after, "transport"), "selectedCandidatePairId"),
                        "candidate-pair-1");
    assert_int_equal(count_of(json_object_get(after, "transport"), "selectedCandidatePairChanges"),
                     2);
    assert_null(json_object_get(after, "candidate-pair-0"));
    assert_null(json_object_get(after, "local-candidate-0"));
    assert_string_equal(text_of(selected_of(after), "localCandidateId"), "local-candidate-1");
    unsigned both = 0;
    for (int k = 39; k < 45; k++) {
        json_t *alice = peer_of(document, k, "alice");
        both += json_object_get(alice, "candidate-pair-0") &&
                json_object_get(alice, "candidate-pair-1");
    }
    assert_true(both > 0);
    // What the two carried is what the transport did.
    json_t *last = NULL;
    for (int k = 39; k < 60; k++) {
        json_t *pair = json_object_get(peer_of(document, k, "alice"), "candidate-pair-0");
        last = pair ? pair : last;
    }
    json_int_t sent = count_of(last, "packetsSent") + count_of(selected_of(after), "packetsSent");
    json_int_t all = count_of(json_object_get(after, "transport"), "packetsSent");
    assert_true(sent <= all && all - sent <= 4); // what went out after the last look
    stats_end(document, run, &set);
}

int main(void)
{
    struct err err = {0};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_call_stats_have_the_members_of_the_w3c),
        cmocka_unit_test(test_call_stats_of_pairs),
        cmocka_unit_test(test_call_stats_of_candidates),
        cmocka_unit_test(test_call_stats_of_the_rest),
        cmocka_unit_test(test_call_stats_over_a_restart),
    };
    if (!run_library_init(&err)) {
        fputs(err.text, stderr);
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    run_library_fini();
    return failed;
}
