/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The manifest of a patch file (suture-patch(5)): JSON to struct patch. What it says about the
 * file's sections and symbols is looked up by check.h.
 */
#include "patch/patch.h"

#define MANIFEST_MAX_BYTES (8u << 20)
#define MANIFEST_MAX_TARGETS 256
#define MANIFEST_MAX_SYMBOLS 16384 /* per target */
#define MANIFEST_MAX_SECTIONS 4096 /* per target */
#define MANIFEST_MAX_COLD 16       /* per function */
#define MANIFEST_MAX_LIST 1024     /* cves, fixes, supersedes */
#define MANIFEST_MAX_NAME 1024     /* bytes in the name of a symbol or section */

/*
 * Parses `text` and fills all of `patch` that comes from the manifest, except the indices of
 * symbols and sections, which check.h looks up. On a fault `patch` holds what manifest_done() can
 * free.
 */
int manifest_read(const void *text, size_t size, const char *file, struct patch *patch,
                  struct error *err);

/* The name of section `i` of target `t`, after manifest_read(). */
const char *manifest_section_name(const struct patch *patch, size_t t, size_t i);

/* Frees what manifest_read() made. */
void manifest_done(struct patch *patch);
