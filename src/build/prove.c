/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Equal places and sizes of all sections are asked for without exception, since addresses taken
 * from the rebuilt module are used in the shipped one. Bytes may differ where that does no harm: in
 * data (a date, a path), and in code if only the distance to something outside of the function
 * differs. Zydis tells which bytes of an instruction those are.
 */
#include "build/prove.h"

#include <Zydis/Zydis.h>
#include <stdio.h>
#include <string.h>
#include "base/array.h"

/* Programs with a fixed place are linked to 4 MiB by default; libraries and PIE to 0. */
enum { LOWEST_FIXED_PLACE = 0x10000 };

struct code_function {
        const char *name;
        uint64_t address, size;
};

struct comparison {
        const struct elf_view *shipped, *rebuilt;
        struct build_proof *proof;
        struct buffer differing;
        struct code_function *functions;
        size_t n_functions;
        uint64_t start, end;          /* of the module, as linked */
};

void build_proof_done(struct build_proof *proof)
{
        free(proof->differing);
        *proof = (struct build_proof){ 0 };
}

static bool is_compared(const struct elf_section *section)
{
        return (section->flags & SHF_ALLOC) && section->type != SHT_NULL &&
               strcmp(section->name, ".note.gnu.build-id") != 0;
}

static bool same_bytes(const struct elf_section *a, const struct elf_section *b)
{
        if (!a->data || !b->data)
                return !a->data && !b->data;
        return memcmp(a->data, b->data, a->size) == 0;
}

static int differ(struct error *err, const char *format, const char *name)
{
        error_set(err, EXIT_CODE_ERROR, 0,
                  "check that the version is that of the shipped file, and its architecture",
                  format, name);
        return PROVE_DIFFERENT;
}

/* The first difference is kept in err, all of them in the proof. */
static int compare_section(struct comparison *c, const struct elf_section *rebuilt,
                           struct error *err)
{
        struct elf_section shipped;
        bool equal;
        int r = 0;

        c->proof->n_sections++;
        if (!elf_view_find_section(c->shipped, rebuilt->name, &shipped) ||
            !(shipped.flags & SHF_ALLOC)) {
                r = differ(err, "the rebuilt module has a section %s, the shipped one has none",
                           rebuilt->name);
                equal = false;
        } else if (shipped.address != rebuilt->address || shipped.size != rebuilt->size ||
                   shipped.type != rebuilt->type) {
                r = differ(err, "section %s has another place or size in the shipped module",
                           rebuilt->name);
                equal = false;
        } else {
                equal = same_bytes(&shipped, rebuilt);
        }
        c->proof->n_sections_equal += equal;
        if (equal && strcmp(rebuilt->name, ".text") == 0)
                c->proof->text_equal = true;
        if (!equal && !buffer_printf(&c->differing, "%s%s", c->differing.size ? " " : "",
                                     rebuilt->name))
                return error_no_memory(err);
        return r;
}

static int compare_sections(struct comparison *c, struct error *err)
{
        struct elf_section section;
        size_t n_shipped = 0, n_rebuilt = 0;
        int result = 0, r;

        for (size_t i = 0; i < c->shipped->n_sections; i++)
                if (elf_view_section(c->shipped, i, &section) && is_compared(&section))
                        n_shipped++;
        for (size_t i = 0; i < c->rebuilt->n_sections; i++) {
                if (!elf_view_section(c->rebuilt, i, &section) || !is_compared(&section))
                        continue;
                n_rebuilt++;
                r = compare_section(c, &section, result == 0 ? err : NULL);
                if (r < 0)
                        return r;
                result = result ? result : r;
        }
        if (result == 0 && n_shipped != n_rebuilt)
                result = differ(err, "the shipped module has sections that the rebuilt one has "
                                     "not%s", "");
        return result;
}

static int by_address(const void *a, const void *b)
{
        const struct code_function *x = a, *y = b;

        if (x->address != y->address)
                return x->address < y->address ? -1 : 1;
        return x->size < y->size ? 1 : x->size > y->size ? -1 : 0; /* the longest first */
}

