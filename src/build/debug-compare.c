/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two layouts are equal if every member has the same place and a type that is read alike: integers
 * of one size are, whatever they are called and counted from. A named structure inside of another
 * counts by name and size, since it is compared by itself. Pointers are equal unless they are known
 * to lead to different things: an old object holds a pointer to the old thing.
 */
#include "build/debug-compare.h"

#include <dwarf.h>
#include <stdio.h>
#include <string.h>
#include "base/array.h"
#include "base/buffer.h"

enum { MAX_DEPTH = 24 };    /* of types within each other */
enum { MAX_CALLBACKS = 2 }; /* of functions whose parameters lead to functions */

/* --- What a type is ---------------------------------------------------------------------- */

struct description {
        struct buffer text;
        bool as_parameter;       /* the sign of small integers counts: who extends them? */
};

static void description_done(struct description *description)
{
        buffer_done(&description->text);
}

static bool describe_type(Dwarf_Die *die, struct description *ret, unsigned depth);

static long long number_of(Dwarf_Die *die, unsigned int name, long long otherwise)
{
        Dwarf_Attribute attribute;
        Dwarf_Word value;

        if (!dwarf_attr_integrate(die, name, &attribute) ||
            dwarf_formudata(&attribute, &value) != 0)
                return otherwise;
        return (long long)value;
}

static long long size_of(Dwarf_Die *die)
{
        return number_of(die, DW_AT_byte_size, -1);
}

/* In bits from the start of the structure (DWARF 5, 5.7.6; DWARF 4 has a location). */
static long long member_place(Dwarf_Die *member)
{
        long long bits = number_of(member, DW_AT_data_bit_offset, -1);

        return bits >= 0 ? bits : 8 * number_of(member, DW_AT_data_member_location, 0);
}

static bool describe_own_type(Dwarf_Die *die, struct description *ret, unsigned depth)
{
        Dwarf_Die type;

        return debug_type_of(die, &type) ? describe_type(&type, ret, depth + 1)
                                         : buffer_printf(&ret->text, "void");
}

/* A place in the table of virtual functions, by its name as the linker knows it. */
static bool describe_virtual(Dwarf_Die *function, struct description *ret)
{
        Dwarf_Attribute attribute;
        const char *name = dwarf_attr_integrate(function, DW_AT_linkage_name, &attribute)
                                   ? dwarf_formstring(&attribute)
                                   : dwarf_diename(function);

        return buffer_printf(&ret->text, "virtual %s", name ? name : "?");
}

static bool describe_member(Dwarf_Die *member, struct description *ret, unsigned depth)
{
        if (dwarf_tag(member) == DW_TAG_subprogram)
                return describe_virtual(member, ret);
        return buffer_printf(&ret->text, "@%lld:%lld:%lld ", member_place(member),
                             number_of(member, DW_AT_bit_size, -1),
                             number_of(member, DW_AT_bit_offset, -1)) && /* until DWARF 4 */
               describe_own_type(member, ret, depth);
}

/* Members, base classes and virtual functions: what takes part in a layout. */
static bool is_part(Dwarf_Die *child)
{
        switch (dwarf_tag(child)) {
        case DW_TAG_member:      /* a declaration is a static one */
                return !debug_has_flag(child, DW_AT_declaration);
        case DW_TAG_inheritance:
                return true;
        case DW_TAG_subprogram:
                return number_of(child, DW_AT_virtuality, 0) != DW_VIRTUALITY_none;
        default:
                return false;
        }
}

static bool describe_structure(Dwarf_Die *die, struct description *ret, unsigned depth)
{
        const char *name = dwarf_diename(die);
        Dwarf_Die child;

        if (name)
                return buffer_printf(&ret->text, "%s %s (%lld bytes)",
                                     dwarf_tag(die) == DW_TAG_union_type ? "union" : "struct",
                                     name, size_of(die));
        if (!buffer_printf(&ret->text, "{%lld ", size_of(die)))
                return false;
        for (int r = dwarf_child(die, &child); r == 0; r = dwarf_siblingof(&child, &child))
                if (is_part(&child) && (!describe_member(&child, ret, depth) ||
                                        !buffer_printf(&ret->text, "; ")))
                        return false;
        return buffer_printf(&ret->text, "}");
}

