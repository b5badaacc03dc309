/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Line numbers stay in place: each case says what the directives must be, and the compiler's own
 * preprocessor says what line numbers come out of them. */
#include "build/line-keep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void assert_kept(const char *diff, const char *fixed, const char *expected)
{
        struct line_hunk *hunks = NULL;
        struct buffer out = { 0 };
        size_t n = 0;

        assert_true(line_hunks_parse(diff, &hunks, &n));
        assert_true(line_keep(fixed, hunks, n, &out));
        assert_string_equal((char *)out.data, expected);
        buffer_done(&out);
        free(hunks);
}

static void test_hunks(void **state)
{
        struct line_hunk *hunks = NULL;
        size_t n = 0;

        (void)state;
        assert_true(line_hunks_parse("3a4,6\n> x\n> y\n> z\n10,11c13\n< 5\n< b\n---\n> c\n20d21\n< d\n",
                                     &hunks, &n));
        assert_int_equal(n, 3);
        assert_int_equal(hunks[0].old_start, 4);
        assert_int_equal(hunks[0].n_old, 0);
        assert_int_equal(hunks[0].new_start, 4);
        assert_int_equal(hunks[0].n_new, 3);
        assert_int_equal(hunks[1].old_start, 10);
        assert_int_equal(hunks[1].n_old, 2);
        assert_int_equal(hunks[1].n_new, 1);
        assert_int_equal(hunks[2].old_start, 20);
        assert_int_equal(hunks[2].n_old, 1);
        assert_int_equal(hunks[2].new_start, 22);
        assert_int_equal(hunks[2].n_new, 0);
        free(hunks);
        assert_false(line_hunks_parse("3x4\n", &hunks, &n));
        assert_false(line_hunks_parse("3a4 \n", &hunks, &n));
        assert_true(line_hunks_parse("", &hunks, &n));
        assert_int_equal(n, 0);
}

static void test_added_and_removed(void **state)
{
        (void)state;
        assert_kept("1a2,3\n", "int a;\nint x;\nint y;\nint b;\n",
                    "int a;\nint x;\nint y;\n#line 2\nint b;\n");
        assert_kept("2d1\n", "int a;\nint c;\n", "int a;\n#line 3\nint c;\n");
        /* As many lines as before: nothing moved. */
        assert_kept("2c2\n", "int a;\nint B;\nint c;\n", "int a;\nint B;\nint c;\n");
        /* Two moves that cancel out: the numbers between are kept too. */
        assert_kept("1a2\n3d3\n", "a;\nx;\nb;\nd;\n", "a;\nx;\n#line 2\nb;\n#line 4\nd;\n");
        /* At the very beginning and at the very end. */
        assert_kept("0a1\n", "x;\na;\n", "x;\n#line 1\na;\n");
        assert_kept("1a2\n", "a;\nx;\n", "a;\nx;\n");
        assert_kept("1a2\n", "a;\nx;", "a;\nx;");
        assert_kept("", "", "");
}

static void test_continued_line(void **state)
{
        (void)state;
        assert_kept("1a2\n", "#define A 1 + \\\n 2 + \\\n 3\nint b;\n",
                    "#define A 1 + \\\n 2 + \\\n 3\n#line 3\nint b;\n");
        /* A comment line may be continued as well. */
        assert_kept("0a1\n", "// x \\\n y\nint b;\n", "// x \\\n y\n#line 2\nint b;\n");
}

static void test_comment(void **state)
{
        (void)state;
        assert_kept("1a2\n", "/* a\n x\n b */\nint c;\n", "/* a\n x\n b */\n#line 3\nint c;\n");
        /* What looks like a comment in a literal is none, and the other way round. */
        assert_kept("0a1\n", "char *s = \"/*\";\nint c;\n",
                    "char *s = \"/*\";\n#line 1\nint c;\n");
        assert_kept("0a1\n", "/* \" */\nint c;\n", "/* \" */\n#line 1\nint c;\n");
        assert_kept("0a1\n", "char q = '\"';\nint c;\n", "char q = '\"';\n#line 1\nint c;\n");
        assert_kept("0a1\n", "char *q = \"\\\"/*\";\nint c;\n",
                    "char *q = \"\\\"/*\";\n#line 1\nint c;\n");
        /* An apostrophe in a comment or after #error opens nothing. */
        assert_kept("0a1\n", "#error don't\nint c;\n", "#error don't\n#line 1\nint c;\n");
}

