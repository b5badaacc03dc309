/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "daemon/sandbox.h"
#include "sample-patch.h"

struct answer {
        bool ended, sound;
        struct sha256 digest;
        char cause[128];
};

static void on_end(void *context, struct buffer *bytes, const struct error *err)
{
        struct answer *answer = context;

        answer->ended = true;
        answer->sound = bytes != NULL;
        if (bytes)
                answer->digest = sha256_of(bytes->data, bytes->size);
        snprintf(answer->cause, sizeof(answer->cause), "%.127s", err->cause);
}

static struct answer read_in_sandbox(int fd)
{
        _cleanup_(sandbox_freep) struct sandbox *sandbox = NULL;
        struct answer answer = { 0 };

        assert_int_equal(sandbox_start(fd, on_end, &answer, &sandbox, NULL), 0);
        while (!job_step(sandbox_job(sandbox))) {
                struct pollfd wait = { .fd = job_fd(sandbox_job(sandbox)), .events = POLLIN };

                poll(&wait, 1, 100);
        }
        assert_true(answer.ended);
        return answer;
}

static int file_with(const void *data, size_t size)
{
        int fd = memfd_create("file", MFD_CLOEXEC);

        assert_int_equal(write(fd, data, size), (ssize_t)size);
        lseek(fd, 0, SEEK_SET);
        return fd;
}

static void test_sound_file(void **state)
{
        _cleanup_buffer_ struct buffer file = { 0 };
        struct sha256 digest;
        struct answer answer;
        struct sample sample;

        (void)state;
        assert_true(sample_init(&sample));
        assert_int_equal(sample_build(&sample, &file, NULL), 0);
        digest = sha256_of(file.data, file.size);
        answer = read_in_sandbox(file_with(file.data, file.size));
        assert_string_equal(answer.cause, "");
        assert_true(answer.sound);
        assert_true(sha256_equal(&answer.digest, &digest));
        answer = read_in_sandbox(file_with(file.data, file.size - 1));
        assert_false(answer.sound);
        assert_true(answer.cause[0]);
        sample_done(&sample);
}

static void test_bad_file(void **state)
{
        struct answer answer = read_in_sandbox(file_with("\177ELF", 4));

        (void)state;
        assert_false(answer.sound);
        assert_true(answer.cause[0]);
}

/* Nothing is left to who got hold of the process: the kernel ends it at the first attempt. */
static void test_nothing_is_allowed(void **state)
{
        static const int calls[] = { 0, 1, 2, 3 };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
                pid_t child = fork();
                int status;

                if (child == 0) {
                        if (!sandbox_enter())
                                _exit(7);
                        if (calls[i] == 0)
                                (void)open("/etc/passwd", O_RDONLY);
                        else if (calls[i] == 1)
                                (void)fork();
                        else if (calls[i] == 2)
                                (void)execl("/bin/true", "true", (char *)NULL);
                        else
                                (void)kill(getppid(), 0);
                        _exit(0);
                }
                assert_int_equal(waitpid(child, &status, 0), child);
                assert_true(WIFSIGNALED(status));
                assert_int_equal(WTERMSIG(status), SIGSYS);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sound_file),
                cmocka_unit_test(test_bad_file),
                cmocka_unit_test(test_nothing_is_allowed),
        };

#ifdef __SANITIZE_ADDRESS__
        puts("skipped: the sanitizer maps memory and reads files, which the sandbox forbids");
        return 77;
#endif
        return cmocka_run_group_tests(tests, NULL, NULL);
}
