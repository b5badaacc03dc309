/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the manifest's JSON to struct patch. Each kind of object has one function that names its
 * keys, reads them, and nothing else; the strictness is in manifest-reader.c.
 */
#include "patch/manifest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "patch/manifest-reader.h"

/* The end of user space with four-level page tables; no module reaches beyond. */
#define MAX_ADDRESS ((UINT64_C(1) << 47) - 1)
#define MAX_FUNCTION_BYTES (16u << 20)
#define MAX_ID 48
#define MAX_TEXT 512
#define NEXT_STEP                                                                             \
        "get the file again from where it came from, or rebuild it with this version of suture"

#define KEYS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* Makes an array for `n` items; NULL for none. */
static bool make_array(void **ret, size_t n, size_t size)
{
        *ret = n > 0 ? calloc(n, size) : NULL;
        return n == 0 || *ret;
}

#define MAKE_ARRAY(array, n) make_array((void **)&(array), (n), sizeof(*(array)))

/* Starts with a letter or digit, so that it is neither an option nor a hidden file's name. */
static bool id_is_valid(const char *id)
{
        size_t length = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                   "0123456789._-");

        return isalnum((unsigned char)id[0]) && length <= MAX_ID && id[length] == '\0';
}

static int want_id(const struct json_reader *reader, const struct json_place *place,
                   const char *text)
{
        if (!id_is_valid(text))
                return json_bad(reader, place, NULL, "is \"%.64s\", which is no patch id (1 to %d "
                                "letters, digits, \".\", \"_\", \"-\")", text, MAX_ID);
        return 0;
}

/* CVE-YEAR-NUMBER, four digits or more each. */
static bool cve_is_valid(const char *id)
{
        size_t year, number;

        if (strncmp(id, "CVE-", 4) != 0)
                return false;
        year = strspn(id + 4, "0123456789");
        if (year != 4 || id[8] != '-')
                return false;
        number = strspn(id + 9, "0123456789");
        return number >= 4 && id[9 + number] == '\0';
}

/* "2026-11-25T08:00:00Z" (RFC 3339, UTC, whole seconds). */
static bool time_is_valid(const char *text)
{
        static const char form[] = "dddd-dd-ddTdd:dd:ddZ";
        unsigned int year, month, day, hour, minute, second;

        if (strlen(text) != sizeof(form) - 1)
                return false;
        for (size_t i = 0; form[i]; i++)
                if (form[i] == 'd' ? !isdigit((unsigned char)text[i]) : text[i] != form[i])
                        return false;
        if (sscanf(text, "%4u-%2u-%2uT%2u:%2u:%2uZ", &year, &month, &day, &hour, &minute,
                   &second) != 6)
                return false;
        return month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour <= 23 && minute <= 59 &&
               second <= 60;
}

static int read_range(const struct json_reader *reader, const struct json_place *place,
                      struct patch_range *ret)
{
        int r;

        r = json_want_number(reader, place, "address", 1, MAX_ADDRESS, &ret->address);
        if (r < 0)
                return r;
        r = json_want_number(reader, place, "size", 1, MAX_FUNCTION_BYTES, &ret->size);
        if (r < 0)
                return r;
        if (ret->size > MAX_ADDRESS - ret->address)
                return json_bad(reader, place, NULL, "reaches beyond the end of memory");
        return 0;
}

static int read_cold(const struct json_reader *reader, const struct json_place *place,
                     struct patch_function *function)
{
        struct json_place list;
        int r = json_want_array(reader, place, "cold", 0, MANIFEST_MAX_COLD, &list);

        if (r < 0)
                return r;
        if (!MAKE_ARRAY(function->cold, json_length(&list)))
                return error_no_memory(reader->err);
        for (size_t i = 0; i < json_length(&list); i++) {
                struct json_place item = json_item(&list, i);

                r = json_want_object(reader, &item, KEYS("address", "size"));
                if (r < 0)
                        return r;
                r = read_range(reader, &item, &function->cold[i]);
                if (r < 0)
                        return r;
                function->n_cold = i + 1;
        }
        return 0;
}

