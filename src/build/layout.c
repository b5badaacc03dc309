/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A structure that both objects know by one name is in use by the old code, so it must be the
 * same. Which of its members the changed functions touch is not asked: an object may be made by
 * old code and read by new.
 */
#include "build/layout.h"

#include <string.h>
#include "build/changes.h"
#include "build/debug-info.h"

/* How many types bear the name of this one, the first of them. */
static size_t count_namesakes(const struct debug_info *info, size_t first)
{
        size_t n = 1;

        while (first + n < info->n_types &&
               strcmp(info->types[first + n].name, info->types[first].name) == 0)
                n++;
        return n;
}

/*
 * A name that stands for several structures (in several functions, or units of a module) says
 * nothing, unless they are laid out alike.
 */
static bool is_unique(struct debug_info *info, size_t first, size_t n)
{
        char what[256];

        for (size_t i = first + 1; i < first + n; i++)
                if (debug_type_differs(&info->types[first].die, &info->types[i].die, what,
                                       sizeof(what)))
                        return false;
        return true;
}

static bool is_reported(const struct objects_report *report, const char *text)
{
        for (size_t i = 0; i < report->n_findings; i++)
                if (strcmp(report->findings[i].text, text) == 0)
                        return true;
        return false;
}

static int report_type(struct extraction *extraction, const struct object *fixed,
                       const char *name, const char *what, struct error *err)
{
        _cleanup_buffer_ struct buffer text = { 0 };

        if (!buffer_printf(&text, "the layout of %s changed: %s", name, what))
                return error_no_memory(err);
        if (is_reported(extraction->report, (char *)text.data)) /* in another unit */
                return 0;
        return report_finding(extraction->report, "SB101", true, fixed->unit, "%s",
                              (char *)text.data)
                       ? 0
                       : error_no_memory(err);
}

static int compare_types(struct extraction *extraction, const struct object *fixed,
                         struct debug_info *a, struct debug_info *b, struct error *err)
{
        char what[256];
        int r = 0;

        for (size_t i = 0, j = 0; r == 0 && i < a->n_types && j < b->n_types;) {
                int order = strcmp(a->types[i].name, b->types[j].name);
                size_t n_a = count_namesakes(a, i), n_b = count_namesakes(b, j);

                if (order == 0 && is_unique(a, i, n_a) && is_unique(b, j, n_b) &&
                    debug_type_differs(&a->types[i].die, &b->types[j].die, what, sizeof(what)))
                        r = report_type(extraction, fixed, a->types[i].name, what, err);
                i += order <= 0 ? n_a : 0;
                j += order >= 0 ? n_b : 0;
        }
        return r;
}

static bool is_exported(const struct extraction *extraction, const char *name)
{
        const struct shipped_dynamic *dynamic = shipped_find_dynamic(extraction->shipped, name);

        return dynamic && dynamic->defined && !extraction->shipped->is_program;
}

static int compare_signatures(struct extraction *extraction, const struct object *fixed,
                              struct debug_info *a, struct debug_info *b, struct error *err)
{
        char what[256];

        for (size_t i = 0, j = 0; i < a->n_functions && j < b->n_functions;) {
                int order = strcmp(a->functions[i].name, b->functions[j].name);
                const char *name = a->functions[i].name;

                if (order == 0 && is_exported(extraction, name) &&
                    debug_signature_differs(&a->functions[i].die, &b->functions[j].die, what,
                                            sizeof(what)) &&
                    !report_finding(extraction->report, "SB103", true, fixed->unit,
                                    "the signature of the exported function %s changed: %s", name,
                                    what))
                        return error_no_memory(err);
                i += order <= 0;
                j += order >= 0;
        }
        return 0;
}

/* With names of its own, if it has any. */
static const char *module_path(const struct extraction *extraction)
{
        const struct objects_target *target = extraction->target;

        return target->symbols ? target->symbols : target->shipped;
}

static int check_unit(struct extraction *extraction, size_t unit, struct error *err)
{
        _cleanup_(debug_info_done) struct debug_info a = { 0 }, b = { 0 };
        const struct object *original = extraction->originals[unit];
        const struct object *fixed = extraction->fixed[unit];
        int r = debug_info_open(original->handmade ? module_path(extraction) : original->path, &a,
                                err);

        if (r == 0)
                r = debug_info_open(fixed->path, &b, err);
        if (r == DEBUG_INFO_NONE)
                return report_finding(extraction->report, "SB125", false, fixed->unit,
                                      "no debugging information to compare structures by")
                               ? 0
                               : error_no_memory(err);
        if (r == 0)
                r = compare_types(extraction, fixed, &a, &b, err);
        if (r == 0)
                r = compare_signatures(extraction, fixed, &a, &b, err);
        return r;
}

static bool has_changed_code(const struct object *fixed)
{
        for (size_t i = 0; i < fixed->n_atoms; i++)
                if (fixed->atoms[i].kind == ATOM_CODE && fixed->atoms[i].differs)
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
