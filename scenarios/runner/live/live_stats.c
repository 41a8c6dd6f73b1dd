#include "scenarios/runner/live/live_stats.h"

#include <stddef.h>

enum kind { KIND_UNSIGNED, KIND_U64, KIND_TIME };
static const struct {
    const char *name;
    enum kind kind;
    size_t offset;
} fields[] = {
#define COUNT(name)                                                                                \
    {                                                                                              \
#name, KIND_UNSIGNED, offsetof(struct peer_stats, name)                                    \
    }
#define U64(name)                                                                                  \
    {                                                                                              \
#name, KIND_U64, offsetof(struct peer_stats, name)                                         \
    }
#define TIME(name)                                                                                 \
    {                                                                                              \
#name, KIND_TIME, offsetof(struct peer_stats, name)                                        \
    }
    COUNT(state),
    COUNT(signaling),
    COUNT(gathering),
    COUNT(ice_state),
    COUNT(ice_failure),
    COUNT(ice_role),
    COUNT(ice.checks_sent),
    COUNT(ice.retransmissions),
    COUNT(ice.checks_received),
    COUNT(ice.responses_received),
    COUNT(ice.role_conflicts),
    COUNT(ice.consent_checks),
    COUNT(ice.pairs),
    COUNT(ice.selections),
    TIME(ice.first_valid_at),
    TIME(ice.selected_at),
    COUNT(ice.drops[ICE_ASYMMETRIC]),
    U64(pair.packetsSent),
    U64(pair.packetsReceived),
    U64(pair.bytesSent),
    U64(pair.bytesReceived),
    U64(pair.packetsDiscardedOnSend),
    U64(pair.bytesDiscardedOnSend),
    TIME(pair.lastPacketSentTimestamp),
    TIME(pair.lastPacketReceivedTimestamp),
    U64(pair.requestsSent),
    U64(pair.consentRequestsSent),
    U64(pair.requestsReceived),
    U64(pair.responsesSent),
    U64(pair.responsesReceived),
    TIME(pair.currentRoundTripTime),
    U64(pair.totalRoundTripTime),
    COUNT(remote_candidates),
    COUNT(dtls_state),
    COUNT(dtls_role),
    COUNT(srtp_profile),
    COUNT(dtls.datagrams_sent),
    COUNT(dtls.datagrams_received),
    COUNT(dtls.timeouts),
    TIME(dtls.connected_at),
    COUNT(sctp_state),
    COUNT(sctp.packets_sent),
    COUNT(sctp.packets_received),
    COUNT(sctp.retransmissions),
    COUNT(sctp.messages_sent),
    COUNT(sctp.messages_received),
    COUNT(sctp.messages_abandoned),
    TIME(sctp.connected_at),
    COUNT(channels_open),
    COUNT(channels_opened),
    COUNT(channels_closed),
    TIME(ice_connected_at),
    TIME(dtls_connected_at),
    TIME(sctp_connected_at),
    TIME(connected_at),
    TIME(failed_at),
    TIME(disconnected_at),
    TIME(gathered_at),
    COUNT(restarts),
    COUNT(rollbacks),
    U64(datagrams_sent),
    U64(datagrams_received),
    U64(stun_sent),
    U64(stun_received),
    U64(dtls_sent),
    U64(dtls_received),
    U64(media_sent),
    U64(media_received),
    U64(bytes_sent),
    U64(bytes_received),
    U64(sent_without_consent),
    COUNT(turn_allocations),
    COUNT(turn_refreshes),
    COUNT(turn_permissions),
    COUNT(turn_channel_binds),
    COUNT(turn_stale_nonces),
    COUNT(turn_error),
    COUNT(drops[PEER_UNKNOWN_PROTOCOL]),
    COUNT(drops[PEER_TOO_EARLY]),
    COUNT(drops[PEER_UNAUTHENTICATED]),
    COUNT(drops[PEER_REFUSED]),
    COUNT(drops[PEER_AFTER_CLOSE]),
    COUNT(drops[PEER_BEFORE_KEYS]),
#undef COUNT
#undef U64
#undef TIME
};
#define FIELDS (sizeof fields / sizeof fields[0])

static const char *const types[] = {"host", "srflx", "prflx", "relay", NULL};
#define TYPES 4

struct peer_stats live_stats_none(void)
{
    struct peer_stats stats = {.error = ""};
    for (size_t i = 0; i < FIELDS; i++) {
        nanotime never = TIME_NEVER;
        if (fields[i].kind == KIND_TIME)
            memcpy((char *)&stats + fields[i].offset, &never, sizeof never);
    }
    return stats;
}

enum peer_state live_stats_state_of_ice(const struct peer_stats *stats)
{
    switch (stats->ice_state) {
    case ICE_NEW:
        return PEER_NEW;
    case ICE_CHECKING:
        return PEER_CONNECTING;
    case ICE_CONNECTED:
    case ICE_COMPLETED:
        return stats->channels_opened > 0 ? PEER_CONNECTED : PEER_CONNECTING;
    case ICE_DISCONNECTED:
        return PEER_DISCONNECTED;
    case ICE_FAILED:
        return PEER_FAILED;
    case ICE_CLOSED:
        return PEER_CLOSED;
    }
    return PEER_NEW;
}

// ------------------------------------------------------------------------------------- encoding

