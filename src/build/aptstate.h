/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * A private apt: own lists, own package cache, own list of repositories (Debian's own only, with
 * source packages). It reads the system's mirrors and proxy settings and changes nothing of it.
 */
#include "base/buffer.h"
#include "build/store.h"

#define APT_LOCK "apt"  /* for store_lock(), by who fetches or installs */

struct apt_state {
        char *config;       /* path of the file for APT_CONFIG, without a root */
        char *sources;      /* path of its sources.list */
        char *sources_text; /* its "deb " lines, the key of what is made from them */
        char *suite;        /* "bookworm", of this system */
};
void apt_state_done(struct apt_state *state);

/*
 * Debian's own repositories in the text of a sources file (one-line or deb822 form), as one-line
 * entries "URI SUITE COMPONENTS" appended to `ret`. Entries that are disabled, that hold no binary or source
 * packages, that are signed with another key than Debian's archive keyring, or whose address
 * isn't one of Debian's are left out. False only when memory is out.
 */
bool apt_sources_from_lines(const char *text, const char *suite, struct words *ret);
bool apt_sources_from_deb822(const char *text, const char *suite, struct words *ret);

/* Reads the system's sources, writes the private ones. Fetches nothing yet. */
int apt_state_prepare(const struct store *store, struct apt_state *ret, struct error *err);
/* Fetches the lists if there are none, or anyway with `force`. */
int apt_state_update(const struct store *store, const struct apt_state *state, bool force,
                     struct error *err);
/* The settings that make the host's apt work on the root at `root` with dpkg inside of it. */
int apt_state_config_for_root(const struct store *store, const struct apt_state *state,
                              const char *root, const char *path, struct error *err);
