/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One target against the file: the sections it loads exist and fit in the memory allowed, its new
 * functions and hooks are defined in them, its functions do not overlap in the module, and every
 * symbol that its sections refer to is either in them or has an entry that says where it is.
 */
#include "patch/check.h"

#include <string.h>

#include "base/cursor.h"
#include "patch/manifest.h"

static int compare_indices(const void *a, const void *b)
{
        size_t x = *(const size_t *)a, y = *(const size_t *)b;

        return x < y ? -1 : x > y;
}

static int take_sections(struct check *check, size_t t)
{
        struct patch_target *target = &check->patch->targets[t];
        uint64_t total = 0;

        memset(check->listed, 0, check->n_sections);
        for (size_t i = 0; i < target->n_sections; i++) {
                const char *name = manifest_section_name(check->patch, t, i);
                size_t index = check_find_section(check, name);

                if (index == 0)
                        return check_bad(check, "targets[%zu].sections[%zu] is \"%s\", which is "
                                         "not the name of exactly one alloc section", t, i, name);
                if (check->listed[index])
                        return check_bad(check, "targets[%zu].sections names \"%s\" twice", t,
                                         name);
                if (check->sections[index].type != SHT_PROGBITS &&
                    check->sections[index].type != SHT_NOBITS)
                        return check_bad(check, "targets[%zu].sections[%zu] is \"%s\", a section "
                                         "of type %u, which is not loaded", t, i, name,
                                         check->sections[index].type);
                check->listed[index] = 1;
                target->sections[i] = index;
                total += ROUND_UP(check->sections[index].size, check->sections[index].alignment);
        }
        if (total > CHECK_MAX_ALLOC_BYTES)
                return check_bad(check, "the sections of targets[%zu] are larger than the %u "
                                 "bytes allowed", t, CHECK_MAX_ALLOC_BYTES);
        qsort(target->sections, target->n_sections, sizeof(size_t), compare_indices);
        return 0;
}

/* A function to run: defined, in a listed executable section, all of it. 0 if it is not. */
static size_t find_code(const struct check *check, const char *name)
{
        size_t index = check_find_symbol(check, name, true);
        const struct elf_symbol *symbol = &check->symbols[index];
        const struct elf_section *section;

        if (index == 0 || symbol->section >= check->n_sections || !check->listed[symbol->section])
                return 0;
        section = &check->sections[symbol->section];
        if (!(section->flags & SHF_EXECINSTR) || section->type != SHT_PROGBITS)
                return 0;
        if (symbol->type != STT_FUNC && symbol->type != STT_NOTYPE)
                return 0;
        if (symbol->value >= section->size ||
            !range_fits(symbol->value, symbol->size, section->size))
                return 0;
        return index;
}

static int take_functions(struct check *check, size_t t)
{
        struct patch_target *target = &check->patch->targets[t];

        for (size_t i = 0; i < target->n_functions; i++) {
                struct patch_function *function = &target->functions[i];

                function->symbol_index = find_code(check, function->symbol);
                if (function->symbol_index == 0)
                        return check_bad(check, "targets[%zu].functions[%zu].symbol is \"%s\", "
                                         "which is not one function defined in an executable "
                                         "section of this target", t, i, function->symbol);
        }
        return 0;
}

static int take_hook(struct check *check, size_t t, const char *key, const char *name, size_t *ret)
{
        *ret = name ? find_code(check, name) : 0;
        if (name && *ret == 0)
                return check_bad(check, "targets[%zu].hooks.%s is \"%s\", which is not one "
                                 "function defined in an executable section of this target", t,
                                 key, name);
        return 0;
}

static int take_hooks(struct check *check, size_t t)
{
        struct patch_target *target = &check->patch->targets[t];
        int r = take_hook(check, t, "pre", target->hook_pre_name, &target->hook_pre);

        if (r < 0)
                return r;
        r = take_hook(check, t, "post", target->hook_post_name, &target->hook_post);
        if (r < 0)
                return r;
        return take_hook(check, t, "undo", target->hook_undo_name, &target->hook_undo);
}