static json_int_t field_get(const struct peer_stats *stats, size_t i)
{
    const char *at = (const char *)stats + fields[i].offset;
    unsigned u;
    uint64_t u64;
    if (fields[i].kind == KIND_UNSIGNED) {
        memcpy(&u, at, sizeof u);
        return u;
    }
    memcpy(&u64, at, sizeof u64);
    return (json_int_t)u64;
}

static json_t *candidate_encode(const struct ice_candidate *candidate)
{
    char addr[ADDR_TEXT_MAX];
    json_t *to = json_object();
    json_object_set_new(to, "type", json_string(types[candidate->type]));
    json_object_set_new(to, "address", json_string(addr_print(&candidate->addr, addr)));
    return to;
}

void live_stats_encode(json_t *to, const struct peer_stats *stats)
{
    json_t *detail = json_object(), *gathered = json_object();
    for (size_t i = 0; i < FIELDS; i++)
        json_object_set_new(detail, fields[i].name, json_integer(field_get(stats, i)));
    json_object_set_new(detail, "nominated", json_boolean(stats->selected.nominated));
    json_object_set_new(detail, "dtls_failure", json_string(stats->dtls_failure));
    json_object_set_new(detail, "error", json_string(stats->error));
    for (unsigned i = 0; i < TYPES; i++)
        json_object_set_new(gathered, types[i], json_integer(stats->candidates[i]));
    if (stats->has_selected) {
        json_object_set_new(to, "local", candidate_encode(&stats->selected.local));
        json_object_set_new(to, "remote", candidate_encode(&stats->selected.remote));
    }
    json_object_set_new(to, "candidates", gathered);
    json_object_set_new(to, "simrtc", detail);
}

// ------------------------------------------------------------------------------------- decoding

static void field_set(struct peer_stats *stats, size_t i, json_int_t value)
{
    // Words of enums are told apart by their number: what is none of them is not taken.
    static const struct {
        size_t offset;
        json_int_t count;
    } enums[] = {
        {offsetof(struct peer_stats, state), PEER_CLOSED + 1},
        {offsetof(struct peer_stats, signaling), PEER_SIGNALING_CLOSED + 1},
        {offsetof(struct peer_stats, gathering), PEER_GATHER_COMPLETE + 1},
        {offsetof(struct peer_stats, ice_state), ICE_CLOSED + 1},
        {offsetof(struct peer_stats, ice_failure), ICE_CONSENT_EXPIRED + 1},
        {offsetof(struct peer_stats, ice_role), ICE_CONTROLLING + 1},
        {offsetof(struct peer_stats, dtls_state), DTLS_FAILED + 1},
        {offsetof(struct peer_stats, dtls_role), DTLS_SERVER + 1},
        {offsetof(struct peer_stats, sctp_state), SCTP_CLOSED + 1},
    };
    for (size_t j = 0; j < sizeof enums / sizeof enums[0]; j++) {
        if (enums[j].offset == fields[i].offset && value >= enums[j].count)
            return;
    }
    char *at = (char *)stats + fields[i].offset;
    uint64_t u64 = (uint64_t)value;
    unsigned u = (unsigned)value;
    if (value < 0 || (fields[i].kind == KIND_UNSIGNED && value > UINT32_MAX))
        return;
    if (fields[i].kind == KIND_UNSIGNED)
        memcpy(at, &u, sizeof u);
    else
        memcpy(at, &u64, sizeof u64);
}

static bool candidate_decode(const json_t *from, struct ice_candidate *to)
{
    const char *type = json_string_value(json_object_get(from, "type"));
    const char *addr = json_string_value(json_object_get(from, "address"));
    for (unsigned i = 0; type && i < TYPES; i++) {
        if (strcmp(type, types[i]) != 0)
            continue;
        *to = (struct ice_candidate){.type = (enum ice_candidate_type)i};
        struct addr parsed;
        if (addr && addr_parse(bytes_text(addr), &parsed))
            to->addr = parsed;
        return true;
    }
    return false;
}

bool live_stats_decode(const json_t *from, struct peer_stats *to)
{
    const json_t *gathered = json_object_get(from, "candidates");
    for (unsigned i = 0; i < TYPES; i++) {
        const json_t *count = json_object_get(gathered, types[i]);
        if (json_is_integer(count) && json_integer_value(count) >= 0)
            to->candidates[i] = (unsigned)json_integer_value(count);
    }
    struct ice_pair pair = {.nominated = true};
    to->has_selected = candidate_decode(json_object_get(from, "local"), &pair.local) &&
                       candidate_decode(json_object_get(from, "remote"), &pair.remote);
    if (to->has_selected)
        to->selected = pair;
    const json_t *detail = json_object_get(from, "simrtc");
    if (!json_is_object(detail))
        return false;
    for (size_t i = 0; i < FIELDS; i++) {
        const json_t *value = json_object_get(detail, fields[i].name);
        if (json_is_integer(value))
            field_set(to, i, json_integer_value(value));
    }
    to->selected.nominated = json_is_true(json_object_get(detail, "nominated"));
    const char *failure = json_string_value(json_object_get(detail, "dtls_failure"));
    if (failure)
        bytes_copy_text(bytes_of(failure, strnlen(failure, sizeof to->dtls_failure - 1)),
                        to->dtls_failure, sizeof to->dtls_failure);
    return true;
}
