// Pairs of channel tables over a virtual link with delay and loss.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/libenv.h"
#include "stack/sctp/datachannel.h"

#include <stdio.h>
#include <stdlib.h>

#define DELAY (20 * TIME_MS)
#define MTU 1191
#define FLIGHT_MAX 8192
#define LOG_MAX 8192

struct packet {
    nanotime at;
    int to;
    size_t len;
    uint8_t bytes[MTU];
};

struct event {
    enum channels_output_kind kind;
    unsigned channel;
    bool incoming, text;
    size_t len;
    uint8_t first;
};

// One end is a table of channels; the other too, or a bare association that speaks as it likes.
struct end {
    struct channels *channels;
    struct sctp *bare;
    struct rng rng;
    struct event log[LOG_MAX];
    unsigned logged;
    struct sctp_output bare_log[64];
    uint8_t bare_first[64];
    unsigned bare_logged;
};

struct duo {
    nanotime now;
    struct end ends[2];
    struct packet *flight[FLIGHT_MAX];
    unsigned flying;
    struct rng link;
    uint32_t loss;
    bool denying; // the second end says to whatever it is asked by RE-CONFIG that it denies it
};

static struct duo *duo_new(bool bare)
{
    struct duo *duo = mem_zero(1, sizeof *duo);
    libenv_reset();
    sctp_library_start(0);
    duo->link = rng_seed(1, "link");
    for (int i = 0; i < 2; i++) {
        struct end *end = &duo->ends[i];
        end->rng = rng_seed(1, i ? "b" : "a");
        struct sctp_config config = {
            .local_port = 5000, .remote_port = 5000, .mtu = MTU, .rng = &end->rng};
        if (i == 1 && bare)
            end->bare = sctp_new(&config);
        else
            end->channels = channels_new(&config, i == 0);
    }
    return duo;
}

static void duo_free(struct duo *duo)
{
    for (int i = 0; i < 2; i++) {
        channels_free(duo->ends[i].channels);
        sctp_free(duo->ends[i].bare);
    }
    sctp_library_stop();
    for (unsigned i = 0; i < duo->flying; i++)
        free(duo->flight[i]);
    assert_int_equal(libenv_orphan_draws(), 0);
    free(duo);
}

