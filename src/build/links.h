/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Where a reference of new code leads: to something of the patch, or to the shipped module. */
#include "build/extract.h"

/*
 * Adds a link to `extraction` for one reference of a taken atom. Whatever has to come along for
 * it is taken (extraction_take). Findings are reported.
 */
int links_bind(struct extraction *extraction, struct atom *from,
               const struct reference *reference, struct error *err);

/* Makes an atom part of the patch, once. */
int extraction_take(struct extraction *extraction, struct atom *atom, const char *why,
                    struct error *err);
