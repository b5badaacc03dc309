/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "elf/image.h"
#include "elf/view.h"
#include "mapped-file.h"

static void *libc_handle;
static struct elf_image libc_image;
static struct buffer libc_file;

static int setup(void **state)
{
        const struct elf_memory memory = own_memory();
        struct link_map *map;
        struct error err;

        (void)state;
        libc_handle = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
        if (!libc_handle || dlinfo(libc_handle, RTLD_DI_LINKMAP, &map) < 0)
                return -1;
        if (elf_image_read(&memory, map->l_addr, &libc_image) != 0)
                return -1;
        return file_read(map->l_name, 64u << 20, &libc_file, &err);
}

static int teardown(void **state)
{
        (void)state;
        buffer_done(&libc_file);
        return dlclose(libc_handle);
}

/* The version name of each version index, from the file. */
static const char *version_name(const struct elf_view *view, uint16_t index)
{
        struct elf_section section, strings;
        const uint8_t *at;

        assert_true(elf_view_find_section_type(view, SHT_GNU_verdef, &section));
        assert_true(elf_view_section(view, section.link, &strings));
        at = section.data;
        for (uint32_t i = 0; i < section.info; i++) {
                const Elf64_Verdef *definition = (const Elf64_Verdef *)at;
                const Elf64_Verdaux *name = (const Elf64_Verdaux *)(at + definition->vd_aux);

                if (definition->vd_ndx == index)
                        return (const char *)strings.data + name->vda_name;
                at += definition->vd_next;
        }
        return NULL;
}

struct tally {
        size_t found, compared;
};

/* One symbol of libc's table, looked up in memory, must be where dlvsym says. */
static void check_symbol(const struct elf_image *image, const struct elf_symbol *symbol,
                         const char *version, bool hidden, struct tally *tally)
{
        const struct elf_memory memory = own_memory();
        struct elf_image_symbol found;
        void *expected;

        if (elf_image_lookup(&memory, image, symbol->name, version, &found) != 0)
                fail_msg("%s@%s was not found", symbol->name, version);
        tally->found++;
        assert_int_equal(found.size, symbol->size);
        assert_int_equal(found.type, symbol->type);
        assert_int_equal(found.hidden_version, hidden);
        if (symbol->type == STT_GNU_IFUNC || symbol->type == STT_TLS)
                return;
        expected = dlvsym(libc_handle, symbol->name, version);
        assert_ptr_equal((void *)(uintptr_t)found.address, expected);
        tally->compared++;
}

static struct tally check_all(const struct elf_image *image)
{
        struct elf_section table, versions;
        struct tally tally = { 0 };
        struct elf_symbol symbol;
        struct elf_view view;
        struct error err;

        assert_int_equal(elf_view_open(libc_file.data, libc_file.size, "libc", &view, &err), 0);
        assert_true(elf_view_find_section_type(&view, SHT_DYNSYM, &table));
        assert_true(elf_view_find_section_type(&view, SHT_GNU_versym, &versions));
        for (size_t i = 1; i < elf_view_symbol_count(&table); i++) {
                uint16_t version = ((const uint16_t *)versions.data)[i];

                assert_true(elf_view_symbol(&view, &table, i, &symbol));
                if (symbol.section == SHN_UNDEF || symbol.section == SHN_ABS ||
                    (version & 0x7fff) < 2)
                        continue;
                check_symbol(image, &symbol, version_name(&view, version & 0x7fff),
                             version & 0x8000, &tally);
        }
        return tally;
}

static void test_all_of_libc_by_gnu_hash(void **state)
{
        struct tally tally = check_all(&libc_image);

        (void)state;
        assert_true(tally.found > 2000 && tally.compared > 1900);
}

