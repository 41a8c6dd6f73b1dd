#include "stack/media/mos.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void near(double got, double want, double within)
{
    assert_true(got > want - within && got < want + within);
}

static void test_mos_of_a_perfect_call(void **state)
{
    (void)state;
    struct mos mos = mos_estimate(&(struct mos_input){MOS_G711, 100, 0, 1});
    near(mos.r, 93.2, 1e-9);
    near(mos.mos, 4.409, 0.001);
}

// By hand from 7.4: X = log2(Ta / 100) is 0.585, 1 and 2.
static void test_mos_falls_with_delay(void **state)
{
    (void)state;
    near(mos_estimate(&(struct mos_input){MOS_G711, 150, 0, 1}).idd, 0.164, 0.002);
    near(mos_estimate(&(struct mos_input){MOS_G711, 200, 0, 1}).idd, 3.0444, 0.001);
    near(mos_estimate(&(struct mos_input){MOS_G711, 400, 0, 1}).idd, 24.070, 0.002);
}

static void test_mos_falls_with_loss(void **state)
{
    (void)state;
    near(mos_estimate(&(struct mos_input){MOS_G711, 0, 5, 1}).ie_eff, 475 / 30.1, 1e-9);
    near(mos_estimate(&(struct mos_input){MOS_OPUS, 0, 5, 2}).ie_eff, 475 / 22.5, 1e-9);
    near(mos_estimate(&(struct mos_input){MOS_OPUS, 1e9, 1e9, -1}).mos, 1, 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mos_of_a_perfect_call),
        cmocka_unit_test(test_mos_falls_with_delay),
        cmocka_unit_test(test_mos_falls_with_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
