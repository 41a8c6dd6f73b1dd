// Text that a format can carry: whatever a scenario file, a protocol or a peer put into a string,
// what comes out is valid UTF-8, and a reader of the format accepts it.
#ifndef REPORTS_CLEAN_H
#define REPORTS_CLEAN_H

#include "base/arena.h"

enum clean_for {
    CLEAN_JSON,     // bytes that are not UTF-8 become U+FFFD
    CLEAN_XML,      // also characters that XML 1.0 (2.2) has no way to write
    CLEAN_TERMINAL, // also control characters: no result moves a reader's cursor
};

// `text` itself when there is nothing to change, else a copy in the arena.
const char *clean_text(struct arena *arena, const char *text, enum clean_for format);

#endif
