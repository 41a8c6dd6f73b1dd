#include "scenarios/runner/load/yaml.h"

#include "scenarios/runner/load/names.h"
#include "scenarios/runner/load/scenario.h"

#include <stdlib.h>
#include <yaml.h>

#define SHOWN_MAX 60 // bytes of the user's text in a message
#define ANCHORS 0    // scope of anchors among the names; mappings count from 1

// A container that is being read.
struct level {
    struct yaml_node *node;
    size_t start; // of its children among the values
    uint32_t scope;
    const struct yaml_node *key; // read, and waiting for its value
};

struct builder {
    struct arena *arena;
    const char *file;
    struct err *err;
    struct level levels[SCENARIO_DEPTH_MAX];
    unsigned depth;
    struct yaml_pair *values; // children of open containers; items have no key
    size_t values_count, values_max;
    const struct yaml_node **anchored;
    size_t anchored_count, anchored_max;
    struct names names; // anchors, and the keys of each mapping
    uint32_t scopes;
    unsigned nodes; // as written
    const struct yaml_node *root;
};

static struct err_mark mark_of(const struct builder *b, yaml_mark_t mark)
{
    return (struct err_mark){b->file, (unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

// ------------------------------------------------------------------------------ before the parser

// The length of the UTF-8 character at the front, or 0: none (RFC 3629 4).
static size_t character_len(struct bytes text)
{
    uint8_t first = text.at[0];
    size_t len = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (len == 0 || first > 0xf4 || len > text.len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((text.at[i] & 0xc0) != 0x80)
            return 0;
    }
    bool overlong = (first == 0xe0 && text.at[1] < 0xa0) || (first == 0xf0 && text.at[1] < 0x90);
    bool outside = (first == 0xed && text.at[1] > 0x9f) || (first == 0xf4 && text.at[1] > 0x8f);
    // YAML 1.1 5.1: nor is every character printable
    bool control = (first == 0xc2 && text.at[1] < 0xa0 && text.at[1] != 0x85) ||
                   (first == 0xef && text.at[1] == 0xbf && text.at[2] > 0xbd);
    return overlong || outside || control ? 0 : len;
}

static bool text_is_clean(const char *file, struct bytes text, struct err *err)
{
    struct err_mark mark = {file, 1, 1};
    while (text.len) {
        uint8_t first = text.at[0];
        size_t len = character_len(text);
        bool control =
            (first < 0x20 && first != '\n' && first != '\r' && first != '\t') || first == 0x7f;
        if (len == 0 || control)
            return err_at(err, mark, "expected text in UTF-8, got byte 0x%02x", first);
        mark.column++;
        if (first == '\n')
            mark = (struct err_mark){file, mark.line + 1, 1};
        text = bytes_from(text, len);
    }
    return true;
}

// ------------------------------------------------------------------------------------ the builder

static struct yaml_node *node_new(struct builder *b, enum yaml_kind kind, yaml_mark_t mark)
{
    if (++b->nodes > SCENARIO_NODES_MAX) {
        err_at(b->err, mark_of(b, mark), "expected at most %u nodes, got more", SCENARIO_NODES_MAX);
        return NULL;
    }
    struct yaml_node *node = arena_alloc(b->arena, sizeof *node);
    *node = (struct yaml_node){.kind = kind, .mark = mark_of(b, mark), .size = 1};
    return node;
}

static void value_push(struct builder *b, struct yaml_pair pair)
{
    if (b->values_count == b->values_max) {
        b->values_max = b->values_max ? b->values_max * 2 : 256;
        b->values = mem_grow(b->values, b->values_max * sizeof *b->values);
    }
    b->values[b->values_count++] = pair;
}

// A whole node takes its place in the container that is open. `at`: of the node or its alias.
static bool node_place(struct builder *b, const struct yaml_node *node, struct err_mark at)
{
    if (b->depth == 0) {
        b->root = node;
        return true;
    }
    struct level *level = &b->levels[b->depth - 1];
    if (level->node->kind == YAML_MAPPING && !level->key) {
        if (node->kind != YAML_SCALAR)
            return err_at(b->err, at, "expected a key, got %s", yaml_describe(b->arena, node));
        if (!names_add(&b->names, level->scope, node->text, 0))
            return err_at(b->err, at, "expected each key once, got %s again",
                          yaml_describe(b->arena, node));
        level->key = node;
    } else {
        value_push(b, (struct yaml_pair){level->key, node});
        level->key = NULL;
    }
    // Each open container is checked, so that no sum is ever far over the limit.
    level->node->size += node->size;
    if (level->node->size > SCENARIO_NODES_MAX)
        return err_at(b->err, at, "expected at most %u nodes with aliases expanded, got more",
                      SCENARIO_NODES_MAX);
    return true;
}

static bool anchor_add(struct builder *b, const yaml_char_t *anchor, const struct yaml_node *node)
{
    if (!anchor)
        return true;
    const char *name = arena_text(b->arena, (const char *)anchor);
    if (!names_add(&b->names, ANCHORS, bytes_text(name), (uint32_t)b->anchored_count))
        return err_at(b->err, node->mark, "expected each anchor once, got '&%.*s' again", SHOWN_MAX,
                      name);
    if (b->anchored_count == b->anchored_max) {
        b->anchored_max = b->anchored_max ? b->anchored_max * 2 : 16;
        b->anchored = mem_grow(b->anchored, b->anchored_max * sizeof *b->anchored);
    }
    b->anchored[b->anchored_count++] = node;
    return true;
}

static bool tag_refused(struct builder *b, const yaml_char_t *tag, yaml_mark_t mark)
{
    if (!tag)
        return false;
    err_at(b->err, mark_of(b, mark), "expected no tag, got '%.*s'", SHOWN_MAX, (const char *)tag);
    return true;
}

static bool event_scalar(struct builder *b, const yaml_event_t *event)
{
    if (tag_refused(b, event->data.scalar.tag, event->start_mark))
        return false;
    struct yaml_node *node = node_new(b, YAML_SCALAR, event->start_mark);
    if (!node)
        return false;
    const char *text = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    if (memchr(text, 0, len)) // written as "\0"
        return err_at(b->err, node->mark, "expected text, got a zero byte in it");
    char *copy = arena_alloc(b->arena, len + 1);
    memcpy(copy, text, len);
    node->text = bytes_of(copy, len);
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return anchor_add(b, event->data.scalar.anchor, node) && node_place(b, node, node->mark);
}

static bool event_open(struct builder *b, const yaml_event_t *event, enum yaml_kind kind)
{
    bool mapping = kind == YAML_MAPPING;
    const yaml_char_t *tag =
        mapping ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    const yaml_char_t *anchor =
        mapping ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    if (tag_refused(b, tag, event->start_mark))
        return false;
    struct yaml_node *node = node_new(b, kind, event->start_mark);
    if (!node)
        return false;
    if (b->depth == SCENARIO_DEPTH_MAX)
        return err_at(b->err, node->mark, "expected at most %u levels, got more",
                      SCENARIO_DEPTH_MAX);
    struct level *level = &b->levels[b->depth];
    *level = (struct level){node, b->values_count, ++b->scopes, NULL};
    b->depth++;
    return anchor_add(b, anchor, node);
}

static bool event_close(struct builder *b)
{
    struct level *level = &b->levels[b->depth - 1];
    struct yaml_node *node = level->node;
    size_t count = b->values_count - level->start;
    const struct yaml_pair *children = count ? b->values + level->start : NULL;
    if (node->kind == YAML_MAPPING) {
        if (count)
            node->pairs = arena_copy(b->arena, children, count * sizeof *children);
    } else {
        const struct yaml_node **items = arena_alloc(b->arena, count * sizeof *items);
        for (size_t i = 0; i < count; i++)
            items[i] = children[i].value;
        node->items = items;
    }
    node->count = (unsigned)count;
    b->values_count = level->start;
    b->depth--;
    return node_place(b, node, node->mark);
}

static bool event_alias(struct builder *b, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    struct err_mark at = mark_of(b, event->start_mark);
    uint32_t index;
    if (!names_find(&b->names, ANCHORS, bytes_text(name), &index))
        return err_at(b->err, at, "expected an anchor, got the unknown '*%.*s'", SHOWN_MAX, name);
    const struct yaml_node *node = b->anchored[index];
    for (unsigned i = 0; i < b->depth; i++) {
        if (b->levels[i].node == node)
            return err_at(b->err, at, "expected an anchor outside, got '*%.*s' inside itself",
                          SHOWN_MAX, name);
    }
    return node_place(b, node, at);
}

static bool event_take(struct builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return true;
    case YAML_DOCUMENT_START_EVENT:
        if (b->root)
            return err_at(b->err, mark_of(b, event->start_mark),
                          "expected one document, got a second");
        return true;
    case YAML_ALIAS_EVENT:
        return event_alias(b, event);
    case YAML_SCALAR_EVENT:
        return event_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT:
        return event_open(b, event, YAML_SEQUENCE);
    case YAML_MAPPING_START_EVENT:
        return event_open(b, event, YAML_MAPPING);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return event_close(b);
    }
    return true;
}

static bool parser_failed(struct builder *b, const yaml_parser_t *parser)
{
    const char *context = parser->context ? parser->context : "";
    return err_at(b->err, mark_of(b, parser->problem_mark), "expected YAML, got an error: %s%s%s",
                  parser->problem ? parser->problem : "out of memory", *context ? " " : "",
                  context);
}

static bool events_take(struct builder *b, yaml_parser_t *parser)
{
    for (bool ended = false; !ended;) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event))
            return parser_failed(b, parser);
        ended = event.type == YAML_STREAM_END_EVENT;
        bool ok = event_take(b, &event);
        yaml_event_delete(&event);
        if (!ok)
            return false;
    }
    if (!b->root)
        return err_at(b->err, (struct err_mark){b->file, 1, 1},
                      "expected a scenario, got an empty file");
    return true;
}

