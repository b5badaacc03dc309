/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finished things are found by name, unfinished ones are below tmp/ only. A run that was killed
 * leaves at most its folder in tmp/ (nothing is mounted there: mounts live in namespaces that died
 * with it), and whoever next gets the lock clears that.
 */
#include "build/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/file.h"
#include "base/hash.h"
#include "build/build.h"

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
                "apt", "sources", "bases", "builds", "logs", "tmp",
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
        store->log_path = store_path(store, "logs/%s-%s.log", date, label);
        if (!store->log_path)
                return error_no_memory(err);
        store->runner.log_fd = open(store->log_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (store->runner.log_fd < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't write the log %s",
                                 store->log_path);
        store->runner.log_path = store->log_path;
        return 0;
}

static int take_lock(struct store *store, struct error *err)
{
        _cleanup_free_ char *path = store_path(store, "lock");

        if (!path)
                return error_no_memory(err);
        store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (store->lock_fd < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't open %s", path);
        if (flock(store->lock_fd, LOCK_EX | LOCK_NB) == 0)
                return 0;
        if (errno != EWOULDBLOCK)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't lock %s", path);
        return error_set(err, EXIT_CODE_ERROR, EBUSY,
                         "wait for it, or name another folder with --cache",
                         "another build uses the cache %s", store->path);
}

/* What an earlier run left; the lock is held, so nobody uses it. */
static int empty_tmp(struct store *store, struct error *err)
{
        _cleanup_free_ char *tmp = store_path(store, "tmp");
        int r;

        store->temporary = store_path(store, "tmp/run");
        if (!tmp || !store->temporary)
                return error_no_memory(err);
        r = store_remove(store, tmp, err);
        return r < 0 ? r : directory_make(store->temporary, 0755, err);
}

int store_open(const char *path, const char *label, bool (*interrupted)(void *context),
               void *context, struct store **ret, struct error *err)
{
        _cleanup_(store_closep) struct store *store = calloc(1, sizeof(*store));
        int r;

        if (!store)
                return error_no_memory(err);
        store->lock_fd = store->runner.log_fd = -1;
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
                r = take_lock(store, err);
        if (r == 0)
                r = open_log(store, label, err);
        if (r == 0)
                r = empty_tmp(store, err);
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
        if (store->lock_fd >= 0)
                close(store->lock_fd);
        free(store->temporary);
        free(store->log_path);
        free(store->path);
        free(store);
        return NULL;
}
