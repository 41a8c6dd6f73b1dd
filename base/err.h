// What is wrong with the user's file, flag or disk, as one line for a person to read.
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

#define ERR_TEXT_MAX 1024

struct err {
    char text[ERR_TEXT_MAX]; // empty: none. Longer text is cut.
};

// A place in a file, both counted from 1.
struct err_mark {
    const char *file;
    unsigned line;
    unsigned column;
};

// Both keep the first error and return false, so that callers can `return err_set(...)`.
bool err_set(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
// "file:line:column: ..."
bool err_at(struct err *err, struct err_mark mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static inline bool err_is_set(const struct err *err)
{
    return err->text[0] != 0;
}

// The word of `words` (NULL-ended) nearest to `got`, or NULL when none is near enough to suggest.
const char *err_nearest(const char *got, const char *const *words);

#endif
