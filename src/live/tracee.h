/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * One thread of a foreign process under ptrace (ptrace(2), PTRACE_SEIZE semantics). This is the
 * only code in suture that calls ptrace. A seized thread runs on until it is interrupted; when
 * suture ends, for whatever reason, the kernel lets go of every thread by itself.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>
#include "base/error.h"

enum tracee_state {
        TRACEE_LOOSE = 0,     /* not ours */
        TRACEE_SEIZED,        /* ours, running */
        TRACEE_INTERRUPTED,   /* asked to stop */
        TRACEE_STOPPED,
        TRACEE_DYING,         /* killed while it was ours; its end has not been seen yet */
        TRACEE_ENDED,
};

struct tracee {
        pid_t tid;
        enum tracee_state state;
        int signal;           /* stopped on the way to a handler: what detaching must deliver */
        int status;           /* of the last stop, as from waitpid(2) */
        struct user_regs_struct regs; /* valid while stopped */
};

enum tracee_outcome {
        TRACEE_GONE = 1,      /* the thread does not exist any more */
        TRACEE_SLOW = 2,      /* did not stop in time */
        TRACEE_FOREIGN = 3,   /* its registers are not those of a 64-bit thread of this CPU */
};

/*
 * Seizes a running thread. `siblings` also takes what the thread forks or clones from now on: such
 * a child is born stopped. 0, TRACEE_GONE (also for one that has ended and is still listed), or a
 * fault (EPERM: traced by somebody else, or no permission).
 */
int tracee_seize(struct tracee *tracee, pid_t tid, bool siblings, struct error *err);
/* Asks it to stop; does not wait. */
void tracee_interrupt(struct tracee *tracee);
/*
 * Waits for the stop until `deadline_ns` (base/clock.h) and reads the registers. A system call that
 * would report EINTR only because of the stop is set to be restarted at once, so that the thread
 * is none the wiser even if suture is killed now. 0, TRACEE_GONE, TRACEE_SLOW, TRACEE_FOREIGN, or
 * a fault.
 */
int tracee_wait(struct tracee *tracee, uint64_t deadline_ns, struct error *err);
/* The new thread or process of a fork, vfork or clone stop, or 0 where it is another stop. */
pid_t tracee_new_child(const struct tracee *tracee);
/* What a child born under PTRACE_O_TRACE* is known as before its first stop is seen. */
void tracee_adopt(struct tracee *tracee, pid_t tid);
/* The stop of a thread that has become another program. */
bool tracee_did_exec(const struct tracee *tracee);

int tracee_set_regs(struct tracee *tracee, const struct user_regs_struct *regs,
                    struct error *err);
/*
 * Lets a stopped thread run to the next entry or exit of a system call, or another stop; a signal
 * that it was about to handle goes with it.
 */
int tracee_run_to_system_call(struct tracee *tracee, struct error *err);
bool tracee_at_system_call(const struct tracee *tracee);
/*
 * At the exit of a system call: lets the thread go on to a stop that it reaches before its next
 * instruction. There, unlike here, the kernel settles a broken-off system call by itself for
 * whatever registers are then set.
 */
int tracee_run_to_user_mode(struct tracee *tracee, struct error *err);
/*
 * Where the stopped thread has its area for restartable sequences (rseq(2); Linux 5.13), 0 if
 * it has none or the kernel does not tell.
 */
uint64_t tracee_rseq_area(const struct tracee *tracee);
/* Suspends the thread's seccomp filters until it is let go (Linux 4.3; CAP_SYS_ADMIN). */
int tracee_suspend_seccomp(struct tracee *tracee, struct error *err);
/*
 * Reads one seccomp filter (0 is the youngest) of a stopped thread: the number of instructions in
 * *ret_n, the caller frees *ret. 0, 1 past the last, or a fault.
 */
struct sock_filter;
int tracee_seccomp_filter(struct tracee *tracee, unsigned index, struct sock_filter **ret,
                          size_t *ret_n, struct error *err);
/*
 * Lets go: the thread runs on as if nothing had been. Needs no particular state. False if it was
 * asked to stop but is still on its way (a thread that waits for its vfork child can't stop), or
 * if its end is still to be seen: the caller must try again, for it would stay stopped once it got
 * there, or be a zombie for its parent. What it had cloned just then (*ret_child, if it was seized
 * with `siblings` and stopped only now) is ours as well, and must be adopted.
 */
bool tracee_release(struct tracee *tracee, pid_t *ret_child);
/*
 * Keeps a stopped thread: until tracee_unhold() whoever seizes it finds it stopped where it is, and
 * whoever releases it leaves it stopped, so that the steps of a change follow each other and the
 * thread runs only for the calls it makes for them. Signals that stop it on the way are put off. One
 * thread at a time is held; the kernel lets go of it if suture ends.
 */
void tracee_hold(const struct tracee *tracee);
/* The held thread as it is now, for its owner; false if it has ended, or none was held. */
bool tracee_unhold(struct tracee *ret);
/*
 * Lets a stopped thread run to its next stop of any kind; `signal` is delivered, 0 for none. A
 * thread that is to stay stopped by job control (tracee_in_group_stop) does so.
 */
int tracee_run(struct tracee *tracee, int signal, struct error *err);
bool tracee_in_group_stop(const struct tracee *tracee);
/*
 * At the stop of a thread that has become another program: on to the stop before the first
 * instruction of that program.
 */
int tracee_run_to_first_instruction(struct tracee *tracee, uint64_t deadline_ns,
                                    struct error *err);
