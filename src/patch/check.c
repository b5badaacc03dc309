/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file by itself: a relocatable object for x86-64, its sections of kinds that can be loaded,
 * its symbols whole, its relocations of types that the live linker can carry out and within the
 * sections they change. All tables are read once and sorted by name, so that checking a target
 * costs about what the target is large; the limits keep a hostile file from costing more.
 */
#include "patch/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "patch/manifest.h"

#define NEXT_STEP                                                                             \
        "get the file again from where it came from, or rebuild it with this version of suture"

int check_bad(const struct check *check, const char *format, ...)
{
        char what[512];
        va_list args;

        va_start(args, format);
        vsnprintf(what, sizeof(what), format, args);
        va_end(args);
        return error_set(check->err, EXIT_CODE_ERROR, 0, NEXT_STEP, "%s can't be used: %s",
                         check->file, what);
}

/* Names end up in messages and logs, so they are printable ASCII and of a bounded length. */
static bool name_is_plain(const char *name)
{
        size_t length = 0;

        for (; name[length]; length++)
                if (name[length] < 0x20 || name[length] > 0x7e || length >= MANIFEST_MAX_NAME)
                        return false;
        return true;
}

static int check_header(const struct check *check)
{
        const struct elf_view *view = &check->patch->view;

        if (view->header.e_type != ET_REL)
                return check_bad(check, "it is an ELF file, but not a relocatable object");
        if (view->header.e_machine != EM_X86_64)
                return check_bad(check, "it is for another kind of processor (ELF machine %u)",
                                 view->header.e_machine);
        if (view->n_sections > CHECK_MAX_SECTIONS)
                return check_bad(check, "it has %zu sections, more than the %u allowed",
                                 view->n_sections, CHECK_MAX_SECTIONS);
        return 0;
}

static int check_alloc(const struct check *check, const struct elf_section *section)
{
        if (section->type != SHT_PROGBITS && section->type != SHT_NOBITS &&
            section->type != SHT_NOTE && section->type != SHT_X86_64_UNWIND)
                return check_bad(check, "section %s is of type %u, which can't be loaded",
                                 section->name, section->type);
        if (section->flags & SHF_TLS)
                return check_bad(check, "section %s is thread-local, which can't be added to a "
                                 "running process", section->name);
        if ((section->flags & SHF_WRITE) && (section->flags & SHF_EXECINSTR))
                return check_bad(check, "section %s is both writable and executable",
                                 section->name);
        if (section->flags & SHF_COMPRESSED)
                return check_bad(check, "section %s is compressed", section->name);
        if (section->alignment > CHECK_MAX_ALIGNMENT)
                return check_bad(check, "section %s wants an alignment of %llu bytes, more than "
                                 "the %u allowed", section->name,
                                 (unsigned long long)section->alignment, CHECK_MAX_ALIGNMENT);
        if (section->size > CHECK_MAX_ALLOC_BYTES)
                return check_bad(check, "section %s is larger than the %u bytes allowed",
                                 section->name, CHECK_MAX_ALLOC_BYTES);
        return 0;
}

static int check_sections(struct check *check)
{
        for (size_t i = 1; i < check->n_sections; i++) {
                struct elf_section *section = &check->sections[i];
                int r;

                if (!elf_view_section(&check->patch->view, i, section))
                        return check_bad(check, "its section %zu lies outside the file, has no "
                                         "valid name, or an alignment that is no power of two", i);
                if (!name_is_plain(section->name))
                        return check_bad(check, "the name of its section %zu is too long or has "
                                         "characters that are not printable ASCII", i);
                if (!(section->flags & SHF_ALLOC))
                        continue;
                r = check_alloc(check, section);
                if (r < 0)
                        return r;
                check->sections_by_name[check->n_alloc++] = i;
        }
        return 0;
}

static int check_symbols(struct check *check)
{
        struct patch *patch = check->patch;

        for (size_t i = 1; i < check->n_symbols; i++) {
                struct elf_symbol *symbol = &check->symbols[i];

                if (!elf_view_symbol(&patch->view, &patch->symbol_table, i, symbol))
                        return check_bad(check, "its symbol %zu has no valid name or section", i);
                if (!name_is_plain(symbol->name))
                        return check_bad(check, "the name of its symbol %zu is too long or has "
                                         "characters that are not printable ASCII", i);
                if (symbol->name[0] != '\0' && symbol->type != STT_FILE)
                        check->symbols_by_name[check->n_named++] = i;
        }
        return 0;
}

