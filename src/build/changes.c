/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * First every object by itself: match, compare, find in the module. Then what differs is
 * judged: code is replaced if its original is there exactly once and has room for a jump; data that
 * exist already can't change; the declarations of suture/patch.h are taken.
 */
#include "build/changes.h"

#include <stdio.h>
#include <string.h>
#include "base/array.h"
#include "base/cursor.h"
#include "build/compare.h"
#include "build/locate.h"
#include "build/match.h"
#include "build/users.h"

const char *changes_where(const struct atom *atom, char buffer[static CHANGES_WHERE_SIZE])
{
        snprintf(buffer, CHANGES_WHERE_SIZE, "%s: %s",
                 atom->object->unit ? atom->object->unit : atom->object->path, atom_label(atom));
        return buffer;
}

#define FINDING(extraction, code, fatal, atom, err, ...)                                      \
        (report_finding((extraction)->report, code, fatal,                                    \
                        changes_where(atom, (char[CHANGES_WHERE_SIZE]){ 0 }), __VA_ARGS__)    \
                 ? 0                                                                          \
                 : error_no_memory(err))

/* --- Data -------------------------------------------------------------------------------- */

/* A constant with a global name: every user must be in this unit, where those that see it change. */
static int judge_global_constant(struct extraction *extraction, const struct atom *atom,
                                 struct error *err)
{
        const struct shipped_dynamic *dynamic =
                shipped_find_dynamic(extraction->shipped, atom->name);
        const char *user = NULL;

        if (atom->found && !(dynamic && dynamic->defined)) {
                user = users_find_outside(extraction, atom->object, atom->address,
                                          MAX(atom->size, UINT64_C(1)), true);
                if (!user)
                        return 0;
        }
        return FINDING(extraction, "SB113", true, atom, err, "the constant %s changed, and %s%s",
                       atom_label(atom), user ? user : "",
                       user           ? " uses it as well"
                       : !atom->found ? "it is not known who uses it"
                                      : "other modules may use it");
}

/* The value of a small variable; false if it isn't one. */
static bool initial_value(const struct atom *atom, int64_t *ret)
{
        const uint8_t *data = atom_data(atom);

        if (atom->n_references > 0 || atom->size > 8 || (atom->size & (atom->size - 1)) != 0 ||
            (!data && atom->kind != ATOM_BSS))
                return false;
        *ret = 0;
        if (data)
                memcpy(ret, data, atom->size);
        return true;
}

static int judge_initialiser(struct extraction *extraction, const struct atom *atom,
                             struct error *err)
{
        const char *name = atom_label(atom);
        int64_t before, after;

        if (atom->size != atom->twin->size)
                return FINDING(extraction, "SB112", true, atom, err,
                               "the size of the variable %s changed from %llu to %llu bytes; if "
                               "what it holds need not be kept, give it another name in the patch",
                               name, (unsigned long long)atom->size,
                               (unsigned long long)atom->twin->size);
        if (initial_value(atom, &before) && initial_value(atom->twin, &after))
                return FINDING(extraction, "SB112", true, atom, err,
                               "the static initialiser of %s changed from %lld to %lld; to set it "
                               "in a running process, write a hook: static int set(void) { %s = "
                               "%lld; return 0; } SUTURE_PRE(set)",
                               name, (long long)before, (long long)after, name, (long long)after);
        return FINDING(extraction, "SB112", true, atom, err,
                       "the static initialiser of %s changed", name);
}

static int judge_data(struct extraction *extraction, const struct atom *atom, struct error *err)
{
        const struct atom *twin = atom->twin;

        if (!twin || !atom->differs)
                return 0;
        if (atom->kind == ATOM_THREAD)
                return FINDING(extraction, "SB102", true, atom, err,
                               "the thread-local variable %s changed", atom_label(atom));
        if (atom->kind == ATOM_CONSTANT && twin->kind == ATOM_CONSTANT)
                return atom->global ? judge_global_constant(extraction, atom, err) : 0;
        return judge_initialiser(extraction, atom, err);
}

/* A name that the fixed library would give to others. */
static int judge_new_name(struct extraction *extraction, const struct object *original,
                          const struct atom *atom, struct error *err)
{
        bool exported = atom->name && atom->global && !atom->hidden && atom->kind != ATOM_NOTE &&
                        !extraction->shipped->is_program && !original->handmade;

        if (!exported || atom->twin)
                return 0;
        return FINDING(extraction, "SB131", false, atom, err,
                       "%s is new; other modules don't see it", atom_label(atom));
}

static bool is_variable(const struct atom *atom)
{
        return atom->name && (atom->kind == ATOM_DATA || atom->kind == ATOM_BSS);
}

