// An answer to any offer that parses is a description, and fits the offer.
#include "fuzz/fuzz.h"
#include "fuzz/kit/sdp_mutate.h"
#include "stack/sdp/sdp.h"

// libFuzzer: -max_len=8192

static struct sdp offer, answer;

// As the peer chooses it: active, unless the offer leaves passive alone.
static enum sdp_setup setup_for(enum sdp_setup offered)
{
    return offered == SDP_SETUP_NONE || offered == SDP_SETUP_HOLDCONN ? SDP_SETUP_NONE
           : offered == SDP_SETUP_ACTIVE                              ? SDP_SETUP_PASSIVE
                                                                      : SDP_SETUP_ACTIVE;
}

static void check_sections(void)
{
    assert(answer.media_count == offer.media_count);
    unsigned accepted = 0;
    for (unsigned i = 0; i < answer.media_count; i++) {
        assert(bytes_equal(answer.media[i].mid, offer.media[i].mid));
        accepted += answer.media[i].port != 0;
    }
    assert(accepted <= 1); // the data channel's, or none
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return seed % 2 ? LLVMFuzzerMutate(data, size, max) : sdp_mutate(data, size, max, seed / 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ice_credentials credentials = {.ufrag = "8hhY",
                                                       .pwd = "asd88fgpdd777uzjYhagZg"};
    static const struct dtls_fingerprint fingerprint = {
        .hash = "sha-256",
        .value = "6B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:"
                 "DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08"};
    if (size > 8192 || sdp_parse(bytes_of(data, size), &offer) != SDP_OK)
        return 0;
    const struct sdp_media *media = sdp_data_media(&offer);
    if (media && media->setup == SDP_SETUP_HOLDCONN) // sdp_data_check refuses the offer
        return 0;
    const struct sdp_local local = {
        .session_id = 1,
        .session_version = 2,
        .credentials = &credentials,
        .trickle = true,
        .fingerprint = &fingerprint,
        .setup = media ? setup_for(media->setup) : SDP_SETUP_ACTIVE,
        .sctp_port = 5000,
        .max_message_size = 262144,
    };
    static struct text text;
    text_clear(&text);
    sdp_write_answer(&text, &local, &offer);
    enum sdp_outcome outcome = sdp_parse(text_bytes(&text), &answer);
    const char *why = outcome == SDP_OK ? sdp_answer_check(&offer, &answer) : NULL;
    if (outcome != SDP_OK || why) {
        fprintf(stderr, "%s at line %u, %s:\n%s", sdp_outcome_name(outcome), answer.error_line,
                why ? why : "", text.at);
        abort();
    }
    check_sections();
    const struct sdp_media *answered = sdp_data_media(&answer);
    if (media && answered && answered->port != 0 && !sdp_data_check(&offer, media, false))
        assert(!sdp_data_check(&answer, answered, false));
    return 0;
}
