/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The cache folder of the builder, and the one place where it keeps anything:
 *
 *   apt/      package lists, downloaded packages and the settings of a private apt
 *   sources/  PACKAGE_VERSION/: source packages as downloaded
 *   bases/    KEY.tar: a minimal root with a compiler
 *   builds/   PACKAGE_VERSION-KEY/: a root with the build dependencies and the built original
 *   logs/     one log a run
 *   locks/    one file for each thing that is or was made
 *   tmp/      a folder for each run, with what it makes; those of killed runs go with the next one
 *
 * Everything is made in tmp/ and renamed when it is whole; names carry a hash of what it was made
 * from, so a thing that exists is right. Several runs may use a cache: who wants a thing that is
 * being made waits for it.
 */
#include "base/cleanup.h"
#include "base/error.h"
#include "build/run.h"

struct store {
        char *path;
        char *temporary;       /* a folder of this run, removed at the end */
        int temporary_fd;      /* locked as long as the run lives */
        char *log_path;
        struct runner runner;
        void (*note)(void *context, const char *text); /* is told what is being done; may be NULL */
        void *note_context;
};

/* `label` goes in the name of the log. `interrupted` may be NULL. */
int store_open(const char *path, const char *label, bool (*interrupted)(void *context),
               void *context, struct store **ret, struct error *err);
struct store *store_close(struct store *store);
DEFINE_CLEANUP(struct store *, store_close)

bool store_interrupted(const struct store *store);
void store_note(const struct store *store, const char *text);

/*
 * The name of this run: the last part of `temporary`. Folders elsewhere in the cache that bear the
 * name of a run that is no more are left-overs; store_remove_stale() clears those in `folder`.
 */
const char *store_run_name(const struct store *store);
int store_remove_stale(const struct store *store, const char *folder, struct error *err);

/*
 * Takes the lock of a thing to be made, say "build-KEY"; while another run has it, waits and notes
 * that. Closing the descriptor lets it go. Ends early (-EINTR) when the run is interrupted.
 */
int store_lock(const struct store *store, const char *name, int *ret_fd, struct error *err);

/* A path below the cache; allocated, NULL when memory is out. */
char *store_path(const struct store *store, const char *format, ...) _printf_(2, 3);
/* Renames a finished folder or file from tmp/ to its place. */
int store_keep(const struct store *store, const char *temporary, const char *path,
               struct error *err);
/* Removes a folder with all that is in it, but nothing mounted below it. */
int store_remove(const struct store *store, const char *path, struct error *err);

bool path_exists(const char *path);
char *path_format(const char *format, ...) _printf_(1, 2);

/* The hash of a text that says what a thing is made from, short enough for a name. */
#define STORE_KEY_SIZE 17
void store_key(const char *text, char ret[static STORE_KEY_SIZE]);
