/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The wrapper around ptrace. Two things here are less obvious than they look. A stop seen by
 * waitpid need not be the one that was asked for: a thread on its way to a signal handler stops
 * with that signal, which must be delivered when it is let go. And waiting is done by looking
 * again and again for a short while, since a thread normally stops within some ten microseconds,
 * and a blocking wait could not be ended by a deadline.
 */
#include "live/tracee.h"

#include <elf.h>
#include <errno.h>
#include <linux/filter.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fault.h"
#include "live/arch/arch.h"
#include "live/priority.h"
#include "proc/process.h"

#define OPTIONS_SIBLINGS (PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK)
#define MANY_LOOKS 400 /* yielding to the thread that is to stop */
#define FEW_LOOKS 64   /* where yielding does not help it (live/priority.h) */
#define RELEASE_WAIT_NS 2000000u
#define SYSCALL_STOP (SIGTRAP | 0x80) /* with PTRACE_O_TRACESYSGOOD */

/* See tracee_hold(). */
static struct {
        struct tracee tracee;
        uint64_t put_off; /* signals, as a mask */
} held;

static int stop_event(const struct tracee *tracee)
{
        return tracee->status >> 16;
}

/* Also one that is not yet gone: a main thread stays until the last of its process ends. */
static bool has_ended(pid_t tid)
{
        struct thread_status status;

        return thread_status_read(tid, tid, &status, NULL) != 0 || status.state == 'Z' ||
               status.state == 'X';
}

int tracee_seize(struct tracee *tracee, pid_t tid, bool siblings, struct error *err)
{
        long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC;

        *tracee = (struct tracee){ .tid = tid };
        if (held.tracee.tid == tid) {
                *tracee = held.tracee;
                return tracee->state == TRACEE_STOPPED ? 0 : TRACEE_GONE;
        }
        if (siblings)
                options |= OPTIONS_SIBLINGS;
        if (fault_here(FAULT_SEIZE))
                return fault_set(FAULT_SEIZE, err);
        if (ptrace(PTRACE_SEIZE, tid, NULL, (void *)options) < 0) {
                int errnum = errno;

                if (errnum == ESRCH || has_ended(tid))
                        return TRACEE_GONE;
                return error_set(err, EXIT_CODE_PERMISSION, errnum,
                                 "run suture as root; a process under a debugger can't be patched "
                                 "until the debugger lets go",
                                 "thread %d can't be seized", tid);
        }
        tracee->state = TRACEE_SEIZED;
        return 0;
}

void tracee_adopt(struct tracee *tracee, pid_t tid)
{
        *tracee = (struct tracee){ .tid = tid, .state = TRACEE_INTERRUPTED };
}

void tracee_interrupt(struct tracee *tracee)
{
        if (tracee->state != TRACEE_SEIZED)
                return;
        if (ptrace(PTRACE_INTERRUPT, tracee->tid, NULL, NULL) < 0 && errno == ESRCH)
                tracee->state = TRACEE_DYING;
        else
                tracee->state = TRACEE_INTERRUPTED;
}

/* Looks for a change of state: 1 if there was one, 0 by the deadline, negative errno. */
static int wait_for_change(struct tracee *tracee, uint64_t deadline_ns)
{
        for (unsigned looks = 0;; looks++) {
                pid_t r = waitpid(tracee->tid, &tracee->status, __WALL | WNOHANG);

                if (r > 0)
                        return 1;
                if (r < 0 && errno != EINTR)
                        return -errno;
                if (looks % 16 == 15 && clock_now_ns() > deadline_ns)
                        return 0;
                if (looks < (priority_is_raised() ? FEW_LOOKS : MANY_LOOKS))
                        sched_yield();
                else
                        nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
        }
}

static int read_regs(struct tracee *tracee)
{
        struct iovec io = { &tracee->regs, sizeof(tracee->regs) };

        if (ptrace(PTRACE_GETREGSET, tracee->tid, (void *)NT_PRSTATUS, &io) < 0) {
                tracee->state = TRACEE_DYING;
                return TRACEE_GONE;
        }
        return arch_regs_native(&tracee->regs, io.iov_len) ? 0 : TRACEE_FOREIGN;
}

int tracee_wait(struct tracee *tracee, uint64_t deadline_ns, struct error *err)
{
        int r;

        if (tracee->state == TRACEE_ENDED || tracee->state == TRACEE_DYING)
                return TRACEE_GONE;
        if (tracee->state == TRACEE_STOPPED)
                return 0;
        r = wait_for_change(tracee, deadline_ns);
        if (r == -ECHILD) {
                tracee->state = TRACEE_ENDED;
                return TRACEE_GONE;
        }
        if (r < 0)
                return error_set(err, EXIT_CODE_ERROR, -r, NULL, "can't wait for thread %d",
                                 tracee->tid);
        if (r == 0 && has_ended(tracee->tid)) { /* of a process that lives on: nothing will come */
                tracee->state = TRACEE_DYING;
                return TRACEE_GONE;
        }
        if (r == 0)
                return TRACEE_SLOW;
        if (WIFEXITED(tracee->status) || WIFSIGNALED(tracee->status)) {
                tracee->state = TRACEE_ENDED;
                return TRACEE_GONE;
        }
        tracee->state = TRACEE_STOPPED;
        /* neither an event nor a system call: on its way to a signal handler */
        tracee->signal = stop_event(tracee) == 0 && WSTOPSIG(tracee->status) != SYSCALL_STOP
                                 ? WSTOPSIG(tracee->status)
                                 : 0;
        r = read_regs(tracee);
        if (r == 0 && !tracee_at_system_call(tracee) && arch_regs_restart_quietly(&tracee->regs))
                r = tracee_set_regs(tracee, &tracee->regs, err);
        return r;
}

