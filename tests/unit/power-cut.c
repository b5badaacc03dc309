/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Contents are kept by number: a file gets one when it is first written to, and names lead to
 * numbers. `disk` is what is there for certain; `pending` are the changes of names on top of it.
 */
#include "power-cut.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"

#define MAX_FILES 64
#define MAX_PENDING 8

struct content {
        struct buffer bytes;
        bool synced;
};

struct name {
        char name[256];
        int content;            /* -1: no such name */
};

static struct {
        char folder[PATH_MAX], image[PATH_MAX];
        void (*check)(const char *image);
        bool checking;
        struct content contents[MAX_FILES];
        size_t n_contents;
        struct name disk[MAX_FILES], pending[MAX_PENDING], temporary;
        size_t n_disk, n_pending;
} power;
size_t power_cut_images;

ssize_t __real_write(int fd, const void *data, size_t size);
int __real_fsync(int fd);
int __real_renameat(int from, const char *old, int to, const char *new);
int __real_unlinkat(int folder, const char *name, int flags);

static void fail(const char *what)
{
        fprintf(stderr, "power cut: %s\n", what);
        abort();
}

static void set_name(struct name *names, size_t *n, size_t max, const char *name, int content)
{
        size_t i = 0;

        while (i < *n && strcmp(names[i].name, name) != 0)
                i++;
        if (i == max)
                fail("too many names");
        snprintf(names[i].name, sizeof(names[i].name), "%s", name);
        names[i].content = content;
        *n = i == *n ? i + 1 : *n;
}

static void empty(const char *folder)
{
        DIR *directory = opendir(folder);
        struct dirent *entry;

        while (directory && (entry = readdir(directory)))
                __real_unlinkat(dirfd(directory), entry->d_name, 0);
        if (directory)
                closedir(directory);
}

static void put(const struct name *name, size_t cut)
{
        struct content *content = &power.contents[name->content];
        _cleanup_free_ char *path = NULL;
        FILE *file;

        if (asprintf(&path, "%s/%s", power.image, name->name) < 0)
                fail("no memory");
        file = fopen(path, "w");
        if (!file || fwrite(content->bytes.data, 1, content->synced ? content->bytes.size
                                                                    : cut, file) == SIZE_MAX ||
            fclose(file) != 0)
                fail("can't make an image");
}

/* The image with the pending changes in `mask`, and what is not synced cut at `cut`. */
static void try_image(unsigned mask, size_t cut)
{
        struct name names[MAX_FILES];
        size_t n = power.n_disk;

        memcpy(names, power.disk, sizeof(names));
        for (size_t i = 0; i < power.n_pending; i++)
                if (mask & 1u << i)
                        set_name(names, &n, MAX_FILES, power.pending[i].name,
                                 power.pending[i].content);
        if (power.temporary.content >= 0)
                set_name(names, &n, MAX_FILES, power.temporary.name, power.temporary.content);
        empty(power.image);
        for (size_t i = 0; i < n; i++)
                if (names[i].content >= 0)
                        put(&names[i], cut);
        power_cut_images++;
        power.check(power.image);
}

/* Cuts within [from, to] of what is not synced. */
static void try_all(size_t from, size_t to)
{
        power.checking = true;
        for (unsigned mask = 0; mask < 1u << power.n_pending; mask++)
                for (size_t cut = from; cut <= to; cut++)
                        try_image(mask, cut);
        power.checking = false;
}

