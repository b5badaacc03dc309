/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The order of the work, and nothing else: each step lives in a file of its own. What is known about
 * a module is gathered in one `struct job`; a step that fails leaves its cause in err, and the cleanup
 * of the job lets the cache go.
 */
#include "build/build.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/array.h"
#include "base/file.h"
#include "build/built-modules.h"
#include "build/change-kind.h"
#include "build/difference.h"
#include "build/objects.h"
#include "build/project.h"
#include "build/regenerate.h"
#include "build/result.h"
#include "build/steps.h"
#include "build/tree.h"
#include "build/units.h"
#include "build/userns.h"

enum { MAX_FIX_BYTES = 64 << 20 };

struct job {
        struct steps steps;
        const struct build_request *request;
        struct build_result *result;
        struct store *store;           /* that of the steps */
        struct apt_state apt;
        struct source_package source;
        struct rebuilt rebuilt;
        struct module_pairs modules;
        struct difference difference;  /* if the fix was given as the fixed source */
        const char *const *fix_paths;  /* the fix, as patch files */
        size_t n_fixes;
        struct applied_fix fix;
        bool regenerated;              /* C files, from what the fix changes beside C */
        struct compile_log log;
        struct unit_list *units;       /* one list for each module */
        struct patch_fix *fixes;
        char *id, *title;
        struct buffer patch;           /* the finished file */
        struct objects_report report;
};

/* The copy of the source and the objects are of use to this run only. */
static void remove_work(const struct job *job)
{
        _cleanup_free_ char *work = job->rebuilt.work ? path_format("%s%s", job->rebuilt.root,
                                                                    job->rebuilt.work)
                                                      : NULL;

        if (work && path_exists(work))
                store_remove(job->store, work, NULL);
}

static void job_done(struct job *job)
{
        remove_work(job);
        for (size_t i = 0; job->units && i < job->modules.n_items; i++)
                unit_list_done(&job->units[i]);
        free(job->units);
        for (size_t i = 0; job->fixes && i < job->n_fixes; i++)
                free((char *)job->fixes[i].name);
        free(job->fixes);
        free(job->id);
        free(job->title);
        objects_report_done(&job->report);
        buffer_done(&job->patch);
        compile_log_done(&job->log);
        applied_fix_done(&job->fix);
        difference_done(&job->difference);
        module_pairs_done(&job->modules);
        rebuilt_done(&job->rebuilt);
        source_package_done(&job->source);
        apt_state_done(&job->apt);
        steps_done(&job->steps);
}

static int add_finding(struct job *job, const char *code, bool fatal, const char *where,
                       const char *text, struct error *err)
{
        return result_add_finding(job->result, code, fatal, where, text, err);
}

/* BUILD_REFUSED with the first fatal finding in err, or 0. */
static int judge_findings(const struct job *job, struct error *err)
{
        for (size_t i = 0; i < job->result->n_findings; i++) {
                const struct build_finding *finding = &job->result->findings[i];

                if (!finding->fatal)
                        continue;
                error_set(err, EXIT_CODE_UNSUPPORTED, 0, NULL, "%s: %s%s%s", finding->code,
                          finding->where, finding->where[0] ? ": " : "", finding->text);
                snprintf(err->next, sizeof(err->next), "suture explain %s tells what can be done",
                         finding->code);
                return BUILD_REFUSED;
        }
        return 0;
}

/* --- the original ------------------------------------------------------------------------------ */

/* A file that was named must be equal; one that was only found must be so if the fix is for it. */
static int require_equal(const struct module_pair *pair, struct error *err)
{
        if (pair->proven == 0)
                return 0;
        error_set(err, EXIT_CODE_ERROR, 0, pair->difference.next,
                  "the rebuilt %s is not the shipped %s: %s; %zu of %zu sections and %zu of %zu "
                  "functions are equal", pair->name, pair->shipped_path, pair->difference.cause,
                  pair->proof.n_sections_equal, pair->proof.n_sections,
                  pair->proof.n_functions_equal, pair->proof.n_functions);
        return -EINVAL;
}

