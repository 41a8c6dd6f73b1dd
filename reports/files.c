#define _GNU_SOURCE // syncfs, flock, realpath
#include "reports/files.h"

#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool failed(struct err *err, const char *what, const char *path)
{
    return err_set(err, "%s: cannot %s: %s", path, what, strerror(errno));
}

// Temporary names end in this, after a dot and the tag. Nobody else's files do: they may be
// removed.
#define TEMPORARY ".simrtc.tmp"

// How the temporary names of a tag end.
static const char *suffix(unsigned tag, char to[32])
{
    snprintf(to, 32, ".%u" TEMPORARY, tag);
    return to;
}

static bool ends_in(const char *name, const char *end)
{
    size_t len = strlen(name), end_len = strlen(end);
    return len > end_len && strcmp(name + len - end_len, end) == 0;
}

static char *temporary(const char *path, unsigned tag)
{
    char end[32];
    struct text name = {0};
    text_printf(&name, "%s%s", path, suffix(tag, end));
    return name.at;
}

// The folder that `path` is in; the caller frees.
static char *folder_of(const char *path)
{
    struct text name = {0};
    const char *slash = strrchr(path, '/');
    if (!slash)
        text_put(&name, ".");
    else if (slash == path)
        text_put(&name, "/");
    else
        text_add(&name, bytes_of(path, (size_t)(slash - path)));
    return name.at;
}

bool folder_make(const char *folder, struct err *err)
{
    struct text copy = {0};
    text_put(&copy, folder);
    bool made = copy.len > 0 || err_set(err, "a folder needs a name");
    for (size_t i = 1; made && i <= copy.len; i++) {
        char kept = copy.at[i];
        if (kept != '/' && kept != 0)
            continue;
        copy.at[i] = 0;
        if (mkdir(copy.at, 0777) != 0 && errno != EEXIST)
            made = failed(err, "make the folder", copy.at);
        copy.at[i] = kept;
    }
    struct stat stat_of;
    if (made && (stat(folder, &stat_of) != 0 || !S_ISDIR(stat_of.st_mode)))
        made = err_set(err, "%s: is not a folder", folder);
    text_free(&copy);
    return made;
}

static bool make_folder_of(const char *path, struct err *err)
{
    char *folder = folder_of(path);
    bool made = folder_make(folder, err);
    free(folder);
    return made;
}

static bool sync_folder(const char *folder, struct err *err)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return failed(err, "open", folder);
    // EINVAL: a file system that keeps no folders on a disk.
    bool synced = fsync(fd) == 0 || errno == EINVAL || failed(err, "sync", folder);
    close(fd);
    return synced;
}

int file_begin(const char *path, unsigned tag, struct err *err)
{
    char *name = temporary(path, tag);
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC;
    int fd = open(name, flags, 0666);
    if (fd < 0 && errno == ENOENT && make_folder_of(path, err))
        fd = open(name, flags, 0666);
    if (fd < 0)
        failed(err, "create", path);
    free(name);
    return fd;
}

bool file_put(int fd, const char *path, struct bytes bytes, struct err *err)
{
    while (bytes.len) {
        ssize_t wrote = write(fd, bytes.at, bytes.len);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return failed(err, "write", path);
        bytes = bytes_from(bytes, (size_t)wrote);
    }
    return true;
}

bool file_end(int fd, const char *path, unsigned tag, bool keep, struct err *err)
{
    bool closed = close(fd) == 0 || failed(err, "write", path);
    if (closed && keep)
        return true;
    char *name = temporary(path, tag);
    unlink(name);
    free(name);
    return closed;
}

static bool give_name(const char *path, unsigned tag, struct err *err)
{
    char *name = temporary(path, tag);
    bool named = rename(name, path) == 0 || failed(err, "create", path);
    if (!named)
        unlink(name);
    free(name);
    return named;
}

// What is no file and no folder (a terminal, a pipe, /dev/null) is not replaced but written to.
static bool is_device(const char *path)
{
    struct stat of;
    return stat(path, &of) == 0 && !S_ISREG(of.st_mode) && !S_ISDIR(of.st_mode);
}

static bool device_write(const char *path, struct bytes bytes, struct err *err)
{
    int fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return failed(err, "open", path);
    bool whole = file_put(fd, path, bytes, err);
    return (close(fd) == 0 || failed(err, "write", path)) && whole;
}

// The file itself where `path` is a link to one: a link stays. The caller frees.
static char *target_of(const char *path)
{
    char *target = realpath(path, NULL);
    if (target)
        return target;
    struct text copy = {0};
    text_put(&copy, path);
    return copy.at;
}

