/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The compile log says which command made which object from which source; the objects are still in
 * the built tree. An object belongs to a module if its functions are there, byte for byte under a
 * mask of its own relocations. That holds for any build system, and tells objects apart that were
 * made from one source with different flags. An object that was not kept (a program compiled and linked at
 * once) is made again, as the build made it.
 */
#include "build/units.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/array.h"
#include "base/cursor.h"
#include "base/file.h"
#include "build/batch.h"

enum { MAX_LOG_BYTES = 1 << 30, MAX_OBJECT_BYTES = 1 << 28, MAX_SOURCE_BYTES = 64 << 20 };

void unit_list_done(struct unit_list *list)
{
        for (size_t i = 0; i < list->n_items; i++) {
                if (list->items[i].own)
                        free(list->items[i].own->source);
                free(list->items[i].own);
                free(list->items[i].name);
                free(list->items[i].original);
                free(list->items[i].fixed);
        }
        free(list->items);
        *list = (struct unit_list){ 0 };
}

int units_read_log(const struct rebuilt *rebuilt, struct compile_log *ret, struct error *err)
{
        _cleanup_free_ char *path = rebuilt->command_log
                                            ? strdup(rebuilt->command_log)
                                            : path_format("%s" ROOT_COMMAND_LOG, rebuilt->root);
        _cleanup_buffer_ struct buffer bytes = { 0 };
        int r = path ? file_read(path, MAX_LOG_BYTES, &bytes, err) : error_no_memory(err);

        return r < 0 ? r : compile_log_parse(&bytes, ret, err);
}

/* Bytes of code that the linker writes over, for one relocation (psABI, table 4.9). */
static void mask_relocation(const struct elf_relocation *relocation, uint64_t start, uint8_t *mask,
                            size_t size)
{
        uint64_t from = relocation->offset, width = 4;

        switch (relocation->type) {
        case R_X86_64_64:
        case R_X86_64_PC64:
        case R_X86_64_GOTOFF64:
                width = 8;
                break;
        case R_X86_64_GOTPCREL:
        case R_X86_64_GOTPCRELX:
        case R_X86_64_REX_GOTPCRELX:  /* the instruction may be turned into another one */
                from = from >= 3 ? from - 3 : 0;
                width = 7 + 1;
                break;
        default:
                break;
        }
        for (uint64_t at = from; at < from + width; at++)
                if (at >= start && at - start < size)
                        mask[at - start] = 1;
}

static bool same_code(const struct elf_view *object, const struct elf_symbol *symbol,
                      const struct elf_view *module, uint64_t address)
{
        const uint8_t *there = elf_view_at_address(module, address, symbol->size);
        _cleanup_free_ uint8_t *mask = calloc(1, symbol->size);
        struct elf_section section, table;
        struct elf_relocation relocation;

        if (!there || !mask || !elf_view_section(object, symbol->section, &section) ||
            !section.data || !range_fits(symbol->value, symbol->size, section.size))
                return false;
        if (elf_view_relocations_of(object, symbol->section, &table))
                for (size_t i = 0; i < elf_view_relocation_count(&table); i++)
                        if (elf_view_relocation(object, &table, i, &relocation))
                                mask_relocation(&relocation, symbol->value, mask, symbol->size);
        for (uint64_t i = 0; i < symbol->size; i++)
                if (!mask[i] && section.data[symbol->value + i] != there[i])
                        return false;
        return true;
}

static bool is_counted(const struct elf_symbol *symbol)
{
        return (symbol->type == STT_FUNC || symbol->type == STT_OBJECT) && symbol->size > 0 &&
               symbol->section != SHN_UNDEF && symbol->section < SHN_LORESERVE;
}

/* A unit that may be in the module, by how well its object fits. */
struct candidate {
        const struct compile_unit *unit;
        size_t n_symbols, n_fitting;
};