/* What a project's build made is patched itself: there is nothing to compare it with. */
static bool is_own_target(const struct job *job)
{
        return job->request->origin == BUILD_FROM_PROJECT && job->request->n_binaries == 0 &&
               !job->request->built_modules;
}

static void tell_proof(const struct job *job)
{
        const struct module_pair *pair = &job->modules.items[0];
        char id[BUILD_ID_HEX_SIZE];
        size_t n_equal = 0;

        for (size_t i = 0; i < job->modules.n_items; i++)
                n_equal += job->modules.items[i].proven == 0;
        if (is_own_target(job)) {
                steps_end(&job->steps, "%zu module%s of this build %s the target%s, without --binary",
                         job->modules.n_items, plural(job->modules.n_items),
                         job->modules.n_items == 1 ? "is" : "are", plural(job->modules.n_items));
                return;
        }
        if (job->modules.n_items != 1) {
                steps_end(&job->steps, "%zu of %zu modules are equal to the shipped ones", n_equal,
                         job->modules.n_items);
                return;
        }
        build_id_format(&pair->build_id, id);
        steps_end(&job->steps, "equal to the shipped build ID %.8s (%zu of %zu functions, %zu of %zu "
                 "sections%s%s)", id, pair->proof.n_functions_equal, pair->proof.n_functions,
                 pair->proof.n_sections_equal, pair->proof.n_sections,
                 pair->proof.differing[0] ? ", not " : "", pair->proof.differing);
}

static int build_debian(struct job *job, struct error *err)
{
        const struct build_request *request = job->request;
        int r = apt_state_prepare(job->store, &job->apt, err);

        if (r < 0)
                return r;
        if (request->origin == BUILD_FROM_PACKAGE) {
                steps_note(&job->steps, "fetching the source");
                r = source_package_fetch(job->store, &job->apt, request->source_package,
                                         request->source_version, &job->source, err);
        } else {
                steps_note(&job->steps, "reading the source tree");
                r = tree_read_package(job->store, request->tree, &job->source, err);
        }
        return r < 0 ? r : rebuild_original(job->store, &job->apt, &job->source, &job->rebuilt,
                                            err);
}

static int build_project(struct job *job, struct error *err)
{
        const struct build_request *request = job->request;
        int r = project_read(job->store, request, &job->source, err);

        if (r < 0)
                return r;
        if (request->in_place) {
                steps_note(&job->steps, "running the build command");
                return project_build_in_place(job->store, request->tree, request->command,
                                              &job->rebuilt, err);
        }
        r = apt_state_prepare(job->store, &job->apt, err);
        return r < 0 ? r : rebuild_original(job->store, &job->apt, &job->source, &job->rebuilt,
                                            err);
}

static int do_original(struct job *job, struct error *err)
{
        const struct build_request *request = job->request;
        int r;

        steps_begin(&job->steps, STEP_ORIGINAL);
        r = request->origin == BUILD_FROM_PROJECT ? build_project(job, err)
                                                  : build_debian(job, err);
        if (r == 0 && request->built_modules)
                r = built_modules_make(job->store, &job->rebuilt, request->built_modules, err);
        if (r < 0)
                return r;
        steps_note(&job->steps, "comparing it with the shipped modules");
        r = module_pairs_find(job->store, &job->rebuilt, &job->source, request, &job->modules,
                              err);
        for (size_t i = 0; r == 0 && i < job->modules.n_items; i++)
                if (job->modules.items[i].named)
                        r = require_equal(&job->modules.items[i], err);
        if (r == 0)
                tell_proof(job);
        return r;
}

/* --- the fixed source -------------------------------------------------------------------------- */

static int add_other_code(struct job *job, const char *name, struct error *err)
{
        if (job->regenerated && !change_is_assembly(name))
                return add_finding(job, "SB203", false, name,
                                   "the C that is made from it was made again by the package's own "
                                   "build", err);
        return add_finding(job, "SB203", true, name, "the fix changes a source that is not C", err);
}

