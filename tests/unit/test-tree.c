/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A source tree is known by what it holds: each change gives another key, and nothing else does. */
#include "build/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/file.h"

static const struct store store; /* nobody interrupts */

static void test_changelog(void **state)
{
        static const struct {
                const char *text, *name, *version;
        } rows[] = {
                { "libevent (2.1.12-stable-8) unstable; urgency=high\n", "libevent",
                  "2.1.12-stable-8" },
                { "\n\nredis (5:7.0.15-1~deb12u7) bookworm; urgency=high", "redis",
                  "5:7.0.15-1~deb12u7" },
                { "a\t(1)", "a", "1" },
                { "", NULL, NULL },
                { "a", NULL, NULL },
                { "a 1.0", NULL, NULL },
                { "a (1.0", NULL, NULL },
                { "a ()", NULL, NULL },
                { "(1.0)", NULL, NULL },
                { "a (1 0)", NULL, NULL },
                { "a\n(1.0)", NULL, NULL },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char *name = NULL, *version = NULL;

                assert_int_equal(tree_parse_changelog(rows[i].text, &name, &version),
                                 rows[i].name != NULL);
                if (rows[i].name) {
                        assert_string_equal(name, rows[i].name);
                        assert_string_equal(version, rows[i].version);
                }
                free(name);
                free(version);
        }
}

static char folder[64];

static void in_folder(const char *format, const char *word)
{
        char command[256];

        snprintf(command, sizeof(command), "cd %s && ", folder);
        snprintf(command + strlen(command), sizeof(command) - strlen(command), format, word);
        assert_int_equal(system(command), 0);
}

static void key_of(const char *path, char ret[static STORE_KEY_SIZE])
{
        struct error err = { 0 };

        assert_int_equal(tree_key(&store, path, ret, &err), 0);
}

static int make_tree(void **state)
{
        (void)state;
        strcpy(folder, "/tmp/test-tree.XXXXXX");
        if (!mkdtemp(folder))
                return -1;
        in_folder("mkdir -p t/sub t/.git && echo one >t/a && echo two >t/sub/b && ln -s a t/link%s",
                  "");
        return 0;
}

static int remove_tree(void **state)
{
        (void)state;
        in_folder("rm -r %s", folder);
        return 0;
}

static void test_key_changes(void **state)
{
        static const char *const changes[] = {
                "echo ONE >t/a", "chmod 755 t/a", "chmod 700 t/sub", "mv t/a t/c", "rm t/sub/b",
                "mkdir t/empty", "ln -sf b t/link", "touch t/new", "mv t/sub/b t/b",
                "mkdir t/sub/.git", "printf x >\"t/`printf 'a\\nb'`\"",
        };
        char before[STORE_KEY_SIZE], after[STORE_KEY_SIZE], path[80];

        (void)state;
        snprintf(path, sizeof(path), "%s/t", folder);
        for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
                in_folder("cp -a t keep && %s", "true");
                key_of(path, before);
                in_folder("%s", changes[i]);
                key_of(path, after);
                if (strcmp(before, after) == 0)
                        fail_msg("the key is the same after: %s", changes[i]);
                in_folder("rm -r t && mv keep t%s", "");
        }
}

static void test_key_stays(void **state)
{
        static const char *const changes[] = {
                "touch -d 2001-01-01 t/a", "touch t/.git/index", "cp -a t other && rm -r t && mv other t",
                "mv t/.git t/.svn",
        };
        char before[STORE_KEY_SIZE], after[STORE_KEY_SIZE], path[80];

        (void)state;
        snprintf(path, sizeof(path), "%s/t", folder);
        for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
                key_of(path, before);
                in_folder("%s", changes[i]);
                key_of(path, after);
                assert_string_equal(before, after);
        }
        snprintf(path, sizeof(path), "%s/t//", folder);
        key_of(path, after);
        assert_string_equal(before, after);
}

static void test_key_faults(void **state)
{
        char key[STORE_KEY_SIZE], path[80];
        struct error err = { 0 };

        (void)state;
        snprintf(path, sizeof(path), "%s/none", folder);
        assert_true(tree_key(&store, path, key, &err) < 0);
        in_folder("mkfifo t/pipe%s", "");
        snprintf(path, sizeof(path), "%s/t", folder);
        assert_true(tree_key(&store, path, key, &err) < 0);
        assert_non_null(strstr(err.cause, "t/pipe"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_changelog),
                cmocka_unit_test_setup_teardown(test_key_changes, make_tree, remove_tree),
                cmocka_unit_test_setup_teardown(test_key_stays, make_tree, remove_tree),
                cmocka_unit_test_setup_teardown(test_key_faults, make_tree, remove_tree),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
