#define _DEFAULT_SOURCE // the BSD types of pcap.h
#include "fuzz/kit/capture_read.h"

#include "base/arena.h"

#include <pcap/pcap.h>
#include <stdlib.h>

#define ETHERTYPE_V4 0x0800
#define ETHERTYPE_V6 0x86dd
#define PROTOCOL_UDP 17
#define UDP_LEN 8

struct capture_reader {
    pcap_t *pcap;
};

struct capture_reader *capture_reader_new(FILE *file, struct err *err)
{
    char why[PCAP_ERRBUF_SIZE] = "";
    pcap_t *pcap = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, why);
    if (!pcap) {
        fclose(file);
        err_set(err, "no capture: %s", why);
        return NULL;
    }
    struct capture_reader *reader = mem_zero(1, sizeof *reader);
    reader->pcap = pcap;
    return reader;
}

void capture_reader_free(struct capture_reader *reader)
{
    if (!reader)
        return;
    pcap_close(reader->pcap); // and the file
    free(reader);
}

bool capture_reader_next(struct capture_reader *reader, struct capture_read_packet *out,
                         bool *damaged)
{
    struct pcap_pkthdr *header;
    const u_char *bytes;
    int got = pcap_next_ex(reader->pcap, &header, &bytes);
    *damaged = got == PCAP_ERROR;
    if (got != 1)
        return false;
    *out = (struct capture_read_packet){.seconds = header->ts.tv_sec,
                                        .nanoseconds = header->ts.tv_usec,
                                        .bytes = bytes_of(bytes, header->caplen),
                                        .wire_len = header->len};
    return true;
}

int capture_reader_link_type(const struct capture_reader *reader)
{
    return pcap_datalink(reader->pcap);
}

static struct ip ip_read(struct reader *r, bool v6)
{
    struct ip ip = {.family = v6 ? IP_V6 : IP_V4};
    struct bytes at = read_bytes(r, v6 ? 16 : 4);
    if (at.len)
        memcpy(ip.at, at.at, at.len);
    return ip;
}

// RFC 791 3.1: the header, options skipped. False: not a whole UDP datagram.
static bool read_v4(struct reader *r, struct datagram *out)
{
    size_t header = (read_u8(r) & 15u) * 4u;
    read_skip(r, 1);
    size_t len = read_u16(r);
    read_skip(r, 2);
    unsigned fragment = read_u16(r);
    read_skip(r, 1);
    unsigned protocol = read_u8(r);
    read_skip(r, 2);
    out->from.ip = ip_read(r, false);
    out->to.ip = ip_read(r, false);
    if (header < 20 || len < header)
        return false;
    read_skip(r, header - 20);
    if (r->len > len - header)
        r->len = len - header; // what pads the frame
    return protocol == PROTOCOL_UDP && (fragment & 0x3fff) == 0;
}

// RFC 8200 3. Extension headers, of which there are none with UDP here, are not looked behind.
static bool read_v6(struct reader *r, struct datagram *out)
{
    read_skip(r, 4);
    size_t len = read_u16(r);
    unsigned next = read_u8(r);
    read_skip(r, 1);
    out->from.ip = ip_read(r, true);
    out->to.ip = ip_read(r, true);
    if (r->len > len)
        r->len = len;
    return next == PROTOCOL_UDP;
}

bool capture_read_datagram(int link_type, struct bytes packet, struct datagram *out)
{
    struct reader r = reader_of(packet);
    *out = (struct datagram){0};
    if (link_type == DLT_EN10MB) {
        read_skip(&r, 12);
        unsigned type = read_u16(&r);
        if (type != ETHERTYPE_V4 && type != ETHERTYPE_V6)
            return false;
    } else if (link_type != DLT_RAW) {
        return false;
    }
    unsigned version = r.len ? r.at[0] >> 4 : 0;
    if ((version == 4 && !read_v4(&r, out)) || (version == 6 && !read_v6(&r, out)))
        return false;
    out->from.port = read_u16(&r);
    out->to.port = read_u16(&r);
    size_t len = read_u16(&r);
    read_skip(&r, 2);
    if ((version != 4 && version != 6) || len < UDP_LEN)
        return false;
    out->bytes = read_bytes(&r, len - UDP_LEN);
    return !r.failed;
}
