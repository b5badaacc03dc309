/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes a relocatable object with libelf. Everything is collected first, because symbols may
 * only be numbered when all are known: local ones go before global ones. The sections that were
 * added keep the indices they were given; the tables that the writer makes itself (one SHT_RELA
 * for each section with relocations, the symbol table, the string tables) come behind them.
 * libelf writes to a descriptor, so the file is made in memory (memfd_create) and read back.
 */
#include "elf/writer.h"

#include <errno.h>
#include <libelf.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/array.h"
#include "base/file.h"

#define MAX_FILE_BYTES ((size_t)1 << 30)

struct writer_section {
        char *name;
        uint32_t type;
        uint64_t flags, alignment;
        uint8_t *data;
        size_t size;
        Elf64_Rela *relocations;
        size_t n_relocations;
};

struct writer_symbol {
        char *name;
        size_t section;
        uint64_t value, size;
        uint8_t bind, type;
        size_t index;                   /* in the written table; set while writing */
};

struct elf_writer {
        uint16_t machine;
        struct writer_section *sections;
        size_t n_sections;
        struct writer_symbol *symbols;
        size_t n_symbols;
};

struct elf_writer *elf_writer_new(uint16_t machine)
{
        struct elf_writer *writer = calloc(1, sizeof(*writer));

        if (writer)
                writer->machine = machine;
        return writer;
}

struct elf_writer *elf_writer_free(struct elf_writer *writer)
{
        if (!writer)
                return NULL;
        for (size_t i = 0; i < writer->n_sections; i++) {
                free(writer->sections[i].name);
                free(writer->sections[i].data);
                free(writer->sections[i].relocations);
        }
        for (size_t i = 0; i < writer->n_symbols; i++)
                free(writer->symbols[i].name);
        free(writer->sections);
        free(writer->symbols);
        free(writer);
        return NULL;
}

size_t elf_writer_add_section(struct elf_writer *writer, const char *name, uint32_t type,
                              uint64_t flags, uint64_t alignment, const void *data, size_t size)
{
        _cleanup_free_ char *name_copy = strdup(name);
        _cleanup_free_ uint8_t *copy = NULL;
        struct writer_section *section;

        if (!name_copy)
                return 0;
        if (type != SHT_NOBITS) {
                copy = calloc(1, size ? size : 1);
                if (!copy)
                        return 0;
                if (data && size > 0)
                        memcpy(copy, data, size);
        }
        section = ARRAY_PUSH(writer->sections, writer->n_sections);
        if (!section)
                return 0;
        *section = (struct writer_section){
                .name = STEAL(name_copy), .type = type, .flags = flags, .alignment = alignment,
                .data = STEAL(copy), .size = size,
        };
        return writer->n_sections;
}

size_t elf_writer_add_symbol(struct elf_writer *writer, const char *name, size_t section,
                             uint64_t value, uint64_t size, uint8_t bind, uint8_t type)
{
        _cleanup_free_ char *name_copy = strdup(name);
        struct writer_symbol *symbol;

        if (!name_copy)
                return 0;
        symbol = ARRAY_PUSH(writer->symbols, writer->n_symbols);
        if (!symbol)
                return 0;
        *symbol = (struct writer_symbol){
                .name = STEAL(name_copy), .section = section, .value = value, .size = size,
                .bind = bind, .type = type,
        };
        return writer->n_symbols;
}

bool elf_writer_add_relocation(struct elf_writer *writer, size_t section, uint64_t offset,
                               uint32_t type, size_t symbol, int64_t addend)
{
        struct writer_section *to;
        Elf64_Rela *relocation;

        if (section == 0 || section > writer->n_sections || symbol == 0 ||
            symbol > writer->n_symbols)
                return false;
        to = &writer->sections[section - 1];
        relocation = ARRAY_PUSH(to->relocations, to->n_relocations);
        if (!relocation)
                return false;
        /* The symbol's handle, until elf_writer_finish() knows its index. */
        *relocation = (Elf64_Rela){
                .r_offset = offset, .r_info = ELF64_R_INFO(symbol, type), .r_addend = addend,
        };
        return true;
}

/* The file under construction. The buffers must live until libelf has written it. */
struct output {
        int fd;
        Elf *elf;
        struct buffer section_names, symbol_names;
        Elf64_Sym *symbols;
        size_t n_symbols, first_global;
        Elf64_Rela **relocations;
        size_t n_relocations;
};

static void output_done(struct output *output)
{
        if (output->elf)
                elf_end(output->elf);
        cleanup_close(&output->fd);
        buffer_done(&output->section_names);
        buffer_done(&output->symbol_names);
        free(output->symbols);
        for (size_t i = 0; i < output->n_relocations; i++)
                free(output->relocations[i]);
        free(output->relocations);
}

