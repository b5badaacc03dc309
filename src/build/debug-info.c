/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two layouts are equal if every member has the same place and the same kind of type. What a
 * pointer points to is no part of a layout; a named structure inside of another counts by name and
 * size, since it is compared by itself.
 */
#include "build/debug-info.h"

#include <dwarf.h>
#include <stdio.h>
#include <string.h>
#include "base/array.h"
#include "base/buffer.h"

enum { MAX_DEPTH = 24 };

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

static bool has_flag(Dwarf_Die *die, unsigned int name)
{
        Dwarf_Attribute attribute;
        bool value = false;

        return dwarf_attr(die, name, &attribute) && dwarf_formflag(&attribute, &value) == 0 &&
               value;
}

static bool is_structure(int tag)
{
        return tag == DW_TAG_structure_type || tag == DW_TAG_union_type ||
               tag == DW_TAG_class_type;
}

static bool type_of(Dwarf_Die *die, Dwarf_Die *ret)
{
        Dwarf_Attribute attribute;

        return dwarf_attr_integrate(die, DW_AT_type, &attribute) &&
               dwarf_formref_die(&attribute, ret);
}

static bool add_type(struct debug_info *info, Dwarf_Die *die, const char *prefix, const char *name)
{
        struct debug_type *type = ARRAY_PUSH(info->types, info->n_types);

        if (!type || asprintf(&type->name, "%s%s", prefix, name) < 0)
                return false;
        type->die = *die;
        return true;
}

/* "typedef struct { ... } name": the structure has no name of its own. */
static bool add_typedef(struct debug_info *info, Dwarf_Die *die)
{
        Dwarf_Die target;

        if (!type_of(die, &target) || !is_structure(dwarf_tag(&target)) || dwarf_diename(&target))
                return true;
        return add_type(info, &target, "", dwarf_diename(die));
}

static bool add_die(struct debug_info *info, Dwarf_Die *die)
{
        const char *name = dwarf_diename(die);
        int tag = dwarf_tag(die);

        if (!name || has_flag(die, DW_AT_declaration))
                return true;
        if (is_structure(tag))
                return add_type(info, die, tag == DW_TAG_union_type ? "union " : "struct ", name);
        if (tag == DW_TAG_typedef)
                return add_typedef(info, die);
        if (tag == DW_TAG_subprogram && has_flag(die, DW_AT_external)) {
                struct debug_function *function =
                        ARRAY_PUSH(info->functions, info->n_functions);

                if (!function)
                        return false;
                function->name = name;
                function->die = *die;
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
                Dwarf_Die unit, child;
                int r;

                if (!dwarf_offdie(dwarf, offset + header_size, &unit))
                        break;
                for (r = dwarf_child(&unit, &child); r == 0; r = dwarf_siblingof(&child, &child))
                        if (!add_die(info, &child))
                                return error_no_memory(err);
                offset = next;
        }
        if (info->n_types > 0)
                qsort(info->types, info->n_types, sizeof(*info->types), by_name);
        if (info->n_functions > 0)
                qsort(info->functions, info->n_functions, sizeof(*info->functions), by_name);
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
        if (info->dwfl)
                dwfl_end(info->dwfl);
        *info = (struct debug_info){ 0 };
}

/* --- What a type is ---------------------------------------------------------------------- */

static bool describe_type(Dwarf_Die *die, struct buffer *ret, unsigned depth);

static long long number_of(Dwarf_Die *die, unsigned int name, long long otherwise)
{
        Dwarf_Attribute attribute;
        Dwarf_Word value;

        if (!dwarf_attr_integrate(die, name, &attribute) ||
            dwarf_formudata(&attribute, &value) != 0)
                return otherwise;
        return (long long)value;
}

/* In bits from the start of the structure (DWARF 5, 5.7.6; DWARF 4 has a location). */
static long long member_place(Dwarf_Die *member)
{
        long long bits = number_of(member, DW_AT_data_bit_offset, -1);

        return bits >= 0 ? bits : 8 * number_of(member, DW_AT_data_member_location, 0);
}

static bool describe_member(Dwarf_Die *member, struct buffer *ret, unsigned depth)
{
        Dwarf_Die type;

        if (!buffer_printf(ret, "@%lld:%lld ", member_place(member),
                           number_of(member, DW_AT_bit_size, -1)))
                return false;
        return type_of(member, &type) ? describe_type(&type, ret, depth + 1)
                                      : buffer_printf(ret, "void");
}

static bool describe_structure(Dwarf_Die *die, struct buffer *ret, unsigned depth)
{
        const char *name = dwarf_diename(die);
        Dwarf_Die child;

        if (name)
                return buffer_printf(ret, "%s %s (%lld bytes)",
                                     dwarf_tag(die) == DW_TAG_union_type ? "union" : "struct",
                                     name, number_of(die, DW_AT_byte_size, -1));
        if (!buffer_printf(ret, "{%lld ", number_of(die, DW_AT_byte_size, -1)))
                return false;
        for (int r = dwarf_child(die, &child); r == 0; r = dwarf_siblingof(&child, &child))
                if (dwarf_tag(&child) == DW_TAG_member &&
                    (!describe_member(&child, ret, depth) || !buffer_printf(ret, "; ")))
                        return false;
        return buffer_printf(ret, "}");
}

