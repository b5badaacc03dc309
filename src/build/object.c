/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cutting an object file into atoms. With -ffunction-sections -fdata-sections nearly every
 * section is one atom. The others are: sections of mergeable strings and constants, which are cut
 * by their contents; and sections without symbols that hold unnamed constants (initial values of
 * local arrays), which are cut where they are referred to.
 */
#include "build/object.h"

#include <errno.h>
#include <string.h>
#include "base/array.h"
#include "base/cursor.h"
#include "base/file.h"
#include "build/raw-references.h"

enum { MAX_OBJECT_BYTES = 512 << 20, MAX_ALIGNMENT = 64 << 10 };

/* --- Relocation types (x86-64 psABI 1.0, table 4.9) --------------------------------------- */

size_t relocation_size(uint32_t type)
{
        switch (type) {
        case R_X86_64_64:
        case R_X86_64_PC64:
        case R_X86_64_DTPOFF64:
        case R_X86_64_TPOFF64:
        case R_X86_64_GOTOFF64:
        case R_X86_64_SIZE64:
                return 8;
        case R_X86_64_PC32:
        case R_X86_64_PLT32:
        case R_X86_64_32:
        case R_X86_64_32S:
        case R_X86_64_GOTPCREL:
        case R_X86_64_GOTPCRELX:
        case R_X86_64_REX_GOTPCRELX:
        case R_X86_64_GOTTPOFF:
        case R_X86_64_TPOFF32:
        case R_X86_64_DTPOFF32:
        case R_X86_64_TLSGD:
        case R_X86_64_TLSLD:
        case R_X86_64_GOTPC32_TLSDESC:
        case R_X86_64_SIZE32:
        case R_X86_64_GOTPC32:
                return 4;
        default:
                return 0;
        }
}

bool relocation_is_relative(uint32_t type)
{
        switch (type) {
        case R_X86_64_PC32:
        case R_X86_64_PC64:
        case R_X86_64_PLT32:
        case R_X86_64_TLSGD:
        case R_X86_64_TLSLD:
        case R_X86_64_GOTTPOFF:
        case R_X86_64_GOTPC32_TLSDESC:
                return true;
        default:
                return relocation_is_slot(type);
        }
}

bool relocation_is_slot(uint32_t type)
{
        return type == R_X86_64_GOTPCREL || type == R_X86_64_GOTPCRELX ||
               type == R_X86_64_REX_GOTPCRELX;
}

bool relocation_is_thread(uint32_t type)
{
        switch (type) {
        case R_X86_64_TLSGD:
        case R_X86_64_TLSLD:
        case R_X86_64_GOTTPOFF:
        case R_X86_64_TPOFF32:
        case R_X86_64_TPOFF64:
        case R_X86_64_DTPOFF32:
        case R_X86_64_DTPOFF64:
        case R_X86_64_GOTPC32_TLSDESC:
        case R_X86_64_TLSDESC_CALL:
                return true;
        default:
                return false;
        }
}

/* --- Names ------------------------------------------------------------------------------- */

char *object_base_name(const char *name, bool *ret_numbered)
{
        char *base = strdup(name);
        const char *from = name;
        char *to = base;

        *ret_numbered = false;
        if (!base)
                return NULL;
        while (*from) {
                size_t digits = *from == '.' && from != name ? strspn(from + 1, "0123456789") : 0;

                if (digits > 0 && (from[1 + digits] == '.' || from[1 + digits] == '\0')) {
                        *ret_numbered = true;
                        from += 1 + digits;
                        continue;
                }
                *to++ = *from++;
        }
        *to = '\0';
        return base;
}

/* Labels that the compiler makes for itself: .LC7, .L12. */
static bool is_local_label(const char *name)
{
        return name[0] == '.' && name[1] == 'L';
}

