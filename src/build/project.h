/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* The original of a project that is no Debian package: built by its own command. */
#include "build/build.h"
#include "build/rebuild.h"

/*
 * What rebuild_original() needs of it. Name and version are those of debian/changelog if there is one,
 * else the folder's name; `key` is set where it isn't built in place. In a root its tree is where
 * it is here, if it can be, for absolute paths become part of what is built.
 */
int project_read(const struct store *store, const struct build_request *request,
                 struct source_package *ret, struct error *err);

/*
 * Runs `command` (sh -ec) in `tree` as suture's own user, with the compiler wrapper first in PATH.
 * `ret` then is ROOT_IN_PLACE, without packages. Faults: the command failed; it called no compiler
 * that could be seen (nothing was to be compiled, or by an absolute path); the cache lies in the tree.
 */
int project_build_in_place(const struct store *store, const char *tree, const char *command,
                           struct rebuilt *ret, struct error *err);

/* Whether a file of that name may be a compiler: "gcc", "x86_64-linux-gnu-g++-12", "clang-14". */
bool project_is_compiler(const char *name);
