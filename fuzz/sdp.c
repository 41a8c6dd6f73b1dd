// Any text as a session description: the outcome does not depend on what was parsed before, all
// that is borrowed lies within the text, and what this stack understood is written, read and the
// same.
#include "fuzz/fuzz.h"
#include "fuzz/kit/sdp_mutate.h"
#include "stack/sdp/sdp.h"

// libFuzzer: -max_len=8192

#define NS_PER_BYTE 200u

static struct sdp clean, used, again;

// What the description before has left, and one place more of each list, which may have been begun:
// all that is there would be slow.
static void clean_up(void)
{
    for (unsigned i = 0; i < clean.media_count; i++) {
        struct sdp_media *media = &clean.media[i];
        unsigned fingerprints = media->fingerprints_count < SDP_FINGERPRINTS_MAX,
                 candidates = media->candidates_count < SDP_CANDIDATES_MAX;
        fingerprints += media->fingerprints_count;
        candidates += media->candidates_count;
        memset(media->fingerprints, 0, fingerprints * sizeof media->fingerprints[0]);
        memset(media->candidates, 0, candidates * sizeof media->candidates[0]);
        memset(media, 0, offsetof(struct sdp_media, fingerprints));
        memset(&media->fingerprints_count, 0,
               offsetof(struct sdp_media, candidates) -
                   offsetof(struct sdp_media, fingerprints_count));
        memset(&media->candidates_count, 0,
               sizeof *media - offsetof(struct sdp_media, candidates_count));
    }
    clean.media_count = 0;
}

static void check_media(struct bytes text, const struct sdp_media *media)
{
    assert(fuzz_is_inside(text, media->kind) && media->kind.len > 0);
    assert(fuzz_is_inside(text, media->protocol) && fuzz_is_inside(text, media->formats));
    assert(fuzz_is_inside(text, media->mid) && fuzz_is_inside(text, media->tls_id));
    assert(fuzz_is_inside(text, media->ufrag) && fuzz_is_inside(text, media->pwd));
    assert(fuzz_is_inside(text, media->lines) && bytes_starts(media->lines, "m="));
    assert(media->ufrag.len < ICE_UFRAG_MAX && media->pwd.len < ICE_PWD_MAX);
    assert(media->fingerprints_count <= SDP_FINGERPRINTS_MAX);
    assert(media->candidates_count <= SDP_CANDIDATES_MAX);
    for (unsigned i = 0; i < media->candidates_count; i++)
        assert(media->candidates[i].addr.port > 0 && media->candidates[i].component == 1);
}

static void check_media_equal(const struct sdp_media *a, const struct sdp_media *b)
{
    assert(bytes_equal(a->ufrag, b->ufrag) && bytes_equal(a->pwd, b->pwd));
    assert(a->setup == b->setup && a->trickle == b->trickle);
    assert(a->end_of_candidates == b->end_of_candidates);
    assert(a->sctp_port == b->sctp_port && a->max_message_size == b->max_message_size);
    assert(a->candidates_count == b->candidates_count);
    for (unsigned i = 0; i < a->candidates_count; i++) {
        const struct ice_candidate *c = &a->candidates[i], *d = &b->candidates[i];
        assert(c->type == d->type && c->priority == d->priority && addr_equal(&c->addr, &d->addr));
        assert(strcmp(c->foundation, d->foundation) == 0);
    }
    if (a->fingerprints_count > 0) {
        assert(strcmp(a->fingerprints[0].hash, b->fingerprints[0].hash) == 0);
        assert(strcmp(a->fingerprints[0].value, b->fingerprints[0].value) == 0);
    }
}

