// Bytes on the wire: a borrowed slice, a reading cursor, a writing cursor.
//
// Only these cursors touch wire bytes. A cursor that runs out fails, stays failed, and from then on
// reads zeros or writes nothing; the caller checks `failed` once, at the end. Integers are in
// network byte order.
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Borrowed: whoever handed it over owns the memory, and says how long it holds.
struct bytes {
    const uint8_t *at;
    size_t len;
};

static inline struct bytes bytes_of(const void *at, size_t len)
{
    return (struct bytes){at, len};
}

// The characters of a C string, without its end.
static inline struct bytes bytes_text(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool bytes_is(struct bytes a, const char *text)
{
    return bytes_equal(a, bytes_text(text));
}

static inline bool bytes_starts(struct bytes a, const char *text)
{
    size_t len = strlen(text);
    return a.len >= len && memcmp(a.at, text, len) == 0;
}

// Bytes of `a` from `from` on; empty when `from` is past the end.
static inline struct bytes bytes_from(struct bytes a, size_t from)
{
    return from < a.len ? (struct bytes){a.at + from, a.len - from} : (struct bytes){a.at, 0};
}

// Copy into a C string of `max` bytes, end included; false when it was cut.
bool bytes_copy_text(struct bytes from, char *to, size_t max);

// A decimal number that fills the slice: no sign, no blank, at most `max`.
bool bytes_parse_u64(struct bytes text, uint64_t max, uint64_t *out);

// ---------------------------------------------------------------------------------------- reading

struct reader {
    const uint8_t *at;
    size_t len; // what is left
    bool failed;
};

static inline struct reader reader_of(struct bytes bytes)
{
    return (struct reader){bytes.at, bytes.len, false};
}

// The next `len` bytes, borrowed from the source; an empty slice once failed.
static inline struct bytes read_bytes(struct reader *r, size_t len)
{
    if (r->failed || len > r->len) {
        r->failed = true;
        r->len = 0;
        return (struct bytes){r->at, 0};
    }
    struct bytes got = {r->at, len};
    r->at += len;
    r->len -= len;
    return got;
}

static inline uint8_t read_u8(struct reader *r)
{
    struct bytes b = read_bytes(r, 1);
    return b.len ? b.at[0] : 0;
}

static inline uint16_t read_u16(struct reader *r)
{
    struct bytes b = read_bytes(r, 2);
    return b.len ? (uint16_t)((unsigned)b.at[0] << 8 | b.at[1]) : 0;
}

static inline uint32_t read_u32(struct reader *r)
{
    struct bytes b = read_bytes(r, 4);
    return b.len ? (uint32_t)b.at[0] << 24 | (uint32_t)b.at[1] << 16 | (uint32_t)b.at[2] << 8 |
                       (uint32_t)b.at[3]
                 : 0;
}

static inline uint64_t read_u64(struct reader *r)
{
    uint64_t high = read_u32(r);
    return high << 32 | read_u32(r);
}

static inline void read_skip(struct reader *r, size_t len)
{
    (void)read_bytes(r, len);
}

// ---------------------------------------------------------------------------------------- writing

struct writer {
    uint8_t *at; // the start of the buffer
    size_t len;  // written so far
    size_t max;
    bool failed;
};

static inline struct writer writer_of(void *at, size_t max)
{
    return (struct writer){at, 0, max, false};
}

// Room for `len` bytes, to be filled by the caller; NULL once failed.
static inline uint8_t *write_room(struct writer *w, size_t len)
{
    if (w->failed || len > w->max - w->len) {
        w->failed = true;
        return NULL;
    }
    uint8_t *room = w->at + w->len;
    w->len += len;
    return room;
}

static inline void write_bytes(struct writer *w, struct bytes bytes)
{
    uint8_t *to = write_room(w, bytes.len);
    if (to && bytes.len)
        memcpy(to, bytes.at, bytes.len);
}

static inline void write_zeros(struct writer *w, size_t len)
{
    uint8_t *to = write_room(w, len);
    if (to && len)
        memset(to, 0, len);
}

static inline void write_u8(struct writer *w, uint8_t v)
{
    uint8_t *to = write_room(w, 1);
    if (to)
        to[0] = v;
}

static inline void put_u16(uint8_t *to, uint16_t v)
{
    to[0] = (uint8_t)(v >> 8);
    to[1] = (uint8_t)v;
}

static inline void put_u32(uint8_t *to, uint32_t v)
{
    put_u16(to, (uint16_t)(v >> 16));
    put_u16(to + 2, (uint16_t)v);
}

static inline void write_u16(struct writer *w, uint16_t v)
{
    uint8_t *to = write_room(w, 2);
    if (to)
        put_u16(to, v);
}

static inline void write_u32(struct writer *w, uint32_t v)
{
    uint8_t *to = write_room(w, 4);
    if (to)
        put_u32(to, v);
}

static inline void write_u64(struct writer *w, uint64_t v)
{
    write_u32(w, (uint32_t)(v >> 32));
    write_u32(w, (uint32_t)v);
}

// Overwrite two bytes written before, such as a length field.
static inline void write_patch_u16(struct writer *w, size_t offset, uint16_t v)
{
    if (!w->failed && offset + 2 <= w->len)
        put_u16(w->at + offset, v);
}

// What was written; empty once failed.
static inline struct bytes writer_bytes(const struct writer *w)
{
    return w->failed ? (struct bytes){w->at, 0} : (struct bytes){w->at, w->len};
}

#endif
