// Decoding STUN messages, their names, and the schedule of retransmissions.
#include "stack/stun/stun_priv.h"

#include <assert.h>

// RFC 8489 14.3, 14.9, 14.10: text is fewer than 128 characters, up to 763 bytes when decoding.
#define TEXT_MAX 763

enum kind {
    KIND_UNKNOWN,
    KIND_FLAG,
    KIND_BYTES,
    KIND_U8, // in the first byte of a 32-bit value
    KIND_U16,
    KIND_U32,
    KIND_U64,
    KIND_EVEN_PORT,
    KIND_ADDR,
    KIND_MAPPED,
    KIND_XOR_MAPPED,
    KIND_XOR_ADDR,
    KIND_XOR_PEER,
    KIND_ERROR,
    KIND_INTEGRITY,
    KIND_INTEGRITY256,
    KIND_FINGERPRINT,
};

// What an attribute's value looks like, and where in struct stun_msg it goes.
struct shape {
    uint8_t kind;
    uint8_t step; // the length is a multiple of this
    uint16_t min, max;
    uint16_t offset;
};

#define INTO(field) offsetof(struct stun_msg, field)
#define TEXT(field)                                                                                \
    {                                                                                              \
        KIND_BYTES, 1, 0, TEXT_MAX, INTO(field)                                                    \
    }
#define NUMBER(kind, len, field)                                                                   \
    {                                                                                              \
        (kind), 1, (len), (len), INTO(field)                                                       \
    }
#define ADDRESS(kind, field)                                                                       \
    {                                                                                              \
        (kind), 4, 8, 20, INTO(field)                                                              \
    }

// By stun_attr_bit.
static const struct shape shapes[STUN_ATTR_BITS] = {
    [0x01] = ADDRESS(KIND_MAPPED, mapped),
    [0x03] = NUMBER(KIND_U32, 4, change_request),
    [0x06] = TEXT(username),
    [0x08] = {KIND_INTEGRITY, 1, STUN_SHA1_LEN, STUN_SHA1_LEN, 0},
    [0x09] = {KIND_ERROR, 1, 4, 4 + TEXT_MAX, 0},
    [0x0a] = {KIND_BYTES, 2, 0, UINT16_MAX, INTO(unknown_attributes)},
    [0x0c] = NUMBER(KIND_U16, 4, channel),
    [0x0d] = NUMBER(KIND_U32, 4, lifetime_s),
    [0x12] = ADDRESS(KIND_XOR_PEER, peers),
    [0x13] = {KIND_BYTES, 1, 0, UINT16_MAX, INTO(data)},
    [0x14] = TEXT(realm),
    [0x15] = TEXT(nonce),
    [0x16] = ADDRESS(KIND_XOR_ADDR, relayed),
    [0x17] = NUMBER(KIND_U8, 4, family),
    [0x18] = NUMBER(KIND_EVEN_PORT, 1, even_port_reserve),
    [0x19] = NUMBER(KIND_U8, 4, transport),
    [0x1a] = {KIND_FLAG, 1, 0, 0, 0},
    [0x1c] = {KIND_INTEGRITY256, 4, 16, STUN_SHA256_LEN, 0},
    [0x1d] = {KIND_U16, 1, 4, UINT16_MAX, INTO(password_algorithm)},
    [0x1e] = {KIND_BYTES, 1, STUN_SHA256_LEN, STUN_SHA256_LEN, INTO(userhash)},
    [0x20] = ADDRESS(KIND_XOR_MAPPED, mapped),
    [0x22] = NUMBER(KIND_U64, 8, reservation_token),
    [0x24] = NUMBER(KIND_U32, 4, priority),
    [0x25] = {KIND_FLAG, 1, 0, 0, 0},
    [0x26] = {KIND_BYTES, 1, 0, UINT16_MAX, INTO(padding)},
    [0x27] = {KIND_U16, 2, 2, 4, INTO(response_port)}, // RFC 5780 7.5: with its padding or without
    [40] = NUMBER(KIND_U8, 4, additional_family),
    [41] = {KIND_FLAG, 1, 4, 4 + TEXT_MAX, 0}, // ADDRESS-ERROR-CODE
    [42] = {KIND_BYTES, 1, 4, UINT16_MAX, INTO(password_algorithms)},
    [43] = TEXT(alternate_domain),
    [44] = {KIND_FLAG, 1, 8, 8, 0}, // ICMP
    [45] = TEXT(software),
    [46] = ADDRESS(KIND_ADDR, alternate_server),
    [51] = {KIND_FINGERPRINT, 1, 4, 4, 0},
    [52] = NUMBER(KIND_U64, 8, tiebreaker),
    [53] = NUMBER(KIND_U64, 8, tiebreaker),
    [54] = ADDRESS(KIND_ADDR, response_origin),
    [55] = ADDRESS(KIND_ADDR, other_address),
};

