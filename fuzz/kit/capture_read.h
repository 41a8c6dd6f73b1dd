// Captures read: packets from a pcap file, datagrams from packets. For harnesses and their seeds;
// simrtc itself writes captures only (simnet/pcap.c).
#ifndef FUZZ_KIT_CAPTURE_READ_H
#define FUZZ_KIT_CAPTURE_READ_H

#include "base/addr.h"
#include "base/clock.h"
#include "base/err.h"

#include <stdio.h>

struct capture_reader;
struct capture_read_packet {
    int64_t seconds, nanoseconds;
    struct bytes bytes; // from the link layer on; until the next call
    size_t wire_len;    // before it was cut
};

// Takes the file, also when it fails. NULL: no capture that libpcap knows, see `err`.
struct capture_reader *capture_reader_new(FILE *file, struct err *err);
void capture_reader_free(struct capture_reader *reader);
// False: the end, or a packet that is none: then `damaged`.
bool capture_reader_next(struct capture_reader *reader, struct capture_read_packet *out,
                         bool *damaged);
int capture_reader_link_type(const struct capture_reader *reader);

// The UDP datagram in a packet of this link type (raw IP or Ethernet), borrowed from it. False:
// there is none, or not all of it.
bool capture_read_datagram(int link_type, struct bytes packet, struct datagram *out);

#endif
