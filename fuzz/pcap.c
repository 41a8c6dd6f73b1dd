// Any bytes as a capture: its packets, written as a capture again by libpcap, are read and the
// same; a datagram lies within its packet.
//
// What is no capture says what a world captures, and when: the file that it writes is of raw IP and
// has those datagrams alone, in order, at their times to the nanosecond, in whole packets with the
// right checksums. A file that has no room is said to have failed.
#define _GNU_SOURCE // fmemopen, open_memstream, memfd_create, the BSD types of pcap.h
#include "fuzz/fuzz.h"
#include "fuzz/kit/capture_read.h"
#include "simnet/world.h"

#include <fcntl.h>
#include <pcap/pcap.h>
#include <sys/mman.h>
#include <unistd.h>

// libFuzzer: -max_len=4096

#define SNAPLEN 262144
#define PACKETS_MAX 512
#define WRITTEN_MAX 64
#define LONG_MAX 8 // of those, datagrams that the script has no bytes for

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

struct written {
    nanotime at;
    struct datagram datagram;
};

static struct addr addr_from(struct reader *r, bool v6)
{
    struct addr addr = {.ip = {.family = v6 ? IP_V6 : IP_V4}};
    struct bytes at = read_bytes(r, ip_len(&addr.ip));
    if (at.len)
        memcpy(addr.ip.at, at.at, at.len);
    addr.port = read_u16(r);
    return addr;
}

// Any body: bytes of the script, or longer than it.
static struct bytes body_from(struct reader *r, bool is_long)
{
    static uint8_t longest[NET_DATAGRAM_MAX];
    for (size_t i = 0; is_long && !longest[1] && i < sizeof longest; i++)
        longest[i] = (uint8_t)(i * 167 >> 3);
    if (!is_long)
        return fuzz_slice(r);
    return bytes_of(longest, read_u16(r) % (sizeof longest + 1));
}

// Two vantage points; what the first has seen goes into `out`.
static unsigned record(struct world *world, struct reader *r, struct written *out)
{
    unsigned here = world_capture_new(world, "here"), there = world_capture_new(world, "there");
    unsigned count = 0, longs = 0;
    while (r->len > 0 && count < WRITTEN_MAX) {
        struct world_event event;
        unsigned how = read_u8(r);
        nanotime span = how & 1 ? (nanotime)read_u32(r) << (how >> 4) : 0;
        assert(!world_next(world, world_now(world) + span, &event));
        bool is_long = how & 2 && longs < LONG_MAX;
        longs += is_long;
        struct datagram d = {.from = addr_from(r, how & 4), .to = addr_from(r, how & 4)};
        d.bytes = body_from(r, is_long);
        if ((how & 8) == 0)
            out[count++] = (struct written){world_now(world), d};
        world_capture_record(world, how & 8 ? there : here, &d);
    }
    return count;
}

static uint32_t sum_of(uint32_t sum, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        sum += i % 2 ? bytes.at[i] : (uint32_t)bytes.at[i] << 8;
    return sum;
}

// RFC 1071: with its checksum, all adds up to ones.
static bool adds_up(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff;
}

static void check_written(const struct written *wrote, const struct capture_read_packet *got)
{
    struct datagram d;
    bool v6 = wrote->datagram.from.ip.family == IP_V6;
    size_t ip = v6 ? 40 : 20, udp = wrote->datagram.bytes.len + NET_UDP_HEADER_LEN;
    assert(got->bytes.len == ip + udp && got->wire_len == ip + udp);
    assert(got->seconds == TIME_EPOCH_S + wrote->at / TIME_S);
    assert(got->nanoseconds == wrote->at % TIME_S);
    assert(capture_read_datagram(DLT_RAW, got->bytes, &d));
    assert(addr_equal(&d.from, &wrote->datagram.from) && addr_equal(&d.to, &wrote->datagram.to));
    assert(bytes_equal(d.bytes, wrote->datagram.bytes));
    // RFC 791 3.1; RFC 768 and RFC 8200 8.1: the addresses, the protocol and the length count, too.
    const uint8_t *at = got->bytes.at;
    assert(v6 || adds_up(sum_of(0, bytes_of(at, ip))));
    uint32_t pseudo = sum_of((uint32_t)udp + 17, bytes_of(at + (v6 ? 8 : 12), v6 ? 32 : 8));
    assert(adds_up(sum_of(pseudo, bytes_of(at + ip, udp))));
}

static void write_and_read(struct bytes script)
{
    static struct written wrote[WRITTEN_MAX];
    struct reader r = reader_of(script);
    struct world *world = world_new(&(struct world_config){.seed = 1, .capture = true});
    unsigned count = record(world, &r, wrote);
    struct err err = {0};
    int fd = memfd_create("capture", MFD_CLOEXEC), full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert(fd >= 0);
    assert(world_capture_write(world, 0, fd, &err) && !err_is_set(&err));
    assert(full < 0 || (!world_capture_write(world, 0, full, &err) && err_is_set(&err)));
    if (full >= 0)
        close(full);
    lseek(fd, 0, SEEK_SET);
    struct err none = {0};
    struct capture_reader *reader = capture_reader_new(fdopen(fd, "rb"), &none);
    assert(reader && capture_reader_link_type(reader) == DLT_RAW);
    struct capture_read_packet packet;
    bool damaged = false;
    for (unsigned i = 0; i < count; i++) {
        assert(capture_reader_next(reader, &packet, &damaged));
        check_written(&wrote[i], &packet);
    }
    assert(!capture_reader_next(reader, &packet, &damaged) && !damaged);
    capture_reader_free(reader);
    world_free(world);
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
    if (!read) {
        fclose(to);
        write_and_read(bytes_of(data, size));
    }
    if (read && len > 0) {
        bool good = read_all(fmemopen(written, len, "rb"), &again, NULL);
        assert(good && again.packets == first.packets && again.sum == first.sum);
    }
    free(written);
    return 0;
}
