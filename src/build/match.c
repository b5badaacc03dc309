/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pairs are made in the order of certainty, and each pair once made stays: names; then numbered
 * atoms that two paired functions of the same shape refer to at the same place; then those that
 * paired functions refer to in the same order; then, where both objects have equally many of
 * one base name left, the order of their numbers, which is that of their declarations. Whatever is
 * left has no twin: it is new, or gone, or (SB115) it is not known.
 */
#include "build/match.h"

#include <string.h>
#include "base/array.h"

static void pair(struct atom *a, struct atom *b)
{
        a->twin = b;
        b->twin = a;
}

/* What a variable holds decides about its section, so a fix may move it to another kind. */
static bool same_class(const struct atom *a, const struct atom *b)
{
        bool a_data = a->kind != ATOM_CODE && a->kind != ATOM_THREAD;
        bool b_data = b->kind != ATOM_CODE && b->kind != ATOM_THREAD;

        return a->kind == b->kind || (a_data && b_data);
}

static bool may_be_twins(const struct atom *a, const struct atom *b)
{
        return a && b && !a->twin && !b->twin && a->base && b->base && same_class(a, b) &&
               a->numbered == b->numbered && strcmp(a->base, b->base) == 0;
}

struct atom_list {
        struct atom **items;
        size_t n_items;
};

static void atom_list_done(struct atom_list *list)
{
        free(list->items);
}

static int by_base(const void *a, const void *b)
{
        const struct atom *x = *(struct atom *const *)a, *y = *(struct atom *const *)b;
        int order = strcmp(x->base, y->base);

        if (order != 0)
                return order;
        return x < y ? -1 : x > y; /* overridden by the number where that matters */
}

static int list_named(struct object *object, bool numbered, struct atom_list *ret,
                      struct error *err)
{
        for (size_t i = 0; i < object->n_atoms; i++) {
                struct atom *atom = &object->atoms[i];
                struct atom **slot;

                if (!atom->base || atom->numbered != numbered || atom->twin ||
                    atom->kind == ATOM_NOTE)
                        continue;
                slot = ARRAY_PUSH(ret->items, ret->n_items);
                if (!slot)
                        return error_no_memory(err);
                *slot = atom;
        }
        if (ret->n_items > 0)
                qsort(ret->items, ret->n_items, sizeof(*ret->items), by_base);
        return 0;
}

static int pair_by_name(struct object *original, struct object *fixed, struct error *err)
{
        _cleanup_(atom_list_done) struct atom_list a = { 0 }, b = { 0 };
        int r = list_named(original, false, &a, err);

        if (r == 0)
                r = list_named(fixed, false, &b, err);
        if (r < 0)
                return r;
        for (size_t i = 0, j = 0; i < a.n_items && j < b.n_items;) {
                int order = strcmp(a.items[i]->base, b.items[j]->base);

                if (order == 0 && may_be_twins(a.items[i], b.items[j]))
                        pair(a.items[i], b.items[j]);
                i += order <= 0;
                j += order >= 0;
        }
        return 0;
}

/* Functions whose references stand at the same places. */
static bool same_shape(const struct atom *a, const struct atom *b)
{
        if (a->size != b->size || a->n_references != b->n_references)
                return false;
        for (size_t i = 0; i < a->n_references; i++)
                if (a->references[i].offset != b->references[i].offset ||
                    a->references[i].type != b->references[i].type)
                        return false;
        return true;
}

static bool pair_same_place(struct atom *a, struct atom *b)
{
        bool paired = false;

        if (!same_shape(a, b))
                return false;
        for (size_t i = 0; i < a->n_references; i++) {
                struct atom *x = a->references[i].target, *y = b->references[i].target;

                if (!may_be_twins(x, y))
                        continue;
                pair(x, y);
                paired = true;
        }
        return paired;
}