bool stun_is_stun(struct bytes datagram)
{
    if (datagram.len < 8 || datagram.at[0] > 3) // RFC 7983 7
        return false;
    struct reader r = reader_of(bytes_from(datagram, 4));
    return read_u32(&r) == STUN_COOKIE;
}

bool stun_has(const struct stun_msg *msg, enum stun_attr attr)
{
    int bit = stun_attr_bit(attr);
    return bit >= 0 && msg->has >> bit & 1;
}

// The transport address in an attribute's value (RFC 8489 14.1); `mask` is the 16 bytes of RFC 8489
// 14.2, or zeros.
static bool decode_address(struct bytes value, const uint8_t *mask, struct addr *out)
{
    struct reader r = reader_of(value);
    read_skip(&r, 1);
    uint8_t family = read_u8(&r);
    uint16_t port = read_u16(&r);
    size_t len = family == 1 ? 4 : family == 2 ? 16 : 0;
    struct bytes ip = read_bytes(&r, len);
    if (r.failed || r.len != 0 || len == 0)
        return false;
    *out = (struct addr){.ip.family = family == 1 ? IP_V4 : IP_V6, .port = port};
    memcpy(out->ip.at, ip.at, len);
    if (!mask)
        return true;
    out->port = (uint16_t)(port ^ (mask[0] << 8 | mask[1]));
    for (size_t i = 0; i < len; i++)
        out->ip.at[i] ^= mask[i];
    return true;
}

static bool decode_error(struct bytes value, struct stun_msg *msg)
{
    struct reader r = reader_of(value);
    read_skip(&r, 2);
    unsigned hundreds = read_u8(&r) & 7, number = read_u8(&r);
    if (hundreds < 3 || hundreds > 6 || number > 99) // RFC 8489 14.8
        return false;
    msg->error_code = hundreds * 100 + number;
    msg->error_reason = read_bytes(&r, r.len);
    return true;
}

// Store a value that has the right length. `at` is where the attribute starts in the message.
static bool decode_value(struct stun_msg *msg, const struct shape *shape, struct bytes value,
                         size_t at)
{
    void *to = (uint8_t *)msg + shape->offset;
    const uint8_t *mask = msg->raw.at + 4;
    struct reader r = reader_of(value);
    switch ((enum kind)shape->kind) {
    case KIND_UNKNOWN:
    case KIND_FLAG:
        return true;
    case KIND_BYTES:
        *(struct bytes *)to = value;
        return true;
    case KIND_U8:
        *(uint8_t *)to = read_u8(&r);
        return true;
    case KIND_U16:
        *(uint16_t *)to = read_u16(&r);
        return true;
    case KIND_U32:
        *(uint32_t *)to = read_u32(&r);
        return true;
    case KIND_U64:
        *(uint64_t *)to = read_u64(&r);
        return true;
    case KIND_EVEN_PORT:
        *(bool *)to = read_u8(&r) >> 7;
        return true;
    case KIND_MAPPED:
        return stun_has(msg, STUN_XOR_MAPPED_ADDRESS) || decode_address(value, NULL, to);
    case KIND_ADDR:
        return decode_address(value, NULL, to);
    case KIND_XOR_MAPPED:
    case KIND_XOR_ADDR:
        return decode_address(value, mask, to);
    case KIND_XOR_PEER:
        if (msg->peers_count == STUN_PEERS_MAX) {
            msg->peers_lost++;
            return true;
        }
        return decode_address(value, mask, &msg->peers[msg->peers_count++]);
    case KIND_ERROR:
        return decode_error(value, msg);
    case KIND_INTEGRITY:
        msg->integrity_at = at;
        return true;
    case KIND_INTEGRITY256:
        msg->integrity256_at = at;
        msg->integrity256_len = value.len;
        return true;
    case KIND_FINGERPRINT:
        msg->fingerprint_at = at;
        return true;
    }
    return false;
}

