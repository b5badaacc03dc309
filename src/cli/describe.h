/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Patches, processes and records in words and as JSON; the same for every verb. */
#include <jansson.h>
#include "base/buffer.h"
#include "cli/output.h"
#include "live/live.h"
#include "patch/patch.h"

/* The patch as in suture-verify-1.json. */
json_t *describe_patch_json(const struct patch *patch);
/* "CVE-2026-1 (remote), CVE-2026-2 (reach unknown)", or "" where there is none. */
void describe_cves(const struct patch *patch, bool with_reach, struct buffer *ret);
/* The size of the new function, 0 if the file does not say. */
uint64_t describe_new_size(const struct patch *patch, const struct patch_function *function);
/* "evhttp_get_body (412 -> 436 B)" */
void describe_function(const struct patch *patch, const struct patch_function *function,
                       struct buffer *ret);

/* Where a process belongs: "docker:4f2a81c0aabb", "nginx.service", or "host". */
const char *describe_place(const struct process *process);
/* pid, name, unit, container: members that every item about a process has. */
json_t *describe_process_json(const struct process *process);

/* The verdict on one record: PATCHED, EXPOSED or UNKNOWN. */
const char *describe_verdict(enum live_state state);
const char *describe_state(enum live_state state);
json_t *describe_instance_json(const struct live_instance *instance);
/* "SUT-2026-0042.2" */
void describe_instance_patch(const struct live_instance *instance,
                             char ret[static PATCH_NAME_SIZE]);

/* As one word of a shell's command line. */
void describe_shell_word(const char *word, struct buffer *ret);
