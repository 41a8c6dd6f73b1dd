// Two media sessions and a path in the hand of the bytes: packets are lost, held up, repeated,
// damaged, forged and sent back to who sent them, clear as SRTP's owner would hand them in; tracks
// are muted, digits dialed, routes changed. Feedback is by transport-wide numbers or by RFC 8888.
//
//   - what is sent is RTP and RTCP that parses, no longer than the MTU;
//   - what is counted fits together: frames decoded are frames received, concealed is part of all,
//     what was sent is what came out, to the byte, nothing is received that was neither sent nor
//     forged, rates stay within their bounds;
//   - where nothing was damaged or forged, no frame is damaged either, and once the path is good
//     both hear and see again;
//   - the heap stays small, and it ends.
#include "fuzz/fuzz.h"
#include "stack/media/media_world.h"
#include "stack/rtp/rtcp.h"

// libFuzzer: -max_len=600

#define MTU 1200
#define MIN_BPS 50000
#define MAX_BPS 2000000
#define BAD_MAX (4 * TIME_S)
#define GOOD (6 * TIME_S)
#define MEMORY_MAX (96u << 20)

struct bench {
    struct media_world *world;
    struct reader r;
    bool bad;                      // the bytes decide
    bool hostile;                  // something was damaged or forged
    uint64_t sent[2], extra[2];    // RTP from a side; handed to a side besides
    uint64_t reports[2], bytes[2]; // RTCP from a side; bytes of both
    uint8_t last[2][RTP_PACKET_MAX];
    size_t last_len[2];
    bool last_rtcp[2];
};
static struct bench bench;

static void hand_in(int side, bool rtcp, struct bytes bytes)
{
    struct media *media = bench.world->sides[side];
    struct media_transport_stats before, after;
    bench.extra[side]++;
    media_transport_stats(media, &before);
    enum media_drop drop = rtcp ? media_input_rtcp(media, bench.world->now, bytes)
                                : media_input_rtp(media, bench.world->now, bytes);
    assert(drop < MEDIA_DROPS && media_drop_name(drop));
    media_transport_stats(media, &after);
    // Of a compound RTCP packet some may be bad, and it came all the same.
    uint64_t came = after.packetsReceived - before.packetsReceived;
    assert(came <= 1 && (drop == MEDIA_KEPT ? came == 1 : rtcp || came == 0));
    assert(after.bytesReceived - before.bytesReceived == (came ? bytes.len : 0));
    assert(drop == MEDIA_KEPT || after.drops[drop] > before.drops[drop]);
}

static void check_sent(const struct media_flying *packet)
{
    struct bytes bytes = bytes_of(packet->bytes, packet->len);
    struct rtp_packet rtp;
    assert(packet->len <= MTU);
    if (!packet->rtcp) {
        assert(!rtp_is_rtcp(bytes) && rtp_parse(bytes, &rtp) == RTP_OK);
        return;
    }
    struct rtcp_walk walk;
    struct rtcp_packet rtcp;
    enum rtcp_outcome outcome;
    assert(rtp_is_rtcp(bytes) && rtcp_walk_start(&walk, bytes, true) == RTCP_OK);
    while ((outcome = rtcp_next(&walk, &rtcp)) != RTCP_END)
        assert(outcome == RTCP_OK && rtcp.kind != RTCP_UNKNOWN);
}

// What becomes of a packet that was sent.
static void tamper(struct media_world *world, int from, struct media_flying *packet)
{
    (void)world;
    check_sent(packet);
    bench.sent[from] += !packet->rtcp;
    bench.reports[from] += packet->rtcp;
    bench.bytes[from] += packet->len;
    memcpy(bench.last[from], packet->bytes, packet->len);
    bench.last_len[from] = packet->len;
    bench.last_rtcp[from] = packet->rtcp;
    unsigned fate = bench.bad && bench.r.len ? read_u8(&bench.r) : 0;
    if (fate < 160)
        return;
    if (fate < 200) {
        packet->len = 0; // lost
    } else if (fate < 225) {
        hand_in(1 - from, packet->rtcp, bytes_of(packet->bytes, packet->len));
    } else if (packet->len > 0) {
        bench.hostile = true;
        for (unsigned i = 0; i <= fate % 4; i++)
            packet->bytes[read_u16(&bench.r) % packet->len] ^=
                (uint8_t)(1 << read_u8(&bench.r) % 8);
        if (fate > 248)
            packet->len = read_u16(&bench.r) % (packet->len + 1);
    }
}

