#include "scenarios/runner/load/names.h"

#include "base/arena.h"

#include <stdlib.h>

struct names_slot {
    struct bytes word;
    uint32_t scope;
    uint32_t value;
    bool used;
};

static uint64_t hash(uint32_t scope, struct bytes word)
{
    uint64_t h = 0xcbf29ce484222325u ^ scope * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < word.len; i++)
        h = (h ^ word.at[i]) * 0x100000001b3u;
    h ^= h >> 32;
    return h * 0xd6e8feb86659fd93u;
}

// The word's slot, or the free one where it would stand.
static struct names_slot *slot(struct names *names, uint32_t scope, struct bytes word)
{
    size_t at = (size_t)(hash(scope, word) >> 20) & (names->max - 1);
    for (;;) {
        struct names_slot *s = &names->slots[at];
        names->probes++;
        if (!s->used || (s->scope == scope && bytes_equal(s->word, word)))
            return s;
        at = (at + 1) & (names->max - 1);
    }
}

static void grow(struct names *names)
{
    struct names bigger = {.max = names->max ? names->max * 2 : 64, .probes = names->probes};
    bigger.slots = mem_zero(bigger.max, sizeof *bigger.slots);
    bigger.count = names->count;
    for (size_t i = 0; i < names->max; i++) {
        struct names_slot *s = &names->slots[i];
        if (s->used)
            *slot(&bigger, s->scope, s->word) = *s;
    }
    free(names->slots);
    *names = bigger;
}

bool names_add(struct names *names, uint32_t scope, struct bytes word, uint32_t value)
{
    if (names->count * 2 >= names->max)
        grow(names);
    struct names_slot *s = slot(names, scope, word);
    if (s->used)
        return false;
    *s = (struct names_slot){word, scope, value, true};
    names->count++;
    return true;
}

bool names_find(struct names *names, uint32_t scope, struct bytes word, uint32_t *value)
{
    if (names->max == 0)
        return false;
    struct names_slot *s = slot(names, scope, word);
    if (!s->used)
        return false;
    *value = s->value;
    return true;
}

void names_free(struct names *names)
{
    free(names->slots);
    *names = (struct names){0};
}
