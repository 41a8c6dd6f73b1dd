#include "reports/result.h"

// A result on its way: a magic number, then the fields in the order of the struct. A string is its
// length, then its bytes without the end; the length STRING_NONE is NULL.
#define MAGIC 0x53524c31u // "SRL1"
#define STRING_NONE 0xffffffffu

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[VERDICTS] = {
        [VERDICT_PASSED] = "passed",
        [VERDICT_FAILED] = "failed",
        [VERDICT_CRASHED] = "crashed",
        [VERDICT_WALL_LIMIT] = "wall-limit",
        [VERDICT_CPU_LIMIT] = "cpu-limit",
        [VERDICT_OUT_OF_MEMORY] = "out-of-memory",
        [VERDICT_TIMING_INVALID] = "timing-invalid",
        [VERDICT_UNSUPPORTED] = "unsupported",
        [VERDICT_NOT_RUN] = "not-run",
    };
    return names[verdict];
}

// --------------------------------------------------------------------------------------- encoding

static void put_number(struct text *to, uint64_t value)
{
    uint8_t room[8];
    struct writer w = writer_of(room, sizeof room);
    write_u64(&w, value);
    text_add(to, writer_bytes(&w));
}

static void put_count(struct text *to, uint32_t value)
{
    uint8_t room[4];
    struct writer w = writer_of(room, sizeof room);
    write_u32(&w, value);
    text_add(to, writer_bytes(&w));
}

static void put_string(struct text *to, const char *string)
{
    if (!string) {
        put_count(to, STRING_NONE);
        return;
    }
    struct bytes bytes = bytes_text(string);
    put_count(to, (uint32_t)bytes.len);
    text_add(to, bytes);
}

static void put_lists(struct text *to, const struct result *result)
{
    put_count(to, result->expectations_count);
    for (unsigned i = 0; i < result->expectations_count; i++) {
        const struct result_expectation *e = &result->expectations[i];
        put_string(to, e->text);
        put_count(to, e->line);
        put_count(to, e->passed);
        put_string(to, e->actual);
        put_number(to, (uint64_t)e->at);
    }
    put_count(to, result->metrics_count);
    for (unsigned i = 0; i < result->metrics_count; i++) {
        const struct result_metric *m = &result->metrics[i];
        put_string(to, m->name);
        put_string(to, m->value);
        put_count(to, m->is_number);
    }
    put_count(to, result->captures_count);
    for (unsigned i = 0; i < result->captures_count; i++) {
        const struct result_capture *c = &result->captures[i];
        put_string(to, c->point);
        put_string(to, c->file);
        put_count(to, c->packets);
    }
}

void result_encode(struct text *to, const struct result *result)
{
    put_count(to, MAGIC);
    put_string(to, result->file);
    put_string(to, result->name);
    put_string(to, result->cell);
    put_string(to, result->id);
    put_number(to, result->seed);
    put_count(to, (uint32_t)result->verdict);
    put_string(to, result->why);
    put_number(to, (uint64_t)result->cause.at);
    put_string(to, result->cause.capture);
    put_count(to, result->cause.packet);
    put_string(to, result->cause.rule);
    put_string(to, result->replay);
    put_number(to, (uint64_t)result->virtual_time);
    put_string(to, result->log);
    put_string(to, result->keys);
    put_string(to, result->stats);
    put_lists(to, result);
}

// --------------------------------------------------------------------------------------- decoding

// NULL when the writer had NULL, and when the bytes are no string.
static const char *get_maybe(struct reader *r, struct arena *arena)
{
    uint32_t len = read_u32(r);
    if (len == STRING_NONE)
        return NULL;
    struct bytes bytes = read_bytes(r, len);
    if (bytes.len && memchr(bytes.at, 0, bytes.len))
        r->failed = true;
    if (r->failed)
        return NULL;
    char *to = arena_alloc(arena, bytes.len + 1);
    if (bytes.len)
        memcpy(to, bytes.at, bytes.len);
    return to;
}

static const char *get_string(struct reader *r, struct arena *arena)
{
    const char *got = get_maybe(r, arena);
    if (!got)
        r->failed = true;
    return got;
}

static bool get_flag(struct reader *r)
{
    uint32_t value = read_u32(r);
    if (value > 1)
        r->failed = true;
    return value == 1;
}

// How many elements follow, each of at least `size` bytes: never more than the bytes left can hold.
static unsigned get_count(struct reader *r, size_t size)
{
    uint32_t count = read_u32(r);
    if (count > r->len / size)
        r->failed = true;
    return r->failed ? 0 : count;
}

static void get_expectations(struct reader *r, struct arena *arena, struct result *out)
{
    unsigned count = get_count(r, 24);
    struct result_expectation *list = arena_alloc(arena, count * sizeof *list);
    for (unsigned i = 0; i < count; i++) {
        list[i].text = get_string(r, arena);
        list[i].line = read_u32(r);
        list[i].passed = get_flag(r);
        list[i].actual = get_maybe(r, arena);
        list[i].at = (nanotime)read_u64(r);
    }
    out->expectations = list;
    out->expectations_count = count;
}

static void get_metrics(struct reader *r, struct arena *arena, struct result *out)
{
    unsigned count = get_count(r, 12);
    struct result_metric *list = arena_alloc(arena, count * sizeof *list);
    for (unsigned i = 0; i < count; i++) {
        list[i].name = get_string(r, arena);
        list[i].value = get_string(r, arena);
        list[i].is_number = get_flag(r);
    }
    out->metrics = list;
    out->metrics_count = count;
}

static void get_captures(struct reader *r, struct arena *arena, struct result *out)
{
    unsigned count = get_count(r, 12);
    struct result_capture *list = arena_alloc(arena, count * sizeof *list);
    for (unsigned i = 0; i < count; i++) {
        list[i].point = get_string(r, arena);
        list[i].file = get_string(r, arena);
        list[i].packets = read_u32(r);
    }
    out->captures = list;
    out->captures_count = count;
}

bool result_decode(struct bytes from, struct arena *arena, struct result *out)
{
    struct reader r = reader_of(from);
    *out = (struct result){0};
    if (read_u32(&r) != MAGIC)
        return false;
    out->file = get_string(&r, arena);
    out->name = get_string(&r, arena);
    out->cell = get_string(&r, arena);
    out->id = get_string(&r, arena);
    out->seed = read_u64(&r);
    uint32_t verdict = read_u32(&r);
    if (verdict >= VERDICTS)
        return false;
    out->verdict = (enum verdict)verdict;
    out->why = get_string(&r, arena);
    out->cause.at = (nanotime)read_u64(&r);
    out->cause.capture = get_maybe(&r, arena);
    out->cause.packet = read_u32(&r);
    out->cause.rule = get_maybe(&r, arena);
    out->replay = get_string(&r, arena);
    out->virtual_time = (nanotime)read_u64(&r);
    out->log = get_maybe(&r, arena);
    out->keys = get_maybe(&r, arena);
    out->stats = get_maybe(&r, arena);
    get_expectations(&r, arena, out);
    get_metrics(&r, arena, out);
    get_captures(&r, arena, out);
    return !r.failed && r.len == 0;
}
