/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two questions to the compiler. What each unit of the original reads is asked once for a build: a
 * unit that does not read a changed file there can't come to read one, since the file that would
 * newly include it were itself changed. The few that remain are asked again with the fixed source in
 * place, which tells about files that the fix adds. Where only sources changed, and no other source
 * mentions them, the compiler need not be asked at all.
 */
#include "build/readings.h"

#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "build/batch.h"

#define KEPT_ANSWERS ROOT_TOOLS "/log/dependencies"

enum { MAX_RULE_BYTES = 64 << 20, MAX_SOURCE_BYTES = 64 << 20 };

void unit_readings_done(struct unit_readings *readings)
{
        for (size_t i = 0; readings->items && i < readings->n_items; i++)
                words_done(&readings->items[i].changed);
        free(readings->items);
        *readings = (struct unit_readings){ 0 };
}

bool unit_is_concerned(const struct unit_reading *reading)
{
        return !reading->known || reading->changed.n_items > 0;
}

const char *path_in_tree(const struct rebuilt *rebuilt, const char *path)
{
        size_t length = strlen(rebuilt->tree);

        return strncmp(path, rebuilt->tree, length) == 0 && path[length] == '/' ? path + length + 1
                                                                               : NULL;
}

/* The same for a path that may lead into the fixed copy. */
static const char *path_in_either_tree(const struct rebuilt *rebuilt, const char *path)
{
        size_t length = strlen(rebuilt->work);
        const char *rest = strncmp(path, rebuilt->work, length) == 0 ? path + length : "";

        if (strncmp(rest, "/" FIX_TREE "/", strlen("/" FIX_TREE "/")) == 0)
                return rest + strlen("/" FIX_TREE "/");
        return path_in_tree(rebuilt, path);
}

/* One that the build removed, as configure's trials are, can't be asked about. */
static bool has_source(const struct rebuilt *rebuilt, const struct compile_unit *unit)
{
        _cleanup_free_ char *path = path_format("%s%s", rebuilt->root, unit->source);

        return path && path_in_tree(rebuilt, unit->source) && path_exists(path);
}

/* --- only sources changed ---------------------------------------------------------------------- */

/* Whether a source of the build mentions another one, as an `#include` of a unity build does. */
static bool is_mentioned(const struct rebuilt *rebuilt, const struct compile_log *log,
                         const char *changed)
{
        const char *name = strrchr(changed, '/') ? strrchr(changed, '/') + 1 : changed;
        _cleanup_free_ char *include = path_format("%s\"", name);

        for (size_t i = 0; i < log->n_units; i++) {
                _cleanup_free_ char *path = path_format("%s%s", rebuilt->root,
                                                        log->units[i].source);
                _cleanup_buffer_ struct buffer text = { 0 };

                if (!path || !include)
                        return true;
                if (file_read(path, MAX_SOURCE_BYTES, &text, NULL) == 0 && text.size > 0 &&
                    memmem(text.data, text.size, include, strlen(include)))
                        return true;
        }
        return false;
}

static bool is_source(const struct rebuilt *rebuilt, const struct compile_log *log,
                      const char *changed)
{
        for (size_t i = 0; i < log->n_units; i++) {
                const char *name = path_in_tree(rebuilt, log->units[i].source);

                if (name && strcmp(name, changed) == 0)
                        return true;
        }
        return false;
}

/*
 * True if each changed file is the source of a unit, and of that alone: then no header has to be
 * looked for. One that only its copies are compiled of is not looked at itself.
 */
static bool only_sources_changed(const struct rebuilt *rebuilt, const struct compile_log *log,
                                 const struct applied_fix *fix)
{
        for (size_t i = 0; i < fix->changed.n_items; i++) {
                const char *name = fix->changed.items[i];
                bool compiled = is_source(rebuilt, log, name) || words_contain(&fix->copied, name);

                if (!compiled || is_mentioned(rebuilt, log, name))
                        return false;
        }
        return true;
}

static bool take_sources(const struct rebuilt *rebuilt, const struct compile_log *log,
                         const struct applied_fix *fix, struct unit_readings *readings)
{
        for (size_t i = 0; i < log->n_units; i++) {
                const char *name = path_in_tree(rebuilt, log->units[i].source);

                readings->items[i].known = true;
                if (name && words_contain(&fix->changed, name) &&
                    !words_add(&readings->items[i].changed, name))
                        return false;
        }
        return true;
}

/* --- asking the compiler ----------------------------------------------------------------------- */