static bool describe_array(Dwarf_Die *die, struct buffer *ret, unsigned depth)
{
        Dwarf_Die child, type;

        for (int r = dwarf_child(die, &child); r == 0; r = dwarf_siblingof(&child, &child)) {
                long long count = number_of(&child, DW_AT_count, -1);

                if (dwarf_tag(&child) != DW_TAG_subrange_type)
                        continue;
                if (count < 0)
                        count = number_of(&child, DW_AT_upper_bound, -1) + 1;
                if (!buffer_printf(ret, "[%lld]", count))
                        return false;
        }
        return !type_of(die, &type) || describe_type(&type, ret, depth + 1);
}

static bool describe_type(Dwarf_Die *die, struct buffer *ret, unsigned depth)
{
        Dwarf_Die type;

        if (depth > MAX_DEPTH)
                return buffer_printf(ret, "...");
        switch (dwarf_tag(die)) {
        case DW_TAG_typedef:
        case DW_TAG_const_type:
        case DW_TAG_volatile_type:
        case DW_TAG_restrict_type:
        case DW_TAG_atomic_type:
                return type_of(die, &type) ? describe_type(&type, ret, depth + 1)
                                           : buffer_printf(ret, "void");
        case DW_TAG_pointer_type:
        case DW_TAG_reference_type:
                return buffer_printf(ret, "pointer");
        case DW_TAG_enumeration_type:
                return buffer_printf(ret, "enum of %lld bytes",
                                     number_of(die, DW_AT_byte_size, -1));
        case DW_TAG_array_type:
                return describe_array(die, ret, depth);
        case DW_TAG_structure_type:
        case DW_TAG_union_type:
        case DW_TAG_class_type:
                return describe_structure(die, ret, depth);
        default:
                return buffer_printf(ret, "%s", dwarf_diename(die) ? dwarf_diename(die) : "?");
        }
}

/* --- Comparing --------------------------------------------------------------------------- */

static bool next_child(Dwarf_Die *parent, int tag, bool *started, Dwarf_Die *child)
{
        int r = *started ? dwarf_siblingof(child, child) : dwarf_child(parent, child);

        *started = true;
        while (r == 0 && dwarf_tag(child) != tag)
                r = dwarf_siblingof(child, child);
        return r == 0;
}

static const char *name_of(Dwarf_Die *die)
{
        const char *name = dwarf_diename(die);

        return name ? name : "(unnamed)";
}

static bool types_equal(Dwarf_Die *a, Dwarf_Die *b, bool members, struct buffer *x,
                        struct buffer *y)
{
        Dwarf_Die p, q;

        buffer_done(x);
        buffer_done(y);
        if (members)
                return describe_member(a, x, 0) && describe_member(b, y, 0) &&
                       strcmp((char *)x->data, (char *)y->data) == 0;
        if (!buffer_printf(x, "%s", "") || !buffer_printf(y, "%s", ""))
                return false;
        if (type_of(a, &p))
                describe_type(&p, x, 0);
        if (type_of(b, &q))
                describe_type(&q, y, 0);
        return strcmp((char *)x->data, (char *)y->data) == 0;
}

bool debug_type_differs(Dwarf_Die *a, Dwarf_Die *b, char *what, size_t what_size)
{
        _cleanup_buffer_ struct buffer x = { 0 }, y = { 0 };
        long long size_a = number_of(a, DW_AT_byte_size, -1);
        long long size_b = number_of(b, DW_AT_byte_size, -1);
        bool started_a = false, started_b = false;
        Dwarf_Die p, q;

        for (;;) {
                bool more_a = next_child(a, DW_TAG_member, &started_a, &p);
                bool more_b = next_child(b, DW_TAG_member, &started_b, &q);

                if (!more_a && !more_b)
                        break;
                if (!more_a)
                        snprintf(what, what_size, "member %s is new", name_of(&q));
                else if (!more_b)
                        snprintf(what, what_size, "member %s is gone", name_of(&p));
                else if (!types_equal(&p, &q, true, &x, &y))
                        snprintf(what, what_size, "member %s is another one, or elsewhere",
                                 name_of(&q));
                else
                        continue;
                return true;
        }
        snprintf(what, what_size, "its size is %lld bytes instead of %lld", size_b, size_a);
        return size_a != size_b;
}

bool debug_signature_differs(Dwarf_Die *a, Dwarf_Die *b, char *what, size_t what_size)
{
        _cleanup_buffer_ struct buffer x = { 0 }, y = { 0 };
        bool started_a = false, started_b = false;
        Dwarf_Die p, q;

        if (!types_equal(a, b, false, &x, &y)) {
                snprintf(what, what_size, "it returns another type");
                return true;
        }
        for (unsigned i = 1;; i++) {
                bool more_a = next_child(a, DW_TAG_formal_parameter, &started_a, &p);
                bool more_b = next_child(b, DW_TAG_formal_parameter, &started_b, &q);

                if (!more_a && !more_b)
                        return false;
                if (more_a != more_b)
                        snprintf(what, what_size, "it has %s parameters",
                                 more_b ? "more" : "fewer");
                else if (!types_equal(&p, &q, false, &x, &y))
                        snprintf(what, what_size, "parameter %u has another type", i);
                else
                        continue;
                return true;
        }
}