static void test_parentheses(void **state)
{
        (void)state;
        assert_kept("1a2\n", "f(a,\n x,\n b);\ng();\n", "f(a,\n x,\n b);\n#line 3\ng();\n");
        /* Unbalanced through #if: forgiven at the next function. */
        assert_kept("0a1\n",
                    "int x;\n#if A\nint f(int a)\n#else\nint f((int a)\n#endif\n{\n}\nint z;\n",
                    "int x;\n#line 1\n#if A\nint f(int a)\n#else\nint f((int a)\n#endif\n{\n}\n"
                    "int z;\n");
        assert_kept("4a5\n",
                    "#if A\nint f(int a\n#else\nint f(int b\n  , int c\n#endif\n)\n{\n}\nint z;\n",
                    "#if A\nint f(int a\n#else\nint f(int b\n  , int c\n#endif\n)\n{\n#line 8\n}\n"
                    "int z;\n");
        /* Parentheses of a macro's definition don't count. */
        assert_kept("0a1\n", "#define OPEN f(\nint z;\n", "#define OPEN f(\n#line 1\nint z;\n");
}

/* The real judge: compile a file whose every unchanged line says its number. */
static void test_preprocessor_agrees(void **state)
{
        static const char original[] = "1 __LINE__\n2 __LINE__\n3 __LINE__\n4 __LINE__\n"
                                       "5 __LINE__\n6 __LINE__\n";
        static const char fixed[] = "0 x\n0 x\n1 __LINE__\n2 __LINE__\n0 /*\n0 x */\n4 __LINE__\n"
                                    "6 __LINE__\n";
        char folder[] = "/tmp/test-line-keep.XXXXXX", command[512], line[256];
        struct line_hunk *hunks = NULL;
        struct buffer diff = { 0 }, out = { 0 };
        size_t n = 0, seen = 0;
        FILE *stream;

        (void)state;
        assert_non_null(mkdtemp(folder));
        for (int i = 0; i < 2; i++) {
                snprintf(command, sizeof(command), "%s/%c", folder, "of"[i]);
                stream = fopen(command, "w");
                assert_non_null(stream);
                fputs(i ? fixed : original, stream);
                fclose(stream);
        }
        snprintf(command, sizeof(command), "diff %s/o %s/f", folder, folder);
        stream = popen(command, "r");
        assert_non_null(stream);
        while (fgets(line, sizeof(line), stream))
                assert_true(buffer_printf(&diff, "%s", line));
        pclose(stream);
        assert_true(line_hunks_parse((char *)diff.data, &hunks, &n));
        assert_true(line_keep(fixed, hunks, n, &out));
        snprintf(command, sizeof(command), "%s/k.c", folder);
        stream = fopen(command, "w");
        assert_non_null(stream);
        fwrite(out.data, 1, out.size, stream);
        fclose(stream);
        snprintf(command, sizeof(command), "cc -E -P %s/k.c; rm -r %s", folder, folder);
        stream = popen(command, "r");
        assert_non_null(stream);
        while (fgets(line, sizeof(line), stream)) {
                int want = 0, got = -1;

                if (sscanf(line, "%d %d", &want, &got) == 2 && want > 0) {
                        assert_int_equal(got, want);
                        seen++;
                }
        }
        pclose(stream);
        assert_int_equal(seen, 4);
        buffer_done(&diff);
        buffer_done(&out);
        free(hunks);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_hunks),
                cmocka_unit_test(test_added_and_removed),
                cmocka_unit_test(test_continued_line),
                cmocka_unit_test(test_comment),
                cmocka_unit_test(test_parentheses),
                cmocka_unit_test(test_preprocessor_agrees),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
