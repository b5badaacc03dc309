/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* The original, built again in a root of its own: sources, objects, modules and every command. */
#include "build/root.h"

struct rebuilt {
        char *root;        /* the root on the host */
        char *tree;        /* the unpacked and built source, as a path in the root */
        char *packages;    /* on the host: one folder for each binary package, unpacked */
        bool from_cache;
};
void rebuilt_done(struct rebuilt *rebuilt);

/*
 * Builds the architecture-dependent packages of `source` without stripping and without running
 * its tests, or takes the result of an earlier run. `note` is told what is being done.
 */
int rebuild_original(const struct store *store, const struct apt_state *apt,
                     const struct source_package *source,
                     void (*note)(void *context, const char *text), void *context,
                     struct rebuilt *ret, struct error *err);
