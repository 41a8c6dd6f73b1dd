#include "simnet/capture_priv.h"

#include "simnet/world_priv.h"

#include <assert.h>
#include <stdlib.h>

void capture_free(struct capture *capture)
{
    free(capture->bytes);
    free(capture->marks);
}

uint32_t capture_add(struct capture *capture, nanotime now, struct bytes packet)
{
    if (capture->len + packet.len > capture->max) {
        capture->max = (capture->len + packet.len) * 2;
        capture->bytes = mem_grow(capture->bytes, capture->max);
    }
    if (capture->count == capture->room) {
        capture->room = capture->room ? capture->room * 2 : 64;
        capture->marks = mem_grow(capture->marks, capture->room * sizeof *capture->marks);
    }
    capture->marks[capture->count++] = (struct capture_mark){now, capture->len};
    memcpy(capture->bytes + capture->len, packet.at, packet.len);
    capture->len += packet.len;
    return capture->count;
}

struct bytes capture_bytes(const struct capture *capture, uint32_t number)
{
    assert(number >= 1 && number <= capture->count);
    size_t from = capture->marks[number - 1].at;
    size_t to = number < capture->count ? capture->marks[number].at : capture->len;
    return bytes_of(capture->bytes + from, to - from);
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
        (struct capture){.name = arena_text(&world->arena, name)};
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
