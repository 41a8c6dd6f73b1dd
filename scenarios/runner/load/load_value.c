#include "scenarios/runner/load/load_priv.h"

#include <inttypes.h>

// -------------------------------------------------------------------------------------- complaints

bool load_expected(struct load *load, const struct yaml_node *node, const char *what)
{
    return err_at(load->err, node->mark, "expected %s, got %s", what,
                  yaml_describe(load->arena, node));
}

bool load_expected_word(struct load *load, const struct yaml_node *node, const char *what,
                        const char *const *words)
{
    const char *near = NULL;
    if (node->kind == YAML_SCALAR)
        near = err_nearest((const char *)node->text.at, words);
    if (!near)
        return load_expected(load, node, what);
    return err_at(load->err, node->mark, "expected %s, got %s: did you mean '%s'?", what,
                  yaml_describe(load->arena, node), near);
}

bool load_is_list(struct load *load, const struct yaml_node *node, const char *what, unsigned max)
{
    if (node->kind != YAML_SEQUENCE && !yaml_is_nothing(node))
        return load_expected(load, node, what);
    if (node->count > max)
        return err_at(load->err, node->mark, "expected %s of at most %u, got %u", what, max,
                      node->count);
    return true;
}

bool load_is_mapping(struct load *load, const struct yaml_node *node, const char *what,
                     unsigned max)
{
    if (node->kind != YAML_MAPPING && !yaml_is_nothing(node))
        return load_expected(load, node, what);
    if (node->count > max)
        return err_at(load->err, node->mark, "expected %s of at most %u, got %u", what, max,
                      node->count);
    return true;
}

int load_word_find(struct bytes word, const char *const *words)
{
    for (int i = 0; words[i]; i++) {
        if (bytes_is(word, words[i]))
            return i;
    }
    return -1;
}

const char *load_text(struct load *load, struct bytes text)
{
    char *copy = arena_alloc(load->arena, text.len + 1);
    if (text.len)
        memcpy(copy, text.at, text.len);
    return copy;
}

// ----------------------------------------------------------------------------------------- numbers

#define DECIMALS_MAX 9

// What follows the point, times `unit`, exactly. False: no digits, or finer than one.
static bool decimals(struct bytes digits, uint64_t unit, uint64_t *out)
{
    uint64_t number = 0, one = 1;
    if (digits.len == 0)
        return false;
    while (digits.len > 0 && digits.at[digits.len - 1] == '0')
        digits.len--;
    *out = 0;
    if (digits.len == 0)
        return true;
    if (digits.len > DECIMALS_MAX || !bytes_parse_u64(digits, UINT64_MAX, &number))
        return false;
    for (size_t i = 0; i < digits.len; i++)
        one *= 10;
    *out = number * unit / one; // below 10^9 times a unit: far from the end of 64 bits
    return number * unit % one == 0;
}

// A decimal number times `unit`, at most 2^30, exactly: "0.5" times 10^7. False: no number, or not
// a whole one.
bool load_decimal(struct bytes text, uint64_t unit, uint64_t max, uint64_t *out)
{
    size_t point = 0;
    while (point < text.len && text.at[point] != '.')
        point++;
    uint64_t whole, part = 0;
    if (!bytes_parse_u64((struct bytes){text.at, point}, UINT64_MAX / unit, &whole))
        return false;
    if (point < text.len && !decimals(bytes_from(text, point + 1), unit, &part))
        return false;
    if (part > UINT64_MAX - whole * unit)
        return false;
    *out = whole * unit + part;
    return *out <= max;
}

struct unit {
    const char *name;
    uint64_t factor;
};
static const struct unit sizes[] = {{"GiB", 1u << 30}, {"MiB", 1u << 20}, {"KiB", 1u << 10},
                                    {"B", 1},          {"", 1},           {NULL, 0}};
static const struct unit rates[] = {
    {"Gbps", 1000000000}, {"Mbps", 1000000}, {"kbps", 1000}, {"bps", 1}, {NULL, 0}};
static const struct unit percents[] = {{"%", RNG_BILLION / 100}, {NULL, 0}};

static bool unit_parse(struct bytes text, const struct unit *units, uint64_t max, uint64_t *out)
{
    for (; units->name; units++) {
        size_t len = strlen(units->name);
        if (text.len < len || memcmp(text.at + text.len - len, units->name, len) != 0)
            continue;
        return load_decimal((struct bytes){text.at, text.len - len}, units->factor, max, out);
    }
    return false;
}