pid_t tracee_new_child(const struct tracee *tracee)
{
        unsigned long child = 0;
        int event = stop_event(tracee);

        if (event != PTRACE_EVENT_CLONE && event != PTRACE_EVENT_FORK &&
            event != PTRACE_EVENT_VFORK)
                return 0;
        if (ptrace(PTRACE_GETEVENTMSG, tracee->tid, NULL, &child) < 0)
                return 0;
        return (pid_t)child;
}

bool tracee_did_exec(const struct tracee *tracee)
{
        return stop_event(tracee) == PTRACE_EVENT_EXEC;
}

int tracee_set_regs(struct tracee *tracee, const struct user_regs_struct *regs, struct error *err)
{
        struct user_regs_struct copy = *regs;
        struct iovec io = { &copy, sizeof(copy) };

        if (ptrace(PTRACE_SETREGSET, tracee->tid, (void *)NT_PRSTATUS, &io) < 0) {
                if (errno == ESRCH) {
                        tracee->state = TRACEE_DYING;
                        return TRACEE_GONE;
                }
                return error_set(err, EXIT_CODE_ERROR, errno, NULL,
                                 "can't set the registers of thread %d", tracee->tid);
        }
        tracee->regs = *regs;
        return 0;
}

/* Lets a stopped thread go on by one of ptrace's ways to do so, with a signal (0: none). */
static int resume(struct tracee *tracee, enum __ptrace_request way, int signal, struct error *err)
{
        if (ptrace(way, tracee->tid, NULL, (void *)(long)signal) < 0) {
                if (errno == ESRCH) {
                        tracee->state = TRACEE_DYING;
                        return TRACEE_GONE;
                }
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't resume thread %d",
                                 tracee->tid);
        }
        tracee->signal = 0;
        tracee->state = TRACEE_SEIZED;
        return 0;
}

int tracee_run_to_system_call(struct tracee *tracee, struct error *err)
{
        return resume(tracee, PTRACE_SYSCALL, tracee->signal, err);
}

int tracee_run_to_user_mode(struct tracee *tracee, struct error *err)
{
        int r;

        if (ptrace(PTRACE_INTERRUPT, tracee->tid, NULL, NULL) < 0) {
                tracee->state = TRACEE_DYING;
                return TRACEE_GONE;
        }
        r = tracee_run_to_system_call(tracee, err);
        if (r == 0)
                tracee->state = TRACEE_INTERRUPTED;
        return r;
}

bool tracee_at_system_call(const struct tracee *tracee)
{
        return tracee->state == TRACEE_STOPPED && stop_event(tracee) == 0 &&
               WSTOPSIG(tracee->status) == SYSCALL_STOP;
}

/* Linux include/uapi/linux/ptrace.h; not in the C library's header. */
#define GET_RSEQ_CONFIGURATION 0x420f
struct rseq_configuration {
        uint64_t area;
        uint32_t size, signature, flags, padding;
};

uint64_t tracee_rseq_area(const struct tracee *tracee)
{
        struct rseq_configuration configuration = { 0 };

        if (ptrace(GET_RSEQ_CONFIGURATION, tracee->tid, (void *)sizeof(configuration),
                   &configuration) < 0)
                return 0;
        return configuration.area;
}

int tracee_suspend_seccomp(struct tracee *tracee, struct error *err)
{
        long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_SUSPEND_SECCOMP;

        if (ptrace(PTRACE_SETOPTIONS, tracee->tid, NULL, (void *)options) < 0)
                return error_set(err, EXIT_CODE_UNSUPPORTED, errno,
                                 "run suture with CAP_SYS_ADMIN and outside of any seccomp filter",
                                 "the seccomp filter of thread %d forbids what patching needs and "
                                 "could not be suspended",
                                 tracee->tid);
        return 0;
}

int tracee_seccomp_filter(struct tracee *tracee, unsigned index, struct sock_filter **ret,
                          size_t *ret_n, struct error *err)
{
        _cleanup_free_ struct sock_filter *filter = NULL;
        long n = ptrace(PTRACE_SECCOMP_GET_FILTER, tracee->tid, (void *)(long)index, NULL);

        if (n < 0 && errno == ENOENT)
                return 1;
        if (n >= 0) {
                filter = calloc((size_t)n + 1, sizeof(*filter));
                if (!filter)
                        return error_no_memory(err);
                n = ptrace(PTRACE_SECCOMP_GET_FILTER, tracee->tid, (void *)(long)index, filter);
        }
        if (n < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL,
                                 "can't read the seccomp filter of thread %d", tracee->tid);
        *ret = STEAL(filter);
        *ret_n = (size_t)n;
        return 0;
}