// RFC 8489 14.5 to 14.7: what follows a check is not covered by it, so all but the remaining checks
// are ignored there.
static bool is_ignored(const struct stun_msg *msg, unsigned type)
{
    if (msg->fingerprint_at)
        return true;
    if (msg->integrity256_at)
        return type != STUN_FINGERPRINT;
    if (msg->integrity_at)
        return type != STUN_FINGERPRINT && type != STUN_MESSAGE_INTEGRITY_SHA256;
    return false;
}

static bool decode_attribute(struct stun_msg *msg, unsigned type, struct bytes value, size_t at)
{
    if (is_ignored(msg, type))
        return true;
    int bit = stun_attr_bit(type);
    if (bit < 0 || shapes[bit].kind == KIND_UNKNOWN) {
        // RFC 8489 14: types below 0x8000 are comprehension-required.
        if (type < 0x8000 && msg->unknown_count < STUN_UNKNOWN_MAX)
            msg->unknown[msg->unknown_count++] = (uint16_t)type;
        return true;
    }
    uint64_t flag = (uint64_t)1 << bit;
    if (msg->has & flag && type != STUN_XOR_PEER_ADDRESS)
        return true; // RFC 8489 14: only the first occurrence needs to be processed
    const struct shape *shape = &shapes[bit];
    if (value.len < shape->min || value.len > shape->max || (value.len & (shape->step - 1u)))
        return false;
    if (!decode_value(msg, shape, value, at))
        return false;
    msg->has |= flag;
    return true;
}

enum stun_outcome stun_decode(struct bytes datagram, struct stun_msg *out)
{
    *out = (struct stun_msg){.raw = datagram};
    struct reader r = reader_of(datagram);
    unsigned type = read_u16(&r), len = read_u16(&r);
    uint32_t cookie = read_u32(&r);
    struct bytes id = read_bytes(&r, STUN_ID_LEN);
    if (datagram.len > 0 && datagram.at[0] & 0xc0) // RFC 8489 5: the first two bits are zero
        return STUN_NOT_STUN;
    if (datagram.len >= 8 && cookie != STUN_COOKIE)
        return STUN_NOT_STUN;
    if (r.failed)
        return STUN_TRUNCATED;
    if (len & 3)
        return STUN_BAD_LENGTH;
    if (len != r.len)
        return len > r.len ? STUN_TRUNCATED : STUN_TRAILING;

    out->class = (enum stun_class)((type >> 7 & 2) | (type >> 4 & 1));
    out->method = (uint16_t)((type >> 2 & 0xf80) | (type >> 1 & 0x070) | (type & 0x00f));
    memcpy(out->id, id.at, STUN_ID_LEN);
    while (r.len > 0) {
        size_t at = (size_t)(r.at - datagram.at);
        unsigned attr = read_u16(&r), value_len = read_u16(&r);
        struct bytes value = read_bytes(&r, value_len);
        read_skip(&r, (0 - value_len) & 3);
        if (r.failed || !decode_attribute(out, attr, value, at))
            return STUN_BAD_ATTRIBUTE;
    }
    return STUN_OK;
}

