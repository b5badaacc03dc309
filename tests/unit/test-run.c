/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands run apart from the rest, and nothing of them stays. Needs root (namespaces). */
#include "build/run.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

struct bench {
        char log_path[64];
        struct runner runner;
};

static int set_up(void **state)
{
        struct bench *bench = calloc(1, sizeof(*bench));

        assert_non_null(bench);
        strcpy(bench->log_path, "/tmp/test-run.XXXXXX");
        bench->runner.log_fd = mkostemp(bench->log_path, O_APPEND | O_CLOEXEC);
        assert_true(bench->runner.log_fd >= 0);
        bench->runner.log_path = bench->log_path;
        *state = bench;
        return 0;
}

static int tear_down(void **state)
{
        struct bench *bench = *state;

        unlink(bench->log_path);
        close(bench->runner.log_fd);
        free(bench);
        return 0;
}

static void test_output_and_environment(void **state)
{
        struct bench *bench = *state;
        const char *const extra[] = { "EXTRA=a b" };
        struct buffer output = { 0 };
        struct run_options options = { .output = &output, .environment = extra,
                                       .n_environment = 1, .directory = "/usr" };
        struct error err = { 0 };

        setenv("SUTURE_TEST_FOREIGN", "1", 1);
        assert_int_equal(RUN(&bench->runner, "asking", &options, &err, "sh", "-c",
                             "pwd; echo \"$EXTRA\"; echo $PATH; echo \"[$SUTURE_TEST_FOREIGN]\"; "
                             "echo $$; echo aside >&2"), 0);
        assert_string_equal((char *)output.data, "/usr\na b\n" RUN_PATH "\n[]\n1\n");
        buffer_done(&output);
}

static void test_failure_tells_why(void **state)
{
        struct bench *bench = *state;
        struct run_options options = { 0 };
        struct error err = { 0 };
        int status = -1;

        assert_true(RUN(&bench->runner, "trying", NULL, &err, "sh", "-c",
                        "echo before; echo 'E: it is broken'; echo after; exit 3") < 0);
        assert_non_null(strstr(err.cause, "trying failed with exit status 3: E: it is broken"));
        assert_non_null(strstr(err.next, bench->log_path));
        options.status = &status;
        assert_int_equal(RUN(&bench->runner, "trying", &options, &err, "sh", "-c", "exit 3"), 0);
        assert_int_equal(status, 3);
        assert_true(RUN(&bench->runner, "trying", NULL, &err, "no-such-program") < 0);
}

static void test_too_much_output(void **state)
{
        struct bench *bench = *state;
        struct buffer output = { 0 };
        struct run_options options = { .output = &output, .max_output = 1000 };
        struct error err = { 0 };

        assert_int_equal(RUN(&bench->runner, "talking", &options, &err, "yes"), -EFBIG);
        buffer_done(&output);
}

static bool after_a_while(void *context)
{
        return access(context, F_OK) == 0;
}

/*
 * What the command started in a session of its own must be gone as well: it holds the write end of
 * a pipe, so the read end tells when the last one is gone.
 */
static void test_interrupted(void **state)
{
        struct bench *bench = *state;
        char started[] = "/tmp/test-run-started.XXXXXX", script[256], byte;
        int fd = mkstemp(started), ends[2];
        struct error err = { 0 };

        assert_true(fd >= 0);
        close(fd);
        unlink(started);
        snprintf(script, sizeof(script), "setsid sleep 1000 & touch %s; sleep 1000", started);
        bench->runner.interrupted = after_a_while;
        bench->runner.context = started;
        assert_int_equal(pipe(ends), 0);
        fcntl(ends[0], F_SETFD, FD_CLOEXEC);
        assert_int_equal(RUN(&bench->runner, "waiting", NULL, &err, "sh", "-c", script), -EINTR);
        close(ends[1]);
        assert_int_equal(read(ends[0], &byte, 1), 0);
        close(ends[0]);
        unlink(started);
}

static void test_mounts_are_private(void **state)
{
        struct bench *bench = *state;
        char folder[] = "/tmp/test-run-mount.XXXXXX";
        struct stat before, after;
        struct error err = { 0 };

        assert_non_null(mkdtemp(folder));
        assert_int_equal(stat(folder, &before), 0);
        assert_int_equal(RUN(&bench->runner, "mounting", NULL, &err, "mount", "-t", "tmpfs", "none",
                             folder), 0);
        assert_int_equal(stat(folder, &after), 0);
        assert_int_equal(before.st_dev, after.st_dev);
        assert_int_equal(rmdir(folder), 0);
}

static void test_no_network(void **state)
{
        struct bench *bench = *state;
        struct buffer output = { 0 };
        struct run_options options = { .output = &output, .no_network = true };
        struct error err = { 0 };

        assert_int_equal(RUN(&bench->runner, "looking", &options, &err, "sh", "-c",
                             "grep -c : /proc/net/dev"), 0);
        assert_string_equal((char *)output.data, "1\n"); /* lo */
        buffer_done(&output);
}

static void test_words(void **state)
{
        struct words words = { 0 };

        (void)state;
        for (int i = 0; i < 100; i++) {
                assert_true(words_addf(&words, "%d", i));
                assert_null(words.items[words.n_items]);
        }
        assert_int_equal(words.n_items, 100);
        assert_string_equal(words.items[77], "77");
        assert_true(words_contain(&words, "99"));
        assert_false(words_contain(&words, "100"));
        words_done(&words);
        assert_null(words.items);
}

static void need_root(void)
{
        if (geteuid() == 0)
                return;
        fprintf(stderr, "namespaces need root\n");
        exit(77); /* the whole test is shown as skipped */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_output_and_environment, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_failure_tells_why, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_too_much_output, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_interrupted, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_mounts_are_private, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_network, set_up, tear_down),
                cmocka_unit_test(test_words),
        };

        need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
