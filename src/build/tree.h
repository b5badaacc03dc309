/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* A local source tree: what it says of itself, and what it holds, to the last byte. */
#include "build/source.h"

/* Repositories of version control at its top don't belong to the source: not read, not copied. */
#define TREE_LEFT_OUT ".git", ".svn", ".hg", ".bzr"

/*
 * The source package that an unpacked Debian source is, by debian/changelog. A folder without
 * debian/control or debian/changelog is a fault.
 */
int tree_read_package(const struct store *store, const char *tree, struct source_package *ret,
                      struct error *err);

/* "name (version) ..." in the first line of a changelog; false if it has another form. */
bool tree_parse_changelog(const char *text, char **ret_name, char **ret_version);

/*
 * A hash of all names, permissions and contents, the same wherever the tree lies. What is neither a
 * file, a folder nor a symbolic link is a fault.
 */
int tree_key(const struct store *store, const char *tree, char ret[static STORE_KEY_SIZE],
             struct error *err);

/* Copies it to `copy`, which must not exist, as it was when it had the key. */
int tree_copy(const struct store *store, const char *tree, const char *key, const char *copy,
              struct error *err);
