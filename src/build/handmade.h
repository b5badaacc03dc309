/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Replacement code that was written by hand has no original object. What stands in for it is made
 * from the names of the shipped module.
 */
#include "build/extract.h"

/*
 * `*ret` is an object without sections whose atoms are the functions of the module that `fixed`
 * replaces, paired with theirs: `twin`, `differs`, `found` and the address are set. A function of
 * `fixed` that the module has in the very same code (a small one of a common header) is no
 * replacement. With `added` nothing is replaced. What can't be replaced is reported: SB107, SB130.
 */
int handmade_original(struct extraction *extraction, struct object *fixed, bool added,
                      struct object **ret, struct error *err);
