/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patches from object files and from C written by hand: there is no source to build, so all that is
 * left is to find out what belongs to the module, and to hand that to the builder of patches. Nothing
 * here needs a root: the cache is used for the log and for what the compiler makes.
 */
#include "build/build.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/array.h"
#include "base/file.h"
#include "build/compile-log.h"
#include "build/locate.h"
#include "build/object.h"
#include "build/result.h"
#include "build/shipped.h"
#include "build/steps.h"

enum { MAX_OBJECT_BYTES = 1 << 28, MAX_SOURCE_BYTES = 64 << 20 };

struct pair_names {
        char *original;                /* NULL: there is none */
        char *fixed, *unit;
};

struct job {
        struct steps steps;
        const struct build_request *request;
        struct build_result *result;
        struct store *store;           /* that of the steps */
        struct shipped *shipped;
        struct pair_names *names;
        size_t n_names;
        struct patch_fix *sources;     /* of replacement code, with their digests */
        size_t n_sources;
        char *id, *title;
        struct buffer patch;
        struct objects_report report;
};

static void job_done(struct job *job)
{
        for (size_t i = 0; i < job->n_names; i++) {
                free(job->names[i].original);
                free(job->names[i].fixed);
                free(job->names[i].unit);
        }
        free(job->names);
        free(job->sources);
        free(job->id);
        free(job->title);
        buffer_done(&job->patch);
        objects_report_done(&job->report);
        shipped_free(job->shipped);
        steps_done(&job->steps);
}

static const char *file_name(const char *path)
{
        return strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
}

static bool from_objects(const struct job *job)
{
        return job->request->origin == BUILD_FROM_OBJECTS;
}

static int add_pair(struct job *job, const char *original, const char *fixed, const char *unit,
                    struct error *err)
{
        struct pair_names *names = ARRAY_PUSH(job->names, job->n_names);

        if (!names)
                return error_no_memory(err);
        names->original = original ? strdup(original) : NULL;
        names->fixed = strdup(fixed);
        names->unit = strdup(unit);
        return (original && !names->original) || !names->fixed || !names->unit
                       ? error_no_memory(err)
                       : 0;
}

/* --- two folders of objects ------------------------------------------------------------------ */

static int compare_entries(const FTSENT **a, const FTSENT **b)
{
        return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool is_object_name(const char *name)
{
        size_t length = strlen(name);

        return length > 2 && strcmp(name + length - 2, ".o") == 0;
}

/* All *.o below a folder, as paths relative to it, in an order that does not change. */
static int list_objects(const char *folder, struct words *ret, struct error *err)
{
        char *const roots[] = { (char *)folder, NULL };
        size_t length = strlen(folder);
        FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, compare_entries);
        FTSENT *entry;
        int r = 0;

        if (!walk)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't read %s", folder);
        while (r == 0 && (entry = fts_read(walk))) {
                const char *relative = entry->fts_path + length;

                if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_NS ||
                    entry->fts_info == FTS_ERR)
                        r = error_set(err, EXIT_CODE_ERROR, entry->fts_errno, NULL, "can't read %s",
                                      entry->fts_path);
                if (entry->fts_info == FTS_F && is_object_name(entry->fts_name) &&
                    !words_add(ret, relative + strspn(relative, "/")))
                        r = error_no_memory(err);
        }
        fts_close(walk);
        if (r == 0 && ret->n_items == 0)
                r = error_set(err, EXIT_CODE_ERROR, 0, "give a folder that a compiler has filled",
                              "there is no object file (*.o) below %s", folder);
        return r;
}

static int have_same_bytes(const char *a, const char *b, bool *ret, struct error *err)
{
        _cleanup_buffer_ struct buffer first = { 0 }, second = { 0 };
        int r = file_read(a, MAX_OBJECT_BYTES, &first, err);

        if (r == 0)
                r = file_read(b, MAX_OBJECT_BYTES, &second, err);
        if (r == 0)
                *ret = first.size == second.size &&
                       memcmp(first.data, second.data, first.size) == 0;
        return r;
}

/* The name that the compiler gave the source, by which static functions are told apart. */
static const char *source_name(const struct object *object)
{
        for (size_t i = 0; i < object->n_symbols; i++)
                if (object->symbols[i].type == STT_FILE && object->symbols[i].name[0])
                        return object->symbols[i].name;
        return object->unit;
}

