#include "scenarios/runner/live/live_stacks.h"

#include "reports/result.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_MAX ((size_t)64 * 1024)

// `name` as seen from the folder of `file`.
static const char *beside(struct arena *arena, const char *file, struct bytes name)
{
    const char *slash = strrchr(file, '/');
    int folder = slash && name.at[0] != '/' ? (int)(slash - file) + 1 : 0;
    return arena_printf(arena, "%.*s%.*s", folder, file, (int)name.len, (const char *)name.at);
}

static const struct yaml_node *file_parse(struct load *load, const struct yaml_node *node,
                                          const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        err_at(load->err, node->mark, "expected a file of stacks, got '%s': %s", path,
               strerror(errno));
        return NULL;
    }
    uint8_t *text = mem_alloc(FILE_MAX);
    size_t len = fread(text, 1, FILE_MAX, file);
    bool failed = ferror(file) || len == FILE_MAX;
    fclose(file);
    const struct yaml_node *root = NULL;
    if (failed)
        err_at(load->err, node->mark, "expected a file of less than %zu bytes, got '%s'", FILE_MAX,
               path);
    else
        root = yaml_parse(load->arena, path, bytes_of(text, len), load->err);
    free(text);
    return root;
}

// As seen from the scenario's folder, where commands are found.
static const struct yaml_node *word_place(struct load *load, const struct yaml_node *word,
                                          const char *stacks)
{
    if (word->kind != YAML_SCALAR || !bytes_starts(word->text, "./"))
        return word;
    struct yaml_node *placed = arena_copy(load->arena, word, sizeof *word);
    if (strchr(stacks, '/'))
        placed->text = bytes_text(beside(load->arena, stacks, bytes_from(word->text, 2)));
    return placed;
}

// The kind with the words of its command placed.
static const struct yaml_node *kind_place(struct load *load, const struct yaml_node *kind,
                                          const char *stacks)
{
    const struct yaml_node *run = yaml_get(kind, "run");
    if (!run || run->kind != YAML_SEQUENCE || run->count == 0)
        return kind; // what is wrong with it says the loader of peers
    struct yaml_node *placed = arena_copy(load->arena, run, sizeof *run);
    const struct yaml_node **words = arena_alloc(load->arena, run->count * sizeof *words);
    for (unsigned i = 0; i < run->count; i++)
        words[i] = word_place(load, run->items[i], stacks);
    placed->items = words;
    const struct bytes key = bytes_text("run");
    return yaml_replace(load->arena, kind, &key, 1, placed, kind->mark, load->err);
}

static bool is_wanted(const struct scenario_pairs *pairs, const char *name)
{
    bool wanted = pairs->only_count == 0;
    for (unsigned i = 0; i < pairs->only_count; i++)
        wanted |= strcmp(pairs->only[i], name) == 0;
    return wanted;
}

