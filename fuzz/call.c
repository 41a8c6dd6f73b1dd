// A call: two connected peers with audio and video, whose datagrams are damaged, dropped, repeated,
// delayed and injected, as sealed packets and as if there were no SRTP.
//
//   - nothing is taken as media that the other side did not send, bit for bit, and nothing twice;
//   - so no frame is ever damaged, no more is counted as received than came, no packet of media is
//     malformed or of a loop, and what went out and came in, or why it did not, is counted exactly;
//   - the session survives, and on a good path both hear and see again; the heap stays small.
#include "fuzz/kit/pair.h"
#include "stack/rtp/rtp.h"

// libFuzzer: -max_len=1000

#define MEMORY_MAX (64u << 20)
#define MIN_BPS 50000
#define BAD_MAX (4 * TIME_S)
#define GOOD (6 * TIME_S)
#define CLEAR_MAX 8192 // a power of two

// A packet before SRTP.
struct clear {
    uint64_t hash; // 0: none
    unsigned sent, received;
};

struct bench {
    struct pair pair;
    struct clear clear[2][CLEAR_MAX]; // from each side
    unsigned clear_count[2];
    uint64_t rtp_received[2], rtcp_received[2], all_sent[2];
    uint8_t last[2][RTP_PACKET_MAX]; // that a side sent
    size_t last_len[2];
};
static struct bench bench;

static struct clear *clear_of(int from, struct bytes bytes)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ bytes.at[i]) * 1099511628211u;
    hash |= 1;
    unsigned at = (unsigned)(hash >> 40) % CLEAR_MAX;
    while (bench.clear[from][at].hash && bench.clear[from][at].hash != hash)
        at = (at + 1) % CLEAR_MAX;
    if (!bench.clear[from][at].hash)
        assert(++bench.clear_count[from] < CLEAR_MAX);
    bench.clear[from][at].hash = hash;
    return &bench.clear[from][at];
}

static void take(struct pair *pair, int i, const struct peer_output *out)
{
    if (out->kind != PEER_CLEAR)
        return;
    struct bytes bytes = out->datagram.bytes;
    if (addr_equal(&out->datagram.from, &pair->ends[i].addr)) {
        clear_of(i, bytes)->sent++;
        bench.all_sent[i]++;
        memcpy(bench.last[i], bytes.at, bytes.len);
        bench.last_len[i] = bytes.len;
        return;
    }
    struct clear *clear = clear_of(1 - i, bytes);
    clear->received++;
    assert(clear->received <= clear->sent);
    bench.rtp_received[i] += !rtp_is_rtcp(bytes);
    bench.rtcp_received[i] += rtp_is_rtcp(bytes);
}

// What was sent last, as it was before SRTP, or with other bytes; or any bytes behind its header.
static void forge(void)
{
    struct pair *pair = &bench.pair;
    unsigned how = read_u8(&pair->r);
    int to = how & 1;
    uint8_t packet[RTP_PACKET_MAX + 20];
    size_t len = bench.last_len[1 - to];
    memcpy(packet, bench.last[1 - to], len);
    if (how & 4) {
        struct bytes body = fuzz_slice(&pair->r);
        if (body.len)
            memcpy(packet + RTP_HEADER_LEN, body.at, body.len);
        len = RTP_HEADER_LEN + body.len;
    }
    for (unsigned i = 0; i < how >> 5 && len; i++)
        packet[read_u8(&pair->r) % len] ^= read_u8(&pair->r);
    if (how & 8) { // room for a tag
        memset(packet + len, 0, 16);
        len += 16;
    }
    struct datagram d = {pair->ends[1 - to].addr, pair->ends[to].addr, bytes_of(packet, len)};
    if (how & 2)
        d.from.port ^= 1;
    pair_input(pair, to, &d);
    pair_pump(pair);
}

static void command(void)
{
    struct pair *pair = &bench.pair;
    unsigned how = read_u8(&pair->r);
    struct media_command order = {.track = how >> 1 & 1};
    switch (how >> 2 & 3) {
    case 0:
        order.kind = MEDIA_MUTE;
        break;
    case 1:
        order.kind = MEDIA_UNMUTE;
        break;
    case 2:
        order.kind = MEDIA_KEYFRAME;
        break;
    default:
        order = (struct media_command){.kind = MEDIA_DIAL, .digits = "7"};
        break;
    }
    peer_simrtc.media_command(pair->ends[how & 1].peer, pair->now, &order);
    pair_pump(pair);
}

static struct media_track_stats stats_of(int i, unsigned track)
{
    struct media_track_stats stats;
    peer_simrtc.track_stats(bench.pair.ends[i].peer, bench.pair.now, track, &stats);
    return stats;
}

static void check_transport(int i)
{
    struct media_transport_stats s;
    peer_simrtc.transport_stats(bench.pair.ends[i].peer, &s);
    uint64_t received = bench.rtp_received[i] + bench.rtcp_received[i];
    assert(s.packetsSent == bench.all_sent[i] && s.packetsReceived == received);
    assert(s.rtcp_received == bench.rtcp_received[i]);
    assert(s.drops[MEDIA_MALFORMED] == 0 && s.drops[MEDIA_LOOP] == 0 && s.collisions == 0);
}