const struct yaml_node *yaml_parse(struct arena *arena, const char *file, struct bytes text,
                                   struct err *err)
{
    file = arena_text(arena, file);
    if (text.len > SCENARIO_FILE_MAX) {
        err_at(err, (struct err_mark){file, 1, 1}, "expected at most %u bytes, got more",
               SCENARIO_FILE_MAX);
        return NULL;
    }
    if (!text_is_clean(file, text, err))
        return NULL;

    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        err_set(err, "%s: out of memory", file);
        return NULL;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, text.at ? text.at : (const uint8_t *)"", text.len);
    struct builder builder = {.arena = arena, .file = file, .err = err};
    bool ok = events_take(&builder, &parser);
    yaml_parser_delete(&parser);
    free(builder.values);
    free(builder.anchored);
    names_free(&builder.names);
    return ok ? builder.root : NULL;
}

// -------------------------------------------------------------------------------------- the tree

const struct yaml_node *yaml_get(const struct yaml_node *node, const char *key)
{
    if (!node || node->kind != YAML_MAPPING)
        return NULL;
    for (unsigned i = 0; i < node->count; i++) {
        if (bytes_is(node->pairs[i].key->text, key))
            return node->pairs[i].value;
    }
    return NULL;
}

bool yaml_is_nothing(const struct yaml_node *node)
{
    return node->kind == YAML_SCALAR && !node->quoted &&
           (node->text.len == 0 || bytes_is(node->text, "~") || bytes_is(node->text, "null"));
}

