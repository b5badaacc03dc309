/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Which version of a symbol the linker would have chosen for a new import. */
#include "build/shipped.h"

enum import_outcome {
        IMPORT_UNKNOWN = 1,     /* no library to look in, or one of them is missing: no version */
        IMPORT_NOWHERE,         /* all libraries were looked through, none gives it */
};

/* 0: `*ret_version` is allocated, or NULL if the symbol has no version. */
int import_find_version(const struct objects_target *target, const struct shipped *shipped,
                        const char *name, char **ret_version, struct error *err);
