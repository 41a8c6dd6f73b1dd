// Offers, answers and candidates (RFC 9429 4, RFC 8838), in any order that a signaling channel may
// deliver them: a message seen before is taken and does nothing, a candidate that comes before its
// description waits for it, an old description is passed over.
#include "stack/peer/peer_priv.h"

#include "base/arena.h"

#include <assert.h>
#include <stdio.h>

// Descriptions are read at once and borrowed from only until the call ends. One thread; each use
// begins with a parse, so that nothing of another peer is ever seen.
static struct sdp theirs, ours;

bool peer_signaling_refuse(struct peer *p, nanotime now, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(p->error, sizeof p->error, format, args);
    va_end(args);
    trace(&p->trace, now, "refused: %s", p->error);
    return false;
}

// ----------------------------------------------------------------------------------- local side

void peer_local_candidate(struct peer *p, nanotime now, const struct ice_candidate *candidate)
{
    char addr[ADDR_TEXT_MAX];
    if (p->locals_count == PEER_LOCAL_CANDIDATES_MAX)
        return;
    const struct ice_candidate *made = ice_agent_add_local(p->ice, now, candidate);
    if (!made)
        return; // RFC 8445 5.1.3: redundant
    if (p->locals_count == p->locals_max) {
        p->locals_max = p->locals_max ? p->locals_max * 2 : 4;
        p->locals = mem_grow(p->locals, p->locals_max * sizeof *p->locals);
    }
    p->locals[p->locals_count++] = *made;
    p->stats.candidates[made->type]++;
    p->changed = true;
    trace(&p->trace, now, "candidate %s %s", ice_candidate_type_name(made->type),
          addr_print(&made->addr, addr));
}

void peer_gathered(struct peer *p, nanotime now)
{
    p->gathered = true;
    ice_agent_local_done(p->ice, now);
    peer_set_gathering(p, now, PEER_GATHER_COMPLETE);
}

static void start_gathering(struct peer *p, nanotime now)
{
    p->gathering_started = true;
    p->locals_count = p->locals_told = 0;
    p->gathered = p->end_told = p->described = false;
    memset(p->stats.candidates, 0, sizeof p->stats.candidates);
    gather_start(&p->gather, now);
    peer_set_gathering(p, now, PEER_GATHERING);
}

// RFC 8445 9: new credentials, candidates from the beginning; the selected pair stays in use.
static void restart_ice(struct peer *p, nanotime now)
{
    trace(&p->trace, now, "ICE restarts");
    p->stats.restarts++;
    p->release_at = TIME_NEVER;
    ice_agent_restart(p->ice, now);
    start_gathering(p, now);
}

static enum sdp_setup answer_setup(const struct peer *p, enum sdp_setup offered)
{
    if (p->dtls) // RFC 8842 5.3: the same role, or it would be another association
        return dtls_role(p->dtls) == DTLS_CLIENT ? SDP_SETUP_ACTIVE : SDP_SETUP_PASSIVE;
    if (offered == SDP_SETUP_ACTIVE)
        return SDP_SETUP_PASSIVE;
    if (offered == SDP_SETUP_PASSIVE)
        return SDP_SETUP_ACTIVE;
    // RFC 8842 5.3: active is what an answerer should choose.
    return p->config.setup == PEER_SETUP_PASSIVE ? SDP_SETUP_PASSIVE : SDP_SETUP_ACTIVE;
}

// An answer between an ICE restart that was rolled back and its new offer.
static bool keeps_old_credentials(const struct peer *p)
{
    return p->answer_due && p->restarting;
}

