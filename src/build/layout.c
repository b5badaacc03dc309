/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A structure that both objects know by one name is in use by the old code, so it must be the
 * same: an object may be made by old code and read by new. The exception is one that no code of
 * the patch can notice: none of its functions has a number in its instructions that could be a
 * place behind the first difference, and no object of it lies within another or in a variable.
 *
 * A refusal tells the author how to do without the change: which member is new, a shadow variable
 * for it, where objects are made and where the member is used. The last two are found by what the
 * instructions hold, so they are hints and no more.
 */
#include "build/layout.h"

#include <dwarf.h>
#include <string.h>
#include "build/changes.h"
#include "build/debug-compare.h"
#include "build/debug-info.h"
#include "build/statics.h"
#include "build/users.h"

struct comparison {
        struct extraction *extraction;
        const struct object *original, *fixed;
        struct debug_info a, b;
        struct error *err;
};

static void comparison_done(struct comparison *comparison)
{
        debug_info_done(&comparison->a);
        debug_info_done(&comparison->b);
}

static bool is_reported(const struct objects_report *report, const char *code, const char *text)
{
        for (size_t i = 0; i < report->n_findings; i++)
                if (strcmp(report->findings[i].code, code) == 0 &&
                    strncmp(report->findings[i].text, text, strlen(text)) == 0)
                        return true;
        return false;
}

/* --- What the code of the patch knows of a structure ------------------------------------- */

/* Takes part in the patch, or may do so. */
static bool is_changed_code(const struct atom *atom)
{
        return atom->kind == ATOM_CODE && (atom->differs || !atom->twin);
}

/* A number of the instructions that is in [from, to): a place in a structure, or its size. */
static bool code_holds(const struct atom *atom, uint64_t from, uint64_t to)
{
        const uint8_t *code = atom_data(atom);
        struct code_instruction instruction;

        for (uint64_t at = 0; code && code_decode(code, atom->size, at, &instruction);
             at += instruction.length) {
                int64_t numbers[2];
                size_t n = code_numbers(code, atom->size, &instruction, numbers);

                for (size_t i = 0; i < n; i++)
                        if (numbers[i] >= (int64_t)from && numbers[i] < (int64_t)to)
                                return true;
        }
        return false;
}

static bool any_code_holds(const struct object *object, uint64_t from, uint64_t to)
{
        for (size_t i = 0; i < object->n_atoms; i++)
                if (is_changed_code(&object->atoms[i]) &&
                    code_holds(&object->atoms[i], from, to))
                        return true;
        return false;
}

/* --- What the author can do -------------------------------------------------------------- */

/* The function, or the first of its copies, that takes part in the patch. */
static const struct atom *changed_function(const struct object *object, const char *name)
{
        for (size_t i = 0; i < object->n_atoms; i++) {
                const struct atom *atom = &object->atoms[i];

                if (is_changed_code(atom) && atom->name &&
                    strncmp(atom->name, name, strlen(name)) == 0 &&
                    (atom->name[strlen(name)] == '\0' || atom->name[strlen(name)] == '.'))
                        return atom;
        }
        return NULL;
}

/* Names of functions that know the structure and hold such a number. */
static bool list_functions(const struct object *object, const struct debug_info *info,
                           Dwarf_Die *type, uint64_t from, uint64_t to, struct buffer *ret)
{
        size_t n = 0;

        for (size_t i = 0; i < info->n_functions; i++) {
                const char *name = info->functions[i].name;
                const struct atom *atom = changed_function(object, name);

                if ((i > 0 && strcmp(info->functions[i - 1].name, name) == 0) || !atom ||
                    !debug_function_mentions(info, name, type) ||
                    !code_holds(atom, from, to))
                        continue;
                if (n++ < 6 && !buffer_printf(ret, "%s%s", n > 1 ? ", " : "", name))
                        return false;
        }
        return n <= 6 || buffer_printf(ret, " and %zu more", n - 6);
}

/* "; ..." behind what was found; false only when memory is out. */
static bool suggest(const struct comparison *comparison, Dwarf_Die *old_type, Dwarf_Die *new_type,
                    const struct debug_difference *difference, struct buffer *text)
{
        _cleanup_buffer_ struct buffer users = { 0 }, makers = { 0 };
        uint64_t at = difference->first_at, end = at + difference->first_size;

        if (difference->virtual_functions)
                return buffer_printf(text, "; objects hold the address of the old table");
        if (!difference->new_members[0])
                return true;
        if (!buffer_printf(text, difference->only_new
                                         ? "; the others stay where they are, so it grows by: %s"
                                         : "; leave the old members as they are; new: %s",
                           difference->new_members) ||
            !buffer_printf(text, "; a shadow variable can hold it: %s = "
                           "suture_shadow_get_or_alloc(object, 1, sizeof(*%s))",
                           difference->declaration, difference->first_name))
                return false;
        if (!list_functions(comparison->fixed, &comparison->b, new_type, at, end, &users) ||
            (difference->old_size != difference->new_size &&
             !list_functions(comparison->original, &comparison->a, old_type, difference->old_size,
                             difference->old_size + 1, &makers)))
                return false;
        if (users.size > 0 &&
            !buffer_printf(text, "; %s may use it", (const char *)users.data))
                return false;
        return makers.size == 0 ||
               buffer_printf(text, "; objects seem to be made in %s", (const char *)makers.data);
}

