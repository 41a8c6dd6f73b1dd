// What RTP packets cost. Lines of "name value unit", tabs between.
#include "base/bench.h"
#include "base/clock.h"
#include "stack/rtp/rtp.h"

#include <inttypes.h>
#include <stdio.h>

#define TAKE_TIME (300 * TIME_MS)
#define BATCH 1000
#define PAYLOAD_LEN 160

static const struct rtp_extension_map map = {
    .id = {[RTP_MID] = 4, [RTP_AUDIO_LEVEL] = 1, [RTP_ABS_SEND_TIME] = 2, [RTP_TRANSPORT_CC] = 3},
};

#define ALL                                                                                        \
    (1u << RTP_MID | 1u << RTP_AUDIO_LEVEL | 1u << RTP_ABS_SEND_TIME | 1u << RTP_TRANSPORT_CC)

struct work {
    uint8_t packet[RTP_PACKET_MAX];
    size_t len;
    uint8_t payload[PAYLOAD_LEN];
    uint64_t good;
    void (*batch)(struct work *work); // what is measured, BATCH times
    uint64_t wrong;
};

// The packet and the values of its four extensions.
static void parse(struct work *work)
{
    struct rtp_packet packet;
    struct rtp_extension_values values;
    for (int i = 0; i < BATCH; i++) {
        if (rtp_parse(bytes_of(work->packet, work->len), &packet) != RTP_OK)
            return;
        rtp_extensions_read(&packet, &map, &values);
        work->good += values.has == ALL && packet.payload.len == PAYLOAD_LEN &&
                      values.transport_sequence == 0x1234 && values.abs_send_time == 0x123456;
    }
}

static size_t compose(struct work *work)
{
    struct rtp_packet packet = {.payload_type = 111,
                                .sequence = 7,
                                .timestamp = 960,
                                .ssrc = 0x11223344,
                                .payload = bytes_of(work->payload, PAYLOAD_LEN)};
    struct rtp_extension_values values = {.has = ALL,
                                          .mid = bytes_text("0"),
                                          .audio_level = 30,
                                          .voice = true,
                                          .abs_send_time = 0x123456,
                                          .transport_sequence = 0x1234};
    return rtp_write(work->packet, sizeof work->packet, &packet, &map, &values);
}

static void write_packet(struct work *work)
{
    for (int i = 0; i < BATCH; i++)
        work->good += compose(work) == work->len;
}

static void patch(struct work *work)
{
    for (int i = 0; i < BATCH; i++)
        work->good += rtp_patch_abs_send_time(work->packet, work->len, &map, 0x123456) &&
                      rtp_patch_transport_sequence(work->packet, work->len, &map, 0x1234);
}

// Nanoseconds of one call.
static double take(void *user)
{
    struct work *work = user;
    nanotime start = clock_cpu(), end = start;
    uint64_t count = 0;
    work->good = 0;
    while (end - start < TAKE_TIME) {
        work->batch(work);
        count += BATCH;
        end = clock_cpu();
    }
    work->wrong += count - work->good;
    return (double)(end - start) / (double)count;
}

// Each call must do its work, or the figure means nothing.
static bool measure(const char *name, void (*batch)(struct work *), struct work *work)
{
    work->batch = batch;
    work->wrong = 0;
    double each = bench_median(take, work);
    if (work->wrong) {
        fprintf(stderr, "%s: %" PRIu64 " were wrong\n", name, work->wrong);
        return false;
    }
    printf("%s\t%.1f\tns\n", name, each);
    return true;
}

int main(void)
{
    struct work work = {.len = 0};
    work.len = compose(&work);
    bool ok = measure("rtp_parse_ns", parse, &work) &&
              measure("rtp_write_ns", write_packet, &work) && measure("rtp_patch_ns", patch, &work);
    return ok ? 0 : 1;
}
