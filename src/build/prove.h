/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Is the rebuilt module the shipped one? The shipped one is stripped; if both agree, the
 * rebuilt one's symbols are valid for it. Compared are all sections that are loaded, by name, address,
 * size and bytes, but for the build ID. If code differs, it is looked at function by function, with
 * the fields masked that hold the distance to something else.
 */
#include "build/build.h"
#include "elf/view.h"

enum prove_outcome {
        /*
         * They are not the same program: a loaded section has another place or size, or a
         * function is not equal. `ret` is filled, err says what differs first.
         */
        PROVE_DIFFERENT = 1,
};

int prove_equal(const struct elf_view *shipped, const struct elf_view *rebuilt,
                struct build_proof *ret, struct error *err);
void build_proof_done(struct build_proof *proof);

/*
 * True if two functions have the same instructions: equal bytes, but for the distance or address
 * of something outside of the function and inside of the module, which is linked to
 * [module_start, module_end). Addresses as numbers count only where the module has a fixed place.
 */
bool prove_function_equal(const uint8_t *a, const uint8_t *b, size_t size, uint64_t address_a,
                          uint64_t address_b, uint64_t module_start, uint64_t module_end);