/* --- Structures -------------------------------------------------------------------------- */

static bool holds_type(Dwarf_Die *holder, Dwarf_Off type)
{
        Dwarf_Die child, own, stripped;

        for (int r = dwarf_child(holder, &child); r == 0; r = dwarf_siblingof(&child, &child)) {
                int tag = dwarf_tag(&child);

                if ((tag != DW_TAG_member && tag != DW_TAG_inheritance) ||
                    !debug_type_of(&child, &own) || !debug_strip(&own, true, &stripped))
                        continue;
                if (dwarf_dieoffset(&stripped) == type)
                        return true;
                if (debug_is_structure(dwarf_tag(&stripped)) && !dwarf_diename(&stripped) &&
                    holds_type(&stripped, type))
                        return true;
        }
        return false;
}

/* Within another structure or in a variable, or led to by one of them. */
static bool is_held(const struct debug_info *info, Dwarf_Die *type)
{
        Dwarf_Off offset = dwarf_dieoffset(type);
        Dwarf_Die own, stripped;

        for (size_t i = 0; i < info->n_types; i++)
                if (dwarf_dieoffset(&info->types[i].die) != offset &&
                    holds_type(&info->types[i].die, offset))
                        return true;
        for (size_t i = 0; i < info->n_variables; i++)
                if (debug_type_of(&info->variables[i].die, &own) &&
                    debug_strip(&own, true, &stripped) && dwarf_dieoffset(&stripped) == offset)
                        return true;
        return false;
}

static bool is_mentioned(const struct object *object, const struct debug_info *info,
                         Dwarf_Die *type)
{
        for (size_t i = 0; i < info->n_functions; i++)
                if (changed_function(object, info->functions[i].name) &&
                    debug_function_mentions(info, info->functions[i].name, type))
                        return true;
        return false;
}

/* No code of the patch can tell the new structure from the old one. */
static bool is_untouched(const struct comparison *comparison, Dwarf_Die *old_type,
                         Dwarf_Die *new_type, const struct debug_difference *difference)
{
        uint64_t from = difference->first_difference;
        uint64_t to = MAX(difference->old_size, difference->new_size) + 1;

        if (difference->virtual_functions || is_held(&comparison->a, old_type) ||
            is_held(&comparison->b, new_type))
                return false;
        if (is_mentioned(comparison->original, &comparison->a, old_type) ||
            is_mentioned(comparison->fixed, &comparison->b, new_type))
                return false;
        return !any_code_holds(comparison->original, from, to) &&
               !any_code_holds(comparison->fixed, from, to);
}

static int judge_type(struct comparison *comparison, struct debug_type *old_type,
                      struct debug_type *new_type)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        struct debug_difference difference;

        if (!debug_type_differs(&old_type->die, &new_type->die, &difference) ||
            is_untouched(comparison, &old_type->die, &new_type->die, &difference))
                return 0;
        if (!buffer_printf(&text, "the layout of %s changed: %s", old_type->name,
                           difference.what))
                return error_no_memory(comparison->err);
        if (is_reported(comparison->extraction->report, "SB101", (char *)text.data))
                return 0; /* in another unit */
        if (!suggest(comparison, &old_type->die, &new_type->die, &difference, &text) ||
            !report_finding(comparison->extraction->report, "SB101", true,
                            comparison->fixed->unit, "%s", (char *)text.data))
                return error_no_memory(comparison->err);
        return 0;
}

static size_t type_run(const struct debug_info *info, size_t i)
{
        size_t n = 1;

        while (i + n < info->n_types && strcmp(info->types[i].name, info->types[i + n].name) == 0)
                n++;
        return n;
}

static bool any_equal(struct debug_type *types, size_t n, struct debug_type *type)
{
        struct debug_difference difference;

        for (size_t i = 0; i < n; i++)
                if (!debug_type_differs(&types[i].die, &type->die, &difference))
                        return true;
        return false;
}

/*
 * A name that stands for several structures, as one does in the units of a whole module: each that
 * the fixed object has must be one of them.
 */
