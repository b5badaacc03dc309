/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include <stdio.h>

#include "base/file.h"
#include "elf/view.h"
#include "elf/writer.h"
#include "sample-patch.h"
#include "sound.h"

/* The bytes of a file in a block of exactly their size, so that a read beyond is seen. */
static uint8_t *exact_copy(const void *data, size_t size)
{
        uint8_t *copy = malloc(size ? size : 1);

        assert_non_null(copy);
        memcpy(copy, data, size);
        return copy;
}

/* Opens and walks; a refusal must say why. Returns true if it was accepted. */
static bool try_view(const void *data, size_t size)
{
        _cleanup_free_ uint8_t *copy = exact_copy(data, size);
        struct error err = { 0 };
        struct elf_view view;
        int r = elf_view_open(copy, size, "the file", &view, &err);

        if (r == 0) {
                walk_view(&view);
                return true;
        }
        assert_true(r < 0);
        assert_non_null(strstr(err.cause, "the file"));
        assert_true(err.next[0] != '\0');
        return false;
}

static void read_sample(struct buffer *ret)
{
        struct sample sample;
        struct error err;

        assert_true(sample_init(&sample));
        assert_int_equal(sample_build(&sample, ret, &err), 0);
        sample_done(&sample);
}

static void test_own_program(void **state)
{
        _cleanup_buffer_ struct buffer buffer = { 0 };
        struct elf_section section, table;
        struct elf_symbol symbol;
        struct build_id id;
        struct elf_view view;
        struct error err;
        bool found = false;

        (void)state;
        assert_int_equal(file_read("/proc/self/exe", 64u << 20, &buffer, &err), 0);
        assert_int_equal(elf_view_open(buffer.data, buffer.size, "self", &view, &err), 0);
        assert_true(elf_view_find_section(&view, ".text", &section));
        assert_true(section.flags & SHF_EXECINSTR);
        assert_ptr_equal(elf_view_at_address(&view, section.address, section.size), section.data);
        assert_null(elf_view_at_address(&view, section.address, UINT64_MAX));
        assert_null(elf_view_at_address(&view, UINT64_MAX, 1));
        assert_true(elf_view_find_section_type(&view, SHT_SYMTAB, &table));
        for (size_t i = 0; i < elf_view_symbol_count(&table); i++) {
                assert_true(elf_view_symbol(&view, &table, i, &symbol));
                if (strcmp(symbol.name, "test_own_program") != 0)
                        continue;
                found = true;
                assert_int_equal(symbol.type, STT_FUNC);
                assert_int_equal(symbol.bind, STB_LOCAL);
                assert_int_equal(symbol.section, section.index);
                assert_true(symbol.value >= section.address &&
                            symbol.value + symbol.size <= section.address + section.size);
        }
        assert_true(found);
        assert_false(elf_view_symbol(&view, &table, elf_view_symbol_count(&table), &symbol));
        assert_false(elf_view_find_section(&view, ".no-such", &section));
        assert_false(elf_view_section(&view, view.n_sections, &section));
        if (elf_view_find_section(&view, ".note.gnu.build-id", &section))
                assert_true(elf_view_build_id(&view, &id));
}

static void test_sample_object(void **state)
{
        _cleanup_buffer_ struct buffer buffer = { 0 };
        struct elf_relocation relocation;
        struct elf_section text, table, symbols, bss;
        struct elf_symbol symbol;
        struct elf_view view;
        struct error err;

        (void)state;
        read_sample(&buffer);
        assert_int_equal(elf_view_open(buffer.data, buffer.size, "sample", &view, &err), 0);
        assert_int_equal(view.n_segments, 0);
        assert_true(elf_view_find_section(&view, ".text.answer", &text));
        assert_int_equal(text.alignment, 16);
        assert_true(elf_view_relocations_of(&view, text.index, &table));
        assert_int_equal(elf_view_relocation_count(&table), 9);
        assert_true(elf_view_relocation(&view, &table, 0, &relocation));
        assert_int_equal(relocation.type, R_X86_64_PLT32);
        assert_int_equal(relocation.offset, 1);
        assert_int_equal(relocation.addend, -4);
        assert_true(elf_view_find_section_type(&view, SHT_SYMTAB, &symbols));
        assert_true(elf_view_symbol(&view, &symbols, relocation.symbol, &symbol));
        assert_string_equal(symbol.name, "warn_local");
        assert_int_equal(symbol.section, SHN_UNDEF);
        assert_false(elf_view_relocation(&view, &table, 9, &relocation));
        assert_int_equal(elf_view_relocation_count(&text), 0);
        assert_int_equal(elf_view_symbol_count(&text), 0);
        assert_true(elf_view_find_section(&view, ".bss.room", &bss));
        assert_null(bss.data);
        assert_int_equal(bss.size, 4096);
        assert_false(elf_view_relocations_of(&view, bss.index, &table));
}

