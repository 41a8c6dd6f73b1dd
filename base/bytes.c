#include "base/bytes.h"

bool bytes_copy_text(struct bytes from, char *to, size_t max)
{
    size_t len = from.len < max - 1 ? from.len : max - 1;
    if (len)
        memcpy(to, from.at, len);
    to[len] = 0;
    return len == from.len;
}

bool bytes_parse_u64(struct bytes text, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text.at[i] - '0');
        if (value > (max - digit) / 10 || digit > max)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}
