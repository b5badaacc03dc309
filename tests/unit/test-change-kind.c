/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files of source packages by their names, as they are found in real ones. */
#include "build/change-kind.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/cleanup.h"

static const struct {
        const char *name;
        enum change_kind kind, beside;
} rows[] = {
        { "http.c", CHANGE_CODE, CHANGE_CODE },
        { "include/event2/http.h", CHANGE_CODE, CHANGE_CODE },
        { "src/a.cpp", CHANGE_CODE, CHANGE_CODE },
        { "test/regress_http.c", CHANGE_CODE, CHANGE_TESTS },
        { "regress/unittests/a.c", CHANGE_CODE, CHANGE_TESTS },
        { "src/tests/x/y.h", CHANGE_CODE, CHANGE_TESTS },
        { "t/basics.t", CHANGE_TESTS, CHANGE_TESTS },
        { "tests/unit/acl.tcl", CHANGE_TESTS, CHANGE_TESTS },
        { "latest/code.c", CHANGE_CODE, CHANGE_CODE },    /* not "test" at the start of a name */
        { "src/test.c", CHANGE_CODE, CHANGE_CODE },       /* a file, not a folder */
        { "examples/client.c", CHANGE_CODE, CHANGE_EXAMPLES },
        { "fuzz/fuzz.c", CHANGE_CODE, CHANGE_TESTS },
        { "debian/changelog", CHANGE_PACKAGING, CHANGE_PACKAGING },
        { "debian/patches/fix.c", CHANGE_PACKAGING, CHANGE_PACKAGING },
        { ".gitignore", CHANGE_PACKAGING, CHANGE_PACKAGING },
        { ".github/workflows/a.yml", CHANGE_PACKAGING, CHANGE_PACKAGING },
        { "po/de.po", CHANGE_TRANSLATIONS, CHANGE_TRANSLATIONS },
        { "src/messages.pot", CHANGE_TRANSLATIONS, CHANGE_TRANSLATIONS },
        { "doc/a.texi", CHANGE_DOCUMENTATION, CHANGE_DOCUMENTATION },
        { "README", CHANGE_DOCUMENTATION, CHANGE_DOCUMENTATION },
        { "ChangeLog", CHANGE_DOCUMENTATION, CHANGE_DOCUMENTATION },
        { "nginx.8", CHANGE_DOCUMENTATION, CHANGE_DOCUMENTATION },
        { "parser.y", CHANGE_OTHER_CODE, CHANGE_OTHER_CODE },
        { "crypto/sha.S", CHANGE_OTHER_CODE, CHANGE_OTHER_CODE },
        { "tests/parser.y", CHANGE_TESTS, CHANGE_TESTS },
        { "Makefile.am", CHANGE_RECIPE, CHANGE_RECIPE },
        { "src/CMakeLists.txt", CHANGE_RECIPE, CHANGE_RECIPE },
        { "configure", CHANGE_RECIPE, CHANGE_RECIPE },
        { "config.h.in", CHANGE_RECIPE, CHANGE_RECIPE },
        { "test/Makefile.am", CHANGE_TESTS, CHANGE_TESTS },
        { "src/table.json", CHANGE_OTHER, CHANGE_OTHER },
        { "", CHANGE_OTHER, CHANGE_OTHER },
        { "/", CHANGE_OTHER, CHANGE_OTHER },
};

static void test_names(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                if (change_kind_of(rows[i].name) != rows[i].kind ||
                    change_kind_beside(rows[i].name) != rows[i].beside)
                        fail_msg("%s: %d, %d", rows[i].name, (int)change_kind_of(rows[i].name),
                                 (int)change_kind_beside(rows[i].name));
        }
}

static void test_texts(void **state)
{
        (void)state;
        for (int kind = 1; kind <= N_CHANGE_KINDS; kind++)
                assert_non_null(change_kind_text((enum change_kind)kind));
}

static void test_assembly(void **state)
{
        (void)state;
        assert_true(change_is_assembly("crypto/sha.S"));
        assert_true(change_is_assembly("a.asm"));
        assert_false(change_is_assembly("parser.y"));
        assert_false(change_is_assembly("S"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_texts),
                cmocka_unit_test(test_assembly),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
