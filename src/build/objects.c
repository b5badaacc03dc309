/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All targets are extracted first; only if nothing refuses any of them is the file written. */
#include "build/objects.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/array.h"
#include "build/emit.h"
#include "build/extract.h"

struct extraction_list {
        struct extraction **items;
        size_t n_items;
};

static void extraction_list_done(struct extraction_list *list)
{
        for (size_t i = 0; i < list->n_items; i++)
                extraction_free(list->items[i]);
        free(list->items);
}

static bool is_replaced(const struct extraction *extraction, const struct atom *fixed,
                        const struct atom **ret_original)
{
        for (size_t i = 0; i < extraction->n_replaced; i++) {
                if (extraction->replaced[i].fixed != fixed)
                        continue;
                *ret_original = extraction->replaced[i].original;
                return true;
        }
        return false;
}

static int report_function(const struct extraction *extraction, const struct atom *atom,
                           struct objects_report *report, struct error *err)
{
        const struct atom *original = NULL;
        bool replaced = is_replaced(extraction, atom, &original);
        struct objects_function *function = ARRAY_PUSH(report->functions, report->n_functions);

        if (!function)
                return error_no_memory(err);
        function->name = strdup(atom_label(atom));
        function->unit = strdup(atom->object->unit ? atom->object->unit : "");
        function->why = strdup(atom->why ? atom->why : "");
        function->change = replaced ? OBJECTS_CHANGED : OBJECTS_NEW;
        function->target = extraction->target_index;
        function->old_size = replaced ? original->shipped_size : 0;
        function->new_size = atom->size;
        return function->name && function->unit && function->why ? 0 : error_no_memory(err);
}

static int report_taken(const struct extraction *extraction, struct objects_report *report,
                        struct error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < extraction->n_taken; i++) {
                const struct atom *atom = extraction->taken[i];

                if (atom->kind == ATOM_CODE) {
                        if (!atom->parent)
                                r = report_function(extraction, atom, report, err);
                        continue;
                }
                if (atom->unwind)
                        continue;
                report->n_data++;
                report->n_data_bytes += atom->size;
        }
        return r;
}

static int extract_all(const struct objects_target *targets, size_t n_targets,
                       struct objects_report *report, struct extraction_list *list,
                       struct error *err)
{
        for (size_t i = 0; i < n_targets; i++) {
                struct extraction **slot;
                int r;

                if (targets[i].n_pairs == 0)
                        return error_set(err, EXIT_CODE_ERROR, 0, NULL, "no objects for %s",
                                         targets[i].shipped);
                slot = ARRAY_PUSH(list->items, list->n_items);
                if (!slot)
                        return error_no_memory(err);
                r = extraction_new(&targets[i], i, report, slot, err);
                if (r == 0)
                        r = report_taken(*slot, report, err);
                if (r < 0)
                        return r;
                report->build_ids[report->n_build_ids++] = (*slot)->shipped->build_id;
        }
        return 0;
}

/* Leaves out targets for which nothing is to be done; the rest moves up. */
static int drop_unchanged(struct extraction_list *list, struct objects_report *report,
                          struct error *err)
{
        size_t n = 0, n_changed = 0;

        for (size_t i = 0; i < list->n_items; i++)
                n_changed += list->items[i]->n_replaced > 0;
        for (size_t i = 0; i < list->n_items; i++) {
                struct extraction *extraction = list->items[i];

                if (extraction->n_replaced > 0) {
                        list->items[n++] = extraction;
                        continue;
                }
                if (!report_finding(report, "SB105", n_changed == 0, extraction->target->shipped,
                                    "no function of %s differs", extraction->shipped->module))
                        return error_no_memory(err);
                extraction_free(extraction);
                list->items[i] = NULL;
        }
        list->n_items = n;
        return 0;
}

static int refuse(const struct build_finding *finding, struct error *err)
{
        char next[64];

        snprintf(next, sizeof(next), "suture explain %s", finding->code);
        error_set(err, EXIT_CODE_UNSUPPORTED, 0, next, "%s: %s%s%s", finding->code,
                  finding->where, finding->where[0] ? ": " : "", finding->text);
        return BUILD_REFUSED;
}

int build_from_objects(const struct objects_patch *patch, const struct objects_target *targets,
                       size_t n_targets, struct buffer *ret, struct objects_report *report,
                       struct error *err)
{
        _cleanup_(extraction_list_done) struct extraction_list list = { 0 };
        int r;

        report->build_ids = calloc(n_targets + 1, sizeof(*report->build_ids));
        if (!report->build_ids)
                return error_no_memory(err);
        r = extract_all(targets, n_targets, report, &list, err);
        if (r == 0 && !report_fatal(report))
                r = drop_unchanged(&list, report, err);
        if (r < 0)
                return r;
        if (report_fatal(report))
                return refuse(report_fatal(report), err);
        return emit_patch(patch, list.items, list.n_items, ret, err);
}
