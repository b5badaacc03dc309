/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The original object is not the one the module was linked from: with one section for each
 * function, a tail call to a neighbour has a field for the linker, where the assembler would
 * have chosen a short jump; and the linker turns accesses through the global offset table into
 * direct ones. So both codes are walked side by side, instruction by instruction, and a map from
 * offsets in one to offsets in the other tells at the end whether all branches within agree.
 */
#include "build/locate.h"

#include <string.h>
#include "base/array.h"

/* --- Code side by side ------------------------------------------------------------------- */

struct branch_pair {
        uint64_t a, b;           /* where it leads to, in each code */
};

struct walk {
        const struct atom *atom;
        const uint8_t *a, *b;    /* code of the atom and of the module */
        uint64_t a_size, b_size;
        uint64_t address;        /* of b in the module */
        uint64_t i, j;           /* where each is */
        size_t reference;        /* the next one */
        uint32_t *map;           /* from a to b, plus 1 */
        struct branch_pair *branches;
        size_t n_branches;
        void (*learn)(void *context, struct reference *reference, uint64_t address);
        void *context;
};

static bool is_padding_at(const uint8_t *code, uint64_t size, uint64_t at, uint64_t *ret_length)
{
        struct code_instruction instruction;

        if (size - at >= 2 && code[at] == 0x66 && code[at + 1] == 0x90) { /* xchg %ax, %ax */
                *ret_length = 2;
                return true;
        }
        if (!code_decode(code, size, at, &instruction) || !instruction.is_padding)
                return false;
        *ret_length = instruction.length;
        return true;
}

static uint64_t skip_padding(const uint8_t *code, uint64_t size, uint64_t at)
{
        uint64_t length;

        while (at < size && is_padding_at(code, size, at, &length))
                at += length;
        return at;
}

static struct reference *reference_in(const struct walk *walk, uint64_t end)
{
        struct reference *reference;

        if (walk->reference >= walk->atom->n_references)
                return NULL;
        reference = &walk->atom->references[walk->reference];
        return reference->offset < end ? reference : NULL;
}

static bool is_relaxable(uint32_t type)
{
        return type == R_X86_64_GOTPCRELX || type == R_X86_64_REX_GOTPCRELX ||
               type == R_X86_64_GOTPCREL || relocation_is_thread(type);
}

static int32_t read_i32(const uint8_t *from)
{
        int32_t value;

        memcpy(&value, from, sizeof(value));
        return value;
}

static void tell(const struct walk *walk, struct reference *reference, uint64_t value)
{
        if (walk->learn)
                walk->learn(walk->context, reference, value - (uint64_t)reference->delta);
}

/*
 * An access through the global offset table or to a thread-local variable: the linker may have put
 * other instructions of the same total length in its place.
 */
static bool pass_relaxable(struct walk *walk, uint64_t length)
{
        const struct reference *reference = reference_in(walk, walk->i + length);
        struct code_instruction call;

        if ((reference->type == R_X86_64_TLSGD || reference->type == R_X86_64_TLSLD) &&
            code_decode(walk->a, walk->a_size, walk->i + length, &call))
                length += call.length; /* __tls_get_addr belongs to it */
        while (reference_in(walk, walk->i + length))
                walk->reference++;
        walk->i += length;
        walk->j += length;
        return walk->j <= walk->b_size;
}

static bool pass_outer_branch(struct walk *walk, const struct code_instruction *a,
                              struct reference *reference)
{
        struct code_instruction b;

        if (!code_decode(walk->b, walk->b_size, walk->j, &b) || !b.is_branch ||
            b.mnemonic != a->mnemonic)
                return false;
        tell(walk, reference, walk->address + (uint64_t)b.target);
        walk->reference++;
        walk->i += a->length;
        walk->j += b.length;
        return true;
}

static bool pass_field(struct walk *walk, const struct code_instruction *a,
                       struct reference *reference)
{
        size_t size = relocation_size(reference->type);
        uint64_t field = reference->offset - walk->i;
        const uint8_t *x = walk->a + walk->i, *y = walk->b + walk->j;

