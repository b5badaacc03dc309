/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What patch(1) reports is understood: asked of the real one where it matters. */
#include "build/fix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void test_report(void **state)
{
        struct applied_fix fix = { 0 };

        (void)state;
        assert_true(fix_read_report("patching file a.c\n"
                                    "Hunk #1 succeeded at 12 (offset 2 lines).\n"
                                    "patching file dir/my file.h\n"
                                    "Hunk #2 succeeded at 9 with fuzz 1.\n"
                                    "patching file b.c (renamed from old.c)\n"
                                    "patching file c.c\n"
                                    "Hunk #1 FAILED at 3.\n"
                                    "1 out of 1 hunk FAILED\n"
                                    "patching file a.c\n",
                                    &fix));
        assert_int_equal(fix.changed.n_items, 4);
        assert_string_equal(fix.changed.items[0], "a.c");
        assert_string_equal(fix.changed.items[1], "dir/my file.h");
        assert_string_equal(fix.changed.items[2], "b.c");
        assert_int_equal(fix.failed.n_items, 1);
        assert_string_equal(fix.failed.items[0], "c.c");
        assert_true(fix.fuzzy);
        applied_fix_done(&fix);
        assert_true(fix_read_report("", &fix));
        assert_int_equal(fix.changed.n_items, 0);
}

static void run_patch(const char *text, const char *patch, struct applied_fix *ret)
{
        char folder[] = "/tmp/test-fix.XXXXXX", name[64], command[256], line[256];
        struct buffer report = { 0 };
        FILE *file;

        assert_non_null(mkdtemp(folder));
        for (int i = 0; i < 2; i++) {
                snprintf(name, sizeof(name), "%s/%s", folder, i ? "p" : "a.c");
                file = fopen(name, "w");
                assert_non_null(file);
                fputs(i ? patch : text, file);
                fclose(file);
        }
        snprintf(command, sizeof(command),
                 "cd %s && LC_ALL=C patch -p1 --force --forward --reject-file=- "
                 "--quoting-style=literal --fuzz=0 -i p; rm -r %s", folder, folder);
        file = popen(command, "r");
        assert_non_null(file);
        while (fgets(line, sizeof(line), file))
                assert_true(buffer_printf(&report, "%s", line));
        pclose(file);
        assert_true(fix_read_report((char *)report.data, ret));
        buffer_done(&report);
}

static void test_real_patch(void **state)
{
        static const char patch[] = "--- a/a.c\n+++ b/a.c\n@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three\n";
        static const char missing[] = "--- a/none.c\n+++ b/none.c\n@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n"
                                      " three\n";
        struct applied_fix fix = { 0 };

        (void)state;
        run_patch("one\ntwo\nthree\n", patch, &fix);
        assert_int_equal(fix.changed.n_items, 1);
        assert_int_equal(fix.failed.n_items, 0);
        applied_fix_done(&fix);
        run_patch("one\nother\nthree\n", patch, &fix);
        assert_int_equal(fix.failed.n_items, 1);
        assert_string_equal(fix.failed.items[0], "a.c");
        applied_fix_done(&fix);
        run_patch("one\nTWO\nthree\n", patch, &fix); /* already there */
        assert_int_equal(fix.failed.n_items, 1);
        applied_fix_done(&fix);
        run_patch("one\ntwo\nthree\n", missing, &fix);
        assert_int_equal(fix.failed.n_items, 1);
        applied_fix_done(&fix);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_report),
                cmocka_unit_test(test_real_patch),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
