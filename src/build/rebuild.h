/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* The original, built again in a root of its own: sources, objects, modules and every command. */
#include "build/root.h"

struct rebuilt {
        char *root;        /* the root on the host */
        char *tree;        /* the unpacked and built source, as a path in the root */
        char *packages;    /* on the host: a folder for each binary package, unpacked;
                              NULL: what was built is in the tree */
        char *work;        /* of this run alone, as a path in the root; not made yet */
        char *command;     /* that a project was built with; NULL: built as a Debian package */
        char *command_log; /* what the compiler wrapper noted, on the host; NULL: ROOT_COMMAND_LOG */
        bool from_cache;
};
void rebuilt_done(struct rebuilt *rebuilt);

/*
 * Builds the architecture-dependent packages of `source`, a package or a local tree, without
 * stripping and without running its tests, or takes the result of an earlier run.
 */
int rebuild_original(const struct store *store, const struct apt_state *apt,
                     const struct source_package *source, struct rebuilt *ret, struct error *err);

/*
 * Names the work folder of this run, and clears those of runs that were killed; `root` and `tree`
 * are set.
 */
int rebuilt_name_work(const struct store *store, struct rebuilt *rebuilt, struct error *err);
/* Makes it, if it is not there, for the builder to write to. */
int rebuilt_make_work(const struct store *store, const struct rebuilt *rebuilt, struct error *err);
