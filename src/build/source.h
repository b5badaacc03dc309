/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Debian source packages: exactly one version, from the archive or from the cache. */
#include "build/aptstate.h"

struct source_package {
        const char *name, *version;  /* as asked for */
        char *folder;                /* holds the .dsc and all files it names */
        char *dsc;                   /* file name of the .dsc in there */
        char *key;                   /* hash of the .dsc, for names of what is made from it */
};
void source_package_done(struct source_package *source);

/*
 * Takes it from the cache or fetches it with apt (which checks Debian's signatures). Where
 * the archive does not have it, the fault says what was tried and where to put the files by hand.
 * `name` and `version` are checked against the forms that Debian policy allows.
 */
int source_package_fetch(const struct store *store, const struct apt_state *apt, const char *name,
                         const char *version, struct source_package *ret, struct error *err);
