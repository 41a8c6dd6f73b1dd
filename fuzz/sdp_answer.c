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
        const struct sdp_media *asked = &offer.media[i], *said = &answer.media[i];
        assert(bytes_equal(said->mid, asked->mid) && bytes_equal(said->kind, asked->kind));
        assert(bytes_equal(said->protocol, asked->protocol));
        // RFC 3264 6, RFC 9143 6: what was offered with port 0 stays so, but for BUNDLE's sake.
        assert(said->port == 0 || asked->port != 0 || asked->bundle_only);
        // RFC 8841 10.3: an association that is to be closed.
        assert(said->port == 0 || !asked->has_sctp_port || asked->sctp_port != 0);
        accepted += said->port != 0;
    }
    assert(accepted <= 1); // the data channel's, or none
    // RFC 9143 7.3.1: in the group is what was in the offer's, and is accepted.
    for (unsigned i = 0; i < answer.bundle_count; i++) {
        bool offered = false, taken = false;
        for (unsigned k = 0; k < offer.bundle_count; k++)
            offered |= bytes_equal(offer.bundle[k], answer.bundle[i]);
        for (unsigned k = 0; k < answer.media_count; k++)
            taken |=
                answer.media[k].port != 0 && bytes_equal(answer.media[k].mid, answer.bundle[i]);
        assert(offered && taken);
    }
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