static int make_generated(struct job *job, struct error *err)
{
        for (size_t i = 0; i < job->fix.others.n_items; i++) {
                const char *name = job->fix.others.items[i];

                if (change_kind_of(name) != CHANGE_OTHER_CODE || change_is_assembly(name))
                        continue;
                steps_note(&job->steps, "making generated sources again");
                return regenerate(job->store, &job->rebuilt, &job->fix, &job->regenerated, err);
        }
        return 0;
}

/* What the fix changes beside C files can't be seen in objects, so it is said. */
static int find_other_changes(struct job *job, struct error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < job->fix.others.n_items; i++) {
                const char *name = job->fix.others.items[i];

                if (change_kind_of(name) == CHANGE_OTHER_CODE)
                        r = add_other_code(job, name, err);
                else
                        r = add_finding(job, "SB204", false, name,
                                        "the fix also changes how the package is built; that part "
                                        "is left out", err);
        }
        for (size_t i = 0; r == 0 && i < job->difference.removed.n_items; i++)
                r = add_finding(job, "SB204", false, job->difference.removed.items[i],
                                "the fixed source does not have this file any more", err);
        return r;
}

static bool is_unit(const struct job *job, const char *name)
{
        for (size_t i = 0; i < job->modules.n_items; i++)
                for (size_t k = 0; k < job->units[i].n_items; k++)
                        if (strcmp(job->units[i].items[k].name, name) == 0)
                                return true;
        return false;
}

static bool is_header(const char *name)
{
        const char *dot = strrchr(name, '.');

        return dot && (dot[1] == 'h' || dot[1] == 'H' || dot[1] == 'i');
}

/* A part of the fix that did not fit matters if it is in what the modules are made from. */
static int find_misfits(struct job *job, struct error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < job->fix.failed.n_items; i++) {
                const char *name = job->fix.failed.items[i];
                bool matters = is_unit(job, name) || words_contain(&job->fix.read, name) ||
                               (change_kind_beside(name) == CHANGE_CODE && is_header(name));

                r = add_finding(job, "SB201", matters, name,
                                matters ? "a part of the fix does not fit this version"
                                        : "a part of the fix does not fit, in a file that no module "
                                          "is made from", err);
        }
        if (r == 0 && job->fix.fuzzy)
                r = add_finding(job, "SB202", false, "",
                                "the fix fits only where some lines around it are ignored", err);
        return r;
}

/* A C source that the original tree does not have: the build would compile it too, it seems. */
static bool is_new_source(const struct job *job, const char *name)
{
        _cleanup_free_ char *path = path_format("%s%s/%s", job->rebuilt.root, job->rebuilt.tree,
                                                name);
        const char *dot = strrchr(name, '.');

        return path && dot && (dot[1] == 'c' || dot[1] == 'C') && !path_exists(path) &&
               change_kind_beside(name) == CHANGE_CODE && !words_contain(&job->fix.read, name);
}

/* It becomes a part of every module that the fix concerns; what nobody calls is left out later. */
static int add_new_sources(struct job *job, struct error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < job->fix.changed.n_items; i++) {
                const char *name = job->fix.changed.items[i];

                if (!is_new_source(job, name))
                        continue;
                for (size_t k = 0; r == 0 && k < job->modules.n_items; k++)
                        if (job->units[k].n_items > 0)
                                r = units_add_new(&job->rebuilt, name, &job->units[k], err);
                if (r == 0)
                        r = add_finding(job, "SB204", false, name,
                                        "the fix adds a source; it is compiled as the others of its "
                                        "folder are", err);
                if (r == 0 && !words_add(&job->fix.read, name))
                        return error_no_memory(err);
        }
        return r;
}