// RFC 9260 6.8: CRC-32C over the packet without it, the lowest byte first.
static void checksum_set(uint8_t *packet, size_t len)
{
    uint32_t crc = UINT32_MAX;
    memset(packet + 8, 0, 4);
    for (size_t i = 0; i < len; i++) {
        crc ^= packet[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    for (int i = 0; i < 4; i++)
        packet[8 + i] = (uint8_t)(~crc >> 8 * i);
}

// RFC 6525 4.4: the result in a Re-configuration Response Parameter becomes "denied".
static void deny(uint8_t *packet, size_t len)
{
    for (size_t at = 12; at + 16 <= len;) {
        size_t chunk_len = (size_t)(packet[at + 2] << 8 | packet[at + 3]);
        if (packet[at] == 130 && packet[at + 5] == 16)
            packet[at + 15] = 2;
        at += (chunk_len + 3) / 4 * 4;
    }
    checksum_set(packet, len);
}

static void packet_send(struct duo *duo, int from, struct bytes bytes)
{
    if (rng_chance(&duo->link, duo->loss))
        return;
    assert_true(duo->flying < FLIGHT_MAX && bytes.len <= MTU);
    struct packet *packet = mem_alloc(sizeof *packet);
    packet->at = duo->now + DELAY;
    packet->to = 1 - from;
    packet->len = bytes.len;
    memcpy(packet->bytes, bytes.at, bytes.len);
    if (duo->denying && from == 1)
        deny(packet->bytes, packet->len);
    duo->flight[duo->flying++] = packet;
}

static void drain_bare(struct duo *duo, int i)
{
    struct end *end = &duo->ends[i];
    struct sctp_output out;
    while (sctp_poll(end->bare, duo->now, &out)) {
        if (out.kind == SCTP_SEND) {
            packet_send(duo, i, out.bytes);
            continue;
        }
        if (out.kind == SCTP_STREAM_LOW)
            continue;
        assert_true(end->bare_logged < 64);
        end->bare_first[end->bare_logged] = out.bytes.len ? out.bytes.at[0] : 0;
        end->bare_log[end->bare_logged++] = out;
    }
}

static void drain(struct duo *duo)
{
    for (int i = 0; i < 2; i++) {
        struct end *end = &duo->ends[i];
        if (end->bare) {
            drain_bare(duo, i);
            continue;
        }
        struct channels_output out;
        while (channels_poll(end->channels, duo->now, &out)) {
            if (out.kind == CHANNELS_SEND) {
                packet_send(duo, i, out.bytes);
                continue;
            }
            assert_true(end->logged < LOG_MAX);
            end->log[end->logged++] = (struct event){
                out.kind, out.channel,   out.incoming,
                out.text, out.bytes.len, out.bytes.len ? out.bytes.at[0] : (uint8_t)0};
        }
    }
}

static nanotime end_deadline(const struct end *end)
{
    return end->bare ? sctp_deadline(end->bare) : channels_deadline(end->channels);
}

static void run(struct duo *duo, nanotime span)
{
    nanotime until = duo->now + span;
    for (;;) {
        drain(duo);
        nanotime next = duo->flying ? duo->flight[0]->at : TIME_NEVER;
        next = time_min(next, time_min(end_deadline(&duo->ends[0]), end_deadline(&duo->ends[1])));
        if (next > until)
            break;
        duo->now = next;
        if (!duo->flying || duo->flight[0]->at != next)
            continue;
        struct packet *packet = duo->flight[0];
        memmove(duo->flight, duo->flight + 1, --duo->flying * sizeof *duo->flight);
        struct end *end = &duo->ends[packet->to];
        if (end->bare)
            sctp_input(end->bare, duo->now, bytes_of(packet->bytes, packet->len));
        else
            channels_input(end->channels, duo->now, bytes_of(packet->bytes, packet->len));
        free(packet);
    }
    duo->now = until;
}

static void connect_both(struct duo *duo)
{
    for (int i = 0; i < 2; i++) {
        if (duo->ends[i].bare)
            sctp_connect(duo->ends[i].bare, duo->now);
        else
            channels_connect(duo->ends[i].channels, duo->now);
    }
    run(duo, TIME_S);
}

static unsigned count(const struct end *end, enum channels_output_kind kind)
{
    unsigned n = 0;
    for (unsigned i = 0; i < end->logged; i++)
        n += end->log[i].kind == kind;
    return n;
}

static const struct event *last(const struct end *end, enum channels_output_kind kind)
{
    for (unsigned i = end->logged; i > 0; i--) {
        if (end->log[i - 1].kind == kind)
            return &end->log[i - 1];
    }
    fail_msg("no such event");
    return NULL;
}

static struct channel_config labelled(const char *label)
{
    return (struct channel_config){
        .label = bytes_text(label), .priority = 256, .id = CHANNEL_ID_AUTO};
}

static int open_one(struct duo *duo, int end, const char *label)
{
    struct channel_config config = labelled(label);
    return channel_open(duo->ends[end].channels, duo->now, &config);
}

static enum sctp_send_result say(struct duo *duo, int end, int channel, const char *text)
{
    return channel_send(duo->ends[end].channels, duo->now, (unsigned)channel, bytes_text(text),
                        true);
}

static void test_channel_opened_before_the_association(void **state)
{
    (void)state;
    struct duo *duo = duo_new(false);
    struct channel_config config = labelled("chat");
    config.protocol = bytes_text("v1");
    config.delivery =
        (struct sctp_delivery){.unordered = true, .reliability = SCTP_MAX_RETRANSMITS, .limit = 3};
    config.priority = 512;
    int a = channel_open(duo->ends[0].channels, 0, &config);
    assert_int_equal(a, 0);
    assert_int_equal(channel_state(duo->ends[0].channels, 0), CHANNEL_CONNECTING);
    assert_int_equal(say(duo, 0, a, "too early"), SCTP_NOT_CONNECTED);
    connect_both(duo);
    assert_int_equal(channel_state(duo->ends[0].channels, 0), CHANNEL_OPEN);
    assert_int_equal(channel_id(duo->ends[0].channels, 0), 0);
    assert_false(last(&duo->ends[0], CHANNELS_OPENED)->incoming);
    assert_true(last(&duo->ends[1], CHANNELS_OPENED)->incoming);
    const struct channel_config *got = channel_config(duo->ends[1].channels, 0);
    assert_true(bytes_is(got->label, "chat"));
    assert_true(bytes_is(got->protocol, "v1"));
    assert_true(got->delivery.unordered);
    assert_int_equal(got->delivery.reliability, SCTP_MAX_RETRANSMITS);
    assert_int_equal(got->delivery.limit, 3);
    assert_int_equal(got->priority, 512);
    assert_int_equal(say(duo, 1, 0, "hello"), SCTP_SENT);
    run(duo, TIME_S);
    assert_int_equal(last(&duo->ends[0], CHANNELS_MESSAGE)->len, 5);
    duo_free(duo);
}

static void test_channel_both_sides_open_at_once(void **state)
{
    (void)state;
    struct duo *duo = duo_new(false);
    connect_both(duo);
    assert_int_equal(open_one(duo, 0, "a"), 0);
    assert_int_equal(open_one(duo, 1, "b"), 0);
    assert_int_equal(channel_id(duo->ends[0].channels, 0), 0); // the client: even
    assert_int_equal(channel_id(duo->ends[1].channels, 0), 1);
    run(duo, TIME_S);
    for (int i = 0; i < 2; i++)
        assert_int_equal(count(&duo->ends[i], CHANNELS_OPENED), 2);
    duo_free(duo);
}

static void test_channel_messages_before_the_ack_stay_in_order(void **state)
{
    (void)state;
    struct duo *duo = duo_new(false);
    connect_both(duo);
    struct channel_config config = labelled("x");
    config.delivery.unordered = true;
    int a = channel_open(duo->ends[0].channels, duo->now, &config);
    duo->loss = RNG_BILLION / 3;
    char text[2] = "a";
    for (; text[0] <= 'z'; text[0]++) {
        assert_int_equal(say(duo, 0, a, text), SCTP_SENT);
        if (text[0] % 4 == 0)
            drain(duo); // more than one packet
    }
    run(duo, 120 * TIME_S);
    assert_int_equal(count(&duo->ends[1], CHANNELS_MESSAGE), 26);
    const struct end *end = &duo->ends[1];
    uint8_t expected = 'a';
    for (unsigned i = 0; i < end->logged; i++) {
        if (end->log[i].kind == CHANNELS_MESSAGE)
            assert_int_equal(end->log[i].first, expected++);
    }
    duo_free(duo);
}

static void test_channel_empty_and_binary_messages(void **state)
{
    (void)state;
    struct duo *duo = duo_new(false);
    connect_both(duo);
    int a = open_one(duo, 0, "x");
    run(duo, TIME_S);
    const struct bytes messages[] = {{NULL, 0}, {NULL, 0}, {(const uint8_t *)"\0x", 2}};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(
            channel_send(duo->ends[0].channels, duo->now, (unsigned)a, messages[i], i == 0),
            SCTP_SENT);
        run(duo, TIME_S);
        const struct event *got = last(&duo->ends[1], CHANNELS_MESSAGE);
        assert_int_equal(got->len, messages[i].len);
        assert_int_equal(got->text, i == 0);
    }
    assert_int_equal(channel_stats(duo->ends[0].channels, 0).messages_sent, 3);
    assert_int_equal(channel_stats(duo->ends[0].channels, 0).bytes_sent, 2);
    assert_int_equal(channel_stats(duo->ends[1].channels, 0).messages_received, 3);
    assert_int_equal(channel_stats(duo->ends[1].channels, 0).bytes_received, 2);
    duo_free(duo);
}

static void test_channel_negotiated_needs_no_dcep(void **state)
{
    (void)state;
    struct duo *duo = duo_new(false);
    struct channel_config config = labelled("n");
    config.negotiated = true;
    config.id = 700; // beyond the first streams, but known before: they need not grow
    for (int i = 0; i < 2; i++) {
        assert_int_equal(channel_open(duo->ends[i].channels, 0, &config), 0);
        assert_int_equal(channel_open(duo->ends[i].channels, 0, &config), -1); // taken
    }
    connect_both(duo);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(channel_state(duo->ends[i].channels, 0), CHANNEL_OPEN);
        assert_int_equal(say(duo, i, 0, "hi"), SCTP_SENT);
    }
    run(duo, DELAY);
    for (int i = 0; i < 2; i++)
        assert_int_equal(count(&duo->ends[i], CHANNELS_MESSAGE), 1);
    channel_close(duo->ends[0].channels, duo->now, 0);
    run(duo, TIME_S);
    for (int i = 0; i < 2; i++)
        assert_int_equal(channel_state(duo->ends[i].channels, 0), CHANNEL_CLOSED);
    duo_free(duo);
}

