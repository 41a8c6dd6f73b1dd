// A hash table keyed by two addresses, whose entries also stand in the order they were last used.
//
// Flows, mappings, filters, sockets and routes are all of this kind: found by one or two addresses,
// forgotten when idle longest. An entry is named by its number, from 1 (0: none), which holds until
// it is removed; a user keeps what else it knows in an array by that number. Every step is O(1);
// the order of the hashes is never seen.
#ifndef SIMNET_TABLE_PRIV_H
#define SIMNET_TABLE_PRIV_H

#include "base/addr.h"
#include "base/clock.h"

struct pair {
    struct addr a, b; // `b` is all zero where one address is the key
};

struct table_entry {
    struct pair key;
    uint32_t hash;
    uint32_t older, newer; // neighbours by last use; `newer` links the free ones
    uint32_t value;        // the user's
    nanotime touched;
};

struct table_slot {
    uint32_t hash;
    uint32_t entry; // 0: empty
};

struct table {
    struct table_entry *entries; // from 1
    struct table_slot *slots;    // a power of two of them
    uint32_t mask;
    uint32_t count;
    uint32_t room; // the largest number given out so far is below it
    uint32_t free;
    uint32_t oldest, newest;
};

struct table table_new(void);
void table_free(struct table *table);
void table_clear(struct table *table);

// 0: not there.
uint32_t table_find(const struct table *table, const struct pair *key);
// `key` must not be there. Entries may move: keep numbers, not pointers.
uint32_t table_add(struct table *table, const struct pair *key, nanotime now);
void table_remove(struct table *table, uint32_t entry);
// It was used now: the newest. `now` never goes back.
void table_touch(struct table *table, uint32_t entry, nanotime now);

static inline struct table_entry *table_at(const struct table *table, uint32_t entry)
{
    return &table->entries[entry];
}

// The entry idle longest, when it has been idle for `span`; else 0.
static inline uint32_t table_idle(const struct table *table, nanotime now, nanotime span)
{
    uint32_t oldest = table->oldest;
    return oldest && now - table->entries[oldest].touched >= span ? oldest : 0;
}

static inline bool pair_equal(const struct pair *x, const struct pair *y)
{
    uint64_t v[5], w[5];
    memcpy(v, x, sizeof v);
    memcpy(w, y, sizeof w);
    return ((v[0] ^ w[0]) | (v[1] ^ w[1]) | (v[2] ^ w[2]) | (v[3] ^ w[3]) | (v[4] ^ w[4])) == 0;
}

#endif