static struct sdp_local local_description(const struct peer *p, enum sdp_setup setup)
{
    const struct peer_config *config = &p->config;
    bool old = keeps_old_credentials(p); // whose candidates the other side has
    const struct dtls_fingerprint *fingerprint = NULL;
    if (!config->ice_only)
        fingerprint = dtls_identity_fingerprint(
            dtls_identity_pooled(config->identity + (config->wrong_fingerprint ? 1 : 0)));
    return (struct sdp_local){
        .session_id = p->session_id,
        .session_version = p->session_version,
        .credentials = old ? &p->before_restart : ice_agent_credentials(p->ice),
        .ice_lite = config->ice_lite,
        .trickle = config->trickle,
        .end_of_candidates = p->gathered && !old,
        .fingerprint = fingerprint,
        .setup = config->ice_only ? SDP_SETUP_NONE : setup,
        .candidates = p->locals,
        .candidates_count = old ? 0 : p->locals_count,
        .sctp_port = config->sctp_port ? config->sctp_port : 5000,
        .max_message_size = config->max_message_size ? config->max_message_size : 262144,
    };
}

// Everything known by now is in a description that goes out now.
static void told_all(struct peer *p)
{
    p->described = true;
    p->locals_told = p->locals_count;
    p->end_told = p->gathered;
}

// What both agreed on last, into `theirs` and `ours`. Returns the answer; NULL: nothing yet.
static const struct sdp *agreed_read(const struct peer *p, const struct sdp **offer)
{
    if (!p->has_accepted)
        return NULL;
    enum sdp_outcome outcome = sdp_parse(text_bytes(&p->accepted), &theirs);
    assert(outcome == SDP_OK); // it was taken before
    outcome = sdp_parse(text_bytes(p->accepted_answer ? &p->offered : &p->description), &ours);
    assert(outcome == SDP_OK); // our own
    *offer = p->accepted_answer ? &ours : &theirs;
    return p->accepted_answer ? &theirs : &ours;
}

// RFC 9429 5.2.2: of a session without data channels, once one was opened.
static bool wants_data(const struct peer *p, const struct sdp *agreed)
{
    const struct sdp_media *data = agreed ? sdp_data_media(agreed) : NULL;
    return !agreed || (data && data->port != 0) || (!p->channels && p->early_channels_count > 0);
}

static void write_offer(struct peer *p, nanotime now, struct peer_output *out)
{
    // RFC 8842 5.2: an offerer says actpass, each time.
    struct sdp_local local = local_description(p, SDP_SETUP_ACTPASS);
    const struct sdp *before = NULL;
    local.agreed = agreed_read(p, &before);
    local.no_data = !wants_data(p, local.agreed);
    peer_media_offer(p, now, before, &local);
    struct text made = {0}; // what it is made from may be the offer before
    sdp_write_offer(&made, &local);
    text_free(&p->offered);
    p->offered = made;
    *out = (struct peer_output){.kind = PEER_DESCRIPTION, .bytes = text_bytes(&p->offered)};
    p->describe_due = false;
    told_all(p);
}

static void offer_begin(struct peer *p, nanotime now)
{
    p->describe_due = true;
    p->session_version++;
    peer_set_signaling(p, now, PEER_HAVE_LOCAL_OFFER);
}

// After a rollback, once the other offer is answered: what of ours did not find its place in it?
static void offer_again(struct peer *p, nanotime now)
{
    p->offer_again = false;
    bool data = !p->channels && p->early_channels_count > 0;
    if (p->restarting || data || peer_media_needs_offer(p))
        offer_begin(p, now);
}

// The section of the data channels, unless it is rejected, closed (RFC 8841 10.3) while there are
// others, or has another transport than them.
static const struct sdp_media *data_in_use(const struct sdp_media *transport)
{
    const struct sdp_media *data = sdp_data_media(&theirs);
    bool closed = data && data->has_sctp_port && data->sctp_port == 0;
    bool in_use = data && (data->port != 0 || data->bundle_only) && !closed;
    return in_use && transport && sdp_is_bundled(&theirs, data, transport) ? data : NULL;
}

