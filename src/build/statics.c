/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Static variables of functions have numbers in their names, and a fix moves these: "count.0" of one
 * object may be "count.1" of the other. Pairs are made by how code refers to them, and that can
 * be wrong where functions were inlined or a variable of the same name came to another function. The
 * debugging information knows which function each belongs to.
 */
#include "build/statics.h"

#include <dwarf.h>
#include <string.h>
#include "build/changes.h"
#include "build/debug-compare.h"

static const struct debug_local *find_local(const struct debug_info *info, const char *symbol)
{
        size_t low = 0, high = info->n_locals;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (strcmp(info->locals[middle].symbol, symbol) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < info->n_locals && strcmp(info->locals[low].symbol, symbol) == 0
                       ? &info->locals[low]
                       : NULL;
}

/* Code that is new or differs refers to it. */
static bool is_used(const struct object *object, const struct atom *variable)
{
        for (size_t i = 0; i < object->n_atoms; i++) {
                const struct atom *atom = &object->atoms[i];

                if (atom->kind != ATOM_CODE || (atom->twin && !atom->differs))
                        continue;
                for (size_t j = 0; j < atom->n_references; j++)
                        if (atom->references[j].target == variable)
                                return true;
        }
        return false;
}

/* A structure that is declared within the function is compared here, since nobody else sees it. */
static bool type_differs(const struct debug_local *a, const struct debug_local *b)
{
        Dwarf_Die x = a->die, y = b->die, p, q;
        struct debug_difference difference;

        if (debug_variable_differs(&x, &y))
                return true;
        while (debug_type_of(&x, &p) && debug_type_of(&y, &q) && debug_strip(&p, false, &x) &&
               debug_strip(&q, false, &y) && dwarf_tag(&x) == DW_TAG_array_type &&
               dwarf_tag(&y) == DW_TAG_array_type)
                ;
        return debug_is_structure(dwarf_tag(&x)) && debug_is_structure(dwarf_tag(&y)) &&
               debug_type_differs(&x, &y, &difference);
}

static int judge_pair(struct extraction *extraction, const struct object *fixed,
                      const struct atom *variable, const struct debug_local *a,
                      const struct debug_local *b, struct error *err)
{
        char where[CHANGES_WHERE_SIZE];
        bool ok = true;

        if (!is_used(fixed, variable->twin))
                return 0;
        changes_where(variable->twin, where);
        if (strcmp(a->function, b->function) != 0)
                ok = report_finding(extraction->report, "SB115", true, where,
                                    "it is not known which variable of the module is meant: the one "
                                    "of that name is in %s, and here it is in %s", a->function,
                                    b->function);
        else if (variable->size == variable->twin->size && type_differs(a, b))
                ok = report_finding(extraction->report, "SB112", true, where,
                                    "the variable %s of %s exists, and has another type now",
                                    variable->base, a->function);
        return ok ? 0 : error_no_memory(err);
}

int statics_check(struct extraction *extraction, const struct object *original,
                  const struct object *fixed, const struct debug_info *a,
                  const struct debug_info *b, struct error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < original->n_atoms; i++) {
                const struct atom *atom = &original->atoms[i];
                const struct debug_local *x, *y;

                if (!atom->twin || !atom->name || (atom->kind != ATOM_DATA && atom->kind != ATOM_BSS))
                        continue;
                x = find_local(a, atom->name);
                y = find_local(b, atom->twin->name);
                if (x && y)
                        r = judge_pair(extraction, fixed, atom, x, y, err);
        }
        return r;
}
