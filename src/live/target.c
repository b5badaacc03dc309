/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stopping a whole address space. All threads are asked first and waited for afterwards, so that
 * they stop side by side. A thread that is not stopped yet may start another one; so the list of
 * threads is read again until it tells nothing new, and children that share the memory are born
 * stopped (PTRACE_O_TRACEVFORK and its kind). Nothing can appear any more once all that are known
 * have stopped.
 */
#include "live/target.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <syscall.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/fault.h"
#include "live/arch/arch.h"
#include "live/priority.h"
#include "live/unwind.h"
#include "proc/process.h"

#define LOCK_WAIT_NS 2000000000u
#define STOP_WAIT_NS 500000000u   /* for all threads together */
#define STOP_LOOK_NS 20000000u    /* after this long a thread in state D is not waited for */

/*
 * One suture at a time works on a target. The lock is on /proc/PID/mem itself: it needs no file
 * anywhere, ends with whoever holds it, and nobody can take it who could not trace the process.
 */
static int lock_target(const struct target *target, struct error *err)
{
        uint64_t deadline_ns = clock_now_ns() + LOCK_WAIT_NS;

        while (flock(target->memory_fd, LOCK_EX | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK && errno != EINTR)
                        return error_set(err, EXIT_CODE_ERROR, errno, NULL,
                                         "the memory of pid %d can't be locked", target->pid);
                if (clock_now_ns() > deadline_ns)
                        return error_set(err, EXIT_CODE_ERROR, 0, "wait for it, then try again",
                                         "another suture is at work on pid %d", target->pid);
                nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        }
        return 0;
}

static int open_through(struct target *target, pid_t thread, struct error *err)
{
        char path[64];

        target->thread = thread;
        snprintf(path, sizeof(path), "/proc/%d/mem", thread);
        target->memory_fd = open(path, O_RDWR | O_CLOEXEC);
        if (target->memory_fd >= 0)
                return 0;
        if (errno == ENOENT || errno == ESRCH)
                return TARGET_GONE;
        return error_set(err, EXIT_CODE_PERMISSION, errno, "run suture as root",
                         "the memory of pid %d can't be opened", target->pid);
}

/* Locked first: what another suture is about to map must be in the maps that are read. */
static int open_memory(struct target *target, struct error *err)
{
        int r = open_through(target, target->pid, err);
        pid_t living;

        if (r == TARGET_GONE) { /* the main thread may have ended before the process */
                living = process_living_thread(target->pid);
                r = living ? open_through(target, living, err) : TARGET_GONE;
        }
        if (r == 0)
                r = lock_target(target, err);
        return r ? r : target_read_maps(target, err);
}

int target_open(pid_t pid, uint64_t start_ticks, const pid_t *siblings, size_t n_siblings,
                struct live_cache *cache, struct target **ret, struct error *err)
{
        _cleanup_(target_freep) struct target *target = calloc(1, sizeof(*target));
        int r;

        if (!target)
                return error_no_memory(err);
        target->memory_fd = -1;
        target->pid = pid;
        target->start_ticks = start_ticks;
        target->cache = cache;
        for (size_t i = 0; i <= n_siblings; i++) {
                pid_t *slot = ARRAY_PUSH(target->processes, target->n_processes);

                if (!slot)
                        return error_no_memory(err);
                *slot = i == 0 ? pid : siblings[i - 1];
        }
        r = open_memory(target, err);
        if (r == 0 && !process_alive(pid, start_ticks))
                r = TARGET_GONE;
        if (r == 0)
                *ret = STEAL(target);
        return r;
}

struct target *target_free(struct target *target)
{
        if (!target)
                return NULL;
        target_resume(target);
        unwinder_free(target->unwinder);
        if (target->memory_fd >= 0)
                close(target->memory_fd);
        modules_done(&target->modules);
        maps_done(&target->maps);
        free(target->processes);
        free(target->tracees);
        free(target);
        return NULL;
}

/* The thread through which the memory was seen may end before the process does. */
static bool find_living_thread(struct target *target)
{
        target->thread = process_living_thread(target->pid);
        return target->thread != 0;
}

