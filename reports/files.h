// Files that are whole or not there. Each is written under a temporary name beside its own, made
// durable, and only then given its name; what fails removes the temporary name.
//
// One file is file_write. Hundreds of captures go through a batch: writing them all (file_begin ...
// file_end) and naming them later (batch_add, batch_commit) costs one flush of the file system in
// place of one for each. The two halves may be in different processes: the temporary name is
// derived from the path and the tag.
#ifndef REPORTS_FILES_H
#define REPORTS_FILES_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

// All return false with the path and the reason in `err`.

// The folder and those above it.
bool folder_make(const char *folder, struct err *err);

// The whole file, or none. A device or pipe is written to as it is; of a link, what it leads to.
bool file_write(const char *path, struct bytes bytes, struct err *err);
// Whether file_write could, as far as can be known before: the folders are made, nothing is kept.
bool file_can_write(const char *path, struct err *err);
// True also when there is none; a device stays.
bool file_remove(const char *path, struct err *err);

// A new file under its temporary name, and the folders above it; -1 when it cannot be. `tag` tells
// the temporary files of one program run from those of another.
int file_begin(const char *path, unsigned tag, struct err *err);
// All of the bytes.
bool file_put(int fd, const char *path, struct bytes bytes, struct err *err);
// Close it. When `keep` is false, or it fails, the temporary name is gone too.
bool file_end(int fd, const char *path, unsigned tag, bool keep, struct err *err);

struct batch {
    unsigned tag;
    struct arena arena;
    const char **paths; // ended with file_end, and not yet under their names
    unsigned count, max;
};
void batch_add(struct batch *batch, const char *path);
// Make all durable, give them their names. On failure the files without a name are removed.
bool batch_commit(struct batch *batch, struct err *err);
void batch_free(struct batch *batch); // what was not committed is removed

// Remove what a worker that died left in a folder under temporary names with this tag.
void files_sweep(const char *folder, unsigned tag);

// Say that this process is writing below a folder, until the descriptor is closed (in children
// too). If nobody else says so, all temporary files there are of processes that were killed: they
// are removed. -1 when the folder cannot be opened, which is no reason not to go on.
int folder_hold(const char *folder);

#endif
