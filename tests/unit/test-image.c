/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <sys/auxv.h>

#include "base/file.h"
#include "elf/image.h"
#include "elf/view.h"
#include "mapped-file.h"

#define BASE UINT64_C(0x7f1234560000)

static uint64_t header_of(const struct dl_phdr_info *info)
{
        for (size_t i = 0; i < info->dlpi_phnum; i++)
                if (info->dlpi_phdr[i].p_type == PT_LOAD)
                        return info->dlpi_addr + info->dlpi_phdr[i].p_vaddr -
                               info->dlpi_phdr[i].p_offset;
        return 0;
}

static int check_own_module(struct dl_phdr_info *info, size_t size, void *context)
{
        const struct elf_memory memory = own_memory();
        struct build_id id = { 0 };
        struct elf_image image;

        (void)size;
        assert_int_equal(elf_image_read(&memory, header_of(info), &image), 0);
        assert_true(image.bias == info->dlpi_addr);
        assert_int_equal(image.n_segments, info->dlpi_phnum);
        assert_memory_equal(image.segments, info->dlpi_phdr,
                            info->dlpi_phnum * sizeof(Elf64_Phdr));
        assert_true(image.has_dynamic && image.symbols && image.strings && image.gnu_hash);
        assert_true(image.start <= image.header_address && image.header_address < image.end);
        assert_int_equal(elf_image_read_build_id(&memory, header_of(info), &id), 0);
        assert_true(build_id_equal(&id, &image.build_id));
        if (strstr(info->dlpi_name, "libc.so.6")) {
                assert_string_equal((const char *)(uintptr_t)image.soname, "libc.so.6");
                assert_true(image.build_id.size > 0);
                assert_true(image.n_version_definitions > 10 && image.version_definitions);
        }
        ++*(size_t *)context;
        return 0;
}

static void test_modules_of_this_process(void **state)
{
        size_t n = 0;

        (void)state;
        dl_iterate_phdr(check_own_module, &n);
        assert_true(n >= 3); /* the program, libc, the dynamic linker */
}

static void test_main_program(void **state)
{
        const struct elf_memory memory = own_memory();
        struct link_map *map = NULL;
        void *handle = dlopen(NULL, RTLD_NOW);
        struct elf_image image;

        (void)state;
        assert_non_null(handle);
        assert_int_equal(dlinfo(handle, RTLD_DI_LINKMAP, &map), 0);
        assert_int_equal(elf_image_read(&memory, getauxval(AT_PHDR) - sizeof(Elf64_Ehdr), &image),
                         0);
        assert_true(image.bias == map->l_addr);
        assert_true(image.dynamic == (uintptr_t)map->l_ld);
        assert_true(image.entry == getauxval(AT_ENTRY));
        assert_true(image.r_debug != 0);
        assert_ptr_equal(((struct r_debug *)(uintptr_t)image.r_debug)->r_map, map);
        dlclose(handle);
}

/* The vDSO's dynamic section is read-only and never relocated. */
static void test_vdso(void **state)
{
        const struct elf_memory memory = own_memory();
        uint64_t address = getauxval(AT_SYSINFO_EHDR);
        struct elf_image_symbol symbol;
        struct elf_image image;

        (void)state;
        assert_true(address != 0);
        assert_int_equal(elf_image_read(&memory, address, &image), 0);
        assert_true(image.symbols > image.start && image.symbols < image.end);
        assert_true(image.build_id.size > 0);
        assert_int_equal(elf_image_lookup(&memory, &image, "__vdso_gettimeofday", "LINUX_2.6",
                                          &symbol), 0);
        assert_true(symbol.address > address && symbol.address < image.end);
        assert_int_equal(elf_image_lookup(&memory, &image, "__vdso_gettimeofday", "LINUX_2.7",
                                          &symbol), 1);
}

static int find_libc(struct dl_phdr_info *info, size_t size, void *context)
{
        (void)size;
        if (!strstr(info->dlpi_name, "libc.so.6"))
                return 0;
        strncpy(context, info->dlpi_name, 255);
        return 1;
}

static void read_libc(struct buffer *ret)
{
        struct error err;
        char path[256] = "";

        assert_int_equal(dl_iterate_phdr(find_libc, path), 1);
        assert_int_equal(file_read(path, 64u << 20, ret, &err), 0);
}

static void test_before_relocation(void **state)
{
        _cleanup_(mapped_file_done) struct mapped_file mapped = { 0 };
        _cleanup_buffer_ struct buffer libc = { 0 };
        struct elf_memory memory = mapped_file_memory(&mapped);
        struct elf_section dynsym, versym;
        struct elf_image image;
        struct build_id id, of_file;
        struct elf_view view;
        struct error err;

        (void)state;
        read_libc(&libc);
        assert_true(mapped_file_init(&mapped, libc.data, libc.size, BASE));
        assert_int_equal(elf_image_read(&memory, BASE, &image), 0);
        assert_int_equal(elf_view_open(libc.data, libc.size, "libc", &view, &err), 0);
        assert_true(elf_view_find_section_type(&view, SHT_DYNSYM, &dynsym));
        assert_true(elf_view_find_section_type(&view, SHT_GNU_versym, &versym));
        assert_true(image.bias == BASE);
        assert_true(image.symbols == BASE + dynsym.address);
        assert_true(image.versions == BASE + versym.address);
        assert_true(elf_view_build_id(&view, &of_file));
        assert_true(build_id_equal(&of_file, &image.build_id));
        mapped.n_reads = 0;
        assert_int_equal(elf_image_read_build_id(&memory, BASE, &id), 0);
        assert_true(mapped.n_reads <= 2);
        assert_true(build_id_equal(&of_file, &id));
}