const char *yaml_describe(struct arena *arena, const struct yaml_node *node)
{
    if (node->kind == YAML_SEQUENCE)
        return node->count ? "a list" : "an empty list";
    if (node->kind == YAML_MAPPING)
        return node->count ? "a mapping" : "an empty mapping";
    if (yaml_is_nothing(node))
        return "nothing";
    size_t len = node->text.len;
    bool cut = len > SHOWN_MAX;
    if (cut)
        len = SHOWN_MAX;
    while (cut && len && (node->text.at[len] & 0xc0) == 0x80)
        len--; // not inside a character
    char *shown =
        arena_printf(arena, "'%.*s%s'", (int)len, (const char *)node->text.at, cut ? "..." : "");
    for (char *c = shown; *c; c++) {
        if ((unsigned char)*c < 0x20)
            *c = ' '; // a message is one line
    }
    return shown;
}

struct walk {
    const struct yaml_node *node;
    unsigned next;
};

void yaml_print_short(struct text *to, const struct yaml_node *node, bool keys)
{
    // Depth is bounded by the parser; a replaced value may hang as deep again.
    struct walk stack[SCENARIO_DEPTH_MAX * 2];
    unsigned depth = 0;
    bool first = true;
    stack[depth++] = (struct walk){node, 0};
    while (depth) {
        struct walk *top = &stack[depth - 1];
        if (top->node->kind == YAML_SCALAR) {
            text_add(to, top->node->text);
            depth--;
            continue;
        }
        if (top->next == top->node->count || depth == SCENARIO_DEPTH_MAX * 2) {
            depth--;
            continue;
        }
        if (!first)
            text_put(to, "+");
        first = false;
        unsigned i = top->next++;
        bool mapping = top->node->kind == YAML_MAPPING;
        if (mapping && keys) {
            text_add(to, top->node->pairs[i].key->text);
            text_put(to, "=");
        }
        const struct yaml_node *child = mapping ? top->node->pairs[i].value : top->node->items[i];
        // a container prints its own separators
        first = child->kind != YAML_SCALAR;
        stack[depth++] = (struct walk){child, 0};
    }
}

