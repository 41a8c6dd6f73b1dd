#include "scenarios/runner/load/yaml.h"

#include "scenarios/runner/load/names.h"
#include "scenarios/runner/load/scenario.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

static const struct yaml_node *parse(struct arena *arena, struct bytes text, struct err *err)
{
    *err = (struct err){0};
    return yaml_parse(arena, "f.yaml", text, err);
}

static void check_refused(struct bytes text, const char *message)
{
    struct arena arena = {0};
    struct err err;
    assert_null(parse(&arena, text, &err));
    assert_string_equal(err.text, message);
    arena_free(&arena);
}

// Mappings, lists and scalars of each style, each with its place.
static void test_yaml_tree_has_marks(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct err err;
    const struct yaml_node *root = parse(
        &arena, bytes_text("\xef\xbb\xbf# é\na: [1, 'two']\nb:\n  c: |\n    x\n  d:\n"), &err);
    assert_non_null(root);
    assert_int_equal(root->kind, YAML_MAPPING);
    assert_int_equal(root->count, 2);
    assert_int_equal(root->size, 11); // keys too
    const struct yaml_node *list = yaml_get(root, "a");
    assert_int_equal(list->mark.line, 2);
    assert_int_equal(list->mark.column, 4);
    assert_string_equal(list->mark.file, "f.yaml");
    assert_true(bytes_is(list->items[1]->text, "two"));
    assert_true(list->items[1]->quoted);
    assert_int_equal(list->items[1]->mark.column, 8);
    assert_true(bytes_is(yaml_get(yaml_get(root, "b"), "c")->text, "x\n"));
    assert_true(yaml_is_nothing(yaml_get(yaml_get(root, "b"), "d")));
    assert_null(yaml_get(root, "c"));
    assert_null(yaml_get(list, "c"));
    arena_free(&arena);
}

// Before any value was read there is no memory for values.
static void test_yaml_begins_with_an_empty_container(void **state)
{
    (void)state;
    static const char *const texts[] = {"[]", "{}", "[[], {}]", "{a: []}"};
    static const unsigned sizes[] = {1, 1, 3, 3};
    for (unsigned i = 0; i < 4; i++) {
        struct arena arena = {0};
        struct err err;
        const struct yaml_node *root = parse(&arena, bytes_text(texts[i]), &err);
        assert_non_null(root);
        assert_int_equal(root->size, sizes[i]);
        arena_free(&arena);
    }
}

