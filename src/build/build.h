/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * From a source fix to a patch file: rebuild the Debian package that was shipped, prove that the
 * rebuild is the shipped binary, compile what the fix changes, and write what differs as a
 * .spatch. The host's own packages are never touched: the work is done in a throw-away root below
 * the cache folder.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "base/hash.h"
#include "elf/build-id.h"
#include "patch/patch.h"

/* What a patch is made from; each needs the members of struct build_request that it names. */
enum build_origin {
        BUILD_FROM_PACKAGE = 1,   /* source_package, source_version; fixes or fixed_version */
        BUILD_FROM_TREE,          /* tree, an unpacked Debian source; fixes or fixed_tree */
        BUILD_FROM_PROJECT,       /* tree and command; fixes or fixed_tree */
        BUILD_FROM_OBJECTS,       /* original_objects, fixed_objects, one of binaries */
        BUILD_FROM_REPLACEMENT,   /* replacements, one of binaries */
};

struct build_request {
        enum build_origin origin;
        const char *source_package;    /* "libevent"; others than PACKAGE: NULL, read or made up */
        const char *source_version;    /* "2.1.12-stable-8", exactly; likewise */
        const char *tree;              /* a folder */
        const char *command;           /* for sh -ec, in the tree */
        const char *const *depends;    /* PROJECT: Debian packages that the command needs */
        size_t n_depends;
        bool in_place;                 /* PROJECT: built here, in `tree` itself, as this user */
        const char *original_objects, *fixed_objects; /* folders, same names below both */
        const char *const *replacements;              /* C files */
        size_t n_replacements;
        const char *compiler_flags;    /* REPLACEMENT: as a shell would split them; NULL: default */
        const char *symbols;           /* OBJECTS, REPLACEMENT: unstripped form; NULL: the binary */

        const char *const *fixes;      /* .patch files, applied in this order with -p1 */
        size_t n_fixes;
        const char *fixed_version;     /* the fix is the difference to this version, NULL: fixes */
        const char *fixed_tree;        /* the fix is the difference to this tree, NULL: fixes */
        const struct patch_cve *cves;
        size_t n_cves;
        /*
         * The shipped modules to patch, as paths. None: those of the installed packages that are
         * built from this very source version and whose code the fix changes.
         */
        const char *const *binaries;
        size_t n_binaries;
        /*
         * A folder to be made: nothing was shipped yet, so what this build makes is patched, and
         * is put there, each binary package unpacked over it and stripped as dh_strip would. NULL: no.
         */
        const char *built_modules;
        const char *id;                /* NULL: made from the first CVE, else from the fix's name */
        uint32_t level;                /* 0: 1 */
        const char *title;             /* NULL: "PKG: fix for CVE-..." */
        const char *author;            /* NULL: none */
        const char *const *supersedes;
        size_t n_supersedes;
        const char *cache;             /* NULL: build_default_cache() */
        const char *output;            /* the .spatch to write */
};

/* How much of the shipped module is equal, byte by byte, in the rebuilt one. */
struct build_proof {
        size_t n_sections, n_sections_equal;     /* those that are compared at all */
        size_t n_functions, n_functions_equal;   /* a moved function may be equal, see prove.h */
        bool text_equal;                         /* .text is equal to the last byte */
        char *differing;                         /* names of the differing sections, "" if none */
};

struct build_target {
        char *module;                  /* file name of the module */
        char *path;                    /* the shipped file that was compared */
        char *package, *version;       /* the binary package it belongs to, NULL if unknown */
        struct build_id build_id;      /* of the shipped file */
        struct build_proof proof;
        char **functions;              /* replaced functions */
        size_t n_functions;
};

/* Something the builder found in the fix: `suture explain CODE` tells the long story. */
struct build_finding {
        char code[8];                  /* "SB112" */
        bool fatal;                    /* the fix can't become a live patch as it is */
        char *where;                   /* "http.c: evhttp_get_body", may be "" */
        char *text;                    /* one sentence */
};

struct build_result {
        char patch_name[PATCH_NAME_SIZE];
        struct sha256 digest;          /* of the written file */
        size_t size_bytes;
        struct build_target *targets;
        size_t n_targets;
        char **units;                  /* translation units compiled, as named in the source */
        size_t n_units;
        char **set_aside;              /* changed files that no C or C++ object is made from */
        size_t n_set_aside;
        struct build_finding *findings;
        size_t n_findings;
        char *log_path;                /* the log of this run; set on failure as well */
};
void build_result_done(struct build_result *result);

enum build_step_state {
        BUILD_STEP_BEGIN = 1,          /* `detail` is "" */
        BUILD_STEP_NOTE,               /* `detail` is what is being done now; may be shown or not */
        BUILD_STEP_DONE,               /* `detail` is the result, for people */
};

/* "[1/6] rebuild original     equal to the shipped build ID 72923014 (.text, .rodata, .data)" */
struct build_progress {
        unsigned step, n_steps;
        const char *title;             /* "rebuild original" */
        enum build_step_state state;
        const char *detail;
};

/* The hooks of the caller; all may be NULL. */
struct build_observer {
        void (*progress)(void *context, const struct build_progress *progress);
        /* Asked several times a second; true ends the build, commands it runs are killed. */
        bool (*interrupted)(void *context);
        void *context;
};

enum build_outcome {
        BUILD_REFUSED = 1,     /* a finding is fatal; see result->findings; nothing was written */
};

/*
 * Makes the patch from a package, a tree or a project. 0: written to request->output. BUILD_REFUSED: the fix was understood but can't
 * be applied live; `err` names the first reason. Negative: a fault; `err` names the step, the cause and
 * the log file. `ret` must be zeroed before and given to build_result_done() after, in every case.
 * Whoever isn't root is moved, as a process, to a user namespace in which he is (userns.h), unless
 * the build is in place; where that is not possible the fault is EXIT_CODE_PERMISSION.
 */
int build_from_source(const struct build_request *request, struct build_result *ret,
                      const struct build_observer *observer, struct error *err);

/* The same from objects, or from C written by hand; needs no root and no cache but for the log. */
int build_without_source(const struct build_request *request, struct build_result *ret,
                         const struct build_observer *observer, struct error *err);

/*
 * /var/cache/suture for root, else $XDG_CACHE_HOME/suture or ~/.cache/suture. Allocated; NULL
 * only when memory is out.
 */
char *build_default_cache(void);
