/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Which functions of the module are to be replaced, and whether they can be: fills `replaced` and
 * `hooks` of the extraction, whose objects are open, and reports what is found.
 */
#include "build/extract.h"

int changes_find(struct extraction *extraction, struct error *err);
/* "http.c: evhttp_get_body" in a buffer of the caller. */
#define CHANGES_WHERE_SIZE 512
const char *changes_where(const struct atom *atom, char buffer[static CHANGES_WHERE_SIZE]);