// ------------------------------------------------------------------------------------------ values

static uint64_t kind_max(const struct field *field)
{
    if (field->max)
        return field->max;
    switch (field->kind) {
    case FIELD_U16:
        return UINT16_MAX;
    case FIELD_U32:
    case FIELD_UNSIGNED:
    case FIELD_SECONDS:
    case FIELD_SIZE:
        return UINT32_MAX;
    case FIELD_TIME:
        return (uint64_t)(24 * 3600 * TIME_S);
    case FIELD_PERCENT:
        return RNG_BILLION;
    case FIELD_RATE:
        return 1000000000000u;
    case FIELD_U64:
    case FIELD_SIZE_U64:
    case FIELD_SIZE_T:
        return UINT64_MAX;
    case FIELD_NODE:
    case FIELD_BOOL:
    case FIELD_NOT:
    case FIELD_TEXT:
    case FIELD_BYTES:
    case FIELD_WORD:
    case FIELD_IP:
    case FIELD_PREFIX:
        break;
    }
    return 0;
}

// "a time from 1s to 2min", "a number from 1 to 65535"
static const char *rate_print(struct load *load, uint64_t rate)
{
    static const char *const units[] = {"bps", "kbps", "Mbps", "Gbps"};
    unsigned unit = 0;
    for (; unit < 3 && rate >= 1000 && rate % 1000 == 0; unit++)
        rate /= 1000;
    return arena_printf(load->arena, "%" PRIu64 "%s", rate, units[unit]);
}

static const char *number_what(struct load *load, const struct field *field)
{
    uint64_t max = kind_max(field);
    char low[TIME_TEXT_MAX], high[TIME_TEXT_MAX];
    switch (field->kind) {
    case FIELD_TIME:
        return arena_printf(load->arena, "a time with its unit, such as 25ms, from %s to %s",
                            time_print((nanotime)field->min, low), time_print((nanotime)max, high));
    case FIELD_SECONDS:
        return arena_printf(load->arena,
                            "whole seconds, such as 60s, from %" PRIu64 "s to %" PRIu64 "s",
                            field->min, max);
    case FIELD_PERCENT:
        return "a percentage, such as 0.5%, from 0% to 100%";
    case FIELD_RATE:
        return arena_printf(load->arena, "a rate, such as 10Mbps, from %s to %s",
                            rate_print(load, field->min ? field->min : 1), rate_print(load, max));
    case FIELD_SIZE:
    case FIELD_SIZE_U64:
    case FIELD_SIZE_T:
        return arena_printf(load->arena, "a size, such as 64KiB, from %" PRIu64 " to %" PRIu64,
                            field->min, max);
    default: // the plain numbers
        return arena_printf(load->arena, "a number from %" PRIu64 " to %" PRIu64, field->min, max);
    }
}

static bool number_parse(const struct field *field, struct bytes text, uint64_t *out)
{
    uint64_t max = kind_max(field);
    nanotime time;
    switch (field->kind) {
    case FIELD_TIME:
    case FIELD_SECONDS:
        if (!time_parse(text, &time) || (field->kind == FIELD_SECONDS && time % TIME_S != 0))
            return false;
        *out = (uint64_t)(field->kind == FIELD_SECONDS ? time / TIME_S : time);
        return *out >= field->min && *out <= max;
    case FIELD_PERCENT:
        return unit_parse(text, percents, max, out);
    case FIELD_RATE:
        return unit_parse(text, rates, max, out) && *out >= (field->min ? field->min : 1);
    case FIELD_SIZE:
    case FIELD_SIZE_U64:
    case FIELD_SIZE_T:
        return unit_parse(text, sizes, max, out) && *out >= field->min;
    default: // the plain numbers
        return bytes_parse_u64(text, max, out) && *out >= field->min;
    }
}

static bool number_load(struct load *load, const struct yaml_node *node, const struct field *field,
                        void *to)
{
    uint64_t value = 0;
    if (node->kind != YAML_SCALAR || !number_parse(field, node->text, &value))
        return load_expected(load, node, number_what(load, field));
    if (field->kind == FIELD_U16)
        *(uint16_t *)to = (uint16_t)value;
    else if (field->kind == FIELD_TIME)
        *(nanotime *)to = (nanotime)value;
    else if (field->kind == FIELD_UNSIGNED)
        *(unsigned *)to = (unsigned)value;
    else if (field->kind == FIELD_SIZE_T)
        *(size_t *)to = (size_t)value;
    else if (field->kind == FIELD_U64 || field->kind == FIELD_RATE || field->kind == FIELD_SIZE_U64)
        *(uint64_t *)to = value;
    else
        *(uint32_t *)to = (uint32_t)value;
    return true;
}

