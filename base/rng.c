#include "base/rng.h"

#include <assert.h>
#include <string.h>

static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

struct rng rng_seed(uint64_t seed, const char *name)
{
    uint64_t hash = 0xcbf29ce484222325u; // FNV-1a
    for (const char *p = name; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 0x100000001b3u;
    uint64_t x = splitmix(&seed) ^ hash;
    struct rng rng;
    for (int i = 0; i < 4; i++)
        rng.s[i] = splitmix(&x);
    return rng;
}

static uint64_t rotl(uint64_t v, int k)
{
    return v << k | v >> (64 - k);
}

uint64_t rng_u64(struct rng *rng)
{
    uint64_t *s = rng->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint32_t rng_u32(struct rng *rng)
{
    return (uint32_t)(rng_u64(rng) >> 32);
}

uint64_t rng_below(struct rng *rng, uint64_t limit)
{
    assert(limit > 0);
    uint64_t tail = (0 - limit) % limit; // 2^64 mod limit: draws below it would weigh more
    uint64_t draw = rng_u64(rng);
    while (draw < tail)
        draw = rng_u64(rng);
    return draw % limit;
}

bool rng_chance(struct rng *rng, uint32_t per_billion)
{
    if (per_billion == 0)
        return false;
    return per_billion >= RNG_BILLION || rng_below(rng, RNG_BILLION) < per_billion;
}

void rng_fill(struct rng *rng, void *to, size_t len)
{
    uint8_t *at = to;
    while (len > 0) {
        uint64_t v = rng_u64(rng);
        size_t n = len < 8 ? len : 8;
        for (size_t i = 0; i < n; i++) // by value, so that byte order never shows
            at[i] = (uint8_t)(v >> (8 * i));
        at += n;
        len -= n;
    }
}
