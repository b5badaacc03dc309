/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registers of a stopped thread and the state of the system call it was in. What a stop does to a
 * system call: the kernel breaks it off with one of the ERESTART codes in rax and, unless somebody
 * changes the registers, settles it by itself when the thread goes on (Linux
 * arch/x86/kernel/signal.c). Only calls that answer EINTR for any wake-up have to be helped.
 */
#include "live/arch/arch.h"

#include <errno.h>
#include <linux/futex.h>
#include <syscall.h>

/* Linux include/linux/errno.h; never seen by user space except by a tracer. */
#define ERESTARTSYS 512
#define ERESTARTNOHAND 514

#define USER_CS_64 0x33

bool arch_regs_native(const struct user_regs_struct *regs, size_t size)
{
        return size == sizeof(*regs) && regs->cs == USER_CS_64;
}

uint64_t arch_regs_pc(const struct user_regs_struct *regs)
{
        return regs->rip;
}

uint64_t arch_regs_sp(const struct user_regs_struct *regs)
{
        return regs->rsp;
}

uint64_t arch_regs_thread_pointer(const struct user_regs_struct *regs)
{
        return regs->fs_base;
}

/* x86-64 psABI, figure 3.36: rax rdx rcx rbx rsi rdi rbp rsp r8 ... r15, return address. */
void arch_regs_dwarf(const struct user_regs_struct *regs,
                     uint64_t ret[static ARCH_DWARF_REGISTERS])
{
        const uint64_t in_order[ARCH_DWARF_REGISTERS] = {
                regs->rax, regs->rdx, regs->rcx, regs->rbx, regs->rsi, regs->rdi,
                regs->rbp, regs->rsp, regs->r8,  regs->r9,  regs->r10, regs->r11,
                regs->r12, regs->r13, regs->r14, regs->r15, regs->rip,
        };

        for (size_t i = 0; i < ARCH_DWARF_REGISTERS; i++)
                ret[i] = in_order[i];
}

int64_t arch_regs_system_call(const struct user_regs_struct *regs)
{
        return (int64_t)regs->orig_rax;
}

/* signal(7), "Interruption of system calls and library functions by stop signals", and others
 * that were seen to answer EINTR to a stop; all of them can be made again without loss. */
static bool interrupted_by_any_stop(uint64_t number)
{
        switch (number) {
        case SYS_epoll_wait:
        case SYS_epoll_pwait:
        case SYS_epoll_pwait2:
        case SYS_semop:
        case SYS_semtimedop:
        case SYS_rt_sigtimedwait:
        case SYS_io_getevents:
        case SYS_io_pgetevents:
        case SYS_io_uring_enter:
        case SYS_read:          /* sockets with a receive timeout, inotify on old kernels */
        case SYS_readv:
        case SYS_recvfrom:
        case SYS_recvmsg:
        case SYS_recvmmsg:
        case SYS_accept:
        case SYS_accept4:
        case SYS_write:         /* sockets with a send timeout; a partial write is not an error */
        case SYS_writev:
        case SYS_sendto:
        case SYS_sendmsg:
                return true;
        default:
                return false;
        }
}

bool arch_regs_restart_quietly(struct user_regs_struct *regs)
{
        if ((int64_t)regs->orig_rax < 0 || (int64_t)regs->rax != -EINTR ||
            !interrupted_by_any_stop(regs->orig_rax))
                return false;
        regs->rax = (uint64_t)-ERESTARTNOHAND;
        return true;
}

uint64_t arch_regs_second_argument(const struct user_regs_struct *regs)
{
        return regs->rsi;
}

bool arch_regs_waits_for_lock(const struct user_regs_struct *regs)
{
        return regs->orig_rax == SYS_futex && (regs->rsi & FUTEX_CMD_MASK) == FUTEX_WAIT &&
               (int64_t)regs->rax == -ERESTARTSYS;
}
