/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/describe.h"

#include <inttypes.h>
#include <string.h>

static const char *reach_word(enum patch_reach reach)
{
        switch (reach) {
        case PATCH_REACH_LOCAL:
                return "local";
        case PATCH_REACH_REMOTE:
                return "remote";
        case PATCH_REACH_UNKNOWN:
                break;
        }
        return "unknown";
}

void describe_cves(const struct patch *patch, bool with_reach, struct buffer *ret)
{
        for (size_t i = 0; i < patch->n_cves; i++) {
                const struct patch_cve *cve = &patch->cves[i];

                buffer_printf(ret, "%s%s", i ? ", " : "", cve->id);
                if (with_reach)
                        buffer_printf(ret, " (%s%s)",
                                      cve->reach == PATCH_REACH_UNKNOWN ? "reach " : "",
                                      reach_word(cve->reach));
        }
        if (!ret->data)
                buffer_append(ret, "", 0);
}

uint64_t describe_new_size(const struct patch *patch, const struct patch_function *function)
{
        struct elf_symbol symbol;

        return elf_view_symbol(&patch->view, &patch->symbol_table, function->symbol_index, &symbol)
                       ? symbol.size
                       : 0;
}

void describe_function(const struct patch *patch, const struct patch_function *function,
                       struct buffer *ret)
{
        buffer_printf(ret, "%s (%" PRIu64 " -> %" PRIu64 " B)", function->name,
                      function->range.size, describe_new_size(patch, function));
}

static json_t *function_json(const struct patch *patch, const struct patch_function *function)
{
        return json_pack("{s:o, s:I, s:I, s:s}", "name", output_json_text(function->name),
                         "old_size_bytes", (json_int_t)function->range.size, "new_size_bytes",
                         (json_int_t)describe_new_size(patch, function), "consistency",
                         function->consistency == PATCH_ENTRY ? "entry" : "strict");
}

static json_t *hooks_json(const struct patch_target *target)
{
        json_t *hooks = json_array();

        if (target->hook_pre)
                json_array_append_new(hooks, json_string("pre"));
        if (target->hook_post)
                json_array_append_new(hooks, json_string("post"));
        if (target->hook_undo)
                json_array_append_new(hooks, json_string("undo"));
        return hooks;
}

static json_t *target_json(const struct patch *patch, const struct patch_target *target)
{
        json_t *functions = json_array();
        char build_id[BUILD_ID_HEX_SIZE];

        for (size_t i = 0; i < target->n_functions; i++)
                json_array_append_new(functions, function_json(patch, &target->functions[i]));
        build_id_format(&target->build_id, build_id);
        return json_pack("{s:o, s:s, s:o, s:o, s:o, s:b, s:o}", "module",
                         output_json_text(target->module), "build_id", build_id, "package",
                         output_json_text(target->package), "version",
                         output_json_text(target->version), "functions", functions, "pinned",
                         (int)target->pinned, "hooks", hooks_json(target));
}

static json_t *cves_json(const struct patch *patch)
{
        json_t *cves = json_array();

        for (size_t i = 0; i < patch->n_cves; i++)
                json_array_append_new(cves, json_pack("{s:o, s:s}", "id",
                                                      output_json_text(patch->cves[i].id), "reach",
                                                      reach_word(patch->cves[i].reach)));
        return cves;
}

static json_t *fixes_json(const struct patch *patch)
{
        json_t *fixes = json_array();
        char digest[SHA256_HEX_SIZE];

        for (size_t i = 0; i < patch->n_fixes; i++) {
                sha256_format(&patch->fixes[i].digest, digest);
                json_array_append_new(fixes, json_pack("{s:o, s:s}", "name",
                                                       output_json_text(patch->fixes[i].name),
                                                       "digest", digest));
        }
        return fixes;
}

