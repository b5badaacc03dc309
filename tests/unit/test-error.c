/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include <errno.h>

#include "base/error.h"

static void test_set(void **state)
{
        struct error err = { 0 };

        (void)state;
        assert_int_equal(error_set(&err, EXIT_CODE_PERMISSION, EACCES, "become root",
                                   "can't open %s", "/x"), -EACCES);
        assert_int_equal(err.exit_code, EXIT_CODE_PERMISSION);
        assert_int_equal(err.errnum, EACCES);
        assert_string_equal(err.cause, "can't open /x: Permission denied");
        assert_string_equal(err.next, "become root");
        assert_int_equal(error_set(&err, EXIT_CODE_ERROR, 0, NULL, "no"), -EINVAL);
        assert_string_equal(err.cause, "no");
        assert_string_equal(err.next, "");
}

static void test_caller_may_not_care(void **state)
{
        (void)state;
        assert_int_equal(error_set(NULL, EXIT_CODE_ERROR, ENOENT, NULL, "no"), -ENOENT);
        error_prefix(NULL, "x");
        assert_int_equal(error_no_memory(NULL), -ENOMEM);
}

static void test_prefix(void **state)
{
        struct error err = { 0 };

        (void)state;
        error_set(&err, EXIT_CODE_ERROR, 0, "wait", "it is busy");
        error_prefix(&err, "pid %d", 812);
        error_prefix(&err, "apply SUT-1");
        assert_string_equal(err.cause, "apply SUT-1: pid 812: it is busy");
        assert_string_equal(err.next, "wait");
}

static void test_too_long_is_cut(void **state)
{
        struct error err = { 0 };
        char longer[2 * sizeof(err.cause)];

        (void)state;
        memset(longer, 'z', sizeof(longer) - 1);
        longer[sizeof(longer) - 1] = '\0';
        error_set(&err, EXIT_CODE_ERROR, ENOENT, longer, "%s", longer);
        assert_int_equal(strlen(err.cause), sizeof(err.cause) - 1);
        assert_int_equal(strlen(err.next), sizeof(err.next) - 1);
        error_prefix(&err, "%s", longer);
        assert_int_equal(strlen(err.cause), sizeof(err.cause) - 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_set),
                cmocka_unit_test(test_caller_may_not_care),
                cmocka_unit_test(test_prefix),
                cmocka_unit_test(test_too_long_is_cut),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
