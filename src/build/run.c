/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One way to start a program and be sure that nothing of it stays. setpriv ties it to suture's life
 * (PR_SET_PDEATHSIG), unshare gives it a PID namespace that the kernel empties when its first
 * process dies, and a mount namespace whose mounts vanish with it. posix_spawn is used, so that a
 * large or threaded caller is no matter. The command is watched through a pidfd, and the caller
 * is asked several times a second whether to go on. Who isn't root gets the same through a user namespace;
 * where none of that is allowed (a container's root without privileges), the command is tied to
 * suture by its process group alone.
 */
#include "build/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "base/array.h"

enum { POLL_INTERVAL_MS = 100, DEFAULT_MAX_OUTPUT = 16 << 20, LOG_TAIL_BYTES = 8192 };

void words_done(struct words *words)
{
        for (size_t i = 0; i < words->n_items; i++)
                free(words->items[i]);
        free(words->items);
        *words = (struct words){ 0 };
}

static bool words_take(struct words *words, char *word)
{
        char **place;

        if (!word)
                return false;
        /* The place after the last word holds the NULL, so it is made in advance. */
        if (words->n_items == 0) {
                words->items = calloc(2, sizeof(char *));
                if (!words->items) {
                        free(word);
                        return false;
                }
        } else {
                size_t n = words->n_items + 1;

                place = ARRAY_PUSH(words->items, n);
                if (!place) {
                        free(word);
                        return false;
                }
        }
        words->items[words->n_items++] = word;
        words->items[words->n_items] = NULL;
        return true;
}

bool words_add(struct words *words, const char *word)
{
        return words_take(words, strdup(word));
}

bool words_addf(struct words *words, const char *format, ...)
{
        char *word = NULL;
        va_list args;
        int r;

        va_start(args, format);
        r = vasprintf(&word, format, args);
        va_end(args);
        return r >= 0 && words_take(words, word);
}

bool words_extend(struct words *words, const char *const *items, size_t n_items)
{
        for (size_t i = 0; i < n_items; i++)
                if (!words_add(words, items[i]))
                        return false;
        return true;
}

bool words_contain(const struct words *words, const char *word)
{
        for (size_t i = 0; i < words->n_items; i++)
                if (strcmp(words->items[i], word) == 0)
                        return true;
        return false;
}

void run_log(const struct runner *runner, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        vdprintf(runner->log_fd, format, args);
        va_end(args);
        dprintf(runner->log_fd, "\n");
}

int run_fault(const struct runner *runner, struct error *err, const char *format, ...)
{
        char cause[sizeof(err->cause)], next[sizeof(err->next)];
        va_list args;

        va_start(args, format);
        vsnprintf(cause, sizeof(cause), format, args);
        va_end(args);
        snprintf(next, sizeof(next), "the log %s tells more", runner->log_path);
        run_log(runner, "fault: %s", cause);
        return error_set(err, EXIT_CODE_ERROR, 0, next, "%s", cause);
}

/*
 * How well a line tells why a command failed: a compiler's word is better than that of a tool which
 * only says that what it called has failed.
 */
static int line_weight(const char *line)
{
        static const char *const marks[] = { "E: ", "error:", "Error", "FAILED", "fatal" };
        static const char *const callers[] = { "dpkg-buildpackage: ", "dh_auto_", "make", "debian/" };

        for (size_t i = 0; i < ARRAY_SIZE(callers); i++)
                if (strncmp(line, callers[i], strlen(callers[i])) == 0)
                        return 1;
        for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
                if (strstr(line, marks[i]))
                        return 2;
        return 0;
}

/* The line of the log that tells it best, the last of them, among those written from `from` on. */
static void log_last_line(const struct runner *runner, off_t from, char *ret, size_t size)
{
        char tail[LOG_TAIL_BYTES + 1];
        off_t end = lseek(runner->log_fd, 0, SEEK_END);
        ssize_t n;
        char *line, *next, *telling = NULL;
        int weight, best = 0;

        ret[0] = '\0';
        if (end - from > LOG_TAIL_BYTES)
                from = end - LOG_TAIL_BYTES;
        n = pread(runner->log_fd, tail, LOG_TAIL_BYTES, from);
        if (n <= 0)
                return;
        tail[n] = '\0';
        for (line = strtok_r(tail, "\n", &next); line; line = strtok_r(NULL, "\n", &next)) {
                weight = line_weight(line);
                if (weight < best)
                        continue;
                best = weight;
                telling = line;
        }
        if (telling)
                snprintf(ret, size, "%s", telling);
}

/* The last three lines that are not empty, one behind the other. */
static void log_last_lines(const struct runner *runner, off_t from, char *ret, size_t size)
{
        char tail[LOG_TAIL_BYTES + 1];
        const char *lines[3] = { "", "", "" };
        off_t end = lseek(runner->log_fd, 0, SEEK_END);
        ssize_t n;
        char *line, *next;

        if (end - from > LOG_TAIL_BYTES)
                from = end - LOG_TAIL_BYTES;
        n = pread(runner->log_fd, tail, LOG_TAIL_BYTES, from);
        tail[n > 0 ? n : 0] = '\0';
        for (line = strtok_r(tail, "\n", &next); line; line = strtok_r(NULL, "\n", &next)) {
                lines[0] = lines[1];
                lines[1] = lines[2];
                lines[2] = line;
        }
        snprintf(ret, size, "%.120s%s%.120s%s%.120s", lines[0], lines[0][0] ? " | " : "", lines[1],
                 lines[1][0] ? " | " : "", lines[2]);
}

/* The first lines, three at most, that say "error:", one behind the other. */
static void log_first_errors(const struct runner *runner, off_t from, char *ret, size_t size)
{
        char head[LOG_TAIL_BYTES + 1];
        ssize_t n = pread(runner->log_fd, head, LOG_TAIL_BYTES, from);
        size_t used = 0, n_lines = 0;
        char *line, *next;

        ret[0] = '\0';
        head[n > 0 ? n : 0] = '\0';
        for (line = strtok_r(head, "\n", &next); line && n_lines < 3;
             line = strtok_r(NULL, "\n", &next)) {
                if (!strstr(line, "error:") || used + 4 >= size)
                        continue;
                snprintf(ret + used, size - used, "%s%s", n_lines++ ? " | " : "", line);
                used = strlen(ret);
        }
}

static void log_command(const struct runner *runner, const char *what, const struct words *argv)
{
        run_log(runner, "\n# %s", what);
        dprintf(runner->log_fd, "$");
        for (size_t i = 0; i < argv->n_items; i++)
                dprintf(runner->log_fd, " %s", argv->items[i]);
        dprintf(runner->log_fd, "\n");
}

static bool make_command_line(const struct words *argv, const struct run_options *options,
                              enum run_isolation isolation, struct words *ret)
{
        static const char *const tied[] = { "setpriv", "--pdeathsig", "KILL", "--" };
        static const char *const apart[] = {
                "unshare", "--mount", "--propagation", "private", "--pid", "--fork",
                "--kill-child=KILL", "--mount-proc",
        };
        static const char *const cut_off[] = { "--net", "--ipc", "--uts" };
        bool ok = words_extend(ret, tied, ARRAY_SIZE(tied));

        if (isolation != RUN_PLAIN)
                ok = ok && words_extend(ret, apart, ARRAY_SIZE(apart)) &&
                     (!options->no_network || words_extend(ret, cut_off, ARRAY_SIZE(cut_off))) &&
                     (isolation != RUN_APART_AS_USER ||
                      words_add(ret, options->as_owner ? "--map-root-user"
                                                       : "--map-current-user")) &&
                     words_add(ret, "--");
        return ok && words_extend(ret, (const char *const *)argv->items, argv->n_items);
}

/* Those of our own variables that the caller does not set otherwise. */
static bool add_own_environment(const struct run_options *options, struct words *ret)
{
        for (char **own = environ; *own; own++) {
                size_t length = strcspn(*own, "=") + 1;
                bool replaced = false;

                for (size_t i = 0; i < options->n_environment; i++)
                        replaced = replaced ||
                                   strncmp(options->environment[i], *own, length) == 0;
                if (!replaced && !words_add(ret, *own))
                        return false;
        }
        return true;
}

static bool make_environment(const struct run_options *options, struct words *ret)
{
        static const char *const clean[] = {
                ("PATH=" RUN_PATH), "LC_ALL=C.UTF-8", "HOME=/nonexistent",
                "DEBIAN_FRONTEND=noninteractive",
        };

        if (options->own_environment)
                return add_own_environment(options, ret) &&
                       words_extend(ret, options->environment, options->n_environment);
        return words_extend(ret, clean, ARRAY_SIZE(clean)) &&
               words_extend(ret, options->environment, options->n_environment);
}

static int spawn(const struct runner *runner, const struct words *line,
                 const struct words *environment, const char *directory, int output_fd,
                 pid_t *ret)
{
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none, defaults;
        int r;

        sigemptyset(&none);
        sigfillset(&defaults);
        posix_spawn_file_actions_init(&actions);
        posix_spawnattr_init(&attributes);
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_adddup2(&actions, output_fd, 1);
        posix_spawn_file_actions_adddup2(&actions, runner->log_fd, 2);
        posix_spawn_file_actions_addchdir_np(&actions, directory);
        posix_spawnattr_setpgroup(&attributes, 0);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setsigdefault(&attributes, &defaults);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                      POSIX_SPAWN_SETSIGDEF);
        r = posix_spawn(ret, "/usr/bin/setpriv", &actions, &attributes, line->items,
                        environment->items);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
        return -r;
}

