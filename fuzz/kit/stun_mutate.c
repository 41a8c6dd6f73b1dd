#include "fuzz/kit/stun_mutate.h"

#include "base/rng.h"
#include "fuzz/fuzz.h"
#include "stack/stun/stun.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define SEALS_MAX 72 // 24, 36, 8, and what padding takes
#define ATTRIBUTES_MAX 64
#define VALUE_MAX 64

struct draft {
    uint8_t *at;
    size_t len, max;
    size_t starts[ATTRIBUTES_MAX + 1]; // starts[count] is the end
    unsigned count;
    struct rng rng;
};

void stun_model_hmac(struct bytes raw, size_t at, size_t mac_len, bool sha256, uint8_t *out)
{
    static uint8_t copy[STUN_MUTATE_MAX];
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned len;
    assert(at <= sizeof copy && mac_len <= 32);
    memcpy(copy, raw.at, at);
    put_u16(copy + 2, (uint16_t)(at + 4 + mac_len - STUN_HEADER_LEN));
    HMAC(sha256 ? EVP_sha256() : EVP_sha1(), STUN_MUTATE_PASSWORD,
         (int)strlen(STUN_MUTATE_PASSWORD), copy, at, mac, &len);
    memcpy(out, mac, mac_len);
}

uint32_t stun_model_crc32(const uint8_t *at, size_t len)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < len; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static unsigned u16_at(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static unsigned any(struct draft *d, unsigned limit)
{
    return limit ? (unsigned)rng_below(&d->rng, limit) : 0;
}

// The attributes that may stand before the seals, as far as they are whole; the rest is cut.
static void index_attributes(struct draft *d)
{
    size_t at = STUN_HEADER_LEN;
    d->count = 0;
    while (at + 4 <= d->len && d->count < ATTRIBUTES_MAX) {
        unsigned type = u16_at(d->at + at), len = u16_at(d->at + at + 2);
        size_t next = at + 4 + ((len + 3u) & ~3u);
        if (type == STUN_MESSAGE_INTEGRITY || type == STUN_MESSAGE_INTEGRITY_SHA256 ||
            type == STUN_FINGERPRINT || next > d->len)
            break;
        d->starts[d->count++] = at;
        at = next;
    }
    d->starts[d->count] = d->len = at;
}

static void replace(struct draft *d, size_t at, size_t cut, struct bytes with)
{
    if (d->len - cut + with.len > d->max)
        return;
    memmove(d->at + at + with.len, d->at + at + cut, d->len - at - cut);
    if (with.len)
        memcpy(d->at + at, with.at, with.len);
    d->len = d->len - cut + with.len;
    index_attributes(d);
}

// An attribute with a value of the length that its type has, mostly.
static void splice(struct draft *d)
{
    static const struct {
        uint16_t type;
        uint8_t len; // 255: any
    } known[] = {
        {STUN_MAPPED_ADDRESS, 8},
        {STUN_CHANGE_REQUEST, 4},
        {STUN_USERNAME, 255},
        {STUN_ERROR_CODE, 255},
        {STUN_UNKNOWN_ATTRIBUTES, 255},
        {STUN_CHANNEL_NUMBER, 4},
        {STUN_LIFETIME, 4},
        {STUN_XOR_PEER_ADDRESS, 8},
        {STUN_XOR_PEER_ADDRESS, 20},
        {STUN_DATA_ATTR, 255},
        {STUN_REALM, 255},
        {STUN_NONCE, 255},
        {STUN_XOR_RELAYED_ADDRESS, 8},
        {STUN_REQUESTED_ADDRESS_FAMILY, 4},
        {STUN_EVEN_PORT, 1},
        {STUN_REQUESTED_TRANSPORT, 4},
        {STUN_DONT_FRAGMENT, 0},
        {STUN_PASSWORD_ALGORITHM, 4},
        {STUN_USERHASH, 32},
        {STUN_XOR_MAPPED_ADDRESS, 8},
        {STUN_XOR_MAPPED_ADDRESS, 20},
        {STUN_RESERVATION_TOKEN, 8},
        {STUN_PRIORITY, 4},
        {STUN_USE_CANDIDATE, 0},
        {STUN_PADDING, 255},
        {STUN_RESPONSE_PORT, 4},
        {STUN_ADDITIONAL_ADDRESS_FAMILY, 4},
        {STUN_ADDRESS_ERROR_CODE, 255},
        {STUN_PASSWORD_ALGORITHMS, 255},
        {STUN_ALTERNATE_DOMAIN, 255},
        {STUN_ICMP, 8},
        {STUN_SOFTWARE, 255},
        {STUN_ALTERNATE_SERVER, 8},
        {STUN_ICE_CONTROLLED, 8},
        {STUN_ICE_CONTROLLING, 8},
        {STUN_RESPONSE_ORIGIN, 8},
        {STUN_OTHER_ADDRESS, 20},
    };
    uint8_t made[4 + VALUE_MAX] = {0};
    unsigned which = any(d, sizeof known / sizeof known[0]);
    unsigned len =
        known[which].len == 255 || any(d, 12) == 0 ? any(d, VALUE_MAX) : known[which].len;
    put_u16(made, any(d, 12) ? known[which].type : (uint16_t)any(d, 65536));
    put_u16(made + 2, (uint16_t)len);
    rng_fill(&d->rng, made + 4, len);
    if (known[which].len == 8 || known[which].len == 20) { // an address has a family
        made[4] = 0;
        made[5] = known[which].len == 8 ? 1 : 2;
    }
    replace(d, d->starts[any(d, d->count + 1)], 0, bytes_of(made, 4 + ((len + 3u) & ~3u)));
}

static void move_or_repeat(struct draft *d, bool keep)
{
    static uint8_t copy[STUN_MUTATE_MAX];
    unsigned from = any(d, d->count);
    size_t at = d->starts[from], len = d->starts[from + 1] - at;
    if (len > sizeof copy)
        return;
    memcpy(copy, d->at + at, len);
    if (!keep)
        replace(d, at, len, bytes_of(NULL, 0));
    replace(d, d->starts[any(d, d->count + 1)], 0, bytes_of(copy, len));
}

// A value by libFuzzer, and its length with it.
static void change_value(struct draft *d)
{
    static uint8_t made[4 + VALUE_MAX + 4];
    unsigned which = any(d, d->count);
    size_t at = d->starts[which], whole = d->starts[which + 1] - at, len = u16_at(d->at + at + 2);
    if (len == 0 || len > VALUE_MAX)
        return;
    memset(made, 0, sizeof made);
    memcpy(made, d->at + at, 4 + len);
    len = LLVMFuzzerMutate(made + 4, len, VALUE_MAX);
    put_u16(made + 2, (uint16_t)len);
    for (size_t i = len; i < ((len + 3) & ~(size_t)3); i++) // RFC 8489 14: padding may be anything
        made[4 + i] = (uint8_t)any(d, 256);
    replace(d, at, whole, bytes_of(made, 4 + ((len + 3) & ~(size_t)3)));
}

static void edit(struct draft *d)
{
    unsigned how = d->count ? any(d, 8) : 0;
    if (how < 2) {
        splice(d);
    } else if (how < 3) {
        move_or_repeat(d, false);
    } else if (how < 4) {
        move_or_repeat(d, true);
    } else if (how < 5) {
        unsigned which = any(d, d->count);
        size_t at = d->starts[which];
        replace(d, at, d->starts[which + 1] - at, bytes_of(NULL, 0));
    } else if (how < 7) {
        change_value(d);
    } else { // class and method
        d->at[any(d, 2)] ^= (uint8_t)(1 << any(d, 8));
        d->at[0] &= 0x3f;
    }
}

static size_t seal(struct draft *d, unsigned which)
{
    struct writer w = writer_of(d->at, d->max + SEALS_MAX);
    uint8_t mac[32];
    w.len = d->len;
    if (which & 1) {
        stun_model_hmac(bytes_of(d->at, w.len), w.len, 20, false, mac);
        write_u32(&w, (uint32_t)STUN_MESSAGE_INTEGRITY << 16 | 20);
        write_bytes(&w, bytes_of(mac, 20));
    }
    if (which & 2) {
        size_t len = any(d, 4) ? 32 : 16 + any(d, 5) * 4;
        stun_model_hmac(bytes_of(d->at, w.len), w.len, len, true, mac);
        write_u32(&w, (uint32_t)STUN_MESSAGE_INTEGRITY_SHA256 << 16 | (uint32_t)len);
        write_bytes(&w, bytes_of(mac, len));
    }
    if (which & 4) {
        put_u16(d->at + 2, (uint16_t)(w.len + 8 - STUN_HEADER_LEN));
        uint32_t crc = stun_model_crc32(d->at, w.len);
        write_u32(&w, (uint32_t)STUN_FINGERPRINT << 16 | 4);
        write_u32(&w, crc ^ 0x5354554e);
    }
    put_u16(d->at + 2, (uint16_t)(w.len - STUN_HEADER_LEN));
    return w.len;
}

size_t stun_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    struct draft d = {.at = data, .rng = rng_seed(seed, "stun")};
    bool plain = any(&d, 3) == 0;
    if (plain)
        size = LLVMFuzzerMutate(data, size, max);
    if (any(&d, 16) == 0 || max < STUN_HEADER_LEN + SEALS_MAX || max > STUN_MUTATE_MAX)
        return size;
    if (size < STUN_HEADER_LEN)
        memset(data + size, 0, STUN_HEADER_LEN - size);
    d.len = size < STUN_HEADER_LEN ? STUN_HEADER_LEN : size;
    d.max = max - SEALS_MAX;
    d.at[0] &= 0x3f;
    put_u32(d.at + 4, STUN_COOKIE);
    index_attributes(&d);
    while (d.len > d.max) // the last ones give their room to the seals
        d.len = d.starts[--d.count];
    for (unsigned edits = plain ? 0 : 1 + any(&d, 3); edits > 0; edits--)
        edit(&d);
    return seal(&d, any(&d, 8));
}
