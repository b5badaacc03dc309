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
#include "build/modules.h"

#define MARK ".suture-build"

enum { MAX_MARK_BYTES = 4096 };

/* $1: the packages, $2: the folder to be made. Links to folders stay links, as with dpkg. */
static const char unite_script[] =
        "mkdir -p \"$2\"\n"
        "for package in \"$1\"/*/; do\n"
        "        tar -C \"$package\" --exclude=./DEBIAN -cf \"$2.tar\" .\n"
        "        tar -C \"$2\" --keep-directory-symlink -xpf \"$2.tar\"\n"
        "        rm \"$2.tar\"\n"
        "done\n";

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

static int unite(const struct store *store, const struct rebuilt *rebuilt, const char *union_path,
                 struct error *err)
{
        _cleanup_(root_command_done) struct root_command command = { .as_root = true };
        const char *const argv[] = { "sh", "-ec", unite_script, "sh",
                                     rebuilt->packages + strlen(rebuilt->root), union_path };

        if (!words_extend(&command.arguments, argv, sizeof(argv) / sizeof(argv[0])))
                return error_no_memory(err);
        return root_run(store, rebuilt->root, &command, "unpacking the built packages", err);
}

/* The modules by their place in the packages, "./" first: a name may begin with a dash. */
static int strip(const struct store *store, const struct rebuilt *rebuilt, const char *union_path,
                 struct error *err)
{
        _cleanup_(root_command_done) struct root_command command = { .as_root = true };
        const char *const argv[] = { "xargs", "-0", "-n", "64", "-a" };
        const char *const then[] = { "sh", "-ec", strip_script, "sh", union_path };
        _cleanup_free_ char *inside = path_format("%s.modules", union_path);
        _cleanup_free_ char *outside = path_format("%s%s.modules", rebuilt->root, union_path);
        _cleanup_words_ struct words built = { 0 };
        _cleanup_buffer_ struct buffer list = { 0 };
        int r = inside && outside ? modules_list_built(rebuilt, &built, err) : error_no_memory(err);

        for (size_t i = 0; r == 0 && i < built.n_items; i++) {
                const char *path = modules_path_in_package(rebuilt, built.items[i]);

                if (!buffer_printf(&list, ".%s", path) || !buffer_append(&list, "", 1))
                        r = error_no_memory(err);
        }
        if (r == 0)
                r = file_write_atomic(outside, list.data, list.size, 0644, err);
        if (r < 0)
                return r;
        if (!words_extend(&command.arguments, argv, sizeof(argv) / sizeof(argv[0])) ||
            !words_add(&command.arguments, inside) ||
            !words_extend(&command.arguments, then, sizeof(then) / sizeof(then[0])))
                return error_no_memory(err);
        return root_run(store, rebuilt->root, &command, "stripping what was built", err);
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

static int look(const struct rebuilt *rebuilt, const char *folder, enum folder_state *ret,
                struct error *err)
{
        _cleanup_free_ char *mark = path_format("%s/" MARK, folder);
        _cleanup_buffer_ struct buffer text = { 0 };
        const char *build = strrchr(rebuilt->root, '/') + 1;
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
                const char *folder, struct error *err)
{
        _cleanup_free_ char *from = path_format("%s%s/.", rebuilt->root, union_path);
        _cleanup_free_ char *mark = path_format("%s/" MARK, folder);
        const char *build = strrchr(rebuilt->root, '/') + 1;
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
        _cleanup_free_ char *full = NULL;
        enum folder_state state = 0;
        int r;

        if (!union_path)
                return error_no_memory(err);
        r = look(rebuilt, folder, &state, err);
        if (r < 0 || state == FOLDER_THIS_BUILD)
                return r;
        store_note(store, "stripping what was built");
        r = rebuilt_make_work(store, rebuilt, err);
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
        r = fill(store, rebuilt, union_path, full, err);
        if (r < 0) {
                RUN(&store->runner, "emptying the folder again", NULL, NULL, "find", full,
                    "-xdev", "-mindepth", "1", "-delete");
                if (state == FOLDER_ABSENT)
                        rmdir(full);
        }
        return r;
}