static bool describe_array(Dwarf_Die *die, struct description *ret, unsigned depth)
{
        Dwarf_Die child;

        for (int r = dwarf_child(die, &child); r == 0; r = dwarf_siblingof(&child, &child)) {
                long long count = number_of(&child, DW_AT_count, -1);

                if (dwarf_tag(&child) != DW_TAG_subrange_type)
                        continue;
                if (count < 0)
                        count = number_of(&child, DW_AT_upper_bound, -1) + 1;
                if (!buffer_printf(&ret->text, "[%lld]", count))
                        return false;
        }
        return describe_own_type(die, ret, depth);
}

static bool describe_number(Dwarf_Die *die, struct description *ret)
{
        long long size = size_of(die);
        bool small = ret->as_parameter && size < 4, is_signed = true;

        switch (number_of(die, DW_AT_encoding, 0)) {
        case DW_ATE_unsigned:
        case DW_ATE_unsigned_char:
        case DW_ATE_UTF:
                is_signed = false;
                break;
        case DW_ATE_signed:
        case DW_ATE_signed_char:
                break;
        default:
                return buffer_printf(&ret->text, "%s of %lld bytes",
                                     dwarf_diename(die) ? dwarf_diename(die) : "?", size);
        }
        return buffer_printf(&ret->text, "%sinteger of %lld bytes",
                             !small ? "" : is_signed ? "signed " : "unsigned ", size);
}

static bool describe_type(Dwarf_Die *die, struct description *ret, unsigned depth)
{
        if (depth > MAX_DEPTH)
                return buffer_printf(&ret->text, "...");
        switch (dwarf_tag(die)) {
        case DW_TAG_typedef:
        case DW_TAG_const_type:
        case DW_TAG_volatile_type:
        case DW_TAG_restrict_type:
        case DW_TAG_atomic_type:
                return describe_own_type(die, ret, depth);
        case DW_TAG_pointer_type:
        case DW_TAG_reference_type:
        case DW_TAG_rvalue_reference_type:
                return buffer_printf(&ret->text, "pointer");
        case DW_TAG_enumeration_type:
                return buffer_printf(&ret->text, "%sinteger of %lld bytes",
                                     ret->as_parameter && size_of(die) < 4 ? "unsigned " : "",
                                     size_of(die));
        case DW_TAG_array_type:
                return describe_array(die, ret, depth);
        case DW_TAG_structure_type:
        case DW_TAG_union_type:
        case DW_TAG_class_type:
                return describe_structure(die, ret, depth);
        case DW_TAG_base_type:
                return describe_number(die, ret);
        default:
                return buffer_printf(&ret->text, "%s",
                                     dwarf_diename(die) ? dwarf_diename(die) : "?");
        }
}

/* --- Pointers ---------------------------------------------------------------------------- */

static bool is_pointer(Dwarf_Die *die)
{
        int tag = dwarf_tag(die);

        return tag == DW_TAG_pointer_type || tag == DW_TAG_reference_type ||
               tag == DW_TAG_rvalue_reference_type;
}

static bool is_number(Dwarf_Die *die)
{
        return dwarf_tag(die) == DW_TAG_base_type || dwarf_tag(die) == DW_TAG_enumeration_type;
}

/* The name of a structure, or the one that a typedef gives to it; NULL if it has none. */
static const char *structure_name(Dwarf_Die *type)
{
        Dwarf_Die at = *type, next;

        for (unsigned i = 0; i < MAX_DEPTH && !debug_is_structure(dwarf_tag(&at)); i++) {
                if (!debug_type_of(&at, &next))
                        return NULL;
                if (dwarf_tag(&at) == DW_TAG_typedef && debug_is_structure(dwarf_tag(&next)) &&
                    !dwarf_diename(&next))
                        return dwarf_diename(&at);
                at = next;
        }
        return dwarf_diename(&at);
}

static bool members_alike(Dwarf_Die *a, Dwarf_Die *b, unsigned depth);

/* By its name, since one that has a name is compared by itself; else by its members. */
static bool structures_alike(Dwarf_Die *a, Dwarf_Die *b, unsigned depth)
{
        const char *m = structure_name(a), *n = structure_name(b);
        Dwarf_Die p, q;

        if (m && n)
                return strcmp(m, n) == 0;
        return m || n || !debug_strip(a, false, &p) || !debug_strip(b, false, &q) ||
               members_alike(&p, &q, depth + 1);
}

static bool lead_alike(Dwarf_Die *a, Dwarf_Die *b, unsigned depth);
static bool signature_differs(Dwarf_Die *a, Dwarf_Die *b, char *what, size_t what_size,
                              unsigned depth);

