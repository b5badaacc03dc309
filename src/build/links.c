/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules, in the order they are asked:
 *
 * - A call of a function that the patch replaces goes to the new one; its address, where it is
 *   taken or may be interposed, stays that of the original, so that pointers keep comparing equal
 *   and stay valid after a rollback.
 * - Functions and variables that the module has are used where they are.
 * - Strings, unnamed constants and jump tables are copied; what has no twin is new.
 * - What the module gets from others it gets through its own slots, so that lazy binding and
 *   interposition keep their meaning; a symbol without a slot is a new import.
 */
#include "build/links.h"

#include <stdio.h>
#include <string.h>
#include "base/array.h"
#include "build/changes.h"
#include "build/imports.h"
#include "build/locate.h"
#include "build/thread-local.h"

#define SHADOW_ROOT "suture_shadow_root"

struct binder {
        struct extraction *extraction;
        struct atom *from;
        const struct reference *reference;
        struct error *err;
};

#define REFUSE(binder, code, ...)                                                             \
        (report_finding((binder)->extraction->report, code, true,                             \
                        changes_where((binder)->from, (char[CHANGES_WHERE_SIZE]){ 0 }),       \
                        __VA_ARGS__)                                                          \
                 ? 0                                                                          \
                 : error_no_memory((binder)->err))

int extraction_take(struct extraction *extraction, struct atom *atom, const char *why,
                    struct error *err)
{
        struct atom **slot;

        if (atom->taken)
                return 0;
        slot = ARRAY_PUSH(extraction->taken, extraction->n_taken);
        if (!slot)
                return error_no_memory(err);
        *slot = atom;
        atom->taken = true;
        if (!atom->why)
                atom->why = why;
        return 0;
}

/* --- Links ------------------------------------------------------------------------------- */

static struct link *add_link(struct binder *binder, enum link_kind kind)
{
        struct extraction *extraction = binder->extraction;
        struct link *link = ARRAY_PUSH(extraction->links, extraction->n_links);

        if (link)
                *link = (struct link){
                        .from = binder->from,
                        .reference = binder->reference,
                        .kind = kind,
                        .type = binder->reference->type,
                        .delta = binder->reference->delta,
                };
        return link;
}

static int link_atom(struct binder *binder, struct atom *atom, const char *why)
{
        struct link *link = add_link(binder, LINK_ATOM);

        if (!link)
                return error_no_memory(binder->err);
        link->atom = atom;
        return extraction_take(binder->extraction, atom, why, binder->err);
}

static int link_value(struct binder *binder, uint64_t value)
{
        struct link *link = add_link(binder, LINK_VALUE);

        if (!link)
                return error_no_memory(binder->err);
        link->value = value;
        return 0;
}

