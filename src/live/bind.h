/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Binding: from the sections of a patch file to the bytes that will lie in one process. Two images
 * are made: code (new functions, stubs for calls through slots, read-only data, slots of its own)
 * and data (writable). First the layout, which needs no addresses; then, once places are chosen,
 * the relocations.
 */
#include <stddef.h>
#include <stdint.h>
#include "base/buffer.h"
#include "base/error.h"
#include "elf/view.h"
#include "live/resolve.h"
#include "patch/patch.h"

struct bound_section {
        bool loaded, in_data;
        uint64_t offset;            /* in its image */
        struct elf_section section;
};

/* A symbol that needs a slot or a stub of our own. */
struct bound_slot {
        size_t symbol_index;        /* in the patch file */
        uint64_t stub_offset;       /* in the code image */
        uint64_t slot_offset;       /* in the code image */
};

/* The unwind information of the new code; no entries: there is none. */
struct bound_frames {
        size_t section;             /* index in the file */
        size_t n_entries;
        uint64_t offset;            /* in the code image */
        uint64_t table_offset;      /* the same: entries by address of code (as .eh_frame_hdr) */
        uint64_t code_start, code_end; /* addresses, after binding_relocate() */
};

struct binding {
        const struct patch *patch;
        const struct patch_target *target;
        struct bound_section *sections;  /* by index in the file */
        struct bound_slot *slots;
        size_t n_slots;
        uint64_t code_size, data_size;   /* bytes, not rounded */
        uint64_t strict_size;            /* of code, see struct record_level */
        bool low;                        /* needs to lie below 2 GiB */
        bool wants_shadow_root;
        bool registers;                  /* the data end with struct registrations */
        struct bound_frames frames;
        uint64_t text_end;               /* of the executable sections, in the code image */
        uint64_t tail_offset;            /* of what debuggers read, see debug-image.h */
        uint64_t code_address, data_address;
        struct buffer code, data;        /* the images, after binding_relocate() */
};

/* `registers`: make room for registering the unwind information, if there is any. */
int binding_new(const struct patch *patch, const struct patch_target *target, bool registers,
                struct binding **ret, struct error *err);
struct binding *binding_free(struct binding *binding);
DEFINE_CLEANUP(struct binding *, binding_free)

/*
 * Makes the images for the given addresses. `shadow_root` is that of the record, 0 if it has none.
 */
int binding_relocate(struct binding *binding, uint64_t code_address, uint64_t data_address,
                     uint64_t shadow_root, struct resolver *resolver, struct error *err);

/* The address of a defined symbol of the file, after binding_relocate(). */
uint64_t binding_symbol_address(const struct binding *binding, size_t symbol_index);
