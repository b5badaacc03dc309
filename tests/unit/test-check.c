/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "patch/check.h"
#include "patch/patch.h"
#include "sample-patch.h"

/* What one case does to the sample before it is written. */
typedef void (*spoil_fn)(struct sample *sample);

static void writable_code(struct sample *sample)
{
        elf_writer_add_section(sample->writer, ".wx", SHT_PROGBITS,
                               SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR, 1, "x", 1);
}

static void thread_local(struct sample *sample)
{
        elf_writer_add_section(sample->writer, ".tdata", SHT_PROGBITS,
                               SHF_ALLOC | SHF_WRITE | SHF_TLS, 1, "x", 1);
}

static void compressed(struct sample *sample)
{
        elf_writer_add_section(sample->writer, ".z", SHT_PROGBITS, SHF_ALLOC | SHF_COMPRESSED, 8,
                               "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 32);
}

static void constructors(struct sample *sample)
{
        elf_writer_add_section(sample->writer, ".init_array", SHT_INIT_ARRAY,
                               SHF_ALLOC | SHF_WRITE, 8, "xxxxxxxx", 8);
}

static void huge_alignment(struct sample *sample)
{
        elf_writer_add_section(sample->writer, ".aligned", SHT_PROGBITS, SHF_ALLOC, 8192, "x", 1);
}

static void huge_section(struct sample *sample)
{
        elf_writer_add_section(sample->writer, ".huge", SHT_NOBITS, SHF_ALLOC | SHF_WRITE, 1, NULL,
                               CHECK_MAX_ALLOC_BYTES + 1);
}

static void odd_name(struct sample *sample)
{
        elf_writer_add_section(sample->writer, ".a\033[2J", SHT_PROGBITS, SHF_ALLOC, 1, "x", 1);
}

static void odd_symbol(struct sample *sample)
{
        elf_writer_add_symbol(sample->writer, "a\nb", sample->text, 0, 0, STB_LOCAL, STT_FUNC);
}

static void two_manifests(struct sample *sample)
{
        elf_writer_add_section(sample->writer, PATCH_MANIFEST_SECTION, SHT_PROGBITS, 0, 1, "{}", 2);
}

static void relocate(struct sample *sample, size_t section, uint64_t offset, uint32_t type,
                     size_t symbol)
{
        assert_true(elf_writer_add_relocation(sample->writer, section, offset, type, symbol, 0));
}

static void thread_local_access(struct sample *sample)
{
        relocate(sample, sample->text, 0, R_X86_64_GOTTPOFF, sample->s_local);
}

static void relative(struct sample *sample)
{
        relocate(sample, sample->text, 0, R_X86_64_RELATIVE, sample->s_local);
}

static void unknown_type(struct sample *sample)
{
        relocate(sample, sample->text, 0, 4711, sample->s_local);
}

static void beyond_the_end_32(struct sample *sample)
{
        relocate(sample, sample->text, 61, R_X86_64_PC32, sample->s_local);
}

static void beyond_the_end_64(struct sample *sample)
{
        relocate(sample, sample->text, 57, R_X86_64_64, sample->s_local);
}

static void far_beyond(struct sample *sample)
{
        relocate(sample, sample->text, UINT64_MAX, R_X86_64_64, sample->s_local);
}

static void no_room_before(struct sample *sample)
{
        relocate(sample, sample->text, 2, R_X86_64_REX_GOTPCRELX, sample->s_local);
}

static void in_bss(struct sample *sample)
{
        relocate(sample, sample->bss, 0, R_X86_64_64, sample->s_local);
}

static void to_absolute(struct sample *sample)
{
        relocate(sample, sample->text, 0, R_X86_64_64,
                 elf_writer_add_symbol(sample->writer, "abs", SHN_ABS, 5, 0, STB_LOCAL,
                                       STT_NOTYPE));
}

static void to_tls(struct sample *sample)
{
        relocate(sample, sample->text, 0, R_X86_64_64,
                 elf_writer_add_symbol(sample->writer, "tls", SHN_UNDEF, 0, 0, STB_GLOBAL,
                                       STT_TLS));
}

static void to_ifunc(struct sample *sample)
{
        relocate(sample, sample->text, 0, R_X86_64_64,
                 elf_writer_add_symbol(sample->writer, "ifunc", sample->text, 0, 0, STB_GLOBAL,
                                       STT_GNU_IFUNC));
}

static void too_many_relocations(struct sample *sample)
{
        for (size_t i = 0; i < CHECK_MAX_RELOCATIONS; i++)
                relocate(sample, sample->text, 0, R_X86_64_NONE, sample->s_local);
}

static void too_many_symbols(struct sample *sample)
{
        for (size_t i = 0; i < CHECK_MAX_SYMBOLS; i++)
                elf_writer_add_symbol(sample->writer, "", sample->text, 0, 0, STB_LOCAL, STT_FUNC);
}

static const struct {
        spoil_fn spoil;
        const char *says;
} cases[] = {
        { writable_code, "section .wx is both writable and executable" },
        { thread_local, "section .tdata is thread-local" },
        { compressed, "section .z is compressed" },
        { constructors, "section .init_array is of type 14" },
        { huge_alignment, "section .aligned wants an alignment of 8192 bytes" },
        { huge_section, "section .huge is larger than the 16777216 bytes" },
        { odd_name, "not printable ASCII" },
        { odd_symbol, "not printable ASCII" },
        { two_manifests, "more than one section .suture.manifest" },
        { thread_local_access, "type R_X86_64_GOTTPOFF (22) at offset 0" },
        { relative, "type R_X86_64_RELATIVE (8)" },
        { unknown_type, "type unknown (4711)" },
        { beyond_the_end_32, ".text.answer has a relocation at offset 61, outside its 64 bytes" },
        { beyond_the_end_64, "offset 57, outside" },
        { far_beyond, "outside its 64 bytes" },
        { no_room_before, "offset 2, outside" },
        { in_bss, ".bss.room has relocations but no bytes" },
        { to_absolute, "refers at offset 0 to abs, which is in no section" },
        { to_tls, "to tls, a symbol of type 6" },
        { to_ifunc, "to ifunc, a symbol of type 10" },
        { too_many_relocations, "more than the 262144 relocations" },
        { too_many_symbols, "more than the 131072 symbols" },
};

static void test_refused(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_buffer_ struct buffer buffer = { 0 };
                struct patch *patch = NULL;
                struct error err = { 0 };
                struct sample sample;

                assert_true(sample_init(&sample));
                cases[i].spoil(&sample);
                if (sample_write(&sample, &buffer, &err) != 0)
                        fail_msg("case %zu: %s", i, err.cause);
                if (patch_parse(buffer.data, buffer.size, "x.spatch", &patch, &err) >= 0)
                        fail_msg("case %zu (%s) was accepted", i, cases[i].says);
                if (!strstr(err.cause, cases[i].says))
                        fail_msg("\"%s\" does not say \"%s\"", err.cause, cases[i].says);
                assert_true(err.next[0] != '\0');
                sample_done(&sample);
        }
}

