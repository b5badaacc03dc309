/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ELF files that may be hostile. libelf is made for files that are right, so this reader is
 * suture's own: every number is taken through a bounded cursor, nothing is allocated, and no
 * question costs more than one pass over the tables. A string table must end in NUL, as the gABI
 * demands; then any offset within it names a string, and no search for an end is needed.
 */
#include "elf/view.h"

#include <string.h>

#include "base/cursor.h"

#define NEXT_STEP "check that this is the right file, and get it again from where it came from"

static int view_bad(const char *name, struct error *err, const char *what)
{
        return error_set(err, EXIT_CODE_ERROR, 0, NEXT_STEP, "%s is not usable as an ELF file: %s",
                         name, what);
}

static bool read_header(const void *data, size_t size, Elf64_Ehdr *ret)
{
        struct cursor cursor = cursor_init(data, size);

        cursor_bytes(&cursor, ret->e_ident, EI_NIDENT);
        cursor_u16(&cursor, &ret->e_type);
        cursor_u16(&cursor, &ret->e_machine);
        cursor_u32(&cursor, &ret->e_version);
        cursor_u64(&cursor, &ret->e_entry);
        cursor_u64(&cursor, &ret->e_phoff);
        cursor_u64(&cursor, &ret->e_shoff);
        cursor_u32(&cursor, &ret->e_flags);
        cursor_u16(&cursor, &ret->e_ehsize);
        cursor_u16(&cursor, &ret->e_phentsize);
        cursor_u16(&cursor, &ret->e_phnum);
        cursor_u16(&cursor, &ret->e_shentsize);
        cursor_u16(&cursor, &ret->e_shnum);
        cursor_u16(&cursor, &ret->e_shstrndx);
        return !cursor.failed;
}

static bool read_section_header(const struct elf_view *view, size_t index, Elf64_Shdr *ret)
{
        struct cursor cursor = cursor_init(view->data, view->size);

        cursor_seek(&cursor, view->header.e_shoff);
        cursor_skip(&cursor, (uint64_t)index * sizeof(Elf64_Shdr));
        cursor_u32(&cursor, &ret->sh_name);
        cursor_u32(&cursor, &ret->sh_type);
        cursor_u64(&cursor, &ret->sh_flags);
        cursor_u64(&cursor, &ret->sh_addr);
        cursor_u64(&cursor, &ret->sh_offset);
        cursor_u64(&cursor, &ret->sh_size);
        cursor_u32(&cursor, &ret->sh_link);
        cursor_u32(&cursor, &ret->sh_info);
        cursor_u64(&cursor, &ret->sh_addralign);
        cursor_u64(&cursor, &ret->sh_entsize);
        return !cursor.failed;
}

static int check_kind(const void *data, size_t size, const char *name, struct error *err)
{
        const uint8_t *ident = data;

        if (size < SELFMAG || memcmp(data, ELFMAG, SELFMAG) != 0)
                return error_set(err, EXIT_CODE_ERROR, 0, NEXT_STEP, "%s is not an ELF file", name);
        if (size < sizeof(Elf64_Ehdr))
                return view_bad(name, err, "it ends within its header");
        if (ident[EI_CLASS] == ELFCLASS32)
                return error_set(err, EXIT_CODE_ERROR, 0, NEXT_STEP,
                                 "%s is a 32-bit ELF file, and suture reads 64-bit ones only",
                                 name);
        if (ident[EI_CLASS] != ELFCLASS64)
                return view_bad(name, err, "its class is neither 32 nor 64 bits");
        if (ident[EI_DATA] == ELFDATA2MSB)
                return error_set(err, EXIT_CODE_ERROR, 0, NEXT_STEP,
                                 "%s is a big-endian ELF file, and suture reads little-endian "
                                 "ones only", name);
        if (ident[EI_DATA] != ELFDATA2LSB)
                return view_bad(name, err, "its byte order is unknown");
        if (ident[EI_VERSION] != EV_CURRENT)
                return view_bad(name, err, "its format version is not 1");
        return 0;
}

/*
 * Counts that do not fit in 16 bits stand in section header 0 (gABI, "ELF Header", e_shnum,
 * e_phnum with PN_XNUM, e_shstrndx with SHN_XINDEX).
 */