// The last packet of the other side with other numbers, or that of its own, so that somebody else
// has its SSRC; or any bytes behind a first pair.
static void forge(void)
{
    unsigned how = read_u8(&bench.r);
    int side = how & 1;
    bool rtcp = how & 2;
    uint8_t packet[RTP_PACKET_MAX];
    int whose = (how & 12) == 12 ? side : 1 - side;
    size_t len = bench.last_len[whose];
    bench.hostile = true;
    if (how & 4 && len >= RTP_HEADER_LEN) {
        memcpy(packet, bench.last[whose], len);
        rtcp = bench.last_rtcp[whose];
        size_t at = 2 + read_u8(&bench.r) % 40u;
        for (unsigned i = 0; i < 4 && at + i < len; i++)
            packet[at + i] = read_u8(&bench.r);
    } else {
        struct bytes body = fuzz_slice(&bench.r);
        packet[0] = (uint8_t)(0x80 | (how >> 3));
        unsigned type = read_u8(&bench.r);
        packet[1] = (uint8_t)(rtcp ? 200 + type % 8 : type);
        len = 2 + body.len;
        if (body.len)
            memcpy(packet + 2, body.at, body.len);
        if (rtcp) {
            memset(packet + len, 0, 4 - len % 4);
            len += (4 - len % 4) % 4;
            put_u16(packet + 2, (uint16_t)(len / 4 - 1));
        }
    }
    hand_in(side, rtcp, bytes_of(packet, len));
}

static void command(void)
{
    unsigned how = read_u8(&bench.r);
    struct media *media = bench.world->sides[how & 1];
    struct media_command order = {.track = how >> 1 & 1};
    switch (how >> 2 & 7) {
    case 0:
        order.kind = MEDIA_MUTE;
        break;
    case 1:
        order.kind = MEDIA_UNMUTE;
        break;
    case 2:
        order.kind = MEDIA_KEYFRAME;
        break;
    case 3:
        order = (struct media_command){.kind = MEDIA_DIAL, .track = 0, .digits = "1#,A"};
        break;
    case 4:
        order.kind = MEDIA_BITRATE;
        order.bps = 20000u + read_u8(&bench.r) * 4000u;
        break;
    case 5:
        order.kind = MEDIA_RECEIVE_MAX;
        order.bps = read_u8(&bench.r) * 8000u;
        break;
    default:
        media_route_changed(media, bench.world->now);
        return;
    }
    media_command(media, bench.world->now, &order);
}

static void check_side(int side)
{
    struct media_transport_stats transport;
    uint64_t received = 0, sent = 0;
    media_transport_stats(bench.world->sides[side], &transport);
    assert(transport.availableOutgoingBitrate >= MIN_BPS);
    assert(transport.availableOutgoingBitrate <= MAX_BPS);
    for (unsigned track = 0; track < 2; track++) {
        struct media_track_stats s = media_world_stats(bench.world, side, track);
        assert(s.in.framesDecoded <= s.in.framesReceived);
        assert(s.in.keyFramesDecoded <= s.in.framesDecoded);
        assert(s.in.concealedSamples <= s.in.totalSamplesReceived);
        assert(s.in.silentConcealedSamples <= s.in.concealedSamples);
        assert(s.in.jitter >= 0 && s.in.jitterBufferDelay >= 0 && s.in.totalFreezesDuration >= 0);
        assert(s.out.retransmittedPacketsSent <= s.out.packetsSent);
        assert(s.out.framesSent <= s.out.framesEncoded);
        assert(s.out.targetBitrate <= MAX_BPS);
        assert(s.quality.mos == 0 || (s.quality.mos >= 1000 && s.quality.mos <= 4500));
        assert(bench.hostile || s.quality.damaged == 0);
        assert(s.in.retransmittedPacketsReceived + s.in.fecPacketsReceived <= s.in.packetsReceived);
        received += s.in.packetsReceived;
        sent += s.out.packetsSent;
    }
    // Some are lost where the path is narrow, before the bytes decide.
    const struct media_path *path = &bench.world->paths[side];
    uint64_t gone = path->lost + path->dropped;
    assert(transport.packetsSent == path->sent && sent >= bench.sent[side]);
    assert(sent <= bench.sent[side] + gone);
    assert(path->sent == bench.sent[side] + bench.reports[side] + gone);
    assert(gone ? transport.bytesSent > bench.bytes[side]
                : transport.bytesSent == bench.bytes[side]);
    assert(received <= bench.sent[1 - side] + bench.extra[side]);
}

static void step(void)
{
    unsigned kind = fuzz_choice(&bench.r, 16);
    struct media_path *path = &bench.world->paths[kind & 1];
    if (kind < 8) {
        media_world_run(bench.world,
                        bench.world->now + (nanotime)(1 + read_u8(&bench.r)) * 2 * TIME_MS);
    } else if (kind < 10) {
        forge();
    } else if (kind < 12) {
        path->delay = (nanotime)read_u8(&bench.r) * TIME_MS;
        path->reorder = kind == 11;
    } else if (kind < 14) {
        path->rate = read_u8(&bench.r) * 8000u;
        path->loss = read_u8(&bench.r) * 2000000u;
    } else {
        command();
    }
    check_side(0);
    check_side(1);
}

