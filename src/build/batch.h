/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Compiler commands of a build, made otherwise and run again, as many at a time as there are
 * processors. With `fixed` they see the fixed tree in the place of the original one: it is mounted
 * there, or, where nothing can be mounted, the paths in the commands lead to it, and names of files
 * in the objects are mapped back.
 */
#include "build/compile-log.h"
#include "build/fix.h"

struct batch {
        const struct rebuilt *rebuilt;
        const struct compile_log *log;
        bool fixed;
        bool tolerant;          /* a command that fails is no fault: it leaves no output */
        struct buffer script;   /* writes a shell script for each job */
        size_t n_jobs;
};
void batch_done(struct batch *batch);

/*
 * Adds a command for the unit, with the folder and environment of the noted one. `output`, a path
 * in the root, takes its standard output if not NULL. False only when memory is out.
 */
bool batch_add(struct batch *batch, const struct compile_unit *unit, const struct words *argv,
               const char *output);

/* Runs the jobs in the folder `folder` of the work folder, which is made. */
int batch_run(const struct store *store, const struct batch *batch, const char *folder,
              const char *what, struct error *err);

/*
 * A word of a command in which the tree `from` is replaced by `to`; `directory` is where the command
 * runs, for options with a relative path (-I../include) when it lies outside of the tree. NULL when
 * memory is out.
 */
char *batch_move_word(const char *word, const char *directory, const char *from, const char *to);
