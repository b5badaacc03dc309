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

static const char unpack_script[] =
        "mkdir -p /suture/packages\n"
        "for deb in /build/*.deb; do\n"
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
        r = tree_copy(store, source->tree, source->key, folder, err);
        return r < 0 ? r : RUN(&store->runner, "giving the tree to the builder", NULL, err, "chown",
                               "-R", "-h", ROOT_BUILDER, folder);
}

static int build_in(const struct store *store, const struct apt_state *apt, const char *base,
                    const char *root, const struct source_package *source, const char *tree,
                    struct error *err)
{
        _cleanup_free_ char *depends = source->tree
                                               ? strdup(source->tree)
                                               : path_format("%s/%s", source->folder, source->dsc);
        int r;

        if (!depends)
                return error_no_memory(err);
        store_note(store, "unpacking a fresh root");
        r = root_unpack(store, base, root, err);
        if (r < 0)
                return r;
        store_note(store, "installing the build dependencies");
        r = root_install_dependencies(store, apt, root, depends, err);
        if (r == 0)
                r = root_install_wrapper(store, root, err);
        if (r == 0)
                r = place_source(store, root, tree, source, err);
        if (r < 0)
                return r;
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
        _cleanup_free_ char *recipe = path_format("%s %s %s%s", BUILD_RECIPE, base_key,
                                                  source->tree ? "tree " : "", source->key);
        char key[STORE_KEY_SIZE];

        if (!recipe)
                return error_no_memory(err);
        store_key(recipe, key);
        ret->root = store_path(store, "builds/%s_%s-%s", source->name, source->version, key);
        ret->tree = tree_path(source);
        if (!ret->root || !ret->tree)
                return error_no_memory(err);
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
