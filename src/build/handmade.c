/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A function of hand-written code replaces the one of the same name in the module. Statics
 * of one name in several files are told apart by SUTURE_REPLACES(unit, name). The compiler may
 * have made copies of a function (clones, whose names begin with its own): those that the
 * replacement does not cover would run on as they are, so they are refused.
 */
#include "build/handmade.h"

#include <stdio.h>
#include <string.h>
#include "base/cursor.h"
#include "build/changes.h"
#include "build/locate.h"

#define FINDING(extraction, code, fatal, atom, err, ...)                                      \
        (report_finding((extraction)->report, code, fatal,                                    \
                        changes_where(atom, (char[CHANGES_WHERE_SIZE]){ 0 }), __VA_ARGS__)    \
                 ? 0                                                                          \
                 : error_no_memory(err))

/* --- Declarations ------------------------------------------------------------------------ */

/* The file that SUTURE_REPLACES names for a function: pairs of strings, file and name. */
static const char *declared_unit(const struct object *fixed, const char *name)
{
        struct elf_section section;
        uint64_t at = 0;

        if (!elf_view_find_section(&fixed->view, ".suture.replaces", &section) || !section.data)
                return NULL;
        for (;;) {
                const char *unit = bounded_string(section.data, section.size, at), *other;

                if (!unit)
                        return NULL;
                at += strlen(unit) + 1;
                other = bounded_string(section.data, section.size, at);
                if (!other)
                        return NULL;
                if (strcmp(other, name) == 0)
                        return unit;
                at += strlen(other) + 1;
        }
}

static const char *last_part(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

/* --- The function in the module ---------------------------------------------------------- */

struct candidates {
        const struct shipped_symbol *only;
        size_t n;                /* of different addresses */
        bool same_code;          /* one of them is what the new object holds */
};

static bool is_function(const struct shipped_symbol *symbol)
{
        return symbol->type == STT_FUNC || symbol->type == STT_GNU_IFUNC;
}

static bool in_unit(const struct shipped_symbol *symbol, const char *unit)
{
        return !unit || (symbol->file && strcmp(symbol->file, last_part(unit)) == 0);
}

static struct candidates find_candidates(const struct atom *atom, const struct shipped *shipped,
                                         const char *unit)
{
        struct candidates ret = { 0 };
        size_t n;
        const struct shipped_symbol *symbols = shipped_find(shipped, atom->name, &n);

        for (size_t i = 0; i < n; i++) {
                const struct shipped_symbol *symbol = &symbols[i];

                if (!is_function(symbol) || !in_unit(symbol, unit))
                        continue;
                ret.same_code = ret.same_code || locate_code_equal(atom, shipped, symbol->address,
                                                                   symbol->size, NULL, NULL);
                if (ret.only && ret.only->address == symbol->address)
                        continue;
                ret.only = symbol;
                ret.n++;
        }
        return ret;
}

/* "name.constprop.0", "name.isra.0", "name.part.0": not the cold part, nor another name of it. */
static bool is_copy_of(const struct shipped_symbol *symbol, const char *name,
                       const struct shipped_symbol *function)
{
        size_t length = strlen(name);

        return is_function(symbol) && strncmp(symbol->name, name, length) == 0 &&
               symbol->name[length] == '.' && symbol->address != function->address &&
               strcmp(symbol->name + length, ".cold") != 0 && in_unit(symbol, function->file);
}

static int refuse_copies(struct extraction *extraction, const struct atom *atom,
                         const struct shipped_symbol *function, const struct object *fixed,
                         struct error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < extraction->shipped->n_symbols; i++) {
                const struct shipped_symbol *symbol = &extraction->shipped->symbols[i];

                if (is_copy_of(symbol, atom->name, function) &&
                    !object_find(fixed, symbol->name, false))
                        r = FINDING(extraction, "SB130", true, atom, err,
                                    "the module has %s as well, a copy of %s that would stay as "
                                    "it is", symbol->name, atom->name);
        }
        return r;
}