/* The functions and variables of a module, by name. */
struct symbol_index {
        struct elf_symbol *items;
        size_t n_items;
};

static int by_name(const void *a, const void *b)
{
        return strcmp(((const struct elf_symbol *)a)->name, ((const struct elf_symbol *)b)->name);
}

static int index_symbols(const struct elf_view *module, struct symbol_index *ret,
                         struct error *err)
{
        struct elf_section table;
        struct elf_symbol symbol, *item;

        if (!elf_view_find_section_type(module, SHT_SYMTAB, &table))
                return 0;
        for (size_t i = 0; i < elf_view_symbol_count(&table); i++) {
                if (!elf_view_symbol(module, &table, i, &symbol) || !is_counted(&symbol))
                        continue;
                item = ARRAY_PUSH(ret->items, ret->n_items);
                if (!item)
                        return error_no_memory(err);
                *item = symbol;
        }
        if (ret->n_items > 0)
                qsort(ret->items, ret->n_items, sizeof(ret->items[0]), by_name);
        return 0;
}

/* Static functions of one name may be in several units, so each of that name is tried. */
static bool module_has(const struct elf_view *module, const struct symbol_index *index,
                       const struct elf_view *object, const struct elf_symbol *wanted)
{
        size_t low = 0, high = index->n_items;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (strcmp(index->items[middle].name, wanted->name) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        for (; low < index->n_items && strcmp(index->items[low].name, wanted->name) == 0; low++)
                if (index->items[low].size == wanted->size &&
                    index->items[low].type == wanted->type &&
                    (wanted->type == STT_OBJECT ||
                     same_code(object, wanted, module, index->items[low].value)))
                        return true;
        return false;
}

/* How many symbols of a type the object has, and how many of them are in the module. */
static void match_symbols(const struct elf_view *object, const struct elf_view *module,
                          const struct symbol_index *index, uint8_t type,
                          struct candidate *candidate)
{
        struct elf_section table;
        struct elf_symbol symbol;

        if (!elf_view_find_section_type(object, SHT_SYMTAB, &table))
                return;
        for (size_t i = 0; i < elf_view_symbol_count(&table); i++) {
                if (!elf_view_symbol(object, &table, i, &symbol) || !is_counted(&symbol) ||
                    symbol.type != type)
                        continue;
                candidate->n_symbols++;
                candidate->n_fitting += module_has(module, index, object, &symbol);
        }
}

/* By its functions; one that holds only data is known by its variables. */
static void match_object(const struct elf_view *object, const struct elf_view *module,
                         const struct symbol_index *index, struct candidate *candidate)
{
        match_symbols(object, module, index, STT_FUNC, candidate);
        if (candidate->n_symbols == 0)
                match_symbols(object, module, index, STT_OBJECT, candidate);
}

/* Where the object of a unit is whose own was not left by the build, on the host. */
static char *lost_path(const struct rebuilt *rebuilt, const struct compile_log *log,
                       const struct compile_unit *unit)
{
        return path_format("%s%s/lost/%zu.o", rebuilt->root, rebuilt->work,
                           (size_t)(unit - log->units));
}

static char *built_path(const struct rebuilt *rebuilt, const struct compile_unit *unit)
{
        return unit->object ? path_format("%s%s", rebuilt->root, unit->object) : strdup("");
}

/* The object that the build left, or the one made in its place. */
static char *object_of(const struct rebuilt *rebuilt, const struct compile_log *log,
                       const struct compile_unit *unit)
{
        char *built = built_path(rebuilt, unit);

        if (!built || path_exists(built))
                return built;
        free(built);
        return lost_path(rebuilt, log, unit);
}

static int judge_candidate(const struct rebuilt *rebuilt, const struct compile_log *log,
                           const struct module_pair *module, const struct symbol_index *index,
                           struct candidate *candidate, struct error *err)
{
        _cleanup_free_ char *path = object_of(rebuilt, log, candidate->unit);
        _cleanup_buffer_ struct buffer bytes = { 0 };
        struct elf_view object;
        int r;

        if (!path)
                return error_no_memory(err);
        if (candidate->unit->link_time) { /* has nothing to compare, and is refused later (SB122) */
                candidate->n_symbols = candidate->n_fitting = 1;
                return 0;
        }
        if (!path_exists(path))
                return 0;
        r = file_read(path, MAX_OBJECT_BYTES, &bytes, err);
        if (r < 0)
                return r;
        if (elf_view_open(bytes.data, bytes.size, path, &object, NULL) == 0)
                match_object(&object, &module->rebuilt, index, candidate);
        return 0;
}

/* A later command for the same object wrote over it. */
static bool was_overwritten(const struct compile_log *log, const struct compile_unit *unit)
{
        for (const struct compile_unit *later = unit + 1; later < log->units + log->n_units;
             later++)
                if (later->object && unit->object && strcmp(later->object, unit->object) == 0)
                        return true;
        return false;
}

/* Whether the object has to be made again to see what is in it: it went straight into a program. */
static bool is_lost(const struct rebuilt *rebuilt, const struct compile_log *log,
                    const struct compile_unit *unit)
{
        _cleanup_free_ char *built = built_path(rebuilt, unit);
        _cleanup_free_ char *made = lost_path(rebuilt, log, unit);
        _cleanup_free_ char *source = path_format("%s%s", rebuilt->root, unit->source);

        return built && made && source && path_in_tree(rebuilt, unit->source) && !unit->link_time &&
               !path_exists(built) && !path_exists(made) && path_exists(source);
}

static int make_lost(const struct store *store, const struct rebuilt *rebuilt,
                     const struct compile_log *log, const struct unit_readings *readings,
                     struct error *err)
{
        _cleanup_(batch_done) struct batch batch = { .rebuilt = rebuilt, .log = log,
                                                     .tolerant = true };
        bool ok = true;

        for (size_t i = 0; ok && i < log->n_units; i++) {
                const struct compile_unit *unit = &log->units[i];
                _cleanup_free_ char *output = path_format("%s/lost/%zu.o", rebuilt->work, i);
                _cleanup_words_ struct words argv = { 0 };

                if (!unit_is_concerned(&readings->items[i]) || !is_lost(rebuilt, log, unit))
                        continue;
                ok = output && compile_unit_command(log, unit, COMPILE_AS_BUILT, output, &argv) &&
                     batch_add(&batch, unit, &argv, NULL);
        }
        if (!ok)
                return error_no_memory(err);
        return batch.n_jobs == 0 ? 0
                                 : batch_run(store, &batch, "lost",
                                             "making the objects that the build did not keep", err);
}

/* Whether two units are made of one source, or of one and a copy of it. */
static bool same_source(const struct rebuilt *rebuilt, const struct compile_unit *a,
                        const struct compile_unit *b)
{
        _cleanup_free_ char *path_a = path_format("%s%s", rebuilt->root, a->source);
        _cleanup_free_ char *path_b = path_format("%s%s", rebuilt->root, b->source);
        _cleanup_buffer_ struct buffer bytes_a = { 0 }, bytes_b = { 0 };

        if (strcmp(a->source, b->source) == 0)
                return true;
        return path_a && path_b && strcmp(strrchr(path_a, '/'), strrchr(path_b, '/')) == 0 &&
               file_read(path_a, MAX_SOURCE_BYTES, &bytes_a, NULL) == 0 &&
               file_read(path_b, MAX_SOURCE_BYTES, &bytes_b, NULL) == 0 && bytes_a.size > 0 &&
               bytes_a.size == bytes_b.size && memcmp(bytes_a.data, bytes_b.data, bytes_a.size) == 0;
}

/* Names that only one object of a module can define. */
static int list_definitions(const char *path, struct words *ret)
{
        _cleanup_buffer_ struct buffer bytes = { 0 };
        struct elf_section table;
        struct elf_symbol symbol;
        struct elf_view object;

        if (file_read(path, MAX_OBJECT_BYTES, &bytes, NULL) < 0 ||
            elf_view_open(bytes.data, bytes.size, path, &object, NULL) != 0 ||
            !elf_view_find_section_type(&object, SHT_SYMTAB, &table))
                return 0;
        for (size_t i = 0; i < elf_view_symbol_count(&table); i++)
                if (elf_view_symbol(&object, &table, i, &symbol) && is_counted(&symbol) &&
                    symbol.bind == STB_GLOBAL && !words_add(ret, symbol.name))
                        return -ENOMEM;
        return 0;
}

/*
 * Objects of one source that can't both be in the module. A source that is compiled twice under other
 * names (for two sizes of characters, say) gives two that can, and the fix concerns both.
 */
static bool are_alternatives(const struct rebuilt *rebuilt, const struct compile_log *log,
                             const struct compile_unit *a, const struct compile_unit *b)
{
        _cleanup_free_ char *path_a = object_of(rebuilt, log, a);
        _cleanup_free_ char *path_b = object_of(rebuilt, log, b);
        _cleanup_words_ struct words names_a = { 0 }, names_b = { 0 };

        if (!path_a || !path_b || list_definitions(path_a, &names_a) < 0 ||
            list_definitions(path_b, &names_b) < 0 || names_a.n_items == 0 || names_b.n_items == 0)
                return true;
        for (size_t i = 0; i < names_a.n_items; i++)
                if (words_contain(&names_b, names_a.items[i]))
                        return true;
        return false;
}

/* The units that the fix concerns and whose object is in the module, the best of alternatives. */
static int list_candidates(const struct rebuilt *rebuilt, const struct compile_log *log,
                           const struct unit_readings *readings, const struct module_pair *module,
                           const struct symbol_index *index, struct candidate **ret, size_t *ret_n,
                           struct error *err)
{
        for (size_t i = 0; i < log->n_units; i++) {
                struct candidate candidate = { .unit = &log->units[i] }, *same = NULL, *place;
                int r;

                if (!unit_is_concerned(&readings->items[i]) || was_overwritten(log, candidate.unit))
                        continue;
                r = judge_candidate(rebuilt, log, module, index, &candidate, err);
                if (r < 0)
                        return r;
                if (2 * candidate.n_fitting <= candidate.n_symbols)
                        continue; /* not in this module */
                for (size_t k = 0; k < *ret_n; k++)
                        if (same_source(rebuilt, (*ret)[k].unit, candidate.unit) &&
                            are_alternatives(rebuilt, log, (*ret)[k].unit, candidate.unit))
                                same = &(*ret)[k];
                if (same && same->n_fitting >= candidate.n_fitting)
                        continue;
                place = same ? same : ARRAY_PUSH(*ret, *ret_n);
                if (!place)
                        return error_no_memory(err);
                *place = candidate;
        }
        return 0;
}

static int add_unit(const struct rebuilt *rebuilt, const struct compile_unit *unit,
                    const struct unit_reading *reading, struct applied_fix *fix,
                    struct unit_list *list, struct error *err)
{
        struct unit_objects *item;

        if (!reading->known)
                return error_set(err, EXIT_CODE_ERROR, 0, NULL,
                                 "the compiler can't say which files %s reads", unit->source);
        item = ARRAY_PUSH(list->items, list->n_items);
        if (!item)
                return error_no_memory(err);
        item->unit = unit;
        item->name = strdup(path_in_tree(rebuilt, unit->source));
        for (size_t i = 0; item->name && i < reading->changed.n_items; i++)
                if (!words_contain(&fix->read, reading->changed.items[i]) &&
                    !words_add(&fix->read, reading->changed.items[i]))
                        return error_no_memory(err);
        return item->name ? 0 : error_no_memory(err);
}

int units_find(const struct store *store, const struct rebuilt *rebuilt,
               const struct compile_log *log, const struct unit_readings *readings,
               struct applied_fix *fix, const struct module_pair *module, struct unit_list *ret,
               struct error *err)
{
        _cleanup_(unit_list_done) struct unit_list list = { 0 };
        _cleanup_free_ struct candidate *candidates = NULL;
        struct symbol_index index = { 0 };
        size_t n = 0;
        int r = make_lost(store, rebuilt, log, readings, err);

        if (r == 0)
                r = index_symbols(&module->rebuilt, &index, err);
        if (r == 0)
                r = list_candidates(rebuilt, log, readings, module, &index, &candidates, &n, err);
        free(index.items);
        for (size_t i = 0; r == 0 && i < n; i++)
                r = add_unit(rebuilt, candidates[i].unit,
                             &readings->items[candidates[i].unit - log->units], fix, &list, err);
        if (r < 0)
                return r;
        *ret = list;
        list = (struct unit_list){ 0 };
        return 0;
}

static const struct compile_unit *unit_of_folder(const struct unit_list *list, const char *name)
{
        size_t length = strrchr(name, '/') ? (size_t)(strrchr(name, '/') - name) + 1 : 0;

        for (size_t i = 0; i < list->n_items; i++)
                if (strncmp(list->items[i].name, name, length) == 0 &&
                    !strchr(list->items[i].name + length, '/'))
                        return list->items[i].unit;
        return list->items[0].unit;
}

int units_add_new(const struct rebuilt *rebuilt, const char *name, struct unit_list *list,
                  struct error *err)
{
        struct compile_unit *unit = malloc(sizeof(*unit));
        struct unit_objects *item;

        if (!unit)
                return error_no_memory(err);
        *unit = *unit_of_folder(list, name);
        unit->source = path_format("%s/%s", rebuilt->tree, name);
        unit->object = NULL;
        unit->language = NULL;
        unit->instead = true;
        item = ARRAY_PUSH(list->items, list->n_items);
        if (!unit->source || !item) {
                free(unit->source);
                free(unit);
                return error_no_memory(err);
        }
        item->own = unit;
        item->unit = unit;
        item->name = strdup(name);
        return item->name ? 0 : error_no_memory(err);
}

static int compile_round(const struct store *store, const struct rebuilt *rebuilt,
                         const struct compile_log *log, const char *name, bool fixed,
                         struct unit_list *list, struct error *err)
{
        _cleanup_free_ char *folder = path_format("%s-%s", fixed ? "fixed" : "original", name);
        _cleanup_(batch_done) struct batch batch = { .rebuilt = rebuilt, .log = log,
                                                     .fixed = fixed };
        bool ok = folder;

        for (size_t i = 0; ok && i < list->n_items; i++) {
                _cleanup_free_ char *output = path_format("%s/%s/%zu.o", rebuilt->work, folder, i);
                _cleanup_words_ struct words argv = { 0 };
                char **place = fixed ? &list->items[i].fixed : &list->items[i].original;

                if (!fixed && list->items[i].own)
                        continue;
                free(*place);
                *place = output ? path_format("%s%s", rebuilt->root, output) : NULL;
                ok = *place &&
                     compile_unit_command(log, list->items[i].unit, COMPILE_SECTIONS, output,
                                          &argv) &&
                     batch_add(&batch, list->items[i].unit, &argv, NULL);
        }
        if (!ok)
                return error_no_memory(err);
        return batch_run(store, &batch, folder,
                         fixed ? "compiling the fixed source" : "compiling the original", err);
}

int units_compile(const struct store *store, const struct rebuilt *rebuilt,
                  const struct compile_log *log, const char *name, struct unit_list *list,
                  struct error *err)
{
        int r = compile_round(store, rebuilt, log, name, false, list, err);

        return r < 0 ? r : compile_round(store, rebuilt, log, name, true, list, err);
}