static bool begins_with(const char *text, const char *prefix)
{
        return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* "NAME" or "NAME.something" */
static bool is_section_named(const char *section, const char *name)
{
        size_t length = strlen(name);

        return strncmp(section, name, length) == 0 &&
               (section[length] == '\0' || section[length] == '.');
}

/* --- Sections ---------------------------------------------------------------------------- */

/* 0 for sections that are not part of what is compared. */
enum atom_kind object_section_kind(const struct elf_section *section)
{
        static const char *const setup[] = {
                ".init_array", ".fini_array", ".preinit_array", ".ctors", ".dtors",
        };
        static const char *const ignored[] = {
                ".eh_frame", ".gcc_except_table", ".note",
        };

        if (!section->name || !(section->flags & SHF_ALLOC) || section->size == 0)
                return 0;
        if (begins_with(section->name, ".suture."))
                return ATOM_NOTE;
        for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
                if (is_section_named(section->name, ignored[i]))
                        return 0;
        for (size_t i = 0; i < ARRAY_SIZE(setup); i++)
                if (is_section_named(section->name, setup[i]))
                        return ATOM_SETUP;
        if (section->type != SHT_PROGBITS && section->type != SHT_NOBITS)
                return 0;
        if (section->flags & SHF_EXECINSTR)
                return section->data ? ATOM_CODE : 0;
        if (section->flags & SHF_TLS)
                return ATOM_THREAD;
        if (!(section->flags & SHF_WRITE) || is_section_named(section->name, ".data.rel.ro"))
                return section->data ? ATOM_CONSTANT : 0;
        return section->type == SHT_NOBITS ? ATOM_BSS : ATOM_DATA;
}

static bool is_mergeable(const struct elf_section *section)
{
        return (section->flags & SHF_MERGE) && section->entry_size > 0 && section->data &&
               section->size % section->entry_size == 0;
}

/* Unnamed constants of several functions, one behind the other. */
static bool is_pool(const struct elf_section *section)
{
        return strcmp(section->name, ".rodata") == 0 ||
               strcmp(section->name, ".data.rel.ro") == 0 ||
               strcmp(section->name, ".data.rel.ro.local") == 0 ||
               strcmp(section->name, ".data") == 0 || strcmp(section->name, ".bss") == 0;
}

int object_is_bad(const struct object *object, struct error *err, const char *what)
{
        return error_set(err, EXIT_CODE_ERROR, 0, "compile it again",
                         "%s can't be used: %s", object->path, what);
}

static int read_sections(struct object *object, struct error *err)
{
        const struct elf_view *view = &object->view;

        object->sections = calloc(view->n_sections + 1, sizeof(*object->sections));
        object->first_atom = calloc(view->n_sections + 1, sizeof(*object->first_atom));
        if (!object->sections || !object->first_atom)
                return error_no_memory(err);
        for (size_t i = 1; i < view->n_sections; i++) {
                struct elf_section *section = &object->sections[i];

                if (!elf_view_section(view, i, section))
                        return object_is_bad(object, err, "it has a section outside of the file");
                if ((section->flags & SHF_ALLOC) && section->alignment > MAX_ALIGNMENT)
                        return object_is_bad(object, err, "a section is aligned to more than 64 KiB");
                if (begins_with(section->name, ".gnu.lto_"))
                        object->link_time = true;
                if (object_section_kind(section) == ATOM_CODE)
                        object->has_code = true;
        }
        return 0;
}

static int read_symbols(struct object *object, struct error *err)
{
        if (!elf_view_find_section_type(&object->view, SHT_SYMTAB, &object->symbol_table))
                return 0;
        object->n_symbols = elf_view_symbol_count(&object->symbol_table);
        object->symbols = calloc(object->n_symbols + 1, sizeof(*object->symbols));
        if (!object->symbols)
                return error_no_memory(err);
        for (size_t i = 0; i < object->n_symbols; i++)
                if (!elf_view_symbol(&object->view, &object->symbol_table, i,
                                     &object->symbols[i]))
                        return object_is_bad(object, err, "it has a broken symbol");
        return 0;
}

/* --- Cutting ----------------------------------------------------------------------------- */

/* A place where an atom begins; those with a symbol count more than those without. */
struct cut {
        size_t section;
        uint64_t start;
        const struct elf_symbol *symbol;
};

struct cut_list {
        struct cut *items;
        size_t n_items;
};

static void cut_list_done(struct cut_list *list)
{
        free(list->items);
}

static int symbol_rank(const struct elf_symbol *symbol)
{
        if (!symbol || is_local_label(symbol->name))
                return 0;
        return symbol->bind == STB_LOCAL ? 1 : symbol->bind == STB_WEAK ? 2 : 3;
}

static int compare_cuts(const void *a, const void *b)
{
        const struct cut *x = a, *y = b;

        if (x->section != y->section)
                return x->section < y->section ? -1 : 1;
        if (x->start != y->start)
                return x->start < y->start ? -1 : 1;
        if (symbol_rank(x->symbol) != symbol_rank(y->symbol))
                return symbol_rank(y->symbol) - symbol_rank(x->symbol);
        if (x->symbol && y->symbol)
                return x->symbol->index < y->symbol->index ? -1 : 1;
        return 0;
}

static bool add_cut(struct cut_list *list, size_t section, uint64_t start,
                    const struct elf_symbol *symbol)
{
        struct cut *cut = ARRAY_PUSH(list->items, list->n_items);

        if (cut)
                *cut = (struct cut){ section, start, symbol };
        return cut;
}

static bool cut_mergeable(struct cut_list *list, const struct elf_section *section)
{
        const uint64_t unit = section->entry_size;
        bool at_start = true;

        for (uint64_t at = 0; at < section->size; at += unit) {
                bool is_zero = true;

                if (at_start && !add_cut(list, section->index, at, NULL))
                        return false;
                for (uint64_t i = 0; i < unit; i++)
                        is_zero = is_zero && section->data[at + i] == 0;
                at_start = !(section->flags & SHF_STRINGS) || is_zero;
        }
        return true;
}

static bool is_cutting_symbol(const struct elf_symbol *symbol)
{
        switch (symbol->type) {
        case STT_FUNC:
        case STT_OBJECT:
        case STT_TLS:
        case STT_GNU_IFUNC:
                return true;
        case STT_NOTYPE:
                return symbol->name[0] != '\0';
        default:
                return false;
        }
}

static int find_cuts(const struct object *object, const struct raw_list *raws,
                     struct cut_list *list, struct error *err)
{
        bool ok = true;

        for (size_t i = 1; ok && i < object->view.n_sections; i++) {
                const struct elf_section *section = &object->sections[i];

                if (!object_section_kind(section))
                        continue;
                ok = is_mergeable(section) ? cut_mergeable(list, section)
                                           : add_cut(list, i, 0, NULL);
        }
        for (size_t i = 1; ok && i < object->n_symbols; i++) {
                const struct elf_symbol *symbol = &object->symbols[i];
                const struct elf_section *section;

                if (symbol->section == SHN_UNDEF || symbol->section >= object->view.n_sections ||
                    !is_cutting_symbol(symbol))
                        continue;
                section = &object->sections[symbol->section];
                if (object_section_kind(section) && symbol->value < section->size &&
                    !(is_mergeable(section) && is_local_label(symbol->name)))
                        ok = add_cut(list, symbol->section, symbol->value, symbol);
        }
        for (size_t i = 0; ok && i < raws->n_items; i++) {
                const struct raw *raw = &raws->items[i];
                const struct elf_section *section = &object->sections[raw->target_section];

                if (raw->target_section != 0 && object_section_kind(section) && is_pool(section) &&
                    raw->target_offset >= 0 && (uint64_t)raw->target_offset < section->size)
                        ok = add_cut(list, raw->target_section, (uint64_t)raw->target_offset,
                                     NULL);
        }
        if (!ok)
                return error_no_memory(err);
        if (list->n_items > 0)
                qsort(list->items, list->n_items, sizeof(*list->items), compare_cuts);
        return 0;
}

static int name_atom(struct atom *atom, const struct elf_symbol *symbol, struct error *err)
{
        if (!symbol || is_local_label(symbol->name) || symbol->name[0] == '\0')
                return 0;
        atom->name = symbol->name;
        atom->global = symbol->bind != STB_LOCAL;
        atom->hidden = symbol->visibility == STV_HIDDEN || symbol->visibility == STV_INTERNAL;
        atom->indirect = symbol->type == STT_GNU_IFUNC;
        atom->base = object_base_name(symbol->name, &atom->numbered);
        return atom->base ? 0 : error_no_memory(err);
}

/* A reference into the middle of a variable in a pool cuts nothing. */
static bool is_inside_symbol(const struct atom *last, const struct cut *cut,
                             const struct elf_symbol *last_symbol)
{
        return !cut->symbol && last_symbol && last->section &&
               last->section->index == cut->section &&
               cut->start < last_symbol->value + MAX(last_symbol->size, UINT64_C(1));
}

/*
 * Variables have a symbol. What has none in a section of data is a constant of the compiler: the
 * initial value of a local array of pointers, which it does not take the trouble to protect.
 */
static enum atom_kind kind_of(const struct atom *atom)
{
        enum atom_kind kind = object_section_kind(atom->section);

        return kind == ATOM_DATA && !atom->name ? ATOM_CONSTANT : kind;
}

/* An atom ends where the next begins, but what only fills the gap between functions is of neither. */
static void end_atom(struct atom *atom, uint64_t next, const struct elf_symbol *symbol)
{
        uint64_t size = next - atom->start, padding;

        atom->size = size;
        if (atom->kind != ATOM_CODE || !symbol || symbol->size == 0 || symbol->size >= size)
                return;
        padding = size - symbol->size;
        if (code_is_padding(atom->section->data + atom->start + symbol->size, padding, padding))
                atom->size = symbol->size;
}

static int add_atoms(struct object *object, const struct cut_list *cuts, struct error *err)
{
        const struct elf_symbol *last_symbol = NULL;
        struct atom *last = NULL;

        for (size_t i = 0; i < cuts->n_items; i++) {
                const struct cut *cut = &cuts->items[i];
                const struct elf_section *section = &object->sections[cut->section];
                bool same_section = last && last->section == section;

                if (same_section &&
                    (last->start == cut->start || is_inside_symbol(last, cut, last_symbol)))
                        continue;
                if (same_section)
                        end_atom(last, cut->start, last_symbol);
                else
                        object->first_atom[cut->section] = object->n_atoms;
                last = ARRAY_PUSH(object->atoms, object->n_atoms);
                if (!last)
                        return error_no_memory(err);
                last->object = object;
                last->section = section;
                last->start = cut->start;
                last->size = section->size - cut->start;
                last_symbol = cut->symbol;
                if (name_atom(last, cut->symbol, err) < 0)
                        return -ENOMEM;
                last->kind = kind_of(last);
        }
        return 0;
}

/* Variables that the linker gives a place (-fcommon). */
static int add_common(struct object *object, struct error *err)
{
        for (size_t i = 1; i < object->n_symbols; i++) {
                const struct elf_symbol *symbol = &object->symbols[i];
                struct atom *atom;

                if (symbol->section != SHN_COMMON || !symbol->name[0] ||
                    is_local_label(symbol->name))
                        continue;
                if (symbol->value > MAX_ALIGNMENT)
                        return object_is_bad(object, err, "a variable is aligned to more than 64 KiB");
                atom = ARRAY_PUSH(object->atoms, object->n_atoms);
                if (!atom)
                        return error_no_memory(err);
                atom->object = object;
                atom->size = symbol->size;
                atom->start = symbol->value; /* its alignment */
                atom->kind = symbol->type == STT_TLS ? ATOM_THREAD : ATOM_BSS;
                if (name_atom(atom, symbol, err) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static void mark_shared_code(struct object *object)
{
        for (size_t i = 0; i + 1 < object->n_atoms; i++) {
                struct atom *a = &object->atoms[i], *b = a + 1;

                if (a->kind == ATOM_CODE && a->section == b->section)
                        a->shared_section = b->shared_section = true;
        }
}

static void link_cold_parts(struct object *object)
{
        static const char cold[] = ".cold";

        for (size_t i = 0; i < object->n_atoms; i++) {
                struct atom *atom = &object->atoms[i];
                size_t length = atom->name ? strlen(atom->name) : 0;

                if (atom->kind != ATOM_CODE || length <= strlen(cold) ||
                    strcmp(atom->name + length - strlen(cold), cold) != 0)
                        continue;
                for (size_t j = 0; j < object->n_atoms; j++) {
                        struct atom *function = &object->atoms[j];

                        if (function->kind != ATOM_CODE || !function->name ||
                            strlen(function->name) != length - strlen(cold) ||
                            strncmp(function->name, atom->name, length - strlen(cold)) != 0)
                                continue;
                        atom->parent = function;
                        function->cold = atom;
                }
        }
}

/* --- Putting together -------------------------------------------------------------------- */

struct atom *object_atom_at(const struct object *object, size_t section, uint64_t offset)
{
        size_t first, low, high;

        if (section == 0 || section >= object->view.n_sections ||
            !object_section_kind(&object->sections[section]))
                return NULL;
        first = low = object->first_atom[section];
        high = object->n_atoms;
        /* the last atom of this section that begins at or before `offset` */
        while (low + 1 < high) {
                size_t middle = low + (high - low) / 2;
                const struct atom *atom = &object->atoms[middle];

                if (atom->section && atom->section->index == section && atom->start <= offset)
                        low = middle;
                else
                        high = middle;
        }
        return first < object->n_atoms ? &object->atoms[low] : NULL;
}

static struct atom *find_common(const struct object *object, const char *name)
{
        for (size_t i = object->n_atoms; i > 0 && !object->atoms[i - 1].section; i--)
                if (strcmp(object->atoms[i - 1].name, name) == 0)
                        return &object->atoms[i - 1];
        return NULL;
}

/*
 * Which atom is meant. A symbol with a name says it; the offset may then lie outside of the atom
 * (`table - 1`). With a section's symbol only the offset says it, except where the section is one
 * atom.
 */
static void resolve_target(const struct object *object, const struct raw *raw,
                           struct reference *reference)
{
        const struct elf_symbol *symbol = raw->symbol;
        bool by_symbol = symbol->type != STT_SECTION;
        int64_t offset = by_symbol ? (int64_t)symbol->value : raw->target_offset;

        if (symbol->section == SHN_COMMON)
                reference->target = find_common(object, symbol->name);
        if (raw->target_section == 0)
                return;
        reference->target = object_atom_at(object, raw->target_section,
                                           offset < 0 ? 0 : (uint64_t)offset);
        if (reference->target)
                reference->delta =
                        (int64_t)((uint64_t)raw->target_offset - reference->target->start);
}

static int attach_references(struct object *object, const struct raw_list *raws, struct error *err)
{
        object->references = calloc(raws->n_items + 1, sizeof(*object->references));
        if (!object->references)
                return error_no_memory(err);
        object->n_references = raws->n_items;
        for (size_t i = 0; i < raws->n_items; i++) {
                const struct raw *raw = &raws->items[i];
                struct reference *reference = &object->references[i];
                struct atom *from = object_atom_at(object, raw->section, raw->reference.offset);

                *reference = raw->reference;
                resolve_target(object, raw, reference);
                if (!from)
                        continue;
                reference->offset -= from->start;
                from->tied = from->tied || reference->type == R_X86_64_PC8;
                if (!range_fits(reference->offset, relocation_size(reference->type), from->size))
                        return object_is_bad(object, err, "it has a relocation across two variables");
                if (from->n_references++ == 0)
                        from->references = reference;
        }
        return 0;
}

static int build_atoms(struct object *object, struct error *err)
{
        _cleanup_(raw_list_done) struct raw_list raws = { 0 };
        _cleanup_(cut_list_done) struct cut_list cuts = { 0 };
        int r = raw_references_read(object, &raws, err);

        if (r == 0)
                r = find_cuts(object, &raws, &cuts, err);
        if (r == 0)
                r = add_atoms(object, &cuts, err);
        if (r == 0)
                r = add_common(object, err);
        if (r == 0)
                r = attach_references(object, &raws, err);
        if (r < 0)
                return r;
        mark_shared_code(object);
        link_cold_parts(object);
        return 0;
}

int object_open(const char *path, const char *unit, struct object **ret, struct error *err)
{
        _cleanup_(object_freep) struct object *object = calloc(1, sizeof(*object));
        int r;

        if (!object)
                return error_no_memory(err);
        object->path = path;
        object->unit = unit;
        r = file_read(path, MAX_OBJECT_BYTES, &object->bytes, err);
        if (r == 0)
                r = elf_view_open(object->bytes.data, object->bytes.size, path, &object->view, err);
        if (r < 0)
                return r;
        if (object->view.header.e_type != ET_REL || object->view.header.e_machine != EM_X86_64)
                return object_is_bad(object, err, "it is no object file for x86-64");
        r = read_sections(object, err);
        if (r == 0)
                r = read_symbols(object, err);
        if (r == 0)
                r = build_atoms(object, err);
        if (r < 0)
                return r;
        *ret = STEAL(object);
        return 0;
}

struct object *object_free(struct object *object)
{
        if (!object)
                return NULL;
        for (size_t i = 0; i < object->n_atoms; i++)
                free(object->atoms[i].base);
        free(object->atoms);
        free(object->references);
        free(object->symbols);
        free(object->sections);
        free(object->first_atom);
        buffer_done(&object->bytes);
        free(object);
        return NULL;
}

const uint8_t *atom_data(const struct atom *atom)
{
        return atom->section && atom->section->data ? atom->section->data + atom->start : NULL;
}

uint64_t atom_alignment(const struct atom *atom)
{
        uint64_t alignment;

        if (!atom->section)
                return atom->start && (atom->start & (atom->start - 1)) == 0 ? atom->start : 8;
        alignment = atom->section->alignment;
        while (alignment > 1 && atom->start % alignment != 0)
                alignment /= 2;
        return alignment;
}

const char *atom_label(const struct atom *atom)
{
        return atom->name ? atom->name : atom->section ? atom->section->name : "";
}

struct atom *object_find(const struct object *object, const char *name, bool global_only)
{
        for (size_t i = 0; i < object->n_atoms; i++) {
                struct atom *atom = &object->atoms[i];

                if (atom->name && strcmp(atom->name, name) == 0 && (atom->global || !global_only))
                        return atom;
        }
        return NULL;
}