struct owned_range {
        struct patch_range range;
        const char *function;
};

static int compare_ranges(const void *a, const void *b)
{
        const struct owned_range *x = a, *y = b;

        return x->range.address < y->range.address ? -1 : x->range.address > y->range.address;
}

/* Functions and their cold parts are bytes of the module that only one entry may claim. */
static int check_overlap(const struct check *check, size_t t)
{
        const struct patch_target *target = &check->patch->targets[t];
        _cleanup_free_ struct owned_range *ranges = NULL;
        size_t n = 0;

        for (size_t i = 0; i < target->n_functions; i++)
                n += 1 + target->functions[i].n_cold;
        ranges = calloc(n, sizeof(*ranges));
        if (!ranges)
                return error_no_memory(check->err);
        n = 0;
        for (size_t i = 0; i < target->n_functions; i++) {
                const struct patch_function *function = &target->functions[i];

                ranges[n++] = (struct owned_range){ function->range, function->name };
                for (size_t j = 0; j < function->n_cold; j++)
                        ranges[n++] = (struct owned_range){ function->cold[j], function->name };
        }
        qsort(ranges, n, sizeof(*ranges), compare_ranges);
        for (size_t i = 1; i < n; i++) {
                if (ranges[i].range.address - ranges[i - 1].range.address >=
                    ranges[i - 1].range.size)
                        continue;
                return check_bad(check, "in targets[%zu] the functions %s and %s overlap at "
                                 "address 0x%llx", t, ranges[i - 1].function, ranges[i].function,
                                 (unsigned long long)ranges[i].range.address);
        }
        return 0;
}

static int take_symbols(struct check *check, size_t t)
{
        struct patch_target *target = &check->patch->targets[t];

        memset(check->provided, 0, check->n_symbols);
        for (size_t i = 0; i < target->n_symbols; i++) {
                struct patch_symbol *symbol = &target->symbols[i];

                symbol->symbol_index = check_find_symbol(check, symbol->name, false);
                if (symbol->symbol_index == 0)
                        return check_bad(check, "targets[%zu].symbols[%zu].name is \"%s\", which "
                                         "is not one undefined symbol of the file", t, i,
                                         symbol->name);
                if (check->provided[symbol->symbol_index])
                        return check_bad(check, "targets[%zu].symbols names \"%s\" twice", t,
                                         symbol->name);
                check->provided[symbol->symbol_index] = 1;
        }
        return 0;
}

static int check_reference(const struct check *check, size_t t, const struct elf_section *section,
                           const struct elf_symbol *symbol)
{
        if (symbol->section == SHN_UNDEF && !check->provided[symbol->index])
                return check_bad(check, "section %s refers to %s, for which targets[%zu].symbols "
                                 "has no entry", section->name, symbol->name, t);
        if (symbol->section != SHN_UNDEF && !check->listed[symbol->section])
                return check_bad(check, "section %s refers to section %s, which is not in "
                                 "targets[%zu].sections", section->name,
                                 check->sections[symbol->section].name, t);
        return 0;
}

static int check_references(const struct check *check, size_t t)
{
        const struct patch_target *target = &check->patch->targets[t];

        for (size_t i = 0; i < target->n_sections; i++) {
                size_t index = target->sections[i];
                const struct check_references *references = &check->references[index];

                for (size_t j = 0; j < references->n; j++) {
                        int r = check_reference(check, t, &check->sections[index],
                                                &check->symbols[references->symbols[j]]);

                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

int check_target(struct check *check, size_t t)
{
        int (*const parts[])(struct check *, size_t) = {
                take_sections, take_functions, take_hooks, take_symbols,
        };
        int r = 0;

        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(parts); i++)
                r = parts[i](check, t);
        if (r < 0)
                return r;
        r = check_overlap(check, t);
        return r < 0 ? r : check_references(check, t);
}