/* Whether a command with nothing to do can be run in that way. */
static bool can_run(enum run_isolation isolation)
{
        static const struct run_options cut_off = { .no_network = true };
        _cleanup_words_ struct words argv = { 0 }, line = { 0 }, environment = { 0 };
        _cleanup_close_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        const struct runner quiet = { .log_fd = null_fd };
        int status = 1;
        pid_t pid;

        if (null_fd < 0 || !words_add(&argv, "true") ||
            !make_command_line(&argv, &cut_off, isolation, &line) ||
            !make_environment(&cut_off, &environment) ||
            spawn(&quiet, &line, &environment, "/", null_fd, &pid) < 0)
                return false;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return status == 0;
}

enum run_isolation run_isolation(void)
{
        static enum run_isolation known; /* it does not change while a process lives */

        if (known)
                return known;
        if (geteuid() == 0 && can_run(RUN_APART))
                known = RUN_APART;
        else if (can_run(RUN_APART_AS_USER))
                known = RUN_APART_AS_USER;
        else
                known = RUN_PLAIN;
        return known;
}

static void kill_group(pid_t pid)
{
        int status;

        kill(-pid, SIGKILL);
        kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
}

/* Takes what the command wrote; true at its end. */
static int drain(int fd, struct buffer *output, size_t max, bool *ret_end)
{
        char chunk[16384];
        ssize_t n = read(fd, chunk, sizeof(chunk));

        if (n < 0)
                return errno == EINTR || errno == EAGAIN ? 0 : -errno;
        *ret_end = n == 0;
        if (output->size + (size_t)n > max)
                return -EFBIG;
        return buffer_append(output, chunk, (size_t)n) ? 0 : -ENOMEM;
}

