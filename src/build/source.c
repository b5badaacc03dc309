/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A source package is fetched once: `apt-get source --download-only` in the private apt state, with
 * lists as they are first, and again with fresh lists, since the archive drops a version when a
 * newer one comes. What is in the cache is complete, as it came there by one rename.
 */
#include "build/source.h"

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"

enum { MAX_DSC_BYTES = 1 << 20 };

void source_package_done(struct source_package *source)
{
        free(source->name);
        free(source->version);
        free(source->tree);
        free(source->place);
        free(source->folder);
        free(source->dsc);
        free(source->key);
        *source = (struct source_package){ 0 };
}

static bool name_is_valid(const char *name)
{
        return isalnum((unsigned char)name[0]) &&
               name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789+-.")] == '\0' &&
               strlen(name) < 128;
}

static bool version_is_valid(const char *version)
{
        return isdigit((unsigned char)version[0]) &&
               version[strspn(version, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                       "0123456789.+-~:")] == '\0' &&
               strlen(version) < 128;
}

bool source_name_is_valid(const char *name, const char *version)
{
        return name_is_valid(name) && version_is_valid(version);
}

static int find_dsc(struct source_package *source, struct error *err)
{
        _cleanup_free_ char *pattern = path_format("%s/*.dsc", source->folder);
        _cleanup_buffer_ struct buffer text = { 0 };
        char key[STORE_KEY_SIZE];
        glob_t found = { 0 };
        int r = 0;

        if (!pattern)
                return error_no_memory(err);
        if (glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc == 1)
                r = file_read(found.gl_pathv[0], MAX_DSC_BYTES, &text, err);
        else
                r = error_set(err, EXIT_CODE_ERROR, 0, "remove the folder and try again",
                              "%s does not hold exactly one .dsc file", source->folder);
        if (r == 0) {
                source->dsc = strdup(strrchr(found.gl_pathv[0], '/') + 1);
                store_key((char *)text.data, key);
                source->key = strdup(key);
                r = source->dsc && source->key ? 0 : error_no_memory(err);
        }
        globfree(&found);
        return r;
}

static int download(const struct store *store, const struct apt_state *apt,
                    const struct source_package *source, const char *folder, struct error *err)
{
        _cleanup_free_ char *setting = path_format("APT_CONFIG=%s", apt->config);
        _cleanup_free_ char *exact = path_format("%s=%s", source->name, source->version);
        struct run_options options = { .directory = folder,
                                       .environment = (const char *const[]){ setting },
                                       .n_environment = 1 };

        if (!setting || !exact)
                return error_no_memory(err);
        return RUN(&store->runner, "fetching the source", &options, err, "apt-get", "source",
                   "--download-only", "--only-source", "-qq", exact);
}

static int explain_missing(const struct store *store, const struct apt_state *apt,
                           const struct source_package *source, struct error *err)
{
        struct error reason = *err;

        error_set(err, EXIT_CODE_ERROR, 0, "", "the source %s %s is not to be had (%s); tried the "
                  "repositories in %s with fresh lists", source->name, source->version,
                  reason.cause, apt->sources);
        snprintf(err->next, sizeof(err->next),
                 "check the version, or put its .dsc and the files it names in %s; log: %s",
                 source->folder, store->log_path);
        return -ENOENT;
}

static int fetch_to(const struct store *store, const struct apt_state *apt,
                    const struct source_package *source, struct error *err)
{
        _cleanup_free_ char *folder = path_format("%s/source", store->temporary);
        int r;

        if (!folder)
                return error_no_memory(err);
        r = directory_make(folder, 0755, err);
        if (r == 0)
                r = apt_state_update(store, apt, false, err);
        if (r < 0)
                return r;
        r = download(store, apt, source, folder, err);
        if (r < 0 && r != -EINTR) {
                r = apt_state_update(store, apt, true, err);
                if (r == 0)
                        r = download(store, apt, source, folder, err);
                if (r < 0 && r != -EINTR)
                        return explain_missing(store, apt, source, err);
        }
        return r < 0 ? r : store_keep(store, folder, source->folder, err);
}

/* apt's lists and packages are one thing for all runs. */
static int fetch_once(const struct store *store, const struct apt_state *apt,
                      const struct source_package *source, struct error *err)
{
        _cleanup_close_ int lock = -1;
        int r = store_lock(store, APT_LOCK, &lock, err);

        return r < 0 || path_exists(source->folder) ? r : fetch_to(store, apt, source, err);
}

int source_package_fetch(const struct store *store, const struct apt_state *apt, const char *name,
                         const char *version, struct source_package *ret, struct error *err)
{
        _cleanup_(source_package_done) struct source_package source = { 0 };
        int r = 0;

        if (!source_name_is_valid(name, version))
                return error_set(err, EXIT_CODE_USAGE, 0,
                                 "name it as dpkg does, such as libevent=2.1.12-stable-8",
                                 "%s=%s is not a source package and version", name, version);
        source.name = strdup(name);
        source.version = strdup(version);
        source.folder = store_path(store, "sources/%s_%s", name, version);
        if (!source.name || !source.version || !source.folder)
                return error_no_memory(err);
        if (!path_exists(source.folder))
                r = fetch_once(store, apt, &source, err);
        if (r == 0)
                r = find_dsc(&source, err);
        if (r < 0)
                return r;
        *ret = source;
        source = (struct source_package){ 0 };
        return 0;
}
