#include "scenarios/runner/cli/cli.h"

#include <stdio.h>
#include <string.h>

#define OPTIONS_MAX 32

struct parser {
    const struct cli_command *command;
    int argc;
    char **argv;
    int at; // the word being read
    struct err err;
};

static int option_left(const struct cli_option *o, char *to, size_t max)
{
    return snprintf(to, max, "%c%c%s--%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
                    o->letter ? ", " : "  ", o->name, o->value ? " " : "",
                    o->value ? o->value : "");
}

static void print_help(const struct cli_command *command)
{
    char left[64];
    int width = 0;
    for (const struct cli_option *o = command->options; o && o->name; o++) {
        int len = option_left(o, left, sizeof left);
        width = len > width ? len : width;
    }
    printf("simrtc %s\n\n%s\n\n", command->usage, command->about);
    for (const struct cli_option *o = command->options; o && o->name; o++) {
        option_left(o, left, sizeof left);
        printf("  %-*s  %s\n", width, left, o->about);
    }
    printf("  %-*s  %s\n", width, "-h, --help", "this text");
}

// The command's own name, as its usage begins.
static int name_len(const struct cli_command *command)
{
    return (int)strcspn(command->usage, " ");
}

static bool unknown(struct parser *p, const char *name, size_t len)
{
    const char *words[OPTIONS_MAX + 2];
    char got[64];
    unsigned count = 0;
    for (const struct cli_option *o = p->command->options; o && o->name && count < OPTIONS_MAX; o++)
        words[count++] = o->name;
    words[count++] = "help";
    words[count] = NULL;
    bytes_copy_text(bytes_of(name, len), got, sizeof got);
    const char *nearest = err_nearest(got, words);
    if (nearest)
        return err_set(&p->err, "unknown option --%s, did you mean --%s?", got, nearest);
    return err_set(&p->err, "unknown option --%s, see simrtc %.*s --help", got,
                   name_len(p->command), p->command->usage);
}

static bool set_value(struct parser *p, const struct cli_option *option, const char *value)
{
    switch (option->kind) {
    case CLI_FLAG:
    case CLI_OFF:
        if (value)
            return err_set(&p->err, "--%s takes no value", option->name);
        *(bool *)option->to = option->kind == CLI_FLAG;
        return true;
    case CLI_TEXT:
    case CLI_TEXTS:
    case CLI_NUMBER:
        break;
    }
    if (!value && p->at + 1 < p->argc)
        value = p->argv[++p->at];
    if (!value)
        return err_set(&p->err, "--%s needs a value: --%s %s", option->name, option->name,
                       option->value);
    if (option->kind == CLI_TEXT) {
        *(const char **)option->to = value;
        return true;
    }
    if (option->kind == CLI_TEXTS) {
        struct cli_texts *texts = option->to;
        if (texts->count == CLI_TEXTS_MAX)
            return err_set(&p->err, "--%s: no more than %d of them", option->name, CLI_TEXTS_MAX);
        texts->at[texts->count++] = value;
        return true;
    }
    uint64_t number;
    if (!bytes_parse_u64(bytes_text(value), UINT64_MAX, &number) || number == 0)
        return err_set(&p->err, "--%s: expected a whole number from 1, got '%.60s'", option->name,
                       value);
    *(uint64_t *)option->to = number;
    return true;
}

static bool read_long(struct parser *p, const char *word)
{
    size_t len = strcspn(word, "=");
    const char *value = word[len] ? word + len + 1 : NULL;
    for (const struct cli_option *o = p->command->options; o && o->name; o++) {
        if (bytes_is(bytes_of(word, len), o->name))
            return set_value(p, o, value);
    }
    return unknown(p, word, len);
}

static bool read_short(struct parser *p, const char *word)
{
    for (const struct cli_option *o = p->command->options; o && o->name; o++) {
        if (o->letter && word[0] == o->letter && (word[1] == 0 || o->value))
            return set_value(p, o, word[1] ? word + 1 : NULL); // -j 2 and -j2
    }
    return err_set(&p->err, "unknown option -%.60s, see simrtc %.*s --help", word,
                   name_len(p->command), p->command->usage);
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    }
    return false;
}

static bool read_all(struct parser *p, unsigned *words)
{
    bool only_words = false;
    *words = 0;
    for (p->at = 1; p->at < p->argc; p->at++) {
        char *word = p->argv[p->at];
        if (only_words || word[0] != '-' || word[1] == 0)
            p->argv[1 + (*words)++] = word;
        else if (strcmp(word, "--") == 0)
            only_words = true;
        else if (!(word[1] == '-' ? read_long(p, word + 2) : read_short(p, word + 1)))
            return false;
    }
    if (*words < p->command->words_min)
        return err_set(&p->err, "something is missing: simrtc %s", p->command->usage);
    if (*words > p->command->words_max)
        return err_set(&p->err, "'%.200s' is one word too many: simrtc %s",
                       p->argv[1 + p->command->words_max], p->command->usage);
    return true;
}

bool cli_parse(const struct cli_command *command, int argc, char **argv, unsigned *words, int *code)
{
    struct parser p = {.command = command, .argc = argc, .argv = argv};
    if (asks_for_help(argc, argv)) {
        print_help(command);
        *code = cli_print(&(struct text){0}) ? CLI_PASSED : CLI_CANNOT;
        return false;
    }
    if (read_all(&p, words))
        return true;
    fprintf(stderr, "simrtc: %s\n", p.err.text);
    *code = CLI_CANNOT;
    return false;
}
