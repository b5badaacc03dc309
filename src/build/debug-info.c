/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listed is what stands at the top of a compilation unit, in its namespaces and in its classes:
 * structures, functions, variables, and the numbers that enumerations give names to. Of what
 * functions declare within, only variables that have an address are listed.
 */
#include "build/debug-info.h"

#include <dwarf.h>
#include <stdio.h>
#include <string.h>
#include "base/array.h"
#include "base/cleanup.h"

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

static char *scoped_name(const char *prefix, const char *scope, const char *name)
{
        char *text;

        return asprintf(&text, "%s%s%s%s", prefix, scope, scope[0] ? "::" : "", name) < 0 ? NULL
                                                                                         : text;
}

static bool add_type(struct debug_info *info, Dwarf_Die *die, const char *prefix,
                     const char *scope, const char *name)
{
        struct debug_type *type = ARRAY_PUSH(info->types, info->n_types);

        if (!type)
                return false;
        type->name = scoped_name(prefix, scope, name);
        type->die = *die;
        return type->name;
}

/* Types within a namespace or a class have its name before theirs. */
static bool add_scope(struct debug_info *info, Dwarf_Die *die, const char *scope, const char *name)
{
        _cleanup_free_ char *inner = scoped_name("", scope, name ? name : "(anonymous)");

        return inner && add_children(info, die, inner);
}

static bool add_structure(struct debug_info *info, Dwarf_Die *die, const char *scope,
                          const char *name)
{
        const char *prefix = dwarf_tag(die) == DW_TAG_union_type ? "union " : "struct ";

        return (!name || add_type(info, die, prefix, scope, name)) &&
               add_scope(info, die, scope, name);
}

/* "typedef struct { ... } name": the structure has no name of its own. */
static bool add_typedef(struct debug_info *info, Dwarf_Die *die, const char *scope)
{
        Dwarf_Die target;

        if (!debug_type_of(die, &target) || !debug_is_structure(dwarf_tag(&target)) ||
            dwarf_diename(&target))
                return true;
        return add_type(info, &target, "", scope, dwarf_diename(die));
}

static bool number_of_enumerator(Dwarf_Die *die, int64_t *ret)
{
        Dwarf_Attribute attribute;
        Dwarf_Sword number;

        if (dwarf_tag(die) != DW_TAG_enumerator ||
            dwarf_formsdata(dwarf_attr(die, DW_AT_const_value, &attribute), &number) != 0)
                return false;
        *ret = number;
        return true;
}

static bool add_enumeration(struct debug_info *info, Dwarf_Die *die, const char *scope)
{
        bool has_scope = debug_has_flag(die, DW_AT_enum_class) && dwarf_diename(die);
        _cleanup_free_ char *inner = has_scope ? scoped_name("", scope, dwarf_diename(die))
                                               : strdup(scope);
        int64_t number, largest = INT64_MIN;
        Dwarf_Die child;

        for (int r = dwarf_child(die, &child); r == 0; r = dwarf_siblingof(&child, &child))
                if (number_of_enumerator(&child, &number))
                        largest = MAX(largest, number);
        for (int r = dwarf_child(die, &child); inner && r == 0;
             r = dwarf_siblingof(&child, &child)) {
                struct debug_enumerator *item;

                if (!number_of_enumerator(&child, &number) || !dwarf_diename(&child))
                        continue;
                item = ARRAY_PUSH(info->enumerators, info->n_enumerators);
                if (!item)
                        return false;
                item->name = scoped_name("", inner, dwarf_diename(&child));
                item->enumeration = dwarf_dieoffset(die);
                item->number = number;
                item->is_largest = number == largest;
                if (!item->name)
                        return false;
        }
        return inner;
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
                return add_scope(info, die, scope, name);
        if (debug_has_flag(die, DW_AT_declaration))
                return true;
        if (tag == DW_TAG_enumeration_type)
                return add_enumeration(info, die, scope);
        if (debug_is_structure(tag))
                return add_structure(info, die, scope, name);
        if (!name)
                return true;
        if (tag == DW_TAG_typedef)
                return add_typedef(info, die, scope);
        if (tag == DW_TAG_subprogram)
                return add_named(&info->functions, &info->n_functions, die, symbol_name(die));
        if (tag == DW_TAG_variable)
                return add_named(&info->variables, &info->n_variables, die, symbol_name(die));
        return true;
}

static bool add_children(struct debug_info *info, Dwarf_Die *parent, const char *scope)
{
        Dwarf_Die child;

        for (int r = dwarf_child(parent, &child); r == 0; r = dwarf_siblingof(&child, &child))
                if (!add_die(info, &child, scope))
                        return false;
        return true;
}

