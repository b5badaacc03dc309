/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each taken atom becomes a section of its own, with a symbol if it has a name, so that objdump
 * shows the patch as what it is. Strings and other small constants without a name are gathered in
 * one section and are referred to by section and offset, each kept once. Names must be unique in
 * the file; a second one gets "@2", which no C name has.
 */
#include "build/emit.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/array.h"
#include "build/thread-local.h"
#include "build/unwind-info.h"
#include "elf/frames.h"
#include "elf/writer.h"

/* Where a taken atom has gone. */
struct placed {
        const struct atom *atom;
        size_t section;          /* of the writer */
        size_t section_symbol;   /* handle */
        size_t symbol;           /* handle of its own symbol, 0: none */
        const char *symbol_name;
        uint64_t offset;         /* in the section */
};

struct names {
        char **items;
        size_t n_items;
};

struct outside_handle {
        const char *name;
        size_t handle;
};

struct emitter {
        struct elf_writer *writer;
        struct names names;      /* all names given away, sections and symbols apart by prefix */
        struct outside_handle *outsides;
        size_t n_outsides;
        struct error *err;
};

/* For one target. */
struct target_emitter {
        struct emitter *emitter;
        const struct extraction *extraction;
        struct placed *placed;
        size_t n_placed;
        json_t *sections;        /* names, for the manifest */
        struct buffer pool;
        uint64_t pool_alignment;
};

static void emitter_done(struct emitter *emitter)
{
        for (size_t i = 0; i < emitter->names.n_items; i++)
                free(emitter->names.items[i]);
        free(emitter->names.items);
        free(emitter->outsides);
        elf_writer_free(emitter->writer);
}

static void target_emitter_done(struct target_emitter *target)
{
        free(target->placed);
        json_decref(target->sections);
        buffer_done(&target->pool);
}

/* --- Names ------------------------------------------------------------------------------- */

static bool name_is_given(const struct names *names, const char *name)
{
        for (size_t i = 0; i < names->n_items; i++)
                if (strcmp(names->items[i], name) == 0)
                        return true;
        return false;
}

/* A name not given to anything else yet; NULL when memory is out. It belongs to the emitter. */
static const char *give_name(struct emitter *emitter, const char *wanted)
{
        char *name = strdup(wanted), **slot;

        for (unsigned i = 2; name && name_is_given(&emitter->names, name); i++) {
                free(name);
                if (asprintf(&name, "%s@%u", wanted, i) < 0)
                        name = NULL;
        }
        slot = name ? ARRAY_PUSH(emitter->names.items, emitter->names.n_items) : NULL;
        if (!slot) {
                free(name);
                return NULL;
        }
        *slot = name;
        return name;
}

/* --- Sections ---------------------------------------------------------------------------- */

/* Constants that nobody can tell apart, without references. */
static bool is_pooled(const struct atom *atom)
{
        return atom->kind == ATOM_CONSTANT && !atom->name && !atom->unwind &&
               atom->n_references == 0;
}

static struct placed *find_placed(const struct target_emitter *target, const struct atom *atom)
{
        for (size_t i = 0; i < target->n_placed; i++)
                if (target->placed[i].atom == atom)
                        return &target->placed[i];
        return NULL;
}

/* True if an equal constant lies in the pool already, as aligned as it must be. */
static bool find_in_pool(const struct target_emitter *target, const struct atom *atom,
                         uint64_t *ret)
{
        const uint8_t *data = atom_data(atom);

        for (size_t i = 0; i < target->n_placed; i++) {
                const struct placed *other = &target->placed[i];

                if (!is_pooled(other->atom) || other->atom->size != atom->size ||
                    other->offset % atom_alignment(atom) != 0 ||
                    memcmp(atom_data(other->atom), data, atom->size) != 0)
                        continue;
                *ret = other->offset;
                return true;
        }
        return false;
}

static int place_in_pool(struct target_emitter *target, const struct atom *atom)
{
        uint64_t alignment = atom_alignment(atom), offset;
        struct placed *placed;

        if (!find_in_pool(target, atom, &offset)) {
                if (!buffer_align(&target->pool, alignment, 0))
                        return error_no_memory(target->emitter->err);
                offset = target->pool.size;
                if (!buffer_append(&target->pool, atom_data(atom), atom->size))
                        return error_no_memory(target->emitter->err);
                target->pool_alignment = MAX(target->pool_alignment, alignment);
        }
        placed = ARRAY_PUSH(target->placed, target->n_placed);
        if (!placed)
                return error_no_memory(target->emitter->err);
        placed->atom = atom;
        placed->offset = offset;
        return 0;
}

