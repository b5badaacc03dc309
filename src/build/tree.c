/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is built from a tree is kept under the hash of a list: one entry for each file, with its
 * permissions, its name and the hash of its bytes. A tree that changes while it is copied is found
 * by hashing the copy as well.
 */
#include "build/tree.h"

#include <errno.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/array.h"
#include "base/file.h"
#include "base/hash.h"

enum { MAX_CHANGELOG_BYTES = 64 << 20, MAX_FILE_BYTES = 1 << 30 };

bool tree_parse_changelog(const char *text, char **ret_name, char **ret_version)
{
        const char *name, *version;
        size_t name_length, version_length;

        name = text + strspn(text, " \t\r\n");
        name_length = strcspn(name, " \t\r\n(");
        version = name + name_length + strspn(name + name_length, " \t");
        if (name_length == 0 || *version++ != '(')
                return false;
        version_length = strcspn(version, " \t\r\n)");
        if (version_length == 0 || version[version_length] != ')')
                return false;
        *ret_name = strndup(name, name_length);
        *ret_version = strndup(version, version_length);
        if (*ret_name && *ret_version)
                return true;
        free(*ret_name);
        free(*ret_version);
        *ret_name = *ret_version = NULL;
        return false;
}

/* --- the key ----------------------------------------------------------------------------------- */

static bool is_left_out(const FTSENT *entry)
{
        static const char *const names[] = { TREE_LEFT_OUT };

        for (size_t i = 0; entry->fts_level == 1 && i < ARRAY_SIZE(names); i++)
                if (strcmp(entry->fts_name, names[i]) == 0)
                        return true;
        return false;
}

static int add_content(const FTSENT *entry, struct buffer *list, struct error *err)
{
        _cleanup_buffer_ struct buffer bytes = { 0 };
        char hex[SHA256_HEX_SIZE], target[PATH_MAX];
        struct sha256 hash;
        ssize_t length;
        int r;

        if (entry->fts_info == FTS_F) {
                r = file_read(entry->fts_accpath, MAX_FILE_BYTES, &bytes, err);
                if (r < 0)
                        return r;
                hash = sha256_of(bytes.data, bytes.size);
        } else {
                length = readlink(entry->fts_accpath, target, sizeof(target));
                if (length < 0)
                        return error_set(err, EXIT_CODE_ERROR, errno, NULL,
                                         "can't read the link %s", entry->fts_path);
                hash = sha256_of(target, (size_t)length);
        }
        sha256_format(&hash, hex);
        return buffer_printf(list, " %s", hex) ? 0 : error_no_memory(err);
}

static int add_entry(const FTSENT *entry, size_t root_length, struct buffer *list,
                     struct error *err)
{
        bool has_content = entry->fts_info == FTS_F || entry->fts_info == FTS_SL ||
                           entry->fts_info == FTS_SLNONE;
        unsigned mode = entry->fts_info == FTS_SL || entry->fts_info == FTS_SLNONE
                                ? 0
                                : entry->fts_statp->st_mode & 07777;
        int r = 0;

        if (entry->fts_errno != 0 && !has_content && entry->fts_info != FTS_D)
                return error_set(err, EXIT_CODE_ERROR, entry->fts_errno, NULL, "can't read %s",
                                 entry->fts_path);
        if (!has_content && entry->fts_info != FTS_D)
                return error_set(err, EXIT_CODE_ERROR, 0, "remove it from the tree",
                                 "%s is neither a file, a folder nor a link", entry->fts_path);
        if (!buffer_printf(list, "%d %o", (int)entry->fts_info, mode))
                return error_no_memory(err);
        if (has_content)
                r = add_content(entry, list, err);
        if (r < 0)
                return r;
        return buffer_append(list, " ", 1) &&
                               buffer_append(list, entry->fts_path + root_length,
                                             strlen(entry->fts_path + root_length) + 1)
                       ? 0
                       : error_no_memory(err);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
        return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int list_tree(const struct store *store, FTS *walk, size_t root_length,
                     struct buffer *list, struct error *err)
{
        FTSENT *entry;
        int r = 0;

