/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What the engine needs to know of a processor. Each CPU has a folder beside this header that
 * implements all of it; nothing outside may assume an instruction set.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/user.h>
#include "base/error.h"

/* --- Registers of a stopped thread ------------------------------------------------------- */

/* True if `size`, as PTRACE_GETREGSET returned it, and the registers are those of a 64-bit thread. */
bool arch_regs_native(const struct user_regs_struct *regs, size_t size);
uint64_t arch_regs_pc(const struct user_regs_struct *regs);
uint64_t arch_regs_sp(const struct user_regs_struct *regs);
/* The thread pointer (TLS base), which on glibc lies at the upper end of a thread's stack. */
uint64_t arch_regs_thread_pointer(const struct user_regs_struct *regs);

/* The registers by their DWARF numbers, from 0 up, for unwinding. */
#define ARCH_DWARF_REGISTERS 17
void arch_regs_dwarf(const struct user_regs_struct *regs,
                     uint64_t ret[static ARCH_DWARF_REGISTERS]);

/*
 * A system call that was broken off by the stop and that would report EINTR although no handler
 * ran (epoll_wait and its kind, signal(7)): makes the kernel treat it like those that restart by
 * themselves (ERESTARTNOHAND: again, unless a handler runs first). True if `regs` were changed
 * and must be written back.
 */
bool arch_regs_restart_quietly(struct user_regs_struct *regs);

/* --- Self-returning calls ---------------------------------------------------------------- */

#define ARCH_CALL_MAX 6 /* system calls in one list */

struct arch_call {
        uint64_t number;        /* of the system call */
        uint64_t arguments[6];
};

/* The stub for lists of system calls, position independent. */
extern const uint8_t arch_call_stub[];
extern const size_t arch_call_stub_size;
/* Where the program counter stands, relative to the stub, when a call of the list has returned. */
extern const size_t arch_call_stub_return;

/* Offset in the stub of the string "suture", with which the target names its mappings. */
extern const size_t arch_call_stub_name;

/* The stub for one function call, with the whole extended state saved around it. */
extern const uint8_t arch_function_stub[];
extern const size_t arch_function_stub_size;
/* Where the program counter stands at the system call by which it says that it is through. */
extern const size_t arch_function_stub_return;

/*
 * A function for it, which calls the first runtime function that struct registration names, and
 * notes in its state that it is about to, and that it has (live/registration.h).
 */
extern const uint8_t arch_register_stub[];
extern const size_t arch_register_stub_size;

#define ARCH_FRAME_MAX 1024

/*
 * What is to be written on the thread's stack, and the registers with which it makes the calls and
 * then goes on by itself where it was. `regs` are those of the stopped thread; the system call it
 * was in, if any, is settled as the kernel would have (Linux arch/x86/kernel/signal.c,
 * arch_do_signal_or_restart).
 */
struct arch_frame {
        uint8_t bytes[ARCH_FRAME_MAX];
        size_t size;
        uint64_t address;               /* where `bytes` belong */
        struct user_regs_struct regs;   /* to be set */
};
void arch_call_frame(const struct user_regs_struct *regs, uint64_t stub,
                     const struct arch_call *calls, size_t n_calls, struct arch_frame *ret);
/* The same for a call of `function` with one argument; needs arch_function_stack() bytes more. */
void arch_function_frame(const struct user_regs_struct *regs, uint64_t stub, uint64_t function,
                         uint64_t argument, struct arch_frame *ret);
size_t arch_function_stack(void);
/* At the stop after a call: its result as the kernel left it, or of the function. */
int64_t arch_call_result(const struct user_regs_struct *regs);
int64_t arch_function_result(const struct user_regs_struct *regs);
/* At a stop in a foreign thread: the number of the system call it is in; -1 if none. */
int64_t arch_regs_system_call(const struct user_regs_struct *regs);
/* The second argument of the system call that a thread is in. */
uint64_t arch_regs_second_argument(const struct user_regs_struct *regs);
/* At the exit of a system call: it was to wait for a lock (futex(2)), was interrupted, not woken. */
bool arch_regs_waits_for_lock(const struct user_regs_struct *regs);

/* --- The stop at a program's entry -------------------------------------------------------- */