/* All functions of the rebuilt module, each address once. */
static int list_functions(struct comparison *c, struct error *err)
{
        struct elf_section table;
        struct elf_symbol symbol;
        size_t kept = 0;

        if (!elf_view_find_section_type(c->rebuilt, SHT_SYMTAB, &table))
                return error_set(err, EXIT_CODE_ERROR, 0,
                                 "the package strips by other means than dh_strip; it can't be "
                                 "built by this version", "the rebuilt module has no symbols");
        for (size_t i = 0; i < elf_view_symbol_count(&table); i++) {
                struct code_function *function;

                if (!elf_view_symbol(c->rebuilt, &table, i, &symbol) ||
                    (symbol.type != STT_FUNC && symbol.type != STT_GNU_IFUNC) ||
                    symbol.section == SHN_UNDEF || symbol.size == 0)
                        continue;
                function = ARRAY_PUSH(c->functions, c->n_functions);
                if (!function)
                        return error_no_memory(err);
                *function = (struct code_function){ symbol.name, symbol.value, symbol.size };
        }
        if (c->n_functions > 0)
                qsort(c->functions, c->n_functions, sizeof(c->functions[0]), by_address);
        for (size_t i = 0; i < c->n_functions; i++)
                if (kept == 0 || c->functions[kept - 1].address != c->functions[i].address)
                        c->functions[kept++] = c->functions[i];
        c->n_functions = kept;
        return 0;
}

static void module_bounds(struct comparison *c)
{
        Elf64_Phdr segment;

        c->start = UINT64_MAX;
        for (size_t i = 0; elf_view_segment(c->rebuilt, i, &segment); i++) {
                if (segment.p_type != PT_LOAD)
                        continue;
                c->start = MIN(c->start, segment.p_vaddr);
                c->end = MAX(c->end, segment.p_vaddr + segment.p_memsz);
        }
}

static bool leads_out(uint64_t target, uint64_t start, size_t size)
{
        return target < start || target >= start + size;
}

/* Where code and data of the module lie, and the function in question. */
struct bounds {
        uint64_t module_start, module_end;
        uint64_t function;
        size_t size;
};

/* What in an instruction names a place outside of the function. */
struct masks {
        bool displacement, immediate;
};

/*
 * The place that an operand names. Only a module with a fixed place (a program that is not
 * position-independent) names places by their number; in others a number is a number.
 */
static bool operand_place(const ZydisDecodedInstruction *instruction,
                          const ZydisDecodedOperand *operand, uint64_t address, bool fixed_place,
                          uint64_t *ret)
{
        bool relative = operand->type == ZYDIS_OPERAND_TYPE_MEMORY
                                ? operand->mem.base == ZYDIS_REGISTER_RIP
                                : operand->imm.is_relative;

        if (relative)
                return ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(instruction, operand, address, ret));
        *ret = operand->type == ZYDIS_OPERAND_TYPE_MEMORY ? (uint64_t)operand->mem.disp.value
                                                          : operand->imm.value.u;
        return fixed_place;
}

static struct masks find_masks(const ZydisDecodedInstruction *instruction,
                               const ZydisDecodedOperand *operands, uint64_t address,
                               const struct bounds *bounds)
{
        bool fixed_place = bounds->module_start >= LOWEST_FIXED_PLACE;
        struct masks masks = { 0 };
        uint64_t place;

        for (size_t i = 0; i < instruction->operand_count; i++) {
                bool memory = operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY;

                if ((!memory && operands[i].type != ZYDIS_OPERAND_TYPE_IMMEDIATE) ||
                    !operand_place(instruction, &operands[i], address, fixed_place, &place) ||
                    !leads_out(place, bounds->function, bounds->size) ||
                    place < bounds->module_start || place >= bounds->module_end)
                        continue;
                if (memory)
                        masks.displacement |= instruction->raw.disp.size == 32;
                else
                        masks.immediate |= instruction->raw.imm[0].size >= 32;
        }
        return masks;
}

static void clear_field(uint8_t *bytes, size_t offset, size_t bits)
{
        memset(bytes + offset, 0, bits / 8);
}

struct function_code {
        const uint8_t *bytes;
        uint64_t address;
};

