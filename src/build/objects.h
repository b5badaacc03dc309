/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * From two sets of object files to a patch file. Each translation unit that the fix concerns was
 * compiled twice, from the original and from the fixed source, with the package's own flags and
 * -ffunction-sections -fdata-sections. What differs in meaning is taken, with all it drags in;
 * what it refers to is bound to the module as it was shipped. What can't be done safely is
 * refused with a rule (build/rules.h).
 *
 * With -g, changed structures and signatures are found as well; without, they can't be.
 */
#include "base/buffer.h"
#include "base/error.h"
#include "build/build.h"
#include "patch/patch.h"

struct object_pair {
        /*
         * Paths of the .o files. `original` is NULL for replacement code that was written by hand:
         * each of its functions that has the name of a function of the module replaces it (a
         * static one of which there are several is chosen with SUTURE_REPLACES,
         * suture/patch.h), all others are new. Data that it defines are new; those
         * it declares extern are the module's.
         */
        const char *original, *fixed;
        bool added;                     /* no original, and no replacement: all of it is new */
        const char *unit;               /* source file, for messages and to tell statics apart */
};

/* One module to patch. */
struct objects_target {
        const struct object_pair *pairs;
        size_t n_pairs;                 /* at least 1 */
        const char *shipped;            /* path of the module as it is shipped (may be stripped) */
        const char *symbols;            /* its unstripped rebuild, proven equal; NULL: `shipped` */
        /*
         * A module linked from the fixed objects, from which the versions of new imports are
         * learnt; may be NULL.
         */
        const char *linked_fixed;
        /* Folders in which the libraries that the module needs are looked for, in this order. */
        const char *const *library_paths;
        size_t n_library_paths;
        const char *module;             /* NULL: soname, else file name */
        const char *package, *version;  /* binary package; may be NULL */
};

/* What the manifest says about the patch as a whole. */
struct objects_patch {
        const char *id;
        uint32_t level;
        const char *title;
        const char *author;             /* may be NULL */
        const char *created;            /* RFC 3339 in UTC; NULL: now (or SOURCE_DATE_EPOCH) */
        const char *source_package, *source_version;
        const struct patch_cve *cves;
        size_t n_cves;
        const struct patch_fix *fixes;
        size_t n_fixes;
        const char *const *supersedes;
        size_t n_supersedes;
};

enum objects_change {
        OBJECTS_CHANGED = 1,            /* replaces a function of the module */
        OBJECTS_NEW,                    /* is called by a replaced one */
};

struct objects_function {
        char *name, *unit;
        enum objects_change change;
        size_t target;                  /* index of the struct objects_target */
        uint64_t old_size, new_size;    /* bytes; old_size is 0 for new ones */
        char *why;                      /* "code differs", "refers to a changed constant", ... */
};

struct objects_report {
        struct objects_function *functions;
        size_t n_functions;
        size_t n_data, n_data_bytes;    /* variables and constants that come along */
        struct build_finding *findings;
        size_t n_findings;
        struct build_id *build_ids;     /* of each target, in the order given */
        size_t n_build_ids;
};
void objects_report_done(struct objects_report *report);

/*
 * 0: `ret` holds the patch file. BUILD_REFUSED (build/build.h): at least one finding in `report`
 * is fatal; `err` names the first, with its code. Negative: a fault (a file can't be read or is not
 * what it should be). `report` must be zeroed before and given to objects_report_done() after, in
 * every case.
 *
 * A target none of whose objects differ is left out with a finding (SB105, not fatal) if another
 * one differs.
 */
int build_from_objects(const struct objects_patch *patch, const struct objects_target *targets,
                       size_t n_targets, struct buffer *ret, struct objects_report *report,
                       struct error *err);