static int list_section(struct target_emitter *target, const char *name)
{
        return json_array_append_new(target->sections, json_string(name)) == 0
                       ? 0
                       : error_no_memory(target->emitter->err);
}

/* The section of the pool and, with it, the places of all that is in it. */
static int finish_pool(struct target_emitter *target)
{
        struct elf_writer *writer = target->emitter->writer;
        size_t section, symbol;
        const char *name;

        if (target->pool.size == 0)
                return 0;
        name = give_name(target->emitter, ".rodata.constants");
        section = name ? elf_writer_add_section(writer, name, SHT_PROGBITS, SHF_ALLOC,
                                                target->pool_alignment, target->pool.data,
                                                target->pool.size)
                       : 0;
        symbol = section ? elf_writer_add_symbol(writer, "", section, 0, 0, STB_LOCAL, STT_SECTION)
                         : 0;
        if (!symbol)
                return error_no_memory(target->emitter->err);
        for (size_t i = 0; i < target->n_placed; i++) {
                if (!is_pooled(target->placed[i].atom))
                        continue;
                target->placed[i].section = section;
                target->placed[i].section_symbol = symbol;
        }
        return list_section(target, name);
}

static uint64_t section_flags(const struct atom *atom)
{
        switch (atom->kind) {
        case ATOM_CODE:
                return SHF_ALLOC | SHF_EXECINSTR;
        case ATOM_CONSTANT:
                return SHF_ALLOC;
        case ATOM_DATA: /* pointers of the compiler, which nobody writes to */
                if (strncmp(atom->name, "DW.ref.", 7) == 0)
                        return SHF_ALLOC;
                return SHF_ALLOC | SHF_WRITE;
        default:
                return SHF_ALLOC | SHF_WRITE;
        }
}

/* Numbers that are known now (offsets of thread-local variables) are put in the bytes. */
static void fill_values(const struct extraction *extraction, const struct atom *atom,
                        uint8_t *bytes)
{
        for (size_t i = 0; i < extraction->n_links; i++) {
                const struct link *link = &extraction->links[i];

                if (link->from != atom || link->kind != LINK_VALUE)
                        continue;
                if (link->rewritten)
                        thread_access_rewrite(bytes, atom->size, link->reference->offset,
                                              link->reference->type,
                                              &(int32_t){ (int32_t)link->value });
                else
                        memcpy(bytes + link->reference->offset, &link->value,
                               relocation_size(link->reference->type));
        }
}

static int add_own_symbol(struct target_emitter *target, struct placed *placed)
{
        const struct atom *atom = placed->atom;

        placed->symbol_name = give_name(target->emitter, atom->name);
        if (!placed->symbol_name)
                return error_no_memory(target->emitter->err);
        placed->symbol = elf_writer_add_symbol(target->emitter->writer, placed->symbol_name,
                                               placed->section, 0, atom->size, STB_GLOBAL,
                                               atom->kind == ATOM_CODE ? STT_FUNC : STT_OBJECT);
        return placed->symbol ? 0 : error_no_memory(target->emitter->err);
}

static int place_alone(struct target_emitter *target, const struct atom *atom)
{
        struct elf_writer *writer = target->emitter->writer;
        const char *name = give_name(target->emitter,
                                     atom->section ? atom->section->name : ".bss.common");
        bool is_bss = atom->kind == ATOM_BSS;
        _cleanup_buffer_ struct buffer bytes = { 0 };
        struct placed *placed = ARRAY_PUSH(target->placed, target->n_placed);

        if (!name || !placed)
                return error_no_memory(target->emitter->err);
        if (!is_bss && !buffer_append(&bytes, atom_data(atom), atom->size))
                return error_no_memory(target->emitter->err);
        if (!is_bss)
                fill_values(target->extraction, atom, bytes.data);
        placed->atom = atom;
        placed->section = elf_writer_add_section(writer, name, is_bss ? SHT_NOBITS : SHT_PROGBITS,
                                                 section_flags(atom), atom_alignment(atom),
                                                 bytes.data, atom->size);
        placed->section_symbol = placed->section
                                         ? elf_writer_add_symbol(writer, "", placed->section, 0, 0,
                                                                 STB_LOCAL, STT_SECTION)
                                         : 0;
        if (!placed->section_symbol)
                return error_no_memory(target->emitter->err);
        if (atom->name && add_own_symbol(target, placed) < 0)
                return -ENOMEM;
        return list_section(target, name);
}