int target_read_maps(struct target *target, struct error *err)
{
        struct maps maps = { 0 };
        int r = maps_read(target->thread, &maps, err);

        if (r == MAPS_GONE && find_living_thread(target))
                r = maps_read(target->thread, &maps, err);
        if (r != 0)
                return r < 0 ? r : TARGET_GONE;
        modules_done(&target->modules); /* they point into the maps */
        target->modules_known = false;
        maps_done(&target->maps);
        target->maps = maps;
        target->maps_stale = false;
        return 0;
}

int target_refresh_maps(struct target *target, struct error *err)
{
        return target->maps_stale ? target_read_maps(target, err) : 0;
}

int target_read_modules(struct target *target, struct error *err)
{
        int r;

        if (target->modules_known)
                return 0;
        r = modules_read(target->thread, &target->maps, live_cache_modules(target->cache),
                         &target->modules, err);
        if (r != 0)
                return r < 0 ? r : TARGET_GONE;
        target->modules_known = true;
        return 0;
}

/* --- Letting go ----------------------------------------------------------------------------- */

static bool known_thread(const struct target *target, pid_t tid)
{
        /* new threads come at the end of the kernel's list, and so they do here */
        for (size_t i = target->n_tracees; i > 0; i--)
                if (target->tracees[i - 1].tid == tid &&
                    target->tracees[i - 1].state != TRACEE_ENDED)
                        return true;
        return false;
}

/*
 * The threads that this process still holds although it wants nothing of them any more. They are
 * no part of a target, for it may be freed, and opened again, before they come.
 */
static struct straggler {
        pid_t pid;
        struct tracee tracee;
} *stragglers;
static size_t n_stragglers;

static void release(pid_t pid, struct tracee *tracee, pid_t *ret_child)
{
        struct straggler *slot;

        if (tracee_release(tracee, ret_child))
                return;
        slot = ARRAY_PUSH(stragglers, n_stragglers);
        if (slot) /* else the kernel lets it go when suture ends */
                *slot = (struct straggler){ pid, *tracee };
}

static void let_go(pid_t pid, struct tracee *tracee, const struct target *target)
{
        struct tracee child;
        pid_t child_tid;

        release(pid, tracee, &child_tid);
        if (child_tid == 0 || (target && known_thread(target, child_tid)))
                return;
        tracee_adopt(&child, child_tid);
        release(pid, &child, &child_tid);
}

void target_let_go(struct target *target, struct tracee *tracee)
{
        let_go(target->pid, tracee, target);
}

static pid_t straggler_of(const struct target *target)
{
        for (size_t i = 0; i < n_stragglers; i++)
                if (stragglers[i].pid == target->pid)
                        return stragglers[i].tracee.tid;
        return 0;
}

bool target_has_stragglers(const struct target *target)
{
        return straggler_of(target) != 0;
}

static void let_stragglers_go(void)
{
        _cleanup_free_ struct straggler *before = STEAL(stragglers);
        size_t n = n_stragglers;

        n_stragglers = 0;
        for (size_t i = 0; i < n; i++)
                let_go(before[i].pid, &before[i].tracee, NULL);
}

void target_rest(unsigned ms)
{
        uint64_t until_ns = clock_now_ns() + ms * UINT64_C(1000000);

        for (;;) {
                let_stragglers_go();
                if (clock_now_ns() >= until_ns)
                        return;
                nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
        }
}

/* --- Stopping ---------------------------------------------------------------------------- */

static int add_tracee(struct target *target, const struct tracee *tracee, struct error *err)
{
        struct tracee *slot = ARRAY_PUSH(target->tracees, target->n_tracees);

        if (!slot) {
                struct tracee copy = *tracee;

                target_let_go(target, &copy);
                return error_no_memory(err);
        }
        *slot = *tracee;
        return 0;
}

/* 0 also where the thread is just ending: it can do no harm. */
static int seize_thread(struct target *target, pid_t tid, struct error *err)
{
        struct tracee tracee;
        int r = tracee_seize(&tracee, tid, true, err);

        if (r != 0)
                return r < 0 ? r : 0;
        return add_tracee(target, &tracee, err);
}

bool target_shares_memory(pid_t a, pid_t b)
{
        long r = syscall(SYS_kcmp, a, b, KCMP_VM, 0, 0);

        return r == 0 || (r < 0 && errno != ESRCH);
}