/* Debian's libc has both kinds of table; each must give the same. */
static void test_all_of_libc_by_sysv_hash(void **state)
{
        struct elf_image image = libc_image;
        struct tally tally;

        (void)state;
        if (image.sysv_hash == 0) {
                print_message("this libc has no SysV hash table\n");
                skip();
        }
        image.gnu_hash = 0;
        tally = check_all(&image);
        assert_true(tally.found > 2000 && tally.compared > 1900);
}

static void test_versions(void **state)
{
        const struct elf_memory memory = own_memory();
        struct elf_image image = libc_image;
        struct elf_image_symbol old, new, any;

        (void)state;
        assert_int_equal(elf_image_lookup(&memory, &image, "memcpy", "GLIBC_2.2.5", &old), 0);
        assert_int_equal(elf_image_lookup(&memory, &image, "memcpy", "GLIBC_2.14", &new), 0);
        assert_true(old.hidden_version && !new.hidden_version);
        assert_true(old.address != new.address);
        assert_int_equal(elf_image_lookup(&memory, &image, "memcpy", NULL, &any), 0);
        assert_true(any.address == new.address);
        assert_int_equal(elf_image_lookup(&memory, &image, "memcpy", "GLIBC_9.9", &any), 1);
        assert_int_equal(elf_image_lookup(&memory, &image, "no_such_function", NULL, &any), 1);
        assert_int_equal(elf_image_lookup(&memory, &image, "", NULL, &any), 1);
        /* Without a version table every version is accepted, as by the dynamic linker. */
        image.versions = 0;
        assert_int_equal(elf_image_lookup(&memory, &image, "strlen", "GLIBC_9.9", &any), 0);
        /* Without any hash table nothing is found. */
        image.gnu_hash = image.sysv_hash = 0;
        assert_int_equal(elf_image_lookup(&memory, &image, "strlen", NULL, &any), 1);
}

/* The SysV table of a module made by hand: one bucket, a chain that may run in a circle. */
struct small {
        Elf64_Sym symbols[3];
        uint32_t sysv[2 + 1 + 3];
        char strings[16];
};

static int read_small(void *context, uint64_t address, void *ret, size_t size)
{
        if (address < 4096 || address - 4096 > sizeof(struct small) ||
            size > sizeof(struct small) - (address - 4096))
                return -EFAULT;
        memcpy(ret, (uint8_t *)context + (address - 4096), size);
        return 0;
}

static struct elf_image small_image(void)
{
        return (struct elf_image){
                .n_segments = 1,
                .segments = { { .p_type = PT_LOAD, .p_vaddr = 4096,
                                .p_memsz = sizeof(struct small) } },
                .start = 4096, .end = 8192, .has_dynamic = true,
                .symbols = 4096 + offsetof(struct small, symbols),
                .sysv_hash = 4096 + offsetof(struct small, sysv),
                .strings = 4096 + offsetof(struct small, strings),
                .strings_size = sizeof(((struct small *)0)->strings),
        };
}

