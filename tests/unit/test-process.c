/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proc/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* A child that does `prepare`, says so through a pipe, and waits to be killed. */
static pid_t start_child(void (*prepare)(void))
{
        int ready[2];
        char byte;
        pid_t pid;

        assert_int_equal(pipe(ready), 0);
        pid = fork();
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (prepare)
                        prepare();
                if (write(ready[1], "", 1) != 1)
                        _exit(1);
                for (;;)
                        pause();
        }
        assert_true(pid > 0);
        close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        close(ready[0]);
        return pid;
}

static void end_child(pid_t pid)
{
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* A copy of sleep(1) under a name that is longer than what the kernel keeps of it. */
static void test_long_name(void **state)
{
        char folder[] = "/tmp/suture-test-XXXXXX", path[96], command[160];
        struct process process;
        int gone[2];
        char byte;
        pid_t pid;

        (void)state;
        assert_non_null(mkdtemp(folder));
        snprintf(path, sizeof(path), "%s/a-program-with-a-long-name", folder);
        snprintf(command, sizeof(command), "cp /bin/sleep %s", path);
        assert_int_equal(system(command), 0);
        assert_int_equal(pipe2(gone, O_CLOEXEC), 0); /* closed by the exec */
        pid = fork();
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                execl(path, path, "1000", NULL);
                _exit(1);
        }
        close(gone[1]);
        assert_int_equal(read(gone[0], &byte, 1), 0);
        assert_int_equal(process_read(pid, &process, NULL), 0);
        assert_string_equal(process.name, "a-program-with-a-long-name");
        assert_int_equal(unlink(path), 0);
        assert_int_equal(process_read(pid, &process, NULL), 0);
        assert_string_equal(process.name, "a-program-with-a-long-name");
        end_child(pid);
        close(gone[0]);
        assert_int_equal(rmdir(folder), 0);
}

static void test_own(void **state)
{
        struct process process;
        struct stat st;

        (void)state;
        assert_int_equal(process_read(getpid(), &process, NULL), 0);
        assert_int_equal(process.pid, getpid());
        assert_int_equal(process.parent, getppid());
        assert_int_equal(process.uid, geteuid());
        assert_int_equal(process.n_threads, 1);
        assert_int_equal(process.state, 'R');
        assert_false(process.kernel_thread);
        assert_true(process.start_ticks > 0);
        assert_int_equal(stat("/proc/self/ns/mnt", &st), 0);
        assert_int_equal(process.mount_namespace, st.st_ino);
        assert_int_equal(stat("/proc/self/ns/user", &st), 0);
        assert_int_equal(process.user_namespace, st.st_ino);
        assert_true(process_alive(getpid(), process.start_ticks));
        assert_false(process_alive(getpid(), process.start_ticks + 1));
}

static void take_odd_name(void)
{
        prctl(PR_SET_NAME, "a) S 1 (\n\x1b");
}

static void test_odd_name(void **state)
{
        pid_t pid = start_child(take_odd_name);
        struct process process;

        (void)state;
        assert_int_equal(process_read(pid, &process, NULL), 0);
        assert_string_equal(process.name, "a) S 1 (??");
        assert_int_equal(process.parent, getpid());
        end_child(pid);
}

static void test_traced(void **state)
{
        pid_t pid = start_child(NULL);
        struct process process;

        (void)state;
        assert_int_equal(process_read(pid, &process, NULL), 0);
        assert_int_equal(process.tracer, 0);
        assert_int_equal(ptrace(PTRACE_SEIZE, pid, NULL, NULL), 0);
        assert_int_equal(process_read(pid, &process, NULL), 0);
        assert_int_equal(process.tracer, getpid());
        end_child(pid);
}

static void test_zombie_and_gone(void **state)
{
        pid_t pid = start_child(NULL), *threads;
        struct process process;
        struct thread_status status;
        siginfo_t info;
        size_t n_threads;

        (void)state;
        assert_int_equal(process_read(pid, &process, NULL), 0);
        assert_true(process_alive(pid, process.start_ticks));
        kill(pid, SIGKILL);
        assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
        assert_false(process_alive(pid, process.start_ticks));
        assert_int_equal(process_read(pid, &process, NULL), 0);
        assert_int_equal(process.state, 'Z');
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(process_read(pid, &process, NULL), PROCESS_GONE);
        assert_int_equal(process_threads(pid, &threads, &n_threads, NULL), PROCESS_GONE);
        assert_int_equal(thread_status_read(pid, pid, &status, NULL), PROCESS_GONE);
        assert_false(process_alive(pid, process.start_ticks));
}

static void *wait_forever(void *context)
{
        for (;;)
                pause();
        return context;
}

