/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/health.h"
#include "daemon/health-run.h"

#define _cleanup_watch_ _cleanup_(health_watch_freep)

static char folder[64];

static int setup(void **state)
{
        (void)state;
        strcpy(folder, "/tmp/suture-test-health.XXXXXX");
        return mkdtemp(folder) && chmod(folder, 0755) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
        char command[128];

        (void)state;
        snprintf(command, sizeof(command), "rm -rf '%s'", folder);
        return system(command);
}

static struct policy_health make(enum policy_health_kind kind, char *check)
{
        return (struct policy_health){
                .name = (char *)"a check", .kind = kind, .check = check, .timeout_ms = 20000,
                .watch_ms = 50, .interval_ms = 10,
        };
}

/* Dispatches until there is an outcome; each single call must be quick. */
static int settle(struct health_watch *watch)
{
        struct error err = { 0 };

        for (;;) {
                struct pollfd wait = { .fd = health_watch_fd(watch), .events = POLLIN };
                int r = health_watch_dispatch(watch, &err);

                if (r < 0)
                        fail_msg("%s", err.cause);
                if (r != HEALTH_RUNNING)
                        return r;
                assert_int_equal(poll(&wait, 1, 60000), 1);
        }
}

static struct health_watch *begin(const struct policy_health *check)
{
        struct health_watch *watch = NULL;
        struct error err = { 0 };

        if (health_watch_new(&check, 1, HEALTH_PROBE, &watch, &err) < 0)
                fail_msg("%s", err.cause);
        assert_int_equal(settle(watch), HEALTH_READY);
        return watch;
}

static void test_keep(void **state)
{
        struct policy_health check = make(POLICY_HEALTH_COMMAND, (char *)"/bin/true with words");
        _cleanup_watch_ struct health_watch *watch = begin(&check);

        (void)state;
        assert_int_equal(health_watch_failed_before(watch), 0);
        health_watch_applied(watch);
        assert_int_equal(settle(watch), HEALTH_KEEP);
        assert_int_equal(settle(watch), HEALTH_KEEP);
}

/* What failed before the patch does not decide. */
static void test_failed_before(void **state)
{
        struct policy_health check = make(POLICY_HEALTH_COMMAND, (char *)"/bin/false");
        _cleanup_watch_ struct health_watch *watch = begin(&check);

        (void)state;
        assert_int_equal(health_watch_failed_before(watch), 1);
        health_watch_applied(watch);
        assert_int_equal(settle(watch), HEALTH_KEEP);
}

static void test_undo(void **state)
{
        char file[128], command[192];
        struct policy_health check;

        (void)state;
        snprintf(file, sizeof(file), "%s/well", folder);
        snprintf(command, sizeof(command), "/bin/ls %s", file);
        close(open(file, O_CREAT | O_WRONLY, 0644));
        check = make(POLICY_HEALTH_COMMAND, command);
        check.watch_ms = 3600000;
        {
                _cleanup_watch_ struct health_watch *watch = begin(&check);

                assert_int_equal(unlink(file), 0);
                health_watch_applied(watch);
                assert_int_equal(settle(watch), HEALTH_UNDO);
                assert_non_null(strstr(health_watch_cause(watch), "the check a check failed: exit "
                                                                  "status 2: /bin/ls: "));
        }
}

static void test_without_checks(void **state)
{
        _cleanup_watch_ struct health_watch *watch = NULL;
        struct error err = { 0 };

        (void)state;
        assert_int_equal(health_watch_new(NULL, 0, HEALTH_PROBE, &watch, &err), 0);
        assert_int_equal(settle(watch), HEALTH_READY);
        health_watch_applied(watch);
        assert_int_equal(settle(watch), HEALTH_KEEP);
}

static enum health_result run(char *const argv[], uint32_t timeout_ms, char ret_text[4096])
{
        _cleanup_(health_run_freep) struct health_run *one = NULL;
        struct error err = { 0 };
        enum health_result result;

        if (health_run_start(argv, timeout_ms, &one, &err) < 0)
                fail_msg("%s", err.cause);
        while ((result = health_run_dispatch(one)) == HEALTH_RUN_GOES_ON) {
                struct pollfd wait = { .fd = health_run_fd(one), .events = POLLIN };

                assert_int_equal(poll(&wait, 1, 60000), 1);
        }
        snprintf(ret_text, 4096, "%s", health_run_text(one));
        return result;
}

