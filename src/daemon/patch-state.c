/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON, so that a person can read why a patch is held. Only the daemon writes these files, but a
 * damaged one must not be taken for something else: each member is checked, and one that is
 * missing or of another kind makes the whole file a fault.
 */
#include "daemon/patch-state.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char *const state_names[] = {
        [PATCH_STATE_ENABLED] = "enabled",
        [PATCH_STATE_HELD] = "held",
        [PATCH_STATE_QUARANTINED] = "quarantined",
};

const char *patch_state_name(enum patch_state state)
{
        return state_names[state];
}

static bool parse_state(const char *text, enum patch_state *ret)
{
        for (size_t i = 0; i < ARRAY_SIZE(state_names); i++)
                if (strcmp(text, state_names[i]) == 0) {
                        *ret = (enum patch_state)i;
                        return true;
                }
        return false;
}

static bool copy_text(const char *text, char ret[static PATCH_STATE_TEXT_SIZE])
{
        return (size_t)snprintf(ret, PATCH_STATE_TEXT_SIZE, "%s", text) < PATCH_STATE_TEXT_SIZE;
}

static bool parse_version(json_t *value, struct patch_version *ret)
{
        const char *digest, *state, *reason, *by;
        json_int_t level, since, added;

        if (!value || json_is_null(value))
                return true;
        if (json_unpack(value, "{s:I, s:s, s:s, s:s, s:s, s:I, s:I}", "level", &level, "digest",
                        &digest, "state", &state, "reason", &reason, "by", &by, "since", &since,
                        "added", &added) < 0)
                return false;
        ret->there = true;
        ret->level = (uint32_t)level;
        ret->since = (uint64_t)since;
        ret->added = (uint64_t)added;
        return level >= 1 && level <= UINT32_MAX && since >= 0 && added >= 0 &&
               sha256_parse(digest, &ret->digest) && parse_state(state, &ret->state) &&
               copy_text(reason, ret->reason) && copy_text(by, ret->by);
}

static bool parse_root(json_t *root, const char *id, struct patch_state_file *ret)
{
        const char *schema, *own_id;
        json_t *current = NULL, *next = NULL;
        int removing;

        if (json_unpack(root, "{s:s, s:s, s:b, s:o, s:o}", "schema", &schema, "id", &own_id,
                        "removing", &removing, "current", &current, "next", &next) < 0)
                return false;
        ret->removing = removing;
        return strcmp(schema, PATCH_STATE_SCHEMA) == 0 && strcmp(own_id, id) == 0 &&
               parse_version(current, &ret->current) && parse_version(next, &ret->next) &&
               (ret->current.there || ret->next.there);
}

int patch_state_parse(const void *data, size_t size, const char *id, struct patch_state_file *ret,
                      struct error *err)
{
        struct patch_state_file file = { 0 };
        json_error_t where;
        json_t *root = json_loadb(data, size, JSON_REJECT_DUPLICATES, &where);
        bool good = root && parse_root(root, id, &file);

        json_decref(root);
        if (!good)
                return error_set(err, EXIT_CODE_ERROR, 0, NULL,
                                 "%s.state is damaged: %s", id,
                                 root ? "it does not say what it should" : where.text);
        *ret = file;
        return 0;
}

static json_t *format_version(const struct patch_version *version)
{
        char digest[SHA256_HEX_SIZE];

        if (!version->there)
                return json_null();
        sha256_format(&version->digest, digest);
        return json_pack("{s:I, s:s, s:s, s:s, s:s, s:I, s:I}", "level", (json_int_t)version->level,
                         "digest", digest, "state", patch_state_name(version->state), "reason",
                         version->reason, "by", version->by, "since", (json_int_t)version->since,
                         "added", (json_int_t)version->added);
}

int patch_state_format(const struct patch_state_file *file, const char *id, struct buffer *ret,
                       struct error *err)
{
        json_t *root = json_pack("{s:s, s:s, s:b, s:o, s:o}", "schema", PATCH_STATE_SCHEMA, "id",
                                 id, "removing", file->removing, "current",
                                 format_version(&file->current), "next",
                                 format_version(&file->next));
        char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
        bool good = text && buffer_printf(ret, "%s\n", text);

        free(text);
        json_decref(root);
        return good ? 0 : error_no_memory(err);
}
