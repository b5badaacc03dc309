/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The newest file may be renamed at any moment. Its reader keeps the descriptor, reads it to the
 * end, finds under which number it now goes, and proceeds to the next higher one.
 */
#include "daemon/audit-reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include "base/buffer.h"
#include "daemon/audit-parts.h"

#define CHUNK 65536

struct audit_reader {
        char *path;
        bool single;
        int fd;                 /* -1: the file at the path is not there yet */
        uint32_t part;
        uint64_t line, offset;  /* of what begins at `start` */
        struct buffer data;
        size_t start;
};

struct audit_reader *audit_reader_close(struct audit_reader *reader)
{
        if (reader) {
                cleanup_close(&reader->fd);
                buffer_done(&reader->data);
                free(reader->path);
                free(reader);
        }
        return NULL;
}

static int open_part(struct audit_reader *reader, uint32_t number, struct error *err)
{
        _cleanup_free_ char *path = audit_part_path(reader->path, number);
        int fd;

        if (!path)
                return error_no_memory(err);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0 && !(errno == ENOENT && number == 0))
                return error_set(err, errno == EACCES ? EXIT_CODE_PERMISSION : EXIT_CODE_ERROR,
                                 errno, NULL, "can't open %s", path);
        cleanup_close(&reader->fd);
        reader->fd = fd;
        reader->part = number;
        reader->line = 1;
        reader->offset = 0;
        reader->start = 0;
        reader->data.size = 0;
        return 0;
}

/* Opens the file behind number `after`. */
static int open_next(struct audit_reader *reader, uint32_t after, struct error *err)
{
        _cleanup_(audit_parts_done) struct audit_parts parts = { 0 };
        uint32_t next = 0;
        int r = audit_parts_list(reader->path, &parts, err);

        if (r < 0)
                return r;
        for (size_t i = 0; i < parts.n_numbers && next == 0; i++)
                if (parts.numbers[i] > after)
                        next = parts.numbers[i];
        return open_part(reader, next, err);
}

int audit_reader_open(const char *path, bool single, struct audit_reader **ret, struct error *err)
{
        _cleanup_(audit_reader_closep) struct audit_reader *reader = calloc(1, sizeof(*reader));
        int r;

        if (!reader)
                return error_no_memory(err);
        reader->fd = -1;
        reader->single = single;
        reader->path = strdup(path);
        if (!reader->path || !buffer_append(&reader->data, "", 0))
                return error_no_memory(err);
        r = single ? open_part(reader, 0, err) : open_next(reader, 0, err);
        if (r == 0 && reader->fd < 0)
                r = error_set(err, EXIT_CODE_ERROR, ENOENT, NULL, "can't open %s", path);
        if (r < 0)
                return r;
        *ret = STEAL(reader);
        return 0;
}

/* Reads on in the open file. The number of bytes, 0 at its end, or negative. */
static ssize_t fill(struct audit_reader *reader, struct error *err)
{
        char chunk[CHUNK];
        ssize_t n;

        if (reader->fd < 0)
                return 0;
        if (reader->start > 0) {
                memmove(reader->data.data, reader->data.data + reader->start,
                        reader->data.size - reader->start);
                reader->data.size -= reader->start;
                reader->start = 0;
        }
        do
                n = read(reader->fd, chunk, sizeof(chunk));
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't read %s", reader->path);
        if (!buffer_append(&reader->data, chunk, (size_t)n))
                return error_no_memory(err);
        return n;
}

/* The number of the open file after it was renamed, 0 if it goes by none. */
static uint32_t find_number(const struct audit_reader *reader, const struct stat *own)
{
        _cleanup_(audit_parts_done) struct audit_parts parts = { 0 };

        audit_parts_list(reader->path, &parts, NULL);
        for (size_t i = 0; i < parts.n_numbers; i++) {
                _cleanup_free_ char *path = audit_part_path(reader->path, parts.numbers[i]);
                struct stat info;

                if (path && stat(path, &info) == 0 && info.st_ino == own->st_ino &&
                    info.st_dev == own->st_dev)
                        return parts.numbers[i];
        }
        return 0;
}

/* At the end of a file: 0 if there is another to read, END, or negative. */
static int proceed(struct audit_reader *reader, struct error *err)
{
        struct stat own, info;
        uint32_t number = reader->part;
        ssize_t n;

        if (reader->single)
                return AUDIT_READER_END;
        if (number == 0 && reader->fd < 0) {
                int r = open_part(reader, 0, err);

                return r < 0 || reader->fd >= 0 ? r : AUDIT_READER_END;
        }
        if (number == 0) {
                if (fstat(reader->fd, &own) < 0 ||
                    (stat(reader->path, &info) == 0 && info.st_ino == own.st_ino &&
                     info.st_dev == own.st_dev))
                        return AUDIT_READER_END;
                number = find_number(reader, &own);
                if (number == 0)
                        return AUDIT_READER_END;
                reader->part = number;
                n = fill(reader, err);
                if (n != 0)
                        return n < 0 ? (int)n : 0;
        }
        return open_next(reader, number, err);
}

int audit_reader_next(struct audit_reader *reader, struct audit_reader_line *ret,
                      struct error *err)
{
        for (;;) {
                size_t left = reader->data.size - reader->start;
                const char *data = (const char *)reader->data.data + reader->start;
                const char *newline = left ? memchr(data, '\n', left) : NULL;
                ssize_t n;
                int r;

                if (newline) {
                        *ret = (struct audit_reader_line){ data, (size_t)(newline - data),
                                                           reader->part, reader->line++,
                                                           reader->offset };
                        reader->offset += ret->size + 1;
                        reader->start += ret->size + 1;
                        return 0;
                }
                n = fill(reader, err);
                if (n < 0)
                        return (int)n;
                if (n > 0)
                        continue;
                r = proceed(reader, err);
                if (r != 0)
                        return r;
        }
}

size_t audit_reader_rest(const struct audit_reader *reader, const char **ret)
{
        *ret = (const char *)reader->data.data + reader->start;
        return reader->data.size - reader->start;
}
