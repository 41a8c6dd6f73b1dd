#include "simnet/capture_priv.h"

#include "simnet/world_priv.h"

#include <assert.h>
#include <stdlib.h>

#define CHUNK (256 * 1024)

struct capture_chunk {
    struct capture_chunk *next;
    size_t used;
    uint8_t bytes[CHUNK];
};

const uint8_t *capture_store_put(struct capture_store *store, struct bytes bytes)
{
    assert(bytes.len <= CHUNK);
    struct capture_chunk *chunk = store->chunks;
    if (!chunk || CHUNK - chunk->used < bytes.len) {
        chunk = mem_alloc(sizeof *chunk);
        chunk->next = store->chunks;
        chunk->used = 0;
        store->chunks = chunk;
    }
    uint8_t *at = chunk->bytes + chunk->used;
    memcpy(at, bytes.at, bytes.len);
    chunk->used += bytes.len;
    return at;
}

void capture_store_free(struct capture_store *store)
{
    while (store->chunks) {
        struct capture_chunk *next = store->chunks->next;
        free(store->chunks);
        store->chunks = next;
    }
}

void capture_free(struct capture *capture)
{
    free(capture->bytes);
    free(capture->marks);
    free(capture->scratch->at);
    free(capture->scratch);
}

uint32_t capture_add(struct capture *capture, nanotime now, struct bytes head, struct bytes body,
                     int16_t first)
{
    if (capture->len + head.len > capture->max) {
        capture->max = (capture->len + head.len) * 2;
        capture->bytes = mem_grow(capture->bytes, capture->max);
    }
    if (capture->count == capture->room) {
        capture->room = capture->room ? capture->room * 2 : 64;
        capture->marks = mem_grow(capture->marks, capture->room * sizeof *capture->marks);
    }
    capture->marks[capture->count++] =
        (struct capture_mark){now, capture->len, body.at, (uint32_t)body.len, first};
    memcpy(capture->bytes + capture->len, head.at, head.len);
    capture->len += head.len;
    return capture->count;
}

struct bytes capture_bytes(const struct capture *capture, uint32_t number)
{
    assert(number >= 1 && number <= capture->count);
    const struct capture_mark *mark = &capture->marks[number - 1];
    size_t to = number < capture->count ? mark[1].at : capture->len, head = to - mark->at;
    if (mark->body_len == 0)
        return bytes_of(capture->bytes + mark->at, head);
    struct capture_scratch *scratch = capture->scratch;
    size_t len = head + mark->body_len;
    if (scratch->max < len) {
        free(scratch->at);
        scratch->at = mem_alloc(len);
        scratch->max = len;
    }
    memcpy(scratch->at, capture->bytes + mark->at, head);
    memcpy(scratch->at + head, mark->body, mark->body_len);
    return bytes_of(scratch->at, len);
}

void capture_packet(struct world *world, unsigned capture, struct packet *packet)
{
    if (!world->config.capture)
        return;
    size_t head = packet->len;
    struct bytes body = {NULL, 0};
    int16_t first = -1;
    if (packet->protocol == PROTOCOL_UDP) {
        size_t from = packet->transport + NET_UDP_HEADER_LEN;
        if (packet->len > from)
            first = packet->at[from];
        if (packet->len >= from + CAPTURE_SHARED_MIN) {
            head = from;
            body = bytes_of(packet->at + from, packet->len - from);
            if (!packet->body)
                packet->body = capture_store_put(&world->bodies, body);
            body.at = packet->body;
        }
    }
    packet->capture = capture;
    packet->number =
        capture_add(&world->captures[capture], world->now, bytes_of(packet->at, head), body, first);
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
    return (struct capture_packet){at->marks[number - 1].time, bytes};
}

int world_capture_first(const struct world *world, unsigned capture, unsigned number)
{
    assert(capture < world->captures_count);
    assert(number >= 1 && number <= world->captures[capture].count);
    return world->captures[capture].marks[number - 1].first;
}
