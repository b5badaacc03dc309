/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers by build ID. A module without one is asked anew each time. */
#include "live/cache.h"

#include <linux/prctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/user.h>

#include "base/array.h"

struct answer {
        struct build_id build_id;
        bool switches_stacks;
};

struct choice {
        struct build_id build_id;
        char name[64];
        uint64_t offset;
};

struct live_cache {
        struct module_cache *modules;
        bool names_mappings;
        struct choice *choices;
        size_t n_choices;
        struct answer *answers;
        size_t n_answers;
};

/* PR_SET_VMA_ANON_NAME (prctl(2)) answers EINVAL where the kernel was built without it. */
static bool kernel_names_mappings(void)
{
        void *page = mmap(NULL, PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        bool named;

        if (page == MAP_FAILED)
                return false;
        named = prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, page, PAGE_SIZE, "suture") == 0;
        munmap(page, PAGE_SIZE);
        return named;
}

struct live_cache *live_cache_new(void)
{
        _cleanup_(live_cache_freep) struct live_cache *cache = calloc(1, sizeof(*cache));

        if (!cache)
                return NULL;
        cache->names_mappings = kernel_names_mappings();
        cache->modules = module_cache_new();
        return cache->modules ? STEAL(cache) : NULL;
}

struct live_cache *live_cache_free(struct live_cache *cache)
{
        if (!cache)
                return NULL;
        module_cache_free(cache->modules);
        free(cache->answers);
        free(cache->choices);
        free(cache);
        return NULL;
}

bool live_cache_names_mappings(const struct live_cache *cache)
{
        return cache && cache->names_mappings;
}

uint64_t live_cache_ifunc(const struct live_cache *cache, const struct build_id *module,
                          const char *name)
{
        for (size_t i = 0; cache && i < cache->n_choices; i++)
                if (build_id_equal(&cache->choices[i].build_id, module) &&
                    strcmp(cache->choices[i].name, name) == 0)
                        return cache->choices[i].offset;
        return 0;
}

void live_cache_set_ifunc(struct live_cache *cache, const struct build_id *module,
                          const char *name, uint64_t offset)
{
        struct choice *choice;

        if (!cache || module->size == 0 || strlen(name) >= sizeof(choice->name))
                return;
        choice = ARRAY_PUSH(cache->choices, cache->n_choices);
        if (!choice) /* then it is asked again */
                return;
        choice->build_id = *module;
        strcpy(choice->name, name);
        choice->offset = offset;
}

struct module_cache *live_cache_modules(struct live_cache *cache)
{
        return cache ? cache->modules : NULL;
}

/*
 * Functions that switch stacks without the kernel knowing, by the names libraries give them.
 * OpenSSL has jobs on stacks of their own, too, but only for programs that ask for them
 * (ASYNC_start_job(3), SSL_MODE_ASYNC); so its two libraries don't count, and who uses that part
 * of them does.
 */
static const char *const stack_switchers[] = {
        "swapcontext",     "setcontext",      "makecontext",
        "jump_fcontext",   "make_fcontext",   "co_switch",
        "coro_transfer",   "pth_spawn",       "st_thread_create",
        "ASYNC_start_job", "SSL_waiting_for_async", "SSL_get_all_async_fds", NULL,
};
static const char *const openssl_marks[] = { "ASYNC_start_job", "SSL_waiting_for_async" };

static bool ask_module(const struct elf_memory *memory, const struct module *module)
{
        struct elf_image_symbol symbol;
        struct elf_image image;

        if (elf_image_read(memory, module->address, &image) != 0 ||
            elf_image_imports_any(memory, &image, stack_switchers) <= 0)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(openssl_marks); i++)
                if (elf_image_lookup(memory, &image, openssl_marks[i], NULL, &symbol) == 0 &&
                    symbol.section != SHN_UNDEF)
                        return false;
        return true;
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
