/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mutate.h"

#include <elf.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "patch/patch.h"

static unsigned int next(unsigned int *seed)
{
        *seed = *seed * 1103515245u + 12345u;
        return *seed >> 8;
}

#define MAX_REMEMBERED 16

static struct {
        uint8_t *data;
        size_t size;
} remembered[MAX_REMEMBERED];
static size_t n_remembered;

void remember(const uint8_t *data, size_t size)
{
        uint8_t *copy = n_remembered < MAX_REMEMBERED ? malloc(size + 1) : NULL;

        if (!copy)
                return;
        memcpy(copy, data, size);
        remembered[n_remembered].data = copy;
        remembered[n_remembered++].size = size;
}

size_t recall(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
        unsigned int choice = next(&seed);

        if (choice % 2 == 0 || n_remembered == 0)
                return size;
        choice = choice / 2 % n_remembered;
        if (remembered[choice].size > max_size)
                return size;
        memcpy(data, remembered[choice].data, remembered[choice].size);
        return remembered[choice].size;
}

static uint64_t odd_value(unsigned int *seed, uint64_t old, size_t size)
{
        const uint64_t values[] = {
                0, 1, 2, 3, 7, 8, 16, UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 7, INT64_MAX,
                (uint64_t)INT64_MAX + 1, UINT32_MAX, INT32_MAX, SHN_LORESERVE, SHN_XINDEX, SHN_ABS,
                SHN_COMMON, size, size - 1, size + 1, size / 2, 0x1000, 0x800, 0x10000,
                old + 1, old - 1, old * 2, old / 2, old ^ 0x80, old + 8, old - 8, ~old,
        };
        unsigned int choice = next(seed) % (ARRAY_SIZE(values) + 8);

        return choice < ARRAY_SIZE(values) ? values[choice] : next(seed) % (size + 1);
}

static const uint8_t ehdr_fields[] = { 16, 2, 2, 4, 8, 8, 8, 4, 2, 2, 2, 2, 2, 2, 0 };
static const uint8_t shdr_fields[] = { 4, 4, 8, 8, 8, 8, 4, 4, 8, 8, 0 };
static const uint8_t phdr_fields[] = { 4, 4, 8, 8, 8, 8, 8, 8, 0 };
static const uint8_t sym_fields[] = { 4, 1, 1, 2, 8, 8, 0 };
static const uint8_t rela_fields[] = { 8, 4, 4, 8, 0 };
static const uint8_t dyn_fields[] = { 8, 8, 0 };
static const uint8_t word_fields[] = { 4, 0 };

/* Changes one field of the record at `offset`; nothing if it does not fit. */
static void mutate_record(uint8_t *data, size_t size, uint64_t offset, const uint8_t *fields,
                          unsigned int *seed)
{
        unsigned int n = 0, choice;
        uint64_t value = 0;

        while (fields[n])
                n++;
        choice = next(seed) % n;
        for (unsigned int i = 0; i < choice; i++)
                offset += fields[i];
        if (!range_fits(offset, fields[choice], size))
                return;
        if (fields[choice] > 8) {
                data[offset + next(seed) % fields[choice]] = (uint8_t)next(seed);
                return;
        }
        memcpy(&value, data + offset, fields[choice]);
        value = odd_value(seed, value, size);
        memcpy(data + offset, &value, fields[choice]);
}

/* One record of a table. */
static void mutate_table(uint8_t *data, size_t size, uint64_t offset, uint64_t n_records,
                         const uint8_t *fields, unsigned int *seed)
{
        size_t record = 0;

        for (const uint8_t *field = fields; *field; field++)
                record += *field;
        n_records = MIN(n_records, size / record);
        if (n_records == 0 || offset > size)
                return;
        mutate_record(data, size, offset + next(seed) % n_records * record, fields, seed);
}

