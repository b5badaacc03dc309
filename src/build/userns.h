/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* How a build that makes roots of its own does without root. */
#include "base/error.h"

/*
 * Moves this process, which must have one thread only, to a user namespace in which it is root and
 * has the user's range of subordinate IDs (subuid(5)). From then on geteuid() is 0, and files are made
 * as the user. Faults (EXIT_CODE_PERMISSION) say what the machine lacks: user namespaces, newuidmap,
 * or the range.
 */
int userns_enter(struct error *err);

/* The first range of `user` (a name or a number) in the text of /etc/subuid; false if it has none. */
bool userns_find_range(const char *text, const char *user, const char *uid, unsigned *ret_start,
                       unsigned *ret_count);
