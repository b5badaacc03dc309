/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Self-returning calls. Whoever changes a stopped thread's registers to make it call something,
 * and dies before putting them back, leaves a corpse. So everything the thread needs to go on is
 * written on its own stack first, below the red zone, and one setting of its registers starts it:
 * from then on it needs nobody. The tracer watches system call stops and, where all went well,
 * puts the original registers back itself, so that the kernel settles a broken-off system call
 * exactly as it would have; the way back through the frame is for the case that there is no
 * tracer any more.
 *
 * Frame of the system call stub, from the stack pointer upwards: the list of calls (number, six
 * arguments; a negative number ends it), then the registers in the order in which they are popped,
 * then the return address. `ret $128` gives the red zone back (x86-64 psABI 3.2.2).
 */
#include "live/arch/arch.h"

#include <cpuid.h>
#include <errno.h>
#include <string.h>
#include <syscall.h>

#define ERESTARTSYS 512
#define ERESTARTNOINTR 513
#define ERESTARTNOHAND 514
#define ERESTART_RESTARTBLOCK 516
#define RED_ZONE 128
#define SYSCALL_INSTRUCTION_SIZE 2
#define FLAG_DIRECTION 0x400u
#define FLAG_TRAP 0x100u

extern const uint8_t arch_call_stub_end[], arch_call_stub_after[];
extern const uint8_t arch_function_stub_end[], arch_function_stub_after[];

__asm__(".pushsection .rodata\n"
        ".globl arch_call_stub, arch_call_stub_end, arch_call_stub_after\n"
        "arch_call_stub:\n"             /* rbx: the list, which is also where rsp stands */
        "1:     mov (%rbx), %rax\n"
        "       test %rax, %rax\n"
        "       js 2f\n"
        "       mov 8(%rbx), %rdi\n"
        "       mov 16(%rbx), %rsi\n"
        "       mov 24(%rbx), %rdx\n"
        "       mov 32(%rbx), %r10\n"
        "       mov 40(%rbx), %r8\n"
        "       mov 48(%rbx), %r9\n"
        "       syscall\n"
        "arch_call_stub_after:\n"
        "       add $56, %rbx\n"
        "       jmp 1b\n"
        "2:     lea 8(%rbx), %rsp\n"
        "       pop %rax\n"
        "       pop %rbx\n"
        "       pop %rcx\n"
        "       pop %r11\n"
        "       pop %rdi\n"
        "       pop %rsi\n"
        "       pop %rdx\n"
        "       pop %r10\n"
        "       pop %r8\n"
        "       pop %r9\n"
        "       popfq\n"
        "       ret $128\n"
        "arch_call_stub_tag: .asciz \"suture\"\n"
        "arch_call_stub_end:\n"
        ".globl arch_function_stub, arch_function_stub_end, arch_function_stub_after\n"
        "arch_function_stub:\n"         /* rbx: saved registers, rbp: function, r12: xsave area */
        "       lea 512(%r12), %rdi\n"  /* the header of the area must be zero */
        "       xor %eax, %eax\n"
        "       mov $8, %ecx\n"
        "       rep stosq\n"
        "       mov $-1, %eax\n"
        "       mov $-1, %edx\n"
        "       xsave64 (%r12)\n"
        "       mov %r13, %rdi\n"
        "       call *%rbp\n"
        "       mov %rax, %r13\n"
        "       mov $-1, %eax\n"
        "       mov $-1, %edx\n"
        "       xrstor64 (%r12)\n"
        "       mov %r13, %rdi\n"
        "       mov $24, %eax\n"        /* sched_yield: tells a tracer that it is through */
        "       syscall\n"
        "arch_function_stub_after:\n"
        "       mov %rbx, %rsp\n"
        "       pop %rax\n"
        "       pop %rbx\n"
        "       pop %rcx\n"
        "       pop %r11\n"
        "       pop %rdi\n"
        "       pop %rsi\n"
        "       pop %rdx\n"
        "       pop %r10\n"
        "       pop %r8\n"
        "       pop %r9\n"
        "       pop %rbp\n"
        "       pop %r12\n"
        "       pop %r13\n"
        "       popfq\n"
        "       ret $128\n"
        "arch_function_stub_end:\n"
        ".globl arch_register_stub, arch_register_stub_end\n"
        "arch_register_stub:\n"         /* rdi: struct registration */
        "       push %rbx\n"
        "       mov %rdi, %rbx\n"
        "       mov 32(%rbx), %rax\n"
        "       mov %rax, (%rbx)\n"
        "       mov 16(%rbx), %rdi\n"
        "       mov 24(%rbx), %rsi\n"
        "       call *8(%rbx)\n"
        "       mov 40(%rbx), %rax\n"
        "       mov %rax, (%rbx)\n"
        "       xor %eax, %eax\n"
        "       pop %rbx\n"
        "       ret\n"
        "arch_register_stub_end:\n"
        ".globl arch_call_stub_size, arch_call_stub_return, arch_call_stub_name\n"
        ".globl arch_function_stub_size, arch_function_stub_return\n"
        ".balign 8\n"
        "arch_call_stub_size: .quad arch_call_stub_end - arch_call_stub\n"
        "arch_call_stub_name: .quad arch_call_stub_tag - arch_call_stub\n"
        "arch_call_stub_return: .quad arch_call_stub_after - arch_call_stub\n"
        "arch_function_stub_size: .quad arch_function_stub_end - arch_function_stub\n"
        ".globl arch_register_stub_size\n"
        "arch_register_stub_size: .quad arch_register_stub_end - arch_register_stub\n"
        "arch_function_stub_return: .quad arch_function_stub_after - arch_function_stub\n"
        ".popsection\n");

