// What STUN messages cost. Lines of "name value unit", tabs between.
#include "base/bench.h"
#include "stack/stun/stun.h"
#include "stack/stun/stun_vectors.h"

#include <inttypes.h>
#include <stdio.h>

#define TAKE_TIME (300 * TIME_MS)
#define BATCH 1000

struct work {
    struct stun_key *key;
    uint8_t message[sizeof rfc5769_request];
    uint64_t good;
    void (*step)(struct work *work); // what is measured
    uint64_t wrong;
};

static void decode(struct work *work)
{
    struct stun_msg msg;
    work->good += stun_decode(bytes_of(work->message, sizeof work->message), &msg) == STUN_OK;
}

static void decode_check(struct work *work)
{
    struct stun_msg msg;
    work->good += stun_decode(bytes_of(work->message, sizeof work->message), &msg) == STUN_OK &&
                  stun_check_fingerprint(&msg) && stun_check_integrity(&msg, work->key);
}

static void encode(struct work *work)
{
    uint8_t buffer[256];
    struct stun_writer s =
        stun_begin(buffer, sizeof buffer, STUN_REQUEST, STUN_BINDING, work->message + 8);
    stun_add_bytes(&s, STUN_SOFTWARE, bytes_text("STUN test client"));
    stun_add_u32(&s, STUN_PRIORITY, 0x6e0001ff);
    stun_add_u64(&s, STUN_ICE_CONTROLLED, 0x932ff9b151263b36u);
    stun_add_bytes(&s, STUN_USERNAME, bytes_text("evtj:h6vY"));
    stun_add_integrity(&s, work->key);
    stun_add_fingerprint(&s);
    work->good += stun_end(&s).len == sizeof rfc5769_request;
}

static void key_new(struct work *work)
{
    struct stun_key *key = stun_key_new(bytes_text("VOkJxbRl1RmTxUk/WvJxBt"));
    struct stun_msg msg;
    if (stun_decode(bytes_of(work->message, sizeof work->message), &msg) == STUN_OK)
        work->good += stun_check_integrity(&msg, key);
    stun_key_free(key);
}

// Nanoseconds of one call.
static double take(void *user)
{
    struct work *work = user;
    nanotime start = clock_cpu(), end = start;
    uint64_t count = 0;
    work->good = 0;
    while (end - start < TAKE_TIME) {
        for (int i = 0; i < BATCH; i++)
            work->step(work);
        count += BATCH;
        end = clock_cpu();
    }
    work->wrong += count - work->good;
    return (double)(end - start) / (double)count;
}

// Each call must do its work, or the figure means nothing.
static bool measure(const char *name, void (*step)(struct work *), struct work *work)
{
    work->step = step;
    work->wrong = 0;
    double each = bench_median(take, work);
    if (work->wrong) {
        fprintf(stderr, "%s: %" PRIu64 " were wrong\n", name, work->wrong);
        return false;
    }
    printf("%s\t%.1f\tns\n", name, each);
    return true;
}

// The figure means nothing unless each message with one bit turned is refused.
static bool refuses_tampered(struct work *work)
{
    for (size_t bit = 0; bit < sizeof work->message * 8; bit++) {
        uint8_t mask = (uint8_t)(1u << bit % 8);
        work->message[bit / 8] ^= mask;
        work->good = 0;
        decode_check(work);
        work->message[bit / 8] ^= mask;
        if (work->good) {
            fprintf(stderr, "a message with bit %zu turned was taken\n", bit);
            return false;
        }
    }
    printf("stun_tampered_refused\t%zu\tmessages\n", sizeof work->message * 8);
    return true;
}

int main(void)
{
    struct work work = {.key = stun_key_new(bytes_text("VOkJxbRl1RmTxUk/WvJxBt"))};
    memcpy(work.message, rfc5769_request, sizeof work.message);
    bool ok = refuses_tampered(&work) && measure("stun_decode_ns", decode, &work) &&
              measure("stun_decode_check_ns", decode_check, &work) &&
              measure("stun_encode_ns", encode, &work) &&
              measure("stun_key_new_check_ns", key_new, &work);
    stun_key_free(work.key);
    return ok ? 0 : 1;
}
