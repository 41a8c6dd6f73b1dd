#include "stack/ice/ice_priv.h"

#include <assert.h>

const char *ice_candidate_type_name(enum ice_candidate_type type)
{
    static const char *const names[] = {"host", "srflx", "prflx", "relay"};
    assert((unsigned)type < sizeof names / sizeof names[0]);
    return names[type];
}

const char *ice_state_name(enum ice_state state)
{
    static const char *const names[] = {"new",          "checking", "connected", "completed",
                                        "disconnected", "failed",   "closed"};
    assert((unsigned)state < sizeof names / sizeof names[0]);
    return names[state];
}

const char *ice_failure_name(enum ice_failure failure)
{
    static const char *const names[] = {"none", "no-remote-candidates", "checks-failed",
                                        "consent-expired"};
    assert((unsigned)failure < sizeof names / sizeof names[0]);
    return names[failure];
}

const char *ice_drop_name(enum ice_drop drop)
{
    static const char *const names[] = {
        "kept",
        "not-stun",
        "malformed",
        "bad-fingerprint",
        "bad-username",
        "bad-integrity",
        "unknown-transaction",
        "unknown-local",
        "asymmetric",
        "no-remote-yet",
        "checklist-full",
        "unexpected",
        "unknown-attribute",
        "error-response",
        "role-conflict",
    };
    _Static_assert(sizeof names / sizeof names[0] == ICE_DROPS, "a word for each drop");
    assert((unsigned)drop < ICE_DROPS);
    return names[drop];
}

const char *ice_role_name(enum ice_role role)
{
    return role == ICE_CONTROLLING ? "controlling" : "controlled";
}
