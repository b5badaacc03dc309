/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The link map is read once, when the first symbol is asked for. Namespaces made by dlmopen are
 * chained behind the main one since glibc 2.35 (r_version 2); the module's own is the one whose
 * list has its dynamic section. A symbol that turns out to be an IFUNC has been resolved already
 * for every module that uses it, and its slot tells the result; only where nobody uses it yet is
 * the resolver function called, in the process itself.
 */
#include "live/resolve.h"

#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "live/arch/arch.h"
#include "live/call.h"

#define MAX_MODULES 65536
#define MAX_NAMESPACES 64

struct resolver {
        struct target *target;
        struct elf_memory memory;
        struct elf_image module;
        struct elf_image *scope;    /* in link map order; empty until first used */
        size_t n_scope;
        uint64_t function_stub;
};

int resolver_new(struct target *target, uint64_t module_address, struct resolver **ret,
                 struct error *err)
{
        _cleanup_(resolver_freep) struct resolver *resolver = calloc(1, sizeof(*resolver));
        int r;

        if (!resolver)
                return error_no_memory(err);
        resolver->target = target;
        resolver->memory = target_memory(target);
        r = elf_image_read(&resolver->memory, module_address, &resolver->module);
        if (r != 0)
                return error_set(err, EXIT_CODE_ERROR, r < 0 ? -r : 0, NULL,
                                 "the headers of the module at %#lx of pid %d can't be read",
                                 module_address, target->pid);
        *ret = STEAL(resolver);
        return 0;
}

struct resolver *resolver_free(struct resolver *resolver)
{
        if (!resolver)
                return NULL;
        free(resolver->scope);
        free(resolver);
        return NULL;
}

void resolver_set_function_stub(struct resolver *resolver, uint64_t stub)
{
        resolver->function_stub = stub;
}

const struct elf_image *resolver_module(const struct resolver *resolver)
{
        return &resolver->module;
}

int resolver_read(struct resolver *resolver, uint64_t address, uint64_t *ret, struct error *err)
{
        return target_read(resolver->target, address, ret, sizeof(*ret), err);
}

/* --- The scope --------------------------------------------------------------------------- */

static int read_modules(struct resolver *resolver, struct elf_image **ret, size_t *ret_n,
                        struct error *err)
{
        const struct modules *modules = &resolver->target->modules;
        _cleanup_free_ struct elf_image *images = NULL;
        size_t n = 0;
        int r = target_read_modules(resolver->target, err);

        if (r != 0)
                return r;
        for (size_t i = 0; i < modules->n_items; i++) {
                struct elf_image *image = ARRAY_PUSH(images, n);

                if (!image)
                        return error_no_memory(err);
                if (elf_image_read(&resolver->memory, modules->items[i].address, image) != 0)
                        n--;
        }
        *ret = STEAL(images);
        *ret_n = n;
        return 0;
}

static const struct elf_image *image_with_dynamic(const struct elf_image *images, size_t n,
                                                  uint64_t dynamic)
{
        for (size_t i = 0; i < n; i++)
                if (images[i].has_dynamic && images[i].dynamic == dynamic)
                        return &images[i];
        return NULL;
}

/* One list of the link map; true if the module is in it. */
static int read_list(struct resolver *resolver, uint64_t at, const struct elf_image *images,
                     size_t n_images, bool *ret_found, struct error *err)
{
        free(resolver->scope);
        resolver->scope = NULL;
        resolver->n_scope = 0;
        *ret_found = false;
        for (size_t i = 0; at != 0 && i < MAX_MODULES; i++) {
                struct { uint64_t base, name, dynamic, next; } entry;
                const struct elf_image *image;
                struct elf_image *slot;
                int r = target_read(resolver->target, at, &entry, sizeof(entry), err);

                if (r != 0)
                        return r;
                at = entry.next;
                if (entry.dynamic == resolver->module.dynamic)
                        *ret_found = true;
                image = image_with_dynamic(images, n_images, entry.dynamic);
                if (!image)
                        continue; /* the vDSO, which nobody binds to */
                slot = ARRAY_PUSH(resolver->scope, resolver->n_scope);
                if (!slot)
                        return error_no_memory(err);
                *slot = *image;
        }
        return 0;
}

/* Modules are being loaded or unloaded at this moment. */
static int busy_linking(struct resolver *resolver)
{
        free(resolver->scope);
        resolver->scope = NULL;
        resolver->n_scope = 0;
        error_set(&resolver->target->busy, EXIT_CODE_ERROR, 0, "try again",
                  "pid %d is just loading or unloading modules", resolver->target->pid);
        return TARGET_BUSY;
}

