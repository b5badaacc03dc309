/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A reference relative to the instruction pointer counts from the end of its instruction, which
 * lies behind an immediate operand if there is one. So the code is decoded, and the distance is
 * taken out of the addend; only then it says what is meant.
 *
 * Between functions of one section the assembler leaves no relocation; such references are read
 * from the instructions.
 */
#include "build/raw-references.h"

#include <string.h>
#include "base/array.h"
#include "base/cursor.h"
#include "build/code.h"

void raw_list_done(struct raw_list *list)
{
        free(list->items);
}

static int compare_raw(const void *a, const void *b)
{
        const struct raw *x = a, *y = b;

        if (x->section != y->section)
                return x->section < y->section ? -1 : 1;
        if (x->reference.offset != y->reference.offset)
                return x->reference.offset < y->reference.offset ? -1 : 1;
        return x->reference.type < y->reference.type ? -1 : x->reference.type > y->reference.type;
}

static int read_table(const struct object *object, const struct elf_section *section,
                      const struct elf_section *table, struct raw_list *list, struct error *err)
{
        struct elf_relocation relocation;

        for (size_t i = 0; i < elf_view_relocation_count(table); i++) {
                struct raw *raw;

                if (!elf_view_relocation(&object->view, table, i, &relocation) ||
                    table->link != object->symbol_table.index)
                        return object_is_bad(object, err, "it has a broken relocation");
                if (relocation.type == R_X86_64_NONE || relocation.type == R_X86_64_TLSDESC_CALL)
                        continue;
                if (!range_fits(relocation.offset, relocation_size(relocation.type),
                                section->size))
                        return object_is_bad(object, err, "it has a relocation outside its section");
                raw = ARRAY_PUSH(list->items, list->n_items);
                if (!raw)
                        return error_no_memory(err);
                raw->section = section->index;
                raw->symbol = &object->symbols[relocation.symbol];
                raw->reference = (struct reference){
                        .offset = relocation.offset,
                        .type = relocation.type,
                        .addend = relocation.addend,
                        .symbol = raw->symbol->type == STT_SECTION ? "" : raw->symbol->name,
                        .symbol_hidden = raw->symbol->visibility == STV_HIDDEN ||
                                         raw->symbol->visibility == STV_INTERNAL,
                        .symbol_global = raw->symbol->bind != STB_LOCAL,
                        .symbol_indirect = raw->symbol->type == STT_GNU_IFUNC,
                };
        }
        return 0;
}

/* Finds the instruction of each field; `first` .. `end` are sorted, all of one section. */
static void read_uses(const struct elf_section *section, struct raw *first, const struct raw *end)
{
        struct code_instruction instruction;
        uint64_t at = 0;

        while (first < end && code_decode(section->data, section->size, at, &instruction)) {
                for (; first < end && first->reference.offset < at + instruction.length; first++) {
                        struct reference *reference = &first->reference;

                        reference->use = code_field_use(&instruction,
                                                        (uint8_t)(reference->offset - at));
                        if (reference->use == CODE_USE_MEMORY)
                                reference->access_size = (uint8_t)MIN(
                                        code_access_size(section->data, section->size, at), 64);
                        if (relocation_is_relative(reference->type))
                                reference->bias =
                                        (uint8_t)(at + instruction.length - reference->offset);
                }
                at += instruction.length;
        }
}

static void resolve_raw(struct raw *raw)
{
        const struct elf_symbol *symbol = raw->symbol;
        struct reference *reference = &raw->reference;

        reference->delta = (int64_t)((uint64_t)reference->addend + reference->bias);
        if (symbol->section == SHN_UNDEF || symbol->section >= SHN_LORESERVE)
                return;
        raw->target_section = symbol->section;
        raw->target_offset = (int64_t)(symbol->value + (uint64_t)reference->delta);
}

static bool is_within(const struct elf_symbol *function, int64_t offset)
{
        return function && offset >= (int64_t)function->value &&
               (uint64_t)offset - function->value < function->size;
}

/* The function of a section that an offset is in; NULL if none. */
static const struct elf_symbol *function_at(const struct object *object, size_t section,
                                            int64_t offset)
{
        const struct elf_symbol *found = NULL;

        for (size_t i = 1; i < object->n_symbols; i++) {
                const struct elf_symbol *symbol = &object->symbols[i];

                if (symbol->type == STT_FUNC && symbol->section == section &&
                    is_within(symbol, offset) && (!found || symbol->bind > found->bind))
                        found = symbol;
        }
        return found;
}