static void test_channel_close_and_reopen_under_loss(void **state)
{
    (void)state;
    struct duo *duo = duo_new(false);
    connect_both(duo);
    duo->loss = RNG_BILLION / 5;
    for (unsigned round = 0; round < 12; round++) {
        int a = open_one(duo, 0, "again");
        assert_int_equal(a, round);
        assert_int_equal(channel_id(duo->ends[0].channels, (unsigned)a), 0); // the id is free
        assert_int_equal(say(duo, 0, a, "hello"), SCTP_SENT);
        for (int i = 0; i < 6000 && count(&duo->ends[0], CHANNELS_OPENED) <= round; i++)
            run(duo, 100 * TIME_MS);
        // Who closes takes turns; every third time, both at once.
        if (round % 3 != 1)
            channel_close(duo->ends[0].channels, duo->now, round);
        if (round % 3 != 0)
            channel_close(duo->ends[1].channels, duo->now, round);
        for (int i = 0; i < 60000 && count(&duo->ends[0], CHANNELS_CLOSED) <= round; i++)
            run(duo, 10 * TIME_MS);
        assert_int_equal(channel_state(duo->ends[0].channels, round), CHANNEL_CLOSED);
    }
    run(duo, 600 * TIME_S);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(count(&duo->ends[i], CHANNELS_OPENED), 12);
        assert_int_equal(count(&duo->ends[i], CHANNELS_CLOSED), 12);
    }
    assert_int_equal(count(&duo->ends[1], CHANNELS_MESSAGE), 12);
    duo_free(duo);
}

