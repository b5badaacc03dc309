/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include <errno.h>
#include <stdio.h>

#include "base/file.h"
#include "patch/patch.h"
#include "sample-patch.h"
#include "sound.h"

static void read_sample(struct buffer *ret)
{
        struct sample sample;
        struct error err = { 0 };

        assert_true(sample_init(&sample));
        if (sample_build(&sample, ret, &err) != 0)
                fail_msg("%s", err.cause);
        sample_done(&sample);
}

/* True if it was accepted; whatever is accepted is sound, whatever is refused says why. */
static bool try_patch(const void *data, size_t size)
{
        struct patch *patch = NULL;
        struct error err = { 0 };
        int r = patch_parse(data, size, "x.spatch", &patch, &err);

        if (r == 0) {
                assert_true(patch_is_sound(patch));
                walk_view(&patch->view);
                patch_free(patch);
                return true;
        }
        assert_true(r < 0);
        assert_null(patch);
        assert_int_equal(err.exit_code, EXIT_CODE_ERROR);
        assert_non_null(strstr(err.cause, "x.spatch"));
        assert_true(strlen(err.cause) > 20 && err.next[0] != '\0');
        for (const char *at = err.cause; *at; at++)
                assert_true((unsigned char)*at >= 0x20);
        return false;
}

static void check_first_target(const struct patch_target *target)
{
        char text[SHA256_HEX_SIZE];

        assert_string_equal(target->module, "libsample.so.1");
        assert_string_equal(target->package, "libsample1");
        assert_true(target->pinned);
        assert_int_equal(target->n_sections, 5);
        for (size_t i = 0; i < 5; i++)
                assert_int_equal(target->sections[i], i + 1);
        assert_int_equal(target->n_functions, 1);
        assert_string_equal(target->functions[0].name, "answer");
        assert_int_equal(target->functions[0].range.address, 4096);
        assert_int_equal(target->functions[0].range.size, 64);
        assert_int_equal(target->functions[0].n_cold, 1);
        assert_int_equal(target->functions[0].cold[0].address, 8192);
        assert_int_equal(target->functions[0].consistency, PATCH_STRICT);
        sha256_format(&target->functions[0].digest, text);
        assert_int_equal(text[63], 'f');
        assert_int_equal(target->n_symbols, 4);
        assert_int_equal(target->symbols[0].kind, PATCH_SYMBOL_LOCAL);
        assert_int_equal(target->symbols[0].address, 999);
        assert_null(target->symbols[0].lookup);
        assert_int_equal(target->symbols[1].kind, PATCH_SYMBOL_SLOT);
        assert_string_equal(target->symbols[1].lookup, "strlen");
        assert_int_equal(target->symbols[2].kind, PATCH_SYMBOL_IMPORT);
        assert_string_equal(target->symbols[2].version, "GLIBC_2.2.5");
        assert_int_equal(target->symbols[3].kind, PATCH_SYMBOL_RUNTIME);
        assert_string_equal(target->hook_undo_name, "hook");
        assert_true(target->hook_pre != 0 && target->hook_pre == target->hook_undo);
}

static void test_all_that_was_written(void **state)
{
        _cleanup_(patch_freep) struct patch *patch = NULL;
        _cleanup_buffer_ struct buffer buffer = { 0 };
        char name[PATCH_NAME_SIZE];
        struct error err = { 0 };
        struct build_id id;

        (void)state;
        read_sample(&buffer);
        assert_int_equal(patch_parse(buffer.data, buffer.size, "x", &patch, &err), 0);
        patch_format_name(patch, name);
        assert_string_equal(name, "SUT-2026-0042.2");
        assert_string_equal(patch->title, "sample: answer rightly");
        assert_string_equal(patch->author, "Jane Doe <jane@example.org>");
        assert_string_equal(patch->created, "2026-11-25T08:00:00Z");
        assert_string_equal(patch->source_package, "sample");
        assert_string_equal(patch->source_version, "1.0-1");
        assert_int_equal(patch->n_cves, 2);
        assert_string_equal(patch->cves[0].id, "CVE-2026-63382");
        assert_int_equal(patch->cves[0].reach, PATCH_REACH_REMOTE);
        assert_int_equal(patch->cves[1].reach, PATCH_REACH_UNKNOWN);
        assert_int_equal(patch->n_fixes, 1);
        assert_string_equal(patch->fixes[0].name, "fix.patch");
        assert_int_equal(patch->fixes[0].digest.bytes[0], 0x01);
        assert_int_equal(patch->n_supersedes, 1);
        assert_string_equal(patch->supersedes[0], "SUT-2026-0007");
        assert_int_equal(patch->n_targets, 2);
        check_first_target(&patch->targets[0]);
        assert_int_equal(patch->targets[1].n_functions, 2);
        assert_int_equal(patch->targets[1].functions[0].consistency, PATCH_ENTRY);
        assert_null(patch->targets[1].package);
        assert_int_equal(patch->targets[1].hook_pre, 0);
        assert_true(build_id_parse(SAMPLE_BUILD_ID_2, &id));
        assert_ptr_equal(patch_find_target(patch, &id), &patch->targets[1]);
        assert_true(build_id_parse("00112233", &id));
        assert_null(patch_find_target(patch, &id));
        assert_true(patch_is_sound(patch));
}

