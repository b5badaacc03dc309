/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small linker. What it can rely on: patch_open() has checked that every section, symbol and
 * relocation named here exists, lies in its bounds and is of a known type. What it adds is where
 * things are in this one process.
 *
 * Calls to symbols of other modules go through a stub that jumps through a slot: the module's own,
 * so that lazy binding, interposition and IFUNC mean what they mean for the old code; or, for
 * symbols the module has no slot for, one of ours, filled as the dynamic linker would have.
 */
#include "live/bind.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cursor.h"
#include "elf/frames.h"
#include "live/arch/arch.h"
#include "live/debug-image.h"
#include "live/record.h"
#include "live/registration.h"

#define NOT_EXECUTABLE 0xcc

static const struct patch_symbol *outside_symbol(const struct binding *binding, size_t index)
{
        for (size_t i = 0; i < binding->target->n_symbols; i++)
                if (binding->target->symbols[i].symbol_index == index)
                        return &binding->target->symbols[i];
        return NULL;
}

/* --- Layout ------------------------------------------------------------------------------ */

enum layout_part { PART_STRICT, PART_ENTRY, PART_READ_ONLY, PART_DATA, PART_BSS };

static bool is_entry_section(const struct binding *binding, size_t section)
{
        const struct patch *patch = binding->patch;
        struct elf_symbol symbol;

        for (size_t i = 0; i < binding->target->n_functions; i++) {
                const struct patch_function *function = &binding->target->functions[i];

                if (function->consistency == PATCH_ENTRY &&
                    elf_view_symbol(&patch->view, &patch->symbol_table, function->symbol_index,
                                    &symbol) &&
                    symbol.section == section)
                        return true;
        }
        return false;
}

static enum layout_part part_of(const struct binding *binding, const struct elf_section *section)
{
        if (section->flags & SHF_EXECINSTR)
                return is_entry_section(binding, section->index) ? PART_ENTRY : PART_STRICT;
        if (!(section->flags & SHF_WRITE))
                return PART_READ_ONLY;
        return section->type == SHT_NOBITS ? PART_BSS : PART_DATA;
}

static void lay_out_part(struct binding *binding, enum layout_part part, uint64_t *offset)
{
        for (size_t i = 0; i < binding->patch->view.n_sections; i++) {
                struct bound_section *bound = &binding->sections[i];

                if (!bound->loaded || part_of(binding, &bound->section) != part)
                        continue;
                *offset = ROUND_UP(*offset, bound->section.alignment);
                bound->offset = *offset;
                bound->in_data = part >= PART_DATA;
                *offset += bound->section.size;
        }
}

static struct bound_slot *find_slot(const struct binding *binding, size_t symbol_index)
{
        for (size_t i = 0; i < binding->n_slots; i++)
                if (binding->slots[i].symbol_index == symbol_index)
                        return &binding->slots[i];
        return NULL;
}

/* Room for what one relocation needs: a stub, a slot of our own, or nothing. */
static int plan_relocation(struct binding *binding, const struct elf_relocation *relocation,
                           struct error *err)
{
        const struct patch_symbol *outside = outside_symbol(binding, relocation->symbol);
        enum arch_relocation_class class = arch_relocation_class(relocation->type);
        bool through_slot = outside && (outside->kind == PATCH_SYMBOL_SLOT ||
                                        outside->kind == PATCH_SYMBOL_IMPORT);

        binding->low = binding->low || arch_relocation_low(relocation->type);
        if (outside && outside->kind == PATCH_SYMBOL_RUNTIME)
                binding->wants_shadow_root = true;
        if (class != ARCH_RELOCATION_SLOT && !(class == ARCH_RELOCATION_CALL && through_slot))
                return 0;
        if (!find_slot(binding, relocation->symbol)) {
                struct bound_slot *slot = ARRAY_PUSH(binding->slots, binding->n_slots);

                if (!slot)
                        return error_no_memory(err);
                slot->symbol_index = relocation->symbol;
        }
        return 0;
}

