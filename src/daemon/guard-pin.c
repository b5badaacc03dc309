/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Affinities, changed and put back. A kernel may remember what a process was given even where the
 * processors it is confined to (cpuset) grow later; so one that had all it could have is given all
 * there are, and only one that had less gets exactly that.
 */
#include "daemon/guard-pin.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/array.h"
#include "proc/process.h"

#define PINS_MAX 64

struct guard_pin {
        _Atomic pid_t worker;       /* 0: free. Set last, and cleared last. */
        pid_t pid, tid;
        int cpu;
        cpu_set_t before, worker_before;
};

struct guard_pins {
        struct guard_pin items[PINS_MAX];
};

struct guard_pins *guard_pins_new(void)
{
        void *memory = mmap(NULL, sizeof(struct guard_pins), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        return memory == MAP_FAILED ? NULL : memory;
}

struct guard_pins *guard_pins_free(struct guard_pins *pins)
{
        if (pins)
                munmap(pins, sizeof(*pins));
        return NULL;
}

enum { STAT_PROCESSOR = 39 }; /* proc(5) */

/* Where it last ran; negative if that can't be read. */
static int processor_of(pid_t tid)
{
        char text[16];
        int cpu;

        if (process_stat_field(tid, STAT_PROCESSOR, text, sizeof(text), NULL) != 0)
                return -1;
        cpu = atoi(text);
        return cpu < CPU_SETSIZE ? cpu : -1;
}

static bool is_only(const cpu_set_t *set, int cpu)
{
        return CPU_COUNT(set) == 1 && CPU_ISSET(cpu, set);
}

static void give_back(pid_t tid, int cpu, const cpu_set_t *before)
{
        cpu_set_t set;

        if (is_only(before, cpu) || sched_getaffinity(tid, sizeof(set), &set) < 0 ||
            !is_only(&set, cpu))
                return;
        memset(&set, 0xff, sizeof(set));
        if (sched_setaffinity(tid, sizeof(set), &set) < 0 ||
            sched_getaffinity(tid, sizeof(set), &set) < 0 || !CPU_EQUAL(&set, before))
                (void)sched_setaffinity(tid, sizeof(*before), before);
}

static void undo(struct guard_pin *pin)
{
        give_back(pin->worker, pin->cpu, &pin->worker_before);
        give_back(pin->tid, pin->cpu, &pin->before);
        if (pin->tid != pin->pid) /* a thread that has execed has become the process */
                give_back(pin->pid, pin->cpu, &pin->before);
        pin->worker = 0;
}

bool guard_pin(struct guard_pins *pins, pid_t pid, pid_t tid, pid_t worker)
{
        struct guard_pin *pin = NULL;
        cpu_set_t only;

        for (size_t i = 0; pins && i < PINS_MAX && !pin; i++)
                if (pins->items[i].worker == 0)
                        pin = &pins->items[i];
        if (!pin)
                return false;
        pin->pid = pid;
        pin->tid = tid;
        pin->cpu = processor_of(tid);
        if (pin->cpu < 0 || sched_getaffinity(tid, sizeof(only), &pin->before) < 0 ||
            sched_getaffinity(worker, sizeof(only), &pin->worker_before) < 0)
                return false;
        CPU_ZERO(&only);
        CPU_SET(pin->cpu, &only);
        pin->worker = worker;
        if (sched_setaffinity(worker, sizeof(only), &only) == 0 &&
            (is_only(&pin->before, pin->cpu) || sched_setaffinity(tid, sizeof(only), &only) == 0))
                return true;
        undo(pin);
        return false;
}

void guard_unpin(struct guard_pins *pins, pid_t worker)
{
        for (size_t i = 0; pins && worker > 0 && i < PINS_MAX; i++)
                if (pins->items[i].worker == worker)
                        undo(&pins->items[i]);
}

void guard_unpin_all(struct guard_pins *pins)
{
        for (size_t i = 0; pins && i < PINS_MAX; i++)
                if (pins->items[i].worker != 0)
                        undo(&pins->items[i]);
}