// Over what another description left, the same comes of it.
static void check_same(struct bytes text, enum sdp_outcome outcome)
{
    assert(sdp_parse(text, &used) == outcome);
    assert(clean.error_line == used.error_line && clean.media_count == used.media_count);
    if (outcome != SDP_OK)
        return;
    assert(clean.session_id == used.session_id && clean.ice_lite == used.ice_lite);
    assert(clean.session_version == used.session_version);
    assert(clean.bundle_count == used.bundle_count && clean.bundle_count <= SDP_MEDIA_MAX);
    for (unsigned i = 0; i < clean.bundle_count; i++)
        assert(bytes_equal(clean.bundle[i], used.bundle[i]));
    for (unsigned i = 0; i < clean.media_count; i++) {
        const struct sdp_media *a = &clean.media[i], *b = &used.media[i];
        check_media_equal(a, b);
        assert(bytes_equal(a->lines, b->lines) && bytes_equal(a->kind, b->kind));
        assert(bytes_equal(a->mid, b->mid) && bytes_equal(a->tls_id, b->tls_id));
        assert(a->port == b->port && a->bundle_only == b->bundle_only);
        assert(a->has_sctp_port == b->has_sctp_port && a->old_sctp == b->old_sctp);
        assert(a->has_max_message_size == b->has_max_message_size);
        assert(a->fingerprints_count == b->fingerprints_count);
        assert(a->candidates_ignored == b->candidates_ignored);
    }
}

static void write_and_read(const struct sdp_media *media)
{
    struct ice_credentials credentials;
    bytes_copy_text(media->ufrag, credentials.ufrag, sizeof credentials.ufrag);
    bytes_copy_text(media->pwd, credentials.pwd, sizeof credentials.pwd);
    const struct sdp_local local = {
        .session_id = clean.session_id,
        .session_version = clean.session_version,
        .credentials = &credentials,
        .ice_lite = clean.ice_lite,
        .trickle = media->trickle,
        .end_of_candidates = media->end_of_candidates,
        .fingerprint = media->fingerprints_count ? &media->fingerprints[0] : NULL,
        .setup = media->setup,
        .candidates = media->candidates,
        .candidates_count = media->candidates_count,
        .sctp_port = media->sctp_port,
        .max_message_size = media->max_message_size,
    };
    static struct text text;
    text_clear(&text);
    sdp_write_offer(&text, &local);
    assert(sdp_parse(text_bytes(&text), &again) == SDP_OK);
    assert(again.session_id == clean.session_id && again.ice_lite == clean.ice_lite);
    assert(again.session_version == clean.session_version);
    const struct sdp_media *read = sdp_data_media(&again);
    assert(read && again.media_count == 1);
    check_media_equal(media, read);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return seed % 2 ? LLVMFuzzerMutate(data, size, max) : sdp_mutate(data, size, max, seed / 2);
}

// The first look, by a clock that costs nothing: work takes no less of it than of the processor.
static bool may_be_slow(nanotime since, size_t size)
{
#ifdef SIMRTC_FUZZ_TIMED
    nanotime took = clock_real() - since;
    return took > TIME_MS && (uint64_t)took > size * (uint64_t)NS_PER_BYTE;
#else
    (void)since, (void)size;
    return false;
#endif
}

// Every line is looked at once. What is slow five times in a row is not so for want of a processor.
static void check_time(struct bytes text)
{
    bool slow = true;
    for (unsigned tries = 0; slow && tries < 5; tries++) {
        uint64_t since = fuzz_time_us();
        sdp_parse(text, &used);
        slow = fuzz_is_slow(since, text.len, NS_PER_BYTE);
    }
    if (slow) {
        fprintf(stderr, "%zu bytes took more than %u ns each\n", text.len, NS_PER_BYTE);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of(data, size);
    clean_up();
    nanotime since = clock_real();
    enum sdp_outcome outcome = sdp_parse(text, &clean);
    assert(outcome < SDP_OUTCOMES);
    if (may_be_slow(since, size))
        check_time(text);
    assert(outcome == SDP_OK || outcome == SDP_MISSING || clean.error_line > 0);
    if (size % 4 == 0) // a quarter of all finds it as well
        check_same(text, outcome);
    if (outcome != SDP_OK)
        return 0;
    for (unsigned i = 0; i < clean.media_count; i++)
        check_media(text, &clean.media[i]);
    const struct sdp_media *media = sdp_data_media(&clean);
    (void)sdp_data_check(&clean, media, false);
    if (media && media->ufrag.len > 0 && media->pwd.len > 0)
        write_and_read(media);
    return 0;
}
