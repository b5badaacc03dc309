/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Looking up dynamic symbols in a running process as its dynamic linker would have for one of its
 * modules: through the link map of the namespace that the module was loaded in (glibc link.h,
 * struct r_debug and struct link_map), in its order, by name and version.
 */
#include <stdint.h>
#include "base/error.h"
#include "elf/image.h"
#include "live/target.h"

struct resolver;

/* For the module whose ELF header is at `module_address`. */
int resolver_new(struct target *target, uint64_t module_address, struct resolver **ret,
                 struct error *err);
struct resolver *resolver_free(struct resolver *resolver);
DEFINE_CLEANUP(struct resolver *, resolver_free)
/* Where arch_function_stub may be written when an IFUNC has to be asked. */
void resolver_set_function_stub(struct resolver *resolver, uint64_t stub);

const struct elf_image *resolver_module(const struct resolver *resolver);
int resolver_read(struct resolver *resolver, uint64_t address, uint64_t *ret, struct error *err);
/* The address of a symbol; an IFUNC is followed to what it chose. 0, TARGET_GONE,
 * TARGET_BUSY (modules are being loaded just now), or a fault. */
int resolver_find(struct resolver *resolver, const char *name, const char *version, uint64_t *ret,
                  struct error *err);
