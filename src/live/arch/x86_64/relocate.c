/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Relocations of code that is placed in a target (x86-64 psABI 4.4, table 4.9). */
#include "live/arch/arch.h"

#include <elf.h>
#include <string.h>

enum arch_relocation_class arch_relocation_class(uint32_t type)
{
        switch (type) {
        case R_X86_64_NONE:
                return ARCH_RELOCATION_NONE;
        case R_X86_64_64:
        case R_X86_64_PC32:
        case R_X86_64_PC64:
        case R_X86_64_32:
        case R_X86_64_32S:
                return ARCH_RELOCATION_ADDRESS;
        case R_X86_64_PLT32:
                return ARCH_RELOCATION_CALL;
        case R_X86_64_GOTPCREL:
        case R_X86_64_GOTPCRELX:
        case R_X86_64_REX_GOTPCRELX:
                return ARCH_RELOCATION_SLOT;
        default:
                return ARCH_RELOCATION_UNKNOWN;
        }
}

bool arch_relocation_low(uint32_t type)
{
        return type == R_X86_64_32 || type == R_X86_64_32S;
}

size_t arch_relocation_size(uint32_t type)
{
        return type == R_X86_64_64 || type == R_X86_64_PC64 ? 8 : type == R_X86_64_NONE ? 0 : 4;
}

bool arch_relocate(uint32_t type, uint64_t place, uint64_t symbol, int64_t addend, uint8_t *field)
{
        uint64_t value = symbol + (uint64_t)addend;
        int64_t relative = (int64_t)(value - place);

        switch (type) {
        case R_X86_64_NONE:
                return true;
        case R_X86_64_64:
                memcpy(field, &value, 8);
                return true;
        case R_X86_64_PC64:
                memcpy(field, &relative, 8);
                return true;
        case R_X86_64_32:
                memcpy(field, &value, 4);
                return value == (uint32_t)value;
        case R_X86_64_32S:
                memcpy(field, &value, 4);
                return (int64_t)value == (int32_t)value;
        case R_X86_64_PC32:
        case R_X86_64_PLT32:
        case R_X86_64_GOTPCREL:
        case R_X86_64_GOTPCRELX:
        case R_X86_64_REX_GOTPCRELX:
                memcpy(field, &relative, 4);
                return relative == (int32_t)relative;
        default:
                return false;
        }
}
