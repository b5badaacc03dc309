/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Writes extractions as a patch file, one target each. */
#include "build/extract.h"

int emit_patch(const struct objects_patch *patch, struct extraction *const *extractions,
               size_t n_extractions, struct buffer *ret, struct error *err);
