// Captures as files. The only user of libpcap here, and of its BSD types.
#define _DEFAULT_SOURCE
#include "simnet/world.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SNAPLEN 262144

static void packets_write(const struct world *world, unsigned capture, pcap_dumper_t *dumper)
{
    unsigned count = world_capture_count(world, capture);
    for (unsigned number = 1; number <= count; number++) {
        struct capture_packet packet = world_capture_packet(world, capture, number);
        struct pcap_pkthdr header = {
            .ts = {.tv_sec = TIME_EPOCH_S + packet.time / TIME_S,
                   .tv_usec = packet.time % TIME_S}, // nanoseconds, as this precision has it
            .caplen = (bpf_u_int32)packet.bytes.len,
            .len = (bpf_u_int32)packet.bytes.len,
        };
        pcap_dump((u_char *)dumper, &header, packet.bytes.at);
    }
}

bool world_capture_write(const struct world *world, unsigned capture, int fd, struct err *err)
{
    const char *name = world_capture_name(world, capture);
    int copy = dup(fd); // pcap_dump_close closes what it was given
    if (copy < 0)
        return err_set(err, "capture %s: dup: %s", name, strerror(errno));
    FILE *file = fdopen(copy, "wb");
    if (!file) {
        close(copy);
        return err_set(err, "capture %s: fdopen: %s", name, strerror(errno));
    }
    pcap_t *pcap =
        pcap_open_dead_with_tstamp_precision(DLT_RAW, SNAPLEN, PCAP_TSTAMP_PRECISION_NANO);
    if (!pcap) {
        fclose(file);
        return err_set(err, "capture %s: libpcap has no memory", name);
    }
    pcap_dumper_t *dumper = pcap_dump_fopen(pcap, file);
    if (!dumper) { // pcap_dump_fopen has closed the file
        err_set(err, "capture %s: %s", name, pcap_geterr(pcap));
        pcap_close(pcap);
        return false;
    }
    packets_write(world, capture, dumper);
    errno = 0;
    bool failed = pcap_dump_flush(dumper) != 0 || ferror(pcap_dump_file(dumper));
    if (failed)
        err_set(err, "capture %s: write: %s", name, strerror(errno));
    pcap_dump_close(dumper);
    pcap_close(pcap);
    return !failed;
}