bool stun_check_fingerprint(const struct stun_msg *msg)
{
    size_t at = msg->fingerprint_at;
    if (!at || at + 8 != msg->raw.len)
        return false;
    struct reader r = reader_of(bytes_from(msg->raw, at + 4));
    return read_u32(&r) == (stun_crc32(bytes_of(msg->raw.at, at)) ^ STUN_FINGERPRINT_XOR);
}

// ------------------------------------------------------------------------------------------ names

const char *stun_outcome_name(enum stun_outcome outcome)
{
    static const char *const names[STUN_OUTCOMES] = {
        [STUN_OK] = "ok",
        [STUN_NOT_STUN] = "not-stun",
        [STUN_TRUNCATED] = "truncated",
        [STUN_TRAILING] = "trailing",
        [STUN_BAD_LENGTH] = "bad-length",
        [STUN_BAD_ATTRIBUTE] = "bad-attribute",
    };
    return outcome < STUN_OUTCOMES ? names[outcome] : "?";
}

const char *stun_method_name(uint16_t method)
{
    switch (method) {
    case STUN_BINDING:
        return "Binding";
    case STUN_ALLOCATE:
        return "Allocate";
    case STUN_REFRESH:
        return "Refresh";
    case STUN_SEND:
        return "Send";
    case STUN_DATA:
        return "Data";
    case STUN_CREATE_PERMISSION:
        return "CreatePermission";
    case STUN_CHANNEL_BIND:
        return "ChannelBind";
    }
    return "unknown method";
}

const char *stun_error_reason(unsigned code)
{
    static const struct {
        unsigned code;
        const char *reason;
    } reasons[] = {
        {STUN_TRY_ALTERNATE, "Try Alternate"},
        {STUN_BAD_REQUEST, "Bad Request"},
        {STUN_UNAUTHENTICATED, "Unauthenticated"},
        {STUN_FORBIDDEN, "Forbidden"},
        {STUN_MOBILITY_FORBIDDEN, "Mobility Forbidden"},
        {STUN_UNKNOWN_ATTRIBUTE, "Unknown Attribute"},
        {STUN_ALLOCATION_MISMATCH, "Allocation Mismatch"},
        {STUN_STALE_NONCE, "Stale Nonce"},
        {STUN_ADDRESS_FAMILY_NOT_SUPPORTED, "Address Family not Supported"},
        {STUN_WRONG_CREDENTIALS, "Wrong Credentials"},
        {STUN_UNSUPPORTED_TRANSPORT, "Unsupported Transport Protocol"},
        {STUN_PEER_ADDRESS_FAMILY_MISMATCH, "Peer Address Family Mismatch"},
        {STUN_ALLOCATION_QUOTA_REACHED, "Allocation Quota Reached"},
        {STUN_ROLE_CONFLICT, "Role Conflict"},
        {STUN_SERVER_ERROR, "Server Error"},
        {STUN_INSUFFICIENT_CAPACITY, "Insufficient Capacity"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].code == code)
            return reasons[i].reason;
    return "";
}

// --------------------------------------------------------------------------------- retransmission

struct stun_rto stun_rto_start(nanotime now, nanotime rto)
{
    assert(rto > 0);
    return (struct stun_rto){.rto = rto, .next_at = now};
}

enum stun_rto_due stun_rto_poll(struct stun_rto *rto, nanotime now)
{
    if (now < rto->next_at)
        return STUN_RTO_WAIT;
    if (rto->sent == STUN_RC) {
        rto->next_at = TIME_NEVER;
        return STUN_RTO_GIVE_UP;
    }
    rto->sent++;
    // RFC 8489 6.2.1: the interval doubles; after the last transmission, Rm times the first.
    nanotime span = rto->sent == STUN_RC ? STUN_RM * rto->rto : rto->rto << (rto->sent - 1);
    rto->next_at = time_add(now, span);
    return STUN_RTO_SEND;
}