/* What two pointers lead to. */
static bool targets_alike(Dwarf_Die *a, Dwarf_Die *b, unsigned depth)
{
        Dwarf_Die p, q;
        char what[128];

        if (!debug_strip(a, false, &p) || !debug_strip(b, false, &q))
                return true; /* void */
        if ((is_number(&p) && size_of(&p) == 1) || (is_number(&q) && size_of(&q) == 1))
                return true; /* bytes */
        if (is_pointer(&p) && is_pointer(&q))
                return lead_alike(&p, &q, depth + 1);
        if (is_number(&p) && is_number(&q))
                return size_of(&p) == size_of(&q);
        if (dwarf_tag(&p) != dwarf_tag(&q))
                return debug_is_structure(dwarf_tag(&p)) && debug_is_structure(dwarf_tag(&q)) &&
                       structures_alike(a, b, depth);
        if (debug_is_structure(dwarf_tag(&p)))
                return structures_alike(a, b, depth);
        return dwarf_tag(&p) != DW_TAG_subroutine_type || depth > MAX_CALLBACKS ||
               !signature_differs(&p, &q, what, sizeof(what), depth + 1);
}

/*
 * False only where pointers, in both or in what they consist of, lead to something known, and that
 * is not the same kind of thing.
 */
static bool lead_alike(Dwarf_Die *a, Dwarf_Die *b, unsigned depth)
{
        Dwarf_Die p, q, x, y;

        if (depth > MAX_DEPTH || !debug_strip(a, false, &p) || !debug_strip(b, false, &q))
                return true;
        if (debug_is_structure(dwarf_tag(&p)) && debug_is_structure(dwarf_tag(&q)))
                return structures_alike(a, b, depth);
        if (!debug_type_of(&p, &x) || !debug_type_of(&q, &y))
                return true;
        if (dwarf_tag(&p) == DW_TAG_array_type && dwarf_tag(&q) == DW_TAG_array_type)
                return lead_alike(&x, &y, depth + 1);
        return !is_pointer(&p) || !is_pointer(&q) || targets_alike(&x, &y, depth);
}

/* --- Comparing --------------------------------------------------------------------------- */

static bool describe_alike(Dwarf_Die *a, Dwarf_Die *b, bool members, bool parameters,
                           unsigned depth)
{
        _cleanup_(description_done) struct description x = { .as_parameter = parameters };
        _cleanup_(description_done) struct description y = { .as_parameter = parameters };
        bool ok = members ? describe_member(a, &x, 0) && describe_member(b, &y, 0)
                          : describe_own_type(a, &x, 0) && describe_own_type(b, &y, 0);
        Dwarf_Die p, q;

        if (!ok || strcmp((char *)x.text.data, (char *)y.text.data) != 0)
                return false;
        return !debug_type_of(a, &p) || !debug_type_of(b, &q) || lead_alike(&p, &q, depth);
}

struct part_list {
        struct debug_named *items;
        size_t n_items;
};

static void part_list_done(struct part_list *list)
{
        free(list->items);
}

static bool list_parts(Dwarf_Die *structure, struct part_list *ret)
{
        Dwarf_Die child;

        for (int r = dwarf_child(structure, &child); r == 0; r = dwarf_siblingof(&child, &child)) {
                struct debug_named *item;
                const char *name = dwarf_diename(&child);

                if (!is_part(&child))
                        continue;
                item = ARRAY_PUSH(ret->items, ret->n_items);
                if (!item)
                        return false;
                *item = (struct debug_named){ .name = name ? name : "(unnamed)", .die = child };
        }
        return true;
}

static struct debug_named *find_part(const struct part_list *list, const char *name)
{
        for (size_t i = 0; i < list->n_items; i++)
                if (strcmp(list->items[i].name, name) == 0)
                        return &list->items[i];
        return NULL;
}

static uint64_t place_of(Dwarf_Die *member)
{
        return (uint64_t)member_place(member) / 8;
}

/* A member of this name is in both. */
static void say_changed(struct debug_difference *ret, struct debug_named *x, struct debug_named *y)
{
        _cleanup_(description_done) struct description old_type = { 0 }, new_type = { 0 };
        const char *kind = ret->virtual_functions ? "virtual function" : "member";

        if (describe_own_type(&x->die, &old_type, 0) && describe_own_type(&y->die, &new_type, 0) &&
            strcmp((char *)old_type.text.data, (char *)new_type.text.data) != 0)
                snprintf(ret->what, sizeof(ret->what), "%s %s is %.90s instead of %.90s", kind,
                         x->name, (char *)new_type.text.data, (char *)old_type.text.data);
        else if (place_of(&x->die) != place_of(&y->die))
                snprintf(ret->what, sizeof(ret->what), "%s %s is at byte %llu instead of %llu",
                         kind, x->name, (unsigned long long)place_of(&y->die),
                         (unsigned long long)place_of(&x->die));
        else
                snprintf(ret->what, sizeof(ret->what), "%s %s is another one", kind, x->name);
}