static int read_function(const struct json_reader *reader, const struct json_place *place,
                         struct patch_function *function)
{
        static const char *const words[] = { [PATCH_STRICT] = "strict", [PATCH_ENTRY] = "entry" };
        size_t word = PATCH_STRICT;
        int r;

        r = json_want_object(reader, place, KEYS("name", "address", "size", "sha256", "symbol",
                                                 "consistency", "cold"));
        if (r < 0)
                return r;
        r = json_want_string(reader, place, "name", true, MANIFEST_MAX_NAME, &function->name);
        if (r < 0)
                return r;
        r = read_range(reader, place, &function->range);
        if (r < 0)
                return r;
        r = json_want_sha256(reader, place, "sha256", &function->digest);
        if (r < 0)
                return r;
        r = json_want_string(reader, place, "symbol", true, MANIFEST_MAX_NAME, &function->symbol);
        if (r < 0)
                return r;
        r = json_want_word(reader, place, "consistency", words, ARRAY_SIZE(words), &word);
        if (r < 0)
                return r;
        function->consistency = (enum patch_consistency)word;
        return read_cold(reader, place, function);
}

static int read_functions(const struct json_reader *reader, const struct json_place *place,
                          struct patch_target *target)
{
        struct json_place list;
        int r = json_want_array(reader, place, "functions", 1, PATCH_MAX_FUNCTIONS, &list);

