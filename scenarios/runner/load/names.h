// An index of words: (scope, word) to a number. Look-ups cost the same however many there are.
//
// Order is never taken from it. The words are borrowed and must outlive it.
#ifndef SCENARIOS_NAMES_H
#define SCENARIOS_NAMES_H

#include "base/bytes.h"

struct names_slot;

struct names {
    struct names_slot *slots;
    size_t max; // a power of two, or 0
    size_t count;
    uint64_t probes; // slots looked at so far: what a test of the cost can count
};

// False: the word is there already, and stays as it is.
bool names_add(struct names *names, uint32_t scope, struct bytes word, uint32_t value);
bool names_find(struct names *names, uint32_t scope, struct bytes word, uint32_t *value);
void names_free(struct names *names);

#endif
