/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The detour before a program's first instruction. A system call changes rax, rcx and r11, its
 * arguments rdi and rsi; the ABI gives rdx and rsp a meaning at the entry (x86-64 psABI 3.4.1), and
 * a program may have been promised more by its linker, so all are put back. What is pushed lies
 * below the stack pointer, where nothing lives at that time.
 */
#include "live/arch/arch.h"

#include <string.h>
#include <syscall.h>

extern const uint8_t entry_stub[], entry_stub_end[], entry_stub_after[], entry_stub_signal[],
        entry_stub_to[];

__asm__(".pushsection .rodata\n"
        ".globl entry_stub, entry_stub_end, entry_stub_after, entry_stub_signal, entry_stub_to\n"
        ".hidden entry_stub, entry_stub_end, entry_stub_after, entry_stub_signal, entry_stub_to\n"
        "entry_stub:\n"
        "       endbr64\n"
        "       push %rax\n"
        "       push %rcx\n"
        "       push %rdx\n"
        "       push %rsi\n"
        "       push %rdi\n"
        "       push %r11\n"
        "       mov $186, %eax\n"      /* gettid */
        "       syscall\n"
        "       mov %eax, %edi\n"
        "       .byte 0xbe\n"          /* mov $signal, %esi */
        "entry_stub_signal:\n"
        "       .long 0\n"
        "       mov $200, %eax\n"      /* tkill */
        "       syscall\n"
        "entry_stub_after:\n"
        "       pop %r11\n"
        "       pop %rdi\n"
        "       pop %rsi\n"
        "       pop %rdx\n"
        "       pop %rcx\n"
        "       pop %rax\n"
        "       jmp *entry_stub_to(%rip)\n"
        "entry_stub_to:\n"
        "       .quad 0\n"
        "entry_stub_end:\n"
        ".globl arch_entry_stub_sent\n"
        ".balign 8\n"
        "arch_entry_stub_sent: .quad entry_stub_after - entry_stub\n"
        ".popsection\n");

const uint64_t arch_entry_calls[ARCH_ENTRY_CALLS] = { SYS_gettid, SYS_tkill };

size_t arch_entry_stub(uint64_t entry, int signal, uint8_t ret[static ARCH_ENTRY_STUB_MAX])
{
        size_t size = (size_t)(entry_stub_end - entry_stub);
        int32_t number = signal;

        memcpy(ret, entry_stub, size);
        memcpy(ret + (entry_stub_signal - entry_stub), &number, sizeof(number));
        memcpy(ret + (entry_stub_to - entry_stub), &entry, sizeof(entry));
        return size;
}

void arch_entry_begin(struct user_regs_struct *regs, uint64_t entry,
                      const uint64_t words[static ARCH_ENTRY_WORDS])
{
        regs->r11 = words[0];
        regs->rdi = words[1];
        regs->rsi = words[2];
        regs->rdx = words[3];
        regs->rcx = words[4];
        regs->rax = words[5];
        regs->rsp += ARCH_ENTRY_WORDS * sizeof(uint64_t);
        regs->rip = entry;
        regs->orig_rax = (uint64_t)-1; /* in no system call */
}
