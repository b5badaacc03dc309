/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Who in the shipped module uses a function or a variable, as its code and data tell. */
#include "build/extract.h"

/*
 * The name of a function or section that refers to [address, address + size) of the module and
 * whose code is not that of one of the units: of `only`, or of any if that is NULL. NULL if there
 * is none. A pointer in the module's data counts too, if `data` is set.
 */
const char *users_find_outside(const struct extraction *extraction, const struct object *only,
                               uint64_t address, uint64_t size, bool data);