        if (r < 0)
                return r;
        if (!MAKE_ARRAY(target->functions, json_length(&list)))
                return error_no_memory(reader->err);
        for (size_t i = 0; i < json_length(&list); i++) {
                struct json_place item = json_item(&list, i);

                target->n_functions = i + 1;
                r = read_function(reader, &item, &target->functions[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_symbol(const struct json_reader *reader, const struct json_place *place,
                       struct patch_symbol *symbol)
{
        static const char *const words[] = {
                [PATCH_SYMBOL_LOCAL] = "local",
                [PATCH_SYMBOL_SLOT] = "slot",
                [PATCH_SYMBOL_IMPORT] = "import",
                [PATCH_SYMBOL_RUNTIME] = "runtime",
        };
        const char *const *const keys[] = {
                [PATCH_SYMBOL_LOCAL] = KEYS("name", "kind", "address"),
                [PATCH_SYMBOL_SLOT] = KEYS("name", "kind", "address", "lookup"),
                [PATCH_SYMBOL_IMPORT] = KEYS("name", "kind", "lookup", "version"),
                [PATCH_SYMBOL_RUNTIME] = KEYS("name", "kind"),
        };
        size_t word = 0;
        int r;

        if (!json_is_object(place->value))
                return json_bad(reader, place, NULL, "is not an object");
        r = json_want_word(reader, place, "kind", words, ARRAY_SIZE(words), &word);
        if (r < 0)
                return r;
        symbol->kind = (enum patch_symbol_kind)word;
        r = json_want_object(reader, place, keys[word]);
        if (r < 0)
                return r;
        r = json_want_string(reader, place, "name", true, MANIFEST_MAX_NAME, &symbol->name);
        if (r < 0)
                return r;
        if ((symbol->kind == PATCH_SYMBOL_RUNTIME) !=
            (strcmp(symbol->name, "suture_shadow_root") == 0))
                return json_bad(reader, place, "kind",
                                "must be \"runtime\" for suture_shadow_root, and only for it");
        if (symbol->kind == PATCH_SYMBOL_LOCAL || symbol->kind == PATCH_SYMBOL_SLOT) {
                r = json_want_number(reader, place, "address", 0, MAX_ADDRESS, &symbol->address);
                if (r < 0)
                        return r;
        }
        if (symbol->kind == PATCH_SYMBOL_SLOT && symbol->address % 8 != 0)
                return json_bad(reader, place, "address", "is no multiple of 8, as that of a slot");
        if (symbol->kind == PATCH_SYMBOL_SLOT || symbol->kind == PATCH_SYMBOL_IMPORT)
                symbol->lookup = symbol->name;
        r = json_want_string(reader, place, "lookup", false, MANIFEST_MAX_NAME, &symbol->lookup);
        if (r < 0)
                return r;
        return json_want_string(reader, place, "version", false, MANIFEST_MAX_NAME,
                                &symbol->version);
}

static int read_symbols(const struct json_reader *reader, const struct json_place *place,
                        struct patch_target *target)
{
        struct json_place list;
        int r = json_want_array(reader, place, "symbols", 0, MANIFEST_MAX_SYMBOLS, &list);

        if (r < 0)
                return r;
        if (!MAKE_ARRAY(target->symbols, json_length(&list)))
                return error_no_memory(reader->err);
        for (size_t i = 0; i < json_length(&list); i++) {
                struct json_place item = json_item(&list, i);

                r = read_symbol(reader, &item, &target->symbols[i]);
                if (r < 0)
                        return r;
                target->n_symbols = i + 1;
        }
        return 0;
}

static int read_sections(const struct json_reader *reader, const struct json_place *place,
                         struct patch_target *target)
{
        struct json_place list;
        const char *name;
        int r = json_want_array(reader, place, "sections", 1, MANIFEST_MAX_SECTIONS, &list);

        if (r < 0)
                return r;
        for (size_t i = 0; i < json_length(&list); i++) {
                struct json_place item = json_item(&list, i);

                r = json_item_string(reader, &item, MANIFEST_MAX_NAME, &name);
                if (r < 0)
                        return r;
        }
        if (!MAKE_ARRAY(target->sections, json_length(&list)))
                return error_no_memory(reader->err);
        target->n_sections = json_length(&list);
        return 0;
}

static int read_hooks(const struct json_reader *reader, const struct json_place *place,
                      struct patch_target *target)
{
        struct json_place hooks;
        int r;

        json_get_object(place, "hooks", &hooks);
        if (!hooks.value)
                return 0;
        r = json_want_object(reader, &hooks, KEYS("pre", "post", "undo"));
        if (r < 0)
                return r;
        r = json_want_string(reader, &hooks, "pre", false, MANIFEST_MAX_NAME,
                             &target->hook_pre_name);
        if (r < 0)
                return r;
        r = json_want_string(reader, &hooks, "post", false, MANIFEST_MAX_NAME,
                             &target->hook_post_name);
        if (r < 0)
                return r;
        return json_want_string(reader, &hooks, "undo", false, MANIFEST_MAX_NAME,
                                &target->hook_undo_name);
}

static int read_target(const struct json_reader *reader, const struct json_place *place,
                       struct patch_target *target)
{
        const char *id = NULL;
        int r;

        r = json_want_object(reader, place, KEYS("build_id", "module", "package", "version",
                                                 "pinned", "sections", "functions", "symbols",
                                                 "hooks"));
        if (r < 0)
                return r;
        r = json_want_string(reader, place, "build_id", true, 2 * BUILD_ID_MAX, &id);
        if (r < 0)
                return r;
        if (!build_id_parse(id, &target->build_id))
                return json_bad(reader, place, "build_id", "is not a build ID in hexadecimal");
        r = json_want_string(reader, place, "module", true, 255, &target->module);
        if (r < 0)
                return r;
        r = json_want_string(reader, place, "package", false, 255, &target->package);
        if (r < 0)
                return r;
        r = json_want_string(reader, place, "version", false, 255, &target->version);
        if (r < 0)
                return r;
        r = json_want_bool(reader, place, "pinned", &target->pinned);
        if (r < 0)
                return r;
        r = read_sections(reader, place, target);
        if (r < 0)
                return r;
        r = read_functions(reader, place, target);
        if (r < 0)
                return r;
        r = read_symbols(reader, place, target);
        if (r < 0)
                return r;
        return read_hooks(reader, place, target);
}

static int read_targets(const struct json_reader *reader, const struct json_place *top,
                        struct patch *patch)
{
        struct json_place list;
        int r = json_want_array(reader, top, "targets", 1, MANIFEST_MAX_TARGETS, &list);

        if (r < 0)
                return r;
        if (!MAKE_ARRAY(patch->targets, json_length(&list)))
                return error_no_memory(reader->err);
        for (size_t i = 0; i < json_length(&list); i++) {
                struct json_place item = json_item(&list, i);

                patch->n_targets = i + 1;
                r = read_target(reader, &item, &patch->targets[i]);
                if (r < 0)
                        return r;
                for (size_t j = 0; j < i; j++)
                        if (build_id_equal(&patch->targets[i].build_id,
                                           &patch->targets[j].build_id))
                                return json_bad(reader, &item, "build_id",
                                                "is that of targets[%zu] too", j);
        }
        return 0;
}

static int read_cves(const struct json_reader *reader, const struct json_place *top,
                     struct patch *patch)
{
        static const char *const words[] = {
                [PATCH_REACH_UNKNOWN] = "unknown",
                [PATCH_REACH_LOCAL] = "local",
                [PATCH_REACH_REMOTE] = "remote",
        };
        struct json_place list;
        int r = json_want_array(reader, top, "cves", 0, MANIFEST_MAX_LIST, &list);

        if (r < 0)
                return r;
        if (!MAKE_ARRAY(patch->cves, json_length(&list)))
                return error_no_memory(reader->err);
        for (size_t i = 0; i < json_length(&list); i++) {
                struct json_place item = json_item(&list, i);
                size_t word = PATCH_REACH_UNKNOWN;

                r = json_want_object(reader, &item, KEYS("id", "reach"));
                if (r < 0)
                        return r;
                r = json_want_string(reader, &item, "id", true, 32, &patch->cves[i].id);
                if (r < 0)
                        return r;
                if (!cve_is_valid(patch->cves[i].id))
                        return json_bad(reader, &item, "id", "is not of the form CVE-YEAR-NUMBER");
                r = json_want_word(reader, &item, "reach", words, ARRAY_SIZE(words), &word);
                if (r < 0)
                        return r;
                patch->cves[i].reach = (enum patch_reach)word;
                patch->n_cves = i + 1;
        }
        return 0;
}

static int read_fixes(const struct json_reader *reader, const struct json_place *top,
                      struct patch *patch)
{
        struct json_place list;
        int r = json_want_array(reader, top, "fixes", 0, MANIFEST_MAX_LIST, &list);

        if (r < 0)
                return r;
        if (!MAKE_ARRAY(patch->fixes, json_length(&list)))
                return error_no_memory(reader->err);
        for (size_t i = 0; i < json_length(&list); i++) {
                struct json_place item = json_item(&list, i);

                r = json_want_object(reader, &item, KEYS("name", "sha256"));
                if (r < 0)
                        return r;
                r = json_want_string(reader, &item, "name", true, 255, &patch->fixes[i].name);
                if (r < 0)
                        return r;
                r = json_want_sha256(reader, &item, "sha256", &patch->fixes[i].digest);
                if (r < 0)
                        return r;
                patch->n_fixes = i + 1;
        }
        return 0;
}

static int read_supersedes(const struct json_reader *reader, const struct json_place *top,
                           struct patch *patch)
{
        struct json_place list;
        int r = json_want_array(reader, top, "supersedes", 0, MANIFEST_MAX_LIST, &list);

        if (r < 0)
                return r;
        if (!MAKE_ARRAY(patch->supersedes, json_length(&list)))
                return error_no_memory(reader->err);
        for (size_t i = 0; i < json_length(&list); i++) {
                struct json_place item = json_item(&list, i);

                r = json_item_string(reader, &item, MAX_TEXT, &patch->supersedes[i]);
                if (r < 0)
                        return r;
                r = want_id(reader, &item, patch->supersedes[i]);
                if (r < 0)
                        return r;
                if (strcmp(patch->supersedes[i], patch->id) == 0)
                        return json_bad(reader, &item, NULL, "is this patch itself");
                patch->n_supersedes = i + 1;
        }
        return 0;
}

static int read_source(const struct json_reader *reader, const struct json_place *top,
                       struct patch *patch)
{
        struct json_place source;
        int r;

        json_get_object(top, "source", &source);
        if (!source.value)
                return json_bad(reader, top, "source", "is missing");
        r = json_want_object(reader, &source, KEYS("package", "version"));
        if (r < 0)
                return r;
        r = json_want_string(reader, &source, "package", true, 255, &patch->source_package);
        if (r < 0)
                return r;
        return json_want_string(reader, &source, "version", true, 255, &patch->source_version);
}

static int read_identity(const struct json_reader *reader, const struct json_place *top,
                         struct patch *patch)
{
        struct json_place id;
        uint64_t level = 0;
        int r;

        r = json_want_string(reader, top, "id", true, MAX_TEXT, &patch->id);
        if (r < 0)
                return r;
        json_get_object(top, "id", &id);
        r = want_id(reader, &id, patch->id);
        if (r < 0)
                return r;
        r = json_want_number(reader, top, "level", 1, INT32_MAX, &level);
        if (r < 0)
                return r;
        patch->level = (uint32_t)level;
        r = json_want_string(reader, top, "title", true, MAX_TEXT, &patch->title);
        if (r < 0)
                return r;
        r = json_want_string(reader, top, "author", false, MAX_TEXT, &patch->author);
        if (r < 0)
                return r;
        r = json_want_string(reader, top, "created", true, 32, &patch->created);
        if (r < 0)
                return r;
        if (!time_is_valid(patch->created))
                return json_bad(reader, top, "created",
                                "is no time of the form 2026-11-25T08:00:00Z");
        return 0;
}

static int read_schema(const struct json_reader *reader, const struct json_place *top)
{
        const char *schema = NULL;
        int r;

        if (!json_is_object(top->value))
                return json_bad(reader, top, NULL, "is not an object");
        r = json_want_string(reader, top, "schema", true, 64, &schema);
        if (r < 0)
                return r;
        if (strcmp(schema, PATCH_SCHEMA) != 0)
                return error_set(reader->err, EXIT_CODE_ERROR, 0,
                                 "use a version of suture that knows this format, or rebuild the "
                                 "patch with this one",
                                 "%s is a patch file of format \"%s\", and this suture reads "
                                 "\"%s\"",
                                 reader->file, schema, PATCH_SCHEMA);
        return 0;
}

static int read_top(const struct json_reader *reader, const struct json_place *top,
                    struct patch *patch)
{
        int (*const parts[])(const struct json_reader *, const struct json_place *,
                             struct patch *) = {
                read_identity, read_source, read_cves, read_fixes, read_supersedes, read_targets,
        };
        int r = read_schema(reader, top);

        if (r < 0)
                return r;
        r = json_want_object(reader, top, KEYS("schema", "id", "level", "title", "author",
                                               "created", "source", "cves", "fixes", "supersedes",
                                               "targets"));
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(parts); i++)
                r = parts[i](reader, top, patch);
        return r;
}

int manifest_read(const void *text, size_t size, const char *file, struct patch *patch,
                  struct error *err)
{
        struct json_reader reader = { .file = file, .err = err };
        struct json_place top = { 0 };
        json_error_t fault;

        if (size > MANIFEST_MAX_BYTES)
                return error_set(err, EXIT_CODE_ERROR, 0, NEXT_STEP,
                                 "%s can't be used: its manifest has %zu bytes, more than the %u "
                                 "allowed", file, size, MANIFEST_MAX_BYTES);
        patch->manifest = json_loadb(text, size, JSON_REJECT_DUPLICATES, &fault);
        if (!patch->manifest && json_error_code(&fault) == json_error_out_of_memory)
                return error_no_memory(err);
        if (!patch->manifest)
                return error_set(err, EXIT_CODE_ERROR, 0, NEXT_STEP,
                                 "%s can't be used: its manifest is not valid JSON (line %d, "
                                 "column %d)", file, fault.line, fault.column);
        top.value = patch->manifest;
        return read_top(&reader, &top, patch);
}

const char *manifest_section_name(const struct patch *patch, size_t t, size_t i)
{
        const json_t *targets = json_object_get(patch->manifest, "targets");
        const json_t *sections = json_object_get(json_array_get(targets, t), "sections");

        return json_string_value(json_array_get(sections, i));
}

void manifest_done(struct patch *patch)
{
        for (size_t i = 0; i < patch->n_targets; i++) {
                struct patch_target *target = &patch->targets[i];

                for (size_t j = 0; j < target->n_functions; j++)
                        free(target->functions[j].cold);
                free(target->functions);
                free(target->symbols);
                free(target->sections);
        }
        free(patch->targets);
        free(patch->supersedes);
        free(patch->cves);
        free(patch->fixes);
        json_decref(patch->manifest);
}
