/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Modules of a build that nobody shipped yet, put where they can be used and patched. */
#include "build/rebuild.h"

/*
 * Fills `folder` (not there, or empty) with what the build's packages hold, one unpacked over the
 * other, stripped as dh_strip does. A folder that holds this very build already is left as it is;
 * any other content is a fault, and after any other fault it is as it was.
 */
int built_modules_make(const struct store *store, const struct rebuilt *rebuilt,
                       const char *folder, struct error *err);
