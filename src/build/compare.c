/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Equality of constants that refer to each other is the largest one that holds: all twins are
 * taken to be equal at first, and those that differ are sorted out, again and again, until
 * nothing changes. So a ring of tables that point to one another needs no special care.
 *
 * What a reference means:
 * - a function: its twin, whatever is in it (it is replaced in place if it differs);
 * - a variable: its twin, whatever it holds;
 * - a constant with a name: its twin, if that holds the same;
 * - a constant without a name, or with a number: anything that holds the same, or of which the
 *   instruction reads the same bytes.
 */
#include "build/compare.h"

#include <string.h>
#include "base/cursor.h"

enum { MAX_DEPTH = 16 }; /* of unnamed constants that refer to unnamed constants */

static bool content_equal(const struct atom *a, const struct atom *b, unsigned depth);

static bool is_by_content(const struct atom *atom)
{
        return atom->kind == ATOM_CONSTANT && (!atom->base || atom->numbered);
}

static bool targets_equal(const struct atom *a, const struct atom *b, unsigned depth)
{
        if (is_by_content(a) && is_by_content(b)) {
                if (a->twin == b)
                        return !a->differs;
                if ((a->base == NULL) != (b->base == NULL) ||
                    (a->base && strcmp(a->base, b->base) != 0))
                        return false;
                return content_equal(a, b, depth + 1);
        }
        if (a->twin != b)
                return false;
        return a->kind != ATOM_CONSTANT || !a->differs;
}

/* The bytes that an instruction reads of an unnamed constant; NULL if that is not known. */
static const uint8_t *bytes_read(const struct reference *reference)
{
        const struct atom *target = reference->target;

        if (reference->access_size == 0 || !target || target->base || target->n_references > 0 ||
            target->kind != ATOM_CONSTANT || reference->delta < 0 ||
            !range_fits((uint64_t)reference->delta, reference->access_size, target->size))
                return NULL;
        return atom_data(target) + reference->delta;
}

/* The compiler lets a small constant be a part of a larger one that is there anyway. */
static bool read_equal(const struct reference *a, const struct reference *b)
{
        const uint8_t *x = bytes_read(a), *y = bytes_read(b);

        return x && y && a->access_size == b->access_size && memcmp(x, y, a->access_size) == 0;
}

static bool references_equal(const struct reference *a, const struct reference *b, unsigned depth)
{
        if (a->type != b->type)
                return false;
        if (read_equal(a, b))
                return true;
        if (a->delta != b->delta)
                return false;
        if (!a->target && !b->target)
                return strcmp(a->symbol, b->symbol) == 0;
        if (!a->target || !b->target)
                return false;
        return targets_equal(a->target, b->target, depth);
}

/* Apart from the bytes that the linker fills. References are sorted by their place. */
static bool bytes_equal(const struct atom *a, const struct atom *b)
{
        const uint8_t *x = atom_data(a), *y = atom_data(b);
        uint64_t at = 0, size = MIN(a->size, b->size);

        if (!x || !y)
                return !x && !y;
        for (size_t i = 0; i < a->n_references; i++) {
                uint64_t from = a->references[i].offset;
                uint64_t end = MIN(from + relocation_size(a->references[i].type), size);

                if (from > at && memcmp(x + at, y + at, MIN(from, size) - at) != 0)
                        return false;
                at = MAX(at, end);
        }
        return at >= size || memcmp(x + at, y + at, size - at) == 0;
}

static bool only_zeros_follow(const struct atom *atom, uint64_t from)
{
        const uint8_t *data = atom_data(atom);

        for (uint64_t i = from; data && i < atom->size; i++)
                if (data[i] != 0)
                        return false;
        return data;
}

/*
 * Constants without a name may end in padding, since the size is that of the place up to the
 * next one.
 */
static bool sizes_equal(const struct atom *a, const struct atom *b)
{
        const struct atom *longer = a->size > b->size ? a : b;

        if (a->size == b->size)
                return true;
        return !a->base && !b->base && a->kind == ATOM_CONSTANT &&
               only_zeros_follow(longer, MIN(a->size, b->size));
}

static bool content_equal(const struct atom *a, const struct atom *b, unsigned depth)
{
        if (depth > MAX_DEPTH || a->kind != b->kind || !sizes_equal(a, b) ||
            a->n_references != b->n_references)
                return false;
        for (size_t i = 0; i < a->n_references; i++)
                if (a->references[i].offset != b->references[i].offset ||
                    !references_equal(&a->references[i], &b->references[i], depth))
                        return false;
        return bytes_equal(a, b);
}

static bool find_differing(struct object *original)
{
        bool found = false;

        for (size_t i = 0; i < original->n_atoms; i++) {
                struct atom *atom = &original->atoms[i];

                if (!atom->twin || atom->differs || content_equal(atom, atom->twin, 0))
                        continue;
                atom->differs = atom->twin->differs = true;
                found = true;
        }
        return found;
}

/* A function and its cold part are replaced together. */
static void join_cold_parts(struct object *object)
{
        for (size_t i = 0; i < object->n_atoms; i++) {
                struct atom *cold = &object->atoms[i], *function = cold->parent;

                if (!function || !function->twin)
                        continue;
                if (cold->differs || !cold->twin || cold->twin->parent != function->twin)
                        function->differs = function->twin->differs = true;
        }
}

int compare_objects(struct object *original, struct object *fixed, struct error *err)
{
        (void)err;
        while (find_differing(original))
                ;
        join_cold_parts(original);
        join_cold_parts(fixed);
        return 0;
}

const char *compare_reason(const struct atom *original, const struct atom *fixed)
{
        if (!sizes_equal(original, fixed) || !bytes_equal(original, fixed) ||
            original->n_references != fixed->n_references)
                return "code differs";
        for (size_t i = 0; i < original->n_references; i++) {
                const struct reference *a = &original->references[i], *b = &fixed->references[i];

                if (a->offset != b->offset || a->type != b->type)
                        return "code differs";
                if (references_equal(a, b, 0))
                        continue;
                if (!a->target || !b->target || a->target->kind != b->target->kind ||
                    a->delta != b->delta)
                        return "refers to something else";
                if (a->target->kind == ATOM_CODE)
                        return "calls another function";
                if (a->target->kind == ATOM_CONSTANT)
                        return a->target->name ? "refers to a changed constant"
                                               : "refers to a changed string or constant";
                return "refers to another variable";
        }
        return "its rarely used part (.cold) differs";
}
