/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What builds of projects rest on: words, paths, names of compilers, ranges of IDs. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "build/batch.h"
#include "build/project.h"
#include "build/userns.h"

static void assert_split(const char *text, size_t n, const char *const *expected)
{
        _cleanup_words_ struct words words = { 0 };

        assert_true(shell_split(text, &words));
        assert_int_equal(words.n_items, n);
        for (size_t i = 0; i < n; i++)
                assert_string_equal(words.items[i], expected[i]);
}

static void test_split(void **state)
{
        const char *const quoted[] = { "-O2", "-DNAME=\"a b\"", "it's", "" };
        _cleanup_words_ struct words words = { 0 };

        (void)state;
        assert_split("", 0, NULL);
        assert_split(" \t\n", 0, NULL);
        assert_split(" -O2  '-DNAME=\"a b\"' it\\'s \"\"\n", 4, quoted);
        assert_split("\"a\\\"b\\c\"", 1, (const char *const[]){ "a\"b\\c" });
        assert_split("$HOME `id` *", 3, (const char *const[]){ "$HOME", "`id`", "*" });
        assert_false(shell_split("-O2 'open", &words));
        assert_false(shell_split("\"open", &words));
}

static void assert_moved(const char *word, const char *directory, const char *expected)
{
        _cleanup_free_ char *moved = batch_move_word(word, directory, "/src/a", "/copy");

        assert_string_equal(moved, expected);
}

static void test_move(void **state)
{
        (void)state;
        assert_moved("/src/a/x.c", "/src/a", "/copy/x.c");
        assert_moved("/src/ab/x.c", "/src/a", "/src/ab/x.c");
        assert_moved("-I/src/a/include", "/out", "-I/copy/include");
        assert_moved("-I/src/a", "/out", "-I/copy");
        assert_moved("-DDIR=\"/src/a\"", "/out", "-DDIR=\"/copy\"");
        assert_moved("-I../include", "/src/a/sub", "-I../include");
        assert_moved("-I../src/a/include", "/out", "-I/copy/include");
        assert_moved("../src/a/x.c", "/out", "/copy/x.c");
        assert_moved("../src/b/x.c", "/out", "../src/b/x.c");
        assert_moved("-O2", "/out", "-O2");
        assert_moved("/src/a", "/", "/copy");
}

static void test_compilers(void **state)
{
        static const char *const are[] = {
                "cc", "gcc", "g++", "c++", "c99", "clang", "clang-14", "clang++-14", "gcc-12",
                "x86_64-linux-gnu-gcc", "x86_64-linux-gnu-gcc-12", "musl-gcc",
        };
        static const char *const are_not[] = {
                "gcc-ar", "gcc-nm-12", "c++filt", "gccgo", "clang-format", "ccache", "ld", "gcc.sh",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(are); i++)
                assert_true(project_is_compiler(are[i]));
        for (size_t i = 0; i < ARRAY_SIZE(are_not); i++)
                assert_false(project_is_compiler(are_not[i]));
}

static void test_ranges(void **state)
{
        static const char text[] = "al:1:2\nalice:100000:65536\nbroken:x\n1005:300000:65536\n";
        unsigned start = 0, count = 0;

        (void)state;
        assert_true(userns_find_range(text, "alice", "1004", &start, &count));
        assert_int_equal(start, 100000);
        assert_int_equal(count, 65536);
        assert_true(userns_find_range(text, "bob", "1005", &start, &count));
        assert_int_equal(start, 300000);
        assert_false(userns_find_range(text, "ali", "1004", &start, &count));
        assert_false(userns_find_range(text, "broken", "1004", &start, &count));
        assert_false(userns_find_range("", "alice", "1004", &start, &count));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_split),
                cmocka_unit_test(test_move),
                cmocka_unit_test(test_compilers),
                cmocka_unit_test(test_ranges),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
