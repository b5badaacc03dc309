/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/prove.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/file.h"

enum { MODULE_START = 0x1000, MODULE_END = 0x9000, PLACE = 0x2000 };

static bool equal(const uint8_t *a, const uint8_t *b, size_t size, uint64_t place_b)
{
        return prove_function_equal(a, b, size, PLACE, place_b, MODULE_START, MODULE_END);
}

static void test_masked_fields(void **state)
{
        /* call +0x100; ret */
        static const uint8_t call_a[] = { 0xe8, 0x00, 0x01, 0, 0, 0xc3 };
        static const uint8_t call_b[] = { 0xe8, 0x40, 0x02, 0, 0, 0xc3 };
        static const uint8_t call_far[] = { 0xe8, 0x00, 0x00, 0x10, 0, 0xc3 }; /* not in the module */
        /* jmp to itself; jmp to the next instruction: within the function */
        static const uint8_t loop[] = { 0xeb, 0xfe, 0xc3 }, next[] = { 0xeb, 0x00, 0xc3 };
        /* lea 0x300(%rip),%rax; lea 0x500(%rip),%rax; mov 0x300(%rip),%rax */
        static const uint8_t lea_a[] = { 0x48, 0x8d, 0x05, 0, 0x03, 0, 0 };
        static const uint8_t lea_b[] = { 0x48, 0x8d, 0x05, 0, 0x05, 0, 0 };
        static const uint8_t mov[] = { 0x48, 0x8b, 0x05, 0, 0x03, 0, 0 };

        (void)state;
        assert_true(equal(call_a, call_a, sizeof(call_a), PLACE));
        assert_true(equal(call_a, call_b, sizeof(call_a), PLACE));
        assert_false(equal(call_a, call_far, sizeof(call_a), PLACE));
        assert_false(equal(loop, next, sizeof(loop), PLACE));
        assert_true(equal(loop, loop, sizeof(loop), PLACE + 0x40));
        assert_true(equal(lea_a, lea_b, sizeof(lea_a), PLACE + 0x40));
        assert_false(equal(lea_a, mov, sizeof(lea_a), PLACE));
}

static void test_constants_count(void **state)
{
        /* mov $5,%eax; mov $6,%eax: numbers, not places */
        static const uint8_t five[] = { 0xb8, 5, 0, 0, 0, 0xc3 }, six[] = { 0xb8, 6, 0, 0, 0, 0xc3 };
        /* add $8,%rsp; add $16,%rsp; and a structure's field: mov 8(%rdi),%eax; mov 12(%rdi),%eax */
        static const uint8_t add_a[] = { 0x48, 0x83, 0xc4, 8 }, add_b[] = { 0x48, 0x83, 0xc4, 16 };
        static const uint8_t field_a[] = { 0x8b, 0x47, 8 }, field_b[] = { 0x8b, 0x47, 12 };
        /* mov $0x403000,%edi and $0x404000: places only in a program that has a fixed one */
        static const uint8_t address_a[] = { 0xbf, 0, 0x30, 0x40, 0 },
                             address_b[] = { 0xbf, 0, 0x40, 0x40, 0 };
        /* imul $1000,%edi,%eax and $1001; mov 0x2000(%rdi),%eax and 0x2100(%rdi) */
        static const uint8_t imul_a[] = { 0x69, 0xc7, 0xe8, 3, 0, 0 },
                             imul_b[] = { 0x69, 0xc7, 0xe9, 3, 0, 0 };
        static const uint8_t far_a[] = { 0x8b, 0x87, 0, 0x20, 0, 0 },
                             far_b[] = { 0x8b, 0x87, 0, 0x21, 0, 0 };

        (void)state;
        assert_false(equal(five, six, sizeof(five), PLACE));
        assert_false(equal(add_a, add_b, sizeof(add_a), PLACE));
        assert_false(equal(field_a, field_b, sizeof(field_a), PLACE));
        assert_false(equal(imul_a, imul_b, sizeof(imul_a), PLACE));
        assert_false(equal(far_a, far_b, sizeof(far_a), PLACE));
        assert_true(prove_function_equal(address_a, address_b, sizeof(address_a), 0x401000, 0x401000,
                                         0x400000, 0x409000));
        assert_false(prove_function_equal(address_a, address_b, sizeof(address_a), 0x1000, 0x1000,
                                          0, 0x409000));
}

