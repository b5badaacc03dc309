/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a mapped module takes from others: the slots that the dynamic linker binds to names, and
 * the names themselves.
 */
#include "elf/image.h"

#include <errno.h>
#include <string.h>

#include "elf/image-window.h"

#define MAX_IMPORTS (UINT32_C(1) << 20)
/* Names are met in no order, so their table is best read whole; the others are walked through. */
#define STRINGS_CAPACITY (4u << 20)
#define SYMBOLS_CAPACITY (256u << 10)
#define RELOCATIONS_CAPACITY (256u << 10)

/* What a walk over relocations needs. */
struct slot_walk {
        const struct elf_image *image;
        struct image_window relocations, symbols, strings;
        bool (*each)(void *context, const char *name, enum elf_slot_kind kind,
                     uint64_t slot_address);
        void *context;
};

static void slot_walk_done(struct slot_walk *walk)
{
        image_window_done(&walk->relocations);
        image_window_done(&walk->symbols);
        image_window_done(&walk->strings);
}

static int visit_relocation(struct slot_walk *walk, const Elf64_Rela *relocation)
{
        uint32_t type = ELF64_R_TYPE(relocation->r_info);
        const struct elf_image *image = walk->image;
        const char *name;
        Elf64_Sym symbol;
        int r;

        if ((type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT) ||
            ELF64_R_SYM(relocation->r_info) == STN_UNDEF)
                return 0;
        r = image_window_copy(&walk->symbols, image->symbols, ELF64_R_SYM(relocation->r_info),
                      sizeof(symbol), &symbol);
        if (r < 0)
                return r;
        r = image_window_string(&walk->strings, image->strings + symbol.st_name,
                                image->strings + image->strings_size, &name);
        if (r < 0)
                return r;
        if (name[0] == '\0')
                return 0;
        return walk->each(walk->context, name,
                          type == R_X86_64_JUMP_SLOT ? ELF_SLOT_JUMP : ELF_SLOT_DATA,
                          image->bias + relocation->r_offset);
}

static int walk_table(struct slot_walk *walk, uint64_t table, uint64_t size)
{
        for (uint64_t i = 0; i < size / sizeof(Elf64_Rela); i++) {
                Elf64_Rela relocation;
                int r = image_window_copy(&walk->relocations, table, i, sizeof(relocation),
                                          &relocation);

                if (r < 0)
                        return r;
                r = visit_relocation(walk, &relocation);
                if (r != 0)
                        return r;
        }
        return 0;
}

int elf_image_each_slot(const struct elf_memory *memory, const struct elf_image *image,
                        bool (*each)(void *context, const char *name, enum elf_slot_kind kind,
                                     uint64_t slot_address),
                        void *context)
{
        _cleanup_(slot_walk_done) struct slot_walk walk = {
                .image = image, .each = each, .context = context
        };
        int r;

        if (image->symbols == 0 || image->strings == 0)
                return 0;
        image_window_init(&walk.relocations, memory, image, image->jump_relocations,
                          RELOCATIONS_CAPACITY);
        image_window_init(&walk.symbols, memory, image, image->symbols, SYMBOLS_CAPACITY);
        image_window_init(&walk.strings, memory, image, image->strings,
                          MIN(image->strings_size, STRINGS_CAPACITY));
        r = walk_table(&walk, image->jump_relocations, image->jump_relocations_size);
        if (r != 0)
                return r;
        /* Some linkers let DT_RELA span DT_JMPREL; what it shares was visited already. */
        walk.relocations.base = image->relocations;
        if (image->jump_relocations >= image->relocations &&
            image->jump_relocations - image->relocations < image->relocations_size)
                return walk_table(&walk, image->relocations,
                                  image->jump_relocations - image->relocations);
        return walk_table(&walk, image->relocations, image->relocations_size);
}

/*
 * How many symbols from the first hold all that are only needed: GNU hash tables leave out just
 * those, in front; the SysV table has one chain entry a symbol.
 */
static int count_imports(struct image_window *window, const struct elf_image *image,
                         uint32_t *ret)
{
        int r = 0;

        *ret = 0;
        if (image->gnu_hash)
                r = image_window_copy(window, image->gnu_hash, 1, 4, ret);
        else if (image->sysv_hash)
                r = image_window_copy(window, image->sysv_hash, 1, 4, ret);
        if (r < 0)
                return r;
        return *ret > MAX_IMPORTS ? -EBADMSG : 0;
}

static bool listed(const char *name, const char *const names[])
{
        for (; *names; names++)
                if (strcmp(name, *names) == 0)
                        return true;
        return false;
}

/* Of a program that is not PIE, a needed function whose address is taken is in the table too. */
static int imports_with_address(const struct elf_memory *memory, const struct elf_image *image,
                                const char *const names[])
{
        for (; image->type == ET_EXEC && *names; names++) {
                struct elf_image_symbol symbol;
                int r = elf_image_lookup(memory, image, *names, NULL, &symbol);

                if (r < 0)
                        return r;
                if (r == 0 && symbol.section == SHN_UNDEF)
                        return 1;
        }
        return 0;
}

int elf_image_imports_any(const struct elf_memory *memory, const struct elf_image *image,
                          const char *const names[])
{
        _cleanup_(slot_walk_done) struct slot_walk walk = { .image = image };
        uint32_t n = 0;
        int r;

        if (image->symbols == 0 || image->strings == 0)
                return 0;
        image_window_init(&walk.relocations, memory, image, UINT64_MAX, 0);
        r = count_imports(&walk.relocations, image, &n);
        image_window_init(&walk.symbols, memory, image, image->symbols,
                          MIN(n * sizeof(Elf64_Sym), SYMBOLS_CAPACITY));
        image_window_init(&walk.strings, memory, image, image->strings,
                          MIN(image->strings_size, STRINGS_CAPACITY));
        for (uint32_t i = 1; r == 0 && i < n; i++) {
                const char *name;
                Elf64_Sym symbol;

                r = image_window_copy(&walk.symbols, image->symbols, i, sizeof(symbol), &symbol);
                if (r < 0)
                        return r;
                if (symbol.st_shndx != SHN_UNDEF || symbol.st_name == 0)
                        continue;
                r = image_window_string(&walk.strings, image->strings + symbol.st_name,
                                        image->strings + image->strings_size, &name);
                if (r == 0 && listed(name, names))
                        return 1;
        }
        if (r < 0)
                return r;
        return imports_with_address(memory, image, names);
}
