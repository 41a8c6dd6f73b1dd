#include "scenarios/runner/load/scenario.h"

#include "reports/stats.h"
#include "scenarios/runner/load/expect.h"
#include "scenarios/runner/load/load_priv.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

// -------------------------------------------------------------------------------------- the whole

struct file_nodes {
    struct scenario scenario;
    const struct yaml_node *covers, *resources, *network, *servers, *peers, *session, *sessions;
    const struct yaml_node *timeline, *expect, *stacks, *matrix, *matrix_except;
};
#define AT(member) offsetof(struct file_nodes, member)
static const struct field file_fields[] = {
    {"name", FIELD_TEXT, AT(scenario.name), 0, 500, NULL},
    {"about", FIELD_TEXT, AT(scenario.about), 0, 0, NULL},
    {"covers", FIELD_NODE, AT(covers), 0, 0, NULL},
    {"seed", FIELD_U64, AT(scenario.seed), 1, 0, NULL},
    {"limit", FIELD_TIME, AT(scenario.limit), TIME_MS, 0, NULL},
    {"stats", FIELD_TIME, AT(scenario.stats_interval), STATS_INTERVAL_MIN, 0, NULL},
    {"resources", FIELD_NODE, AT(resources), 0, 0, NULL},
    {"network", FIELD_NODE, AT(network), 0, 0, NULL},
    {"servers", FIELD_NODE, AT(servers), 0, 0, NULL},
    {"peers", FIELD_NODE, AT(peers), 0, 0, NULL},
    {"session", FIELD_NODE, AT(session), 0, 0, NULL},
    {"sessions", FIELD_NODE, AT(sessions), 0, 0, NULL},
    {"timeline", FIELD_NODE, AT(timeline), 0, 0, NULL},
    {"expect", FIELD_NODE, AT(expect), 0, 0, NULL},
    {"stacks", FIELD_NODE, AT(stacks), 0, 0, NULL},
    {"matrix", FIELD_NODE, AT(matrix), 0, 0, NULL},
    {"matrix-except", FIELD_NODE, AT(matrix_except), 0, 0, NULL},
    {0},
};
#undef AT

#define AT(member) offsetof(struct scenario, member)
static const struct field resource_fields[] = {
    {"cpu", FIELD_TIME, AT(cpu_limit), TIME_MS, 0, NULL},
    {"memory", FIELD_SIZE_U64, AT(memory_limit), 1u << 20, (uint64_t)1 << 40, NULL},
    {"wall", FIELD_TIME, AT(wall_limit), TIME_MS, 0, NULL},
    {0},
};
#undef AT

struct network_nodes {
    const struct yaml_node *wan, *lans;
};
static const struct field network_fields[] = {
    {"wan", FIELD_NODE, offsetof(struct network_nodes, wan), 0, 0, NULL},
    {"lans", FIELD_NODE, offsetof(struct network_nodes, lans), 0, 0, NULL},
    {0},
};

static bool covers_load(struct load *load, const struct yaml_node *node)
{
    unsigned count = node ? node->count : 0;
    if (node && !load_is_list(load, node, "a list of requirement ids", 1000))
        return false;
    const char **covers = arena_alloc(load->arena, (count + 1) * sizeof *covers);
    struct err_mark *marks = arena_alloc(load->arena, (count + 1) * sizeof *marks);
    for (unsigned i = 0; i < count; i++) {
        const struct yaml_node *item = node->items[i];
        if (item->kind != YAML_SCALAR || item->text.len == 0)
            return load_expected(load, item, "the id of a requirement");
        covers[i] = load_text(load, item->text);
        marks[i] = item->mark;
    }
    load->scenario->covers = covers;
    load->scenario->covers_marks = marks;
    return true;
}

