// Growing text: SDP, JSON, logs, tables. Always ends in a zero byte once anything was added.
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/bytes.h"
#include <stdarg.h>

struct text {
    char *at; // owned: text_free
    size_t len;
    size_t max;
};

void text_add(struct text *text, struct bytes bytes);
void text_put(struct text *text, const char *string);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vprintf(struct text *text, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
void text_clear(struct text *text); // keeps the memory
void text_free(struct text *text);
// Control characters, also those of two bytes in UTF-8, become blanks: what came from a file or
// another machine begins no line of its own and moves no cursor.
void text_one_line(char *at, size_t len);

static inline struct bytes text_bytes(const struct text *text)
{
    return bytes_of(text->at, text->len);
}

#endif
