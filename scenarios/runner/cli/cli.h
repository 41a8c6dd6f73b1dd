// The command line: one function for each command, and how they read their words.
//
// Exit codes are the same for all commands: see enum cli_exit. What the user got wrong is one line
// on stderr, with the nearest valid word.
#ifndef SCENARIOS_CLI_H
#define SCENARIOS_CLI_H

#include "base/err.h"
#include "base/text.h"
#include "scenarios/runner/load/scenario.h"

enum cli_exit {
    CLI_PASSED = 0,
    CLI_FAILED = 1,        // a run failed
    CLI_CANNOT = 2,        // a bad file or flag, a full disk: nothing was decided
    CLI_UNSUPPORTED = 127, // nothing failed, but this machine lacks something that a run needs
    CLI_INTERRUPTED = 130,
};

int cli_run(int argc, char **argv);
int cli_live(int argc, char **argv);
int cli_peer(int argc, char **argv); // not for people: what a live run starts
int cli_adapter_check(int argc, char **argv);
int cli_explain(int argc, char **argv);
int cli_metrics(int argc, char **argv);
int cli_coverage(int argc, char **argv);
int cli_clip(int argc, char **argv);
int cli_stun(int argc, char **argv);
int cli_turn_server(int argc, char **argv);
int cli_turn_client(int argc, char **argv);

// `simrtc run`, or with `real` (live_run.h; it takes the options) `simrtc live`.
struct live_options;
int cli_run_in(int argc, char **argv, struct live_options *real);
// The same for what is loaded already.
int cli_run_loaded(struct scenario_set *set, struct live_options *real, const char *out,
                   const char *program);

// ------------------------------------------------------------------------------------- options

enum cli_kind {
    CLI_FLAG,   // bool: given or not
    CLI_OFF,    // bool: set to false
    CLI_TEXT,   // const char *
    CLI_TEXTS,  // struct cli_texts: may be given again and again
    CLI_NUMBER, // uint64_t, from 1
};
#define CLI_TEXTS_MAX 64
struct cli_texts {
    const char *at[CLI_TEXTS_MAX];
    unsigned count;
};
struct cli_option {
    const char *name; // without "--"; NULL ends a list
    char letter;      // 0: none
    enum cli_kind kind;
    const char *value; // what the help calls the value; NULL: it takes none
    void *to;
    const char *about;
};

struct cli_command {
    const char *usage; // "run FILE|DIR... [options]"
    const char *about;
    const struct cli_option *options;
    unsigned words_min, words_max; // how many words that are no options
};

// Read argv[1...]: options where they point to, words to the front of argv + 1, their number to
// `words`. False: the command is over, with `*code` (help was asked for, or something is wrong).
bool cli_parse(const struct cli_command *command, int argc, char **argv, unsigned *words,
               int *code);

// --------------------------------------------------------------------------------------- files

// Load all files and folders, all of them also after an error; each error is a line on stderr.
bool cli_load(struct scenario_set *set, char **paths, unsigned count);
// Keep those that `filter` fits: the whole id or cell of one, else a part of an id, name or cell.
void cli_filter(struct scenario_set *set, const char *filter);

// Write and free, control characters as blanks. False: stdout is gone.
bool cli_print(struct text *text);

#endif
