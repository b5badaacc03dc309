/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a patch is made from is said by which options are given. A table tells, for each such form,
 * the options that mark it, and those that have a meaning only with some of the forms; everything
 * else is refused with the name of the option, so that no option is ever ignored.
 */
#include "cli/build-request.h"

#include <stdio.h>
#include <string.h>
#include "base/array.h"
#include "base/cleanup.h"

/*
 * What the owner of a Debian source does in it, but for stripping and the tests. In a user namespace
 * fakeroot would take chown's EINVAL (a user that is not mapped) for a failure.
 */
#define BUILD_AS_PACKAGE \
        "DEB_BUILD_OPTIONS='nocheck nostrip noautodbgsym' FAKEROOTDONTTRYCHOWN=1 " \
        "dpkg-buildpackage -B -us -uc"

#define FORM(origin) (1u << (origin))
#define FORMS_DEBIAN (FORM(BUILD_FROM_PACKAGE) | FORM(BUILD_FROM_TREE))
#define FORMS_TREE (FORM(BUILD_FROM_TREE) | FORM(BUILD_FROM_PROJECT))
#define FORMS_SOURCE (FORMS_DEBIAN | FORM(BUILD_FROM_PROJECT))
#define FORMS_DIRECT (FORM(BUILD_FROM_OBJECTS) | FORM(BUILD_FROM_REPLACEMENT))

void build_call_done(struct build_call *call)
{
        for (size_t i = 0; i < call->n_cve_ids; i++)
                free(call->cve_ids[i]);
        free(call->cve_ids);
        free(call->cves);
        free(call->package);
        free(call->output);
        *call = (struct build_call){ 0 };
}

static int usage_fault(struct error *err, const char *next, const char *cause)
{
        return error_set(err, EXIT_CODE_USAGE, 0, next, "%s", cause);
}

static int find_origin(const struct options *options, enum build_origin *ret, struct error *err)
{
        unsigned n = !!options->source + !!options->tree +
                     (options->original_objects || options->fixed_objects) +
                     (options->replacements.n_items > 0);

        if (n != 1)
                return usage_fault(err, "for example: --source libevent=2.1.12-stable-8",
                                   n ? "suture build makes a patch from one thing: --source, --tree, "
                                       "objects or --replace"
                                     : "suture build needs --source PACKAGE=VERSION, --tree, objects "
                                       "or --replace");
        *ret = options->source   ? BUILD_FROM_PACKAGE
               : !options->tree  ? (options->replacements.n_items ? BUILD_FROM_REPLACEMENT
                                                                  : BUILD_FROM_OBJECTS)
               : options->command || options->in_place ? BUILD_FROM_PROJECT
                                                       : BUILD_FROM_TREE;
        return 0;
}

/* An option that the form has no use for is a mistake of whoever gave it. */
static int check_forms(const struct options *options, enum build_origin origin, struct error *err)
{
        const struct {
                bool given;
                enum option_id option;
                unsigned forms;
        } rows[] = {
                { options->command, OPTION_COMMAND, FORM(BUILD_FROM_PROJECT) },
                { options->depends.n_items, OPTION_DEPENDS, FORM(BUILD_FROM_PROJECT) },
                { options->in_place, OPTION_IN_PLACE, FORMS_TREE },
                { options->cflags, OPTION_CFLAGS, FORM(BUILD_FROM_REPLACEMENT) },
                { options->fixes.n_items, OPTION_FIX, FORMS_SOURCE },
                { options->fixed_source, OPTION_FIXED_SOURCE, FORM(BUILD_FROM_PACKAGE) },
                { options->fixed_tree, OPTION_FIXED_TREE, FORMS_TREE },
                { options->symbols, OPTION_SYMBOLS, FORMS_DIRECT },
                { options->built_modules, OPTION_BUILT_MODULES, FORMS_SOURCE },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].given && !(rows[i].forms & FORM(origin)))
                        return error_set(err, EXIT_CODE_USAGE, 0, "see: suture build --help",
                                         "%s has no meaning with what the patch is made from here",
                                         option_row(rows[i].option)->name);
        return 0;
}

static int check_fix(const struct options *options, enum build_origin origin, struct error *err)
{
        unsigned n = (options->fixes.n_items > 0) + !!options->fixed_source + !!options->fixed_tree;

        if (FORM(origin) & FORMS_DIRECT) {
                if (options->binaries.n_items != 1)
                        return usage_fault(err, "name it with --binary FILE",
                                           "objects and --replace need the one shipped module that "
                                           "they are for");
                if (origin == BUILD_FROM_OBJECTS &&
                    (!options->original_objects || !options->fixed_objects))
                        return usage_fault(err, "give both folders",
                                           "--original-objects and --fixed-objects belong together");
                return 0;
        }
        if (n == 0)
                return usage_fault(err, "give the fix: --fix FILE.patch",
                                   "suture build needs at least one --fix");
        if (n > 1)
                return usage_fault(err, "leave out one of them",
                                   "the fix is given either by --fix or by the fixed source");
        if (options->built_modules && options->binaries.n_items > 0)
                return usage_fault(err, "leave out one of them",
                                   "--built-modules is for what was not shipped, --binary for what "
                                   "was");
        return 0;
}

