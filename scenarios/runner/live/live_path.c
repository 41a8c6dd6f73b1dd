#include "scenarios/runner/live/live_path.h"

#include "scenarios/runner/run/run_priv.h"
#include "stack/stun/stun.h"

#define IPV4_LEN 20
#define UDP_LEN 8
#define SOURCE_AT 12
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define CHANNEL_DATA_LEN 4

static bool is_server(const struct run *run, const uint8_t *at)
{
    for (unsigned i = 0; i < run->scenario->servers_count; i++) {
        const struct scenario_server *server = &run->scenario->servers[i];
        if (memcmp(server->addr.ip.at, at, 4) == 0)
            return true;
    }
    return false;
}

// RFC 7983 7
static bool is_dtls(struct bytes payload)
{
    return payload.len > 0 && payload.at[0] >= 20 && payload.at[0] <= 63;
}

// What a client and its relay say to each other that is data of the peers.
static bool is_relayed(struct bytes payload)
{
    struct stun_msg msg;
    if (payload.len > CHANNEL_DATA_LEN && payload.at[0] >= 0x40 && payload.at[0] <= 0x4f)
        return is_dtls(bytes_from(payload, CHANNEL_DATA_LEN));
    return stun_is_stun(payload) && stun_decode(payload, &msg) == STUN_OK &&
           stun_has(&msg, STUN_DATA_ATTR) && is_dtls(msg.data);
}

enum way { WAY_NONE, WAY_DIRECT, WAY_RELAY, WAY_RELAY_TCP };

// `len`: of its payload.
static enum way way_of(const struct run *run, struct bytes packet, size_t *len)
{
    if (packet.len < IPV4_LEN + UDP_LEN || packet.at[0] != 0x45)
        return WAY_NONE;
    bool server = is_server(run, packet.at + SOURCE_AT), tcp = packet.at[9] == PROTOCOL_TCP;
    size_t header = UDP_LEN;
    if (tcp && packet.len > IPV4_LEN + 12)
        header = packet.at[IPV4_LEN + 12] / 16u * 4u;
    struct bytes payload = bytes_from(packet, IPV4_LEN + header);
    *len = payload.len;
    if (packet.at[9] == PROTOCOL_UDP && is_dtls(payload))
        return server ? WAY_RELAY : WAY_DIRECT;
    if (!server || !is_relayed(payload))
        return WAY_NONE;
    return tcp ? WAY_RELAY_TCP : WAY_RELAY;
}

struct live_path live_path_of(struct run *run, const struct run_peer *peer)
{
    return (struct live_path){.capture = world_capture_find(run->world, peer->scenario->name),
                              .own = peer->scenario->ips[0],
                              .found = "none"};
}

static void look_at(const struct run *run, struct live_path *path, struct bytes packet)
{
    size_t len = 0;
    if (packet.len < IPV4_LEN || memcmp(packet.at + SOURCE_AT, path->own.at, 4) == 0)
        return; // its own: it may get nowhere
    switch (way_of(run, packet, &len)) {
    case WAY_NONE:
        return;
    case WAY_DIRECT:
        path->direct += len;
        path->found = "direct";
        return;
    case WAY_RELAY:
        path->relayed += len;
        break;
    case WAY_RELAY_TCP:
        path->relayed_tcp += len;
        break;
    }
    path->found = "relay";
}

const char *live_path_look(struct run *run, struct live_path *path)
{
    if (path->capture < 0)
        return "none";
    unsigned capture = (unsigned)path->capture;
    unsigned count = world_capture_count(run->world, capture);
    while (path->looked < count) {
        struct capture_packet packet = world_capture_packet(run->world, capture, ++path->looked);
        look_at(run, path, packet.bytes);
    }
    return path->found;
}