/* --- Variables within functions ---------------------------------------------------------- */

/* The symbol at the address that is all of the variable's location; NULL if it is another one. */
static const char *symbol_of_variable(const struct debug_info *info, Dwarf_Die *die)
{
        Dwarf_Attribute attribute;
        Dwarf_Op *operations;
        GElf_Off offset = 0;
        GElf_Sym symbol;
        const char *name;
        size_t n;

        if (dwarf_tag(die) != DW_TAG_variable ||
            dwarf_getlocation(dwarf_attr_integrate(die, DW_AT_location, &attribute), &operations,
                              &n) != 0 ||
            n != 1 || operations[0].atom != DW_OP_addr)
                return NULL;
        name = dwfl_module_addrinfo(info->module, operations[0].number + info->bias, &offset,
                                    &symbol, NULL, NULL, NULL);
        return offset == 0 ? name : NULL;
}

static bool add_locals(struct debug_info *info, Dwarf_Die *parent, const char *function,
                       unsigned depth)
{
        Dwarf_Die child;

        for (int r = depth < MAX_DEPTH ? dwarf_child(parent, &child) : 1; r == 0;
             r = dwarf_siblingof(&child, &child)) {
                int tag = dwarf_tag(&child);
                bool is_function = tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine;
                const char *within = is_function ? symbol_name(&child) : function;
                const char *symbol = within ? symbol_of_variable(info, &child) : NULL;
                struct debug_local *local;

                if (symbol) {
                        local = ARRAY_PUSH(info->locals, info->n_locals);
                        if (!local)
                                return false;
                        *local = (struct debug_local){ symbol, within, child };
                }
                if ((is_function || tag == DW_TAG_lexical_block || tag == DW_TAG_namespace ||
                     debug_is_structure(tag)) &&
                    !add_locals(info, &child, within, depth + 1))
                        return false;
        }
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
                if (!add_children(info, &unit, "") || !add_locals(info, &unit, NULL, 0))
                        return error_no_memory(err);
                offset = next;
        }
        if (info->n_types > 0)
                qsort(info->types, info->n_types, sizeof(*info->types), by_name);
        if (info->n_functions > 0)
                qsort(info->functions, info->n_functions, sizeof(*info->functions), by_name);
        if (info->n_variables > 0)
                qsort(info->variables, info->n_variables, sizeof(*info->variables), by_name);
        if (info->n_locals > 0)
                qsort(info->locals, info->n_locals, sizeof(*info->locals), by_name);
        if (info->n_enumerators > 0)
                qsort(info->enumerators, info->n_enumerators, sizeof(*info->enumerators), by_name);
        return info->n_types + info->n_functions > 0 ? 0 : DEBUG_INFO_NONE;
}

/*
 * Types in units of their own (-fdebug-types-section): before they are linked, each is a section of
 * its own, of which libdw reads only one.
 */
static bool has_types_apart(Dwfl_Module *module)
{
        GElf_Addr bias;
        Elf *elf = dwfl_module_getelf(module, &bias);
        size_t names, n = 0;

        if (!elf || elf_getshdrstrndx(elf, &names) != 0)
                return false;
        for (Elf_Scn *section = elf_nextscn(elf, NULL); section;
             section = elf_nextscn(elf, section)) {
                GElf_Shdr header;
                const char *name = gelf_getshdr(section, &header)
                                           ? elf_strptr(elf, names, header.sh_name)
                                           : NULL;

                if (name && strcmp(name, ".debug_types") == 0)
                        return true;
                n += name && strcmp(name, ".debug_info") == 0;
        }
        return n > 1;
}

int debug_info_open(const char *path, struct debug_info *ret, struct error *err)
{
        Dwarf *dwarf;

        ret->dwfl = dwfl_begin(&callbacks);
        if (!ret->dwfl)
                return error_no_memory(err);
        dwfl_report_begin(ret->dwfl);
        ret->module = dwfl_report_offline(ret->dwfl, path, path, -1);
        dwfl_report_end(ret->dwfl, NULL, NULL);
        dwarf = ret->module ? dwfl_module_getdwarf(ret->module, &ret->bias) : NULL;
        if (!dwarf || has_types_apart(ret->module))
                return DEBUG_INFO_NONE;
        return read_units(ret, dwarf, err);
}

void debug_info_done(struct debug_info *info)
{
        for (size_t i = 0; i < info->n_types; i++)
                free(info->types[i].name);
        free(info->types);
        free(info->functions);
        free(info->variables);
        free(info->locals);
        for (size_t i = 0; i < info->n_enumerators; i++)
                free(info->enumerators[i].name);
        free(info->enumerators);
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