// RFC 6525 5.2.2: a reset waits for the DATA before it, of whatever stream; usrsctp waits for ever
// when a retransmission is the last of them.
static void test_channel_closed_while_another_has_a_gap(void **state)
{
    (void)state;
    struct duo *duo = duo_new(false);
    connect_both(duo);
    int a = open_one(duo, 0, "a"), b = open_one(duo, 0, "b");
    run(duo, TIME_S);
    static uint8_t data[3000];
    struct channels *channels = duo->ends[0].channels;
    assert_int_equal(channel_send(channels, duo->now, (unsigned)b, bytes_of(data, 3000), false),
                     SCTP_SENT);
    channel_close(channels, duo->now, (unsigned)a);
    drain(duo);
    assert_true(duo->flying >= 3);
    free(duo->flight[0]); // the first packet is lost
    memmove(duo->flight, duo->flight + 1, --duo->flying * sizeof *duo->flight);
    run(duo, 20 * TIME_S);
    for (int i = 0; i < 2; i++)
        assert_int_equal(channel_state(duo->ends[i].channels, 0), CHANNEL_CLOSED);
    duo_free(duo);
}

// Another channel that always has something on its way does not keep one from closing, and loses
// nothing by it.
static void test_channel_closed_while_another_is_busy(void **state)
{
    (void)state;
    struct duo *duo = duo_new(false);
    connect_both(duo);
    int a = open_one(duo, 0, "a"), b = open_one(duo, 0, "b");
    run(duo, TIME_S);
    char text[2] = "A";
    for (unsigned i = 0; i < 300; i++) {
        text[0] = (char)('A' + i % 26);
        assert_int_equal(say(duo, 0, b, text), SCTP_SENT);
        if (i == 10)
            channel_close(duo->ends[0].channels, duo->now, (unsigned)a);
        run(duo, 10 * TIME_MS);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(channel_state(duo->ends[i].channels, 0), CHANNEL_CLOSED);
    run(duo, TIME_S);
    unsigned got = 0;
    for (unsigned i = 0; i < duo->ends[1].logged; i++)
        if (duo->ends[1].log[i].kind == CHANNELS_MESSAGE)
            assert_int_equal(duo->ends[1].log[i].first, 'A' + got++ % 26);
    assert_int_equal(got, 300);
    duo_free(duo);
}

static void test_channel_data_sent_before_close_arrives(void **state)
{
    (void)state;
    struct duo *duo = duo_new(false);
    connect_both(duo);
    int a = open_one(duo, 0, "x");
    uint8_t *data = mem_zero(1, 300000);
    assert_int_equal(
        channel_send(duo->ends[0].channels, duo->now, (unsigned)a, bytes_of(data, 300000), false),
        SCTP_SENT);
    channel_close(duo->ends[0].channels, duo->now, (unsigned)a);
    assert_int_equal(say(duo, 0, a, "late"), SCTP_NOT_CONNECTED);
    run(duo, 10 * TIME_S);
    assert_int_equal(last(&duo->ends[1], CHANNELS_MESSAGE)->len, 300000);
    assert_int_equal(channel_state(duo->ends[1].channels, 0), CHANNEL_CLOSED);
    free(data);
    duo_free(duo);
}

static void test_channel_a_thousand(void **state)
{
    (void)state;
    struct duo *duo = duo_new(false);
    for (int i = 0; i < 500; i++)
        assert_int_equal(open_one(duo, 0, "early"), i);
    connect_both(duo);
    for (int i = 500; i < 1000; i++)
        assert_int_equal(open_one(duo, 0, "late"), i);
    run(duo, 5 * TIME_S);
    for (int i = 0; i < 2; i++)
        assert_int_equal(count(&duo->ends[i], CHANNELS_OPENED), 1000);
    assert_int_equal(channel_id(duo->ends[1].channels, 999), 1998);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(say(duo, 1, i, "hello"), SCTP_SENT);
    run(duo, 5 * TIME_S);
    assert_int_equal(count(&duo->ends[0], CHANNELS_MESSAGE), 1000);
    for (unsigned i = 0; i < 1000; i++)
        channel_close(duo->ends[0].channels, duo->now, i);
    run(duo, 20 * TIME_S);
    for (int i = 0; i < 2; i++)
        assert_int_equal(count(&duo->ends[i], CHANNELS_CLOSED), 1000);
    duo_free(duo);
}

static void test_channel_buffered_amount(void **state)
{
    (void)state;
    struct duo *duo = duo_new(false);
    connect_both(duo);
    int a = open_one(duo, 0, "x");
    run(duo, TIME_S);
    struct channels *channels = duo->ends[0].channels;
    channel_set_buffered_low(channels, (unsigned)a, 65536);
    unsigned sent = 0;
    static uint8_t data[16384];
    while (channel_send(channels, duo->now, (unsigned)a, bytes_of(data, sizeof data), false) ==
           SCTP_SENT)
        sent++;
    assert_int_equal(sent, (1 << 20) / sizeof data);
    assert_true(channel_buffered(channels, (unsigned)a) > 900000);
    run(duo, 30 * TIME_S);
    // Once for the refused message, once at the threshold.
    assert_int_equal(count(&duo->ends[0], CHANNELS_BUFFERED_LOW), 2);
    assert_int_equal(channel_buffered(channels, (unsigned)a), 0);
    assert_int_equal(count(&duo->ends[1], CHANNELS_MESSAGE), sent);
    duo_free(duo);
}

static void test_channel_limits(void **state)
{
    (void)state;
    struct duo *duo = duo_new(false);
    static char label[300];
    memset(label, 'x', sizeof label - 1);
    struct channel_config config = labelled(label);
    assert_int_equal(channel_open(duo->ends[0].channels, 0, &config), -1);
    config.label.len = 255;
    assert_int_equal(channel_open(duo->ends[0].channels, 0, &config), 0);
    config.id = 3; // the server's parity
    assert_int_equal(channel_open(duo->ends[0].channels, 0, &config), -1);
    config.id = 0;
    assert_int_equal(channel_open(duo->ends[0].channels, 0, &config), -1);
    config.negotiated = true;
    config.id = 65535;
    assert_int_equal(channel_open(duo->ends[0].channels, 0, &config), -1);
    config.id = 65534;
    assert_int_equal(channel_open(duo->ends[0].channels, 0, &config), 1);
    channel_close(duo->ends[0].channels, 0, 1);
    assert_int_equal(channel_state(duo->ends[0].channels, 1), CHANNEL_CLOSED);
    connect_both(duo);
    assert_int_equal(count(&duo->ends[0], CHANNELS_OPENED), 1);
    duo_free(duo);
}

static void test_channel_association_closed(void **state)
{
    (void)state;
    struct duo *duo = duo_new(false);
    connect_both(duo);
    open_one(duo, 0, "x");
    run(duo, TIME_S);
    channels_close_all(duo->ends[0].channels, duo->now);
    run(duo, TIME_S);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(channels_association(duo->ends[i].channels), SCTP_CLOSED);
        assert_int_equal(channel_state(duo->ends[i].channels, 0), CHANNEL_CLOSED);
        assert_int_equal(count(&duo->ends[i], CHANNELS_CLOSED), 1);
        assert_int_equal(open_one(duo, i, "y"), -1);
    }
    duo_free(duo);
}