/* Which SHT_RELA applies to which alloc section. */
static int map_relocations(struct check *check)
{
        for (size_t i = 1; i < check->n_sections; i++) {
                const struct elf_section *table = &check->sections[i], *section;

                if ((table->type != SHT_RELA && table->type != SHT_REL) || table->info == 0)
                        continue;
                if (table->info >= check->n_sections)
                        return check_bad(check, "the relocations in section %s are for section "
                                         "%u, which does not exist", table->name, table->info);
                section = &check->sections[table->info];
                if (!(section->flags & SHF_ALLOC))
                        continue;
                if (table->type == SHT_REL)
                        return check_bad(check, "section %s has relocations without addends "
                                         "(SHT_REL)", section->name);
                if (check->relocations[section->index] != 0)
                        return check_bad(check, "section %s has two tables of relocations",
                                         section->name);
                if (table->link != check->patch->symbol_table.index ||
                    table->entry_size != sizeof(Elf64_Rela) ||
                    table->size % sizeof(Elf64_Rela) != 0)
                        return check_bad(check, "the table of relocations of section %s is broken",
                                         section->name);
                if (!section->data && table->size > 0)
                        return check_bad(check, "section %s has relocations but no bytes",
                                         section->name);
                check->relocations[section->index] = i;
        }
        return 0;
}

/* System V psABI for x86-64, table "Relocation Types". */
static const char *const relocation_names[] = {
        [R_X86_64_NONE] = "R_X86_64_NONE", [R_X86_64_64] = "R_X86_64_64",
        [R_X86_64_PC32] = "R_X86_64_PC32", [R_X86_64_GOT32] = "R_X86_64_GOT32",
        [R_X86_64_PLT32] = "R_X86_64_PLT32", [R_X86_64_COPY] = "R_X86_64_COPY",
        [R_X86_64_GLOB_DAT] = "R_X86_64_GLOB_DAT", [R_X86_64_JUMP_SLOT] = "R_X86_64_JUMP_SLOT",
        [R_X86_64_RELATIVE] = "R_X86_64_RELATIVE", [R_X86_64_GOTPCREL] = "R_X86_64_GOTPCREL",
        [R_X86_64_32] = "R_X86_64_32", [R_X86_64_32S] = "R_X86_64_32S",
        [R_X86_64_16] = "R_X86_64_16", [R_X86_64_PC16] = "R_X86_64_PC16",
        [R_X86_64_8] = "R_X86_64_8", [R_X86_64_PC8] = "R_X86_64_PC8",
        [R_X86_64_DTPMOD64] = "R_X86_64_DTPMOD64", [R_X86_64_DTPOFF64] = "R_X86_64_DTPOFF64",
        [R_X86_64_TPOFF64] = "R_X86_64_TPOFF64", [R_X86_64_TLSGD] = "R_X86_64_TLSGD",
        [R_X86_64_TLSLD] = "R_X86_64_TLSLD", [R_X86_64_DTPOFF32] = "R_X86_64_DTPOFF32",
        [R_X86_64_GOTTPOFF] = "R_X86_64_GOTTPOFF", [R_X86_64_TPOFF32] = "R_X86_64_TPOFF32",
        [R_X86_64_PC64] = "R_X86_64_PC64", [R_X86_64_GOTOFF64] = "R_X86_64_GOTOFF64",
        [R_X86_64_GOTPC32] = "R_X86_64_GOTPC32", [R_X86_64_GOT64] = "R_X86_64_GOT64",
        [R_X86_64_GOTPCREL64] = "R_X86_64_GOTPCREL64", [R_X86_64_GOTPC64] = "R_X86_64_GOTPC64",
        [R_X86_64_GOTPLT64] = "R_X86_64_GOTPLT64", [R_X86_64_PLTOFF64] = "R_X86_64_PLTOFF64",
        [R_X86_64_SIZE32] = "R_X86_64_SIZE32", [R_X86_64_SIZE64] = "R_X86_64_SIZE64",
        [R_X86_64_GOTPC32_TLSDESC] = "R_X86_64_GOTPC32_TLSDESC",
        [R_X86_64_TLSDESC_CALL] = "R_X86_64_TLSDESC_CALL",
        [R_X86_64_TLSDESC] = "R_X86_64_TLSDESC", [R_X86_64_IRELATIVE] = "R_X86_64_IRELATIVE",
        [R_X86_64_RELATIVE64] = "R_X86_64_RELATIVE64",
        [R_X86_64_GOTPCRELX] = "R_X86_64_GOTPCRELX",
        [R_X86_64_REX_GOTPCRELX] = "R_X86_64_REX_GOTPCRELX",
};

