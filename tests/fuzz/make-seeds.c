/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * make-seeds FOLDER MODULE FIX: first inputs for each fuzz target, made from what is at hand: a sample
 * patch, a small module (as file and as mapped), the vDSO, this process's own maps. So no binary
 * lies in the source tree, and seeds always fit the current format.
 */
#include <elf.h>
#include <jansson.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/file.h"
#include "mapped-file.h"
#include "patch/patch.h"
#include "sample-patch.h"

#define ADDRESS UINT64_C(0x7f0000000000)

static int put(const char *folder, const char *target, const char *name, const void *data,
               size_t size, struct error *err)
{
        char path[512];
        int r;

        snprintf(path, sizeof(path), "%s/%s", folder, target);
        r = directory_make(path, 0755, err);
        if (r < 0)
                return r;
        snprintf(path, sizeof(path), "%s/%s/%s", folder, target, name);
        return file_write_atomic(path, data, size, 0644, err);
}

/* The sample as it is, and smaller. */
static int put_patches(const char *folder, struct error *err)
{
        for (int i = 0; i < 3; i++) {
                _cleanup_buffer_ struct buffer buffer = { 0 };
                struct sample sample;
                char name[32];
                int r;

                if (!sample_init(&sample))
                        return error_no_memory(err);
                if (i == 1)
                        json_array_remove(json_object_get(sample.manifest, "targets"), 0);
                if (i == 2)
                        json_array_remove(json_object_get(sample.manifest, "targets"), 1);
                r = sample_build(&sample, &buffer, err);
                sample_done(&sample);
                if (r < 0)
                        return r;
                snprintf(name, sizeof(name), "sample-%d", i);
                r = put(folder, "patch", name, buffer.data, buffer.size, err);
                if (r == 0)
                        r = put(folder, "elf-view", name, buffer.data, buffer.size, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Adds the load bias to the addresses in the dynamic section, as glibc does. */
static void relocate_dynamic(struct mapped_file *mapped, uint64_t address, uint64_t bias)
{
        Elf64_Dyn *entry = (Elf64_Dyn *)(mapped->memory + (address - mapped->start));

        for (; entry->d_tag != DT_NULL; entry++) {
                switch (entry->d_tag) {
                case DT_HASH:
                case DT_GNU_HASH:
                case DT_STRTAB:
                case DT_SYMTAB:
                case DT_RELA:
                case DT_JMPREL:
                case DT_VERSYM: entry->d_un.d_ptr += bias; break;
                }
        }
}

static int put_module(const char *folder, const char *module, struct error *err)
{
        _cleanup_(mapped_file_done) struct mapped_file mapped = { 0 };
        _cleanup_buffer_ struct buffer file = { 0 };
        struct elf_memory memory = mapped_file_memory(&mapped);
        struct elf_image image;
        int r = file_read(module, 1u << 20, &file, err);

        if (r < 0)
                return r;
        r = put(folder, "elf-view", "module", file.data, file.size, err);
        if (r < 0)
                return r;
        if (!mapped_file_init(&mapped, file.data, file.size, ADDRESS) ||
            elf_image_read(&memory, ADDRESS, &image) != 0)
                return error_set(err, EXIT_CODE_ERROR, 0, NULL, "can't map %s", module);
        r = put(folder, "elf-image", "module", mapped.memory, mapped.size, err);
        if (r < 0)
                return r;
        relocate_dynamic(&mapped, image.dynamic, image.bias);
        return put(folder, "elf-image", "module-relocated", mapped.memory, mapped.size, err);
}

/* The unwind information of the module and of this program: "/proc/self/exe". */
static int put_frames(const char *folder, const char *path, const char *name, struct error *err)
{
        _cleanup_buffer_ struct buffer file = { 0 };
        struct elf_section section;
        struct elf_view view;
        int r = file_read(path, 64u << 20, &file, err);

        if (r == 0)
                r = elf_view_open(file.data, file.size, path, &view, err);
        if (r < 0)
                return r;
        if (!elf_view_find_section(&view, ".eh_frame", &section) || !section.data)
                return error_set(err, EXIT_CODE_ERROR, 0, NULL, "%s can't be unwound", path);
        return put(folder, "frames", name, section.data, MIN(section.size, (uint64_t)4096), err);
}

static int put_vdso(const char *folder, struct error *err)
{
        const struct elf_memory memory = own_memory();
        uint64_t address = getauxval(AT_SYSINFO_EHDR);
        struct elf_image image;
        int r;

        if (address == 0 || elf_image_read(&memory, address, &image) != 0)
                return 0; /* a kernel without one; there are other seeds */
        r = put(folder, "elf-image", "vdso", (void *)(uintptr_t)image.start,
                image.end - image.start, err);
        if (r < 0)
                return r;
        return put(folder, "elf-view", "vdso", (void *)(uintptr_t)image.start,
                   image.end - image.start, err);
}

static int put_maps(const char *folder, struct error *err)
{
        static const char lines[] =
                "00400000-00401000 r-xp 00000000 fe:01 42   /usr/bin/a b\\012c (deleted)\n"
                "7f0000000000-7f0000001000 rw-s 00002000 00:05 7 /dev/zero (deleted)\n"
                "7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                  [stack]\n"
                "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n";
        _cleanup_buffer_ struct buffer own = { 0 };
        int r = file_read("/proc/self/maps", 1u << 20, &own, err);

        if (r < 0)
                return r;
        r = put(folder, "maps", "own", own.data, MIN(own.size, 4000), err);
        if (r < 0)
                return r;
        return put(folder, "maps", "lines", lines, sizeof(lines) - 1, err);
}

/* The first byte chooses the reader (fuzz-build-text.c). */
static int put_build_text(const char *folder, struct error *err)
{
        static const char log[] = "\0/b\0/usr/bin/gcc\0" "1\0A=1\0" "5\0-O2\0-c\0a.c\0-o\0x.o";
        static const char rule[] = "\1a.o: a.c ../b.h \\\n /c\\ d.h\n";
        static const char report[] = "\2patching file a.c\nHunk #1 FAILED at 3.\n";
        static const char lines[] = "\003" "3a4,6\n10,11c13\n20d21\n\001int a;\n/* x\n*/ f(a,\nb);\n"
                                    "\"x\\\ny\";\nint z;\n";
        static const char sources[] = "\4deb [signed-by=/debian-archive-keyring.gpg] "
                                      "http://mirror.example.org/debian bookworm main\n"
                                      "Types: deb\nURIs: http://a/debian\nSuites: bookworm\n"
                                      "Components: main\n x\n\n";
        const struct {
                const char *name, *text;
                size_t size;
        } seeds[] = {
                { "log", log, sizeof(log) }, { "rule", rule, sizeof(rule) - 1 },
                { "report", report, sizeof(report) - 1 }, { "lines", lines, sizeof(lines) - 1 },
                { "sources", sources, sizeof(sources) - 1 },
        };
        int r = 0;

        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(seeds); i++)
                r = put(folder, "build-text", seeds[i].name, seeds[i].text, seeds[i].size, err);
        return r;
}

static int put_build_objects(const char *folder, const char *fix, struct error *err)
{
        _cleanup_buffer_ struct buffer file = { 0 };
        int r = file_read(fix, 1u << 20, &file, err);

        return r < 0 ? r : put(folder, "build-objects", "fix", file.data, file.size, err);
}

int main(int argc, char **argv)
{
        struct error err = { 0 };

        if (argc != 4) {
                fprintf(stderr, "usage: make-seeds FOLDER MODULE FIX\n");
                return 2;
        }
        if (put_patches(argv[1], &err) < 0 || put_module(argv[1], argv[2], &err) < 0 ||
            put_frames(argv[1], argv[2], "module", &err) < 0 ||
            put_frames(argv[1], "/proc/self/exe", "program", &err) < 0 ||
            put_vdso(argv[1], &err) < 0 || put_maps(argv[1], &err) < 0 ||
            put_build_text(argv[1], &err) < 0 || put_build_objects(argv[1], argv[3], &err) < 0) {
                fprintf(stderr, "make-seeds: %s\n", err.cause);
                return 1;
        }
        return 0;
}
