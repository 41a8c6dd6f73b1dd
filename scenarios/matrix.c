#include "scenarios/load_priv.h"

bool load_matrix(struct scenario_set *set, const struct yaml_node *root, const char *file,
                 struct err *err)
{
    struct load_cell cell = {file, "", OUTCOME_COMPUTED, NULL};
    return load_scenario(set, root, &cell, err);
}