static void test_no_instructions(void **state)
{
        /* 0x06 is no instruction in 64-bit code; and one that is cut short */
        static const uint8_t bad_a[] = { 0x90, 0x06 }, bad_b[] = { 0x66, 0x06 };
        static const uint8_t short_a[] = { 0xe8, 1, 0 }, short_b[] = { 0xe8, 2, 0 };

        (void)state;
        assert_false(equal(bad_a, bad_b, sizeof(bad_a), PLACE));
        assert_false(equal(short_a, short_b, sizeof(short_a), PLACE));
}

/* A library, built with the compiler of this machine from a source in which NUMBER stands. */
static void build_library(const char *folder, const char *name, const char *source,
                          struct buffer *ret, struct elf_view *view)
{
        char path[256], command[1024];
        FILE *file;

        snprintf(path, sizeof(path), "%s/%s.c", folder, name);
        file = fopen(path, "w");
        assert_non_null(file);
        fputs(source, file);
        fclose(file);
        snprintf(command, sizeof(command), "cc -O1 -fPIC -shared -Wl,--build-id -o %s/%s %s", folder,
                 name, path);
        assert_int_equal(system(command), 0);
        snprintf(path, sizeof(path), "%s/%s", folder, name);
        assert_int_equal(file_read(path, 1 << 24, ret, NULL), 0);
        assert_int_equal(elf_view_open(ret->data, ret->size, name, view, NULL), 0);
}

#define BODY(number) "int table[4] = {1,2,3,4};\nint f(int a) { return a * " number "; }\n" \
                     "int g(int a) { return f(a) + table[a]; }\n"

static void test_libraries(void **state)
{
        char folder[] = "/tmp/test-prove.XXXXXX", command[64];
        struct buffer bytes[4] = { 0 };
        struct elf_view views[4];
        struct build_proof proof = { 0 };
        struct error err = { 0 };

        (void)state;
        assert_non_null(mkdtemp(folder));
        build_library(folder, "a", BODY("1000"), &bytes[0], &views[0]);
        build_library(folder, "b", BODY("1000"), &bytes[1], &views[1]);
        build_library(folder, "c", BODY("1001"), &bytes[2], &views[2]);
        build_library(folder, "d", BODY("1000") "int h(void) { return g(3); }\n", &bytes[3],
                      &views[3]);
        snprintf(command, sizeof(command), "rm -r %s", folder);
        assert_int_equal(system(command), 0);

        assert_int_equal(prove_equal(&views[0], &views[1], &proof, &err), 0);
        assert_true(proof.text_equal);
        assert_true(proof.n_functions > 0 && proof.n_functions_equal == proof.n_functions);
        assert_true(proof.n_sections > 5 && proof.n_sections_equal == proof.n_sections);
        assert_string_equal(proof.differing, "");
        build_proof_done(&proof);

        assert_int_equal(prove_equal(&views[0], &views[2], &proof, &err), PROVE_DIFFERENT);
        assert_false(proof.text_equal);
        assert_int_equal(proof.n_functions_equal, proof.n_functions - 1);
        assert_string_equal(proof.differing, ".text");
        assert_non_null(strstr(err.cause, "function f "));
        build_proof_done(&proof);

        assert_int_equal(prove_equal(&views[0], &views[3], &proof, &err), PROVE_DIFFERENT);
        assert_true(proof.n_sections_equal < proof.n_sections);
        build_proof_done(&proof);
        for (size_t i = 0; i < 4; i++)
                buffer_done(&bytes[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_masked_fields),
                cmocka_unit_test(test_constants_count),
                cmocka_unit_test(test_no_instructions),
                cmocka_unit_test(test_libraries),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
