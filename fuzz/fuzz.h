// What every harness shares. A harness is one file: bytes in, a property asserted.
//
//     fuzz/x.c            LLVMFuzzerTestOneInput, driven by libFuzzer (`make fuzz-x`) or, over its
//                         corpus, by replay.c (`make fuzz-regress`)
//     fuzz/corpus/x/      its seeds, with the inputs of bugs that were found
//     fuzz/x.dict         its words, where it has some
//
// Properties are asserts. Each iteration starts from the same state, so that an input does the same
// wherever it stands in a corpus; what is made once in a process is made by fuzz_once.
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/libenv.h"
#include "base/rng.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

// Not every sanitizer counts memory, not every engine lends its mutators. (gcc 12 has no
// sanitizer/*.h.)
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak));

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

// Bytes of the heap in use: that of an iteration is bounded by what its harness names.
static inline size_t fuzz_memory(void)
{
    return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes() : 0;
}

static inline void fuzz_memory_check(size_t before, size_t most)
{
    size_t now = fuzz_memory();
    if (now > before && now - before > most) {
        fprintf(stderr, "%zu bytes in use, at most %zu expected\n", now - before, most);
        abort();
    }
}

// How long the work took so far, in time of the processor; 0 where no time is asked for: only under
// libFuzzer (fuzz.mk), never where a replay must not depend on the machine.
static inline uint64_t fuzz_time_us(void)
{
#ifdef SIMRTC_FUZZ_TIMED
    return (uint64_t)clock() * 1000000u / CLOCKS_PER_SEC;
#else
    return 0;
#endif
}

// Work on `size` bytes that took more than `ns` for each byte, and a millisecond, grows faster than
// they do. Leave `ns` twenty times what it takes.
static inline bool fuzz_is_slow(uint64_t since_us, size_t size, unsigned ns)
{
    uint64_t took = fuzz_time_us() - since_us;
    return took > 1000 && took * 1000 > size * (uint64_t)ns;
}

// True at the first call.
static inline bool fuzz_once(void)
{
    static bool done;
    bool first = !done;
    done = true;
    return first;
}

// The slice lies within the whole.
static inline bool fuzz_is_inside(struct bytes whole, struct bytes slice)
{
    return slice.len == 0 || (slice.at >= whole.at && slice.at + slice.len <= whole.at + whole.len);
}

// One of `limit` choices; 0 when the bytes are used up.
static inline unsigned fuzz_choice(struct reader *r, unsigned limit)
{
    return read_u8(r) % limit;
}

// A length byte and as many bytes as there are.
static inline struct bytes fuzz_slice(struct reader *r)
{
    size_t len = read_u8(r);
    return read_bytes(r, len < r->len ? len : r->len);
}

// Is this "file:line:column: text", with a place that a text of `text` has?
static inline bool fuzz_is_placed(const struct err *err, const char *file, struct bytes text)
{
    unsigned line = 0, column = 0;
    int used = 0;
    size_t lines = 1;
    for (size_t i = 0; i < text.len; i++)
        lines += text.at[i] == '\n' || text.at[i] == '\r' ||
                 (i + 1 < text.len && text.at[i] == 0xc2 && text.at[i + 1] == 0x85) ||
                 (i + 2 < text.len && text.at[i] == 0xe2 && text.at[i + 1] == 0x80);
    size_t len = strlen(file);
    if (strncmp(err->text, file, len) != 0 ||
        sscanf(err->text + len, ":%u:%u: %n", &line, &column, &used) != 2 || used == 0)
        return false;
    return line >= 1 && line <= lines + 1 && column >= 1 && err->text[len + (size_t)used] != 0;
}

#endif
