/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * A program before its first instruction, as it lies in memory: where the kernel has put what it
 * tells the program (Linux fs/binfmt_elf.c, create_elf_tables), and the detour through which the
 * dynamic linker can be made to begin it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"
#include "live/target.h"

struct entry_place {
        uint64_t entry;         /* AT_ENTRY: the program's first instruction */
        uint64_t linker;        /* AT_BASE: the dynamic linker's ELF header; 0: there is none */
        uint64_t headers;       /* AT_PHDR: the program's own program headers */
        uint64_t stack;         /* where argc lies */
        uint64_t auxv_slot;     /* of the value of AT_ENTRY; 0 if the vector has been changed */
        uint64_t stub;          /* the detour, once it is laid */
        size_t stub_size;
};

enum entry_place_outcome {
        ENTRY_PLACE_BEGUN = 64,    /* the program's own code runs already */
        ENTRY_PLACE_UNKNOWN = 66,  /* the linker runs, and does not have the entry point, or no more */
        ENTRY_PLACE_NO_ROOM = 65,  /* no page of code has room for the detour */
};

/* Reads what the kernel told the program. 0, TARGET_GONE, or a fault. */
int entry_place_read(struct target *target, struct entry_place *ret, struct error *err);
/*
 * True if `pc` lies in the dynamic linker's code, or where there is none in the program's own, which
 * may be a linker that is run as a program. target->maps must be fresh.
 */
bool entry_place_in_linker(const struct target *target, const struct entry_place *place,
                           uint64_t pc);
/* What entry_place_redirect() would say, with nothing done. */
int entry_place_check(struct target *target, const struct entry_place *place, uint64_t sp,
                      struct error *err);
/*
 * Lays the detour: every word by which the linker may know the entry point, in the auxiliary vector
 * and, where the linker has begun, in its frames from `sp` up, then leads to the stub. The main
 * thread must be stopped, or be in a system call. 0, ENTRY_PLACE_BEGUN, _UNKNOWN, _NO_ROOM (on
 * these nothing was changed), TARGET_GONE, or a fault.
 */
int entry_place_redirect(struct target *target, struct entry_place *place, uint64_t sp, int signal,
                         struct error *err);
/* Takes the detour away. No thread may be in it or be led to it any more. */
int entry_place_restore(struct target *target, struct entry_place *place, struct error *err);