/* Seizes all threads not yet known: how many, or negative. */
static int seize_new_threads(struct target *target, struct error *err)
{
        size_t before = target->n_tracees;

        for (size_t p = 0; p < target->n_processes; p++) {
                _cleanup_free_ pid_t *tids = NULL;
                size_t n = 0, expected = target->n_tracees;
                int r;

                if (p > 0 && !target_shares_memory(target->thread, target->processes[p]))
                        continue; /* ended, or another program by now */
                r = process_threads(target->processes[p], &tids, &n, err);
                if (r < 0)
                        return r;
                for (size_t i = 0; r == 0 && i < n; i++) {
                        /* the same list as before, item by item, needs no search */
                        if (i < expected && target->tracees[i].tid == tids[i] &&
                            target->tracees[i].state != TRACEE_ENDED)
                                continue;
                        if (known_thread(target, tids[i]))
                                continue;
                        r = seize_thread(target, tids[i], err);
                        if (r < 0)
                                return r;
                }
        }
        return (int)(target->n_tracees - before);
}

/* A child that was born stopped while we were stopping its parent. */
static int take_child(struct target *target, pid_t child, struct error *err)
{
        struct tracee tracee;

        tracee_adopt(&tracee, child);
        if (known_thread(target, child))
                return 0;
        if (target_shares_memory(target->thread, child))
                return add_tracee(target, &tracee, err);
        target_let_go(target, &tracee);
        return 0;
}

static char thread_state(pid_t tid)
{
        struct thread_status status;

        return thread_status_read(tid, tid, &status, NULL) == 0 ? status.state : '?';
}

static int busy_stopping(struct target *target, pid_t tid)
{
        char state = thread_state(tid);

        error_set(&target->busy, EXIT_CODE_ERROR, 0,
                  state == 'D' ? "it is in an uninterruptible sleep or waits for its vfork child; "
                                 "try again when that is over"
                               : "try again, or freeze less of the machine",
                  "thread %d of pid %d does not stop (state %c)", tid, target->pid, state);
        return TARGET_BUSY;
}

/* A thread that stopped because it is another program now. */
static int take_exec(struct target *target, struct tracee *tracee)
{
        if (tracee->tid == target->pid)
                return TARGET_GONE;
        /* one that shared the memory, and does so no more */
        target_let_go(target, tracee);
        tracee->state = TRACEE_ENDED;
        return 0;
}

static int wait_thread(struct target *target, size_t i, uint64_t deadline_ns, struct error *err)
{
        uint64_t look_ns = MIN(deadline_ns, clock_now_ns() + STOP_LOOK_NS);
        int r = tracee_wait(&target->tracees[i], look_ns, err);
        pid_t child;

        if (r == TRACEE_SLOW && thread_state(target->tracees[i].tid) != 'D')
                r = tracee_wait(&target->tracees[i], deadline_ns, err);
        if (r == TRACEE_SLOW)
                return busy_stopping(target, target->tracees[i].tid);
        if (r == TRACEE_FOREIGN)
                return error_set(err, EXIT_CODE_UNSUPPORTED, 0,
                                 "upgrade and restart this program instead",
                                 "pid %d runs 32-bit code; only 64-bit programs can be patched",
                                 target->pid);
        if (r == TRACEE_GONE)
                return 0;
        if (r < 0)
                return r;
        if (tracee_did_exec(&target->tracees[i]))
                return take_exec(target, &target->tracees[i]);
        child = tracee_new_child(&target->tracees[i]);
        return child ? take_child(target, child, err) : 0;
}

static int stop_all(struct target *target, struct error *err)
{
        uint64_t deadline_ns;
        size_t waited = 0;
        int r, fresh;

        r = seize_new_threads(target, err);
        if (r < 0)
                return r;
        priority_raise();
        target->stopped_at_ns = clock_now_ns();
        deadline_ns = target->stopped_at_ns + STOP_WAIT_NS;
        do {
                for (size_t i = waited; i < target->n_tracees; i++)
                        tracee_interrupt(&target->tracees[i]);
                for (; waited < target->n_tracees; waited++) {
                        r = wait_thread(target, waited, deadline_ns, err);
                        if (r != 0)
                                return r;
                }
                fresh = seize_new_threads(target, err);
                if (fresh < 0)
                        return fresh;
        } while (fresh > 0 || waited < target->n_tracees);
        for (size_t i = 0; i < target->n_tracees; i++)
                if (target->tracees[i].state == TRACEE_STOPPED)
                        return 0;
        return TARGET_GONE;
}