/*
 * The field that a relocation changes, and how many bytes of its instruction must stand before it
 * (the linker may rewrite them: psABI, "Optimize GOTPCRELX Relocations"). False: not supported.
 */
static bool relocation_field(uint32_t type, uint64_t *size, uint64_t *before)
{
        *before = 0;
        *size = 4;
        switch (type) {
        case R_X86_64_NONE: *size = 0; return true;
        case R_X86_64_64:
        case R_X86_64_PC64: *size = 8; return true;
        case R_X86_64_PC32:
        case R_X86_64_PLT32:
        case R_X86_64_GOTPCREL:
        case R_X86_64_32:
        case R_X86_64_32S: return true;
        case R_X86_64_GOTPCRELX: *before = 2; return true;
        case R_X86_64_REX_GOTPCRELX: *before = 3; return true;
        default: return false;
        }
}

static int check_relocation(const struct check *check, const struct elf_section *section,
                            const struct elf_relocation *relocation)
{
        const struct elf_symbol *symbol = &check->symbols[relocation->symbol];
        const char *name = relocation->type < ARRAY_SIZE(relocation_names)
                                   ? relocation_names[relocation->type] : NULL;
        unsigned long long offset = relocation->offset;
        uint64_t size, before;

        if (!relocation_field(relocation->type, &size, &before))
                return check_bad(check, "section %s has a relocation of type %s (%u) at offset "
                                 "%llu, which can't be done in a running process", section->name,
                                 name ? name : "unknown", relocation->type, offset);
        if (!range_fits(relocation->offset, size, section->size) || relocation->offset < before)
                return check_bad(check, "section %s has a relocation at offset %llu, outside its "
                                 "%llu bytes", section->name, offset,
                                 (unsigned long long)section->size);
        if (relocation->type == R_X86_64_NONE)
                return 0;
        if (relocation->symbol == STN_UNDEF)
                return check_bad(check, "section %s has a relocation without a symbol at offset "
                                 "%llu", section->name, offset);
        if (symbol->type == STT_TLS || symbol->type == STT_GNU_IFUNC || symbol->type == STT_FILE)
                return check_bad(check, "section %s refers at offset %llu to %s, a symbol of type "
                                 "%u, which can't be bound in a running process", section->name,
                                 offset, symbol->name, symbol->type);
        if (symbol->section >= SHN_LORESERVE)
                return check_bad(check, "section %s refers at offset %llu to %s, which is in no "
                                 "section (index %u)", section->name, offset, symbol->name,
                                 symbol->section);
        return 0;
}

static int compare_numbers(const void *a, const void *b)
{
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

        return x < y ? -1 : x > y;
}

/* Sorts, and drops what is there twice, so that each target looks at each symbol once. */
static void settle_references(struct check_references *references)
{
        size_t n = 0;

        if (references->n > 0)
                qsort(references->symbols, references->n, sizeof(uint32_t), compare_numbers);
        for (size_t i = 0; i < references->n; i++)
                if (n == 0 || references->symbols[n - 1] != references->symbols[i])
                        references->symbols[n++] = references->symbols[i];
        references->n = n;
}

static int check_table(const struct check *check, const struct elf_section *section,
                       const struct elf_section *table, size_t n)
{
        struct check_references *references = &check->references[section->index];

        references->symbols = calloc(n + 1, sizeof(uint32_t));
        if (!references->symbols)
                return error_no_memory(check->err);
        for (size_t i = 0; i < n; i++) {
                struct elf_relocation relocation;
                int r;

                if (!elf_view_relocation(&check->patch->view, table, i, &relocation))
                        return check_bad(check, "relocation %zu of section %s is for a symbol "
                                         "that does not exist", i, section->name);
                r = check_relocation(check, section, &relocation);
                if (r < 0)
                        return r;
                if (relocation.type != R_X86_64_NONE)
                        references->symbols[references->n++] = relocation.symbol;
        }
        settle_references(references);
        return 0;
}

