// What is signaled to a peer, damaged. The bytes cut, repeat and overwrite in offers, answers and
// candidates, and write some themselves. With audio and video or without; then one of the two
// describes itself again, restarts ICE, and has a track more.
//
//   - what is refused has a reason and changes nothing: the true message is taken after it, and the
//     session comes up, when nothing damaged was taken; so does what is described again;
//   - what is taken does not break the peer, whatever it said.
#include "fuzz/kit/peers.h"

// libFuzzer: -max_len=600

#define MEMORY_MAX (64u << 20)
#define MESSAGES_MAX 64

struct message {
    bool candidate, answer;
    int to;
    struct text text;
};

struct bench {
    nanotime now;
    void *peers[2];
    struct addr addrs[2];
    struct message messages[MESSAGES_MAX];
    unsigned messages_count;
    struct reader r;
    bool damaged;           // something damaged was taken
    bool media, redirected; // of audio: stopped, or of another direction
    bool restarted;
};

static void post(struct bench *b, int to, bool candidate, bool answer, struct bytes bytes)
{
    if (b->messages_count == MESSAGES_MAX)
        return;
    struct message *m = &b->messages[b->messages_count++];
    *m = (struct message){candidate, answer, to, {0}};
    text_add(&m->text, bytes);
}

// Both peers are a wire without delay apart.
static void pump(struct bench *b)
{
    unsigned outputs = 0;
    for (bool busy = true; busy;) {
        busy = false;
        for (int i = 0; i < 2; i++) {
            struct peer_output out;
            while (peer_simrtc.poll(b->peers[i], b->now, &out)) {
                outputs++;
                assert(outputs < 20000);
                busy = true;
                if (out.kind == PEER_DESCRIPTION || out.kind == PEER_CANDIDATE)
                    post(b, 1 - i, out.kind == PEER_CANDIDATE, out.answer, out.bytes);
                if (out.kind != PEER_SEND || !addr_equal(&out.datagram.to, &b->addrs[1 - i]))
                    continue;
                uint8_t copy[1300];
                size_t len = out.datagram.bytes.len;
                assert(len <= sizeof copy);
                memcpy(copy, out.datagram.bytes.at, len);
                struct datagram d = {out.datagram.from, out.datagram.to, bytes_of(copy, len)};
                peer_simrtc.input(b->peers[1 - i], b->now, &d);
            }
        }
    }
}

static void pass(struct bench *b, nanotime span)
{
    nanotime until = b->now + span;
    pump(b);
    for (unsigned rounds = 0;; rounds++) {
        assert(rounds < 20000);
        nanotime wake =
            time_min(peer_simrtc.deadline(b->peers[0]), peer_simrtc.deadline(b->peers[1]));
        if (wake > until)
            break;
        b->now = time_max(b->now, wake);
        pump(b);
    }
    b->now = until;
}

static bool give(struct bench *b, const struct message *m, struct bytes bytes)
{
    if (m->candidate)
        return peer_simrtc.add_candidate(b->peers[m->to], b->now, bytes);
    return peer_simrtc.accept(b->peers[m->to], b->now, bytes, m->answer);
}

// Some edits of the text: bytes overwritten, cut out, or words of SDP put in.
static void damage(struct bench *b, struct text *to, struct bytes from)
{
    static const char *const words[] = {"a=setup:active\r\n",
                                        "a=setup:holdconn\r\n",
                                        "a=ice-lite\r\n",
                                        "m=audio 9 RTP/AVP 0\r\n",
                                        "a=group:BUNDLE 0 1\r\n",
                                        "a=sctp-port:0\r\n",
                                        "a=max-message-size:1\r\n",
                                        "a=end-of-candidates\r\n",
                                        "a=candidate:1 1 udp 1 10.0.0.9 9 typ host\r\n",
                                        "a=ice-ufrag:zzzz\r\n",
                                        "a=mid:1\r\n",
                                        " ufrag zzzz",
                                        "a=fingerprint:sha-1 00\r\n",
                                        "\r\n",
                                        "=",
                                        ":"};
    text_add(to, from);
    unsigned edits = 1 + fuzz_choice(&b->r, 3);
    for (unsigned i = 0; i < edits && to->len > 0; i++) {
        size_t at = read_u16(&b->r) % to->len;
        unsigned how = read_u8(&b->r);
        struct text made = {0};
        text_add(&made, bytes_of(to->at, at));
        if (how >= 248) { // newer than all, if it is a description (RFC 8866 5.2)
            for (at = 0; at + 8 < to->len && memcmp(to->at + at + 1, " IN IP", 6) != 0;)
                at++;
            text_clear(&made);
            text_add(&made, bytes_of(to->at, at));
            text_put(&made, "9");
            at++;
        } else if (how < 64) { // another byte
            uint8_t byte = read_u8(&b->r);
            text_add(&made, bytes_of(&byte, 1));
            at++;
        } else if (how < 128) { // less
            size_t cut = read_u8(&b->r);
            at += cut < to->len - at ? cut : to->len - at;
        } else { // more, where a line begins
            while (at > 0 && to->at[at - 1] != '\n' && how < 224)
                at--;
            text_clear(&made);
            text_add(&made, bytes_of(to->at, at));
            text_put(&made, words[how % 16]);
        }
        text_add(&made, bytes_of(to->at + at, to->len - at));
        text_free(to);
        *to = made;
    }
}