static void test_yaml_refuses_what_a_scenario_has_no_use_for(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } wrong[] = {
        {"", "f.yaml:1:1: expected a scenario, got an empty file"},
        {"# nothing\n", "f.yaml:1:1: expected a scenario, got an empty file"},
        {"a: 1\n---\nb: 2\n", "f.yaml:2:1: expected one document, got a second"},
        {"a: !!int 1\n", "f.yaml:1:4: expected no tag, got 'tag:yaml.org,2002:int'"},
        {"a: !x [1]\n", "f.yaml:1:4: expected no tag, got '!x'"},
        {"a: !x {}\n", "f.yaml:1:4: expected no tag, got '!x'"},
        {"a: 1\nb: 2\na: 3\n", "f.yaml:3:1: expected each key once, got 'a' again"},
        {"{a: 1, 'a': 3}\n", "f.yaml:1:8: expected each key once, got 'a' again"},
        {"? [a]\n: 1\n", "f.yaml:1:3: expected a key, got a list"},
        {"? {a: 1}\n: 1\n", "f.yaml:1:3: expected a key, got a mapping"},
        {"a: *x\n", "f.yaml:1:4: expected an anchor, got the unknown '*x'"},
        {"a: &x [*x]\n", "f.yaml:1:8: expected an anchor outside, got '*x' inside itself"},
        {"a: &x {b: {c: *x}}\n", "f.yaml:1:15: expected an anchor outside, got '*x' inside itself"},
        {"a: &x 1\nb: &x 2\n", "f.yaml:2:4: expected each anchor once, got '&x' again"},
        {"a: \"x\\0y\"\n", "f.yaml:1:4: expected text, got a zero byte in it"},
        {"a: [1\n", "f.yaml:2:1: expected YAML, got an error: did not find expected ',' or ']' "
                    "while parsing a flow sequence"},
        {"a: 'x\n", "f.yaml:2:1: expected YAML, got an error: found unexpected end of stream "
                    "while scanning a quoted scalar"},
        {"a: b: c\n", "f.yaml:1:5: expected YAML, got an error: mapping values are not allowed in "
                      "this context"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        check_refused(bytes_text(wrong[i].text), wrong[i].message);
}

static void test_yaml_refuses_bytes_that_are_no_text(void **state)
{
    (void)state;
    static const struct {
        struct bytes bytes;
        const char *message;
    } wrong[] = {
#define BYTES(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}
        {BYTES("a: b\0c\n"), "f.yaml:1:5: expected text in UTF-8, got byte 0x00"},
        {BYTES("a: b\nc: \xff\n"), "f.yaml:2:4: expected text in UTF-8, got byte 0xff"},
        {BYTES("a: é\xc3"), "f.yaml:1:5: expected text in UTF-8, got byte 0xc3"},
        {BYTES("\x7f"
               "ELF\x02\x01"),
         "f.yaml:1:1: expected text in UTF-8, got byte 0x7f"},
        {BYTES("a: \xc0\x80"), "f.yaml:1:4: expected text in UTF-8, got byte 0xc0"}, // overlong
        {BYTES("a: \xed\xa0\x80"),
         "f.yaml:1:4: expected text in UTF-8, got byte 0xed"}, // surrogate
        {BYTES("a: \xf4\x90\x80\x80"), "f.yaml:1:4: expected text in UTF-8, got byte 0xf4"},
        {BYTES("a: \xe0\x80\x80"), "f.yaml:1:4: expected text in UTF-8, got byte 0xe0"},
        {BYTES("a: \xc2\x80"), "f.yaml:1:4: expected text in UTF-8, got byte 0xc2"}, // a control
        {BYTES("\xff\xfe"
               "a\0"),
         "f.yaml:1:1: expected text in UTF-8, got byte 0xff"}, // UTF-16
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        check_refused(wrong[i].bytes, wrong[i].message);
}

static void test_yaml_is_bounded(void **state)
{
    (void)state;
    struct text text = {0};
    for (unsigned i = 0; i < SCENARIO_DEPTH_MAX + 1; i++)
        text_put(&text, "[");
    check_refused(text_bytes(&text), "f.yaml:1:25: expected at most 24 levels, got more");

    text_clear(&text);
    for (unsigned i = 0; i < SCENARIO_NODES_MAX; i++)
        text_put(&text, "- x\n");
    check_refused(text_bytes(&text), "f.yaml:200000:3: expected at most 200000 nodes, got more");

    text_clear(&text);
    for (unsigned i = 0; i < 10 * 1024 * 1024 / 16; i++)
        text_put(&text, "# 16 bytes long\n");
    check_refused(text_bytes(&text), "f.yaml:1:1: expected at most 1048576 bytes, got more");

    // Ten times ten times ten ... of the same list.
    text_clear(&text);
    text_put(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for (unsigned i = 1; i < 9; i++)
        text_printf(&text, "a%u: &a%u [*a%u, *a%u, *a%u, *a%u, *a%u, *a%u, *a%u, *a%u, *a%u]\n", i,
                    i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    check_refused(text_bytes(&text), "f.yaml:6:25: expected at most 200000 nodes with aliases "
                                     "expanded, got more");
    text_free(&text);
}

// An alias shares its nodes, and counts as often as it stands there.
static void test_yaml_alias_is_its_anchor(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct err err;
    const struct yaml_node *root = parse(&arena, bytes_text("a: &x [1, 2]\nb: *x\n"), &err);
    assert_non_null(root);
    assert_ptr_equal(yaml_get(root, "a"), yaml_get(root, "b"));
    assert_int_equal(root->size, 9);
    arena_free(&arena);
}

static void print_short(struct text *text, const struct yaml_node *node, bool keys)
{
    text_clear(text);
    yaml_print_short(text, node, keys);
}

static void test_yaml_print_short(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct err err;
    struct text text = {0};
    const struct yaml_node *root =
        parse(&arena, bytes_text("{a: x, b: {c: 1, d: [2, {e: 3}]}, f: []}"), &err);
    print_short(&text, root, false);
    assert_string_equal(text.at, "x+1+2+3+");
    print_short(&text, yaml_get(root, "b"), true);
    assert_string_equal(text.at, "c=1+d=2+e=3");
    print_short(&text, yaml_get(root, "a"), true);
    assert_string_equal(text.at, "x");
    text_free(&text);
    arena_free(&arena);
}

static const struct yaml_node *replace(struct arena *arena, const struct yaml_node *root,
                                       const char *a, const char *b, struct err *err)
{
    struct bytes path[] = {bytes_text(a), bytes_text(b)};
    const struct yaml_node *value = yaml_get(root, "value");
    *err = (struct err){0};
    return yaml_replace(arena, root, path, 2, value, (struct err_mark){"f.yaml", 7, 8}, err);
}

static void test_yaml_replace_copies_the_path_alone(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct err err;
    struct text text = {0};
    const struct yaml_node *root =
        parse(&arena, bytes_text("{a: {b: 1, c: 2}, l: [1, 2], s: word, n: , value: new}"), &err);
    const struct yaml_node *changed = replace(&arena, root, "a", "b", &err);
    print_short(&text, changed, true);
    assert_string_equal(text.at, "a=b=new+c=2+l=1+2+s=word+n=+value=new");
    assert_true(bytes_is(yaml_get(yaml_get(root, "a"), "b")->text, "1"));
    assert_ptr_equal(yaml_get(root, "l"), yaml_get(changed, "l"));

    print_short(&text, yaml_get(replace(&arena, root, "l", "1", &err), "l"), true);
    assert_string_equal(text.at, "1+new");
    print_short(&text, yaml_get(replace(&arena, root, "a", "d", &err), "a"), true);
    assert_string_equal(text.at, "b=1+c=2+d=new");
    print_short(&text, yaml_get(replace(&arena, root, "s", "x", &err), "s"), true);
    assert_string_equal(text.at, "preset=word+x=new");
    print_short(&text, yaml_get(replace(&arena, root, "n", "x", &err), "n"), true);
    assert_string_equal(text.at, "x=new");
    const struct yaml_node *added = yaml_get(replace(&arena, root, "z", "x", &err), "z");
    assert_int_equal(added->mark.line, 7);
    assert_int_equal(added->pairs[0].key->mark.column, 8);

    assert_null(replace(&arena, root, "l", "2", &err));
    assert_string_equal(err.text, "f.yaml:7:8: expected a number below 2 in the path, got '2'");
    assert_null(replace(&arena, root, "l", "x", &err));
    text_free(&text);
    arena_free(&arena);
}

static void test_yaml_describe_cuts_and_stays_on_one_line(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct err err;
    const struct yaml_node *root = parse(
        &arena, bytes_text("[\"a\\nb\", éééééééééééééééééééééééééééééxéé, [], {}, [1], ~]"), &err);
    assert_string_equal(yaml_describe(&arena, root->items[0]), "'a b'");
    // 60 bytes and no half of an é
    assert_string_equal(yaml_describe(&arena, root->items[1]),
                        "'éééééééééééééééééééééééééééééx...'");
    assert_string_equal(yaml_describe(&arena, root->items[2]), "an empty list");
    assert_string_equal(yaml_describe(&arena, root->items[3]), "an empty mapping");
    assert_string_equal(yaml_describe(&arena, root->items[4]), "a list");
    assert_string_equal(yaml_describe(&arena, root->items[5]), "nothing");
    arena_free(&arena);
}

// However many keys there are, each is looked at a few times.
static void test_yaml_keys_cost_the_same_however_many(void **state)
{
    (void)state;
    struct names names = {0};
    static char words[20000][8];
    for (uint32_t i = 0; i < 20000; i++) {
        snprintf(words[i], sizeof words[i], "k%u", i);
        assert_true(names_add(&names, i % 3, bytes_text(words[i]), i));
        assert_false(names_add(&names, i % 3, bytes_text(words[i]), 0));
    }
    uint32_t value;
    for (uint32_t i = 0; i < 20000; i++) {
        assert_true(names_find(&names, i % 3, bytes_text(words[i]), &value));
        assert_int_equal(value, i);
        assert_false(names_find(&names, 3, bytes_text(words[i]), &value));
    }
    assert_true(names.probes < 20000 * 20);
    names_free(&names);
    assert_false(names_find(&names, 0, bytes_text("k0"), &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yaml_tree_has_marks),
        cmocka_unit_test(test_yaml_begins_with_an_empty_container),
        cmocka_unit_test(test_yaml_refuses_what_a_scenario_has_no_use_for),
        cmocka_unit_test(test_yaml_refuses_bytes_that_are_no_text),
        cmocka_unit_test(test_yaml_is_bounded),
        cmocka_unit_test(test_yaml_alias_is_its_anchor),
        cmocka_unit_test(test_yaml_print_short),
        cmocka_unit_test(test_yaml_replace_copies_the_path_alone),
        cmocka_unit_test(test_yaml_describe_cuts_and_stays_on_one_line),
        cmocka_unit_test(test_yaml_keys_cost_the_same_however_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
