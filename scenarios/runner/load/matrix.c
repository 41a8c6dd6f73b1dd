// The cells of a matrix: each substitutes values in the tree of the file, and is decoded like a
// file of its own, so that everything a file says can vary.
//
// A path is of the file ("network.wan.loss"), or starts with a name: "wan.loss", "home.nat",
// "home.uplink.loss", "alice.relay-only", "turn.lifetime".

#include "scenarios/runner/live/live_stacks.h"

#include <stdlib.h>

#define AXES_MAX 16
#define EXCEPTS_MAX 1024

struct axis {
    const struct yaml_node *key;    // as in the file
    const struct yaml_node *values; // a list, not empty
    struct bytes path[SCENARIO_DEPTH_MAX];
    unsigned path_len;
    const char **texts; // of the values
};

struct except {
    unsigned *choice; // of each axis: a value, or ANY
    struct err_mark mark;
    enum scenario_outcome outcome;
    const char *reason;
};
#define ANY UINT32_MAX

struct matrix {
    struct load load; // for its tables and messages: it fills no scenario
    const struct yaml_node *root;
    struct axis axes[AXES_MAX];
    unsigned axes_count;
    unsigned cells;
    struct except *excepts;
    unsigned excepts_count;
    struct live_stacks stacks; // of a matrix of peers
};

// ------------------------------------------------------------------------------------------- paths

static const char *const top_keys[] = {
    "name",    "about", "covers",  "seed",     "limit",    "resources", "network",
    "servers", "peers", "session", "sessions", "timeline", "expect",    NULL,
};

static bool path_add(struct axis *axis, struct bytes part)
{
    if (axis->path_len == SCENARIO_DEPTH_MAX || part.len == 0)
        return false;
    axis->path[axis->path_len++] = part;
    return true;
}

// Where a name's keys are. False: nobody has that name.
static bool path_of_name(const struct matrix *m, struct axis *axis, struct bytes name)
{
    static const char *const sections[][2] = {
        {"network", "lans"}, {"servers", NULL}, {"peers", NULL}};
    const char *key = (const char *)name.at;
    if (bytes_is(name, "wan"))
        return path_add(axis, bytes_text("network")) && path_add(axis, name);
    for (unsigned i = 0; i < 3; i++) {
        const struct yaml_node *section = yaml_get(m->root, sections[i][0]);
        if (sections[i][1])
            section = yaml_get(section, sections[i][1]);
        if (yaml_get(section, key)) {
            path_add(axis, bytes_text(sections[i][0]));
            return (!sections[i][1] || path_add(axis, bytes_text(sections[i][1]))) &&
                   path_add(axis, name);
        }
    }
    return false;
}

static const char *const *starts(struct matrix *m)
{
    const struct yaml_node *sections[] = {yaml_get(yaml_get(m->root, "network"), "lans"),
                                          yaml_get(m->root, "servers"), yaml_get(m->root, "peers")};
    unsigned count = 0;
    for (unsigned i = 0; i < 3; i++)
        count += sections[i] ? sections[i]->count : 0;
    const char **words = arena_alloc(m->load.arena, (count + 20) * sizeof *words);
    unsigned at = 0;
    words[at++] = "wan";
    for (unsigned i = 0; top_keys[i]; i++)
        words[at++] = top_keys[i];
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned k = 0;
             sections[i] && sections[i]->kind == YAML_MAPPING && k < sections[i]->count; k++)
            words[at++] = (const char *)sections[i]->pairs[k].key->text.at;
    }
    return words;
}

