/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The patch file (.spatch): a relocatable ELF object (ET_REL) that binutils can read, with a JSON
 * manifest in the section ".suture.manifest". suture-patch(5) describes it for people.
 *
 * Alloc sections (code, read-only data, data, bss) hold what is to be placed in the target, each
 * with its own SHT_RELA. Defined symbols name the new functions and added data. Undefined symbols
 * are what the new code needs from the target; each has an entry in the `symbols` of every target
 * that loads a section referring to it, which says where it is found.
 *
 * Everything here comes from an untrusted file. patch_open() checks it as a whole: a struct patch
 * holds no index, offset or name that was not checked against the file.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buffer.h"
#include "base/error.h"
#include "base/hash.h"
#include "elf/build-id.h"
#include "elf/view.h"

#define PATCH_MANIFEST_SECTION ".suture.manifest"
#define PATCH_SCHEMA "suture-patch-1"
#define PATCH_MAX_BYTES (64u << 20)
#define PATCH_MAX_FUNCTIONS 320 /* per target; what one page of switch slots holds */

enum patch_reach {
        PATCH_REACH_UNKNOWN = 0,
        PATCH_REACH_LOCAL,
        PATCH_REACH_REMOTE,
};

struct patch_cve {
        const char *id;             /* "CVE-2026-63382" */
        enum patch_reach reach;
};

struct patch_fix {
        const char *name;           /* of the source fix file */
        struct sha256 digest;
};

/* A range of the target module: virtual addresses as in its file, without load bias. */
struct patch_range {
        uint64_t address, size;
};

enum patch_consistency {
        PATCH_STRICT = 0,           /* no thread may have it on its stack */
        PATCH_ENTRY,                /* may change for the next call while old frames run on */
};

struct patch_function {
        const char *name;           /* of the original function */
        struct patch_range range;   /* the original's bytes */
        struct sha256 digest;       /* of those bytes */
        struct patch_range *cold;   /* parts split off by the compiler (NAME.cold) */
        size_t n_cold;
        enum patch_consistency consistency;
        const char *symbol;         /* the new function: a defined symbol of the file */
        size_t symbol_index;        /* in the file's symbol table */
};

enum patch_symbol_kind {
        PATCH_SYMBOL_LOCAL = 1,     /* at `address` of the target module */
        PATCH_SYMBOL_SLOT,          /* through the module's own GOT slot at `address` */
        PATCH_SYMBOL_IMPORT,        /* by name and version, as the dynamic linker would */
        PATCH_SYMBOL_RUNTIME,       /* given by suture itself: suture_shadow_root */
};

struct patch_symbol {
        const char *name;           /* an undefined symbol of the file */
        size_t symbol_index;
        enum patch_symbol_kind kind;
        uint64_t address;           /* LOCAL, SLOT: without load bias */
        const char *lookup;         /* SLOT, IMPORT: the dynamic symbol's name (usually = name) */
        const char *version;        /* IMPORT: "GLIBC_2.2.5", or NULL for none */
};

struct patch_target {
        struct build_id build_id;
        const char *module;         /* soname or program name, for people */
        const char *package;        /* binary package, may be NULL */
        const char *version;        /* of that package, may be NULL */
        struct patch_function *functions;
        size_t n_functions;         /* 1 .. PATCH_MAX_FUNCTIONS */
        struct patch_symbol *symbols;
        size_t n_symbols;
        size_t *sections;           /* alloc sections to load, indices in the file, ascending */
        size_t n_sections;
        /*
         * True if the address of new code or data can outlive a call (it is taken and may be
         * stored): then it stays mapped after a rollback.
         */
        bool pinned;
        /* Hooks run in the target; symbol indices of defined functions, 0 for none. */
        size_t hook_pre, hook_post, hook_undo;
        const char *hook_pre_name, *hook_post_name, *hook_undo_name;
};

struct patch {
        struct buffer bytes;        /* the whole file; owns what `view` points to */
        struct sha256 digest;       /* of the whole file */
        struct elf_view view;
        struct elf_section symbol_table;
        void *manifest;             /* json_t *; the strings of this struct point into it */

        const char *id;             /* "SUT-2026-0042": [A-Za-z0-9][A-Za-z0-9._-]{0,47} */
        uint32_t level;             /* 1 .. */
        const char *title, *author, *created; /* author may be NULL; created: RFC 3339 UTC */
        const char *source_package, *source_version;
        const char **supersedes;    /* ids of other patches whose fixes are all contained */
        size_t n_supersedes;
        struct patch_cve *cves;
        size_t n_cves;
        struct patch_fix *fixes;
        size_t n_fixes;
        struct patch_target *targets;
        size_t n_targets;           /* at least 1; build IDs all different */
};

/*
 * Reads and checks `path`. Faults are EXIT_CODE_ERROR with one sentence (cause, where) and a next
 * step. `ret` is written only on success and must then be given to patch_free.
 */
int patch_open(const char *path, struct patch **ret, struct error *err);
/* The same from memory (takes a copy); `name` is what messages call it. */
int patch_parse(const void *data, size_t size, const char *name, struct patch **ret,
                struct error *err);
struct patch *patch_free(struct patch *patch);
DEFINE_CLEANUP(struct patch *, patch_free)

/* The target for a build ID, or NULL. */
const struct patch_target *patch_find_target(const struct patch *patch, const struct build_id *id);
/* "SUT-2026-0042.2" */
#define PATCH_NAME_SIZE 64
void patch_format_name(const struct patch *patch, char ret[static PATCH_NAME_SIZE]);

/*
 * Builds a patch file: the ELF object comes from an elf_writer (sections, symbols, relocations of
 * the new code), the manifest from a json_t in the schema of suture-patch(5). The result is parsed
 * back and checked before it is handed out, so a writer can't make what a reader refuses.
 */
struct elf_writer;
int patch_build(struct elf_writer *writer, void *manifest_json, struct buffer *ret,
                struct error *err);