static void write_answer(struct peer *p, nanotime now, struct peer_output *out)
{
    enum sdp_outcome outcome = sdp_parse(text_bytes(&p->accepted), &theirs);
    (void)outcome; // it was taken before
    struct sdp_local local =
        local_description(p, answer_setup(p, theirs.media[p->remote_section].setup));
    local.no_data = !data_in_use(&theirs.media[p->remote_section]);
    peer_media_answer(p, now, &theirs, &local);
    text_clear(&p->description);
    sdp_write_answer(&p->description, &local, &theirs);
    *out = (struct peer_output){
        .kind = PEER_DESCRIPTION, .bytes = text_bytes(&p->description), .answer = true};
    if (!keeps_old_credentials(p))
        told_all(p);
    p->answer_due = false;
    peer_set_signaling(p, now, PEER_STABLE);
    if (p->offer_again)
        offer_again(p, now);
}

static bool may_describe(const struct peer *p)
{
    return p->trickle || p->gathered; // RFC 8838 4.1: without trickle, all candidates at once
}

static bool has_candidate_to_tell(const struct peer *p)
{
    return p->described && p->trickle && !p->describe_due && !p->answer_due &&
           (p->locals_told < p->locals_count || (p->gathered && !p->end_told));
}

bool peer_signaling_is_due(const struct peer *p)
{
    return ((p->describe_due || p->answer_due) && may_describe(p)) || has_candidate_to_tell(p);
}

bool peer_signaling_poll(struct peer *p, nanotime now, struct peer_output *out)
{
    if (!peer_signaling_is_due(p))
        return false;
    if (p->describe_due) {
        write_offer(p, now, out);
        return true;
    }
    if (p->answer_due) {
        write_answer(p, now, out);
        return true;
    }
    text_clear(&p->candidate);
    if (p->locals_told < p->locals_count) {
        sdp_candidate_write(&p->candidate, &p->locals[p->locals_told++]);
        // The generation it belongs to, as browsers tell it.
        text_put(&p->candidate, " ufrag ");
        text_put(&p->candidate, ice_agent_credentials(p->ice)->ufrag);
    } else {
        p->end_told = true; // RFC 8838 8: the end is told as well
    }
    *out = (struct peer_output){.kind = PEER_CANDIDATE, .bytes = text_bytes(&p->candidate)};
    return true;
}

// RFC 8445 6.1.1: full with full, the offerer controls; a full agent controls a lite one.
static void set_role(struct peer *p, nanotime now, bool offerer, bool remote_lite)
{
    if (p->config.force_role)
        return;
    bool controls = p->config.ice_lite == remote_lite ? offerer : remote_lite;
    ice_agent_set_role(p->ice, now, controls ? ICE_CONTROLLING : ICE_CONTROLLED);
}

void peer_describe(struct peer *p, nanotime now, bool restart)
{
    if (p->closing != PEER_OPEN) {
        peer_signaling_refuse(p, now, "the peer is closed");
        return;
    }
    if (p->stats.signaling == PEER_HAVE_REMOTE_OFFER) {
        peer_signaling_refuse(p, now, "an offer waits for its answer");
        return;
    }
    if (!p->gathering_started) {
        set_role(p, now, true, false);
        start_gathering(p, now);
    } else if (restart && !p->restarting && p->has_accepted) {
        p->restarting = true;
        p->before_restart = *ice_agent_credentials(p->ice);
        restart_ice(p, now);
    }
    offer_begin(p, now);
}

// ---------------------------------------------------------------------------------- remote side

// False: it was there before. ICE bounds the table.
static bool note_remote(struct peer *p, const struct addr *addr)
{
    unsigned count = p->stats.remote_candidates;
    for (unsigned i = 0; i < count; i++)
        if (addr_equal(&p->remotes[i], addr))
            return false;
    if (count == p->remotes_max) {
        p->remotes_max = p->remotes_max ? p->remotes_max * 2 : 4;
        p->remotes = mem_grow(p->remotes, p->remotes_max * sizeof *p->remotes);
    }
    p->remotes[p->stats.remote_candidates++] = *addr;
    return true;
}

