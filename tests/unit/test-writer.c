/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "elf/view.h"
#include "elf/writer.h"

static void test_indices_stay(void **state)
{
        _cleanup_(elf_writer_freep) struct elf_writer *writer = elf_writer_new(EM_X86_64);
        _cleanup_buffer_ struct buffer buffer = { 0 };
        struct elf_section section, table, symbols;
        struct elf_relocation relocation;
        size_t a, b, global, local, absolute;
        struct elf_symbol symbol;
        struct elf_view view;
        struct error err = { 0 };

        (void)state;
        assert_non_null(writer);
        a = elf_writer_add_section(writer, ".a", SHT_PROGBITS, SHF_ALLOC, 4, "abcdefgh", 8);
        global = elf_writer_add_symbol(writer, "global", a, 1, 2, STB_GLOBAL, STT_OBJECT);
        assert_true(elf_writer_add_relocation(writer, a, 0, R_X86_64_64, global, -1));
        b = elf_writer_add_section(writer, ".b", SHT_PROGBITS, 0, 1, NULL, 5);
        local = elf_writer_add_symbol(writer, "local", b, 3, 0, STB_LOCAL, STT_NOTYPE);
        absolute = elf_writer_add_symbol(writer, "", SHN_ABS, 7, 0, STB_LOCAL, STT_FILE);
        assert_true(elf_writer_add_relocation(writer, a, 4, R_X86_64_32, local, 9));
        assert_true(a == 1 && b == 2 && absolute != 0);
        assert_int_equal(elf_writer_finish(writer, &buffer, &err), 0);
        assert_int_equal(elf_view_open(buffer.data, buffer.size, "new", &view, &err), 0);

        assert_true(elf_view_section(&view, a, &section));
        assert_string_equal(section.name, ".a");
        assert_memory_equal(section.data, "abcdefgh", 8);
        assert_true(elf_view_relocations_of(&view, a, &table));
        assert_string_equal(table.name, ".rela.a");
        assert_true(elf_view_section(&view, b, &section));
        assert_string_equal(section.name, ".b");
        assert_int_equal(section.size, 5);
        assert_memory_equal(section.data, "\0\0\0\0\0", 5);

        assert_true(elf_view_find_section_type(&view, SHT_SYMTAB, &symbols));
        assert_int_equal(elf_view_symbol_count(&symbols), 4);
        assert_int_equal(symbols.info, 3); /* the first global one */
        assert_true(elf_view_relocation(&view, &table, 0, &relocation));
        assert_true(elf_view_symbol(&view, &symbols, relocation.symbol, &symbol));
        assert_string_equal(symbol.name, "global");
        assert_int_equal(symbol.section, a);
        assert_int_equal(symbol.value, 1);
        assert_int_equal(symbol.size, 2);
        assert_true(elf_view_relocation(&view, &table, 1, &relocation));
        assert_int_equal(relocation.addend, 9);
        assert_true(elf_view_symbol(&view, &symbols, relocation.symbol, &symbol));
        assert_string_equal(symbol.name, "local");
        assert_int_equal(symbol.bind, STB_LOCAL);
        assert_true(elf_view_symbol(&view, &symbols, 2, &symbol));
        assert_int_equal(symbol.section, SHN_ABS);
}

static void test_same_input_same_bytes(void **state)
{
        _cleanup_buffer_ struct buffer first = { 0 }, second = { 0 };
        struct buffer *results[] = { &first, &second };
        struct error err;

        (void)state;
        for (int i = 0; i < 2; i++) {
                struct elf_writer *writer = elf_writer_new(EM_X86_64);

                elf_writer_add_section(writer, ".a", SHT_NOBITS, SHF_ALLOC, 64, NULL, 1u << 30);
                elf_writer_add_symbol(writer, "s", 1, 0, 0, STB_GLOBAL, STT_OBJECT);
                assert_int_equal(elf_writer_finish(writer, results[i], &err), 0);
                elf_writer_free(writer);
        }
        assert_true(first.size < 4096); /* the gigabyte is not in the file */
        assert_int_equal(first.size, second.size);
        assert_memory_equal(first.data, second.data, first.size);
}

static void test_wrong_handles_are_refused(void **state)
{
        _cleanup_(elf_writer_freep) struct elf_writer *writer = elf_writer_new(EM_X86_64);
        _cleanup_buffer_ struct buffer buffer = { 0 };
        struct error err = { 0 };
        size_t symbol;

        (void)state;
        symbol = elf_writer_add_symbol(writer, "nowhere", 5, 0, 0, STB_GLOBAL, STT_FUNC);
        assert_true(symbol != 0);
        assert_false(elf_writer_add_relocation(writer, 1, 0, R_X86_64_64, symbol, 0));
        assert_int_equal(elf_writer_add_section(writer, ".a", SHT_PROGBITS, 0, 1, "x", 1), 1);
        assert_false(elf_writer_add_relocation(writer, 1, 0, R_X86_64_64, 0, 0));
        assert_false(elf_writer_add_relocation(writer, 1, 0, R_X86_64_64, symbol + 1, 0));
        assert_true(elf_writer_finish(writer, &buffer, &err) < 0);
        assert_non_null(strstr(err.cause, "nowhere"));
        assert_null(buffer.data);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_indices_stay),
                cmocka_unit_test(test_same_input_same_bytes),
                cmocka_unit_test(test_wrong_handles_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
