/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Jumps, and moving a function's first instructions out of their way. Zydis tells instruction
 * boundaries and which fields depend on the position; here they are written anew for another
 * place. What can't be moved with certainty is refused.
 */
#include "live/arch/arch.h"

#include <Zydis/Zydis.h>
#include <string.h>

#define JUMP_OPCODE 0xe9
#define CALL_OPCODE 0xe8
#define FUNCTION_ALIGNMENT 16

static bool displacement(uint64_t next, uint64_t to, int32_t *ret)
{
        int64_t distance = (int64_t)(to - next);

        *ret = (int32_t)distance;
        return distance == *ret;
}

bool arch_jump(uint64_t from, uint64_t to, uint8_t ret[static ARCH_JUMP_SIZE])
{
        int32_t distance;

        if (!displacement(from + ARCH_JUMP_SIZE, to, &distance))
                return false;
        ret[0] = JUMP_OPCODE;
        memcpy(ret + 1, &distance, sizeof(distance));
        return true;
}

bool arch_jump_target(const uint8_t code[static ARCH_JUMP_SIZE], uint64_t from, uint64_t *ret_to)
{
        int32_t distance;

        if (code[0] != JUMP_OPCODE)
                return false;
        memcpy(&distance, code + 1, sizeof(distance));
        *ret_to = from + ARCH_JUMP_SIZE + (uint64_t)(int64_t)distance;
        return true;
}

size_t arch_entry_skip(const uint8_t *code, size_t size)
{
        static const uint8_t endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };

        return size >= sizeof(endbr64) && memcmp(code, endbr64, sizeof(endbr64)) == 0
                       ? sizeof(endbr64)
                       : 0;
}

bool arch_slot_stub(uint64_t place, uint64_t slot, uint8_t ret[static ARCH_STUB_SIZE])
{
        int32_t distance;

        if (!displacement(place + 6, slot, &distance))
                return false;
        ret[0] = 0xff; /* jmp *distance(%rip) */
        ret[1] = 0x25;
        memcpy(ret + 2, &distance, sizeof(distance));
        ret[6] = ret[7] = 0xcc;
        return true;
}

struct instruction {
        ZydisDecodedInstruction decoded;
        ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

static bool decode(const uint8_t *code, size_t size, struct instruction *ret)
{
        ZydisDecoder decoder;

        return ZYAN_SUCCESS(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64,
                                             ZYDIS_STACK_WIDTH_64)) &&
               ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code, size, &ret->decoded,
                                                   ret->operands));
}

/* The branch target of a relative jump or call. */
static bool branch_target(const struct instruction *instruction, uint64_t at, uint64_t *ret)
{
        if (!instruction->decoded.raw.imm[0].is_relative)
                return false;
        *ret = at + instruction->decoded.length +
               (uint64_t)instruction->decoded.raw.imm[0].value.s;
        return true;
}

/* True if a branch anywhere in the function leads into (from, to), or it can't be known. */
static bool branch_leads_into(const uint8_t *code, size_t size, uint64_t address, uint64_t from,
                              uint64_t to)
{
        struct instruction instruction;
        uint64_t target;

        for (size_t i = 0; i < size; i += instruction.decoded.length) {
                if (!decode(code + i, size - i, &instruction))
                        return true;
                if (branch_target(&instruction, address + i, &target) && target > from &&
                    target < to)
                        return true;
        }
        return false;
}

/*
 * NOPs of all lengths and int3: what compilers and assemblers put between functions. The last NOP
 * may reach beyond the bytes that are `needed`.
 */
static bool is_padding(const uint8_t *code, size_t size, size_t needed)
{
        struct instruction instruction;

        for (size_t i = 0; i < needed; i += instruction.decoded.length) {
                if (code[i] == 0xcc) {
                        instruction.decoded.length = 1;
                        continue;
                }
                if (!decode(code + i, size - i, &instruction) ||
                    instruction.decoded.mnemonic != ZYDIS_MNEMONIC_NOP)
                        return false;
        }
        return true;
}

static bool emit(struct arch_displaced *out, const void *bytes, size_t size)
{
        if (out->size + size > sizeof(out->code))
                return false;
        memcpy(out->code + out->size, bytes, size);
        out->size += size;
        return true;
}