static void test_outcomes(void **state)
{
        _cleanup_(mapped_file_done) struct mapped_file mapped = { 0 };
        _cleanup_buffer_ struct buffer libc = { 0 };
        struct elf_memory memory = mapped_file_memory(&mapped);
        Elf64_Ehdr *header;
        struct elf_image image;
        struct build_id id;

        (void)state;
        read_libc(&libc);
        assert_true(mapped_file_init(&mapped, libc.data, libc.size, BASE));
        header = (Elf64_Ehdr *)mapped.memory;
        assert_int_equal(elf_image_read(&memory, BASE - 4096, &image), -EFAULT);
        assert_int_equal(elf_image_read(&memory, BASE + 4096, &image), ELF_IMAGE_NOT_ELF);
        assert_int_equal(elf_image_read(&memory, BASE + 4090, &image), ELF_IMAGE_NOT_ELF);
        header->e_ident[EI_CLASS] = ELFCLASS32;
        assert_int_equal(elf_image_read(&memory, BASE, &image), ELF_IMAGE_OTHER_CLASS);
        assert_int_equal(elf_image_read_build_id(&memory, BASE, &id), ELF_IMAGE_OTHER_CLASS);
        header->e_ident[EI_CLASS] = ELFCLASS64;
        header->e_machine = EM_AARCH64;
        assert_int_equal(elf_image_read(&memory, BASE, &image), ELF_IMAGE_OTHER_CLASS);
        header->e_machine = EM_X86_64;
        header->e_type = ET_EXEC; /* but not where it says it is */
        assert_int_equal(elf_image_read(&memory, BASE, &image), ELF_IMAGE_BROKEN);
        header->e_type = ET_DYN;
        header->e_phoff = UINT64_MAX - 10;
        assert_int_equal(elf_image_read(&memory, BASE, &image), ELF_IMAGE_BROKEN);
        header->e_phoff = 1u << 30;
        assert_int_equal(elf_image_read(&memory, BASE, &image), ELF_IMAGE_BROKEN);
        header->e_phoff = sizeof(*header);
        header->e_phnum = 65;
        assert_int_equal(elf_image_read(&memory, BASE, &image), ELF_IMAGE_BROKEN);
}

static bool count_slot(void *context, const char *name, enum elf_slot_kind kind, uint64_t address)
{
        (void)name, (void)kind, (void)address;
        return ++*(size_t *)context > 100000;
}

/* Every byte of header, program headers and dynamic section spoiled: any outcome but a crash. */
static void spoil(struct mapped_file *mapped, size_t from, size_t size, size_t *accepted)
{
        static const uint8_t changes[] = { 0xff, 0x80, 0x01 };
        const char *const names[] = { "malloc", "nonsuch", NULL };
        struct elf_memory memory = mapped_file_memory(mapped);
        struct elf_image_symbol symbol;
        struct elf_image image;

        for (size_t i = 0; i < 3 * size; i++) {
                uint8_t *byte = &mapped->memory[from + i / 3], saved = *byte;
                size_t n_slots = 0;

                *byte ^= changes[i % 3];
                if (elf_image_read(&memory, BASE, &image) == 0) {
                        ++*accepted;
                        elf_image_lookup(&memory, &image, "memcpy", "GLIBC_2.14", &symbol);
                        elf_image_lookup(&memory, &image, "memcpy", NULL, &symbol);
                        elf_image_each_slot(&memory, &image, count_slot, &n_slots);
                        elf_image_imports_any(&memory, &image, names);
                }
                *byte = saved;
        }
}

static void test_spoiled(void **state)
{
        _cleanup_(mapped_file_done) struct mapped_file mapped = { 0 };
        _cleanup_buffer_ struct buffer libc = { 0 };
        struct elf_memory memory = mapped_file_memory(&mapped);
        size_t accepted = 0, tried;
        struct elf_image image;

        (void)state;
        read_libc(&libc);
        assert_true(mapped_file_init(&mapped, libc.data, libc.size, BASE));
        assert_int_equal(elf_image_read(&memory, BASE, &image), 0);
        tried = 3 * (64 + image.n_segments * 56 + 512);
        spoil(&mapped, 0, 64 + image.n_segments * 56, &accepted);
        spoil(&mapped, image.dynamic - BASE, 512, &accepted);
        assert_true(accepted > 100 && accepted < tried);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_modules_of_this_process),
                cmocka_unit_test(test_main_program),
                cmocka_unit_test(test_vdso),
                cmocka_unit_test(test_before_relocation),
                cmocka_unit_test(test_outcomes),
                cmocka_unit_test(test_spoiled),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