static void bare_say(struct duo *duo, uint16_t stream, uint32_t ppid, const void *at, size_t len)
{
    struct sctp_message message = {stream, ppid, bytes_of(at, len)};
    assert_int_equal(sctp_send(duo->ends[1].bare, duo->now, &message, (struct sctp_delivery){0}),
                     SCTP_SENT);
    run(duo, TIME_S);
}

// The association is the client's, so the peer's ids are odd.
static void hostile(uint16_t stream, uint32_t ppid, const void *at, size_t len,
                    enum channel_drop expected)
{
    struct duo *duo = duo_new(true);
    connect_both(duo);
    duo->ends[1].bare_logged = 0;
    bare_say(duo, stream, ppid, at, len);
    assert_int_equal(channels_drops(duo->ends[0].channels, expected), 1);
    assert_int_equal(count(&duo->ends[0], CHANNELS_OPENED), 0);
    // RFC 8832 6: no ACK, and the stream is reset.
    assert_int_equal(duo->ends[1].bare_logged, 1);
    assert_int_equal(duo->ends[1].bare_log[0].kind, SCTP_STREAM_RESET_IN);
    assert_int_equal(duo->ends[1].bare_log[0].stream, stream);
    duo_free(duo);
}

static void test_channel_hostile_dcep(void **state)
{
    (void)state;
    static const uint8_t good[] = {3, 0, 1, 0, 0, 0, 0, 0, 0, 2, 0, 1, 'a', 'b', 'p'};
    for (size_t len = 1; len < sizeof good; len++)
        hostile(1, PPID_DCEP, good, len, CHANNEL_BAD_DCEP);
    uint8_t bad[16] = {0};
    memcpy(bad, good, sizeof good);
    hostile(1, PPID_DCEP, bad, 16, CHANNEL_BAD_DCEP); // one byte more
    bad[1] = 3;
    hostile(1, PPID_DCEP, bad, 15, CHANNEL_BAD_DCEP); // no such channel type
    hostile(2, PPID_DCEP, good, sizeof good, CHANNEL_BAD_PARITY);
    hostile(1, PPID_DCEP, "\x01", 1, CHANNEL_BAD_DCEP);
    hostile(1, PPID_DCEP, "\x02", 1, CHANNEL_NOT_OPEN); // ACK of nothing
    hostile(1, PPID_STRING, "x", 1, CHANNEL_NOT_OPEN);
    static uint8_t wide[12 + 256] = {3, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0};
    hostile(1, PPID_DCEP, wide, sizeof wide, CHANNEL_LABEL_TOO_LONG);
}