/* Sections whose name is one of C are those that the linker bounds with symbols. */
static bool is_in_linker_table(const struct atom *atom)
{
        const char *name = atom->section ? atom->section->name : ".";

        return atom->name && (atom->kind == ATOM_DATA || atom->kind == ATOM_CONSTANT) &&
               name[0] != '.';
}

static bool has_gone_namesake(const struct object *original, const struct atom *fresh)
{
        for (size_t i = 0; i < original->n_atoms; i++) {
                const struct atom *atom = &original->atoms[i];

                if (is_variable(atom) && !atom->twin && atom->size == fresh->size &&
                    atom->kind == fresh->kind && strcmp(atom->base, fresh->base) != 0)
                        return true;
        }
        return false;
}

static int judge_new_data(struct extraction *extraction, const struct object *original,
                          const struct atom *atom, struct error *err)
{
        if (atom->twin || !atom->name)
                return 0;
        if (atom->kind == ATOM_THREAD)
                return FINDING(extraction, "SB102", true, atom, err,
                               "the thread-local variable %s is new", atom_label(atom));
        if (is_in_linker_table(atom))
                return FINDING(extraction, "SB129", false, atom, err,
                               "%s is new in section %s", atom_label(atom), atom->section->name);
        if (is_variable(atom) && has_gone_namesake(original, atom))
                return FINDING(extraction, "SB128", false, atom, err,
                               "%s is new, and another variable of its size is gone",
                               atom_label(atom));
        return 0;
}

static int judge_all_data(struct extraction *extraction, const struct object *original,
                          const struct object *fixed, struct error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < original->n_atoms; i++) {
                const struct atom *atom = &original->atoms[i];

                if (atom->kind != ATOM_CODE && atom->kind != ATOM_SETUP && atom->kind != ATOM_NOTE)
                        r = judge_data(extraction, atom, err);
        }
        for (size_t i = 0; r == 0 && i < fixed->n_atoms; i++) {
                r = judge_new_data(extraction, original, &fixed->atoms[i], err);
                if (r == 0)
                        r = judge_new_name(extraction, original, &fixed->atoms[i], err);
        }
        return r;
}

/* Constructors: pointers to functions in .init_array. */
static int judge_setup(struct extraction *extraction, const struct object *fixed,
                       struct error *err)
{
        int r = 0;

        for (size_t i = 0; i < fixed->n_atoms; i++) {
                const struct atom *atom = &fixed->atoms[i];

                for (size_t j = 0; r == 0 && atom->kind == ATOM_SETUP && j < atom->n_references;
                     j++) {
                        const struct atom *target = atom->references[j].target;

                        if (!target || target->kind != ATOM_CODE ||
                            (target->twin && !target->differs))
                                continue;
                        r = FINDING(extraction, "SB119", false, target, err,
                                    "%s runs when the module is loaded, and does not run again",
                                    atom_label(target));
                }
        }
        return r;
}

/* --- Code -------------------------------------------------------------------------------- */

/* 1 if the original can't be replaced and that is told, 2 if it isn't in the module. */
static int judge_place(struct extraction *extraction, const struct atom *original,
                       struct error *err)
{
        int r;

        switch (locate_outcome(original, extraction->shipped)) {
        case 0:
                return 0;
        case LOCATE_ABSENT:
                r = FINDING(extraction, "SB126", false, original, err,
                            "%s changed, but is not in the shipped module by itself",
                            atom_label(original));
                return r < 0 ? r : 2;
        case LOCATE_AMBIGUOUS:
                r = FINDING(extraction, "SB107", true, original, err,
                            "the shipped module has several equal functions named %s",
                            atom_label(original));
                break;
        default:
                r = FINDING(extraction, "SB106", true, original, err,
                            "the code of %s in the shipped module is not what the original "
                            "source compiles to", atom_label(original));
        }
        return r < 0 ? r : 1;
}

static bool has_room(const struct shipped *shipped, const struct atom *original,
                     const uint8_t *code)
{
        uint64_t size = original->shipped_size, end = original->address + size, room;
        uint64_t needed = code_jump_needs(code, size);
        const uint8_t *padding;

        if (needed <= size)
                return true;
        room = MIN(shipped_next_code(shipped, end), ROUND_UP(end, UINT64_C(16))) - end;
        padding = shipped_at(shipped, end, room);
        return room >= needed - size && padding && code_is_padding(padding, room, needed - size);
}

/* Rules that look at the shipped code; 1 if one of them refuses. */
static int judge_shipped_code(struct extraction *extraction, const struct atom *original,
                              enum patch_consistency consistency, struct error *err)
{
        const uint8_t *code = shipped_at(extraction->shipped, original->address,
                                         original->shipped_size);
        bool is_main = strcmp(atom_label(original), "main") == 0 &&
                       extraction->shipped->is_program;
        int r = 0;