/* The next atom of this base, not yet paired, that `atom` refers to from reference `*i` on. */
static struct atom *next_of_base(const struct atom *atom, const char *base, size_t *i)
{
        for (; *i < atom->n_references; (*i)++) {
                struct atom *target = atom->references[*i].target;

                if (target && target->numbered && !target->twin &&
                    strcmp(target->base, base) == 0)
                        return target;
        }
        return NULL;
}

/* How many different unpaired ones there are; distinct enough: consecutive repeats count once. */
static size_t count_of_base(const struct atom *atom, const char *base)
{
        const struct atom *last = NULL, *target;
        size_t n = 0;

        for (size_t i = 0; (target = next_of_base(atom, base, &i)); i++) {
                bool seen = false;

                for (size_t j = 0; j < i && !seen; j++)
                        seen = atom->references[j].target == target;
                n += !seen && target != last;
                last = target;
        }
        return n;
}

static bool pair_in_order(struct atom *a, struct atom *b)
{
        bool paired = false;

        for (size_t i = 0; i < a->n_references; i++) {
                struct atom *x = a->references[i].target, *y;
                size_t j = 0;

                if (!x || !x->numbered || x->twin ||
                    count_of_base(a, x->base) != count_of_base(b, x->base))
                        continue;
                y = next_of_base(b, x->base, &j);
                if (!may_be_twins(x, y))
                        continue;
                pair(x, y);
                paired = true;
        }
        return paired;
}

/* Applies `rule` to all pairs of functions until it finds no more. */
static bool for_all_pairs(struct object *original, bool (*rule)(struct atom *, struct atom *))
{
        bool any = false, again = true;

        while (again) {
                again = false;
                for (size_t i = 0; i < original->n_atoms; i++) {
                        struct atom *atom = &original->atoms[i];

                        if (atom->twin && atom->n_references > 0)
                                again = rule(atom, atom->twin) || again;
                }
                any = any || again;
        }
        return any;
}

/* The number in a compiler's name, for an order; the last one counts most. */
static unsigned long last_number(const char *name)
{
        const char *dot = strrchr(name, '.');

        return dot ? strtoul(dot + 1, NULL, 10) : 0;
}

static int by_base_and_number(const void *a, const void *b)
{
        const struct atom *x = *(struct atom *const *)a, *y = *(struct atom *const *)b;
        int order = strcmp(x->base, y->base);
        unsigned long m = last_number(x->name), n = last_number(y->name);

        if (order != 0)
                return order;
        return m < n ? -1 : m > n;
}

static size_t run_length(const struct atom_list *list, size_t from)
{
        size_t n = 1;

        while (from + n < list->n_items &&
               strcmp(list->items[from]->base, list->items[from + n]->base) == 0)
                n++;
        return n;
}

static int pair_by_number(struct object *original, struct object *fixed, struct error *err)
{
        _cleanup_(atom_list_done) struct atom_list a = { 0 }, b = { 0 };
        int r = list_named(original, true, &a, err);

        if (r == 0)
                r = list_named(fixed, true, &b, err);
        if (r < 0 || a.n_items == 0 || b.n_items == 0)
                return r;
        qsort(a.items, a.n_items, sizeof(*a.items), by_base_and_number);
        qsort(b.items, b.n_items, sizeof(*b.items), by_base_and_number);
        for (size_t i = 0, j = 0; i < a.n_items && j < b.n_items;) {
                int order = strcmp(a.items[i]->base, b.items[j]->base);
                size_t n = run_length(&a, i), m = run_length(&b, j);

                for (size_t k = 0; order == 0 && n == m && k < n; k++)
                        if (may_be_twins(a.items[i + k], b.items[j + k]))
                                pair(a.items[i + k], b.items[j + k]);
                i += order <= 0 ? n : 0;
                j += order >= 0 ? m : 0;
        }
        return 0;
}

int match_objects(struct object *original, struct object *fixed, struct error *err)
{
        int r = pair_by_name(original, fixed, err);

        if (r < 0)
                return r;
        do {
                for_all_pairs(original, pair_same_place);
        } while (for_all_pairs(original, pair_in_order));
        return pair_by_number(original, fixed, err);
}
