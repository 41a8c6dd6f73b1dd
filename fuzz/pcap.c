// Any bytes as a capture: its packets, written as a capture again, are read and the same; a
// datagram lies within its packet.
#define _GNU_SOURCE // fmemopen, open_memstream, the BSD types of pcap.h
#include "fuzz/fuzz.h"
#include "fuzz/kit/capture_read.h"

#include <pcap/pcap.h>

// libFuzzer: -max_len=4096

#define SNAPLEN 262144
#define PACKETS_MAX 512

struct copy {
    unsigned packets;
    uint64_t sum; // of all that was read
};

static void add(struct copy *copy, const void *at, size_t len)
{
    const uint8_t *bytes = at;
    for (size_t i = 0; i < len; i++)
        copy->sum = (copy->sum ^ bytes[i]) * 0x100000001b3u; // FNV-1a
}

static void check_datagram(int link_type, struct bytes packet)
{
    struct datagram d;
    if (!capture_read_datagram(link_type, packet, &d))
        return;
    assert(fuzz_is_inside(packet, d.bytes));
    assert(d.bytes.len + 28 <= packet.len); // IPv4 and UDP at least
    assert(d.from.ip.family != IP_NONE && d.from.ip.family == d.to.ip.family);
}

// As simnet/pcap.c does: not every link type that can be read has a number in files.
static pcap_dumper_t *dump_open(FILE *to)
{
    pcap_t *pcap =
        pcap_open_dead_with_tstamp_precision(DLT_RAW, SNAPLEN, PCAP_TSTAMP_PRECISION_NANO);
    pcap_dumper_t *dumper = pcap_dump_fopen(pcap, to);
    pcap_close(pcap);
    assert(dumper);
    return dumper;
}

// Read all; with `to`, write it there.
static bool read_all(FILE *file, struct copy *copy, FILE *to)
{
    struct err err = {0};
    struct capture_reader *reader = capture_reader_new(file, &err);
    struct capture_read_packet packet;
    bool damaged = false;
    if (!reader) {
        assert(err_is_set(&err));
        return false;
    }
    int link_type = capture_reader_link_type(reader);
    *copy = (struct copy){0};
    pcap_dumper_t *dumper = to ? dump_open(to) : NULL;
    while (copy->packets < PACKETS_MAX && capture_reader_next(reader, &packet, &damaged)) {
        struct pcap_pkthdr header = {
            .ts = {.tv_sec = (uint32_t)packet.seconds, .tv_usec = packet.nanoseconds},
            .caplen = (bpf_u_int32)packet.bytes.len,
            .len = (bpf_u_int32)packet.wire_len};
        uint32_t seconds = (uint32_t)packet.seconds, nanoseconds = (uint32_t)packet.nanoseconds;
        check_datagram(link_type, packet.bytes);
        copy->packets++;
        add(copy, &seconds, sizeof seconds);
        add(copy, &nanoseconds, sizeof nanoseconds);
        add(copy, &packet.wire_len, sizeof packet.wire_len);
        add(copy, packet.bytes.at, packet.bytes.len);
        if (dumper)
            pcap_dump((u_char *)dumper, &header, packet.bytes.at);
    }
    if (dumper)
        pcap_dump_close(dumper);
    capture_reader_free(reader);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *written = NULL;
    size_t len = 0;
    struct copy first, again;
    if (size == 0)
        return 0;
    FILE *to = open_memstream(&written, &len);
    bool read = read_all(fmemopen((void *)data, size, "rb"), &first, to);
    if (!read)
        fclose(to);
    if (read && len > 0) {
        bool good = read_all(fmemopen(written, len, "rb"), &again, NULL);
        assert(good && again.packets == first.packets && again.sum == first.sum);
    }
    free(written);
    return 0;
}