/* The field of an instruction that reaches another place of its section; false if it has none. */
static bool reaching_field(const struct code_instruction *instruction, const uint8_t *bytes,
                           struct reference *ret, int64_t *ret_target)
{
        int32_t distance;

        if (instruction->is_branch) {
                ret->offset = instruction->offset + instruction->immediate_at;
                ret->type = instruction->immediate_size == 4 ? R_X86_64_PLT32 : R_X86_64_PC8;
                ret->use = CODE_USE_BRANCH;
                *ret_target = instruction->target;
        } else if (instruction->displacement_relative) {
                ret->offset = instruction->offset + instruction->displacement_at;
                ret->type = R_X86_64_PC32;
                ret->use = instruction->loads_address ? CODE_USE_ADDRESS : CODE_USE_MEMORY;
                memcpy(&distance, bytes + ret->offset, sizeof(distance));
                *ret_target = (int64_t)(instruction->offset + instruction->length) + distance;
        } else {
                return false;
        }
        ret->bias = (uint8_t)(instruction->offset + instruction->length - ret->offset);
        return true;
}

/* If the instruction of `from` reaches another function without a relocation, makes one for it. */
static int read_reach(const struct object *object, const struct elf_section *section,
                      const struct elf_symbol *from, const struct code_instruction *instruction,
                      struct raw_list *list, struct error *err)
{
        const struct elf_symbol *to = NULL;
        struct reference reference = { 0 };
        struct raw *raw;
        int64_t target = 0;

        if (reaching_field(instruction, section->data, &reference, &target) &&
            !is_within(from, target))
                to = function_at(object, section->index, target);
        if (!to)
                return 0;
        raw = ARRAY_PUSH(list->items, list->n_items);
        if (!raw)
                return error_no_memory(err);
        reference.addend = target - (int64_t)to->value - reference.bias;
        reference.symbol = to->name;
        reference.symbol_global = to->bind != STB_LOCAL;
        reference.symbol_hidden = true; /* this very function is meant */
        *raw = (struct raw){ .section = section->index, .reference = reference, .symbol = to };
        return 0;
}

/*
 * Functions that share a section call each other over distances that the assembler knows, so it
 * leaves no relocation. They are made up for: `list` has those of the section, sorted, from `first`.
 */
static int read_unrelocated(const struct object *object, const struct elf_section *section,
                            size_t first, struct raw_list *list, struct error *err)
{
        const struct elf_symbol *from = NULL;
        struct code_instruction instruction;
        size_t next = first, end = list->n_items;
        uint64_t at = 0;
        int r = 0;

        while (r == 0 && code_decode(section->data, section->size, at, &instruction)) {
                uint64_t behind = at + instruction.length;
                bool relocated = next < end && list->items[next].reference.offset < behind;

                while (next < end && list->items[next].reference.offset < behind)
                        next++;
                if (!is_within(from, (int64_t)at))
                        from = function_at(object, section->index, (int64_t)at);
                if (!relocated && from)
                        r = read_reach(object, section, from, &instruction, list, err);
                at = behind;
        }
        if (r == 0)
                qsort(list->items + first, list->n_items - first, sizeof(*list->items),
                      compare_raw);
        return r;
}

static bool holds_several_functions(const struct object *object, size_t section)
{
        const struct elf_symbol *seen = NULL;

        for (size_t i = 1; i < object->n_symbols; i++) {
                const struct elf_symbol *symbol = &object->symbols[i];

                if (symbol->type != STT_FUNC || symbol->section != section)
                        continue;
                if (seen && seen->value != symbol->value)
                        return true;
                seen = symbol;
        }
        return false;
}

int raw_references_read(const struct object *object, struct raw_list *list, struct error *err)
{
        for (size_t i = 1; i < object->view.n_sections; i++) {
                const struct elf_section *section = &object->sections[i];
                struct elf_section table;
                size_t first = list->n_items;
                int r;

                if (!object_section_kind(section) || !section->data)
                        continue;
                r = elf_view_relocations_of(&object->view, i, &table)
                            ? read_table(object, section, &table, list, err)
                            : 0;
                if (r < 0)
                        return r;
                if (list->n_items > first)
                        qsort(list->items + first, list->n_items - first, sizeof(*list->items),
                              compare_raw);
                if (list->n_items > first && (section->flags & SHF_EXECINSTR))
                        read_uses(section, list->items + first, list->items + list->n_items);
                if ((section->flags & SHF_EXECINSTR) && holds_several_functions(object, i))
                        r = read_unrelocated(object, section, first, list, err);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < list->n_items; i++)
                resolve_raw(&list->items[i]);
        return 0;
}
