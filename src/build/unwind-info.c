/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compilers put the entries of all functions in one section, one behind the other, and tie each to
 * its function by a relocation. So the section is cut at the entries' lengths, and what an entry is
 * for is read from its relocations: the first is the function's address, another one its table
 * of exceptions; that of a common part is the personality routine. Nothing else in an entry has to
 * be understood: it is carried as it is.
 *
 * A table (LSDA) has no length. It ends where the next one begins, or with its section.
 */
#include "build/unwind-info.h"

#include <string.h>
#include "base/array.h"
#include "base/cursor.h"
#include "build/changes.h"
#include "build/extract.h"
#include "build/links.h"
#include "elf/frames.h"

struct reader {
        struct object *object;
        struct unwind_info *info;
        const struct elf_section **sections; /* .eh_frame and .gcc_except_table */
        size_t n_sections;
        struct error *err;
};

/* --- References --------------------------------------------------------------------------- */

/* A reference and the section that it lies in. */
struct field {
        size_t section;
        struct reference reference;
        struct unwind_place place;
};

struct fields {
        struct field *items;
        size_t n_items;
};

static void fields_done(struct fields *fields)
{
        free(fields->items);
}

static int compare_fields(const void *a, const void *b)
{
        const struct field *x = a, *y = b;

        if (x->section != y->section)
                return x->section < y->section ? -1 : 1;
        return x->reference.offset < y->reference.offset   ? -1
               : x->reference.offset > y->reference.offset ? 1
                                                           : 0;
}

/* Where a relocation leads, if its symbol is defined here. */
static struct unwind_place place_of(const struct object *object,
                                    const struct elf_relocation *relocation)
{
        const struct elf_symbol *symbol = &object->symbols[relocation->symbol];

        if (symbol->section == SHN_UNDEF || symbol->section >= object->view.n_sections)
                return (struct unwind_place){ 0 };
        return (struct unwind_place){ symbol->section,
                                      symbol->value + (uint64_t)relocation->addend };
}

static void make_field(const struct object *object, const struct elf_relocation *relocation,
                       struct field *ret)
{
        const struct elf_symbol *symbol = &object->symbols[relocation->symbol];
        struct reference *reference = &ret->reference;

        ret->place = place_of(object, relocation);
        *reference = (struct reference){
                .offset = relocation->offset,
                .type = relocation->type,
                .addend = relocation->addend,
                .delta = relocation->addend,
                .symbol = symbol->type == STT_SECTION ? "" : symbol->name,
                .symbol_hidden = symbol->visibility == STV_HIDDEN ||
                                 symbol->visibility == STV_INTERNAL,
                .symbol_global = symbol->bind != STB_LOCAL,
                .target = object_atom_at(object, ret->place.section, ret->place.offset),
        };
        if (reference->target)
                reference->delta = (int64_t)(ret->place.offset - reference->target->start);
}

static int read_fields(struct reader *reader, struct fields *fields)
{
        const struct object *object = reader->object;

        for (size_t i = 0; i < reader->n_sections; i++) {
                const struct elf_section *section = reader->sections[i];
                struct elf_relocation relocation;
                struct elf_section table;

                if (!elf_view_relocations_of(&object->view, section->index, &table))
                        continue;
                for (size_t j = 0; j < elf_view_relocation_count(&table); j++) {
                        struct field *field;

                        if (!elf_view_relocation(&object->view, &table, j, &relocation) ||
                            table.link != object->symbol_table.index ||
                            !range_fits(relocation.offset, relocation_size(relocation.type),
                                        section->size)) {
                                reader->info->problem = "a relocation of it is broken";
                                return 0;
                        }
                        if (relocation.type == R_X86_64_NONE)
                                continue;
                        field = ARRAY_PUSH(fields->items, fields->n_items);
                        if (!field)
                                return error_no_memory(reader->err);
                        field->section = section->index;
                        make_field(object, &relocation, field);
                }
        }
        if (fields->n_items > 0)
                qsort(fields->items, fields->n_items, sizeof(*fields->items), compare_fields);
        return 0;
}

/* Gives an atom its slice of the sorted references. */
static bool attach(const struct unwind_info *info, const struct fields *fields, struct atom *atom)
{
        size_t low = 0, high = fields->n_items;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                const struct field *field = &fields->items[middle];

                if (field->section < atom->section->index ||
                    (field->section == atom->section->index &&
                     field->reference.offset < atom->start))
                        low = middle + 1;
                else
                        high = middle;
        }
        atom->references = info->references + low;
        for (; low < fields->n_items && fields->items[low].section == atom->section->index &&
               fields->items[low].reference.offset < atom->start + atom->size; low++) {
                struct reference *reference = &info->references[low];

                reference->offset -= atom->start;
                if (!range_fits(reference->offset, relocation_size(reference->type), atom->size))
                        return false;
                atom->n_references++;
        }
        return true;
}

