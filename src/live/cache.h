/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What is the same for every process that maps a module, kept for the length of one run: a library
 * in 1,000 processes is looked at once.
 */
#include <stdbool.h>
#include "elf/build-id.h"
#include "elf/image.h"
#include "proc/module.h"

struct live_cache;

struct live_cache *live_cache_new(void);
struct live_cache *live_cache_free(struct live_cache *cache);
DEFINE_CLEANUP(struct live_cache *, live_cache_free)

/* Can this kernel name anonymous mappings? False for NULL. */
bool live_cache_names_mappings(const struct live_cache *cache);
/*
 * What the resolver of an indirect function chose, as an offset in its module: the same for all
 * processes of one machine. 0 where it is not known yet.
 */
uint64_t live_cache_ifunc(const struct live_cache *cache, const struct build_id *module,
                          const char *name);
void live_cache_set_ifunc(struct live_cache *cache, const struct build_id *module,
                          const char *name, uint64_t offset);
struct module_cache *live_cache_modules(struct live_cache *cache);
/*
 * Does the module switch stacks by itself (ucontext, coroutines)? Asked of its imports once per
 * build ID. `cache` may be NULL.
 */
bool live_cache_switches_stacks(struct live_cache *cache, const struct elf_memory *memory,
                                const struct module *module);