/* A relative branch in its 32-bit form. The short-only ones (loop, jrcxz) are refused. */
static bool emit_branch(struct arch_displaced *out, const struct instruction *instruction,
                        uint64_t place, uint64_t target)
{
        uint8_t bytes[6];
        size_t opcode_size = 1;
        int32_t distance;

        switch (instruction->decoded.mnemonic) {
        case ZYDIS_MNEMONIC_CALL:
                bytes[0] = CALL_OPCODE;
                break;
        case ZYDIS_MNEMONIC_JMP:
                bytes[0] = JUMP_OPCODE;
                break;
        case ZYDIS_MNEMONIC_LOOP:
        case ZYDIS_MNEMONIC_LOOPE:
        case ZYDIS_MNEMONIC_LOOPNE:
        case ZYDIS_MNEMONIC_JCXZ:
        case ZYDIS_MNEMONIC_JECXZ:
        case ZYDIS_MNEMONIC_JRCXZ:
        case ZYDIS_MNEMONIC_XBEGIN:
                return false;
        default: /* Jcc: 70+cc rel8 and 0f 80+cc rel32 share the condition in the low 4 bits */
                if (instruction->decoded.meta.category != ZYDIS_CATEGORY_COND_BR)
                        return false;
                bytes[0] = 0x0f;
                bytes[1] = (uint8_t)(0x80 | (instruction->decoded.opcode & 15));
                opcode_size = 2;
        }
        if (!displacement(place + out->size + opcode_size + 4, target, &distance))
                return false;
        memcpy(bytes + opcode_size, &distance, sizeof(distance));
        return emit(out, bytes, opcode_size + 4);
}

static bool emit_instruction(struct arch_displaced *out, const struct instruction *instruction,
                             const uint8_t *code, uint64_t at, uint64_t place)
{
        const ZydisDecodedInstruction *decoded = &instruction->decoded;
        uint8_t bytes[ZYDIS_MAX_INSTRUCTION_LENGTH];
        uint64_t target;
        int32_t distance;

        if (!(decoded->attributes & ZYDIS_ATTRIB_IS_RELATIVE))
                return emit(out, code, decoded->length);
        if (branch_target(instruction, at, &target))
                return emit_branch(out, instruction, place, target);
        /* rip-relative memory operand: same length, other distance */
        if (decoded->raw.disp.size != 32)
                return false;
        target = at + decoded->length + (uint64_t)decoded->raw.disp.value;
        if (!displacement(place + out->size + decoded->length, target, &distance))
                return false;
        memcpy(bytes, code, decoded->length);
        memcpy(bytes + decoded->raw.disp.offset, &distance, sizeof(distance));
        return emit(out, bytes, decoded->length);
}

/* push low; movl high, 4(%rsp) */
static bool emit_push_address(struct arch_displaced *out, uint64_t address)
{
        uint8_t bytes[13] = { 0x68, 0, 0, 0, 0, 0xc7, 0x44, 0x24, 0x04 };
        uint32_t low = (uint32_t)address, high = (uint32_t)(address >> 32);

        memcpy(bytes + 1, &low, sizeof(low));
        memcpy(bytes + 9, &high, sizeof(high));
        return emit(out, bytes, sizeof(bytes));
}

static bool is_call(const struct instruction *instruction)
{
        return instruction->decoded.mnemonic == ZYDIS_MNEMONIC_CALL &&
               instruction->decoded.meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR;
}

static bool uses_stack_pointer(const struct instruction *instruction)
{
        const ZydisDecodedOperand *operand = &instruction->operands[0];

        return operand->type == ZYDIS_OPERAND_TYPE_MEMORY
                       ? operand->mem.base == ZYDIS_REGISTER_RSP
                       : operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
                                 operand->reg.value == ZYDIS_REGISTER_RSP;
}

/*
 * A call whose end is not overwritten returns there, as it always did, and not to the moved copy:
 * whoever unwinds the stack meanwhile knows the function, but nothing of the copy. So it becomes a push
 * and a jump. One whose end is overwritten, or that reads the stack pointer, can't be moved.
 */
