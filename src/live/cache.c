/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers by build ID. A module without one is asked anew each time. */
#include "live/cache.h"

#include <stdlib.h>

#include "base/array.h"

struct answer {
        struct build_id build_id;
        bool switches_stacks;
};

struct live_cache {
        struct module_cache *modules;
        struct answer *answers;
        size_t n_answers;
};

struct live_cache *live_cache_new(void)
{
        _cleanup_(live_cache_freep) struct live_cache *cache = calloc(1, sizeof(*cache));

        if (!cache)
                return NULL;
        cache->modules = module_cache_new();
        return cache->modules ? STEAL(cache) : NULL;
}

struct live_cache *live_cache_free(struct live_cache *cache)
{
        if (!cache)
                return NULL;
        module_cache_free(cache->modules);
        free(cache->answers);
        free(cache);
        return NULL;
}

struct module_cache *live_cache_modules(struct live_cache *cache)
{
        return cache ? cache->modules : NULL;
}

/* Functions that switch stacks without the kernel knowing, by the names libraries give them. */
static const char *const stack_switchers[] = {
        "swapcontext", "setcontext",    "makecontext", "jump_fcontext",    "make_fcontext",
        "co_switch",   "coro_transfer", "pth_spawn",   "st_thread_create", NULL,
};

static bool ask_module(const struct elf_memory *memory, const struct module *module)
{
        struct elf_image image;

        return elf_image_read(memory, module->address, &image) == 0 &&
               elf_image_imports_any(memory, &image, stack_switchers) > 0;
}

bool live_cache_switches_stacks(struct live_cache *cache, const struct elf_memory *memory,
                                const struct module *module)
{
        struct answer *answer;

        if (!cache || module->build_id.size == 0)
                return ask_module(memory, module);
        for (size_t i = 0; i < cache->n_answers; i++)
                if (build_id_equal(&cache->answers[i].build_id, &module->build_id))
                        return cache->answers[i].switches_stacks;
        answer = ARRAY_PUSH(cache->answers, cache->n_answers);
        if (!answer)
                return ask_module(memory, module);
        answer->build_id = module->build_id;
        answer->switches_stacks = ask_module(memory, module);
        return answer->switches_stacks;
}
