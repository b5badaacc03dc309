/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/buffer.h"

static void test_append(void **state)
{
        _cleanup_buffer_ struct buffer buffer = { 0 };

        (void)state;
        for (int i = 0; i < 1000; i++)
                assert_true(buffer_append(&buffer, "abc", 3));
        assert_int_equal(buffer.size, 3000);
        assert_int_equal(buffer.data[3000], 0);
        assert_memory_equal(buffer.data + 2997, "abc", 3);
        assert_true(buffer_append(&buffer, NULL, 0));
        assert_int_equal(buffer.size, 3000);
}

static void test_empty_has_final_nul(void **state)
{
        _cleanup_buffer_ struct buffer buffer = { 0 };

        (void)state;
        assert_true(buffer_append(&buffer, "", 0));
        assert_int_equal(buffer.size, 0);
        assert_string_equal((char *)buffer.data, "");
}

static void test_align(void **state)
{
        _cleanup_buffer_ struct buffer buffer = { 0 };

        (void)state;
        assert_true(buffer_align(&buffer, 16, 0xcc));
        assert_int_equal(buffer.size, 0);
        assert_true(buffer_append(&buffer, "x", 1));
        assert_true(buffer_align(&buffer, 16, 0xcc));
        assert_int_equal(buffer.size, 16);
        for (int i = 1; i < 16; i++)
                assert_int_equal(buffer.data[i], 0xcc);
        assert_int_equal(buffer.data[16], 0);
        assert_true(buffer_align(&buffer, 16, 0xcc));
        assert_int_equal(buffer.size, 16);
        assert_true(buffer_append_zeros(&buffer, 5));
        assert_int_equal(buffer.size, 21);
        assert_int_equal(buffer.data[20], 0);
}

static void test_printf(void **state)
{
        _cleanup_buffer_ struct buffer buffer = { 0 };
        char longer[600];

        (void)state;
        memset(longer, 'y', sizeof(longer) - 1);
        longer[sizeof(longer) - 1] = '\0';
        assert_true(buffer_printf(&buffer, "%d-%s;", 42, longer));
        assert_true(buffer_printf(&buffer, "%s", ""));
        assert_int_equal(buffer.size, 3 + 599 + 1);
        assert_memory_equal(buffer.data, "42-yyy", 6);
        assert_string_equal((char *)buffer.data + 600, "yy;");
}

static void test_too_large_changes_nothing(void **state)
{
        _cleanup_buffer_ struct buffer buffer = { 0 };

        (void)state;
        assert_true(buffer_append(&buffer, "abc", 3));
        assert_false(buffer_append_zeros(&buffer, SIZE_MAX));
        assert_false(buffer_append_zeros(&buffer, SIZE_MAX - 3));
        assert_false(buffer_append_zeros(&buffer, SIZE_MAX / 2));
        assert_int_equal(buffer.size, 3);
        assert_string_equal((char *)buffer.data, "abc");
}

static void test_done_twice(void **state)
{
        struct buffer buffer = { 0 };

        (void)state;
        assert_true(buffer_append(&buffer, "abc", 3));
        buffer_done(&buffer);
        assert_null(buffer.data);
        assert_int_equal(buffer.size, 0);
        buffer_done(&buffer);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_append),
                cmocka_unit_test(test_empty_has_final_nul),
                cmocka_unit_test(test_align),
                cmocka_unit_test(test_printf),
                cmocka_unit_test(test_too_large_changes_nothing),
                cmocka_unit_test(test_done_twice),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
