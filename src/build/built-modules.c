/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The packages were built with their symbols; here they become what a user would get. Unpacking and
 * stripping happen in the root, with its tar and binutils, since links in a package may lead
 * anywhere and a stripped file should be the one that Debian would have shipped. A file in the
 * folder tells which build it holds; it is written last.
 */
#include "build/built-modules.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/hash.h"
#include "build/modules.h"

#define MARK ".suture-build"

enum { MAX_MARK_BYTES = 4096, MAX_MODULE_BYTES = 1 << 30 };

/* $1: the packages, $2: the folder to be made. Links to folders stay links, as with dpkg. */
static const char unite_script[] =
        "mkdir -p \"$2\"\n"
        "for package in \"$1\"/*/; do\n"
        "        tar -C \"$package\" --exclude=./DEBIAN -cf \"$2.tar\" .\n"
        "        tar -C \"$2\" --keep-directory-symlink -xpf \"$2.tar\"\n"
        "        rm \"$2.tar\"\n"
        "done\n";

/* A project has no packages: its modules alone, in their places. $1: the tree, $3: their list. */
static const char collect_script[] =
        "mkdir -p \"$2\"\n"
        "cd \"$1\"\n"
        "xargs -0 -a \"$3\" cp -a --parents -t \"$2\"\n";

/*
 * dh_strip of debhelper 13, without keeping the debug files: a file that may be run loses all its
 * symbols, another keeps those that relocations need; the name of the debug file is written in it.
 */
static const char strip_script[] =
        "cd \"$1\"\n"
        "shift\n"
        "for file; do\n"
        "        [ -f \"$file\" ] && [ ! -L \"$file\" ] || continue\n"
        "        readelf -SW -- \"$file\" | grep -q ' [.]symtab ' || continue\n"
        "        id=$(readelf -n -- \"$file\" | sed -n 's/^ *Build ID: ..//p')\n"
        "        unneeded=--strip-unneeded\n"
        "        [ ! -x \"$file\" ] || unneeded=--strip-all\n"
        "        [ -z \"$id\" ] || objcopy --only-keep-debug --compress-debug-sections \"$file\" "
        "\"../$id.debug\"\n"
        "        strip --remove-section=.comment --remove-section=.note \"$unneeded\" \"$file\"\n"
        "        [ -z \"$id\" ] || objcopy --add-gnu-debuglink=\"../$id.debug\" \"$file\"\n"
        "        [ -z \"$id\" ] || rm \"../$id.debug\"\n"
        "done\n";

static char *list_path(const char *union_path)
{
        return path_format("%s.modules", union_path);
}

static int unite(const struct store *store, const struct rebuilt *rebuilt, const char *union_path,
                 struct error *err)
{
        _cleanup_(root_command_done) struct root_command command = { .as_root = true };
        _cleanup_free_ char *list = list_path(union_path);
        const char *const argv[] = {
                "sh", "-ec", rebuilt->packages ? unite_script : collect_script, "sh",
                rebuilt->packages ? rebuilt->packages + strlen(rebuilt->root) : rebuilt->tree,
                union_path, list,
        };

        if (!list || !words_extend(&command.arguments, argv, ARRAY_SIZE(argv)))
                return error_no_memory(err);
        return root_run(store, rebuilt->root, &command, "unpacking the built packages", err);
}

static int strip(const struct store *store, const struct rebuilt *rebuilt, const char *union_path,
                 struct error *err)
{
        _cleanup_(root_command_done) struct root_command command = { .as_root = true };
        _cleanup_free_ char *list = list_path(union_path);
        const char *const argv[] = { "xargs", "-0", "-n", "64", "-a", list,
                                     "sh", "-ec", strip_script, "sh", union_path };

        if (!list || !words_extend(&command.arguments, argv, ARRAY_SIZE(argv)))
                return error_no_memory(err);
        return root_run(store, rebuilt->root, &command, "stripping what was built", err);
}

/* The modules by their place in the packages, "./" first: a name may begin with a dash. */
static int write_list(const struct rebuilt *rebuilt, const struct words *built,
                      const char *union_path, struct error *err)
{
        _cleanup_free_ char *inside = list_path(union_path);
        _cleanup_free_ char *outside = inside ? path_format("%s%s", rebuilt->root, inside) : NULL;
        _cleanup_buffer_ struct buffer list = { 0 };
        int r = outside ? 0 : error_no_memory(err);

        for (size_t i = 0; r == 0 && i < built->n_items; i++) {
                const char *path = modules_path_in_package(rebuilt, built->items[i]);

                if (!buffer_printf(&list, ".%s", path) || !buffer_append(&list, "", 1))
                        r = error_no_memory(err);
        }
        return r < 0 ? r : file_write_atomic(outside, list.data, list.size, 0644, err);
}