static void try_damaged(struct bench *b, const struct message *m)
{
    static struct peer_stats before, after;
    struct text text = {0};
    damage(b, &text, text_bytes(&m->text));
    bool same = bytes_equal(text_bytes(&text), text_bytes(&m->text));
    peer_simrtc.stats(b->peers[m->to], &before);
    bool taken = give(b, m, text_bytes(&text));
    peer_simrtc.stats(b->peers[m->to], &after);
    if (taken) {
        b->damaged |= !same;
    } else {
        assert(after.error && after.error[0] != 0);
        assert(before.signaling == after.signaling && before.state == after.state);
        assert(before.remote_candidates == after.remote_candidates);
        assert(before.dtls_state == after.dtls_state && before.ice_role == after.ice_role);
        assert(before.restarts == after.restarts);
    }
    text_free(&text);
}

static void try_some(struct bench *b, const struct message *m)
{
    for (unsigned tries = 0; tries < 6 && b->r.len > 0 && read_u8(&b->r) < 160; tries++)
        try_damaged(b, m);
}

static void signal_all(struct bench *b)
{
    for (unsigned i = 0; i < b->messages_count; i++) {
        struct message m = b->messages[i];
        try_some(b, &m);
        bool taken = give(b, &m, text_bytes(&m.text));
        assert(taken || b->damaged);
        pass(b, (nanotime)fuzz_choice(&b->r, 40) * TIME_MS);
    }
}

static void add_track(void *peer, bool video, bool send, bool receive)
{
    const struct media_track_config config = {.label = video ? "video" : "audio",
                                              .kind = video ? MEDIA_VIDEO : MEDIA_AUDIO,
                                              .send = send,
                                              .receive = receive,
                                              .codecs = {video ? "VP8" : "opus"},
                                              .codecs_count = 1,
                                              .stop_at = TIME_NEVER,
                                              .bitrate = video ? 60000 : 16000,
                                              .frame_time = 120 * TIME_MS,
                                              .fps = 1,
                                              .width = 160,
                                              .height = 90,
                                              .nack = video,
                                              .rtx = video,
                                              .pli = video};
    assert(peer_simrtc.track_add(peer, &config) >= 0);
}

static void setup(struct bench *b)
{
    fuzz_peers_begin();
    unsigned flags = read_u8(&b->r);
    b->media = flags & 128;
    for (unsigned i = 0; i < 2; i++) {
        struct peer_config config = fuzz_peer_config(i);
        config.trickle = flags & 1;
        config.ice_lite = i == 1 && flags & 2;
        config.setup = (enum peer_dtls_setup)(flags / 4 % 3);
        b->addrs[i] = config.locals[0];
        config.media_min_bps = 50000;
        b->peers[i] = peer_simrtc.create(&config);
        if (!b->media)
            continue;
        add_track(b->peers[i], false, true, true);
        if (flags & (i ? 64 : 32)) // of both, of one, or none
            add_track(b->peers[i], true, i == 0, true);
    }
    if (!b->media || flags & 16)
        fuzz_peer_open_chat(b->peers[0]);
    peer_simrtc.describe(b->peers[0], 0, false);
    pass(b, 100 * TIME_MS);
}

// Opus has its fmtp, and no payload type an empty one.
static void check_parameters(const void *peer)
{
    bool found = false;
    for (unsigned type = 0; type < 128; type++) {
        struct text text = {0};
        bool has = peer_simrtc.codec_parameters(peer, 0, type, &text);
        assert(has == (text.len > 0));
        found |= has;
        text_free(&text);
    }
    assert(found);
}

static void check_end(struct bench *b)
{
    for (int i = 0; i < 2; i++) {
        static struct peer_stats stats;
        peer_simrtc.stats(b->peers[i], &stats);
        assert(stats.sent_without_consent == 0);
        assert(b->damaged || stats.state == PEER_CONNECTED);
        assert(b->damaged || stats.signaling == PEER_STABLE);
        assert(b->damaged || stats.restarts == b->restarted);
        bool selected = fuzz_peer_check_stats(b->peers[i], b->now);
        assert(b->damaged || selected);
        if (!b->media || b->damaged)
            continue;
        struct media_track_stats audio;
        peer_simrtc.track_stats(b->peers[i], b->now, 0, &audio);
        assert(audio.in.packetsReceived > 50); // of 160 or more
        if (!b->redirected)
            check_parameters(b->peers[i]);
    }
}

static void describe_again(struct bench *b, unsigned who)
{
    size_t how = b->r.len;
    if (b->media)
        add_track(b->peers[who], how & 2, false, true);
    b->redirected = how & (4 | 32);
    if (b->media && how & 4)
        peer_simrtc.track_direct(b->peers[who], 0, how & 8, how & 16);
    if (b->media && how & 32)
        peer_simrtc.track_stop(b->peers[who], 0);
    unsigned told = b->messages_count;
    b->restarted = true;
    peer_simrtc.describe(b->peers[who], b->now, true);
    pass(b, 100 * TIME_MS);
    for (unsigned i = told; i < b->messages_count; i++) {
        struct message m = b->messages[i];
        try_some(b, &m);
        bool taken = give(b, &m, text_bytes(&m.text));
        assert(taken || b->damaged);
        pass(b, 10 * TIME_MS);
    }
    pass(b, 20 * TIME_S);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bench bench;
    fuzz_peers_ready();
    size_t before = fuzz_memory();
    bench = (struct bench){.r = reader_of(bytes_of(data, size))};
    setup(&bench);
    signal_all(&bench);
    pass(&bench, 20 * TIME_S);
    if (bench.r.len > 0)
        describe_again(&bench, bench.r.len & 1);
    fuzz_memory_check(before, MEMORY_MAX);
    check_end(&bench);
    for (int i = 0; i < 2; i++)
        peer_simrtc.destroy(bench.peers[i]);
    for (unsigned i = 0; i < bench.messages_count; i++)
        text_free(&bench.messages[i].text);
    fuzz_peers_end();
    return 0;
}