        if (!code)
                return error_set(err, EXIT_CODE_ERROR, 0, NULL,
                                 "the code of %s is not in the file", atom_label(original));
        if (!has_room(extraction->shipped, original, code))
                r = FINDING(extraction, "SB116", true, original, err,
                            "%s has %llu bytes, too short for a jump, and no room behind it",
                            atom_label(original), (unsigned long long)original->shipped_size);
        else if (is_main)
                return FINDING(extraction, "SB132", false, original, err,
                               "main is replaced, so only processes that start later take the "
                               "patch");
        else if (consistency == PATCH_STRICT && code_never_returns(code, original->shipped_size))
                r = FINDING(extraction, "SB117", true, original, err,
                            "%s has no way back to its caller", atom_label(original));
        else
                return 0;
        return r < 0 ? r : 1;
}

/* Rules that look at the new code; 1 if one of them refuses. */
static int judge_new_code(struct extraction *extraction, const struct atom *fixed,
                          struct error *err)
{
        int r;

        if (fixed->tied)
                r = FINDING(extraction, "SB109", true, fixed, err,
                            "%s changed and has no section of its own", atom_label(fixed));
        else if (fixed->indirect)
                r = FINDING(extraction, "SB111", true, fixed, err,
                            "the resolver of the indirect function %s changed", atom_label(fixed));
        else
                return 0;
        return r < 0 ? r : 1;
}

/* The names that SUTURE_ENTRY has noted, each ended by NUL. */
static bool next_entry_name(const struct object *fixed, uint64_t *at, const char **ret)
{
        struct elf_section section;

        if (!elf_view_find_section(&fixed->view, ".suture.entry", &section) || !section.data)
                return false;
        *ret = bounded_string(section.data, section.size, *at);
        if (*ret)
                *at += strlen(*ret) + 1;
        return *ret;
}

/* `name` as it is in the source: the atom may be a clone of it. */
static bool has_source_name(const struct atom *atom, const char *name)
{
        size_t length = strlen(name);

        return atom->kind == ATOM_CODE && atom->name && !atom->parent &&
               strncmp(atom->name, name, length) == 0 &&
               (atom->name[length] == '\0' || atom->name[length] == '.');
}

static bool is_declared_entry(const struct atom *fixed)
{
        const char *name;
        uint64_t at = 0;

        while (next_entry_name(fixed->object, &at, &name))
                if (has_source_name(fixed, name))
                        return true;
        return false;
}

static int judge_code(struct extraction *extraction, struct atom *original, struct error *err)
{
        struct atom *fixed = original->twin;
        enum patch_consistency consistency =
                is_declared_entry(fixed) ? PATCH_ENTRY : PATCH_STRICT;
        struct replaced *replaced;
        int r = judge_new_code(extraction, fixed, err);

        if (r == 0)
                r = judge_place(extraction, original, err);
        if (r == 0)
                r = judge_shipped_code(extraction, original, consistency, err);
        if (r != 0)
                return r < 0 ? r : 0;
        replaced = ARRAY_PUSH(extraction->replaced, extraction->n_replaced);
        if (!replaced)
                return error_no_memory(err);
        *replaced = (struct replaced){ original, fixed, consistency };
        if (!fixed->why)
                fixed->why = compare_reason(original, fixed);
        return 0;
}

static int judge_all_code(struct extraction *extraction, struct object *original,
                          struct error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < original->n_atoms; i++) {
                struct atom *atom = &original->atoms[i];

                if (atom->kind != ATOM_CODE || atom->parent || !atom->name)
                        continue;
                if (atom->twin && atom->differs)
                        r = judge_code(extraction, atom, err);
                else if (!atom->twin && !atom->numbered)
                        r = FINDING(extraction, "SB104", false, atom, err,
                                    "%s is gone in the fixed source", atom_label(atom));
        }
        return r;
}

/* Code without a name that differs belongs to assembly without function sections. */
static bool has_equal_section(const struct object *original, const struct elf_section *wanted)
{
        struct elf_section section;

        return elf_view_find_section(&original->view, wanted->name, &section) && section.data &&
               section.size == wanted->size &&
               memcmp(section.data, wanted->data, wanted->size) == 0;
}

static int judge_unnamed_code(struct extraction *extraction, const struct object *original,
                              const struct object *fixed, struct error *err)
{
        for (size_t i = 0; i < fixed->n_atoms; i++) {
                const struct atom *atom = &fixed->atoms[i];

                if (atom->kind == ATOM_CODE && !atom->name && atom->size > 0 &&
                    !original->handmade &&
                    !has_equal_section(original, atom->section) &&
                    !code_is_padding(atom_data(atom), atom->size, atom->size))
                        return FINDING(extraction, "SB109", true, atom, err,
                                       "there is code without a name in section %s",
                                       atom->section->name);
        }
        return 0;
}

