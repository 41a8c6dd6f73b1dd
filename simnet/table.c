#include "simnet/table_priv.h"

#include "base/arena.h"

#include <assert.h>
#include <stdlib.h>

#define SLOTS_FIRST 16u

const struct addr no_addr = {0};

// Multiply each word by its own odd constant and fold: the products do not wait for each other.
static uint32_t key_hash(const struct addr *a, const struct addr *b)
{
    struct addr_words v = addr_words(a), w = addr_words(b);
    uint64_t h = v.high * 0x9e3779b97f4a7c15u + v.low * 0xc2b2ae3d27d4eb4fu +
                 v.rest * 0x9fb21c651e98df25u + w.high * 0xff51afd7ed558ccdu +
                 w.low * 0xc4ceb9fe1a85ec53u + w.rest * 0x632be59bd9b4e019u;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93u;
    return (uint32_t)(h >> 32);
}

struct table table_new(void)
{
    return (struct table){.slots = mem_zero(SLOTS_FIRST, sizeof(struct table_slot)),
                          .mask = SLOTS_FIRST - 1};
}

void table_free(struct table *table)
{
    free(table->entries);
    free(table->slots);
    *table = (struct table){0};
}

void table_clear(struct table *table)
{
    table_free(table);
    *table = table_new();
}

uint32_t table_find(const struct table *table, const struct addr *a, const struct addr *b)
{
    uint32_t hash = key_hash(a, b);
    for (uint32_t at = hash & table->mask;; at = (at + 1) & table->mask) {
        const struct table_slot *slot = &table->slots[at];
        if (slot->entry == 0)
            return 0;
        if (slot->hash == hash && table_is_key(&table->entries[slot->entry], a, b))
            return slot->entry;
    }
}

static void slot_put(struct table *table, struct table_slot put)
{
    uint32_t at = put.hash & table->mask;
    while (table->slots[at].entry != 0)
        at = (at + 1) & table->mask;
    table->slots[at] = put;
}

// At most half of the slots are taken, so that probes stay short.
static void slots_grow(struct table *table)
{
    uint32_t before = table->mask + 1;
    struct table_slot *old = table->slots;
    table->slots = mem_zero((size_t)before * 2, sizeof *old);
    table->mask = before * 2 - 1;
    for (uint32_t i = 0; i < before; i++)
        if (old[i].entry != 0)
            slot_put(table, old[i]);
    free(old);
}

// Take the entry out of its slot, moving those behind it up so that no probe meets a gap.
static void slot_take(struct table *table, uint32_t entry)
{
    uint32_t at = table->entries[entry].hash & table->mask;
    while (table->slots[at].entry != entry)
        at = (at + 1) & table->mask;
    for (uint32_t next = (at + 1) & table->mask; table->slots[next].entry != 0;
         next = (next + 1) & table->mask) {
        uint32_t home = table->slots[next].hash & table->mask;
        if (((next - home) & table->mask) < ((next - at) & table->mask))
            continue; // it would come to stand before its home
        table->slots[at] = table->slots[next];
        at = next;
    }
    table->slots[at] = (struct table_slot){0};
}

static void order_join(struct table *table, uint32_t entry)
{
    struct table_entry *joined = &table->entries[entry];
    joined->older = table->newest;
    joined->newer = 0;
    if (table->newest)
        table->entries[table->newest].newer = entry;
    else
        table->oldest = entry;
    table->newest = entry;
}

static void order_leave(struct table *table, const struct table_entry *left)
{
    if (left->older)
        table->entries[left->older].newer = left->newer;
    else
        table->oldest = left->newer;
    if (left->newer)
        table->entries[left->newer].older = left->older;
    else
        table->newest = left->older;
}

static uint32_t entry_new(struct table *table)
{
    uint32_t entry = table->free;
    if (entry) {
        table->free = table->entries[entry].newer;
        return entry;
    }
    if (table->count + 1 >= table->room) {
        table->room = table->room ? table->room * 2 : SLOTS_FIRST / 2;
        table->entries = mem_grow(table->entries, table->room * sizeof *table->entries);
    }
    return table->count + 1; // without free ones, the numbers up to `count` are taken
}

uint32_t table_add(struct table *table, const struct addr *a, const struct addr *b, nanotime now)
{
    if (table->count * 2 > table->mask)
        slots_grow(table);
    uint32_t entry = entry_new(table);
    table->count++;
    table->entries[entry] =
        (struct table_entry){.a = *a, .b = *b, .hash = key_hash(a, b), .touched = now};
    slot_put(table, (struct table_slot){table->entries[entry].hash, entry});
    order_join(table, entry);
    return entry;
}

void table_remove(struct table *table, uint32_t entry)
{
    slot_take(table, entry);
    order_leave(table, &table->entries[entry]);
    table->entries[entry].newer = table->free;
    table->free = entry;
    table->count--;
}

void table_touch(struct table *table, uint32_t entry, nanotime now)
{
    struct table_entry *touched = &table->entries[entry];
    touched->touched = now;
    if (table->newest == entry)
        return;
    order_leave(table, touched);
    order_join(table, entry);
}