/* The name of an open file of the watched folder; the folder's own is ".". */
static bool name_of(int fd, char ret[static 256])
{
        char link[64], path[PATH_MAX];
        size_t size = strlen(power.folder);
        ssize_t n;

        if (!power.check || power.checking)
                return false;
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, path, sizeof(path) - 1);
        if (n < 0)
                return false;
        path[n] = '\0';
        if (strncmp(path, power.folder, size) != 0 || (path[size] && path[size] != '/'))
                return false;
        snprintf(ret, 256, "%s", path[size] ? path + size + 1 : ".");
        return true;
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
        struct content *content;
        size_t before;
        char name[256];

        if (!name_of(fd, name))
                return __real_write(fd, data, size);
        if (power.temporary.content < 0 || strcmp(power.temporary.name, name) != 0) {
                if (power.n_contents == MAX_FILES)
                        fail("too many files");
                power.temporary.content = (int)power.n_contents++;
                snprintf(power.temporary.name, sizeof(power.temporary.name), "%s", name);
        }
        content = &power.contents[power.temporary.content];
        content->synced = false;
        before = content->bytes.size;
        if (!buffer_append(&content->bytes, data, size))
                fail("no memory");
        try_all(before, before + size);
        return __real_write(fd, data, size);
}

int __wrap_fsync(int fd)
{
        char name[256];

        if (power.checking)
                return 0; /* of an image: it need not last */
        if (!name_of(fd, name))
                return __real_fsync(fd);
        if (strcmp(name, ".") == 0) {
                for (size_t i = 0; i < power.n_pending; i++)
                        set_name(power.disk, &power.n_disk, MAX_FILES, power.pending[i].name,
                                 power.pending[i].content);
                power.n_pending = 0;
        } else if (strcmp(name, power.temporary.name) == 0 && power.temporary.content >= 0) {
                power.contents[power.temporary.content].synced = true;
        }
        try_all(0, 0);
        return __real_fsync(fd);
}

static void add_pending(const char *name, int content)
{
        if (power.n_pending == MAX_PENDING)
                fail("too many changes without a sync");
        power.pending[power.n_pending] = (struct name){ .content = content };
        snprintf(power.pending[power.n_pending].name, 256, "%s", name);
        power.n_pending++;
}

int __wrap_renameat(int from, const char *old, int to, const char *new)
{
        const struct content *content;
        char name[256];

        if (name_of(to, name)) {
                if (strcmp(power.temporary.name, old) != 0 || power.temporary.content < 0)
                        fail("renamed what was not written");
                add_pending(new, power.temporary.content);
                content = &power.contents[power.temporary.content];
                try_all(0, content->synced ? 0 : content->bytes.size);
                power.temporary.content = -1;
        }
        return __real_renameat(from, old, to, new);
}

int __wrap_unlinkat(int folder, const char *removed, int flags)
{
        char name[256];

        if (name_of(folder, name)) {
                add_pending(removed, -1);
                try_all(0, 0);
        }
        return __real_unlinkat(folder, removed, flags);
}

static void remember(const char *folder, const char *name)
{
        struct content *content = &power.contents[power.n_contents];
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/%s", folder, name) < 0 ||
            file_read(path, 64u << 20, &content->bytes, NULL) < 0)
                fail("can't read what is there");
        content->synced = true;
        set_name(power.disk, &power.n_disk, MAX_FILES, name, (int)power.n_contents++);
}

void power_cut_watch(const char *folder, void (*check)(const char *image))
{
        DIR *directory = opendir(folder);
        struct dirent *entry;

        snprintf(power.folder, sizeof(power.folder), "%s", folder);
        snprintf(power.image, sizeof(power.image), "/dev/shm/suture-image.XXXXXX");
        if (!mkdtemp(power.image))
                fail("no place for images");
        power.temporary.content = -1;
        while (directory && (entry = readdir(directory)))
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                        remember(folder, entry->d_name);
        if (!directory || closedir(directory) < 0)
                fail("no folder to watch");
        power_cut_images = 0;
        power.check = check;
}

void power_cut_check(void)
{
        try_all(0, 0);
}

void power_cut_end(void)
{
        for (size_t i = 0; i < power.n_contents; i++)
                buffer_done(&power.contents[i].bytes);
        empty(power.image);
        rmdir(power.image);
        memset(&power, 0, sizeof(power));
}