static bool expects_load(struct load *load, const struct yaml_node *node)
{
    if (!load_is_list(load, node, "a list of expectations", SCENARIO_EXPECTS_MAX))
        return false;
    struct scenario_expect *expects = arena_alloc(load->arena, node->count * sizeof *expects);
    for (unsigned i = 0; i < node->count; i++) {
        const struct yaml_node *item = node->items[i];
        if (item->kind != YAML_SCALAR || item->text.len == 0)
            return load_expected(load, item, "an expectation");
        expects[i] = (struct scenario_expect){load_text(load, item->text), item->mark};
    }
    load->scenario->expects = expects;
    load->scenario->expects_count = node->count;
    return true;
}

// Only to find what is wrong with them; a run parses its own.
static bool expects_check(struct load *load)
{
    struct arena arena = {0};
    bool ok = true;
    for (unsigned i = 0; i < load->scenario->expects_count && ok; i++)
        ok = expect_parse(&arena, load->scenario, &load->scenario->expects[i], load->err) != NULL;
    arena_free(&arena);
    return ok;
}

static bool world_load(struct load *load, const struct yaml_node *root,
                       const struct file_nodes *nodes)
{
    struct network_nodes network = {0};
    if (nodes->network &&
        !load_fields(load, nodes->network, "network", network_fields, &network, NULL))
        return false;
    load->lans_node = network.lans;
    load->servers_node = nodes->servers;
    load->peers_node = nodes->peers;
    if (!nodes->peers)
        return err_at(load->err, root->mark, "expected 'peers', got none");
    if ((network.lans &&
         !load_collect(load, network.lans, NAMED_LAN, "a mapping of LANs", SCENARIO_LANS_MAX)) ||
        (nodes->servers && !load_collect(load, nodes->servers, NAMED_SERVER, "a mapping of servers",
                                         SCENARIO_SERVERS_MAX)) ||
        !load_collect(load, nodes->peers, NAMED_PEER, "a mapping of peers", SCENARIO_PEERS_MAX))
        return false;
    if (nodes->peers->count < 2)
        return err_at(load->err, nodes->peers->mark, "expected at least 2 peers, got %u",
                      nodes->peers->count);
    return load_network(load, network.wan) && load_servers(load) && load_peers(load) &&
           load_addresses(load);
}

static bool file_load(struct load *load, const struct yaml_node *root)
{
    struct scenario *scenario = load->scenario;
    struct file_nodes nodes = {.scenario = *scenario};
    if (root->kind != YAML_MAPPING)
        return load_expected(load, root, "a mapping with 'name', 'peers' and more");
    if (!load_fields(load, root, "a scenario", file_fields, &nodes, NULL))
        return false;
    if (!nodes.scenario.name)
        return err_at(load->err, root->mark, "expected 'name', got none");
    *scenario = nodes.scenario;
    if (nodes.resources &&
        !load_fields(load, nodes.resources, "resources", resource_fields, scenario, NULL))
        return false;
    return covers_load(load, nodes.covers) && world_load(load, root, &nodes) &&
           load_sessions(load, nodes.session, nodes.sessions) &&
           (!nodes.timeline || load_timeline(load, nodes.timeline)) &&
           (!nodes.expect || expects_load(load, nodes.expect)) && expects_check(load);
}

// ---------------------------------------------------------------------------------------------- id

// What comes after the last "scenarios/" of the path, or its last part, without ".yaml".
static struct bytes id_base(const char *path)
{
    static const char folder[] = "scenarios/";
    const char *start = strrchr(path, '/');
    start = start ? start + 1 : path;
    for (const char *at = path; (at = strstr(at, folder)); at++) {
        if (at == path || at[-1] == '/')
            start = at + sizeof folder - 1;
    }
    size_t len = strlen(start);
    if (len > 5 && strcmp(start + len - 5, ".yaml") == 0)
        len -= 5;
    return bytes_of(start, len);
}

static bool id_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-_+,%=/", c));
}

// Fit for a file's name, and unlike every other id of the set. Of a cell of very many words the
// first ones stand in it: a name has 255 bytes at most, and some are for the number and what is
// written.
#define ID_CELL_MAX 200

