// Encoding STUN messages.
#include "stack/stun/stun_priv.h"

#include <assert.h>

struct stun_writer stun_begin(void *buffer, size_t max, enum stun_class class, uint16_t method,
                              const uint8_t id[STUN_ID_LEN])
{
    assert(method <= 0xfff);
    struct stun_writer s = {.w = writer_of(buffer, max)};
    // RFC 8489 5: the two class bits sit among the twelve of the method.
    unsigned type = (method & 0xf80u) << 2 | (method & 0x070u) << 1 | (method & 0x00fu) |
                    ((unsigned)class & 2) << 7 | ((unsigned)class & 1) << 4;
    write_u16(&s.w, (uint16_t)type);
    write_u16(&s.w, 0);
    write_u32(&s.w, STUN_COOKIE);
    write_bytes(&s.w, bytes_of(id, STUN_ID_LEN));
    return s;
}

static void add_head(struct stun_writer *s, enum stun_attr attr, size_t len)
{
    if (len > UINT16_MAX)
        s->w.failed = true;
    write_u16(&s->w, (uint16_t)attr);
    write_u16(&s->w, (uint16_t)len);
}

void stun_add_bytes(struct stun_writer *s, enum stun_attr attr, struct bytes value)
{
    add_head(s, attr, value.len);
    write_bytes(&s->w, value);
    write_zeros(&s->w, (0 - value.len) & 3); // RFC 8489 14: padding is zero on sending
}

void stun_add_flag(struct stun_writer *s, enum stun_attr attr)
{
    add_head(s, attr, 0);
}

void stun_add_u32(struct stun_writer *s, enum stun_attr attr, uint32_t value)
{
    add_head(s, attr, 4);
    write_u32(&s->w, value);
}

void stun_add_u64(struct stun_writer *s, enum stun_attr attr, uint64_t value)
{
    add_head(s, attr, 8);
    write_u64(&s->w, value);
}

static void add_address(struct stun_writer *s, enum stun_attr attr, const struct addr *addr,
                        const uint8_t mask[16])
{
    size_t len = ip_len(&addr->ip);
    assert(len > 0);
    add_head(s, attr, 4 + len);
    write_u8(&s->w, 0);
    write_u8(&s->w, len == 4 ? 1 : 2);
    write_u16(&s->w, (uint16_t)(addr->port ^ (mask[0] << 8 | mask[1])));
    uint8_t *to = write_room(&s->w, len);
    for (size_t i = 0; to && i < len; i++)
        to[i] = addr->ip.at[i] ^ mask[i];
}

void stun_add_addr(struct stun_writer *s, enum stun_attr attr, const struct addr *addr)
{
    static const uint8_t none[16];
    add_address(s, attr, addr, none);
}

void stun_add_xor_addr(struct stun_writer *s, enum stun_attr attr, const struct addr *addr)
{
    if (s->w.len < STUN_HEADER_LEN)
        return; // failed already
    // RFC 8489 14.2: the cookie, then the transaction ID.
    uint8_t mask[16];
    memcpy(mask, s->w.at + 4, sizeof mask);
    add_address(s, attr, addr, mask);
}

void stun_add_error(struct stun_writer *s, unsigned code, struct bytes reason)
{
    assert(code >= 300 && code <= 699);
    add_head(s, STUN_ERROR_CODE, 4 + reason.len);
    write_u16(&s->w, 0);
    write_u8(&s->w, (uint8_t)(code / 100));
    write_u8(&s->w, (uint8_t)(code % 100));
    write_bytes(&s->w, reason);
    write_zeros(&s->w, (0 - reason.len) & 3);
}

void stun_add_unknown(struct stun_writer *s, const uint16_t *types, unsigned count)
{
    add_head(s, STUN_UNKNOWN_ATTRIBUTES, 2 * (size_t)count);
    for (unsigned i = 0; i < count; i++)
        write_u16(&s->w, types[i]);
    write_zeros(&s->w, count % 2 ? 2 : 0);
}

void stun_add_fingerprint(struct stun_writer *s)
{
    size_t covered = s->w.len;
    uint8_t *room = write_room(&s->w, 8);
    if (!room)
        return;
    // RFC 8489 14.7: the length covers this attribute before the CRC is taken.
    write_patch_u16(&s->w, 2, (uint16_t)(s->w.len - STUN_HEADER_LEN));
    put_u16(room, STUN_FINGERPRINT);
    put_u16(room + 2, 4);
    put_u32(room + 4, stun_crc32(bytes_of(s->w.at, covered)) ^ STUN_FINGERPRINT_XOR);
}

struct bytes stun_end(struct stun_writer *s)
{
    if (!s->w.failed && s->w.len - STUN_HEADER_LEN > UINT16_MAX)
        s->w.failed = true;
    if (!s->w.failed)
        write_patch_u16(&s->w, 2, (uint16_t)(s->w.len - STUN_HEADER_LEN));
    return writer_bytes(&s->w);
}