static int libelf_fault(struct error *err)
{
        return error_set(err, EXIT_CODE_ERROR, 0, NULL, "can't write an ELF file: %s",
                         elf_errmsg(-1));
}

/* Adds `name` to a string table; 0 is the empty string, SIZE_MAX means no memory. */
static size_t add_string(struct buffer *table, const char *name)
{
        size_t offset = table->size;

        if (*name == '\0')
                return 0;
        return buffer_append(table, name, strlen(name) + 1) ? offset : SIZE_MAX;
}

static int output_open(struct output *output, struct error *err)
{
        elf_version(EV_CURRENT);
        output->fd = memfd_create("suture-elf", MFD_CLOEXEC);
        if (output->fd < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL,
                                 "can't make a file in memory");
        output->elf = elf_begin(output->fd, ELF_C_WRITE, NULL);
        if (!output->elf || !elf64_newehdr(output->elf))
                return libelf_fault(err);
        if (!buffer_append(&output->section_names, "", 1) ||
            !buffer_append(&output->symbol_names, "", 1))
                return error_no_memory(err);
        return 0;
}

/* A section with one run of bytes. Its index is the next free one. */
static int output_section(struct output *output, const char *name, const Elf64_Shdr *like,
                          Elf_Type kind, void *data, size_t size, size_t *ret_index,
                          struct error *err)
{
        size_t name_offset = add_string(&output->section_names, name);
        Elf_Scn *section = elf_newscn(output->elf);
        Elf64_Shdr *header = section ? elf64_getshdr(section) : NULL;
        Elf_Data *bytes = section ? elf_newdata(section) : NULL;

        if (name_offset == SIZE_MAX)
                return error_no_memory(err);
        if (!header || !bytes)
                return libelf_fault(err);
        *header = *like;
        header->sh_name = (Elf64_Word)name_offset;
        bytes->d_buf = data;
        bytes->d_size = size;
        bytes->d_type = kind;
        bytes->d_align = like->sh_addralign;
        bytes->d_version = EV_CURRENT;
        *ret_index = elf_ndxscn(section);
        return 0;
}

