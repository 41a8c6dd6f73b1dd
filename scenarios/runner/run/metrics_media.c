// Metrics of tracks and of a peer's media transport, the members of stack/media/media_stats.h; and
// of its selected pair.
#include "scenarios/runner/run/call_decode.h"
#include "scenarios/runner/run/metrics_priv.h"

#include <inttypes.h>

static const char *const codec_words[] = {"",    "opus", "PCMU", "PCMA", "G722",
                                          "VP8", "VP9",  "H264", "AV1",  NULL};
static const char *const usage_words[] = {"normal", "overuse", "underuse", NULL};
static const char *const limit_words[] = {"none", "bandwidth", NULL};

static const char *const *words_of(const struct media_member *member)
{
    if (strcmp(member->name, "codec") == 0)
        return codec_words;
    return strcmp(member->name, "media.usage") == 0 ? usage_words : limit_words;
}

const struct media_member *metrics_media_find(const struct media_member *members, struct bytes name)
{
    for (const struct media_member *member = members; member->name; member++) {
        if (bytes_is(name, member->name))
            return member;
    }
    return NULL;
}

enum value_kind metrics_media_kind(const struct media_member *member)
{
    switch (member->unit) {
    case UNIT_COUNT:
    case UNIT_SIGNED:
        return VALUE_NUMBER;
    case UNIT_TIME:
        return VALUE_TIME;
    case UNIT_THOUSANDTH:
    case UNIT_MILLIONTH:
        return VALUE_DECIMAL;
    case UNIT_BILLIONTH:
        return VALUE_SHARE;
    case UNIT_WORD:
        return VALUE_WORD;
    case UNIT_BOOL:
        return VALUE_BOOL;
    }
    return VALUE_NUMBER;
}

const char *const *metrics_media_words(const struct media_member *member)
{
    return member->unit == UNIT_WORD ? words_of(member) : NULL;
}

// One of the static list, so that words compare by their text alone and live for ever.
static const char *word_of(const struct media_member *member, const char *got)
{
    const char *const *words = words_of(member);
    for (unsigned i = 0; words[i]; i++) {
        if (got && strcmp(words[i], got) == 0)
            return words[i];
    }
    return words[0];
}

struct value metrics_media_value(const struct media_member *member, const void *stats)
{
    const char *at = (const char *)stats + member->offset;
    struct value value = {.kind = metrics_media_kind(member)};
    const char *word;
    bool truth;
    switch (member->unit) {
    case UNIT_COUNT:
    case UNIT_SIGNED:
    case UNIT_TIME:
    case UNIT_MILLIONTH:
    case UNIT_BILLIONTH:
        memcpy(&value.number, at, sizeof value.number);
        break;
    case UNIT_THOUSANDTH:
        memcpy(&value.number, at, sizeof value.number);
        value.number *= 1000;
        break;
    case UNIT_WORD:
        memcpy(&word, at, sizeof word);
        value.word = word_of(member, word);
        break;
    case UNIT_BOOL:
        memcpy(&truth, at, sizeof truth);
        value.number = truth;
        break;
    }
    return value;
}

static const char *unit_name(const struct media_member *member)
{
    switch (member->unit) {
    case UNIT_COUNT:
    case UNIT_SIGNED:
        return "count";
    case UNIT_TIME:
        return "time";
    case UNIT_THOUSANDTH:
    case UNIT_MILLIONTH:
        return "decimal";
    case UNIT_BILLIONTH:
        return "percent";
    case UNIT_WORD:
        return "word";
    case UNIT_BOOL:
        return "true or false";
    }
    return "";
}

bool metrics_media_track(const struct scenario *scenario, unsigned peer, struct bytes label,
                         unsigned *track)
{
    for (unsigned i = 0; i < scenario->sessions_count; i++) {
        const struct scenario_session *session = &scenario->sessions[i];
        if (session->offerer != peer && session->answerer != peer)
            continue;
        for (*track = 0; *track < session->tracks_count; ++*track) {
            if (bytes_is(label, session->tracks[*track].label))
                return true;
        }
    }
    return false;
}

bool metrics_media_decoded(const struct scenario *scenario, unsigned peer, unsigned track)
{
    for (unsigned i = 0; i < scenario->sessions_count; i++) {
        const struct scenario_session *session = &scenario->sessions[i];
        unsigned side = session->answerer == peer;
        if (session->offerer == peer || side)
            return session->tracks[track].decode && session->tracks[track].from[1 - side];
    }
    return false;
}

struct value metrics_media_get(struct run *run, const struct metric_ref *ref)
{
    struct run_peer *peer = &run->peers[ref->index];
    if (ref->entity == OF_TRACK) {
        struct media_track_stats stats = {0};
        call_track_stats(run, peer, ref->track, &stats);
        return metrics_media_value(ref->member, &stats);
    }
    if (ref->entity == OF_DECODED) {
        struct call_decoded decoded;
        call_decoded(peer, ref->track, &decoded);
        return metrics_media_value(ref->member, &decoded);
    }
    if (ref->entity == OF_PAIR)
        return metrics_media_value(ref->member, &peer_stats_now(peer)->pair);
    struct media_transport_stats stats = {0};
    if (run->ops->transport_stats)
        run->ops->transport_stats(peer->peer, &stats);
    return metrics_media_value(ref->member, &stats);
}

void metrics_media_print(struct text *to, const char *prefix, const struct media_member *members)
{
    for (const struct media_member *member = members; member->name; member++) {
        struct text name = {0};
        text_printf(&name, "%s%s", prefix, member->name);
        text_printf(to, "%-54s %-25s %s", name.at, unit_name(member), member->meaning);
        const char *const *words = metrics_media_words(member);
        for (unsigned i = 0; words && words[i]; i++)
            text_printf(to, "%s%s", i ? " " : ": ", words[i][0] ? words[i] : "(none)");
        text_put(to, "\n");
        text_free(&name);
    }
}