static bool add_remote(struct peer *p, nanotime now, const struct ice_candidate *candidate)
{
    char addr[ADDR_TEXT_MAX];
    if (!ice_agent_add_remote(p->ice, now, candidate))
        return peer_signaling_refuse(p, now, "more remote candidates than the table holds");
    if (!note_remote(p, &candidate->addr))
        return true;
    p->changed = true;
    trace(&p->trace, now, "remote candidate %s %s", ice_candidate_type_name(candidate->type),
          addr_print(&candidate->addr, addr));
    gather_permit(&p->gather, now, &candidate->addr.ip);
    return true;
}

static bool keep_pending(struct peer *p, nanotime now, struct bytes line)
{
    if (p->pending.count == PEER_PENDING_MAX || line.len > PEER_PENDING_LINE_MAX)
        return peer_signaling_refuse(p, now,
                                     "more candidates without a description than the table holds");
    p->pending.count++;
    text_add(&p->pending.lines, line);
    text_put(&p->pending.lines, "\n");
    return true;
}

// A candidate without a generation belongs to the current one.
static bool is_current(const struct peer *p, struct bytes line)
{
    struct bytes ufrag = sdp_candidate_ufrag(line);
    return ufrag.len == 0 || bytes_equal(ufrag, p->remote_ufrag);
}

bool peer_add_candidate(struct peer *p, nanotime now, struct bytes line)
{
    struct ice_candidate candidate;
    bool usable;
    if (p->closing != PEER_OPEN)
        return peer_signaling_refuse(p, now, "the peer is closed");
    bool early = !p->has_accepted || p->restarting; // what it belongs to is still to come
    if (line.len == 0) {
        if (early)
            p->pending.end = true;
        else
            ice_agent_remote_done(p->ice, now);
        return true;
    }
    if (memchr(line.at, '\n', line.len) || !sdp_candidate_parse(line, &candidate, &usable))
        return peer_signaling_refuse(p, now, "malformed candidate");
    if (!usable) {
        trace(&p->trace, now, "remote candidate of no use: %.*s",
              (int)(line.len < 120 ? line.len : 120), (const char *)line.at);
        return true;
    }
    if (early || !is_current(p, line))
        return keep_pending(p, now, line);
    return add_remote(p, now, &candidate);
}

// What came before this description. Candidates of other generations are of the past by now.
static void take_pending(struct peer *p, nanotime now)
{
    struct bytes rest = text_bytes(&p->pending.lines);
    while (rest.len > 0) {
        const uint8_t *end = memchr(rest.at, '\n', rest.len);
        struct bytes line = {rest.at, (size_t)(end - rest.at)};
        rest = bytes_from(rest, line.len + 1);
        struct ice_candidate candidate;
        bool usable;
        if (is_current(p, line) && sdp_candidate_parse(line, &candidate, &usable))
            add_remote(p, now, &candidate);
    }
    text_clear(&p->pending.lines);
    p->pending.count = 0;
    if (p->pending.end)
        ice_agent_remote_done(p->ice, now);
    p->pending.end = false;
}

// Is it the message of before once more, or one from before that? Then there is nothing to do.
static bool is_repeated(const struct peer *p, struct bytes text, bool answer)
{
    return p->has_accepted && p->accepted_answer == answer &&
           bytes_equal(text_bytes(&p->accepted), text);
}

static bool is_stale(const struct peer *p)
{
    return p->has_accepted && theirs.session_id == p->remote_session_id &&
           theirs.session_version < p->remote_session_version;
}

static const char *state_check(const struct peer *p, bool answer)
{
    if (answer && (p->stats.signaling != PEER_HAVE_LOCAL_OFFER || p->describe_due))
        return "an answer without an offer";
    if (!answer && p->stats.signaling == PEER_HAVE_LOCAL_OFFER && !p->config.polite)
        return "glare: an offer while ours waits for its answer";
    if (!answer && p->stats.signaling == PEER_HAVE_REMOTE_OFFER)
        return "an offer while another waits for its answer";
    return NULL;
}

