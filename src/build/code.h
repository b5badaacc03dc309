/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* What the builder asks of machine code (x86-64, decoded with Zydis). */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum code_use {
        CODE_USE_ADDRESS = 0,  /* an address is made: lea, an immediate value, a pointer in data */
        CODE_USE_BRANCH,       /* call or jump to the place itself */
        CODE_USE_MEMORY,       /* the memory there is read or written */
};

struct code_instruction {
        uint64_t offset;        /* in the code it was found in */
        uint8_t length;         /* bytes, at least 1 */
        bool valid;             /* false: not decodable, taken as one byte */
        bool is_branch;         /* a relative jump or call; `target` is set */
        bool is_call, is_conditional, is_return, is_padding;
        bool ends_flow;         /* nothing goes on behind it (ret, jmp, ud2, hlt) */
        bool loads_address;     /* lea */
        int64_t target;         /* of a relative branch, in the same terms as `offset` */
        uint8_t displacement_at, displacement_size; /* field in the instruction; size 0: none */
        uint8_t immediate_at, immediate_size;
        bool displacement_relative; /* to the instruction's end (rip) */
        uint16_t mnemonic;      /* Zydis' number */
};

/* Decodes the instruction at `offset` of `code`; false at the end. */
bool code_decode(const uint8_t *code, size_t size, uint64_t offset, struct code_instruction *ret);

/* What the field at `field` (bytes from the instruction's start) is used for. */
enum code_use code_field_use(const struct code_instruction *instruction, uint8_t field);

/*
 * How many bytes the instruction at `offset` reads or writes at an address that it holds itself,
 * relative to its end or absolute; 0 if registers take part in the address, or there is none.
 */
size_t code_access_size(const uint8_t *code, size_t size, uint64_t offset);

/*
 * The numbers that an instruction holds as displacement from a register and as immediate value:
 * up to two. Those that are relative to the instruction pointer don't count.
 */
size_t code_numbers(const uint8_t *code, size_t size, const struct code_instruction *instruction,
                    int64_t ret[static 2]);

/*
 * True if the first `needed` of `size` bytes are what stands between functions (no-operations,
 * int3). The last instruction may reach beyond them.
 */
bool code_is_padding(const uint8_t *code, size_t size, size_t needed);

/* Bytes that a jump in place of a function needs: 5, behind a landing pad (endbr64) if any. */
size_t code_jump_needs(const uint8_t *code, size_t size);

/*
 * True if the instructions in place of which the jump comes can be moved: none is a branch that
 * only has a short form, and no branch of the function leads into them.
 */
bool code_entry_movable(const uint8_t *code, size_t size);

/* A function that has a way back to its start of a loop but none to its caller. */
bool code_never_returns(const uint8_t *code, size_t size);