// As pion sends it.
static void test_channel_padded_ack_opens(void **state)
{
    (void)state;
    struct duo *duo = duo_new(true);
    connect_both(duo);
    int channel = open_one(duo, 0, "x");
    run(duo, TIME_S);
    assert_int_equal(channel_state(duo->ends[0].channels, (unsigned)channel), CHANNEL_CONNECTING);
    bare_say(duo, channel_id(duo->ends[0].channels, (unsigned)channel), PPID_DCEP, "\x02\0\0", 4);
    assert_int_equal(channel_state(duo->ends[0].channels, (unsigned)channel), CHANNEL_OPEN);
    duo_free(duo);
}

static void test_channel_opened_twice_is_closed(void **state)
{
    (void)state;
    static const uint8_t good[] = {3, 0x82, 1, 0, 0, 0, 0, 9, 0, 0, 0, 0};
    struct duo *duo = duo_new(true);
    connect_both(duo);
    bare_say(duo, 1, PPID_DCEP, good, sizeof good);
    assert_int_equal(channel_state(duo->ends[0].channels, 0), CHANNEL_OPEN);
    assert_int_equal(channel_config(duo->ends[0].channels, 0)->delivery.limit, 9);
    bare_say(duo, 1, 99, "x", 1);
    assert_int_equal(channels_drops(duo->ends[0].channels, CHANNEL_UNKNOWN_PPID), 1);
    assert_int_equal(channel_state(duo->ends[0].channels, 0), CHANNEL_OPEN);
    bare_say(duo, 1, PPID_DCEP, good, sizeof good);
    assert_int_equal(channels_drops(duo->ends[0].channels, CHANNEL_ALREADY_OPEN), 1);
    assert_int_equal(channel_state(duo->ends[0].channels, 0), CHANNEL_CLOSING);
    bare_say(duo, 1, PPID_STRING, "x", 1);
    assert_int_equal(channels_drops(duo->ends[0].channels, CHANNEL_NOT_OPEN), 1);
    assert_true(sctp_reset_stream(duo->ends[1].bare, duo->now, 1));
    run(duo, TIME_S);
    assert_int_equal(channel_state(duo->ends[0].channels, 0), CHANNEL_CLOSED);
    duo_free(duo);
}

