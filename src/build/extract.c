/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The patch is the closure of the changed functions: each reference is bound, which may take
 * further atoms, whose references are bound in turn. Unchanged functions and variables of the
 * module end it.
 */
#include "build/extract.h"

#include <string.h>
#include "base/array.h"
#include "build/changes.h"
#include "build/handmade.h"
#include "build/layout.h"
#include "build/links.h"
#include "build/unwind-info.h"

static int open_objects(struct extraction *extraction, struct error *err)
{
        const struct objects_target *target = extraction->target;

        extraction->originals = calloc(target->n_pairs + 1, sizeof(*extraction->originals));
        extraction->fixed = calloc(target->n_pairs + 1, sizeof(*extraction->fixed));
        if (!extraction->originals || !extraction->fixed)
                return error_no_memory(err);
        for (size_t i = 0; i < target->n_pairs; i++) {
                const struct object_pair *pair = &target->pairs[i];
                int r = object_open(pair->fixed, pair->unit, &extraction->fixed[i], err);

                extraction->n_units = i + 1;
                if (r == 0 && pair->original)
                        r = object_open(pair->original, pair->unit, &extraction->originals[i],
                                        err);
                else if (r == 0)
                        r = handmade_original(extraction, extraction->fixed[i], pair->added,
                                              &extraction->originals[i], err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int bind_all(struct extraction *extraction, struct error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < extraction->n_taken; i++) {
                struct atom *atom = extraction->taken[i];

                if (atom->kind == ATOM_CODE && atom->tied &&
                    !report_finding(extraction->report, "SB109", true, atom_label(atom),
                                    "%s has no section of its own", atom_label(atom)))
                        return error_no_memory(err);
                if (atom->cold)
                        r = extraction_take(extraction, atom->cold, "part of a function", err);
                for (size_t j = 0; r == 0 && j < atom->n_references; j++)
                        r = links_bind(extraction, atom, &atom->references[j], err);
                if (r == 0 && atom->kind == ATOM_CODE)
                        r = unwind_info_take(extraction, atom, err);
        }
        return r;
}

/* Only read by the function it belongs to, to find where to jump. */
static bool is_jump_table(const struct link *link)
{
        const struct atom *table = link->atom;

        if (table->kind != ATOM_CONSTANT || table->name || table->n_references == 0)
                return false;
        for (size_t i = 0; i < table->n_references; i++) {
                const struct atom *target = table->references[i].target;

                if (!target || target->kind != ATOM_CODE ||
                    (target != link->from && target != link->from->cold &&
                     target != link->from->parent))
                        return false;
        }
        return true;
}

static bool is_own_table(const struct atom *from)
{
        return from->kind == ATOM_CONSTANT && !from->name;
}

/* An address of the patch that is made may be stored somewhere. */
static bool takes_address(const struct link *link)
{
        if (link->kind != LINK_ATOM || link->from->unwind || is_jump_table(link))
                return false;
        if (link->from->kind != ATOM_CODE)
                return !(is_own_table(link->from) && link->atom->kind == ATOM_CODE);
        return link->reference->use == CODE_USE_ADDRESS || relocation_is_slot(link->type);
}

static int extract(struct extraction *extraction, struct error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < extraction->n_replaced; i++)
                r = extraction_take(extraction, extraction->replaced[i].fixed, NULL, err);
        for (size_t i = 0; r == 0 && i < N_HOOKS; i++)
                if (extraction->hooks[i])
                        r = extraction_take(extraction, extraction->hooks[i], "hook", err);
        if (r == 0)
                r = bind_all(extraction, err);
        for (size_t i = 0; i < extraction->n_links; i++)
                extraction->pinned = extraction->pinned || takes_address(&extraction->links[i]);
        return r;
}

int extraction_new(const struct objects_target *target, size_t target_index,
                   struct objects_report *report, struct extraction **ret, struct error *err)
{
        _cleanup_(extraction_freep) struct extraction *extraction = calloc(1, sizeof(*extraction));
        int r;

        if (!extraction)
                return error_no_memory(err);
        extraction->target = target;
        extraction->target_index = target_index;
        extraction->report = report;
        r = shipped_open(target, &extraction->shipped, err);
        if (r == 0)
                r = open_objects(extraction, err);
        if (r < 0)
                return r;
        if (extraction->shipped->build_id.size == 0 &&
            !report_finding(report, "SB123", true, target->shipped, "the module has no build ID"))
                return error_no_memory(err);
        r = changes_find(extraction, err);
        if (r == 0)
                r = layout_check(extraction, err);
        if (r == 0)
                r = extract(extraction, err);
        if (r < 0)
                return r;
        *ret = STEAL(extraction);
        return 0;
}

struct extraction *extraction_free(struct extraction *extraction)
{
        if (!extraction)
                return NULL;
        for (size_t i = 0; i < extraction->n_units; i++) {
                object_free(extraction->originals[i]);
                object_free(extraction->fixed[i]);
        }
        for (size_t i = 0; i < extraction->n_outsides; i++) {
                free(extraction->outsides[i].name);
                free(extraction->outsides[i].version);
        }
        free(extraction->originals);
        free(extraction->fixed);
        free(extraction->replaced);
        free(extraction->taken);
        free(extraction->links);
        for (size_t i = 0; i < extraction->n_unwind_infos; i++)
                unwind_info_free(extraction->unwind_infos[i]);
        free(extraction->unwind_infos);
        free(extraction->unwind_parts);
        free(extraction->outsides);
        shipped_free(extraction->shipped);
        free(extraction);
        return NULL;
}
