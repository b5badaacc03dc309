/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Where the atoms of an original object are in the shipped module: sets `found`, `address` and
 * `shipped_size`. Functions are found by name and known by their code. What they refer to is then
 * read from the shipped code itself, so a static variable needs neither a unique name nor a symbol.
 */
#include "build/object.h"
#include "build/shipped.h"

int locate_object(struct object *object, const struct shipped *shipped, struct error *err);

enum locate_outcome {
        LOCATE_ABSENT = 1,      /* the module has no function of that name */
        LOCATE_DIFFERENT,       /* it has, but with other code, or without a size; or its names are
                                   not known */
        LOCATE_AMBIGUOUS,       /* several, and nothing tells them apart */
};
/* Why a function was not found; 0 if it was. */
int locate_outcome(const struct atom *atom, const struct shipped *shipped);

/*
 * The address of the only function of that name (in that file), whatever its code; for functions
 * that do not change.
 */
bool locate_by_name(const struct atom *atom, const struct shipped *shipped, uint64_t *ret);

/*
 * True if the code of the atom is that of the module at [address, address + size), fields that
 * the linker fills apart. A branch may be short in one and long in the other. Each reference of
 * the atom that can be read there is told to `learn` (may be NULL): `address` is that of the
 * target or symbol, delta taken off.
 */
bool locate_code_equal(const struct atom *atom, const struct shipped *shipped, uint64_t address,
                       uint64_t size,
                       void (*learn)(void *context, struct reference *reference,
                                     uint64_t address),
                       void *context);
