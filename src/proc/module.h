/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Modules of a process: every ELF image that is mapped executable, found in memory, never by
 * path. A deleted or replaced file, another mount namespace, a library mapped twice (dlmopen), a
 * text segment remapped to anonymous huge pages: all are seen for what they are.
 *
 * A module begins at a mapping whose first bytes are an ELF header: a file mapping with offset 0,
 * or an anonymous mapping (huge-page remapping programs). Its extent comes from its own program
 * headers. It counts if at least one of its executable segments is mapped executable.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"
#include "elf/build-id.h"
#include "proc/maps.h"

struct module {
        uint64_t address;          /* of the ELF header */
        struct build_id build_id;
        const char *path;          /* as the process sees it, in the maps; "" if anonymous */
        bool deleted;
        uint32_t device_major, device_minor;
        uint64_t inode;
};

struct modules {
        struct module *items;
        size_t n_items;
};

/*
 * A cache of build IDs by device and inode, so that a scan of the whole machine reads each file's
 * header once. Only valid within one scan. NULL may be given wherever one is taken.
 */
struct module_cache;
struct module_cache *module_cache_new(void);
struct module_cache *module_cache_free(struct module_cache *cache);
DEFINE_CLEANUP(struct module_cache *, module_cache_free)

/* Modules of `pid`, whose maps the caller has read. 0, MAPS_GONE, or negative. */
int modules_read(pid_t pid, const struct maps *maps, struct module_cache *cache,
                 struct modules *ret, struct error *err);
void modules_done(struct modules *modules);
