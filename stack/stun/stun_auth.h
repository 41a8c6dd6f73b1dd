// Credentials of STUN requests (RFC 8489 9): the short-term one, and the long-term one with its
// challenge, nonces, password algorithms and hidden user names.
//
// A client keeps one `struct stun_auth` for each server: it adds what a request must carry, checks
// answers, and learns from a challenge. A server has the small functions below it.
//
// User names, realms and passwords are taken as UTF-8 that is prepared already (OpaqueString, RFC
// 8265, or SASLprep): nothing here changes a byte of them.
#ifndef STACK_STUN_STUN_AUTH_H
#define STACK_STUN_STUN_AUTH_H

#include "stack/stun/stun.h"

#define STUN_TEXT_MAX 763       // bytes of a realm or nonce that a client keeps (RFC 8489 14.9)
#define STUN_ALGORITHMS_MAX 256 // bytes of a PASSWORD-ALGORITHMS that a client keeps
#define STUN_USERHASH_LEN 32

// ----------------------------------------------------------------------------------------- client

struct stun_auth;

// Short-term: each request carries the user name and an integrity from the start.
struct stun_auth *stun_auth_new_short_term(struct bytes username, struct bytes password);
// Long-term: the first request goes bare, the server's challenge says how to go on.
struct stun_auth *stun_auth_new_long_term(struct bytes username, struct bytes password);
void stun_auth_free(struct stun_auth *auth); // NULL is allowed

// Requests made now carry credentials.
bool stun_auth_is_ready(const struct stun_auth *auth);
// Forget the server's challenge: for another server.
void stun_auth_reset(struct stun_auth *auth);

// Add what a request needs, MESSAGE-INTEGRITY* included; nothing while not ready. Only a
// FINGERPRINT may follow.
void stun_auth_add(struct stun_auth *auth, struct stun_writer *s);

// Is the answer to an authenticated request signed with our key? (Not asked for 401 and 438.)
bool stun_auth_check(struct stun_auth *auth, const struct stun_msg *response);

// RFC 8489 9.1.4, 9.2.5: does the answer to a request count? `authenticated`: that was signed.
enum stun_auth_verdict {
    // Its integrity is right, or none is due: of a challenge, of an answer to what was not signed.
    STUN_AUTH_COUNTS,
    STUN_AUTH_FORGED,  // it does not; nor is it a mere timeout when nothing else comes
    STUN_AUTH_UNHEARD, // nor that, an unsigned 400: as if it had never come
};
enum stun_auth_verdict stun_auth_judge(struct stun_auth *auth, bool authenticated,
                                       const struct stun_msg *response);

enum stun_auth_step {
    STUN_AUTH_RETRY,       // send the request again, newly made
    STUN_AUTH_REFUSED,     // these credentials were tried in this realm: it is of no use
    STUN_AUTH_BID_DOWN,    // the challenge was stripped on its way (RFC 8489 9.2.1)
    STUN_AUTH_UNSUPPORTED, // no algorithm in common, or a challenge without realm or nonce
};
// Learn from a 401 or 438.
enum stun_auth_step stun_auth_challenge(struct stun_auth *auth, const struct stun_msg *error);

// ----------------------------------------------------------------------------------------- nonces

// The 24 security features, bit 0 the least significant (RFC 8489 18.1 with verified erratum 6290).
#define STUN_FEATURE_PASSWORD_ALGORITHMS 0x1u
#define STUN_FEATURE_USERNAME_ANONYMITY 0x2u
#define STUN_NONCE_COOKIE_LEN 13 // "obMatJos2" and four characters of base64

// The features that a nonce announces; false when it has no cookie.
bool stun_nonce_features(struct bytes nonce, uint32_t *features);

// A nonce that its server verifies without having stored it: cookie, time, and an HMAC of time and
// client under the server's secret.
#define STUN_NONCE_LEN (STUN_NONCE_COOKIE_LEN + 32)
void stun_nonce_make(struct stun_key *secret, uint32_t features, nanotime now,
                     const struct addr *client, char out[STUN_NONCE_LEN]);
// Ours, for this client, with these features; `*made_at` says when it was made.
bool stun_nonce_check(struct stun_key *secret, uint32_t features, const struct addr *client,
                      struct bytes nonce, nanotime *made_at);

// ------------------------------------------------------------------------------------- algorithms

// Is `algorithm` in a PASSWORD-ALGORITHMS value? False too when the list is malformed.
bool stun_algorithms_has(struct bytes list, unsigned algorithm);
// SHA-256 where it is offered (RFC 8656 6), else MD5; false when neither is.
bool stun_algorithms_pick(struct bytes list, enum stun_password_algorithm *out);

void stun_userhash(struct bytes username, struct bytes realm, uint8_t out[STUN_USERHASH_LEN]);

#endif
