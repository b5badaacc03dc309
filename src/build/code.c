/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One instruction at a time, reduced to what the builder needs. Compiled C has no data between
 * instructions, so walking from a function's start meets every instruction; what can't be decoded
 * is taken as a single byte, so that every walk comes to its end.
 */
#include "build/code.h"

#include <string.h>
#include <Zydis/Zydis.h>
#include "base/cleanup.h"

enum { JUMP_SIZE = 5 };

static bool is_nop(ZydisMnemonic mnemonic)
{
        return mnemonic == ZYDIS_MNEMONIC_NOP || mnemonic == ZYDIS_MNEMONIC_INT3;
}

static void describe(const ZydisDecodedInstruction *decoded, struct code_instruction *ret)
{
        const bool relative = decoded->raw.imm[0].size > 0 && decoded->raw.imm[0].is_relative;

        ret->valid = true;
        ret->length = decoded->length;
        ret->mnemonic = (uint16_t)decoded->mnemonic;
        ret->is_branch = relative;
        ret->is_call = decoded->mnemonic == ZYDIS_MNEMONIC_CALL;
        ret->is_conditional = decoded->meta.category == ZYDIS_CATEGORY_COND_BR;
        ret->is_return = decoded->meta.category == ZYDIS_CATEGORY_RET;
        ret->is_padding = is_nop(decoded->mnemonic);
        ret->loads_address = decoded->mnemonic == ZYDIS_MNEMONIC_LEA;
        ret->ends_flow = ret->is_return || decoded->mnemonic == ZYDIS_MNEMONIC_JMP ||
                         decoded->mnemonic == ZYDIS_MNEMONIC_UD2 ||
                         decoded->mnemonic == ZYDIS_MNEMONIC_HLT;
        if (relative)
                ret->target = (int64_t)ret->offset + decoded->length +
                              decoded->raw.imm[0].value.s;
        ret->displacement_at = decoded->raw.disp.offset;
        ret->displacement_size = (uint8_t)(decoded->raw.disp.size / 8);
        ret->immediate_at = decoded->raw.imm[0].offset;
        ret->immediate_size = (uint8_t)(decoded->raw.imm[0].size / 8);
        /* mod 0, rm 5: relative to rip (Intel SDM 2.2.1.6) */
        ret->displacement_relative = ret->displacement_size == 4 && decoded->raw.modrm.mod == 0 &&
                                     decoded->raw.modrm.rm == 5;
}

bool code_decode(const uint8_t *code, size_t size, uint64_t offset, struct code_instruction *ret)
{
        ZydisDecodedInstruction decoded;
        ZydisDecoderContext context;
        ZydisDecoder decoder;

        if (offset >= size)
                return false;
        *ret = (struct code_instruction){ .offset = offset, .length = 1 };
        if (ZYAN_SUCCESS(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64,
                                          ZYDIS_STACK_WIDTH_64)) &&
            ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, &context, code + offset,
                                                       size - offset, &decoded)))
                describe(&decoded, ret);
        return true;
}

size_t code_access_size(const uint8_t *code, size_t size, uint64_t offset)
{
        ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
        ZydisDecodedInstruction decoded;
        ZydisDecoder decoder;

        if (offset >= size ||
            !ZYAN_SUCCESS(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64,
                                           ZYDIS_STACK_WIDTH_64)) ||
            !ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code + offset, size - offset, &decoded,
                                                 operands)))
                return 0;
        for (size_t i = 0; i < decoded.operand_count_visible; i++) {
                const ZydisDecodedOperand *operand = &operands[i];

                if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY &&
                    operand->mem.type == ZYDIS_MEMOP_TYPE_MEM &&
                    operand->mem.index == ZYDIS_REGISTER_NONE &&
                    (operand->mem.base == ZYDIS_REGISTER_NONE ||
                     operand->mem.base == ZYDIS_REGISTER_RIP))
                        return operand->size / 8;
        }
        return 0;
}

enum code_use code_field_use(const struct code_instruction *instruction, uint8_t field)
{
        if (instruction->is_branch && field == instruction->immediate_at)
                return CODE_USE_BRANCH;
        if (instruction->displacement_size > 0 && field == instruction->displacement_at)
                return instruction->loads_address ? CODE_USE_ADDRESS : CODE_USE_MEMORY;
        return CODE_USE_ADDRESS;
}

