// One owner for many objects: everything allocated from an arena is freed with it.
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks;
    size_t used; // bytes handed out
};

// Zeroed memory, aligned for any object, until arena_free. Never NULL: memory that is not there
// ends the process with exit code EXIT_NO_MEMORY, which the runner reports as that row's verdict.
void *arena_alloc(struct arena *arena, size_t size);
void *arena_copy(struct arena *arena, const void *from, size_t size);
char *arena_text(struct arena *arena, const char *from);
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void arena_free(struct arena *arena);

#define EXIT_NO_MEMORY 86

// malloc, calloc and realloc with the same end when memory is not there. The caller frees.
void *mem_alloc(size_t size);
void *mem_zero(size_t count, size_t size);
void *mem_grow(void *old, size_t size);

// MEM_LARGE bytes, for what will be filled: a large page where the system has them, which comes at
// once where small ones are a fault each. Some that were freed are kept for who asks next: the
// system would have to clear them again.
#define MEM_LARGE ((size_t)2 << 20)
#define MEM_LARGE_KEPT 32
void *mem_alloc_large(void);
void mem_free_large(void *at);

#endif