static bool bool_load(struct load *load, const struct yaml_node *node, bool not, bool *to)
{
    static const char *const words[] = {"false", "true", NULL};
    // `relay-only:` and nothing more is not taken for true: it may be a line cut short.
    int got = node->kind == YAML_SCALAR ? load_word_find(node->text, words) : -1;
    if (got < 0)
        return load_expected_word(load, node, "true or false", words);
    *to = (got == 1) != not ;
    return true;
}

static bool text_load(struct load *load, const struct yaml_node *node, const struct field *field,
                      void *to)
{
    if (node->kind != YAML_SCALAR || (field->kind == FIELD_TEXT && node->text.len == 0))
        return load_expected(load, node, "text");
    if (field->max && node->text.len > field->max)
        return err_at(load->err, node->mark, "expected text of at most %" PRIu64 " bytes, got %zu",
                      field->max, node->text.len);
    const char *text = load_text(load, node->text);
    if (field->kind == FIELD_TEXT)
        *(const char **)to = text;
    else
        *(struct bytes *)to = bytes_of(text, node->text.len);
    return true;
}

static bool word_load(struct load *load, const struct yaml_node *node, const struct field *field,
                      void *to)
{
    int got = node->kind == YAML_SCALAR ? load_word_find(node->text, field->words) : -1;
    if (got < 0) {
        struct text what = {0};
        for (unsigned i = 0; field->words[i]; i++)
            text_printf(&what, "%s%s",
                        i == 0                ? ""
                        : field->words[i + 1] ? ", "
                                              : " or ",
                        field->words[i]);
        load_expected_word(load, node, what.at, field->words);
        text_free(&what);
        return false;
    }
    *(unsigned *)to =
        (unsigned)got; // C17 6.7.2.2: every enum here fits, and gcc and clang use this
    return true;
}

static bool address_load(struct load *load, const struct yaml_node *node, const struct field *field,
                         void *to)
{
    bool scalar = node->kind == YAML_SCALAR;
    struct ip_prefix prefix;
    struct ip ip;
    if (field->kind == FIELD_IP) {
        if (!scalar || !ip_parse(node->text, &ip) || ip.family != IP_V4)
            return load_expected(load, node, "an IPv4 address");
        *(struct ip *)to = ip;
        return true;
    }
    if (!scalar || !ip_prefix_parse(node->text, &prefix) || prefix.ip.family != IP_V4)
        return load_expected(load, node, "an IPv4 prefix, such as 192.168.1.0/24");
    *(struct ip_prefix *)to = prefix;
    return true;
}

bool load_value(struct load *load, const struct yaml_node *node, const struct field *field,
                void *target)
{
    void *to = (char *)target + field->offset;
    switch (field->kind) {
    case FIELD_NODE:
        *(const struct yaml_node **)to = node;
        return true;
    case FIELD_BOOL:
    case FIELD_NOT:
        return bool_load(load, node, field->kind == FIELD_NOT, to);
    case FIELD_TEXT:
    case FIELD_BYTES:
        return text_load(load, node, field, to);
    case FIELD_WORD:
        return word_load(load, node, field, to);
    case FIELD_IP:
    case FIELD_PREFIX:
        return address_load(load, node, field, to);
    case FIELD_U16:
    case FIELD_U32:
    case FIELD_UNSIGNED:
    case FIELD_U64:
    case FIELD_TIME:
    case FIELD_SECONDS:
    case FIELD_PERCENT:
    case FIELD_SIZE:
    case FIELD_SIZE_U64:
    case FIELD_SIZE_T:
    case FIELD_RATE:
        break;
    }
    return number_load(load, node, field, to);
}

bool load_moment(struct load *load, const struct yaml_node *node, nanotime at)
{
    char limit[TIME_TEXT_MAX];
    if (at <= load->scenario->limit)
        return true;
    return load_expected(load, node,
                         arena_printf(load->arena, "a time within the limit of %s",
                                      time_print(load->scenario->limit, limit)));
}