static void mutate_section_bytes(uint8_t *data, size_t size, const Elf64_Ehdr *header,
                                 unsigned int *seed)
{
        Elf64_Shdr section;
        uint64_t offset;

        if (header->e_shnum == 0)
                return;
        offset = header->e_shoff + next(seed) % header->e_shnum * sizeof(section);
        if (!range_fits(offset, sizeof(section), size))
                return;
        memcpy(&section, data + offset, sizeof(section));
        if (section.sh_type == SHT_SYMTAB || section.sh_type == SHT_DYNSYM)
                mutate_table(data, size, section.sh_offset, section.sh_size / sizeof(Elf64_Sym),
                             sym_fields, seed);
        else if (section.sh_type == SHT_RELA)
                mutate_table(data, size, section.sh_offset, section.sh_size / sizeof(Elf64_Rela),
                             rela_fields, seed);
        else
                mutate_table(data, size, section.sh_offset, section.sh_size / 4, word_fields, seed);
}

void mutate_elf_file(uint8_t *data, size_t size, unsigned int seed)
{
        Elf64_Ehdr header;

        if (size < sizeof(header))
                return;
        memcpy(&header, data, sizeof(header));
        switch (next(&seed) % 8) {
        case 0: mutate_record(data, size, 0, ehdr_fields, &seed); break;
        case 1: mutate_table(data, size, header.e_phoff, header.e_phnum, phdr_fields, &seed); break;
        case 2:
        case 3:
        case 4: mutate_table(data, size, header.e_shoff, header.e_shnum, shdr_fields, &seed); break;
        default: mutate_section_bytes(data, size, &header, &seed); break;
        }
}

/* A table that a random entry of the dynamic section points to. */
static void mutate_dynamic_table(uint8_t *data, size_t size, const Elf64_Phdr *dynamic,
                                 uint64_t address, unsigned int *seed)
{
        uint64_t n = MIN(dynamic->p_memsz / sizeof(Elf64_Dyn), 64), offset;
        Elf64_Dyn entry;

        if (n == 0)
                return;
        offset = dynamic->p_vaddr + next(seed) % n * sizeof(entry);
        if (!range_fits(offset, sizeof(entry), size))
                return;
        memcpy(&entry, data + offset, sizeof(entry));
        offset = entry.d_un.d_ptr >= address ? entry.d_un.d_ptr - address : entry.d_un.d_ptr;
        switch (entry.d_tag) {
        case DT_SYMTAB: mutate_table(data, size, offset, 16, sym_fields, seed); break;
        case DT_RELA:
        case DT_JMPREL: mutate_table(data, size, offset, 16, rela_fields, seed); break;
        case DT_HASH:
        case DT_GNU_HASH:
        case DT_VERNEED:
        case DT_VERDEF: mutate_table(data, size, offset, 16, word_fields, seed); break;
        case DT_VERSYM: mutate_table(data, size, offset, 8, word_fields, seed); break;
        default: mutate_record(data, size, dynamic->p_vaddr, dyn_fields, seed); break;
        }
}

void mutate_elf_image(uint8_t *data, size_t size, uint64_t address, unsigned int seed)
{
        Elf64_Ehdr header;
        Elf64_Phdr segment;

        if (size < sizeof(header))
                return;
        memcpy(&header, data, sizeof(header));
        switch (next(&seed) % 8) {
        case 0: mutate_record(data, size, 0, ehdr_fields, &seed); return;
        case 1:
                mutate_table(data, size, header.e_phoff, header.e_phnum, phdr_fields, &seed);
                return;
        }
        for (size_t i = 0; i < header.e_phnum; i++) {
                uint64_t offset = header.e_phoff + i * sizeof(segment);

                if (!range_fits(offset, sizeof(segment), size))
                        return;
                memcpy(&segment, data + offset, sizeof(segment));
                if (segment.p_type != PT_DYNAMIC)
                        continue;
                if (next(&seed) % 3 == 0)
                        mutate_table(data, size, segment.p_vaddr, MIN(segment.p_memsz / 16, 64),
                                     dyn_fields, &seed);
                else
                        mutate_dynamic_table(data, size, &segment, address, &seed);
                return;
        }
}