static void test_open(void **state)
{
        _cleanup_(patch_freep) struct patch *patch = NULL;
        _cleanup_buffer_ struct buffer buffer = { 0 };
        char path[] = "/tmp/suture-test-patch.XXXXXX";
        struct error err = { 0 };
        struct sha256 digest;
        int fd;

        (void)state;
        read_sample(&buffer);
        fd = mkstemp(path);
        assert_true(fd >= 0);
        close(fd);
        assert_int_equal(patch_open(path, &patch, &err), -EINVAL);
        assert_non_null(strstr(err.cause, path));
        assert_int_equal(file_write_atomic(path, buffer.data, buffer.size, 0600, &err), 0);
        assert_int_equal(patch_open(path, &patch, &err), 0);
        unlink(path);
        digest = sha256_of(buffer.data, buffer.size);
        assert_true(sha256_equal(&patch->digest, &digest));
        assert_int_equal(patch_open(path, &patch, &err), -ENOENT);
        assert_true(err.next[0] != '\0');
}

static void test_build_refuses_what_reading_would(void **state)
{
        _cleanup_buffer_ struct buffer buffer = { 0 };
        struct sample sample;
        struct error err = { 0 };

        (void)state;
        assert_true(sample_init(&sample));
        json_object_set_new(sample.manifest, "level", json_integer(0));
        assert_true(sample_build(&sample, &buffer, &err) < 0);
        assert_non_null(strstr(err.cause, "level"));
        assert_null(buffer.data);
        sample_done(&sample);
}

static void test_not_patch_files(void **state)
{
        _cleanup_buffer_ struct buffer self = { 0 };
        struct patch *patch = NULL;
        struct error err = { 0 };

        (void)state;
        assert_false(try_patch("", 0));
        assert_false(try_patch("hello, this is no ELF file at all", 32));
        assert_int_equal(file_read("/proc/self/exe", 64u << 20, &self, &err), 0);
        assert_true(patch_parse(self.data, self.size, "prog", &patch, &err) < 0);
        assert_non_null(strstr(err.cause, "prog is not a patch file: it has no section"));
}

static void test_every_truncation(void **state)
{
        _cleanup_buffer_ struct buffer buffer = { 0 };

        (void)state;
        read_sample(&buffer);
        assert_true(try_patch(buffer.data, buffer.size));
        for (size_t size = 0; size < buffer.size; size++)
                assert_false(try_patch(buffer.data, size));
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
                        refused += !try_patch(buffer.data, buffer.size);
                        buffer.data[i] ^= changes[j];
                }
        }
        /* Code, data and free text may hold anything; the rest is structure. */
        assert_true(refused > buffer.size && refused < 3 * buffer.size);
        assert_true(try_patch(buffer.data, buffer.size));
}

static void put(uint8_t *at, size_t size, uint64_t value)
{
        for (size_t i = 0; i < size; i++)
                at[i] = (uint8_t)(value >> 8 * i);
}

/* Sets one field to each of the values that break readers. Returns how many were refused. */
static size_t try_field(struct buffer *buffer, size_t offset, size_t size)
{
        const uint64_t values[] = {
                0, 1, 2, UINT64_MAX, UINT64_MAX - 1, INT64_MAX, (uint64_t)INT64_MAX + 1,
                UINT32_MAX, INT32_MAX, SHN_LORESERVE, SHN_XINDEX, SHN_ABS, SHN_COMMON,
                buffer->size, buffer->size - 1, buffer->size + 1, 0x10000, 0x1000, 0x800,
        };
        uint8_t saved[8];
        size_t refused = 0;

        memcpy(saved, buffer->data + offset, size);
        for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
                put(buffer->data + offset, size, values[i]);
                refused += !try_patch(buffer->data, buffer->size);
        }
        memcpy(buffer->data + offset, saved, size);
        return refused;
}

struct field {
        size_t offset, size;
};

#define FIELD(type, name) { offsetof(type, name), sizeof(((type *)0)->name) }

