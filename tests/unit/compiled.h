/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Patches made from small C sources that are compiled on the spot. One source holds both the
 * original (FIXED 0) and the fixed one (FIXED 1).
 */
#include "build/objects.h"
#include "patch/patch.h"

enum compiled_link { COMPILED_LIBRARY, COMPILED_PIE, COMPILED_STATIC_PLACE };

struct compiled {
        char directory[64];
        int outcome;             /* of build_from_objects() */
        struct error err;
        struct objects_report report;
        struct buffer bytes;
        struct patch *patch;     /* NULL if refused */
};

struct compiled_options {
        enum compiled_link link;
        const char *flags;       /* of the compiler, behind -O2 -g */
        const char *link_flags;
        const char *rest;        /* source of another unit of the module, or NULL */
        const char *shipped_source; /* what the module is really made of; NULL: `source` */
        const char *hand;        /* replacement code without an original; NULL: there is one */
        const char *compiler;    /* NULL: gcc; the sources are C++ if it ends in "++" */
        bool plain_objects;      /* the objects have no sections of their own */
        bool no_library_paths;
};

/* Fails the test if the compiler does. */
void compile_patch(const char *source, const struct compiled_options *options,
                   struct compiled *ret);
void compiled_done(struct compiled *compiled);

/* Runs a shell command in the folder; fails the test if that fails. */
void compiled_run(const struct compiled *compiled, const char *format, ...) _printf_(2, 3);

/* "f g": exactly these functions were replaced, or are new. The order does not matter. */
void assert_changed(const struct compiled *compiled, const char *names);
void assert_new(const struct compiled *compiled, const char *names);
/* Refused by this rule, and the text or place of the finding holds `about`. */
void assert_refused(const struct compiled *compiled, const char *code, const char *about);
void assert_warned(const struct compiled *compiled, const char *code, const char *about);
/* The symbol of the target that the patch needs, of that kind. */
const struct patch_symbol *assert_symbol(const struct compiled *compiled, const char *name,
                                         enum patch_symbol_kind kind);
bool has_symbol(const struct compiled *compiled, const char *name);
/* True if the bytes are anywhere in a section that is loaded. */
bool patch_contains(const struct compiled *compiled, const void *bytes, size_t size);
