/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finished things are found by name, unfinished ones are below tmp/ only, in a folder of each run
 * which is locked while the run lives. A run that was killed leaves at most that folder (nothing is
 * mounted there: mounts live in namespaces that died with it), and the next run clears it. Making
 * and locking a folder happens under one lock on tmp/, so that no new one is taken for a left-over.
 */
#include "build/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/array.h"
#include "base/file.h"
#include "base/hash.h"
#include "build/build.h"

enum { LOCK_POLL_NS = 100 * 1000 * 1000 };

char *build_default_cache(void)
{
        const char *folder = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

        if (geteuid() == 0)
                return strdup("/var/cache/suture");
        if (folder && folder[0] == '/')
                return path_format("%s/suture", folder);
        return path_format("%s/.cache/suture", home && home[0] == '/' ? home : "/tmp");
}

bool path_exists(const char *path)
{
        struct stat unused;

        return lstat(path, &unused) == 0;
}

char *path_format(const char *format, ...)
{
        char *path = NULL;
        va_list args;
        int r;

        va_start(args, format);
        r = vasprintf(&path, format, args);
        va_end(args);
        return r < 0 ? NULL : path;
}

void store_key(const char *text, char ret[static STORE_KEY_SIZE])
{
        struct sha256 hash = sha256_of(text, strlen(text));

        hex_encode(hash.bytes, (STORE_KEY_SIZE - 1) / 2, ret);
}

char *store_path(const struct store *store, const char *format, ...)
{
        _cleanup_free_ char *rest = NULL;
        va_list args;
        int r;

        va_start(args, format);
        r = vasprintf(&rest, format, args);
        va_end(args);
        if (r < 0) {
                rest = NULL;
                return NULL;
        }
        return path_format("%s/%s", store->path, rest);
}

int store_remove(const struct store *store, const char *path, struct error *err)
{
        static const struct runner unwatched = { 0 };
        struct runner runner = unwatched;

        runner.log_fd = store->runner.log_fd; /* not interrupted: it is part of tidying up */
        runner.log_path = store->log_path;
        return RUN(&runner, "removing a folder of the cache", NULL, err, "rm", "-rf",
                   "--one-file-system", "--", path);
}

int store_keep(const struct store *store, const char *temporary, const char *path,
               struct error *err)
{
        if (rename(temporary, path) < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, "check the cache folder",
                                 "can't move %s to %s", temporary, path);
        run_log(&store->runner, "kept %s", path);
        return 0;
}