/* --- Declarations ------------------------------------------------------------------------ */

static int take_hook(struct extraction *extraction, const struct atom *note, size_t hook,
                     struct error *err)
{
        for (size_t i = 0; i < note->n_references; i++) {
                struct atom *target = note->references[i].target;

                if (!target || target->kind != ATOM_CODE || note->references[i].delta != 0 ||
                    extraction->hooks[hook] || (target->twin && target->twin->found))
                        return FINDING(extraction, "SB120", true, target ? target : note, err,
                                       "%s can't be used: it must name one new function of this "
                                       "unit, once for a module", note->section->name);
                extraction->hooks[hook] = target;
        }
        return 0;
}

static int judge_entry(struct extraction *extraction, const struct object *fixed,
                       const char *name, struct error *err)
{
        bool exists = false, changes = false;

        for (size_t i = 0; i < fixed->n_atoms; i++) {
                const struct atom *atom = &fixed->atoms[i];

                if (!has_source_name(atom, name) || !atom->twin)
                        continue;
                exists = true;
                changes = changes || atom->differs;
        }
        if (changes)
                return 0;
        return report_finding(extraction->report, "SB120", !exists, fixed->unit,
                              "SUTURE_ENTRY names %s, which %s", name,
                              exists ? "does not change" : "is no function of both sources")
                       ? 0
                       : error_no_memory(err);
}

static int take_declarations(struct extraction *extraction, const struct object *fixed,
                             struct error *err)
{
        static const char *const hooks[N_HOOKS] = {
                ".suture.hook.pre", ".suture.hook.post", ".suture.hook.undo",
        };
        const char *name;
        uint64_t at = 0;
        int r = 0;

        while (r == 0 && next_entry_name(fixed, &at, &name))
                r = judge_entry(extraction, fixed, name, err);
        for (size_t i = 0; r == 0 && i < fixed->n_atoms; i++) {
                const struct atom *atom = &fixed->atoms[i];

                if (atom->kind != ATOM_NOTE)
                        continue;
                for (size_t h = 0; r == 0 && h < N_HOOKS; h++)
                        if (strcmp(atom->section->name, hooks[h]) == 0)
                                r = take_hook(extraction, atom, h, err);
        }
        return r;
}

/* --- Altogether -------------------------------------------------------------------------- */

static int judge_unit(struct extraction *extraction, size_t unit, struct error *err)
{
        struct object *original = extraction->originals[unit], *fixed = extraction->fixed[unit];
        int r;

        if (original->link_time || fixed->link_time)
                return report_finding(extraction->report, "SB122", true, fixed->unit,
                                      "the object was compiled for link-time optimisation")
                               ? 0
                               : error_no_memory(err);
        r = original->handmade ? 0 : match_objects(original, fixed, err);
        if (r == 0 && !original->handmade)
                r = compare_objects(original, fixed, err);
        if (r == 0 && !original->handmade)
                r = locate_object(original, extraction->shipped, err);
        if (r == 0)
                r = judge_all_data(extraction, original, fixed, err);
        if (r == 0)
                r = judge_all_code(extraction, original, err);
        if (r == 0)
                r = judge_unnamed_code(extraction, original, fixed, err);
        if (r == 0)
                r = judge_setup(extraction, fixed, err);
        if (r == 0)
                r = take_declarations(extraction, fixed, err);
        return r;
}

/* Several functions are switched together, and then their beginnings are moved. */
static int judge_together(struct extraction *extraction, struct error *err)
{
        size_t n = extraction->n_replaced > 1 ? extraction->n_replaced : 0;
        int r = 0;

        for (size_t i = 0; r == 0 && i < n; i++) {
                const struct atom *original = extraction->replaced[i].original;
                const uint8_t *code = shipped_at(extraction->shipped, original->address,
                                                 original->shipped_size);

                if (!code_entry_movable(code, original->shipped_size))
                        r = FINDING(extraction, "SB127", true, original, err,
                                    "%s is not the only changed function, and its first "
                                    "instructions can't be moved", atom_label(original));
        }
        if (r == 0 && extraction->n_replaced > PATCH_MAX_FUNCTIONS &&
            !report_finding(extraction->report, "SB121", true, extraction->shipped->module,
                            "%zu functions differ; a patch can replace %d",
                            extraction->n_replaced, PATCH_MAX_FUNCTIONS))
                r = error_no_memory(err);
        return r;
}

int changes_find(struct extraction *extraction, struct error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < extraction->n_units; i++)
                r = judge_unit(extraction, i, err);
        return r < 0 ? r : judge_together(extraction, err);
}
