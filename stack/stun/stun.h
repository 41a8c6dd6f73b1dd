// STUN messages (RFC 8489), with the attributes of ICE (RFC 8445), TURN (RFC 8656) and NAT
// behaviour discovery (RFC 5780): decode, encode, check.
//
// Decoding copies nothing: a `struct stun_msg` borrows from the datagram it was decoded from.
// Encoding is by `struct stun_writer`, attribute after attribute, into a caller's buffer.
// Not here: transactions and their retransmission (stun_client.h), what a server answers
// (stun_server.h).
#ifndef STACK_STUN_STUN_H
#define STACK_STUN_STUN_H

#include "base/addr.h"
#include "base/clock.h"

#define STUN_HEADER_LEN 20
#define STUN_ID_LEN 12
#define STUN_COOKIE 0x2112a442u
#define STUN_MESSAGE_MAX 2048 // the longest that this stack encodes
#define STUN_UNKNOWN_MAX 16   // unknown comprehension-required attributes that are remembered

enum stun_class {
    STUN_REQUEST = 0,
    STUN_INDICATION = 1,
    STUN_SUCCESS = 2,
    STUN_ERROR = 3,
};

enum stun_method {
    STUN_BINDING = 0x001,
    STUN_ALLOCATE = 0x003,
    STUN_REFRESH = 0x004,
    STUN_SEND = 0x006,
    STUN_DATA = 0x007,
    STUN_CREATE_PERMISSION = 0x008,
    STUN_CHANNEL_BIND = 0x009,
};

// Code points. What is not listed is unknown to this stack.
enum stun_attr {
    STUN_MAPPED_ADDRESS = 0x0001,
    STUN_CHANGE_REQUEST = 0x0003,
    STUN_USERNAME = 0x0006,
    STUN_MESSAGE_INTEGRITY = 0x0008,
    STUN_ERROR_CODE = 0x0009,
    STUN_UNKNOWN_ATTRIBUTES = 0x000a,
    STUN_CHANNEL_NUMBER = 0x000c,
    STUN_LIFETIME = 0x000d,
    STUN_XOR_PEER_ADDRESS = 0x0012,
    STUN_DATA_ATTR = 0x0013,
    STUN_REALM = 0x0014,
    STUN_NONCE = 0x0015,
    STUN_XOR_RELAYED_ADDRESS = 0x0016,
    STUN_REQUESTED_ADDRESS_FAMILY = 0x0017,
    STUN_EVEN_PORT = 0x0018,
    STUN_REQUESTED_TRANSPORT = 0x0019,
    STUN_DONT_FRAGMENT = 0x001a,
    STUN_MESSAGE_INTEGRITY_SHA256 = 0x001c,
    STUN_PASSWORD_ALGORITHM = 0x001d,
    STUN_USERHASH = 0x001e,
    STUN_XOR_MAPPED_ADDRESS = 0x0020,
    STUN_RESERVATION_TOKEN = 0x0022,
    STUN_PRIORITY = 0x0024,
    STUN_USE_CANDIDATE = 0x0025,
    STUN_PADDING = 0x0026,
    STUN_RESPONSE_PORT = 0x0027,
    STUN_ADDITIONAL_ADDRESS_FAMILY = 0x8000,
    STUN_ADDRESS_ERROR_CODE = 0x8001,
    STUN_PASSWORD_ALGORITHMS = 0x8002,
    STUN_ALTERNATE_DOMAIN = 0x8003,
    STUN_ICMP = 0x8004,
    STUN_SOFTWARE = 0x8022,
    STUN_ALTERNATE_SERVER = 0x8023,
    STUN_FINGERPRINT = 0x8028,
    STUN_ICE_CONTROLLED = 0x8029,
    STUN_ICE_CONTROLLING = 0x802a,
    STUN_RESPONSE_ORIGIN = 0x802b,
    STUN_OTHER_ADDRESS = 0x802c,
};

