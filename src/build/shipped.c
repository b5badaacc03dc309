/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads a linked module into tables sorted by name. Versions stand beside the dynamic symbols in
 * .gnu.version, as indices into what .gnu.version_r (wanted) and .gnu.version_d (given) list (LSB
 * core, "Symbol Versioning").
 */
#include "build/shipped.h"

#include <errno.h>
#include <string.h>
#include "base/array.h"
#include "base/cursor.h"
#include "base/file.h"

enum { MAX_MODULE_BYTES = 1 << 30, MAX_VERSIONS = 32768 };

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* --- Symbols ----------------------------------------------------------------------------- */

static bool is_wanted_symbol(const struct elf_symbol *symbol)
{
        return symbol->section != SHN_UNDEF && symbol->name[0] != '\0' &&
               symbol->section != SHN_ABS && symbol->type != STT_SECTION &&
               symbol->type != STT_FILE;
}

static int add_symbols(struct shipped *shipped, const struct elf_view *view,
                       const struct elf_section *table, struct error *err)
{
        const char *file = NULL;

        for (size_t i = 1; i < elf_view_symbol_count(table); i++) {
                struct shipped_symbol *slot;
                struct elf_symbol symbol;

                if (!elf_view_symbol(view, table, i, &symbol))
                        continue;
                if (symbol.type == STT_FILE)
                        file = symbol.name;
                if (!is_wanted_symbol(&symbol))
                        continue;
                slot = ARRAY_PUSH(shipped->symbols, shipped->n_symbols);
                if (!slot)
                        return error_no_memory(err);
                *slot = (struct shipped_symbol){
                        .name = symbol.name,
                        .file = symbol.bind == STB_LOCAL ? file : NULL,
                        .address = symbol.value,
                        .size = symbol.size,
                        .type = symbol.type,
                        .bind = symbol.bind,
                };
        }
        return 0;
}

/* The symbol table of the unstripped file; without one, the dynamic symbols have to do. */
static int read_symbols(struct shipped *shipped, struct error *err)
{
        struct elf_section table;
        int r = 0;

        shipped->only_dynamic = !elf_view_find_section_type(&shipped->symbol_view, SHT_SYMTAB,
                                                            &table);
        if (!shipped->only_dynamic)
                r = add_symbols(shipped, &shipped->symbol_view, &table, err);
        else if (elf_view_find_section_type(&shipped->view, SHT_DYNSYM, &table))
                r = add_symbols(shipped, &shipped->view, &table, err);
        if (r == 0 && shipped->n_symbols > 0)
                qsort(shipped->symbols, shipped->n_symbols, sizeof(*shipped->symbols),
                      compare_names);
        return r;
}