// A peer that refuses ours resets its stream instead of acknowledging.
static void test_channel_refused_by_the_peer(void **state)
{
    (void)state;
    struct duo *duo = duo_new(true);
    connect_both(duo);
    int a = open_one(duo, 0, "x");
    run(duo, TIME_S);
    assert_int_equal(channel_state(duo->ends[0].channels, (unsigned)a), CHANNEL_CONNECTING);
    assert_true(sctp_reset_stream(duo->ends[1].bare, duo->now, 0));
    run(duo, TIME_S);
    assert_int_equal(channel_state(duo->ends[0].channels, (unsigned)a), CHANNEL_CLOSED);
    assert_int_equal(count(&duo->ends[0], CHANNELS_OPENED), 0);
    // A reset of a stream without a channel is answered once, and not for ever.
    for (int i = 0; i < 3; i++) {
        assert_true(sctp_reset_stream(duo->ends[1].bare, duo->now, 9));
        run(duo, TIME_S);
    }
    unsigned answers = 0;
    for (unsigned i = 0; i < duo->ends[1].bare_logged; i++)
        answers += duo->ends[1].bare_log[i].kind == SCTP_STREAM_RESET_IN &&
                   duo->ends[1].bare_log[i].stream == 9;
    assert_int_equal(answers, 1);
    duo_free(duo);
}