enum stun_error_code {
    STUN_TRY_ALTERNATE = 300,
    STUN_BAD_REQUEST = 400,
    STUN_UNAUTHENTICATED = 401,
    STUN_FORBIDDEN = 403,
    STUN_MOBILITY_FORBIDDEN = 405,
    STUN_UNKNOWN_ATTRIBUTE = 420,
    STUN_ALLOCATION_MISMATCH = 437,
    STUN_STALE_NONCE = 438,
    STUN_ADDRESS_FAMILY_NOT_SUPPORTED = 440,
    STUN_WRONG_CREDENTIALS = 441,
    STUN_UNSUPPORTED_TRANSPORT = 442,
    STUN_PEER_ADDRESS_FAMILY_MISMATCH = 443,
    STUN_ALLOCATION_QUOTA_REACHED = 486,
    STUN_ROLE_CONFLICT = 487,
    STUN_SERVER_ERROR = 500,
    STUN_INSUFFICIENT_CAPACITY = 508,
};

// What a decoder says of any bytes. STUN_OK alone means that `msg` may be used.
enum stun_outcome {
    STUN_OK,
    STUN_NOT_STUN,      // wrong first bits or cookie: some other protocol
    STUN_TRUNCATED,     // shorter than its header says, or than a header is
    STUN_TRAILING,      // longer than its header says
    STUN_BAD_LENGTH,    // the length is not a multiple of 4
    STUN_BAD_ATTRIBUTE, // an attribute runs past the end, or its value has the wrong shape
    STUN_OUTCOMES,      // how many
};
const char *stun_outcome_name(enum stun_outcome outcome);
const char *stun_method_name(uint16_t method);
const char *stun_error_reason(unsigned code); // the reason phrase of its RFC; "" for unknown codes

// A decoded message. Optional attributes are present when their flag in `has` is set: ask stun_has.
// The first occurrence counts; later ones of the same type are ignored (RFC 8489 14), except that
// XOR-PEER-ADDRESS may repeat: all are in `peers`.
#define STUN_PEERS_MAX 8
struct stun_msg {
    enum stun_class class;
    uint16_t method;
    uint8_t id[STUN_ID_LEN];
    struct bytes raw; // the whole message

    uint64_t has; // a bit for each known attribute
    struct bytes username, realm, nonce, software, data, userhash, alternate_domain, padding;
    struct bytes unknown_attributes;  // of a 420 response: 16-bit types
    struct bytes password_algorithms; // the raw list; see stun_auth.h
    uint16_t password_algorithm;
    struct addr mapped; // XOR-MAPPED-ADDRESS, or MAPPED-ADDRESS where only that is there
    struct addr relayed, alternate_server, response_origin, other_address;
    struct addr peers[STUN_PEERS_MAX];
    unsigned peers_count;
    unsigned peers_lost; // further ones, for which there was no room
    uint32_t priority, lifetime_s, change_request;
    uint64_t tiebreaker; // of ICE-CONTROLLING or ICE-CONTROLLED
    uint64_t reservation_token;
    uint16_t channel, response_port;
    uint8_t transport; // REQUESTED-TRANSPORT: an IP protocol number
    uint8_t family;    // REQUESTED-ADDRESS-FAMILY: 1 IPv4, 2 IPv6
    uint8_t additional_family;
    bool even_port_reserve; // the R bit of EVEN-PORT
    unsigned error_code;
    struct bytes error_reason;

    uint16_t
        unknown[STUN_UNKNOWN_MAX]; // comprehension-required types that this stack does not know
    unsigned unknown_count;

    // Where the checks are in `raw`; 0 when absent. Attributes after MESSAGE-INTEGRITY other than
    // MESSAGE-INTEGRITY-SHA256 and FINGERPRINT were ignored (RFC 8489 14.5).
    size_t integrity_at, integrity256_at, fingerprint_at;
    size_t integrity256_len;
};

// Could these bytes be STUN? (RFC 7983 7: the first byte is 0 to 3; then the magic cookie.)
bool stun_is_stun(struct bytes datagram);