/* A list, its end, and twelve registers, eight bytes each. */
_Static_assert(ARCH_CALL_MAX * sizeof(struct arch_call) + 13 * 8 <= ARCH_FRAME_MAX,
               "a list of calls must fit its frame");

/* What arch_do_signal_or_restart would do when no handler runs. */
static void settle_system_call(struct user_regs_struct *regs)
{
        if ((int64_t)regs->orig_rax < 0)
                return;
        switch (-(int64_t)regs->rax) {
        case ERESTARTSYS:
        case ERESTARTNOINTR:
        case ERESTARTNOHAND:
                regs->rax = regs->orig_rax;
                regs->rip -= SYSCALL_INSTRUCTION_SIZE;
                break;
        case ERESTART_RESTARTBLOCK:
                regs->rax = SYS_restart_syscall;
                regs->rip -= SYSCALL_INSTRUCTION_SIZE;
                break;
        }
}

static void frame_push(struct arch_frame *frame, uint64_t value)
{
        memcpy(frame->bytes + frame->size, &value, sizeof(value));
        frame->size += sizeof(value);
}

static void frame_push_common(struct arch_frame *frame, const struct user_regs_struct *regs)
{
        frame_push(frame, regs->rax);
        frame_push(frame, regs->rbx);
        frame_push(frame, regs->rcx);
        frame_push(frame, regs->r11);
        frame_push(frame, regs->rdi);
        frame_push(frame, regs->rsi);
        frame_push(frame, regs->rdx);
        frame_push(frame, regs->r10);
        frame_push(frame, regs->r8);
        frame_push(frame, regs->r9);
}

static struct user_regs_struct settled(const struct user_regs_struct *regs)
{
        struct user_regs_struct copy = *regs;

        arch_regs_restart_quietly(&copy);
        settle_system_call(&copy);
        return copy;
}

/* Registers to start with: the thread's own, in no system call, flags as the ABI wants them. */
static void frame_start(struct arch_frame *frame, const struct user_regs_struct *regs,
                        uint64_t stub)
{
        frame->regs = *regs;
        frame->regs.rip = stub;
        frame->regs.orig_rax = (uint64_t)-1;
        frame->regs.eflags &= ~(unsigned long long)(FLAG_DIRECTION | FLAG_TRAP);
}

void arch_call_frame(const struct user_regs_struct *regs, uint64_t stub,
                     const struct arch_call *calls, size_t n_calls, struct arch_frame *ret)
{
        struct user_regs_struct after = settled(regs);

        ret->size = 0;
        for (size_t i = 0; i < n_calls; i++) {
                frame_push(ret, calls[i].number);
                for (size_t j = 0; j < 6; j++)
                        frame_push(ret, calls[i].arguments[j]);
        }
        frame_push(ret, UINT64_MAX);
        frame_push_common(ret, &after);
        frame_push(ret, after.eflags);
        frame_push(ret, after.rip);
        ret->address = regs->rsp - RED_ZONE - ret->size;
        frame_start(ret, regs, stub);
        ret->regs.rsp = ret->address;
        ret->regs.rbx = ret->address;
}

/* The size of the area for all enabled state components (Intel SDM 1, 13.2: CPUID 0DH, EBX). */
static size_t xsave_size(void)
{
        unsigned eax, ebx, ecx, edx;

        if (!__get_cpuid_count(0xd, 0, &eax, &ebx, &ecx, &edx))
                return 4096;
        return ROUND_UP(ebx, 64u);
}

#define FUNCTION_STACK_BYTES 16384 /* what a hook may count on, like a small signal stack */

size_t arch_function_stack(void)
{
        return xsave_size() + FUNCTION_STACK_BYTES;
}

void arch_function_frame(const struct user_regs_struct *regs, uint64_t stub, uint64_t function,
                         uint64_t argument, struct arch_frame *ret)
{
        struct user_regs_struct after = settled(regs);

        ret->size = 0;
        frame_push_common(ret, &after);
        frame_push(ret, after.rbp);
        frame_push(ret, after.r12);
        frame_push(ret, after.r13);
        frame_push(ret, after.eflags);
        frame_push(ret, after.rip);
        ret->address = regs->rsp - RED_ZONE - ret->size;
        frame_start(ret, regs, stub);
        ret->regs.rbx = ret->address;
        ret->regs.rbp = function;
        ret->regs.r13 = argument;
        ret->regs.r12 = ROUND_DOWN(ret->address - xsave_size(), 64u);
        ret->regs.rsp = ret->regs.r12;
}

int64_t arch_call_result(const struct user_regs_struct *regs)
{
        return (int64_t)regs->rax;
}

int64_t arch_function_result(const struct user_regs_struct *regs)
{
        return (int64_t)regs->rdi;
}
