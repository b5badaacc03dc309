/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What /proc says of a process, read only: its identity (pid plus start time, so that a recycled
 * pid is noticed), state, threads, who traces it, where it belongs (unit, container, namespaces).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"
#include "elf/image.h"

struct process {
        pid_t pid, parent, tracer;  /* tracer 0: not traced */
        uint64_t start_ticks;       /* since boot, clock ticks; with pid it names one process */
        char name[64];              /* comm, in full where the kernel has cut it; unprintable bytes are '?' */
        char state;                 /* R S D T t Z X I ... as in /proc/PID/stat */
        uid_t uid;                  /* effective */
        bool kernel_thread;
        bool forked;                /* runs the program of its parent: no exec since the fork */
        bool frozen;                /* by cgroup v2 (cgroup.events) or v1 (freezer.state) */
        unsigned n_threads;
        char unit[128];             /* systemd unit ("nginx.service"), "" if none; cgroup.h */
        char container[96];         /* "docker:4f2a81c0aabb", "nspawn:NAME", …, or "" */
        char cgroup[512];           /* path, v2 preferred, else name=systemd; "" if unreadable */
        uint64_t pid_namespace, mount_namespace, user_namespace; /* inodes, 0 if unreadable */
};

enum process_outcome {
        PROCESS_GONE = 1,
};

/* 0, PROCESS_GONE, or negative. */
int process_read(pid_t pid, struct process *ret, struct error *err);
/*
 * The text of a field of /proc/TID/stat, numbered as proc(5) does, from 3 (the state) on; of a thread
 * too. 0, PROCESS_GONE, or negative.
 */
int process_stat_field(pid_t tid, unsigned number, char *ret, size_t size, struct error *err);
/* True if (pid, start_ticks) is still the same live process. */
bool process_alive(pid_t pid, uint64_t start_ticks);

/*
 * Signals of one thread, from /proc/PID/task/TID/status, as masks (bit n-1 is signal n).
 */
struct thread_status {
        char state;
        uint64_t pending, shared_pending, blocked, ignored, caught;
        unsigned seccomp_mode;      /* 0, 1 strict, 2 filter */
        unsigned n_seccomp_filters; /* 0 where the kernel does not say */
};
int thread_status_read(pid_t pid, pid_t tid, struct thread_status *ret, struct error *err);

/* Thread ids, ascending as the kernel lists them; the caller frees. 0, PROCESS_GONE or negative. */
int process_threads(pid_t pid, pid_t **ret, size_t *ret_n, struct error *err);
/*
 * A thread through which /proc shows the memory of the process: the main thread, or another where
 * that one has ended before the process. 0 where there is none.
 */
pid_t process_living_thread(pid_t pid);
/* All process ids of this /proc; the caller frees. */
int process_list(pid_t **ret, size_t *ret_n, struct error *err);

/*
 * A reader of the process's memory for elf/image.h, by process_vm_readv. The context is the pid
 * itself (no state): PROCESS_MEMORY(pid).
 */
int process_memory_read(void *context, uint64_t address, void *ret, size_t size);
#define PROCESS_MEMORY(pid)                                                                   \
        ((struct elf_memory){ .read = process_memory_read, .context = (void *)(intptr_t)(pid) })

/* A pid given by a person: digits, 1 to pid_max. */
bool process_parse_pid(const char *text, pid_t *ret);
