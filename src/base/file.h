/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Files read whole with a limit, and written so that a reader sees the old or the new one. */
#include <stddef.h>
#include <sys/types.h>
#include "base/buffer.h"
#include "base/error.h"

/* Reads all of `path` (files of /proc included), at most `max_bytes`; more is a fault. */
int file_read(const char *path, size_t max_bytes, struct buffer *ret, struct error *err);
int file_read_fd(int fd, const char *name, size_t max_bytes, struct buffer *ret, struct error *err);

/* Writes all of it, however often it takes. 0, or a negative errno. */
int file_write_all(int fd, const void *data, size_t size);

/*
 * Replaces `path` with `data` in one step: a temporary file beside it, synced, renamed. On any
 * fault, a full disk included, the old file is whole and nothing is left behind.
 */
int file_write_atomic(const char *path, const void *data, size_t size, mode_t mode,
                      struct error *err);

/* Appends and syncs. */
int file_append(const char *path, const void *data, size_t size, struct error *err);

/* mkdir -p */
int directory_make(const char *path, mode_t mode, struct error *err);
