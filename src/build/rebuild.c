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

/* Changes when a root built by an earlier suture can't be used any more. */
#define BUILD_RECIPE "1"

void rebuilt_done(struct rebuilt *rebuilt)
{
        free(rebuilt->root);
        free(rebuilt->tree);
        free(rebuilt->packages);
        *rebuilt = (struct rebuilt){ 0 };
}

static const char build_script[] =
        "cd /build/dsc\n"
        "dpkg-source -x \"$DSC\" \"$TREE\"\n"
        "cd \"$TREE\"\n"
        "exec dpkg-buildpackage -B -us -uc -rfakeroot\n";

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

        if (!words_addf(&command.environment, "DSC=%s", source->dsc) ||
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

static int build_in(const struct store *store, const struct apt_state *apt, const char *base,
                    const char *root, const struct source_package *source, const char *tree,
                    void (*note)(void *context, const char *text), void *context,
                    struct error *err)
{
        _cleanup_free_ char *dsc_folder = path_format("%s/build/dsc", root);
        int r;

        if (!dsc_folder)
                return error_no_memory(err);
        r = root_unpack(store, base, root, err);
        if (r < 0)
                return r;
        note(context, "installing the build dependencies");
        r = root_install_dependencies(store, apt, root, source, err);
        if (r == 0)
                r = root_install_wrapper(store, root, err);
        if (r == 0)
                r = RUN(&store->runner, "copying the source", NULL, err, "cp", "-r",
                        source->folder, dsc_folder);
        if (r < 0)
                return r;
        note(context, "building the original package");
        r = build_packages(store, root, tree, source, err);
        return r < 0 ? r : unpack_packages(store, root, err);
}

static int build_and_keep(const struct store *store, const struct apt_state *apt,
                          const char *base, const char *place,
                          const struct source_package *source, const char *tree,
                          void (*note)(void *context, const char *text), void *context,
                          struct error *err)
{
        _cleanup_free_ char *root = path_format("%s/root", store->temporary);
        int r;

        if (!root)
                return error_no_memory(err);
        note(context, "unpacking a fresh root");
        r = build_in(store, apt, base, root, source, tree, note, context, err);
        return r < 0 ? r : store_keep(store, root, place, err);
}

int rebuild_original(const struct store *store, const struct apt_state *apt,
                     const struct source_package *source,
                     void (*note)(void *context, const char *text), void *context,
                     struct rebuilt *ret, struct error *err)
{
        _cleanup_(rebuilt_done) struct rebuilt rebuilt = { 0 };
        _cleanup_free_ char *base = NULL, *base_key = NULL, *recipe = NULL;
        char key[STORE_KEY_SIZE];
        int r;

        note(context, "making a root for the build");
        r = root_base_ensure(store, apt, &base, &base_key, err);
        if (r < 0)
                return r;
        recipe = path_format("%s %s %s", BUILD_RECIPE, base_key, source->key);
        if (!recipe)
                return error_no_memory(err);
        store_key(recipe, key);
        rebuilt.root = store_path(store, "builds/%s_%s-%s", source->name, source->version, key);
        rebuilt.tree = tree_path(source);
        if (!rebuilt.root || !rebuilt.tree)
                return error_no_memory(err);
        rebuilt.packages = path_format("%s" ROOT_TOOLS "/packages", rebuilt.root);
        if (!rebuilt.packages)
                return error_no_memory(err);
        rebuilt.from_cache = path_exists(rebuilt.root);
        if (!rebuilt.from_cache)
                r = build_and_keep(store, apt, base, rebuilt.root, source, rebuilt.tree, note,
                                   context, err);
        if (r < 0)
                return r;
        *ret = rebuilt;
        rebuilt = (struct rebuilt){ 0 };
        return 0;
}