int target_stop(struct target *target, struct error *err)
{
        int r;

        target_rest(0);
        if (target_has_stragglers(target))
                return busy_stopping(target, straggler_of(target));
        if (!process_alive(target->pid, target->start_ticks))
                return TARGET_GONE;
        r = stop_all(target, err);
        if (r == 0 && fault_here(FAULT_STOP))
                r = fault_set(FAULT_STOP, err);
        if (r != 0)
                target_resume(target);
        return r;
}

void target_resume(struct target *target)
{
        for (size_t i = 0; i < target->n_tracees; i++)
                target_let_go(target, &target->tracees[i]);
        priority_restore();
        if (target->n_tracees == 0)
                return;
        if (target->stopped_at_ns)
                target->pause_ns =
                        MAX(target->pause_ns, clock_now_ns() - target->stopped_at_ns);
        target->stopped_at_ns = 0;
        free(target->tracees);
        target->tracees = NULL;
        target->n_tracees = 0;
}

/* --- Memory ------------------------------------------------------------------------------ */

bool target_is_over(const struct target *target)
{
        uint8_t byte;

        return !process_alive(target->pid, target->start_ticks) ||
               pread(target->memory_fd, &byte, 1, 0) == 0;
}

static int memory_fault(const struct target *target, const char *what, uint64_t address,
                        size_t size, int errnum, struct error *err)
{
        /* errnum 0: not a byte, which is how /proc/PID/mem answers for a program that is over */
        if (errnum == 0 || target_is_over(target))
                return TARGET_GONE;
        return error_set(err, EXIT_CODE_ERROR, errnum,
                         "see whether the kernel restricts /proc/PID/mem (proc_mem.force_override)",
                         "%zu bytes at %#lx of pid %d can't be %s", size, address, target->pid,
                         what);
}

int target_read(struct target *target, uint64_t address, void *ret, size_t size,
                struct error *err)
{
        ssize_t n = pread(target->memory_fd, ret, size, (off_t)address);

        if (n < 0 || (size_t)n != size)
                return memory_fault(target, "read", address, size,
                                    n < 0 ? errno : n > 0 ? EIO : 0, err);
        return 0;
}

int target_read_many(struct target *target, const struct iovec *local, const struct iovec *remote,
                     size_t n, struct error *err)
{
        const size_t batch = 512; /* below IOV_MAX */

        for (size_t i = 0; i < n; i += batch) {
                size_t count = MIN(batch, n - i), bytes = 0;
                ssize_t got;

                for (size_t j = i; j < i + count; j++)
                        bytes += local[j].iov_len;
                got = process_vm_readv(target->thread, local + i, count, remote + i, count, 0);
                if (got < 0 && errno == ESRCH && find_living_thread(target))
                        got = process_vm_readv(target->thread, local + i, count, remote + i,
                                               count, 0);
                if (got < 0 || (size_t)got != bytes)
                        return memory_fault(target, "read", (uint64_t)remote[i].iov_base, bytes,
                                            got < 0 ? errno : EFAULT, err);
        }
        return 0;
}

int target_write(struct target *target, uint64_t address, const void *data, size_t size,
                 struct error *err)
{
        ssize_t n = pwrite(target->memory_fd, data, size, (off_t)address);

        if (n < 0 || (size_t)n != size)
                return memory_fault(target, "written", address, size,
                                    n < 0 ? errno : n > 0 ? EIO : 0, err);
        return 0;
}

static int read_for_elf(void *context, uint64_t address, void *ret, size_t size)
{
        struct target *target = context;
        ssize_t n = pread(target->memory_fd, ret, size, (off_t)address);

        if (n < 0)
                return -errno;
        return (size_t)n == size ? 0 : -EFAULT;
}

struct elf_memory target_memory(struct target *target)
{
        return (struct elf_memory){ .read = read_for_elf, .context = target };
}
