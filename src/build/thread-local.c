/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Both forms keep their length, so nothing else in the function moves. */
#include "build/thread-local.h"

#include <elf.h>
#include <string.h>
#include "base/cleanup.h"

enum { REX_W = 0x48, REX_R = 0x04, REX_B = 0x01, FIELD_SIZE = 4 };

/* mov x@gottpoff(%rip), %reg and add ...: the same with an immediate value. */
static bool rewrite_initial(uint8_t *code, uint64_t field, const int32_t *value)
{
        uint8_t *rex = code + field - 3, *opcode = code + field - 2, *modrm = code + field - 1;

        if ((*rex & ~REX_R) != REX_W || (*opcode != 0x8b && *opcode != 0x03) ||
            (*modrm & 0xc7) != 0x05)
                return false;
        if (!value)
                return true;
        *rex = (uint8_t)(REX_W | (*rex & REX_R ? REX_B : 0));
        *opcode = *opcode == 0x8b ? 0xc7 : 0x81;
        *modrm = (uint8_t)(0xc0 | ((*modrm >> 3) & 7));
        memcpy(code + field, value, FIELD_SIZE);
        return true;
}

/* lea x@tlsgd(%rip), %rdi; call __tls_get_addr: padded to 16 bytes for the linker. */
static bool rewrite_general(uint8_t *code, size_t size, uint64_t field, const int32_t *value)
{
        static const uint8_t lea[] = { 0x66, 0x48, 0x8d, 0x3d };
        static const uint8_t call[] = { 0x66, 0x66, 0x48, 0xe8 };
        static const uint8_t call_slot[] = { 0x66, 0x48, 0xff, 0x15 };
        /* mov %fs:0, %rax; lea x(%rax), %rax */
        static const uint8_t local[] = { 0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0,
                                         0x48, 0x8d, 0x80 };
        uint8_t *start = code + (field - MIN(field, sizeof(lea)));

        if (field < sizeof(lea) || size - field < 12 || memcmp(start, lea, sizeof(lea)) != 0 ||
            (memcmp(start + 8, call, sizeof(call)) != 0 &&
             memcmp(start + 8, call_slot, sizeof(call_slot)) != 0))
                return false;
        if (!value)
                return true;
        memcpy(start, local, sizeof(local));
        memcpy(start + sizeof(local), value, FIELD_SIZE);
        return true;
}

/* lea x@tlsld(%rip), %rdi; call __tls_get_addr: the thread pointer instead of the block's start. */
static bool rewrite_block(uint8_t *code, size_t size, uint64_t field, const int32_t *value)
{
        static const uint8_t lea[] = { 0x48, 0x8d, 0x3d };
        /* mov %fs:0, %rax, as long as the two */
        static const uint8_t local[] = { 0x66, 0x66, 0x66, 0x66, 0x64, 0x48, 0x8b,
                                         0x04, 0x25, 0,    0,    0,    0 };
        uint8_t *start = code + field - sizeof(lea), *call = code + field + FIELD_SIZE;
        size_t length;

        if (size - field < 10 || memcmp(start, lea, sizeof(lea)) != 0)
                return false;
        length = call[0] == 0xe8 ? 12 : call[0] == 0xff && call[1] == 0x15 ? 13 : 0;
        if (length == 0)
                return false;
        if (value)
                memcpy(start, local + sizeof(local) - length, length);
        return true;
}

bool thread_access_rewrite(uint8_t *code, size_t size, uint64_t field, uint32_t type,
                           const int32_t *value)
{
        if (field < 3 || size < FIELD_SIZE || field > size - FIELD_SIZE)
                return false;
        if (type == R_X86_64_GOTTPOFF)
                return rewrite_initial(code, field, value);
        if (type == R_X86_64_TLSLD)
                return rewrite_block(code, size, field, value);
        return type == R_X86_64_TLSGD && rewrite_general(code, size, field, value);
}