static bool path_load(struct matrix *m, struct axis *axis)
{
    char *copy = arena_alloc(m->load.arena, axis->key->text.len + 1);
    memcpy(copy, axis->key->text.at, axis->key->text.len);
    bool first = true, lan = false;
    for (char *at = copy; at; first = false) {
        char *point = strchr(at, '.');
        if (point)
            *point = 0;
        struct bytes part = bytes_text(at);
        if (first && load_word_find(part, top_keys) < 0) {
            if (!path_of_name(m, axis, part)) {
                const char *near = err_nearest(at, starts(m));
                return err_at(m->load.err, axis->key->mark,
                              "expected a path that starts with a key of the file or a name, got "
                              "%s%s%s%s",
                              yaml_describe(m->load.arena, axis->key),
                              near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
            }
            lan = axis->path_len == 3; // network.lans.NAME
        } else {
            bool gateway =
                lan && axis->path_len == 3 && (bytes_is(part, "nat") || bytes_is(part, "firewall"));
            if ((gateway && !path_add(axis, bytes_text("gateway"))) || !path_add(axis, part))
                return load_expected(&m->load, axis->key, "a path of keys joined by '.'");
        }
        at = point ? point + 1 : NULL;
    }
    return true;
}

// -------------------------------------------------------------------------------------------- axes

static bool texts_differ(const struct axis *axis)
{
    struct names names = {0};
    bool differ = true;
    for (unsigned i = 0; i < axis->values->count; i++)
        differ &= names_add(&names, 0, bytes_text(axis->texts[i]), 0);
    names_free(&names);
    return differ;
}

static void texts_make(struct matrix *m, struct axis *axis, bool keys)
{
    for (unsigned i = 0; i < axis->values->count; i++) {
        struct text text = {0};
        yaml_print_short(&text, axis->values->items[i], keys);
        axis->texts[i] = load_text(&m->load, text_bytes(&text));
        text_free(&text);
    }
}

static bool axis_load(struct matrix *m, const struct yaml_pair *pair)
{
    struct axis *axis = &m->axes[m->axes_count++];
    *axis = (struct axis){.key = pair->key, .values = pair->value};
    if (pair->value->kind != YAML_SEQUENCE || pair->value->count == 0)
        return load_expected(&m->load, pair->value, "a list of values");
    if (!path_load(m, axis))
        return false;
    axis->texts = arena_alloc(m->load.arena, axis->values->count * sizeof *axis->texts);
    texts_make(m, axis, false);
    if (!texts_differ(axis))
        texts_make(m, axis, true);
    if (!texts_differ(axis))
        return err_at(m->load.err, axis->key->mark, "expected values that differ, got some twice");
    return true;
}

static bool axes_load(struct matrix *m, const struct yaml_node *node)
{
    if (node->kind != YAML_MAPPING || node->count == 0)
        return load_expected(&m->load, node, "a mapping of paths to lists of values");
    if (node->count > AXES_MAX)
        return err_at(m->load.err, node->mark, "expected at most %u paths, got %u", AXES_MAX,
                      node->count);
    uint64_t cells = 1;
    for (unsigned i = 0; i < node->count; i++) {
        if (!axis_load(m, &node->pairs[i]))
            return false;
        cells *= node->pairs[i].value->count;
        if (cells > SCENARIO_CELLS_MAX)
            return err_at(m->load.err, node->mark, "expected at most %u cells, got more",
                          SCENARIO_CELLS_MAX);
    }
    if (cells * m->root->size > SCENARIO_WORK_MAX)
        return err_at(m->load.err, node->mark,
                      "expected a smaller file or fewer cells, got %u cells of %u nodes",
                      (unsigned)cells, m->root->size);
    m->cells = (unsigned)cells;
    return true;
}

// Two more paths, of the first two peers: which stack each of them is.
static bool stacks_load(struct matrix *m, const struct yaml_node *node,
                        const struct scenario_pairs *pairs)
{
    const struct yaml_node *peers = yaml_get(m->root, "peers");
    if (!peers || peers->kind != YAML_MAPPING || peers->count < 2)
        return err_at(m->load.err, node->mark, "expected two peers beside 'stacks', got none");
    if (m->axes_count + 2 > AXES_MAX)
        return err_at(m->load.err, node->mark, "expected at most %u paths beside 'stacks', got %u",
                      AXES_MAX - 2, m->axes_count);
    if (!live_stacks_load(&m->load, node, pairs, &m->stacks))
        return false;
    const struct live_stacks stacks = m->stacks;
    struct yaml_node *values = arena_copy(m->load.arena, node, sizeof *node);
    *values = (struct yaml_node){.kind = YAML_SEQUENCE, .mark = node->mark, .count = stacks.count};
    values->items = arena_copy(m->load.arena, stacks.kinds, stacks.count * sizeof *stacks.kinds);
    memmove(m->axes + 2, m->axes, m->axes_count * sizeof *m->axes);
    for (unsigned i = 0; i < 2; i++) {
        struct axis *axis = &m->axes[i];
        *axis = (struct axis){.key = peers->pairs[i].key, .values = values};
        path_add(axis, bytes_text("peers"));
        path_add(axis, peers->pairs[i].key->text);
        path_add(axis, bytes_text("peer"));
        axis->texts = arena_copy(m->load.arena, stacks.names, stacks.count * sizeof *stacks.names);
    }
    m->axes_count += 2;
    m->cells *= stacks.count * stacks.count;
    if (m->cells > SCENARIO_CELLS_MAX)
        return err_at(m->load.err, node->mark, "expected at most %u cells, got more",
                      SCENARIO_CELLS_MAX);
    return true;
}

// ---------------------------------------------------------------------------------------- excepts

struct except_nodes {
    const struct yaml_node *cell;
    unsigned outcome;
    const char *reason;
};
static const char *const outcomes[] = {"direct", "relay", "none", NULL};
static const struct field except_fields[] = {
    {"cell", FIELD_NODE, offsetof(struct except_nodes, cell), 0, 0, NULL},
    {"outcome", FIELD_WORD, offsetof(struct except_nodes, outcome), 0, 0, outcomes},
    {"reason", FIELD_TEXT, offsetof(struct except_nodes, reason), 0, 500, NULL},
    {0},
};

static bool choice_load(struct matrix *m, const struct yaml_pair *pair, struct except *except)
{
    const char *words[AXES_MAX + 1] = {0};
    for (unsigned i = 0; i < m->axes_count; i++)
        words[i] = (const char *)m->axes[i].key->text.at;
    int axis = load_word_find(pair->key->text, words);
    if (axis < 0)
        return load_expected_word(&m->load, pair->key, "a path of the matrix", words);
    const struct axis *of = &m->axes[axis];
    struct text text = {0};
    const char **texts = arena_alloc(m->load.arena, (of->values->count + 1) * sizeof *texts);
    memcpy(texts, of->texts, of->values->count * sizeof *texts);
    int value = -1;
    for (unsigned keys = 0; keys < 2 && value < 0; keys++) {
        text_clear(&text);
        yaml_print_short(&text, pair->value, keys);
        value = load_word_find(text_bytes(&text), texts);
    }
    text_free(&text);
    if (value < 0)
        return load_expected_word(&m->load, pair->value, "a value of the matrix", texts);
    except->choice[axis] = (unsigned)value;
    return true;
}

static bool except_load(struct matrix *m, const struct yaml_node *node, struct except *except)
{
    struct except_nodes nodes = {0};
    if (node->kind != YAML_MAPPING)
        return load_expected(&m->load, node, "a mapping with 'cell', 'outcome' and 'reason'");
    if (!load_fields(&m->load, node, "matrix-except", except_fields, &nodes, NULL))
        return false;
    if (!nodes.cell || !yaml_get(node, "outcome") || !nodes.reason)
        return err_at(m->load.err, node->mark,
                      "expected 'cell', 'outcome' and 'reason', got no '%s'",
                      !nodes.cell                  ? "cell"
                      : !yaml_get(node, "outcome") ? "outcome"
                                                   : "reason");
    if (nodes.cell->kind != YAML_MAPPING)
        return load_expected(&m->load, nodes.cell, "a mapping of paths to values");
    *except = (struct except){.mark = node->mark,
                              .outcome = (enum scenario_outcome)(OUTCOME_DIRECT + nodes.outcome),
                              .reason = nodes.reason};
    except->choice = arena_alloc(m->load.arena, AXES_MAX * sizeof *except->choice);
    for (unsigned i = 0; i < AXES_MAX; i++)
        except->choice[i] = ANY;
    for (unsigned i = 0; i < nodes.cell->count; i++) {
        if (!choice_load(m, &nodes.cell->pairs[i], except))
            return false;
    }
    return true;
}

static bool excepts_load(struct matrix *m, const struct yaml_node *node)
{
    if (!load_is_list(&m->load, node, "a list of cells", EXCEPTS_MAX))
        return false;
    m->excepts = arena_alloc(m->load.arena, node->count * sizeof *m->excepts);
    for (unsigned i = 0; i < node->count; i++) {
        if (!except_load(m, node->items[i], &m->excepts[m->excepts_count++]))
            return false;
    }
    return true;
}

static bool except_fits(const struct matrix *m, const struct except *except, const unsigned *choice)
{
    for (unsigned i = 0; i < m->axes_count; i++) {
        if (except->choice[i] != ANY && except->choice[i] != choice[i])
            return false;
    }
    return true;
}

// ------------------------------------------------------------------------------------------- cells

static bool cell_load(struct matrix *m, struct scenario_set *set, const unsigned *choice,
                      struct load_cell *cell)
{
    const struct yaml_node *root = m->root;
    struct text text = {0};
    for (unsigned i = 0; i < m->axes_count && root; i++) {
        const struct axis *axis = &m->axes[i];
        root = yaml_replace(m->load.arena, root, axis->path, axis->path_len,
                            axis->values->items[choice[i]], axis->key->mark, m->load.err);
        text_printf(&text, "%s%s", i ? "," : "", axis->texts[choice[i]]);
    }
    cell->cell = load_text(&m->load, text_bytes(&text));
    text_free(&text);
    for (unsigned i = m->excepts_count; i-- > 0;) { // the first that fits, in the end
        if (except_fits(m, &m->excepts[i], choice)) {
            cell->outcome = m->excepts[i].outcome;
            cell->reason = m->excepts[i].reason;
        }
    }
    return root && load_scenario(set, root, cell, m->load.err);
}

// Cells in order, the last axis turning fastest.
static bool cells_load(struct matrix *m, struct scenario_set *set, const char *file,
                       struct err_mark mark)
{
    size_t before = set->arena.used;
    for (unsigned i = 0; i < m->cells; i++) {
        unsigned choice[AXES_MAX] = {0};
        unsigned rest = i;
        for (unsigned a = m->axes_count; a-- > 0;) {
            choice[a] = rest % m->axes[a].values->count;
            rest /= m->axes[a].values->count;
        }
        struct load_cell cell = {.file = file, .cell = "", .outcome = OUTCOME_COMPUTED};
        for (unsigned p = 0; p < 2 && set->pairs; p++)
            cell.pair[p] = m->axes[p].texts[choice[p]];
        if (set->pairs)
            cell.limits =
                live_stacks_limits(&m->stacks, m->load.arena, cell.pair, file, &cell.limits_count);
        if (!cell_load(m, set, choice, &cell))
            return false;
        if (set->arena.used - before > SCENARIO_CELLS_BYTES_MAX)
            return err_at(m->load.err, mark,
                          "expected a smaller file or fewer cells, got cells that take more than "
                          "%zu MiB",
                          SCENARIO_CELLS_BYTES_MAX >> 20);
    }
    return true;
}

bool load_matrix(struct scenario_set *set, const struct yaml_node *root, const char *file,
                 struct err *err)
{
    const struct yaml_node *axes = yaml_get(root, "matrix");
    const struct yaml_node *excepts = yaml_get(root, "matrix-except");
    const struct yaml_node *stacks = set->pairs ? yaml_get(root, "stacks") : NULL;
    struct load_cell alone = {.file = file, .cell = "", .outcome = OUTCOME_COMPUTED};
    if (!axes && excepts)
        return err_at(err, excepts->mark, "expected 'matrix' beside matrix-except, got none");
    if (set->pairs && !stacks)
        return true;
    if (!axes && !stacks)
        return load_scenario(set, root, &alone, err);

    unsigned before = set->count;
    struct matrix *m = mem_zero(1, sizeof *m);
    m->load = (struct load){.arena = &set->arena, .err = err};
    m->root = root;
    m->cells = 1;
    bool ok = (!axes || axes_load(m, axes)) && (!stacks || stacks_load(m, stacks, set->pairs)) &&
              (!excepts || excepts_load(m, excepts)) &&
              cells_load(m, set, file, (axes ? axes : stacks)->mark);
    free(m);
    if (!ok)
        set->count = before; // a file is loaded whole or not at all
    return ok;
}