static int output_sections(struct output *output, struct elf_writer *writer, struct error *err)
{
        for (size_t i = 0; i < writer->n_sections; i++) {
                struct writer_section *section = &writer->sections[i];
                size_t index;
                int r = output_section(output, section->name,
                                       &(Elf64_Shdr){ .sh_type = section->type,
                                                      .sh_flags = section->flags,
                                                      .sh_addralign = section->alignment },
                                       ELF_T_BYTE, section->data, section->size, &index, err);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* Numbers the symbols, locals first, and fills the table. */
static int number_symbols(struct output *output, struct elf_writer *writer, struct error *err)
{
        size_t n = 1;

        output->symbols = calloc(writer->n_symbols + 1, sizeof(Elf64_Sym));
        if (!output->symbols)
                return error_no_memory(err);
        for (int locals = 1; locals >= 0; locals--) {
                for (size_t i = 0; i < writer->n_symbols; i++) {
                        struct writer_symbol *symbol = &writer->symbols[i];
                        size_t name;

                        if ((symbol->bind == STB_LOCAL) != locals)
                                continue;
                        name = add_string(&output->symbol_names, symbol->name);
                        if (name == SIZE_MAX)
                                return error_no_memory(err);
                        if (symbol->section > writer->n_sections && symbol->section != SHN_ABS)
                                return error_set(err, EXIT_CODE_ERROR, 0, NULL,
                                                 "can't write an ELF file: symbol %s is in "
                                                 "section %zu, which does not exist",
                                                 symbol->name, symbol->section);
                        symbol->index = n;
                        output->symbols[n++] = (Elf64_Sym){
                                .st_name = (Elf64_Word)name,
                                .st_info = ELF64_ST_INFO(symbol->bind, symbol->type),
                                .st_shndx = (Elf64_Section)symbol->section,
                                .st_value = symbol->value,
                                .st_size = symbol->size,
                        };
                }
                if (locals)
                        output->first_global = n;
        }
        output->n_symbols = n;
        return 0;
}

static Elf64_Rela *renumbered(const struct elf_writer *writer, const struct writer_section *section)
{
        Elf64_Rela *table = calloc(section->n_relocations, sizeof(*table));

        for (size_t i = 0; table && i < section->n_relocations; i++) {
                size_t handle = ELF64_R_SYM(section->relocations[i].r_info);

                table[i] = section->relocations[i];
                table[i].r_info = ELF64_R_INFO(writer->symbols[handle - 1].index,
                                               ELF64_R_TYPE(table[i].r_info));
        }
        return table;
}

static int output_relocations(struct output *output, struct elf_writer *writer, size_t symbol_table,
                              struct error *err)
{
        for (size_t i = 0; i < writer->n_sections; i++) {
                struct writer_section *section = &writer->sections[i];
                _cleanup_free_ char *name = NULL;
                Elf64_Rela **table;
                size_t index;
                int r;

                if (section->n_relocations == 0)
                        continue;
                table = ARRAY_PUSH(output->relocations, output->n_relocations);
                if (!table)
                        return error_no_memory(err);
                if (asprintf(&name, ".rela%s", section->name) < 0) {
                        name = NULL;
                        return error_no_memory(err);
                }
                *table = renumbered(writer, section);
                if (!*table)
                        return error_no_memory(err);
                r = output_section(output, name,
                                   &(Elf64_Shdr){ .sh_type = SHT_RELA,
                                                  .sh_flags = SHF_INFO_LINK,
                                                  .sh_link = (Elf64_Word)symbol_table,
                                                  .sh_info = (Elf64_Word)(i + 1),
                                                  .sh_addralign = 8,
                                                  .sh_entsize = sizeof(Elf64_Rela) },
                                   ELF_T_RELA, *table, section->n_relocations * sizeof(Elf64_Rela),
                                   &index, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static size_t count_relocated(const struct elf_writer *writer)
{
        size_t n = 0;

        for (size_t i = 0; i < writer->n_sections; i++)
                n += writer->sections[i].n_relocations > 0;
        return n;
}

static int output_tables(struct output *output, size_t symbol_table, struct error *err)
{
        size_t index;
        int r;

        r = output_section(output, ".symtab",
                           &(Elf64_Shdr){ .sh_type = SHT_SYMTAB,
                                          .sh_link = (Elf64_Word)symbol_table + 1,
                                          .sh_info = (Elf64_Word)output->first_global,
                                          .sh_addralign = 8,
                                          .sh_entsize = sizeof(Elf64_Sym) },
                           ELF_T_SYM, output->symbols, output->n_symbols * sizeof(Elf64_Sym),
                           &index, err);
        if (r < 0)
                return r;
        r = output_section(output, ".strtab",
                           &(Elf64_Shdr){ .sh_type = SHT_STRTAB, .sh_addralign = 1 }, ELF_T_BYTE,
                           output->symbol_names.data, output->symbol_names.size, &index, err);
        if (r < 0)
                return r;
        /* Its own name goes in before its bytes are handed over: they must not move again. */
        if (!buffer_append(&output->section_names, ".shstrtab", sizeof(".shstrtab")))
                return error_no_memory(err);
        r = output_section(output, "",
                           &(Elf64_Shdr){ .sh_type = SHT_STRTAB, .sh_addralign = 1 }, ELF_T_BYTE,
                           output->section_names.data, output->section_names.size, &index, err);
        if (r < 0)
                return r;
        elf64_getshdr(elf_getscn(output->elf, index))->sh_name =
                (Elf64_Word)(output->section_names.size - sizeof(".shstrtab"));
        elf64_getehdr(output->elf)->e_shstrndx = (Elf64_Section)index;
        return 0;
}

int elf_writer_finish(struct elf_writer *writer, struct buffer *ret, struct error *err)
{
        _cleanup_(output_done) struct output output = { .fd = -1 };
        size_t symbol_table = writer->n_sections + count_relocated(writer) + 1;
        Elf64_Ehdr *header;
        int r;

        if (symbol_table + 3 >= SHN_LORESERVE)
                return error_set(err, EXIT_CODE_ERROR, 0, NULL,
                                 "can't write an ELF file with %zu sections", symbol_table + 2);
        r = output_open(&output, err);
        if (r < 0)
                return r;
        header = elf64_getehdr(output.elf);
        header->e_ident[EI_DATA] = ELFDATA2LSB;
        header->e_type = ET_REL;
        header->e_machine = writer->machine;
        header->e_version = EV_CURRENT;
        r = output_sections(&output, writer, err);
        if (r < 0)
                return r;
        r = number_symbols(&output, writer, err);
        if (r < 0)
                return r;
        r = output_relocations(&output, writer, symbol_table, err);
        if (r < 0)
                return r;
        r = output_tables(&output, symbol_table, err);
        if (r < 0)
                return r;
        if (elf_update(output.elf, ELF_C_WRITE) < 0)
                return libelf_fault(err);
        if (lseek(output.fd, 0, SEEK_SET) < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't read back an ELF file");
        return file_read_fd(output.fd, "the new ELF file", MAX_FILE_BYTES, ret, err);
}