/* --- Unwind information -------------------------------------------------------------------- */

/* An entry says how far before it its common part lies. */
static void set_common_pointer(struct buffer *bytes, uint64_t entry, uint64_t common)
{
        uint32_t back = (uint32_t)(entry + FRAME_COMMON_POINTER - common);

        memcpy(bytes->data + entry + FRAME_COMMON_POINTER, &back, sizeof(back));
}

/* All entries in one section; four zero bytes end the list. */
static int fill_unwind_section(struct target_emitter *target, struct buffer *bytes)
{
        const struct extraction *extraction = target->extraction;

        for (size_t i = 0; i < extraction->n_unwind_parts; i++) {
                const struct atom *part = extraction->unwind_parts[i];
                const struct atom *common = unwind_info_common(extraction, part);
                struct placed *placed = ARRAY_PUSH(target->placed, target->n_placed);

                if (!placed || !buffer_append(bytes, atom_data(part), part->size))
                        return error_no_memory(target->emitter->err);
                placed->atom = part;
                placed->offset = bytes->size - part->size;
                if (common)
                        set_common_pointer(bytes, placed->offset,
                                           find_placed(target, common)->offset);
        }
        return buffer_append_zeros(bytes, 4) ? 0 : error_no_memory(target->emitter->err);
}

static int place_unwind_parts(struct target_emitter *target)
{
        struct elf_writer *writer = target->emitter->writer;
        _cleanup_buffer_ struct buffer bytes = { 0 };
        size_t first = target->n_placed, section;
        const char *name;
        int r;

        if (target->extraction->n_unwind_parts == 0)
                return 0;
        name = give_name(target->emitter, ".eh_frame");
        if (!name)
                return error_no_memory(target->emitter->err);
        r = fill_unwind_section(target, &bytes);
        if (r < 0)
                return r;
        section = elf_writer_add_section(writer, name, SHT_PROGBITS, SHF_ALLOC, 8, bytes.data,
                                         bytes.size);
        if (!section)
                return error_no_memory(target->emitter->err);
        for (size_t i = first; i < target->n_placed; i++)
                target->placed[i].section = section;
        return list_section(target, name);
}

static int place_all(struct target_emitter *target)
{
        const struct extraction *extraction = target->extraction;
        int r = 0;

        for (size_t i = 0; r == 0 && i < extraction->n_taken; i++) {
                const struct atom *atom = extraction->taken[i];

                r = is_pooled(atom) ? place_in_pool(target, atom) : place_alone(target, atom);
        }
        if (r == 0)
                r = place_unwind_parts(target);
        return r < 0 ? r : finish_pool(target);
}

/* --- Relocations ------------------------------------------------------------------------- */

/* Symbols of the target by name; several targets share them. */
static size_t outside_symbol(struct emitter *emitter, const char *name)
{
        struct outside_handle *handle;

        for (size_t i = 0; i < emitter->n_outsides; i++)
                if (strcmp(emitter->outsides[i].name, name) == 0)
                        return emitter->outsides[i].handle;
        handle = ARRAY_PUSH(emitter->outsides, emitter->n_outsides);
        if (!handle)
                return 0;
        handle->name = name;
        handle->handle = elf_writer_add_symbol(emitter->writer, name, SHN_UNDEF, 0, 0, STB_GLOBAL,
                                               STT_NOTYPE);
        return handle->handle;
}

