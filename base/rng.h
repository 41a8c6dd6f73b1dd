// Seeded streams of randomness (xoshiro256**). One for each entity, seeded from the scenario's seed
// and the entity's name, so that adding a link never moves another's chance.
//
// Not for secrets: every key that a run makes is reproducible, which is the point.
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RNG_BILLION 1000000000u

struct rng {
    uint64_t s[4];
};

struct rng rng_seed(uint64_t seed, const char *name);
uint64_t rng_u64(struct rng *rng);
uint32_t rng_u32(struct rng *rng);
// Uniform in [0, limit), without bias; limit > 0.
uint64_t rng_below(struct rng *rng, uint64_t limit);
// True `per_billion` times in a billion. Draws nothing when the answer is certain.
bool rng_chance(struct rng *rng, uint32_t per_billion);
void rng_fill(struct rng *rng, void *to, size_t len);

#endif
