#include "scenarios/live_stacks.h"

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
    if (root->kind != YAML_MAPPING || root->count == 0 || root->count > STACKS_MAX)
        return err_at(load->err, root->mark, "expected a mapping of 1 to %d stacks, got %s",
                      STACKS_MAX, yaml_describe(load->arena, root));
    if (!all_known(load, root, pairs, path))
        return false;
    for (unsigned i = 0; i < root->count; i++) {
        const char *name = (const char *)root->pairs[i].key->text.at;
        if (!is_wanted(pairs, name))
            continue;
        out->names[out->count] = name;
        out->kinds[out->count] =
            kind_place(load, root->pairs[i].value, (const char *)node->text.at);
        if (!out->kinds[out->count++])
            return false;
    }
    return true;
}