static json_t *odd_json(unsigned int *seed)
{
        static const char *const texts[] = {
                "", "a", "strict", "entry", "local", "slot", "import", "runtime", "answer", "hook",
                ".text.answer", ".text.hook", ".suture.manifest", "suture_shadow_root", "strlen",
                "memchr", "warn_local", "GLIBC_2.2.5", "CVE-2026-0002", "SUT-1", "00112233",
                "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                "2026-11-25T08:00:00Z", "\xc2\x9b", "\x1b[2J",
        };

        switch (next(seed) % 8) {
        case 0: return json_null();
        case 1: return json_boolean(next(seed) % 2);
        case 2: return json_real(1.5);
        case 3: return json_array();
        case 4: return json_object();
        case 5: return json_integer((json_int_t)odd_value(seed, 4096, 4096));
        default: return json_string(texts[next(seed) % ARRAY_SIZE(texts)]);
        }
}

/* Walks down at random and changes one thing there. */
static void mutate_json(json_t *value, unsigned int *seed)
{
        size_t n = json_is_array(value) ? json_array_size(value) : json_object_size(value);
        size_t choice = n ? next(seed) % n : 0;
        json_t *child = json_array_get(value, choice);
        void *iterator = NULL;
        const char *key = "x";

        if (json_is_object(value) && n > 0) {
                iterator = json_object_iter(value);
                while (choice-- > 0)
                        iterator = json_object_iter_next(value, iterator);
                key = json_object_iter_key(iterator);
                child = json_object_iter_value(iterator);
        }
        if ((json_is_object(child) || json_is_array(child)) && next(seed) % 8 != 0) {
                mutate_json(child, seed);
                return;
        }
        choice = n ? next(seed) % n : 0;
        if (json_is_array(value)) {
                switch (next(seed) % 4) {
                case 0: json_array_remove(value, choice); break;
                case 1: json_array_append_new(value, json_deep_copy(child)); break;
                case 2: json_array_append_new(value, odd_json(seed)); break;
                default: json_array_set_new(value, choice, odd_json(seed)); break;
                }
                return;
        }
        switch (next(seed) % 6) {
        case 0: json_object_del(value, key); break;
        case 1: json_object_set_new(value, "cold", odd_json(seed)); break;
        default: json_object_set_new(value, key, odd_json(seed)); break;
        }
}

/* The header of the manifest's section, or NULL. */
static uint8_t *find_manifest(uint8_t *data, size_t size, struct elf_section *ret)
{
        struct elf_view view;

        if (elf_view_open(data, size, "x", &view, NULL) < 0 ||
            !elf_view_find_section(&view, PATCH_MANIFEST_SECTION, ret) || !ret->data)
                return NULL;
        return data + view.header.e_shoff + ret->index * sizeof(Elf64_Shdr);
}

size_t mutate_manifest(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
        _cleanup_free_ char *text = NULL;
        struct elf_section section;
        uint8_t *header = find_manifest(data, size, &section);
        uint64_t place = size, length;
        json_t *manifest;

        if (!header)
                return size;
        manifest = json_loadb((const char *)section.data, section.size, 0, NULL);
        if (!manifest)
                return size;
        for (unsigned int i = next(&seed) % 3 + 1; i > 0; i--)
                mutate_json(manifest, &seed);
        text = json_dumps(manifest, JSON_COMPACT);
        json_decref(manifest);
        if (!text)
                return size;
        /* One that was put at the end before is replaced. */
        if (section.data + section.size == data + size)
                place = (uint64_t)(section.data - data);
        length = strlen(text);
        if (length > max_size || place > max_size - length)
                return size;
        memcpy(data + place, text, length);
        memcpy(header + offsetof(Elf64_Shdr, sh_offset), &place, 8);
        memcpy(header + offsetof(Elf64_Shdr, sh_size), &length, 8);
        return place + length;
}
