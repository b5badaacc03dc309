/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A root to build in holds files of many users, so one user is not enough: the range of IDs that the
 * machine's administrator gave to the user is mapped too. Only newuidmap may do that, and from outside
 * of the namespace: a child that was started before waits for it, and calls it.
 */
#include "build/userns.h"

#include <errno.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/file.h"
#include "base/buffer.h"

/* The builder's ID in the roots is below that (ROOT_BUILDER). */
enum { MIN_RANGE = 65535, MAX_TABLE_BYTES = 16 << 20, LINE_SIZE = 256, NUMBER_SIZE = 16 };

struct range {
        unsigned start, count;
};

bool userns_find_range(const char *text, const char *user, const char *uid, unsigned *ret_start,
                       unsigned *ret_count)
{
        for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
                size_t length = strcspn(text, ":\n");
                char line[LINE_SIZE];

                if (text[length] != ':' ||
                    ((strlen(user) != length || strncmp(text, user, length) != 0) &&
                     (strlen(uid) != length || strncmp(text, uid, length) != 0)))
                        continue;
                snprintf(line, sizeof(line), "%.*s", (int)strcspn(text, "\n"), text);
                if (sscanf(line + length, ":%u:%u", ret_start, ret_count) == 2)
                        return true;
        }
        return false;
}

static int read_range(const char *path, const char *user, const char *uid, struct range *ret,
                      struct error *err)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        char next[sizeof(err->next)];

        if (file_read(path, MAX_TABLE_BYTES, &text, NULL) == 0 && text.size > 0 &&
            userns_find_range((char *)text.data, user, uid, &ret->start, &ret->count) &&
            ret->count >= MIN_RANGE)
                return 0;
        snprintf(next, sizeof(next),
                 "run it as root; or let root give you a range: usermod --add-subuids 100000-165535 "
                 "--add-subgids 100000-165535 %s", user);
        return error_set(err, EXIT_CODE_PERMISSION, 0, next,
                         "a build without root needs %d IDs of its own, and %s has no such range for "
                         "%s", MIN_RANGE, path, user);
}

static void run_mapper(const char *program, const char *pid, unsigned own,
                       const struct range *range)
{
        char self[NUMBER_SIZE], start[NUMBER_SIZE], count[NUMBER_SIZE];

        snprintf(self, sizeof(self), "%u", own);
        snprintf(start, sizeof(start), "%u", range->start);
        snprintf(count, sizeof(count), "%u", range->count);
        execlp(program, program, pid, "0", self, "1", "1", start, count, (char *)NULL);
        _exit(127);
}

/* In the child: waits for the parent's namespace, then maps users, then groups. */
static void map_parent(int ready_fd, const struct range *users, const struct range *groups)
{
        unsigned uid = getuid(), gid = getgid();
        char pid[NUMBER_SIZE], byte;
        int status = 0;
        pid_t mapper;

        snprintf(pid, sizeof(pid), "%d", (int)getppid());
        if (read(ready_fd, &byte, 1) != 1)
                _exit(1);
        mapper = fork();
        if (mapper == 0)
                run_mapper("newuidmap", pid, uid, users);
        if (mapper < 0 || waitpid(mapper, &status, 0) < 0 || status != 0)
                _exit(1);
        run_mapper("newgidmap", pid, gid, groups);
}

static int enter(const struct range *users, const struct range *groups, struct error *err)
{
        _cleanup_close_ int read_fd = -1, write_fd = -1;
        int ends[2], status = 0, r = 0;
        pid_t child;

        if (pipe(ends) < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't make a pipe");
        read_fd = ends[0];
        write_fd = ends[1];
        child = fork();
        if (child == 0) {
                close(write_fd);
                map_parent(read_fd, users, groups);
        }
        if (child < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't start a process");
        if (unshare(CLONE_NEWUSER) < 0)
                r = error_set(err, EXIT_CODE_PERMISSION, errno,
                              "run it as root, or let root allow user namespaces "
                              "(sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone)",
                              "a build without root needs a user namespace");
        else if (write(write_fd, "x", 1) != 1)
                r = error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't write to a pipe");
        close(steal_fd(&write_fd));
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
                ;
        if (r == 0 && status != 0)
                r = error_set(err, EXIT_CODE_PERMISSION, 0,
                              "run it as root, or check /etc/subuid and /etc/subgid",
                              "newuidmap does not map the range of IDs that the build needs");
        return r;
}

int userns_enter(struct error *err)
{
        const struct passwd *user = getpwuid(getuid());
        struct range users = { 0 }, groups = { 0 };
        char uid[NUMBER_SIZE];
        int r;

        snprintf(uid, sizeof(uid), "%u", (unsigned)getuid());
        if (access("/usr/bin/newuidmap", X_OK) < 0)
                return error_set(err, EXIT_CODE_PERMISSION, 0,
                                 "run it as root, or apt-get install uidmap",
                                 "a build without root needs newuidmap, which is not installed");
        r = read_range("/etc/subuid", user ? user->pw_name : uid, uid, &users, err);
        if (r == 0)
                r = read_range("/etc/subgid", user ? user->pw_name : uid, uid, &groups, err);
        return r < 0 ? r : enter(&users, &groups, err);
}
