/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * A worker and the program it is to take hold of, on one processor for a moment. A worker that waits
 * for the lock that the program holds in its exec (live/entry.h) is woken when the lock is let go;
 * as it comes before the program on that processor (SCHED_FIFO), it is there before the program's
 * first instruction, whatever kind of preemption the kernel was built with: the way back from the
 * kernel looks for somebody to run first.
 *
 * What was changed is kept in memory that the keeper shares with its owner. Whoever outlives the
 * other undoes it.
 */
#include <stdbool.h>
#include <sys/types.h>

struct guard_pins;
/* NULL: without memory nothing is pinned. */
struct guard_pins *guard_pins_new(void);
struct guard_pins *guard_pins_free(struct guard_pins *pins);

/*
 * Thread `tid` of process `pid`, which sleeps in its exec, and `worker` run on the processor that the
 * thread was last on. False, and nothing changed, where that can't be had.
 */
bool guard_pin(struct guard_pins *pins, pid_t pid, pid_t tid, pid_t worker);
/* What guard_pin() did for this worker is undone, unless somebody else has changed it since. */
void guard_unpin(struct guard_pins *pins, pid_t worker);
/* Likewise for all. Safe in a signal handler. */
void guard_unpin_all(struct guard_pins *pins);
