#define _DEFAULT_SOURCE // madvise
#include "base/arena.h"

#include <stdarg.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHUNK_SIZE ((size_t)16384)

struct arena_chunk {
    struct arena_chunk *next;
    size_t used;
    size_t size;
    alignas(max_align_t) unsigned char at[];
};

static void *mem_checked(void *got)
{
    if (got)
        return got;
    static const char text[] = "simrtc: out of memory\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    _exit(EXIT_NO_MEMORY);
}

void *mem_alloc(size_t size)
{
    return mem_checked(malloc(size ? size : 1));
}

void *mem_zero(size_t count, size_t size)
{
    return mem_checked(calloc(count ? count : 1, size ? size : 1));
}

void *mem_grow(void *old, size_t size)
{
    return mem_checked(realloc(old, size ? size : 1));
}

static void *large_kept[MEM_LARGE_KEPT];
static unsigned large_kept_count;

void *mem_alloc_large(void)
{
    if (large_kept_count)
        return large_kept[--large_kept_count];
    void *got = mem_checked(aligned_alloc(MEM_LARGE, MEM_LARGE));
    (void)madvise(got, MEM_LARGE, MADV_HUGEPAGE); // a wish
    return got;
}

void mem_free_large(void *at)
{
    if (large_kept_count < MEM_LARGE_KEPT)
        large_kept[large_kept_count++] = at;
    else
        free(at);
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t align = alignof(max_align_t);
    size = (size + align - 1) / align * align;
    struct arena_chunk *chunk = arena->chunks;
    if (!chunk || size > chunk->size - chunk->used) {
        size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;
        chunk = mem_zero(1, sizeof *chunk + room);
        chunk->size = room;
        chunk->next = arena->chunks;
        arena->chunks = chunk;
    }
    void *at = chunk->at + chunk->used;
    chunk->used += size;
    arena->used += size;
    return at;
}

void *arena_copy(struct arena *arena, const void *from, size_t size)
{
    void *to = arena_alloc(arena, size);
    if (size)
        memcpy(to, from, size);
    return to;
}

char *arena_text(struct arena *arena, const char *from)
{
    return arena_copy(arena, from, strlen(from) + 1);
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    char *to = arena_alloc(arena, (size_t)len + 1);
    vsnprintf(to, (size_t)len + 1, format, again);
    va_end(again);
    va_end(args);
    return to;
}

void arena_free(struct arena *arena)
{
    while (arena->chunks) {
        struct arena_chunk *next = arena->chunks->next;
        free(arena->chunks);
        arena->chunks = next;
    }
    *arena = (struct arena){0};
}