/* More than half of its functions are in the module; without functions: of its variables. */
static bool belongs(const struct object *object)
{
        size_t n = 0, n_found = 0, n_data = 0, n_data_found = 0;

        if (object->link_time)
                return true; /* who knows; it is refused later (SB122) */
        for (size_t i = 0; i < object->n_atoms; i++) {
                const struct atom *atom = &object->atoms[i];

                if (!atom->name || atom->kind == ATOM_SETUP || atom->kind == ATOM_NOTE)
                        continue;
                if (atom->kind == ATOM_CODE) {
                        n++;
                        n_found += atom->found;
                } else {
                        n_data++;
                        n_data_found += atom->found;
                }
        }
        return n > 0 ? 2 * n_found > n : 2 * n_data_found > n_data;
}

/* The original, its functions found in the module as far as they are there. */
static int open_original(const struct job *job, const char *name, struct object **ret,
                         struct error *err)
{
        _cleanup_free_ char *original = path_format("%s/%s", job->request->original_objects, name);
        _cleanup_(object_freep) struct object *object = NULL;
        int r = original ? object_open(original, name, &object, err) : error_no_memory(err);

        if (r < 0)
                return r;
        object->unit = source_name(object);
        r = locate_object(object, job->shipped, err);
        if (r == 0)
                *ret = STEAL(object);
        return r;
}

/* Takes the pair if its original is a part of the module and not equal to the fixed one. */
static int take_pair(struct job *job, const char *name, struct words *equal, struct error *err)
{
        _cleanup_free_ char *original = path_format("%s/%s", job->request->original_objects, name);
        _cleanup_free_ char *fixed = path_format("%s/%s", job->request->fixed_objects, name);
        _cleanup_(object_freep) struct object *object = NULL;
        bool same = false;
        int r;

        if (!original || !fixed)
                return error_no_memory(err);
        r = have_same_bytes(original, fixed, &same, err);
        if (r == 0 && same)
                return words_add(equal, name) ? 0 : error_no_memory(err);
        if (r == 0)
                r = open_original(job, name, &object, err);
        if (r < 0)
                return r;
        if (belongs(object))
                return add_pair(job, original, fixed, object->unit, err);
        run_log(&job->store->runner, "%s is no part of the module", original);
        return 0;
}

/* Nothing differs: but are these the module's objects at all? */
static int require_part(const struct job *job, const struct words *equal, struct error *err)
{
        for (size_t i = 0; i < equal->n_items; i++) {
                _cleanup_(object_freep) struct object *object = NULL;
                int r = open_original(job, equal->items[i], &object, err);

                if (r < 0 || belongs(object))
                        return r;
        }
        return error_set(err, EXIT_CODE_ERROR, 0,
                         "give the objects that it was linked from, and its unstripped form with "
                         "--symbols",
                         "none of the objects is a part of %s", job->request->binaries[0]);
}

/* Only the fixed side has it: a unit of which everything is new. */
static int take_new(struct job *job, const char *name, struct error *err)
{
        _cleanup_free_ char *fixed = path_format("%s/%s", job->request->fixed_objects, name);
        _cleanup_(object_freep) struct object *object = NULL;
        int r = fixed ? object_open(fixed, name, &object, err) : error_no_memory(err);

        return r < 0 ? r : add_pair(job, NULL, fixed, source_name(object), err);
}

static int pair_all(struct job *job, const struct words *originals, const struct words *fixed,
                    struct error *err)
{
        _cleanup_words_ struct words equal = { 0 };
        size_t n_new = 0;
        int r = 0;

        for (size_t i = 0; r == 0 && i < originals->n_items; i++) {
                const char *name = originals->items[i];

                if (words_contain(fixed, name))
                        r = take_pair(job, name, &equal, err);
                else
                        r = result_add_finding(job->result, "SB211", false, name,
                                               "the fixed objects do not have this one", err);
        }
        if (r == 0 && job->n_names == 0)
                r = require_part(job, &equal, err);
        for (size_t i = 0; r == 0 && i < fixed->n_items; i++) {
                if (words_contain(originals, fixed->items[i]))
                        continue;
                r = take_new(job, fixed->items[i], err);
                n_new++;
        }
        if (r == 0)
                steps_end(&job->steps, "%zu pair%s of the module may differ, %zu %s equal, %zu new",
                         job->n_names - n_new, plural(job->n_names - n_new), equal.n_items,
                         equal.n_items == 1 ? "is" : "are", n_new);
        return r;
}

