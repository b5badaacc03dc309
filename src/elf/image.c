/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A module as the dynamic linker sees it: ELF header, program headers, build ID and dynamic
 * section, read from memory that may be another process's. Each read costs a system call, so the
 * first one takes the rest of the header's page: it usually holds all program headers and notes.
 *
 * Addresses in the dynamic section come in two forms. glibc adds the load bias in place to
 * DT_HASH, DT_GNU_HASH, DT_STRTAB, DT_SYMTAB, DT_RELA, DT_JMPREL and DT_VERSYM when it loads a
 * module (elf/get-dynamic-info.h), but not to DT_VERNEED and DT_VERDEF, not in a read-only
 * dynamic section such as the vDSO's, and not before it has run (a program stopped at its exec);
 * musl never does. So each value is judged by itself: within the image it is absolute, else it
 * needs the bias, else it is broken.
 */
#include "elf/image.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"
#include "elf/image-window.h"

#define PAGE 4096u
#define MAX_NOTES_BYTES 65536u
#define MAX_DYNAMIC_BYTES 65536u
/* The end of user space with five-level page tables (Linux, Documentation/x86/x86_64/mm). */
#define MAX_ADDRESS (UINT64_C(1) << 56)

/* The first bytes of the module, read at once. */
struct head {
        uint8_t data[PAGE];
        size_t size;
};

/* The reader's fault, where the header itself could be read: the module is broken, or is gone. */
static int later_fault(int r)
{
        return r == -EFAULT || r == -EIO ? ELF_IMAGE_BROKEN : r;
}

static int read_head(const struct elf_memory *memory, uint64_t address, struct head *head)
{
        head->size = PAGE - address % PAGE;
        if (head->size < sizeof(Elf64_Ehdr))
                return ELF_IMAGE_NOT_ELF;
        return memory->read(memory->context, address, head->data, head->size);
}

static int parse_header(const struct head *head, Elf64_Ehdr *ret)
{
        if (memcmp(head->data, ELFMAG, SELFMAG) != 0)
                return ELF_IMAGE_NOT_ELF;
        if (head->data[EI_CLASS] != ELFCLASS64 || head->data[EI_DATA] != ELFDATA2LSB)
                return ELF_IMAGE_OTHER_CLASS;
        memcpy(ret, head->data, sizeof(*ret));
        if (ret->e_machine != EM_X86_64)
                return ELF_IMAGE_OTHER_CLASS;
        if (ret->e_type != ET_EXEC && ret->e_type != ET_DYN)
                return ELF_IMAGE_BROKEN;
        if (ret->e_phentsize != sizeof(Elf64_Phdr) || ret->e_phnum == 0 ||
            ret->e_phnum > ELF_IMAGE_MAX_SEGMENTS)
                return ELF_IMAGE_BROKEN;
        return 0;
}

static int read_segments(const struct elf_memory *memory, const struct head *head,
                         const Elf64_Ehdr *header, struct elf_image *image)
{
        size_t size = header->e_phnum * sizeof(Elf64_Phdr);
        uint64_t address;

        image->n_segments = header->e_phnum;
        if (range_fits(header->e_phoff, size, head->size)) {
                memcpy(image->segments, head->data + header->e_phoff, size);
                return 0;
        }
        if (__builtin_add_overflow(image->header_address, header->e_phoff, &address))
                return ELF_IMAGE_BROKEN;
        return later_fault(memory->read(memory->context, address, image->segments, size));
}

/* The bias follows from the segment that holds the file's first page, where the header is. */
static bool find_bias(struct elf_image *image)
{
        for (size_t i = 0; i < image->n_segments; i++) {
                const Elf64_Phdr *segment = &image->segments[i];

                if (segment->p_type == PT_LOAD && segment->p_offset < PAGE) {
                        image->bias = image->header_address -
                                      (segment->p_vaddr - segment->p_offset);
                        return true;
                }
        }
        return false;
}

