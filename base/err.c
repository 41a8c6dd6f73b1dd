#include "base/err.h"

#include "base/text.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

// One line, and where it was cut no part of a character at its end.
static void tidy(struct err *err)
{
    size_t len = strlen(err->text), at = len;
    text_one_line(err->text, len);
    if (len < ERR_TEXT_MAX - 1)
        return;
    while (at > 0 && ((uint8_t)err->text[at - 1] & 0xc0) == 0x80)
        at--;
    uint8_t first = at > 0 ? (uint8_t)err->text[at - 1] : 0;
    size_t whole = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
    if (whole > len - at + 1)
        err->text[at - 1] = 0;
}

bool err_set(struct err *err, const char *format, ...)
{
    if (err_is_set(err))
        return false;
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    tidy(err);
    return false;
}

bool err_at(struct err *err, struct err_mark mark, const char *format, ...)
{
    if (err_is_set(err))
        return false;
    int len =
        snprintf(err->text, sizeof err->text, "%.400s:%u:%u: ", mark.file, mark.line, mark.column);
    va_list args;
    va_start(args, format);
    vsnprintf(err->text + len, sizeof err->text - (size_t)len, format, args);
    va_end(args);
    tidy(err);
    return false;
}

#define WORD_MAX 48

// Edits (insert, delete, change a letter) that turn one word into the other.
static unsigned distance(const char *a, const char *b)
{
    size_t a_len = strlen(a), b_len = strlen(b);
    unsigned row[WORD_MAX + 1];
    if (a_len > WORD_MAX || b_len > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            unsigned least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = least < change ? least : change;
        }
    }
    return row[b_len];
}

const char *err_nearest(const char *got, const char *const *words)
{
    const char *best = NULL;
    unsigned best_distance = (unsigned)(strlen(got) / 3 + 2);
    for (; *words; words++) {
        unsigned d = distance(got, *words);
        if (d < best_distance) {
            best_distance = d;
            best = *words;
        }
    }
    return best;
}