static int find_units(struct job *job, size_t *ret_n, struct error *err)
{
        _cleanup_(unit_readings_done) struct unit_readings readings = { 0 };
        int r;

        job->units = calloc(job->modules.n_items, sizeof(*job->units));
        if (!job->units)
                return error_no_memory(err);
        r = readings_find(job->store, &job->rebuilt, &job->log, &job->fix, &readings, err);
        for (size_t i = 0; r == 0 && i < job->modules.n_items; i++) {
                const struct module_pair *pair = &job->modules.items[i];

                r = units_find(job->store, &job->rebuilt, &job->log, &readings, &job->fix, pair,
                               &job->units[i], err);
                if (r == 0 && job->units[i].n_items > 0)
                        r = require_equal(pair, err);
                *ret_n += job->units[i].n_items;
        }
        return r;
}

/* Was a changed file compiled at all, for whatever the package holds? */
static bool was_compiled(const struct job *job)
{
        for (size_t i = 0; i < job->fix.changed.n_items; i++) {
                _cleanup_free_ char *path = path_format("%s/%s", job->rebuilt.tree,
                                                        job->fix.changed.items[i]);

                for (size_t k = 0; path && k < job->log.n_units; k++)
                        if (strcmp(job->log.units[k].source, path) == 0)
                                return true;
        }
        return false;
}

static const char *nothing_concerned_next(const struct job *job)
{
        if (was_compiled(job))
                return "name the module that the fix is for with --binary";
        if (job->request->in_place)
                return "if the build took it as it was, remove what was built first (make clean); "
                       "else nothing has to be patched: this build does not hold that code";
        return "nothing has to be patched: this build does not hold that code";
}

static int nothing_concerned(const struct job *job, struct error *err)
{
        _cleanup_buffer_ struct buffer names = { 0 };

        if (job->fix.changed.n_items == 0)
                return error_set(err, EXIT_CODE_ERROR, 0, "nothing has to be patched",
                                 "the fix changes no C or C++ file%s%s",
                                 job->fix.aside.n_items ? ", but " : "",
                                 job->fix.aside.n_items ? job->fix.aside.items[0] : "");
        for (size_t i = 0; i < job->modules.n_items; i++)
                if (!buffer_printf(&names, "%s%s", i ? ", " : "", job->modules.items[i].name))
                        return error_no_memory(err);
        error_set(err, EXIT_CODE_ERROR, 0, nothing_concerned_next(job),
                  "the fix changes nothing that %s is made from: %s%s %s", (char *)names.data,
                  job->fix.changed.items[0], job->fix.changed.n_items > 1 ? " and the others" : "",
                  was_compiled(job) ? "belong to other modules" : "did not go into this build");
        return -ENOENT;
}

static int list_unit_names(struct job *job, struct error *err)
{
        struct words names = { 0 };

        for (size_t i = 0; i < job->modules.n_items; i++)
                for (size_t k = 0; k < job->units[i].n_items; k++)
                        if (!words_contain(&names, job->units[i].items[k].name) &&
                            !words_add(&names, job->units[i].items[k].name)) {
                                words_done(&names);
                                return error_no_memory(err);
                        }
        job->result->units = names.items;
        job->result->n_units = names.n_items;
        return 0;
}