static int do_objects(struct job *job, struct error *err)
{
        _cleanup_words_ struct words originals = { 0 }, fixed = { 0 };
        int r = list_objects(job->request->original_objects, &originals, err);

        if (r == 0)
                r = list_objects(job->request->fixed_objects, &fixed, err);
        return r < 0 ? r : pair_all(job, &originals, &fixed, err);
}

/* --- code written by hand -------------------------------------------------------------------- */

static int compile_one(struct job *job, size_t index, const struct words *flags, const char *folder,
                       struct error *err)
{
        static const char *const always[] = { "-g", "-ffunction-sections", "-fdata-sections",
                                              "-fno-lto", "-c" };
        const char *source = job->request->replacements[index];
        _cleanup_free_ char *output = path_format("%s/%zu.o", job->store->temporary, index);
        struct run_options options = { .directory = folder, .quote = RUN_QUOTE_FIRST_ERRORS };
        _cleanup_words_ struct words argv = { 0 };
        int r;

        if (!output || !words_add(&argv, "cc") ||
            !words_extend(&argv, (const char *const *)flags->items, flags->n_items) ||
            !words_extend(&argv, always, ARRAY_SIZE(always)) || !words_add(&argv, "-o") ||
            !words_add(&argv, output) || !words_add(&argv, source))
                return error_no_memory(err);
        r = run_command(&job->store->runner, &argv, "the compiler", &options, err);
        return r < 0 ? r : add_pair(job, NULL, output, file_name(source), err);
}

static int digest_source(struct job *job, const char *path, struct error *err)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        struct patch_fix *source;
        int r = file_read(path, MAX_SOURCE_BYTES, &text, err);

        if (r < 0)
                return r;
        source = ARRAY_PUSH(job->sources, job->n_sources);
        if (!source)
                return error_no_memory(err);
        source->name = file_name(path);
        source->digest = sha256_of(text.data, text.size);
        return 0;
}

static int do_replacements(struct job *job, struct error *err)
{
        const struct build_request *request = job->request;
        const char *text = request->compiler_flags ? request->compiler_flags : "-O2";
        _cleanup_free_ char *folder = realpath(".", NULL);
        _cleanup_words_ struct words flags = { 0 };
        int r = 0;

        if (!folder)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't tell the current folder");
        if (!path_exists("/usr/bin/cc"))
                return error_set(err, EXIT_CODE_ERROR, 0, "apt-get install gcc",
                                 "there is no compiler (cc) on this machine");
        if (!shell_split(text, &flags))
                return error_set(err, EXIT_CODE_USAGE, 0, "check its quotes",
                                 "--cflags %s is not complete", text);
        for (size_t i = 0; r == 0 && i < request->n_replacements; i++) {
                r = digest_source(job, request->replacements[i], err);
                if (r == 0)
                        r = compile_one(job, i, &flags, folder, err);
        }
        if (r == 0)
                steps_end(&job->steps, "%zu file%s compiled with cc %s", job->n_names,
                          plural(job->n_names), text);
        return r;
}

/* --- both ------------------------------------------------------------------------------------ */

static char *make_title(const struct job *job)
{
        const struct build_request *request = job->request;
        _cleanup_buffer_ struct buffer text = { 0 };

        if (request->title)
                return strdup(request->title);
        if (!buffer_printf(&text, "%s: %s", file_name(request->binaries[0]),
                           request->n_cves > 0 ? "fix for "
                           : from_objects(job) ? "fixed objects"
                                               : "replacement code"))
                return NULL;
        for (size_t i = 0; i < request->n_cves; i++)
                if (!buffer_printf(&text, "%s%s", i ? ", " : "", request->cves[i].id))
                        return NULL;
        return strdup((char *)text.data);
}

static int call_builder(struct job *job, struct error *err)
{
        const struct build_request *request = job->request;
        _cleanup_free_ struct object_pair *pairs = calloc(job->n_names + 1, sizeof(*pairs));
        const struct objects_target target = {
                .pairs = pairs, .n_pairs = job->n_names, .shipped = request->binaries[0],
                .symbols = request->symbols,
        };
        struct objects_patch patch = patch_head(request, job->id, job->title);

        if (!pairs)
                return error_no_memory(err);
        for (size_t i = 0; i < job->n_names; i++)
                pairs[i] = (struct object_pair){ .original = job->names[i].original,
                                                 .fixed = job->names[i].fixed,
                                                 .unit = job->names[i].unit,
                                                 .added = from_objects(job) };
        patch.source_package = file_name(request->binaries[0]);
        patch.source_version = "-";
        patch.fixes = job->sources;
        patch.n_fixes = job->n_sources;
        return build_from_objects(&patch, &target, 1, &job->patch, &job->report, err);
}