// Once there is an association, it stays (RFC 8842 4): neither fingerprint nor role may change.
static const char *association_check(const struct peer *p, const struct sdp_media *media,
                                     enum dtls_role role)
{
    if (!p->dtls)
        return NULL;
    if (dtls_role(p->dtls) != role)
        return "the DTLS role of an association cannot change";
    if (strcmp(media->fingerprints[0].value, p->remote_fingerprint.value) != 0)
        return "the fingerprint of an association cannot change";
    return NULL;
}

// RFC 9429 5.7: the offer is as if it had never been. What was gathered for it is kept: nobody took
// that offer, so credentials and candidates serve for the answer as well.
static void rollback(struct peer *p, nanotime now)
{
    trace(&p->trace, now, "glare: our offer is rolled back");
    p->stats.rollbacks++;
    p->describe_due = false;
    p->described =
        p->described && !p->restarting; // of a restart: no more until it is offered again
    p->offer_again = true;
    peer_media_rollback(p, now);
    peer_set_signaling(p, now, PEER_STABLE);
}

// The section of `theirs` whose transport is the connection's.
static const struct sdp_media *transport_of_theirs(struct peer *p, bool answer)
{
    bool rejected[SDP_MEDIA_MAX] = {0};
    if (!answer)
        peer_media_rejects(p, &theirs, rejected);
    const struct sdp_media *media = sdp_transport_media_but(&theirs, rejected);
    return media ? media : sdp_transport_media(&theirs); // all are rejected: an answer says so
}

// RFC 9143 7.3.3: of a group that is there already, the section that an offer tags cannot be
// rejected alone: all of them can, or the whole offer.
static bool rejects_tagged(const struct peer *p, const struct sdp_media *transport)
{
    return p->has_accepted && theirs.bundle_count > 0 && transport != sdp_transport_media(&theirs);
}

// Everything that can be wrong, before anything is changed.
static const char *description_check(struct peer *p, bool answer, enum dtls_role *role)
{
    const struct sdp_media *media = transport_of_theirs(p, answer), *data = data_in_use(media);
    const char *why = state_check(p, answer);
    if (!why && (data || (!p->media && !p->config.take_media)))
        why = sdp_data_check(&theirs, sdp_data_media(&theirs), p->config.ice_only);
    if (!why)
        why = sdp_transport_check(&theirs, media, p->config.ice_only);
    if (!why && !answer && rejects_tagged(p, media))
        why = "the section that is tagged cannot be rejected any more";
    if (why)
        return why;
    if (answer) {
        enum sdp_outcome outcome = sdp_parse(text_bytes(&p->offered), &ours);
        (void)outcome; // our own
        why = sdp_answer_check(&ours, &theirs);
        // RFC 8445 9: the answerer restarts too.
        if (!why && p->restarting && bytes_equal(media->ufrag, p->remote_ufrag) &&
            bytes_equal(media->pwd, p->remote_pwd))
            why = "the answer to an ICE restart keeps the old credentials";
    }
    if (why || p->config.ice_only)
        return why;
    enum sdp_setup offered = answer ? SDP_SETUP_ACTPASS : media->setup;
    enum sdp_setup answered = answer ? media->setup : answer_setup(p, media->setup);
    if (!sdp_dtls_role(offered, answered, answer, role))
        return "no DTLS role is left by a=setup";
    return association_check(p, media, *role);
}

static void take_candidates(struct peer *p, nanotime now, const struct sdp_media *media)
{
    for (unsigned i = 0; i < media->candidates_count; i++)
        add_remote(p, now, &media->candidates[i]);
    take_pending(p, now);
    // RFC 8838 4.1: one who does not trickle has told all. One without a word of trickle who told
    // of no candidate at all has not: pion sends them one by one all the same.
    if (media->end_of_candidates || (!media->trickle && media->candidates_count > 0))
        ice_agent_remote_done(p->ice, now);
}