static void test_main_thread_ended(void **state)
{
        struct process process;
        pid_t pid = fork();

        (void)state;
        if (pid == 0) {
                pthread_t thread;

                prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (pthread_create(&thread, NULL, wait_forever, NULL) != 0)
                        _exit(1);
                pthread_exit(NULL);
        }
        assert_true(pid > 0);
        do
                assert_int_equal(process_read(pid, &process, NULL), 0);
        while (process.state != 'Z');
        assert_int_equal(process.n_threads, 2);
        assert_true(process_alive(pid, process.start_ticks));
        assert_true(process_living_thread(pid) > pid);
        assert_int_equal(process_living_thread(getpid()), getpid());
        end_child(pid);
        assert_int_equal(process_living_thread(pid), 0);
}

static void handler(int signal)
{
        (void)signal;
}

static void set_signals(void)
{
        sigset_t set;

        signal(SIGUSR1, SIG_IGN);
        signal(SIGUSR2, handler);
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, NULL);
        kill(getpid(), SIGTERM);
}

static uint64_t bit(int signal)
{
        return 1ull << (signal - 1);
}

static void test_signals(void **state)
{
        pid_t pid = start_child(set_signals);
        struct thread_status status;

        (void)state;
        assert_int_equal(thread_status_read(pid, pid, &status, NULL), 0);
        assert_true(status.blocked & bit(SIGTERM));
        assert_true(status.shared_pending & bit(SIGTERM));
        assert_false(status.pending & bit(SIGTERM));
        assert_true(status.ignored & bit(SIGUSR1));
        assert_true(status.caught & bit(SIGUSR2));
        assert_false(status.caught & bit(SIGUSR1));
        assert_int_equal(status.seccomp_mode, 0);
        end_child(pid);
}

static void test_kernel_thread(void **state)
{
        struct process process;

        (void)state;
        if (process_read(2, &process, NULL) != 0 || strcmp(process.name, "kthreadd") != 0)
                skip(); /* in a container there is none to see */
        assert_true(process.kernel_thread);
}

static void test_lists(void **state)
{
        pid_t *pids, *threads;
        size_t n_pids, n_threads;
        bool found = false;

        (void)state;
        assert_int_equal(process_list(&pids, &n_pids, NULL), 0);
        for (size_t i = 0; i < n_pids; i++)
                found |= pids[i] == getpid();
        assert_true(found);
        free(pids);
        assert_int_equal(process_threads(getpid(), &threads, &n_threads, NULL), 0);
        assert_int_equal(n_threads, 1);
        assert_int_equal(threads[0], getpid());
        free(threads);
}

static char secret[3 * 4096] __attribute__((aligned(4096)));

static void write_secret(void)
{
        memcpy(secret + 4090, "it is here", 10);
        munmap(secret + 2 * 4096, 4096);
}

static void test_memory(void **state)
{
        pid_t pid = start_child(write_secret);
        struct elf_memory memory = PROCESS_MEMORY(pid);
        char text[4097];

        (void)state;
        assert_int_equal(memory.read(memory.context, (uintptr_t)secret + 4090, text, 10), 0);
        assert_memory_equal(text, "it is here", 10);
        assert_int_equal(memory.read(memory.context, (uintptr_t)secret + 4096, text, 4096), 0);
        assert_int_equal(memory.read(memory.context, (uintptr_t)secret + 4096, text, 4097),
                         -EFAULT);
        end_child(pid);
        assert_int_equal(memory.read(memory.context, (uintptr_t)secret, text, 1), -ESRCH);
}

static void test_parse_pid(void **state)
{
        static const char *const bad[] = { "", "0", "-1", "1x", " 1", "99999999999999999999",
                                           "4194305", "+1" };
        pid_t pid;

        (void)state;
        assert_true(process_parse_pid("1", &pid));
        assert_int_equal(pid, 1);
        assert_true(process_parse_pid("4194304", &pid));
        assert_int_equal(pid, 4194304);
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_false(process_parse_pid(bad[i], &pid));
}

static void stat_fields(void **state)
{
        struct process process;
        char text[32];

        (void)state;
        assert_int_equal(process_read(getpid(), &process, NULL), 0);
        assert_int_equal(process_stat_field(getpid(), 3, text, sizeof(text), NULL), 0);
        assert_string_equal(text, "R");
        assert_int_equal(process_stat_field(getpid(), 22, text, sizeof(text), NULL), 0);
        assert_int_equal(strtoull(text, NULL, 10), process.start_ticks);
        assert_true(process_stat_field(getpid(), 400, text, sizeof(text), NULL) < 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(stat_fields),
                cmocka_unit_test(test_long_name),
                cmocka_unit_test(test_own),
                cmocka_unit_test(test_odd_name),
                cmocka_unit_test(test_traced),
                cmocka_unit_test(test_zombie_and_gone),
                cmocka_unit_test(test_main_thread_ended),
                cmocka_unit_test(test_signals),
                cmocka_unit_test(test_kernel_thread),
                cmocka_unit_test(test_lists),
                cmocka_unit_test(test_memory),
                cmocka_unit_test(test_parse_pid),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
