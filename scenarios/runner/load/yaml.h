// YAML as a tree that knows where each of its nodes stood in the file.
//
// libyaml does the parsing; this keeps the marks and refuses what a scenario has no use for: tags,
// several documents, keys that are not plain words, duplicate keys, aliases that contain
// themselves. Size, depth and the number of nodes, aliases expanded, are bounded by scenario.h.
#ifndef SCENARIOS_YAML_H
#define SCENARIOS_YAML_H

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"

enum yaml_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

struct yaml_node;
struct yaml_pair {
    const struct yaml_node *key; // a scalar
    const struct yaml_node *value;
};

struct yaml_node {
    enum yaml_kind kind;
    struct err_mark mark;
    struct bytes text; // YAML_SCALAR; a zero byte follows, and none is inside
    bool quoted;
    unsigned count;                       // of items or pairs
    const struct yaml_node *const *items; // YAML_SEQUENCE
    const struct yaml_pair *pairs;        // YAML_MAPPING, in the order of the file
    unsigned size;                        // nodes below and with this one, aliases expanded
};

// The tree of one document, in the arena. NULL: `err` has the place. `file` and `text` are copied.
const struct yaml_node *yaml_parse(struct arena *arena, const char *file, struct bytes text,
                                   struct err *err);

// The value of a key; NULL when it is not there, or the node is no mapping.
const struct yaml_node *yaml_get(const struct yaml_node *node, const char *key);
// Nothing was written: an empty scalar, ~ or null, without quotes.
bool yaml_is_nothing(const struct yaml_node *node);
// "'text'", "a list", "an empty mapping", "nothing": the second half of an error. In the arena.
const char *yaml_describe(struct arena *arena, const struct yaml_node *node);
// In one line: scalars as they are, lists and mappings as their values joined by '+', with
// `keys` as key=value.
void yaml_print_short(struct text *to, const struct yaml_node *node, bool keys);

// A copy of the tree in which the value at a path of keys is another. Only the nodes along the path
// are new. Keys that are not there are added, standing at `mark`; an index leads into a list. A
// scalar on the way becomes {preset: scalar}. NULL: the path leads nowhere, `err` says so.
const struct yaml_node *yaml_replace(struct arena *arena, const struct yaml_node *root,
                                     const struct bytes *path, unsigned path_len,
                                     const struct yaml_node *value, struct err_mark mark,
                                     struct err *err);

#endif