static void take_description(struct peer *p, nanotime now, struct bytes text, bool answer,
                             enum dtls_role role)
{
    const struct sdp_media *media = transport_of_theirs(p, answer); // description_check: not NULL
    p->remote_section = (unsigned)(media - theirs.media);
    bool first = !p->has_accepted;
    bool new_credentials = first || !bytes_equal(media->ufrag, p->remote_ufrag) ||
                           !bytes_equal(media->pwd, p->remote_pwd);
    // RFC 8445 9: changed credentials in an offer are an ICE restart, which we follow. One of ours
    // that was rolled back has led to new credentials already.
    if (!answer && !first && new_credentials && !p->restarting)
        restart_ice(p, now);
    p->restarting = p->restarting && !answer && !new_credentials;
    if (first)
        set_role(p, now, answer, theirs.ice_lite);
    if (!media->trickle && !answer)
        p->trickle = false; // RFC 8838 3: no trickle towards one who does not know it
    p->has_accepted = true;
    p->accepted_answer = answer;
    p->remote_session_id = theirs.session_id;
    p->remote_session_version = theirs.session_version;
    if (new_credentials) {
        p->stats.remote_candidates = 0;
        ice_agent_set_remote(p->ice, now, media->ufrag, media->pwd, theirs.ice_lite);
    }
    if (!p->config.ice_only && !p->dtls)
        peer_data_start(p, now, media, data_in_use(media), role);
    else if (p->dtls)
        peer_data_change(p, now, data_in_use(media));
    if (!answer && !p->gathering_started)
        start_gathering(p, now);
    // The copy comes last of what reads `text`, which may be what `accepted` held.
    size_t ufrag_at = (size_t)(media->ufrag.at - text.at),
           pwd_at = (size_t)(media->pwd.at - text.at);
    text_clear(&p->accepted);
    text_add(&p->accepted, text);
    p->remote_ufrag = bytes_of(p->accepted.at + ufrag_at, media->ufrag.len);
    p->remote_pwd = bytes_of(p->accepted.at + pwd_at, media->pwd.len);
    if (!p->restarting) // else they are of the session that is about to end
        take_candidates(p, now, media);
    if (answer && p->media) { // `ours` was read by description_check
        peer_media_answered(p, now, &ours, &theirs);
    }
}

bool peer_accept(struct peer *p, nanotime now, struct bytes text, bool answer)
{
    const char *what = answer ? "answer" : "offer";
    enum dtls_role role = DTLS_CLIENT;
    if (p->closing != PEER_OPEN)
        return peer_signaling_refuse(p, now, "the peer is closed");
    if (is_repeated(p, text, answer)) {
        trace(&p->trace, now, "the same %s again: ignored", what);
        return true;
    }
    if (text.len > PEER_DESCRIPTION_MAX)
        return peer_signaling_refuse(p, now, "%s: longer than %u bytes", what,
                                     PEER_DESCRIPTION_MAX);
    enum sdp_outcome outcome = sdp_parse(text, &theirs);
    if (outcome != SDP_OK)
        return peer_signaling_refuse(p, now, "%s, line %u: %s", what, theirs.error_line,
                                     sdp_outcome_name(outcome));
    if (is_stale(p)) {
        trace(&p->trace, now, "an older %s: ignored", what);
        return true;
    }
    const char *why = description_check(p, answer, &role);
    if (why)
        return peer_signaling_refuse(p, now, "%s: %s", what, why);

    if (!answer && p->stats.signaling == PEER_HAVE_LOCAL_OFFER)
        rollback(p, now);
    trace(&p->trace, now, "takes the %s", what);
    p->error[0] = 0;
    take_description(p, now, text, answer, role);
    if (!answer) {
        p->answer_due = true;
        p->session_version++;
    }
    peer_set_signaling(p, now, answer ? PEER_STABLE : PEER_HAVE_REMOTE_OFFER);
    peer_update(p, now);
    return true;
}