static bool text_equal(const char *a, const char *b)
{
        return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool outside_name_taken(const struct extraction *extraction, const char *name)
{
        for (size_t i = 0; i < extraction->n_outsides; i++)
                if (strcmp(extraction->outsides[i].name, name) == 0)
                        return true;
        return false;
}

/* "name", or "name@2" if that stands for something else already. */
static char *outside_name(const struct extraction *extraction, const char *name)
{
        char *unique = strdup(name);

        for (unsigned i = 2; unique && outside_name_taken(extraction, unique); i++) {
                free(unique);
                if (asprintf(&unique, "%s@%u", name, i) < 0)
                        return NULL;
        }
        return unique;
}

static int link_outside(struct binder *binder, const char *name, const struct outside *wanted)
{
        struct extraction *extraction = binder->extraction;
        struct link *link = add_link(binder, LINK_OUTSIDE);
        struct outside *outside = NULL;

        if (!link)
                return error_no_memory(binder->err);
        for (size_t i = 0; i < extraction->n_outsides && !outside; i++) {
                struct outside *other = &extraction->outsides[i];

                if (other->kind == wanted->kind && other->address == wanted->address &&
                    text_equal(other->lookup, wanted->lookup))
                        outside = other;
        }
        if (!outside) {
                char *unique = outside_name(extraction, name);

                outside = unique ? ARRAY_PUSH(extraction->outsides, extraction->n_outsides) : NULL;
                if (!outside) {
                        free(unique);
                        return error_no_memory(binder->err);
                }
                *outside = *wanted;
                outside->name = unique;
                if (wanted->version) {
                        outside->version = strdup(wanted->version);
                        if (!outside->version)
                                return error_no_memory(binder->err);
                }
        }
        link->outside = (size_t)(outside - extraction->outsides);
        /* A direct call needs the form that may go through a stub. */
        if (outside->kind != PATCH_SYMBOL_LOCAL && link->type == R_X86_64_PC32 &&
            binder->reference->use == CODE_USE_BRANCH)
                link->type = R_X86_64_PLT32;
        return 0;
}

static int link_local(struct binder *binder, const char *name, uint64_t address)
{
        return link_outside(binder, name, &(struct outside){ .kind = PATCH_SYMBOL_LOCAL,
                                                             .address = address });
}

/* --- Names ------------------------------------------------------------------------------- */

static bool wants_slot(const struct reference *reference)
{
        return relocation_is_slot(reference->type) || reference->type == R_X86_64_PLT32 ||
               (reference->type == R_X86_64_PC32 && reference->use == CODE_USE_BRANCH);
}

/* The module's own definition of a global name. */
static const struct shipped_symbol *own_definition(const struct extraction *extraction,
                                                   const char *name)
{
        size_t n;
        const struct shipped_symbol *symbols = shipped_find(extraction->shipped, name, &n);
        const struct shipped_symbol *found = NULL;

        for (size_t i = 0; i < n; i++) {
                if (symbols[i].type == STT_TLS)
                        continue;
                if (symbols[i].bind != STB_LOCAL)
                        return &symbols[i];
                /* a hidden one is local in the linked module; it has no competitor then */
                if (found && found->address != symbols[i].address)
                        return NULL;
                found = &symbols[i];
        }
        return found;
}

/* Where the dynamic linker has put what the resolver at this address chose. */
static const struct shipped_slot *chosen_slot(const struct shipped *shipped, uint64_t resolver)
{
        for (size_t i = 0; i < shipped->n_slots; i++)
                if (shipped->slots[i].type == R_X86_64_IRELATIVE &&
                    (uint64_t)shipped->slots[i].addend == resolver)
                        return &shipped->slots[i];
        return NULL;
}

static int link_import(struct binder *binder, const char *name, const char *version)
{
        const struct reference *reference = binder->reference;

        if (!wants_slot(reference) && reference->type != R_X86_64_64)
                return REFUSE(binder, "SB108",
                              "the address of %s, which is in another module, is used directly",
                              name);
        return link_outside(binder, name, &(struct outside){ .kind = PATCH_SYMBOL_IMPORT,
                                                             .lookup = name,
                                                             .version = (char *)version });
}

static int link_new_import(struct binder *binder, const char *name)
{
        _cleanup_free_ char *version = NULL;
        int r = import_find_version(binder->extraction->target, binder->extraction->shipped, name,
                                    &version, binder->err);

        if (r < 0)
                return r;
        if (r == IMPORT_NOWHERE)
                return REFUSE(binder, "SB114",
                              "%s is neither in the module nor in the libraries it needs", name);
        return link_import(binder, name, version);
}

/* A name that is defined in the module, outside of the compared units, or in another module. */
static int link_name(struct binder *binder, const char *name, bool hidden)
{
        const struct shipped *shipped = binder->extraction->shipped;
        const struct shipped_symbol *own = own_definition(binder->extraction, name);
        const struct shipped_dynamic *dynamic = shipped_find_dynamic(shipped, name);
        const struct shipped_slot *slot =
                hidden ? NULL
                       : shipped_find_slot(shipped, name, R_X86_64_JUMP_SLOT, R_X86_64_GLOB_DAT);
        bool interposable = !hidden && !shipped->is_program && !shipped->symbolic && dynamic &&
                            dynamic->defined;

        if (slot && wants_slot(binder->reference))
                return link_outside(binder, name,
                                    &(struct outside){ .kind = PATCH_SYMBOL_SLOT,
                                                       .address = slot->address,
                                                       .lookup = slot->name });
        if (own && own->type == STT_GNU_IFUNC && binder->reference->use == CODE_USE_BRANCH)
                slot = chosen_slot(shipped, own->address);
        if (own && own->type == STT_GNU_IFUNC && slot)
                return link_outside(binder, name, &(struct outside){ .kind = PATCH_SYMBOL_SLOT,
                                                                     .address = slot->address,
                                                                     .lookup = own->name });
        if (own && own->type == STT_GNU_IFUNC)
                return REFUSE(binder, "SB111",
                              "%s is an indirect function that the module has no slot for", name);
        if (own && interposable && wants_slot(binder->reference))
                return link_import(binder, name, dynamic->version);
        if (own)
                return link_local(binder, name, own->address);
        if (dynamic && dynamic->address != 0) /* a copied variable, or a canonical PLT entry */
                return link_local(binder, name, dynamic->address);
        return link_new_import(binder, name);
}

/* --- Thread-local variables -------------------------------------------------------------- */

static const struct shipped_symbol *thread_symbol(const struct extraction *extraction,
                                                  const char *name)
{
        size_t n;
        const struct shipped_symbol *symbols = shipped_find(extraction->shipped, name, &n);
        const struct shipped_symbol *found = NULL;

        for (size_t i = 0; i < n; i++) {
                if (symbols[i].type != STT_TLS)
                        continue;
                if (found)
                        return NULL;
                found = &symbols[i];
        }
        return found;
}

static uint64_t read_word(const struct shipped *shipped, uint64_t address)
{
        const uint8_t *bytes = shipped_at(shipped, address, 8);
        uint64_t value = UINT64_MAX;

        if (bytes)
                memcpy(&value, bytes, sizeof(value));
        return value;
}

/* A pair of slots (module, offset), by symbol or, for a local one, by the offset beside it. */
static const struct shipped_slot *thread_pair(const struct shipped *shipped, const char *name,
                                              uint64_t offset)
{
        for (size_t i = 0; i < shipped->n_slots; i++) {
                const struct shipped_slot *slot = &shipped->slots[i];

                if (slot->type != R_X86_64_DTPMOD64)
                        continue;
                if (name && slot->name[0] ? strcmp(slot->name, name) == 0
                                          : !slot->name[0] &&
                                                    read_word(shipped, slot->address + 8) == offset)
                        return slot;
        }
        return NULL;
}

/* One of type TPOFF64 (the distance itself) or TLSDESC (a function that tells it). */
static const struct shipped_slot *thread_offset_slot(const struct shipped *shipped, uint32_t type,
                                                     const char *name, uint64_t offset)
{
        for (size_t i = 0; i < shipped->n_slots; i++) {
                const struct shipped_slot *slot = &shipped->slots[i];

                if (slot->type == type &&
                    (slot->name[0] ? strcmp(slot->name, name) == 0
                                   : (uint64_t)slot->addend == offset))
                        return slot;
        }
        return NULL;
}

/* Turned into a plain reference to the slot, which the module has for its own code. */
static int link_thread_slot(struct binder *binder, const char *name,
                            const struct shipped_slot *slot)
{
        int r;

        if (!slot)
                return REFUSE(binder, "SB118", "the module has no slot for %s", name);
        r = link_local(binder, slot->name[0] ? slot->name : "thread-local", slot->address);
        if (r == 0) {
                struct link *link = &binder->extraction->links[binder->extraction->n_links - 1];

                link->type = R_X86_64_PC32;
                link->delta = 0;
        }
        return r;
}

/* The distance from the thread pointer, to which the block extends. */
static int link_thread_value(struct binder *binder, uint64_t offset)
{
        const struct shipped *shipped = binder->extraction->shipped;
        uint64_t block = ROUND_UP(shipped->thread_size, shipped->thread_alignment);

        return link_value(binder, offset - block);
}

/* True if the program's own variable can be reached directly, in place of through a slot. */
static bool is_rewritable(const struct binder *binder)
{
        const struct atom *from = binder->from;

        return binder->extraction->shipped->is_program && from->kind == ATOM_CODE &&
               binder->reference->delta == 0 &&
               thread_access_rewrite((uint8_t *)(uintptr_t)atom_data(from), from->size,
                                     binder->reference->offset, binder->reference->type, NULL);
}

static int link_thread_access(struct binder *binder, const char *name,
                              const struct shipped_symbol *symbol,
                              const struct shipped_slot *slot)
{
        int r;

        if (slot || !symbol || !is_rewritable(binder))
                return link_thread_slot(binder, name, slot);
        r = binder->reference->type == R_X86_64_TLSLD
                    ? link_value(binder, 0)
                    : link_thread_value(binder, symbol->address);
        if (r == 0)
                binder->extraction->links[binder->extraction->n_links - 1].rewritten = true;
        return r;
}

/* The call that belongs to an access which has been rewritten, and is part of it. */
static bool is_rewritten_call(const struct binder *binder)
{
        const struct extraction *extraction = binder->extraction;
        const struct link *last = extraction->n_links > 0
                                          ? &extraction->links[extraction->n_links - 1]
                                          : NULL;

        return last && last->from == binder->from && last->rewritten &&
               last->reference->type != R_X86_64_GOTTPOFF &&
               binder->reference->offset - last->reference->offset <= 8 &&
               strcmp(binder->reference->symbol, "__tls_get_addr") == 0;
}

static int link_thread(struct binder *binder)
{
        const struct shipped *shipped = binder->extraction->shipped;
        const struct reference *reference = binder->reference;
        const struct atom *target = reference->target;
        const char *name = !target ? reference->symbol
                                   : atom_label(target->twin ? target->twin : target);
        const struct shipped_symbol *symbol = thread_symbol(binder->extraction, name);
        uint64_t offset = symbol ? symbol->address : UINT64_MAX;
        const struct shipped_slot *block = thread_pair(shipped, NULL, 0);

        switch (reference->type) {
        case R_X86_64_TLSLD:
                return link_thread_access(binder, name, symbol, block);
        case R_X86_64_TLSGD:
                return link_thread_access(binder, name, symbol,
                                          thread_pair(shipped, name, offset));
        case R_X86_64_GOTTPOFF:
                return link_thread_access(binder, name, symbol,
                                          thread_offset_slot(shipped, R_X86_64_TPOFF64, name,
                                                             offset));
        case R_X86_64_GOTPC32_TLSDESC:
                return link_thread_slot(binder, name, thread_offset_slot(shipped, R_X86_64_TLSDESC,
                                                                         name, offset));
        case R_X86_64_DTPOFF32:
                if (symbol && !block && shipped->is_program)
                        return link_thread_value(binder, offset + (uint64_t)reference->delta);
                if (symbol)
                        return link_value(binder, offset + (uint64_t)reference->delta);
                break;
        case R_X86_64_TPOFF32: /* the block ends where the thread pointer points to */
                if (symbol && shipped->is_program)
                        return link_thread_value(binder, offset + (uint64_t)reference->delta);
                break;
        default:
                break;
        }
        return REFUSE(binder, "SB118", "the thread-local variable %s can't be reached this way",
                      name);
}

/* --- Atoms ------------------------------------------------------------------------------- */

static bool is_replaced(const struct extraction *extraction, const struct atom *fixed)
{
        for (size_t i = 0; i < extraction->n_replaced; i++)
                if (extraction->replaced[i].fixed == fixed)
                        return true;
        return false;
}

/*
 * The name by which the reference goes, if another module may put its own definition before it;
 * else NULL. An alias counts, not the first name of what it stands for.
 */
static const char *interposable_name(const struct reference *reference)
{
        return reference->symbol[0] && reference->symbol_global && !reference->symbol_hidden &&
                               wants_slot(reference)
                       ? reference->symbol
                       : NULL;
}

static int link_original(struct binder *binder, const struct atom *target)
{
        const char *name = interposable_name(binder->reference);

        return name ? link_name(binder, name, false)
                    : link_local(binder, target->name, target->twin->address);
}

static bool has_slot(const struct extraction *extraction, const char *name)
{
        return shipped_find_slot(extraction->shipped, name, R_X86_64_JUMP_SLOT,
                                 R_X86_64_GLOB_DAT) != NULL;
}

/* Between the parts of one function: its body, its cold part, its jump tables. */
static bool is_within_function(const struct binder *binder, const struct atom *target)
{
        const struct atom *from = binder->from;

        if (!target->taken)
                return target->parent && target->parent->taken;
        if (target->parent || from->parent == target)
                return true;
        if (from == target)
                return binder->reference->delta != 0;
        return from->kind == ATOM_CONSTANT && !from->name &&
               (binder->reference->type != R_X86_64_64 || binder->reference->delta != 0);
}

static int link_replaced(struct binder *binder, struct atom *target)
{
        const char *name = interposable_name(binder->reference);

        if (binder->reference->use == CODE_USE_BRANCH &&
            !(name && has_slot(binder->extraction, name)))
                return link_atom(binder, target, NULL);
        return link_original(binder, target);
}

static int link_code(struct binder *binder, struct atom *target)
{
        const struct shipped *shipped = binder->extraction->shipped;
        const struct atom *twin = target->twin;
        uint64_t address;

        if (is_within_function(binder, target))
                return link_atom(binder, target, "part of a function");
        if (!twin)
                return link_atom(binder, target, "new function");
        if (binder->reference->symbol_indirect)
                return link_name(binder, binder->reference->symbol, false);
        if (target->indirect)
                return link_name(binder, target->name, false);
        if (is_replaced(binder->extraction, target))
                return link_replaced(binder, target);
        if (binder->reference->delta != 0)
                return REFUSE(binder, "SB124", "it refers to the inside of %s",
                              atom_label(target));
        if (twin->found)
                return link_original(binder, target);
        if (!target->differs && target->global && own_definition(binder->extraction, target->name))
                return link_name(binder, target->name, target->hidden);
        if (!target->differs && locate_by_name(twin, shipped, &address))
                return link_local(binder, target->name, address);
        return link_atom(binder, target, "not in the module by itself");
}

/* True if the original has a variable of that name left that may be meant. */
static bool has_unmatched_namesake(const struct binder *binder, const struct atom *target)
{
        const struct extraction *extraction = binder->extraction;

        for (size_t i = 0; i < extraction->n_units; i++) {
                const struct object *original = extraction->originals[i];

                if (extraction->fixed[i] != target->object)
                        continue;
                for (size_t j = 0; j < original->n_atoms; j++) {
                        const struct atom *atom = &original->atoms[j];

                        if (!atom->twin && atom->base && target->base && atom->kind != ATOM_CODE &&
                            strcmp(atom->base, target->base) == 0)
                                return true;
                }
        }
        return false;
}

static int link_variable(struct binder *binder, struct atom *target)
{
        const struct atom *twin = target->twin;

        if (twin && twin->found)
                return link_original(binder, target);
        if (twin && target->global && own_definition(binder->extraction, target->name))
                return link_name(binder, target->name, target->hidden);
        if (twin || !target->name || has_unmatched_namesake(binder, target))
                return REFUSE(binder, "SB115", "it is not known which variable %s of the module "
                              "is meant", atom_label(target));
        return link_atom(binder, target, "new variable");
}

static int link_constant(struct binder *binder, struct atom *target)
{
        const struct atom *twin = target->twin;

        if (target->name && twin && twin->found && !target->differs)
                return link_original(binder, target);
        return link_atom(binder, target, twin && target->differs ? "changed constant" : "constant");
}

/* The unit that defines a name which another unit uses. */
static struct atom *find_in_units(const struct extraction *extraction, const char *name)
{
        for (size_t i = 0; i < extraction->n_units; i++) {
                struct atom *atom = object_find(extraction->fixed[i], name, true);

                if (atom)
                        return atom;
        }
        return NULL;
}

static int link_to(struct binder *binder, struct atom *target)
{
        switch (target->kind) {
        case ATOM_CODE:
                return link_code(binder, target);
        case ATOM_CONSTANT:
                return link_constant(binder, target);
        case ATOM_DATA:
        case ATOM_BSS:
                return link_variable(binder, target);
        default:
                return REFUSE(binder, "SB108", "it refers to section %s", target->section->name);
        }
}

static bool is_supported(uint32_t type)
{
        switch (type) {
        case R_X86_64_64:
        case R_X86_64_PC32:
        case R_X86_64_PC64:
        case R_X86_64_PLT32:
        case R_X86_64_32:
        case R_X86_64_32S:
                return true;
        default:
                return relocation_is_slot(type);
        }
}

int links_bind(struct extraction *extraction, struct atom *from,
               const struct reference *reference, struct error *err)
{
        struct binder binder = { extraction, from, reference, err };
        struct atom *target = reference->target;

        if (relocation_is_thread(reference->type))
                return link_thread(&binder);
        if (is_rewritten_call(&binder))
                return 0;
        if (!is_supported(reference->type))
                return REFUSE(&binder, "SB108", "relocation type %u is not supported",
                              reference->type);
        if (!target && strcmp(reference->symbol, SHADOW_ROOT) == 0)
                return link_outside(&binder, SHADOW_ROOT,
                                    &(struct outside){ .kind = PATCH_SYMBOL_RUNTIME });
        if (!target && reference->symbol[0])
                target = find_in_units(extraction, reference->symbol);
        if (target)
                return link_to(&binder, target);
        if (!reference->symbol[0])
                return REFUSE(&binder, "SB108", "it refers to a section that is not loaded");
        return link_name(&binder, reference->symbol, reference->symbol_hidden);
}
