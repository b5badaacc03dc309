/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * ID.state, the file beside a patch of the store: which content counts, and as what. While a
 * content is being replaced it names two, `current` and `next`; the digest of the patch file that
 * is really there says which of them holds.
 */
#include <stdbool.h>
#include <stdint.h>
#include "base/buffer.h"
#include "base/error.h"
#include "base/hash.h"
#include "daemon/patch-store.h"

#define PATCH_STATE_SCHEMA "suture-patch-state-1"
#define PATCH_STATE_MAX_BYTES 65536
#define PATCH_STATE_TEXT_SIZE 512

struct patch_version {
        bool there;
        uint32_t level;
        struct sha256 digest;
        enum patch_state state;
        char reason[PATCH_STATE_TEXT_SIZE], by[PATCH_STATE_TEXT_SIZE];
        uint64_t since, added;
};

struct patch_state_file {
        struct patch_version current, next;
        bool removing;          /* the patch counts as removed, whatever files are left */
};

int patch_state_parse(const void *data, size_t size, const char *id, struct patch_state_file *ret,
                      struct error *err);
int patch_state_format(const struct patch_state_file *file, const char *id, struct buffer *ret,
                       struct error *err);
