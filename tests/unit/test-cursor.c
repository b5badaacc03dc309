/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/cursor.h"

static void test_numbers_are_little_endian(void **state)
{
        static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
        struct cursor cursor = cursor_init(bytes, sizeof(bytes));
        uint64_t u64;
        uint32_t u32;
        uint16_t u16;
        uint8_t u8;

        (void)state;
        assert_true(cursor_u8(&cursor, &u8));
        assert_true(cursor_u16(&cursor, &u16));
        assert_true(cursor_u32(&cursor, &u32));
        assert_true(cursor_u64(&cursor, &u64));
        assert_int_equal(u8, 1);
        assert_int_equal(u16, 0x0302);
        assert_int_equal(u32, 0x07060504);
        assert_true(u64 == UINT64_C(0x0f0e0d0c0b0a0908));
        assert_int_equal(cursor_left(&cursor), 0);
        assert_false(cursor.failed);
}

static void test_failed_read_changes_nothing(void **state)
{
        static const uint8_t bytes[] = { 1, 2, 3 };
        struct cursor cursor = cursor_init(bytes, sizeof(bytes));
        uint32_t u32 = 99;
        uint8_t u8 = 77;

        (void)state;
        assert_false(cursor_u32(&cursor, &u32));
        assert_int_equal(u32, 99);
        assert_true(cursor.failed);
        /* From then on nothing succeeds, though a byte would be there. */
        assert_false(cursor_u8(&cursor, &u8));
        assert_int_equal(u8, 77);
        assert_int_equal(cursor_left(&cursor), 0);
        assert_false(cursor_seek(&cursor, 0));
        assert_false(cursor_skip(&cursor, 0));
}

static void test_seek_and_skip(void **state)
{
        static const uint8_t bytes[] = { 1, 2, 3 };
        struct cursor cursor = cursor_init(bytes, sizeof(bytes));

        (void)state;
        assert_true(cursor_seek(&cursor, 3));
        assert_true(cursor_skip(&cursor, 0));
        assert_true(cursor_seek(&cursor, 0));
        assert_false(cursor_skip(&cursor, UINT64_MAX));
        cursor = cursor_init(bytes, sizeof(bytes));
        assert_false(cursor_seek(&cursor, 4));
}

static void test_range_fits(void **state)
{
        (void)state;
        assert_true(range_fits(0, 0, 0));
        assert_true(range_fits(10, 0, 10));
        assert_true(range_fits(3, 7, 10));
        assert_false(range_fits(3, 8, 10));
        assert_false(range_fits(11, 0, 10));
        assert_false(range_fits(UINT64_MAX, 2, UINT64_MAX));
        assert_false(range_fits(1, UINT64_MAX, UINT64_MAX));
}

static void test_slice(void **state)
{
        static const uint8_t bytes[] = { 1, 2, 3, 4 };
        struct cursor cursor = { 0 };
        uint8_t u8;

        (void)state;
        assert_true(cursor_slice(bytes, sizeof(bytes), 1, 2, &cursor));
        assert_int_equal(cursor.size, 2);
        assert_true(cursor_u8(&cursor, &u8));
        assert_int_equal(u8, 2);
        assert_false(cursor_slice(bytes, sizeof(bytes), 3, 2, &cursor));
        assert_false(cursor_slice(bytes, sizeof(bytes), UINT64_MAX, 2, &cursor));
}

static void test_bounded_string(void **state)
{
        static const char text[] = { 'a', 'b', '\0', 'c', 'd' };

        (void)state;
        assert_string_equal(bounded_string(text, sizeof(text), 0), "ab");
        assert_string_equal(bounded_string(text, sizeof(text), 2), "");
        assert_null(bounded_string(text, sizeof(text), 3));
        assert_null(bounded_string(text, sizeof(text), 5));
        assert_null(bounded_string(text, 0, 0));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_numbers_are_little_endian),
                cmocka_unit_test(test_failed_read_changes_nothing),
                cmocka_unit_test(test_seek_and_skip),
                cmocka_unit_test(test_range_fits),
                cmocka_unit_test(test_slice),
                cmocka_unit_test(test_bounded_string),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