static int64_t read_number(const uint8_t *from, size_t size)
{
        int64_t value = 0;

        memcpy(&value, from, MIN(size, sizeof(value)));
        if (size == 1)
                return (int8_t)value;
        if (size == 2)
                return (int16_t)value;
        return size == 4 ? (int32_t)value : value;
}

size_t code_numbers(const uint8_t *code, size_t size, const struct code_instruction *instruction,
                    int64_t ret[static 2])
{
        size_t n = 0;

        if (!instruction->valid || instruction->offset + instruction->length > size)
                return 0;
        code += instruction->offset;
        if (instruction->displacement_size > 0 && !instruction->displacement_relative)
                ret[n++] = read_number(code + instruction->displacement_at,
                                       instruction->displacement_size);
        if (instruction->immediate_size > 0 && !instruction->is_branch)
                ret[n++] = read_number(code + instruction->immediate_at,
                                       instruction->immediate_size);
        return n;
}

bool code_is_padding(const uint8_t *code, size_t size, size_t needed)
{
        struct code_instruction instruction;
        uint64_t at;

        for (at = 0; at < needed && code_decode(code, size, at, &instruction);
             at += instruction.length)
                if (!instruction.is_padding)
                        return false;
        return at >= needed;
}

size_t code_jump_needs(const uint8_t *code, size_t size)
{
        static const uint8_t endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };

        if (size >= sizeof(endbr64) && memcmp(code, endbr64, sizeof(endbr64)) == 0)
                return sizeof(endbr64) + JUMP_SIZE;
        return JUMP_SIZE;
}

/* Where the instructions end that a jump takes the place of; 0 if they can't be moved. */
static uint64_t displaced_end(const uint8_t *code, size_t size, uint64_t start, uint64_t end)
{
        struct code_instruction instruction;
        uint64_t at = start;

        while (at < end && code_decode(code, size, at, &instruction)) {
                bool short_only = instruction.mnemonic == ZYDIS_MNEMONIC_LOOP ||
                                  instruction.mnemonic == ZYDIS_MNEMONIC_LOOPE ||
                                  instruction.mnemonic == ZYDIS_MNEMONIC_LOOPNE ||
                                  instruction.mnemonic == ZYDIS_MNEMONIC_JRCXZ ||
                                  instruction.mnemonic == ZYDIS_MNEMONIC_JECXZ ||
                                  instruction.mnemonic == ZYDIS_MNEMONIC_XBEGIN;

                if (!instruction.valid || short_only)
                        return 0;
                at += instruction.length;
        }
        return MAX(at, end);
}

bool code_entry_movable(const uint8_t *code, size_t size)
{
        uint64_t needed = code_jump_needs(code, size), start = needed - JUMP_SIZE;
        uint64_t end = displaced_end(code, size, start, needed);
        struct code_instruction instruction;

        if (end == 0)
                return false;
        for (uint64_t at = 0; code_decode(code, size, at, &instruction); at += instruction.length)
                if (!instruction.valid ||
                    (instruction.is_branch && instruction.target > (int64_t)start &&
                     instruction.target < (int64_t)end))
                        return false;
        return true;
}

bool code_never_returns(const uint8_t *code, size_t size)
{
        struct code_instruction instruction;
        bool loops = false;

        for (uint64_t at = 0; code_decode(code, size, at, &instruction); at += instruction.length) {
                bool leaves = instruction.is_branch && (instruction.target < 0 ||
                                                        instruction.target >= (int64_t)size);

                if (!instruction.valid || instruction.is_return)
                        return false;
                /* a tail call returns for it; so may a jump by register or to the cold part */
                if (instruction.ends_flow && instruction.mnemonic == ZYDIS_MNEMONIC_JMP &&
                    (leaves || !instruction.is_branch))
                        return false;
                if (instruction.is_conditional && leaves)
                        return false;
                if (instruction.is_branch && !instruction.is_call && !leaves &&
                    instruction.target <= (int64_t)at)
                        loops = true;
        }
        return loops;
}