/* Waits for the end of the command; 0 and its wait status, or a negative errno (it is killed). */
static int watch(const struct runner *runner, pid_t pid, int pid_fd, int output_fd,
                 const struct run_options *options, int *ret_status)
{
        size_t max = options->max_output ? options->max_output : DEFAULT_MAX_OUTPUT;
        struct pollfd fds[] = { { pid_fd, POLLIN, 0 }, { output_fd, POLLIN, 0 } };
        int r = 0;

        for (;;) {
                bool end = false;

                if (poll(fds, ARRAY_SIZE(fds), POLL_INTERVAL_MS) < 0 && errno != EINTR)
                        r = -errno;
                if (r == 0 && fds[1].revents) {
                        r = drain(output_fd, options->output, max, &end);
                        if (end)
                                fds[1].fd = -1;
                }
                if (r == 0 && runner->interrupted && runner->interrupted(runner->context))
                        r = -EINTR;
                if (r < 0) {
                        kill_group(pid);
                        return r;
                }
                if (fds[0].revents && fds[1].fd < 0)
                        break;
        }
        while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
                ;
        return 0;
}

static int judge(const struct runner *runner, int status, off_t log_start, const char *what,
                 const struct run_options *options, struct error *err)
{
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        char line[400];

        if (options->status) {
                *options->status = code;
                return 0;
        }
        if (code == 0)
                return 0;
        line[0] = '\0';
        if (options->quote == RUN_QUOTE_FIRST_ERRORS)
                log_first_errors(runner, log_start, line, sizeof(line));
        if (options->quote == RUN_QUOTE_LAST_LINES)
                log_last_lines(runner, log_start, line, sizeof(line));
        if (!line[0])
                log_last_line(runner, log_start, line, sizeof(line));
        return run_fault(runner, err, "%s failed with exit status %d%s%s", what, code,
                         line[0] ? ": " : "", line);
}

