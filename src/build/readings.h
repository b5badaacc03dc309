/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Which of the files that a fix changes each translation unit of a build reads: its source, and the
 * headers that the compiler names.
 */
#include "build/compile-log.h"
#include "build/fix.h"

struct unit_reading {
        struct words changed;   /* the changed files that it reads, relative to the tree */
        bool known;             /* false: the compiler would not say, so it may read any */
};

struct unit_readings {
        struct unit_reading *items;   /* one for each unit of the log */
        size_t n_items;
};
void unit_readings_done(struct unit_readings *readings);

/* Whether the fix concerns it, or may do so. */
bool unit_is_concerned(const struct unit_reading *reading);

/*
 * The compiler is asked at most once about each unit of a build; a build that is kept in the cache
 * keeps the answers as well.
 */
int readings_find(const struct store *store, const struct rebuilt *rebuilt,
                  const struct compile_log *log, const struct applied_fix *fix,
                  struct unit_readings *ret, struct error *err);

/* A path of the log, relative to the tree; NULL if it is not below it. Points into `path`. */
const char *path_in_tree(const struct rebuilt *rebuilt, const char *path);
