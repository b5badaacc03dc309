/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The build is the one that Debian's build machines do (dpkg-buildpackage -B as an unprivileged
 * user with fakeroot), but for three things that don't change code: symbols stay in, tests are not
 * run, and the compiler is called through a wrapper that notes its commands. All of it happens
 * below tmp/; the root moves to its place in the cache when the packages are there.
 */
#include "build/rebuild.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "build/tree.h"

/* Changes when a root built by an earlier suture can't be used any more. */
#define BUILD_RECIPE "1"

void rebuilt_done(struct rebuilt *rebuilt)
{
        free(rebuilt->root);
        free(rebuilt->tree);
        free(rebuilt->packages);
        free(rebuilt->work);
        free(rebuilt->command);
        free(rebuilt->command_log);
        *rebuilt = (struct rebuilt){ 0 };
}

/* Patches that the build applies must still be there when it is done: the tree is the source. */
static const char build_script[] =
        "if [ -n \"$DSC\" ]; then\n"
        "        cd /build/dsc\n"
        "        dpkg-source -x \"$DSC\" \"$TREE\"\n"
        "fi\n"
        "cd \"$TREE\"\n"
        "exec dpkg-buildpackage -B -us -uc -rfakeroot --source-option=--no-unapply-patches\n";

/* The epoch is left out of the path: a colon there breaks makefiles. */
static char *tree_path(const struct source_package *source)
{
        const char *colon = strchr(source->version, ':');

        if (source->place)
                return strdup(source->place);
        return path_format("/build/%s-%s", source->name, colon ? colon + 1 : source->version);
}

static int build_packages(const struct store *store, const char *root, const char *tree,
                          const struct source_package *source, struct error *err)
{
        _cleanup_(root_command_done) struct root_command command = { .wrapped = true };
        long processors = sysconf(_SC_NPROCESSORS_ONLN);

        if (!words_addf(&command.environment, "DSC=%s", source->dsc ? source->dsc : "") ||
            !words_addf(&command.environment, "TREE=%s", tree) ||
            !words_addf(&command.environment,
                        "DEB_BUILD_OPTIONS=nocheck nostrip noautodbgsym parallel=%ld",
                        processors) ||
            !words_add(&command.environment, "DPKG_DEB_COMPRESSOR_TYPE=none"))
                return error_no_memory(err);
        return root_run_script(store, root, &command, build_script, "building the original", err);
}

static int run_project(const struct store *store, const char *root, const char *tree,
                       const struct source_package *source, struct error *err)
{
        _cleanup_(root_command_done) struct root_command command = {
                .wrapped = true, .directory = tree, .quote = RUN_QUOTE_LAST_LINES,
        };

        return root_run_script(store, root, &command, source->command, "the build command", err);
}

static const char unpack_script[] =
        "mkdir -p /suture/packages\n"
        "for deb in /build/*.deb; do\n"
        "        [ -e \"$deb\" ] || continue\n"
        "        name=$(dpkg-deb -f \"$deb\" Package)\n"
        "        dpkg-deb -R \"$deb\" \"/suture/packages/$name\"\n"
        "        rm \"$deb\"\n"
        "done\n";

static int unpack_packages(const struct store *store, const char *root, struct error *err)
{
        _cleanup_(root_command_done) struct root_command command = { .as_root = true };

        return root_run_script(store, root, &command, unpack_script, "unpacking what was built",
                               err);
}

/* The builder gets a way to its tree, wherever that is. */
static const char place_script[] =
        "mkdir -p \"${PLACE%/*}/\"\n"
        "while folder=${PLACE%/*} && [ -n \"$folder\" ]; do\n"
        "        chmod a+x \"$folder\"\n"
        "        PLACE=$folder\n"
        "done\n";

static int make_place(const struct store *store, const char *root, const char *place,
                      struct error *err)
{
        _cleanup_(root_command_done) struct root_command command = { .as_root = true };

        if (!words_addf(&command.environment, "PLACE=%s", place))
                return error_no_memory(err);
        return root_run_script(store, root, &command, place_script, "making a place for the tree",
                               err);
}

/* Where the source is to be in the root, it is made to be, owned by the builder. */
static int place_source(const struct store *store, const char *root, const char *tree,
                        const struct source_package *source, struct error *err)
{
        _cleanup_free_ char *folder = path_format("%s%s", root, source->tree ? tree : "/build/dsc");
        int r;

        if (!folder)
                return error_no_memory(err);
        if (!source->tree)
                return RUN(&store->runner, "copying the source", NULL, err, "cp", "-r",
                           source->folder, folder);
        r = source->place ? make_place(store, root, source->place, err) : 0;
        if (r == 0)
                r = tree_copy(store, source->tree, source->key, folder, err);
        return r < 0 ? r : RUN(&store->runner, "giving the tree to the builder", NULL, err, "chown",
                               "-R", "-h", ROOT_BUILDER, folder);
}

/* A project may be a Debian source too; then it has build dependencies. */
static int install_dependencies(const struct store *store, const struct apt_state *apt,
                                const char *root, const struct source_package *source,
                                struct error *err)
{
        _cleanup_free_ char *control = source->tree ? path_format("%s/debian/control", source->tree)
                                                    : NULL;
        _cleanup_free_ char *depends = source->tree
                                               ? strdup(source->tree)
                                               : path_format("%s/%s", source->folder, source->dsc);
        int r = root_install_packages(store, apt, root, source->depends, source->n_depends, err);