// The peer's stream 1 carries a channel; our reset of our side is lost. The peer resets its own and
// opens anew: our side of the new channel must wait for the old reset.
static struct duo *duo_reset_unanswered(void)
{
    static const uint8_t open[] = {3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    struct duo *duo = duo_new(true);
    connect_both(duo);
    bare_say(duo, 1, PPID_DCEP, open, sizeof open);
    channel_close(duo->ends[0].channels, duo->now, 0);
    duo->loss = RNG_BILLION;
    drain(duo);
    duo->loss = 0;
    assert_true(sctp_reset_stream(duo->ends[1].bare, duo->now, 1));
    run(duo, 2 * DELAY);
    duo->ends[1].bare_logged = 0;
    struct sctp_message message = {1, PPID_DCEP, bytes_of(open, sizeof open)};
    assert_int_equal(sctp_send(duo->ends[1].bare, duo->now, &message, (struct sctp_delivery){0}),
                     SCTP_SENT);
    run(duo, DELAY);
    assert_int_equal(channel_state(duo->ends[0].channels, 0), CHANNEL_CLOSED);
    assert_int_equal(channel_state(duo->ends[0].channels, 1), CHANNEL_OPEN);
    return duo;
}

static unsigned bare_acks(const struct end *end)
{
    unsigned acks = 0;
    for (unsigned i = 0; i < end->bare_logged; i++)
        acks += end->bare_log[i].kind == SCTP_MESSAGE &&
                end->bare_log[i].message.ppid == PPID_DCEP && end->bare_first[i] == 2;
    return acks;
}

// Who was told to wait is told when that is over, whatever else waited.
static void test_channel_blocked_behind_its_ack(void **state)
{
    (void)state;
    struct duo *duo = duo_reset_unanswered();
    assert_int_equal(say(duo, 0, 1, "x"), SCTP_WOULD_BLOCK);
    run(duo, 5 * TIME_S);
    assert_int_equal(bare_acks(&duo->ends[1]), 1);
    assert_int_equal(count(&duo->ends[0], CHANNELS_BUFFERED_LOW), 1);
    assert_int_equal(say(duo, 0, 1, "x"), SCTP_SENT);
    duo_free(duo);
}

// An acknowledgement that is still owed when its channel closes is not sent any more.
static void test_channel_closed_before_its_ack(void **state)
{
    (void)state;
    struct duo *duo = duo_reset_unanswered();
    channel_close(duo->ends[0].channels, duo->now, 1);
    run(duo, 5 * TIME_S);
    assert_int_equal(bare_acks(&duo->ends[1]), 0);
    assert_int_equal(duo->ends[1].bare_log[duo->ends[1].bare_logged - 1].kind,
                     SCTP_STREAM_RESET_IN);
    assert_true(sctp_reset_stream(duo->ends[1].bare, duo->now, 1));
    run(duo, 5 * TIME_S);
    assert_int_equal(channel_state(duo->ends[0].channels, 1), CHANNEL_CLOSED);
    assert_int_equal(bare_acks(&duo->ends[1]), 0);
    duo_free(duo);
}

// RFC 6525 5.2.6: a peer may deny more streams. A channel that needs one is closed, now and later.
static void test_channel_without_a_stream_is_closed(void **state)
{
    (void)state;
    struct duo *duo = duo_new(false);
    connect_both(duo);
    duo->denying = true;
    unsigned streams = 64;
    for (unsigned i = 0; i < streams / 2; i++)
        assert_int_equal(open_one(duo, 0, "there"), i);
    assert_int_equal(open_one(duo, 0, "beyond"), streams / 2);
    assert_int_equal(say(duo, 0, (int)streams / 2, "x"), SCTP_SENT);
    run(duo, 5 * TIME_S);
    struct channels *channels = duo->ends[0].channels;
    assert_int_equal(count(&duo->ends[0], CHANNELS_OPENED), streams / 2);
    assert_int_equal(channel_state(channels, streams / 2), CHANNEL_CLOSED);
    assert_int_equal(count(&duo->ends[0], CHANNELS_CLOSED), 1);
    assert_int_equal(channel_buffered(channels, streams / 2), 0);
    assert_int_equal(open_one(duo, 0, "beyond"), streams / 2 + 1);
    run(duo, TIME_S);
    assert_int_equal(channel_state(channels, streams / 2 + 1), CHANNEL_CLOSED);
    assert_int_equal(count(&duo->ends[0], CHANNELS_CLOSED), 2);
    assert_int_equal(say(duo, 0, 0, "x"), SCTP_SENT); // the others go on
    duo->denying = false;
    channel_close(channels, duo->now, 0);
    run(duo, 5 * TIME_S);
    assert_int_equal(channel_state(channels, 0), CHANNEL_CLOSED);
    duo_free(duo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channel_opened_before_the_association),
        cmocka_unit_test(test_channel_both_sides_open_at_once),
        cmocka_unit_test(test_channel_messages_before_the_ack_stay_in_order),
        cmocka_unit_test(test_channel_empty_and_binary_messages),
        cmocka_unit_test(test_channel_negotiated_needs_no_dcep),
        cmocka_unit_test(test_channel_close_and_reopen_under_loss),
        cmocka_unit_test(test_channel_closed_while_another_has_a_gap),
        cmocka_unit_test(test_channel_closed_while_another_is_busy),
        cmocka_unit_test(test_channel_data_sent_before_close_arrives),
        cmocka_unit_test(test_channel_a_thousand),
        cmocka_unit_test(test_channel_buffered_amount),
        cmocka_unit_test(test_channel_limits),
        cmocka_unit_test(test_channel_association_closed),
        cmocka_unit_test(test_channel_hostile_dcep),
        cmocka_unit_test(test_channel_padded_ack_opens),
        cmocka_unit_test(test_channel_opened_twice_is_closed),
        cmocka_unit_test(test_channel_refused_by_the_peer),
        cmocka_unit_test(test_channel_blocked_behind_its_ack),
        cmocka_unit_test(test_channel_closed_before_its_ack),
        cmocka_unit_test(test_channel_without_a_stream_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
