/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Linking the sample patch (sample-patch.c) for a process that is made up here: this file stands in
 * for live/resolve.c.
 */
#include "unit.h"

#include <errno.h>

#include "base/cleanup.h"
#include "live/arch/arch.h"
#include "live/bind.h"
#include "live/debug-image.h"
#include "sample-patch.h"

#define CODE UINT64_C(0x40000000)
#define DATA UINT64_C(0x40100000)
#define BIAS UINT64_C(0x50000000)
#define MODULE_END (BIAS + 0x100000)
#define OTHER UINT64_C(0x60000000) /* where symbols of other modules are */
#define SHADOW UINT64_C(0x41000000)
#define SLOT_OF_STRLEN 888
#define LOCAL 999

/* --- The process ------------------------------------------------------------------------- */

struct resolver {
        struct elf_image module;
        uint64_t slot_value;
        int outcome;            /* of every look-up */
        unsigned n_found;
};

const struct elf_image *resolver_module(const struct resolver *resolver)
{
        return &resolver->module;
}

int resolver_read(struct resolver *resolver, uint64_t address, uint64_t *ret, struct error *err)
{
        (void)err;
        assert_int_equal(address, resolver->module.bias + SLOT_OF_STRLEN);
        *ret = resolver->slot_value;
        return resolver->outcome;
}

int resolver_find(struct resolver *resolver, const char *name, const char *version, uint64_t *ret,
                  struct error *err)
{
        (void)err;
        if (strcmp(name, "memchr") == 0) {
                assert_string_equal(version, "GLIBC_2.2.5");
                *ret = OTHER;
        } else {
                assert_string_equal(name, "strlen");
                assert_null(version);
                *ret = OTHER + 0x1000;
        }
        resolver->n_found++;
        return resolver->outcome;
}

static struct resolver new_process(uint64_t bias)
{
        return (struct resolver){ .module = { .bias = bias, .start = bias, .end = bias + 0x100000 },
                                  .slot_value = OTHER + 0x2000 };
}

/* --- The patch --------------------------------------------------------------------------- */

static struct patch *patch;

static int make_patch(void **state)
{
        struct sample sample;
        struct buffer bytes = { 0 };
        int r;

        (void)state;
        if (!sample_init(&sample))
                return -1;
        r = sample_build(&sample, &bytes, NULL);
        if (r == 0)
                r = patch_parse(bytes.data, bytes.size, "sample", &patch, NULL);
        buffer_done(&bytes);
        sample_done(&sample);
        return r;
}

static int free_patch(void **state)
{
        (void)state;
        patch_free(patch);
        return 0;
}

static struct bound_section *section_named(struct binding *binding, const char *name)
{
        for (size_t i = 0; i < patch->view.n_sections; i++)
                if (binding->sections[i].loaded &&
                    strcmp(binding->sections[i].section.name, name) == 0)
                        return &binding->sections[i];
        fail_msg("section %s is not bound", name);
        return NULL;
}

static uint64_t address_of(struct binding *binding, const char *section)
{
        const struct bound_section *bound = section_named(binding, section);

        return (bound->in_data ? binding->data_address : binding->code_address) + bound->offset;
}

static uint64_t read_at(struct binding *binding, uint64_t address, size_t size)
{
        bool in_data = address >= binding->data_address &&
                       address < binding->data_address + binding->data.size;
        const struct buffer *image = in_data ? &binding->data : &binding->code;
        uint64_t offset = address - (in_data ? binding->data_address : binding->code_address);
        uint64_t value = 0;

        assert_true(offset <= image->size && size <= image->size - offset);
        memcpy(&value, image->data + offset, size);
        return value;
}

/* Where a 32-bit field relative to its end leads, for an addend of -4. */
static uint64_t target_of(struct binding *binding, uint64_t field)
{
        return field + 4 + (uint64_t)(int64_t)(int32_t)read_at(binding, field, 4);
}

static struct binding *bind(size_t target, struct resolver *resolver)
{
        struct binding *binding = NULL;

        assert_int_equal(binding_new(patch, &patch->targets[target], false, &binding, NULL), 0);
        if (resolver)
                assert_int_equal(binding_relocate(binding, CODE, DATA, SHADOW, resolver, NULL), 0);
        return binding;
}

/* --- Tests ------------------------------------------------------------------------------- */

static void parts_are_laid_out_side_by_side(void **state)
{
        (void)state;
        for (size_t t = 0; t < patch->n_targets; t++) {
                _cleanup_(binding_freep) struct binding *binding = bind(t, NULL);
                size_t n_loaded = 0;

                for (size_t i = 0; i < patch->view.n_sections; i++) {
                        const struct bound_section *a = &binding->sections[i];
                        uint64_t end = a->offset + a->section.size;

                        if (!a->loaded)
                                continue;
                        n_loaded++;
                        assert_int_equal(a->offset % a->section.alignment, 0);
                        assert_true(end <= (a->in_data ? binding->data_size : binding->code_size));
                        assert_int_equal(a->in_data, (a->section.flags & SHF_WRITE) != 0);
                        for (size_t j = 0; j < i; j++) {
                                const struct bound_section *b = &binding->sections[j];

                                assert_true(!b->loaded || b->in_data != a->in_data ||
                                            b->offset >= end ||
                                            b->offset + b->section.size <= a->offset);
                        }
                }
                assert_int_equal(n_loaded, patch->targets[t].n_sections);
                for (size_t i = 0; i < binding->n_slots; i++) {
                        assert_int_equal(binding->slots[i].slot_offset % 8, 0);
                        assert_true(binding->slots[i].slot_offset + 8 <= binding->code_size);
                        assert_true(binding->slots[i].stub_offset + ARCH_STUB_SIZE <=
                                    binding->strict_size);
                }
        }
}