bool file_can_write(const char *path, struct err *err)
{
    if (is_device(path))
        return access(path, W_OK) == 0 || failed(err, "write", path);
    char *target = target_of(path);
    unsigned tag = (unsigned)getpid();
    struct stat of;
    bool can =
        stat(target, &of) != 0 || !S_ISDIR(of.st_mode) || err_set(err, "%s: is a folder", path);
    int fd = can ? file_begin(target, tag, err) : -1;
    can = fd >= 0 && file_end(fd, target, tag, false, err);
    free(target);
    return can;
}

bool file_remove(const char *path, struct err *err)
{
    if (is_device(path))
        return true;
    char *target = target_of(path);
    bool removed = unlink(target) == 0 || errno == ENOENT || failed(err, "remove", path);
    free(target);
    return removed;
}

static bool write_whole(const char *path, struct bytes bytes, struct err *err)
{
    unsigned tag = (unsigned)getpid();
    int fd = file_begin(path, tag, err);
    if (fd < 0)
        return false;
    bool whole = file_put(fd, path, bytes, err) && (fsync(fd) == 0 || failed(err, "sync", path));
    if (!file_end(fd, path, tag, whole, err) || !whole || !give_name(path, tag, err))
        return false;
    char *folder = folder_of(path);
    bool synced = sync_folder(folder, err);
    free(folder);
    return synced;
}

bool file_write(const char *path, struct bytes bytes, struct err *err)
{
    if (is_device(path))
        return device_write(path, bytes, err);
    char *target = target_of(path);
    bool written = write_whole(target, bytes, err);
    free(target);
    return written;
}

// ----------------------------------------------------------------------------------------- batches

void batch_add(struct batch *batch, const char *path)
{
    if (batch->count == batch->max) {
        batch->max = batch->max ? batch->max * 2 : 64;
        batch->paths = mem_grow(batch->paths, batch->max * sizeof *batch->paths);
    }
    batch->paths[batch->count++] = arena_text(&batch->arena, path);
}

static void batch_clear(struct batch *batch)
{
    arena_free(&batch->arena);
    batch->count = 0;
}

static void drop_from(struct batch *batch, unsigned first)
{
    for (unsigned i = first; i < batch->count; i++) {
        char *name = temporary(batch->paths[i], batch->tag);
        unlink(name);
        free(name);
    }
}

// The file system that the batch is on.
static bool flush(const char *path, struct err *err)
{
    char *folder = folder_of(path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool flushed = fd >= 0 && syncfs(fd) == 0;
    if (!flushed)
        failed(err, "sync", folder);
    if (fd >= 0)
        close(fd);
    free(folder);
    return flushed;
}

bool batch_commit(struct batch *batch, struct err *err)
{
    if (batch->count == 0)
        return true;
    bool done = flush(batch->paths[0], err);
    unsigned named = 0;
    while (done && named < batch->count) {
        done = give_name(batch->paths[named], batch->tag, err);
        named++;
    }
    if (done) // the names themselves
        done = flush(batch->paths[0], err);
    drop_from(batch, named);
    batch_clear(batch);
    return done;
}

void batch_free(struct batch *batch)
{
    drop_from(batch, 0);
    batch_clear(batch);
    free(batch->paths);
    batch->paths = NULL;
    batch->max = 0;
}

// ------------------------------------------------------------------------- what others left behind

void files_sweep(const char *folder, unsigned tag)
{
    DIR *open_folder = opendir(folder);
    if (!open_folder)
        return;
    char end[32];
    suffix(tag, end);
    for (struct dirent *entry; (entry = readdir(open_folder));) {
        if (ends_in(entry->d_name, end))
            unlinkat(dirfd(open_folder), entry->d_name, 0);
    }
    closedir(open_folder);
}

// No more folders in each other, and no more names, than this are looked at.
#define SWEEP_DEEP_MAX 16
#define SWEEP_NAMES_MAX 200000

// Takes `fd`. Links are not followed.
static void sweep_below(int fd, unsigned deep, unsigned *names)
{
    DIR *open_folder = fdopendir(fd);
    if (!open_folder) {
        close(fd);
        return;
    }
    for (struct dirent *entry; *names < SWEEP_NAMES_MAX && (entry = readdir(open_folder));) {
        const char *name = entry->d_name;
        ++*names;
        if (ends_in(name, TEMPORARY))
            unlinkat(dirfd(open_folder), name, 0);
        if (entry->d_type != DT_DIR || name[0] == '.' || deep == SWEEP_DEEP_MAX)
            continue;
        int below =
            openat(dirfd(open_folder), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below >= 0)
            sweep_below(below, deep + 1, names);
    }
    closedir(open_folder);
}

int folder_hold(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    unsigned names = 0;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        int again = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (again >= 0)
            sweep_below(again, 0, &names);
    }
    flock(fd, LOCK_SH);
    return fd;
}