static int take_source(struct build_call *call, const char *source, struct error *err)
{
        const char *equals = strchr(source, '=');

        if (!equals || equals == source || !equals[1])
                return usage_fault(err, "for example: --source libevent=2.1.12-stable-8",
                                   "--source must be PACKAGE=VERSION");
        call->package = strndup(source, (size_t)(equals - source));
        if (!call->package)
                return error_no_memory(err);
        call->request.source_package = call->package;
        call->request.source_version = equals + 1;
        return 0;
}

/* "CVE-2026-1", "CVE-2026-1:remote", "CVE-2026-1:local". */
static int take_cve(struct build_call *call, const char *text, struct error *err)
{
        const char *colon = strchr(text, ':');
        enum patch_reach reach = PATCH_REACH_UNKNOWN;
        struct patch_cve *cve;
        char **id;

        if (colon && strcmp(colon + 1, "remote") == 0)
                reach = PATCH_REACH_REMOTE;
        else if (colon && strcmp(colon + 1, "local") == 0)
                reach = PATCH_REACH_LOCAL;
        else if (colon)
                return usage_fault(err, "for example: --cve CVE-2026-63382:remote",
                                   "behind the colon of --cve stands remote or local");
        id = ARRAY_PUSH(call->cve_ids, call->n_cve_ids);
        cve = ARRAY_PUSH(call->cves, call->n_cves);
        if (!id || !cve)
                return error_no_memory(err);
        *id = colon ? strndup(text, (size_t)(colon - text)) : strdup(text);
        if (!*id)
                return error_no_memory(err);
        *cve = (struct patch_cve){ .id = *id, .reach = reach };
        return 0;
}

static const char *last_part(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash && slash[1] ? slash + 1 : path;
}

/* What the patch file is named after: the id, the first CVE, the first fix, or the origin. */
static const char *name_of(const struct build_call *call, const struct options *options)
{
        if (options->id)
                return options->id;
        if (call->n_cve_ids > 0)
                return call->cve_ids[0];
        if (options->fixes.n_items > 0)
                return last_part(options->fixes.items[0]);
        if (options->replacements.n_items > 0)
                return last_part(options->replacements.items[0]);
        return call->package ? call->package
                             : last_part(options->tree ? options->tree : options->binaries.items[0]);
}

static int name_output(struct build_call *call, const struct options *options, struct error *err)
{
        const char *name = name_of(call, options), *dot = strrchr(name, '.');
        bool is_file = !options->id && call->n_cve_ids == 0;
        int size = is_file && dot && dot != name ? (int)(dot - name) : (int)strlen(name);

        if (asprintf(&call->output, "%.*s.%u.spatch", size, name,
                     options->level ? options->level : 1) < 0) {
                call->output = NULL;
                return error_no_memory(err);
        }
        return 0;
}

static void fill_request(const struct options *options, enum build_origin origin,
                         struct build_call *call)
{
        struct build_request *request = &call->request;

        request->origin = origin;
        request->tree = options->tree;
        request->command = !options->command && options->in_place ? BUILD_AS_PACKAGE
                                                                  : options->command;
        request->depends = options->depends.items;
        request->n_depends = options->depends.n_items;
        request->in_place = options->in_place;
        request->original_objects = options->original_objects;
        request->fixed_objects = options->fixed_objects;
        request->replacements = options->replacements.items;
        request->n_replacements = options->replacements.n_items;
        request->compiler_flags = options->cflags;
        request->symbols = options->symbols;
        request->fixes = options->fixes.items;
        request->n_fixes = options->fixes.n_items;
        request->fixed_version = options->fixed_source;
        request->fixed_tree = options->fixed_tree;
        request->binaries = options->binaries.items;
        request->n_binaries = options->binaries.n_items;
        request->built_modules = options->built_modules;
        request->cves = call->cves;
        request->n_cves = call->n_cves;
        request->id = options->id;
        request->level = options->level;
        request->title = options->title;
        request->author = options->author;
        request->supersedes = options->supersedes.items;
        request->n_supersedes = options->supersedes.n_items;
        request->cache = options->cache;
        request->output = options->output ? options->output : call->output;
}

int build_call_make(const struct options *options, struct build_call *ret, struct error *err)
{
        enum build_origin origin = 0;
        int r = find_origin(options, &origin, err);

        if (r == 0)
                r = check_forms(options, origin, err);
        if (r == 0)
                r = check_fix(options, origin, err);
        if (r == 0 && options->source)
                r = take_source(ret, options->source, err);
        for (size_t i = 0; r == 0 && i < options->cves.n_items; i++)
                r = take_cve(ret, options->cves.items[i], err);
        if (r == 0 && !options->output)
                r = name_output(ret, options, err);
        if (r < 0)
                return r;
        fill_request(options, origin, ret);
        ret->build = FORM(origin) & FORMS_DIRECT ? build_without_source : build_from_source;
        return 0;
}