static void what_the_patch_needs_is_known(void **state)
{
        _cleanup_(binding_freep) struct binding *first = bind(0, NULL), *second = bind(1, NULL);

        (void)state;
        assert_true(first->low);
        assert_true(first->wants_shadow_root);
        assert_true(section_named(first, ".text.answer")->offset + 64 <= first->strict_size);
        assert_true(section_named(first, ".rodata.answer")->offset >= first->strict_size);
        assert_false(second->low);
        assert_false(second->wants_shadow_root);
        assert_int_equal(second->n_slots, 0);
        assert_int_equal(second->data_size, 0);
        /* one of its functions may be on a stack while it changes, and both are this one section */
        assert_int_equal(second->strict_size, DEBUG_IMAGE_HEAD);
}

static void references_lead_where_they_should(void **state)
{
        struct resolver process = new_process(BIAS);
        _cleanup_(binding_freep) struct binding *binding = bind(0, &process);
        uint64_t text = address_of(binding, ".text.answer");
        uint64_t hook = address_of(binding, ".text.hook");
        uint64_t rodata = address_of(binding, ".rodata.answer");
        uint64_t data = address_of(binding, ".data.counter");
        uint64_t bss = address_of(binding, ".bss.room");
        uint64_t slot;

        (void)state;
        assert_int_equal(target_of(binding, text + 1), BIAS + LOCAL);
        assert_int_equal(target_of(binding, text + 6), rodata);
        assert_int_equal(target_of(binding, text + 12), BIAS + SLOT_OF_STRLEN);
        slot = target_of(binding, text + 20);
        assert_int_equal(read_at(binding, slot, 8), OTHER);
        slot = target_of(binding, text + 24);
        assert_int_equal(read_at(binding, slot, 8), SHADOW);
        assert_int_equal(read_at(binding, text + 28, 4), data);
        assert_int_equal(read_at(binding, text + 32, 4), bss + 8);
        assert_int_equal(read_at(binding, text + 56, 8), hook - (text + 56));
        assert_int_equal(read_at(binding, rodata, 8), text);
        assert_int_equal(read_at(binding, data + 24, 8), OTHER);
        /* what is not code is as it was, and bss is zero */
        assert_memory_equal(binding->data.data + (data - DATA), "the answer is %d", 16);
        for (size_t i = 0; i < 4096; i++)
                assert_int_equal(binding->data.data[bss - DATA + i], 0);
        assert_int_equal(
                binding_symbol_address(binding, patch->targets[0].functions[0].symbol_index), text);
        assert_int_equal(binding_symbol_address(binding, 0), 0);
        assert_int_equal(binding_symbol_address(binding, SIZE_MAX), 0);
}

/* A slot that still leads to the lazy binder says nothing about the address of the function. */
static void an_unbound_slot_is_not_believed(void **state)
{
        struct resolver process = new_process(BIAS);
        _cleanup_(binding_freep) struct binding *binding = NULL;
        uint64_t slot;

        (void)state;
        process.slot_value = BIAS + 0x1036;
        binding = bind(0, &process);
        slot = target_of(binding, address_of(binding, ".text.answer") + 12);
        assert_in_range(slot, CODE, CODE + binding->code_size);
        assert_int_equal(read_at(binding, slot, 8), OTHER + 0x1000);
}

static void linking_again_is_for_the_new_place(void **state)
{
        struct resolver process = new_process(BIAS);
        _cleanup_(binding_freep) struct binding *binding = bind(0, &process);

        (void)state;
        assert_int_equal(binding_relocate(binding, CODE + 4096, DATA, SHADOW, &process, NULL), 0);
        assert_int_equal(target_of(binding, address_of(binding, ".text.answer") + 1), BIAS + LOCAL);
        assert_int_equal(read_at(binding, address_of(binding, ".rodata.answer"), 8),
                         address_of(binding, ".text.answer"));
}

static void what_is_out_of_reach_is_a_fault(void **state)
{
        struct resolver far = new_process(UINT64_C(0x7f0000000000)), process = new_process(BIAS);
        _cleanup_(binding_freep) struct binding *binding = bind(0, NULL);
        struct error err = { 0 };

        (void)state;
        assert_true(binding_relocate(binding, CODE, DATA, SHADOW, &far, &err) < 0);
        assert_int_equal(err.exit_code, EXIT_CODE_UNSUPPORTED);
        assert_int_not_equal(err.cause[0], '\0');
        /* data above 2 GiB for a 32-bit address */
        assert_true(binding_relocate(binding, CODE, UINT64_C(0x90000000), SHADOW, &process, &err) <
                    0);
        assert_int_equal(binding_relocate(binding, CODE, DATA, SHADOW, &process, &err), 0);
}

static void outcomes_of_a_look_up_are_handed_on(void **state)
{
        static const int outcomes[] = { TARGET_GONE, TARGET_BUSY, -ENOENT };
        _cleanup_(binding_freep) struct binding *binding = bind(0, NULL);

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++) {
                struct resolver process = new_process(BIAS);

                process.outcome = outcomes[i];
                assert_int_equal(binding_relocate(binding, CODE, DATA, SHADOW, &process, NULL),
                                 outcomes[i]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(parts_are_laid_out_side_by_side),
                cmocka_unit_test(what_the_patch_needs_is_known),
                cmocka_unit_test(references_lead_where_they_should),
                cmocka_unit_test(an_unbound_slot_is_not_believed),
                cmocka_unit_test(linking_again_is_for_the_new_place),
                cmocka_unit_test(what_is_out_of_reach_is_a_fault),
                cmocka_unit_test(outcomes_of_a_look_up_are_handed_on),
        };

        return cmocka_run_group_tests_name("live-bind", tests, make_patch, free_patch);
}