static int open_sections(struct elf_view *view, const char *name, struct error *err)
{
        const Elf64_Ehdr *header = &view->header;
        Elf64_Shdr first;

        view->n_segments = header->e_phnum;
        view->names_section = header->e_shstrndx;
        if (header->e_shoff == 0) {
                if (header->e_shnum != 0)
                        return view_bad(name, err, "it counts sections but has no section table");
                view->names_section = SHN_UNDEF;
                return header->e_phnum == PN_XNUM
                               ? view_bad(name, err, "its number of segments is missing") : 0;
        }
        if (header->e_shentsize != sizeof(Elf64_Shdr))
                return view_bad(name, err, "its section headers are of a wrong size");
        if (!read_section_header(view, 0, &first))
                return view_bad(name, err, "its section table lies outside the file");
        view->n_sections = header->e_shnum ? header->e_shnum : first.sh_size;
        if (view->n_sections > view->size / sizeof(Elf64_Shdr) ||
            !range_fits(header->e_shoff, view->n_sections * sizeof(Elf64_Shdr), view->size))
                return view_bad(name, err, "its section table lies outside the file");
        if (header->e_shstrndx == SHN_XINDEX)
                view->names_section = first.sh_link;
        if (view->names_section != SHN_UNDEF && view->names_section >= view->n_sections)
                return view_bad(name, err, "its table of section names does not exist");
        if (header->e_phnum == PN_XNUM)
                view->n_segments = first.sh_info;
        return 0;
}

static int open_segments(const struct elf_view *view, const char *name, struct error *err)
{
        if (view->n_segments == 0)
                return 0;
        if (view->header.e_phentsize != sizeof(Elf64_Phdr))
                return view_bad(name, err, "its program headers are of a wrong size");
        if (view->n_segments > view->size / sizeof(Elf64_Phdr) ||
            !range_fits(view->header.e_phoff, view->n_segments * sizeof(Elf64_Phdr), view->size))
                return view_bad(name, err, "its program headers lie outside the file");
        return 0;
}

/* String table `index`; false if it is none, or has no end. */
static bool view_strings(const struct elf_view *view, size_t index, const char **ret,
                         size_t *ret_size)
{
        Elf64_Shdr table;

        if (index >= view->n_sections || !read_section_header(view, index, &table) ||
            table.sh_type != SHT_STRTAB || table.sh_size == 0 ||
            !range_fits(table.sh_offset, table.sh_size, view->size) ||
            view->data[table.sh_offset + table.sh_size - 1] != '\0')
                return false;
        *ret = (const char *)view->data + table.sh_offset;
        *ret_size = table.sh_size;
        return true;
}

int elf_view_open(const void *data, size_t size, const char *name, struct elf_view *ret,
                  struct error *err)
{
        struct elf_view view = { .data = data, .size = size };
        struct elf_section extended;
        int r;

        r = check_kind(data, size, name, err);
        if (r < 0)
                return r;
        if (!read_header(data, size, &view.header))
                return view_bad(name, err, "it ends within its header");
        if (view.header.e_version != EV_CURRENT)
                return view_bad(name, err, "its format version is not 1");
        r = open_sections(&view, name, err);
        if (r < 0)
                return r;
        r = open_segments(&view, name, err);
        if (r < 0)
                return r;
        if (view.names_section != SHN_UNDEF)
                (void)view_strings(&view, view.names_section, &view.names, &view.names_size);
        if (elf_view_find_section_type(&view, SHT_SYMTAB_SHNDX, &extended))
                view.extended_section = extended.index;
        *ret = view;
        return 0;
}

/* A string of string table `index`: "" for offset 0 of no table at all. */
static const char *view_string(const struct elf_view *view, size_t index, uint32_t offset)
{
        const char *strings;
        size_t size;

        if (index == SHN_UNDEF)
                return offset == 0 ? "" : NULL;
        if (!view_strings(view, index, &strings, &size))
                return NULL;
        return offset < size ? strings + offset : NULL;
}