        /* the sizes also catch a field of an earlier instruction: its distance is a huge number */
        if (walk->b_size - walk->j < a->length || field > a->length || field + size > a->length ||
            memcmp(x, y, field) != 0)
                return false;
        if (size == 4 && relocation_is_relative(reference->type))
                tell(walk, reference, walk->address + walk->j + field + reference->bias +
                                              (uint64_t)(int64_t)read_i32(y + field));
        else if (size == 4)
                tell(walk, reference, (uint64_t)(int64_t)read_i32(y + field));
        walk->reference++;
        for (uint64_t at = field + size; at < a->length; at++) {
                struct reference *next = reference_in(walk, walk->i + a->length);

                if (next && next->offset == walk->i + at) { /* an immediate behind it */
                        at += relocation_size(next->type) - 1;
                        walk->reference++;
                } else if (x[at] != y[at]) {
                        return false;
                }
        }
        walk->i += a->length;
        walk->j += a->length;
        return true;
}

static bool pass_inner_branch(struct walk *walk, const struct code_instruction *a)
{
        struct branch_pair *pair;
        struct code_instruction b;

        if (!code_decode(walk->b, walk->b_size, walk->j, &b) || !b.is_branch ||
            b.mnemonic != a->mnemonic || a->target < 0 || b.target < 0)
                return false;
        pair = ARRAY_PUSH(walk->branches, walk->n_branches);
        if (!pair)
                return false;
        *pair = (struct branch_pair){ (uint64_t)a->target, (uint64_t)b.target };
        walk->i += a->length;
        walk->j += b.length;
        return true;
}

static bool pass_instruction(struct walk *walk)
{
        struct code_instruction a;
        struct reference *reference;

        if (!code_decode(walk->a, walk->a_size, walk->i, &a))
                return false;
        reference = reference_in(walk, walk->i + a.length);
        if (reference && is_relaxable(reference->type))
                return pass_relaxable(walk, a.length);
        if (reference && reference->use == CODE_USE_BRANCH)
                return pass_outer_branch(walk, &a, reference);
        if (reference)
                return pass_field(walk, &a, reference);
        if (a.is_branch)
                return pass_inner_branch(walk, &a);
        if (walk->b_size - walk->j < a.length ||
            memcmp(walk->a + walk->i, walk->b + walk->j, a.length) != 0)
                return false;
        walk->i += a.length;
        walk->j += a.length;
        return true;
}

static bool branches_agree(const struct walk *walk)
{
        for (size_t i = 0; i < walk->n_branches; i++) {
                uint64_t a = skip_padding(walk->a, walk->a_size, walk->branches[i].a);
                uint64_t b = skip_padding(walk->b, walk->b_size, walk->branches[i].b);

                if (a > walk->a_size || b > walk->b_size)
                        return false;
                if (a == walk->a_size ? b != walk->b_size : walk->map[a] != b + 1)
                        return false;
        }
        return true;
}

static bool walk_all(struct walk *walk)
{
        while (walk->i < walk->a_size) {
                uint64_t i = walk->i;

                walk->i = skip_padding(walk->a, walk->a_size, walk->i);
                walk->j = skip_padding(walk->b, walk->b_size, walk->j);
                if (walk->i >= walk->a_size)
                        break;
                walk->map[walk->i] = walk->map[i] = (uint32_t)walk->j + 1;
                if (walk->j >= walk->b_size || !pass_instruction(walk))
                        return false;
        }
        walk->j = skip_padding(walk->b, walk->b_size, walk->j);
        return walk->j == walk->b_size && branches_agree(walk);
}

