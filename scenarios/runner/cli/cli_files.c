#define _GNU_SOURCE // DT_DIR
#include "scenarios/runner/cli/cli.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FOLDERS_DEEP_MAX 16
#define FILES_MAX 100000

struct paths {
    struct arena arena;
    const char **at;
    unsigned count, max;
    bool failed;
};

static bool complain(struct paths *paths, const char *path, const char *why)
{
    fprintf(stderr, "%s: %s\n", path, why);
    paths->failed = true;
    return false;
}

static bool is_folder(const char *path)
{
    struct stat of;
    return stat(path, &of) == 0 && S_ISDIR(of.st_mode);
}

static void paths_add(struct paths *paths, const char *path)
{
    if (paths->count == paths->max) {
        paths->max = paths->max ? paths->max * 2 : 64;
        paths->at = mem_grow(paths->at, paths->max * sizeof *paths->at);
    }
    paths->at[paths->count++] = arena_text(&paths->arena, path);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// The names in a folder, in order of their bytes. False: it cannot be read.
static bool folder_read(struct paths *paths, const char *folder, struct paths *names)
{
    DIR *open_folder = opendir(folder);
    if (!open_folder)
        return complain(paths, folder, strerror(errno));
    for (struct dirent *entry; (entry = readdir(open_folder)) && names->count < FILES_MAX;) {
        if (entry->d_name[0] != '.')
            paths_add(names, entry->d_name);
    }
    closedir(open_folder);
    if (names->count)
        qsort(names->at, names->count, sizeof *names->at, compare_names);
    return true;
}

static bool ends_in_yaml(const char *name)
{
    size_t len = strlen(name);
    return len > 5 && strcmp(name + len - 5, ".yaml") == 0;
}

// The depth is bounded: a folder that links to one above it is an error, not a loop.
static void folder_add(struct paths *paths, const char *folder, unsigned depth)
{
    struct paths names = {0};
    if (depth > FOLDERS_DEEP_MAX) {
        complain(paths, folder, "too many folders in each other");
        return;
    }
    folder_read(paths, folder, &names);
    size_t len = strlen(folder);
    const char *slash = len && folder[len - 1] == '/' ? "" : "/";
    for (unsigned i = 0; i < names.count; i++) {
        const char *path = arena_printf(&names.arena, "%s%s%s", folder, slash, names.at[i]);
        if (is_folder(path))
            folder_add(paths, path, depth + 1);
        else if (ends_in_yaml(path))
            paths_add(paths, path);
    }
    arena_free(&names.arena);
    free(names.at);
}

static void path_add(struct paths *paths, const char *path)
{
    unsigned before = paths->count;
    if (!is_folder(path)) {
        paths_add(paths, path);
        return;
    }
    folder_add(paths, path, 0);
    if (paths->count == before && !paths->failed)
        complain(paths, path, "there is no .yaml file below this folder");
}

static int compare_ids(const void *a, const void *b)
{
    const struct scenario *const *x = a, *const *y = b;
    return strcmp((*x)->id, (*y)->id);
}

// Ids name folders of captures: each belongs to one scenario.
static bool ids_are_unique(const struct scenario_set *set)
{
    size_t size = set->count * sizeof *set->scenarios;
    const struct scenario **sorted = mem_alloc(size);
    bool unique = true;
    memcpy(sorted, set->scenarios, size);
    qsort(sorted, set->count, sizeof *sorted, compare_ids);
    for (unsigned i = 1; i < set->count && unique; i++) {
        unique = strcmp(sorted[i - 1]->id, sorted[i]->id) != 0;
        if (!unique)
            fprintf(stderr,
                    "%s: has the id '%s' of a scenario in %s: give one of them another name\n",
                    sorted[i]->file, sorted[i]->id, sorted[i - 1]->file);
    }
    free(sorted);
    return unique;
}

bool cli_load(struct scenario_set *set, char **words, unsigned count)
{
    struct paths paths = {0};
    for (unsigned i = 0; i < count; i++)
        path_add(&paths, words[i]);
    bool good = !paths.failed;
    for (unsigned i = 0; i < paths.count; i++) {
        struct err err = {0};
        if (scenario_load(set, paths.at[i], &err))
            continue;
        fprintf(stderr, "%s\n", err.text);
        good = false;
    }
    good = good && (set->count == 0 || ids_are_unique(set));
    arena_free(&paths.arena);
    free(paths.at);
    return good;
}

void cli_filter(struct scenario_set *set, const char *filter)
{
    bool exact = false;
    for (unsigned i = 0; i < set->count && !exact; i++) {
        const struct scenario *s = set->scenarios[i];
        exact = strcmp(s->id, filter) == 0 || strcmp(s->cell, filter) == 0;
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < set->count; i++) {
        const struct scenario *s = set->scenarios[i];
        bool fits =
            exact ? strcmp(s->id, filter) == 0 || strcmp(s->cell, filter) == 0
                  : strstr(s->id, filter) || strstr(s->name, filter) || strstr(s->cell, filter);
        if (fits)
            set->scenarios[kept++] = s;
    }
    set->count = kept;
}

// Nothing of a file moves the cursor of who reads about it.
static void tame(struct text *text)
{
    for (char *at = text->at, *end = at + text->len; at && at < end;) {
        char *line = memchr(at, '\n', (size_t)(end - at));
        text_one_line(at, (size_t)((line ? line : end) - at));
        at = line ? line + 1 : end;
    }
}

bool cli_print(struct text *text)
{
    tame(text);
    bool whole = text->len == 0 || fwrite(text->at, 1, text->len, stdout) == text->len;
    text_free(text);
    if (fflush(stdout) == 0 && whole)
        return true;
    fprintf(stderr, "simrtc: cannot write to stdout: %s\n", strerror(errno));
    return false;
}
