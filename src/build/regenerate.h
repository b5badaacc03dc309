/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* C files that a program of the package's build makes from others: a grammar, a scanner, a table. */
#include "build/fix.h"

/*
 * For a fix that changes sources of other languages: lets the package's own build go on in the fixed
 * copy, mounted in the place of the original, so that it makes again what is out of date. C files
 * that come out different join fix->changed. `*ret_made` then tells whether there are any; what the
 * build can't do is no fault.
 */
int regenerate(const struct store *store, const struct rebuilt *rebuilt, struct applied_fix *fix,
               bool *ret_made, struct error *err);