static int emit_link(struct target_emitter *target, const struct link *link)
{
        const struct placed *from = find_placed(target, link->from), *to = NULL;
        uint64_t addend = (uint64_t)link->delta - link->reference->bias; /* may wrap */
        size_t symbol;

        if (link->kind == LINK_VALUE)
                return 0;
        if (link->kind == LINK_ATOM) {
                to = find_placed(target, link->atom);
                symbol = to ? to->symbol ? to->symbol : to->section_symbol : 0;
                if (to && !to->symbol)
                        addend += to->offset;
        } else {
                symbol = outside_symbol(target->emitter,
                                        target->extraction->outsides[link->outside].name);
        }
        if (!from || !symbol ||
            !elf_writer_add_relocation(target->emitter->writer, from->section,
                                       from->offset + link->reference->offset, link->type, symbol,
                                       (int64_t)addend))
                return error_no_memory(target->emitter->err);
        return 0;
}

static int emit_links(struct target_emitter *target)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < target->extraction->n_links; i++)
                r = emit_link(target, &target->extraction->links[i]);
        return r;
}

/* --- Manifest ---------------------------------------------------------------------------- */

static json_t *range_json(uint64_t address, uint64_t size)
{
        return json_pack("{s:I, s:I}", "address", (json_int_t)address, "size", (json_int_t)size);
}

static void append_cold(json_t *function, const struct atom *original)
{
        const struct atom *cold = original->cold;

        if (cold && cold->found && cold->shipped_size > 0)
                json_object_set_new(function, "cold",
                                    json_pack("[o]", range_json(cold->address,
                                                                cold->shipped_size)));
}

static json_t *function_json(const struct target_emitter *target, const struct replaced *replaced)
{
        const struct atom *original = replaced->original;
        const struct placed *placed = find_placed(target, replaced->fixed);
        const uint8_t *bytes = shipped_at(target->extraction->shipped, original->address,
                                          original->shipped_size);
        char digest[SHA256_HEX_SIZE];
        struct sha256 hash;
        json_t *json;

        if (!bytes || !placed)
                return NULL;
        hash = sha256_of(bytes, original->shipped_size);
        sha256_format(&hash, digest);
        json = range_json(original->address, original->shipped_size);
        json_object_set_new(json, "name", json_string(original->name));
        json_object_set_new(json, "sha256", json_string(digest));
        json_object_set_new(json, "symbol", json_string(placed->symbol_name));
        json_object_set_new(json, "consistency",
                            json_string(replaced->consistency == PATCH_ENTRY ? "entry"
                                                                             : "strict"));
        append_cold(json, original);
        return json;
}

static json_t *symbol_json(const struct outside *outside)
{
        static const char *const kinds[] = {
                [PATCH_SYMBOL_LOCAL] = "local",
                [PATCH_SYMBOL_SLOT] = "slot",
                [PATCH_SYMBOL_IMPORT] = "import",
                [PATCH_SYMBOL_RUNTIME] = "runtime",
        };
        json_t *json = json_pack("{s:s, s:s}", "name", outside->name, "kind",
                                 kinds[outside->kind]);

        if (outside->kind == PATCH_SYMBOL_LOCAL || outside->kind == PATCH_SYMBOL_SLOT)
                json_object_set_new(json, "address", json_integer((json_int_t)outside->address));
        if (outside->lookup)
                json_object_set_new(json, "lookup", json_string(outside->lookup));
        if (outside->version)
                json_object_set_new(json, "version", json_string(outside->version));
        return json;
}

static json_t *hooks_json(const struct target_emitter *target)
{
        static const char *const names[N_HOOKS] = { "pre", "post", "undo" };
        json_t *json = json_object();

        for (size_t i = 0; i < N_HOOKS; i++) {
                const struct atom *hook = target->extraction->hooks[i];
                const struct placed *placed = hook ? find_placed(target, hook) : NULL;

                if (placed)
                        json_object_set_new(json, names[i], json_string(placed->symbol_name));
        }
        return json;
}

static json_t *target_json(const struct target_emitter *target)
{
        const struct extraction *extraction = target->extraction;
        const struct objects_target *input = extraction->target;
        json_t *functions = json_array(), *symbols = json_array(), *json;
        char build_id[BUILD_ID_HEX_SIZE];

        for (size_t i = 0; i < extraction->n_replaced; i++)
                json_array_append_new(functions, function_json(target, &extraction->replaced[i]));
        for (size_t i = 0; i < extraction->n_outsides; i++)
                json_array_append_new(symbols, symbol_json(&extraction->outsides[i]));
        build_id_format(&extraction->shipped->build_id, build_id);
        json = json_pack("{s:s, s:s, s:b, s:O, s:o, s:o}", "build_id", build_id, "module",
                         extraction->shipped->module, "pinned", (int)extraction->pinned,
                         "sections", target->sections, "functions", functions, "symbols", symbols);
        if (input->package)
                json_object_set_new(json, "package", json_string(input->package));
        if (input->version)
                json_object_set_new(json, "version", json_string(input->version));
        for (size_t i = 0; i < N_HOOKS; i++)
                if (extraction->hooks[i]) {
                        json_object_set_new(json, "hooks", hooks_json(target));
                        break;
                }
        return json;
}