        errno = 0;
        while (r == 0 && (entry = fts_read(walk))) {
                if (entry->fts_level == 0 && entry->fts_info != FTS_D && entry->fts_info != FTS_DP)
                        r = error_set(err, EXIT_CODE_ERROR, entry->fts_errno, NULL,
                                      "%s is not a folder that can be read", entry->fts_path);
                else if (is_left_out(entry))
                        fts_set(walk, entry, FTS_SKIP);
                else if (entry->fts_info != FTS_DP && entry->fts_level > 0)
                        r = add_entry(entry, root_length, list, err);
                if (r == 0 && store_interrupted(store))
                        r = error_set(err, EXIT_CODE_ERROR, EINTR, "run it again",
                                      "reading the source tree was stopped");
                errno = 0;
        }
        if (r == 0 && errno != 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't read the source tree");
        return r;
}

int tree_key(const struct store *store, const char *tree, char ret[static STORE_KEY_SIZE],
             struct error *err)
{
        _cleanup_free_ char *path = strdup(tree);
        _cleanup_buffer_ struct buffer list = { 0 };
        struct sha256 hash;
        FTS *walk;
        int r;

        if (!path)
                return error_no_memory(err);
        while (strlen(path) > 1 && path[strlen(path) - 1] == '/')
                path[strlen(path) - 1] = '\0';
        walk = fts_open((char *const[]){ path, NULL }, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
        if (!walk)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't read %s", tree);
        r = list_tree(store, walk, strlen(path), &list, err);
        fts_close(walk);
        if (r < 0)
                return r;
        hash = sha256_of(list.data, list.size);
        hex_encode(hash.bytes, (STORE_KEY_SIZE - 1) / 2, ret);
        return 0;
}

/* --- the tree as a source package -------------------------------------------------------------- */

int tree_copy(const struct store *store, const char *tree, const char *key, const char *copy,
              struct error *err)
{
        static const char script[] =
                "mkdir \"$2\"\n"
                "cp -a --reflink=auto -- \"$1/.\" \"$2\"\n"
                "cd \"$2\"\n"
                "rm -rf -- .git .svn .hg .bzr\n";
        _cleanup_free_ char *from = realpath(tree, NULL);
        char now[STORE_KEY_SIZE];
        int r;

        if (!from)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't read %s", tree);
        r = RUN(&store->runner, "copying the source tree", NULL, err, "sh", "-ec", script, "sh",
                from, copy);
        if (r == 0)
                r = tree_key(store, copy, now, err);
        if (r == 0 && strcmp(now, key) != 0)
                return error_set(err, EXIT_CODE_ERROR, EAGAIN,
                                 "run it again when nobody writes there", "%s changed while it was copied", tree);
        return r;
}

static int require_file(const char *tree, const char *name, struct error *err)
{
        _cleanup_free_ char *path = path_format("%s/%s", tree, name);
        struct stat status;

        if (!path)
                return error_no_memory(err);
        if (stat(path, &status) == 0 && S_ISREG(status.st_mode))
                return 0;
        return error_set(err, EXIT_CODE_ERROR, ENOENT,
                         "for what is not a Debian package, give its build command: --command",
                         "%s is not an unpacked Debian source: it has no %s", tree, name);
}

int tree_read_package(const struct store *store, const char *tree, struct source_package *ret,
                      struct error *err)
{
        _cleanup_(source_package_done) struct source_package source = { 0 };
        _cleanup_free_ char *changelog = path_format("%s/debian/changelog", tree);
        _cleanup_buffer_ struct buffer text = { 0 };
        char key[STORE_KEY_SIZE];
        int r = changelog ? require_file(tree, "debian/changelog", err) : error_no_memory(err);

        if (r == 0)
                r = require_file(tree, "debian/control", err);
        if (r == 0)
                r = file_read(changelog, MAX_CHANGELOG_BYTES, &text, err);
        if (r < 0)
                return r;
        if (!tree_parse_changelog((char *)text.data, &source.name, &source.version) ||
            !source_name_is_valid(source.name, source.version))
                return error_set(err, EXIT_CODE_ERROR, 0, "see deb-changelog(5)",
                                 "%s does not begin with PACKAGE (VERSION)", changelog);
        r = tree_key(store, tree, key, err);
        if (r < 0)
                return r;
        source.tree = realpath(tree, NULL);
        source.key = strdup(key);
        if (!source.tree || !source.key)
                return error_no_memory(err);
        *ret = source;
        source = (struct source_package){ 0 };
        return 0;
}
