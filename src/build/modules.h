/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Pairs of a shipped module and the one rebuilt from its source. */
#include "build/prove.h"
#include "build/rebuild.h"

struct module_pair {
        char *name;               /* soname, or the file name of a program */
        char *package, *version;  /* the binary package, NULL in a project */
        char *shipped_path, *rebuilt_path;
        struct buffer shipped_bytes, rebuilt_bytes; /* what the views point to */
        struct elf_view shipped, rebuilt;
        struct build_id build_id; /* of the shipped one */
        struct build_proof proof;
        bool named;               /* by the caller, as a file */
        int proven;               /* 0, or PROVE_DIFFERENT and why: */
        struct error difference;
};

struct module_pairs {
        struct module_pair *items;
        size_t n_items;
};
void module_pairs_done(struct module_pairs *pairs);

/*
 * Reads, pairs and compares what request->binaries names: a file must be found among what was
 * built, by soname or file name; of a folder, all modules below it that are, by their place first.
 * Without any, it is request->built_modules, already made; else every module of the installed
 * packages that are built from this version of the source; in a project what was built, as it lies
 * there. None is a fault. Files with one build ID are one module.
 */
int module_pairs_find(const struct store *store, const struct rebuilt *rebuilt,
                      const struct source_package *source, const struct build_request *request,
                      struct module_pairs *ret, struct error *err);

/* All modules that were built, as paths on the host; none is a fault. */
int modules_list_built(const struct rebuilt *rebuilt, struct words *ret, struct error *err);
/* Such a path as it is in the package, "/usr/lib/..."; in a project, as it is below the tree. */
const char *modules_path_in_package(const struct rebuilt *rebuilt, const char *built);