/* Asks about the units that are concerned so far; the answers are in FOLDER of the work folder. */
static int ask(const struct store *store, const struct rebuilt *rebuilt,
               const struct compile_log *log, const struct unit_readings *readings,
               const char *folder, bool fixed, struct error *err)
{
        _cleanup_(batch_done) struct batch batch = { .rebuilt = rebuilt, .log = log,
                                                     .fixed = fixed, .tolerant = true };
        bool ok = true;

        for (size_t i = 0; ok && i < log->n_units; i++) {
                _cleanup_free_ char *output = path_format("%s/%s/%zu.d", rebuilt->work, folder, i);
                _cleanup_words_ struct words argv = { 0 };

                if (!unit_is_concerned(&readings->items[i]))
                        continue;
                ok = output &&
                     compile_unit_command(log, &log->units[i], COMPILE_DEPENDENCIES, NULL, &argv) &&
                     batch_add(&batch, &log->units[i], &argv, output);
        }
        if (!ok)
                return error_no_memory(err);
        return batch.n_jobs == 0 ? 0
                                 : batch_run(store, &batch, folder,
                                             "asking the compiler which files it reads", err);
}

static bool note_changed(const struct rebuilt *rebuilt, const struct applied_fix *fix,
                         const struct words *read, struct unit_reading *reading)
{
        for (size_t i = 0; i < read->n_items; i++) {
                const char *name = path_in_either_tree(rebuilt, read->items[i]);

                if (name && words_contain(&fix->changed, name) &&
                    !words_contain(&reading->changed, name) && !words_add(&reading->changed, name))
                        return false;
        }
        return true;
}

/* Reads the answers, which are on the host, about all units that were asked about. */
static int take_answers(const struct rebuilt *rebuilt, const struct compile_log *log,
                        const struct applied_fix *fix, const char *folder,
                        struct unit_readings *readings, struct error *err)
{
        for (size_t i = 0; i < log->n_units; i++) {
                struct unit_reading *reading = &readings->items[i];
                const char *directory = log->commands[log->units[i].command].directory;
                _cleanup_free_ char *path = path_format("%s/%zu.d", folder, i);
                _cleanup_buffer_ struct buffer rule = { 0 };
                _cleanup_words_ struct words read = { 0 };

                if (!unit_is_concerned(reading))
                        continue;
                words_done(&reading->changed);
                reading->known = path && file_read(path, MAX_RULE_BYTES, &rule, NULL) == 0 &&
                                 rule.size > 0 && strstr((char *)rule.data, ": ");
                if (reading->known &&
                    (!compile_dependencies_parse((char *)rule.data, directory, &read) ||
                     !note_changed(rebuilt, fix, &read, reading)))
                        return error_no_memory(err);
        }
        return 0;
}

/*
 * The answers about the original: those that an earlier run kept, or new ones, which are kept. A
 * build in place is never kept, and its log is another one each time.
 */
static int ask_original(const struct store *store, const struct rebuilt *rebuilt,
                        const struct compile_log *log, const struct unit_readings *readings,
                        char **ret_folder, struct error *err)
{
        _cleanup_free_ char *kept = path_format("%s" KEPT_ANSWERS, rebuilt->root);
        _cleanup_free_ char *made = path_format("%s%s/dependencies", rebuilt->root, rebuilt->work);
        int r;

        if (!kept || !made)
                return error_no_memory(err);
        if (rebuilt->command_log || !path_exists(kept)) {
                r = ask(store, rebuilt, log, readings, "dependencies", false, err);
                if (r < 0)
                        return r;
                if (rebuilt->command_log || rename(made, kept) < 0) {
                        *ret_folder = STEAL(made); /* another run was faster, or there is none */
                        return 0;
                }
        }
        *ret_folder = STEAL(kept);
        return 0;
}

static int ask_compiler(const struct store *store, const struct rebuilt *rebuilt,
                        const struct compile_log *log, const struct applied_fix *fix,
                        struct unit_readings *readings, struct error *err)
{
        _cleanup_free_ char *fixed = path_format("%s%s/dependencies-fixed", rebuilt->root,
                                                 rebuilt->work);
        _cleanup_free_ char *folder = NULL;
        int r;

        if (!fixed)
                return error_no_memory(err);
        for (size_t i = 0; i < log->n_units; i++)
                readings->items[i].known = !has_source(rebuilt, &log->units[i]);
        r = ask_original(store, rebuilt, log, readings, &folder, err);
        if (r == 0)
                r = take_answers(rebuilt, log, fix, folder, readings, err);
        if (r == 0)
                r = ask(store, rebuilt, log, readings, "dependencies-fixed", true, err);
        return r < 0 ? r : take_answers(rebuilt, log, fix, fixed, readings, err);
}

int readings_find(const struct store *store, const struct rebuilt *rebuilt,
                  const struct compile_log *log, const struct applied_fix *fix,
                  struct unit_readings *ret, struct error *err)
{
        _cleanup_(unit_readings_done) struct unit_readings readings = { .n_items = log->n_units };
        int r = 0;

        readings.items = calloc(log->n_units ? log->n_units : 1, sizeof(readings.items[0]));
        if (!readings.items)
                return error_no_memory(err);
        if (!only_sources_changed(rebuilt, log, fix))
                r = ask_compiler(store, rebuilt, log, fix, &readings, err);
        else if (!take_sources(rebuilt, log, fix, &readings))
                r = error_no_memory(err);
        if (r < 0)
                return r;
        *ret = readings;
        readings = (struct unit_readings){ 0 };
        return 0;
}