/* --- Entries ------------------------------------------------------------------------------ */

static struct atom part(struct object *object, const struct elf_section *section, uint64_t start,
                        uint64_t size)
{
        return (struct atom){ .object = object, .section = section, .start = start, .size = size,
                              .kind = ATOM_CONSTANT, .unwind = true };
}

static bool find_common(const struct unwind_info *info, const struct elf_section *section,
                        uint64_t start, size_t *ret)
{
        for (size_t i = info->n_commons; i > 0; i--) {
                const struct atom *common = &info->commons[i - 1];

                if (common->section == section && common->start == start) {
                        *ret = i - 1;
                        return true;
                }
        }
        return false;
}

static int add_entry(struct reader *reader, const struct elf_section *section,
                     const struct frame *frame)
{
        struct unwind_info *info = reader->info;
        struct unwind_entry *entry;
        size_t common;

        if (frame->size < FRAME_CODE_POINTER + 8 ||
            !find_common(info, section, frame->common, &common)) {
                info->problem = "an entry of it belongs to nothing";
                return 0;
        }
        entry = ARRAY_PUSH(info->entries, info->n_entries);
        if (!entry)
                return error_no_memory(reader->err);
        entry->atom = part(reader->object, section, frame->offset, frame->size);
        entry->common = common;
        return 0;
}

static int add_common(struct reader *reader, const struct elf_section *section,
                      const struct frame *frame)
{
        struct atom *common = ARRAY_PUSH(reader->info->commons, reader->info->n_commons);

        if (!common)
                return error_no_memory(reader->err);
        *common = part(reader->object, section, frame->offset, frame->size);
        return 0;
}

/* An object may have several lists, one behind the other. */
static int read_entries(struct reader *reader, const struct elf_section *section)
{
        struct unwind_info *info = reader->info;
        struct frame frame;
        uint64_t at = 0;
        int r = 0;

        while (r == 0 && !info->problem && at < section->size) {
                int outcome = frames_next(section->data, section->size, &at, &frame);

                if (outcome == FRAMES_BROKEN)
                        info->problem = "an entry of it ends outside of its section";
                else if (outcome == 0)
                        r = frame.is_common ? add_common(reader, section, &frame)
                                            : add_entry(reader, section, &frame);
        }
        return r;
}

/* --- Tables ------------------------------------------------------------------------------- */

static const struct elf_section *table_section(const struct reader *reader, size_t index)
{
        for (size_t i = 0; i < reader->n_sections; i++)
                if (reader->sections[i]->index == index &&
                    strcmp(reader->sections[i]->name, ".eh_frame") != 0)
                        return reader->sections[i];
        return NULL;
}

static int compare_tables(const void *a, const void *b)
{
        const struct atom *x = a, *y = b;

        if (x->section != y->section)
                return x->section < y->section ? -1 : 1;
        return x->start < y->start ? -1 : x->start > y->start;
}

/* Where the table of an entry begins; NULL if it has none. */
static const struct elf_section *table_of(const struct reader *reader,
                                          const struct unwind_entry *entry, uint64_t *ret_start)
{
        const struct unwind_info *info = reader->info;

        for (size_t i = 1; i < entry->atom.n_references; i++) {
                size_t index = (size_t)(entry->atom.references - info->references) + i;
                const struct unwind_place *place = &info->places[index];
                const struct elf_section *section = table_section(reader, place->section);

                if (!section || place->offset >= section->size)
                        continue;
                *ret_start = place->offset;
                return section;
        }
        return NULL;
}

