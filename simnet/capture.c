#include "simnet/capture_priv.h"

#include "simnet/world_priv.h"

#include <assert.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>

#define CHUNK_FIRST ((size_t)256 * 1024) // most runs fill no more

struct capture_chunk {
    struct capture_chunk *next;
    size_t used, size;
    uint8_t bytes[];
};

static struct capture_chunk *chunk_new(struct capture_chunk *next)
{
    size_t size = next ? MEM_LARGE : CHUNK_FIRST;
    struct capture_chunk *chunk = next ? mem_alloc_large() : mem_alloc(size);
    *chunk = (struct capture_chunk){.next = next, .size = size - sizeof *chunk};
    return chunk;
}

static uint8_t *store_room(struct capture_store *store, size_t len)
{
    len = (len + alignof(struct capture_record) - 1) & ~(alignof(struct capture_record) - 1);
    struct capture_chunk *chunk = store->chunks;
    if (!chunk || chunk->size - chunk->used < len)
        store->chunks = chunk = chunk_new(chunk);
    assert(len <= chunk->size);
    uint8_t *at = chunk->bytes + chunk->used;
    chunk->used += len;
    return at;
}

void capture_store_free(struct capture_store *store)
{
    while (store->chunks) {
        struct capture_chunk *next = store->chunks->next;
        if (next)
            mem_free_large(store->chunks);
        else
            free(store->chunks); // the first
        store->chunks = next;
    }
}

void capture_free(struct capture *capture)
{
    free(capture->entries);
    free(capture->scratch->at);
    free(capture->scratch);
}

struct bytes capture_bytes(const struct capture *capture, uint32_t number)
{
    assert(number >= 1 && number <= capture->count);
    const struct capture_record *record = capture->entries[number - 1].record;
    if (record->body_len == 0)
        return bytes_of(record->head, record->head_len);
    struct capture_scratch *scratch = capture->scratch;
    size_t len = record->head_len + (size_t)record->body_len;
    if (scratch->max < len) {
        free(scratch->at);
        scratch->at = mem_alloc(len);
        scratch->max = len;
    }
    memcpy(scratch->at, record->head, record->head_len);
    memcpy(scratch->at + record->head_len, record->body, record->body_len);
    return bytes_of(scratch->at, len);
}

static struct capture_record *record_new(struct capture_store *store, struct capture *capture,
                                         size_t head_len, int16_t first)
{
    if (capture->count == capture->room) {
        capture->room = capture->room ? capture->room * 2 : 64;
        capture->entries = mem_grow(capture->entries, capture->room * sizeof *capture->entries);
    }
    struct capture_record *record =
        (void *)store_room(store, offsetof(struct capture_record, head) + head_len);
    capture->entries[capture->count++] = (struct capture_entry){record, first};
    return record;
}

// The payload of a packet that is long enough to be kept once.
static const uint8_t *body_put(struct capture_store *store, struct packet *packet, size_t from)
{
    if (packet->body)
        return packet->body;
    uint8_t *body = store_room(store, packet->len - from);
    memcpy(body, packet->at + from, packet->len - from);
    packet->body = body;
    return body;
}

void capture_packet(struct world *world, unsigned number, struct packet *packet)
{
    if (!world->config.capture)
        return;
    struct capture *capture = &world->captures[number];
    size_t head = packet->len, payload = packet->transport + NET_UDP_HEADER_LEN;
    const uint8_t *body = NULL;
    bool has_payload = packet->protocol == PROTOCOL_UDP && packet->len > payload;
    if (has_payload && packet->len >= payload + CAPTURE_SHARED_MIN) {
        head = payload;
        body = body_put(&world->recorded, packet, payload);
    }
    int16_t first = has_payload ? packet->at[payload] : -1;
    struct capture_record *record = record_new(&world->recorded, capture, head, first);
    *record = (struct capture_record){
        .time = world->now,
        .body = body,
        .body_len = (uint32_t)(packet->len - head),
        .head_len = (uint32_t)head,
    };
    memcpy(record->head, packet->at, head);
    packet->capture = number;
    packet->number = capture->count;
}

unsigned capture_new(struct world *world, const char *name)
{
    if (!world->config.capture)
        return 0;
    if (world->captures_count == world->captures_room) {
        world->captures_room = world->captures_room ? world->captures_room * 2 : 16;
        world->captures = mem_grow(world->captures, world->captures_room * sizeof *world->captures);
    }
    world->captures[world->captures_count] =
        (struct capture){.name = arena_text(&world->arena, name),
                         .scratch = mem_zero(1, sizeof(struct capture_scratch))};
    return world->captures_count++;
}

unsigned world_capture_new(struct world *world, const char *name)
{
    return capture_new(world, name);
}

void world_capture_record(struct world *world, unsigned capture, const struct datagram *datagram)
{
    if (!world->config.capture)
        return;
    struct packet *packet =
        packet_new(&world->packets, &datagram->from, &datagram->to, datagram->bytes);
    capture_packet(world, capture, packet);
    packet_free(&world->packets, packet);
}

unsigned world_captures(const struct world *world)
{
    return world->captures_count;
}

const char *world_capture_name(const struct world *world, unsigned capture)
{
    assert(capture < world->captures_count);
    return world->captures[capture].name;
}

int world_capture_find(const struct world *world, const char *name)
{
    for (unsigned i = 0; i < world->captures_count; i++)
        if (strcmp(world->captures[i].name, name) == 0)
            return (int)i;
    return -1;
}

unsigned world_capture_count(const struct world *world, unsigned capture)
{
    assert(capture < world->captures_count);
    return world->captures[capture].count;
}

struct capture_packet world_capture_packet(const struct world *world, unsigned capture,
                                           unsigned number)
{
    assert(capture < world->captures_count);
    const struct capture *at = &world->captures[capture];
    struct bytes bytes = capture_bytes(at, number);
    return (struct capture_packet){at->entries[number - 1].record->time, bytes};
}

int world_capture_first(const struct world *world, unsigned capture, unsigned number)
{
    assert(capture < world->captures_count);
    assert(number >= 1 && number <= world->captures[capture].count);
    return world->captures[capture].entries[number - 1].first;
}