/* --- The object that stands in ----------------------------------------------------------- */

static struct atom *add_atom(struct object *object, const char *name,
                             const struct shipped_symbol *symbol)
{
        struct atom *atom = &object->atoms[object->n_atoms++];

        *atom = (struct atom){
                .object = object,
                .kind = ATOM_CODE,
                .name = name,
                .global = symbol->bind != STB_LOCAL,
                .differs = true,
                .sought = true,
                .found = true,
                .address = symbol->address,
                .shipped_size = symbol->size,
        };
        return atom;
}

/* The rarely used part of the function: a thread may be in it. */
static int add_cold_part(struct extraction *extraction, struct object *object, struct atom *atom,
                         const struct shipped_symbol *function, struct error *err)
{
        const struct shipped_symbol *cold = NULL;
        char name[CHANGES_WHERE_SIZE];
        const struct shipped_symbol *symbols;
        size_t n, n_found = 0;

        snprintf(name, sizeof(name), "%s.cold", atom->name);
        symbols = shipped_find(extraction->shipped, name, &n);
        for (size_t i = 0; i < n; i++)
                if (is_function(&symbols[i]) && in_unit(&symbols[i], function->file)) {
                        cold = &symbols[i];
                        n_found++;
                }
        if (n_found == 0)
                return 0;
        if (n_found > 1 || cold->size == 0)
                return FINDING(extraction, "SB107", true, atom, err,
                               "the module has several parts named %s", name);
        atom->cold = add_atom(object, cold->name, cold);
        atom->cold->parent = atom;
        return 0;
}

static int replace(struct extraction *extraction, struct object *object, struct atom *fixed,
                   struct error *err)
{
        const char *unit = declared_unit(fixed->object, fixed->name);
        struct candidates found = find_candidates(fixed, extraction->shipped, unit);
        struct atom *atom;
        int r;

        if (unit && found.n == 0)
                return FINDING(extraction, "SB120", true, fixed, err,
                               "SUTURE_REPLACES names %s of %s, which the module does not have",
                               fixed->name, unit);
        if (found.n == 0 || (found.same_code && !unit))
                return 0;
        if (found.n > 1 || found.only->size == 0)
                return FINDING(extraction, "SB107", true, fixed, err,
                               found.n > 1 ? "the module has %zu functions named %s; "
                                             "SUTURE_REPLACES can say of which file"
                                           : "the size of the only one of %zu functions named "
                                             "%s is not known",
                               found.n, fixed->name);
        if (found.only->type == STT_GNU_IFUNC)
                return FINDING(extraction, "SB111", true, fixed, err,
                               "%s is an indirect function", fixed->name);
        r = refuse_copies(extraction, fixed, found.only, fixed->object, err);
        if (r < 0)
                return r;
        atom = add_atom(object, fixed->name, found.only);
        atom->twin = fixed;
        fixed->twin = atom;
        fixed->differs = true;
        fixed->why = "written by hand";
        return add_cold_part(extraction, object, atom, found.only, err);
}

int handmade_original(struct extraction *extraction, struct object *fixed, bool added,
                      struct object **ret, struct error *err)
{
        _cleanup_(object_freep) struct object *object = calloc(1, sizeof(*object));
        int r = 0;

        if (!object)
                return error_no_memory(err);
        object->path = fixed->path;
        object->unit = fixed->unit;
        object->handmade = true;
        object->atoms = calloc(2 * fixed->n_atoms + 1, sizeof(*object->atoms));
        if (!object->atoms)
                return error_no_memory(err);
        for (size_t i = 0; r == 0 && !added && i < fixed->n_atoms; i++) {
                struct atom *atom = &fixed->atoms[i];

                if (atom->kind == ATOM_CODE && atom->name && !atom->parent)
                        r = replace(extraction, object, atom, err);
        }
        if (r == 0)
                *ret = STEAL(object);
        return r;
}