static bool find_extent(struct elf_image *image)
{
        uint64_t start = UINT64_MAX, end = 0;

        for (size_t i = 0; i < image->n_segments; i++) {
                const Elf64_Phdr *segment = &image->segments[i];
                uint64_t first = image->bias + segment->p_vaddr, last;

                if (segment->p_type != PT_LOAD)
                        continue;
                if (__builtin_add_overflow(first, segment->p_memsz, &last) || last > MAX_ADDRESS)
                        return false;
                start = MIN(start, ROUND_DOWN(first, PAGE));
                end = MAX(end, ROUND_UP(last, PAGE));
        }
        image->start = start;
        image->end = end;
        return start <= image->header_address && image->header_address < end;
}

/* The head and the segments, checked: all that build ID and dynamic section need. */
static int read_frame(const struct elf_memory *memory, uint64_t address, struct head *head,
                      struct elf_image *image)
{
        Elf64_Ehdr header;
        int r;

        memset(image, 0, sizeof(*image));
        r = read_head(memory, address, head);
        if (r != 0)
                return r;
        r = parse_header(head, &header);
        if (r != 0)
                return r;
        image->header_address = address;
        image->type = header.e_type;
        r = read_segments(memory, head, &header, image);
        if (r != 0)
                return r;
        if (!find_bias(image) || !find_extent(image) ||
            (image->type == ET_EXEC && image->bias != 0))
                return ELF_IMAGE_BROKEN;
        image->entry = header.e_entry ? image->bias + header.e_entry : 0;
        return 0;
}

/* The bytes of a segment, from the head or read into `storage`; both die with the caller. */
static int segment_bytes(const struct elf_memory *memory, const struct head *head,
                         const struct elf_image *image, const Elf64_Phdr *segment, size_t max,
                         uint8_t **storage, struct cursor *ret)
{
        uint64_t address = image->bias + segment->p_vaddr;
        uint64_t end = image_segment_end(image, address);
        size_t size = MIN(segment->p_memsz, max);
        int r;

        if (end == 0)
                return ELF_IMAGE_BROKEN;
        size = MIN(size, end - address);
        if (address >= image->header_address &&
            cursor_slice(head->data, head->size, address - image->header_address, size, ret))
                return 0;
        *storage = malloc(size ? size : 1);
        if (!*storage)
                return -ENOMEM;
        r = memory->read(memory->context, address, *storage, size);
        if (r < 0)
                return later_fault(r);
        *ret = cursor_init(*storage, size);
        return 0;
}

static int find_build_id(const struct elf_memory *memory, const struct head *head,
                         const struct elf_image *image, struct build_id *ret)
{
        *ret = (struct build_id){ 0 };
        for (size_t i = 0; i < image->n_segments; i++) {
                const Elf64_Phdr *segment = &image->segments[i];
                _cleanup_free_ uint8_t *storage = NULL;
                struct cursor notes;
                int r;

                if (segment->p_type != PT_NOTE)
                        continue;
                r = segment_bytes(memory, head, image, segment, MAX_NOTES_BYTES, &storage, &notes);
                if (r < 0)
                        return r;
                if (r == 0 && build_id_from_notes(notes.data, notes.size, ret))
                        return 0;
        }
        return 0;
}

int elf_image_read_build_id(const struct elf_memory *memory, uint64_t address,
                            struct build_id *ret)
{
        struct elf_image image;
        struct head head;
        int r;

        r = read_frame(memory, address, &head, &image);
        if (r != 0)
                return r;
        return find_build_id(memory, &head, &image, ret);
}

/* An address from the dynamic section as an absolute one, or 0 if it can't be one. */
static uint64_t absolute(const struct elf_image *image, uint64_t value)
{
        if (value >= image->start && value < image->end)
                return value;
        value += image->bias;
        return value >= image->start && value < image->end ? value : 0;
}

/* Raw values that only have a meaning together with others. */
struct dynamic_values {
        uint64_t soname, relocation_entry, symbol_entry, jump_kind;
        bool has_soname;
};