/* The first of a sorted table of structs that begin with a name. */
static size_t lower_bound(const void *items, size_t n, size_t item_size, const char *name)
{
        size_t low = 0, high = n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                const char *const *item =
                        (const char *const *)(const void *)((const char *)items +
                                                            middle * item_size);

                if (strcmp(*item, name) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

const struct shipped_symbol *shipped_find(const struct shipped *shipped, const char *name,
                                          size_t *ret_n)
{
        size_t first = lower_bound(shipped->symbols, shipped->n_symbols,
                                   sizeof(*shipped->symbols), name);

        *ret_n = 0;
        while (first + *ret_n < shipped->n_symbols &&
               strcmp(shipped->symbols[first + *ret_n].name, name) == 0)
                ++*ret_n;
        return *ret_n > 0 ? &shipped->symbols[first] : NULL;
}

/* --- Dynamic symbols and their versions -------------------------------------------------- */

struct versions {
        const char **names;      /* by index */
        size_t n_names;
};

static bool set_version(struct versions *versions, size_t index, const char *name)
{
        index &= 0x7fff;
        while (versions->n_names <= index)
                if (!ARRAY_PUSH(versions->names, versions->n_names))
                        return false;
        versions->names[index] = name;
        return true;
}

/* Elf64_Verneed and its Elf64_Vernaux. */
static void read_version_needs(const struct elf_section *section, const struct elf_section *strings,
                               struct versions *versions)
{
        uint64_t at = 0;

        for (size_t n = 0; n < MAX_VERSIONS; n++) {
                struct cursor cursor = cursor_init(section->data, section->size);
                uint32_t file, aux, next;
                uint16_t version, count;
                uint64_t aux_at;

                cursor_seek(&cursor, at);
                cursor_u16(&cursor, &version);
                cursor_u16(&cursor, &count);
                cursor_u32(&cursor, &file);
                cursor_u32(&cursor, &aux);
                if (!cursor_u32(&cursor, &next))
                        return;
                aux_at = at + aux;
                for (size_t i = 0; i < count; i++) {
                        uint32_t hash, name, aux_next;
                        uint16_t flags, other;

                        cursor = cursor_init(section->data, section->size);
                        cursor_seek(&cursor, aux_at);
                        cursor_u32(&cursor, &hash);
                        cursor_u16(&cursor, &flags);
                        cursor_u16(&cursor, &other);
                        cursor_u32(&cursor, &name);
                        if (!cursor_u32(&cursor, &aux_next))
                                return;
                        set_version(versions, other,
                                    bounded_string(strings->data, strings->size, name));
                        aux_at += aux_next;
                }
                if (next == 0)
                        return;
                at += next;
        }
}

/* Elf64_Verdef; its first Elf64_Verdaux names it. Index 1 is the base: no version. */
static void read_version_definitions(const struct elf_section *section,
                                     const struct elf_section *strings, struct versions *versions)
{
        uint64_t at = 0;

        for (size_t n = 0; n < MAX_VERSIONS; n++) {
                struct cursor cursor = cursor_init(section->data, section->size);
                uint16_t version, flags, index, count;
                uint32_t hash, aux, next, name;

                cursor_seek(&cursor, at);
                cursor_u16(&cursor, &version);
                cursor_u16(&cursor, &flags);
                cursor_u16(&cursor, &index);
                cursor_u16(&cursor, &count);
                cursor_u32(&cursor, &hash);
                cursor_u32(&cursor, &aux);
                if (!cursor_u32(&cursor, &next))
                        return;
                cursor = cursor_init(section->data, section->size);
                cursor_seek(&cursor, at + aux);
                if (index > 1 && cursor_u32(&cursor, &name))
                        set_version(versions, index,
                                    bounded_string(strings->data, strings->size, name));
                if (next == 0)
                        return;
                at += next;
        }
}

static void read_versions(const struct elf_view *view, struct versions *ret)
{
        struct elf_section section, strings;

        if (elf_view_find_section_type(view, SHT_GNU_verneed, &section) && section.data &&
            elf_view_section(view, section.link, &strings) && strings.data)
                read_version_needs(&section, &strings, ret);
        if (elf_view_find_section_type(view, SHT_GNU_verdef, &section) && section.data &&
            elf_view_section(view, section.link, &strings) && strings.data)
                read_version_definitions(&section, &strings, ret);
}

bool shipped_read_dynamics(const struct elf_view *view, struct shipped_dynamic **ret,
                           size_t *ret_n)
{
        struct elf_section table, indices = { 0 };
        struct versions versions = { 0 };
        struct elf_symbol symbol;

        if (!elf_view_find_section_type(view, SHT_DYNSYM, &table))
                return false;
        read_versions(view, &versions);
        elf_view_find_section_type(view, SHT_GNU_versym, &indices);
        for (size_t i = 1; i < elf_view_symbol_count(&table); i++) {
                struct cursor cursor = cursor_init(indices.data, indices.data ? indices.size : 0);
                struct shipped_dynamic *dynamic;
                uint16_t index = 0;
                bool other; /* not the default version */

                if (!elf_view_symbol(view, &table, i, &symbol) || symbol.bind == STB_LOCAL)
                        continue;
                cursor_seek(&cursor, 2 * i);
                cursor_u16(&cursor, &index);
                other = symbol.section != SHN_UNDEF && (index & 0x8000);
                if (other || !symbol.name[0])
                        continue;
                dynamic = ARRAY_PUSH(*ret, *ret_n);
                if (!dynamic)
                        break;
                index &= 0x7fff;
                *dynamic = (struct shipped_dynamic){
                        .name = symbol.name,
                        .defined = symbol.section != SHN_UNDEF,
                        .address = symbol.value,
                        .type = symbol.type,
                        .version = index < versions.n_names ? versions.names[index] : NULL,
                };
        }
        free(versions.names);
        if (*ret_n > 0)
                qsort(*ret, *ret_n, sizeof(**ret), compare_names);
        return true;
}

const struct shipped_dynamic *shipped_find_dynamic(const struct shipped *shipped,
                                                   const char *name)
{
        size_t i = lower_bound(shipped->dynamics, shipped->n_dynamics,
                               sizeof(*shipped->dynamics), name);

        return i < shipped->n_dynamics && strcmp(shipped->dynamics[i].name, name) == 0
                       ? &shipped->dynamics[i]
                       : NULL;
}

/* --- Slots ------------------------------------------------------------------------------- */

static bool is_slot_type(uint32_t type)
{
        return type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT ||
               type == R_X86_64_COPY || type == R_X86_64_TPOFF64 || type == R_X86_64_DTPMOD64 ||
               type == R_X86_64_IRELATIVE || type == R_X86_64_TLSDESC;
}

static int read_slots(struct shipped *shipped, struct error *err)
{
        const struct elf_view *view = &shipped->view;
        struct elf_section section, symbols;

        for (size_t i = 1; i < view->n_sections; i++) {
                if (!elf_view_section(view, i, &section) || section.type != SHT_RELA ||
                    !elf_view_section(view, section.link, &symbols))
                        continue;
                for (size_t j = 0; j < elf_view_relocation_count(&section); j++) {
                        struct elf_relocation relocation;
                        struct shipped_slot *slot;
                        struct elf_symbol symbol;

                        if (!elf_view_relocation(view, &section, j, &relocation) ||
                            !is_slot_type(relocation.type) ||
                            !elf_view_symbol(view, &symbols, relocation.symbol, &symbol))
                                continue;
                        slot = ARRAY_PUSH(shipped->slots, shipped->n_slots);
                        if (!slot)
                                return error_no_memory(err);
                        *slot = (struct shipped_slot){
                                .name = symbol.name,
                                .address = relocation.offset,
                                .type = relocation.type,
                                .addend = relocation.addend,
                        };
                }
        }
        return 0;
}

const struct shipped_slot *shipped_find_slot(const struct shipped *shipped, const char *name,
                                             uint32_t type, uint32_t other_type)
{
        for (size_t i = 0; i < shipped->n_slots; i++) {
                const struct shipped_slot *slot = &shipped->slots[i];

                if ((slot->type == type || slot->type == other_type) &&
                    strcmp(slot->name, name) == 0)
                        return slot;
        }
        return NULL;
}

/* --- The rest ---------------------------------------------------------------------------- */

static int read_dynamic_section(struct shipped *shipped, struct error *err)
{
        struct elf_section section, strings;
        struct cursor cursor;
        uint64_t tag, value;

        if (!elf_view_find_section_type(&shipped->view, SHT_DYNAMIC, &section) || !section.data ||
            !elf_view_section(&shipped->view, section.link, &strings) || !strings.data)
                return 0;
        cursor = cursor_init(section.data, section.size);
        while (cursor_u64(&cursor, &tag) && cursor_u64(&cursor, &value) && tag != DT_NULL) {
                const char *text = bounded_string(strings.data, strings.size, value);
                const char **slot;

                if (tag == DT_SONAME && text) {
                        shipped->module = text;
                        shipped->is_program = false; /* a library that can be run, as libc can */
                }
                if (tag == DT_SYMBOLIC || (tag == DT_FLAGS && (value & DF_SYMBOLIC)))
                        shipped->symbolic = true;
                if (tag != DT_NEEDED || !text)
                        continue;
                slot = ARRAY_PUSH(shipped->needed, shipped->n_needed);
                if (!slot)
                        return error_no_memory(err);
                *slot = text;
        }
        return 0;
}

static void read_segments(struct shipped *shipped)
{
        Elf64_Phdr segment;

        shipped->is_program = shipped->view.header.e_type == ET_EXEC;
        for (size_t i = 0; elf_view_segment(&shipped->view, i, &segment); i++) {
                if (segment.p_type == PT_INTERP)
                        shipped->is_program = true;
                if (segment.p_type == PT_TLS) {
                        shipped->thread_size = segment.p_memsz;
                        shipped->thread_alignment = MAX(segment.p_align, UINT64_C(1));
                }
        }
}

static int open_file(const char *path, struct buffer *bytes, struct elf_view *view,
                     struct error *err)
{
        int r = file_read(path, MAX_MODULE_BYTES, bytes, err);

        if (r == 0)
                r = elf_view_open(bytes->data, bytes->size, path, view, err);
        if (r < 0)
                return r;
        if ((view->header.e_type != ET_EXEC && view->header.e_type != ET_DYN) ||
            view->header.e_machine != EM_X86_64)
                return error_set(err, EXIT_CODE_ERROR, 0, "give the linked program or library",
                                 "%s is no linked module for x86-64", path);
        return 0;
}

static const char *file_name(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

int shipped_open(const struct objects_target *target, struct shipped **ret, struct error *err)
{
        _cleanup_(shipped_freep) struct shipped *shipped = calloc(1, sizeof(*shipped));
        int r;

        if (!shipped)
                return error_no_memory(err);
        shipped->module = file_name(target->shipped);
        r = open_file(target->shipped, &shipped->bytes, &shipped->view, err);
        if (r == 0 && target->symbols)
                r = open_file(target->symbols, &shipped->symbol_bytes, &shipped->symbol_view, err);
        if (r < 0)
                return r;
        if (!target->symbols)
                shipped->symbol_view = shipped->view;
        elf_view_build_id(&shipped->view, &shipped->build_id);
        read_segments(shipped);
        r = read_dynamic_section(shipped, err);
        if (r == 0)
                r = read_symbols(shipped, err);
        if (r == 0)
                r = read_slots(shipped, err);
        if (r < 0)
                return r;
        shipped_read_dynamics(&shipped->view, &shipped->dynamics, &shipped->n_dynamics);
        if (target->module)
                shipped->module = target->module;
        *ret = STEAL(shipped);
        return 0;
}

struct shipped *shipped_free(struct shipped *shipped)
{
        if (!shipped)
                return NULL;
        free(shipped->symbols);
        free(shipped->slots);
        free(shipped->dynamics);
        free(shipped->needed);
        buffer_done(&shipped->bytes);
        buffer_done(&shipped->symbol_bytes);
        free(shipped);
        return NULL;
}

const uint8_t *shipped_at(const struct shipped *shipped, uint64_t address, uint64_t size)
{
        return elf_view_at_address(&shipped->view, address, size);
}

uint64_t shipped_next_code(const struct shipped *shipped, uint64_t address)
{
        struct elf_section section;
        uint64_t next = address;

        for (size_t i = 1; i < shipped->view.n_sections; i++)
                if (elf_view_section(&shipped->view, i, &section) &&
                    (section.flags & SHF_EXECINSTR) && address >= section.address &&
                    address - section.address < section.size)
                        next = section.address + section.size;
        for (size_t i = 0; i < shipped->n_symbols; i++) {
                const struct shipped_symbol *symbol = &shipped->symbols[i];

                if (symbol->type != STT_TLS && symbol->address >= address && symbol->address < next)
                        next = symbol->address;
        }
        return next;
}
