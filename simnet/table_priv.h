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

struct table_entry {
    struct addr a, b; // the key
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

extern const struct addr no_addr; // the second address where one is the key

struct table table_new(void);
void table_free(struct table *table);
void table_clear(struct table *table);

// 0: not there.
uint32_t table_find(const struct table *table, const struct addr *a, const struct addr *b);
// (a, b) must not be there. Entries may move: keep numbers, not pointers.
uint32_t table_add(struct table *table, const struct addr *a, const struct addr *b, nanotime now);
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

// An address as three words. Read by parts that no write has straddled: these are often addresses
// just put together, and the processor would wait for such a write to reach its cache.
struct addr_words {
    uint64_t high, low, rest;
};

static inline struct addr_words addr_words(const struct addr *addr)
{
    struct addr_words words;
    memcpy(&words.high, addr->ip.at, 8);
    memcpy(&words.low, addr->ip.at + 8, 8);
    words.rest = (uint64_t)addr->ip.family << 16 | addr->port;
    return words;
}

static inline bool table_is_key(const struct table_entry *entry, const struct addr *a,
                                const struct addr *b)
{
    struct addr_words v = addr_words(&entry->a), w = addr_words(a);
    struct addr_words x = addr_words(&entry->b), y = addr_words(b);
    return ((v.high ^ w.high) | (v.low ^ w.low) | (v.rest ^ w.rest) | (x.high ^ y.high) |
            (x.low ^ y.low) | (x.rest ^ y.rest)) == 0;
}

#endif
