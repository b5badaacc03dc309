/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Pairs of a shipped module and the one rebuilt from its source. */
#include "build/prove.h"
#include "build/rebuild.h"

struct module_pair {
        char *name;               /* soname, or the file name of a program */
        char *package, *version;  /* the binary package */
        char *shipped_path, *rebuilt_path;
        struct buffer shipped_bytes, rebuilt_bytes; /* what the views point to */
        struct elf_view shipped, rebuilt;
        struct build_id build_id; /* of the shipped one */
        struct build_proof proof;
        int proven;               /* 0, or PROVE_DIFFERENT and why: */
        struct error difference;
};

struct module_pairs {
        struct module_pair *items;
        size_t n_items;
};
void module_pairs_done(struct module_pairs *pairs);

/*
 * Reads, pairs and compares. With `binaries`, each of them must be found among what was built, by
 * soname or file name. Without, it is every module of the installed packages that are built from
 * this version of the source; none is a fault.
 */
int module_pairs_find(const struct store *store, const struct rebuilt *rebuilt,
                      const struct source_package *source, const char *const *binaries,
                      size_t n_binaries, struct module_pairs *ret, struct error *err);
