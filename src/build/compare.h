/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What differs in meaning between two matched objects: sets `differs` of twins. Two functions are
 * equal if their bytes are, fields that the linker fills apart, and each of those fields means the
 * same: the same symbol, the twin of the same variable, a string with the same bytes.
 */
#include "build/object.h"

int compare_objects(struct object *original, struct object *fixed, struct error *err);

/* Why a function differs from its twin, for people. */
const char *compare_reason(const struct atom *original, const struct atom *fixed);
