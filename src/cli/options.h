/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The command line, read by tables: every option is a row of `option_rows` (options.c), every verb
 * a row of `verbs` (verbs.c) that lists the options it takes. Usage, completion and the synopsis of
 * the man page are printed from the same rows.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"
#include "base/hash.h"

enum option_id {
        OPTION_NONE = 0,
        OPTION_PID,
        OPTION_UNIT,
        OPTION_CONTAINER,
        OPTION_ALL,
        OPTION_LAST,
        OPTION_DIGEST,
        OPTION_WAIT,
        OPTION_DRY_RUN,
        OPTION_ONCE,
        OPTION_YES,
        OPTION_SOURCE,
        OPTION_TREE,
        OPTION_COMMAND,
        OPTION_DEPENDS,
        OPTION_IN_PLACE,
        OPTION_ORIGINAL_OBJECTS,
        OPTION_FIXED_OBJECTS,
        OPTION_REPLACE,
        OPTION_CFLAGS,
        OPTION_FIX,
        OPTION_FIXED_SOURCE,
        OPTION_FIXED_TREE,
        OPTION_CVE,
        OPTION_BINARY,
        OPTION_SYMBOLS,
        OPTION_BUILT_MODULES,
        OPTION_ID,
        OPTION_LEVEL,
        OPTION_TITLE,
        OPTION_AUTHOR,
        OPTION_SUPERSEDES,
        OPTION_OUTPUT,
        OPTION_CACHE,
        OPTION_FOLLOW,
        OPTION_LINES,
        OPTION_ANCHOR,
        /* every verb takes these */
        OPTION_JSON,
        OPTION_QUIET,
        OPTION_COLOR,
        OPTION_HELP,
        OPTION_VERSION,
        N_OPTIONS,
};
#define OPTION_FIRST_COMMON OPTION_JSON

enum option_kind {
        OPTION_FLAG = 0, /* bool */
        OPTION_TEXT,     /* const char * */
        OPTION_TEXTS,    /* struct text_list; may be repeated */
        OPTION_PIDS,     /* struct pid_list; may be repeated */
        OPTION_NUMBER,   /* uint32_t, at least 1 */
        OPTION_SECONDS,  /* uint32_t, up to a day */
        OPTION_SHA256,   /* struct sha256, and a bool `digest_given` */
        OPTION_WHEN,     /* enum color_when */
};

/* What a shell offers for a value or an argument. */
enum completes {
        COMPLETES_NOTHING = 0,
        COMPLETES_FILE,
        COMPLETES_PATCH_FILE,
        COMPLETES_FOLDER,
        COMPLETES_PID,
        COMPLETES_UNIT,
        COMPLETES_WHEN,
};

struct option_row {
        const char *name;     /* with its two dashes */
        char letter;          /* 0: none */
        enum option_kind kind;
        const char *value;    /* what the value is called: "SECONDS"; NULL for a flag */
        const char *help;     /* one line */
        enum completes completes;
        size_t offset;        /* in struct options */
};

struct text_list {
        const char **items;
        size_t n_items;
};

struct pid_list {
        pid_t *items;
        size_t n_items;
};

enum color_when {
        COLOR_AUTO = 0,
        COLOR_ALWAYS,
        COLOR_NEVER,
};

struct verb;

struct options {
        const struct verb *verb;    /* NULL: none was named (--help, --version) */
        struct text_list arguments; /* what is not an option, behind the verb */

        bool help, version, json, quiet;
        enum color_when color;

        struct pid_list pids;
        const char *unit, *container;
        bool all, last, dry_run, once, yes, digest_given;
        struct sha256 digest;
        uint32_t wait_s;            /* 0 where it was not given */
        bool wait_given;

        const char *source, *tree, *command, *original_objects, *fixed_objects, *cflags;
        const char *fixed_source, *fixed_tree, *symbols, *built_modules;
        const char *id, *title, *author, *output, *cache;
        struct text_list depends, replacements, fixes, cves, binaries, supersedes;
        bool in_place;
        uint32_t level;             /* 0 where it was not given */

        bool follow;
        uint32_t lines;             /* 0 where it was not given */
        const char *anchor;
};

const struct option_row *option_row(enum option_id id);
/* True if the verb (NULL: no verb) takes the option. */
bool option_allowed(const struct verb *verb, enum option_id id);

/*
 * Reads argv[1 ..]. Faults are EXIT_CODE_USAGE; `ret` is then as far filled as it was read, so that
 * --json holds for the message as well. Must be given to options_done() in every case. The
 * result's strings point into argv.
 */
int options_parse(int argc, char *const argv[], struct options *ret, struct error *err);
void options_done(struct options *options);