json_t *describe_patch_json(const struct patch *patch)
{
        json_t *targets = json_array(), *supersedes = json_array(), *json;
        char name[PATCH_NAME_SIZE], digest[SHA256_HEX_SIZE];

        for (size_t i = 0; i < patch->n_targets; i++)
                json_array_append_new(targets, target_json(patch, &patch->targets[i]));
        for (size_t i = 0; i < patch->n_supersedes; i++)
                json_array_append_new(supersedes, output_json_text(patch->supersedes[i]));
        patch_format_name(patch, name);
        sha256_format(&patch->digest, digest);
        json = json_pack("{s:s, s:s, s:I, s:o, s:o, s:o, s:s, s:I, s:s}", "patch", name, "id",
                         patch->id, "level", (json_int_t)patch->level, "title",
                         output_json_text(patch->title), "author", output_json_text(patch->author),
                         "created", output_json_text(patch->created), "digest", digest,
                         "size_bytes", (json_int_t)patch->bytes.size, "signature", "none");
        json_object_set_new(json, "source",
                            json_pack("{s:o, s:o}", "package",
                                      output_json_text(patch->source_package), "version",
                                      output_json_text(patch->source_version)));
        json_object_set_new(json, "cves", cves_json(patch));
        json_object_set_new(json, "fixes", fixes_json(patch));
        json_object_set_new(json, "supersedes", supersedes);
        json_object_set_new(json, "targets", targets);
        return json;
}

const char *describe_place(const struct process *process)
{
        if (process->container[0])
                return process->container;
        return process->unit[0] ? process->unit : "host";
}

static json_t *text_or_null(const char *text)
{
        return text[0] ? output_json_text(text) : json_null();
}

json_t *describe_process_json(const struct process *process)
{
        return json_pack("{s:I, s:o, s:o, s:o}", "pid", (json_int_t)process->pid, "name",
                         output_json_text(process->name), "unit", text_or_null(process->unit),
                         "container", text_or_null(process->container));
}

const char *describe_verdict(enum live_state state)
{
        switch (state) {
        case LIVE_STATE_ACTIVE:
                return "PATCHED";
        case LIVE_STATE_PREPARED:
        case LIVE_STATE_RETIRED:
                return "EXPOSED"; /* the code that the patch was made against runs */
        case LIVE_STATE_DAMAGED:
                break;
        }
        return "UNKNOWN";
}

const char *describe_state(enum live_state state)
{
        switch (state) {
        case LIVE_STATE_PREPARED:
                return "prepared";
        case LIVE_STATE_ACTIVE:
                return "active";
        case LIVE_STATE_RETIRED:
                return "retired";
        case LIVE_STATE_DAMAGED:
                break;
        }
        return "damaged";
}

void describe_instance_patch(const struct live_instance *instance,
                             char ret[static PATCH_NAME_SIZE])
{
        if (instance->patch_id[0])
                snprintf(ret, PATCH_NAME_SIZE, "%s.%" PRIu32, instance->patch_id, instance->level);
        else
                snprintf(ret, PATCH_NAME_SIZE, "-");
}

static void add_mapping(json_t *memory, const struct live_memory *mapping)
{
        char text[32];

        snprintf(text, sizeof(text), "0x%" PRIx64, mapping->address);
        json_array_append_new(memory, json_pack("{s:s, s:s, s:I}", "what", mapping->what, "address",
                                                text, "size_bytes", (json_int_t)mapping->size));
}

/* What the record accounts for in the process's address space. */
static json_t *memory_json(const struct live_instance *instance)
{
        json_t *memory = json_array();

        for (size_t i = 0; i < instance->n_memory; i++)
                add_mapping(memory, &instance->memory[i]);
        return memory;
}

json_t *describe_instance_json(const struct live_instance *instance)
{
        char build_id[BUILD_ID_HEX_SIZE], digest[SHA256_HEX_SIZE], address[32];

        build_id_format(&instance->build_id, build_id);
        sha256_format(&instance->digest, digest);
        snprintf(address, sizeof(address), "0x%" PRIx64, instance->module_address);
        return json_pack("{s:o, s:s, s:s, s:o, s:I, s:s, s:s, s:s, s:o, s:I, s:o, s:o}", "module",
                         output_json_text(instance->module), "build_id", build_id,
                         "module_address", address, "id", text_or_null(instance->patch_id), "level",
                         (json_int_t)instance->level, "digest", digest, "state",
                         describe_state(instance->state), "verdict",
                         describe_verdict(instance->state), "applied_at",
                         output_json_time(instance->applied_at), "n_functions",
                         (json_int_t)instance->n_functions, "memory", memory_json(instance),
                         "problem", text_or_null(instance->problem));
}

void describe_shell_word(const char *word, struct buffer *ret)
{
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                    "_-./:@,+=";

        if (*word && word[strspn(word, plain)] == '\0') {
                buffer_printf(ret, "%s", word);
                return;
        }
        buffer_append(ret, "'", 1);
        for (; *word; word++)
                if (*word == '\'')
                        buffer_append(ret, "'\\''", 4);
                else
                        buffer_append(ret, word, 1);
        buffer_append(ret, "'", 1);
}
