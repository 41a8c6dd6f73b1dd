// Tracks of a session, and what the timeline does with them, in words.
#include "scenarios/runner/cli/explain.h"

#include <inttypes.h>

static void codecs(struct text *to, const struct media_track_config *config)
{
    for (unsigned i = 0; i < config->codecs_count; i++)
        text_printf(to, "%s%s", i ? ", " : "", config->codecs[i]);
}

static void protection(struct text *to, const struct media_track_config *config)
{
    static const char *const fec[] = {"", ", ULPFEC", ", FlexFEC"};
    text_printf(to, "%s%s%s%s%s", config->nack ? ", NACK" : "", config->rtx ? ", RTX" : "",
                config->red ? ", RED" : "", config->pli ? ", PLI" : "", fec[config->fec]);
}

// G.711 and G.722 have one rate (RFC 3551 4.5), whatever the file says.
static uint32_t rate_of(const struct media_track_config *config)
{
    bool fixed = config->kind == MEDIA_AUDIO && strcmp(config->codecs[0], "opus") != 0;
    return fixed ? 64000 : config->bitrate;
}

void explain_tracks(struct text *to, const struct scenario *s,
                    const struct scenario_session *session)
{
    for (unsigned i = 0; i < session->tracks_count; i++) {
        const struct scenario_track *track = &session->tracks[i];
        const struct media_track_config *config = &track->config;
        const char *from = track->from[0] && track->from[1] ? "both ways"
                           : track->from[0]                 ? s->peers[session->offerer].name
                                                            : s->peers[session->answerer].name;
        text_printf(to, "  %s '%s' (", media_kind_name(config->kind), track->label);
        codecs(to, config);
        text_printf(to, ") %s%s", track->from[0] && track->from[1] ? "" : "from ", from);
        if (!track->clip)
            text_printf(to, ", %" PRIu32 " bit/s", rate_of(config));
        if (config->kind == MEDIA_VIDEO && !track->clip)
            text_printf(to, ", %ux%u at %u frames a second", config->width, config->height,
                        config->fps);
        if (track->clip)
            text_printf(to, ", of %s", track->clip);
        if (track->decode)
            text_put(to, ", decoded and compared");
        protection(to, config);
        for (unsigned k = 0; k < config->layers_count; k++)
            text_printf(to, "%s%s 1/%u %" PRIu32 " bit/s", k ? ", " : ", layers ",
                        config->layers[k].rid, config->layers[k].scale, config->layers[k].max_bps);
        text_put(to, "\n");
    }
}

void explain_media_command(struct text *to, const struct scenario *s,
                           const struct scenario_action *action)
{
    const struct media_command *command = &action->media;
    const char *peer = s->peers[action->peer].name;
    switch (command->kind) {
    case MEDIA_MUTE:
    case MEDIA_UNMUTE:
        text_printf(to, "%s %s '%s'", peer, command->kind == MEDIA_MUTE ? "mutes" : "unmutes",
                    action->track);
        break;
    case MEDIA_KEYFRAME:
        text_printf(to, "%s asks for a key frame of '%s'", peer, action->track);
        break;
    case MEDIA_DIAL:
        text_printf(to, "%s dials %s on '%s'", peer, command->digits, action->track);
        break;
    case MEDIA_BITRATE:
        text_printf(to, "the source of '%s' at %s is limited to %" PRIu32 " bit/s", action->track,
                    peer, command->bps);
        break;
    case MEDIA_RECEIVE_MAX:
        text_printf(to, "%s takes at most %" PRIu32 " bit/s of '%s'", peer, command->bps,
                    action->track);
        break;
    }
}
