// Any description's sections of audio and video: what is read of them lies within the text and
// within its bounds; offered as ours, and answered, they are read and the same.
#include "fuzz/fuzz.h"
#include "fuzz/kit/sdp_mutate.h"
#include "stack/sdp/sdp_rtp.h"

// libFuzzer: -max_len=8192

static struct sdp described, offered, answered;
static struct sdp_rtp sections[SDP_MEDIA_MAX];

static void check_section(struct bytes text, const struct sdp_rtp *rtp)
{
    assert(rtp->direction <= SDP_SENDRECV && sdp_direction_name(rtp->direction));
    enum sdp_direction reversed = sdp_direction_reversed(rtp->direction);
    assert(sdp_direction_reversed(reversed) == rtp->direction);
    assert(rtp->formats_count <= SDP_FORMATS_MAX && rtp->extensions_count <= SDP_EXTENSIONS_MAX);
    assert(rtp->ssrcs_count <= SDP_SSRCS_MAX && rtp->groups_count <= SDP_SSRC_GROUPS_MAX);
    assert(rtp->rids_count <= SDP_RIDS_MAX && fuzz_is_inside(text, rtp->msid));
    for (unsigned i = 0; i < rtp->formats_count; i++) {
        const struct sdp_format *f = &rtp->formats[i];
        assert(f->type <= 127 && fuzz_is_inside(text, f->name) && fuzz_is_inside(text, f->fmtp));
        assert((f->name.len > 0) == (f->clock_rate > 0) && f->feedback < 32);
    }
    for (unsigned i = 0; i < rtp->extensions_count; i++) {
        const struct sdp_extension *e = &rtp->extensions[i];
        assert(e->id > 0 && e->id != 15 && e->uri.len > 0 && fuzz_is_inside(text, e->uri));
    }
    for (unsigned i = 0; i < rtp->ssrcs_count; i++)
        for (unsigned k = 0; k < i; k++)
            assert(rtp->ssrcs[i] != rtp->ssrcs[k]);
    for (unsigned i = 0; i < rtp->groups_count; i++)
        assert(rtp->groups[i].count <= 3 && rtp->groups[i].semantics.len > 0);
    for (unsigned i = 0; i < rtp->rids_count; i++)
        assert(rtp->rids[i].id.len > 0 && fuzz_is_inside(text, rtp->rids[i].id));
}

// What one of ours would say of it: formats that have a name, each type once.
struct ours {
    struct sdp_rtp_local local;
    struct sdp_format formats[SDP_FORMATS_MAX];
};

static void ours_of(struct ours *ours, const struct sdp_media *media, const struct sdp_rtp *rtp)
{
    *ours = (struct ours){.local = {.kind = bytes_is(media->kind, "audio") ? "audio" : "video",
                                    .mid = media->mid,
                                    .direction = rtp->direction,
                                    .extensions = rtp->extensions,
                                    .extensions_count = rtp->extensions_count,
                                    .reduced_size = rtp->reduced_size,
                                    .stream = "stream",
                                    .track = "track",
                                    .cname = "cname"}};
    for (unsigned i = 0; i < rtp->formats_count; i++) {
        bool twice = rtp->formats[i].name.len == 0;
        for (unsigned k = 0; k < ours->local.formats_count; k++)
            twice |= ours->formats[k].type == rtp->formats[i].type;
        if (!twice)
            ours->formats[ours->local.formats_count++] = rtp->formats[i];
    }
    ours->local.formats = ours->formats;
    for (unsigned i = 0; i < rtp->groups_count && ours->local.ssrcs_count < SDP_LAYERS_MAX; i++) {
        const struct sdp_ssrc_group *group = &rtp->groups[i];
        if (group->count != 2 || !group->ssrcs[0] || !group->ssrcs[1])
            continue;
        unsigned at = ours->local.ssrcs_count++;
        ours->local.ssrcs[at].media = group->ssrcs[0];
        ours->local.ssrcs[at].rtx = group->ssrcs[1];
    }
    for (unsigned i = 0; i < rtp->rids_count && ours->local.rids_count < SDP_LAYERS_MAX; i++)
        ours->local.rids[ours->local.rids_count++] = rtp->rids[i].id;
    ours->local.rids_send = rtp->rids_count > 0 && rtp->rids[0].send;
}