/* The same for the names of sections, which are asked for so often that their table is kept. */
static const char *section_name(const struct elf_view *view, uint32_t offset)
{
        if (view->names_section == SHN_UNDEF)
                return offset == 0 ? "" : NULL;
        return view->names && offset < view->names_size ? view->names + offset : NULL;
}

bool elf_view_section(const struct elf_view *view, size_t index, struct elf_section *ret)
{
        Elf64_Shdr header;
        const char *name;
        bool has_data;

        if (index >= view->n_sections || !read_section_header(view, index, &header))
                return false;
        name = section_name(view, header.sh_name);
        if (!name || (header.sh_addralign & (header.sh_addralign - 1)) != 0)
                return false;
        has_data = header.sh_type != SHT_NOBITS && header.sh_type != SHT_NULL;
        if (has_data && !range_fits(header.sh_offset, header.sh_size, view->size))
                return false;
        *ret = (struct elf_section){
                .index = index,
                .name = name,
                .type = header.sh_type,
                .flags = header.sh_flags,
                .address = header.sh_addr,
                .size = header.sh_size,
                .data = has_data ? view->data + header.sh_offset : NULL,
                .link = header.sh_link,
                .info = header.sh_info,
                .alignment = header.sh_addralign ? header.sh_addralign : 1,
                .entry_size = header.sh_entsize,
        };
        return true;
}

bool elf_view_find_section(const struct elf_view *view, const char *name, struct elf_section *ret)
{
        struct elf_section section;

        for (size_t i = 1; i < view->n_sections; i++) {
                if (!elf_view_section(view, i, &section) || strcmp(section.name, name) != 0)
                        continue;
                *ret = section;
                return true;
        }
        return false;
}

bool elf_view_find_section_type(const struct elf_view *view, uint32_t type,
                                struct elf_section *ret)
{
        struct elf_section section;

        for (size_t i = 1; i < view->n_sections; i++) {
                if (!elf_view_section(view, i, &section) || section.type != type)
                        continue;
                *ret = section;
                return true;
        }
        return false;
}

bool elf_view_segment(const struct elf_view *view, size_t index, Elf64_Phdr *ret)
{
        struct cursor cursor = cursor_init(view->data, view->size);
        Elf64_Phdr segment;

        if (index >= view->n_segments)
                return false;
        cursor_seek(&cursor, view->header.e_phoff);
        cursor_skip(&cursor, (uint64_t)index * sizeof(Elf64_Phdr));
        cursor_u32(&cursor, &segment.p_type);
        cursor_u32(&cursor, &segment.p_flags);
        cursor_u64(&cursor, &segment.p_offset);
        cursor_u64(&cursor, &segment.p_vaddr);
        cursor_u64(&cursor, &segment.p_paddr);
        cursor_u64(&cursor, &segment.p_filesz);
        cursor_u64(&cursor, &segment.p_memsz);
        cursor_u64(&cursor, &segment.p_align);
        if (cursor.failed)
                return false;
        *ret = segment;
        return true;
}

const uint8_t *elf_view_at_address(const struct elf_view *view, uint64_t address, uint64_t size)
{
        Elf64_Phdr segment;

        for (size_t i = 0; elf_view_segment(view, i, &segment); i++) {
                if (segment.p_type != PT_LOAD || address < segment.p_vaddr ||
                    !range_fits(address - segment.p_vaddr, size, segment.p_filesz) ||
                    !range_fits(segment.p_offset, segment.p_filesz, view->size))
                        continue;
                return view->data + segment.p_offset + (address - segment.p_vaddr);
        }
        return NULL;
}

size_t elf_view_symbol_count(const struct elf_section *table)
{
        if ((table->type != SHT_SYMTAB && table->type != SHT_DYNSYM) || !table->data ||
            table->entry_size != sizeof(Elf64_Sym))
                return 0;
        return table->size / sizeof(Elf64_Sym);
}