static void check(void)
{
    pair_check_counts(&bench.pair);
    for (int i = 0; i < 2; i++) {
        uint64_t received = 0;
        for (unsigned track = 0; track < 2; track++) {
            struct media_track_stats s = stats_of(i, track);
            assert(s.quality.damaged == 0 && s.in.framesDecoded <= s.in.framesReceived);
            assert(s.in.retransmittedPacketsReceived + s.in.fecPacketsReceived <=
                   s.in.packetsReceived);
            received += s.in.packetsReceived;
        }
        assert(received <= bench.rtp_received[i]);
        check_transport(i);
    }
}

static void step(void)
{
    struct pair *pair = &bench.pair;
    unsigned kind = fuzz_choice(&pair->r, 16);
    if (kind < 8)
        pair_pass(pair, (nanotime)read_u8(&pair->r) * TIME_MS);
    else if (kind < 11)
        forge();
    else if (kind < 13)
        pair_inject(pair);
    else if (kind < 15)
        pair_replay(pair);
    else
        command();
    check();
}

static void add_tracks(void *peer, unsigned how)
{
    static const char *const codecs[] = {"VP8", "VP9", "H264", "AV1"};
    const struct media_track_config audio = {.label = "audio",
                                             .kind = MEDIA_AUDIO,
                                             .send = true,
                                             .receive = true,
                                             .codecs = {"opus"},
                                             .codecs_count = 1,
                                             .stop_at = TIME_NEVER,
                                             .bitrate = 16000,
                                             .frame_time = 60 * TIME_MS,
                                             .red = how & 4};
    const struct media_track_config video = {.label = "video",
                                             .kind = MEDIA_VIDEO,
                                             .send = true,
                                             .receive = true,
                                             .codecs = {codecs[how & 3]},
                                             .codecs_count = 1,
                                             .stop_at = TIME_NEVER,
                                             .bitrate = 60000,
                                             .fps = 5,
                                             .width = 320,
                                             .height = 180,
                                             .nack = true,
                                             .rtx = !(how & 8),
                                             .pli = true,
                                             .fec = (enum media_fec)(how >> 4 & 3) % 3};
    assert(peer_simrtc.track_add(peer, &audio) == 0 && peer_simrtc.track_add(peer, &video) == 1);
}

static void connect(void)
{
    struct pair *pair = &bench.pair;
    unsigned how = read_u8(&pair->r);
    fuzz_peers_begin();
    for (unsigned i = 0; i < 2; i++) {
        struct peer_config config = fuzz_peer_config(i);
        config.clear_media = true;
        config.media_min_bps = MIN_BPS;
        config.srtp_profiles = how & 128 ? 2 : how & 64 ? 4 : 1;
        pair->ends[i] = (struct pair_end){
            .peer = peer_simrtc.create(&config), .addr = config.locals[0], .channel = -1};
        add_tracks(pair->ends[i].peer, how);
    }
    peer_simrtc.describe(pair->ends[0].peer, 0, false);
    pair_pass(pair, 2 * TIME_S);
    pair_check_connected(pair);
    pair->connected = true;
}

// A good path again: both hear and see.
static void recover(void)
{
    struct pair *pair = &bench.pair;
    pair->r.len = 0;
    for (int i = 0; i < 2; i++)
        for (unsigned track = 0; track < 2; track++)
            peer_simrtc.media_command(
                pair->ends[i].peer, pair->now,
                &(struct media_command){.kind = MEDIA_UNMUTE, .track = track});
    pair_pass(pair, GOOD / 2);
    uint64_t heard[2], seen[2], intact[2];
    for (int i = 0; i < 2; i++) {
        heard[i] = stats_of(i, 0).in.packetsReceived;
        seen[i] = stats_of(i, 1).in.framesDecoded;
        intact[i] = stats_of(i, 1).quality.intact;
    }
    pair_pass(pair, GOOD / 2);
    for (int i = 0; i < 2; i++) {
        assert(stats_of(i, 0).in.packetsReceived > heard[i] + 40); // of 50
        assert(stats_of(i, 1).in.framesDecoded > seen[i] + 8);     // of 15
        assert(stats_of(i, 1).quality.intact > intact[i] + 8);
    }
    check();
    pair_check_connected(pair);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_peers_ready();
    size_t before = fuzz_memory();
    memset(&bench, 0, sizeof bench);
    bench.pair.r = reader_of(bytes_of(data, size));
    bench.pair.take = take;
    connect();
    nanotime started = bench.pair.now;
    for (unsigned i = 0; i < 200 && bench.pair.r.len > 0 && bench.pair.now - started < BAD_MAX; i++)
        step();
    recover();
    fuzz_memory_check(before, MEMORY_MAX);
    pair_free(&bench.pair);
    fuzz_peers_end();
    return 0;
}
