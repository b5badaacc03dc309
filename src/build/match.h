/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Which atom of the fixed object is which of the original: sets `twin` of both. Names without
 * numbers say it themselves. The compiler's numbered names (static locals `x.17`, clones
 * `f.constprop.0`) are matched by base name and relations: what stands at the same place of the
 * same function is the same thing.
 */
#include "build/object.h"

int match_objects(struct object *original, struct object *fixed, struct error *err);
