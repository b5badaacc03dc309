/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The builder's cache folder: runs side by side, no leftovers. Needs root, as commands do. */
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

static void test_side_by_side(void **state)
{
        char folder[] = "/tmp/test-store.XXXXXX", command[64];
        struct store *store = NULL, *second = NULL;
        struct error err = { 0 };

        (void)state;
        assert_non_null(mkdtemp(folder));
        assert_int_equal(store_open(folder, "test", NULL, NULL, &store, &err), 0);
        assert_true(path_exists(store->log_path));
        assert_int_equal(store_open(folder, "test", NULL, NULL, &second, &err), 0);
        assert_string_not_equal(store->temporary, second->temporary);
        assert_true(path_exists(store->temporary)); /* the second one did not clear it */
        second = store_close(second);
        assert_true(path_exists(store->temporary));
        store_close(store);
        snprintf(command, sizeof(command), "rm -r %s", folder);
        assert_int_equal(system(command), 0);
}

static bool is_told;

static void take_note(void *context, const char *text)
{
        (void)context;
        is_told = strstr(text, "waiting") != NULL;
}

/* The run is interrupted as soon as it said that it waits: else it would wait forever. */
static bool ask_told(void *context)
{
        (void)context;
        return is_told;
}

static void test_lock_of_a_thing(void **state)
{
        char folder[] = "/tmp/test-store.XXXXXX", command[64];
        struct store *store = NULL, *second = NULL;
        struct error err = { 0 };
        int lock = -1, other = -1;

        (void)state;
        assert_non_null(mkdtemp(folder));
        assert_int_equal(store_open(folder, "test", NULL, NULL, &store, &err), 0);
        assert_int_equal(store_open(folder, "test", ask_told, NULL, &second, &err), 0);
        second->note = take_note;
        assert_int_equal(store_lock(store, "build-a", &lock, &err), 0);
        assert_int_equal(store_lock(second, "build-b", &other, &err), 0);
        close(other);
        assert_int_equal(store_lock(second, "build-a", &other, &err), -EINTR);
        assert_true(is_told);
        close(lock);
        assert_int_equal(store_lock(second, "build-a", &other, &err), 0);
        close(other);
        store_close(second);
        store_close(store);
        snprintf(command, sizeof(command), "rm -r %s", folder);
        assert_int_equal(system(command), 0);
}

/* Folders elsewhere that bear the name of a run go with it. */
static void test_stale_elsewhere(void **state)
{
        char folder[] = "/tmp/test-store.XXXXXX", path[128], mine[128], command[64];
        struct store *store = NULL;
        struct error err = { 0 };

        (void)state;
        assert_non_null(mkdtemp(folder));
        assert_int_equal(store_open(folder, "test", NULL, NULL, &store, &err), 0);
        snprintf(path, sizeof(path), "%s/work", folder);
        assert_int_equal(mkdir(path, 0755), 0);
        snprintf(mine, sizeof(mine), "%s/work/%s", folder, store_run_name(store));
        make_file(mine);
        snprintf(path, sizeof(path), "%s/work/run.gone", folder);
        make_file(path);
        snprintf(command, sizeof(command), "%s/work", folder);
        assert_int_equal(store_remove_stale(store, command, &err), 0);
        assert_true(path_exists(mine));
        assert_false(path_exists(path));
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
                cmocka_unit_test(test_side_by_side),
                cmocka_unit_test(test_lock_of_a_thing),
                cmocka_unit_test(test_stale_elsewhere),
                cmocka_unit_test(test_leftovers),
                cmocka_unit_test(test_key),
        };

        if (geteuid() != 0) {
                fprintf(stderr, "namespaces need root\n");
                return 77; /* shown as skipped */
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