/* True once the end of a thread has been seen, without which its parent could not see it either. */
static bool see_end(struct tracee *tracee)
{
        bool ended = has_ended(tracee->tid);

        /* a zombie that can't be waited for is the main thread of a process that lives on */
        return waitpid(tracee->tid, &tracee->status, __WALL | WNOHANG) != 0 || ended;
}

/* --- Holding ------------------------------------------------------------------------------ */

/* A stop that means nothing: neither a signal nor another event than that of a plain stop. */
#define PLAIN_STOP ((SIGTRAP << 8) | 0x7f | (PTRACE_EVENT_STOP << 16))

void tracee_hold(const struct tracee *tracee)
{
        held.tracee = *tracee;
        held.tracee.signal = 0;
        held.tracee.status = PLAIN_STOP;
        held.put_off = 0;
}

#define SIGNAL_BIT(signal) (UINT64_C(1) << ((signal) - 1))
#define STOP_SIGNALS                                                                          \
        (SIGNAL_BIT(SIGSTOP) | SIGNAL_BIT(SIGTSTP) | SIGNAL_BIT(SIGTTIN) | SIGNAL_BIT(SIGTTOU))

/* As the kernel does (prepare_signal, kernel/signal.c): stopping and going on cancel each other. */
static void put_off(int signal)
{
        if (SIGNAL_BIT(signal) & STOP_SIGNALS)
                held.put_off &= ~SIGNAL_BIT(SIGCONT);
        if (signal == SIGCONT)
                held.put_off &= ~STOP_SIGNALS;
        held.put_off |= SIGNAL_BIT(signal);
}

/* A stop signal sent anew would discard a SIGCONT that came meanwhile, and nobody sends another. */
static bool is_to_go_on(pid_t tid)
{
        struct thread_status status;

        return thread_status_read(tid, tid, &status, NULL) == 0 &&
               ((status.pending | status.shared_pending) & SIGNAL_BIT(SIGCONT));
}

/* True if the thread has been taken back by its holder and is not to be let go. */
static bool keep_held(struct tracee *tracee)
{
        if (tracee->signal)
                put_off(tracee->signal);
        held.tracee = *tracee;
        held.tracee.signal = 0;
        held.tracee.status = PLAIN_STOP;
        if (tracee->state != TRACEE_STOPPED)
                return false;
        tracee->state = TRACEE_LOOSE;
        return true;
}

bool tracee_unhold(struct tracee *ret)
{
        uint64_t signals = held.put_off;

        *ret = held.tracee;
        held.tracee = (struct tracee){ 0 };
        held.put_off = 0;
        if (ret->state != TRACEE_STOPPED)
                return false;
        if ((signals & STOP_SIGNALS) && is_to_go_on(ret->tid))
                signals &= ~STOP_SIGNALS;
        for (int signal = 1; signal <= 64; signal++)
                if (signals & SIGNAL_BIT(signal))
                        (void)syscall(SYS_tkill, ret->tid, signal);
        return true;
}

/* --- Running on --------------------------------------------------------------------------- */

bool tracee_in_group_stop(const struct tracee *tracee)
{
        return stop_event(tracee) == PTRACE_EVENT_STOP && WSTOPSIG(tracee->status) != SIGTRAP;
}

int tracee_run(struct tracee *tracee, int signal, struct error *err)
{
        return resume(tracee, tracee_in_group_stop(tracee) ? PTRACE_LISTEN : PTRACE_CONT, signal,
                      err);
}

int tracee_run_to_first_instruction(struct tracee *tracee, uint64_t deadline_ns,
                                    struct error *err)
{
        int r;

        if (ptrace(PTRACE_INTERRUPT, tracee->tid, NULL, NULL) < 0) {
                tracee->state = TRACEE_DYING;
                return TRACEE_GONE;
        }
        r = tracee_run(tracee, 0, err);
        return r ? r : tracee_wait(tracee, deadline_ns, err);
}

bool tracee_release(struct tracee *tracee, pid_t *ret_child)
{
        struct error ignored;

        *ret_child = 0;
        if (tracee->state == TRACEE_SEIZED)
                tracee_interrupt(tracee);
        if (tracee->state == TRACEE_INTERRUPTED) {
                int r = tracee_wait(tracee, clock_now_ns() + RELEASE_WAIT_NS, &ignored);

                if (r == TRACEE_SLOW)
                        return false;
                if (tracee->state == TRACEE_STOPPED)
                        *ret_child = tracee_new_child(tracee);
        }
        if (tracee->tid == held.tracee.tid && keep_held(tracee))
                return true;
        if (tracee->state == TRACEE_STOPPED &&
            ptrace(PTRACE_DETACH, tracee->tid, NULL, (void *)(long)tracee->signal) < 0)
                tracee->state = TRACEE_DYING;
        if (tracee->state == TRACEE_DYING && !see_end(tracee))
                return false;
        tracee->state = TRACEE_LOOSE;
        return true;
}
