/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* What a file of a source package is for, by its name alone. */
#include <stdbool.h>

enum change_kind {
        CHANGE_CODE = 1,       /* C and C++, also in the folders of tests and examples */
        CHANGE_OTHER_CODE,     /* what a program of the build turns into code: grammars, assembly */
        CHANGE_RECIPE,         /* how the package is built */
        CHANGE_DOCUMENTATION,
        CHANGE_TESTS,
        CHANGE_EXAMPLES,
        CHANGE_TRANSLATIONS,
        CHANGE_PACKAGING,      /* debian/, and files of version control and of CI */
        CHANGE_OTHER,
};
enum { N_CHANGE_KINDS = CHANGE_OTHER };

/* `name` is relative to the tree. */
enum change_kind change_kind_of(const char *name);

/*
 * The same, but a C file in a folder of tests or examples is one of those. It is to be used
 * for files that are known not to be in what a module is made from.
 */
enum change_kind change_kind_beside(const char *name);

/* Of CHANGE_OTHER_CODE: nothing that becomes C. */
bool change_is_assembly(const char *name);

/* "documentation"; for people. */
const char *change_kind_text(enum change_kind kind);
