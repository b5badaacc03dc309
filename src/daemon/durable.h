/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Small files that a power cut can't tear: whoever reads one sees the old content or the new one,
 * and what was reported as done stays done.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "base/buffer.h"
#include "base/error.h"

#define DURABLE_TEMPORARY ".tmp-" /* names of files that are being written begin so */

/* Opens a folder for the functions below, making it and its parents where `make` is set. */
int durable_open_folder(const char *path, bool make, mode_t mode, int *ret_fd, struct error *err);

/*
 * Replaces `name` in the folder: a temporary file, fsync, rename, fsync of the folder. On a fault
 * before the rename the old file is whole and nothing is left behind.
 */
int durable_write(int folder, const char *name, const void *data, size_t size, mode_t mode,
                  struct error *err);
/* Removes `name` and syncs the folder; that it is not there is no fault. */
int durable_remove(int folder, const char *name, struct error *err);
/*
 * Reads a regular file; no symbolic link is followed. -ENOENT (with `err` filled) if it is not
 * there.
 */
int durable_read(int folder, const char *name, size_t max_bytes, struct buffer *ret,
                 struct error *err);
/* Removes temporary files that killed writers left. Call only where no other writer can be. */
void durable_clean(int folder);
