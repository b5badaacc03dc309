/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Only what stands at the top of a compilation unit is listed: structures, functions and
 * variables. What functions declare within is looked at when it is asked for.
 */
#include "build/debug-info.h"

#include <dwarf.h>
#include <stdio.h>
#include <string.h>
#include "base/array.h"

enum { MAX_DEPTH = 64 }; /* of blocks and inlined functions within each other */

/* --- Reading ----------------------------------------------------------------------------- */

/* Separate files with debugging information are not looked for. */
static int find_nothing(Dwfl_Module *module, void **user_data, const char *name, Dwarf_Addr base,
                        const char *file, const char *link, GElf_Word crc, char **ret)
{
        (void)module, (void)user_data, (void)name, (void)base, (void)file, (void)link, (void)crc;
        *ret = NULL;
        return -1;
}

static const Dwfl_Callbacks callbacks = {
        .find_debuginfo = find_nothing,
        .section_address = dwfl_offline_section_address,
};

bool debug_has_flag(Dwarf_Die *die, unsigned int name)
{
        Dwarf_Attribute attribute;
        bool value = false;

        return dwarf_attr(die, name, &attribute) && dwarf_formflag(&attribute, &value) == 0 &&
               value;
}

bool debug_is_structure(int tag)
{
        return tag == DW_TAG_structure_type || tag == DW_TAG_union_type ||
               tag == DW_TAG_class_type;
}

bool debug_type_of(Dwarf_Die *die, Dwarf_Die *ret)
{
        Dwarf_Attribute attribute;

        return dwarf_attr_integrate(die, DW_AT_type, &attribute) &&
               dwarf_formref_die(&attribute, ret);
}

static bool add_children(struct debug_info *info, Dwarf_Die *parent, const char *scope);

static bool add_type(struct debug_info *info, Dwarf_Die *die, const char *prefix,
                     const char *scope, const char *name)
{
        struct debug_type *type = ARRAY_PUSH(info->types, info->n_types);

        if (!type || asprintf(&type->name, "%s%s%s%s", prefix, scope, scope[0] ? "::" : "", name) < 0)
                return false;
        type->die = *die;
        return true;
}

/* "typedef struct { ... } name": the structure has no name of its own. */
static bool add_typedef(struct debug_info *info, Dwarf_Die *die, const char *scope)
{
        Dwarf_Die target;

        if (!debug_type_of(die, &target) || !debug_is_structure(dwarf_tag(&target)) || dwarf_diename(&target))
                return true;
        return add_type(info, &target, "", scope, dwarf_diename(die));
}

static bool add_named(struct debug_named **items, size_t *n_items, Dwarf_Die *die,
                      const char *name)
{
        struct debug_named *item = ARRAY_PUSH(*items, *n_items);

        if (item)
                *item = (struct debug_named){ .name = name, .die = *die };
        return item;
}

/* The name that the linker sees, where that is another one (C++). */
static const char *symbol_name(Dwarf_Die *die)
{
        Dwarf_Attribute attribute;
        const char *name = dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute)
                                   ? dwarf_formstring(&attribute)
                                   : NULL;

        return name ? name : dwarf_diename(die);
}

static bool add_die(struct debug_info *info, Dwarf_Die *die, const char *scope)
{
        const char *name = dwarf_diename(die);
        int tag = dwarf_tag(die);

        if (tag == DW_TAG_namespace)
                return add_children(info, die, name ? name : "(anonymous)");
        if (!name || debug_has_flag(die, DW_AT_declaration))
                return true;
        if (debug_is_structure(tag))
                return add_type(info, die, tag == DW_TAG_union_type ? "union " : "struct ", scope,
                                name);
        if (tag == DW_TAG_typedef)
                return add_typedef(info, die, scope);
        if (tag == DW_TAG_subprogram)
                return add_named(&info->functions, &info->n_functions, die, symbol_name(die));
        if (tag == DW_TAG_variable)
                return add_named(&info->variables, &info->n_variables, die, symbol_name(die));
        return true;
}

