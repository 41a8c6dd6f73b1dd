// The timed table: a chained hash whose entries are also linked in the order of their expiry.
#include "stack/turn/turn_priv.h"

#include "base/arena.h"

#include <assert.h>
#include <stdlib.h>

#define NONE UINT32_MAX
#define ROOM_FIRST 8u // a power of two

struct turn_table turn_table_of(uint32_t max)
{
    return (struct turn_table){.max = max, .free = NONE, .oldest = NONE, .newest = NONE};
}

void turn_table_fini(struct turn_table *table)
{
    free(table->entries);
    free(table->heads);
    *table = turn_table_of(table->max);
}

static uint32_t *head_of(struct turn_table *table, const struct addr *key)
{
    return &table->heads[addr_hash(key) & (table->room - 1)];
}

static void grow(struct turn_table *table)
{
    table->room = table->room ? table->room * 2 : ROOM_FIRST;
    table->entries = mem_grow(table->entries, table->room * sizeof *table->entries);
    table->heads = mem_grow(table->heads, table->room * sizeof *table->heads);
    for (uint32_t i = 0; i < table->room; i++)
        table->heads[i] = NONE;
    for (uint32_t i = table->oldest; i != NONE; i = table->entries[i].newer) {
        uint32_t *head = head_of(table, &table->entries[i].key);
        table->entries[i].chain = *head;
        *head = i;
    }
}

static void order_unlink(struct turn_table *table, uint32_t i)
{
    struct turn_entry *entry = &table->entries[i];
    if (entry->older == NONE)
        table->oldest = entry->newer;
    else
        table->entries[entry->older].newer = entry->newer;
    if (entry->newer == NONE)
        table->newest = entry->older;
    else
        table->entries[entry->newer].older = entry->older;
}

static void order_append(struct turn_table *table, uint32_t i)
{
    struct turn_entry *entry = &table->entries[i];
    entry->older = table->newest;
    entry->newer = NONE;
    if (table->newest == NONE)
        table->oldest = i;
    else
        table->entries[table->newest].newer = i;
    table->newest = i;
}

static uint32_t lookup(struct turn_table *table, const struct addr *key)
{
    if (!table->room)
        return NONE;
    uint32_t i = *head_of(table, key);
    while (i != NONE && !addr_equal(&table->entries[i].key, key))
        i = table->entries[i].chain;
    return i;
}

struct turn_entry *turn_table_find(struct turn_table *table, const struct addr *key, nanotime now)
{
    uint32_t i = lookup(table, key);
    return i != NONE && table->entries[i].expires_at > now ? &table->entries[i] : NULL;
}

static void drop(struct turn_table *table, uint32_t i)
{
    uint32_t *link = head_of(table, &table->entries[i].key);
    while (*link != i)
        link = &table->entries[*link].chain;
    *link = table->entries[i].chain;
    order_unlink(table, i);
    table->entries[i].chain = table->free;
    table->free = i;
    table->live--;
}

void turn_table_remove(struct turn_table *table, const struct addr *key)
{
    uint32_t i = lookup(table, key);
    if (i != NONE)
        drop(table, i);
}

static void expire(struct turn_table *table, nanotime now)
{
    while (table->oldest != NONE && table->entries[table->oldest].expires_at <= now)
        drop(table, table->oldest);
}

bool turn_table_has_room(struct turn_table *table, uint32_t count, nanotime now)
{
    expire(table, now);
    return count <= table->max - table->live;
}

struct turn_entry *turn_table_put(struct turn_table *table, const struct addr *key,
                                  const struct addr *value, nanotime now, nanotime lifetime)
{
    expire(table, now);
    uint32_t i = lookup(table, key);
    if (i != NONE) {
        order_unlink(table, i);
    } else {
        if (table->live == table->max)
            return NULL;
        if (table->free == NONE && table->used == table->room)
            grow(table);
        if (table->free != NONE) {
            i = table->free;
            table->free = table->entries[i].chain;
        } else {
            i = table->used++;
        }
        uint32_t *head = head_of(table, key);
        table->entries[i].key = *key;
        table->entries[i].chain = *head;
        *head = i;
        table->live++;
    }
    struct turn_entry *entry = &table->entries[i];
    entry->value = *value;
    entry->expires_at = time_add(now, lifetime);
    order_append(table, i);
    return entry;
}
