// Mutation of session descriptions that knows their grammar: lines, attributes, numbers.
//
// Bytes flipped at random seldom leave a description that parses. Here lines are swapped, repeated,
// removed and spliced from a small grammar, values and numbers changed where they stand; one in
// eight is libFuzzer's own.
#ifndef FUZZ_KIT_SDP_MUTATE_H
#define FUZZ_KIT_SDP_MUTATE_H

#include <stddef.h>
#include <stdint.h>

// As LLVMFuzzerCustomMutator: the new size, at most `max`. The same seed does the same.
size_t sdp_mutate(uint8_t *data, size_t size, size_t max, unsigned seed);

#endif
