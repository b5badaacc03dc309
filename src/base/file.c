/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int file_read_fd(int fd, const char *name, size_t max_bytes, struct buffer *ret, struct error *err)
{
        _cleanup_buffer_ struct buffer buffer = { 0 };
        uint8_t chunk[16384];

        for (;;) {
                ssize_t n = read(fd, chunk, sizeof(chunk));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't read %s", name);
                if (n == 0)
                        break;
                if (buffer.size + (size_t)n > max_bytes)
                        return error_set(err, EXIT_CODE_ERROR, EFBIG, NULL,
                                         "%s is larger than the %zu bytes allowed", name,
                                         max_bytes);
                if (!buffer_append(&buffer, chunk, (size_t)n))
                        return error_no_memory(err);
        }
        if (!buffer.data && !buffer_append(&buffer, "", 0))
                return error_no_memory(err);
        *ret = buffer;
        buffer = (struct buffer){ 0 };
        return 0;
}

int file_read(const char *path, size_t max_bytes, struct buffer *ret, struct error *err)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

        if (fd < 0)
                return error_set(err,
                                 errno == EACCES || errno == EPERM ? EXIT_CODE_PERMISSION
                                                                   : EXIT_CODE_ERROR,
                                 errno, NULL, "can't open %s", path);
        return file_read_fd(fd, path, max_bytes, ret, err);
}

int file_write_all(int fd, const void *data, size_t size)
{
        const uint8_t *bytes = data;

        while (size > 0) {
                ssize_t n = write(fd, bytes, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                bytes += n;
                size -= (size_t)n;
        }
        return 0;
}

int file_write_atomic(const char *path, const void *data, size_t size, mode_t mode,
                      struct error *err)
{
        _cleanup_free_ char *temporary = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
                temporary = NULL;
                return error_no_memory(err);
        }
        fd = mkostemp(temporary, O_CLOEXEC);
        if (fd < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, "check that the folder exists and may be written",
                                 "can't create a file beside %s", path);
        r = file_write_all(fd, data, size);
        if (r == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
                r = -errno;
        if (r == 0 && rename(temporary, path) < 0)
                r = -errno;
        if (r < 0) {
                unlink(temporary);
                return error_set(err, EXIT_CODE_ERROR, -r,
                                 "nothing was changed; free space or choose another place",
                                 "can't write %s", path);
        }
        return 0;
}

int file_append(const char *path, const void *data, size_t size, struct error *err)
{
        _cleanup_close_ int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
        int r;

        if (fd < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't open %s", path);
        r = file_write_all(fd, data, size);
        if (r == 0 && fsync(fd) < 0)
                r = -errno;
        if (r < 0)
                return error_set(err, EXIT_CODE_ERROR, -r, NULL, "can't write %s", path);
        return 0;
}

int directory_make(const char *path, mode_t mode, struct error *err)
{
        _cleanup_free_ char *copy = strdup(path);

        if (!copy)
                return error_no_memory(err);
        for (char *slash = copy + 1;; slash++) {
                char saved;

                slash += strcspn(slash, "/");
                saved = *slash;
                *slash = '\0';
                if (mkdir(copy, mode) < 0 && errno != EEXIST)
                        return error_set(err, EXIT_CODE_ERROR, errno, NULL,
                                         "can't make the folder %s", copy);
                *slash = saved;
                if (!saved)
                        return 0;
        }
}
