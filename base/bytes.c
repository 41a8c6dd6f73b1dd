#include "base/bytes.h"

bool bytes_copy_text(struct bytes from, char *to, size_t max)
{
    size_t len = from.len < max - 1 ? from.len : max - 1;
    if (len)
        memcpy(to, from.at, len);
    to[len] = 0;
    return len == from.len;
}

#define DIGITS_SAFE 19u // that many fit in 64 bits, whatever they are

bool bytes_parse_u64(struct bytes text, uint64_t max, uint64_t *out)
{
    if (text.len == 0)
        return false;
    const uint8_t *at = text.at, *end = text.at + text.len;
    uint64_t value = 0;
    for (const uint8_t *safe = text.len > DIGITS_SAFE ? at + DIGITS_SAFE : end; at != safe; at++) {
        unsigned digit = (unsigned)*at - '0';
        if (digit > 9)
            return false;
        value = value * 10 + digit;
    }
    for (; at != end; at++) {
        unsigned digit = (unsigned)*at - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (value > max)
        return false;
    *out = value;
    return true;
}
