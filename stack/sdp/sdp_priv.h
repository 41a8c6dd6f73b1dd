// What the files of sdp/ share.
#ifndef STACK_SDP_SDP_PRIV_H
#define STACK_SDP_SDP_PRIV_H

#include "stack/sdp/sdp.h"

// The field up to the next blank, taken off `rest` with that blank; empty when nothing is left or
// two blanks follow each other.
static inline struct bytes field(struct bytes *rest)
{
    struct bytes from = *rest;
    const uint8_t *blank = from.len ? memchr(from.at, ' ', from.len) : NULL;
    if (!blank) {
        rest->len = 0;
        return from;
    }
    size_t len = (size_t)(blank - from.at);
    *rest = (struct bytes){blank + 1, from.len - len - 1};
    return (struct bytes){from.at, len};
}

static inline bool is_upper(uint8_t c)
{
    return c >= 'A' && c <= 'Z';
}

static inline bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static inline uint8_t lower(uint8_t c)
{
    return is_upper(c) ? (uint8_t)(c + 32) : c;
}

static inline bool is_letter(uint8_t c)
{
    return is_upper(c) || (c >= 'a' && c <= 'z');
}

// Equal but for the case of letters; `word` is in lower case.
static inline bool is_word(struct bytes a, const char *word)
{
    size_t len = strlen(word);
    if (a.len != len)
        return false;
    if (memcmp(a.at, word, len) == 0) // nearly always
        return true;
    for (size_t i = 0; i < len; i++)
        if (lower(a.at[i]) != (uint8_t)word[i])
            return false;
    return true;
}

static inline bool is_ice_chars(struct bytes text)
{
    // RFC 8839 5.1: ALPHA, DIGIT, "+" and "/". Old browsers also used "-", "=", "#" and "_". A bit
    // for each character.
    static const uint64_t allowed[4] = {0x23ffa80800000000, 0x07fffffe87fffffe, 0, 0};
    uint64_t all = 1;
    for (const uint8_t *at = text.at, *end = at + text.len; at != end; at++)
        all &= allowed[*at / 64] >> *at % 64;
    return all & 1;
}

#endif
