/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patch files as a whole. Reading goes from the outside in: the ELF file (elf/view.h), the
 * manifest (manifest.h), then both against each other (check.h). Nothing is handed out before all
 * three are through, so no caller ever holds a half-checked patch. Writing goes through the same
 * reader.
 */
#include "patch/patch.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "elf/writer.h"
#include "patch/check.h"
#include "patch/manifest.h"

#define NEXT_STEP                                                                             \
        "get the file again from where it came from, or rebuild it with this version of suture"

struct patch *patch_free(struct patch *patch)
{
        if (!patch)
                return NULL;
        manifest_done(patch);
        buffer_done(&patch->bytes);
        free(patch);
        return NULL;
}

/* The only section that `fits`; a fault if there is none or more than one. */
static int find_only(const struct patch *patch, const char *file, const char *what,
                     bool (*fits)(const struct elf_section *), struct elf_section *ret,
                     struct error *err)
{
        struct elf_section section;
        size_t n = 0;

        for (size_t i = 1; i < patch->view.n_sections; i++) {
                if (!elf_view_section(&patch->view, i, &section) || !fits(&section))
                        continue;
                if (n++ == 0)
                        *ret = section;
        }
        if (n == 1)
                return 0;
        return error_set(err, EXIT_CODE_ERROR, 0, NEXT_STEP,
                         "%s is not a patch file: it has %s %s", file, n ? "more than one" : "no",
                         what);
}

static bool is_manifest(const struct elf_section *section)
{
        return section->type == SHT_PROGBITS && !(section->flags & (SHF_ALLOC | SHF_COMPRESSED)) &&
               strcmp(section->name, PATCH_MANIFEST_SECTION) == 0;
}

static bool is_symbol_table(const struct elf_section *section)
{
        return section->type == SHT_SYMTAB;
}

static int parse(struct patch *patch, const char *name, struct error *err)
{
        struct elf_section manifest = { 0 };
        int r;

        r = elf_view_open(patch->bytes.data, patch->bytes.size, name, &patch->view, err);
        if (r < 0)
                return r;
        r = find_only(patch, name, "section " PATCH_MANIFEST_SECTION, is_manifest, &manifest, err);
        if (r < 0)
                return r;
        r = find_only(patch, name, "symbol table", is_symbol_table, &patch->symbol_table, err);
        if (r < 0)
                return r;
        r = manifest_read(manifest.data, manifest.size, name, patch, err);
        if (r < 0)
                return r;
        return patch_check(patch, name, err);
}

/* Takes over `bytes`, in any case. */
static int parse_buffer(struct buffer *bytes, const char *name, struct patch **ret,
                        struct error *err)
{
        _cleanup_(patch_freep) struct patch *patch = calloc(1, sizeof(*patch));
        int r;

        if (!patch) {
                buffer_done(bytes);
                return error_no_memory(err);
        }
        patch->bytes = *bytes;
        *bytes = (struct buffer){ 0 };
        patch->digest = sha256_of(patch->bytes.data, patch->bytes.size);
        r = parse(patch, name, err);
        if (r < 0)
                return r;
        *ret = STEAL(patch);
        return 0;
}

int patch_open(const char *path, struct patch **ret, struct error *err)
{
        _cleanup_buffer_ struct buffer bytes = { 0 };
        int r = file_read(path, PATCH_MAX_BYTES, &bytes, err);

        if (r < 0 && err && err->next[0] == '\0')
                snprintf(err->next, sizeof(err->next),
                         "check the path and that it is a patch file");
        return r < 0 ? r : parse_buffer(&bytes, path, ret, err);
}

int patch_parse(const void *data, size_t size, const char *name, struct patch **ret,
                struct error *err)
{
        _cleanup_buffer_ struct buffer bytes = { 0 };

        if (size > PATCH_MAX_BYTES)
                return error_set(err, EXIT_CODE_ERROR, 0, NEXT_STEP,
                                 "%s is larger than the %u bytes allowed", name, PATCH_MAX_BYTES);
        /* Exactly as large as the file, so that a sanitizer sees a read beyond its end. */
        bytes.data = malloc(size + 1);
        if (!bytes.data)
                return error_no_memory(err);
        if (size > 0)
                memcpy(bytes.data, data, size);
        bytes.data[size] = 0;
        bytes.size = size;
        bytes.capacity = size + 1;
        return parse_buffer(&bytes, name, ret, err);
}

const struct patch_target *patch_find_target(const struct patch *patch, const struct build_id *id)
{
        for (size_t i = 0; i < patch->n_targets; i++)
                if (build_id_equal(&patch->targets[i].build_id, id))
                        return &patch->targets[i];
        return NULL;
}

void patch_format_name(const struct patch *patch, char ret[static PATCH_NAME_SIZE])
{
        snprintf(ret, PATCH_NAME_SIZE, "%s.%u", patch->id, patch->level);
}

int patch_build(struct elf_writer *writer, void *manifest_json, struct buffer *ret,
                struct error *err)
{
        _cleanup_free_ char *text = json_dumps(manifest_json, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
        _cleanup_(patch_freep) struct patch *patch = NULL;
        _cleanup_buffer_ struct buffer bytes = { 0 };
        int r;

        if (!text)
                return error_no_memory(err);
        if (!elf_writer_add_section(writer, PATCH_MANIFEST_SECTION, SHT_PROGBITS, 0, 1, text,
                                    strlen(text)))
                return error_no_memory(err);
        r = elf_writer_finish(writer, &bytes, err);
        if (r < 0)
                return r;
        r = patch_parse(bytes.data, bytes.size, "the new patch file", &patch, err);
        if (r < 0)
                return r;
        *ret = bytes;
        bytes = (struct buffer){ 0 };
        return 0;
}