/* Changes to the finished file, for what the writer would not write. */
static int parse_spoiled(void (*spoil)(struct buffer *buffer, Elf64_Shdr *sections),
                         struct error *err)
{
        _cleanup_buffer_ struct buffer buffer = { 0 };
        struct patch *patch = NULL;
        struct sample sample;
        int r;

        assert_true(sample_init(&sample));
        assert_int_equal(sample_write(&sample, &buffer, err), 0);
        sample_done(&sample);
        spoil(&buffer, (Elf64_Shdr *)(buffer.data + ((Elf64_Ehdr *)buffer.data)->e_shoff));
        r = patch_parse(buffer.data, buffer.size, "x", &patch, err);
        patch_free(patch);
        return r;
}

/* In the sample: 1-5 alloc, 6 manifest, 7-9 SHT_RELA, 10 symbols, 11-12 strings. */
static void executable_file(struct buffer *buffer, Elf64_Shdr *sections)
{
        (void)sections;
        ((Elf64_Ehdr *)buffer->data)->e_type = ET_DYN;
}

static void other_machine(struct buffer *buffer, Elf64_Shdr *sections)
{
        (void)sections;
        ((Elf64_Ehdr *)buffer->data)->e_machine = EM_AARCH64;
}

static void rel_without_addend(struct buffer *buffer, Elf64_Shdr *sections)
{
        (void)buffer;
        sections[7].sh_type = SHT_REL;
}

