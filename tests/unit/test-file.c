/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"

/* A folder of its own, removed afterwards. */
static int setup(void **state)
{
        char *folder = strdup("/tmp/suture-test-file.XXXXXX");

        *state = folder;
        return folder && mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
        char command[128];

        snprintf(command, sizeof(command), "rm -rf '%s'", (char *)*state);
        free(*state);
        return system(command);
}

static const char *in(const char *folder, const char *name)
{
        static char path[2][256];
        static int turn;

        turn = !turn;
        snprintf(path[turn], sizeof(path[turn]), "%s/%s", folder, name);
        return path[turn];
}

static int count_entries(const char *folder)
{
        DIR *directory = opendir(folder);
        int n = 0;

        assert_non_null(directory);
        while (readdir(directory))
                n++;
        closedir(directory);
        return n - 2; /* "." and ".." */
}

static void test_write_and_read(void **state)
{
        _cleanup_buffer_ struct buffer buffer = { 0 };
        const char *path = in(*state, "a");
        struct error err = { 0 };
        struct stat info;

        assert_int_equal(file_write_atomic(path, "hello", 5, 0640, &err), 0);
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_mode & 07777, 0640);
        assert_int_equal(file_read(path, 5, &buffer, &err), 0);
        assert_int_equal(buffer.size, 5);
        assert_string_equal((char *)buffer.data, "hello");
        assert_int_equal(count_entries(*state), 1);
}

static void test_replace(void **state)
{
        _cleanup_buffer_ struct buffer buffer = { 0 };
        const char *path = in(*state, "a");
        struct error err = { 0 };

        assert_int_equal(file_write_atomic(path, "old old", 7, 0600, &err), 0);
        assert_int_equal(file_write_atomic(path, "new", 3, 0600, &err), 0);
        assert_int_equal(file_append(path, "er", 2, &err), 0);
        assert_int_equal(file_read(path, 100, &buffer, &err), 0);
        assert_string_equal((char *)buffer.data, "newer");
}

static void test_limit(void **state)
{
        _cleanup_buffer_ struct buffer buffer = { 0 };
        const char *path = in(*state, "a");
        struct error err = { 0 };

        assert_int_equal(file_write_atomic(path, "hello", 5, 0600, &err), 0);
        assert_int_equal(file_read(path, 4, &buffer, &err), -EFBIG);
        assert_null(buffer.data);
        assert_non_null(strstr(err.cause, path));
}

static void test_empty(void **state)
{
        _cleanup_buffer_ struct buffer buffer = { 0 };
        const char *path = in(*state, "a");
        struct error err = { 0 };

        assert_int_equal(file_write_atomic(path, "", 0, 0600, &err), 0);
        assert_int_equal(file_read(path, 0, &buffer, &err), 0);
        assert_int_equal(buffer.size, 0);
        assert_string_equal((char *)buffer.data, "");
}

static void test_proc_files_are_read_whole(void **state)
{
        _cleanup_buffer_ struct buffer buffer = { 0 };
        struct error err = { 0 };

        (void)state;
        assert_int_equal(file_read("/proc/self/maps", 1 << 20, &buffer, &err), 0);
        assert_true(buffer.size > 100);
        assert_int_equal(buffer.data[buffer.size - 1], '\n');
}

static void test_missing(void **state)
{
        _cleanup_buffer_ struct buffer buffer = { 0 };
        struct error err = { 0 };

        assert_int_equal(file_read(in(*state, "none"), 10, &buffer, &err), -ENOENT);
        assert_int_equal(err.errnum, ENOENT);
        assert_int_equal(file_read(*state, 10, &buffer, &err), -EISDIR);
}

static void test_failed_write_leaves_nothing(void **state)
{
        struct error err = { 0 };

        assert_int_equal(file_write_atomic(in(*state, "no/such/a"), "x", 1, 0600, &err), -ENOENT);
        assert_true(err.cause[0] && err.next[0]);
        /* The target is a folder: the rename fails, after the temporary file was written. */
        assert_int_equal(mkdir(in(*state, "b"), 0700), 0);
        assert_int_equal(file_write_atomic(in(*state, "b"), "x", 1, 0600, &err), -EISDIR);
        assert_int_equal(count_entries(*state), 1);
}

static void test_append_to_a_full_disk(void **state)
{
        struct error err = { 0 };

        /* /dev/full: every write says that the disk is full. */
        assert_int_equal(symlink("/dev/full", in(*state, "full")), 0);
        assert_int_equal(file_append(in(*state, "full"), "x", 1, &err), -ENOSPC);
        assert_non_null(strstr(err.cause, "full"));
}

static void test_directory_make(void **state)
{
        struct error err = { 0 };
        struct stat info;

        assert_int_equal(directory_make(in(*state, "x/y//z/"), 0755, &err), 0);
        assert_int_equal(stat(in(*state, "x/y/z"), &info), 0);
        assert_true(S_ISDIR(info.st_mode));
        assert_int_equal(directory_make(in(*state, "x/y/z"), 0755, &err), 0);
        assert_int_equal(file_write_atomic(in(*state, "f"), "", 0, 0600, &err), 0);
        assert_int_equal(directory_make(in(*state, "f/g"), 0755, &err), -ENOTDIR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_write_and_read),
                TEST(test_replace),
                TEST(test_limit),
                TEST(test_empty),
                TEST(test_proc_files_are_read_whole),
                TEST(test_missing),
                TEST(test_failed_write_leaves_nothing),
                TEST(test_append_to_a_full_disk),
                TEST(test_directory_make),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
