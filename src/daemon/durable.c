/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file is written beside its place and renamed over it. Two syncs make that hold through a
 * power cut: of the file before the rename, so that the new name never leads to half a content,
 * and of the folder after it, so that the rename itself is on disk before it counts as done.
 */
#include "daemon/durable.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include "base/fault.h"
#include "base/file.h"

static int fault(struct error *err, const char *what, const char *name)
{
        return error_set(err, errno == EACCES || errno == EPERM ? EXIT_CODE_PERMISSION
                                                                : EXIT_CODE_ERROR,
                         errno, NULL, "can't %s %s", what, name);
}

int durable_open_folder(const char *path, bool make, mode_t mode, int *ret_fd, struct error *err)
{
        int fd, r;

        if (make) {
                r = directory_make(path, mode, err);
                if (r < 0)
                        return r;
        }
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return fault(err, "open the folder", path);
        *ret_fd = fd;
        return 0;
}

static int create_temporary(int folder, char *name, size_t name_size, struct error *err)
{
        for (int attempt = 0; attempt < 64; attempt++) {
                uint64_t number = 0;
                int fd;

                if (getrandom(&number, sizeof(number), 0) < 0)
                        return fault(err, "get", "random bytes");
                snprintf(name, name_size, DURABLE_TEMPORARY "%016llx", (unsigned long long)number);
                fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
                if (fd >= 0)
                        return fd;
                if (errno != EEXIST)
                        break;
        }
        return error_set(err, errno == EACCES || errno == EPERM ? EXIT_CODE_PERMISSION
                                                                : EXIT_CODE_ERROR,
                         errno, "check that the folder exists and may be written",
                         "can't create a temporary file");
}

static int fill_temporary(int fd, const void *data, size_t size, mode_t mode, struct error *err)
{
        int r;

        if (fault_here(FAULT_DURABLE_CREATED))
                return fault_set(FAULT_DURABLE_CREATED, err);
        r = file_write_all(fd, data, size);
        if (r == 0 && fault_here(FAULT_DURABLE_WRITTEN))
                return fault_set(FAULT_DURABLE_WRITTEN, err);
        if (r == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
                r = -errno;
        if (r < 0)
                return error_set(err, EXIT_CODE_ERROR, -r,
                                 "nothing was changed; free space or check the disk",
                                 "can't write the new content");
        if (fault_here(FAULT_DURABLE_SYNCED))
                return fault_set(FAULT_DURABLE_SYNCED, err);
        return 0;
}

static int sync_folder(int folder, const char *name, struct error *err)
{
        if (fsync(folder) < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, "check the disk",
                                 "%s was changed, but a power loss might undo it", name);
        return 0;
}

int durable_write(int folder, const char *name, const void *data, size_t size, mode_t mode,
                  struct error *err)
{
        char temporary[64];
        _cleanup_close_ int fd = create_temporary(folder, temporary, sizeof(temporary), err);
        int r;

        if (fd < 0) {
                error_prefix(err, "write %s", name);
                return fd;
        }
        r = fill_temporary(fd, data, size, mode, err);
        if (r == 0 && renameat(folder, temporary, folder, name) < 0)
                r = fault(err, "rename the new", name);
        if (r < 0) {
                unlinkat(folder, temporary, 0);
                error_prefix(err, "write %s", name);
                return r;
        }
        if (fault_here(FAULT_DURABLE_RENAMED))
                return fault_set(FAULT_DURABLE_RENAMED, err);
        return sync_folder(folder, name, err);
}

int durable_remove(int folder, const char *name, struct error *err)
{
        if (unlinkat(folder, name, 0) < 0)
                return errno == ENOENT ? 0 : fault(err, "remove", name);
        if (fault_here(FAULT_DURABLE_REMOVED))
                return fault_set(FAULT_DURABLE_REMOVED, err);
        return sync_folder(folder, name, err);
}

int durable_read(int folder, const char *name, size_t max_bytes, struct buffer *ret,
                 struct error *err)
{
        _cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
                                                              O_NONBLOCK | O_NOCTTY);
        struct stat info;

        if (fd < 0 && errno == ELOOP)
                return error_set(err, EXIT_CODE_ERROR, 0, NULL, "%s is a symbolic link", name);
        if (fd < 0 || fstat(fd, &info) < 0)
                return fault(err, "open", name);
        if (!S_ISREG(info.st_mode))
                return error_set(err, EXIT_CODE_ERROR, 0, NULL, "%s is no regular file", name);
        return file_read_fd(fd, name, max_bytes, ret, err);
}

void durable_clean(int folder)
{
        int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *directory = copy >= 0 ? fdopendir(copy) : NULL;
        struct dirent *entry;

        if (!directory) {
                cleanup_close(&copy);
                return;
        }
        while ((entry = readdir(directory)))
                if (strncmp(entry->d_name, DURABLE_TEMPORARY, strlen(DURABLE_TEMPORARY)) == 0)
                        unlinkat(folder, entry->d_name, 0);
        closedir(directory);
}
