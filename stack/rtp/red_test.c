#include "stack/rtp/red.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_red_splits_what_it_wrote(void **state)
{
    (void)state;
    struct red_block in[] = {{111, 100, bytes_text("far")}, // across the wrap, still within 14 bits
                             {111, 960, bytes_text("b")},
                             {111, 1920, bytes_text("primary")}};
    in[0].timestamp = (uint32_t)-100;
    uint8_t wire[64];
    size_t len = red_write(wire, sizeof wire, in, 3);
    assert_int_equal(len, 4 + 4 + 1 + 3 + 1 + 7);
    struct red_block out[RED_BLOCKS_MAX];
    size_t count = 0;
    assert_int_equal(red_split(bytes_of(wire, len), 1920, out, &count), RED_OK);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(out[i].payload_type, 111);
        assert_int_equal(out[i].timestamp, in[i].timestamp);
        assert_true(bytes_equal(out[i].data, in[i].data));
    }
    assert_int_equal(red_write(wire, len - 1, in, 3), 0);
}

static void test_red_leaves_out_what_does_not_fit_its_header(void **state)
{
    (void)state;
    static const uint8_t large[1024];
    struct red_block in[] = {{111, 0, bytes_text("old")},
                             {111, 20000, bytes_of(large, sizeof large)},
                             {111, 20001, bytes_text("future")},
                             {111, 20000, bytes_text("p")}};
    uint8_t wire[2048];
    assert_int_equal(red_write(wire, sizeof wire, in, 4), 2);
    assert_int_equal(wire[0], 111);
}

static void test_red_names_hostile_bytes(void **state)
{
    (void)state;
    struct red_block out[RED_BLOCKS_MAX];
    size_t count = 9;
    static const uint8_t cut[] = {0x80 | 111, 0, 0, 5, 111, 'x'};
    assert_int_equal(red_split(bytes_of(cut, sizeof cut), 0, out, &count), RED_TOO_SHORT);
    assert_int_equal(red_split(bytes_of(cut, 0), 0, out, &count), RED_TOO_SHORT);
    uint8_t endless[400];
    memset(endless, 0x80, sizeof endless);
    assert_int_equal(red_split(bytes_of(endless, sizeof endless), 0, out, &count), RED_TOO_MANY);
    assert_int_equal(count, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_red_splits_what_it_wrote),
        cmocka_unit_test(test_red_leaves_out_what_does_not_fit_its_header),
        cmocka_unit_test(test_red_names_hostile_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
