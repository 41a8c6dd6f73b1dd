// DTLS 1.2 (RFC 6347) for WebRTC (RFC 8827, 8842): both roles, self-signed certificates, the peer's
// fingerprint verified. OpenSSL does the protocol; this makes it a sans-IO state machine in
// virtual time with the caller's randomness (base/libenv.h).
#ifndef STACK_DTLS_DTLS_H
#define STACK_DTLS_DTLS_H

#include "base/addr.h"
#include "base/err.h"
#include "base/rng.h"
#include "base/trace.h"

// Once in a process, before anything else uses OpenSSL: takes over its randomness, ignores its
// configuration file. False with the reason.
bool dtls_library_init(struct err *err);
// At exit, for leak checkers. After every identity and association is freed.
void dtls_library_fini(void);

// A key and its self-signed certificate (ECDSA P-256). Making one costs 0.2 ms, so identities are
// pooled: dtls_identity_pooled(k) is the same object, and the same key on every machine with the
// same OpenSSL, whenever it is first asked for. Freed by dtls_library_fini.
struct dtls_identity;
#define DTLS_IDENTITIES 16
const struct dtls_identity *dtls_identity_pooled(unsigned index); // taken modulo DTLS_IDENTITIES

// RFC 8122 5: "sha-256" and the hash in upper-case hex with colons.
#define DTLS_FINGERPRINT_MAX 192 // SHA-512 in text
struct dtls_fingerprint {
    char hash[16];
    char value[DTLS_FINGERPRINT_MAX];
};
const struct dtls_fingerprint *dtls_identity_fingerprint(const struct dtls_identity *identity);
// Its certificate: the base64 of the DER, on one line.
const char *dtls_identity_certificate(const struct dtls_identity *identity);

enum dtls_role { DTLS_CLIENT, DTLS_SERVER };

// As the W3C names them (RTCDtlsTransportState).
enum dtls_state { DTLS_NEW, DTLS_CONNECTING, DTLS_CONNECTED, DTLS_CLOSED, DTLS_FAILED };
const char *dtls_state_name(enum dtls_state state);

// RFC 8827 6.5: DTLS-SRTP. Without media, too: pion and GStreamer refuse a peer that does not agree
// on a profile.
#define DTLS_SRTP_PROFILES "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80"

struct dtls_config {
    const struct dtls_identity *identity;
    enum dtls_role role;
    // The peer's, of its SDP: of those with the strongest hash, one must match (RFC 8122 5.1).
    const struct dtls_fingerprint *remote;
    unsigned remote_count;
    size_t mtu; // the largest datagram to send: a UDP payload
    // SRTP protection profiles to agree on, colon-separated as OpenSSL spells them, by preference;
    // NULL: DTLS_SRTP_PROFILES. Borrowed until dtls_new returns.
    const char *srtp_profiles;
    struct rng *rng; // borrowed for the life of the association
    struct trace trace;
};

enum dtls_output_kind {
    DTLS_SEND,          // `bytes`: one datagram
    DTLS_STATE_CHANGED, // ask dtls_state
    DTLS_DATA,          // `bytes`: one record's application data
};

struct dtls_output {
    enum dtls_output_kind kind;
    struct bytes bytes; // until the next call on the association
};

// Why a datagram had no effect that can be seen from outside OpenSSL.
enum dtls_drop {
    DTLS_KEPT,
    DTLS_NOT_DTLS,    // RFC 7983 7: the first byte is not 20..63
    DTLS_TOO_LARGE,   // over DTLS_DATAGRAM_MAX
    DTLS_NOT_STARTED, // a client that has sent nothing yet expects nothing
    DTLS_QUEUE_FULL,  // the owner does not poll
    DTLS_AFTER_CLOSE,
    DTLS_SHORT_RECORD, // sealed, and shorter than the seal
    DTLS_DROPS
};
#define DTLS_DATAGRAM_MAX 16384
const char *dtls_drop_name(enum dtls_drop drop);

// `config` is copied, the fingerprints too (at most DTLS_FINGERPRINTS, the rest is ignored).
#define DTLS_FINGERPRINTS 8
#define DTLS_MTU_MIN 252 // what OpenSSL can split a handshake for
struct dtls *dtls_new(const struct dtls_config *config);
void dtls_free(struct dtls *dtls);
// The client sends its ClientHello. A server listens from dtls_new on: its start only says so.
void dtls_start(struct dtls *dtls, nanotime now);

enum dtls_drop dtls_input(struct dtls *dtls, nanotime now, struct bytes datagram);
bool dtls_poll(struct dtls *dtls, nanotime now, struct dtls_output *out);
nanotime dtls_deadline(const struct dtls *dtls);

// One record of application data. False: not connected, or longer than the MTU leaves room for.
bool dtls_send(struct dtls *dtls, nanotime now, struct bytes data);
void dtls_close(struct dtls *dtls, nanotime now); // close_notify

enum dtls_state dtls_state(const struct dtls *dtls);
// Why DTLS_FAILED, for a person: "fingerprint mismatch: ...", "alert 40 handshake_failure". "" if
// not.
const char *dtls_failure(const struct dtls *dtls);
enum dtls_role dtls_role(const struct dtls *dtls);
// The most that dtls_send takes; 0 until connected.
size_t dtls_data_max(const struct dtls *dtls);

// The cipher suite by its name at the IANA, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"; NULL: not
// connected yet.
const char *dtls_cipher(const struct dtls *dtls);

// What the two agreed on for SRTP (RFC 5764 4.1.2), by its number in DTLS; 0: nothing, or not
// connected.
uint16_t dtls_srtp_profile(const struct dtls *dtls);
// The first `len` bytes of the keying material (RFC 5764 4.2): client and server key, client and
// server salt. False: not connected.
bool dtls_srtp_material(const struct dtls *dtls, uint8_t *to, size_t len);

// The line for Wireshark that decrypts this association: "CLIENT_RANDOM <hex> <hex>", without its
// end. `to` holds DTLS_KEY_LOG_MAX bytes; returns `to`, empty until connected.
#define DTLS_KEY_LOG_MAX 192
const char *dtls_key_log(const struct dtls *dtls, char *to);

struct dtls_stats {
    unsigned datagrams_sent, datagrams_received;
    unsigned timeouts;     // flights sent again
    nanotime connected_at; // TIME_NEVER: not yet
};
struct dtls_stats dtls_stats(const struct dtls *dtls);

#endif
