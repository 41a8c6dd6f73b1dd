#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static const struct {
    const char *name;
    nanotime span;
} units[] = {
    {"ns", 1},     {"us", TIME_US},      {"ms", TIME_MS},
    {"s", TIME_S}, {"min", 60 * TIME_S}, {"h", 3600 * TIME_S},
};

static bool unit_parse(struct bytes name, nanotime *out)
{
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (bytes_is(name, units[i].name)) {
            *out = units[i].span;
            return true;
        }
    }
    return false;
}

static size_t digits_len(struct bytes text)
{
    size_t n = 0;
    while (n < text.len && text.at[n] >= '0' && text.at[n] <= '9')
        n++;
    return n;
}

bool time_parse(struct bytes text, nanotime *out)
{
    size_t whole_len = digits_len(text);
    struct bytes rest = bytes_from(text, whole_len);
    struct bytes fraction = {rest.at, 0};
    if (rest.len && rest.at[0] == '.') {
        rest = bytes_from(rest, 1);
        fraction = (struct bytes){rest.at, digits_len(rest)};
        rest = bytes_from(rest, fraction.len);
        if (fraction.len == 0 || fraction.len > 9)
            return false;
    }
    nanotime unit;
    uint64_t whole;
    if (!unit_parse(rest, &unit) || !bytes_parse_u64((struct bytes){text.at, whole_len},
                                                     (uint64_t)(INT64_MAX / 2 / unit), &whole))
        return false;

    nanotime part = 0, place = unit;
    for (size_t i = 0; i < fraction.len; i++) {
        if (place % 10 != 0 && fraction.at[i] != '0')
            return false; // finer than a nanosecond
        place /= 10;
        part += place * (fraction.at[i] - '0');
    }
    *out = (nanotime)whole * unit + part;
    return true;
}

const char *time_print(nanotime time, char *to)
{
    if (time == TIME_NEVER) {
        snprintf(to, TIME_TEXT_MAX, "never");
        return to;
    }
    uint64_t size = time < 0 ? 0 - (uint64_t)time : (uint64_t)time;
    int len = snprintf(to, TIME_TEXT_MAX, "%s%" PRIu64 ".%09" PRIu64, time < 0 ? "-" : "",
                       size / (uint64_t)TIME_S, size % (uint64_t)TIME_S);
    while (to[len - 1] == '0')
        len--;
    if (to[len - 1] == '.')
        len--;
    to[len] = 's';
    to[len + 1] = 0;
    return to;
}

static nanotime clock_read(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (nanotime)t.tv_sec * TIME_S + t.tv_nsec;
}

nanotime clock_real(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

nanotime clock_cpu(void)
{
    return clock_read(CLOCK_PROCESS_CPUTIME_ID);
}
