// How many UDP packets of a protocol a capture holds, by the same reading that Wireshark gives
// them.
#include "scenarios/runner/run/run_priv.h"

#include "stack/stun/stun.h"

#define IPV4_MIN 20
#define IPV6_LEN 40
#define IPV4_PROTOCOL 9
#define IPV6_NEXT_HEADER 6
#define UDP_LEN 8
#define PROTOCOL_UDP 17
#define COUNTED_MAX 0x4f // the first byte of STUN, DTLS and ChannelData is no larger

static struct bytes udp_payload(struct bytes packet)
{
    bool v6 = packet.len > 0 && packet.at[0] >> 4 == 6;
    if (packet.len < IPV4_MIN || packet.at[v6 ? IPV6_NEXT_HEADER : IPV4_PROTOCOL] != PROTOCOL_UDP)
        return (struct bytes){0};
    return bytes_from(packet, (v6 ? IPV6_LEN : IPV4_MIN) + UDP_LEN);
}

// RFC 7983 7: the first byte tells the protocols apart.
static bool is_dtls(struct bytes payload)
{
    return payload.len > 0 && payload.at[0] >= 20 && payload.at[0] <= 63;
}

static bool is_channel_data(struct bytes payload)
{
    return payload.len >= 4 && payload.at[0] >= 0x40 && payload.at[0] <= 0x4f;
}

static void count_payload(struct capture_counts *counts, struct bytes payload)
{
    struct stun_msg msg;
    if (is_dtls(payload)) {
        counts->dtls++;
    } else if (is_channel_data(payload)) {
        counts->stun++;
        counts->dtls += is_dtls(bytes_from(payload, 4));
    } else if (stun_is_stun(payload)) {
        counts->stun++;
        if (stun_decode(payload, &msg) == STUN_OK && stun_has(&msg, STUN_DATA_ATTR))
            counts->dtls += is_dtls(msg.data);
    }
}

struct capture_counts capture_counts(const struct world *world, unsigned capture)
{
    struct capture_counts counts = {0};
    unsigned packets = world_capture_count(world, capture);
    for (unsigned i = 1; i <= packets; i++) {
        int first = world_capture_first(world, capture, i);
        if (first >= 0 && first <= COUNTED_MAX) // media is most of a call
            count_payload(&counts, udp_payload(world_capture_packet(world, capture, i).bytes));
    }
    return counts;
}