// The first byte: codec, redundancy, how packets are repaired, and who tells what of them came.
#define FEC(how) ((how) >> 4 & 3)
#define FEC_NONE_BUT_CCFB 3

// a=rtcp-fb:* ack ccfb, and no transport-wide numbers.
static void agree_ccfb(struct media_world *world, unsigned track,
                       const struct media_track_config *config, const char *mid)
{
    struct media_agreement agreement = media_world_agreement(config, mid);
    for (unsigned i = 0; i < agreement.formats_count; i++) {
        agreement.formats[i].transport_cc = false;
        agreement.formats[i].ccfb = true;
    }
    agreement.extensions.id[RTP_TRANSPORT_CC] = 0;
    for (int i = 0; i < 2; i++)
        media_agree(world->sides[i], 0, track, &agreement);
}

static void setup(struct media_world *world)
{
    static const char *const codecs[] = {"VP8", "VP9", "H264", "AV1"};
    unsigned how = read_u8(&bench.r);
    const struct media_track_config audio = {.label = "audio",
                                             .kind = MEDIA_AUDIO,
                                             .codecs = {how & 64 ? "PCMU" : "opus"},
                                             .codecs_count = 1,
                                             .bitrate = 32000,
                                             .red = how & 4,
                                             .dtx = how & 8};
    const struct media_track_config video = {.label = "video",
                                             .kind = MEDIA_VIDEO,
                                             .codecs = {codecs[how & 3]},
                                             .codecs_count = 1,
                                             .bitrate = 120000,
                                             .fps = 10,
                                             .width = 320,
                                             .height = 180,
                                             .nack = true,
                                             .rtx = !(how & 128),
                                             .pli = true,
                                             .fec = (enum media_fec)FEC(how) % 3};
    media_world_track(world, &audio, true, true);
    unsigned track = media_world_track(world, &video, true, true);
    if (FEC(how) == FEC_NONE_BUT_CCFB)
        agree_ccfb(world, track, &video, "1");
    world->tamper = tamper;
    media_world_start(world);
}

// A good path again: both hear and see, if nobody lied to them.
static void recover(void)
{
    bench.bad = false;
    for (int i = 0; i < 2; i++) {
        struct media_path *path = &bench.world->paths[i];
        path->rate = path->loss = 0;
        path->delay = 20 * TIME_MS;
        path->reorder = false;
        for (unsigned track = 0; track < 2; track++)
            media_command(bench.world->sides[i], bench.world->now,
                          &(struct media_command){.kind = MEDIA_UNMUTE, .track = track});
    }
    media_world_run(bench.world, bench.world->now + GOOD / 2);
    uint64_t heard[2], seen[2];
    for (int i = 0; i < 2; i++) {
        heard[i] = media_world_stats(bench.world, i, 0).in.packetsReceived;
        seen[i] = media_world_stats(bench.world, i, 1).in.framesDecoded;
    }
    media_world_run(bench.world, bench.world->now + GOOD / 2);
    for (int i = 0; i < 2 && !bench.hostile; i++) {
        assert(media_world_stats(bench.world, i, 0).in.packetsReceived > heard[i] + 100);
        assert(media_world_stats(bench.world, i, 1).in.framesDecoded > seen[i] + 10);
    }
    check_side(0);
    check_side(1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t before = fuzz_memory();
    bool ccfb = size > 0 && FEC(data[0]) == FEC_NONE_BUT_CCFB;
    const struct media_config config = {.mtu = MTU,
                                        .min_bps = MIN_BPS,
                                        .max_bps = MAX_BPS,
                                        .control = ccfb ? MEDIA_CCFB : MEDIA_GCC};
    const struct media_config configs[2] = {config, config};
    bench = (struct bench){.r = reader_of(bytes_of(data, size))};
    bench.world = media_world_new(configs);
    setup(bench.world);
    media_world_run(bench.world, TIME_S / 2);
    bench.bad = true;
    for (unsigned i = 0; i < 100 && bench.r.len > 0 && bench.world->now < BAD_MAX; i++)
        step();
    recover();
    fuzz_memory_check(before, MEMORY_MAX);
    media_stop(bench.world->sides[0], bench.world->now);
    media_stop(bench.world->sides[1], bench.world->now);
    media_world_run(bench.world, bench.world->now + TIME_S);
    media_world_free(bench.world);
    return 0;
}