static void check_same(const struct sdp *sdp, const struct sdp_media *media,
                       const struct sdp_rtp_local *wrote)
{
    static struct sdp_rtp got;
    assert(sdp_is_rtp(media) && bytes_is(media->kind, wrote->kind));
    sdp_rtp_parse(sdp, media, &got);
    assert(got.ignored == 0 && got.rtcp_mux && got.direction == wrote->direction);
    assert(got.reduced_size == wrote->reduced_size);
    assert(got.formats_count == wrote->formats_count);
    for (unsigned i = 0; i < got.formats_count; i++) {
        const struct sdp_format *a = &wrote->formats[i], *b = &got.formats[i];
        assert(a->type == b->type && bytes_equal(a->name, b->name));
        assert(a->clock_rate == b->clock_rate && a->feedback == b->feedback);
        assert(bytes_equal(a->fmtp, b->fmtp) || a->fmtp.len == 0);
        assert(a->channels == b->channels || (a->channels <= 1 && b->channels <= 1));
    }
    assert(got.extensions_count == wrote->extensions_count);
    for (unsigned i = 0; i < got.extensions_count; i++)
        assert(got.extensions[i].id == wrote->extensions[i].id &&
               bytes_equal(got.extensions[i].uri, wrote->extensions[i].uri));
    assert(got.groups_count == wrote->ssrcs_count && got.rids_count == wrote->rids_count);
    for (unsigned i = 0; i < got.groups_count; i++)
        assert(got.groups[i].ssrcs[0] == wrote->ssrcs[i].media &&
               got.groups[i].ssrcs[1] == wrote->ssrcs[i].rtx);
    for (unsigned i = 0; i < got.rids_count; i++)
        assert(bytes_equal(got.rids[i].id, wrote->rids[i]) && got.rids[i].send == wrote->rids_send);
    assert(got.simulcast_send == (wrote->rids_count && wrote->rids_send));
    assert(bytes_is(got.msid, "stream track"));
}

static void parse_again(const struct text *text, struct sdp *out)
{
    enum sdp_outcome outcome = sdp_parse(text_bytes(text), out);
    if (outcome != SDP_OK) {
        fprintf(stderr, "%s at line %u:\n%s", sdp_outcome_name(outcome), out->error_line, text->at);
        abort();
    }
}

static void offer_and_answer(const struct sdp_rtp_local *const *locals, unsigned count)
{
    static const struct ice_credentials credentials = {.ufrag = "8hhY",
                                                       .pwd = "asd88fgpdd777uzjYhagZg"};
    static const struct dtls_fingerprint fingerprint = {
        .hash = "sha-256",
        .value = "6B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:"
                 "DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08"};
    static struct text offer, answer;
    struct sdp_local local = {.session_id = 1,
                              .session_version = 2,
                              .credentials = &credentials,
                              .trickle = true,
                              .fingerprint = &fingerprint,
                              .setup = SDP_SETUP_ACTPASS,
                              .sctp_port = 5000,
                              .max_message_size = 262144,
                              .media = locals,
                              .media_count = count};
    text_clear(&offer);
    text_clear(&answer);
    sdp_write_offer(&offer, &local);
    parse_again(&offer, &offered);
    assert(offered.media_count == count + 1);
    local.setup = SDP_SETUP_ACTIVE;
    sdp_write_answer(&answer, &local, &offered);
    parse_again(&answer, &answered);
    const char *why = sdp_answer_check(&offered, &answered);
    if (why) {
        fprintf(stderr, "%s:\n%s\n%s", why, offer.at, answer.at);
        abort();
    }
    for (unsigned i = 0; i < count; i++) {
        check_same(&offered, &offered.media[i], locals[i]);
        check_same(&answered, &answered.media[i], locals[i]);
    }
    assert(!sdp_transport_check(&offered, sdp_transport_media(&offered), false));
    assert(!sdp_transport_check(&answered, sdp_transport_media(&answered), false));
}

// Mids tell sections apart: what one of ours has been given is short and the section's alone.
static bool has_own_mid(const struct ours *ours, unsigned count, struct bytes mid)
{
    bool own = mid.len > 0 && mid.len <= 16;
    for (unsigned i = 0; i < count; i++)
        own &= !bytes_equal(ours[i].local.mid, mid);
    for (size_t i = 0; i < mid.len; i++) // also not those of the data channel: a number
        own &= mid.at[i] > '9';
    return own;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return seed % 2 ? LLVMFuzzerMutate(data, size, max) : sdp_mutate(data, size, max, seed / 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ours ours[4];
    static char names[4][2] = {"a", "b", "c", "d"};
    const struct sdp_rtp_local *locals[4];
    unsigned count = 0;
    struct bytes text = bytes_of(data, size);
    if (sdp_parse(text, &described) != SDP_OK)
        return 0;
    for (unsigned i = 0; i < described.media_count; i++) {
        const struct sdp_media *media = &described.media[i];
        sdp_rtp_parse(&described, media, &sections[i]);
        check_section(text, &sections[i]);
        if (count == 4 || !sdp_is_rtp(media) || sections[i].formats_count == 0)
            continue;
        ours_of(&ours[count], media, &sections[i]);
        if (!has_own_mid(ours, count, media->mid))
            ours[count].local.mid = bytes_of(names[count], 1);
        for (unsigned k = 0; k < count; k++) // a name of ours that is one of theirs
            if (bytes_equal(ours[k].local.mid, ours[count].local.mid))
                return 0;
        if (ours[count].local.formats_count == 0)
            continue;
        locals[count] = &ours[count].local;
        count++;
    }
    if (count > 0)
        offer_and_answer(locals, count);
    return 0;
}