/*
 * The name of this build, for the mark: the one in the cache. What was built in place has none,
 * so it is the hash of all its modules.
 */
static int name_build(const struct rebuilt *rebuilt, const struct words *built, char **ret,
                      struct error *err)
{
        _cleanup_buffer_ struct buffer all = { 0 };
        char key[STORE_KEY_SIZE];
        struct sha256 hash;

        if (rebuilt->root[0]) {
                *ret = strdup(strrchr(rebuilt->root, '/') + 1);
                return *ret ? 0 : error_no_memory(err);
        }
        for (size_t i = 0; i < built->n_items; i++) {
                _cleanup_buffer_ struct buffer bytes = { 0 };
                int r = file_read(built->items[i], MAX_MODULE_BYTES, &bytes, err);

                if (r < 0)
                        return r;
                hash = sha256_of(bytes.data, bytes.size);
                if (!buffer_append(&all, hash.bytes, sizeof(hash.bytes)))
                        return error_no_memory(err);
        }
        hash = sha256_of(all.data, all.size);
        hex_encode(hash.bytes, (STORE_KEY_SIZE - 1) / 2, key);
        *ret = path_format("in-place-%s", key);
        return *ret ? 0 : error_no_memory(err);
}

/* --- the folder -------------------------------------------------------------------------------- */

enum folder_state { FOLDER_ABSENT = 1, FOLDER_EMPTY, FOLDER_THIS_BUILD };

static bool is_empty(const char *path)
{
        DIR *folder = opendir(path);
        struct dirent *entry;
        bool empty = folder;

        while (folder && (entry = readdir(folder)))
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                        empty = false;
        if (folder)
                closedir(folder);
        return empty;
}

static int look(const char *build, const char *folder, enum folder_state *ret, struct error *err)
{
        _cleanup_free_ char *mark = path_format("%s/" MARK, folder);
        _cleanup_buffer_ struct buffer text = { 0 };
        struct stat status;

        if (!mark)
                return error_no_memory(err);
        if (lstat(folder, &status) < 0 && errno == ENOENT)
                *ret = FOLDER_ABSENT;
        else if (is_empty(folder))
                *ret = FOLDER_EMPTY;
        else if (file_read(mark, MAX_MARK_BYTES, &text, NULL) == 0 &&
                 strcmp((char *)text.data, build) == 0)
                *ret = FOLDER_THIS_BUILD;
        else
                return error_set(err, EXIT_CODE_ERROR, ENOTEMPTY,
                                 "name another folder with --built-modules, or remove this one",
                                 "%s holds something else than what this source builds", folder);
        return 0;
}

static int fill(const struct store *store, const struct rebuilt *rebuilt, const char *union_path,
                const char *build, const char *folder, struct error *err)
{
        _cleanup_free_ char *from = path_format("%s%s/.", rebuilt->root, union_path);
        _cleanup_free_ char *mark = path_format("%s/" MARK, folder);
        int r;

        if (!from || !mark)
                return error_no_memory(err);
        r = RUN(&store->runner, "copying the built modules", NULL, err, "cp", "-a",
                "--reflink=auto", "--", from, folder);
        return r < 0 ? r : file_write_atomic(mark, build, strlen(build), 0644, err);
}

int built_modules_make(const struct store *store, const struct rebuilt *rebuilt,
                       const char *folder, struct error *err)
{
        _cleanup_free_ char *union_path = path_format("%s/union", rebuilt->work);
        _cleanup_free_ char *full = NULL, *build = NULL;
        _cleanup_words_ struct words built = { 0 };
        enum folder_state state = 0;
        int r;

        if (!union_path)
                return error_no_memory(err);
        r = modules_list_built(rebuilt, &built, err);
        if (r == 0)
                r = name_build(rebuilt, &built, &build, err);
        if (r == 0)
                r = look(build, folder, &state, err);
        if (r < 0 || state == FOLDER_THIS_BUILD)
                return r;
        store_note(store, "stripping what was built");
        r = rebuilt_make_work(store, rebuilt, err);
        if (r == 0)
                r = write_list(rebuilt, &built, union_path, err);
        if (r == 0)
                r = unite(store, rebuilt, union_path, err);
        if (r == 0)
                r = strip(store, rebuilt, union_path, err);
        if (r == 0)
                r = directory_make(folder, 0755, err);
        if (r < 0)
                return r;
        full = realpath(folder, NULL); /* commands don't run in the caller's folder */
        if (!full)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't use %s", folder);
        r = fill(store, rebuilt, union_path, build, full, err);
        if (r < 0) {
                RUN(&store->runner, "emptying the folder again", NULL, NULL, "find", full,
                    "-xdev", "-mindepth", "1", "-delete");
                if (state == FOLDER_ABSENT)
                        rmdir(full);
        }
        return r;
}