static void take_entry(struct elf_image *image, struct dynamic_values *values,
                       const Elf64_Dyn *entry)
{
        uint64_t value = entry->d_un.d_val;

        switch (entry->d_tag) {
        case DT_SYMTAB: image->symbols = absolute(image, value); break;
        case DT_STRTAB: image->strings = absolute(image, value); break;
        case DT_STRSZ: image->strings_size = value; break;
        case DT_HASH: image->sysv_hash = absolute(image, value); break;
        case DT_GNU_HASH: image->gnu_hash = absolute(image, value); break;
        case DT_VERSYM: image->versions = absolute(image, value); break;
        case DT_VERNEED: image->version_needs = absolute(image, value); break;
        case DT_VERNEEDNUM: image->n_version_needs = value; break;
        case DT_VERDEF: image->version_definitions = absolute(image, value); break;
        case DT_VERDEFNUM: image->n_version_definitions = value; break;
        case DT_JMPREL: image->jump_relocations = absolute(image, value); break;
        case DT_PLTRELSZ: image->jump_relocations_size = value; break;
        case DT_PLTREL: values->jump_kind = value; break;
        case DT_RELA: image->relocations = absolute(image, value); break;
        case DT_RELASZ: image->relocations_size = value; break;
        case DT_RELAENT: values->relocation_entry = value; break;
        case DT_SYMENT: values->symbol_entry = value; break;
        case DT_SONAME: values->soname = value; values->has_soname = true; break;
        case DT_DEBUG: image->r_debug = value; break;
        case DT_BIND_NOW: image->bind_now = true; break;
        case DT_SYMBOLIC: image->symbolic = true; break;
        case DT_FLAGS:
                image->bind_now |= (value & DF_BIND_NOW) != 0;
                image->symbolic |= (value & DF_SYMBOLIC) != 0;
                break;
        case DT_FLAGS_1: image->bind_now |= (value & DF_1_NOW) != 0; break;
        }
}

/* A table is kept only with a size that its segment can hold; else it counts as absent. */
static void keep_if_held(const struct elf_image *image, uint64_t *address, uint64_t *size)
{
        uint64_t end = *address ? image_segment_end(image, *address) : 0;

        if (end == 0 || *size == 0 || *size > end - *address)
                *address = *size = 0;
}

static bool settle(struct elf_image *image, const struct dynamic_values *values)
{
        if (values->symbol_entry != 0 && values->symbol_entry != sizeof(Elf64_Sym))
                return false;
        if (values->relocation_entry != 0 && values->relocation_entry != sizeof(Elf64_Rela))
                return false;
        if (values->jump_kind != 0 && values->jump_kind != DT_RELA)
                return false;
        keep_if_held(image, &image->strings, &image->strings_size);
        keep_if_held(image, &image->relocations, &image->relocations_size);
        keep_if_held(image, &image->jump_relocations, &image->jump_relocations_size);
        if (values->has_soname && values->soname < image->strings_size)
                image->soname = image->strings + values->soname;
        return true;
}

static int read_dynamic(const struct elf_memory *memory, const struct head *head,
                        const Elf64_Phdr *segment, struct elf_image *image)
{
        _cleanup_free_ uint8_t *storage = NULL;
        struct dynamic_values values = { 0 };
        struct cursor cursor;
        Elf64_Dyn entry;
        int r;

        r = segment_bytes(memory, head, image, segment, MAX_DYNAMIC_BYTES, &storage, &cursor);
        if (r != 0)
                return r;
        image->has_dynamic = true;
        image->dynamic = image->bias + segment->p_vaddr;
        while (cursor_bytes(&cursor, &entry, sizeof(entry)) && entry.d_tag != DT_NULL)
                take_entry(image, &values, &entry);
        return settle(image, &values) ? 0 : ELF_IMAGE_BROKEN;
}

int elf_image_read(const struct elf_memory *memory, uint64_t address, struct elf_image *ret)
{
        struct elf_image image;
        struct head head;
        int r;

        r = read_frame(memory, address, &head, &image);
        if (r != 0)
                return r;
        r = find_build_id(memory, &head, &image, &image.build_id);
        if (r < 0)
                return r;
        for (size_t i = 0; i < image.n_segments; i++) {
                if (image.segments[i].p_type != PT_DYNAMIC)
                        continue;
                r = read_dynamic(memory, &head, &image.segments[i], &image);
                if (r != 0)
                        return r;
                break;
        }
        *ret = image;
        return 0;
}