/* A check that hangs is killed with all that it started. */
static void test_time_limit(void **state)
{
        char script[256], file[128], text[4096], *argv[] = { (char *)"/bin/sh", (char *)"-c", script,
                                                             NULL };
        FILE *stream;
        int pid = 0;

        (void)state;
        snprintf(file, sizeof(file), "%s/pid", folder);
        snprintf(script, sizeof(script), "sleep 1000 & echo $! > %s; echo begun; wait", file);
        assert_int_equal(run(argv, 1500, text), HEALTH_RUN_BAD);
        assert_string_equal(text, "no answer within 1500 ms: begun");
        stream = fopen(file, "r");
        assert_non_null(stream);
        assert_int_equal(fscanf(stream, "%d", &pid), 1);
        fclose(stream);
        for (int i = 0; kill(pid, 0) == 0; i++) {
                char path[64], line[256] = "";
                FILE *status;

                snprintf(path, sizeof(path), "/proc/%d/stat", pid);
                status = fopen(path, "r");
                if (!status || !fgets(line, sizeof(line), status) || strstr(line, ") Z"))
                        i = -1;
                if (status)
                        fclose(status);
                if (i < 0)
                        break;
                usleep(1000);
        }
}

static void test_output(void **state)
{
        char text[4096], *much[] = { (char *)"/bin/sh", (char *)"-c",
                                     (char *)"yes | head -c 10000000; exit 3", NULL };
        char *gone[] = { (char *)"/nonexistent", NULL };
        char *killed[] = { (char *)"/bin/sh", (char *)"-c", (char *)"kill -9 $$", NULL };

        (void)state;
        assert_int_equal(run(much, 60000, text), HEALTH_RUN_BAD);
        assert_int_equal(strncmp(text, "exit status 3: y\ny\n", 19), 0);
        assert_true(strlen(text) < HEALTH_MAX_OUTPUT);
        assert_int_equal(run(gone, 60000, text), HEALTH_RUN_BAD);
        assert_string_equal(text, "exit status 127: No such file or directory");
        assert_int_equal(run(killed, 60000, text), HEALTH_RUN_BAD);
        assert_string_equal(text, "ended by signal 9");
}

/* A listener; with an answer a child serves it to everybody. */
static int listen_on(uint16_t *ret_port)
{
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(address);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
        assert_int_equal(listen(fd, 16), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
        *ret_port = ntohs(address.sin_port);
        return fd;
}

static pid_t serve(int fd, const char *answer)
{
        pid_t pid = fork();

        while (pid == 0) {
                int client = accept(fd, NULL, NULL);
                char request[4096];

                if (client < 0 || read(client, request, sizeof(request)) <= 0)
                        _exit(1);
                if (write(client, answer, strlen(answer)) < 0)
                        _exit(1);
                close(client);
        }
        return pid;
}

static enum health_result probe(const char *kind, const char *format, uint16_t port,
                                uint32_t timeout_ms, char text[4096])
{
        char target[128], *argv[] = { (char *)HEALTH_PROBE, (char *)kind, target, NULL };

        snprintf(target, sizeof(target), format, port);
        return run(argv, timeout_ms, text);
}

static void test_tcp(void **state)
{
        char text[4096];
        uint16_t port;
        int fd = listen_on(&port);

        (void)state;
        assert_int_equal(probe("tcp", "127.0.0.1:%d", port, 60000, text), HEALTH_RUN_GOOD);
        assert_int_equal(probe("tcp", "localhost:%d", port, 60000, text), HEALTH_RUN_GOOD);
        close(fd);
        assert_int_equal(probe("tcp", "127.0.0.1:%d", port, 60000, text), HEALTH_RUN_BAD);
        assert_non_null(strstr(text, "Connection refused"));
}

struct answer {
        const char *answer;
        enum health_result result;
        const char *text;
};

static void test_http(void **state)
{
        static const struct answer answers[] = {
                { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", HEALTH_RUN_GOOD, "status 200" },
                { "HTTP/1.1 302 Found\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n",
                  HEALTH_RUN_GOOD, "status 302" },
                { "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", HEALTH_RUN_BAD,
                  "status 404" },
                { "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", HEALTH_RUN_BAD, "status 503" },
                { "nonsense\r\n\r\n", HEALTH_RUN_BAD, "exit status 1" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
                char text[4096];
                uint16_t port;
                int fd = listen_on(&port);
                pid_t pid = serve(fd, answers[i].answer);

                assert_int_equal(probe("http", "http://127.0.0.1:%d/", port, 60000, text),
                                 answers[i].result);
                assert_non_null(strstr(text, answers[i].text));
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
                close(fd);
        }
}

/* A server that accepts and says nothing. */
static void test_http_silent(void **state)
{
        char text[4096];
        uint16_t port;
        int fd = listen_on(&port);

        (void)state;
        assert_int_equal(probe("http", "http://127.0.0.1:%d/", port, 700, text), HEALTH_RUN_BAD);
        assert_string_equal(text, "no answer within 700 ms");
        close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_keep),
                cmocka_unit_test(test_failed_before),
                cmocka_unit_test_setup_teardown(test_undo, setup, teardown),
                cmocka_unit_test(test_without_checks),
                cmocka_unit_test_setup_teardown(test_time_limit, setup, teardown),
                cmocka_unit_test(test_output),
                cmocka_unit_test(test_tcp),
                cmocka_unit_test(test_http),
                cmocka_unit_test(test_http_silent),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