static const char *id_make(struct scenario_set *set, const struct load_cell *cell)
{
    struct bytes base = id_base(cell->file);
    char *id = arena_printf(&set->arena, "%.*s%s%.*s", (int)base.len, (const char *)base.at,
                            cell->cell[0] ? "/" : "", ID_CELL_MAX, cell->cell);
    for (char *c = id; *c; c++) {
        bool point = *c == '.' && c > id && c[-1] != '/' && c[-1] != '.';
        bool slash_in_cell = *c == '/' && (size_t)(c - id) > base.len;
        if ((!id_character(*c) && !point) || slash_in_cell)
            *c = '-';
    }
    const char *unique = id;
    // The number tried last is kept by the set, so that many clashes cost no more than few.
    uint32_t *number = NULL;
    uint32_t slot;
    if (names_find(set->ids, 1, bytes_text(id), &slot))
        number = (uint32_t *)(void *)set->id_numbers.at + slot;
    else {
        uint32_t first = 1;
        (void)names_add(set->ids, 1, bytes_text(id),
                        (uint32_t)(set->id_numbers.len / sizeof first));
        text_add(&set->id_numbers, bytes_of(&first, sizeof first));
    }
    while (!names_add(set->ids, 0, bytes_text(unique), 0))
        unique = arena_printf(&set->arena, "%s-%u", id, number ? ++*number : 2);
    return unique;
}

// --------------------------------------------------------------------------------------------- set

static void set_add(struct scenario_set *set, const struct scenario *scenario)
{
    if (set->count == set->max) {
        set->max = set->max ? set->max * 2 : 64;
        set->scenarios = mem_grow(set->scenarios, set->max * sizeof(struct scenario *));
    }
    set->scenarios[set->count++] = scenario;
}

bool load_scenario(struct scenario_set *set, const struct yaml_node *root,
                   const struct load_cell *cell, struct err *err)
{
    struct scenario *scenario = arena_alloc(&set->arena, sizeof *scenario);
    *scenario = (struct scenario){.file = cell->file,
                                  .about = "",
                                  .cell = cell->cell,
                                  .pair = {cell->pair[0], cell->pair[1]},
                                  .limits = cell->limits,
                                  .limits_count = cell->limits_count,
                                  .seed = 1,
                                  .limit = 60 * TIME_S,
                                  .cpu_limit = 60 * TIME_S,
                                  .wall_limit = 120 * TIME_S,
                                  .memory_limit = (uint64_t)1 << 30,
                                  .outcome_override = cell->outcome,
                                  .outcome_reason = cell->reason};
    struct load load = {.arena = &set->arena, .err = err, .set = set, .scenario = scenario};
    bool ok = file_load(&load, root);
    names_free(&load.names);
    names_free(&load.labels);
    names_free(&load.tracks);
    names_free(&load.used);
    names_free(&load.in_session);
    if (!ok)
        return false;
    scenario->id = id_make(set, cell);
    set_add(set, scenario);
    return true;
}

bool scenario_load_text(struct scenario_set *set, const char *path, struct bytes text,
                        struct err *err)
{
    if (!set->ids)
        set->ids = mem_zero(1, sizeof *set->ids);
    const char *file = arena_text(&set->arena, path);
    const struct yaml_node *root = yaml_parse(&set->arena, file, text, err);
    return root && load_matrix(set, root, file, err);
}

void scenario_set_free(struct scenario_set *set)
{
    for (struct scenario_clip *at = set->clips; at; at = at->next)
        clip_free(at->clip);
    if (set->ids)
        names_free(set->ids);
    free(set->ids);
    free(set->scenarios);
    text_free(&set->id_numbers);
    arena_free(&set->arena);
    *set = (struct scenario_set){0};
}

// ------------------------------------------------------------------------------------------- files