static int compare_types(struct comparison *comparison)
{
        struct debug_info *a = &comparison->a, *b = &comparison->b;
        int r = 0;

        for (size_t i = 0, j = 0; r == 0 && i < a->n_types && j < b->n_types;) {
                int order = strcmp(a->types[i].name, b->types[j].name);
                size_t n = type_run(a, i), m = type_run(b, j);

                for (size_t k = j; r == 0 && order == 0 && k < j + m; k++)
                        if (!any_equal(&a->types[i], n, &b->types[k]))
                                r = judge_type(comparison, &a->types[i], &b->types[k]);
                i += order <= 0 ? n : 0;
                j += order >= 0 ? m : 0;
        }
        return r;
}

/* --- Enumerations ------------------------------------------------------------------------ */

/* The name stands for one number in the unit. */
static bool is_single(const struct debug_info *info, size_t i)
{
        const struct debug_enumerator *items = info->enumerators;

        return (i == 0 || strcmp(items[i - 1].name, items[i].name) != 0) &&
               (i + 1 == info->n_enumerators || strcmp(items[i].name, items[i + 1].name) != 0);
}

static bool has_number(const struct debug_info *info, const char *name, int64_t number)
{
        for (size_t i = 0; i < info->n_enumerators; i++)
                if (strcmp(info->enumerators[i].name, name) == 0 &&
                    info->enumerators[i].number == number)
                        return true;
        return false;
}

/* "LAST = CLOSED": the number still means the same by its other name. */
static bool is_alias(const struct debug_info *a, const struct debug_info *b,
                     const struct debug_enumerator *item)
{
        for (size_t i = 0; i < a->n_enumerators; i++) {
                const struct debug_enumerator *other = &a->enumerators[i];

                if (other != item && other->enumeration == item->enumeration &&
                    other->number == item->number && has_number(b, other->name, other->number))
                        return true;
        }
        return false;
}

/* The largest may be a count, which no object holds, or a mask of all. */
static int compare_enumerators(struct comparison *comparison)
{
        const struct debug_info *a = &comparison->a, *b = &comparison->b;

        for (size_t i = 0, j = 0; i < a->n_enumerators && j < b->n_enumerators;) {
                const struct debug_enumerator *x = &a->enumerators[i], *y = &b->enumerators[j];
                int order = strcmp(x->name, y->name);

                if (order == 0 && x->number != y->number && !x->is_largest && is_single(a, i) &&
                    is_single(b, j) && !is_alias(a, b, x) &&
                    !report_finding(comparison->extraction->report, "SB133", true,
                                    comparison->fixed->unit, "%s is %lld instead of %lld",
                                    x->name, (long long)y->number, (long long)x->number))
                        return error_no_memory(comparison->err);
                i += order <= 0;
                j += order >= 0;
        }
        return 0;
}

/* --- Variables --------------------------------------------------------------------------- */

static bool leads_to_code(const struct atom *atom)
{
        for (size_t i = 0; i < atom->n_references; i++) {
                const struct reference *reference = &atom->references[i];

                if (reference->target && reference->target->kind == ATOM_CODE)
                        return true;
        }
        return false;
}

/*
 * A changed constant is taken along, so it has another address than the old one. Objects that
 * exist may hold that of the old one, if it is what makes them what they are: a table of functions.
 */
static int judge_constant(struct comparison *comparison, const struct atom *atom,
                          Dwarf_Die *variable)
{
        Dwarf_Die own, stripped;
        bool is_array = debug_type_of(variable, &own) && debug_strip(&own, false, &stripped) &&
                        dwarf_tag(&stripped) == DW_TAG_array_type;

        if (!atom->twin || !atom->differs || !leads_to_code(atom))
                return 0;
        return report_finding(comparison->extraction->report, "SB113", !is_array,
                              comparison->fixed->unit,
                              "the table %s of functions changed; objects that exist may hold the "
                              "address of the old one", atom_label(atom))
                       ? 0
                       : error_no_memory(comparison->err);
}

static int judge_variable(struct comparison *comparison, struct debug_named *a,
                          struct debug_named *b)
{
        const struct atom *atom = object_find(comparison->original, a->name, false);
        bool lives = atom && atom->twin && (atom->kind == ATOM_DATA || atom->kind == ATOM_BSS);

        if (atom && atom->kind == ATOM_CONSTANT)
                return judge_constant(comparison, atom, &a->die);
        if (!lives || atom->size != atom->twin->size || !debug_variable_differs(&a->die, &b->die))
                return 0;
        return report_finding(comparison->extraction->report, "SB112", true,
                              comparison->fixed->unit,
                              "the variable %s exists, and has another type now", a->name)
                       ? 0
                       : error_no_memory(comparison->err);
}

