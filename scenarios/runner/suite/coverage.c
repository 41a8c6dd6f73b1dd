#include "scenarios/runner/suite/coverage.h"

#include "scenarios/runner/load/names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TABLE_MAX (4u * 1024 * 1024) // bytes
#define SHOWN_MAX 4                  // scenarios of one requirement

enum column { RFC, SECTION, ID, LEVEL, PARAPHRASE, COLUMNS };

struct user {
    struct user *next;
    const struct scenario *scenario;
};

struct requirement {
    const char *columns[COLUMNS];
    struct user *users, **users_end;
    unsigned users_count;
};

struct coverage {
    struct arena arena;
    struct requirement *rows;
    unsigned count, max;
    const char **ids; // NULL-ended, for suggestions
    struct names index;
};

const char *coverage_requirements_find(struct arena *arena, const char *path)
{
    char *folder = arena_text(arena, path);
    for (;;) {
        const char *found =
            arena_printf(arena, "%s/%s", *folder ? folder : ".", COVERAGE_REQUIREMENTS);
        if (access(found, R_OK) == 0)
            return found;
        char *slash = strrchr(folder, '/');
        if (!slash && !*folder)
            return NULL;
        *(slash ? slash : folder) = 0;
    }
}

// ------------------------------------------------------------------------------------------ table

static char *file_read(struct coverage *c, const char *path, struct err *err)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        err_set(err, "%s: %s", path, strerror(errno));
        return NULL;
    }
    char *text = mem_alloc(TABLE_MAX + 1);
    size_t len = fread(text, 1, TABLE_MAX, file);
    bool failed = ferror(file);
    int why = errno;
    fclose(file);
    text[len] = 0;
    char *copy = arena_text(&c->arena, text);
    free(text);
    if (failed)
        err_set(err, "%s: %s", path, strerror(why));
    else if (strlen(copy) != len || len == TABLE_MAX)
        err_set(err, "%s: expected a text of less than %u bytes, got something else", path,
                TABLE_MAX);
    return err_is_set(err) ? NULL : copy;
}

static bool row_add(struct coverage *c, char *line, struct err_mark mark, struct err *err)
{
    struct requirement row = {0};
    char *at = line;
    for (unsigned i = 0; i < COLUMNS; i++) {
        if (!at)
            return err_at(err, mark, "expected at least %d columns, got %u", COLUMNS, i);
        row.columns[i] = at;
        at = strchr(at, '\t');
        if (at)
            *at++ = 0;
    }
    if (!names_add(&c->index, 0, bytes_text(row.columns[ID]), c->count))
        return err_at(err, mark, "expected each id once, got '%s' again", row.columns[ID]);
    if (c->count == c->max) {
        c->max = c->max ? c->max * 2 : 256;
        c->rows = mem_grow(c->rows, c->max * sizeof *c->rows);
    }
    c->rows[c->count++] = row;
    return true;
}

static bool table_read(struct coverage *c, const char *path, struct err *err)
{
    struct err_mark mark = {path, 0, 1};
    bool header = true;
    for (char *line = file_read(c, path, err); line;) {
        char *end = strchr(line, '\n');
        if (end)
            *end++ = 0;
        mark.line++;
        if (*line && *line != '#' && header)
            header = false;
        else if (*line && *line != '#' && !row_add(c, line, mark, err))
            return false;
        line = end;
    }
    if (err_is_set(err))
        return false;
    c->ids = arena_alloc(&c->arena, (c->count + 1) * sizeof *c->ids);
    for (unsigned i = 0; i < c->count; i++)
        c->ids[i] = c->rows[i].columns[ID];
    return true;
}

// ------------------------------------------------------------------------------------------ users

static bool users_add(struct coverage *c, const struct scenario *scenario, struct err *err)
{
    for (unsigned i = 0; scenario->covers[i]; i++) {
        const char *id = scenario->covers[i];
        uint32_t row;
        if (!names_find(&c->index, 0, bytes_text(id), &row)) {
            const char *near = err_nearest(id, c->ids);
            return err_at(err, scenario->covers_marks[i],
                          "expected the id of a requirement, got '%.60s'%s%s%s", id,
                          near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
        struct requirement *r = &c->rows[row];
        struct user *user = arena_alloc(&c->arena, sizeof *user);
        user->scenario = scenario;
        if (!r->users)
            r->users_end = &r->users;
        *r->users_end = user;
        r->users_end = &user->next;
        r->users_count++;
    }
    return true;
}

// The cells of a matrix cover the same: the first stands for the file.
static bool all_users_add(struct coverage *c, const struct scenario_set *set, struct err *err)
{
    const char *file = NULL;
    for (unsigned i = 0; i < set->count; i++) {
        bool again = file && strcmp(file, set->scenarios[i]->file) == 0;
        file = set->scenarios[i]->file;
        if (!again && !users_add(c, set->scenarios[i], err))
            return false;
    }
    return true;
}

// The id without the cell.
static void user_print(struct text *to, const struct scenario *scenario)
{
    size_t len = strlen(scenario->id), cell = strlen(scenario->cell);
    if (cell && len > cell && scenario->id[len - cell - 1] == '/')
        len -= cell + 1;
    text_add(to, bytes_of(scenario->id, len));
}

static void row_print(struct text *to, const struct requirement *r, bool missing)
{
    if (missing == (r->users_count > 0))
        return;
    text_printf(to, "  %-22s %-15s ", r->columns[ID], r->columns[LEVEL]);
    if (missing)
        text_put(to, r->columns[PARAPHRASE]);
    unsigned shown = 0;
    for (const struct user *u = r->users; u && shown < SHOWN_MAX; u = u->next) {
        text_put(to, shown++ ? ", " : "");
        user_print(to, u->scenario);
    }
    if (r->users_count > SHOWN_MAX)
        text_printf(to, " and %u more", r->users_count - SHOWN_MAX);
    text_put(to, "\n");
}

// The rows of one RFC stand together.
static unsigned rfc_print(struct text *to, const struct coverage *c, unsigned from, bool missing,
                          unsigned *covered)
{
    const char *rfc = c->rows[from].columns[RFC];
    unsigned end = from, hit = 0, musts = 0, musts_hit = 0;
    for (; end < c->count && strcmp(c->rows[end].columns[RFC], rfc) == 0; end++) {
        bool used = c->rows[end].users_count > 0;
        bool must = strncmp(c->rows[end].columns[LEVEL], "MUST", 4) == 0;
        hit += used;
        musts += must;
        musts_hit += must && used;
    }
    text_printf(to, "RFC %s: %u of %u covered, %u of %u MUSTs\n", rfc, hit, end - from, musts_hit,
                musts);
    for (unsigned i = from; i < end; i++)
        row_print(to, &c->rows[i], missing);
    *covered += hit;
    return end;
}

bool coverage_print(struct text *to, const struct scenario_set *set, const char *requirements_path,
                    bool missing, struct err *err)
{
    struct coverage c = {0};
    bool ok = table_read(&c, requirements_path, err) && all_users_add(&c, set, err);
    unsigned covered = 0;
    for (unsigned i = 0; ok && i < c.count;)
        i = rfc_print(to, &c, i, missing, &covered);
    if (ok)
        text_printf(to, "All: %u of %u covered\n", covered, c.count);
    free(c.rows);
    names_free(&c.index);
    arena_free(&c.arena);
    return ok;
}
