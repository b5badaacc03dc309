/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What a reader of untrusted bytes promises, checked from outside: whatever it accepts, a caller
 * can walk over all of it. Unit tests and fuzz targets use this on everything they get accepted.
 */
#include <stdbool.h>
#include "elf/image.h"
#include "elf/view.h"
#include "patch/patch.h"

/* Reads every byte, string, symbol and relocation that the view gives out; a checksum of them. */
unsigned int walk_view(const struct elf_view *view);
/* True if all that struct patch promises holds. */
bool patch_is_sound(const struct patch *patch);
