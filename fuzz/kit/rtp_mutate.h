// Mutation of RTP and RTCP that leaves packets which parse: lengths, counts and padding are made
// good after what lies between them was changed.
#ifndef FUZZ_KIT_RTP_MUTATE_H
#define FUZZ_KIT_RTP_MUTATE_H

#include <stddef.h>
#include <stdint.h>

#define RTP_MUTATE_MAX 4096

// As LLVMFuzzerCustomMutator: the new size, at most `max`. The same seed does the same.
//
// A compound: packets are swapped, repeated, removed, and put in, one of each kind; their bodies
// change and grow.
size_t rtcp_mutate(uint8_t *data, size_t size, size_t max, unsigned seed);
// A packet: contributing sources, elements of its header extension, payload and padding.
size_t rtp_mutate(uint8_t *data, size_t size, size_t max, unsigned seed);

#endif
