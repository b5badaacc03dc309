/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Variables within functions that the two objects have in common: are they the same ones? */
#include "build/debug-info.h"
#include "build/extract.h"

/*
 * Reports pairs (match.h) that the patch refers to and that belong to different functions (SB115) or
 * have different types (SB112). What the debugging information does not tell of is passed over.
 */
int statics_check(struct extraction *extraction, const struct object *original,
                  const struct object *fixed, const struct debug_info *a,
                  const struct debug_info *b, struct error *err);