static void test_every_header_field(void **state)
{
        static const struct field fields[] = {
                FIELD(Elf64_Ehdr, e_type), FIELD(Elf64_Ehdr, e_machine),
                FIELD(Elf64_Ehdr, e_version), FIELD(Elf64_Ehdr, e_shoff),
                FIELD(Elf64_Ehdr, e_shentsize), FIELD(Elf64_Ehdr, e_shstrndx),
                FIELD(Elf64_Ehdr, e_phnum), FIELD(Elf64_Ehdr, e_shnum),
                FIELD(Elf64_Ehdr, e_entry), FIELD(Elf64_Ehdr, e_phoff),
                FIELD(Elf64_Ehdr, e_flags), FIELD(Elf64_Ehdr, e_ehsize),
                FIELD(Elf64_Ehdr, e_phentsize),
        };
        _cleanup_buffer_ struct buffer buffer = { 0 };

        (void)state;
        read_sample(&buffer);
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
                size_t refused = try_field(&buffer, fields[i].offset, fields[i].size);

                if (i < 6 && refused < 15)
                        fail_msg("header field %zu: only %zu wrong values refused", i, refused);
        }
}

static void test_every_section_field(void **state)
{
        static const struct field fields[] = {
                FIELD(Elf64_Shdr, sh_name), FIELD(Elf64_Shdr, sh_type), FIELD(Elf64_Shdr, sh_flags),
                FIELD(Elf64_Shdr, sh_addr), FIELD(Elf64_Shdr, sh_offset),
                FIELD(Elf64_Shdr, sh_size), FIELD(Elf64_Shdr, sh_link), FIELD(Elf64_Shdr, sh_info),
                FIELD(Elf64_Shdr, sh_addralign), FIELD(Elf64_Shdr, sh_entsize),
        };
        _cleanup_buffer_ struct buffer buffer = { 0 };
        Elf64_Ehdr header;
        size_t refused = 0;

        (void)state;
        read_sample(&buffer);
        memcpy(&header, buffer.data, sizeof(header));
        for (size_t i = 0; i < header.e_shnum; i++)
                for (size_t j = 0; j < ARRAY_SIZE(fields); j++)
                        refused += try_field(&buffer,
                                             header.e_shoff + i * sizeof(Elf64_Shdr) +
                                                     fields[j].offset, fields[j].size);
        assert_true(refused > 500);
}

static void test_every_symbol_and_relocation_field(void **state)
{
        static const struct field symbol_fields[] = {
                FIELD(Elf64_Sym, st_name), FIELD(Elf64_Sym, st_info), FIELD(Elf64_Sym, st_other),
                FIELD(Elf64_Sym, st_shndx), FIELD(Elf64_Sym, st_value), FIELD(Elf64_Sym, st_size),
        };
        static const struct field relocation_fields[] = {
                FIELD(Elf64_Rela, r_offset), { offsetof(Elf64_Rela, r_info), 4 },
                { offsetof(Elf64_Rela, r_info) + 4, 4 }, FIELD(Elf64_Rela, r_addend),
        };
        _cleanup_buffer_ struct buffer buffer = { 0 };
        size_t refused[2] = { 0 };
        struct elf_section section;
        struct elf_view view;
        struct error err;

        (void)state;
        read_sample(&buffer);
        assert_int_equal(elf_view_open(buffer.data, buffer.size, "x", &view, &err), 0);
        for (size_t i = 1; elf_view_section(&view, i, &section); i++) {
                bool symbols = section.type == SHT_SYMTAB;
                const struct field *fields = symbols ? symbol_fields : relocation_fields;
                size_t n_fields = symbols ? ARRAY_SIZE(symbol_fields)
                                          : ARRAY_SIZE(relocation_fields);

                if (!symbols && section.type != SHT_RELA)
                        continue;
                for (size_t at = 0; at < section.size; at += section.entry_size)
                        for (size_t j = 0; j < n_fields; j++)
                                refused[symbols] += try_field(
                                        &buffer, (size_t)(section.data - buffer.data) + at +
                                                         fields[j].offset, fields[j].size);
        }
        assert_true(refused[0] > 200 && refused[1] > 200);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_all_that_was_written),
                cmocka_unit_test(test_open),
                cmocka_unit_test(test_build_refuses_what_reading_would),
                cmocka_unit_test(test_not_patch_files),
                cmocka_unit_test(test_every_truncation),
                cmocka_unit_test(test_every_byte_changed),
                cmocka_unit_test(test_every_header_field),
                cmocka_unit_test(test_every_section_field),
                cmocka_unit_test(test_every_symbol_and_relocation_field),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
