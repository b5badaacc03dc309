/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sound.h"

#include <string.h>

#include "base/cursor.h"

static unsigned int sum_bytes(const void *data, size_t size)
{
        const uint8_t *bytes = data;
        unsigned int sum = 0;

        for (size_t i = 0; bytes && i < size; i++)
                sum = sum * 31 + bytes[i];
        return sum;
}

static unsigned int sum_string(const char *text)
{
        return text ? sum_bytes(text, strlen(text)) : 1;
}

/* Long tables are sampled, so that the walk stays short. */
static size_t stride(size_t n)
{
        return n > 4096 ? n / 4096 : 1;
}

static unsigned int walk_section(const struct elf_view *view, const struct elf_section *section)
{
        struct elf_relocation relocation;
        unsigned int sum = sum_string(section->name);
        struct elf_symbol symbol;
        size_t n;

        if (section->data)
                sum += sum_bytes(section->data, MIN(section->size, 65536));
        if (section->data && section->size > 0)
                sum += section->data[section->size - 1];
        n = elf_view_symbol_count(section);
        for (size_t i = 0; i < n; i += stride(n))
                if (elf_view_symbol(view, section, i, &symbol))
                        sum += sum_string(symbol.name) + symbol.section;
        n = elf_view_relocation_count(section);
        for (size_t i = 0; i < n; i += stride(n))
                if (elf_view_relocation(view, section, i, &relocation))
                        sum += relocation.type + relocation.symbol +
                               (unsigned int)relocation.addend;
        return sum;
}

unsigned int walk_view(const struct elf_view *view)
{
        struct elf_section section;
        struct build_id id;
        unsigned int sum = 0;
        Elf64_Phdr segment;

        for (size_t i = 0; i < view->n_sections; i += stride(view->n_sections))
                if (elf_view_section(view, i, &section))
                        sum += walk_section(view, &section);
        for (size_t i = 0; elf_view_segment(view, i, &segment); i += stride(view->n_segments)) {
                const uint8_t *bytes = elf_view_at_address(view, segment.p_vaddr,
                                                           segment.p_filesz);

                sum += sum_bytes(bytes, bytes ? MIN(segment.p_filesz, 65536) : 0);
        }
        if (elf_view_find_section(view, ".suture.manifest", &section))
                sum++;
        if (elf_view_relocations_of(view, 1, &section))
                sum++;
        if (elf_view_build_id(view, &id))
                sum += sum_bytes(id.bytes, id.size);
        return sum;
}

static bool code_is_sound(const struct patch *patch, const struct patch_target *target,
                          size_t symbol_index, const char *name)
{
        struct elf_section section;
        struct elf_symbol symbol;
        bool listed = false;

        if (!elf_view_symbol(&patch->view, &patch->symbol_table, symbol_index, &symbol) ||
            strcmp(symbol.name, name) != 0)
                return false;
        for (size_t i = 0; i < target->n_sections; i++)
                listed |= target->sections[i] == symbol.section;
        return listed && elf_view_section(&patch->view, symbol.section, &section) &&
               (section.flags & SHF_EXECINSTR) && !(section.flags & SHF_WRITE) && section.data &&
               symbol.value < section.size &&
               range_fits(symbol.value, symbol.size, section.size);
}

static bool functions_are_sound(const struct patch *patch, const struct patch_target *target)
{
        if (target->n_functions < 1 || target->n_functions > PATCH_MAX_FUNCTIONS)
                return false;
        for (size_t i = 0; i < target->n_functions; i++) {
                const struct patch_function *function = &target->functions[i];

                if (!function->name || function->range.size == 0 ||
                    function->range.address + function->range.size < function->range.address ||
                    !code_is_sound(patch, target, function->symbol_index, function->symbol))
                        return false;
                for (size_t j = 0; j < i; j++) {
                        const struct patch_range *a = &function->range;
                        const struct patch_range *b = &target->functions[j].range;

                        if (a->address < b->address + b->size && b->address < a->address + a->size)
                                return false;
                }
        }
        return (!target->hook_pre ||
                code_is_sound(patch, target, target->hook_pre, target->hook_pre_name)) &&
               (!target->hook_post ||
                code_is_sound(patch, target, target->hook_post, target->hook_post_name)) &&
               (!target->hook_undo ||
                code_is_sound(patch, target, target->hook_undo, target->hook_undo_name));
}

static bool symbol_is_provided(const struct patch_target *target, size_t index)
{
        for (size_t i = 0; i < target->n_symbols; i++)
                if (target->symbols[i].symbol_index == index)
                        return true;
        return false;
}

static bool section_is_listed(const struct patch_target *target, size_t index)
{
        for (size_t i = 0; i < target->n_sections; i++)
                if (target->sections[i] == index)
                        return true;
        return false;
}

static bool relocations_are_sound(const struct patch *patch, const struct patch_target *target,
                                  const struct elf_section *section)
{
        struct elf_relocation relocation;
        struct elf_section table;
        struct elf_symbol symbol;

        if (!elf_view_relocations_of(&patch->view, section->index, &table))
                return true;
        for (size_t i = 0; i < elf_view_relocation_count(&table); i++) {
                if (!elf_view_relocation(&patch->view, &table, i, &relocation) ||
                    !elf_view_symbol(&patch->view, &patch->symbol_table, relocation.symbol,
                                     &symbol))
                        return false;
                if (relocation.type == R_X86_64_NONE)
                        continue;
                if (!range_fits(relocation.offset, 4, section->size) || !section->data)
                        return false;
                if (symbol.section == SHN_UNDEF ? !symbol_is_provided(target, symbol.index)
                                                : !section_is_listed(target, symbol.section))
                        return false;
        }
        return true;
}

static bool target_is_sound(const struct patch *patch, const struct patch_target *target)
{
        struct elf_section section;
        uint64_t total = 0;

        if (target->build_id.size == 0 || !target->module || target->n_sections == 0)
                return false;
        for (size_t i = 0; i < target->n_sections; i++) {
                if (i > 0 && target->sections[i] <= target->sections[i - 1])
                        return false;
                if (!elf_view_section(&patch->view, target->sections[i], &section) ||
                    !(section.flags & SHF_ALLOC) || section.alignment > 4096 ||
                    !relocations_are_sound(patch, target, &section))
                        return false;
                total += section.size;
        }
        return total <= 16u << 20 && functions_are_sound(patch, target);
}

bool patch_is_sound(const struct patch *patch)
{
        char name[PATCH_NAME_SIZE];

        patch_format_name(patch, name);
        if (strlen(patch->id) > 48 || patch->level < 1 || !patch->title || !patch->created ||
            !patch->source_package || !patch->source_version || patch->n_targets < 1)
                return false;
        if (strncmp(name, patch->id, strlen(patch->id)) != 0)
                return false;
        for (size_t i = 0; i < patch->n_targets; i++) {
                if (patch_find_target(patch, &patch->targets[i].build_id) != &patch->targets[i])
                        return false;
                if (!target_is_sound(patch, &patch->targets[i]))
                        return false;
        }
        return true;
}