/* The time of the build, or SOURCE_DATE_EPOCH (reproducible-builds.org) if that is set. */
static void format_now(char ret[static 32])
{
        const char *epoch = getenv("SOURCE_DATE_EPOCH");
        time_t now = epoch ? (time_t)strtoll(epoch, NULL, 10) : time(NULL);
        struct tm utc;

        gmtime_r(&now, &utc);
        strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

static json_t *lists_json(const struct objects_patch *patch)
{
        static const char *const reaches[] = {
                [PATCH_REACH_UNKNOWN] = "unknown",
                [PATCH_REACH_LOCAL] = "local",
                [PATCH_REACH_REMOTE] = "remote",
        };
        json_t *cves = json_array(), *fixes = json_array(), *supersedes = json_array();

        for (size_t i = 0; i < patch->n_cves; i++)
                json_array_append_new(cves, json_pack("{s:s, s:s}", "id", patch->cves[i].id,
                                                      "reach", reaches[patch->cves[i].reach]));
        for (size_t i = 0; i < patch->n_fixes; i++) {
                char digest[SHA256_HEX_SIZE];

                sha256_format(&patch->fixes[i].digest, digest);
                json_array_append_new(fixes, json_pack("{s:s, s:s}", "name", patch->fixes[i].name,
                                                       "sha256", digest));
        }
        for (size_t i = 0; i < patch->n_supersedes; i++)
                json_array_append_new(supersedes, json_string(patch->supersedes[i]));
        return json_pack("{s:o, s:o, s:o}", "cves", cves, "fixes", fixes, "supersedes",
                         supersedes);
}

static json_t *manifest_json(const struct objects_patch *patch, json_t *targets)
{
        json_t *json = lists_json(patch);
        char now[32];

        format_now(now);
        json_object_set_new(json, "schema", json_string(PATCH_SCHEMA));
        json_object_set_new(json, "id", json_string(patch->id));
        json_object_set_new(json, "level", json_integer(patch->level));
        json_object_set_new(json, "title", json_string(patch->title));
        if (patch->author)
                json_object_set_new(json, "author", json_string(patch->author));
        json_object_set_new(json, "created", json_string(patch->created ? patch->created : now));
        json_object_set_new(json, "source", json_pack("{s:s, s:s}", "package",
                                                      patch->source_package, "version",
                                                      patch->source_version));
        json_object_set(json, "targets", targets);
        return json;
}

/* --- Altogether -------------------------------------------------------------------------- */

static int emit_target(struct emitter *emitter, const struct extraction *extraction,
                       json_t *targets)
{
        _cleanup_(target_emitter_done) struct target_emitter target = {
                .emitter = emitter,
                .extraction = extraction,
                .sections = json_array(),
                .pool_alignment = 1,
        };
        int r = place_all(&target);

        if (r == 0)
                r = emit_links(&target);
        if (r < 0)
                return r;
        return json_array_append_new(targets, target_json(&target)) == 0
                       ? 0
                       : error_no_memory(emitter->err);
}

int emit_patch(const struct objects_patch *patch, struct extraction *const *extractions,
               size_t n_extractions, struct buffer *ret, struct error *err)
{
        _cleanup_(emitter_done) struct emitter emitter = { .writer = elf_writer_new(EM_X86_64),
                                                           .err = err };
        json_t *targets = json_array(), *manifest;
        int r = emitter.writer ? 0 : error_no_memory(err);

        for (size_t i = 0; r == 0 && i < n_extractions; i++)
                r = emit_target(&emitter, extractions[i], targets);
        manifest = r == 0 ? manifest_json(patch, targets) : NULL;
        if (r == 0)
                r = patch_build(emitter.writer, manifest, ret, err);
        json_decref(manifest);
        json_decref(targets);
        return r;
}