/* What stands in a unit or in a namespace; types in others than the outermost have a scope. */
static bool add_children(struct debug_info *info, Dwarf_Die *parent, const char *scope)
{
        Dwarf_Die child;

        for (int r = dwarf_child(parent, &child); r == 0; r = dwarf_siblingof(&child, &child))
                if (!add_die(info, &child, scope))
                        return false;
        return true;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int read_units(struct debug_info *info, Dwarf *dwarf, struct error *err)
{
        Dwarf_Off offset = 0, next;
        size_t header_size;

        while (dwarf_nextcu(dwarf, offset, &next, &header_size, NULL, NULL, NULL) == 0) {
                Dwarf_Die unit;

                if (!dwarf_offdie(dwarf, offset + header_size, &unit))
                        break;
                if (!add_children(info, &unit, ""))
                        return error_no_memory(err);
                offset = next;
        }
        if (info->n_types > 0)
                qsort(info->types, info->n_types, sizeof(*info->types), by_name);
        if (info->n_functions > 0)
                qsort(info->functions, info->n_functions, sizeof(*info->functions), by_name);
        if (info->n_variables > 0)
                qsort(info->variables, info->n_variables, sizeof(*info->variables), by_name);
        return info->n_types + info->n_functions > 0 ? 0 : DEBUG_INFO_NONE;
}

int debug_info_open(const char *path, struct debug_info *ret, struct error *err)
{
        Dwfl_Module *module;
        Dwarf_Addr bias;
        Dwarf *dwarf;

        ret->dwfl = dwfl_begin(&callbacks);
        if (!ret->dwfl)
                return error_no_memory(err);
        dwfl_report_begin(ret->dwfl);
        module = dwfl_report_offline(ret->dwfl, path, path, -1);
        dwfl_report_end(ret->dwfl, NULL, NULL);
        dwarf = module ? dwfl_module_getdwarf(module, &bias) : NULL;
        return dwarf ? read_units(ret, dwarf, err) : DEBUG_INFO_NONE;
}

void debug_info_done(struct debug_info *info)
{
        for (size_t i = 0; i < info->n_types; i++)
                free(info->types[i].name);
        free(info->types);
        free(info->functions);
        free(info->variables);
        if (info->dwfl)
                dwfl_end(info->dwfl);
        *info = (struct debug_info){ 0 };
}

/* --- Uses -------------------------------------------------------------------------------- */

bool debug_strip(Dwarf_Die *type, bool pointers, Dwarf_Die *ret)
{
        *ret = *type;
        for (unsigned i = 0; i < MAX_DEPTH; i++) {
                Dwarf_Die next;

                switch (dwarf_tag(ret)) {
                case DW_TAG_pointer_type:
                case DW_TAG_reference_type:
                case DW_TAG_rvalue_reference_type:
                case DW_TAG_array_type:
                        if (!pointers)
                                return true;
                        break;
                case DW_TAG_typedef:
                case DW_TAG_const_type:
                case DW_TAG_volatile_type:
                case DW_TAG_restrict_type:
                case DW_TAG_atomic_type:
                        break;
                default:
                        return true;
                }
                if (!debug_type_of(ret, &next))
                        return false;
                *ret = next;
        }
        return false;
}

static bool is_of_type(Dwarf_Die *die, Dwarf_Off type)
{
        Dwarf_Die own, stripped;

        return debug_type_of(die, &own) && debug_strip(&own, true, &stripped) &&
               dwarf_dieoffset(&stripped) == type;
}

static bool mentions(Dwarf_Die *die, Dwarf_Off type, unsigned depth)
{
        Dwarf_Die child;

        if (depth > MAX_DEPTH)
                return true;
        for (int r = dwarf_child(die, &child); r == 0; r = dwarf_siblingof(&child, &child)) {
                switch (dwarf_tag(&child)) {
                case DW_TAG_variable:
                case DW_TAG_formal_parameter:
                        if (is_of_type(&child, type))
                                return true;
                        break;
                case DW_TAG_lexical_block:
                case DW_TAG_inlined_subroutine:
                        if (mentions(&child, type, depth + 1))
                                return true;
                        break;
                default:
                        break;
                }
        }
        return false;
}

bool debug_function_mentions(const struct debug_info *info, const char *name, Dwarf_Die *type)
{
        Dwarf_Off offset = dwarf_dieoffset(type);

        for (size_t i = 0; i < info->n_functions; i++)
                if (strcmp(info->functions[i].name, name) == 0 &&
                    (is_of_type(&info->functions[i].die, offset) ||
                     mentions(&info->functions[i].die, offset, 0)))
                        return true;
        return false;
}
