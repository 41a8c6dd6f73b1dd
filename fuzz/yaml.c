// Any bytes as a scenario file: it loads, or one line says what is wrong, with a place that the
// file has. The same bytes give the same outcome, and nothing stays behind.
#include "fuzz/fuzz.h"
#include "scenarios/runner/run/oracle.h"
#include "scenarios/runner/load/scenario.h"

// libFuzzer: -max_len=4096

#define NAME "f.yaml"

// What may be taken for granted of a scenario that was loaded.
static void check_scenario(const struct scenario *s)
{
    assert(s->name && s->id && s->cell && s->limit > 0);
    for (unsigned i = 0; i < s->lans_count; i++)
        assert(s->lans[i].name && s->lans[i].behind < (int)s->lans_count &&
               s->lans[i].behind != (int)i);
    for (unsigned i = 0; i < s->peers_count; i++) {
        assert(s->peers[i].name && s->peers[i].interfaces >= 1);
        for (unsigned k = 0; k < s->peers[i].servers_count; k++)
            assert(s->peers[i].servers[k] < s->servers_count);
    }
    for (unsigned i = 0; i < s->sessions_count; i++) {
        const struct scenario_session *session = &s->sessions[i];
        assert(session->offerer < s->peers_count && session->answerer < s->peers_count);
        assert(session->offerer != session->answerer);
    }
    for (unsigned i = 1; i < s->actions_count; i++)
        assert(s->actions[i - 1].at <= s->actions[i].at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of(data, size);
    char first[ERR_TEXT_MAX] = "";
    bool loaded[2];
    for (int round = 0; round < 2; round++) {
        struct scenario_set set = {0};
        struct err err = {0};
        loaded[round] = scenario_load_text(&set, NAME, text, &err);
        assert(loaded[round] == !err_is_set(&err));
        if (!loaded[round] && !fuzz_is_placed(&err, NAME, text)) {
            fprintf(stderr, "no place in the file: %s\n", err.text);
            abort();
        }
        if (round == 0)
            memcpy(first, err.text, sizeof first);
        else
            assert(strcmp(first, err.text) == 0 && loaded[0] == loaded[1]);
        for (unsigned i = 0; loaded[round] && i < set.count; i++)
            check_scenario(set.scenarios[i]);
        scenario_set_free(&set);
    }
    return 0;
}
