// For bench programs alone: the median of some takes, after one that warms up (caches, pages, the
// tables of libraries) and is not counted. Each take returns its own figure, whatever its unit.
#ifndef BASE_BENCH_H
#define BASE_BENCH_H

#include <stdlib.h>

#define BENCH_TAKES 5

static inline int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double bench_median(double (*take)(void *user), void *user)
{
    double takes[BENCH_TAKES];
    take(user);
    for (int i = 0; i < BENCH_TAKES; i++)
        takes[i] = take(user);
    qsort(takes, BENCH_TAKES, sizeof *takes, bench_compare);
    return takes[BENCH_TAKES / 2];
}

#endif
