/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Debian source packages: exactly one version, from the archive, the cache or a local tree. */
#include "build/aptstate.h"

struct source_package {
        char *name, *version;
        char *folder;                /* holds the .dsc and all files it names */
        char *dsc;                   /* file name of the .dsc in there */
        char *tree;                  /* instead of both: a local tree */
        char *place;                 /* of the tree in a root; NULL: below /build */
        const char *command;         /* a project's, for sh -ec; NULL: built as a Debian package */
        const char *const *depends;  /* packages that the command needs */
        size_t n_depends;
        char *key;                   /* hash of the .dsc or tree, for names of what is made of it */
};
void source_package_done(struct source_package *source);

/* Debian policy 5.6.1 and 5.6.12: they become parts of paths and of command lines. */
bool source_name_is_valid(const char *name, const char *version);

/*
 * Takes it from the cache or fetches it with apt (which checks Debian's signatures). Where
 * the archive does not have it, the fault says what was tried and where to put the files by hand.
 * `name` and `version` are checked against the forms that Debian policy allows.
 */
int source_package_fetch(const struct store *store, const struct apt_state *apt, const char *name,
                         const char *version, struct source_package *ret, struct error *err);