enum stun_outcome stun_decode(struct bytes datagram, struct stun_msg *out);
bool stun_has(const struct stun_msg *msg, enum stun_attr attr);

// FINGERPRINT is there, is last, and is right (RFC 8489 14.7).
bool stun_check_fingerprint(const struct stun_msg *msg);

// ------------------------------------------------------------------------------------------ keys

// Passwords, user names and realms are taken as UTF-8 that is prepared already (OpaqueString or
// SASLprep): nothing here changes a byte of them.
//
// A key ready for HMAC, so that the work of keying is done once and not for each message.
// Opaque and reusable; one for each password. Made by stun_key_new*, freed by stun_key_free.
struct stun_key;

// Short-term credential: the key is the password (RFC 8489 9.1.1).
struct stun_key *stun_key_new(struct bytes password);
enum stun_password_algorithm { STUN_MD5 = 1, STUN_SHA256 = 2 };
// Long-term: MD5 or SHA-256 of "username:realm:password" (RFC 8489 9.2.2, 18.5).
struct stun_key *stun_key_new_long_term(struct bytes username, struct bytes realm,
                                        struct bytes password,
                                        enum stun_password_algorithm algorithm);
void stun_key_free(struct stun_key *key); // NULL is allowed

// MESSAGE-INTEGRITY (HMAC-SHA1) or MESSAGE-INTEGRITY-SHA256 is there and right.
bool stun_check_integrity(const struct stun_msg *msg, struct stun_key *key);
bool stun_check_integrity256(const struct stun_msg *msg, struct stun_key *key);

// --------------------------------------------------------------------------------------- encoding

// Attributes come out in the order of the calls; a message that does not fit fails as a whole.
struct stun_writer {
    struct writer w;
};

struct stun_writer stun_begin(void *buffer, size_t max, enum stun_class class, uint16_t method,
                              const uint8_t id[STUN_ID_LEN]);
void stun_add_bytes(struct stun_writer *s, enum stun_attr attr, struct bytes value);
void stun_add_flag(struct stun_writer *s, enum stun_attr attr); // no value
void stun_add_u32(struct stun_writer *s, enum stun_attr attr, uint32_t value);
void stun_add_u64(struct stun_writer *s, enum stun_attr attr, uint64_t value);
void stun_add_addr(struct stun_writer *s, enum stun_attr attr, const struct addr *addr); // plain
void stun_add_xor_addr(struct stun_writer *s, enum stun_attr attr, const struct addr *addr);
void stun_add_error(struct stun_writer *s, unsigned code, struct bytes reason);
void stun_add_unknown(struct stun_writer *s, const uint16_t *types, unsigned count);
// These three go last, in this order.
void stun_add_integrity(struct stun_writer *s, struct stun_key *key);
void stun_add_integrity256(struct stun_writer *s, struct stun_key *key);
void stun_add_fingerprint(struct stun_writer *s);
// The finished message, in the caller's buffer; empty when it did not fit.
struct bytes stun_end(struct stun_writer *s);

// --------------------------------------------------------------------------------- retransmission

// The schedule of a UDP request (RFC 8489 6.2.1): sent at 0, RTO, 3 RTO, 7 RTO ... Rc times in all,
// given up Rm * RTO after the last. Pure arithmetic: the caller keeps the message.
struct stun_rto {
    nanotime rto;     // the first interval: 500 ms unless something better is known
    nanotime next_at; // when to act next
    unsigned sent;    // transmissions so far
};
#define STUN_RTO_MS 500
#define STUN_RC 7
#define STUN_RM 16

struct stun_rto stun_rto_start(nanotime now, nanotime rto); // the first transmission is due now
enum stun_rto_due { STUN_RTO_WAIT, STUN_RTO_SEND, STUN_RTO_GIVE_UP };
// What is due at `now`; STUN_RTO_SEND counts the transmission and moves `next_at` on.
enum stun_rto_due stun_rto_poll(struct stun_rto *rto, nanotime now);

#endif
