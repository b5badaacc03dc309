/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the project is built in place, its build is whatever its owner does anyway: the same user, the
 * same environment, the same folder. All that is added is a folder in front of PATH, which holds the
 * compiler wrapper under the names of all compilers that PATH has. CC and its kind are left alone; a
 * compiler called by an absolute path is not seen there, which is said when nothing else was.
 */
#include "build/project.h"

#include <dirent.h>
#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "build/tree.h"
#include "build/wrapper-source.h"

enum { MAX_CHANGELOG_BYTES = 64 << 20 };

/* With the target's name before it and the version behind it. */
#define COMPILER_NAMES \
        "^([A-Za-z0-9_.]+-)*(cc|c\\+\\+|c89|c99|gcc|g\\+\\+|clang|clang\\+\\+|tcc|icc|icx|icpx)" \
        "(-[0-9.]+)?$"

bool project_is_compiler(const char *name)
{
        regex_t regex;
        bool matches;

        if (regcomp(&regex, COMPILER_NAMES, REG_EXTENDED | REG_NOSUB) != 0)
                return false;
        matches = regexec(&regex, name, 0, NULL, 0) == 0;
        regfree(&regex);
        return matches;
}

static const char *search_path(void)
{
        const char *path = getenv("PATH");

        return path && path[0] ? path : RUN_PATH;
}

/* The wrapper answers to the names of the compilers of one folder. */
static int link_folder(const char *folder, const char *bin, struct words *names, struct error *err)
{
        DIR *directory = opendir(folder);
        const struct dirent *entry;
        int r = 0;

        while (r == 0 && directory && (entry = readdir(directory))) {
                _cleanup_free_ char *place = NULL;

                if (!project_is_compiler(entry->d_name) || words_contain(names, entry->d_name))
                        continue;
                place = path_format("%s/%s", bin, entry->d_name);
                if (!place || !words_add(names, entry->d_name))
                        r = error_no_memory(err);
                else if (symlink("compile-wrapper", place) < 0)
                        r = error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't make %s", place);
        }
        if (directory)
                closedir(directory);
        return r;
}

static int link_all(const char *bin, struct words *names, struct error *err)
{
        _cleanup_free_ char *path = strdup(search_path());
        char *folder, *next;
        int r = path ? 0 : error_no_memory(err);

        for (folder = path ? strtok_r(path, ":", &next) : NULL; r == 0 && folder;
             folder = strtok_r(NULL, ":", &next))
                r = link_folder(folder, bin, names, err);
        if (r == 0 && names->n_items == 0)
                r = error_set(err, EXIT_CODE_ERROR, 0, "apt-get install gcc",
                              "there is no compiler in PATH (%s)", search_path());
        return r;
}

/* Compiles the wrapper; `compiler` is found in our own PATH. */
static int compile_wrapper(const struct store *store, const char *compiler, const char *tools,
                           struct error *err)
{
        _cleanup_free_ char *source = path_format("%s/compile-wrapper.c", tools);
        _cleanup_free_ char *program = path_format("%s/bin/compile-wrapper", tools);
        const struct run_options options = { .own_environment = true };
        int r;

        if (!source || !program)
                return error_no_memory(err);
        r = file_write_atomic(source, wrapper_source, strlen(wrapper_source), 0644, err);
        return r < 0 ? r : RUN(&store->runner, "compiling the compiler wrapper", &options, err,
                               "env", compiler, "-O2", "-o", program, source);
}

static int install_wrapper(const struct store *store, const char *tools, struct error *err)
{
        _cleanup_free_ char *bin = path_format("%s/bin", tools);
        _cleanup_free_ char *log = path_format("%s/log", tools);
        _cleanup_words_ struct words names = { 0 };
        const char *compiler;
        int r;

        if (!bin || !log)
                return error_no_memory(err);
        r = directory_make(bin, 0755, err);
        if (r == 0)
                r = directory_make(log, 0755, err);
        if (r == 0)
                r = link_all(bin, &names, err);
        if (r < 0)
                return r;
        compiler = words_contain(&names, "cc")    ? "cc"
                   : words_contain(&names, "gcc") ? "gcc"
                                                  : names.items[0];
        return compile_wrapper(store, compiler, tools, err);
}

static int run_build(const struct store *store, const char *tools, const char *tree,
                     const char *command, struct error *err)
{
        _cleanup_words_ struct words argv = { 0 }, environment = { 0 };
        struct run_options options = { .directory = tree, .own_environment = true,
                                       .quote = RUN_QUOTE_LAST_LINES };

        /* A compiler cache would answer by itself, and the wrapper not be called. */
        if (!words_addf(&environment, "PATH=%s/bin:%s", tools, search_path()) ||
            !words_add(&environment, "CCACHE_DISABLE=1") || !words_add(&argv, "sh") ||
            !words_add(&argv, "-ec") || !words_add(&argv, command))
                return error_no_memory(err);
        options.environment = (const char *const *)environment.items;
        options.n_environment = environment.n_items;
        return run_command(&store->runner, &argv, "the build command", &options, err);
}