static int add_tables(struct reader *reader)
{
        struct unwind_info *info = reader->info;
        size_t n = 0;

        for (size_t i = 0; i < info->n_entries; i++) {
                uint64_t start = 0;
                const struct elf_section *section = table_of(reader, &info->entries[i], &start);
                struct atom *table;

                if (!section)
                        continue;
                table = ARRAY_PUSH(info->tables, info->n_tables);
                if (!table)
                        return error_no_memory(reader->err);
                *table = part(reader->object, section, start, 0);
        }
        if (info->n_tables > 0)
                qsort(info->tables, info->n_tables, sizeof(*info->tables), compare_tables);
        for (size_t i = 0; i < info->n_tables; i++) /* two entries may share one */
                if (n == 0 || compare_tables(&info->tables[n - 1], &info->tables[i]) != 0)
                        info->tables[n++] = info->tables[i];
        info->n_tables = n;
        for (size_t i = 0; i < n; i++) {
                struct atom *table = &info->tables[i];
                uint64_t end = i + 1 < n && table[1].section == table->section
                                       ? table[1].start
                                       : table->section->size;

                table->size = end - table->start;
        }
        return 0;
}

static struct atom *find_table(const struct reader *reader, const struct unwind_entry *entry)
{
        const struct unwind_info *info = reader->info;
        struct atom key = { 0 };

        key.section = table_of(reader, entry, &key.start);
        if (!key.section || info->n_tables == 0)
                return NULL;
        return bsearch(&key, info->tables, info->n_tables, sizeof(key), compare_tables);
}

/* --- Altogether --------------------------------------------------------------------------- */

static bool is_wanted(const struct elf_section *section)
{
        static const char table[] = ".gcc_except_table";
        size_t length = strlen(table);

        if (!section->name || !section->data || !(section->flags & SHF_ALLOC))
                return false;
        return strcmp(section->name, ".eh_frame") == 0 ||
               (strncmp(section->name, table, length) == 0 &&
                (section->name[length] == '\0' || section->name[length] == '.'));
}

static int find_sections(struct reader *reader)
{
        const struct object *object = reader->object;
        size_t n = 0;

        for (size_t i = 1; i < object->view.n_sections; i++)
                n += is_wanted(&object->sections[i]);
        reader->sections = calloc(n + 1, sizeof(*reader->sections));
        if (!reader->sections)
                return error_no_memory(reader->err);
        for (size_t i = 1; i < object->view.n_sections; i++)
                if (is_wanted(&object->sections[i]))
                        reader->sections[reader->n_sections++] = &object->sections[i];
        return 0;
}

static int attach_all(struct reader *reader, const struct fields *fields)
{
        struct unwind_info *info = reader->info;
        bool ok = true;
        int r;

        info->references = calloc(fields->n_items + 1, sizeof(*info->references));
        info->places = calloc(fields->n_items + 1, sizeof(*info->places));
        if (!info->references || !info->places)
                return error_no_memory(reader->err);
        info->n_references = fields->n_items;
        for (size_t i = 0; i < fields->n_items; i++) {
                info->references[i] = fields->items[i].reference;
                info->places[i] = fields->items[i].place;
        }
        for (size_t i = 0; i < info->n_commons; i++)
                ok = attach(info, fields, &info->commons[i]) && ok;
        for (size_t i = 0; i < info->n_entries; i++)
                ok = attach(info, fields, &info->entries[i].atom) && ok;
        r = add_tables(reader);
        for (size_t i = 0; r == 0 && i < info->n_tables; i++)
                ok = attach(info, fields, &info->tables[i]) && ok;
        if (!ok)
                info->problem = "a relocation of it lies across two entries";
        return r;
}

/* Which function, common part and table an entry belongs to. */
static void tie_entries(struct reader *reader)
{
        struct unwind_info *info = reader->info;

        for (size_t i = 0; i < info->n_entries; i++) {
                struct unwind_entry *entry = &info->entries[i];
                const struct reference *first = entry->atom.references;

                entry->table = find_table(reader, entry);
                if (entry->atom.n_references > 0 && first->offset == FRAME_CODE_POINTER &&
                    first->target && first->target->kind == ATOM_CODE)
                        entry->code = first->target;
        }
}

int unwind_info_read(struct object *object, struct unwind_info **ret, struct error *err)
{
        _cleanup_(unwind_info_freep) struct unwind_info *info = calloc(1, sizeof(*info));
        _cleanup_(fields_done) struct fields fields = { 0 };
        struct reader reader = { .object = object, .info = info, .err = err };
        int r = info ? find_sections(&reader) : error_no_memory(err);

        if (r == 0)
                r = read_fields(&reader, &fields);
        for (size_t i = 0; r == 0 && !info->problem && i < reader.n_sections; i++)
                if (strcmp(reader.sections[i]->name, ".eh_frame") == 0)
                        r = read_entries(&reader, reader.sections[i]);
        if (r == 0)
                r = attach_all(&reader, &fields);
        if (r == 0) {
                info->object = object;
                tie_entries(&reader);
                *ret = STEAL(info);
        }
        free(reader.sections);
        return r;
}

