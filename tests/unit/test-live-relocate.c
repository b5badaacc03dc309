/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The formulas of the psABI, table 4.9, with values at the edges of each field. */
#include "unit.h"

#include <elf.h>

#include "base/cleanup.h"
#include "live/arch/arch.h"

#define PLACE UINT64_C(0x7f0012345678)
#define GUARD 0xa5

struct row {
        uint32_t type;
        uint64_t symbol;
        int64_t addend;
        bool fits;
        uint64_t expected; /* the field, where it fits */
};

static const struct row rows[] = {
        { R_X86_64_NONE, PLACE, 4, true, 0 },
        { R_X86_64_64, PLACE, 16, true, PLACE + 16 },
        { R_X86_64_64, 0, -1, true, UINT64_MAX },
        { R_X86_64_PC64, PLACE + 0x100000000, -4, true, 0xfffffffc },
        { R_X86_64_PC64, 0, 0, true, -PLACE },
        { R_X86_64_PC32, PLACE, 0, true, 0 },
        { R_X86_64_PC32, PLACE + 0x1000, -4, true, 0xffc },
        { R_X86_64_PC32, PLACE - 0x1000, 0, true, 0xfffff000 },
        { R_X86_64_PC32, PLACE + 0x7fffffff, 0, true, 0x7fffffff },
        { R_X86_64_PC32, PLACE + 0x80000000, 0, false, 0 },
        { R_X86_64_PC32, PLACE + 0x80000000, -1, true, 0x7fffffff },
        { R_X86_64_PC32, PLACE - 0x80000000, 0, true, 0x80000000 },
        { R_X86_64_PC32, PLACE - 0x80000001, 0, false, 0 },
        { R_X86_64_PLT32, PLACE + 5, -4, true, 1 },
        { R_X86_64_PLT32, PLACE + 0x100000000, 0, false, 0 },
        { R_X86_64_GOTPCREL, PLACE + 8, -4, true, 4 },
        { R_X86_64_GOTPCRELX, PLACE + 8, -4, true, 4 },
        { R_X86_64_REX_GOTPCRELX, PLACE + 8, -4, true, 4 },
        { R_X86_64_REX_GOTPCRELX, 0, 0, false, 0 },
        { R_X86_64_32, 0xffffffff, 0, true, 0xffffffff },
        { R_X86_64_32, 0x100000000, 0, false, 0 },
        { R_X86_64_32, 0, -1, false, 0 },
        { R_X86_64_32S, 0x7fffffff, 0, true, 0x7fffffff },
        { R_X86_64_32S, 0x80000000, 0, false, 0 },
        { R_X86_64_32S, 0, -1, true, 0xffffffff },
        { R_X86_64_32S, PLACE, 0, false, 0 },
        { R_X86_64_TPOFF32, 0, 0, false, 0 },
        { R_X86_64_COPY, 0, 0, false, 0 },
        { R_X86_64_8, 0, 0, false, 0 },
        { UINT32_MAX, 0, 0, false, 0 },
};

static void fields_are_as_the_abi_says(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const struct row *row = &rows[i];
                size_t size = arch_relocation_size(row->type);
                uint8_t field[16];
                uint64_t value = 0;

                assert_in_range(size, 0, sizeof(value));
                memset(field, GUARD, sizeof(field));
                if (arch_relocate(row->type, PLACE, row->symbol, row->addend, field) != row->fits)
                        fail_msg("row %zu, type %u: does %sfit", i, row->type,
                                 row->fits ? "" : "not ");
                for (size_t j = size; j < sizeof(field); j++)
                        if (field[j] != GUARD)
                                fail_msg("row %zu writes beyond its %zu bytes", i, size);
                for (size_t j = 0; j < size; j++)
                        value |= (uint64_t)field[j] << 8 * j;
                if (row->fits && value != row->expected)
                        fail_msg("row %zu, type %u: %#lx, expected %#lx", i, row->type, value,
                                 row->expected);
        }
}

static void what_is_known_can_be_applied(void **state)
{
        (void)state;
        for (uint32_t type = 0; type < 64; type++) {
                uint8_t field[8];
                bool known = arch_relocation_class(type) != ARCH_RELOCATION_UNKNOWN;

                /* zero minus zero fits every field */
                assert_int_equal(arch_relocate(type, 0, 0, 0, field), known);
                if (arch_relocation_low(type))
                        assert_true(known);
        }
        assert_true(arch_relocation_low(R_X86_64_32));
        assert_true(arch_relocation_low(R_X86_64_32S));
        assert_false(arch_relocation_low(R_X86_64_PC32));
        assert_int_equal(arch_relocation_class(R_X86_64_PLT32), ARCH_RELOCATION_CALL);
        assert_int_equal(arch_relocation_class(R_X86_64_GOTPCREL), ARCH_RELOCATION_SLOT);
        assert_int_equal(arch_relocation_class(R_X86_64_TPOFF32), ARCH_RELOCATION_UNKNOWN);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(fields_are_as_the_abi_says),
                cmocka_unit_test(what_is_known_can_be_applied),
        };

        return cmocka_run_group_tests_name("live-relocate", tests, NULL, NULL);
}