// ------------------------------------------------------------------------------------- replacing

static const struct yaml_node *scalar_new(struct arena *arena, struct bytes text,
                                          struct err_mark mark)
{
    struct yaml_node *node = arena_alloc(arena, sizeof *node);
    char *copy = arena_alloc(arena, text.len + 1);
    memcpy(copy, text.at, text.len);
    *node = (struct yaml_node){
        .kind = YAML_SCALAR, .mark = mark, .text = {(uint8_t *)copy, text.len}, .size = 1};
    return node;
}

// A copy of a mapping with one pair changed, or added at the end. *hole: where its value goes.
static struct yaml_node *mapping_open(struct arena *arena, const struct yaml_node *old,
                                      struct bytes key, struct err_mark mark,
                                      const struct yaml_node ***hole,
                                      const struct yaml_node **below)
{
    struct yaml_node *node = arena_alloc(arena, sizeof *node);
    unsigned count = old && old->kind == YAML_MAPPING ? old->count : 0;
    bool word = old && old->kind == YAML_SCALAR && !yaml_is_nothing(old);
    struct yaml_pair *pairs = arena_alloc(arena, (count + 2) * sizeof *pairs);
    if (word)
        pairs[count++] =
            (struct yaml_pair){scalar_new(arena, bytes_text("preset"), old->mark), old};
    else if (count)
        memcpy(pairs, old->pairs, count * sizeof *pairs);
    unsigned at = 0;
    while (at < count && !bytes_equal(pairs[at].key->text, key))
        at++;
    *below = at < count ? pairs[at].value : NULL;
    if (at == count)
        pairs[count++] = (struct yaml_pair){scalar_new(arena, key, mark), NULL};
    *node = (struct yaml_node){.kind = YAML_MAPPING,
                               .mark = old ? old->mark : mark,
                               .pairs = pairs,
                               .count = count,
                               .size = count};
    *hole = &pairs[at].value;
    return node;
}

static struct yaml_node *sequence_open(struct arena *arena, const struct yaml_node *old,
                                       uint64_t index, const struct yaml_node ***hole,
                                       const struct yaml_node **below)
{
    struct yaml_node *node = arena_copy(arena, old, sizeof *old);
    const struct yaml_node **items = arena_copy(arena, old->items, old->count * sizeof *items);
    node->items = items;
    *below = items[index];
    *hole = &items[index];
    return node;
}

const struct yaml_node *yaml_replace(struct arena *arena, const struct yaml_node *root,
                                     const struct bytes *path, unsigned path_len,
                                     const struct yaml_node *value, struct err_mark mark,
                                     struct err *err)
{
    const struct yaml_node *result = NULL;
    const struct yaml_node **hole = &result;
    const struct yaml_node *old = root;
    for (unsigned i = 0; i < path_len; i++) {
        uint64_t index = 0;
        const struct yaml_node **next;
        const struct yaml_node *below;
        bool list = old && old->kind == YAML_SEQUENCE;
        if (list && !(bytes_parse_u64(path[i], UINT32_MAX, &index) && index < old->count)) {
            err_at(err, mark, "expected a number below %u in the path, got '%.*s'", old->count,
                   (int)path[i].len, (const char *)path[i].at);
            return NULL;
        }
        *hole = list ? sequence_open(arena, old, index, &next, &below)
                     : mapping_open(arena, old, path[i], mark, &next, &below);
        hole = next;
        old = below;
    }
    *hole = value;
    return result;
}