static void test_kinds_are_named(void **state)
{
        static const struct {
                size_t offset;
                uint8_t value;
                const char *says;
        } cases[] = {
                { EI_MAG0, 'E', "not an ELF file" },
                { EI_CLASS, ELFCLASS32, "32-bit" },
                { EI_CLASS, 9, "class" },
                { EI_DATA, ELFDATA2MSB, "big-endian" },
                { EI_DATA, 0, "byte order" },
                { EI_VERSION, 0, "version" },
                { offsetof(Elf64_Ehdr, e_version), 2, "version" },
                { offsetof(Elf64_Ehdr, e_shentsize), 40, "section headers" },
                { offsetof(Elf64_Ehdr, e_shoff) + 7, 0xff, "section table" },
                { offsetof(Elf64_Ehdr, e_shnum) + 1, 0xff, "section table" },
                { offsetof(Elf64_Ehdr, e_shstrndx) + 1, 0x20, "section names" },
                { offsetof(Elf64_Ehdr, e_phnum), 1, "program headers" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                _cleanup_buffer_ struct buffer buffer = { 0 };
                struct error err = { 0 };
                struct elf_view view;

                read_sample(&buffer);
                buffer.data[cases[i].offset] = cases[i].value;
                assert_true(elf_view_open(buffer.data, buffer.size, "x", &view, &err) < 0);
                assert_non_null(strstr(err.cause, cases[i].says));
        }
}

/* A file of only a header and section header 0, with the counts that do not fit in 16 bits. */
static void test_extended_counts(void **state)
{
        struct {
                Elf64_Ehdr header;
                Elf64_Shdr sections[3];
                char names[8];
        } file = { 0 };
        struct elf_section section;
        struct error err = { 0 };
        struct elf_view view;

        (void)state;
        memcpy(file.header.e_ident, ELFMAG "\2\1\1", 7);
        file.header.e_version = EV_CURRENT;
        file.header.e_shoff = sizeof(Elf64_Ehdr);
        file.header.e_shentsize = sizeof(Elf64_Shdr);
        file.header.e_shstrndx = SHN_XINDEX;
        file.sections[0].sh_size = 3;
        file.sections[0].sh_link = 2;
        file.sections[1].sh_type = SHT_NOBITS;
        file.sections[1].sh_name = 1;
        file.sections[2].sh_type = SHT_STRTAB;
        file.sections[2].sh_offset = offsetof(__typeof__(file), names);
        file.sections[2].sh_size = sizeof(file.names);
        memcpy(file.names, "\0room", 6);
        assert_int_equal(elf_view_open(&file, sizeof(file), "x", &view, &err), 0);
        assert_int_equal(view.n_sections, 3);
        assert_true(elf_view_section(&view, 1, &section));
        assert_string_equal(section.name, "room");
        /* A string table that does not end in NUL gives no names. */
        memset(file.names, 'x', sizeof(file.names));
        assert_int_equal(elf_view_open(&file, sizeof(file), "x", &view, &err), 0);
        assert_false(elf_view_section(&view, 1, &section));
        file.names[7] = '\0';
        assert_int_equal(elf_view_open(&file, sizeof(file), "x", &view, &err), 0);
        assert_true(elf_view_section(&view, 1, &section));
        file.sections[1].sh_name = 8;
        assert_false(elf_view_section(&view, 1, &section));
        file.sections[1].sh_name = 7;
        file.sections[1].sh_addralign = 12;
        assert_false(elf_view_section(&view, 1, &section));
        file.sections[0].sh_size = UINT64_MAX / 64 + 2;
        assert_true(elf_view_open(&file, sizeof(file), "x", &view, &err) < 0);
        file.sections[0].sh_size = 3;
        file.sections[0].sh_link = 3;
        assert_true(elf_view_open(&file, sizeof(file), "x", &view, &err) < 0);
        file.sections[0].sh_link = 2;
        file.header.e_phnum = PN_XNUM;
        file.header.e_phentsize = sizeof(Elf64_Phdr);
        file.sections[0].sh_info = UINT32_MAX;
        assert_true(elf_view_open(&file, sizeof(file), "x", &view, &err) < 0);
        file.sections[0].sh_info = 1;
        assert_int_equal(elf_view_open(&file, sizeof(file), "x", &view, &err), 0);
        assert_int_equal(view.n_segments, 1);
}

static void test_extended_symbol_index(void **state)
{
        Elf64_Sym symbols[2] = { { 0 }, { .st_shndx = SHN_XINDEX } };
        uint32_t indices[2] = { 0, 1 };
        struct {
                Elf64_Ehdr header;
                Elf64_Shdr sections[3];
                Elf64_Sym symbols[2];
                uint32_t indices[2];
        } file = { 0 };
        struct elf_section table;
        struct elf_symbol symbol;
        struct elf_view view;
        struct error err;

        (void)state;
        memcpy(file.header.e_ident, ELFMAG "\2\1\1", 7);
        file.header.e_version = EV_CURRENT;
        file.header.e_shoff = sizeof(Elf64_Ehdr);
        file.header.e_shentsize = sizeof(Elf64_Shdr);
        file.header.e_shnum = 3;
        memcpy(file.symbols, symbols, sizeof(symbols));
        memcpy(file.indices, indices, sizeof(indices));
        file.sections[1] = (Elf64_Shdr){
                .sh_type = SHT_SYMTAB, .sh_entsize = sizeof(Elf64_Sym),
                .sh_offset = offsetof(__typeof__(file), symbols), .sh_size = sizeof(symbols),
        };
        file.sections[2] = (Elf64_Shdr){
                .sh_type = SHT_SYMTAB_SHNDX, .sh_link = 1, .sh_entsize = 4,
                .sh_offset = offsetof(__typeof__(file), indices), .sh_size = sizeof(indices),
        };
        assert_int_equal(elf_view_open(&file, sizeof(file), "x", &view, &err), 0);
        assert_true(elf_view_section(&view, 1, &table));
        assert_true(elf_view_symbol(&view, &table, 1, &symbol));
        assert_int_equal(symbol.section, 1);
        file.indices[1] = 3;
        assert_false(elf_view_symbol(&view, &table, 1, &symbol));
        file.indices[1] = 2;
        file.sections[2].sh_size = 7;
        assert_false(elf_view_symbol(&view, &table, 1, &symbol));
        file.sections[2].sh_size = 8;
        file.sections[2].sh_link = 2;
        assert_false(elf_view_symbol(&view, &table, 1, &symbol));
}

static void test_every_truncation(void **state)
{
        _cleanup_buffer_ struct buffer buffer = { 0 };

        (void)state;
        read_sample(&buffer);
        assert_true(try_view(buffer.data, buffer.size));
        /* The section table is last, so nothing shorter is whole. */
        for (size_t size = 0; size < buffer.size; size++)
                assert_false(try_view(buffer.data, size));
}

static void test_every_byte_changed(void **state)
{
        static const uint8_t changes[] = { 0xff, 0x80, 0x01 };
        _cleanup_buffer_ struct buffer buffer = { 0 };
        size_t refused = 0;

        (void)state;
        read_sample(&buffer);
        for (size_t i = 0; i < buffer.size; i++) {
                for (size_t j = 0; j < sizeof(changes); j++) {
                        buffer.data[i] ^= changes[j];
                        refused += !try_view(buffer.data, buffer.size);
                        buffer.data[i] ^= changes[j];
                }
        }
        assert_true(refused > 60);
        assert_true(try_view(buffer.data, buffer.size));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_own_program),
                cmocka_unit_test(test_sample_object),
                cmocka_unit_test(test_kinds_are_named),
                cmocka_unit_test(test_extended_counts),
                cmocka_unit_test(test_extended_symbol_index),
                cmocka_unit_test(test_every_truncation),
                cmocka_unit_test(test_every_byte_changed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