#define ARCH_ENTRY_STUB_MAX 80
/* The words that the stub leaves on the stack while it makes its calls. */
#define ARCH_ENTRY_WORDS 6
/*
 * Code that a program is sent through instead of its entry point: it sends `signal` to its own
 * thread (0: only makes the calls for it) and jumps to `entry` with every register and the stack as
 * the dynamic linker left them. Returns its size; the calls it makes are in arch_entry_calls.
 */
size_t arch_entry_stub(uint64_t entry, int signal, uint8_t ret[static ARCH_ENTRY_STUB_MAX]);
#define ARCH_ENTRY_CALLS 2
extern const uint64_t arch_entry_calls[ARCH_ENTRY_CALLS];
/* Where the program counter stands, relative to the stub, when the signal has been sent. */
extern const size_t arch_entry_stub_sent;
/* There: the registers with which the program begins, given the words at the stack pointer. */
void arch_entry_begin(struct user_regs_struct *regs, uint64_t entry,
                      const uint64_t words[static ARCH_ENTRY_WORDS]);

/* --- Code -------------------------------------------------------------------------------- */

#define ARCH_JUMP_SIZE 5
#define ARCH_SLOT_SIZE 8
#define ARCH_DISPLACED_MAX 56
#define ARCH_ORIGINAL_MAX 24
#define ARCH_REACH (UINT64_C(1) << 31)  /* of a jump, either way */

/* Writes a jump of ARCH_JUMP_SIZE bytes that stands at `from`; false if `to` is out of reach. */
bool arch_jump(uint64_t from, uint64_t to, uint8_t ret[static ARCH_JUMP_SIZE]);
/* True if these bytes at `from` are such a jump; tells where it leads. */
bool arch_jump_target(const uint8_t code[static ARCH_JUMP_SIZE], uint64_t from, uint64_t *ret_to);
/* Bytes at the beginning of a function that a jump must leave alone (a landing pad). */
size_t arch_entry_skip(const uint8_t *code, size_t size);

/*
 * True if the function's code, before it has overwritten its third argument, reads memory at
 * `offset` (below 128) from there: so much is the structure that it is given known to hold.
 */
bool arch_third_argument_is_read(const uint8_t *code, size_t size, uint8_t offset);

struct arch_displaced {
        uint8_t code[ARCH_DISPLACED_MAX];   /* the displaced instructions and a jump behind them */
        size_t size;
        size_t length;                      /* of the original bytes that are displaced */
};
enum arch_displace_outcome {
        ARCH_NOT_DISPLACEABLE = 1,  /* a branch leads into them, or they can't be moved */
        ARCH_NO_ROOM = 2,           /* the function and the padding behind it are too short */
};
/*
 * Moves the first instructions of a function (at `address`, `size` bytes, of which `room` may be
 * read in `code`: padding behind the function) to `place`. `skip` bytes at its beginning stay.
 */
int arch_displace(const uint8_t *code, size_t size, size_t room, size_t skip, uint64_t address,
                  uint64_t place, struct arch_displaced *ret);

/* A jump through a pointer: for calls through a GOT slot. ARCH_STUB_SIZE bytes. */
#define ARCH_STUB_SIZE 8
bool arch_slot_stub(uint64_t place, uint64_t slot, uint8_t ret[static ARCH_STUB_SIZE]);

/* --- Relocations ------------------------------------------------------------------------- */

enum arch_relocation_class {
        ARCH_RELOCATION_UNKNOWN = 0,
        ARCH_RELOCATION_NONE,
        ARCH_RELOCATION_ADDRESS,        /* the symbol's address, absolute or relative */
        ARCH_RELOCATION_CALL,           /* a call that may go through a stub */
        ARCH_RELOCATION_SLOT,           /* the address of a slot that holds the symbol's address */
};
enum arch_relocation_class arch_relocation_class(uint32_t type);
/* True if the value must lie in the lower 2 GiB (absolute, 32 bits). */
bool arch_relocation_low(uint32_t type);
size_t arch_relocation_size(uint32_t type);
/* Applies one relocation to `field`, which will lie at `place`. False if the value does not fit. */
bool arch_relocate(uint32_t type, uint64_t place, uint64_t symbol, int64_t addend, uint8_t *field);