static int compile_units(struct job *job, struct error *err)
{
        for (size_t i = 0; i < job->modules.n_items; i++) {
                _cleanup_free_ char *folder = path_format("%zu", i);
                int r;

                if (!folder)
                        return error_no_memory(err);
                if (job->units[i].n_items == 0)
                        continue;
                r = units_compile(job->store, &job->rebuilt, &job->log, folder, &job->units[i], err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int fetch_fixed(struct job *job, struct source_package *ret, struct error *err)
{
        const struct build_request *request = job->request;
        char key[STORE_KEY_SIZE];
        int r;

        if (request->origin == BUILD_FROM_PACKAGE)
                return source_package_fetch(job->store, &job->apt, job->source.name,
                                            request->fixed_version, ret, err);
        if (request->origin == BUILD_FROM_TREE)
                return tree_read_package(job->store, request->fixed_tree, ret, err);
        r = tree_key(job->store, request->fixed_tree, key, err);
        if (r < 0)
                return r;
        ret->name = strdup(job->source.name);
        ret->version = strdup("fixed");
        ret->tree = realpath(request->fixed_tree, NULL);
        ret->key = strdup(key);
        return ret->name && ret->version && ret->tree && ret->key ? 0 : error_no_memory(err);
}

/* The fix as patch files: those that were given, or one that is made from the fixed source. */
static int find_fix(struct job *job, struct error *err)
{
        _cleanup_(source_package_done) struct source_package fixed = { 0 };
        int r;

        job->fix_paths = job->request->fixes;
        job->n_fixes = job->request->n_fixes;
        if (job->n_fixes > 0)
                return 0;
        steps_note(&job->steps, "comparing it with the fixed source");
        if (!job->source.tree && job->request->origin == BUILD_FROM_PROJECT)
                job->source.tree = realpath(job->request->tree, NULL);
        r = fetch_fixed(job, &fixed, err);
        if (r == 0 && strcmp(fixed.name, job->source.name) != 0)
                return error_set(err, EXIT_CODE_ERROR, 0, "check the two trees",
                                 "%s is the source of %s, not of %s", job->request->fixed_tree,
                                 fixed.name, job->source.name);
        if (r == 0)
                r = difference_make(job->store, &job->rebuilt, &job->source, &fixed,
                                    &job->difference, err);
        job->fix_paths = (const char *const *)&job->difference.patch;
        job->n_fixes = 1;
        return r;
}

static int set_aside(struct job *job, struct error *err)
{
        struct words names = { 0 };
        bool ok = fix_set_aside_unread(&job->fix) &&
                  words_extend(&names, (const char *const *)job->fix.aside.items,
                               job->fix.aside.n_items) &&
                  words_extend(&names, (const char *const *)job->difference.set_aside.items,
                               job->difference.set_aside.n_items);

        job->result->set_aside = names.items;
        job->result->n_set_aside = names.n_items;
        return ok ? 0 : error_no_memory(err);
}

static int do_fixed(struct job *job, struct error *err)
{
        size_t n = 0;
        int r;

        steps_begin(&job->steps, STEP_FIXED);
        r = find_fix(job, err);
        if (r == 0)
                r = fix_apply(job->store, &job->rebuilt, job->fix_paths, job->n_fixes, &job->fix,
                              err);
        if (r == 0)
                r = make_generated(job, err);
        if (r == 0)
                r = units_read_log(&job->rebuilt, &job->log, err);
        if (r < 0)
                return r;
        steps_note(&job->steps, "looking for what the fix concerns");
        r = find_units(job, &n, err);
        if (r == 0)
                r = find_other_changes(job, err);
        if (r == 0)
                r = find_misfits(job, err);
        if (r == 0)
                r = judge_findings(job, err);
        if (r != 0)
                return r;
        if (n == 0)
                return nothing_concerned(job, err);
        r = add_new_sources(job, err);
        if (r == 0)
                r = set_aside(job, err);
        if (r == 0)
                r = list_unit_names(job, err);
        if (r < 0)
                return r;
        steps_note(&job->steps, "compiling the original and the fixed source");
        r = compile_units(job, err);
        if (r == 0)
                steps_end(&job->steps, "%zu translation unit%s compiled", job->result->n_units,
                         plural(job->result->n_units));
        return r;
}

/* --- the patch --------------------------------------------------------------------------------- */

static const char *file_name(const char *path)
{
        return strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
}

/* A fix's name without the ending of its file. */
static char *make_id(const struct job *job)
{
        const char *name = file_name(job->fix_paths[0]), *dot = strrchr(name, '.');
        bool ends = dot && dot > name && (strcmp(dot, ".patch") == 0 || strcmp(dot, ".diff") == 0);
        _cleanup_free_ char *stem = ends ? strndup(name, (size_t)(dot - name)) : strdup(name);

        return stem ? patch_id_for(job->request, stem) : NULL;
}

static char *make_title(const struct job *job)
{
        const struct build_request *request = job->request;
        _cleanup_buffer_ struct buffer text = { 0 };

        if (request->title)
                return strdup(request->title);
        if (!buffer_printf(&text, "%s: fix for ", job->source.name))
                return NULL;
        for (size_t i = 0; i < request->n_cves; i++)
                if (!buffer_printf(&text, "%s%s", i ? ", " : "", request->cves[i].id))
                        return NULL;
        if (request->n_cves == 0 && !buffer_printf(&text, "%s", file_name(job->fix_paths[0])))
                return NULL;
        return strdup((char *)text.data);
}

static int digest_fixes(struct job *job, struct error *err)
{
        job->fixes = calloc(job->n_fixes, sizeof(*job->fixes));
        if (!job->fixes)
                return error_no_memory(err);
        for (size_t i = 0; i < job->n_fixes; i++) {
                _cleanup_buffer_ struct buffer text = { 0 };
                int r = file_read(job->fix_paths[i], MAX_FIX_BYTES, &text, err);

                if (r < 0)
                        return r;
                job->fixes[i].name = strdup(file_name(job->fix_paths[i]));
                job->fixes[i].digest = sha256_of(text.data, text.size);
                if (!job->fixes[i].name)
                        return error_no_memory(err);
        }
        return 0;
}

/* Where the module's own libraries lie: beside what was built, then in the root. */
static bool library_folders(const struct job *job, const struct module_pair *pair,
                            struct words *ret)
{
        static const char *const folders[] = { "usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu",
                                               "usr/lib", "lib64" };
        const char *end = strrchr(pair->rebuilt_path, '/');

        if (!words_addf(ret, "%.*s", (int)(end - pair->rebuilt_path), pair->rebuilt_path))
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
                if (!words_addf(ret, "%s/%s", job->rebuilt.root, folders[i]))
                        return false;
        return true;
}

/* What the builder of the patch needs to know of one module. */
struct target_input {
        struct object_pair *pairs;
        struct words libraries;
};

static void target_input_done(struct target_input *input)
{
        free(input->pairs);
        words_done(&input->libraries);
}

static int fill_target(const struct job *job, size_t index, struct target_input *input,
                       struct objects_target *ret, struct error *err)
{
        const struct module_pair *pair = &job->modules.items[index];
        const struct unit_list *units = &job->units[index];

        input->pairs = calloc(units->n_items, sizeof(*input->pairs));
        if (!input->pairs || !library_folders(job, pair, &input->libraries))
                return error_no_memory(err);
        for (size_t i = 0; i < units->n_items; i++)
                input->pairs[i] = (struct object_pair){
                        .original = units->items[i].original,
                        .added = units->items[i].own != NULL,
                        .fixed = units->items[i].fixed,
                        .unit = units->items[i].name,
                };
        *ret = (struct objects_target){
                .pairs = input->pairs,
                .n_pairs = units->n_items,
                .shipped = pair->shipped_path,
                .symbols = pair->rebuilt_path,
                .library_paths = (const char *const *)input->libraries.items,
                .n_library_paths = input->libraries.n_items,
                .module = pair->name,
                .package = pair->package,
                .version = pair->version,
        };
        return 0;
}

static int call_builder(struct job *job, struct objects_target *targets, size_t n_targets,
                        struct error *err)
{
        struct objects_patch patch = patch_head(job->request, job->id, job->title);

        patch.source_package = job->source.name;
        patch.source_version = job->source.version;
        patch.fixes = job->fixes;
        patch.n_fixes = job->n_fixes;
        return build_from_objects(&patch, targets, n_targets, &job->patch, &job->report, err);
}

/* Targets are numbered by the modules that the fix concerns; `modules` tells which those are. */
static int make_patch(struct job *job, size_t *modules, size_t *ret_n, struct error *err)
{
        size_t n_modules = job->modules.n_items;
        _cleanup_free_ struct target_input *inputs = calloc(n_modules, sizeof(*inputs));
        _cleanup_free_ struct objects_target *targets = calloc(n_modules, sizeof(*targets));
        int r = inputs && targets ? digest_fixes(job, err) : error_no_memory(err);

        *ret_n = 0;
        for (size_t i = 0; r == 0 && i < n_modules; i++) {
                if (job->units[i].n_items == 0)
                        continue;
                modules[*ret_n] = i;
                r = fill_target(job, i, &inputs[*ret_n], &targets[*ret_n], err);
                (*ret_n)++;
        }
        if (r == 0)
                r = call_builder(job, targets, *ret_n, err);
        for (size_t i = 0; inputs && i < n_modules; i++)
                target_input_done(&inputs[i]);
        return r;
}

static char *copy_text(const char *text)
{
        return text ? strdup(text) : NULL;
}

static int add_result_target(struct job *job, const struct module_pair *pair, size_t target,
                             struct error *err)
{
        struct build_target *item = NULL;
        int r = result_add_target(job->result, &job->report, target, &item, err);

        if (r < 0)
                return r;
        if (!item)
                return 0; /* nothing of it changed: it is not in the patch */
        item->module = copy_text(pair->name);
        item->path = copy_text(pair->shipped_path);
        item->package = copy_text(pair->package);
        item->version = copy_text(pair->version);
        item->build_id = pair->build_id;
        item->proof = pair->proof;
        item->proof.differing = copy_text(pair->proof.differing);
        return item->module && item->path && item->proof.differing ? 0 : error_no_memory(err);
}

static int do_patch(struct job *job, struct error *err)
{
        _cleanup_free_ size_t *modules = calloc(job->modules.n_items, sizeof(*modules));
        size_t n = 0;
        int r, outcome;

        job->steps.now = STEP_COMPARE;
        job->id = make_id(job);
        job->title = make_title(job);
        if (!modules || !job->id || !job->title)
                return error_no_memory(err);
        outcome = make_patch(job, modules, &n, err);
        if (outcome < 0)
                return outcome;
        r = result_take_findings(job->result, &job->report, err);
        for (size_t i = 0; r == 0 && i < n; i++)
                r = add_result_target(job, &job->modules.items[modules[i]], i, err);
        if (r < 0)
                return r;
        steps_tell_comparison(&job->steps, &job->report, job->patch.size > 0);
        return outcome;
}

/* --- the whole --------------------------------------------------------------------------------- */

static int check_request(const struct build_request *request, struct error *err)
{
        for (size_t i = 0; i < request->n_fixes; i++)
                if (access(request->fixes[i], R_OK) < 0)
                        return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't read the fix %s",
                                         request->fixes[i]);
        if (request->fixed_tree && access(request->fixed_tree, R_OK | X_OK) < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't read the fixed tree %s",
                                 request->fixed_tree);
        for (size_t i = 0; i < request->n_binaries; i++)
                if (access(request->binaries[i], R_OK) < 0)
                        return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't read %s",
                                         request->binaries[i]);
        return 0;
}

static int do_all(struct job *job, struct error *err)
{
        int r = do_original(job, err);

        if (r == 0)
                r = do_fixed(job, err);
        if (r == 0)
                r = do_patch(job, err);
        if (r == 0)
                r = steps_write(&job->steps, job->id, &job->patch, err);
        return r;
}

int build_from_source(const struct build_request *request, struct build_result *ret,
                      const struct build_observer *observer, struct error *err)
{
        /* Whose cache it is has to be settled before userns_enter(): there, everybody is root. */
        _cleanup_free_ char *cache = request->cache ? strdup(request->cache) : build_default_cache();
        struct build_request settled = *request;
        _cleanup_(job_done) struct job job = {
                .steps = { .request = &settled, .observer = observer, .result = ret,
                           .first = STEP_ORIGINAL, .original_title = "rebuild original",
                           .fixed_title = "rebuild fixed" },
                .request = &settled, .result = ret,
        };
        int r = cache ? check_request(request, err) : error_no_memory(err);

        settled.cache = cache;
        if (r == 0 && !request->in_place && geteuid() != 0)
                r = userns_enter(err);
        if (r == 0)
                r = steps_open(&job.steps, "build", err);
        if (r < 0)
                return r;
        job.store = job.steps.store;
        r = do_all(&job, err);
        steps_explain(&job.steps, r, err);
        return r;
}