int run_command(const struct runner *runner, const struct words *argv, const char *what,
                const struct run_options *options, struct error *err)
{
        static const struct run_options plain = { 0 };
        _cleanup_words_ struct words line = { 0 }, environment = { 0 };
        _cleanup_close_ int read_fd = -1, write_fd = -1, pid_fd = -1;
        off_t log_start;
        pid_t pid;
        int r, status = 0, ends[2];

        options = options ? options : &plain;
        if (!make_command_line(argv, options, run_isolation(), &line) ||
            !make_environment(options, &environment))
                return error_no_memory(err);
        log_command(runner, what, argv);
        log_start = lseek(runner->log_fd, 0, SEEK_END);
        if (options->output) {
                if (pipe2(ends, O_CLOEXEC) < 0)
                        return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't make a pipe");
                read_fd = ends[0];
                write_fd = ends[1];
        }
        r = spawn(runner, &line, &environment, options->directory ? options->directory : "/",
                  options->output ? write_fd : runner->log_fd, &pid);
        if (r < 0)
                return error_set(err, EXIT_CODE_ERROR, -r, "install util-linux",
                                 "%s could not be started", what);
        if (write_fd >= 0)
                close(steal_fd(&write_fd));
        pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (pid_fd < 0) {
                r = -errno;
                kill_group(pid);
                return error_set(err, EXIT_CODE_ERROR, -r, NULL, "%s can't be watched", what);
        }
        r = watch(runner, pid, pid_fd, read_fd, options, &status);
        if (r == -EINTR)
                return error_set(err, EXIT_CODE_ERROR, EINTR,
                                 "run it again: what was finished is kept in the cache",
                                 "%s was stopped", what);
        if (r < 0)
                return error_set(err, EXIT_CODE_ERROR, -r, NULL, "%s was given up", what);
        return judge(runner, status, log_start, what, options, err);
}

int run_list(const struct runner *runner, const char *what, const struct run_options *options,
             struct error *err, const char *const *argv)
{
        _cleanup_words_ struct words words = { 0 };

        for (size_t i = 0; argv[i]; i++)
                if (!words_add(&words, argv[i]))
                        return error_no_memory(err);
        return run_command(runner, &words, what, options, err);
}