static bool same_instruction(const ZydisDecoder *decoder, const struct function_code code[2],
                             size_t offset, struct bounds bounds, size_t *ret_length)
{
        ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
        ZydisDecodedInstruction instruction[2];
        struct masks masks[2];
        uint8_t bytes[2][ZYDIS_MAX_INSTRUCTION_LENGTH];

        for (size_t i = 0; i < 2; i++) {
                if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(decoder, code[i].bytes + offset,
                                                         bounds.size - offset, &instruction[i],
                                                         operands)))
                        return false;
                bounds.function = code[i].address;
                masks[i] = find_masks(&instruction[i], operands, code[i].address + offset, &bounds);
                memcpy(bytes[i], code[i].bytes + offset, instruction[i].length);
        }
        if (instruction[0].length != instruction[1].length)
                return false;
        for (size_t i = 0; i < 2; i++) {
                if (masks[0].displacement && masks[1].displacement)
                        clear_field(bytes[i], instruction[i].raw.disp.offset,
                                    instruction[i].raw.disp.size);
                if (masks[0].immediate && masks[1].immediate)
                        clear_field(bytes[i], instruction[i].raw.imm[0].offset,
                                    instruction[i].raw.imm[0].size);
        }
        *ret_length = instruction[0].length;
        return memcmp(bytes[0], bytes[1], instruction[0].length) == 0;
}

bool prove_function_equal(const uint8_t *a, const uint8_t *b, size_t size, uint64_t address_a,
                          uint64_t address_b, uint64_t module_start, uint64_t module_end)
{
        const struct function_code code[2] = { { a, address_a }, { b, address_b } };
        const struct bounds bounds = { module_start, module_end, address_a, size };
        ZydisDecoder decoder;
        size_t offset = 0, length = 0;

        if (address_a == address_b && memcmp(a, b, size) == 0)
                return true;
        if (!ZYAN_SUCCESS(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64,
                                           ZYDIS_STACK_WIDTH_64)))
                return false;
        while (offset < size) {
                if (!same_instruction(&decoder, code, offset, bounds, &length))
                        return false;
                offset += length;
        }
        return true;
}

/* A function that moved is looked for under its exported name. */
static uint64_t shipped_address(const struct comparison *c, const struct code_function *function)
{
        struct elf_section table;
        struct elf_symbol symbol;

        if (c->proof->text_equal || !elf_view_find_section_type(c->shipped, SHT_DYNSYM, &table))
                return function->address;
        for (size_t i = 0; i < elf_view_symbol_count(&table); i++)
                if (elf_view_symbol(c->shipped, &table, i, &symbol) &&
                    symbol.type == STT_FUNC && symbol.section != SHN_UNDEF &&
                    symbol.size == function->size && strcmp(symbol.name, function->name) == 0)
                        return symbol.value;
        return function->address;
}

static bool compare_function(const struct comparison *c, const struct code_function *function)
{
        uint64_t address = shipped_address(c, function);
        const uint8_t *shipped = elf_view_at_address(c->shipped, address, function->size);
        const uint8_t *rebuilt = elf_view_at_address(c->rebuilt, function->address, function->size);

        return shipped && rebuilt &&
               prove_function_equal(shipped, rebuilt, function->size, address, function->address,
                                    c->start, c->end);
}

static int compare_functions(struct comparison *c, struct error *err)
{
        int r = list_functions(c, err), result = 0;

        if (r < 0)
                return r;
        module_bounds(c);
        c->proof->n_functions = c->n_functions;
        for (size_t i = 0; i < c->n_functions; i++) {
                if (compare_function(c, &c->functions[i]))
                        c->proof->n_functions_equal++;
                else if (result == 0)
                        result = differ(err, "function %s is not equal in the shipped module",
                                        c->functions[i].name);
        }
        return result;
}

int prove_equal(const struct elf_view *shipped, const struct elf_view *rebuilt,
                struct build_proof *ret, struct error *err)
{
        struct build_proof proof = { 0 };
        struct comparison c = { .shipped = shipped, .rebuilt = rebuilt, .proof = &proof };
        int r, r_functions;

        r = compare_sections(&c, err);
        if (r >= 0) {
                r_functions = compare_functions(&c, r == 0 ? err : NULL);
                if (r_functions < 0 || r == 0)
                        r = r_functions;
        }
        free(c.functions);
        proof.differing = strdup(c.differing.data ? (char *)c.differing.data : "");
        buffer_done(&c.differing);
        if (!proof.differing)
                return error_no_memory(err);
        if (r < 0) {
                build_proof_done(&proof);
                return r;
        }
        *ret = proof;
        return r;
}
