#include "reports/clean.h"

#include "base/bytes.h"
#include "base/text.h"

#define REPLACEMENT "\xef\xbf\xbd" // U+FFFD

// The length of the UTF-8 character (RFC 3629 4) at the start of `text`; 0: it is none.
static size_t character(struct bytes text, uint32_t *out)
{
    uint8_t first = text.at[0];
    size_t len = first < 0x80       ? 1
                 : first >> 5 == 6  ? 2
                 : first >> 4 == 14 ? 3
                 : first >> 3 == 30 ? 4
                                    : 0;
    if (len == 0 || len > text.len)
        return 0;
    uint32_t code = len == 1 ? first : first & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((text.at[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text.at[i] & 0x3fu);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    *out = code;
    return len;
}

static bool fits(uint32_t code, enum clean_for format)
{
    bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
    switch (format) {
    case CLEAN_JSON:
        return true;
    case CLEAN_XML:
        if (code == '\t' || code == '\n' || code == '\r')
            return true;
        return !control && code != 0xfffe && code != 0xffff;
    case CLEAN_TERMINAL:
        return !control;
    }
    return false;
}

static bool is_clean(struct bytes text, enum clean_for format)
{
    while (text.len) {
        uint32_t code;
        size_t len = character(text, &code);
        if (len == 0 || !fits(code, format))
            return false;
        text = bytes_from(text, len);
    }
    return true;
}

const char *clean_text(struct arena *arena, const char *text, enum clean_for format)
{
    struct bytes left = bytes_text(text);
    if (is_clean(left, format))
        return text;
    struct text clean = {0};
    text_put(&clean, "");
    while (left.len) {
        uint32_t code;
        size_t len = character(left, &code);
        if (len && fits(code, format))
            text_add(&clean, bytes_of(left.at, len));
        else
            text_put(&clean, REPLACEMENT);
        left = bytes_from(left, len ? len : 1);
    }
    char *copy = arena_text(arena, clean.at);
    text_free(&clean);
    return copy;
}