static size_t field_size(enum field_kind kind)
{
    switch (kind) {
    case FIELD_NODE:
    case FIELD_TEXT:
        return sizeof(void *);
    case FIELD_BOOL:
    case FIELD_NOT:
        return sizeof(bool);
    case FIELD_U16:
        return sizeof(uint16_t);
    case FIELD_UNSIGNED:
    case FIELD_WORD:
        return sizeof(unsigned);
    case FIELD_U32:
    case FIELD_SECONDS:
    case FIELD_PERCENT:
    case FIELD_SIZE:
        return sizeof(uint32_t);
    case FIELD_U64:
    case FIELD_SIZE_U64:
    case FIELD_RATE:
        return sizeof(uint64_t);
    case FIELD_SIZE_T:
        return sizeof(size_t);
    case FIELD_TIME:
        return sizeof(nanotime);
    case FIELD_BYTES:
        return sizeof(struct bytes);
    case FIELD_IP:
        return sizeof(struct ip);
    case FIELD_PREFIX:
        return sizeof(struct ip_prefix);
    }
    return 0;
}

void load_field_copy(const struct field *field, void *to, const void *from)
{
    memcpy((char *)to + field->offset, (const char *)from + field->offset, field_size(field->kind));
}

bool load_field_equal(const struct field *field, const void *a, const void *b)
{
    return memcmp((const char *)a + field->offset, (const char *)b + field->offset,
                  field_size(field->kind)) == 0;
}

// ------------------------------------------------------------------------------------------ fields

static bool key_unknown(struct load *load, const struct yaml_node *key, const char *what,
                        const struct field *fields)
{
    const char *words[FIELDS_MAX + 1] = {0};
    for (unsigned i = 0; fields[i].key; i++)
        words[i] = fields[i].key;
    return load_expected_word(load, key, arena_printf(load->arena, "a key of %s", what), words);
}

bool load_fields(struct load *load, const struct yaml_node *node, const char *what,
                 const struct field *fields, void *target, uint64_t *set)
{
    if (!load_is_mapping(load, node, what, FIELDS_MAX * 2))
        return false;
    for (unsigned i = 0; i < node->count; i++) {
        const struct yaml_pair *pair = &node->pairs[i];
        unsigned at = 0;
        while (fields[at].key && !bytes_is(pair->key->text, fields[at].key))
            at++;
        if (!fields[at].key)
            return key_unknown(load, pair->key, what, fields);
        if (!load_value(load, pair->value, &fields[at], target))
            return false;
        if (set)
            *set |= (uint64_t)1 << at;
    }
    return true;
}

// ------------------------------------------------------------------------------------------- names

#define KIND_SHIFT 28

uint32_t load_named(enum named_kind kind, uint32_t index)
{
    return (uint32_t)kind << KIND_SHIFT | index;
}

const char *const *load_names_of(struct load *load, enum named_kind kind, bool wan)
{
    const struct yaml_node *nodes[] = {load->lans_node, load->servers_node, load->peers_node};
    const struct yaml_node *node = nodes[kind];
    unsigned count = node ? node->count : 0;
    const char **words = arena_alloc(load->arena, (count + 2) * sizeof *words);
    unsigned at = 0;
    if (wan)
        words[at++] = "wan";
    for (unsigned i = 0; i < count; i++)
        words[at++] = (const char *)node->pairs[i].key->text.at;
    return words;
}

bool load_name(struct load *load, const struct yaml_node *node, enum named_kind kind,
               const char *what, unsigned *index)
{
    uint32_t value;
    if (node->kind != YAML_SCALAR || !names_find(&load->names, 0, node->text, &value) ||
        value >> KIND_SHIFT != (uint32_t)kind)
        return load_expected_word(load, node, what, load_names_of(load, kind, false));
    *index = value & ((1u << KIND_SHIFT) - 1);
    return true;
}

bool load_place(struct load *load, const struct yaml_node *node, int *lan)
{
    if (node->kind == YAML_SCALAR && bytes_is(node->text, "wan")) {
        *lan = SCENARIO_WAN;
        return true;
    }
    uint32_t value;
    if (node->kind != YAML_SCALAR || !names_find(&load->names, 0, node->text, &value) ||
        value >> KIND_SHIFT != NAMED_LAN)
        return load_expected_word(load, node, "the name of a LAN or wan",
                                  load_names_of(load, NAMED_LAN, true));
    *lan = (int)(value & ((1u << KIND_SHIFT) - 1));
    return true;
}