bool scenario_load(struct scenario_set *set, const char *path, struct err *err)
{
    FILE *file = fopen(path, "rb");
    struct stat stat;
    if (!file)
        return err_set(err, "%s: %s", path, strerror(errno));
    if (fstat(fileno(file), &stat) == 0 && S_ISDIR(stat.st_mode)) {
        fclose(file);
        return err_set(err, "%s: %s", path, strerror(EISDIR));
    }
    // One byte more than fits shows that there is more.
    uint8_t *text = mem_alloc(SCENARIO_FILE_MAX + 1);
    size_t len = fread(text, 1, SCENARIO_FILE_MAX + 1, file);
    bool failed = ferror(file);
    int why = errno;
    fclose(file);
    bool ok = failed ? err_set(err, "%s: %s", path, strerror(why))
                     : scenario_load_text(set, path, bytes_of(text, len), err);
    free(text);
    return ok;
}

struct paths {
    char **at; // owned
    size_t count, max;
};

static void paths_add(struct paths *paths, char *path)
{
    if (paths->count == paths->max) {
        paths->max = paths->max ? paths->max * 2 : 64;
        paths->at = mem_grow(paths->at, paths->max * sizeof *paths->at);
    }
    paths->at[paths->count++] = path;
}

static void paths_free(struct paths *paths)
{
    for (size_t i = 0; i < paths->count; i++)
        free(paths->at[i]);
    free(paths->at);
}

static char *path_join(const char *folder, const char *name)
{
    size_t folder_len = strlen(folder);
    while (folder_len > 1 && folder[folder_len - 1] == '/')
        folder_len--;
    size_t max = folder_len + strlen(name) + 2;
    char *path = mem_alloc(max);
    snprintf(path, max, "%.*s/%s", (int)folder_len, folder, name);
    return path;
}

static int path_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// One folder's entries. Symbolic links to folders are not followed, so there are no circles.
static bool folder_read(const char *path, struct paths *folders, struct paths *files,
                        struct err *err)
{
    DIR *dir = opendir(path);
    if (!dir)
        return err_set(err, "%s: %s", path, strerror(errno));
    bool ok = true;
    for (struct dirent *entry; ok && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        char *below = path_join(path, entry->d_name);
        struct stat stat;
        size_t len = strlen(below);
        if (lstat(below, &stat) != 0)
            ok = err_set(err, "%s: %s", below, strerror(errno));
        else if (S_ISDIR(stat.st_mode)) {
            paths_add(folders, below);
            continue;
        } else if (len > 5 && strcmp(below + len - 5, ".yaml") == 0) {
            paths_add(files, below);
            continue;
        }
        free(below);
    }
    closedir(dir);
    return ok;
}

static bool folder_load(struct scenario_set *set, const char *path, struct err *err)
{
    struct paths folders = {0}, files = {0};
    paths_add(&folders, path_join(path, ""));
    folders.at[0][strlen(folders.at[0]) - 1] = 0; // its last slash
    bool ok = true;
    for (size_t i = 0; i < folders.count && ok; i++)
        ok = folder_read(folders.at[i], &folders, &files, err);
    if (ok && files.count == 0)
        ok = err_set(err, "%s: expected files that end in .yaml, got none", path);
    if (files.count)
        qsort(files.at, files.count, sizeof *files.at, path_compare);
    for (size_t i = 0; i < files.count && ok; i++)
        ok = scenario_load(set, files.at[i], err);
    paths_free(&folders);
    paths_free(&files);
    return ok;
}

bool scenario_load_path(struct scenario_set *set, const char *path, struct err *err)
{
    struct stat at;
    if (stat(path, &at) != 0)
        return err_set(err, "%s: %s", path, strerror(errno));
    return S_ISDIR(at.st_mode) ? folder_load(set, path, err) : scenario_load(set, path, err);
}

bool scenario_is_live(const struct scenario *scenario)
{
    bool live = false;
    for (unsigned i = 0; i < scenario->peers_count; i++)
        live |= scenario->peers[i].kind == SCENARIO_ADAPTER;
    for (unsigned i = 0; i < scenario->servers_count; i++)
        live |= scenario->servers[i].coturn;
    return live;
}