/* SHN_XINDEX: the real index is in the parallel table (gABI, SHT_SYMTAB_SHNDX). */
static bool extended_index(const struct elf_view *view, const struct elf_section *symbols,
                           size_t index, uint32_t *ret)
{
        struct elf_section table;
        struct cursor cursor;

        if (view->extended_section == 0 ||
            !elf_view_section(view, view->extended_section, &table) || !table.data ||
            table.link != symbols->index)
                return false;
        cursor = cursor_init(table.data, table.size);
        cursor_skip(&cursor, (uint64_t)index * sizeof(Elf64_Word));
        /* One that looks like a reserved index could not be told from it by callers. */
        return cursor_u32(&cursor, ret) && *ret < view->n_sections &&
               (*ret < SHN_LORESERVE || *ret > SHN_HIRESERVE);
}

bool elf_view_symbol(const struct elf_view *view, const struct elf_section *table, size_t index,
                     struct elf_symbol *ret)
{
        struct elf_symbol symbol = { .index = index };
        struct cursor cursor;
        uint32_t name;
        uint16_t section;
        uint8_t info, other;

        if (index >= elf_view_symbol_count(table))
                return false;
        cursor = cursor_init(table->data, table->size);
        cursor_skip(&cursor, (uint64_t)index * sizeof(Elf64_Sym));
        cursor_u32(&cursor, &name);
        cursor_u8(&cursor, &info);
        cursor_u8(&cursor, &other);
        cursor_u16(&cursor, &section);
        cursor_u64(&cursor, &symbol.value);
        if (!cursor_u64(&cursor, &symbol.size))
                return false;
        symbol.name = view_string(view, table->link, name);
        symbol.section = section;
        symbol.bind = ELF64_ST_BIND(info);
        symbol.type = ELF64_ST_TYPE(info);
        symbol.visibility = ELF64_ST_VISIBILITY(other);
        if (!symbol.name)
                return false;
        if (section == SHN_XINDEX && !extended_index(view, table, index, &symbol.section))
                return false;
        if (section < SHN_LORESERVE && section >= view->n_sections)
                return false;
        *ret = symbol;
        return true;
}

size_t elf_view_relocation_count(const struct elf_section *table)
{
        if (table->type != SHT_RELA || !table->data || table->entry_size != sizeof(Elf64_Rela))
                return 0;
        return table->size / sizeof(Elf64_Rela);
}

bool elf_view_relocation(const struct elf_view *view, const struct elf_section *table,
                         size_t index, struct elf_relocation *ret)
{
        struct elf_relocation relocation;
        struct elf_section symbols;
        struct cursor cursor;
        uint64_t info, addend;

        if (index >= elf_view_relocation_count(table) ||
            !elf_view_section(view, table->link, &symbols))
                return false;
        cursor = cursor_init(table->data, table->size);
        cursor_skip(&cursor, (uint64_t)index * sizeof(Elf64_Rela));
        cursor_u64(&cursor, &relocation.offset);
        cursor_u64(&cursor, &info);
        if (!cursor_u64(&cursor, &addend))
                return false;
        relocation.type = ELF64_R_TYPE(info);
        relocation.symbol = ELF64_R_SYM(info);
        relocation.addend = (int64_t)addend;
        if (relocation.symbol >= elf_view_symbol_count(&symbols))
                return false;
        *ret = relocation;
        return true;
}

bool elf_view_relocations_of(const struct elf_view *view, size_t index, struct elf_section *ret)
{
        struct elf_section section;

        for (size_t i = 1; i < view->n_sections; i++) {
                if (!elf_view_section(view, i, &section) || section.type != SHT_RELA ||
                    section.info != index)
                        continue;
                *ret = section;
                return true;
        }
        return false;
}

bool elf_view_build_id(const struct elf_view *view, struct build_id *ret)
{
        struct elf_section section;
        Elf64_Phdr segment;

        for (size_t i = 0; elf_view_segment(view, i, &segment); i++)
                if (segment.p_type == PT_NOTE &&
                    range_fits(segment.p_offset, segment.p_filesz, view->size) &&
                    build_id_from_notes(view->data + segment.p_offset, segment.p_filesz, ret))
                        return true;
        for (size_t i = 1; i < view->n_sections; i++)
                if (elf_view_section(view, i, &section) && section.type == SHT_NOTE &&
                    build_id_from_notes(section.data, section.size, ret))
                        return true;
        return false;
}
