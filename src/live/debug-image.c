/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File offsets and addresses are the same: both count from the ELF header. So there is one
 * loaded segment, and sections only where a debugger looks: .text for what the symbols belong to,
 * .eh_frame to unwind by, and the tables of names.
 */
#include "live/debug-image.h"

#include <elf.h>
#include <string.h>

#include "live/bind.h"

enum section { NONE, TEXT, FRAMES, SYMBOLS, NAMES, SECTION_NAMES, N_SECTIONS };

static const char section_names[] = "\0.text\0.eh_frame\0.symtab\0.strtab\0.shstrtab";
enum { TEXT_NAME = 1, FRAMES_NAME = 7, SYMBOLS_NAME = 17, NAMES_NAME = 25, OWN_NAME = 33 };

/* The symbol of a function that is loaded; false for any other. */
static bool function_symbol(const struct binding *binding, size_t index, struct elf_symbol *ret)
{
        const struct patch *patch = binding->patch;

        return elf_view_symbol(&patch->view, &patch->symbol_table, index, ret) &&
               ret->section < patch->view.n_sections && ret->section != SHN_UNDEF &&
               binding->sections[ret->section].loaded && ret->type == STT_FUNC &&
               (binding->sections[ret->section].section.flags & SHF_EXECINSTR);
}

static void count_symbols(const struct binding *binding, size_t *ret_n, size_t *ret_names)
{
        size_t n = elf_view_symbol_count(&binding->patch->symbol_table);
        struct elf_symbol symbol;

        *ret_n = 1;     /* the first symbol and the first name are empty */
        *ret_names = 1;
        for (size_t i = 0; i < n; i++)
                if (function_symbol(binding, i, &symbol)) {
                        *ret_n += 1;
                        *ret_names += strlen(symbol.name) + 1;
                }
}

size_t debug_image_tail_size(const struct binding *binding)
{
        size_t n, names;

        count_symbols(binding, &n, &names);
        return n * sizeof(Elf64_Sym) + N_SECTIONS * sizeof(Elf64_Shdr) + names +
               sizeof(section_names);
}

static void fill_symbols(const struct binding *binding, Elf64_Sym *symbols, char *names)
{
        size_t n = elf_view_symbol_count(&binding->patch->symbol_table), name = 1, at = 1;
        struct elf_symbol symbol;

        symbols[0] = (Elf64_Sym){ 0 };
        names[0] = '\0';
        for (size_t i = 0; i < n; i++) {
                if (!function_symbol(binding, i, &symbol))
                        continue;
                symbols[at++] = (Elf64_Sym){
                        .st_name = (Elf64_Word)name,
                        .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                        .st_shndx = TEXT,
                        .st_value = binding->sections[symbol.section].offset + symbol.value -
                                    DEBUG_IMAGE_START,
                        .st_size = symbol.size,
                };
                memcpy(names + name, symbol.name, strlen(symbol.name) + 1);
                name += strlen(symbol.name) + 1;
        }
}

static Elf64_Shdr loaded(size_t name, uint64_t flags, uint64_t offset, uint64_t size)
{
        return (Elf64_Shdr){ .sh_name = (Elf64_Word)name, .sh_type = SHT_PROGBITS,
                             .sh_flags = SHF_ALLOC | flags,
                             .sh_addr = offset - DEBUG_IMAGE_START,
                             .sh_offset = offset - DEBUG_IMAGE_START, .sh_size = size, .sh_addralign = 8 };
}

static Elf64_Shdr table(size_t name, uint32_t type, uint64_t offset, uint64_t size)
{
        return (Elf64_Shdr){ .sh_name = (Elf64_Word)name, .sh_type = type,
                             .sh_offset = offset - DEBUG_IMAGE_START, .sh_size = size, .sh_addralign = 1 };
}

static void fill_head(uint8_t *image, uint64_t size, uint64_t section_table)
{
        Elf64_Ehdr header = {
                .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
                             EV_CURRENT },
                .e_type = ET_DYN,
                .e_machine = EM_X86_64,
                .e_version = EV_CURRENT,
                .e_phoff = sizeof(header),
                .e_shoff = section_table - DEBUG_IMAGE_START,
                .e_ehsize = sizeof(header),
                .e_phentsize = sizeof(Elf64_Phdr),
                .e_phnum = 1,
                .e_shentsize = sizeof(Elf64_Shdr),
                .e_shnum = N_SECTIONS,
                .e_shstrndx = SECTION_NAMES,
        };
        static const char mark[DEBUG_IMAGE_START] = "suture: code";
        Elf64_Phdr segment = { .p_type = PT_LOAD, .p_flags = PF_R | PF_X,
                               .p_filesz = size - DEBUG_IMAGE_START,
                               .p_memsz = size - DEBUG_IMAGE_START,
                               .p_align = DEBUG_IMAGE_START };

        _Static_assert(sizeof(mark) + sizeof(header) + sizeof(segment) <= DEBUG_IMAGE_HEAD,
                       "room for the head");
        memcpy(image, mark, sizeof(mark));
        memcpy(image + sizeof(mark), &header, sizeof(header));
        memcpy(image + sizeof(mark) + sizeof(header), &segment, sizeof(segment));
}

void debug_image_fill(struct binding *binding)
{
        const struct bound_frames *frames = &binding->frames;
        uint8_t *image = binding->code.data;
        Elf64_Shdr sections[N_SECTIONS] = { 0 };
        size_t n, names_size;
        uint64_t symbols = binding->tail_offset, section_table, names, own_names;

        count_symbols(binding, &n, &names_size);
        section_table = symbols + n * sizeof(Elf64_Sym);
        names = section_table + sizeof(sections);
        own_names = names + names_size;

        sections[TEXT] = loaded(TEXT_NAME, SHF_EXECINSTR, DEBUG_IMAGE_HEAD,
                                binding->text_end - DEBUG_IMAGE_HEAD);
        if (frames->n_entries > 0)
                sections[FRAMES] = loaded(FRAMES_NAME, 0, frames->offset,
                                          binding->sections[frames->section].section.size);
        sections[SYMBOLS] = table(SYMBOLS_NAME, SHT_SYMTAB, symbols, n * sizeof(Elf64_Sym));
        sections[SYMBOLS].sh_link = NAMES;
        sections[SYMBOLS].sh_info = 1;
        sections[SYMBOLS].sh_entsize = sizeof(Elf64_Sym);
        sections[NAMES] = table(NAMES_NAME, SHT_STRTAB, names, names_size);
        sections[SECTION_NAMES] = table(OWN_NAME, SHT_STRTAB, own_names, sizeof(section_names));

        fill_head(image, binding->code_size, section_table);
        fill_symbols(binding, (Elf64_Sym *)(void *)(image + symbols), (char *)image + names);
        memcpy(image + section_table, sections, sizeof(sections));
        memcpy(image + own_names, section_names, sizeof(section_names));
}
