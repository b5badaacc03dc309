/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Reads the lines of an audit log in order, over all its files, and goes on as it grows. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

enum audit_reader_outcome {
        AUDIT_READER_END = 1,   /* nothing more yet; ask again when something was written */
};

struct audit_reader;

struct audit_reader_line {
        const char *data;       /* without its newline; valid until the next call */
        size_t size;
        uint32_t part;          /* number of the file, 0 for the newest */
        uint64_t number;        /* of the line in its file, from 1 */
        uint64_t offset;        /* of its first byte in its file */
};

/* From the first line of the first file; with `single` only `path` itself. */
int audit_reader_open(const char *path, bool single, struct audit_reader **ret, struct error *err);
struct audit_reader *audit_reader_close(struct audit_reader *reader);
DEFINE_CLEANUP(struct audit_reader *, audit_reader_close)

/* 0 and a line; AUDIT_READER_END, also where a line has no newline yet; or a fault. */
int audit_reader_next(struct audit_reader *reader, struct audit_reader_line *ret,
                      struct error *err);
/* What stands behind the last whole line. */
size_t audit_reader_rest(const struct audit_reader *reader, const char **ret);
