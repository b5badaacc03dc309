/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Machine code, and the names that the compiler makes. */
#include "build/code.h"
#include "build/object.h"
#include "unit.h"

#define BYTES(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

static void instructions(void **state)
{
        static const uint8_t code[] = {
                0xe8, 1, 0, 0, 0,                               /* call +1 */
                0x75, 0xfb,                                     /* jne -5 */
                0x48, 0x8d, 0x05, 4, 0, 0, 0,                   /* lea 4(%rip), %rax */
                0x83, 0x3d, 8, 0, 0, 0, 5,                      /* cmpl $5, 8(%rip) */
                0xc3,
        };
        struct code_instruction instruction;

        (void)state;
        assert_true(code_decode(code, sizeof(code), 0, &instruction));
        assert_true(instruction.is_branch && instruction.is_call && !instruction.ends_flow);
        assert_int_equal(instruction.target, 6);
        assert_int_equal(code_field_use(&instruction, 1), CODE_USE_BRANCH);
        assert_true(code_decode(code, sizeof(code), 5, &instruction));
        assert_true(instruction.is_conditional);
        assert_int_equal(instruction.target, 2);
        assert_true(code_decode(code, sizeof(code), 7, &instruction));
        assert_int_equal(code_field_use(&instruction, 3), CODE_USE_ADDRESS);
        assert_true(code_decode(code, sizeof(code), 14, &instruction));
        assert_int_equal(instruction.length, 7);
        assert_int_equal(code_field_use(&instruction, 2), CODE_USE_MEMORY);
        assert_int_equal(code_field_use(&instruction, 6), CODE_USE_ADDRESS);
        assert_true(instruction.displacement_relative);
        assert_true(code_decode(code, sizeof(code), 21, &instruction));
        assert_true(instruction.is_return && instruction.ends_flow);
        assert_false(code_decode(code, sizeof(code), 22, &instruction));
        /* what can't be decoded is one byte */
        assert_true(code_decode(BYTES(0x06), 0, &instruction));
        assert_false(instruction.valid);
        assert_int_equal(instruction.length, 1);
}

static void access_sizes(void **state)
{
        (void)state;
        assert_int_equal(code_access_size(BYTES(0x83, 0x3d, 8, 0, 0, 0, 5), 0), 4);
        /* movsd 8(%rip), %xmm0; movaps */
        assert_int_equal(code_access_size(BYTES(0xf2, 0x0f, 0x10, 0x05, 8, 0, 0, 0), 0), 8);
        assert_int_equal(code_access_size(BYTES(0x0f, 0x28, 0x05, 8, 0, 0, 0), 0), 16);
        /* lea reads nothing; mov 8(%rax), %eax may read anything */
        assert_int_equal(code_access_size(BYTES(0x48, 0x8d, 0x05, 4, 0, 0, 0), 0), 0);
        assert_int_equal(code_access_size(BYTES(0x8b, 0x40, 8), 0), 0);
}

static void padding(void **state)
{
        (void)state;
        assert_true(code_is_padding(BYTES(0x90, 0xcc, 0x90), 3));
        /* nopl 0(%rax): three bytes, of which one is needed, or that are cut off */
        assert_true(code_is_padding(BYTES(0x0f, 0x1f, 0x00), 1));
        assert_false(code_is_padding(BYTES(0x0f, 0x1f), 1));
        assert_false(code_is_padding(BYTES(0x90, 0xc3), 2));
        assert_false(code_is_padding(BYTES(0x90), 2));
        assert_false(code_is_padding(BYTES(0, 0), 2));
}

static void beginnings(void **state)
{
        (void)state;
        assert_int_equal(code_jump_needs(BYTES(0x55, 0xc3)), 5);
        assert_int_equal(code_jump_needs(BYTES(0xf3, 0x0f, 0x1e, 0xfa, 0xc3)), 9);
        /* dec %rdi; 1: inc %eax; dec %rdi; jne 1b; ret */
        assert_false(code_entry_movable(
                BYTES(0x48, 0xff, 0xcf, 0xff, 0xc0, 0x48, 0xff, 0xcf, 0x75, 0xf9, 0xc3)));
        /* the same with the loop behind the first five bytes */
        assert_true(code_entry_movable(BYTES(0x90, 0x90, 0x48, 0xff, 0xcf, 0xff, 0xc0, 0x48, 0xff,
                                             0xcf, 0x75, 0xf9, 0xc3)));
        /* a jump back to the very beginning meets the jump that is there then */
        assert_true(code_entry_movable(BYTES(0x48, 0xff, 0xcf, 0xff, 0xc0, 0x75, 0xf9, 0xc3)));
        /* loop has only a short form */
        assert_false(code_entry_movable(BYTES(0xe2, 0x10, 0x90, 0x90, 0x90, 0xc3)));
}

static void ways_back(void **state)
{
        (void)state;
        /* jmp to itself; call and jump back; the same with a return; a tail call; ud2 alone */
        assert_true(code_never_returns(BYTES(0xeb, 0xfe)));
        assert_true(code_never_returns(BYTES(0xe8, 0x10, 0, 0, 0, 0xeb, 0xf9)));
        assert_false(code_never_returns(BYTES(0x74, 0x05, 0xe8, 0x10, 0, 0, 0, 0xeb, 0xf7, 0xc3)));
        assert_false(code_never_returns(BYTES(0xe9, 0x10, 0, 0, 0)));
        assert_false(code_never_returns(BYTES(0x0f, 0x0b)));
        assert_false(code_never_returns(BYTES(0xff, 0xe0)));
}

static void base_names(void **state)
{
        static const struct {
                const char *name, *base;
                bool numbered;
        } names[] = {
                { "plain", "plain", false },
                { "count.12", "count", true },
                { "f.isra.0", "f.isra", true },
                { "f.constprop.0.isra.1", "f.constprop.isra", true },
                { "f.part.3.cold", "f.part.cold", true },
                { "f.cold", "f.cold", false },
                { "CSWTCH.7", "CSWTCH", true },
                { ".5", ".5", false },
                { "v2.1b", "v2.1b", false },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                _cleanup_free_ char *base = NULL;
                bool numbered;

                base = object_base_name(names[i].name, &numbered);
                assert_string_equal(base, names[i].base);
                assert_int_equal(numbered, names[i].numbered);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(instructions), cmocka_unit_test(access_sizes),
                cmocka_unit_test(padding),      cmocka_unit_test(beginnings),
                cmocka_unit_test(ways_back),    cmocka_unit_test(base_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
