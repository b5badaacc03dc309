/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The builder's cache folder: one user at a time, no leftovers. Needs root, as commands do. */
#include "build/store.h"

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

static void make_file(const char *path)
{
        int fd = open(path, O_WRONLY | O_CREAT, 0644);

        assert_true(fd >= 0);
        close(fd);
}

static void test_one_at_a_time(void **state)
{
        char folder[] = "/tmp/test-store.XXXXXX", command[64];
        struct store *store = NULL, *second = NULL;
        struct error err = { 0 };

        (void)state;
        assert_non_null(mkdtemp(folder));
        assert_int_equal(store_open(folder, "test", NULL, NULL, &store, &err), 0);
        assert_true(path_exists(store->log_path));
        assert_true(path_exists(store->temporary));
        assert_int_equal(store_open(folder, "test", NULL, NULL, &second, &err), -EBUSY);
        assert_null(second);
        store = store_close(store);
        assert_int_equal(store_open(folder, "test", NULL, NULL, &store, &err), 0);
        store_close(store);
        snprintf(command, sizeof(command), "rm -r %s", folder);
        assert_int_equal(system(command), 0);
}

static void test_leftovers(void **state)
{
        char folder[] = "/tmp/test-store.XXXXXX", path[96], command[64];
        struct store *store = NULL;
        struct error err = { 0 };
        char *kept;

        (void)state;
        assert_non_null(mkdtemp(folder));
        snprintf(path, sizeof(path), "%s/tmp", folder);
        assert_int_equal(mkdir(path, 0755), 0);
        snprintf(path, sizeof(path), "%s/tmp/old", folder);
        make_file(path); /* of a run that was killed */
        assert_int_equal(store_open(folder, "test", NULL, NULL, &store, &err), 0);
        assert_false(path_exists(path));
        snprintf(path, sizeof(path), "%s/thing", store->temporary);
        make_file(path);
        kept = store_path(store, "sources/%s", "thing");
        assert_int_equal(store_keep(store, path, kept, &err), 0);
        snprintf(path, sizeof(path), "%s/other", store->temporary);
        make_file(path);
        store_close(store);
        assert_true(path_exists(kept));
        assert_false(path_exists(path));
        free(kept);
        snprintf(command, sizeof(command), "rm -r %s", folder);
        assert_int_equal(system(command), 0);
}

static void test_key(void **state)
{
        char a[STORE_KEY_SIZE], b[STORE_KEY_SIZE];

        (void)state;
        store_key("one", a);
        store_key("one", b);
        assert_string_equal(a, b);
        assert_int_equal(strlen(a), STORE_KEY_SIZE - 1);
        store_key("two", b);
        assert_string_not_equal(a, b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one_at_a_time),
                cmocka_unit_test(test_leftovers),
                cmocka_unit_test(test_key),
        };

        if (geteuid() != 0) {
                fprintf(stderr, "namespaces need root\n");
                return 77; /* shown as skipped */
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