static int check_relocations(const struct check *check)
{
        size_t total = 0;

        for (size_t i = 1; i < check->n_sections; i++) {
                const struct elf_section *table = &check->sections[check->relocations[i]];
                size_t n = check->relocations[i] ? elf_view_relocation_count(table) : 0;
                int r;

                if (n == 0)
                        continue;
                total += n;
                if (total > CHECK_MAX_RELOCATIONS)
                        return check_bad(check, "it has more than the %u relocations allowed",
                                         CHECK_MAX_RELOCATIONS);
                r = check_table(check, &check->sections[i], table, n);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool is_defined(const struct elf_symbol *symbol)
{
        return symbol->section != SHN_UNDEF;
}

static int compare_sections(const void *a, const void *b, void *context)
{
        const struct check *check = context;

        return strcmp(check->sections[*(const size_t *)a].name,
                      check->sections[*(const size_t *)b].name);
}

/* By name, and for one name the undefined ones first. */
static int compare_symbol(const struct elf_symbol *symbol, const char *name, bool defined)
{
        int order = strcmp(symbol->name, name);

        return order != 0 ? order : (int)is_defined(symbol) - (int)defined;
}

static int compare_symbols(const void *a, const void *b, void *context)
{
        const struct check *check = context;
        const struct elf_symbol *other = &check->symbols[*(const size_t *)b];

        return compare_symbol(&check->symbols[*(const size_t *)a], other->name,
                              is_defined(other));
}

size_t check_find_section(const struct check *check, const char *name)
{
        const size_t *sorted = check->sections_by_name;
        size_t low = 0, high = check->n_alloc;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (strcmp(check->sections[sorted[middle]].name, name) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        if (low == check->n_alloc || strcmp(check->sections[sorted[low]].name, name) != 0)
                return 0;
        if (low + 1 < check->n_alloc &&
            strcmp(check->sections[sorted[low + 1]].name, name) == 0)
                return 0;
        return sorted[low];
}

size_t check_find_symbol(const struct check *check, const char *name, bool defined)
{
        const size_t *sorted = check->symbols_by_name;
        size_t low = 0, high = check->n_named;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (compare_symbol(&check->symbols[sorted[middle]], name, defined) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        if (low == check->n_named ||
            compare_symbol(&check->symbols[sorted[low]], name, defined) != 0)
                return 0;
        if (low + 1 < check->n_named &&
            compare_symbol(&check->symbols[sorted[low + 1]], name, defined) == 0)
                return 0;
        return sorted[low];
}

static bool check_init(struct check *check)
{
        check->n_sections = check->patch->view.n_sections;
        check->n_symbols = elf_view_symbol_count(&check->patch->symbol_table);
        check->sections = calloc(check->n_sections + 1, sizeof(*check->sections));
        check->relocations = calloc(check->n_sections + 1, sizeof(*check->relocations));
        check->references = calloc(check->n_sections + 1, sizeof(*check->references));
        check->sections_by_name = calloc(check->n_sections + 1, sizeof(*check->sections_by_name));
        check->symbols = calloc(check->n_symbols + 1, sizeof(*check->symbols));
        check->symbols_by_name = calloc(check->n_symbols + 1, sizeof(*check->symbols_by_name));
        check->listed = calloc(check->n_sections + 1, 1);
        check->provided = calloc(check->n_symbols + 1, 1);
        return check->sections && check->relocations && check->references &&
               check->sections_by_name && check->symbols && check->symbols_by_name &&
               check->listed && check->provided;
}

static void check_done(struct check *check)
{
        free(check->sections);
        free(check->relocations);
        for (size_t i = 0; check->references && i < check->n_sections; i++)
                free(check->references[i].symbols);
        free(check->references);
        free(check->sections_by_name);
        free(check->symbols);
        free(check->symbols_by_name);
        free(check->listed);
        free(check->provided);
}

static int check_file(struct check *check)
{
        int r = check_sections(check);

        if (r < 0)
                return r;
        r = check_symbols(check);
        if (r < 0)
                return r;
        r = map_relocations(check);
        if (r < 0)
                return r;
        r = check_relocations(check);
        if (r < 0)
                return r;
        qsort_r(check->sections_by_name, check->n_alloc, sizeof(size_t), compare_sections, check);
        qsort_r(check->symbols_by_name, check->n_named, sizeof(size_t), compare_symbols, check);
        return 0;
}

int patch_check(struct patch *patch, const char *file, struct error *err)
{
        _cleanup_(check_done) struct check check = { .patch = patch, .file = file, .err = err };
        int r = check_header(&check);

        if (r < 0)
                return r;
        if (elf_view_symbol_count(&patch->symbol_table) > CHECK_MAX_SYMBOLS)
                return check_bad(&check, "it has more than the %u symbols allowed",
                                 CHECK_MAX_SYMBOLS);
        if (!check_init(&check))
                return error_no_memory(err);
        r = check_file(&check);
        for (size_t t = 0; r == 0 && t < patch->n_targets; t++)
                r = check_target(&check, t);
        return r;
}