static int read_scope(struct resolver *resolver, struct error *err)
{
        _cleanup_free_ struct elf_image *images = NULL;
        uint64_t debug = 0;
        size_t n = 0;
        int r = read_modules(resolver, &images, &n, err);

        if (r != 0)
                return r;
        for (size_t i = 0; i < n; i++)
                if (images[i].r_debug)
                        debug = images[i].r_debug;
        for (size_t i = 0; debug != 0 && i < MAX_NAMESPACES; i++) {
                struct { uint64_t version, map, brk, state, ldbase, next; } list;
                bool found = false;

                r = target_read(resolver->target, debug, &list, sizeof(list), err);
                if (r == 0)
                        r = read_list(resolver, list.map, images, n, &found, err);
                if (r == 0 && found && (uint32_t)list.state != RT_CONSISTENT)
                        return busy_linking(resolver);
                if (r != 0 || found)
                        return r;
                debug = (uint32_t)list.version >= 2 ? list.next : 0;
        }
        return error_set(err, EXIT_CODE_UNSUPPORTED, 0,
                         "restart the program with the fixed version instead",
                         "pid %d has no link map that holds the module, so symbols of other "
                         "modules can't be bound",
                         resolver->target->pid);
}

/* --- IFUNC ------------------------------------------------------------------------------- */

struct slot_search {
        struct resolver *resolver;
        const char *name;
        const struct elf_image *definer;
        uint64_t found;
};

static bool bound_slot(void *context, const char *name, enum elf_slot_kind kind, uint64_t slot)
{
        struct slot_search *search = context;
        uint64_t value;

        (void)kind;
        if (strcmp(name, search->name) != 0 ||
            resolver_read(search->resolver, slot, &value, NULL) != 0 ||
            value < search->definer->start || value >= search->definer->end)
                return false;
        search->found = value;
        return true;
}

/* What an IFUNC has chosen, from a module that is bound to it; else by asking it. */
static int follow_ifunc(struct resolver *resolver, const char *name,
                        const struct elf_image *definer, uint64_t function, uint64_t *ret,
                        struct error *err)
{
        struct live_cache *cache = resolver->target->cache;
        struct slot_search search = { resolver, name, definer, 0 };
        uint64_t known = live_cache_ifunc(cache, &definer->build_id, name);
        int64_t chosen;
        int r;

        if (known) {
                *ret = definer->bias + known;
                return 0;
        }
        for (size_t i = 0; i < resolver->n_scope && search.found == 0; i++)
                if (&resolver->scope[i] != definer)
                        elf_image_each_slot(&resolver->memory, &resolver->scope[i], bound_slot,
                                            &search);
        if (search.found) {
                *ret = search.found;
                live_cache_set_ifunc(cache, &definer->build_id, name, *ret - definer->bias);
                return 0;
        }
        if (resolver->function_stub == 0)
                return error_set(err, EXIT_CODE_UNSUPPORTED, 0, NULL,
                                 "\"%s\" is an indirect function that can't be asked now", name);
        r = target_write(resolver->target, resolver->function_stub, arch_function_stub,
                         arch_function_stub_size, err);
        if (r != 0)
                return r;
        r = target_call_function(resolver->target, resolver->function_stub, function, 0, &chosen,
                                 err);
        if (r != 0)
                return r;
        *ret = (uint64_t)chosen;
        live_cache_set_ifunc(cache, &definer->build_id, name, *ret - definer->bias);
        return 0;
}

int resolver_find(struct resolver *resolver, const char *name, const char *version, uint64_t *ret,
                  struct error *err)
{
        struct elf_image_symbol symbol;
        int r;

        if (resolver->n_scope == 0) {
                r = read_scope(resolver, err);
                if (r != 0)
                        return r;
        }
        for (size_t i = 0; i < resolver->n_scope; i++) {
                const struct elf_image *image = &resolver->scope[i];

                if (elf_image_lookup(&resolver->memory, image, name, version, &symbol) != 0 ||
                    symbol.section == SHN_UNDEF)
                        continue;
                if (symbol.type == STT_TLS)
                        break;
                if (symbol.type == STT_GNU_IFUNC)
                        return follow_ifunc(resolver, name, image, symbol.address, ret, err);
                *ret = symbol.address;
                return 0;
        }
        return error_set(err, EXIT_CODE_UNSUPPORTED, 0,
                         "the program runs with other libraries than the patch was made for",
                         "the symbol \"%s\"%s%s that the patch needs is not to be found in pid %d",
                         name, version ? "@" : "", version ? version : "", resolver->target->pid);
}
