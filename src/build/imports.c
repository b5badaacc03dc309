/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A version is part of a symbol's name: without it the dynamic linker's choice could differ from
 * what a rebuilt program would get. It is known from the module itself if that imports the symbol
 * in some other way, from the fixed module if that was linked, or from the libraries that the
 * module needs.
 */
#include "build/imports.h"

#include <stdio.h>
#include <string.h>
#include "base/file.h"

enum { MAX_LIBRARY_BYTES = 1 << 30 };

static char *copy_version(const char *version, bool *failed)
{
        char *copy = version ? strdup(version) : NULL;

        *failed = *failed || (version && !copy);
        return copy;
}

/* Looks in a file for a definition, or for a wanted symbol. 1 if found. */
static int look_in_file(const char *path, const char *name, bool defined, char **ret_version)
{
        _cleanup_buffer_ struct buffer bytes = { 0 };
        _cleanup_free_ struct shipped_dynamic *dynamics = NULL;
        struct elf_view view;
        bool failed = false;
        size_t n = 0;

        if (file_read(path, MAX_LIBRARY_BYTES, &bytes, NULL) < 0 ||
            elf_view_open(bytes.data, bytes.size, path, &view, NULL) < 0 ||
            !shipped_read_dynamics(&view, &dynamics, &n))
                return -1;
        for (size_t i = 0; i < n; i++) {
                if (dynamics[i].defined != defined || strcmp(dynamics[i].name, name) != 0)
                        continue;
                *ret_version = copy_version(dynamics[i].version, &failed);
                return failed ? -1 : 1;
        }
        return 0;
}

static int look_in_library(const struct objects_target *target, const char *library,
                           const char *name, char **ret_version)
{
        for (size_t i = 0; i < target->n_library_paths; i++) {
                _cleanup_free_ char *path = NULL;
                int r;

                if (asprintf(&path, "%s/%s", target->library_paths[i], library) < 0) {
                        path = NULL;
                        return -1;
                }
                if (access(path, R_OK) != 0)
                        continue;
                r = look_in_file(path, name, true, ret_version);
                if (r >= 0)
                        return r;
        }
        return -1;
}

int import_find_version(const struct objects_target *target, const struct shipped *shipped,
                        const char *name, char **ret_version, struct error *err)
{
        const struct shipped_dynamic *dynamic = shipped_find_dynamic(shipped, name);
        bool missing = shipped->n_needed == 0, failed = false;

        *ret_version = NULL;
        if (dynamic) {
                *ret_version = copy_version(dynamic->version, &failed);
                return failed ? error_no_memory(err) : 0;
        }
        if (target->linked_fixed &&
            look_in_file(target->linked_fixed, name, false, ret_version) == 1)
                return 0;
        for (size_t i = 0; i < shipped->n_needed; i++) {
                int r = look_in_library(target, shipped->needed[i], name, ret_version);

                if (r == 1)
                        return 0;
                missing = missing || r < 0;
        }
        return missing ? IMPORT_UNKNOWN : IMPORT_NOWHERE;
}