static int plan_relocations(struct binding *binding, struct error *err)
{
        const struct elf_view *view = &binding->patch->view;
        struct elf_relocation relocation;
        struct elf_section table;

        for (size_t i = 0; i < view->n_sections; i++) {
                if (!binding->sections[i].loaded || !elf_view_relocations_of(view, i, &table))
                        continue;
                for (size_t j = 0; j < elf_view_relocation_count(&table); j++) {
                        int r = 0;

                        if (elf_view_relocation(view, &table, j, &relocation))
                                r = plan_relocation(binding, &relocation, err);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

/* --- Unwind information ------------------------------------------------------------------ */

static bool is_frame_section(const struct elf_section *section)
{
        static const char name[] = ".eh_frame";
        size_t length = strlen(name);

        return strncmp(section->name, name, length) == 0 && section->data &&
               (section->name[length] == '\0' || section->name[length] == '@');
}

static int bad_frames(const struct elf_section *section, struct error *err)
{
        return error_set(err, EXIT_CODE_ERROR, 0, "rebuild the patch with this version of suture",
                         "the unwind information in section %s of the patch is malformed",
                         section->name);
}

/* The list must be whole and end with the section, since runtimes follow it as it is. */
static int count_frames(struct binding *binding, const struct elf_section *section,
                        struct error *err)
{
        struct frame frame, common;
        uint64_t at = 0, common_at;
        int r;

        while ((r = frames_next(section->data, section->size, &at, &frame)) == 0) {
                if (frame.is_common)
                        continue;
                common_at = frame.common;
                if (frame.size < FRAME_CODE_POINTER + 8 ||
                    frames_next(section->data, section->size, &common_at, &common) != 0 ||
                    !common.is_common)
                        return bad_frames(section, err);
                binding->frames.n_entries++;
        }
        if (r != FRAMES_END || at != section->size || at < 4 ||
            memcmp(section->data + at - 4, "\0\0\0", 4) != 0)
                return bad_frames(section, err);
        binding->frames.section = section->index;
        return 0;
}

static int find_frames(struct binding *binding, struct error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < binding->patch->view.n_sections; i++) {
                const struct bound_section *bound = &binding->sections[i];

                if (!bound->loaded || !is_frame_section(&bound->section))
                        continue;
                if (binding->frames.section != 0)
                        return bad_frames(&bound->section, err);
                r = count_frames(binding, &bound->section, err);
        }
        return r;
}

static int compare_rows(const void *a, const void *b)
{
        const int32_t *x = a, *y = b;

        return x[0] < y[0] ? -1 : x[0] > y[0];
}

/* Once the list is relocated: which entry is for which code, relative to the image's start. */
static int fill_frame_table(struct binding *binding, struct error *err)
{
        struct bound_frames *frames = &binding->frames;
        const struct elf_section *section = &binding->sections[frames->section].section;
        const uint8_t *list = binding->code.data + frames->offset;
        uint64_t address = binding->code_address + frames->offset, start, size, at = 0;
        _cleanup_free_ int32_t (*rows)[2] = calloc(frames->n_entries + 1, sizeof(*rows));
        struct frame frame;
        size_t n = 0;

        if (!rows)
                return error_no_memory(err);
        frames->code_start = UINT64_MAX;
        frames->code_end = 0;
        while (n < frames->n_entries && frames_next(list, section->size, &at, &frame) == 0) {
                if (frame.is_common)
                        continue;
                if (!frames_code(list, section->size, address, &frame, &start, &size) ||
                    start < binding->code_address ||
                    !range_fits(start - binding->code_address, size, binding->code_size))
                        return bad_frames(section, err);
                rows[n][0] = (int32_t)(start - binding->code_address);
                rows[n++][1] = (int32_t)(frames->offset + frame.offset);
                frames->code_start = MIN(frames->code_start, start);
                frames->code_end = MAX(frames->code_end, start + size);
        }
        qsort(rows, n, sizeof(*rows), compare_rows);
        memcpy(binding->code.data + frames->table_offset, rows, n * sizeof(*rows));
        return 0;
}

static void lay_out(struct binding *binding)
{
        uint64_t code = DEBUG_IMAGE_HEAD, data = 0;

        lay_out_part(binding, PART_STRICT, &code);
        code = ROUND_UP(code, UINT64_C(16));
        for (size_t i = 0; i < binding->n_slots; i++, code += ARCH_STUB_SIZE)
                binding->slots[i].stub_offset = code;
        binding->strict_size = code;
        lay_out_part(binding, PART_ENTRY, &code);
        binding->text_end = code;
        lay_out_part(binding, PART_READ_ONLY, &code);
        code = ROUND_UP(code, UINT64_C(8));
        for (size_t i = 0; i < binding->n_slots; i++, code += 8)
                binding->slots[i].slot_offset = code;
        binding->frames.table_offset = code;
        code += binding->frames.n_entries * 8;
        binding->tail_offset = code;
        code += debug_image_tail_size(binding);
        lay_out_part(binding, PART_DATA, &data);
        lay_out_part(binding, PART_BSS, &data);
        binding->frames.offset = binding->sections[binding->frames.section].offset;
        if (binding->registers)
                data = ROUND_UP(data, UINT64_C(16)) + sizeof(struct registrations);
        binding->code_size = code;
        binding->data_size = data;
}

int binding_new(const struct patch *patch, const struct patch_target *target, bool registers,
                struct binding **ret, struct error *err)
{
        _cleanup_(binding_freep) struct binding *binding = calloc(1, sizeof(*binding));
        int r;

        if (!binding)
                return error_no_memory(err);
        binding->patch = patch;
        binding->target = target;
        binding->sections = calloc(patch->view.n_sections + 1, sizeof(*binding->sections));
        if (!binding->sections)
                return error_no_memory(err);
        for (size_t i = 0; i < target->n_sections; i++) {
                size_t index = target->sections[i];

                binding->sections[index].loaded = elf_view_section(
                        &patch->view, index, &binding->sections[index].section);
        }
        r = plan_relocations(binding, err);
        if (r == 0)
                r = find_frames(binding, err);
        if (r < 0)
                return r;
        binding->registers = registers && binding->frames.n_entries > 0;
        lay_out(binding);
        *ret = STEAL(binding);
        return 0;
}

struct binding *binding_free(struct binding *binding)
{
        if (!binding)
                return NULL;
        buffer_done(&binding->code);
        buffer_done(&binding->data);
        free(binding->sections);
        free(binding->slots);
        free(binding);
        return NULL;
}

/* --- Relocation -------------------------------------------------------------------------- */

static uint64_t section_address(const struct binding *binding, const struct bound_section *bound)
{
        return (bound->in_data ? binding->data_address : binding->code_address) + bound->offset;
}

uint64_t binding_symbol_address(const struct binding *binding, size_t symbol_index)
{
        const struct patch *patch = binding->patch;
        struct elf_symbol symbol;

        if (!elf_view_symbol(&patch->view, &patch->symbol_table, symbol_index, &symbol) ||
            symbol.section >= patch->view.n_sections ||
            !binding->sections[symbol.section].loaded)
                return 0;
        return section_address(binding, &binding->sections[symbol.section]) + symbol.value;
}

struct relocating {
        struct binding *binding;
        struct resolver *resolver;
        uint64_t shadow_root;
};

/* The address that a symbol stands for, whatever its kind. */
static int symbol_address(const struct relocating *context, size_t index, uint64_t *ret,
                          struct error *err)
{
        const struct patch_symbol *outside = outside_symbol(context->binding, index);

        if (!outside) {
                *ret = binding_symbol_address(context->binding, index);
                return 0;
        }
        switch (outside->kind) {
        case PATCH_SYMBOL_LOCAL:
                *ret = resolver_module(context->resolver)->bias + outside->address;
                return 0;
        case PATCH_SYMBOL_RUNTIME:
                *ret = context->shadow_root;
                return 0;
        default:
                return resolver_find(context->resolver, outside->lookup, outside->version, ret,
                                     err);
        }
}

/*
 * The slot through which a symbol is reached: the module's own where it has one that holds (or, for
 * a call, will hold) the address; else the one laid out here, which is then filled.
 */
static int slot_address(const struct relocating *context, struct bound_slot *slot, bool for_call,
                        uint64_t *ret, struct error *err)
{
        struct binding *binding = context->binding;
        const struct patch_symbol *outside = outside_symbol(binding, slot->symbol_index);
        uint64_t value;
        int r;

        if (outside && outside->kind == PATCH_SYMBOL_SLOT) {
                const struct elf_image *module = resolver_module(context->resolver);

                *ret = module->bias + outside->address;
                if (for_call)
                        return 0;
                r = resolver_read(context->resolver, *ret, &value, err);
                if (r != 0)
                        return r;
                if (value < module->start || value >= module->end)
                        return 0;
                /* it leads to the module itself: perhaps only to the lazy binder */
        }
        r = symbol_address(context, slot->symbol_index, &value, err);
        if (r != 0)
                return r;
        memcpy(binding->code.data + slot->slot_offset, &value, sizeof(value));
        *ret = binding->code_address + slot->slot_offset;
        return 0;
}

/* What the relocation's formula calls S, or G + GOT. */
static int relocation_value(const struct relocating *context,
                            const struct elf_relocation *relocation, uint64_t *ret,
                            struct error *err)
{
        struct binding *binding = context->binding;
        struct bound_slot *slot = find_slot(binding, relocation->symbol);
        const struct patch_symbol *outside = outside_symbol(binding, relocation->symbol);
        uint64_t through;
        int r;

        switch (arch_relocation_class(relocation->type)) {
        case ARCH_RELOCATION_SLOT:
                return slot_address(context, slot, false, ret, err);
        case ARCH_RELOCATION_CALL:
                if (!outside || (outside->kind != PATCH_SYMBOL_SLOT &&
                                 outside->kind != PATCH_SYMBOL_IMPORT))
                        break;
                r = slot_address(context, slot, true, &through, err);
                if (r != 0)
                        return r;
                *ret = binding->code_address + slot->stub_offset;
                if (!arch_slot_stub(*ret, through, binding->code.data + slot->stub_offset))
                        return error_set(err, EXIT_CODE_UNSUPPORTED, 0, NULL,
                                         "the slot of \"%s\" is out of reach", outside->name);
                return 0;
        default:
                break;
        }
        return symbol_address(context, relocation->symbol, ret, err);
}

static int relocate_section(const struct relocating *context, const struct bound_section *bound,
                            struct error *err)
{
        struct binding *binding = context->binding;
        const struct elf_view *view = &binding->patch->view;
        struct buffer *image = bound->in_data ? &binding->data : &binding->code;
        struct elf_relocation relocation;
        struct elf_section table;
        uint64_t value;
        int r;

        if (!elf_view_relocations_of(view, bound->section.index, &table))
                return 0;
        for (size_t i = 0; i < elf_view_relocation_count(&table); i++) {
                size_t field_size;

                if (!elf_view_relocation(view, &table, i, &relocation))
                        continue;
                field_size = arch_relocation_size(relocation.type);
                if (!range_fits(relocation.offset, field_size, bound->section.size))
                        return error_set(err, EXIT_CODE_ERROR, 0, NULL,
                                         "a relocation of section %s lies outside of it",
                                         bound->section.name);
                r = relocation_value(context, &relocation, &value, err);
                if (r != 0)
                        return r;
                if (!arch_relocate(relocation.type,
                                   section_address(binding, bound) + relocation.offset, value,
                                   relocation.addend,
                                   image->data + bound->offset + relocation.offset))
                        return error_set(err, EXIT_CODE_UNSUPPORTED, 0,
                                         "rebuild the patch with -mcmodel=medium or larger",
                                         "a reference in section %s is out of reach",
                                         bound->section.name);
        }
        return 0;
}

static bool copy_sections(struct binding *binding)
{
        buffer_done(&binding->code);
        buffer_done(&binding->data);
        if (!buffer_append_zeros(&binding->code, binding->code_size) ||
            !buffer_append_zeros(&binding->data, binding->data_size))
                return false;
        memset(binding->code.data, NOT_EXECUTABLE, binding->code_size);
        for (size_t i = 0; i < binding->patch->view.n_sections; i++) {
                const struct bound_section *bound = &binding->sections[i];
                struct buffer *image = bound->in_data ? &binding->data : &binding->code;

                if (!bound->loaded || bound->section.size == 0)
                        continue;
                if (bound->section.data)
                        memcpy(image->data + bound->offset, bound->section.data,
                               bound->section.size);
                else
                        memset(image->data + bound->offset, 0, bound->section.size);
        }
        return true;
}

int binding_relocate(struct binding *binding, uint64_t code_address, uint64_t data_address,
                     uint64_t shadow_root, struct resolver *resolver, struct error *err)
{
        struct relocating context = { binding, resolver, shadow_root };

        binding->code_address = code_address;
        binding->data_address = data_address;
        if (!copy_sections(binding))
                return error_no_memory(err);
        for (size_t i = 0; i < binding->patch->view.n_sections; i++) {
                int r = 0;

                if (binding->sections[i].loaded)
                        r = relocate_section(&context, &binding->sections[i], err);
                if (r != 0)
                        return r;
        }
        debug_image_fill(binding);
        return binding->frames.n_entries > 0 ? fill_frame_table(binding, err) : 0;
}