// A stack that is asked for and is none.
static bool all_known(struct load *load, const struct yaml_node *root,
                      const struct scenario_pairs *pairs, const char *path)
{
    const char *names[STACKS_MAX + 1] = {0};
    for (unsigned i = 0; i < root->count; i++)
        names[i] = (const char *)root->pairs[i].key->text.at;
    for (unsigned i = 0; i < pairs->only_count; i++) {
        if (load_word_find(bytes_text(pairs->only[i]), names) >= 0)
            continue;
        const char *near = err_nearest(pairs->only[i], names);
        return err_set(load->err, "--stacks: there is no stack '%.60s' in %s%s%s%s", pairs->only[i],
                       path, near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    return true;
}

// ------------------------------------------------------------------------------------------ limits

struct limit_fields {
    struct live_limit limit;
    const char *stack; // on either side
};
#define AT(member) offsetof(struct limit_fields, member)
static const struct field limit_fields[] = {
    {"stack", FIELD_TEXT, AT(stack), 0, 100, NULL},
    {"offers", FIELD_TEXT, AT(limit.offers), 0, 100, NULL},
    {"answers", FIELD_TEXT, AT(limit.answers), 0, 100, NULL},
    {"cell", FIELD_TEXT, AT(limit.cell), 0, 100, NULL},
    {"says", FIELD_TEXT, AT(limit.limit.says), 0, 500, NULL},
    {"trace", FIELD_TEXT, AT(limit.limit.trace), 0, 500, NULL},
    {"why", FIELD_TEXT, AT(limit.limit.why), 0, 500, NULL},
    {0},
};
#undef AT

static bool limit_load(struct load *load, const struct yaml_node *node, struct live_stacks *out)
{
    struct limit_fields fields = {0};
    if (!load_fields(load, node, "a limit", limit_fields, &fields, NULL))
        return false;
    if (!fields.limit.limit.says || !fields.limit.limit.trace || !fields.limit.limit.why)
        return err_at(load->err, node->mark, "expected 'says', 'trace' and 'why' of a limit");
    struct live_limit limit = fields.limit;
    limit.limit.peer = limit.offers && limit.answers ? -1
                       : limit.answers               ? 1
                       : limit.offers                ? 0
                                                     : -1;
    if (!fields.stack) {
        out->limits[out->limits_count++] = limit;
        return true;
    }
    for (int i = 0; i < 2; i++) {
        *(i ? &limit.answers : &limit.offers) = fields.stack;
        *(i ? &limit.offers : &limit.answers) = i ? fields.limit.offers : fields.limit.answers;
        limit.limit.peer = i;
        out->limits[out->limits_count++] = limit;
    }
    return true;
}

static bool limits_load(struct load *load, const struct yaml_node *node, struct live_stacks *out)
{
    if (!load_is_list(load, node, "a list of limits", LIMITS_MAX))
        return false;
    out->limits = arena_alloc(load->arena, 2 * node->count * sizeof *out->limits);
    for (unsigned i = 0; i < node->count; i++) {
        if (!limit_load(load, node->items[i], out))
            return false;
    }
    return true;
}

bool live_stacks_is_cell(const char *file, const char *cell)
{
    const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;
    size_t len = strlen(cell);
    return strncmp(name, cell, len) == 0 && (name[len] == 0 || strcmp(name + len, ".yaml") == 0);
}

static bool fits(const struct live_limit *limit, const char *const pair[2], const char *file)
{
    return (!limit->offers || strcmp(limit->offers, pair[0]) == 0) &&
           (!limit->answers || strcmp(limit->answers, pair[1]) == 0) &&
           (!limit->cell || live_stacks_is_cell(file, limit->cell));
}

const struct scenario_limit *live_stacks_limits(const struct live_stacks *stacks,
                                                struct arena *arena, const char *const pair[2],
                                                const char *file, unsigned *count)
{
    struct scenario_limit *limits = arena_alloc(arena, (stacks->limits_count + 1) * sizeof *limits);
    *count = 0;
    for (unsigned i = 0; i < stacks->limits_count; i++) {
        if (fits(&stacks->limits[i], pair, file))
            limits[(*count)++] = stacks->limits[i].limit;
    }
    return limits;
}

static bool has_words(struct bytes line, const char *words)
{
    size_t len = strlen(words);
    for (size_t i = 0; i + len <= line.len; i++) {
        if (memcmp(line.at + i, words, len) == 0)
            return true;
    }
    return false;
}

// "   1.234567 alice.stderr     words": is it of this peer, or of a part of it?
static bool is_of_peer(struct bytes line, const char *name)
{
    size_t at = 0, len = strlen(name);
    while (at < line.len &&
           (line.at[at] == ' ' || line.at[at] == '.' || (line.at[at] >= '0' && line.at[at] <= '9')))
        at++;
    return line.len > at + len && memcmp(line.at + at, name, len) == 0 &&
           (line.at[at + len] == ' ' || line.at[at + len] == '.');
}

static bool is_shown(const struct scenario *scenario, const struct scenario_limit *limit,
                     struct bytes log)
{
    while (log.len > 0) {
        const uint8_t *end = memchr(log.at, '\n', log.len);
        struct bytes line = bytes_of(log.at, end ? (size_t)(end - log.at) : log.len);
        log = bytes_from(log, end ? line.len + 1 : log.len);
        if (has_words(line, limit->trace) &&
            (limit->peer < 0 || is_of_peer(line, scenario->peers[limit->peer].name)))
            return true;
    }
    return false;
}

static const struct scenario_limit *limit_for(const struct scenario *scenario, const char *failure,
                                              struct bytes log)
{
    for (unsigned i = 0; i < scenario->limits_count; i++) {
        const struct scenario_limit *limit = &scenario->limits[i];
        if (strstr(failure, limit->says) && is_shown(scenario, limit, log))
            return limit;
    }
    return NULL;
}

const struct scenario_limit *live_stacks_known(const struct scenario *scenario,
                                               const struct result *result, struct bytes log)
{
    const struct scenario_limit *first = NULL;
    for (unsigned i = 0; i < result->expectations_count; i++) {
        if (result->expectations[i].passed)
            continue;
        const struct scenario_limit *limit = limit_for(scenario, result->expectations[i].text, log);
        if (!limit)
            return NULL;
        first = first ? first : limit;
    }
    return first ? first : limit_for(scenario, result->why ? result->why : "", log);
}

// ------------------------------------------------------------------------------------- the file

struct file_nodes {
    const struct yaml_node *stacks, *limits;
};
static const struct field file_fields[] = {
    {"stacks", FIELD_NODE, offsetof(struct file_nodes, stacks), 0, 0, NULL},
    {"limits", FIELD_NODE, offsetof(struct file_nodes, limits), 0, 0, NULL},
    {0},
};

bool live_stacks_load(struct load *load, const struct yaml_node *node,
                      const struct scenario_pairs *pairs, struct live_stacks *out)
{
    *out = (struct live_stacks){0};
    if (node->kind != YAML_SCALAR || node->text.len == 0)
        return load_expected(load, node, "the name of a file of stacks");
    const char *path = beside(load->arena, node->mark.file, node->text);
    const struct yaml_node *root = file_parse(load, node, path);
    if (!root)
        return false;
    struct file_nodes nodes = {0};
    if (!load_fields(load, root, "a file of stacks", file_fields, &nodes, NULL))
        return false;
    const struct yaml_node *stacks = nodes.stacks ? nodes.stacks : root;
    if (stacks == root || stacks->kind != YAML_MAPPING || stacks->count == 0 ||
        stacks->count > STACKS_MAX)
        return err_at(load->err, stacks->mark, "expected 'stacks', a mapping of 1 to %d of them",
                      STACKS_MAX);
    if (!all_known(load, stacks, pairs, path) ||
        (nodes.limits && !limits_load(load, nodes.limits, out)))
        return false;
    for (unsigned i = 0; i < stacks->count; i++) {
        const char *name = (const char *)stacks->pairs[i].key->text.at;
        if (!is_wanted(pairs, name))
            continue;
        out->names[out->count] = name;
        out->kinds[out->count] =
            kind_place(load, stacks->pairs[i].value, (const char *)node->text.at);
        if (!out->kinds[out->count++])
            return false;
    }
    return true;
}