static void test_small_module(void **state)
{
        struct small small = {
                .symbols = { [1] = { .st_name = 1, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                                     .st_shndx = 1, .st_value = 77 },
                             [2] = { .st_name = 3, .st_info = ELF64_ST_INFO(STB_WEAK, STT_OBJECT),
                                     .st_shndx = SHN_ABS, .st_value = 88 } },
                .sysv = { 1, 3, 1, 0, 2, 0 },
                .strings = "\0a\0b",
        };
        const struct elf_memory memory = { .read = read_small, .context = &small };
        struct elf_image image = small_image();
        struct elf_image_symbol symbol;

        (void)state;
        assert_int_equal(elf_image_lookup(&memory, &image, "b", "V1", &symbol), 0);
        assert_int_equal(symbol.address, 88);
        assert_int_equal(symbol.bind, STB_WEAK);
        assert_int_equal(elf_image_lookup(&memory, &image, "a", NULL, &symbol), 0);
        assert_int_equal(symbol.address, 77);
        assert_int_equal(elf_image_lookup(&memory, &image, "c", NULL, &symbol), 1);
        small.symbols[1].st_other = STV_HIDDEN;
        assert_int_equal(elf_image_lookup(&memory, &image, "a", NULL, &symbol), 1);
        small.symbols[1].st_other = 0;
        small.symbols[1].st_info = ELF64_ST_INFO(STB_LOCAL, STT_FUNC);
        assert_int_equal(elf_image_lookup(&memory, &image, "a", NULL, &symbol), 1);
        small.symbols[1].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_SECTION);
        assert_int_equal(elf_image_lookup(&memory, &image, "a", NULL, &symbol), 1);
        small.sysv[5] = 1; /* 1 -> 2 -> 1 -> ... */
        assert_int_equal(elf_image_lookup(&memory, &image, "c", NULL, &symbol), -EBADMSG);
        small.sysv[5] = 7;
        assert_int_equal(elf_image_lookup(&memory, &image, "c", NULL, &symbol), -EBADMSG);
        small.sysv[0] = 0;
        assert_int_equal(elf_image_lookup(&memory, &image, "b", NULL, &symbol), 1);
        small.sysv[0] = UINT32_MAX;
        assert_int_equal(elf_image_lookup(&memory, &image, "b", NULL, &symbol), -EBADMSG);
}

struct slots {
        const char *wanted;
        uint64_t address;
        size_t n;
};

static bool take_slot(void *context, const char *name, enum elf_slot_kind kind, uint64_t address)
{
        struct slots *slots = context;

        assert_true(kind == ELF_SLOT_JUMP || kind == ELF_SLOT_DATA);
        slots->n++;
        if (!slots->wanted || strcmp(name, slots->wanted) != 0)
                return false;
        slots->address = address;
        return true;
}

static struct elf_image own_image(void)
{
        const struct elf_memory memory = own_memory();
        struct elf_image image;
        Dl_info info;

        assert_int_not_equal(dladdr((void *)(uintptr_t)own_image, &info), 0);
        assert_int_equal(elf_image_read(&memory, (uintptr_t)info.dli_fbase, &image), 0);
        return image;
}

static void test_slots(void **state)
{
        struct slots slots = { .wanted = "getppid" }, all = { 0 };
        const struct elf_memory memory = own_memory();
        struct elf_image image = own_image();
        struct elf_image_symbol symbol;

        (void)state;
        assert_true(getppid() >= 0); /* bound from now on, lazily or not */
        assert_int_equal(elf_image_each_slot(&memory, &image, take_slot, &slots), 1);
        assert_int_equal(elf_image_lookup(&memory, &libc_image, "getppid", NULL, &symbol), 0);
        assert_true(*(uint64_t *)(uintptr_t)slots.address == symbol.address);
        assert_int_equal(elf_image_each_slot(&memory, &image, take_slot, &all), 0);
        assert_true(all.n > slots.n);
}

static void test_imports(void **state)
{
        const char *const yes[] = { "no_such", "getppid", NULL };
        const char *const no[] = { "no_such", "getpgid", "own_image", NULL };
        const char *const none[] = { NULL };
        const struct elf_memory memory = own_memory();
        struct elf_image image = own_image();

        (void)state;
        assert_int_equal(elf_image_imports_any(&memory, &image, yes), 1);
        assert_int_equal(elf_image_imports_any(&memory, &image, no), 0);
        assert_int_equal(elf_image_imports_any(&memory, &image, none), 0);
        /* What it defines it does not need. */
        assert_int_equal(elf_image_imports_any(&memory, &libc_image,
                                               (const char *const[]){ "qsort", NULL }), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_all_of_libc_by_gnu_hash),
                cmocka_unit_test(test_all_of_libc_by_sysv_hash),
                cmocka_unit_test(test_versions),
                cmocka_unit_test(test_small_module),
                cmocka_unit_test(test_slots),
                cmocka_unit_test(test_imports),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