        if (r < 0)
                return r;
        if (!depends || (source->tree && !control))
                return error_no_memory(err);
        return control && !path_exists(control)
                       ? 0
                       : root_install_dependencies(store, apt, root, depends, err);
}

static int build_in(const struct store *store, const struct apt_state *apt, const char *base,
                    const char *root, const struct source_package *source, const char *tree,
                    struct error *err)
{
        int r;

        store_note(store, "unpacking a fresh root");
        r = root_unpack(store, base, root, err);
        if (r < 0)
                return r;
        store_note(store, "installing the build dependencies");
        r = install_dependencies(store, apt, root, source, err);
        if (r == 0)
                r = root_install_wrapper(store, root, err);
        if (r == 0)
                r = place_source(store, root, tree, source, err);
        if (r < 0)
                return r;
        if (source->command) {
                store_note(store, "running the build command");
                return run_project(store, root, tree, source, err);
        }
        store_note(store, "building the original package");
        r = build_packages(store, root, tree, source, err);
        return r < 0 ? r : unpack_packages(store, root, err);
}

/* Another run may be making the very same: then this one waits, and takes it. */
static int build_once(const struct store *store, const struct apt_state *apt, const char *base,
                      const struct source_package *source, struct rebuilt *rebuilt,
                      struct error *err)
{
        _cleanup_free_ char *root = path_format("%s/root", store->temporary);
        _cleanup_free_ char *name = path_format("build-%s", strrchr(rebuilt->root, '/') + 1);
        _cleanup_close_ int lock = -1;
        int r;

        if (!root || !name)
                return error_no_memory(err);
        r = store_lock(store, name, &lock, err);
        rebuilt->from_cache = path_exists(rebuilt->root);
        if (r < 0 || rebuilt->from_cache)
                return r;
        r = build_in(store, apt, base, root, source, rebuilt->tree, err);
        return r < 0 ? r : store_keep(store, root, rebuilt->root, err);
}

int rebuilt_name_work(const struct store *store, struct rebuilt *rebuilt, struct error *err)
{
        _cleanup_free_ char *all = path_format("%s" ROOT_WORK, rebuilt->root);

        rebuilt->work = path_format(ROOT_WORK "/%s", store_run_name(store));
        return all && rebuilt->work ? store_remove_stale(store, all, err) : error_no_memory(err);
}

int rebuilt_make_work(const struct store *store, const struct rebuilt *rebuilt, struct error *err)
{
        _cleanup_free_ char *work = path_format("%s%s", rebuilt->root, rebuilt->work);
        int r = work ? directory_make(work, 0755, err) : error_no_memory(err);

        if (r < 0 || !rebuilt->root[0])
                return r;
        return RUN(&store->runner, "making a work folder", NULL, err, "chown", ROOT_BUILDER, work);
}

/* Names the root by what it is made of. */
static int name_root(const struct store *store, const struct source_package *source,
                     const char *base_key, struct rebuilt *ret, struct error *err)
{
        _cleanup_buffer_ struct buffer recipe = { 0 };
        char key[STORE_KEY_SIZE];
        bool ok = buffer_printf(&recipe, "%s %s %s%s", BUILD_RECIPE, base_key,
                                source->tree ? "tree " : "", source->key);

        if (ok && source->command)
                ok = buffer_printf(&recipe, "\n%s\n%s\n", source->command,
                                   source->place ? source->place : "");
        for (size_t i = 0; ok && i < source->n_depends; i++)
                ok = buffer_printf(&recipe, "%s\n", source->depends[i]);
        if (!ok)
                return error_no_memory(err);
        store_key((char *)recipe.data, key);
        ret->root = store_path(store, "builds/%s_%s-%s", source->name, source->version, key);
        ret->tree = tree_path(source);
        if (!ret->root || !ret->tree)
                return error_no_memory(err);
        if (source->command) {
                ret->command = strdup(source->command);
                return ret->command ? 0 : error_no_memory(err);
        }
        ret->packages = path_format("%s" ROOT_TOOLS "/packages", ret->root);
        return ret->packages ? 0 : error_no_memory(err);
}

int rebuild_original(const struct store *store, const struct apt_state *apt,
                     const struct source_package *source, struct rebuilt *ret, struct error *err)
{
        _cleanup_(rebuilt_done) struct rebuilt rebuilt = { 0 };
        _cleanup_free_ char *base = NULL, *base_key = NULL;
        int r;

        store_note(store, "making a root for the build");
        r = root_base_ensure(store, apt, &base, &base_key, err);
        if (r == 0)
                r = name_root(store, source, base_key, &rebuilt, err);
        if (r == 0)
                r = build_once(store, apt, base, source, &rebuilt, err);
        if (r == 0)
                r = rebuilt_name_work(store, &rebuilt, err);
        if (r < 0)
                return r;
        *ret = rebuilt;
        rebuilt = (struct rebuilt){ 0 };
        return 0;
}