/* A name that says that nobody sets or reads the member. */
static bool is_placeholder(const char *name)
{
        static const char *const words[] = { "pad", "reserv", "unused", "spare", "dummy",
                                             "filler", "rsv" };

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (strcasestr(name, words[i]))
                        return true;
        return false;
}

/*
 * Members at one place, alike but for their names. A new name for the same thing is harmless; but not
 * one that another member has or had, nor one for a place that was not in use.
 */
static bool is_another(const struct part_list *a, const struct part_list *b, const char *old_name,
                       const char *new_name)
{
        return strcmp(old_name, new_name) != 0 &&
               (find_part(a, new_name) || find_part(b, old_name) || is_placeholder(old_name));
}

static bool parts_alike(const struct part_list *a, const struct part_list *b,
                        struct debug_named *x, struct debug_named *y, unsigned depth)
{
        return x && y && describe_alike(&x->die, &y->die, true, false, depth) &&
               !is_another(a, b, x->name, y->name);
}

static bool members_alike(Dwarf_Die *a, Dwarf_Die *b, unsigned depth)
{
        _cleanup_(part_list_done) struct part_list x = { 0 }, y = { 0 };

        if (depth > MAX_DEPTH)
                return true;
        if (size_of(a) != size_of(b) || !list_parts(a, &x) || !list_parts(b, &y) ||
            x.n_items != y.n_items)
                return false;
        for (size_t i = 0; i < x.n_items; i++)
                if (!parts_alike(&x, &y, &x.items[i], &y.items[i], depth))
                        return false;
        return true;
}

/* The first difference, in the order of the members. */
static bool find_difference(struct part_list *a, struct part_list *b, struct debug_difference *ret)
{
        for (size_t i = 0; i < a->n_items || i < b->n_items; i++) {
                struct debug_named *x = i < a->n_items ? &a->items[i] : NULL;
                struct debug_named *y = i < b->n_items ? &b->items[i] : NULL;
                struct debug_named *either = y ? y : x;

                if (parts_alike(a, b, x, y, 0))
                        continue;
                ret->first_difference = MIN(x ? place_of(&x->die) : UINT64_MAX,
                                            y ? place_of(&y->die) : UINT64_MAX);
                ret->virtual_functions = dwarf_tag(&either->die) == DW_TAG_subprogram ||
                                         (x && dwarf_tag(&x->die) == DW_TAG_subprogram);
                if (!x || (y && !find_part(a, y->name)))
                        snprintf(ret->what, sizeof(ret->what), "%s %s is new",
                                 ret->virtual_functions ? "virtual function" : "member", y->name);
                else if (!y || !find_part(b, x->name))
                        snprintf(ret->what, sizeof(ret->what), "%s %s is gone",
                                 ret->virtual_functions ? "virtual function" : "member", x->name);
                else
                        say_changed(ret, x, find_part(b, x->name));
                return true;
        }
        return false;
}

/* As C writes it, with a star behind; for types that have a name. */
static bool name_type(Dwarf_Die *die, struct buffer *ret)
{
        const char *name = dwarf_diename(die);
        Dwarf_Die next;

        switch (dwarf_tag(die)) {
        case DW_TAG_typedef:
        case DW_TAG_base_type:
                return name && buffer_printf(ret, "%s ", name);
        case DW_TAG_structure_type:
        case DW_TAG_class_type:
                return name && buffer_printf(ret, "struct %s ", name);
        case DW_TAG_union_type:
                return name && buffer_printf(ret, "union %s ", name);
        case DW_TAG_enumeration_type:
                return name && buffer_printf(ret, "enum %s ", name);
        case DW_TAG_const_type:
        case DW_TAG_volatile_type:
        case DW_TAG_atomic_type:
                return debug_type_of(die, &next) && name_type(&next, ret);
        case DW_TAG_pointer_type:
                if (!debug_type_of(die, &next))
                        return buffer_printf(ret, "void *");
                return name_type(&next, ret) && buffer_printf(ret, "*");
        default:
                return false;
        }
}

