/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All code of the module is decoded, and every address looked at that an instruction holds:
 * relative to itself, or absolute as a number. Code that computes an address from that of another
 * thing is not seen; compilers do so only within one object.
 */
#include "build/users.h"

#include <string.h>

struct range {
        uint64_t address, size;
};

static bool is_in(const struct range *range, uint64_t address)
{
        return address - range->address < range->size;
}

static bool instruction_uses(const uint8_t *code, uint64_t size, uint64_t base,
                             const struct code_instruction *instruction,
                             const struct range *range)
{
        uint64_t end = base + instruction->offset + instruction->length;
        int64_t numbers[2];
        int32_t distance;
        size_t n;

        if (instruction->is_branch)
                return is_in(range, base + (uint64_t)instruction->target);
        if (instruction->displacement_relative && instruction->offset + instruction->length <= size) {
                memcpy(&distance, code + instruction->offset + instruction->displacement_at,
                       sizeof(distance));
                if (is_in(range, end + (uint64_t)(int64_t)distance))
                        return true;
        }
        n = code_numbers(code, size, instruction, numbers);
        for (size_t i = 0; i < n; i++)
                if (is_in(range, (uint64_t)numbers[i]))
                        return true;
        return false;
}

static bool unit_has(const struct object *original, uint64_t address)
{
        for (size_t i = 0; i < original->n_atoms; i++) {
                const struct atom *atom = &original->atoms[i];

                if (atom->kind == ATOM_CODE && atom->found &&
                    address - atom->address < atom->shipped_size)
                        return true;
        }
        return false;
}

static bool is_known(const struct extraction *extraction, const struct object *only,
                     uint64_t address)
{
        if (only)
                return unit_has(only, address);
        for (size_t i = 0; i < extraction->n_units; i++)
                if (unit_has(extraction->originals[i], address))
                        return true;
        return false;
}

static const char *name_of_code(const struct shipped *shipped, uint64_t address)
{
        for (size_t i = 0; i < shipped->n_symbols; i++) {
                const struct shipped_symbol *symbol = &shipped->symbols[i];

                if (symbol->type == STT_FUNC && address - symbol->address < symbol->size)
                        return symbol->name;
        }
        return "other code of the module";
}

static const char *code_user(const struct extraction *extraction, const struct object *only,
                             const struct elf_section *section, const struct range *range)
{
        struct code_instruction instruction;

        for (uint64_t at = 0; code_decode(section->data, section->size, at, &instruction);
             at += instruction.length)
                if (instruction_uses(section->data, section->size, section->address, &instruction,
                                     range) &&
                    !is_in(range, section->address + at) &&
                    !is_known(extraction, only, section->address + at))
                        return name_of_code(extraction->shipped, section->address + at);
        return NULL;
}

/* Pointers that the dynamic linker sets, or that are in the file of a program at a fixed place. */
static const char *data_user(const struct shipped *shipped, const struct range *range)
{
        struct elf_relocation relocation;
        struct elf_section section;
        uint64_t word;

        for (size_t i = 1; i < shipped->view.n_sections; i++) {
                if (!elf_view_section(&shipped->view, i, &section))
                        continue;
                if (section.type == SHT_RELA)
                        for (size_t j = 0; j < elf_view_relocation_count(&section); j++)
                                if (elf_view_relocation(&shipped->view, &section, j,
                                                        &relocation) &&
                                    relocation.type == R_X86_64_RELATIVE &&
                                    is_in(range, (uint64_t)relocation.addend))
                                        return "a pointer in its data";
                if (section.type != SHT_PROGBITS || (section.flags & SHF_EXECINSTR) ||
                    !(section.flags & SHF_ALLOC) || !section.data ||
                    shipped->view.header.e_type != ET_EXEC)
                        continue;
                for (uint64_t at = 0; at + sizeof(word) <= section.size; at += sizeof(word)) {
                        memcpy(&word, section.data + at, sizeof(word));
                        if (is_in(range, word))
                                return section.name;
                }
        }
        return NULL;
}

const char *users_find_outside(const struct extraction *extraction, const struct object *only,
                               uint64_t address, uint64_t size, bool data)
{
        const struct shipped *shipped = extraction->shipped;
        const struct range range = { address, size };

        for (size_t i = 1; i < shipped->view.n_sections; i++) {
                struct elf_section section;
                const char *user;

                if (!elf_view_section(&shipped->view, i, &section) || !section.data ||
                    !(section.flags & SHF_EXECINSTR))
                        continue;
                user = code_user(extraction, only, &section, &range);
                if (user)
                        return user;
        }
        return data ? data_user(shipped, &range) : NULL;
}