static int name_target(struct job *job, struct error *err)
{
        struct build_target *target = NULL;
        int r = result_add_target(job->result, &job->report, 0, &target, err);

        if (r < 0 || !target)
                return r;
        target->module = strdup(job->shipped->module);
        target->path = strdup(job->request->binaries[0]);
        target->build_id = job->shipped->build_id;
        target->proof.differing = strdup("");
        return target->module && target->path && target->proof.differing ? 0
                                                                         : error_no_memory(err);
}

static int list_units(struct job *job, struct error *err)
{
        struct build_result *result = job->result;

        for (size_t i = 0; i < job->n_names; i++) {
                char **unit = ARRAY_PUSH(result->units, result->n_units);

                if (!unit)
                        return error_no_memory(err);
                *unit = strdup(job->names[i].unit);
                if (!*unit)
                        return error_no_memory(err);
        }
        return 0;
}

static int nothing_differs(struct job *job, struct error *err)
{
        int r = result_add_finding(job->result, "SB105", true, job->request->binaries[0],
                                   "all objects are equal", err);

        if (r < 0)
                return r;
        error_set(err, EXIT_CODE_UNSUPPORTED, 0, "suture explain SB105",
                  "SB105: all objects of %s are equal", job->request->binaries[0]);
        return BUILD_REFUSED;
}

static int do_patch(struct job *job, struct error *err)
{
        int r, outcome;

        job->steps.now = STEP_COMPARE;
        job->id = patch_id_for(job->request, file_name(job->request->binaries[0]));
        job->title = make_title(job);
        if (!job->id || !job->title)
                return error_no_memory(err);
        if (job->n_names == 0)
                return nothing_differs(job, err);
        outcome = call_builder(job, err);
        if (outcome < 0)
                return outcome;
        r = result_take_findings(job->result, &job->report, err);
        if (r == 0)
                r = name_target(job, err);
        if (r == 0)
                r = list_units(job, err);
        if (r < 0)
                return r;
        steps_tell_comparison(&job->steps, &job->report, job->patch.size > 0);
        return outcome;
}

static int open_module(struct job *job, struct error *err)
{
        const struct build_request *request = job->request;
        const struct objects_target target = { .shipped = request->binaries[0],
                                               .symbols = request->symbols };
        struct elf_section table;
        int r = shipped_open(&target, &job->shipped, err);

        if (r < 0)
                return r;
        if (elf_view_find_section_type(&job->shipped->symbol_view, SHT_SYMTAB, &table))
                return 0;
        if (request->symbols)
                return error_set(err, EXIT_CODE_ERROR, 0, "give the file as the linker made it",
                                 "%s has no symbol table", request->symbols);
        return result_add_finding(job->result, "SB212", false, request->binaries[0],
                                  "the module is stripped, only what it exports is known by name",
                                  err);
}

static int do_all(struct job *job, struct error *err)
{
        int r;

        steps_begin(&job->steps, STEP_FIXED);
        r = open_module(job, err);
        if (r == 0)
                r = from_objects(job) ? do_objects(job, err) : do_replacements(job, err);
        if (r == 0)
                r = do_patch(job, err);
        if (r == 0)
                r = steps_write(&job->steps, job->id, &job->patch, err);
        return r;
}

int build_without_source(const struct build_request *request, struct build_result *ret,
                         const struct build_observer *observer, struct error *err)
{
        bool objects = request->origin == BUILD_FROM_OBJECTS;
        _cleanup_(job_done) struct job job = {
                .steps = { .request = request, .observer = observer, .result = ret,
                           .first = STEP_FIXED,
                           .fixed_title = objects ? "pair objects" : "compile" },
                .request = request, .result = ret,
        };
        int r = steps_open(&job.steps, objects ? "objects" : "replace", err);

        if (r < 0)
                return r;
        job.store = job.steps.store;
        r = do_all(&job, err);
        steps_explain(&job.steps, r, err);
        return r;
}