static void two_tables(struct buffer *buffer, Elf64_Shdr *sections)
{
        (void)buffer;
        sections[8].sh_info = 1;
}

static void table_for_nothing(struct buffer *buffer, Elf64_Shdr *sections)
{
        (void)buffer;
        sections[8].sh_info = 77;
}

static void table_with_rest(struct buffer *buffer, Elf64_Shdr *sections)
{
        (void)buffer;
        sections[8].sh_size--;
}

static void table_of_other_symbols(struct buffer *buffer, Elf64_Shdr *sections)
{
        (void)buffer;
        sections[8].sh_link = 11;
}

static void no_symbols(struct buffer *buffer, Elf64_Shdr *sections)
{
        (void)buffer;
        sections[10].sh_type = SHT_PROGBITS;
}

static void manifest_is_loaded(struct buffer *buffer, Elf64_Shdr *sections)
{
        (void)buffer;
        sections[6].sh_flags |= SHF_ALLOC;
}

static void symbol_of_no_section(struct buffer *buffer, Elf64_Shdr *sections)
{
        ((Elf64_Sym *)(buffer->data + sections[10].sh_offset))[1].st_shndx = 100;
}

static void test_spoiled_files(void **state)
{
        static const struct {
                void (*spoil)(struct buffer *buffer, Elf64_Shdr *sections);
                const char *says;
        } rows[] = {
                { executable_file, "not a relocatable object" },
                { other_machine, "another kind of processor (ELF machine 183)" },
                { rel_without_addend, "without addends" },
                { two_tables, "two tables of relocations" },
                { table_for_nothing, "section 77, which does not exist" },
                { table_with_rest, "table of relocations of section .rodata.answer is broken" },
                { table_of_other_symbols, "table of relocations of section .rodata.answer is" },
                { no_symbols, "it has no symbol table" },
                { manifest_is_loaded, "it has no section .suture.manifest" },
                { symbol_of_no_section, "its symbol 1 has no valid" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct error err = { 0 };

                assert_true(parse_spoiled(rows[i].spoil, &err) < 0);
                if (!strstr(err.cause, rows[i].says))
                        fail_msg("\"%s\" does not say \"%s\"", err.cause, rows[i].says);
        }
}

static void harmless(struct sample *sample)
{
        elf_writer_add_section(sample->writer, ".comment", SHT_PROGBITS, 0, 1, "gcc", 4);
        elf_writer_add_section(sample->writer, ".note.x", SHT_NOTE, SHF_ALLOC, 4, NULL, 16);
        elf_writer_add_symbol(sample->writer, "file.c", SHN_ABS, 0, 0, STB_LOCAL, STT_FILE);
}

static void test_harmless_additions(void **state)
{
        _cleanup_buffer_ struct buffer buffer = { 0 };
        struct patch *patch = NULL;
        struct error err = { 0 };
        struct sample sample;

        (void)state;
        assert_true(sample_init(&sample));
        harmless(&sample);
        assert_int_equal(sample_write(&sample, &buffer, &err), 0);
        sample_done(&sample);
        if (patch_parse(buffer.data, buffer.size, "x", &patch, &err) != 0)
                fail_msg("%s", err.cause);
        patch_free(patch);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_spoiled_files),
                cmocka_unit_test(test_harmless_additions),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
