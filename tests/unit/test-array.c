/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/array.h"

struct item {
        uint32_t number;
        char text[12];
};

static void test_grows_and_zeroes(void **state)
{
        struct item *items = NULL, *item;
        size_t n = 0;

        (void)state;
        for (uint32_t i = 0; i < 1000; i++) {
                item = ARRAY_PUSH(items, n);
                assert_non_null(item);
                assert_ptr_equal(item, &items[i]);
                assert_int_equal(n, i + 1);
                assert_int_equal(item->number, 0);
                assert_string_equal(item->text, "");
                item->number = i;
                memset(item->text, 'x', sizeof(item->text) - 1);
        }
        for (uint32_t i = 0; i < 1000; i++)
                assert_int_equal(items[i].number, i);
        free(items);
}

static void test_overflow_changes_nothing(void **state)
{
        void *items = NULL;
        size_t n = (size_t)1 << 62;

        (void)state;
        assert_null(array_push(&items, &n, 16));
        assert_null(items);
        assert_true(n == (size_t)1 << 62);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_grows_and_zeroes),
                cmocka_unit_test(test_overflow_changes_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