static long long full_size(Dwarf_Die *type)
{
        Dwarf_Word size;

        return dwarf_aggregate_size(type, &size) == 0 ? (long long)size : -1;
}

static void describe_new_member(struct debug_named *member, struct debug_difference *ret)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        Dwarf_Die type;
        long long size = -1;

        if (debug_type_of(&member->die, &type)) {
                size = full_size(&type);
                if (!name_type(&type, &text)) {
                        buffer_done(&text);
                        text = (struct buffer){ 0 };
                }
        }
        snprintf(ret->declaration, sizeof(ret->declaration), "%s*%s",
                 text.data ? (const char *)text.data : "void ", member->name);
        snprintf(ret->first_name, sizeof(ret->first_name), "%s", member->name);
        ret->first_at = place_of(&member->die);
        ret->first_size = size > 0 ? (uint64_t)size : 1;
}

static void find_new_members(const struct part_list *a, struct part_list *b,
                             struct debug_difference *ret)
{
        size_t length = 0;

        for (size_t i = 0; i < b->n_items; i++) {
                struct debug_named *member = &b->items[i];

                if (dwarf_tag(&member->die) != DW_TAG_member || find_part(a, member->name))
                        continue;
                if (length == 0)
                        describe_new_member(member, ret);
                if (length < sizeof(ret->new_members))
                        length += (size_t)snprintf(ret->new_members + length,
                                                   sizeof(ret->new_members) - length, "%s%s",
                                                   length > 0 ? ", " : "", member->name);
        }
}

static bool old_members_stay(struct part_list *a, struct part_list *b)
{
        for (size_t i = 0; i < a->n_items; i++) {
                struct debug_named *other = find_part(b, a->items[i].name);

                if (!other || !describe_alike(&a->items[i].die, &other->die, true, false, 0))
                        return false;
        }
        return true;
}

bool debug_type_differs(Dwarf_Die *a, Dwarf_Die *b, struct debug_difference *ret)
{
        _cleanup_(part_list_done) struct part_list x = { 0 }, y = { 0 };

        *ret = (struct debug_difference){ .old_size = (uint64_t)size_of(a),
                                          .new_size = (uint64_t)size_of(b) };
        if (!list_parts(a, &x) || !list_parts(b, &y)) {
                snprintf(ret->what, sizeof(ret->what), "there is no memory to compare it");
                return true;
        }
        if (!find_difference(&x, &y, ret)) {
                snprintf(ret->what, sizeof(ret->what), "its size is %llu bytes instead of %llu",
                         (unsigned long long)ret->new_size, (unsigned long long)ret->old_size);
                ret->first_difference = MIN(ret->old_size, ret->new_size);
                return ret->old_size != ret->new_size;
        }
        find_new_members(&x, &y, ret);
        ret->only_new = ret->new_members[0] && old_members_stay(&x, &y);
        return true;
}

/* --- Signatures and variables ------------------------------------------------------------ */

static bool next_parameter(Dwarf_Die *function, bool *started, Dwarf_Die *child)
{
        int r = *started ? dwarf_siblingof(child, child) : dwarf_child(function, child);

        *started = true;
        while (r == 0 && dwarf_tag(child) != DW_TAG_formal_parameter &&
               dwarf_tag(child) != DW_TAG_unspecified_parameters)
                r = dwarf_siblingof(child, child);
        return r == 0;
}

static bool signature_differs(Dwarf_Die *a, Dwarf_Die *b, char *what, size_t what_size,
                              unsigned depth)
{
        bool started_a = false, started_b = false;
        Dwarf_Die p, q;

        if (!describe_alike(a, b, false, true, depth)) {
                snprintf(what, what_size, "it returns another type");
                return true;
        }
        for (unsigned i = 1;; i++) {
                bool more_a = next_parameter(a, &started_a, &p);
                bool more_b = next_parameter(b, &started_b, &q);

                if (!more_a && !more_b)
                        return false;
                if (more_a != more_b)
                        snprintf(what, what_size, "it has %s parameters",
                                 more_b ? "more" : "fewer");
                else if (!describe_alike(&p, &q, false, true, depth))
                        snprintf(what, what_size, "parameter %u has another type", i);
                else
                        continue;
                return true;
        }
}

bool debug_signature_differs(Dwarf_Die *a, Dwarf_Die *b, char *what, size_t what_size)
{
        return signature_differs(a, b, what, what_size, 0);
}

bool debug_variable_differs(Dwarf_Die *a, Dwarf_Die *b)
{
        return !describe_alike(a, b, false, false, 0);
}