bool locate_code_equal(const struct atom *atom, const struct shipped *shipped, uint64_t address,
                       uint64_t size,
                       void (*learn)(void *context, struct reference *reference,
                                     uint64_t address),
                       void *context)
{
        struct walk walk = {
                .atom = atom, .a = atom_data(atom), .a_size = atom->size,
                .b = shipped_at(shipped, address, size), .b_size = size, .address = address,
                .learn = learn, .context = context,
        };
        bool equal;

        if (!walk.a || !walk.b || size == 0 || size > UINT32_MAX - 1)
                return false;
        walk.map = calloc(atom->size + 1, sizeof(*walk.map));
        equal = walk.map && walk_all(&walk);
        free(walk.map);
        free(walk.branches);
        return equal;
}

/* --- Candidates -------------------------------------------------------------------------- */

static const char *last_part(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

static bool fits_unit(const struct atom *atom, const struct shipped_symbol *symbol)
{
        return atom->global || !symbol->file || !atom->object->unit ||
               strcmp(last_part(symbol->file), last_part(atom->object->unit)) == 0;
}

static bool is_code_symbol(const struct shipped_symbol *symbol)
{
        return symbol->type == STT_FUNC || symbol->type == STT_GNU_IFUNC ||
               symbol->type == STT_NOTYPE;
}

struct choice {
        const struct shipped_symbol *symbol;
        size_t n;                /* of different addresses that would do */
        size_t n_named;          /* that have the name at all */
};

static void consider(struct choice *choice, const struct shipped_symbol *symbol)
{
        if (choice->symbol && choice->symbol->address == symbol->address)
                return;
        choice->symbol = symbol;
        choice->n++;
}

/* Candidates whose code is equal; if there are several, those of the right file. */
static struct choice choose_code(const struct atom *atom, const struct shipped *shipped)
{
        size_t n;
        const struct shipped_symbol *symbols = shipped_find(shipped, atom->name, &n);
        struct choice all = { 0 }, in_unit = { 0 };

        for (size_t i = 0; i < n; i++) {
                const struct shipped_symbol *symbol = &symbols[i];

                if (!is_code_symbol(symbol) || (!atom->global && symbol->bind != STB_LOCAL))
                        continue;
                all.n_named++;
                if (!locate_code_equal(atom, shipped, symbol->address, symbol->size, NULL, NULL))
                        continue;
                consider(&all, symbol);
                if (fits_unit(atom, symbol))
                        consider(&in_unit, symbol);
        }
        in_unit.n_named = all.n_named;
        return all.n > 1 && in_unit.n > 0 ? in_unit : all;
}

/* What the code says about the place of a static variable or function. */
static void learn_address(void *context, struct reference *reference, uint64_t address)
{
        struct atom *target = reference->target;

        (void)context;
        if (!target || target->global || target->kind == ATOM_NOTE || !target->name)
                return;
        if (reference->type == R_X86_64_64 || relocation_is_slot(reference->type))
                return;
        if (target->sought && (!target->found || target->address != address)) {
                target->found = false; /* two that should be one: not to be relied on */
                return;
        }
        target->sought = target->found = true;
        target->address = address;
}

static void settle(struct atom *atom, const struct shipped_symbol *symbol,
                   const struct shipped *shipped)
{
        atom->sought = atom->found = true;
        atom->address = symbol->address;
        atom->shipped_size = symbol->size;
        locate_code_equal(atom, shipped, symbol->address, symbol->size, learn_address, NULL);
}

static void locate_functions(struct object *object, const struct shipped *shipped)
{
        for (size_t i = 0; i < object->n_atoms; i++) {
                struct atom *atom = &object->atoms[i];
                struct choice choice;

                if (atom->kind != ATOM_CODE || !atom->name)
                        continue;
                choice = choose_code(atom, shipped);
                if (choice.n == 1)
                        settle(atom, choice.symbol, shipped);
        }
}

/* Static functions of which there are several: the one that known functions call. */
static void settle_learnt_functions(struct object *object, const struct shipped *shipped)
{
        for (size_t i = 0; i < object->n_atoms; i++) {
                struct atom *atom = &object->atoms[i];
                const struct shipped_symbol *symbols;
                size_t n;

                if (atom->kind != ATOM_CODE || !atom->name || !atom->found ||
                    atom->shipped_size != 0)
                        continue;
                atom->found = false;
                symbols = shipped_find(shipped, atom->name, &n);
                for (size_t j = 0; j < n && !atom->found; j++)
                        if (symbols[j].address == atom->address && is_code_symbol(&symbols[j]) &&
                            locate_code_equal(atom, shipped, symbols[j].address, symbols[j].size,
                                              NULL, NULL))
                                settle(atom, &symbols[j], shipped);
        }
}

static bool constant_equal(const struct atom *atom, const struct shipped *shipped,
                           uint64_t address)
{
        const uint8_t *a = atom_data(atom), *b = shipped_at(shipped, address, atom->size);
        uint64_t at = 0;

        if (!a || !b)
                return false;
        for (size_t i = 0; i < atom->n_references; i++) {
                uint64_t from = MIN(atom->references[i].offset, atom->size);

                if (from > at && memcmp(a + at, b + at, from - at) != 0)
                        return false;
                at = MAX(at, from + relocation_size(atom->references[i].type));
        }
        return at >= atom->size || memcmp(a + at, b + at, atom->size - at) == 0;
}

static bool may_be_variable(const struct atom *atom, const struct shipped_symbol *symbol,
                            const struct shipped *shipped)
{
        if (symbol->type != STT_OBJECT && symbol->type != STT_NOTYPE)
                return false;
        if (!atom->global && symbol->bind != STB_LOCAL)
                return false;
        return atom->kind != ATOM_CONSTANT || constant_equal(atom, shipped, symbol->address);
}

/* One of another file is not it, even where it is the only one: the unit's own may be left out. */
static struct choice choose_variable(const struct atom *atom, const struct shipped *shipped)
{
        size_t n;
        const struct shipped_symbol *symbols = shipped_find(shipped, atom->name, &n);
        struct choice choice = { 0 };

        for (size_t i = 0; i < n; i++)
                if (fits_unit(atom, &symbols[i]) && may_be_variable(atom, &symbols[i], shipped))
                        consider(&choice, &symbols[i]);
        return choice;
}

static void locate_variables(struct object *object, const struct shipped *shipped)
{
        for (size_t i = 0; i < object->n_atoms; i++) {
                struct atom *atom = &object->atoms[i];
                struct choice choice;

                if (atom->kind == ATOM_CODE || atom->kind == ATOM_THREAD || !atom->name ||
                    atom->sought)
                        continue;
                atom->sought = true;
                choice = choose_variable(atom, shipped);
                if (choice.n != 1)
                        continue;
                atom->found = true;
                atom->address = choice.symbol->address;
                atom->shipped_size = choice.symbol->size;
        }
}

int locate_object(struct object *object, const struct shipped *shipped, struct error *err)
{
        (void)err;
        locate_functions(object, shipped);
        settle_learnt_functions(object, shipped);
        locate_variables(object, shipped);
        return 0;
}

int locate_outcome(const struct atom *atom, const struct shipped *shipped)
{
        struct choice choice;

        if (atom->found)
                return 0;
        choice = choose_code(atom, shipped);
        if (choice.n_named == 0)
                return shipped->only_dynamic ? LOCATE_DIFFERENT : LOCATE_ABSENT;
        return choice.n > 1 ? LOCATE_AMBIGUOUS : LOCATE_DIFFERENT;
}

bool locate_by_name(const struct atom *atom, const struct shipped *shipped, uint64_t *ret)
{
        size_t n;
        const struct shipped_symbol *symbols = shipped_find(shipped, atom->name, &n);
        struct choice choice = { 0 };

        for (size_t i = 0; i < n; i++)
                if (symbols[i].type == STT_FUNC && fits_unit(atom, &symbols[i]))
                        consider(&choice, &symbols[i]);
        if (choice.n == 1)
                *ret = choice.symbol->address;
        return choice.n == 1;
}