static int compare_variables(struct comparison *comparison)
{
        struct debug_info *a = &comparison->a, *b = &comparison->b;
        int r = 0;

        for (size_t i = 0, j = 0; r == 0 && i < a->n_variables && j < b->n_variables;) {
                int order = strcmp(a->variables[i].name, b->variables[j].name);

                if (order == 0)
                        r = judge_variable(comparison, &a->variables[i], &b->variables[j]);
                i += order <= 0;
                j += order >= 0;
        }
        return r;
}

/* --- Signatures -------------------------------------------------------------------------- */

static bool is_exported(const struct extraction *extraction, const char *name)
{
        const struct shipped_dynamic *dynamic = shipped_find_dynamic(extraction->shipped, name);

        return dynamic && dynamic->defined;
}

static int judge_signature(struct comparison *comparison, struct debug_named *a,
                           struct debug_named *b)
{
        const struct atom *atom = object_find(comparison->original, a->name, true);
        bool exported = is_exported(comparison->extraction, a->name);
        const char *caller = NULL;
        char what[256];

        if (!atom || !atom->twin || !atom->found ||
            !debug_signature_differs(&a->die, &b->die, what, sizeof(what)))
                return 0;
        if (!exported)
                caller = users_find_outside(comparison->extraction, NULL, atom->address, 1,
                                            false);
        if (!exported && !caller)
                return 0;
        return report_finding(comparison->extraction->report, "SB103", true,
                              comparison->fixed->unit,
                              exported ? "the signature of the exported function %s changed: %s"
                                       : "the signature of %s changed: %s; and %s uses it, which "
                                         "is not part of what was compiled anew",
                              a->name, what, caller)
                       ? 0
                       : error_no_memory(comparison->err);
}

static size_t function_run(const struct debug_info *info, size_t i)
{
        size_t n = 1;

        while (i + n < info->n_functions &&
               strcmp(info->functions[i].name, info->functions[i + n].name) == 0)
                n++;
        return n;
}

/* A copy of a function may lack parameters that are not needed in it. */
static struct debug_named *declared_function(struct debug_info *info, size_t i)
{
        size_t n = function_run(info, i);

        for (size_t j = 0; j < n; j++)
                if (!dwarf_hasattr(&info->functions[i + j].die, DW_AT_abstract_origin))
                        return &info->functions[i + j];
        return &info->functions[i];
}

static int compare_signatures(struct comparison *comparison)
{
        struct debug_info *a = &comparison->a, *b = &comparison->b;
        int r = 0;

        for (size_t i = 0, j = 0; r == 0 && i < a->n_functions && j < b->n_functions;) {
                int order = strcmp(a->functions[i].name, b->functions[j].name);

                if (order == 0)
                        r = judge_signature(comparison, declared_function(a, i),
                                            declared_function(b, j));
                i += order <= 0 ? function_run(a, i) : 0;
                j += order >= 0 ? function_run(b, j) : 0;
        }
        return r;
}

/* --- Altogether -------------------------------------------------------------------------- */

/* With names of its own, if it has any. */
static const char *module_path(const struct extraction *extraction)
{
        const struct objects_target *target = extraction->target;

        return target->symbols ? target->symbols : target->shipped;
}

static int check_unit(struct extraction *extraction, size_t unit, struct error *err)
{
        _cleanup_(comparison_done) struct comparison comparison = {
                .extraction = extraction,
                .original = extraction->originals[unit],
                .fixed = extraction->fixed[unit],
                .err = err,
        };
        int r = debug_info_open(comparison.original->handmade ? module_path(extraction)
                                                              : comparison.original->path,
                                &comparison.a, err);

        if (r == 0)
                r = debug_info_open(comparison.fixed->path, &comparison.b, err);
        if (r == DEBUG_INFO_NONE)
                return report_finding(extraction->report, "SB125", false, comparison.fixed->unit,
                                      "no debugging information to compare structures by")
                               ? 0
                               : error_no_memory(err);
        if (r == 0)
                r = compare_types(&comparison);
        if (r == 0)
                r = compare_variables(&comparison);
        if (r == 0)
                r = compare_signatures(&comparison);
        if (r == 0)
                r = compare_enumerators(&comparison);
        if (r == 0)
                r = statics_check(extraction, comparison.original, comparison.fixed, &comparison.a,
                                  &comparison.b, err);
        return r;
}

/* New code counts: that of another unit may call it. */
static bool has_changed_code(const struct object *fixed)
{
        for (size_t i = 0; i < fixed->n_atoms; i++)
                if (is_changed_code(&fixed->atoms[i]))
                        return true;
        return false;
}

int layout_check(struct extraction *extraction, struct error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < extraction->n_units; i++)
                if (has_changed_code(extraction->fixed[i]))
                        r = check_unit(extraction, i, err);
        return r;
}