static bool emit_call(struct arch_displaced *out, const struct instruction *instruction,
                      const uint8_t *code, uint64_t at, uint64_t place)
{
        struct instruction jump = *instruction;
        uint8_t bytes[ZYDIS_MAX_INSTRUCTION_LENGTH];
        uint64_t target;

        if (!emit_push_address(out, at + instruction->decoded.length))
                return false;
        jump.decoded.mnemonic = ZYDIS_MNEMONIC_JMP;
        if (branch_target(instruction, at, &target))
                return emit_branch(out, &jump, place, target);
        memcpy(bytes, code, instruction->decoded.length); /* ff /2 becomes ff /4 */
        bytes[instruction->decoded.raw.modrm.offset] ^= 0x30;
        return emit_instruction(out, &jump, bytes, at, place);
}

static bool writes(const struct instruction *instruction, ZydisRegister reg)
{
        for (size_t i = 0; i < instruction->decoded.operand_count; i++) {
                const ZydisDecodedOperand *operand = &instruction->operands[i];

                if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
                    (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
                    ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64,
                                                     operand->reg.value) == reg)
                        return true;
        }
        return false;
}

bool arch_third_argument_is_read(const uint8_t *code, size_t size, uint8_t offset)
{
        struct instruction instruction;

        for (size_t at = 0; at < size; at += instruction.decoded.length) {
                if (!decode(code + at, size - at, &instruction) || is_call(&instruction))
                        return false;
                for (size_t i = 0; i < instruction.decoded.operand_count; i++) {
                        const ZydisDecodedOperand *operand = &instruction.operands[i];

                        if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY &&
                            operand->mem.type == ZYDIS_MEMOP_TYPE_MEM &&
                            operand->mem.base == ZYDIS_REGISTER_RDX &&
                            operand->mem.index == ZYDIS_REGISTER_NONE &&
                            operand->mem.disp.value == offset)
                                return true;
                }
                if (writes(&instruction, ZYDIS_REGISTER_RDX))
                        return false;
        }
        return false;
}

static bool ends_flow(const struct instruction *instruction)
{
        return instruction->decoded.meta.category == ZYDIS_CATEGORY_RET ||
               instruction->decoded.meta.category == ZYDIS_CATEGORY_UNCOND_BR ||
               instruction->decoded.mnemonic == ZYDIS_MNEMONIC_UD2;
}

/* How far a jump at `from` may reach: to the end of the function, or over padding up to where the
 * next function could begin. */
static size_t jump_room(const uint8_t *code, size_t size, size_t room, size_t from,
                        uint64_t address)
{
        size_t needed = from + ARCH_JUMP_SIZE;
        uint64_t next_function = ROUND_UP(address + size, (uint64_t)FUNCTION_ALIGNMENT);

        if (needed <= size)
                return size;
        if (needed > room || address + needed > next_function ||
            !is_padding(code + size, room - size, needed - size))
                return 0;
        return needed;
}

int arch_displace(const uint8_t *code, size_t size, size_t room, size_t skip, uint64_t address,
                  uint64_t place, struct arch_displaced *ret)
{
        struct arch_displaced out = { 0 };
        struct instruction instruction;
        size_t at = skip, end = skip + ARCH_JUMP_SIZE;
        uint8_t jump[ARCH_JUMP_SIZE];
        bool falls_through = true;

        if (jump_room(code, size, room, skip, address) == 0)
                return ARCH_NO_ROOM;
        while (at < end && at < size) {
                bool calls, ok;

                if (!decode(code + at, size - at, &instruction))
                        return ARCH_NOT_DISPLACEABLE;
                calls = is_call(&instruction);
                if (calls && (at + instruction.decoded.length < end ||
                              uses_stack_pointer(&instruction)))
                        return ARCH_NOT_DISPLACEABLE;
                ok = calls ? emit_call(&out, &instruction, code + at, address + at, place)
                           : emit_instruction(&out, &instruction, code + at, address + at, place);
                if (!ok)
                        return ARCH_NOT_DISPLACEABLE;
                at += instruction.decoded.length;
                falls_through = !calls && !ends_flow(&instruction);
        }
        at = MAX(at, end);
        if (branch_leads_into(code, size, address, address + skip, address + at))
                return ARCH_NOT_DISPLACEABLE;
        if (falls_through && (!arch_jump(place + out.size, address + at, jump) ||
                              !emit(&out, jump, sizeof(jump))))
                return ARCH_NOT_DISPLACEABLE;
        out.length = at - skip;
        *ret = out;
        return 0;
}