/* Parts of paths and manifests: what Debian policy allows in them (5.6.1). */
static char *make_name(const char *path)
{
        char *name = strdup(strrchr(path, '/') ? strrchr(path, '/') + 1 : path);

        for (char *c = name; c && *c; c++)
                if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789+.-", *c))
                        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : '-';
        return name;
}

static int name_project(const char *path, struct source_package *ret, struct error *err)
{
        _cleanup_free_ char *changelog = path_format("%s/debian/changelog", path);
        _cleanup_buffer_ struct buffer text = { 0 };

        if (!changelog)
                return error_no_memory(err);
        if (file_read(changelog, MAX_CHANGELOG_BYTES, &text, NULL) == 0 && text.size > 0 &&
            tree_parse_changelog((char *)text.data, &ret->name, &ret->version))
                return 0;
        ret->name = make_name(path);
        ret->version = strdup("local");
        return ret->name && ret->version ? 0 : error_no_memory(err);
}

/* Folders that a root has for itself, some of them as links that lead elsewhere. */
static bool may_be_in_root(const char *path)
{
        static const char *const taken[] = {
                "/bin/", "/boot/", "/build/", "/dev/", "/etc/", "/lib/", "/lib32/", "/lib64/",
                "/libx32/", "/proc/", "/run/", "/sbin/", "/suture/", "/sys/", "/var/run/",
                "/var/lock/", "/usr/",
        };

        if (!strchr(path + 1, '/')) /* a folder of "/" itself may have any of these names */
                return false;
        if (strncmp(path, "/usr/src/", 9) == 0 || strncmp(path, "/usr/local/", 11) == 0)
                return true;
        for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
                if (strncmp(path, taken[i], strlen(taken[i])) == 0)
                        return false;
        return true;
}

int project_read(const struct store *store, const struct build_request *request,
                 struct source_package *ret, struct error *err)
{
        char key[STORE_KEY_SIZE];
        int r;

        ret->tree = realpath(request->tree, NULL);
        if (!ret->tree)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't read the tree %s",
                                 request->tree);
        ret->command = request->command;
        ret->depends = request->depends;
        ret->n_depends = request->n_depends;
        r = name_project(ret->tree, ret, err);
        if (r < 0 || request->in_place)
                return r;
        r = tree_key(store, ret->tree, key, err);
        if (r < 0)
                return r;
        ret->key = strdup(key);
        ret->place = may_be_in_root(ret->tree) ? strdup(ret->tree) : NULL;
        return ret->key && (ret->place || !may_be_in_root(ret->tree)) ? 0 : error_no_memory(err);
}

/* The tree is copied into the cache, so the cache must not be in it. */
static int find_tree(const struct store *store, const char *tree, char **ret, struct error *err)
{
        _cleanup_free_ char *path = realpath(tree, NULL);
        struct stat status;
        size_t length;

        if (!path || stat(path, &status) < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't read the tree %s", tree);
        if (!S_ISDIR(status.st_mode))
                return error_set(err, EXIT_CODE_ERROR, ENOTDIR, NULL, "can't use the tree %s", tree);
        length = strlen(path);
        if (strncmp(store->path, path, length) == 0 && strchr("/", store->path[length]))
                return error_set(err, EXIT_CODE_ERROR, 0, "name a folder elsewhere with --cache",
                                 "the cache %s lies in the tree %s, which is copied into it",
                                 store->path, path);
        *ret = STEAL(path);
        return 0;
}

static int nothing_seen(const struct store *store, struct error *err)
{
        int r = run_fault(&store->runner, err,
                          "no compiler call was seen: either everything is up to date already, or the "
                          "build calls its compiler by an absolute path");

        if (err)
                snprintf(err->next, sizeof(err->next),
                         "remove what was built first (make clean), or name the compiler without its "
                         "folder (CC=gcc); the log %s tells what the command did",
                         store->log_path);
        return r;
}

int project_build_in_place(const struct store *store, const char *tree, const char *command,
                           struct rebuilt *ret, struct error *err)
{
        _cleanup_(rebuilt_done) struct rebuilt rebuilt = { 0 };
        _cleanup_free_ char *tools = path_format("%s/tools", store->temporary);
        int r;

        rebuilt.root = strdup(ROOT_IN_PLACE);
        rebuilt.command = strdup(command);
        rebuilt.work = path_format("%s/work", store->temporary);
        rebuilt.command_log = path_format("%s/tools/log/commands", store->temporary);
        if (!tools || !rebuilt.root || !rebuilt.command || !rebuilt.work || !rebuilt.command_log)
                return error_no_memory(err);
        r = find_tree(store, tree, &rebuilt.tree, err);
        if (r == 0)
                r = install_wrapper(store, tools, err);
        if (r == 0)
                r = run_build(store, tools, rebuilt.tree, command, err);
        if (r < 0)
                return r;
        if (!path_exists(rebuilt.command_log))
                return nothing_seen(store, err);
        *ret = rebuilt;
        rebuilt = (struct rebuilt){ 0 };
        return 0;
}