struct unwind_info *unwind_info_free(struct unwind_info *info)
{
        if (!info)
                return NULL;
        free(info->commons);
        free(info->entries);
        free(info->tables);
        free(info->references);
        free(info->places);
        free(info);
        return NULL;
}

/* --- Into the patch ----------------------------------------------------------------------- */

static int refuse(struct extraction *extraction, const struct atom *code, const char *problem,
                  struct error *err)
{
        char where[CHANGES_WHERE_SIZE];

        return report_finding(extraction->report, "SB110", true, changes_where(code, where),
                              "its unwind information can't be used: %s", problem)
                       ? 0
                       : error_no_memory(err);
}

static int link_part(struct extraction *extraction, struct atom *from,
                     const struct reference *reference, struct atom *to, int64_t delta,
                     struct error *err)
{
        struct link *link = ARRAY_PUSH(extraction->links, extraction->n_links);

        if (!link)
                return error_no_memory(err);
        *link = (struct link){ .from = from, .reference = reference, .kind = LINK_ATOM,
                               .type = reference->type, .atom = to, .delta = delta };
        return 0;
}

static int push_part(struct atom ***items, size_t *n_items, struct atom *part, struct error *err)
{
        struct atom **slot;

        if (part->taken)
                return 0;
        slot = ARRAY_PUSH(*items, *n_items);
        if (!slot)
                return error_no_memory(err);
        *slot = part;
        part->taken = true;
        return 0;
}

static int take_common(struct extraction *extraction, struct atom *common, struct error *err)
{
        int r;

        if (common->taken)
                return 0;
        r = push_part(&extraction->unwind_parts, &extraction->n_unwind_parts, common, err);
        for (size_t i = 0; r == 0 && i < common->n_references; i++)
                r = links_bind(extraction, common, &common->references[i], err);
        return r;
}

static int take_entry(struct extraction *extraction, struct unwind_entry *entry,
                      struct atom *common, struct error *err)
{
        const struct reference *references = entry->atom.references;
        int r = take_common(extraction, common, err);

        if (r == 0 && entry->table)
                r = extraction_take(extraction, entry->table, "exception table", err);
        if (r == 0)
                r = push_part(&extraction->unwind_parts, &extraction->n_unwind_parts, &entry->atom,
                              err);
        if (r == 0)
                r = link_part(extraction, &entry->atom, &references[0], entry->code,
                              references[0].delta, err);
        if (r == 0 && entry->atom.n_references > 2)
                return refuse(extraction, entry->code, "an entry refers to too much", err);
        if (r == 0 && entry->atom.n_references == 2)
                r = entry->table ? link_part(extraction, &entry->atom, &references[1],
                                             entry->table, 0, err)
                                 : refuse(extraction, entry->code,
                                          "its exception table is missing", err);
        return r;
}

static int info_of(struct extraction *extraction, struct object *object,
                   struct unwind_info **ret, struct error *err)
{
        struct unwind_info **slot;

        for (size_t i = 0; i < extraction->n_unwind_infos; i++) {
                *ret = extraction->unwind_infos[i];
                if ((*ret)->object == object)
                        return 0;
        }
        slot = ARRAY_PUSH(extraction->unwind_infos, extraction->n_unwind_infos);
        if (!slot)
                return error_no_memory(err);
        if (unwind_info_read(object, slot, err) < 0) {
                extraction->n_unwind_infos--;
                return error_no_memory(err);
        }
        *ret = *slot;
        return 0;
}

int unwind_info_take(struct extraction *extraction, struct atom *code, struct error *err)
{
        struct unwind_info *info = NULL;
        int r = info_of(extraction, code->object, &info, err);

        if (r == 0 && info->problem)
                return refuse(extraction, code, info->problem, err);
        for (size_t i = 0; r == 0 && i < info->n_entries; i++)
                if (info->entries[i].code == code)
                        r = take_entry(extraction, &info->entries[i],
                                       &info->commons[info->entries[i].common], err);
        return r;
}

const struct atom *unwind_info_common(const struct extraction *extraction, const struct atom *part)
{
        for (size_t i = 0; i < extraction->n_unwind_infos; i++) {
                const struct unwind_info *info = extraction->unwind_infos[i];

                for (size_t j = 0; j < info->n_entries; j++)
                        if (&info->entries[j].atom == part)
                                return &info->commons[info->entries[j].common];
        }
        return NULL;
}