static int make_folders(const struct store *store, struct error *err)
{
        static const char *const names[] = {
                "apt", "sources", "bases", "builds", "locks", "logs", "tmp",
        };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                _cleanup_free_ char *path = store_path(store, "%s", names[i]);
                int r;

                if (!path)
                        return error_no_memory(err);
                r = directory_make(path, 0755, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int open_log(struct store *store, const char *label, struct error *err)
{
        time_t now = time(NULL);
        struct tm tm;
        char date[32];

        gmtime_r(&now, &tm);
        strftime(date, sizeof(date), "%Y%m%dT%H%M%SZ", &tm);
        store->log_path = store_path(store, "logs/%s-%s-%d.log", date, label, (int)getpid());
        if (!store->log_path)
                return error_no_memory(err);
        store->runner.log_fd = open(store->log_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (store->runner.log_fd < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't write the log %s",
                                 store->log_path);
        store->runner.log_path = store->log_path;
        return 0;
}

bool store_interrupted(const struct store *store)
{
        return store->runner.interrupted && store->runner.interrupted(store->runner.context);
}

void store_note(const struct store *store, const char *text)
{
        if (store->note)
                store->note(store->note_context, text);
}

const char *store_run_name(const struct store *store)
{
        return strrchr(store->temporary, '/') + 1;
}

static int open_lock(const struct store *store, const char *name, int *ret_fd, struct error *err)
{
        _cleanup_free_ char *path = store_path(store, "locks/%s", name);

        if (!path)
                return error_no_memory(err);
        *ret_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (*ret_fd < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't open %s", path);
        return 0;
}

int store_lock(const struct store *store, const char *name, int *ret_fd, struct error *err)
{
        const struct timespec pause = { .tv_nsec = LOCK_POLL_NS };
        _cleanup_close_ int fd = -1;
        bool told = false;
        int r = open_lock(store, name, &fd, err);

        while (r == 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK && errno != EINTR)
                        return error_set(err, EXIT_CODE_ERROR, errno, NULL,
                                         "can't lock %s in the cache", name);
                if (store_interrupted(store))
                        return error_set(err, EXIT_CODE_ERROR, EINTR, "run it again",
                                         "waiting for another run was stopped");
                if (!told) {
                        store_note(store, "waiting for another suture build that makes the same");
                        run_log(&store->runner, "waiting for the lock %s", name);
                }
                told = true;
                nanosleep(&pause, NULL);
        }
        if (r < 0)
                return r;
        *ret_fd = steal_fd(&fd);
        return 0;
}

/* --- the folders of runs ----------------------------------------------------------------------- */

struct stale {
        char *path;
        int fd; /* has the lock, so no other run clears it too */
};

/* With the lock on tmp/: every folder that nobody has locked is of a run that is no more. */
static int find_stale(const struct store *store, struct stale **ret, size_t *ret_n,
                      struct error *err)
{
        _cleanup_free_ char *tmp = store_path(store, "tmp");
        DIR *folder = tmp ? opendir(tmp) : NULL;
        struct dirent *entry;
        int r = 0;

        if (!folder)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't read the cache");
        while (r == 0 && (entry = readdir(folder))) {
                struct stale *item;
                int fd;

                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                fd = openat(dirfd(folder), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
                if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
                        close(fd);
                        continue;
                }
                item = ARRAY_PUSH(*ret, *ret_n);
                if (item) {
                        item->path = path_format("%s/%s", tmp, entry->d_name);
                        item->fd = fd;
                } else if (fd >= 0) {
                        close(fd);
                }
                r = item && item->path ? 0 : error_no_memory(err);
        }
        closedir(folder);
        return r;
}

static int make_temporary(struct store *store, struct error *err)
{
        store->temporary = store_path(store, "tmp/run.XXXXXX");
        if (!store->temporary)
                return error_no_memory(err);
        if (!mkdtemp(store->temporary)) {
                free(store->temporary);
                store->temporary = NULL;
                return error_set(err, EXIT_CODE_ERROR, errno, "check the cache folder",
                                 "can't make a folder in %s/tmp", store->path);
        }
        store->temporary_fd = open(store->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (store->temporary_fd < 0 || chmod(store->temporary, 0755) < 0 ||
            flock(store->temporary_fd, LOCK_EX | LOCK_NB) < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't lock %s",
                                 store->temporary);
        return 0;
}

/* Left-overs are removed after the lock on tmp/ is let go: that takes a while. */
static int take_temporary(struct store *store, struct error *err)
{
        struct stale *stale = NULL;
        size_t n_stale = 0;
        int lock = -1, r = store_lock(store, "tmp", &lock, err);

        if (r == 0)
                r = find_stale(store, &stale, &n_stale, err);
        if (r == 0)
                r = make_temporary(store, err);
        if (lock >= 0)
                close(lock);
        for (size_t i = 0; i < n_stale; i++) {
                if (r == 0)
                        r = store_remove(store, stale[i].path, err);
                if (stale[i].fd >= 0)
                        close(stale[i].fd);
                free(stale[i].path);
        }
        free(stale);
        return r;
}

int store_remove_stale(const struct store *store, const char *path, struct error *err)
{
        DIR *folder = opendir(path);
        struct dirent *entry;
        int r = 0;

        if (!folder)
                return 0; /* nothing there */
        while (r == 0 && (entry = readdir(folder))) {
                _cleanup_free_ char *run = store_path(store, "tmp/%s", entry->d_name);
                _cleanup_free_ char *item = path_format("%s/%s", path, entry->d_name);

                if (!run || !item)
                        r = error_no_memory(err);
                else if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
                         !path_exists(run))
                        r = store_remove(store, item, err);
        }
        closedir(folder);
        return r;
}

int store_open(const char *path, const char *label, bool (*interrupted)(void *context),
               void *context, struct store **ret, struct error *err)
{
        _cleanup_(store_closep) struct store *store = calloc(1, sizeof(*store));
        int r;

        if (!store)
                return error_no_memory(err);
        store->temporary_fd = store->runner.log_fd = -1;
        store->runner.interrupted = interrupted;
        store->runner.context = context;
        r = directory_make(path, 0755, err);
        if (r < 0)
                return r;
        store->path = realpath(path, NULL);
        if (!store->path)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't use %s", path);
        r = make_folders(store, err);
        if (r == 0)
                r = open_log(store, label, err);
        if (r == 0)
                r = take_temporary(store, err);
        if (r < 0)
                return r;
        *ret = STEAL(store);
        return 0;
}

struct store *store_close(struct store *store)
{
        if (!store)
                return NULL;
        if (store->temporary)
                store_remove(store, store->temporary, NULL);
        if (store->runner.log_fd >= 0)
                close(store->runner.log_fd);
        if (store->temporary_fd >= 0)
                close(store->temporary_fd);
        free(store->temporary);
        free(store->log_path);
        free(store->path);
        free(store);
        return NULL;
}
